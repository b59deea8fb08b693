"""`ToolStreamParser` as a Runnable: events, configuration, composition, and who stops whom."""

import asyncio
import gc
import inspect
from collections import Counter
from collections.abc import AsyncIterator
from itertools import chain as chained
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableParallel
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_toolstream import ToolCallError, ToolSet, ToolStreamParser
from tests.unit_tests.scripted import ScriptedChat, chunk, comes_true, good, part, written


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
def search(query: str) -> str:
    """Search."""
    return f"found {query}"


TOOLS = [add, search]
READ_ONLY = ToolSet(TOOLS, read_only=True)
END = chunk(finish_reason="tool_calls")
CUT = chunk(finish_reason="length")
ADDED = good("call_1", "add", a=3, b=12)
SEARCHED = good("call_2", "search", query="cats")
FIRST = [chunk(content="Let me see."), *written(0, "call_1", "add", '{"a": 3, "b": 12}')]
SECOND = written(1, "call_2", "search", '{"query": "cats"}')
INVALID = written(1, "call_2", "search", '{"query": 1}')


def model(**fields: Any) -> ScriptedChat:
    return ScriptedChat(chunks=[*FIRST, *SECOND, END], **fields)


async def events_of(runnable: Runnable[Any, Any], **kwargs: Any) -> list[Any]:
    return [event async for event in runnable.astream_events("hi", version="v2", **kwargs)]


def named(events: list[Any], name: str) -> list[Any]:
    return [event for event in events if event["event"] == name]


class TestEvents:
    async def test_start_stream_and_end_behind_the_models_start(self) -> None:
        events = await events_of(model() | ToolStreamParser(READ_ONLY))
        # The model's own pieces in between are of no interest here.
        order = [
            event["event"]
            for event in events
            if event["name"] != "RunnableSequence" and event["event"] != "on_chat_model_stream"
        ]
        assert order == [
            "on_chat_model_start",
            "on_parser_start",
            "on_parser_stream",
            "on_parser_stream",
            "on_chat_model_end",
            "on_parser_end",
        ]

    async def test_late_calls_stream_once_behind_the_models_end(self) -> None:
        events = await events_of(model() | ToolStreamParser(TOOLS))
        names = [event["event"] for event in events]
        assert names.index("on_chat_model_end") < names.index("on_parser_stream")
        (streamed,) = named(events, "on_parser_stream")
        assert streamed["data"] == {"chunk": [ADDED, SEARCHED]}

    @pytest.mark.parametrize("tools", [TOOLS, READ_ONLY], ids=["late", "early"])
    async def test_the_end_has_the_sum_and_the_whole_message(
        self, tools: list[Any] | ToolSet
    ) -> None:
        events = await events_of(model() | ToolStreamParser(tools))
        (start,) = named(events, "on_parser_start")
        (end,) = named(events, "on_parser_end")
        streamed = [e["data"]["chunk"] for e in named(events, "on_parser_stream")]
        assert end["data"]["output"] == list(chained(*streamed)) == [ADDED, SEARCHED]
        assert start["run_id"] == end["run_id"]
        assert start["name"] == end["name"] == "ToolStreamParser"
        message = end["data"]["input"]
        assert isinstance(message, AIMessage)
        assert message.content == "Let me see."
        assert message.tool_calls == [ADDED, SEARCHED]
        assert message.invalid_tool_calls == []
        assert message.response_metadata["finish_reason"] == "tool_calls"

    async def test_the_end_tells_good_calls_from_others(self) -> None:
        llm = ScriptedChat(chunks=[*FIRST, *INVALID, END])
        (end,) = named(await events_of(llm | ToolStreamParser(TOOLS)), "on_parser_end")
        message = end["data"]["input"]
        assert message.tool_calls == [ADDED]
        assert message.invalid_tool_calls == end["data"]["output"][1:]
        assert [call["id"] for call in message.invalid_tool_calls] == ["call_2"]

    async def test_invoke_has_them_too(self) -> None:
        collector = RunCollectorCallbackHandler()
        chain = model() | ToolStreamParser(TOOLS)
        chain.invoke("hi", {"callbacks": [collector]})
        await chain.ainvoke("hi", {"callbacks": [collector]})
        list(chain.stream("hi", {"callbacks": [collector]}))
        for root in collector.traced_runs:
            run = root.child_runs[1]
            assert (run.run_type, run.name) == ("parser", "ToolStreamParser")
            assert run.outputs == {"output": [ADDED, SEARCHED]}
            assert run.inputs["input"].tool_calls == [ADDED, SEARCHED]
        assert len(collector.traced_runs) == 3

    async def test_types_can_be_selected(self) -> None:
        events = await events_of(model() | ToolStreamParser(TOOLS), include_types=["parser"])
        assert {event["event"] for event in events} == {
            "on_parser_start",
            "on_parser_stream",
            "on_parser_end",
        }

    async def test_name_tags_and_metadata_can_be_set(self) -> None:
        parser = ToolStreamParser(TOOLS).with_config(
            run_name="calls", tags=["mine"], metadata={"who": "me"}
        )
        events = await events_of(model() | parser, include_names=["calls"])
        assert [event["event"] for event in events] == [
            "on_parser_start",
            "on_parser_stream",
            "on_parser_end",
        ]
        for event in events:
            assert "mine" in event["tags"]
            assert event["metadata"]["who"] == "me"


