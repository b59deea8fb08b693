"""What a run says of itself, whichever way it is read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import InjectedToolCallId, ToolException, tool

from langchain_toolstream import ToolSet, ToolStreamParser, tool_events
from langchain_toolstream.consume.pace import AHEAD
from langchain_toolstream.consume.reader import EventReader
from langchain_toolstream.consume.tools import MAX_CALLS_REMEMBERED
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.core.events import (
    TOOL_PROGRESS,
    ArgumentDelta,
    ArgumentFinish,
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from tests.unit_tests.scripted import (
    PATIENCE,
    ScriptedChat,
    chunk,
    comes_true,
    part,
    pass_time,
    written,
)

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


@tool(response_format="content_and_artifact")
async def add(a: int, b: int) -> tuple[str, dict[str, int]]:
    """Add two integers."""
    return str(a + b), {"sum": a + b}


@tool
async def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


TOOLS = ToolSet([add, fail])
END = chunk(finish_reason="tool_calls")
SAYS = [
    AIMessageChunk(content="", additional_kwargs={"reasoning_content": "So."}),
    chunk(content="Let me "),
    chunk(content="see."),
    *written(0, "c1", "add", '{"a": 3, "b": 12}'),
    *written(1, "c2", "fail", '{"reason": "no luck"}'),
    AIMessageChunk(
        content="",
        response_metadata={"finish_reason": "tool_calls"},
        usage_metadata={"input_tokens": 7, "output_tokens": 9, "total_tokens": 16},
    ),
]


def model(chunks: list[AIMessageChunk] = SAYS, **fields: Any) -> ScriptedChat:
    return ScriptedChat(chunks=chunks, **fields)


def chain(llm: Runnable[Any, Any], tools: ToolSet = TOOLS) -> Runnable[Any, Any]:
    return llm | ToolStreamParser(tools) | tools.map(order="called")


async def all_of(events: AsyncIterator[ToolEvent]) -> list[ToolEvent]:
    return [event async for event in events]


async def until_error(events: AsyncIterator[ToolEvent], error: type[Exception]) -> list[ToolEvent]:
    seen: list[ToolEvent] = []
    try:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - what came before the error counts
    except error:
        return seen
    pytest.fail("Nothing was raised.")


def said(events: list[ToolEvent]) -> list[ToolEvent]:
    """The events without the runs' random ids, and deltas joined as no source cuts them alike."""
    return [replace(event, run_id="") for event in events]


def kinds(events: list[ToolEvent], *dropped: str) -> list[str]:
    return [
        e.type for e in events if not e.type.startswith(("argument", "tool-call-delta", *dropped))
    ]


