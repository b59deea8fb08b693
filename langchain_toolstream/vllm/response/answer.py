"""One answer of the server on its way to LangChain: the shared core of stream and invoke."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import pydantic_core
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.core.completion import CompletionStream, OnlyChoice
from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
    error_in,
    printable,
)
from langchain_toolstream.core.events import (
    Event,
    MessageFinish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
)
from langchain_toolstream.vllm.errors import VLLMEmptyOutputError
from langchain_toolstream.vllm.response.details import Details, usage_metadata
from langchain_toolstream.vllm.response.left_in_text import LeftInText
from langchain_toolstream.vllm.response.markup import MarkupChunks
from langchain_toolstream.vllm.response.resume import Resumption
from langchain_toolstream.vllm.response.sse import SSEDecoder

_log = logging.getLogger(__name__)

PROVIDER = "vllm"
_DONE = b"[DONE]"
_MAX_STRAY = 500
"""Bytes that are kept of lines that are no part of an event."""
_MAX_NAME_SHOWN = 80
_MAX_REASON_SHOWN = 400

MAX_SILENT_TOKENS = 10
"""Tokens of a choice that may say nothing.

The longest frame around nothing that we know is gpt-oss's, with an empty analysis and an empty
final answer: `<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>
<|return|>`. Others have two to five (an empty `<think>` block, an end of turn). The shortest call
that a parser swallows, `{"name": "f", "arguments": {}}` between its markers, has more.
"""


class AnswerReader:
    """Read the bytes of one answer.

    Args:
        no_parameters: The names of the request's tools that have none, as for `CompletionStream`.
        max_tokens: How many tokens the request allowed, if it said so.
        passed: As for `ToolCallAssembler`.
        hides_reasoning: Whether the request asked to leave the reasoning out.
        several: Whether the request may have asked for more than one choice.
        markup: What reads the calls out of the text, or finds those that the server left there.
        resumption: What makes one answer of several streams, if that may be.

    Attributes:
        done: Whether nothing follows: the server said so, or reported an error.
        received: How many server-sent events have come.
    """

    def __init__(  # noqa: PLR0913 - what is known of the request
        self,
        *,
        no_parameters: Collection[str] = (),
        max_tokens: int | None = None,
        passed: bool = False,
        hides_reasoning: bool = False,
        several: bool = True,
        markup: MarkupChunks | LeftInText | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """Start before the first byte."""
        self._fresh = partial(
            AnswerReader,
            no_parameters=no_parameters,
            max_tokens=max_tokens,
            passed=passed,
            hides_reasoning=hides_reasoning,
            several=several,
            markup=markup,
            resumption=resumption,
        )
        self.done = False
        self._markup = markup
        self._resumption = resumption
        self._hides_reasoning = hides_reasoning
        self.received = 0
        self._aborted = False
        self._error: StreamInterruptedError | None = None
        self._sse = SSEDecoder()
        self._stray = b""
        self._completion = CompletionStream(
            no_parameters=no_parameters, max_tokens=max_tokens, passed=passed
        )
        self._events: dict[int, list[Event]] = {}
        self._details = Details()
        self._only_choice = None if several else OnlyChoice()

    def restart(self) -> None:
        """Forget what has come, to read the answer to another request."""
        vars(self).update(vars(self._fresh()))

    def feed(self, data: bytes) -> list[tuple[int, Event]]:
        """Take the next bytes of an event stream.

        Args:
            data: Any number of bytes.

        Returns:
            What became known, with the index of its choice. When the server reports an error,
            what came before it; `close` then raises.
        """
        return [event for events in self.feed_each(data) for event in events]

    def feed_each(self, data: bytes) -> list[list[tuple[int, Event]]]:
        """Take the next bytes of an event stream, as `feed` does.

        Args:
            data: Any number of bytes.

        Returns:
            What became known by each of the server's events that told anything.
        """
        each: list[list[tuple[int, Event]]] = []
        try:
            for name, payload in self._sse.feed(data):
                if name is None:
                    self._feed_line(payload)
                    continue
                is_object = payload.startswith(b"{")  # nearly all are
                if not is_object and _is_heartbeat(name, payload):
                    continue
                self.received += 1
                self.done = self.done or (not is_object and payload.strip() == _DONE)
                if self.done:
                    break
                if events := self._feed_event(name, payload):
                    each.append(events)
        except StreamInterruptedError as error:
            self._error = error
            self.done = True
        return each

    def _feed_event(self, name: str, payload: bytes) -> list[tuple[int, Event]]:
        if name == "error":
            raise ServerStreamError.from_event(_said(payload))
        return self._feed_chunk(_object(payload))

    def _feed_line(self, line: bytes) -> None:
        """Take a line that is no field of an event: an error, where the answer has no end yet."""
        is_error = line.startswith(b"error:")
        said = _said(line.removeprefix(b"error:"))
        if (is_error or error_in(said) is not None) and not self._completion.finish_reasons:
            raise ServerStreamError.from_event(said)
        if len(self._stray) < _MAX_STRAY:
            self._stray += line[: _MAX_STRAY - len(self._stray)].strip() + b"\n"

    def feed_body(self, body: bytes) -> list[tuple[int, Event]]:
        """Take a whole answer that is not streamed.

        Args:
            body: JSON.
        """
        return self._feed_chunk(_object(body))

    def _feed_chunk(self, chunk: Mapping[str, Any]) -> list[tuple[int, Event]]:
        if self._resumption is not None:
            return self._feed_one_of_several(chunk, self._resumption)
        chunks = [chunk] if self._only_choice is None else self._only_choice.feed(chunk)
        return self._read(chunks)

    def _feed_one_of_several(
        self, chunk: Mapping[str, Any], streams: Resumption
    ) -> list[tuple[int, Event]]:
        """Take a chunk of an answer that may come in several streams."""
        events: list[tuple[int, Event]] = []
        for one in streams.feed(chunk):
            events += self._read(
                [one] if self._only_choice is None else self._only_choice.feed(one)
            )
        self.done = self.done or streams.stopped
        return events

    @property
    def is_glued(self) -> bool:
        """Whether the stream went on with another answer."""
        return isinstance(self._error, IncompleteStreamError)

    def reopen(self, *, kept: int) -> None:
        """Read on in another stream.

        Args:
            kept: How many tokens of the answer stay.
        """
        self.done = False
        self._error = None
        self._sse = SSEDecoder()
        self._stray = b""
        self._details.keep(kept)

    def _read(self, chunks: Iterable[Mapping[str, Any]]) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        for chunk in chunks:
            if self._markup is not None:
                chunk = self._markup.feed(chunk)  # noqa: PLW2901
                if self._markup.done:
                    self._markup = None
            self._details.feed(chunk)
            events += self._keep(self._completion.feed(chunk))
        return events

    @property
    def begun(self) -> bool:
        """Whether anything of an answer came: choices, if only an empty list, or an error."""
        return self._completion.begun or self._error is not None

    def close(self) -> list[tuple[int, Event]]:
        """Say that the answer ended.

        Raises:
            StreamInterruptedError: It is not complete.
            VLLMEmptyOutputError: The server lost all of it.
        """
        if self._error is not None:
            raise self._error
        events: list[tuple[int, Event]] = []
        if self._resumption is not None:
            events += self._read(self._resumption.rest())
        events += [] if self._only_choice is None else self._read(self._only_choice.close())
        try:
            events += self._keep(self._completion.close())
        except IncompleteStreamError as error:
            if stray := self._stray.strip():
                raise ServerStreamError(stray.decode(errors="replace")) from error
            raise
        if 0 not in self._events:
            msg = f"The answer has no choice 0, which is the one that is read: {[*self._events]}."
            raise IncompleteStreamError(msg)
        self._check_output()
        return events

    def _check_output(self) -> None:
        """Tell an answer that a parser of the server swallowed from one that is just empty.

        There is no sign of it but the number of tokens, so what could explain them otherwise makes
        it no error: an answer that was cut (its finish reason says so), a stop string, behind
        which text is hidden, a refusal, and reasoning, shown, counted or asked to be left out.
        Usage is that of all choices, and so all of them have to be empty. White space may be the
        whole answer, but has no more tokens than bytes.
        """
        usage = usage_metadata(self._completion.usage)
        refused = any(map(self._details.refusal, self._events))
        if usage is None or self._hides_reasoning or refused:
            return
        tokens = usage["output_tokens"]
        silent = tokens - usage.get("output_token_details", {}).get("reasoning", 0)
        for event in chain.from_iterable(self._events.values()):
            match event:
                case TextDelta() if event.text.isspace():
                    silent -= len(event.text.encode())
                case MessageFinish() if not is_truncating(event.finish_reason):
                    if isinstance(event.stop_reason, str):
                        return
                case _:
                    return
        if silent > MAX_SILENT_TOKENS * len(self._events):
            raise VLLMEmptyOutputError(tokens, self._completion.finish_reasons[0])

    def refusal(self) -> str:
        """Why the model does not answer in the first choice, if it says so."""
        return self._details.refusal(0)

    def abort(self, reason: str) -> AIMessage:
        """Say that the answer was interrupted.

        Args:
            reason: What happened.

        Returns:
            What had come, with all calls among the invalid ones.
        """
        self._aborted = True  # the exception says it
        self._keep(self._completion.abort(reason))
        message = self._message([_unconfirmed(event, reason) for event in self._events.get(0, [])])
        message.usage_metadata = usage_metadata(self._completion.usage)
        message.response_metadata |= self.info(0, None)
        return message

    def _keep(self, events: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
        for choice, event in events:
            if not isinstance(event, ToolCallDelta):  # how a call ends says all of it again
                self._events.setdefault(choice, []).append(event)
            if isinstance(event, ToolCallInvalid) and not self._aborted:
                _warn(event)
        return events

    @property
    def cut_by(self) -> str | None:
        """The finish reason of the first choice, as soon as one came that says it was cut."""
        reason = self._completion.finish_reasons.get(0)
        return reason if is_truncating(reason) else None

    def info(self, choice: int, finish: MessageFinish | None) -> dict[str, Any]:
        """What LangChain's `generation_info` holds at the end of a message.

        Args:
            choice: The index of the message.
            finish: Its end.
        """
        info = self._details.of(choice)
        if self._resumption is not None and self._resumption.resumes:
            info["resumes"] = self._resumption.resumes
        if self._completion.usage is not None:
            info["token_usage"] = dict(self._completion.usage)
        if finish is not None:
            info["finish_reason"] = finish.finish_reason
            if finish.stop_reason is not None:
                info["stop_reason"] = finish.stop_reason
        return info

    def result(self) -> ChatResult:
        """Make the result of a finished answer, in time linear in its length.

        Returns:
            A generation for every choice; each message has the error of each invalid call.
        """
        usage = self._completion.usage
        generations: list[ChatGeneration] = []
        for choice, events in sorted(self._events.items()):
            message = self._message(events)
            if not generations:  # the usage is that of all choices
                message.usage_metadata = usage_metadata(usage)
            info = self.info(choice, _finish(events))
            if refusal := self._details.refusal(choice):
                message.additional_kwargs["refusal"] = refusal
            if invalid := {e.id: e.error for e in events if isinstance(e, ToolCallInvalid)}:
                info["invalid_tool_calls"] = invalid
            generations.append(ChatGeneration(message=message, generation_info=info))
        output = {"token_usage": dict(usage)} if usage is not None else {}
        return ChatResult(generations=generations, llm_output=output)

    @staticmethod
    def _message(events: list[Event]) -> AIMessage:
        reasoning = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
        return AIMessage(
            content="".join(e.text for e in events if isinstance(e, TextDelta)),
            additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
            tool_calls=[
                tool_call(name=e.name, args=e.args, id=e.id)
                for e in events
                if isinstance(e, ToolCallFinish)
            ],
            invalid_tool_calls=[
                invalid_tool_call(name=e.name, args=e.args, id=e.id, error=e.error)
                for e in events
                if isinstance(e, ToolCallInvalid)
            ],
            response_metadata={"model_provider": PROVIDER},
        )


def _warn(call: ToolCallInvalid) -> None:
    _log.warning(
        "The call %s (id %s) is invalid and does not run. %s In an agent, the middleware "
        "EagerToolMiddleware() answers such calls, so that the model can call again; without it, "
        "an agent ends here if the message has no other call.",
        printable(repr(call.name), _MAX_NAME_SHOWN),
        printable(repr(call.id), _MAX_NAME_SHOWN),
        printable(call.error, _MAX_REASON_SHOWN),
    )


def _unconfirmed(event: Event, reason: str) -> Event:
    if not isinstance(event, ToolCallFinish):
        return event
    args = json.dumps(event.args, ensure_ascii=False)
    return ToolCallInvalid(id=event.id, name=event.name, args=args, error=reason, revoked=True)


def _finish(events: list[Event]) -> MessageFinish | None:
    return next((event for event in events if isinstance(event, MessageFinish)), None)


def _is_heartbeat(name: str, payload: bytes) -> bool:
    """Whether an event only says that the server is there: no data, or text under a name."""
    if not payload or payload.isspace():
        return name != "error"
    if name in ("message", "error"):
        return False
    payload = payload.lstrip()
    return not payload.startswith(b"{") and not payload.startswith(_DONE)


def _said(payload: bytes) -> Any:
    """What an error says: JSON where it is JSON, else the text."""
    try:
        return _object(payload)
    except ServerStreamError:
        return payload.decode(errors="replace").strip()


def _object(payload: bytes) -> dict[str, Any]:
    try:
        chunk = pydantic_core.from_json(payload)
    except ValueError:
        chunk = _lenient(payload)
    if isinstance(chunk, dict):
        return chunk
    msg = f"it sent an event that is no JSON object: {payload[:80]!r}"
    raise ServerStreamError(msg)


_MAX_DEPTH = 200
"""Levels of JSON, as many as pydantic-core reads. What a server says has about ten."""


def _lenient(payload: bytes) -> Any:
    """The standard library also reads a surrogate whose other half is in the next event."""
    try:
        chunk = json.loads(payload)
    except (ValueError, RecursionError) as error:
        kind = "nested too deeply" if isinstance(error, RecursionError) else "no JSON"
        msg = f"it sent an event that is {kind}: {payload[:80]!r}"
        raise ServerStreamError(msg) from error
    level = [chunk]
    for _ in range(_MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        msg = f"it sent an event that is nested too deeply: {payload[:80]!r}"
        raise ServerStreamError(msg)
    return chunk


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
