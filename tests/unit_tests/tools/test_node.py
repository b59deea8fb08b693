"""The tools' node: LangGraph's `ToolNode`, with several interrupts, limits, and early tools."""

import asyncio
import operator
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode, ToolRuntime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel, ValidationError

from langchain_toolstream import FromArtifact, ToolSet, artifact_tool
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.tools.graph.node import ToolSetNode
from tests.unit_tests.agents.gated import (
    CALLS,
    CUT,
    SAID,
    GatedChat,
    Tools,
    Turn,
    call,
    done,
    settle,
)
from tests.unit_tests.agents.gated import answers as agent_answers
from tests.unit_tests.scripted import chunk, part

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    who: str
    log: Annotated[list[str], operator.add]


def asking(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """A state whose last message calls tools; their ids are `c0`, `c1` and so on."""
    made = [{"name": name, "args": args, "id": f"c{i}"} for i, (name, args) in enumerate(calls)]
    return {"messages": [AIMessage("", tool_calls=made)]}


def graph_of(node: Any, schema: Any = State, **kwargs: Any) -> Any:
    graph = StateGraph(schema)
    graph.add_node("tools", node)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    return graph.compile(**kwargs)


def answers(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m.tool_call_id, str(m.content)) for m in state["messages"] if m.type == "tool"]


async def in_sync(graph: Any, given: Any, config: Any = None) -> Any:
    return await asyncio.to_thread(graph.invoke, given, config)


async def in_async(graph: Any, given: Any, config: Any = None) -> Any:
    return await graph.ainvoke(given, config)


ways = pytest.mark.parametrize("run", [in_sync, in_async])


# ToolNode's.


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
def look_around(
    who: Annotated[str, InjectedState("who")],
    store: Annotated[Any, InjectedStore()],
    runtime: ToolRuntime[Any, Any],
) -> str:
    """Tell what is given."""
    return f"{who} {store is runtime.store} {runtime.tool_call_id} {len(runtime.state['messages'])}"


@tool
def set_user(name: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Set the user."""
    message = ToolMessage(f"user is {name}", tool_call_id=tool_call_id)
    return Command(update={"who": name, "messages": [message]})


@tool(response_format="content_and_artifact")
def draw() -> tuple[str, list[int]]:
    """Draw."""
    return "drawn", [1, 2]


@tool
def fail() -> str:
    """Fail."""
    msg = "no"
    raise ValueError(msg)


TOOLS = [add, look_around, set_user, draw, fail]
EVERYTHING = asking(
    ("add", {"a": 1, "b": 2}), ("look_around", {"who": "root"}), ("set_user", {"name": "ada"}),
    ("draw", {}), ("fail", {}), ("add", {"a": 1}), ("unknown", {}),
)  # fmt: skip


@ways
@pytest.mark.parametrize("kept", [True, False])
async def test_the_node_does_what_tool_node_does(run: Any, kept: bool) -> None:  # noqa: FBT001
    def shown(node: Any) -> Any:
        made = graph_of(node, store=InMemoryStore(), checkpointer=InMemorySaver() if kept else None)
        return run(made, {**EVERYTHING, "who": "bob"}, THREAD if kept else None)

    ours = await shown(ToolSet(TOOLS).node())
    theirs = await shown(ToolNode(TOOLS, handle_tool_errors=True))
    assert ours["who"] == theirs["who"] == "ada"
    assert [(m.name, m.status, m.content, m.artifact) for m in ours["messages"][1:]] == [
        (m.name, m.status, m.content, m.artifact) for m in theirs["messages"][1:]
    ]
    assert answers(ours)[1] == ("c1", "bob True c1 1")


@ways
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("mode", ["updates", "messages", "tasks", "values"])
async def test_the_streams_are_tool_nodes(run: Any, kept: bool, mode: str) -> None:  # noqa: FBT001
    """A task's result is in the update of its node; of its tasks the stream tells only `tasks`."""
    given = asking(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4}))

    async def shown(node: Any) -> list[Any]:
        graph = graph_of(node, checkpointer=InMemorySaver() if kept else None)
        if run is in_async:
            found = [one async for one in graph.astream(given, THREAD, stream_mode=mode)]
        else:
            found = await asyncio.to_thread(
                lambda: list(graph.stream(given, THREAD, stream_mode=mode))
            )
        if mode == "messages":
            return sorted((m.content, meta["langgraph_node"]) for m, meta in found)
        if mode == "tasks":
            return [one["name"] for one in found if "result" in one]
        if mode == "values":
            return [answers(one) for one in found]
        return [answers(one["tools"]) for one in found]

    ours = await shown(ToolSet([add]).node())
    assert ours == await shown(ToolNode([add]))
    assert ours


