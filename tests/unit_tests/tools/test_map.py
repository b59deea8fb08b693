"""`ToolSet.map()`: many calls, each from the moment it arrives, each to exactly one message.

Tools here start, wait at a gate that the test opens, and are seen to end; nothing sleeps.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.errors import GraphInterrupt
from langgraph.types import Command

from langchain_toolstream import ToolCallError, ToolMap, ToolSet, ToolStreamParser
from tests.unit_tests.scripted import (
    PATIENCE,
    Call,
    ScriptedChat,
    bad,
    chunk,
    comes_true,
    good,
    part,
    pass_time,
    written,
)

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig


T = TypeVar("T")


async def within(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, PATIENCE)


class Tasks:
    """Coroutine tools, `read` (read-only) and `write`, whose calls are named by letters."""

    def __init__(self) -> None:
        self.gates = {key: asyncio.Event() for key in "abcdef"}
        self.started = {key: asyncio.Event() for key in "abcdef"}
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.running = 0
        self.peak = 0

    async def work(self, key: str) -> tuple[str, str]:
        """Work until the gate opens."""
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.started[key].set()
        try:
            await within(self.gates[key].wait())
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        finally:
            self.running -= 1
        self.finished.append(key)
        return f"{key} done", key.upper()

    def open(self, *keys: str) -> None:
        for key in keys:
            self.gates[key].set()

    def set(self, **kwargs: Any) -> ToolSet:
        return ToolSet(made_of(coroutine=self.work), read_only=["read"], **kwargs)


class Threads:
    """The same in threads."""

    def __init__(self) -> None:
        self.gates = {key: threading.Event() for key in "abcdef"}
        self.started = {key: threading.Event() for key in "abcdef"}
        self.done = {key: threading.Event() for key in "abcdef"}
        self.threads: dict[str, threading.Thread] = {}
        self.running = 0
        self.peak = 0
        self._lock = threading.Lock()

    def work(self, key: str) -> tuple[str, str]:
        """Work until the gate opens."""
        with self._lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
            self.threads[key] = threading.current_thread()
        self.started[key].set()
        opened = self.gates[key].wait(PATIENCE)
        with self._lock:
            self.running -= 1
        self.done[key].set()
        if not opened:
            raise RuntimeError(f"nobody opened the gate of {key!r}")
        return f"{key} done", key.upper()

    def open(self, *keys: str) -> None:
        for key in keys:
            self.gates[key].set()

    def set(self, **kwargs: Any) -> ToolSet:
        return ToolSet(made_of(func=self.work), read_only=["read"], **kwargs)


def made_of(**function: Any) -> list[BaseTool]:
    return [
        StructuredTool.from_function(
            **function, name=name, description="Work.", response_format="content_and_artifact"
        )
        for name in ("read", "write")
    ]


@pytest.fixture
async def tasks() -> Tasks:
    return Tasks()


@pytest.fixture
def threads() -> Iterator[Threads]:
    stage = Threads()
    yield stage
    stage.open(*"abcdef")


def read(key: str) -> Call:
    return good(key, "read", key=key)


def write(key: str) -> Call:
    return good(key, "write", key=key)


def taken_back(key: str) -> Call:
    return bad(key, "read", "{", "The server changed its mind.")


def contents(messages: Iterable[ToolMessage]) -> list[tuple[str, Any]]:
    """The id and the text of each message; `None` for the text of an error."""
    return [(m.tool_call_id, None if m.status == "error" else m.content) for m in messages]


async def a_list(batches: AsyncIterator[list[ToolMessage]]) -> list[ToolMessage]:
    return [message async for messages in batches for message in messages]


async def a_iter(batches: Iterable[Any]) -> AsyncIterator[Any]:
    for batch in batches:
        yield batch


def nothing_until(condition: Callable[[], bool]) -> Iterator[list[Call]]:
    """Lists without calls: a sync runner looks for messages whenever one comes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        yield []


# How a list of calls can be run.


