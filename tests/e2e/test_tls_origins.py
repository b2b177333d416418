"""Origins with TLS: certificates, and bodies that come whole or are seen to be broken."""

import hashlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection, curl
from tests.e2e.content import FILM, SIZE, endless
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE, anonymous_memory, socket_buffers
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, serves
from tests.e2e.servers import StartProxy
from tests.e2e.uploads import Upload, compare_endless, echoes, endless_pieces, framing, message

HALF = SIZE // 2
StartOrigin = Callable[[str, str], ScriptedOrigin]


@pytest.fixture
def start_origin(authority: Authority) -> Iterator[StartOrigin]:
    """Start an https origin with a certificate of a name for a subject."""
    started: list[ScriptedOrigin] = []

    def start(name: str, subject: str) -> ScriptedOrigin:
        started.append(ScriptedOrigin(authority.server(name, subject)))
        return started[-1]

    yield start
    for origin in started:
        origin.close()
        origin.check()


@pytest.fixture
def secure(start_origin: StartOrigin) -> ScriptedOrigin:
    """An https origin with a certificate that is right."""
    return start_origin("secure", "IP:127.0.0.1")


def test_the_authority_that_is_set_is_trusted(
    secure: ScriptedOrigin, authority: Authority, start_proxy: StartProxy
) -> None:
    path = secure.plays(serves(FILM))
    proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
    assert proxy.get(path).body == FILM
    assert proxy.get(path, Range="bytes=-100").body == FILM[-100:]
    assert proxy.get(f"{path}/5/9").body == FILM[5:10]
    assert len({request.connection for request in secure.asked(path)}) == 1
    assert proxy.stats()["origins"]["connects"] == 1


def test_no_other_authority_is_trusted(secure: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", secure.url)
    assert "certificate" in check_problem(proxy.get("/film.bin"), 502)
    assert secure.requests == []


def test_a_certificate_for_another_host(
    start_origin: StartOrigin, authority: Authority, start_proxy: StartProxy
) -> None:
    origin = start_origin("other", "DNS:other.example")
    proxy = start_proxy("--upstream", origin.url, "--upstream-ca", str(authority.file))
    assert "certificate" in check_problem(proxy.get("/film.bin"), 502)
    assert origin.requests == []


def test_a_server_that_speaks_no_tls(nginx: str, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", nginx.replace("http:", "https:"))
    assert "TLS" in check_problem(proxy.get("/film.bin"), 502)


def test_a_handshake_that_does_not_end(start_proxy: StartProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        proxy = start_proxy("--upstream", url, "--connect-timeout", "300ms")
        assert "CONNECT_TIMEOUT" in check_problem(proxy.get("/film.bin"), 504)


def test_a_slow_client_gets_every_byte(
    secure: ScriptedOrigin, authority: Authority, start_proxy: StartProxy
) -> None:
    length = 24 << 20

    def script(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {length}"))
        peer.send_endless(0, length)
        # The end of the connection comes right behind the last byte.
        peer.close()

    path = secure.plays(script)
    proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
    with Connection(proxy.port, receive_buffer=65536) as connection:
        connection.ask(path)
        assert connection.read_head().get("Content-Length") == str(length)
        read = hashlib.sha256()
        for _ in range(length // 65536):
            read.update(connection.read(65536))
    assert read.digest() == hashlib.sha256(endless(0, length)).digest()


@pytest.mark.parametrize("fields", [("Content-Length: 1000003",), ("Transfer-Encoding: chunked",)])
def test_a_broken_body_is_short(
    secure: ScriptedOrigin, authority: Authority, start_proxy: StartProxy, fields: tuple[str, ...]
) -> None:
    def script(peer: Peer) -> None:
        size = b"%x\r\n" % SIZE if "chunked" in fields[0] else b""
        peer.send(head("200 OK", *fields) + size + FILM[:HALF])
        peer.close()

    proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
    got = curl(proxy.url + secure.plays(script))
    assert (got.exit_code, got.reply.status) == (18, 200)
    assert FILM.startswith(got.reply.body)


@pytest.mark.parametrize("in_good_order", [True, False])
def test_only_tls_itself_can_say_that_an_unsized_body_is_over(
    secure: ScriptedOrigin, authority: Authority, start_proxy: StartProxy, in_good_order: bool
) -> None:
    # RFC 9112 section 9.8: without a close_notify anybody on the way may have cut it off.
    closed: queue.Queue[bool] = queue.Queue()

    def script(peer: Peer) -> None:
        peer.send(head("200 OK") + FILM[:HALF])
        peer.kept = False
        assert isinstance(peer.socket, ssl.SSLSocket)
        if in_good_order:
            peer.socket.unwrap()
        else:
            peer.close()
        closed.put(True)

    proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
    got = curl(proxy.url + secure.plays(script))
    assert got.reply.body == FILM[:HALF]
    assert got.exit_code == (0 if in_good_order else 18)
    assert closed.get(timeout=PATIENCE)


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_to_an_origin_that_reads_late(
    secure: ScriptedOrigin, authority: Authority, start_proxy: StartProxy, chunked: bool
) -> None:
    size = 64 << 20
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        assert go_on.wait(PATIENCE)
        compare_endless(peer, size)
        peer.send(answer("200 OK", b"thanks"))

    path, warm = secure.plays(script), secure.plays(echoes())
    proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
    with Connection(proxy.port) as connection:
        connection.send(message("POST", warm, FILM))
        assert connection.read_reply().body == FILM
        before = anonymous_memory(proxy.pid)
        connection.ask(path, framing(size, chunked), method="PUT")
        upload = Upload(connection, endless_pieces(size, chunked))
        upload.push()
        assert upload.sent < 2 * socket_buffers()
        assert anonymous_memory(proxy.pid) - before < 8 << 20
        go_on.set()
        upload.finish()
        assert connection.read_reply().body == b"thanks"
        assert anonymous_memory(proxy.pid) - before < 8 << 20
