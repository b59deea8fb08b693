"""Whole chat completions, chunk by chunk: choices, text, reasoning, usage, and how they end.

One `ToolCallAssembler` for each choice decides about the calls, by the rules of `core.calls`.
"""

from collections.abc import Mapping
from typing import Any

from langchain_toolstream.core.calls import ToolCallAssembler, ToolSpec, is_truncating
from langchain_toolstream.core.deltas import (
    content_text,
    is_mapping,
    mappings,
    text_of,
    whole_message,
)
from langchain_toolstream.core.errors import IncompleteStreamError, ServerStreamError
from langchain_toolstream.core.events import Event, MessageFinish, ReasoningDelta, TextDelta
from langchain_toolstream.core.strings import Halves


class CompletionStream:
    """Read the chunks of one chat completion, as they came over the wire.

    A whole, non-streamed response body is one chunk too.

    Args:
        tools: The bound tools by name, as for `ToolCallAssembler`.
        fields: Likewise.
        passed: Likewise.
        max_tokens: How many tokens the request allowed, where it said so.

    Attributes:
        begun: Whether anything came that is a completion's, if only an empty list of choices.
        usage: The last usage that came.
        finish_reasons: Why each choice ended, from the moment that is known.

    Example:
        ```python
        from langchain_toolstream.core.completion import CompletionStream

        stream = CompletionStream()
        events = stream.feed({"choices": [{"index": 0, "delta": {"content": "Hi"}}]})
        assert [(choice, event.text) for choice, event in events] == [(0, "Hi")]
        stream.feed({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        ((choice, finish),) = stream.close()
        assert (choice, finish.finish_reason) == (0, "stop")
        ```
    """

    def __init__(
        self,
        tools: Mapping[str, ToolSpec] | None = None,
        *,
        fields: bool = False,
        passed: bool = False,
        max_tokens: int | None = None,
    ) -> None:
        """Start before the first chunk."""
        self.begun = False
        self.usage: Mapping[str, Any] | None = None
        self.finish_reasons: dict[int, str] = {}
        self._max_tokens = max_tokens
        self._whole = False
        self._tools = tools
        self._fields = fields
        self._passed = passed
        self._messages: dict[int, ToolCallAssembler] = {}
        self._stop_reasons: dict[int, str | int] = {}
        self._text: dict[int, Halves] = {}
        self._reasoning: dict[int, Halves] = {}

    def feed(self, chunk: Mapping[str, Any]) -> list[tuple[int, Event]]:
        """Take the next chunk.

        Args:
            chunk: The JSON of one server-sent event, in any of the shapes that
                OpenAI-compatible servers send.

        Returns:
            What became known, each with the index of its choice: reasoning, text, calls.

        Raises:
            ServerStreamError: The chunk is an error.
        """
        if error := chunk.get("error"):
            raise ServerStreamError.from_event(error)
        if chunk.get("object") == "error":
            raise ServerStreamError.from_event(chunk)
        if is_mapping(usage := chunk.get("usage")):
            self.usage = usage
        events: list[tuple[int, Event]] = []
        choices = chunk.get("choices")
        self.begun = self.begun or isinstance(choices, list)
        for position, choice in enumerate(mappings(choices)):
            index = choice.get("index")
            self._feed_choice(index if type(index) is int else position, choice, events)
        return events

    def _feed_choice(
        self, index: int, choice: Mapping[str, Any], events: list[tuple[int, Event]]
    ) -> None:
        message = self._messages.get(index)
        if message is None:
            message = ToolCallAssembler(self._tools, fields=self._fields, passed=self._passed)
            self._messages[index] = message
        reason = text_of(choice.get("finish_reason")) or None
        if reason and (index not in self.finish_reasons or is_truncating(reason)):
            self.finish_reasons[index] = reason
        if isinstance(stop := choice.get("stop_reason"), str | int):
            self._stop_reasons[index] = stop
        delta = choice.get("delta")
        if not is_mapping(delta):
            delta = whole_message(choice.get("message"))
            self._whole = self._whole or bool(delta)
        thought = text_of(delta.get("reasoning")) or text_of(delta.get("reasoning_content"))
        if thought and (thought := self._reasoning.setdefault(index, Halves()).join(thought)):
            events.append((index, ReasoningDelta(text=thought)))
        content = content_text(delta.get("content"))
        if content and (content := self._text.setdefault(index, Halves()).join(content)):
            events.append((index, TextDelta(text=content)))
        calls = message.feed(delta, finish_reason=reason)
        events += [(index, event) for event in calls]

    def close(self) -> list[tuple[int, Event]]:
        """Say that the stream ended.

        Returns:
            The verdict on every call, then a `MessageFinish`, for each choice.

        Raises:
            IncompleteStreamError: A choice, or the whole answer, has no finish reason.
            ServerStreamError: A choice finished by an error.
        """
        if not self._messages:
            msg = "The stream ended before the answer began."
            raise IncompleteStreamError(msg)
        if missing := self._messages.keys() - self.finish_reasons.keys():
            msg = (
                f"The stream ended without a finish reason (choice {min(missing)}): the "
                "connection was dropped or the server stopped. No tool call of it is confirmed."
            )
            raise IncompleteStreamError(msg)
        if "error" in self.finish_reasons.values():
            msg = "its finish reason is 'error'"
            raise ServerStreamError(msg)
        events: list[tuple[int, Event]] = []
        for index, message in sorted(self._messages.items()):
            reason = self.finish_reasons[index]
            if self._used_up and not is_truncating(reason):
                reason = "length"
            events += [(index, event) for event in message.close(reason)]
            finish = MessageFinish(
                finish_reason=reason,
                stop_reason=self._stop_reasons.get(index),
                usage=self.usage,
            )
            events.append((index, finish))
        return events

    @property
    def _used_up(self) -> bool:
        used = self.usage.get("completion_tokens") if self.usage is not None else None
        return (
            self._whole
            and len(self._messages) == 1
            and self._max_tokens is not None
            and isinstance(used, int)
            and used >= self._max_tokens
        )

    def abort(self, reason: str) -> list[tuple[int, Event]]:
        """Say that the stream was interrupted.

        Args:
            reason: What happened.

        Returns:
            A `ToolCallInvalid` for every call of every choice.
        """
        return [
            (index, event)
            for index, message in sorted(self._messages.items())
            for event in message.abort(reason)
        ]
