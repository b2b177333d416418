"""Configurations of nginx: as the origin of every run, and as one of the proxies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

# What an operator sets who knows that media is served: fewer and larger reads and writes.
LARGE_BUFFERS = (
    "proxy_buffers 8 256k;",
    "proxy_buffer_size 16k;",
    "proxy_busy_buffers_size 512k;",
    "client_body_buffer_size 256k;",
)

# The same for a proxy that writes to a cache: of the sizes tried, these cost least.
CACHE_BUFFERS = (
    "proxy_buffers 16 64k;",
    "proxy_buffer_size 16k;",
    "proxy_busy_buffers_size 128k;",
    "proxy_temp_file_write_size 512k;",
)

ORIGIN_LOG = "bytes.log"
CACHE_SLICE = 1 << 20

_KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _shell(directory: Path, http: Iterable[str]) -> str:
    """A whole configuration for one worker in the foreground that writes only below `directory`."""
    # Started by root, nginx gives its workers another user, who cannot enter a private directory.
    user = ["user root;"] if os.geteuid() == 0 else []
    lines = [
        *user,
        "daemon off;",
        "worker_processes 1;",
        f"pid {directory}/nginx.pid;",
        f"error_log {directory}/error.log warn;",
        "events { worker_connections 1024; }",
        "http {",
        "types { video/mp4 mp4; }",
        *(f"{kind}_temp_path {directory}/{kind};" for kind in _KINDS),
        "keepalive_requests 100000000;",
        "keepalive_timeout 75s;",
        "tcp_nodelay on;",
        *http,
        "}",
    ]
    return "\n".join(lines) + "\n"


def origin_config(directory: Path, port: int, root: Path) -> str:
    """The origin: files below `root` by sendfile; its log holds the body bytes of each answer."""
    return _shell(
        directory,
        [
            "log_format bytes $body_bytes_sent;",
            f"access_log {directory}/{ORIGIN_LOG} bytes;",
            # No tcp_nopush: with loopback's segments of 64 KiB it holds the end of such an answer
            # back until the receiver's delayed ACK, 40 ms later.
            "sendfile on;",
            f"server {{ listen 127.0.0.1:{port} backlog=1024; root {root};",
            # Without it caches would have to guess for how long they may keep a file so young.
            "add_header Cache-Control max-age=86400; }",
        ],
    )


def cache_lines() -> list[str]:
    """What makes the proxy keep slices of 1 MiB: lines for its location."""
    return [
        f"slice {CACHE_SLICE};",
        "proxy_cache slices;",
        "proxy_cache_key $uri$is_args$args$slice_range;",
        "proxy_set_header Range $slice_range;",
        "proxy_cache_valid 200 206 1d;",
        *CACHE_BUFFERS,
    ]


def cache_zone(directory: Path) -> list[str]:
    """The cache's place and bounds: lines outside of servers."""
    return [
        # Temporary files in the same place: a slice that is complete is renamed, not copied.
        f"proxy_cache_path {directory} levels=1:2 keys_zone=slices:64m max_size=8g inactive=1d "
        "use_temp_path=off;",
        "sendfile on;",
        # A slice is a file; without this each hit would open it anew.
        "open_file_cache max=20000 inactive=1h;",
    ]


def proxy_config(
    directory: Path,
    port: int,
    origin_port: int,
    more: Iterable[str] = (),
    outside: Iterable[str] = (),
) -> str:
    """A streaming reverse proxy that adds the fields and writes the access line that aprp does.

    `more` are lines for its location, `outside` lines for all of its HTTP part.
    """
    return _shell(
        directory,
        [
            "log_format line '$time_iso8601 $remote_addr $request_method $request_uri $status "
            "$sent_http_content_range $body_bytes_sent $upstream_header_time $request_time "
            "$upstream_addr';",
            f"access_log {directory}/access.log line;",
            *outside,
            f"upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 64; "
            "keepalive_requests 100000000; }",
            "server {",
            f"listen 127.0.0.1:{port} backlog=1024;",
            "location / {",
            "proxy_pass http://origin;",
            "proxy_http_version 1.1;",
            'proxy_set_header Connection "";',
            "proxy_set_header Host $host:$server_port;",
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "proxy_set_header X-Forwarded-Proto $scheme;",
            "proxy_set_header X-Forwarded-Host $host:$server_port;",
            'proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=\\"$http_host\\"";',
            'proxy_set_header Via "1.1 nginx";',
            'add_header Via "1.1 nginx" always;',
            # Spilling to disk would be work that no other proxy here does.
            "proxy_max_temp_file_size 0;",
            # Bodies of requests go on as they come, and may have any size.
            "proxy_request_buffering off;",
            "client_max_body_size 0;",
            *more,
            "}",
            "}",
        ],
    )
