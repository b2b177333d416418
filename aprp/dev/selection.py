"""Which changed files matter: patterns, less what is excluded, less what is ignored."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aprp.dev.ignores import Ignores, is_rules_file, watchman_directories
from aprp.dev.patterns import Patterns

# So many entries of a new directory are looked at for a file that matters.
_MOST_LOOKED_AT = 10_000


class Selection:
    """Says of a path below `root` whether a change of it matters; excludes win over patterns."""

    def __init__(
        self, root: Path, patterns: Sequence[str], excludes: Sequence[str], default_ignores: bool
    ) -> None:
        """No patterns: every file. Raises BadPatternError and ConfigError."""
        self.root = root
        self._patterns = patterns
        self._wanted = Patterns(patterns or ("**/*",), str(root))
        self._excluded = Patterns(excludes, str(root))
        self._ignores = Ignores(root) if default_ignores else None
        self._unwatched = Patterns((f"{d}/" for d in watchman_directories(root) if d), str(root))

    def wants(self, path: str) -> bool:
        """Whether a change of the file at a relative path matters."""
        return self._wanted.match(path) and not self._out(path)

    def reads_rules(self, changed: Iterable[str]) -> bool:
        """Read the rules again if one of the files that changed holds some; whether it did."""
        if self._ignores is None or not any(map(is_rules_file, changed)):
            return False
        self._ignores.forget()
        return True

    def enters(self, path: str) -> bool:
        """Whether the directory at a relative path can hold what matters; "" is the root."""
        if not path:
            return True
        if not _is_utf8(path):
            # It cannot be watched, and to look into it would be told of as something that happens.
            return False
        if self._excluded.match_within(path) or self._unwatched.match(f"{path}/."):
            return False
        return self._ignores is None or not self._ignores.ignored_directory(path)

    def walk(self, top: str = "") -> Iterator[tuple[str, Sequence[str]]]:
        """Give the directories from `top` on that are entered, each with its files' names.

        Links to directories are not followed, and what may not be read is left out.
        """
        if not self.enters(top):
            return
        for full, directories, files in os.walk(self.root / top):
            directory = "" if full == str(self.root) else full[len(str(self.root)) + 1 :]
            before = f"{directory}/" if directory else ""
            directories[:] = [name for name in directories if self.enters(before + name)]
            if os.access(full, os.R_OK | os.X_OK):
                yield directory, files

    def wanted_within(self, path: str) -> str | None:
        """A file that matters in a directory that has appeared; None: there is none."""
        looked_at = 0
        for directory, files in self.walk(path):
            for file in files:
                if self.wants(found := f"{directory}/{file}"):
                    return found
            looked_at += 1 + len(files)
            if looked_at > _MOST_LOOKED_AT:
                # It is cheaper to start once too often.
                return path
        return None

    def unmatched(self) -> Sequence[str]:
        """Those of the patterns that no file here matches which is watched; reads the tree."""
        left = {pattern: Patterns([pattern], str(self.root)) for pattern in self._patterns}
        for directory, files in self.walk():
            if not left:
                break
            for file in files:
                path = f"{directory}/{file}" if directory else file
                matching = [pattern for pattern, each in left.items() if each.match(path)]
                if matching and not self._out(path):
                    for pattern in matching:
                        del left[pattern]
        return tuple(left)

    def _out(self, path: str) -> bool:
        if self._excluded.match_within(path) or self._unwatched.match(path):
            return True
        return self._ignores is not None and self._ignores.ignored(path)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
