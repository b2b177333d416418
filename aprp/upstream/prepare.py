"""Plain HTTPRequests: checked and written as Tornado's client does it."""

import base64
import socket
import ssl
import urllib.parse
from dataclasses import dataclass
from typing import Any

from tornado import version as tornado_version
from tornado.escape import native_str
from tornado.httputil import HTTPHeaders, encode_username_password, split_host_and_port
from tornado.netutil import is_valid_ip, ssl_options_to_context

from aprp.upstream.dial import Endpoint
from aprp.upstream.request import request_head

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
_BODY_METHODS = {"POST", "PATCH", "PUT"}
_UNSUPPORTED = ("proxy_host", "proxy_port", "proxy_username", "proxy_password", "proxy_auth_mode")


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
    pairs = [(native_str(name), native_str(value)) for name, value in headers.get_all()]
    head = request_head(request.method, target, pairs)
    return Prepared(_endpoint(request, parsed), head, request.body, chunked)


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
