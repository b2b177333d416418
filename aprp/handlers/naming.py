"""An origin's answer on its way to the client: what tells of the origin's own place."""

from typing import Final

from aprp.semantics.headers import Fields
from aprp.semantics.rewriting import Names, client_cookie, client_location, client_refresh

# Fields of a response that may tell of the origin's own place.
_TELLING: Final = frozenset({"location", "content-location", "refresh", "set-cookie"})


def tells(fields: Fields) -> bool:
    """Whether an answer may tell of the origin's own place."""
    return not _TELLING.isdisjoint(fields.names)


def rename(fields: Fields, names: Names, asked: str | None) -> None:
    """Turn the origin's own name into the one that clients know it by.

    `asked` is path and query as the origin was asked for them, where they came from the client.
    """
    changed = []
    for name, value in fields.get_all():
        match name.lower():
            case "location" | "content-location":
                value = client_location(value, names, asked)
            case "refresh":
                value = client_refresh(value, names, asked)
            case "set-cookie":
                value = client_cookie(value, names)
        changed.append((name, value))
    fields.replace(changed)
