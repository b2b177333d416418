"""What is not watched: what git, editors and Python's own files are, `.watchmanconfig`."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from aprp.dev.patterns import parents

DEFAULTS: Final = (
    # Version control.
    ".git",
    ".hg/",
    ".svn/",
    ".jj/",
    # Python's own files, and those of tools beside it.
    "__pycache__/",
    "*.py[cod]",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    # What editors write beside a file while it is edited: Vim, Emacs, JetBrains, Kate, GNOME,
    # LibreOffice, nano; and desktops.
    "*~",
    "*.sw[a-px]",
    "*.swpx",
    "4913",
    ".#*",
    r"\#*#",
    "*___jb_tmp___",
    "*___jb_old___",
    "*.kate-swp",
    ".goutputstream-*",
    ".~lock.*#",
    ".DS_Store",
)
"""Ignored from the beginning, as lines of a `.gitignore`."""

_DEFAULTS: Final = GitIgnoreSpec.from_lines(DEFAULTS)
_GITIGNORE: Final = ".gitignore"


class ConfigError(Exception):
    """A file that says what to ignore cannot be understood; the message is one line."""


class Ignores:
    """The rules of git for a tree: every `.gitignore` on the way, `.git/info/exclude`, `DEFAULTS`.

    In a repository the files above `root` count, too. What lies deeper wins, in a file the last
    line that matches, and nothing can be taken back of what lies in an ignored directory.
    """

    def __init__(self, root: Path) -> None:
        """`root`: the directory that paths are relative to."""
        self._top = next((each for each in (root, *root.parents) if (each / ".git").exists()), root)
        self._above = root.relative_to(self._top).as_posix().removeprefix(".")
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._directories: dict[str, bool] = {}

    def forget(self) -> None:
        """Read the files again when they are needed: one of them may have changed."""
        self._specs.clear()
        self._directories.clear()

    def ignored(self, path: str) -> bool:
        """Whether the file at a relative path is ignored."""
        full = f"{self._above}/{path}" if self._above else path
        return any(map(self._ignores_directory, parents(full))) or self._ignores(full, full)

    def ignored_directory(self, path: str) -> bool:
        """Whether all that lies in the directory at a relative path is ignored."""
        return self.ignored(f"{path}/.")

    def _ignores_directory(self, path: str) -> bool:
        known = self._directories.get(path)
        if known is None:
            known = self._directories[path] = self._ignores(path, f"{path}/")
        return known

    def _ignores(self, path: str, shown: str) -> bool:
        """`shown` has a slash at its end where it is a directory."""
        for directory in (*reversed(list(parents(path))), ""):
            spec = self._spec(directory)
            if spec is not None:
                below = shown[len(directory) + 1 :] if directory else shown
                verdict = spec.check_file(below).include
                if verdict is not None:
                    return verdict
        # What lies in a directory that they name has been found to do so before.
        return _by_default(shown[len(path.rpartition("/")[0]) :].lstrip("/"))

    def _spec(self, directory: str) -> GitIgnoreSpec | None:
        if directory not in self._specs:
            lines = _lines(self._top / directory / _GITIGNORE)
            if not directory:
                # The file of the tree wins, as its lines come later.
                lines = [*_lines(self._top / ".git" / "info" / "exclude"), *lines]
            self._specs[directory] = GitIgnoreSpec.from_lines(lines) if lines else None
        return self._specs[directory]


@lru_cache(maxsize=4096)
def _by_default(name: str) -> bool:
    """Whether DEFAULTS name a file, or a directory where there is a slash at its end."""
    return bool(_DEFAULTS.check_file(name).include)


def is_rules_file(path: str) -> bool:
    """Whether what is ignored may be another after a change of this file."""
    return path.rpartition("/")[2] == _GITIGNORE


def watchman_directories(root: Path) -> Sequence[str]:
    """The `ignore_dirs` of a `.watchmanconfig`, relative to `root`; raises ConfigError."""
    file = root / ".watchmanconfig"
    try:
        text = file.read_text("utf-8").strip()
        config = json.loads(text) if text else {}
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    directories = config.get("ignore_dirs", []) if isinstance(config, dict) else None
    if not isinstance(directories, list) or not all(isinstance(d, str) for d in directories):
        raise ConfigError(f"{file}: ignore_dirs has to be a list of names of directories")
    return tuple(directory.strip("/") for directory in directories)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        # Not there, or a directory, or not for this user: then it has no rules.
        return []
