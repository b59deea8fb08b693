"""The drop-in parsers give what langchain-core's own give, but for what `docs/migrating.md` lists.

langchain-core itself is the oracle: each case runs through both.
"""

import pickle
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import openai_tools as core
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, Field, field_validator

from langchain_toolstream import ToolCallError, compat
from tests.unit_tests.core.helpers import growth


class Person(BaseModel):
    """Somebody."""

    age: int
    hair_color: str
    job: str


class NameCollector(BaseModel):
    """Collect names."""

    names: list[str]
    person: Person


class Note(BaseModel):
    """Keep a note."""

    title: Literal["short", "shorter"] = "short"
    text: str | None = None
    tags: list[str] = Field(default_factory=list)


TOOLS = [NameCollector, Note]
NAMES = '{"names": ["suzy", "jermaine", "alex"], "person": '
WRITTEN = NAMES + '{"age": 39, "hair_color": "brown", "job": "concierge"}}'
NOTE = '{"text": "läuft gut", "tags": ["a", "b"], "title": "shorter"}'


def chunk(args: str, index: int = 0, name: str | None = None) -> AIMessageChunk:
    call = {"index": index, "id": name and f"call_{index}", "name": name, "args": args}
    return AIMessageChunk(content="", tool_call_chunks=[{**call, "type": "tool_call_chunk"}])  # type: ignore[typeddict-item]


def legacy(args: str, index: int = 0, name: str | None = None) -> AIMessageChunk:
    function = {"arguments": args, "name": name}
    call = {"index": index, "id": name and f"call_{index}", "function": function}
    return AIMessageChunk(content="", additional_kwargs={"tool_calls": [call]})


def split(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def one_call(make: Any, size: int) -> list[AIMessageChunk]:
    parts = [make(piece) for piece in split(WRITTEN, size)]
    first, last = AIMessageChunk(content=""), AIMessageChunk(content="")
    return [first, make("", name="NameCollector"), *parts, last]


def two_calls(size: int) -> list[AIMessageChunk]:
    notes = [chunk(piece, 1) for piece in split(NOTE, size)]
    return [*one_call(chunk, size), chunk("", 1, "Note"), *notes, AIMessageChunk(content="")]


MAKERS = [
    ("JsonOutputToolsParser", {}),
    ("JsonOutputToolsParser", {"return_id": True}),
    ("JsonOutputToolsParser", {"first_tool_only": True}),
    ("JsonOutputKeyToolsParser", {"key_name": "Note"}),
    ("JsonOutputKeyToolsParser", {"key_name": "Note", "return_id": True}),
    ("JsonOutputKeyToolsParser", {"key_name": "Note", "first_tool_only": True}),
    ("PydanticToolsParser", {"tools": TOOLS}),
    ("PydanticToolsParser", {"tools": TOOLS, "first_tool_only": True}),
]
both = pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param(getattr(core, name)(**fields), getattr(compat, name)(**fields))
        for name, fields in MAKERS
    ],
    ids=[f"{name}-{'-'.join(fields)}" for name, fields in MAKERS],
)


def without_repetitions(outputs: list[Any]) -> list[Any]:
    return outputs[:1] + [b for a, b in pairwise(outputs) if a != b]


def settled(outputs: list[Any]) -> list[Any]:
    """What is left without outputs that show less than the one before, or what nobody wrote.

    Core shows the cut number 3 of 39, takes an object back while it does not validate, and makes an
    object of nothing but defaults before the arguments begin.
    """
    lengths = [len(output) if isinstance(output, list) else 1 for output in outputs]
    best = 0
    kept: list[Any] = []
    for output, length in zip(outputs, lengths, strict=True):
        if length >= best and not any(odd in str(output) for odd in ("'age': 3}", "text=None")):
            kept.append(output)
            best = length
    return without_repetitions(kept)


