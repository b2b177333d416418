"""An origin that breaks in the middle: the client sees that bytes are missing.

Never may a client take what it got for the whole: a body is short by its own framing.
"""

import gzip
import threading

import pytest

from tests.e2e.clients import Connection, curl, fetch
from tests.e2e.content import FILM, LAST_MODIFIED, SIZE
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy

HALF = SIZE // 2
PARTIAL_FILE, RECEIVE_ERROR = 18, 56
"""curl's exit codes for a body that is too short, and for a connection that was reset."""

SIZED = head("200 OK", f"Content-Length: {SIZE}") + FILM[:HALF]
PART = head(
    "206 Partial Content",
    f"Content-Length: {SIZE - 100}",
    f"Content-Range: bytes 100-{SIZE - 1}/{SIZE}",
)
CHUNKED = head("200 OK", "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (HALF, FILM[:HALF])
UNSIZED = head("200 OK") + FILM[:HALF]


def breaks(data: bytes, how: str, released: threading.Event) -> Script:
    """A script that sends, waits until it is released, and then closes or resets."""

    def script(peer: Peer) -> None:
        peer.send(data)
        # A reset throws away what is under way: not before it has arrived.
        assert released.wait(PATIENCE)
        if how == "closes":
            peer.close()
        else:
            peer.reset()

    return script


# What the origin sends of which the rest is missing, and the range that is asked for.
BROKEN = {
    "sized": (SIZED, None),
    "cut out of a sized one": (SIZED, "bytes=100-"),
    "206": (PART + FILM[100:HALF], "bytes=100-"),
    "chunked": (CHUNKED, None),
    "cut out of a chunked one": (CHUNKED, f"bytes=100-{SIZE - 1}"),
    "up to the end of the connection": (UNSIZED, None),
    "cut out of that": (UNSIZED, f"bytes=100-{SIZE - 1}"),
}
WAYS = [(body, how) for body in BROKEN for how in ("closes", "resets")]
# There this is the regular end.
WAYS.remove(("up to the end of the connection", "closes"))


@pytest.mark.parametrize(("broken", "how"), WAYS)
def test_a_broken_body_is_short(
    origin: ScriptedOrigin, scripted_proxy: Proxy, broken: str, how: str
) -> None:
    data, asked = BROKEN[broken]
    start = 100 if asked else 0
    arrived = threading.Event()
    path = origin.plays(breaks(data, how, arrived))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, *([f"Range: {asked}"] if asked else []))
        reply = connection.read_head()
        assert reply.status == (206 if asked else 200)
        chunked = reply.get("Transfer-Encoding") is not None
        if chunked:
            assert reply.get("Content-Length") is None
        else:
            assert reply.get("Content-Length") == str(SIZE - start)
        # All that the origin has sent arrives, and then the connection ends.
        first = connection.read(HALF - start)
        arrived.set()
        body = first + connection.read_all()
    if chunked:
        assert not body.endswith(b"0\r\n\r\n")
    else:
        assert body == FILM[start:HALF]
    assert scripted_proxy.wait_access_line(path)["end"] == "origin broke"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SIZED, id="sized"),
        pytest.param(CHUNKED, id="chunked"),
        pytest.param(CHUNKED + b"zz\r\n", id="no chunk"),
        pytest.param(CHUNKED + b"5\r\nabcdefgh\r\n0\r\n\r\n", id="a chunk that is too long"),
        pytest.param(CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n", id="a negative chunk"),
        pytest.param(CHUNKED + b"ffffffffffffffffffff\r\n", id="a chunk beyond counting"),
    ],
)
def test_curl_knows_that_the_body_is_short(
    origin: ScriptedOrigin, scripted_proxy: Proxy, data: bytes
) -> None:
    got = curl(scripted_proxy.url + origin.plays(says(data, close=True)))
    assert got.exit_code in (PARTIAL_FILE, RECEIVE_ERROR)
    assert got.reply.status == 200
    assert FILM.startswith(got.reply.body[:HALF])


