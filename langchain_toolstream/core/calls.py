"""When a call is a call: the rules. They are decided here, and the first in `core.identity`.

A server streams tool calls as fragments, `{"index", "id", "function": {"name", "arguments"}}`, and
vLLM's forty tool-call parsers, older releases and other servers disagree about every part of that.
`ToolCallAssembler` folds the fragments of one message into calls, and `core.completion` reads whole
response chunks and keeps one assembler for each choice.

A call goes through these states, and no module outside `core` may second-guess them:

```text
open ──root object closes──> closed ──message ends, nothing against it──> confirmed
  │                            │
  └── not JSON, cut, doubtful, └── later text contradicts it (revoked), or it was the last call
      its tool says no             of a message that was cut
                    └──────────────┴──> invalid
```

1. **Which call.** Which call a fragment belongs to, and when that cannot be told: `core.identity`.
   Where two readings are left, neither runs. A call gets an id from us when its name is known and
   one more fragment has come without one, or when another call of the message has the same.
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
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from langchain_toolstream.core.arguments import BLANK
from langchain_toolstream.core.call import Call, ToolSpec
from langchain_toolstream.core.deltas import (
    arguments_text,
    fragments_of,
    is_mapping,
    text_of,
    whole_number,
)
from langchain_toolstream.core.errors import JSONStreamError, quoted
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
from langchain_toolstream.core.identity import CallTable, Doubts
from langchain_toolstream.core.json import MAX_LENGTH, SLICE, JSONEvent, JSONStream
from langchain_toolstream.core.strings import has_surrogate

MAX_FIELDS = 10_000
"""How many values of a message are told one by one as `ArgumentFinish`, so that a million zeros are
not a million events. After those, a value at the root of the arguments is told as a whole."""

_TRUNCATING = (
    "length", "abort", "repetition", "content_filter", "error",
    "max_tokens", "max_output_tokens", "incomplete", "exceeded", "guardrail", "failed", "cancel",
    "safety", "recitation", "blocklist", "prohibited", "spii", "malformed",
)  # fmt: skip
# Words of finish reasons under which the last call cannot be trusted. The first five are vLLM's,
# the others those of Anthropic, Bedrock, Google and OpenAI's Responses API. As parts of a reason:
# a sum of chunks joins the reasons of several ("lengthlength").

_FRAGMENTS_BEFORE_AN_ID_IS_MADE = 2


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


class ToolCallAssembler:
    """Fold the deltas of one message into calls, by the rules at the top of this module.

    Args:
        tools: The bound tools by name. `None`: not known, so every name passes, nothing is
            validated and nothing is read-only.
        text: Whether to report `ToolCallDelta`, the arguments as text.
        fields: Whether to report `ArgumentDelta` and `ArgumentFinish`, field by field; of a message
            with more than `MAX_FIELDS` values, those at the root only from then on.
        growth: Whether to report the same as `ArgumentEvents`, with where each value begins, and
            the start and the finish of the arguments as a whole, the value at the path `()`. Long
            arguments that could not be told as they came are in `ToolCallReady` only.
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
        self._provisional = provisional and any(
            spec.streamed is not None for spec in (tools or {}).values()
        )
        self._reads_fields = self._fields or self._provisional
        self._fields_left = MAX_FIELDS
        self._streaming: list[Call] = []  # what may become provisional
        self._no_parameters = no_parameters
        self._run_id = run_id
        self._table = CallTable()
        self._calls = self._table.calls
        self._by_id: dict[str, Call] = {}
        self._next_start = 0
        self._next_ready = 0
        self._cut_by: str | None = None
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
        if call is not None:
            if call.error is None and not (finish_reason or rejected):
                return events
            fragments = []
        for _ in self._feed(fragments, finish_reason, rejected, events):
            pass
        return events

    def slices(
        self,
        delta: Mapping[str, Any],
        *,
        finish_reason: str | None = None,
        rejected: Mapping[str, str] | None = None,
    ) -> Iterator[CallEvent]:
        """Take the next delta as `feed` does, and read on as its events are taken.

        So a long piece of arguments does not become all of its events at once.

        Args:
            delta: As for `feed`.
            finish_reason: Likewise.
            rejected: Likewise.

        Yields:
            What became known, in order.
        """
        events: list[CallEvent] = []
        fragments = [] if self._closed else fragments_of(delta)
        for _ in self._feed(fragments, finish_reason, rejected, events):
            yield from events
            events.clear()
        yield from events

    def _feed(
        self,
        fragments: list[Any],
        finish_reason: str | None,
        rejected: Mapping[str, str] | None,
        events: list[CallEvent],
    ) -> Iterator[None]:
        """Take the next fragments; stops wherever `events` may be taken away."""
        if self._closed:
            return
        if is_truncating(finish_reason):
            self._cut_by = finish_reason
        for fragment in fragments:
            if is_mapping(fragment):
                yield from self._fold(fragment, events)
                yield
        for call_id, reason in (rejected or {}).items():
            if call := self._by_id.get(call_id) or self._table.with_wire_id(call_id):
                self._refuse(call, str(reason), events, told=True)
        for call in self._streaming:
            if call.provisional and call.error is not None and not call.finished:
                self._invalidate(call, events)
        if self._cut_by is None:
            if self._streaming:
                self._streaming = [c for c in self._streaming if self._may_stream(c, events)]
            self._announce_early(events)

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
        self._doubt(self._table.last_doubts(), events)
        for call in self._calls:
            if call.arguments.json.value is None:  # the others are judged already
                self._judge(call)
        if is_truncating(finish_reason):
            self._cut_by = finish_reason
        if self._cut_by is not None and self._calls:
            for call in {self._calls[-1], self._table.last_written or self._calls[-1]}:
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

    def _go_on(self, fragment: Any, events: list[CallEvent]) -> Call | None:
        """Read what most fragments are: more of the arguments that were written last.

        It says nothing else of its call, and without a closing brace it cannot finish the
        arguments, so what `_fold` does comes down to this. Returns the call; `None` for any other
        fragment, of which nothing has been read.
        """
        call = self._table.last_written
        if call is None or type(fragment) is not dict or self._streaming:
            return None
        index = fragment.get("index")
        function = fragment.get("function")
        inner = fragment if function is None else function
        if (
            type(index) is not int
            or self._table.by_index.get(index) is not call
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
            or len(text) > SLICE
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

    def _fold(self, fragment: Mapping[str, Any], events: list[CallEvent]) -> Iterator[None]:
        """Take a fragment; stops wherever `events` may be taken away."""
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
        call = self._table.take(index, wire_id, name, text, events=self._reads_fields)
        self._doubt(self._table.new_doubts(), events)
        if call is None:
            return
        if name and not call.name:
            self._name(call, name)
        if call.fragments == 1 and call.wire_id is not None:
            call.held = self._table.may_repeat(call)
        self._start(events)
        if problem:
            self._refuse(call, problem, events)
        call.came_whole = call.came_whole or bool(name and text)
        if text:
            self._table.note_arguments(call, text)
        if text and (text := call.arguments.halves.join(text)):
            yield from self._read(call, text, events)
        if fragment.get("type") == "invalid_tool_call":
            if reason := text_of(fragment.get("error")):
                self._refuse(call, reason, events, told=True)
            call.reported_invalid = True
        if call.held and call.args is not None:
            self._doubt(self._table.repetitions(call), events)
            call.held = call.error is not None
        self._deliver(call, events)

    def _name(self, call: Call, name: str) -> None:
        call.name = name
        spec = call.spec = self._tools.get(name) if self._tools is not None else None
        call.no_parameters = name in self._no_parameters or not (
            spec is None or spec.takes_arguments
        )
        if self._provisional and spec is not None and spec.streamed is not None:
            self._streaming.append(call)
        if call.arguments.json.closed:
            self._close_root(call)

    def _start(self, events: list[CallEvent], *, through: Call | None = None) -> None:
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

    def _read(self, call: Call, text: str, events: list[CallEvent]) -> Iterator[None]:
        """Read a piece of arguments; stops wherever `events` may be taken away."""
        arguments = call.arguments
        if arguments.length + len(text) > MAX_LENGTH:
            arguments.length += len(text)
            reason = f"The arguments are longer than {MAX_LENGTH:,} characters."
            self._refuse(call, reason, events)
            return
        if len(text) <= SLICE or not self._reads_fields:
            self._read_slice(call, text, events)
            return
        for start in range(0, len(text), SLICE):
            self._read_slice(call, text[start : start + SLICE], events)
            self._deliver(call, events)
            yield

    def _read_slice(self, call: Call, text: str, events: list[CallEvent]) -> None:
        arguments = call.arguments
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
                call.keep(found)
        elif call.provisional:
            call.keep([e for e in found if e[0] == "delta" and e[1] == (call.streamed,)])
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

    def _close_root(self, call: Call) -> None:
        root = call.arguments.json.value
        if isinstance(root, dict):
            call.args = root
        elif isinstance(root, str) and not call.double_encoded:
            self._unwrap(call, root)
        self._judge(call)

    def _unwrap(self, call: Call, text: str) -> None:
        is_short = len(text) <= SLICE
        inner = JSONStream(events=self._fields and is_short)
        try:
            found = inner.feed(text)
            inner.close()
        except JSONStreamError:
            return
        if isinstance(inner.value, dict):
            call.args = inner.value
            call.double_encoded = True
            call.undelivered = [text] if self._text else []
            call.whole = not is_short
            call.fields = found

    def _read_behind(self, call: Call, text: str, events: list[CallEvent]) -> None:
        if not call.arguments.agrees(text):
            self._contradict(call, events)

    def _contradict(self, call: Call, events: list[CallEvent]) -> None:
        reason = (
            f"The arguments were complete, and then {quoted(call.arguments.behind)} followed, "
            "so the server sent either too little or too much."
        )
        self._refuse(call, reason, events)
        self._table.has_stray_text = True

    # What a call is worth.

    def _judge(self, call: Call) -> None:
        """Hold the call against the bound tools, once both its name and its arguments are known."""
        if self._tools is None or call.error is not None or call.args is None or not call.name:
            return
        if call.spec is None:
            call.error = unknown_tool(call.name, self._tools)
        elif (problem := call.spec.validate(call.args)) is not None:
            call.error = does_not_fit(problem)

    def _refuse(
        self, call: Call, reason: str, events: list[CallEvent], *, told: bool = False
    ) -> None:
        """Take a call for none. What another reader told of it counts more than what we found."""
        if call.finished or (call.error is not None and not told):
            return
        call.error = reason
        call.told = call.told or told
        if call.ready or call.provisional:
            self._invalidate(call, events)

    def _doubt(self, doubts: Doubts, events: list[CallEvent]) -> None:
        for call, reason in doubts:
            self._refuse(call, reason, events)

    def _end(self, call: Call, events: list[CallEvent]) -> None:
        self._start(events, through=call)
        if held := call.arguments.halves.held:
            self._read_slice(call, held, events)
        if call.error is None and call.args is None:
            self._end_without_object(call)
        if call.error is None and call.arguments.repeating:
            self._contradict(call, events)
        if call.error is None and not call.name:
            call.error = "The call has no name, so there is nothing to run."
        if call.error is None and call.reported_invalid:
            call.error = "The model's integration reported the call as invalid."
        self._deliver(call, events)

    def _end_without_object(self, call: Call) -> None:
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
                if call.args is None:
                    return
                if self._table.may_be_doubted(call, without_tools=self._passed):
                    return
                self._doubt(self._table.repetitions(call), events)
                if call.error is None:
                    self._be_ready(call, events, early=True)
            self._next_ready += 1

    def _may_stream(self, call: Call, events: list[CallEvent]) -> bool:
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

    def _may_be_early(self, call: Call) -> bool:
        if self._passed:
            last = self._table.last_written
            return last is not None and call.index < last.index < self._next_start
        return call.spec is not None and call.spec.read_only

    def _be_ready(self, call: Call, events: list[CallEvent], *, early: bool) -> None:
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

    def _invalidate(self, call: Call, events: list[CallEvent]) -> None:
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

    def _deliver(self, call: Call, events: list[CallEvent]) -> None:
        """Give readers the text that is sure to be part of the one object, and its fields."""
        if not (call.undelivered or call.fields or call.whole):
            return
        root = call.arguments.json.value
        is_unknown = call.args is None and call.error is None and type(root) is not dict
        if not call.id or (call.held and not self._closed) or is_unknown:
            call.wait()
            return
        text = "".join(call.undelivered)
        fields: list[JSONEvent] = call.fields
        call.undelivered, call.fields = [], []
        if call.whole and call.args is not None:
            call.whole = False
            if not self._growth and self._fields:
                fields = [("finish", (key,), value) for key, value in call.args.items()]
        self._tell(call, text, fields, events)

    def _tell(
        self, call: Call, text: str, fields: list[JSONEvent], events: list[CallEvent]
    ) -> None:
        if text:
            events.append(ToolCallDelta(run_id=self._run_id, id=call.id, args=text))
        if self._growth and fields:
            events.append(ArgumentEvents(call.id, fields, self._run_id))
            return
        for kind, path, value in fields:
            if self._fields_left <= 0 and len(path) > 1:
                continue
            self._fields_left -= kind == "finish"
            if kind == "delta":
                events.append(ArgumentDelta(run_id=self._run_id, id=call.id, path=path, text=value))
            elif kind == "finish" and path:
                events.append(
                    ArgumentFinish(run_id=self._run_id, id=call.id, path=path, value=value)
                )


def _blame_truncation(call: Call, finish_reason: str) -> None:
    """The last call of a message that was cut is none, even if it parses."""
    found = f" {call.error}" if call.error else ""
    call.error = (
        f"The message was cut off (finish reason {quoted(finish_reason)}) and this is its last "
        "call, so its arguments may be incomplete. Allow more output tokens, or ask for less."
        f"{found}"
    )


def _make_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
