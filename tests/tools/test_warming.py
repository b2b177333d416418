"""`aprp cache warm` through a real HTTP server."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aprp.flags import UsageError
from aprp.semantics.signing import take_claim, verify
from aprp.tools.fetching import Fetched
from aprp.tools.warming import own_proxy
from settings.base import Settings
from tests.peers import closed_port
from tests.tools.conftest import Done
from tests.tools.proxies import (
    PATIENCE,
    Answer,
    Handler,
    Proxy,
    answers,
    breaks_off,
    chunked,
    serving,
    together,
)

Tool = Callable[..., Done]

KEY = "a key of enough characters"

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with serving() as proxy:
        yield proxy


@pytest.fixture
def warm(call: Tool, proxy: Proxy) -> Tool:
    return lambda *words: call("warm", "--proxy", proxy.url, *words)


def test_files_are_fetched_whole(warm: Tool, proxy: Proxy) -> None:
    proxy.answers["/a.mp4"] = answers(200, bytes(3 * 1024**2))
    proxy.answers["/b%20c.mp4?x=1"] = chunked(bytes(1000), bytes(500))
    done = warm("/a.mp4", f"{proxy.url}/b c.mp4?x=1#t=5", "--jobs", "1")
    assert (done.code, done.err) == (0, "")
    first, second, summary = done.lines
    speed = r"\d+(\.\d+)? (B|[KMG]iB)/s"
    assert re.fullmatch(rf"/a\.mp4  3 MiB  {speed}", first)
    assert re.fullmatch(rf"{re.escape(proxy.url)}/b c\.mp4\?x=1#t=5  1\.46 KiB  {speed}", second)
    assert re.fullmatch(rf"2 files fetched, 3 MiB in \d+\.\d s \({speed}\)", summary)
    assert [(method, path) for method, path, _ in proxy.asked] == [
        ("GET", "/a.mp4"),
        ("GET", "/b%20c.mp4?x=1"),
    ]
    for _, _, fields in proxy.asked:
        assert fields.keys() == {"Host", "User-Agent", "Sec-Purpose"}
        # So that it does not count as watched.
        assert fields["Sec-Purpose"] == "prefetch"
        assert fields["Host"] == f"127.0.0.1:{proxy.server_port}"
        assert fields["User-Agent"].startswith("aprp/")


def test_links_are_signed_where_the_proxy_wants_it(
    call: Tool, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APRP_SIGNED_URLS", "on")
    monkeypatch.setenv("APRP_SIGNING_KEY", KEY)

    class Answers(dict[str, Answer]):
        def __missing__(self, path: str) -> Answer:
            return answers(200, b"x")

    proxy.answers = Answers()
    before = time.time()
    signed = f"{proxy.url}/c?expires=1&a=1&signature=x"
    done = call("warm", "--proxy", proxy.url, "/a b/0/9", signed, "--jobs", "1")
    assert (done.code, done.err) == (0, "")
    # The names are those that were given.
    assert done.lines[0].startswith("/a b/0/9  1 B  ")
    assert KEY not in done.out and "signature" not in done.lines[0]
    rests = []
    for (_, target, _), path in zip(proxy.asked, ("/a%20b", "/c"), strict=True):
        rest, claim = take_claim(target.partition("?")[2])
        assert verify(path, claim, KEY, before) is None
        # Good for a while, and not for ever.
        assert verify(path, claim, KEY, before + 60) is None
        assert verify(path, claim, KEY, before + 86400) is not None
        rests.append((target.partition("?")[0], rest))
    assert rests == [("/a%20b/0/9", ""), ("/c", "a=1")]


def test_the_same_file_is_fetched_once(warm: Tool, proxy: Proxy) -> None:
    proxy.answers["/a"] = answers(200, b"x")
    assert warm("/a", "/a").code == 0
    assert len(proxy.asked) == 1


def test_an_empty_file(warm: Tool, proxy: Proxy) -> None:
    proxy.answers["/a"] = answers(200)
    done = warm("/a")
    assert (done.code, done.lines[0]) == (0, "/a  0 B  0 B/s")


def test_a_part_of_a_file(warm: Tool, proxy: Proxy) -> None:
    proxy.answers["/a?range=0-9"] = answers(206, b"0123456789")
    assert warm("/a?range=0-9").code == 0


PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (answers(404, b"no such file"), "404 Not Found"),
        (
            answers(502, b'{"detail": "The origin refused."}', Content_Type=PROBLEM),
            "502 Bad Gateway: The origin refused.",
        ),
        (answers(500, b'{"detail": 5}', Content_Type=PROBLEM), "500 Internal Server Error"),
        (answers(500, b"[1]", Content_Type=PROBLEM), "500 Internal Server Error"),
        (answers(500, b"\xff{", Content_Type=PROBLEM), "500 Internal Server Error"),
        # Nothing that a server sends steers the terminal.
        (
            answers(500, b'{"detail": "\\u001b[2J\\nx"}', Content_Type=PROBLEM),
            "500 Internal Server Error: \ufffd[2J\ufffdx",
        ),
        (
            answers(302, Location="https://other.test/a"),
            "302 Found: it is at https://other.test/a; redirects are not followed",
        ),
        (answers(304), "304 Not Modified"),
        (breaks_off(1000, b"x" * 300), r".*after 300 bytes"),
    ],
)
def test_a_failure_is_a_line_and_the_others_are_fetched(
    warm: Tool, proxy: Proxy, answer: Callable[[Handler], None], complaint: str
) -> None:
    proxy.answers["/good"] = answers(200, b"12345")
    proxy.answers["/bad"] = answer
    done = warm("/bad", "/good")
    assert done.code == 1
    assert done.lines[0].startswith("/good  5 B  ")
    assert done.lines[-1].startswith("1 file fetched, ")
    assert done.lines[-1].endswith(", 1 failed")
    if complaint.startswith(".*"):
        assert re.fullmatch(f"aprp: /bad: {complaint}\n", done.err)
    else:
        assert done.err == f"aprp: /bad: {complaint}\n"


def test_where_no_proxy_runs(call: Tool) -> None:
    port = closed_port()
    done = call("warm", "/a", "--port", str(port))
    assert done.code == 1
    assert done.err == (
        f"aprp: /a: cannot connect to localhost:{port}: Connection refused; "
        "start the proxy, or say with --proxy where it is\n"
    )
    assert done.out.startswith("0 files fetched, 0 B in ")


def test_as_many_at_once_as_there_are_jobs(warm: Tool, proxy: Proxy) -> None:
    answer = together(3)
    paths = [f"/{number}" for number in range(6)]
    proxy.answers = dict.fromkeys(paths, answer)
    assert warm(*paths, "--jobs", "3").code == 0


def test_no_more_at_once_than_there_are_jobs(warm: Tool, proxy: Proxy) -> None:
    running = threading.Semaphore(2)

    def counted(handler: Handler) -> None:
        if not running.acquire(blocking=False):
            answers(503)(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "1")
        handler.end_headers()
        # Before the last byte: with it, the next one may come.
        running.release()
        handler.wfile.write(b"x")

    paths = [f"/{number}" for number in range(20)]
    proxy.answers = dict.fromkeys(paths, counted)
    assert warm(*paths, "--jobs", "2").code == 0


@pytest.mark.parametrize(
    ("status", "stored"),
    [
        (None, True),
        ("aprp; hit; ttl=5", True),
        ("aprp; hit", True),
        ("aprp;fwd=uri-miss;stored", True),
        ("aprp; fwd=stale; stored=?1; collapsed=?0", True),
        ("aprp; fwd=uri-miss; collapsed", True),
        # The last one is the proxy's own (RFC 9211 section 2).
        ("cdn; fwd=miss, aprp; hit", True),
        ("cdn; hit, aprp; fwd=uri-miss", False),
        ("aprp; fwd=bypass", False),
        ("aprp; fwd=uri-miss; stored=?0", False),
        ("aprp; fwd=uri-miss; collapsed=?0", False),
        ('aprp; fwd=miss; detail="not; stored; hit, at all"', False),
        ("aprp; fwd=miss; key=hit", False),
    ],
)
def test_whether_it_is_stored_now(status: str | None, stored: bool) -> None:
    assert Fetched(1, 1.0, status).stored is stored


def test_what_the_proxy_does_not_store_is_told(warm: Tool, proxy: Proxy) -> None:
    proxy.answers["/a"] = answers(
        200, b"x", Cache_Status="cdn; hit, aprp; fwd=uri-miss; detail=no-store"
    )
    done = warm("/a")
    assert done.code == 0
    assert done.err == (
        "aprp: /a: fetched, but the proxy does not store it: aprp; fwd=uri-miss; detail=no-store\n"
    )


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("", "http://localhost:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("192.0.2.1", "http://192.0.2.1:81"),
        ("2001:db8::1", "http://[2001:db8::1]:81"),
        ("media.example", "http://media.example:81"),
    ],
)
def test_where_the_proxy_listens(address: str, url: str) -> None:
    assert own_proxy(Settings(UPSTREAM=["http://o"], ADDRESS=address, PORT=81)) == url


def test_a_port_that_is_not_known() -> None:
    with pytest.raises(UsageError, match="--proxy"):
        own_proxy(Settings(UPSTREAM=["http://o"], PORT=0))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "no URL is given: as in aprp cache warm /film.mp4"),
        (("a.mp4",), "a.mp4: neither a URL nor a path; a path begins with /, as in /a.mp4"),
        (("/a", "--jobs", "0"), "--jobs: '0' is not a whole number from 1 to 64"),
        (("/a", "--jobs", "65"), "--jobs: '65' is not a whole number from 1 to 64"),
        (("/a", "--jobs", "many"), "--jobs: 'many' is not a whole number from 1 to 64"),
        (("/a", "--jobs", "9" * 5000), "--jobs: '9999"),
        (("/a", "--proxy", "localhost:8000"), "localhost:8000: not the URL of a proxy: such as "),
        (("/a", "--proxy", "ftp://h"), "ftp://h: not the URL of a proxy: such as "),
        (("/a", "--proxy", "http://h:0"), "http://h:0: not the URL of a proxy: such as "),
        (("/a", "--proxy", "http://h:99999"), "http://h:99999: not the URL of a proxy: Port"),
        (("/a", "http://h:x/a"), "http://h:x: not the URL of a proxy: Port"),
        (("/a", "http://u:p@h/a"), "http://u:p@h: not the URL of a proxy: such as "),
        (("/a", "--port", "0"), "PORT is 0, which is any free one: say where the proxy is"),
        (("/a", "--job", "2"), "--job: no such option; did you mean --jobs?"),
    ],
)
def test_mistakes_fetch_nothing(call: Tool, words: tuple[str, ...], complaint: str) -> None:
    done = call("warm", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"aprp: {complaint}")
    assert done.err.count("\n") == 1


def test_an_interrupt_ends_it_quietly(proxy: Proxy) -> None:
    begun, over = threading.Event(), threading.Event()

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        begun.set()
        # Until the other side closes.
        handler.rfile.read(1)
        over.set()
        handler.close_connection = True

    proxy.answers["/a"] = endless
    process = subprocess.Popen(
        [sys.executable, "-m", "aprp", "cache", "warm", "/a", "--proxy", proxy.url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert begun.wait(PATIENCE)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 130
    assert over.wait(PATIENCE)


@pytest.mark.parametrize("all_on_the_terminal", [False, True])
def test_bars_are_for_the_terminal_alone(proxy: Proxy, all_on_the_terminal: bool) -> None:
    proxy.answers["/a"] = answers(200, bytes(100_000))
    proxy.answers["/b"] = answers(404)
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                shown.extend(piece)
        except OSError:
            # Linux says so (EIO) when nobody has the other end open any more.
            return

    reader = threading.Thread(target=read)
    command = [sys.executable, "-m", "aprp", "cache", "warm", "/a", "/b", "--proxy", proxy.url]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs if all_on_the_terminal else subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    reader.start()
    out = b"" if process.stdout is None else process.stdout.read()
    assert process.wait(PATIENCE) == 1
    reader.join(PATIENCE)
    os.close(ours)
    if process.stdout is not None:
        process.stdout.close()
    terminal = shown.decode()
    assert "of 2 files" in terminal
    assert "\x1b[" in terminal
    assert "aprp: /b: 404 Not Found\r\n" in terminal
    told = terminal if all_on_the_terminal else out.decode()
    # Where a bar was, the line is erased first.
    begin, end = r"(?:^|\x1b\[2K)", r"\r?$"
    assert re.search(rf"{begin}/a  97\.7 KiB  \S+ \S+/s{end}", told, re.MULTILINE)
    assert re.search(rf"{begin}1 file fetched, .*, 1 failed{end}", told, re.MULTILINE)
    if not all_on_the_terminal:
        assert "\x1b" not in told
        assert "97.7 KiB  " not in terminal
