"""Errors as the client sees them: problem details (RFC 9457), one place that maps causes."""

import json
from collections.abc import Mapping
from http.client import responses
from typing import Any, Final

from aprp.sites.guards import Loop
from aprp.upstream.errors import (
    BadResponse,
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    Forbidden,
    HeadTooLarge,
    IdleTimeout,
    OriginClosed,
    OriginFailure,
    Overloaded,
    ResolveFailed,
    TLSFailed,
)

PROBLEM_TYPE: Final = "application/problem+json"

# The words of RFC 9110 where the standard library still has those of its predecessors.
_REASONS: Final = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable"}


def reason_phrase(status: int) -> str:
    """The reason phrase of a status."""
    return _REASONS.get(status) or responses.get(status, "Unknown")


class Problem(Exception):
    """A request that ends with an error answer.

    `status` is the code, `detail` says what is wrong and what to do; `fields` are header fields
    beside the usual ones, `members` further members of the problem object. `private` goes to
    the log, and to the client only where DEBUG is on.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        fields: Mapping[str, str] | None = None,
        private: str | None = None,
        **members: Any,
    ) -> None:
        """See the class."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = dict(fields or {})
        self.private = private
        self.members = members

    def body(self, debug: bool, request_id: str | None = None) -> bytes:
        """The problem object as JSON, with the id of the request if one is given."""
        problem: dict[str, Any] = {
            "title": reason_phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if request_id is not None:
            problem["request_id"] = request_id
        if debug and self.private:
            problem["cause"] = self.private
        return (json.dumps(problem, ensure_ascii=False) + "\n").encode()


LOOP: Final = "The request leads back to this proxy: name the host that is to be reached."
LOOPED: Final = (
    "The request has come through this proxy already: an upstream leads back to it, or another "
    "proxy has the same VIA_NAME."
)

_CAUSES: tuple[tuple[type[OriginFailure], int, str], ...] = (
    (ResolveFailed, 502, "The origin's host name has no address. Check the name and the DNS."),
    (Loop, 508, LOOP),
    (
        Forbidden,
        403,
        "The host's address is not allowed here. FORWARD_ALLOW or TARGET_URL_ALLOW can list it.",
    ),
    (ConnectTimeout, 504, "The origin did not accept a connection within CONNECT_TIMEOUT."),
    (ConnectFailed, 502, "The origin refused the connection. Check that it runs, and its address."),
    (
        TLSFailed,
        502,
        "The TLS handshake with the origin failed. Check its certificate, UPSTREAM_CA.",
    ),
    (Overloaded, 503, "All ORIGIN_MAX_CONNECTIONS connections to origins are busy. Try again."),
    (FirstByteTimeout, 504, "The origin sent no answer within FIRST_BYTE_TIMEOUT."),
    (IdleTimeout, 504, "The origin stopped sending for longer than IDLE_TIMEOUT."),
    (HeadTooLarge, 502, "The origin's response head is larger than MAX_HEADER_SIZE."),
    (BadResponse, 502, "The origin's answer is not valid HTTP."),
    (OriginClosed, 502, "The origin closed the connection before it answered."),
)


def problem_of(error: Exception, origin: str) -> Problem:
    """The problem that a failed fetch from `origin` makes for the client."""
    for kind, status, detail in _CAUSES:
        if isinstance(error, kind):
            fields = {"Retry-After": "1"} if status == 503 else None
            return Problem(status, detail, fields=fields, private=f"{origin}: {_words(error)}")
    raise error


def _words(error: Exception) -> str:
    text = str(getattr(error, "message", None) or getattr(error, "strerror", None) or error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
