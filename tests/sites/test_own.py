"""Where the proxy listens, and which hosts and ports mean that."""

import socket
from collections.abc import Iterator

import pytest

from aprp.sites.own import OwnAddress


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_before_it_listens_nothing_is_its_own() -> None:
    own = OwnAddress()
    assert not own.is_named("127.0.0.1", 80)
    assert not own.is_at("127.0.0.1", 80)


def test_one_address(listening: socket.socket) -> None:
    own = OwnAddress()
    own.listen([listening])
    port = listening.getsockname()[1]
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        assert own.is_at(address, port)
        assert not own.is_at(address, port + 1)
    # Somebody else may listen there.
    for address in ("127.0.0.2", "::1", "192.0.2.1", "nonsense", ""):
        assert not own.is_at(address, port)
    for name in ("localhost", "a.localhost", socket.gethostname().lower(), "127.0.0.1"):
        assert own.is_named(name, port)
        assert not own.is_named(name, port + 1)
    assert not own.is_named("media.example", port)


def test_every_address() -> None:
    own = OwnAddress()
    with socket.create_server(("", 0)) as everywhere:
        port = everywhere.getsockname()[1]
        own.listen([everywhere])
        for address in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "::1"):
            assert own.is_at(address, port)
            assert own.is_named(address, port)
        # Documentation, which no machine has (RFC 5737, RFC 3849).
        for address in ("192.0.2.77", "2001:db8::77"):
            assert not own.is_at(address, port)


def test_sockets_without_an_address_do_not_count(listening: socket.socket) -> None:
    own = OwnAddress()
    with socket.socket(socket.AF_UNIX) as local:
        own.listen([local])
    assert not own.is_at("127.0.0.1", listening.getsockname()[1])
