"""Pictures of pages for people to look at, in build/screens (not kept in git)."""

from playwright.sync_api import Page

from tests.e2e.content import PROJECT

SCREENS = PROJECT / "build" / "screens"
DESKTOP = (1280, 900)
PHONE = (390, 844)

# Two frames: sizes and colours that depend on the window are set in the first.
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def take_screens(page: Page, name: str) -> None:
    """Write build/screens/<name>-{light,dark,phone}.png; the page is no wider than a phone."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for kind, size in (("light", DESKTOP), ("dark", DESKTOP), ("phone", PHONE)):
        set_look(page, dark=kind == "dark", size=size)
        if kind == "phone":
            assert_fits(page)
        page.screenshot(path=SCREENS / f"{name}-{kind}.png", full_page=True)
    set_look(page)


def set_look(page: Page, *, dark: bool = False, size: tuple[int, int] = DESKTOP) -> None:
    """Set what the browser tells the page of its reader's wishes and window."""
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate(_DRAWN)


def assert_fits(page: Page) -> None:
    """Fail where the page as a whole must be scrolled sideways; tell what is too wide."""
    wide = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.querySelectorAll("body *")]
            .filter((each) => each.getBoundingClientRect().right > width)
            .map((each) => `${each.tagName} ${each.className} ${each.id}`);
        }"""
    )
    assert wide == [], f"wider than the window: {wide}"
