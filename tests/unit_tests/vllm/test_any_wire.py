"""Whatever a server sends, it becomes a message or one of our errors, and never another error."""

import json
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import pairwise
from operator import add
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ToolStreamParser, VLLMError
from langchain_toolstream.core.errors import ServerStreamError, StreamInterruptedError
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.body import Body
from tests.unit_tests.vllm.response.test_answer import as_streamed
from tests.unit_tests.vllm.wire import body, chunk, event, part

Message = AIMessage | AIMessageChunk
QUERY = '{"query": "cats"}'
EVENTS, JSON = "text/event-stream", "application/json"


def read(pieces: Iterable[bytes], kind: str = EVENTS) -> list[Message]:
    """Take the whole road that an answer takes, and hold what is true of every answer."""
    reader = AnswerReader(max_tokens=10)
    answer = Body(reader, coalesce=True)
    builder = ChunkBuilder(reader)
    chunks: list[AIMessageChunk] = []

    def take(events: Any) -> None:
        chunks.extend(as_streamed(made) for made in builder.build(events))

    try:
        for piece in pieces:
            for events in answer.feed(piece):
                take(events)
            if reader.done:
                break
        response = SimpleNamespace(
            headers={"content-type": kind},
            status_code=200,
            request=SimpleNamespace(method="POST", url=""),
        )
        take(answer.close(response, "http://server/v1"))
    except StreamInterruptedError as error:
        partial = reader.abort(str(error))
        assert partial.tool_calls == []
        return [partial]
    except VLLMError:
        return []
    streamed, whole = reduce(add, chunks), reader.result().generations[0].message
    assert isinstance(whole, AIMessage)
    assert streamed.tool_calls == whole.tool_calls
    assert streamed.content == whole.content
    assert len(streamed.invalid_tool_calls) == len(whole.invalid_tool_calls)
    for call in whole.tool_calls:
        assert call["name"]
        assert isinstance(call["args"], dict)
        json.dumps(call["args"], allow_nan=False)
    good = [c for c in ToolStreamParser().invoke(streamed) if c["type"] == "tool_call"]
    assert good == whole.tool_calls
    return [whole, streamed]


# Any JSON, with halves of characters, numbers that are none in JSON, and our own words as keys.
WORDS = st.sampled_from(
    ["choices", "index", "delta", "message", "content", "text", "tool_calls", "function", "name",
     "arguments", "id", "error", "code", "usage", "completion_tokens", "prompt_tokens_details",
     "cached_tokens", "logprobs"]
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=()), max_size=4)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXT, inner, max_size=3),
    max_leaves=6,
)


def mostly(*usual: Any) -> st.SearchStrategy[Any]:
    """A field with a usual value, and now and then anything."""
    return st.sampled_from([*usual] * 2) | JUNK


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of its fields, and now and then anything else."""
    known = st.fixed_dictionaries({}, optional=fields)
    return known | known | JUNK


CALLS = st.lists(
    some(
        index=mostly(0, 0, 1, None),
        id=mostly("call_1", "call_2", "", None, "null"),
        type=mostly("function", None, "invalid_tool_call"),
        function=some(
            name=mostly("search", "now", "multiply", "nope", "", None),
            arguments=mostly(QUERY, QUERY[:9], QUERY[9:], "", "null", "{}", {"query": "cats"}),
        ),
    ),
    max_size=3,
)
DELTA = some(
    role=mostly("assistant"),
    content=mostly("Hi", "", None, [{"type": "text", "text": "Hi"}]),
    reasoning=mostly("Hm.", None),
    reasoning_content=mostly("Hm.", None),
    tool_calls=CALLS | JUNK,
    function_call=mostly({"name": "search", "arguments": QUERY}),
)
CHOICE = some(
    index=mostly(0, 0, 0, 1, None),
    delta=DELTA,
    message=DELTA,
    finish_reason=mostly(None, None, "stop", "tool_calls", "length", "abort", "error"),
    stop_reason=mostly(None, "\n", 128009),
    logprobs=some(content=st.lists(some(token=mostly("a")), max_size=2) | JUNK),
    token_ids=mostly(None, [1, 2]),
)
DETAILS = some(cached_tokens=mostly(3, None), reasoning_tokens=mostly(3, None))
USAGE = some(
    prompt_tokens=mostly(3, None),
    completion_tokens=mostly(4, 10, None),
    total_tokens=mostly(7, None),
    prompt_tokens_details=DETAILS,
    completion_tokens_details=DETAILS,
)
CHUNK = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, min_size=1, max_size=2)},
    optional={
        "id": mostly("chatcmpl-1"),
        "model": mostly("tiny"),
        "object": mostly("chat.completion.chunk"),
        "system_fingerprint": mostly(None, "fp"),
        "usage": USAGE,
    },
)
ANY_CHUNK = CHUNK | CHUNK | CHUNK | some(error=JUNK, choices=JUNK, usage=USAGE, id=JUNK) | JUNK
ENDS = [
    body(done=True),
    body(chunk(finish_reason="stop")),
    body(chunk(finish_reason="tool_calls"), done=False),
    body(chunk(finish_reason="length")),
    b"",
]


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces; where, comes from any numbers."""
    places = sorted({place % (len(data) + 1) for place in at})
    bounds = [0, *places, len(data)]
    return [data[i:j] for i, j in pairwise(bounds)]


