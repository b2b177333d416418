"""Tokens that say that a request comes from the proxy's own page. Pure.

A page of another web origin can make a browser send a POST, but cannot read the token, which is
given out in an answer without CORS fields.
"""

import hmac
from hashlib import sha256
from typing import Final

VALID: Final = 3600.0
"""Seconds for which a token is good."""


class Tokens:
    """Makes tokens and knows them again; `secret` is known to all workers and nobody else."""

    def __init__(self, secret: bytes) -> None:
        """secret: 16 random bytes or more."""
        if len(secret) < 16:
            raise ValueError(f"a secret of {len(secret)} bytes can be guessed")
        self._secret = secret

    def make(self, now: float) -> str:
        """Give a token that is good for VALID seconds from `now`, in Unix time."""
        return self._of(int(now + VALID))

    def good(self, token: str, now: float) -> bool:
        """Whether a token was made here and is good still. Takes as long for any wrong one."""
        said = token.partition(".")[0]
        if not (said.isascii() and said.isdecimal() and len(said) <= 20):
            return False
        expires = int(said)
        return hmac.compare_digest(self._of(expires).encode(), token.encode()) and now <= expires

    def _of(self, expires: int) -> str:
        digest = hmac.new(self._secret, b"aprp admin %d" % expires, sha256).hexdigest()
        return f"{expires}.{digest}"
