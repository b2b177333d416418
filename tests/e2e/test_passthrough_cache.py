"""What is changed at the origin is not answered from the cache any more (RFC 9111 section 4.4)."""

import threading
from collections.abc import Iterator
from shutil import rmtree

import pytest

from tests.e2e.caching import cache_status
from tests.e2e.clients import Connection, Reply
from tests.e2e.programs import PATIENCE, wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import message, whole

FRESH = ("Cache-Control: max-age=1000",)
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "BREW", "PROPPATCH")


class Document:
    """A script: what is sent to it is what it is from then on. `status` is said of all methods."""

    def __init__(self) -> None:
        self.text = b"first"
        self.status = "200 OK"
        self.lines: tuple[str, ...] = ()

    def __call__(self, peer: Peer) -> None:
        """See `Script`."""
        body = whole(peer)
        if peer.request.method == "GET":
            peer.send(answer("200 OK", self.text, *FRESH))
        elif peer.request.method in ("HEAD", "OPTIONS"):
            peer.send(head("200 OK", *FRESH, f"Content-Length: {len(self.text)}"))
            if peer.request.method == "OPTIONS":
                peer.send(self.text)
        else:
            self.text = body
            peer.send(answer(self.status, b"done", *self.lines))


def send(proxy: Proxy, method: str, target: str, body: bytes) -> Reply:
    """Send a request with a body."""
    with Connection(proxy.port) as connection:
        connection.send(message(method, target, body))
        return connection.read_reply()


def is_hit(proxy: Proxy, target: str, text: bytes) -> bool:
    """Get it, and say where it is from."""
    reply = proxy.get(target)
    assert (reply.status, reply.body) == (200, text)
    return "hit" in cache_status(reply)


@pytest.fixture(scope="module")
def proxy(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache before the scripted origin."""
    with Proxy(
        tmp_path_factory.mktemp("proxy"), "--upstream", shared_origin.url, cache=True
    ) as started:
        yield started


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "299 Odd", "303 See Other"])
def test_an_unsafe_method_invalidates_its_target(
    origin: ScriptedOrigin, proxy: Proxy, method: str, status: str
) -> None:
    document = Document()
    document.status = status
    path = origin.plays(document)
    targets = (path, f"{path}?other")
    assert [is_hit(proxy, target, b"first") for target in targets * 2] == [False] * 2 + [True] * 2
    for text in (b"second", b"third"):
        reply = send(proxy, method, path, text)
        assert (f"{reply.status} {reply.reason}", reply.body) == (status, b"done")
        assert cache_status(reply)["fwd"] == "method"
        assert "hit" not in cache_status(reply)
        assert [is_hit(proxy, path, text) for _ in range(2)] == [False, True]
    # Another query is another resource.
    assert is_hit(proxy, targets[1], b"first")


@pytest.mark.parametrize("status", ["400 No", "404 Not Found", "409 Conflict", "500 No", "503 No"])
def test_what_failed_invalidates_nothing(origin: ScriptedOrigin, proxy: Proxy, status: str) -> None:
    document = Document()
    document.status = status
    path = origin.plays(document)
    assert not is_hit(proxy, path, b"first")
    for method in UNSAFE:
        assert f"{send(proxy, method, path, b'x').status}" == status[:3]
    assert is_hit(proxy, path, b"first")


def test_safe_methods_invalidate_nothing(origin: ScriptedOrigin, proxy: Proxy) -> None:
    document = Document()
    path = origin.plays(document)
    assert not is_hit(proxy, path, b"first")
    document.text = b"second"
    assert send(proxy, "OPTIONS", path, b"x").body == b"second"
    # A GET with a body is not answered from what is stored, nor stored.
    reply = send(proxy, "GET", path, b"x")
    assert (reply.body, "hit" in cache_status(reply)) == (b"second", False)
    assert is_hit(proxy, path, b"first")


def test_answers_to_other_methods_are_not_stored(origin: ScriptedOrigin, proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        peer.send(answer("200 OK", peer.request.method.encode() + whole(peer), *FRESH))

    path = origin.plays(script)
    for method in ("POST", "OPTIONS", "QUERY"):
        for body in (b"1", b"2"):
            assert send(proxy, method, path, body).body == method.encode() + body
    assert not is_hit(proxy, path, b"GET")


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_what_the_answer_names_is_invalidated_too(
    origin: ScriptedOrigin, proxy: Proxy, name: str
) -> None:
    paths = [origin.plays(Document()) for _ in range(4)]
    lines = (paths[1], f"{origin.url}{paths[2]}", f"http://elsewhere.example{paths[3]}")
    assert [is_hit(proxy, path, b"first") for path in paths] == [False] * 4
    for line in lines:
        document = Document()
        document.status = "201 Created"
        document.lines = (f"{name}: {line}",)
        assert send(proxy, "POST", origin.plays(document), b"x").status == 201
    # RFC 9111 section 4.4: not of another host.
    assert [is_hit(proxy, path, b"first") for path in paths] == [True, False, False, True]


def test_it_is_invalidated_under_a_base_path(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    document = Document()
    _, base, name = origin.plays(document).split("/")
    proxy = start_proxy("--upstream", f"{origin.url}/{base}", cache=True)
    assert [is_hit(proxy, f"/{name}", b"first") for _ in range(2)] == [False, True]
    document.lines = (f"Content-Location: /{base}/{name}",)
    assert send(proxy, "PUT", f"/{name}", b"second").status == 200
    assert not is_hit(proxy, f"/{name}", b"second")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("begun", [b"", b"begun"])
def test_who_has_the_answer_does_not_get_what_was_before(
    origin: ScriptedOrigin, proxy: Proxy, begun: bytes, chunked: bool
) -> None:
    # The head of the answer tells that the change is made, however long the answer takes.
    go_on = threading.Event()
    texts = [b"first", b"second"]

    def script(peer: Peer) -> None:
        body = whole(peer)
        if peer.request.method == "GET":
            peer.send(answer("200 OK", texts[0], *FRESH))
            return
        texts.remove(b"first")
        if chunked:
            peer.send(head("200 OK", "Transfer-Encoding: chunked"))
            peer.send(b"5\r\nbegun\r\n" if begun else b"")
        else:
            peer.send(head("200 OK", "Content-Length: 9") + begun)
        assert body == b"x" and go_on.wait(PATIENCE)
        rest = b"begun"[len(begun) :] + b"over"
        peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest) if chunked else rest)

    path = origin.plays(script)
    assert not is_hit(proxy, path, b"first")
    with Connection(proxy.port) as connection:
        connection.send(message("POST", path, b"x"))
        assert connection.read_head().status == 200
        if begun:
            assert (connection.read_chunk() if chunked else connection.read(5)) == b"begun"
        assert not is_hit(proxy, path, b"second")
        go_on.set()
        if not chunked:
            assert connection.read(9 - len(begun)) == b"begunover"[len(begun) :]
        else:
            assert connection.read_chunk() in (b"over", b"begunover")
            assert connection.read_chunk() == b""
    assert is_hit(proxy, path, b"second")


@pytest.fixture(scope="module")
def workers(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The same with two workers."""
    flags = ("--upstream", shared_origin.url, "--workers", "2")
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=True) as started:
        yield started


