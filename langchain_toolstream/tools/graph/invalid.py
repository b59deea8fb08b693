"""Invalid calls of a message: they do not run, and are answered."""

import uuid
from collections.abc import Sequence
from typing import Any, TypeGuard, cast

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage

from langchain_toolstream.parsers.tool_stream import Call
from langchain_toolstream.tools.run.errors import INVALID_CALL_TEMPLATE, error_message

MAX_TURNS = 3
"""Messages in a row with nothing but invalid calls after which the agent ends. A model that is cut
at `max_tokens` again and again would not stop otherwise."""


def move_invalid_calls(
    message: AIMessage, read: Sequence[Call], *, may_run_early: bool
) -> AIMessage:
    """Move invalid calls into `invalid_tool_calls`; give calls ids of their own.

    Args:
        message: The model's message. langchain-core completes what was cut, so a call in it may
            never have been written to its end.
        read: What the call rules found in the model's stream, valid and invalid. A call that came
            without an id, or with that of another, has one of its own there.
        may_run_early: Whether calls may run under the ids that they have in `read`; else a valid
            call without an id stays one.

    Returns:
        The message, or one like it.
    """
    left = list(read)
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    calls: list[Call] = [*message.tool_calls, *message.invalid_tool_calls]
    for call in calls:
        call_id = None if call["id"] in {one["id"] for one in [*valid, *invalid]} else call["id"]
        same = _find(call, call_id, left)
        if same is not None:
            left.remove(same)
            call_id = same["id"]
        call_id = call_id or f"call_{uuid.uuid4().hex[:24]}"
        if same is not None and is_invalid(same):
            invalid.append(same)
        elif is_invalid(call):
            invalid.append({**call, "id": call_id})
        else:
            keeps_none = not (call["id"] or may_run_early)
            own = call["id"] if keeps_none else call_id
            valid.append({**cast("ToolCall", call), "id": own})
    if valid == message.tool_calls and invalid == message.invalid_tool_calls:
        return message
    update: dict[str, Any] = {"tool_calls": valid, "invalid_tool_calls": invalid}
    if isinstance(message.content, list):
        by_id = {call["id"]: call for call in invalid}
        update["content"] = [
            by_id.get(block.get("id"), block)
            if isinstance(block, dict) and block.get("type") == "tool_call"
            else block
            for block in message.content
        ]
    return message.model_copy(update=update)


def _find(call: Call, call_id: str | None, read: Sequence[Call]) -> Call | None:
    """The call as it was read: by its id, where it has one of its own, else by what it says."""
    named = [one for one in read if one["name"] == call["name"]]
    same = [one for one in named if one["id"] == call_id]
    if not (call_id or same):
        same = [one for one in named if one["args"] == call["args"]]
        same = same or [one for one in named if is_invalid(one)]
    return same[0] if same else None


def answer_invalid_calls(messages: Sequence[BaseMessage]) -> tuple[list[ToolMessage], bool]:
    """Answer the invalid calls of the last message of the model.

    Args:
        messages: The agent's messages.

    Returns:
        An error for each that has no answer yet, and whether the model is to be asked again
        because it made no other call.
    """
    turns = [place for place, one in enumerate(messages) if isinstance(one, AIMessage)]
    if not turns:
        return [], False
    last = messages[turns[-1]]
    assert isinstance(last, AIMessage)  # noqa: S101 - for the type checker
    answered = {
        one.tool_call_id for one in messages[turns[-1] + 1 :] if isinstance(one, ToolMessage)
    }
    errors = [
        error_message(call, INVALID_CALL_TEMPLATE.format(error=call["error"] or "It is not valid."))
        for call in last.invalid_tool_calls
        if call["id"] and call["id"] not in answered
    ]
    in_a_row = 0
    for one in reversed(messages):
        if isinstance(one, AIMessage) and one.invalid_tool_calls and not one.tool_calls:
            in_a_row += 1
        elif not isinstance(one, ToolMessage):
            break
    return errors, bool(errors) and 0 < in_a_row < MAX_TURNS


def is_invalid(call: Call) -> TypeGuard[InvalidToolCall]:
    """Whether a call is an invalid one."""
    return call.get("type") == "invalid_tool_call"
