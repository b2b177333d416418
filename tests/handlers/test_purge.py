"""PURGE: who may, what goes, what is answered."""

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.handlers import purge
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.forwarded import client_address
from aprp.semantics.headers import Fields
from aprp.semantics.networks import Networks

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Library:
    """Has objects stored; keeps what it was asked to remove."""

    def __init__(self, stored: int) -> None:
        self.stored = stored
        self.asked: list[tuple[str, str]] = []

    async def purge(self, source: object, target: str) -> int:
        self.asked.append(("target", target))
        return self.stored

    async def purge_prefix(self, source: object, target: str) -> int:
        self.asked.append(("prefix", target))
        return self.stored


class Asked:
    """A request and its answer."""

    def __init__(
        self,
        resource: str = "/film.mp4",
        *,
        client: str = "127.0.0.1",
        allow: tuple[str, ...] = LOOPBACK,
        fields: Mapping[str, str] | None = None,
        stored: int | None = 1,
        trusted: tuple[str, ...] = (),
    ) -> None:
        self.library = None if stored is None else Library(stored)
        self.answers: list[tuple[int, Any, str]] = []
        settings = SimpleNamespace(
            PURGE_ALLOW=allow, RANGE_PATH=True, RANGE_PARAM="range", MAX_RANGES=16
        )
        sites = SimpleNamespace(below=self.below)
        is_trusted = Networks(trusted)
        self.app = SimpleNamespace(
            settings=settings, library=self.library, sites=sites, is_trusted=is_trusted
        )
        self.resource = resource
        self.method = "PURGE"
        self.peer = client
        self.site = SimpleNamespace(
            source=None,
            named=True,
            target=lambda path: path,
            origins=SimpleNamespace(origins=[SimpleNamespace(base_path="")]),
        )
        self.headers = Fields((fields or {}).items())
        self.client = client_address(client, self.headers.get, is_trusted)
        # Routes by the prefix that they lie below, and the beginnings of their targets.
        self.routes: dict[str, list[tuple[None, str]]] = {}

    def below(self, host: str | None, prefix: str) -> list[tuple[None, str]]:
        return self.routes.get(prefix, [])

    def respond(self, status: int, body: bytes, content_type: str, fields: Any) -> None:
        assert ("Cache-Control", "no-store") in fields
        self.answers.append((status, json.loads(body), content_type))

    def serve(self) -> None:
        asyncio.run(purge.serve(cast(Exchange, self)))

    def refusal(self) -> Problem:
        with pytest.raises(Problem) as caught:
            self.serve()
        assert self.answers == []
        return caught.value


def test_an_object_is_removed() -> None:
    asked = Asked("/film.mp4?a=1", stored=2)
    asked.serve()
    assert asked.answers == [(200, {"purged": 2}, "application/json")]
    assert asked.library is not None
    assert asked.library.asked == [("target", "/film.mp4?a=1")]


@pytest.mark.parametrize(
    ("resource", "fields"),
    [
        ("/film.mp4", {"Range": "bytes=0-9"}),
        ("/film.mp4", {"Range": "bytes=9-0", "If-Range": "x"}),
        ("/film.mp4?range=0-9", {}),
        ("/film.mp4/0/9", {}),
    ],
)
def test_the_whole_object_goes_whatever_the_range(resource: str, fields: dict[str, str]) -> None:
    asked = Asked(resource, fields=fields)
    asked.serve()
    assert asked.library is not None
    assert asked.library.asked == [("target", "/film.mp4")]


@pytest.mark.parametrize(
    ("resource", "removed"),
    [
        ("/films/*", ("prefix", "/films/")),
        ("/*", ("prefix", "/")),
        ("/films/a*", ("prefix", "/films/a")),
        ("/films/%2A", ("target", "/films/%2A")),
        ("/find?q=*", ("target", "/find?q=*")),
        ("/a*b", ("target", "/a*b")),
    ],
)
def test_prefixes(resource: str, removed: tuple[str, str]) -> None:
    asked = Asked(resource)
    asked.serve()
    assert asked.library is not None
    assert asked.library.asked == [removed]


def test_a_prefix_has_routes_below_it() -> None:
    asked = Asked("/*", stored=2)
    asked.routes = {"/": [(None, "/m/"), (None, "/")]}
    asked.serve()
    assert asked.library is not None
    assert asked.library.asked == [("prefix", "/"), ("prefix", "/m/"), ("prefix", "/")]
    assert asked.answers == [(200, {"purged": 6}, "application/json")]


def test_routes_are_not_another_hosts() -> None:
    asked = Asked("/*")
    asked.routes = {"/": [(None, "/m/")]}
    asked.site.named = False
    asked.serve()
    assert asked.library is not None
    assert asked.library.asked == [("prefix", "/")]


