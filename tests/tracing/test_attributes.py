"""What spans say: the names of the semantic conventions, and nothing that opens a link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv.attributes import (
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)

from aprp.tracing.attributes import (
    of_cache,
    of_method,
    of_question,
    of_request,
    redacted,
    span_name,
)


def no_field(name: str) -> None:
    return None


def test_a_request_in_the_names_of_the_conventions() -> None:
    told = of_request(
        "GET",
        "/films/a.mp4?range=0-99&signature=abc",
        "HTTP/1.1",
        ("https", "Media.Example:8443"),
        {"User-Agent": "player/1"}.get,
    )
    assert told == {
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        url_attributes.URL_SCHEME: "https",
        url_attributes.URL_PATH: "/films/a.mp4",
        url_attributes.URL_QUERY: "range=0-99&signature=REDACTED",
        server_attributes.SERVER_ADDRESS: "media.example",
        server_attributes.SERVER_PORT: 8443,
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
        user_agent_attributes.USER_AGENT_ORIGINAL: "player/1",
    }


@pytest.mark.parametrize(
    ("scheme", "host", "where"),
    [
        ("http", "a.example", ("a.example", 80)),
        ("https", "a.example", ("a.example", 443)),
        ("http", "[::1]:81", ("::1", 81)),
        ("http", "a:b", (None, None)),
        ("http", None, (None, None)),
    ],
)
def test_the_server_is_what_the_client_calls_it(
    scheme: str, host: str | None, where: tuple[str | None, int | None]
) -> None:
    told = of_request("GET", "/", "HTTP/1.0", (scheme, host), no_field)
    assert (told.get("server.address"), told.get("server.port")) == where
    assert "url.query" not in told and "user_agent.original" not in told


def test_connect_has_no_path() -> None:
    told = of_request("CONNECT", "a.example:443", "HTTP/1.1", ("http", "a.example:443"), no_field)
    assert "url.path" not in told and told["server.port"] == 443


def test_a_method_that_nobody_knows() -> None:
    assert of_method("BREW") == {
        http_attributes.HTTP_REQUEST_METHOD: "_OTHER",
        http_attributes.HTTP_REQUEST_METHOD_ORIGINAL: "BREW",
    }
    assert (span_name("BREW"), span_name("PATCH")) == ("HTTP", "PATCH")


def test_a_question_tells_no_password() -> None:
    url = "https://user:secret@origin.example:8443/a?sig=abc"
    told = of_question("GET", url, "origin.example", 8443, {"range": "bytes=0-99"})
    assert told == {
        "http.request.method": "GET",
        url_attributes.URL_FULL: "https://origin.example:8443/a?sig=REDACTED",
        "server.address": "origin.example",
        "server.port": 8443,
        "aprp.range": "bytes=0-99",
    }
    plain = of_question("GET", "http://a.example/b@c", "a.example", 80, {})
    assert plain["url.full"] == "http://a.example/b@c"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("Signature=1", "Signature=REDACTED"),
        ("a=1&AWSAccessKeyId=2&b=3", "a=1&AWSAccessKeyId=REDACTED&b=3"),
        ("X-Goog-Signature=1", "X-Goog-Signature=REDACTED"),
        (
            "X-Amz-Signature=1&X-Amz-Credential=2",
            "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED",
        ),
        ("sig=a=b&sig=c", "sig=REDACTED&sig=REDACTED"),
        ("design=1&resig=2&signature", "design=1&resig=2&signature"),
    ],
)
def test_what_opens_a_link_is_left_out(query: str, told: str) -> None:
    assert redacted(query) == told


@given(st.text(alphabet="asignture=&-1"), st.text(min_size=1, alphabet="xyz"))
def test_a_signature_is_left_out_wherever_it_stands(before: str, secret: str) -> None:
    assert secret not in redacted(f"{before}&signature={secret}&a=1")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("aprp; hit; ttl=30", {"aprp.cache_status": "hit"}),
        ("aprp; fwd=miss; fwd-status=200; stored", {"aprp.cache_status": "miss"}),
        (
            "aprp; fwd=partial; collapsed",
            {"aprp.cache_status": "partial", "aprp.cache_collapsed": True},
        ),
        ("far; hit, aprp; fwd=stale", {"aprp.cache_status": "stale"}),
    ],
)
def test_what_the_cache_did(status: str, told: dict[str, str | bool]) -> None:
    assert of_cache(status) == told
