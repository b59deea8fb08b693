"""langchain-core's `openai_tools` parsers, linear, and strict at the end.

For chains that exist: the names, constructors and outputs of
`langchain_core.output_parsers.openai_tools`, so that only the import changes. New code is better
off with `ToolStreamParser` and `PartialToolsParser`. `docs/migrating.md` lists what differs, and
why.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.output_parsers import openai_tools
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel

from langchain_toolstream.core.calls import ToolSpec
from langchain_toolstream.core.errors import JSONStreamError
from langchain_toolstream.core.events import (
    ArgumentEvents,
    CallEvent,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.json import JSONEvent, JSONStream
from langchain_toolstream.parsers.tool_stream import ToolCallError
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.streams.messages import MessageEvents
from langchain_toolstream.streams.steps import Reading, StreamStep
from langchain_toolstream.views.growing_value import UNKNOWN, Growth
from langchain_toolstream.views.places import ANY, Kind
from langchain_toolstream.views.schema_places import Scope

__all__ = [
    "JsonOutputKeyToolsParser",
    "JsonOutputToolsParser",
    "PydanticToolsParser",
    "make_invalid_tool_call",
    "parse_tool_call",
    "parse_tool_calls",
]


def parse_tool_call(
    raw_tool_call: dict[str, Any],
    *,
    partial: bool = False,
    strict: bool = False,
    return_id: bool = True,
) -> dict[str, Any] | None:
    """Parse a tool call in OpenAI's form.

    Args:
        raw_tool_call: A dict with `function`, which has a `name` and `arguments`.
        partial: Whether the arguments may go on.
        strict: Ignored: JSON is always read strictly.
        return_id: Whether to return a `ToolCall` with the call's id, or only `name` and `args`.

    Returns:
        The call, or `None` where there is no `function`, or with `partial` no JSON.

    Raises:
        OutputParserException: The arguments are not one strict JSON value.
    """
    del strict
    if "function" not in raw_tool_call:
        return None
    function = raw_tool_call["function"]
    name, text = function["name"] or "", function["arguments"]
    if partial and text is None:
        return None
    stream = JSONStream()
    try:
        if text:
            stream.feed(text)
        if text and not partial:
            stream.close()
        if stream.error is not None:
            raise stream.error
    except JSONStreamError as error:
        if partial:
            return None
        msg = f"The arguments of the call {name!r} are not strict JSON: {error}."
        raise OutputParserException(msg, llm_output=text) from error
    args = stream.snapshot()
    if partial and args is None and text.strip() != "null":
        return None  # nothing yet, or not enough of a number or literal
    args = args or {}
    if return_id:
        return {**tool_call(name=name, args=args, id=raw_tool_call.get("id"))}
    return {"name": name, "args": args}


def parse_tool_calls(
    raw_tool_calls: list[dict[str, Any]],
    *,
    partial: bool = False,
    strict: bool = False,
    return_id: bool = True,
) -> list[dict[str, Any]]:
    """Parse some tool calls in OpenAI's form.

    Args:
        raw_tool_calls: See `parse_tool_call`.
        partial: See `parse_tool_call`.
        strict: See `parse_tool_call`.
        return_id: See `parse_tool_call`.

    Returns:
        The calls.

    Raises:
        OutputParserException: The arguments of some are not strict JSON; all of them are named.
    """
    calls: list[dict[str, Any]] = []
    problems: list[str] = []
    for raw in raw_tool_calls:
        try:
            call = parse_tool_call(raw, partial=partial, strict=strict, return_id=return_id)
        except OutputParserException as error:
            problems.append(str(error))
        else:
            calls += [] if call is None else [call]
    if problems:
        raise OutputParserException("\n\n".join(problems))
    return calls


class _Cumulative(list[Any]):
    """A list of all there is so far, so that the sum of two is the later one.

    langchain-core adds up what a step streams. Of plain lists, the output of a run would be all
    that was ever streamed, one list behind the other.
    """

    def __add__(self, other: Any) -> Any:
        return other if isinstance(other, _Cumulative) else super().__add__(other)


class _Call:
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
        args = self.growth.value()
        return args if isinstance(args, dict) else {}


class _Reading(Reading[Any]):
    """One message on its way through a parser: the shared core of sync and async."""

    def __init__(self, parser: "_Linear") -> None:
        self._parser = parser
        self._message = MessageEvents(parser.specs(), reader=type(parser).__name__, growth=True)
        self.trace = self._message.trace
        self._calls: dict[str, _Call] = {}
        self._shown: list[_Call] = []
        self._good: list[ToolCall] = []
        self._invalid: list[InvalidToolCall] = []
        self.trace.tool_calls = self._good
        self.trace.invalid_tool_calls = self._invalid
        self._refusal: Any = None
        self._begun = False

    def feed(self, message: Any, /) -> list[Any]:
        events = self._message.feed(message)
        changed = self._take(events) if events else False
        if message.additional_kwargs.get("refusal") or isinstance(message.content, list):
            self._refusal = message if self._refusal is None else self._refusal + message
        if not changed and self._begun:
            return []
        self._begun = True
        return self._output()

    def close(self) -> Iterator[Any]:
        """What the end brings: the good calls, then what is wrong with the others."""
        changed = self._take(self._message.close())
        if self._refusal is not None and not (self._calls or self._invalid):
            self._parser.check_refusal(self._refusal)
        if changed or not self._begun:
            yield from self._output()
        if self._invalid:
            raise ToolCallError(self._good, self._invalid)

    def _output(self) -> list[Any]:
        made = self._parser.output(self._shown)
        return made[:1] if self._parser.first_tool_only else [_Cumulative(made)]

    def _take(self, events: list[CallEvent]) -> bool:
        """Take what became known. Returns whether the parser shows something else now."""
        changed: dict[str, _Call] = {}
        news = False
        for event in events:
            if isinstance(event, ArgumentEvents):
                call = self._calls[event.id]
                if call.grow(event.events):
                    changed[event.id] = call
            elif isinstance(event, ToolCallStart):
                growth = Growth(self._parser.kind(event.name), self._message.arguments(event.id))
                self._calls[event.id] = changed[event.id] = _Call(event, growth)
                self._show()
            elif isinstance(event, ToolCallReady):
                call = self._calls[event.id]
                call.growth.complete(event.args)
                call.ready = True
                self._good.append(tool_call(name=event.name, args=event.args, id=event.id))
                if call.hidden:
                    changed[event.id] = call
            elif isinstance(event, ToolCallInvalid):
                self._invalid.append(
                    invalid_tool_call(
                        name=event.name, args=event.args, id=event.id, error=event.error
                    )
                )
                del self._calls[event.id]
                changed.pop(event.id, None)
                self._show()
                news = True
        for call in changed.values():
            if self._parser.look(call) and call in self._shown:
                news = True
        return news

    def _show(self) -> None:
        """Find the calls that the output is about."""
        calls = [call for call in self._calls.values() if self._parser.is_shown(call)]
        self._shown = calls[:1] if self._parser.first_tool_only else calls


class _Linear(StreamStep[Any]):
    """What the three parsers have in place of langchain-core's loop, which reads all anew."""

    first_tool_only: bool
    return_id: bool

    def specs(self) -> Mapping[str, ToolSpec] | None:
        """The tools by name, if they are known."""
        return None

    def kind(self, name: str) -> Kind | None:
        """What the arguments of a tool have to be."""
        del name
        return ANY

    def is_shown(self, call: _Call) -> bool:
        """Whether the output is about the call."""
        del call
        return True

    def look(self, call: _Call) -> bool:
        """Look at what has become known of a call. Returns whether it changes the output."""
        call.hidden = False
        return True

    def output(self, calls: list[_Call]) -> list[Any]:
        """Make of the calls what was asked for."""
        raise NotImplementedError

    def check_refusal(self, message: BaseMessage) -> None:
        """Raise if the message says that the model refuses to answer."""
        super().parse_result([ChatGeneration(message=message)])  # type: ignore[misc]

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse a message.

        Args:
            result: A generation of a chat model; of several, the first counts.
            partial: Whether the message may go on. Then it is read by langchain-core's parser.

        Returns:
            What the class says.

        Raises:
            ToolCallError: Something in the message is no call.
            OutputParserException: The generation is text.
        """
        generation = result[0]
        if partial or not isinstance(generation, ChatGeneration):
            return super().parse_result(result, partial=partial)  # type: ignore[misc]
        reading = _Reading(self)
        outputs = [*chain(reading.feed(generation.message), reading.close())]
        last = outputs[-1] if outputs else None
        return list(last) if isinstance(last, _Cumulative) else last

    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse a message, as `parse_result` does; nothing in it waits.

        Args:
            result: See `parse_result`.
            partial: See `parse_result`.

        Returns:
            See `parse_result`.
        """
        return self.parse_result(result, partial=partial)

    def _start(self) -> "_Reading":
        return _Reading(self)


