"""One message on its way: its calls as they become known, as views or as parts of them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages.tool import invalid_tool_call

from langchain_toolstream.core.calls import does_not_fit, unknown_tool
from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.core.events import (
    ArgumentEvents,
    CallEvent,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.json import JSONEvent
from langchain_toolstream.parsers.base import CallsReading, ToolCallError
from langchain_toolstream.parsers.partial.view import About, ToolCallView
from langchain_toolstream.schema.problems import shown
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.views.growing_value import Growth
from langchain_toolstream.views.places import ANY, Kind

OnInvalid = Literal["emit", "raise", "abort"]

_ABORTED = "The message was not read to its end, because another call of it is invalid."


class _Call:
    """One call on its way."""

    __slots__ = ("about", "growth", "schema")

    def __init__(self, start: ToolCallStart, growth: Growth, schema: ToolSchema | None) -> None:
        self.about = About(start.id, start.name, start.index)
        self.growth = growth
        self.schema = schema

    def excuses(self, path: JSONPath) -> bool:
        """Whether the tool may take the call in spite of what does not fit there."""
        return self.schema is not None and self.schema.excuses(path)

    @property
    def told(self) -> dict[str, Any]:
        """What an `InvalidToolCall` says of it, but for the error."""
        args = json.dumps(self.growth.value(), ensure_ascii=False)
        return {"name": self.about.name, "args": args, "id": self.about.id}

    def view(self) -> ToolCallView:
        growth = self.growth
        return ToolCallView(self.about, growth.moment(), growth.length)


class ViewReading(CallsReading[Any]):
    """One message on its way through the parser: the shared core of sync and async."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSchema] | None,
        kind: Callable[[str], Kind | None],
        on_invalid: OnInvalid,
        *,
        goes_on: bool = False,
    ) -> None:
        super().__init__(schemas, reader="PartialToolsParser", growth=True)
        self._schemas = schemas
        self._goes_on = goes_on
        self._kind = kind
        self._on_invalid = on_invalid
        self._calls: dict[str, _Call] = {}

    def close(self) -> Iterator[Any]:
        """End the message: yield what is left, then raise what has to be raised."""
        yield from self._take(self._message.close())
        self._raise()

    def _raise(self) -> None:
        """Raise what has to be raised at the end."""
        if self._invalid and self._on_invalid != "emit":
            raise ToolCallError(self._good, self._invalid)

    def _take(self, events: Iterable[CallEvent]) -> Iterable[Any]:
        shown = self._shown(self._changed(events))
        if self._on_invalid == "abort" and any(call.about.error for call in self._calls.values()):
            return self._abort(shown)
        return shown

    def _abort(self, shown: list[Any]) -> Iterator[Any]:
        """Give what there is to show, and raise."""
        yield from shown
        rest = self._message.abort(_ABORTED)
        yield from self._shown(self._changed(rest))
        raise ToolCallError(self._good, self._invalid)

    def _changed(self, events: Iterable[CallEvent]) -> list[_Call]:
        """Put what became known to its calls, and say of which there is something to see."""
        changed: list[_Call] = []
        for event in events:
            if self._changes(event) and (call := self._calls[event.id]) not in changed:
                changed.append(call)
        return changed

    def _shown(self, changed: list[_Call]) -> list[Any]:
        """What there is to show, now that more of some calls is known."""
        if len(changed) == 1:  # as a rule; a comprehension costs as much as the view
            return [changed[0].view()]
        return [call.view() for call in changed]

    def _changes(self, event: CallEvent) -> bool:
        """Put what became known to its call. Returns whether there is something to see."""
        if isinstance(event, ArgumentEvents):
            return self._grow(self._calls[event.id], event.events)
        if isinstance(event, ToolCallStart):
            return self._begin(event)
        return self._judge(self._calls[event.id], event)

    def _judge(self, call: _Call, event: CallEvent) -> bool:
        if isinstance(event, ToolCallReady):
            if call.about.error is not None:
                return False
            call.growth.complete(event.args)
            call.about = replace(call.about, tool_call=self._add_good(event))
            return True
        return isinstance(event, ToolCallInvalid) and self._end(call, event)

    def _begin(self, start: ToolCallStart) -> bool:
        arguments = self._message.arguments(start.id)
        schema = None if self._schemas is None else self._schemas.get(start.name)
        if schema is None:
            growth = Growth(ANY if self._schemas is None else None, arguments)
        else:
            kind = self._kind(start.name)
            growth = Growth(kind, arguments, forbidden=schema.forbidden, goes_on=self._goes_on)
        call = self._calls[start.id] = _Call(start, growth, schema)
        if schema is None and self._schemas is not None:
            self._refuse(call, unknown_tool(start.name, self._schemas))
        return True

    def _grow(self, call: _Call, events: list[JSONEvent]) -> bool:
        call.growth.feed(events)
        problem = None if self._goes_on or call.about.error else call.growth.problem
        if problem is not None and not call.excuses(problem.path):
            self._refuse(call, does_not_fit(problem.reason), problem.path)
            return True
        # That the arguments as a whole began is nothing to see.
        kind, path, _ = events[-1]
        return bool(path) or kind == "finish"

    def _refuse(self, call: _Call, reason: str, path: JSONPath | None = None) -> None:
        call.about = replace(call.about, error=reason, error_path=path)
        for event in self._message.refuse(call.about.id, reason):
            self._changes(event)

    def _end(self, call: _Call, event: ToolCallInvalid) -> bool:
        self._add_invalid(event)
        about = call.about
        call.about = replace(about, error=event.error, tool_call=None)
        return call.about != about


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of the arguments is shown."""

    path: JSONPath
    tool: str | None
    """The name of the tool; `None`: of any."""
    tools: frozenset[str] | None
    """The names of those that have such a part; `None`: not known."""
    items: bool
    """Whether it is the finished items of a list, and not the pieces of a text."""
    on_invalid: Literal["skip", "abort"]
    """What to do about what does not fit."""

    def is_of(self, tool: str | None) -> bool:
        """Whether a call of this tool is picked."""
        return self.tool is None or self.tool == tool

    def __str__(self) -> str:
        """Say what it is, for messages to people."""
        names = sorted(self.tools or ())
        of = f" of {' or '.join(map(shown, names))}" if names else ""
        return f"call{of} with {'a list' if self.items else 'a text'} at {format_path(self.path)}"


class PartReading(ViewReading):
    """One message of which a part of the arguments is shown, as it comes."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSchema] | None,
        kind: Callable[[str], Kind | None],
        part: Part,
    ) -> None:
        aborts = part.on_invalid == "abort"
        super().__init__(schemas, kind, "abort" if aborts else "raise", goes_on=not aborts)
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

    def _grow(self, call: _Call, events: list[JSONEvent]) -> bool:
        part = self._part
        if not part.items and part.is_of(call.about.name):
            self._come += [
                text for kind, path, text in events if kind == "delta" and path == part.path
            ]
        return super()._grow(call, events)

    def _shown(self, changed: list[_Call]) -> list[Any]:
        del changed
        come, self._come = self._come, []
        return come

    def _raise(self) -> None:
        part = self._part
        invalid = [call for call in self._invalid if part.is_of(call["name"])]
        skipped: dict[JSONPath, str] = {}
        depth = len(part.path)
        for call in self._calls.values() if part.items else ():
            wrong = {
                problem.path[: depth + 1]: problem.reason
                for problem in reversed(call.growth.problems)
                if problem.path[:depth] == part.path and len(problem.path) > depth
            }
            if wrong and part.is_of(call.about.name):
                skipped |= dict(reversed(wrong.items()))
                if call.about.tool_call is not None:  # the tool takes it nevertheless
                    error = does_not_fit(call.growth.problems[0].reason)
                    invalid.append(invalid_tool_call(**call.told, error=error))
        if invalid:
            raise ToolCallError(self._good, invalid, skipped)
        if not any(self._has_part(call["name"]) for call in self._good):
            raise ToolCallError(self._good, self._invalid, message=self._without_part())

    def _has_part(self, tool: str) -> bool:
        return self._part.is_of(tool) and (self._part.tools is None or tool in self._part.tools)

    def _without_part(self) -> str:
        """Say that the message has no such call, and what it has instead."""
        told = f"The message has no {self._part}."
        if calls := [*self._good, *self._invalid]:
            told += f" It calls {', '.join(shown(call['name']) for call in calls[:3])}."
        if text := str(self.trace.content):
            told += f" It says {shown(text, _MAX_TEXT_TOLD)}."
        return told


_MAX_TEXT_TOLD = 200
