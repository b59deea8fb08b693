"""Fuzzing: whatever comes in gives a value or our error, in bounded time and memory, nothing left.

`make fuzz` runs every target of the table at the bottom in turn for `FUZZ_SECONDS` (60). Each case
has its own seed. What it prints for a failure runs that case alone:

    FUZZ_SEED=1234 FUZZ_TARGET=markup FUZZ_SECONDS=0 make fuzz
"""

import asyncio
import gc
import json
import logging
import os
import random
import resource
import secrets
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.messages import AIMessage

from langchain_toolstream import PartialToolsParser, ToolSet, ToolStreamParser, tool_events
from langchain_toolstream.core.errors import JSONStreamError
from langchain_toolstream.core.json import JSONStream
from langchain_toolstream.core.markup import FORMATS
from langchain_toolstream.json_values import InvalidJSONError, bounded, read_json, to_json
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.testing import load_recordings
from tests.unit_tests.core.markup.corpus import read as read_markup
from tests.unit_tests.scripted import ScriptedChat, chunk, comes_true, written
from tests.unit_tests.vllm.test_any_wire import read as read_answer

SECONDS, MEMORY = 10, 2 << 30
"""What one case may take. They are small: far more than it needs, on a slow machine too."""
Text = TypeVar("Text", str, bytes)
CORPUS = Path(__file__).parent / "integration_tests" / "corpus"

LETTERS = [
    "a",
    "0",
    "é",
    "🎉",
    "\ud83c",
    "\x00",
    "\x1b",
    "\u202e",
    "\n",
    " ",
    '"',
    "\\",
    "\\u",
    "<",
]
WORDS = ["null", "true", "NaN", "Infinity", "1e999", "-0", "9" * 5000, "{", "}", "[", "]", ":", ","]


def text_of(chance: random.Random, most: int = 12) -> str:
    return "".join(chance.choices([*LETTERS, *WORDS], k=chance.randrange(most)))


def value_of(chance: random.Random, depth: int = 4) -> Any:
    """Any value that JSON has."""
    kind = chance.randrange(9 if depth else 7)
    if kind == 7:
        return [value_of(chance, depth - 1) for _ in range(chance.randrange(5))]
    if kind == 8:
        return {
            chance.choice("abc") if chance.random() < 0.8 else text_of(chance): value_of(
                chance, depth - 1
            )
            for _ in range(chance.randrange(5))
        }
    numbers = (chance.randrange(-9, 9), chance.choice([1e308, 0.5, 1e-9]), 10**4200)
    return text_of(chance) if kind == 6 else (None, True, "a", *numbers)[kind]


def mutated(data: Text, junk: list[Text], chance: random.Random) -> Text:
    """Cut, doubled, swapped and littered, at a few places."""
    for _ in range(chance.randrange(1, 5)):
        at, to = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        data = chance.choice(
            [
                data[:at] + data[to:],
                data[:to] + data[at:],
                data[:at] + chance.choice(junk) + data[at:],
                data[:at],
                data[:at] + data[at : at + 9] * chance.randrange(40) + data[at:],
            ]
        )[:200_000]
    return data


def pieces_of(data: Text, chance: random.Random) -> list[Text]:
    at = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(20)))
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


# Targets. Each raises where the promise is broken.

RECORDINGS: list[Any] = []
JUNK = [
    b"\n\n",
    b"data: ",
    b"\xff",
    b"null",
    b"{}",
    b'"',
    b"\\ud83c",
    b"[DONE]",
    b'"index":1',
    b"1e999",
]


def recordings(chance: random.Random) -> None:
    """A recorded answer that was damaged on its way becomes messages, or is said to be broken."""
    if not RECORDINGS:
        RECORDINGS.extend(load_recordings(CORPUS / "vllm-0.33.jsonl.gz"))
    recording = chance.choice(RECORDINGS)
    body = mutated(b"".join(recording.events) or recording.body, JUNK, chance)
    kind = chance.choice(["text/event-stream", "application/json", "text/html"])
    read_answer(pieces_of(body, chance), kind)


def json_text(chance: random.Random) -> None:
    """Text that may be JSON is read as the standard library reads it, or is our error."""
    text = json.dumps(value_of(chance)) if chance.random() < 0.7 else text_of(chance, 60)
    if chance.random() < 0.7:
        text = mutated(text, [*LETTERS, *WORDS], chance)
    with suppress(InvalidJSONError):
        read_json(text)
    stream = JSONStream()
    try:
        events = [event for piece in pieces_of(text, chance) for event in stream.feed(piece)]
        events += [] if stream.unused_text else stream.close()
    except JSONStreamError as error:
        if len(str(error)) > 1_000:
            raise
        return
    if not stream.unused_text and events:
        assert events[-1] == ("finish", (), json.loads(text))


