"""Some tools as one: what a model is bound to, and what its calls are run by."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, overload

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.stores import BaseStore
from langchain_core.tools import BaseTool

from langchain_toolstream.schema.tool_like import as_function, as_tool, check_is_list
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.tools.artifacts.store import ArtifactStore
from langchain_toolstream.tools.read_only import ReadOnly, names_in, reader_of
from langchain_toolstream.tools.run.caller import Caller
from langchain_toolstream.tools.run.calls import Order
from langchain_toolstream.tools.run.errors import ErrorPolicy, HandleToolErrors
from langchain_toolstream.tools.run.limits import Limits, check_names
from langchain_toolstream.tools.run.map import ToolMap
from langchain_toolstream.tools.run.progress import without_yields
from langchain_toolstream.tools.run.running import Running

if TYPE_CHECKING:
    from langchain_toolstream.tools.graph.node import ToolSetNode


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
            function), only for some kinds of errors (types, or the annotation of the function), or
            an exception (`False`). LangGraph's interrupts always raise.
        timeout: Seconds that one call may take, retries included, then it is answered with an
            error: for all tools, or by name. A tool that runs in a thread cannot be stopped, only
            left alone.
        retries: How often a call that failed is run again, after a pause that doubles: by name, or
            one number for all read-only tools. What has an effect outside is only run twice where
            it is named. Arguments that do not fit are not tried again.
        max_concurrency: How many calls of a tool may run at once, by name. The limit for all tools
            together is `max_concurrency` in the config of a run. Both hold within one run of
            `map()`.
        artifacts: Where artifacts are kept for later calls, if a tool takes any (`FromArtifact`):
            for the conversation that the config names by `thread_id`, else for the run. By default
            the last 256 of each conversation, in memory. Whatever the store needs, the artifacts
            have to be; nothing is pickled.
        trust_annotations: Whether an MCP server is believed that its tool is read-only.

    Raises:
        TypeError: Something that cannot be run, such as a schema, or no list of tools.
        ValueError: Two tools have the same name, a name given is no tool's, or a limit is none.

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

    def __init__(  # noqa: PLR0913 - each is one thing that may be said of some tools
        self,
        tools: Iterable[BaseTool | Callable[..., Any]],
        *,
        read_only: ReadOnly = (),
        handle_tool_errors: HandleToolErrors = True,
        timeout: float | Mapping[str, float] | None = None,
        retries: int | Mapping[str, int] = 0,
        max_concurrency: Mapping[str, int] | None = None,
        artifacts: BaseStore[str, Any] | None = None,
        trust_annotations: bool = False,
    ) -> None:
        """Make tools of the functions and find out who is read-only."""
        check_is_list(tools)
        self._tools = tuple(as_tool(without_yields(as_function(tool))) for tool in tools)
        if not isinstance(read_only, bool) and not callable(read_only):
            read_only = names_in(read_only)
        is_read_only = reader_of(read_only, trust_annotations=trust_annotations)
        by_name: dict[str, BaseTool] = {}
        self._schemas: dict[str, ToolSchema] = {}
        for tool in self._tools:
            if tool.name in by_name:
                msg = f"Two tools are named {tool.name!r}; a call could not tell them apart."
                raise ValueError(msg)
            by_name[tool.name] = tool
            self._schemas[tool.name] = ToolSchema(tool, read_only=is_read_only(tool), streams=True)
        check_names("read_only", names_in(read_only), by_name)
        limits = Limits(by_name, timeout=timeout, retries=retries, max_concurrency=max_concurrency)
        errors = ErrorPolicy(handle_tool_errors)
        self._handle_tool_errors = handle_tool_errors
        store = ArtifactStore(artifacts)
        self._caller = Caller(self._tools, self._schemas, errors, limits, store)

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
        return repr(self._caller)

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
        call = self._caller.look_up(input)
        if isinstance(call, ToolMessage):
            return call
        return self._caller.run_in_time(call, config, **kwargs)

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
        call = self._caller.look_up(input)
        if isinstance(call, ToolMessage):
            return call
        running = Running(call["id"], call["args"])
        return await self._caller.arun(call, config, running, **kwargs)

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
        return ToolMap(self._caller, order=order)

    def node(  # noqa: PLR0913 - those of ToolNode
        self,
        *,
        name: str = "tools",
        tags: list[str] | None = None,
        handle_tool_errors: HandleToolErrors | None = None,
        messages_key: str = "messages",
        wrap_tool_call: Callable[..., Any] | None = None,
        awrap_tool_call: Callable[..., Awaitable[Any]] | None = None,
    ) -> "ToolSetNode":
        """Make the tools' node of a LangGraph graph: `ToolNode` with these tools.

        State, store and `ToolRuntime`, `Command` and `Send`, artifacts and errors are
        `ToolNode`'s. Beyond it:

        - `timeout`, `retries`, `max_concurrency` and `FromArtifact` hold, as everywhere.
        - Several calls of one message may interrupt. Each waits for an answer of its own, by the id
          of its interrupt, and what has finished does not run again.
        - Invalid calls of the message are answered.
        - With `with node.eager(state):` around the model's call in the model's node, read-only
          tools start while the model writes.

        Args:
            name: As for `ToolNode`.
            tags: As for `ToolNode`.
            handle_tool_errors: As for `ToolNode`; by default that of the `ToolSet`.
            messages_key: As for `ToolNode`.
            wrap_tool_call: As for `ToolNode`.
            awrap_tool_call: As for `ToolNode`.

        Returns:
            A node for `graph.add_node("tools", ...)`.

        Raises:
            ImportError: LangGraph is not installed.

        Example:
            ```python
            from langgraph.graph import START, MessagesState, StateGraph
            from langgraph.prebuilt import tools_condition
            from langchain_toolstream import ChatVLLM, ToolSet

            def add(a: int, b: int) -> int:
                \"\"\"Add two integers.\"\"\"
                return a + b

            tools = ToolSet([add], read_only=True)
            node = tools.node()
            llm = ChatVLLM(base_url="http://localhost:8000/v1").bind_tools(tools)

            async def ask_model(state: MessagesState) -> dict:
                with node.eager(state):
                    return {"messages": [await llm.ainvoke(state["messages"])]}

            graph = StateGraph(MessagesState)
            graph.add_node("model", ask_model)
            graph.add_node("tools", node)
            graph.add_edge(START, "model")
            graph.add_conditional_edges("model", tools_condition)
            graph.add_edge("tools", "model")
            agent = graph.compile()
            ```
        """
        try:
            from langchain_toolstream.tools.graph.node import ToolSetNode  # noqa: PLC0415
        except ImportError as error:
            msg = (
                "ToolSet.node() needs the package langgraph. "
                "Install it with `pip install 'langchain-toolstream[agents]'`."
            )
            raise ImportError(msg) from error
        return ToolSetNode(
            self._tools,
            self._caller.raising(),
            name=name,
            tags=tags,
            handle_tool_errors=(
                self._handle_tool_errors if handle_tool_errors is None else handle_tool_errors
            ),
            messages_key=messages_key,
            wrap_tool_call=wrap_tool_call,
            awrap_tool_call=awrap_tool_call,
        )
