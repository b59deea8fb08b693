"""What a graph injects into tools: no model writes it, and nothing that comes out shows it.

A canary is in every injected value: a field of the state, the state, the store, the context of a
runtime. Another stands where a model forges such a value. Both are looked for in all that comes
out of a graph with `ToolSet.node()` and of an agent with `EagerToolMiddleware`.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain.tools import InjectedStore, ToolRuntime
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    ToolException,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel

from langchain_toolstream import ToolSet, tool_events
from langchain_toolstream.agents import EagerToolMiddleware
from tests.unit_tests.agents.gated import CALLS, SAID, GatedChat, Turn
from tests.unit_tests.scripted import written

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CANARY = "canary-7f3a9"
FORGED = "forged-c41d2"

seen: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@dataclass
class Context:
    token: str


class State(MessagesState):
    token: str


class OfAgent(AgentState[Any]):
    token: str


def paid(amount: int, value: Any) -> str:
    seen.append(value)
    if amount < 0:
        msg = "No such amount."
        raise ToolException(msg)
    return "paid"


def of_field(amount: int, given: Annotated[str, InjectedState("token")]) -> str:
    """Pay."""
    return paid(amount, given)


def of_state(amount: int, given: Annotated[dict[str, Any], InjectedState]) -> str:
    """Pay."""
    return paid(amount, given["token"])


def of_store(amount: int, given: Annotated[BaseStore, InjectedStore()]) -> str:
    """Pay."""
    item = given.get(("tokens",), "mine")
    return paid(amount, item.value["token"] if item else None)


def of_runtime(amount: int, given: ToolRuntime[Context, Any]) -> str:
    """Pay."""
    return paid(amount, given.context.token)


def of_wrong_type(amount: int, given: Annotated[int, InjectedState("token")]) -> str:
    """Pay."""
    return paid(amount, given)


def of_application(amount: int, given: Annotated[str, InjectedToolArg] = CANARY) -> str:
    """Pay."""
    return paid(amount, given)


def of_id(amount: int, given: Annotated[str, InjectedToolCallId]) -> str:
    """Pay."""
    return paid(amount, given)


class Payment(BaseModel):
    """Pay."""

    amount: int


FUNCTIONS = (of_field, of_state, of_store, of_runtime, of_wrong_type, of_application, of_id)
SCHEMAS: dict[str, Any] = {"own": None, "model": Payment, "json": Payment.model_json_schema()}


def tools(schema: Any) -> list[BaseTool]:
    more = {} if schema is None else {"args_schema": schema}
    # LangChain gives the id of the call only where the schema names it: with any other, it fails.
    functions = FUNCTIONS if schema is None else FUNCTIONS[:-1]
    return [
        StructuredTool.from_function(function, description="Pay.", **more) for function in functions
    ]


CALLED: list[dict[str, Any]] = [
    {"amount": 1},
    {"amount": -1},
    {"amount": "much"},
    {},
    {"amount": 1, "given": FORGED},
    {"amount": 1, "given": {"token": FORGED, "context": {"token": FORGED}}},
]


def turns(of: list[BaseTool]) -> list[Turn]:
    asked = [
        (tool.name, args)
        for tool in of
        for args in CALLED
        # What fails inside of a function ends an agent: there a JSON schema checks nothing.
        if not isinstance(tool.args_schema, dict) or type(args.get("amount")) is int
    ]
    calls = [
        piece
        for index, (name, args) in enumerate(asked)
        for piece in written(index, f"c{index}", name, json.dumps(args), size=1000)
    ]
    return [[*calls, CALLS], [SAID]]


def node_graph(of: list[BaseTool], *, eager: bool) -> Any:
    llm = GatedChat(turns=turns(of)).bind_tools(of)
    node = ToolSet(of, read_only=eager).node(handle_tool_errors=True)

    async def ask(state: State) -> Any:
        with node.eager(state):
            return {"messages": [await llm.ainvoke(state["messages"])]}

    def after(state: State) -> str:
        last: Any = state["messages"][-1]
        return "tools" if last.tool_calls or last.invalid_tool_calls else END

    graph = StateGraph(State, context_schema=Context)
    graph.add_node("model", ask)
    graph.add_node("tools", node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", after, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile(store=store(), checkpointer=InMemorySaver())


def agent(of: list[BaseTool], *, eager: bool) -> Any:
    for tool in of:
        tool.handle_tool_error = True  # an agent raises what its tools raise
    return create_agent(
        GatedChat(turns=turns(of)),
        of,
        middleware=[EagerToolMiddleware(read_only=eager)],
        state_schema=OfAgent,
        context_schema=Context,
        store=store(),
    )


def store() -> InMemoryStore:
    made = InMemoryStore()
    made.put(("tokens",), "mine", {"token": CANARY})
    return made


class Everything:
    """All that comes out of a run but for the graph's own input and state."""

    def __init__(self) -> None:
        self.tracer = RunCollectorCallbackHandler()
        self.config: Any = {
            "configurable": {"thread_id": "1"},
            "callbacks": [self.tracer],
        }
        self.out: list[str] = []

    def add(self, *things: Any) -> None:
        self.out += [repr(thing) for thing in things]

    def traces(self) -> Iterator[str]:
        runs = list(self.tracer.traced_runs)
        while runs:
            run = runs.pop()
            runs += run.child_runs
            own = {"child_runs", "parent_run"}
            if run.run_type == "chain":  # a node's input is the state
                own |= {"inputs", "outputs"}
            yield repr(run.model_dump(exclude=own)) + str(run.events) + str(run.error)

    def text(self) -> str:
        return "\n".join([*self.out, *self.traces()])


GIVEN: Any = {"messages": [("user", "Go on.")], "token": CANARY}
CONTEXT = Context(CANARY)


async def of_stream(made: Any, everything: Everything) -> None:
    modes = ["messages", "updates", "custom"]
    async for one in made.astream(
        GIVEN, everything.config, context=CONTEXT, stream_mode=modes, subgraphs=True
    ):
        everything.add(one)


async def of_events(made: Any, everything: Everything) -> None:
    stream = made.astream_events(GIVEN, everything.config, context=CONTEXT, version="v2")

    async def told() -> AsyncIterator[Any]:
        async for event in stream:
            if not event["event"].startswith("on_chain"):
                everything.add(event)
            yield event

    async for event in tool_events(told()):
        everything.add(event)


async def of_v3(made: Any, everything: Everything) -> None:
    run = await made.astream_events(GIVEN, everything.config, context=CONTEXT, version="v3")
    async for event in run:
        if event["method"] not in {"values", "tasks", "checkpoints", "debug"}:
            everything.add(event)


@pytest.mark.parametrize(
    ("schema", "eager"), [("own", True), ("own", False), ("model", True), ("json", True)]
)
@pytest.mark.parametrize("make", [node_graph, agent])
@pytest.mark.parametrize("way", [of_stream, of_events, of_v3])
async def test_an_injected_value_is_not_the_models_and_never_leaves(
    way: Any,
    make: Any,
    schema: str,
    eager: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    of = tools(SCHEMAS[schema])
    everything = Everything()
    await way(make(of, eager=eager), everything)
    out = everything.text() + caplog.text
    assert CANARY not in out
    assert CANARY in seen  # it came where it belongs
    assert FORGED not in str(seen)
    assert "paid" in out
    assert "No such amount." in out
