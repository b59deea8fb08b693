"""What servers send, and what must become of it; and the words to write that down with."""

import json
from dataclasses import dataclass, field
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from tests.unit_tests.core.messages import f
from tests.unit_tests.vllm.wire import body, chunk, usage


class Options(BaseModel):
    """How to answer."""

    unit: str


def get_weather(city: str, days: int = 1) -> str:
    """Say what the weather will be."""
    return f"{city}: rain for {days} days"


def now() -> str:
    """Say what time it is."""
    return "noon"


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def write_file(path: str, content: str = "") -> str:
    """Write a file."""
    return path


def configure(opts: Options) -> str:
    """Change how answers look."""
    return opts.unit


def note(text: str | None, code: str | int = "") -> str:
    """Keep a note."""
    return f"{text} {code}"


TOOLS = [get_weather, now, add, write_file, configure, note]
SENT = [convert_to_openai_tool(tool) for tool in TOOLS]

Good = tuple[str | None, str, dict[str, Any]]  # no id: one that we made
Bad = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """An answer, and what a client must make of it."""

    wire: bytes
    calls: list[Good] = field(default_factory=list)
    invalid: list[Bad] = field(default_factory=list)  # name, words of the reason
    unfit: list[tuple[Good, str]] = field(default_factory=list)  # whole, but no tool takes them
    content: str = ""
    reasoning: str = ""
    finish_reason: str = "tool_calls"
    tokens: int | None = None  # output tokens as the server counts them
    raises: str = ""  # words of the error; then nothing else counts
    whole: bool = False  # not streamed
    max_tokens: int | None = None
    n: int | None = None  # choices that the request asks for


def sent(*deltas: Any, end: str = "tool_calls", **more: Any) -> bytes:
    """A stream: lists of fragments, or whole chunks, then the finish reason."""
    chunks = [chunk(*delta) if isinstance(delta, list) else delta for delta in deltas]
    last = chunk(finish_reason=end)
    last["choices"][0].update(more)
    return body(*chunks, last)


def text(content: str, **more: Any) -> dict[str, Any]:
    return chunk(content=content, **more)


def whole(message: dict[str, Any], end: str = "tool_calls", tokens: int = 60) -> bytes:
    """A body that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": end}
    return json.dumps(
        {**usage(20, tokens), "object": "chat.completion", "choices": [choice]}
    ).encode()


def head(name: str = "get_weather", args: str | None = None, index: int = 0) -> list[Any]:
    """How vLLM begins a call."""
    return [f(index, "ab"[index], name, args, type="function")]


def rest(*pieces: str, index: int = 0) -> list[list[Any]]:
    """How it goes on."""
    return [[f(index, args=piece)] for piece in pieces]


def arguments(*pieces: str, name: str = "get_weather", end: str = "tool_calls") -> bytes:
    """A stream with one call."""
    return sent(head(name), *rest(*pieces), end=end)


OSLO: dict[str, Any] = {"city": "Oslo", "days": 10}
ROME: dict[str, Any] = {"city": "Rome"}
OSLO_TEXT, ROME_TEXT = json.dumps(OSLO), json.dumps(ROME)
A: Good = ("a", "get_weather", OSLO)
B: Good = ("b", "get_weather", ROME)
BOTH = [A, B]
PARTS = OSLO_TEXT[:9], OSLO_TEXT[9:]
CUT = "was cut off"
STARTED = body(chunk(role="assistant", content=""), text("See: "), chunk(*head()), done=False)
PLAIN = chunk(*head(args=OSLO_TEXT))
NULLS = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "model": "tiny",
    "prompt_token_ids": None,
    "usage": None,
}


def null_chunk(**choice: Any) -> dict[str, Any]:
    nulls = {"logprobs": None, "finish_reason": None, "stop_reason": None, "token_ids": None}
    return {**NULLS, "choices": [{"index": 0, **nulls, **choice}]}
