"""Whoever leaves an iterator is done: its input is closed, and its tools are stopped."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableGenerator

from langchain_toolstream import ToolSet, ToolStreamParser, artifact_tool
from tests.unit_tests.scripted import good, written

PATIENCE = 5
"""Seconds after which what a test waits for will not come any more."""


PAUSE = threading.Event()
"""Never set: what loops in a thread waits for it a moment, so that others get on."""


class LeftError(Exception):
    """What the body of a loop raises."""


class Slow:
    """A tool that goes on until nobody waits for it, as a coroutine and as a generator."""

    def __init__(self) -> None:
        self.began, self.ended, self.added = (threading.Event() for _ in range(3))
        self.abegan, self.aended = asyncio.Event(), asyncio.Event()
        self.closed, self.aclosed = threading.Event(), asyncio.Event()

    def add(self, a: int, b: int) -> int:
        """Add two integers."""
        self.added.set()
        return a + b

    def tools(self) -> ToolSet:
        own = artifact_tool(self.add)
        return ToolSet([own, artifact_tool(self.wait), artifact_tool(self.await_)], read_only=True)

    def wait(self) -> Any:
        """Wait in a thread."""
        self.began.set()
        try:
            while True:
                yield "still there"
                PAUSE.wait(0.001)
        finally:
            self.ended.set()

    async def await_(self) -> None:
        """Wait in a task."""
        self.abegan.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.aended.set()

    def calls(self) -> Iterator[Any]:
        try:
            yield [good("w", "wait")]
            assert self.began.wait(PATIENCE)
            yield [good("a", "add", a=1, b=2)]
            assert self.added.wait(PATIENCE)
            while not PAUSE.wait(0.001):
                yield []
        finally:
            self.closed.set()

    async def acalls(self) -> AsyncIterator[Any]:
        try:
            yield [good("w", "await_")]
            await self.abegan.wait()
            yield [good("a", "add", a=1, b=2)]
            await asyncio.Event().wait()
        finally:
            self.aclosed.set()

    def chunks(self, _: Any) -> Iterator[AIMessageChunk]:
        try:
            yield from written(0, "w", "wait", "{}")
            yield from written(1, "a", "add", '{"a": 1, "b": 2}')
            assert self.began.wait(PATIENCE)
            assert self.added.wait(PATIENCE)
            index = 2
            while not PAUSE.wait(0.001):  # text alone is nothing for the tools to come out at
                yield from written(index, f"a{index}", "add", '{"a": 1, "b": 2}')
                index += 1
        finally:
            self.closed.set()

    async def achunks(self, _: Any) -> AsyncIterator[AIMessageChunk]:
        try:
            for chunk in written(0, "w", "await_", "{}"):
                yield chunk
            for chunk in written(1, "a", "add", '{"a": 1, "b": 2}'):
                yield chunk
            await self.abegan.wait()
            await asyncio.Event().wait()
        finally:
            self.aclosed.set()

    def chain(self) -> Any:
        source = RunnableGenerator(self.chunks, self.achunks)
        tools = self.tools()
        return source | ToolStreamParser(tools) | tools.map()


Make = Callable[[Slow], Any]
SYNC: dict[str, Make] = {
    "transform": lambda slow: slow.tools().map().transform(slow.calls()),
    "chain": lambda slow: slow.chain().stream("go"),
}
ASYNC: dict[str, Make] = {
    "atransform": lambda slow: slow.tools().map().atransform(slow.acalls()),
    "chain": lambda slow: slow.chain().astream("go"),
    "events": lambda slow: slow.chain().astream_events("go"),
}


def closed(made: Any) -> None:
    next(made)
    made.close()


def dropped(made: Any) -> None:
    next(made)
    del made
    gc.collect()


def broken(made: Any) -> None:
    for _ in made:
        break


def raised(made: Any) -> None:
    with pytest.raises(LeftError):  # noqa: PT012
        for _ in made:
            raise LeftError


def thrown(made: Any) -> None:
    next(made)
    with pytest.raises(LeftError):
        made.throw(LeftError)


@pytest.mark.parametrize("make", SYNC.values(), ids=SYNC)
@pytest.mark.parametrize("leave", [closed, dropped, broken, raised, thrown])
async def test_of_a_sync_iterator(make: Make, leave: Callable[[Any], None]) -> None:
    slow = Slow()
    leave(make(slow))
    gc.collect()
    assert slow.closed.is_set()
    assert slow.ended.wait(PATIENCE)


async def aclosed(made: Any) -> None:
    await anext(made)
    await made.aclose()


async def adropped(made: Any) -> None:
    await anext(made)


async def abroken(made: Any) -> None:
    async for _ in made:
        break


async def araised(made: Any) -> None:
    with pytest.raises(LeftError):  # noqa: PT012
        async for _ in made:
            raise LeftError


async def athrown(made: Any) -> None:
    await anext(made)
    with pytest.raises(LeftError):
        await made.athrow(LeftError)


async def acancelled(made: Any) -> None:
    first = asyncio.Event()

    async def read() -> None:
        async for _ in made:
            first.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(first.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("make", ASYNC.values(), ids=ASYNC)
@pytest.mark.parametrize("leave", [aclosed, adropped, abroken, araised, athrown, acancelled])
async def test_of_an_async_iterator(make: Make, leave: Any) -> None:
    slow = Slow()
    made = [make(slow)]
    if make is ASYNC["events"]:  # until the tool runs
        async for _ in made[0]:
            if slow.abegan.is_set():
                break
    await leave(made.pop())
    gc.collect()
    await asyncio.wait_for(slow.aclosed.wait(), PATIENCE)
    await asyncio.wait_for(slow.aended.wait(), PATIENCE)
    while left := asyncio.all_tasks() - {asyncio.current_task()}:  # one may start another
        done, _ = await asyncio.wait(left, timeout=PATIENCE)
        assert done
