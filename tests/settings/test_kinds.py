"""What each kind of value takes, refuses, and how it writes it back."""

from pathlib import Path

import pytest

from settings import addresses
from settings.kinds import Choice, Duration, Kind, RefusedError, Size, Switch, Whole, shown
from settings.texts import PROJECT, FileName, Listed, Text

PORT = Whole(0, 65535)
PLAIN = FileName()
NO_FILE = FileName(optional=True)
LEVEL = Choice(("DEBUG", "INFO"))
NAME = Text(r"[a-z]+", "a name in small letters")
UPSTREAM = Listed(addresses.upstream, "a URL")
ORIGINS = Listed(addresses.web_origin, "an origin")
NETWORKS = Listed(addresses.network, "a network")
PARAMETERS = Listed(addresses.parameter, "a name")
POWER = Size(64 * 1024, 16 * 1024 * 1024, power_of_two=True)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (PORT, "0", 0),
        (PORT, " 8000 ", 8000),
        (PORT, "65535", 65535),
        (PORT, 80, 80),
        (Size(), "512", 512),
        (Size(), "64K", 65536),
        (Size(), "64k", 65536),
        (Size(), "512M", 536870912),
        (Size(), "4G", 4294967296),
        (Size(), "1T", 1099511627776),
        (Size(), 10, 10),
        (POWER, "64K", 65536),
        (POWER, "128k", 131072),
        (POWER, "16M", 16777216),
        (POWER, 1048576, 1048576),
        (Size(power_of_two=True), "1", 1),
        (Duration(), "1.5", 1.5),
        (Duration(), "90", 90.0),
        (Duration(), "250ms", 0.25),
        (Duration(), "30s", 30.0),
        (Duration(), "10m", 600.0),
        (Duration(), "1h", 3600.0),
        (Duration(), "2d", 172800.0),
        (Duration(), 5, 5.0),
        (Duration(low=0.0), "0", 0.0),
        (Switch(), "on", True),
        (Switch(), "TRUE", True),
        (Switch(), "yes", True),
        (Switch(), "1", True),
        (Switch(), True, True),
        (Switch(), "off", False),
        (Switch(), "false", False),
        (Switch(), "no", False),
        (Switch(), "0", False),
        (LEVEL, "debug", "DEBUG"),
        (NAME, "abc", "abc"),
        (PLAIN, "logs/a.log", Path("logs/a.log")),
        (PLAIN, Path("/x"), Path("/x")),
        (NO_FILE, "", None),
        (NO_FILE, None, None),
        (UPSTREAM, "http://a:8080, https://b/base/", ("http://a:8080", "https://b/base/")),
        (UPSTREAM, ["http://a"], ("http://a",)),
        (UPSTREAM, "Embedded", ("embedded",)),
        (UPSTREAM, "http://[::1]:9000/x%20y", ("http://[::1]:9000/x%20y",)),
        (UPSTREAM, "HTTP://A_b.example.:80", ("HTTP://A_b.example.:80",)),
        (UPSTREAM, "", ()),
        (ORIGINS, "https://Player.example", ("https://player.example",)),
        (ORIGINS, "*", ("*",)),
        (ORIGINS, "capacitor://localhost", ("capacitor://localhost",)),
        (ORIGINS, "http://[::1]:3000", ("http://[::1]:3000",)),
        (NETWORKS, "10.0.0.0/8,192.0.2.7,::1", ("10.0.0.0/8", "192.0.2.7/32", "::1/128")),
        (PARAMETERS, "token,X-Amz-*, Policy", ("token", "X-Amz-*", "Policy")),
        (PARAMETERS, ["utm_source", "a[]", "*"], ("utm_source", "a[]", "*")),
        (PARAMETERS, "a%5B%5d,x+y", ("a%5B%5d", "x+y")),
        (PARAMETERS, "", ()),
    ],
)
def test_takes(kind: Kind, value: object, expected: object) -> None:
    parsed = kind.parse(value)
    assert parsed == expected
    assert type(parsed) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (PORT, "eighty"),
        (PORT, ""),
        (PORT, "-1"),
        (PORT, "65536"),
        (PORT, "8_0"),
        (PORT, "\uff18\uff10"),
        (PORT, "80.0"),
        (PORT, "9" * 5000),
        (PORT, 80.0),
        (PORT, True),
        (PORT, None),
        (Size(), "10X"),
        (Size(), "1.5G"),
        (Size(), "-1K"),
        (Size(), "64 K"),
        (Size(16384), "1K"),
        (Size(0, 1024), "1M"),
        (Size(), 1.0),
        (POWER, "32K"),
        (POWER, "32M"),
        (POWER, "96K"),
        (POWER, "1000000"),
        (POWER, 1048577),
        (POWER, True),
        (Size(power_of_two=True), "0"),
        (Duration(), "0"),
        (Duration(), "soon"),
        (Duration(), "1h30m"),
        (Duration(), "inf"),
        (Duration(), "1e3"),
        (Duration(), "-1s"),
        (Duration(), "400d"),
        (Duration(), float("nan")),
        (Duration(), float("inf")),
        (Duration(), True),
        (Switch(), "maybe"),
        (Switch(), ""),
        (Switch(), 2),
        (Switch(), None),
        (LEVEL, "LOUD"),
        (LEVEL, 10),
        (NAME, "ab\nc"),
        (NAME, "a b"),
        (PLAIN, ""),
        (PLAIN, None),
        (PLAIN, "a\0b"),
        (FileName(readable=True), str(PROJECT)),
        (FileName(readable=True), "/nonexistent/ca.pem"),
        (UPSTREAM, "localhost:9000"),
        (UPSTREAM, "ftp://a"),
        (UPSTREAM, "http://"),
        (UPSTREAM, "http://a?x=1"),
        (UPSTREAM, "http://a/#x"),
        (UPSTREAM, "http://user@a"),
        (UPSTREAM, "http://a:0"),
        (UPSTREAM, "http://a..b"),
        (UPSTREAM, f"http://{'a' * 64}.example"),
        (UPSTREAM, "http://-a"),
        (UPSTREAM, "http://a:65536"),
        (UPSTREAM, "http://[::zz]/"),
        (UPSTREAM, "http://a/b c"),
        (UPSTREAM, "http://a/\r\nX: y"),
        (UPSTREAM, "http://a,nonsense"),
        (UPSTREAM, ["http://a", 3]),
        (UPSTREAM, 3),
        (ORIGINS, "https://player.example/"),
        (ORIGINS, "player.example"),
        (ORIGINS, "https://*.example"),
        (NETWORKS, "10.0.0.7/8"),
        (NETWORKS, "private"),
        (PARAMETERS, "token=1"),
        (PARAMETERS, "a&b"),
        (PARAMETERS, "a*b"),
        (PARAMETERS, "X-**"),
        (PARAMETERS, "two words"),
        (PARAMETERS, "a%2"),
        (PARAMETERS, "x" * 200),
        (PARAMETERS, [""]),
    ],
)
def test_refuses_in_one_line_that_says_what_is_allowed(kind: Kind, value: object) -> None:
    with pytest.raises(RefusedError) as raised:
        kind.parse(value)
    message = str(raised.value)
    assert message.endswith(f" is not {kind.allowed}")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (PORT, 8000, "8000"),
        (Whole(0, unit="files"), 5, "5 files"),
        (Size(), 0, "0"),
        (Size(), 1000, "1000"),
        (Size(), 32768, "32K"),
        (Size(), 10485760, "10M"),
        (Duration(), 0.25, "250ms"),
        (Duration(), 1.5, "1500ms"),
        (Duration(), 75.0, "75s"),
        (Duration(), 600.0, "10m"),
        (Duration(), 86400.0, "1d"),
        (Duration(), 0.0, "0s"),
        (Switch(), True, "on"),
        (PLAIN, Path("aprp.log"), "aprp.log"),
        (PLAIN, Path("/var/log/aprp.log"), "/var/log/aprp.log"),
        (PLAIN, PROJECT / "media", "media"),
        (NO_FILE, None, ""),
        (UPSTREAM, ("http://a", "http://b"), "http://a,http://b"),
    ],
)
def test_shows(kind: Kind, value: object, text: str) -> None:
    assert kind.show(value) == text


@pytest.mark.parametrize("seconds", [0.001, 0.25, 1.5, 2.0, 60.0, 75.0, 3600.0, 5400.0, 172800.0])
def test_a_shown_duration_reads_back(seconds: float) -> None:
    kind = Duration()
    assert kind.parse(kind.show(seconds)) == pytest.approx(seconds)


def test_an_error_line_hides_passwords_and_is_bounded() -> None:
    assert "secret" not in shown("ftp://user:secret@host/")
    assert "ftp://***@host/" in shown("ftp://user:secret@host/")
    assert len(shown("x" * 10_000)) <= 80
    assert shown(Path("/x")) == "'/x'"


def test_a_readable_file_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")
    assert FileName(readable=True).parse(str(file)) == file


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert PLAIN.parse("~/a.log") == tmp_path / "a.log"
