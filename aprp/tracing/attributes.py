"""What spans say, under the names of OpenTelemetry's semantic conventions for HTTP.

Names that begin with `aprp.` are the proxy's own; docs/tracing.md has them all.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from aprp.semantics.hosts import split_authority

Attributes: TypeAlias = dict[str, str | int | float | bool]

# The conventions' list: what is not on it may be anything a client thinks of.
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_PORTS: Final = {"http": 80, "https": 443}

# Those of the conventions, which aprp's own `signature` is among, and what else opens a link.
_SECRET: Final = re.compile(
    r"(?<![^&])(signature|sig|token|awsaccesskeyid|x-(?:goog|amz)-(?:signature|credential)"
    r"|x-amz-security-token)=[^&]*",
    re.IGNORECASE,
)
_USER: Final = re.compile(r"(?<=://)[^/?#]*@")
_MOST: Final = 2048
"""Characters of a value that a client chooses."""


def redacted(query: str) -> str:
    """Give a query without the values of those parameters that open a link."""
    return _SECRET.sub(r"\1=REDACTED", query)


def span_name(method: str) -> str:
    """Name the span of a request."""
    return method if method in _METHODS else "HTTP"


def of_method(method: str) -> Attributes:
    """Tell the method."""
    if method in _METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method[:_MOST]}


def of_request(
    method: str,
    resource: str,
    version: str,
    seen_as: tuple[str, str | None],
    get: Callable[[str], str | None],
) -> Attributes:
    """Tell of a client's request.

    `resource` is path and query, `seen_as` the scheme and the Host that the client knows, `get`
    gives a field of the request.
    """
    scheme, host = seen_as
    told = of_method(method)
    told["url.scheme"] = scheme
    path, mark, query = resource.partition("?")
    # That of CONNECT is a host.
    if path.startswith(("/", "*")):
        told["url.path"] = path[:_MOST]
    if mark:
        told["url.query"] = redacted(query)[:_MOST]
    authority = split_authority(host) if host is not None else None
    if authority is not None:
        told["server.address"] = authority[0]
        told["server.port"] = authority[1] or _PORTS.get(scheme, 80)
    told["network.protocol.version"] = version.rpartition("/")[2]
    if (agent := get("User-Agent")) is not None:
        told["user_agent.original"] = agent[:_MOST]
    return told


def of_question(
    method: str, url: str, host: str, port: int, fields: Mapping[str, str]
) -> Attributes:
    """Tell of a request to an origin; `fields` have their names in lower case."""
    told = of_method(method)
    address, mark, query = _USER.sub("", url, count=1).partition("?")
    told["url.full"] = f"{address}{mark}{redacted(query)}"[:_MOST]
    told["server.address"] = host
    told["server.port"] = port
    if (wanted := fields.get("range")) is not None:
        told["aprp.range"] = wanted[:_MOST]
    return told


def of_cache(cache_status: str) -> Attributes:
    """Tell what the cache did; `cache_status` is a field whose last member is the proxy's own."""
    _, *words = (word.strip() for word in cache_status.rpartition(",")[2].split(";"))
    told: Attributes = {}
    for word in words:
        name, _, value = word.partition("=")
        if name in ("hit", "fwd"):
            told["aprp.cache_status"] = value or name
        elif name == "collapsed":
            told["aprp.cache_collapsed"] = True
    return told
