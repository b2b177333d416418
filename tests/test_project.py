"""What the project promises of its own files."""

import re
import struct
from pathlib import Path

import pytest

import aprp

PROJECT = Path(__file__).parents[1]
REQUIREMENTS = [
    line.partition(";")[0].strip()
    for file in sorted(PROJECT.glob("requirements*.txt"))
    for line in file.read_text().splitlines()
    if line and not line.startswith(("#", "-r"))
]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_dependency_is_bounded_and_explained(requirement: str) -> None:
    match = re.fullmatch(r"([a-z0-9-]+)>=[0-9.]+,<[0-9.]+", requirement)
    assert match, "a lower and an upper bound"
    assert re.search(rf"\b{match[1]}\b", (PROJECT / "docs" / "dependencies.md").read_text())


def test_the_changelog_knows_the_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == aprp.__version__


def test_the_clip_has_its_index_at_the_end() -> None:
    # Then a player must ask for the tail first, which a proxy without ranges cannot give.
    clip = (PROJECT / "media" / "sample.mp4").read_bytes()
    assert len(clip) < 1_000_000
    boxes = []
    place = 0
    while place < len(clip):
        size, kind = struct.unpack_from(">I4s", clip, place)
        boxes.append(kind.decode())
        place += size
    assert place == len(clip)
    assert boxes[-2:] == ["mdat", "moov"]


@pytest.mark.parametrize(
    "document", ["README.md", *(f"docs/{p.name}" for p in PROJECT.glob("docs/*.md"))]
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = PROJECT / document
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
