"""Whole chat completions, chunk by chunk: choices, text, reasoning, usage, and how they end.

One `ToolCallAssembler` for each choice decides about the calls, by the rules of `core.calls`.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.calls import ToolCallAssembler, is_truncating
from langchain_toolstream.core.deltas import (
    content_text,
    fragments_of,
    is_mapping,
    mappings,
    says_something,
    text_of,
    thoughts_text,
    whole_message,
)
from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    error_in,
    quoted,
)
from langchain_toolstream.core.events import Event, MessageFinish, ReasoningDelta, TextDelta
from langchain_toolstream.core.strings import Halves

MAX_CHOICES = 16_384
"""Choices of one answer: as many as vLLM gives (`VLLM_MAX_N_SEQUENCES`)."""


class _Choice:
    """One message while it comes, and the signs that another answer was glued to it (rule 6)."""

    __slots__ = (
        "_chunk_id", "_ended", "_has_spoken", "_is_shared", "_outputs", "_reasoning", "_text",
        "calls", "stop_reason",
    )  # fmt: skip

    def __init__(self, calls: ToolCallAssembler) -> None:
        self.calls = calls
        self.stop_reason: str | int | None = None
        self._text = Halves()
        self._reasoning = Halves()
        self._ended = False  # whether a finish reason has come
        self._outputs = 0  # chunks with text, reasoning or calls in them
        self._chunk_id = ""  # of the last such chunk
        self._is_shared = False  # whether the one before it had the same
        self._has_spoken = False  # whether one of them had no role

    def feed(
        self, delta: Mapping[str, Any], reason: str | None, chunk_id: str, index: int
    ) -> list[Event]:
        events: list[Event] = []
        thought = thoughts_text(delta)
        content = content_text(delta.get("content"))
        fragments = fragments_of(delta)
        output = thought or content or (fragments and any(map(says_something, fragments)))
        if sign := self._not_one_answer(delta.get("role"), output, reason, chunk_id):
            msg = (
                f"What came is not one whole answer (choice {index}): {sign}. A gateway or proxy "
                "may have asked a second server. No tool call of it is confirmed; ask again."
            )
            raise IncompleteStreamError(msg)
        if thought and (thought := self._reasoning.join(thought)):
            events.append(ReasoningDelta(text=thought))
        if content and (content := self._text.join(content)):
            events.append(TextDelta(text=content))
        events += self.calls.feed(delta, finish_reason=reason)
        return events

    def _not_one_answer(
        self, role: object, output: object, reason: str | None, chunk_id: str
    ) -> str | None:
        """Take the next chunk, and say by which sign it belongs to another answer."""
        if output and self._ended:
            return "more of it came after its finish reason"
        # Servers that write the role into every chunk mean nothing by it.
        if role and not output and not reason and (self._has_spoken or self._outputs == 1):
            return "a second message began in the middle of it"
        is_other = output and chunk_id and self._chunk_id and chunk_id != self._chunk_id
        if is_other and (self._is_shared or (role and self._has_spoken)):
            return f"its chunks had the id {quoted(self._chunk_id)}, and then {quoted(chunk_id)}"
        self._ended = self._ended or reason is not None
        if output:
            self._outputs += 1
            self._has_spoken = self._has_spoken or not role
            if chunk_id:
                self._is_shared = chunk_id == self._chunk_id
                self._chunk_id = chunk_id
        return None


class OnlyChoice:
    """Number the one choice that a request asked for as 0, whatever its chunks call it.

    Some servers count something else there: from 1, or the chunks. Others send a second choice that
    nobody asked for, which has to stay one. Where a new index comes, it is held back until the
    next ones tell: an index that returns is of a choice, one that only rises is a count.
    """

    def __init__(self) -> None:
        """Start before the first chunk."""
        self._first: int | None = None
        self._last = 0
        self._counts = False
        self._ended = False
        self._others: set[int] = set()
        self._held: list[Mapping[str, Any]] = []

    def feed(self, chunk: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Take the next chunk.

        Args:
            chunk: As for `CompletionStream.feed`.

        Returns:
            The chunks that may be read now, with the numbers of their choices.

        Raises:
            IncompleteStreamError: Two choices came, and nothing tells them apart.
        """
        choices = chunk.get("choices")
        if type(choices) is not list or len(choices) != 1 or not is_mapping(choice := choices[0]):
            return [chunk]
        index = choice.get("index")
        if type(index) is not int:
            return [chunk]
        if index == self._first == 0 and not (self._counts or self._held):  # nearly all
            self._ended = self._ended or bool(choice.get("finish_reason"))
            return [chunk]
        if self._first is None:
            self._first = self._last = index
        if index == self._first and not self._counts:
            return [*self._release(as_other=True), self._only(chunk)]
        delta = choice.get("delta")
        if index in self._others or self._ended or (is_mapping(delta) and delta.get("role")):
            self._others.add(index)
            return [_numbered(chunk, index or self._first)]
        if index < self._last:
            if not self._counts:
                return self._release(as_other=True) + self.feed(chunk)
            msg = (
                f"Chunks of the choices {self._last} and {index} came in turns, where one choice "
                "was asked for. No tool call of it is confirmed; ask again."
            )
            raise IncompleteStreamError(msg)
        self._counts = self._counts or (bool(self._held) and index > self._last)
        self._last = index
        if self._counts:
            return [*self._release(as_other=False), self._only(chunk)]
        self._held.append(chunk)
        return []

    def close(self) -> list[Mapping[str, Any]]:
        """Say that the stream ended.

        Returns:
            The chunks that were held back.
        """
        return self._release(as_other=self._ended)

    def _only(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        self._ended = self._ended or bool(chunk["choices"][0].get("finish_reason"))
        return _numbered(chunk, 0)

    def _release(self, *, as_other: bool) -> list[Mapping[str, Any]]:
        held, self._held = self._held, []
        if not as_other:
            return [self._only(chunk) for chunk in held]
        if held:
            self._others.add(self._last)
            self._last = self._first or 0
        indexes = [chunk["choices"][0]["index"] or self._first or 0 for chunk in held]
        return list(map(_numbered, held, indexes))


def _numbered(chunk: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    (choice,) = chunk["choices"]
    if choice["index"] == number:
        return chunk
    return {**chunk, "choices": [{**choice, "index": number}]}


class CompletionStream:
    """Read the chunks of one chat completion, as they came over the wire.

    A whole, non-streamed response body is one chunk too.

    Args:
        tools: The bound tools by name, as for `ToolCallAssembler`.
        fields: Likewise.
        passed: Likewise.
        no_parameters: Likewise.
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
        no_parameters: Collection[str] = (),
        max_tokens: int | None = None,
    ) -> None:
        """Start before the first chunk."""
        self.begun = False
        self.usage: Mapping[str, Any] | None = None
        self.finish_reasons: dict[int, str] = {}
        self._max_tokens = max_tokens
        self._whole = False
        self._assembler: Callable[[], ToolCallAssembler] = partial(
            ToolCallAssembler, tools, fields=fields, passed=passed, no_parameters=no_parameters
        )
        self._choices: dict[int, _Choice] = {}

    def feed(self, chunk: Mapping[str, Any]) -> list[tuple[int, Event]]:
        """Take the next chunk.

        Args:
            chunk: The JSON of one server-sent event, in any of the shapes that
                OpenAI-compatible servers send.

        Returns:
            What became known, each with the index of its choice: reasoning, text, calls.

        Raises:
            ServerStreamError: The chunk is an error.
            IncompleteStreamError: The chunk belongs to another answer than those before it.
        """
        if (error := error_in(chunk)) is not None:
            raise ServerStreamError.from_event(error)
        if is_mapping(usage := chunk.get("usage")):
            self.usage = usage
        events: list[tuple[int, Event]] = []
        choices = chunk.get("choices")
        self.begun = self.begun or type(choices) is list
        chunk_id = text_of(chunk.get("id"))
        for position, choice in enumerate(mappings(choices)):
            index = choice.get("index")
            index = index if type(index) is int else position
            events += [(index, event) for event in self._feed_choice(index, choice, chunk_id)]
        return events

    def _feed_choice(self, index: int, said: Mapping[str, Any], chunk_id: str) -> list[Event]:
        choice = self._choices.get(index)
        if choice is None:
            if len(self._choices) >= MAX_CHOICES:
                msg = f"it sent more than {MAX_CHOICES:,} choices"
                raise ServerStreamError(msg)
            choice = self._choices[index] = _Choice(self._assembler())
        if error := said.get("error"):
            raise ServerStreamError.from_event(error)
        reason = text_of(said.get("finish_reason"))
        reason = "" if reason == "null" else reason
        if isinstance(stop := said.get("stop_reason"), str | int):
            choice.stop_reason = stop
        delta = said.get("delta")
        if not is_mapping(delta):
            delta = whole_message(said.get("message"))
            self._whole = self._whole or bool(delta)
        events = choice.feed(delta, reason or None, chunk_id, index)
        if reason and (index not in self.finish_reasons or is_truncating(reason)):
            self.finish_reasons[index] = reason
        return events

    def close(self) -> list[tuple[int, Event]]:
        """Say that the stream ended.

        Returns:
            The verdict on every call, then a `MessageFinish`, for each choice.

        Raises:
            IncompleteStreamError: A choice, or the whole answer, has no finish reason.
            ServerStreamError: A choice finished by an error.
        """
        if not self._choices:
            msg = "The stream ended before the answer began."
            raise IncompleteStreamError(msg)
        if missing := self._choices.keys() - self.finish_reasons.keys():
            msg = (
                f"The stream ended without a finish reason (choice {min(missing)}): the "
                "connection was dropped or the server stopped. No tool call of it is confirmed."
            )
            raise IncompleteStreamError(msg)
        if "error" in self.finish_reasons.values():
            msg = "its finish reason is 'error'"
            raise ServerStreamError(msg)
        events: list[tuple[int, Event]] = []
        for index, choice in sorted(self._choices.items()):
            reason = self.finish_reasons[index]
            if self._used_up and not is_truncating(reason):
                reason = "length"
            events += [(index, event) for event in choice.calls.close(reason)]
            finish = MessageFinish(
                finish_reason=reason,
                stop_reason=choice.stop_reason,
                usage=self.usage,
            )
            events.append((index, finish))
        return events

    @property
    def _used_up(self) -> bool:
        used = self.usage.get("completion_tokens") if self.usage is not None else None
        return (
            self._whole
            and len(self._choices) == 1
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
            for index, choice in sorted(self._choices.items())
            for event in choice.calls.abort(reason)
        ]
