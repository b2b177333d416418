"""All sites of an application, made from its settings; and those that clients name."""

import contextlib
import re
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aprp.media.source import Policy, Source
from aprp.semantics.cache_key import cache_key
from aprp.semantics.headers import BadTarget, safe_target
from aprp.semantics.reaching import Reach
from aprp.semantics.routing import Routes, upstream_path
from aprp.sites.guards import ReachGuard
from aprp.sites.keys import canonical_server, route_base, route_key, server_of, upstream_key
from aprp.sites.own import OwnAddress
from aprp.sites.site import MakeAsk, Site, make_site
from aprp.sites.target import SharedTarget
from aprp.upstream.asking import Limits
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from settings.base import Settings
    from settings.routes import Route

# Hosts that clients named and that are remembered, in each worker.
_MOST_NAMED: Final = 1024

_control: Final = re.compile(r"[\x00-\x1f\x7f]").search


class NotAllowed(Exception):
    """A host that may not be reached; the text says which."""


class LeadsBack(Exception):
    """A host that is this proxy itself; the text says how it was named."""


class _Routed:
    """A route's place and its site, as `Routes` takes it."""

    __slots__ = ("host", "path", "site")

    def __init__(self, host: str, path: str, site: Site) -> None:
        self.host = host
        self.path = path
        self.site = site


