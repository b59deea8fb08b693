"""What may be said of each tool of a `ToolSet`: how long, how often, how many at once."""

import asyncio
import copy
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.errors import GraphInterrupt
from langgraph.prebuilt import InjectedState, ToolRuntime

from langchain_toolstream import ToolSet, ToolStreamParser
from tests.unit_tests.scripted import PATIENCE, Call, bad, good, pass_time

Run = Callable[[ToolSet, Call], Awaitable[ToolMessage]]


async def invoke(tools: ToolSet, call: Call) -> ToolMessage:
    return tools.invoke(call)


async def ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    return await tools.ainvoke(call)


async def map_invoke(tools: ToolSet, call: Call) -> ToolMessage:
    (message,) = tools.map().invoke([call])
    return message


async def map_ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    (message,) = await tools.map().ainvoke([call])
    return message


every_way = pytest.mark.parametrize("run", [invoke, ainvoke, map_invoke, map_ainvoke])


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


class Flaky:
    """Tools, with and without a coroutine, that fail as often as they are told to."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    def fetch(self, key: str = "x") -> str:
        """Fetch."""
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return f"got {key}"

    async def afetch(self, key: str = "x") -> str:
        """Fetch."""
        return self.fetch(key)

    def tool(self, name: str = "fetch", **kwargs: Any) -> BaseTool:
        return StructuredTool.from_function(self.fetch, self.afetch, name=name, **kwargs)

    def sync_tool(self) -> BaseTool:
        return StructuredTool.from_function(self.fetch)


class TestRetries:
    @every_way
    async def test_run_a_call_again(self, run: Run) -> None:
        for make in (Flaky.tool, Flaky.sync_tool):
            flaky = Flaky(ConnectionError("gone"))
            message = await run(ToolSet([make(flaky)], retries={"fetch": 1}), good("c", "fetch"))
            assert (message.content, message.status, flaky.runs) == ("got x", "success", 2)

    @every_way
    async def test_end_in_the_last_error(self, run: Run) -> None:
        flaky = Flaky(ConnectionError("one"), ConnectionError("two"), ConnectionError("three"))
        message = await run(ToolSet([flaky.tool()], retries={"fetch": 1}), good("c", "fetch"))
        assert (message.status, flaky.runs) == ("error", 2)
        assert "two" in message.content

    @every_way
    async def test_by_one_number_are_for_read_only_tools(self, run: Run) -> None:
        """Who did not name a tool did not think of what running it twice does."""
        reading, writing = Flaky(ConnectionError()), Flaky(ConnectionError())
        tools = ToolSet(
            [reading.tool("read"), writing.tool("write")], read_only=["read"], retries=1
        )
        assert (await run(tools, good("a", "read"))).status == "success"
        assert (await run(tools, good("b", "write"))).status == "error"
        assert (reading.runs, writing.runs) == (2, 1)

    @every_way
    async def test_do_not_swallow_an_interrupt(self, run: Run) -> None:
        flaky = Flaky(GraphInterrupt(()))
        with pytest.raises(GraphInterrupt):
            await run(ToolSet([flaky.tool()], retries={"fetch": 3}), good("c", "fetch"))
        assert flaky.runs == 1

    @every_way
    async def test_are_not_for_arguments_that_do_not_fit(self, run: Run) -> None:
        collector = RunCollectorCallbackHandler()
        tools = ToolSet([Flaky().tool(callbacks=[collector])], retries={"fetch": 3})
        assert (await run(tools, good("c", "fetch", key=[1]))).status == "error"
        assert len(collector.traced_runs) == 1

    @every_way
    async def test_come_before_the_error_raises(self, run: Run) -> None:
        flaky = Flaky(ConnectionError("one"), ConnectionError("two"))
        tools = ToolSet([flaky.tool()], retries={"fetch": 1}, handle_tool_errors=False)
        with pytest.raises(ConnectionError, match="two"):
            await run(tools, good("c", "fetch"))

    async def test_are_runs_of_their_own(self) -> None:
        collector = RunCollectorCallbackHandler()
        tools = ToolSet([Flaky(ConnectionError("one")).tool()], retries={"fetch": 1})
        await tools.ainvoke(good("c", "fetch"), {"callbacks": [collector]})
        assert [bool(run.error) for run in collector.traced_runs] == [True, False]
        assert [run.metadata["tool_call_id"] for run in collector.traced_runs] == ["c", "c"]

    @pytest.mark.parametrize("run", [ainvoke, map_ainvoke])
    async def test_stop_when_the_call_is_cancelled(self, run: Run) -> None:
        failed = asyncio.Event()

        async def fail() -> None:
            """Fail."""
            failed.set()
            raise ConnectionError

        task = asyncio.ensure_future(run(ToolSet([fail], retries={"fail": 50}), good("c", "fail")))
        await asyncio.wait_for(failed.wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @every_way
    async def test_count_into_the_timeout(self, run: Run) -> None:
        flaky = Flaky(*[ConnectionError()] * 20)
        tools = ToolSet([flaky.tool()], retries={"fetch": 20}, timeout=0.05)
        message = await run(tools, good("c", "fetch"))
        assert message.content == "Error: fetch did not finish within 0.05 seconds."


class TestTimeouts:
    @every_way
    async def test_by_name_are_for_that_tool(self, run: Run) -> None:
        gate = threading.Event()

        def hang() -> None:
            """Hang."""
            gate.wait(PATIENCE)

        try:
            tools = ToolSet([hang, add], timeout={"hang": 0.05})
            message = await run(tools, good("c", "hang"))
            assert message.content == "Error: hang did not finish within 0.05 seconds."
            assert (await run(tools, good("d", "add", a=1, b=2))).content == "3"
        finally:
            gate.set()


class TestAtOnce:
    async def test_of_one_tool_while_others_pass(self) -> None:
        stage = Stage()
        tools = ToolSet(stage.tools(), max_concurrency={"db": 1})
        calls = [good("a", "db"), good("b", "db"), good("c", "web"), good("d", "db")]
        running = asyncio.create_task(tools.map().ainvoke(calls))
        await stage.see({"a", "c"})
        stage.open("a")
        await stage.see({"b", "c"})
        stage.open("c", "b")
        await stage.see({"d"})
        stage.open("d")
        assert [m.tool_call_id for m in await running] == ["a", "b", "c", "d"]
        assert stage.peak["db"] == 1

    def test_of_one_tool_while_others_pass_in_sync(self) -> None:
        running, peak, web = 0, 0, threading.Event()
        lock = threading.Lock()

        def db() -> None:
            """Query."""
            nonlocal running, peak
            with lock:
                running += 1
                peak = max(peak, running)
            assert web.wait(PATIENCE)
            with lock:
                running -= 1

        def visit() -> None:
            """Visit."""
            web.set()

        tools = ToolSet([db, visit], max_concurrency={"db": 1})
        calls: list[Any] = [*(good(key, "db") for key in "abcd"), good("e", "visit")]
        messages = tools.map().invoke(calls)
        assert [m.status for m in messages] == ["success"] * 5
        assert peak == 1

    @pytest.mark.parametrize("way", ["sync", "async"])
    async def test_a_thousand_calls_through_eight_places(self, way: str) -> None:
        lock = threading.Lock()
        running = peak = runs = 0

        def work(n: int) -> tuple[str, int]:
            """Work."""
            nonlocal running, peak, runs
            with lock:
                running += 1
                runs += 1
                peak = max(peak, running)
            with lock:
                running -= 1
            return f"{n} done", n

        async def awork(n: int) -> tuple[str, int]:
            """Work."""
            nonlocal running, peak, runs
            running, runs = running + 1, runs + 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            return f"{n} done", n

        tool = StructuredTool.from_function(
            work, awork if way == "async" else None, response_format="content_and_artifact"
        )
        calls: list[Call] = [good(str(n), "work", n=n) for n in range(1000)]
        runner = ToolSet([tool]).map()
        if way == "sync":
            messages = list(chain.from_iterable(runner.stream(calls, {"max_concurrency": 8})))
        else:
            batches = runner.astream(calls, {"max_concurrency": 8})
            messages = [message async for batch in batches for message in batch]
        assert sorted(int(m.tool_call_id) for m in messages) == list(range(1000))
        assert all(m.artifact == int(m.tool_call_id) for m in messages)
        assert (runs, running) == (1000, 0)
        assert 1 <= peak <= 8
        assert asyncio.all_tasks() == {asyncio.current_task()}


class Stage:
    """Coroutine tools `db` and `web`, which wait until the test lets their call go."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Condition()
        self.counts = {"db": 0, "web": 0}
        self.peak = {"db": 0, "web": 0}

    async def work(self, name: str, call_id: str) -> None:
        self.counts[name] += 1
        self.peak[name] = max(self.peak[name], self.counts[name])
        async with self.changed:
            self.running.add(call_id)
            self.changed.notify_all()
        await asyncio.wait_for(self.gates.setdefault(call_id, asyncio.Event()).wait(), PATIENCE)
        self.counts[name] -= 1
        async with self.changed:
            self.running.discard(call_id)
            self.changed.notify_all()

    def tools(self) -> list[BaseTool]:
        async def db(call_id: Annotated[str, InjectedToolCallId]) -> None:
            """Query."""
            await self.work("db", call_id)

        async def web(call_id: Annotated[str, InjectedToolCallId]) -> None:
            """Visit."""
            await self.work("web", call_id)

        return [StructuredTool.from_function(coroutine=tool) for tool in (db, web)]

    def open(self, *call_ids: str) -> None:
        for call_id in call_ids:
            self.gates.setdefault(call_id, asyncio.Event()).set()

    async def see(self, expected: set[str]) -> None:
        async with self.changed:
            waiting = self.changed.wait_for(lambda: self.running == expected)
            await asyncio.wait_for(waiting, PATIENCE)


