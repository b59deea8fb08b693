"""One message on its way into events, as LangChain's messages or as events of its v3 protocol.

Both readers hand what is said of calls to a `ToolCallAssembler`, which alone decides what it means.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.events import (
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolEvent,
)
from langchain_toolstream.core.mark import without_end, without_mark
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.streams.messages import (
    NO_REASON,
    call_delta,
    finish_reason,
    must_give_a_reason,
    rejected_calls,
)

_BROKEN_OFF = "The message broke off before the call was confirmed."
# The reason of that stands in the message's own event: it may be the text of any exception, and
# front ends are told what is wrong with calls (docs/decisions/0019).


class _Message:
    """What both readers share.

    Attributes:
        start: The message's first event, whose `run_id` all others get.
        broken: Whether the message ended without the reason that its provider always gives.
    """

    def __init__(self, schemas: Mapping[str, ToolSchema] | None, start: MessageStart) -> None:
        self.start = start
        self.broken = False
        self._begun = False
        self._calls = ToolCallAssembler(schemas, fields=True, run_id=start.run_id)
        self._metadata: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._must_give_a_reason = False
        self._usage: UsageMetadata | None = None

    def close(self) -> list[ToolEvent]:
        """Say that the message ended."""
        if self._must_give_a_reason and self._finish_reason is None:
            self.broken = True
            return self.abort(NO_REASON)
        stop_reason = (
            self._metadata.get("stop_reason") if "finish_reason" in self._metadata else None
        )
        finish = MessageFinish(
            run_id=self.start.run_id,
            finish_reason=self._finish_reason,
            stop_reason=stop_reason if isinstance(stop_reason, str | int) else None,
            usage=self._usage,
        )
        return self._begin([*self._calls.close(self._finish_reason), finish])

    def abort(self, reason: str) -> list[ToolEvent]:
        """Say that the message broke off, or that it did not end.

        Args:
            reason: Why.
        """
        error = MessageError(run_id=self.start.run_id, error=reason)
        return self._begin([*self._calls.abort(_BROKEN_OFF), error])

    def _read_metadata(self, metadata: dict[str, Any]) -> str | None:
        self._metadata.update(metadata)
        self._must_give_a_reason = self._must_give_a_reason or must_give_a_reason(metadata)
        reason = finish_reason(metadata)
        self._finish_reason = reason or self._finish_reason
        return reason

    def _begin(self, events: list[Any]) -> list[ToolEvent]:
        if self._begun:
            return events
        self._begun = True
        return [self.start, *events]


class MessageReader(_Message):
    """Read a message from its chunks, or from the whole of it.

    Args:
        schemas: The bound tools by name, if they are known.
        start: The event that says which message it is.
    """

    def __init__(self, schemas: Mapping[str, ToolSchema] | None, start: MessageStart) -> None:
        """Start before the first chunk."""
        super().__init__(schemas, start)
        self._ids: dict[Any, str] = {}  # of the calls, by index
        self._told: dict[str, Any] = {}  # the last chunk's metadata

    def feed(self, message: BaseMessage) -> list[ToolEvent]:
        """Take the next chunk.

        Args:
            message: A chunk, or a whole message.

        Returns:
            What became known, in order.
        """
        events: list[Any] = _prose(message, self.start.run_id)
        metadata = message.response_metadata
        reason = rejected = None
        if metadata and metadata != self._told:  # most chunks say the same of themselves
            self._told = metadata
            reason = self._read_metadata(metadata)
            rejected = rejected_calls(metadata)
        if usage := getattr(message, "usage_metadata", None):
            self._usage = add_usage(self._usage, usage)
        delta = call_delta(message)
        if fragments := delta.get("tool_calls"):
            delta["tool_calls"] = self._without_marks(fragments, rejected or {})
        if delta or reason is not None or rejected is not None:
            events += self._calls.feed(delta, finish_reason=reason, rejected=rejected)
        return self._begin(events)

    def _without_marks(self, fragments: Any, rejected: dict[str, str]) -> Any:
        """Take off what `ChatVLLM` writes behind the arguments of what is no call."""
        marked = bool(rejected)
        for fragment in fragments:
            if call_id := fragment.get("id"):
                self._ids[fragment.get("index")] = call_id
            marked = marked or fragment.get("type") == "invalid_tool_call"
        if not marked:
            return fragments
        return [self._without_mark(fragment, rejected) for fragment in fragments]

    def _without_mark(self, fragment: Any, rejected: dict[str, str]) -> Any:
        args = fragment.get("args")
        if not (isinstance(args, str) and args.endswith("!")):
            return fragment
        if fragment.get("type") == "invalid_tool_call":
            return {**fragment, "args": without_mark(args)}
        if self._ids.get(fragment.get("index")) in rejected:
            return {**fragment, "args": without_end(args)}
        return fragment


class ProtocolReader(_Message):
    """Read a message from the events of LangChain's v3 protocol.

    Args:
        schemas: The bound tools by name, if they are known.
        start: The event that says which message it is.

    Attributes:
        ended: Whether nothing follows.
    """

    def __init__(self, schemas: Mapping[str, ToolSchema] | None, start: MessageStart) -> None:
        """Start before the first event."""
        super().__init__(schemas, start)
        self.ended = False
        self._is_vllm = False
        self._written: set[int] = set()  # the blocks whose arguments have come

    def feed(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        """Take the next event.

        Args:
            event: Any `MessagesData` of the protocol.

        Returns:
            What became known, in order.
        """
        match event["event"]:
            case "content-block-delta":
                known = self._piece(event["index"], event["delta"])
            case "content-block-start":
                known = self._piece(event["index"], event["content"])
            case "content-block-finish":
                known = self._finish(event["index"], event["content"])
            case "message-finish":
                return self._end(event)
            case "error":
                self.ended = True
                return self.abort(str(event.get("message") or "The model's stream failed."))
            case _:
                known = []
                # Its own words about what is no call are the best, and known on every road.
                provider = (event.get("metadata") or {}).get("provider")
                self._is_vllm = self._is_vllm or provider == "vllm"
        return self._begin(known)

    def _piece(self, index: int, content: Mapping[str, Any]) -> list[Any]:
        """The start of a block and a delta say the same things in the same words."""
        kind, run_id = content.get("type", ""), self.start.run_id
        if kind in ("text", "text-delta"):
            return [TextDelta(run_id=run_id, text=text)] if (text := content.get("text")) else []
        if kind in ("reasoning", "reasoning-delta"):
            return (
                [ReasoningDelta(run_id=run_id, text=text)]
                if (text := content.get("reasoning"))
                else []
            )
        if kind in ("tool-call-delta", "tool_call_chunk", "tool_call"):
            if content.get("args"):
                self._written.add(index)
            return self._feed_call(index, content)
        return []

    def _finish(self, index: int, content: Mapping[str, Any]) -> list[Any]:
        kind = content.get("type")
        if kind not in ("tool_call", "invalid_tool_call"):
            return []
        args = content.get("args")
        call = {"id": content.get("id"), "name": content.get("name"), "args": args}
        if index in self._written or (self._is_vllm and kind == "invalid_tool_call"):
            del call["args"]  # `ChatVLLM` has told all that it tells in chunks
        elif isinstance(args, str):
            call["args"] = without_mark(args)
        if kind == "tool_call":
            return self._feed_call(index, call) if "args" in call else []
        rejected = {content["id"]: content["error"]} if self._is_vllm else None
        return self._feed_call(index, {**call, "type": kind}, rejected)

    def _feed_call(
        self, index: int, call: Mapping[str, Any], rejected: dict[str, str] | None = None
    ) -> list[Any]:
        fragment = {
            "index": index,
            "id": call.get("id"),
            "name": call.get("name"),
            "args": call.get("args"),
            "type": call.get("type"),
        }
        return list(self._calls.feed({"tool_calls": [fragment]}, rejected=rejected))

    def _end(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        self.ended = True
        self._usage = event.get("usage")
        metadata = event.get("metadata") or {}
        reason = self._read_metadata(metadata)
        rejected = rejected_calls(metadata)
        events = self._calls.feed({}, finish_reason=reason, rejected=rejected)
        return [*self._begin(events), *self.close()]


def _prose(message: BaseMessage, run_id: str) -> list[Any]:
    if isinstance(message.content, str):
        events: list[Any] = []
        kwargs = message.additional_kwargs
        if kwargs and isinstance(thought := kwargs.get("reasoning_content"), str) and thought:
            events.append(ReasoningDelta(run_id=run_id, text=thought))
        if message.content:
            events.append(TextDelta(run_id=run_id, text=message.content))
        return events
    events = []
    for block in message.content_blocks if message.content else ():
        if block["type"] == "reasoning" and (thought := block.get("reasoning")):
            events.append(ReasoningDelta(run_id=run_id, text=thought))
        elif block["type"] == "text" and block["text"]:
            events.append(TextDelta(run_id=run_id, text=block["text"]))
    return events
