"""Rule 10: a call whose tool reads one argument while it is written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.events import (
    ArgumentDelta,
    CallEvent,
    ToolCallInvalid,
    ToolCallProvisional,
    ToolCallReady,
)
from tests.unit_tests.core.messages import Tool


@dataclass(frozen=True)
class Writer(Tool):
    """A tool that reads `text` while it is written."""

    others: frozenset[str] = frozenset()

    @property
    def streamed(self) -> tuple[str, frozenset[str]]:
        return "text", self.others


TOOLS: Any = {
    "write": Writer(
        ("path", "text"), types={"path": str, "text": str}, others=frozenset({"path", "mode"})
    ),
    "say": Writer(("text",), types={"text": str}),
    "look": Writer(("text",), read_only=True, types={"text": str}),
}
TEXT = 'a "b" \n é🎉 {[end'


def message(**how: Any) -> ToolCallAssembler:
    return ToolCallAssembler(TOOLS, text=False, provisional=True, **how)


def fragment(args: str, name: str | None = None, index: int = 0) -> dict[str, Any]:
    call_id = f"call_{index}" if name else None
    return {"tool_calls": [{"index": index, "id": call_id, "name": name, "args": args}]}


def in_pieces(
    name: str, args: str, size: int, finish_reason: str = "stop", **how: Any
) -> Iterator[list[CallEvent]]:
    """Each piece's events, then those of the end."""
    assembler = message(**how)
    yield assembler.feed(fragment("", name))
    for at in range(0, len(args), size):
        yield assembler.feed(fragment(args[at : at + size]))
    yield assembler.close(finish_reason)


def kinds(events: list[CallEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def flat(batches: Iterator[list[CallEvent]]) -> list[CallEvent]:
    return [event for events in batches for event in events]


def read(events: list[CallEvent]) -> str:
    """What a tool reads."""
    return "".join(
        event.text for event in events if isinstance(event, ToolCallProvisional | ArgumentDelta)
    )


ARGS = {"path": "p", "mode": 1, "text": TEXT}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_pieces_are_the_text(size: int, *, ascii_only: bool) -> None:
    args = json.dumps(ARGS, ensure_ascii=ascii_only)
    events = flat(in_pieces("write", args, size))
    provisional = [event for event in events if isinstance(event, ToolCallProvisional)]
    assert [(e.id, e.name, e.args, e.streamed) for e in provisional] == [
        ("call_0", "write", {"path": "p", "mode": 1}, "text")
    ]
    assert read(events) == TEXT
    (ready,) = [event for event in events if isinstance(event, ToolCallReady)]
    assert (ready.args, ready.early) == (ARGS, False)


@pytest.mark.parametrize(
    ("args", "announced_at"),
    [
        ('{"path": "p", "mode": 1, "text": "abc"}', '{"path": "p", "mode": 1, "text": "'),
        ('{"mode": 1, "path": "p", "text": "abc"}', '{"mode": 1, "path": "p", "text": "'),
        # An optional argument may still come, so nothing starts; here none does.
        ('{"path": "p", "text": "abc"}', None),
        # The text comes first: the tool starts at the last of the others, and has all of it.
        ('{"text": "abc", "path": "p", "mode": 1 }', '{"text": "abc", "path": "p", "mode": 1 '),
        (
            '{"path": "p", "text": "abc", "mode": [1, 2] }',
            '{"path": "p", "text": "abc", "mode": [1, 2]',
        ),
        # A number may still grow.
        ('{"path": "p", "text": "abc", "mode": 12}', None),
        # Not valid, so it will never be a call.
        ('{"path": 1, "mode": 1, "text": "abc"}', None),
        ('{"path": "p", "mode": 1, "text": {"a": "b"}}', None),
        ('{"path": "p", "mode": 1, "other": {"text": "abc"}}', None),
        # An argument by another name may follow; what it does is for the schema to say.
        ('{"path": "p", "mode": 1, "text": "abc", "x": 1}', '{"path": "p", "mode": 1, "text": "'),
        # The whole of it as a string is read only when it is whole.
        (json.dumps('{"path": "p", "mode": 1, "text": "abc"}'), None),
    ],
)
def test_it_starts_when_all_others_are_complete(args: str, announced_at: str | None) -> None:
    """One character at a time: at none earlier, at none later."""
    batches = list(in_pieces("write", args, 1))
    at = next(
        (n for n, events in enumerate(batches) if "ToolCallProvisional" in kinds(events)), None
    )
    assert (None if at is None else args[:at]) == announced_at


def test_a_whole_call_in_one_piece_needs_no_such_start() -> None:
    assert "ToolCallProvisional" not in kinds(flat(in_pieces("write", json.dumps(ARGS), 1000)))


def test_only_readers_that_ask_are_told() -> None:
    assembler = ToolCallAssembler(TOOLS, text=False)
    events = assembler.feed(fragment('{"text": "a', "say")) + assembler.close("stop")
    assert kinds(events) == ["ToolCallStart", "ToolCallInvalid"]


@pytest.mark.parametrize("reason", ["length", "abort", "content_filter"])
@pytest.mark.parametrize("end", ["", '"}'])
def test_a_call_that_was_cut_is_revoked(reason: str, end: str) -> None:
    """Also where the server's parser closed it."""
    events = flat(in_pieces("say", '{"text": "abc' + end, 3, reason))
    (invalid,) = [event for event in events if isinstance(event, ToolCallInvalid)]
    assert invalid.revoked
    assert "ToolCallReady" not in kinds(events)


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ('\x00"}', "not JSON"),
        ('"} and so on', "followed"),
        ('", "text": "again"}', "not JSON"),
        ('"}{"text": "b"}', "followed"),
    ],
)
def test_a_call_that_goes_wrong_is_revoked_at_once(tail: str, error: str) -> None:
    assembler = message()
    assert kinds(assembler.feed(fragment('{"text": "abc', "say"))) == [
        "ToolCallStart",
        "ToolCallProvisional",
    ]
    events = assembler.feed(fragment(tail))
    (invalid,) = [event for event in events if isinstance(event, ToolCallInvalid)]
    assert invalid.revoked
    assert error in invalid.error
    assert kinds(assembler.close("stop")) == []


