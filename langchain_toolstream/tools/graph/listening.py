"""How we hear what a model writes: by a callback handler.

A handler in the configuration under which a model is called gets every chunk. That it has the two
methods of langchain-core's streaming handlers makes `invoke` stream. Nothing of the model, its
chunks or its message is changed.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, GenerationChunk, LLMResult

from langchain_toolstream.core.call import ToolSpec
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.parsers.tool_stream import Call, MessageReading
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.tools.graph.early import EagerTool, EarlyCalls
from langchain_toolstream.tools.graph.invalid import is_invalid

T = TypeVar("T")


class _Spec:
    """A tool as the call rules see it here.

    Arguments are not validated: ToolNode does that, and its answer to arguments that do not fit is
    as good as ours.
    """

    streamed = None  # ToolNode has whole arguments

    def __init__(self, schema: ToolSchema | None = None) -> None:
        self.read_only = schema is not None and schema.read_only
        self.takes_arguments = schema is None or schema.takes_arguments

    def validate(self, args: dict[str, Any]) -> str | None:
        del args
        return None


class _Specs(dict[str, ToolSpec]):
    """The tools by name.

    Other names pass too: a structured answer's, or one that ToolNode has an answer to.
    """

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, default) or _Spec()


class Listener(BaseCallbackHandler):
    """Reads the messages of the models that are called for one request.

    Mostly that is one model, once. Middleware between us and the model may call it again; then what
    was started for an earlier message is stopped when a later one begins. It may also ask another
    model: no tool is started for that one's message.

    Args:
        schemas: The tools by name, and who of them is read-only.
        eager: Those whose calls may be started early, by name.
        early: Where they are started.
        checkpoint_ns: The place of the model's node in the graph: models that are called at another
            one are a subagent's.
        is_answer: Says, when a model begins, whether its message is the answer to the request.

    Attributes:
        last: What was read of the last answer.
    """

    run_inline = True  # in the model's own thread or task, before it goes on

    def __init__(
        self,
        schemas: Mapping[str, ToolSchema],
        eager: Mapping[str, EagerTool],
        early: EarlyCalls,
        checkpoint_ns: str | None,
        is_answer: Callable[[], bool] = lambda: True,
    ) -> None:
        """Start before the first message."""
        self._heard: dict[str | None, Heard] = {}
        self.last = Heard((), None)
        self._is_answer = is_answer
        self._schemas = schemas
        self._specs = _Specs({name: _Spec(schema) for name, schema in schemas.items()})
        self._eager = eager
        self._early = early
        self._checkpoint_ns = checkpoint_ns
        self._messages: dict[UUID, _Message] = {}
        self._ended: list[UUID] = []

    @property
    def may_start(self) -> bool:
        """Whether there is a tool that may be started."""
        return bool(self._eager)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a message."""
        del serialized, messages, kwargs
        if (metadata or {}).get("langgraph_checkpoint_ns") != self._checkpoint_ns:
            return
        is_answer = self._is_answer()
        if is_answer:
            for ended in self._ended:
                self._early.cancel_written_by(ended)
        self._messages[run_id] = _Message(MessageReading(self._specs, "emit"), is_answer)

    def heard_of(self, message: BaseMessage) -> "Heard":
        """What was read of a message, else of the last one that answered the request.

        Args:
            message: A message that a model wrote, perhaps changed since.
        """
        return self._heard.get(message.id, self.last) if message.id else self.last

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Read a chunk."""
        del token, kwargs
        message = self._messages.get(run_id)
        if message is not None and isinstance(chunk, ChatGenerationChunk):
            self._handle(message, message.feed(_told_of_its_end(chunk), by="chunks"), run_id)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Read an event of the v3 protocol, which models are run by where a reader wants that."""
        del kwargs
        if message := self._messages.get(run_id):
            for chunk in message.events.feed(event):
                self._handle(message, message.feed(chunk, by="events"), run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Judge the message."""
        del kwargs
        if message := self._messages.pop(run_id, None):
            self._ended.append(run_id)
            generation, broken = response.generations[0][0], None
            whole = generation.message if isinstance(generation, ChatGeneration) else None
            if message.by is None and whole is not None:
                message.feed(whole, by="chunks")
            try:
                message.close()
            except IncompleteStreamError as error:
                broken = error
                self._early.cancel_written_by(run_id)
            heard = Heard(tuple(message.calls.values()), broken)
            self._heard[whole.id if whole is not None else None] = heard
            if message.is_answer:
                self.last = heard
                for call in filter(is_invalid, heard.calls):
                    self._early.cancel(call["id"])

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Stop what was started: the message is not coming."""
        del error, kwargs
        if self._messages.pop(run_id, None):
            self._early.cancel_written_by(run_id)

    def _handle(self, message: "_Message", calls: list[Call], run_id: UUID) -> None:
        for call in calls if message.is_answer else ():
            if is_invalid(call):
                self._early.cancel(call["id"])
            else:
                self._start(cast("ToolCall", call), run_id)

    def _start(self, call: ToolCall, run_id: UUID) -> None:
        name = call["name"]
        if (tool := self._eager.get(name)) is None:
            return
        args = {key: value for key, value in call["args"].items() if key not in tool.injected}
        if self._schemas[name].validate(args) is None:
            self._early.start(call, tool, written_by=run_id)


def _told_of_its_end(chunk: ChatGenerationChunk) -> BaseMessage:
    """The chunk's message with what its generation says, such as the finish reason.

    langchain-core puts that into the message, but not yet where a model itself reports its chunks.
    """
    message, info = chunk.message, chunk.generation_info
    if not info or info.keys() <= message.response_metadata.keys():
        return message
    return message.model_copy(update={"response_metadata": {**info, **message.response_metadata}})


class StreamingListener(Listener):
    """A listener that makes the model stream, unless it is told not to."""

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[T]) -> AsyncIterator[T]:
        """Leave what other runnables yield alone."""
        del run_id
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[T]) -> Iterator[T]:
        """Leave what other runnables yield alone."""
        del run_id
        return output


