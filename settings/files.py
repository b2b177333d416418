"""Settings of the file store: what may be uploaded, by whom, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import ValidationInfo, field_validator

from settings import lists
from settings.declare import option
from settings.kinds import GIB, Duration, RefusedError, Size, Switch, shown
from settings.root import Root
from settings.texts import Secret, Text

SHORTEST_TOKEN = 16
"""Least number of characters in UPLOAD_TOKEN."""

_files = partial(option, group="Files")


class Files(Root):
    """The group Files."""

    UPLOADS: Annotated[bool, Switch()] = _files(
        False,
        "take files into MEDIA_DIR and give them out again: /upload, /download, /files; needs "
        "UPLOAD_TOKEN, except with DEBUG on and the embedded origin, where programs and pages of "
        "this machine need none",
    )
    UPLOAD_TOKEN: Annotated[str, Secret(SHORTEST_TOKEN)] = _files(
        "",
        "what clients have to send as `Authorization: Bearer <token>` to upload, list and delete; "
        "better given in the environment than as a flag, which others on this machine can see",
        secret=True,
    )
    FILES_PREFIX: Annotated[
        str,
        Text(
            r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*",
            "a path that begins with / and does not end with /, such as /_files, or empty",
        ),
    ] = _files("", "path before /upload, /download and /files, for origins that have these")
    MAX_UPLOAD_SIZE: Annotated[int, Size()] = _files(
        16 * GIB, "most bytes in one uploaded file, 413 above it; 0: no limit"
    )
    STORE_QUOTA: Annotated[int, Size()] = _files(
        0,
        "most bytes of all files in MEDIA_DIR together, those in directories below it aside, 507 "
        "above it; 0: what the disk holds",
    )
    ALLOWED_TYPES: Annotated[Sequence[str], lists.MEDIA_TYPES] = _files(
        (),
        "types that files may have, by their name and by their content, 415 for others; empty: all",
    )
    UPLOAD_EXPIRES: Annotated[float, Duration(low=60.0)] = _files(
        86400.0, "how long an upload in parts that does not go on is kept"
    )

    @field_validator("UPLOAD_TOKEN")
    @classmethod
    def _fits_into_a_field(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            raise RefusedError(
                "clients send it in a header field: it has to be of printable ASCII characters"
            )
        return value

    @field_validator("UPLOAD_TOKEN")
    @classmethod
    def _uploads_need_a_directory(cls, value: str, info: ValidationInfo) -> str:
        directory = info.data.get("MEDIA_DIR")
        if not (value and info.data.get("UPLOADS") and directory is not None):
            return value
        if not directory.is_dir():
            raise RefusedError(f"UPLOADS is on, and MEDIA_DIR {shown(directory)} is no directory")
        return value
