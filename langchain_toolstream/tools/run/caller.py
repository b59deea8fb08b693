"""One call: its tool by name, its limits, and what becomes of its errors."""

import asyncio
import copy
import logging
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor, ensure_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from pydantic import ValidationError

from langchain_toolstream.core.errors import format_path, printable
from langchain_toolstream.parsers.tool_stream import Call
from langchain_toolstream.schema.injected import NONE_MAY_WRITE, check_given, written_by_model
from langchain_toolstream.schema.problems import MAX_TOLD
from langchain_toolstream.schema.tool_schema import ToolSchema, copied
from langchain_toolstream.tools.artifacts.handles import (
    PREFIX,
    given,
    handles_in,
    takes_artifacts,
)
from langchain_toolstream.tools.artifacts.store import Artifacts, ArtifactStore
from langchain_toolstream.tools.run.calls import check_is_call, is_invalid
from langchain_toolstream.tools.run.errors import (
    CANCELLED_ITSELF,
    TIMEOUT_TEMPLATE,
    UNKNOWN_TOOL_TEMPLATE,
    WANTING_TEMPLATE,
    ErrorPolicy,
    error_message,
    invalid_message,
    is_control_flow,
)
from langchain_toolstream.tools.run.limits import Limits, max_concurrency, most_threads, pause
from langchain_toolstream.tools.run.plan import Plan, Step, afollow, follow
from langchain_toolstream.tools.run.running import Running, running

logger = logging.getLogger(__name__)

FORGED_WARNING = (
    "A call of %r (call %s) was not run: it has the argument %r, which only the application can "
    "give. If the application gave it, let it do so after ToolStreamParser(tools), which knows "
    "what the model wrote."
)

_GRACE = 0.1
"""Seconds that a cancelled coroutine gets to clean up before its call is answered without it."""

_abandoned: set[asyncio.Task[Any]] = set()  # asyncio itself holds tasks weakly


