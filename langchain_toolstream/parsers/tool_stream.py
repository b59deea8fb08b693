"""The tool calls of a message, each as soon as it may be acted on."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

from langchain_core.messages import BaseMessage, InvalidToolCall, ToolCall

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.events import (
    ArgumentDelta,
    CallEvent,
    ToolCallInvalid,
    ToolCallProvisional,
    ToolCallReady,
)
from langchain_toolstream.core.markup import MarkupReader, check_format
from langchain_toolstream.parsers.base import CallsReading, ToolCallError, ToolsParser
from langchain_toolstream.schema.streamed import Streamed
from langchain_toolstream.schema.tool_like import ToolLike

Call = ToolCall | InvalidToolCall


class ToolStreamParser(ToolsParser[list[ToolCall | InvalidToolCall]]):
    """Parse the tool calls of a chat model's message, streamed or whole.

    Streams lists of the calls that became certain, never partial ones, so that
    `parser | tools.map()` runs each call once, and the sum of the stream is what `invoke` returns.
    A call is certain when the message has ended and nothing speaks against the call; the call of a
    read-only tool of a `ToolSet` comes as soon as its own arguments are complete, in the middle of
    the message. The call of a tool with a `Streamed` argument comes while that argument is being
    written, and holds a `Streamed` in its place.

    An invalid call (cut off, malformed, unknown, rejected by the tool's schema, contradicted by
    later text) becomes an `InvalidToolCall` with `error` filled, after the good calls. One that
    had already been given out is followed at once by an `InvalidToolCall` with the same id;
    `ToolSet.map()` then stops the tool.

    Reads `AIMessageChunk`s of any chat model, whole `AIMessage`s, legacy
    `additional_kwargs["tool_calls"]` and v1 content blocks. With `tool_call_parser` it reads the
    calls that stand in the text, behind any model that gives plain text (llama.cpp, transformers,
    an engine in the process). Costs the same per chunk however long the arguments have become.

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
    """What to do with invalid calls: put them into the list, or raise one `ToolCallError` after
    all good calls."""

    tool_call_parser: str | None = None
    """The format of the markup to read out of the message's text, for a model that gives plain
    text: a name that vLLM's `--tool-call-parser` takes, or `"auto"`. `None`: whoever made the
    message has read its calls."""

    thoughts_begun: bool = False
    """Whether the prompt has begun the model's thoughts, so that its text begins inside them.
    For `tool_call_parser` only."""

    def __init__(
        self,
        tools: Iterable[ToolLike] | None = None,
        *,
        on_invalid: Literal["emit", "raise"] = "emit",
        tool_call_parser: str | None = None,
        thoughts_begun: bool = False,
        **kwargs: Any,
    ) -> None:
        """Look at the tools.

        Args:
            tools: The tools that were bound, see `tools`.
            on_invalid: See `on_invalid`.
            tool_call_parser: See `tool_call_parser`.
            thoughts_begun: See `thoughts_begun`.
            **kwargs: Fields of the base class.

        Raises:
            TypeError: `tools` is no list of tools.
            ValueError: A tool cannot be understood, two have the same name, or there is no such
                format; the message lists those that there are.
        """
        if tool_call_parser is not None:
            check_format(tool_call_parser)
        super().__init__(
            tools,
            on_invalid=on_invalid,
            tool_call_parser=tool_call_parser,
            thoughts_begun=thoughts_begun,
            **kwargs,
        )

    @property
    def _type(self) -> str:
        return "tool_stream_parser"

    def _parse(self, message: BaseMessage) -> list[Call]:
        reading = MessageReading(self._schemas, self.on_invalid, markup=self._markup())
        parts = chain(reading.feed(message), reading.close())
        return [call for calls in parts for call in calls]

    def _start(self) -> "MessageReading":
        return MessageReading(
            self._schemas, self.on_invalid, provisional=True, markup=self._markup()
        )

    def _markup(self) -> MarkupReader | None:
        if self.tool_call_parser is None:
            return None
        return MarkupReader(self.tool_call_parser, self._schemas, thinking=self.thoughts_begun)


class MessageReading(CallsReading[list[Call]]):
    """One message on its way through the parser: the shared core of all that reads chunks."""

    def __init__(
        self,
        schemas: Mapping[str, ToolSpec] | None,
        on_invalid: Literal["emit", "raise"],
        *,
        provisional: bool = False,
        markup: MarkupReader | None = None,
    ) -> None:
        super().__init__(schemas, reader="ToolStreamParser", provisional=provisional, markup=markup)
        self._emit = on_invalid == "emit"
        self._has_output = False
        self._streamed: dict[str, Streamed[str]] = {}  # by call, until it is judged

    def close(self) -> Iterator[list[Call]]:
        """What the end brings; without any call an empty list, so that there is an output."""
        yield from self._take(self._message.close()) or ([] if self._has_output else [[]])
        if self._invalid and not self._emit:
            raise ToolCallError(self._good, self._invalid)

    def leave(self) -> None:
        """Nobody reads on: let no tool wait for the rest of a text."""
        for text in self._streamed.values():
            text.fail("The message was interrupted before the call was confirmed.")

    def _take(self, events: Iterable[CallEvent]) -> list[list[Call]]:
        calls = [call for event in events if (call := self._call(event)) is not None]
        self._has_output = self._has_output or bool(calls)
        return [calls] if calls else []

    def _call(self, event: CallEvent) -> Call | None:
        """The call that an event gives out."""
        if isinstance(event, ToolCallProvisional):
            text = self._streamed[event.id] = Streamed()
            text.feed(event.text)
            return self._add_call(event.name, {**event.args, event.streamed: text}, event.id)
        if isinstance(event, ArgumentDelta):
            self._streamed[event.id].feed(event.text)
        elif isinstance(event, ToolCallReady):
            given_out = self._streamed.pop(event.id, None)
            if given_out is None:
                return self._add_good(event)
            self._forget(event.id)
            self._add_good(event)
            given_out.end()
        elif isinstance(event, ToolCallInvalid):
            if (revoked := self._streamed.pop(event.id, None)) is not None:
                revoked.fail(event.error)
            invalid = self._add_invalid(event)
            return invalid if self._emit else None
        return None
