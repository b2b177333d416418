"""The form for uploads in Chromium: choosing, dropping, the bar, cancelling, deleting."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screens import set_look, take_screens
from tests.browser.watching import Watch
from tests.e2e.content import CLIP
from tests.e2e.file_store import TOKEN, StoreProxy
from tests.e2e.programs import wait_until

MIB = 1 << 20
# Puts files on the page as a hand does that lets go of them there.
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [name, text] of files) data.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data });
    document.body.dispatchEvent(event);
  }
}"""

# Writes down what a bar shows, in each frame until it is gone.
RECORD = """(bar) => {
  window.seen = [];
  const look = () => {
    if (window.seen.at(-1) !== bar.value) window.seen.push(bar.value);
    if (!bar.hidden) requestAnimationFrame(look);
  };
  look();
}"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    """A proxy as it starts from a fresh clone, with one clip."""
    root = tmp_path_factory.mktemp("media")
    (root / "sample.mp4").write_bytes(CLIP.read_bytes())
    environ = {"APRP_SETTINGS": "settings.development", "APRP_LOG_CONSOLE": "off"}
    environ |= {"APRP_UPLOAD_TOKEN": "", "APRP_MAX_UPLOAD_SIZE": "64M"}
    with StoreProxy(tmp_path_factory.mktemp("proxy"), root, cache=True, **environ) as started:
        yield started


@pytest.fixture
def form(desk: StoreProxy, page: Page) -> Page:
    page.goto(f"{desk.url}/")
    return page


def slow_down(page: Page, rate: int) -> None:
    """Let the browser send no more than `rate` bytes a second."""
    session = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", conditions | {"uploadThroughput": rate})


def line(page: Page, name: str) -> str:
    """The selector of a file's line in the list of uploads."""
    return f'.uploads li:has(.name:has-text("{name}"))'


def assert_buttons_are_seen(page: Page) -> None:
    """Fail where a phone has to be scrolled sideways to delete a file."""
    set_look(page, size=(360, 740))
    table = page.locator("section[aria-labelledby=files] .wide")
    assert table.evaluate("(each) => each.scrollWidth - each.clientWidth") == 0
    set_look(page)


