"""What runs the tools of calls: threads, or tasks. Neither decides anything about a call."""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_toolstream.tools._errors import CANCELLED_ITSELF, error_message
from langchain_toolstream.tools._ledger import Call, Entry, Ledger

if TYPE_CHECKING:
    from langchain_toolstream.tools._toolset import ToolSet

END: Any = object()
"""What is taken from an input that has ended, or broken."""

_USUAL_THREADS = min(32, (os.cpu_count() or 1) + 4)  # as many as Python's own pools
_MOST_THREADS = 1024


def _max_concurrency(config: RunnableConfig) -> int | None:
    limit = config.get("max_concurrency")
    if limit is None or (type(limit) is int and limit > 0):
        return limit
    msg = f"max_concurrency has to be an integer above 0, or None, got {limit!r}."
    raise ValueError(msg)


def pull(batches: Iterator[list[Call]]) -> tuple[list[Call], Exception | None]:
    try:
        return next(batches, END), None
    except Exception as error:  # noqa: BLE001 - raised when all calls are answered
        return END, error


class Threads:
    """The tools that run, each in a thread, and those that wait for their turn."""

    def __init__(self, tools: "ToolSet", config: RunnableConfig) -> None:
        self._tools = tools
        self._config = config
        self._limit = _max_concurrency(config) or _USUAL_THREADS
        self._waiting: deque[Entry] = deque()
        self._running: dict[Future[ToolMessage], Entry] = {}
        # The limit is ours to keep: a tool that took too long holds its thread, but no place.
        self._executor = ContextThreadPoolExecutor(max_workers=_MOST_THREADS)

    def start(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            entry = self._waiting.popleft()
            if entry.message is None:
                entry.started_at = time.monotonic()
                call = self._tools._run  # noqa: SLF001
                self._running[self._executor.submit(call, entry.call, self._config)] = entry

    def settle(self, ledger: Ledger, *, at_least_one: bool = False) -> None:
        """Answer the calls whose tools have finished, or have taken too long."""
        wait(self._running, self._patience() if at_least_one else 0, FIRST_COMPLETED)
        for future, entry in list(self._running.items()):
            if future.done():
                del self._running[future]
                if entry.message is None:
                    ledger.answer(entry, future.result())
            elif entry.message is not None:
                del self._running[future]  # taken back: nobody waits for it
            elif self._remaining(entry) == 0:
                del self._running[future]
                ledger.answer(entry, self._tools._timed_out(entry.call))  # noqa: SLF001
        self._fill()

    def _patience(self) -> float | None:
        """Seconds until the next tool will have taken too long."""
        if self._tools.timeout is None:
            return None
        return min((self._remaining(entry) for entry in self._running.values()), default=0.0)

    def _remaining(self, entry: Entry) -> float:
        if self._tools.timeout is None or entry.started_at is None:
            return math.inf
        return max(0.0, self._tools.timeout - (time.monotonic() - entry.started_at))

    def leave(self) -> None:
        """Start nothing more. What runs cannot be stopped, and is not heard any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Source:
    """The calls to come, as a task that waits for the next of them."""

    def __init__(self, batches: AsyncIterator[list[Call]]) -> None:
        self._batches = batches
        self.error: Exception | None = None
        self.task: asyncio.Task[list[Call]] | None = self._next()

    def _next(self) -> asyncio.Task[list[Call]]:
        async def take_next() -> list[Call]:
            return await anext(self._batches, END)

        return asyncio.create_task(take_next())

    def take(self) -> list[Call]:
        """The calls that came. At the end, and where the input broke, there are none."""
        if self.task is None:
            return []
        try:
            batch = self.task.result()
        except Exception as error:  # noqa: BLE001 - raised when all calls are answered
            self.error = error
            batch = END
        self.task = None if batch is END else self._next()
        return [] if batch is END else batch


class Tasks:
    """The tools that run, each in its task."""

    def __init__(self, tools: "ToolSet", config: RunnableConfig) -> None:
        self.entries: dict[asyncio.Task[ToolMessage], Entry] = {}
        self._tools = tools
        self._config = config
        limit = _max_concurrency(config)
        self._slots = asyncio.Semaphore(limit) if limit else nullcontext()

    def start(self, entry: Entry) -> None:
        async def run_tool() -> ToolMessage:
            async with self._slots:
                return await self._tools.ainvoke(entry.call, self._config)

        self.entries[asyncio.create_task(run_tool())] = entry

    def settle(self, done: "set[asyncio.Task[Any]]", ledger: Ledger) -> None:
        for task in self.entries.keys() & done:
            entry = self.entries.pop(task)
            if entry.message is None and task.cancelled():
                ledger.answer(entry, error_message(entry.call, CANCELLED_ITSELF))
            elif entry.message is None:
                ledger.answer(entry, task.result())
            elif not task.cancelled():
                task.exception()  # taken back: what came of it is dropped

    def cancel_answered(self) -> None:
        for task, entry in self.entries.items():
            if entry.message is not None and not task.cancelling():
                task.cancel()  # once: it may want to clean up


async def first_of(*tasks: "asyncio.Task[Any] | None") -> "set[asyncio.Task[Any]]":
    waiting = [task for task in tasks if task is not None]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    return done


async def cancel(*tasks: "asyncio.Task[Any] | None") -> None:
    left = [task for task in tasks if task is not None]
    for task in left:
        if not task.cancelling():
            task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
