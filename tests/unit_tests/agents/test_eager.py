"""`EagerToolMiddleware`: read-only tools start while the model writes, and nothing else changes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import BaseMessage, ToolCall
from langchain_core.tools import StructuredTool

from langchain_toolstream.tools.graph.early import EagerTool, EarlyCalls
from tests.unit_tests.agents.gated import (
    CALLS,
    INPUT,
    SAID,
    Tools,
    Turn,
    agent_of,
    answers,
    call,
    done,
)
from tests.unit_tests.scripted import chunk, good, part

# langchain-core and langgraph call their v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

MODES = ("values", "updates", "messages", "custom", "debug", "tasks")


# How an agent is run.


async def ainvoke(agent: Any) -> None:
    await agent.ainvoke(INPUT)


async def astream(agent: Any, mode: str) -> None:
    async for _ in agent.astream(INPUT, stream_mode=mode):
        pass


async def v2(agent: Any) -> None:
    async for _ in agent.astream_events(INPUT, version="v2"):
        pass


async def av3(agent: Any) -> None:
    async for _ in await agent.astream_events(INPUT, version="v3"):
        pass


def invoke(agent: Any) -> None:
    agent.invoke(INPUT)


def stream(agent: Any, mode: str) -> None:
    for _ in agent.stream(INPUT, stream_mode=mode):
        pass


def v3(agent: Any) -> None:
    for _ in agent.stream_events(INPUT, version="v3"):
        pass


ASYNC_ROADS: dict[str, Callable[[Any], Any]] = {
    "ainvoke": ainvoke,
    **{f"astream {mode}": partial(astream, mode=mode) for mode in MODES},
    "v2": v2,
    "async v3": av3,
}
ROADS: dict[str, Callable[[Any], None]] = {
    "invoke": invoke,
    **{f"stream {mode}": partial(stream, mode=mode) for mode in MODES},
    "v3": v3,
}


@pytest.mark.parametrize("road", ASYNC_ROADS.values(), ids=ASYNC_ROADS)
async def test_a_tool_starts_while_the_model_writes(road: Any) -> None:
    tools = Tools()
    # The model goes on only when the tool is done; behind it comes text.
    turn: Turn = [*call(0, "a"), chunk(content="So,"), tools.finished["a"], CALLS]
    await road(agent_of([turn, [SAID]], [tools.tool()]))
    assert tools.runs == ["a"]


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
def test_a_tool_starts_in_a_thread_while_the_model_writes(road: Any) -> None:
    tools = Tools(threading.Event)
    turn: Turn = [*call(0, "a"), chunk(content="So,"), tools.finished["a"], CALLS]
    road(agent_of([turn, [SAID]], [tools.tool()]))
    assert tools.runs == ["a"]


async def test_one_call_followed_by_nothing_starts_at_its_close() -> None:
    tools = Tools()
    turn: Turn = [*call(0, "a"), tools.finished["a"], chunk(content="So,"), CALLS]
    state = await agent_of([turn, [SAID]], [tools.tool()]).ainvoke(INPUT)
    assert answers(state) == done("a")


async def test_calls_run_side_by_side_and_are_answered_in_the_models_order() -> None:
    tools = Tools(closed="a")
    turn: Turn = [
        *call(0, "a"), *call(1, "b"), *call(2, "c"), tools.finished["c"], CALLS,
    ]  # fmt: skip
    agent = agent_of([turn, [tools.gates["a"].set, SAID]], [tools.tool()])
    run = asyncio.create_task(agent.ainvoke(INPUT))
    await asyncio.wait_for(tools.finished["c"].wait(), 5)
    tools.gates["a"].set()
    state = await run
    assert tools.runs == ["a", "b", "c"]
    assert answers(state) == done("a", "b", "c")


@pytest.mark.parametrize("eager", [True, False])
async def test_the_messages_are_those_of_an_agent_without_it(eager: bool) -> None:  # noqa: FBT001
    tools = Tools()
    turns: list[Turn] = [
        [*call(0, "a"), *call(1, "b", "write"), *call(2, "c"), CALLS],
        [chunk(content="More."), *call(0, "d"), CALLS],
        [SAID],
    ]
    agent = agent_of(turns, [tools.tool(), tools.tool("write")], eager=eager)
    state = await agent.ainvoke(INPUT)
    assert list(state) == ["messages"]
    assert sorted(tools.runs) == ["a", "b", "c", "d"]
    assert [m.type for m in state["messages"]] == [
        "human", "ai", "tool", "tool", "tool", "ai", "tool", "ai",
    ]  # fmt: skip
    assert answers(state) == [*done("a"), *done("b", name="write"), *done("c"), *done("d")]


def test_sync_and_async_give_the_same() -> None:
    def turns() -> list[Turn]:
        return [
            [*call(0, "a"), *call(1, "b", "write"), CALLS],
            [*call(0, "c"), chunk(part('{"', index=1, call_id="x", name="read")), CALLS],
            [SAID],
        ]

    def told(state: dict[str, Any]) -> list[Any]:
        return [(m.type, m.content, getattr(m, "tool_calls", None)) for m in state["messages"]]

    here, there = Tools(threading.Event), Tools()
    sync_agent = agent_of(turns(), [here.tool(), here.tool("write")])
    async_agent = agent_of(turns(), [there.tool(), there.tool("write")])
    state = sync_agent.invoke(INPUT)
    astate = asyncio.run(async_agent.ainvoke(INPUT))
    assert told(state) == told(astate)
    assert answers(state) == answers(astate)
    assert here.runs == there.runs == ["a", "b", "c"]


# What whoever watches the agent sees.


def without_ids(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return type(value).__name__, value.content, value.name, getattr(value, "tool_calls", None)
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items()}
    return [without_ids(item) for item in value] if isinstance(value, (list, tuple)) else value


async def seen(mode: str, *, eager: bool) -> list[Any]:
    tools = Tools()
    turns: list[Turn] = [[*call(0, "a"), *call(1, "b"), chunk(content="So,"), CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool()], eager=eager)
    return [without_ids(item) async for item in agent.astream(INPUT, stream_mode=mode)]


async def test_stream_mode_messages_gives_the_same_tokens_of_the_same_nodes() -> None:
    def tokens(items: list[Any]) -> list[Any]:
        return [(message, metadata["langgraph_node"]) for message, metadata in items]

    with_it = tokens(await seen("messages", eager=True))
    assert with_it == tokens(await seen("messages", eager=False))
    assert {node for _, node in with_it} == {"model", "tools"}


@pytest.mark.parametrize("mode", ["updates", "values"])
async def test_other_stream_modes_show_nothing_of_it_but_its_node(mode: str) -> None:
    with_it = await seen(mode, eager=True)
    own = {"EagerToolMiddleware.after_model": None}
    assert [item for item in with_it if item != own] == await seen(mode, eager=False)


async def test_events_of_a_tool_come_once_and_within_the_agents_run() -> None:
    tools = Tools()
    turns: list[Turn] = [[*call(0, "a"), *call(1, "b"), CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool()])
    events = [event async for event in agent.astream_events(INPUT, version="v2")]
    root = events[0]["run_id"]
    model_node = next(
        e["run_id"] for e in events if e["event"] == "on_chain_start" and e["name"] == "model"
    )
    starts = [e for e in events if e["event"] == "on_tool_start"]
    ends = [e for e in events if e["event"] == "on_tool_end"]
    assert [e["run_id"] for e in starts] == [e["run_id"] for e in ends]
    assert [e["data"]["input"] for e in starts] == [{"key": "a"}, {"key": "b"}]
    assert [e["data"]["output"].artifact for e in ends] == ["A", "B"]
    for event in starts + ends:
        assert event["parent_ids"] == [root, model_node]
        assert event["metadata"]["langgraph_node"] == "tools"
    assert [e["metadata"]["tool_call_id"] for e in starts] == ["call_a", "call_b"]
    first_end = next(i for i, e in enumerate(events) if e["event"] == "on_tool_start")
    model_end = next(i for i, e in enumerate(events) if e["event"] == "on_chat_model_end")
    assert first_end < model_end


@pytest.mark.parametrize("eager", [True, False])
async def test_v3_tool_calls_show_every_call_once(eager: bool) -> None:  # noqa: FBT001
    tools = Tools()
    turns: list[Turn] = [[*call(0, "a"), *call(1, "b"), CALLS], [SAID]]
    run = await agent_of(turns, [tools.tool()], eager=eager).astream_events(INPUT, version="v3")
    shown = [one async for one in run.tool_calls]
    assert sorted((one.tool_call_id, one.tool_name, one.output) for one in shown) == [
        ("call_a", "read", "a done"),
        ("call_b", "read", "b done"),
    ]
    assert answers(await run.output()) == done("a", "b")


class AtOnce:
    """Runs a tool before it says that it has started, as a thread may."""

    def start(self, tool: EagerTool, call: ToolCall) -> Future[Any]:
        run: Future[Any] = Future()
        run.set_result(tool.tool.invoke(call))
        return run

    def end(self, drop_the_rest: Callable[[], object]) -> None:
        del drop_the_rest

    def all_taken(self) -> None:
        pass


def test_a_tool_that_changes_its_arguments_answers_the_call_that_the_model_wrote() -> None:
    """Or it would run again; nor does the message see what it did."""

    def read(batch: dict[str, Any]) -> str:
        """Read."""
        batch["rows"].append("END")
        return "read"

    tool = StructuredTool.from_function(read)
    early = EarlyCalls(AtOnce())
    call = good("c", "read", batch={"rows": [1]})
    eager = EagerTool(tool, frozenset(), lambda call, config: call, tool)
    early.start(call, eager, written_by=uuid4())
    assert call == good("c", "read", batch={"rows": [1]})
    assert early.take(call, tool) is not None
