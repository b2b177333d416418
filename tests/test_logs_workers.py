"""100,000 lines by four processes, through many rotations: each line once and whole."""

import collections
import contextlib
import logging
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from aprp.logs.rotation import WorkerRotatingFileHandler
from tests.logfiles import ROOT, record, rotated
from tests.stats.forks import ended, in_worker

WORKERS = 4
LINES = 25_000
PADDING = "x" * 40

WRITER = f"""
import logging, sys
from types import SimpleNamespace
from aprp import logs
path, worker = sys.argv[1:]
logs.configure(SimpleNamespace(LOG_FILE=path, LOG_LEVEL="INFO", LOG_FORMAT="text",
    LOG_MAX_BYTES=400_000, LOG_BACKUP_COUNT=100, LOG_CONSOLE=False, ACCESS_LOG=True))
print("ready", flush=True)
sys.stdin.readline()
for number in range({LINES}):
    logging.getLogger("aprp").info("line %s %d {PADDING}", worker, number)
logs.close()
"""


def check_all_lines(path: Path, limit: int) -> None:
    """Every line once and whole, each worker's in its order, in files within the limit."""
    form = re.compile(rf"\d{{4}}-\S+ \S+ INFO \[(\d+)\] line (\d) (\d+) {PADDING}")
    files = rotated(path)
    assert len(files) > 10, "the test means nothing without many rotations"
    seen: dict[str, list[int]] = collections.defaultdict(list)
    pids = set()
    for file in files:
        assert file.stat().st_size <= limit
        for line in file.read_text().splitlines():
            match = form.fullmatch(line)
            assert match, line
            pids.add(match[1])
            seen[match[2]].append(int(match[3]))
    assert sorted(seen) == [str(worker) for worker in range(WORKERS)]
    assert all(numbers == list(range(LINES)) for numbers in seen.values())
    assert len(pids) == WORKERS


def test_four_programs_write_100000_lines(tmp_path: Path) -> None:
    path = tmp_path / "aprp.log"
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, str(path), str(worker)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for worker in range(WORKERS)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        started = time.monotonic()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        for writer in writers:
            assert writer.communicate(timeout=60)[1] == ""
            assert writer.returncode == 0
    assert time.monotonic() - started < 15
    check_all_lines(path, 400_000)


def test_four_forked_workers_write_100000_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "aprp.log"
    handler = WorkerRotatingFileHandler(path, max_bytes=400_000, backup_count=100)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s", "%Y-%m-%d %T")
    )
    ready, go = os.pipe()

    def work(worker: int) -> None:
        os.close(go)
        os.read(ready, 1)  # the end of the pipe, when the parent lets all go at once
        for number in range(LINES):
            handler.handle(record(f"line {worker} {number} {PADDING}"))

    children = [in_worker(partial(work, worker)) for worker in range(WORKERS)]
    started = time.monotonic()
    os.close(go)
    assert [ended(child) for child in children] == [0] * 4
    os.close(ready)
    handler.close()
    assert time.monotonic() - started < 15
    check_all_lines(path, 400_000)
