"""W3C Trace Context on its way through, and slow requests in the log."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.scripted import ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import message

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
FAR = f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("parent", [PARENT, FAR])
def test_a_trace_is_passed_on_unchanged(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str, parent: str
) -> None:
    path = origin.plays(says(answer("200 OK", b"")))
    state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    lines = (f"traceparent: {parent}", f"tracestate: {state}")
    with Connection(scripted_proxy.port) as connection:
        if method == "POST":
            connection.send(message(method, path, b"x", *lines))
        else:
            connection.ask(path, *lines, method=method)
        assert connection.read_reply(method).status == 200
    (asked,) = origin.asked(path)
    assert (asked.get("traceparent"), asked.get("tracestate")) == (parent, state)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("lines", "parent"),
    [
        ((), None),
        (("tracestate: a=1",), None),
        ((f"traceparent: ff{PARENT[2:]}", "tracestate: a=1"), None),
        ((f"traceparent: {PARENT}", f"traceparent: {PARENT}", "tracestate: a=1"), None),
        ((f"traceparent: {PARENT}", "tracestate: A=1"), PARENT),
    ],
)
def test_what_is_malformed_is_dropped_and_nothing_is_made(
    origin: ScriptedOrigin,
    scripted_proxy: Proxy,
    method: str,
    lines: tuple[str, ...],
    parent: str | None,
) -> None:
    path = origin.plays(says(answer("200 OK", b"x")))
    with Connection(scripted_proxy.port) as connection:
        if method == "POST":
            connection.send(message(method, path, b"x", *lines))
        else:
            connection.ask(path, *lines)
        assert connection.read_reply(method).status == 200
    (asked,) = origin.asked(path)
    assert (asked.get("traceparent"), asked.get("tracestate")) == (parent, None)


def test_the_trace_in_the_log(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    scripted_proxy.get(f"{path}?1", traceparent=PARENT)
    scripted_proxy.get(f"{path}?2", traceparent=PARENT.upper())
    scripted_proxy.get(f"{path}?3")
    lines = [scripted_proxy.wait_access_line(f"{path}?{n}") for n in (1, 2, 3)]
    told = [(line["trace_id"], line["span_id"]) for line in lines]
    assert told == [(TRACE, SPAN), (None, None), (None, None)]


# Slow requests.


@pytest.fixture(scope="module")
def unlimited(
    shared_fault_origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy before `source` for which no request is slow."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_fault_origin.url) as started:
        yield started


def test_a_slow_request_is_marked(
    source: FaultOrigin, unlimited: Proxy, start_proxy: StartProxy
) -> None:
    file = source.add(1000)
    file.delay = 0.1
    proxy = start_proxy("--upstream", source.url, "--slow-request", "90ms")
    proxy.get(f"{file.path}?get")
    proxy.head(f"{file.path}?head")
    for target in (f"{file.path}?get", f"{file.path}?head"):
        line = proxy.wait_access_line(target)
        assert (line["slow"], line["level"]) == (True, "WARNING")
    patient = start_proxy("--upstream", source.url, "--slow-request", "1h")
    for other in (patient, unlimited):
        other.get(file.path)
        line = other.wait_access_line(file.path)
        assert (line["slow"], line["level"]) == (False, "INFO")


def test_slow_requests_alone(source: FaultOrigin, start_proxy: StartProxy) -> None:
    file = source.add(1000)
    flags = ("--upstream", source.url, "--slow-request", "90ms", "--no-access-log")
    proxy = start_proxy(*flags, APRP_LOG_FORMAT="text")
    file.delay = 0.1
    proxy.get(file.path, **{"X-Request-ID": "job-17"})
    assert re.fullmatch(
        rf".* WARNING \[\d+\] 127\.0\.0\.1 .* {file.path} .* id=job-17 slow\n", proxy.log()
    )


def test_slow_requests_in_the_combined_format(source: FaultOrigin, start_proxy: StartProxy) -> None:
    file = source.add(1000)
    file.delay = 0.1
    flags = ("--upstream", source.url, "--slow-request", "90ms")
    proxy = start_proxy(*flags, APRP_LOG_FORMAT="combined")
    proxy.get(file.path, **{"X-Request-ID": "job-17"})
    apache, text = proxy.log().splitlines()
    assert re.fullmatch(
        rf'127\.0\.0\.1 - - \[[^]]+\] "GET {file.path} HTTP/1\.1" 200 1000 "-" "-"', apache
    )
    assert " WARNING " in text and text.endswith(" id=job-17 slow")


def test_lines_are_json_with_every_member(source: FaultOrigin, unlimited: Proxy) -> None:
    file = source.add(1000)
    before = len(unlimited.log())
    unlimited.get(file.path)
    unlimited.wait_access_line(file.path)
    (line,) = [json.loads(line) for line in unlimited.log()[before:].splitlines()]
    assert {"request_id", "slow", "trace_id", "span_id"} <= line.keys()
