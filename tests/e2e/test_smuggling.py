"""Heads that two servers could read in two ways: refused at every door, and nothing goes on."""

from collections.abc import Iterator

import pytest

from tests.e2e.clients import send_raw
from tests.e2e.problems import check_problem
from tests.e2e.smuggling import SMUGGLED, WAYS, Stage, stage

CHUNKS = "\r\n5\r\nabcde\r\n0\r\n\r\n"
CODED = "START" + "Transfer-Encoding: chunked\r\n"

FRAMED = {
    # RFC 9112 section 6.3.
    "a length, then chunks": "STARTContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + CHUNKS,
    "chunks, then a length": CODED + "Content-Length: 5\r\n" + CHUNKS,
    "no bytes, and chunks": "STARTContent-Length: 0\r\nTransfer-Encoding: chunked\r\n" + CHUNKS,
    "a length, and another coding": "STARTContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\nabcde",
    "a length, and no coding": "STARTContent-Length: 5\r\nTransfer-Encoding:\r\n\r\nabcde",
    "two lengths": "STARTContent-Length: 5\r\nContent-Length: 0\r\n\r\nabcde",
    "two lengths, turned": "STARTContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "the same length twice": "STARTContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "the same length in other letters": "STARTContent-Length: 5\r\ncontent-length: 5\r\n\r\nabcde",
    "two lengths in one line": "STARTContent-Length: 5, 0\r\n\r\nabcde",
    "the same length twice in one line": "STARTContent-Length: 5, 5\r\n\r\nabcde",
    "chunks in HTTP/1.0": (CODED + CHUNKS).replace(
        "START", "METHOD TARGET HTTP/1.0\r\nHost: HOST\r\n"
    ),
    **{
        f"a length of {length!r}": f"STARTContent-Length: {length}\r\n\r\nabcde"
        for length in (
            *("", "+5", "-5", "-0", "5 5", "5\t5", "0x5", "5h", "5.0", "5e0", "1_0", "'5'", "five"),
            *("\xb2", "5\xa0", "\x0b5", "9" * 19, "9" * 30, "18446744073709551621", "5;a=b"),
        )
    },
}

