"""Whether content is what a name says; the samples begin as their formats' documents have it."""

import pytest

from aprp.files.contents import fits, refusal

SAMPLES = {
    "video/mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "video/iso.segment": b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\x82\x84webm",
    "audio/mpeg": b"ID3\x04\0\0\0\0\0#TSSE\0\0\0\x0f\0\0\x03",
    "audio/flac": b'fLaC\0\0\0"\x10\0\x10\0',
    "audio/ogg": b"OggS\0\x02" + bytes(22) + b"\x01\x13OpusHead",
    "audio/wav": b"RIFF$\0\0\0WAVEfmt \x10\0\0\0",
    "video/x-msvideo": b"RIFF$\0\0\0AVI LIST\x10\0\0\0hdrl",
    "image/webp": b"RIFF$\0\0\0WEBPVP8 ",
    "video/mp2t": (b"G" + bytes(187)) * 4,
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "image/gif": b"GIF89a\x01\0\x01\0",
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "application/zip": b"PK\x03\x04\x14\0\0\0\x08\0",
    "application/vnd.apple.mpegurl": b"#EXTM3U\n#EXT-X-VERSION:3\n",
    "application/dash+xml": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
    "text/vtt": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
    "text/html": b"<!DOCTYPE html><title>x</title>",
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "text/plain": "Grüße, 世界\n".encode(),
}
# One container, or all XML: which of them it is the first bytes need not tell.
ALIKE = ({"video/mp4", "video/iso.segment"}, {"application/dash+xml", "image/svg+xml"})
# Without a mark of its own: plain text may begin so, too.
UNMARKED = {"text/html"}


@pytest.mark.parametrize("named", SAMPLES)
@pytest.mark.parametrize("content", SAMPLES)
def test_content_fits_its_own_type_alone(named: str, content: str) -> None:
    alike = any({named, content} <= family for family in ALIKE)
    plain = content == "text/plain" and named in UNMARKED
    assert fits(named, SAMPLES[content], True) is (named == content or alike or plain)


def test_text_may_be_cut_in_a_character() -> None:
    cut = "ü".encode()[:1]
    assert fits("text/plain", b"x" + cut, complete=False)
    assert not fits("text/plain", b"x" + cut, complete=True)
    assert not fits("text/plain", b"x\0y", complete=False)


def test_a_small_pdf_is_no_text() -> None:
    ascii_only = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
    assert fits("application/pdf", ascii_only, True)
    assert not fits("text/plain", ascii_only, True)


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"\r\n\t ", b""])
def test_xml_begins_with_markup(begin: bytes) -> None:
    # XML section 2.1: prolog and element, with white space around; section 4.3.3: its mark.
    assert fits("application/xml", begin + b"<a/>", True)
    assert not fits("application/xml", begin + b"a<a/>", True)


def test_text_in_another_coding_is_told_to_be_that() -> None:
    text = "Grüße".encode("latin-1")
    why = refusal("a.srt", text, True, ("*/*",))
    assert why is not None and "UTF-8" in why
    why = refusal("a.vtt", b"no subtitles", True, ("*/*",))
    assert why is not None and "UTF-8" not in why


def test_subtitles_may_have_a_byte_order_mark() -> None:
    assert fits("text/vtt", b"\xef\xbb\xbf" + SAMPLES["text/vtt"], True)
    assert not fits("text/vtt", b"\xef\xbb\xbfno subtitles", True)


@pytest.mark.parametrize("head", ["fffb9064", "fff340c4", "fffa9064", "ffe340c4"])
def test_audio_may_begin_with_a_frame(head: str) -> None:
    assert fits("audio/mpeg", bytes.fromhex(head) + bytes(100), False)


@pytest.mark.parametrize("head", ["fff3f064", "fff94080", "ffeb9064", "fff39c64", "ffd8ffe0", "ff"])
def test_what_is_no_frame_of_audio(head: str) -> None:
    # The rate and the frequency that are forbidden, layer and version that are reserved, a JPEG.
    assert not fits("audio/mpeg", bytes.fromhex(head) + bytes(100), False)


@pytest.mark.parametrize(
    "content", [b"{ is a brace\n", b"[1] a note\n", b"BEGIN:VCARD is a line\n"]
)
def test_text_may_begin_with_anything(content: bytes) -> None:
    assert fits("text/plain", content, True)


def test_nothing_at_all_fits() -> None:
    assert fits("video/mp4", b"", True)


def test_both_name_and_content_count() -> None:
    png = SAMPLES["image/png"]
    assert refusal("a.png", png, True, ("image/*",)) is None
    assert refusal("a.png", png, True, ("video/*",)) is not None
    assert refusal("a.mp4", png, True, ("video/*", "image/*")) is not None
    assert refusal("a", png, True, ("image/*",)) is not None
    assert refusal("a.bin", png, True, ("application/octet-stream",)) is None
