"""v3 protocol events say what `invoke` says, as early as that is safe."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage
from langchain_protocol.protocol import MessagesData
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)
from langchain_toolstream.core.events import Event
from langchain_toolstream.vllm.output.protocol_events import ProtocolBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from tests.unit_tests.core.helpers import growth
from tests.unit_tests.vllm.response.test_answer import CALLS, some_ways
from tests.unit_tests.vllm.wire import body, chunk, event, part, usage

RUN = UUID(int=7)
A = '{"query": "cats"}'
B = '{"a": 3, "b": 12}'
BEGIN_A = chunk(part("", id="call_a", name="search"))
BEGIN_B = chunk(part("", index=1, id="call_b", name="multiply"))
END = chunk(finish_reason="tool_calls")


def args_a(text: str, **more: Any) -> dict[str, Any]:
    return chunk(part(text), **more)


def args_b(text: str, **more: Any) -> dict[str, Any]:
    return chunk(part(text, index=1), **more)


def read(pieces: Iterable[bytes], *, into: list[Any] | None = None) -> list[list[Any]]:
    """The events of every piece, and of the end."""
    reader = AnswerReader(passed=True)
    builder = ProtocolBuilder(reader, run_id=RUN)
    seen = [] if into is None else into

    def build(found: list[tuple[int, Event]]) -> list[Any]:
        before = len(seen)
        seen.extend(builder.build(found))
        return seen[before:]

    return [*(build(reader.feed(piece)) for piece in pieces), build(reader.close())]


def flat(batches: Iterable[list[Any]]) -> list[Any]:
    return [one for batch in batches for one in batch]


def assembled(events: Sequence[MessagesData]) -> AIMessage:
    """What langchain-core makes of the events, which are held against the protocol."""
    assert_valid_event_stream(events)
    assert_deltas_join(events)
    stream = ChatModelStream()
    for one in events:
        stream.dispatch(one)
    message = stream.output_message
    assert message is not None
    return message


def assert_deltas_join(events: Iterable[Any]) -> None:
    """langchain-tests 1.1.9 does not look at the deltas of calls."""
    args: dict[int, str] = {}
    for one in events:
        match one:
            case {"event": "content-block-delta", "delta": {"type": "tool-call-delta"}}:
                args[one["index"]] = args.get(one["index"], "") + one["delta"]["args"]
            case {"event": "content-block-finish", "content": {"type": "tool_call"}}:
                assert json.loads(args[one["index"]]) == one["content"]["args"]


def invoked(wire: bytes) -> AIMessage:
    """What `invoke` returns."""
    reader = AnswerReader()
    reader.feed(wire)
    reader.close()
    message = reader.result().generations[0].message
    assert isinstance(message, AIMessage)
    return message


def calls(message: AIMessage, *, ids: bool) -> list[Any]:
    """Every call of a message, with the reason where it is none; ids we make differ."""
    found = [*message.tool_calls, *message.invalid_tool_calls]
    return [
        (one["id"] if ids else "", one["name"] or "", one["args"] or "", one.get("error"))
        for one in found
    ]


@pytest.mark.parametrize("wire", [case[0] for case in CALLS.values()], ids=CALLS)
def test_calls_and_reasons_are_those_of_invoke(wire: bytes) -> None:
    truth = invoked(wire)
    for pieces in some_ways(wire):
        message = assembled(flat(read(pieces)))
        made = any(not (call["id"] or "").startswith("call_") for call in truth.tool_calls)
        assert calls(message, ids=made) == calls(truth, ids=made)
        assert all(call["id"] for call in message.tool_calls + message.invalid_tool_calls)


METADATA = {
    "model_provider": "vllm",
    "model_name": "tiny",
    "id": "chatcmpl-1",
    "finish_reason": "tool_calls",
    "token_usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


class TestMessage:
    WIRE = body(
        chunk(role="assistant", content=""),
        chunk(reasoning="Let me "),
        chunk(reasoning="think.", content="See:"),
        BEGIN_A,
        args_a(A),
        chunk(content=" and"),
        BEGIN_B,
        args_b(B),
        chunk(reasoning="Done."),
        chunk(finish_reason="tool_calls"),
        usage(10, 5),
    )

    def test_is_the_one_of_invoke(self) -> None:
        truth = invoked(self.WIRE)
        for pieces in some_ways(self.WIRE):
            message = assembled(flat(read(pieces)))
            assert message.id == f"lc_run--{RUN}"
            assert message.text == truth.text == "See: and"
            assert message.additional_kwargs == truth.additional_kwargs
            assert message.usage_metadata == truth.usage_metadata
            assert calls(message, ids=True) == calls(truth, ids=True)
            assert message.response_metadata == {**METADATA, "output_version": "v1"}

    def test_has_a_block_for_every_change_of_kind(self) -> None:
        events = flat(read([self.WIRE]))
        blocks = [
            (block["type"], block.get("text") or block.get("reasoning") or block.get("name"))
            for block in assembled(events).content_blocks
        ]
        assert blocks == [
            ("reasoning", "Let me think."),
            ("text", "See:"),
            ("tool_call", "search"),
            ("text", " and"),
            ("tool_call", "multiply"),
            ("reasoning", "Done."),
        ]
        (start,) = [one for one in events if one["event"] == "message-start"]
        assert start["metadata"] == {"provider": "vllm", "model": "tiny"}

    def test_other_choices_are_left_out(self) -> None:
        wire = body(
            chunk(content="mine"),
            chunk(content="another", choice=1),
            chunk(finish_reason="stop"),
            chunk(finish_reason="stop", choice=1),
        )
        assert assembled(flat(read([wire]))).text == "mine"

    def test_without_anything_is_empty(self) -> None:
        message = assembled(flat(read([body(chunk(finish_reason="stop"))])))
        assert (message.content, message.tool_calls) == ("", [])


# The first call has finished when this was read.
FINISHED = [BEGIN_A, args_a(A), BEGIN_B, args_b(B[:1])]

# Chunks, and behind which of them (counted from 1; 0: the end) each call finishes, and as what.
FINISHES: dict[str, tuple[list[Any], dict[str, tuple[int, str]]]] = {
    "when the next call is written": (
        [BEGIN_A, args_a(A), BEGIN_B, args_b(B[:4]), args_b(B[4:]), END],
        {"call_a": (4, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "the next call has no arguments": (
        [BEGIN_A, args_a(A), chunk(part("", index=1, id="call_b", name="now")), END],
        {"call_a": (0, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "the next call comes in the same event": (
        [
            BEGIN_A,
            chunk(part(A), part(B[:4], index=1, id="call_b", name="multiply")),
            args_b(B[4:]),
            END,
        ],
        {"call_a": (2, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "closed behind the beginning of the next": (
        [BEGIN_A, BEGIN_B, args_a(A), args_b(B), END],
        {"call_a": (4, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "the second closes first": (
        [BEGIN_A, BEGIN_B, args_b(B), args_a(A), END],
        {"call_a": (0, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "text behind it is no later call": (
        [BEGIN_A, args_a(A), chunk(content="Well,"), chunk(content="that is"), END],
        {"call_a": (0, "tool_call")},
    ),
    "cut in the text behind it": (
        [BEGIN_A, args_a(A), chunk(content="Well,"), chunk(finish_reason="length")],
        {"call_a": (0, "invalid_tool_call")},
    ),
    "closed in the event that says that it was cut": (
        [BEGIN_A, args_a(A[:-1]), args_a("}", finish_reason="length")],
        {"call_a": (0, "invalid_tool_call")},
    ),
    "cut in the event in which the next begins": (
        [
            BEGIN_A,
            args_a(A),
            chunk(part("", index=1, id="call_b", name="multiply"), finish_reason="length"),
        ],
        {"call_a": (0, "invalid_tool_call"), "call_b": (0, "invalid_tool_call")},
    ),
    "cut when the next call has begun": (
        [BEGIN_A, args_a(A), BEGIN_B, chunk(finish_reason="length")],
        {"call_a": (0, "invalid_tool_call"), "call_b": (0, "invalid_tool_call")},
    ),
    "cut in the next call": (
        [BEGIN_A, args_a(A), BEGIN_B, args_b(B), chunk(finish_reason="length")],
        {"call_a": (4, "tool_call"), "call_b": (0, "invalid_tool_call")},
    ),
    "contradicted before the next begins": (
        [BEGIN_A, args_a(A), args_a("more"), BEGIN_B, args_b(B), END],
        {"call_a": (0, "invalid_tool_call"), "call_b": (0, "tool_call")},
    ),
    "unknown tool": (
        [chunk(part(A, id="call_a", name="rmdir")), BEGIN_B, args_b(B), END],
        {"call_a": (3, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "arguments that do not fit": (
        [BEGIN_A, args_a('{"query": ["cats"]}'), BEGIN_B, args_b(B), END],
        {"call_a": (4, "tool_call"), "call_b": (0, "tool_call")},
    ),
    "one behind an invalid call": (
        [
            BEGIN_A,
            args_a("{query}"),
            BEGIN_B,
            args_b(B),
            chunk(part("{}", index=2, id="call_c", name="now")),
            END,
        ],
        {
            "call_a": (0, "invalid_tool_call"),
            "call_b": (5, "tool_call"),
            "call_c": (0, "tool_call"),
        },
    ),
    "open while the next begins": (
        [BEGIN_A, args_a(A[:-1]), BEGIN_B, args_b(B), END],
        {"call_a": (0, "invalid_tool_call"), "call_b": (0, "tool_call")},
    ),
    "never closed": (
        [BEGIN_A, args_a(A[:-1]), END],
        {"call_a": (0, "invalid_tool_call")},
    ),
}


@pytest.mark.parametrize(("chunks", "finishes"), FINISHES.values(), ids=FINISHES)
def test_when_a_call_finishes(chunks: list[Any], finishes: dict[str, tuple[int, str]]) -> None:
    batches = read([event(one) for one in chunks])
    found = {
        one["content"]["id"]: (number % len(batches), one["content"]["type"])
        for number, batch in enumerate(batches, 1)
        for one in batch
        if one["event"] == "content-block-finish" and "call" in one["content"]["type"]
    }
    assert found == finishes
    message = assembled(flat(batches))
    assert calls(message, ids=True) == calls(invoked(body(*chunks)), ids=True)


class TestContradiction:
    """A call that has finished and is none after all."""

    CASES = (
        ("text behind it", [args_a("more"), args_b(B[1:]), END]),
        ("another object", [args_a('{"query": "dogs"}'), END]),
        ("half of itself", [args_a(A[:5]), args_b(B[1:]), END]),
        ("white space, and then a cut", [args_a(" "), chunk(finish_reason="length")]),
        ("another name", [chunk(part("", name="now")), args_b(B[1:]), END]),
    )

    @pytest.mark.parametrize("behind", [case[1] for case in CASES], ids=[case[0] for case in CASES])
    def test_raises_and_no_call_is_confirmed(self, behind: list[Any]) -> None:
        events: list[Any] = []
        words = r"went on with the call 'search'.*call_a"
        with pytest.raises(ServerStreamError, match=words) as raised:
            read([body(*FINISHED, done=False), body(*behind)], into=events)
        assert [one["content"]["type"] for one in events if "finish" in one["event"]] == [
            "tool_call"
        ]
        message = raised.value.partial_message
        assert isinstance(message, AIMessage)
        assert message.tool_calls == []
        assert {call["id"] for call in message.invalid_tool_calls} == {"call_a", "call_b"}
        assert all(call["error"] for call in message.invalid_tool_calls)


ARGS = st.sampled_from(["", "{", "}", "{}", A, A[:9], A[9:], B, B[:5], " ", "]", "null", '"x"'])
PARTS = st.builds(
    part,
    ARGS,
    index=st.sampled_from([0, 0, 1, 1, 2, None]),
    id=st.sampled_from(["call_a", "call_b", "call_c", None, None]),
    name=st.sampled_from(["search", "multiply", "now", "rmdir", None, None]),
)
CHUNKS = st.builds(
    lambda parts, content, reasoning, reason: chunk(
        *parts, content=content, reasoning=reasoning, finish_reason=reason
    ),
    st.lists(PARTS, max_size=2),
    st.sampled_from([None, "", "Hi"]),
    st.sampled_from([None, None, "Hm"]),
    st.sampled_from([None, None, None, None, "length"]),
)


@settings(max_examples=300)
@given(
    before=st.sampled_from([[], FINISHED]),
    sent=st.lists(CHUNKS, max_size=7),
)
def test_whatever_comes_it_is_what_invoke_says_or_it_raises(
    *,
    before: list[Any],
    sent: list[Any],
) -> None:
    sent = [*before, *sent]
    wire = body(*sent, END)
    pieces = [event(one) for one in (*sent, END)]
    try:
        truth = invoked(wire)
    except IncompleteStreamError:  # two answers, glued together
        with pytest.raises(StreamInterruptedError):
            read(pieces)
        return
    try:
        events = flat(read(pieces))
    except ServerStreamError:
        assert truth.invalid_tool_calls != []
        return
    message = assembled(events)
    assert calls(message, ids=False) == calls(truth, ids=False)
    assert message.text == truth.text
    assert message.additional_kwargs == truth.additional_kwargs


@given(st.binary(), st.integers(min_value=0))
def test_any_bytes_are_read_or_raise_our_error(noise: bytes, at: int) -> None:
    wire = TestMessage.WIRE
    at %= len(wire)
    wire = wire[:at] + noise + wire[at:]
    try:
        events = flat(read([wire]))
    except StreamInterruptedError:
        return
    assert calls(assembled(events), ids=False) == calls(invoked(wire), ids=False)


def test_time_is_linear() -> None:
    def run(size: int) -> Any:
        pieces = [
            *(event(chunk(content="some more text")) for _ in range(size)),
            event(chunk(part('{"query": "', id="call_1", name="search"))),
            *(event(chunk(part("some more text"))) for _ in range(size)),
            event(chunk(part('"}'), finish_reason="tool_calls")),
        ]
        return lambda: read(pieces)

    assert growth(run, 150) < 6
