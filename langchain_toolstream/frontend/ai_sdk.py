"""Events as the UI message stream of Vercel's AI SDK, which its `useChat` reads."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_toolstream.core.events import (
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.frontend.jsonable import bounded, to_json
from langchain_toolstream.frontend.write import HIDDEN, Names, write

AI_SDK_HEADERS: Mapping[str, str] = {
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
}
"""The headers of a response that `to_ai_sdk` writes; the second keeps nginx from holding it back.
Its media type is `text/event-stream`."""


def to_ai_sdk(
    events: AsyncIterable[ToolEvent], *, message_id: str | None = None, show_errors: bool = False
) -> AsyncGenerator[bytes]:
    """Write events as the UI message stream of the AI SDK, versions 5 and later.

    The run is one message of the assistant, and each turn of the model a step of it. A call is a
    part `tool-NAME` with its input, also while that is written; its output is an object with the
    `content` that the model reads and, where there is one, the `artifact`. What a tool reports on
    its way is a preliminary output. What looked like a call and is none is a part with an error.

    The protocol has no place for models that tools run, nor for tools that nobody called: both are
    left out.

    Args:
        events: What `tool_events` gives.
        message_id: The message's id; the client makes one otherwise.
        show_errors: See `to_sse`.

    Returns:
        The body, piece by piece; send it with `AI_SDK_HEADERS`.

    Example:
        ```python
        from starlette.responses import StreamingResponse

        from langchain_toolstream import AI_SDK_HEADERS, ChatVLLM, to_ai_sdk, tool_events

        llm = ChatVLLM()


        async def chat(request):
            body = to_ai_sdk(tool_events(llm, (await request.json())["prompt"]))
            return StreamingResponse(body, media_type="text/event-stream", headers=AI_SDK_HEADERS)
        ```
    """
    writer = _UIMessages(message_id, show_errors=show_errors)
    return write(events, writer, show_errors=show_errors)


class _UIMessages:
    def __init__(self, message_id: str | None, *, show_errors: bool) -> None:
        self._message_id = message_id
        self._show_errors = show_errors
        self._names = Names()
        self._in_step = False
        self._parts: dict[str, tuple[str, str]] = {}  # the open one of each open message
        self._count = 0
        self._inside: set[str] = set()  # messages of models that tools run
        self._calls: dict[str, str] = {}  # all calls by their names on the wire, and their tools'
        self._written: set[str] = set()  # those whose input is complete
        self._held: dict[str, ToolFinish | ToolError] = {}  # what came of others already
        self._finish_reason: str | None = None
        self._usage: UsageMetadata | None = None

    def open(self) -> Iterator[bytes]:
        yield _chunk("start", **({"messageId": self._message_id} if self._message_id else {}))

    def feed(self, event: ToolEvent) -> Iterator[bytes]:
        if isinstance(event, MessageStart) and event.parent_call_id is not None:
            self._inside.add(event.run_id)
        if event.run_id not in self._inside:
            yield from self._write(event)
        elif isinstance(event, MessageFinish):
            self._add_usage(event)

    def _write(self, event: ToolEvent) -> Iterator[bytes]:
        match event:
            case MessageStart():
                if not self._parts:
                    yield from self._end_step()
                    self._in_step = True
                    yield _chunk("start-step")
                self._parts[event.run_id] = ("", "")
            case TextDelta():
                yield from self._prose("text", event)
            case ReasoningDelta():
                yield from self._prose("reasoning", event)
            case MessageFinish() | MessageError():
                yield from self._end_part(event.run_id)
                self._parts.pop(event.run_id, None)
                if isinstance(event, MessageFinish):
                    self._finish_reason = event.finish_reason
                    self._add_usage(event)
            case ToolCallStart() | ToolCallDelta() | ToolCallReady() | ToolCallInvalid():
                yield from self._call(self._names.of(event.run_id, event.id), event)
            case ToolStart() | ToolProgress() | ToolFinish() | ToolError():
                call_id = self._names.of(event.run_id, event.id)
                if call_id in self._calls:
                    yield from self._tool(call_id, event)
            case _:
                pass  # arguments field by field, which the client reads off the text; confirmations

    def close(self) -> Iterator[bytes]:
        yield from self._end_step()
        said = {"finishReason": self._finish_reason, "usage": self._usage}
        metadata = {key: value for key, value in said.items() if value is not None}
        yield _chunk("finish", **({"messageMetadata": metadata} if metadata else {}))
        yield b"data: [DONE]\n\n"

    def fail(self, error: str) -> Iterator[bytes]:
        yield _chunk("error", errorText=error)
        yield from self.close()

    def _prose(self, kind: str, event: TextDelta | ReasoningDelta) -> Iterator[bytes]:
        if self._parts.get(event.run_id, ("", ""))[0] != kind:
            yield from self._end_part(event.run_id)
            self._count += 1
            self._parts[event.run_id] = (kind, f"{kind}-{self._count}")
            yield _chunk(f"{kind}-start", id=f"{kind}-{self._count}")
        yield _chunk(f"{kind}-delta", id=self._parts[event.run_id][1], delta=event.text)

    def _end_part(self, run_id: str) -> Iterator[bytes]:
        kind, part_id = self._parts.get(run_id, ("", ""))
        if kind:
            self._parts[run_id] = ("", "")
            yield _chunk(f"{kind}-end", id=part_id)

    def _end_step(self) -> Iterator[bytes]:
        for run_id in self._parts:
            yield from self._end_part(run_id)
        if self._in_step:
            self._in_step = False
            yield _chunk("finish-step")

    def _call(
        self,
        call_id: str,
        event: ToolCallStart | ToolCallDelta | ToolCallReady | ToolCallInvalid,
    ) -> Iterator[bytes]:
        match event:
            case ToolCallStart():
                self._calls[call_id] = event.name
                yield from self._end_part(event.run_id)
                yield _chunk("tool-input-start", toolCallId=call_id, toolName=event.name)
            case ToolCallDelta():
                yield _chunk("tool-input-delta", toolCallId=call_id, inputTextDelta=event.args)
            case ToolCallReady():
                yield from self._end_input(call_id, event)
            case ToolCallInvalid() if call_id in self._written:
                yield _chunk("tool-output-error", toolCallId=call_id, errorText=event.error)
                del self._calls[call_id]  # whatever its tool says now is dropped
            case ToolCallInvalid():
                self._held.pop(call_id, None)
                yield _chunk(
                    "tool-input-error",
                    toolCallId=call_id,
                    toolName=event.name,
                    input=event.args,
                    errorText=event.error,
                )
                del self._calls[call_id]

    def _end_input(self, call_id: str, event: ToolCallReady | ToolStart) -> Iterator[bytes]:
        """Once: a tool may start before its call is known to be ready, where the tools are not."""
        if call_id not in self._written:
            self._written.add(call_id)
            said = {"toolCallId": call_id, "toolName": event.name, "input": event.args}
            yield _chunk("tool-input-available", **said)
            if (result := self._held.pop(call_id, None)) is not None:
                yield from self._tool(call_id, result)

    def _tool(
        self, call_id: str, event: ToolStart | ToolProgress | ToolFinish | ToolError
    ) -> Iterator[bytes]:
        match event:
            case ToolStart():
                self._held.pop(call_id, None)
                if event.streamed is None:
                    yield from self._end_input(call_id, event)
            case ToolFinish() | ToolError() if call_id not in self._written:
                self._held[call_id] = event  # its tool read no further
            case ToolProgress() if call_id not in self._written:
                pass  # a part has an input that grows, or an output
            case ToolProgress():
                said = {"toolCallId": call_id, "output": bounded(event.data), "preliminary": True}
                yield _chunk("tool-output-available", **said)
            case ToolFinish():
                output = {"content": bounded(event.content)}
                if event.artifact is not None:
                    output["artifact"] = bounded(event.artifact)
                yield _chunk("tool-output-available", toolCallId=call_id, output=output)
            case ToolError():
                error = event.error if self._show_errors else HIDDEN
                yield _chunk("tool-output-error", toolCallId=call_id, errorText=error)

    def _add_usage(self, event: MessageFinish) -> None:
        if event.usage is not None:
            self._usage = add_usage(self._usage, cast("UsageMetadata", event.usage))


def _chunk(kind: str, **said: Any) -> bytes:
    return f"data: {to_json({'type': kind, **said})}\n\n".encode()
