"""What workers tell each other: bounded, whole after the way through bytes, merged."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.live.rows import (
    MOST_PLACES,
    MOST_TRANSFERS,
    Activity,
    Row,
    Transfer,
    activities,
    range_of,
    shortened,
    transfers_to_json,
    without_query,
)

ONE = Transfer("id", "192.0.2.1", "GET", "/a?key=1", 206, "bytes=0-9", 5, 10, 1.5, 100.0)

texts = st.text(max_size=40)
sizes = st.integers(0, 1 << 62)
transfers = st.builds(
    Transfer,
    id=texts,
    client=texts,
    method=texts,
    target=texts,
    status=st.integers(0, 599),
    range=st.none() | texts,
    sent=sizes,
    length=st.none() | sizes,
    seconds=st.floats(0, 1e6),
    rate=st.floats(0, 1e12),
)
activity = st.builds(
    Activity,
    id=st.integers(1, (1 << 62) - 1),
    readers=st.lists(st.tuples(sizes, sizes), max_size=4).map(tuple),
    fills=st.lists(st.tuples(sizes, sizes, sizes), max_size=4).map(tuple),
)
rows = st.builds(Row.of, st.floats(0, 1e9), st.lists(transfers), st.lists(activity))


@given(rows)
@settings(max_examples=40)
def test_what_is_encoded_is_decoded(row: Row) -> None:
    assert Row.decode(row.encode(1 << 20)) == row


@given(rows, st.integers(100, 4000))
@settings(max_examples=40)
def test_what_does_not_fit_is_left_out_and_counted(row: Row, most: int) -> None:
    content = row.encode(most)
    assert len(content) <= most
    told = Row.decode(content)
    assert (told.at, told.total) == (row.at, row.total)
    assert told.transfers == row.transfers[: len(told.transfers)]
    assert told.objects == row.objects[: len(told.objects)]


def test_a_row_for_which_there_is_no_room() -> None:
    with pytest.raises(ValueError, match="has room in 5 bytes"):
        Row(1.0).encode(5)


def test_the_fastest_are_told_and_all_are_counted() -> None:
    many = [replace(ONE, rate=float(n)) for n in range(1000)]
    row = Row.of(0.0, many, [])
    assert row.total == 1000
    assert [each.rate for each in row.transfers] == list(range(999, 999 - MOST_TRANSFERS, -1))
    told = transfers_to_json({0: row, 3: Row.of(0.0, [replace(ONE, rate=950.5)], [])}, full=True)
    assert told["total"] == 1001
    assert len(told["shown"]) == MOST_TRANSFERS
    assert [each["worker"] for each in told["shown"][48:51]] == [0, 3, 0]


def test_texts_of_clients_are_cut() -> None:
    long = replace(ONE, id="x" * 10_000, target="/" + "y" * 10_000, client="z" * 10_000)
    (told,) = Row.of(0.0, [long], []).transfers
    assert (len(told.id), len(told.target), len(told.client)) == (100, 500, 100)
    assert told.target.endswith("y…")


def test_who_may_not_know_sees_no_client_and_no_query() -> None:
    assert ONE.to_json(2, full=True) == {
        "id": "id",
        "client": "192.0.2.1",
        "method": "GET",
        "target": "/a?key=1",
        "status": 206,
        "range": "bytes=0-9",
        "sent": 5,
        "length": 10,
        "seconds": 1.5,
        "rate": 100,
        "worker": 2,
    }
    told = ONE.to_json(2, full=False)
    assert (told["client"], told["target"]) == (None, "/a?…")


def test_workers_are_added_up_by_object() -> None:
    one = Row(0.0, objects=(Activity(7, ((1, 2),), ((0, 3, 4),)), Activity(9)))
    other = Row(0.0, objects=(Activity(9, ((5, 6), (7, 8))), Activity(7, ((3, 4),))))
    assert list(activities([one, other]).values()) == [
        Activity(7, ((1, 2), (3, 4)), ((0, 3, 4),)),
        Activity(9, ((5, 6), (7, 8))),
    ]
    many = Row(0.0, objects=(Activity(7, tuple((n, n) for n in range(MOST_PLACES))),))
    assert len(activities([many, many])[7].readers) == MOST_PLACES
    assert Activity(7, ((1, 2),), ((0, 3, 4),)).to_json() == {
        "fills": [{"begin": 0, "position": 3, "stop": 4}],
        "readers": [{"position": 1, "stop": 2}],
    }


@pytest.mark.parametrize(
    ("content_range", "told"),
    [
        ("bytes 0-99/1000", "bytes=0-99"),
        ("bytes 5-9/*", "bytes=5-9"),
        ("bytes 0-1/9 and 2 more", "bytes=0-1 and 2 more"),
        (None, None),
        ("pages 1-2/3", None),
    ],
)
def test_what_is_being_sent(content_range: str | None, told: str | None) -> None:
    assert range_of(content_range) == told


def test_short_texts() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert without_query("/a") == "/a"
    assert without_query("/a?") == "/a?…"