def test_a_body_without_a_length_that_ends_in_good_order_is_whole(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    for data in (UNSIZED, CHUNKED + b"0\r\n\r\n", CHUNKED + b"0;x=y\r\nTrailer: 1\r\n\r\n"):
        reply = scripted_proxy.get(origin.plays(says(data, close=True)))
        assert (reply.status, reply.body) == (200, FILM[:HALF])


def test_silence_in_the_body_ends_it(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--idle-timeout", "200ms")

    def script(peer: Peer) -> None:
        peer.send(SIZED)
        peer.wait_broken()

    path = origin.plays(script)
    got = curl(proxy.url + path)
    assert (got.exit_code, got.reply.status) == (PARTIAL_FILE, 200)
    assert got.reply.body == FILM[:HALF]
    assert proxy.wait_access_line(path)["end"] == "origin broke"
    assert proxy.wait_idle()["transfers"]["broken_by_origins"] == 1


def several(*answers: Script) -> Script:
    """A script that plays one script after the other, one a request."""
    left = list(answers)
    return lambda peer: left.pop(0)(peer)


def test_the_second_part_breaks(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    fields = ("Content-Length: 300000", f"Content-Range: bytes 500000-799999/{SIZE}")
    same = ('ETag: "1"', f"Last-Modified: {LAST_MODIFIED}")
    second = head("206 Partial Content", *fields, *same) + FILM[500000:600000]
    path = origin.plays(several(serves(FILM, 'ETag: "1"'), says(second, close=True)))
    got = curl(scripted_proxy.url + path, "-H", "Range: bytes=0-9,500000-799999")
    assert (got.exit_code, got.reply.status) == (PARTIAL_FILE, 206)
    assert got.reply.body.count(FILM[:10]) == 1
    assert got.reply.body.endswith(FILM[500000:600000])


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(serves(FILM[::-1], 'ETag: "2"'), id="another version"),
        pytest.param(serves(FILM + b"more", 'ETag: "1"'), id="another length"),
        pytest.param(serves(FILM[::-1], 'ETag: "2"', ranges=False), id="another version, whole"),
        pytest.param(says(answer("404 Not Found", b"gone")), id="nothing"),
        pytest.param(says(answer("503 Service Unavailable", b"busy")), id="failure"),
    ],
)
def test_parts_of_two_versions_never_stand_in_one_answer(
    origin: ScriptedOrigin, scripted_proxy: Proxy, second: Script
) -> None:
    path = origin.plays(several(serves(FILM, 'ETag: "1"'), second, second))
    got = curl(scripted_proxy.url + path, "-H", "Range: bytes=0-99,500000-500099")
    assert (got.exit_code, got.reply.status) == (PARTIAL_FILE, 206)
    assert got.reply.body.endswith(FILM[:100])


def test_a_further_part_may_come_without_its_date(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # RFC 9110 section 15.3.7: a 206 to If-Range has ETag, and should have little else.
    place = f"Content-Range: bytes 500000-500099/{SIZE}"
    second = answer("206 Partial Content", FILM[500000:500100], place, 'ETag: "1"')
    path = origin.plays(several(serves(FILM, 'ETag: "1"'), says(second)))
    got = curl(scripted_proxy.url + path, "-H", "Range: bytes=0-99,500000-500099")
    assert (got.exit_code, got.reply.status) == (0, 206)
    assert FILM[:100] in got.reply.body and FILM[500000:500100] in got.reply.body
    assert origin.asked(path)[1].get("If-Range") == '"1"'


def test_the_next_request_after_a_break_is_served(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(several(says(SIZED, close=True), serves(FILM)))
    assert curl(scripted_proxy.url + path).exit_code == PARTIAL_FILE
    assert scripted_proxy.get(path).body == FILM


def test_an_encoded_body_passes_as_it_is(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    packed = gzip.compress(FILM)
    path = origin.plays(says(answer("200 OK", packed, "Content-Encoding: gzip")))
    reply = fetch(scripted_proxy.url, path, **{"Accept-Encoding": "gzip"})
    assert (reply.get("Content-Encoding"), reply.body) == ("gzip", packed)
    assert origin.asked(path)[0].get("Accept-Encoding") == "gzip"
    # A range is of the bytes as they are stored: no coding is asked for, and none is cut.
    reply = fetch(scripted_proxy.url, path, **{"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (reply.status, reply.body) == (200, packed)
    assert origin.asked(path)[1].get("Accept-Encoding") == "identity"
