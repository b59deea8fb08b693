"""What was started early and what becomes of it: used once, or stopped; and calls that are none."""

import asyncio
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelResponse,
    ModelRetryMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
    wrap_model_call,
    wrap_tool_call,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import StructuredTool, ToolException
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_toolstream.agents import EagerToolMiddleware
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.tools.graph import early
from tests.unit_tests.agents.gated import (
    CALLS,
    CUT,
    INPUT,
    PATIENCE,
    SAID,
    GatedChat,
    Tools,
    Turn,
    agent_of,
    answers,
    call,
    done,
    settle,
)
from tests.unit_tests.scripted import chunk, comes_true, part

THREAD = {"configurable": {"thread_id": "1"}}


async def within(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, PATIENCE)


# The final call is another one.


class Rewrites(AgentMiddleware[Any, Any, Any]):
    """Changes the calls of the model's message, outside or inside of ours."""

    def __init__(self, **update: Any) -> None:
        self.update = update

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        response = await handler(request)
        for message in response.result:
            for one in message.tool_calls:
                one.update(self.update)
        return response


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    "update", [{"id": "call_z"}, {"name": "write"}, {"args": {"key": "b"}}], ids=str
)
async def test_a_result_is_not_used_for_another_call(update: dict[str, Any], inside: bool) -> None:  # noqa: FBT001
    tools = Tools(closed="a")
    open_later = [settle, tools.gates["a"].set]
    turns: list[Turn] = [[*call(0, "a"), *open_later, CALLS], [SAID]]
    own, other = EagerToolMiddleware(read_only=["read"]), Rewrites(**update)
    order = [own, other] if inside else [other, own]
    agent = agent_of(turns, [tools.tool(), tools.tool("write")], *order, eager=False)
    state = await agent.ainvoke(INPUT)
    final = {"id": "call_a", "name": "read", "args": {"key": "a"}, **update}
    assert tools.runs == ["a", final["args"]["key"]]
    ((call_id, name, *_),) = answers(state)
    assert (call_id, name) == (final["id"], final["name"])


@pytest.mark.parametrize("value", ["1", "1.0", "true"])
async def test_values_that_only_python_calls_equal_are_not(value: str) -> None:
    seen: list[Any] = []

    async def read(key: Any) -> str:
        """Read."""
        seen.append(key)
        return repr(key)

    written = chunk(part(f'{{"key": {value}}}', call_id="call_a", name="read"))
    turns: list[Turn] = [[written, settle, CALLS], [SAID]]
    tool = StructuredTool.from_function(coroutine=read)
    state = await agent_of(turns, [tool], Rewrites(args={"key": 1})).ainvoke(INPUT)
    assert answers(state)[0][2] == "1"
    assert len(seen) == (1 if value == "1" else 2)


async def test_middleware_around_the_tools_may_change_the_call() -> None:
    @wrap_tool_call
    async def other(request: Any, handler: Any) -> Any:
        changed = {**request.tool_call, "args": {"key": "b"}}
        return await handler(request.override(tool_call=changed))

    for order in (1, -1):
        tools = Tools()
        own = EagerToolMiddleware(read_only=True, eager_despite=["other"])
        turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
        agent = agent_of(turns, [tools.tool()], *[own, other][::order], eager=False)
        state = await agent.ainvoke(INPUT)
        assert tools.runs == ["a", "b"]
        assert answers(state)[0][2] == "b done"


async def test_a_contradicted_call_is_stopped_and_not_run() -> None:
    tools = Tools(closed="a")
    turns: list[Turn] = [
        [*call(0, "a"), settle, chunk(part('{"key": "b"}')), settle, CALLS],
        [SAID],
    ]
    state = await agent_of(turns, [tools.tool()]).ainvoke(INPUT)
    assert (tools.runs, tools.cancelled) == (["a"], ["a"])
    ((call_id, _, content, _, status),) = answers(state)
    assert (call_id, status) == ("call_a", "error")
    assert "followed" in content


# The model fails, or is asked again.


async def test_what_a_failing_model_wrote_is_stopped() -> None:
    tools = Tools(closed="a")
    agent = agent_of([[*call(0, "a"), settle, ConnectionError("gone")]], [tools.tool()])
    with pytest.raises(ConnectionError):
        await agent.ainvoke(INPUT)
    assert await comes_true(lambda: tools.cancelled == ["a"])
    assert tools.runs == ["a"]


