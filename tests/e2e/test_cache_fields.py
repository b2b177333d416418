"""Fields of stored answers: which are kept, what a 304 changes, and conditions by them."""

import itertools
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from tests.e2e.caching import age, cache_status
from tests.e2e.content import LAST_MODIFIED, MODIFIED
from tests.e2e.programs import wait_until
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, head, says
from tests.e2e.servers import Proxy

BODY = b"0123456789" * 10
FRESH = "Cache-Control: max-age=60"
STALE = ("Cache-Control: max-age=10", "Age: 20")


@pytest.fixture(scope="module")
def proxy(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache before the scripted origin."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_origin.url, cache=True) as started:
        yield started


def in_turn(*answers: bytes) -> Script:
    """A script that gives these answers one after the other, and the last again and again."""
    left = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))
    return lambda peer: peer.send(next(left))


def checked(stored: tuple[str, ...], confirmed: tuple[str, ...], tag: str = '"1"') -> Script:
    """A script whose answer is stale at once; asked about its tag it says 304 with fields."""

    def script(peer: Peer) -> None:
        if peer.request.get("If-None-Match") == tag:
            peer.send(head("304 Not Modified", *confirmed))
        else:
            peer.send(answer("200 OK", BODY, f"ETag: {tag}", *STALE, *stored))

    return script


# What is kept (section 3.1).


def test_fields_are_kept_as_they_came(origin: ScriptedOrigin, proxy: Proxy) -> None:
    lines = (
        "X-One: 1",
        "Content-Language: de",
        "X-Two: a, b",
        "x-one: 2",
        'Content-Disposition: attachment; filename="a.mp4"',
        "X-Empty: ",
        "Warning: 299 - old",
    )
    path = origin.plays(says(answer("200 OK", BODY, FRESH, *lines)))
    for _ in range(2):
        reply = proxy.get(path)
        assert reply.all("X-One") == ["1", "2"]
        for line in (*lines[1:3], *lines[4:]):
            name, _, value = line.partition(":")
            assert reply.get(name) == value.strip()
    assert "hit" in cache_status(reply)


def test_fields_of_a_connection_are_not_kept(origin: ScriptedOrigin, proxy: Proxy) -> None:
    lines = (
        "Connection: keep-alive, X-Hop",
        "Keep-Alive: timeout=60",
        "X-Hop: 1",
        "Proxy-Authenticate: Basic",
        "Proxy-Authentication-Info: x",
        "Upgrade: h2c",
        "TE: trailers",
        "X-Kept: 1",
    )
    path = origin.plays(says(answer("200 OK", BODY, FRESH, *lines)))
    for reply in (proxy.get(path), proxy.get(path)):
        assert reply.get("X-Kept") == "1"
        for name in ("X-Hop", "Proxy-Authenticate", "Upgrade", "TE"):
            assert reply.get(name) is None, name
    assert reply.get("Proxy-Authentication-Info") is None
    assert "hit" in cache_status(reply)


@pytest.mark.parametrize("directive", ["no-cache", "private"])
def test_fields_that_are_for_the_first_client_only(
    origin: ScriptedOrigin, proxy: Proxy, directive: str
) -> None:
    # Sections 5.2.2.4 and 5.2.2.7: they are not stored; whose answer it is gets them.
    control = f'Cache-Control: max-age=60, {directive}="Set-Cookie, X-Mine"'
    lines = (control, "Set-Cookie: id=1", "X-Mine: 1", "X-Ours: 1")
    path = origin.plays(says(answer("200 OK", BODY, *lines)))
    first, second = proxy.get(path), proxy.get(path)
    assert (first.get("Set-Cookie"), first.get("X-Mine")) == ("id=1", "1")
    assert (second.get("Set-Cookie"), second.get("X-Mine")) == (None, None)
    assert first.get("X-Ours") == second.get("X-Ours") == "1"
    assert "hit" in cache_status(second)


def test_the_date_is_that_of_the_origin(origin: ScriptedOrigin, proxy: Proxy) -> None:
    # RFC 9110 section 6.6.1; Age says how long ago it was.
    before = formatdate(time.time() - 30, usegmt=True)
    head = f"HTTP/1.1 200 OK\r\nDate: {before}\r\n{FRESH}\r\nContent-Length: 100\r\n\r\n"
    path = origin.plays(says(head.encode() + BODY))
    for _ in range(2):
        reply = proxy.get(path)
        assert reply.get("Date") == before
        assert age(reply) in range(29, 50)

    def older() -> bool:
        return age(proxy.get(path)) > age(reply)

    wait_until(older, "its age grows")
    assert len(origin.asked(path)) == 1


# What a 304 changes (sections 3.2 and 4.3.4).


def test_a_304_replaces_fields_and_leaves_others(origin: ScriptedOrigin, proxy: Proxy) -> None:
    stored = (
        "X-Old: 1",
        "X-Both: 1",
        "X-Both: 2",
        "Content-Type: text/plain",
        "Content-Security-Policy: default-src 'self'",
    )
    confirmed = (
        'ETag: "1"',
        "X-Both: 3",
        "X-New: 1",
        "Content-Security-Policy: default-src 'none'",
        "Content-Length: 5",
        "Content-Encoding: gzip",
        "Connection: X-Hop",
        "X-Hop: 1",
        FRESH,
    )
    path = origin.plays(checked(stored, confirmed))
    replies = [proxy.get(path) for _ in range(3)]
    assert len(origin.asked(path)) == 2
    assert [value for reply in replies for value in reply.all("X-Both")] == ["1", "2", "3", "3"]
    for reply in replies[1:]:
        assert (reply.status, reply.body) == (200, BODY)
        assert (reply.get("X-Old"), reply.get("X-New")) == ("1", "1")
        assert reply.get("Content-Security-Policy") == "default-src 'none'"
        assert reply.get("Content-Type") == "text/plain"
        assert reply.get("Content-Length") == "100"
        assert reply.get("Content-Encoding") is None and reply.get("X-Hop") is None
        assert age(reply) < 20
    assert "hit" in cache_status(replies[2])