def of_type(events: list[ToolEvent], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# Every way to read one model.
MODEL_ROADS: dict[str, Callable[[Runnable[Any, Any]], AsyncIterator[ToolEvent]]] = {
    "bare": lambda llm: tool_events(llm.astream("x")),
    "v2": lambda llm: tool_events(llm.astream_events("x", version="v2")),
    "v3": lambda llm: tool_events(llm.astream_events("x", version="v3")),
    "run": lambda llm: tool_events(llm, "x"),
    "in a chain": lambda llm: tool_events(llm | RunnableLambda(lambda message: message), "x"),
}
SYNC_ROADS: dict[str, Callable[[Runnable[Any, Any]], Iterator[ToolEvent]]] = {
    "bare": lambda llm: tool_events(llm.stream("x")),
    "v3": lambda llm: tool_events(llm.stream_events("x", version="v3")),
    "run": lambda llm: tool_events(llm, "x"),
}


class TestOneModel:
    @pytest.mark.parametrize("road", MODEL_ROADS)
    async def test_says_the_same_on_every_road(self, road: str) -> None:
        events = await all_of(MODEL_ROADS[road](model()))
        call = ToolCallDelta
        assert said(events) == [
            MessageStart(),
            ReasoningDelta(text="So."),
            TextDelta(text="Let me "),
            TextDelta(text="see."),
            ToolCallStart(id="c1", name="add", index=0),
            call(id="c1", args='{"a"'),
            call(id="c1", args=": 3,"),
            ArgumentFinish(id="c1", path=("a",), value=3),
            call(id="c1", args=' "b"'),
            call(id="c1", args=": 12"),
            call(id="c1", args="}"),
            ArgumentFinish(id="c1", path=("b",), value=12),
            ToolCallStart(id="c2", name="fail", index=1),
            call(id="c2", args='{"re'),
            call(id="c2", args="ason"),
            call(id="c2", args='": "'),
            call(id="c2", args="no l"),
            ArgumentDelta(id="c2", path=("reason",), text="no l"),
            call(id="c2", args='uck"'),
            ArgumentDelta(id="c2", path=("reason",), text="uck"),
            ArgumentFinish(id="c2", path=("reason",), value="no luck"),
            call(id="c2", args="}"),
            ToolCallReady(id="c1", name="add", args={"a": 3, "b": 12}, early=False),
            ToolCallFinish(id="c1", name="add", args={"a": 3, "b": 12}),
            ToolCallReady(id="c2", name="fail", args={"reason": "no luck"}, early=False),
            ToolCallFinish(id="c2", name="fail", args={"reason": "no luck"}),
            MessageFinish(
                finish_reason="tool_calls",
                usage={"input_tokens": 7, "output_tokens": 9, "total_tokens": 16},
            ),
        ]
        (run_id,) = {event.run_id for event in events}
        assert len(run_id) == 36

    @pytest.mark.parametrize("road", SYNC_ROADS)
    def test_says_the_same_without_a_loop(self, road: str) -> None:
        asynchronous = asyncio.run(all_of(MODEL_ROADS["bare"](model())))
        assert said(list(SYNC_ROADS[road](model()))) == said(asynchronous)

    @pytest.mark.parametrize("road", MODEL_ROADS)
    async def test_yields_what_is_known_then_raises(self, road: str) -> None:
        broken = model([*SAYS[:6]], error=ConnectionError("gone"))
        events = await until_error(MODEL_ROADS[road](broken), ConnectionError)
        assert kinds(events, "text", "reasoning") == [
            "message-start", "tool-call-start", "tool-call-invalid", "message-error",
        ]  # fmt: skip
        *_, invalid, end = said(events)
        error = "The message broke off before the call was confirmed."  # not anybody's own text
        assert invalid == ToolCallInvalid(
            id="c1", name="add", args='{"a": 3,', error=error, revoked=False
        )
        assert end == MessageError(error="gone")

    @pytest.mark.parametrize("road", SYNC_ROADS)
    def test_raises_likewise_without_a_loop(self, road: str) -> None:
        events: list[ToolEvent] = []
        with pytest.raises(ConnectionError, match="gone"):
            events.extend(SYNC_ROADS[road](model([*SAYS[:6]], error=ConnectionError("gone"))))
        assert said(events)[-1] == MessageError(error="gone")

    @pytest.mark.parametrize("road", MODEL_ROADS)
    async def test_closing_closes_the_model(self, road: str) -> None:
        llm = model()
        events = MODEL_ROADS[road](llm)
        assert (await anext(events)).type == "message-start"
        await events.aclose()  # type: ignore[attr-defined]
        assert await comes_true(lambda: llm.closed == 1)

    @pytest.mark.parametrize("road", ["bare", "run"])
    def test_closing_closes_the_model_without_a_loop(self, road: str) -> None:
        llm = model()
        events = SYNC_ROADS[road](llm)
        assert next(events).type == "message-start"
        events.close()  # type: ignore[attr-defined]
        assert llm.closed == 1
        assert llm.produced < len(SAYS)
        with pytest.raises(StopIteration):
            next(events)

    @pytest.mark.parametrize("road", MODEL_ROADS)
    async def test_that_does_not_stream_says_it_at_once(self, road: str) -> None:
        whole = model(disable_streaming=True)
        events = await all_of(MODEL_ROADS[road](whole))
        assert [call.args for call in of_type(events, ToolCallFinish)] == [
            {"a": 3, "b": 12},
            {"reason": "no luck"},
        ]
        assert "".join(e.text for e in of_type(events, TextDelta)) == "Let me see."
        (end,) = of_type(events, MessageFinish)
        assert end.usage["total_tokens"] == 16

    async def test_that_answers_from_a_cache(self) -> None:
        llm = model(cache=InMemoryCache())
        ask = RunnableLambda(llm.ainvoke)
        first = await all_of(tool_events(ask, "x"))
        again = await all_of(tool_events(ask, "x"))
        assert llm.produced == len(SAYS)
        assert of_type(said(again), ToolCallFinish) == of_type(said(first), ToolCallFinish)
        assert kinds(again)[-1] == "message-finish"

    @pytest.mark.parametrize("road", ["bare", "v2", "run"])
    async def test_validates_with_tools(self, road: str) -> None:
        calls = [*written(0, "c1", "add", '{"a": "x"}'), *written(1, "c2", "other", "{}"), END]
        llm = model(calls)
        source = {
            "bare": (llm.astream("x"),),
            "v2": (llm.astream_events("x", version="v2"),),
            "run": (llm, "x"),
        }[road]
        events = await all_of(tool_events(*source, tools=TOOLS))
        assert [e.id for e in of_type(events, ToolCallInvalid)] == ["c1", "c2"]

    async def test_a_read_only_call_is_ready_early(self) -> None:
        tools = ToolSet([add, fail], read_only=["add"])
        events = await all_of(tool_events(model().astream("x"), tools=tools))
        ready = kinds(events).index("tool-call-ready")
        assert kinds(events)[ready + 1] == "tool-call-start"

    async def test_that_should_say_why_it_ended_and_does_not(self) -> None:
        cut = [chunk(content="Hi", model_provider="openai"), *written(0, "c1", "add", "{}")]
        events = await until_error(tool_events(model(cut).astream("x")), IncompleteStreamError)
        assert kinds(events)[-2:] == ["tool-call-invalid", "message-error"]
        # Where others read the stream too, they decide whether the run goes on.
        events = await all_of(tool_events(model(cut), "x"))
        assert kinds(events)[-2:] == ["tool-call-invalid", "message-error"]

    async def test_content_blocks(self) -> None:
        blocks: list[Any] = [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "Yes."},
        ]
        events = await all_of(tool_events(model([chunk(content=blocks), END]).astream("x")))
        assert said(events)[1:3] == [ReasoningDelta(text="Hm."), TextDelta(text="Yes.")]

    async def test_two_streams_one_after_the_other(self) -> None:
        async def both() -> AsyncIterator[Any]:
            for llm in (model(), model()):
                async for piece in llm.astream("x"):
                    yield piece

        events = await all_of(tool_events(both()))
        assert len({event.run_id for event in events}) == 2
        assert kinds(events).count("message-finish") == 2

    async def test_a_stream_without_anything(self) -> None:
        assert not list(tool_events([]))
        assert not list(tool_events(iter(())))


