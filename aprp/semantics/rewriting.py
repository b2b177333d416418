"""A site under another name: what tells of the origin's place is turned into the proxy's, and back.

Only what names the other side for certain is changed. Foreign hosts stay as they are, and so
does a reference to a part of the origin that has no place behind the proxy.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aprp.semantics.hosts import address_of
from aprp.semantics.references import (
    hostless,
    is_plain,
    names_host,
    resolved,
    split,
    without_dots,
)

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_BLANKS: Final = " \t"

# Host and port. With a user's name before it a host is nobody's: that is not what a site writes.
_match_authority: Final = re.compile(r"(\[[^\[\]@\\]*+\]|[^:@\[\]\\]*+)(?::([0-9]*+))?").fullmatch
_match_refresh: Final = re.compile(
    r"([ \t]*+[0-9.]*+[ \t]*+[;,][ \t]*+(?:url[ \t]*+=[ \t]*+)?+)"
    r"""(?:(?:(")([^"]*+)|(')([^']*+))(.*+)|(.*+))""",
    re.IGNORECASE | re.DOTALL,
).fullmatch


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site begins: scheme, host, port ("": the scheme's own) and the path of its root.

    The host is in lower case, an IPv6 address in brackets, "" where it is not known. The path
    has no slash at its end: "" or "/films".
    """

    scheme: str
    host: str
    port: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read the http or https URL of a site's root; raises ValueError for anything else."""
        return _place(url)

    @property
    def authority(self) -> str:
        """Host and port as in Host and in URLs."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def origin(self) -> str:
        """Scheme, host and port as in the Origin field (RFC 6454 section 6.2)."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Names:
    """The two names of one site: `proxy`'s is the clients', `origin`'s is the server's own.

    What clients ask for under the path of the one is asked for under the path of the other.
    """

    proxy: Place
    origin: Place

    @classmethod
    def of(cls, proxy: str, origin: str) -> "Names":
        """Read both from URLs: `http://proxy.example/films`, `http://media:9000`.

        The proxy's may lack the host (`http:///films`) where a client of HTTP/1.0 named none.
        Raises ValueError for what is no http or https URL.
        """
        return cls(_place(proxy), _place(origin))


def client_location(value: str, names: Names, asked: str | None = None) -> str:
    """Give a Location or Content-Location of the origin as clients can use it.

    URLs that begin with the origin's place begin with the proxy's then. The origin may use the
    proxy's scheme for its own, as X-Forwarded-Proto tells it to. Of references without a host,
    absolute paths are put under the proxy's path, unless they lie there already: some
    applications are told under which path they are seen.

    `asked` is path and query of the request to the origin. With it relative references become
    absolute paths (RFC 3986 section 5.2), which is needed where the client's path had another
    shape, and a redirect from http to https of that very resource is left alone: under the
    proxy's name it would lead in a circle.
    """
    if not is_plain(value):
        return value
    scheme, authority, path, rest = split(value)
    proxy, origin = names.proxy, names.origin
    if authority is not None:
        if not _is_origin(scheme, authority, names):
            return value
        if (
            scheme not in (None, origin.scheme)
            and asked is not None
            and (path or "/") + rest == asked
        ):
            return value
        moved = _moved(path, origin.path, proxy.path)
        if moved is None:
            return value
        if not proxy.host:
            return hostless(moved or "/") + rest
        return f"{'' if scheme is None else proxy.scheme + ':'}//{proxy.authority}{moved}{rest}"
    # To browsers a backslash is a slash, so that a path that begins with one is not relative.
    if scheme is not None or path.startswith("\\") or not (path or rest.startswith("?")):
        return value
    if path.startswith("/"):
        if names_host(path) or proxy.path == origin.path or _settled(without_dots(path), names):
            return value
        moved = _moved(path, origin.path, proxy.path)
    elif asked is None:
        return value
    else:
        moved = _moved(resolved(path, asked), origin.path, proxy.path)
    return value if moved is None else hostless(moved) + rest


def client_refresh(value: str, names: Names, asked: str | None = None) -> str:
    """Give a Refresh of the origin with its URL as by `client_location`, all else as it was.

    The field is that of the HTML standard: seconds, and after ";" or "," a URL, with `url=`
    before it and quotes around it or without.
    """
    match = _match_refresh(value)
    if match is None:
        return value
    before, double, in_double, single, in_single, after, bare = match.groups()
    if bare is not None:
        return before + client_location(bare, names, asked) if bare else value
    url = in_double if double else in_single
    return f"{before}{double or single}{client_location(url, names, asked)}{after}"


def client_cookie(value: str, names: Names) -> str:
    """Give a Set-Cookie of the origin so that browsers keep it for the proxy's name.

    A Domain that covers the origin is taken out, and the cookie is the proxy's own host's, unless
    the Domain covers the proxy too (RFC 6265 section 5.1.3). A Path under the origin's path is
    put under the proxy's, one above it becomes the proxy's path. A cookie named `__Host-...` keeps
    its Path, without which browsers refuse it. Everything else stays byte for byte.
    """
    cookie, *attributes = value.split(";")
    if not attributes:
        return value
    # RFC 6265 section 5.3: of several Domains the last counts; an empty one is none.
    domains = [text.lower().removeprefix(".") for a in attributes if (text := _of(a, "domain"))]
    if domains and _covers(domains[-1], names.origin) and not _covers(domains[-1], names.proxy):
        attributes = [a for a in attributes if _of(a, "domain") is None]
    if not cookie.lstrip(_BLANKS).lower().startswith("__host-"):
        attributes = [_with_path(attribute, names) for attribute in attributes]
    return ";".join((cookie, *attributes))


