"""Files in forms, read in pieces of any size."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.files import errors
from aprp.files.form import FormUpload, boundary_of
from aprp.files.upload import Progress, Stored
from tests.files.stores import begin, digest, left_behind, make_store, names

B = b"--x--boundary"


def field(name: str, value: bytes, filename: str | None = None, *lines: str) -> bytes:
    about = f'Content-Disposition: form-data; name="{name}"'
    about += "" if filename is None else f'; filename="{filename}"'
    head = "\r\n".join((about, *lines, "", "")).encode()
    return b"--" + B + b"\r\n" + head + value + b"\r\n"


def form(*fields: bytes) -> bytes:
    return b"".join(fields) + b"--" + B + b"--\r\n"


def read(
    directory: Path,
    body: bytes,
    piece: int = 1 << 20,
    known: bool = True,
    quota: int = 0,
    most: int = 0,
) -> Stored | Progress:
    store = make_store(directory, quota=quota, most=most)
    length = len(body) if known else None
    upload = FormUpload(B, length, lambda name: begin(store, name))
    try:
        for place in range(0, len(body), piece):
            upload.put(memoryview(body)[place : place + piece])
        return upload.finish()
    finally:
        upload.discard()


CONTENT = b"\r\n--" + B[:-1] + b"\r\n--\r\r\n\n" + bytes(range(256)) + b"--" + B


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100, 1 << 20])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_among_other_fields(tmp_path: Path, piece: int, known: bool) -> None:
    body = form(field("a", b"1"), field("file", CONTENT, "f.bin"), field("b", b"2"))
    stored = read(tmp_path, body, piece, known)
    assert isinstance(stored, Stored) and stored.sha256 == digest(CONTENT)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert left_behind(tmp_path) == []


@given(st.lists(st.sampled_from([b"\r", b"\n", b"-", B, b"--", b"\0", b"a"])), st.integers(1, 40))
def test_any_content_comes_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], piece: int
) -> None:
    content = b"".join(parts)
    if b"\r\n--" + B in content:
        return
    directory = tmp_path_factory.mktemp("store")
    stored = read(directory, form(field("file", content, "f")), piece)
    assert isinstance(stored, Stored) and stored.sha256 == digest(content)


@pytest.mark.parametrize("piece", [1, 2, 7, 100, 1 << 20])
@pytest.mark.parametrize(
    "preamble", [b"", b"a form --" + B + b" of\r\n-\r\n--x\r\n", b"\r\n", b"\n--" + B + b"\r\r\n"]
)
def test_what_is_around_a_form_is_none_of_it(tmp_path: Path, preamble: bytes, piece: int) -> None:
    # RFC 2046 section 5.1.1: preamble and epilogue are to be ignored.
    body = preamble + form(field("file", CONTENT, "f.bin")) + b"\r\nepilogue\r\n--" + B
    stored = read(tmp_path, body, piece)
    assert isinstance(stored, Stored) and stored.sha256 == digest(CONTENT)


def test_names(tmp_path: Path) -> None:
    read(tmp_path, form(field("file", b"x", "größe %22a%22.txt")))
    assert names(tmp_path) == ['größe "a".txt']


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (form(field("other", b"x", "f")), "has no file"),
        (form(), "has no file|cannot be read"),
        (form(field("file", b"x")), "no filename"),
        (form(field("file", b"x", "")), "empty"),
        (form(field("file", b"x", "../f")), "slash"),
        (form(field("file", b"x", "a%0D%0Ab")), "control"),
        (form(field("file", b"x", "f"), field("file", b"y", "g")), "two files"),
        (form(field("file", b"eA==", "f", "Content-Transfer-Encoding: base64")), "base64"),
        (form(*[field("a", b"x")] * 40, field("file", b"x", "f")), "32 fields"),
        (
            form(field("a", bytes(70_000), "f")),
            "no file yet: send it in a field with the name file",
        ),
        (
            form(field("file", b"x", "f"), field("a", bytes(70_000))),
            "Besides its file.*65536 bytes",
        ),
        (field("file", b"x", "f"), "ends in the middle"),
        (form(field("file", b"x", "f"))[:-6], "ends in the middle"),
        (b"no form", "cannot be read"),
        (b"--" + B + b"x", "cannot be read"),
        (b"no form, which is long\r\n" * 3000, "not in its first 65536 bytes"),
        (b"--" + B + b"\r\nContent-Type: text/plain\r\n\r\nx\r\n", "no Content-Disposition"),
    ],
    ids=range(17),
)
def test_forms_that_are_none(tmp_path: Path, body: bytes, why: str) -> None:
    with pytest.raises(errors.BadUpload, match=why):
        read(tmp_path, body)
    assert names(tmp_path) == left_behind(tmp_path) == []


def test_a_form_fills_the_quota_to_the_last_byte(tmp_path: Path) -> None:
    body = form(field("file", bytes(1000), "f"))
    with pytest.raises(errors.NoRoom):
        read(tmp_path, body, quota=999)
    read(tmp_path, body, quota=1000)
    assert names(tmp_path) == ["f"]


def test_a_file_that_is_too_large_is_refused_for_that(tmp_path: Path) -> None:
    # A quota that has room for the largest file that is taken, and for no larger one.
    with pytest.raises(errors.TooLarge):
        read(tmp_path, form(field("file", bytes(1001), "f")), 500, quota=1000, most=1000)
    read(tmp_path, form(field("file", bytes(1000), "f")), 500, quota=1000, most=1000)
    assert names(tmp_path) == ["f"] and left_behind(tmp_path) == []


def test_a_preamble_takes_no_room(tmp_path: Path) -> None:
    body = b"preamble\r\n" * 50 + form(field("file", bytes(1000), "f"))
    read(tmp_path, body, quota=1000)
    assert names(tmp_path) == ["f"]


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; Boundary="a b"') == b"a b"
    assert boundary_of("application/json") is None
    assert boundary_of(None) is None
    for wrong in ("multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"):
        with pytest.raises(errors.BadUpload):
            boundary_of(wrong)
