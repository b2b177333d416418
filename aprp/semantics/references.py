"""References to resources (RFC 3986): taken apart, and resolved against the path asked for."""

import re
from typing import Final

# Appendix B: scheme, authority, path; query and fragment in one.
_match_reference: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.\-]*+):)?(?://([^/?#]*+))?([^?#]*+)(.*+)", re.DOTALL
).fullmatch
_has_dots: Final = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE).search
_names_host: Final = re.compile(r"[/\\][/\\]").match
_is_plain: Final = re.compile(r"(?:(?! )[^\x00-\x1f\x7f]*(?<! ))?").fullmatch


def split(reference: str) -> tuple[str | None, str | None, str, str]:
    """Give scheme (in lower case), authority, path, and all that follows: query and fragment.

    Scheme and authority are None where there is none. What follows begins with "?" or "#" or is
    empty. No string fails.
    """
    match = _match_reference(reference)
    assert match is not None
    scheme, authority, path, rest = match.groups()
    return scheme and scheme.lower(), authority, path, rest


def is_plain(reference: str) -> bool:
    """Say whether a reference has neither control characters nor blanks around it.

    No URL has, and browsers take some of them out before they read it.
    """
    return _is_plain(reference) is not None


def without_dots(path: str) -> str:
    """Remove the segments "." and ".." from an absolute path (section 5.2.4).

    Written as "%2e" they are the same (section 6.2.2.2).
    """
    if not _has_dots(path):
        return path
    kept: list[str] = []
    dots = ""
    for segment in path.split("/")[1:]:
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(segment)
    if dots in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def resolved(path: str, asked: str) -> str:
    """Make a reference's path absolute (sections 5.2.2 and 5.2.3).

    `asked` is path and query of the resource that referred: where `path` is empty it is that
    path, else `path` is relative to it.
    """
    base = asked.partition("?")[0]
    return without_dots(f"{base.rpartition('/')[0]}/{path}") if path else base


def names_host(path: str) -> bool:
    """Say whether browsers take what begins as an absolute path for a host's name.

    Two slashes are that by section 3, and browsers take a backslash for a slash.
    """
    return _names_host(path) is not None


def hostless(path: str) -> str:
    """Write an absolute path so that it is one to everybody, also where no host precedes it."""
    return f"/.{path}" if names_host(path) else path
