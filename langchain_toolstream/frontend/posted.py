"""What a browser posts of a conversation, as LangChain's messages.

A browser owns what it posts, so all of it is checked: nothing in it is run, and a history that no
agent can have made is an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_toolstream.frontend.files import KINDS, is_base64, mark_of, with_file
from langchain_toolstream.frontend.write import UNANSWERED, as_text
from langchain_toolstream.json_values import InvalidJSONError, read_json, to_json, without_halves

MAX_TEXT = 1_000_000
"""Characters of one text of a posted history, and of the JSON of one value."""

MAX_NAME = 1000
"""Characters of an id or a name."""

_QUOTED = 80


class HistoryError(ValueError):
    """A posted history that cannot be read. Its message may be shown to whoever sent it: a 4xx."""


def read_history(posted: Any) -> list[BaseMessage]:
    """Turn the messages that a front end posted into LangChain's.

    With a checkpointer, use only what is new in them, such as the last message of the user: the
    graph has the others.

    Args:
        posted: The body that `useChat` posts, AG-UI's `RunAgentInput` (or its JSON), or the list
            of messages in one of these.

    Returns:
        The messages. A call that waits for a person has no result; one that the user has passed
        over by a new message has one that says so, as providers want it.

    Raises:
        HistoryError: A message has no known role or form, a text is longer than a million
            characters, two calls have one id, or a result belongs to no call.

    Example:
        ```python
        from langchain_toolstream import read_history

        part = {"type": "text", "text": "What is 3 * 12?"}
        (message,) = read_history({"messages": [{"role": "user", "parts": [part]}]})
        assert message.text == "What is 3 * 12?"
        ```
    """
    if hasattr(posted, "model_dump"):
        posted = posted.model_dump(by_alias=True, exclude_none=True)
    messages = posted.get("messages") if isinstance(posted, Mapping) else posted
    if not isinstance(messages, list):
        msg = "Expected a list of messages."
        raise HistoryError(msg)
    reader = _Reader()
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            msg = f"Message {number} is not an object."
            raise HistoryError(msg)
        reader.add(message, number)
    return reader.read


class _Reader:
    def __init__(self) -> None:
        self.read: list[BaseMessage] = []
        self._open: dict[str, None] = {}  # the calls without a result, in order
        self._calls: set[str] = set()
        self._thoughts: list[dict[str, Any]] = []  # AG-UI has them before their message
        # The AI SDK's files of results, by their marks. And links that results have too.
        self._files: dict[str, str] = {}
        self._links: set[str] = set()

    def add(self, message: Mapping[str, Any], number: int) -> None:
        role, parts = message.get("role"), message.get("parts")
        given = message.get("id")
        name = given if _is_name(given) else None
        if role == "assistant":
            if parts is None:
                self._ag_ui_answer(message, name)
            else:
                self._ai_sdk_answer(_objects(parts, "parts"), name)
        elif role in ("user", "system", "developer"):
            given = message.get("content") if parts is None else parts
            blocks = [_text(given)] if isinstance(given, str) else [*_blocks(given)]
            content = _joined(blocks)
            if role == "user":
                self._give_up()
                self.read.append(HumanMessage(cast("Any", content), id=name))
            else:
                text = "".join(one.get("text", "") for one in blocks)
                self.read.append(SystemMessage(text, id=name))
        elif role == "tool":
            error = message.get("error")
            said = error if isinstance(error, str) else message.get("content")
            shown: Any = None
            if isinstance(said, list):  # parts; those of the artifact are not for the model
                parts_of = _objects(said, "the content of a result")
                said = [*_blocks([one for one in parts_of if not _is_artifact(one)])]
                artifacts = [*_blocks([one for one in parts_of if _is_artifact(one)])]
                shown = artifacts[0] if len(artifacts) == 1 else artifacts or None
            is_error = error is not None
            self._result(
                message.get("toolCallId"), said, artifact=shown, is_error=is_error, name=name
            )
        elif role == "reasoning":
            thought = _text(message.get("content"))["text"]
            self._thoughts.append({"type": "reasoning", "reasoning": thought})
        elif role != "activity":  # which is for the page alone
            msg = f"Message {number} has the unknown role {_quoted(role)}."
            raise HistoryError(msg)

    # AG-UI.

    def _ag_ui_answer(self, message: Mapping[str, Any], name: str | None) -> None:
        blocks, self._thoughts = self._thoughts, []
        if content := message.get("content"):
            blocks.append(_text(content))
        good: list[Any] = []
        bad: list[Any] = []
        for call in _objects(message.get("toolCalls") or [], "toolCalls"):
            function = call.get("function")
            function = function if isinstance(function, Mapping) else {}
            written = _text(function.get("arguments") or "")["text"]
            self._call(call.get("id"), function.get("name"), _object(written), good, bad)
        self._answer(blocks, good, bad, name)

    # The AI SDK.

    def _ai_sdk_answer(self, parts: list[Mapping[str, Any]], name: str | None) -> None:
        """One message of the assistant is a whole run: each step is a message of the model."""
        self._collect(parts)
        steps: list[list[Mapping[str, Any]]] = [[]]
        for part in parts:
            if part.get("type") == "step-start":
                steps.append([])
            else:
                steps[-1].append(part)
        for number, step in enumerate(one for one in steps if one):
            self._step(step, name if name is None or not number else f"{name}:{number}")

    def _step(self, parts: list[Mapping[str, Any]], name: str | None) -> None:
        blocks: list[dict[str, Any]] = []
        good: list[Any] = []
        bad: list[Any] = []
        results: list[Mapping[str, Any]] = []
        for part in parts:
            kind = str(part.get("type"))
            if kind == "reasoning":
                blocks.append({"type": "reasoning", "reasoning": _text(part.get("text"))["text"]})
            elif kind == "file" and self._is_of_result(part):
                continue
            elif kind in ("text", "file"):
                blocks += _blocks([part])
            elif kind.startswith("tool-") or kind == "dynamic-tool":
                if part.get("state") == "input-streaming":
                    continue  # half a call
                tool = part.get("toolName") if kind == "dynamic-tool" else kind[len("tool-") :]
                args = part.get("input")
                args = part.get("rawInput") if args is None else args
                self._call(part.get("toolCallId"), tool, args, good, bad)
                results.append(part)
        self._answer(blocks, good, bad, name)
        for part in results:
            self._output(part)

    def _collect(self, parts: list[Mapping[str, Any]]) -> None:
        """Find the files of results, which are parts beside those of the calls."""
        self._files.clear()
        self._links.clear()
        for part in parts:
            mark, data = mark_of(part.get("url"))
            if mark and is_base64(data):
                self._files[mark] = data
            if isinstance(output := part.get("output"), Mapping):
                for value in output.values():
                    for block in value if isinstance(value, list) else [value]:
                        if isinstance(block, Mapping) and isinstance(block.get("url"), str):
                            self._links.add(block["url"])

    def _is_of_result(self, part: Mapping[str, Any]) -> bool:
        return bool(mark_of(part.get("url"))[0]) or part.get("url") in self._links

    def _with_files(self, call_id: Any, field: str, value: Any) -> Any:
        for place in range(len(value) if isinstance(value, list) else 1):
            if (data := self._files.get(f"{field} {place} {call_id}")) is not None:
                value = with_file(value, place, data)
        return value

    def _output(self, part: Mapping[str, Any]) -> None:
        call_id, state = part.get("toolCallId"), part.get("state")
        if state == "output-available" and not part.get("preliminary"):
            output = part.get("output")
            if isinstance(output, Mapping) and set(output) in (
                {"content"},
                {"content", "artifact"},
            ):
                content = self._with_files(call_id, "content", output["content"])
                artifact = self._with_files(call_id, "artifact", output.get("artifact"))
                self._result(call_id, content, artifact=artifact)
            else:
                self._result(call_id, output)
        elif state == "output-error":
            self._result(call_id, part.get("errorText") or "", is_error=True)
        elif state == "output-denied":
            approval = part.get("approval")
            reason = approval.get("reason") if isinstance(approval, Mapping) else None
            self._result(call_id, reason or "The user said no.", is_error=True, is_denied=True)

    # Both.

    def _give_up(self) -> None:
        """The user went on to something else: calls that waited get no result any more."""
        for call_id in [*self._open]:
            self._result(call_id, UNANSWERED, is_error=True)

    def _call(self, call_id: Any, tool: Any, args: Any, good: list[Any], bad: list[Any]) -> None:
        if not _is_name(call_id) or call_id in self._calls:
            msg = f"A call has no id, or one that another has: {_quoted(call_id)}."
            raise HistoryError(msg)
        if not _is_name(tool):
            msg = f"The call {_quoted(call_id)} names no tool."
            raise HistoryError(msg)
        if _size(args) > MAX_TEXT:
            msg = f"The call {_quoted(call_id)} has more than {MAX_TEXT} characters of arguments."
            raise HistoryError(msg)
        self._calls.add(call_id)
        self._open[call_id] = None
        if isinstance(args, Mapping):
            good.append(tool_call(name=tool, args=dict(args), id=call_id))
        else:
            written = args if isinstance(args, str) else to_json(args)
            bad.append(invalid_tool_call(name=tool, args=written, id=call_id, error=None))

    def _answer(
        self, blocks: list[dict[str, Any]], good: list[Any], bad: list[Any], name: str | None
    ) -> None:
        if blocks or good or bad:
            content: Any = _joined(blocks)
            self.read.append(AIMessage(content, tool_calls=good, invalid_tool_calls=bad, id=name))

    def _result(  # noqa: PLR0913 - what a result has
        self,
        call_id: Any,
        content: Any,
        *,
        artifact: Any = None,
        is_error: bool = False,
        is_denied: bool = False,
        name: str | None = None,
    ) -> None:
        if not isinstance(call_id, str) or call_id not in self._open:
            msg = f"A result belongs to no call, or to one that has a result: {_quoted(call_id)}."
            raise HistoryError(msg)
        del self._open[call_id]
        decided = {"lc_source": "hitl_interrupt_decision", "lc_data": {"decision": "reject"}}
        self.read.append(
            ToolMessage(
                _content(content),
                tool_call_id=call_id,
                artifact=artifact,
                status="error" if is_error else "success",
                additional_kwargs=decided if is_denied else {},
                id=name,
            )
        )


def _content(value: Any) -> Any:
    """What the model reads of a result: text, or blocks where some are files."""
    blocks = value if isinstance(value, list) else []
    if blocks and all(isinstance(one, Mapping) for one in blocks):
        kinds = {one.get("type") for one in blocks}
        if kinds <= {"text", "file", *KINDS} and kinds != {"text"}:
            return [
                _text(one.get("text")) if one.get("type") == "text" else _checked(one)
                for one in blocks
            ]
    if _size(value) > MAX_TEXT:
        msg = f"A result has more than {MAX_TEXT} characters."
        raise HistoryError(msg)
    return _text(as_text(value))["text"]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(to_json(value))


def _checked(block: Mapping[str, Any]) -> dict[str, Any]:
    """A content block of a file, with nothing that is not checked."""
    mime, data = block.get("mime_type"), block.get("base64")
    return _file(block.get("url") if data is None else f"data:;base64,{data}", mime)


def _is_artifact(part: Mapping[str, Any]) -> bool:
    metadata = part.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("artifact") is True


def _text(value: Any) -> dict[str, Any]:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        msg = f"Expected a text of at most {MAX_TEXT} characters, got {type(value).__name__}."
        raise HistoryError(msg)
    return {"type": "text", "text": without_halves(value)}


def _joined(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if all(one["type"] == "text" for one in blocks):
        return "".join(one["text"] for one in blocks)
    return blocks


def _object(written: str) -> Any:
    try:
        value = read_json(written) if written.strip() else {}
    except InvalidJSONError:
        return written
    return value if isinstance(value, dict) else written


def _objects(value: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        msg = f"Expected a list of objects as {what}."
        raise HistoryError(msg)
    return value


def _blocks(value: Any) -> Iterator[dict[str, Any]]:
    """LangChain's blocks for what a user wrote, showed or attached."""
    for part in _objects(value, "the content of a message"):
        kind, source = str(part.get("type")), part.get("source")
        if kind == "text":
            yield _text(part.get("text"))
        elif kind == "file":
            yield _file(part.get("url"), part.get("mediaType"))
        elif kind in (*KINDS, "document") and isinstance(source, Mapping):
            mime, given = source.get("mimeType"), source.get("value")
            is_data = source.get("type") == "data"
            yield _file(f"data:{mime};base64,{given}" if is_data else given, mime)


def _file(url: Any, media_type: Any) -> dict[str, Any]:
    mime = media_type if isinstance(media_type, str) else "application/octet-stream"
    kind = mime.partition("/")[0]
    block: dict[str, Any] = {"type": kind if kind in KINDS else "file", "mime_type": mime[:100]}
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        return {**block, "url": url}
    head, _, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not (head.startswith("data:") and head.endswith(";base64") and is_base64(data)):
        msg = "A file has to have an http(s) URL, or its data in base64."
        raise HistoryError(msg)
    return {**block, "base64": data}


def _quoted(value: Any) -> str:
    return repr(value[:_QUOTED]) if isinstance(value, str) else type(value).__name__