@pytest.mark.parametrize("asked_before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("method", ["PURGE", "PUT"])
def test_an_answer_that_was_asked_for_before_is_for_who_asked(
    origin: ScriptedOrigin, workers: Proxy, method: str, asked_before: bool
) -> None:
    """The next request asks the origin again, before or after that answer has come."""
    go_on = threading.Event()
    gets = 0

    def script(peer: Peer) -> None:
        nonlocal gets
        whole(peer)
        if peer.request.method == "PUT":
            peer.send(answer("200 OK", b"done"))
            return
        gets += 1
        if gets == 1:
            assert go_on.wait(PATIENCE)
            peer.send(answer("200 OK", b"first", *FRESH))
        else:
            peer.send(answer("200 OK", b"second", *FRESH))

    path = origin.plays(script)
    with Connection(workers.port) as early:
        early.ask(path)
        wait_until(lambda: gets == 1, "the origin is asked")
        # Nothing is stored yet.
        assert send(workers, method, path, b"x").status == (404 if method == "PURGE" else 200)
        if asked_before:
            assert not is_hit(workers, path, b"second")
        go_on.set()
        reply = early.read_reply()
        assert (reply.status, reply.body) == (200, b"first")
        assert cache_status(reply)["detail"] == "purged"
    if not asked_before:
        assert not is_hit(workers, path, b"second")
    # By whichever worker they are answered.
    assert {workers.get(path).body for _ in range(6)} == {b"second"}
    assert gets == 2


def test_all_workers_forget(origin: ScriptedOrigin, workers: Proxy) -> None:
    document = Document()
    path = origin.plays(document)
    workers.get(path)
    for number in range(20):
        text = b"%d" % number
        assert send(workers, "PUT", path, text).status == 200
        # By whichever worker they are answered.
        for _ in range(4):
            assert workers.get(path).body == text


def test_a_cache_that_is_lost_does_not_matter(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    document = Document()
    path = origin.plays(document)
    proxy.get(path)
    rmtree(proxy.cache_dir)
    proxy.cache_dir.write_text("No directory any more.")
    with Connection(proxy.port) as connection:
        for number in range(5):
            text = b"%d" % number
            connection.send(message("PUT", path, text))
            assert connection.read_reply().body == b"done"
            document.lines = (f"X-Number: {number}",)
