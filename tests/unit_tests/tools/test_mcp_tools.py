"""The tools of an MCP server in a `ToolSet`, through LangChain's own adapters and no network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import ToolAnnotations

from langchain_toolstream import ToolSet, ToolStreamParser
from tests.unit_tests.scripted import ScriptedChat, bad, chunk, good, written

server = FastMCP("test", log_level="ERROR")
runs: list[str] = []


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def look_up(key: str) -> dict[str, str]:
    """Look something up."""
    runs.append(key)
    return {"found": key}


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, destructiveHint=True))
def contradict(key: str) -> str:
    """Say both."""
    return key


@server.tool()
def fail(key: str) -> str:
    """Fail."""
    raise ValueError(f"no {key}")


@asynccontextmanager
async def mcp_tools() -> AsyncIterator[list[BaseTool]]:
    async with create_connected_server_and_client_session(server._mcp_server) as session:
        yield await load_mcp_tools(session)


async def test_a_server_is_believed_only_where_it_is_trusted() -> None:
    async with mcp_tools() as tools:
        for trusted, expected in ((False, False), (True, True)):
            schemas = ToolSet(tools, trust_annotations=trusted).schemas
            assert {name: schema.read_only for name, schema in schemas.items()} == {
                "look_up": expected,
                "contradict": False,
                "fail": False,
            }
        by_predicate = ToolSet(tools, read_only=True).schemas
        assert not by_predicate["contradict"].read_only  # its own warning wins


async def test_their_results_keep_content_and_artifact() -> None:
    async with mcp_tools() as tools:
        (message,) = await ToolSet(tools).map().ainvoke([good("a", "look_up", key="x")])
        assert message.status == "success"
        assert message.content[0]["text"].split() == ["{", '"found":', '"x"', "}"]
        assert message.artifact == {"structured_content": {"found": "x"}}


async def test_their_failures_are_answers() -> None:
    async with mcp_tools() as tools:
        (message,) = await ToolSet(tools).map().ainvoke([good("a", "fail", key="x")])
        assert (message.status, message.tool_call_id) == ("error", "a")
        assert "no x" in str(message.content)


async def test_they_start_early_behind_a_parser() -> None:
    async with mcp_tools() as some:
        tools = ToolSet(some, trust_annotations=True)
        llm = ScriptedChat(
            chunks=[*written(0, "a", "look_up", '{"key": "x"}'), chunk(finish_reason="stop")]
        )
        whole: Any = llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map()
        messages = [message async for batch in whole.astream("hi") for message in batch]
        assert [message.tool_call_id for message in messages] == ["a"]


@pytest.mark.parametrize("args", ['{"key": 1}', "{}", '{"key": ["x"]}'])
async def test_the_server_says_whether_arguments_fit(args: str) -> None:
    """LangChain passes on what the model wrote, so that a server may convert it, or say why not."""
    async with mcp_tools() as some:
        tools = ToolSet(some)
        chunks = [*written(0, "a", "look_up", args), chunk(finish_reason="stop")]
        (calls,) = ToolStreamParser(tools).transform(iter(chunks))
        assert [call["type"] for call in calls] == ["tool_call"]
        (message,) = await tools.map().ainvoke(calls)
        assert (message.status, message.tool_call_id) == ("error", "a")
        assert "key" in str(message.content)


async def test_no_model_gives_the_runtime_that_the_adapters_keep_for_the_application() -> None:
    args = '{"key": "x", "runtime": {"store": 1}}'
    async with mcp_tools() as some:
        tools = ToolSet(some, trust_annotations=True)
        runs.clear()
        chunks = [*written(0, "a", "look_up", args), chunk(finish_reason="stop")]
        calls = [
            call for batch in ToolStreamParser(tools).transform(iter(chunks)) for call in batch
        ]
        assert [call["type"] for call in calls] == ["invalid_tool_call"]
        (message,) = await tools.map().ainvoke(calls)
        assert message.status == "error"
        assert runs == []


async def test_an_invalid_call_is_answered_without_them() -> None:
    async with mcp_tools() as tools:
        (message,) = await ToolSet(tools).map().ainvoke([bad("a", "look_up")])
        assert message.status == "error"
