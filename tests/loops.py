"""Tests as coroutines, run under both event loops, and nothing may be left over at their end."""

import asyncio
import functools
import gc
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

try:
    import uvloop
except ImportError:  # it has no build for this platform
    uvloop = None  # type: ignore[assignment]

PATIENCE = 10.0
"""Seconds after which a test that waits for something has failed."""

Test = Callable[..., Coroutine[Any, Any, None]]

_ASYNCIO = [pytest.param(asyncio.new_event_loop, id="asyncio")]
_UVLOOP = [pytest.param(uvloop.new_event_loop, id="uvloop")] if uvloop is not None else []


def both_loops(test: Test) -> Callable[..., None]:
    """Run a coroutine function as a test, once with asyncio's loop and once with uvloop's.

    It fails on errors that reach the loop's exception handler (those of callbacks, of futures
    that nobody asked) and on tasks that are still running at its end.
    """
    return _run_on(_ASYNCIO + _UVLOOP, test)


def only_uvloop(test: Test) -> Callable[..., None]:
    """The same for what asyncio's loop cannot do."""
    return _run_on(_UVLOOP, test)


def _run_on(loops: list[Any], test: Test) -> Callable[..., None]:
    @pytest.mark.parametrize("new_loop", loops)
    @functools.wraps(test)
    def runs(new_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_checked(test(**arguments)))

    signature = inspect.signature(test)
    added = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    given = [*signature.parameters.values(), added]
    vars(runs)["__signature__"] = signature.replace(parameters=given)
    marked: Callable[..., None] = runs
    return marked


async def _checked(test: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    lost: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: lost.append(context))
    # Only what the test makes is looked through below.
    gc.freeze()
    try:
        async with asyncio.timeout(PATIENCE):
            await test
        await turns(5)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []
    finally:
        gc.collect()
        gc.unfreeze()
    assert lost == []


async def turns(count: int) -> None:
    """Let the loop turn, without waiting for time to pass."""
    for _ in range(count):
        await asyncio.sleep(0)
