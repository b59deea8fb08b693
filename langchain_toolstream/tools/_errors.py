"""What becomes of a call that yields no result: the model's mistakes are values."""

import sys
from collections.abc import Callable
from typing import cast

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage

HandleToolErrors = (
    bool | str | type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], str]
)
"""ToolNode's values: `True` for any error, a text to say instead of it, the kinds of errors to
handle, or a function that makes the text. Errors that are not handled raise."""

TOOL_ERROR_TEMPLATE = "Error: {error!r}\n Please fix your mistakes."
UNKNOWN_TOOL_TEMPLATE = "Error: {name} is not a valid tool, try one of [{tools}]."
INVALID_CALL_TEMPLATE = "Error: the call was not run. {error}"
CANCELLED_ITSELF = "Error: the tool cancelled itself."
TIMEOUT_TEMPLATE = "Error: {name} did not finish within {timeout:g} seconds."
INTERRUPTED_TEMPLATE = (
    "Error: the model's message was interrupted before the call was confirmed ({error}). The tool "
    "was stopped and its result dropped."
)


def error_message(call: ToolCall | InvalidToolCall, content: str) -> ToolMessage:
    """Answer a call with an error.

    Args:
        call: The call, valid or not.
        content: What the model reads.

    Returns:
        The call's one terminal message.
    """
    return ToolMessage(
        content=content,
        name=call["name"] or None,
        tool_call_id=call["id"] or "",
        status="error",
    )


def handled(error: Exception, handle: HandleToolErrors) -> str | None:
    """Say what the model reads of a tool's error.

    Args:
        error: What the tool raised.
        handle: The user's wish.

    Returns:
        The text, or `None` when the error has to raise.
    """
    if _is_control_flow(error):
        return None
    if isinstance(handle, bool):
        return TOOL_ERROR_TEMPLATE.format(error=error) if handle else None
    if isinstance(handle, str):
        return handle
    if isinstance(handle, tuple) or (isinstance(handle, type) and issubclass(handle, Exception)):
        return TOOL_ERROR_TEMPLATE.format(error=error) if isinstance(error, handle) else None
    return cast("Callable[[Exception], str]", handle)(error)


def _is_control_flow(error: Exception) -> bool:
    """LangGraph's interrupts are exceptions that no handler may swallow."""
    langgraph = sys.modules.get("langgraph.errors")
    return langgraph is not None and isinstance(error, langgraph.GraphBubbleUp)
