"""The forward proxy: who may ask, and whom it may lead to."""

import base64
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.content import FILM
from tests.e2e.forwards import OPTIONS_OF_PROXIES, ask, through
from tests.e2e.problems import check_problem
from tests.e2e.scripted import ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FORWARDS

# Who may ask.


def test_names_and_passwords(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM))
    url = origin.url + path
    users = {"APRP_PROXY_USERS": "ada:lovelace,bob:x:y"}
    proxy = start_proxy("--upstream", "http://127.0.0.1:9", **FORWARDS | users)
    for user in ("ada:lovelace", "bob:x:y"):
        got = through(proxy, url, "--proxy-user", user)
        assert (got.reply.status, got.reply.body) == (200, FILM)
        assert through(proxy, url, "--proxy-user", user, "-r", "5-9").reply.body == FILM[5:10]
    asked = len(origin.asked(path))
    assert asked == 4
    for wrong in (
        (),
        ("--proxy-user", "ada:Lovelace"),
        ("--proxy-user", "ada:"),
        ("--proxy-user", "bob:x"),
        ("--proxy-user", "ada:lovelace,bob:x:y"),
        # For the host, and not for the proxy.
        ("--user", "ada:lovelace"),
        ("-H", "Proxy-Authorization: Basic %%%"),
        ("-H", "Proxy-Authorization: Bearer ada:lovelace"),
        ("-d", "a body"),
    ):
        reply = through(proxy, url, *wrong).reply
        assert "PROXY_USERS" in check_problem(reply, 407)
        # RFC 9110 section 11.7.1.
        assert (reply.get("Proxy-Authenticate") or "").startswith('Basic realm="aprp"')
        assert reply.get("WWW-Authenticate") is None
    assert len(origin.asked(path)) == asked
    # A host that is not allowed is told to those alone who may ask.
    assert through(proxy, "http://192.0.2.1/").reply.status == 407
    assert through(proxy, "http://192.0.2.1/", "--proxy-user", "ada:lovelace").reply.status == 403
    # The password is for forwarding.
    assert proxy.get("/status").status == 200


@pytest.mark.parametrize("users", ["", "ada:lovelace"])
def test_the_password_goes_no_further(
    origin: ScriptedOrigin, start_proxy: StartProxy, users: str
) -> None:
    path = origin.plays(serves(FILM, "Cache-Control: no-store"))
    settings = FORWARDS | {"APRP_PROXY_USERS": users}
    proxy = start_proxy("--upstream", origin.url, cache=True, **settings)
    secret = base64.b64encode(b"ada:lovelace").decode()
    lines = (f"Proxy-Authorization: Basic {secret}", "Proxy-Connection: keep-alive")
    for target in (origin.url + path, path):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            ask(proxy, target, *lines, method=method)
    requests = origin.asked(path)
    assert len(requests) == 8
    assert all(secret.encode() not in request.head for request in requests)
    assert all(request.get(name) is None for request in requests for name in OPTIONS_OF_PROXIES)
    assert secret not in proxy.log()


def test_without_forward_every_name_is_the_proxys_own(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    path = origin.plays(serves(FILM))
    proxy = start_proxy("--upstream", origin.url, "--no-forward")
    # RFC 9112 section 3.2.2: a server takes the form, too. Nobody asks that host.
    assert ask(proxy, f"http://127.0.0.1:1{path}").body == FILM
    assert "workers" in ask(proxy, "http://127.0.0.1:1/stats").body.decode()


# Whom it may lead to.


Refusing = Callable[[str], Proxy]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    """Forward proxies by what FORWARD_ALLOW says."""
    started: dict[str, Proxy] = {}

    def start(allowed: str) -> Proxy:
        if allowed not in started:
            directory = tmp_path_factory.mktemp("proxy")
            settings = {"APRP_FORWARD": "on", "APRP_FORWARD_ALLOW": allowed}
            proxy = Proxy(directory, "--upstream", "http://127.0.0.1:9", cache=False, **settings)
            started[allowed] = proxy.wait_started()
        return started[allowed]

    yield start
    codes = [proxy.stop() for proxy in started.values()]
    for proxy in started.values():
        proxy.check_faultless()
    assert not any(codes)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LocalHost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
    ],
)
@pytest.mark.parametrize("allowed", ["", "*", "*.example.org,192.0.2.0/24", "media.example"])
def test_private_hosts_are_refused_unless_listed(
    closed: Refusing, origin: ScriptedOrigin, host: str, allowed: str
) -> None:
    before = len(origin.requests)
    reply = ask(closed(allowed), f"http://{host}:{origin.port}/film.bin")
    assert "FORWARD_ALLOW" in check_problem(reply, 403)
    assert len(origin.requests) == before


@pytest.mark.parametrize(
    ("allowed", "hosts"),
    [
        # The name leads to an address that is listed.
        ("127.0.0.1", ("127.0.0.1", "localhost")),
        ("127.0.0.0/8", ("127.0.0.1", "localhost")),
        ("localhost", ("localhost",)),
        ("LOCALHOST.", ("localhost",)),
        ("127.0.0.1,localhost", ("127.0.0.1", "localhost")),
        ("*,127.0.0.0/8", ("127.0.0.1", "localhost")),
    ],
)
def test_listed_hosts_are_reached(
    closed: Refusing, origin: ScriptedOrigin, allowed: str, hosts: tuple[str, ...]
) -> None:
    proxy = closed(allowed)
    path = origin.plays(serves(FILM))
    for host in ("127.0.0.1", "localhost"):
        reply = ask(proxy, f"http://{host}:{origin.port}{path}")
        if host in hosts:
            assert (reply.status, reply.body) == (200, FILM)
        else:
            assert "FORWARD_ALLOW" in check_problem(reply, 403)
    assert len(origin.asked(path)) == len(hosts)


def test_each_redirect_is_checked(closed: Refusing, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    away = origin.plays(says(answer("302 Found", b"", f"Location: {origin.url}{path}")))
    url = f"http://localhost:{origin.port}{away}"
    got = through(closed("localhost"), url, "-L")
    assert "FORWARD_ALLOW" in check_problem(got.reply, 403)
    assert origin.asked(path) == []
    got = through(closed("127.0.0.1,localhost"), url, "-L")
    assert got.reply.body == FILM


def test_a_name_without_an_address(closed: Refusing) -> None:
    # RFC 6761 section 6.4: such a name never has one.
    for allowed in ("", "*.invalid"):
        detail = check_problem(ask(closed(allowed), "http://nowhere.invalid/film.bin"), 502)
        assert "no address" in detail
        # It is not for the operator that the client mistook the name.
        assert "UPSTREAM" not in detail
