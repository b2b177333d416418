"""Pages are put together into one document, and their policy lets in what is inside and no more."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.pages import page
from aprp.pages.page import Page, load

ASSETS = Path(page.__file__).with_name("assets")
NAMES = sorted(
    path.stem
    for path in ASSETS.glob("*.html")
    # What is put into other pages is no page by itself.
    if path.read_text().lower().startswith("<!doctype")
)
DATA = '<script type="application/json" id="data"></script>'


class Inside(HTMLParser):
    """What stands in a document's scripts and styles, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.data: list[str] = []
        self.loads: list[str] = []
        self._kind = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._kind = "data" if "application/json" in given.values() else tag
        # Neither is let through by a policy of hashes.
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]
        if tag in self.texts and self._kind != "data":
            self.texts[tag].append("")
        self.loads += [str(given["src"])] if "src" in given else []
        self.loads += [str(given["href"])] if tag == "link" else []

    def handle_endtag(self, tag: str) -> None:
        self._kind = ""

    def handle_data(self, data: str) -> None:
        if self._kind in self.texts:
            self.texts[self._kind][-1] += data
        elif self._kind == "data":
            self.data.append(data)


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (each.split() for each in policy.split("; "))}


Assets = Callable[..., Path]


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assets]:
    """Writes files that pages are made of."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        return tmp_path

    monkeypatch.setattr(page, "_ASSETS", tmp_path)
    load.cache_clear()
    yield write
    load.cache_clear()


def test_what_is_linked_is_put_in(assets: Assets) -> None:
    assets(
        a_html='<link rel="stylesheet" href="a.css"><link rel="icon" href="i.svg">'
        '<script src="a.js"></script><script src="b.js"></script>',
        a_css="p { color: red }",
        a_js="const a = '\\1 $&';\n",
        b_js="b(a);",
        i_svg="<svg/>",
    )
    made = load("a")
    assert made.html == (
        "<style>p { color: red }</style>"
        '<link rel="icon" href="data:image/svg+xml;base64,PHN2Zy8+">'
        "<script>const a = '\\1 $&';\n</script><script>b(a);</script>"
    )
    assert directives(made.policy) == {
        "default-src": ["'none'"],
        "script-src": [hash_of("const a = '\\1 $&';\n"), hash_of("b(a);")],
        "style-src": [hash_of("p { color: red }")],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "media-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'"],
    }


def test_a_page_without_scripts(assets: Assets) -> None:
    assets(a_html="<p>Hello</p>")
    told = directives(load("a").policy)
    assert (told["script-src"], told["style-src"]) == (["'none'"], ["'none'"])


@pytest.mark.parametrize("text", ["'</script>'", "'</SCRIPT >'", "'<!--'"])
def test_a_script_that_would_end_its_element(assets: Assets, text: str) -> None:
    assets(a_html='<script src="a.js"></script>', a_js=text)
    with pytest.raises(ValueError, match=r"a\.js cannot stand inside"):
        load("a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON | st.sampled_from(["</script><script>alert(1)</script>", "<!--<script>", "&lt;"]))
def test_data_is_what_was_given(data: Any) -> None:
    made = Page(f"<p>before</p>{DATA}<p>after</p>", "").with_data(data).decode()
    inside = Inside(made)
    assert json.loads("".join(inside.data)) == data
    assert inside.texts["script"] == []
    assert made.startswith("<p>before</p><script") and made.endswith("</script><p>after</p>")


def test_data_without_a_place() -> None:
    with pytest.raises(ValueError, match="no <script"):
        Page("<p></p>", "").with_data({})


def test_parts() -> None:
    made = Page("<p><!-- part: one --></p><!-- part: two -->", "policy")
    filled = made.with_parts({"one": r"\1 <!-- part: two -->", "two": "2"})
    assert filled == Page(r"<p>\1 <!-- part: two --></p>2", "policy")


@pytest.mark.parametrize("parts", [{}, {"two": ""}, {"one": "", "two": ""}])
def test_other_parts_than_the_page_has(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="has the parts"):
        Page("<!-- part: one -->", "").with_parts(parts)


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_of_each_page_is_of_what_is_inside(name: str) -> None:
    made = load(name)
    inside, told = Inside(made.html), directives(made.policy)
    for kind, texts in inside.texts.items():
        assert told[f"{kind}-src"] == ([hash_of(text) for text in texts] or ["'none'"])
    assert [each for each in inside.loads if not each.startswith("data:")] == []
    assert made.html.lower().startswith("<!doctype html>")
    for needed in (
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport"',
        "<title>",
    ):
        assert needed in made.html


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.*")), ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert "@import" not in text
    assert "innerHTML" not in text
    # The name of SVG's language is no address.
    assert re.findall(r"https?://(?!www\.w3\.org/)\S+|url\(", text) == []


def test_contrast_of_the_colours() -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: text 4.5:1, edges and lines of charts 3:1."""
    theme = (ASSETS / "theme.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\n *\}", theme, re.DOTALL)
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for ground in ("ground", "card", "raised"):
            for text in ("ink", "soft", "mark", "bad"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for edge in ("edge", "first", "second", "third"):
            assert contrast(colours[edge], colours["card"]) >= 3, edge
        for kind in ("good", "warn", "bad"):
            assert contrast(colours[kind], colours[f"{kind}-ground"]) >= 4.5, kind
        assert contrast(colours["on-mark"], colours["mark"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 of two colours."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
