"""Sources of bytes as the media path knows them, for tests that have an origin of their own."""

from collections.abc import Callable

from aprp.media.source import Policy, Source
from aprp.upstream.asking import Ask, Reader

POLICY = Policy(0.0, 0.0, 0.0, frozenset())


def site_of(make_ask: Callable[[Reader], Ask]) -> Source:
    """A source that is asked by `make_ask`."""
    return Source("http://origin.test", make_ask, POLICY)


def nobody(reader: Reader) -> Ask:
    """For tests in which no origin is asked."""
    raise AssertionError("nobody is asked")
