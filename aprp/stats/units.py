"""Bytes in the units that /stats tells them in."""

from dataclasses import dataclass

KB = 1024
MB = 1024 * KB


@dataclass(frozen=True, slots=True)
class Volume:
    """A number of bytes in the three units of the Twisted AsyncProxy.

    As in that program, 1 kB is 1024 bytes and 1 MB is 1024 kB.
    """

    bytes: int

    @property
    def kb(self) -> float:
        """The same in kB."""
        return self.bytes / KB

    @property
    def mb(self) -> float:
        """The same in MB."""
        return self.bytes / MB

    def to_json(self) -> dict[str, float]:
        """Give the units by name, kB and MB with three decimals."""
        return {"bytes": self.bytes, "kB": round(self.kb, 3), "MB": round(self.mb, 3)}