class TestAThreadThatCannotBeStopped:
    """Its result is dropped, its place stays taken, and it is reported."""

    class Held:
        def __init__(self) -> None:
            self.started, self.gate, self.done = (threading.Event() for _ in range(3))
            self.order: list[str] = []

        def hold(self, key: str) -> str:
            """Hold."""
            self.order.append(f"{key} starts")
            if key == "a":
                self.started.set()
                assert self.gate.wait(PATIENCE)
            self.order.append(f"{key} ends")
            self.done.set()
            return f"{key} done"

    async def test_when_its_call_is_taken_back(self, caplog: pytest.LogCaptureFixture) -> None:
        held = self.Held()

        async def source() -> AsyncIterator[list[Call]]:
            yield [good("a", "hold", key="a"), good("b", "hold", key="b")]
            assert await asyncio.to_thread(held.started.wait, PATIENCE)
            yield [bad("a", "hold")]
            yield []
            assert held.order == ["a starts"]
            held.gate.set()

        runner = ToolSet([StructuredTool.from_function(held.hold)], read_only=True).map()
        batches = runner.atransform(source(), {"max_concurrency": 1})
        messages = [message async for batch in batches for message in batch]
        assert [(m.tool_call_id, m.status) for m in messages] == [("a", "error"), ("b", "success")]
        assert held.order == ["a starts", "a ends", "b starts", "b ends"]
        assert caplog.record_tuples == [
            ("langchain_toolstream.tools.run.running", logging.WARNING, caplog.messages[0])
        ]
        assert "'hold' (call a)" in caplog.messages[0]

    def test_when_its_call_is_taken_back_in_sync(self, caplog: pytest.LogCaptureFixture) -> None:
        held = self.Held()

        def source() -> Iterator[list[Call]]:
            yield [good("a", "hold", key="a"), good("b", "hold", key="b")]
            assert held.started.wait(PATIENCE)
            yield [bad("a", "hold")]
            yield []
            assert held.order == ["a starts"]
            held.gate.set()

        runner = ToolSet([StructuredTool.from_function(held.hold)], read_only=True).map()
        messages = list(chain.from_iterable(runner.transform(source(), {"max_concurrency": 1})))
        assert [(m.tool_call_id, m.status) for m in messages] == [("a", "error"), ("b", "success")]
        assert held.order == ["a starts", "a ends", "b starts", "b ends"]
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("run", [invoke, ainvoke, map_invoke, map_ainvoke])
    async def test_when_it_took_too_long(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        held = self.Held()
        loop = asyncio.get_running_loop()

        def hold() -> str:
            """Hold."""
            loop.call_soon_threadsafe(pass_time, 1)
            return held.hold("a")

        message = await run(ToolSet([hold], timeout=1), good("c", "hold"))
        assert message.status == "error"
        assert len(caplog.records) == 1
        held.gate.set()
        assert await asyncio.to_thread(held.done.wait, PATIENCE)

    async def test_when_the_run_is_cancelled(self, caplog: pytest.LogCaptureFixture) -> None:
        held = self.Held()
        tools = ToolSet([StructuredTool.from_function(held.hold)])
        task = asyncio.create_task(tools.map().ainvoke([good("a", "hold", key="a")]))
        assert await asyncio.to_thread(held.started.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(caplog.records) == 1
        held.gate.set()
        assert await asyncio.to_thread(held.done.wait, PATIENCE)

    async def test_does_not_use_up_the_event_loops_threads(self) -> None:
        """Which are few, and which other code waits for."""
        gate = threading.Barrier(40)

        def meet() -> str:
            """Meet all the others."""
            gate.wait(PATIENCE)
            return "met"

        calls: list[Call] = [good(str(n), "meet") for n in range(40)]
        messages = await ToolSet([meet]).map().ainvoke(calls, {"max_concurrency": 40})
        assert [m.content for m in messages] == ["met"] * 40


class TestThreads:
    """The application says how many there are, not the model, which wrote the calls."""

    @pytest.mark.parametrize("way", ["invoke", "ainvoke", "abatch"])
    async def test_are_as_many_as_pythons_own_pools_have(self, way: str) -> None:
        usual = min(32, (os.cpu_count() or 1) + 4)
        running = peak = 0
        lock, full = threading.Lock(), threading.Event()

        def work() -> None:
            """Work."""
            nonlocal running, peak
            with lock:
                running += 1
                peak = max(peak, running)
                if running == usual:
                    full.set()
            assert full.wait(PATIENCE)
            with lock:
                running -= 1

        tools, calls = ToolSet([work]), [good(str(n), "work") for n in range(128)]
        if way == "invoke":
            messages = tools.map().invoke(calls)
        elif way == "ainvoke":
            messages = await tools.map().ainvoke(calls)
        else:
            messages = await tools.abatch(calls)
        assert [m.status for m in messages] == ["success"] * 128
        assert peak == usual

    async def test_do_not_bound_coroutines(self) -> None:
        barrier = asyncio.Barrier(100)

        async def meet() -> None:
            """Meet all the others."""
            await asyncio.wait_for(barrier.wait(), PATIENCE)

        calls: list[Any] = [good(str(n), "meet") for n in range(100)]
        messages = await ToolSet([meet]).map().ainvoke(calls)
        assert [m.status for m in messages] == ["success"] * 100


class TestACoroutineThatSwallowsItsCancellation:
    """Its call is answered at the timeout, and nobody waits for it longer."""

    class Stubborn:
        def __init__(self) -> None:
            self.started, self.cancelled, self.gate = (asyncio.Event() for _ in range(3))

        async def work(self) -> str:
            """Work."""
            self.started.set()
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
            return "too late"

        def tools(self, **kwargs: Any) -> ToolSet:
            return ToolSet([StructuredTool.from_function(coroutine=self.work), add], **kwargs)

    @pytest.mark.parametrize("run", [ainvoke, map_ainvoke])
    async def test_does_not_hold_the_chain(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        stubborn = self.Stubborn()
        tools = stubborn.tools(timeout={"work": 0.05})
        async with asyncio.timeout(PATIENCE):
            message = await run(tools, good("c", "work"))
        assert message.content == "Error: work did not finish within 0.05 seconds."
        assert "'work' (call c) was cancelled and goes on" in caplog.text
        stubborn.gate.set()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=PATIENCE)
        assert len(asyncio.all_tasks()) == 1

    async def test_gives_its_place_to_the_next(self) -> None:
        stubborn = self.Stubborn()
        calls: list[Any] = [good("a", "work"), good("b", "add", a=1, b=2)]
        runner = stubborn.tools(timeout={"work": 0.05}).map()
        async with asyncio.timeout(PATIENCE):
            messages = await runner.ainvoke(calls, {"max_concurrency": 1})
        assert [m.status for m in messages] == ["error", "success"]
        stubborn.gate.set()

    @pytest.mark.parametrize("run", [ainvoke, map_ainvoke])
    async def test_does_not_hold_who_leaves(self, run: Run) -> None:
        stubborn = self.Stubborn()
        task = asyncio.ensure_future(run(stubborn.tools(timeout=0.2), good("c", "work")))
        await stubborn.started.wait()
        task.cancel()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert stubborn.cancelled.is_set()
        stubborn.gate.set()

    async def test_cleans_up_before_the_answer_where_it_does_not_take_long(self) -> None:
        cleaned = asyncio.Event()

        async def work() -> None:
            """Work."""
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(5):
                    await asyncio.sleep(0)
                cleaned.set()

        await ToolSet([work], timeout=0.01).ainvoke(good("c", "work"))
        assert cleaned.is_set()


class TestArguments:
    """What a tool does to its arguments is seen by nobody else."""

    @every_way
    @pytest.mark.parametrize("as_json", [False, True])
    async def test_are_those_of_the_model_in_each_try(self, run: Run, as_json: bool) -> None:  # noqa: FBT001
        seen: list[Any] = []

        def upload(batch: dict[str, Any]) -> str:
            """Upload."""
            seen.append(copy.deepcopy(batch))
            batch["rows"].append({"end": []})
            batch["more"] = 1
            if len(seen) < 3:
                raise ConnectionError
            return "ok"

        schema = {"type": "object", "properties": {"batch": {"type": "object"}}}
        tool = StructuredTool.from_function(upload, args_schema=schema if as_json else None)
        call = good("c", "upload", batch={"rows": [{"n": [1]}]})
        message = await run(ToolSet([tool], retries={"upload": 3}), call)
        assert message.content == "ok"
        assert seen == [{"rows": [{"n": [1]}]}] * 3
        assert call["args"] == {"batch": {"rows": [{"n": [1]}]}}


class TestMistakes:
    @pytest.mark.parametrize("what", ["timeout", "retries", "max_concurrency"])
    def test_in_a_name(self, what: str) -> None:
        wrong: dict[str, Any] = {what: {"add": 1, "ad": 1}}
        with pytest.raises(ValueError, match=f"{what} names .*: 'ad'. Its tools: 'add'"):
            ToolSet([add], **wrong)

    @pytest.mark.parametrize(
        ("what", "value", "error"),
        [
            *[("timeout", {"add": one}, "timeout has to be") for one in (0, "1", None, True)],
            *[("timeout", one, "timeout has to be") for one in (float("inf"), float("nan"), True)],
            *[("retries", one, "retries has to be") for one in (-1, 1.5, "1", True, {"add": None})],
            *[("max_concurrency", {"add": one}, "has to be an integer") for one in (0, 1.5, True)],
        ],
    )
    def test_in_a_number(self, what: str, value: Any, error: str) -> None:
        wrong: dict[str, Any] = {what: value}
        with pytest.raises(ValueError, match=error):
            ToolSet([add], **wrong)

    def test_in_what_max_concurrency_is_for(self) -> None:
        wrong: Any = 8
        with pytest.raises(TypeError, match="in the config of a run"):
            ToolSet([add], max_concurrency=wrong)

    @pytest.mark.parametrize("wrong", [None, 1, (ValueError, 1)])
    def test_in_the_handling_of_errors(self, wrong: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="handle_tool_errors"):
            ToolSet([add], handle_tool_errors=wrong)

    def test_in_the_annotation_of_a_handler(self) -> None:
        def handle(error: int) -> str:
            return ""

        with pytest.raises(ValueError, match="takes exceptions"):
            ToolSet([add], handle_tool_errors=handle)


def of_value(error: ValueError) -> str:
    return "value"


def of_two(error: ValueError | KeyError) -> str:
    return "one of two"


class Handler:
    def method(self, error: ValueError) -> str:
        return "value"

    def __call__(self, error: ValueError) -> str:
        return "value"


class TestAnAnnotatedHandler:
    """As LangGraph's `ToolNode` reads it."""

    @pytest.mark.parametrize("handler", [of_value, of_two, Handler().method, Handler()])
    @every_way
    async def test_is_for_the_errors_of_its_annotation(self, run: Run, handler: Any) -> None:
        tools = ToolSet(
            [Flaky(ValueError("x")).tool(), Flaky(OSError("y")).tool("other")],
            handle_tool_errors=handler,
        )
        assert (await run(tools, good("c", "fetch"))).content in ("value", "one of two")
        with pytest.raises(OSError, match="y"):
            await run(tools, good("c", "other"))

    @pytest.mark.parametrize("handler", [str, lambda error: "any"], ids=["str", "lambda"])
    def test_is_for_all_errors_without_one(self, handler: Any) -> None:
        tools = ToolSet([Flaky(OSError("any")).tool()], handle_tool_errors=handler)
        assert tools.invoke(good("c", "fetch")).content == "any"


class TestWhatOnlyAnApplicationCanGive:
    """State, store and `ToolRuntime` come from LangGraph's `ToolNode`."""

    def needy(self) -> list[BaseTool]:
        def stateful(x: int, state: Annotated[dict[str, Any], InjectedState]) -> str:
            """Use state."""
            pytest.fail("it ran")

        def runtime(x: int, runtime: ToolRuntime) -> str:
            """Use the runtime."""
            pytest.fail("it ran")

        return [StructuredTool.from_function(one) for one in (stateful, runtime)]

    @every_way
    @pytest.mark.parametrize(
        ("name", "wanting"), [("stateful", "'state'"), ("runtime", "'runtime'")]
    )
    async def test_is_said_where_it_is_missing(self, run: Run, name: str, wanting: str) -> None:
        message = await run(ToolSet(self.needy()), good("c", name, x=1))
        assert message.status == "error"
        assert f"needs {wanting}" in message.content
        assert "ToolNode" in message.content

    @every_way
    async def test_may_be_put_into_the_call(self, run: Run) -> None:
        """By a step between the parser and the tools, as LangChain's guides do it."""

        def save(x: int, user: Annotated[str, InjectedToolArg]) -> str:
            """Save."""
            return f"{x} for {user}"

        tools = ToolSet([save])
        message = AIMessage("", tool_calls=[good("c", "save", x=1)])
        (parsed,) = ToolStreamParser(tools).invoke(message)
        call: Any = {**parsed, "args": {**parsed["args"], "user": "Ann"}}
        assert (await run(tools, call)).content == "1 for Ann"
        assert "needs 'user'" in (await run(tools, good("c", "save", x=1))).content

    @every_way
    async def test_is_not_missed_where_it_has_a_default(self, run: Run) -> None:
        def save(x: int, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
            """Save."""
            return f"{x} for {user}"

        assert (await run(ToolSet([save]), good("c", "save", x=1))).content == "1 for nobody"

    def test_is_no_reason_to_refuse_a_set(self) -> None:
        """Which a model is bound to, and whose other tools run."""
        assert len(ToolSet([add, *self.needy()])) == 3
