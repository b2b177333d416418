"""Who follows a fill: how far that lets it go."""

import time
from typing import TYPE_CHECKING, Final

from aprp.media.scratch import Scratch

if TYPE_CHECKING:
    from aprp.media.fill import Fill

# How long another process's wish counts, in milliseconds. A reader there has `ahead` bytes to give
# before it wishes again, and takes it back when it leaves.
_WISH_LASTS: Final = 10_000


class Following:
    """The readers of a version as one of its fills sees them."""

    def __init__(self, fill: "Fill") -> None:
        """Look at the readers that there are when it is asked."""
        self._fill = fill
        self._version = fill.version
        context = fill.version.context
        # How far a fill goes ahead of its readers: at least the slice that one stands in.
        self._ahead = max(context.tuning.read_ahead, context.grid.size)

    def places(self) -> list[int]:
        """How far the readers have come to whom the fill brings bytes."""
        fill, ahead = self._fill, self._ahead
        return [
            reader.position
            for reader in self._version.readers
            if reader.position < fill.stop
            and reader.stop > fill.position
            # One far behind gets its bytes from what is stored by then.
            and reader.position + ahead >= fill.position
        ]

    def any(self) -> bool:
        """Whether anybody follows, in this process or another."""
        return bool(self.places()) or self.wish() is not None

    def wish(self) -> int | None:
        """How far readers of other processes want the fill to go, if there are any."""
        version, fill = self._version, self._fill
        wish, at = version.context.tallies.wished(version.entry.id)
        if int(time.monotonic() * 1000) - at > _WISH_LASTS:
            return None
        # As for readers here.
        return wish if wish < fill.stop and wish + self._ahead >= fill.position else None

    def limit(self) -> int:
        """How far the fill may go: a little ahead of the fastest of its readers."""
        fill = self._fill
        places = self.places()
        wish = self.wish()
        if wish is not None:
            places.append(wish)
        if not places and fill.position >= fill.keep:
            # Nobody follows: it ends at the next edge.
            return fill.stop
        return max(max(places, default=0) + self._ahead, fill.keep)

    def fills_up(self, scratch: Scratch) -> bool:
        """Whether memory waits for readers; one that lags far behind the others is left behind."""
        position = self._fill.position
        places = sorted(
            reader.position
            for reader in self._version.readers
            if reader.position <= position and reader.stop > scratch.begin
        )
        scratch.drop(places[0] if places else position)
        if scratch.full and len(places) > 1 and places[-1] - places[0] > scratch.capacity // 2:
            scratch.drop_first()
        return scratch.full
