"""A slow reader slows the models of a run, and learns which of them broke off.

`astream_events` lets a run go ahead of its reader as far as it likes. `Pace` is a callback that
waits where a model hands over a piece, so that no more than `AHEAD` pieces are unread.

It also tells nothing of a model that broke off, where another takes up its work. `Pace` is told.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

AHEAD = 64
"""Pieces that models may be ahead of the reader: enough that neither waits for the other for
nothing."""

_TURNS = 4
"""Turns of the event loop within which what was handed over has reached the reader."""


class Pace(AsyncCallbackHandler):
    """Let models go on only as their run is read.

    A piece costs one credit, and every item read gives one back. Where the reader waits in vain,
    because pieces made no items, they pass in any case: nothing can stand still.
    """

    # Whoever overrides no other callback need not be asked for it.
    ignore_chain = ignore_agent = ignore_retriever = property(lambda _: True)
    ignore_custom_event = property(lambda _: True)

    def __init__(self) -> None:
        """Start before the run, in the event loop that reads it."""
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._credit = AHEAD
        self._read = 0
        self._reader_waits = False
        self._ended = False
        self._broken: dict[str, str] = {}  # runs of models, and why
        self._before: dict[str, dict[str, str]] = {}  # the same, when a later model began

    async def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Remember which models broke off before this one began.

        Args:
            *args: Ignored.
            run_id: Of the model.
            **kwargs: Ignored.
        """
        del args, kwargs
        if self._broken:
            self._before[str(run_id)], self._broken = self._broken, {}

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Remember that a model broke off.

        Args:
            error: Why.
            run_id: Of the model.
            **kwargs: Ignored.
        """
        del kwargs
        self._broken[str(run_id)] = str(error) or type(error).__name__

    def broken_before(self, item: Any) -> Iterator[dict[str, Any]]:
        """Say which models have broken off when another one begins.

        All that they had said was handed over before that, so the reader has it.

        Args:
            item: What comes next.

        Yields:
            Events in the words of `astream_events`, which has none for this.
        """
        if item["event"] == "on_chat_model_start":
            for run_id, error in self._before.pop(item["run_id"], {}).items():
                data = {"error": error}
                yield {"event": "on_chat_model_error", "run_id": run_id, "data": data}

    async def on_llm_new_token(
        self, token: str | list[str | dict[str, Any]], **kwargs: Any
    ) -> None:
        """Wait until there is room for the piece.

        Args:
            token: Ignored.
            **kwargs: Ignored.
        """
        del token, kwargs
        if asyncio.get_running_loop() is self._loop:
            await self._pass()
        else:  # a model that runs in a thread
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._pass(), self._loop))

    async def _pass(self) -> None:
        self._credit -= 1
        while self._credit < 0 and not self._ended:
            if not self._reader_waits:
                self._room.clear()
                await self._room.wait()
            elif await self._waits_in_vain():
                return

    async def _waits_in_vain(self) -> bool:
        """Whether nothing is on its way to the reader either."""
        read = self._read
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return self._reader_waits and self._read == read

    async def read(self, items: AsyncIterator[Any]) -> AsyncGenerator[Any]:
        """Read the items of the run.

        Args:
            items: What the run yields.

        Yields:
            The same items.
        """
        try:
            while True:
                self._reader_waits = True
                self._room.set()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                self._reader_waits = False
                self._read += 1
                self._credit = min(self._credit + 1, AHEAD)
                yield item
        finally:
            self._ended = True
            self._room.set()


async def paced_events(
    runnable: Runnable[Any, Any], given: Any, config: RunnableConfig | None, **kwargs: Any
) -> AsyncGenerator[Any]:
    """Run a runnable, no faster than its events are read.

    Args:
        runnable: What to run.
        given: Its input.
        config: The configuration of the run.
        **kwargs: Passed on to the run.

    Yields:
        The events of `astream_events` v2.
    """
    pace = Pace()
    config = merge_configs(config, {"callbacks": [pace]})
    events: Any = runnable.astream_events(given, config, version="v2", **kwargs)
    async with aclosing(events), aclosing(pace.read(events)) as items:
        async for item in items:
            for broken in pace.broken_before(item):
                yield broken
            yield item