class TestTools:
    async def test_run_behind_their_calls(self) -> None:
        events = await all_of(tool_events(chain(model()), "x"))
        tools = [e for e in events if e.type in ("tool-start", "tool-finish", "tool-error")]
        assert sorted(map(str, said(tools))) == sorted(
            map(
                str,
                [
                    ToolStart(id="c1", name="add", args={"a": 3, "b": 12}),
                    ToolFinish(id="c1", name="add", content="15", artifact={"sum": 15}),
                    ToolStart(id="c2", name="fail", args={"reason": "no luck"}),
                    ToolError(id="c2", name="fail", error="no luck"),
                ],
            )
        )
        assert len({event.run_id for event in events}) == 1

    async def test_v2_and_the_run_itself_say_the_same(self) -> None:
        seen = await all_of(tool_events(chain(model()).astream_events("x", version="v2")))
        assert said(seen) == said(await all_of(tool_events(chain(model()), "x")))

    def test_run_without_a_loop(self) -> None:
        events = list(tool_events(chain(model()), "x"))
        assert said(events) == said(asyncio.run(all_of(tool_events(chain(model()), "x"))))

    async def test_a_read_only_tool_starts_in_the_middle_of_the_message(self) -> None:
        started = asyncio.Event()

        @tool
        async def look() -> str:
            """Look."""
            started.set()
            return "seen"

        class Waiting(ScriptedChat):
            async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                async for piece in super()._astream(*args, **kwargs):
                    if piece.message.response_metadata:
                        await started.wait()
                    yield piece

        tools = ToolSet([look], read_only=True)
        llm = Waiting(chunks=[*written(0, "c1", "look", "{}"), END])
        events = await all_of(tool_events(chain(llm, tools), "x", tools=tools))
        order = kinds(events)
        assert order.index("tool-start") < order.index("tool-call-finish")

    async def test_report_progress(self) -> None:
        @tool
        async def count(to: int, call_id: Annotated[str, InjectedToolCallId]) -> str:
            """Count."""
            data = {"tool_call_id": call_id, "name": "count", "data": {"at": 1}}
            await adispatch_custom_event(TOOL_PROGRESS, data)
            await adispatch_custom_event("other", data)
            return "done"

        tools = ToolSet([count])
        llm = model([*written(0, "c1", "count", '{"to": 2}'), END])
        events = await all_of(tool_events(chain(llm, tools), "x"))
        assert kinds(events)[-3:] == ["tool-start", "tool-progress", "tool-finish"]
        assert said(events)[-2] == ToolProgress(id="c1", name="count", data={"at": 1})

    async def test_report_nothing_after_their_end(self) -> None:
        """The thread of a tool that was stopped goes on until its next piece of progress."""

        def count(to: int) -> Iterator[int]:
            """Count."""
            yield to

        tools = ToolSet([count])
        run = chain(model([*written(0, "c1", "count", '{"to": 1}'), END]), tools)
        items = [item async for item in run.astream_events("hi", version="v2")]
        (late,) = [item for item in items if item["event"] == "on_custom_event"]
        reader = EventReader(None)
        events = [event for item in [*items, late] for event in reader.feed(item)]
        assert kinds(events)[-3:] == ["tool-start", "tool-progress", "tool-finish"]
        assert len({event.run_id for event in events}) == 1

    async def test_a_tool_that_was_stopped_has_an_end(self) -> None:
        @tool
        async def wait() -> str:
            """Wait for ever."""
            pass_time(10)
            await asyncio.Event().wait()
            return ""

        tools = ToolSet([wait], timeout=10)
        llm = model([*written(0, "c1", "wait", "{}"), END])
        events = await all_of(tool_events(chain(llm, tools), "x"))
        assert kinds(events)[-2:] == ["tool-start", "tool-error"]

    async def test_a_revoked_call_has_one_end_and_so_has_its_tool(self) -> None:
        started = asyncio.Event()

        @tool
        async def wait() -> str:
            """Wait for ever."""
            started.set()
            await asyncio.Event().wait()
            return ""

        class Waiting(ScriptedChat):
            async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                async for piece in super()._astream(*args, **kwargs):
                    if piece.message.tool_call_chunks[0]["args"] == "junk":
                        await started.wait()
                    yield piece

        tools = ToolSet([wait], read_only=True)
        llm = Waiting(
            chunks=[*written(0, "c1", "wait", "{}"), chunk(part("junk")), chunk(part(" "))]
        )
        events = await all_of(tool_events(chain(llm, tools), "x", tools=tools))
        assert sorted(kinds(events)[1:]) == [
            "message-finish", "tool-call-invalid", "tool-call-ready", "tool-call-start",
            "tool-error", "tool-start",
        ]  # fmt: skip
        assert of_type(events, ToolCallInvalid)[0].revoked

    async def test_a_handled_error_is_an_error(self) -> None:
        @tool
        def refuse() -> str:
            """Refuse."""
            raise ToolException("not today")

        refuse.handle_tool_error = True
        tools = ToolSet([refuse])
        llm = model([*written(0, "c1", "refuse", "{}"), END])
        events = await all_of(tool_events(chain(llm, tools), "x"))
        assert of_type(said(events), ToolError) == [
            ToolError(id="c1", name="refuse", error="not today")
        ]

    async def test_a_tool_that_nobody_called_is_its_own_run(self) -> None:
        async def run(given: int) -> str:
            return str(await add.ainvoke({"a": 1, "b": given}))

        start, finish = await all_of(tool_events(RunnableLambda(run), 2))
        assert start == ToolStart(id=start.id, run_id=start.id, name="add", args={"a": 1, "b": 2})
        assert finish == ToolFinish(id=start.id, run_id=start.id, name="add", content="3")

    async def test_a_call_is_found_by_name_and_arguments(self) -> None:
        async def run(message: AIMessage) -> Any:
            return [await add.ainvoke(call["args"]) for call in reversed(message.tool_calls)]

        calls = [
            *written(0, "c1", "add", '{"a":1,"b":2}'),
            *written(1, "c2", "add", '{"a":5,"b":2}'),
        ]
        events = await all_of(tool_events(model([*calls, END]) | RunnableLambda(run), "x"))
        assert [e.id for e in of_type(events, ToolStart)] == ["c2", "c1"]

    async def test_a_tool_that_a_tool_runs_is_not_its_call(self) -> None:
        @tool
        async def outer(a: int, config: RunnableConfig) -> str:
            """Run another tool."""
            return str(await add.ainvoke({"a": a, "b": 1}, config))

        tools = ToolSet([outer])
        llm = model([*written(0, "c1", "outer", '{"a": 3}'), END])
        events = await all_of(tool_events(chain(llm, tools), "x"))
        first, second = of_type(events, ToolStart)
        assert first.id == "c1"
        assert second.id == second.run_id != "c1"
        assert len(of_type(events, ToolFinish)) == 2

    async def test_of_a_call_whose_id_was_made_is_told_under_the_id_of_the_call(self) -> None:
        """The parser makes another one than the reader of events."""
        tools = ToolSet([add])
        said = [
            *written(0, "c1", "add", '{"a":1,"b":2}'),
            *written(1, "c1", "add", '{"a":5,"b":2}'),
        ]
        events = await all_of(tool_events(chain(model([*said, END]), tools), "x"))
        calls = {e.id: e.args["a"] for e in of_type(events, ToolCallFinish)}
        assert {e.id: e.args["a"] for e in of_type(events, ToolStart)} == calls
        assert {e.id: e.content for e in of_type(events, ToolFinish)} == {
            call_id: str(a + 2) for call_id, a in calls.items()
        }

    async def test_models_side_by_side_may_use_one_id(self) -> None:
        """As those do whose ids count the calls of a message, such as Kimi's `functions.add:0`."""
        second_is_done = asyncio.Event()

        @tool
        async def wait(branch: str) -> AsyncIterator[str]:
            """Wait."""
            if branch == "first":
                await asyncio.wait_for(second_is_done.wait(), PATIENCE)
            yield branch

        def run(branch: str) -> Any:
            said = written(0, "functions.wait:0", "wait", f'{{"branch": "{branch}"}}')
            return chain(model([*said, END]), ToolSet([wait]))

        both = RunnableParallel(first=run("first"), second=run("second"))
        events: list[Any] = []
        async for event in tool_events(both, "x"):
            events.append(event)
            if event.type == "tool-finish":
                second_is_done.set()
        runs = {e.args["branch"]: e.run_id for e in of_type(events, ToolCallFinish)}
        assert len(set(runs.values())) == 2
        assert {e.args["branch"]: e.run_id for e in of_type(events, ToolStart)} == runs
        assert {e.data: e.run_id for e in of_type(events, ToolProgress)} == runs
        finished = [(e.content, e.run_id) for e in of_type(events, ToolFinish)]
        assert finished == [("second", runs["second"]), ("first", runs["first"])]

    async def test_any_output_of_a_tool(self) -> None:
        class Command:
            update: ClassVar = {"messages": [ToolMessage("told", tool_call_id="c1", artifact=1)]}

        reader = EventReader(None)
        base = {
            "run_id": "r",
            "name": "command",
            "parent_ids": [],
            "metadata": {"tool_call_id": "c1"},
        }
        (start,) = reader.feed({**base, "event": "on_tool_start", "data": {"input": {}}})
        (finish,) = reader.feed({**base, "event": "on_tool_end", "data": {"output": Command()}})
        assert (start.type, finish) == (
            "tool-start",
            ToolFinish(id="c1", run_id="r", name="command", content="told", artifact=1),
        )


