"""TLS and the PROXY protocol before the proxy, with real clients."""

import functools
import hashlib
import signal
import ssl
import struct
import sys
from pathlib import Path

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection, curl
from tests.e2e.content import FILM, PROJECT, endless
from tests.e2e.programs import environment, require, run, wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, head, serves
from tests.e2e.servers import Proxy, StartProxy, refused_start
from tests.e2e.tls_fronts import Certificates, get_over_tls

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12)
V2 += bytes((192, 0, 2, 77, 192, 0, 2, 1)) + struct.pack(">HH", 4000, 443)


@pytest.fixture(scope="module")
def site(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The files of the proxies that tests share: always a certificate called first."""
    site = Certificates(authority, tmp_path_factory.mktemp("site"))
    site.put("first")
    return site


@pytest.fixture(scope="module")
def start_shared(shared_origin: ScriptedOrigin, start_shared: StartProxy) -> StartProxy:
    """Start a proxy before the scripted origin, once for each choice of flags."""
    return functools.cache(lambda *flags: start_shared("--upstream", shared_origin.url, *flags))


@pytest.fixture
def encrypted(site: Certificates, start_shared: StartProxy) -> Proxy:
    """A proxy with TLS before the scripted origin."""
    return start_shared(*site.flags)


def send_unsized(peer: Peer) -> None:
    """Send the film without its length, and close."""
    peer.send(head("200 OK") + FILM)
    peer.close()


def test_curl_over_tls(site: Certificates, origin: ScriptedOrigin, encrypted: Proxy) -> None:
    path = origin.plays(serves(FILM))
    assert encrypted.url.startswith("https://")
    trust = ("--cacert", str(site.authority.file))
    got = curl(encrypted.url + path, *trust)
    assert (got.exit_code, got.reply.status, got.reply.body) == (0, 200, FILM)
    got = curl(encrypted.url + path, *trust, "-r", "5-9", "--tls-max", "1.2")
    assert (got.exit_code, got.reply.status, got.reply.body) == (0, 206, FILM[5:10])
    # Without a length the end of the connection is that of the body, and it has to be told.
    unsized = origin.plays(send_unsized)
    got = curl(encrypted.url + unsized, *trust, "--http1.0")
    assert (got.exit_code, got.errors, got.reply.body) == (0, "", FILM)
    assert origin.asked(path)[0].get("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("broken", [True, False])
def test_only_the_close_notify_says_that_an_unsized_body_is_over(
    site: Certificates, origin: ScriptedOrigin, encrypted: Proxy, broken: bool
) -> None:
    # RFC 9112 section 9.8. (curl does not look at it.)
    def script(peer: Peer) -> None:
        end = b"" if broken else b"\r\n0\r\n\r\n"
        size = b"%x\r\n" % (2000 if broken else 1000)
        peer.send(head("200 OK", "Transfer-Encoding: chunked") + size + FILM[:1000] + end)
        peer.kept = not broken
        if broken:
            peer.close()

    with Connection(encrypted.port) as connection:
        secured = site.client().wrap_socket(
            connection.socket, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        )
        connection.socket = secured
        connection.ask(origin.plays(script), version="1.0")
        reply = connection.read_head()
        assert (reply.status, reply.get("Content-Length")) == (200, None)
        if broken:
            with pytest.raises(ssl.SSLEOFError):
                connection.read_all()
        else:
            assert connection.read_all() == FILM[:1000]


def test_what_openssl_sees(site: Certificates, encrypted: Proxy) -> None:
    chain = site.cert.read_bytes() + site.authority.file.read_bytes()
    site.cert.write_bytes(chain)
    encrypted.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in encrypted.log(), "the files are read")
    where = f"127.0.0.1:{encrypted.port}"
    trust = ("-CAfile", str(site.authority.file), "-verify_return_error")
    options = ("-connect", where, "-alpn", "h2,http/1.1", "-showcerts", *trust)
    done = run(require("openssl"), "s_client", *options)
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "ALPN protocol: http/1.1" in said
    assert "Verify return code: 0 (ok)" in said
    assert said.count("-----BEGIN CERTIFICATE-----") == 2
    assert "Compression: NONE" in said
    old = run(
        require("openssl"), "s_client", "-connect", where, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"
    )
    assert "Cipher is (NONE)" in old.stdout.decode()


@WORKERS
def test_a_slow_client_gets_every_byte(
    site: Certificates, origin: ScriptedOrigin, start_proxy: StartProxy, workers: str
) -> None:
    # Also what the proxy holds when it is told to stop.
    length = 8 << 20

    def script(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {length}"))
        peer.send_endless(0, length)

    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags, *site.flags)
    connection = Connection(proxy.port, receive_buffer=16384)
    with connection:
        connection.socket = site.client().wrap_socket(
            connection.socket, server_hostname="127.0.0.1"
        )
        connection.ask(origin.plays(script))
        assert connection.read_head().get("Content-Length") == str(length)
        read = hashlib.sha256(connection.read(1 << 20))
        proxy.signal(signal.SIGTERM)
        read.update(connection.read(length))
    assert read.digest() == hashlib.sha256(endless(0, length)).digest()
    assert proxy.wait() == 0


def test_many_requests_on_a_connection(
    site: Certificates, origin: ScriptedOrigin, encrypted: Proxy
) -> None:
    path = origin.plays(serves(FILM))
    connection, _ = get_over_tls(site, encrypted, path)
    with connection:
        assert connection.read_reply().body == FILM
        for begin in range(0, 50_000, 1000):
            connection.ask(path, f"Range: bytes={begin}-{begin + 999}")
            assert connection.read_reply().body == FILM[begin : begin + 1000]


def test_proxy_protocol_without_proxies(tmp_path: Path) -> None:
    line = refused_start(tmp_path, "--port", "0", "--proxy-protocol")
    assert "PROXY_PROTOCOL" in line and "TRUSTED_PROXIES" in line


PROXIED = ("--proxy-protocol", "--trusted-proxies", "127.0.0.0/8")
ELSEWHERE = ("--proxy-protocol", "--trusted-proxies", "192.0.2.0/24")


def test_curl_speaks_the_proxy_protocol(origin: ScriptedOrigin, start_shared: StartProxy) -> None:
    path = origin.plays(serves(FILM))
    proxy = start_shared(*PROXIED)
    got = curl(proxy.url + path, "--haproxy-protocol")
    assert (got.exit_code, got.reply.status, got.reply.body) == (0, 200, FILM)
    assert curl(proxy.url + path).exit_code != 0
    assert proxy.wait_access_line(path)["client"] == "127.0.0.1"
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("header", [V2, b"PROXY TCP4 192.0.2.77 192.0.2.1 4000 443\r\n"])
def test_whose_connection_it_is(
    site: Certificates,
    origin: ScriptedOrigin,
    start_shared: StartProxy,
    header: bytes,
    tls: bool,
) -> None:
    path = origin.plays(serves(FILM))
    flags = site.flags if tls else ()
    proxy = start_shared(*PROXIED, *flags)
    if tls:
        connection, _ = get_over_tls(site, proxy, path, header)
    else:
        connection = Connection(proxy.port)
        connection.send(header)
        connection.ask(path)
    with connection:
        assert connection.read_reply().body == FILM
        # The header is for the whole connection.
        connection.ask(path, "X-Forwarded-For: 198.51.100.1")
        assert connection.read_reply().body == FILM
    first, second = origin.asked(path)
    for asked in (first, second):
        # The client that the header names is no trusted proxy.
        assert asked.get("X-Forwarded-For") == "192.0.2.77"
        assert asked.get("X-Forwarded-Proto") == ("https" if tls else "http")

    def clients() -> list[str]:
        return [line["client"] for line in proxy.access_lines() if line["target"] == path]

    wait_until(lambda: len(clients()) == 2, "access lines")
    assert clients() == ["192.0.2.77"] * 2


def test_a_header_of_somebody_who_is_not_trusted(start_shared: StartProxy) -> None:
    proxy = start_shared(*ELSEWHERE)
    with Connection(proxy.port) as connection:
        connection.send(V2)
        connection.ask("/sample.mp4")
        assert connection.read_all() == b""
    wait_until(lambda: "TRUSTED_PROXIES" in proxy.log(), "the log tells of it")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("proxied", [False, True])
def test_the_health_check(
    site: Certificates, start_shared: StartProxy, tls: bool, proxied: bool
) -> None:
    flags = (*(ELSEWHERE if proxied else ()), *(site.flags if tls else ()))
    proxy = start_shared(*flags)
    flags += ("--upstream", "embedded", "--address", "127.0.0.1", "--port", str(proxy.port))
    code = "import sys; from aprp import healthcheck; sys.exit(healthcheck.main(sys.argv[1:]))"
    done = run(sys.executable, "-c", code, *flags, cwd=PROJECT)
    assert (done.returncode, done.stderr) == (0, b"")


def test_openssl_speaks_over_tls(site: Certificates, encrypted: Proxy) -> None:
    # A whole conversation of another implementation, which waits for the close_notify.
    command = (
        f"printf 'GET /healthz HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n' | "
        f"{require('openssl')} s_client -quiet -ign_eof -connect 127.0.0.1:{encrypted.port}"
    )
    done = run("/bin/sh", "-c", command, env=environment())
    assert done.stdout.startswith(b"HTTP/1.1 200 ")
    assert b"unexpected eof" not in done.stderr
