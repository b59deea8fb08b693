"""Events as those of AG-UI, the Agent User Interaction Protocol."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_toolstream.core.events import (
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
from langchain_toolstream.frontend.files import ag_ui_parts, has_parts, text_of, without_files
from langchain_toolstream.frontend.heartbeat import HEARTBEAT, with_heartbeat
from langchain_toolstream.frontend.write import Call, ProtocolWriter, as_text, write
from langchain_toolstream.json_values import bounded, without_halves

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent, TokenUsage


def to_ag_ui(
    events: AsyncIterable[ToolEvent],
    *,
    thread_id: str | None = None,
    run_id: str | None = None,
    show_errors: bool = False,
    protocol_version: str | None = None,
) -> AsyncGenerator["BaseEvent"]:
    """Turn events into those of AG-UI, as its own models; extra `ag-ui`.

    Each message of a model is a text message, its reasoning apart, its calls with their arguments
    as they are written and their results. A model that a tool runs is a subagent, which ends with
    that tool. What AG-UI has no event for is a `CUSTOM` event with the call's id as
    `toolCallId` in its value: `tool-start`, `tool-progress`, and `tool-artifact` before the
    result. Pictures and files are parts of the result for clients that read these; for others,
    those that the model reads are `tool-file`. An invalid call has the reason as its result; the
    `metadata` of a result, or of a message that broke off, has a `status`, `"error"` or `"denied"`,
    where it is no success. A run that waits for a person ends with the outcome `interrupt`;
    `resume_command` reads the answer. The tokens of all messages are in the `usage` of the last
    event, and the reason why each ended in its `metadata`, as `finishReasons`.

    Args:
        events: What `tool_events` gives.
        thread_id: The conversation's id, from the `RunAgentInput`; made up otherwise.
        run_id: The run's, likewise.
        show_errors: See `to_sse`.
        protocol_version: What the client posts as `protocolVersion`. Those before 1.0 post none,
            and cannot read pictures in results.

    Returns:
        The protocol's events, for `ag_ui_sse`.

    Raises:
        ImportError: `ag-ui-protocol` is not installed.

    Example:
        ```python
        from ag_ui.core import RunAgentInput
        from starlette.responses import StreamingResponse

        from langchain_toolstream import ChatVLLM, ag_ui_sse, to_ag_ui, tool_events

        llm = ChatVLLM()


        async def run(request):
            asked = RunAgentInput.model_validate(await request.json())
            prompt = [(message.role, message.content) for message in asked.messages]
            events = to_ag_ui(
                tool_events(llm, prompt),
                thread_id=asked.thread_id,
                run_id=asked.run_id,
                protocol_version=asked.protocol_version,
            )
            return StreamingResponse(ag_ui_sse(events), media_type="text/event-stream")
        ```
    """
    try:
        import ag_ui.core  # noqa: F401, PLC0415 - the extra's
    except ImportError as error:
        msg = "to_ag_ui needs ag-ui-protocol: pip install 'langchain-toolstream[ag-ui]'"
        raise ImportError(msg) from error
    writer = _AGUI(
        thread_id or str(uuid4()),
        run_id or str(uuid4()),
        show_errors=show_errors,
        has_parts=has_parts(protocol_version),
    )
    return write(events, writer, show_errors=show_errors)


def ag_ui_sse(
    events: AsyncIterable["BaseEvent"], *, heartbeat: float | None = HEARTBEAT
) -> AsyncGenerator[bytes]:
    """Write AG-UI's events as server-sent events, for the response of any ASGI app.

    As AG-UI's own `EventEncoder`, and with comments while no event comes.

    Args:
        events: What `to_ag_ui` gives.
        heartbeat: See `to_sse`.

    Returns:
        The body, piece by piece; its media type is `text/event-stream`.

    Raises:
        ValueError: `heartbeat` is not above 0.
    """
    return with_heartbeat(_encoded(events), heartbeat)


async def _encoded(events: AsyncIterable["BaseEvent"]) -> AsyncGenerator[bytes]:
    from ag_ui.encoder import EventEncoder  # noqa: PLC0415 - the extra's

    encoder = EventEncoder()
    try:
        async for event in events:
            yield encoder.encode(event).encode()
    finally:
        if aclose := getattr(events, "aclose", None):
            await aclose()


class _AGUI(ProtocolWriter["BaseEvent"]):
    def __init__(self, thread_id: str, run_id: str, *, show_errors: bool, has_parts: bool) -> None:
        from ag_ui import core  # noqa: PLC0415 - the extra's

        super().__init__(show_errors=show_errors)
        self._ag = core
        self._thread_id = thread_id
        self._run_id = run_id
        self._texts: dict[str, bool] = {}  # the open messages, and whether their text has begun
        self._thoughts: dict[str, str] = {}  # the open reasoning of each
        self._count = 0
        self._open_calls: dict[str, Call] = {}  # those being written
        self._running: dict[str, Call] = {}  # the calls with a tool, by their own ids
        self._subagents: dict[str, str] = {}  # messages of models that tools run, and the calls
        self._open_subagents: set[str] = set()
        self._usage: list[TokenUsage] = []
        self._has_parts = has_parts
        self._finish_reasons: list[str | None] = []  # of each message

    def feed(self, event: ToolEvent) -> Iterator["BaseEvent"]:
        return super().feed(_without_halves(event))

    def open(self) -> Iterator["BaseEvent"]:
        yield self._ag.RunStartedEvent(thread_id=self._thread_id, run_id=self._run_id)

    def _close(self) -> Iterator["BaseEvent"]:
        for call_id in [*self._open_subagents]:
            yield from self._end_subagent(call_id, None)
        usage = self._ag.aggregate_token_usage(self._usage)
        yield self._ag.RunFinishedEvent(
            thread_id=self._thread_id,
            run_id=self._run_id,
            usage=usage or None,
            outcome=self._pause() if self.questions else None,
            metadata={"finishReasons": self._finish_reasons} if self._finish_reasons else None,
        )

    def _pause(self) -> Any:
        asked = [
            self._ag.Interrupt(
                id=one.id,
                # Not "tool_call": CopilotKit would answer such a call itself, a second time.
                reason="interrupt" if one.call_id is None else "tool_approval",
                message=one.message or None,
                tool_call_id=self._id_of(one),
                response_schema=one.response_schema
                if isinstance(one.response_schema, dict)
                else None,
                metadata=without_halves(
                    {"value": bounded(one.value)}
                    if one.call_id is None
                    else {
                        "allowedDecisions": [*one.allowed],
                        "name": one.name,
                        "args": bounded(one.args),
                    }
                ),
            )
            for one in self.questions
        ]
        return self._ag.RunFinishedInterruptOutcome(type="interrupt", interrupts=asked)

    def _fail(self, error: str) -> Iterator["BaseEvent"]:
        yield self._ag.RunErrorEvent(message=without_halves(error))

    # Messages.

    def _start_message(self, event: MessageStart) -> Iterator["BaseEvent"]:
        self._texts[event.run_id] = False
        if event.parent_call_id is None:
            return
        parent = self._running.get(event.parent_call_id)
        parent_id = event.parent_call_id if parent is None else parent.id
        self._subagents[event.run_id] = parent_id
        if parent_id not in self._open_subagents:
            self._open_subagents.add(parent_id)
            name = event.node or (parent.name if parent else "") or "model"
            yield self._ag.SubagentStartedEvent(
                subagent_run_id=parent_id, name=name, parent_tool_call_id=parent_id
            )

    def _prose(self, event: TextDelta | ReasoningDelta) -> Iterator["BaseEvent"]:
        if isinstance(event, ReasoningDelta):
            yield from self._think(event)
            return
        yield from self._end_thought(event.run_id)
        who = self._who(event.run_id)
        if not self._texts.get(event.run_id):
            self._texts[event.run_id] = True
            yield self._ag.TextMessageStartEvent(message_id=event.run_id, role="assistant", **who)
        yield self._ag.TextMessageContentEvent(message_id=event.run_id, delta=event.text, **who)

    def _end_message(self, event: MessageFinish | MessageError) -> Iterator["BaseEvent"]:
        yield from self._end_thought(event.run_id)
        for call in [*self._open_calls.values()]:
            if call.run_id == event.run_id:
                yield from self._end_call(call)
        if self._texts.pop(event.run_id, False):
            yield self._ag.TextMessageEndEvent(
                message_id=event.run_id,
                metadata={"status": "error"} if isinstance(event, MessageError) else None,
                **self._who(event.run_id),
            )
        if isinstance(event, MessageError):
            return
        self._finish_reasons.append(event.finish_reason)
        if event.usage is not None:
            usage = self._ag.token_usage_from_langchain_metadata(event.usage)
            self._usage += [usage] if usage is not None else []

    def _think(self, event: ReasoningDelta) -> Iterator["BaseEvent"]:
        ag, who = self._ag, self._who(event.run_id)
        thought = self._thoughts.get(event.run_id)
        if thought is None:
            self._count += 1
            thought = self._thoughts[event.run_id] = f"{event.run_id}:reasoning-{self._count}"
            yield ag.ReasoningStartEvent(message_id=thought, **who)
            yield ag.ReasoningMessageStartEvent(message_id=thought, role="reasoning", **who)
        yield ag.ReasoningMessageContentEvent(message_id=thought, delta=event.text, **who)

    def _end_thought(self, run_id: str) -> Iterator["BaseEvent"]:
        if (thought := self._thoughts.pop(run_id, None)) is not None:
            who = self._who(run_id)
            yield self._ag.ReasoningMessageEndEvent(message_id=thought, **who)
            yield self._ag.ReasoningEndEvent(message_id=thought, **who)

    # Calls and tools.

    def _begin_call(self, call: Call) -> Iterator["BaseEvent"]:
        yield from self._end_thought(call.run_id)
        self._open_calls[call.id] = call
        yield self._ag.ToolCallStartEvent(
            tool_call_id=call.id,
            tool_call_name=call.name,
            parent_message_id=call.run_id,
            **self._who(call.run_id),
        )

    def _args(self, call: Call, piece: str) -> Iterator["BaseEvent"]:
        who = self._who(call.run_id)
        yield self._ag.ToolCallArgsEvent(tool_call_id=call.id, delta=piece, **who)

    def _input(self, call: Call, args: dict[str, Any]) -> Iterator["BaseEvent"]:
        del args  # their pieces have come
        yield from self._end_call(call)

    def _end_call(self, call: Call) -> Iterator["BaseEvent"]:
        if self._open_calls.pop(call.id, None) is not None:
            yield self._ag.ToolCallEndEvent(tool_call_id=call.id, **self._who(call.run_id))

    def _invalid(self, call: Call, event: ToolCallInvalid) -> Iterator["BaseEvent"]:
        yield from self._end_call(call)
        yield self._result(call, event.error, "error")

    def _begin_tool(self, call: Call, event: ToolStart) -> Iterator["BaseEvent"]:
        self._running[event.id] = call
        yield self._custom("tool-start", call, args=bounded(event.args))

    def _progress(self, call: Call, data: Any) -> Iterator["BaseEvent"]:
        yield self._custom("tool-progress", call, data=bounded(data))

    def _output(self, call: Call, event: ToolFinish | ToolAnswer) -> Iterator["BaseEvent"]:
        yield from self._end_subagent(call.id, None)
        content, files = without_files(event.content)
        artifact, shown = without_files(event.artifact) if self._has_parts else (event.artifact, [])
        if artifact is not None:
            yield self._custom("tool-artifact", call, artifact=bounded(artifact))
        text = text_of(content)
        if self._has_parts and (files or shown):
            yield self._result(call, ag_ui_parts(text, files, shown))
            return
        for file in files:
            yield self._custom("tool-file", call, mimeType=file.mime_type, url=file.link())
        yield self._result(call, text)

    def _failure(self, call: Call, error: str) -> Iterator["BaseEvent"]:
        yield from self._end_subagent(call.id, error)
        yield self._result(call, error, "error")

    def _denied(self, call: Call, event: ToolAnswer) -> Iterator["BaseEvent"]:
        yield self._result(call, as_text(event.content), "denied")

    def _result(self, call: Call, content: Any, status: str | None = None) -> "BaseEvent":
        return self._ag.ToolCallResultEvent(
            message_id=f"{call.id}:result",
            tool_call_id=call.id,
            content=without_halves(content),
            role="tool",
            metadata={"status": status} if status else None,  # there is no field for a failure
            **self._who(call.run_id),
        )

    def _custom(self, name: str, call: Call, **said: Any) -> "BaseEvent":
        value = without_halves({"toolCallId": call.id, "name": call.name, **said})
        return self._ag.CustomEvent(name=name, value=value, **self._who(call.run_id))

    # Subagents.

    def _who(self, run_id: str) -> dict[str, Any]:
        call_id = self._subagents.get(run_id)
        return {"subagent_run_id": call_id} if call_id is not None else {}

    def _end_subagent(self, call_id: str, error: str | None) -> Iterator["BaseEvent"]:
        if call_id in self._open_subagents:
            self._open_subagents.discard(call_id)
            if error is None:
                yield self._ag.SubagentFinishedEvent(subagent_run_id=call_id)
            else:
                yield self._ag.SubagentErrorEvent(subagent_run_id=call_id, message=error)


def _without_halves(event: ToolEvent) -> ToolEvent:
    """AG-UI's models take no half characters, in whatever field."""
    texts = ((one.name, getattr(event, one.name)) for one in fields(event))
    changed = {
        name: whole
        for name, text in texts
        if isinstance(text, str) and (whole := without_halves(text)) is not text
    }
    return replace(event, **changed) if changed else event
