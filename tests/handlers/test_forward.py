"""Hosts that clients name, by names that lead to addresses of a test's choice."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from aprp.app import make_app
from aprp.application import Application
from settings.base import Settings
from tests.loops import both_loops
from tests.peers import closed_port

PUBLIC = "93.184.215.14"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Names:
    """A resolver that has names of its own, with several addresses each."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = {name: text.split() for name, text in addresses.items()}

    async def resolve(self, host: str, port: int, family: int) -> list[tuple[int, Any]]:
        if host not in self.addresses:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, (address, port))
            for address in self.addresses[host]
        ]

    def close(self) -> None:
        """Nothing is open."""


class Served:
    """An application that is served, and the requests that its origin has got."""

    def __init__(self, app: Application, port: int, origin: int) -> None:
        self.app = app
        self.port = port
        self.origin = origin
        self.heads: list[str] = []

    async def ask(self, target: str, *lines: str) -> tuple[int, Mapping[str, Any]]:
        """Ask on a connection of its own; status and problem object, {} for what is no problem."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (f"GET {target} HTTP/1.1", "Host: own", "Connection: close", *lines, "", "")
        writer.write("\r\n".join(head).encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        before, _, body = answer.partition(b"\r\n\r\n")
        problem = json.loads(body) if b"application/problem+json" in before else {}
        return int(before.split()[1]), problem


@contextlib.asynccontextmanager
async def served(names: Names, **given: Any) -> AsyncIterator[Served]:
    """Serve an application that finds names so, beside an origin that always says hello."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(ANSWER)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as origin:
        basics = {"UPSTREAM": ["http://127.0.0.1:9"], "LOG_FILE": None, "CACHE_SIZE": 0}
        app = make_app(Settings(**basics | given))
        sockets = bind_sockets(0, "127.0.0.1")
        app.own.listen(sockets)
        app.client.resolver = names
        server = HTTPServer(app)
        server.add_sockets(sockets)
        port, far = sockets[0].getsockname()[1], origin.sockets[0].getsockname()[1]
        started = Served(app, port, far)
        started.heads = heads
        try:
            yield started
        finally:
            server.stop()
            await app.drained()
            await server.close_all_connections()
            await app.close()


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        # Public hosts alone.
        ([], "127.0.0.1"),
        ([], "::1"),
        ([], "::ffff:127.0.0.1"),
        ([], "0.0.0.0"),
        ([], "10.0.0.7"),
        ([], "169.254.169.254"),
        ([], "fe80::1 127.0.0.1 192.168.1.1"),
        (["*"], "127.0.0.1"),
        # Neither the name nor where it leads is listed.
        (["10.0.0.0/8"], "127.0.0.1"),
        (["10.0.0.0/8"], PUBLIC),
        (["*.example"], "127.0.0.1"),
    ],
)
@both_loops
async def test_where_a_name_leads_is_what_counts(allowed: list[str], address: str) -> None:
    names = Names(**{"name.test": address})
    async with served(names, FORWARD=True, FORWARD_ALLOW=allowed) as proxy:
        status, problem = await proxy.ask(f"http://name.test:{proxy.origin}/film")
        assert status == 403
        assert "FORWARD_ALLOW" in problem["detail"]
        assert proxy.heads == []


@pytest.mark.parametrize("allowed", [["127.0.0.0/8"], ["name.test"], ["*.test"]])
@both_loops
async def test_a_name_that_leads_to_what_is_listed(allowed: list[str]) -> None:
    names = Names(**{"name.test": "127.0.0.1"})
    async with served(names, FORWARD=True, FORWARD_ALLOW=allowed) as proxy:
        assert (await proxy.ask(f"http://Name.test:{proxy.origin}/film"))[0] == 200
        assert f"\r\nHost: name.test:{proxy.origin}\r\n" in proxy.heads[0]


@both_loops
async def test_of_several_addresses_those_that_are_allowed_are_tried() -> None:
    names = Names(**{"name.test": "10.0.0.7 ::1 127.0.0.1 169.254.169.254"})
    async with served(names, FORWARD=True, FORWARD_ALLOW=["127.0.0.1"]) as proxy:
        assert (await proxy.ask(f"http://name.test:{proxy.origin}/film"))[0] == 200