def test_several_files_and_the_bar_moves(desk: StoreProxy, form: Page, tmp_path: Path) -> None:
    for name in ("one.mp4", "two.webm"):
        (tmp_path / name).write_bytes(CLIP.read_bytes())
    content = bytes(range(256)) * (3 * MIB // 256)
    (tmp_path / "large.bin").write_bytes(content)
    slow_down(form, MIB)
    files = [tmp_path / name for name in ("large.bin", "one.mp4", "two.webm")]
    form.set_input_files("#upload-input", files)
    bar = form.get_by_role("progressbar", name="Upload of large.bin").element_handle()
    form.evaluate(RECORD, bar)
    form.wait_for_function("(bar) => bar.value > 0.2", arg=bar)
    # One after another.
    assert "waits" in form.inner_text(line(form, "one.mp4"))
    take_screens(form, "upload")
    expect(form.locator(".uploads .good")).to_have_count(3)
    seen = form.evaluate("() => window.seen")
    assert seen == sorted(seen) and len(seen) > 5 and seen[0] < 0.5 and seen[-1] == 1, seen
    assert (desk.root / "large.bin").read_bytes() == content
    assert desk.names() == ["large.bin", "one.mp4", "sample.mp4", "two.webm"]
    # The list of files is as it is now.
    expect(form.get_by_role("button", name="Delete one.mp4")).to_have_count(2)
    assert "two.webm: uploaded" in form.inner_text("#upload [role=status]")


def test_dropping_and_deleting(desk: StoreProxy, form: Page) -> None:
    form.evaluate(DROP, [["größe 1.txt", "first"], ["b.mp4", "second"]])
    expect(form.locator(".uploads .good")).to_have_count(2)
    assert (desk.root / "größe 1.txt").read_text() == "first"
    form.on("dialog", lambda dialog: dialog.accept())
    form.locator("section[aria-labelledby=files]").get_by_role(
        "button", name="Delete b.mp4"
    ).click()
    expect(form.locator("#upload .notice")).to_have_text("b.mp4 is deleted.")
    assert "b.mp4" not in desk.names()
    # What was told of its upload holds no longer.
    expect(form.locator(line(form, "b.mp4"))).to_have_text("b.mp4deleted")
    expect(form.locator(line(form, "b.mp4")).locator("a, button")).to_have_count(0)
    form.locator(line(form, "größe 1.txt")).get_by_role("button").click()
    expect(form.locator(line(form, "größe 1.txt"))).to_contain_text("deleted")
    assert "größe 1.txt" not in desk.names()


def test_files_of_all_kinds_stay_on_the_page(desk: StoreProxy, form: Page) -> None:
    form.evaluate(DROP, [["notes.txt", "Some notes."], ["paper.pdf", "%PDF-1.7"]])
    expect(form.locator(".uploads .good")).to_have_count(2)
    (desk.root / "series").mkdir()
    (desk.root / "series" / "one.txt").write_text("In a directory, and not in the store.")
    form.reload()
    rows = form.locator("section[aria-labelledby=files]")
    expect(rows.get_by_role("link", name="notes.txt")).to_have_attribute("href", "notes.txt")
    expect(rows.get_by_role("link", name="series/one.txt")).to_be_visible()
    expect(rows.get_by_role("button", name="Delete series/one.txt")).to_have_count(0)
    take_screens(form, "files")
    assert_buttons_are_seen(form)
    form.on("dialog", lambda dialog: dialog.accept())
    rows.get_by_role("button", name="Delete notes.txt").click()
    expect(form.locator("#upload .notice")).to_have_text("notes.txt is deleted.")
    expect(rows.get_by_role("link", name="notes.txt")).to_have_count(0)
    rows.get_by_role("link", name="sample.mp4", exact=True).click()
    assert form.url == f"{desk.url}/play/sample.mp4"


def test_many_files(desk: StoreProxy, form: Page) -> None:
    for number in range(600):
        (desk.root / f"many-{number:03}.txt").write_text("x")
    form.reload()
    rows = form.locator("section[aria-labelledby=files]")
    expect(rows.locator("tbody tr")).to_have_count(500)
    form.get_by_role("link", name="Next files").click()
    last = rows.get_by_role("link", name="many-599.txt")
    expect(last).to_be_visible()
    take_screens(form, "files-next")
    form.on("dialog", lambda dialog: dialog.accept())
    rows.get_by_role("button", name="Delete many-599.txt").click()
    expect(last).to_have_count(0)
    # The page is the one it was.
    expect(rows.get_by_role("link", name="many-598.txt")).to_be_visible()
    form.get_by_role("link", name="Previous files").click()
    expect(rows.get_by_role("link", name="many-000.txt")).to_be_visible()
    for number in range(599):
        (desk.root / f"many-{number:03}.txt").unlink()


def test_cancel(desk: StoreProxy, form: Page, tmp_path: Path) -> None:
    for name in ("slow.bin", "never.bin"):
        (tmp_path / name).write_bytes(bytes(8 * MIB))
    slow_down(form, MIB)
    form.set_input_files("#upload-input", [tmp_path / "slow.bin", tmp_path / "never.bin"])
    wait_until(lambda: len(desk.left_behind()) == 1, "it has begun")
    form.get_by_role("button", name="Cancel the upload of never.bin").click()
    form.get_by_role("button", name="Cancel the upload of slow.bin").click()
    expect(form.locator(".uploads li")).to_contain_text(["cancelled", "cancelled"])
    wait_until(lambda: desk.left_behind() == [], "nothing is left")
    assert not {"slow.bin", "never.bin"} & set(desk.names())


def test_what_goes_wrong_is_said_in_words(desk: StoreProxy, watch: Watch, tmp_path: Path) -> None:
    watch.expect("status of 4")
    page = watch.page
    page.goto(f"{desk.url}/")
    (tmp_path / "huge.bin").write_bytes(bytes(65 * MIB))
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "sample.mp4").write_bytes(b"other")
    files = [tmp_path / name for name in ("huge.bin", ".hidden", "sample.mp4")]
    page.set_input_files("#upload-input", files)
    expect(page.locator(line(page, "huge.bin"))).to_contain_text("64 MiB are the most")
    expect(page.locator(line(page, ".hidden"))).to_contain_text("begins with a dot")
    expect(page.locator(line(page, "sample.mp4"))).to_contain_text("there already")
    page.get_by_role("button", name="Replace sample.mp4").click()
    expect(page.locator(".uploads .good")).to_have_count(1)
    assert (desk.root / "sample.mp4").read_bytes() == b"other"


