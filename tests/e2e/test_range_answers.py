"""What a range request is answered with, before origins of each kind (RFC 9110 section 14)."""

import email
import email.message
import email.policy
import json
import re

import pytest

from tests.e2e.clients import Reply
from tests.e2e.content import FILM, LAST_MODIFIED, SIZE
from tests.e2e.servers import Proxy

EARLIER = "Wed, 01 Jan 2020 03:04:05 GMT"
LATER = "Fri, 03 Jan 2020 03:04:05 GMT"


def parts_of(reply: Reply) -> list[tuple[str | None, bytes]]:
    """Content-Range and bytes of each part of a multipart answer, read as mail programs do."""
    assert reply.status == 206 and reply.get("Content-Range") is None
    kind = reply.get("Content-Type")
    assert kind is not None
    message = email.message_from_bytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + reply.body, policy=email.policy.HTTP
    )
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    parts = list(message.iter_parts()) if isinstance(message, email.message.EmailMessage) else []
    found = []
    for part in parts:
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((part["Content-Range"], content))
    return found


@pytest.mark.parametrize(
    ("asked", "spans"),
    [
        ("0-9,100-199", [(0, 9), (100, 199)]),
        ("0-9, 500000-500499 ,-5", [(0, 9), (500000, 500499), (SIZE - 5, SIZE - 1)]),
        ("0-0,2-2,4-4,6-6", [(0, 0), (2, 2), (4, 4), (6, 6)]),
        ("0-300000,600000-", [(0, 300000), (600000, SIZE - 1)]),
        # Overlapping ranges become one part; those beyond the end are left out.
        ("0-99,50-149,1000-1009", [(0, 149), (1000, 1009)]),
        ("0-9,20-29,9999999-", [(0, 9), (20, 29)]),
    ],
)
@pytest.mark.parametrize("by_parameter", [False, True])
def test_several_ranges_come_as_parts(
    any_proxy: Proxy, asked: str, spans: list[tuple[int, int]], by_parameter: bool
) -> None:
    if by_parameter:
        reply = any_proxy.get("/film.bin?range=" + asked.replace(" ", "%20"))
    else:
        reply = any_proxy.get("/film.bin", Range=f"bytes={asked}")
    assert parts_of(reply) == [
        (f"bytes {first}-{last}/{SIZE}", FILM[first : last + 1]) for first, last in spans
    ]
    assert reply.get("Accept-Ranges") == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99,50-149", 0, 149), ("0-9,0-9", 0, 9), ("5-9,9999999-", 5, 9), ("0-9,,", 0, 9)],
)
def test_several_ranges_that_are_one_come_without_parts(
    any_proxy: Proxy, asked: str, first: int, last: int
) -> None:
    reply = any_proxy.get("/film.bin", Range=f"bytes={asked}")
    assert (reply.status, reply.get("Content-Range")) == (206, f"bytes {first}-{last}/{SIZE}")
    assert reply.body == FILM[first : last + 1]


