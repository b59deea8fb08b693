"""`tool_events` of an agent says the same, whichever way the agent is run."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.tools import StructuredTool

from langchain_toolstream import ToolSet, tool_events
from langchain_toolstream.core.events import MessageStart, ToolEvent, ToolFinish
from tests.unit_tests.agents.gated import (
    CALLS,
    INPUT,
    SAID,
    Tools,
    Turn,
    agent_of,
    answers,
    call,
    settle,
)

# langchain-core and langgraph call their v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

ROADS: dict[str, Callable[[Any], Any]] = {
    "run": lambda agent: tool_events(agent, INPUT),
    "v2": lambda agent: tool_events(agent.astream_events(INPUT, version="v2")),
    "v3": lambda agent: tool_events(agent.astream_events(INPUT, version="v3")),
}
SYNC_ROADS: dict[str, Callable[[Any], Any]] = {
    "run": lambda agent: tool_events(agent, INPUT),
    "v3": lambda agent: tool_events(agent.stream_events(INPUT, version="v3")),
}

CALL = [
    *("message-start", "tool-call-start", "argument-delta", "argument-finish"),
    *("tool-call-ready", "tool-call-finish", "message-finish", "tool-start", "tool-finish"),
]


def check(events: list[ToolEvent]) -> None:
    kinds = [e.type for e in events if e.type != "tool-call-delta"]
    assert kinds == [*CALL, *CALL, "message-start", "text-delta", "message-finish"]
    messages = [e.run_id for e in events if isinstance(e, MessageStart)]
    assert len(set(messages)) == 3
    for run_id, other in pairwise(messages):
        first, last = ([e.run_id for e in events].index(one) for one in (run_id, other))
        assert {e.run_id for e in events[first:last]} == {run_id}, "turns stay apart"
    finished = [e for e in events if isinstance(e, ToolFinish)]
    assert [(e.id, e.content, e.artifact) for e in finished] == [("call_a", "a done", "A")] * 2
    assert all(e.node == "model" for e in events if isinstance(e, MessageStart))


def turns(name: str) -> list[Turn]:
    """Two calls of one id, a message each, and an answer."""
    return [[*call(0, "a", name), CALLS], [*call(0, "a", name), CALLS], [SAID]]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(("name", "eager"), [("read", False), ("write", True)])
async def test_of_repeated_turns(road: str, name: str, *, eager: bool) -> None:
    agent = agent_of(turns(name), [Tools().tool(name)], eager=eager)
    check([event async for event in ROADS[road](agent)])


@pytest.mark.parametrize("road", SYNC_ROADS)
def test_of_repeated_turns_in_sync(road: str) -> None:
    agent = agent_of(turns("read"), [Tools(threading.Event).tool()], eager=False)
    check(list(SYNC_ROADS[road](agent)))


@pytest.mark.parametrize("road", ROADS)
async def test_of_an_agent_in_a_tool_stays_apart(road: str) -> None:
    async def research(key: str) -> str:
        """Ask the other agent."""
        inner = agent_of([[*call(0, "b"), CALLS], [SAID]], [Tools().tool()], eager=False)
        return str(answers(await inner.ainvoke(INPUT))[0][2])

    tool = StructuredTool.from_function(coroutine=research)
    agent = agent_of([[*call(0, "a", "research"), CALLS], [SAID]], [tool], eager=False)
    events = [event async for event in ROADS[road](agent)]
    asks, inner_asks, inner_says, says = [e for e in events if isinstance(e, MessageStart)]
    assert len({asks.run_id, inner_asks.run_id, inner_says.run_id, says.run_id}) == 4
    assert (asks.namespace, says.namespace) == ((), ())
    assert len(inner_asks.namespace) == 1
    assert inner_asks.namespace == inner_says.namespace
    finished = [e for e in events if isinstance(e, ToolFinish)]
    assert [(e.id, e.run_id, e.content) for e in finished] == [
        ("call_b", inner_asks.run_id, "b done"),
        ("call_a", asks.run_id, "b done"),
    ]
    parents = {"v3": (None, None)}.get(road, ("call_a", "call_a"))  # v3 does not say
    assert (inner_asks.parent_call_id, inner_says.parent_call_id) == parents


# Progress.


def counting(key: str) -> Iterator[str]:
    """Count."""
    yield f"{key} 1"
    yield f"{key} 2"


async def acounting(key: str) -> AsyncIterator[str]:
    """Count."""
    for piece in counting(key):
        yield piece


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("function", [counting, acounting])
async def test_the_progress_of_a_generator_arrives(function: Any, *, eager: bool) -> None:
    tools = ToolSet([StructuredTool.from_function(function, name="read"), function])
    calls = [*call(0, "a"), *call(1, "b", function.__name__)]
    agent = agent_of([[*calls, settle, CALLS], [SAID]] * 2, tools, eager=eager)
    expected = [
        {"type": "tool_progress", "tool_call_id": f"call_{key}", "name": name, "data": f"{key} {n}"}
        for key, name in (("a", "read"), ("b", function.__name__))
        for n in (1, 2)
    ]
    custom = [one async for one in agent.astream(INPUT, stream_mode="custom")]
    assert sorted(custom, key=lambda one: one["data"]) == expected
    events = [
        {"type": one["name"], **one["data"]}
        async for one in agent.astream_events(INPUT, version="v2")
        if one["event"] == "on_custom_event"
    ]
    assert sorted(events, key=lambda one: one["data"]) == expected


def test_the_progress_of_a_generator_arrives_in_sync() -> None:
    agent = agent_of([[*call(0, "a", "counting"), CALLS], [SAID]], ToolSet([counting]))
    custom = [one["data"] for one in agent.stream(INPUT, stream_mode="custom")]
    assert custom == ["a 1", "a 2"]
