"""Which calls come out of a message, when, and in which form it may come in."""

import pickle
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from langchain_toolstream import ToolCallError, ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import IncompleteStreamError
from tests.unit_tests.core.helpers import growth
from tests.unit_tests.scripted import (
    Call,
    ScriptedChat,
    bad,
    chunk,
    good,
    part,
    shape,
    written,
)


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def search(query: str, k: int = 5) -> str:
    """Search."""
    return f"{k} results for {query}"


def now() -> str:
    """Say what time it is."""
    return "noon"


class Add(BaseModel):
    """Add two integers."""

    a: int
    b: int


FUNCTIONS = [add, search, now]
END = chunk(finish_reason="tool_calls")

ADD = '{"a": 3, "b": 12}'
ADDED = good("call_1", "add", a=3, b=12)
SEARCH = '{"query": "cats \\u00e9 {\\"", "k": 2}'
SEARCHED = good("call_2", "search", query='cats é {"', k=2)
TWO = [*written(0, "call_1", "add", ADD), *written(1, "call_2", "search", SEARCH)]

# By name: the chunks of a message, and what is in it.
MESSAGES: dict[str, tuple[list[AIMessageChunk], list[tuple[str, str]]]] = {
    "one": ([*written(0, "call_1", "add", ADD), END], [("tool_call", "call_1")]),
    "two": ([*TWO, END], [("tool_call", "call_1"), ("tool_call", "call_2")]),
    "two in turns": (
        [
            chunk(part("", index=0, call_id="call_1", name="add")),
            chunk(part("", index=1, call_id="call_2", name="search")),
            chunk(part('{"a": 3', index=0), part('{"query": "cats \\u00e9 {', index=1)),
            chunk(part('\\"", "k": 2}', index=1)),
            chunk(part(', "b": 12}', index=0)),
            END,
        ],
        [("tool_call", "call_1"), ("tool_call", "call_2")],
    ),
    "text around": (
        [chunk(content="Let me "), chunk(content="see."), *TWO, chunk(content=" Done."), END],
        [("tool_call", "call_1"), ("tool_call", "call_2")],
    ),
    "whole at once": (
        [chunk(part(ADD, call_id="call_1", name="add"), content="See:", finish_reason="stop")],
        [("tool_call", "call_1")],
    ),
    "no arguments": (
        [chunk(part("", call_id="call_1", name="now")), END],
        [("tool_call", "call_1")],
    ),
    "encoded twice": (
        [*written(0, "call_1", "add", '"{\\"a\\": 3, \\"b\\": 12}"'), END],
        [("tool_call", "call_1")],
    ),
    "not JSON": (
        [
            *written(0, "call_1", "add", '{"a": 3, b: 12}'),
            *written(1, "call_2", "search", SEARCH),
            END,
        ],
        [("tool_call", "call_2"), ("invalid_tool_call", "call_1")],
    ),
    "cut": (
        [*TWO[:-1], chunk(finish_reason="length")],
        [("tool_call", "call_1"), ("invalid_tool_call", "call_2")],
    ),
    "cut and closed by the server": (
        [*TWO, chunk(finish_reason="length")],
        [("tool_call", "call_1"), ("invalid_tool_call", "call_2")],
    ),
    "unknown": (
        [*written(0, "call_1", "delete", "{}"), *written(1, "call_2", "search", SEARCH), END],
        [("tool_call", "call_2"), ("invalid_tool_call", "call_1")],
    ),
    "does not fit": (
        [*written(0, "call_1", "add", '{"a": "three"}'), END],
        [("invalid_tool_call", "call_1")],
    ),
    "contradicted": (
        [*written(0, "call_1", "add", ADD + '{"a": 4'), END],
        [("invalid_tool_call", "call_1")],
    ),
    "no finish reason": (TWO, [("tool_call", "call_1"), ("tool_call", "call_2")]),
    "nothing": ([chunk(content="Hello."), chunk(finish_reason="stop")], []),
}
CASES = [pytest.param(*case, id=name) for name, case in MESSAGES.items()]
REVOKED = [*written(0, "call_1", "add", ADD), chunk(part(' {"a": 4')), END]


def read_only() -> ToolSet:
    """All tools, none of which can do harm."""
    return ToolSet(FUNCTIONS, read_only=True)


Tools = ToolSet | list[Any] | None

