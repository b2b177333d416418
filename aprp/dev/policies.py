"""Content security policies that let the script of LiveReload work, and nothing else; no I/O.

A policy that forbids the script would make the page's console report it. What is added to a policy
are two exact addresses, those of the script and of its WebSocket: all else that the page does
is allowed or forbidden as before (Content Security Policy Level 3).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

# 'nonce-...'; its value may stand in an attribute as it is.
_nonce: Final = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'", re.IGNORECASE).fullmatch
# IPv6 addresses have no form in a policy (section 2.3.1).
_is_host: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?").fullmatch

_SELF: Final = "'self'"
_SCRIPTS: Final = ("script-src-elem", "script-src", "default-src")
_CONNECTIONS: Final = ("connect-src", "default-src")


@dataclass(frozen=True, slots=True)
class Needs:
    """What the policies of a page are to allow, for a page that is known under `host`."""

    script: str
    socket: str

    @classmethod
    def of(cls, host: str | None, script: str, socket: str) -> "Needs":
        """`host` is the request's Host field, `script` and `socket` are paths."""
        if host is None or not _is_host(host):
            return cls(_SELF, _SELF)
        return cls(f"{host}{script}", f"ws://{host}{socket}")


class Policy:
    """One policy: its directives in their order, each a name and its values."""

    def __init__(self, text: str) -> None:
        """Read it; of directives with the same name the first counts, and no other is kept."""
        self._directives: dict[str, list[str]] = {}
        for directive in text.split(";"):
            words = directive.split()
            if words:
                self._directives.setdefault(words[0].lower(), words[1:])

    @property
    def nonce(self) -> str | None:
        """The nonce that lets a script run, if there is one."""
        for source in self._sources(_SCRIPTS) or ():
            if match := _nonce(source):
                return match[1]
        return None

    @property
    def runs_nothing(self) -> bool:
        """Whether it forbids all scripts by a sandbox, which no address is excepted from."""
        sandbox = self._directives.get("sandbox")
        return sandbox is not None and "allow-scripts" not in map(str.lower, sandbox)

    def allow(self, needs: Needs, nonce: str) -> None:
        """Allow the script, which has this nonce, and its WebSocket."""
        sources = self._sources(_SCRIPTS)
        if sources is not None and f"'nonce-{nonce}'" not in sources:
            strict = "'strict-dynamic'" in map(str.lower, sources)
            self._add(_SCRIPTS, f"'nonce-{nonce}'" if strict else needs.script)
        self._add(_CONNECTIONS, needs.socket)

    def _sources(self, names: Sequence[str]) -> list[str] | None:
        """The values of the first directive that there is; None: all is allowed."""
        return next((self._directives[name] for name in names if name in self._directives), None)

    def _add(self, names: Sequence[str], source: str) -> None:
        sources = self._sources(names)
        if sources is None or source in sources:
            return
        kept = [each for each in sources if each.lower() != "'none'"]
        name = next(name for name in names if name in self._directives)
        # What default-src allows is for all kinds: the kind that is meant gets a directive.
        self._directives[names[-2] if name == names[-1] else name] = [*kept, source]

    def __str__(self) -> str:
        return "; ".join(" ".join((name, *words)) for name, words in self._directives.items())


def read_policies(values: Iterable[str]) -> list[list[Policy]]:
    """Read the policies in the values of a field, of which each may have several."""
    return [[Policy(text) for text in value.split(",") if text.strip()] for value in values]


def nonce_of(policies: Iterable[Sequence[Policy]]) -> str | None:
    """The nonce of the first policy that has one."""
    return next((each.nonce for group in policies for each in group if each.nonce), None)
