"""What a stored response is found by: its cache key (RFC 9111 section 2)."""

from collections.abc import Collection
from functools import lru_cache


def cache_key(upstream: str, target: str, ignored: Collection[str] = ()) -> str:
    """Give the key of a GET: the upstream and the target, without ignored query parameters.

    `target` is path and query as they go to the origin; what is kept of it is kept byte for
    byte and in order. `ignored` names parameters as they stand in a URL, not decoded; a `*` at
    the end stands for any ending, as in `utm_*`. Where no parameter is left the "?" goes too.
    """
    if not ignored or "?" not in target:
        return upstream + target
    exact, prefixes = _patterns(tuple(ignored))
    path, _, query = target.partition("?")
    parameters = query.split("&")
    kept = [
        parameter
        for parameter in parameters
        if (name := parameter.partition("=")[0]) not in exact and not name.startswith(prefixes)
    ]
    if len(kept) == len(parameters):
        return upstream + target
    return f"{upstream}{path}?{'&'.join(kept)}" if kept else upstream + path


@lru_cache(maxsize=16)
def _patterns(ignored: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    return (
        frozenset(name for name in ignored if not name.endswith("*")),
        tuple(name[:-1] for name in ignored if name.endswith("*")),
    )