@both
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
def test_streams_what_core_streams(theirs: Any, ours: Any, size: int) -> None:
    chunks = two_calls(size)
    expected = settled([one for one in theirs.transform(iter(chunks)) if one != []])
    found = [one for one in ours.transform(iter(chunks)) if one != []]
    assert settled(found) == expected


@pytest.mark.parametrize("make", [chunk, legacy])
def test_the_published_sequence(make: Any) -> None:
    """langchain-core's own unit test is this sequence of deltas, in the legacy form."""
    deltas = [
        '{"na', 'mes":', ' ["suz', 'y", ', '"jerm', 'aine",', ' "al', 'ex"],', ' "pers', 'on":',
        ' {"ag', 'e": 39', ', "h', "air_c", 'olor":', ' "br', 'own",', ' "job"', ': "c', "oncie",
        'rge"}}',
    ]  # fmt: skip
    chunks = [AIMessageChunk(content=""), make("", name="NameCollector"), *map(make, deltas)]
    for theirs, ours in (
        (core.JsonOutputToolsParser(), compat.JsonOutputToolsParser()),
        (
            core.JsonOutputKeyToolsParser(key_name="NameCollector"),
            compat.JsonOutputKeyToolsParser(key_name="NameCollector"),
        ),
        (core.PydanticToolsParser(tools=TOOLS), compat.PydanticToolsParser(tools=TOOLS)),
    ):
        expected = list(theirs.transform(iter(chunks)))
        assert list(ours.transform(iter(chunks))) == expected
        assert len(expected) > 3


@both
async def test_async_is_the_same(theirs: Any, ours: Any) -> None:
    async def stream() -> AsyncIterator[AIMessageChunk]:
        for one in two_calls(3):
            yield one

    assert [one async for one in ours.atransform(stream())] == list(
        ours.transform(iter(two_calls(3)))
    )


@both
def test_whole_messages(theirs: Any, ours: Any) -> None:
    calls: list[Any] = [
        {"name": "Note", "args": {"text": "x"}, "id": "a", "type": "tool_call"},
        {"name": "Note", "args": {}, "id": "b", "type": "tool_call"},
    ]
    for message in (AIMessage(content="", tool_calls=calls), AIMessage(content="no call")):
        assert (ours.invoke(message) or None) == (theirs.invoke(message) or None)
        generation = [ChatGeneration(message=message)]
        partly = theirs.parse_result(generation, partial=True)
        assert ours.parse_result(generation, partial=True) == partly


@both
def test_a_model_that_does_not_stream_loses_nothing(theirs: Any, ours: Any) -> None:
    message = AIMessage(content="", tool_calls=[{"name": "Note", "args": {"text": "x"}, "id": "a"}])
    model = RunnableLambda(lambda _: message)
    assert list((model | ours).stream("go"))[-1] == ours.invoke(message)


@both
def test_the_sum_of_a_stream_is_what_invoke_gives(theirs: Any, ours: Any) -> None:
    chunks = two_calls(3)
    whole = chunks[0]
    for one in chunks[1:]:
        whole += one
    *_, last = ours.transform(iter(chunks))
    assert last == ours.invoke(whole)
    if isinstance(last, list):
        first, *rest = ours.transform(iter(chunks))
        for one in rest:
            first = first + one  # as langchain-core adds up the output of a run
        assert first == last


@both
def test_pickles(theirs: Any, ours: Any) -> None:
    assert pickle.loads(pickle.dumps(ours)) == ours  # noqa: S301


# What differs: docs/migrating.md.


