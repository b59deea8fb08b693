"""Tools that are generators: what they yield is progress, what they return is the result.

A generator that returns nothing has its last yield as the result; so has an async generator, which
cannot return anything.
"""

import asyncio
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing, suppress
from functools import wraps
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.tools import BaseTool, StructuredTool

from langchain_toolstream.core.events import TOOL_PROGRESS
from langchain_toolstream.schema.tool_like import as_tool
from langchain_toolstream.tools.run.running import in_call, running


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
                progress = _progress(state.call_id, name, last)
                dispatch_custom_event(TOOL_PROGRESS, progress)
                _emit_in_graph(progress)
                if state.stopped.is_set() and not state.is_provisional:
                    raise asyncio.CancelledError


async def arun_out(generator: AsyncGenerator[Any, Any], name: str) -> Any:
    """Run an async generator to its end, and report what it yields."""
    last = None
    async with aclosing(generator):
        async for last in generator:
            if (state := running.get()) is not None:
                progress = _progress(state.call_id, name, last)
                await adispatch_custom_event(TOOL_PROGRESS, progress)
                _emit_in_graph(progress)
    return last


class CallAwareTool(BaseTool):
    """A tool that knows the id of its call, also where no `ToolSet` runs it."""

    def run(self, *args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        """Run the tool, as `BaseTool` does; use `invoke`.

        Args:
            *args: As for `BaseTool.run`.
            tool_call_id: The id of the call.
            **kwargs: As for `BaseTool.run`.

        Returns:
            The content, or the message where there is a call.
        """
        with in_call(tool_call_id):
            return super().run(*args, tool_call_id=tool_call_id, **kwargs)

    async def arun(self, *args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        """Run the tool, as `run` does; use `ainvoke`.

        Args:
            *args: See `run`.
            tool_call_id: See `run`.
            **kwargs: See `run`.

        Returns:
            See `run`.
        """
        with in_call(tool_call_id):
            return await super().arun(*args, tool_call_id=tool_call_id, **kwargs)


class FunctionTool(CallAwareTool, StructuredTool):
    """A tool of a function that may be a generator."""


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
        update = {"func": None, "coroutine": made} if is_async else {"func": made}
        return _call_aware(tool.model_copy(update=update))
    if isinstance(tool, BaseTool) or not (inspect.isroutine(tool) or _is_generator(tool)):
        return tool
    return _call_aware(as_tool(plain(tool, getattr(tool, "__name__", "tool"))))


def _call_aware(tool: BaseTool) -> BaseTool:
    return FunctionTool.model_construct(**dict(tool)) if type(tool) is StructuredTool else tool


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


def _emit_in_graph(progress: dict[str, Any]) -> None:
    """Send it in LangGraph's streams `custom` and `tools` too, where it runs in a graph."""
    config: Any = sys.modules.get("langgraph.config")
    if config is not None:
        with suppress(KeyError, RuntimeError, AttributeError):  # not in a graph
            config.get_stream_writer()({"type": TOOL_PROGRESS, **progress})
    runtime: Any = getattr(sys.modules.get("langgraph.prebuilt"), "ToolRuntime", None)
    if hasattr(runtime, "emit_output_delta"):
        runtime(
            state=None,
            context=None,
            config={},
            stream_writer=None,
            tool_call_id=None,
            store=None,
        ).emit_output_delta(progress["data"])