async def test_messages_alone_and_calls_alone_are_taken_as_by_tool_node() -> None:
    def route(state: State) -> list[Send]:
        return [Send("tools", [one]) for one in state["messages"][-1].tool_calls]  # type: ignore[union-attr]

    graph = StateGraph(State)
    graph.add_node("tools", ToolSet(TOOLS).node())
    graph.add_conditional_edges(START, route, ["tools"])
    state = await graph.compile(store=InMemoryStore()).ainvoke({**EVERYTHING, "who": "bob"})
    assert len(answers(state)) == 7
    assert answers(state)[1] == ("c1", "bob True c1 1")

    alone: Any = StateGraph(Annotated[list[AnyMessage], add_messages])  # type: ignore[type-var]
    alone.add_node("tools", ToolSet([add]).node())
    alone.add_edge(START, "tools")
    messages = await alone.compile().ainvoke(asking(("add", {"a": 1, "b": 2}))["messages"])
    assert messages[-1].content == "3"


async def test_errors_are_handled_as_the_tool_set_or_the_node_says() -> None:
    given = asking(("fail", {}))
    for tools, kwargs in (
        (ToolSet([fail], handle_tool_errors="sorry"), {}),
        (ToolSet([fail], handle_tool_errors=False), {"handle_tool_errors": "sorry"}),
    ):
        assert answers(await graph_of(tools.node(**kwargs)).ainvoke(given)) == [("c0", "sorry")]
    for handled in (False, TypeError, (KeyError,)):
        with pytest.raises(ValueError, match=r"^no"):
            await graph_of(ToolSet([fail], handle_tool_errors=handled).node()).ainvoke(given)


@ways
async def test_a_wrapper_wraps(run: Any) -> None:
    def twice(request: Any, execute: Callable[[Any], Any]) -> Any:
        execute(request)
        return execute(request)

    ran: list[int] = []

    @tool
    def count(by: int) -> int:
        """Count."""
        ran.append(by)
        return len(ran)

    node = ToolSet([count]).node(wrap_tool_call=twice)
    given = asking(("count", {"by": 1}))
    assert answers(await run(graph_of(node), given)) == [("c0", "2")]

    async def atwice(request: Any, execute: Callable[[Any], Any]) -> Any:
        await execute(request)
        return await execute(request)

    node = ToolSet([count]).node(awrap_tool_call=atwice)
    assert answers(await graph_of(node).ainvoke(given)) == [("c0", "4")]


async def test_another_key_of_the_messages() -> None:
    class Other(TypedDict):
        chat: Annotated[list[AnyMessage], add_messages]

    given = {"chat": asking(("add", {"a": 1, "b": 2}))["messages"]}
    graph = graph_of(ToolSet([add]).node(messages_key="chat"), Other)
    assert (await graph.ainvoke(given))["chat"][-1].content == "3"
    graph = graph_of(ToolSet([add]).node(), Other)
    with pytest.raises(ValueError, match=r"the state has no 'messages', but 'chat'.*messages_key="):
        await graph.ainvoke(given)


# Exactly one answer.


class Returns(BaseTool):
    name: str = "returns"
    description: str = "Return what it was told to."
    value: Any = None

    def _run(self, **kwargs: Any) -> Any:
        return self.value


RETURNED = {
    "a command without an answer": Command(update={"who": "x"}),
    "commands without an answer": [Command(update={"who": "x"})],
    "two answers": [ToolMessage("a", tool_call_id="c0"), ToolMessage("b", tool_call_id="c0")],
    "an answer to another call": [ToolMessage("a", tool_call_id="other")],
    "an answer and a command": [Command(update={"who": "x"}), ToolMessage("a", tool_call_id="c0")],
    "a message of another id": ToolMessage("a", tool_call_id="other"),
}


