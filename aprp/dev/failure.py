"""What a client is told while the backend does not run."""

import html
import json
import shlex
from collections.abc import Sequence
from typing import Final

from aprp.dev.machine import State
from aprp.dev.supervisor import Failure
from aprp.pages.page import load
from aprp.semantics.accept import quality

STATE_PAGE: Final = "/_aprp/state"
"""Where a page asks, with ?after=KEY, for the next turn of the backend."""

Answer = tuple[str, bytes, Sequence[tuple[str, str]]]
"""Content type, body, further fields."""

_FIELDS: Final = (("Cache-Control", "no-store"), ("Retry-After", "1"))


def failure_answer(failure: Failure, accept: str, method: str, key: str) -> Answer:
    """The answer that says how the backend ended: a page for browsers, plain text for others.

    `accept` is the request's field, `key` what the page shows the state that it stands for by.
    """
    if not quality(accept, "text", "html") > quality(accept, "text", "plain"):
        return "text/plain; charset=utf-8", failure_text(failure).encode(), _FIELDS
    page = load("dev-error")
    output = "\n".join(failure.output)
    parts = {
        "command": html.escape(shlex.join(failure.command)),
        "ending": html.escape(failure.ending),
        "output": html.escape(output) if output else "It has printed nothing.",
    }
    body = page.with_parts(parts).with_data({"state": STATE_PAGE, "key": key, "method": method})
    return "text/html; charset=utf-8", body, (*_FIELDS, ("Content-Security-Policy", page.policy))


def failure_text(failure: Failure) -> str:
    """The same as text."""
    lines = [
        f"The backend does not run ({failure.ending}).",
        f"Command: {shlex.join(failure.command)}",
    ]
    if failure.output:
        lines += ["Its last output:", "", *failure.output, ""]
    else:
        lines += ["It has printed nothing."]
    lines.append("aprp starts it again when a file changes.")
    return "\n".join(lines) + "\n"


def state_json(state: State, key: str) -> bytes:
    """The body of STATE_PAGE."""
    return json.dumps({"state": state.value, "key": key}).encode() + b"\n"
