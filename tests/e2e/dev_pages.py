"""A server of web pages that is being developed: the files of its working directory.

`dev_pages.py PORT`; as `python -m http.server`, with answers of HTTP/1.1, and besides:

GET /strict/page.html   with a policy that lets nothing but the page's own run, by a nonce: NONCE
                        in the file becomes it
GET /packed/page.html   as gzip, with a strong ETag of the bytes that are sent
GET /slow               begins, and ends when there is a file `go`
"""

import gzip
import hashlib
import secrets
import sys
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/strict/"):
            nonce = secrets.token_urlsafe(12)
            body = self.file("/strict/").replace(b"NONCE", nonce.encode())
            self.answer(body, ("Content-Security-Policy", POLICY.format(nonce=nonce)))
        elif self.path.startswith("/packed/"):
            self.packed()
        elif self.path == "/slow":
            self.slow()
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.path.startswith("/packed/"):
            self.packed()
        else:
            super().do_HEAD()

    def file(self, prefix: str) -> bytes:
        return Path(self.path.removeprefix(prefix)).read_bytes()

    def packed(self) -> None:
        body = gzip.compress(self.file("/packed/"), mtime=0)
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        # Any form of the tag matches (RFC 9110 section 13.1.2).
        if tag in self.headers.get("If-None-Match", ""):
            self.send_response(304)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        assert "br" not in self.headers.get("Accept-Encoding", "")
        self.answer(body, ("Content-Encoding", "gzip"), ("ETag", tag), ("Accept-Ranges", "bytes"))

    def answer(self, body: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (("Content-Type", "text/html; charset=utf-8"), *fields):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>slow</title><p>one")
        while not Path("go").exists():
            time.sleep(0.01)
        self.wfile.write(b"<p>two")


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