@both_loops
async def test_a_connection_that_is_kept_is_no_way_around() -> None:
    # The address is allowed by one name, and not by the other.
    names = Names(**{"good.test": "127.0.0.1", "evil.test": "127.0.0.1"})
    async with served(names, FORWARD=True, FORWARD_ALLOW=["good.test", "*"]) as proxy:
        for _ in range(2):
            assert (await proxy.ask(f"http://good.test:{proxy.origin}/film"))[0] == 200
            assert (await proxy.ask(f"http://evil.test:{proxy.origin}/film"))[0] == 403


@both_loops
async def test_a_name_that_leads_to_the_proxy_itself() -> None:
    names = Names(**{"alias.test": "127.0.0.1"})
    for allowed in (["alias.test"], ["127.0.0.1"]):
        async with served(names, FORWARD=True, FORWARD_ALLOW=allowed) as proxy:
            for path in ("/film", "/stats"):
                status, problem = await proxy.ask(f"http://alias.test:{proxy.port}{path}")
                assert status == 508
                assert "back to this proxy" in problem["detail"]


@both_loops
async def test_names_that_lead_nowhere() -> None:
    async with served(Names(), FORWARD=True) as proxy:
        status, problem = await proxy.ask("http://nowhere.test/film")
        assert status == 502
        assert "no address" in problem["detail"]


@both_loops
async def test_a_host_that_refuses() -> None:
    names = Names(**{"name.test": "127.0.0.1"})
    async with served(names, FORWARD=True, FORWARD_ALLOW=["name.test"]) as proxy:
        assert (await proxy.ask(f"http://name.test:{closed_port()}/film"))[0] == 502


@pytest.mark.parametrize(
    ("allowed", "address", "status"),
    [
        (["name.test"], "127.0.0.1", 200),
        (["127.0.0.0/8"], "127.0.0.1", 200),
        (["*"], "127.0.0.1", 403),
        (["10.0.0.0/8"], "127.0.0.1", 403),
        (["*.example"], "127.0.0.1", 403),
        (["name.test"], "", 502),
        (["*"], "", 502),
    ],
)
@both_loops
async def test_targets_are_looked_up_before_they_are_taken(
    allowed: list[str], address: str, status: int
) -> None:
    names = Names(**({"name.test": address} if address else {}))
    async with served(names, TARGET_URL_ALLOW=allowed) as proxy:
        url = f"http://name.test:{proxy.origin}"
        found, problem = await proxy.ask(f"/?target_url={url}")
        assert found == status
        assert proxy.app.sites.target == (url if status == 200 else None)
        if status == 403:
            assert "TARGET_URL_ALLOW" in problem["detail"]


@both_loops
async def test_a_target_that_leads_elsewhere_later() -> None:
    names = Names(**{"name.test": "127.0.0.1"})
    async with served(names, TARGET_URL_ALLOW=["127.0.0.1"]) as proxy:
        assert (await proxy.ask(f"/?target_url=http://name.test:{proxy.origin}"))[0] == 200
        names.addresses["name.test"] = ["10.0.0.7"]
        status, problem = await proxy.ask("/film")
        assert status == 403
        assert "TARGET_URL_ALLOW" in problem["detail"]


@both_loops
async def test_a_target_that_leads_to_the_proxy_itself() -> None:
    names = Names(**{"alias.test": "127.0.0.1"})
    async with served(names, TARGET_URL_ALLOW=["alias.test"]) as proxy:
        status, _ = await proxy.ask(f"/?target_url=http://alias.test:{proxy.port}/")
        assert status == 508
        assert proxy.app.sites.target is None


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ([], 502),
        (["*"], 502),
        (["gone.example"], 502),
        (["*.example"], 502),
        # Only an address could have let it pass, and it has none.
        (["127.0.0.1"], 403),
        (["10.0.0.0/8", "other.example"], 403),
    ],
)
@both_loops
async def test_a_name_without_an_address(allowed: list[str], status: int) -> None:
    async with served(Names(), FORWARD=True, FORWARD_ALLOW=allowed) as proxy:
        assert (await proxy.ask("http://gone.example/"))[0] == status
