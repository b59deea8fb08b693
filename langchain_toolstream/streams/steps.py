"""Steps that read a stream: one loop for sync and one for async.

`Runnable._transform_stream_with_config` makes the run, its context and its events. Here it gets an
input of one item, which the step fills as it reads; docs/decisions/0004 says why.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any, ClassVar, Generic, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import Runnable, RunnableConfig

In = TypeVar("In")
Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)


class Reading(Generic[Out_co]):
    """What reads one stream, piece by piece."""

    trace: Any
    """The input as the trace is to show it; complete when the stream has ended."""

    def feed(self, item: Any, /) -> Iterable[Out_co]:
        """Take the next item, and return what it makes known."""
        raise NotImplementedError

    def close(self) -> Iterable[Out_co]:
        """Say that the stream ended, and return the rest, or raise."""
        raise NotImplementedError

    def read(
        self, first: list[Any], items: Iterator[Any], config: RunnableConfig
    ) -> Iterator[Out_co]:
        """Read a whole stream.

        Args:
            first: The first item, if there is one.
            items: Those that follow it.
            config: The configuration of what the step runs itself.
        """
        del config
        for item in chain(first, items):
            yield from self.feed(item)
        yield from self.close()

    async def aread(
        self, first: list[Any], items: AsyncIterator[Any], config: RunnableConfig
    ) -> AsyncIterator[Out_co]:
        """Read a whole stream, as `read` does."""
        del config
        for item in first:
            for known in self.feed(item):
                yield known
        async for item in items:
            for known in self.feed(item):
                yield known
        for known in self.close():
            yield known

    def leave(self) -> None:
        """Be told that nobody reads on, at the end or before."""


class StreamStep(Runnable[In, Out], Generic[In, Out]):
    """A step of a chain that reads a stream, and says at once what becomes known."""

    _run_type: ClassVar[str | None] = "parser"

    @abstractmethod
    def _start(self) -> Reading[Out]:
        """Make what reads the next stream."""

    def transform(
        self,
        input: Iterator[In],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Out]:
        """Read a stream item by item.

        Closing the iterator closes the input, and with it the model's stream.

        Args:
            input: The items.
            config: The configuration of the run.
            **kwargs: Passed on to the run.

        Yields:
            What became known; see the class, also for what is raised.
        """
        reading = self._start()
        items = iter(input)

        def read(
            _: Iterator[Any], run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> Iterator[Out]:
            del run_manager  # its child is in the config
            return reading.read(first, items, config)

        try:
            # The model's run starts with its first item, and before ours.
            first = [item for item in (next(items, None),) if item is not None]
            yield from self._transform_stream_with_config(
                iter([reading.trace]), read, config, run_type=self._run_type, **kwargs
            )
        finally:
            reading.leave()
            if close := getattr(items, "close", None):
                close()

    async def atransform(
        self,
        input: AsyncIterator[In],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[Out]:
        """Read a stream item by item, as `transform` does.

        Args:
            input: See `transform`.
            config: See `transform`.
            **kwargs: See `transform`.

        Yields:
            See `transform`.
        """
        reading = self._start()
        items = aiter(input)

        def read(
            _: AsyncIterator[Any],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[Out]:
            del run_manager  # its child is in the config
            return reading.aread(first, items, config)

        async def trace() -> AsyncIterator[Any]:
            yield reading.trace

        try:
            first = [item for item in (await anext(items, None),) if item is not None]
            run = cast(
                "AsyncGenerator[Out]",
                self._atransform_stream_with_config(
                    trace(), read, config, run_type=self._run_type, **kwargs
                ),
            )
            async with aclosing(run):
                async for known in run:
                    yield known
        finally:
            reading.leave()
            aclose = getattr(items, "aclose", None)
            # One that a cancelled task is still reading from is closed by that.
            if aclose is not None and not getattr(items, "ag_running", False):
                await aclose()


class MessageStep(StreamStep[Any, Any]):
    """A step that reads a message, streamed or whole."""

    @abstractmethod
    def _read(self, message: Any) -> Any:
        """Read a whole message."""

    def invoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read a whole message.

        Args:
            input: The message.
            config: The configuration of the run.
            **kwargs: Ignored.

        Returns:
            What it says; see the class, also for what is raised.
        """
        del kwargs
        return self._call_with_config(self._read, input, config, run_type="parser")

    async def ainvoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read a whole message, as `invoke` does; nothing in it waits.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: Ignored.

        Returns:
            See `invoke`.
        """
        del kwargs

        async def read(message: Any) -> Any:
            return self._read(message)

        return await self._acall_with_config(read, input, config, run_type="parser")
