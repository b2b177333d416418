"""Spans for OpenTelemetry: the program with a real collector, one that is gone, and none at all."""

import re
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import Connection
from tests.e2e.collector import Collector, Taken
from tests.e2e.content import PROJECT
from tests.e2e.programs import environment, run, wait_until
from tests.e2e.scripted import ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import message

SLICE = 1 << 16
CONTENT = bytes(range(256)) * (16 * SLICE // 256)
SPAN = "00f067aa0ba902b7"
"""Whose child the proxy's spans are."""

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "20"}


def new_trace() -> tuple[str, str]:
    """A trace of a test's own, and its traceparent."""
    trace = secrets.token_hex(16)
    return trace, f"00-{trace}-{SPAN}-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(
    shared_origin: ScriptedOrigin, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy of two workers with a cache, whose spans go to the collector."""
    flags = ("--upstream", shared_origin.url, "--workers", "2", "--otel", "--read-ahead", "0")
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "edge"} | SOON
    size = ("--slice-size", str(SLICE))
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, *flags, *size, cache=True, **environ) as started:
        yield started


def named(span: Taken) -> str:
    """The traceparent that names a span."""
    return f"00-{span.trace_id}-{span.span_id}"


def test_a_request_and_what_it_asks(
    origin: ScriptedOrigin, traced: Proxy, collector: Collector
) -> None:
    path = origin.plays(says(answer("201 Created", b"abc")))
    trace, parent = new_trace()
    with Connection(traced.port) as connection:
        lines = (f"traceparent: {parent}", "tracestate: congo=t61r", "X-Request-ID: job-17")
        connection.send(message("POST", f"{path}?signature=s3cret", b"x", *lines))
        assert connection.read_reply("POST").status == 201
    server, client = collector.of(trace, "server client")
    assert (server.parent_id, client.parent_id) == (SPAN, server.span_id)
    (asked,) = origin.asked(path)
    assert asked.get("traceparent") == f"{named(client)}-01"
    assert asked.get("tracestate") == "congo=t61r"
    assert server.name == client.name == "POST"
    assert server.begin <= client.begin <= client.end <= server.end
    told = {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": path,
        "url.query": "signature=REDACTED",
        "server.address": "media.example",
        "server.port": 80,
        "client.address": "127.0.0.1",
        "http.response.status_code": 201,
        "aprp.request_id": "job-17",
        "aprp.bytes": 3,
        "aprp.cache_status": "method",
    }
    assert server.attributes.items() >= told.items()
    told = {
        "http.request.method": "POST",
        "url.full": f"{origin.url}{path}?signature=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": origin.port,
        "http.response.status_code": 201,
        "aprp.bytes": 3,
    }
    assert client.attributes == told
    assert not server.failed and not client.failed
    assert server.resource.items() >= {"service.name": "edge"}.items()
    # What the log says leads to the span.
    line = traced.wait_access_line(f"{path}?signature=s3cret")
    assert (line["trace_id"], line["span_id"]) == (trace, server.span_id)


def test_fills_hang_below_the_request_that_began_them(
    origin: ScriptedOrigin, traced: Proxy, collector: Collector
) -> None:
    path = origin.plays(serves(CONTENT, 'ETag: "a"', "Cache-Control: max-age=3600"))
    opening, parent = new_trace()
    assert traced.get(path, Range="bytes=0-99", traceparent=parent).body == CONTENT[:100]
    server, client, fill = collector.of(opening, "server client internal")
    assert (server.parent_id, client.parent_id, fill.parent_id) == (
        SPAN,
        server.span_id,
        server.span_id,
    )
    assert server.attributes["aprp.cache_status"] == "miss"
    assert server.attributes["aprp.range"] == f"bytes 0-99/{len(CONTENT)}"
    assert fill.attributes["aprp.fill.adopted"] is True
    assert client.attributes["aprp.bytes"] == fill.attributes["aprp.bytes"] == SLICE

    far, parent = new_trace()
    start = 8 * SLICE
    got = traced.get(path, Range=f"bytes={start}-{start + 9}", traceparent=parent)
    assert got.body == CONTENT[start : start + 10]
    server, fill, client = collector.of(far, "server internal client")
    assert (server.parent_id, fill.parent_id, client.parent_id) == (
        SPAN,
        server.span_id,
        fill.span_id,
    )
    assert fill.name == "fill"
    whole = f"bytes={start}-{start + SLICE - 1}"
    assert fill.attributes["aprp.range"] == client.attributes["aprp.range"] == whole
    assert fill.attributes["aprp.bytes"] == client.attributes["aprp.bytes"] == SLICE
    assert client.attributes["http.response.status_code"] == 206
    first, second = origin.asked(path)
    assert (first.get("traceparent") or "")[3:35] == opening
    assert second.get("traceparent") == f"{named(client)}-01"

    hit, parent = new_trace()
    traced.get(path, Range="bytes=10-19", traceparent=parent)
    (server,) = collector.of(hit, "server")
    assert server.attributes["aprp.cache_status"] == "hit"
    assert server.attributes["aprp.bytes"] == 10


def test_a_trace_begins_where_none_comes(
    origin: ScriptedOrigin, traced: Proxy, collector: Collector
) -> None:
    path = origin.plays(says(answer("404 Not Found", b"", "Cache-Control: no-store")))
    assert traced.get(path, traceparent="00-malformed-01", tracestate="a=1").status == 404
    (asked,) = origin.asked(path)
    assert asked.get("tracestate") is None
    sent = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]", asked.get("traceparent") or "")
    assert sent is not None
    server, client = collector.of(sent[1], "server client")
    assert (server.parent_id, client.parent_id) == ("", server.span_id)
    assert client.span_id == sent[2]
    # RFC 9110: 4xx is the client's mistake, which this proxy was to the origin.
    assert (client.failed, server.failed) == (True, False)
    assert client.attributes["error.type"] == "404"


def test_what_the_caller_does_not_sample_is_not_sent(
    origin: ScriptedOrigin, traced: Proxy, collector: Collector
) -> None:
    path = origin.plays(says(answer("204 No Content", b"")))
    trace, parent = new_trace()
    traced.get(path, traceparent=parent[:-2] + "00")
    (asked,) = origin.asked(path)
    said = asked.get("traceparent") or ""
    assert said.startswith(f"00-{trace}-") and said.endswith("-00") and SPAN not in said
    # One that is sampled, and over later, has come: so would the other.
    after, parent = new_trace()
    with Connection(traced.port) as connection:
        connection.ask(path, f"traceparent: {parent[:-2]}00")
        connection.read_reply()
        connection.ask(path, f"traceparent: {parent}")
        connection.read_reply()
    assert len(collector.of(after, "server client")) == 2
    assert not [span for span in collector.spans if span.trace_id == trace]


def test_the_pages_of_the_proxy_itself_have_no_spans(
    origin: ScriptedOrigin, traced: Proxy, collector: Collector
) -> None:
    path = origin.plays(says(answer("204 No Content", b"")))
    own, own_parent = new_trace()
    trace, parent = new_trace()
    with Connection(traced.port) as connection:
        for target, sent in (
            ("/healthz", own_parent),
            ("/stats.json?a", own_parent),
            (path, parent),
        ):
            connection.ask(target, f"traceparent: {sent}")
            connection.read_reply()
    collector.of(trace, "server client")
    assert not [span for span in collector.spans if span.trace_id == own]


def test_each_worker_sends(traced: Proxy, origin: ScriptedOrigin, collector: Collector) -> None:
    path = origin.plays(says(answer("204 No Content", b"")))

    def both() -> bool:
        traced.get(path)
        return len({span.resource["process.pid"] for span in collector.spans}) == 2

    wait_until(both, "spans of both workers")
    assert {span.resource["process.pid"] for span in collector.spans} == set(traced.workers())


def test_a_collector_that_refuses_and_takes_spans_again(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    collector = Collector()
    collector.status = 400
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url} | SOON
    proxy = start_proxy("--upstream", origin.url, "--otel", **environ)
    path = origin.plays(says(answer("200 OK", b"abc")))
    for _ in range(3):
        assert proxy.get(path).body == b"abc"
        collector.wait(lambda: collector.batches)
    wait_until(lambda: "takes no spans" in proxy.log(), "it is told")
    collector.status = 200
    trace, parent = new_trace()
    assert proxy.get(path, traceparent=parent).body == b"abc"
    server, _ = collector.of(trace, "server client")
    assert server.resource["service.name"] == "aprp"
    wait_until(lambda: "takes spans again" in proxy.log(), "the end is told")
    assert proxy.log().count("takes no spans") == 1
    # What has not been sent yet goes out at the stop.
    last, parent = new_trace()
    proxy.get(path, traceparent=parent)
    proxy.stop()
    collector.of(last, "server client")
    collector.close()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("kind", ["gone", "hangs"])
def test_a_collector_that_is_gone_or_hangs(
    origin: ScriptedOrigin, start_proxy: StartProxy, unused_port: int, kind: str
) -> None:
    collector = Collector()
    collector.hangs.set()
    url = collector.url if kind == "hangs" else f"http://127.0.0.1:{unused_port}"
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url} | SOON | queue
    proxy = start_proxy("--upstream", origin.url, "--otel", **environ)
    path = origin.plays(says(answer("200 OK", b"abc")))
    with Connection(proxy.port) as connection:
        for number in range(50):
            connection.ask(path)
            assert connection.read_reply().body == b"abc", number
    if kind == "hangs":
        collector.wait(lambda: collector.batches)
    begun = time.monotonic()
    assert proxy.stop() == 0
    # FLUSH_LIMIT, and what a stop takes on a busy machine.
    assert time.monotonic() - begun < 2.0 + 5.0
    about = [line for line in proxy.log().splitlines() if "OpenTelemetry" in line]
    assert 1 <= len(about) <= 4, about
    proxy.check_faultless()
    assert proxy.stderr == ""
    collector.close()


@pytest.fixture
def without_packages(tmp_path: Path) -> str:
    """A PYTHONPATH on which the packages of OpenTelemetry are not to be found."""
    shadow = tmp_path / "shadow" / "opentelemetry"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("")
    return str(shadow.parent)


def test_without_the_packages(
    origin: ScriptedOrigin, start_proxy: StartProxy, without_packages: str, tmp_path: Path
) -> None:
    path = origin.plays(says(answer("200 OK", b"abc")))
    _, parent = new_trace()
    proxy = start_proxy("--upstream", origin.url, PYTHONPATH=without_packages)
    assert proxy.get(path, traceparent=parent).body == b"abc"
    assert [asked.get("traceparent") for asked in origin.asked(path)] == [parent]
    command = (sys.executable, str(PROJECT / "runserver.py"), "--port", "0", "--otel")
    log = {"APRP_LOG_FILE": str(tmp_path / "aprp.log")}
    done = run(*command, cwd=tmp_path, env=environment(PYTHONPATH=without_packages, **log))
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert line.startswith("aprp: OTEL: the packages of OpenTelemetry are missing")
    assert "pip install 'aprp[otel]'" in line


def test_the_standard_switch(
    origin: ScriptedOrigin, start_proxy: StartProxy, collector: Collector
) -> None:
    path = origin.plays(says(answer("200 OK", b"abc")))
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"}
    proxy = start_proxy("--upstream", origin.url, "--otel", **environ)
    trace, parent = new_trace()
    proxy.get(path, traceparent=parent)
    assert [asked.get("traceparent") for asked in origin.asked(path)] == [parent]
    proxy.stop()
    assert not [span for span in collector.spans if span.trace_id == trace]
