"""What LangGraph gives a tool beside the model's arguments, and what of it is known early."""

import dataclasses
from typing import Any, Literal

from langchain_core.messages import ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.runtime import Runtime

from langchain_toolstream.schema.injected import injected, without_quotes

Kind = Literal["state", "store", "runtime", "call id", "other"]

NEEDS_MESSAGE = "needs_message"
"""In a tool's metadata: it reads the message that it is called by, and waits for that."""


class GivenByGraph:
    """What a tool is given by the graph that it runs in, and what of that is known early.

    Args:
        tool: The tool.

    Attributes:
        names: The parameters that it is given.
        runs: The tool, but that its errors do not quote what it is given.
    """

    def __init__(self, tool: BaseTool) -> None:
        """Look at its parameters."""
        self._tool = tool
        self._injected = injected(tool)
        self._kinds = {name: _kind(name, mark) for name, mark in self._injected.marks.items()}
        self.names = self._injected.names | self._kinds.keys()
        self.runs = without_quotes(tool)

    def why_it_waits(self, runtime: Runtime[Any] | None) -> str | None:
        """Say why the tool cannot run before the message has ended.

        Args:
            runtime: That of the model's node.

        Returns:
            The reason, or nothing where all that the tool is given is known by then.
        """
        if not self._injected.is_known:
            return "its annotations cannot be read"
        if (self._tool.metadata or {}).get(NEEDS_MESSAGE):
            return f"its metadata says {NEEDS_MESSAGE}"
        for name, kind in self._kinds.items():
            if kind == "state":
                return f"{name!r} is the state, which has the message in it"
            if kind == "store" and (runtime is None or runtime.store is None):
                return f"{name!r} is the store, and there is none"
            if kind == "other" and name in self._injected.required:
                return f"{name!r} comes from the application"
        return None

    def give(
        self, call: ToolCall, config: RunnableConfig, runtime: Runtime[Any] | None, state: Any
    ) -> ToolCall:
        """Put in what the application gives, and leave out what the model wrote in its place.

        Args:
            call: The model's call.
            config: The configuration that the tool runs with.
            runtime: That of the model's node.
            state: The state that the model was asked with.
        """
        args = {name: value for name, value in call["args"].items() if name not in self.names}
        for name, kind in self._kinds.items():
            if kind == "store" and runtime is not None:
                args[name] = runtime.store
            elif kind == "runtime":
                args[name] = _tool_runtime(call, config, runtime, state)
        return {**call, "args": args}


def _tool_runtime(
    call: ToolCall, config: RunnableConfig, runtime: Runtime[Any] | None, state: Any
) -> ToolRuntime[Any, Any]:
    """The runtime that ToolNode makes for a call, but for the state, which has no answer yet."""
    known = {"state": state, "config": config, "tool_call_id": call["id"]}
    names = [field.name for field in dataclasses.fields(ToolRuntime) if field.name != "tools"]
    values: dict[str, Any] = {name: known.get(name, getattr(runtime, name, None)) for name in names}
    return ToolRuntime(**values)


def _kind(name: str, mark: Any) -> Kind:
    kind = mark if isinstance(mark, type) else type(mark)
    if issubclass(kind, InjectedState):
        return "state"
    if issubclass(kind, InjectedStore):
        return "store"
    if name == "runtime" or issubclass(kind, ToolRuntime):  # ToolNode knows it by its name too
        return "runtime"
    return "call id" if issubclass(kind, InjectedToolCallId) else "other"
