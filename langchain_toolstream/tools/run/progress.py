"""Tools that are generators: what they yield is progress, what they return is the result.

A generator that returns nothing has its last yield as the result; so has an async generator, which
cannot return anything.
"""

import asyncio
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from functools import wraps
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.tools import BaseTool, StructuredTool

from langchain_toolstream.core.events import TOOL_PROGRESS
from langchain_toolstream.tools.run.running import running


def run_out(generator: Generator[Any, Any, Any], name: str) -> Any:
    """Run a generator to its end, and report what it yields.

    It is closed at its next `yield` when nobody waits for its call any more, but for one that reads
    an argument while it is written: that is told where it reads.

    Raises:
        CancelledError: Nobody waits any more.
    """
    last = None
    with closing(generator):
        while True:
            try:
                last = next(generator)
            except StopIteration as end:
                return last if end.value is None else end.value
            if (state := running.get()) is not None:
                dispatch_custom_event(TOOL_PROGRESS, _progress(state.call_id, name, last))
                _emit_in_graph(last)
                if state.stopped.is_set() and not state.is_provisional:
                    raise asyncio.CancelledError


async def arun_out(generator: AsyncGenerator[Any, Any], name: str) -> Any:
    """Run an async generator to its end, and report what it yields."""
    last = None
    async with aclosing(generator):
        async for last in generator:
            if (state := running.get()) is not None:
                await adispatch_custom_event(TOOL_PROGRESS, _progress(state.call_id, name, last))
                _emit_in_graph(last)
    return last


def without_yields(
    tool: BaseTool | Callable[..., Any],
) -> BaseTool | Callable[..., Any]:
    """Make a tool of a generator one that returns its result, and leave all others as they are.

    A function may also return a generator. A LangChain tool is asked for what it is alone, which
    decorators made by `functools.wraps` do not hide.
    """
    if isinstance(tool, StructuredTool):
        function = tool.func or tool.coroutine
        if function is None or not _is_generator(function):
            return tool
        made = plain(function, tool.name)
        is_async = inspect.iscoroutinefunction(made)
        return tool.model_copy(
            update={"func": None, "coroutine": made} if is_async else {"func": made}
        )
    if isinstance(tool, BaseTool) or not (inspect.isroutine(tool) or _is_generator(tool)):
        return tool
    return plain(tool, getattr(tool, "__name__", "tool"))


def _is_generator(function: Any) -> bool:
    inner = inspect.unwrap(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def plain(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Make of a function that may give a generator one that returns its result."""
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):

        @wraps(function)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            made = await made if inspect.isawaitable(made) else made
            return await arun_out(made, name) if inspect.isasyncgen(made) else made

        return arun

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        return run_out(made, name) if inspect.isgenerator(made) else made

    return run


def _progress(call_id: str | None, name: str, data: Any) -> dict[str, Any]:
    return {"tool_call_id": call_id, "name": name, "data": data}


def _emit_in_graph(data: Any) -> None:
    """Send it as LangGraph's `tool-output-delta` too, which is a no-op outside such a stream."""
    runtime: Any = getattr(sys.modules.get("langgraph.prebuilt"), "ToolRuntime", None)
    if hasattr(runtime, "emit_output_delta"):
        runtime(
            state=None,
            context=None,
            config={},
            stream_writer=None,
            tool_call_id=None,
            store=None,
        ).emit_output_delta(data)
