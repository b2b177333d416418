"""The page and the player in a real browser (chromium, if it is installed)."""

import json
import queue
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.e2e.content import FILLING, PROJECT, film_with_far_index
from tests.e2e.programs import PATIENCE, Program, require, run
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy

SCREENSHOT = PROJECT / "build" / "screens" / "index.png"

# Seeks to where the file has not been read yet, and tells when the picture of that place is there.
PLAYER = """\
<!doctype html>
<video muted preload="auto" src="%s"></video>
<script>
  const video = document.querySelector("video");
  const tell = (what) => fetch(`%s?${new URLSearchParams({
    what, at: video.currentTime, length: video.duration, width: video.videoWidth,
    error: video.error ? video.error.message : "",
  })}`);
  video.onloadedmetadata = () => { video.currentTime = 42; };
  video.onseeked = () => {
    video.onplaying = () => { video.ontimeupdate = () => {
      if (video.currentTime > 42.2) { video.ontimeupdate = null; tell("played"); }
    }; };
    video.play();
  };
  video.onerror = () => tell("failed");
</script>
"""


def chromium(profile: Path) -> tuple[str | Path, ...]:
    """The command line of a browser without windows that leaves nothing behind."""
    return (
        require("chromium"),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
    )


@pytest.fixture
def page(start_proxy: StartProxy) -> Proxy:
    """A proxy with the page and the clip that come with the project."""
    return start_proxy("--upstream", "embedded")


def test_the_page_shows_the_clip(page: Proxy, tmp_path: Path) -> None:
    SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
    SCREENSHOT.unlink(missing_ok=True)
    options = ("--dump-dom", "--window-size=1280,900", f"--screenshot={SCREENSHOT}")
    done = run(*chromium(tmp_path), *options, f"{page.url}/")
    assert done.returncode == 0, done.stderr.decode()
    assert b"<video" in done.stdout and b"sample.mp4" in done.stdout
    assert SCREENSHOT.read_bytes().startswith(b"\x89PNG")


def test_a_browser_seeks_and_plays(
    origin: ScriptedOrigin, scripted_proxy: Proxy, tmp_path: Path
) -> None:
    told: queue.Queue[dict[str, list[str]]] = queue.Queue()

    def report(peer: Peer) -> None:
        told.put(parse_qs(peer.request.target.partition("?")[2]))
        peer.send(answer("204 No Content", b""))

    before, index = film_with_far_index()
    film = before + bytes(FILLING) + index
    clip = origin.plays(serves(film, "Content-Type: video/mp4"), "clip.mp4")
    player = (PLAYER % (clip, origin.plays(report, "told"))).encode()
    path = origin.plays(says(answer("200 OK", player, "Content-Type: text/html")), "player.html")
    command = (*chromium(tmp_path), "--remote-debugging-port=0", scripted_proxy.url + path)
    with Program(*command) as browser:
        try:
            report_of = told.get(timeout=2 * PATIENCE)
        except queue.Empty:
            pytest.fail(str(browser))
    assert report_of["what"] == ["played"], json.dumps(report_of)
    assert float(report_of["at"][0]) >= 42
    assert 59 < float(report_of["length"][0]) < 61
    assert report_of["width"] == ["640"]
    # The index at the end was asked for without what is before it.
    asked = [request.get("Range") for request in origin.asked(clip)]
    assert len(asked) > 1 and all(asked)
