"""How people name what a proxy serves: URLs of it, or paths."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aprp.flags import UsageError
from aprp.semantics.headers import BadTarget, safe_query, safe_target
from aprp.semantics.ranges import MalformedRange, split_path, take_parameter

if TYPE_CHECKING:
    from settings.base import Settings


def is_url(word: str) -> bool:
    """Whether a URL is meant, and not a path, whose query may hold one."""
    return "://" in word and not word.startswith("/")


def target_of(word: str) -> str:
    """Give the path and query of a URL or path as the proxy reads it from a request.

    Raises UsageError.
    """
    text = word
    if is_url(word):
        try:
            parts = urlsplit(word)
        except ValueError as error:
            raise UsageError(f"{word}: not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{word}: not an http or https URL")
        text = parts._replace(scheme="", netloc="", fragment="").geturl()
        if not text.startswith("/"):
            text = f"/{text}"
    if not text.startswith("/"):
        raise UsageError(f"{word}: neither a URL nor a path; a path begins with /, as in /{word}")
    # On the wire, characters are bytes of UTF-8; `safe_target` escapes them.
    path, mark, query = text.encode().decode("latin-1").partition("?")
    try:
        path = safe_target(path)
        return f"{path}?{safe_query(query)}" if mark and query else path
    except BadTarget as error:
        raise UsageError(f"{word}: {error}") from None


def object_of(settings: "Settings", word: str) -> str:
    """Give the target of the object that a URL or path names: ranges in it do not count.

    Raises UsageError.
    """
    path, _, query = target_of(word).partition("?")
    try:
        if settings.RANGE_PATH:
            path = split_path(path)[0]
        if query and settings.RANGE_PARAM:
            query = take_parameter(query, settings.RANGE_PARAM)[0]
    except MalformedRange as error:
        raise UsageError(f"{word}: malformed range: {error}") from None
    return f"{path}?{query}" if query else path