class TestComposition:
    def parallel(self) -> Runnable[Any, dict[str, Any]]:
        return model() | RunnableParallel(calls=ToolStreamParser(READ_ONLY), text=StrOutputParser())

    async def test_in_parallel_with_text(self) -> None:
        expected = {"calls": [ADDED, SEARCHED], "text": "Let me see."}
        assert self.parallel().invoke("hi") == expected
        for pieces in (
            list(self.parallel().stream("hi")),
            [piece async for piece in self.parallel().astream("hi")],
        ):
            calls = [piece["calls"] for piece in pieces if piece.get("calls")]
            assert calls == [[ADDED], [SEARCHED]]
            assert "".join(piece.get("text", "") for piece in pieces) == "Let me see."

    async def test_assign(self) -> None:
        chain = model() | RunnableParallel(calls=ToolStreamParser(TOOLS)).assign(
            names=lambda found: [call["name"] for call in found["calls"]]
        )
        expected = {"calls": [ADDED, SEARCHED], "names": ["add", "search"]}
        assert chain.invoke("hi") == expected
        assert sum_of(list(chain.stream("hi"))) == expected
        assert sum_of([piece async for piece in chain.astream("hi")]) == expected

    async def test_a_function_behind_it_gets_the_sum(self) -> None:
        chain = model() | ToolStreamParser(READ_ONLY) | len
        assert chain.invoke("hi") == 2
        assert list(chain.stream("hi")) == [2]
        assert [count async for count in chain.astream("hi")] == [2]

    async def test_a_stock_tool_behind_it_runs_each_call_once(self) -> None:
        runs: Counter[int] = Counter()

        @tool
        def add(a: int, b: int) -> int:
            """Add two integers."""
            runs[a] += 1
            return a + b

        chunks = [
            *written(0, "c", "add", '{"a": 1, "b": 2}'),
            *written(1, "d", "add", '{"a": 3, "b": 4}'),
            END,
        ]
        parser = ToolStreamParser([add], on_invalid="raise")
        chain = ScriptedChat(chunks=chunks) | parser | add.map()

        def answers(messages: list[ToolMessage]) -> list[tuple[str, Any]]:
            return [(message.tool_call_id, message.content) for message in messages]

        assert answers(chain.invoke("hi")) == [("c", "3"), ("d", "7")]
        assert runs == {1: 1, 3: 1}
        (messages,) = chain.stream("hi")
        assert answers(messages) == [("c", "3"), ("d", "7")]
        assert runs == {1: 2, 3: 2}
        (messages,) = [item async for item in chain.astream("hi")]
        assert answers(messages) == [("c", "3"), ("d", "7")]
        assert runs == {1: 3, 3: 3}

    async def test_a_stock_tool_does_not_run_for_an_invalid_message(self) -> None:
        @tool
        def search(query: str) -> str:
            """Search."""
            pytest.fail(f"ran for {query}")

        llm = ScriptedChat(chunks=[*written(0, "c", "search", '{"query": "ca'), CUT])
        chain = llm | ToolStreamParser([search], on_invalid="raise") | search.map()
        with pytest.raises(ToolCallError):
            chain.invoke("hi")
        with pytest.raises(ToolCallError):
            list(chain.stream("hi"))
        with pytest.raises(ToolCallError):
            await anext(chain.astream("hi"))

    def test_the_graph_shows_every_step(self) -> None:
        graph = (model() | ToolStreamParser(READ_ONLY) | READ_ONLY.map()).get_graph()
        drawn = graph.draw_mermaid()
        for step in (
            "ScriptedChat --> ToolStreamParser",
            "ToolStreamParser --> ToolMap",
            "ToolMap --> ToolMapOutput",
        ):
            assert step in drawn

    def test_schemas(self) -> None:
        parser = ToolStreamParser(TOOLS)
        output = parser.get_output_jsonschema()
        assert output["type"] == "array"
        assert [item["$ref"] for item in output["items"]["anyOf"]] == [
            "#/$defs/ToolCall",
            "#/$defs/InvalidToolCall",
        ]
        accepted = parser.get_input_jsonschema()["$defs"]
        assert {"AIMessage", "AIMessageChunk"} <= accepted.keys()
        # What runs the calls takes what the parser gives.
        assert READ_ONLY.map().get_input_jsonschema()["items"] == output["items"]

    def test_sync_and_async_take_the_same_arguments(self) -> None:
        for name in ("parse_result", "transform", "invoke", "stream", "batch"):
            pair = [
                [
                    (parameter.name, parameter.kind, parameter.default)
                    for parameter in inspect.signature(method).parameters.values()
                ]
                for method in (
                    getattr(ToolStreamParser, name),
                    getattr(ToolStreamParser, f"a{name}"),
                )
            ]
            assert pair[0] == pair[1], name


