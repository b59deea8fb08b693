"""`EagerToolMiddleware`: one line, and an agent's read-only tools start while the model writes."""

import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_toolstream.agents.guards import Agent, agent_seen_from, asked_by_agent
from langchain_toolstream.schema.injected import without_quotes
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.tools.graph.eager import EagerRuns, MakeStarter, current_runtime
from langchain_toolstream.tools.graph.early import Tasks, Threads
from langchain_toolstream.tools.graph.invalid import answer_invalid_calls, move_invalid_calls
from langchain_toolstream.tools.graph.listening import Listener
from langchain_toolstream.tools.read_only import ReadOnly, names_in, reader_of


class EagerToolMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Start the read-only tools of an agent while the model is still writing.

    A tool starts when its own call is complete. ToolNode, when its turn comes, gets the result of
    the run that is under way instead of starting another; so artifacts, errors, `Command`s, the
    order of the messages and the retries of other middleware are ToolNode's, as ever. The result
    is used only if id, name and arguments of the final call are those that the tool was started
    with. What was started for a message that fails, is asked for again or turns out otherwise is
    cancelled.

    A tool starts early only if

    - it is **read-only**: by `read_only`, else by its `metadata["read_only"]`, else, with
      `trust_annotations`, by the `readOnlyHint` of an MCP server; its `destructiveHint` always
      wins. See `ToolSet`.
    - every earlier call of the message is of a read-only tool too;
    - **nothing guards it**: no other middleware hooks `after_model` or `wrap_tool_call`, and the
      agent has no `interrupt_before` or `interrupt_after`. `HumanInTheLoopMiddleware` guards the
      tools that it names. `eager_despite` makes exceptions.
    - all that the application gives it is known when the model is asked: a store or a
      `ToolRuntime`, whose `state` is the one that the model is asked with. A tool that is given
      the state itself (`InjectedState`) waits, and so does one with `needs_message` in its
      metadata;
    - it runs no agent of its own;
    - the model streams.

    The logger `langchain_toolstream` says at level DEBUG why a read-only tool waits.

    Invalid calls (cut off, malformed, contradicted) do not run. The model is told why and asked
    again, where an agent without the middleware ends silently. After three messages in a row with
    nothing but invalid calls the agent ends.

    Works in `invoke` and `stream` too, where the tools run in threads, which cannot be stopped.

    Args:
        read_only: Which tools are read-only: `True` for all, names, or a predicate on the tool.
        trust_annotations: Whether an MCP server is believed that its tool is read-only.
        eager_despite: Names of guards that read-only tools may overtake (a middleware's name,
            `"interrupt_before"`, `"interrupt_after"`), or of tools that may overtake every guard.

    Raises:
        TypeError: An argument is one name where a list of names belongs, or `create_agent` is given
            a `ToolSet` inside of its list of tools.
        ValueError: `create_agent` is given no tool of a name in `read_only`, or two tools of one
            name.

    Example:
        ```python
        from langchain.agents import create_agent
        from langchain_toolstream import ChatVLLM
        from langchain_toolstream.agents import EagerToolMiddleware

        def add(a: int, b: int) -> int:
            \"\"\"Add two integers.\"\"\"
            return a + b

        agent = create_agent(
            ChatVLLM(), [add], middleware=[EagerToolMiddleware(read_only=["add"])]
        )
        ```
    """

    def __init__(
        self,
        *,
        read_only: ReadOnly = (),
        trust_annotations: bool = False,
        eager_despite: Iterable[str] = (),
    ) -> None:
        """Note who is read-only."""
        super().__init__()
        if isinstance(eager_despite, str):
            msg = f"eager_despite takes a list of names, not one name: [{eager_despite!r}]."
            raise TypeError(msg)
        self._is_read_only = reader_of(read_only, trust_annotations=trust_annotations)
        self._eager_despite = frozenset(eager_despite)
        self._names = frozenset() if callable(read_only) else names_in(read_only)
        self._agent: Agent | None = None
        self._schemas: Mapping[int, tuple[BaseTool, ToolSchema]] = {}
        self._eager = EagerRuns()

    @property
    def name(self) -> str:
        """The name of the middleware; asked for it by `create_agent`, it looks at the agent."""
        if (agent := agent_seen_from(self)) is not None:
            agent.check(self._names)
            self._agent = agent.joined_with(self._agent)
        return super().name

    # Around the model.

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Call the model, and start tools while it writes.

        Args:
            request: What the model is asked.
            handler: Calls the model, perhaps through other middleware.

        Returns:
            Its response; calls that are invalid stand in `invalid_tool_calls`.
        """
        with self._listening(request, Threads) as listener:
            return _without_invalid_calls(handler(request), listener)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Call the model, as `wrap_model_call` does.

        Args:
            request: See `wrap_model_call`.
            handler: See `wrap_model_call`.

        Returns:
            See `wrap_model_call`.
        """
        with self._listening(request, Tasks) as listener:
            return _without_invalid_calls(await handler(request), listener)

    @contextmanager
    def _listening(self, request: ModelRequest[Any], starter: MakeStarter) -> Iterator[Listener]:
        schemas = self._schemas_of(request.tools)
        if self._agent is None:
            warnings.warn(
                "EagerToolMiddleware could not see what else guards the agent, because create_agent"
                " did not make it. Only tools that are named in eager_despite start early.",
                stacklevel=2,
            )
        with self._eager.listening(
            {tool.name: tool for tool, _ in self._schemas.values()},
            schemas,
            starter,
            runtime=current_runtime() if request.runtime is None else request.runtime,
            state=request.state,
            guards_of=self._guards_of,
            is_answer=asked_by_agent,
        ) as (listener, _):
            yield listener

    def _guards_of(self, name: str) -> Iterable[str]:
        if name in self._eager_despite:
            return ()
        if self._agent is None:
            return ("guards that could not be seen",)
        return self._agent.guards_of(name) - self._eager_despite

    def _schemas_of(self, tools: Iterable[BaseTool | dict[str, Any]]) -> dict[str, ToolSchema]:
        """What is known of an agent's tools."""
        self._schemas = {  # of these tools only, so that there are never more
            id(tool): self._schemas.get(id(tool))
            or (tool, ToolSchema(tool, read_only=self._is_read_only(tool)))
            for tool in tools
            if isinstance(tool, BaseTool)
        }
        return {tool.name: schema for tool, schema in self._schemas.values()}

    # Behind the model.

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Stop what was started for no call of the message, and answer the invalid calls.

        Args:
            state: The agent's state.
            runtime: Says which run of the agent it is.

        Returns:
            The answers, if there are any; the model is asked again if it made no other call.
        """
        messages = state["messages"]
        last = next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)
        self._eager.keep(runtime, last.tool_calls if last else [])
        errors, again = answer_invalid_calls(messages)
        if not errors:
            return None
        return {"messages": errors, **({"jump_to": "model"} if again else {})}

    @hook_config(can_jump_to=["model"])
    async def aafter_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Do as `after_model` does; nothing in it waits.

        Args:
            state: See `after_model`.
            runtime: See `after_model`.

        Returns:
            See `after_model`.
        """
        return self.after_model(state, runtime)

    # Around the tools.

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run a tool, or wait for the one that runs already.

        Args:
            request: The call.
            handler: Runs the tool, perhaps through other middleware.

        Returns:
            What it makes of it.
        """
        with self._running_tool(request) as running:
            return handler(running)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run a tool, as `wrap_tool_call` does.

        Args:
            request: See `wrap_tool_call`.
            handler: See `wrap_tool_call`.

        Returns:
            See `wrap_tool_call`.
        """
        with self._running_tool(request) as running:
            return await handler(running)

    @contextmanager
    def _running_tool(self, request: ToolCallRequest) -> Iterator[ToolCallRequest]:
        with self._eager.running_tool(request) as running:
            if running is not request or request.tool is None:
                yield running
                return
            tool = without_quotes(request.tool)
            yield request if tool is request.tool else request.override(tool=tool)


def _without_invalid_calls(response: ModelResponse[Any], listener: Listener) -> ModelResponse[Any]:
    """The response with its invalid calls where no one runs them."""
    messages: list[Any] = []
    for message in response.result:
        if not isinstance(message, AIMessage):
            messages.append(message)
            continue
        heard = listener.heard_of(message)
        judged = move_invalid_calls(message, heard.calls, may_run_early=listener.may_start)
        if heard.error is not None and judged.tool_calls:
            raise heard.error
        messages.append(judged)
    return replace(response, result=messages)