def json_values(chance: random.Random) -> None:
    """Any value is written as JSON that reads back, and can be sent."""
    value = value_of(chance, 6)
    value = chance.choice(
        [value, {"a": (value, {1, 2}), 3: object()}, [float("nan"), 10**4400, value]]
    )
    written = to_json(bounded(value))
    json.loads(written, parse_constant=_no_constant)
    written.encode()


def _no_constant(word: str) -> None:
    msg = f"{word} is not JSON"
    raise AssertionError(msg)


def _schema(chance: random.Random, depth: int = 3) -> Any:
    """A JSON schema, or what a server calls one."""
    if chance.random() < 0.08:
        return value_of(chance, 2)
    below = [_schema(chance, depth - 1) for _ in range(chance.randrange(1, 4) if depth else 0)]
    schema: dict[str, Any] = {}
    for word in chance.sample(SCHEMA_WORDS, k=chance.randrange(1, 4)):
        if word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            schema[word] = below * chance.choice([1, 1, 20])
        elif word in ("properties", "$defs", "patternProperties"):
            schema[word] = dict(zip("abc", below, strict=False))
        elif word in ("items", "not", "additionalProperties", "if"):
            schema[word] = below[0] if below else chance.choice([True, False])
        else:
            schema[word] = chance.choice(SCHEMA_VALUES[word])
    return schema


