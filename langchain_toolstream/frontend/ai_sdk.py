"""Events as the UI message stream of Vercel's AI SDK, which its `useChat` reads."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from typing import Any, Literal, cast

from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_toolstream.core.events import (
    Interrupt,
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolAnswer,
    ToolCallInvalid,
    ToolEvent,
    ToolFinish,
    ToolStart,
)
from langchain_toolstream.frontend.files import ai_sdk_output
from langchain_toolstream.frontend.heartbeat import HEARTBEAT, with_heartbeat
from langchain_toolstream.frontend.resume import answers
from langchain_toolstream.frontend.write import (
    HAS_APPROVALS,
    Call,
    ProtocolWriter,
    approval_data,
    as_text,
    write,
)
from langchain_toolstream.json_values import bounded, to_json

AI_SDK_HEADERS: Mapping[str, str] = {
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
}
"""The headers of a response that `to_ai_sdk` writes; the second keeps nginx from holding it back.
Its media type is `text/event-stream`."""

_REASONS = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool-calls",
    "tool_use": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
    "refusal": "content-filter",
    "SAFETY": "content-filter",
}
"""Finish reasons in the client's words; any other word would end the stream."""


def to_ai_sdk(  # noqa: PLR0913 - all but the first are keyword-only
    events: AsyncIterable[ToolEvent],
    *,
    message_id: str | None = None,
    show_errors: bool = False,
    client: Literal[5, 6, 7] = 5,
    posted: Mapping[str, Any] | None = None,
    heartbeat: float | None = HEARTBEAT,
) -> AsyncGenerator[bytes]:
    """Write events as the UI message stream of the AI SDK, versions 5 and later.

    The run is one message of the assistant, and each turn of the model a step of it. A call is a
    part `tool-NAME` with its input, also while that is written; its output is an object with the
    `content` that the model reads and, where there is one, the `artifact`. Their pictures and files
    are parts `file` behind it. What a tool reports on its way is a preliminary output. An invalid
    call is a part with an error. If a model breaks off and another one takes over, version 7 of the
    client removes the first one's text.

    A run that waits for a person asks in parts `data-approval`, or, where `client` is 6 or 7, in
    requests of the protocol; `resume_command` reads the answer. A run that goes on after that
    needs what the page `posted`: it goes on in the message that asked, and its parts
    `data-approval` get the status `answered` and the kind of the `decision`.

    The protocol has no place for models that tools run, nor for tools that nobody called: both are
    left out.

    Args:
        events: What `tool_events` gives.
        message_id: The message's id; the client makes one otherwise.
        show_errors: See `to_sse`.
        client: The version of `ai` that reads, which no client says: 5 knows no approvals, and 6
            and 7 also read what is written for 5.
        posted: The body that the page posted.
        heartbeat: See `to_sse`.

    Returns:
        The body, piece by piece; send it with `AI_SDK_HEADERS`.

    Raises:
        ResumeError: `posted` answers a question twice, or cannot be read.
        ValueError: `heartbeat` is not above 0.

    Example:
        ```python
        from starlette.responses import StreamingResponse

        from langchain_toolstream import (
            AI_SDK_HEADERS,
            ChatVLLM,
            read_history,
            to_ai_sdk,
            tool_events,
        )

        llm = ChatVLLM()


        async def chat(request):
            posted = await request.json()
            events = tool_events(llm, read_history(posted))
            body = to_ai_sdk(events, posted=posted)
            return StreamingResponse(body, media_type="text/event-stream", headers=AI_SDK_HEADERS)
        ```
    """
    asked = _asked(posted or {})
    if message_id is None and asked is not None and isinstance(asked.get("id"), str):
        message_id = asked["id"]
    writer = _UIMessages(message_id, client, show_errors=show_errors)
    if asked is not None:
        writer.answered = _answered(asked, answers(posted))
    return with_heartbeat(write(events, writer, show_errors=show_errors), heartbeat)


def _asked(posted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The message of the assistant that a run goes on in, where one does."""
    messages = posted.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    is_assistant = isinstance(last, Mapping) and last.get("role") == "assistant"
    return last if is_assistant and posted.get("trigger") != "regenerate-message" else None


def _answered(asked: Mapping[str, Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions of a message as they are now; the page has them, so they are its own words."""
    parts = asked.get("parts")
    return [
        {
            "type": "data-approval",
            "id": part["id"],
            "data": {**data, "status": "answered", "decision": given[part["id"]]["type"]},
        }
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, Mapping)
        and part.get("type") == "data-approval"
        and isinstance(data := part.get("data"), Mapping)
        and isinstance(part.get("id"), str)
        and isinstance(given.get(part["id"]), Mapping)
        and isinstance(given[part["id"]].get("type"), str)
    ]


