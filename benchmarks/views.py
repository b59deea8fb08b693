"""A look at the arguments after every delta: ours and what else shows them while they are written.

Every contestant is a step of a chain, reads the chunks of a model, made beforehand (those of the
SDK for openai), and gives what it knows after each; ours is looked at for the same: `model` beside
what gives typed values, `args` beside what gives JSON's. `bare` is parsing anew without a chain or
messages, from one piece of text to the next: what a step around it costs at the least.

Ours always runs to the end of the stream, and so do the others up to 10 KB, with what
langchain-core does for the run's trace there. Of their longer streams a few deltas are timed
behind a sixth, a half and five sixths of the text, which come in one chunk: their mean is that of
the whole, where the cost grows in a straight line, but for what the end of the run takes.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import log
from statistics import mean, median
from time import process_time
from typing import Any, cast

from jiter import from_json
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers.openai_tools import JsonOutputToolsParser, PydanticToolsParser
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
from langchain_toolstream import PartialToolsParser, ToolCallView, compat

# What `python -m benchmarks` holds the package to, from 10 KB on.
OVER_PYDANTIC_TOOLS_PARSER = 100
GROWTH = 1.15
MEMORY = 3

PLACES = (1 / 6, 3 / 6, 5 / 6)
DELTAS = 20
SLOW_DELTAS = 4
"""Of what takes milliseconds for each."""

OURS, PARSER = "PartialToolsParser", "PydanticToolsParser"


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
WHOLE = ("1 KB", "10 KB")
"""Short enough to wait for the others' whole streams."""
GROWS = [("10 KB", "100 KB"), ("200 records", "2,000 records")]

Show = Callable[[Iterator[Any]], Iterator[Any]]
"""Reads what comes, and gives what it knows after each."""


def views(rounds: Rounds, report: Report) -> None:
    report.title("11. A look at the arguments after every delta")
    ours = PartialToolsParser(TOOLS)
    measured: dict[str, dict[str, float]] = {}
    for row, call in WORKLOADS.items():
        chunks = message_chunks([call])
        own = {name: reading(ours, chunks, look) for name, look in LOOKS.items()}
        measured[row] = costs_of(own, peers(MODELS[call[0]]), row, rounds)
        report.keep("views", row, measured[row])
    names = {name: peer.like for name, peer in peers(WriteFile).items()}
    report.table(
        ["ahead of", *names],
        [
            [row, *(ratio(costs[name] / costs[like]) for name, like in names.items())]
            for row, costs in measured.items()
        ],
    )
    report.table(
        ["µs per delta", *names],
        [[row, *(us(costs[name]) for name in names)] for row, costs in measured.items()],
    )
    if "instructor" not in names:
        report.note("instructor is not installed, so it is not measured: it wants an older jiter,")
        report.note("and with it an older openai. `uv pip install --no-deps instructor` gets it.")
    report.table(
        [f"{OURS}, µs per delta", *LOOKS, "views per second"],
        [
            [row, *(us(costs[look]) for look in LOOKS), f"{1e6 / costs['args and model']:,.0f}"]
            for row, costs in measured.items()
        ],
    )
    for row in [row for row in WORKLOADS if row != "1 KB"]:
        for name, like in names.items():
            times = measured[row][name] / measured[row][like]
            at_least = OVER_PYDANTIC_TOOLS_PARSER if name == PARSER else 1
            report.require(f"views ahead of {name} at {row}", times, at_least=at_least)
    for small, large in GROWS:
        deltas = [len(message_chunks([WORKLOADS[row]])) for row in (small, large)]
        times = measured[large]["args and model"] / measured[small]["args and model"]
        exponent = 1 + log(times) / log(deltas[1] / deltas[0])
        report.require(f"growth exponent of views, {small} to {large}", exponent, at_most=GROWTH)
    for row, call in {**WORKLOADS, "100 KB, plain": one_string(100 * KB, plain)}.items():
        if row != "1 KB":
            report.require(f"memory of views, {row}", memory(ours, call), at_most=MEMORY)


def drop_ins(rounds: Rounds, report: Report) -> None:
    report.title("12. The drop-in parsers of `compat`, and those of langchain-core")
    found: dict[str, dict[str, float]] = {}
    for row, call in WORKLOADS.items():
        chunks = message_chunks([call])
        ours = {
            "JSON": compat.JsonOutputToolsParser(),
            "pydantic": compat.PydanticToolsParser(tools=TOOLS),
        }
        theirs = {
            "JSON": Peer(JsonOutputToolsParser().transform, "args"),
            "pydantic": Peer(PydanticToolsParser(tools=TOOLS).transform, "model"),
        }
        own = {
            f"{name}, ours": iterating(partial(over, parser.transform, chunks), len(chunks))
            for name, parser in ours.items()
        }
        found[row] = costs_of(own, theirs, row, rounds)
        report.keep("drop-ins", row, found[row])
    heads = {
        f"{whose} {name}": key
        for name, key in (("JsonOutputToolsParser", "JSON"), (PARSER, "pydantic"))
        for whose, key in (("compat's", f"{key}, ours"), ("langchain-core's", key))
    }
    report.table(
        ["µs per delta", *heads],
        [[row, *(us(costs[key]) for key in heads.values())] for row, costs in found.items()],
    )
    for row, costs in found.items():
        for key in ("JSON", "pydantic"):
            times = costs[key] / costs[f"{key}, ours"]
            report.require(f"drop-in {key} parser at {row}", times, at_least=1)


