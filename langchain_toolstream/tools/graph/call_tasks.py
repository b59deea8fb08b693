"""The calls of one message as LangGraph tasks, so that each can be interrupted by itself.

In one node of LangGraph, two calls that both ask a human share the node's answers: the answer goes
to whoever asks first after the resumption, and what has run already runs again. A task has answers
of its own, and its result is kept. docs/decisions/0024 has the alternatives.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_config
from langgraph.constants import TAG_HIDDEN
from langgraph.errors import GraphInterrupt, ParentCommand
from langgraph.func import task
from langgraph.runtime import Runtime

_CALL = "__pregel_call"
"""Where LangGraph keeps what starts a task of a node."""

_OF_TASK = ("callbacks", "configurable", "metadata")
_OPTIONS = ("__name__", "__cancel_on_exit__", "__reraise_on_exit__", "__next_tick__")


def tasks_for(
    calls: Sequence[ToolCall], config: RunnableConfig | None, name: str
) -> "CallTasks | None":
    """Make tasks of the calls of a message, where that makes a difference.

    That is where there are several, in a graph whose state is kept.

    Args:
        calls: The calls.
        config: That of the node.
        name: The name of the node, under which the tasks are known.
    """
    configurable = (config or {}).get("configurable", {})
    if len(calls) < 2 or _CALL not in configurable or not configurable.get("thread_id"):  # noqa: PLR2004
        return None
    return CallTasks(calls, name)


class CallTasks:
    """The calls of one message, each a task of the tools' node.

    LangGraph knows a task by how many tasks its node has started before. So they are started in the
    order of the calls, in threads too.

    Args:
        calls: The calls.
        name: The name of the node.
    """

    def __init__(self, calls: Sequence[ToolCall], name: str) -> None:
        """Nothing runs yet."""
        self._places = {id(call): place for place, call in enumerate(calls)}
        self._name = name
        self._next = 0
        self._condition = threading.Condition()
        self._interrupts: dict[int, GraphInterrupt] = {}
        self._command: Any = None

    def run(self, call: ToolCall, run: Callable[[], Any]) -> Any:
        """Run a call.

        Args:
            call: One of the calls.
            run: Runs its tool.

        Returns:
            What the tool made of it, once; a message that nobody sees where it was interrupted.
        """
        place = self._places[id(call)]
        with self._condition:
            self._condition.wait_for(lambda: self._next == place)

        def body() -> dict[str, Any]:
            try:
                return {"made": run()}
            except ParentCommand as error:
                return {"command": error.args[0]}

        def submit(function: Callable[..., Any], started: Any, *args: Any, **kwargs: Any) -> Any:
            self._started(place)
            future: Future[Any] = Future()
            try:
                future.set_result(function(started, *args, **_without_options(kwargs)))
            except BaseException as error:  # noqa: BLE001 - LangGraph says what becomes of it
                future.set_exception(error)
            _hide(started)
            return future

        try:
            with _submitting(submit):
                future = self._task(body)
        finally:
            self._started(place)  # what was kept is not run
        return self._outcome(call, place, future.result)

    async def arun(self, call: ToolCall, run: Callable[[], Awaitable[Any]]) -> Any:
        """Run a call, as `run` does."""
        place = self._places[id(call)]

        async def body() -> dict[str, Any]:
            try:
                return {"made": await run()}
            except ParentCommand as error:
                return {"command": error.args[0]}

        async def follow(function: Callable[..., Any], started: Any, args: Any, kwargs: Any) -> Any:
            try:
                return await function(started, *args, **kwargs)
            finally:
                _hide(started)

        def submit(function: Callable[..., Any], started: Any, *args: Any, **kwargs: Any) -> Any:
            return asyncio.ensure_future(follow(function, started, args, _without_options(kwargs)))

        with _submitting(submit):
            future = self._task(body)
        await asyncio.wait([future])
        return self._outcome(call, place, future.result)

    def _task(self, body: Any) -> Any:
        return task(name=self._name)(body)()

    def _started(self, place: int) -> None:
        with self._condition:
            if self._next == place:
                self._next += 1
                self._condition.notify_all()

    def _outcome(self, call: ToolCall, place: int, result: Callable[[], dict[str, Any]]) -> Any:
        try:
            outcome = result()
        except GraphInterrupt as error:
            self._interrupts[place] = error
        else:
            if "made" in outcome:
                return outcome["made"]
            self._command = outcome["command"]
        return ToolMessage("", tool_call_id=call["id"])

    def check(self, runtime: Runtime[Any] | None) -> None:
        """Raise all interrupts as one, when all calls have run.

        Args:
            runtime: That of the node.

        Raises:
            GraphInterrupt: With the interrupts of all calls.
            ParentCommand: A graph that a tool runs hands over to the graph of the node.
        """
        if self._interrupts:
            found = [self._interrupts[place].args[0] for place in sorted(self._interrupts)]
            raise GraphInterrupt([one for interrupts in found for one in interrupts])
        if self._command is not None:
            info = runtime.execution_info if runtime else None
            namespace = info.checkpoint_ns if info else ""
            if str(self._command.graph).startswith(f"{namespace}|"):  # the task's own
                raise ParentCommand(replace(self._command, graph=namespace))
            raise ParentCommand(self._command)


def in_task(config: RunnableConfig) -> RunnableConfig:
    """The configuration of a call in its task: where it interrupts, and runs graphs.

    Args:
        config: That of the call in the node, which ToolNode made.
    """
    own: Any = get_config()
    return {**config, **{name: own[name] for name in _OF_TASK if name in own}}  # type: ignore[typeddict-item]


@contextmanager
def _submitting(submit: Callable[..., Any]) -> Iterator[None]:
    """Let a task run where its call runs.

    LangGraph's own `submit` counts the task and its node against `max_concurrency`, and a node that
    waits for a task that waits for the node's place waits for ever. ToolNode has counted the call.
    """
    config = get_config()
    configurable = config.get("configurable", {})
    start: Any = configurable[_CALL]
    if isinstance(start, partial) and "submit" in start.keywords:
        start = partial(start, submit=lambda: submit)
    configurable = {**configurable, _CALL: start}
    token = var_child_runnable_config.set({**config, "configurable": configurable})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _without_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in _OPTIONS}


def _hide(started: Any) -> None:
    """Keep a task's result out of the stream of updates: the node's update has it."""
    config = getattr(started, "config", None)
    if isinstance(config, dict):
        config["tags"] = [*config.get("tags", ()), TAG_HIDDEN]