def test_the_boundary_is_another_each_time(any_proxy: Proxy) -> None:
    kinds = [any_proxy.get("/film.bin", Range="bytes=0-0,2-2").get("Content-Type") for _ in "12"]
    assert kinds[0] != kinds[1]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Range": "bytes=1_0-20"},
        {"Range": "bytes=+5-9"},
        {"Range": "bytes=--5"},
        {"Range": "bytes=0-1junk"},
        {"Range": "bytes=9-5"},
        {"Range": "bytes="},
        {"Range": "0-99"},
        {"Range": "chapters=1-2"},
        {"Range": "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(17))},
        {"Range": "bytes=" + ",".join(["0-"] * 1000)},
    ],
    ids=lambda fields: fields.get("Range", "none")[:20],
)
def test_without_a_range_that_counts_the_whole_comes(
    any_proxy: Proxy, fields: dict[str, str]
) -> None:
    reply = any_proxy.get("/film.bin", **fields)
    assert (reply.status, reply.reason) == (200, "OK")
    assert reply.get("Content-Range") is None
    assert reply.get("Content-Length") == str(SIZE)
    assert reply.get("Accept-Ranges") == "bytes"
    assert reply.body == FILM


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/film.bin", {"Range": "bytes=1000003-"}),
        ("/film.bin", {"Range": "bytes=5000000-6000000"}),
        ("/film.bin", {"Range": "bytes=-0"}),
        ("/film.bin", {"Range": "bytes=1000003-,2000000-"}),
        ("/film.bin?range=1000003-", {}),
        ("/film.bin?range=-0", {}),
        ("/film.bin/1000003/", {}),
        ("/film.bin/1000003/2000000", {}),
    ],
)
def test_beyond_the_end_there_is_nothing(
    any_proxy: Proxy, target: str, fields: dict[str, str]
) -> None:
    reply = any_proxy.get(target, **fields)
    assert (reply.status, reply.get("Content-Range")) == (416, f"bytes */{SIZE}")
    assert reply.get("Accept-Ranges") == "bytes"
    assert reply.get("Content-Type") == "application/problem+json"
    assert json.loads(reply.body)["status"] == 416


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/empty.bin", {}, 200),
        ("/empty.bin", {"Range": "bytes=0-"}, 416),
        ("/empty.bin", {"Range": "bytes=0-0"}, 416),
        ("/empty.bin?range=0-", {}, 416),
        ("/empty.bin/0/", {}, 416),
        # RFC 9110 section 14.1.2: the suffix is longer than the file, so it is all of it.
        ("/empty.bin", {"Range": "bytes=-5"}, 200),
    ],
)
def test_an_empty_file_has_no_range(
    any_proxy: Proxy, target: str, fields: dict[str, str], status: int
) -> None:
    reply = any_proxy.get(target, **fields)
    assert reply.status == status
    if status == 200:
        assert (reply.get("Content-Length"), reply.body) == ("0", b"")
        assert reply.get("Accept-Ranges") == "bytes"
    else:
        assert reply.get("Content-Range") == "bytes */0"


@pytest.mark.parametrize(
    ("target", "fields", "named"),
    [
        ("/film.bin?range=0-9", {"Range": "bytes=0-10"}, {"?range=", "Range header"}),
        ("/film.bin/0/9", {"Range": "bytes=5-9"}, {"path", "Range header"}),
        ("/film.bin/0/9?range=0-", {}, {"path", "?range="}),
        (
            "/film.bin/0/9?range=0-9",
            {"Range": "bytes=-9"},
            {"path", "?range=", "Range header"},
        ),
    ],
)
def test_ranges_that_disagree_are_refused(
    proxy: Proxy, target: str, fields: dict[str, str], named: set[str]
) -> None:
    reply = proxy.get(target, **fields)
    assert reply.status == 416
    assert reply.get("Content-Type") == "application/problem+json"
    problem = json.loads(reply.body)
    assert set(problem["ranges"]) == named
    assert problem["detail"].startswith("The ranges of the request disagree: ")
    for source, text in problem["ranges"].items():
        assert problem["detail"].count(f"{source} says '{text}'") == 1


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/film.bin?range=bytes%3D7-09", {"Range": "BYTES=07-9"}),
        ("/film.bin/007/9?range=%37-9", {"Range": "bytes=7-9,"}),
        # A header that does not count cannot disagree.
        ("/film.bin/7/9", {"Range": "chapters=1-2"}),
    ],
)
def test_ranges_are_compared_by_what_they_mean(
    proxy: Proxy, target: str, fields: dict[str, str]
) -> None:
    reply = proxy.get(target, **fields)
    assert (reply.status, reply.body) == (206, FILM[7:10])


