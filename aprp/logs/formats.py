r"""How a log line looks: readable text, JSON, or Apache's combined format.

A request brings strings that a stranger chose: target, Referer, User-Agent. None of them may end a
line, start another, move a terminal's cursor or close a quotation. In access lines all that is not
visible ASCII is written as `\xNN`, `\uNNNN` or `\UNNNNNNNN`, and the quotation mark and the
backslash have a backslash before them. In messages all that `str.isprintable` refuses is escaped;
the lines of a traceback are indented, so that none begins like a record.
"""

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _json_string

from aprp.semantics.tracing import trace_parent


@dataclass(slots=True)
class AccessEntry:
    """What is told of one request when it is over."""

    client: str
    """Address of the client."""
    method: str
    target: str
    """Path and query as received."""
    version: str
    """Such as `HTTP/1.1`."""
    status: int
    """Status of the answer; 0 when none was begun."""
    range: str | None = None
    """The range sent, as in Content-Range: `bytes 0-99/1000`; None for a whole file."""
    sent: int = 0
    """Bytes of the body given to the client's connection."""
    first_byte: float | None = None
    """Seconds from the request to the first byte of the answer's body; None when there was none."""
    total: float = 0.0
    """Seconds from the request to the end of the answer."""
    origin: str | None = None
    """The origin that was asked; None when none was."""
    request_id: str | None = None
    referer: str | None = None
    user_agent: str | None = None
    end: str | None = None
    """Why the answer ended early (`client went away`, `origin broke`); None when it is complete."""
    slow: bool = False
    """Whether the first byte took longer than SLOW_REQUEST."""
    traceparent: str | None = None
    """The trace that the request says it is part of (W3C Trace Context), as it came."""

    def __str__(self) -> str:
        """Give the entry as the text format has it, without time, level and process."""
        first = "-" if self.first_byte is None else f"{self.first_byte:.3f}"
        line = (
            f"{bare(self.client):<15} {self.status:>3} {bare(self.method):<4} {bare(self.target)}"
            f" range={quoted(self.range)} sent={self.sent} first={first} total={self.total:.3f}"
            f" origin={quoted(self.origin)}"
        )
        if self.request_id is not None:
            line += f" id={quoted(self.request_id)}"
        if self.slow:
            line += " slow"
        if self.end is not None:
            line += f" end={quoted(self.end)}"
        return line


_NOT_BARE = re.compile(r"[^!#-\[\]-~]")  # visible ASCII without space, " and \
_NOT_QUOTABLE = re.compile(r"[^ !#-\[\]-~]")


def _escape(char: str) -> str:
    code = ord(char)
    if char in '"\\':
        return "\\" + char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_match(match: re.Match[str]) -> str:
    return _escape(match[0])


def bare(value: str) -> str:
    """Give a value that stands without quotation marks: spaces are escaped too; nothing is `-`."""
    if _NOT_BARE.search(value) is None:
        return value or "-"
    return _NOT_BARE.sub(_escape_match, value)


def inside_quotes(value: str) -> str:
    """Give a value for between two quotation marks."""
    if _NOT_QUOTABLE.search(value) is None:
        return value
    return _NOT_QUOTABLE.sub(_escape_match, value)


def quoted(value: str | None) -> str:
    """Give a value bare where it can be, else in quotation marks; None is `-`."""
    if value is None:
        return "-"
    if value and _NOT_BARE.search(value) is None:
        return value
    return f'"{inside_quotes(value)}"'


def printable(message: str) -> str:
    """Give a message with all that is not printable escaped."""
    if message.isprintable():
        return message
    return "".join(char if char.isprintable() else _escape(char) for char in message)


@lru_cache(maxsize=64)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


@lru_cache(maxsize=64)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


# Not strftime's %b: the format has English names, whatever the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=64)
def _common(second: int) -> str:
    at = time.localtime(second)
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/" + time.strftime("%Y:%H:%M:%S %z", at)


_COLOURS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "35"}


