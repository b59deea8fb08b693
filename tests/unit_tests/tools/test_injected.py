"""What the application injects: no model writes it, and nothing that comes out shows it."""

import copy
import json
import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    tool,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from pydantic import AliasChoices, BaseModel, Field

from langchain_toolstream import ToolSet, ToolStreamParser, artifact_tool, tool_events
from tests.unit_tests.scripted import Call, good

CANARY = "canary-7f3a9"

seen: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


class Path(BaseModel):
    """Delete a file."""

    path: str


PATH_AS_JSON = {"type": "object", "properties": {"path": {"type": "string"}}}


@tool
def inferred(path: str, user: Annotated[str, InjectedToolArg]) -> str:
    """Delete."""
    seen.append(user)
    return "done"


@tool(args_schema=Path)
def own_schema(path: str, user: Annotated[str, InjectedToolArg]) -> str:
    """Delete."""
    seen.append(user)
    return "done"


@tool("as_json", args_schema=PATH_AS_JSON, description="Delete.")
def as_json(path: str, user: Annotated[str, InjectedToolArg()]) -> str:
    seen.append(user)
    return "done"


@tool(args_schema=Path)
async def coroutine(path: str, user: Annotated[str, InjectedToolArg] = "guest") -> str:
    """Delete."""
    seen.append(user)
    return "done"


@artifact_tool
def artifact(path: str, user: Annotated[str, InjectedToolArg]) -> str:
    """Delete."""
    seen.append(user)
    return "done"


class Method(BaseTool):
    name: str = "method"
    description: str = "Delete."
    args_schema: Any = Path

    def _run(self, path: str, user: Annotated[str, InjectedToolArg] = "guest", **more: Any) -> str:
        seen.append(user)
        return "done"


class Optional(BaseTool):
    name: str = "nested"
    description: str = "Delete."

    def _run(self, path: str, user: Annotated[str, InjectedToolArg] | None = None) -> str:
        seen.append(user)
        return "done"


class Aliased(BaseModel):
    """Delete a file."""

    path: str
    user: Annotated[str, InjectedToolArg] = Field("guest", alias="u")


class AliasedTwice(BaseModel):
    """Delete a file."""

    path: str
    user: Annotated[str, InjectedToolArg] = Field(
        "guest", validation_alias=AliasChoices("u", "who")
    )


def delete(path: str, user: str) -> str:
    """Delete."""
    seen.append(user)
    return "done"


aliased = StructuredTool.from_function(delete, name="aliased", args_schema=Aliased)
aliased_twice = StructuredTool.from_function(delete, name="aliased2", args_schema=AliasedTwice)


@tool(args_schema=Path)
def of_state(path: str, user: Annotated[str, InjectedState("user")]) -> str:
    """Delete."""
    seen.append(user)
    return "done"


@tool(args_schema=Path)
def of_runtime(path: str, user: ToolRuntime) -> str:
    """Delete."""
    seen.append(user)
    return "done"


@tool(args_schema=Path)
def of_id(path: str, user: Annotated[str, InjectedToolCallId]) -> str:
    """Delete."""
    seen.append(user)
    return "done"


MARKED: list[tuple[BaseTool, str]] = [
    *((one, "user") for one in (inferred, own_schema, as_json, coroutine, artifact, Method())),
    *((one, "user") for one in (Optional(), of_state, of_runtime, of_id)),
    (aliased, "u"),
    (aliased_twice, "u"),
    (aliased_twice, "who"),
]
marked = pytest.mark.parametrize(
    ("one", "parameter"), MARKED, ids=[f"{one.name}-{name}" for one, name in MARKED]
)


Run = Callable[[ToolSet, Call], Awaitable[ToolMessage]]


async def invoke(tools: ToolSet, call: Call) -> ToolMessage:
    return tools.invoke(call)


async def ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    return await tools.ainvoke(call)


async def map_invoke(tools: ToolSet, call: Call) -> ToolMessage:
    return tools.map().invoke([call])[0]