class _UIMessages(ProtocolWriter[bytes]):
    def __init__(self, message_id: str | None, client: int, *, show_errors: bool) -> None:
        super().__init__(show_errors=show_errors)
        self._has_approvals = client >= HAS_APPROVALS
        self._removes = client > 6  # noqa: PLR2004 - the first version that knows `reset-step`
        self._is_void = False  # all messages of the step broke off
        self._message_id = message_id
        self.answered: list[dict[str, Any]] = []  # parts of questions
        self._in_step = False
        self._parts: dict[str, tuple[str, str]] = {}  # the open one of each open message
        self._count = 0
        self._inside: set[str] = set()  # messages of models that tools run
        self._finish_reasons: list[str | None] = []  # of each turn
        self._usage: UsageMetadata | None = None

    def open(self) -> Iterator[bytes]:
        yield _chunk("start", **({"messageId": self._message_id} if self._message_id else {}))
        for part in self.answered:
            yield _event(bounded(part))

    def feed(self, event: ToolEvent) -> Iterator[bytes]:
        if isinstance(event, MessageStart) and event.parent_call_id is not None:
            self._inside.add(event.run_id)
        if event.run_id not in self._inside or isinstance(event, Interrupt):
            yield from super().feed(event)
        elif isinstance(event, MessageFinish):
            self._add_usage(event)

    def _close(self) -> Iterator[bytes]:
        for question in self.questions:
            yield from self._ask(question)
        yield from self._end_step()
        reason = self._finish_reasons[-1] if self._finish_reasons else None
        said = {
            "finishReason": reason,
            "finishReasons": self._finish_reasons if len(self._finish_reasons) > 1 else None,
            "usage": self._usage,
        }
        metadata = {key: value for key, value in said.items() if value is not None}
        known = "tool-calls" if self.questions else _REASONS.get(reason or "", "other")
        yield _chunk(
            "finish",
            **({"finishReason": known} if reason or self.questions else {}),
            **({"messageMetadata": metadata} if metadata else {}),
        )
        yield b"data: [DONE]\n\n"

    def _fail(self, error: str) -> Iterator[bytes]:
        yield _chunk("error", errorText=error)
        yield from self._close()

    def _ask(self, question: Interrupt) -> Iterator[bytes]:
        call_id = self._id_of(question)
        if call_id is None:
            value = bounded(question.value)
            yield _chunk("data-interrupt", id=question.id, data={"value": value})
            return
        call = self._calls.get((question.run_id, question.call_id or ""))
        if call is None or call.run_id in self._inside:
            # The client knows only calls that it was told of.
            args = bounded(question.args)
            yield _chunk(
                "tool-input-available", toolCallId=call_id, toolName=question.name, input=args
            )
        allowed = [*question.allowed]
        if self._has_approvals:
            yield _chunk(
                "tool-approval-request",
                approvalId=question.id,
                toolCallId=call_id,
                approvalDescriptor={"allowedDecisions": allowed},
                reason=question.message,
            )
            return
        data = approval_data(question, call_id)
        yield _chunk("data-approval", id=question.id, data=data)

    # Messages.

    def _start_message(self, event: MessageStart) -> Iterator[bytes]:
        if not self._parts:
            if self._is_void and self._removes:
                yield _chunk("reset-step")
            else:
                yield from self._end_step()
                self._in_step = True
                yield _chunk("start-step")
                self._is_void = True
        self._parts[event.run_id] = ("", "")

    def _prose(self, event: TextDelta | ReasoningDelta) -> Iterator[bytes]:
        kind = "text" if isinstance(event, TextDelta) else "reasoning"
        if self._parts.get(event.run_id, ("", ""))[0] != kind:
            yield from self._end_part(event.run_id)
            self._count += 1
            self._parts[event.run_id] = (kind, f"{kind}-{self._count}")
            yield _chunk(f"{kind}-start", id=f"{kind}-{self._count}")
        yield _chunk(f"{kind}-delta", id=self._parts[event.run_id][1], delta=event.text)

    def _end_message(self, event: MessageFinish | MessageError) -> Iterator[bytes]:
        yield from self._end_part(event.run_id)
        self._parts.pop(event.run_id, None)
        if isinstance(event, MessageFinish):
            self._is_void = False
            self._finish_reasons.append(event.finish_reason)
            self._add_usage(event)

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

    def _add_usage(self, event: MessageFinish) -> None:
        if event.usage is not None:
            self._usage = add_usage(self._usage, cast("UsageMetadata", event.usage))

    # Calls and tools.

    def _begin_call(self, call: Call) -> Iterator[bytes]:
        yield from self._end_part(call.run_id)
        yield _chunk("tool-input-start", toolCallId=call.id, toolName=call.name)

    def _args(self, call: Call, piece: str) -> Iterator[bytes]:
        yield _chunk("tool-input-delta", toolCallId=call.id, inputTextDelta=piece)

    def _input(self, call: Call, args: dict[str, Any]) -> Iterator[bytes]:
        said = {"toolCallId": call.id, "toolName": call.name, "input": bounded(args)}
        yield _chunk("tool-input-available", **said)

    def _invalid(self, call: Call, event: ToolCallInvalid) -> Iterator[bytes]:
        if call.written:
            yield _chunk("tool-output-error", toolCallId=call.id, errorText=event.error)
            return
        yield _chunk(
            "tool-input-error",
            toolCallId=call.id,
            toolName=event.name,
            input=event.args,
            errorText=event.error,
        )

    def _begin_tool(self, call: Call, event: ToolStart) -> Iterable[bytes]:
        del call, event  # the protocol has no place for it
        return ()

    def _progress(self, call: Call, data: Any) -> Iterator[bytes]:
        if call.written:  # a part has an input that grows, or an output
            output = bounded(data)
            yield _chunk(
                "tool-output-available", toolCallId=call.id, output=output, preliminary=True
            )

    def _denied(self, call: Call, event: ToolAnswer) -> Iterator[bytes]:
        if self._has_approvals:
            yield _chunk("tool-output-denied", toolCallId=call.id)
        else:
            yield from self._failure(call, as_text(event.content))

    def _output(self, call: Call, event: ToolFinish | ToolAnswer) -> Iterator[bytes]:
        output, files = ai_sdk_output(call.id, event.content, event.artifact)
        yield _chunk("tool-output-available", toolCallId=call.id, output=output)
        for file in files:
            yield _event(file)

    def _failure(self, call: Call, error: str) -> Iterator[bytes]:
        yield _chunk("tool-output-error", toolCallId=call.id, errorText=error)


def _chunk(kind: str, **said: Any) -> bytes:
    return _event({"type": kind, **said})


def _event(said: dict[str, Any]) -> bytes:
    return f"data: {to_json(said)}\n\n".encode()
