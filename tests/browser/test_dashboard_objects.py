"""The objects on the live page of /stats: sorted, searched, purged and warmed by people."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.browser.dashboard import MIB, bar_of, open_page, row_of, start, stored
from tests.browser.watching import Watch
from tests.e2e.clients import fetch
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy


@pytest.fixture(scope="module")
def proxy(source: FaultOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a cache, whose pages are below a prefix."""
    with start(source, tmp_path_factory.mktemp("proxy")) as started:
        yield started


def names(page: Page) -> list[str]:
    """The names in the list, from the top."""
    return page.locator("#objects tbody .path").all_inner_texts()


def search(page: Page, text: str, found: int) -> None:
    """Search, and wait until so many objects are found; ten are shown at once."""

    def answers(response: Response) -> bool:
        return parse_qs(urlsplit(response.url).query).get("search") == [text]

    # The page asks a moment after the last letter; what it shows may have been as many before.
    with page.expect_response(answers):
        page.get_by_label("Search objects by name").fill(text)
    expect(page.locator("#objects-total")).to_have_text(str(found))
    expect(page.locator("#objects tbody tr")).to_have_count(min(found, 10))


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


def test_a_question_that_was_closed_is_not_answered_by_the_next(
    source: FaultOrigin, proxy: Proxy, page: Page
) -> None:
    gone = stored(source, proxy, "twice.bin", 2000)[0]
    open_page(page, proxy)
    search(page, "twice.bin", 1)
    page.get_by_label(f"Select {gone.path}").check()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # All before the event that tells of the first one's end.
    page.evaluate(
        """() => {
          const click = (id) => document.getElementById(id).click();
          click("purge");
          document.getElementById("confirm").close();
          click("purge");
          click("confirm-yes");
        }"""
    )
    expect(page.get_by_text("1 object purged.")).to_be_visible()
    expect(page.get_by_label("Search objects by name")).to_be_focused()
    assert len([url for url in asked if url.endswith("/stats/purge")]) == 1


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


def test_who_may_only_look_is_told_why(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "looked-at.bin", 2000)

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


def test_names_are_text(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "named.bin", 2000)
    name = '/<img src=x onerror="alert(1)">.mp4'

    def rename(route: Route) -> None:
        told = route.fetch().json()
        told["objects"] = [{**told["objects"][0], "name": name, "type": "<b>"}]
        route.fulfill(json=told)

    page.route("**/stats/objects?*", rename)
    open_page(page, proxy)
    expect(page.locator("#objects tbody .path")).to_have_text(name)
    expect(page.locator("#objects tbody th")).to_contain_text("<b>")


def test_a_browser_whose_clock_is_wrong(source: FaultOrigin, proxy: Proxy, page: Page) -> None:
    stored(source, proxy, "clock.bin", 2000)
    page.add_init_script("const now = Date.now; Date.now = () => now() + 7_200_000;")
    open_page(page, proxy)
    search(page, "clock.bin", 1)
    used = page.locator("#objects tbody").get_by_role("cell", name=re.compile(r"^(now|\d+ s ago)$"))
    expect(used).to_have_count(1)