class TestManyModels:
    async def test_stay_apart(self) -> None:
        both = RunnableParallel(one=chain(model()), other=chain(model()))
        events = await all_of(tool_events(both, "x"))
        alone = said(await all_of(tool_events(chain(model()), "x")))
        runs = {event.run_id for event in events}
        assert len(runs) == 2
        for run_id in runs:
            mine = said([event for event in events if event.run_id == run_id])
            # Both make calls of the same ids at the same time, so the tools may be mixed up.
            assert [e for e in mine if not e.type.startswith("tool-")] == [
                e for e in alone if not e.type.startswith("tool-")
            ]
            calls = [e for e in mine if e.type.startswith("tool-call")]
            assert calls == [e for e in alone if e.type.startswith("tool-call")]
        assert len(of_type(events, ToolFinish)) == len(of_type(events, ToolError)) == 2

    async def test_a_model_that_failed_has_an_end(self) -> None:
        broken = model([*SAYS[:6]], error=ConnectionError("gone"))

        async def ask(given: Any) -> Any:
            try:
                return await broken.ainvoke(given)
            except ConnectionError:
                return await model().ainvoke(given)

        events = await all_of(tool_events(RunnableLambda(ask), "x"))
        errors = of_type(events, MessageError)
        assert [error.error for error in errors] == ["gone"]
        assert kinds(events).count("message-start") == 2
        # It ends before the other one begins.
        last = max(i for i, one in enumerate(events) if isinstance(one, MessageStart))
        assert events.index(errors[0]) < last
        assert kinds(events).count("message-finish") == 1

    async def test_a_model_in_a_tool_knows_the_call(self) -> None:
        @tool
        async def ask(config: RunnableConfig) -> str:
            """Ask another model."""
            answer = await model([chunk(content="Me."), END]).ainvoke("x", config)
            return str(answer.text)

        tools = ToolSet([ask])
        llm = model([*written(0, "c1", "ask", "{}"), END])
        events = await all_of(tool_events(chain(llm, tools), "x"))
        outer, inner = of_type(events, MessageStart)
        assert (outer.parent_call_id, inner.parent_call_id) == (None, "c1")
        assert [e.type for e in events if e.run_id == inner.run_id] == [
            "message-start", "text-delta", "message-finish",
        ]  # fmt: skip


