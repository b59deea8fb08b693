"""Which tools start early, and that none gets ahead of what guards it."""

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ToolRetryMiddleware,
    after_model,
    before_model,
    wrap_model_call,
    wrap_tool_call,
)
from langchain_core.tools import InjectedToolCallId, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import Command

from langchain_toolstream.agents import EagerToolMiddleware
from tests.unit_tests.agents.gated import (
    CALLS,
    INPUT,
    SAID,
    GatedChat,
    Step,
    Tools,
    Turn,
    agent_of,
    answers,
    call,
    done,
    settle,
)
from tests.unit_tests.scripted import chunk, part

THREAD = {"configurable": {"thread_id": "1"}}


async def early_runs(
    tools: Tools, bound: list[Any], *others: Any, steps: list[Step] | None = None, **kwargs: Any
) -> list[str]:
    """The runs that had begun when the model came to the end of its message."""
    early: list[str] = []
    turn: Turn = [*(steps or call(0, "a")), settle, lambda: early.extend(tools.runs), CALLS]
    agent = agent_of([turn, [SAID]], bound, *others, **kwargs)
    await agent.ainvoke(INPUT, THREAD)
    return early


# Who is read-only.


@pytest.mark.parametrize(
    ("given", "metadata", "starts_early"),
    [
        ({}, None, False),
        ({"read_only": True}, None, True),
        ({"read_only": ["read"]}, None, True),
        ({"read_only": ["write"]}, None, False),
        ({"read_only": lambda tool: tool.name == "read"}, None, True),
        ({}, {"read_only": True}, True),
        ({"read_only": ["write"]}, {"read_only": True}, True),
        ({}, {"readOnlyHint": True}, False),
        ({"trust_annotations": True}, {"readOnlyHint": True}, True),
        ({"read_only": True}, {"destructiveHint": True}, False),
    ],
)
async def test_read_only_is_what_toolset_calls_so(
    given: dict[str, Any],
    metadata: dict[str, Any] | None,
    starts_early: bool,  # noqa: FBT001
) -> None:
    tools = Tools()
    bound = [tools.tool(metadata=metadata), tools.tool("write")]
    early = await early_runs(tools, bound, eager=EagerToolMiddleware(**given))
    assert early == ["a"] * starts_early
    assert tools.runs == ["a"]


async def test_a_read_does_not_overtake_a_write() -> None:
    tools = Tools()
    steps = [*call(0, "a"), *call(1, "b", "write"), *call(2, "c")]
    early = await early_runs(tools, [tools.tool(), tools.tool("write")], steps=steps)
    assert early == ["a"]
    assert sorted(tools.runs) == ["a", "b", "c"]


@pytest.mark.parametrize("argument", ["read_only", "eager_despite"])
def test_one_name_is_no_list_of_names(argument: str) -> None:
    with pytest.raises(TypeError, match="list of names"):
        EagerToolMiddleware(**{argument: "read"})


async def test_arguments_that_do_not_fit_are_left_to_tool_node() -> None:
    tools = Tools()
    wrong = chunk(part('{"kee": 1}', call_id="call_a", name="read"))
    turns: list[Turn] = [[wrong, settle, CALLS], [SAID]]
    states = [
        await agent_of(turns, [tools.tool()], eager=eager).ainvoke(INPUT) for eager in (True, False)
    ]
    assert tools.runs == []
    assert answers(states[0]) == answers(states[1])
    assert answers(states[0])[0][-1] == "error"


# Tools that are given something.


