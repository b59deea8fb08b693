"""Many calls at once, each from the moment it arrives: what `ToolSet.map()` returns.

`Ledger` decides what starts, what is answered without running and what is revoked; the sync and
the async loop only wait. Every call that arrives is answered by exactly one message.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any, ClassVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig

from langchain_toolstream.parsers.tool_stream import Call
from langchain_toolstream.streams.steps import Reading, StreamStep
from langchain_toolstream.tools.run.caller import Caller
from langchain_toolstream.tools.run.calls import Order, as_calls
from langchain_toolstream.tools.run.ledger import Ledger
from langchain_toolstream.tools.run.workers import END, Source, Tasks, Threads, first_of, pull


class ToolMap(StreamStep[list[Call], list[ToolMessage]]):
    """Run lists of calls, and streams of such lists, each call as soon as it arrives.

    Made by `ToolSet.map()`. Behind a `ToolStreamParser` a read-only tool starts while the model is
    still writing the next call. At most `config["max_concurrency"]` tools run at once.

    Every call is answered by one message: with the tool's content and artifact, or with
    `status="error"` when the call was invalid, its tool unknown, failed or took too long. One
    failure leaves the others alone. An `InvalidToolCall` that follows a `ToolCall` of the same id
    revokes that call: its tool is stopped and its result dropped, unless it has been given out
    already.

    Async is the fast road: a message comes out as soon as its tool has finished. Sync, tools run
    in threads, and messages come out when the input gives its next item or ends. Closing the
    iterator, or cancelling the task, stops all tools and closes the input; a thread cannot be
    stopped, so its tool runs on unheard.
    """

    _run_type: ClassVar[str | None] = None

    def __init__(self, caller: Caller, *, order: Order = "completed") -> None:
        """Keep what runs the calls; use `ToolSet.map()`."""
        self._caller = caller
        self._order: Order = order

    def __repr__(self) -> str:
        """Show what is mapped."""
        return f"{self._caller!r}.map(order={self._order!r})"

    def _start(self) -> "Runs":
        return Runs(self._caller, self._order)

    def invoke(
        self,
        input: list[Call],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[ToolMessage]:
        """Run all calls at the same time.

        Args:
            input: The calls.
            config: The configuration of the run; `max_concurrency` bounds how many run at once.
            **kwargs: Ignored.

        Returns:
            Their messages, in the order of the calls.
        """
        del kwargs
        calls = as_calls(input)

        def run(
            _: list[Call], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> list[ToolMessage]:
            del run_manager  # its child is in the config
            batches = Runs(self._caller, "called").read([calls], iter(()), config)
            return list(chain.from_iterable(batches))

        return self._call_with_config(run, self._caller.shown(calls), config)

    async def ainvoke(
        self,
        input: list[Call],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[ToolMessage]:
        """Run all calls at the same time, as `invoke` does.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: Ignored.

        Returns:
            See `invoke`.
        """
        del kwargs
        calls = as_calls(input)

        async def run(
            _: list[Call], run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> list[ToolMessage]:
            del run_manager  # its child is in the config
            batches = Runs(self._caller, "called").aread([calls], _none(), config)
            return [message async for messages in batches for message in messages]

        return await self._acall_with_config(run, as_calls(input), config)

    def stream(
        self,
        input: list[Call],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[list[ToolMessage]]:
        """Run all calls at the same time, and yield each message when its tool has finished.

        Args:
            input: The calls.
            config: See `invoke`.
            **kwargs: Ignored.

        Yields:
            Lists of messages.
        """
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self,
        input: list[Call],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[list[ToolMessage]]:
        """Run all calls at the same time, as `stream` does.

        Args:
            input: The calls.
            config: See `invoke`.
            **kwargs: Ignored.

        Yields:
            Lists of messages.
        """
        async with aclosing(self.atransform(_followed([input], _none()), config, **kwargs)) as made:
            async for messages in made:
                yield messages


class Runs(Reading[list[ToolMessage]]):
    """The calls of one stream, and what became of them."""

    def __init__(self, caller: Caller, order: Order) -> None:
        """Nothing has arrived."""
        self._caller = caller
        self._ledger = Ledger(caller, order)
        self.trace = self._ledger.arrived

    def read(
        self, first: list[Any], items: Iterator[Any], config: RunnableConfig
    ) -> Iterator[list[ToolMessage]]:
        """Run the calls in threads."""
        batches, ledger = chain(first, items), self._ledger
        tools = Threads(self._caller, config)
        try:
            while True:
                batch, interruption = pull(batches)
                for entry in ledger.arrive([] if batch is END else batch):
                    tools.start(entry)
                if batch is END:
                    break
                tools.settle(ledger)
                if messages := ledger.release():
                    yield messages
            if interruption is not None:
                ledger.interrupt(interruption)
            if (messages := ledger.release()) or not (ledger.arrived or interruption):
                yield messages  # a run without calls has an output too
            while ledger.waiting:
                tools.settle(ledger, at_least_one=True)
                if messages := ledger.release():
                    yield messages
            if interruption is not None:
                raise interruption
        finally:
            tools.leave()

    async def aread(
        self, first: list[Any], items: AsyncIterator[Any], config: RunnableConfig
    ) -> AsyncIterator[list[ToolMessage]]:
        """Run the calls in tasks."""
        source, ledger = Source(_followed(first, items)), self._ledger
        tools = Tasks(self._caller, config)
        try:
            while source.task is not None or tools.entries or ledger.waiting:
                done = await first_of(*tools.awaited, source.task)
                tools.settle(done, ledger)
                if source.task in done:
                    for entry in ledger.arrive(source.take()):
                        tools.start(entry)
                    if source.error is not None:
                        ledger.interrupt(source.error)
                tools.cancel_answered()
                if messages := ledger.release():
                    yield messages
            if not ledger.arrived and source.error is None:
                yield []  # a run without calls has an output too
            if source.error is not None:
                raise source.error
        finally:
            await tools.leave(source.task)


async def _followed(first: list[Any], items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    for item in first:
        yield item
    async for item in items:
        yield item


async def _none() -> AsyncIterator[Any]:
    return
    yield
