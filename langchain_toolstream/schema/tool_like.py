"""Everything that `bind_tools` takes as a tool: its name, what the model is told, how it is run."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, get_type_hints

from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from langchain_toolstream.schema.problems import MAX_TOLD, shown

ToolLike = BaseTool | type | Callable[..., Any] | Mapping[str, Any]
"""A tool, a pydantic model, a `TypedDict`, a function, or a schema as a dict: what
`bind_tools` takes."""


def check_is_list(tools: object) -> None:
    """Refuse what is no list of tools, though some of it can be iterated over.

    Args:
        tools: What was given as a list of tools.

    Raises:
        TypeError: It is one tool, or no tools at all.
    """
    if isinstance(tools, BaseTool | Mapping | str | type) or inspect.isroutine(tools):
        name = getattr(tools, "name", None) or getattr(tools, "__name__", None) or repr(tools)
        msg = f"A list of tools is needed, got one thing. Write [{name}]."
        raise TypeError(msg)
    if isinstance(tools, BaseModel) or not isinstance(tools, Iterable):
        msg = f"A list of tools is needed, got {type(tools).__name__}."
        raise TypeError(msg)


def tool_name(tool: ToolLike) -> str:
    """The name by which a model calls a tool.

    Args:
        tool: Whatever `bind_tools` takes.

    Raises:
        ValueError: The tool is in no known form.
    """
    if isinstance(tool, BaseTool):
        return tool.name
    return str(described(tool)["name"])


def described(tool: ToolLike) -> dict[str, Any]:
    """What a server is told of a tool: its name, description and parameters.

    Raises:
        ValueError: The tool is in no known form.
    """
    try:
        known: Any = as_function(tool) if callable(tool) else tool
        function: dict[str, Any] = convert_to_openai_tool(known)["function"]
        return {"parameters": None, **function, "name": function["name"]}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = shown(error, MAX_TOLD)
        msg = f"{shown(tool)} describes no tool in a form that bind_tools takes: {why}"
        raise ValueError(msg) from error


def as_tool(tool: BaseTool | Callable[..., Any]) -> BaseTool:
    """Make a tool of a function; a tool stays what it is.

    Descriptions come from the function's Google-style docstring, where it has one.

    Args:
        tool: A tool; or a function, coroutine function, `functools.partial` or callable object,
            with annotated parameters.

    Raises:
        TypeError: It cannot be run: a schema, not a tool.
    """
    if isinstance(tool, BaseTool):
        return tool
    if isinstance(tool, type) or not callable(tool):
        name = tool.__name__ if isinstance(tool, type) else shown(tool)
        msg = (
            f"{name} describes a call but cannot run it. A ToolSet takes tools and functions; "
            "give schemas to ToolStreamParser(tools=...) and bind_tools(...)."
        )
        raise TypeError(msg)
    function: Any = as_function(tool)
    is_async = inspect.iscoroutinefunction(function)
    documented = bool(inspect.getdoc(function))
    return StructuredTool.from_function(
        func=None if is_async else function,
        coroutine=function if is_async else None,
        description=None if documented else function.__name__.replace("_", " "),
        parse_docstring=documented,
        error_on_invalid_docstring=False,
    )


def as_function(tool: ToolLike) -> Any:
    """Make a function of a `functools.partial` or a callable object; all others stay as they are.

    LangChain takes functions only: it asks for their names and annotations. A parameter that a
    partial has bound is the application's, so the model is not told of it and cannot write it.

    Args:
        tool: What can be called.
    """
    if isinstance(tool, BaseTool | type) or inspect.isroutine(tool) or not callable(tool):
        return tool
    inner: Any = tool
    bound: set[str] = set()
    while isinstance(inner, partial):
        bound |= inner.keywords.keys()
        inner = inner.func
    is_object = not inspect.isroutine(inner)
    call = type(inner).__call__ if is_object else inner
    hints = get_type_hints(call, include_extras=True)
    signature = inspect.signature(tool)
    parameters = {
        name: parameter.replace(annotation=hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name not in bound or parameter.kind is parameter.VAR_KEYWORD
    }

    def run(*args: Any, **kwargs: Any) -> Any:
        return tool(*args, **kwargs)

    async def arun(*args: Any, **kwargs: Any) -> Any:
        return await tool(*args, **kwargs)

    made: Any = arun if inspect.iscoroutinefunction(call) else run
    made.__name__ = made.__qualname__ = type(inner).__name__ if is_object else inner.__name__
    doc = inspect.cleandoc((is_object and call.__doc__) or inner.__doc__ or "")
    # Its arguments are not those that are left.
    made.__doc__ = doc.partition("\n\nArgs:\n")[0] if isinstance(tool, partial) else doc
    made.__module__ = call.__module__
    made.__wrapped__ = call
    made.__signature__ = signature.replace(parameters=list(parameters.values()))
    made.__annotations__ = {n: hints[n] for n in (*parameters, "return") if n in hints}
    return made
