"""Where a message body ends: RFC 9112 sections 6.3 and 7.1."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.framing import (
    MAX_LINE,
    MAX_TRAILERS,
    ChunkedDecoder,
    Delimiter,
    FramingError,
    response_framing,
)

CHUNKED, CLOSE = Delimiter.CHUNKED, Delimiter.CLOSE


@pytest.mark.parametrize(
    ("method", "status", "lengths", "codings", "expected"),
    [
        pytest.param("HEAD", 200, [], [], 0, id="6.3 rule 1, HEAD"),
        pytest.param("HEAD", 200, ["1000"], [], 0, id="6.3 rule 1, HEAD that tells a length"),
        pytest.param("HEAD", 200, [], ["chunked"], 0, id="6.3 rule 1, HEAD that tells a coding"),
        pytest.param("GET", 100, [], [], 0, id="6.3 rule 1, 100"),
        pytest.param("GET", 103, [], [], 0, id="6.3 rule 1, 103"),
        pytest.param("GET", 204, [], [], 0, id="6.3 rule 1, 204"),
        pytest.param("GET", 204, ["0"], [], 0, id="6.3 rule 1, 204 with a length of 0"),
        pytest.param("GET", 304, [], [], 0, id="6.3 rule 1, 304"),
        pytest.param("GET", 304, ["1000"], [], 0, id="6.3 rule 1, 304 that tells a length"),
        pytest.param("GET", 304, [], ["chunked"], 0, id="6.3 rule 1, 304 that tells a coding"),
        pytest.param("GET", 200, [], ["chunked"], CHUNKED, id="6.3 rule 4, chunked"),
        pytest.param("GET", 206, [], ["Chunked"], CHUNKED, id="7 codings compare without case"),
        pytest.param("GET", 404, [], [" chunked\t"], CHUNKED, id="6.3 rule 4, blanks around it"),
        pytest.param("GET", 200, ["0"], [], 0, id="6.3 rule 6, nothing"),
        pytest.param("GET", 200, ["5"], [], 5, id="6.3 rule 6"),
        pytest.param("GET", 416, ["5"], [], 5, id="6.3 rule 6, an error"),
        pytest.param("GET", 200, ["007"], [], 7, id="9110 8.6 1*DIGIT"),
        pytest.param("GET", 200, ["9" * 18], [], 10**18 - 1, id="9110 8.6 eighteen digits"),
        pytest.param("GET", 200, ["5", "5"], [], 5, id="6.3 rule 5, equal in two lines"),
        pytest.param("GET", 200, ["5, 5,5"], [], 5, id="6.3 rule 5, equal in a list"),
        pytest.param("GET", 200, ["5", "5\t, 5"], [], 5, id="6.3 rule 5, equal in both"),
        pytest.param("GET", 200, [], [], CLOSE, id="6.3 rule 8"),
        pytest.param("GET", 500, [], [], CLOSE, id="6.3 rule 8, an error"),
    ],
)
def test_response_framing(
    method: str, status: int, lengths: list[str], codings: list[str], expected: int | Delimiter
) -> None:
    assert response_framing(method, status, lengths, codings) == expected


@pytest.mark.parametrize(
    ("method", "status", "lengths", "codings", "cause"),
    [
        pytest.param("GET", 200, ["5"], ["chunked"], "both", id="6.3 rule 3, both"),
        pytest.param("HEAD", 200, ["5"], ["chunked"], "both", id="6.3 rule 3, both to HEAD"),
        pytest.param("GET", 304, ["5"], ["chunked"], "both", id="6.3 rule 3, both in a 304"),
        pytest.param("GET", 200, [], ["gzip"], "Unsupported", id="6.3 rule 4, not chunked"),
        pytest.param("GET", 200, [], ["identity"], "Unsupported", id="6.3 rule 4, identity"),
        pytest.param("GET", 200, [], ["gzip, chunked"], "Unsupported", id="6.3 rule 4, two"),
        pytest.param("GET", 200, [], ["chunked, gzip"], "Unsupported", id="6.3 rule 4, not last"),
        pytest.param("GET", 200, [], ["chunked", "chunked"], "Unsupported", id="6.1 twice"),
        pytest.param("GET", 200, [], ["xchunked"], "Unsupported", id="6.3 rule 4, another name"),
        pytest.param("GET", 200, [], [""], "Unsupported", id="6.3 rule 4, empty"),
        pytest.param("GET", 200, [], ["chunked;x=1"], "Unsupported", id="7 chunked takes nothing"),
        pytest.param("GET", 200, ["5", "6"], [], "unequal", id="6.3 rule 5, two lines"),
        pytest.param("GET", 200, ["5, 6"], [], "unequal", id="6.3 rule 5, a list"),
        pytest.param("GET", 200, ["5, 05"], [], "unequal", id="6.3 rule 5, spelt otherwise"),
        pytest.param("GET", 200, ["5,"], [], "unequal", id="6.3 rule 5, an empty element"),
        *[
            pytest.param("GET", 200, [bad], [], "integer", id=f"9110 8.6 {bad!a:.24}")
            for bad in ("", "-1", "+1", "1_0", "0x5", "5.0", "5 5", " 5", "５", "²", "9" * 19, "x")
        ],
        pytest.param("GET", 200, ["x, x"], [], "integer", id="9110 8.6 equal, but no number"),
        pytest.param("GET", 100, ["0"], [], "cannot have", id="9110 8.6 1xx with a length"),
        pytest.param("GET", 101, [], ["chunked"], "cannot have", id="6.1 1xx with a coding"),
        pytest.param("GET", 204, ["5"], [], "204", id="9110 8.6 204 with a length"),
        pytest.param("GET", 204, [], ["chunked"], "204", id="6.1 204 with a coding"),
    ],
)
def test_response_that_cannot_be_delimited(
    method: str, status: int, lengths: list[str], codings: list[str], cause: str
) -> None:
    with pytest.raises(FramingError, match=cause):
        response_framing(method, status, lengths, codings)


def walk(decoder: ChunkedDecoder, data: bytes) -> tuple[bytes, int]:
    """Feed one piece; gives the body bytes in it, and how far the decoder went."""
    view = memoryview(data)
    body, place = b"", 0
    while True:
        begin, end = decoder.step(view, place, len(data))
        assert place <= begin <= end <= len(data)
        body += data[begin:end]
        if begin == end:
            return body, end
        place = end


def decode(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Feed pieces; gives the body, what stands behind it, and whether it is finished."""
    decoder = ChunkedDecoder()
    body = rest = b""
    for piece in pieces:
        if decoder.finished:
            rest += piece
            continue
        more, place = walk(decoder, piece)
        body += more
        rest += piece[place:]
    return body, rest, decoder.finished


