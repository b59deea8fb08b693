"""What models write, with its truth: 1,459 texts, and how a reading of one is judged."""

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.events import CallEvent, ToolCallFinish, ToolCallInvalid
from langchain_toolstream.core.markup import MarkupReader
from langchain_toolstream.schema.tool_schema import ToolSchema, tool_schemas

CORPUS = Path(__file__).parents[3] / "integration_tests" / "corpus" / "markup.jsonl.gz"
ALONE = ("llama3_json", "pythonic", "xlam")  # have no marker

Record = dict[str, Any]


@cache
def records() -> tuple[Record, ...]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


@cache
def _schemas(tools: str, *, read_only: bool) -> dict[str, ToolSchema]:
    bound = json.loads(tools)
    if read_only:
        return {
            name: ToolSchema(tool, read_only=True)
            for name, tool in zip(tool_schemas(bound), bound, strict=True)
        }
    return dict(tool_schemas(bound))


def schemas(record: Record, *, read_only: bool = False) -> dict[str, ToolSchema]:
    return _schemas(json.dumps(record["tools"]), read_only=read_only)


def tokens(record: Record, characters: int) -> list[str]:
    """Cut a text as tokens do: markers are whole, and no piece runs into one."""
    text, markers = record["text"], sorted(record["markers"], key=len, reverse=True)
    pieces, at = [], 0
    while at < len(text):
        marker = next((one for one in markers if text.startswith(one, at)), None)
        end = at + (len(marker) if marker else characters)
        if not marker:
            starts = (text.find(one, at, end + len(one)) for one in markers)
            end = min([end, *(start for start in starts if start > at)])
        pieces.append(text[at:end])
        at = end
    return pieces


def at_random(text: str, chance: random.Random) -> list[str]:
    pieces, at = [], 0
    while at < len(text):
        end = at + chance.randint(1, 12)
        pieces.append(text[at:end])
        at = end
    return pieces


@dataclass
class Read:
    """What came of a text."""

    content: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)  # name, arguments, error
    events: list[CallEvent] = field(default_factory=list)

    @property
    def good(self) -> list[ToolCallFinish]:
        return [event for event in self.events if isinstance(event, ToolCallFinish)]

    @property
    def invalid(self) -> list[ToolCallInvalid]:
        return [event for event in self.events if isinstance(event, ToolCallInvalid)]

    @property
    def key(self) -> Any:
        """All of it, however it was cut; ids are made up."""
        return self.content, self.reasoning, self.calls


def deltas_of(reader: MarkupReader, pieces: Iterable[str], finish: str | None) -> Iterator[Any]:
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.close(finish)


def read(  # noqa: PLR0913 - what a reading depends on
    name: str,
    pieces: Iterable[str],
    tools: Any = None,
    *,
    finish: str | None = "stop",
    thinking: bool = False,
    judged: bool = True,
) -> Read:
    """Read a text, and judge its calls by the rules of `core.calls`."""
    found = Read()
    assembler = ToolCallAssembler(tools)
    for delta in deltas_of(MarkupReader(name, tools, thinking=thinking), pieces, finish):
        (kind,) = delta
        if kind != "tool_calls":
            setattr(found, kind, getattr(found, kind) + delta[kind])
            continue
        for fragment in delta["tool_calls"]:
            if fragment["index"] == len(found.calls):
                found.calls.append({"name": "", "arguments": "", "error": None})
            call = found.calls[fragment["index"]]
            call["name"] += fragment["function"].get("name", "")
            call["arguments"] += fragment["function"]["arguments"]
            call["error"] = fragment.get("error") or call["error"]
        if judged:
            found.events += assembler.feed(delta)
    if judged:
        found.events += assembler.close(finish)
    return found


def read_record(record: Record, pieces: Iterable[str], **kwargs: Any) -> Read:
    return read(record["format"], pieces, schemas(record), finish=record["finish"], **kwargs)


def same(ours: Any, truth: Any) -> bool:
    """Numbers by value (10 == 10.0), booleans only with booleans."""
    if isinstance(ours, bool) or isinstance(truth, bool):
        return ours is truth
    if isinstance(ours, dict) and isinstance(truth, dict):
        return ours.keys() == truth.keys() and all(same(ours[k], truth[k]) for k in ours)
    if isinstance(ours, list) and isinstance(truth, list):
        return len(ours) == len(truth) and all(map(same, ours, truth))
    return bool(ours == truth)


def problems(record: Record, found: Read) -> tuple[int, list[str]]:
    """Hold a reading against the truth. Returns how many calls are right, and what is wrong."""
    truth, expect = record["truth"], record["expect"]
    missing = list(truth["calls"])
    cut = truth.get("cut_call") or {}
    right, wrong = 0, []
    for call in found.good:
        for one in missing:
            if one["name"] == call.name and same(call.args, one["arguments"]):
                missing.remove(one)
                right += 1
                break
        else:
            whole = cut.get("args_complete") and same(call.args, cut["arguments"])
            if not (whole and cut["name"] == call.name):
                wrong.append(f"wrong call {call.name} {call.args}")
    invalid = [(call.name, call.args, call.error) for call in found.invalid]
    if any(call.revoked for call in found.invalid):
        wrong.append("a call was shown and taken back")
    if not all(error for _, _, error in invalid):
        wrong.append("an invalid call without a reason")
    if expect in ("call", "none") and (missing or invalid):
        wrong.append(f"lost {missing}, invalid {invalid}")
    if expect == "invalid" and (missing or len(invalid) != len(truth["invalid"])):
        wrong.append(f"lost {missing}, invalid {invalid}")
    if expect == "cut" and len(missing) > min(1, len(invalid)):
        wrong.append(f"lost {missing}, invalid {invalid}")
    return right, wrong + _text_problems(record, found)


def _text_problems(record: Record, found: Read) -> list[str]:
    truth = record["truth"]
    wrong = []
    if record["format"] in ALONE and record["scenario"] == "text_then_call":
        return wrong  # is a text, call and all
    for kind, text in (("content", found.content), ("reasoning", found.reasoning)):
        expected, part = truth.get(kind), truth.get(f"{kind}_contains")
        if expected is not None and text.strip() != expected.strip():
            wrong.append(f"{kind} {text!r}")
        if part is not None and part not in text:
            wrong.append(f"{kind} {text!r} without {part!r}")
    if record["scenario"] not in ("marker_in_prose", "call_inside_thought"):
        markup = (*record["markers"], "<tool_call", "DSML", "invoke", "</fun")
        wrong += [f"{one} in {found.content!r}" for one in markup if one in found.content]
    return wrong
