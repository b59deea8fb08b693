"""Conversations between front ends and LangChain: what a browser posts, and what it shows again.

A browser owns what it posts, so all of it is checked: nothing in it is run, and a history that no
agent can have made is an error.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_toolstream.core.events import Interrupt
from langchain_toolstream.frontend.write import HIDDEN, approval_data, as_text
from langchain_toolstream.json_values import (
    InvalidJSONError,
    bounded,
    read_json,
    to_json,
    without_halves,
)
from langchain_toolstream.streams.interrupts import is_denied, questions

MAX_TEXT = 1_000_000
"""Characters of one text of a posted history."""

_QUOTED = 80
_KINDS = ("image", "audio", "video")
_HAS_APPROVALS = 6  # the first version of `ai` that knows them


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
        The messages. A call that waits for a person has no result.

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
        self._open: set[str] = set()  # the calls without a result
        self._calls: set[str] = set()
        self._thoughts: list[dict[str, Any]] = []  # AG-UI has them before their message

    def add(self, message: Mapping[str, Any], number: int) -> None:
        role, parts = message.get("role"), message.get("parts")
        name = message.get("id") if isinstance(message.get("id"), str) else None
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
                self.read.append(HumanMessage(cast("Any", content), id=name))
            else:
                text = "".join(one.get("text", "") for one in blocks)
                self.read.append(SystemMessage(text, id=name))
        elif role == "tool":
            error = message.get("error")
            said = error if isinstance(error, str) else message.get("content")
            self._result(message.get("toolCallId"), said, is_error=error is not None, name=name)
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

    def _output(self, part: Mapping[str, Any]) -> None:
        call_id, state = part.get("toolCallId"), part.get("state")
        if state == "output-available" and not part.get("preliminary"):
            output = part.get("output")
            if isinstance(output, Mapping) and set(output) in (
                {"content"},
                {"content", "artifact"},
            ):
                self._result(call_id, output["content"], artifact=output.get("artifact"))
            else:
                self._result(call_id, output)
        elif state == "output-error":
            self._result(call_id, part.get("errorText") or "", is_error=True)
        elif state == "output-denied":
            approval = part.get("approval")
            reason = approval.get("reason") if isinstance(approval, Mapping) else None
            self._result(call_id, reason or "The user said no.", is_error=True, is_denied=True)

    # Both.

    def _call(self, call_id: Any, tool: Any, args: Any, good: list[Any], bad: list[Any]) -> None:
        if not isinstance(call_id, str) or not call_id or call_id in self._calls:
            msg = f"A call has no id, or one that another has: {_quoted(call_id)}."
            raise HistoryError(msg)
        if not isinstance(tool, str):
            msg = f"The call {_quoted(call_id)} names no tool."
            raise HistoryError(msg)
        self._calls.add(call_id)
        self._open.add(call_id)
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
        self._open.discard(call_id)
        decided = {"lc_source": "hitl_interrupt_decision", "lc_data": {"decision": "reject"}}
        self.read.append(
            ToolMessage(
                _text(as_text(content))["text"],
                tool_call_id=call_id,
                artifact=artifact,
                status="error" if is_error else "success",
                additional_kwargs=decided if is_denied else {},
                id=name,
            )
        )


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
        elif kind in (*_KINDS, "document") and isinstance(source, Mapping):
            mime, given = source.get("mimeType"), source.get("value")
            is_data = source.get("type") == "data"
            yield _file(f"data:{mime};base64,{given}" if is_data else given, mime)


def _file(url: Any, media_type: Any) -> dict[str, Any]:
    mime = media_type if isinstance(media_type, str) else "application/octet-stream"
    kind = mime.partition("/")[0]
    block: dict[str, Any] = {"type": kind if kind in _KINDS else "file", "mime_type": mime[:100]}
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        return {**block, "url": url}
    head, _, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not (head.startswith("data:") and head.endswith(";base64") and _is_base64(data)):
        msg = "A file has to have an http(s) URL, or its data in base64."
        raise HistoryError(msg)
    return {**block, "base64": data}


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _quoted(value: Any) -> str:
    return repr(value[:_QUOTED]) if isinstance(value, str) else type(value).__name__


def ai_sdk_messages(
    messages: Sequence[BaseMessage],
    *,
    interrupts: Iterable[Any] = (),
    client: Literal[5, 6, 7] = 5,
    show_errors: bool = False,
) -> list[dict[str, Any]]:
    """Turn stored messages into the `UIMessage`s that `useChat` shows when a page is opened again.

    Args:
        messages: The conversation, such as `graph.get_state(config).values["messages"]`.
        interrupts: What is asked, `graph.get_state(config).interrupts`.
        client: See `to_ai_sdk`.
        show_errors: See `to_sse`.

    Returns:
        The messages, as JSON has them. All of a run, from one message of the user to the next, is
        one message.
    """
    asked = {one.call_id: one for one in questions(interrupts, messages) if one.call_id}
    results = {one.tool_call_id: one for one in messages if isinstance(one, ToolMessage)}
    shown: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            continue
        if not isinstance(message, AIMessage):
            role = "user" if isinstance(message, HumanMessage) else "system"
            parts = [*_ui_prose(message)]
            shown.append({"id": message.id or f"message-{number}", "role": role, "parts": parts})
            continue
        if not shown or shown[-1]["role"] != "assistant":
            name = message.id or f"message-{number}"
            shown.append({"id": name, "role": "assistant", "parts": []})
        parts = shown[-1]["parts"]
        parts += [{"type": "step-start"}, *_ui_prose(message)]
        for call in message.tool_calls:
            result, question = results.get(call["id"] or ""), asked.get(call["id"] or "")
            parts += _ui_call(call, result, question, client=client, show_errors=show_errors)
        parts += [
            {
                "type": f"tool-{call['name']}",
                "toolCallId": call["id"],
                "state": "output-error",
                "rawInput": call["args"],
                "errorText": call["error"] or "The call is invalid.",
            }
            for call in message.invalid_tool_calls
        ]
    return cast("list[dict[str, Any]]", bounded(shown))


def _ui_call(
    call: Any,
    result: ToolMessage | None,
    question: Interrupt | None,
    *,
    client: int,
    show_errors: bool,
) -> Iterator[dict[str, Any]]:
    part: dict[str, Any] = {"type": f"tool-{call['name']}", "toolCallId": call["id"]}
    part |= {"state": "input-available", "input": call["args"]}
    if result is not None:
        denied = is_denied(result)
        if denied and client >= _HAS_APPROVALS:
            approval = {"id": call["id"], "approved": False, "reason": as_text(result.content)}
            part |= {"state": "output-denied", "approval": approval}
        elif result.status == "error":
            told = as_text(result.content) if show_errors or denied else HIDDEN
            part |= {"state": "output-error", "errorText": told}
        else:
            output = {"content": bounded(result.content)}
            if result.artifact is not None:
                output["artifact"] = bounded(result.artifact)
            part |= {"state": "output-available", "output": output}
    elif question is not None and client >= _HAS_APPROVALS:
        descriptor = {"allowedDecisions": [*question.allowed]}
        approval = {"id": question.id, "descriptor": descriptor}
        part |= {"state": "approval-requested", "approval": approval}
    yield part
    if result is None and question is not None and client < _HAS_APPROVALS:
        data = approval_data(question, call["id"])
        yield {"type": "data-approval", "id": question.id, "data": data}


def _ui_prose(message: BaseMessage) -> Iterator[dict[str, Any]]:
    for block in cast("list[dict[str, Any]]", message.content_blocks):
        kind = block["type"]
        if kind == "text":
            yield {"type": "text", "text": block["text"], "state": "done"}
        elif kind == "reasoning":
            yield {"type": "reasoning", "text": block.get("reasoning", ""), "state": "done"}
        elif kind in (*_KINDS, "file"):
            mime = block.get("mime_type") or "application/octet-stream"
            data = block.get("base64")
            url = f"data:{mime};base64,{data}" if data else block.get("url")
            if url:
                yield {"type": "file", "mediaType": mime, "url": url}


def ag_ui_messages(
    messages: Sequence[BaseMessage], *, show_errors: bool = False
) -> list[dict[str, Any]]:
    """Turn stored messages into AG-UI's, with the ids that `to_ag_ui` has given them.

    Args:
        messages: The conversation.
        show_errors: See `to_sse`.

    Returns:
        The messages, as JSON has them: for a `MESSAGES_SNAPSHOT`, or the page's first state.
    """
    shown: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        name = (message.id or f"message-{number}").removeprefix(f"{LC_ID_PREFIX}-")
        if isinstance(message, ToolMessage):
            call_id = message.tool_call_id
            said = {"id": f"{call_id}:result", "role": "tool", "toolCallId": call_id}
            is_hidden = message.status == "error" and not (show_errors or is_denied(message))
            text = HIDDEN if is_hidden else as_text(message.content)
            failed = {"error": text} if message.status == "error" else {}
            shown.append({**said, "content": text, **failed})
            continue
        if isinstance(message, AIMessage):
            shown += _ag_ui_answer(message, name)
            continue
        role = "user" if isinstance(message, HumanMessage) else "system"
        blocks = [*_ui_prose(message)]
        if role == "system" or all(one["type"] == "text" for one in blocks):
            content: Any = message.text
        else:
            content = [_ag_ui_part(one) for one in blocks]
        shown.append({"id": name, "role": role, "content": content})
    return cast("list[dict[str, Any]]", without_halves(bounded(shown)))


def _ag_ui_answer(message: AIMessage, name: str) -> Iterator[dict[str, Any]]:
    thought = "".join(one["text"] for one in _ui_prose(message) if one["type"] == "reasoning")
    if thought:
        yield {"id": f"{name}:reasoning-1", "role": "reasoning", "content": thought}
    calls = [(one["id"], one["name"], to_json(one["args"])) for one in message.tool_calls]
    calls += [
        (one["id"], one["name"] or "", one["args"] or "") for one in message.invalid_tool_calls
    ]
    made = [
        {"id": call_id, "type": "function", "function": {"name": tool, "arguments": args}}
        for call_id, tool, args in calls
    ]
    said: dict[str, Any] = {"id": name, "role": "assistant"}
    if message.text:
        said["content"] = message.text
    yield {**said, "toolCalls": made} if made else said


def _ag_ui_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    mime, url = part["mediaType"], part["url"]
    kind = mime.partition("/")[0]
    data = url.partition(",")[2] if url.startswith("data:") else None
    source = {"type": "data", "value": data} if data else {"type": "url", "value": url}
    return {
        "type": kind if kind in _KINDS else "document",
        "source": {**source, "mimeType": mime},
    }
