"""What may be connected to where a client named the host."""

import socket

import pytest

from aprp.semantics.reaching import Reach
from aprp.sites.guards import Loop, ReachGuard
from aprp.sites.own import OwnAddress
from aprp.upstream.errors import Forbidden

PUBLIC = "93.184.215.14"


def guard(words: list[str], host: str, port: int = 80, own: OwnAddress | None = None) -> ReachGuard:
    return ReachGuard.of(Reach.of(words), host, port, own or OwnAddress())


@pytest.mark.parametrize(
    ("words", "host", "address"),
    [
        ([], "media.example", PUBLIC),
        (["*"], "media.example", PUBLIC),
        (["media.example"], "media.example", PUBLIC),
        # Whoever lists a name trusts where it leads.
        (["media.example"], "media.example", "10.0.0.7"),
        (["*.example"], "media.example", "127.0.0.1"),
        (["10.0.0.0/8"], "media.example", "10.0.0.7"),
        (["10.0.0.0/8"], "media.example", "::ffff:10.0.0.7"),
    ],
)
def test_allowed(words: list[str], host: str, address: str) -> None:
    guard(words, host).check(address)


@pytest.mark.parametrize(
    ("words", "host", "address"),
    [
        ([], "media.example", "10.0.0.7"),
        ([], "media.example", "127.0.0.1"),
        ([], "media.example", "169.254.169.254"),
        ([], "media.example", "::1"),
        ([], "media.example", "::ffff:127.0.0.1"),
        (["*"], "media.example", "192.168.0.1"),
        (["other.example"], "media.example", PUBLIC),
        (["10.0.0.0/8"], "media.example", "11.0.0.1"),
        ([], "media.example", "media.example"),
    ],
)
def test_refused(words: list[str], host: str, address: str) -> None:
    with pytest.raises(Forbidden) as raised:
        guard(words, host).check(address)
    assert not isinstance(raised.value, Loop)
    assert raised.value.address == address


def test_the_proxy_itself() -> None:
    own = OwnAddress()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        own.listen([listening])
    for words in (["127.0.0.0/8"], ["media.example"]):
        with pytest.raises(Loop):
            guard(words, "media.example", port, own).check("127.0.0.1")
        guard(words, "media.example", port + 1, own).check("127.0.0.1")
    # What is refused anyway tells nothing of where the proxy listens.
    with pytest.raises(Forbidden) as raised:
        guard([], "media.example", port, own).check("127.0.0.1")
    assert not isinstance(raised.value, Loop)


def test_kept_connections_are_shared_by_equal_guards_alone() -> None:
    own = OwnAddress()
    assert guard(["*.example"], "a.example", own=own) == guard(["*.example"], "b.example", own=own)
    assert guard(["*.example"], "a.example", own=own) != guard(["*.example"], "a.test", own=own)
    assert guard([], "a.example", own=own) != guard(["*", "10.0.0.0/8"], "a.example", own=own)
    assert hash(guard([], "a", own=own)) == hash(guard([], "a", own=own))
