"""Header fields on their way through, in both directions; Via, Forwarded and CORS."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy

PLAYER = "https://player.example"
EXPOSED = {"Content-Range", "Content-Length", "Accept-Ranges", "ETag"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b"all right"),
        ("200 Fine, thanks; and you?", b"all right"),
        ("200 ", b"no reason"),
        ("203 Non-Authoritative Information", b"second hand"),
        ("299 Unheard Of", b"odd"),
        ("301 Moved Permanently", b"elsewhere"),
        ("307 Temporary Redirect", b""),
        ("401 Unauthorized", b"who?"),
        ("404 Not Found", b"nothing"),
        ("410 Gone", b""),
        ("418 I'm a teapot", b"short and stout"),
        ("500 Internal Server Error", b"sorry"),
        ("503 Service Unavailable", b"later"),
        ("599 Odd", b"odd"),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=0-"}])
def test_status_and_reason_pass_unchanged(
    origin: ScriptedOrigin, scripted_proxy: Proxy, status: str, body: bytes, fields: dict[str, str]
) -> None:
    if fields and status.startswith("200"):
        status = "404 Not Found"
    path = origin.plays(says(answer(status, body, "Location: /elsewhere")))
    reply = scripted_proxy.get(path, **fields)
    assert f"{reply.status} {reply.reason}" == status
    assert (reply.body, reply.get("Location")) == (body, "/elsewhere")
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(origin: ScriptedOrigin, scripted_proxy: Proxy, status: str) -> None:
    path = origin.plays(says(head(status, 'ETag: "1"')))
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            connection.ask(path, 'If-None-Match: "1"')
            reply = connection.read_reply()
            assert f"{reply.status} {reply.reason}" == status
            assert reply.get("ETag") == '"1"'
            assert reply.all("Content-Length") + reply.all("Transfer-Encoding") == []


def test_head_of_what_comes_in_chunks(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(says(head("200 OK", "Transfer-Encoding: chunked")))
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            connection.ask(path, method="HEAD")
            reply = connection.read_reply("HEAD")
            assert (reply.status, reply.get("Content-Length")) == (200, None)


def test_an_answer_without_a_date_gets_one(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    # RFC 9110 section 6.6.1: a recipient with a clock adds it when it forwards the message.
    path = origin.plays(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + FILM[:10]))
    for fields in ({}, {"Range": "bytes=0-1"}):
        date = scripted_proxy.get(path, **fields).get("Date")
        assert date is not None
        age = datetime.now(UTC) - parsedate_to_datetime(date)
        assert timedelta(seconds=-1) <= age < timedelta(seconds=PATIENCE)


END_TO_END = [
    ("sERVER", 'origin/1.0 (odd; "quoted")'),
    ("Set-Cookie", "a=1; Expires=Thu, 02 Jan 2020 03:04:05 GMT"),
    ("X-First", "1"),
    ("set-cookie", "b=2"),
    ("X-Odd_~!#$&'*+^`|.", "Value  with   blanks\tand a tab"),
    ("X-Empty", ""),
    ("X-Latin", "caf\xe9 \xff"),
    ("Content-Type", "video/mp4"),
    ("Link", "</a>; rel=preload"),
    ("Link", "</b>; rel=preload"),
    ("Cache-Control", "max-age=5"),
    ("X-Accel-Buffering", "no"),
    ("ETag", 'W/"1"'),
]
HOP_BY_HOP = [
    ("Connection", "X-Named, keep-alive , x-OTHER"),
    ("X-Named", "1"),
    ("X-Other", "2"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Authenticate", "Basic"),
    ("TE", "trailers"),
    ("Trailer", "X-Trailer"),
    ("Upgrade", "h2c"),
]


def test_fields_of_the_answer(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    lines = [f"{name}: {value}" for name, value in END_TO_END + HOP_BY_HOP]
    path = origin.plays(says(answer("200 OK", FILM, *lines)))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path)
        reply = connection.read_reply()
    names = {"date", "content-length", "via", "accept-ranges", "x-request-id"}
    assert [pair for pair in reply.fields if pair[0].lower() not in names] == END_TO_END
    assert reply.get("Via") == "1.1 aprp"
    assert reply.get("Accept-Ranges") == "bytes"
    assert reply.get("Content-Length") == str(len(FILM))
    assert len(reply.all("Date")) == 1
    # With a range as well.
    part = scripted_proxy.get(path, Range="bytes=0-9")
    assert part.status == 206
    names |= {"content-range", "connection"}
    assert [pair for pair in part.fields if pair[0].lower() not in names] == END_TO_END


def test_the_origins_accept_ranges_does_not_count(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(says(answer("200 OK", FILM, "Accept-Ranges: none")))
    assert scripted_proxy.get(path).all("Accept-Ranges") == ["bytes"]
    assert scripted_proxy.head(path).all("Accept-Ranges") == ["bytes"]


def test_via_is_continued(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--via-name", "front")
    data = b"HTTP/1.0 200 OK\r\nVia: 1.1 edge\r\nVia: 1.0 core\r\nContent-Length: 0\r\n\r\n"
    path = origin.plays(says(data, close=True))
    reply = proxy.get(path, Via="1.0 fred, 1.1 barney")
    assert reply.get("Via") == "1.1 edge, 1.0 core, 1.0 front"
    assert origin.asked(path)[0].all("Via") == ["1.0 fred, 1.1 barney, 1.1 front"]


def test_fields_of_the_request(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    passed = [
        ("user-AGENT", "player/1.0"),
        ("Accept", "video/*"),
        ("Accept-Encoding", "br"),
        ("Accept-Language", "de, en;q=0.5"),
        ("Authorization", "Bearer abc"),
        ("Cookie", "a=1; b=2"),
        ("Referer", "http://a.example/"),
        ("Origin", "http://a.example"),
        ("X-Odd_~!#$&'*+^`|.", "caf\xe9  x"),
    ]
    own = [
        ("Range", "chapters=1-2"),
        ("If-Range", '"1"'),
        ("Via", ""),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic abc"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "forged.example"),
        ("forwarded", "for=203.0.113.7"),
        ("x-request-id", "job-17"),
    ]
    with Connection(scripted_proxy.port) as connection:
        lines = [f"{name}: {value}" for name, value in passed + own + HOP_BY_HOP]
        connection.ask(path, *lines)
        assert connection.read_reply().status == 200
    (request,) = origin.asked(path)
    assert request.fields[0] == ("Host", origin.url.removeprefix("http://"))
    assert list(request.fields[1 : len(passed) + 1]) == passed
    assert sorted(request.fields[len(passed) + 1 :]) == [
        ("Forwarded", "for=127.0.0.1;host=media.example;proto=http"),
        ("Via", "1.1 aprp"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "media.example"),
        ("X-Forwarded-Proto", "http"),
        ("X-Request-ID", "job-17"),
    ]


def test_nothing_is_added_that_the_client_did_not_say(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM))
    scripted_proxy.get(path)
    names = {name.lower() for name, _ in origin.asked(path)[0].fields}
    added = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    assert names == {"host", "x-request-id"} | added


def test_repeated_fields_keep_their_meaning(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, "Accept: a/b", "Cookie: a=1", "Accept: c/d", "Cookie: b=2")
        connection.read_reply()
    (request,) = origin.asked(path)
    assert ", ".join(request.all("Accept")) == "a/b, c/d"
    assert "; ".join(request.all("Cookie")) == "a=1; b=2"


def test_a_proxy_in_front_is_believed_if_it_is_trusted(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    path = origin.plays(serves(FILM))
    proxy = start_proxy("--upstream", origin.url, "--trusted-proxies", "127.0.0.0/8")
    told = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "films.example",
        "Forwarded": "for=203.0.113.7;proto=https",
    }
    proxy.get(path, **told)
    (request,) = origin.asked(path)
    assert request.get("X-Forwarded-For") == "203.0.113.7, 127.0.0.1"
    assert request.get("X-Forwarded-Proto") == "https"
    assert request.get("X-Forwarded-Host") == "films.example"
    assert request.get("Forwarded") == (
        "for=203.0.113.7;proto=https, for=127.0.0.1;host=media.example;proto=http"
    )


def names(value: str | None) -> set[str]:
    return {name.strip() for name in (value or "").split(",")}


@pytest.mark.parametrize("allowed", ["*", f"https://other.example,{PLAYER}"])
def test_players_on_other_sites(
    origin: ScriptedOrigin, start_proxy: StartProxy, allowed: str
) -> None:
    own = ("Access-Control-Allow-Origin: https://origins-own.example", "Vary: Accept")
    path = origin.plays(serves(FILM, *own))
    proxy = start_proxy("--upstream", origin.url, "--cors-origins", allowed)
    granted = "*" if allowed == "*" else PLAYER
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    with Connection(proxy.port) as connection:
        lines = [f"{name}: {value}" for name, value in asked.items()]
        connection.ask(path, f"Origin: {PLAYER}", *lines, method="OPTIONS")
        preflight = connection.read_reply()
        assert preflight.status == 204
        assert preflight.get("Access-Control-Allow-Origin") == granted
        assert "GET" in names(preflight.get("Access-Control-Allow-Methods"))
        allowed_fields = preflight.get("Access-Control-Allow-Headers") or ""
        assert "range" in names(allowed_fields.lower())
        # Preflights are the proxy's business.
        assert origin.asked(path) == []
        for target in (path, f"{path}/0/9", f"{path}?range=beyond", "/nothing.bin", "/stats"):
            connection.ask(target, f"Origin: {PLAYER}")
            reply = connection.read_reply()
            assert reply.get("Access-Control-Allow-Origin") == granted
            assert names(reply.get("Access-Control-Expose-Headers")) >= EXPOSED
            assert allowed == "*" or "Origin" in names(", ".join(reply.all("Vary")))
        connection.ask(path, "Origin: https://stranger.example")
        stranger = connection.read_reply()
        assert stranger.get("Access-Control-Allow-Origin") == ("*" if allowed == "*" else None)


def test_without_cors_origins_the_origins_own_rules_pass(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM, f"Access-Control-Allow-Origin: {PLAYER}"))
    assert scripted_proxy.get(path, Origin=PLAYER).get("Access-Control-Allow-Origin") == PLAYER
