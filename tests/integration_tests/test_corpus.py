"""Every recorded stream, over real HTTP, through the whole road, beside what is used today.

`corpus/README.md` defines the records and what is expected of a client.
"""

import asyncio
import gzip
import json
import os
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from langchain_toolstream import ChatVLLM, ToolStreamParser
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import Recording, ReplayServer, load_recordings
from langchain_toolstream.vllm import VLLMEmptyOutputError

CORPUS = Path(__file__).parent / "corpus"
FILES = ("vllm-0.32", "vllm-0.33", "other-servers")
STRICT = ("call", "none", "cut", "invalid", "call_or_invalid", "error")
ROWS = (*STRICT, "best_effort")
COLUMNS = ("streams", "calls", "right", "wrong", "lost", "invalid", "raised")

Call = dict[str, Any]


def records(name: str) -> list[dict[str, Any]]:
    with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def sampled(name: str) -> list[dict[str, Any]]:
    """Every third record and the first of each kind, for the roads beside the parser's.

    All of them with `WHOLE_CORPUS=1`.
    """
    every = records(name)
    if os.environ.get("WHOLE_CORPUS"):
        return every
    firsts = {(one["scenario"], one["mode"]): one["id"] for one in reversed(every)}
    kept = {*firsts.values()}
    return [one for at, one in enumerate(every) if at % 3 == 0 or one["id"] in kept]


def ended_quietly(name: str) -> list[Recording]:
    """A cut stream just ends, as behind a proxy: harder to notice than a broken connection."""
    path = CORPUS / f"{name}.jsonl.gz"
    return [replace(recording, ending="complete") for recording in load_recordings(path)]


def row(record: dict[str, Any]) -> str:
    """`cut` records in which the server damaged a complete call are judged like best effort."""
    damaged = record["expect"] == "cut" and not record["wire"]["exact"]
    return "best_effort" if damaged else str(record["expect"])


def same(ours: Any, truth: Any) -> bool:
    """Numbers by value (10 == 10.0), booleans only with booleans."""
    if isinstance(ours, bool) or isinstance(truth, bool):
        return ours is truth
    if isinstance(ours, dict) and isinstance(truth, dict):
        return ours.keys() == truth.keys() and all(same(ours[k], truth[k]) for k in ours)
    if isinstance(ours, list) and isinstance(truth, list):
        return len(ours) == len(truth) and all(map(same, ours, truth))
    return bool(ours == truth)


def is_truth(call: Call, truth: Call | None) -> bool:
    return bool(truth and call["name"] == truth["name"] and same(call["args"], truth["arguments"]))


class Outcome:
    """What a client made of one record, held against the truth."""

    def __init__(self, record: dict[str, Any], calls: list[Call], *, raised: bool) -> None:
        self.id = record["id"]
        self.raised = raised
        self.valid = [c for c in calls if c.get("type") != "invalid_tool_call"]
        self.invalid = [c for c in calls if c.get("type") == "invalid_tool_call"]
        self.missing = list(record["truth"]["calls"])
        self.right: list[Call] = []
        self.wrong: list[Call] = []
        cut = record["truth"].get("cut_call") or {}
        for call in self.valid:
            found = next((t for t in self.missing if is_truth(call, t)), None)
            if found is not None:
                self.missing.remove(found)
                self.right.append(call)
            elif not (cut.get("args_complete") and is_truth(call, cut)):
                self.wrong.append(call)
        self.in_order = record.get("order") == "any" or [
            t["name"] for t in record["truth"]["calls"] if t not in self.missing
        ] == [c["name"] for c in self.right]


