"""LangChain's chunks, made in a tenth of the time that their constructors take.

`AIMessageChunk` reads every fragment of a call's arguments as JSON, on its own, and pydantic checks
what this package has just made: 50 µs for a fragment, where reading it off the wire takes 10. So
the chunks of a stream are made by hand, field by field as the constructors would have left them,
but for the rare ones.

That depends on what the constructors do, which is langchain-core's and pydantic's to change.
Before the first chunk, one of each shape is made both ways; if they differ in anything, all go
through the constructors.
"""

import re
from functools import cache
from typing import Any

from langchain_core.messages import AIMessageChunk, InvalidToolCall, ToolCall, ToolCallChunk
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import ChatGenerationChunk

from langchain_toolstream.vllm.response.answer import PROVIDER

_begins_object = re.compile(r"[ \t\n\r]*\{").match
_set = object.__setattr__


def chat_chunk(content: str, reasoning: str, calls: list[ToolCallChunk]) -> ChatGenerationChunk:
    """Make a chunk of text, reasoning or fragments of calls, or of all of them.

    Args:
        content: Text.
        reasoning: Likewise.
        calls: Fragments of tool calls.

    Returns:
        What `constructed` makes of the same.
    """
    for call in calls:
        # Of these, langchain-core reads what it can as an object, complete or not.
        if call["args"] and _begins_object(call["args"]):
            return constructed(content, reasoning, tool_call_chunks=calls)
    if not hand_made_is_the_same():
        return constructed(content, reasoning, tool_call_chunks=calls)
    return hand_made(content, reasoning, calls)


def constructed(
    content: str = "",
    reasoning: str = "",
    info: dict[str, Any] | None = None,
    refusal: str = "",
    **fields: Any,
) -> ChatGenerationChunk:
    """Make a chunk by LangChain's constructors.

    Args:
        content: Text.
        reasoning: Likewise.
        info: The `generation_info`.
        refusal: Why the model does not answer.
        **fields: Others of the message.
    """
    others = {"reasoning_content": reasoning, "refusal": refusal}
    message = AIMessageChunk(
        content=content,
        additional_kwargs={name: text for name, text in others.items() if text},
        response_metadata={"model_provider": PROVIDER},
        **fields,
    )
    return ChatGenerationChunk(message=message, generation_info=info or None)


def hand_made(content: str, reasoning: str, calls: list[ToolCallChunk]) -> ChatGenerationChunk:
    """Make a chunk without the constructors.

    Args:
        content: Text.
        reasoning: Likewise.
        calls: Fragments of tool calls, none of which begins an object.

    Returns:
        What `constructed` makes of the same, if `hand_made_is_the_same`.
    """
    message = object.__new__(AIMessageChunk)
    tool_calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in calls:
        if call["args"]:
            invalid.append(
                {
                    "name": call["name"],
                    "args": call["args"],
                    "id": call["id"],
                    "error": None,
                    "type": "invalid_tool_call",
                }
            )
        else:
            tool_calls.append(
                {"name": call["name"] or "", "args": {}, "id": call["id"], "type": "tool_call"}
            )
    _set(
        message,
        "__dict__",
        {
            "content": content,
            "additional_kwargs": {"reasoning_content": reasoning} if reasoning else {},
            "response_metadata": {"model_provider": PROVIDER},
            "type": "AIMessageChunk",
            "name": None,
            "id": None,
            "tool_calls": tool_calls,
            "invalid_tool_calls": invalid,
            "usage_metadata": None,
            "tool_call_chunks": calls,
            "chunk_position": None,
        },
    )
    _set(message, "__pydantic_fields_set__", {*(_SET_WITH_CALLS if calls else _SET)})
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    chunk = object.__new__(ChatGenerationChunk)
    _set(
        chunk,
        "__dict__",
        {
            "text": TextAccessor(content),
            "generation_info": None,
            "type": "ChatGenerationChunk",
            "message": message,
        },
    )
    _set(chunk, "__pydantic_fields_set__", {"text", "generation_info", "message"})
    _set(chunk, "__pydantic_extra__", None)
    _set(chunk, "__pydantic_private__", None)
    return chunk


_SET = frozenset({"content", "additional_kwargs", "response_metadata", "tool_call_chunks"})
_SET_WITH_CALLS = _SET | {"tool_calls", "invalid_tool_calls"}


@cache
def hand_made_is_the_same() -> bool:
    """Whether one chunk of each shape comes out alike, in the installed versions."""
    head = _fragment("", id="call_1", name="search")
    shapes: list[tuple[str, str, list[ToolCallChunk]]] = [
        ("text", "", []),
        ("", "reasoning", []),
        ("text", "reasoning", [_fragment('"a'), head]),
        ("", "", [_fragment("[1"), _fragment(" 1"), _fragment("}"), _fragment(': {"a": 1')]),
    ]
    try:
        return all(
            anatomy(constructed(content, reasoning, tool_call_chunks=calls))
            == anatomy(hand_made(content, reasoning, calls))
            for content, reasoning, calls in shapes
        )
    except AttributeError:  # pydantic keeps its state elsewhere
        return False


def _fragment(args: str, *, id: str | None = None, name: str | None = None) -> ToolCallChunk:  # noqa: A002
    return {"name": name, "args": args, "id": id, "index": 0, "type": "tool_call_chunk"}


def anatomy(value: Any) -> Any:
    """Take a chunk apart: every value with its type, keys in order, and pydantic's own state.

    Args:
        value: A chunk, or what is in one.

    Returns:
        Something that is equal for two chunks only if nothing tells them apart.
    """
    if hasattr(value, "__pydantic_fields_set__"):
        return type(value), [anatomy(getattr(value, name)) for name in _STATE]
    if isinstance(value, dict):
        return type(value), [(key, anatomy(one)) for key, one in value.items()]
    if isinstance(value, list):
        return type(value), [anatomy(one) for one in value]
    return type(value), value


_STATE = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
