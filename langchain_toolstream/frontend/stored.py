"""Stored messages of LangChain's as what a page shows when it is opened again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_toolstream.core.events import Interrupt
from langchain_toolstream.frontend.files import (
    KINDS,
    File,
    ag_ui_parts,
    ai_sdk_output,
    has_parts,
    text_of,
    without_files,
)
from langchain_toolstream.frontend.write import (
    HAS_APPROVALS,
    HIDDEN,
    UNANSWERED,
    approval_data,
    as_text,
)
from langchain_toolstream.json_values import bounded, to_json, without_halves
from langchain_toolstream.streams.interrupts import is_denied, questions


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
    stored = _Stored(messages)
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
            result = stored.result(number, call["id"])
            question = asked.get(call["id"] or "") if result is None else None
            named = {**call, "id": stored.name(number, call["id"])}
            parts += _ui_call(named, result, question, client=client, show_errors=show_errors)
        parts += [
            {
                "type": f"tool-{call['name']}",
                "toolCallId": stored.name(number, call["id"]),
                "state": "output-error",
                "rawInput": call["args"],
                "errorText": call["error"] or "The call is invalid.",
            }
            for call in message.invalid_tool_calls
        ]
    return cast("list[dict[str, Any]]", bounded(shown))


class _Stored:
    """Which result is whose: ids of calls are unique in their message, and perhaps no further."""

    def __init__(self, messages: Sequence[BaseMessage]) -> None:
        self._results: dict[tuple[int, str | None], ToolMessage] = {}
        self._names: dict[tuple[int, str | None], str | None] = {}
        self.given_up: set[tuple[int, str | None]] = set()
        self._places: dict[int, int] = {}  # of the messages that made the calls of results
        owners: dict[str | None, int] = {}
        for number, message in enumerate(messages):
            if isinstance(message, AIMessage):
                for call in [*message.tool_calls, *message.invalid_tool_calls]:
                    call_id = call["id"]
                    is_first = call_id not in owners
                    owners[call_id] = number
                    own = f"{_wire_id(message, number)}:{call_id}"
                    self._names[number, call_id] = call_id if is_first else own
            elif isinstance(message, ToolMessage):
                owner = self._places[number] = owners.get(message.tool_call_id, -1)
                self._results[owner, message.tool_call_id] = message
                self.given_up.discard((owner, message.tool_call_id))
            elif isinstance(message, HumanMessage):
                self._give_up()

    def _give_up(self) -> None:
        """The user went on to something else, so calls that waited have their end."""
        for number, call_id in self._names:
            if (number, call_id) not in self._results:
                end = ToolMessage(UNANSWERED, tool_call_id=call_id or "", status="error")
                self._results[number, call_id] = end
                self.given_up.add((number, call_id))

    def result(self, number: int, call_id: str | None) -> ToolMessage | None:
        """The result of a call of a message."""
        return self._results.get((number, call_id))

    def name(self, number: int, call_id: str | None) -> str | None:
        """The id of a call that is unique in the conversation."""
        return self._names[number, call_id]

    def name_of_result(self, number: int, call_id: str) -> str:
        """The same for the call of a result."""
        return self._names.get((self._places[number], call_id)) or call_id


def _wire_id(message: BaseMessage, number: int) -> str:
    """As a stream names messages."""
    return (message.id or f"message-{number}").removeprefix(f"{LC_ID_PREFIX}-")


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
    files: list[dict[str, Any]] = []
    if result is not None:
        if is_denied(result) and client >= HAS_APPROVALS:
            approval = {"id": call["id"], "approved": False, "reason": as_text(result.content)}
            part |= {"state": "output-denied", "approval": approval}
        elif result.status == "error":
            is_told = _is_told(result, show_errors=show_errors)
            error = as_text(result.content) if is_told else HIDDEN
            part |= {"state": "output-error", "errorText": error}
        else:
            output, files = ai_sdk_output(call["id"], result.content, result.artifact)
            part |= {"state": "output-available", "output": output}
    elif question is not None and client >= HAS_APPROVALS:
        descriptor = {"allowedDecisions": [*question.allowed]}
        approval = {"id": question.id, "descriptor": descriptor}
        part |= {"state": "approval-requested", "approval": approval}
    yield part
    yield from files
    if result is None and question is not None and client < HAS_APPROVALS:
        data = approval_data(question, call["id"])
        yield {"type": "data-approval", "id": question.id, "data": data}


def _is_told(result: ToolMessage, *, show_errors: bool) -> bool:
    """Whether the text of an error is for the page: what tools say is, where it is asked for."""
    return show_errors or is_denied(result) or result.content == UNANSWERED


def _ui_prose(message: BaseMessage) -> Iterator[dict[str, Any]]:
    for block in cast("list[dict[str, Any]]", message.content_blocks):
        kind = block["type"]
        if kind == "text":
            yield {"type": "text", "text": block["text"], "state": "done"}
        elif kind == "reasoning":
            yield {"type": "reasoning", "text": block.get("reasoning", ""), "state": "done"}
        elif kind in (*KINDS, "file"):
            mime = block.get("mime_type") or "application/octet-stream"
            data = block.get("base64")
            url = f"data:{mime};base64,{data}" if data else block.get("url")
            if url:
                yield {"type": "file", "mediaType": mime, "url": url}


def ag_ui_messages(
    messages: Sequence[BaseMessage],
    *,
    show_errors: bool = False,
    protocol_version: str | None = None,
) -> list[dict[str, Any]]:
    """Turn stored messages into AG-UI's, with the ids that `to_ag_ui` has given them.

    Args:
        messages: The conversation.
        show_errors: See `to_sse`.
        protocol_version: See `to_ag_ui`.

    Returns:
        The messages, as JSON has them: for a `MESSAGES_SNAPSHOT`, or the page's first state.
    """
    shown: list[dict[str, Any]] = []
    stored = _Stored(messages)
    for number, message in enumerate(messages):
        name = _wire_id(message, number)
        if isinstance(message, ToolMessage):
            call_id = stored.name_of_result(number, message.tool_call_id)
            said = {"id": f"{call_id}:result", "role": "tool", "toolCallId": call_id}
            left, read = without_files(message.content)
            content: Any = text_of(left)
            if message.status == "error":
                content = content if _is_told(message, show_errors=show_errors) else HIDDEN
                said["error"] = content
            elif has_parts(protocol_version):
                artifact = without_files(message.artifact)[1]
                if read or artifact:
                    content = ag_ui_parts(content, read, artifact)
            shown.append({**said, "content": content})
            continue
        if isinstance(message, AIMessage):
            shown += _ag_ui_answer(message, number, stored)
            continue
        role = "user" if isinstance(message, HumanMessage) else "system"
        blocks = [*_ui_prose(message)]
        if role == "system" or all(one["type"] == "text" for one in blocks):
            content = message.text
        else:
            content = [
                part
                for one in blocks
                for part in ag_ui_parts(one.get("text", ""), _files_of(one), [])
            ]
        shown.append({"id": name, "role": role, "content": content})
    return cast("list[dict[str, Any]]", without_halves(bounded(shown)))


def _ag_ui_answer(message: AIMessage, number: int, stored: _Stored) -> Iterator[dict[str, Any]]:
    name = _wire_id(message, number)
    thought = "".join(one["text"] for one in _ui_prose(message) if one["type"] == "reasoning")
    if thought:
        yield {"id": f"{name}:reasoning-1", "role": "reasoning", "content": thought}
    calls = [(one["id"], one["name"], to_json(one["args"])) for one in message.tool_calls]
    calls += [
        (one["id"], one["name"] or "", one["args"] or "") for one in message.invalid_tool_calls
    ]
    made = [
        {
            "id": stored.name(number, call_id),
            "type": "function",
            "function": {"name": tool, "arguments": args},
        }
        for call_id, tool, args in calls
    ]
    said: dict[str, Any] = {"id": name, "role": "assistant"}
    if message.text:
        said["content"] = message.text
    yield {**said, "toolCalls": made} if made else said
    # Calls that have an end, but no message that says so.
    ends = [
        (one["id"], one["error"] or "The call is invalid.")
        for one in message.invalid_tool_calls
        if stored.result(number, one["id"]) is None or (number, one["id"]) in stored.given_up
    ]
    ends += [
        (one["id"], UNANSWERED)
        for one in message.tool_calls
        if (number, one["id"]) in stored.given_up
    ]
    for call_id, error in ends:
        known = stored.name(number, call_id)
        result = {"id": f"{known}:result", "role": "tool", "toolCallId": known}
        yield {**result, "content": error, "error": error}


def _files_of(part: dict[str, Any]) -> list[File]:
    if part["type"] != "file":
        return []
    url = part["url"]
    data = url.partition(",")[2] if url.startswith("data:") else ""
    return [File(part["mediaType"], url=url, data=data)]
