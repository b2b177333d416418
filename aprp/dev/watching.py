"""Watching the working directory, with the package watchfiles: inotify, FSEvents and the like."""

import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

# The package documents this class for direct use ("Rust backend"). Its `watch` neither says when it
# has begun, nor can it watch some directories of a tree and not others.
from watchfiles import Change
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from aprp.dev.patterns import parents
from aprp.dev.selection import Selection

# Changes that come closer together than this are told of at once, in milliseconds: the first one
# is not to wait, and each turn of the thread costs something.
_STEP: Final = 10
# All that come within this are told of at once, in milliseconds. A start waits until nothing is
# told of for `settling.QUIET`: changes that go on have to be told of more often than that.
_MOST_TOGETHER: Final = 10

_POLLING: Final = "WATCHFILES_FORCE_POLLING"
_POLL_EVERY: Final = 300
# Changes may be on their way to who watched before, longer on a busy machine: he is listened to for
# so long, in seconds, and each so many milliseconds. The system has few of them for a user.
_RETIRED_FOR: Final = 1.0
_LOOK_AT_RETIRED: Final = 50
_MOST_RETIRED: Final = 16

# So often the tree is walked through where it changes meanwhile.
_ATTEMPTS: Final = 10

# What the package says when something happens to a name that is not UTF-8, be it only that it is
# read; from then on it says nothing else.
_find_odd_name: Final = re.compile(r"Unable to decode path (.*) to string", re.DOTALL).search

_LIMIT: Final = Path("/proc/sys/fs/inotify/max_user_watches")
_INSTANCES: Final = Path("/proc/sys/fs/inotify/max_user_instances")


class WatchError(Exception):
    """Files cannot be watched; the message is one line and says what to do."""


class Watcher(Protocol):
    """Tells of changed files."""

    def start(self) -> None:
        """Begin, and return when every change from now on will be told; blocks. Raises WatchError.

        The callbacks are called in a thread of the watcher's.
        """

    def stop(self) -> None:
        """Tell nothing more."""


Changes = Callable[[Sequence[str]], None]
Trouble = Callable[[str], None]


