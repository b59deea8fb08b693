"""What the messages of LangChain's chat models say, in the terms of the core: calls and ends."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.calls import ToolCallAssembler, is_truncating
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.core.events import CallEvent
from langchain_toolstream.core.json import JSONStream
from langchain_toolstream.core.markup import MarkupReader
from langchain_toolstream.core.markup.tape import Delta

# Where providers say why a message ended. The first that is there counts, but for one that says
# that it was cut.
_FINISH_REASON_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")

# Providers whose messages always end with a reason, so that an end without one is a cut.
_ALWAYS_GIVE_A_REASON = frozenset({"openai", "vllm"})

_BEHIND_OTHERS = 1000
"""Where calls that are read out of a text begin to count, so that they are no calls of a server."""

_LONG = 4096

_CALL_BLOCKS = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call"})

NO_REASON = (
    "The message ended without a finish reason: the connection was dropped or the server stopped. "
    "No tool call of it is confirmed."
)


class MessageEvents:
    """Read LangChain's messages, streamed or whole, into the events of their calls.

    Args:
        schemas: The bound tools by name; `None`: not known.
        reader: Who reads, for messages to people.
        growth: Whether to report what becomes known of the arguments.
        provisional: Whether to report calls whose tools read an argument while it is written.
        markup: What reads the calls out of the message's text, where nobody else has.

    Attributes:
        trace: The message as a trace shows it; its calls are for the reader to fill in.
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
        self.trace = AIMessage(content="")
        self._markup = markup
        self._assembler = ToolCallAssembler(
            schemas, text=False, growth=growth, provisional=provisional
        )
        self._growth = growth
        self._reader = reader
        self._text: list[str] = []
        self._finish_reason: str | None = None
        self._must_give_a_reason = False

    def feed(self, message: Any, /) -> Iterable[CallEvent]:
        """Take the next chunk, or a whole message.

        Returns:
            What became known, to be gone through once. Of a long message it is read while it is
            gone through.

        Raises:
            OutputParserException: It is no message.
        """
        if not isinstance(message, BaseMessage):
            msg = (
                f"{self._reader} reads messages of a chat model, got {type(message).__name__}. "
                "Put it directly behind the model."
            )
            raise OutputParserException(msg)
        metadata = message.response_metadata
        written: list[CallEvent] = []
        if content := message.content:
            text = content if isinstance(content, str) else str(message.text)
            if self._markup is not None:
                written = self._read_markup(self._markup.feed(text))
            else:
                self._text.append(text)
        delta = call_delta(message)
        events = self._feed(delta, metadata)
        return chain(written, events) if written else events

    def _feed(self, delta: dict[str, Any], metadata: dict[str, Any]) -> Iterable[CallEvent]:
        if not metadata:
            return self._read(delta, None, None) if delta else ()
        reason = self._read_metadata(metadata)
        rejected = rejected_calls(metadata)
        if not delta and reason is None and rejected is None:
            return ()
        return self._read(delta, reason, rejected)

    def _read(
        self, delta: dict[str, Any], reason: str | None, rejected: dict[str, str] | None
    ) -> Iterable[CallEvent]:
        is_long = self._growth and _is_long(delta)
        read = self._assembler.slices if is_long else self._assembler.feed
        return read(delta, finish_reason=reason, rejected=rejected)

    def close(self) -> list[CallEvent]:
        """Say that the message ended.

        Raises:
            IncompleteStreamError: An OpenAI-style stream ended without a finish reason.
        """
        written: list[CallEvent] = []
        if self._markup is not None:
            written = self._read_markup(self._markup.close(self._finish_reason))
        self.trace.content = "".join(self._text)
        if self._must_give_a_reason and self._finish_reason is None:
            raise IncompleteStreamError(NO_REASON)
        return written + self._assembler.close(self._finish_reason)

    def _read_markup(self, deltas: list[Delta]) -> list[CallEvent]:
        """Take what a model's markup says: text for the trace, and calls."""
        events: list[CallEvent] = []
        for delta in deltas:
            if calls := delta.get("tool_calls"):
                shifted = [{**call, "index": call["index"] + _BEHIND_OTHERS} for call in calls]
                events += self._assembler.feed({"tool_calls": shifted})
            elif text := delta.get("content"):
                self._text.append(text)
        return events

    def refuse(self, call_id: str, reason: str) -> list[CallEvent]:
        """Take a call for none, because of what the reader found in it."""
        return self._assembler.feed({}, rejected={call_id: reason})

    def abort(self, reason: str) -> list[CallEvent]:
        """Say that nobody reads on: no call is confirmed."""
        self.trace.content = "".join(self._text)
        return self._assembler.abort(reason)

    def arguments(self, call_id: str) -> JSONStream:
        """What reads a call's arguments, to be looked at only."""
        return self._assembler.arguments(call_id)

    def _read_metadata(self, metadata: dict[str, Any]) -> str | None:
        self.trace.response_metadata.update(metadata)
        self._must_give_a_reason = self._must_give_a_reason or must_give_a_reason(metadata)
        reason = finish_reason(metadata)
        self._finish_reason = reason or self._finish_reason
        return reason


def finish_reason(metadata: dict[str, Any]) -> str | None:
    """Find why a message ended.

    Args:
        metadata: The `response_metadata` of a message or chunk.

    Returns:
        The reason in the provider's words, `None` where there is none yet.
    """
    given = [metadata.get(key) for key in _FINISH_REASON_KEYS]
    reasons = [reason for reason in given if isinstance(reason, str) and reason]
    if not reasons:
        return None
    return next(filter(is_truncating, reasons), reasons[0])


def must_give_a_reason(metadata: dict[str, Any]) -> bool:
    """Whether a message is from a provider whose messages always end with a reason.

    Args:
        metadata: The `response_metadata` of a message or chunk.
    """
    return metadata.get("model_provider") in _ALWAYS_GIVE_A_REASON


def rejected_calls(metadata: dict[str, Any]) -> dict[str, str] | None:
    """What `ChatVLLM` found wrong with calls of a message, by their ids.

    Args:
        metadata: The `response_metadata` of a message or chunk.
    """
    rejected = metadata.get("invalid_tool_calls")
    return rejected if isinstance(rejected, dict) else None


def call_delta(message: BaseMessage) -> dict[str, Any]:
    """Find the fragments of calls in a message.

    Args:
        message: A chunk, or a whole message; of any age and output version.

    Returns:
        What `ToolCallAssembler.feed` takes; empty where there are none.
    """
    if isinstance(message, AIMessageChunk):
        if message.tool_call_chunks:
            return {"tool_calls": message.tool_call_chunks}
    elif isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
        invalid = [{**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls]
        calls: list[Any] = [*message.tool_calls, *invalid]
        return {"tool_calls": [{**call, "index": i} for i, call in enumerate(calls)]}
    if isinstance(message.content, list) and (blocks := _call_blocks(message.content)):
        return {"tool_calls": blocks}
    legacy = message.additional_kwargs
    if not legacy:
        return {}
    return {key: legacy[key] for key in ("tool_calls", "function_call") if legacy.get(key)}


def _is_long(delta: dict[str, Any]) -> bool:
    """Whether a delta may hold more of arguments than should become events at once."""
    length = 0
    for call in delta.get("tool_calls") or ():
        args = call.get("args", "") if isinstance(call, dict) else None
        if not isinstance(args, str):
            return True
        length += len(args)
    return length > _LONG or "function_call" in delta


def _call_blocks(content: list[Any]) -> list[dict[str, Any]]:
    return [b for b in content if isinstance(b, dict) and b.get("type") in _CALL_BLOCKS]
