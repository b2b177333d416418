"""The live page of /stats, as people use it: with the mouse, with the keyboard, on a phone."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.dashboard import MIB, PREFIX, bar_of, open_page, row_of, start, stored
from tests.browser.screens import take_screens
from tests.browser.watching import Watch
from tests.e2e.clients import Connection, fetch
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy


@pytest.fixture(scope="module")
def proxy(source: FaultOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a cache, whose pages are below a prefix."""
    with start(source, tmp_path_factory.mktemp("proxy")) as started:
        yield started


def proxy_report(proxy: Proxy) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(fetch(proxy.url, f"{PREFIX}/stats.json").body)
    return told


def test_a_running_transfer_and_how_its_object_fills(
    source: FaultOrigin, proxy: Proxy, page: Page
) -> None:
    file = source.add(8 * MIB, "film.mp4")
    released = threading.Event()
    file.plans.append(Plan(hold=(3 * MIB + 100_000, released)))
    with Connection(proxy.port) as client:
        client.ask(file.path)
        assert client.read_head().status == 200
        client.read(3 * MIB + 100_000)
        open_page(page, proxy)
        transfer = page.locator("#transfers tbody tr").filter(has_text=file.path)
        expect(transfer).to_contain_text("38 % of 8 MB")
        bar = transfer.get_by_role("progressbar")
        assert bar.evaluate("bar => bar.value / bar.max") == pytest.approx(0.387, abs=0.01)
        expect(page.get_by_text("Nothing is being sent.")).to_be_hidden()
        said = re.compile(r"^3[78] % of 8 MB stored, being fetched at 38 % .*, 1 reader at 38 %")
        expect(bar_of(page, file)).to_have_attribute("aria-label", said)
        released.set()
        rest = 5 * MIB - 100_000
        assert len(client.read(rest)) == rest
    whole = re.compile("^100 % of 8 MB stored, watched 1×")
    expect(bar_of(page, file)).to_have_attribute("aria-label", whole)
    expect(row_of(page, file)).to_contain_text("100 %")
    expect(transfer).to_have_count(0)
    expect(page.get_by_text("Nothing is being sent.")).to_be_visible()


