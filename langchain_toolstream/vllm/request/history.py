"""What the model said before, as vLLM and chat templates can take it.

vLLM refuses arguments that are no text, and reads text that is no JSON object as `{}`: a call that
was never made. `docs/decisions/0006-an-invalid-call-in-the-history.md` says what is sent instead.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage

from langchain_toolstream.core.mark import without_mark

INVALID_ARGUMENTS = "invalid_arguments"
"""The one argument under which a call that is none is shown to the model: its text."""

_has_surrogate = re.compile("[\ud800-\udfff]").search


def assistant_turn(message: AIMessage, sent: dict[str, Any]) -> dict[str, Any]:
    """Complete what langchain-openai makes of a message.

    Args:
        message: The message.
        sent: What langchain-openai would send.

    Returns:
        The same with JSON objects as the arguments of all calls, and with `reasoning`.
    """
    if message.tool_calls or message.invalid_tool_calls:
        calls = [_call(one["id"], one["name"], one["args"]) for one in message.tool_calls]
        calls += [
            _call(one["id"], one["name"], {INVALID_ARGUMENTS: without_mark(one["args"] or "")})
            for one in message.invalid_tool_calls
        ]
        sent = {**sent, "tool_calls": calls}
    elif isinstance(legacy := sent.get("tool_calls"), list):
        sent = {**sent, "tool_calls": [_legacy_call(call) for call in legacy]}
    if isinstance(content := sent.get("content"), list):
        # A sum of v1 chunks keeps the pieces of an invalid call; vLLM knows no such part.
        kept = [part for part in content if not _is_call_chunk(part)]
        sent = {**sent, "content": kept or (None if "tool_calls" in sent else "")}
    if reasoning := _reasoning(message):
        sent = {**sent, "reasoning": reasoning}
    return sent


def encodable(value: Any) -> Any:
    """Write half a character as the replacement character, since UTF-8 has no halves.

    A server that cuts an answer between two halves, or a tool, leaves such text in the history. Two
    halves that belong together become their character.

    Args:
        value: What is going to be sent.

    Returns:
        The value itself, or a copy where there is such a half in it.
    """
    if isinstance(value, str):
        return _whole_characters(value) if _has_surrogate(value) else value
    if isinstance(value, dict):
        return {encodable(key): encodable(inner) for key, inner in value.items()}
    return [encodable(inner) for inner in value] if isinstance(value, list) else value


def _whole_characters(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_call_chunk(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_call_chunk"


def _call(call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    function = {"name": name or "", "arguments": _json(arguments)}
    return {"type": "function", "id": call_id or "", "function": function}


def _legacy_call(call: dict[str, Any]) -> dict[str, Any]:
    """A call as the OpenAI API has it, in `additional_kwargs`."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        return call
    arguments = function.get("arguments") or {}
    if not isinstance(arguments, dict):
        arguments = _object(arguments if isinstance(arguments, str) else _json(arguments))
    return _call(call.get("id"), function.get("name"), arguments)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {INVALID_ARGUMENTS: text}


def _reasoning(message: AIMessage) -> str:
    said = message.additional_kwargs.get("reasoning_content")
    if isinstance(said, str) and said:
        return said
    blocks = message.content if isinstance(message.content, list) else []
    pieces = [
        block.get("reasoning")
        for block in blocks
        if isinstance(block, dict) and block.get("type") == "reasoning"
    ]
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # Half a character cannot be encoded, but it can be escaped.
    return json.dumps(value) if _has_surrogate(text) else text
