"""CONNECT: for whom tunnels are made, and where to; clients as people have them."""

from collections.abc import Iterator

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection, curl
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FarEnd, connect, forwarding, receive, refused, wait_tunnels


@pytest.fixture(scope="module")
def secure_origin(authority: Authority) -> Iterator[ScriptedOrigin]:
    """An https origin that clients reach through a tunnel; tests take `secure`."""
    origin = ScriptedOrigin(authority.server("tunnelled", "IP:127.0.0.1"))
    yield origin
    origin.close()


@pytest.fixture
def secure(secure_origin: ScriptedOrigin) -> Iterator[ScriptedOrigin]:
    """An https origin; a script that fails makes the test fail."""
    yield secure_origin
    secure_origin.check()


@pytest.fixture(scope="module")
def standard(start_shared: StartProxy) -> Proxy:
    """A proxy that makes tunnels to port 443 alone, as it comes."""
    return forwarding(start_shared, APRP_FORWARD_ALLOW="127.0.0.1,localhost,*.invalid")


@pytest.fixture(scope="module")
def inward(ports: list[int], start_shared: StartProxy) -> Proxy:
    """A proxy that makes tunnels to `ends`, if loopback needs no leave."""
    return forwarding(start_shared, *ports, APRP_FORWARD_ALLOW="")


@pytest.fixture(scope="module")
def guarded(ports: list[int], secure_origin: ScriptedOrigin, start_shared: StartProxy) -> Proxy:
    """A proxy that asks for a password before it makes tunnels to `ends` and `secure`."""
    users = "ada:lovelace,bob:x:y"
    return forwarding(start_shared, secure_origin.port, *ports, APRP_PROXY_USERS=users)


# Where to.


def test_a_port_that_is_not_listed(end: FarEnd, standard: Proxy) -> None:
    assert "CONNECT_PORTS" in check_problem(refused(standard, end.authority), 403)
    assert end.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_loopback_is_not_reached_unless_it_is_listed(end: FarEnd, inward: Proxy, host: str) -> None:
    assert "FORWARD_ALLOW" in check_problem(refused(inward, f"{host}:{end.port}"), 403)
    assert end.connections == 0


def test_a_name_that_has_no_address(standard: Proxy) -> None:
    # RFC 6761 section 6.4: such a name never has one.
    with Connection(standard.port) as connection:
        connection.ask("nowhere.invalid:443", method="CONNECT")
        check_problem(connection.read_reply(), 502)


def test_forwarding_is_off_as_it_comes(end: FarEnd, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", "http://127.0.0.1:9", APRP_CONNECT_PORTS=str(end.port))
    reply = refused(proxy, end.authority)
    assert "FORWARD" in check_problem(reply, reply.status)
    assert reply.status in (403, 405)
    assert end.connections == 0


# Who may ask.


def test_a_password_is_asked_for(end: FarEnd, guarded: Proxy) -> None:
    reply = refused(guarded, end.authority)
    check_problem(reply, 407)
    assert (reply.get("Proxy-Authenticate") or "").startswith("Basic realm=")
    # ada:wrong
    check_problem(refused(guarded, end.authority, "Proxy-Authorization: Basic YWRhOndyb25n"), 407)
    assert end.connections == 0
    # bob:x:y
    with connect(guarded, end.authority, "Proxy-Authorization: Basic Ym9iOng6eQ==") as connection:
        connection.send(b"x")
        assert receive(end.accept(), 1) == b"x"


# Clients as people have them.


def test_curl_fetches_https_through_a_tunnel(
    secure: ScriptedOrigin, authority: Authority, guarded: Proxy
) -> None:
    path = secure.plays(serves(FILM))
    options = ("-x", guarded.url, "--proxy-user", "ada:lovelace", "--cacert", str(authority.file))
    got = curl(secure.url + path, *options)
    assert got.exit_code == 0, got.errors
    assert got.reply.body == FILM
    got = curl(secure.url + path, *options, "-r", "5-9")
    assert (got.reply.status, got.reply.body) == (206, FILM[5:10])
    # The origin never sees who is at the proxy.
    for request in secure.asked(path):
        assert request.get("Proxy-Authorization") is None
        assert request.get("Via") is None


def test_curl_tunnels_plain_http_when_it_is_told_to(nginx: str, start_proxy: StartProxy) -> None:
    proxy = forwarding(start_proxy, int(nginx.rpartition(":")[2]))
    got = curl(f"{nginx}/film.bin", "-x", proxy.url, "--proxytunnel")
    assert got.exit_code == 0, got.errors
    assert got.reply.body == FILM
    assert wait_tunnels(proxy, 0)["opened"] == 1


def test_curl_is_told_what_is_wrong(end: FarEnd, standard: Proxy) -> None:
    got = curl(f"https://{end.authority}/", "-x", standard.url)
    assert got.exit_code == 56 or got.exit_code == 7
    assert "403" in got.errors
