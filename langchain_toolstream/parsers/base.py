"""What the parsers of tool calls have in common."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Generic

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import PrivateAttr

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.core.events import CallEvent, ToolCallInvalid, ToolCallReady
from langchain_toolstream.core.markup import MarkupReader
from langchain_toolstream.schema.injected import CallId
from langchain_toolstream.schema.problems import shown
from langchain_toolstream.schema.tool_like import ToolLike
from langchain_toolstream.schema.tool_schema import ToolSchema, tool_schemas
from langchain_toolstream.streams.messages import MessageEvents
from langchain_toolstream.streams.steps import Out, Reading, StreamStep


class ToolCallError(OutputParserException):
    """The model wrote invalid calls, or not the call that was asked for.

    Attributes:
        tool_calls: The good calls of the message.
        invalid_tool_calls: The others, each with its `error`.
        skipped: The paths of the items that `items` has skipped, with the reasons.
    """

    def __init__(
        self,
        tool_calls: list[ToolCall],
        invalid_tool_calls: list[InvalidToolCall],
        skipped: Mapping[JSONPath, str] | None = None,
        message: str | None = None,
    ) -> None:
        """Name every invalid call, with the reason, and what was skipped.

        Args:
            tool_calls: See `tool_calls`.
            invalid_tool_calls: See `invalid_tool_calls`.
            skipped: See `skipped`.
            message: What to say instead.
        """
        self.tool_calls = tool_calls
        self.invalid_tool_calls = invalid_tool_calls
        self.skipped = dict(skipped or {})
        self._message = message
        super().__init__(message or self._described())

    def _described(self) -> str:
        calls = self.invalid_tool_calls
        told = [f"{len(calls)} invalid tool call(s):"]
        told += [
            f"- call {shown(call['name'] or '(no name)')}, id {shown(call['id'])}: {call['error']}"
            for call in calls[:_MAX_CALLS_TOLD]
        ]
        if len(calls) > _MAX_CALLS_TOLD:
            told.append(f"- and {len(calls) - _MAX_CALLS_TOLD} more")
        if self.skipped:
            paths = [format_path(path) for path in self.skipped]
            more = len(paths) - _MAX_PATHS_TOLD
            rest = f" and {more} more" if more > 0 else ""
            told.append(f"Skipped: {', '.join(paths[:_MAX_PATHS_TOLD])}{rest}.")
        return "\n".join(told)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling with all of it."""
        parts = (self.tool_calls, self.invalid_tool_calls, self.skipped, self._message)
        return type(self), parts


_MAX_CALLS_TOLD = 10
_MAX_PATHS_TOLD = 20


class CallsReading(Reading[Out]):
    """One message on its way through a parser; its calls are those that the trace shows.

    Args:
        schemas: The bound tools by name; `None`: not known.
        reader: The name of the parser, for messages to people.
        growth: As for `MessageEvents`.
        provisional: As for `MessageEvents`.
        markup: As for `MessageEvents`.
    """

    def __init__(
        self,
        schemas: Mapping[str, ToolSpec] | None,
        *,
        reader: str,
        growth: bool = False,
        provisional: bool = False,
        markup: MarkupReader | None = None,
    ) -> None:
        """Start before the first chunk."""
        self._message = MessageEvents(
            schemas, reader=reader, growth=growth, provisional=provisional, markup=markup
        )
        self.trace = self._message.trace
        self._good: list[ToolCall] = self.trace.tool_calls
        self._invalid: list[InvalidToolCall] = self.trace.invalid_tool_calls

    def feed(self, message: Any, /) -> Iterable[Out]:
        """Take a chunk, or the whole message, and return what it makes known."""
        events = self._message.feed(message)
        return self._take(events) if events else ()

    @abstractmethod
    def _take(self, events: Iterable[CallEvent]) -> Iterable[Out]:
        """Take some events, go through them once, and return what there is to say now."""

    def _add_good(self, event: ToolCallReady) -> ToolCall:
        return self._add_call(event.name, event.args, event.id)

    def _add_call(self, name: str, args: dict[str, Any], call_id: str) -> ToolCall:
        call = tool_call(name=name, args=args, id=CallId(call_id, frozenset(args)))
        self._good.append(call)
        return call

    def _add_invalid(self, event: ToolCallInvalid) -> InvalidToolCall:
        call = invalid_tool_call(name=event.name, args=event.args, id=event.id, error=event.error)
        self._invalid.append(call)
        if event.revoked:
            self._forget(event.id)
        return call

    def _forget(self, call_id: str) -> None:
        self._good[:] = [call for call in self._good if call["id"] != call_id]


class MessageParser(StreamStep[Any, Out]):
    """What reads a message, streamed by `transform`, or whole in a generation."""

    @abstractmethod
    def _parse(self, message: BaseMessage) -> Out:
        """Parse a whole message."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Out:
        """Parse a whole message.

        Args:
            result: A generation of a chat model; of several, the first counts.
            partial: Ignored: the end of the message is what confirms a call.

        Returns:
            What `invoke` returns; see the class, also for what is raised.

        Raises:
            OutputParserException: The generation is text.
        """
        del partial
        if isinstance(result[0], ChatGeneration):
            return self._parse(result[0].message)
        msg = f"{type(self).__name__} reads messages of a chat model; text has no tool calls."
        raise OutputParserException(msg, llm_output=result[0].text)

    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> Out:
        """Parse a whole message, as `parse_result` does; nothing in it waits.

        Args:
            result: See `parse_result`.
            partial: See `parse_result`.

        Returns:
            See `parse_result`.
        """
        return self.parse_result(result, partial=partial)


class ToolsParser(MessageParser[Out], BaseTransformOutputParser[Out], Generic[Out]):
    """A parser that holds the calls of a message against the tools that were bound."""

    tools: Any = None
    """The tools that were bound: a `ToolSet`, or any mix of what `bind_tools` takes. Names and
    arguments are held against them. `None`: every name passes and nothing is validated."""

    _schemas: Mapping[str, ToolSchema] | None = PrivateAttr(default=None)

    def __init__(self, tools: Iterable[ToolLike] | None = None, **kwargs: Any) -> None:
        """Look at the tools."""
        super().__init__(**{"tools": tools, **kwargs})
        self._schemas = None if tools is None else tool_schemas(tools)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what is made of the tools: a function's model cannot be pickled."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Look at the tools again."""
        super().__setstate__(state)
        self.model_post_init(None)  # by which pydantic makes the private attributes
        self._schemas = None if self.tools is None else tool_schemas(self.tools)

    def parse(self, text: str) -> Out:
        """Refuse: text holds no tool calls.

        Args:
            text: Ignored.

        Raises:
            OutputParserException: Always.
        """
        return self.parse_result([Generation(text=text)])