def origin_origin(value: str, names: Names) -> str:
    """Give an Origin field for the origin: its own name in the place of the proxy's.

    Another site's stays: what the origin refuses to that, it refuses through the proxy as well.
    """
    scheme, authority, path, rest = split(value)
    if path or rest or not _is_proxy(scheme, authority, names):
        return value
    return names.origin.origin


def origin_referer(value: str, names: Names) -> str:
    """Give a Referer for the origin: its own URL of the page, if it is one of the proxy's.

    A Referer without a path, as some policies want it, names the site alone and so does the
    one given back.
    """
    scheme, authority, path, rest = split(value)
    if path in ("", "/") and not rest and _is_proxy(scheme, authority, names):
        return f"{names.origin.origin}/"
    return origin_destination(value, names)


def origin_destination(value: str, names: Names) -> str:
    """Give a WebDAV Destination (RFC 4918 section 10.3) for the origin: a URL or absolute path.

    One that lies outside of the proxy's place is left as it is.
    """
    if not is_plain(value):
        return value
    scheme, authority, path, rest = split(value)
    moved = _moved(path, names.proxy.path, names.origin.path)
    if moved is None:
        return value
    if authority is None and scheme is None and path.startswith("/") and not names_host(path):
        return hostless(moved) + rest if moved != path else value
    if not _is_proxy(scheme, authority, names):
        return value
    return f"{names.origin.origin}{moved}{rest}"


@lru_cache(maxsize=256)
def _place(url: str) -> Place:
    scheme, authority, path, rest = split(url)
    match = None if authority is None else _match_authority(authority)
    if scheme is None or scheme not in _DEFAULT_PORTS or match is None or rest:
        raise ValueError(f"{url!r} is not the http or https URL of a site")
    return Place(scheme, match[1].lower(), _port(match[2], scheme), path.rstrip("/"))


def _port(digits: str | None, scheme: str) -> str:
    port = (digits or "").lstrip("0")
    return "" if port == _DEFAULT_PORTS[scheme] else port


def _is_origin(scheme: str | None, authority: str, names: Names) -> bool:
    """Whether scheme (None: left out) and authority are the origin's."""
    origin = names.origin
    match = _match_authority(authority)
    if match is None or match[1].lower() != origin.host:
        return False
    scheme = scheme or origin.scheme
    if scheme not in (origin.scheme, names.proxy.scheme):
        return False
    return origin.port in (_port(match[2], scheme), _port(match[2], origin.scheme))


def _is_proxy(scheme: str | None, authority: str | None, names: Names) -> bool:
    """Whether scheme and authority, as browsers write them, are the proxy's."""
    proxy = names.proxy
    if authority is None or scheme != proxy.scheme or not proxy.host:
        return False
    match = _match_authority(authority)
    return match is not None and (match[1].lower(), _port(match[2], scheme)) == (
        proxy.host,
        proxy.port,
    )


def _under(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")


def _settled(path: str, names: Names) -> bool:
    """Whether a path without a host is the proxy's already, by all that can be known of it."""
    prefix = names.proxy.path
    return prefix != "" and _under(prefix, names.origin.path) and _under(path, prefix)


def _moved(path: str, source: str, to: str) -> str | None:
    """Give the path under `to` that stands for one under `source`; None if it is not there."""
    plain = without_dots(path)
    if not _under(plain, source):
        return None
    if source == to:
        return path
    rest = plain[len(source) :]
    if not rest and not (source and to):
        rest = "/"
    return to + rest


def _of(attribute: str, name: str) -> str | None:
    """Give the value of a cookie's attribute if it has that name (RFC 6265 section 5.2)."""
    key, _, value = attribute.partition("=")
    return value.strip(_BLANKS) if key.strip(_BLANKS).lower() == name else None


def _covers(domain: str, place: Place) -> bool:
    """Whether a host domain-matches a Domain, both in lower case (RFC 6265 section 5.1.3)."""
    host = place.host.strip("[]")
    return host == domain or (host.endswith(f".{domain}") and address_of(host) is None)


def _with_path(attribute: str, names: Names) -> str:
    path = _of(attribute, "path")
    if not path or not path.startswith("/"):
        return attribute
    before, _, after = attribute.rpartition(path)
    return f"{before}{_cookie_path(path, names)}{after}"


def _cookie_path(path: str, names: Names) -> str:
    prefix, base = names.proxy.path, names.origin.path
    if prefix == base or _settled(path, names):
        return path
    # "/" and "" are one to cookies; a browser that computes a Path writes none but the first with
    # a slash at its end (RFC 6265 section 5.1.4), and two cookies must not come of one.
    bare = "" if path == "/" else path
    if _under(bare, base):
        return prefix + bare[len(base) :] or "/"
    return (prefix or "/") if _under(base, path.removesuffix("/")) else path