@ways
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("value", RETURNED.values(), ids=RETURNED)
async def test_every_call_has_exactly_one_answer(
    run: Any,
    value: Any,
    kept: bool,  # noqa: FBT001
) -> None:
    graph = graph_of(
        ToolSet([Returns(value=value), add]).node(), checkpointer=InMemorySaver() if kept else None
    )
    given = asking(("returns", {}), ("add", {"a": 1, "b": 2}))
    state = await run(graph, given, THREAD)
    assert sorted(one for one, _ in answers(state)) == ["c0", "c1"]


async def test_invalid_calls_are_answered() -> None:
    given = asking(("add", {"a": 1, "b": 2}))
    broken = {
        "name": "add",
        "args": "{",
        "id": "c9",
        "error": "It was cut.",
        "type": "invalid_tool_call",
    }
    for tool_calls in (given["messages"][0].tool_calls, []):
        message = AIMessage("", tool_calls=tool_calls, invalid_tool_calls=[broken])
        state = await graph_of(ToolSet([add]).node()).ainvoke({"messages": [message]})
        assert answers(state)[-1] == ("c9", "Error: the call was not run. It was cut.")
        assert len(answers(state)) == len(tool_calls) + 1


# Interrupts.


class Desk:
    """Two tools that ask a human and one that writes; which of them is quicker is the test's."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.begun: list[str] = []
        self.quick = "a"

    def tools(self, *, is_async: bool) -> ToolSet:
        quick_asks = asyncio.Event()

        async def ask(key: str) -> str:
            self.begun.append(key)
            if key == self.quick:
                quick_asks.set()
            await quick_asks.wait()
            return f"{key} got {interrupt(f'{key}?')}"

        quick_began = threading.Condition()

        def ask_in_thread(key: str) -> str:
            with quick_began:
                self.begun.append(key)
                quick_began.notify_all()
                quick_began.wait_for(lambda: self.quick in self.begun, 5)
            return f"{key} got {interrupt(f'{key}?')}"

        def mail(to: str) -> str:
            """Send a mail."""
            self.mails.append(to)
            return f"sent to {to}"

        asks: Any = {"coroutine": ask} if is_async else {"func": ask_in_thread}
        asking = StructuredTool.from_function(**asks, name="ask", description="Ask a human.")
        return ToolSet([asking, mail])


@ways
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("limit", [None, 3])
async def test_each_interrupt_gets_its_own_answer_and_no_write_runs_twice(
    run: Any, first: str, limit: int | None
) -> None:
    desk = Desk()
    tools = desk.tools(is_async=run is in_async)
    graph = graph_of(tools.node(), checkpointer=InMemorySaver())
    config = {**THREAD, "max_concurrency": limit} if limit else THREAD
    given = asking(("mail", {"to": "x"}), ("ask", {"key": "a"}), ("ask", {"key": "b"}))
    state = await run(graph, given, config)
    asked = {one.value: one.id for one in state["__interrupt__"]}
    assert list(asked) == ["a?", "b?"]
    with pytest.raises(RuntimeError, match="multiple pending interrupts"):
        await run(graph, Command(resume="whose?"), config)

    desk.quick, desk.begun = "b", []
    other = "b" if first == "a" else "a"
    state = await run(graph, Command(resume={asked[f"{first}?"]: f"that of {first}"}), config)
    assert [one.value for one in state["__interrupt__"]] == [f"{other}?"]
    state = await run(graph, Command(resume=f"that of {other}"), config)
    assert answers(state) == [
        ("c0", "sent to x"), ("c1", "a got that of a"), ("c2", "b got that of b"),
    ]  # fmt: skip
    assert desk.mails == ["x"]


@ways
async def test_both_may_be_answered_at_once(run: Any) -> None:
    graph = graph_of(Desk().tools(is_async=run is in_async).node(), checkpointer=InMemorySaver())
    state = await run(graph, asking(("ask", {"key": "a"}), ("ask", {"key": "b"})), THREAD)
    told = {one.id: one.value.upper() for one in state["__interrupt__"]}
    state = await run(graph, Command(resume=told), THREAD)
    assert answers(state) == [("c0", "a got A?"), ("c1", "b got B?")]


@ways
async def test_a_tool_that_asks_twice_keeps_its_first_answer(run: Any) -> None:
    @tool
    def ask_twice() -> str:
        """Ask."""
        return f"{interrupt('first?')} {interrupt('second?')}"

    tools = ToolSet([ask_twice, *Desk().tools(is_async=False)])
    graph = graph_of(tools.node(), checkpointer=InMemorySaver())
    state = await run(graph, asking(("ask_twice", {}), ("ask", {"key": "a"})), THREAD)
    asked = {one.value: one.id for one in state["__interrupt__"]}
    state = await run(graph, Command(resume={asked["first?"]: "1"}), THREAD)
    asked = {one.value: one.id for one in state["__interrupt__"]}
    assert set(asked) == {"second?", "a?"}
    state = await run(graph, Command(resume={asked["second?"]: "2", asked["a?"]: "A"}), THREAD)
    assert answers(state) == [("c0", "1 2"), ("c1", "a got A")]


class Approval(BaseModel):
    """What a human says."""

    approved: bool


@ways
@pytest.mark.parametrize("alone", [True, False])
async def test_an_answer_that_does_not_fit_leaves_the_interrupt_open(run: Any, alone: bool) -> None:  # noqa: FBT001
    @tool
    def approve() -> str:
        """Ask for approval."""
        return f"approved={interrupt('Approve?', response_schema=Approval).approved}"

    tools = ToolSet([approve, *Desk().tools(is_async=False)])
    graph = graph_of(tools.node(), checkpointer=InMemorySaver())
    calls = [("approve", {})] if alone else [("approve", {}), ("mail", {"to": "x"})]
    (pending,) = (await run(graph, asking(*calls), THREAD))["__interrupt__"]
    with pytest.raises(ValidationError, match="approved"):
        await run(graph, Command(resume={pending.id: {"approved": "maybe"}}), THREAD)
    assert [one.id for one in graph.get_state(THREAD).interrupts] == [pending.id]
    state = await run(graph, Command(resume={pending.id: {"approved": True}}), THREAD)
    assert answers(state)[0] == ("c0", "approved=True")


@ways
async def test_commands_and_artifacts_outlive_an_interrupt(run: Any) -> None:
    tools = ToolSet([set_user, draw, *Desk().tools(is_async=False)])
    graph = graph_of(tools.node(), checkpointer=InMemorySaver())
    given = asking(("set_user", {"name": "ada"}), ("draw", {}), ("ask", {"key": "a"}))
    await run(graph, given, THREAD)
    state = await run(graph, Command(resume="A"), THREAD)
    assert state["who"] == "ada"
    messages = {m.tool_call_id: m for m in state["messages"][1:]}
    assert [messages[f"c{i}"].content for i in range(3)] == ["user is ada", "drawn", "a got A"]
    assert messages["c1"].artifact == [1, 2]


@ways
async def test_a_graph_in_a_tool_may_hand_over(run: Any) -> None:
    """A subagent's `Command` to its parent is the graph's, in a call's task as without one."""

    def hand_over(state: State) -> Command[Any]:
        return Command(graph=Command.PARENT, update={"log": ["handed over"]}, goto="other")

    inner: Any = StateGraph(State).add_node("hand", hand_over).add_edge(START, "hand").compile()

    @tool
    def delegate() -> str:
        """Delegate."""
        return str(inner.invoke({"messages": []}))

    def outer(node: Any) -> Any:
        graph = StateGraph(State)
        graph.add_node("tools", node, destinations=("other",))
        graph.add_node("other", lambda _: {"log": ["there"]})
        graph.add_edge(START, "tools")
        return graph.compile(checkpointer=InMemorySaver())

    given = asking(("delegate", {}), ("add", {"a": 1, "b": 2}))
    ours = await run(outer(ToolSet([delegate, add]).node()), given, THREAD)
    theirs = await run(outer(ToolNode([delegate, add])), given, THREAD)
    assert ours["log"] == theirs["log"] == ["handed over", "there"]


