"""What one process knows of a key: its stored variants, and who is finding out more."""

from dataclasses import dataclass

from aprp.cache.entry import Entry
from aprp.media.context import Context, Link
from aprp.media.opening import Opening
from aprp.media.request import Request
from aprp.media.source import Source
from aprp.media.version import Version
from aprp.semantics.vary import selected
from aprp.upstream.head import ResponseHead


@dataclass(frozen=True, slots=True)
class Found:
    """A version that may be used to answer, and how it was found (RFC 9211).

    `fwd` is why an origin was asked, None where none was; `age` in seconds, and `ttl`, which is
    below zero for a stale one. `head` is what this client is to see in the place of what is stored.
    """

    version: Version
    fwd: str | None
    age: float
    ttl: float
    stored: bool = False
    collapsed: bool = False
    fwd_status: int | None = None
    head: ResponseHead | None = None


class Shelf:
    """What is known under one key: the variants that are stored, and who is finding out more."""

    __slots__ = ("generation", "key", "opening", "passing_until", "unrecorded", "versions")

    def __init__(self, key: str, generation: int) -> None:
        self.key = key
        self.generation = generation
        self.versions: list[Version] = []
        # By id: what has not come into the index yet, and `Cache.purges` when it was asked for.
        self.unrecorded: dict[int, int] = {}
        self.opening: Opening | None = None
        self.passing_until = 0.0

    def select(self, request: Request) -> Version | None:
        """The newest version that the request's fields select (RFC 9111 section 4.1)."""
        for version in self.versions:
            if not version.changed and selected(version.entry.vary, request.get):
                return version
        return None

    def opening_at(self, purges: int) -> Opening | None:
        """The opening under way, unless the key has been purged since it began."""
        opening = self.opening
        return opening if opening is not None and opening.purges == purges else None

    @property
    def busy(self) -> bool:
        """Whether something is under way that must not be forgotten."""
        return self.opening is not None or any(v.fills or v.readers for v in self.versions)

    def forget_purged(self, purges: int) -> None:
        """Forget what was asked for before a purge and has not come into the index, nor will."""
        old = {id for id, asked_at in self.unrecorded.items() if asked_at != purges}
        if old:
            # Those who read it go on to its end.
            self.versions = [v for v in self.versions if v.entry.id not in old]

    def fit(self, entries: list[Entry], context: Context, source: Source) -> None:
        """Agree with what the index has under the key; `source` is whom to ask for more."""
        self.forget_purged(context.cache.purges(self.key))
        known = {version.entry.id: version for version in self.versions}
        versions = [v for v in self.versions if v.entry.id in self.unrecorded]
        for entry in entries:
            version = known.get(entry.id)
            if version is not None:
                if entry.id not in self.unrecorded:
                    versions.append(version)
                if entry.response_time > version.entry.response_time:
                    version.update(entry)
            elif entry.combinable or entry.complete:
                versions.append(Version(context, entry, Link(source, entry.target, {})))
        # Those that have been removed are read to their end by who has begun.
        self.versions = sorted(versions, key=lambda v: -v.entry.response_time)
