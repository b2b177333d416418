"""Watching a real directory: what is told, and what is not."""

import itertools
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from aprp.dev.selection import Selection
from aprp.dev.settling import QUIET
from aprp.dev.watching import FilesWatcher, WatchError, _words
from tests.e2e.programs import wait_until

PATIENCE = 10.0
Start = Callable[..., "Told"]


class Told:
    """What a watcher tells."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
        self._count = 0

    def changed(self, paths: Sequence[str]) -> None:
        self._told.put(paths)

    def next(self) -> Sequence[str]:
        """What is told next."""
        return self._told.get(timeout=PATIENCE)

    def heard(self, path: str) -> bool:
        """Whether a change of a file is told of within a moment."""
        try:
            return path in self._told.get(timeout=0.2)
        except queue.Empty:
            return False

    def until_now(self) -> set[str]:
        """All that was told of what has happened so far."""
        # A file that is seen last: changes are told in order.
        self._count += 1
        last = f"last-{self._count}"
        (self._root / last).write_text("")
        told: set[str] = set()
        while last not in told:
            told |= set(self._told.get(timeout=PATIENCE))
        return {path for path in told if not path.startswith("last-")}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a watcher of `tmp_path`."""
    started: list[FilesWatcher] = []

    def begin(excludes: Sequence[str] = (), default_ignores: bool = True) -> Told:
        selection = Selection(tmp_path, [], excludes, default_ignores)
        told = Told(tmp_path)
        watcher = FilesWatcher(selection, told.changed, pytest.fail)
        watcher.start()
        started.append(watcher)
        return told

    yield begin
    for watcher in started:
        watcher.stop()


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_files_of_all_kinds_of_change(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "deep/c", "deep/d")
    told = start()
    write(tmp_path, "a", "new")
    (tmp_path / "b").unlink()
    (tmp_path / "deep/c").rename(tmp_path / "deep/moved")
    assert told.until_now() == {"a", "b", "new", "deep/c", "deep/moved"}
    (tmp_path / "deep/d").read_text()
    assert told.until_now() == set()


def test_new_directories_are_watched(start: Start, tmp_path: Path) -> None:
    told = start()
    write(tmp_path, "x/y/a")
    assert "x/y/a" in told.until_now()
    write(tmp_path, "x/y/b")
    assert told.until_now() == {"x/y/b"}
    (tmp_path / "x/y/z").mkdir()
    assert told.until_now() == set()
    write(tmp_path, "x/y/z/c")
    assert told.until_now() == {"x/y/z/c"}


def test_directories_that_move(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "one/deep/a")
    told = start()
    (tmp_path / "one").rename(tmp_path / "two")
    assert "two/deep/a" in told.until_now()
    write(tmp_path, "two/deep/a")
    assert "two/deep/a" in told.until_now()
    shutil.rmtree(tmp_path / "two")
    assert "two/deep/a" in told.until_now()
    write(tmp_path, "two/deep/a")
    assert "two/deep/a" in told.until_now()


def test_many_new_directories_at_once(start: Start, tmp_path: Path) -> None:
    told = start()
    names = [f"d{number % 20}/e{number}/f" for number in range(100)]
    write(tmp_path, *names)
    # A directory that is found to be new is told by one file of it, and watched from then on. That
    # is not in order: who watched before may still have something to tell of.
    for _ in range(10):
        told.until_now()
        write(tmp_path, *names)
        if told.until_now() >= set(names):
            return
    pytest.fail("some directories are not watched")


def test_ignored_directories_are_not_entered(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("node_modules/\n")
    write(tmp_path, "node_modules/a/b.js", "web/node_modules/x.js", "out/a", "src/a")
    selection = Selection(tmp_path, [], ["out"], True)
    assert sorted(directory for directory, _ in selection.walk()) == ["", "src", "web"]
    told = start(["out"])
    write(tmp_path, "node_modules/a/b.js", "web/node_modules/x.js", "out/a", ".git/x", "src/a")
    assert told.until_now() == {"src/a"}


def test_what_is_no_longer_ignored_is_watched(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("gen/\n")
    write(tmp_path, "gen/deep/a")
    told = start()
    (tmp_path / ".gitignore").write_text("")
    told.until_now()
    write(tmp_path, "gen/deep/a")
    assert told.until_now() == {"gen/deep/a"}


def test_links_to_directories_are_not_followed(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "real/a")
    (tmp_path / "loop").symlink_to(tmp_path)
    told = start()
    write(tmp_path, "real/a")
    assert told.until_now() == {"real/a"}


def test_a_file_that_a_link_stands_for_is_told_by_its_own_name(
    start: Start, tmp_path: Path
) -> None:
    told = start()
    (tmp_path / "link").symlink_to("/dev/null")
    assert told.until_now() == {"link"}


def test_names_that_are_not_utf8_do_not_end_it(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    write(odd, "deep/a")
    told, troubles = Told(tmp_path), queue.SimpleQueue[str]()
    watcher = FilesWatcher(Selection(tmp_path, [], [], True), told.changed, troubles.put)
    watcher.start()
    try:
        write(tmp_path, "a", "new/b")
        assert {"a", "new/b"} <= told.until_now()
        # Whoever looks into it, too, makes it be told of.
        list(odd.iterdir())
        assert str(troubles.get(timeout=PATIENCE)).endswith(r'/odd\xFF"')
        # What happens in the same moment may not be heard of, what comes later is.
        last = tmp_path / "later"
        wait_until(lambda: last.write_text("x") and told.heard("later"), "a later change is told")
        assert troubles.empty()
    finally:
        watcher.stop()


def test_a_root_whose_name_is_not_utf8(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.mkdir()
    watcher = FilesWatcher(Selection(odd, [], [], True), lambda paths: None, pytest.fail)
    with pytest.raises(WatchError, match="name is not UTF-8"):
        watcher.start()


def test_changes_that_go_on_are_told_of_before_a_start_is_due(start: Start, tmp_path: Path) -> None:
    told = start()
    times: list[float] = []
    ended = threading.Event()

    def change() -> None:
        for number in itertools.count():
            (tmp_path / f"file-{number % 100}").write_text("x")
            if ended.wait(0.001):
                return

    writing = threading.Thread(target=change)
    writing.start()
    try:
        while len(times) < 12:
            told.next()
            times.append(time.monotonic())
    finally:
        ended.set()
        writing.join()
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    # Half of them: other programs may take the processor meanwhile.
    assert gaps[len(gaps) // 2] < QUIET


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    watcher = FilesWatcher(Selection(gone, [], [], True), lambda paths: None, pytest.fail)
    with pytest.raises(WatchError, match="cannot be read"):
        watcher.start()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # As the package words them, on Linux.
        ('OS file watch limit reached. about ["/x"] (Error { .. })', "max_user_watches=1048576"),
        ("Error creating recommended watcher: Too many open files (os error 24)", "max_user_inst"),
        ("something else", "something else"),
    ],
)
def test_a_limit_of_the_system_says_what_to_do(text: str, says: str) -> None:
    told = _words(OSError(text))
    assert says in told
    assert "\n" not in told


def test_a_directory_that_is_made_anew_again_and_again(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "gen/deep/a")
    told = start()
    for _ in range(5):
        shutil.rmtree(tmp_path / "gen")
        write(tmp_path, "gen/deep/a")
        told.until_now()
        write(tmp_path, "gen/deep/a")
        assert "gen/deep/a" in told.until_now()
