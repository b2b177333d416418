"""Patterns of file names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.dev.patterns import BadPatternError, Patterns, parents


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        # ** is any number of directories.
        ("src/**/*", "src/a.py", True),
        ("src/**/*", "src/x/y/a.py", True),
        ("src/**/*", "src", False),
        ("src/**/*", "lib/src/a.py", False),
        ("src/**/test_*", "src/test_a.py", True),
        ("src/**/test_*", "src/x/y/test_a.py", True),
        ("src/**/test_*", "src/x/my_test_a.py", False),
        ("**/*.css", "a.css", True),
        ("**/*.css", "x/y/a.css", True),
        ("src/**", "src/x/a", True),
        ("src/**", "src", False),
        ("**", "x/y", True),
        ("a/**/b/**/c", "a/b/c", True),
        ("a/**/b/**/c", "a/1/b/2/3/c", True),
        ("a/**/b/**/c", "a/1/c", False),
        # * and ? stay within a name.
        ("src/*", "src/a.py", True),
        ("src/*", "src/x/a.py", False),
        ("src/?.py", "src/a.py", True),
        ("src/?.py", "src/ab.py", False),
        ("src?a.py", "src/a.py", False),
        ("src/a**b", "src/axyb", True),
        ("src/a**b", "src/ax/yb", False),
        # Names that begin with a dot are names.
        ("**/*", ".env", True),
        # Sets of characters.
        ("v[0-9]/a", "v1/a", True),
        ("v[!0-9]/a", "v1/a", False),
        ("v[!0-9]/a", "vx/a", True),
        ("a[!x]b", "a/b", False),
        ("a[.]b", "a.b", True),
        ("a[.]b", "axb", False),
        ("a[b", "a[b", True),
        # Without a slash: in any directory; with one at the end: all in it.
        ("*.py", "a.py", True),
        ("*.py", "x/y/a.py", True),
        ("./src/*.py", "src/a.py", True),
        ("/project/src/*.py", "src/a.py", True),
        ("build/", "build/x/a", True),
        ("build/", "build", False),
        # What is special elsewhere is not here.
        ("a.py", "axpy", False),
        ("a+(b).py", "a+(b).py", True),
        ("a\nb", "a\nb", True),
        ("*", "a\nb", True),
    ],
)
def test_a_pattern(pattern: str, path: str, matches: bool) -> None:
    assert Patterns([pattern], "/project").match(path) is matches


def test_any_of_several() -> None:
    patterns = Patterns(["*.py", "static/**/*"], "/project")
    assert patterns.match("x/a.py")
    assert patterns.match("static/x/a.css")
    assert not patterns.match("x/a.css")


def test_none_matches_nothing() -> None:
    assert not Patterns([], "/project").match("a")


@pytest.mark.parametrize(
    ("pattern", "path", "within"),
    [
        ("node_modules", "node_modules/a/b.js", True),
        ("node_modules", "web/node_modules/a/b.js", True),
        ("build/*", "build/x/y/z", True),
        ("build", "src/builder/a", False),
    ],
)
def test_a_directory_stands_for_all_in_it(pattern: str, path: str, within: bool) -> None:
    assert Patterns([pattern], "/project").match_within(path) is within


@pytest.mark.parametrize("pattern", ["", "./", "/etc/*", "../x", "a/../b", "[z-a]"])
def test_what_can_match_nothing_is_told(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        Patterns([pattern], "/project")


names = st.text(st.characters(exclude_characters="/*?[", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(names.filter(lambda name: name not in (".", "..")), min_size=2, max_size=4))
def test_a_path_matches_itself(parts: list[str]) -> None:
    path = "/".join(parts)
    assert Patterns([path], "/nowhere").match(path)
    assert not Patterns([path], "/nowhere").match(f"{path}x")
    assert list(parents(path)) == ["/".join(parts[:n]) for n in range(1, len(parts))]
