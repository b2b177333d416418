"""Origins as they are, behind the cache: without ranges, without lengths, and those that lie."""

import pytest

from tests.e2e.caching import (
    MIB,
    SLICE,
    begin,
    cache_status,
    check_range,
    check_whole,
    get_range,
    get_whole,
)
from tests.e2e.clients import Connection, curl
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, says
from tests.e2e.servers import Proxy, StartProxy

RECEIVE_ERRORS = (18, 56)
"""curl's exit codes for a body that is too short, and for a connection that was reset."""


def plain(source: FaultOrigin, size: int = 5 * SLICE + 7) -> File:
    """A file whose origin knows no ranges."""
    file = source.add(size)
    file.ranges = False
    return file


@pytest.mark.parametrize(
    "asked", [None, (0, 100), (3 * SLICE + 5, 3 * SLICE + 500), (1, 5 * SLICE)]
)
def test_without_ranges_a_file_is_read_once_from_its_beginning(
    source: FaultOrigin, cached_proxy: Proxy, asked: tuple[int, int] | None
) -> None:
    file = plain(source)
    if asked is None:
        get_whole(cached_proxy, file)
    else:
        get_range(cached_proxy, file, *asked)
    file.wait_quiet()
    # The one stream was read on to its end, for the seeks that follow.
    assert file.sent == file.size
    before = len(file.served)
    for start in (0, 2 * SLICE + 1, file.size - 10):
        assert "hit" in cache_status(get_range(cached_proxy, file, start, file.size))
    get_whole(cached_proxy, file)
    assert len(file.served) == before == 1


