"""Words to write a message with, to cut it in every way, and to say what must come of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from langchain_toolstream.core.calls import (
    ToolCallAssembler,
)
from langchain_toolstream.core.events import (
    ArgumentDelta,
    ArgumentFinish,
    CallEvent,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)

Fragment = dict[str, Any]
Delta = list[Fragment]


@dataclass(frozen=True)
class Tool:
    """A tool as the rules see one: its required fields, and what a wrong type is told."""

    required: tuple[str, ...] = ()
    read_only: bool = False
    types: Mapping[str, type] = field(default_factory=dict)
    optional: bool = False  # whether it has more fields

    @property
    def takes_arguments(self) -> bool:
        return bool(self.types) or self.optional

    def validate(self, args: dict[str, Any]) -> str | None:
        for name in self.required:
            if name not in args:
                return f"Field required at $.{name}"
        for name, kind in self.types.items():
            if name in args and type(args[name]) is not kind:
                return f"Expected {kind.__name__!r} at $.{name}"
        return None


TOOLS = {
    "look": Tool(("city",), read_only=True, types={"city": str, "days": int}),
    "list": Tool(read_only=True),
    "save": Tool(("path",), types={"path": str}),
    "stop": Tool(optional=True),
}

OSLO = {"city": "Oslo", "days": 10}
ROME = {"city": "Rome"}
FILE = {"path": 'a/b "c".txt', "content": "x = {[é🎉]}\n\\"}
OSLO_TEXT, ROME_TEXT, FILE_TEXT = (json.dumps(args) for args in (OSLO, ROME, FILE))


def f(
    index: object = None,
    call_id: object = None,
    name: object = None,
    args: object = None,
    **more: object,
) -> Fragment:
    """A fragment of a call; what is not given is not in it."""
    fragment = {
        key: value for key, value in (("index", index), ("id", call_id)) if value is not None
    } | more
    function = {
        key: value for key, value in (("name", name), ("arguments", args)) if value is not None
    }
    return {**fragment, "function": function} if function else fragment


def whole(index: object, call_id: object, name: str, args: object) -> Delta:
    return [f(index, call_id, name, args)]


@dataclass(frozen=True)
class Call:
    """What became of a call."""

    name: str
    args: dict[str, Any] | None = None
    error: str | None = None  # a part of it
    id: str | None = None  # checked where given; "" for one that we made
    double: bool = False


def ok(
    name: str, args: dict[str, Any], call_id: str | None = None, *, double: bool = False
) -> Call:
    return Call(name, args, id=call_id, double=double)


def bad(name: str, error: str, call_id: str | None = None) -> Call:
    return Call(name, error=error, id=call_id)


@dataclass
class Seen:
    """One call as a reader of the events sees it."""

    start: ToolCallStart
    text: str = ""
    fields: list[ArgumentDelta | ArgumentFinish] = field(default_factory=list)
    ready: ToolCallReady | None = None
    end: ToolCallFinish | ToolCallInvalid | None = None

    @property
    def early(self) -> bool:
        return self.ready is not None and self.ready.early

    @property
    def revoked(self) -> bool:
        return isinstance(self.end, ToolCallInvalid) and self.end.revoked


def seen(events: Iterable[CallEvent], *, ended: bool = True) -> list[Seen]:
    """Sort events by call, and hold what is true of every stream of events."""
    calls: dict[str, Seen] = {}
    for event in events:
        if isinstance(event, ToolCallStart):
            assert event.id
            assert event.id not in calls
            calls[event.id] = Seen(event)
            continue
        call = calls[event.id]
        assert call.end is None, "nothing follows the end of a call"
        match event:
            case ToolCallDelta(args=text):
                assert text
                call.text += text
            case ArgumentDelta() | ArgumentFinish():
                call.fields.append(event)
            case ToolCallReady():
                assert call.ready is None
                assert call.start.name == event.name
                assert json.loads(call.text) == event.args
                call.ready = event
            case ToolCallFinish():
                assert call.ready is not None
                assert (event.name, event.args) == (call.ready.name, call.ready.args)
                call.end = event
            case ToolCallInvalid():
                assert event.error
                assert event.revoked == (call.ready is not None)
                call.end = event
    for call in calls.values():
        assert call.end is not None or not ended
        if call.ready is not None:
            assert json.loads(call.text) == call.ready.args
    result = sorted(calls.values(), key=lambda call: call.start.index)
    assert [call.start.index for call in result] == list(range(len(calls))) or not ended
    return result


def run(
    deltas: Iterable[Delta],
    finish_reason: str | None = "tool_calls",
    *,
    tools: Mapping[str, Tool] | None = TOOLS,
    fields: bool = False,
) -> list[Seen]:
    """Feed a message, the finish reason with its last delta, and close."""
    message = ToolCallAssembler(tools, fields=fields)
    deltas = list(deltas)
    events: list[CallEvent] = []
    for number, fragments in enumerate(deltas, 1):
        reason = finish_reason if number == len(deltas) else None
        events += message.feed({"tool_calls": fragments}, finish_reason=reason)
    events += message.close(finish_reason)
    assert message.close(finish_reason) == []
    return seen(events)


def check(calls: Sequence[Seen], expected: Sequence[Call]) -> None:
    assert [call.start.name for call in calls] == [call.name for call in expected]
    for call, wanted in zip(calls, expected, strict=True):
        if wanted.error is not None:
            assert isinstance(call.end, ToolCallInvalid), wanted
            assert wanted.error in call.end.error
            assert call.end.name == wanted.name
        else:
            assert isinstance(call.end, ToolCallFinish), call.end
            assert repr(call.end.args) == repr(wanted.args)
            assert call.ready is not None
            assert call.ready.double_encoded == wanted.double
        if wanted.id == "":
            assert call.start.id.startswith("call_")
            assert len(call.start.id) == 29
        elif wanted.id is not None:
            assert call.start.id == wanted.id


def other_ways(deltas: Sequence[Delta]) -> Iterator[list[Delta]]:
    """The same message cut and dressed otherwise, with the same verdicts."""
    yield [[fragment for delta in deltas for fragment in delta]]
    yield [[fragment] for delta in deltas for fragment in delta]
    yield [part for delta in deltas for part in ([], delta, [])]
    yield [[flat(fragment) for fragment in delta] for delta in deltas]
    yield [[explicit(fragment) for fragment in delta] for delta in deltas]
    yield [
        [piece]
        for delta in deltas
        for fragment in delta
        for piece in cut(fragment, range(1, len(text_of(fragment))))
    ]
    for number, delta in enumerate(deltas):
        for place, fragment in enumerate(delta):
            for i in range(1, len(text_of(fragment))):
                first, second = cut(fragment, [i])
                before, after = delta[:place], delta[place + 1 :]
                yield [
                    *deltas[:number],
                    [*before, first],
                    [second, *after],
                    *deltas[number + 1 :],
                ]


def text_of(fragment: Fragment) -> str:
    function = fragment.get("function")
    args = (function if isinstance(function, dict) else fragment).get("arguments")
    return args if isinstance(args, str) else ""


def cut(fragment: Fragment, places: Iterable[int]) -> list[Fragment]:
    """Cut the argument text of a fragment: the first piece has the name, and each the id."""
    text = text_of(fragment)
    places = [0, *places, len(text)]
    parts = [text[i:j] for i, j in pairwise(places)]
    if len(parts) == 1:
        return [fragment]
    function = fragment.get("function")
    first, *rest = (
        {**fragment, "function": {**function, "arguments": part}}
        if isinstance(function, dict)
        else {**fragment, "arguments": part}
        for part in parts
    )
    for piece in rest:
        (piece["function"] if isinstance(function, dict) else piece).pop("name", None)
    return [first, *rest]


def flat(fragment: Fragment) -> Fragment:
    """LangChain's `tool_call_chunks`."""
    function = fragment.get("function") or {}
    named = {"args" if key == "arguments" else key: value for key, value in function.items()}
    return {key: value for key, value in fragment.items() if key != "function"} | named


def explicit(fragment: Fragment) -> Fragment:
    """Every key that a strict server writes, with null for what is absent."""
    if "function" not in fragment and fragment.keys() & {"name", "arguments"}:
        return fragment
    function = {"name": None, "arguments": None, **(fragment.get("function") or {})}
    return {"index": None, "id": None, "type": None, **fragment, "function": function}


def verdicts_hold(
    deltas: Sequence[Delta], expected: Sequence[Call], finish_reason: str = "tool_calls", **how: Any
) -> None:
    """Check a case as it is, then cut and dressed in every other way.

    Which id a late one loses to depends on the cut, so that is checked as it is only.
    """
    check(run(deltas, finish_reason, **how), expected)
    any_id = [replace(call, id=None) for call in expected]
    for other in other_ways(deltas):
        check(run(other, finish_reason, **how), any_id)


LOOK_OSLO = ok("look", OSLO)
SAVE_FILE = ok("save", FILE)
HEAD, TAIL = OSLO_TEXT[:9], OSLO_TEXT[9:]
