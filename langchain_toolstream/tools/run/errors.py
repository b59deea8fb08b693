"""What becomes of a call that yields no result: the model's mistakes are values."""

import inspect
import sys
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage

HandleToolErrors = bool | str | type[Exception] | tuple[type[Exception], ...] | Callable[[Any], str]
"""ToolNode's values: `True` for any error, a text to say instead of it, the kinds of errors to
handle, or a function that makes the text; where its parameter is annotated with kinds of errors,
it is for those. Errors that are not handled raise."""

TOOL_ERROR_TEMPLATE = "Error: {error!r}\n Please fix your mistakes."
UNKNOWN_TOOL_TEMPLATE = "Error: {name} is not a valid tool, try one of [{tools}]."
INVALID_CALL_TEMPLATE = "Error: the call was not run. {error}"
WANTING_TEMPLATE = (
    "Error: {name} was not run. It needs {wanting}, which only the application can give: "
    "LangGraph's ToolNode gives state, store and runtime, a step after ToolStreamParser the rest."
)
CANCELLED_ITSELF = "Error: the tool cancelled itself."
TIMEOUT_TEMPLATE = "Error: {name} did not finish within {timeout:g} seconds."
INTERRUPTED_TEMPLATE = (
    "Error: the model's message was interrupted before the call was confirmed ({error}). The tool "
    "was stopped and its result dropped."
)


def error_message(call: ToolCall | InvalidToolCall, content: str) -> ToolMessage:
    """Answer a call with an error."""
    return ToolMessage(
        content=content,
        name=call["name"] or None,
        tool_call_id=call["id"] or "",
        status="error",
    )


def invalid_message(call: ToolCall | InvalidToolCall, reason: object) -> ToolMessage:
    """Answer an invalid call, which is not run."""
    return error_message(call, INVALID_CALL_TEMPLATE.format(error=reason or "It is not valid."))


class ErrorPolicy:
    """What becomes of the exceptions of tools.

    Args:
        handle: The user's wish.

    Raises:
        TypeError: It is no wish that `ToolNode` knows.
        ValueError: It is a function for something else than exceptions.
    """

    def __init__(self, handle: HandleToolErrors) -> None:
        """Find out which errors are handled."""
        self._kinds = _kinds_handled(handle)
        self._say: Callable[[Any], str]
        if isinstance(handle, str):
            self._say = lambda _: handle
        elif isinstance(handle, bool | tuple) or _is_kind(handle):
            self._say = lambda error: TOOL_ERROR_TEMPLATE.format(error=error)
        else:
            self._say = cast("Callable[[Any], str]", handle)

    def text(self, error: Exception) -> str | None:
        """Say what the model reads of an error."""
        if is_control_flow(error) or not isinstance(error, self._kinds):
            return None
        return self._say(error)


def is_control_flow(error: BaseException) -> bool:
    """Whether an error is one of LangGraph's interrupts, which no handler may swallow."""
    langgraph = sys.modules.get("langgraph.errors")
    return langgraph is not None and isinstance(error, langgraph.GraphBubbleUp)


def _kinds_handled(handle: HandleToolErrors) -> tuple[type[Exception], ...]:
    if isinstance(handle, bool | str):
        return () if handle is False else (Exception,)
    if isinstance(handle, tuple) and all(_is_kind(kind) for kind in handle):
        return handle
    if isinstance(handle, type) and issubclass(handle, Exception):
        return (handle,)
    if isinstance(handle, tuple) or not callable(handle):
        msg = (
            "handle_tool_errors takes True, False, a text, kinds of exceptions or a function that "
            f"makes the text of an exception, got {handle!r}."
        )
        raise TypeError(msg)
    return _kinds_annotated(cast("Callable[[Any], str]", handle))


def _kinds_annotated(handle: Callable[[Any], str]) -> tuple[type[Exception], ...]:
    """The exceptions that a function's first parameter is annotated with, else all."""
    try:
        parameter = next(iter(inspect.signature(handle).parameters))
        function = handle if inspect.isroutine(handle) else type(handle).__call__
        hint = get_type_hints(function).get(parameter, Exception)
    except (StopIteration, TypeError, ValueError, NameError):  # a builtin, or a forward reference
        return (Exception,)
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if Any in kinds or object in kinds:
        return (Exception,)
    if not all(_is_kind(kind) for kind in kinds):
        msg = (
            f"A function for handle_tool_errors takes exceptions, but it is annotated with {hint}."
        )
        raise ValueError(msg)
    return kinds


def _is_kind(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)
