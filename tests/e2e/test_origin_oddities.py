"""Origins that answer otherwise than asked: what can be used is used, the rest is refused (502)."""

import json
import threading

import pytest

from tests.e2e.content import FILM, LAST_MODIFIED, SIZE
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy


def partial(body: bytes, place: str, *lines: str) -> bytes:
    return answer("206 Partial Content", body, f"Content-Range: {place}", *lines)


# The answer of the origin to a request for the bytes 100 to 199.
OFFERS = {
    "exactly that": partial(FILM[100:200], f"bytes 100-199/{SIZE}"),
    "the whole file": answer("200 OK", FILM),
    "the whole file in chunks": head("200 OK", "Transfer-Encoding: chunked")
    + b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, FILM),
    "more on both sides": partial(FILM[50:1000], f"bytes 50-999/{SIZE}"),
    "more behind": partial(FILM[100:], f"bytes 100-{SIZE - 1}/{SIZE}"),
    "all of it as a part": partial(FILM, f"bytes 0-{SIZE - 1}/{SIZE}"),
    "unit in capitals": partial(FILM[100:200], f"BYTES 100-199/{SIZE}"),
    "another reason": b"HTTP/1.1 206 Here you are\r\nContent-Length: 100\r\n"
    b"Content-Range: bytes 100-199/1000003\r\n\r\n" + FILM[100:200],
    "no reason": b"HTTP/1.1 206 \r\nContent-Length: 100\r\n"
    b"Content-Range: bytes 100-199/1000003\r\n\r\n" + FILM[100:200],
    "HTTP/1.0": b"HTTP/1.0 206 Partial Content\r\nContent-Length: 100\r\n"
    b"Content-Range: bytes 100-199/1000003\r\n\r\n" + FILM[100:200],
    "interim answers before": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
    b"Link: </a>\r\n\r\n" + partial(FILM[100:200], f"bytes 100-199/{SIZE}"),
    "length given twice": b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\n"
    b"Content-Length: 100\r\nContent-Range: bytes 100-199/1000003\r\n\r\n" + FILM[100:200],
    "more than the length says": partial(FILM[100:200], f"bytes 100-199/{SIZE}") + FILM[200:300],
}


@pytest.mark.parametrize("offer", OFFERS)
def test_what_can_be_used_becomes_the_range_asked_for(
    origin: ScriptedOrigin, scripted_proxy: Proxy, offer: str
) -> None:
    path = origin.plays(says(OFFERS[offer], close=True))
    reply = scripted_proxy.get(path, Range="bytes=100-199")
    assert (reply.version, reply.status) == ("HTTP/1.1", 206)
    # Chunks tell no length of the whole.
    total = "*" if "chunks" in offer else SIZE
    assert reply.get("Content-Range") == f"bytes 100-199/{total}"
    assert reply.get("Content-Length") == "100"
    assert reply.body == FILM[100:200]


BAD_PARTS = {
    "another range": partial(FILM[200:300], f"bytes 200-299/{SIZE}"),
    "a part of it, its end": partial(FILM[150:200], f"bytes 150-199/{SIZE}"),
    "no place": answer("206 Partial Content", FILM[100:200]),
    "a malformed place": partial(FILM[100:200], "bytes 100-199"),
    "another unit": partial(FILM[100:200], f"chapters 100-199/{SIZE}"),
    "a place after the end": partial(FILM[100:200], "bytes 100-199/150"),
    "a place backwards": partial(FILM[100:200], f"bytes 199-100/{SIZE}"),
    "fewer bytes than the place has": partial(FILM[100:150], f"bytes 100-199/{SIZE}"),
    "more bytes than the place has": partial(FILM[100:250], f"bytes 100-199/{SIZE}"),
    "two places": partial(FILM[100:200], f"bytes 100-199/{SIZE}", "Content-Range: bytes 0-99/100"),
    "no such range, yet there is": answer("416 No", b"", f"Content-Range: bytes */{SIZE}"),
    "a multipart answer": answer(
        "206 Partial Content", b"--b\r\n\r\n--b--", "Content-Type: multipart/byteranges; boundary=b"
    ),
}
BAD_HEADS = {
    "not HTTP": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a mail": b"220 mail.example ESMTP\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a line without a colon": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\njunk\r\n\r\n",
    "a name with a blank": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a bare carriage return": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
    b"Connection: upgrade\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-Filler: abcdefgh\r\n" * 3000 + b"\r\n",
    "endless interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 50,
}


