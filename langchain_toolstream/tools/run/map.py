"""Many calls at once, each from the moment it arrives: what `ToolSet.map()` returns.

`Ledger` decides what starts, what is answered without running and what is taken back; the sync
and the async loop only wait. Every call that arrives is answered by exactly one message.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_toolstream.tools.run.ledger import Call, Ledger, Order, as_calls
from langchain_toolstream.tools.run.workers import END, Source, Tasks, Threads, first_of, pull

if TYPE_CHECKING:
    from langchain_toolstream.tools.toolset import ToolSet


class ToolMap(Runnable[list[ToolCall | InvalidToolCall], list[ToolMessage]]):
    """Run lists of calls, and streams of such lists, each call as soon as it arrives.

    Made by `ToolSet.map()`. Behind a `ToolStreamParser` a read-only tool starts while the model is
    still writing the next call. At most `config["max_concurrency"]` tools run at once.

    Every call is answered by one message: with the tool's content and artifact, or with
    `status="error"` when the call was invalid, its tool unknown, failed or took too long. One
    failure leaves the others alone. An `InvalidToolCall` that follows a `ToolCall` of the same id
    takes that call back: its tool is stopped and its result dropped, unless it has been given out
    already.

    Async is the fast road: a message comes out as soon as its tool has finished. Sync, tools run
    in threads, and messages come out when the input gives its next item or ends. Closing the
    iterator, or cancelling the task, stops all tools and closes the input; a thread cannot be
    stopped, so its tool runs on unheard.
    """

    def __init__(self, tools: "ToolSet", *, order: Order = "completed") -> None:
        """Keep the tools; use `ToolSet.map()`."""
        self._tools = tools
        self._caller = tools._caller  # noqa: SLF001 - one class in two files
        self._order: Order = order

    def __repr__(self) -> str:
        """Show what is mapped."""
        return f"{self._tools!r}.map(order={self._order!r})"

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

        def run(
            calls: list[Call], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> list[ToolMessage]:
            del run_manager  # its child is in the config
            batches = self._run(iter([calls]), config, Ledger(self._caller, "called"))
            return list(chain.from_iterable(batches))

        return self._call_with_config(run, as_calls(input), config)

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

        async def run(
            calls: list[Call], run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> list[ToolMessage]:
            del run_manager  # its child is in the config
            batches = self._arun(_one(calls), config, Ledger(self._caller, "called"))
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
        async with aclosing(self.atransform(_one(input), config, **kwargs)) as batches:
            async for messages in batches:
                yield messages

    def transform(
        self,
        input: Iterator[list[Call]],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[list[ToolMessage]]:
        """Run each call of a stream when it arrives.

        Args:
            input: Lists of calls.
            config: See `invoke`.
            **kwargs: Passed on to the base class.

        Yields:
            Lists of messages, see the class.
        """
        batches = iter(input)
        ledger = Ledger(self._caller, self._order)

        def run(
            _: Iterator[Any], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> Iterator[list[ToolMessage]]:
            del run_manager  # its child is in the config
            return self._run(chain(first, batches), config, ledger)

        try:
            # As in ToolStreamParser.transform: the runs before ours start first, and what the
            # trace shows as our input is the list that the ledger fills.
            first = [batch for batch in (next(batches, None),) if batch is not None]
            yield from self._transform_stream_with_config(
                iter([ledger.arrived]), run, config, **kwargs
            )
        finally:
            if close := getattr(batches, "close", None):
                close()

    async def atransform(
        self,
        input: AsyncIterator[list[Call]],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[list[ToolMessage]]:
        """Run each call of a stream when it arrives.

        Args:
            input: Lists of calls.
            config: See `invoke`.
            **kwargs: Passed on to the base class.

        Yields:
            Lists of messages, see the class.
        """
        batches = aiter(input)
        ledger = Ledger(self._caller, self._order)

        async def rest() -> AsyncIterator[list[Call]]:
            for batch in first:
                yield batch
            async for batch in batches:
                yield batch

        def run(
            _: AsyncIterator[Any],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[list[ToolMessage]]:
            del run_manager  # its child is in the config
            return self._arun(rest(), config, ledger)

        try:
            first = [batch for batch in (await anext(batches, None),) if batch is not None]
            messages = cast(
                "AsyncGenerator[list[ToolMessage]]",
                self._atransform_stream_with_config(_one(ledger.arrived), run, config, **kwargs),
            )
            async with aclosing(messages):
                async for batch in messages:
                    yield batch
        finally:
            await _close(batches)

    def _run(
        self, batches: Iterator[list[Call]], config: RunnableConfig, ledger: Ledger
    ) -> Iterator[list[ToolMessage]]:
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

    async def _arun(
        self, batches: AsyncIterator[list[Call]], config: RunnableConfig, ledger: Ledger
    ) -> AsyncIterator[list[ToolMessage]]:
        source = Source(batches)
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
            try:
                await tools.leave(source.task)
            finally:
                await _close(batches)


async def _close(batches: AsyncIterator[Any]) -> None:
    aclose = getattr(batches, "aclose", None)
    # One that a cancelled task is still reading from is closed by that.
    if aclose is not None and not getattr(batches, "ag_running", False):
        await aclose()


async def _one(item: Any) -> AsyncIterator[Any]:
    yield item