@pytest.mark.parametrize("inside", [True, False])
async def test_a_retry_stops_what_the_failed_message_started(inside: bool) -> None:  # noqa: FBT001
    tools = Tools(closed="a")
    turns: list[Turn] = [
        [*call(0, "a"), settle, ConnectionError("gone")],
        [settle, tools.gates["a"].set, *call(0, "a"), *call(1, "b"), CALLS],
        [SAID],
    ]
    own = EagerToolMiddleware(read_only=True)
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
    order = [own, retry] if inside else [retry, own]
    state = await agent_of(turns, [tools.tool()], *order, eager=False).ainvoke(INPUT)
    assert tools.cancelled == ["a"]
    assert tools.runs == ["a", "a", "b"]
    assert answers(state) == done("a", "b")


async def test_a_message_that_outer_middleware_rejects_is_stopped() -> None:
    tools = Tools(closed="a")
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [settle, *call(0, "b"), CALLS], [SAID]]

    @wrap_model_call
    async def twice(request: Any, handler: Any) -> Any:
        if len(model.asked) == 0:
            await handler(request)
        return await handler(request)

    model = GatedChat(turns=turns)
    own = EagerToolMiddleware(read_only=True)
    for order in ([twice, own], [own, twice]):
        model.asked.clear()
        tools.runs.clear()
        tools.cancelled.clear()
        agent = create_agent(model, [tools.tool()], middleware=order)
        state = await agent.ainvoke(INPUT)
        assert tools.cancelled == ["a"]
        assert tools.runs == ["a", "b"]
        assert answers(state) == done("b")


@pytest.mark.parametrize("inside", [True, False])
async def test_a_fallback_model_is_heard_too(inside: bool) -> None:  # noqa: FBT001
    tools = Tools(closed="a")
    fallback = GatedChat(turns=[[*call(0, "b"), tools.finished["b"], CALLS]])
    own, other = EagerToolMiddleware(read_only=True), ModelFallbackMiddleware(fallback)
    order = [own, other] if inside else [other, own]
    turns: list[Turn] = [[*call(0, "a"), settle, ConnectionError("gone")], [SAID]]
    state = await agent_of(turns, [tools.tool()], *order, eager=False).ainvoke(INPUT)
    assert (tools.runs, tools.cancelled) == (["a", "b"], ["a"])
    assert answers(state) == done("b")


async def test_a_message_whose_calls_are_dropped_stops_its_tools() -> None:
    tools = Tools(closed="a")

    @wrap_model_call
    async def censor(request: Any, handler: Any) -> Any:
        await handler(request)
        return ModelResponse(result=[AIMessage("I may not.")])

    turns: list[Turn] = [[*call(0, "a"), settle, CALLS]]
    await agent_of(turns, [tools.tool()], censor).ainvoke(INPUT)
    assert await comes_true(lambda: tools.cancelled == ["a"])
    assert tools.runs == ["a"]


async def test_a_dropped_connection_confirms_nothing() -> None:
    """Providers that always give a finish reason, and did not."""
    tools = Tools(closed="a")
    turn: Turn = [chunk(model_provider="openai"), *call(0, "a"), settle]
    with pytest.raises(IncompleteStreamError):
        await agent_of([turn], [tools.tool()]).ainvoke(INPUT)
    assert await comes_true(lambda: tools.cancelled == ["a"])
    assert tools.runs == ["a"]


# Whoever runs the agent leaves.


async def test_cancelling_the_agent_stops_tools_while_the_model_writes() -> None:
    tools = Tools(closed="a")
    never = asyncio.Event()
    agent = agent_of([[*call(0, "a"), never]], [tools.tool()])
    run = asyncio.create_task(agent.ainvoke(INPUT))
    await within(tools.started["a"].wait())
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert await comes_true(lambda: tools.cancelled == ["a"])
    assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@pytest.mark.parametrize("turns_of_the_loop", [0, 5])
async def test_cancelling_the_agent_stops_tools_that_it_asked_for(turns_of_the_loop: int) -> None:
    tools = Tools(closed="a")
    asked_for = asyncio.Event()

    @wrap_tool_call
    async def inside(request: Any, handler: Any) -> Any:
        asked_for.set()
        return await handler(request)

    own = EagerToolMiddleware(read_only=True, eager_despite=["inside"])
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS]]
    agent = agent_of(turns, [tools.tool()], own, inside, eager=False)
    run = asyncio.create_task(agent.ainvoke(INPUT))
    await within(asked_for.wait())
    for _ in range(turns_of_the_loop):
        await asyncio.sleep(0)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert await comes_true(lambda: tools.cancelled == ["a"])
    assert tools.runs == ["a"]
    assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_a_tool_that_other_middleware_answers_for_is_stopped() -> None:
    tools = Tools(closed="a")

    @wrap_tool_call
    async def inside(request: Any, handler: Any) -> Any:
        return ToolMessage("From a cache.", tool_call_id=request.tool_call["id"])

    own = EagerToolMiddleware(read_only=True, eager_despite=["inside"])
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    state = await agent_of(turns, [tools.tool()], own, inside, eager=False).ainvoke(INPUT)
    assert answers(state)[0][2] == "From a cache."
    assert await comes_true(lambda: tools.cancelled == ["a"])


