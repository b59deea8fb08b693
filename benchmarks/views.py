"""A look at the arguments after every delta: ours and what else shows them while they are written.

Every contestant is a step of a chain, reads the chunks of a model, made beforehand (those of the
SDK for openai), and gives what it knows after each.
Ours runs to the end of the stream, and `args` and `model` of every view are read. Of the others'
long streams a few deltas are timed behind a sixth, a half and five sixths of the text, which come
in one chunk: their mean is that of the whole, where the cost grows in a straight line.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from math import log
from statistics import mean, median
from time import process_time
from typing import Any, cast

from jiter import from_json
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers.openai_tools import PydanticToolsParser
from langchain_core.runnables import RunnableGenerator
from openai import pydantic_function_tool
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from benchmarks.measure import Rounds, Timed, iterating
from benchmarks.report import Report, ratio, us
from benchmarks.workloads import (
    KB,
    Call,
    WriteFile,
    cut,
    message_chunks,
    one_string,
    plain,
    records,
    to_json,
)
from langchain_toolstream import PartialToolsParser, ToolCallView

# What `python -m benchmarks` holds the package to.
OVER_PYDANTIC_TOOLS_PARSER = {"10 KB": 25, "100 KB": 100, "200 records": 50, "2,000 records": 500}
BEHIND_AT_10_KB = ("jiter", "pydantic")
"""Parsing 10 KB of one string anew takes less than reading a message by all the rules does."""
GROWTH = 1.15
MEMORY = 3

PLACES = (1 / 6, 3 / 6, 5 / 6)
DELTAS = 20
SLOW_DELTAS = 4
"""Of what takes milliseconds for each."""

OURS, PARSER, OPENAI = "PartialToolsParser", "PydanticToolsParser", "openai"


class Record(BaseModel):
    """One of the records that the workload writes."""

    id: int
    name: str
    kind: str
    score: float
    active: bool
    tags: list[str]


class WriteRecords(BaseModel):
    """Write records."""

    records: list[Record]


class RecordDict(TypedDict, total=False):
    """A record as pydantic validates it in part: it does so for a `TypedDict` only."""

    id: int
    name: str
    kind: str
    score: float
    active: bool
    tags: list[str]


class WriteRecordsDict(TypedDict, total=False):
    """Write records."""

    records: list[RecordDict]


class WriteFileDict(TypedDict, total=False):
    """Write a file."""

    path: str
    content: str


DICTS: dict[str, Any] = {"WriteFile": WriteFileDict, "WriteRecords": WriteRecordsDict}
MODELS: dict[str, type[BaseModel]] = {"WriteFile": WriteFile, "WriteRecords": WriteRecords}
TOOLS = list(MODELS.values())
WORKLOADS: dict[str, Call] = {
    "1 KB": one_string(1 * KB),
    "10 KB": one_string(10 * KB),
    "100 KB": one_string(100 * KB),
    "200 records": records(200),
    "2,000 records": records(2_000),
}
GROWS = [("10 KB", "100 KB"), ("200 records", "2,000 records")]

Show = Callable[[Iterator[Any]], Iterator[Any]]
"""Reads chunks, and gives what it knows after each."""


def as_step(show: Show) -> Show:
    def step(chunks: Iterator[Any]) -> Iterator[Any]:
        yield from show(chunks)

    return RunnableGenerator(step).transform


def views(rounds: Rounds, report: Report) -> None:
    report.title("11. A look at the arguments after every delta")
    ours = PartialToolsParser(TOOLS)
    measured: dict[str, dict[str, float]] = {}
    alone: dict[str, dict[str, float]] = {}
    for row, call in WORKLOADS.items():
        chunks = message_chunks([call])
        alone[row] = rounds.medians(
            {name: reading(ours, chunks, look) for name, look in LOOKS.items()}
        )
        measured[row] = {OURS: alone[row]["args and model"]} | {
            name: 1e6 * sampled(show, call, is_openai=name == OPENAI)
            for name, show in peers(MODELS[call[0]]).items()
        }
        report.keep("views", row, measured[row] | {f"ours, {k}": v for k, v in alone[row].items()})
    names = list(measured["1 KB"])
    report.table(
        ["ahead of", *names[1:], *names],
        [
            [
                row,
                *(ratio(costs[name] / costs[OURS]) for name in names[1:]),
                *(us(costs[name]) for name in names),
            ]
            for row, costs in measured.items()
        ],
    )
    if "instructor" not in names:
        report.note("instructor is not installed, so it is not measured: it wants an older jiter,")
        report.note("and with it an older openai. `uv pip install --no-deps instructor` gets it.")
    report.table(
        [f"{OURS} alone, µs per delta", *LOOKS, "views per second"],
        [
            [row, *(us(cost) for cost in costs.values()), f"{1e6 / costs['args and model']:,.0f}"]
            for row, costs in alone.items()
        ],
    )
    for row, bound in OVER_PYDANTIC_TOOLS_PARSER.items():
        costs = measured[row]
        for name in names[1:]:
            if row != "10 KB" or name not in BEHIND_AT_10_KB:
                times = costs[name] / costs[OURS]
                at_least = bound if name == PARSER else 1
                report.require(f"views ahead of {name} at {row}", times, at_least=at_least)
    for small, large in GROWS:
        deltas = [len(message_chunks([WORKLOADS[row]])) for row in (small, large)]
        times = alone[large]["args and model"] / alone[small]["args and model"]
        exponent = 1 + log(times) / log(deltas[1] / deltas[0])
        report.require(f"growth exponent of views, {small} to {large}", exponent, at_most=GROWTH)
    for row, call in {**WORKLOADS, "100 KB, plain": one_string(100 * KB, plain)}.items():
        if row != "1 KB":
            report.require(f"memory of views, {row}", memory(ours, call), at_most=MEMORY)


def look_at_both(view: ToolCallView) -> None:
    _ = view.args
    _ = view.model


def look_at_args(view: ToolCallView) -> None:
    _ = view.args


def look_at_nothing(view: ToolCallView) -> None:
    del view


# What was looked at is let go, as by a screen that has drawn it. Who holds on to the arguments
# while the next view is made pays for a copy of the string that is open.
LOOKS: dict[str, Callable[[ToolCallView], None]] = {
    "not looked at": look_at_nothing,
    "args": look_at_args,
    "args and model": look_at_both,
}


def reading(
    parser: PartialToolsParser, chunks: list[AIMessageChunk], look: Callable[[ToolCallView], None]
) -> Timed:
    return iterating(lambda: map(look, parser.transform(iter(chunks))), len(chunks))


def peers(model: type[BaseModel]) -> dict[str, Show]:
    adapter = TypeAdapter(DICTS[model.__name__])
    found: dict[str, Show] = {
        PARSER: PydanticToolsParser(tools=TOOLS).transform,
        OPENAI: as_step(partial(openai_state, model)),
        "pydantic": as_step(
            partial(
                anew,
                partial(adapter.validate_json, experimental_allow_partial="trailing-strings"),
            )
        ),
        "jiter": as_step(partial(anew, partial(from_json, partial_mode="trailing-strings"))),
    }
    try:
        from instructor.dsl.partial import Partial  # noqa: PLC0415 - in no group, see `views`
    except ImportError:
        return found
    growing: Any = Partial[model]  # type: ignore[valid-type]
    found["instructor"] = as_step(lambda chunks: growing.model_from_chunks(map(piece_of, chunks)))
    return found


def piece_of(chunk: AIMessageChunk) -> str:
    calls = chunk.tool_call_chunks
    return calls[0]["args"] or "" if calls else ""


def anew(parse: Callable[[bytes], Any], chunks: Iterator[AIMessageChunk]) -> Iterator[Any]:
    """Parse after every chunk what has come so far."""
    so_far = bytearray()
    for chunk in chunks:
        so_far += piece_of(chunk).encode()
        if so_far:
            yield parse(bytes(so_far))


def openai_state(model: type[BaseModel], chunks: Iterator[ChatCompletionChunk]) -> Iterator[Any]:
    state = ChatCompletionStreamState(input_tools=[pydantic_function_tool(model)])
    for chunk in chunks:
        state.handle_chunk(chunk)
        call = state.current_completion_snapshot.choices[0].message.tool_calls
        yield call[0].function.parsed_arguments if call else None


def sampled(show: Show, call: Call, *, is_openai: bool) -> float:
    """The seconds that a delta takes, in the mean over the whole text."""
    text = to_json(call[1])
    means = []
    for place in PLACES:
        start = int(len(text) * place)
        deltas = cut(text[start : start + 5 * DELTAS])[:DELTAS]
        costs = []
        for _ in range(3):
            made = [_chunk(call[0], "", is_openai=is_openai, first=True)]
            made += [_chunk(call[0], one, is_openai=is_openai) for one in [text[:start], *deltas]]
            costs.append(timed(show, made[:2], made[2:]))
            if costs[-1] > 0.01:
                break
        means.append(median(costs))
    return mean(means)


def timed(show: Show, before: list[Any], deltas: list[Any]) -> float:
    marks: list[float] = []

    def items() -> Iterator[Any]:
        yield from before
        marks.append(process_time())
        for count, delta in enumerate(deltas, 1):
            yield delta
            if count >= SLOW_DELTAS and process_time() - marks[0] > 0.2:
                break
        marks.append((process_time() - marks[0]) / count)

    for _ in show(items()):
        pass
    return marks[1]


def _chunk(name: str, args: str, *, is_openai: bool, first: bool = False) -> Any:
    head: dict[str, Any] = {"id": "call_0", "name": name} if first else {"id": None, "name": None}
    if not is_openai:
        return AIMessageChunk("", tool_call_chunks=[{"index": 0, "args": args, **head}])
    function = {"name": head["name"], "arguments": args}
    call = {"index": 0, "id": head["id"], "type": "function", "function": function}
    return ChatCompletionChunk.model_validate(
        {
            "id": "chat",
            "created": 0,
            "model": "model",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}],
        }
    )


def memory(parser: PartialToolsParser, call: Call) -> float:
    """The peak while every view is read, in times of what the arguments take, parsed at once.

    That is the dict and the object, as the last view has them.
    """
    chunks = message_chunks([call])
    text = to_json(call[1])
    model = MODELS[call[0]]
    for view in islice(parser.transform(iter(chunks)), 100):
        look_at_both(view)
    gc.collect()
    tracemalloc.start()
    try:
        args = cast("Any", from_json(text.encode(), cache_mode="none"))
        made = model.model_validate(args)
        size, _ = tracemalloc.get_traced_memory()
        del args, made
        gc.collect()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for view in parser.transform(iter(chunks)):
            look_at_both(view)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (peak - before) / size