@ways
async def test_a_failed_step_goes_on_without_its_finished_writes(run: Any) -> None:
    broken = [True]

    @tool
    def flaky() -> str:
        """Fail once."""
        if broken:
            broken.pop()
            msg = "not yet"
            raise ConnectionError(msg)
        return "now"

    desk = Desk()
    tools = ToolSet([flaky, *desk.tools(is_async=False)], handle_tool_errors=False)
    graph = graph_of(tools.node(), checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError, match="not yet"):
        await run(graph, asking(("mail", {"to": "x"}), ("flaky", {})), THREAD)
    state = await run(graph, None, THREAD)
    assert answers(state) == [("c0", "sent to x"), ("c1", "now")]
    assert desk.mails == ["x"]


@pytest.mark.parametrize("limit", [1, 2])
async def test_tasks_take_no_place_of_another_node(limit: int) -> None:
    """LangGraph counts its tasks against max_concurrency, and their nodes, which wait for them."""
    graph = StateGraph(State)
    for name in ("tools", "more"):
        graph.add_node(name, ToolSet([add]).node(name=name))
        graph.add_edge(START, name)
    given = asking(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4}))
    made = graph.compile(checkpointer=InMemorySaver())
    config = {**THREAD, "max_concurrency": limit}
    state = await asyncio.wait_for(made.ainvoke(given, config), 30)
    assert sorted(answers(state)) == [("c0", "3"), ("c0", "3"), ("c1", "7"), ("c1", "7")]