def test_readers_of_a_file_without_ranges_share_one_stream(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = plain(source, 20 * MIB)
    file.rate = 40 * MIB
    with begin(cached_proxy, file) as first, Connection(cached_proxy.port) as second:
        first.read(1000)
        start = 15 * MIB
        second.ask(file.path, f"Range: bytes={start}-")
        check_range(second.read_reply(), file, start, file.size)
        assert file.body().matches(1000, first.read(file.size - 1000))
    # That the origin knows no ranges may have shown only with the second one's question.
    assert len(file.served) <= 2
    assert file.sent <= file.size + 2 * SLICE


def test_a_stream_of_unknown_length_is_kept_when_its_end_is_known(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = plain(source, 2 * SLICE + 99)
    file.shape = "chunked"
    first = cached_proxy.get(file.path)
    assert (first.status, first.get("Transfer-Encoding")) == (200, "chunked")
    assert file.body().matches(0, first.body) and len(first.body) == file.size
    again = get_whole(cached_proxy, file)
    assert again.get("Content-Length") == str(file.size)
    get_range(cached_proxy, file, SLICE - 3, SLICE + 3)
    assert len(file.served) == 1


@pytest.mark.parametrize("shape", ["chunked", "closing", "http/1.0"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_stream_of_unknown_length_is_given_as_it_is(
    source: FaultOrigin, cached_proxy: Proxy, shape: str, ranges: bool
) -> None:
    file = source.add(2 * SLICE + 5)
    file.shape, file.ranges = shape, ranges  # type: ignore[assignment]
    for _ in range(2):
        reply = cached_proxy.get(file.path)
        check_whole(reply, file)
        ranged = cached_proxy.get(file.path, Range=f"bytes={SLICE + 5}-{SLICE + 99}")
        assert ranged.status == 206
        assert ranged.body == file.body().read(SLICE + 5, SLICE + 100)


def test_a_broken_stream_of_unknown_length_is_not_kept(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = plain(source)
    file.shape = "chunked"
    file.plans.append(Plan(cut=SLICE + 5))
    got = curl(cached_proxy.url + file.path)
    assert got.exit_code in RECEIVE_ERRORS
    assert file.body().matches(0, got.reply.body)
    check_whole(cached_proxy.get(file.path), file)
    assert len(file.served) > 1


def test_a_total_that_the_origin_does_not_tell(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(SLICE + 50)
    file.always = Plan(total="*")
    for start in (0, 1000, SLICE - 5):
        reply = cached_proxy.get(file.path, Range=f"bytes={start}-{start + 49}")
        assert reply.status == 206
        assert reply.get("Content-Range") in (
            f"bytes {start}-{start + 49}/*",
            f"bytes {start}-{start + 49}/{file.size}",
        )
        assert reply.body == file.body().read(start, start + 50)
    check_whole(cached_proxy.get(file.path), file)


def test_a_weak_tag_with_a_date_is_enough(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(3 * SLICE)
    file.etag = "weak"
    get_range(cached_proxy, file, 0, SLICE)
    get_whole(cached_proxy, file)
    get_whole(cached_proxy, file)
    assert file.sent == file.size
    # A weak tag is nothing to go by where bytes are joined (RFC 9110 section 13.1.5).
    assert not any((r.get("If-Range") or "").startswith("W/") for r in file.requests)


@pytest.mark.parametrize("etag", ["weak", "none"])
def test_parts_without_a_validator_are_not_joined(
    source: FaultOrigin, cached_proxy: Proxy, etag: str
) -> None:
    # RFC 9111 section 3.4: only parts that share a strong validator are.
    file = source.add(3 * SLICE)
    file.etag, file.dated = etag, False  # type: ignore[assignment]
    get_range(cached_proxy, file, 0, SLICE)
    file.version = 2
    get_range(cached_proxy, file, SLICE, 3 * SLICE)
    check_whole(cached_proxy.get(file.path), file, version=2)


def test_parts_without_a_validator_are_joined_where_that_is_set(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", source.url, "--cache-without-validator", cache=True)
    file = source.add(3 * SLICE)
    file.etag, file.dated = "none", False
    get_range(proxy, file, 0, SLICE)
    get_range(proxy, file, SLICE, 3 * SLICE)
    get_whole(proxy, file)
    get_range(proxy, file, 5, SLICE)
    assert file.sent == file.size


LIES = {
    "a place further on": Plan(moved=1),
    "a place before": Plan(moved=-SLICE),
    "a coding": Plan(fields=("Content-Encoding: gzip",)),
    "a length below that of the place": Plan(declared=-10),
    "a length above that of the place": Plan(declared=10),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_in_the_head_of_a_part_is_detected_and_not_stored(
    source: FaultOrigin, start_proxy: StartProxy, lie: str, known: bool
) -> None:
    proxy = start_proxy(
        "--upstream", source.url, "--retries", "1", "--retry-backoff", "1ms", cache=True
    )
    file = source.add(6 * SLICE)
    if known:
        get_range(proxy, file, 0, SLICE)
    file.always = LIES[lie]
    start = 3 * SLICE
    reply = curl(proxy.url + file.path, "-H", f"Range: bytes={start}-{start + SLICE - 1}")
    if reply.exit_code == 0 and reply.reply.status == 206:
        # Not more than the bytes of that place can have been given.
        check_range(reply.reply, file, start, start + SLICE)
        pytest.fail("the origin lied, and the answer was given")
    assert reply.exit_code in RECEIVE_ERRORS or reply.reply.status == 502
    assert proxy.stats()["origins"]["rejected"] == 1
    if reply.reply.status == 502:
        # Who runs the proxy is told which origin it was.
        (warning,) = proxy.warnings()
        assert f"({source.url}: " in warning["message"]
    # It is the origin's answer that is refused and not the file.
    file.always = Plan()
    check_range(
        proxy.get(file.path, Range=f"bytes={start}-{start + SLICE - 1}"), file, start, start + SLICE
    )
    get_whole(proxy, file)


def test_a_length_that_contradicts_what_was_said_before(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", source.url, "--retry-backoff", "1ms", cache=True)
    file = source.add(6 * SLICE)
    get_range(proxy, file, 0, SLICE)
    file.plans.append(Plan(total="99999999"))
    # The same strong tag with another length: one of the two is wrong, and bytes are not mixed.
    start = 3 * SLICE
    got = curl(proxy.url + file.path, "-H", f"Range: bytes={start}-{start + 99}")
    assert got.reply.status in (206, 502)
    if got.reply.status == 206:
        assert got.reply.body == file.body().read(start, start + 100)
    # It mends itself.
    for _ in range(3):
        got = curl(proxy.url + file.path)
        assert file.body().matches(0, got.reply.body)
    assert got.exit_code == 0
    get_whole(proxy, file)


def test_a_body_that_is_shorter_than_declared_is_never_taken_for_whole(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(
        "--upstream", source.url, "--retries", "1", "--retry-backoff", "1ms", cache=True
    )
    for ranges in (True, False):
        file = source.add(3 * SLICE)
        file.ranges = ranges
        file.plans.append(Plan(cut=1000))
        # However often it is asked.
        file.always = Plan(cut=0 if ranges else 1000)
        got = curl(proxy.url + file.path)
        assert got.exit_code in RECEIVE_ERRORS
        assert file.body().matches(0, got.reply.body) and len(got.reply.body) < file.size
        file.always = Plan()
        get_whole(proxy, file)


def test_bytes_behind_the_end_of_a_body_cost_the_connection(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    fields = ('ETag: "1"', "Cache-Control: max-age=60")
    long = origin.plays(says(answer("200 OK", b"declared", *fields) + answer("200 OK", b"more")))
    other = origin.plays(says(answer("200 OK", b"other", *fields)))
    for _ in range(2):
        assert proxy.get(long).body == b"declared"
        assert proxy.get(other).body == b"other"
    assert origin.asked(long)[0].connection != origin.asked(other)[0].connection


def test_an_answer_that_does_not_come_is_a_bad_gateway(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(
        "--upstream", source.url, "--retries", "1", "--retry-backoff", "1ms", cache=True
    )
    file = source.add(1000)
    file.always = Plan(hang_up=True)
    assert proxy.get(file.path).status == 502
    file.always = Plan()
    get_whole(proxy, file)


def test_a_coding_of_the_whole_is_kept_as_it_is(source: FaultOrigin, cached_proxy: Proxy) -> None:
    # No range of it is asked for: its bytes are those of the coding.
    file = plain(source, 5000)
    file.fields = (*file.fields, "Content-Encoding: br", "Vary: Accept-Encoding")
    for _ in range(2):
        reply = cached_proxy.get(file.path, **{"Accept-Encoding": "br"})
        check_whole(reply, file)
        assert reply.get("Content-Encoding") == "br"


def test_files_of_no_and_of_one_byte(source: FaultOrigin, cached_proxy: Proxy) -> None:
    for size in (0, 1):
        file = source.add(size)
        get_whole(cached_proxy, file)
        get_whole(cached_proxy, file)
        assert len(file.served) == 1
        beyond = cached_proxy.get(file.path, Range=f"bytes={size}-")
        assert (beyond.status, beyond.get("Content-Range")) == (416, f"bytes */{size}")


def test_a_file_that_ends_where_a_slice_does(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(2 * SLICE)
    get_range(cached_proxy, file, SLICE, 2 * SLICE)
    tail = cached_proxy.get(file.path, Range="bytes=-1")
    check_range(tail, file, 2 * SLICE - 1, 2 * SLICE)
    assert file.sent == SLICE
    get_whole(cached_proxy, file)
    assert file.sent == 2 * SLICE


def test_a_part_beyond_an_extent(source: FaultOrigin, cached_proxy: Proxy) -> None:
    # An extent holds 64 slices: a range over its edge, and one far beyond 4 GiB.
    file = source.add(5 << 30)
    for start in (64 * SLICE - 1000, (4 << 30) - 1000):
        for _ in range(2):
            get_range(cached_proxy, file, start, start + 2000)
    assert file.sent <= 4 * SLICE


def test_interim_answers_and_odd_heads_are_understood(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    body = b"x" * 1000

    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        peer.send(
            head("200 Fine", "cache-control: MAX-AGE=60", 'etag: "1"', "content-length: 1000")
        )
        peer.send(body)

    path = origin.plays(script)
    assert [proxy.get(path).body for _ in range(2)] == [body, body]
    assert len(origin.asked(path)) == 1
