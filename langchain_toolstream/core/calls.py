"""When a call is a call: the rules, and the only place where they are decided.

A server streams tool calls as fragments, `{"index", "id", "function": {"name", "arguments"}}`, and
vLLM's forty tool-call parsers, older releases and other servers disagree about every part of that.
`ToolCallAssembler` folds the fragments of one message into calls, and `core.completion` reads whole
response chunks and keeps one assembler for each choice.

A call goes through these states, and no other module may second-guess them:

```text
open ──root object closes──> closed ──message ends, nothing against it──> confirmed
  │                            │
  └── not JSON, cut, doubtful, └── later text contradicts it (revoked), or it was the last call
      its tool says no             of a message that was cut
                    └──────────────┴──> invalid
```

1. **Which call.** By (choice, index), the index in any spelling of a whole number. The first
   non-empty id and name win, equal repeats mean nothing, and another name that is not under the
   call's own id makes the call invalid. A new id on a known index opens a new call. A new index is
   that of the call whose id stands beside it, else that of the only open call that has none.
   No index: by id, else the *only* open call, else, if none is open and there is no name either,
   the call written last, else a new one. A call is open while its object is not closed; one whose
   tool has no parameters does not count. A call gets an id from us when its name is known and one
   more fragment has come without one, or when another call of the message has the same.

   **Doubt** is not a guess. Where two readings are left, neither runs:
   - A piece without index and id, while several calls are open, makes all of them invalid; so does
     one whose index says one open call and whose id another, or whose id two open calls share. Its
     place in the list tells nothing: one list may hold several entries of one call.
   - Arguments that found no named call make invalid every call without arguments (but for tools
     without parameters), every call whose arguments began before its name, and every call that was
     open when they began: a piece of it may be missing. Text that contradicts a closed call makes
     every call invalid of which no arguments came at all (but for tools without parameters).
   - A call without arguments (but for tools without parameters) whose index went on under another
     id is invalid, and so is the call that took the index, unless arguments came with its name.
   - Of one id, name and arguments at several indexes the first stands; each repetition is invalid.
     Where only one of two calls with the same id and name has arguments, the other is invalid.

2. **Every entry counts.** One list may hold several entries of one call, of several calls, in any
   order. `null`, `""` and a missing key are the same at every level.
3. **JSON.** Strict (`core.json`). No arguments at all (`""`, `null`, blank) mean `{}`. Arguments
   that come as an object are taken as they are.
4. **Finished values.** A number or literal is finished at its delimiter only; a string comes in
   pieces that never split an escape or a character (`core.json`).
5. **Closed** is when the root object closes. White space, closing brackets and the identical object
   again may follow and mean nothing; anything else **revokes** the call.
6. **Confirmed** is a call at the end of the message that is closed, not revoked, not doubtful, and
   not the last one (opened or written to) of a message that ended by `length`, `abort`,
   `repetition` or `content_filter`: seven vLLM parsers close cut JSON themselves, in that same
   chunk. Where the reader gave its tools, the call's own tool says whether its name and arguments
   fit; without them, the wire alone decides. An error event, or an end without a finish reason,
   confirms nothing and raises. So does an answer that another one was glued to (`core.completion`):
   a role and nothing else after output, a role that returns under another chunk id, a chunk id that
   two chunks with output shared and that gives way to another, output behind the finish reason. A
   whole, non-streamed answer that used up `max_tokens` was cut, whatever its finish reason says:
   vLLM says `tool_calls` there and leaves the cut parameter out.
7. **Finish reasons** decide nothing else. Nothing branches on `tool_calls` alone: named tool choice
   says `stop`.
8. **Ready** is a call that may be started: a confirmed one; or, while the message goes on, a
   closed, valid call of a read-only tool, when no repetition of its object has begun behind it and
   every call before it is of a read-only tool too and ready or already invalid. A read never
   overtakes a write that the model put before it.
   A reader that cannot take a call back (`passed`) gets any tool's call in this way, but only when
   the arguments of a later one are being written: what truncation can spoil is the last call.
9. **No repair**, with one exception that loses nothing: arguments that are a JSON string which
   holds one strict JSON object are that object.
10. **Provisional** is a call of a tool that reads an argument while it is written: from the moment
    when all other arguments, optional ones too, are complete and valid and the text has begun. The
    text ends when the call is ready; an invalid call is revoked. This is the one exception to rule
    8, by the word of the tool's author, who does nothing lasting before.
11. **Usage** is the last that came, never a sum. **Reasoning** is `reasoning` or
    `reasoning_content`, never both.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from langchain_toolstream.core.arguments import BLANK, Arguments
from langchain_toolstream.core.deltas import (
    arguments_text,
    fragments_of,
    is_mapping,
    text_of,
    whole_number,
)
from langchain_toolstream.core.errors import JSONLimitError, JSONStreamError, quoted
from langchain_toolstream.core.events import (
    ArgumentDelta,
    ArgumentEvents,
    ArgumentFinish,
    CallEvent,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallProvisional,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.json import MAX_LENGTH, JSONEvent, JSONStream
from langchain_toolstream.core.strings import has_surrogate

MAX_CALLS = 128
"""Calls of one message. OpenAI allows 128 tools; a stream that opens more calls is looping."""

_TRUNCATING = (
    "length", "abort", "repetition", "content_filter", "error",
    "max_tokens", "max_output_tokens", "incomplete", "exceeded", "guardrail", "failed", "cancel",
    "safety", "recitation", "blocklist", "prohibited", "spii", "malformed",
)  # fmt: skip
# Words of finish reasons under which the last call cannot be trusted. The first five are vLLM's,
# the others those of Anthropic, Bedrock, Google and OpenAI's Responses API. As parts of a reason:
# a sum of chunks joins the reasons of several ("lengthlength").

_FRAGMENTS_BEFORE_AN_ID_IS_MADE = 2

_STRAY = (
    "The server sent arguments that belong to no named call, and they may be this call's, so what "
    "its arguments are cannot be told."
)
_LEFT = (
    "An index went on under another id before arguments came, so which of two calls they belong "
    "to cannot be told; this is one of them."
)
_REPEATED = "The server sent a call with this id and name before, under another index."


def is_truncating(finish_reason: str | None) -> bool:
    """Whether a message that ended for this reason was cut off.

    Args:
        finish_reason: As the server wrote it, in any case; `None` for not known.

    Returns:
        True for vLLM's `length`, `abort`, `repetition`, `content_filter` and `error`, and for what
        other providers say instead.
    """
    return finish_reason is not None and any(word in finish_reason.lower() for word in _TRUNCATING)


def unknown_tool(name: str, tools: Iterable[str]) -> str:
    """Say that a call's tool is not bound.

    Args:
        name: The name that was called.
        tools: The names that are bound.
    """
    bound = ", ".join(repr(one) for one in tools) or "none"
    return f"No tool {quoted(name)} is bound. Bound tools: {bound}."


def does_not_fit(problem: str) -> str:
    """Say that a tool's schema refuses the arguments.

    Args:
        problem: What does not fit, and where.
    """
    return f"The arguments do not fit the tool: {problem}."


class ToolSpec(Protocol):
    """What the rules ask of a bound tool."""

    @property
    def read_only(self) -> bool:
        """Whether running it for nothing does no harm."""
        ...

    @property
    def takes_arguments(self) -> bool:
        """Whether it has any parameters that the model may fill in."""
        ...

    @property
    def streamed(self) -> tuple[str, frozenset[str]] | None:
        """The argument that the tool reads while it is written, and the names of all others."""
        ...

    def validate(self, args: dict[str, Any]) -> str | None:
        """Say why the arguments do not fit, with the path, or nothing when they do."""
        ...


class _Call:
    """One call while it is written."""

    __slots__ = (
        "args", "arguments", "beside", "came_whole", "double_encoded", "error", "fields",
        "finished", "fragments", "held", "id", "index", "left_to", "name", "no_parameters",
        "provisional", "ready", "reported_invalid", "spec", "told", "undelivered", "wire_id",
        "wire_index",
    )  # fmt: skip

    def __init__(self, index: int, *, events: bool) -> None:
        self.index = index
        self.wire_index: int | None = None
        self.wire_id: str | None = None
        self.fragments = 0
        self.id = ""  # set when it is announced
        self.name = ""
        self.spec: ToolSpec | None = None
        self.no_parameters = False  # so none have to come
        self.came_whole = False  # whether its name and its first arguments came together
        self.beside: list[_Call] | None = None  # if its arguments began before its name: what was
        self.left_to: _Call | None = None  # which took its index               open at that time
        self.arguments = Arguments(events=events)
        self.held = False  # its text, as long as it may be a repetition
        self.undelivered: list[str] = []  # what readers have not been given yet
        self.fields: list[JSONEvent] = []  # likewise
        self.args: dict[str, Any] | None = None  # set when closed
        self.double_encoded = False
        self.error: str | None = None
        self.ready = False
        self.provisional = False
        self.finished = False
        self.reported_invalid = False  # by another reader, perhaps without a reason
        self.told = False  # the error is another reader's

    @property
    def waits(self) -> bool:
        """Whether its arguments have to come, or to go on."""
        return not (self.arguments.json.closed or self.no_parameters)

    @property
    def is_stray(self) -> bool:
        """Whether it is arguments that may belong to another call."""
        return self.beside is not None and (not self.name or self.error is not None)

    @property
    def is_bare(self) -> bool:
        """Whether it has no arguments, though its tool has parameters."""
        begun = self.arguments.json.value is not None and self.args is None
        return not (begun or self.args or self.no_parameters)

    @property
    def streamed(self) -> str | None:
        """The argument that its tool reads while it is written."""
        return self.spec.streamed[0] if self.spec is not None and self.spec.streamed else None

    def read(self, text: str) -> list[JSONEvent]:
        """Take the next piece of the arguments, up to the end of the root value."""
        found = self.arguments.read(text)
        if error := self.arguments.json.error:
            kind = "too large" if isinstance(error, JSONLimitError) else "not JSON"
            self.error = f"The arguments are {kind}: {error}."
        return found


class ToolCallAssembler:
    """Fold the deltas of one message into calls, by the rules at the top of this module.

    Args:
        tools: The bound tools by name. `None`: not known, so every name passes, nothing is
            validated and nothing is read-only.
        text: Whether to report `ToolCallDelta`, the arguments as text.
        fields: Whether to report `ArgumentDelta` and `ArgumentFinish`, field by field.
        growth: Whether to report the same as `ArgumentEvents`, with where each value begins, and
            the start and the finish of the arguments as a whole, the value at the path `()`.
        passed: Whether a call may become ready early when a later one is being written, whatever
            its tool, instead of when its tool is read-only (rule 8).
        provisional: Whether to report `ToolCallProvisional` (rule 10).
        no_parameters: The names of tools that have none in the request. Those of `tools` are known.
        run_id: Whose message it is, for the events, where there are several.

    Example:
        ```python
        from langchain_toolstream.core.calls import ToolCallAssembler

        message = ToolCallAssembler()
        message.feed({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add"}}]})
        message.feed({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 3}'}}]})
        ready, finish = message.close("stop")
        assert (ready.type, ready.id, ready.args) == ("tool-call-ready", "a", {"a": 3})
        ```
    """

    def __init__(  # noqa: PLR0913 - what a reader may ask for
        self,
        tools: Mapping[str, ToolSpec] | None = None,
        *,
        text: bool = True,
        fields: bool = False,
        growth: bool = False,
        passed: bool = False,
        provisional: bool = False,
        no_parameters: Collection[str] = (),
        run_id: str = "",
    ) -> None:
        """Start before the first delta."""
        self._tools = tools
        self._text = text
        self._fields = fields or growth
        self._growth = growth
        self._passed = passed
        self._provisional = provisional
        self._streaming: list[_Call] = []  # what may become provisional
        self._no_parameters = no_parameters
        self._run_id = run_id
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_wire_id: dict[str, list[_Call]] = {}
        self._by_id: dict[str, _Call] = {}
        self._next_start = 0
        self._next_ready = 0
        self._last_written: _Call | None = None
        self._cut_by: str | None = None
        self._has_stray_text = False  # whether a closed call was contradicted
        self._closed = False

    def feed(
        self,
        delta: Mapping[str, Any],
        *,
        finish_reason: str | None = None,
        rejected: Mapping[str, str] | None = None,
    ) -> list[CallEvent]:
        """Take the next delta of the message.

        Args:
            delta: OpenAI's `delta` object, or anything with LangChain's `tool_call_chunks` under
                `tool_calls`. Whatever else it holds is left alone.
            finish_reason: The reason that came in the same chunk, if one did. Where it says that
                the message was cut, nothing becomes ready any more.
            rejected: What another reader of the same message found wrong with its calls, by id;
                `ChatVLLM` says so in `response_metadata`.

        Returns:
            What became known, in order.
        """
        events: list[CallEvent] = []
        if self._closed:
            return events
        fragments = fragments_of(delta)
        call = self._go_on(fragments[0], events) if len(fragments) == 1 else None
        if call is None:
            for fragment in fragments:
                if is_mapping(fragment):
                    self._fold(fragment, events)
        elif call.error is None and not (finish_reason or rejected):
            return events
        for call_id, reason in (rejected or {}).items():
            known = self._by_wire_id.get(call_id)
            if call := self._by_id.get(call_id) or (known[0] if known else None):
                self._refuse(call, str(reason), events, told=True)
        if is_truncating(finish_reason):
            self._cut_by = finish_reason
        for call in self._streaming:
            if call.provisional and call.error is not None and not call.finished:
                self._invalidate(call, events)
        if self._cut_by is None:
            if self._streaming:
                self._streaming = [c for c in self._streaming if self._may_stream(c, events)]
            self._announce_early(events)
        return events

    def close(self, finish_reason: str | None = None) -> list[CallEvent]:
        """Say that the message ended, and judge every call that is not judged yet.

        Args:
            finish_reason: Why it ended, as far as the source says.

        Returns:
            For every confirmed call, in order, `ToolCallReady` (unless it was sent before) and
            `ToolCallFinish`; then a `ToolCallInvalid` for every other.
        """
        events: list[CallEvent] = []
        if self._closed:
            return events
        self._closed = True
        for call in self._calls:
            self._end(call, events)
        self._resolve_doubts(events)
        for call in self._calls:
            if call.arguments.json.value is None:  # the others are judged already
                self._judge(call)
        if is_truncating(finish_reason):
            self._cut_by = finish_reason
        if self._cut_by is not None and self._calls:
            for call in {self._calls[-1], self._last_written or self._calls[-1]}:
                if not call.told:
                    _blame_truncation(call, self._cut_by)
        for call in self._calls:
            if call.error is None and call.args is not None:
                self._be_ready(call, events, early=False)
                call.finished = True
                events.append(
                    ToolCallFinish(run_id=self._run_id, id=call.id, name=call.name, args=call.args)
                )
        for call in self._calls:
            if not call.finished:
                self._invalidate(call, events)
        return events

    def abort(self, reason: str) -> list[CallEvent]:
        """Say that the message was interrupted: no call of it is confirmed.

        Args:
            reason: What happened, for the calls that were not known to be wrong already.

        Returns:
            A `ToolCallInvalid` for every call, those that were ready included.
        """
        events: list[CallEvent] = []
        self._closed = True
        for call in self._calls:
            if not call.finished:
                self._start(events, through=call)
                call.error = call.error or reason
                self._deliver(call, events)
                self._invalidate(call, events)
        return events

    def arguments(self, call_id: str) -> JSONStream:
        """What reads a call's arguments, to be looked at only.

        Args:
            call_id: The id of the call.
        """
        return self._by_id[call_id].arguments.json

    def _go_on(self, fragment: Any, events: list[CallEvent]) -> _Call | None:
        """Read what most fragments are: more of the arguments that were written last.

        It says nothing else of its call, and without a closing brace it cannot finish the
        arguments, so what `_fold` does comes down to this. Returns the call; `None` for any other
        fragment, of which nothing has been read.
        """
        call = self._last_written
        if call is None or type(fragment) is not dict or self._streaming:
            return None
        index = fragment.get("index")
        function = fragment.get("function")
        inner = fragment if function is None else function
        if (
            type(index) is not int
            or self._by_index.get(index) is not call
            or type(inner) is not dict
            or inner.get("name")
            or fragment.get("id")
            or fragment.get("type") == "invalid_tool_call"
        ):
            return None
        text = inner.get("arguments", inner.get("args"))
        arguments = call.arguments
        if (
            type(text) is not str
            or "}" in text
            or has_surrogate(text)
            or call.error is not None
            or not call.id
            or call.held
            or arguments.halves.held
            or arguments.length + len(text) > MAX_LENGTH
            or type(arguments.json.value) is not dict
            or arguments.json.closed
        ):
            return None
        found = call.read(text)
        self._tell(call, text if self._text else "", found if self._fields else [], events)
        return call

    # Which call a fragment belongs to: rule 1.

    def _fold(self, fragment: Mapping[str, Any], events: list[CallEvent]) -> None:
        function = fragment.get("function")
        inner = function if is_mapping(function) else fragment
        name = text_of(inner.get("name")).strip()
        wire_id = text_of(fragment.get("id"))
        if wire_id == "null":
            wire_id = ""
        index = whole_number(fragment.get("index"))
        problem = text = ""
        try:
            text = arguments_text(inner.get("arguments", inner.get("args")))
        except (TypeError, ValueError, RecursionError) as error:
            problem = f"The arguments cannot be written as JSON: {error}."
        call = self._find(index, wire_id, name, text, events)
        if call is None:
            if len(self._calls) > MAX_CALLS:
                return
            call = self._open()
            if index in self._by_index:
                self._by_index[index].left_to = call
        if name and call.name and name != call.name and not (wire_id and wire_id == call.wire_id):
            reason = f"The call was begun as {quoted(call.name)} and went on as {quoted(name)}."
            self._refuse(call, reason, events)
        call.fragments += 1
        if index is not None and (call.wire_index is None or index not in self._by_index):
            call.wire_index = index if call.wire_index is None else call.wire_index
            self._by_index[index] = call
        if wire_id and call.wire_id is None:
            call.wire_id = wire_id
            self._by_wire_id.setdefault(wire_id, []).append(call)
        if name and not call.name:
            self._name(call, name)
        if call.fragments == 1 and call.wire_id is not None:
            same = self._by_wire_id[call.wire_id]
            call.held = any(other.name == call.name for other in same if other is not call)
        self._start(events)
        if problem:
            self._refuse(call, problem, events)
        call.came_whole = call.came_whole or bool(name and text)
        if text:
            self._last_written = call
            if not call.name and call.beside is None and text.strip(BLANK):
                call.beside = [other for other in self._waiting() if other is not call]
        if text and (text := call.arguments.halves.join(text)):
            self._read(call, text, events)
        if fragment.get("type") == "invalid_tool_call":
            if reason := text_of(fragment.get("error")):
                self._refuse(call, reason, events, told=True)
            call.reported_invalid = True
        if call.held and call.args is not None:
            self._check_repetition(call, events)
            call.held = call.error is not None
        self._deliver(call, events)

    def _name(self, call: _Call, name: str) -> None:
        call.name = name
        spec = call.spec = self._tools.get(name) if self._tools is not None else None
        call.no_parameters = name in self._no_parameters or not (
            spec is None or spec.takes_arguments
        )
        if self._provisional and spec is not None and spec.streamed is not None:
            self._streaming.append(call)
        if call.arguments.json.closed:
            self._close_root(call)

    def _find(
        self, index: int | None, wire_id: str, name: str, text: str, events: list[CallEvent]
    ) -> _Call | None:
        known = self._by_wire_id.get(wire_id, [])
        if index is None:
            if wire_id:
                return self._find_by_id(known, name, text, events)
            return self._find_by_nothing(name, text, events)
        call = self._by_index.get(index)
        if call is None:
            return self._find_by_new_index(known, wire_id, name)
        if not wire_id or call.wire_id == wire_id:
            return call
        if same := [other for other in known if other.wire_index == index]:
            return same[-1]
        if known:
            if name or len(known) > 1:
                return None
            if not call.arguments.json.closed and not known[0].arguments.json.closed:
                self._doubt([call, known[0]], events)
            return known[0] if call.arguments.json.closed else call
        if call.wire_id is None and name in ("", call.name or name):
            return call
        return None

    def _find_by_new_index(self, known: list[_Call], wire_id: str, name: str) -> _Call | None:
        if known:
            call = next((other for other in known if other.wire_index is None), None)
            if call is None and len(known) == 1 and not name and known[0].waits:
                return known[0]
            return call
        # A call without an index takes this one, if no other can be meant.
        waiting = self._waiting()
        if len(waiting) == 1 and waiting[0].wire_index is None and waiting[0].name:
            (call,) = waiting
            if name in ("", call.name) and not (wire_id and call.wire_id):
                return call
        return None

    def _find_by_id(
        self, known: list[_Call], name: str, text: str, events: list[CallEvent]
    ) -> _Call | None:
        if known := [call for call in known if name in ("", call.name or name)]:
            waiting = [call for call in known if call.waits]
            if len(waiting) > 1 and text:
                self._doubt(waiting, events)
            return (waiting or known)[-1]
        waiting = self._waiting()
        if len(waiting) != 1 or waiting[0].wire_id is not None:
            return None
        return waiting[0] if name in ("", waiting[0].name or name) else None

    def _find_by_nothing(self, name: str, text: str, events: list[CallEvent]) -> _Call | None:
        waiting = self._waiting()
        if len(waiting) > 1 and (name or text):
            self._doubt(waiting, events)
        if waiting:
            return waiting[-1]
        unwritten = [call for call in self._calls if not call.arguments.json.closed]
        if unwritten and name in ("", unwritten[-1].name):
            return unwritten[-1]
        if name or not self._calls:
            return None
        return self._last_written or self._calls[-1]

    def _waiting(self) -> list[_Call]:
        return [call for call in self._calls if call.waits]

    def _doubt(self, calls: list[_Call], events: list[CallEvent]) -> None:
        """Calls that a piece may belong to, where nothing says to which."""
        reason = (
            f"The server sent a piece that may belong to any of {len(calls)} calls, this one among "
            "them, so whose arguments are whose cannot be told."
        )
        for call in calls:
            self._refuse(call, reason, events)

    def _resolve_doubts(self, events: list[CallEvent]) -> None:
        """What can be told only when everything has come."""
        for call in self._calls:
            if call.left_to is not None and call.is_bare:
                taker = [] if call.left_to.came_whole else [call.left_to]
                self._doubt_each([call, *taker], _LEFT, events)
        for call in self._calls:
            if call.is_stray:
                self._doubt_each(call.beside or [], _STRAY, events)
        is_lost = any(call.is_stray and not call.name for call in self._calls)
        if is_lost or self._has_stray_text:
            bare = [call for call in self._calls if call.is_bare]
            unwritten = [call for call in bare if call.arguments.json.value is None]
            self._doubt_each(bare if is_lost else unwritten, _STRAY, events)
        if is_lost:
            late = [call for call in self._calls if call.beside is not None]
            self._doubt_each(late, _STRAY, events)
        for same in self._by_wire_id.values():
            for call in same[1:]:
                self._check_repetition(call, events)

    def _doubt_each(self, calls: list[_Call], reason: str, events: list[CallEvent]) -> None:
        for call in calls:
            if call.name:
                self._refuse(call, reason, events)

    def _check_repetition(self, call: _Call, events: list[CallEvent]) -> None:
        """Whether the same call has been said before, under another index."""
        for other in self._by_wire_id.get(call.wire_id or "", []):
            if other is call:
                return
            if other.name != call.name or other.args is None or call.args is None:
                continue
            if other.args == call.args:
                self._refuse(call, _REPEATED, events)
                return
            self._doubt_each([c for c in (other, call) if c.is_bare], _REPEATED, events)

    def _open(self) -> _Call:
        call = _Call(len(self._calls), events=self._fields or self._provisional)
        self._calls.append(call)
        if call.index == MAX_CALLS:
            call.error = (
                f"More than {MAX_CALLS} tool calls in one message: this one and those after it "
                "were not read."
            )
        return call

    def _start(self, events: list[CallEvent], *, through: _Call | None = None) -> None:
        """Announce the calls that are known by name and id, in order.

        Without an id a call waits for one more fragment, of its own or of a later call, before it
        gets one from us. With `through`, all calls up to that one are announced as they are.
        """
        while self._next_start < len(self._calls):
            call = self._calls[self._next_start]
            if through is None or call.index > through.index:
                waits = call.wire_id is None and call.fragments < _FRAGMENTS_BEFORE_AN_ID_IS_MADE
                if not call.name or (waits and call is self._calls[-1]):
                    return
            self._next_start += 1
            call.id = call.wire_id or _make_id()
            if call.id in self._by_id:
                call.id = _make_id()
            self._by_id[call.id] = call
            events.append(
                ToolCallStart(run_id=self._run_id, id=call.id, name=call.name, index=call.index)
            )
            self._deliver(call, events)

    # What a piece of argument text means.

    def _read(self, call: _Call, text: str, events: list[CallEvent]) -> None:
        arguments = call.arguments
        if arguments.length + len(text) > MAX_LENGTH:
            arguments.length += len(text)
            reason = f"The arguments are longer than {MAX_LENGTH:,} characters."
            self._refuse(call, reason, events)
            return
        if call.error is not None:
            arguments.keep(text)
            return
        if arguments.json.closed:
            arguments.keep(text)
            self._read_behind(call, text, events)
            return
        found = call.read(text)
        if self._fields:
            if isinstance(arguments.json.value, dict):
                call.fields += found
        elif call.provisional:
            call.fields += [e for e in found if e[0] == "delta" and e[1] == (call.streamed,)]
        if not arguments.json.closed:
            if self._text:
                call.undelivered.append(text)
            return
        behind = arguments.json.unused_text
        if self._text:
            call.undelivered.append(text[: len(text) - len(behind)])
        self._close_root(call)
        if behind:
            self._read_behind(call, behind, events)

    def _close_root(self, call: _Call) -> None:
        root = call.arguments.json.value
        if isinstance(root, dict):
            call.args = root
        elif isinstance(root, str) and not call.double_encoded:
            self._unwrap(call, root)
        self._judge(call)

    def _unwrap(self, call: _Call, text: str) -> None:
        inner = JSONStream(events=self._fields)
        try:
            found = inner.feed(text)
            inner.close()
        except JSONStreamError:
            return
        if isinstance(inner.value, dict):
            call.args = inner.value
            call.double_encoded = True
            call.undelivered = [text] if self._text else []
            if self._fields:
                call.fields = found

    def _read_behind(self, call: _Call, text: str, events: list[CallEvent]) -> None:
        if not call.arguments.agrees(text):
            self._contradict(call, events)

    def _contradict(self, call: _Call, events: list[CallEvent]) -> None:
        reason = (
            f"The arguments were complete, and then {quoted(call.arguments.behind)} followed, "
            "so the server sent either too little or too much."
        )
        self._refuse(call, reason, events)
        self._has_stray_text = True

    # What a call is worth.

    def _judge(self, call: _Call) -> None:
        """Hold the call against the bound tools, once both its name and its arguments are known."""
        if self._tools is None or call.error is not None or call.args is None or not call.name:
            return
        if call.spec is None:
            call.error = unknown_tool(call.name, self._tools)
        elif (problem := call.spec.validate(call.args)) is not None:
            call.error = does_not_fit(problem)

    def _refuse(
        self, call: _Call, reason: str, events: list[CallEvent], *, told: bool = False
    ) -> None:
        """Take a call for none. What another reader told of it counts more than what we found."""
        if call.finished or (call.error is not None and not told):
            return
        call.error = reason
        call.told = call.told or told
        if call.ready or call.provisional:
            self._invalidate(call, events)

    def _end(self, call: _Call, events: list[CallEvent]) -> None:
        self._start(events, through=call)
        if held := call.arguments.halves.held:
            self._read(call, held, events)
        if call.error is None and call.args is None:
            self._end_without_object(call)
        if call.error is None and call.arguments.repeating:
            self._contradict(call, events)
        if call.error is None and not call.name:
            call.error = "The call has no name, so there is nothing to run."
        if call.error is None and call.reported_invalid:
            call.error = "The model's integration reported the call as invalid."
        self._deliver(call, events)

    def _end_without_object(self, call: _Call) -> None:
        raw = call.arguments.text.strip(BLANK)
        if raw in ("", "null"):
            call.args = {}
            call.undelivered = ["{}"] if self._text else []
            return
        try:
            call.arguments.json.close()
        except JSONStreamError as error:
            call.error = f"The arguments are not complete: {error}."
        else:
            call.error = f"The arguments have to be a JSON object, got {quoted(raw)}."

    def _announce_early(self, events: list[CallEvent]) -> None:
        """Rule 8, for the calls from the first that is not announced yet."""
        while self._next_ready < len(self._calls):
            call = self._calls[self._next_ready]
            if not self._may_be_early(call):
                return
            if call.error is None and not call.reported_invalid:
                if call.args is None or self._may_be_doubted(call):
                    return
                self._check_repetition(call, events)
                if call.error is None:
                    self._be_ready(call, events, early=True)
            self._next_ready += 1

    def _may_stream(self, call: _Call, events: list[CallEvent]) -> bool:
        """Rule 10."""
        json, root = call.arguments.json, call.arguments.json.value
        if call.provisional or not call.id or json.closed or type(root) is not dict:
            return True
        spec = call.spec
        if call.error is not None or call.reported_invalid or spec is None or not spec.streamed:
            return False
        streamed, others = spec.streamed
        text = (
            json.open_text if json.where == (streamed,) and json.in_string else root.get(streamed)
        )
        if not others.isdisjoint(json.where[:1]) or not (
            isinstance(text, str) and others <= root.keys()
        ):
            return True
        args = {name: value for name, value in root.items() if name != streamed}
        if spec.validate({**args, streamed: text}) is not None:
            return False  # it will be invalid; do not ask again
        call.provisional = True
        events.append(
            ToolCallProvisional(
                run_id=self._run_id,
                id=call.id,
                name=call.name,
                args=args,
                streamed=streamed,
                text=text,
            )
        )
        return True

    def _may_be_early(self, call: _Call) -> bool:
        if self._passed:
            last = self._last_written
            return last is not None and call.index < last.index < self._next_start
        return call.spec is not None and call.spec.read_only

    def _may_be_doubted(self, call: _Call) -> bool:
        """Whether what has come so far leaves it open if the call will stand."""
        if call.arguments.repeating:
            return True
        if self._passed and (call.beside is not None or call.is_bare):
            return True
        return any(
            (other.is_stray and (call.is_bare or call in (other.beside or ())))
            or (other.left_to is call and other.is_bare and not call.came_whole)
            for other in self._calls
        )

    def _be_ready(self, call: _Call, events: list[CallEvent], *, early: bool) -> None:
        if call.ready or call.args is None:
            return
        self._start(events, through=call)
        self._deliver(call, events)
        call.ready = True
        events.append(
            ToolCallReady(
                run_id=self._run_id,
                id=call.id,
                name=call.name,
                args=call.args,
                early=early,
                double_encoded=call.double_encoded,
            )
        )

    def _invalidate(self, call: _Call, events: list[CallEvent]) -> None:
        call.finished = True
        events.append(
            ToolCallInvalid(
                run_id=self._run_id,
                id=call.id,
                name=call.name,
                args=call.arguments.text,
                error=call.error or "",
                revoked=call.ready or call.provisional,
            )
        )

    def _deliver(self, call: _Call, events: list[CallEvent]) -> None:
        """Give readers the text that is sure to be part of the one object, and its fields."""
        if not (call.undelivered or call.fields) or not call.id:
            return
        if call.held and not self._closed:
            return
        root = call.arguments.json.value
        if call.args is None and call.error is None and type(root) is not dict:
            return
        text, fields = "".join(call.undelivered), call.fields
        call.undelivered, call.fields = [], []
        self._tell(call, text, fields, events)

    def _tell(
        self, call: _Call, text: str, fields: list[JSONEvent], events: list[CallEvent]
    ) -> None:
        if text:
            events.append(ToolCallDelta(run_id=self._run_id, id=call.id, args=text))
        if self._growth and fields:
            events.append(ArgumentEvents(call.id, fields, self._run_id))
            return
        for kind, path, value in fields:
            if kind == "delta":
                events.append(ArgumentDelta(run_id=self._run_id, id=call.id, path=path, text=value))
            elif kind == "finish" and path:
                events.append(
                    ArgumentFinish(run_id=self._run_id, id=call.id, path=path, value=value)
                )


def _blame_truncation(call: _Call, finish_reason: str) -> None:
    """The last call of a message that was cut is none, even if it parses."""
    found = f" {call.error}" if call.error else ""
    call.error = (
        f"The message was cut off (finish reason {quoted(finish_reason)}) and this is its last "
        "call, so its arguments may be incomplete. Allow more output tokens, or ask for less."
        f"{found}"
    )


def _make_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
