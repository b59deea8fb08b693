"""A chunk that is made by hand is the one that LangChain's constructors make, to the last field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_toolstream.vllm.output import fast_chunks
from langchain_toolstream.vllm.output.fast_chunks import (
    anatomy,
    chat_chunk,
    constructed,
    hand_made,
    hand_made_is_the_same,
)


def fragment(
    args: str,
    *,
    id: str | None = None,  # noqa: A002
    name: str | None = None,
    index: int = 0,
) -> ToolCallChunk:
    return {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}


HEAD = fragment("", id="call_1", name="search")

SHAPES: dict[str, tuple[str, str, list[ToolCallChunk]]] = {
    "nothing": ("", "", []),
    "text": ("Hello", "", []),
    "reasoning": ("", "Hm.", []),
    "both": ("Hello", "Hm.", []),
    "a call begins": ("", "", [HEAD]),
    "a call begins with arguments": ("", "", [fragment('{"a', id="call_1", name="search")]),
    "arguments": ("", "", [fragment('"a": 1')]),
    "an object": ("", "", [fragment('{"a": 1}')]),
    "an object behind blanks": ("", "", [fragment('\n\t {"a": 1')]),
    "an object inside": ("", "", [fragment(': {"a": 1}')]),
    "a list": ("", "", [fragment("[1, 2]")]),
    "a number": ("", "", [fragment("12")]),
    "a number beyond Python's limit": ("", "", [fragment("1" * 5000)]),
    "null": ("", "", [fragment("null")]),
    "a name's end": ("", "", [fragment('"')]),
    "blanks": ("", "", [fragment("  ")]),
    "a bracket": ("", "", [fragment("}")]),
    "half an escape": ("", "", [fragment("\\u00")]),
    "beyond ASCII": ("", "", [fragment("日本 🙂")]),
    "several calls": ("", "", [fragment("1}"), HEAD, fragment('{"b', id="call_2", name="f")]),
    "all at once": ("Hello", "Hm.", [HEAD, fragment("x", index=1)]),
}


def built(content: str, reasoning: str, calls: list[ToolCallChunk]) -> Any:
    return anatomy(constructed(content, reasoning, tool_call_chunks=calls))


def test_the_installed_versions_allow_it() -> None:
    assert hand_made_is_the_same()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape(shape: tuple[str, str, list[ToolCallChunk]]) -> None:
    assert anatomy(chat_chunk(*shape)) == built(*shape)


# Characters that JSON is made of, so that values, ends and beginnings of them come up.
JSON_LIKE = st.text('{}[]":,\\ \n\t01.-eEtrufalsn a日\x00', max_size=12) | st.text(max_size=8)


@given(content=st.text(), reasoning=st.text(), args=st.lists(JSON_LIKE, max_size=3))
def test_any_text(content: str, reasoning: str, args: list[str]) -> None:
    calls = [fragment(text, index=at) for at, text in enumerate(args)]
    assert anatomy(chat_chunk(content, reasoning, calls)) == built(content, reasoning, calls)


def test_it_does_what_chunks_do() -> None:
    one, two = (
        [chat_chunk("a", "b", []), chat_chunk("", "", [HEAD]), chat_chunk("", "", [fragment("{}")])]
        for _ in range(2)
    )
    total = one[0] + one[1:]
    assert isinstance(total, ChatGenerationChunk)
    assert isinstance(total.message, AIMessageChunk)
    assert total.text == "a"
    assert total.message.tool_calls[0]["name"] == "search"
    assert one == two
    copied = one[1].model_copy(deep=True)
    assert copied == one[1]
    assert ChatGenerationChunk.model_validate(one[0].model_dump()).text == "a"
    assert one[1].message.model_dump_json() == two[1].message.model_dump_json()
    one[1].message.response_metadata["x"] = 1
    assert "x" not in two[1].message.response_metadata


@pytest.mark.parametrize(
    "changed",
    [
        {"content": "other"},
        {"type": "other"},
        {"a_new_field": None},
    ],
)
def test_where_it_differs_the_constructors_are_used(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    def another(*shape: Any) -> ChatGenerationChunk:
        made = hand_made(*shape)
        vars(made.message).update(changed)
        return made

    monkeypatch.setattr(fast_chunks, "hand_made", another)
    hand_made_is_the_same.cache_clear()
    try:
        assert not hand_made_is_the_same()
        assert anatomy(chat_chunk("a", "", [])) == built("a", "", [])
    finally:
        hand_made_is_the_same.cache_clear()


def test_pydantic_state_is_compared_too() -> None:
    one, other = chat_chunk("a", "", []), chat_chunk("a", "", [])
    assert anatomy(one) == anatomy(other)
    other.message.__pydantic_fields_set__.discard("content")
    assert anatomy(one) != anatomy(other)
