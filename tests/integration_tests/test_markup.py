"""Every text of `markup.jsonl.gz`, cut as tokens of 1, 3 and 8 characters, whole, and anywhere."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ChatVLLM, ToolStreamParser
from langchain_toolstream.core.errors import ToolStreamError
from langchain_toolstream.core.events import ToolCallFinish, ToolCallInvalid
from langchain_toolstream.core.markup import FORMATS, MarkupReader
from langchain_toolstream.testing import Recording, ReplayServer
from langchain_toolstream.vllm import VLLMError
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.roads import ROADS
from tests.integration_tests.test_corpus import Outcome
from tests.integration_tests.test_corpus import records as wires
from tests.unit_tests.core.markup.corpus import (
    Read,
    Record,
    at_random,
    deltas_of,
    problems,
    read_record,
    records,
    schemas,
    tokens,
)

WAYS: dict[str, Callable[[Record], Iterable[str]]] = {
    "1": lambda record: tokens(record, 1),
    "3": lambda record: tokens(record, 3),
    "8": lambda record: tokens(record, 8),
    "whole": lambda record: [record["text"]],
    "anywhere": lambda record: at_random(record["text"], random.Random(record["id"])),  # noqa: S311
}
COLUMNS = ("texts", "calls", "right", "invalid", "cut", "none")


@pytest.mark.timeout(600)
def test_the_core_reads_every_text_however_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    wrong = []
    for way, cut in WAYS.items():
        right = 0
        for record in records():
            found = read_record(record, cut(record))
            count, problem = problems(record, found)
            wrong += [f"{record['id']} {way}: {one}" for one in problem]
            right += count * (record["expect"] == "call")
            if way == "3":
                row = table[record["format"]]
                row["texts"] += 1
                row[record["expect"]] += record["expect"] in COLUMNS
                if record["expect"] == "call":
                    row["calls"] += len(record["truth"]["calls"])
                    row["right"] += count
                row["call"] = 0
        assert right == 743, way
    assert wrong == []
    lines = [f"\n{'':16}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [
        f"{name:16}" + "".join(f"{table[name][column]:9}" for column in COLUMNS) for name in FORMATS
    ]
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201


PLAIN = (
    "one_call", "two_parallel_calls", "no_args", "nested", "unicode_escapes", "long_string",
    "text_then_call",
)  # fmt: skip


def by_vllm() -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """What vLLM 0.33's own parsers streamed: calls, and the longest piece of a long argument."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    longest: dict[str, int] = {}
    for record in wires("vllm-0.33"):
        if (record["mode"], record["tool_choice"]) != ("stream", "auto"):
            continue
        if record["scenario"] not in PLAIN:
            continue
        reader = AnswerReader()
        try:
            reader.feed(record["sse"].encode())
            reader.close()
            found = reader.result().generations[0].message
        except (ToolStreamError, VLLMError):
            found = AIMessage("")
        assert isinstance(found, AIMessage)
        outcome = Outcome(record, [dict(call) for call in found.tool_calls], raised=False)
        counts[record["parser"]]["calls"] += len(record["truth"]["calls"])
        counts[record["parser"]]["right"] += len(outcome.right)
        counts[record["parser"]]["wrong"] += len(outcome.wrong)
        if (record["scenario"], record["tokens_per_delta"]) == ("long_string", 1):
            longest[record["parser"]] = max(map(len, sse_pieces(record["sse"])), default=0)
    return counts, longest


def sse_pieces(sse: str) -> Iterable[str]:
    for line in sse.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:]).get("choices", ()):
                for fragment in choice.get("delta", {}).get("tool_calls") or ():
                    yield (fragment.get("function") or {}).get("arguments") or ""


def test_pieces_of_a_long_argument_beside_vllms_own_parsers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts, longest = by_vllm()
    ours: dict[str, int] = {}
    for record in records():
        if record["scenario"] == "long_string":
            reader = MarkupReader(record["format"], schemas(record))
            deltas = deltas_of(reader, tokens(record, 4), "stop")
            fragments = [one for delta in deltas for one in delta.get("tool_calls", ())]
            ours[record["format"]] = max(len(one["function"]["arguments"]) for one in fragments)
    lines = [f"\n{'vLLM 0.33':16}{'calls':>7}{'right':>7}{'wrong':>7}{'longest':>9}{'ours':>6}"]
    lines += [
        f"{name:16}{counts[name]['calls']:7}{counts[name]['right']:7}{counts[name]['wrong']:7}"
        f"{longest.get(name, '-'):>9}{ours[name]:6}"
        for name in FORMATS
    ]
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201
    total = sum(counts.values(), Counter())
    assert (total["right"], total["calls"], total["wrong"]) == (830, 1008, 27)  # docs/markup.md
    assert max(ours.values()) < 20  # of 1,595 characters: a token, and what opens the string


@pytest.mark.timeout(1200)
def test_every_text_reads_the_same_in_two_halves() -> None:
    for record in records():
        text = record["text"]
        whole = read_record(record, [text], judged=False)
        step = 1 + len(text) // 100
        for at in range(1, len(text), step):
            halves = read_record(record, [text[:at], text[at:]], judged=False)
            assert halves.key == whole.key, (record["id"], at)


def recording(record: Record, pieces: Iterable[str]) -> Recording:
    """The text as a server sends it that has no tool-call parser."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": record["finish"]})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    lines = [f"data: {json.dumps({**head, 'choices': [choice]})}\n\n" for choice in choices]
    return Recording(
        id=record["id"],
        request={"model": record["id"], "messages": [], "stream": True},
        status=200,
        content_type="text/event-stream; charset=utf-8",
        body="".join([*lines, "data: [DONE]\n\n"]).encode(),
    )


async def ask(llm: ChatVLLM, record: Record) -> Read:
    total: AIMessageChunk | None = None
    async for chunk in llm.bind_tools(record["tools"], model=record["id"]).astream("go"):
        total = chunk if total is None else total + chunk
    assert isinstance(total, AIMessageChunk)
    found = Read(
        content=str(total.text),
        reasoning=total.additional_kwargs.get("reasoning_content", ""),
    )
    parser = ToolStreamParser(record["tools"])
    for call in parser.invoke(total):
        fields: dict[str, Any] = {"id": str(call["id"]), "name": call["name"] or ""}
        if call["type"] == "invalid_tool_call":
            error = str(call["error"])
            args = str(call["args"])
            found.events.append(ToolCallInvalid(**fields, args=args, error=error, revoked=False))
        else:
            found.events.append(ToolCallFinish(**fields, args=call["args"]))
    return found


async def ask_all(base_url: str) -> list[tuple[Record, Read]]:
    slots = asyncio.Semaphore(8)
    models = {name: ChatVLLM(base_url=base_url, tool_call_parser=name) for name in FORMATS}
    for record in records():  # which server it is has been found out
        ROADS.learn((base_url, record["id"]), "content")

    async def one(record: Record) -> tuple[Record, Read]:
        async with slots:
            return record, await ask(models[record["format"]], record)

    return await asyncio.gather(*map(one, records()))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
def test_chat_vllm_reads_every_text_over_http(way: str) -> None:
    wrong = []
    right = 0
    with ReplayServer([recording(record, WAYS[way](record)) for record in records()]) as server:
        for record, found in asyncio.run(ask_all(server.base_url)):
            count, problem = problems(record, found)
            wrong += [f"{record['id']}: {one}" for one in problem]
            right += count * (record["expect"] == "call")
    assert wrong == []
    assert right == 743
