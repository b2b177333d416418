"""ROUTES: several sites behind one proxy, each with its own origins and rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from settings import addresses, hosts, lists
from settings.declare import suggestion
from settings.kinds import HIDDEN, Duration, Kind, RefusedError, Switch, shown
from settings.texts import Listed

# What the path of a route may hold: segments as RFC 3986 has them, none of them empty or dots.
_PATH = re.compile(
    r"/(?:(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+(?:/|\Z))*"
)
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_FIELD_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|")
# They say where a message goes and where it ends, which the proxy itself has to know.
_NOT_TO_BE_SET = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "range",
        "if-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """A site: which requests are its, where they go, and what differs from the other settings.

    Durations are in seconds. None stands for what the setting of the same name says.
    """

    host: str
    """A name in lower case, an address without brackets, `*.` and a name, or "" for every host."""
    path: str
    """The prefix of the paths, which begins with "/"."""
    upstream: tuple[str, ...]
    """URLs of the origins. One that has a path, if only "/", has it in place of the prefix."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Fields that origins get, in place of the client's of these names; they may be secrets."""
    host_field: str | None = None
    """What origins get as Host; None: what they get from other settings."""
    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    cache: bool = True
    """Whether answers may be stored, where there is a cache at all."""
    cache_key_ignore: tuple[str, ...] | None = None
    stale_if_error: float | None = None
    stale_while_revalidate: float | None = None
    heuristic_max: float | None = None

    @property
    def name(self) -> str:
        """What ROUTES calls it: host and path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host + self.path


@dataclass(frozen=True, slots=True)
class Routes(Kind):
    """Routes by host and path: a mapping or list, or either of them as JSON; kept as a tuple."""

    metavar: ClassVar[str] = "JSON"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return (
            'a JSON object of routes such as {"/films/": "http://media:9000/"}, or a list of '
            'objects such as [{"route": "/films/", "upstream": "http://media:9000/"}]'
        )

    @property
    def described(self) -> str:
        """See Kind."""
        return 'a JSON object, such as `{"/films/": "http://media:9000/"}`; see [Routes](#routes)'

    def read(self, value: object) -> tuple[Route, ...]:
        """See Kind."""
        if isinstance(value, str):
            value = _from_json(value) if value else ()
        routes = tuple(_route(name, said) for name, said in _entries(value))
        seen: set[str] = set()
        for route in routes:
            if route.name in seen:
                raise RefusedError(f"route {shown(route.name)} is there twice")
            seen.add(route.name)
        return routes

    def show(self, value: Iterable[Route]) -> str:
        """Return the routes as JSON, without what is in their headers."""
        return json.dumps({route.name: _members(route) for route in value}) if value else ""

    def told(self, value: object) -> str:
        """See Kind: the value may have secrets anywhere."""
        return "what is given"


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, in which a name may be there twice."""


def _from_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        where = f"character {error.pos + 1}"
        raise RefusedError(f"not JSON: {error.msg} at {where}; it is {Routes().allowed}") from None
    except RecursionError:
        raise ValueError from None


def _entries(value: object) -> Iterable[tuple[str, object]]:
    """Yield each route's name and what is said of it, from any of the forms."""
    if isinstance(value, _Pairs):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for place, entry in enumerate(value, 1):
            if isinstance(entry, Route):
                yield entry.name, _members(entry, secrets=True)
                continue
            members = _object(entry, f"entry {place}")
            if not isinstance(name := members.pop("route", None), str):
                raise RefusedError(f'entry {place} has no "route" such as "/films/"')
            yield name, members
    else:
        raise TypeError


def _members(route: Route, *, secrets: bool = False) -> dict[str, Any]:
    """What is said of a route, in the words of ROUTES."""
    said: dict[str, Any] = {"upstream": list(route.upstream)}
    if route.headers:
        said["headers"] = {name: value if secrets else HIDDEN for name, value in route.headers}
    if route.host_field is not None:
        said["host"] = route.host_field
    for name in _PLAIN:
        value = getattr(route, name)
        if value is not None and (name != "cache" or value is False):
            said[name] = list(value) if isinstance(value, tuple) else value
    return said


