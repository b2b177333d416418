"""Players and download programs through the proxy, before origins of each kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.content import BIG, CLIP, FILLING, endless
from tests.e2e.programs import require, run
from tests.e2e.servers import Proxy


def lines_since(proxy: Proxy, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The access lines after those that were there before."""
    proxy.wait_idle()
    lines = proxy.access_lines()[len(before) :]
    return [line for line in lines if not line["target"].startswith("/stats")]


def probe(url: str | Path) -> dict[str, Any]:
    """What ffprobe tells of a film, without its name."""
    options = ("-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_entries")
    done = run(require("ffprobe"), *options, "packet=pts_time,size,pos", "-i", url)
    assert (done.returncode, done.stderr) == (0, b"")
    told: dict[str, Any] = json.loads(done.stdout)
    del told["format"]["filename"]
    return told


def frame(url: str | Path, second: float) -> bytes:
    """The picture that a film shows at a second, as pixels; ffmpeg seeks there."""
    options = ("-v", "error", "-nostdin", "-ss", f"{second}", "-i", url, "-frames:v", "1")
    done = run(require("ffmpeg"), *options, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_ffprobe_sees_the_same_film(any_proxy: Proxy, files: Path) -> None:
    assert probe(f"{any_proxy.url}/clip.mp4") == probe(files / "clip.mp4")


def test_ffmpeg_seeks_to_the_same_picture(any_proxy: Proxy) -> None:
    before = any_proxy.access_lines()
    pictures = [frame(f"{any_proxy.url}/clip.mp4", second) for second in (12.4, 47.0)]
    assert len(pictures[0]) == 640 * 360 * 3
    assert pictures[0] != pictures[1]
    assert pictures == [frame(CLIP, second) for second in (12.4, 47.0)]
    # It asked for the index at the end and for the place itself, and not for what is between.
    lines = lines_since(any_proxy, before)
    assert len({line["range"] for line in lines}) > 1
    assert all(line["status"] == 206 for line in lines)
    assert sum(line["sent"] for line in lines) < FILLING


def test_aria2_with_several_connections(any_proxy: Proxy, tmp_path: Path) -> None:
    before = any_proxy.access_lines()
    # Without a limit the first connection may have it all before there is a second.
    pace = "--max-overall-download-limit=8M"
    options = ("--no-conf", "-q", "-x4", "-s4", "-k1M", pace, "--file-allocation=none")
    into = ("-d", tmp_path, "-o", "big.bin")
    done = run(require("aria2c"), *options, *into, f"{any_proxy.url}/big.bin")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "big.bin").read_bytes() == endless(0, BIG)
    ranges = {line["range"] for line in lines_since(any_proxy, before)}
    assert len(ranges) >= 4


HELD = 5_000_001
"""So much of the file is there already."""

# Where they go on; aria2 with the block of 16 KiB in which it stopped.
RESUMING = {
    "aria2c": (
        HELD - HELD % 16384,
        ("--no-conf", "-q", "-c", "--file-allocation=none", "-o", "big.bin"),
    ),
    "wget": (HELD, ("--no-config", "-q", "-c", "-O", "big.bin")),
    "curl": (HELD, ("-q", "-sS", "-C", "-", "-o", "big.bin")),
}


@pytest.mark.parametrize("program", RESUMING)
def test_a_broken_download_is_resumed(any_proxy: Proxy, tmp_path: Path, program: str) -> None:
    content, (start, options) = endless(0, BIG), RESUMING[program]
    (tmp_path / "big.bin").write_bytes(content[:HELD])
    before = any_proxy.access_lines()
    done = run(require(program), *options, f"{any_proxy.url}/big.bin", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "big.bin").read_bytes() == content
    last = lines_since(any_proxy, before)[-1]
    assert (last["range"], last["sent"]) == (f"bytes {start}-{BIG - 1}/{BIG}", BIG - start)