class JsonOutputToolsParser(_Linear, openai_tools.JsonOutputToolsParser):
    """Give the tool calls of a message as dicts with `type` (the tool's name) and `args`.

    Streams lists of all calls so far, with their arguments so far.

    Example:
        ```python
        from langchain_core.messages import AIMessageChunk
        from langchain_toolstream.compat import JsonOutputToolsParser


        def chunk(args, **first):
            call = {"index": 0, "id": None, "name": None, "args": args, **first}
            return AIMessageChunk(content="", tool_call_chunks=[call])


        chunks = [chunk('{"to": "al', id="call_1", name="pay"), chunk('ice"}')]
        assert list(JsonOutputToolsParser().transform(iter(chunks))) == [
            [{"type": "pay", "args": {"to": "al"}}],
            [{"type": "pay", "args": {"to": "alice"}}],
        ]
        ```
    """

    def output(self, calls: list[_Call]) -> list[Any]:
        """Make dicts of the calls."""
        return [_as_dict(call, return_id=self.return_id) for call in calls]


class JsonOutputKeyToolsParser(_Linear, openai_tools.JsonOutputKeyToolsParser):
    """Give the arguments of the calls of one tool, `key_name`.

    With `return_id` they are dicts as those of `JsonOutputToolsParser`.

    Example:
        ```python
        from langchain_core.messages import AIMessage
        from langchain_toolstream.compat import JsonOutputKeyToolsParser

        calls = [{"name": "pay", "args": {"to": "alice"}, "id": "call_1"}]
        parser = JsonOutputKeyToolsParser(key_name="pay", first_tool_only=True)
        assert parser.invoke(AIMessage(content="", tool_calls=calls)) == {"to": "alice"}
        ```
    """

    def is_shown(self, call: _Call) -> bool:
        """Whether the call is one of the tool's."""
        return call.name == self.key_name

    def output(self, calls: list[_Call]) -> list[Any]:
        """Make arguments, or dicts, of the calls."""
        if self.return_id:
            return [_as_dict(call, return_id=True) for call in calls]
        return [call.args for call in calls]


