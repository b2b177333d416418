"""Bodies whose end two servers could see in two places, and what of odd requests is sent on."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.problems import check_problem
from tests.e2e.smuggling import SMUGGLED, WAYS, Stage, stage
from tests.e2e.witness import Witnessed

CHUNKS = "STARTTransfer-Encoding: chunked\r\n\r\n"
LENGTH = "STARTContent-Length: 5\r\n"
END = "0\r\n\r\n"

BROKEN = {
    # RFC 9112 section 7.1; each stands behind a good chunk.
    **{
        f"a size of {size!r:.20}": f"{size}\r\nabcde\r\n" + END
        for size in (
            *(
                "",
                "-5",
                "+5",
                "0x5",
                "5h",
                "g",
                "zz",
                " 5",
                "\t5",
                "5 5",
                "5,5",
                "5.0",
                "5_0",
                "\xb2",
            ),
            *("\0", "5\0", "\r5", "5\r", "0" * 16 + "5", "0" * 5000 + "5", "f" * 16, "f" * 17),
            *("10000000000000005", "5\xa0", "\x0b5", "5\x0b", "'5'", "5:a=b", "\xb2"),
        )
    },
    "a bare line feed behind a size": "5\nabcde\r\n" + END,
    "a bare line feed behind an extension": "5;a\nabcde\r\n" + END,
    "a bare carriage return behind a size": "5\rabcde\r\n" + END,
    "a bare carriage return in an extension": "5;a\rb\r\nabcde\r\n" + END,
    "a NUL in an extension": "5;a\0b\r\nabcde\r\n" + END,
    "a long extension": f"5;{'a' * 5000}\r\nabcde\r\n" + END,
    "long extensions in all": f"1;{'a' * 500}\r\nx\r\n" * 9 + END,
    "an extension without end": f"5;{'a' * 100_000}",
    "no line end behind a chunk": "5\r\nabcde" + END,
    "a bare line feed behind a chunk": "5\r\nabcde\n" + END,
    "a bare carriage return behind a chunk": "5\r\nabcde\r" + END,
    "a chunk that is too long": "5\r\nabcdef\r\n" + END,
    "a chunk that is too short": "5\r\nabc\r\n" + END,
    "an empty line between chunks": "5\r\nabcde\r\n\r\n" + END,
    "a bare line feed behind the last size": "0\n\r\n",
    "a bare line feed at the end": "0\r\n\n",
    "a bare carriage return at the end": "0\r\n\rX",
    "no empty line at the end": "0\r\n",
    "a trailer without a name": "0\r\n: a\r\n\r\n",
    "a trailer without a colon": "0\r\nX\r\n\r\n",
    "a folded trailer": "0\r\nX: a\r\n b\r\n\r\n",
    "a blank before a trailer's colon": "0\r\nX : a\r\n\r\n",
    "a NUL in a trailer": "0\r\nX: a\0\r\n\r\n",
    "a bare line feed in a trailer": "0\r\nX: a\nContent-Length: 5\r\n\r\n",
    "a bare carriage return in a trailer": "0\r\nX: a\rContent-Length: 5\r\n\r\n",
    "long trailers": "0\r\n" + "X: a\r\n" * 4000 + "\r\n",
}

MEANT = {
    # All of them are POST or GET with the body "abcde", however it is written.
    "a length": LENGTH + "\r\nabcde",
    "a length with blanks and zeros": "STARTcontent-length:\t 0000005 \r\n\r\nabcde",
    "one chunk": CHUNKS + "5\r\nabcde\r\n" + END,
    "small chunks": CHUNKS + "1\r\na\r\n1\r\nb\r\n3\r\ncde\r\n" + END,
    "zeros before a size": CHUNKS + "000000000000005\r\nabcde\r\n00000000\r\n\r\n",
    "a coding in capitals": "STARTTRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nabcde\r\n" + END,
    "an extension": CHUNKS + '5;a="b c";d\r\nabcde\r\n0;x\r\n\r\n',
    "an extension with blanks": CHUNKS + "5 ; a = b\r\nabcde\r\n" + END,
    "extensions below the limit": CHUNKS + f"5;{'a' * 4000}\r\nabcde\r\n" + END,
    "trailers": CHUNKS + "5\r\nabcde\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
    # RFC 9110 section 6.5.1: not what frames, routes or authenticates a message.
    "trailers that may not be": CHUNKS
    + "5\r\nabcde\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b.example\r\n"
    + "Authorization: Basic YTpi\r\nContent-Encoding: gzip\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n",
    "announced trailers": "STARTTrailer: X-Sum\r\nTE: trailers\r\nConnection: TE\r\n"
    + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n",
    # RFC 9110 section 7.6.1: those must not be named there, and are not obeyed.
    "a connection that names the framing": "START"
    + "Connection: Host, Content-Length, Transfer-Encoding, Content-Type\r\n"
    + "Content-Type: text/x\r\nContent-Length: 5\r\n\r\nabcde",
    "a connection that names chunks": "START"
    + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
    + END,
    # RFC 9113 section 3.1: nobody upgrades to it, least of all through a proxy.
    "an upgrade to HTTP/2": "STARTConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    + "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 5\r\n\r\nabcde",
    "an empty line before": "\r\n" + LENGTH + "\r\nabcde",
    "a field that looks like framing": LENGTH
    + "X-Transfer-Encoding: chunked\r\nContent_Length: 3\r\nTransfer-Codings: x\r\n\r\nabcde",
    "a body that looks like a request": "STARTContent-Length: 68\r\n\r\n"
    + f"{SMUGGLED}0\r\n\r\n{'x' * (63 - len(SMUGGLED))}",
    "a chunk that looks like the end": CHUNKS + "8\r\n\r\n0\r\n\r\nx\r\n" + END,
}
BODIES = {
    "a body that looks like a request": f"{SMUGGLED}0\r\n\r\n{'x' * (63 - len(SMUGGLED))}".encode(),
    "a chunk that looks like the end": b"\r\n0\r\n\r\nx",
}


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The proxy that all of these are sent to, and its origin."""
    with stage(tmp_path_factory.mktemp("proxy")) as started:
        yield started


