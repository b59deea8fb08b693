"""Which tools have to wait for ToolNode: it alone has the state, the store and the runtime."""

from typing import Annotated, Any, get_args, get_origin, get_type_hints

from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId
from langgraph.prebuilt import ToolRuntime


def needs_tool_node(tool: BaseTool) -> bool:
    """Whether a tool is given something by the application.

    That is what ToolNode looks for, in the tool's schema and in its function: parameters marked as
    injected, and those that are called `runtime` or are of a `ToolRuntime`. The id of the call does
    not count, which LangChain gives to every tool.

    Args:
        tool: The tool.
    """
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    try:
        parameters = get_type_hints(function, include_extras=True) if function else {}
        schema: Any = tool.get_input_schema()
        for name, field in schema.model_fields.items():
            parameters[name] = Annotated[(field.annotation, *field.metadata, None)]
    except Exception:  # noqa: BLE001 - an annotation that cannot be looked up: nothing is known
        return True
    return any(_is_given(name, annotation) for name, annotation in parameters.items())


def _is_given(name: str, annotation: Any) -> bool:
    marks = (annotation, *get_args(annotation))
    kinds = [mark if isinstance(mark, type) else type(mark) for mark in map(_origin, marks)]
    return name == "runtime" or any(
        issubclass(kind, (InjectedToolArg, ToolRuntime))
        and not issubclass(kind, InjectedToolCallId)
        for kind in kinds
    )


def _origin(mark: Any) -> Any:
    """`ToolRuntime` of `ToolRuntime[Context, State]`."""
    origin: Any = get_origin(mark)
    return mark if origin is None else origin
