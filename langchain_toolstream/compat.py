"""langchain-core's `openai_tools` parsers, linear, and strict at the end.

For chains that exist: the names, constructors and outputs of
`langchain_core.output_parsers.openai_tools`, so that only the import changes. New code is better
off with `ToolStreamParser` and `PartialToolsParser`. `docs/migrating.md` lists what differs, and
why.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.tool import tool_call
from langchain_core.output_parsers import openai_tools
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.errors import JSONStreamError, quoted
from langchain_toolstream.core.json import JSONStream
from langchain_toolstream.parsers.base import MessageParser
from langchain_toolstream.parsers.calls_so_far import CallSoFar, CallsSoFar, Cumulative
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.views.moment import UNKNOWN
from langchain_toolstream.views.places import Kind
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
    stream = JSONStream(events=False)
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
        msg = f"The arguments of the call {quoted(name)} are not strict JSON: {error}."
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


class _Reading(CallsSoFar):
    """One message on its way through one of the three parsers."""

    def __init__(self, parser: Any, schemas: Mapping[str, ToolSpec] | None = None) -> None:
        super().__init__(
            reader=type(parser).__name__, first_only=parser.first_tool_only, schemas=schemas
        )
        self._parser = parser

    def check_refusal(self, message: AIMessage) -> None:
        # langchain-core's parsers know, since 1.8, how each provider says so.
        self._parser.parse_result([ChatGeneration(message=message)], partial=True)


class _Linear(MessageParser[Any]):
    """What the three parsers have in place of langchain-core's loop, which reads all anew."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse a message.

        Args:
            result: A generation of a chat model; of several, the first counts.
            partial: Whether the message may go on. Then it is read by langchain-core's parser.

        Returns:
            What the class says.

        Raises:
            ModelRefusalError: The model refused to answer (langchain-core 1.8 or newer).
            OutputParserException: The generation is text.
            ToolCallError: A call of the message is invalid.
        """
        if not partial and isinstance(result[0], ChatGeneration):
            return self._parse(result[0].message)
        return super(MessageParser, self).parse_result(result, partial=partial)  # type: ignore[misc]

    def _parse(self, message: BaseMessage) -> Any:
        reading = self._start()
        outputs = [*reading.feed(message), *reading.close()]
        last = outputs[-1] if outputs else None
        return list(last) if isinstance(last, Cumulative) else last


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

    def _start(self) -> "_Dicts":
        return _Dicts(self)


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

    def _start(self) -> "_OfOneTool":
        return _OfOneTool(self)


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

    def _start(self) -> "_Objects":
        return _Objects(self)


class _Dicts(_Reading):
    """The calls as dicts."""

    def output(self, calls: list[CallSoFar]) -> list[Any]:
        with_id = self._parser.return_id
        return [
            {"args": call.args, **({"id": call.id} if with_id else {}), "type": call.name}
            for call in calls
        ]


class _OfOneTool(_Dicts):
    """The calls of one tool, as their arguments, or as dicts where they have an id."""

    def is_shown(self, call: CallSoFar) -> bool:
        return bool(call.name == self._parser.key_name)

    def output(self, calls: list[CallSoFar]) -> list[Any]:
        return super().output(calls) if self._parser.return_id else [call.args for call in calls]


class _Objects(_Reading):
    """The calls as objects of their models."""

    def __init__(self, parser: PydanticToolsParser) -> None:
        self._tools = {_name(tool): tool for tool in parser.tools}
        specs = {name: _spec_and_kind(tool)[0] for name, tool in self._tools.items()}
        super().__init__(parser, specs)

    def kind(self, name: str) -> Kind | None:
        tool = self._tools.get(name)
        return None if tool is None else _spec_and_kind(tool)[1]

    def look(self, call: CallSoFar) -> bool:
        """Make an object of what is known, if one can be made."""
        made = call.growth.as_if_closed(_with_defaults)
        if made is UNKNOWN and call.ready and (tool := self._tools.get(call.name)) is not None:
            made = tool(**call.args)
        call.hidden = made is UNKNOWN
        if not call.hidden:
            call.object = made
        return not call.hidden

    def output(self, calls: list[CallSoFar]) -> list[Any]:
        return [call.object for call in calls if call.object is not UNKNOWN]


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
    takes_arguments = True
    streamed = None

    def __init__(self, model: Any) -> None:
        self._model = model

    def validate(self, args: dict[str, Any]) -> str | None:
        try:
            self._model(**args)
        except (ValueError, TypeError) as error:
            return str(error)
        return None
