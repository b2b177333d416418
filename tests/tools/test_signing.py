"""`aprp sign`: links that `aprp.semantics.signing` lets in."""

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aprp import cli
from aprp.semantics.signing import take_claim, verify
from aprp.tools import signing
from settings.base import Settings
from tests.tools.conftest import Done

Call = Callable[..., Done]

KEY = "a key of enough characters"
EXPIRES = 2_000_000_000


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call `aprp sign` with these words, and the key in the environment."""
    monkeypatch.setenv("APRP_SIGNING_KEY", KEY)

    def call(*words: str) -> Done:
        code = cli.main(["sign", *words])
        return Done(code, *capsys.readouterr())

    return call


def parts(link: str) -> tuple[str, str, str, int, str | None]:
    """What is before the path, path, rest of the query, expiry, and why it is refused."""
    split = urlsplit(link)
    query, claim = take_claim(split.query)
    assert claim.expires is not None
    before = link[: link.index(split.path + "?")]
    return before, split.path, query, int(claim.expires), verify(split.path, claim, KEY, 0.0)


def test_a_link_for_a_time(call: Call) -> None:
    before = time.time()
    done = call("http://localhost:8000/film.mp4", "--for", "1h")
    after = time.time()
    assert (done.code, done.err, len(done.lines)) == (0, "", 1)
    host, path, query, expires, refused = parts(done.lines[0])
    assert (host, path, query, refused) == ("http://localhost:8000", "/film.mp4", "", None)
    assert before + 3600 <= expires <= after + 3601


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("2000000000", 2_000_000_000),
        ("2033-05-18T03:33:20Z", 2_000_000_000),
        ("2033-05-18T05:33:20+02:00", 2_000_000_000),
        ("2033-05-18 03:33:20.5+00:00", 2_000_000_000),
        ("20330518T033320Z", 2_000_000_000),
        ("2033-05-18", int(datetime(2033, 5, 18).timestamp())),
        ("2033-05-18T12:00", int(datetime(2033, 5, 18, 12).timestamp())),
        ("999999999999", 999_999_999_999),
    ],
)
def test_a_link_until_a_time(call: Call, text: str, expires: int) -> None:
    done = call("--until", text, "/film.mp4")
    assert (done.code, done.err) == (0, "")
    assert parts(done.lines[0])[3:] == (expires, None)


@pytest.mark.parametrize(
    ("word", "before", "path", "query"),
    [
        ("/film.mp4", "", "/film.mp4", ""),
        ("/film.mp4?", "", "/film.mp4", ""),
        ("/film.mp4?a=1&b=%2F", "", "/film.mp4", "a=1&b=%2F"),
        ("https://h.example/film.mp4?a=1#t=10", "https://h.example", "/film.mp4", "a=1"),
        ("http://[::1]:80/a/b", "http://[::1]:80", "/a/b", ""),
        ("http://h", "http://h", "/", ""),
        ("/Füße und so.mp4", "", "/F%C3%BC%C3%9Fe%20und%20so.mp4", ""),
        # A signature that is there already is replaced.
        ("/film.mp4?expires=1&a=1&signature=x", "", "/film.mp4", "a=1"),
    ],
)
def test_a_url_stays_what_it_was(call: Call, word: str, before: str, path: str, query: str) -> None:
    done = call(word, "--until", str(EXPIRES))
    assert (done.code, done.err) == (0, "")
    assert parts(done.lines[0]) == (before, path, query, EXPIRES, None)


@pytest.mark.parametrize(
    "word",
    ["/film.mp4/0/99", "/film.mp4/100/", "/film.mp4?range=0-99", "/film.mp4/0/99?range=0-99"],
)
def test_a_range_is_kept_and_not_signed(word: str) -> None:
    settings = Settings(SIGNING_KEY=KEY)
    link = signing.link(settings, word, EXPIRES)
    assert link.startswith(word)
    claim = take_claim(urlsplit(link).query)[1]
    assert verify("/film.mp4", claim, KEY, 0.0) is None
    # Without these ways to say a range it is a part of the name.
    plain = Settings(SIGNING_KEY=KEY, RANGE_PATH=False, RANGE_PARAM="")
    claim = take_claim(urlsplit(signing.link(plain, word, EXPIRES)).query)[1]
    assert verify(word.partition("?")[0], claim, KEY, 0.0) is None


def test_several(call: Call) -> None:
    done = call("/a", "--until", str(EXPIRES), "/b")
    assert [parts(line)[1:] for line in done.lines] == [
        ("/a", "", EXPIRES, None),
        ("/b", "", EXPIRES, None),
    ]


def test_the_key_comes_from_the_settings_that_are_chosen(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "another key of enough"
    done = call("/a", "--until", str(EXPIRES), "--signing-key", other, "--port", "1")
    claim = take_claim(urlsplit(done.lines[0]).query)[1]
    assert verify("/a", claim, other, 0.0) is None
    assert verify("/a", claim, KEY, 0.0) is not None
    monkeypatch.delenv("APRP_SIGNING_KEY")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "studio_for_signing.py").write_text(
        f"from settings import production\n\nclass Settings(production.Settings):\n"
        f"    UPSTREAM = ['http://o']\n    SIGNING_KEY = {other!r}\n"
    )
    same = call("/a", "--until", str(EXPIRES), "--settings", "studio_for_signing")
    assert same == done


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "no URL is given: as in aprp sign http://localhost:8000/film.mp4 --for 1h"),
        (
            ("/a",),
            "--for DURATION or --until TIME says how long a link is valid: neither is given",
        ),
        (
            ("/a", "--for", "1h", "--until", "2000000000"),
            "--for DURATION or --until TIME says how long a link is valid: both are given",
        ),
        (
            ("/a", "--for", "soon"),
            "--for: 'soon' is not a duration from 1s to 365d, such as 1.5 (seconds), 250ms, 30s, "
            "10m, 1h or 2d",
        ),
        (("/a", "--for"), "--for: expected one argument"),
        (
            ("/a", "--until", "2001-09-09T01:46:40Z"),
            "--until: 2001-09-09 01:46:40 UTC is over already",
        ),
        (("/a", "--until", "0"), "--until: 1970-01-01 00:00:00 UTC is over already"),
        (
            ("film.mp4", "--for", "1h"),
            "film.mp4: neither a URL nor a path; a path begins with /, as in /film.mp4",
        ),
        (("/a/../b", "--for", "1h"), "/a/../b: the path has a '..' segment"),
        (("/a", "--fro", "1h"), "--fro: no such option; did you mean --for?"),
    ],
)
def test_a_mistake_is_one_line(call: Call, words: tuple[str, ...], complaint: str) -> None:
    assert call(*words) == Done(2, "", f"aprp: {complaint}\n")


@pytest.mark.parametrize(
    "text", ["soon", "", "2033-13-01", "1e9", "-1", "+1", "9" * 13, "0001-01-01", "\uff12", "25:00"]
)
def test_what_is_no_time(call: Call, text: str) -> None:
    done = call("/a", f"--until={text}")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"aprp: --until: {text!r} is not a time such as 2030-01-31T18:00Z, ")
    assert done.err.count("\n") == 1


def test_nothing_is_printed_if_one_of_several_is_wrong(call: Call) -> None:
    done = call("/a", "b", "--for", "1h")
    assert (done.code, done.out) == (2, "")


def test_without_a_key(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APRP_SIGNING_KEY")
    assert call("/a", "--for", "1h") == Done(
        2,
        "",
        "aprp: SIGNING_KEY: not set: give the key that the proxy has, best in the environment as "
        "APRP_SIGNING_KEY\n",
    )


def test_a_wrong_key_is_not_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APRP_SIGNING_KEY", "hunter2")
    done = call("/a", "--for", "1h")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "aprp: SIGNING_KEY: what is given is not text of 16 to 1024 characters, or empty for none "
        "(from APRP_SIGNING_KEY)\n"
    )


def test_help(call: Call) -> None:
    done = call("--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("usage: aprp sign URL... --for DURATION | --until TIME [options]\n")
    for flag in ("--for DURATION", "--until TIME", "--signing-key TEXT", "--range-param TEXT"):
        assert re.search(rf"^  {flag} ", done.out, re.MULTILINE)
    assert "--log-file" not in done.out
    assert KEY not in done.out
    assert "APRP_SIGNING_KEY" in done.out


def test_the_overview_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "\n  sign " in capsys.readouterr().out
