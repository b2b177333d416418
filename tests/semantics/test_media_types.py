"""Types by name. What is expected is what IANA has registered, or what players ask for."""

import subprocess
import sys

import pytest

from aprp.semantics.media_types import content_type, is_active, is_text, matches


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("a.txt", "text/plain"),
        ("a.pdf", "application/pdf"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.gif", "image/gif"),
        ("a.webp", "image/webp"),
        ("a.svg", "image/svg+xml"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mkv", "video/x-matroska"),
        ("a.mp3", "audio/mpeg"),
        ("a.m4a", "audio/mp4"),
        ("a.wav", "audio/wav"),
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.ts", "video/mp2t"),
        ("a.m4s", "video/iso.segment"),
        ("a.mpd", "application/dash+xml"),
        ("a.vtt", "text/vtt"),
        ("a.srt", "application/x-subrip"),
        ("a.json", "application/json"),
        ("a.html", "text/html"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/gzip"),
        ("mp4", None),
        ("a.", None),
        ("a.unheard-of", None),
    ],
)
def test_types_by_name(name: str, type_: str | None) -> None:
    assert content_type(name) == type_


@pytest.mark.parametrize("name", ["a.html", "a.htm", "a.svg", "a.xml", "a.xhtml", "a.mpd", "a.xsl"])
def test_what_a_browser_would_run(name: str) -> None:
    type_ = content_type(name)
    assert type_ is not None and is_active(type_) and is_text(type_)


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.png", "a.mp4", "a.vtt", "a.js", "a.json"])
def test_what_it_would_not(name: str) -> None:
    type_ = content_type(name)
    assert type_ is not None and not is_active(type_)


def test_no_other_program_part_changes_the_answer() -> None:
    # mimetypes reads the system's table when the first one asks it; each in a process of its own.
    ask = "from aprp.semantics.media_types import content_type as t; "
    names = ("a.shtml", "a.rdf", "a.swf", "a.odt")
    told = f"print([t(name) for name in {names}])"
    first, later = (
        subprocess.run(
            (sys.executable, "-c", f"{ask}{before}{told}"), capture_output=True, check=True
        ).stdout
        for before in ("", "import mimetypes; mimetypes.guess_type('x.y'); ")
    )
    assert first == later


def test_kinds() -> None:
    assert matches("video/mp4", ("audio/mpeg", "video/*"))
    assert matches("video/mp4", ("video/mp4",))
    assert matches("video/mp4", ("*/*",))
    assert not matches("video/mp4", ("video/webm", "audio/*"))
    assert not matches("video/mp4", ())
