"""The doors of the file store: /upload, /download and /files.

Here is which of them a request goes through, who may use it, and what they have in common;
`uploads` and `downloads` do the work.
"""

import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from aprp.cache.entry import CannotStore
from aprp.files import errors
from aprp.files.store import StoredFile
from aprp.handlers.allowed import refused
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.semantics.conditions import Conditions
from aprp.semantics.filenames import BadName, name_from_url, path_of, spellings
from aprp.semantics.headers import BadTarget, safe_query, safe_target
from aprp.semantics.same_site import foreign_page, names_this_machine

if TYPE_CHECKING:
    from aprp.application import Application

_log = logging.getLogger("aprp")

KINDS: Final = ("/upload", "/download", "/files")
"""The paths of the doors, behind FILES_PREFIX; each also with a name behind it."""

_JSON: Final = "application/json"
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_LIMIT: Final = 100
_MOST: Final = 1000
_STATUSES: Final[tuple[tuple[type[errors.StoreError], int], ...]] = (
    (errors.BadUpload, 400),
    (errors.NoSuchFile, 404),
    (errors.NameTaken, 409),
    (errors.Busy, 409),
    (errors.OutOfPlace, 409),
    (errors.ConditionFailed, 412),
    (errors.TooLarge, 413),
    (errors.TypeRefused, 415),
    (errors.NoRoom, 507),
)

Action = Callable[[Exchange, str], Awaitable[None]]


def is_for(app: "Application", path: str) -> bool:
    """Whether a path is one of the doors', where they are switched on."""
    prefix = app.settings.FILES_PREFIX
    if app.files is None or not path.startswith(prefix):
        return False
    rest = path[len(prefix) :]
    return rest.startswith(KINDS) and f"/{rest.split('/', 2)[1]}" in KINDS


async def dispatch(
    exchange: Exchange, actions: Mapping[tuple[str, bool], Mapping[str, Action]]
) -> None:
    """Send a request to its action; raises Problem.

    `actions` are those of each door by method; True: with a name behind the door's path.
    """
    path = exchange.resource.partition("?")[0][len(exchange.app.settings.FILES_PREFIX) :]
    kind, _, rest = path[1:].partition("/")
    # What is in the store is for pages of other sites only where it can be had by its name.
    exchange.private = kind != "download"
    methods = actions.get((f"/{kind}", bool(rest)), {})
    if exchange.method == "HEAD" and "HEAD" not in methods and "GET" in methods:
        action = methods["GET"]
    elif exchange.method in methods:
        action = methods[exchange.method]
    else:
        names = _allow(methods)
        allow = {"Allow": names}
        if exchange.method == "OPTIONS":
            exchange.respond(204, b"", "", allow.items())
            return
        detail = f"This path takes {names}, and not {exchange.method}."
        if exchange.method in actions.get((f"/{kind}", not rest), {}):
            place = f"{exchange.app.settings.FILES_PREFIX}/{kind}{'' if rest else '/<name>'}"
            detail += f" {exchange.method} is for {place}."
        raise Problem(405, detail, fields=allow)
    try:
        await action(exchange, rest)
    except errors.StoreError as error:
        raise problem_of(error) from error


def _allow(methods: Mapping[str, Action]) -> str:
    names = dict.fromkeys(methods)
    if "GET" in names:
        names["HEAD"] = None
    return ", ".join((*names, "OPTIONS"))


def problem_of(error: errors.StoreError) -> Problem:
    """The problem that an error of the store makes for the client."""
    if isinstance(error, errors.Unusable):
        return Problem(500, error.detail, private=error.reason)
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if isinstance(error, errors.OutOfPlace):
        return Problem(
            status,
            error.detail,
            fields={"Upload-Offset": str(error.offset)},
            offset=error.offset,
        )
    fields = {"Retry-After": "1"} if isinstance(error, errors.Busy) else None
    return Problem(status, error.detail, fields=fields)


