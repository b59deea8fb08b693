"""Calls that the client reads out of the model's text, beside those that the server has read.

Both are read from the bytes of an answer to LangChain's chunks, by the same reader; a delta is 3 or
4 characters of what the model wrote. `text` is an answer without a call.
"""

import json
from collections.abc import Callable, Iterable
from time import process_time
from typing import Any

from benchmarks.measure import Rounds, Timed, seconds_since
from benchmarks.report import Report, us
from benchmarks.workloads import KB, WriteFile, cut, plain, to_json, wire_deltas
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.left_in_text import LeftInText
from langchain_toolstream.vllm.response.markup import MarkupChunks

# What `python -m benchmarks` holds the package to.
MORE_THAN_THE_SERVERS = 3.0  # µs per delta
GROWTH = 1.5
FOR_THOSE_WHO_DO_NOT = 0.5  # µs per delta

SIZES = (1 * KB, 10 * KB, 100 * KB)
SERVER, SERVER_TEXT, BARE_TEXT = "read by the server", "text", "text, without tools"
FORMATS = ("hermes", "qwen3_coder", "glm47", "lfm2")

TOOL = {
    "type": "function",
    "function": {"name": "WriteFile", "parameters": WriteFile.model_json_schema()},
}


def written(name: str, content: str) -> str:
    """A call in a format."""
    args = {"path": "notes.md", "content": content}
    match name:
        case "hermes":
            object_ = f'{{"name": "WriteFile", "arguments": {to_json(args)}}}'
            return f"<tool_call>\n{object_}\n</tool_call>"
        case "qwen3_coder":
            inside = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in args.items())
            return f"<tool_call>\n<function=WriteFile>\n{inside}</function>\n</tool_call>"
        case "glm47":
            inside = "".join(
                f"<arg_key>{k}</arg_key><arg_value>{v}</arg_value>" for k, v in args.items()
            )
            return f"<tool_call>WriteFile{inside}</tool_call>"
        case _:
            inside = ", ".join(f"{k}={v!r}" for k, v in args.items())
            return f"<|tool_call_start|>[WriteFile({inside})]<|tool_call_end|>"


def events(deltas: Iterable[dict[str, Any]]) -> list[bytes]:
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m"}
    return [b"data: %s\n\n" % json.dumps({**head, "choices": [one]}).encode() for one in chunks]


def reading(stream: list[bytes], make: Callable[[], Any]) -> Timed:
    def run() -> float:
        start = process_time()
        reader = AnswerReader(markup=make(), several=False)
        builder = ChunkBuilder(reader)
        for data in stream:
            for _ in builder.build(reader.feed(data)):
                pass
        for _ in builder.build(reader.close()):
            pass
        return seconds_since(start) / len(stream)

    return run


def by_client(name: str) -> Callable[[], MarkupChunks]:
    def make() -> MarkupChunks:
        markup = MarkupChunks([TOOL])
        markup.restart(name)
        return markup

    return make


def contestants(size: int) -> dict[str, Timed]:
    content = plain(size)
    call = ("WriteFile", {"path": "notes.md", "content": content})
    texts = events({"content": piece} for piece in cut(content))
    runs = {
        SERVER: reading(events(wire_deltas([call])), lambda: LeftInText([TOOL])),
        SERVER_TEXT: reading(texts, lambda: LeftInText([TOOL])),
        BARE_TEXT: reading(texts, lambda: None),
    }
    for name in FORMATS:
        stream = events({"content": piece} for piece in cut(written(name, content)))
        runs[name] = reading(stream, by_client(name))
    return runs


def markup(rounds: Rounds, report: Report) -> None:
    report.title("13. Calls that the client reads, bytes to chunks")
    costs = {size: rounds.medians(contestants(size)) for size in SIZES}
    names = [*costs[SIZES[0]]]
    report.table(
        ["µs per delta", *(f"{size // KB} KB" for size in SIZES)],
        [[name, *(us(costs[size][name]) for size in SIZES)] for name in names],
    )
    for size in SIZES:
        report.keep("markup", f"{size // KB} KB", costs[size])
    at = costs[10 * KB]
    for name in FORMATS:
        report.require(
            f"{name}: µs more than {SERVER}", at[name] - at[SERVER], at_most=MORE_THAN_THE_SERVERS
        )
        growth = costs[100 * KB][name] / at[name]
        report.require(f"{name}, 100 KB of 10 KB", growth, at_most=GROWTH)
    report.require(
        "text with tools: µs more than without",
        at[SERVER_TEXT] - at[BARE_TEXT],
        at_most=FOR_THOSE_WHO_DO_NOT,
    )
