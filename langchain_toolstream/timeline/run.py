"""What happened in a run, and when. No clock: every event comes with its time."""

from dataclasses import dataclass, field
from typing import Literal

from langchain_toolstream.core.events import (
    CallEvent,
    Interrupt,
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolAnswer,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)

MAX_ARGS = 200
"""Characters of a call's arguments that are kept: a label has room for no more."""

MAX_NAME = 64
"""Characters of a name: no server takes more."""

Outcome = Literal["", "done", "error", "invalid"]


@dataclass(slots=True, kw_only=True)
class Message:
    """A model's message, from its first piece to its last. Times in seconds."""

    name: str
    first: float
    last: float
    error: str = ""

    def label(self, width: int) -> str:
        """Say who writes, cut to a width.

        Args:
            width: In characters.
        """
        return _cut(self.name, width)


@dataclass(slots=True, kw_only=True)
class Call:
    """A call: when it was written, when its tool ran, and what came of it.

    A tool that runs without a call has no message, and was never written.
    """

    message: Message | None
    name: str
    begun: float
    written: float
    args: str = ""
    started: float | None = None
    finished: float | None = None
    outcome: Outcome = ""
    reason: str = ""

    def label(self, width: int) -> str:
        """Say what is called, cut to a width.

        Args:
            width: In characters.
        """
        return _cut(f"{self.name} {self.args}", width)


@dataclass(slots=True)
class Run:
    """The messages of a run, and its calls, in the order in which they began."""

    messages: dict[str, Message] = field(default_factory=dict)
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    end: float = 0.0

    def add(self, event: ToolEvent, at: float) -> None:
        """Take the next event.

        Args:
            event: One of `tool_events`.
            at: When it came, not before those before it.
        """
        self.end = max(self.end, at)
        match event:
            case MessageStart():
                name = _cut(event.node or "model", MAX_NAME)
                self.messages[event.run_id] = Message(name=name, first=at, last=at)
            case TextDelta() | ReasoningDelta() | MessageFinish():
                self._message(event.run_id, at)
            case MessageError():
                self._message(event.run_id, at).error = event.error
            case ToolStart() | ToolFinish() | ToolError():
                self._run_tool(event, at)
            case ToolAnswer():
                call = self._call(event.run_id, event.id, event.name, at)
                call.finished = at
                call.outcome = "done" if event.status == "success" else "error"
            case ToolProgress() | Interrupt():
                pass
            case _:
                self._message(event.run_id, at)
                self._write(event, at)

    def _write(self, event: CallEvent, at: float) -> None:
        """Take a piece of a call."""
        name = event.name if isinstance(event, ToolCallStart | ToolCallInvalid) else ""
        call = self._call(event.run_id, event.id, name, at)
        match event:
            case ToolCallDelta():
                call.written = at
                if len(call.args) < MAX_ARGS:
                    call.args = f"{call.args}{event.args}"[:MAX_ARGS]
            case ToolCallInvalid():
                call.outcome, call.reason = "invalid", event.error
            case _:
                pass

    def _run_tool(self, event: ToolStart | ToolFinish | ToolError, at: float) -> None:
        call = self._call(event.run_id, event.id, event.name, at)
        # A call that is tried again starts again: its bar is that of all tries.
        call.started = at if call.started is None else call.started
        call.finished = None if isinstance(event, ToolStart) else at
        if call.outcome == "invalid":
            return
        match event:
            case ToolStart():
                call.outcome, call.reason = "", ""
            case ToolFinish():
                call.outcome = "done"
            case ToolError():
                call.outcome, call.reason = "error", event.error

    def _message(self, run_id: str, at: float) -> Message:
        message = self.messages.get(run_id)
        if message is None:
            message = self.messages[run_id] = Message(name="model", first=at, last=at)
        message.last = at
        return message

    def _call(self, run_id: str, call_id: str, name: str, at: float) -> Call:
        call = self.calls.get((run_id, call_id))
        if call is None:
            message = self.messages.get(run_id)
            call = Call(message=message, name=_cut(name, MAX_NAME), begun=at, written=at)
            self.calls[run_id, call_id] = call
        return call

    def rows(self) -> list[Message | Call]:
        """Give each message with its calls behind it, then the tools that ran without a call."""
        rows: list[Message | Call] = []
        for message in [*self.messages.values(), None]:
            rows += [message] if message else []
            rows += [call for call in self.calls.values() if call.message is message]
        return rows

    def ran(self, call: Call) -> tuple[float, float] | None:
        """Say from when to when the tool of a call ran; `None` if it never did.

        Args:
            call: One of this run's.
        """
        if call.started is None:
            return None
        return call.started, self.end if call.finished is None else call.finished


def _cut(text: str, width: int) -> str:
    """A text in one line of a width, without what steers a terminal or XML cannot hold."""
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."