@pytest.mark.parametrize("node", ["model", "EagerToolMiddleware.after_model"])
async def test_leaving_between_two_nodes_stops_tools_in_time(
    node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "PATIENCE", 0.0)
    tools = Tools(closed="a")
    agent = agent_of([[*call(0, "a"), settle, CALLS]], [tools.tool()])
    async for update in agent.astream(INPUT, stream_mode="updates"):
        if node in update:
            break
    await settle()
    assert tools.cancelled == ["a"]


async def test_a_slow_reader_gets_the_result_of_another_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(early, "PATIENCE", 0.0)
    tools = Tools()
    agent = agent_of([[*call(0, "a"), settle, CALLS], [SAID]], [tools.tool()])
    updates: list[Any] = []
    async for update in agent.astream(INPUT, stream_mode="updates"):
        updates.append(update)
        await settle()
    (message,) = next(update for update in updates if "tools" in update)["tools"]["messages"]
    assert message.artifact == "A"
    assert tools.runs == ["a", "a"]


# Runs beside each other.


async def test_runs_with_the_same_call_ids_do_not_get_each_others_results() -> None:
    async def read(key: str) -> str:
        """Tell who asks."""
        await settle()
        return who.get()

    async def ask(name: str) -> None:
        who.set(name)
        state = await agent.ainvoke(INPUT)
        assert answers(state)[0][2] == name

    turn: Turn = [*call(0, "a"), settle, settle, CALLS]

    class Chat(GatedChat):
        def _next_turn(self, messages: Any) -> Turn:
            return [SAID] if isinstance(messages[-1], ToolMessage) else turn

    tool = StructuredTool.from_function(coroutine=read)
    own = EagerToolMiddleware(read_only=True)
    agent = create_agent(Chat(turns=[]), [tool], middleware=[own])
    await asyncio.gather(*(ask(f"user {number}") for number in range(20)))
    assert own._eager.runs._runs == {}


who: ContextVar[str] = ContextVar("who")


async def test_max_concurrency_bounds_what_runs_early() -> None:
    tools = Tools(closed="ab")
    early: list[str] = []
    turn: Turn = [
        *call(0, "a"), *call(1, "b"), settle, lambda: early.extend(tools.runs), CALLS,
    ]  # fmt: skip
    tools.gates["b"].set()
    turn.append(tools.gates["a"].set)
    state = await agent_of([turn, [SAID]], [tools.tool()]).ainvoke(INPUT, {"max_concurrency": 1})
    assert early == ["a"]
    assert answers(state) == done("a", "b")


async def test_a_subagents_model_is_not_heard() -> None:
    inner_tools, tools = Tools(), Tools()
    inner_early: list[str] = []
    inner_turn: Turn = [*call(0, "a"), settle, lambda: inner_early.extend(tools.runs), CALLS]
    inner = agent_of([inner_turn, [SAID]], [inner_tools.tool()], eager=False)

    @wrap_model_call
    async def asks_another(request: Any, handler: Any) -> Any:
        await inner.ainvoke(INPUT)
        return await handler(request)

    own = EagerToolMiddleware(read_only=True)
    agent = agent_of([[SAID]], [tools.tool()], own, asks_another, eager=False)
    await agent.ainvoke(INPUT)
    assert inner_early == []
    assert (tools.runs, inner_tools.runs) == ([], ["a"])


async def test_an_agent_as_a_tool_of_an_agent_is_eager_too() -> None:
    tools = Tools()
    own = EagerToolMiddleware(read_only=True)
    inner = agent_of(
        [[*call(0, "a"), tools.finished["a"], CALLS], [SAID]], [tools.tool()], eager=own
    )

    async def research(key: str) -> str:
        """Ask the other agent."""
        state = await inner.ainvoke(INPUT)
        return str(answers(state)[0][2])

    tool = StructuredTool.from_function(coroutine=research)
    turns: list[Turn] = [[*call(0, "x", "research"), settle, CALLS], [SAID]]
    agent = agent_of(turns, [tool], eager=own)
    assert answers(await agent.ainvoke(INPUT))[0][2] == "a done"
    assert tools.runs == ["a"]