class TestPace:
    @pytest.mark.parametrize("wrap", [lambda llm: llm, lambda llm: llm | RunnableLambda(len)])
    async def test_a_slow_reader_slows_the_model(self, wrap: Any) -> None:
        llm = model([chunk(content="x")] * 500)
        events = tool_events(wrap(llm | RunnableLambda(lambda m: m.text)), "x")
        for read in range(1, 151):
            await anext(events)
            if read % 50 == 0:
                for _ in range(1000):  # more than the model takes for all it says
                    await asyncio.sleep(0)
                assert read <= llm.produced <= read + AHEAD + 2
        await events.aclose()
        assert llm.closed == 1

    async def test_a_model_in_a_thread_goes_on_too(self) -> None:
        class InThread(ScriptedChat):
            _astream = ScriptedChat.__mro__[1]._astream  # LangChain's own, by `_stream` in threads

        llm = InThread(chunks=[chunk(content="x")] * 200)
        events = await all_of(tool_events(RunnableLambda(llm.invoke), "x"))
        assert "".join(e.text for e in of_type(events, TextDelta)) == "x" * 200

    async def test_pieces_that_make_no_event_do_not_stop_the_run(self) -> None:
        llm = model([chunk(content="x")] * (3 * AHEAD))
        events = tool_events(llm, "x", exclude_types=["chat_model"])
        assert not await all_of(events)

    async def test_a_run_reads_its_config(self) -> None:
        seen = []
        run = RunnableLambda(lambda _, config: seen.append(config["metadata"]["who"]))
        await all_of(tool_events(run, "x", {"metadata": {"who": "me"}}))
        assert seen == ["me"]


