"""The forward proxy: a browser that is configured to use it."""

from pathlib import Path

from tests.e2e.certificates import Authority
from tests.e2e.content import FILM
from tests.e2e.programs import require, run
from tests.e2e.scripted import Script, ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import forwarding

PAGE = b"""<!doctype html><title>page</title><p id=p>waiting</p>
<script>
  fetch("%s?range=3-7").then(r => r.arrayBuffer().then(b =>
    document.getElementById("p").textContent = `got ${r.status} ${b.byteLength}`));
</script>
"""


def browse(proxy: Proxy, url: str, profile: Path) -> str:
    """The page as a browser has it when its scripts are done."""
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update"),
        f"--user-data-dir={profile}",
        f"--proxy-server={proxy.url}",
        # Hosts on loopback are not exempt.
        "--proxy-bypass-list=<-loopback>",
        "--ignore-certificate-errors",
        "--virtual-time-budget=10000",
        "--dump-dom",
    )
    done = run(require("chromium"), *options, url)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def page_of(origin: ScriptedOrigin, script: Script) -> tuple[str, str]:
    """A page, and the path of what it fetches, which a script serves."""
    film = origin.plays(script)
    page = PAGE % film.encode()
    return origin.plays(says(answer("200 OK", page, "Content-Type: text/html")), "page"), film


def test_a_browser_sees_a_plain_page(
    start_proxy: StartProxy, origin: ScriptedOrigin, tmp_path: Path
) -> None:
    proxy = forwarding(start_proxy)
    path, film = page_of(origin, serves(FILM))
    before = proxy.stats()["tunnels"]["opened"]
    assert "got 206 5" in browse(proxy, origin.url + path, tmp_path)
    # It was the proxy that knew what the parameter is.
    (request,) = origin.asked(film)
    assert request.target == film
    assert request.get("Via") == "1.1 aprp"
    assert proxy.stats()["tunnels"]["opened"] == before


def test_a_browser_sees_a_page_with_tls(
    start_proxy: StartProxy, authority: Authority, tmp_path: Path
) -> None:
    require("chromium")
    origin = ScriptedOrigin(authority.server("page", "IP:127.0.0.1"))
    try:
        path, film = page_of(origin, says(answer("200 OK", FILM)))
        proxy = forwarding(start_proxy, origin.port)
        seen = browse(proxy, origin.url + path, tmp_path)
        # In a tunnel nothing is looked at.
        assert f"got 200 {len(FILM)}" in seen
        (request,) = origin.asked(film)
        assert request.target == f"{film}?range=3-7"
        assert request.get("Via") is None
        assert proxy.stats()["tunnels"]["opened"] > 0
    finally:
        origin.close()
    origin.check()
