"""The tools' node of a graph: LangGraph's `ToolNode` with the tools of a `ToolSet`."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from pydantic import PrivateAttr

from langchain_toolstream.tools.graph.call_tasks import CallTasks, in_task, tasks_for
from langchain_toolstream.tools.graph.eager import EagerRuns, current_runtime
from langchain_toolstream.tools.graph.early import StandIn, Tasks, Threads
from langchain_toolstream.tools.graph.invalid import answer_invalid_calls, is_invalid
from langchain_toolstream.tools.run.caller import Caller
from langchain_toolstream.tools.run.errors import HandleToolErrors, invalid_message
from langchain_toolstream.tools.run.running import Running

Wrapper = Callable[[ToolCallRequest, Callable[[ToolCallRequest], Any]], Any]
AsyncWrapper = Callable[
    [ToolCallRequest, Callable[[ToolCallRequest], Awaitable[Any]]], Awaitable[Any]
]


class ToolSetNode(ToolNode):
    """The tools' node of a graph; `ToolSet.node` makes it and says what it does.

    Args:
        tools: The tools.
        caller: Runs them.
        name: As for `ToolNode`.
        tags: As for `ToolNode`.
        handle_tool_errors: As for `ToolNode`.
        messages_key: As for `ToolNode`.
        wrap_tool_call: As for `ToolNode`.
        awrap_tool_call: As for `ToolNode`.
    """

    def __init__(  # noqa: PLR0913 - those of ToolNode
        self,
        tools: Sequence[BaseTool],
        caller: Caller,
        *,
        name: str,
        tags: list[str] | None,
        handle_tool_errors: HandleToolErrors,
        messages_key: str,
        wrap_tool_call: Wrapper | None,
        awrap_tool_call: AsyncWrapper | None,
    ) -> None:
        """Make a `ToolNode` of the tools."""
        super().__init__(
            tools,
            name=name,
            tags=tags,
            handle_tool_errors=handle_tool_errors,
            messages_key=messages_key,
            wrap_tool_call=self._run_call,
            awrap_tool_call=self._arun_call,
        )
        self._caller = caller
        self._key = messages_key
        self._wrapper = wrap_tool_call
        self._awrapper = awrap_tool_call
        self._limited: dict[str, BaseTool] = {
            tool.name: LimitedTool(tool, caller) for tool in tools
        }
        self._eager_runs = EagerRuns()

    @contextmanager
    def eager(self, state: Any) -> Iterator[None]:
        """Start read-only tools while the model that is asked meanwhile is still writing.

        Put it around the model's call in the model's node, and around nothing else: every model
        that is asked in it is taken for the one whose calls this node runs. When it is this node's
        turn, it takes the results of what runs already. Invalid calls do not run: the node answers
        them. The rest is as for `EagerToolMiddleware`, but for guards: what stops calls between the
        two nodes is not known here, and a read-only tool does not wait for it. See `ToolSet.node`.

        Args:
            state: The state that the model is asked with. A tool with a `ToolRuntime` that starts
                early gets this state.
        """
        token = _slots.set(Slots(self._caller, in_loop=_in_loop()))
        try:
            with self._eager_runs.listening(
                self._limited,
                self._caller.schemas,
                Tasks if _in_loop() else Threads,
                runtime=current_runtime(),
                state=state,
            ) as (listener, early):
                yield
                heard = listener.last
                if heard.error is not None and heard.calls:
                    raise heard.error
                early.invalid = {call["id"] or "": call for call in heard.calls if is_invalid(call)}
        finally:
            _slots.reset(token)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the calls of a message.

        Args:
            input: As for `ToolNode`: the state, messages, or calls.
            config: As for `ToolNode`.
            **kwargs: As for `ToolNode`.

        Returns:
            As `ToolNode`: an update of the state, or several, or commands.
        """
        with self._running(input, config, in_loop=False) as message:
            try:
                output = super().invoke(input, config, **kwargs)
            except Unhandled as unhandled:
                raise unhandled.error from None
            return message.finish(output)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run the calls of a message, as `invoke` does.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: See `invoke`.

        Returns:
            See `invoke`.
        """
        with self._running(input, config, in_loop=True) as message:
            try:
                output = await super().ainvoke(input, config, **kwargs)
            except Unhandled as unhandled:
                raise unhandled.error from None
            return message.finish(output)

    @contextmanager
    def _running(
        self, given: Any, config: RunnableConfig | None, *, in_loop: bool
    ) -> Iterator["MessageRun"]:
        runtime = current_runtime(config)
        messages = _messages(given, self._key)
        last = next((m for m in reversed(messages) if isinstance(m, AIMessage)), None)
        calls = last.tool_calls if last else []
        if last is not None and runtime is not None:
            self._eager_runs.keep(runtime, calls)
        tasks = tasks_for(calls, config, self.name or "tools")
        message = MessageRun(runtime, tasks, self._answers(given, messages))
        tokens = _slots.set(Slots(self._caller, in_loop=in_loop)), _message.set(message)
        try:
            yield message
        finally:
            _slots.reset(tokens[0])
            _message.reset(tokens[1])

    def _answers(self, given: Any, messages: Sequence[BaseMessage]) -> list[Any]:
        """The answers to the message's invalid calls, as updates of the state."""
        errors, _ = answer_invalid_calls(messages)
        if not errors:
            return []
        return [errors] if isinstance(given, list) else [{self._key: errors}]

    def _run_call(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        """Run a call, in ToolNode's place."""
        message = _message.get()

        def run() -> Any:
            if self._wrapper is not None:
                return self._wrapper(request, execute_early)
            return execute_early(request)

        def execute_early(request: ToolCallRequest) -> Any:
            with self._prepared(request, message) as prepared:
                return prepared if isinstance(prepared, ToolMessage) else execute(prepared)

        with self._past_tool_node():
            if message is None or message.tasks is None:
                return run()
            return message.tasks.run(request.tool_call, run)

    async def _arun_call(
        self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """Run a call, as `_run_call` does."""
        message = _message.get()
        loop = asyncio.get_running_loop()

        async def run() -> Any:
            if self._awrapper is not None:
                return await self._awrapper(request, execute_early)
            if self._wrapper is not None:
                return await run_in_executor(None, self._wrapper, request, execute_from_thread)
            return await execute_early(request)

        def execute_from_thread(request: ToolCallRequest) -> Any:
            return asyncio.run_coroutine_threadsafe(execute_early(request), loop).result()

        async def execute_early(request: ToolCallRequest) -> Any:
            with self._prepared(request, message) as prepared:
                return prepared if isinstance(prepared, ToolMessage) else await execute(prepared)

        with self._past_tool_node():
            if message is None or message.tasks is None:
                return await run()
            return await message.tasks.arun(request.tool_call, run)

    @contextmanager
    def _prepared(
        self, request: ToolCallRequest, message: "MessageRun | None"
    ) -> Iterator[ToolCallRequest | ToolMessage]:
        """The request for a tool within its limits, or that runs already; or the answer."""
        of_node = message.runtime if message else None
        early = self._eager_runs.runs.find(of_node) if of_node else None
        if early and (invalid := early.invalid.pop(request.tool_call["id"] or "", None)):
            yield invalid_message(invalid, invalid["error"])
            return
        name = request.tool_call["name"]
        if request.tool is not None and request.tool is self.tools_by_name.get(name):
            request = request.override(tool=self._limited[name])
        if message and message.tasks and request.runtime is not None:
            own = in_task(request.runtime.config)
            runtime = current_runtime(own)
            info = None if runtime is None else runtime.execution_info
            request = replace(
                request, runtime=replace(request.runtime, config=own, execution_info=info)
            )
        with self._eager_runs.running_tool(request, of_node) as running:
            yield running

    @contextmanager
    def _past_tool_node(self) -> Iterator[None]:
        """Let an error that ToolNode does not handle pass it.

        Of a wrapper's error it makes an answer, whatever kinds of errors are to be handled.
        """
        try:
            yield
        except GraphBubbleUp:
            raise
        except Exception as error:
            if self._wrapper is not None or self._awrapper is not None:
                raise
            raise Unhandled(error) from error


class Unhandled(GraphBubbleUp):
    """An error on its way through ToolNode."""

    def __init__(self, error: Exception) -> None:
        """Keep the error."""
        super().__init__(error)
        self.error = error


class MessageRun:
    """One message whose calls are run.

    Args:
        runtime: That of the node.
        tasks: Its calls as tasks, where they are.
        answers: Updates with the answers to its invalid calls.
    """

    def __init__(
        self, runtime: Runtime[Any] | None, tasks: CallTasks | None, answers: list[Any]
    ) -> None:
        """Nothing has run yet."""
        self.runtime = runtime
        self.tasks = tasks
        self._answers = answers

    def finish(self, output: Any) -> Any:
        """Raise what interrupted the calls, and add the answers to the invalid ones.

        Args:
            output: What ToolNode returns.
        """
        if self.tasks is not None:
            self.tasks.check(self.runtime)
        if not self._answers:
            return output
        (answers,) = self._answers
        if isinstance(answers, dict) and isinstance(output, dict):
            ((key, errors),) = answers.items()
            return {**output, key: [*output.get(key, ()), *errors]}
        if isinstance(answers, list) and all(isinstance(one, ToolMessage) for one in output):
            return [*output, *answers]
        return [*output, answers]


_message: ContextVar[MessageRun | None] = ContextVar("message", default=None)


class Slots:
    """How many calls of a tool may run at once.

    Args:
        caller: Knows the limits.
        in_loop: Whether the calls are coroutines.
    """

    def __init__(self, caller: Caller, *, in_loop: bool) -> None:
        """Make room."""
        make: Any = asyncio.Semaphore if in_loop else threading.Semaphore
        self._slots = {name: make(most) for name, most in caller.limits.max_concurrency.items()}

    def of(self, name: str) -> Any:
        """What a call of a tool has to hold while it runs.

        Args:
            name: The name of the tool.
        """
        return self._slots.get(name) or nullcontext()


_slots: ContextVar[Slots | None] = ContextVar("slots", default=None)


class LimitedTool(StandIn):
    """A tool that runs within the limits of its `ToolSet`.

    Args:
        tool: The tool.
        caller: Runs it.
    """

    _caller: Caller = PrivateAttr()

    def __init__(self, tool: BaseTool, caller: Caller) -> None:
        """Look like the tool."""
        super().__init__(tool)
        self._caller = caller

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run a call.

        Args:
            input: The call.
            config: The configuration of the run.
            **kwargs: Passed on to the tool.

        Returns:
            What the tool makes of it.
        """
        slots = _slots.get()
        with slots.of(self.name) if slots else nullcontext():
            return self._caller.run_in_time(input, _own(config), **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Run a call, as `invoke` does.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: See `invoke`.

        Returns:
            See `invoke`.
        """
        slots = _slots.get()
        async with slots.of(self.name) if slots else nullcontext():
            state = Running(input["id"], input["args"])
            return await self._caller.arun(input, _own(config), state, **kwargs)


def _own(config: RunnableConfig | None) -> RunnableConfig | None:
    """ToolNode asks with the configuration of its node, also in a call's task."""
    message = _message.get()
    return in_task(config) if config and message and message.tasks else config


def _messages(given: Any, key: str) -> Sequence[BaseMessage]:
    """The messages that ToolNode looks for calls in; none where it is given the calls.

    Raises:
        ValueError: The state has none.
    """
    if isinstance(given, dict) and given.get("__type") == "tool_call_with_context":
        return []
    if isinstance(given, list):
        is_call = given and isinstance(given[-1], dict) and given[-1].get("type") == "tool_call"
        return [] if is_call else [one for one in given if isinstance(one, BaseMessage)]
    found = given.get(key) if isinstance(given, dict) else getattr(given, key, None)
    if not found:
        keys = given if isinstance(given, dict) else getattr(given, "__dict__", ())
        msg = (
            f"No message found in input: the state has no {key!r}, but "
            f"{', '.join(map(repr, keys)) or 'nothing'}. Say where the messages are: "
            "tools.node(messages_key=...)."
        )
        raise ValueError(msg)
    return [one for one in found if isinstance(one, BaseMessage)]


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