# Limits of the ToolSet.


@ways
async def test_the_limits_of_the_tool_set_hold(run: Any) -> None:
    failures, most, now = [1, 1], [0], [0]
    lock = threading.Lock()

    @tool
    def flaky() -> str:
        """Fail twice."""
        if failures:
            failures.pop()
            msg = "not yet"
            raise ConnectionError(msg)
        return "now"

    @tool
    def busy() -> str:
        """Be the only one."""
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1
        return "done"

    released = threading.Event()

    @tool
    def hangs() -> str:
        """Hang."""
        released.wait(5)
        return "late"

    tools = ToolSet(
        [flaky, busy, hangs],
        retries={"flaky": 2},
        timeout={"hangs": 0.05},
        max_concurrency={"busy": 1},
    )
    given = asking(("flaky", {}), *[("busy", {})] * 6, ("hangs", {}))
    state = await run(graph_of(tools.node()), given)
    released.set()
    found = dict(answers(state))
    assert found["c0"] == "now"
    assert found["c7"] == "Error: hangs did not finish within 0.05 seconds."
    assert most == [1]


@ways
async def test_artifacts_are_passed_on(run: Any) -> None:
    @artifact_tool
    def load() -> list[int]:
        """Load."""
        return [1, 2, 3]

    @tool
    def total(numbers: Annotated[list[int], FromArtifact()]) -> int:
        """Add up."""
        return sum(numbers)

    graph = graph_of(ToolSet([load, total]).node(), checkpointer=InMemorySaver())
    await run(graph, asking(("load", {})), THREAD)
    message = AIMessage(
        "", tool_calls=[{"name": "total", "args": {"numbers": "artifact:c0"}, "id": "c1"}]
    )
    state = await run(graph, {"messages": [message]}, THREAD)
    assert answers(state)[-1] == ("c1", "6")


# Early tools.


