"""Where to listen, and where the backend listens: `8000`, `localhost:8000`, `[::1]:8000`."""

import re
from dataclasses import dataclass

_PLACE = re.compile(
    r"(?:http://)?(?:(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]"
    # No label of a name is empty, or longer than 63 letters (RFC 1035 section 2.3.4).
    r"|(?P<host>\*?|[\w-]{1,63}(?:\.[\w-]{1,63})*\.?)):)?"
    r"(?P<port>[0-9]{1,5})/?",
    re.ASCII,
)
_HELP = "a port, such as 8000, or a host and a port, such as 127.0.0.1:8000 or [::1]:8000"


class BadPlaceError(ValueError):
    """A place that cannot be understood; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host name or address without brackets, and a port; the host "" is every address here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_place(text: str) -> Place:
    """Read a place; a port alone is one of localhost, and `*:8000` every address.

    Raises BadPlaceError.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise BadPlaceError(f"{text!r} is not {_HELP}")
    port = int(match["port"])
    if port > 65535:
        raise BadPlaceError(f"{port} is not a port: the highest is 65535")
    host = match["six"] or match["host"]
    if host is None:
        return Place("localhost", port)
    return Place("" if host in ("", "*") else host, port)