class PydanticToolsParser(_Linear, openai_tools.PydanticToolsParser):
    """Give the tool calls of a message as objects of their pydantic models.

    Streams lists of the objects so far, as soon as and whenever what is known validates. A number
    is not known before it is finished.

    Example:
        ```python
        from langchain_core.messages import AIMessage
        from langchain_toolstream.compat import PydanticToolsParser
        from pydantic import BaseModel

        class Pay(BaseModel):
            \"\"\"Pay somebody.\"\"\"

            to: str

        calls = [{"name": "Pay", "args": {"to": "alice"}, "id": "call_1"}]
        parser = PydanticToolsParser(tools=[Pay])
        assert parser.invoke(AIMessage(content="", tool_calls=calls)) == [Pay(to="alice")]
        ```
    """

    def specs(self) -> Mapping[str, ToolSpec]:
        """The tools by name."""
        return {_name(tool): _spec_and_kind(tool)[0] for tool in self.tools}

    def kind(self, name: str) -> Kind | None:
        """What the arguments of a tool have to be."""
        tool = self._tool(name)
        return None if tool is None else _spec_and_kind(tool)[1]

    def look(self, call: _Call) -> bool:
        """Make an object of what is known, if one can be made."""
        made = call.growth.as_if_closed(_with_defaults)
        if made is UNKNOWN and call.ready and (tool := self._tool(call.name)) is not None:
            made = tool(**call.args)
        call.hidden = made is UNKNOWN
        if not call.hidden:
            call.object = made
        return not call.hidden

    def output(self, calls: list[_Call]) -> list[Any]:
        """Give the objects of the calls."""
        return [call.object for call in calls if call.object is not UNKNOWN]

    def _tool(self, name: str) -> Any:
        return next((tool for tool in self.tools if _name(tool) == name), None)


def _as_dict(call: _Call, *, return_id: bool) -> dict[str, Any]:
    about = {"id": call.id} if return_id else {}
    return {"args": call.args, **about, "type": call.name}


def _with_defaults(made: Any) -> Any:
    """Put the defaults into an object that has all it needs."""
    if not isinstance(made, BaseModel):
        return made
    known = vars(made)
    whole: dict[str, Any] = {}
    for name, field in type(made).model_fields.items():
        if name in known:
            whole[name] = known[name]
        elif field.is_required():
            return UNKNOWN
        else:
            whole[name] = field.get_default(call_default_factory=True, validated_data=whole)
    known.clear()
    known.update(whole)
    return made


def _name(tool: Any) -> str:
    title = tool.model_config.get("title") if issubclass(tool, BaseModel) else None
    return str(title or tool.__name__)


@lru_cache(maxsize=256)
def _spec_and_kind(tool: Any) -> tuple[ToolSpec, Kind | None]:
    if not issubclass(tool, BaseModel):
        return _SpecV1(tool), None
    schema = ToolSchema(tool)
    return schema, Scope(schema.core_schema).root()


class _SpecV1:
    """A model of pydantic 1's, which decides at the end."""

    read_only = False
    requires_arguments = False
    streamed = None

    def __init__(self, model: Any) -> None:
        self._model = model

    def validate(self, args: dict[str, Any]) -> str | None:
        try:
            self._model(**args)
        except (ValueError, TypeError) as error:
            return str(error)
        return None
