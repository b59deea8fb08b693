"""Every row of `docs/wire.md`, by its number: `pytest tests/unit_tests/wire -k row_17`."""

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ToolStreamParser
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.schema import tool_schemas
from langchain_toolstream.vllm._reading import Body, ChunkBuilder, Reading
from tests.unit_tests.vllm.test_reading import as_streamed, some_ways
from tests.unit_tests.wire.row import SENT, TOOLS, Bad, Good, Row
from tests.unit_tests.wire.rows import ROWS

SCHEMAS = tool_schemas(SENT, coerce=True)

rows = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"row_{name}") for name, row in ROWS.items()]
)


class Answer:
    """What one answer gave: its chunks, and the whole message."""

    def __init__(self, row: Row, pieces: Iterable[bytes]) -> None:
        kind = "application/json" if row.whole else "text/event-stream"
        self.reading = Reading(SCHEMAS, max_tokens=row.max_tokens)
        body = Body({"content-type": kind}, self.reading)
        builder = ChunkBuilder(self.reading)
        chunks = [made for piece in pieces for made in builder.build(body.feed(piece))]
        chunks += builder.build(body.close(SimpleNamespace(), ""))
        self.chunks = [as_streamed(made) for made in chunks]
        whole = self.reading.result().generations[0]
        assert isinstance(whole.message, AIMessage)
        self.message = whole.message
        self.message.response_metadata |= whole.generation_info or {}

    @property
    def sum(self) -> AIMessageChunk:
        return reduce(add, self.chunks)


def ways(row: Row) -> Iterable[list[bytes]]:
    if row.whole:
        return [[row.wire], [row.wire[:9], row.wire[9:]]]
    return some_ways(row.wire) if len(row.wire) < 5000 else [[row.wire]]


def check(message: AIMessage, row: Row) -> None:
    """Hold a message, whole or summed, against its row."""
    check_calls([*message.tool_calls, *message.invalid_tool_calls], row, message)
    assert message.content == row.content
    assert message.additional_kwargs.get("reasoning_content", "") == row.reasoning
    assert message.response_metadata["finish_reason"] == row.finish_reason
    if row.tokens is not None:
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == row.tokens


def check_calls(found: list[Any], row: Row, message: AIMessage | None = None) -> None:
    calls = [call for call in found if call["type"] == "tool_call"]
    check_good(calls, row.calls)
    told = message.response_metadata.get("invalid_tool_calls", {}) if message else {}
    invalid = [
        (call["name"] or "", call["error"] or told[call["id"]])
        for call in found
        if call["type"] == "invalid_tool_call"
    ]
    check_bad(invalid, row.invalid)
    assert len({call["id"] for call in found}) == len(found), "ids tell calls apart"


def check_good(calls: list[Any], expected: list[Good]) -> None:
    assert [(call["name"], repr(call["args"])) for call in calls] == [
        (name, repr(args)) for _, name, args in expected
    ]
    for call, (call_id, *_) in zip(calls, expected, strict=True):
        assert call["id"] == call_id or (call_id is None and call["id"].startswith("call_"))


def check_bad(invalid: list[Bad], expected: list[Bad]) -> None:
    assert [name for name, _ in invalid] == [name for name, _ in expected]
    for (_, reason), (_, words) in zip(invalid, expected, strict=True):
        assert words in reason


@rows
def test_row(row: Row) -> None:
    for pieces in ways(row):
        if row.raises:
            interrupted(row, pieces)
            continue
        answer = Answer(row, pieces)
        check(answer.message, row)
        check(answer.sum, row)
        check_calls(list_of(ToolStreamParser(TOOLS).transform(iter(answer.chunks))), row)


def interrupted(row: Row, pieces: list[bytes]) -> None:
    reading = Reading(SCHEMAS)
    builder = ChunkBuilder(reading)

    def chunks() -> Iterator[AIMessageChunk]:
        for piece in pieces:
            yield from map(as_streamed, builder.build(reading.feed(piece)))
        yield from map(as_streamed, builder.build(reading.close()))

    calls: list[Any] = []
    with pytest.raises(StreamInterruptedError, match=row.raises):
        calls.extend(ToolStreamParser(TOOLS).transform(chunks()))
    assert calls == []
    assert reading.abort("It broke.").tool_calls == []


def list_of(batches: Iterable[list[Any]]) -> list[Any]:
    return [call for batch in batches for call in batch]
