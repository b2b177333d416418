"""A client's question as the library takes it."""

from collections.abc import Callable, Mapping
from functools import cached_property

from aprp.media.context import Link
from aprp.media.source import Source
from aprp.semantics.answer import Asked
from aprp.semantics.cache_control import Directives, request_directives
from aprp.semantics.tracing import marks_of


class Request:
    """A GET or HEAD: what is asked, under which key, and with which fields an origin is asked.

    `source` is whom to ask, `target` path and query without the proxy's own range; `get` gives a
    field of the request as it came.
    """

    def __init__(
        self,
        source: Source,
        asked: Asked,
        target: str,
        key: str,
        get: Callable[[str], str | None],
        make_fields: Callable[[], Mapping[str, str]],
    ) -> None:
        """`make_fields` makes `fields`; most requests are answered without."""
        self.source = source
        self.asked = asked
        self.target = target
        self.key = key
        self.get = get
        self._make_fields = make_fields

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The request's own fields for an origin, without Range and If-Range."""
        return self._make_fields()

    @cached_property
    def marks(self) -> Mapping[str, str]:
        """The fields that name this request and no other: its id, its trace."""
        return marks_of(self.fields)

    @property
    def link(self) -> Link:
        """How fills for this request ask."""
        return Link(self.source, self.target, self.fields)

    @cached_property
    def directives(self) -> Directives:
        """What its Cache-Control says."""
        return request_directives(self.get)

    def of_whole(self) -> "Request":
        """The same request without range and conditions."""
        asked = Asked(self.asked.method, None, None, None)
        return Request(self.source, asked, self.target, self.key, self.get, self._make_fields)
