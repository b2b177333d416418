"""Which answers get the script, and what becomes of their fields."""

import gzip
import itertools
import zlib
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.dev.injecting import Injecting, Unzipped, readable_encodings, script_tag
from aprp.dev.markup import Insertion
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import Fields
from aprp.upstream.head import ResponseHead

PAGE = b"<!doctype html><html><head><title>t</title></head><body>x</body></html>"
HTML = ("Content-Type", "text/html; charset=utf-8")
TAG = b'<script src="/_aprp/livereload.js" async></script>'


def request(method: str = "GET", **fields: str) -> Exchange:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    headers = Fields([("Host", "localhost:8000"), *pairs])
    return cast(Exchange, SimpleNamespace(method=method, headers=headers))


def answer(*pairs: tuple[str, str], status: int = 200) -> ResponseHead:
    return ResponseHead("HTTP/1.1", status, "", Fields(pairs), True)


def changed(head: ResponseHead, exchange: Exchange | None = None, body: bytes = PAGE) -> bytes:
    """The body that the client gets."""
    body_filter = Injecting().of_answer(exchange or request(), head)
    if body_filter is None:
        return body
    return body_filter.feed(memoryview(body)) + body_filter.end()


def test_a_page_gets_the_script() -> None:
    assert changed(answer(HTML)) == PAGE.replace(b"<head>", b"<head>" + TAG)


@pytest.mark.parametrize("status", [200, 201, 203, 400, 404, 500, 503])
def test_pages_of_these_statuses_do(status: int) -> None:
    assert TAG in changed(answer(HTML, status=status))


@pytest.mark.parametrize("status", [204, 205, 206, 301, 302, 304])
def test_pages_of_these_do_not(status: int) -> None:
    assert changed(answer(HTML, status=status)) == PAGE


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("Content-Type", "text/plain")],
        [("Content-Type", "application/xhtml+xml")],
        [("Content-Type", "text/htmlx")],
        [("Content-Type", "text/html; charset=UTF-16LE")],
        [("Content-Type", 'text/html;charset="utf-16"')],
        [HTML, ("Content-Encoding", "br")],
        [HTML, ("Content-Encoding", "gzip, gzip")],
        [HTML, ("Content-Disposition", 'attachment; filename="x.html"')],
        [HTML, ("Cache-Control", "no-store, no-transform")],
        [HTML, ("Content-Security-Policy", "sandbox")],
    ],
    ids=str,
)
def test_what_is_no_page_or_may_not_be_changed_is_left_alone(pairs: list[tuple[str, str]]) -> None:
    head = answer(*pairs, ("ETag", '"a"'), ("Accept-Ranges", "bytes"))
    assert changed(head) == PAGE
    assert head.fields["ETag"] == '"a"'
    assert head.fields["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("purpose", ["document", "iframe", "frame", "object", "embed"])
def test_documents_that_are_shown_get_it(purpose: str) -> None:
    assert TAG in changed(answer(HTML), request(Sec_Fetch_Dest=purpose))


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Dest": "script"},
        {"X_Requested_With": "XMLHttpRequest"},
        {"HX_Request": "true"},
    ],
    ids=str,
)
def test_what_scripts_ask_for_does_not(fields: dict[str, str]) -> None:
    head = answer(HTML, ("ETag", '"a"'))
    assert changed(head, request(**fields)) == PAGE
    assert head.fields["ETag"] == '"a"'
    # The cache of the browser is not to take one for the other.
    assert head.fields["Vary"] == "Sec-Fetch-Dest"


@pytest.mark.parametrize(
    ("before", "after"),
    [("Cookie", "Cookie, Sec-Fetch-Dest"), ("*", "*"), ("sec-fetch-dest", "sec-fetch-dest")],
)
def test_vary_names_it_once(before: str, after: str) -> None:
    head = answer(HTML, ("Vary", before))
    changed(head)
    assert head.fields["Vary"] == after


