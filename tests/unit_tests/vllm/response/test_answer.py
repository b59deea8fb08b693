"""From the bytes of an answer to LangChain's messages: the sum of the chunks is the result."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_toolstream.core.errors import IncompleteStreamError, ServerStreamError
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from tests.unit_tests.core.helpers import growth
from tests.unit_tests.vllm.wire import DONE, body, chunk, chunkings, event, part, usage


def search(query: str) -> str:
    """Search."""
    return query


def now() -> str:
    """Say what time it is."""
    return "noon"


END = chunk(finish_reason="tool_calls")
CUT = chunk(finish_reason="length")


class Answer:
    """What one answer gave, streamed and whole, and that the two agree."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        reader = AnswerReader()
        builder = ChunkBuilder(reader)
        self.chunks: list[ChatGenerationChunk] = []
        for piece in pieces:
            self.chunks += builder.build(reader.feed(piece))
        self.chunks += builder.build(reader.close())
        self.result: ChatResult = reader.result()
        self.messages = [as_streamed(chunk) for chunk in self.chunks]
        self.sum: AIMessageChunk = reduce(add, self.messages)

    @property
    def message(self) -> AIMessage:
        message = self.result.generations[0].message
        assert isinstance(message, AIMessage)
        return message

    @property
    def reasons(self) -> dict[str, str]:
        reasons: dict[str, str] = self.sum.response_metadata.get("invalid_tool_calls", {})
        return reasons


def as_streamed(chunk: ChatGenerationChunk) -> AIMessageChunk:
    """The message as `BaseChatModel.stream` yields it."""
    message = chunk.message
    assert isinstance(message, AIMessageChunk)
    metadata = {**(chunk.generation_info or {}), **message.response_metadata}
    return message.model_copy(update={"response_metadata": metadata})


def some_ways(wire: bytes) -> Iterator[list[bytes]]:
    """Whole, event by event, byte by byte, and from the end of one event to that of the next."""
    events = [part + b"\n\n" for part in wire.split(b"\n\n")[:-1]]
    yield [wire]
    yield events
    yield [wire[at : at + 1] for at in range(len(wire))]
    joined = b"\0".join(events)
    yield [piece for halves in joined.split(b"\0") for piece in (halves[:-1], halves[-1:])]


def one(args: Any, *behind: Any, id: str | None = "call_1", name: str = "search") -> bytes:  # noqa: A002
    """A message with one call, whose head and arguments come apart."""
    return body(chunk(part("", id=id, name=name)), chunk(part(args)), *behind)


# What is expected of a call: its id, its name, and its arguments if it is one; else its arguments
# behind a sum of chunks, and in a result.
Good = tuple[str, str, dict[str, Any]]
Bad = tuple[str, str, str, str]

QUERY = '{"query": "cats"}'

