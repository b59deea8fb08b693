"""What LangGraph gives a tool beside the model's arguments, and what of it is known early."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from langchain_core.messages import ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.runtime import Runtime

Kind = Literal["state", "store", "runtime", "call id", "other"]

NEEDS_MESSAGE = "needs_message"
"""In a tool's metadata: it reads the message that it is called by, and waits for that."""


class Injected:
    """The parameters of a tool that the application gives.

    They are found where ToolNode looks for them, in the tool's schema and in its function:
    parameters marked as injected, and those that are called `runtime` or are of a `ToolRuntime`.

    Args:
        tool: The tool.
    """

    def __init__(self, tool: BaseTool) -> None:
        """Look at its parameters."""
        self._tool = tool
        self._kinds: dict[str, Kind] | None = None
        self._required: frozenset[str] = frozenset()
        function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
        try:
            parameters = get_type_hints(function, include_extras=True) if function else {}
            fields: Mapping[str, Any] = getattr(tool.get_input_schema(), "model_fields", {})
        except Exception:  # noqa: BLE001 - an annotation that cannot be looked up: nothing is known
            return
        for name, field in fields.items():
            parameters[name] = Annotated[(field.annotation, *field.metadata, None)]
        found = {name: _kind(name, annotation) for name, annotation in parameters.items()}
        self._kinds = {name: kind for name, kind in found.items() if kind is not None}
        self._required = frozenset(name for name, field in fields.items() if field.is_required())

    def __iter__(self) -> Iterator[str]:
        """The names of the parameters."""
        return iter(self._kinds or ())

    def why_it_waits(self, runtime: Runtime[Any] | None) -> str | None:
        """Say why the tool cannot run before the message has ended.

        Args:
            runtime: That of the model's node.

        Returns:
            The reason, or nothing where all that the tool is given is known by then.
        """
        if self._kinds is None:
            return "its annotations cannot be read"
        if (self._tool.metadata or {}).get(NEEDS_MESSAGE):
            return f"its metadata says {NEEDS_MESSAGE}"
        for name, kind in self._kinds.items():
            if kind == "state":
                return f"{name!r} is the state, which has the message in it"
            if kind == "store" and (runtime is None or runtime.store is None):
                return f"{name!r} is the store, and there is none"
            if kind == "other" and name in self._required:
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
        if not self._kinds:
            return call
        args = {name: value for name, value in call["args"].items() if name not in self._kinds}
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


def _kind(name: str, annotation: Any) -> Kind | None:
    marks = (annotation, *get_args(annotation))
    marks = (*marks, *(inner for mark in marks for inner in get_args(mark)))  # of a union
    types = {mark if isinstance(mark, type) else type(mark) for mark in map(_origin, marks)}

    def has(kind: type) -> bool:
        return any(issubclass(one, kind) for one in types)

    if has(InjectedState):
        return "state"
    if has(InjectedStore):
        return "store"
    if name == "runtime" or has(ToolRuntime):
        return "runtime"
    if has(InjectedToolCallId):
        return "call id"
    return "other" if has(InjectedToolArg) else None


def _origin(mark: Any) -> Any:
    """`ToolRuntime` of `ToolRuntime[Context, State]`."""
    origin: Any = get_origin(mark)
    return mark if origin is None else origin
