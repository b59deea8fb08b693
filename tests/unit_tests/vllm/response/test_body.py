"""What comes together may be told together: the sum is the same, and so is the order."""

import json
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, HumanMessage

from langchain_toolstream import ToolSet, ToolStreamParser
from langchain_toolstream.core.events import TextDelta, ToolCallDelta, ToolCallStart
from langchain_toolstream.vllm import VLLMIncompleteStreamError
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.output.protocol_events import ProtocolBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.body import Body
from tests.unit_tests.vllm.mocked import Body as Pieces
from tests.unit_tests.vllm.mocked import MockedServer, streamed
from tests.unit_tests.vllm.response.test_answer import (
    CALLS,
    END,
    QUERY,
    as_streamed,
    now,
    search,
)
from tests.unit_tests.vllm.wire import DONE, body, chunk, part

MIXED = body(
    chunk(role="assistant", content=""),
    chunk(reasoning="Let "),
    chunk(reasoning="me see. "),
    chunk(content="First "),
    chunk(content="this: "),
    chunk(part('{"que', id="call_1", name="search"), reasoning="Go. "),
    chunk(part('ry": "cats"}')),
    chunk(content="Then "),
    chunk(part("{", index=1, id="call_2", name="now"), content="that."),
    chunk(part("}", index=1)),
    END,
)


def batches(pieces: Iterable[bytes], *, coalesce: bool) -> Iterator[tuple[AnswerReader, list[Any]]]:
    reader = AnswerReader()
    answer = Body(reader, coalesce=coalesce)
    for piece in pieces:
        for events in answer.feed(piece):
            yield reader, events
    yield reader, reader.close()


def chunks(pieces: Iterable[bytes], *, coalesce: bool, v1: bool = False) -> list[AIMessageChunk]:
    builder: ChunkBuilder | None = None
    made = []
    for reader, events in batches(pieces, coalesce=coalesce):
        builder = builder or ChunkBuilder(reader)
        made += [as_streamed(one) for one in builder.build(events)]
    return blocks(made) if v1 else made


def blocks(messages: list[AIMessageChunk]) -> list[AIMessageChunk]:
    """As `BaseChatModel.stream` makes them with `output_version="v1"`: a block for each run."""
    index, kind = -1, ""
    made = []
    for message in messages:
        content: list[Any] = [*message.content_blocks]
        for block in content:
            if block["type"] != kind:
                kind, index = block["type"], index + 1
            block.setdefault("index", index)
        made.append(message.model_copy(update={"content": content}))
    return made


def told(message: AIMessageChunk) -> Any:
    """A sum, with a number for each call's id: where the server gave none, it is ours."""
    fields = vars(message) | {"id": None, "tool_calls": None, "invalid_tool_calls": None}
    state = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    for number, call in enumerate(message.tool_call_chunks):
        state = state.replace(json.dumps(call["id"]), f'"id {number}"')
    return state


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("wire", [MIXED, *(wire for wire, *_ in CALLS.values())])
def test_the_sum_is_the_same_on_and_off_and_however_it_is_split(wire: bytes, v1: bool) -> None:  # noqa: FBT001
    expected: Any = None
    for size in (len(wire), 700, 150, 41):
        pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
        for coalesce in (False, True):
            total = told(reduce(add, chunks(pieces, coalesce=coalesce, v1=v1)))
            expected = expected or total
            assert total == expected


def test_off_each_event_of_the_server_is_told_alone() -> None:
    texts = [f"word{n} " for n in range(10)]
    wire = body(*(chunk(content=text) for text in texts), chunk(finish_reason="stop"))
    assert [one.content for one in chunks([wire], coalesce=False)] == [*texts, ""]
    assert [one.content for one in chunks([wire], coalesce=True)] == ["".join(texts), ""]


def test_on_only_neighbours_are_joined() -> None:
    shown = [
        one.additional_kwargs.get("reasoning_content")
        or one.content
        or [(call["id"], call["args"]) for call in one.tool_call_chunks]
        for one in chunks([MIXED], coalesce=True)
    ]
    assert shown == [
        "Let me see. ",
        "First this: ",
        "Go. ",
        [("call_1", QUERY)],
        "Then that.",
        [("call_2", "{}")],
        [],
    ]


