"""Following redirects, for fetches that ask for it (RFC 9110 section 15.4); the proxy does not."""

import copy
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.concurrent import Future
from tornado.httpclient import HTTPResponse
from tornado.httputil import HTTPHeaders

if TYPE_CHECKING:
    from aprp.upstream.client import OriginClient

_STATUSES = {301, 302, 303, 307, 308}
_BODY_FIELDS = ("Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding")


def leads_elsewhere(request: Any, status: int, headers: HTTPHeaders) -> bool:
    """Whether the response is a redirect that the request wants followed."""
    return bool(
        request.follow_redirects
        and status in _STATUSES
        and request.max_redirects > 0
        and headers.get("Location") is not None
    )


def follow(
    client: "OriginClient",
    request: Any,
    status: int,
    headers: HTTPHeaders,
    callback: Callable[[HTTPResponse], None],
) -> None:
    """Fetch what Location names and answer `callback` with that.

    Credentials stay behind when scheme, host or port change.
    """
    original = getattr(request, "original_request", request)
    new = copy.copy(request.request)
    new.headers = request.headers.copy()
    new.url = urllib.parse.urljoin(request.url, headers["Location"])
    new.max_redirects = request.max_redirects - 1
    if _origin(original.url) != _origin(new.url):
        new.auth_username = new.auth_password = None
        new.url = _without_credentials(new.url)
        _drop(new.headers, ("Authorization", "Cookie"))
    _drop(new.headers, ("Host",))
    if (status == 303 and request.method != "HEAD") or (
        status in (301, 302) and request.method == "POST"
    ):
        new.method, new.body = "GET", None
        _drop(new.headers, _BODY_FIELDS)
    new.original_request = original

    def done(future: "Future[HTTPResponse]") -> None:
        error = future.exception()
        callback(future.result() if error is None else HTTPResponse(new, 599, error=error))

    client.fetch(new, raise_error=False).add_done_callback(done)


def _origin(url: str) -> tuple[str, str]:
    parsed = urllib.parse.urlsplit(url)
    return parsed.scheme, parsed.netloc


def _without_credentials(url: str) -> str:
    parsed = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parsed._replace(netloc=parsed.netloc.rpartition("@")[2]))


def _drop(headers: HTTPHeaders, names: tuple[str, ...]) -> None:
    for name in names:
        if name in headers:
            del headers[name]