def look_at_both(view: ToolCallView) -> None:
    _ = view.args
    _ = view.model


def look_at_args(view: ToolCallView) -> None:
    _ = view.args


def look_at_model(view: ToolCallView) -> None:
    _ = view.model


def keep_args(view: ToolCallView) -> None:
    kept[:] = [view.args]


kept: list[Any] = []


def look_at_nothing(view: ToolCallView) -> None:
    del view


# What was looked at is let go, as by a screen that has drawn it. Who holds on to the arguments
# while the next view is made pays for a copy of the string that is open, which is measured apart.
LOOKS: dict[str, Callable[[ToolCallView], None]] = {
    "not looked at": look_at_nothing,
    "args": look_at_args,
    "model": look_at_model,
    "args and model": look_at_both,
    "args, kept": keep_args,
}


def reading(
    parser: PartialToolsParser, chunks: list[AIMessageChunk], look: Callable[[ToolCallView], None]
) -> Timed:
    return iterating(lambda: map(look, parser.transform(iter(chunks))), len(chunks))


@dataclass(frozen=True)
class Peer:
    """What else shows arguments, and which look at ours says as much."""

    show: Show
    like: str
    make: Callable[..., Any] | None = None
    """Makes what it reads, of a piece of the text; `None` for `AIMessageChunk`s."""


def as_step(show: Show) -> Show:
    def step(chunks: Iterator[Any]) -> Iterator[Any]:
        yield from show(chunks)

    return RunnableGenerator(step).transform


def peers(model: type[BaseModel]) -> dict[str, Peer]:
    adapter = TypeAdapter(DICTS[model.__name__])
    jiter = partial(from_json, partial_mode="trailing-strings")
    pydantic = partial(adapter.validate_json, experimental_allow_partial="trailing-strings")
    found = {
        PARSER: Peer(PydanticToolsParser(tools=TOOLS).transform, "model"),
        "openai": Peer(as_step(partial(openai_state, model)), "args", sdk_chunk),
        "pydantic": Peer(as_step(partial(anew, pydantic)), "model"),
        "jiter": Peer(as_step(partial(anew, jiter)), "args"),
        "pydantic, bare": Peer(partial(anew_of_text, pydantic), "model", just_text),
        "jiter, bare": Peer(partial(anew_of_text, jiter), "args", just_text),
    }
    try:
        from instructor.dsl.partial import Partial  # noqa: PLC0415 - in no group, see `views`
    except ImportError:
        return found
    growing: Any = Partial[model]  # type: ignore[valid-type]
    show = as_step(lambda chunks: growing.model_from_chunks(map(piece_of, chunks)))
    return found | {"instructor": Peer(show, "model")}


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


def anew_of_text(parse: Callable[[bytes], Any], pieces: Iterator[str]) -> Iterator[Any]:
    """The same without messages around the pieces."""
    so_far = b""
    for piece in pieces:
        so_far += piece.encode()
        if so_far:
            yield parse(so_far)


def openai_state(model: type[BaseModel], chunks: Iterator[ChatCompletionChunk]) -> Iterator[Any]:
    state = ChatCompletionStreamState(input_tools=[pydantic_function_tool(model)])
    for chunk in chunks:
        state.handle_chunk(chunk)
        call = state.current_completion_snapshot.choices[0].message.tool_calls
        yield call[0].function.parsed_arguments if call else None


def costs_of(
    own: dict[str, Timed], others: dict[str, Peer], row: str, rounds: Rounds
) -> dict[str, float]:
    """What a delta takes, in µs."""
    call = WORKLOADS[row]
    if row not in WHOLE:
        return rounds.medians(own) | {n: 1e6 * sampled(peer, call) for n, peer in others.items()}
    runs = dict(own)
    for name, peer in others.items():
        items = message_chunks([call])
        if make := peer.make:
            pieces = ["", *cut(to_json(call[1]))]
            items = [make(call[0], piece, first=not n) for n, piece in enumerate(pieces)]
        runs[name] = iterating(partial(over, peer.show, items), len(items))
    return rounds.medians(runs)


def over(show: Show, items: list[Any]) -> Iterator[Any]:
    return show(iter(items))


def sampled(peer: Peer, call: Call) -> float:
    """The seconds that a delta takes, in the mean over the whole text."""
    name, text = call[0], to_json(call[1])
    make = peer.make or message_chunk
    means = []
    for place in PLACES:
        start = int(len(text) * place)
        deltas = cut(text[start : start + 5 * DELTAS])[:DELTAS]
        costs = []
        for _ in range(3):
            made = [make(name, "", first=True)]
            made += [make(name, one) for one in [text[:start], *deltas]]
            costs.append(timed(peer.show, made[:2], made[2:]))
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


def just_text(name: str, args: str, *, first: bool = False) -> str:
    del name, first
    return args


def message_chunk(name: str, args: str, *, first: bool = False) -> AIMessageChunk:
    head: dict[str, Any] = {"id": "call_0", "name": name} if first else {"id": None, "name": None}
    return AIMessageChunk("", tool_call_chunks=[{"index": 0, "args": args, **head}])


def sdk_chunk(name: str, args: str, *, first: bool = False) -> ChatCompletionChunk:
    head: dict[str, Any] = {"id": "call_0", "name": name} if first else {"id": None, "name": None}
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
