"""The tool calls of a message while they are written, field by field, as what they will be."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from pydantic import PrivateAttr

from langchain_toolstream._growth import FinishedPaths, Growth, Moment
from langchain_toolstream._kinds import ANY, Kind, Scope
from langchain_toolstream._messages import MessageEvents
from langchain_toolstream._steps import astep, step
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
from langchain_toolstream.schema import ToolLike, ToolSchema, tool_schemas

OnInvalid = Literal["emit", "raise", "abort"]

_ABORTED = "The message was not read to its end, because another call of it is invalid."


@dataclass(slots=True, eq=False, repr=False)
class ToolCallView:
    """What was known of a tool call at one moment.

    A view stays as it is, whenever it is looked at. It costs the same to make however long the
    arguments are; `args` and `model` are put together when they are asked for, from parts that all
    views share, so they are to be read and not written to.

    Attributes:
        id: The id of the call.
        name: The name of its tool.
        index: The position of the call in its message.
        tool_call: LangChain's `ToolCall`, from the moment that the call may be run: its message
            has ended and nothing speaks against the call, or its tool is read-only in a `ToolSet`
            and the arguments are complete. Before, it is `None`: complete arguments may still be
            contradicted, or turn out to have been cut off.
        error: Why this is no call that may run, with the place, from the moment that is known.
        error_path: That place, where it is one in the arguments.
    """

    _moment: Moment
    id: str
    name: str
    index: int
    tool_call: ToolCall | None
    error: str | None
    error_path: JSONPath | None

    @property
    def args(self) -> dict[str, Any]:
        """The arguments so far, as JSON has them.

        Numbers, booleans and nulls appear when they are finished; strings grow, by whole
        characters; objects and lists fill in.
        """
        args: dict[str, Any] = self._moment.value() or {}
        return args

    @property
    def model(self) -> Any:
        """What the arguments are going to be, with just the fields that are known.

        An object of the pydantic model or dataclass, of the model that LangChain makes for a
        function or tool, or a dict for a `TypedDict` or JSON schema. What is finished has been
        validated and is of its real type; a field that is not known yet is not set, also where it
        has a default, so reading it raises `AttributeError`. `None` as long as it cannot be said
        what the arguments are.
        """
        return self._moment.made()

    @property
    def finished(self) -> FinishedPaths:
        """The paths in `args` whose value will never change."""
        return self._moment.finished()

    def __repr__(self) -> str:
        state = "tool_call" if self.tool_call else f"error={self.error!r}" if self.error else "..."
        return f"ToolCallView({self.name}, {self.args!r}, {state})"

    def __copy__(self) -> "ToolCallView":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ToolCallView":
        return self


class PartialToolsParser(BaseTransformOutputParser[Any]):
    """Show the tool calls of a chat model's message while they are written.

    Streams a `ToolCallView` of a call each time that more of it is known, typed: pydantic models
    with just the fields that are known, numbers when they are finished, strings as they grow.
    `invoke` gives a list of the last view of each call.

    What a view promises:

    - A path in `finished` never changes again, in this view and all that follow.
    - Numbers, booleans and nulls appear only when they are finished; strings grow by whole
      characters.
    - `model` holds exactly the fields that are known, validated where they are finished, nested
      models as those models. A string is shown while it grows where it is going to be a string; a
      date or a member of an `Enum` is not. Where a validator of the model's own runs first, or the
      branch of a union is not known yet, that part comes when it closes.
    - The last view of a call has its `tool_call`, and `model` is what the tool makes of it; or it
      has its `error`.
    - A view that is kept stays as it was.

    A finished field that the tool's schema refuses makes the call invalid at that moment: the view
    has `error` and `error_path`. Nothing is refused before the end that the whole schema would
    take. What else is no call (cut off, malformed, unknown, contradicted) is said as soon as
    `ToolStreamParser` would say it.

    Example:
        ```python
        from langchain_core.messages import AIMessageChunk
        from langchain_toolstream import PartialToolsParser
        from pydantic import BaseModel

        class Pay(BaseModel):
            \"\"\"Pay somebody.\"\"\"

            to: str
            amount: int

        def chunk(args, **first):
            call = {"index": 0, "id": None, "name": None, "args": args, **first}
            return AIMessageChunk(content="", tool_call_chunks=[call])

        chunks = [chunk('{"to": "al', id="call_1", name="Pay"), chunk('ice", "amount": 12')]
        chunks += [chunk("50}"), AIMessageChunk(content="")]
        views = list(PartialToolsParser([Pay]).transform(iter(chunks)))
        assert [str(view.model) for view in views] == [
            "to='al'",
            "to='alice'",
            "to='alice' amount=1250",
            "to='alice' amount=1250",
        ]
        assert views[-1].tool_call["args"] == {"to": "alice", "amount": 1250}
        ```
    """

    tools: Any = None
    """The tools that were bound, as for `ToolStreamParser`. `None`: every name passes, nothing is
    validated, and `model` is what JSON makes of the arguments."""

    on_invalid: OnInvalid = "emit"
    """What to do with what is no call: show it by its view; or raise one `ToolCallError` behind all
    views; or raise it at once, which closes the stream, so that the server stops writing."""

    _schemas: Mapping[str, ToolSchema] | None = PrivateAttr(default=None)
    _kinds: dict[str, Kind | None] = PrivateAttr(default_factory=dict)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what is made of the tools: a function's model cannot be pickled."""
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {"_schemas": None, "_kinds": {}}}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Look at the tools again."""
        super().__setstate__(state)
        self._schemas = None if self.tools is None else tool_schemas(self.tools)

    def __init__(
        self,
        tools: Iterable[ToolLike] | None = None,
        *,
        on_invalid: OnInvalid = "emit",
        **kwargs: Any,
    ) -> None:
        """Look at the tools.

        Args:
            tools: The tools that were bound, see `tools`.
            on_invalid: See `on_invalid`.
            **kwargs: Fields of the base class.

        Raises:
            TypeError: `tools` is no list of tools.
            ValueError: A tool cannot be understood, or two have the same name.
        """
        super().__init__(**{"tools": tools, "on_invalid": on_invalid, **kwargs})
        self._schemas = None if tools is None else tool_schemas(tools)

    @property
    def _type(self) -> str:
        return "partial_tools_parser"

    def parse(self, text: str) -> list[ToolCallView]:
        """Refuse: text holds no tool calls.

        Args:
            text: Ignored.

        Raises:
            OutputParserException: Always.
        """
        msg = "PartialToolsParser reads messages of a chat model; text has no tool calls."
        raise OutputParserException(msg, llm_output=text)

    def parse_result(
        self, result: list[Generation], *, partial: bool = False
    ) -> list[ToolCallView]:
        """Parse a whole message.

        Args:
            result: A generation of a chat model; of several, the first counts.
            partial: Ignored: the end of the message is what confirms a call.

        Returns:
            The last view of each call, in the model's order.

        Raises:
            ToolCallError: Something is no call, unless `on_invalid` is `"emit"`.
            OutputParserException: The generation is text.
        """
        del partial
        if not isinstance(result[0], ChatGeneration):
            return self.parse(result[0].text)
        reading = self._reading()
        last = {view.id: view for view in chain(reading.feed(result[0].message), reading.close())}
        return sorted(last.values(), key=lambda view: view.index)

    async def aparse_result(
        self, result: list[Generation], *, partial: bool = False
    ) -> list[ToolCallView]:
        """Parse a whole message, as `parse_result` does; nothing in it waits.

        Args:
            result: See `parse_result`.
            partial: See `parse_result`.

        Returns:
            See `parse_result`.
        """
        return self.parse_result(result, partial=partial)

    def transform(
        self,
        input: Iterator[str | BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[ToolCallView]:
        """Show the calls of a message while it streams.

        Closing the iterator closes the input, and with it the model's stream.

        Args:
            input: The chunks of one message.
            config: The configuration of the run.
            **kwargs: Passed on to the base class.

        Returns:
            Views, each time that more is known of a call.

        Raises:
            ToolCallError: Something is no call, unless `on_invalid` is `"emit"`; behind its view.
            IncompleteStreamError: An OpenAI-style stream ended without a finish reason.
        """
        return step(self, self._reading(), input, config, **kwargs)

    def atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ToolCallView]:
        """Show the calls of a message while it streams, as `transform` does.

        Args:
            input: The chunks of one message.
            config: The configuration of the run.
            **kwargs: Passed on to the base class.

        Returns:
            See `transform`.
        """
        return astep(self, self._reading(), input, config, **kwargs)

    def _reading(self) -> "_Reading":
        return _Reading(self._schemas, self._kind, self.on_invalid)

    def _kind(self, name: str) -> Kind | None:
        """Find what the arguments of a tool have to be."""
        if name not in self._kinds:
            schema = (self._schemas or {}).get(name)
            self._kinds[name] = None if schema is None else Scope(schema.core_schema).root()
        return self._kinds[name]


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


class _Reading:
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

    def feed(self, message: Any, /) -> Iterator[ToolCallView]:
        if events := self._message.feed(message):
            yield from self._take(events)

    def close(self) -> Iterator[ToolCallView]:
        yield from self._take(self._message.close())
        if self._invalid and self._on_invalid != "emit":
            raise ToolCallError(self.trace.tool_calls, self._invalid)

    def _take(self, events: list[CallEvent]) -> Iterator[ToolCallView]:
        changed: dict[str, _Call] = {}
        for event in events:
            if self._changes(event):
                changed[event.id] = self._calls[event.id]
        for call in changed.values():
            yield call.view()
        if self._on_invalid == "abort" and any(call.error for call in self._calls.values()):
            for event in self._message.abort(_ABORTED):
                if self._changes(event):
                    yield self._calls[event.id].view()
            raise ToolCallError(self.trace.tool_calls, self._invalid)

    def _changes(self, event: CallEvent) -> bool:
        """Put what became known to its call. Returns whether there is something to see."""
        if isinstance(event, ToolCallStart):
            return self._begin(event)
        call = self._calls[event.id]
        if isinstance(event, ArgumentDelta):
            return self._grow(call, ("delta", event.path, event.text))
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
