"""What all tests share: the profiles of Hypothesis, and what makes a run of all of them quick."""

import contextlib
import gc
import importlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# HYPOTHESIS_PROFILE=deep looks for longer. Time limits per example would fail on a busy machine.
settings.register_profile("fast", max_examples=100, deadline=None)
settings.register_profile("deep", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# A shell lets what it starts in the background ignore interrupts, and that is inherited: what tests
# start is to end by one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_WAITING = frozenset({"browser", "cache", "dev", "e2e", "files", "live", "tunnel"})
_QUICK = frozenset({"handlers", "pages", "semantics", "settings", "sites"})
_TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Before all tests are collected: let each worker of pytest-xdist import another part first.

    Each worker collects every file. To rewrite the asserts of all of them takes most of that time,
    and what one worker has rewritten, the others find in `__pycache__`, unless all of them go
    through the files in the same order at the same time.
    """
    worker: dict[str, object] = getattr(session.config, "workerinput", {})
    if not worker or session.config.args_source != pytest.Config.ArgsSource.TESTPATHS:
        return
    paths = sorted(_TESTS.rglob("test_*.py"))
    number, workers = str(worker["workerid"]).removeprefix("gw"), str(worker["workercount"])
    begin = len(paths) * int(number) // int(workers)
    for path in paths[begin:] + paths[:begin]:
        name = ".".join(path.relative_to(_TESTS.parent).with_suffix("").parts)
        # What cannot be imported is told where it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put directories whose files take long first, so that workers end at about the same time.

    pytest-xdist takes the files in this order because of `--no-loadscope-reorder`.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    room = item.path.relative_to(_TESTS).parts[0]
    return 0 if room in _WAITING else 2 if room in _QUICK else 1


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests: they live as long as the process."""
    gc.collect()
    gc.freeze()
