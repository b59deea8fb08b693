"""The loop that brings a run's events on a wire, and what the writers of protocols share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from langchain_toolstream.core.events import (
    Interrupt,
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolAnswer,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.json_values import bounded, to_json

_logger = logging.getLogger(__name__)

HAS_APPROVALS = 6
"""The first version of `ai` that knows approvals."""

Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)

HIDDEN = "Something went wrong."
"""What a front end is told of an error whose text is not for everybody."""


UNANSWERED = "The call was not answered."
"""The end of a call that waited, when the user went on to something else."""


class Writer(Protocol[Out_co]):
    """One protocol."""

    def open(self) -> Iterable[Out_co]:
        """Begin."""
        ...

    def feed(self, event: ToolEvent) -> Iterable[Out_co]:
        """Write the next event."""
        ...

    def close(self) -> Iterable[Out_co]:
        """Say that the run ended."""
        ...

    def fail(self, error: str) -> Iterable[Out_co]:
        """Say that the run failed."""
        ...


async def write(
    events: AsyncIterable[ToolEvent], writer: Writer[Out], *, show_errors: bool
) -> AsyncGenerator[Out]:
    """Write the events of a run.

    An error of the run is told in the protocol's own way, and logged; a response whose headers are
    sent has no other way. However the writing ends, the events are closed, and with them the run.

    Args:
        events: What `tool_events` gives.
        writer: The protocol.
        show_errors: Whether the text of the error goes out.

    Yields:
        What goes on the wire.
    """
    try:
        for out in writer.open():
            yield out
        failure: str | None = None
        try:
            async for event in events:
                for out in writer.feed(event):
                    yield out
        except Exception as error:
            _logger.exception("The run failed while its events were written.")
            failure = (str(error) or type(error).__name__) if show_errors else HIDDEN
        for out in writer.close() if failure is None else writer.fail(failure):
            yield out
    finally:
        if aclose := getattr(events, "aclose", None):
            await aclose()


def as_text(content: Any) -> str:
    """Write what a model reads as text.

    Args:
        content: Of a tool's message.
    """
    plain = bounded(content)
    if isinstance(plain, list) and plain and all(map(_is_text, plain)):
        return "".join(one["text"] for one in plain)
    return plain if isinstance(plain, str) else to_json(plain)


def _is_text(block: Any) -> bool:
    return (
        isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(block.get("text"), str)
    )


def approval_data(question: Interrupt, call_id: str) -> dict[str, Any]:
    """What is asked of a call, for a data part of the AI SDK.

    Args:
        question: About a call.
        call_id: Its id on the wire.
    """
    return {
        "toolCallId": call_id,
        "name": question.name,
        "args": bounded(question.args),
        "message": question.message,
        "allowedDecisions": [*question.allowed],
        "status": "requested",
    }


@dataclass(slots=True)
class Call:
    """A call as a front end knows it.

    Attributes:
        id: Unique in the run, as front ends want it.
        run_id: Of its message.
        name: Of its tool.
        written: Whether its input is complete.
        answered: Whether it has its one end; what its tool says after that is dropped.
        held: The end of its tool that is not yet said: the input was not complete, or the tool
            failed and may be tried again.
    """

    id: str
    run_id: str
    name: str
    written: bool = False
    answered: bool = False
    held: ToolFinish | ToolError | None = None


class ProtocolWriter(ABC, Generic[Out]):
    """What the writers of front-end protocols share: which calls there are, and their order.

    A call is begun, its input completed, its tool shown and its result given, in this order,
    whatever the order of the events. A protocol says how each is written.

    Args:
        show_errors: Whether the texts of failed tools go out.
    """

    def __init__(self, *, show_errors: bool) -> None:
        """Start before the first event."""
        self._show_errors = show_errors
        self._calls: dict[tuple[str, str], Call] = {}  # by message and their own ids
        self._owners: dict[str, str] = {}  # the first message that used an id
        self._failed: dict[str, Call] = {}  # those whose tool failed, and may be tried again
        self.questions: list[Interrupt] = []  # what a person is asked, at the end of the run

    def feed(self, event: ToolEvent) -> Iterator[Out]:
        """Write the next event."""
        match event:
            case MessageStart():
                if event.parent_call_id is None:
                    yield from self._end_failed()
                yield from self._start_message(event)
            case TextDelta() | ReasoningDelta():
                yield from self._prose(event)
            case MessageFinish() | MessageError():
                yield from self._end_message(event)
            case ToolCallStart():
                yield from self._begin_call(self._new(event))
            case ToolCallDelta() | ToolCallReady() | ToolCallInvalid():
                yield from self._call(self._calls[event.run_id, event.id], event)
            case Interrupt():
                self.questions.append(event)
            case _:
                yield from self._feed_tool(event)

    def _feed_tool(self, event: ToolEvent) -> Iterator[Out]:
        match event:
            case ToolStart() | ToolProgress() | ToolFinish() | ToolError():
                known = self._calls.get((event.run_id, event.id))
                if known is None and event.id != event.run_id:
                    known = self._new(event)  # a call of an earlier run
                if known is not None:
                    yield from self._tool(known, event)
            case ToolAnswer():
                known = self._calls.get((event.run_id, event.id)) or self._new(event)
                yield from self._answer(known, event)
            case _:
                pass  # arguments field by field, confirmations: protocols have neither

    def close(self) -> Iterator[Out]:
        """Say that the run ended."""
        yield from self._end_failed()
        yield from self._close()

    def fail(self, error: str) -> Iterator[Out]:
        """Say that the run failed."""
        yield from self._end_failed()
        yield from self._fail(error)

    def _new(
        self,
        event: ToolCallStart | ToolStart | ToolProgress | ToolFinish | ToolError | ToolAnswer,
    ) -> Call:
        owner = self._owners.setdefault(event.id, event.run_id)
        # Only where another message has used the id already, the message's run is added.
        name = event.id if owner == event.run_id else f"{event.run_id}:{event.id}"
        call = self._calls[event.run_id, event.id] = Call(name, event.run_id, event.name)
        return call

    def _id_of(self, question: Interrupt) -> str | None:
        call = self._calls.get((question.run_id, question.call_id or ""))
        return call.id if call else question.call_id

    def _end_failed(self) -> Iterator[Out]:
        """A tool that failed has not been tried again."""
        for call in self._failed.values():
            if isinstance(call.held, ToolError) and not call.answered:
                call.answered = True
                error = call.held.error if self._show_errors else HIDDEN
                call.held = None
                yield from self._failure(call, error)
        self._failed.clear()

    def _answer(self, call: Call, event: ToolAnswer) -> Iterator[Out]:
        if call.answered:
            return
        call.held = None
        yield from self._complete(call, event.args or {})
        call.answered = True
        if event.status == "success":
            yield from self._output(call, event)
        elif event.status == "denied":
            yield from self._denied(call, event)
        else:
            yield from self._failure(call, as_text(event.content))

    def _call(
        self, call: Call, event: ToolCallDelta | ToolCallReady | ToolCallInvalid
    ) -> Iterator[Out]:
        match event:
            case ToolCallDelta():
                yield from self._args(call, event.args)
            case ToolCallReady():
                yield from self._complete(call, event.args)
            case ToolCallInvalid() if not call.answered:  # a second result were a second message
                call.held = None
                call.answered = True
                yield from self._invalid(call, event)
                call.written = True

    def _complete(self, call: Call, args: dict[str, Any]) -> Iterator[Out]:
        """Once: a tool may start before its call is known to be ready, where tools are unknown."""
        if call.written:
            return
        call.written = True
        yield from self._input(call, args)
        if (held := call.held) is not None:
            call.held = None
            yield from self._tool(call, held)

    def _tool(
        self, call: Call, event: ToolStart | ToolProgress | ToolFinish | ToolError
    ) -> Iterator[Out]:
        match event:
            case _ if call.answered:
                pass
            case ToolStart():
                call.held = None  # it is tried again
                if event.streamed is None:
                    yield from self._complete(call, event.args)
                yield from self._begin_tool(call, event)
            case ToolProgress():
                yield from self._progress(call, event.data)
            case ToolFinish() | ToolError() if not call.written:
                call.held = event  # its tool read no further
            case ToolFinish():
                call.answered = True
                yield from self._output(call, event)
            case ToolError():
                call.held = event
                self._failed[call.id] = call

    @abstractmethod
    def _close(self) -> Iterable[Out]: ...

    @abstractmethod
    def _fail(self, error: str) -> Iterable[Out]: ...

    @abstractmethod
    def _denied(self, call: Call, event: ToolAnswer) -> Iterable[Out]: ...

    @abstractmethod
    def _start_message(self, event: MessageStart) -> Iterable[Out]: ...

    @abstractmethod
    def _prose(self, event: TextDelta | ReasoningDelta) -> Iterable[Out]: ...

    @abstractmethod
    def _end_message(self, event: MessageFinish | MessageError) -> Iterable[Out]: ...

    @abstractmethod
    def _begin_call(self, call: Call) -> Iterable[Out]: ...

    @abstractmethod
    def _args(self, call: Call, piece: str) -> Iterable[Out]: ...

    @abstractmethod
    def _input(self, call: Call, args: dict[str, Any]) -> Iterable[Out]: ...

    @abstractmethod
    def _invalid(self, call: Call, event: ToolCallInvalid) -> Iterable[Out]: ...

    @abstractmethod
    def _begin_tool(self, call: Call, event: ToolStart) -> Iterable[Out]: ...

    @abstractmethod
    def _progress(self, call: Call, data: Any) -> Iterable[Out]: ...

    @abstractmethod
    def _output(self, call: Call, event: ToolFinish | ToolAnswer) -> Iterable[Out]: ...

    @abstractmethod
    def _failure(self, call: Call, error: str) -> Iterable[Out]: ...