async def map_ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    return (await tools.map().ainvoke([call]))[0]


async def map_stream(tools: ToolSet, call: Call) -> ToolMessage:
    return next(message for batch in tools.map().stream([call]) for message in batch)


async def parse(tools: ToolSet, call: Call) -> ToolMessage:
    chain: Any = ToolStreamParser(tools) | tools.map()
    message = (await chain.ainvoke(AIMessage("", tool_calls=[call])))[0]
    assert isinstance(message, ToolMessage)
    return message


every_way = pytest.mark.parametrize(
    "run", [invoke, ainvoke, map_invoke, map_ainvoke, map_stream, parse]
)


class TestAModel:
    @every_way
    @marked
    async def test_gives_no_injected_value(self, run: Run, one: BaseTool, parameter: str) -> None:
        forged = good("c", one.name, path="/x", **{parameter: CANARY})
        message = await run(ToolSet([one]), forged)
        assert seen == []
        assert message.status == "error"
        assert f"by the application, not by the model, at $.{parameter}" in message.content

    @every_way
    async def test_gives_none_by_a_hidden_runtime(self, run: Run) -> None:
        """As tools of MCP servers have one, whose schema is JSON."""

        async def call_tool(runtime: Any = None, **arguments: Any) -> str:
            """Call."""
            seen.append(runtime)
            return "done"

        remote = StructuredTool(
            name="remote", description="Call.", coroutine=call_tool, args_schema=PATH_AS_JSON
        )
        if run in (ainvoke, map_ainvoke):
            assert (await run(ToolSet([remote]), good("c", "remote", path="/x"))).content == "done"
            assert seen == [None]
            seen.clear()
        message = await run(ToolSet([remote]), good("c", "remote", path="/x", runtime={}))
        assert (message.status, seen) == ("error", [])

    async def test_may_write_a_runtime_that_it_is_shown(self) -> None:
        @tool
        def deploy(runtime: str) -> str:
            """Deploy."""
            return f"on {runtime}"

        assert (
            await map_ainvoke(ToolSet([deploy]), good("c", "deploy", runtime="js"))
        ).content == ("on js")

    async def test_forging_is_reported_to_the_application(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        await ainvoke(ToolSet([inferred]), good("c", "inferred", path="/x", user=CANARY))
        assert "'inferred' (call c)" in caplog.text
        assert "after ToolStreamParser(tools)" in caplog.text
        assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "mark", [InjectedState("city"), InjectedState, InjectedStore()], ids=["field", "state", "store"]
)
@every_way
async def test_what_only_a_graph_has_is_missed_where_it_is_optional(run: Run, mark: Any) -> None:
    """`ToolNode` would give it; without it the tool would do something else, in silence."""

    def look(store: Any = None) -> str:
        """Look."""
        pytest.fail("it ran")

    look.__annotations__["store"] = Annotated[BaseStore | None, mark]
    message = await run(ToolSet([look]), good("c", "look"))
    assert "needs 'store'" in message.content


class TestTheIdOfTheCall:
    @every_way
    async def test_is_given_whatever_the_parameter_is_called(self, run: Run) -> None:
        """LangChain itself gives it to one of another name only where the schema names it."""
        message = await run(ToolSet([of_id]), good("c", "of_id", path="/x"))
        assert (message.status, seen) == ("success", ["c"])

    def test_knows_what_the_model_wrote_after_copying(self) -> None:
        (call,) = ToolStreamParser([inferred]).invoke(
            AIMessage("", tool_calls=[good("c", "inferred", path="/x")])
        )
        for same in (copy.deepcopy(call), pickle.loads(pickle.dumps(call)), {**call}):  # noqa: S301
            given: Any = with_argument(same, "user", "ann")
            assert ToolSet([inferred]).invoke(given).status == "success"
        assert json.dumps(call["id"]) == '"c"'
        message = ToolSet([inferred]).invoke(given)
        assert type(message.tool_call_id) is str


