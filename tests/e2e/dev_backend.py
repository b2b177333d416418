"""A server that is being developed: quick to start, and does what its files say.

`dev_backend.py PORT [what it does at its start]...`; runs in a directory with a file `version`.
Started as `python -I -S`, so only modules that import quickly are used.

GET /          the text that `version` had at the start, and this process's id
GET /head      the request's head as it came
GET /chunks    a chunked answer without end;  /rest: one that ends with the connection, without end
GET /late      answers when a file `go` is there
POST /note     adds a line to `notes.log`, and never answers
"""

import os
import signal
import socket
import sys
import threading
import time


def main() -> None:
    port, *todo = sys.argv[1:]
    for each in todo:
        prepare(each)
    with open("version") as file:  # noqa: PTH123
        version = file.read()
    if version.startswith("crash"):
        print("\033[31mTraceback\033[0m: <b>no & go</b>", file=sys.stderr, flush=True)
        sys.exit(3)
    if version.startswith("abort"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if version.startswith("never"):
        print("sleeping", flush=True)
        time.sleep(600)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(port)))
    listening.listen(64)
    print(f"serving {version} as {os.getpid()}", flush=True)
    while True:
        sock, _ = listening.accept()
        threading.Thread(target=serve, args=(sock, version), daemon=True).start()


def prepare(what: str) -> None:
    name, _, value = what.partition("=")
    if name == "sleep":
        time.sleep(float(value))
    elif name == "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif name == "say-goodbye":
        signal.signal(signal.SIGTERM, lambda *_: (print("goodbye", flush=True), os._exit(0)))
    elif name == "print":
        line = b"x" * 999 + b"\n"
        for _ in range(int(value) // len(line)):
            os.write(1, line)
        print("all printed", flush=True)
    elif name == "fork":
        fork(away=False)
    elif name == "fork-away":
        fork(away=True)
    else:
        raise SystemExit(f"what is {what}?")


def fork(away: bool) -> None:
    """Leave a child behind that lives on, `away` in a session of its own."""
    if os.fork() == 0:
        if away:
            os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


def serve(sock: socket.socket, version: str) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(65536)
        if not data:
            return
        head += data
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
    chunked = "Content-Type: text/plain\r\nTransfer-Encoding: chunked"
    if path == "/chunks":
        send_for_ever(sock, chunked, b"5\r\nhello\r\n")
    elif path == "/rest":
        send_for_ever(sock, "Content-Type: text/plain", b"hello")
    elif path == "/note":
        with open("notes.log", "a") as file:  # noqa: PTH123
            file.write("noted\n")
        time.sleep(600)
    elif path == "/exit":
        os._exit(4)
    elif path == "/late":
        while not os.path.exists("go"):  # noqa: PTH110
            time.sleep(0.01)
        answer(sock, b"late")
    elif path.startswith("/head"):
        answer(sock, head)
    else:
        answer(sock, b"" if method == "HEAD" else f"{version} {os.getpid()} {path}".encode())


def answer(sock: socket.socket, body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    sock.close()


def send_for_ever(sock: socket.socket, fields: str, piece: bytes) -> None:
    try:
        sock.sendall(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode())
        while True:
            sock.sendall(piece)
            time.sleep(0.02)
    except OSError:
        sock.close()


main()