def test_what_holds_for_the_exact_bytes_is_taken_away_or_weakened() -> None:
    head = answer(
        *(HTML, ("ETag", '"a"'), ("Content-MD5", "x"), ("Repr-Digest", "x"), ("Digest", "x")),
        *(("Content-Digest", "x"), ("Accept-Ranges", "bytes"), ("Content-Language", "en")),
    )
    changed(head)
    assert head.fields == Fields(
        [HTML, ("ETag", 'W/"a"'), ("Content-Language", "en"), ("Vary", "Sec-Fetch-Dest")]
    )


def test_the_fields_of_head_are_those_of_get() -> None:
    heads = [answer(HTML, ("ETag", '"a"'), ("Content-Encoding", "gzip")) for _ in range(2)]
    assert Injecting().of_answer(request("HEAD"), heads[0]) is not None
    changed(heads[1], body=gzip.compress(PAGE))
    assert heads[0].fields == heads[1].fields


@pytest.mark.parametrize(
    ("known", "tag"),
    [('W/"a"', 'W/"a"'), ('"b", W/"a"', 'W/"a"'), ('"a"', '"a"'), (None, '"a"'), ("*", '"a"')],
)
def test_304_names_what_the_client_has(known: str | None, tag: str) -> None:
    head = answer(("ETag", '"a"'), status=304)
    fields = {} if known is None else {"If_None_Match": known}
    assert Injecting().of_answer(request(**fields), head) is None
    assert head.fields["ETag"] == tag


DATE = ("Date", "Sat, 21 Nov 2026 15:37:07 GMT")


@pytest.mark.parametrize(
    ("fields", "freshness", "modified"),
    [
        # A guess would be as long as the file is old (RFC 9111 section 4.2.2).
        ([DATE, ("Last-Modified", "Sat, 21 Nov 2025 15:37:07 GMT")], "no-cache", True),
        ([("Last-Modified", "Sat, 21 Nov 2026 15:37:07 GMT")], "no-cache", True),
        # A second change within this second would not be seen (RFC 9110 section 8.8.2.2).
        ([DATE, ("Last-Modified", DATE[1])], "no-cache", False),
        ([DATE, ("Last-Modified", "Sat, 21 Nov 2026 15:37:06 GMT")], "no-cache", False),
        ([DATE, ("Last-Modified", "Sat, 21 Nov 2026 15:37:05 GMT")], "no-cache", True),
        ([DATE, ("Last-Modified", DATE[1]), ("ETag", '"a"')], "no-cache", True),
        ([DATE, ("Last-Modified", "yesterday")], "no-cache", True),
        # The backend has decided.
        ([("Last-Modified", DATE[1]), ("Cache-Control", "max-age=60")], "max-age=60", True),
        ([("Last-Modified", DATE[1]), ("Expires", "0")], None, True),
        ([DATE], None, False),
    ],
)
def test_browsers_do_not_guess_how_long_a_file_stays_as_it_is(
    fields: list[tuple[str, str]], freshness: str | None, modified: bool
) -> None:
    head = answer(("Content-Type", "text/javascript"), *fields)
    assert Injecting().of_answer(request(), head) is None
    assert head.fields.get("Cache-Control") == freshness
    assert ("Last-Modified" in head.fields) is modified


@pytest.mark.parametrize(
    ("accepted", "asked"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.8"),
        ("GZIP, identity;q=0.5", "GZIP, identity;q=0.5"),
        ("gzip;q=0, br", "gzip;q=0"),
        ("br", "identity"),
        ("", "identity"),
        ("*", "identity"),
    ],
)
def test_the_backend_is_asked_for_what_can_be_read(accepted: str, asked: str) -> None:
    assert readable_encodings(accepted) == asked
    pairs = [("accept-encoding", accepted), ("Accept", "text/html")]
    shown = Injecting().ask(request(Sec_Fetch_Dest="document"), pairs)
    assert shown == [("accept-encoding", asked), ("Accept", "text/html")]
    assert Injecting().ask(request(Sec_Fetch_Dest="script"), pairs) == pairs