# The canary. Every way in which the application's value goes to a tool, and all that comes out.


def pay(amount: int, to: str, token: Annotated[str, InjectedToolArg]) -> str:
    """Pay."""
    seen.append(token)
    if amount < 0:
        msg = "No such amount."
        raise ValueError(msg)
    return "paid"


class Payment(BaseModel):
    """Pay."""

    amount: int
    to: str


class PaymentBy(Payment):
    token: Annotated[int, InjectedToolArg]


PAYING = [
    StructuredTool.from_function(pay),
    StructuredTool.from_function(pay, args_schema=Payment),
    StructuredTool.from_function(pay, args_schema=Payment.model_json_schema()),
    StructuredTool.from_function(pay, args_schema=PaymentBy),
]


def with_argument(call: Any, name: str, value: Any) -> Any:
    return {**call, "args": {**call["args"], name: value}}


class Everything:
    """All that comes out of a run: messages, events, traces."""

    def __init__(self) -> None:
        self.tracer = RunCollectorCallbackHandler()
        self.out: list[str] = []

    def add(self, *things: Any) -> None:
        self.out += [repr(thing) for thing in things]

    def text(self) -> str:
        runs = list(self.tracer.traced_runs)
        while runs:
            run = runs.pop()
            runs += run.child_runs
            shown = run.model_dump(exclude={"child_runs", "parent_run"})
            self.out.append(repr(shown) + str(run.events) + str(run.error))
        return "\n".join(self.out)


async def of_map(tools: ToolSet, calls: Any, everything: Everything) -> None:
    def step(_: Any, config: RunnableConfig) -> Any:
        return tools.map().invoke(calls, config)

    chain = RunnableLambda(step)
    everything.add(chain.invoke("go", {"callbacks": [everything.tracer]}))


async def of_stream(tools: ToolSet, calls: Any, everything: Everything) -> None:
    async def step(_: Any, config: RunnableConfig) -> Any:
        return [m async for batch in tools.map().astream(calls, config) for m in batch]

    chain = RunnableLambda(step)
    config: RunnableConfig = {"callbacks": [everything.tracer]}
    async for event in chain.astream_events("go", config):
        everything.add(event)


async def of_tool_events(tools: ToolSet, calls: Any, everything: Everything) -> None:
    async def step(_: Any, config: RunnableConfig) -> Any:
        return await tools.map().ainvoke(calls, config)

    async for event in tool_events(RunnableLambda(step), "go"):
        everything.add(event)


async def of_invoke(tools: ToolSet, calls: Any, everything: Everything) -> None:
    for call in calls:
        everything.add(tools.invoke(call, {"callbacks": [everything.tracer]}))
        everything.add(await tools.ainvoke(call, {"callbacks": [everything.tracer]}))


@pytest.mark.parametrize("paying", PAYING, ids=["inferred", "model", "json", "wrong type"])
@pytest.mark.parametrize("handler", [True, str, repr], ids=["default", "str", "repr"])
@pytest.mark.parametrize("way", [of_map, of_stream, of_tool_events, of_invoke])
async def test_an_injected_value_never_leaves(
    way: Any, handler: Any, paying: BaseTool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tools = ToolSet([paying], handle_tool_errors=handler, retries={"pay": 1})
    parsed = ToolStreamParser().invoke(
        AIMessage(
            "",
            tool_calls=[
                good("fits", "pay", amount=1, to="ann"),
                good("fails", "pay", amount=-1, to="ann"),
                good("missing", "pay", amount=1),
                good("wrong", "pay", amount="much", to="ann"),
            ],
        )
    )
    everything = Everything()
    unparsed = good("unparsed", "pay", amount=1)
    calls = [with_argument(call, "token", CANARY) for call in (*parsed, unparsed)]
    await way(tools, calls, everything)
    assert CANARY not in everything.text() + caplog.text
    assert "pay" in everything.text() or way is of_tool_events
    if paying is not PAYING[-1]:
        assert CANARY in seen  # it came where it belongs
