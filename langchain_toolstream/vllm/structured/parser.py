"""Read a structured answer: text, or the arguments of the one call that was forced.

It is read strictly: what was cut off, is no JSON or does not fit raises `OutputParserException`,
and is never completed to something that parses.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables.utils import AddableDict
from typing_extensions import TypedDict

from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.core.errors import JSONStreamError
from langchain_toolstream.core.json import SLICE, JSONEvent, JSONStream
from langchain_toolstream.core.mark import without_mark
from langchain_toolstream.schema.problems import shown
from langchain_toolstream.streams.steps import MessageStep, Reading
from langchain_toolstream.views.growing_value import Growth
from langchain_toolstream.vllm.errors import VLLMRefusalError
from langchain_toolstream.vllm.structured.constraint import AnswerSchema

_MAX_SHOWN = 200

_MORE = "Raise max_tokens, or ask for less."
_MANY = 20
_BLANKS = (
    "The model wrote white space without end, which JSON allows: start vLLM with "
    """--structured-outputs-config '{"backend": "xgrammar", "disable_any_whitespace": true}'."""
)


_IN_REASONING = (
    "The JSON is in the reasoning: the server's reasoning parser took it for thoughts. Turn the "
    "thinking off (chat_template_kwargs={'enable_thinking': False}), or start vLLM with the "
    "--reasoning-parser that fits the model."
)


class Form(Protocol):
    """What a text becomes while it is written, and when it is complete."""

    def feed(self, text: str) -> list[Any]:
        """Take the next piece.

        Returns:
            What may be shown of the answer now.
        """
        ...

    def close(self) -> list[Any]:
        """Say that the text ended.

        Returns:
            The answer, unless it has been shown already.

        Raises:
            ValueError: The text is not what was asked for.
        """
        ...


class TextForm:
    """Text as it is. Growing, its pieces are shown, which add up to it."""

    def __init__(self, read: Callable[[str], Any], *, grows: bool) -> None:
        self._read = read
        self._grows = grows
        self._pieces: list[str] = []

    def feed(self, text: str) -> list[Any]:
        """Read a piece of text, and return what may be shown."""
        self._pieces.append(text)
        return [text] if self._grows else []

    def close(self) -> list[Any]:
        """End the answer, and return what is left of it."""
        answer = self._read("".join(self._pieces))
        return [] if self._grows and self._pieces else [answer]


class JSONForm:
    """JSON of a schema. Growing, an object is shown each time that more of it is known.

    A dict is shown from its first character on, an object of a class with just the fields that are
    known. Lists and texts are not shown before they are complete: what grows would be added up.
    """

    def __init__(self, schema: AnswerSchema | None, *, grows: bool) -> None:
        self._schema = schema
        self._grows = grows
        self._json = JSONStream(events=grows)
        self._is_class = schema is not None and schema.make is not None
        kind = None if schema is None else schema.kind
        self._growth = Growth(kind, self._json)
        self._shown: list[Any] = []

    def feed(self, text: str) -> list[Any]:
        """Read a piece of text, and return what may be shown."""
        shown: list[Any] = []
        for start in range(0, len(text), SLICE):
            shown = self._feed(text[start : start + SLICE]) or shown
        return shown

    def _feed(self, text: str) -> list[Any]:
        if self._json.error is not None:
            return []  # `close` tells
        try:
            events = self._json.feed(text)
        except JSONStreamError:
            return []
        if not (self._grows and events and isinstance(self._json.value, dict)):
            return []
        self._growth.feed(events)
        if self._is_class and not (self._shown or any(path for _, path, _ in events)):
            return []  # no field is known
        so_far = self._growth.made() if self._is_class else self._growth.value()
        if so_far is None or not (self._grew(events) or self._shown != [so_far]):
            return []
        self._shown = [so_far]
        return self._shown

    def _grew(self, events: list[JSONEvent]) -> bool:
        """Whether more is known for certain, so that nothing needs to be compared."""
        if not self._is_class:
            return any(kind in {"start", "delta"} for kind, _, _ in events)
        return self._growth.shows_text and events[-1][0] == "delta"

    def close(self) -> list[Any]:
        """End the answer, and return what is left of it."""
        self._json.close()
        value = self._json.value
        answer = value if self._schema is None else self._schema.read(value)
        return [] if self._shown == [answer] else [answer]


class AnswerParser(MessageStep):
    """Read the structured answer of `ChatVLLM`.

    Made by `ChatVLLM.with_structured_output`.

    Args:
        form: Makes what reads one answer; with `True`, one that shows it while it grows.
        tool: The tool whose arguments are the answer; without it the text is.
        output_type: What the answer is, as a type.
        include_raw: As for `ChatVLLM.with_structured_output`.
    """

    def __init__(
        self,
        form: Callable[[bool], Form],
        *,
        tool: str | None,
        include_raw: bool,
        output_type: Any = Any,
    ) -> None:
        """Keep how the answer is read."""
        if include_raw:
            parts = {"raw": Any, "parsed": output_type, "parsing_error": Any}
            typed_dict: Any = TypedDict
            output_type = typed_dict("AnswerWithRaw", parts)
        self._output_type = output_type
        self._form = form
        self._tool = tool
        self._include_raw = include_raw

    @property
    def OutputType(self) -> Any:  # noqa: N802 - langchain-core's name
        """What the answer is, as a type."""
        return self._output_type

    def _start(self, *, grows: bool = True) -> "_Reading":
        form = self._form(grows and not self._include_raw)
        return _Reading(form, tool=self._tool, include_raw=self._include_raw)

    def _read(self, message: AIMessage) -> Any:
        reading = self._start(grows=False)
        parts = [*reading.feed(message), *reading.close()]
        if not self._include_raw:
            return parts[0]
        raw, parsed = parts
        return {**raw, **parsed}


class _Reading(Reading[Any]):
    """One answer on its way: the shared core of sync and async, streamed and whole."""

    def __init__(self, form: Form, *, tool: str | None, include_raw: bool) -> None:
        self.trace = AIMessage(content="")
        self._form = form
        self._tool = tool
        self._include_raw = include_raw
        self._pieces: list[str] = []
        self._finish_reason: str | None = None
        self._wrong: list[str] = []
        self._refusal = ""
        self._reasoning: list[str] = []

    def feed(self, message: AIMessage) -> list[Any]:
        metadata = message.response_metadata
        self._refusal += message.additional_kwargs.get("refusal") or ""
        self._finish_reason = metadata.get("finish_reason") or self._finish_reason
        self._reasoning.append(message.additional_kwargs.get("reasoning_content") or "")
        piece = str(message.text) if self._tool is None else self._piece_of_call(message)
        parts = []
        if piece:
            self._pieces.append(piece)
            parts = [] if self._wrong else self._form.feed(piece)
        return [AddableDict(raw=message)] if self._include_raw else parts

    def _piece_of_call(self, message: AIMessage) -> str:
        reasons = message.response_metadata.get("invalid_tool_calls", {})
        self._wrong.extend(reasons.values())
        if isinstance(message, AIMessageChunk):
            parts = [part for part in message.tool_call_chunks if part["index"] == 0]
            for part in parts:
                self._check_name(part["name"])
            return "".join(part["args"] or "" for part in parts)
        for invalid in message.invalid_tool_calls:
            if invalid["id"] not in reasons:
                self._wrong.append(str(invalid["error"]))
            return invalid["args"] or ""
        for call in message.tool_calls:
            self._check_name(call["name"])
            return json.dumps(call["args"])
        return ""

    def _check_name(self, name: str | None) -> None:
        if name and name != self._tool:
            self._wrong.append(f"It is a call of {shown(name)}, and not of {self._tool!r}.")

    def close(self) -> list[Any]:
        """End the answer, and return what is left of it."""
        self.trace.content = "".join(self._pieces)
        if not self._include_raw:
            return self._answer()
        try:
            (parsed,) = self._answer()
        except OutputParserException as error:
            return [AddableDict(parsed=None, parsing_error=error)]
        return [AddableDict(parsed=parsed, parsing_error=None)]

    def _answer(self) -> list[Any]:
        text = "".join(self._pieces)
        if self._refusal:
            raise VLLMRefusalError(self._refusal)
        if self._wrong:
            text = without_mark(text)
        if is_truncating(self._finish_reason):
            what = f"was cut off (finish_reason {self._finish_reason!r})"
            raise _no_answer(what, text, _BLANKS if text[-_MANY:].isspace() else _MORE)
        if self._wrong:
            raise _no_answer("is no valid call", text, " ".join(self._wrong))
        if self._tool is not None and not self._pieces:
            raise _no_answer("is no call", text, "The model called no tool.")
        try:
            return self._form.close()
        except ValueError as error:
            if not text.strip() and "".join(self._reasoning).rstrip().endswith(("}", "]")):
                raise _no_answer("is empty", text, _IN_REASONING) from error
            raise _no_answer("is not what was asked for", text, f"{error}.") from error


def _no_answer(what: str, text: str, why: str) -> OutputParserException:
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return OutputParserException(f"The answer {what}: {shown!r}. {why}", llm_output=text)