LATE = [pytest.param(FUNCTIONS, id="list"), pytest.param(ToolSet(FUNCTIONS), id="ToolSet")]
EARLY = [pytest.param(read_only(), id="read-only")]
UNKNOWN = [pytest.param(None, id="none")]


def drain(batches: Iterator[list[Call]], seen: list[Call]) -> None:
    """Put all that comes into `seen`, also when the iterator then raises."""
    for calls in batches:
        seen += calls


async def a_drain(batches: AsyncIterator[list[Call]], seen: list[Call]) -> None:
    async for calls in batches:
        seen += calls


def joined(batches: Iterator[list[Call]]) -> list[Call]:
    drain(batches, seen := [])
    return seen


async def a_joined(batches: AsyncIterator[list[Call]]) -> list[Call]:
    await a_drain(batches, seen := [])
    return seen


def kept(calls: list[Call]) -> list[Call]:
    """What remains when every call that was taken back is gone."""
    invalid = {call["id"] for call in calls if call["type"] == "invalid_tool_call"}
    return [c for c in calls if c["type"] == "invalid_tool_call" or c["id"] not in invalid]


async def a_stream(chunks: Iterable[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
    for one in chunks:
        yield one


def pulled(parser: ToolStreamParser, chunks: list[AIMessageChunk]) -> list[list[Call]]:
    """What came out after each chunk and before the next was asked for; last, what came behind."""
    asked = 0

    def source() -> Iterator[AIMessageChunk]:
        nonlocal asked
        for asked, one in enumerate(chunks):  # noqa: B007  (read below)
            yield one
        asked = len(chunks)

    out: list[list[Call]] = [[] for _ in range(len(chunks) + 1)]
    for calls in parser.transform(source()):
        out[asked] += calls
    return out


async def a_pulled(parser: ToolStreamParser, chunks: list[AIMessageChunk]) -> list[list[Call]]:
    asked = 0

    async def source() -> AsyncIterator[AIMessageChunk]:
        nonlocal asked
        for asked, one in enumerate(chunks):  # noqa: B007  (read below)
            yield one
        asked = len(chunks)

    out: list[list[Call]] = [[] for _ in range(len(chunks) + 1)]
    async for calls in parser.atransform(source()):
        out[asked] += calls
    return out


class TestTheSumOfTheStream:
    @pytest.mark.parametrize(("chunks", "expected"), CASES)
    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    async def test_is_what_invoke_returns(
        self, tools: Tools, chunks: list[AIMessageChunk], expected: list[tuple[str, str]]
    ) -> None:
        parser = ToolStreamParser(tools)
        whole = add_ai_message_chunks(*chunks)
        invoked = parser.invoke(whole)
        assert shape(invoked) == expected
        assert await parser.ainvoke(whole) == invoked
        assert parser.batch([whole, END]) == [invoked, []]
        assert await parser.abatch([whole, END]) == [invoked, []]

        streamed = joined(parser.transform(iter(chunks)))
        assert kept(streamed) == invoked
        assert await a_joined(parser.atransform(a_stream(chunks))) == streamed

    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    async def test_is_the_same_in_every_chain(self, tools: Tools) -> None:
        whole = ScriptedChat(chunks=MESSAGES["text around"][0]) | ToolStreamParser(tools)
        expected = [ADDED, SEARCHED]
        assert whole.invoke("hi") == expected
        assert await whole.ainvoke("hi") == expected
        assert joined(whole.stream("hi")) == expected
        assert await a_joined(whole.astream("hi")) == expected
        assert whole.batch(["hi", "ho"]) == [expected, expected]
        assert await whole.abatch(["hi", "ho"]) == [expected, expected]

    def test_needs_no_tools(self) -> None:
        parser = ToolStreamParser()
        assert pulled(parser, [*TWO, END])[-1] == [ADDED, SEARCHED]
        assert parser.invoke(add_ai_message_chunks(*TWO, END)) == [ADDED, SEARCHED]

    @pytest.mark.parametrize("tools", [[Add], [convert_to_openai_tool(Add)]], ids=["model", "dict"])
    def test_knows_schemas_from_whatever_bind_tools_takes(self, tools: list[Any]) -> None:
        chunks = [*written(0, "c", "Add", ADD), *written(1, "d", "Add", '{"a": 1}'), END]
        calls = joined(ToolStreamParser(tools).transform(iter(chunks)))
        assert shape(calls) == [("tool_call", "c"), ("invalid_tool_call", "d")]

    def test_streams_a_message_without_calls_as_an_empty_list(self) -> None:
        """Behind an empty stream, a `RunnableLambda` does not find its input."""
        llm = ScriptedChat(chunks=MESSAGES["nothing"][0])
        assert (llm | ToolStreamParser(FUNCTIONS)).invoke("hi") == []
        assert list((llm | ToolStreamParser(FUNCTIONS)).stream("hi")) == [[]]
        assert list((llm | ToolStreamParser(FUNCTIONS) | len).stream("hi")) == [0]

    async def test_streams_a_message_without_calls_as_an_empty_list_async(self) -> None:
        llm = ScriptedChat(chunks=MESSAGES["nothing"][0])
        stream = (llm | ToolStreamParser(FUNCTIONS) | len).astream("hi")
        assert [item async for item in stream] == [0]


class TestWhen:
    @pytest.mark.parametrize("size", [1, 3, 100])
    async def test_read_only_calls_come_with_the_chunk_that_closes_them(self, size: int) -> None:
        first = written(0, "call_1", "add", ADD, size=size)
        chunks = [*first, *written(1, "call_2", "search", SEARCH, size=size), END]
        out = pulled(ToolStreamParser(read_only()), chunks)
        assert out[len(first) - 1] == [ADDED]
        assert out[-3] == [SEARCHED]
        assert sum(map(len, out)) == 2
        assert await a_pulled(ToolStreamParser(read_only()), chunks) == out

    @pytest.mark.parametrize("tools", [*LATE, *UNKNOWN])
    async def test_all_others_come_at_the_end(self, tools: Tools) -> None:
        out = pulled(ToolStreamParser(tools), [*TWO, END])
        assert out[-1] == [ADDED, SEARCHED]
        assert not any(out[:-1])
        assert await a_pulled(ToolStreamParser(tools), [*TWO, END]) == out

    def test_in_a_plain_list_even_a_read_only_tool_waits(self) -> None:
        tools = list(read_only())
        tools[0].metadata = {"read_only": True}
        out = pulled(ToolStreamParser(tools), [*TWO, END])
        assert out[-1] == [ADDED, SEARCHED]
        assert not any(out[:-1])

    def test_a_read_does_not_overtake_a_write(self) -> None:
        out = pulled(ToolStreamParser(ToolSet(FUNCTIONS, read_only=["search"])), [*TWO, END])
        assert out[-1] == [ADDED, SEARCHED]
        assert not any(out[:-1])

    def test_a_read_does_not_wait_for_a_write_behind_it(self) -> None:
        out = pulled(ToolStreamParser(ToolSet(FUNCTIONS, read_only=["add"])), [*TWO, END])
        assert out[len(written(0, "", "", ADD)) - 1] == [ADDED]
        assert out[-1] == [SEARCHED]

    def test_without_arguments_nothing_closes_before_the_end(self) -> None:
        """`{}` may still be to come."""
        out = pulled(ToolStreamParser(read_only()), MESSAGES["no arguments"][0])
        assert out == [[], [], [good("call_1", "now")]]

    def test_not_early_in_the_chunk_that_cuts_the_message(self) -> None:
        last = chunk(part('"b": 12}'), finish_reason="length")
        out = pulled(ToolStreamParser(read_only()), [chunk(part('{"a": 3, ', name="add")), last])
        assert [[call["type"] for call in calls] for calls in out] == [
            [],
            [],
            ["invalid_tool_call"],
        ]

    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    def test_no_part_of_a_call_ever_comes(self, tools: Tools) -> None:
        chunks = [*written(0, "call_1", "add", ADD, size=1), END]
        for cut in range(len(chunks)):
            for call in joined(ToolStreamParser(tools).transform(iter(chunks[:cut]))):
                assert call == ADDED or call["type"] == "invalid_tool_call"

    async def test_a_call_that_is_taken_back(self) -> None:
        closing = len(REVOKED) - 3
        out = pulled(ToolStreamParser(read_only()), REVOKED)
        assert out[closing] == [ADDED]
        (revoked,) = out[closing + 1]
        assert (revoked["type"], revoked["id"]) == ("invalid_tool_call", "call_1")
        assert revoked["args"] == ADD + ' {"a": 4'
        assert "followed" in (revoked["error"] or "")
        assert out[closing + 2 :] == [[], []]
        assert await a_pulled(ToolStreamParser(read_only()), REVOKED) == out

    @pytest.mark.parametrize(
        "follows", [" \n", "}", "]}", ADD, f" {ADD}\n"], ids=["blank", "}", "]}", "again", "again_"]
    )
    def test_what_follows_and_says_nothing_takes_nothing_back(self, follows: str) -> None:
        chunks = [*written(0, "call_1", "add", ADD), chunk(part(follows)), END]
        assert joined(ToolStreamParser(read_only()).transform(iter(chunks))) == [ADDED]


class TestOnInvalid:
    CHUNKS = (
        *written(0, "call_1", "delete", "{}"),
        *written(1, "call_2", "search", SEARCH),
        *written(2, "call_3", "add", '{"a": 3'),
        END,
    )

    def test_emit_puts_them_behind_the_good_ones(self) -> None:
        calls = joined(ToolStreamParser(FUNCTIONS).transform(iter(self.CHUNKS)))
        assert calls[0] == SEARCHED
        unknown, cut = calls[1:]
        assert unknown == bad("call_1", "delete", "{}", unknown["error"])
        assert "'delete'" in unknown["error"]
        assert cut == bad("call_3", "add", '{"a": 3', cut["error"])
        assert "not complete" in cut["error"]

    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    async def test_raise_yields_the_good_ones_first(self, tools: Tools) -> None:
        parser = ToolStreamParser(tools, on_invalid="raise")
        seen: list[Call] = []
        with pytest.raises(ToolCallError) as caught:
            drain(parser.transform(iter(self.CHUNKS)), seen)
        assert seen == caught.value.tool_calls == [SEARCHED]

        seen = []
        with pytest.raises(ToolCallError) as caught_async:
            await a_drain(parser.atransform(a_stream(self.CHUNKS)), seen)
        assert seen == caught_async.value.tool_calls == [SEARCHED]
        assert caught_async.value.invalid_tool_calls == caught.value.invalid_tool_calls

    async def test_raise_on_a_whole_message(self) -> None:
        parser = ToolStreamParser(FUNCTIONS, on_invalid="raise")
        whole = add_ai_message_chunks(*self.CHUNKS)
        for raised in (
            pytest.raises(ToolCallError, match="2 invalid"),
            pytest.raises(OutputParserException, match="2 invalid"),
        ):
            with raised:
                parser.invoke(whole)
            with raised:
                await parser.ainvoke(whole)

    def test_raise_counts_a_call_that_was_taken_back_as_no_good_one(self) -> None:
        parser = ToolStreamParser(read_only(), on_invalid="raise")
        seen: list[Call] = []
        with pytest.raises(ToolCallError) as caught:
            drain(parser.transform(iter(REVOKED)), seen)
        assert seen == [ADDED]
        assert caught.value.tool_calls == []
        assert [call["id"] for call in caught.value.invalid_tool_calls] == ["call_1"]

    def test_raise_has_nothing_against_good_calls(self) -> None:
        parser = ToolStreamParser(FUNCTIONS, on_invalid="raise")
        assert joined(parser.transform(iter([*TWO, END]))) == [ADDED, SEARCHED]

    def test_the_error_names_every_call(self) -> None:
        invalid: list[InvalidToolCall] = [
            bad("a", "add", "{", "It was cut."),
            bad(None, "", "", "No name."),
        ]
        error = ToolCallError([SEARCHED], invalid)
        assert isinstance(error, OutputParserException)
        assert str(error).splitlines()[:3] == [
            "2 invalid tool call(s):",
            "- call 'add', id 'a': It was cut.",
            "- call '(no name)', id None: No name.",
        ]

    def test_the_error_survives_pickling(self) -> None:
        error = ToolCallError([SEARCHED], [bad("a", "add", "{", "It was cut.")])
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
        assert type(copy) is ToolCallError
        assert str(copy) == str(error)
        assert copy.tool_calls == error.tool_calls
        assert copy.invalid_tool_calls == error.invalid_tool_calls


class TestHowAMessageEnds:
    @pytest.mark.parametrize(
        "metadata",
        [
            {"finish_reason": "length"},
            {"finish_reason": "MAX_TOKENS"},
            {"finish_reason": "content_filter"},
            {"finish_reason": "abort"},
            {"finish_reason": "lengthlength"},
            {"finish_reason": "stop", "stop_reason": "max_tokens"},
            {"stop_reason": "max_tokens"},
            {"stopReason": "max_tokens"},
            {"done_reason": "length"},
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ],
        ids=str,
    )
    async def test_cut_so_the_last_call_is_none(self, metadata: dict[str, Any]) -> None:
        chunks = [*TWO, chunk(**metadata)]
        expected = [("tool_call", "call_1"), ("invalid_tool_call", "call_2")]
        parser = ToolStreamParser(FUNCTIONS)
        calls = joined(parser.transform(iter(chunks)))
        assert shape(calls) == expected
        assert "cut off" in calls[-1]["error"]
        for whole in (
            add_ai_message_chunks(*chunks),
            AIMessage(content="", tool_calls=[ADDED, SEARCHED], response_metadata=metadata),
        ):
            assert shape(parser.invoke(whole)) == expected
            assert shape(await parser.ainvoke(whole)) == expected

    @pytest.mark.parametrize(
        "metadata",
        [
            {"finish_reason": "tool_calls"},
            {"finish_reason": "stop"},
            {"finish_reason": "STOP"},
            {"finish_reason": "stop", "stop_reason": 151645},
            {"stop_reason": "tool_use"},
            {"stopReason": "tool_use"},
            {"done_reason": "stop"},
            {"status": "completed"},
            {},
        ],
        ids=str,
    )
    def test_well(self, metadata: dict[str, Any]) -> None:
        parser = ToolStreamParser(FUNCTIONS)
        assert joined(parser.transform(iter([*TWO, chunk(**metadata)]))) == [ADDED, SEARCHED]

    @pytest.mark.parametrize("provider", ["openai", "vllm"])
    async def test_not_at_all(self, provider: str) -> None:
        chunks = [chunk(content="Well.", model_provider=provider), *TWO]
        for on_invalid in ("emit", "raise"):
            parser = ToolStreamParser(FUNCTIONS, on_invalid=on_invalid)
            with pytest.raises(IncompleteStreamError):
                next(parser.transform(iter(chunks)))
            with pytest.raises(IncompleteStreamError):
                await anext(parser.atransform(a_stream(chunks)))
            with pytest.raises(IncompleteStreamError):
                parser.invoke(add_ai_message_chunks(*chunks))

    def test_with_a_reason_that_every_provider_gives_itself(self) -> None:
        chunks = [chunk(content="Well.", model_provider="openai"), *TWO, END]
        assert joined(ToolStreamParser(FUNCTIONS).transform(iter(chunks))) == [ADDED, SEARCHED]

    @pytest.mark.parametrize("provider", ["openai", "vllm"])
    def test_not_at_all_and_added_up_by_the_model_itself(self, provider: str) -> None:
        metadata = {"model_provider": provider}
        message = AIMessage(content="", tool_calls=[ADDED], response_metadata=metadata)
        with pytest.raises(IncompleteStreamError):
            ToolStreamParser(FUNCTIONS).invoke(message)

    def test_messages_of_no_known_provider_have_ended(self) -> None:
        message = AIMessage(content="", tool_calls=[ADDED])
        assert ToolStreamParser(FUNCTIONS).invoke(message) == [ADDED]


WRONG = {"invalid_tool_calls": {"call_1": "It was abandoned."}}


class TestWhatTheIntegrationFoundWrong:
    """`ChatVLLM` says so in `response_metadata["invalid_tool_calls"]`."""

    @pytest.mark.parametrize(
        "last",
        [
            [chunk(finish_reason="tool_calls", **WRONG)],
            [chunk(part("\n", index=1), **WRONG), END],
            [chunk(**WRONG), END],
        ],
        ids=["with the reason", "with a call", "alone"],
    )
    @pytest.mark.parametrize("tools", [*LATE, *UNKNOWN])
    def test_is_taken_over(self, tools: Tools, last: list[AIMessageChunk]) -> None:
        calls = joined(ToolStreamParser(tools).transform(iter([*TWO, *last])))
        assert calls == [SEARCHED, bad("call_1", "add", ADD, "It was abandoned.")]

    @pytest.mark.parametrize("other", [["call_1"], "call_1", 1, {"call_9": "It is not here."}])
    def test_is_not_what_others_keep_under_that_name(self, other: object) -> None:
        chunks = [*TWO, chunk(finish_reason="tool_calls", invalid_tool_calls=other)]
        assert joined(ToolStreamParser(FUNCTIONS).transform(iter(chunks))) == [ADDED, SEARCHED]

    def test_takes_back_what_was_given_out(self) -> None:
        chunks = [*TWO, chunk(finish_reason="tool_calls", **WRONG)]
        out = pulled(ToolStreamParser(read_only()), chunks)
        assert out[-3:] == [
            [SEARCHED],
            [bad("call_1", "add", ADD, "It was abandoned.")],
            [],
        ]

    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    @pytest.mark.parametrize("reason", [{"finish_reason": "stop"}, {}], ids=["stop", "none"])
    async def test_in_a_whole_message(self, tools: Tools, reason: dict[str, str]) -> None:
        """Nothing was given out before, so there is nothing to take back."""
        message = AIMessage(
            content="", tool_calls=[ADDED, SEARCHED], response_metadata={**WRONG, **reason}
        )
        calls = ToolStreamParser(tools).invoke(message)
        assert shape(calls) == [("tool_call", "call_2"), ("invalid_tool_call", "call_1")]
        assert calls[1]["error"] == "It was abandoned."
        assert await ToolStreamParser(tools).ainvoke(message) == calls


class TestWholeMessages:
    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    async def test_come_out_alike_in_every_way(self, tools: Tools) -> None:
        message = AIMessage(
            content="Well.",
            tool_calls=[ADDED, good("call_3", "delete"), SEARCHED],
            invalid_tool_calls=[bad("call_4", "add", '{"a"', "It was cut.")],
        )
        parser = ToolStreamParser(tools)
        calls = parser.invoke(message)
        assert calls[:2] == [ADDED, SEARCHED]
        assert shape(calls[2:]) == [
            ("invalid_tool_call", "call_3"),
            ("invalid_tool_call", "call_4"),
        ]
        assert await parser.ainvoke(message) == calls
        assert joined(parser.stream(message)) == calls
        assert joined(parser.transform(iter([message]))) == calls
        assert await a_joined(parser.astream(message)) == calls
        assert (FakeMessagesListChatModel(responses=[message]) | parser).invoke("hi") == calls

    def test_keep_the_reason_that_an_invalid_call_came_with(self) -> None:
        message = AIMessage(
            content="", invalid_tool_calls=[bad("call_4", "add", ADD, "It was forbidden.")]
        )
        assert ToolStreamParser(FUNCTIONS).invoke(message) == [
            bad("call_4", "add", ADD, "It was forbidden.")
        ]

    def test_with_an_invalid_call_that_gives_no_reason_get_one(self) -> None:
        invalid: Any = {**bad("call_4", "add", ADD), "error": None}
        (call,) = ToolStreamParser(FUNCTIONS).invoke(
            AIMessage(content="", invalid_tool_calls=[invalid])
        )
        assert call["type"] == "invalid_tool_call"
        assert call["error"]

    def test_get_ids_for_calls_that_have_none(self) -> None:
        message = AIMessage(
            content="", tool_calls=[good(None, "now"), good(None, "add", a=3, b=12)]
        )
        calls = ToolStreamParser(FUNCTIONS).invoke(message)
        assert [(call["name"], call["args"]) for call in calls] == [
            ("now", {}),
            ("add", {"a": 3, "b": 12}),
        ]
        ids = [call["id"] for call in calls]
        assert all(ids)
        assert len(set(ids)) == 2

    def test_get_ids_that_tell_calls_apart(self) -> None:
        message = AIMessage(content="", tool_calls=[good("a", "now"), good("a", "now")])
        first, second = ToolStreamParser(FUNCTIONS).invoke(message)
        assert first["id"] == "a"
        assert second["id"] not in ("a", None, "")

    async def test_of_a_model_that_cannot_stream(self) -> None:
        model = FakeMessagesListChatModel(
            responses=[AIMessage(content="", tool_calls=[ADDED, SEARCHED])]
        )
        chain = model | ToolStreamParser(FUNCTIONS)
        assert list(chain.stream("hi")) == [[ADDED, SEARCHED]]
        assert [calls async for calls in chain.astream("hi")] == [[ADDED, SEARCHED]]

    @pytest.mark.parametrize("disable_streaming", [True, "tool_calling"])
    async def test_of_a_model_that_may_not_stream(
        self, disable_streaming: Literal[True, "tool_calling"]
    ) -> None:
        model = ScriptedChat(chunks=[*TWO, END], disable_streaming=disable_streaming)
        chain = model.bind(tools=FUNCTIONS) | ToolStreamParser(FUNCTIONS)
        assert list(chain.stream("hi")) == [[ADDED, SEARCHED]]
        assert [calls async for calls in chain.astream("hi")] == [[ADDED, SEARCHED]]


def v1_chunk(block: dict[str, Any]) -> AIMessageChunk:
    return AIMessageChunk(content=[{"type": "tool_call_chunk", **block}])


LEGACY = {
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": ADD}}
    ]
}


class TestOtherForms:
    @pytest.mark.parametrize("kind", [AIMessage, AIMessageChunk])
    def test_legacy_tool_calls(self, kind: Callable[..., BaseMessage]) -> None:
        message = kind(content="", additional_kwargs=LEGACY)
        assert ToolStreamParser(FUNCTIONS).invoke(message) == [ADDED]
        assert joined(ToolStreamParser(FUNCTIONS).transform(iter([message]))) == [ADDED]

    @pytest.mark.parametrize("kind", [AIMessage, AIMessageChunk])
    def test_legacy_tool_calls_that_langchain_does_not_read(
        self, kind: Callable[..., BaseMessage]
    ) -> None:
        """LangChain fills `tool_calls` when a message is made, not when it is changed."""
        message = kind(content="")
        message.additional_kwargs = LEGACY
        assert ToolStreamParser(FUNCTIONS).invoke(message) == [ADDED]

    def test_legacy_function_call(self) -> None:
        call = {"name": "add", "arguments": ADD}
        message = AIMessage(content="", additional_kwargs={"function_call": call})
        (found,) = ToolStreamParser(FUNCTIONS).invoke(message)
        assert found == {**ADDED, "id": found["id"]}
        assert found["id"]

    def test_legacy_function_call_in_pieces(self) -> None:
        calls = [
            {"name": "add", "arguments": ""},
            *({"arguments": ADD[at : at + 3]} for at in range(0, len(ADD), 3)),
        ]
        chunks = [
            *(AIMessageChunk(content="", additional_kwargs={"function_call": c}) for c in calls),
            chunk(finish_reason="function_call"),
        ]
        (found,) = joined(ToolStreamParser(FUNCTIONS).transform(iter(chunks)))
        assert found == {**ADDED, "id": found["id"]}
        (found,) = joined(ToolStreamParser(read_only()).transform(iter(chunks)))
        assert found == {**ADDED, "id": found["id"]}

    @pytest.mark.parametrize(
        "message",
        [
            AIMessage(content_blocks=[{"type": "text", "text": "Well."}, ADDED, SEARCHED]),
            AIMessage(content=[{"type": "text", "text": "Well."}, ADDED, SEARCHED]),
            AIMessage(content=[ADDED, SEARCHED], response_metadata={"output_version": "v1"}),
        ],
        ids=["content_blocks", "content", "output_version"],
    )
    @pytest.mark.parametrize("tools", [*LATE, *EARLY])
    def test_v1_content_blocks(self, tools: Tools, message: AIMessage) -> None:
        assert ToolStreamParser(tools).invoke(message) == [ADDED, SEARCHED]

    def test_v1_invalid_block(self) -> None:
        message = AIMessage(content=[ADDED, bad("call_2", "search", "{", "It was cut.")])
        assert ToolStreamParser(FUNCTIONS).invoke(message) == [
            ADDED,
            bad("call_2", "search", "{", "It was cut."),
        ]

    def test_v1_blocks_in_pieces(self) -> None:
        chunks = [
            AIMessageChunk(content=[{"type": "text", "text": "Well.", "index": 0}]),
            v1_chunk({"id": "call_1", "name": "add", "args": "", "index": 1}),
            v1_chunk({"id": None, "name": None, "args": ADD[:5], "index": 1}),
            v1_chunk({"id": None, "name": None, "args": ADD[5:], "index": 1}),
            v1_chunk({"id": "call_2", "name": "search", "args": SEARCH, "index": 2}),
            AIMessageChunk(content=[], response_metadata={"finish_reason": "tool_calls"}),
        ]
        out = pulled(ToolStreamParser(read_only()), chunks)
        assert out == [[], [], [], [ADDED], [SEARCHED], [], []]
        assert pulled(ToolStreamParser(FUNCTIONS), chunks)[-1] == [ADDED, SEARCHED]

    async def test_output_version_v1(self) -> None:
        chunks = [chunk(content="Well."), *TWO, END]
        model = ScriptedChat(chunks=chunks, output_version="v1")
        for tools in (FUNCTIONS, read_only()):
            whole = model | ToolStreamParser(tools)
            assert whole.invoke("hi") == [ADDED, SEARCHED]
            assert joined(whole.stream("hi")) == [ADDED, SEARCHED]
            assert await a_joined(whole.astream("hi")) == [ADDED, SEARCHED]

    def test_calls_without_an_index(self) -> None:
        """Servers that send each call whole leave it out, and LangChain does."""
        chunks = [
            chunk(part(ADD, index=None, call_id="call_1", name="add")),
            chunk(part(SEARCH, index=None, call_id="call_2", name="search")),
            END,
        ]
        assert pulled(ToolStreamParser(read_only()), chunks) == [[ADDED], [SEARCHED], [], []]
        assert pulled(ToolStreamParser(FUNCTIONS), chunks)[-1] == [ADDED, SEARCHED]

    def test_a_chunk_made_of_whole_calls(self) -> None:
        message = AIMessageChunk(content="", tool_calls=[ADDED, SEARCHED])
        assert pulled(ToolStreamParser(FUNCTIONS), [message]) == [[], [ADDED, SEARCHED]]

    async def test_text_is_refused(self) -> None:
        parser = ToolStreamParser(FUNCTIONS)
        with pytest.raises(OutputParserException):
            parser.invoke('{"a": 3}')
        with pytest.raises(OutputParserException):
            await parser.ainvoke('{"a": 3}')
        with pytest.raises(OutputParserException, match="str"):
            list(parser.transform(iter(['{"a": 3}'])))
        with pytest.raises(OutputParserException):
            parser.parse('{"a": 3}')

    async def test_text_is_refused_in_an_async_stream(self) -> None:
        async def text() -> AsyncIterator[str]:
            yield '{"a": 3}'

        with pytest.raises(OutputParserException, match="str"):
            await anext(ToolStreamParser(FUNCTIONS).atransform(text()))


WIRE = [(0, "call_1", "add", ADD), (1, "call_2", "search", SEARCH), (2, "call_3", "now", "{}")]
SPLIT_AT = [st.sets(st.integers(1, max(1, len(args) - 1))) for *_, args in WIRE]


class TestEverySplitting:
    @given(splits=st.tuples(*SPLIT_AT), together=st.lists(st.integers(1, 5)), early=st.booleans())
    def test_gives_the_same_calls(
        self, splits: tuple[set[int], ...], together: list[int], *, early: bool
    ) -> None:
        """Cut arguments anywhere, and put any number of neighbouring fragments into a chunk."""
        parts = []
        for (index, call_id, name, args), at in zip(WIRE, splits, strict=True):
            cuts = [0, *sorted(at), len(args)]
            pieces = [args[start:end] for start, end in pairwise(cuts)]
            parts.append(part(pieces[0], index=index, call_id=call_id, name=name))
            parts += [part(piece, index=index) for piece in pieces[1:]]
        chunks = []
        for count in together:
            chunks.append(chunk(*parts[:count]))
            parts = parts[count:]
        chunks += [*(chunk(one) for one in parts), END]
        parser = ToolStreamParser(read_only() if early else FUNCTIONS)
        assert joined(parser.transform(iter(chunks))) == [ADDED, SEARCHED, good("call_3", "now")]


def test_time_grows_with_the_length_of_the_stream() -> None:
    """Four times the text may take no more than six times the time, up to the stream's end."""

    def run(pieces: int) -> Callable[[], object]:
        args = '{"query": "' + "word " * pieces + '"}'
        chunks = [*written(0, "call_1", "search", args, size=5), END]
        parser = ToolStreamParser(read_only())

        def read() -> None:
            (call,) = joined(parser.transform(iter(chunks)))
            assert len(call["args"]["query"]) == 5 * pieces

        return read

    assert growth(run, 3_000) < 6


def test_the_tools_have_to_be_told_apart() -> None:
    with pytest.raises(ValueError, match="'add'"):
        ToolStreamParser([add, add])


@pytest.mark.parametrize(
    "tools",
    [None, FUNCTIONS, [Add], [convert_to_openai_tool(add)]],
    ids=["none", "functions", "models", "dicts"],
)
def test_the_parser_survives_pickling(tools: list[BaseTool | Callable[..., Any]] | None) -> None:
    parser = ToolStreamParser(tools, on_invalid="raise")
    copy = pickle.loads(pickle.dumps(parser))  # noqa: S301  (our own)
    name = "Add" if tools == [Add] else "add"
    chunks = [*written(0, "call_1", name, ADD), END]
    assert joined(copy.transform(iter(chunks))) == [{**ADDED, "name": name}]
    if tools is not None:
        with pytest.raises(ToolCallError):
            list(copy.transform(iter([*written(0, "call_1", name, '{"a": "x"}'), END])))
