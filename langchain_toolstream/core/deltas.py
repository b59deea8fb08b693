"""What servers that speak OpenAI's protocol write, whatever shape it is in."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard


def fragments_of(delta: Mapping[str, Any]) -> list[Any]:
    """The fragments of calls in a delta."""
    if calls := delta.get("tool_calls"):
        return calls if type(calls) is list else [calls]
    legacy = delta.get("function_call")
    return [{"function": legacy}] if is_mapping(legacy) else []


def says_something(fragment: object) -> bool:
    """Whether a fragment of a call has a name or arguments."""
    if not is_mapping(fragment):
        return False
    function = fragment.get("function")
    inner = function if is_mapping(function) else fragment
    return bool(inner.get("name") or inner.get("arguments", inner.get("args")))


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The mappings in a list, or the one that stands there without a list."""
    if type(value) is list:
        if len(value) == 1 and type(value[0]) is dict:  # nearly all
            return value
        return [item for item in value if is_mapping(item)]
    return [value] if is_mapping(value) else []


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a mapping."""
    # The first test is the usual case, and a tenth of the cost of the second.
    return type(value) is dict or isinstance(value, Mapping)


def whole_message(message: object) -> Mapping[str, Any]:
    """A message instead of a delta: each entry of its list is a call of its own."""
    if not is_mapping(message):
        return {}
    calls = [
        {**call, "index": index} for index, call in enumerate(mappings(message.get("tool_calls")))
    ]
    return {**message, "tool_calls": calls}


def text_of(value: object) -> str:
    """A text, and nothing for anything else."""
    return value if isinstance(value, str) else ""


def content_text(content: object) -> str:
    """The text of a message, as it is or in parts; thoughts among the parts are left out."""
    if isinstance(content, list):
        parts = mappings(content)
        return "".join(text_of(p.get("text")) for p in parts if p.get("type") not in _THOUGHTS)
    return text_of(content)


def thoughts_text(delta: Mapping[str, Any]) -> str:
    """The reasoning of a message: a field of its own, or parts of the content (Mistral's form)."""
    content = delta.get("content")
    thought = delta.get("reasoning") or delta.get("reasoning_content")
    if thought and (text := text_of(thought) or text_of(delta.get("reasoning_content"))):
        return text
    if type(content) is not list:
        return ""
    thoughts = [part for part in mappings(content) if part.get("type") in _THOUGHTS]
    kinds = ("thinking", "reasoning", "text")
    return "".join(content_text(part.get(kind)) for part in thoughts for kind in kinds)


_THOUGHTS = ("thinking", "reasoning")


def refusal_text(delta: Mapping[str, Any]) -> str:
    """Why the model does not answer: a field of its own, or parts of the content."""
    content = delta.get("content")
    refusal = delta.get("refusal")
    if refusal and isinstance(refusal, str):
        return refusal
    if type(content) is not list:
        return ""
    return "".join(text_of(part.get("refusal")) for part in mappings(content))


def arguments_text(arguments: object) -> str:
    """Arguments as JSON text, as which they mostly come."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)


_is_whole = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?").fullmatch


def whole_number(value: object) -> int | None:
    """A whole number in any spelling of JSON's, or as text; nothing for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    found = _is_whole(value) if isinstance(value, str) else None
    return int(found[1]) if found else None
