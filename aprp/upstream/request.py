"""Requests to an origin: what `AsyncHTTPClient.fetch` takes, and the bytes that go out."""

import base64
import re
import socket
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tornado import version as tornado_version
from tornado.escape import native_str
from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders, encode_username_password, split_host_and_port
from tornado.netutil import is_valid_ip, ssl_options_to_context

from aprp.upstream.dial import Endpoint

if TYPE_CHECKING:
    from aprp.upstream.fetch import Fetch

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
_BODY_METHODS = {"POST", "PATCH", "PUT"}
_UNSUPPORTED = ("proxy_host", "proxy_port", "proxy_username", "proxy_password", "proxy_auth_mode")
_TARGET = re.compile(r"[!-~\x80-\xff]+")


class OriginRequest(HTTPRequest):
    """A request of the proxy: streamed as it is, without a limit on the whole time.

    The streaming callback gets memoryviews that are valid until what it returns is done. Time
    limits, in seconds, are on connecting, on the first byte of the answer, and on silence in
    the middle of the body while this side is ready to read. `abort` ends the fetch.
    """

    def __init__(
        self,
        url: str,
        endpoint: Endpoint,
        *,
        method: str = "GET",
        headers: Mapping[str, str],
        header_callback: Callable[[str], None],
        streaming_callback: Callable[[memoryview], Awaitable[None] | None],
        connect_timeout: float,
        first_byte_timeout: float,
        idle_timeout: float,
    ) -> None:
        """`headers` go out as they are; Host is among them."""
        super().__init__(
            url,
            method=method,
            headers=cast(dict[str, str], headers),
            header_callback=header_callback,
            streaming_callback=cast(Any, streaming_callback),
            connect_timeout=connect_timeout,
            request_timeout=0,
            follow_redirects=False,
            decompress_response=False,
            allow_nonstandard_methods=True,
            ssl_options=endpoint.tls,
        )
        self.endpoint = endpoint
        self.first_byte_timeout = first_byte_timeout
        self.idle_timeout = idle_timeout
        self.fetch: Fetch | None = None

    def abort(self) -> None:
        """Close the origin's connection and fail the fetch with `Aborted`; idempotent."""
        if self.fetch is not None:
            self.fetch.abort()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to send: where to, the head, and a body that is known beforehand."""

    endpoint: Endpoint
    head: bytes
    body: bytes | None
    chunked: bool


def prepare(request: Any) -> Prepared:
    """Make a request's head.

    Takes an HTTPRequest merged with the client's defaults. Raises ValueError, KeyError or
    NotImplementedError for what cannot be sent, as Tornado's client does.
    """
    url = request.url
    if isinstance(request.request, OriginRequest):
        return Prepared(
            request.request.endpoint,
            _head(request.request.method, _request_target(url), request.request.headers),
            None,
            False,
        )
    parsed = urllib.parse.urlsplit(url)
    if parsed.scheme not in ("http", "https"):
        raise ValueError(f"Unsupported url scheme: {url}")
    _check(request)
    headers = _generic_headers(request, parsed)
    target = (parsed.path or "/") + (f"?{parsed.query}" if parsed.query else "")
    chunked = request.body_producer is not None and "Content-Length" not in headers
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    elif request.method in _BODY_METHODS and "Content-Length" not in headers:
        headers["Content-Length"] = "0"
    return Prepared(
        _endpoint(request, parsed), _head(request.method, target, headers), request.body, chunked
    )


def _request_target(url: str) -> str:
    """Cut path and query out of an absolute URL that the proxy itself made."""
    slash = url.find("/", url.find("://") + 3)
    return url[slash:] if slash >= 0 else "/"


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"Illegal characters in the request target: {target!r}")
    lines = [f"{method} {target} HTTP/1.1"]
    if isinstance(headers, HTTPHeaders):
        lines += [f"{native_str(n)}: {native_str(v)}" for n, v in headers.get_all()]
    else:
        lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        raise ValueError("Illegal characters (CR, LF or NUL) in header")
    return (text + "\r\n\r\n").encode("latin-1")


def _check(request: Any) -> None:
    if request.method not in _METHODS and not request.allow_nonstandard_methods:
        raise KeyError(f"unknown method {request.method}")
    for name in _UNSUPPORTED:
        if getattr(request, name, None):
            raise NotImplementedError(f"{name} not supported")
    if request.network_interface and not is_valid_ip(request.network_interface):
        raise ValueError(
            "Unrecognized IPv4 or IPv6 address for network_interface, got "
            f"{request.network_interface!r}"
        )
    if not request.allow_nonstandard_methods:
        expected = request.method in _BODY_METHODS
        present = request.body is not None or request.body_producer is not None
        if expected != present:
            raise ValueError(
                f"Body must {'not ' if expected else ''}be None for method {request.method} "
                "(unless allow_nonstandard_methods is true)"
            )


def _generic_headers(request: Any, parsed: urllib.parse.SplitResult) -> HTTPHeaders:
    headers: HTTPHeaders = request.headers
    if "Host" not in headers:
        headers["Host"] = parsed.netloc.rpartition("@")[2]
    username, password = parsed.username, parsed.password or ""
    if username is not None:
        username = urllib.parse.unquote(username)
        password = urllib.parse.unquote(password)
    elif request.auth_username is not None:
        username, password = request.auth_username, request.auth_password or ""
    if username is not None:
        if request.auth_mode not in (None, "basic"):
            raise ValueError(f"unsupported auth_mode {request.auth_mode}")
        pair = encode_username_password(username, password)
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    if request.user_agent:
        headers["User-Agent"] = native_str(request.user_agent)
    elif headers.get("User-Agent") is None:
        headers["User-Agent"] = f"Tornado/{tornado_version}"
    if request.expect_100_continue:
        headers["Expect"] = "100-continue"
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    if request.method == "POST" and "Content-Type" not in headers:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if request.decompress_response:
        headers["Accept-Encoding"] = "gzip"
    return headers


def _endpoint(request: Any, parsed: urllib.parse.SplitResult) -> Endpoint:
    host, port = split_host_and_port(parsed.netloc.rpartition("@")[2])
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    tls = None
    if parsed.scheme == "https":
        tls = _tls_context(request)
    return Endpoint(
        host,
        port or (443 if tls else 80),
        tls,
        socket.AF_INET if request.allow_ipv6 is False else socket.AF_UNSPEC,
        request.network_interface,
    )


_contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}


def _tls_context(request: Any) -> ssl.SSLContext:
    """The context for a request's TLS options; equal options share one, and connections."""
    options = request.ssl_options
    if isinstance(options, ssl.SSLContext):
        return options
    if options is not None:
        key: tuple[Any, ...] = tuple(sorted(options.items()))
    else:
        key = (request.validate_cert, request.ca_certs, request.client_cert, request.client_key)
    context = _contexts.get(key)
    if context is None:
        if options is not None:
            context = ssl_options_to_context(options, server_side=False)
            context.check_hostname = False
        else:
            context = ssl.create_default_context(cafile=request.ca_certs)
            if not request.validate_cert:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if request.client_cert is not None:
                context.load_cert_chain(request.client_cert, request.client_key)
        _contexts[key] = context
    return context