def _route(name: object, said: object) -> Route:
    if not isinstance(name, str):
        raise RefusedError(f"route {shown(name)} is not {_PLACE}")
    label = f"route {shown(name)}"
    host, slash, rest = name.partition("/")
    path = slash + rest
    try:
        host = hosts.pattern(host) if host else ""
        if not _PATH.fullmatch(path):
            raise ValueError
    except ValueError:
        raise RefusedError(f"{label} is not {_PLACE}") from None
    if isinstance(said, (str, Sequence)) and not isinstance(said, _Pairs):
        said = {"upstream": said}
    members = _object(said, label)
    if "upstream" not in members:
        raise RefusedError(f'{label} has no "upstream" such as "http://media:9000/"')
    found: dict[str, Any] = {}
    for member, value in members.items():
        if member not in _MEMBERS:
            hint = suggestion(str(member), _MEMBERS) or f"; there are {', '.join(_MEMBERS)}"
            raise RefusedError(f"{label}: {shown(member)} is not known{hint}")
        attribute, parse = _MEMBERS[member]
        try:
            found[attribute] = parse(value)
        except RefusedError as error:
            raise RefusedError(f"{label}: {member}: {error}") from None
    return Route(host, path, **found)


def _object(value: object, label: str) -> dict[str, Any]:
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, _Pairs):
        pairs = value
    else:
        raise RefusedError(f"{label}: not a URL, a list of URLs or an object of {_NAMES}")
    found: dict[str, Any] = {}
    for name, member in pairs:
        if name in found:
            raise RefusedError(f"{label}: {shown(name)} is there twice")
        found[name] = member
    return found


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    """Read header fields; of a wrong one the name is told, and never the value."""
    try:
        fields = _object(value, "")
    except RefusedError:
        raise RefusedError('not an object of names and values such as {"X-Key": "1"}') from None
    seen: set[str] = set()
    for name, text in fields.items():
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            raise RefusedError(f"{shown(name)} is not the name of a field, such as X-Key")
        if name.lower() in _NOT_TO_BE_SET:
            hint = '; "host" beside "headers" sets it' if name.lower() == "host" else ""
            raise RefusedError(f"{name} is not for a route to set{hint}")
        if name.lower() in seen:
            raise RefusedError(f"{name} is there twice")
        seen.add(name.lower())
        if not isinstance(text, str) or not _FIELD_VALUE.fullmatch(text):
            raise RefusedError(
                f"the value of {name} is not text without control characters and blanks at its ends"
            )
    return tuple(fields.items())


def _upstream(entry: str) -> str:
    if entry.lower() == addresses.EMBEDDED:
        raise ValueError
    return addresses.upstream(entry)


def _upstreams(value: object) -> tuple[str, ...]:
    """Read the URLs of the origins: one path has to do for all of them."""
    urls: tuple[str, ...] = _Upstreams.parse(value)
    paths = [urlsplit(url).path for url in urls]
    # With or without a slash at its end, a path takes the route's place alike.
    if len({path.rstrip("/") or path for path in paths}) > 1:
        said = ", ".join(path or "none" for path in dict.fromkeys(paths))
        raise RefusedError(
            f"the URLs of one route need the same path, or none at all; these have {said}"
        )
    return urls


def _host(value: object) -> str:
    try:
        if isinstance(value, str):
            return hosts.host_field(value)
    except ValueError:
        pass
    raise RefusedError(f"{shown(value)} is not a host, such as media.example or media.example:8080")


_PLACE = (
    "a path such as /films/, or a host and a path such as img.example.org/ or "
    "*.example.org/thumbs/, without a port"
)
_LIFETIME = Duration(low=0.0)
_WAIT = Duration()
_Upstreams = Listed(
    entry=_upstream,
    meaning="an http or https URL without user, query and fragment, such as http://media:9000/",
    missing="empty: give an http or https URL such as http://media:9000/",
)
_PARSERS: dict[str, Callable[[object], Any]] = {
    "connect_timeout": _WAIT.parse,
    "first_byte_timeout": _WAIT.parse,
    "idle_timeout": _WAIT.parse,
    "cache": Switch().parse,
    "cache_key_ignore": lists.PARAMETERS.parse,
    "stale_if_error": _LIFETIME.parse,
    "stale_while_revalidate": _LIFETIME.parse,
    "heuristic_max": _LIFETIME.parse,
}
_PLAIN = tuple(_PARSERS)
_MEMBERS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "upstream": ("upstream", _upstreams),
    "headers": ("headers", _headers),
    "host": ("host_field", _host),
    **{name: (name, parse) for name, parse in _PARSERS.items()},
}
_NAMES = ", ".join(_MEMBERS)
