"""Tools that run before ToolNode asks for them, and how ToolNode gets their results."""

import asyncio
import dataclasses
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import Context, copy_context
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.runtime import Runtime
from pydantic import PrivateAttr

from langchain_toolstream.schema.tool_schema import copied

Run = asyncio.Future[Any] | Future[Any]

PATIENCE = 10.0
"""Seconds that a result is kept after the end of the message. ToolNode asks for it within
milliseconds, unless the reader of the agent's stream is slow or has left."""


class EagerTool(NamedTuple):
    """A tool that may start while the model writes.

    Attributes:
        tool: The tool.
        injected: The parameters that the application gives.
        give: Puts into a call what the application gives.
        runs: What is run of it: itself, but that its errors do not quote what it is given.
    """

    tool: BaseTool
    injected: frozenset[str]
    give: Callable[[ToolCall, RunnableConfig], ToolCall]
    runs: BaseTool


class Starter(Protocol):
    """What runs tools: `Tasks` or `Threads`."""

    def start(self, tool: EagerTool, call: ToolCall) -> Run | None:
        """Run a tool; return nothing where that is not possible."""
        ...

    def end(self, drop_the_rest: Callable[[], object]) -> None:
        """Start nothing more. Call `drop_the_rest` after `PATIENCE`, where that can be done."""
        ...

    def all_taken(self) -> None:
        """Nothing is left to drop."""
        ...


class NotEarly(GraphInterrupt):
    """Raised where a tool that runs early asks a human, or runs a graph.

    Both belong to the node whose turn it is: that of the tools. The tool stops here, and ToolNode
    runs it. LangGraph reports such a tool as paused, not as failed.
    """


class EarlyCall:
    """A call whose tool runs, or has run, before ToolNode asked for it."""

    __slots__ = ("_injected", "_signature", "_tool", "run", "written_by")

    def __init__(self, call: ToolCall, tool: EagerTool, run: Run, written_by: UUID) -> None:
        self._injected = tool.injected
        self._signature = _signature(call, self._injected)
        self._tool = tool.tool
        self.run = run
        self.written_by = written_by

    def answers(self, call: ToolCall, tool: BaseTool | None = None) -> bool:
        """Whether what the tool returns is the answer to this very call."""
        return self._signature == _signature(call, self._injected) and tool in (None, self._tool)


class EarlyCalls:
    """The calls of one message whose tools were started while it was written.

    Args:
        starter: What runs the tools.

    Attributes:
        expires: When nobody will ask for their results any more.
        invalid: The invalid calls of the message by id, for a node that cannot change the message.
    """

    def __init__(self, starter: Starter) -> None:
        """Start without any."""
        self._starter = starter
        self._calls: dict[str, EarlyCall] = {}
        self.expires = math.inf
        self.invalid: dict[str, InvalidToolCall] = {}

    def __bool__(self) -> bool:
        """Whether there is anything that ToolNode has not asked for."""
        return bool(self._calls or self.invalid)

    def start(self, call: ToolCall, tool: EagerTool, *, written_by: UUID) -> None:
        """Run the tool of a call."""
        call_id = call["id"]
        if not call_id or call_id in self._calls:
            return
        # The tool may change what it is given, in another thread even before this goes on.
        own: ToolCall = {**call, "args": copied(call["args"])}
        if run := self._starter.start(tool, own):
            self._calls[call_id] = EarlyCall(call, tool, run, written_by)

    def cancel(self, call_id: str | None) -> None:
        """Stop the tool of a call that is invalid, or drop its result."""
        if early := self._calls.pop(call_id or "", None):
            early.run.cancel()
            self._report_if_empty()

    def cancel_written_by(self, run_id: UUID) -> None:
        """Stop the tools of all calls of one model run."""
        for call_id, early in list(self._calls.items()):
            if early.written_by == run_id:
                self.cancel(call_id)

    def keep(self, calls: list[ToolCall]) -> None:
        """Stop the tools of all calls but these."""
        kept = {call["id"]: call for call in calls}
        for call_id, early in list(self._calls.items()):
            if call_id not in kept or not early.answers(kept[call_id]):
                self.cancel(call_id)

    def take(self, call: ToolCall, tool: BaseTool) -> EarlyCall | None:
        """Hand out a call's early run, if there is one, once."""
        early = self._calls.get(call["id"] or "")
        if early is None:
            return None
        if not early.answers(call, tool):
            self.cancel(call["id"])
            return None
        del self._calls[call["id"] or ""]
        self._report_if_empty()
        return early

    def end(self) -> None:
        """The message has ended: ToolNode asks soon, or never."""
        self.expires = time.monotonic() + PATIENCE
        self._starter.end(lambda: self.keep([]))
        self._report_if_empty()

    def _report_if_empty(self) -> None:
        if not self._calls:
            self._starter.all_taken()


