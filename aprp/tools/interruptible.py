"""Running a coroutine that Ctrl+C ends."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on an event loop of its own; raises KeyboardInterrupt when SIGINT has ended it.

    asyncio.run alone may miss the signal: where it comes between the interpreter's last look and
    the wait for events, nothing wakes the loop. A handler of the loop's own is told by a pipe.
    """
    try:
        return asyncio.run(_interruptible(main))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _interruptible(main: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    return await main