class TestWhatCannotBeRead:
    @pytest.mark.parametrize("source", [3, "text", b"bytes", {"event": "x"}, None])
    def test_no_source(self, source: Any) -> None:
        with pytest.raises(TypeError, match="tool_events reads a stream"):
            tool_events(source)

    @pytest.mark.parametrize("item", [3, "text", HumanMessage("x"), {"a": 1}, (1, 2)])
    def test_no_item(self, item: Any) -> None:
        with pytest.raises(TypeError, match="got " + type(item).__name__):
            list(tool_events([item]))

    def test_a_runnable_without_input(self) -> None:
        with pytest.raises(TypeError, match=r"ScriptedChat.*needs its input"):
            tool_events(model())  # type: ignore[call-overload]

    def test_a_stream_with_input(self) -> None:
        with pytest.raises(TypeError, match="Only a Runnable takes an input"):
            tool_events([], "x")  # type: ignore[call-overload]

    async def test_a_for_loop_in_a_running_loop(self) -> None:
        events = tool_events(model(), "x")
        with pytest.raises(RuntimeError, match="async for"):
            next(events)
        assert await all_of(events)

    def test_unknown_events_mean_nothing(self) -> None:
        unknown: list[Any] = [
            {"event": "on_retriever_end", "data": {}},
            {"event": "content-block-delta", "index": 0, "delta": {}},
            {"type": "event", "method": "values", "params": {}},
        ]
        assert not list(tool_events(unknown))


def test_calls_are_remembered_within_bounds() -> None:
    reader = EventReader(None)
    for number in range(3 * MAX_CALLS_REMEMBERED):
        message = AIMessage("", id=f"lc_run--{number}", tool_calls=[
            {"name": "add", "args": {}, "id": f"c{number}", "type": "tool_call"}
        ])  # fmt: skip
        reader.feed({
            "event": "on_chat_model_end", "run_id": str(number), "name": "m", "parent_ids": [],
            "metadata": {}, "data": {"output": message},
        })  # fmt: skip
    assert len(reader._tools._calls) == MAX_CALLS_REMEMBERED
    assert not reader._messages
