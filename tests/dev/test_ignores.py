"""What is not watched: compared with git itself, and as the issue names it."""

import subprocess
from pathlib import Path

import pytest

from aprp.dev.ignores import ConfigError, Ignores, watchman_directories
from aprp.dev.selection import Selection
from tests.e2e.programs import environment, require


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


RULES = {
    ".gitignore": "*.log\n!important.log\n/dist\nbuild/\n# a comment\n\\#odd\ntemp?/\n",
    "web/.gitignore": "node_modules/\n*.map\n!keep.log\n/only-here.txt\n",
    "web/deep/.gitignore": "!*.map\n*\n!.gitignore\n!kept/\n",
    "vendor/.gitignore": "*\n",
}
PATHS = [
    "a.py",
    "a.log",
    "important.log",
    "x/important.log",
    "dist/a.js",
    "x/dist/a.js",
    "build/a.py",
    "x/build/y/a.py",
    "buildx/a.py",
    "#odd",
    "temp1/a",
    "temp/a",
    "web/a.map",
    "web/keep.log",
    "web/other.log",
    "web/node_modules/a/b.js",
    "web/only-here.txt",
    "web/x/only-here.txt",
    "web/deep/a.map",
    "web/deep/a.py",
    "web/deep/kept/a.py",
    "vendor/a/b.py",
    "build/important.log",
]


def test_it_ignores_what_git_ignores(tmp_path: Path) -> None:
    git = require("git")
    subprocess.run((git, "init", "-q", tmp_path), check=True, env=environment())
    write(tmp_path, RULES | dict.fromkeys(PATHS, ""))
    (tmp_path / ".git/info/exclude").write_text("temp/\n")
    told = subprocess.run(
        (git, "check-ignore", "--no-index", "--stdin"),
        cwd=tmp_path,
        env=environment(),
        input="\n".join(PATHS),
        capture_output=True,
        text=True,
        check=False,
    )
    by_git = set(told.stdout.replace('"', "").split("\n")) & set(PATHS)
    assert 8 < len(by_git) < len(PATHS) - 5
    ignores = Ignores(tmp_path)
    assert {path for path in PATHS if ignores.ignored(path)} == by_git


def test_the_rules_above_count_in_a_repository(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.log\n/sub/out/\n", "sub/a.py": ""})
    (tmp_path / "sub/out").mkdir()
    without = Ignores(tmp_path / "sub")
    assert not without.ignored("a.log")
    (tmp_path / ".git").mkdir()
    within = Ignores(tmp_path / "sub")
    assert within.ignored("a.log")
    assert within.ignored("out/a.py")
    assert not within.ignored("a.py")


@pytest.mark.parametrize(
    "path",
    [
        ".git/index",
        ".git/objects/ab/cdef",
        "x/__pycache__/a.cpython-311.pyc",
        "a.pyc",
        "x/.a.py.swp",
        "x/.a.py.swx",
        "x/4913",
        "x/a.py~",
        "x/.#a.py",
        "x/#a.py#",
        "x/a.py___jb_tmp___",
        "x/a.py___jb_old___",
        "x/.goutputstream-ABC",
        ".DS_Store",
    ],
)
def test_ignored_by_default(path: str, tmp_path: Path) -> None:
    assert Ignores(tmp_path).ignored(path)
    assert not Selection(tmp_path, [], [], True).wants(path)
    assert Selection(tmp_path, [], [], False).wants(path)


@pytest.mark.parametrize(
    "path", ["a.py", ".env", ".gitignore", "x/git/a", "x/a.swift", "tilde~/a~b"]
)
def test_watched_by_default(path: str, tmp_path: Path) -> None:
    assert Selection(tmp_path, [], [], True).wants(path) == (path != "tilde~/a~b")


def test_new_rules_hold_from_then_on(tmp_path: Path) -> None:
    selection = Selection(tmp_path, [], [], True)
    assert selection.wants("a.log")
    write(tmp_path, {".gitignore": "*.log\n"})
    assert not selection.reads_rules(["a.py", "x/gitignore"])
    assert selection.wants("a.log")
    assert selection.reads_rules(["a.py", "x/.gitignore"])
    assert selection.wants(".gitignore")
    assert not selection.wants("a.log")


def test_excludes_win_over_patterns(tmp_path: Path) -> None:
    selection = Selection(tmp_path, ["src/**/*"], ["src/**/test_*", "fixtures"], True)
    assert selection.wants("src/a.py")
    assert selection.wants("src/x/a.py")
    assert not selection.wants("a.py")
    assert not selection.wants("src/x/test_a.py")
    assert not selection.wants("src/test_data/a.py")
    assert not selection.wants("src/fixtures/x/a.py")


def test_patterns_that_nothing_matches_are_known(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.log\n", "src/x/a.py": "", "a.log": "", "out/b.css": ""})
    patterns = ["src/**/*", "scr/**/*", "*.log", "*.css", "*.py"]
    assert Selection(tmp_path, patterns, ["out"], True).unmatched() == (
        "scr/**/*",
        "*.log",
        "*.css",
    )
    assert Selection(tmp_path, patterns, [], False).unmatched() == ("scr/**/*",)
    assert Selection(tmp_path, [], [], True).unmatched() == ()


def test_ignored_files_stay_ignored_where_a_pattern_names_them(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.log\n"})
    assert not Selection(tmp_path, ["**/*.log"], [], True).wants("a.log")
    assert Selection(tmp_path, ["**/*.log"], [], False).wants("a.log")


@pytest.mark.parametrize("default_ignores", [True, False])
def test_watchman_config(tmp_path: Path, default_ignores: bool) -> None:
    write(tmp_path, {".watchmanconfig": '{"ignore_dirs": ["out", "web/cache/"]}'})
    selection = Selection(tmp_path, [], [], default_ignores)
    assert not selection.wants("out/a")
    assert not selection.wants("web/cache/x/a")
    assert selection.wants("x/out/a")
    assert selection.wants("web/a")


@pytest.mark.parametrize("text", ["{", '{"ignore_dirs": "out"}', "[]", '{"ignore_dirs": [1]}'])
def test_a_watchman_config_that_is_none(tmp_path: Path, text: str) -> None:
    write(tmp_path, {".watchmanconfig": text})
    with pytest.raises(ConfigError, match=r"\.watchmanconfig"):
        watchman_directories(tmp_path)


def test_an_empty_watchman_config(tmp_path: Path) -> None:
    write(tmp_path, {".watchmanconfig": ""})
    assert watchman_directories(tmp_path) == ()


def test_a_new_directory_matters_if_something_in_it_does(tmp_path: Path) -> None:
    write(tmp_path, {"new/x/a.pyc": "", "new/__pycache__/b": "", "other/x/a.py": ""})
    selection = Selection(tmp_path, [], [], True)
    assert selection.wanted_within("new") is None
    assert selection.wanted_within("other") == "other/x/a.py"
    assert Selection(tmp_path, [], ["other"], True).wanted_within("other") is None
    write(tmp_path, {".gitignore": "other/\n"})
    assert Selection(tmp_path, [], [], True).wanted_within("other") is None
