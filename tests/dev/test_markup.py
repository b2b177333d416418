"""The place of the script in a document, and documents that come in pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.dev.markup import Insertion

TAG = b"<script src=x></script>"
HERE = b"@@"

# Where the HTML Standard (section 13.2) has the head begin: @@.
PLACES = {
    "plain": b"<!doctype html><html lang=en><head>@@<title>t</title></head><body>x</body></html>",
    "case": b"<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4//EN'>\n<HTML>\n<HEAD>@@\n<TITLE>t</TITLE>",
    "attributes": b"<html><head lang=en data-x='>' data-y=\"<head>\" data-z=a>@@<title>",
    "spaces": b" \n\t<!doctype html>\r\n<html\n>\f<head\n>@@",
    "no head": b"<!doctype html><html><!-- c -->@@<body>x",
    "a header is no head": b"<html>@@<header>x</header>",
    "htmlx is no html": b"@@<htmlx>",
    "neither": b"<!doctype html>\n@@<title>t</title><p>x",
    "text": b"  @@hello",
    "end tag": b"<html>@@</head>x",
    "base": b"<head>@@<base href=https://elsewhere.example/>",
    "comment": b"<!-- <head> --><html><head>@@</head>",
    "comment with dashes": b"<!----><!-- - -- -> > --><!---- -->@@x",
    "comment that ends at once": b"<!--><!--->@@<p>-->",
    "comment with a wrong end": b"<!-- a --!>@@<p>",
    "conditional comment": b"<!--[if IE]><html class=ie><head><![endif]--><html><head>@@",
    "bogus comments": b"<?xml version='1.0'?><!ELEMENT x><![CDATA[x]]>@@<p>",
    "byte order mark": b"\xef\xbb\xbf<!doctype html><head>@@",
    "byte order mark alone": b"\xef\xbb\xbf@@",
    "half a byte order mark": b"@@\xef\xbb<head>",
    "unquoted": b'<html class=a/b data-x=a"b><head>@@',
    "empty value": b"<html a= ><head b=>@@",
    "slash": b"<html/><head/>@@<p>",
    "empty": b"@@",
    "only a doctype": b"<!doctype html>\n@@",
    "ends in a tag": b"<html>@@<head lang='en",
    "ends in a name": b"<html>@@<hea",
    "ends in a comment": b"<html><!-- x -@@",
    "ends in a doctype": b"@@<!doctype",
    "ends before a comment": b"@@<!-",
    "long comment": b"<!--" + b"-x" * 20_000 + b"--><head>@@",
    "tag without end": b"<html>@@<head " + b"x" * 20_000 + b"><head>",
}


def inserted(pieces: list[bytes]) -> bytes:
    insertion = Insertion(TAG)
    return b"".join([*(insertion.feed(memoryview(piece)) for piece in pieces), insertion.end()])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@pytest.mark.parametrize("name", PLACES)
def test_the_tag_stands_at_the_beginning_of_the_head(name: str) -> None:
    before, _, after = PLACES[name].partition(HERE)
    assert inserted([before + after]) == before + TAG + after


@pytest.mark.parametrize("name", [name for name in PLACES if len(PLACES[name]) < 1000])
def test_byte_by_byte_is_the_same(name: str) -> None:
    data = PLACES[name].replace(HERE, b"")
    pieces = [data[place : place + 1] for place in range(len(data))]
    assert inserted(pieces) == PLACES[name].replace(HERE, TAG)


PARTS = [
    *(
        b"<!--",
        b"-->",
        b"--!>",
        b"-",
        b">",
        b"<",
        b"<!doctype html>",
        b"<html",
        b"<head",
        b"<HEAD>",
    ),
    *(b" a='>'", b' b="', b"=", b"\n", b"<title>", b"<?x", b"</p>", b"\xef\xbb\xbf", b"x" * 9000),
    *(b"<head>", b"<header>", b"<!", b"'", b'"', b"/"),
]
DOCUMENTS = st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=12).map(b"".join)


@given(DOCUMENTS, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_pieces_give_the_same(data: bytes, places: list[int]) -> None:
    assert inserted(cut(data, places)) == inserted([data])


@given(DOCUMENTS, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_the_document_is_there_but_for_one_tag(data: bytes, places: list[int]) -> None:
    given_back = inserted(cut(data, places))
    if data.startswith((b"\xfe\xff", b"\xff\xfe")):
        assert given_back == data
    else:
        assert given_back.count(TAG) == 1
        assert given_back.replace(TAG, b"") == data


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_document_in_utf16_is_left_alone(encoding: str) -> None:
    data = "\ufeff<!doctype html><head>".encode(encoding)
    assert inserted([data]) == data
    assert inserted([data[:1], data[1:]]) == data


def test_what_is_decided_is_not_held_back() -> None:
    insertion = Insertion(TAG)
    assert insertion.feed(b"<!doctype html>\n<ht") == b"<!doctype html>\n"
    assert insertion.feed(b"ml><!-- wait") == b"<html><!-- w"
    assert insertion.feed(b" a moment -->") == b"ait a moment -->"
    assert insertion.feed(b"<head>") == b"<head>" + TAG
    assert insertion.feed(b"<head>") == b"<head>"
    assert insertion.end() == b""