def tally(outcomes: list[tuple[dict[str, Any], Outcome]]) -> dict[str, Counter[str]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for record, outcome in outcomes:
        counts = table[row(record)]
        counts["streams"] += 1
        counts["calls"] += len(record["truth"]["calls"])
        counts["right"] += len(outcome.right)
        counts["wrong"] += len(outcome.wrong)
        counts["lost"] += 0 if outcome.raised else len(outcome.missing)
        counts["invalid"] += len(outcome.invalid)
        counts["raised"] += outcome.raised
    return table


def show(title: str, table: dict[str, Counter[str]]) -> str:
    lines = [f"\n{title}", f"{'':16}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [
        f"{name:16}" + "".join(f"{table[name][c]:9}" for c in COLUMNS)
        for name in ROWS
        if name in table
    ]
    total: Counter[str] = sum(table.values(), Counter())
    lines.append(f"{'all':16}" + "".join(f"{total[c]:9}" for c in COLUMNS))
    return "\n".join(lines)


def key(calls: list[Call]) -> list[Any]:
    """Calls without the ids that are made up where the server sent none."""
    return [(c.get("type"), c["name"], c["args"]) for c in calls]


def asked(record: dict[str, Any]) -> dict[str, Any]:
    """What a record's request said beside its tools, as far as that changes how it is read."""
    said = {"max_tokens": record["max_tokens"]} if record.get("max_tokens") else {}
    return said | ({"tool_choice": "none"} if record["tool_choice"] == "none" else {})


def unexpected(invalid: list[Any], record: dict[str, Any]) -> list[Any]:
    """The invalid calls, but for those that the server took for text, in records about that."""
    if record["scenario"] != "leaked_markup_in_content":
        return invalid
    return [call for call in invalid if "left this call in the text" not in str(call["error"])]


def chain(llm: ChatVLLM, record: dict[str, Any]) -> Any:
    tools = record["tools"]
    return llm.bind_tools(tools, model=record["id"], **asked(record)) | ToolStreamParser(tools)


def swallowed(record: dict[str, Any]) -> Outcome:
    """Nothing came back: no call of it may be run, and there was something to lose."""
    truth = record["truth"]
    assert truth["calls"] or truth.get("written_calls") or truth.get("content"), record["id"]
    return Outcome(record, [], raised=False)


def run(llm: ChatVLLM, record: dict[str, Any]) -> Outcome:
    calls: list[Call] = []
    try:
        for some in chain(llm, record).stream("go"):
            calls += some
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        return Outcome(record, calls, raised=True)
    return Outcome(record, calls, raised=False)


async def arun(llm: ChatVLLM, record: dict[str, Any]) -> Outcome:
    calls: list[Call] = []
    try:
        async for some in chain(llm, record).astream("go"):
            calls += some
    except VLLMEmptyOutputError:
        return swallowed(record)
    except StreamInterruptedError:
        return Outcome(record, calls, raised=True)
    return Outcome(record, calls, raised=False)


async def arun_all(llm: ChatVLLM, chosen: list[dict[str, Any]]) -> list[Outcome]:
    slots = asyncio.Semaphore(8)

    async def one(record: dict[str, Any]) -> Outcome:
        async with slots:
            return await arun(llm, record)

    return await asyncio.gather(*(one(record) for record in chosen))


def check(record: dict[str, Any], outcome: Outcome) -> str | None:
    """Say what is wrong with an outcome, by the corpus's terms; `best_effort` may be anything."""
    kind = row(record)
    if kind == "best_effort":
        return None
    if outcome.wrong:
        return f"wrong call {outcome.wrong}"
    if outcome.raised != (kind == "error") and kind != "call_or_invalid":
        return f"raised: {outcome.raised}"
    if outcome.raised:
        return f"calls of an interrupted stream: {outcome.valid}" if outcome.valid else None
    return _check_calls(kind, record, outcome)


def _check_calls(kind: str, record: dict[str, Any], outcome: Outcome) -> str | None:
    if not outcome.in_order:
        return "calls out of order"
    if kind in ("call", "none") and (outcome.missing or unexpected(outcome.invalid, record)):
        return f"lost {outcome.missing}, invalid {outcome.invalid}"
    if kind == "invalid":
        named = [call["name"] for call in outcome.invalid]
        expected = len(record["truth"]["invalid"])
        if outcome.missing or len(named) != expected:
            return f"lost {outcome.missing}, invalid {named}, expected {expected} invalid"
    if kind == "cut" and len(outcome.missing) > min(1, len(outcome.invalid)):
        return f"lost {outcome.missing}, invalid {outcome.invalid}"
    if not all(call["error"] and call["id"] for call in outcome.invalid):
        return "an invalid call without error or id"
    return None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FILES)
def test_every_record_over_http(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = records(name)
    recordings = [
        recording.split(seed=number) if recording.streamed else recording
        for number, recording in enumerate(ended_quietly(name))
    ]
    with ReplayServer(recordings) as server:
        llm = ChatVLLM(base_url=server.base_url, max_retries=0)
        outcomes = [(record, run(llm, record)) for record in chosen]
        aoutcomes = asyncio.run(arun_all(llm, chosen))

    with capsys.disabled():
        print(show(f"{name}: ChatVLLM | ToolStreamParser", tally(outcomes)))  # noqa: T201 - `make integration_tests` shows it
    problems = {o.id: problem for record, o in outcomes if (problem := check(record, o))}
    assert not problems
    for (_, outcome), aoutcome in zip(outcomes, aoutcomes, strict=True):
        assert key(outcome.valid) == key(aoutcome.valid), outcome.id
        assert key(outcome.invalid) == key(aoutcome.invalid), outcome.id
        assert outcome.raised == aoutcome.raised, outcome.id


def today(url: str, record: dict[str, Any]) -> Outcome:
    """What `ChatOpenAI` makes of a record, its chunks summed with `+`."""
    llm = ChatOpenAI(base_url=url, api_key="EMPTY", model=record["id"], max_retries=0)
    bound = llm.bind_tools(record["tools"])
    try:
        if record["mode"] == "full":
            message: Any = bound.invoke("go")
        else:
            first, *rest = bound.stream("go")
            message = first.__add__(rest) if rest else first
    except Exception:  # noqa: BLE001 - any way of raising is raising
        return Outcome(record, [], raised=True)
    assert isinstance(message, AIMessage)
    return Outcome(record, [*message.tool_calls, *message.invalid_tool_calls], raised=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FILES)
def test_a_broken_connection_raises(name: str) -> None:
    """The same streams that ended quietly above, with the connection really dropped."""
    cut = [record for record in records(name) if record["finish"] == "cut"]
    with ReplayServer(CORPUS / f"{name}.jsonl.gz") as server:
        llm = ChatVLLM(base_url=server.base_url, max_retries=0)
        outcomes = [run(llm, record) for record in cut]
        aoutcomes = asyncio.run(arun_all(llm, cut))
    assert outcomes
    for outcome in (*outcomes, *aoutcomes):
        assert not outcome.valid, outcome.id
    must_raise = {r["id"] for r in cut if r["expect"] == "error"}
    assert must_raise <= {o.id for o in outcomes if o.raised}
    assert must_raise <= {o.id for o in aoutcomes if o.raised}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FILES)
def test_the_same_with_chat_openai(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ReplayServer(ended_quietly(name)) as server:
        outcomes = [(record, today(server.base_url, record)) for record in records(name)]
    with capsys.disabled():
        print(show(f"{name}: ChatOpenAI, chunks summed with +", tally(outcomes)))  # noqa: T201
    assert sum(len(outcome.wrong) for _, outcome in outcomes) > 0
