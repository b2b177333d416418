"""A real redis-server of the tests' own, on a free port; it keeps nothing on the disk."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError

from tests.e2e.programs import Program, require, state, wait_until
from tests.peers import closed_port


class RedisServer:
    """A Redis that can be killed, started again, and made to stand still; always at one port."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = options
        self.password = ""
        if "--requirepass" in options:
            self.password = options[options.index("--requirepass") + 1]
        self._program: Program | None = None
        self.port = 0
        # Another program may take the port before Redis does.
        for _ in range(5):
            self.port = free_port()
            if self._launch():
                break
        assert self._program is not None, "redis-server does not start"
        self.client: Redis = Redis(
            port=self.port, password=self.password or None, decode_responses=True
        )

    @property
    def url(self) -> str:
        """What REDIS_URL is for it."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}"

    def _launch(self) -> bool:
        binary = require("redis-server")
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory))
        nothing = ("--save", "", "--appendonly", "no")
        program = Program(binary, *where, *nothing, *self._options)
        line = program.wait_line(r"Ready to accept connections|Failed listening|Could not create")
        if "Ready" not in line[0]:
            program.stop()
            return False
        self._program = program
        return True

    def start(self) -> None:
        """Start it again, empty."""
        assert self._launch(), "the port is taken"

    def kill(self) -> None:
        """Kill it: all that it holds is gone."""
        assert self._program is not None
        self._program.signal(signal.SIGKILL)
        self._program.stop()
        self._program = None

    def hang(self) -> None:
        """Make it stand still: it accepts connections and says nothing."""
        assert self._program is not None
        pid = self._program.pid
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state(pid) == "T", "Redis stands still")

    def go_on(self) -> None:
        """Let it go on; what was sent to it meanwhile is done now."""
        assert self._program is not None
        self._program.signal(signal.SIGCONT)

    def told(self, command: str, *arguments: Any) -> Any:
        """Have it do a command, and give its answer."""
        # The package gives it no types.
        execute: Callable[..., Any] = self.client.execute_command
        return execute(command, *arguments)

    def close(self) -> None:
        """Stop it."""
        self.client.close()
        if self._program is not None:
            self.go_on()
            self._program.stop()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    # A node of a cluster takes the port 10,000 above its own, too.
    while True:
        port = closed_port()
        if port < 55000:
            return port


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """Run a Redis with options of its own; it is stopped at the end of the block."""
    server = RedisServer(directory, *options)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def redis_cluster(directory: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a cluster of two nodes, each with half of the slots."""
    options = ("--cluster-enabled", "yes", "--cluster-config-file")
    with (
        redis_server(directory, *options, "one.conf") as one,
        redis_server(directory, *options, "two.conf") as two,
    ):
        one.told("CLUSTER ADDSLOTSRANGE", 0, 8191)
        two.told("CLUSTER ADDSLOTSRANGE", 8192, 16383)
        # Otherwise they would have to agree on which of them is younger.
        two.told("CLUSTER SET-CONFIG-EPOCH", 2)
        one.told("CLUSTER MEET", "127.0.0.1", two.port)
        wait_until(lambda: all(map(_is_whole, (one, two))), "the cluster is whole")
        yield one, two


def _is_whole(node: RedisServer) -> bool:
    try:
        # The client makes a dict of it.
        told = node.told("CLUSTER INFO")
    except (NoConnection, RedisError):
        return False
    return bool(told["cluster_state"] == "ok" and told["cluster_known_nodes"] == "2")
