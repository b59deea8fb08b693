"""The run of a streaming step: one loop for sync and one for async.

`Runnable._transform_stream_with_config` makes the run, its context and its events. Here it gets an
input of one item, which the step fills as it reads; docs/decisions/0004 says why.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any, Protocol, TypeVar, cast

from langchain_core.runnables import Runnable, RunnableConfig

Out_co = TypeVar("Out_co", covariant=True)


class Reading(Protocol[Out_co]):
    """What reads one stream, piece by piece."""

    @property
    def trace(self) -> Any:
        """The input as the trace is to show it; complete when the stream has ended."""
        ...

    def feed(self, item: Any, /) -> Iterable[Out_co]:
        """Take the next item, and return what it makes known."""
        ...

    def close(self) -> Iterable[Out_co]:
        """Say that the stream ended, and return the rest, or raise."""
        ...


def _nothing() -> None:
    pass


def step(
    runnable: Runnable[Any, Out_co],
    reading: Reading[Out_co],
    items: Iterator[Any],
    config: RunnableConfig | None,
    *,
    leave: Callable[[], None] = _nothing,
    **kwargs: Any,
) -> Iterator[Out_co]:
    """Run a reading over a stream, as a parser.

    Closing the iterator closes the stream, and with it the model's.

    Args:
        runnable: The step whose run it is.
        reading: What reads the stream.
        items: The stream.
        config: The configuration of the run.
        leave: Called when nobody reads on, at the end or before.
        **kwargs: Passed on to the run.

    Yields:
        What the reading returns.
    """
    items = iter(items)

    def read(_: Iterator[Any]) -> Iterator[Out_co]:
        for item in chain(first, items):
            yield from reading.feed(item)
        yield from reading.close()

    try:
        # The model's run starts with its first item, and before ours.
        first = [item for item in (next(items, None),) if item is not None]
        yield from runnable._transform_stream_with_config(  # noqa: SLF001 - the one place it is called
            iter([reading.trace]), read, config, run_type="parser", **kwargs
        )
    finally:
        leave()
        if close := getattr(items, "close", None):
            close()


async def astep(
    runnable: Runnable[Any, Out_co],
    reading: Reading[Out_co],
    items: AsyncIterator[Any],
    config: RunnableConfig | None,
    *,
    leave: Callable[[], None] = _nothing,
    **kwargs: Any,
) -> AsyncIterator[Out_co]:
    """Run a reading over a stream, as `step` does.

    Args:
        runnable: See `step`.
        reading: See `step`.
        items: See `step`.
        config: See `step`.
        leave: See `step`.
        **kwargs: See `step`.

    Yields:
        See `step`.
    """
    items = aiter(items)

    async def read(_: AsyncIterator[Any]) -> AsyncIterator[Out_co]:
        for item in first:
            for known in reading.feed(item):
                yield known
        async for item in items:
            for known in reading.feed(item):
                yield known
        for known in reading.close():
            yield known

    async def trace() -> AsyncIterator[Any]:
        yield reading.trace

    try:
        first = [item for item in (await anext(items, None),) if item is not None]
        run = cast(
            "AsyncGenerator[Out_co]",
            runnable._atransform_stream_with_config(  # noqa: SLF001 - as in `step`
                trace(), read, config, run_type="parser", **kwargs
            ),
        )
        async with aclosing(run):
            async for known in run:
                yield known
    finally:
        leave()
        if aclose := getattr(items, "aclose", None):
            await aclose()