def test_a_number_is_not_shown_before_it_is_finished() -> None:
    class Pay(BaseModel):
        """Pay."""

        to: str
        amount: int

    pieces = ['{"to": "alice", "amount": 1', "2", "50", "}"]
    chunks = [chunk("", name="Pay"), *map(chunk, pieces)]
    amounts = [
        [pay.amount for pays in parser.transform(iter(chunks)) for pay in pays]
        for parser in (
            core.PydanticToolsParser(tools=[Pay]),
            compat.PydanticToolsParser(tools=[Pay]),
        )
    ]
    assert amounts == [[1, 12, 1250], [1250]]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ('{"text": "cut', "not complete"),
        ('{"text": NaN}', "not JSON"),
        ('{"tags": [1]}', "fit"),
        ('{"text": "x"} and more', "and more"),
    ],
)
def test_what_is_no_call_raises_behind_what_is_one(args: str, reason: str) -> None:
    chunks = [chunk('{"text": "good"}', 0, "Note"), chunk(args, 1, "Note")]
    seen: list[Any] = []
    with pytest.raises(ToolCallError, match=reason) as raised:
        seen.extend(compat.PydanticToolsParser(tools=TOOLS).transform(iter(chunks)))
    assert isinstance(raised.value, OutputParserException)
    assert [call["args"] for call in raised.value.tool_calls] == [{"text": "good"}]


def test_what_the_model_reported_as_invalid_raises() -> None:
    bad = {"name": "Note", "args": "{", "id": "a", "error": "cut", "type": "invalid_tool_call"}
    message = AIMessage(content="", invalid_tool_calls=[bad])  # type: ignore[list-item]
    assert core.JsonOutputToolsParser().invoke(message) == []
    with pytest.raises(ToolCallError, match="cut"):
        compat.JsonOutputToolsParser().invoke(message)


def test_an_unknown_tool_raises() -> None:
    with pytest.raises(ToolCallError, match=r"No tool 'other' is bound.*'NameCollector', 'Note'"):
        list(compat.PydanticToolsParser(tools=TOOLS).transform(iter([chunk("{}", 0, "other")])))


def test_a_model_with_a_validator_of_its_own_comes_when_it_closes() -> None:
    class Checked(BaseModel):
        """Checked."""

        text: str

        @field_validator("text")
        @classmethod
        def is_long(cls, text: str) -> str:
            if len(text) < 4:
                msg = "too short"
                raise ValueError(msg)
            return text

    pieces = ['{"text": "ab', "cd", 'ef"}']
    parser = compat.PydanticToolsParser(tools=[Checked], first_tool_only=True)
    chunks = [chunk("", name="Checked"), *map(chunk, pieces)]
    assert [one.text for one in parser.transform(iter(chunks))] == ["abcd", "abcdef"]


def test_outputs_that_were_kept_stay_as_they_were() -> None:
    parser = compat.JsonOutputToolsParser()
    kept, copies = [], []
    for output in parser.transform(iter(one_call(chunk, 3))):
        kept.append(output)
        copies.append(pickle.loads(pickle.dumps(output)))  # noqa: S301
    assert kept == copies


# The functions.

RAW = {"id": "a", "function": {"name": "Note", "arguments": '{"text": "x"}'}, "type": "function"}


@pytest.mark.parametrize("arguments", ['{"text": "x"}', "", None, "{}"])
@pytest.mark.parametrize("return_id", [True, False])
def test_parse_tool_call(arguments: str | None, *, return_id: bool) -> None:
    raw = {**RAW, "function": {"name": "Note", "arguments": arguments}}
    expected = core.parse_tool_call(raw, return_id=return_id)
    assert compat.parse_tool_call(raw, return_id=return_id) == expected
    assert compat.parse_tool_calls([raw, {}], return_id=return_id) == [expected]


@pytest.mark.parametrize(
    "arguments", ['{"text": "x', '{"text": ["a", "b', None, '{"te', "", " ", "nu", "null", "-"]
)
def test_parse_a_part_of_a_tool_call(arguments: str | None) -> None:
    raw = {**RAW, "function": {"name": "Note", "arguments": arguments}}
    assert compat.parse_tool_call(raw, partial=True) == core.parse_tool_call(raw, partial=True)


def test_parse_tool_calls_names_all_that_are_none() -> None:
    bad = [{**RAW, "function": {"name": name, "arguments": "{"}} for name in ("one", "two")]
    with pytest.raises(OutputParserException, match=r"'one'[^$]*\$[^$]*'two'"):
        compat.parse_tool_calls(bad)
    assert compat.parse_tool_calls(bad[:1], partial=True)[0]["args"] == {}


