"""What runs the tools of calls: threads, or tasks. Neither decides anything about a call."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_toolstream.parsers.tool_stream import Call
from langchain_toolstream.tools.run.caller import Caller
from langchain_toolstream.tools.run.errors import CANCELLED_ITSELF, error_message
from langchain_toolstream.tools.run.ledger import Entry, Ledger
from langchain_toolstream.tools.run.limits import max_concurrency, most_threads
from langchain_toolstream.tools.run.waiting import Queue

END: Any = object()
"""What is taken from an input that has ended, or broken."""

_MOST_THREADS = 1024


def pull(batches: Iterator[list[Call]]) -> tuple[list[Call], Exception | None]:
    """Take the next calls, or the error that came in their place."""
    try:
        return next(batches, END), None
    except Exception as error:  # noqa: BLE001 - raised when all calls are answered
        return END, error


class Threads:
    """The tools that run, each in a thread, and those that wait for their turn.

    The tool of a revoked call keeps its place until its thread has ended, since it still works. One
    that took too long gives it to the next, or a tool that hangs would hold up all others for good.
    """

    def __init__(self, caller: Caller, config: RunnableConfig) -> None:
        self._caller = caller
        self._config = config
        self._queue = Queue(most_threads(config), caller.limits.max_concurrency)
        self._artifacts = caller.artifacts(config)
        self._running: dict[Future[ToolMessage], Entry] = {}
        # The limit is ours to keep: a tool that took too long holds its thread, but no place.
        self._executor = ContextThreadPoolExecutor(max_workers=_MOST_THREADS)

    def start(self, entry: Entry) -> None:
        """Run a call as soon as there is a place."""
        self._queue.add(entry)
        self._fill()

    def _fill(self) -> None:
        for entry in self._queue.take():
            entry.started_at = time.monotonic()
            entry.running.artifacts = self._artifacts
            run = self._caller.run
            future = self._executor.submit(run, entry.call, self._config, entry.running)
            entry.running.thread = future
            self._running[future] = entry

    def settle(self, ledger: Ledger, *, at_least_one: bool = False) -> None:
        """Answer the calls whose tools have finished, or have taken too long."""
        wait(self._running, self._patience() if at_least_one else 0, FIRST_COMPLETED)
        for future, entry in list(self._running.items()):
            if future.done():
                self._free(future)
                if entry.message is None:
                    ledger.answer(entry, future.result())
            elif self._remaining(entry) == 0:
                self._free(future)
                if entry.message is None:
                    ledger.answer(entry, self._caller.timed_out(entry.call))
            if entry.message is not None:
                entry.running.stop(entry.call["name"])
        self._fill()

    def _free(self, future: Future[ToolMessage]) -> None:
        self._queue.free(self._running.pop(future))

    def _patience(self) -> float | None:
        """Seconds until the next tool will have taken too long."""
        patience = min(map(self._remaining, self._running.values()), default=0.0)
        return None if patience == math.inf else patience

    def _remaining(self, entry: Entry) -> float:
        timeout = self._caller.limits.timeout(entry.call["name"])
        if timeout is None or entry.started_at is None:
            return math.inf
        return max(0.0, timeout - (time.monotonic() - entry.started_at))

    def leave(self) -> None:
        """Start nothing more. What runs cannot be stopped, and is not heard any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for entry in self._running.values():
            entry.running.stop(entry.call["name"])


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
    """The tools that run, each in its task, and those that wait for their turn.

    A sync tool's task waits for a thread; when the task is cancelled, the thread keeps the place,
    as in `Threads`.
    """

    def __init__(self, caller: Caller, config: RunnableConfig) -> None:
        self.entries: dict[asyncio.Future[Any], Entry] = {}
        self._threads: dict[asyncio.Future[Any], Entry] = {}  # of cancelled tasks
        self._caller = caller
        self._config = config
        most, limits = max_concurrency(config), caller.limits.max_concurrency
        queue = Queue(most, limits)
        in_threads = queue if most else Queue(most_threads(config), limits)
        self._queues = {False: queue, True: in_threads}  # by whether a tool needs a thread
        self._artifacts = caller.artifacts(config)
        self._executor = ContextThreadPoolExecutor(max_workers=_MOST_THREADS)

    @property
    def awaited(self) -> "list[asyncio.Future[Any]]":
        """What has to be waited for: the tools, and threads whose places are wanted."""
        return [*self.entries, *(self._threads if any(self._queues.values()) else ())]

    def start(self, entry: Entry) -> None:
        """Run a call as soon as there is a place."""
        self._queue_of(entry).add(entry)
        self._fill()

    def _fill(self) -> None:
        for queue in {id(one): one for one in self._queues.values()}.values():
            for entry in queue.take():
                entry.running.artifacts = self._artifacts
                run = self._caller.arun(entry.call, self._config, entry.running, self._executor)
                self.entries[asyncio.create_task(run)] = entry

    def _queue_of(self, entry: Entry) -> Queue:
        return self._queues[self._caller.needs_thread(entry.call["name"])]

    def settle(self, done: "set[asyncio.Future[Any]]", ledger: Ledger) -> None:
        """Write the answers of tasks that are done into the ledger."""
        for task in self.entries.keys() & done:
            entry = self.entries.pop(task)
            if entry.message is None and task.cancelled():
                ledger.answer(entry, error_message(entry.call, CANCELLED_ITSELF))
            elif entry.message is None:
                ledger.answer(entry, task.result())
            elif not task.cancelled():
                task.exception()  # revoked: what came of it is dropped
            thread = entry.running.thread
            if thread is not None and task.cancelled() and not thread.done():
                self._threads[asyncio.wrap_future(thread)] = entry
            else:
                self._queue_of(entry).free(entry)
        for ended in self._threads.keys() & done:
            self._queue_of(self._threads[ended]).free(self._threads.pop(ended))
            ended.exception()
        self._fill()

    def cancel_answered(self) -> None:
        """Stop the tools of revoked calls; others may have waited for them."""
        for task, entry in self.entries.items():
            if entry.message is not None and not entry.running.stopped.is_set():
                provisional = entry.running.is_provisional
                entry.running.stop(entry.call["name"])
                if not provisional:  # else it is told by the text that it reads
                    task.cancel()  # once: it may want to clean up
        self._fill()

    async def leave(self, source: "asyncio.Task[Any] | None") -> None:
        """Stop all tools, and the source. What runs in a thread cannot be stopped, nor is it heard.

        Whoever is cancelled in a scope of anyio's, as a response of Starlette's is when its client
        leaves, is cancelled again in whatever it waits for then. So all are told before any is
        waited for.
        """
        for entry in self.entries.values():
            entry.running.stop(entry.call["name"])
        try:
            await _cancel(*self.entries, *self._threads, source)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)


async def first_of(*tasks: "asyncio.Future[Any] | None") -> "set[asyncio.Future[Any]]":
    """Wait until at least one of the tasks is done."""
    waiting = [task for task in tasks if task is not None]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    return done


async def _cancel(*tasks: "asyncio.Future[Any] | None") -> None:
    left = [task for task in tasks if task is not None]
    for task in left:
        task.add_done_callback(_drop)
        if not (isinstance(task, asyncio.Task) and task.cancelling()):
            task.cancel()
    if left:
        await asyncio.wait(left)  # not `gather`, which would hand a second cancellation on


def _drop(ended: "asyncio.Future[Any]") -> None:
    if not ended.cancelled():
        ended.exception()  # seen, so that nobody is told that it was not
