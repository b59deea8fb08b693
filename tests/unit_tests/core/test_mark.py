"""What is marked as no call is none for every reader, and the mark can be taken off again."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from langchain_toolstream import ToolStreamParser
from langchain_toolstream.core.mark import invalid_mark, without_mark
from tests.unit_tests.core.helpers import growth

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(max_size=4), JSON, max_size=4)
JUNK = st.text(alphabet='{}[]"\\:, \n!1at')

TEXTS = [
    "{}",
    " {} \n",
    '{"path": "a"}',
    '{"a": 1, "b": -2.5e3, "c": [true, null, {"d": "]"}]}',
    '{"a": "say \\"hi\\"!", "b": "\\\\", "c": "\\u00e9"}',
    '{"a": [["{", "}"], []], "": {}}',
    '"{\\"path\\": \\"a\\"}"',
    '["a"]',
    "null",
    "12",
    '{"a": 1}{"a": 1}',
    '{"a": 1}]!',
]


TOOLS = [{"title": "delete", "description": "", "type": "object", "properties": {}}]


def beginnings(text: str) -> list[str]:
    return [text[:end] for end in range(len(text) + 1)]


def is_read(text: str) -> bool:
    """Whether langchain-core makes a call of an argument text."""
    try:
        return parse_partial_json(text) is not None
    except ValueError:
        return False


def pieces_of(*texts: str) -> list[AIMessageChunk]:
    """Chunks of one call, and not a word beside."""
    first = tool_call_chunk(index=0, id="call_1", name="delete", args="")
    others = [tool_call_chunk(index=0, id=None, name=None, args=text) for text in texts]
    return [AIMessageChunk(content="", tool_call_chunks=[call]) for call in (first, *others)]


def marked_and_split(text: str) -> Iterator[tuple[str, list[AIMessageChunk]]]:
    """Every beginning of a text with its mark, whole and as chunks, split at every position."""
    for cut in beginnings(text):
        marked = cut + invalid_mark(cut)
        for at in range(len(marked) + 1):
            yield marked, pieces_of(marked[:at], marked[at:])


def verdicts(messages: Iterable[BaseMessage], tools: Any = None) -> list[str]:
    """What the parser says about each call of a message, in the end."""
    calls = [call for calls in ToolStreamParser(tools).transform(iter(messages)) for call in calls]
    return [str(call["type"]) for call in calls]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("", "]!"),
        ("{", "]!"),
        ("[", "}!"),
        ("{}", "]!"),
        ("[]", "]!"),
        ('{"a": [{', "]!"),
        ('{"a": [[', "}!"),
        ('{"a": "[', '"]!!'),
        ('{"a": "\\', '""]!!!'),
        ('{"a": "\\\\', '"]!!'),
        ('{"a": "\\"', '"]!!'),
        ('{"a": "\\\n', '"]!!'),
        ("]", "]!"),
    ],
)
def test_closes_the_string_and_then_nothing(text: str, mark: str) -> None:
    assert invalid_mark(text) == mark


class TestLangChain:
    """langchain-core never makes a call of a marked text."""

    @given(OBJECT, st.booleans())
    def test_no_beginning_of_an_object_can_be_read(
        self,
        value: dict[str, Any],
        ascii_only: bool,  # noqa: FBT001
    ) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert is_read(text)
        for cut in beginnings(text):
            assert not is_read(cut + invalid_mark(cut))

    @given(JUNK, JUNK)
    def test_no_junk_can_be_read_whatever_follows(self, text: str, behind: str) -> None:
        closed = text + invalid_mark(text)
        assert not is_read(closed)
        assert not is_read(closed + behind)

    @given(st.text(), OBJECT)
    def test_no_object_before_or_behind_junk_can_be_read(
        self, junk: str, value: dict[str, Any]
    ) -> None:
        for text in (junk + json.dumps(value), json.dumps(value) + junk):
            assert not is_read(text + invalid_mark(text))

    @pytest.mark.parametrize("text", TEXTS)
    def test_the_sum_of_every_split_is_invalid(self, text: str) -> None:
        for marked, pieces in marked_and_split(text):
            first, *others = pieces
            message = first.__add__(others)
            assert message.tool_calls == []
            assert [call["args"] for call in message.invalid_tool_calls] == [marked]


class TestParser:
    """Our parser needs nothing but the text to know that it is no call."""

    @pytest.mark.parametrize("text", TEXTS)
    @pytest.mark.parametrize("tools", [None, TOOLS], ids=["unbound", "bound"])
    def test_every_split_is_invalid(self, text: str, tools: Any) -> None:
        for _, pieces in marked_and_split(text):
            assert verdicts(pieces, tools) == ["invalid_tool_call"]

    @given(OBJECT, st.data())
    def test_every_beginning_is_invalid(self, value: dict[str, Any], data: st.DataObject) -> None:
        text = json.dumps(value)
        text = text[: data.draw(st.integers(0, len(text)))]
        assert verdicts(pieces_of(text, invalid_mark(text))) == ["invalid_tool_call"]

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_message_built_of_the_blocks_of_the_sum_is_invalid(self, text: str) -> None:
        first, *others = pieces_of(text, invalid_mark(text))
        message = AIMessage(content=first.__add__(others).content_blocks)
        assert verdicts([message]) == ["invalid_tool_call"]


class TestWithoutMark:
    @given(JUNK | st.text() | OBJECT.map(json.dumps))
    def test_undoes_the_mark(self, text: str) -> None:
        assert without_mark(text + invalid_mark(text)) == text

    @pytest.mark.parametrize("text", TEXTS)
    def test_undoes_the_mark_of_every_beginning(self, text: str) -> None:
        for cut in beginnings(text):
            assert without_mark(cut + invalid_mark(cut)) == cut

    @pytest.mark.parametrize(
        "text", ["", "!", "{}", '{"a": "b"]', '{"a": "hi!', "{}!", '{"a": "b]!', "[]!"]
    )
    def test_leaves_alone_what_is_not_marked(self, text: str) -> None:
        assert without_mark(text) == text


@pytest.mark.parametrize("function", [invalid_mark, without_mark])
@pytest.mark.parametrize("unit", ['{"a":', "[", '"\\', '\\"', '"', "[]", "x", "!", "]!"])
def test_time_is_linear(function: Callable[[str], str], unit: str) -> None:
    def run(size: int) -> Callable[[], object]:
        text = unit * size
        return lambda: function(text)

    assert growth(run, 1_000) < 6
