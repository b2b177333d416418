"""Basic authentication (RFC 7617), as Authorization and Proxy-Authorization carry it."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

_match_basic: Final = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE).fullmatch
_control: Final = re.compile(r"[\x00-\x1f\x7f]").search


def challenge(realm: str) -> str:
    """Give the value of Proxy-Authenticate that asks for a name and a password (section 2).

    `realm` is a token: the name of this proxy.
    """
    return f'Basic realm="{realm}", charset="UTF-8"'


def basic(value: str | None) -> tuple[str, str] | None:
    """Read user name and password; None where they are not there or cannot be read.

    UTF-8 as the challenge asks for, and Latin-1 of clients that do not know better.
    """
    match = _match_basic(value.strip(" \t")) if value is not None else None
    if match is None:
        return None
    try:
        raw = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    user, colon, password = text.partition(":")
    return (user, password) if colon and not _control(text) else None


def matches(users: Iterable[str], given: tuple[str, str] | None) -> bool:
    """Whether the name and password that were given are those of one of `users`, `name:password`.

    Every user is compared, and each comparison takes the same time whatever was given, so that the
    time tells nothing. `given` is what `basic` read; nobody matches None.
    """
    if given is None:
        return False
    # No name has a colon, so the joined text stands for one pair only.
    asked = _digest(":".join(given))
    found = False
    for user in users:
        found |= hmac.compare_digest(_digest(user), asked)
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
