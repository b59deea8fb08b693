"""What the doctor asks: a few short questions, each with a limit of tokens.

A model that follows instructions writes the calls by itself. Where the server can be told to force
a call, the schema dictates it, so that a weak model cannot spoil the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ProbeName = Literal[
    "text", "auto", "required", "named", "no_arguments", "long", "cut", "thinking", "markup"
]

DICTATED = "The quick brown fox, aged 0123456789, jumps over the lazy dog. " * 8
"""A text that is longer than the tokens that `cut` allows."""

_CUT_AFTER = 70
_ENOUGH = 512
_CALCULATE = "What is 3 * 12? Also, what is 11 + 49?"
_WRITE = "Write a poem about river to poem.txt."

CALCULATED = (("multiply", {"a": 3, "b": 12}), ("add", {"a": 11, "b": 49}))
"""The calls that the question of `auto` and `required` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question."""

    name: ProbeName
    body: Mapping[str, Any]

    @property
    def max_tokens(self) -> int:
        """How many tokens the answer may have."""
        limit: int = self.body["max_tokens"]
        return limit


def make_probe(name: ProbeName, model: str, *, forced: bool = False) -> Probe:
    """Make a question.

    Args:
        name: Which.
        model: The model that is asked.
        forced: For `cut`: whether the call has to be forced, because the model does not write it.

    Returns:
        The question, as the body of a streamed chat completion.
    """
    prompt, max_tokens, fields = _QUESTIONS[name]
    if name == "cut" and forced:
        fields = _named(_WRITE_DICTATED)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        # What the model wrote, whatever the server's parsers make of it. Others ignore it.
        "return_token_ids": True,
        "chat_template_kwargs": {"enable_thinking": name == "thinking"},
        **fields,
    }
    return Probe(name=name, body=body)


def _tool(name: str, description: str, *, strict: bool, **properties: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": parameters}
    # vLLM holds a forced call to its schema only if the tool says so.
    return {"type": "function", "function": function | ({"strict": True} if strict else {})}


def _named(*tools: dict[str, Any]) -> dict[str, Any]:
    name = tools[0]["function"]["name"]
    return {
        "tools": list(tools),
        "tool_choice": {"type": "function", "function": {"name": name}},
    }


def _calculator(*, strict: bool) -> list[dict[str, Any]]:
    whole = {"type": "integer"}
    return [
        _tool("multiply", "Multiply two integers.", strict=strict, a=whole, b=whole),
        _tool("add", "Add two integers.", strict=strict, a=whole, b=whole),
    ]


_MULTIPLY, _ADD = _calculator(strict=True)
_NO_ARGUMENTS = _tool("current_time", "Say what time it is.", strict=True)
_WRITE_FILE = _tool(
    "write_file",
    "Write a file.",
    strict=False,
    path={"type": "string"},
    content={"type": "string"},
)
_WRITE_DICTATED = _tool(
    "write_file",
    "Write a file.",
    strict=True,
    path={"type": "string", "enum": ["poem.txt"]},
    content={"type": "string", "enum": [DICTATED]},
)

_QUESTIONS: dict[ProbeName, tuple[str, int, dict[str, Any]]] = {
    "text": ("Hello!", 64, {}),
    "auto": (_CALCULATE, _ENOUGH, {"tools": _calculator(strict=False), "tool_choice": "auto"}),
    "required": (
        _CALCULATE,
        256,
        {"tools": [_MULTIPLY, _ADD], "tool_choice": "required"},
    ),
    "named": ("What is 11 + 49?", 128, _named(_ADD, _MULTIPLY)),
    "no_arguments": ("What time is it?", 64, _named(_NO_ARGUMENTS)),
    "long": (_WRITE, _ENOUGH, {"tools": [_WRITE_FILE], "tool_choice": "auto"}),
    "cut": (_WRITE, _CUT_AFTER, {"tools": [_WRITE_FILE], "tool_choice": "auto"}),
    "thinking": (_CALCULATE, _ENOUGH, {"tools": _calculator(strict=False), "tool_choice": "auto"}),
    # Without the parser, as the client would ask: the text, or the tokens where it is swallowed.
    "markup": (
        _CALCULATE,
        _ENOUGH,
        {"tools": _calculator(strict=False), "tool_choice": "none", "logprobs": True},
    ),
}