def sum_of(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    total = dict(pieces[0])
    for piece in pieces[1:]:
        for key, value in piece.items():
            total[key] = total[key] + value if key in total else value
    return total


CLOSING = len(FIRST)
"""The first call is out when the model has produced so many chunks."""


def long_model(**fields: Any) -> ScriptedChat:
    more = [chunk(part("x", index=1)) for _ in range(100)]
    return ScriptedChat(chunks=[*FIRST, *SECOND[:2], *more], **fields)


class TestWhoStopsWhom:
    def test_close_stops_the_model(self) -> None:
        llm = long_model()
        stream: Any = (llm | ToolStreamParser(READ_ONLY)).stream("hi")
        assert next(stream) == [ADDED]
        stream.close()
        assert (llm.produced, llm.closed) == (CLOSING, 1)

    def test_close_stops_an_iterator_that_is_not_langchains(self) -> None:
        llm = long_model()
        chunks = llm.stream("hi")
        stream: Any = ToolStreamParser(READ_ONLY).transform(chunks)
        assert next(stream) == [ADDED]
        stream.close()
        assert (llm.produced, llm.closed) == (CLOSING, 1)
        assert list(chunks) == []

    def test_break_stops_the_model(self) -> None:
        llm = long_model()
        for calls in (llm | ToolStreamParser(READ_ONLY)).stream("hi"):
            assert calls == [ADDED]
            break
        gc.collect()  # a loop does not close what it iterates over; where nothing refers to it
        assert (llm.produced, llm.closed) == (CLOSING, 1)

    async def test_aclose_stops_the_model(self) -> None:
        llm = long_model()
        stream: Any = (llm | ToolStreamParser(READ_ONLY)).astream("hi")
        assert await anext(stream) == [ADDED]
        await stream.aclose()
        assert await comes_true(lambda: llm.closed == 1)
        assert llm.produced == CLOSING

    async def test_aclose_closes_the_input_and_leaves_nothing_behind(self) -> None:
        closed = False

        async def source() -> AsyncIterator[AIMessageChunk]:
            nonlocal closed
            try:
                for one in [*FIRST, *SECOND]:
                    yield one
            finally:
                closed = True

        collector = RunCollectorCallbackHandler()
        config: RunnableConfig = {"callbacks": [collector]}
        chunks = source()  # kept here, so that nothing closes it by dropping it
        stream: Any = ToolStreamParser(READ_ONLY).atransform(chunks, config)
        assert await anext(stream) == [ADDED]
        await stream.aclose()
        assert closed
        (run,) = collector.traced_runs
        assert run.end_time is not None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_async_break_stops_the_model(self) -> None:
        llm = long_model()
        async for calls in (llm | ToolStreamParser(READ_ONLY)).astream("hi"):
            assert calls == [ADDED]
            break
        assert await comes_true(lambda: llm.closed == 1)
        assert llm.produced == CLOSING

    async def test_cancelling_the_consumer_stops_the_model(self) -> None:
        arrived = asyncio.Event()
        llm = long_model()

        async def consume() -> None:
            async for _ in (llm | ToolStreamParser(READ_ONLY)).astream("hi"):
                arrived.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(consume())
        await asyncio.wait_for(arrived.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await comes_true(lambda: llm.closed == 1)
        assert llm.produced == CLOSING

    def test_a_closed_run_ends_with_what_it_gave_out(self) -> None:
        collector = RunCollectorCallbackHandler()
        config: RunnableConfig = {"callbacks": [collector]}
        chunks = long_model().stream("hi")
        stream: Any = ToolStreamParser(READ_ONLY).transform(chunks, config)
        assert next(stream) == [ADDED]
        stream.close()
        (run,) = collector.traced_runs
        assert run.error is None
        assert run.end_time is not None

    @pytest.mark.parametrize("tools", [TOOLS, READ_ONLY], ids=["late", "early"])
    def test_an_error_of_the_model_passes_and_ends_the_run(
        self, tools: list[Any] | ToolSet
    ) -> None:
        collector = RunCollectorCallbackHandler()
        chain = model(error=ConnectionError("gone")) | ToolStreamParser(tools)
        seen = []
        stream = chain.stream("hi", {"callbacks": [collector]})
        with pytest.raises(ConnectionError, match="gone"):
            seen.extend(stream)
        assert seen == ([[ADDED], [SEARCHED]] if tools is READ_ONLY else [])
        (run,) = [run for run in collector.traced_runs[0].child_runs if run.run_type == "parser"]
        assert "gone" in (run.error or "")

    @pytest.mark.parametrize("tools", [TOOLS, READ_ONLY], ids=["late", "early"])
    async def test_an_error_of_the_model_passes_and_ends_the_run_async(
        self, tools: list[Any] | ToolSet
    ) -> None:
        collector = RunCollectorCallbackHandler()
        chain = model(error=ConnectionError("gone")) | ToolStreamParser(tools)
        stream = chain.astream("hi", {"callbacks": [collector]})
        seen = [await anext(stream) for _ in range(2 if tools is READ_ONLY else 0)]
        with pytest.raises(ConnectionError, match="gone"):
            await anext(stream)
        assert seen == ([[ADDED], [SEARCHED]] if tools is READ_ONLY else [])
        (run,) = [run for run in collector.traced_runs[0].child_runs if run.run_type == "parser"]
        assert "gone" in (run.error or "")

    def test_an_error_before_the_first_chunk_passes(self) -> None:
        chain = ScriptedChat(chunks=[], error=ConnectionError("gone")) | ToolStreamParser(TOOLS)
        with pytest.raises(ConnectionError, match="gone"):
            list(chain.stream("hi"))

    def test_calls_that_are_none_end_the_run_with_error(self) -> None:
        collector = RunCollectorCallbackHandler()
        llm = ScriptedChat(chunks=[*FIRST, *INVALID, END])
        chain = llm | ToolStreamParser(TOOLS, on_invalid="raise")
        with pytest.raises(ToolCallError):
            list(chain.stream("hi", {"callbacks": [collector]}))
        run = collector.traced_runs[0].child_runs[1]
        assert "call_2" in (run.error or "")
        message: BaseMessage = run.inputs["input"]
        assert isinstance(message, AIMessage)
        assert message.tool_calls == [ADDED]
        assert [call["id"] for call in message.invalid_tool_calls] == ["call_2"]
