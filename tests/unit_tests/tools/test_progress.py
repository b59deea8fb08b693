"""Tools that are generators: their yields are progress, and someone closes them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langchain_toolstream import ArtifactTool, ToolSet, artifact_tool
from langchain_toolstream.core.events import TOOL_PROGRESS
from tests.unit_tests.scripted import PATIENCE, Call, bad, good, pass_time

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def returns(to: int) -> Iterator[str]:
    """Work."""
    yield "one"
    yield "two"
    return "done"


def only_yields(to: int) -> Iterator[str]:
    """Work."""
    yield "one"
    yield "done"


async def areturns(to: int) -> AsyncIterator[str]:
    """Work."""
    yield "one"
    yield "done"


def hands_on(to: int) -> Iterator[str]:
    """Work."""
    return returns(to)


async def ahands_on(to: int) -> AsyncIterator[str]:
    """Work."""
    return areturns(to)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Returns(ArtifactTool):
    name: str = "work"
    description: str = "Work."

    def _run(self, to: int) -> Any:
        return (yield from returns(to))


class AReturns(ArtifactTool):
    name: str = "work"
    description: str = "Work."

    def _run(self, to: int) -> Any:
        return "sync"

    async def _arun(self, to: int) -> Any:
        async for one in areturns(to):
            yield one


KINDS: dict[str, tuple[BaseTool | Callable[..., Any], list[str]]] = {
    "function": (returns, ["one", "two"]),
    "function that only yields": (only_yields, ["one", "done"]),
    "async function": (areturns, ["one", "done"]),
    "function that returns a generator": (hands_on, ["one", "two"]),
    "async function that returns a generator": (ahands_on, ["one", "done"]),
    "function behind a decorator": (logged(returns), ["one", "two"]),
    "async function behind a decorator": (logged(areturns), ["one", "done"]),
    "tool": (tool(returns), ["one", "two"]),
    "tool behind a decorator": (tool(logged(returns)), ["one", "two"]),
    "async tool behind a decorator": (tool(logged(areturns)), ["one", "done"]),
    "async tool": (tool(areturns), ["one", "done"]),
    "artifact_tool": (artifact_tool(returns), ["one", "two"]),
    "async artifact_tool": (artifact_tool(areturns), ["one", "done"]),
    "artifact_tool that returns a generator": (artifact_tool(hands_on), ["one", "two"]),
    "async artifact_tool that returns a generator": (artifact_tool(ahands_on), ["one", "done"]),
    "ArtifactTool": (Returns(), ["one", "two"]),
    "async ArtifactTool": (AReturns(), ["one", "done"]),
}


class Progress(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


def heard(name: str, call_id: str | None, yielded: list[str]) -> list[tuple[str, Any]]:
    return [
        (TOOL_PROGRESS, {"tool_call_id": call_id, "name": name, "data": data}) for data in yielded
    ]


class TestProgress:
    def test_has_the_name_that_readers_know(self) -> None:
        assert TOOL_PROGRESS == "tool_progress"

    @pytest.mark.parametrize("kind", KINDS)
    async def test_is_told_with_the_id_of_the_call(self, kind: str) -> None:
        made, yielded = KINDS[kind]
        tools = ToolSet([made])
        name = tools[0].name
        call = good("call_1", name, to=1)
        ways: list[Any] = [tools, tools.map()]
        for way in ways:
            progress = Progress()
            config: RunnableConfig = {"callbacks": [progress]}
            given = call if way is tools else [call]
            answer = await way.ainvoke(given, config)
            message = answer if way is tools else answer[0]
            assert (message.content, message.status) == ("done", "success")
            assert progress.events == heard(name, "call_1", yielded)

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if "async" not in kind])
    def test_is_told_with_the_id_of_the_call_in_sync(self, kind: str) -> None:
        made, yielded = KINDS[kind]
        tools = ToolSet([made])
        name = tools[0].name
        progress = Progress()
        config: RunnableConfig = {"callbacks": [progress]}
        assert tools.invoke(good("call_1", name, to=1), config).content == "done"
        assert tools.map().invoke([good("call_2", name, to=1)], config)[0].content == "done"
        assert progress.events == [
            *heard(name, "call_1", yielded),
            *heard(name, "call_2", yielded),
        ]

    @pytest.mark.parametrize("one", [artifact_tool(returns), Returns()])
    async def test_of_an_artifact_tool_needs_no_tool_set(self, one: BaseTool) -> None:
        for call_id, given in (("call_1", good("call_1", one.name, to=1)), (None, {"to": 1})):
            progress = Progress()
            config: RunnableConfig = {"callbacks": [progress]}
            one.invoke(given, config)
            await one.ainvoke(given, config)
            assert progress.events == heard(one.name, call_id, ["one", "two"]) * 2

    async def test_of_a_tool_in_a_tool_is_its_own(self) -> None:
        inner = artifact_tool("inner")(returns)

        @artifact_tool
        def outer() -> Iterator[str]:
            """Work."""
            yield "before"
            inner.invoke({"to": 1})
            yield "after"

        progress = Progress()
        ToolSet([outer]).invoke(good("call_1", "outer"), {"callbacks": [progress]})
        assert progress.events == [
            *heard("outer", "call_1", ["before"]),
            *heard("inner", None, ["one", "two"]),
            *heard("outer", "call_1", ["after"]),
        ]

    async def test_is_an_event_of_the_tools_run(self) -> None:
        tools = ToolSet([areturns])
        runner: Any = tools.map()
        events: list[Any] = [
            event
            async for event in runner.astream_events([good("a", "areturns", to=1)], version="v2")
        ]
        custom = [event for event in events if event["event"] == "on_custom_event"]
        (start,) = [event for event in events if event["event"] == "on_tool_start"]
        assert [event["data"]["data"] for event in custom] == ["one", "done"]
        assert {event["run_id"] for event in custom} == {start["run_id"]}
        assert {event["metadata"]["tool_call_id"] for event in custom} == {"a"}

    @pytest.mark.parametrize("kind", ["artifact_tool", "async artifact_tool"])
    async def test_is_an_output_delta_in_a_graph(self, kind: str) -> None:
        made: Any = KINDS[kind][0]
        graph: Any = StateGraph(State).add_node("tools", ToolNode([made])).add_edge(START, "tools")
        call = good("call_1", made.name, to=1)
        parts = graph.compile().astream(
            {"messages": [AIMessage("", tool_calls=[call])]}, stream_mode=["tools", "values"]
        )
        found = [part async for part in parts]
        deltas = [
            (part["tool_call_id"], part["delta"])
            for mode, part in found
            if mode == "tools" and part["event"] == "tool-output-delta"
        ]
        assert deltas == [("call_1", data) for data in KINDS[kind][1]]
        last = found[-1][1]["messages"][-1]
        assert (last.content, last.artifact) == ("done", "done")


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


class TestInAGraph:
    """A `ToolSet` as a node, and as part of one."""

    def graph(self, tools: ToolSet, **kwargs: Any) -> Any:
        async def run(state: State) -> dict[str, Any]:
            return {"messages": await tools.map().ainvoke(state["messages"][-1].tool_calls)}

        graph: Any = StateGraph(State).add_node("tools", run).add_edge(START, "tools")
        return graph.compile(**kwargs)

    async def test_its_messages_and_progress_are_the_graphs(self) -> None:
        graph = self.graph(ToolSet([areturns]))
        message = AIMessage("", tool_calls=[good("a", "areturns", to=1)])
        parts = [
            part
            async for part in graph.astream(
                {"messages": [message]}, stream_mode=["tools", "values"]
            )
        ]
        assert [
            part["delta"] for mode, part in parts if part.get("event") == "tool-output-delta"
        ] == ["one", "done"]
        assert parts[-1][1]["messages"][-1] == ToolMessage(
            "done", name="areturns", tool_call_id="a", id=parts[-1][1]["messages"][-1].id
        )

    async def test_an_interrupt_in_a_tool_stops_the_graph_and_is_answered(self) -> None:
        from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415

        def ask(question: str) -> str:
            """Ask a human."""
            return f"They say {interrupt(question)}."

        async def aask(question: str) -> str:
            """Ask a human."""
            return f"They say {interrupt(question)}."

        for one, name in ((ask, "ask"), (aask, "aask")):
            graph = self.graph(ToolSet([one]), checkpointer=InMemorySaver())
            config = {"configurable": {"thread_id": "1"}}
            message = AIMessage("", tool_calls=[good("a", name, question="Well?")])
            stopped = await graph.ainvoke({"messages": [message]}, config)
            assert [one.value for one in stopped["__interrupt__"]] == ["Well?"]
            done = await graph.ainvoke(Command(resume="yes"), config)
            assert done["messages"][-1].content == "They say yes."


class Held:
    """Generators that wait between two yields, and say when they are closed."""

    def __init__(self) -> None:
        self.yielded = asyncio.Event()
        self.closed: list[str] = []
        self.started, self.gate, self.ended = (threading.Event() for _ in range(3))

    async def agenerate(self) -> AsyncIterator[str]:
        """Wait."""
        try:
            yield "one"
            self.yielded.set()
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)
            yield "two"
        finally:
            self.closed.append("async")

    def generate(self) -> Iterator[str]:
        """Wait."""
        try:
            yield "one"
            self.started.set()
            assert self.gate.wait(PATIENCE)
            yield "two"
            self.closed.append("too far")
        finally:
            self.closed.append("sync")
            self.ended.set()


class TestAGeneratorIsClosed:
    @pytest.mark.parametrize("wrap", [tool, artifact_tool])
    async def test_when_its_run_is_cancelled(self, wrap: Any) -> None:
        held = Held()
        runner = ToolSet([wrap(held.agenerate)]).map()
        task = asyncio.create_task(runner.ainvoke([good("a", "agenerate")]))
        await asyncio.wait_for(held.yielded.wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held.closed == ["async"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_when_its_call_is_taken_back(self) -> None:
        held = Held()

        async def source() -> AsyncIterator[list[Call]]:
            yield [good("a", "agenerate")]
            await asyncio.wait_for(held.yielded.wait(), PATIENCE)
            yield [bad("a", "agenerate")]

        runner = ToolSet([held.agenerate], read_only=True).map()
        messages = [m async for batch in runner.atransform(source()) for m in batch]
        assert [m.status for m in messages] == ["error"]
        assert held.closed == ["async"]

    async def test_when_it_takes_too_long(self) -> None:
        held = Held()
        run = asyncio.create_task(
            ToolSet([held.agenerate], timeout=10).ainvoke(good("a", "agenerate"))
        )
        await asyncio.wait_for(held.yielded.wait(), PATIENCE)
        pass_time(10)
        assert (await run).status == "error"
        assert held.closed == ["async"]

    @pytest.mark.parametrize("wrap", [tool, artifact_tool])
    async def test_in_a_thread_at_its_next_yield(self, wrap: Any) -> None:
        """So that a sync tool can be stopped after all."""
        held = Held()
        runner = ToolSet([wrap(held.generate)]).map()
        task = asyncio.create_task(runner.ainvoke([good("a", "generate")]))
        assert await asyncio.to_thread(held.started.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.gate.set()
        assert await asyncio.to_thread(held.ended.wait, PATIENCE)
        assert held.closed == ["sync"]

    def test_in_a_thread_of_a_sync_run(self) -> None:
        held = Held()

        def source() -> Iterator[list[Call]]:
            yield [good("a", "generate")]
            assert held.started.wait(PATIENCE)
            yield [bad("a", "generate")]

        runner = ToolSet([held.generate], read_only=True).map()
        messages = list(chain.from_iterable(runner.transform(source())))
        assert [m.status for m in messages] == ["error"]
        held.gate.set()
        assert held.ended.wait(PATIENCE)
        assert held.closed == ["sync"]

    async def test_when_it_fails(self) -> None:
        closed = False

        async def fail() -> AsyncIterator[str]:
            """Fail."""
            nonlocal closed
            try:
                yield "one"
                raise ValueError("no luck")
            finally:
                closed = True

        message = await ToolSet([fail]).ainvoke(good("a", "fail"))
        assert (message.status, closed) == ("error", True)
        assert "no luck" in message.content

    async def test_that_yields_nothing_has_no_result(self) -> None:
        async def nothing() -> AsyncIterator[str]:
            """Do nothing."""
            return
            yield "never"

        assert (await ToolSet([nothing]).ainvoke(good("a", "nothing"))).content == "null"