def test_on_no_call_waits_for_the_next_read() -> None:
    """A read-only tool starts with the read that closes its call, as it does with it off."""
    parser = ToolStreamParser(ToolSet([search, now], read_only=True))
    wires = [
        body(chunk(part(QUERY, id="call_1", name="search"), content="So: "), done=False),
        body(chunk(part("{", index=1, id="call_2", name="now"), content="and"), done=False),
        body(chunk(part("}", index=1)), END),
    ]
    for coalesce in (False, True):
        fed: list[int] = []

        def pieces(fed: list[int] = fed) -> Iterator[bytes]:
            for number, wire in enumerate(wires):
                fed.append(number)
                yield wire

        def messages(on: bool = coalesce, source: Any = pieces) -> Iterator[AIMessageChunk]:  # noqa: FBT001
            builder: ChunkBuilder | None = None
            for reader, events in batches(source(), coalesce=on):
                builder = builder or ChunkBuilder(reader)
                yield from map(as_streamed, builder.build(events))

        started = [
            (call["name"], fed[-1]) for calls in parser.transform(messages()) for call in calls
        ]
        assert started == [("search", 0), ("now", 2)]


def test_protocol_events_are_joined_too() -> None:
    def deltas(*, coalesce: bool) -> list[Any]:
        builder: ProtocolBuilder | None = None
        made = []
        for reader, events in batches([MIXED], coalesce=coalesce):
            builder = builder or ProtocolBuilder(reader, run_id=None)
            made += [one for one in builder.build(events) if one["event"] == "content-block-delta"]
        return made

    assert len(deltas(coalesce=False)) == 11
    assert len(deltas(coalesce=True)) == 6


@given(st.lists(st.sampled_from(["text", "thought", "a", "b"]), max_size=30))
def test_any_order(order: list[str]) -> None:
    head = chunk(
        part("", id="call_1", name="search"), part("", index=1, id="call_2", name="search")
    )
    kinds: dict[str, Any] = {
        "text": lambda n: chunk(content=f"{n} "),
        "thought": lambda n: chunk(reasoning=f"{n} "),
        "a": lambda n: chunk(part(f"{n} ", index=0)),
        "b": lambda n: chunk(part(f"{n} ", index=1)),
    }
    wire = body(head, *(kinds[kind](n) for n, kind in enumerate(order)), END)
    for v1 in (False, True):
        on, off = (
            told(reduce(add, chunks([wire], coalesce=coalesce, v1=v1)))
            for coalesce in (True, False)
        )
        assert on == off


def test_joined_deltas_keep_their_choice() -> None:
    wire = body(
        chunk(content="a", choice=0), chunk(content="b", choice=1), chunk(content="c", choice=1)
    )
    (events,) = Body(AnswerReader(), coalesce=True).feed(wire)
    assert events == [(0, TextDelta(text="a")), (1, TextDelta(text="bc"))]


def test_what_is_no_delta_stays() -> None:
    wire = body(chunk(part("{", id="a", name="f"), part("1", index=1, id="b", name="g")))
    (events,) = Body(AnswerReader(), coalesce=True).feed(wire)
    assert [type(event) for _, event in events] == [ToolCallStart, ToolCallDelta, ToolCallStart]


# What a body is, its first bytes say.

HELLO = body(chunk(role="assistant", content=""), chunk(content="Hello"), END)
WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}
).encode()
LABELS = ["text/event-stream", "application/json", "application/json; charset=utf-8", "text/plain"]


@pytest.mark.parametrize("label", [*LABELS, None])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n", b": hello\n\n", b"  \r\n"])
@pytest.mark.parametrize("answer", [HELLO, WHOLE])
def test_the_label_does_not_matter(label: str | None, start: bytes, answer: bytes) -> None:
    if start.startswith(b":") and answer is WHOLE:
        pytest.skip("JSON has no comments")
    headers = {} if label is None else {"content-type": label}
    for pieces in ([start + answer], [bytes([one]) for one in start + answer]):
        server = MockedServer(
            lambda _, pieces=pieces: httpx2.Response(200, headers=headers, stream=Pieces(*pieces))
        )
        assert server.llm().invoke("go").content == "Hello"
        assert "".join(one.text for one in server.llm().stream("go")) == "Hello"


