"""What keeps a site to its own name is taken out of its answers where it is seen under another."""

from collections.abc import Iterable
from typing import Final

from aprp.semantics.headers import Pair

_EASED: Final = frozenset(
    {
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "referrer-policy",
        "x-frame-options",
    }
)
_POLICY: Final = "content-security-policy"


def eased(pairs: Iterable[Pair]) -> list[Pair]:
    """Give the fields of a response without those that keep a site to its own name.

    X-Frame-Options, Referrer-Policy, Cross-Origin-Embedder-, -Opener- and -Resource-Policy go, and
    the directive `frame-ancestors` of Content-Security-Policy, which keeps its others.
    """
    kept = []
    for name, value in pairs:
        key = name.lower()
        if key in _EASED:
            continue
        if key == _POLICY and "frame-ancestors" in value.lower():
            if policies := _without_ancestors(value):
                kept.append((name, policies))
            continue
        kept.append((name, value))
    return kept


def _without_ancestors(value: str) -> str:
    """Take a directive out of each policy of a list (Content Security Policy, section 2.2.1)."""
    policies = []
    for policy in value.split(","):
        directives = [d for d in policy.split(";") if d.split()[:1] != []]
        left = [d for d in directives if d.split()[0].lower() != "frame-ancestors"]
        if len(left) == len(directives):
            policies.append(policy)
        elif left:
            policies.append(";".join(left))
    return ",".join(policies).strip(" \t")