def test_time_grows_as_the_text_does() -> None:
    def run(records: int) -> Callable[[], object]:
        rows = ", ".join('["a", "b"]' for _ in range(records))
        chunks = [chunk("", name="x"), *map(chunk, split(f'{{"rows": [{rows}]}}', 4))]
        parser = compat.JsonOutputToolsParser()
        return lambda: deque(parser.transform(iter(chunks)), maxlen=0)

    assert growth(run, 200) < 6


CALL = {"name": "Note", "args": {"text": "x"}, "id": "call_1", "type": "tool_call"}
ANTHROPIC = {
    "model_provider": "anthropic",
    "stop_reason": "refusal",
    "stop_details": {"type": "refusal", "category": "cyber"},
}
OPENAI = {"model_provider": "openai", "finish_reason": "stop"}
GOOGLE = {"model_provider": "google_genai", "finish_reason": "SAFETY"}
REFUSAL = {"type": "refusal", "refusal": "I will not."}
REFUSED: dict[str, dict[str, Any]] = {
    "anthropic": {"content": [], "response_metadata": ANTHROPIC},
    "anthropic, with text": {"content": "Sorry", "response_metadata": ANTHROPIC},
    "anthropic, with a call": {"content": "", "calls": 1, "response_metadata": ANTHROPIC},
    "google": {"content": "", "response_metadata": GOOGLE},
    "google, with a call": {"content": "", "calls": 1, "response_metadata": GOOGLE},
    "openai": {
        "content": "",
        "additional_kwargs": {"refusal": "I will not."},
        "response_metadata": OPENAI,
    },
    "openai, with a call": {
        "content": "",
        "calls": 1,
        "additional_kwargs": {"refusal": "I will not."},
        "response_metadata": OPENAI,
    },
    "openai, a block": {"content": [REFUSAL], "response_metadata": OPENAI},
    "openai, a block behind text": {
        "content": [{"type": "text", "text": "Hm."}, REFUSAL],
        "response_metadata": OPENAI,
    },
}


@pytest.mark.parametrize("parts", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
@pytest.mark.parametrize("maker", ["PydanticToolsParser", "JsonOutputToolsParser"])
def test_a_refusal_raises_as_in_langchain_core(
    parts: dict[str, Any], maker: str, *, streamed: bool
) -> None:
    exceptions = pytest.importorskip("langchain_core.exceptions")
    refused = getattr(exceptions, "ModelRefusalError", None)
    if refused is None:
        pytest.skip("langchain-core tells refusals since 1.8")
    parts = dict(parts)
    calls = [CALL] * parts.pop("calls", 0)
    fragment = {"index": 0, "id": "call_1", "name": "Note", "args": '{"text": "x"}'}
    told = []
    for module in (core, compat):
        tools = {"tools": TOOLS} if maker == "PydanticToolsParser" else {}
        parser = getattr(module, maker)(**tools)
        part = AIMessageChunk(**parts, tool_call_chunks=[fragment for _ in calls])
        message = AIMessage(**parts, tool_calls=calls)
        with pytest.raises(refused) as raised:
            list(parser.transform(iter([part]))) if streamed else parser.invoke(message)
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_a_refusal_in_pieces_is_told_whole() -> None:
    exceptions = pytest.importorskip("langchain_core.exceptions")
    if not hasattr(exceptions, "ModelRefusalError"):
        pytest.skip("langchain-core tells refusals since 1.8")
    pieces = [
        AIMessageChunk(content="", additional_kwargs={"refusal": "I will"}),
        AIMessageChunk(content="", additional_kwargs={"refusal": " not."}),
        AIMessageChunk(content="", response_metadata=OPENAI),
    ]
    with pytest.raises(exceptions.ModelRefusalError, match=r"I will not\."):
        list(compat.JsonOutputToolsParser().transform(iter(pieces)))
