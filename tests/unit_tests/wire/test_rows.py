"""Every row of `docs/wire.md`, by its number: `pytest tests/unit_tests/wire -k row_17`."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ChatVLLM, ToolStreamParser, VLLMError
from langchain_toolstream.core.errors import StreamInterruptedError
from tests.unit_tests.vllm.response.test_answer import some_ways
from tests.unit_tests.vllm.wire import body, chunk, usage
from tests.unit_tests.wire.row import SENT, TOOLS, Bad, Good, Row
from tests.unit_tests.wire.rows import ROWS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "wire.md"
SOURCES = [
    Path(__file__),
    ROOT / "tests" / "unit_tests" / "wire" / "test_requests.py",
    ROOT / "tests" / "integration_tests" / "test_wire_rows.py",
]


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Server:
    """The other end of a model's HTTP clients, and the model with its tools."""

    def __init__(self) -> None:
        self.row = next(iter(ROWS.values()))
        self.pieces: list[bytes] = []
        transport = httpx2.MockTransport(self.answer)
        self._llm = ChatVLLM(
            model="tiny",
            base_url="http://server/v1",
            http_client=httpx2.Client(transport=transport),
            http_async_client=httpx2.AsyncClient(transport=transport),
        )

    def answer(self, _: httpx2.Request) -> httpx2.Response:
        kind = "application/json" if self.row.whole else "text/event-stream"
        headers = {"content-type": kind}
        return httpx2.Response(200, headers=headers, stream=Pieces(self.pieces))

    def model(self, row: Row, pieces: list[bytes]) -> Any:
        self.row, self.pieces = row, pieces
        asked = {"max_tokens": row.max_tokens, "n": row.n}
        limit = {name: value for name, value in asked.items() if value}
        return self._llm.bind_tools(SENT, **limit)


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


def ways(row: Row) -> Iterable[list[bytes]]:
    if row.whole:
        return [[row.wire], [row.wire[:9], row.wire[9:]]]
    return some_ways(row.wire) if len(row.wire) < 5000 else [[row.wire]]


def check(message: AIMessage, row: Row) -> None:
    """Hold a message, whole or summed, against its row."""
    reasons = message.response_metadata.get("invalid_tool_calls", {})
    calls = [*row.calls, *(call for call, _ in row.unfit)]
    check_calls([*message.tool_calls, *message.invalid_tool_calls], calls, row.invalid, reasons)
    assert message.content == row.content
    assert message.additional_kwargs.get("reasoning_content", "") == row.reasoning
    assert message.response_metadata["finish_reason"] == row.finish_reason
    if row.tokens is not None:
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == row.tokens


def check_parsed(calls: list[Any], row: Row) -> None:
    """Hold what the parser, which knows the tools, makes of a message against its row."""
    unfit = [(name, words) for (_, name, _), words in row.unfit]
    check_calls(calls, row.calls, [*row.invalid, *unfit], {})


def check_calls(
    found: list[Any], calls: list[Good], bad: list[Bad], reasons: dict[str, str]
) -> None:
    check_good([call for call in found if call["type"] == "tool_call"], calls)
    invalid = [
        (call["name"] or "", call["error"] or reasons[call["id"]])
        for call in found
        if call["type"] == "invalid_tool_call"
    ]
    check_bad(invalid, bad)
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


messages = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"row_{name}") for name, row in ROWS.items() if not row.raises]
)
interruptions = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"row_{name}") for name, row in ROWS.items() if row.raises]
)


@messages
async def test_is_the_message_on_every_path(server: Server, row: Row) -> None:
    for pieces in ways(row):
        llm = server.model(row, pieces)
        chunks: list[AIMessageChunk] = list(llm.stream("go"))
        check(reduce(add, chunks), row)
        calls = ToolStreamParser(TOOLS).transform(iter(chunks))
        check_parsed([call for some in calls for call in some], row)
    check(llm.invoke("go"), row)
    check(await llm.ainvoke("go"), row)


@interruptions
def test_is_an_error_that_has_what_came(server: Server, row: Row) -> None:
    for pieces in ways(row):
        llm = server.model(row, pieces)
        calls: list[Any] = []
        with pytest.raises(StreamInterruptedError, match=row.raises) as raised:
            calls.extend((llm | ToolStreamParser(TOOLS)).stream("go"))
        assert calls == []
        partial = raised.value.partial_message
        assert partial.tool_calls == []
        assert [call["name"] for call in partial.invalid_tool_calls] == ["get_weather"]
        assert partial.content in row.wire.decode()
    with pytest.raises(StreamInterruptedError, match=row.raises):
        llm.invoke("go")


async def test_row_38_an_answer_that_was_swallowed_is_an_error(server: Server) -> None:
    swallowed = Row(wire=body(chunk(content=""), chunk(finish_reason="stop"), usage(20, 60)))
    for pieces in ways(swallowed):
        llm = server.model(swallowed, pieces)
        with pytest.raises(VLLMError, match=r"60 tokens.*--tool-call-parser"):
            list(llm.stream("go"))
    with pytest.raises(VLLMError, match=r"60 tokens.*--tool-call-parser"):
        llm.invoke("go")
    with pytest.raises(VLLMError, match=r"60 tokens.*--tool-call-parser"):
        await llm.ainvoke("go")


# The page and the tests.

# Whose fault a row is: 21, 54, 59, 60 and 66 to 68 are about clients alone.
OF_SERVERS = {*range(1, 82)} - {21, 54, 59, 60, 66, 67, 68}


def numbers_with_a_test() -> set[int]:
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    functions = re.findall(r"^(?:async )?def test_row_(\d+)_", sources, re.MULTILINE)
    return {int(name[:2]) for name in ROWS} | {*map(int, functions)}


def test_every_row_of_a_server_is_tested_or_cannot_be_acted_on() -> None:
    page = PAGE.read_text(encoding="utf-8")
    _, _, beyond = page.partition("## What a client cannot act on")
    listed = {int(number) for number in re.findall(r"^- \*\*(\d+)\*\*", beyond, re.MULTILINE)}
    assert numbers_with_a_test() | listed >= OF_SERVERS


def test_every_row_is_on_the_page_once() -> None:
    page = PAGE.read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert sorted(numbers) == [*range(1, 82)]