@pytest.mark.parametrize(
    "target",
    [
        "/film.bin?range=",
        "/film.bin?range",
        "/film.bin?range=abc",
        "/film.bin?range=9-5",
        "/film.bin?range=1_0-20",
        "/film.bin?range=0-1junk",
        "/film.bin?range=%EF%BC%91-%EF%BC%92",
        "/film.bin?range=chapters%3D1-2",
        "/film.bin?range=0-9&range=5-9",
        "/film.bin/9/5",
        "/film.bin/0/99999999999999999999",
    ],
)
def test_an_explicit_range_that_cannot_be_read_is_refused(proxy: Proxy, target: str) -> None:
    reply = proxy.get(target)
    assert reply.status == 400
    assert reply.get("Content-Type") == "application/problem+json"
    problem = json.loads(reply.body)
    assert (problem["title"], problem["status"]) == ("Bad Request", 400)
    assert re.search("range", problem["detail"])


@pytest.mark.parametrize("header", ["bytes=0-99", "bytes=5000000-", "bytes=9-5"])
def test_head_knows_no_range_header(any_proxy: Proxy, header: str) -> None:
    # RFC 9110 section 14.2: Range is defined for GET only.
    reply = any_proxy.head("/film.bin", Range=header)
    assert (reply.status, reply.get("Content-Length")) == (200, str(SIZE))
    assert reply.get("Accept-Ranges") == "bytes"
    assert reply.get("Content-Range") is None


@pytest.mark.parametrize("target", ["/film.bin?range=100-199", "/film.bin/100/199"])
def test_head_takes_the_other_ways(any_proxy: Proxy, target: str) -> None:
    reply = any_proxy.head(target, Range="bytes=5-9")
    assert (reply.status, reply.get("Content-Length")) == (206, "100")
    assert reply.get("Content-Range") == f"bytes 100-199/{SIZE}"


def test_head_of_a_range_beyond_the_end(any_proxy: Proxy) -> None:
    reply = any_proxy.head("/film.bin?range=1000003-")
    assert (reply.status, reply.get("Content-Range")) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    ("condition", "value", "status"),
    [
        ("If-Modified-Since", LAST_MODIFIED, 304),
        ("If-Modified-Since", LATER, 304),
        ("If-Modified-Since", EARLIER, 206),
        ("If-Unmodified-Since", EARLIER, 412),
        ("If-Unmodified-Since", LAST_MODIFIED, 206),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"another"', 206),
        ("If-Match", '"another"', 412),
        ("If-Match", "*", 206),
    ],
)
@pytest.mark.parametrize("asked", ["bytes=0-99", "bytes=5000000-"])
def test_preconditions_come_before_ranges(
    any_proxy: Proxy, condition: str, value: str, status: int, asked: str
) -> None:
    if status == 206 and asked == "bytes=5000000-":
        status = 416
    reply = any_proxy.get("/film.bin", **{"Range": asked, condition: value})
    assert reply.status == status
    if status == 304:
        assert reply.body == b"" and reply.get("Content-Range") is None


@pytest.mark.parametrize(
    ("value", "applies"),
    [
        (LAST_MODIFIED, True),
        (EARLIER, False),
        # A date is compared for equality, not for age (RFC 9110 section 13.1.5).
        (LATER, False),
        ('"another"', False),
        ("no validator", False),
    ],
)
def test_if_range(any_proxy: Proxy, value: str, applies: bool) -> None:
    for target, fields in (("/film.bin", {"Range": "bytes=0-99"}), ("/film.bin?range=0-99", {})):
        reply = any_proxy.get(target, **{"If-Range": value}, **fields)
        assert reply.status == (206 if applies else 200)
        assert reply.body == (FILM[:100] if applies else FILM)


@pytest.mark.parametrize("weak", [False, True])
def test_if_range_with_an_entity_tag(proxy: Proxy, weak: bool) -> None:
    etag = proxy.head("/film.bin").get("ETag")
    assert etag is not None and etag.startswith('"')
    value = f"W/{etag}" if weak else etag
    reply = proxy.get("/film.bin", **{"If-Range": value, "Range": "bytes=0-99"})
    assert reply.status == (200 if weak else 206)
    beyond = proxy.get("/film.bin", **{"If-Range": value, "Range": "bytes=5000000-"})
    assert beyond.status == (200 if weak else 416)
