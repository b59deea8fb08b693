"""Names, keys, ids and values of a model or server stand in errors and logs bounded and escaped."""

import json
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import InjectedToolArg
from pydantic import BaseModel, field_validator

from langchain_toolstream import PartialToolsParser, ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import ServerStreamError
from langchain_toolstream.parsers.base import ToolCallError
from tests.unit_tests.vllm.test_any_wire import read
from tests.unit_tests.vllm.wire import body, part
from tests.unit_tests.vllm.wire import chunk as wire_chunk

STEERING = "\x1b[31m\n\u202e"
LONG = f"{STEERING}x" * 125_000
"""A megabyte."""
MOST = 1500


class Inner(BaseModel, extra="forbid"):
    n: int = 0

    @field_validator("n", mode="before")
    @classmethod
    def check(cls, value: Any) -> Any:
        if isinstance(value, str):
            msg = f"no number: {value}"
            raise ValueError(msg)  # noqa: TRY004 - as validators do
        return value


def save(inner: Inner) -> str:
    """Save it."""
    return str(inner)


CALLS = {
    "name": (LONG, {}, "c"),
    "id": ("save", {"inner": {"n": "x"}}, LONG),
    "key": ("save", {"inner": {LONG: 1}}, "c"),
    "value": ("save", {"inner": {"n": LONG}}, "c"),
}


def is_fit(text: str) -> bool:
    lines = text.split("\n")  # ours, and LangChain's line about troubleshooting
    return len(text) < MOST and len(lines) <= 4 and all(line.isprintable() for line in lines)


@pytest.mark.parametrize("of", CALLS)
def test_of_an_invalid_call(of: str, caplog: pytest.LogCaptureFixture) -> None:
    name, args, call_id = CALLS[of]
    fragment = {"name": name, "args": json.dumps(args), "id": call_id, "index": 0}
    chunk = AIMessageChunk(
        content="",
        tool_call_chunks=[{**fragment, "type": "tool_call_chunk"}],
        response_metadata={"finish_reason": "stop"},
    )
    tools = ToolSet([save])
    ((call,),) = ToolStreamParser(tools).transform(iter([chunk]))
    assert is_fit(call["error"])
    ((answer,),) = (ToolStreamParser(tools) | tools.map()).transform(iter([chunk]))
    assert is_fit(answer.content)
    parsers = (
        ToolStreamParser(tools, on_invalid="raise"),
        PartialToolsParser(tools, on_invalid="raise"),
    )
    for parser in parsers:
        with pytest.raises(ToolCallError) as error:
            list(parser.transform(iter([chunk])))
        assert is_fit(str(error.value))
    assert all(is_fit(record.getMessage()) for record in caplog.records)


@pytest.mark.parametrize("of", CALLS)
def test_of_an_invalid_call_of_a_server(of: str, caplog: pytest.LogCaptureFixture) -> None:
    name, args, call_id = CALLS[of]
    written = part(json.dumps(args)[:-1], name=name, id=call_id)
    messages = read([body(wire_chunk(written), wire_chunk(finish_reason="tool_calls"))])
    for message in messages:
        (call,) = message.invalid_tool_calls
        assert is_fit(str(call["error"]))
    assert messages
    assert caplog.records
    assert all(is_fit(record.getMessage()) for record in caplog.records)


def test_of_a_call_that_writes_what_only_the_application_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def keep(n: int, user: Annotated[str, InjectedToolArg]) -> str:
        """Keep it."""
        return f"{user} {n}"

    call = {"name": "keep", "args": {"n": 1, "user": LONG}, "id": LONG, "type": "tool_call"}
    assert is_fit(ToolSet([keep]).invoke(call).content)
    assert caplog.records
    assert all(is_fit(record.getMessage()) for record in caplog.records)


def test_of_a_tool_that_nobody_knows() -> None:
    call = {"name": LONG, "args": {}, "id": "c", "type": "tool_call"}
    assert is_fit(ToolSet([save]).invoke(call).content)


@pytest.mark.parametrize(
    "said",
    [LONG, {"message": LONG}, {"message": "m", "code": LONG, "type": LONG}],
    ids=["text", "message", "code"],
)
def test_of_what_a_server_says(said: Any) -> None:
    assert is_fit(str(ServerStreamError.from_event(said)))