MESSAGES = [
    pytest.param(b"0\r\n\r\n", b"", id="7.1 nothing"),
    pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", id="7.1 one chunk"),
    pytest.param(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", id="7.1 two chunks"),
    pytest.param(b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", id="7.1 lower-case size"),
    pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", id="7.1 upper-case size"),
    pytest.param(b"00005\r\nhello\r\n000\r\n\r\n", b"hello", id="7.1 leading zeros"),
    pytest.param(b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", id="7.1 line ends in the body"),
    pytest.param(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", id="7.1 a false end in the body"),
    pytest.param(b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello", id="7.1.1 extensions"),
    pytest.param(b'5 ; a="b;c" \r\nhello\r\n0\r\n\r\n', b"hello", id="7.1.1 blanks and quotes"),
    pytest.param(b"5 \r\nhello\r\n0\t\r\n\r\n", b"hello", id="7.1.1 blanks alone"),
    pytest.param(b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"hello", id="7.1.2 trailers"),
    pytest.param(b"0\r\n" + b"A: " + b"b" * 200 + b"\r\n\r\n", b"", id="7.1.2 a long trailer"),
]


@pytest.mark.parametrize(("message", "body"), MESSAGES)
@pytest.mark.parametrize("behind", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n", b"5\r\nhello\r\n"])
def test_a_body_and_what_stands_behind_it(message: bytes, body: bytes, behind: bytes) -> None:
    assert decode(message + behind) == (body, behind, True)


@pytest.mark.parametrize(("message", "body"), MESSAGES)
def test_byte_by_byte(message: bytes, body: bytes) -> None:
    pieces = [message[i : i + 1] for i in range(len(message))]
    assert decode(*pieces) == (body, b"", True)
    assert decode(*pieces[:-1]) == (body, b"", False)


@pytest.mark.parametrize(("message", "body"), MESSAGES)
def test_split_in_two_at_every_place(message: bytes, body: bytes) -> None:
    for place in range(len(message) + 1):
        assert decode(message[:place], message[place:] + b"next") == (body, b"next", True)


def test_only_the_given_part_of_the_buffer_is_looked_at() -> None:
    decoder = ChunkedDecoder()
    buffer = memoryview(b"junk5\r\nhello\r\n0\r\n\r\njunk")
    assert decoder.step(buffer, 4, 10) == (7, 10)
    assert decoder.step(buffer, 10, 10) == (10, 10)
    assert not decoder.finished
    assert decoder.step(buffer, 10, 19) == (10, 12)
    assert decoder.step(buffer, 12, 19) == (19, 19)
    assert decoder.finished


BAD = [
    *[
        pytest.param(size + b"\r\n", id=f"7.1 size {size!r}")
        for size in (
            *(b"", b"0x5", b"-1", b"+1", b"1_0", b"g", b" 5", b"5 5", b"5,5", b"5.", b"\xb2"),
            *(b"1" * 16, b"1" * 17, b"0" * 17, b"f" * 64, b"5\x00", b"5;a\x00", b"5;a\rb", b"5\r"),
        )
    ],
    pytest.param(b"5\nhello\r\n0\r\n\r\n", id="7.1 bare line feed after the size"),
    pytest.param(b"5;a\nhello\r\n0\r\n\r\n", id="7.1 bare line feed after an extension"),
    pytest.param(b"\r\n5\r\nhello\r\n", id="7.1 empty line before a size"),
    pytest.param(b"5\r\nhello0\r\n\r\n", id="7.1 no line end after the data"),
    pytest.param(b"5\r\nhello\n0\r\n\r\n", id="7.1 bare line feed after the data"),
    pytest.param(b"5\r\nhello\r0\r\n\r\n", id="7.1 bare carriage return after the data"),
    pytest.param(b"5\r\nhello!\r\n0\r\n\r\n", id="7.1 more data than the size says"),
    pytest.param(b"5\r\nhello\r\n\r\n", id="7.1 no last chunk"),
    pytest.param(b"0\n\r\n", id="7.1 bare line feed after the last size"),
    pytest.param(b"0\r\n\n", id="7.1.2 bare line feed as the last line"),
    pytest.param(b"0\r\n\nGET / HTTP/1.1\r\n\r\n", id="7.1.2 a message in the trailers"),
    pytest.param(b"0\r\nA: b\n\r\n", id="7.1.2 bare line feed after a trailer"),
    *[
        pytest.param(b"0\r\n" + line + b"\r\n\r\n", id=f"7.1.2 trailer {line!r}")
        for line in (b"A: b\rC: d", b"A: \0", b"A", b": b", b"A : b", b"A: b\r\n c", b"GET / X")
    ],
]


@pytest.mark.parametrize("message", BAD)
def test_refused(message: bytes) -> None:
    with pytest.raises(FramingError):
        decode(message)
    with pytest.raises(FramingError):
        decode(*(message[i : i + 1] for i in range(len(message))))


@pytest.mark.parametrize("start", [b"", b"5;", b"0\r\n", b"5\r\nhello"])
def test_a_line_that_does_not_end_is_refused_in_bounds(start: bytes) -> None:
    decoder = ChunkedDecoder()
    walk(decoder, start)
    with pytest.raises(FramingError):
        for _ in range(MAX_LINE + 64):
            walk(decoder, b"1")


def test_a_line_is_too_long_wherever_it_is_cut() -> None:
    fits = b"0;" + b"x" * (MAX_LINE - 4) + b"\r\n"
    for size in (1, 64, 1000, 2 * MAX_LINE):

        def walked(line: bytes, size: int = size) -> object:
            return decode(*(line[at : at + size] for at in range(0, len(line), size)), b"\r\n")

        assert walked(fits) == (b"", b"", True)
        with pytest.raises(FramingError, match="line too long"):
            walked(b"0;x" + fits[2:])


@pytest.mark.parametrize("most", [0, 1, 100])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_extensions_are_refused_in_bounds(most: int, size: int) -> None:
    # RFC 9112 section 7.1.1: a server ought to limit their total length.
    def walks(message: bytes) -> bool:
        decoder = ChunkedDecoder(most)
        for at in range(0, len(message), size):
            walk(decoder, message[at : at + size])
        return decoder.finished

    one, last = b"1 ;\r\na\r\n", b"0\r\n\r\n"
    fits = one * (most // 2) + b"1;\r\na\r\n" * (most % 2)
    assert walks(fits + last)
    with pytest.raises(FramingError, match="extensions"):
        walks(fits + b"0;\r\n\r\n")


def test_trailers_are_refused_in_bounds() -> None:
    line = b"A: " + b"b" * 95 + b"\r\n"
    fits = MAX_TRAILERS // len(line)
    assert decode(b"0\r\n" + line * fits + b"\r\n") == (b"", b"", True)
    with pytest.raises(FramingError, match="trailers"):
        decode(b"0\r\n" + line * (fits + 1))


sizes = st.sampled_from([b"%x", b"%X", b"%05x", b"%x;name=value", b'%x ; q="a b"'])
chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=300), sizes), max_size=8)


@given(chunks, st.lists(st.integers(0, 3000), max_size=12), st.binary(max_size=20))
def test_any_chunks_in_any_pieces_are_the_bytes_joined(
    chunks: list[tuple[bytes, bytes]], cuts: list[int], behind: bytes
) -> None:
    message = b"".join(size % len(data) + b"\r\n" + data + b"\r\n" for data, size in chunks)
    message += b"0\r\n\r\n" + behind
    places = sorted({0, len(message), *(cut % (len(message) + 1) for cut in cuts)})
    pieces = [message[a:b] for a, b in pairwise(places)]
    assert decode(*pieces) == (b"".join(data for data, _ in chunks), behind, True)


@given(st.binary(max_size=40) | st.text("0123456789af;\r\n x", max_size=40).map(str.encode))
def test_junk_ends_in_a_framing_error_or_within_the_piece(junk: bytes) -> None:
    try:
        body, rest, _ = decode(junk)
    except FramingError:
        return
    assert len(body) + len(rest) <= len(junk)
