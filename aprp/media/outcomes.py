"""What can become of the question to an origin that finds out what there is."""

from dataclasses import dataclass
from typing import Final

from aprp.media.version import Version
from aprp.upstream.head import ResponseHead


@dataclass(frozen=True, slots=True)
class Admitted:
    """The answer is stored as it comes, as this version.

    `head` is that of the answer, as of the whole, with what only the client that asked may see.
    """

    version: Version
    head: ResponseHead


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What is stored is still valid (304)."""

    version: Version


@dataclass(frozen=True, slots=True)
class Passed:
    """The answer is not stored and goes to the client that asked; `why` is a short token.

    `again`: it was of another range than the client's, who has to be answered by one of its own.
    """

    why: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """No usable answer; what is stored may do in its place. `error` None: an error status."""

    error: Exception | None


# Why an answer that nobody waits for any more is not stored.
ABORTED: Final = "aborted"
# Why an answer is not stored that was asked for before a purge.
PURGED: Final = "purged"

Outcome = Admitted | Confirmed | Passed | Failed
