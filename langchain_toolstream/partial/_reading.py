"""One message on its way: its calls as they become known, as views or as parts of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_toolstream._growth import Growth
from langchain_toolstream._kinds import ANY, Kind
from langchain_toolstream._messages import MessageEvents
from langchain_toolstream._steps import Reading
from langchain_toolstream.core.calls import does_not_fit, unknown_tool
from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.events import (
    ArgumentDelta,
    ArgumentFinish,
    ArgumentStart,
    CallEvent,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.json import JSONEvent
from langchain_toolstream.parser import ToolCallError
from langchain_toolstream.partial._view import ToolCallView
from langchain_toolstream.schema import ToolSchema

OnInvalid = Literal["emit", "raise", "abort"]

_ABORTED = "The message was not read to its end, because another call of it is invalid."


class _Call:
    """One call on its way."""

    __slots__ = ("error", "growth", "id", "index", "name", "tool_call")

    def __init__(self, start: ToolCallStart, growth: Growth) -> None:
        self.id = start.id
        self.name = start.name
        self.index = start.index
        self.growth = growth
        self.tool_call: ToolCall | None = None
        self.error: str | None = None

    def view(self) -> ToolCallView:
        problem = self.growth.problem
        return ToolCallView(
            self.growth.moment(),
            self.id,
            self.name,
            self.index,
            self.tool_call,
            self.error,
            None if problem is None or self.error is None else problem.path,
        )


class ViewReading(Reading[Any]):
    """One message on its way through the parser: the shared core of sync and async."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSchema] | None,
        kind: Callable[[str], Kind | None],
        on_invalid: OnInvalid,
    ) -> None:
        self._schemas = schemas
        self._kind = kind
        self._on_invalid = on_invalid
        self._message = MessageEvents(schemas, reader="PartialToolsParser", fields=True)
        self.trace = self._message.trace
        self._calls: dict[str, _Call] = {}
        self._invalid: list[InvalidToolCall] = []

    def feed(self, message: Any, /) -> Iterable[Any]:
        events = self._message.feed(message)
        return self._take(events) if events else ()

    def close(self) -> Iterator[Any]:
        yield from self._take(self._message.close())
        if invalid := self._to_raise():
            raise ToolCallError(self.trace.tool_calls, invalid)

    def _to_raise(self) -> list[InvalidToolCall]:
        """Which calls to raise an error about, at the end."""
        return [] if self._on_invalid == "emit" else self._invalid

    def _take(self, events: list[CallEvent]) -> Iterable[Any]:
        shown = self._shown([event.id for event in events if self._changes(event)])
        if self._on_invalid == "abort" and any(call.error for call in self._calls.values()):
            return self._abort(shown)
        return shown

    def _abort(self, shown: list[Any]) -> Iterator[Any]:
        """Give what there is to show, and raise."""
        yield from shown
        rest = self._message.abort(_ABORTED)
        yield from self._shown([event.id for event in rest if self._changes(event)])
        raise ToolCallError(self.trace.tool_calls, self._invalid)

    def _shown(self, changed: list[str]) -> list[Any]:
        """What there is to show, now that more of some calls is known."""
        return [self._calls[call_id].view() for call_id in dict.fromkeys(changed)]

    def _changes(self, event: CallEvent) -> bool:
        """Put what became known to its call. Returns whether there is something to see."""
        if isinstance(event, ArgumentDelta):
            return self._grow(self._calls[event.id], ("delta", event.path, event.text))
        if isinstance(event, ToolCallStart):
            return self._begin(event)
        call = self._calls[event.id]
        if isinstance(event, ArgumentStart):
            return self._grow(call, ("start", event.path, event.empty))
        if isinstance(event, ArgumentFinish):
            return self._grow(call, ("finish", event.path, event.value))
        return self._judge(call, event)

    def _judge(self, call: _Call, event: CallEvent) -> bool:
        if isinstance(event, ToolCallReady):
            if call.error is not None:
                return False
            call.growth.complete(event.args)
            call.tool_call = tool_call(name=event.name, args=event.args, id=event.id)
            self.trace.tool_calls.append(call.tool_call)
            return True
        return isinstance(event, ToolCallInvalid) and self._end(call, event)

    def _begin(self, start: ToolCallStart) -> bool:
        open_text = partial(self._message.open_text, start.id)
        schema = None if self._schemas is None else self._schemas.get(start.name)
        if schema is None:
            growth = Growth(ANY if self._schemas is None else None, open_text)
        else:
            growth = Growth(self._kind(start.name), open_text, forbidden=schema.forbidden)
        call = self._calls[start.id] = _Call(start, growth)
        if schema is None and self._schemas is not None:
            self._refuse(call, unknown_tool(start.name, self._schemas))
            return True
        return False

    def _grow(self, call: _Call, event: JSONEvent) -> bool:
        call.growth.feed([event])
        if (problem := call.growth.problem) is not None and call.error is None:
            self._refuse(call, does_not_fit(problem.reason))
            return True
        kind, path, _ = event
        return bool(path) or kind == "finish"

    def _refuse(self, call: _Call, reason: str) -> None:
        call.error = reason
        for event in self._message.refuse(call.id, reason):
            self._changes(event)

    def _end(self, call: _Call, event: ToolCallInvalid) -> bool:
        self._invalid.append(
            invalid_tool_call(name=event.name, args=event.args, id=event.id, error=event.error)
        )
        self.trace.invalid_tool_calls = self._invalid
        if event.revoked:
            calls = self.trace.tool_calls
            self.trace.tool_calls = [one for one in calls if one["id"] != event.id]
        news = call.error != event.error or call.tool_call is not None
        call.error = event.error
        call.tool_call = None
        return news


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of the arguments is shown."""

    path: JSONPath
    tool: str | None
    """The name of the tool; `None`: of any."""
    items: bool
    """Whether it is the finished items of a list, and not the pieces of a text."""

    def is_of(self, tool: str | None) -> bool:
        return self.tool is None or self.tool == tool


class PartReading(ViewReading):
    """One message of which a part of the arguments is shown, as it comes."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSchema] | None,
        kind: Callable[[str], Kind | None],
        on_invalid: OnInvalid,
        part: Part,
    ) -> None:
        super().__init__(schemas, kind, on_invalid)
        self._part = part
        self._come: list[Any] = []

    def _begin(self, start: ToolCallStart) -> bool:
        news = super()._begin(start)
        if self._part.items and self._part.is_of(start.name):
            self._calls[start.id].growth.watch = self._see
        return news

    def _see(self, path: JSONPath, made: Any) -> None:
        if path and path[:-1] == self._part.path and type(path[-1]) is int:
            self._come.append(made)

    def _grow(self, call: _Call, event: JSONEvent) -> bool:
        part = self._part
        if not part.items and event[:2] == ("delta", part.path) and part.is_of(call.name):
            self._come.append(event[2])
        return super()._grow(call, event)

    def _shown(self, changed: list[str]) -> list[Any]:
        del changed
        come, self._come = self._come, []
        return come

    def _to_raise(self) -> list[InvalidToolCall]:
        return [call for call in self._invalid if self._part.is_of(call["name"])]
