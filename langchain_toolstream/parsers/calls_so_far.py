"""A message of which all calls so far are shown, each time that more is known of one."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.events import (
    ArgumentEvents,
    CallEvent,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.json import JSONEvent
from langchain_toolstream.parsers.base import CallsReading, ToolCallError
from langchain_toolstream.views.growing_value import Growth
from langchain_toolstream.views.moment import UNKNOWN
from langchain_toolstream.views.places import ANY, Kind


class Cumulative(list[Any]):
    """A list of all there is so far, so that the sum of two is the later one.

    langchain-core adds up what a step streams. Of plain lists, the output of a run would be all
    that was ever streamed, one list behind the other.
    """

    def __add__(self, other: Any) -> Any:
        """Give the later one."""
        return other if isinstance(other, Cumulative) else super().__add__(other)


class CallSoFar:
    """One call on its way."""

    __slots__ = ("growth", "hidden", "id", "name", "object", "ready")

    def __init__(self, start: ToolCallStart, growth: Growth) -> None:
        self.id = start.id
        self.name = start.name
        self.growth = growth
        self.object: Any = UNKNOWN  # the last that there was
        self.hidden = True  # whether there is none of what is known now
        self.ready = False

    def grow(self, events: list[JSONEvent]) -> bool:
        """Take what became known. Returns whether the arguments look different."""
        self.growth.feed(events)
        for kind, path, value in events:
            is_news = path if kind == "start" else not isinstance(value, str | dict | list)
            if kind == "delta" or self.hidden or is_news:
                return True
        return False

    @property
    def args(self) -> dict[str, Any]:
        """The arguments as far as they are known."""
        args = self.growth.value()
        return args if isinstance(args, dict) else {}


class CallsSoFar(CallsReading[Any]):
    """One message on its way: all its calls, whenever more is known of one.

    Args:
        reader: As for `CallsReading`.
        first_only: Whether to show only the first call, by itself and not in a list.
        schemas: The bound tools by name; `None`: not known.

    Attributes:
        refused: Is given a message that may say that the model refused to answer, at the end.
    """

    def __init__(
        self, *, reader: str, first_only: bool, schemas: Mapping[str, ToolSpec] | None = None
    ) -> None:
        """Start before the first chunk."""
        super().__init__(schemas, reader=reader, growth=True)
        self._first_only = first_only
        self._calls: dict[str, CallSoFar] = {}
        self._shown: list[CallSoFar] = []
        self._refusals: list[str] = []
        self._refusal_block: dict[str, Any] = {}
        self._begun = False

    def kind(self, name: str) -> Kind | None:
        """What the arguments of a tool have to be."""
        del name
        return ANY

    def is_shown(self, call: CallSoFar) -> bool:
        """Whether the output is about the call."""
        del call
        return True

    def look(self, call: CallSoFar) -> bool:
        """Look at what has become known of a call. Returns whether it changes the output."""
        call.hidden = False
        return True

    @abstractmethod
    def output(self, calls: list[CallSoFar]) -> list[Any]:
        """Make of the calls what was asked for."""

    @abstractmethod
    def check_refusal(self, message: AIMessage) -> None:
        """Raise if the message says that the model refused to answer."""

    def feed(self, message: Any, /) -> Iterable[Any]:
        """Take a chunk, or the whole message, and return the calls if they look different."""
        outputs = super().feed(message) or self._first_output()
        self._look_for_refusal(message)
        return outputs

    def close(self) -> Iterator[Any]:
        """What the end brings: the good calls, then what is wrong with the others."""
        outputs = self._take(self._message.close())
        text: Any = self.trace.content
        if self._refusal_block:
            block = {**self._refusal_block, "refusal": "".join(self._refusals)}
            text = [block, *([{"type": "text", "text": text}] if text else [])]
        more = {} if self._refusal_block else {"refusal": "".join(self._refusals)}
        metadata = self.trace.response_metadata
        self.check_refusal(
            AIMessage(content=text, additional_kwargs=more, response_metadata=metadata)
        )
        yield from outputs or self._first_output()
        if self._invalid:
            raise ToolCallError(self._good, self._invalid)

    def _look_for_refusal(self, message: Any) -> None:
        if refusal := message.additional_kwargs.get("refusal"):
            self._refusals.append(refusal)
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, dict) and block.get("type") == "refusal":
                    self._refusal_block = self._refusal_block or block
                    self._refusals.append(block.get("refusal") or "")

    def _first_output(self) -> list[Any]:
        return [] if self._begun else self._output()

    def _output(self) -> list[Any]:
        self._begun = True
        made = self.output(self._shown)
        return made[:1] if self._first_only else [Cumulative(made)]

    def _take(self, events: Iterable[CallEvent]) -> list[Any]:
        changed: dict[str, CallSoFar] = {}
        is_news = False
        for event in events:
            if isinstance(event, ArgumentEvents):
                call = self._calls[event.id]
                if call.grow(event.events):
                    changed[event.id] = call
            elif isinstance(event, ToolCallStart):
                growth = Growth(self.kind(event.name), self._message.arguments(event.id))
                self._calls[event.id] = changed[event.id] = CallSoFar(event, growth)
                self._show()
            elif isinstance(event, ToolCallReady):
                call = self._calls[event.id]
                is_news_of_it = call.growth.complete(event.args) and bool(event.args)
                call.ready = True
                self._add_good(event)
                if call.hidden or is_news_of_it:
                    changed[event.id] = call
            elif isinstance(event, ToolCallInvalid):
                self._add_invalid(event)
                del self._calls[event.id]
                changed.pop(event.id, None)
                self._show()
                is_news = True
        for call in changed.values():
            if self.look(call) and call in self._shown:
                is_news = True
        return self._output() if is_news else []

    def _show(self) -> None:
        """Find the calls that the output is about."""
        calls = [call for call in self._calls.values() if self.is_shown(call)]
        self._shown = calls[:1] if self._first_only else calls
