"""What runs: tool calls, one or in a list, as a `ToolStreamParser` gives them."""

from typing import Any, Literal

from langchain_toolstream.parsers.tool_stream import Call

Order = Literal["completed", "called"]
"""In which order a stream gives its messages: as the tools finish, or as the model called them."""

_HINT = "Put ToolStreamParser(tools) between the model and tools.map(), which runs lists of calls."


def is_invalid(call: Call) -> bool:
    """Whether a call is invalid, and says why."""
    return call.get("type") == "invalid_tool_call"


def as_calls(calls: Any) -> list[Call]:
    """Check that these are calls in a list, as `map()` takes them.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(calls, dict) and "args" in calls:
        msg = "ToolSet.map() runs lists of tool calls, got one call. Write [call], or use invoke()."
        raise TypeError(msg)
    if not isinstance(calls, list | tuple):
        msg = f"ToolSet.map() runs lists of tool calls, got {type(calls).__name__}. {_HINT}"
        raise TypeError(msg)
    for call in calls:
        check_is_call(call)
    return list(calls)


def check_is_call(call: Any) -> None:
    """Check that this is a tool call.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(call, dict):
        hint = "One list of calls is run by tools.map()." if isinstance(call, list) else _HINT
        msg = f"A tool call is a dict, got {type(call).__name__}. {hint}"
        raise TypeError(msg)
    if missing := [key for key in ("name", "args", "id") if key not in call]:
        shown = f"there is no {missing[0]!r} in {list(call)}"
        msg = f"A tool call has a name, args and an id; {shown}. {_HINT}"
        raise TypeError(msg)
