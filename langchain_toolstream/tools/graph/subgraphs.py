"""Which tools run a graph of their own: agents as tools."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.runnables import RunnableBinding
from langchain_core.tools import BaseTool
from langgraph.pregel.protocol import PregelProtocol

_DEPTH = 3
"""How far we look: a graph, in a mapping of graphs, in an object that a function uses."""


def runs_graph(tool: BaseTool) -> bool:
    """Whether a tool's function uses a graph, as a subagent's does.

    Such a tool runs under the tools' node, where LangGraph gives the graph its namespace and its
    interrupts. What is not found here (a graph looked up in a module, say) stops where it starts.

    Args:
        tool: The tool.
    """
    functions = [getattr(tool, name, None) for name in ("func", "coroutine")]
    seen: set[int] = set()
    return any(_uses_graph(function or tool, _DEPTH, seen) for function in functions)


def _uses_graph(value: Any, depth: int, seen: set[int]) -> bool:
    if isinstance(value, PregelProtocol):
        return True
    if depth == 0 or id(value) in seen:
        return False
    seen.add(id(value))
    return any(_uses_graph(part, depth - 1, seen) for part in _parts(value))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, RunnableBinding):
        return [value.bound]
    if inspect.isroutine(value):
        return _used_by(inspect.unwrap(value))
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, BaseTool):
        return list(vars(value).values())
    return []


def _used_by(function: Any) -> Iterator[Any]:
    yield from getattr(getattr(function, "__self__", None), "__dict__", {}).values()
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function):
        return
    code = function.__code__
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            yield function.__globals__[name]
