"""Answers of servers, healthy and not, as the doctor reads them."""

import dataclasses
import json
from typing import Any

from langchain_toolstream.cli.doctor.answer import Answer, AnswerReader
from langchain_toolstream.cli.doctor.findings import Observations
from langchain_toolstream.cli.doctor.probes import ProbeName
from langchain_toolstream.vllm import VLLMModelCard
from tests.unit_tests.vllm.wire import body, chunk, part, usage

POEM = json.dumps({"path": "poem.txt", "content": "O river, you carry on. " * 12})
MULTIPLY, ADD = '{"a": 3, "b": 12}', '{"a": 11, "b": 49}'


def read(*chunks: Any, done: bool = True) -> Answer:
    """The answer that some chunks are."""
    reader = AnswerReader()
    reader.feed(body(*chunks, done=done), 0.1)
    return reader.close()


def text(words: str, finish_reason: str = "stop", tokens: int | None = None) -> Answer:
    """Text, a word at a time."""
    pieces = words.split(" ")
    counts = usage(20, len(pieces) if tokens is None else tokens)
    return read(
        *(chunk(content=f"{piece} ") for piece in pieces),
        chunk(finish_reason=finish_reason),
        counts,
    )


def calls(
    *written: tuple[str, str],
    finish_reason: str = "tool_calls",
    raw: str | None = None,
    size: int = 4,
    tokens: int | None = None,
    with_usage: bool = True,
) -> Answer:
    """Calls, some characters at a time."""
    chunks = []
    for index, (name, args) in enumerate(written):
        chunks.append(chunk(part(index=index, id=f"call-{index}", name=name)))
        pieces = [args[at : at + size] for at in range(0, len(args), size)]
        chunks += [chunk(part(piece, index=index)) for piece in pieces]
    chunks.append(chunk(finish_reason=finish_reason))
    if with_usage:
        counted = sum(len(args) for _, args in written) // 4 + 12
        chunks.append(usage(20, counted if tokens is None else tokens))
    return dataclasses.replace(read(*chunks), raw=raw)


def hermes(*written: tuple[str, str]) -> str:
    """What a model writes that was taught the Hermes format."""
    return "".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {args}}}\n</tool_call>'
        for name, args in written
    )


def healthy() -> dict[ProbeName, Answer]:
    """The answers of a server with the hermes parser, and all well."""
    both = ("multiply", MULTIPLY), ("add", ADD)
    poem = ("write_file", POEM)
    cut = ("write_file", POEM[:120])
    nothing = ("current_time", "{}")
    return {
        "text": text("Hello! How can I help you today?"),
        "auto": calls(*both, raw=hermes(*both)),
        "required": calls(*both, raw=hermes(*both)),
        "named": calls(both[1], raw=hermes(both[1]), finish_reason="stop"),
        "no_arguments": calls(nothing, raw=hermes(nothing), finish_reason="stop"),
        "long": calls(poem, raw=hermes(poem)),
        "cut": calls(cut, raw=hermes(cut)[:150], finish_reason="length", tokens=70),
        "thinking": read(chunk(reasoning="Two calls."), chunk(finish_reason="stop"), usage(20, 9)),
    }


def observed(**answers: Answer) -> Observations:
    """What is seen of a healthy server, but for some answers."""
    return Observations(
        url="http://127.0.0.1:8000/v1",
        version="0.32.0",
        models=[VLLMModelCard(id="tiny", max_model_len=2048)],
        model="tiny",
        answers={**healthy(), **answers},  # type: ignore[dict-item]
    )
