"""A site: origins, where clients see them, and what holds of their answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aprp.media.source import Policy, Source
from aprp.semantics.headers import Pair
from aprp.semantics.rewriting import Names
from aprp.semantics.routing import upstream_path
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.origins import Origin, Origins

MakeAsk = Callable[[Origins, Limits, Reader], Ask]


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where requests go. `origins` lead to the servers themselves, without a base path.

    Paths that begin with `prefix` are asked for under `base`, the path of the origins' URL, where
    that is not "" (see `aprp.semantics.routing.upstream_path`). `cached`: answers may be stored.
    `named`: it is known to clients under this proxy's name, and not under its own.
    `fields` are sent to the origins in place of the client's of the same names, `host` as Host.
    """

    origins: Origins
    source: Source
    prefix: str
    base: str
    cached: bool
    named: bool
    fields: tuple[Pair, ...]
    host: str | None

    def target(self, path: str) -> str:
        """The path that the origins are asked for."""
        return upstream_path(path, self.prefix, self.base)

    def names(self, scheme: str, host: str | None, asked: str | None = None) -> Names | None:
        """Both names of the site, for a client that named the proxy so; None: they are one.

        `asked` is the URL of the origin that is spoken with, if it is known yet.
        """
        if not self.named:
            return None
        prefix = self.prefix.rstrip("/") if self.base else ""
        url = (asked or self.origins.origins[0].url) + self.base.rstrip("/")
        try:
            return Names.of(f"{scheme}://{host or ''}{prefix}", url)
        except ValueError:
            # A Host that is none (`a:b`): nothing can be told to be its.
            return None


def make_site(
    origins: Sequence[Origin],
    make_ask: MakeAsk,
    limits: Limits,
    policy: Policy,
    *,
    retry_after: float,
    key: str,
    prefix: str = "/",
    base: str = "",
    cached: bool = True,
    named: bool = True,
    fields: tuple[Pair, ...] = (),
    host: str | None = None,
) -> Site:
    """Make a site of its origins; `key` stands for them in cache keys.

    `retry_after` is in seconds: so long an origin that could not be reached is tried last.
    """
    ordered = Origins(origins, retry_after)

    def ask(reader: Reader) -> Ask:
        return make_ask(ordered, limits, reader)

    source = Source(key, ask, policy)
    return Site(ordered, source, prefix, base, cached, named, fields, host)
