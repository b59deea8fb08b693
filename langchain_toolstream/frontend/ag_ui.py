"""Events as those of AG-UI, the Agent User Interaction Protocol."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

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

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent, TokenUsage


def to_ag_ui(
    events: AsyncIterable[ToolEvent],
    *,
    thread_id: str | None = None,
    run_id: str | None = None,
    show_errors: bool = False,
) -> AsyncGenerator["BaseEvent"]:
    """Turn events into those of AG-UI, as its own models; extra `ag-ui`.

    Each message of a model is a text message, its reasoning apart, its calls with their arguments
    as they are written and their results. A model that a tool runs is a subagent, which ends with
    that tool. What AG-UI has no event for is a `CUSTOM` event with the call's id as
    `toolCallId` in its value: `tool-start`, `tool-progress`, and `tool-artifact` before the
    result. What looked like a call and is none has the reason as its result. The tokens of all
    messages are in the `usage` of the last event.

    Args:
        events: What `tool_events` gives.
        thread_id: The conversation's id, from the `RunAgentInput`; made up otherwise.
        run_id: The run's, likewise.
        show_errors: See `to_sse`.

    Returns:
        The protocol's events, for its `EventEncoder`.

    Raises:
        ImportError: `ag-ui-protocol` is not installed.

    Example:
        ```python
        from ag_ui.core import RunAgentInput
        from ag_ui.encoder import EventEncoder
        from starlette.responses import StreamingResponse

        from langchain_toolstream import ChatVLLM, to_ag_ui, tool_events

        llm = ChatVLLM()


        async def run(request):
            asked = RunAgentInput.model_validate(await request.json())
            prompt = [(message.role, message.content) for message in asked.messages]
            events = to_ag_ui(
                tool_events(llm, prompt), thread_id=asked.thread_id, run_id=asked.run_id
            )
            encoder = EventEncoder()
            body = (encoder.encode(event) async for event in events)
            return StreamingResponse(body, media_type=encoder.get_content_type())
        ```
    """
    try:
        import ag_ui.core  # noqa: F401, PLC0415 - the extra's
    except ImportError as error:
        msg = "to_ag_ui needs ag-ui-protocol: pip install 'langchain-toolstream[ag-ui]'"
        raise ImportError(msg) from error
    writer = _AGUI(thread_id or str(uuid4()), run_id or str(uuid4()), show_errors=show_errors)
    return write(events, writer, show_errors=show_errors)


class _AGUI:
    def __init__(self, thread_id: str, run_id: str, *, show_errors: bool) -> None:
        from ag_ui import core  # noqa: PLC0415 - the extra's

        self._ag = core
        self._thread_id = thread_id
        self._run_id = run_id
        self._show_errors = show_errors
        self._names = Names()
        self._texts: dict[str, bool] = {}  # the open messages, and whether their text has begun
        self._thoughts: dict[str, str] = {}  # the open reasoning of each
        self._count = 0
        self._calls: dict[str, str] = {}  # all calls, and their tools
        self._answered: set[str] = set()  # those with a result
        self._running: dict[str, str] = {}  # the calls with a tool, by their own ids
        self._open_calls: dict[str, str] = {}  # those being written, and whose they are
        self._held: dict[str, ToolFinish | ToolError] = {}  # what came of them already
        self._subagents: dict[str, str] = {}  # messages of models that tools run, and the calls
        self._open_subagents: set[str] = set()
        self._usage: list[TokenUsage] = []

    def open(self) -> Iterator["BaseEvent"]:
        yield self._ag.RunStartedEvent(thread_id=self._thread_id, run_id=self._run_id)

    def close(self) -> Iterator["BaseEvent"]:
        for call in [*self._open_subagents]:
            yield from self._end_subagent(call, None)
        usage = self._ag.aggregate_token_usage(self._usage)
        yield self._ag.RunFinishedEvent(
            thread_id=self._thread_id, run_id=self._run_id, usage=usage or None
        )

    def fail(self, error: str) -> Iterator["BaseEvent"]:
        yield self._ag.RunErrorEvent(message=error)

    def feed(self, event: ToolEvent) -> Iterator["BaseEvent"]:
        match event:
            case MessageStart():
                yield from self._start_message(event)
            case TextDelta():
                yield from self._end_thought(event.run_id)
                if not self._texts.get(event.run_id):
                    self._texts[event.run_id] = True
                    yield self._ag.TextMessageStartEvent(
                        message_id=event.run_id, role="assistant", **self._who(event)
                    )
                yield self._ag.TextMessageContentEvent(
                    message_id=event.run_id, delta=event.text, **self._who(event)
                )
            case ReasoningDelta():
                yield from self._think(event)
            case MessageFinish() | MessageError():
                yield from self._end_message(event)
            case ToolCallStart() | ToolCallDelta() | ToolCallReady() | ToolCallInvalid():
                yield from self._call(self._names.of(event.run_id, event.id), event)
            case ToolStart() | ToolProgress() | ToolFinish() | ToolError():
                call_id = self._names.of(event.run_id, event.id)
                if isinstance(event, ToolStart):
                    self._answered.discard(call_id)  # the call is tried again
                if call_id in self._calls and call_id not in self._answered:
                    yield from self._tool(call_id, event)
            case _:
                pass  # arguments field by field, confirmations: the protocol has neither

    # Messages.

    def _start_message(self, event: MessageStart) -> Iterator["BaseEvent"]:
        self._texts[event.run_id] = False
        if event.parent_call_id is None:
            return
        parent = self._running.get(event.parent_call_id, event.parent_call_id)
        self._subagents[event.run_id] = parent
        if parent not in self._open_subagents:
            self._open_subagents.add(parent)
            name = event.node or self._calls.get(parent) or "model"
            yield self._ag.SubagentStartedEvent(
                subagent_run_id=parent, name=name, parent_tool_call_id=parent
            )

    def _end_message(self, event: MessageFinish | MessageError) -> Iterator["BaseEvent"]:
        yield from self._end_thought(event.run_id)
        for call_id, run_id in [*self._open_calls.items()]:
            if run_id == event.run_id:
                yield from self._end_call(call_id, event)
        if self._texts.pop(event.run_id, False):
            yield self._ag.TextMessageEndEvent(message_id=event.run_id, **self._who(event))
        if isinstance(event, MessageFinish) and event.usage is not None:
            usage = self._ag.token_usage_from_langchain_metadata(event.usage)
            self._usage += [usage] if usage is not None else []

    def _think(self, event: ReasoningDelta) -> Iterator["BaseEvent"]:
        ag, who = self._ag, self._who(event)
        thought = self._thoughts.get(event.run_id)
        if thought is None:
            self._count += 1
            thought = self._thoughts[event.run_id] = f"{event.run_id}:reasoning-{self._count}"
            yield ag.ReasoningStartEvent(message_id=thought, **who)
            yield ag.ReasoningMessageStartEvent(message_id=thought, role="reasoning", **who)
        yield ag.ReasoningMessageContentEvent(message_id=thought, delta=event.text, **who)

    def _end_thought(self, run_id: str) -> Iterator["BaseEvent"]:
        if (thought := self._thoughts.pop(run_id, None)) is not None:
            who = self._attribution(run_id)
            yield self._ag.ReasoningMessageEndEvent(message_id=thought, **who)
            yield self._ag.ReasoningEndEvent(message_id=thought, **who)

    # Calls and tools.

    def _call(
        self,
        call_id: str,
        event: ToolCallStart | ToolCallDelta | ToolCallReady | ToolCallInvalid,
    ) -> Iterator["BaseEvent"]:
        match event:
            case ToolCallStart():
                yield from self._end_thought(event.run_id)
                self._calls[call_id] = event.name
                self._open_calls[call_id] = event.run_id
                yield self._ag.ToolCallStartEvent(
                    tool_call_id=call_id,
                    tool_call_name=event.name,
                    parent_message_id=event.run_id,
                    **self._who(event),
                )
            case ToolCallDelta():
                yield self._ag.ToolCallArgsEvent(
                    tool_call_id=call_id, delta=event.args, **self._who(event)
                )
            case ToolCallReady():
                yield from self._end_call(call_id, event)
            case ToolCallInvalid():
                self._held.pop(call_id, None)
                yield from self._end_call(call_id, event)
                if call_id not in self._answered:  # a second result were a second message
                    yield from self._result(call_id, event, event.error)

    def _end_call(self, call_id: str, event: ToolEvent) -> Iterator["BaseEvent"]:
        if self._open_calls.pop(call_id, None) is not None:
            yield self._ag.ToolCallEndEvent(tool_call_id=call_id, **self._who(event))
            if (result := self._held.pop(call_id, None)) is not None:
                yield from self._tool(call_id, result)

    def _tool(
        self, call_id: str, event: ToolStart | ToolProgress | ToolFinish | ToolError
    ) -> Iterator["BaseEvent"]:
        match event:
            case ToolStart():
                self._running[event.id] = call_id
                self._held.pop(call_id, None)
                if event.streamed is None:  # no reader may know that it was ready
                    yield from self._end_call(call_id, event)
                yield self._custom(call_id, event, name=event.name, args=event.args)
            case ToolProgress():
                yield self._custom(call_id, event, name=event.name, data=bounded(event.data))
            case ToolFinish() | ToolError() if call_id in self._open_calls:
                self._held[call_id] = event  # its tool read no further
            case ToolFinish():
                yield from self._end_subagent(call_id, None)
                if event.artifact is not None:
                    artifact = bounded(event.artifact)
                    yield self._ag.CustomEvent(
                        name="tool-artifact",
                        value={"toolCallId": call_id, "name": event.name, "artifact": artifact},
                        **self._who(event),
                    )
                content = bounded(event.content)
                text = content if isinstance(content, str) else to_json(content)
                yield from self._result(call_id, event, text)
            case ToolError():
                error = event.error if self._show_errors else HIDDEN
                yield from self._end_subagent(call_id, error)
                yield from self._result(call_id, event, error)

    def _result(self, call_id: str, event: ToolEvent, content: str) -> Iterator["BaseEvent"]:
        """The call's result; what its tool says after that is dropped, unless it starts again."""
        self._answered.add(call_id)
        yield self._ag.ToolCallResultEvent(
            message_id=f"{call_id}:result",
            tool_call_id=call_id,
            content=content,
            role="tool",
            **self._who(event),
        )

    def _custom(self, call_id: str, event: ToolStart | ToolProgress, **said: Any) -> "BaseEvent":
        return self._ag.CustomEvent(
            name=event.type, value={"toolCallId": call_id, **said}, **self._who(event)
        )

    # Subagents.

    def _who(self, event: ToolEvent) -> dict[str, Any]:
        return self._attribution(event.run_id)

    def _attribution(self, run_id: str) -> dict[str, Any]:
        call = self._subagents.get(run_id)
        return {"subagent_run_id": call} if call is not None else {}

    def _end_subagent(self, call: str, error: str | None) -> Iterator["BaseEvent"]:
        if call in self._open_subagents:
            self._open_subagents.discard(call)
            if error is None:
                yield self._ag.SubagentFinishedEvent(subagent_run_id=call)
            else:
                yield self._ag.SubagentErrorEvent(subagent_run_id=call, message=error)