def test_the_tag_has_the_pages_nonce() -> None:
    policy = "default-src 'none'; script-src 'nonce-q1w2' 'strict-dynamic'"
    head = answer(HTML, ("Content-Security-Policy", policy))
    assert script_tag("q1w2") in changed(head)
    assert b' nonce="q1w2"' in script_tag("q1w2")
    assert head.fields["Content-Security-Policy"] == (
        f"{policy}; connect-src ws://localhost:8000/_aprp/livereload"
    )


def test_each_policy_allows_the_script() -> None:
    one, two = "script-src 'self', connect-src 'none'", "script-src 'nonce-b'"
    head = answer(
        *(HTML, ("Content-Security-Policy", one), ("Content-Security-Policy", two)),
        ("Content-Security-Policy-Report-Only", "script-src 'nonce-c'"),
    )
    assert b' nonce="b"' in changed(head)
    script, socket = "localhost:8000/_aprp/livereload.js", "ws://localhost:8000/_aprp/livereload"
    assert head.fields.getlist("Content-Security-Policy") == [
        f"script-src 'self' {script}, connect-src {socket}",
        "script-src 'nonce-b'",
    ]
    reported = head.fields["Content-Security-Policy-Report-Only"]
    assert reported == f"script-src 'nonce-c' {script}"


def test_a_strict_policy_without_nonce_gets_one_that_cannot_be_guessed() -> None:
    seen = set()
    for _ in range(2):
        head = answer(HTML, ("Content-Security-Policy", "script-src 'sha256-x' 'strict-dynamic'"))
        body = changed(head)
        nonce = body.partition(b' nonce="')[2].partition(b'"')[0].decode()
        assert head.fields["Content-Security-Policy"].endswith(f"'strict-dynamic' 'nonce-{nonce}'")
        seen.add(nonce)
    assert len(seen) == 2
    assert all(len(nonce) >= 16 for nonce in seen)


@given(
    st.binary(max_size=300),
    st.lists(st.integers(0, 400), max_size=8),
    st.booleans(),
    st.sampled_from([b"", b"\0\0filled up"]),
)
def test_gzip_is_undone_in_any_pieces(
    text: bytes, places: list[int], two: bool, rest: bytes
) -> None:
    page = PAGE + text
    # Members one after the other are one body (RFC 1952 section 2.2).
    parts = [page[:30], page[30:]] if two else [page]
    data = b"".join(map(gzip.compress, parts)) + rest
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    body_filter = Unzipped(Insertion(TAG))
    got = b"".join(
        body_filter.feed(memoryview(data)[begin:end]) for begin, end in itertools.pairwise(edges)
    )
    assert got + body_filter.end() == page.replace(b"<head>", b"<head>" + TAG, 1)


def test_gzip_that_is_flushed_goes_on_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    body_filter = Unzipped(Insertion(TAG))
    for piece, wanted in ((b"<head><p>", b"<head>" + TAG + b"<p>"), (b"more", b"more")):
        data = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert body_filter.feed(memoryview(data)) == wanted
    assert body_filter.feed(memoryview(packer.flush())) == b""
    assert body_filter.end() == b""


@pytest.mark.parametrize(
    "data",
    [PAGE, gzip.compress(PAGE)[:-4], gzip.compress(PAGE)[:-1] + b"x"],
    ids=["no gzip", "cut short", "a wrong length"],
)
def test_damaged_gzip_is_said(data: bytes) -> None:
    body_filter: Any = Unzipped(Insertion(TAG))
    with pytest.raises(Problem) as raised:
        body_filter.feed(memoryview(data))
        body_filter.end()
    assert raised.value.status == 502
    assert "gzip" in (raised.value.private or "")


def test_an_empty_answer_is_no_damaged_gzip() -> None:
    assert changed(answer(HTML, ("Content-Encoding", "gzip")), body=b"") == TAG
