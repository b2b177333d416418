"""Indexes of files that ffmpeg made, compared with a walk through all of their bytes."""

import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aprp.semantics.containers import IndexSearch, Kind
from aprp.semantics.ranges import Span
from tests.semantics.boxes import looks, searched

SAMPLE = Path(__file__).parents[2] / "media" / "sample.mp4"
PICTURE = "testsrc=size=64x48:rate=10:duration=4"
SOUND = "sine=frequency=330:duration=4"
COPIES = {
    "last.mp4": "",
    "first.mp4": "-movflags +faststart",
    "fragmented.mp4": "-movflags +frag_keyframe+empty_moov+default_base_moof",
    "indexed.mp4": "-movflags +dash+global_sidx+frag_keyframe -frag_duration 500000",
    "last.mov": "",
    "end.mkv": "",
    "front.mkv": "-cues_to_front 1",
    "reserved.mkv": "-reserve_index_space 5000",
}


def ffmpeg(*words: str) -> None:
    quiet = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    subprocess.run([*quiet, *words], check=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small films, all from the same media."""
    root = tmp_path_factory.mktemp("films")
    source = ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND]
    ffmpeg(*source, "-c:v", "mpeg4", "-g", "5", "-c:a", "aac", str(root / "source.mp4"))
    for name, options in COPIES.items():
        ffmpeg("-i", str(root / "source.mp4"), "-c", "copy", *options.split(), str(root / name))
    webm = ["-c:v", "libvpx", "-deadline", "realtime", "-g", "5", "-c:a", "libopus"]
    ffmpeg(*source, *webm, str(root / "end.webm"))
    copied = ["-i", str(root / "end.webm"), "-c", "copy"]
    ffmpeg(*copied, "-cues_to_front", "1", str(root / "front.webm"))
    ffmpeg(*copied, "-live", "1", str(root / "live.webm"))
    return root


def boxes(content: bytes) -> list[tuple[str, Span]]:
    """All top-level boxes of an MP4 file."""
    found = []
    place = 0
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, place + 8)
        found.append((kind.decode(), Span(place, place + size)))
        place += size
    assert place == len(content)
    return found


def elements(content: bytes, place: int, stop: int) -> Iterator[tuple[str, Span, int]]:
    """All elements of EBML between two places: ID, place, where the content begins."""
    while place < stop:
        ident_stop = place + next(n for n in range(1, 5) if content[place] >> (8 - n))
        width = next(n for n in range(1, 9) if content[ident_stop] >> (8 - n))
        body = ident_stop + width
        size = int.from_bytes(content[ident_stop:body]) - (1 << 7 * width)
        yield content[place:ident_stop].hex(), Span(place, body + size), body
        place = body + size
    assert place == stop


def test_the_walk_of_the_test_and_ffprobe_see_the_same_boxes(files: Path) -> None:
    probe = subprocess.run(
        ["ffprobe", "-v", "trace", str(files / "last.mp4")],
        capture_output=True,
        text=True,
        check=True,
    )
    seen = re.findall(r"type:'(\w+)' parent:'root' sz: (\d+) (\d+) \d+", probe.stderr)
    # ffprobe tells where the content of a box begins.
    spans = [(kind, Span(int(at) - 8, int(at) - 8 + int(size))) for kind, size, at in seen]
    assert spans == boxes((files / "last.mp4").read_bytes())


@pytest.mark.parametrize(
    ("name", "before"),
    [("last.mp4", "mdat"), ("first.mp4", "ftyp"), ("last.mov", "mdat"), ("sample", "mdat")],
)
def test_moov(files: Path, name: str, before: str) -> None:
    content = (SAMPLE if name == "sample" else files / name).read_bytes()
    kinds = dict(boxes(content))
    order = list(kinds)
    assert order[order.index("moov") - 1] == before
    search = searched(content, "mp4")
    assert (search.found, search.trailer) == (kinds["moov"], None)


def test_moov_and_mfra_of_a_fragmented_file(files: Path) -> None:
    content = (files / "fragmented.mp4").read_bytes()
    kinds = dict(boxes(content))
    assert "moof" in kinds
    search = searched(content, "mp4")
    assert (search.found, search.trailer) == (kinds["moov"], kinds["mfra"])


def test_moov_and_the_sidx_of_each_track(files: Path) -> None:
    content = (files / "indexed.mp4").read_bytes()
    walked = boxes(content)
    at = [kind for kind, _ in walked].index("moov")
    assert [kind for kind, _ in walked[at : at + 4]] == ["moov", "sidx", "sidx", "moof"]
    search = searched(content, "mp4")
    assert search.found == Span(walked[at][1].start, walked[at + 2][1].stop)


@pytest.mark.parametrize(
    ("name", "at_the_front"),
    [
        ("end.webm", False),
        ("front.webm", True),
        ("end.mkv", False),
        ("front.mkv", True),
        ("reserved.mkv", True),
    ],
)
def test_cues(files: Path, name: str, at_the_front: bool) -> None:
    content = (files / name).read_bytes()
    header, segment = elements(content, 0, len(content))
    assert (header[0], segment[0]) == ("1a45dfa3", "18538067")
    inside = list(elements(content, segment[2], segment[1].stop))
    (cues,) = [place for ident, place, _ in inside if ident == "1c53bb6b"]
    clusters = [place for ident, place, _ in inside if ident == "1f43b675"]
    assert (cues.start < clusters[0].start) is at_the_front
    assert searched(content, "webm").found == cues


def test_a_live_webm_has_no_cues(files: Path) -> None:
    content = (files / "live.webm").read_bytes()
    assert content.count(bytes.fromhex("1c53bb6b")) == 0
    assert searched(content, "webm").found is None


@pytest.mark.parametrize(
    ("name", "kind"), [("last.mp4", "mp4"), ("fragmented.mp4", "mp4"), ("end.webm", "webm")]
)
def test_few_bytes_are_looked_at(files: Path, name: str, kind: Kind) -> None:
    content = (files / name).read_bytes()
    wanted = list(looks(IndexSearch(len(content), kind), content))
    assert len(wanted) <= 8
    assert sum(want.length for want in wanted) < 1024


@pytest.mark.parametrize(
    ("name", "kind"), [("last.mp4", "mp4"), ("front.mkv", "webm"), ("sample", "mp4")]
)
def test_a_file_of_another_kind_costs_one_look(files: Path, name: str, kind: Kind) -> None:
    content = (SAMPLE if name == "sample" else files / name).read_bytes()
    other: Kind = "webm" if kind == "mp4" else "mp4"
    search = IndexSearch(len(content), other)
    assert len(list(looks(search, content))) == 1
    assert search.found is None