class Caller:
    """What runs single calls, for `ToolSet` and for `ToolMap`.

    A call is looked up, fetches the artifacts that it takes, runs, perhaps several times, within
    its limits, and is answered.

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
        store: ArtifactStore,
    ) -> None:
        """Find out what each tool wants."""
        self.schemas = schemas
        self.limits = limits
        self._by_name = {tool.name: tool for tool in tools}
        self.errors = errors
        self._store = store
        self._places: WeakKeyDictionary[Any, asyncio.Semaphore] = WeakKeyDictionary()
        self._takers = {name for name, tool in self._by_name.items() if takes_artifacts(tool)}

    def __repr__(self) -> str:
        """Name the tools, and which are read-only."""
        names = ", ".join(
            f"{name} (read-only)" if schema.read_only else name
            for name, schema in self.schemas.items()
        )
        return f"ToolSet({names})"

    def raising(self) -> "Caller":
        """The same, but for the errors of tools: they raise."""
        caller = copy.copy(self)
        caller.errors = ErrorPolicy(handle=False)
        return caller

    def look_up(self, item: Call) -> ToolCall | ToolMessage:
        """Find the call to run, or the answer to one that no tool runs.

        Raises:
            TypeError: It is no call.
        """
        check_is_call(item)
        if is_invalid(item):
            return invalid_message(item, item.get("error"))
        name, args = item["name"] or "", cast("ToolCall", item)["args"]
        # Without an id a tool would return bare content, and lose its artifact.
        call_id = str(item["id"]) if item["id"] else f"call_{uuid.uuid4().hex[:24]}"
        call = tool_call(name=name, args=args, id=call_id)
        if name not in self._by_name:
            known = ", ".join(self._by_name)
            unknown = printable(name, MAX_TOLD)
            return error_message(call, UNKNOWN_TOOL_TEMPLATE.format(name=unknown, tools=known))
        injected = self.schemas[name].injected
        if forged := injected.names & written_by_model(item):
            logger.warning(FORGED_WARNING, name, printable(call_id, MAX_TOLD), min(forged))
            return invalid_message(
                call,
                f"The arguments do not fit the tool: {NONE_MAY_WRITE} at "
                f"{format_path((min(forged),))}.",
            )
        if wanting := sorted(injected.required - args.keys()):
            text = WANTING_TEMPLATE.format(name=name, wanting=", ".join(map(repr, wanting)))
            return error_message(call, text)
        return call

    def shown(self, calls: list[Call]) -> list[Call]:
        """Calls without what the application injects, as traces may show them."""
        shown: list[Any] = []
        for call in calls:
            args: Any = call["args"]
            schema = None if is_invalid(call) else self.schemas.get(call["name"] or "")
            if schema is None or schema.injected.names.isdisjoint(args):
                shown.append(call)
            else:
                shown.append({**call, "args": schema.injected.without(args)})
        return shown

    def needs_thread(self, name: str) -> bool:
        """Whether a tool has no coroutine: its `ainvoke` would only run `invoke` in a thread."""
        tool = self._by_name[name]
        return isinstance(tool, StructuredTool | Tool) and tool.coroutine is None

    def producers(self, call: Call) -> frozenset[str]:
        """The ids of the calls whose artifacts a call takes."""
        if call["name"] not in self._takers:
            return frozenset()
        return frozenset(handle.removeprefix(PREFIX) for handle in handles_in(call["args"]))

    def artifacts(self, config: RunnableConfig | None) -> Artifacts | None:
        """The artifacts that the calls of one run can reach, where any tool takes some."""
        return self._store.of(config) if self._takers else None

    def timed_out(self, call: Call) -> ToolMessage:
        """The answer to a call whose tool took too long."""
        name = call["name"] or ""
        timeout = self.limits.timeout(name) or 0
        return error_message(call, TIMEOUT_TEMPLATE.format(name=name, timeout=timeout))

    def run(
        self,
        call: ToolCall,
        config: RunnableConfig | None,
        state: Running,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run a call; its timeout is kept by whoever waits for it."""
        with _in(state):
            try:
                return follow(self._plan(call, config, state, kwargs))
            except asyncio.CancelledError:  # only the tool itself can raise it in a thread
                return error_message(call, CANCELLED_ITSELF)

    def run_in_time(
        self, call: ToolCall, config: RunnableConfig | None, **kwargs: Any
    ) -> ToolMessage:
        """Run a call, within its timeout."""
        state = Running(call["id"], call["args"])
        timeout = self.limits.timeout(call["name"])
        if timeout is None:
            return self.run(call, config, state, **kwargs)
        executor = ContextThreadPoolExecutor(max_workers=1)
        future: Future[ToolMessage] = executor.submit(self.run, call, config, state, **kwargs)
        state.thread = future
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():  # the tool's own
                raise
            return self.timed_out(call)
        finally:
            state.stop(call["name"])
            executor.shutdown(wait=False)

    async def arun(
        self,
        call: ToolCall,
        config: RunnableConfig | None,
        state: Running,
        threads: Executor | None = None,
        **kwargs: Any,
    ) -> ToolMessage:
        """Run a call, within its timeout."""
        with _in(state):
            if self.needs_thread(call["name"]):
                run = partial(self.run, call, config, state, **kwargs)
                work = partial(self._in_thread, run, state, threads)
            else:
                work = partial(afollow, self._plan(call, config, state, kwargs))
            try:
                async with self._place(call, config, threads):
                    message = await _in_time(work(), self.limits.timeout(call["name"]), call)
            except asyncio.CancelledError:
                state.stop(call["name"])
                raise
            if message is None:
                state.stop(call["name"])
                return self.timed_out(call)
            return message

    def _place(
        self, call: ToolCall, config: RunnableConfig | None, threads: Executor | None
    ) -> AbstractAsyncContextManager[Any]:
        """What bounds the threads where it is not `map()` that starts them."""
        config = ensure_config(config)
        if threads is not None or not self.needs_thread(call["name"]) or max_concurrency(config):
            return nullcontext()
        loop = asyncio.get_running_loop()
        return self._places.setdefault(loop, asyncio.Semaphore(most_threads(config)))

    async def _in_thread(
        self, run: "partial[ToolMessage]", state: Running, threads: Executor | None
    ) -> ToolMessage:
        """Not in the event loop's own few threads, which a tool that hangs would use up."""
        own = ContextThreadPoolExecutor(max_workers=1) if threads is None else None
        try:
            state.thread = (own or cast("Executor", threads)).submit(run)
            return await asyncio.wrap_future(state.thread)
        finally:
            if own is not None:
                own.shutdown(wait=False)

    def _plan(
        self, call: ToolCall, config: RunnableConfig | None, state: Running, kwargs: dict[str, Any]
    ) -> Plan[ToolMessage]:
        """What happens to a call that has been looked up, until it is answered."""
        artifacts = state.artifacts or self.artifacts(config)
        failures = 0
        while state.revocation is None:  # it may have been revoked while it waited for its turn
            try:
                message = yield from self._try(call, config, state, artifacts, kwargs)
                break
            except Exception as error:
                if state.revocation is not None:
                    break
                failures += 1
                if self._may_retry(error, call, failures):
                    stopped = yield state.pausing(pause(failures))
                    if not stopped:
                        continue
                if (text := self.errors.text(error)) is None:
                    raise
                return error_message(call, text)
        if state.revocation is not None:  # whatever the tool made of that
            return invalid_message(call, state.revocation)
        if artifacts is not None and not state.is_dropped:
            message = yield from artifacts.keep(message)
        return message

    def _try(
        self,
        call: ToolCall,
        config: RunnableConfig | None,
        state: Running,
        artifacts: Artifacts | None,
        kwargs: dict[str, Any],
    ) -> Plan[ToolMessage]:
        """Run the tool once."""
        objects = None
        if artifacts is not None and call["name"] in self._takers:
            objects = yield from artifacts.fetch(call["args"])
        with given(objects):
            # The tool may change what it is given, and neither a retry nor a message may see that.
            own = tool_call(name=call["name"], args=self._args(call), id=call["id"])
            message = _answer(call, (yield self._invoking(own, config, kwargs)))
        if state.streamed is not None:
            yield state.reading_on()  # no answer before the call is confirmed
        return message

    def _args(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of one try: a copy of those of the model, and what is injected."""
        injected = self.schemas[call["name"]].injected
        written = injected.without(call["args"])
        given = {name: value for name, value in call["args"].items() if name not in written}
        args: dict[str, Any] = {
            **copied(written),
            **given,
            **dict.fromkeys(injected.call_ids, call["id"]),
        }
        if given:
            check_given(self._by_name[call["name"]], args, injected.names)
        return args

    def _invoking(
        self, call: ToolCall, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Step:
        tool = self._by_name[call["name"]]
        config = ensure_config(config)
        config["metadata"] = {**config.get("metadata", {}), "tool_call_id": call["id"]}

        def invoke() -> Any:
            try:
                return tool.invoke(call, config, **kwargs)
            except NotImplementedError as error:
                if isinstance(tool, StructuredTool | Tool) and tool.func is None:
                    msg = (
                        f"The tool {tool.name!r} is a coroutine function, which needs an async "
                        "chain: use ainvoke or astream."
                    )
                    raise NotImplementedError(msg) from error
                raise

        return Step(invoke, partial(tool.ainvoke, call, config, **kwargs))

    def _may_retry(self, error: Exception, call: ToolCall, failures: int) -> bool:
        """Whether it is worth running a call again."""
        schema = self.schemas[call["name"]]
        if failures > self.limits.retries(call["name"], read_only=schema.read_only):
            return False
        if isinstance(error, ValidationError) and (
            schema.validate(schema.injected.without(call["args"])) is not None
        ):
            return False
        return not is_control_flow(error)


async def _in_time(
    work: Coroutine[Any, Any, ToolMessage], seconds: float | None, call: ToolCall
) -> ToolMessage | None:
    """Wait so long for a call, and `None` when it takes longer.

    A coroutine may go on when it is cancelled, and is left to itself then.
    """
    if seconds is None:
        return await work
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        return task.result() if task.done() else None
    finally:
        if not task.done():
            _abandoned.add(task)
            task.add_done_callback(_forget)
            task.cancel()
            patience = max(_GRACE, deadline - loop.time())
            await asyncio.wait({task}, timeout=patience)
            if not task.done():
                logger.warning(
                    "The tool %r (call %s) was cancelled and goes on. Nobody waits for it any "
                    "more, and its result will be dropped.",
                    call["name"],
                    printable(str(call["id"]), MAX_TOLD),
                )


def _forget(ended: asyncio.Task[Any]) -> None:
    _abandoned.discard(ended)
    if not ended.cancelled():
        ended.exception()  # seen, so that nobody is told that it was not


@contextmanager
def _in(state: Running) -> Iterator[None]:
    """Let the tool's wrapper know which call it runs."""
    token = running.set(state)
    try:
        yield
    finally:
        running.reset(token)


def _answer(call: ToolCall, made: Any) -> ToolMessage:
    """What a tool made of a whole call is a message, or whatever it made instead.

    A tool that makes its own message may have given it another id; then the call would have no
    answer, and the next request would be refused.
    """
    if isinstance(made, ToolMessage) and made.tool_call_id != call["id"]:
        return made.model_copy(update={"tool_call_id": call["id"]})
    return cast("ToolMessage", made)
