"""Some tools as one: what a model is bound to, and what its calls are run by."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, get_args, overload

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor, ensure_config
from langchain_core.tools import BaseTool

from langchain_toolstream.schema import ToolSchema, as_tool, check_is_list
from langchain_toolstream.tools._errors import (
    CANCELLED_ITSELF,
    INVALID_CALL_TEMPLATE,
    TIMEOUT_TEMPLATE,
    UNKNOWN_TOOL_TEMPLATE,
    HandleToolErrors,
    error_message,
    handled,
)
from langchain_toolstream.tools._ledger import Order, check_is_call
from langchain_toolstream.tools._map import ToolMap
from langchain_toolstream.tools._read_only import ReadOnly, names_in, reader_of


class ToolSet(Runnable[ToolCall | InvalidToolCall, ToolMessage], Sequence[BaseTool]):
    """Some tools as one object, for `bind_tools`, for the parser and for running.

    It is a sequence of tools, so `llm.bind_tools(tools)` and `ToolStreamParser(tools)` take it; it
    is a runnable that dispatches one call by its name; and `tools.map()` runs a list of calls, or a
    stream of such lists, each call as it arrives.

    Calls are always run as whole `ToolCall`s under the caller's run, so artifacts,
    `InjectedToolCallId`, callbacks and `on_tool_*` events work, with the call's id in the run's
    metadata as `tool_call_id`. The tools stay what they are.

    A tool is **read-only** when running it for nothing, before any guard has seen the message,
    does no harm, costs nothing that matters and tells no one anything. Only read-only tools start
    before the message has ended. Nothing is read-only until someone says so: the `read_only`
    argument, else the tool's `metadata["read_only"]`, else, with `trust_annotations`, the
    `readOnlyHint` of an MCP server. An MCP `destructiveHint` always wins.

    Args:
        tools: Tools, functions and coroutine functions.
        read_only: `True` for all, names, or a predicate on the tool.
        handle_tool_errors: What becomes of a tool's exception, with the values of LangGraph's
            `ToolNode`: a message with `status="error"` (`True`), with a text of yours (`str` or a
            function), only for some kinds of errors (types), or an exception (`False`).
        timeout: Seconds that one call may take, then it is answered with an error. A tool that
            runs in a thread cannot be stopped, only left alone.
        trust_annotations: Whether an MCP server is believed that its tool is read-only.

    Raises:
        TypeError: Something that cannot be run, such as a schema, or no list of tools.
        ValueError: Two tools have the same name, `read_only` names none of them, or `timeout` is
            no time.

    Example:
        ```python
        from langchain_toolstream import ToolSet

        def add(a: int, b: int) -> int:
            \"\"\"Add two integers.\"\"\"
            return a + b

        tools = ToolSet([add], read_only=True)
        call = {"name": "add", "args": {"a": 3, "b": 12}, "id": "call_1", "type": "tool_call"}
        assert tools.invoke(call).content == "15"
        assert [m.content for m in tools.map().invoke([call])] == ["15"]
        ```
    """

    def __init__(
        self,
        tools: Iterable[BaseTool | Callable[..., Any]],
        *,
        read_only: ReadOnly = (),
        handle_tool_errors: HandleToolErrors = True,
        timeout: float | None = None,
        trust_annotations: bool = False,
    ) -> None:
        """Make tools of the functions and find out who is read-only."""
        check_is_list(tools)
        if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
            msg = f"timeout has to be a number of seconds above 0, or None, got {timeout!r}."
            raise ValueError(msg)
        self._tools = tuple(as_tool(tool) for tool in tools)
        self.handle_tool_errors = handle_tool_errors
        self.timeout = timeout
        if not isinstance(read_only, bool) and not callable(read_only):
            read_only = names_in(read_only)
        is_read_only = reader_of(read_only, trust_annotations=trust_annotations)
        self._by_name: dict[str, BaseTool] = {}
        self._schemas: dict[str, ToolSchema] = {}
        for tool in self._tools:
            if tool.name in self._by_name:
                msg = f"Two tools are named {tool.name!r}; a call could not tell them apart."
                raise ValueError(msg)
            self._by_name[tool.name] = tool
            self._schemas[tool.name] = ToolSchema(tool, read_only=is_read_only(tool))
        if isinstance(read_only, frozenset) and (
            unknown := sorted(read_only - self._by_name.keys())
        ):
            msg = f"read_only names no tool of this set: {', '.join(map(repr, unknown))}."
            raise ValueError(msg)

    @property
    def schemas(self) -> Mapping[str, ToolSchema]:
        """By name, what each tool accepts and whether it is read-only."""
        return self._schemas

    @overload
    def __getitem__(self, index: int) -> BaseTool: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[BaseTool]: ...

    def __getitem__(self, index: int | slice) -> BaseTool | Sequence[BaseTool]:
        """Return the tool at a place, or some tools as a tuple."""
        return self._tools[index]

    def __len__(self) -> int:
        """Count the tools."""
        return len(self._tools)

    def __iter__(self) -> Iterator[BaseTool]:
        """Go through the tools in order."""
        return iter(self._tools)

    def __repr__(self) -> str:
        """Name the tools, and which are read-only."""
        names = ", ".join(
            f"{name} (read-only)" if schema.read_only else name
            for name, schema in self._schemas.items()
        )
        return f"ToolSet({names})"

    def invoke(
        self,
        input: ToolCall | InvalidToolCall,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run one call by the tool it names.

        Args:
            input: The call. One that is invalid, or names no tool, is answered with an error.
            config: The configuration of the run.
            **kwargs: Passed on to the tool.

        Returns:
            The call's message, with the tool's artifact.
        """
        if self.timeout is None:
            return self._run(input, config, **kwargs)
        executor = ContextThreadPoolExecutor(max_workers=1)
        future = executor.submit(self._run, input, config, **kwargs)
        try:
            return future.result(self.timeout)
        except TimeoutError:
            if future.done():  # the tool's own
                raise
            return self._timed_out(input)
        finally:
            executor.shutdown(wait=False)

    async def ainvoke(
        self,
        input: ToolCall | InvalidToolCall,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run one call by the tool it names, as `invoke` does.

        Args:
            input: See `invoke`.
            config: The configuration of the run.
            **kwargs: Passed on to the tool.

        Returns:
            See `invoke`.
        """
        call, tool, refusal = self._look_up(input)
        if tool is None:
            return refusal
        try:
            async with asyncio.timeout(self.timeout) as scope:
                # `ainvoke` of a whole ToolCall gives a message, or what the tool made instead.
                return _answer(call, await tool.ainvoke(call, _for_call(config, call), **kwargs))
        except Exception as error:
            if isinstance(error, TimeoutError) and scope.expired():
                return self._timed_out(call)
            if (text := handled(error, self.handle_tool_errors)) is None:
                raise
            return error_message(call, text)

    def map(self, *, order: Order = "completed") -> ToolMap:  # type: ignore[override]
        """Run many calls, each as soon as it arrives.

        Args:
            order: In which order a stream yields the messages: as the tools finish, or as the
                model called them. `invoke` and `batch` always give the model's order.

        Returns:
            A runnable from calls to messages that works on streams.

        Raises:
            ValueError: There is no such order.
        """
        if order not in get_args(Order):
            msg = f"order is one of {', '.join(map(repr, get_args(Order)))}, got {order!r}."
            raise ValueError(msg)
        return ToolMap(self, order=order)

    def _run(
        self, item: ToolCall | InvalidToolCall, config: RunnableConfig | None, **kwargs: Any
    ) -> ToolMessage:
        call, tool, refusal = self._look_up(item)
        if tool is None:
            return refusal
        try:
            return _answer(call, tool.invoke(call, _for_call(config, call), **kwargs))
        except asyncio.CancelledError:  # only the tool itself can raise it in a thread
            return error_message(call, CANCELLED_ITSELF)
        except Exception as error:
            if (text := handled(error, self.handle_tool_errors)) is None:
                raise
            return error_message(call, text)

    def _refusal(self, item: ToolCall | InvalidToolCall) -> ToolMessage | None:
        """The answer to a call that no tool runs."""
        _, tool, refusal = self._look_up(item)
        return refusal if tool is None else None

    def _look_up(
        self, item: ToolCall | InvalidToolCall
    ) -> tuple[ToolCall, BaseTool | None, ToolMessage]:
        """Find the tool of a call, and what to answer where there is none."""
        check_is_call(item)
        name = item["name"] or ""
        if item.get("type") == "invalid_tool_call":
            reason = INVALID_CALL_TEMPLATE.format(error=item.get("error") or "It is not valid.")
            return cast("ToolCall", item), None, error_message(item, reason)
        # Without an id a tool would return bare content, and lose its artifact.
        call_id = item["id"] or f"call_{uuid.uuid4().hex[:24]}"
        call = tool_call(name=name, args=cast("ToolCall", item)["args"], id=call_id)
        unknown = UNKNOWN_TOOL_TEMPLATE.format(name=name, tools=", ".join(self._by_name))
        return call, self._by_name.get(name), error_message(call, unknown)

    def _timed_out(self, call: ToolCall | InvalidToolCall) -> ToolMessage:
        text = TIMEOUT_TEMPLATE.format(name=call["name"], timeout=self.timeout)
        return error_message(call, text)


def _for_call(config: RunnableConfig | None, call: ToolCall) -> RunnableConfig:
    config = ensure_config(config)
    return {**config, "metadata": {**config.get("metadata", {}), "tool_call_id": call["id"]}}


def _answer(call: ToolCall, made: Any) -> ToolMessage:
    """What a tool made of a whole call is a message, or whatever it made instead.

    A tool that makes its own message may have given it another id; then the call would have no
    answer, and the next request would be refused.
    """
    if isinstance(made, ToolMessage) and made.tool_call_id != call["id"]:
        return made.model_copy(update={"tool_call_id": call["id"]})
    return cast("ToolMessage", made)