CUTS = st.lists(st.integers(min_value=0, max_value=10_000), max_size=3)


@settings(max_examples=200)
@given(st.lists(ANY_CHUNK, max_size=4), st.sampled_from(ENDS), CUTS)
def test_any_events(chunks: list[Any], end: bytes, at: list[int]) -> None:
    read(cut(b"".join(map(event, chunks)) + end, at))


@settings(max_examples=100)
@given(ANY_CHUNK, CUTS)
def test_any_body(answer: Any, at: list[int]) -> None:
    read(cut(json.dumps(answer).encode(), at), JSON)


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([b"data:", b"data: {", b"\n\n", b"event: error\n"]) | st.binary()),
    st.sampled_from([EVENTS, JSON, "text/html", ""]),
)
def test_any_bytes(pieces: list[bytes], kind: str) -> None:
    read(pieces, kind)


def in_arguments(text: str) -> bytes:
    return event(chunk(part(text, id="call_1", name="search")))


def as_arguments(text: str) -> bytes:
    return event(chunk(part(None, id="call_1", name="search"))).replace(
        b'"arguments":null', b'"arguments":' + text.encode()
    )


def in_place_of(field: str) -> Callable[[str], bytes]:
    """An event with a field of this value, and half a character, which only one parser reads."""
    return lambda text: (
        b'data: {"half": "\\ud800", "%b": %b}\n\n'
        % (
            field.encode(),
            text.encode(),
        )
    )


TOO_MUCH = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep for pydantic": '{"a":' * 300 + "1" + "}" * 300,
    "deep for Python": "[" * 980 + "]" * 980,
    "open": '{"a":' * 100_000,
    "digits": "9" * 5_000,
    "a float's digits": "9" * 5_000 + ".5",
    "an exponent": "1e999999999",
    "negative": "-" + "9" * 5_000,
}


@pytest.mark.parametrize("text", TOO_MUCH.values(), ids=TOO_MUCH)
@pytest.mark.parametrize(
    "place",
    [in_arguments, as_arguments, *map(in_place_of, ["choices", "error", "usage", "id", "other"])],
)
def test_too_much(place: Callable[[str], bytes], text: str) -> None:
    data = place(text)
    for message in read([data, body(chunk(finish_reason="stop"))]):
        assert message.tool_calls == []
    read([data.removeprefix(b"data: ")], JSON)


def test_what_is_too_much_is_said() -> None:
    for text, words in (("[" * 100_000, "nested too deeply"), ("9" * 5_000, "no JSON")):
        reader = AnswerReader()
        reader.feed(b'data: {"choices": %b}\n\n' % text.encode())
        with pytest.raises(ServerStreamError, match=words):
            reader.close()
