"""Which tool runs which call: what is remembered of calls, and the events of their tools."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

from langchain_toolstream.core.events import (
    ToolAnswer,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.schema.streamed import Streamed
from langchain_toolstream.streams.interrupts import is_denied

MAX_CALLS_REMEMBERED = 1024
"""How many calls are known by id at a time, the latest. Eight messages with all calls that the core
reads; a tool that starts later than that is taken for one that nobody called."""

_NOT_FINISHED = "The run ended before the tool had finished."
_NO_REASON = "The tool failed without saying why."


@dataclass(slots=True)
class _Call:
    """A call that a model wrote: whose it is, and its arguments once they are known."""

    id: str
    run_id: str
    name: str
    parents: Sequence[str] = ()
    args: dict[str, Any] | None = None
    taken: bool = False
    ended: bool = False


@dataclass(slots=True)
class Tool:
    """A running tool."""

    id: str
    run_id: str
    name: str
    parents: Sequence[str] = ()
    call: _Call | None = None


class Tools:
    """The calls of a source, and the tools that run them.

    Attributes:
        running: The tools that run, by their runs, or by their calls where those are all that the
            source names.
    """

    def __init__(self) -> None:
        """Start before the first call."""
        self._calls: OrderedDict[tuple[str, str], _Call] = OrderedDict()  # by message and id
        self.running: dict[str, Tool] = {}
        self._resumed: set[str] = set()  # calls of an earlier run that have an end in this one

    def remember(self, events: list[ToolEvent], parents: Sequence[str]) -> None:
        """Remember the calls of a message, for the tools that will run them.

        Args:
            events: What became known of the message.
            parents: The runs around that of the message, from the outermost on.
        """
        for event in events:
            if isinstance(event, ToolCallStart):
                call = _Call(event.id, event.run_id, event.name, parents)
                self._calls[event.run_id, event.id] = call
                if len(self._calls) > MAX_CALLS_REMEMBERED:
                    self._calls.popitem(last=False)
            elif isinstance(event, ToolCallReady | ToolCallInvalid):
                if (known := self._calls.get((event.run_id, event.id))) is None:
                    continue
                if isinstance(event, ToolCallReady):
                    known.args = event.args
                else:
                    known.ended = True

    def run_of(self, call_id: str | None) -> str:
        """Say which message made a call, empty if it is not known.

        Args:
            call_id: The id.
        """
        call = None if call_id is None else self._find(call_id, ())
        return call.run_id if call else ""

    def knows(self, call_id: str) -> bool:
        """Whether a call of this id is remembered.

        Args:
            call_id: The id.
        """
        return any(call.id == call_id for call in self._calls.values())

    def first_open(self, name: str, args: Any) -> str | None:
        """Find the first call of a name and arguments that no tool runs yet.

        Args:
            name: The tool's name.
            args: What it was given.

        Returns:
            The call's id.
        """
        for call in self._calls.values():
            if not call.taken and call.name == name and _has(args, call.args):
                return call.id
        return None

    def _find(self, call_id: str, parents: Sequence[str]) -> _Call | None:
        """Find a call by its id, which another model may have used too.

        It is the last of those that were made nearest to whoever asks.
        """
        found, nearest = None, -1
        for call in self._calls.values():
            if call.id == call_id and (near := _shared(call.parents, parents)) >= nearest:
                found, nearest = call, near
        return found

    def start(  # noqa: PLR0913 - what is known of a run
        self,
        run: str,
        call_id: str,
        name: str,
        args: Any,
        parents: Sequence[str] = (),
        *,
        unknown: str | None = None,
    ) -> list[ToolEvent]:
        """A tool began.

        Args:
            run: Its run.
            call_id: The call that it runs.
            name: Its name.
            args: What it was given.
            parents: The runs around its own, from the outermost on.
            unknown: The `run_id` of its events where no message of this run made the call; left
                out: `run`.
        """
        call = self._find(call_id, parents)
        if call is not None:
            call.taken = True
            args = args if call.args is None else call.args
        events = self.fail(run, _NOT_FINISHED)
        if call is None:
            self._resumed.add(call_id)
        run_id = call.run_id if call else run if unknown is None else unknown
        tool = self.running[run] = Tool(call_id, run_id, name, parents, call)
        args = args if isinstance(args, dict) else {"input": args}
        args, streamed = _without_streamed(args)
        events.append(
            ToolStart(id=tool.id, run_id=tool.run_id, name=name, args=args, streamed=streamed)
        )
        return events

    def progress(
        self, call_id: str, name: str, data: Any, parents: Sequence[str] = ()
    ) -> list[ToolEvent]:
        """A tool told how far it is.

        Args:
            call_id: The call that it runs.
            name: Its name, if the source says it.
            data: What it told.
            parents: The runs around the telling, from the outermost on.
        """
        running = [(run, tool) for run, tool in self.running.items() if tool.id == call_id]
        if not running and (call := self._find(call_id, parents)) is not None and call.taken:
            return []  # it was stopped, and its thread has not yet heard of that
        running.sort(key=lambda one: _shared([*one[1].parents, one[0]], parents))
        run_id, name = (running[-1][1].run_id, running[-1][1].name) if running else (call_id, name)
        return [ToolProgress(id=call_id, run_id=run_id, name=name, data=data)]

    def finish(self, run: str, output: Any) -> list[ToolEvent]:
        """A tool returned.

        Args:
            run: Its run; of one that is not known nothing is said.
            output: What it returned.
        """
        tool = self._end(run)
        return [_finish(tool, output)] if tool else []

    def fail(self, run: str, error: str) -> list[ToolEvent]:
        """A tool failed.

        Args:
            run: As for `finish`.
            error: Why; empty if it did not say so.
        """
        tool = self._end(run)
        return [_error(tool, error)] if tool else []

    def _end(self, run: str) -> Tool | None:
        tool = self.running.pop(run, None)
        if tool is not None and tool.call is not None:
            tool.call.ended = True
        return tool

    def answer(
        self, message: ToolMessage, parents: Sequence[str], history: Sequence[Any] | None
    ) -> list[ToolEvent]:
        """A call was answered; nothing is said of it where its tool has told already.

        Args:
            message: The answer.
            parents: The runs around the answering, from the outermost on.
            history: The messages before it, where calls of an earlier run count too.
        """
        call_id = message.tool_call_id
        call = self._find(call_id, parents)
        run_id, name, args = "", message.name or "", None
        if call is not None:
            if call.ended or any(tool.call is call for tool in self.running.values()):
                return []
            call.ended = True
            run_id, name = call.run_id, call.name
        else:
            if history is None or call_id in self._resumed:
                return []
            self._resumed.add(call_id)
            made = _made(history, call_id)
            name, args = made.get("name") or name, made.get("args")
        answer = ToolAnswer(
            id=call_id,
            run_id=run_id,
            name=name,
            content=message.content,
            status="denied" if is_denied(message) else message.status,
            artifact=message.artifact,
            args=args,
        )
        return [answer]

    def close(self) -> list[ToolEvent]:
        """The run ended, and with it whatever still runs."""
        events: list[ToolEvent] = [_error(tool, _NOT_FINISHED) for tool in self.running.values()]
        self.running.clear()
        return events


def _made(history: Sequence[Any], call_id: str) -> Mapping[str, Any]:
    """The call as its message made it."""
    for message in reversed(history):
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            if call["id"] == call_id:
                return call
    return {}


def _without_streamed(args: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Take out the text that a tool reads, and name it.

    Whether it is whole by now says nothing: events of its writing may wait behind this one.
    """
    streamed = next((name for name, one in args.items() if isinstance(one, Streamed)), None)
    return {name: value for name, value in args.items() if name != streamed}, streamed


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many runs, from the outermost on, are around both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _has(given: Any, args: dict[str, Any] | None) -> bool:
    """Whether a tool was given a call's arguments, and perhaps injected ones."""
    if args is None or not isinstance(given, dict):
        return False
    return all(
        type(given.get(key)) is type(value) and given[key] == value for key, value in args.items()
    )


def _finish(tool: Tool, output: Any) -> ToolFinish | ToolError:
    message = _message_of(output, tool.id)
    if message is None:
        return ToolFinish(id=tool.id, run_id=tool.run_id, name=tool.name, content=output)
    if message.status == "error":
        return _error(tool, str(message.text))
    return ToolFinish(
        id=tool.id,
        run_id=tool.run_id,
        name=tool.name,
        content=message.content,
        artifact=message.artifact,
    )


def _message_of(output: Any, call_id: str) -> ToolMessage | None:
    """The tool's message, also out of LangGraph's `Command`."""
    if isinstance(output, ToolMessage):
        return output
    update = getattr(output, "update", None)
    messages = update.get("messages") if isinstance(update, dict) else None
    if not isinstance(messages, list):
        return None
    answers = (one for one in messages if isinstance(one, ToolMessage))
    return next((one for one in answers if one.tool_call_id == call_id), None)


def _error(tool: Tool, error: str) -> ToolError:
    return ToolError(id=tool.id, run_id=tool.run_id, name=tool.name, error=error or _NO_REASON)
