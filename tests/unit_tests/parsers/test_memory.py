"""What wide and deep arguments take of memory, on every road that tells of each value in them."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage
from pydantic import BaseModel

from langchain_toolstream import PartialToolsParser, Streamed, ToolStreamParser, tool_events
from langchain_toolstream.compat import JsonOutputToolsParser
from langchain_toolstream.core.calls import MAX_FIELDS, ToolCallAssembler
from langchain_toolstream.vllm.structured.parser import JSONForm

WIDE, DEEP = 30_000, 120
DEEP_TEXT = f'{{"a": {"[" * DEEP}{",".join(["1"] * WIDE)}{"]" * DEEP}}}'
LISTS_TEXT = f'{{"a": [{",".join(["[]"] * WIDE)}]}}'
SLICE = 20 * 2**20
"""What the events of two slices of text take at any depth. All of this text took 35 MB."""


def save(a: Any) -> str:
    """Save a value."""
    return str(a)


def write(text: Streamed[str], a: Any = None) -> str:
    """Write a text."""
    return f"{text}{a}"


class Answer(BaseModel):
    a: Any


def chunk(args: str, call_id: str | None = "c", name: str = "save") -> AIMessageChunk:
    part = {"name": name, "args": args, "id": call_id, "index": 0, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", tool_call_chunks=[part])


END = AIMessageChunk(content="", response_metadata={"finish_reason": "tool_calls"})


def views(*chunks: BaseMessage) -> Any:
    *_, last = PartialToolsParser([save]).transform(iter(chunks))
    return last.tool_call["args"]


def items(*chunks: BaseMessage) -> Any:
    return {"a": [*PartialToolsParser([save]).items("a").transform(iter(chunks))]}


def calls(*chunks: BaseMessage) -> Any:
    *_, last = ToolStreamParser([save, write]).transform(iter(chunks))
    return last[0]["args"]


def stock(*chunks: BaseMessage) -> Any:
    *_, last = JsonOutputToolsParser().transform(iter(chunks))
    return last[0]["args"]


def events(*chunks: BaseMessage) -> Any:
    for event in tool_events(iter(chunks)):
        if event.type == "tool-call-ready":
            args = event.args
    return args


def answer(*chunks: Any) -> Any:
    form = JSONForm(None, grows=True)
    for one in chunks:
        for part in one.tool_call_chunks:
            form.feed(part["args"])
    form.close()
    return form._json.value


def same(args: Any, text: str) -> bool:
    """Without the difference, whose printing would take minutes."""
    return bool(args == json.loads(text))


def peak(road: Callable[..., Any], *chunks: BaseMessage) -> tuple[int, Any]:
    tracemalloc.start()
    try:
        args = road(*chunks)
        return tracemalloc.get_traced_memory()[1], args
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("road", [views, items, calls, stock, events, answer])
def test_takes_less_than_20_mb(road: Any) -> None:
    most, args = peak(road, chunk(DEEP_TEXT), END)
    assert same(args, DEEP_TEXT)
    assert most < SLICE


def test_a_list_of_lists_takes_a_few_times_the_value() -> None:
    least, _ = peak(json.loads, LISTS_TEXT)  # type: ignore[arg-type]
    most, args = peak(views, chunk(LISTS_TEXT), END)
    assert same(args, LISTS_TEXT)
    assert most < 4 * least + SLICE / 4


@pytest.mark.parametrize("road", [views, items])
def test_also_where_the_id_comes_at_the_end(road: Any) -> None:
    most, args = peak(road, chunk(DEEP_TEXT, None), END)
    assert same(args, DEEP_TEXT)
    assert most < SLICE


@pytest.mark.parametrize("road", [stock, events])
def test_also_of_json_in_json(road: Any) -> None:
    most, args = peak(road, chunk(json.dumps(DEEP_TEXT)), END)
    assert same(args, DEEP_TEXT)
    assert most < SLICE


def test_items_of_a_call_without_an_id_come_one_by_one() -> None:
    values = [{"n": n} for n in range(1000)]
    message = chunk(json.dumps({"a": values}), None)
    assert items(message, END) == {"a": values}


def test_a_long_piece_gives_one_view_of_all_that_it_says() -> None:
    text = json.dumps({"a": ["x" * 50] * 2000})[:-4]
    *_, view = PartialToolsParser([save]).transform(iter([chunk(text)]))
    shown = [*PartialToolsParser([save]).transform(iter([chunk(text[:10]), chunk(text[10:])]))]
    assert len(shown) == 3
    assert view.args["a"][:-1] == ["x" * 50] * 1999
    assert ("a", 1998) in view.finished


def fields(*pieces: str) -> Iterator[Any]:
    message = ToolCallAssembler(fields=True, text=False)
    for piece in pieces:
        function = {"name": "save", "arguments": piece}
        yield from message.feed({"tool_calls": [{"index": 0, "id": "c", "function": function}]})
    yield from message.close("stop")


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_message_has_a_bounded_number_of_fields(size: int) -> None:
    text = json.dumps({"list": [0] * 2 * MAX_FIELDS, "object": {"a": "b"}, "text": "c"})
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    told = [event for event in fields(*pieces) if event.type == "argument-finish"]
    assert len(told) == MAX_FIELDS + 3
    assert [event.path for event in told[-3:]] == [("list",), ("object",), ("text",)]
    texts = [event for event in fields(*pieces) if event.type == "argument-delta"]
    assert [event.path for event in texts] == [("text",)]


@pytest.mark.parametrize("count", [10, 1000])
def test_fields_of_a_call_without_an_id_are_told(count: int) -> None:
    message = ToolCallAssembler(fields=True, text=False)
    text = json.dumps({"list": [0] * count, "text": "c"})
    told = message.feed({"tool_calls": [{"index": 0, "name": "save", "arguments": text}]})
    told += message.close("stop")
    finished = {event.path: event.value for event in told if event.type == "argument-finish"}
    assert finished[("list",)] == [0] * count
    assert finished[("text",)] == "c"
