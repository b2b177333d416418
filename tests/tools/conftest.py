"""A cache on disk, and `aprp cache` as a user calls it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aprp import cli
from tests.tools.caches import UPSTREAM, Store


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("APRP_") or name == "ASYNC_PROXY_SERVER_PORT":
            monkeypatch.delenv(name)
    # Rich takes the terminal's word for it otherwise.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "cache")
    yield made
    made.close()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call `aprp cache` with these words."""

    def call(*words: str) -> Done:
        code = cli.main(["cache", *words])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def tool(call: Callable[..., Done], store: Store) -> Callable[..., Done]:
    """Call a command of `aprp cache` on the store."""

    def tool(name: str, *words: str) -> Done:
        return call(name, *words, "--cache-dir", str(store.directory), "--upstream", UPSTREAM)

    return tool