class TextFormatter(logging.Formatter):
    """Readable lines: `2026-11-21 10:00:00.123 INFO [4711] message`.

    Local time, level, process, and then the message or the request (`AccessEntry.__str__`).
    """

    def __init__(self, *, colour: bool = False) -> None:
        """With `colour`, the level's name is coloured for a terminal."""
        super().__init__()
        self._levels = (
            {name: f"\x1b[{code}m{name}\x1b[0m" for name, code in _COLOURS.items()}
            if colour
            else {}
        )

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; several lines when the record has a traceback."""
        message = str(record.msg) if type(record.msg) is AccessEntry else self._message(record)
        level = self._levels.get(record.levelname, record.levelname)
        stamp = _local(int(record.created))
        return f"{stamp}.{int(record.msecs):03} {level} [{record.process}] {message}"

    def _message(self, record: logging.LogRecord) -> str:
        message = printable(record.getMessage())
        if (about := _about(record)) is not None:
            message += f" id={quoted(about)}"
        lines = [message]
        lines += (f"    {printable(line)}" for line in trace(self, record))
        return "\n".join(lines)


class CombinedFormatter(TextFormatter):
    """Requests in Apache's combined log format; other records as text.

    That format has no place for it that a request was slow: the line of one in the form of the text
    format follows.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; the time in it is the one at which the request came."""
        entry = record.msg
        if type(entry) is not AccessEntry:
            return super().format(record)
        request = inside_quotes(f"{entry.method} {entry.target} {entry.version}")
        line = (
            f"{bare(entry.client)} - - [{_common(int(record.created - entry.total))}]"
            f' "{request}" {entry.status} {entry.sent or "-"}'
            f' "{inside_quotes(entry.referer or "-")}" "{inside_quotes(entry.user_agent or "-")}"'
        )
        return f"{line}\n{super().format(record)}" if entry.slow else line


def _json(value: str | None) -> str:
    return "null" if value is None else _json_string(value)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        head = (
            f'{{"time":"{_utc(int(record.created))}.{int(record.msecs):03}Z",'
            f'"level":"{record.levelname}","logger":"{record.name}","pid":{record.process},'
        )
        entry = record.msg
        line = head + (
            self._request(entry) if type(entry) is AccessEntry else self._message(record)
        )
        # DEL is the one control character that JSON leaves as it is.
        return line.replace("\x7f", "\\u007f")

    def _request(self, entry: AccessEntry) -> str:
        # Written out, because json.dumps takes half as long again as all the rest of a line.
        first = "null" if entry.first_byte is None else f"{entry.first_byte:.6f}"
        trace, span = "null", "null"
        if (parent := trace_parent(entry.traceparent)) is not None:
            trace, span = f'"{parent.trace_id}"', f'"{parent.span_id}"'
        return (
            f'"client":{_json(entry.client)},"method":{_json(entry.method)},'
            f'"target":{_json(entry.target)},"version":{_json(entry.version)},'
            f'"status":{entry.status},"range":{_json(entry.range)},"sent":{entry.sent},'
            f'"first_byte":{first},"total":{entry.total:.6f},"origin":{_json(entry.origin)},'
            f'"request_id":{_json(entry.request_id)},"referer":{_json(entry.referer)},'
            f'"user_agent":{_json(entry.user_agent)},"end":{_json(entry.end)},'
            f'"slow":{"true" if entry.slow else "false"},"trace_id":{trace},"span_id":{span}}}'
        )

    def _message(self, record: logging.LogRecord) -> str:
        line = f'"message":{_json(record.getMessage())}'
        if (about := _about(record)) is not None:
            line += f',"request_id":{_json(about)}'
        if lines := trace(self, record):
            line += f',"traceback":{json.dumps(lines)}'
        return line + "}"


def _about(record: logging.LogRecord) -> str | None:
    """Give the id of the request that a record says, as `extra`, that it is about."""
    about = getattr(record, "request_id", None)
    return about if isinstance(about, str) else None


def trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Give the lines of a record's traceback and stack; empty without either."""
    text = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    if record.stack_info:
        text += "\n" + record.stack_info
    # Not splitlines: that parts at U+2028 and its like too, which have to be escaped.
    return [line for line in text.split("\n") if line]


FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
    "combined": CombinedFormatter,
}