@pytest.mark.parametrize("stored", [0, None])
@pytest.mark.parametrize("resource", ["/film.mp4", "/films/*"])
def test_where_nothing_is_stored(resource: str, stored: int | None) -> None:
    problem = Asked(resource, stored=stored).refusal()
    assert (problem.status, problem.detail) == (404, f"Nothing is stored under {resource}.")


def test_a_malformed_target() -> None:
    assert Asked("/a/../b").refusal().status == 400


@pytest.mark.parametrize(
    ("client", "allow", "fields", "allowed"),
    [
        ("127.0.0.1", LOOPBACK, {}, True),
        ("127.9.9.9", LOOPBACK, {}, True),
        ("::1", LOOPBACK, {}, True),
        ("::ffff:127.0.0.1", LOOPBACK, {}, True),
        ("192.0.2.1", LOOPBACK, {}, False),
        ("2001:db8::1", LOOPBACK, {}, False),
        ("127.0.0.1", (), {}, False),
        ("192.0.2.1", ("192.0.2.0/24",), {}, True),
        ("192.0.3.1", ("192.0.2.0/24",), {}, False),
        ("fe80::1%eth0", ("fe80::/10",), {}, True),
        # No address: a Unix socket.
        ("unix", ("0.0.0.0/0", "::/0"), {}, False),
        ("", ("0.0.0.0/0", "::/0"), {}, False),
        # What a client says of itself gives it nothing.
        ("192.0.2.1", LOOPBACK, {"X-Forwarded-For": "127.0.0.1"}, False),
        ("192.0.2.1", LOOPBACK, {"Forwarded": "for=127.0.0.1"}, False),
        # A proxy on this machine asks for somebody else.
        ("127.0.0.1", LOOPBACK, {"X-Forwarded-For": "192.0.2.1"}, False),
        ("127.0.0.1", LOOPBACK, {"X-Forwarded-For": "127.0.0.1, 192.0.2.1"}, False),
        ("127.0.0.1", LOOPBACK, {"Forwarded": "for=192.0.2.1"}, False),
        (
            "127.0.0.1",
            LOOPBACK,
            {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=192.0.2.1"},
            False,
        ),
        ("127.0.0.1", LOOPBACK, {"X-Forwarded-For": "unknown"}, False),
        ("127.0.0.1", LOOPBACK, {"X-Forwarded-For": ""}, False),
        ("127.0.0.1", LOOPBACK, {"X-Forwarded-For": "192.0.2.1, 127.0.0.1"}, True),
    ],
)
def test_who_may(
    client: str, allow: tuple[str, ...], fields: dict[str, str], allowed: bool
) -> None:
    asked = Asked(client=client, allow=allow, fields=fields)
    if allowed:
        asked.serve()
        assert [status for status, _, _ in asked.answers] == [200]
    else:
        problem = asked.refusal()
        assert problem.status == 403
        assert "PURGE_ALLOW" not in problem.detail
        assert problem.private is not None
        assert "PURGE_ALLOW" in problem.private
        assert asked.library is not None
        assert asked.library.asked == []


@pytest.mark.parametrize(
    ("peer", "fields", "allowed"),
    [
        # It asks for itself, or for another of its kind.
        ("10.0.0.1", {}, False),
        ("10.0.0.1", {"X-Forwarded-For": "10.0.0.2"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, True),
        ("10.0.0.1", {"Forwarded": "for=192.0.2.1"}, True),
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1, 10.0.0.2"}, True),
        ("10.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, False),
        # What stands before the client, it wrote itself.
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1, 203.0.113.9"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1, 203.0.113.9, 10.0.0.2"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=192.0.2.1"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=203.0.113.9"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "unknown"}, False),
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.1, unknown"}, False),
        # Who is not trusted is not believed, but held to what it says.
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.9"}, False),
        ("203.0.113.9", {"X-Forwarded-For": "192.0.2.1"}, False),
    ],
)
def test_who_may_through_trusted_proxies(peer: str, fields: dict[str, str], allowed: bool) -> None:
    asked = Asked(
        client=peer, allow=("192.0.2.0/24",), fields=fields, trusted=("10.0.0.0/24", "10.0.1.0/24")
    )
    if allowed:
        asked.serve()
        assert [status for status, _, _ in asked.answers] == [200]
    else:
        assert asked.refusal().status == 403


def test_the_client_of_a_trusted_proxy_that_is_allowed_itself() -> None:
    # Both proxies are on this machine, whose addresses may purge.
    fields = {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}
    assert Asked(fields=fields, trusted=LOOPBACK).refusal().status == 403