# Errors, interrupts, commands: all as ToolNode has them.


async def test_an_error_is_raised_or_answered_as_without_it() -> None:
    tools = Tools()
    tools.fails["a"] = ValueError("no")
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    with pytest.raises(ValueError, match="no"):
        await agent_of(turns, [tools.tool()]).ainvoke(INPUT)
    assert tools.runs == ["a"]
    tools.fails["a"] = ToolException("no")
    state = await agent_of(turns, [tools.tool(handle_tool_error=True)]).ainvoke(INPUT)
    assert answers(state) == [("call_a", "read", "no", None, "error")]
    own = EagerToolMiddleware(read_only=True, eager_despite=["ToolErrorMiddleware"])
    other = ToolErrorMiddleware(on_error=lambda error, request: "Sorry.")
    state = await agent_of(turns, [tools.tool()], other, eager=own).ainvoke(INPUT)
    assert answers(state)[0][2:] == ("Sorry.", None, "error")


@pytest.mark.parametrize("inside", [True, False])
async def test_a_retry_of_the_tool_runs_it_again(inside: bool) -> None:  # noqa: FBT001
    tools = Tools()
    tools.fails["a"] = ValueError("no")
    own = EagerToolMiddleware(read_only=True, eager_despite=["ToolRetryMiddleware"])
    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False, on_failure="error")
    order = [own, retry] if inside else [retry, own]
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    with pytest.raises(ValueError, match="no"):
        await agent_of(turns, [tools.tool()], *order, eager=False).ainvoke(INPUT)
    assert tools.runs == ["a"] * 3


async def test_a_tool_that_asks_a_human_is_resumed() -> None:
    async def read(key: str) -> str:
        """Ask."""
        return f"{key}: {interrupt('Which?')}"

    tool = StructuredTool.from_function(coroutine=read)
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    agent = agent_of(turns, [tool], checkpointer=InMemorySaver())
    state = await agent.ainvoke(INPUT, THREAD)
    (asked,) = state["__interrupt__"]
    state = await agent.ainvoke(Command(resume={asked.id: "This."}), THREAD)
    assert answers(state)[0][2] == "a: This."


async def test_a_tool_may_return_a_command() -> None:
    async def read(key: str) -> Command[Any]:
        """Update the state."""
        message = ToolMessage(f"{key} noted", tool_call_id="call_a")
        return Command(update={"messages": [message]})

    tool = StructuredTool.from_function(coroutine=read)
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    for eager in (True, False):
        state = await agent_of(turns, [tool], eager=eager).ainvoke(INPUT)
        assert answers(state) == [("call_a", "read", "a noted", None, "success")]


def test_a_tool_in_a_thread_has_the_callers_context() -> None:
    tools = Tools(threading.Event)

    def read(key: str) -> str:
        """Tell who asks."""
        tools.finished["a"].set()
        return who.get()

    who.set("me")
    turns: list[Turn] = [[*call(0, "a"), tools.finished["a"], CALLS], [SAID]]
    state = agent_of(turns, [StructuredTool.from_function(read)]).invoke(INPUT)
    assert answers(state)[0][2] == "me"


def test_a_failing_model_takes_no_result_from_threads() -> None:
    tools = Tools(threading.Event)
    turns: list[Turn] = [[*call(0, "a"), tools.finished["a"], ConnectionError("gone")]]
    with pytest.raises(ConnectionError):
        agent_of(turns, [tools.tool()]).invoke(INPUT)
    assert tools.runs == ["a"]


class Answer(BaseModel):
    """The answer."""

    number: int


async def test_structured_answers_are_left_alone() -> None:
    tools = Tools()
    written = chunk(part('{"number": 7}', call_id="call_z", name="Answer"))
    turns: list[Turn] = [[*call(0, "a"), tools.finished["a"], CALLS], [written, CALLS]]
    agent = agent_of(turns, [tools.tool()], response_format=Answer)
    state = await agent.ainvoke(INPUT)
    assert state["structured_response"] == Answer(number=7)
    assert answers(state)[:1] == done("a")


# Invalid calls.

OPEN = chunk(part('{"key": "b', index=1, call_id="call_b", name="read"))
NONE = {
    "cut": [OPEN, CUT],
    "cut and closed by the server": [OPEN, chunk(part('"}', index=1), finish_reason="length")],
    "not JSON": [OPEN, chunk(part("'}}", index=1)), CALLS],
}


async def stream(agent: Any) -> Any:
    async for _, state in agent.astream(INPUT, stream_mode=["messages", "values"]):
        last = state
    return last


