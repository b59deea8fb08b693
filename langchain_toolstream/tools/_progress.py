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
from langchain_toolstream.tools._running import running


def run_out(generator: Generator[Any, Any, Any], name: str) -> Any:
    """Run a generator to its end, and report what it yields.

    It is closed at its next `yield` when nobody waits for its call any more, but for one that reads
    an argument while it is written: that is told where it reads.

    Args:
        generator: The generator.
        name: The name of the tool.

    Returns:
        Its result.

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
    """Run an async generator to its end, and report what it yields.

    Args:
        generator: The generator; it is closed with the task.
        name: The name of the tool.

    Returns:
        Its result.
    """
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

    Args:
        tool: A tool or a function.
    """
    if isinstance(tool, StructuredTool):
        function = tool.func or tool.coroutine
        made = function and plain(function, tool.name)
        if made is function:
            return tool
        is_async = inspect.iscoroutinefunction(made)
        return tool.model_copy(
            update={"func": None, "coroutine": made} if is_async else {"func": made}
        )
    if isinstance(tool, BaseTool) or not callable(tool):
        return tool
    return plain(tool, getattr(tool, "__name__", "tool"))


def plain(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Make of a generator function one that returns its result, and leave others as they are.

    Args:
        function: Any function.
        name: The name of the tool.
    """
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            return await arun_out(function(*args, **kwargs), name)

        return arun
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return run_out(function(*args, **kwargs), name)

        return run
    return function


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
