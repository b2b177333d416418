"""A file that comes as a field of a form (multipart/form-data, RFC 7578)."""

import logging
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from aprp.files.errors import BadUpload
from aprp.files.upload import Progress, Stored, Upload
from aprp.semantics.filenames import BadName, name_from_form

FIELD: Final = "file"
"""The name of the field that holds the file."""

# The parser logs what it raises, too: a client's mistake, and the client is told.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

# Whatever else a form has in it is dropped, up to so many parts and bytes.
_MOST_PARTS: Final = 32
_MOST_OTHER: Final = 65536
# Codings that change nothing (RFC 2045 section 6.2); others are deprecated (RFC 7578 section 4.7).
_PLAIN: Final = frozenset({"7bit", "8bit", "binary"})


class Begin(Protocol):
    """Begins an upload when its name is known; raises StoreErrors."""

    def __call__(self, name: str) -> Upload:
        """Make the upload of a file of this name."""


def boundary_of(content_type: str | None) -> bytes | None:
    """The boundary of a form by its Content-Type; None where it is no form.

    Raises BadUpload where it is one, without a boundary that RFC 2046 section 5.1.1 allows.
    """
    kind, parameters = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise BadUpload("The form's Content-Type has no boundary of 1 to 70 characters.")
    return boundary


class FormUpload:
    """A form that is read as it comes; does as an `Upload` does.

    The parser looks for the boundary in blocks of bytes; the file's part of them is handed on as
    views of these.
    """

    def __init__(self, boundary: bytes, length: int | None, begin: Begin) -> None:
        """`length` is that of the whole form in bytes, None where it is not known."""
        self._begin = begin
        # What came before the first boundary (RFC 2046 section 5.1.1); None behind it.
        self._preamble: bytes | None = b""
        self._delimiter = b"--" + boundary
        self._upload: Upload | None = None
        self._in_file = False
        self._ended = False
        self._parts = 0
        self._others = 0
        self._read = 0
        self._field = b""
        self._fields: dict[str, str] = {}
        self._value = b""
        # What is left of the form behind the file, where the file comes last.
        self._file_stop = None if length is None else length - len(b"\r\n----\r\n" + boundary)
        self._expected = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._part_is_known,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._end,
            },
        )

    def put(self, view: memoryview) -> None:
        """Take the next bytes of the form."""
        # The parser searches in bytes and takes nothing else.
        data = bytes(view)
        if self._preamble is not None:
            data = self._behind_preamble(self._preamble + data)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadUpload(f"The form cannot be read: {error}.") from None
        self._read += len(data)

    def _behind_preamble(self, data: bytes) -> bytes:
        """Give what begins with the first boundary, nothing where that has not come yet.

        It is at the beginning of a line. The parser takes a form only from there.
        """
        place = 0
        if not data.startswith(self._delimiter):
            place = data.find(b"\r\n" + self._delimiter)
            if place < 0:
                if len(data) > _MOST_OTHER:
                    raise BadUpload(
                        f"The form's first boundary is not in its first {_MOST_OTHER} bytes."
                    )
                self._preamble = data
                return b""
            place += len(b"\r\n")
        self._preamble = None
        self._read = place
        return data[place:]

    def finish(self) -> Stored | Progress:
        """The form is complete: store its file."""
        if self._preamble is not None:
            raise BadUpload(
                "The form cannot be read: the boundary of its Content-Type is not in it."
            )
        if not self._ended:
            raise BadUpload("The form ends in the middle: its last boundary is missing.")
        if self._upload is None:
            raise BadUpload(f"The form has no file: send it in a field with the name {FIELD}.")
        return self._upload.finish()

    def discard(self) -> None:
        """Leave nothing behind of a file that is not stored."""
        if self._upload is not None:
            self._upload.discard()

    # What the parser finds.

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise BadUpload(f"The form has more than {_MOST_PARTS} fields.")
        self._fields = {}
        self._field = self._value = b""

    def _header_name(self, data: bytes, start: int, stop: int) -> None:
        self._field += data[start:stop]

    def _header_value(self, data: bytes, start: int, stop: int) -> None:
        self._value += data[start:stop]

    def _header_ends(self) -> None:
        name = self._field.decode("latin-1").lower()
        if name in self._fields:
            raise BadUpload(f"A field of the form says {name} twice.")
        self._fields[name] = self._value.decode("latin-1")
        self._field = self._value = b""

    def _part_is_known(self) -> None:
        kind, about = parse_options_header(self._fields.get("content-disposition"))
        if kind != b"form-data" or b"name" not in about:
            raise BadUpload("A field of the form has no Content-Disposition with its name.")
        self._in_file = about[b"name"] == FIELD.encode()
        if not self._in_file:
            return
        if self._upload is not None:
            raise BadUpload("The form has two files: send one in each request.")
        coding = self._fields.get("content-transfer-encoding", "binary").strip().lower()
        if coding not in _PLAIN:
            raise BadUpload(f"Files in the transfer encoding {coding} are not taken.")
        if b"filename" not in about:
            raise BadUpload(f"The field {FIELD} has no filename: it is no file.")
        try:
            name = name_from_form(about[b"filename"].decode("latin-1"))
        except BadName as error:
            raise BadUpload(f"This name cannot be taken: {error}.") from None
        self._upload = self._begin(name)

    def _data(self, data: bytes, start: int, stop: int) -> None:
        if not self._in_file:
            self._others += stop - start
            if self._others > _MOST_OTHER:
                raise BadUpload(self._too_much())
            return
        assert self._upload is not None
        if not self._expected and self._file_stop is not None:
            self._expected = True
            self._upload.expect(max(0, self._file_stop - self._read - start))
        self._upload.put(memoryview(data)[start:stop])

    def _too_much(self) -> str:
        if self._upload is not None:
            return f"Besides its file the form has more than {_MOST_OTHER} bytes."
        # Most often it is the file itself, in a field of another name.
        return (
            f"The form has other fields with more than {_MOST_OTHER} bytes, and no file yet: send "
            f"it in a field with the name {FIELD}."
        )

    def _part_ends(self) -> None:
        self._in_file = False

    def _end(self) -> None:
        self._ended = True