async def test_a_tool_that_is_given_the_state_waits_for_tool_node() -> None:
    seen: list[Any] = []

    async def with_state(key: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
        """Count messages."""
        seen.append(key)
        return f"{len(state['messages'])}"

    async def with_runtime(key: str, runtime: ToolRuntime) -> str:
        """Tell the id, and count messages."""
        seen.append(key)
        return f"{runtime.tool_call_id} {len(runtime.state['messages'])}"

    async def with_id(key: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
        """Tell the id."""
        seen.append(key)
        return call_id

    bound = [
        StructuredTool.from_function(coroutine=function)
        for function in (with_state, with_runtime, with_id)
    ]
    early: list[Any] = []
    turn: Turn = [
        *call(0, "a", "with_state"),
        *call(1, "b", "with_runtime"),
        *call(2, "c", "with_id"),
        settle,
        lambda: early.extend(seen),
        CALLS,
    ]
    eager = EagerToolMiddleware(read_only=True)
    state = await agent_of([turn, [SAID]], bound, eager=eager).ainvoke(INPUT)
    assert early == ["b", "c"]
    assert [content for _, _, content, _, _ in answers(state)] == ["2", "call_b 1", "call_c"]


# What guards an agent.


class Watches(AgentMiddleware[Any, Any, Any]):
    async def aafter_model(self, state: Any, runtime: Any) -> None:
        pass


@after_model
def after(state: Any, runtime: Any) -> None:
    pass


@wrap_tool_call
async def around(request: Any, handler: Any) -> Any:
    return await handler(request)


@before_model
def before(state: Any, runtime: Any) -> None:
    pass


@wrap_model_call
async def around_model(request: Any, handler: Any) -> Any:
    return await handler(request)


class Approves(HumanInTheLoopMiddleware):
    """An approval with a rule of its own."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        return super().after_model(state, runtime)


GUARDS = {
    "after_model": after,
    "aafter_model": Watches(),
    "wrap_tool_call": around,
    "another approval of another tool": Approves(interrupt_on={"write": True}),
    "tool retry": ToolRetryMiddleware(),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
@pytest.mark.parametrize("own_first", [True, False])
async def test_nothing_starts_early_beside_a_guard(guard: Any, own_first: bool) -> None:  # noqa: FBT001
    for despite, starts_early in (((), False), ([guard.name], True), (["read"], True)):
        tools = Tools()
        own = EagerToolMiddleware(read_only=True, eager_despite=despite)
        others = [own, guard] if own_first else [guard, own]
        early = await early_runs(
            tools, [tools.tool()], *others, eager=False, checkpointer=InMemorySaver()
        )
        assert early == ["a"] * starts_early
        assert tools.runs == ["a"]


NO_GUARDS = {
    "before_model": before,
    "wrap_model_call": around_model,
    "approval of another tool": HumanInTheLoopMiddleware(
        interrupt_on={"write": True, "read": False}
    ),
}


@pytest.mark.parametrize("other", NO_GUARDS.values(), ids=NO_GUARDS)
async def test_other_middleware_is_no_guard(other: Any) -> None:
    tools = Tools()
    early = await early_runs(tools, [tools.tool()], other, checkpointer=InMemorySaver())
    assert early == ["a"]


@pytest.mark.parametrize("stop", [{"interrupt_before": ["tools"]}, {"interrupt_after": ["model"]}])
async def test_an_agent_that_stops_before_its_tools_starts_none(stop: dict[str, Any]) -> None:
    tools = Tools()
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool()], checkpointer=InMemorySaver(), **stop)
    await agent.ainvoke(INPUT, THREAD)
    await settle()
    assert tools.runs == []


async def test_a_guard_of_one_agent_guards_all_that_share_the_middleware() -> None:
    own = EagerToolMiddleware(read_only=True)
    create_agent(GatedChat(turns=[]), [], middleware=[own, after])
    tools = Tools()
    assert await early_runs(tools, [tools.tool()], eager=own) == []


class Renamed(EagerToolMiddleware):
    """Has another name, so `create_agent` takes both."""


@pytest.mark.parametrize("second", [EagerToolMiddleware, Renamed])
def test_two_of_its_kind_do_not_ask_each_other_for_ever(second: type[EagerToolMiddleware]) -> None:
    both = [EagerToolMiddleware(read_only=True), second()]
    if second is Renamed:
        create_agent(GatedChat(turns=[]), [], middleware=both)
        assert both[0]._agent is not None
        assert both[1]._agent is not None
        assert both[0]._agent.guards == {"Renamed": None}
        assert both[1]._agent.guards == {"EagerToolMiddleware": None}
    else:
        with pytest.raises(AssertionError, match="duplicate middleware"):
            create_agent(GatedChat(turns=[]), [], middleware=both)


MODES = ("batched", "per_call")


@pytest.mark.parametrize("own_first", [True, False])
@pytest.mark.parametrize("decision", ["reject", "approve", "edit"])
async def test_a_tool_under_approval_runs_only_when_it_is_approved(
    decision: str,
    own_first: bool,  # noqa: FBT001
) -> None:
    tools = Tools()
    own = EagerToolMiddleware(read_only=True)
    approval = HumanInTheLoopMiddleware(interrupt_on={"read": True})
    order: list[Any] = [own, approval] if own_first else [approval, own]
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool()], *order, eager=False, checkpointer=InMemorySaver())
    state = await agent.ainvoke(INPUT, THREAD)
    assert state["__interrupt__"]
    assert tools.runs == []
    decided: dict[str, Any] = {"type": decision}
    if decision == "edit":
        decided["edited_action"] = {"name": "read", "args": {"key": "b"}}
    state = await agent.ainvoke(Command(resume={"decisions": [decided]}), THREAD)
    assert tools.runs == {"reject": [], "approve": ["a"], "edit": ["b"]}[decision]


async def test_a_tool_that_is_eager_despite_its_approval_is_run_again_when_approved() -> None:
    """What ran early belongs to the run of the agent that was interrupted."""
    tools = Tools()
    own = EagerToolMiddleware(read_only=True, eager_despite=["read"])
    approval = HumanInTheLoopMiddleware(interrupt_on={"read": True})
    turns: list[Turn] = [[*call(0, "a"), settle, CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool()], approval, eager=own, checkpointer=InMemorySaver())
    await agent.ainvoke(INPUT, THREAD)
    assert tools.runs == ["a"]
    approved = Command(resume={"decisions": [{"type": "approve"}]})
    state = await agent.ainvoke(approved, THREAD)
    assert answers(state) == done("a")
    assert tools.runs == ["a", "a"]


async def test_a_read_beside_a_write_under_approval_may_run_again() -> None:
    """The read is early; the interrupt ends the run that has its result."""
    tools = Tools()
    approval = HumanInTheLoopMiddleware(interrupt_on={"write": True})
    turns: list[Turn] = [[*call(0, "a"), settle, *call(1, "b", "write"), settle, CALLS], [SAID]]
    bound = [tools.tool(), tools.tool("write")]
    agent = agent_of(turns, bound, approval, checkpointer=InMemorySaver())
    await agent.ainvoke(INPUT, THREAD)
    assert tools.runs == ["a"]
    rejected = {"decisions": [{"type": "reject", "message": "No."}]}
    state = await agent.ainvoke(Command(resume=rejected), THREAD)
    assert tools.runs == ["a", "a"]
    assert sorted(one[-1] for one in answers(state)) == ["error", "success"]


async def test_it_says_so_when_it_cannot_see_the_agent() -> None:
    own = EagerToolMiddleware(read_only=True)
    tools = Tools()
    early: list[str] = []
    turn: Turn = [*call(0, "a"), settle, lambda: early.extend(tools.runs), CALLS]
    agent = agent_of([turn, [SAID]], [tools.tool()], eager=own)
    own._agent = None
    with pytest.warns(UserWarning, match="could not see"):
        await agent.ainvoke(INPUT)
    assert early == []
