"""Whoever leaves an iterator that we hand out is done: the model's stream behind it is closed."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable

from langchain_toolstream import (
    PartialToolsParser,
    Timeline,
    ToolSet,
    ToolStreamParser,
    artifact_tool,
    compat,
    to_ag_ui,
    to_ai_sdk,
    to_sse,
    tool_events,
)
from tests.unit_tests.scripted import ScriptedChat, chunk, comes_true, written


def add(a: int) -> int:
    """Add one."""
    return a + 1


def total(rows: list[int]) -> int:
    """Add up."""
    return sum(rows)


@artifact_tool(read_only=True)
def draw(a: int) -> int:
    """Draw."""
    return a


TOOLS = ToolSet([add, total, draw], read_only=True)


class EndlessChat(ScriptedChat):
    """Says its chunks, and goes on until it is closed."""

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        try:
            for one in self._say():
                yield one
            await asyncio.Event().wait()
        finally:
            self.closed += 1


def model(*tools: str) -> EndlessChat:
    """One whose calls are ready before the last is written."""
    args = {"add": '{"a": 1}', "draw": '{"a": 2}', "total": '{"rows": [1, 2, 3]}'}
    calls = [
        piece
        for index, name in enumerate(tools or ("add", "draw", "total", "total"))
        for piece in written(index, f"c{index}", name, args[name])
    ]
    return EndlessChat(chunks=[chunk(content="a"), *calls, *[chunk(content="b")] * 200])


def model_for(name: str) -> EndlessChat:
    return model("draw", "draw", "draw") if name.startswith("artifact_tool") else model()


def parsed(llm: ScriptedChat) -> Runnable[Any, Any]:
    return llm | ToolStreamParser(TOOLS)


def mapped(llm: ScriptedChat) -> Runnable[Any, Any]:
    return parsed(llm) | TOOLS.map()


SYNC: dict[str, Callable[[ScriptedChat], Iterator[Any]]] = {
    "ToolStreamParser": lambda llm: parsed(llm).stream("q"),
    "transform": lambda llm: ToolStreamParser(TOOLS).transform(llm.stream("q")),
    "PartialToolsParser": lambda llm: (llm | PartialToolsParser(TOOLS)).stream("q"),
    "items": lambda llm: (llm | PartialToolsParser(TOOLS).items("rows", tool="total")).stream("q"),
    "ToolSet.map": lambda llm: mapped(llm).stream("q"),
    "artifact_tool.map": lambda llm: (llm | ToolStreamParser([draw]) | draw.map()).stream("q"),
    "compat": lambda llm: (llm | compat.JsonOutputToolsParser()).stream("q"),
    "tool_events of a model's stream": lambda llm: tool_events(llm.stream("q")),
    "tool_events of v3": lambda llm: tool_events(llm.stream_events("q", version="v3")),
    "tool_events of a model": lambda llm: tool_events(llm, "q"),
    "tool_events of a chain": lambda llm: tool_events(mapped(llm), "q", tools=TOOLS),
}
ASYNC: dict[str, Callable[[ScriptedChat], AsyncIterator[Any]]] = {
    "ToolStreamParser": lambda llm: parsed(llm).astream("q"),
    "atransform": lambda llm: ToolStreamParser(TOOLS).atransform(llm.astream("q")),
    "PartialToolsParser": lambda llm: (llm | PartialToolsParser(TOOLS)).astream("q"),
    "items": lambda llm: (llm | PartialToolsParser(TOOLS).items("rows", tool="total")).astream("q"),
    "ToolSet.map": lambda llm: mapped(llm).astream("q"),
    "artifact_tool.map": lambda llm: (llm | ToolStreamParser([draw]) | draw.map()).astream("q"),
    "compat": lambda llm: (llm | compat.JsonOutputToolsParser()).astream("q"),
    "tool_events of a model's stream": lambda llm: tool_events(llm.astream("q")),
    "tool_events of v2": lambda llm: tool_events(mapped(llm).astream_events("q", version="v2")),
    "tool_events of a model": lambda llm: tool_events(llm, "q"),
    "tool_events of a chain": lambda llm: tool_events(mapped(llm), "q", tools=TOOLS),
    "to_sse": lambda llm: to_sse(tool_events(llm, "q")),
    "to_ag_ui": lambda llm: to_ag_ui(tool_events(llm, "q")),
    "to_ai_sdk": lambda llm: to_ai_sdk(tool_events(llm, "q")),
}


class LeavingError(Exception):
    """Raised in the loop."""


def read(events: Iterator[Any], how: str) -> None:
    if how == "dropped":
        next(events)
        return
    for _ in events:
        if how == "raised in":
            raise LeavingError
        break


async def aread(events: AsyncIterator[Any], how: str) -> None:
    begun = asyncio.Event()  # a protocol begins before the run does
    if how == "dropped":
        await anext(events)
        await anext(events)
        return
    async for _ in events:
        if not begun.is_set():
            begun.set()
            continue
        if how == "raised in":
            raise LeavingError
        break


def open_files() -> int:
    files = Path("/proc/self/fd")
    return len([*files.iterdir()]) if files.exists() else 0


@pytest.mark.parametrize("how", ["left", "dropped", "raised in"])
class TestLeaving:
    @pytest.mark.parametrize("name", SYNC)
    def test_a_loop(self, name: str, how: str) -> None:
        llm = model_for(name)
        before, threads = open_files(), threading.active_count()
        with suppress(LeavingError):
            read(SYNC[name](llm), how)
        gc.collect()
        assert llm.closed == 1
        assert llm.produced < len(llm.chunks)
        assert open_files() <= before
        assert threading.active_count() <= threads

    @pytest.mark.parametrize("name", ASYNC)
    async def test_an_async_loop(self, name: str, how: str) -> None:
        llm = model_for(name)
        tasks = asyncio.all_tasks()
        with suppress(LeavingError):
            await aread(ASYNC[name](llm), how)
        assert llm.produced > 0
        assert await comes_true(lambda: llm.closed == 1)
        assert await comes_true(lambda: asyncio.all_tasks() == tasks)


async def test_events_for_a_loop_that_are_dropped_where_an_event_loop_runs() -> None:
    llm = model()
    events: list[Any] = [tool_events(llm, "q")]
    await asyncio.to_thread(lambda: next(events[0]))
    assert llm.closed == 0
    events.clear()
    gc.collect()
    assert llm.closed == 1


def test_events_that_nobody_asks_for_run_nothing() -> None:
    llm = model()
    tool_events(llm, "q")
    gc.collect()
    assert (llm.produced, llm.closed) == (0, 0)


def test_the_event_loop_of_the_thread_stays() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        timeline = Timeline()
        for event in tool_events(model(), "q"):
            timeline.add(event)
            break
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()
