"""What is held back of an answer that may be a listing, and for how long."""

from typing import cast
from unittest import mock

import pytest

from aprp.handlers.exchange import Exchange
from aprp.handlers.home import LARGEST, Held
from aprp.semantics.headers import Fields

HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
GZIP = ("Content-Encoding", "gzip")
CADDY = ("Server", "Caddy")
SITE = b"<!doctype html><title>Our films</title>" + b" " * 2000
LISTING = b"<html><head><title>Index of /films/</title></head>" + b" " * 2000


def written(*pairs: tuple[str, str], length: int | None, body: bytes) -> tuple[mock.Mock, Held]:
    """The client's side of an answer of which these bytes have come."""
    client = mock.Mock(spec=Exchange)
    held = Held(cast(Exchange, client))
    held.begin(200, "OK", Fields(pairs), length)
    held.write(memoryview(body)[:10], memoryview(body)[10:])
    return client, held


@pytest.mark.parametrize(
    ("pairs", "length", "body", "is_held"),
    [
        ((HTML,), None, SITE, False),
        ((HTML,), None, SITE[:1000], True),
        ((HTML,), None, LISTING, True),
        ((HTML,), LARGEST, LISTING, True),
        ((HTML,), LARGEST + 1, LISTING, False),
        ((HTML, ("Set-Cookie", "a=b")), None, LISTING, False),
        ((HTML, GZIP), None, SITE, True),
        ((HTML, ("Content-Encoding", "br")), None, SITE[:10], False),
        ((HTML, CADDY), None, SITE, True),
        ((JSON,), None, b'[\r\n{ "name"' + b" " * 2000, True),
        ((JSON,), None, b'{"name"' + b" " * 2000, False),
        ((("Content-Type", "text/plain"),), None, LISTING, False),
        ((HTML,), None, LISTING + b" " * LARGEST, False),
    ],
)
def test_what_is_held(
    pairs: tuple[tuple[str, str], ...], length: int | None, body: bytes, is_held: bool
) -> None:
    client, held = written(*pairs, length=length, body=body)
    if is_held:
        assert not client.begin.called and not client.write.called
        assert held.offer(memoryview(b"more")) == 0
        held.release()
    client.begin.assert_called_once_with(200, "OK", Fields(pairs), length, None)
    sent = b"".join(bytes(piece) for call in client.write.call_args_list for piece in call.args)
    assert sent == body
    # From there on it goes straight through.
    held.write(b"more")
    client.write.assert_called_with(b"more")
    held.offer(memoryview(b"more"))
    client.offer.assert_called_once()
    held.release()
    client.begin.assert_called_once()
