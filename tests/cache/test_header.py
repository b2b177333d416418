"""The first page of an extent's file, its name, and the tag of the boot."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.header import HEADER, SLICES, Header, boot_tag, extent_name, extent_path

GOOD = Header(version=0xABC, number=3, slice_size=65536, size=1000)


@given(
    st.integers(1, (1 << 62) - 1),
    st.integers(0, 1 << 40),
    st.sampled_from([1 << n for n in range(16, 25)]),
    st.data(),
)
def test_what_is_packed_is_read(
    version: int, number: int, slice_size: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, SLICES * slice_size))
    header = Header(version, number, slice_size, size)
    assert len(header.pack()) == HEADER
    assert Header.parse(header.pack(), HEADER + size) == header
    # A file of any other size is not the header's: it was cut short, or is something else.
    assert Header.parse(header.pack(), HEADER + size - 1) is None
    assert Header.parse(header.pack(), HEADER + size + 1) is None


@given(st.binary(max_size=HEADER), st.integers(0, 1 << 40))
def test_junk_is_no_header(junk: bytes, size: int) -> None:
    assert Header.parse(junk.ljust(HEADER, b"\0"), size) is None


def test_half_a_page_is_no_header() -> None:
    assert Header.parse(GOOD.pack()[:-1], HEADER + GOOD.size) is None
    assert Header.parse(b"", 0) is None


@pytest.mark.parametrize(
    ("word", "value"),
    [(0, 0), (1, 0), (1, 65537), (1, 2048), (2, 0), (2, 1 << 63), (3, 1 << 63), (4, 0)],
)
def test_a_word_that_cannot_be_is_no_header(word: int, value: int) -> None:
    page = bytearray(GOOD.pack())
    memoryview(page).cast("Q")[word] = value
    size = value if word == 4 else GOOD.size
    assert Header.parse(bytes(page), HEADER + size) is None


def test_more_than_64_slices_is_no_header() -> None:
    page = bytearray(GOOD.pack())
    memoryview(page).cast("Q")[4] = SLICES * GOOD.slice_size + 1
    assert Header.parse(bytes(page), HEADER + SLICES * GOOD.slice_size + 1) is None


@pytest.mark.parametrize(
    ("version", "number", "name"),
    [
        (1, 0, "extents/01/0000000000000001.0"),
        ((1 << 62) - 1, 159, "extents/ff/3fffffffffffffff.159"),
        (0xABCDEF, 7, "extents/ef/0000000000abcdef.7"),
    ],
)
def test_names(version: int, number: int, name: str) -> None:
    path = extent_path(Path("/cache"), version, number)
    assert path == Path("/cache") / name
    assert extent_name(path) == (version, number)


@pytest.mark.parametrize(
    "name",
    [
        "0000000000000001.00",
        "0000000000000001.",
        "0000000000000001",
        "000000000000001.0",
        "0000000000abcdeF.0",
        "0000000000000001.0.0123.new",
        "0000000000000001.-1",
        "0000000000000001.\u0663",
        "index.sqlite",
    ],
)
def test_names_that_are_no_extents(name: str) -> None:
    assert extent_name(Path("/cache/extents/01") / name) is None


def test_the_boot_is_told_alike_each_time() -> None:
    assert boot_tag() == boot_tag()
    assert 0 < boot_tag() < 1 << 32


@pytest.mark.parametrize(
    ("told", "tag"),
    [
        ("89abcdef-0000-4000-8000-000000000000\n", 0x89ABCDEF),
        ("00000000-0000-4000-8000-000000000000\n", 1),
    ],
)
def test_the_tag_is_of_the_kernels_boot(
    monkeypatch: pytest.MonkeyPatch, told: str, tag: int
) -> None:
    asked = []

    def read(path: Path, encoding: str) -> str:
        asked.append(str(path))
        return told

    monkeypatch.setattr(Path, "read_text", read)
    boot_tag.cache_clear()
    try:
        assert boot_tag() == tag
    finally:
        boot_tag.cache_clear()
    assert asked == ["/proc/sys/kernel/random/boot_id"]
