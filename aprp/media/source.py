"""Where the bytes of a request come from: whom to ask, and what holds of what they answer."""

from collections.abc import Callable
from dataclasses import dataclass

from aprp.semantics.cache_key import cache_key
from aprp.upstream.asking import Ask, Reader


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator sets of freshness, in seconds; `ignored` are parameters outside the key."""

    stale_while_revalidate: float
    stale_if_error: float
    heuristic_max: float
    ignored: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The origins of one site, as the media path uses them.

    `upstream` is the URL that stands for all of them in cache keys; `make_ask` makes a question to
    them.
    """

    upstream: str
    make_ask: Callable[[Reader], Ask]
    policy: Policy

    def key(self, target: str) -> str:
        """The cache key of a target."""
        return cache_key(self.upstream, target, self.policy.ignored)