CALLS: dict[str, tuple[bytes, list[Good], list[Bad]]] = {
    "one": (one(QUERY, END), [("call_1", "search", {"query": "cats"})], []),
    "one in a single entry": (
        body(chunk(part(QUERY, id="call_1", name="search")), END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "with the finish reason": (
        body(chunk(part(QUERY, id="call_1", name="search"), finish_reason="stop")),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "two in turns": (
        body(
            chunk(part("", id="call_1", name="search"), part("", index=1, id="call_2", name="now")),
            chunk(part("{", index=1), part('{"query": ')),
            chunk(part('"cats"}')),
            chunk(part("}", index=1)),
            END,
        ),
        [("call_1", "search", {"query": "cats"}), ("call_2", "now", {})],
        [],
    ),
    "two entries of one call in one list": (
        body(chunk(part("", id="call_1", name="search"), part('{"query"'), part(': "cats"}')), END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "two calls with one id": (
        body(
            chunk(part('{"query": "cats"}', id="call_1", name="search")),
            chunk(part("{}", index=1, id="call_1", name="now"), part("", index=1)),
            END,
        ),
        [("call_1", "search", {"query": "cats"}), ("", "now", {})],
        [],
    ),
    "head with every entry": (
        body(
            chunk(part('{"query": ', id="call_1", name="search")),
            chunk(part('"cats"}', id="call_1", name="search")),
            END,
        ),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "no id": (one(QUERY, END, id=None), [("", "search", {"query": "cats"})], []),
    "no index": (
        body(
            chunk(part('{"query": ', index=None, id="call_1", name="search")),
            chunk(part('"cats"}', index=None)),
            END,
        ),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "an object for arguments": (
        one({"query": "cats"}, END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "no arguments": (
        body(chunk(part(None, id="call_1", name="now")), END),
        [("call_1", "now", {})],
        [],
    ),
    "null for arguments": (one("null", END, name="now"), [("call_1", "now", {})], []),
    "encoded twice": (
        one(json.dumps(QUERY), END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "a number as text": (
        one('{"a": "3", "b": 12}', END, name="multiply"),
        [("call_1", "multiply", {"a": "3", "b": 12})],
        [],
    ),
    "a big integer": (
        one('{"a": 1, "b": ' + "9" * 40 + "}", END, name="multiply"),
        [("call_1", "multiply", {"a": 1, "b": int("9" * 40)})],
        [],
    ),
    "closing brackets behind": (
        one(QUERY + "}\n]", END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "the same again behind": (
        one(QUERY + QUERY, END),
        [("call_1", "search", {"query": "cats"})],
        [],
    ),
    "half a surrogate pair per event": (
        body(
            chunk(part('{"query": "\ud83c', id="call_1", name="search")),
            chunk(part('\udf89"}')),
            END,
        ),
        [("call_1", "search", {"query": "🎉"})],
        [],
    ),
    "half an escaped pair per event": (
        body(
            chunk(part('{"query": "\\ud83c', id="call_1", name="search")),
            chunk(part('\\udf89"}')),
            END,
        ),
        [("call_1", "search", {"query": "🎉"})],
        [],
    ),
    "cut in a string": (
        one('{"query": "ca', CUT),
        [],
        [("call_1", "search", '{"query": "ca"]!!', '{"query": "ca')],
    ),
    "cut in an escape": (
        one('{"query": "ca\\', CUT),
        [],
        [("call_1", "search", '{"query": "ca\\""]!!!', '{"query": "ca\\')],
    ),
    "cut behind a backslash": (
        one('{"query": "ca\\\\', CUT),
        [],
        [("call_1", "search", '{"query": "ca\\\\"]!!', '{"query": "ca\\\\')],
    ),
    "cut in a list": (
        one('{"query": [1', CUT),
        [],
        [("call_1", "search", '{"query": [1}!', '{"query": [1')],
    ),
    "cut in a key": (one('{"que', CUT), [], [("call_1", "search", '{"que"]!!', '{"que')]),
    "cut in a number": (
        one('{"a": 1, "b": 2', CUT, name="multiply"),
        [],
        [("call_1", "multiply", '{"a": 1, "b": 2]!', '{"a": 1, "b": 2')],
    ),
    "cut before the arguments": (
        body(chunk(part("", id="call_1", name="now")), CUT),
        [],
        [("call_1", "now", "{}]!", "")],
    ),
    "cut and closed by the server": (
        one(QUERY, CUT),
        [],
        [("call_1", "search", QUERY + "]!", QUERY)],
    ),
    "cut in the second": (
        body(
            chunk(part(QUERY, id="call_1", name="search")),
            chunk(part('{"a": 3', index=1, id="call_2", name="multiply")),
            CUT,
        ),
        [("call_1", "search", {"query": "cats"})],
        [("call_2", "multiply", '{"a": 3]!', '{"a": 3')],
    ),
    "bad one first": (
        body(
            chunk(part('{"a": 3', id="call_1", name="multiply")),
            chunk(part(QUERY, index=1, id="call_2", name="search")),
            END,
        ),
        [("call_2", "search", {"query": "cats"})],
        [("call_1", "multiply", '{"a": 3]!', '{"a": 3')],
    ),
    "not JSON": (
        one("{query: cats}", END),
        [],
        [("call_1", "search", "{query: cats}]!", "{query: cats}")],
    ),
    "NaN": (
        one('{"a": NaN, "b": 1}', END, name="multiply"),
        [],
        [("call_1", "multiply", '{"a": NaN, "b": 1}]!', '{"a": NaN, "b": 1}')],
    ),
    "a name twice": (
        one('{"query": "a", "query": "b"}', END),
        [],
        [("call_1", "search", '{"query": "a", "query": "b"}]!', '{"query": "a", "query": "b"}')],
    ),
    "a list": (one('["cats"]', END), [], [("call_1", "search", '["cats"]]!', '["cats"]')]),
    "a string": (one('"cats"', END), [], [("call_1", "search", '"cats"]!', '"cats"')]),
    "a number": (one("12", END), [], [("call_1", "search", "12]!", "12")]),
    "arguments missing": (one("", END), [("call_1", "search", {})], []),
    "unknown tool": (one(QUERY, END, name="delete"), [("call_1", "delete", {"query": "cats"})], []),
    "arguments that do not fit": (
        one('{"a": "three", "b": 1}', END, name="multiply"),
        [("call_1", "multiply", {"a": "three", "b": 1})],
        [],
    ),
    "contradicted": (
        one(QUERY + '{"query": "dogs"}', END),
        [],
        [("call_1", "search", QUERY + "]!", QUERY + '{"query": "dogs"}')],
    ),
    "without a name": (one(QUERY, END, name=""), [], [("call_1", "", QUERY + "]!", QUERY)]),
}


@pytest.mark.parametrize(("wire", "good", "bad"), CALLS.values(), ids=CALLS)
class TestCalls:
    def test_are_the_same_in_the_sum_and_in_the_result(
        self, wire: bytes, good: list[Good], bad: list[Bad]
    ) -> None:
        for pieces in some_ways(wire):
            answer = Answer(pieces)
            message = answer.message
            assert calls_of(message) == [expected(call, message) for call in good]
            assert answer.sum.tool_calls == message.tool_calls
            assert invalid_of(answer.sum) == [(id_, name, args) for id_, name, args, _ in bad]
            assert invalid_of(message) == [(id_, name, args) for id_, name, _, args in bad]

    def test_have_their_reasons(self, wire: bytes, good: list[Good], bad: list[Bad]) -> None:
        answer = Answer([wire])
        reasons = {call["id"]: call["error"] for call in answer.message.invalid_tool_calls}
        assert answer.reasons == reasons
        assert list(reasons) == [id_ for id_, *_ in bad]
        assert all(reasons.values())

    def test_come_in_clean_chunks(self, wire: bytes, good: list[Good], bad: list[Bad]) -> None:
        for pieces in some_ways(wire):
            seen: set[int] = set()
            for message in Answer(pieces).messages:
                indexes = [call["index"] for call in message.tool_call_chunks]
                assert len(set(indexes)) == len(indexes), "one entry for each call"
                for call in message.tool_call_chunks:
                    assert (call["id"] is None) == (call["index"] in seen), "an id once"
                    assert (call["name"] is None) == (call["index"] in seen), "a name once"
                    seen.add(call["index"])
            assert sorted(seen) == list(range(len(good) + len(bad)))


def calls_of(message: AIMessage) -> list[Good]:
    return [(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]


def expected(call: Good, message: AIMessage) -> Good:
    """A call whose id we made stands in the tables with an empty one."""
    if call[0]:
        return call
    (made,) = [one["id"] for one in message.tool_calls if one["name"] == call[1]]
    assert made
    assert made != "call_1"
    return (made, *call[1:])


def invalid_of(message: AIMessage) -> list[tuple[str, str, str]]:
    return [
        (call["id"] or "", call["name"] or "", call["args"] or "")
        for call in message.invalid_tool_calls
    ]


class TestReasons:
    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ("cut in a string", ["'length'", "$.query", "Allow more output tokens"]),
            ("not JSON", ["not JSON", "character 1"]),
            ("contradicted", ["dogs", "complete"]),
            ("without a name", ["no name"]),
        ],
    )
    def test_say_what_is_wrong_and_where(self, case: str, words: list[str]) -> None:
        (reason,) = Answer([CALLS[case][0]]).reasons.values()
        for word in words:
            assert word in reason


class TestText:
    WIRE = body(
        chunk(role="assistant", content=""),
        chunk(reasoning="Let me "),
        chunk(
            part(QUERY, id="call_1", name="search"),
            part("{}", index=1, id="call_2", name="now"),
            content="See: ",
            reasoning="think.",
            finish_reason="tool_calls",
        ),
        usage(10, 5),
    )

    def test_calls_and_reasoning_in_one_event_are_all_kept(self) -> None:
        for pieces in some_ways(self.WIRE):
            answer = Answer(pieces)
            for message in (answer.message, answer.sum):
                assert message.content == "See: "
                assert message.additional_kwargs == {"reasoning_content": "Let me think."}
                assert [call["id"] for call in message.tool_calls] == ["call_1", "call_2"]
            # LangChain shows no block of a call in a chunk that has text as well.
            assert not any(m.tool_call_chunks and m.content for m in answer.messages)

    def test_blocks_of_the_chunks_are_those_of_the_sum(self) -> None:
        kinds = [b["type"] for m in Answer([self.WIRE]).messages for b in m.content_blocks]
        assert kinds == ["reasoning", "reasoning", "text", "tool_call_chunk", "tool_call_chunk"]

    @pytest.mark.parametrize(
        ("delta", "thought"),
        [
            ({"reasoning": "a"}, "a"),
            ({"reasoning_content": "a"}, "a"),
            ({"reasoning": "a", "reasoning_content": "a"}, "a"),
            ({"reasoning": None, "reasoning_content": "a"}, "a"),
            ({"reasoning": "", "reasoning_content": None}, ""),
        ],
    )
    def test_reasoning_is_read_from_either_field(self, delta: Any, thought: str) -> None:
        answer = Answer([body(chunk(**delta), chunk(content="b", finish_reason="stop"))])
        for message in (answer.message, answer.sum):
            assert message.additional_kwargs.get("reasoning_content", "") == thought

    @pytest.mark.parametrize("field", ["content", "reasoning"])
    def test_half_a_surrogate_pair_per_event_is_one_character(self, field: str) -> None:
        wire = body(
            chunk(**{field: "a\ud83c"}), chunk(**{field: "\udf89b"}), chunk(finish_reason="stop")
        )
        for pieces in some_ways(wire):
            answer = Answer(pieces)
            for message in (answer.message, answer.sum):
                texts = (message.content, message.additional_kwargs.get("reasoning_content"))
                assert "a🎉b" in texts

    def test_blank_text_is_kept(self) -> None:
        answer = Answer([body(chunk(content="\n\n"), chunk(content=" "), END)])
        assert answer.message.content == answer.sum.content == "\n\n "

    def test_an_answer_that_says_nothing_is_one_chunk(self) -> None:
        answer = Answer([body(chunk(role="assistant", content=""), chunk(finish_reason="stop"))])
        assert [message.content for message in answer.messages] == [""]
        assert answer.message.content == ""


class TestEnd:
    WIRE = body(
        chunk(content="a"),
        {**usage(10, 1), **chunk(content="b")},
        chunk(finish_reason="stop"),
        usage(10, 2),
    )

    def test_usage_comes_once_and_is_the_last(self) -> None:
        for pieces in some_ways(self.WIRE):
            answer = Answer(pieces)
            assert [bool(m.usage_metadata) for m in answer.messages[:-1]] == [False] * (
                len(answer.messages) - 1
            )
            for message in (answer.message, answer.sum):
                assert message.usage_metadata is not None
                assert message.usage_metadata["input_tokens"] == 10
                assert message.usage_metadata["output_tokens"] == 2

    def test_usage_in_every_event_is_not_added_up(self) -> None:
        events = [{**chunk(content="x"), **usage_only(10, count)} for count in (1, 2, 3)]
        answer = Answer([body(*events, {**chunk(finish_reason="stop"), **usage_only(10, 3)})])
        assert answer.sum.usage_metadata == answer.message.usage_metadata
        assert answer.sum.usage_metadata is not None
        assert answer.sum.usage_metadata["total_tokens"] == 13

    def test_metadata(self) -> None:
        last = chunk(finish_reason="stop")
        last["choices"][0]["stop_reason"] = "END"
        wire = body(chunk(content="a"), {**last, "system_fingerprint": "fp"})
        answer = Answer([wire])
        info = answer.result.generations[0].generation_info
        assert info is not None
        for metadata in (answer.sum.response_metadata, info):
            assert metadata["finish_reason"] == "stop"
            assert metadata["stop_reason"] == "END"
            assert metadata["model_name"] == "tiny"
            assert metadata["id"] == "chatcmpl-1"
            assert metadata["system_fingerprint"] == "fp"
        assert answer.sum.response_metadata["model_provider"] == "vllm"
        assert answer.message.response_metadata["model_provider"] == "vllm"

    def test_the_last_chunk_says_so(self) -> None:
        for pieces in some_ways(self.WIRE):
            positions = [message.chunk_position for message in Answer(pieces).messages]
            assert positions == [None] * (len(positions) - 1) + ["last"]

    def test_logprobs_are_joined(self) -> None:
        tokens = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25}]
        wire = body(
            *(chunk(content=t["token"], logprobs={"content": [t]}) for t in tokens),
            chunk(finish_reason="stop", logprobs={"content": None}),
        )
        for pieces in some_ways(wire):
            answer = Answer(pieces)
            info = answer.result.generations[0].generation_info
            assert info is not None
            assert info["logprobs"] == {"content": tokens}
            assert answer.sum.response_metadata["logprobs"] == {"content": tokens}

    def test_nothing_behind_done_is_read(self) -> None:
        late = body(chunk(content="late"), {"error": {"message": "late"}})
        wire = body(chunk(content="a", finish_reason="stop")) + late
        for pieces in some_ways(wire):
            answer = Answer(pieces)
            assert answer.message.content == answer.sum.content == "a"

    def test_done_is_known(self) -> None:
        reader = AnswerReader()
        reader.feed(event(chunk(content="a", finish_reason="stop")) + DONE[:-1])
        assert not reader.done
        reader.feed(DONE[-1:])
        assert reader.done

    def test_done_is_not_needed(self) -> None:
        answer = Answer([body(chunk(content="a", finish_reason="stop"), done=False)])
        assert answer.sum.content == "a"

    def test_the_line_end_behind_done_is_not_needed_either(self) -> None:
        answer = Answer([body(chunk(content="a", finish_reason="stop")).removesuffix(b"\n")])
        assert answer.sum.content == "a"


def usage_only(prompt: int, completion: int) -> dict[str, Any]:
    return {"usage": usage(prompt, completion)["usage"]}


class TestChoices:
    WIRE = body(
        chunk(content="a0", choice=0),
        chunk(part(QUERY, id="call_1", name="search"), choice=1),
        chunk(content="b0", choice=0, finish_reason="stop", logprobs={"content": [{"token": "b"}]}),
        chunk(choice=1, finish_reason="tool_calls", logprobs={"content": [{"token": "c"}]}),
        usage(10, 4),
    )

    def test_only_the_first_is_streamed(self) -> None:
        for pieces in some_ways(self.WIRE):
            answer = Answer(pieces)
            assert answer.sum.content == "a0b0"
            assert answer.sum.tool_calls == []
            assert answer.sum.response_metadata["finish_reason"] == "stop"
            assert answer.sum.response_metadata["logprobs"] == {"content": [{"token": "b"}]}

    def test_all_are_in_the_result(self) -> None:
        for pieces in some_ways(self.WIRE):
            first, second = Answer(pieces).result.generations
            assert first.text == "a0b0"
            assert isinstance(second.message, AIMessage)
            assert [call["id"] for call in second.message.tool_calls] == ["call_1"]
            assert first.generation_info is not None
            assert second.generation_info is not None
            assert first.generation_info["finish_reason"] == "stop"
            assert second.generation_info["finish_reason"] == "tool_calls"
            assert second.generation_info["logprobs"] == {"content": [{"token": "c"}]}

    def test_are_kept_apart_in_one_event(self) -> None:
        both = {"choices": [chunk(content="a")["choices"][0], chunk(choice=1)["choices"][0]]}
        both["choices"][1]["delta"] = {"content": "b"}
        ends = chunk(finish_reason="stop"), chunk(choice=1, finish_reason="stop")
        answer = Answer([body(both, *ends)])
        assert [generation.text for generation in answer.result.generations] == ["a", "b"]


class TestWholeAnswer:
    def test_is_one_chunk_of_the_wire(self) -> None:
        message = {
            "role": "assistant",
            "content": "See:",
            "reasoning": "Hm.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "now", "arguments": "{}"},
                },
                {"id": "call_2", "function": {"name": "search", "arguments": QUERY}},
            ],
        }
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        reader = AnswerReader()
        builder = ChunkBuilder(reader)
        answer = {"id": "1", "model": "tiny", "choices": [choice], **usage_only(3, 4)}
        chunks = builder.build(reader.feed_body(json.dumps(answer).encode()))
        chunks += builder.build(reader.close())
        whole = reader.result().generations[0].message
        assert isinstance(whole, AIMessage)
        streamed = reduce(add, map(as_streamed, chunks))
        for one_message in (whole, streamed):
            assert one_message.content == "See:"
            assert one_message.additional_kwargs == {"reasoning_content": "Hm."}
            assert calls_of(one_message) == [
                ("call_1", "now", {}),
                ("call_2", "search", {"query": "cats"}),
            ]
            assert one_message.usage_metadata is not None
            assert one_message.usage_metadata["total_tokens"] == 7


class TestInterruption:
    @pytest.mark.parametrize(
        "data",
        [
            event({"error": {"message": "out of luck", "type": "Internal", "code": 500}}),
            event({"object": "error", "message": "out of luck", "code": 500}),
            event({"error": "out of luck"}),
            b'event: error\ndata: {"message": "out of luck"}\n\n',
            b'event: error\ndata: {"error": {"message": "out of luck"}}\n\n',
        ],
    )
    def test_an_error_event_is_raised_in_the_servers_words(self, data: bytes) -> None:
        for pieces in chunkings(data):
            with pytest.raises(ServerStreamError, match="out of luck"):
                Answer(pieces)

    @pytest.mark.parametrize(
        "data",
        [b"data: {\n\n", b"data: [1]\n\n", b"data: 5\n\n", b"data: \xff\xfe\n\n"],
    )
    def test_what_is_no_event_of_vllm_is_raised(self, data: bytes) -> None:
        reader = AnswerReader()
        assert reader.feed(data) == []
        assert reader.done
        with pytest.raises(ServerStreamError, match="no JSON"):
            reader.close()

    def test_no_finish_reason_is_raised(self) -> None:
        reader = AnswerReader()
        reader.feed(one(QUERY))
        with pytest.raises(IncompleteStreamError, match="without a finish reason"):
            reader.close()

    @pytest.mark.parametrize("data", [b"", b": keep-alive\n\n", DONE, body(usage(1, 0))])
    def test_nothing_at_all_is_raised(self, data: bytes) -> None:
        reader = AnswerReader()
        reader.feed(data)
        with pytest.raises(IncompleteStreamError, match="before the answer began"):
            reader.close()

    def test_what_had_come_is_a_message_without_calls(self) -> None:
        reader = AnswerReader()
        reader.feed(body(chunk(content="See:", reasoning="Hm."), done=False))
        reader.feed(body(chunk(part(QUERY, id="call_1", name="search")), done=False))
        reader.feed(body(chunk(part('{"a"', index=1, id="call_2", name="multiply")), done=False))
        message = reader.abort("It broke.")
        assert message.content == "See:"
        assert message.additional_kwargs == {"reasoning_content": "Hm."}
        assert message.tool_calls == []
        assert [
            (c["id"], c["name"], c["args"], c["error"]) for c in message.invalid_tool_calls
        ] == [
            ("call_1", "search", QUERY, "It broke."),
            ("call_2", "multiply", '{"a"', "It broke."),
        ]

    @given(st.binary(), st.integers(min_value=0))
    def test_any_bytes_are_read_or_raise_our_error(self, noise: bytes, at: int) -> None:
        wire = CALLS["two in turns"][0]
        at %= len(wire)
        wire = wire[:at] + noise + wire[at:]
        try:
            answer = Answer([wire])
        except (ServerStreamError, IncompleteStreamError):
            return
        assert answer.sum.tool_calls == answer.message.tool_calls


def test_time_is_linear() -> None:
    def run(size: int) -> Callable[[], object]:
        pieces = [
            event(chunk(part('{"query": "', id="call_1", name="search"))),
            *(event(chunk(part("some more text"))) for _ in range(size)),
            *(event(chunk(content="some more text")) for _ in range(size)),
            event(chunk(part('"}'), finish_reason="length")),
        ]
        return lambda: read(pieces)

    def read(pieces: list[bytes]) -> None:
        reader = AnswerReader()
        builder = ChunkBuilder(reader)
        for piece in pieces:
            builder.build(reader.feed(piece))
        builder.build(reader.close())
        reader.result()

    assert growth(run, 150) < 6