def unfinished(on_stage: Stage, path: str, before: int) -> list[Witnessed]:
    """What has come of a request for a path, which was asked for `before` times already.

    It is not complete, and nothing came of what stood behind it.
    """
    on_stage.settle()
    assert on_stage.origin.asked("/smuggled") == []
    came = on_stage.origin.asked(path)[before:]
    assert not any(one.complete for one in came)
    return came


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("form", BROKEN)
def test_a_broken_body_that_comes_at_once(on_stage: Stage, form: str, name: str) -> None:
    way = on_stage.way(name)
    before = len(on_stage.origin.asked(way.path))
    data = way.fill(CHUNKS) + b"3\r\nabc\r\n" + BROKEN[form].encode("latin-1")
    (reply,) = send_raw(on_stage.proxy.port, data + SMUGGLED.encode())
    assert reply.get("Connection") == "close"
    assert check_problem(reply, 400).startswith("Malformed request body: ")
    assert len(unfinished(on_stage, way.path, before)) <= 1


@pytest.mark.parametrize("name", ["passthrough", "forward, cache"])
@pytest.mark.parametrize("form", BROKEN)
def test_a_body_that_breaks_later(on_stage: Stage, form: str, name: str) -> None:
    way = on_stage.way(name)
    with Connection(on_stage.proxy.port) as connection:
        connection.send(way.fill(CHUNKS) + b"3\r\nabc\r\n")
        begun = on_stage.origin.wait_body(way.path, b"abc")
        connection.send(BROKEN[form].encode("latin-1") + SMUGGLED.encode())
        reply = connection.read_reply()
        assert reply.get("Connection") == "close"
        assert check_problem(reply, 400).startswith("Malformed request body: ")
        assert connection.at_end()
    # Nobody else's request goes where this one was not finished.
    on_stage.origin.wait_ended(begun.connection)
    assert unfinished(on_stage, way.path, 0) == [begun]


@pytest.mark.parametrize("framing", [CHUNKS + "3\r\nabc\r\n", LENGTH + "\r\nabc"])
@pytest.mark.parametrize("name", ["passthrough", "forward, cache"])
def test_a_client_that_leaves_before_its_body_ends(
    on_stage: Stage, framing: str, name: str
) -> None:
    way = on_stage.way(name)
    with Connection(on_stage.proxy.port) as connection:
        connection.send(way.fill(framing))
        begun = on_stage.origin.wait_body(way.path, b"abc")
    on_stage.origin.wait_ended(begun.connection)
    assert unfinished(on_stage, way.path, 0) == [begun]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("form", MEANT)
def test_what_is_meant_arrives_and_no_more(on_stage: Stage, form: str, name: str) -> None:
    way, second = on_stage.way(name), on_stage.way("passthrough")
    before = len(on_stage.origin.asked(way.path))
    behind = second.fill("STARTConnection: close\r\n\r\n")
    replies = send_raw(on_stage.proxy.port, way.fill(MEANT[form]) + behind)
    body = BODIES.get(form, b"abcde")
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].body == f"{way.method} {way.path} {len(body)}".encode()
    assert replies[1].body == f"{second.method} {second.path} 0".encode()
    on_stage.settle()
    assert on_stage.origin.asked("/smuggled") == []
    (came,) = on_stage.origin.asked(way.path)[before:]
    assert (came.method, bytes(came.body), came.complete) == (way.method, body, True)
    chunked = re.search(r"(?:START|\n)transfer-encoding:", MEANT[form], re.IGNORECASE)
    framing = came.all("Transfer-Encoding"), came.all("Content-Length")
    assert framing == ((["chunked"], []) if chunked else ([], [str(len(body))]))
    for name_of_field in ("Connection", "Upgrade", "TE", "Trailer", "Authorization", "X-Sum"):
        assert came.all(name_of_field) == []
    assert came.all("X-Forwarded-For") == ["127.0.0.1"]
