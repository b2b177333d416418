"""The load generator as the run sees it: a process that is told when to go on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks import BenchError
from benchmarks.peers import ROOT
from benchmarks.processes import pinned
from benchmarks.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Answered:
    """What the load generator has done: requests, body bytes received, seconds by the clock."""

    requests: int
    bytes: int
    seconds: float


class Load:
    """A context manager around `python -m benchmarks.load`, whose docstring is its dialogue.

    Uploads are the work of `python -m benchmarks.upload`, which is spoken with in the same way.

    Entering waits until its connections are warm; every method raises BenchError with its reason
    where it found a wrong answer.
    """

    def __init__(
        self,
        scenario: Scenario,
        count: int,
        *,
        file: Path,
        port: int,
        core: int,
        seed: int,
    ) -> None:
        """Ask a proxy at `port` for `count` ranges of `file`; it runs on `core`."""
        self.core = core
        uploads = scenario.kind == "upload"
        module = "benchmarks.upload" if uploads else "benchmarks.load"
        self.command = [
            *(sys.executable, "-m", module, "--port", str(port)),
            *("--path", f"/{file.name}", "--file", str(file), "--size", str(scenario.size)),
            *("--count", str(count), "--warmup", str(scenario.warmup)),
        ]
        if not uploads:
            self.command += ["--connections", str(scenario.connections), "--seed", str(seed)]
        if scenario.kind == "miss":
            self.command += ["--new-objects"]

    def __enter__(self) -> Load:
        """Start it and wait for the end of its warm-up."""
        with pinned(self.core):
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
        try:
            line = self._line()
            if line != "ready\n":
                raise BenchError(f"the load generator said {line!r} instead of ready")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; it has nothing to lose."""
        self.process.kill()
        with self.process:  # closes the pipes and waits
            pass

    def _line(self) -> str:
        assert self.process.stdout is not None
        # It ends by itself when its deadline passes: no line waits for ever.
        line = self.process.stdout.readline()
        if not line:
            raise BenchError("the load generator ended without a word")
        if line.startswith('{"error"'):
            raise BenchError(str(json.loads(line)["error"]))
        return line

    def go_on(self) -> Answered:
        """Have the next part of its work done."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return Answered(**json.loads(self._line()))
