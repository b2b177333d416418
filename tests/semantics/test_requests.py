"""The head of a request: RFC 9112 sections 2.2, 3, 5 and 6."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.framing import Delimiter
from aprp.semantics.requests import BadRequest, check_beginning, find_head, parse_request_head
from tests.semantics.heads import HOST, LINE, START


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", -1),
        (b"G", -1),
        (START, -1),
        (START + b"\r", -1),
        (START + b"\r\n", len(START) + 2),
        (START + b"\r\nbody\r\n\r\n", len(START) + 2),
        (START + b"\r\n" + START + b"\r\n", len(START) + 2),
        (b"\r\n" + START + b"\r\n", len(START) + 4),
        (b"GET / HTTP/1.1\nHost: a\n", -1),
        (b"GET / HTTP/1.1\nHost: a\n\n", 24),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 26),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 26),
    ],
)
def test_where_a_head_ends(data: bytes, end: int) -> None:
    assert find_head(data) == find_head(bytearray(data)) == end


@pytest.mark.parametrize(
    ("head", "line", "fields"),
    [
        pytest.param(START, ("GET", "/", "HTTP/1.1"), [("Host", "a")], id="3 a request"),
        pytest.param(
            b"\r\n" + START, ("GET", "/", "HTTP/1.1"), [("Host", "a")], id="2.2 empty line before"
        ),
        pytest.param(b"GET / HTTP/1.0\r\n", ("GET", "/", "HTTP/1.0"), [], id="3.2 1.0, no Host"),
        pytest.param(
            b"GET / HTTP/1.0\r\nHost: a\r\n",
            ("GET", "/", "HTTP/1.0"),
            [("Host", "a")],
            id="3.2 1.0",
        ),
        pytest.param(LINE + b"Host:\r\n", ("GET", "/", "HTTP/1.1"), [("Host", "")], id="3.2 empty"),
        *[
            pytest.param(
                LINE + b"Host: " + host.encode() + b"\r\n",
                ("GET", "/", "HTTP/1.1"),
                [("Host", host)],
                id=f"3.2 Host {host}",
            )
            for host in (
                *("a.example:8000", "127.0.0.1", "[::1]:80", "[fe80::1]", "a_b-c", "a%20b", "a:"),
                *("[v1.x:y]", "a;b=c(d)!", "A.EXAMPLE."),
            )
        ],
        pytest.param(
            b"get / HTTP/1.1\r\n" + HOST, ("get", "/", "HTTP/1.1"), [("Host", "a")], id="3.1 case"
        ),
        pytest.param(
            b"!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\n" + HOST,
            ("!#$%&'*+-.^_`|~09AZaz", "/", "HTTP/1.1"),
            [("Host", "a")],
            id="9110 5.6.2 a token",
        ),
        *[
            pytest.param(
                b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\n" + HOST,
                ("GET", target, "HTTP/1.1"),
                [("Host", "a")],
                id=f"3.2 target {target!a}",
            )
            for target in (
                "/\xe4\xb8\xad",
                "/\xa0\x85",
                "/a%00#b\\",
            )
        ],
        pytest.param(
            b"GET http://b/c?d=e HTTP/1.1\r\nhost: a\r\n",
            ("GET", "http://b/c?d=e", "HTTP/1.1"),
            [("Host", "b")],
            id="3.2.2 the host of an absolute target counts",
        ),
        pytest.param(
            b"OPTIONS * HTTP/1.1\r\n" + HOST,
            ("OPTIONS", "*", "HTTP/1.1"),
            [("Host", "a")],
            id="3.2.4 asterisk-form",
        ),
        *[
            pytest.param(
                b"CONNECT " + target.encode() + b" HTTP/1.1\r\n" + HOST,
                ("CONNECT", target, "HTTP/1.1"),
                [("Host", target)],
                id=f"3.2.3 authority-form {target}",
            )
            for target in ("b:443", "b.example:1", "127.0.0.1:65535", "[::1]:22", "b%20c:080")
        ],
        pytest.param(
            b"CONNECT b:443 HTTP/1.0\r\n",
            ("CONNECT", "b:443", "HTTP/1.0"),
            [("Host", "b:443")],
            id="3.2.3 authority-form in 1.0",
        ),
        pytest.param(
            START + b"A:b\r\nA: \t c d\t\xe9 \t\r\na-B_C:\r\n!: :\r\n",
            ("GET", "/", "HTTP/1.1"),
            [("Host", "a"), ("A", "b"), ("A", "c d\t\xe9"), ("a-B_C", ""), ("!", ":")],
            id="5.1 blanks around values",
        ),
    ],
)
def test_good(head: bytes, line: tuple[str, str, str], fields: list[tuple[str, str]]) -> None:
    parsed = parse_request_head(head + b"\r\n")
    assert (parsed.method, parsed.target, parsed.version) == line
    assert parsed.fields.get_all() == fields
    assert parsed.body == 0


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param(b"Content-Length: 0\r\n", 0, id="6.3 rule 6, none"),
        pytest.param(b"Content-Length: 5\r\n", 5, id="6.3 rule 6"),
        pytest.param(b"CONTENT-LENGTH:\t007 \r\n", 7, id="6.3 rule 6, blanks and zeros"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", Delimiter.CHUNKED, id="6.3 rule 4"),
        pytest.param(b"transfer-encoding:CHUNKED \r\n", Delimiter.CHUNKED, id="7 without case"),
        pytest.param(b"TE: chunked\r\n", 0, id="6.3 rule 7, another field"),
    ],
)
def test_length_of_the_body(fields: bytes, body: int | Delimiter) -> None:
    assert parse_request_head(START + fields + b"\r\n").body == body


@pytest.mark.parametrize(
    "data", [b"", b"\r", b"\r\n", b"G", b"GET / HTTP/1.1\r", START, b"\r\n" + START, START + b"A:"]
)
def test_beginning_that_may_become_a_head(data: bytes) -> None:
    check_beginning(data)
    check_beginning(bytearray(data))


@given(st.binary(max_size=60) | st.sampled_from([START, b"\r\n" + START + b"A: b\r\n"]))
def test_beginning_is_judged_as_the_whole_is(data: bytes) -> None:
    try:
        check_beginning(data)
    except BadRequest:
        with pytest.raises(BadRequest):
            parse_request_head(data + b"\r\n\r\n")


lines = st.sampled_from(
    [
        *(b"GET / HTTP/1.1", b"Host: a", b"A: b", b"Content-Length: 5", b"Content-Length: 6"),
        *(b"Transfer-Encoding: chunked", b"A : b", b" folded", b"", b"GET /x HTTP/1.0", b"A:\x00"),
    ]
)
ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n", b"\n\r"])
built = st.lists(st.tuples(lines, ends).map(b"".join), max_size=8).map(b"".join)


@given(st.binary(max_size=80) | built | built.map(lambda head: START + head + b"\r\n"))
def test_anything_is_a_head_or_a_bad_request(data: bytes) -> None:
    end = find_head(data)
    assert end == -1 or data[:end].endswith((b"\r\n\r\n", b"\n\n", b"\n\r\n"))
    try:
        head = parse_request_head(data)
    except BadRequest as error:
        assert str(error)
        return
    # Read back as RFC 9112 has it: each line ends with CRLF, the last is empty.
    line, *fields, last, none = data.removeprefix(b"\r\n").split(b"\r\n")
    assert (last, none) == (b"", b"")
    assert line.decode("latin-1") == f"{head.method} {head.target} {head.version}"
    assert len(fields) == len(head.fields)
    assert not {0, 10, 13} & set(b"".join(fields))


def _fastest(head: bytes) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        find_head(head)
        with suppress(BadRequest):
            parse_request_head(head)
        times.append(time.perf_counter() - began)
    return min(times)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("{}", id="a method without end"),
        pytest.param("GET /{} HTTP/1.1 \r\n\r\n", id="a target, then a blank"),
        pytest.param("GET / HTTP/1.1\r\nA:{}\x00\r\n\r\n", id="a value, then a NUL"),
        pytest.param("GET / HTTP/1.1\r\n{}\r\n\r\n", id="a name without a colon"),
    ],
)
@pytest.mark.parametrize("filler", ["a", "a ", ": ", "\t", " ", "A:b\r\n", "\r", "\n\r", "\r\n"])
def test_time_grows_with_the_length_only(pattern: str, filler: str) -> None:
    small, large = (pattern.format(filler * n).encode() for n in (2_000, 32_000))
    # Sixteen times the length: a quadratic search would take 256 times as long.
    assert _fastest(large) < max(_fastest(small), 20e-6) * 100
