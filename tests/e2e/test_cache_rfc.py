"""What is used again and what is not, by the letter of RFC 9111: fields, directives, variants."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from tests.e2e.caching import age, cache_status
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy

BODY = b"0123456789" * 10
NOW = time.time()
IN_A_DAY, LAST_DAY = NOW + 86400, NOW - 86400
# Stands for the Date of the moment at which a script is made: these tables are made long before.
DATED = "Date: now"


@pytest.fixture(scope="module")
def proxy(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache before the scripted origin."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_origin.url, cache=True) as started:
        yield started


def plain(*lines: str, status: str = "200 OK", body: bytes = BODY) -> Script:
    """A script that answers with these fields and no others, Date neither."""
    now = formatdate(usegmt=True)
    lines = tuple(line.replace("Expires: now", f"Expires: {now}") for line in lines)
    lines = tuple(f"Date: {now}" if line == DATED else line for line in lines)
    length = f"Content-Length: {len(body)}"
    return says("\r\n".join((f"HTTP/1.1 {status}", *lines, length, "", "")).encode() + body)


def in_form(form: str, moment: float) -> str:
    """A date in a form of `time.strftime`: obsolete ones of RFC 9110 section 5.6.7."""
    return time.strftime(form, time.gmtime(moment))


RFC_850, ASCTIME = "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"
FUTURE = formatdate(IN_A_DAY, usegmt=True)
PAST = formatdate(LAST_DAY, usegmt=True)

USED_AGAIN = {
    "a lifetime with zeros before it": ("Cache-Control: max-age=00060",),
    "a directive in another case": ("Cache-Control: Max-AGE=60",),
    "a directive in another's string": ('Cache-Control: x="no-store", max-age=60',),
    "no-store where a cache must understand the status": (
        "Cache-Control: max-age=60, no-store, must-understand",
    ),
    "Expires beyond 32 bits": ("Expires: Wed, 21 Nov 2286 04:46:39 GMT",),
    "Expires in the form of RFC 850": (f"Expires: {in_form(RFC_850, IN_A_DAY)}",),
    "Expires in the form of asctime": (f"Expires: {in_form(ASCTIME, IN_A_DAY)}",),
    "Expires with a Date that is none": (f"Expires: {FUTURE}", "Date: yesterday"),
    # Section 5.1: what is no age is ignored, and of several the first counts.
    "an Age that is a word": (DATED, "Cache-Control: max-age=60", "Age: old"),
    "an Age that is negative": (DATED, "Cache-Control: max-age=60", "Age: -7200"),
    "an Age with a fraction": (DATED, "Cache-Control: max-age=60", "Age: 7200.0"),
    "two ages, the first is low": (DATED, "Cache-Control: max-age=60", "Age: 0, 7200"),
    "two lines of Age, the first is low": (
        DATED,
        "Cache-Control: max-age=60",
        "Age: 0",
        "Age: 7200",
    ),
    # RFC 9213: in place of Cache-Control and Expires.
    "for caches like this one, with more": ("CDN-Cache-Control: studio, max-age=60",),
    "for caches like this one, beyond 31 bits": ("CDN-Cache-Control: max-age=99999999999",),
    "for caches like this one, despite Expires": (
        "CDN-Cache-Control: max-age=60",
        f"Expires: {PAST}",
        DATED,
    ),
    "for caches like this one, but malformed": (
        "CDN-Cache-Control: max-age=0, &&&",
        "Cache-Control: max-age=60",
    ),
    "something to be saved": ("Cache-Control: max-age=60", "Content-Disposition: attachment"),
}
NOT_USED_AGAIN = {
    "a lifetime in single quotes": ("Cache-Control: max-age='60'",),
    "a lifetime in another's string": ('Cache-Control: x="a, max-age=60"',),
    "a lifetime below 0": ("Cache-Control: max-age=-60",),
    "a lifetime of a word": ("Cache-Control: max-age=a60",),
    "immutable, but stale": ("Cache-Control: max-age=10, immutable", "Age: 20"),
    "Expires before Date": (f"Expires: {formatdate(NOW - 100, usegmt=True)}", DATED),
    "Expires at Date": ("Expires: now", DATED),
    "an Age beyond Expires": (f"Expires: {FUTURE}", DATED, "Age: 86401"),
    "an Age of 31 bits": (DATED, "Cache-Control: max-age=60", "Age: 2147483647"),
    "an Age beyond 31 bits": (DATED, "Cache-Control: max-age=60", "Age: 2147483649"),
    "two ages, the first is high": (DATED, "Cache-Control: max-age=60", "Age: 7200, 0"),
    "two lines of Age, the first is high": (
        DATED,
        "Cache-Control: max-age=60",
        "Age: 7200",
        "Age: 0",
    ),
    "a Date long ago": (f"Date: {PAST}", "Cache-Control: max-age=60"),
    "not for caches like this one, despite Expires": (
        "CDN-Cache-Control: max-age=0",
        f"Expires: {FUTURE}",
        DATED,
    ),
    "private for caches like this one": (
        "CDN-Cache-Control: private",
        "Cache-Control: max-age=60",
    ),
    "a lifetime of the wrong type": (
        'CDN-Cache-Control: max-age="60"',
        "Cache-Control: no-store",
    ),
    "too old for caches like this one": (
        "CDN-Cache-Control: max-age=10",
        "Cache-Control: max-age=60",
        "Age: 20",
    ),
    "the time to use it stale is over": (
        "Cache-Control: max-age=10, stale-while-revalidate=5",
        "Age: 20",
    ),
    "to be checked before it is used stale": (
        "Cache-Control: max-age=10, must-revalidate, stale-while-revalidate=60",
        "Age: 20",
    ),
    "to be checked by proxies before it is used stale": (
        "Cache-Control: max-age=10, proxy-revalidate, stale-while-revalidate=60",
        "Age: 20",
    ),
    "Vary: * after a name": ("Cache-Control: max-age=60", "Vary: Accept, *"),
    "Vary: * in a line of its own": ("Cache-Control: max-age=60", "Vary: Accept", "Vary: *"),
    "Vary: * after a comma": ("Cache-Control: max-age=60", "Vary: , *"),
    "Vary: * twice": ("Cache-Control: max-age=60", "Vary: *, *"),
}


@pytest.mark.parametrize("case", USED_AGAIN)
def test_what_is_used_again(origin: ScriptedOrigin, proxy: Proxy, case: str) -> None:
    path = origin.plays(plain(*USED_AGAIN[case]))
    for _ in range(2):
        reply = proxy.get(path)
        assert (reply.status, reply.body) == (200, BODY)
    assert "hit" in cache_status(reply) and age(reply) < 20
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("case", NOT_USED_AGAIN)
def test_what_is_not_used_again(origin: ScriptedOrigin, proxy: Proxy, case: str) -> None:
    path = origin.plays(plain(*NOT_USED_AGAIN[case]))
    for number in (1, 2, 3):
        assert proxy.get(path).body == BODY
        assert len(origin.asked(path)) == number


# Statuses (section 3): the final status code has to be understood only with must-understand.

STATUSES = (203, 299, 300, 302, 307, 308, 400, 403, 405, 414, 451, 499, 500, 501, 503, 599)


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_of_any_status_is_used_as_long_as_it_says(
    origin: ScriptedOrigin, proxy: Proxy, status: int
) -> None:
    fresh = origin.plays(plain("Cache-Control: max-age=60", status=f"{status} Such"))
    stale = origin.plays(plain("Cache-Control: max-age=10", "Age: 20", status=f"{status} Such"))
    for _ in range(2):
        for path in (fresh, stale):
            reply = proxy.get(path)
            assert (reply.status, reply.body) == (status, BODY)
    assert (len(origin.asked(fresh)), len(origin.asked(stale))) == (1, 2)


@pytest.mark.parametrize("status", [299, 499, 599])
def test_a_status_that_must_be_understood(
    origin: ScriptedOrigin, proxy: Proxy, status: int
) -> None:
    fields = "Cache-Control: max-age=60, must-understand"
    path = origin.plays(plain(fields, status=f"{status} Such"))
    for number in (1, 2):
        assert proxy.get(path).status == status
        assert len(origin.asked(path)) == number


def test_an_answer_before_the_answer_is_not_kept(origin: ScriptedOrigin, proxy: Proxy) -> None:
    # RFC 9110 section 15.2: a response of 1xx is no answer, and its fields are its own.
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: 1\r\n\r\n"
    path = origin.plays(says(hints + answer("200 OK", BODY, "Cache-Control: max-age=60")))
    for hinted in (True, False):
        reply = proxy.get(path)
        assert (reply.status, reply.body) == (200, BODY)
        assert reply.get("X-Early") is None and reply.get("Link") is None
        assert [early.get("X-Early") for early in reply.interim] == (["1"] if hinted else [])
    assert len(origin.asked(path)) == 1


# What clients ask for (section 5.2.1).


@pytest.mark.parametrize(
    ("stored", "asked", "requests"),
    [
        ("max-age=60", "max-age=5", 2),
        ("max-age=60", "max-age=30", 1),
        ("max-age=60", "min-fresh=55", 2),
        ("max-age=60", "min-fresh=5", 1),
        ("max-age=5", "max-stale", 1),
        ("max-age=5", "max-stale=60", 1),
        ("max-age=5", "max-stale=1", 2),
        # Where the origin forbids it, no wish of a client matters (section 5.2.2.2).
        ("max-age=5, must-revalidate", "max-stale", 2),
        ("max-age=5, proxy-revalidate", "max-stale", 2),
        ("max-age=60", "unheard-of=5", 1),
    ],
)
def test_how_fresh_a_client_wants_it(
    origin: ScriptedOrigin, proxy: Proxy, stored: str, asked: str, requests: int
) -> None:
    path = origin.plays(plain(DATED, f"Cache-Control: {stored}", "Age: 10"))
    proxy.get(path)
    assert proxy.get(path, **{"Cache-Control": asked}).body == BODY
    assert len(origin.asked(path)) == requests


def test_pragma_counts_only_by_itself(origin: ScriptedOrigin, proxy: Proxy) -> None:
    # Section 5.4.
    path = origin.plays(plain("Cache-Control: max-age=60"))
    proxy.get(path)
    proxy.get(path, **{"Pragma": "no-cache", "Cache-Control": "max-age=30"})
    assert len(origin.asked(path)) == 1
    proxy.get(path, Pragma="no-cache")
    assert len(origin.asked(path)) == 2


def test_an_answer_to_a_client_that_wants_nothing_kept(
    origin: ScriptedOrigin, proxy: Proxy
) -> None:
    path = origin.plays(plain("Cache-Control: max-age=60"))
    for number in (1, 2):
        proxy.get(path, **{"Cache-Control": "no-store"})
        assert len(origin.asked(path)) == number
    for _ in range(2):
        proxy.get(path)
    assert len(origin.asked(path)) == 3


# Variants (section 4.1).


def echoes(*names: str) -> Script:
    """A script whose body tells the fields that its answer was selected by."""

    def script(peer: Peer) -> None:
        body = repr([peer.request.get(name) for name in names]).encode()
        vary = f"Vary: {', '.join(names)}"
        peer.send(
            answer("200 OK", body, "Cache-Control: max-age=60", vary, f'ETag: "{hash(body)}"')
        )

    return script


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"Foo": "1"}, {"Foo": "1"}, True),
        ({"Foo": "1"}, {"Foo": "2"}, False),
        ({"Foo": "1"}, {}, False),
        ({}, {"Foo": "1"}, False),
        ({}, {}, True),
        ({"Foo": "1", "Other": "1"}, {"Foo": "1", "Other": "2"}, True),
        ({"Foo": "1", "Bar": "a"}, {"Bar": "a", "Foo": "1"}, True),
        ({"Foo": "1", "Bar": "a"}, {"Foo": "1", "Bar": "b"}, False),
        ({"Foo": "1", "Bar": "a"}, {"Foo": "a", "Bar": "1"}, False),
        ({"Foo": "1, 2"}, {"Foo": "1,2"}, True),
        ({"Foo": "1, 2"}, {"Foo": "2, 1"}, False),
        ({"Accept-Language": "en, de"}, {"Accept-Language": "en,de"}, True),
        ({"Accept-Language": "en, de"}, {"Accept-Language": "EN, dE"}, True),
        ({"Accept-Language": "en, de;q=0.5"}, {"Accept-Language": "en, de"}, False),
    ],
)
def test_which_requests_are_alike(
    origin: ScriptedOrigin,
    proxy: Proxy,
    first: dict[str, str],
    second: dict[str, str],
    same: bool,
) -> None:
    path = origin.plays(echoes("Foo", "Bar", "Accept-Language"))
    bodies = [proxy.get(path, **fields).body for fields in (first, second, first, second)]
    assert bodies[:2] == bodies[2:]
    assert (bodies[0] == bodies[1]) is same
    assert len(origin.asked(path)) == (1 if same else 2)


# Small files and their ranges (sections 3.3 and 3.4).


@pytest.mark.parametrize("first", [None, "bytes=-5", "bytes=0-3", "bytes=40-49"])
def test_ranges_of_a_small_file(origin: ScriptedOrigin, proxy: Proxy, first: str | None) -> None:
    fields = ("Cache-Control: max-age=60", 'ETag: "1"', "A: 1")
    path = origin.plays(serves(BODY, *fields))
    proxy.get(path, **({} if first is None else {"Range": first}))
    for asked, start, stop in (
        ("bytes=0-1", 0, 2),
        ("bytes=1-", 1, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-1", 99, 100),
        ("bytes=41-43", 41, 44),
    ):
        reply = proxy.get(path, Range=asked)
        assert (reply.status, reply.body) == (206, BODY[start:stop])
        assert reply.get("Content-Range") == f"bytes {start}-{stop - 1}/100"
        assert (reply.get("A"), reply.get("ETag")) == ("1", '"1"')
    assert proxy.get(path).body == BODY
    # A slice is more than the file: the first question brought all of it.
    assert len(origin.asked(path)) == 1