async def invoke(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return runner.invoke(calls)


async def ainvoke(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return await runner.ainvoke(calls)


async def batch(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return list(chain.from_iterable(runner.batch([calls, []])))


async def abatch(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return list(chain.from_iterable(await runner.abatch([calls, []])))


async def stream(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return list(chain.from_iterable(runner.stream(calls)))


async def astream(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return await a_list(runner.astream(calls))


async def transform(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return list(chain.from_iterable(runner.transform(iter([[call] for call in calls]))))


async def atransform(runner: ToolMap, calls: list[Call]) -> list[ToolMessage]:
    return await a_list(runner.atransform(a_iter([call] for call in calls)))


Run = Callable[[ToolMap, list[Call]], Awaitable[list[ToolMessage]]]
WHOLE: list[Run] = [invoke, ainvoke, batch, abatch]
STREAMED: list[Run] = [stream, astream, transform, atransform]
every_way = pytest.mark.parametrize("run", [*WHOLE, *STREAMED])


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def fail() -> None:
    """Fail."""
    raise ValueError("no luck")


def never() -> None:
    """Do not run."""
    pytest.fail("it ran")


class TestEveryCall:
    CALLS = (
        good("a", "add", a=1, b=2),
        good("b", "fail"),
        good("c", "delete"),
        bad("d", "never", "{", "It was cut."),
        good("e", "add", a="x", b=2),
        good(None, "add", a=5, b=6),
        good("f", "add", a=3, b=4),
    )

    @every_way
    async def test_is_answered_once_and_failures_stay_alone(self, run: Run) -> None:
        runner = ToolSet([add, fail, never]).map(order="called")
        messages = await run(runner, list(self.CALLS))
        assert [m.content if m.status == "success" else None for m in messages] == [
            "3", None, None, None, None, "11", "7",
        ]  # fmt: skip
        made = messages[5].tool_call_id
        assert [m.tool_call_id for m in messages] == ["a", "b", "c", "d", "e", made, "f"]
        assert made
        assert "no luck" in messages[1].content
        assert "delete is not a valid tool" in messages[2].content
        assert "It was cut." in messages[3].content

    @pytest.mark.parametrize("run", WHOLE)
    async def test_is_answered_in_the_models_order_by_invoke(self, run: Run) -> None:
        runner = ToolSet([add, fail, never]).map()
        messages = await run(runner, list(self.CALLS))
        ids = [m.tool_call_id for m in messages]
        assert ids == ["a", "b", "c", "d", "e", ids[5], "f"]

    @pytest.mark.parametrize("run", STREAMED)
    async def test_is_answered_by_a_stream_as_by_invoke(self, run: Run) -> None:
        """Only the order is its own."""
        runner = ToolSet([add, fail, never]).map()
        calls = [call for call in self.CALLS if call["id"]]
        streamed = await run(runner, calls)
        assert sorted(streamed, key=lambda m: m.tool_call_id) == runner.invoke(calls)

    async def test_of_many_lists(self) -> None:
        runner = ToolSet([add]).map()
        lists = [[good("a", "add", a=1, b=2)], [], [good("b", "add", a=3, b=4)]]
        expected = [[("a", "3")], [], [("b", "7")]]
        assert [contents(messages) for messages in runner.batch(lists)] == expected
        assert [contents(messages) for messages in await runner.abatch(lists)] == expected

    @pytest.mark.parametrize(
        "calls",
        [
            [good("a", "never"), bad("a", "never")],
            [bad("a", "never"), good("a", "never")],
            [bad("a", "never"), bad("a", "never")],
        ],
        ids=["taken back", "good again", "bad twice"],
    )
    async def test_that_is_none_in_the_same_list_never_runs(self, calls: list[Call]) -> None:
        runner = ToolSet([never], read_only=True).map()
        batches = [[calls], [calls[:1], calls[1:]]] if calls[0] != good("a", "never") else [[calls]]
        for source in batches:
            for messages in (
                list(chain.from_iterable(runner.transform(iter(source)))),
                await a_list(runner.atransform(a_iter(source))),
            ):
                assert contents(messages) == [("a", None)]
        assert contents(runner.invoke(calls)) == [("a", None)]
        assert contents(await runner.ainvoke(calls)) == [("a", None)]

    @every_way
    async def test_of_no_calls_there_are_no_messages(self, run: Run) -> None:
        assert await run(ToolSet([add]).map(), []) == []

    async def test_that_never_comes_is_an_empty_list(self) -> None:
        """A function behind a stream of nothing would not find its input."""
        llm = ScriptedChat(chunks=[chunk(content="Hello."), chunk(finish_reason="stop")])
        tools = ToolSet([add])
        whole: Runnable[Any, int] = llm | ToolStreamParser(tools) | tools.map() | len
        assert whole.invoke("hi") == 0
        assert list(whole.stream("hi")) == [0]
        assert [count async for count in whole.astream("hi")] == [0]

    @every_way
    async def test_may_be_answered_by_several_messages_at_once(self, run: Run) -> None:
        """As LangGraph's tools do that also update the state."""
        update = Command(update={"seen": True})

        def note(call_id: Annotated[str, InjectedToolCallId]) -> Any:
            """Note."""
            return [ToolMessage("Noted.", tool_call_id=call_id), update]

        message, command = await run(ToolSet([note]).map(), [good("a", "note")])
        assert (message.content, message.tool_call_id) == ("Noted.", "a")
        assert command is update

    @every_way
    async def test_is_answered_under_its_own_id(self, run: Run) -> None:
        """Whatever id a tool gives the message that it makes."""

        def note() -> ToolMessage:
            """Note."""
            return ToolMessage("Noted.", tool_call_id="")

        (message,) = await run(ToolSet([note]).map(), [good("a", "note")])
        assert (message.content, message.tool_call_id) == ("Noted.", "a")

    @every_way
    async def test_is_answered_when_its_tool_cancels_itself(self, run: Run) -> None:
        def leave() -> None:
            """Leave."""
            raise asyncio.CancelledError

        (message,) = await run(ToolSet([leave]).map(), [good("a", "leave")])
        assert (message.status, message.tool_call_id) == ("error", "a")
        assert "cancelled itself" in message.content

    async def test_that_raises_raises_and_stops_the_others(self, tasks: Tasks) -> None:
        async def ask() -> None:
            """Ask a human."""
            await within(tasks.started["a"].wait())
            raise GraphInterrupt(())

        tools = ToolSet([*tasks.set(), ask])
        with pytest.raises(GraphInterrupt):
            await within(tools.map().ainvoke([write("a"), good("b", "ask")]))
        assert tasks.cancelled == ["a"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test_that_raises_raises_in_sync(self, threads: Threads) -> None:
        def ask() -> None:
            """Ask a human."""
            assert threads.started["a"].wait(PATIENCE)
            raise GraphInterrupt(())

        tools = ToolSet([*threads.set(), ask])
        with pytest.raises(GraphInterrupt):
            tools.map().invoke([write("a"), good("b", "ask")])
        assert not threads.done["a"].is_set()


class TestOrder:
    async def test_as_they_finish(self, tasks: Tasks) -> None:
        messages = tasks.set().map().astream([write("a"), write("b"), write("c")])
        for key in "cab":
            tasks.open(key)
            assert contents(await within(anext(messages))) == [(key, f"{key} done")]
        assert await a_list(messages) == []

    def test_as_they_finish_in_sync(self, threads: Threads) -> None:
        messages = threads.set().map().stream([write("a"), write("b"), write("c")])
        for key in "cab":
            threads.open(key)
            assert contents(next(messages)) == [(key, f"{key} done")]
        assert list(messages) == []

    async def test_as_called(self, tasks: Tasks) -> None:
        found: list[ToolMessage] = []

        async def consume() -> None:
            runner = tasks.set().map(order="called")
            async for messages in runner.astream([write("a"), write("b"), write("c")]):
                found.extend(messages)

        consumer = asyncio.create_task(consume())
        tasks.open("c")
        assert await comes_true(lambda: tasks.finished == ["c"])
        assert found == []
        tasks.open("a")
        assert await comes_true(lambda: len(found) == 1)
        tasks.open("b")
        await within(consumer)
        assert contents(found) == [("a", "a done"), ("b", "b done"), ("c", "c done")]

    def test_as_called_in_sync(self, threads: Threads) -> None:
        messages = threads.set().map(order="called").transform(self.opening(threads))
        assert contents(chain.from_iterable(messages)) == [("a", "a done"), ("b", "b done")]

    def opening(self, threads: Threads) -> Iterator[list[Call]]:
        yield [write("a"), write("b")]
        threads.open("b")
        assert threads.done["b"].wait(PATIENCE)
        yield []
        threads.open("a")

    @pytest.mark.parametrize("order", ["completed", "called"])
    async def test_invoke_always_gives_the_models(self, tasks: Tasks, order: Any) -> None:
        runner = tasks.set().map(order=order)
        invoked = asyncio.create_task(runner.ainvoke([write("a"), write("b")]))
        tasks.open("b")
        assert await comes_true(lambda: tasks.finished == ["b"])
        tasks.open("a")
        assert contents(await within(invoked)) == [("a", "a done"), ("b", "b done")]


class TestEarly:
    async def test_a_tool_starts_and_answers_while_its_input_goes_on(self, tasks: Tasks) -> None:
        answered = asyncio.Event()
        tasks.open("a")

        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a")]
            await within(answered.wait())
            tasks.open("b")
            yield [read("b")]

        found = []
        async for messages in tasks.set().map().atransform(source()):
            found += contents(messages)
            answered.set()
        assert found == [("a", "a done"), ("b", "b done")]

    async def test_the_input_goes_on_while_a_tool_runs(self, tasks: Tasks) -> None:
        async def source() -> AsyncIterator[list[Call]]:
            yield [write("a")]
            await within(tasks.started["a"].wait())
            yield [write("b")]
            await within(tasks.started["b"].wait())
            tasks.open("b", "a")

        messages = await within(a_list(tasks.set().map().atransform(source())))
        assert sorted(contents(messages)) == [("a", "a done"), ("b", "b done")]

    def test_in_sync_a_tool_finishes_before_the_next_item_is_produced(
        self, threads: Threads
    ) -> None:
        produced = []
        threads.open("a", "b")

        def source() -> Iterator[list[Call]]:
            yield [read("a")]
            assert threads.done["a"].wait(PATIENCE)
            produced.append("b")
            yield [read("b")]
            assert threads.done["b"].wait(PATIENCE)
            produced.append("end")

        messages = threads.set().map().transform(source())
        assert contents(chain.from_iterable(messages)) == [("a", "a done"), ("b", "b done")]
        assert produced == ["b", "end"]

    def test_in_sync_a_message_comes_out_with_a_later_item(self, threads: Threads) -> None:
        answered = ended = False

        def source() -> Iterator[list[Call]]:
            nonlocal ended
            yield [read("a")]
            threads.open("a")
            yield from nothing_until(lambda: answered)
            ended = True

        for messages in threads.set().map().transform(source()):
            assert contents(messages) == [("a", "a done")]
            assert not ended
            answered = True
        assert ended

    async def test_behind_a_parser_in_the_middle_of_the_message(self, tasks: Tasks) -> None:
        """The whole of it: a tool is called, run and answered before the model stops."""
        tools = tasks.set()
        answered = asyncio.Event()
        tasks.open("a", "b")

        async def says() -> AsyncIterator[AIMessageChunk]:
            for one in written(0, "a", "read", '{"key": "a"}'):
                yield one
            await within(answered.wait())
            for one in written(1, "b", "write", '{"key": "b"}'):
                yield one
            assert not tasks.started["b"].is_set()
            yield chunk(finish_reason="tool_calls")

        found = []
        async for messages in (ToolStreamParser(tools) | tools.map()).atransform(says()):
            found += contents(messages)
            answered.set()
        assert found == [("a", "a done"), ("b", "b done")]


class TestTakenBack:
    async def test_while_its_tool_runs(self, tasks: Tasks) -> None:
        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a")]
            await within(tasks.started["a"].wait())
            yield [taken_back("a")]
            assert await comes_true(lambda: tasks.cancelled == ["a"])
            tasks.open("b")
            yield [read("b")]

        messages = await within(a_list(tasks.set().map().atransform(source())))
        assert contents(messages) == [("a", None), ("b", "b done")]
        assert "changed its mind" in messages[0].content
        assert messages[0].artifact is None

    async def test_by_a_tool_that_does_not_let_itself_be_stopped(self) -> None:
        started = asyncio.Event()

        async def stubborn(how: str) -> str:
            """Go on."""
            started.set()
            try:
                await within(asyncio.Event().wait())
            except asyncio.CancelledError:
                if how == "raise":
                    raise ValueError("not now") from None
            return "done anyway"

        async def source(how: str) -> AsyncIterator[list[Call]]:
            started.clear()
            yield [good("a", "stubborn", how=how)]
            await within(started.wait())
            yield [bad("a", "stubborn")]

        runner = ToolSet([stubborn], read_only=True, handle_tool_errors=False).map()
        for how in ("raise", "return"):
            messages = await within(a_list(runner.atransform(source(how))))
            assert contents(messages) == [("a", None)]

    async def test_is_stopped_once_and_may_clean_up(self) -> None:
        """A second cancellation would break off what the tool does about the first."""
        started, stopping, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()
        may_clean = asyncio.Event()

        async def tidy() -> None:
            """Clean up."""
            started.set()
            try:
                await within(asyncio.Event().wait())
            finally:
                stopping.set()
                await within(may_clean.wait())
                cleaned.set()

        async def source() -> AsyncIterator[list[Call]]:
            yield [good("a", "tidy")]
            await within(started.wait())
            yield [bad("a", "tidy")]
            await within(stopping.wait())
            yield []
            yield [bad("b", "tidy")]
            may_clean.set()

        runner = ToolSet([tidy], read_only=True).map()
        messages = await within(a_list(runner.atransform(source())))
        assert contents(messages) == [("a", None), ("b", None)]
        assert cleaned.is_set()

    async def test_when_its_message_is_out(self, tasks: Tasks) -> None:
        answered = asyncio.Event()
        tasks.open("a")

        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a")]
            await within(answered.wait())
            yield [taken_back("a")]

        found = []
        async for messages in tasks.set().map().atransform(source()):
            found += contents(messages)
            answered.set()
        assert found == [("a", "a done")]

    async def test_when_its_message_waits_for_another(self, tasks: Tasks) -> None:
        tasks.open("b")

        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a"), read("b")]
            assert await comes_true(lambda: tasks.finished == ["b"])
            yield [taken_back("b")]
            tasks.open("a")

        runner = tasks.set().map(order="called")
        messages = await within(a_list(runner.atransform(source())))
        assert contents(messages) == [("a", "a done"), ("b", None)]

    def test_while_its_tool_runs_in_a_thread(self, threads: Threads) -> None:
        """The thread cannot be stopped; nobody waits for it, and nobody hears it."""

        def source() -> Iterator[list[Call]]:
            yield [read("a")]
            assert threads.started["a"].wait(PATIENCE)
            yield [taken_back("a")]
            threads.open("b")
            yield [read("b")]

        messages = list(chain.from_iterable(threads.set().map().transform(source())))
        assert contents(messages) == [("a", None), ("b", "b done")]
        assert not threads.done["a"].is_set()

    def test_and_its_thread_then_fails(self, threads: Threads) -> None:
        def stumble() -> None:
            """Fail late."""
            threads.work("a")
            raise ValueError("too late to matter")

        def source() -> Iterator[list[Call]]:
            yield [good("a", "stumble")]
            assert threads.started["a"].wait(PATIENCE)
            yield [bad("a", "stumble")]
            threads.open("a", "b")
            yield [read("b")]  # in the same thread, so behind the failure

        tools = ToolSet([*threads.set(), stumble], handle_tool_errors=False)
        messages = tools.map().transform(source(), {"max_concurrency": 1})
        assert contents(chain.from_iterable(messages)) == [("a", None), ("b", "b done")]

    def test_in_a_thread_when_its_message_is_out(self, threads: Threads) -> None:
        answered = False
        threads.open("a")

        def source() -> Iterator[list[Call]]:
            yield [read("a")]
            yield from nothing_until(lambda: answered)
            yield [taken_back("a")]

        found = []
        for messages in threads.set().map().transform(source()):
            found += contents(messages)
            answered = True
        assert found == [("a", "a done")]

    async def test_by_a_parser_that_raises(self, tasks: Tasks) -> None:
        """With `on_invalid="raise"` nothing but the error says that the call was none."""
        tools = tasks.set()

        async def says() -> AsyncIterator[AIMessageChunk]:
            for one in written(0, "a", "read", '{"key": "a"}'):
                yield one
            await within(tasks.started["a"].wait())
            yield chunk(part('{"key": "b"}', index=0))
            yield chunk(finish_reason="tool_calls")

        messages = (ToolStreamParser(tools, on_invalid="raise") | tools.map()).atransform(says())
        assert contents(await within(anext(messages))) == [("a", None)]
        with pytest.raises(ToolCallError):
            await within(anext(messages))
        assert tasks.cancelled == ["a"]


class TestAtOnce:
    CALLS = tuple(write(key) for key in "abcd")

    @pytest.mark.parametrize("in_pieces", [False, True])
    async def test_no_more_than_max_concurrency(self, tasks: Tasks, *, in_pieces: bool) -> None:
        batches = [[call] for call in self.CALLS] if in_pieces else [list(self.CALLS)]
        messages = tasks.set().map().atransform(a_iter(batches), {"max_concurrency": 2})
        found = []
        for key in "abcd":
            tasks.open(key)
            found += contents(await within(anext(messages)))
        assert await a_list(messages) == []
        assert sorted(found) == [(key, f"{key} done") for key in "abcd"]
        assert tasks.peak == 2

    async def test_all_of_them_without_it(self, tasks: Tasks) -> None:
        invoked = asyncio.create_task(tasks.set().map().ainvoke(list(self.CALLS)))
        for key in "abcd":
            await within(tasks.started[key].wait())
        assert tasks.running == 4
        tasks.open(*"abcd")
        assert len(await within(invoked)) == 4

    async def test_no_more_in_invoke_either(self, tasks: Tasks) -> None:
        config: RunnableConfig = {"max_concurrency": 1}
        invoked = asyncio.create_task(tasks.set().map().ainvoke(list(self.CALLS), config))
        for key in "abcd":
            await within(tasks.started[key].wait())
            assert tasks.running == 1
            tasks.open(key)
        assert len(await within(invoked)) == 4
        assert tasks.peak == 1

    @pytest.mark.parametrize("limit", [1, 2])
    def test_no_more_than_max_concurrency_in_sync(self, threads: Threads, limit: int) -> None:
        config: RunnableConfig = {"max_concurrency": limit}
        messages = threads.set().map().transform(iter([list(self.CALLS)]), config)
        found = []
        for key in "abcd":
            threads.open(key)
            found += contents(next(messages))
        assert list(messages) == []
        assert sorted(found) == [(key, f"{key} done") for key in "abcd"]
        assert threads.peak <= limit

    def test_as_many_as_max_concurrency_in_sync(self, threads: Threads) -> None:
        def source() -> Iterator[list[Call]]:
            yield list(self.CALLS)
            assert threads.started["a"].wait(PATIENCE)
            assert threads.started["b"].wait(PATIENCE)
            assert not threads.started["c"].is_set()
            threads.open(*"abcd")

        config: RunnableConfig = {"max_concurrency": 2}
        messages = chain.from_iterable(threads.set().map().transform(source(), config))
        assert len(list(messages)) == 4
        assert threads.peak == 2

    async def test_one_that_was_taken_back_before_its_turn_never_starts(self, tasks: Tasks) -> None:
        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a"), read("b"), read("c")]
            await within(tasks.started["a"].wait())
            yield [taken_back("b")]
            tasks.open("a", "b", "c")

        config: RunnableConfig = {"max_concurrency": 1}
        messages = await within(a_list(tasks.set().map().atransform(source(), config)))
        assert contents(messages) == [("b", None), ("a", "a done"), ("c", "c done")]
        assert not tasks.started["b"].is_set()

    def test_one_that_was_taken_back_before_its_turn_never_starts_in_sync(
        self, threads: Threads
    ) -> None:
        def source() -> Iterator[list[Call]]:
            yield [read("a"), read("b"), read("c")]
            assert threads.started["a"].wait(PATIENCE)
            yield [taken_back("b")]
            threads.open("a", "b", "c")

        config: RunnableConfig = {"max_concurrency": 1}
        messages = chain.from_iterable(threads.set().map().transform(source(), config))
        assert contents(messages) == [("b", None), ("a", "a done"), ("c", "c done")]
        assert not threads.started["b"].is_set()


class TestATimeout:
    async def test_leaves_the_others_alone(self, tasks: Tasks) -> None:
        tasks.open("b")
        invoked = asyncio.create_task(
            tasks.set(timeout={"write": 10}).map().ainvoke([write("a"), read("b")])
        )
        await within(tasks.started["a"].wait())
        pass_time(10)
        messages = await invoked
        assert contents(messages) == [("a", None), ("b", "b done")]
        assert "10 seconds" in messages[0].content
        assert tasks.cancelled == ["a"]

    def test_leaves_the_others_alone_in_sync(self, threads: Threads) -> None:
        threads.open("b")
        messages = threads.set(timeout={"write": 0.25}).map().invoke([write("a"), read("b")])
        assert contents(messages) == [("a", None), ("b", "b done")]
        assert "0.25 seconds" in messages[0].content
        assert not threads.done["a"].is_set()

    @pytest.mark.parametrize("run", ["invoke", "ainvoke"])
    async def test_gives_the_place_to_the_next(self, threads: Threads, run: str) -> None:
        """Or one tool that hangs would hold up all others for good."""
        threads.open("b")
        runner = threads.set(timeout={"write": 0.25}).map()
        config: RunnableConfig = {"max_concurrency": 1}
        calls = [write("a"), read("b")]
        if run == "invoke":
            messages = await within(asyncio.to_thread(runner.invoke, calls, config))
        else:
            messages = await within(runner.ainvoke(calls, config))
        assert contents(messages) == [("a", None), ("b", "b done")]
        assert not threads.done["a"].is_set()
        threads.open("a")  # an event loop waits for its threads when it closes


class TestAnInputThatBreaks:
    async def test_stops_what_only_a_read_only_tool_may_have_begun(self, tasks: Tasks) -> None:
        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a"), write("b")]
            await within(tasks.started["a"].wait())
            await within(tasks.started["b"].wait())
            raise ConnectionError("gone")

        messages = tasks.set().map().atransform(source())
        (message,) = await within(anext(messages))
        assert contents([message]) == [("a", None)]
        assert "gone" in message.content
        tasks.open("a", "b")
        assert contents(await within(anext(messages))) == [("b", "b done")]
        with pytest.raises(ConnectionError, match="gone"):
            await within(anext(messages))
        assert tasks.cancelled == ["a"]

    def test_stops_what_only_a_read_only_tool_may_have_begun_in_sync(
        self, threads: Threads
    ) -> None:
        def source() -> Iterator[list[Call]]:
            yield [read("a"), write("b")]
            assert threads.started["a"].wait(PATIENCE)
            assert threads.started["b"].wait(PATIENCE)
            raise ConnectionError("gone")

        messages = threads.set().map().transform(source())
        (message,) = next(messages)
        assert contents([message]) == [("a", None)]
        assert "gone" in message.content
        threads.open("b")
        assert contents(next(messages)) == [("b", "b done")]
        with pytest.raises(ConnectionError, match="gone"):
            next(messages)
        assert not threads.done["a"].is_set()

    async def test_lets_all_finish_when_the_message_had_ended(self, tasks: Tasks) -> None:
        error = ToolCallError([], [bad("c", "write")])

        async def source() -> AsyncIterator[list[Call]]:
            yield [read("a"), write("b")]
            raise error

        messages = tasks.set().map(order="called").atransform(source())
        for key in "ab":
            tasks.open(key)
            assert contents(await within(anext(messages))) == [(key, f"{key} done")]
        with pytest.raises(ToolCallError) as caught:
            await within(anext(messages))
        assert caught.value is error

    def test_lets_all_finish_when_the_message_had_ended_in_sync(self, threads: Threads) -> None:
        error = ToolCallError([], [bad("c", "write")])

        def source() -> Iterator[list[Call]]:
            yield [read("a"), write("b")]
            raise error

        messages = threads.set().map(order="called").transform(source())
        for key in "ab":
            threads.open(key)
            assert contents(next(messages)) == [(key, f"{key} done")]
        with pytest.raises(ToolCallError) as caught:
            next(messages)
        assert caught.value is error

    async def test_at_once_breaks_at_once(self) -> None:
        def source() -> Iterator[list[Call]]:
            raise ConnectionError("gone")
            yield []

        async def a_source() -> AsyncIterator[list[Call]]:
            raise ConnectionError("gone")
            yield []

        with pytest.raises(ConnectionError):
            next(ToolSet([add]).map().transform(source()))
        with pytest.raises(ConnectionError):
            await anext(ToolSet([add]).map().atransform(a_source()))


class Source:
    """An input that gives its lists, then waits for good, and says when it was closed."""

    def __init__(self, *batches: list[Call]) -> None:
        self.batches = batches
        self.waiting = asyncio.Event()
        self.closed = False
        self.lists = self._give()  # kept here, so that nothing closes it by dropping it

    async def _give(self) -> AsyncIterator[list[Call]]:
        try:
            for one in self.batches:
                yield one
            self.waiting.set()
            await within(asyncio.Event().wait())
        finally:
            self.closed = True


class TestWhoStopsWhom:
    async def test_cancelling_the_consumer_stops_all(self, tasks: Tasks) -> None:
        source = Source([write("a")], [write("b")])
        consumer = asyncio.create_task(a_list(tasks.set().map().atransform(source.lists)))
        await within(tasks.started["b"].wait())
        await within(source.waiting.wait())
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(consumer)
        assert sorted(tasks.cancelled) == ["a", "b"]
        assert source.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_cancellation_that_is_repeated_stops_all(self, tasks: Tasks) -> None:
        """As anyio's scopes do, and with them every response of Starlette's whose client leaves."""
        source = Source([write("a")], [write("b")])
        async with anyio.create_task_group() as group:
            group.start_soon(a_list, tasks.set().map().atransform(source.lists))
            await within(tasks.started["b"].wait())
            await within(source.waiting.wait())
            group.cancel_scope.cancel()
        assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert sorted(tasks.cancelled) == ["a", "b"]
        assert source.closed

    async def test_cancelling_ainvoke_stops_all(self, tasks: Tasks) -> None:
        invoked = asyncio.create_task(tasks.set().map().ainvoke([write("a"), write("b")]))
        await within(tasks.started["b"].wait())
        invoked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(invoked)
        assert sorted(tasks.cancelled) == ["a", "b"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_aclose_stops_all(self, tasks: Tasks) -> None:
        source = Source([write("a"), write("b")])
        messages: Any = tasks.set().map().atransform(source.lists)
        tasks.open("a")
        assert contents(await within(anext(messages))) == [("a", "a done")]
        await within(source.waiting.wait())
        await within(messages.aclose())
        assert tasks.cancelled == ["b"]
        assert source.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_aclose_closes_an_input_that_waits_for_nothing(self) -> None:
        source = Source([bad("a", "add")], [bad("b", "add")], [bad("c", "add")])
        messages: Any = ToolSet([add]).map().atransform(source.lists)
        assert contents(await within(anext(messages))) == [("a", None)]
        await within(messages.aclose())
        assert source.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_aclose_stops_all_when_the_input_has_ended(self, tasks: Tasks) -> None:
        messages: Any = tasks.set().map().astream([write("a"), write("b")])
        tasks.open("a")
        assert contents(await within(anext(messages))) == [("a", "a done")]
        await within(messages.aclose())
        assert tasks.cancelled == ["b"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_aclose_ends_the_run(self, tasks: Tasks) -> None:
        collector = RunCollectorCallbackHandler()
        config: RunnableConfig = {"callbacks": [collector]}
        messages: Any = tasks.set().map().atransform(a_iter([[write("a"), write("b")]]), config)
        tasks.open("a")
        assert contents(await within(anext(messages))) == [("a", "a done")]
        await within(messages.aclose())
        (run,) = collector.traced_runs
        assert run.name == "ToolMap"
        assert run.end_time is not None

    async def test_leaving_a_chain_stops_all(self, tasks: Tasks) -> None:
        tools = tasks.set()
        closed = False

        async def says() -> AsyncIterator[AIMessageChunk]:
            nonlocal closed
            try:
                for key in "ab":
                    for one in written(ord(key), key, "read", f'{{"key": "{key}"}}'):
                        yield one
                await within(asyncio.Event().wait())
            finally:
                closed = True

        tasks.open("a")
        async for messages in (ToolStreamParser(tools) | tools.map()).atransform(says()):
            assert contents(messages) == [("a", "a done")]
            break
        assert await comes_true(lambda: closed and tasks.running == 0)
        assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert tasks.cancelled == (["b"] if tasks.started["b"].is_set() else [])

    def test_close_closes_the_input_and_leaves_only_a_held_thread(self, threads: Threads) -> None:
        before = set(threading.enumerate())
        closed = False

        def source() -> Iterator[list[Call]]:
            nonlocal closed
            try:
                yield [write("a"), write("b")]
                assert threads.started["b"].wait(PATIENCE)
                threads.open("a")
                yield from nothing_until(lambda: False)
            finally:
                closed = True

        lists = source()  # kept here, so that nothing closes it by dropping it
        messages: Any = threads.set().map().transform(lists)
        assert contents(next(messages)) == [("a", "a done")]
        messages.close()
        assert closed
        held = threads.threads["b"]
        for thread in set(threading.enumerate()) - before - {held}:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert held.is_alive()
        threads.open("b")
        held.join(PATIENCE)
        assert not held.is_alive()

    def test_close_keeps_waiting_calls_from_starting(self, threads: Threads) -> None:
        def source() -> Iterator[list[Call]]:
            yield [write("a"), write("b")]
            assert threads.started["a"].wait(PATIENCE)
            yield [bad("c", "write")]

        messages: Any = threads.set().map().transform(source(), {"max_concurrency": 1})
        assert contents(next(messages)) == [("c", None)]
        messages.close()
        threads.open("a", "b")
        threads.threads["a"].join(PATIENCE)
        assert not threads.threads["a"].is_alive()
        assert not threads.started["b"].is_set()


def look() -> str:
    """Look."""
    return user.get()


async def a_look() -> str:
    """Look."""
    return user.get()


user: ContextVar[str] = ContextVar("user")


class TestRuns:
    @pytest.mark.parametrize("coroutine", [a_look, None], ids=["coroutine", "function"])
    @every_way
    async def test_contextvars_reach_the_tools(
        self, run: Run, coroutine: Callable[[], Awaitable[str]] | None
    ) -> None:
        tools = ToolSet([StructuredTool.from_function(look, coroutine=coroutine, name="look")])
        token = user.set("Ann")
        try:
            messages = await run(tools.map(), [good("a", "look"), good("b", "look")])
        finally:
            user.reset(token)
        assert sorted(contents(messages)) == [("a", "Ann"), ("b", "Ann")]

    async def test_events_of_a_tool_carry_the_id_of_the_call(self) -> None:
        tools = ToolSet([add, fail])
        runner: Runnable[Any, Any] = tools.map(order="called")
        calls = [good("a", "add", a=1, b=2), good("b", "fail")]
        events: list[Any] = [
            event
            async for event in runner.astream_events(
                calls, {"metadata": {"who": "me"}, "tags": ["mine"]}, version="v2"
            )
        ]
        start, end = events[0], events[-1]
        assert [(e["event"], e["name"]) for e in (start, end)] == [
            ("on_chain_start", "ToolMap"),
            ("on_chain_end", "ToolMap"),
        ]
        of_tools = [event for event in events if event["event"].startswith("on_tool")]
        assert sorted((e["event"], e["name"], e["metadata"]["tool_call_id"]) for e in of_tools) == [
            ("on_tool_end", "add", "a"),
            ("on_tool_error", "fail", "b"),
            ("on_tool_start", "add", "a"),
            ("on_tool_start", "fail", "b"),
        ]
        for event in of_tools:
            assert event["parent_ids"] == [start["run_id"]]
            assert event["metadata"]["who"] == "me"
        streamed = [e["data"]["chunk"] for e in events if e["event"] == "on_chain_stream"]
        assert [contents(messages) for messages in streamed] in (
            [[("a", "3")], [("b", None)]],
            [[("a", "3"), ("b", None)]],
        )
        assert contents(end["data"]["output"]) == [("a", "3"), ("b", None)]
        (tool_end,) = [event for event in of_tools if event["event"] == "on_tool_end"]
        assert contents([tool_end["data"]["output"]]) == [("a", "3")]

    async def test_the_events_of_a_chain_are_in_order(self) -> None:
        tools = ToolSet([add], read_only=True)
        llm = ScriptedChat(
            chunks=[
                *written(0, "a", "add", '{"a": 1, "b": 2}'),
                chunk(finish_reason="tool_calls"),
            ]
        )
        whole: Runnable[Any, Any] = llm | ToolStreamParser(tools) | tools.map()
        names = [
            (event["event"], event["name"])
            async for event in whole.astream_events("hi", version="v2")
        ]
        firsts = [
            ("on_chain_start", "RunnableSequence"),
            ("on_chat_model_start", "ScriptedChat"),
            ("on_parser_start", "ToolStreamParser"),
            ("on_parser_stream", "ToolStreamParser"),
            ("on_chain_start", "ToolMap"),
            ("on_tool_start", "add"),
            ("on_tool_end", "add"),
            ("on_chain_stream", "ToolMap"),
            ("on_chain_end", "ToolMap"),
            ("on_chain_end", "RunnableSequence"),
        ]
        assert [names.index(name) for name in firsts] == sorted(map(names.index, firsts))

    @pytest.mark.parametrize("run", ["invoke", "ainvoke", "transform", "atransform"])
    async def test_the_trace_has_the_calls_and_the_messages(self, run: str) -> None:
        collector = RunCollectorCallbackHandler()
        config: RunnableConfig = {"callbacks": [collector]}
        runner = ToolSet([add]).map(order="called")
        calls = [good("a", "add", a=1, b=2), good("b", "add", a=3, b=4)]
        match run:
            case "invoke":
                runner.invoke(calls, config)
            case "ainvoke":
                await runner.ainvoke(calls, config)
            case "transform":
                list(runner.transform(iter([calls[:1], calls[1:]]), config))
            case "atransform":
                await a_list(runner.atransform(a_iter([calls[:1], calls[1:]]), config))
        (traced,) = collector.traced_runs
        assert traced.name == "ToolMap"
        assert traced.inputs == {"input": calls}
        assert contents((traced.outputs or {})["output"]) == [("a", "3"), ("b", "7")]
        assert sorted(child.metadata["tool_call_id"] for child in traced.child_runs) == ["a", "b"]
        assert {child.run_type for child in traced.child_runs} == {"tool"}

    async def test_name_and_tags_can_be_set(self) -> None:
        runner = ToolSet([add]).map().with_config(run_name="all of them", tags=["mine"])
        events = [
            event
            async for event in runner.astream_events([good("a", "add", a=1, b=2)], version="v2")
        ]
        assert events[0]["name"] == "all of them"
        assert all("mine" in event["tags"] for event in events if event["name"] == "all of them")


class TestWrongInput:
    @pytest.mark.parametrize(
        "wrong",
        [
            AIMessage(content="", tool_calls=[good("a", "add", a=1, b=2)]),
            "add",
            good("a", "add", a=1, b=2),
            [{"type": "add", "args": {"a": 1, "b": 2}}],  # JsonOutputToolsParser
            [{"a": 1, "b": 2}],  # JsonOutputKeyToolsParser
            [{"name": "add", "args": {"a": 1, "b": 2}}],
            [{"name": "add", "id": "a"}],
            ["add"],
            None,
        ],
        ids=[
            *("message", "text", "call", "no call", "arguments", "no id", "no args", "names"),
            "none",
        ],
    )
    async def test_is_a_type_error_that_says_what_to_do(self, wrong: Any) -> None:
        runner = ToolSet([add]).map()
        with says_what_to_do():
            runner.invoke(wrong)
        with says_what_to_do():
            await runner.ainvoke(wrong)
        if wrong is not None:
            with says_what_to_do():
                list(runner.stream(wrong))
            with says_what_to_do():
                await a_list(runner.astream(wrong))
            with says_what_to_do():
                list(runner.transform(iter([[], wrong])))
            with says_what_to_do():
                await a_list(runner.atransform(a_iter([[], wrong])))

    async def test_later_on_stops_what_runs(self, tasks: Tasks) -> None:
        async def source() -> AsyncIterator[Any]:
            yield [write("a")]
            await within(tasks.started["a"].wait())
            yield "b"

        with says_what_to_do():
            await within(a_list(tasks.set().map().atransform(source())))
        assert tasks.cancelled == ["a"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @pytest.mark.parametrize("limit", [0, -1, "2", 1.5, True])
    async def test_is_a_limit_that_is_none(self, limit: Any) -> None:
        runner = ToolSet([add]).map()
        config: RunnableConfig = {"max_concurrency": limit}
        for run in (map_run, map_stream, map_arun, map_astream):
            with pytest.raises(ValueError, match="max_concurrency has to be an integer above 0"):
                await run(runner, [good("a", "add", a=1, b=2)], config)


async def map_run(runner: ToolMap, calls: list[Call], config: "RunnableConfig") -> None:
    runner.invoke(calls, config)


async def map_stream(runner: ToolMap, calls: list[Call], config: "RunnableConfig") -> None:
    list(runner.stream(calls, config))


async def map_arun(runner: ToolMap, calls: list[Call], config: "RunnableConfig") -> None:
    await runner.ainvoke(calls, config)


async def map_astream(runner: ToolMap, calls: list[Call], config: "RunnableConfig") -> None:
    await a_list(runner.astream(calls, config))


@contextmanager
def says_what_to_do() -> Iterator[None]:
    with pytest.raises(TypeError, match=r"ToolStreamParser|Write \[call\]"):
        yield


def test_repr_shows_what_is_mapped() -> None:
    assert repr(ToolSet([add]).map(order="called")) == "ToolSet(add).map(order='called')"
