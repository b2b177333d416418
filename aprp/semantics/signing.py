"""Signed links: `?expires=<Unix time>&signature=<...>` lets whoever has the link in until then.

The signature is HMAC-SHA256 over the path and the expiry, in base64url without padding (RFC 4648
section 5). Host and query are not signed, and neither are the proxy's own forms of a range: take
those off the path and out of the query first.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus, unquote_to_bytes

EXPIRES: Final = "expires"
SIGNATURE: Final = "signature"

# What is signed begins with the purpose, so that the same key may sign other things too.
_PURPOSE: Final = "aprp link 1"
_is_time: Final = re.compile(r"[1-9][0-9]{0,11}").fullmatch
_is_plain: Final = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link says for itself, decoded; None: nothing, "": two different things."""

    expires: str | None
    signature: str | None


def take_claim(query: str) -> tuple[str, Claim]:
    """Take the two parameters out of a raw query; give the rest, byte for byte, and what they say.

    They are the proxy's own: no origin gets them, and they are no part of a cache key.
    """
    said: dict[str, str] = {}
    rest: list[str] = []
    for pair in query.split("&"):
        raw_name, _, raw_value = pair.partition("=")
        name = unquote_plus(raw_name)
        if name in (EXPIRES, SIGNATURE):
            value = unquote_plus(raw_value)
            said[name] = value if said.get(name, value) == value else ""
        else:
            rest.append(pair)
    if not said:
        return query, Claim(None, None)
    return "&".join(rest), Claim(said.get(EXPIRES), said.get(SIGNATURE))


def signed_query(query: str, expires: int, signature: str) -> str:
    """Give a raw query with the two parameters at its end."""
    return f"{query}{'&' if query else ''}{EXPIRES}={expires}&{SIGNATURE}={signature}"


def canonical_path(path: str) -> str:
    """Give the one way to write a path, so that a link fits however a client escapes it.

    `path` is as `safe_target` gives it. It is decoded once, segment by segment, and everything but
    unreserved characters is escaped again: `%2F` is no `/`, and `%252F` no `%2F`.
    """
    if _is_plain(path):
        return path
    return "/".join(quote(unquote_to_bytes(segment), safe="") for segment in path.split("/"))


def sign(path: str, expires: int, key: str) -> str:
    """Give the signature of a path that is valid until `expires`, in seconds of Unix time."""
    message = f"{_PURPOSE}\n{expires}\n{canonical_path(path)}".encode()
    digest = hmac.digest(key.encode(), message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def verify(path: str, claim: Claim, key: str, now: float) -> str | None:
    """Say why a link does not let a client in (403); None if it does.

    `now` is Unix time in seconds; at `expires` a link is no longer valid. Takes the same time
    for every wrong signature.
    """
    if claim.expires is None or claim.signature is None:
        missing = [
            n for n, v in ((EXPIRES, claim.expires), (SIGNATURE, claim.signature)) if v is None
        ]
        return f"the link is not signed: it has no {' and no '.join(missing)}"
    if not _is_time(claim.expires):
        return f"{EXPIRES} in the link is not a time in seconds"
    expires = int(claim.expires)
    expected = sign(path, expires, key)
    # As bytes: text is compared in constant time only where it is ASCII.
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        return "the signature in the link does not fit its path and expiry"
    return None if now < expires else "the link has expired"