class Runs:
    """Which calls run early in which run of the agent.

    One middleware serves all runs of its agent at once, and two runs may have calls with the same
    id. LangGraph's `RunControl`, of which every run has one, tells them apart, and for agents in a
    graph also their place in it.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._runs: dict[tuple[int, str], tuple[object, EarlyCalls]] = {}

    def register(self, runtime: Runtime[Any], early: EarlyCalls) -> bool:
        """Register what will be started for the next message of a run.

        What is left of an earlier message is stopped: outer middleware asked the model again, or
        ToolNode never asked.

        Args:
            runtime: That of the model's node.
            early: Empty so far.

        Returns:
            Whether it can be found again.
        """
        now = time.monotonic()
        for old, (_, one) in list(self._runs.items()):
            if one.expires < now:  # the run was abandoned
                self._drop(old)
        if (key := _key(runtime)) is None:
            return False
        self._drop(key)
        self._runs[key] = (runtime.control, early)  # held, so that its id is no other's
        return True

    def drop_if_empty(self, runtime: Runtime[Any]) -> None:
        """Forget a run that has nothing left.

        Args:
            runtime: That of any node of the agent.
        """
        key = _key(runtime)
        if key is not None and not self.find(runtime):
            self._drop(key)

    def _drop(self, key: tuple[int, str]) -> None:
        if found := self._runs.pop(key, None):
            found[1].keep([])

    def find(self, runtime: Runtime[Any]) -> EarlyCalls | None:
        """What was started for the newest message of a run.

        Args:
            runtime: That of any node of the agent.
        """
        key = _key(runtime)
        found = None if key is None else self._runs.get(key)
        return None if found is None else found[1]


def _key(runtime: Runtime[Any]) -> tuple[int, str] | None:
    control = runtime.control
    namespace = getattr(runtime.execution_info, "checkpoint_ns", None)
    if control is None or not isinstance(namespace, str):
        return None
    return id(control), namespace.rpartition("|")[0]


class Tasks:
    """Runs tools as tasks of the running event loop."""

    def __init__(self, config: RunnableConfig) -> None:
        """Note the context that the tools run in."""
        self._config = config
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        limit = config.get("max_concurrency")
        self._slots = asyncio.Semaphore(limit) if limit else nullcontext()

    def start(self, tool: EagerTool, call: ToolCall) -> Run | None:
        """Run a tool in a task; none, where a model reports its tokens from another thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return None

        config = _for_call(self._config, call)

        async def run_tool() -> Any:
            async with self._slots:
                return await tool.runs.ainvoke(tool.give(call, config), config)

        task = asyncio.create_task(run_tool(), context=self._context.copy())
        task.add_done_callback(_retrieve_error)  # asyncio warns of errors nobody looked at
        return task

    def end(self, drop_the_rest: Callable[[], object]) -> None:
        """Drop in time what nobody asked for."""
        self._timer = self._loop.call_later(PATIENCE, drop_the_rest)

    def all_taken(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()


class Threads:
    """Runs tools in threads."""

    def __init__(self, config: RunnableConfig) -> None:
        """Note the context that the tools run in."""
        self._config = config
        self._context = copy_context()
        self._executor: ThreadPoolExecutor | None = None

    def start(self, tool: EagerTool, call: ToolCall) -> Run | None:
        """Run a tool in a thread."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._config.get("max_concurrency"))
        context: Context = self._context.copy()
        config = _for_call(self._config, call)
        call = tool.give(call, config)
        return self._executor.submit(context.run, tool.runs.invoke, call, config)

    def end(self, drop_the_rest: Callable[[], object]) -> None:
        """Start no more threads; a tool that runs in one cannot be stopped."""
        del drop_the_rest
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    def all_taken(self) -> None:
        """Do nothing: there is no timer."""


class StandIn(BaseTool):
    """Stands in ToolNode for a tool and looks like it.

    Args:
        tool: The tool.
    """

    _tool: BaseTool = PrivateAttr()

    def __init__(self, tool: BaseTool) -> None:
        """Look like the tool."""
        looks: dict[str, Any] = {
            name: getattr(tool, name)
            for name in ("name", "description", "args_schema", "return_direct", "tags", "metadata")
            if getattr(tool, name) is not None
        }
        super().__init__(**looks)
        self._tool = tool

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self._tool._run(*args, **kwargs)  # noqa: SLF001 - BaseTool's own protocol


class RunningTool(StandIn):
    """Stands in ToolNode for a tool that has been started, and returns what that returns.

    So ToolNode does with the result, or with the error, what it always does. Asked for anything but
    the very call that was started, or a second time, it runs the tool.

    Args:
        tool: The tool.
        early: The call that it was started for.
    """

    _early: EarlyCall | None = PrivateAttr()

    def __init__(self, tool: BaseTool, early: EarlyCall) -> None:
        """Look like the tool."""
        super().__init__(tool)
        self._early = early

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Wait for the tool that runs.

        Args:
            input: The call.
            config: Used where the tool has to be run after all.
            **kwargs: Likewise.

        Returns:
            What the tool returns.
        """
        if run := self._take(input):
            try:
                return cast("Future[Any]", run).result()
            except GraphBubbleUp:
                pass  # an interrupt belongs to the node that is to be resumed: ToolNode's
        return self._tool.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Wait for the tool that runs, as `invoke` does.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: See `invoke`.

        Returns:
            See `invoke`.
        """
        if run := self._take(input):
            try:
                return await cast("asyncio.Future[Any]", run)  # cancelled with whoever waits
            except GraphBubbleUp:
                pass
        return await self._tool.ainvoke(input, config, **kwargs)

    def cancel_unless_taken(self) -> None:
        """Stop the tool if nobody has asked for its result."""
        early, self._early = self._early, None
        if early is not None:
            early.run.cancel()

    def _take(self, call: Any) -> Run | None:
        early, self._early = self._early, None
        if early is None:
            return None
        if not early.answers(call):
            early.run.cancel()
            return None
        return early.run


def _signature(call: Any, injected: frozenset[str]) -> tuple[Any, ...] | None:
    """What makes a call that call: what the model wrote.

    JSON tells `1`, `1.0` and `true` apart, which are equal in Python.
    """
    try:
        args = {name: value for name, value in call["args"].items() if name not in injected}
        return call["id"], call["name"], json.dumps(args, sort_keys=True)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _for_call(config: RunnableConfig, call: ToolCall) -> RunnableConfig:
    """The configuration of a tool.

    It runs under the model's node, the only one there is yet. Whoever sorts tokens and events by
    node wants those of a tool under the tools' node all the same.
    """
    more = {"langgraph_node": "tools", "tool_call_id": call["id"]}
    return {
        **config,
        "metadata": {**config.get("metadata", {}), **more},
        "configurable": _without_turn(config.get("configurable", {})),
    }


def _without_turn(configurable: dict[str, Any]) -> dict[str, Any]:
    """The configuration in which a tool can neither interrupt nor run a graph.

    LangGraph counts both, in what it calls a scratchpad of the node.
    """
    scratchpad: Any = configurable.get("__pregel_scratchpad")
    names = ("interrupt_counter", "subgraph_counter")
    if not dataclasses.is_dataclass(scratchpad) or not all(hasattr(scratchpad, n) for n in names):
        return configurable
    stops = dataclasses.replace(cast("Any", scratchpad), **dict.fromkeys(names, _stop))
    return {**configurable, "__pregel_scratchpad": stops}


def _stop() -> int:
    raise NotEarly


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
