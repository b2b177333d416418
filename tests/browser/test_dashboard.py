"""The live page of /stats, as people use it: with the mouse, with the keyboard, on a phone."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.screens import take_screens
from tests.browser.watching import Watch
from tests.e2e.clients import Connection, fetch
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy

MIB = 1 << 20
PREFIX = "/_aprp"


@pytest.fixture(scope="module")
def source() -> Iterator[FaultOrigin]:
    """The origin of this module."""
    origin = FaultOrigin()
    yield origin
    origin.go_away()
    origin.check()


def start(source: FaultOrigin, directory: Path, *flags: str) -> Proxy:
    # What is read ahead is fetched at once: no second fetch passes by the one that is held up.
    return Proxy(
        directory,
        *("--upstream", source.url, "--parallel-fetches", "1", *flags),
        cache=True,
        APRP_ADMIN_PREFIX=PREFIX,
    )


@pytest.fixture(scope="module")
def proxy(source: FaultOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a cache, whose pages are below a prefix."""
    with start(source, tmp_path_factory.mktemp("proxy")) as started:
        yield started


def stored(source: FaultOrigin, proxy: Proxy, name: str, *sizes: int) -> list[File]:
    """Files that are in the cache, whole."""
    files = []
    for size in sizes:
        file = source.add(size, name)
        assert len(fetch(proxy.url, file.path).body) == size
        files.append(file)
    return files


def open_page(page: Page, proxy: Proxy) -> None:
    """Go to the page, and wait until it is live."""
    answer = page.goto(f"{proxy.url}{PREFIX}/stats")
    assert answer is not None and answer.headers["content-security-policy"]
    expect(page.locator("#state")).to_have_text("live")


def row_of(page: Page, file: File) -> Locator:
    """The row of an object."""
    return page.locator("#objects tbody tr").filter(has_text=file.path)


def bar_of(page: Page, file: File) -> Locator:
    """The map of an object."""
    return row_of(page, file).get_by_role("img")


def names(page: Page) -> list[str]:
    """The names in the list, from the top."""
    return page.locator("#objects tbody .path").all_inner_texts()


def search(page: Page, text: str, found: int) -> None:
    """Search, and wait until so many objects are found; ten are shown at once."""
    page.get_by_label("Search objects by name").fill(text)
    expect(page.locator("#objects-total")).to_have_text(str(found))
    expect(page.locator("#objects tbody tr")).to_have_count(min(found, 10))


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


def proxy_report(proxy: Proxy) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(fetch(proxy.url, f"{PREFIX}/stats.json").body)
    return told