def test_a_call_whose_end_does_not_fit_is_revoked_at_once() -> None:
    """Here by a validator that asks for the whole text."""

    class Long(Writer):
        def validate(self, args: dict[str, Any]) -> str | None:
            return "too long" if len(args["text"]) > 5 else None

    assembler = ToolCallAssembler({"say": Long()}, text=False, provisional=True)
    assembler.feed(fragment('{"text": "abc', "say"))
    events = assembler.feed(fragment('def"}'))
    assert kinds(events) == ["ArgumentDelta", "ToolCallInvalid"]


def test_nothing_starts_in_a_chunk_that_says_the_message_was_cut() -> None:
    events = message().feed(fragment('{"text": "abc', "say"), finish_reason="length")
    assert "ToolCallProvisional" not in kinds(events)


def test_a_call_that_another_reader_refuses_is_revoked() -> None:
    assembler = message()
    assembler.feed(fragment('{"text": "abc', "say"))
    events = assembler.feed({}, rejected={"call_0": "It is none."})
    assert [e.revoked for e in events if isinstance(e, ToolCallInvalid)] == [True]


def test_an_interrupted_call_is_revoked() -> None:
    assembler = message()
    assembler.feed(fragment('{"text": "abc', "say"))
    assert [e.revoked for e in assembler.abort("gone") if isinstance(e, ToolCallInvalid)] == [True]


def test_a_read_only_call_is_ready_when_it_closes() -> None:
    assembler = message()
    assembler.feed(fragment('{"text": "abc', "look"))
    assert kinds(assembler.feed(fragment('"}'))) == ["ToolCallReady"]


def test_others_start_beside_it() -> None:
    """It is provisional, so what comes before it need not be confirmed."""
    assembler = message()
    assembler.feed(fragment('{"path": "p"}', "write"))
    events = assembler.feed(fragment('{"text": "abc', "say", 1))
    assert "ToolCallProvisional" in kinds(events)


def test_with_fields_the_pieces_come_once() -> None:
    events = flat(in_pieces("say", '{"text": "abcdef"}', 1, fields=True))
    deltas = [event.text for event in events if isinstance(event, ArgumentDelta)]
    assert "".join(deltas) == "abcdef"