def agent_of(turns: list[Turn], tools: list[Any], **kwargs: Any) -> Any:
    """An agent as a LangGraph user writes it, whose `read` is read-only."""
    llm = GatedChat(turns=turns).bind_tools(tools)
    node = ToolSet(tools, read_only=lambda one: one.name == "read").node(**kwargs)

    def ask(state: MessagesState) -> Any:
        with node.eager(state):
            return {"messages": [llm.invoke(state["messages"])]}

    async def aask(state: MessagesState) -> Any:
        with node.eager(state):
            return {"messages": [await llm.ainvoke(state["messages"])]}

    def after(state: MessagesState) -> str:
        last: Any = state["messages"][-1]
        return "tools" if last.tool_calls or last.invalid_tool_calls else END

    from langgraph._internal._runnable import RunnableCallable  # noqa: PLC0415

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableCallable(ask, aask))
    graph.add_node("tools", node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", after, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


GO_ON = {"messages": [("user", "Go on.")]}


async def test_a_read_only_tool_starts_while_the_model_writes() -> None:
    tools = Tools()
    early: list[str] = []
    calls = [*call(0, "a"), *call(1, "b", "write"), *call(2, "c")]
    turns: list[Turn] = [[*calls, settle, lambda: early.extend(tools.runs), CALLS], [SAID]]
    agent = agent_of(turns, [tools.tool(), tools.tool("write")])
    state = await agent.ainvoke(GO_ON, THREAD)
    assert early == ["a"]
    assert sorted(tools.runs) == ["a", "b", "c"]
    assert agent_answers(state) == [*done("a"), *done("b", name="write"), *done("c")]


def test_a_read_only_tool_starts_in_a_thread() -> None:
    tools = Tools(threading.Event)
    turns: list[Turn] = [[*call(0, "a"), tools.finished["a"], CALLS], [SAID]]
    state = agent_of(turns, [tools.tool()]).invoke(GO_ON, THREAD)
    assert agent_answers(state) == done("a")
    assert tools.runs == ["a"]


async def test_a_cut_call_is_answered_and_not_run() -> None:
    """langchain-core has completed it: the message has a valid call."""
    tools = Tools()
    opened = chunk(part('{"key": "b', index=1, call_id="call_b", name="read"))
    turns: list[Turn] = [[*call(0, "a"), opened, CUT], [SAID]]
    state = await agent_of(turns, [tools.tool()]).ainvoke(GO_ON, THREAD)
    assert tools.runs == ["a"]
    found = {call_id: (status, content) for call_id, _, content, _, status in agent_answers(state)}
    assert found["call_a"] == ("success", "a done")
    assert found["call_b"][0] == "error"
    assert found["call_b"][1].startswith("Error: the call was not run.")


async def test_a_dropped_connection_confirms_nothing() -> None:
    tools = Tools(closed="a")
    turn: Turn = [chunk(model_provider="openai"), *call(0, "a"), settle]
    with pytest.raises(IncompleteStreamError):
        await agent_of([turn], [tools.tool()]).ainvoke(GO_ON, THREAD)
    assert tools.runs == ["a"]


async def test_runs_of_one_graph_do_not_get_each_others_results() -> None:
    async def read(key: str, runtime: ToolRuntime[Any, Any]) -> str:
        """Tell who asks."""
        await settle()
        return str(runtime.config["configurable"]["thread_id"])

    one = StructuredTool.from_function(coroutine=read)
    turn: Turn = [*call(0, "a"), settle, settle, CALLS]

    class Chat(GatedChat):
        def _next_turn(self, messages: Any) -> Turn:
            return [SAID] if isinstance(messages[-1], ToolMessage) else turn

    node = ToolSet([one], read_only=True).node()
    llm = Chat(turns=[]).bind_tools([one])

    async def ask(state: MessagesState) -> Any:
        with node.eager(state):
            return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("model", ask).add_node("tools", node)
    made = graph.add_edge(START, "model").add_edge("model", "tools").compile()
    states = await asyncio.gather(
        *(made.ainvoke(GO_ON, {"configurable": {"thread_id": str(n)}}) for n in range(10))
    )
    assert [answers(state)[0][1] for state in states] == [str(n) for n in range(10)]
    assert node._eager_runs.runs._runs == {}


# LangGraph is optional.


def test_without_langgraph_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['langgraph'] = None\n"
        "from langchain_toolstream import ToolSet\n"
        "try: ToolSet([]).node()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == (
        "ToolSet.node() needs the package langgraph. "
        "Install it with `pip install 'langchain-toolstream[agents]'`.\n"
    )


def test_a_node_is_a_tool_node() -> None:
    node = ToolSet([add]).node(name="mine", tags=["x"])
    assert isinstance(node, ToolNode)
    assert isinstance(node, ToolSetNode)
    assert (node.name, node.tags) == ("mine", ["x"])
    assert list(node.tools_by_name) == ["add"]
