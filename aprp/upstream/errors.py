"""What can go wrong between the proxy and an origin, as types.

    OriginFailure
        Undelivered             the request was never sent: another origin may be asked
            ResolveFailed       the name has no address
            ConnectFailed       refused, unreachable
            ConnectTimeout      resolving, connecting or the TLS handshake took too long
            TLSFailed           the handshake failed; a certificate that is not trusted, say
            Overloaded          no free connection within the connect timeout
        Forbidden               the address is one that may not be connected to
        FirstByteTimeout        the request was sent and no answer came
        IdleTimeout             the answer, or taking the request's body, stopped in the middle
        TotalTimeout            the whole fetch took longer than it may
        BadResponse             what came is not HTTP, or cannot be delimited
        HeadTooLarge            the header section is over the limit
        OriginClosed            the connection ended before the response did
        Aborted                 this side gave the fetch up

Each is also an exception that Tornado's own client raises in that place, so that code written
for `SimpleAsyncHTTPClient` catches it.
"""

import ssl

from tornado.iostream import UnsatisfiableReadError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError


class OriginFailure(Exception):
    """The origin gave no complete response."""


class Undelivered(OriginFailure):
    """The request was never sent, so that asking elsewhere cannot repeat it."""


class ResolveFailed(Undelivered, OSError):
    """The origin's host name has no address."""


class ConnectFailed(Undelivered, OSError):
    """No address of the origin accepted a connection."""


class ConnectTimeout(Undelivered, HTTPTimeoutError):
    """Resolving, connecting or the TLS handshake took longer than the connect timeout."""


class TLSFailed(Undelivered, ssl.SSLError):
    """The TLS handshake failed."""


class Overloaded(Undelivered, HTTPTimeoutError):
    """Every connection that may be open was busy for longer than the connect timeout."""


class Forbidden(OriginFailure):
    """The endpoint's guard refused every address of it; nothing was connected to."""

    def __init__(self, address: str, why: str = "not allowed") -> None:
        """`address` is what was refused."""
        super().__init__(f"address refused: {address} ({why})")
        self.address = address


class FirstByteTimeout(OriginFailure, HTTPTimeoutError):
    """The origin took the request and sent no response head in time."""


class IdleTimeout(OriginFailure, HTTPTimeoutError):
    """The origin sent, or took, no bytes for too long in the middle of a body."""


class TotalTimeout(OriginFailure, HTTPTimeoutError):
    """The fetch took longer than its request timeout."""


class BadResponse(OriginFailure, HTTPStreamClosedError):
    """The response is malformed, or its end cannot be told."""


class HeadTooLarge(OriginFailure, UnsatisfiableReadError):
    """The response's header section is larger than the limit."""


class OriginClosed(OriginFailure, HTTPStreamClosedError):
    """The origin closed the connection before the response was complete."""


class Aborted(OriginFailure, HTTPStreamClosedError):
    """This side ended the fetch."""
