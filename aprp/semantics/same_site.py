"""Whether a request was made by a web page of another site (cross-site request forgery)."""

import ipaddress
from collections.abc import Callable

Get = Callable[[str], str | None]


def foreign_page(get: Get, scheme: str, host: str | None) -> str | None:
    """Say which foreign page made the request; None where none did, or no page at all.

    `get` gives a field of the request, `scheme` and `host` are how the client names this server.
    Browsers tell by Sec-Fetch-Site (Fetch Metadata), older ones by Origin (RFC 6454); programs
    that are no browsers send neither.
    """
    site = get("Sec-Fetch-Site")
    origin = get("Origin")
    if site is not None:
        if site in ("same-origin", "none"):
            return None
        return origin or site
    if origin is not None and origin.lower() != f"{scheme}://{host or ''}".lower():
        return origin
    return None


def names_this_machine(host: str | None) -> bool:
    """Whether a Host field names this machine by itself: localhost, or an address of loopback.

    Any other name may be one that its owner has made to lead here (DNS rebinding), and then a page
    of that name counts as one of ours.
    """
    if not host:
        return False
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower().rstrip(".") == "localhost" or name.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