def test_a_304_without_a_validator_is_taken_at_its_word(
    origin: ScriptedOrigin, proxy: Proxy
) -> None:
    path = origin.plays(checked((), (FRESH, "X-New: 1")))
    for _ in range(3):
        reply = proxy.get(path)
        assert (reply.status, reply.body, reply.get("ETag")) == (200, BODY, '"1"')
    assert reply.get("X-New") == "1"
    assert len(origin.asked(path)) == 2


def test_a_304_that_speaks_of_another_version(origin: ScriptedOrigin, proxy: Proxy) -> None:
    # Section 4.3.4: it selects nothing here. Who asked without a condition has no use for a 304.
    other = b"another body"

    def script(peer: Peer) -> None:
        if not origin.asked(path)[1:]:
            peer.send(answer("200 OK", BODY, 'ETag: "1"', *STALE))
        elif peer.request.get("If-None-Match") is not None:
            peer.send(head("304 Not Modified", 'ETag: "2"', FRESH))
        else:
            peer.send(answer("200 OK", other, 'ETag: "2"', FRESH))

    path = origin.plays(script)
    assert proxy.get(path).body == BODY
    for _ in range(2):
        reply = proxy.get(path)
        assert (reply.status, reply.body, reply.get("ETag")) == (200, other, '"2"')


def test_what_has_only_a_date_is_asked_about_by_it(origin: ScriptedOrigin, proxy: Proxy) -> None:
    # Section 4.3.1; the very field, whatever its form.
    first = answer("200 OK", BODY, f"Last-Modified: {LAST_MODIFIED}", *STALE)
    path = origin.plays(in_turn(first, head("304 Not Modified", FRESH)))
    for _ in range(3):
        assert proxy.get(path).body == BODY
    asked = origin.asked(path)
    assert [request.get("If-Modified-Since") for request in asked] == [None, LAST_MODIFIED]
    assert asked[1].get("If-None-Match") is None


def test_the_conditions_of_a_client_and_those_of_the_cache(
    origin: ScriptedOrigin, proxy: Proxy
) -> None:
    path = origin.plays(checked((), (FRESH,)))
    proxy.get(path)
    # The cache asks about what it has; the client's own condition is weighed here.
    reply = proxy.get(path, **{"If-None-Match": '"2"'})
    assert (reply.status, reply.body) == (200, BODY)
    assert origin.asked(path)[1].all("If-None-Match") == ['"1"']
    assert proxy.get(path, **{"If-None-Match": '"1"'}).status == 304
    assert len(origin.asked(path)) == 2


# Conditions (section 4.3.2).


def dates() -> dict[str, str]:
    """The date of the file in each form of RFC 9110 section 5.6.7."""
    then = time.gmtime(MODIFIED)
    return {
        "IMF-fixdate": LAST_MODIFIED,
        "RFC 850": time.strftime("%A, %d-%b-%y %H:%M:%S GMT", then),
        "asctime": time.strftime("%a %b %e %H:%M:%S %Y", then),
    }


@pytest.mark.parametrize("form", dates())
def test_dates_in_each_of_their_forms(origin: ScriptedOrigin, proxy: Proxy, form: str) -> None:
    modified = f"Last-Modified: {LAST_MODIFIED}"
    path = origin.plays(says(answer("200 OK", BODY, FRESH, modified)))
    proxy.get(path)
    assert proxy.get(path, **{"If-Modified-Since": dates()[form]}).status == 304
    assert proxy.get(path, **{"If-Unmodified-Since": dates()[form]}).status == 200
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ('"1", "2", "3"', 304),
        ('"2", "1", "3"', 304),
        ('"2","3","1"', 304),
        ('"2", , "1"', 304),
        ("*", 304),
        ('"2"', 200),
        ('"1,2"', 200),
        # What is no entity tag names none (RFC 9110 section 8.8.3).
        ("1", 200),
        ('w/"1"', 200),
        ('W"1"', 200),
    ],
)
@pytest.mark.parametrize("tag", ['"1"', 'W/"1"'])
def test_tags_that_a_client_has(
    origin: ScriptedOrigin, proxy: Proxy, asked: str, status: int, tag: str
) -> None:
    lines = (FRESH, f"ETag: {tag}", "Vary: X-Foo", "Content-Location: /there", "X-Other: 1")
    path = origin.plays(says(answer("200 OK", BODY, *lines)))
    first = proxy.get(path)
    for reply in (
        proxy.get(path, **{"If-None-Match": asked}),
        proxy.head(path, **{"If-None-Match": asked}),
        # A date beside it is not looked at (RFC 9110 section 13.1.3).
        proxy.get(path, **{"If-None-Match": asked, "If-Modified-Since": formatdate(0)}),
    ):
        assert reply.status == status
        # RFC 9110 section 15.4.5: those that a 200 would have had.
        for name in ("ETag", "Vary", "Content-Location", "Cache-Control", "Date"):
            assert reply.get(name) == first.get(name) is not None
        assert "hit" in cache_status(reply)
    assert len(origin.asked(path)) == 1
