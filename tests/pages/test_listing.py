"""The page of a directory: what it links to, what it escapes, what it leaves out."""

from html.parser import HTMLParser

from aprp.pages.listing import Entry, Listing, Ways, render

WAYS = Ways("range", path=True)
FILM = Entry("film.mp4", "film.mp4", "/play/film.mp4", size="1 KiB", modified="today")
NASTY = "<script>alert(1)</script><!-- part: body -->\"'"


class Words(HTMLParser):
    """Collects links, headings of columns, and names of elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def shown(listing: Listing) -> Words:
    """What the page has."""
    return Words(render(listing).html)


def test_a_file_leads_to_the_player_and_to_itself() -> None:
    page = shown(Listing("/", (FILM,), WAYS, stats="/stats"))
    assert page.links == ["/stats", "/play/film.mp4", "film.mp4"]


def test_a_file_without_a_player_leads_to_itself() -> None:
    page = shown(Listing("/", (Entry("a.txt", "a.txt"),), WAYS))
    assert page.links == ["a.txt"]


def test_ways_to_ask_for_a_range() -> None:
    entry = Entry("a.mp4", "a.mp4")
    for ways, expected in (
        (WAYS, ["a.mp4", "a.mp4", "a.mp4?range=0-99", "a.mp4/0/99"]),
        (Ways("r", path=False), ["a.mp4", "a.mp4", "a.mp4?r=0-99"]),
        (Ways("", path=True), ["a.mp4", "a.mp4", "a.mp4/0/99"]),
    ):
        assert shown(Listing("/", (entry,), ways, sample=entry)).links == expected


def test_other_directories_lead_up() -> None:
    directory = Entry("b", "b/", directory=True)
    page = shown(Listing("/a/", (directory,), WAYS))
    assert page.links == ["../", "b/"]
    assert "b/\n" in page.text


def test_columns_that_are_known() -> None:
    for entry, known in (
        (Entry("a", "a"), {"Name"}),
        (Entry("a", "a", size="1 B"), {"Name", "Size"}),
        (Entry("a", "a", modified="today"), {"Name", "Changed"}),
    ):
        words = set(shown(Listing("/", (entry,), WAYS)).text.split("\n"))
        assert words & {"Name", "Size", "Changed"} == known


def test_columns_that_the_server_sorts_by() -> None:
    page = shown(Listing("/", (FILM,), WAYS, sorts=(("name", "?C=N;O=D"), ("size", "?C=S;O=A"))))
    assert page.links == ["?C=N;O=D", "?C=S;O=A", "/play/film.mp4", "film.mp4"]


def test_what_comes_from_outside_is_text() -> None:
    pages = []
    for text in (NASTY, "harmless"):
        entry = Entry(text, "x", "/play/x", size=text, title=text, modified=text)
        listing = Listing(f"/{text}/", (entry,), WAYS, sample=entry, featured=entry, notice=text)
        pages.append(shown(listing))
    nasty, harmless = pages
    assert nasty.tags == harmless.tags
    assert nasty.text == harmless.text.replace("harmless", NASTY)


def test_nothing_in_it() -> None:
    page = shown(Listing("/", (), WAYS, empty=("Put <files> here.",)))
    assert "Put <files> here." in page.text
    assert "table" not in page.tags
