"""The texts that are read, cut as a model's tokens would cut them. Seeded: every run is the same.

W1 two small calls, W2 one 10 KB string, W3 one 100 KB string, W4 200 records in 20 KB, W5 sixteen
calls of 1 KB.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel

KB = 1000

_WORDS = """
the of and a to in is you that it he was for on are as with his they at be this have from or one
had by word but not what all were we when your can said there use an each which she do how their
""".split()  # noqa: SIM905


class Add(BaseModel):
    """Add two integers."""

    a: int
    b: int


class Weather(BaseModel):
    """Say what the weather is."""

    city: str
    unit: str


class WriteFile(BaseModel):
    """Write a file."""

    path: str
    content: str


TOOLS: list[type[BaseModel]] = [Add, Weather, WriteFile]

Call = tuple[str, dict[str, Any]]
"""The name of a tool, and the arguments."""


def plain(size: int, seed: str = "") -> str:
    """Words on one line: no escape in its JSON, which is what whoever reads it anew likes best."""
    random = Random(f"plain {seed} {size}")
    written = ""
    while len(written) < size:
        written += random.choice(_WORDS) + " "
    return written[: size - 1] + "."


def text(size: int, seed: str = "") -> str:
    """Lines of 40 to 80 characters, with quotation marks and characters beyond ASCII."""
    random = Random(f"text {seed} {size}")
    written = line = ""
    while len(written) + len(line) < size:
        word = random.choice(_WORDS)
        match random.randrange(20):
            case 0:
                word = f'"{word}"'
            case 1:
                word = random.choice(["déjà", "für", "—", "日本", "🙂"])
        line += word + " "
        if len(line) > random.randrange(40, 80):
            written += line[:-1] + "\n"
            line = ""
    return (written + line)[: size - 1] + "."


def one_string(size: int, write: Callable[[int], str] = text) -> Call:
    return "WriteFile", {"path": "notes.md", "content": write(size)}


def _record(number: int) -> dict[str, Any]:
    random = Random(f"record {number}")
    return {
        "id": number,
        "name": random.choice(_WORDS).title() + " " + random.choice(_WORDS),
        "kind": random.choice(["person", "company"]),
        "score": round(random.random(), 3),
        "active": random.random() < 0.5,
        "tags": random.sample(_WORDS, 2),
    }


def records(count: int) -> Call:
    return "WriteRecords", {"records": [_record(number) for number in range(count)]}


CALLS: dict[str, list[Call]] = {
    "W1": [("Add", {"a": 3, "b": 12}), ("Weather", {"city": "Paris", "unit": "celsius"})],
    "W2": [one_string(10 * KB)],
    "W3": [one_string(100 * KB)],
    "W4": [records(200)],
    "W5": [
        ("WriteFile", {"path": f"notes-{number}.md", "content": text(KB, str(number))})
        for number in range(16)
    ],
}


def to_json(args: dict[str, Any]) -> str:
    """As models write it: characters beyond ASCII as they are."""
    return json.dumps(args, ensure_ascii=False)


def cut(written: str) -> list[str]:
    """Cut into deltas of 3 or 4 characters."""
    random = Random(f"cut {len(written)}")
    pieces = []
    start = 0
    while start < len(written):
        end = start + random.choice((3, 4))
        pieces.append(written[start:end])
        start = end
    return pieces


def argument_deltas(calls: list[Call]) -> list[list[str]]:
    """For each call, the deltas of its arguments."""
    return [cut(to_json(args)) for _, args in calls]


def wire_deltas(calls: list[Call]) -> list[dict[str, Any]]:
    """The same as a server's deltas, one call after the other."""
    deltas: list[dict[str, Any]] = []
    for index, ((name, _), pieces) in enumerate(zip(calls, argument_deltas(calls), strict=True)):
        head = {"index": index, "id": f"call_{index}", "type": "function"}
        deltas.append({"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces
        ]
    return deltas


def message_chunks(calls: list[Call]) -> list[AIMessageChunk]:
    """The same as a chat model's chunks.

    Equal deltas share one chunk object: constructing one takes longer than parsing it, and nobody
    writes to it.
    """
    memo: dict[tuple[int, str], AIMessageChunk] = {}
    chunks = []
    for index, ((name, _), pieces) in enumerate(zip(calls, argument_deltas(calls), strict=True)):
        chunks.append(_chunk(index, "", id=f"call_{index}", name=name))
        for piece in pieces:
            if (index, piece) not in memo:
                memo[index, piece] = _chunk(index, piece)
            chunks.append(memo[index, piece])
    chunks.append(AIMessageChunk(content="", response_metadata={"finish_reason": "tool_calls"}))
    return chunks


def chunks_after(prefix: int, deltas: int) -> tuple[list[AIMessageChunk], list[AIMessageChunk]]:
    """One chunk that holds a string's first `prefix` characters, then `deltas` more of it."""
    name, args = one_string(prefix)
    before = [_chunk(0, "", id="call_0", name=name), _chunk(0, to_json(args)[:-2])]
    pieces = cut(json.dumps(text(4 * deltas, "after"), ensure_ascii=False)[1:])[:deltas]
    return before, [_chunk(0, piece) for piece in pieces]


def _chunk(index: int, args: str, **head: str) -> AIMessageChunk:
    call = {"index": index, "id": None, "name": None, "args": args} | head
    return AIMessageChunk(content="", tool_call_chunks=[call])