def test_sorting_searching_and_turning_pages(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    files = stored(source, proxy, "sorted.bin", *(size * 1000 for size in (5, 1, 12, 7, 3)))
    files += stored(source, proxy, "sorted.bin", *(size * 1000 for size in range(13, 21)))
    by_size = [file.path for file in sorted(files, key=lambda file: file.size)]
    open_page(page, proxy)
    search(page, "sorted.bin", 13)
    header = page.get_by_role("columnheader", name="size")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert names(page) == by_size[:-11:-1]
    # By keyboard, and the other way round.
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert names(page) == by_size[:10]
    expect(page.locator("#place")).to_have_text("1 to 10 of 13")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#place")).to_have_text("11 to 13 of 13")
    assert names(page) == by_size[10:]
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#place")).to_have_text("1 to 10 of 13")
    search(page, "no such name", 0)
    expect(page.get_by_text("No name has “no such name” in it.")).to_be_visible()


def test_purging_with_the_mouse(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    kept, gone = stored(source, proxy, "mouse.bin", 2000, 3000)
    open_page(page, proxy)
    search(page, "mouse.bin", 2)
    purge = page.get_by_role("button", name="Purge", exact=True)
    expect(purge).to_be_disabled()
    page.get_by_label(f"Select {gone.path}").check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    purge.click()
    dialog = page.get_by_role("dialog", name="Purge 1 object?")
    expect(dialog).to_contain_text(gone.path)
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(row_of(page, gone)).to_have_count(1)
    purge.click()
    dialog.get_by_role("button", name="Purge").click()
    expect(page.get_by_role("status").filter(has_text="1 object purged.")).to_be_visible()
    expect(row_of(page, gone)).to_have_count(0)
    expect(row_of(page, kept)).to_have_count(1)
    # It is not stored any more: the origin is asked again.
    assert (len(gone.served), len(kept.served)) == (1, 1)
    for file in (gone, kept):
        fetch(proxy.url, file.path)
    assert (len(gone.served), len(kept.served)) == (2, 1)


def test_purging_with_the_keyboard(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    gone = stored(source, proxy, "keyboard.bin", 2000)[0]
    open_page(page, proxy)
    search(page, "keyboard.bin", 1)
    page.get_by_label("Select all on this page").focus()
    page.keyboard.press("Space")
    expect(page.get_by_label(f"Select {gone.path}")).to_be_checked()
    page.get_by_label("Search objects by name").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Purge", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Purge", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 object purged.")).to_be_visible()
    expect(page.get_by_label("Search objects by name")).to_be_focused()
    assert len(gone.served) == 1


def test_selecting_all_of_a_page(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "all.bin", 2000, 3000, 4000)
    open_page(page, proxy)
    search(page, "all.bin", 3)
    every = page.get_by_label("Select all on this page")
    every.check()
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.locator("#objects tbody").get_by_role("checkbox").first.uncheck()
    expect(page.get_by_text("2 selected")).to_be_visible()
    assert every.evaluate("box => box.indeterminate")
    every.check()
    every.uncheck()
    expect(page.get_by_role("button", name="Warm")).to_be_disabled()


def test_purging_all_of_the_last_page(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "last.bin", *range(2000, 2012))
    open_page(page, proxy)
    search(page, "last.bin", 12)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#place")).to_have_text("11 to 12 of 12")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Purge", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    expect(page.get_by_role("status").filter(has_text="2 objects purged.")).to_be_visible()
    # The page before it is shown, and the focus is not lost.
    expect(page.locator("#objects tbody tr")).to_have_count(10)
    expect(page.get_by_label("Search objects by name")).to_be_focused()


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


def test_warming(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    file = source.add(5 * MIB, "warm.mp4")
    assert fetch(proxy.url, file.path, Range=f"bytes=0-{MIB - 1}").status == 206
    open_page(page, proxy)
    search(page, "warm.mp4", 1)
    page.get_by_label(f"Select {file.path}").check()
    page.get_by_role("button", name="Warm").click()
    expect(page.get_by_text("1 object is being fetched whole.")).to_be_visible()
    whole = re.compile("^100 % of 5 MB stored")
    expect(bar_of(page, file)).to_have_attribute("aria-label", whole)
    assert file.sent == file.size


def test_who_may_only_look_is_told_why(proxy: Proxy, page: Page) -> None:
    def refuse(route: Route) -> None:
        told = route.fetch().json()
        told["admin"] = {"allowed": False, "token": None, "why": "192.0.2.1 is not in ADMIN_ALLOW"}
        route.fulfill(json=told)

    page.route("**/stats/objects?*", refuse)
    open_page(page, proxy)
    expect(page.locator("#why")).to_have_text("To look at only: 192.0.2.1 is not in ADMIN_ALLOW")
    expect(page.get_by_role("button", name="Purge", exact=True)).to_be_hidden()
    expect(page.get_by_role("button", name="Warm")).to_be_hidden()
    expect(page.locator("#objects tbody tr").first).to_be_visible()
    expect(page.get_by_role("checkbox")).to_have_count(0)


def test_a_refusal_is_told(source: FaultOrigin, watch: Watch, proxy: Proxy) -> None:
    """A token that is too old: the next try has a new one."""
    # The browser itself writes of each answer 403.
    watch.expect("403")
    page = watch.page
    gone = stored(source, proxy, "refused.bin", 2000)[0]

    def spoil(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "x-csrf-token": "old"})

    page.route("**/stats/purge", spoil, times=1)
    open_page(page, proxy)
    search(page, "refused.bin", 1)
    page.get_by_label(f"Select {gone.path}").check()
    for told in ("Refused: ", "1 object purged."):
        page.get_by_role("button", name="Purge", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Purge").click()
        expect(page.locator("#told")).to_contain_text(told)


def test_names_are_text(proxy: Proxy, page: Page) -> None:
    name = '/<img src=x onerror="alert(1)">.mp4'

    def rename(route: Route) -> None:
        told = route.fetch().json()
        told["objects"] = [{**told["objects"][0], "name": name, "type": "<b>"}]
        route.fulfill(json=told)

    page.route("**/stats/objects?*", rename)
    open_page(page, proxy)
    expect(page.locator("#objects tbody .path")).to_have_text(name)
    expect(page.locator("#objects tbody th")).to_contain_text("<b>")


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


def test_a_browser_whose_clock_is_wrong(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "clock.bin", 2000)
    page.add_init_script("const now = Date.now; Date.now = () => now() + 7_200_000;")
    open_page(page, proxy)
    search(page, "clock.bin", 1)
    used = page.locator("#objects tbody").get_by_role("cell", name=re.compile(r"^(now|\d+ s ago)$"))
    expect(used).to_have_count(1)


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