def test_only_files_are_replaced(desk: StoreProxy, watch: Watch) -> None:
    watch.expect("status of 409")
    page = watch.page
    (desk.root / "season").mkdir()
    page.goto(f"{desk.url}/")
    page.evaluate(DROP, [["one.txt", "first"], ["one.txt", "second"], ["season", "x"]])
    lines = page.locator(".uploads li")
    page.get_by_role("button", name="Replace one.txt").click()
    expect(lines.nth(0)).to_contain_text("replaced")
    expect(lines.nth(0).locator("a, button")).to_have_count(0)
    expect(lines.nth(1).get_by_role("link")).to_have_attribute("href", "./one.txt")
    assert (desk.root / "one.txt").read_text() == "second"
    page.get_by_role("button", name="Replace season").click()
    expect(lines.nth(2)).to_contain_text("is no file: choose another name")
    expect(lines.nth(2).get_by_role("button")).to_have_count(0)
    (desk.root / "season").rmdir()


def test_what_can_never_be_taken_is_not_tried_again(desk: StoreProxy, watch: Watch) -> None:
    page = watch.page
    watch.expect("status of 400")
    page.goto(f"{desk.url}/")
    page.evaluate(DROP, [[".hidden", "x"]])
    expect(page.locator(line(page, ".hidden"))).to_contain_text("begins with a dot")
    expect(page.locator(line(page, ".hidden")).get_by_role("button")).to_have_count(0)


def test_a_file_that_is_gone_when_its_turn_comes(
    desk: StoreProxy, watch: Watch, tmp_path: Path
) -> None:
    page = watch.page
    watch.expect("ERR_FILE_NOT_FOUND|ERR_UPLOAD_FILE_CHANGED")
    page.goto(f"{desk.url}/")
    gone = tmp_path / "gone.txt"
    gone.write_bytes(b"x" * 1000)
    first = tmp_path / "first.bin"
    first.write_bytes(bytes(4 * MIB))
    slow_down(page, 2 * MIB)
    page.set_input_files("#upload-input", [first, gone])
    expect(page.locator(line(page, "gone.txt"))).to_contain_text("waits for its turn")
    gone.unlink()
    page.get_by_role("button", name="Cancel the upload of first.bin").click()
    expect(page.locator(line(page, "gone.txt"))).to_contain_text("changed or removed")
    assert "gone.txt" not in desk.names()


def test_with_a_token(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("media")
    page = watch.page
    watch.expect("status of 401")
    with StoreProxy(tmp_path_factory.mktemp("proxy"), root, APRP_HOME_PAGE="on") as proxy:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.method))
        page.goto(f"{proxy.url}/")
        expect(page.locator("section[aria-labelledby=files]")).to_contain_text("Upload files, or")
        page.evaluate(DROP, [["a.txt", "x"]])
        expect(page.locator(".uploads .bad")).to_contain_text("Enter the token")
        expect(page.get_by_label("Token of this store")).to_be_focused()
        # Nothing is sent that would be refused.
        assert set(asked) == {"GET"}
        # What no header field can carry stops nothing else.
        page.get_by_label("Token of this store").fill("\u201equoted\u201c")
        page.get_by_role("button", name="Try again to upload a.txt").click()
        expect(page.locator(".uploads .bad")).to_contain_text("not the one")
        page.get_by_label("Token of this store").fill(TOKEN)
        page.get_by_role("button", name="Try again to upload a.txt").click()
        expect(page.locator(".uploads .good")).to_have_count(1)
        assert proxy.names() == ["a.txt"]


def test_no_form_where_nothing_is_taken(
    watch: Watch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("media")
    (root / "a.mp4").write_bytes(b"x")
    environ = {"APRP_HOME_PAGE": "on", "APRP_UPLOADS": "off", "APRP_UPLOAD_TOKEN": ""}
    # What is in the file is no film.
    watch.expect("video|media|416")
    with StoreProxy(tmp_path_factory.mktemp("proxy"), root, cache=False, **environ) as proxy:
        watch.page.goto(f"{proxy.url}/")
        expect(watch.page.get_by_role("link", name="a.mp4").first).to_be_visible()
        expect(watch.page.locator("#upload")).to_have_count(0)
        expect(watch.page.get_by_role("button")).to_have_count(0)
