"""One answer of a server, as far as the doctor looks at it. No I/O: bytes and times in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_toolstream.core.completion import CompletionStream
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import (
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallStart,
)
from langchain_toolstream.json_values import InvalidJSONError, read_json
from langchain_toolstream.vllm.response.sse import SSEDecoder


@dataclass(slots=True)
class Call:
    """A call of an answer, by the rules of `core.calls`."""

    name: str
    raw: str = ""
    pieces: int = 0
    args: dict[str, Any] | None = None
    error: str | None = None

    @property
    def parses(self) -> bool:
        """Whether the arguments are a whole JSON object, confirmed or not."""
        try:
            return isinstance(read_json(self.raw), dict)
        except InvalidJSONError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came for one question."""

    refused: str = ""
    """The server's words, if it did not take the request."""

    broken: str = ""
    """Why the answer did not come to its end, if it did not."""

    calls: tuple[Call, ...] = ()
    ids: tuple[str, ...] = ()
    """The calls' ids, as they came."""

    text: str = ""
    reasoning: str = ""
    reasoning_field: str | None = None
    finish_reason: str | None = None
    tokens: int | None = None
    """How many tokens the server says it generated."""

    usages: int = 0
    """How many events carried a usage."""

    events: int = 0
    """How many events carried something of a choice."""

    tokens_at_once: tuple[int, ...] = ()
    """The number of token ids in each event that had any."""

    token_ids: tuple[int, ...] = ()
    raw: str | None = None
    """What the model wrote, markup included; `None` if the server does not tell."""

    first: float | None = None
    """Seconds until the first bytes of the body."""

    last: float = 0.0
    """Seconds until the last."""

    @property
    def good(self) -> tuple[Call, ...]:
        """The calls that are confirmed."""
        return tuple(call for call in self.calls if call.args is not None)

    @property
    def failed(self) -> str:
        """Why there is no whole answer, if there is none."""
        return self.refused or self.broken

    @property
    def written(self) -> str:
        """What the model wrote, or, where the server does not tell, the text that came of it."""
        return self.text if self.raw is None else self.raw

    @property
    def is_silent(self) -> bool:
        """Whether nothing came that a reader would see."""
        return not (self.text.strip() or self.reasoning or self.calls)

    @property
    def spread(self) -> float:
        """The share of its time in which the answer came; the rest was waiting."""
        return 0.0 if self.first is None or not self.last else 1 - self.first / self.last

    @property
    def per_event(self) -> float | None:
        """How many tokens came with an event, typically; `None` if it cannot be told."""
        if self.tokens_at_once:
            return sorted(self.tokens_at_once)[len(self.tokens_at_once) // 2]
        if self.tokens and self.text and not self.calls and self.events:
            return self.tokens / self.events
        return None


class AnswerReader:
    """Read the bytes of one streamed answer."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._sse = SSEDecoder()
        self._completion = CompletionStream()
        self._calls: dict[str, Call] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_field: str | None = None
        self._ids: list[str] = []
        self._usages = 0
        self._events = 0
        self._tokens: list[list[int]] = []
        self._written: list[str] = []
        self._first: float | None = None
        self._last = 0.0
        self._broken = ""
        self.done = False

    def feed(self, data: bytes, at: float) -> None:
        """Take the next bytes.

        Args:
            data: Any number of them.
            at: Seconds since the request.
        """
        if data:
            self._first = at if self._first is None else self._first
            self._last = at
        try:
            for _, payload in self._sse.feed(data):
                if payload.strip() == b"[DONE]":
                    self.done = True
                    return
                self._feed_chunk(read_json(payload))
        except StreamInterruptedError as error:
            self.broke(str(error))
        except InvalidJSONError as error:
            self.broke(f"The server sent an event that is {error}")

    def broke(self, reason: str) -> None:
        """Say that nothing more comes, and why.

        Args:
            reason: What happened.
        """
        self._broken = self._broken or reason
        self.done = True

    def close(self) -> Answer:
        """Say that the answer ended.

        Returns:
            What is known of it.
        """
        try:
            events = (
                self._completion.abort(self._broken) if self._broken else self._completion.close()
            )
        except StreamInterruptedError as error:
            self._broken = str(error)
            events = self._completion.abort(self._broken)
        for _, event in events:
            self._take(event)
        usage = self._completion.usage or {}
        tokens = usage.get("completion_tokens")
        return Answer(
            broken=self._broken,
            calls=tuple(self._calls.values()),
            ids=tuple(self._ids),
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            reasoning_field=self._reasoning_field,
            finish_reason=self._completion.finish_reasons.get(0),
            tokens=tokens if isinstance(tokens, int) else None,
            usages=self._usages,
            events=self._events,
            tokens_at_once=tuple(len(ids) for ids in self._tokens),
            token_ids=tuple(token for ids in self._tokens for token in ids),
            raw="".join(self._written) or None,
            first=self._first,
            last=self._last,
        )

    def _feed_chunk(self, chunk: Any) -> None:
        if not isinstance(chunk, Mapping):
            self.broke("The server sent an event that is not a JSON object.")
            return
        self._usages += isinstance(chunk.get("usage"), Mapping)
        for choice in _objects(chunk.get("choices")):
            self._look(choice)
        for _, event in self._completion.feed(chunk):
            self._take(event)

    def _look(self, choice: Mapping[str, Any]) -> None:
        """Note what the rules of `core.calls` make no difference of, and the doctor does."""
        ids = choice.get("token_ids")
        if isinstance(ids, list) and ids and all(type(token) is int for token in ids):
            self._tokens.append(ids)
        logprobs = choice.get("logprobs")
        for token in _objects(logprobs.get("content") if isinstance(logprobs, Mapping) else None):
            self._written.append(str(token.get("token", "")))
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return
        self._events += any(delta.get(key) for key in ("content", *_REASONING, "tool_calls"))
        for key in _REASONING:
            if delta.get(key):
                self._reasoning_field = self._reasoning_field or key
        for part in _objects(delta.get("tool_calls")):
            if part.get("id") and str(part["id"]) not in self._ids:
                self._ids.append(str(part["id"]))

    def _take(self, event: Any) -> None:
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case ToolCallStart():
                self._calls[event.id] = Call(name=event.name)
            case ToolCallDelta():
                call = self._calls[event.id]
                call.raw += event.args
                call.pieces += 1
            case ToolCallFinish():
                self._calls[event.id].args = event.args
            case ToolCallInvalid():
                call = self._calls.setdefault(event.id, Call(name=event.name))
                call.error = event.error
                call.raw = event.args
            case _:
                pass


_REASONING = ("reasoning", "reasoning_content")


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