class FilesWatcher:
    """Watches with watchfiles.

    `changed` is called with the relative paths that matter, `trouble` with a line where watching
    ends by itself, or not all is watched.

    Each directory is watched by itself, those that are ignored are not: watchfiles would watch the
    whole tree, and leave out all that comes after a directory that it may not read.
    """

    def __init__(self, selection: Selection, changed: Changes, trouble: Trouble) -> None:
        """Nothing is watched yet."""
        self._selection = selection
        self._root = f"{selection.root}/"
        self._changed = changed
        self._trouble = trouble
        self._stopping = threading.Event()
        self._notify: RustNotify | None = None
        self._directories: set[str] = set()
        self._told_of_odd_names = False
        # What was watched with before, until when.
        self._retired: list[tuple[RustNotify, float]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See `Watcher.start`."""
        self._look_around()
        self._thread = threading.Thread(target=self._watch, name="watch")
        self._thread.start()

    def stop(self) -> None:
        """See `Watcher.stop`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _look_around(self, new: Collection[str] = ()) -> None:
        """Watch `new` directories and all in them as well; none: look for all that are there.

        Raises WatchError.
        """
        before, tops = self._notify, new or ("",)
        known = self._directories if new else set()
        for attempt in range(1, _ATTEMPTS + 1):
            directories = known | self._below(tops)
            if not directories:
                raise WatchError(f"the working directory {self._selection.root} cannot be read")
            try:
                self._notify = self._make_notify(directories)
            except (FileNotFoundError, PermissionError) as error:
                # One that was there a moment ago.
                if attempt == _ATTEMPTS:
                    raise WatchError(_words(error)) from None
                known, tops = set(), ("",)
                continue
            except (OSError, WatchfilesRustInternalError) as error:
                raise WatchError(_words(error)) from None
            except UnicodeEncodeError:
                root = ascii(str(self._selection.root))
                raise WatchError(f"the working directory's name is not UTF-8: {root}") from None
            self._directories = directories
            # What was made in a new one before that was watched is told of by nobody.
            if attempt == _ATTEMPTS or self._below(tops) <= directories:
                break
            self._notify.close()
        if before is not None:
            self._retired.append((before, time.monotonic() + _RETIRED_FOR))
            for notify, _ in self._retired[:-_MOST_RETIRED]:
                notify.close()
            del self._retired[:-_MOST_RETIRED]

    def _below(self, tops: Collection[str]) -> set[str]:
        return {directory for top in tops for directory, _ in self._selection.walk(top)}

    def _make_notify(self, directories: Collection[str]) -> RustNotify:
        polling = os.environ.get(_POLLING, "").lower() not in ("", "false", "disable", "disabled")
        paths = [self._root + directory for directory in directories]
        return RustNotify(paths, False, polling, _POLL_EVERY, False, False)

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                if found := self._next():
                    self._take(found)
        except (OSError, WatchfilesRustInternalError) as error:
            self._trouble(f"changes are seen no more: {_words(error)}")
        except WatchError as error:
            self._trouble(f"changes are seen no more: {error}")
        finally:
            for notify in (self._notify, *(notify for notify, _ in self._retired)):
                if notify is not None:
                    notify.close()

    def _next(self) -> set[tuple[int, str]]:
        """Wait for changes; none where it is to stop, or to be called again."""
        assert self._notify is not None
        patience = _LOOK_AT_RETIRED if self._retired else 0
        changes = self._hear(self._notify, (_MOST_TOGETHER, _STEP, patience), self._stopping)
        if changes is None:
            self._notify.close()
            self._notify = None
            self._look_around()
            changes = set()
        now = time.monotonic()
        for i, (notify, _) in enumerate(self._retired):
            late = self._hear(notify, (1, 1, 1), None)
            changes |= late or set()
            if late is None:
                self._retired[i] = (notify, now)
        for notify, until in self._retired:
            if until <= now:
                notify.close()
        self._retired = [each for each in self._retired if each[1] > now]
        return changes

    def _hear(
        self, notify: RustNotify, times: tuple[int, int, int], stop: threading.Event | None
    ) -> set[tuple[int, str]] | None:
        """What it tells of; None: it has to be replaced.

        `times`, in milliseconds: told of at once, between two looks, and to wait for (0: no end).
        """
        try:
            found = notify.watch(*times, stop)
        except WatchfilesRustInternalError as error:
            odd = _find_odd_name(str(error))
            if odd is None:
                raise
            if not self._told_of_odd_names:
                self._told_of_odd_names = True
                self._trouble(f"files whose names are not UTF-8 are not watched: {odd[1]}")
            return None
        return set() if isinstance(found, str) else found

    def _take(self, found: set[tuple[int, str]]) -> None:
        """Tell of the changes that matter, and watch the directories that are new."""
        selection = self._selection
        self._forget_deleted(found)
        new = self._new_directories(found)
        # Before the new ones are looked through: what comes later is told by itself.
        if selection.reads_rules(path.removeprefix(self._root) for _, path in found):
            self._look_around()
        if unwatched := new - self._directories:
            self._look_around(unwatched)
        matter = {wanted for path in new if (wanted := selection.wanted_within(path))}
        for kind, full in found:
            path = full.removeprefix(self._root)
            is_file = kind == Change.deleted or not _is_directory(full)
            if path != full and is_file and selection.wants(path):
                matter.add(path)
        if matter:
            self._changed(sorted(matter))

    def _forget_deleted(self, found: Iterable[tuple[int, str]]) -> None:
        """Watch no more what is gone: another directory of its name is a new one."""
        gone = {path.removeprefix(self._root) for kind, path in found if kind == Change.deleted}
        if gone & self._directories:
            self._directories = {
                each for each in self._directories if gone.isdisjoint((*parents(each), each))
            }

    def _new_directories(self, found: Iterable[tuple[int, str]]) -> set[str]:
        """The relative paths of directories that are there newly and are to be entered."""
        return {
            path
            for kind, full in found
            if kind == Change.added
            and (path := full.removeprefix(self._root)) != full
            and _is_directory(full)
            and self._selection.enters(path)
        }


def _is_directory(path: str) -> bool:
    """Whether a directory is there; a link to one is none."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _words(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOSPC or "watch limit" in text:
        return (
            f"the system watches no more directories for this user{_now(_LIMIT)}: raise it with "
            "sysctl fs.inotify.max_user_watches=1048576 as root, or use --watcher watchman"
        )
    if number == errno.EMFILE or "Too many open files" in text:
        return (
            f"the system has no more watches for this user{_now(_INSTANCES)}: close programs that "
            "watch files, or raise it with sysctl fs.inotify.max_user_instances=1024 as root"
        )
    return f"files cannot be watched: {text}"


def _now(file: Path) -> str:
    try:
        return f" ({file.name} is {file.read_text().strip()})"
    except OSError:
        return ""
