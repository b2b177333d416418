"""The page that `aprp dev` shows while the backend does not run, in a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.screens import take_screens
from tests.browser.watching import Watch
from tests.e2e.dev_proxy import Dev


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with Dev(tmp_path_factory.mktemp("dev"), version="crash") as started:
        started.wait_line("^aprp: error")
        yield started


def test_the_page_is_there_until_the_backend_is_back(dev: Dev, watch: Watch) -> None:
    watch.expect("status of 503")
    page = watch.page
    page.goto(f"{dev.url}/some/page?x=1")
    expect(page.get_by_role("alert")).to_have_text("exit code 3")
    expect(page.locator("#lines")).to_have_text("Traceback: <b>no & go</b>")
    expect(page.get_by_role("status")).to_contain_text("this page loads itself anew then")
    take_screens(page, "dev-error")

    # Another failure is shown without a click, and in the end what the backend says.
    dev.write("version", "abort")
    expect(page.get_by_role("alert")).to_have_text("signal SIGSEGV")
    dev.write("version", "two")
    expect(page.locator("body")).to_contain_text("/some/page?x=1")
    assert page.url == f"{dev.url}/some/page?x=1"
