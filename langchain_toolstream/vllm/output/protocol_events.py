"""One answer as the events of LangChain's v3 protocol, as they come.

langchain-core asks a model's `_stream_chat_model_events` for them, where it has that; else it makes
them of chunks, and then every block finishes behind the last chunk.

A `content-block-finish` cannot be taken back, and whoever reads it may act on it. So a call
finishes as `tool_call` when it is closed and valid, every call before it has finished or is known
to be none, **and a later call is being written**. Truncation can spoil only the last call of a
message, which servers close in the very chunk that says so; text behind a call does not make it
less the last. The last call, and what is no call, finish when the message has ended.

What is left is a call that has finished and is contradicted later, by text under its own index
behind the next call's. No recorded stream does that. One that did would raise: a message in which
that call stands as a good one must not come to its end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_protocol import protocol

from langchain_toolstream.core.events import (
    Event,
    MessageFinish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.vllm.errors import VLLMStreamError
from langchain_toolstream.vllm.response.answer import PROVIDER, AnswerReader
from langchain_toolstream.vllm.response.details import usage_metadata


@dataclass(slots=True)
class _Prose:
    """The open block of text or reasoning."""

    kind: Literal["text", "reasoning"]
    index: int
    pieces: list[str] = field(default_factory=list)


class ProtocolBuilder:
    """Make v3 events of the events of the first choice.

    Args:
        reader: What the events come from, with `passed` calls.
        run_id: The run whose message it is, as langchain-core names messages.
    """

    def __init__(self, reader: AnswerReader, *, run_id: UUID | None) -> None:
        """Start before the first event."""
        self._reader = reader
        self._message_id = f"{LC_ID_PREFIX}-{run_id}" if run_id else ""
        self._begun = False
        self._blocks = 0  # how many have started
        self._prose: _Prose | None = None
        self._reasoning: list[str] = []
        self._calls: dict[str, int] = {}  # the blocks of the calls
        self._invalid: dict[str, str] = {}  # the reasons

    def build(self, events: Iterable[tuple[int, Event]]) -> Iterator[protocol.MessagesData]:
        """Make the v3 events for some events.

        Args:
            events: What one read brought.

        Yields:
            Each as the protocol wants it; blocks may interleave.

        Raises:
            VLLMStreamError: A call that has finished is contradicted.
        """
        for choice, event in events:
            if choice == 0:
                if not self._begun:
                    self._begun = True
                    yield self._message_start()
                yield from self._convert(event)

    def _convert(self, event: Event) -> Iterator[protocol.MessagesData]:
        match event:
            case TextDelta():
                yield from self._write("text", event.text)
            case ReasoningDelta():
                self._reasoning.append(event.text)
                yield from self._write("reasoning", event.text)
            case ToolCallStart():
                yield from self._start_call(event)
            case ToolCallDelta():
                delta = protocol.ToolCallDelta(type="tool-call-delta", args=event.args)
                yield _delta(self._calls[event.id], delta)
            case ToolCallReady():
                block = protocol.ToolCall(
                    type="tool_call", id=event.id, name=event.name, args=event.args
                )
                yield _finish(self._calls[event.id], block)
            case ToolCallInvalid():
                yield self._refuse(event)
            case MessageFinish():
                yield from self._finish_message(event)

    def _message_start(self) -> protocol.MessageStartData:
        metadata = protocol.MessageMetadata(provider=PROVIDER)
        if isinstance(model := self._reader.info(0, None).get("model_name"), str):
            metadata["model"] = model
        return protocol.MessageStartData(
            event="message-start", role="ai", id=self._message_id, metadata=metadata
        )

    def _start(self, content: protocol.ContentBlock) -> protocol.ContentBlockStartData:
        index = self._blocks
        self._blocks += 1
        return protocol.ContentBlockStartData(
            event="content-block-start", index=index, content=content
        )

    # Text and reasoning.

    def _write(
        self, kind: Literal["text", "reasoning"], text: str
    ) -> Iterator[protocol.MessagesData]:
        if self._prose is None or self._prose.kind != kind:
            yield from self._finish_prose()
            self._prose = _Prose(kind, self._blocks)
            yield self._start(_prose_block(kind, ""))
        self._prose.pieces.append(text)
        yield _delta(
            self._prose.index,
            protocol.TextDelta(type="text-delta", text=text)
            if kind == "text"
            else protocol.ReasoningDelta(type="reasoning-delta", reasoning=text),
        )

    def _finish_prose(self) -> Iterator[protocol.MessagesData]:
        if self._prose is not None:
            block = _prose_block(self._prose.kind, "".join(self._prose.pieces))
            yield _finish(self._prose.index, block)
            self._prose = None

    # Calls.

    def _start_call(self, event: ToolCallStart) -> Iterator[protocol.MessagesData]:
        yield from self._finish_prose()
        self._calls[event.id] = self._blocks
        yield self._start(
            protocol.ToolCallChunk(
                type="tool_call_chunk", id=event.id, name=event.name, args="", index=event.index
            )
        )

    def _refuse(self, event: ToolCallInvalid) -> protocol.MessagesData:
        if event.revoked:
            error = VLLMStreamError(
                f"it went on with the call {event.name!r} (id {event.id!r}) after it had begun to "
                f"write the next one, and so contradicted it. {event.error}"
            )
            error.partial_message = self._reader.abort(str(error))
            raise error
        self._invalid[event.id] = event.error
        block = protocol.InvalidToolCall(
            type="invalid_tool_call",
            id=event.id,
            name=event.name,
            args=event.args,
            error=event.error,
        )
        return _finish(self._calls[event.id], block)

    # The end.

    def _finish_message(self, finish: MessageFinish) -> Iterator[protocol.MessagesData]:
        yield from self._finish_prose()
        metadata = {"model_provider": PROVIDER, **self._reader.info(0, finish)}
        if self._invalid:
            metadata["invalid_tool_calls"] = self._invalid
        end: dict[str, Any] = {"event": "message-finish", "metadata": metadata}
        if usage := usage_metadata(finish.usage):
            end["usage"] = usage
        if self._reasoning:
            end["additional_kwargs"] = {"reasoning_content": "".join(self._reasoning)}
        # langchain-core writes and reads more than the protocol's type knows.
        yield cast("protocol.MessageFinishData", end)


def _prose_block(
    kind: Literal["text", "reasoning"], text: str
) -> protocol.TextContentBlock | protocol.ReasoningContentBlock:
    if kind == "text":
        return protocol.TextContentBlock(type="text", text=text)
    return protocol.ReasoningContentBlock(type="reasoning", reasoning=text)


def _delta(index: int, delta: protocol.ContentBlockDelta) -> protocol.ContentBlockDeltaData:
    return protocol.ContentBlockDeltaData(event="content-block-delta", index=index, delta=delta)


def _finish(index: int, content: protocol.FinalizedContentBlock) -> protocol.ContentBlockFinishData:
    return protocol.ContentBlockFinishData(
        event="content-block-finish", index=index, content=content
    )