def test_a_whole_answer_as_the_one_event_of_a_stream() -> None:
    server = MockedServer(lambda _: streamed(b"data: " + WHOLE + b"\n\n", DONE))
    assert server.llm().invoke("go").content == "Hello"
    assert "".join(one.text for one in server.llm().stream("go")) == "Hello"


HEARTBEATS = [
    b": ping\n\n",
    b"data:\n\n",
    b"data: \n\n",
    b"data:\n\r\ndata:\n\n",
    b"event: ping\ndata:\n\n",
    b"event: ping\ndata: {}\n\n",
    b"event: ping\ndata: keep-alive\n\n",
    b"event: keepalive\ndata: 17\n\n",
    b"event: ping\ndata: [1, 2]\n\n",
    b"event: ping\n\n",
]


@pytest.mark.parametrize("beat", HEARTBEATS)
@pytest.mark.parametrize("place", range(4))
def test_a_heartbeat_is_nothing_wherever_it_comes(beat: bytes, place: int) -> None:
    parts = [body(one, done=False) for one in (chunk(role="assistant"), chunk(content="Hi"), END)]
    parts.insert(place, beat)
    server = MockedServer(lambda _: streamed(*parts, DONE))
    assert server.llm().invoke("go").content == "Hi"
    assert "".join(one.text for one in server.llm().stream("go")) == "Hi"


@pytest.mark.parametrize("name", ["", "event: message\n", "event: completion\n"])
def test_an_event_under_another_name_may_hold_a_chunk(name: str) -> None:
    parts = [name.encode() + body(one, done=False) for one in (chunk(content="Hi"), END)]
    server = MockedServer(lambda _: streamed(*parts, name.encode() + DONE))
    assert server.llm().invoke("go").content == "Hi"


# An index of a choice that counts something else.

THREE = (chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), END)


def with_indexes(*indexes: Any) -> list[dict[str, Any]]:
    return [
        {**one, "choices": [{**one["choices"][0], "index": index}]}
        for one, index in zip(THREE, indexes, strict=True)
    ]


@pytest.mark.parametrize(
    "indexes",
    [(1, 1, 1, 1), (7, 7, 7, 7), (0, 1, 2, 3), (1, 2, 3, 4), (0, 1, 1, 2), (-1,) * 4, (0, 0, 0, 1)],
)
def test_one_choice_is_read_whatever_its_index(indexes: tuple[int, ...]) -> None:
    llm = MockedServer(lambda _: streamed(body(*with_indexes(*indexes)))).llm()
    assert llm.invoke("go").content == "Hello"
    assert "".join(one.text for one in llm.stream("go")) == "Hello"


def test_a_second_choice_that_nobody_asked_for_is_left_out() -> None:
    first, second = with_indexes(0, 0, 0, 0), with_indexes(1, 1, 1, 1)
    second[1]["choices"][0]["delta"] = {"content": "Other"}
    in_turns = [one for pair in zip(first, second, strict=True) for one in pair]
    for wire in (first + second, in_turns):
        llm = MockedServer(lambda _, wire=wire: streamed(body(*wire))).llm()
        assert llm.invoke("go").content == "Hello"
        assert "".join(one.text for one in llm.stream("go")) == "Hello"


def test_a_second_choice_without_a_role_is_told_by_its_turns() -> None:
    first, second = with_indexes(0, 0, 0, 0)[1:], with_indexes(1, 1, 1, 1)[1:]
    second[0]["choices"][0]["delta"] = {"content": "Other"}
    for wire in (
        [one for pair in zip(first, second, strict=True) for one in pair],
        [first[0], second[0], second[1], first[1], first[2], second[2]],
        [*first, *second],
    ):
        llm = MockedServer(lambda _, wire=wire: streamed(body(*wire))).llm()
        assert llm.invoke("go").content == "Hello"
        assert "".join(one.text for one in llm.stream("go")) == "Hello"
        both = llm.generate([[HumanMessage("go")]], n=2).generations[0]
        assert [one.text for one in both] == ["Hello", "Otherlo"]


def test_choices_that_nothing_tells_apart_are_no_answer() -> None:
    indexes = (0, 1, 2, 0)
    llm = MockedServer(lambda _: streamed(body(*with_indexes(*indexes)))).llm()
    with pytest.raises(VLLMIncompleteStreamError, match="came in turns"):
        llm.invoke("go")
