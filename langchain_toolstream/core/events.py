"""What became known, as values.

Noun first, then `start`, `delta`, `finish`: the words of LangChain's v3 protocol. A delta carries
the piece, never the whole so far. Every event of a call, and of the tool that runs it, carries the
call's id, which is unique in its message and never changes.

`run_id` says which message an event is of, where a stream holds several: models side by side,
turns one after the other. The events of a tool have the `run_id` of the message that called it, so
`(run_id, id)` is one call. It is empty where there is only one message, as in the core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.json import JSONEvent

TOOL_PROGRESS = "tool_progress"
"""The name of the custom event by which a tool tells how far it is. Its data is
`{"tool_call_id": ..., "name": ..., "data": ...}`: which call, which tool, and what it yielded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    type: str
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStart(_Event):
    """A model began its message: the first piece of it came.

    `node` is the LangGraph node that the model runs in, and `namespace` the path of graphs around
    it, empty for the outermost. `parent_call_id` is the call whose tool runs the model, where the
    source tells (`astream_events` v2 does).
    """

    type: Literal["message-start"] = "message-start"
    node: str | None = None
    namespace: tuple[str, ...] = ()
    parent_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(_Event):
    """A piece of the answer's text."""

    type: Literal["text-delta"] = "text-delta"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta(_Event):
    """A piece of the model's thinking."""

    type: Literal["reasoning-delta"] = "reasoning-delta"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStart(_Event):
    """A call began: its name and id are known. `index` counts the message's calls from 0."""

    type: Literal["tool-call-start"] = "tool-call-start"
    id: str
    name: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta(_Event):
    """A piece of the call's arguments as JSON text.

    The pieces of a call join to exactly one JSON object once it has closed; what a parser of the
    server wrote around or behind the object is not in them.
    """

    type: Literal["tool-call-delta"] = "tool-call-delta"
    id: str
    args: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentDelta(_Event):
    """A piece of a string among the arguments, decoded: never half an escape or character."""

    type: Literal["argument-delta"] = "argument-delta"
    id: str
    path: JSONPath
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentFinish(_Event):
    """A value among the arguments, container or not, that will not change any more."""

    type: Literal["argument-finish"] = "argument-finish"
    id: str
    path: JSONPath
    value: Any


@dataclass(slots=True)
class ArgumentEvents:
    """What a piece of the arguments made known, for readers that put the values together.

    All of what `ArgumentDelta` and `ArgumentFinish` say, and where strings, objects and lists
    begin, as `JSONStream` says it. One comes for every piece, so it is made in the cheapest way: a
    frozen one would take longer than reading the piece.
    """

    type: ClassVar[Literal["argument-events"]] = "argument-events"
    id: str
    events: list[JSONEvent]
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallProvisional(_Event):
    """A call whose tool may start to read one string while it is written, and do nothing lasting.

    `args` are all other arguments, complete and valid; `streamed` is the name of the string, `text`
    what has come of it. `ArgumentDelta`s at that path bring the rest, `ToolCallReady` the end, or
    `ToolCallInvalid` takes the call back. Sent only to readers that asked for it.
    """

    type: Literal["tool-call-provisional"] = "tool-call-provisional"
    id: str
    name: str
    args: dict[str, Any]
    streamed: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallReady(_Event):
    """The call may be started now; sent once for every call that is ever to run.

    Either the call is confirmed, or it is closed and may start early (`early` is true) because its
    tool is read-only, or because a later call is being written where the reader asked for that.
    Only an early one can still be taken back, by a `ToolCallInvalid`.

    `double_encoded` says that the arguments were a JSON string that held the object.
    """

    type: Literal["tool-call-ready"] = "tool-call-ready"
    id: str
    name: str
    args: dict[str, Any]
    early: bool
    double_encoded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFinish(_Event):
    """The call is confirmed: the message ended and nothing contradicted the call."""

    type: Literal["tool-call-finish"] = "tool-call-finish"
    id: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallInvalid(_Event):
    """What looked like a call is none, and must not run.

    `args` is the raw argument text, `error` says what is wrong, where, and what may be done.
    `name` is empty when none was written. `revoked` is true when the call had been announced by a
    `ToolCallReady` or a `ToolCallProvisional`: whatever was started for it must be stopped and its
    result dropped.
    """

    type: Literal["tool-call-invalid"] = "tool-call-invalid"
    id: str
    name: str
    args: str
    error: str
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFinish(_Event):
    """The message ended.

    `usage` is the last that the server sent, as it sent it; from `tool_events`, LangChain's
    `UsageMetadata`.
    """

    type: Literal["message-finish"] = "message-finish"
    finish_reason: str | None
    stop_reason: str | int | None = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageError(_Event):
    """The message broke off. None of its calls is confirmed."""

    type: Literal["message-error"] = "message-error"
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStart(_Event):
    """A tool began to run. A call that is tried again starts again, after its `ToolError`.

    A tool that runs without a call has its own run's id as `id` and as `run_id`. `streamed` names
    the argument that the tool reads while it is written, where it started before its call was
    ready; it is not in `args`, and comes as the call's own events do.
    """

    type: Literal["tool-start"] = "tool-start"
    id: str
    name: str
    args: dict[str, Any]
    streamed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress(_Event):
    """A running tool told how far it is, in whatever form its author chose."""

    type: Literal["tool-progress"] = "tool-progress"
    id: str
    name: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinish(_Event):
    """A tool finished.

    `content` is what the model reads: text, content blocks, or whatever a tool returned that makes
    no message. `artifact` is for the application alone.
    """

    type: Literal["tool-finish"] = "tool-finish"
    id: str
    name: str
    content: Any
    artifact: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolError(_Event):
    """A tool failed, or was stopped before it had finished."""

    type: Literal["tool-error"] = "tool-error"
    id: str
    name: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer(_Event):
    """A call was answered, and no tool told of it.

    So end calls that a person rejected, that a guard answered, that name no tool of an agent, and
    structured answers. `status` is `"denied"` where a person said no; `content` is what the model
    reads. `args` are those of a call that an earlier run made; `run_id` is empty then.
    """

    type: Literal["tool-answer"] = "tool-answer"
    id: str
    name: str
    content: Any
    status: Literal["success", "error", "denied"]
    artifact: Any = None
    args: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt(_Event):
    """The run stopped, and waits for a person: one event for each question.

    `id` names the question in the answer, `interrupt_id` is LangGraph's. `call_id`, `name` and
    `args` are those of the call that waits; `call_id` is `None` where something else is asked.
    `allowed` are the kinds of decision that may be given, such as `"approve"` or `"edit"`; it is
    empty where any value is an answer. `value` is what the graph asked with.
    """

    type: Literal["interrupt"] = "interrupt"
    id: str
    interrupt_id: str
    call_id: str | None
    name: str
    args: dict[str, Any]
    message: str
    allowed: tuple[str, ...]
    value: Any
    response_schema: Any = None


CallEvent = (
    ToolCallStart
    | ToolCallDelta
    | ArgumentDelta
    | ArgumentFinish
    | ArgumentEvents
    | ToolCallProvisional
    | ToolCallReady
    | ToolCallFinish
    | ToolCallInvalid
)

Event = TextDelta | ReasoningDelta | CallEvent | MessageFinish

ToolEvent = (
    MessageStart
    | Event
    | MessageError
    | ToolStart
    | ToolProgress
    | ToolFinish
    | ToolError
    | ToolAnswer
    | Interrupt
)
