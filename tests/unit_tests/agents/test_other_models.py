"""Models that other middleware asks, and agents that tools run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from langchain_toolstream.agents import EagerToolMiddleware
from tests.unit_tests.agents.gated import (
    CALLS,
    CUT,
    INPUT,
    SAID,
    GatedChat,
    Tools,
    Turn,
    answers,
    call,
    done,
    settle,
)
from tests.unit_tests.scripted import chunk, part, written


class Judge(AgentMiddleware[Any, Any, Any]):
    """Asks a model of its own, before or after the agent's."""

    def __init__(self, model: GatedChat, tools: list[Any], *, before: bool) -> None:
        super().__init__()
        self.model, self.before = model.bind_tools(tools), before

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        if self.before:
            await self.model.ainvoke("Which model is best?")
        response = await handler(request)
        if not self.before:
            await self.model.ainvoke("Was that a fine answer?")
        return response


CUT_CALL = [chunk(part('{"key": "JUD', call_id="call_a", name="read")), CUT]
WROTE: dict[str, Turn] = {
    "text": [SAID],
    "a call of its own": [*call(0, "b"), settle, CALLS],
    "a call with the same id": [*written(0, "call_a", "read", '{"key": "b"}'), settle, CALLS],
    "a cut call with the same id": CUT_CALL,
}


@pytest.mark.parametrize("own_first", [True, False])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("wrote", WROTE.values(), ids=WROTE)
async def test_the_calls_of_another_model_are_not_the_agents(
    wrote: Turn,
    before: bool,  # noqa: FBT001
    own_first: bool,  # noqa: FBT001
) -> None:
    tools = Tools()
    early: list[str] = []
    turns: list[Turn] = [[*call(0, "a"), settle, lambda: early.extend(tools.runs), CALLS], [SAID]]
    judge = Judge(GatedChat(turns=[wrote] * 2), [tools.tool()], before=before)
    own = EagerToolMiddleware(read_only=True)
    order: list[Any] = [own, judge] if own_first else [judge, own]
    agent = create_agent(GatedChat(turns=turns), [tools.tool()], middleware=order)
    state = await agent.ainvoke(INPUT)
    assert early == tools.runs == ["a"]
    assert tools.cancelled == []
    assert answers(state) == done("a")
    assert state["messages"][-1].text == "Done."


async def test_a_message_of_another_model_that_becomes_the_answer_is_judged() -> None:
    """Its cut call does not run, though langchain-core has completed it."""
    tools = Tools()

    class Answers(AgentMiddleware[Any, Any, Any]):
        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            if len(request.messages) > 1:
                return await handler(request)
            return await other.bind_tools([tools.tool()]).ainvoke(request.messages)

    other = GatedChat(turns=[CUT_CALL])
    order = [EagerToolMiddleware(read_only=True), Answers()]
    agent = create_agent(GatedChat(turns=[[SAID]]), [tools.tool()], middleware=order)
    state = await agent.ainvoke(INPUT)
    assert tools.runs == []
    assert [one["id"] for one in state["messages"][1].invalid_tool_calls] == ["call_a"]


async def test_a_fallback_is_the_agents_model() -> None:
    tools = Tools()
    early: list[str] = []
    turn: Turn = [*call(0, "a"), settle, lambda: early.extend(tools.runs), CALLS]
    fallback = ModelFallbackMiddleware(GatedChat(turns=[turn, [SAID]]))
    broken = GatedChat(turns=[[ConnectionError("gone")]] * 2)
    order = [EagerToolMiddleware(read_only=True), fallback]
    agent = create_agent(broken, [tools.tool()], middleware=order)
    await agent.ainvoke(INPUT)
    assert early == tools.runs == ["a"]


# Agents as tools.


@contextmanager
def agents(*, eager: bool, is_async: bool) -> Iterator[Any]:
    """An agent that asks an agent that echoes."""

    def inner_echo(text: str) -> str:
        """Echo."""
        return text

    echo = written(0, "call_in", "inner_echo", '{"text": "leaf"}')
    inner = create_agent(
        GatedChat(turns=[[*echo, CALLS], [SAID]]), [inner_echo], name="weather_agent"
    )

    def ask(city: str) -> str:
        """Ask the weather agent."""
        return str(inner.invoke({"messages": [("user", city)]})["messages"][-1].text)

    async def aask(city: str) -> str:
        """Ask the weather agent."""
        return str((await inner.ainvoke({"messages": [("user", city)]}))["messages"][-1].text)

    tool = StructuredTool.from_function(
        **({"coroutine": aask} if is_async else {"func": ask}),  # type: ignore[arg-type]
        name="ask",
    )
    asks = written(0, "call_w", "ask", '{"city": "SF"}')
    middleware = [EagerToolMiddleware(read_only=True)] if eager else []
    yield create_agent(
        GatedChat(turns=[[*asks, CALLS], [SAID]]), [tool], name="supervisor", middleware=middleware
    )


def watch(agent: Any) -> Any:
    run = agent.stream_events(INPUT, version="v3")
    seen: list[Any] = []
    for name, item in run.interleave("tool_calls", "subgraphs"):
        if name == "tool_calls":
            seen.append(item.tool_name)
        else:
            node = [str(part).split(":")[0] for part in item.path]
            seen.append((node, [one.tool_name for one in item.tool_calls]))
    return seen


def subagents(agent: Any) -> Any:
    run = agent.stream_events(INPUT, version="v3")
    found = []
    for handle in run.subagents:
        list(handle)
        found.append((handle.name, handle.cause))
    return found


async def asubagents(agent: Any) -> Any:
    run = await agent.astream_events(INPUT, version="v3")
    found = []
    async for handle in run.subagents:
        async for _ in handle:
            pass
        found.append((handle.name, handle.cause))
    return found


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_a_subagent_keeps_its_cause_its_namespace_and_its_calls() -> None:
    def both(look: Any) -> list[Any]:
        seen = []
        for eager in (True, False):
            with agents(eager=eager, is_async=False) as agent:
                seen.append(look(agent))
        return seen

    for look in (watch, subagents):
        with_it, without = both(look)
        assert with_it == without
        assert with_it
    seen = []
    for eager in (True, False):
        with agents(eager=eager, is_async=True) as agent:
            seen.append(await asubagents(agent))
    assert seen[0] == seen[1]
    assert seen[0][0][0] == "weather_agent"


async def test_a_graph_that_is_not_found_beforehand_starts_at_the_tools_turn() -> None:
    """Nothing of the tool's shows the graph, so it is stopped where it starts the graph."""
    tools = Tools()
    inner = create_agent(GatedChat(turns=[[SAID]] * 2), [])
    hidden, begun, namespaces = {"agent": [[[[inner]]]]}, [], []

    async def read(key: str) -> str:
        """Ask."""
        begun.append(key)
        return str((await hidden["agent"][0][0][0][0].ainvoke(INPUT))["messages"][-1].text)

    tool = StructuredTool.from_function(coroutine=read)
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    agent = create_agent(
        GatedChat(turns=turns), [tool], middleware=[EagerToolMiddleware(read_only=True)]
    )
    last: Any = None
    async for namespace, state in agent.astream(INPUT, stream_mode="values", subgraphs=True):
        namespaces.append(tuple(one.split(":")[0] for one in namespace))
        last = last if namespace else state
    assert begun == ["a", "a"]
    assert set(namespaces) == {(), ("tools",)}
    assert answers(last)[0][2] == "Done."
    assert isinstance(last["messages"][-1], AIMessage)
    assert tools.runs == []
