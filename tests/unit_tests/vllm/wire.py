"""The words in which vLLM answers, to write answers by hand."""

import json
from collections.abc import Iterator
from typing import Any


def part(
    args: Any = None,
    *,
    index: int | None = 0,
    id: str | None = None,  # noqa: A002
    name: str | None = None,
) -> dict[str, Any]:
    """A fragment of a call, as it stands in the list of a delta."""
    return {"index": index, "id": id, "function": {"name": name, "arguments": args}}


def chunk(
    *parts: dict[str, Any],
    choice: int = 0,
    finish_reason: str | None = None,
    logprobs: Any = None,
    **delta: Any,
) -> dict[str, Any]:
    """One event's JSON; keywords become fields of the delta."""
    if parts:
        delta["tool_calls"] = list(parts)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "tiny",
        "choices": [
            {
                "index": choice,
                "delta": delta,
                "finish_reason": finish_reason,
                "logprobs": logprobs,
            }
        ],
    }


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The event in which a server reports the usage."""
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return {"id": "chatcmpl-1", "model": "tiny", "choices": [], "usage": counts}


DONE = b"data: [DONE]\n\n"


def event(chunk: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def body(*chunks: Any, done: bool = True) -> bytes:
    """A whole answer."""
    return b"".join(map(event, chunks)) + (DONE if done else b"")


def chunkings(data: bytes) -> Iterator[list[bytes]]:
    """Cut bytes: not at all, at every byte, at every position, with nothing in between."""
    single = [data[at : at + 1] for at in range(len(data))]
    yield [data]
    yield single
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
    yield [piece for byte in single for piece in (b"", byte)]
