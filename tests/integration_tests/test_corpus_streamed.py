"""Every recorded stream, over real HTTP, by tools that read a text while it is written.

The terms are those of `test_corpus`. A tool's run counts when the tool came to its end, where it
would do what lasts: it starts before its call is confirmed, and has to hear of it if it is none.
"""

import asyncio
from typing import Any

import pytest
from langchain_core.tools import StructuredTool
from pydantic import create_model

from langchain_toolstream import ChatVLLM, Streamed, ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import ReplayServer
from langchain_toolstream.vllm import VLLMEmptyOutputError
from tests.integration_tests.test_corpus import (
    FILES,
    Call,
    Outcome,
    check,
    ended_quietly,
    sampled,
    swallowed,
)

Record = dict[str, Any]

TYPES = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def texts(tool: dict[str, Any]) -> list[str]:
    """The names of the arguments that may be read while they are written."""
    properties = (tool["function"].get("parameters") or {}).get("properties", {})
    return [
        name
        for name, schema in properties.items()
        if schema.get("type") == "string" and "enum" not in schema and name.isidentifier()
    ]


def reader(tool: dict[str, Any], ended: list[Call]) -> StructuredTool:
    """A tool of the same arguments that reads its last text, and writes down that it ended."""
    function = tool["function"]
    parameters = function.get("parameters") or {}
    streamed = texts(tool)[-1:]
    fields: dict[str, Any] = {}
    for name, schema in parameters.get("properties", {}).items():
        kind: Any = schema.get("type")
        kind = TYPES.get(kind, Any) if isinstance(kind, str) else Any
        kind = Streamed[str] if name in streamed else kind
        required = name in parameters.get("required", ())
        fields[name] = (kind, ...) if required else (kind | None, None)

    async def read(**args: Any) -> str:
        for name, value in args.items():
            if isinstance(value, Streamed):
                args[name] = "".join([piece async for piece in value])
        ended.append({"name": function["name"], "args": given(args), "type": "tool_call"})
        return "read"

    return StructuredTool.from_function(
        coroutine=read,
        name=function["name"],
        description="Read.",
        args_schema=create_model("Args", **fields),
    )


def given(args: dict[str, Any]) -> dict[str, Any]:
    """LangChain hands a default on like a value, so `null` and nothing look alike here."""
    return {name: value for name, value in args.items() if value is not None}


async def read_one(llm: ChatVLLM, record: Record) -> Outcome:
    ended: list[Call] = []
    tools = ToolSet([reader(tool, ended) for tool in record["tools"]])
    chain = llm.bind(model=record["id"]) | ToolStreamParser(tools) | tools.map()
    messages: list[Any] = []
    raised = False
    try:
        async for some in chain.astream("go"):
            messages += some
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        raised = True
    ids = [message.tool_call_id for message in messages]
    assert len(ids) == len({*ids}), record["id"]
    assert sum(message.status == "success" for message in messages) == len(ended), record["id"]
    invalid = [
        {"name": m.name, "id": m.tool_call_id, "error": m.content, "type": "invalid_tool_call"}
        for m in messages
        if m.status == "error"
    ]
    # Tools run beside each other, so they end in any order.
    calls = [{**call, "arguments": given(call["arguments"])} for call in record["truth"]["calls"]]
    known = {**record, "order": "any", "truth": {**record["truth"], "calls": calls}}
    return Outcome(known, [*ended, *invalid], raised=raised)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FILES)
async def test_no_call_that_is_none_is_read_to_its_end(name: str) -> None:
    chosen = [
        record
        for record in sampled(name)
        if record["mode"] == "stream" and any(map(texts, record["tools"] or ()))
    ]
    assert len(chosen) > 150
    slots = asyncio.Semaphore(8)

    async def one(record: Record) -> Outcome:
        async with slots:
            return await read_one(llm, record)

    # Each event of the server comes by itself, so that texts are read in pieces.
    with ReplayServer(ended_quietly(name)) as server:
        llm = ChatVLLM(base_url=server.base_url, max_retries=0, coalesce=False)
        outcomes = await asyncio.gather(*(one(record) for record in chosen))
    problems = {
        outcome.id: problem
        for record, outcome in zip(chosen, outcomes, strict=True)
        if (problem := check(record, outcome))
    }
    assert not problems
