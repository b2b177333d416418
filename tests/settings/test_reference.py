"""The reference page, and that it is current."""

import re
from pathlib import Path

from settings import base, reference
from settings.declare import groups, options

ROOT = Path(__file__).resolve().parents[2]
GROUPS = (
    "General",
    "Origin",
    "Sites",
    "Ranges",
    "Cache",
    "Clients",
    "TLS",
    "Limits",
    "Rewriting",
    "Forwarding",
    "Signed links",
    "Files",
    "Pages",
    "Redis",
    "Logging",
)


def test_the_page_in_docs_is_current() -> None:
    # If this fails: python -m settings.reference > docs/settings.md
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == reference.page()


def test_the_page_has_a_row_for_each_setting() -> None:
    page = reference.page()
    for option in options(base.Settings):
        (row,) = re.findall(rf"^\| {option.name} \|.*$", page, re.MULTILINE)
        assert f"`{option.flag}`" in row
        assert f"`{option.variable}`" in row
        assert option.shown_default in row
        assert option.help in row
        assert len(row.replace("\\|", "").split("|")) == 8


def test_defaults_of_the_two_classes_stand_where_they_differ() -> None:
    page = reference.page()
    assert "| `8000`; production: `80` |" in page
    assert "| empty; development: `localhost` |" in page
    assert "| `embedded`; production: empty |" in page


def test_no_path_of_this_machine_is_on_the_page() -> None:
    assert str(ROOT) not in reference.page()
    assert "| `media` |" in reference.page()


def test_every_setting_says_what_it_is_for_in_one_line() -> None:
    for option in options(base.Settings):
        assert option.help
        assert "\n" not in option.help
        assert option.group in GROUPS


def test_the_groups_stand_in_this_order() -> None:
    assert tuple(groups(options(base.Settings))) == GROUPS
    assert re.findall(r"^## (.*)$", reference.page(), re.MULTILINE)[-len(GROUPS) :] == list(GROUPS)
