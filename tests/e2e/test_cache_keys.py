"""What is kept under which key: variants, queries, statuses, and parts of a file."""

import pytest

from tests.e2e.caching import (
    SLICE,
    cache_status,
    check_range,
    check_whole,
    get_range,
    get_whole,
    small_file,
)
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, says
from tests.e2e.servers import Proxy, StartProxy

SIZE = 3 * SLICE + 5

# Variants, keys, statuses.


def test_variants_are_kept_apart(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)

    def script(peer: Peer) -> None:
        language = peer.request.get("Accept-Language") or "none"
        fields = (f'ETag: "{language}"', "Cache-Control: max-age=60", "Vary: Accept-Language")
        peer.send(answer("200 OK", f"in {language}".encode() * 100, *fields))

    path = origin.plays(script)
    for _ in range(2):
        for language in ("de", "fr"):
            reply = proxy.get(path, **{"Accept-Language": language, "X-Other": language})
            assert reply.body == f"in {language}".encode() * 100
        assert proxy.get(path).body == b"in none" * 100
    assert len(origin.asked(path)) == 3


def test_the_query_is_part_of_the_key_and_the_range_is_not(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = small_file(source, "Cache-Control: max-age=60")
    for query in ("", "?a=1", "?a=2", "?a=1&b=2"):
        check_whole(cached_proxy.get(file.path + query), file)
        reply = cached_proxy.get(f"{file.path}{query}{'&' if query else '?'}range=5-9")
        check_range(reply, file, 5, 10)
    check_range(cached_proxy.get(f"{file.path}/5/9"), file, 5, 10)
    assert len(file.served) == 4
    assert all("range" not in request.target for request in file.requests)


def test_parameters_that_are_no_part_of_the_key(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--cache-key-ignore", "token,X-Amz-*")
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    file = small_file(source, "Cache-Control: max-age=60")
    for query in ("?v=1&token=a", "?token=b&v=1", "?v=1", "?v=1&X-Amz-Date=2&X-Amz-Signature=3"):
        check_whole(proxy.get(file.path + query), file)
    assert len(file.served) == 1
    check_whole(proxy.get(f"{file.path}?v=2&token=a"), file)
    assert file.requests[1].target == f"{file.path}?v=2&token=a"


@pytest.mark.parametrize(
    ("status", "fields", "asked"),
    [
        ("404 Not Found", (), 2),
        ("404 Not Found", ("Cache-Control: max-age=60",), 1),
        ("410 Gone", ("Cache-Control: max-age=60",), 1),
        ("404 Not Found", ("Cache-Control: no-store",), 2),
        ("500 Internal Server Error", (), 2),
        ("503 Service Unavailable", (), 2),
        ("301 Moved Permanently", ("Location: /there", "Cache-Control: max-age=60"), 1),
        ("302 Found", ("Location: /there",), 2),
        ("299 Strange", (), 2),
        ("200 OK", ("Cache-Control: max-age=60",), 1),
        ("200 OK", (), 2),
    ],
)
def test_other_answers_are_kept_only_where_the_origin_says_so(
    origin: ScriptedOrigin,
    start_proxy: StartProxy,
    status: str,
    fields: tuple[str, ...],
    asked: int,
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    path = origin.plays(says(answer(status, b"as it is", *fields)))
    for _ in range(2):
        reply = proxy.get(path)
        assert (reply.status, reply.body) == (int(status[:3]), b"as it is")
    assert len(origin.asked(path)) == asked


# Parts.


def test_a_full_set_of_parts_answers_for_the_whole(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    # RFC 9111 sections 3.3 and 3.4.
    file = source.add(SIZE)
    for start in (2 * SLICE, 0, SLICE, 3 * SLICE):
        get_range(cached_proxy, file, start, min(start + SLICE, SIZE))
    before = len(file.served)
    reply = get_whole(cached_proxy, file)
    assert "hit" in cache_status(reply) and reply.get("Content-Range") is None
    assert len(file.served) == before
    head = cached_proxy.head(file.path)
    assert (head.status, head.get("Content-Length")) == (200, str(SIZE))
    assert len(file.served) == before
    assert file.sent == SIZE


def test_a_part_is_completed_by_asking_for_what_is_missing(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(SIZE)
    get_range(cached_proxy, file, SLICE, 2 * SLICE)
    reply = get_whole(cached_proxy, file)
    assert cache_status(reply)["fwd"] == "partial"
    asked = sorted(span for span in file.ranges_asked if span is not None)
    assert (0, SLICE) in asked and (SLICE, 2 * SLICE) in asked
    assert all(request.get("If-Range") == '"v1"' for request in file.requests[1:])
    assert file.sent == SIZE


def test_a_head_of_what_is_not_there_is_asked(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(SIZE)
    head = cached_proxy.head(file.path)
    assert (head.status, head.get("Content-Length")) == (200, str(SIZE))
    get_whole(cached_proxy, file)
    assert file.sent == SIZE
