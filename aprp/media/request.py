"""A client's question as the library takes it."""

from collections.abc import Callable, Mapping
from functools import cached_property

from aprp.semantics.answer import Asked
from aprp.semantics.cache_control import Directives, request_directives


class Request:
    """A GET or HEAD: what is asked, under which key, and with which fields an origin is asked.

    `target` is path and query without the proxy's own range; `get` gives a field of the request
    as it came.
    """

    def __init__(
        self,
        asked: Asked,
        target: str,
        key: str,
        get: Callable[[str], str | None],
        make_fields: Callable[[], Mapping[str, str]],
    ) -> None:
        """`make_fields` makes `fields`; most requests are answered without."""
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
    def directives(self) -> Directives:
        """What its Cache-Control says."""
        return request_directives(self.get)

    def of_whole(self) -> "Request":
        """The same request without range and conditions."""
        asked = Asked(self.asked.method, None, None, None)
        return Request(asked, self.target, self.key, self.get, self._make_fields)