@pytest.mark.parametrize("offer", [*BAD_PARTS, *BAD_HEADS])
def test_what_cannot_be_used_is_a_bad_gateway(
    origin: ScriptedOrigin, scripted_proxy: Proxy, offer: str
) -> None:
    path = origin.plays(says((BAD_PARTS | BAD_HEADS)[offer], close=True))
    reply = scripted_proxy.get(path, Range="bytes=100-199")
    assert reply.status == 502
    assert reply.get("Content-Type") == "application/problem+json"
    problem = json.loads(reply.body)
    assert (problem["title"], problem["status"]) == ("Bad Gateway", 502)
    assert "origin" in problem["detail"]


def test_a_part_that_nobody_asked_for(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(says(partial(FILM[:100], f"bytes 0-99/{SIZE}")))
    assert scripted_proxy.get(path).status == 502


@pytest.mark.parametrize("if_range", ['"1"', 'W/"2"', "Wed, 01 Jan 2020 03:04:05 GMT"])
def test_an_origin_that_does_not_heed_if_range(
    origin: ScriptedOrigin, scripted_proxy: Proxy, if_range: str
) -> None:
    path = origin.plays(serves(FILM, 'ETag: "2"'))
    reply = scripted_proxy.get(path, **{"Range": "bytes=100-199", "If-Range": if_range})
    assert (reply.status, reply.get("Content-Range")) == (200, None)
    assert reply.body == FILM
    # The first answer was to no avail.
    assert [request.get("Range") for request in origin.asked(path)] == ["bytes=100-199", None]


@pytest.mark.parametrize(
    ("etag", "applies"), [('"2"', True), ('W/"2"', False), ("2", False), ('"3"', False)]
)
def test_if_range_is_judged_by_the_proxy(
    origin: ScriptedOrigin, scripted_proxy: Proxy, etag: str, applies: bool
) -> None:
    for ranges in (True, False):
        path = origin.plays(serves(FILM, f"ETag: {etag}", ranges=ranges))
        reply = scripted_proxy.get(path, **{"Range": "bytes=100-199", "If-Range": '"2"'})
        assert (reply.status, reply.body) == ((206, FILM[100:200]) if applies else (200, FILM))


def test_a_file_that_changes_between_two_requests(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    versions = [(FILM, '"1"'), (FILM[::-1], '"2"')]

    def script(peer: Peer) -> None:
        content, etag = versions[len(origin.asked(peer.request.target)) - 1]
        serves(content, f"ETag: {etag}")(peer)

    path = origin.plays(script)
    for content, etag in versions:
        reply = scripted_proxy.get(path, **{"Range": "bytes=100-199", "If-Range": etag})
        assert (reply.status, reply.get("ETag")) == (206, etag)
        assert reply.body == content[100:200]


def test_a_kept_connection_that_was_closed_meanwhile(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url)
    path = origin.plays(serves(FILM))
    for _ in range(3):
        assert proxy.get(path, Range="bytes=0-99").body == FILM[:100]
        origin.close_connections()
    assert len({request.connection for request in origin.asked(path)}) == 3


def test_a_kept_connection_that_closes_instead_of_an_answer(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    # As when the origin's time for idle connections is up just as a request arrives.
    proxy = start_proxy("--upstream", origin.url)

    def script(peer: Peer) -> None:
        if len(origin.asked(peer.request.target)) == 2:
            peer.close()
        else:
            serves(FILM)(peer)

    path = origin.plays(script)
    for _ in range(2):
        assert proxy.get(path, Range="bytes=0-99").body == FILM[:100]
    assert [r.connection for r in origin.asked(path)] == [
        origin.asked(path)[0].connection,
        origin.asked(path)[0].connection,
        origin.asked(path)[2].connection,
    ]
    assert proxy.stats()["origins"]["connects"] == 2


def test_what_follows_a_body_is_no_answer_to_the_next_request(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url)
    smuggled = answer("200 OK", b"smuggled")
    arrived = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(answer("200 OK", b"first") + smuggled)
        assert arrived.wait(PATIENCE)
        peer.wait_broken()

    first, second = origin.plays(script), origin.plays(serves(FILM))
    assert proxy.get(first).body == b"first"
    arrived.set()
    assert proxy.get(second).body == FILM


def test_a_connection_is_used_again(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url)
    path = origin.plays(serves(FILM, f"X: {LAST_MODIFIED}"))
    for number in range(5):
        assert proxy.get(path, Range=f"bytes={number}-{number}").body == FILM[number : number + 1]
    assert len({request.connection for request in origin.asked(path)}) == 1
    assert proxy.stats()["origins"] == {
        "requests": 5,
        "connects": 1,
        "reuses": 4,
        "failures": 0,
        "timeouts": 0,
        "failovers": 0,
        "surplus": 0,
        "rejected": 0,
    }
