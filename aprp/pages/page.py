"""A page of the program: its files put together into one document, and the policy it is sent with.

A page is written as an HTML file with styles, scripts and an icon beside it, so that each can be
read; it is sent as one document, so that nothing else need be asked for. The policy (Content
Security Policy Level 3) names the hashes of what is inside: a script that somebody smuggles in does
not run, and nothing is fetched from another host.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

_ASSETS = Path(__file__).with_name("assets")
_LINKED = re.compile(
    r'<link rel="stylesheet" href="(?P<style>[\w./-]+\.css)">'
    r'|<script src="(?P<script>[\w./-]+\.js)"></script>'
    r'|(?P<before><link rel="icon" href=")(?P<icon>[\w./-]+\.svg)">'
)
_PART = re.compile(r"<!-- part: (\w+) -->")
_NONE = "'none'"
_NO_DATA = '<script type="application/json" id="data"></script>'


@dataclass(frozen=True, slots=True)
class Page:
    """A document that is whole in itself, and its Content-Security-Policy."""

    html: str
    policy: str

    def with_data(self, data: object) -> bytes:
        """Give the document with `data` as JSON in its element `data`.

        The element is `<script type="application/json" id="data"></script>`; ValueError where the
        page has none.
        """
        before, found, after = self.html.partition(_NO_DATA)
        if not found:
            raise ValueError(f"the page has no {_NO_DATA}")
        # A string in the data may hold </script> or <!--, which would end the element.
        text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        opened, _, closed = _NO_DATA.partition("></")
        return f"{before}{opened}>{text}</{closed}{after}".encode()

    def with_parts(self, parts: Mapping[str, str]) -> "Page":
        """Give the page with HTML in place of its comments `<!-- part: name -->`.

        What is put in is HTML: whoever makes it escapes what comes from outside. ValueError where
        the page's parts are not those that are given.
        """
        wanted = set(_PART.findall(self.html))
        if wanted != parts.keys():
            raise ValueError(f"the page has the parts {sorted(wanted)}, not {sorted(parts)}")
        return replace(self, html=_PART.sub(lambda match: parts[match[1]], self.html))


@lru_cache
def load(name: str) -> Page:
    """Read the page `name` and put in what it links to: styles, scripts, its icon.

    These are `<link rel="stylesheet" href="x.css">`, `<script src="x.js"></script>` and
    `<link rel="icon" href="x.svg">`, with paths below the directory of the pages.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}

    def inside(kind: str, path: str) -> str:
        text = _read(path)
        if f"</{kind}" in text.lower() or "<!--" in text:
            raise ValueError(f"{path} cannot stand inside an element {kind}")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
        return f"<{kind}>{text}</{kind}>"

    def put_in(match: re.Match[str]) -> str:
        if match["icon"]:
            icon = base64.b64encode(_read(match["icon"]).encode()).decode()
            return f'{match["before"]}data:image/svg+xml;base64,{icon}">'
        kind = "style" if match["style"] else "script"
        return inside(kind, match[kind])

    html = _LINKED.sub(put_in, _read(f"{name}.html"))
    return Page(html, _policy(hashes["script"], hashes["style"]))


def asset(path: str) -> bytes:
    """A file below the directory of the pages, as it is there."""
    return (_ASSETS / path).read_bytes()


def _read(path: str) -> str:
    # Line ends as they are in the file: the hash is of what is sent.
    return asset(path).decode()


def _policy(scripts: list[str], styles: list[str]) -> str:
    return "; ".join(
        (
            f"default-src {_NONE}",
            " ".join(("script-src", *(scripts or [_NONE]))),
            " ".join(("style-src", *(styles or [_NONE]))),
            "connect-src 'self'",
            "img-src 'self' data:",
            "media-src 'self'",
            f"base-uri {_NONE}",
            f"form-action {_NONE}",
            "frame-ancestors 'self'",
        )
    )
