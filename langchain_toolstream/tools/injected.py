"""What a tool wants from the application, which no call of a model can give."""

from typing import Any

from langchain_core.tools import BaseTool, InjectedToolCallId
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def wanted_from_application(tool: BaseTool) -> frozenset[str]:
    """The arguments that a tool cannot run without and that only an application can give.

    LangGraph's `ToolNode` gives state, store and `ToolRuntime`. The id of the call is not among
    them: LangChain itself gives that.

    Args:
        tool: The tool.
    """
    whole: Any = tool.get_input_schema()
    seen_by_model: Any = tool.tool_call_schema
    if not (_is_model(whole) and _is_model(seen_by_model)):
        return frozenset()
    return frozenset(
        name
        for name, field in whole.model_fields.items()
        if name not in seen_by_model.model_fields and field.is_required() and not _is_call_id(field)
    )


def _is_model(schema: object) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _is_call_id(field: FieldInfo) -> bool:
    return any(
        isinstance(mark, InjectedToolCallId)
        or (isinstance(mark, type) and issubclass(mark, InjectedToolCallId))
        for mark in field.metadata
    )
