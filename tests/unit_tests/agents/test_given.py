"""What the application gives a tool that starts early, and why a read-only tool waits."""

import logging
from functools import wraps
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, wrap_model_call
from langchain.tools import InjectedStore, ToolRuntime
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.prebuilt import InjectedState
from langgraph.store.memory import InMemoryStore
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import ToolAnnotations

from langchain_toolstream import ToolSet
from langchain_toolstream.agents import EagerToolMiddleware
from tests.unit_tests.agents.gated import (
    CALLS,
    INPUT,
    SAID,
    GatedChat,
    Tools,
    Turn,
    agent_of,
    answers,
    call,
    settle,
)
from tests.unit_tests.scripted import chunk, comes_true, part

ALL = EagerToolMiddleware(read_only=True)


def tool_of(function: Any, **kwargs: Any) -> BaseTool:
    return StructuredTool.from_function(coroutine=function, name="read", **kwargs)


async def test_a_tool_of_an_mcp_server_starts_early() -> None:
    server, seen, early = FastMCP("x", log_level="ERROR"), [], []

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    async def read(key: str) -> str:
        """Read."""
        seen.append(key)
        return f"{key} done"

    async def is_read() -> None:
        assert await comes_true(lambda: bool(seen))
        early.extend(seen)

    async with create_connected_server_and_client_session(server._mcp_server) as session:
        bound = await load_mcp_tools(session)
        own = EagerToolMiddleware(trust_annotations=True)
        agent = agent_of([[*call(0, "a"), is_read, CALLS], [SAID]], bound, eager=own)
        state = await agent.ainvoke(INPUT)
    assert early == seen == ["a"]
    assert "a done" in str(answers(state)[0][2])


@pytest.mark.parametrize("written", ['{"key": "a"}', '{"key": "a", "runtime": {"state": "mine"}}'])
async def test_a_runtime_is_that_of_the_request(written: str) -> None:
    seen: list[Any] = []

    async def read(key: str, runtime: ToolRuntime[Any, Any]) -> str:
        """Look around."""
        seen.append(runtime)
        return key

    store = InMemoryStore()
    turn = [chunk(part(written, call_id="call_a", name="read")), settle, lambda: seen.append("|")]
    turns: list[Turn] = [[*turn, CALLS], [SAID]]
    agent = create_agent(
        GatedChat(turns=turns), [tool_of(read)], middleware=[ALL], store=store, context_schema=dict
    )
    state = await agent.ainvoke(INPUT, context={"user": "me"})
    runtime, then = seen
    assert then == "|"
    assert [m.content for m in runtime.state["messages"]] == ["Go on."]
    assert (runtime.tool_call_id, runtime.context, runtime.store) == (
        "call_a",
        {"user": "me"},
        store,
    )
    assert runtime.config["metadata"]["tool_call_id"] == "call_a"
    assert answers(state)[0][2] == "a"


async def with_state(key: str, state: Annotated[Any, InjectedState]) -> str:
    """Read."""
    return f"{key} {len(state['messages'])}"


async def with_a_field(key: str, m: Annotated[Any, InjectedState("messages")]) -> str:
    """Read."""
    return f"{key} {len(m)}"


async def with_store(key: str, store: Annotated[Any, InjectedStore()]) -> str:
    """Read."""
    return f"{key} {store is not None}"


async def with_its_own(key: str, user: Annotated[str, InjectedToolArg]) -> str:
    """Read."""
    return f"{key} {user}"


async def plain(key: str) -> str:
    """Read."""
    return key


WAITING = {
    "state": (with_state, {}, "'state' is the state"),
    "field of the state": (with_a_field, {}, "'m' is the state"),
    "no store": (with_store, {}, "'store' is the store, and there is none"),
    "its own": (with_its_own, {}, "'user' comes from the application"),
    "says so": (plain, {"metadata": {"needs_message": True}}, "its metadata says needs_message"),
}


@pytest.mark.parametrize(("function", "looks", "reason"), WAITING.values(), ids=WAITING)
async def test_the_log_says_why_a_read_only_tool_waits(
    function: Any, looks: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "langchain_toolstream")
    said_before_the_end: list[int] = []
    runs: list[str] = []

    @wraps(function)
    async def read(**kwargs: Any) -> Any:
        runs.append("run")
        return await function(**kwargs)

    turn: Turn = [*call(0, "a"), settle, lambda: said_before_the_end.append(len(runs)), CALLS]
    own = EagerToolMiddleware(read_only=True)
    agent = agent_of([turn, [SAID]] * 2, [tool_of(read, **looks)], eager=own)
    for _ in range(2):
        try:
            await agent.ainvoke(INPUT)
        except (TypeError, ValueError):
            assert function in (with_store, with_its_own)  # as without the middleware
    assert said_before_the_end[0] == 0
    said = [record.getMessage() for record in caplog.records if "early" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(f"The read-only tool 'read' does not start early: {reason}")


async def test_a_store_is_known_early() -> None:
    seen: list[Any] = []

    async def read(key: str, store: Annotated[Any, InjectedStore()]) -> str:
        """Read."""
        seen.append(store)
        return key

    store, early = InMemoryStore(), []
    turns: list[Turn] = [[*call(0, "a"), settle, lambda: early.extend(seen), CALLS], [SAID]]
    await agent_of(turns, [tool_of(read)], eager=ALL, store=store).ainvoke(INPUT)
    assert early == seen == [store]


@pytest.mark.parametrize("own_first", [True, False])
def test_a_request_without_a_runtime_works(own_first: bool) -> None:  # noqa: FBT001
    @wrap_model_call
    def asks_anew(request: Any, handler: Any) -> Any:
        return handler(
            ModelRequest(
                messages=request.messages,
                model=request.model,
                system_prompt="Be kind.",
                tools=request.tools,
                state=request.state,
            )
        )

    order = [ALL, asks_anew] if own_first else [asks_anew, ALL]
    agent = create_agent(GatedChat(turns=[[SAID]]), middleware=order)
    assert agent.invoke(INPUT)["messages"][-1].text == "Done."


# What cannot be right is told where the agent is made.


def test_a_name_in_read_only_is_that_of_a_tool() -> None:
    tools = Tools()
    with pytest.raises(ValueError, match=r"read_only .* has 'raed', but"):
        create_agent(
            GatedChat(turns=[]),
            [tools.tool()],
            middleware=[EagerToolMiddleware(read_only=["raed"])],
        )

    @wrap_model_call
    def brings_tools(request: Any, handler: Any) -> Any:
        return handler(request)

    eager = EagerToolMiddleware(read_only=["raed"])
    create_agent(GatedChat(turns=[]), [tools.tool()], middleware=[eager, brings_tools])


def test_a_tool_set_is_given_once() -> None:
    tools = ToolSet([Tools().tool()])
    model = GatedChat(turns=[])
    create_agent(model, tools, middleware=[EagerToolMiddleware()])
    with pytest.raises(ValueError, match=r"two tools named 'read'.*once"):
        create_agent(model, [*tools, *tools], middleware=[EagerToolMiddleware()])
    with pytest.raises(TypeError, match=r"inside of a list of tools. Write \[\*tools\]"):
        create_agent(model, [tools], middleware=[EagerToolMiddleware()])
