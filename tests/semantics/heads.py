"""Heads of requests, in pieces."""

LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
START = LINE + HOST


def head_lines(*texts: bytes) -> bytes:
    """Each of them as a line of a head."""
    return b"".join(text + b"\r\n" for text in texts)
