"""Read-only tools that start while a model writes, and ToolNode that gets their results.

`EagerToolMiddleware` and the node of a `ToolSet` do this alike: they listen while the model is
asked, and hand out what runs already when a tool's turn comes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    merge_configs,
    var_child_runnable_config,
)
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime, get_runtime

from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.tools.graph.early import EagerTool, EarlyCalls, RunningTool, Runs, Starter
from langchain_toolstream.tools.graph.injected import GivenByGraph
from langchain_toolstream.tools.graph.listening import Listener, StreamingListener
from langchain_toolstream.tools.graph.subgraphs import runs_graph

logger = logging.getLogger(__name__)

MakeStarter = Callable[[RunnableConfig], Starter]


class EagerRuns:
    """What runs early, in all runs of one graph."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.runs = Runs()
        self._known: dict[int, tuple[BaseTool, GivenByGraph, bool]] = {}
        self._told: set[tuple[str, str]] = set()

    @contextmanager
    def listening(  # noqa: PLR0913 - what a request says, and who asks
        self,
        tools: Mapping[str, BaseTool],
        schemas: Mapping[str, ToolSchema],
        starter: MakeStarter,
        *,
        runtime: Runtime[Any] | None,
        state: Any,
        guards_of: Callable[[str], Iterable[str]] = lambda _: (),
        is_answer: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[Listener, EarlyCalls]]:
        """Listen to the model that is asked meanwhile, and start tools.

        Args:
            tools: The tools by name.
            schemas: What they accept, and who of them is read-only.
            starter: Makes what runs tools.
            runtime: That of the model's node.
            state: The state that the model is asked with.
            guards_of: Names what has to see the calls of a tool before they run.
            is_answer: Says, when a model begins, whether its message is the answer.

        Yields:
            Who listens, and what was started.
        """
        config = ensure_config()
        early = EarlyCalls(starter(config))
        eager = dict(self._eager(tools, schemas, runtime, state, guards_of))
        if runtime is None or not self.runs.register(runtime, early):
            eager = {}
        info = runtime.execution_info if runtime else None
        listener = (StreamingListener if eager else Listener)(
            schemas, eager, early, info.checkpoint_ns if info else None, is_answer
        )
        token = var_child_runnable_config.set(merge_configs(config, {"callbacks": [listener]}))
        try:
            yield listener, early
        except BaseException:
            early.keep([])
            raise
        finally:
            var_child_runnable_config.reset(token)
            early.end()
            self.drop_if_empty(runtime)

    def _eager(
        self,
        tools: Mapping[str, BaseTool],
        schemas: Mapping[str, ToolSchema],
        runtime: Runtime[Any] | None,
        state: Any,
        guards_of: Callable[[str], Iterable[str]],
    ) -> Iterator[tuple[str, EagerTool]]:
        """The tools that may start early; the log says why the other read-only ones may not."""
        known = self._known
        self._known = {}  # of these tools only, so that there are never more
        for name, tool in tools.items():
            if not schemas[name].read_only:
                continue
            found = known.get(id(tool)) or (tool, GivenByGraph(tool), runs_graph(tool))
            self._known[id(tool)] = found
            _, by_graph, is_agent = found
            reason = by_graph.why_it_waits(runtime)
            if runtime is None:
                reason = "the model is not asked in a node of a graph"
            elif guards := sorted(guards_of(name)):
                reason = f"its calls may be stopped by {', '.join(guards)}"
            elif is_agent:
                reason = "it runs a graph, which belongs under the tools' node"
            if reason is None:
                give = partial(by_graph.give, runtime=runtime, state=state)
                yield name, EagerTool(tool, by_graph.names, give, by_graph.runs)
            elif (name, reason) not in self._told:
                self._told.add((name, reason))
                logger.debug("The read-only tool %r does not start early: %s.", name, reason)

    def keep(self, runtime: Runtime[Any], calls: list[Any]) -> None:
        """Stop what was started for other calls than these.

        Args:
            runtime: That of any node of the graph.
            calls: The calls of the message.
        """
        if early := self.runs.find(runtime):
            early.keep(calls)
            self.drop_if_empty(runtime)

    def drop_if_empty(self, runtime: Runtime[Any] | None) -> None:
        """Forget a run that has nothing left.

        Args:
            runtime: That of any node of the graph.
        """
        if runtime is not None:
            self.runs.drop_if_empty(runtime)

    @contextmanager
    def running_tool(
        self, request: ToolCallRequest, runtime: Runtime[Any] | None = None
    ) -> Iterator[ToolCallRequest]:
        """The request for the tool that runs already, if one does.

        Args:
            request: What ToolNode asks for.
            runtime: That of the tools' node, where it is not the one that runs.

        Yields:
            What to ask for instead.
        """
        runtime, tool = runtime or current_runtime(), request.tool
        early = self.runs.find(runtime) if runtime else None
        call = early.take(request.tool_call, tool) if early and tool else None
        self.drop_if_empty(runtime)
        if call is None or tool is None:
            yield request
            return
        running = RunningTool(tool, call)
        try:
            yield request.override(tool=running)
        finally:
            running.cancel_unless_taken()  # other middleware may have answered without it


def current_runtime(config: RunnableConfig | None = None) -> Runtime[Any] | None:
    """The runtime of the node that runs, if one does.

    Args:
        config: That of the node, where it has only begun.
    """
    if found := (config or {}).get("configurable", {}).get("__pregel_runtime"):
        return cast("Runtime[Any]", found)
    try:
        return get_runtime()
    except (KeyError, RuntimeError):
        return None
