"""Heads of requests that are none, as RFC 9112 has it, and what smugglers send."""

import pytest

from aprp.semantics.requests import BadRequest, check_beginning, parse_request_head
from tests.semantics.heads import HOST, LINE, START, head_lines


@pytest.mark.parametrize(
    "head",
    [
        *[
            pytest.param(head_lines(line, b"Host: a"), id=f"3 {line!r:.40}")
            for line in (
                *(b"", b"GET", b"GET /", b"GET HTTP/1.1", b"GET  HTTP/1.1", b"/ HTTP/1.1"),
                *(b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"GET / HTTP/0.9", b"GET / HTTP/1.10"),
                *(b"GET / http/1.1", b"GET / HTTP/1", b"GET / HTTP/1.1 ", b"GET / HTTPS/1.1"),
                *(b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1"),
                *(b"GET / a HTTP/1.1", b"GET /\ta HTTP/1.1", b"GET /\x00 HTTP/1.1"),
                *(b"GET /\x7f HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET /\ra HTTP/1.1"),
                *(b"GET / HTTP/1.1\nX: y", b"GET /\n HTTP/1.1", b"GET /\r HTTP/1.1"),
                *(b"G@T / HTTP/1.1", b"G\xe9T / HTTP/1.1", b"GET: / HTTP/1.1"),
                *(b"A" * 65 + b" / HTTP/1.1", b"A" * 30000, b"\xef\xbb\xbfGET / HTTP/1.1"),
                *("GET / HTTP/１.１".encode(), b"PRI * HTTP/2.0"),
            )
        ],
        *[
            pytest.param(head_lines(b"GET / HTTP/1.1", b"Host: a", *lines), id=f"5 {lines!r:.40}")
            for lines in (
                *([b"A : b"], [b"A\t: b"], [b" A: b"], [b"A: b", b" c"], [b"A: b", b"\tc"]),
                *([b"A"], [b": b"], [b"A B: c"], [b"A\x00: b"], [b"A: b\x00"], [b"A: \x00b"]),
                *([b"A: b\rc"], [b"A: b\r"], [b"A: b\nC: d"], [b"A: b\n"], [b"A: b\n c"]),
                *([b"A: \x01"], [b"A: \x0b"], [b"A: \x0c"], [b"A: \x1b[0m"], [b"A: \x7f"]),
                *(
                    [b"\xc4: b"],
                    [b"A(: b"],
                    [b'"A": b'],
                    [b"A,B: c"],
                    [b"", b"A: b"],
                    [b"A: b", b""],
                ),
            )
        ],
        pytest.param(
            head_lines(b"GET / HTTP/1.1", b" Host: a"), id="2.2 blank after the request line"
        ),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n", id="2.2 bare line feeds"),
        pytest.param(b"\n" + START, id="2.2 bare line feed before the request"),
        pytest.param(b" \r\n" + START, id="2.2 a blank line before the request"),
        *[
            pytest.param(
                head_lines(b"CONNECT " + target + b" HTTP/1.1", b"Host: a"), id=f"3.2.3 {target!r}"
            )
            for target in (
                *(b"/", b"*", b"b", b"b:", b":443", b"b:0", b"b:65536", b"b:123456", b"b:+1"),
                *(b"b:4_4", b"b:1:2", b"::1:443", b"[::1]", b"[]:443", b"[::1:443", b"u@b:443"),
                *(b"http://b:443", b"http://b:443/", b"b:443/", b"b:443?x", b"b/c:443", b"b:\xb2"),
            )
        ],
        *[
            pytest.param(
                head_lines(method + b" " + target + b" HTTP/1.1", b"Host: a"), id=f"3.2 {target!r}"
            )
            for method, target in (
                *(
                    (b"GET", b"b:443"),
                    (b"GET", b"b"),
                    (b"GET", b"b/c"),
                    (b"GET", b"*"),
                    (b"HEAD", b"*"),
                ),
                *(
                    (b"POST", b"*"),
                    (b"OPTIONS", b"**"),
                    (b"OPTIONS", b"*/"),
                    (b"OPTIONS", b"b:443"),
                ),
                *((b"connect", b"b:443"), (b"GET", b"?a"), (b"GET", b"#"), (b"GET", b"\\a")),
                *((b"GET", b"http:/a"), (b"GET", b"ftp://b/"), (b"GET", b"ws://b/")),
            )
        ],
        *[
            pytest.param(
                head_lines(b"GET " + target + b" HTTP/1.1", b"Host: a"), id=f"3.2.2 {target!r}"
            )
            for target in (
                *(b"http://", b"http:///a", b"http://:80/", b"http://u@b/", b"http://b:x/"),
                *(b"http://b:1:2/", b"http://[::1/", b"http://b\\c/", b"http://?a", b"http://#"),
            )
        ],
        pytest.param(LINE, id="3.2 no Host"),
        pytest.param(START + HOST, id="3.2 two equal Hosts"),
        pytest.param(START + b"host: b\r\n", id="3.2 two Hosts"),
        pytest.param(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n", id="3.2 two Hosts in 1.0"),
        *[
            pytest.param(LINE + b"Host: " + host + b"\r\n", id=f"3.2 Host {host!r}")
            for host in (
                *(
                    b"a b",
                    b"a, b",
                    b"a/b",
                    b"u@a",
                    b"a:b",
                    b"a:1:2",
                    b"::1",
                    b"[::1",
                    b"a]",
                    b"a?b",
                ),
                *(b"a#b", b"\xe9", b'"a"', b"<a>", b"a%2", b"a%zz", b"[::1]x", b"a\\b"),
            )
        ],
    ],
)
def test_refused(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_request_head(head + b"\r\n")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([b"Content-Length: 5", b"Transfer-Encoding: chunked"], id="6.1 both"),
        pytest.param([b"Transfer-Encoding: chunked", b"Content-Length: 5"], id="6.1 both, turned"),
        pytest.param([b"transfer-encoding: chunked", b"CONTENT-LENGTH: 0"], id="6.1 both, case"),
        pytest.param([b"Transfer-Encoding: x", b"Content-Length: 5"], id="6.1 both, not chunked"),
        pytest.param([b"Content-Length: 5", b"Content-Length: 6"], id="6.3 rule 5, unequal"),
        pytest.param([b"Content-Length: 5", b"content-length: 5"], id="9110 8.6 twice"),
        pytest.param([b"Content-Length: 5", b"content-length: 05"], id="6.3 rule 5, spelt anew"),
        *[
            pytest.param([b"Content-Length: " + value], id=f"9110 8.6 {value!r:.24}")
            for value in (
                *(b"", b"-1", b"+5", b"5, 5", b"5,", b"0x5", b"5 5", b"1_0", b"5.0", b"\xb2"),
                *(b"9" * 19, b"9" * 5000, b"5;a", b"five", b"'5'", b"\xa05", b"5\x85"),
            )
        ],
        *[
            pytest.param([b"Transfer-Encoding: " + value], id=f"6.1 coding {value!r:.24}")
            for value in (
                *(b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"xchunked"),
                *(b"chunked, chunked", b"chunked, identity", b"chunked;a=b", b"'chunked'"),
                *(b"chunked,", b",chunked", b"\xa0chunked", b"chunk", b"chunked\x85", b"chunked x"),
            )
        ],
        pytest.param(
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], id="6.1 twice"
        ),
        pytest.param([b"Transfer-Encoding: chunked", b"transfer-encoding: x"], id="6.1 two lines"),
        pytest.param([b"Transfer-Encoding:\x0bchunked"], id="6.1 vertical tab before the coding"),
        pytest.param([b"Transfer-Encoding : chunked"], id="5.1 blank before the colon"),
        pytest.param([b"A: b", b" Transfer-Encoding: chunked"], id="5.2 folded"),
        pytest.param([b"A: b\rTransfer-Encoding: chunked"], id="2.2 bare carriage return"),
        pytest.param([b"A: b\nTransfer-Encoding: chunked"], id="2.2 bare line feed"),
    ],
)
def test_bodies_whose_end_two_could_see_differently(fields: list[bytes]) -> None:
    with pytest.raises(BadRequest):
        parse_request_head(START + head_lines(*fields) + b"\r\n")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/3.1", 505),
        (b"GET b HTTP/9.9", 505),
        (b"GET / HTTP/1.2", 400),
        (b"GET / HTTP/0.9", 400),
        (b"GET / HTTP/2", 400),
        (b"GET / HTTP/20.0", 400),
        (b"GET / HTTP/1.1 HTTP/2.0", 400),
        (b"GET /", 400),
    ],
)
def test_status_of_the_refusal(line: bytes, status: int) -> None:
    # RFC 9110 section 15.6.6: 505 is for another major version.
    for look in (parse_request_head, check_beginning):
        with pytest.raises(BadRequest) as refused:
            look(line + b"\r\n" + HOST + b"\r\n")
        assert refused.value.status == status


@pytest.mark.parametrize("fields", [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_tunnel_has_no_body(fields: bytes) -> None:
    # RFC 9110 section 9.3.6: what follows is for the other end.
    with pytest.raises(BadRequest, match="no body"):
        parse_request_head(b"CONNECT b:443 HTTP/1.1\r\n" + HOST + fields + b"\r\n")
    head = parse_request_head(b"CONNECT b:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
    assert head.body == 0


@pytest.mark.parametrize(
    "data", [b"\n", b"\r\n\n", b"G\n", b"GET / HTTP/1.1\n", b"\r\n\r\n", b"\0\r\n", b"GET /\r\n"]
)
def test_beginning_of_nothing(data: bytes) -> None:
    with pytest.raises(BadRequest):
        check_beginning(data)


def test_chunked_in_http_1_0_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"HTTP/1\.1"):
        parse_request_head(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("head", [b"", b"\r\n", b"\r\n\r\n", LINE, START, START[:-2] + b"\r\r\n"])
def test_what_is_no_complete_head(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_request_head(head)
