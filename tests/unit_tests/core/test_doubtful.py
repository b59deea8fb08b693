"""Where a wire leaves a doubt, no call runs that the model did not write."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.completion import CompletionStream
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import (
    Event,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
)
from tests.doubtful import (
    NO_PARAMETERS,
    Call,
    Fragment,
    Wire,
    in_order,
    in_turns,
    plain,
    wires,
    with_ids,
)

WIRES = list(wires())
KINDS = sorted({wire.kind for wire in WIRES})


def finished(events: Sequence[Event]) -> list[Call]:
    return [(event.name, event.args) for event in events if isinstance(event, ToolCallFinish)]


def not_written(calls: Sequence[Call], written: Sequence[Call]) -> list[Call]:
    left = list(written)
    return [call for call in calls if call not in left or left.remove(call)]


def read(wire: Wire, **how: Any) -> tuple[list[Event], bool]:
    stream = CompletionStream(no_parameters=NO_PARAMETERS, **how)
    events: list[tuple[int, Event]] = []
    try:
        for chunk in wire.chunks:
            events += stream.feed(chunk)
        return [event for _, event in [*events, *stream.close()]], False
    except StreamInterruptedError:
        return [event for _, event in [*events, *stream.abort("interrupted")]], True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passed", [False, True])
def test_no_call_runs_that_was_not_written(kind: str, *, passed: bool) -> None:
    chosen = [wire for wire in WIRES if wire.kind == kind]
    assert len(chosen) >= 10
    for wire in chosen:
        events, raised = read(wire, passed=passed)
        assert raised == wire.raises, wire.id
        assert not not_written(finished(events), wire.written), wire.id
        assert not not_written(wire.sure, finished(events)), wire.id
        if not raised:  # nothing was given out that had to be taken back
            assert not any(isinstance(e, ToolCallInvalid) and e.revoked for e in events), wire.id


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_run_says_why(kind: str) -> None:
    for wire in WIRES:
        if wire.kind == kind and not wire.raises:
            events, _ = read(wire)
            told = [event.error for event in events if isinstance(event, ToolCallInvalid)]
            assert all(error.endswith(".") for error in told), told
            assert told or len(finished(events)) == len(wire.written), wire.id


# Random damage to a wire that is right.

ARGS = st.dictionaries(
    st.sampled_from(["path", "n", "x"]),
    st.sampled_from([1, 10, "a}", 'b", "c', [1, 2], None, {"q": 1}, "é🎉"]),
    max_size=3,
)
NAMES = st.permutations(["read", "write", "purge"])
DAMAGE = st.tuples(
    st.integers(0, 40),
    st.sampled_from(["index", "id"]),
    st.sampled_from(["drop", "null", "change", "spell"]),
)
SPELLINGS: tuple[Callable[[int], Any], ...] = (str, float, lambda index: str(float(index)))


@st.composite
def messages(draw: st.DrawFn, least: int = 1) -> tuple[Call, ...]:
    names = draw(NAMES)
    return tuple((name, draw(ARGS)) for name in names[: draw(st.integers(least, 3))])


def damage(
    fragments: list[Fragment], damages: Sequence[tuple[int, str, str]], *, intact: str = ""
) -> list[Fragment]:
    """Drop identity fields, spell them otherwise, or change them to what no other call has."""
    for number, (place, key, what) in enumerate(damages):
        fragment = fragments[place % len(fragments)]
        if what == "spell":
            if type(fragment.get("index")) is int:
                fragment["index"] = SPELLINGS[number % 3](fragment["index"])
        elif key == intact:
            pass
        elif what == "drop":
            fragment.pop(key, None)
        elif what == "null":
            fragment[key] = None
        else:
            fragment[key] = 100 + number if key == "index" else f"new_{number}"
    return fragments


@st.composite
def damaged(draw: st.DrawFn, message: tuple[Call, ...], intact: str = "") -> list[Fragment]:
    order = draw(st.sampled_from([in_order, in_turns]))
    fold = with_ids if intact == "id" else draw(st.sampled_from([plain, with_ids]))
    fragments = [fold(piece) for piece in order(message, draw(st.integers(1, 12)))]
    return damage(fragments, draw(st.lists(DAMAGE, max_size=6)), intact=intact)


def run(fragments: Sequence[Fragment], sizes: Sequence[int], **how: Any) -> list[Event]:
    assembler = ToolCallAssembler(**how)
    events: list[Event] = []
    rest = list(fragments)
    for size in sizes:
        some, rest = rest[:size], rest[size:]
        events += assembler.feed({"tool_calls": some})
    events += assembler.feed({"tool_calls": rest})
    return [*events, *assembler.close("tool_calls")]


SIZES = st.lists(st.integers(1, 3), max_size=8)


@settings(max_examples=500)
@given(st.data())
def test_whatever_runs_of_a_damaged_wire_was_written(data: st.DataObject) -> None:
    message = data.draw(messages())
    events = run(data.draw(damaged(message)), data.draw(SIZES))
    assert not not_written(finished(events), message)


@settings(max_examples=200)
@given(st.data())
@pytest.mark.parametrize("intact", ["id", "index"])
def test_intact_ids_or_indexes_lose_nothing(intact: str, data: st.DataObject) -> None:
    message = data.draw(messages())
    fragments = data.draw(damaged(message, intact))
    if intact == "index":  # a changed id beside it would be another call's
        for fragment in fragments:
            fragment.pop("id", None)
    calls = finished(run(fragments, data.draw(SIZES)))
    assert sorted(map(json.dumps, calls)) == sorted(map(json.dumps, message))


@settings(max_examples=200)
@given(st.data())
def test_where_one_call_is_open_nothing_is_lost(data: st.DataObject) -> None:
    """Indexes and ids dropped at random; a first fragment keeps one of them."""
    message = tuple((name, args or {"x": 1}) for name, args in data.draw(messages()))
    fragments = [plain(piece) for piece in in_order(message, data.draw(st.integers(1, 12)))]
    drops = data.draw(st.lists(st.sampled_from(["index", "id", ""]), min_size=1, max_size=9))
    for number, fragment in enumerate(fragments):
        fragment.pop(drops[number % len(drops)], None)
    calls = finished(run(fragments, data.draw(SIZES)))
    assert sorted(map(json.dumps, calls)) == sorted(map(json.dumps, message))


@settings(max_examples=200)
@given(st.data())
def test_what_is_ready_early_is_not_doubted_later(data: st.DataObject) -> None:
    message = data.draw(messages(least=2))
    events = run(data.draw(damaged(message)), data.draw(SIZES), passed=True)
    early = [(e.name, e.args) for e in events if isinstance(e, ToolCallReady) and e.early]
    assert not not_written(early, message)
