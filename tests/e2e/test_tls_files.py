"""TLS before the proxy: the files of its certificate, which change, or are wrong."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.content import FILM
from tests.e2e.programs import wait_until
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import StartProxy, only, refused_start
from tests.e2e.tls_fronts import Certificates, get_over_tls

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def certificates(authority: Authority, tmp_path: Path) -> Certificates:
    """The files of a certificate called first."""
    certificates = Certificates(authority, tmp_path)
    certificates.put("first")
    return certificates


@WORKERS
def test_new_files_on_sighup(
    certificates: Certificates, origin: ScriptedOrigin, start_proxy: StartProxy, workers: str
) -> None:
    path = origin.plays(serves(FILM))
    proxy = start_proxy("--upstream", origin.url, "--workers", workers, *certificates.flags)

    def everybody_shows(name: str) -> None:
        if workers == "1":
            wait_until(lambda: certificates.seen(proxy) == name, f"{name} is shown")
            return
        wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
        for worker in proxy.workers():
            with only(proxy, worker):
                wait_until(lambda: certificates.seen(proxy) == name, f"{name} is shown")

    everybody_shows("first")
    standing, secured = get_over_tls(certificates, proxy, path)
    with standing:
        assert standing.read_reply().body == FILM
        shown = secured.getpeercert(binary_form=True)
        certificates.put("second")
        assert certificates.seen(proxy) == "first"
        proxy.signal(signal.SIGHUP)
        everybody_shows("second")
        # Wrong files change nothing, and the log says why.
        certificates.key.write_text("no key at all\n")
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "TLS_KEY" in proxy.log(), "the log says what is wrong")
        everybody_shows("second")
        if workers == "2":
            # One that is started later has what the parent has read.
            victim = proxy.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(
                lambda: len(proxy.workers()) == 2 and victim not in proxy.workers(),
                "another worker takes its place",
            )
            everybody_shows("second")
        else:
            # No connection has been dropped.
            standing.ask(path)
            assert standing.read_reply().body == FILM
            assert secured.getpeercert(binary_form=True) == shown
    assert proxy.log().count("no private key") == 1


@WORKERS
def test_sighup_without_tls_is_a_line_in_the_log(start_proxy: StartProxy, workers: str) -> None:
    proxy = start_proxy("--upstream", "embedded", "--workers", workers)
    for pid in (proxy.pid, *proxy.workers()):
        # A terminal that is closed sends it to all.
        os.kill(pid, signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in proxy.log(), "the log tells of it")
    assert proxy.get("/sample.mp4", Range="bytes=4-7").body == b"ftyp"
    assert proxy.log().count("SIGHUP") == 1


@WORKERS
def test_sighup_under_nohup(
    certificates: Certificates, start_proxy: StartProxy, workers: str
) -> None:
    # There it is ignored from the start, and so it would be in whatever inherits that.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        proxy = start_proxy("--upstream", "embedded", "--workers", workers, *certificates.flags)
    finally:
        signal.signal(signal.SIGHUP, before)
    certificates.put("second")
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: certificates.seen(proxy) == "second", "second is shown")


def _no_key(certificates: Certificates) -> None:
    certificates.key.unlink()


def _other_key(certificates: Certificates) -> None:
    key = certificates.key.read_bytes()
    certificates.put("second")
    certificates.key.write_bytes(key)


def _no_certificate(certificates: Certificates) -> None:
    certificates.cert.write_text("nothing\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_key, r"TLS_KEY: '\S+' is not a file that can be read"),
        (_other_key, r"TLS_KEY: \S*site\.key is not the key of the first certificate in \S+$"),
        (_no_certificate, r"TLS_CERT: \S*site\.pem holds no certificate"),
    ],
)
def test_files_that_are_wrong_stop_the_start(
    certificates: Certificates,
    tmp_path: Path,
    spoil: Callable[[Certificates], None],
    said: str,
) -> None:
    spoil(certificates)
    assert re.search(said, refused_start(tmp_path, "--port", "0", *certificates.flags))


def test_a_certificate_without_a_key(certificates: Certificates, tmp_path: Path) -> None:
    line = refused_start(tmp_path, "--port", "0", *certificates.flags[:2])
    assert "TLS_CERT" in line and "TLS_KEY" in line
