"""Every recorded stream, over real HTTP, by `invoke` and by LangChain's v3 protocol.

The terms are those of `test_corpus`, which reads the same records through the parser.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_toolstream import ChatVLLM
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.schema.tool_schema import ToolSchema, tool_schemas
from langchain_toolstream.testing import ReplayServer
from langchain_toolstream.vllm import VLLMEmptyOutputError
from tests.integration_tests.test_corpus import (
    FILES,
    Outcome,
    asked,
    check,
    ended_quietly,
    key,
    row,
    sampled,
    show,
    swallowed,
    tally,
    unexpected,
)

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

Record = dict[str, Any]


def model(llm: ChatVLLM, record: Record) -> Runnable[Any, AIMessage]:
    """What answers with a record; of a whole body, with streaming inside switched off."""
    if record["mode"] == "full":
        llm = llm.model_copy(update={"streaming": False})
    return llm.bind_tools(record["tools"], model=record["id"], **asked(record))


def calls_of(message: Any, record: Record) -> list[Any]:
    """The calls of a message: those that run, then those that do not."""
    assert isinstance(message, AIMessage)
    judged = judge(message.tool_calls, record)
    good = [call for call in judged if call["type"] == "tool_call"]
    invalid = unexpected(message.invalid_tool_calls, record)
    return [*good, *(call for call in judged if call not in good), *invalid]


def judge(calls: Iterable[Any], record: Record) -> list[Any]:
    """A whole call is run only if its tool would take it, which is the tool's to say."""
    schemas = tool_schemas(record["tools"] or (), coerce=True)
    return [
        {**call, "type": "invalid_tool_call", "error": problem}
        if (problem := _problem(schemas.get(call["name"]), call))
        else call
        for call in calls
    ]


def _problem(schema: ToolSchema | None, call: Any) -> str | None:
    return "no such tool" if schema is None else schema.validate(call["args"])


def invoke(llm: ChatVLLM, record: Record) -> Outcome:
    try:
        message = model(llm, record).invoke("go")
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        return Outcome(record, [], raised=True)
    return Outcome(record, calls_of(message, record), raised=False)


class Events:
    """The v3 events of one record, held against the protocol and the truth."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.seen: list[Any] = []

    def outcome(self, message: AIMessage | None) -> Outcome:
        """The message, or that it never came to an end.

        Then the calls that had finished may have been acted on, so they have to be the model's.
        """
        finished = [one["content"] for one in self.seen if one["event"] == "content-block-finish"]
        calls = [block for block in finished if block["type"] == "tool_call"]
        if message is None:
            early = Outcome(self.record, judge(calls, self.record), raised=True)
            assert not early.wrong, early.id
            return Outcome(self.record, [], raised=True)
        assert_valid_event_stream(self.seen)
        assert message.tool_calls == calls, self.record["id"]
        return Outcome(self.record, calls_of(message, self.record), raised=False)


def v3(llm: ChatVLLM, record: Record) -> Outcome:
    events = Events(record)
    stream = model(llm, record).stream_events("go", version="v3")
    try:
        events.seen.extend(stream)
        message = stream.output
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        message = None
    return events.outcome(message)


async def av3(llm: ChatVLLM, record: Record) -> Outcome:
    events = Events(record)
    stream = await model(llm, record).astream_events("go", version="v3")
    try:
        async for event in stream:
            events.seen.append(event)
        message = await stream
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        message = None
    return events.outcome(message)


async def av3_of_all(llm: ChatVLLM, chosen: list[Record]) -> list[Outcome]:
    slots = asyncio.Semaphore(8)

    async def one(record: Record) -> Outcome:
        async with slots:
            return await av3(llm, record)

    return await asyncio.gather(*(one(record) for record in chosen))


def summary(outcome: Outcome) -> Any:
    """What has to be the same; langchain-core writes no arguments at all as `None` on v3."""
    invalid = [(call["name"] or "", call["args"] or "", call["error"]) for call in outcome.invalid]
    return outcome.raised, key(outcome.valid), invalid


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FILES)
def test_every_record_over_http(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = sampled(name)
    with ReplayServer(ended_quietly(name)) as server:
        llm = ChatVLLM(base_url=server.base_url, max_retries=0)
        roads = {
            "invoke": [invoke(llm, record) for record in chosen],
            "v3": [v3(llm, record) for record in chosen],
            "async v3": asyncio.run(av3_of_all(llm, chosen)),
        }
    with capsys.disabled():
        for road in ("invoke", "v3"):
            table = tally(list(zip(chosen, roads[road], strict=True)))
            print(show(f"{name}: ChatVLLM, {road}", table))  # noqa: T201 - `make integration_tests` shows it
    problems = {
        f"{road} {record['id']}": problem
        for road, outcomes in roads.items()
        for record, outcome in zip(chosen, outcomes, strict=True)
        if (problem := check(record, outcome))
    }
    assert not problems
    for record, *same in zip(chosen, *roads.values(), strict=True):
        expected, *others = map(summary, same)
        assert others == [expected, expected], (row(record), record["id"])