async def run_v3(agent: Any) -> Any:
    return await (await agent.astream_events(INPUT, version="v3")).output()


ROADS = {"ainvoke": lambda agent: agent.ainvoke(INPUT), "stream": stream, "v3": run_v3}


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("none", NONE.values(), ids=NONE)
async def test_an_invalid_call_does_not_run_and_is_answered(
    none: list[Any],
    read_only: bool,  # noqa: FBT001
    road: Any,
) -> None:
    if none is NONE["not JSON"] and road is ROADS["ainvoke"] and not read_only:
        pytest.skip("nothing is eager, so the model does not stream, and sums up for itself")
    tools = Tools()
    own = EagerToolMiddleware(read_only=read_only)
    turns: list[Turn] = [[*call(0, "a"), *none], [*none], [*call(0, "c"), CALLS], [SAID]]
    state = await road(agent_of(turns, [tools.tool()], eager=own))
    assert sorted(tools.runs) == ["a", "c"]
    kinds = [m.type for m in state["messages"]]
    assert kinds == ["human", "ai", "tool", "tool", "ai", "tool", "ai", "tool", "ai"]
    told = answers(state)
    assert [(one[0], one[-1]) for one in told] == [
        ("call_b", "error"), ("call_a", "success"), ("call_b", "error"), ("call_c", "success"),
    ]  # fmt: skip
    assert told[0][2].startswith("Error: the call was not run.")
    for message in state["messages"]:
        if isinstance(message, AIMessage):
            assert all(one["id"] != "call_b" for one in message.tool_calls)
            assert all(one["error"] for one in message.invalid_tool_calls)


async def test_an_agent_ends_when_the_model_makes_nothing_but_invalid_calls() -> None:
    turns: list[Turn] = [NONE["cut"]] * 9
    agent = agent_of(turns, [Tools().tool()])
    state = await agent.ainvoke(INPUT)
    assert [m.type for m in state["messages"]] == ["human", *["ai", "tool"] * 3]
    state = await agent.ainvoke({"messages": [*state["messages"], ("user", "Once more.")]})
    assert [m.type for m in state["messages"][8:]] == ["ai", "tool"] * 3


async def test_a_call_without_an_id_runs_once() -> None:
    tools = Tools()
    written = [chunk(part('{"key": ', name="read")), chunk(part('"a"}'))]
    turns: list[Turn] = [[*written, tools.finished["a"], CALLS], [SAID]]
    state = await agent_of(turns, [tools.tool()]).ainvoke(INPUT)
    (one,) = state["messages"][1].tool_calls
    assert one["id"] == answers(state)[0][0]
    assert tools.runs == ["a"]


async def test_of_two_calls_with_one_id_the_invalid_one_does_not_run() -> None:
    tools = Tools()
    twice = chunk(part('{"key": "b', index=1, call_id="call_a", name="read"))
    turns: list[Turn] = [[*call(0, "a"), twice, CUT], [SAID]]
    state = await agent_of(turns, [tools.tool()]).ainvoke(INPUT)
    assert tools.runs == ["a"]
    assert sorted(status for *_, status in answers(state)) == ["error", "success"]
    assert len({call_id for call_id, *_ in answers(state)}) == 2


async def test_an_invalid_call_without_an_id_is_answered() -> None:
    turns: list[Turn] = [[chunk(part("{'", name="read")), CALLS], [SAID]]
    state = await agent_of(turns, [Tools().tool()]).ainvoke(INPUT)
    message = state["messages"][1]
    assert [one["id"] for one in message.invalid_tool_calls] == [answers(state)[0][0]]
    assert state["messages"][-1].content == "Done."


def test_an_invalid_call_is_answered_in_sync_too() -> None:
    tools = Tools(threading.Event)
    turns: list[Turn] = [NONE["cut"], [SAID]]
    state = agent_of(turns, [tools.tool()]).invoke(INPUT)
    assert tools.runs == []
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]


async def test_without_early_tools_a_call_keeps_its_missing_id() -> None:
    """As without the middleware: an approval, say, tells such calls apart in its own way."""
    written = [chunk(part('{"key": "a"}', call_id="", name="read")), CALLS]
    seen: list[Any] = []

    @wrap_tool_call
    async def note(request: Any, handler: Any) -> Any:
        seen.append(request.tool_call["id"])
        return ToolMessage("noted", tool_call_id="call_a")

    for eager in (EagerToolMiddleware(), False):
        await agent_of([written, [SAID]], [Tools().tool()], note, eager=eager).ainvoke(INPUT)
    assert seen[0] == seen[1]