class Sites:
    """Finds the site of a request.

    `default` is that of UPSTREAM; `forward` says whom clients may name in absolute requests and
    CONNECT, None: nobody; `switch` whom `?target_url=` may name, None: nobody.
    """

    def __init__(
        self,
        settings: "Settings",
        origins: Sequence[Origin],
        tls: ssl.SSLContext,
        make_ask: MakeAsk,
        own: OwnAddress,
    ) -> None:
        """`origins` are those of UPSTREAM, `tls` is for https origins."""
        self._settings = settings
        self._tls = tls
        self._make_ask = make_ask
        self._own = own
        self._limits = Limits(
            settings.CONNECT_TIMEOUT, settings.FIRST_BYTE_TIMEOUT, settings.IDLE_TIMEOUT
        )
        self._policy = Policy(
            settings.STALE_WHILE_REVALIDATE,
            settings.STALE_IF_ERROR,
            settings.HEURISTIC_MAX,
            frozenset(settings.CACHE_KEY_IGNORE),
        )
        self.default = self._make(origins, key=upstream_key(settings.UPSTREAM[0]))
        routed = [_Routed(r.host, r.path, self._routed(r)) for r in settings.ROUTES]
        self._routes = Routes(routed)
        self._fixed = [self.default, *(each.site for each in routed)]
        self.forward = Reach.of(settings.FORWARD_ALLOW) if settings.FORWARD else None
        allowed = settings.TARGET_URL_ALLOW
        self.switch = Reach.of(allowed) if allowed else None
        self._target = SharedTarget()
        self._named: OrderedDict[tuple[str, Reach], Site] = OrderedDict()

    def find(self, host: str | None, path: str) -> Site:
        """The site of a request to this proxy's own name; raises NotAllowed."""
        if self._routes:
            routed = self._routes.find(host, path)
            if routed is not None:
                return routed.site
        if self.switch is not None and (url := self._target.url):
            return self._of_url(url, self.switch, named=True)
        return self.default

    def below(self, host: str | None, prefix: str) -> list[tuple[Source, str]]:
        """What has the paths that begin so and are another site's than the prefix itself is.

        With each source comes the beginning of its targets.
        """
        return [
            (routed.site.source, upstream_path(routed.path, routed.path, routed.site.base))
            for routed in self._routes.below(host, prefix)
        ]

    def of_stored(self, key: str, target: str) -> Site | None:
        """The site that a stored response is of, by its key and target; None where there is none.

        Settings may have changed since it was stored.
        """
        for site in self._fixed:
            if site.cached and site.source.key(target) == key:
                return site
        asked = cache_key("", target, self._policy.ignored)
        url = key.removesuffix(asked)
        if url == key or "#" in url or not url.startswith(("http://", "https://")):
            return None
        for reach, named in ((self.forward, False), (self.switch, True)):
            if reach is not None:
                with contextlib.suppress(NotAllowed, ValueError):
                    return self._of_url(url, reach, named)
        return None

    def server(self, scheme: str, authority: str) -> str:
        """The URL of a server that a client names, in its canonical form.

        Raises LeadsBack for this proxy's own address, ValueError for what is no host.
        """
        found = canonical_server(scheme, authority)
        if found is None:
            raise ValueError(authority)
        server, host, port = found
        if self._own.is_named(host, port):
            raise LeadsBack(authority)
        return server

    def of_server(self, server: str) -> Site:
        """The site of a server that forwarding is asked for; raises NotAllowed."""
        assert self.forward is not None
        return self._of_url(server, self.forward, named=False)

    @property
    def target(self) -> str | None:
        """What UPSTREAM is switched to, None where it is not."""
        return (self._target.url or None) if self.switch is not None else None

    def target_of(self, url: str) -> tuple[str, Site]:
        """The canonical URL and the site of what a client wants to be the upstream.

        That is an http or https host, with or without a base path. Raises NotAllowed, LeadsBack
        for this proxy's own address, ValueError for what is no such URL.
        """
        assert self.switch is not None
        try:
            if _control(url):
                # `urlsplit` would leave tabs and line ends out, and make a host of the rest.
                raise ValueError
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or parts.query or parts.fragment:
                raise ValueError
            path = safe_target(parts.path) if parts.path else ""
            url = self.server(parts.scheme, parts.netloc) + path
        except (ValueError, BadTarget):
            raise ValueError(
                "it has to be an http or https URL without user, query and fragment, such as "
                "http://localhost:9000/films/"
            ) from None
        return url, self._of_url(url, self.switch, named=True)

    def switch_to(self, url: str) -> None:
        """Make a URL that `target_of` gave the upstream of all workers, "" for UPSTREAM.

        Raises ValueError for one that is too long.
        """
        self._target.set(url)

    def _of_url(self, url: str, reach: Reach, named: bool) -> Site:
        key = (url, reach)
        site = self._named.get(key)
        if site is None:
            site = self._make_named(url, reach, named)
            self._named[key] = site
            if len(self._named) > _MOST_NAMED:
                self._named.popitem(last=False)
        else:
            self._named.move_to_end(key)
        return site

    def _make_named(self, url: str, reach: Reach, named: bool) -> Site:
        origin = Origin.parse(url, self._tls)
        host, port = origin.endpoint.host, origin.endpoint.port
        if not reach.host_allowed(host):
            raise NotAllowed(origin.host)
        guard = ReachGuard.of(reach, host, port, self._own)
        guarded = replace(origin, endpoint=origin.endpoint._replace(guard=guard))
        return self._make([guarded], key=upstream_key(url), named=named)

    def _make(self, origins: Sequence[Origin], *, key: str, named: bool = True) -> Site:
        retry_after = self._settings.ORIGIN_RETRY_AFTER
        return make_site(
            origins,
            self._make_ask,
            self._limits,
            self._policy,
            retry_after=retry_after,
            key=key,
            named=named,
        )

    def _routed(self, route: "Route") -> Site:
        limits, policy = self._limits, self._policy
        return make_site(
            [Origin.parse(server_of(url), self._tls) for url in route.upstream],
            self._make_ask,
            Limits(
                _or(route.connect_timeout, limits.connect),
                _or(route.first_byte_timeout, limits.first_byte),
                _or(route.idle_timeout, limits.idle),
            ),
            Policy(
                _or(route.stale_while_revalidate, policy.stale_while_revalidate),
                _or(route.stale_if_error, policy.stale_if_error),
                _or(route.heuristic_max, policy.heuristic_max),
                policy.ignored
                if route.cache_key_ignore is None
                else frozenset(route.cache_key_ignore),
            ),
            retry_after=self._settings.ORIGIN_RETRY_AFTER,
            prefix=route.path,
            base=route_base(route),
            key=route_key(route),
            cached=route.cache,
            fields=route.headers,
            host=route.host_field,
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
