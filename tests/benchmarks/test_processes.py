"""Processes of a run: started, measured, and gone afterwards."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import BenchError
from benchmarks.facts import aprp_version, cpu_model, file_system
from benchmarks.processes import Server, cpu_between, cpu_seconds, family, free_port, start_tick

# Listens on argv[1]; a child of it outlives SIGTERM. Both end when they are killed.
LISTENER = """
import signal, socket, subprocess, sys
child = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); "
         "print('up', flush=True); signal.pause()"]
process = subprocess.Popen(child, stdout=subprocess.PIPE)
process.stdout.readline()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()
"""


def test_a_family_is_a_process_with_all_its_descendants() -> None:
    parent_of = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert family(10, parent_of) == [10, 11, 12]
    assert family(21, parent_of) == [21]


def test_cpu_time_between_two_readings() -> None:
    assert cpu_between({1: 1.0, 2: 0.5}, {1: 1.25, 2: 0.75}) == pytest.approx(0.5)


def test_a_process_that_came_or_went_spoils_the_measurement() -> None:
    with pytest.raises(BenchError, match="processes changed"):
        cpu_between({1: 1.0, 2: 1.0}, {1: 1.0, 3: 0.0})


def test_the_cpu_clock_of_another_process_counts_what_it_burns() -> None:
    burn = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.05: pass\n"
    script = f"{burn}print('burnt', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.05 <= cpu_seconds(process.pid) < 5
        process.communicate(b"\n")


def test_a_server_and_its_children_are_gone_afterwards(tmp_path: Path) -> None:
    own_cores = os.sched_getaffinity(0)
    port, core = free_port(), min(own_cores)
    command = [sys.executable, "-c", LISTENER, str(port)]
    with Server("listener", command, port, core, tmp_path / "log") as server:
        pids = server.pids()
        assert len(pids) == 2
        assert all(os.sched_getaffinity(pid) == {core} for pid in pids)
        assert sum(server.cpu().values()) > 0
    assert os.sched_getaffinity(0) == own_cores
    # The kernel delivers SIGKILL in its own time: the pidfd becomes readable when it has.
    assert [pid for pid in pids if alive(pid)] == []


def test_processes_that_stand_aside_are_not_counted(tmp_path: Path) -> None:
    port, core = free_port(), min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", LISTENER, str(port)]
    with Server("x", command, port, core, tmp_path / "log", aside=str(port)) as server:
        assert len(server.pids()) == 2
        assert server.process is not None
        child = next(pid for pid in server.pids() if pid != server.process.pid)
        assert list(server.cpu()) == [child]


def alive(pid: int) -> bool:
    """Whether a process still lives after what time it needs to die."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        ended, _, _ = select.select([handle], [], [], 5)
        return not ended and start_tick(pid) is not None
    finally:
        os.close(handle)


def test_a_server_that_ends_at_its_start_is_quoted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('the reason')"]
    core = min(os.sched_getaffinity(0))
    server = Server("broken", command, free_port(), core, tmp_path / "log")
    with pytest.raises(BenchError, match="broken ended at its start, status 1: the reason"):
        server.__enter__()
    assert server.process is None


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    server = Server("absent", ["/nonexistent/x"], free_port(), core, tmp_path / "log")
    with pytest.raises(BenchError, match="absent cannot be started"):
        server.__enter__()


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", "unknown"),
    ],
)
def test_the_cpu_model(text: str, model: str) -> None:
    assert cpu_model(text) == model


def test_the_version_is_read_from_the_source() -> None:
    assert aprp_version('"""x"""\n__version__ = "1.2.3"\n') == "1.2.3"
    assert aprp_version("") == "unknown"


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw - tmpfs tmpfs rw
31 22 8:1 / /my\\040disk rw shared:2 master:1 - xfs /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/tmp", "ext4"),
        ("/dev/shm", "tmpfs"),
        ("/dev/shm/a/b", "tmpfs"),
        ("/dev/shmoo", "ext4"),
        ("/my disk/cache", "xfs"),
    ],
)
def test_the_file_system_below_a_path(path: str, kind: str) -> None:
    assert file_system(MOUNTS, Path(path)) == kind