def admit(exchange: Exchange) -> None:
    """Return where the client may change the store, and see what is in it; raises Problem.

    With UPLOAD_TOKEN it is whoever sends that (RFC 6750), and 401 otherwise. Without, it is
    programs on this machine and pages of this proxy, and 403 otherwise: what a browser sends by
    itself, no page of another site can send for its user.
    """
    app, get = exchange.app, exchange.headers.get
    token = app.settings.UPLOAD_TOKEN
    if token:
        scheme, _, given = (get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("Send Authorization: Bearer with the token of this store.", "")
        if not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise _unauthorized(
                "The token is not the one of this store.", ', error="invalid_token"'
            )
        return
    if strangers := refused(exchange, _LOOPBACK):
        raise Problem(
            403,
            "Files are taken from this machine alone as long as UPLOAD_TOKEN is not set.",
            private=f"the request comes from {', '.join(strangers)}",
        )
    scheme, host = app.clients.seen_as(exchange)
    if not names_this_machine(host):
        raise Problem(
            403,
            "Without UPLOAD_TOKEN this store is used as localhost, or by an address such as "
            "127.0.0.1.",
            private=f"the request names it {host!r}",
        )
    if (page := foreign_page(get, scheme, host)) is not None:
        raise Problem(
            403,
            "A page of another site may not use this store.",
            private=f"the request was made by {page}",
        )


def _unauthorized(detail: str, error: str) -> Problem:
    return Problem(401, detail, fields={"WWW-Authenticate": f'Bearer realm="aprp files"{error}'})


# What requests say.


def name_in(segment: str) -> str:
    """The name in the path; raises Problem 400."""
    try:
        return name_from_url(safe_target(f"/{segment}")[1:])
    except (BadName, BadTarget) as error:
        raise bad_name(error) from None


def bad_name(error: Exception) -> Problem:
    """The problem of a name that cannot be one."""
    return Problem(400, f"This name cannot be taken: {error}.")


def query_of(exchange: Exchange) -> dict[str, list[str]]:
    """The parameters of the query, decoded; raises Problem 400."""
    text = exchange.resource.partition("?")[2]
    try:
        return parse_qs(safe_query(text), keep_blank_values=True, max_num_fields=32)
    except (BadTarget, ValueError) as error:
        raise Problem(400, f"Bad query: {error}.") from None


def number_in(query: Mapping[str, list[str]], name: str, default: int, most: int) -> int:
    """A parameter that is a whole number from 0 to `most`; raises Problem 400."""
    values = query.get(name, [str(default)])
    text = values[0]
    if len(values) == 1 and text.isascii() and text.isdecimal() and len(text) < 16:
        number = int(text)
        if number <= most:
            return number
    raise Problem(400, f"{name} has to be one whole number from 0 to {most}.")


# What answers say.


def respond_json(
    exchange: Exchange, status: int, body: object, fields: Mapping[str, str] | None = None
) -> None:
    """Answer with JSON that nobody keeps."""
    text = (json.dumps(body, ensure_ascii=False) + "\n").encode()
    exchange.respond(status, text, _JSON, (*NO_STORE, *(fields or {}).items()))


def download_url(app: "Application", name: str) -> str:
    """Where a file can be downloaded: the path of a URL."""
    return f"{app.settings.FILES_PREFIX}/download/{path_of(name)}"


def url_of(app: "Application", name: str) -> str:
    """Where a file is played: by the embedded origin if there is one, else by download."""
    path = f"/{path_of(name)}"
    if app.embedded and not app.is_own_page(path) and not is_for(app, path):
        return path
    return download_url(app, name)


async def forget(exchange: Exchange, name: str) -> None:
    """Have no worker's cache answer with what was there under a name before."""
    app = exchange.app
    library = app.library
    if library is None or not app.embedded:
        return
    source = app.sites.default.source
    try:
        for path in spellings(f"/{name}"):
            await library.purge(source, path)
            await library.purge_prefix(source, f"{path}?")
    except CannotStore as error:
        _log.warning(
            "/%s may be answered from the cache still: %s", name, error, extra=exchange.about
        )


# /files


async def list_files(exchange: Exchange, _: str) -> None:
    """Answer with the files of the store."""
    admit(exchange)
    app = exchange.app
    assert app.files is not None
    query = query_of(exchange)
    limit = number_in(query, "limit", _LIMIT, _MOST)
    offset = number_in(query, "offset", 0, 10**15)
    listing = await app.files.run(app.files.list, offset, limit)
    files = [_described(app, file) for file in listing.files]
    respond_json(exchange, 200, {"total": listing.total, "offset": offset, "files": files})


def _described(app: "Application", file: StoredFile) -> dict[str, Any]:
    modified = datetime.fromtimestamp(file.modified, UTC).isoformat(timespec="seconds")
    return {
        "name": file.name,
        "size": file.size,
        "type": file.type,
        "modified": modified.replace("+00:00", "Z"),
        "url": url_of(app, file.name),
    }


async def delete_file(exchange: Exchange, segment: str) -> None:
    """Remove a file of the store."""
    admit(exchange)
    store = exchange.app.files
    assert store is not None
    name = name_in(segment)
    await store.run(store.delete, name, Conditions.from_headers(exchange.headers.get))
    await forget(exchange, name)
    exchange.respond(204, b"", "", NO_STORE)
