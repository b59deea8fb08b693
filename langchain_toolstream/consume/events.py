"""`tool_events`: short loops over `EventReader`, one for async and one for sync."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
    Iterator,
)
from inspect import isawaitable
from threading import Thread
from typing import Any, Self, overload

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_toolstream.consume.pace import paced_events
from langchain_toolstream.consume.reader import EventReader
from langchain_toolstream.core.events import ToolEvent
from langchain_toolstream.schema.tool_like import ToolLike
from langchain_toolstream.schema.tool_schema import tool_schemas

_NOTHING: Any = object()


class ToolEvents(AsyncIterator[ToolEvent], Iterator[ToolEvent]):
    """The events of a run that begins when the first of them is asked for.

    Made by `tool_events(runnable, input)`, for `async for`, or for `for` where no event loop runs.
    Then the run goes on only while an event is waited for. Closing it ends the run.
    """

    def __init__(self, events: AsyncGenerator[ToolEvent]) -> None:
        """Use `tool_events`."""
        self._events = events
        # A generator, for what is dropped is closed: whoever leaves a `for` ends the run.
        self._in_sync = _run(events)

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> ToolEvent:
        """Wait for the next event."""
        return await anext(self._events)

    async def aclose(self) -> None:
        """End the run."""
        await self._events.aclose()

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> ToolEvent:
        """Go on with the run until its next event.

        Raises:
            RuntimeError: An event loop runs in this thread.
        """
        _refuse_in_loop()
        return next(self._in_sync)

    def close(self) -> None:
        """End a run that is read by `for`."""
        self._in_sync.close()


def _run(events: AsyncGenerator[ToolEvent]) -> Generator[ToolEvent]:
    """Read events in an event loop of their own."""
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    try:
        while (event := runner.run(_next(events))) is not _NOTHING:
            yield event
    finally:
        if _in_loop():  # it was dropped there, by whoever collects the garbage
            leaving = Thread(target=_leave, args=(runner, events))
            leaving.start()
            leaving.join()
        else:
            _leave(runner, events)


def _leave(runner: asyncio.Runner, events: AsyncGenerator[ToolEvent]) -> None:
    with runner:
        runner.run(events.aclose())


async def _next(events: AsyncGenerator[ToolEvent]) -> Any:
    return await anext(events, _NOTHING)


@overload
def tool_events(
    source: Runnable[Any, Any],
    input: Any,
    config: RunnableConfig | None = None,
    *,
    tools: Iterable[ToolLike] | None = None,
    show_internal: bool = False,
    **kwargs: Any,
) -> ToolEvents: ...


@overload
def tool_events(
    source: AsyncIterable[Any] | Awaitable[AsyncIterable[Any]],
    *,
    tools: Iterable[ToolLike] | None = None,
    show_internal: bool = False,
) -> AsyncGenerator[ToolEvent]: ...


@overload
def tool_events(
    source: Iterable[Any],
    *,
    tools: Iterable[ToolLike] | None = None,
    show_internal: bool = False,
) -> Generator[ToolEvent]: ...


def tool_events(
    source: Any,
    input: Any = _NOTHING,  # noqa: A002 - LangChain's word
    config: RunnableConfig | None = None,
    *,
    tools: Iterable[ToolLike] | None = None,
    show_internal: bool = False,
    **kwargs: Any,
) -> ToolEvents | AsyncGenerator[ToolEvent] | Generator[ToolEvent]:
    """Read a run as one typed stream: text, reasoning, calls field by field, tools, ends.

    The same run gives the same events, whichever way it is read:

    - a chain, model, graph or agent with its input: `tool_events(chain, input)`. It is run by
      `astream_events` v2, and a slow reader slows its models;
    - `astream_events(..., version="v2")` of anything;
    - `astream_events(..., version="v3")` or `stream_events` of a chat model or a LangGraph graph;
    - the stream of a chat model itself, `astream` or `stream`; it has no tools' runs in it.

    Every message of a model is begun by a `MessageStart` and ended by a `MessageFinish` or
    `MessageError`; every call by a `ToolCallStart` and a `ToolCallFinish` or `ToolCallInvalid`;
    every run of a tool by a `ToolStart` and a `ToolFinish` or `ToolError`. A call that is answered
    without a tool has a `ToolAnswer`, and a run that stops to ask a person an `Interrupt`. When the
    source raises, what is open is ended, and then its error is raised. Closing the iterator closes
    the source.

    Args:
        source: What to read, or to run.
        input: The input, where `source` is to be run.
        config: The configuration of that run.
        tools: The bound tools, as for `ToolStreamParser`. With them, calls are validated, and
            the call of a read-only tool is ready as soon as it is closed. In an agent, a name
            that is not among them passes, for the agent may have tools of its own.
        show_internal: Whether models are shown that only serve the run: those tagged `nostream`,
            and those that LangChain's middleware asks (to select tools, to summarize).
        **kwargs: Passed on to the run.

    Returns:
        An async iterator of events for an async source, an iterator for a sync one, and one that
        is both for what is to be run.

    Raises:
        TypeError: `source` cannot be read.

    Example:
        ```python
        from langchain_core.messages import AIMessageChunk
        from langchain_toolstream import tool_events


        def chunk(args, **first):
            call = {"index": 0, "id": None, "name": None, "args": args, **first}
            return AIMessageChunk(content="", tool_call_chunks=[call])


        stream = [chunk("", id="call_1", name="search"), chunk('{"query": "ca'), chunk('ts"}')]
        written = [e.text for e in tool_events(stream) if e.type == "argument-delta"]
        assert written == ["ca", "ts"]
        ```
    """
    reader = EventReader(
        None if tools is None else tool_schemas(tools), show_internal=show_internal
    )
    if isinstance(source, Runnable):
        if input is _NOTHING:
            msg = f"To run {source.get_name()}, tool_events needs its input: (runnable, input)."
            raise TypeError(msg)
        return ToolEvents(_aread(paced_events(source, input, config, **kwargs), reader))
    if input is not _NOTHING or config is not None or kwargs:
        msg = f"Only a Runnable takes an input and what belongs to it, not {_kind(source)}."
        raise TypeError(msg)
    if isinstance(source, AsyncIterable) or isawaitable(source):
        return _aread(source, reader)
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | dict):
        return _read(source, reader)
    msg = (
        "tool_events reads a stream of astream_events (v2 or v3) or of a chat model, or runs a "
        f"runnable with its input, got {_kind(source)}."
    )
    raise TypeError(msg)


async def _aread(
    source: AsyncIterable[Any] | Awaitable[AsyncIterable[Any]], reader: EventReader
) -> AsyncGenerator[ToolEvent]:
    if not isinstance(source, AsyncIterable):
        source = await source
    items = aiter(source)
    try:
        while True:
            try:
                item = await anext(items)
            except StopAsyncIteration:
                break
            except Exception as error:
                for event in reader.fail(_reason(error)):
                    yield event
                raise
            for event in reader.feed(item):
                yield event
        for event in reader.close():
            yield event
    finally:
        for stream in (items, source):
            if close := getattr(stream, "aclose", getattr(stream, "abort", None)):
                await close()


def _read(source: Iterable[Any], reader: EventReader) -> Generator[ToolEvent]:
    items = iter(source)
    try:
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except Exception as error:
                yield from reader.fail(_reason(error))
                raise
            yield from reader.feed(item)
        yield from reader.close()
    finally:
        for stream in (items, source):
            if close := getattr(stream, "close", getattr(stream, "abort", None)):
                close()


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _kind(source: object) -> str:
    return type(source).__name__


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _refuse_in_loop() -> None:
    if _in_loop():
        msg = "An event loop runs in this thread, so read the events with `async for`."
        raise RuntimeError(msg)
