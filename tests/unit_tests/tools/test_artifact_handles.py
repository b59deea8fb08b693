"""Artifacts that travel: the model passes a handle on, the tool receives the object."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any

import pandas as pd
import pytest
from langchain_core.messages import ToolMessage
from langchain_core.stores import BaseStore, InMemoryStore
from langchain_core.tools import BaseTool, tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from langchain_toolstream import FromArtifact, ToolSet, ToolStreamParser, artifact_tool
from langchain_toolstream.tools.artifacts.store import MAX_KEPT, RecentArtifacts
from tests.unit_tests.scripted import PATIENCE, Call, bad, chunk, good, written

FRAME = pd.DataFrame({"a": [1, 2]})


@artifact_tool(read_only=True)
def load(name: str) -> pd.DataFrame:
    """Load a table."""
    if name != "sales":
        raise FileNotFoundError(name)
    return FRAME


@artifact_tool(read_only=True)
async def aload(name: str) -> pd.DataFrame:
    """Load a table."""
    return FRAME


@artifact_tool
def number() -> int:
    """Give a number."""
    return 7


taken: list[Any] = []


@artifact_tool
def take(frame: Annotated[pd.DataFrame, FromArtifact()], times: int = 1) -> int:
    """Take a table."""
    taken.append(frame)
    return len(frame) * times


@tool
async def atake(frame: Annotated[pd.DataFrame, FromArtifact()] | None = None) -> str:
    """Take a table, or none."""
    taken.append(frame)
    return "Taken."


@tool
def take_many(frames: list[Annotated[pd.DataFrame, FromArtifact()]]) -> str:
    """Take some tables."""
    taken.extend(frames)
    return "Taken."


class TakeArgs(BaseModel):
    anything: Annotated[Any, FromArtifact()]


@tool(args_schema=TakeArgs)
def take_any(anything: Any) -> str:
    """Take anything."""
    taken.append(anything)
    return "Taken."


TOOLS: list[BaseTool] = [load, aload, number, take, atake, take_many, take_any]
IN_THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


@pytest.fixture(autouse=True)
def nothing_taken() -> Iterator[None]:
    taken.clear()
    yield
    taken.clear()


Run = Callable[..., Awaitable[list[ToolMessage]]]


async def invoke(tools: ToolSet, calls: Sequence[Call], config: Any = None) -> list[ToolMessage]:
    return tools.map().invoke(list(calls), config)


async def ainvoke(tools: ToolSet, calls: Sequence[Call], config: Any = None) -> list[ToolMessage]:
    return await tools.map().ainvoke(list(calls), config)


either_way = pytest.mark.parametrize("run", [invoke, ainvoke])


class TestAHandle:
    @either_way
    async def test_ends_every_result_with_an_artifact(self, run: Run) -> None:
        messages = await run(
            ToolSet(TOOLS), [good("a", "load", name="sales"), good("b", "load", name="x")]
        )
        assert str(messages[0].content).endswith("\nartifact:a")
        assert "artifact:" not in messages[1].content
        assert messages[0].artifact is FRAME

    @either_way
    async def test_ends_a_result_of_blocks_in_a_block(self, run: Run) -> None:
        block = {"type": "text", "text": "Look."}

        @artifact_tool
        def show() -> Any:
            """Show."""
            return [block]

        (message,) = await run(ToolSet([show, take]), [good("a", "show")])
        assert message.content == [block, {"type": "text", "text": "artifact:a"}]

    @either_way
    async def test_is_not_there_where_no_tool_takes_artifacts(self, run: Run) -> None:
        (message,) = await run(ToolSet([load]), [good("a", "load", name="sales")])
        assert "artifact:" not in message.content

    @pytest.mark.parametrize("name", ["take", "atake", "take_many", "take_any"])
    def test_is_a_string_to_the_model(self, name: str) -> None:
        (one,) = [one for one in TOOLS if one.name == name]
        function = convert_to_openai_tool(one)["function"]
        shown = str(function["parameters"])
        assert "'string'" in shown
        assert "artifact:call_1" in shown
        assert "DataFrame" not in shown

    @pytest.mark.parametrize(
        ("taker", "args"),
        [
            ("take", {"frame": "artifact:a", "times": 2}),
            ("atake", {"frame": "artifact:a"}),
            ("take_many", {"frames": ["artifact:a"]}),
            ("take_any", {"anything": "artifact:a"}),
        ],
    )
    async def test_becomes_the_object_itself(self, taker: str, args: dict[str, Any]) -> None:
        tools = ToolSet(TOOLS)
        await tools.map().ainvoke([good("a", "load", name="sales")], IN_THREAD)
        (message,) = await tools.map().ainvoke([good("b", taker, **args)], IN_THREAD)
        assert message.status == "success", message.content
        assert len(taken) == 1
        assert taken[0] is FRAME

    async def test_may_be_left_out_where_it_has_a_default(self) -> None:
        (message,) = await ToolSet(TOOLS).map().ainvoke([good("a", "atake")])
        assert message.status == "success"
        assert taken == [None]

    @either_way
    async def test_is_all_that_a_trace_has_of_the_object(self, run: Run) -> None:
        collector = RunCollectorCallbackHandler()
        calls = [good("a", "load", name="sales"), good("b", "take", frame="artifact:a")]
        await run(ToolSet(TOOLS), calls, {"callbacks": [collector]})
        (traced,) = collector.traced_runs
        (taking,) = [child for child in traced.child_runs if child.name == "take"]
        assert str(taking.inputs).count("artifact:a") == 1
        assert "DataFrame" not in str(taking.inputs)


class TestAWrongHandle:
    @pytest.mark.parametrize(
        ("frame", "said"),
        [
            ("artifact:nope", "there is no 'artifact:nope'"),
            ("artifact:nope", "Known: artifact:a"),
            ("artifact:n", "takes a DataFrame, and what is there is a int"),
            ("sales", "a handle that an earlier result ends in is needed"),
            ({"a": [1]}, "a handle that an earlier result ends in is needed"),
            (None, "a handle that an earlier result ends in is needed"),
        ],
    )
    @either_way
    async def test_is_answered_with_what_is_wrong(self, run: Run, frame: Any, said: str) -> None:
        tools = ToolSet(TOOLS)
        await run(tools, [good("a", "load", name="sales")], IN_THREAD)
        await run(tools, [good("n", "number")], IN_THREAD)
        (message,) = await run(tools, [good("b", "take", frame=frame)], IN_THREAD)
        assert (message.status, message.tool_call_id) == ("error", "b")
        assert said in message.content
        assert taken == []

    @either_way
    async def test_is_one_of_a_call_that_failed(self, run: Run) -> None:
        calls = [good("a", "load", name="x"), good("b", "take", frame="artifact:a")]
        messages = await run(ToolSet(TOOLS), calls)
        assert [m.status for m in messages] == ["error", "error"]
        assert "there is no 'artifact:a'" in messages[1].content

    @either_way
    async def test_is_its_own(self, run: Run) -> None:
        (message,) = await run(ToolSet(TOOLS), [good("b", "take", frame="artifact:b")])
        assert "there is no 'artifact:b'" in message.content

    @pytest.mark.parametrize("args", ['{"frame": "sales"}', '{"frame": {"a": [1]}}', "{}"])
    def test_in_form_is_refused_by_the_parser(self, args: str) -> None:
        parser = ToolStreamParser(ToolSet(TOOLS))
        chunks = [*written(0, "a", "take", args), chunk(finish_reason="stop")]
        (calls,) = parser.transform(iter(chunks))
        assert [call["type"] for call in calls] == ["invalid_tool_call"]

    def test_that_may_still_come_passes_the_parser(self) -> None:
        parser = ToolStreamParser(ToolSet(TOOLS))
        args = '{"frame": "artifact:later"}'
        chunks = [*written(0, "a", "take", args), chunk(finish_reason="stop")]
        (calls,) = parser.transform(iter(chunks))
        assert calls == [good("a", "take", frame="artifact:later")]


class TestInsideOneMessage:
    @either_way
    async def test_a_call_waits_for_the_one_that_it_names(self, run: Run) -> None:
        calls = [good("a", "load", name="sales"), good("b", "take", frame="artifact:a")]
        assert [m.status for m in await run(ToolSet(TOOLS), calls)] == ["success", "success"]
        assert taken[0] is FRAME

    async def test_and_holds_up_no_other(self) -> None:
        gate, other_ran = asyncio.Event(), asyncio.Event()

        @artifact_tool
        async def slow() -> pd.DataFrame:
            """Load slowly."""
            await asyncio.wait_for(gate.wait(), PATIENCE)
            return FRAME

        @tool
        async def other() -> None:
            """Run."""
            other_ran.set()

        calls = [good("a", "slow"), good("b", "take", frame="artifact:a"), good("c", "other")]
        running = asyncio.create_task(
            ToolSet([slow, take, other]).map().ainvoke(calls, {"max_concurrency": 2})
        )
        await asyncio.wait_for(other_ran.wait(), PATIENCE)
        assert taken == []
        gate.set()
        assert [m.status for m in await running] == ["success"] * 3
        assert taken[0] is FRAME

    @either_way
    async def test_through_one_place(self, run: Run) -> None:
        calls = [good("a", "load", name="sales"), good("b", "take", frame="artifact:a")]
        messages = await run(ToolSet(TOOLS), calls, {"max_concurrency": 1})
        assert [m.status for m in messages] == ["success", "success"]

    async def test_of_a_call_that_is_taken_back(self) -> None:
        """The one that waited runs, and finds that there is nothing."""
        started = asyncio.Event()

        @artifact_tool
        async def hang() -> pd.DataFrame:
            """Hang."""
            started.set()
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)
            return FRAME

        async def source() -> Any:
            yield [good("a", "hang"), good("b", "take", frame="artifact:a")]
            await asyncio.wait_for(started.wait(), PATIENCE)
            yield [bad("a", "hang")]

        runner = ToolSet([hang, take], read_only=True).map()
        messages = [m async for batch in runner.atransform(source()) for m in batch]
        assert [(m.tool_call_id, m.status) for m in messages] == [("a", "error"), ("b", "error")]
        assert taken == []


class TestWhereTheyAreKept:
    @either_way
    async def test_without_a_thread_for_the_run_only(self, run: Run) -> None:
        tools = ToolSet(TOOLS)
        await run(tools, [good("a", "load", name="sales")])
        (message,) = await run(tools, [good("b", "take", frame="artifact:a")])
        assert "there is no 'artifact:a'" in message.content

    @either_way
    async def test_no_thread_reaches_anothers(self, run: Run) -> None:
        """Not where a model numbers its calls, and not by the name of the thread."""
        tools = ToolSet(TOOLS)
        for thread in ("t", "t/x"):
            config = {"configurable": {"thread_id": thread}}
            await run(tools, [good("x/a", "load", name="sales")], config)
        for thread, handle in (
            ("u", "artifact:x/a"),
            ("t", "artifact:x/x/a"),
            ("", "artifact:t/x/a"),
        ):
            config = {"configurable": {"thread_id": thread}}
            (message,) = await run(tools, [good("b", "take", frame=handle)], config)
            assert "there is no" in message.content
            assert "Known: none" in message.content or thread == "t"

    @either_way
    async def test_in_any_store(self, run: Run) -> None:
        store = InMemoryStore()
        tools = ToolSet(TOOLS, artifacts=store)
        await run(tools, [good("a", "load", name="sales")], IN_THREAD)
        assert list(store.yield_keys()) == ["t/a"]
        assert store.mget(["t/a"])[0] is FRAME
        again = ToolSet(TOOLS, artifacts=store)
        await run(again, [good("b", "take", frame="artifact:a")], IN_THREAD)
        assert taken[0] is FRAME

    async def test_a_store_that_waits_is_awaited(self) -> None:
        store = AsyncOnly()
        tools = ToolSet(TOOLS, artifacts=store)
        await tools.map().ainvoke([good("a", "aload", name="sales")], IN_THREAD)
        await tools.map().ainvoke([good("b", "atake", frame="artifact:a")], IN_THREAD)
        assert taken[0] is FRAME

    @either_way
    async def test_a_store_that_fails_does_not_run_the_tool_again(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The tool has done its work; the model can mend nothing, and reads nothing of a store."""
        runs = []

        @artifact_tool
        def transfer(amount: int) -> dict[str, int]:
            """Transfer money."""
            runs.append(amount)
            return {"transferred": amount}

        tools = ToolSet([transfer, take], artifacts=Full(), retries={"transfer": 2})
        (message,) = await run(tools, [good("a", "transfer", amount=100)], IN_THREAD)
        assert (message.status, runs) == ("success", [100])
        assert message.artifact == {"transferred": 100}
        assert "artifact:" not in message.content
        assert "disk" not in message.content
        assert "the disk is full" in caplog.text
        assert "'transfer' (call a)" in caplog.text

    @either_way
    async def test_a_store_that_cannot_be_read_says_nothing_of_itself(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        tools = ToolSet(TOOLS, artifacts=Full())
        (message,) = await run(tools, [good("b", "take", frame="artifact:a")], IN_THREAD)
        assert (message.status, taken) == ("error", [])
        assert "cannot be read at the moment" in message.content
        assert "disk" not in message.content
        assert "the disk is full" in caplog.text

    def test_in_memory_the_last_ones(self) -> None:
        store = RecentArtifacts(2)
        store.mset([("a", 1), ("b", 2)])
        store.mset([("a", 3), ("c", 4)])
        assert list(store.yield_keys()) == ["a", "c"]
        assert store.mget(["a", "b", "c"]) == [3, None, 4]

    def test_in_memory_of_a_set_the_last_ones(self) -> None:
        tools = ToolSet(TOOLS)
        calls = [good(str(n), "load", name="sales") for n in range(MAX_KEPT + 1)]
        tools.map().invoke(calls, {**IN_THREAD, "max_concurrency": 1})
        first, last = tools.map().invoke(
            [
                good("b", "take", frame="artifact:0"),
                good("c", "take", frame=f"artifact:{MAX_KEPT}"),
            ],
            IN_THREAD,
        )
        assert (first.status, last.status) == ("error", "success")


class AsyncOnly(BaseStore[str, Any]):
    """A store that must not be asked from an event loop but by `await`."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def amget(self, keys: Sequence[str]) -> list[Any]:
        return [self.kept.get(key) for key in keys]

    async def amset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        self.kept.update(key_value_pairs)

    def mget(self, keys: Sequence[str]) -> list[Any]:
        raise NotImplementedError

    def mset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        raise NotImplementedError

    def mdelete(self, keys: Sequence[str]) -> None:
        raise NotImplementedError

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        raise NotImplementedError


class Full(InMemoryStore):
    """A store that takes nothing, and gives nothing."""

    def mget(self, keys: Sequence[str]) -> list[Any]:
        raise OSError("the disk is full")

    async def amget(self, keys: Sequence[str]) -> list[Any]:
        raise OSError("the disk is full")

    def mset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        raise OSError("the disk is full")

    async def amset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        raise OSError("the disk is full")


class TestOutsideAToolSet:
    async def test_the_object_itself_may_be_given(self) -> None:
        assert take.invoke({"frame": FRAME}) == "2"
        assert await atake.ainvoke({"frame": FRAME}) == "Taken."
        assert all(one is FRAME for one in taken)
        with pytest.raises(ValueError, match="takes a DataFrame"):
            take.invoke({"frame": [1]})

    def test_a_handle_is_a_handle(self) -> None:
        """`ToolNode`, for example, knows no artifacts."""
        take_any.invoke({"anything": "artifact:a"})
        assert taken == ["artifact:a"]

    async def test_a_chain_in_a_tool_has_its_own(self) -> None:
        """What an inner message may name is not looked up among the outer run's artifacts."""
        inner = ToolSet(TOOLS)

        @tool
        def agent(frame: Annotated[pd.DataFrame, FromArtifact()]) -> str:
            """Run another chain."""
            chunks = [
                *written(0, "i", "load", '{"name": "sales"}'),
                *written(1, "j", "take", '{"frame": "artifact:i"}'),
                chunk(finish_reason="stop"),
            ]
            chain: Any = ToolStreamParser(inner) | inner.map(order="called")
            found = [m for batch in chain.transform(iter(chunks)) for m in batch]
            return ", ".join(m.status for m in found)

        calls = [good("a", "load", name="sales"), good("b", "agent", frame="artifact:a")]
        messages = await ToolSet([load, agent]).map().ainvoke(calls)
        assert messages[1].content == "success, success"
