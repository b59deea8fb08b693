"""The tool calls of a message, each as soon as it may be acted on."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_toolstream.core.calls import ToolSpec
from langchain_toolstream.core.events import (
    ArgumentDelta,
    CallEvent,
    ToolCallInvalid,
    ToolCallProvisional,
    ToolCallReady,
)
from langchain_toolstream.parsers.tools_parser import ToolsParser
from langchain_toolstream.schema.streamed import Streamed
from langchain_toolstream.schema.tool_schema import ToolLike
from langchain_toolstream.streams.messages import MessageEvents
from langchain_toolstream.streams.steps import Reading

Call = ToolCall | InvalidToolCall


class ToolCallError(OutputParserException):
    """The model wrote calls that are none, and the parser was told to raise.

    Attributes:
        tool_calls: The good calls of the message.
        invalid_tool_calls: The others, each with its `error`.
    """

    def __init__(
        self, tool_calls: list[ToolCall], invalid_tool_calls: list[InvalidToolCall]
    ) -> None:
        """Name every call that is none, with the reason."""
        reasons = "\n".join(
            f"- call {call['name'] or '(no name)'!r}, id {call['id']!r}: {call['error']}"
            for call in invalid_tool_calls
        )
        super().__init__(f"{len(invalid_tool_calls)} invalid tool call(s):\n{reasons}")
        self.tool_calls = tool_calls
        self.invalid_tool_calls = invalid_tool_calls

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling with both lists."""
        return type(self), (self.tool_calls, self.invalid_tool_calls)


class ToolStreamParser(ToolsParser[list[ToolCall | InvalidToolCall]]):
    """Parse the tool calls of a chat model's message, streamed or whole.

    Streams lists of the calls that became certain, never partial ones, so that
    `parser | tools.map()` runs each call once, and the sum of the stream is what `invoke` returns.
    A call is certain when the message has ended and nothing speaks against the call; the call of a
    read-only tool of a `ToolSet` comes as soon as its own arguments are complete, in the middle of
    the message. The call of a tool with a `Streamed` argument comes while that argument is being
    written, and holds a `Streamed` in its place.

    What looks like a call and is none (cut off, malformed, unknown, refused by the tool's schema,
    contradicted by later text) becomes an `InvalidToolCall` with `error` filled, behind the good
    calls. One that had already been given out is followed at once by an `InvalidToolCall` with
    the same id; `ToolSet.map()` then stops the tool.

    Reads `AIMessageChunk`s of any chat model, whole `AIMessage`s, legacy
    `additional_kwargs["tool_calls"]` and v1 content blocks. Costs the same per chunk however long
    the arguments have become.

    Example:
        ```python
        from langchain_core.messages import AIMessageChunk
        from langchain_toolstream import ToolStreamParser

        def add(a: int, b: int) -> int:
            \"\"\"Add two integers.\"\"\"
            return a + b

        def chunk(args, **first):
            call = {"index": 0, "id": None, "name": None, "args": args, **first}
            return AIMessageChunk(content="", tool_call_chunks=[call])

        chunks = [chunk("", id="call_1", name="add"), chunk('{"a": 3, "b"'), chunk(": 12}")]
        parser = ToolStreamParser([add])
        assert list(parser.transform(iter(chunks))) == [
            [{"name": "add", "args": {"a": 3, "b": 12}, "id": "call_1", "type": "tool_call"}]
        ]
        ```
    """

    on_invalid: Literal["emit", "raise"] = "emit"
    """What to do with what is no call: put it into the list, or raise one `ToolCallError` behind
    all good calls."""

    def __init__(
        self,
        tools: Iterable[ToolLike] | None = None,
        *,
        on_invalid: Literal["emit", "raise"] = "emit",
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
        super().__init__(tools, on_invalid=on_invalid, **kwargs)

    @property
    def _type(self) -> str:
        return "tool_stream_parser"

    def _parse(self, message: BaseMessage) -> list[Call]:
        reading = MessageReading(self._schemas, self.on_invalid)
        parts = chain(reading.feed(message), reading.close())
        return [call for calls in parts for call in calls]

    def _start(self) -> "MessageReading":
        return MessageReading(self._schemas, self.on_invalid, provisional=True)


class MessageReading(Reading[list[Call]]):
    """One message on its way through the parser: the shared core of all that reads chunks."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSpec] | None,
        on_invalid: Literal["emit", "raise"],
        *,
        provisional: bool = False,
    ) -> None:
        self._message = MessageEvents(schemas, reader="ToolStreamParser", provisional=provisional)
        self.trace = self._message.trace
        self._emit = on_invalid == "emit"
        self._calls: list[ToolCall] = []
        self._invalid: list[InvalidToolCall] = []
        self._taken = False
        self._streamed: dict[str, Streamed[str]] = {}  # by call, until it is judged

    def feed(self, message: Any, /) -> list[list[Call]]:
        """Take a chunk, or the whole message, and return the calls that became certain."""
        events = self._message.feed(message)
        calls = self._take(events) if events else []
        return [calls] if calls else []

    def close(self) -> Iterator[list[Call]]:
        """What the end brings; without any call an empty list, so that there is an output."""
        calls = self._take(self._message.close())
        if calls or not self._taken:
            yield calls
        if self._invalid and not self._emit:
            raise ToolCallError(self._calls, self._invalid)

    def leave(self) -> None:
        """Nobody reads on: let no tool wait for the rest of a text."""
        for text in self._streamed.values():
            text.fail("The message was interrupted before the call was confirmed.")

    def _take(self, events: list[CallEvent]) -> list[Call]:
        taken: list[Call] = []
        for event in events:
            if isinstance(event, ToolCallProvisional | ArgumentDelta):
                taken += self._take_text(event)
            elif isinstance(event, ToolCallReady):
                call = tool_call(name=event.name, args=event.args, id=event.id)
                if text := self._streamed.pop(event.id, None):
                    self._forget(event.id)
                    text.end()
                else:
                    taken.append(call)
                self._calls.append(call)
            elif isinstance(event, ToolCallInvalid):
                invalid = invalid_tool_call(
                    name=event.name, args=event.args, id=event.id, error=event.error
                )
                self._invalid.append(invalid)
                if text := self._streamed.pop(event.id, None):
                    text.fail(event.error)
                if event.revoked:
                    self._forget(event.id)
                if self._emit:
                    taken.append(invalid)
        self._taken = self._taken or bool(taken)
        self.trace.tool_calls = self._calls
        self.trace.invalid_tool_calls = self._invalid
        return taken

    def _take_text(self, event: ToolCallProvisional | ArgumentDelta) -> list[Call]:
        if isinstance(event, ArgumentDelta):
            self._streamed[event.id].feed(event.text)
            return []
        text = self._streamed[event.id] = Streamed()
        text.feed(event.text)
        args = {**event.args, event.streamed: text}
        call = tool_call(name=event.name, args=args, id=event.id)
        self._calls.append(call)
        return [call]

    def _forget(self, call_id: str) -> None:
        self._calls = [call for call in self._calls if call["id"] != call_id]
