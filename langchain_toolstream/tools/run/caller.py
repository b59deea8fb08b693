"""One call: its tool by name, its limits, and what becomes of its errors."""

import asyncio
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, cast

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor, ensure_config
from langchain_core.stores import BaseStore
from langchain_core.tools import BaseTool, StructuredTool, Tool
from pydantic import ValidationError

from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.tools.artifacts.handles import (
    PREFIX,
    Artifacts,
    given,
    handles_in,
    takes_artifacts,
)
from langchain_toolstream.tools.injected import wanted_from_application
from langchain_toolstream.tools.run.errors import (
    CANCELLED_ITSELF,
    INVALID_CALL_TEMPLATE,
    TIMEOUT_TEMPLATE,
    UNKNOWN_TOOL_TEMPLATE,
    WANTING_TEMPLATE,
    ErrorPolicy,
    error_message,
    is_control_flow,
)
from langchain_toolstream.tools.run.ledger import check_is_call
from langchain_toolstream.tools.run.limits import Limits, pause
from langchain_toolstream.tools.run.running import Running, running

Call = ToolCall | InvalidToolCall


class Caller:
    """What runs single calls, for `ToolSet` and for `ToolMap`.

    Args:
        tools: The tools.
        schemas: What each of them accepts, by name.
        errors: What becomes of their exceptions.
        limits: Their limits.
        store: Where artifacts are kept for later calls.
    """

    def __init__(
        self,
        tools: Iterable[BaseTool],
        schemas: dict[str, ToolSchema],
        errors: ErrorPolicy,
        limits: Limits,
        store: BaseStore[str, Any],
    ) -> None:
        """Find out what each tool wants."""
        self.schemas = schemas
        self.limits = limits
        self._by_name = {tool.name: tool for tool in tools}
        self._errors = errors
        self._store = store
        self._takers = {name for name, tool in self._by_name.items() if takes_artifacts(tool)}
        self._wanting = {
            name: wanting
            for name, tool in self._by_name.items()
            if (wanting := wanted_from_application(tool))
        }

    def run(
        self,
        item: Call,
        config: RunnableConfig | None,
        state: Running | None = None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run one call; its timeout is whoever waits for it to keep.

        Args:
            item: The call.
            config: The configuration of the run.
            state: What is known of the call while it runs.
            **kwargs: Passed on to the tool.

        Returns:
            Its message.
        """
        call, tool, refusal = self._look_up(item)
        if tool is None:
            return refusal
        state = state or Running(args=call["args"])
        with _in(state, call):
            attempt = 0
            while True:
                try:
                    # The call may have been revoked while it waited for its turn.
                    message = _taken_back(call, state) or self._invoke(
                        call, tool, config, state, **kwargs
                    )
                    for _ in state.streamed or ():
                        pass  # no answer before there is a call
                    return _taken_back(call, state) or message
                except asyncio.CancelledError:  # only the tool itself can raise it in a thread
                    return error_message(call, CANCELLED_ITSELF)
                except Exception as error:
                    if answer := _taken_back(call, state):
                        return answer
                    attempt += 1
                    if not self._may_pass(error, call, attempt) or state.stopped.wait(
                        pause(attempt)
                    ):
                        if (text := self._errors.text(error)) is None:
                            raise
                        return error_message(call, text)

    def _invoke(
        self,
        call: ToolCall,
        tool: BaseTool,
        config: RunnableConfig | None,
        state: Running,
        **kwargs: Any,
    ) -> ToolMessage:
        artifacts = state.artifacts or self.artifacts(config)
        if artifacts is None:
            return _answer(call, _invoke(tool, call, config, **kwargs))
        with given(artifacts.fetch(call["args"]) if tool.name in self._takers else None):
            message = _answer(call, _invoke(tool, call, config, **kwargs))
        return message if state.is_dropped else artifacts.keep(message)

    async def _ainvoke(
        self,
        call: ToolCall,
        tool: BaseTool,
        config: RunnableConfig | None,
        state: Running,
        **kwargs: Any,
    ) -> ToolMessage:
        artifacts = state.artifacts or self.artifacts(config)
        if artifacts is None:
            return _answer(call, await tool.ainvoke(call, _for_call(config, call), **kwargs))
        with given(await artifacts.afetch(call["args"]) if tool.name in self._takers else None):
            message = _answer(call, await tool.ainvoke(call, _for_call(config, call), **kwargs))
        return message if state.is_dropped else await artifacts.akeep(message)

    async def arun(
        self,
        item: Call,
        config: RunnableConfig | None,
        state: Running | None = None,
        threads: Executor | None = None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run one call, within its timeout.

        Args:
            item: The call.
            config: The configuration of the run.
            state: What is known of the call while it runs.
            threads: Where a tool runs that has no coroutine.
            **kwargs: Passed on to the tool.

        Returns:
            Its message.
        """
        call, tool, refusal = self._look_up(item)
        if tool is None:
            return refusal
        state = state or Running(args=call["args"])
        with _in(state, call):
            timeout = asyncio.timeout(self.limits.timeout(call["name"]))
            try:
                async with timeout:
                    if _is_sync(tool):
                        return await self._in_thread(call, config, state, threads, **kwargs)
                    message = await self._await(call, tool, config, state, **kwargs)
                # A coroutine may go on when it is cancelled; what it returns then comes too late.
                return self.timed_out(call) if timeout.expired() else message
            except TimeoutError:
                if not timeout.expired():  # the tool's own
                    raise
                state.stop(call["name"])
                return self.timed_out(call)
            except asyncio.CancelledError:
                state.stop(call["name"])
                raise

    async def _await(
        self,
        call: ToolCall,
        tool: BaseTool,
        config: RunnableConfig | None,
        state: Running,
        **kwargs: Any,
    ) -> ToolMessage:
        attempt = 0
        while True:
            try:
                message = _taken_back(call, state) or await self._ainvoke(
                    call, tool, config, state, **kwargs
                )
                if state.streamed is not None:
                    async for _ in state.streamed:
                        pass  # no answer before there is a call
                return _taken_back(call, state) or message
            except Exception as error:
                if answer := _taken_back(call, state):
                    return answer
                attempt += 1
                if not self._may_pass(error, call, attempt):
                    if (text := self._errors.text(error)) is None:
                        raise
                    return error_message(call, text)
            await asyncio.sleep(pause(attempt))

    async def _in_thread(
        self,
        call: ToolCall,
        config: RunnableConfig | None,
        state: Running,
        threads: Executor | None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Not in the event loop's own few threads, which a tool that hangs would use up."""

        def run() -> ToolMessage:
            try:
                return self.run(call, config, state, **kwargs)
            except StopIteration as error:  # no future takes it
                raise RuntimeError(repr(error)) from error

        own = ContextThreadPoolExecutor(max_workers=1) if threads is None else None
        try:
            state.thread = (own or cast("Executor", threads)).submit(run)
            return await asyncio.wrap_future(state.thread)
        finally:
            if own is not None:
                own.shutdown(wait=False)

    def run_in_time(self, item: Call, config: RunnableConfig | None, **kwargs: Any) -> ToolMessage:
        """Run one call, within its timeout.

        Args:
            item: The call.
            config: The configuration of the run.
            **kwargs: Passed on to the tool.

        Returns:
            Its message.
        """
        check_is_call(item)
        timeout = self.limits.timeout(item["name"] or "")
        if timeout is None:
            return self.run(item, config, **kwargs)
        state = Running(item["id"], item.get("args"))
        executor = ContextThreadPoolExecutor(max_workers=1)
        future: Future[ToolMessage] = executor.submit(self.run, item, config, state, **kwargs)
        state.thread = future
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():  # the tool's own
                raise
            return self.timed_out(item)
        finally:
            state.stop(item["name"] or "")
            executor.shutdown(wait=False)

    def artifacts(self, config: RunnableConfig | None) -> Artifacts | None:
        """The artifacts that the calls of one run can reach, where any tool takes some.

        Args:
            config: The configuration of the run.
        """
        return Artifacts(self._store, config) if self._takers else None

    def producers(self, call: Call) -> frozenset[str]:
        """The ids of the calls whose artifacts a call takes.

        Args:
            call: The call.
        """
        if call["name"] not in self._takers:
            return frozenset()
        return frozenset(handle.removeprefix(PREFIX) for handle in handles_in(call["args"]))

    def refusal(self, item: Call) -> ToolMessage | None:
        """The answer to a call that no tool runs.

        Args:
            item: The call.
        """
        _, tool, refusal = self._look_up(item)
        return refusal if tool is None else None

    def timed_out(self, call: Call) -> ToolMessage:
        """The answer to a call whose tool took too long.

        Args:
            call: The call.
        """
        name = call["name"] or ""
        timeout = self.limits.timeout(name) or 0
        return error_message(call, TIMEOUT_TEMPLATE.format(name=name, timeout=timeout))

    def _look_up(self, item: Call) -> tuple[ToolCall, BaseTool | None, ToolMessage]:
        """Find the tool of a call, and what to answer where there is none."""
        check_is_call(item)
        name = item["name"] or ""
        if item.get("type") == "invalid_tool_call":
            reason = INVALID_CALL_TEMPLATE.format(error=item.get("error") or "It is not valid.")
            return cast("ToolCall", item), None, error_message(item, reason)
        args = cast("ToolCall", item)["args"]
        # Without an id a tool would return bare content, and lose its artifact.
        call = tool_call(name=name, args=args, id=item["id"] or f"call_{uuid.uuid4().hex[:24]}")
        if wanting := sorted(self._wanting.get(name, frozenset()) - args.keys()):
            text = WANTING_TEMPLATE.format(name=name, wanting=", ".join(map(repr, wanting)))
            return call, None, error_message(call, text)
        unknown = UNKNOWN_TOOL_TEMPLATE.format(name=name, tools=", ".join(self._by_name))
        return call, self._by_name.get(name), error_message(call, unknown)

    def _may_pass(self, error: Exception, call: ToolCall, failures: int) -> bool:
        """Whether it is worth running a call again."""
        schema = self.schemas[call["name"]]
        if failures > self.limits.retries(call["name"], read_only=schema.read_only):
            return False
        if isinstance(error, ValidationError) and schema.validate(call["args"]) is not None:
            return False
        return not is_control_flow(error)


@contextmanager
def _in(state: Running, call: ToolCall) -> Iterator[None]:
    """Let the tool's wrapper know which call it runs."""
    state.call_id = call["id"]
    token = running.set(state)
    try:
        yield
    finally:
        running.reset(token)


def _taken_back(call: ToolCall, state: Running) -> ToolMessage | None:
    """The answer where the call turned out to be none, whatever its tool made of that."""
    error = state.taken_back
    if error is None:
        return None
    return error_message(call, INVALID_CALL_TEMPLATE.format(error=error))


def _invoke(tool: BaseTool, call: ToolCall, config: RunnableConfig | None, **kwargs: Any) -> Any:
    try:
        return tool.invoke(call, _for_call(config, call), **kwargs)
    except NotImplementedError as error:
        if isinstance(tool, StructuredTool | Tool) and tool.func is None:
            msg = (
                f"The tool {tool.name!r} is a coroutine function, which needs an async chain: "
                "use ainvoke or astream."
            )
            raise NotImplementedError(msg) from error
        raise


def _is_sync(tool: BaseTool) -> bool:
    """Whether `ainvoke` would only run `invoke` in a thread."""
    return isinstance(tool, StructuredTool | Tool) and tool.coroutine is None


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
