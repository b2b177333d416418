"""The three forms of a line, and that no value a stranger chose can break one."""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.logs.formats import FORMATTERS, AccessEntry, TextFormatter

AT = 1795255200.123456  # 2026-11-21 10:00:00.123456 UTC

FULL = AccessEntry(
    client="192.0.2.7",
    method="GET",
    target="/films/a.mp4?x=1",
    version="HTTP/1.1",
    status=206,
    range="bytes 0-99/1000",
    sent=100,
    first_byte=0.0031,
    total=0.0104567,
    origin="http://127.0.0.1:9000",
    request_id="3f2a",
    referer="http://player.example/",
    user_agent="Mozilla/5.0 (X11)",
    end="client went away",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
BARE = AccessEntry("2001:db8::1", "HEAD", "/", "HTTP/1.0", 404)
SLOW = replace(FULL, slow=True)

EVIL = [
    "/a\r\n2026-11-21 10:00:00.123 INFO [1] forged",
    "/a\nb",
    "/a\x1b[2J\x1b]0;title\x07",
    "/a\x00b\x7fc\x9b31m",
    '/a" 200 5 "forged" "x',
    '","status":200,"x":"',
    "\\",
    "/a\\",
    "/a b\tc",
    "line\u2028separator \u202eoverride \x85next",
    "/ä/\U0001f600",
    "lone \udc80",
    "",
]


def record(message: object, level: int = logging.INFO, at: float = AT) -> logging.LogRecord:
    made = logging.LogRecord("aprp.access", level, "", 0, message, None, None)
    made.created = at
    made.msecs = int(at % 1 * 1000)
    made.process = 4711
    return made


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setenv("TZ", getattr(request, "param", "UTC"))
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("form", "entry", "line"),
    [
        (
            "text",
            FULL,
            "2026-11-21 10:00:00.123 INFO [4711] 192.0.2.7       206 GET  /films/a.mp4?x=1"
            ' range="bytes 0-99/1000" sent=100 first=0.003 total=0.010'
            ' origin=http://127.0.0.1:9000 id=3f2a end="client went away"',
        ),
        (
            "text",
            BARE,
            "2026-11-21 10:00:00.123 INFO [4711] 2001:db8::1     404 HEAD /"
            " range=- sent=0 first=- total=0.000 origin=-",
        ),
        (
            "text",
            SLOW,
            "2026-11-21 10:00:00.123 INFO [4711] 192.0.2.7       206 GET  /films/a.mp4?x=1"
            ' range="bytes 0-99/1000" sent=100 first=0.003 total=0.010'
            ' origin=http://127.0.0.1:9000 id=3f2a slow end="client went away"',
        ),
        (
            "combined",
            SLOW,
            '192.0.2.7 - - [21/Nov/2026:10:00:00 +0000] "GET /films/a.mp4?x=1 HTTP/1.1"'
            ' 206 100 "http://player.example/" "Mozilla/5.0 (X11)"\n'
            "2026-11-21 10:00:00.123 INFO [4711] 192.0.2.7       206 GET  /films/a.mp4?x=1"
            ' range="bytes 0-99/1000" sent=100 first=0.003 total=0.010'
            ' origin=http://127.0.0.1:9000 id=3f2a slow end="client went away"',
        ),
        (
            "combined",
            FULL,
            '192.0.2.7 - - [21/Nov/2026:10:00:00 +0000] "GET /films/a.mp4?x=1 HTTP/1.1"'
            ' 206 100 "http://player.example/" "Mozilla/5.0 (X11)"',
        ),
        (
            "combined",
            BARE,
            '2001:db8::1 - - [21/Nov/2026:10:00:00 +0000] "HEAD / HTTP/1.0" 404 - "-" "-"',
        ),
    ],
)
def test_a_request(form: str, entry: AccessEntry, line: str) -> None:
    assert FORMATTERS[form]().format(record(entry)) == line


def test_a_request_in_json() -> None:
    line = FORMATTERS["json"]().format(record(FULL))
    assert json.loads(line) == {
        "time": "2026-11-21T10:00:00.123Z",
        "level": "INFO",
        "logger": "aprp.access",
        "pid": 4711,
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/films/a.mp4?x=1",
        "version": "HTTP/1.1",
        "status": 206,
        "range": "bytes 0-99/1000",
        "sent": 100,
        "first_byte": 0.0031,
        "total": 0.010457,
        "origin": "http://127.0.0.1:9000",
        "request_id": "3f2a",
        "referer": "http://player.example/",
        "user_agent": "Mozilla/5.0 (X11)",
        "end": "client went away",
        "slow": False,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
    }
    assert json.loads(FORMATTERS["json"]().format(record(SLOW)))["slow"] is True
    evil = replace(FULL, traceparent='00-","x":"')
    assert json.loads(FORMATTERS["json"]().format(record(evil)))["trace_id"] is None
    bare = json.loads(FORMATTERS["json"]().format(record(BARE)))
    assert {name for name, value in bare.items() if value is None} == {
        *("range", "first_byte", "origin", "request_id", "referer", "user_agent", "end"),
        *("trace_id", "span_id"),
    }


