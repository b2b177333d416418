"""Settings of the file store."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from settings import base, development, production

TOKEN = "sixteen letters!"


def test_off_on_a_server_and_on_on_a_desk() -> None:
    assert not base.Settings().UPLOADS
    assert not production.Settings(UPSTREAM=["http://a"]).UPLOADS
    assert development.Settings().UPLOADS and not development.Settings().UPLOAD_TOKEN


@pytest.mark.parametrize("kind", [base.Settings, production.Settings])
def test_a_token_is_not_shown(kind: type[base.Settings], tmp_path: Path) -> None:
    made = kind(UPSTREAM=["http://a"], UPLOADS=True, UPLOAD_TOKEN=TOKEN, MEDIA_DIR=tmp_path)
    assert made.UPLOADS and TOKEN not in repr(made)


def test_a_short_token_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError) as raised:
        base.Settings(UPLOADS=True, UPLOAD_TOKEN="short one")
    assert "short one" not in str(raised.value)


@pytest.mark.parametrize("token", ["sixteen l\u00e4tters!", "sixteen\nletters!"])
def test_a_token_that_no_field_can_carry(token: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="ASCII") as raised:
        base.Settings(UPLOADS=True, UPLOAD_TOKEN=token, MEDIA_DIR=tmp_path)
    assert token not in str(raised.value)


def test_a_directory_is_needed(tmp_path: Path) -> None:
    missing = tmp_path / "no"
    with pytest.raises(ValidationError, match="MEDIA_DIR"):
        base.Settings(UPSTREAM=["http://a"], UPLOADS=True, UPLOAD_TOKEN=TOKEN, MEDIA_DIR=missing)
    # Off, nobody looks for it.
    base.Settings(UPSTREAM=["http://a"], UPLOAD_TOKEN=TOKEN, MEDIA_DIR=missing)


def test_types() -> None:
    made = base.Settings(ALLOWED_TYPES="Video/*, image/png")
    assert made.ALLOWED_TYPES == ("video/*", "image/png")
    for wrong in ("video", "video/", "*/mp4", "video/mp4; codecs=x", "a b/c"):
        with pytest.raises(ValidationError):
            base.Settings(ALLOWED_TYPES=[wrong])