SCHEMA_VALUES: dict[str, list[Any]] = {
    "$ref": ["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "http://a/b", "#/%", ""],
    "type": ["object", "array", "string", "integer", "number", "null", ["string", "null"], "x", []],
    "required": [["a"], ["a", "b"], "a", [1]],
    "enum": [[1, "a"], [], [None], [[1], {}]],
    "const": [1, None, {"a": 1}],
    "pattern": ["^a", "(", "(a+)+$", "\\p{L}"],
    "minimum": [0, "0", 1e308],
    "maxLength": [0, -1, 10**30],
    "format": ["date", "uuid", "regex", "x"],
    "default": [1, {}, "a"],
}
SCHEMA_WORDS = [
    *("anyOf", "oneOf", "allOf", "prefixItems", "properties", "properties", "$defs", "items"),
    *("patternProperties", "not", "additionalProperties", "if", *SCHEMA_VALUES),
]


def schemas(chance: random.Random) -> None:
    """Arguments are held against any schema, or the schema is refused where it is given."""
    parameters = {"type": "object", "properties": {"a": _schema(chance), "b": _schema(chance)}}
    if chance.random() < 0.5:
        parameters["$defs"] = {"a": _schema(chance), "b": _schema(chance)}
    tool = {"type": "function", "function": {"name": "t", "parameters": parameters}}
    args = {"a": value_of(chance), "b": value_of(chance)}
    text = json.dumps(args)
    try:
        parsers = [ToolStreamParser([tool]), PartialToolsParser([tool])]
        schema = ToolSchema(tool)
    except ValueError as error:
        if len(str(error)) > 2_000:
            raise
        return
    assert len(schema.validate(args) or "") < 2_000
    pieces = [chunk(), *written(0, "1", "t", text, size=50), chunk(finish_reason="stop")]
    for parser in parsers:
        parser.invoke(AIMessage("", tool_calls=[{"name": "t", "args": args, "id": "1"}]))
        for _ in parser.transform(iter(pieces)):
            pass


MARKUP: dict[str, list[str]] = {}


def markup(chance: random.Random) -> None:
    """A model's own markup, damaged or made up, becomes text, calls and invalid calls."""
    if not MARKUP:
        for name, form in FORMATS.items():
            MARKUP[name] = [word for word in _strings(form) if word]
    name = chance.choice([*FORMATS])
    words = [*MARKUP[name] * 4, *MARKUP_WORDS, *LETTERS, *WORDS[:-6]]
    text = "".join(chance.choices(words, k=chance.randrange(40)))
    if chance.random() < 0.3:
        text += chance.choice(words) * chance.randrange(3_000)
    finish = chance.choice(["stop", "length", "tool_calls", None])
    thinking = chance.random() < 0.3
    found = read_markup(name, pieces_of(text, chance), [NOTE], finish=finish, thinking=thinking)
    for call in found.good:
        json.dumps(call.args, allow_nan=False)


NOTE = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "number": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
MARKUP_WORDS = [
    *(
        "note",
        "text",
        "number",
        "tags",
        '{"name": "note", "arguments": {"text": "a"}}',
        "<function=",
    ),
    *(
        "<parameter=text>",
        "</parameter>",
        "</function>",
        "note(text='a')",
        "<invoke name=",
        "<arg_key>",
    ),
    *("</arg_key>", "<arg_value>", "</arg_value>", "functions.note:0", "</invoke>", ">"),
]


def _strings(form: Any) -> list[str]:
    """Every text that stands in the description of a format."""
    if isinstance(form, str):
        return [form]
    if isinstance(form, tuple | list | frozenset):
        return [text for one in form for text in _strings(one)]
    if hasattr(form, "__slots__"):
        return [text for slot in form.__slots__ for text in _strings(getattr(form, slot))]
    return []


def add(a: int) -> int:
    """Add one."""
    return a + 1


async def wait(a: int) -> int:
    """Wait."""
    await asyncio.sleep(0)
    return a


def cancellations(chance: random.Random) -> None:
    """A run that is cancelled, left or raised in at any step leaves no task and no open model."""
    asyncio.run(_cancelled(chance))


async def _cancelled(chance: random.Random) -> None:
    tools = ToolSet([add, wait], read_only=chance.choice([True, ["add"], ()]))
    calls = [
        piece
        for index in range(chance.randrange(1, 5))
        for piece in written(index, f"c{index}", chance.choice(["add", "wait"]), '{"a": 1}')
    ]
    error = ConnectionError("gone") if chance.random() < 0.2 else None
    llm = ScriptedChat(chunks=[*calls, chunk(finish_reason="tool_calls")], error=error)
    chain: Any = llm | ToolStreamParser(tools) | tools.map()
    source = tool_events(chain, "q", tools=tools) if chance.random() < 0.5 else chain.astream("q")
    most = chance.randrange(20)

    async def run(source: Any) -> None:
        count = 0
        async for _ in source:
            count += 1
            if count > most:
                return

    before = asyncio.all_tasks()
    task = asyncio.create_task(run(source))
    for _ in range(chance.randrange(60)):
        await asyncio.sleep(0)
    if chance.random() < 0.7:
        task.cancel()
    with suppress(asyncio.CancelledError, ConnectionError):
        await task
    del source, task
    assert await comes_true(lambda: asyncio.all_tasks() <= before), asyncio.all_tasks()
    assert await comes_true(lambda: llm.closed == (llm.produced > 0)), (llm.closed, llm.produced)


TARGETS: dict[str, Callable[[random.Random], None]] = {
    "recordings": recordings,
    "json": json_text,
    "values": json_values,
    "markup": markup,
    "schemas": schemas,
    "cancellations": cancellations,
}


class SlowError(BaseException):
    """A case took too long."""


def _alarm(*_: object) -> None:
    raise SlowError


def run(target: str, seed: int) -> None:
    """Run one case, and hold what it may take and leave."""
    before = _open()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        TARGETS[target](random.Random(f"{target} {seed}"))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    end = time.monotonic() + SECONDS  # a tool in a thread is left to end by itself
    while (more := _open() - before) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert not more, f"left open: {more}"


def _open() -> Counter[str]:
    files = Path("/proc/self/fd")
    return Counter(
        threads=threading.active_count(), files=len([*files.iterdir()]) if files.exists() else 0
    )


def main() -> int:
    """Run cases until the time is over. Returns 1 where one failed."""
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(10**9))
    seconds = float(os.environ.get("FUZZ_SECONDS") or 60)
    targets = [name for name in TARGETS if os.environ.get("FUZZ_TARGET") in (None, "", name)]
    logging.disable()  # it tells of threads that are left behind, as it should
    signal.signal(signal.SIGVTALRM, _alarm)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    print(f"FUZZ_SEED={seed}, {', '.join(targets)} for {seconds:g} s", flush=True)
    end, done, failed = time.monotonic() + seconds, Counter[str](), Counter[str]()
    while True:
        for target in targets:
            done[target] += 1
            try:
                run(target, seed)
            except (Exception, SlowError):  # noqa: BLE001 - whatever it is, it breaks the promise
                failed[target] += 1
                traceback.print_exc(limit=-6)
                print(f"FUZZ_SEED={seed} FUZZ_TARGET={target} FUZZ_SECONDS=0 make fuzz", flush=True)
        seed += 1
        if time.monotonic() >= end:
            break
    print(", ".join(f"{name} {done[name]} ({failed[name]} failed)" for name in targets))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
