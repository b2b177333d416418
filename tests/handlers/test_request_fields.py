"""The client's fields on their way to the origin, spelt as clients spell them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.handlers.exchange import Exchange
from aprp.handlers.fields import for_media
from aprp.semantics.headers import Fields, Pair

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def passed_on(*pairs: Pair) -> dict[str, str]:
    """What is passed on, less the fields that the proxy itself sets."""
    app = SimpleNamespace(
        settings=SimpleNamespace(VIA_NAME="proxy"),
        clients=SimpleNamespace(
            forwarded=lambda exchange: {"Forwarded": f"for={exchange.peer}"},
        ),
    )
    site = SimpleNamespace(named=False, fields=(), host=None)
    exchange: Any = SimpleNamespace(
        headers=Fields(pairs),
        app=app,
        version="HTTP/1.1",
        peer="1.2.3.4",
        site=site,
        request_id="3f2a",
        span=None,
    )
    fields = for_media(cast(Exchange, exchange))
    assert fields.pop("X-Request-ID") == "3f2a"
    assert fields.pop("Via").endswith("1.1 proxy")
    assert fields.pop("Forwarded") == "for=1.2.3.4"
    return fields


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param(
            [("accept", "*/*"), ("X-Own", "a"), ("AUTHORIZATION", "b")],
            {"accept": "*/*", "X-Own": "a", "AUTHORIZATION": "b"},
            id="9110 5.1 names as they came",
        ),
        pytest.param(
            [("accept-encoding", "gzip")],
            {"Accept-Encoding": "gzip"},
            id="but for the one that a delivery replaces",
        ),
        pytest.param(
            [("Accept-Encoding", "gzip"), ("accept-encoding", "br")],
            {"Accept-Encoding": "gzip, br"},
            id="which is one line, too",
        ),
        pytest.param(
            [("X-A", "1"), ("x-a", "2"), ("X-A", "3")],
            {"X-A": "1, 2, 3"},
            id="9110 5.3 repeated lines are one",
        ),
        pytest.param(
            [("cookie", "a=1"), ("Cookie", "b=2")],
            {"cookie": "a=1; b=2"},
            id="9113 8.2.3 cookies are joined otherwise",
        ),
        pytest.param(
            [
                *(("host", "a"), ("RANGE", "bytes=0-1"), ("if-range", '"a"'), ("via", "1.0 b")),
                *(("content-length", "0"), ("expect", "100-continue"), ("forwarded", "for=c")),
                *(("x-forwarded-FOR", "c"), ("x-forwarded-proto", "c"), ("X-FORWARDED-HOST", "c")),
                *(("x-request-id", "a"), ("X-REQUEST-ID", "b")),
            ],
            {},
            id="what the proxy sets itself",
        ),
        pytest.param(
            [
                *(("connection", "X-Hop, Keep-Alive"), ("x-hop", "a"), ("keep-alive", "5")),
                *(("te", "trailers"), ("proxy-authorization", "b"), ("upgrade", "h2c")),
                *(("transfer-encoding", "chunked"), ("trailer", "x"), ("proxy-connection", "c")),
            ],
            {},
            id="9110 7.6.1 what is for the proxy alone",
        ),
        pytest.param(
            [("TraceParent", PARENT), ("tracestate", "a=1"), ("Tracestate", "b=2")],
            {"TraceParent": PARENT, "tracestate": "a=1, b=2"},
            id="Trace Context 3.4 unchanged",
        ),
        pytest.param(
            [("traceparent", PARENT + "0"), ("tracestate", "a=1"), ("X-Own", "a")],
            {"X-Own": "a"},
            id="Trace Context 3.3 malformed",
        ),
        pytest.param(
            [("traceparent", PARENT), ("Connection", "traceparent"), ("tracestate", "a=1")],
            {},
            id="9110 7.6.1 a trace that is for the proxy alone",
        ),
    ],
)
def test_fields(pairs: list[Pair], expected: dict[str, str]) -> None:
    assert passed_on(*pairs) == expected
