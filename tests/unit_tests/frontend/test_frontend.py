"""What front ends are sent of a run's events."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from ag_ui.core import (
    CustomEvent,
    EventType,
    ReasoningMessageContentEvent,
    RunErrorEvent,
    RunFinishedEvent,
    SubagentErrorEvent,
    SubagentFinishedEvent,
    SubagentStartedEvent,
    TextMessageContentEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)

from langchain_toolstream import to_ag_ui, to_ai_sdk, to_sse, tool_events
from langchain_toolstream.core.events import (
    ArgumentFinish,
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from tests.unit_tests.scripted import ScriptedChat, written

USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def call(run: str, call_id: str, name: str = "add", *, early: bool = False) -> list[ToolEvent]:
    return [
        ToolCallStart(run_id=run, id=call_id, name=name, index=0),
        ToolCallDelta(run_id=run, id=call_id, args='{"a": 1}'),
        ArgumentFinish(run_id=run, id=call_id, path=("a",), value=1),
        ToolCallReady(run_id=run, id=call_id, name=name, args={"a": 1}, early=early),
    ]


def confirmed(run: str, call_id: str, name: str = "add") -> ToolEvent:
    return ToolCallFinish(run_id=run, id=call_id, name=name, args={"a": 1})


def runs(run: str, call_id: str, *, artifact: Any = None) -> list[ToolEvent]:
    return [
        ToolStart(run_id=run, id=call_id, name="add", args={"a": 1}),
        ToolProgress(run_id=run, id=call_id, name="add", data={"done": 0.5}),
        ToolFinish(run_id=run, id=call_id, name="add", content="2", artifact=artifact),
    ]


def end(run: str, reason: str = "stop") -> ToolEvent:
    return MessageFinish(run_id=run, finish_reason=reason, usage=USAGE)


def failed(run: str, call_id: str) -> ToolEvent:
    return ToolError(run_id=run, id=call_id, name="add", error="password is 1234")


TWO_TURNS: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    ReasoningDelta(run_id="m1", text="Hm. "),
    ReasoningDelta(run_id="m1", text="So."),
    TextDelta(run_id="m1", text="Let me "),
    TextDelta(run_id="m1", text="see."),
    *call("m1", "c1"),
    confirmed("m1", "c1"),
    end("m1", "tool_calls"),
    *runs("m1", "c1", artifact={"sum": 2}),
    MessageStart(run_id="m2"),
    *call("m2", "c1"),
    confirmed("m2", "c1"),
    TextDelta(run_id="m2", text="It is 2."),
    end("m2"),
    *runs("m2", "c1"),
]
EARLY: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1", early=True),
    *runs("m1", "c1"),
    ToolCallStart(run_id="m1", id="c2", name="add", index=1),
    ToolCallDelta(run_id="m1", id="c2", args='{"a'),
    confirmed("m1", "c1"),
    ToolCallInvalid(run_id="m1", id="c2", name="add", args='{"a', error="cut off", revoked=False),
    end("m1", "length"),
]
REVOKED: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1", early=True),
    ToolStart(run_id="m1", id="c1", name="add", args={"a": 1}),
    ToolCallInvalid(run_id="m1", id="c1", name="add", args="{}x", error="not so", revoked=True),
    failed("m1", "c1"),
    end("m1"),
]
RETRIED: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1"),
    confirmed("m1", "c1"),
    end("m1"),
    ToolStart(run_id="m1", id="c1", name="add", args={"a": 1}),
    failed("m1", "c1"),
    *runs("m1", "c1"),
]
NESTED: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1", "ask"),
    confirmed("m1", "c1", "ask"),
    end("m1"),
    ToolStart(run_id="m1", id="c1", name="ask", args={"a": 1}),
    MessageStart(run_id="m2", parent_call_id="c1"),
    ReasoningDelta(run_id="m2", text="Inside."),
    TextDelta(run_id="m2", text="Yes."),
    *call("m2", "c9"),
    confirmed("m2", "c9"),
    end("m2"),
    *runs("m2", "c9"),
    MessageStart(run_id="m3", parent_call_id="c1"),
    TextDelta(run_id="m3", text="Done."),
    end("m3"),
    ToolFinish(run_id="m1", id="c1", name="ask", content="Done."),
]
TOGETHER: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    TextDelta(run_id="m1", text="a"),
    MessageStart(run_id="m2"),
    TextDelta(run_id="m2", text="b"),
    TextDelta(run_id="m1", text="a"),
    end("m1"),
    ReasoningDelta(run_id="m2", text="b"),
    end("m2"),
]
BROKEN: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    ReasoningDelta(run_id="m1", text="Hm."),
    ToolCallStart(run_id="m1", id="c1", name="add", index=0),
    ToolCallInvalid(run_id="m1", id="c1", name="add", args="", error="gone", revoked=False),
    MessageError(run_id="m1", error="password is 1234"),
]
# Without `tools=`, calls are ready at the end of their message only, and their tools may be done.
UNKNOWN: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1")[:-1],
    *runs("m1", "c1"),
    call("m1", "c1")[-1],
    confirmed("m1", "c1"),
    end("m1"),
]
# A tool that reads an argument while it is written starts, tells and may end before its call does.
READING: list[ToolEvent] = [
    MessageStart(run_id="m1"),
    *call("m1", "c1")[:1],
    ToolCallDelta(run_id="m1", id="c1", args='{"a"'),
    ToolStart(run_id="m1", id="c1", name="add", args={}, streamed="a"),
    ToolCallDelta(run_id="m1", id="c1", args=': "x'),
    ToolProgress(run_id="m1", id="c1", name="add", data="x"),
    ToolFinish(run_id="m1", id="c1", name="add", content="enough", artifact="x"),
    ToolCallDelta(run_id="m1", id="c1", args='yz"}'),
    ToolCallReady(run_id="m1", id="c1", name="add", args={"a": "xyz"}, early=False),
    confirmed("m1", "c1"),
    end("m1"),
]
READING_NONE: list[ToolEvent] = [
    *READING[:5],
    failed("m1", "c1"),
    ToolCallInvalid(run_id="m1", id="c1", name="add", args='{"a": "x', error="cut", revoked=False),
    end("m1", "length"),
]
ANSWERED: list[ToolEvent] = [
    *EARLY[:8],
    ToolCallInvalid(run_id="m1", id="c1", name="add", args="{}x", error="not so", revoked=True),
    end("m1"),
]
UNCALLED: list[ToolEvent] = runs("t1", "t1")
STREAMS: dict[str, list[ToolEvent]] = {
    "two turns": TWO_TURNS,
    "early": EARLY,
    "revoked": REVOKED,
    "retried": RETRIED,
    "nested": NESTED,
    "together": TOGETHER,
    "broken": BROKEN,
    "unknown": UNKNOWN,
    "reading": READING,
    "reading none": READING_NONE,
    "answered": ANSWERED,
    "uncalled": UNCALLED,
    "nothing": [],
}


class Source:
    """Some events, then perhaps an error."""

    def __init__(self, events: list[ToolEvent], error: Exception | None = None) -> None:
        self.closed = False
        self.stream = self._run(events, error)

    async def _run(self, events: list[ToolEvent], error: Exception | None) -> Any:
        try:
            for event in events:
                yield event
            if error is not None:
                raise error
        finally:
            self.closed = True


def collect(stream: AsyncIterator[Any]) -> list[Any]:
    async def run() -> list[Any]:
        return [one async for one in stream]

    return asyncio.run(run())


def sse(events: list[ToolEvent], error: Exception | None = None, **options: Any) -> list[Any]:
    wire = b"".join(collect(to_sse(Source(events, error).stream, **options))).decode()
    assert wire.endswith("\n\n")
    seen = []
    for number, block in enumerate(wire.removesuffix("\n\n").split("\n\n"), start=1):
        first, second, third = block.split("\n")
        said = json.loads(third.removeprefix("data: "))
        assert first == f"id: {number}"
        assert second == f"event: {said['type']}"
        seen.append(said)
    return seen


def chunks(events: list[ToolEvent], error: Exception | None = None, **options: Any) -> list[Any]:
    wire = b"".join(collect(to_ai_sdk(Source(events, error).stream, **options))).decode()
    *said, done = wire.removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(one.removeprefix("data: ")) for one in said]


def ag_ui(events: list[ToolEvent], error: Exception | None = None, **options: Any) -> list[Any]:
    return collect(to_ag_ui(Source(events, error).stream, **options))


def of_type(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


class TestSSE:
    def test_an_event_is_its_fields(self) -> None:
        assert sse([TextDelta(run_id="m1", text="a\nb\u2028é")]) == [
            {"type": "text-delta", "run_id": "m1", "text": "a\nb\u2028é"},
            {"type": "run-finish"},
        ]

    @pytest.mark.parametrize("name", STREAMS)
    def test_every_event_comes(self, name: str) -> None:
        kinds = [event.type for event in STREAMS[name]]
        assert [said["type"] for said in sse(STREAMS[name])] == [*kinds, "run-finish"]

    def test_an_artifact_comes_as_far_as_json_goes(self) -> None:
        said, _ = sse([ToolFinish(id="c", name="t", content="x", artifact={"a": object()})])
        assert said["artifact"] == {"a": {"$type": "object"}}


class TestErrors:
    @pytest.mark.parametrize("road", [sse, chunks, ag_ui])
    def test_their_texts_stay_here(self, road: Any, caplog: pytest.LogCaptureFixture) -> None:
        events = [*BROKEN, *RETRIED[:-3]]
        with caplog.at_level(logging.ERROR):
            told = str(road(events, ConnectionError("password is 1234")))
        assert "1234" not in told
        assert "gone" in told
        assert "Something went wrong." in told
        assert "password is 1234" in caplog.text  # for the server's owner

    @pytest.mark.parametrize("road", [sse, chunks, ag_ui])
    def test_their_texts_go_out_when_asked_to(self, road: Any) -> None:
        events = [*BROKEN, *RETRIED[:-3]]
        told = str(road(events, ConnectionError("and 5678"), show_errors=True))
        assert "1234" in told
        assert "5678" in told

    @pytest.mark.parametrize("road", [to_sse, to_ai_sdk, to_ag_ui])
    def test_stay_here_where_they_broke_off_a_call_too(self, road: Any) -> None:
        error = ConnectionError("password is 1234")
        llm = ScriptedChat(chunks=written(0, "c1", "add", '{"a": 1'), error=error)
        said = collect(road(tool_events(llm, "Add!")))
        assert "broke off" in str(said)
        assert "1234" not in str(said)

    def test_end_the_stream_in_its_own_words(self) -> None:
        error = ValueError("x")
        assert sse([], error) == [{"type": "run-error", "error": "Something went wrong."}]
        assert chunks([], error)[1] == {"type": "error", "errorText": "Something went wrong."}
        assert isinstance(ag_ui([], error)[-1], RunErrorEvent)


@pytest.mark.parametrize("road", [to_sse, to_ai_sdk, to_ag_ui])
async def test_closing_closes_the_source(road: Any) -> None:
    source = Source(TWO_TURNS)
    written = road(source.stream)
    for _ in range(3):
        await anext(written)
    await written.aclose()
    assert source.closed


class TestAISDK:
    def test_two_turns(self) -> None:
        said = chunks(TWO_TURNS, message_id="msg")
        assert said[:12] == [
            {"type": "start", "messageId": "msg"},
            {"type": "start-step"},
            {"type": "reasoning-start", "id": "reasoning-1"},
            {"type": "reasoning-delta", "id": "reasoning-1", "delta": "Hm. "},
            {"type": "reasoning-delta", "id": "reasoning-1", "delta": "So."},
            {"type": "reasoning-end", "id": "reasoning-1"},
            {"type": "text-start", "id": "text-2"},
            {"type": "text-delta", "id": "text-2", "delta": "Let me "},
            {"type": "text-delta", "id": "text-2", "delta": "see."},
            {"type": "text-end", "id": "text-2"},
            {"type": "tool-input-start", "toolCallId": "c1", "toolName": "add"},
            {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"a": 1}'},
        ]
        assert said[12:15] == [
            {
                "type": "tool-input-available",
                "toolCallId": "c1",
                "toolName": "add",
                "input": {"a": 1},
            },
            {
                "type": "tool-output-available",
                "toolCallId": "c1",
                "output": {"done": 0.5},
                "preliminary": True,
            },
            {
                "type": "tool-output-available",
                "toolCallId": "c1",
                "output": {"content": "2", "artifact": {"sum": 2}},
            },
        ]
        assert said[15:18] == [
            {"type": "finish-step"},
            {"type": "start-step"},
            {"type": "tool-input-start", "toolCallId": "m2:c1", "toolName": "add"},
        ]
        usage = {"input_tokens": 6, "output_tokens": 8, "total_tokens": 14}
        assert said[-2:] == [
            {"type": "finish-step"},
            {
                "type": "finish",
                "finishReason": "stop",
                "messageMetadata": {
                    "finishReason": "stop",
                    "finishReasons": ["tool_calls", "stop"],
                    "usage": usage,
                },
            },
        ]

    @pytest.mark.parametrize("name", STREAMS)
    def test_every_part_has_one_beginning_and_one_end(self, name: str) -> None:
        opened: set[str] = set()
        known: set[str] = set()
        for said in chunks(STREAMS[name]):
            kind, part = said["type"], said.get("id", "step")
            if kind in ("text-start", "reasoning-start", "start-step"):
                assert part not in opened
                opened.add(part)
            elif kind in ("text-end", "reasoning-end", "finish-step"):
                opened.remove(part)
            elif kind in ("text-delta", "reasoning-delta"):
                assert part in opened
            elif kind == "tool-input-start":
                assert said["toolCallId"] not in known
                known.add(said["toolCallId"])
            elif kind.startswith("tool-"):
                assert said["toolCallId"] in known
        assert not opened

    def test_what_is_no_call_is_an_error(self) -> None:
        said = chunks(EARLY)
        assert {
            "type": "tool-input-error",
            "toolCallId": "c2",
            "toolName": "add",
            "input": '{"a',
            "errorText": "cut off",
        } in said
        (error,) = [one for one in chunks(REVOKED) if one["type"] == "tool-output-error"]
        assert error["errorText"] == "not so"

    def test_the_input_is_complete_before_the_output_comes(self) -> None:
        kinds = [one["type"] for one in chunks(UNKNOWN) if one["type"].startswith("tool-")]
        assert kinds == [
            "tool-input-start", "tool-input-delta", "tool-input-available",
            "tool-output-available", "tool-output-available",
        ]  # fmt: skip

    def test_a_tool_that_reads_its_call_is_heard_when_that_is_written(self) -> None:
        kinds = [one["type"] for one in chunks(READING) if one["type"].startswith("tool-")]
        assert kinds == [
            "tool-input-start", *["tool-input-delta"] * 3, "tool-input-available",
            "tool-output-available",
        ]  # fmt: skip
        (available,) = [one for one in chunks(READING) if one["type"] == "tool-input-available"]
        assert available["input"] == {"a": "xyz"}
        kinds = [one["type"] for one in chunks(READING_NONE) if one["type"].startswith("tool-")]
        assert kinds == ["tool-input-start", *["tool-input-delta"] * 2, "tool-input-error"]

    def test_models_inside_tools_are_left_out(self) -> None:
        assert "Inside." not in str(chunks(NESTED))
        assert chunks(NESTED)[-1]["messageMetadata"]["usage"]["total_tokens"] == 21


class TestAGUI:
    def test_two_turns(self) -> None:
        events = ag_ui(TWO_TURNS, thread_id="t", run_id="r")
        kinds = [event.type for event in events]
        kind = EventType
        assert kinds[:14] == [
            kind.RUN_STARTED,
            kind.REASONING_START,
            kind.REASONING_MESSAGE_START,
            kind.REASONING_MESSAGE_CONTENT,
            kind.REASONING_MESSAGE_CONTENT,
            kind.REASONING_MESSAGE_END,
            kind.REASONING_END,
            kind.TEXT_MESSAGE_START,
            kind.TEXT_MESSAGE_CONTENT,
            kind.TEXT_MESSAGE_CONTENT,
            kind.TOOL_CALL_START,
            kind.TOOL_CALL_ARGS,
            kind.TOOL_CALL_END,
            kind.TEXT_MESSAGE_END,
        ]
        assert (events[0].thread_id, events[0].run_id) == ("t", "r")
        first, second = of_type(events, ToolCallResultEvent)
        assert (first.tool_call_id, first.content) == ("c1", "2")
        assert (second.tool_call_id, second.content) == ("m2:c1", "2")
        customs = {event.name: event.value for event in of_type(events[:20], CustomEvent)}
        assert customs == {
            "tool-start": {"toolCallId": "c1", "name": "add", "args": {"a": 1}},
            "tool-progress": {"toolCallId": "c1", "name": "add", "data": {"done": 0.5}},
            "tool-artifact": {"toolCallId": "c1", "name": "add", "artifact": {"sum": 2}},
        }
        (finished,) = of_type(events, RunFinishedEvent)
        (usage,) = finished.usage
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (6, 8, 14)

    def test_calls_belong_to_their_message(self) -> None:
        parents = [e.parent_message_id for e in of_type(ag_ui(TWO_TURNS), ToolCallStartEvent)]
        assert parents == ["m1", "m2"]

    def test_what_is_no_call_has_its_reason_as_result(self) -> None:
        results = of_type(ag_ui(EARLY), ToolCallResultEvent)
        assert [(one.tool_call_id, one.content) for one in results] == [
            ("c1", "2"),
            ("c2", "cut off"),
        ]
        (revoked,) = of_type(ag_ui(REVOKED), ToolCallResultEvent)
        assert revoked.content == "not so"
        assert len(of_type(ag_ui(REVOKED), ToolCallEndEvent)) == 1

    def test_what_is_no_call_after_all_has_one_result(self) -> None:
        (result,) = of_type(ag_ui(ANSWERED), ToolCallResultEvent)
        assert result.content == "2"

    def test_a_tool_that_reads_its_call_is_heard_when_that_is_written(self) -> None:
        kind = EventType
        assert [event.type for event in ag_ui(READING)[1:-1]] == [
            kind.TOOL_CALL_START,
            kind.TOOL_CALL_ARGS,
            kind.CUSTOM,
            kind.TOOL_CALL_ARGS,
            kind.CUSTOM,
            kind.TOOL_CALL_ARGS,
            kind.TOOL_CALL_END,
            kind.CUSTOM,
            kind.TOOL_CALL_RESULT,
        ]
        (result,) = of_type(ag_ui(READING_NONE), ToolCallResultEvent)
        assert result.content == "cut"
        assert len(of_type(ag_ui(READING_NONE), ToolCallEndEvent)) == 1

    def test_a_call_that_is_tried_again_has_the_last_result(self) -> None:
        results = of_type(ag_ui(RETRIED), ToolCallResultEvent)
        assert [one.content for one in results] == ["2"]

    def test_a_model_inside_a_tool_is_a_subagent(self) -> None:
        events = ag_ui(NESTED)
        (started,) = of_type(events, SubagentStartedEvent)
        assert (started.subagent_run_id, started.parent_tool_call_id) == ("c1", "c1")
        assert started.name == "ask"
        texts = of_type(events, TextMessageContentEvent)
        assert [(one.delta, one.subagent_run_id) for one in texts] == [
            ("Yes.", "c1"),
            ("Done.", "c1"),
        ]
        assert of_type(events, ReasoningMessageContentEvent)[0].subagent_run_id == "c1"
        (finished,) = of_type(events, SubagentFinishedEvent)
        outer = of_type(events, ToolCallResultEvent)[-1]
        assert events.index(finished) < events.index(outer)

    def test_a_subagent_fails_with_its_tool(self) -> None:
        events = ag_ui([*NESTED[:-1], failed("m1", "c1")])
        assert len(of_type(events, SubagentErrorEvent)) == 1
        assert not of_type(ag_ui(NESTED[:-1])[:-2], SubagentFinishedEvent)

    def test_ids_are_made_where_none_are_given(self) -> None:
        first, last = ag_ui([])
        assert first.run_id == last.run_id
        assert UUID(first.thread_id)