CODINGS = {
    # RFC 9112 section 6.1: whoever takes one of these for chunks sees another end.
    f"a coding of {coding!r}": f"STARTTransfer-Encoding: {coding}\r\n" + CHUNKS
    for coding in (
        *("", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, identity"),
        *("chunked, chunked", "xchunked", "chunkedx", "chunk", "chun ked", "chunked;q=1"),
        *("'chunked'", '"chunked"', "chunked,", ",chunked", "chunked, ", "chunked chunked"),
        *("\x0bchunked", "\x0cchunked", "\xa0chunked", "chunked\xa0", "chunked\x0b", "\x85chunked"),
        *("\0chunked", "chunked\0", "chunked\x7f", "\x1fchunked", "\r\n chunked", "\r\n\tchunked"),
    )
}
CODINGS |= {
    f"a line of {line!r}": f"STARTContent-Length: 5\r\n{line}\r\n" + CHUNKS
    for line in (
        *("Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: x"),
        *("X: a\r\n Transfer-Encoding: chunked", "X: a\rTransfer-Encoding: chunked"),
        *("X: a\nTransfer-Encoding: chunked", "X: a\0Transfer-Encoding: chunked"),
        *("Transfer-Encoding\0: chunked", "Transfer\xa0Encoding: chunked", "(a): chunked"),
        *(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer Encoding: chunked",
        ),
        *("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "\x0bTransfer-Encoding: chunked"),
        *(": chunked", " : chunked", "Transfer-Encoding", "\tX: a", "X\x7f: a", "X\x0b: a"),
    )
}

LINES = {
    # RFC 9112 sections 2.2, 3 and 5.
    "bare line feeds": "METHOD TARGET HTTP/1.1\nHost: HOST\n\n",
    "a bare line feed behind the request line": "METHOD TARGET HTTP/1.1\nHost: HOST\r\n\r\n",
    "a bare line feed behind a field": "STARTX: a\n\r\n",
    "a bare line feed for the empty line": "START\n",
    "a bare carriage return for a line end": "METHOD TARGET HTTP/1.1\rHost: HOST\r\n\r\n",
    "a bare carriage return in a value": "STARTX: a\rb\r\n\r\n",
    "two carriage returns": "METHOD TARGET HTTP/1.1\r\r\nHost: HOST\r\n\r\n",
    "a folded line": "STARTX: a\r\n b\r\n\r\n",
    "a line that is folded and empty": "STARTX: a\r\n \r\n\r\n",
    "a folded host": "METHOD TARGET HTTP/1.1\r\nHost:\r\n HOST\r\n\r\n",
    "a blank before the first line": "METHOD TARGET HTTP/1.1\r\n Host: HOST\r\nHost: HOST\r\n\r\n",
    "a NUL in the method": "\0METHOD TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a NUL in the target": "METHOD TARGET\0 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a NUL behind the version": "METHOD TARGET HTTP/1.1\0\r\nHost: HOST\r\n\r\n",
    "a NUL alone": "\0\r\n\r\n",
    "a blank in the target": "METHOD TARGET x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two requests in a target": "METHOD TARGET HTTP/1.1\tHost: HOST HTTP/1.1\r\n\r\n",
    "a tab between": "METHOD\tTARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two blanks between": "METHOD  TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a blank at the end": "METHOD TARGET HTTP/1.1 \r\nHost: HOST\r\n\r\n",
    "a blank at the beginning": " METHOD TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two empty lines before": "\r\n\r\nMETHOD TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a bad method": "M(THOD TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a long method": f"{'M' * 100} TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "no method": "TARGET HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "HTTP/0.9": "GET TARGET\r\n",
    "HTTP/0.9, said": "GET TARGET HTTP/0.9\r\nHost: HOST\r\n\r\n",
    "HTTP/1.2": "METHOD TARGET HTTP/1.2\r\nHost: HOST\r\n\r\n",
    "HTTP/1": "METHOD TARGET HTTP/1\r\nHost: HOST\r\n\r\n",
    "HTTP/1.1.1": "METHOD TARGET HTTP/1.1.1\r\nHost: HOST\r\n\r\n",
    "HTTP/01.1": "METHOD TARGET HTTP/01.1\r\nHost: HOST\r\n\r\n",
    "HTTP/1,1": "METHOD TARGET HTTP/1,1\r\nHost: HOST\r\n\r\n",
    "http/1.1": "METHOD TARGET http/1.1\r\nHost: HOST\r\n\r\n",
    "an answer": "HTTP/1.1 200 OK\r\nHost: HOST\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
}

HOSTS = {
    # RFC 9112 section 3.2; also where the target is absolute, and Host is not what counts.
    "no host": "METHOD TARGET HTTP/1.1\r\nX: a\r\n\r\n",
    "two hosts": "STARTHost: b.example\r\n\r\n",
    "the same host twice": "STARTHost: HOST\r\n\r\n",
    "an empty host and another": "STARTHost:\r\n\r\n",
    **{
        f"a host of {host!r}": f"METHOD TARGET HTTP/1.1\r\nHost: {host}\r\n\r\n"
        for host in (
            *("user@HOST", "user:word@HOST", "HOST/", "HOST/path", "HOST?a", "HOST#a", "a b"),
            *("a\tb", "a, b", "a:b", "a:80:80", "a:-1", "[::1", "::1", "a]b", "http://a", "a\\b"),
            *("a%", "a%zz", '"a"', "<a>", "a\xe4", "a\x7f"),
        )
    },
}

TARGETS = {
    # RFC 9112 section 3.2: each form has its methods.
    f"a target of {target!r}": f"METHOD {target} HTTP/1.1\r\nHost: HOST\r\n\r\n"
    for target in (
        *(
            "*",
            "path",
            "HOST",
            "a.example:80",
            "user@a.example:80",
            "?query",
            "#fragment",
            "\\path",
        ),
        *("http:path", "http:/path", "http://", "http:///path", "http://:80/", "http://u@HOST/"),
        *("http://u:p@HOST/", "http://a b/", "http://a:b/", "ftp://HOST/", "file:///etc/passwd"),
        *("http://[::1/", "http://a\\b/", "http://?a", "javascript:x", "/\x7f", "/\x1f", "/a\tb"),
    )
}

OTHERS = {
    # Not 400, but no less the end of the connection.
    "HTTP/2": ("METHOD TARGET HTTP/2.0\r\nHost: HOST\r\n\r\n", 505),
    "the preface of HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "an expectation": ("STARTExpect: 200-ok\r\nContent-Length: 0\r\n\r\n", 417),
    # RFC 9112 section 3.
    "a long target": (f"METHOD TARGET?{'a' * 40_000} HTTP/1.1\r\nHost: HOST\r\n\r\n", 414),
    "a method without end": ("M" * 40_000, 414),
    "a long field": (f"STARTX: {'a' * 40_000}\r\n\r\n", 431),
    "many fields": ("START" + "X: a\r\n" * 8000 + "\r\n", 431),
    "many empty fields": ("START" + "X:\r\n" * 10_000 + "\r\n", 431),
}

REFUSED = {
    name: (form, 400)
    for forms in (FRAMED, CODINGS, LINES, HOSTS, TARGETS)
    for name, form in forms.items()
} | OTHERS


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The proxy that all of these are sent to, and its origin."""
    with stage(tmp_path_factory.mktemp("proxy")) as started:
        yield started


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("form", REFUSED)
def test_refused_and_never_sent_on(on_stage: Stage, form: str, name: str) -> None:
    way = on_stage.way(name)
    text, status = REFUSED[form]
    before = on_stage.origin.bytes_heard
    # One answer, and the connection ends with it.
    (reply,) = send_raw(on_stage.proxy.port, way.fill(text) + SMUGGLED.encode())
    assert reply.get("Connection") == "close"
    assert check_problem(reply, status)
    assert on_stage.origin.bytes_heard == before
