"""Uploads that are refused, each for its reason, and that nothing is left of them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM
from tests.e2e.file_store import AUTHORIZED, StoreProxy, form, unfinished
from tests.e2e.programs import run, wait_until
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy

SIZE = len(FILM)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    with StoreProxy(tmp_path_factory.mktemp("proxy"), tmp_path_factory.mktemp("media")) as started:
        yield started


class TestRefusals:
    def test_a_form_without_the_field(self, store: StoreProxy) -> None:
        line, body = form(b"x", "f.bin", field="document")
        reply = store.request("POST", "/upload", body, line)
        assert reply.status == 400 and b"file" in reply.body

    def test_no_form(self, store: StoreProxy) -> None:
        assert store.request("POST", "/upload", b"x").status == 415
        assert (
            store.request("POST", "/upload", b"{}", "Content-Type: application/json").status == 415
        )

    def test_no_length(self, store: StoreProxy) -> None:
        assert store.request("PUT", "/upload/nothing.bin").status == 411

    def test_a_coding(self, store: StoreProxy) -> None:
        assert store.put("c.bin", b"x", "Content-Encoding: gzip").status == 415

    def test_an_empty_file(self, store: StoreProxy) -> None:
        assert store.put("empty.bin", b"").status == 201
        assert (store.root / "empty.bin").read_bytes() == b""

    @pytest.mark.parametrize(
        ("method", "target", "allow"),
        [
            ("GET", "/upload", "POST, OPTIONS"),
            ("PUT", "/upload", "POST, OPTIONS"),
            ("PUT", "/upload/", "POST, OPTIONS"),
            ("POST", "/upload/x", "PUT, HEAD, DELETE, OPTIONS"),
            ("GET", "/upload/x", "PUT, HEAD, DELETE, OPTIONS"),
            ("POST", "/files", "GET, HEAD, OPTIONS"),
            ("GET", "/files/x", "DELETE, OPTIONS"),
            ("DELETE", "/download/x", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_methods(self, store: StoreProxy, method: str, target: str, allow: str) -> None:
        reply = store.request(method, target)
        assert (reply.status, reply.get("Allow")) == (405, allow)
        assert method == "HEAD" or allow.encode() in reply.body
        told = store.request("OPTIONS", target)
        assert (told.status, told.get("Allow")) == (204, allow)

    @pytest.mark.parametrize(
        ("method", "target", "hint"),
        [
            ("PUT", "/upload", b"PUT is for /upload/<name>."),
            ("POST", "/upload/x", b"POST is for /upload."),
            ("DELETE", "/files", b"DELETE is for /files/<name>."),
            ("PATCH", "/upload/x", b'and not PATCH."'),
        ],
    )
    def test_a_method_that_wants_a_name_or_none(
        self, store: StoreProxy, method: str, target: str, hint: bytes
    ) -> None:
        reply = store.request(method, target)
        assert reply.status == 405 and hint in reply.body

    @pytest.mark.parametrize(
        "query", ["?overwrite=2", "?overwrite=yes", "?overwrite=1&overwrite=0"]
    )
    def test_queries(self, store: StoreProxy, query: str) -> None:
        assert store.put("z.bin", b"x", query=query).status == 400

    def test_malformed_forms_are_told_to_the_client_and_not_to_the_console(
        self, store: StoreProxy
    ) -> None:
        line, body = form(b"x", "f.bin")
        malformed = body.replace(b"\r\n\r\n", b"\r\n:\r\n\r\n", 1)
        reply = store.request("POST", "/upload", malformed, line)
        assert reply.status == 400 and b"form cannot be read" in reply.body
        assert "boundary" not in str(store)

    def test_a_client_that_leaves(self, store: StoreProxy) -> None:
        with unfinished(store, "/upload/left.bin", SIZE) as client:
            client.send(FILM[:300_000])
            wait_until(lambda: len(store.left_behind()) == 1, "it has begun")
        wait_until(lambda: store.left_behind() == [], "nothing is left")
        assert "left.bin" not in store.names()
        line = store.wait_access_line("/upload/left.bin")
        assert line["end"] == "client went away"

    @pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "Basic dGVzdA==", "the token"])
    def test_without_the_token(self, store: StoreProxy, token: str) -> None:
        line = f"Authorization: {token}"
        for method, target in (
            ("PUT", "/upload/t.bin"),
            ("POST", "/upload"),
            ("HEAD", "/upload/t.bin"),
            ("DELETE", "/upload/t.bin"),
            ("GET", "/files"),
            ("DELETE", "/files/empty.bin"),
        ):
            reply = store.request(method, target, b"x", line)
            assert reply.status == 401, (method, target)
            assert (reply.get("WWW-Authenticate") or "").startswith("Bearer")
        assert "t.bin" not in store.names()

    def test_a_refusal_reaches_who_is_still_sending(self, store: StoreProxy) -> None:
        size = 100 << 20
        head = f"PUT /upload/late.bin HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        with Connection(store.port) as client:
            client.send(head.encode())
            # All of it, before the answer is looked at.
            for _ in range(100):
                client.send(bytes(1 << 20))
            assert client.read_reply().status == 401


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    """At most a mebibyte in a file, three in all, pictures and text."""
    directory = tmp_path_factory.mktemp("proxy")
    root = tmp_path_factory.mktemp("media")
    limits = {
        "APRP_MAX_UPLOAD_SIZE": "1M",
        "APRP_STORE_QUOTA": "3M",
        "APRP_ALLOWED_TYPES": "image/*,text/plain",
        "APRP_FILES_PREFIX": "/_store",
    }
    with StoreProxy(directory, root, cache=False, **limits) as started:
        yield started


class TestLimits:
    @pytest.fixture(autouse=True)
    def emptied(self, strict: StoreProxy) -> Iterator[None]:
        yield
        wait_until(lambda: strict.left_behind() == [], "nothing is left behind")
        for name in strict.names():
            (strict.root / name).unlink()

    def put(self, strict: StoreProxy, name: str, body: bytes, *lines: str) -> int:
        return strict.request("PUT", f"/_store/upload/{name}", body, *lines).status

    def test_too_large_is_refused_before_it_comes(self, strict: StoreProxy) -> None:
        for target, *lines in (
            ("PUT /_store/upload/a.txt",),
            ("POST /_store/upload", "Content-Type: multipart/form-data; boundary=b"),
        ):
            length = f"Content-Length: {5 << 20}"
            head = (f"{target} HTTP/1.1", "Host: x", AUTHORIZED, length, *lines, "", "")
            with Connection(strict.port) as client:
                client.send("\r\n".join(head).encode())
                assert client.read_reply().status == 413

    def test_too_large_is_noticed_as_it_comes(self, strict: StoreProxy) -> None:
        body = b"100001\r\n" + b"x" * 0x100001 + b"\r\n0\r\n\r\n"
        assert self.put(strict, "a.txt", body, "Transfer-Encoding: chunked") == 413
        line, body = form(b"x" * 0x100001, "a.txt")
        assert strict.request("POST", "/_store/upload", body, line).status == 413
        assert strict.names() == []

    def test_types(self, strict: StoreProxy) -> None:
        png = b"\x89PNG\r\n\x1a\n" + bytes(500)
        assert self.put(strict, "a.png", png) == 201
        assert self.put(strict, "a.html", b"<p>") == 415
        assert self.put(strict, "b.png", b"<html><script>alert(1)</script>") == 415
        assert self.put(strict, "b.txt", b"\x7fELF\0\0") == 415
        line, body = form(b"<html>", "c.png")
        assert strict.request("POST", "/_store/upload", body, line).status == 415
        assert strict.names() == ["a.png"]

    def test_quota(self, strict: StoreProxy) -> None:
        mib = b"x" * (1 << 20)
        for number in range(3):
            assert self.put(strict, f"{number}.txt", mib) == 201
        assert self.put(strict, "3.txt", b"x") == 507
        line, body = form(b"x", "3.txt")
        assert strict.request("POST", "/_store/upload", body, line).status == 507
        assert (
            self.put(strict, "3.txt", b"1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked") == 507
        )
        assert self.put(strict, "3.txt", b"x", "Content-Range: bytes 0-0/2") == 507
        assert strict.request("DELETE", "/_store/files/0.txt").status == 204
        assert self.put(strict, "3.txt", mib) == 201

    def test_uploads_at_once_stay_below_the_quota(self, strict: StoreProxy) -> None:
        body = b"x" * 700_000
        with ThreadPoolExecutor(12) as pool:
            sent = [pool.submit(self.put, strict, f"{n}.txt", body) for n in range(12)]
        statuses = sorted(each.result() for each in sent)
        assert statuses == [201] * 4 + [507] * 8

    def test_paths_without_the_prefix_are_the_origins(self, strict: StoreProxy) -> None:
        assert strict.request("GET", "/files").status == 404
        assert strict.request("PUT", "/upload/x.txt", b"x").status == 405


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    directory = tmp_path_factory.mktemp("proxy")
    root = tmp_path_factory.mktemp("small") / "disk"
    root.mkdir()
    mount = run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", root)
    if mount.returncode:
        pytest.skip(f"this machine lets nobody mount: {mount.stderr.decode().strip()}")
    try:
        with StoreProxy(directory, root) as started:
            yield started
    finally:
        assert run("umount", "-l", root).returncode == 0


class TestFullDisk:
    def test_it_is_told_at_once(self, small: StoreProxy) -> None:
        for lines in ((), (f"Content-Range: bytes 0-{(5 << 20) - 1}/{5 << 20}",)):
            with unfinished(small, "/upload/a.bin", 5 << 20, *lines) as client:
                assert client.read_reply().status == 507
        assert (small.names(), small.left_behind()) == ([], [])

    def test_it_is_noticed_as_it_comes(self, small: StoreProxy) -> None:
        body = b"300000\r\n" + bytes(3 << 20) + b"\r\n0\r\n\r\n"
        assert small.put("a.bin", body, "Transfer-Encoding: chunked").status == 507
        # What others write has filled it up meanwhile.
        parts = f"Content-Range: bytes 0-{(1 << 20) - 1}/{1 << 20}"
        with unfinished(small, "/upload/a.bin", 1 << 20, parts) as client:
            client.send(bytes(1000))
            wait_until(lambda: len(small.left_behind()) == 1, "it has begun")
            (small.root / "rest").write_bytes(bytes((2 << 20) - (64 << 10)))
            client.send(bytes((1 << 20) - 1000))
            assert client.read_reply().status == 507
        (small.root / "rest").unlink()
        assert (small.names(), small.left_behind()) == ([], [])
        assert small.put("a.bin", bytes(1 << 20)).status == 201


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    """As in development: for programs and pages of this machine."""
    directory = tmp_path_factory.mktemp("proxy")
    root = tmp_path_factory.mktemp("media")
    environ = {"APRP_UPLOAD_TOKEN": "", "APRP_DEBUG": "on", "APRP_CORS_ORIGINS": "*"}
    with StoreProxy(directory, root, cache=False, **environ) as started:
        yield started


class TestWithoutToken:
    def test_programs_and_own_pages(self, desk: StoreProxy) -> None:
        own = f"Origin: http://127.0.0.1:{desk.port}"
        assert desk.put("a.bin", b"x").status == 201
        assert desk.put("b.bin", b"x", own).status == 201
        assert desk.put("c.bin", b"x", own, "Sec-Fetch-Site: same-origin").status == 201
        assert desk.request("GET", "/files", None).status == 200

    @pytest.mark.parametrize(
        "lines",
        [
            ("Origin: http://evil.example",),
            ("Origin: null",),
            ("Origin: http://127.0.0.1:1",),
            ("Sec-Fetch-Site: cross-site",),
            ("Sec-Fetch-Site: same-site",),
            ("X-Forwarded-For: 203.0.113.7",),
        ],
    )
    def test_pages_of_others(self, desk: StoreProxy, lines: tuple[str, ...]) -> None:
        line, body = form(b"x", "evil.bin")
        reply = desk.request("POST", "/upload", body, line, *lines)
        assert reply.status == 403
        assert reply.all("Access-Control-Allow-Origin") == []
        assert desk.request("GET", "/files", None, *lines).status == 403
        assert desk.request("DELETE", "/files/a.bin", None, *lines).status == 403
        assert "evil.bin" not in desk.names()

    def test_a_name_that_was_made_to_lead_here(self, desk: StoreProxy) -> None:
        page = "Origin: http://evil.example"
        reply = desk.request("GET", "/files", None, page, host="evil.example")
        assert reply.status == 403


def test_where_uploads_are_off_the_paths_are_the_origins(proxy: Proxy) -> None:
    for path in ("/files", "/upload/x", "/download/x"):
        assert proxy.get(path).status == 404


def test_uploads_without_a_token_and_without_debug(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("media")
    (root / "files").write_bytes(b"the origin's own")
    environ = {"APRP_UPLOAD_TOKEN": "", "APRP_HOME_PAGE": "on"}
    with StoreProxy(tmp_path_factory.mktemp("proxy"), root, cache=False, **environ) as off:
        warning = "UPLOADS is on and has no effect: UPLOAD_TOKEN is not set, and DEBUG is off"
        lines = [json.loads(line) for line in off.log().splitlines()]
        assert [line["level"] for line in lines if line["message"] == warning] == ["WARNING"]
        assert off.get("/files").body == b"the origin's own"
        # The embedded origin takes GET and HEAD alone.
        assert off.put("x.bin", b"x").status == 405
        line, body = form(b"x", "x.bin")
        assert off.request("POST", "/upload", body, line).status == 405
        assert off.request("DELETE", "/files/files").status == 405
        assert off.get("/download/files").status == 404
        assert b'id="upload"' not in off.get("/", Accept="text/html").body
        assert off.names() == ["files"] and off.left_behind() == []


def test_without_a_token_the_paths_of_another_origin_are_not_hidden(
    origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # On a desk, too: without an embedded origin there is nothing that plays what is uploaded.
    path = origin.plays(serves(FILM), "files")
    flags = ("--upstream", origin.url + path.removesuffix("/files"))
    media_dir = str(tmp_path_factory.mktemp("media"))
    environ = {"APRP_UPLOADS": "on", "APRP_DEBUG": "on", "APRP_MEDIA_DIR": media_dir}
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=False, **environ) as proxy:
        assert proxy.get("/files").body == FILM
    assert [request.method for request in origin.asked(path)] == ["GET"]