def test_figures_go_on(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    open_page(page, proxy)
    # Bytes of the proxy's own pages are among those to clients, so they are not looked at.
    cell = page.locator('td[data-of="bytes_from_origins.bytes"] data')
    before = int(cell.get_attribute("value") or "")
    file = stored(source, proxy, "more.mp4", 3 * MIB)[0]
    expect(cell).to_have_attribute("value", str(before + file.size))
    expect(cell).to_have_text(f"{before + file.size:,}")
    expect(page.locator('[data-of="uptime.text"]')).to_have_text(
        re.compile(r"^0 days, \d\d:\d\d:\d\d$")
    )
    expect(page.locator("#throughput [role=img]")).to_have_attribute(
        "aria-label", re.compile("to clients: .*/s now, at most .*from origins: .*/s now")
    )
    expect(page.locator("#throughput canvas")).to_be_visible()
    expect(page.locator("#quantiles")).to_contain_text("99 of 100 (p99)")
    expect(page.locator("#workers tbody")).to_contain_text(f"pid {proxy.pid}")


def test_where_the_focus_is_can_be_seen(proxy: Proxy, page: Page) -> None:
    open_page(page, proxy)
    seen = set()
    for _ in range(9):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => { const e = document.activeElement;"
            " return [e.tagName + e.id + e.textContent, getComputedStyle(e).outlineWidth]; }"
        )
        assert outline[1] == "3px", outline
        seen.add(outline[0])
    assert {"AJSON", "INPUTsearch"} <= {each.strip() for each in seen}


def test_without_scripts(browser: Browser, source: FaultOrigin, proxy: Proxy) -> None:
    stored(source, proxy, "plain.bin", 2000)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{proxy.url}{PREFIX}/stats")
    told = proxy_report(proxy)
    expect(page.locator('dd[data-of="requests"]')).to_have_text(f"{told['requests'] - 1:,}")
    read = told["bytes_from_origins"]
    for unit, text in (("bytes", f"{read['bytes']:,}"), ("MB", f"{read['MB']:,.2f}")):
        expect(page.locator(f'td[data-of="bytes_from_origins.{unit}"]')).to_have_text(text)
    expect(page.locator("footer")).to_contain_text("Reloads every 5 seconds", use_inner_text=True)
    expect(page.locator("[data-live]:visible")).to_have_count(0)
    assert page.locator("noscript meta").get_attribute("content") == "5"
    context.close()


def test_a_lost_connection_is_told_and_comes_back(
    source: FaultOrigin, tmp_path: Path, watch: Watch
) -> None:
    # The browser itself writes of connections that are refused or broken.
    watch.expect("net::ERR_")
    page = watch.page
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with start(source, tmp_path / "one") as first:
        open_page(page, first)
        expect(page.get_by_role("alert")).to_be_hidden()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text(re.compile(r"^No connection to the proxy since \d\d:\d\d:\d\d"))
    expect(page.locator("#state")).to_have_text("not connected")
    assert float(page.locator("main").evaluate("main => getComputedStyle(main).opacity")) < 1
    # The second one has no cache.
    flags = ("--port", str(first.port), "--cache-size", "0")
    with start(source, tmp_path / "two", *flags) as second:
        expect(page.locator("#state")).to_have_text("live")
        expect(notice).to_be_hidden()
        expect(page.locator("#objects-none")).to_have_text(
            "Nothing is stored, and nothing is being stored: see Cache."
        )
        expect(page.locator("#workers tbody")).to_contain_text(f"pid {second.pid}")


def test_no_room_for_one_more_who_looks(proxy: Proxy, watch: Watch) -> None:
    watch.expect("503")
    full = threading.Event()
    full.set()

    def answer(route: Route) -> None:
        if full.is_set():
            route.fulfill(status=503)
        else:
            route.continue_()

    page = watch.page
    page.route("**/stats/events", answer)
    page.goto(f"{proxy.url}{PREFIX}/stats")
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("too many pages may be open")
    expect(page.locator("#state")).to_have_text("not connected")
    full.clear()
    expect(page.locator("#state")).to_have_text("live")
    expect(notice).to_be_hidden()


def test_pictures(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    """Screens for people to look at: with viewers at several places of several files."""
    clients: list[Connection] = []
    seen = threading.Event()

    def watch_on() -> None:
        while not seen.wait(0.05):
            for number, client in enumerate(clients):
                client.read((number % 3 + 1) * 8192)

    with ExitStack() as stack:
        for size, places in ((48, (0, 9, 30)), (24, (2, 11)), (12, (6,))):
            file = source.add(size * MIB + 12345, "film.mp4")
            file.rate = 3 * MIB
            for place in places:
                client = stack.enter_context(Connection(proxy.port, 65536))
                client.ask(file.path, f"Range: bytes={place * MIB}-")
                assert client.read_head().status == 206
                client.read(MIB // 4)
                clients.append(client)
        viewers = threading.Thread(target=watch_on)
        viewers.start()
        stack.callback(viewers.join)
        stack.callback(seen.set)
        open_page(page, proxy)
        expect(page.locator("#transfers tbody tr")).to_have_count(6)
        expect(page.locator("#objects tbody tr").first).to_be_visible()
        # The charts have their first lines with the third event.
        times = page.locator("#transfers tbody td[data-label=time]")
        expect(times.first).to_have_text(re.compile(r"^[3-9] s$"))
        expect(page.locator("#throughput")).to_contain_text(re.compile(r"to clients \d"))
        rates = page.locator("#transfers tbody td[data-label=rate]")
        expect(rates).to_have_text([re.compile(r"^[1-9][\d.]* [kM]B/s")] * 6)
        take_screens(page, "dashboard")