class Heard(NamedTuple):
    """What was read of one message, and why that is not all of it."""

    calls: tuple[Call, ...]
    error: IncompleteStreamError | None


class _Message:
    """One message that is being read."""

    def __init__(self, reading: MessageReading, is_answer: bool) -> None:  # noqa: FBT001
        self.reading = reading
        self.is_answer = is_answer
        self.events = _ChunksOfEvents()
        self.calls: dict[str | None, Call] = {}
        self.by: Literal["chunks", "events"] | None = None

    def feed(self, chunk: BaseMessage, *, by: Literal["chunks", "events"]) -> list[Call]:
        """Read either chunks or events: some models report both."""
        self.by = self.by or by
        if self.by != by:
            return []
        return self._take(self.reading.feed(chunk))

    def close(self) -> None:
        self._take(self.reading.close())

    def _take(self, batches: Iterable[list[Call]]) -> list[Call]:
        taken = [call for calls in batches for call in calls]
        self.calls.update((call["id"], call) for call in taken)  # the last word counts
        return taken


class _ChunksOfEvents:
    """Makes chunks of the events of the v3 protocol.

    A chunk that says that the message was cut says it with its last words; as events they come
    apart. So the newest fragment is held back until it is known not to be the last.
    """

    def __init__(self) -> None:
        self._held: list[AIMessageChunk] = []
        self._written: set[int] = set()

    def feed(self, event: Any) -> list[AIMessageChunk]:
        kind = event.get("event")
        if kind == "message-finish":
            metadata = event.get("metadata") or {}
            *others, last = self._held or [AIMessageChunk(content="")]
            return [*others, last.model_copy(update={"response_metadata": dict(metadata)})]
        index = event.get("index")
        block = event.get("delta" if kind == "content-block-delta" else "content") or {}
        if kind not in _KINDS or not isinstance(index, int):
            return []
        released, args = [], block.get("args")
        if kind != "content-block-finish":
            released, self._held = self._held, []
        elif block.get("type") != "tool_call" or index in self._written:
            return []  # all of it has come in pieces
        if args:
            self._written.add(index)
            args = args if isinstance(args, str) else json.dumps(args)
        if block.get("type") in _CALL_TYPES:
            part = tool_call_chunk(
                name=block.get("name"), args=args or None, id=block.get("id"), index=index
            )
            self._held.append(AIMessageChunk(content="", tool_call_chunks=[part]))
        return released


_KINDS = frozenset({"content-block-start", "content-block-delta", "content-block-finish"})
_CALL_TYPES = frozenset({"tool_call_chunk", "tool-call-delta", "tool_call"})