@pytest.mark.parametrize(
    ("zone", "at", "local", "came"),
    [  # each at a second of its own, for the words of a second are cached
        ("EST5", AT + 1, "05:00:01", "04:58:21 -0500"),
        ("<+0530>-5:30", AT + 2, "15:30:02", "15:28:22 +0530"),
    ],
    indirect=["zone"],
)
def test_times_in_another_zone(zone: None, at: float, local: str, came: str) -> None:
    """Text has local time; combined has it with its offset, and that of the request's coming."""
    slow = AccessEntry("192.0.2.7", "GET", "/", "HTTP/1.1", 200, total=100.0)
    assert FORMATTERS["text"]().format(record(slow, at=at)).startswith(f"2026-11-21 {local}.123 ")
    assert f"[21/Nov/2026:{came}]" in FORMATTERS["combined"]().format(record(slow, at=at))


def unescape(value: str) -> str:
    def one(match: re.Match[str]) -> str:
        return match[1] if match[1] in ('"', "\\") else chr(int(match[1][1:], 16))

    return re.sub(r"\\(x..|u.{4}|U.{8}|[\"\\])", one, value)


TOKEN = r"([!#-~]*)"  # may hold backslashes, in pairs or before an escape; no quotation mark
INSIDE = r'((?:[^"\\]|\\.)*)'
TEXT = re.compile(
    r"[\d-]+ [\d:.]+ INFO \[4711\] (\S+) +(\d+) (\S+) +(\S+)"
    rf' range=(?:"{INSIDE}"|(\S+)) sent=100 first=0\.003 total=0\.010'
    rf' origin=(?:"{INSIDE}"|(\S+)) id=(?:"{INSIDE}"|(\S+)) end=(?:"{INSIDE}"|(\S+))'
)
COMBINED = re.compile(
    rf'(\S+) - - \[[^\]]+\] "{INSIDE} {INSIDE} {INSIDE}" 206 100 "{INSIDE}" "{INSIDE}"'
)
STRINGS = (
    *("client", "method", "target", "version", "range", "origin"),
    *("request_id", "referer", "user_agent", "end"),
)


def with_value(name: str, value: str) -> AccessEntry:
    fields = {field: getattr(FULL, field) for field in AccessEntry.__dataclass_fields__}
    return AccessEntry(**(fields | {name: value}))


def check_whole(name: str, value: str) -> None:
    """One line of visible ASCII, the other fields in their places, and the value can be read."""
    entry = with_value(name, value)
    lines = {form: FORMATTERS[form]().format(record(entry)) for form in FORMATTERS}
    for line in lines.values():
        assert re.fullmatch("[ -~]+", line)
    assert json.loads(lines["json"])[name] == value
    assert TEXT.fullmatch(lines["text"])
    assert COMBINED.fullmatch(lines["combined"])
    if value:
        if name not in ("version", "referer", "user_agent"):
            assert value in unescape(lines["text"])
        if name in ("client", "method", "target", "version", "referer", "user_agent"):
            assert value in unescape(lines["combined"])


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("name", STRINGS)
def test_no_value_breaks_a_line(name: str, value: str) -> None:
    check_whole(name, value)


@settings(deadline=None)  # a busy machine is no fault
@given(st.sampled_from(STRINGS), st.text())
def test_no_value_at_all_breaks_a_line(name: str, value: str) -> None:
    check_whole(name, value)


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("form", ["text", "combined"])
@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("listening on http://localhost:8000/", "listening on http://localhost:8000/"),
        ('a "quoted" path C:\\films', 'a "quoted" path C:\\films'),
        ("one\r\n2026-11-21 forged", "one\\x0d\\x0a2026-11-21 forged"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("grün \u2028 \u202e", "grün \\u2028 \\u202e"),
    ],
)
def test_a_message(form: str, message: str, written: str) -> None:
    line = FORMATTERS[form]().format(record(message, logging.WARNING))
    assert line == f"2026-11-21 10:00:00.123 WARNING [4711] {written}"


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("form", ["text", "combined"])
def test_a_message_about_a_request(form: str) -> None:
    about = failing()
    about.request_id = 'a b"'
    first = FORMATTERS[form]().format(about).split("\n")[0]
    assert first == '2026-11-21 10:00:00.123 ERROR [4711] it broke id="a b\\""'


def test_a_message_about_a_request_in_json() -> None:
    about = failing()
    about.request_id = "3f2a"
    told = json.loads(FORMATTERS["json"]().format(about))
    assert (told["message"], told["request_id"]) == ("it broke", "3f2a")
    assert told["traceback"]
    assert "request_id" not in json.loads(FORMATTERS["json"]().format(failing()))


def failing() -> logging.LogRecord:
    made = record("it broke", logging.ERROR)
    try:
        raise ValueError("first\n2026-11-21 10:00:00.123 INFO [1] forged \x1b[2J")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_traceback_is_indented() -> None:
    first, *trace = TextFormatter().format(failing()).split("\n")
    assert first.endswith(" ERROR [4711] it broke")
    assert trace[0] == "    Traceback (most recent call last):"
    assert trace[-2:] == [
        "    ValueError: first",
        "    2026-11-21 10:00:00.123 INFO [1] forged \\x1b[2J",
    ]
    assert all(line.startswith("    ") for line in trace)


def test_a_traceback_in_json() -> None:
    line = FORMATTERS["json"]().format(failing())
    assert re.fullmatch("[ -~]+", line)
    told = json.loads(line)
    assert told["message"] == "it broke"
    assert told["level"] == "ERROR"
    assert told["traceback"][0] == "Traceback (most recent call last):"
    assert told["traceback"][-2] == "ValueError: first"
