"""`Streamed`: a tool reads an argument while the model writes it, and takes back what was none."""

import asyncio
import copy
import json
import os
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableGenerator, RunnablePassthrough
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from langchain_toolstream import (
    CallRevokedError,
    FromArtifact,
    PartialToolsParser,
    Streamed,
    ToolCallError,
    ToolSet,
    ToolStreamParser,
    artifact_tool,
    tool_events,
)
from langchain_toolstream.core.events import ToolStart
from tests.unit_tests.scripted import (
    PATIENCE,
    Call,
    ScriptedChat,
    bad,
    chunk,
    comes_true,
    good,
    part,
    pass_time,
    written,
)

TEXT = 'line "one"\nline é🎉\n' * 3
WRITE = written(0, "a", "write", json.dumps({"path": "p", "content": TEXT}))
END = chunk(finish_reason="tool_calls")
CUT = chunk(finish_reason="length")


class Writer:
    """A tool, sync or async, that writes what it reads, and what became of each of its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.pieces: list[str] = []
        self.read = asyncio.Event()
        self.thread_read = threading.Event()
        self.ended = threading.Event()
        self.outcomes: list[str] = []

    def write(self, path: str, content: Streamed[str]) -> str:
        """Write a file."""
        self.runs += 1
        try:
            for piece in content:
                self.pieces.append(piece)
                self.thread_read.set()
        except BaseException as error:
            self.outcomes.append(type(error).__name__)
            raise
        finally:
            self.ended.set()
        self.outcomes.append("written")
        return f"{path}: {len(''.join(self.pieces))}"

    async def awrite(self, path: str, content: Streamed[str]) -> str:
        """Write a file."""
        self.runs += 1
        try:
            async for piece in content:
                self.pieces.append(piece)
                self.read.set()
        except BaseException as error:
            self.outcomes.append(type(error).__name__)
            raise
        self.outcomes.append("written")
        return f"{path}: {len(''.join(self.pieces))}"

    def tool(self, kind: str) -> BaseTool:
        if kind == "sync":
            return StructuredTool.from_function(self.write, name="write")
        return StructuredTool.from_function(coroutine=self.awrite, name="write")


both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])


async def says(*chunks: AIMessageChunk) -> AsyncIterator[AIMessageChunk]:
    for one in chunks:
        yield one


async def a_list(batches: AsyncIterator[list[ToolMessage]]) -> list[ToolMessage]:
    return [message async for messages in batches for message in messages]


def seen(messages: list[ToolMessage]) -> list[tuple[str, str | None]]:
    return [(m.tool_call_id, None if m.status == "error" else str(m.content)) for m in messages]


class TestAChain:
    @both_kinds
    async def test_runs_the_tool_while_the_model_writes(self, kind: str) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool(kind)])

        async def says_it() -> AsyncIterator[AIMessageChunk]:
            for one in WRITE[: len(WRITE) // 2]:
                yield one
            if kind == "sync":
                assert await asyncio.to_thread(writer.thread_read.wait, PATIENCE)
            else:
                await asyncio.wait_for(writer.read.wait(), PATIENCE)
            assert TEXT.startswith("".join(writer.pieces))
            for one in WRITE[len(WRITE) // 2 :]:
                yield one
            assert writer.outcomes == []  # not before the message has ended
            yield END

        messages = await a_list((ToolStreamParser(tools) | tools.map()).atransform(says_it()))
        assert seen(messages) == [("a", f"p: {len(TEXT)}")]
        assert (writer.runs, writer.outcomes) == (1, ["written"])
        assert "".join(writer.pieces) == TEXT
        assert len(writer.pieces) > 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test_runs_the_tool_while_the_model_writes_in_sync(self) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool("sync")])

        def says_it() -> Iterator[AIMessageChunk]:
            yield from WRITE[: len(WRITE) // 2]
            assert writer.thread_read.wait(PATIENCE)
            yield from WRITE[len(WRITE) // 2 :]
            assert writer.outcomes == []
            yield END

        batches = (ToolStreamParser(tools) | tools.map()).transform(says_it())
        assert seen(list(chain.from_iterable(batches))) == [("a", f"p: {len(TEXT)}")]
        assert (writer.runs, writer.outcomes) == (1, ["written"])
        assert "".join(writer.pieces) == TEXT

    @both_kinds
    async def test_behind_a_model_that_does_not_stream_has_it_in_one_piece(self, kind: str) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool(kind)])
        call = good("a", "write", path="p", content=TEXT)
        message = AIMessage("", tool_calls=[call])  # type: ignore[list-item]
        whole: Any = ToolStreamParser(tools) | tools.map()
        assert seen(await whole.ainvoke(message)) == [("a", f"p: {len(TEXT)}")]
        assert writer.pieces == [TEXT]

    async def test_of_an_artifact_tool_needs_no_tool_set(self) -> None:
        writer = Writer()
        one = artifact_tool("write")(writer.awrite)
        whole: Any = ToolStreamParser([one]) | one.map()
        messages = await a_list(whole.atransform(says(*WRITE, END)))
        assert seen(messages) == [("a", f"p: {len(TEXT)}")]
        (call,) = next(ToolStreamParser([one]).transform(iter(WRITE)))
        assert isinstance(call["args"]["content"], Streamed)

    async def test_with_a_plain_list_waits_for_the_end(self) -> None:
        """Whatever runs its calls could not take one back."""
        parser = ToolStreamParser([Writer().tool("async")])
        batches = [calls async for calls in parser.atransform(says(*WRITE, END))]
        assert batches == [[good("a", "write", path="p", content=TEXT)]]

    @pytest.mark.parametrize("turns", [0, 200])
    async def test_is_told_of_before_its_call_is_written(self, turns: int) -> None:
        """The text comes as the call's own events do, and is no object in the tool's.

        Also where the reader is so slow that the text is whole by then.
        """
        writer = Writer()
        tools = ToolSet([writer.tool("async")])

        class Chat(ScriptedChat):
            async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
                for one in self.chunks:
                    if one is WRITE[-1]:
                        await asyncio.wait_for(writer.read.wait(), PATIENCE)
                    yield ChatGenerationChunk(message=one.model_copy())

        whole: Any = Chat(chunks=[*WRITE, END]) | ToolStreamParser(tools) | tools.map()
        events: list[Any] = []
        async for event in tool_events(whole, "Write!", tools=tools):
            events.append(event)
            for _ in range(turns):
                await asyncio.sleep(0)
        kinds = [event.type for event in events]
        (start,) = [event for event in events if isinstance(event, ToolStart)]
        assert (start.args, start.streamed) == ({"path": "p"}, "content")
        assert kinds.index("tool-start") < kinds.index("tool-call-ready")
        assert kinds[-1] == "tool-finish"

    @pytest.mark.parametrize("read_only", [True, ()])
    @pytest.mark.parametrize("limit", [None, 1])
    async def test_waits_for_the_artifact_of_a_call_before_it(
        self, read_only: Any, limit: int | None
    ) -> None:
        """That call is ready later, unless its tool is read-only."""

        @artifact_tool
        def load() -> tuple[str, list[int]]:
            """Load."""
            return "loaded", [1, 2]

        async def save(data: Annotated[list[int], FromArtifact()], text: Streamed[str]) -> str:
            """Save."""
            return f"{data} {''.join([piece async for piece in text])}"

        def sync_save(data: Annotated[list[int], FromArtifact()], text: Streamed[str]) -> str:
            """Save."""
            return f"{data} {''.join(text)}"

        args = '{"data": "artifact:a", "text": "some text"}'
        chunks = [*written(0, "a", "load", "{}"), *written(1, "b", "save", args), END]
        config: Any = {"max_concurrency": limit}
        for one in (save, sync_save):
            tools = ToolSet([load, StructuredTool.from_function(
                **({"coroutine": one} if one is save else {"func": one}), name="save"
            )], read_only=read_only and ["load"])  # fmt: skip
            whole: Any = ToolStreamParser(tools) | tools.map()
            messages = await a_list(whole.atransform(says(*chunks), config))
            assert [m.content for m in messages] == ["loaded\nartifact:a", "[1, 2] some text"]
            if one is sync_save:
                messages = list(chain.from_iterable(whole.transform(iter(chunks), config)))
                assert [m.tool_call_id for m in messages if m.status == "success"] == ["a", "b"]

    async def test_traces_the_text(self) -> None:
        collector = RunCollectorCallbackHandler()
        tools = ToolSet([Writer().tool("async")])
        whole: Any = ToolStreamParser(tools) | tools.map()
        await a_list(whole.atransform(says(*WRITE, END), {"callbacks": [collector]}))
        (traced,) = collector.traced_runs
        (parsing,) = [run for run in traced.child_runs if run.run_type == "parser"]
        assert parsing.inputs["input"].tool_calls == [good("a", "write", path="p", content=TEXT)]
        assert parsing.inputs["input"].model_dump_json()


class TestTheSumOfAStream:
    def test_is_what_invoke_returns(self) -> None:
        tools = ToolSet([Writer().tool("async")])
        parser = ToolStreamParser(tools)
        total: list[Call] = []
        for calls in parser.transform(iter([*WRITE, END])):
            total += calls
        message = WRITE[0]
        for one in [*WRITE[1:], END]:
            message = message + one
        assert total == parser.invoke(message)
        assert parser.invoke(message) == total
        assert isinstance(total[0]["args"]["content"], Streamed)  # type: ignore[index]
        assert parser.invoke(message)[0]["args"]["content"].__class__ is str  # type: ignore[index]

    def test_of_a_cut_call_has_it_first_as_a_call(self) -> None:
        """As a revoked read-only call has."""
        parser = ToolStreamParser(ToolSet([Writer().tool("async")]))
        batches = list(parser.transform(iter([*WRITE, CUT])))
        assert [(c["type"], c["id"]) for calls in batches for c in calls] == [
            ("tool_call", "a"),
            ("invalid_tool_call", "a"),
        ]


class TestACallThatIsNone:
    """The iteration raises in the tool; whatever it makes of that, its answer is the error."""

    @both_kinds
    @pytest.mark.parametrize("on_invalid", ["emit", "raise"])
    async def test_because_it_was_cut(self, kind: str, on_invalid: Any) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool(kind)])
        whole: Any = ToolStreamParser(tools, on_invalid=on_invalid) | tools.map()
        for chunks in ([*WRITE, CUT], [*WRITE[:-4], CUT]):
            found: list[ToolMessage] = []
            try:
                async for messages in whole.atransform(says(*chunks)):
                    found += messages
            except ToolCallError:
                assert on_invalid == "raise"
            assert seen(found) == [("a", None)]
        if kind == "sync":
            assert await asyncio.to_thread(writer.ended.wait, PATIENCE)
        assert await comes_true(lambda: len(writer.outcomes) == writer.runs)
        assert set(writer.outcomes) == {"CallRevokedError"}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test_because_it_was_cut_in_sync(self) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool("sync")])

        def says_it() -> Iterator[AIMessageChunk]:
            yield from WRITE
            assert writer.thread_read.wait(PATIENCE)
            yield CUT

        batches = (ToolStreamParser(tools) | tools.map()).transform(says_it())
        assert seen(list(chain.from_iterable(batches))) == [("a", None)]
        assert writer.ended.wait(PATIENCE)
        assert writer.outcomes == ["CallRevokedError"]

    @both_kinds
    async def test_because_later_text_contradicts_it(self, kind: str) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool(kind)])
        whole: Any = ToolStreamParser(tools) | tools.map()
        chunks = [*WRITE, chunk(part('{"path": "q"}')), END]
        assert seen(await a_list(whole.atransform(says(*chunks)))) == [("a", None)]
        assert await comes_true(lambda: len(writer.outcomes) == writer.runs)
        assert "written" not in writer.outcomes

    async def test_because_the_stream_broke(self) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool("async")])

        async def breaks() -> AsyncIterator[AIMessageChunk]:
            for one in WRITE:
                yield one
            await asyncio.wait_for(writer.read.wait(), PATIENCE)
            raise ConnectionError("gone")

        batches = (ToolStreamParser(tools) | tools.map()).atransform(breaks())
        assert seen(await asyncio.wait_for(anext(batches), PATIENCE)) == [("a", None)]
        with pytest.raises(ConnectionError, match="gone"):
            await anext(batches)
        assert writer.outcomes == ["CallRevokedError"]

    async def test_and_its_tool_may_clean_up(self) -> None:
        """It is not cancelled on top of that."""
        may_clean, cleaned = asyncio.Event(), asyncio.Event()
        errors: list[str] = []

        async def write(content: Streamed[str]) -> None:
            """Write."""
            try:
                async for _ in content:
                    pass
            except CallRevokedError as error:
                errors.append(str(error))
                await asyncio.wait_for(may_clean.wait(), PATIENCE)
                cleaned.set()

        async def says_it() -> AsyncIterator[AIMessageChunk]:
            for one in written(0, "a", "write", '{"content": "abcdef"}'):
                yield one
            yield CUT
            may_clean.set()

        tools = ToolSet([write])
        whole: Any = ToolStreamParser(tools) | tools.map()
        assert seen(await a_list(whole.atransform(says_it()))) == [("a", None)]
        assert cleaned.is_set()
        assert "cut off" in errors[0]

    @pytest.mark.parametrize("handle_tool_errors", [True, False])
    @pytest.mark.parametrize("raises", [True, False])
    async def test_is_answered_alike_whatever_its_tool_makes_of_it(
        self, *, raises: bool, handle_tool_errors: bool
    ) -> None:
        """Also where the tool hears of it before the runner does; it is not tried again."""
        runs, ended = 0, asyncio.Event()

        async def write(content: Streamed[str]) -> str:
            """Write."""
            nonlocal runs
            runs += 1
            try:
                async for _ in content:
                    pass
            except CallRevokedError:
                if raises:
                    raise
            finally:
                ended.set()
            return "all is well"

        async def late(batches: AsyncIterator[list[Call]]) -> AsyncIterator[list[Call]]:
            async for calls in batches:
                if calls[0]["type"] == "invalid_tool_call":
                    await asyncio.wait_for(ended.wait(), PATIENCE)
                    for _ in range(20):  # turns until its task has ended too
                        await asyncio.sleep(0)
                yield calls

        tools = ToolSet([write], handle_tool_errors=handle_tool_errors, retries={"write": 2})
        chunks = [*written(0, "a", "write", '{"content": "abcdef"}'), CUT]
        for between in (RunnablePassthrough[Any](), RunnableGenerator(late)):
            whole: Any = ToolStreamParser(tools) | between | tools.map()
            (message,) = await a_list(whole.atransform(says(*chunks)))
            assert message.status == "error"
            assert message.content.startswith("Error: the call was not run. The message was cut")
        assert runs <= 2  # at most one for each chain

    @pytest.mark.parametrize("kind", ["sync", "async"])
    async def test_is_no_success_of_a_tool_that_did_not_read_on(self, kind: str) -> None:
        """As no other tool that has to wait for the end of the message has one."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def write(content: Streamed[str]) -> str:
            """Write."""
            loop.call_soon_threadsafe(done.set)
            return next(iter(content))

        async def awrite(content: Streamed[str]) -> str:
            """Write."""
            done.set()
            return await anext(aiter(content))

        one = StructuredTool.from_function(
            *((None, awrite) if kind == "async" else (write,)), name="write"
        )
        tools = ToolSet([one])
        whole: Any = ToolStreamParser(tools) | tools.map()

        async def says_it(last: AIMessageChunk) -> AsyncIterator[AIMessageChunk]:
            for said in written(0, "a", "write", '{"content": "abcdef"}'):
                yield said
            await asyncio.wait_for(done.wait(), PATIENCE)
            for _ in range(20):  # turns until its task has ended too
                await asyncio.sleep(0)
            yield last

        for last, status in ((END, "success"), (CUT, "error")):
            done.clear()
            (message,) = await a_list(whole.atransform(says_it(last)))
            assert message.status == status

    def test_reaches_a_generator_where_it_reads(self) -> None:
        """Not only as the closing of the generator, which it cannot tell from a timeout."""
        reads, may_go_on, ended = threading.Event(), threading.Event(), threading.Event()
        outcomes: list[str] = []

        def write(content: Streamed[str]) -> Iterator[str]:
            """Write."""
            try:
                for piece in content:
                    reads.set()
                    may_go_on.wait(PATIENCE)
                    yield piece
            except BaseException as error:
                outcomes.append(type(error).__name__)
                raise
            finally:
                ended.set()

        def says_it() -> Iterator[AIMessageChunk]:
            yield from written(0, "a", "write", '{"content": "abcdef"}')
            assert reads.wait(PATIENCE)
            yield CUT

        tools = ToolSet([write])
        batches = (ToolStreamParser(tools) | tools.map()).transform(says_it())
        assert seen(list(chain.from_iterable(batches))) == [("a", None)]
        may_go_on.set()
        assert ended.wait(PATIENCE)
        assert outcomes == ["CallRevokedError"]

    @both_kinds
    async def test_before_its_turn_never_starts(self, kind: str) -> None:
        """Also where its place is free before the runner hears that the call is invalid."""
        writer, gate, waited = Writer(), asyncio.Event(), asyncio.Event()

        @tool
        async def wait() -> None:
            """Wait."""
            await gate.wait()

        async def late(batches: AsyncIterator[list[Call]]) -> AsyncIterator[list[Call]]:
            async for calls in batches:
                if calls[0]["type"] == "invalid_tool_call":
                    gate.set()
                    await asyncio.wait_for(waited.wait(), PATIENCE)
                yield calls

        chunks = [
            *written(0, "w", "wait", "{}"),
            *written(1, "a", "write", json.dumps({"path": "p", "content": TEXT})),
            CUT,
        ]
        tools = ToolSet([wait, writer.tool(kind)], read_only=["wait"])
        whole: Any = ToolStreamParser(tools) | RunnableGenerator(late) | tools.map()
        messages: list[ToolMessage] = []
        async for batch in whole.atransform(says(*chunks), {"max_concurrency": 1}):
            messages += batch
            waited.set()
        assert seen(messages) == [("w", "null"), ("a", None)]
        assert writer.runs == 0


class TestWhoStopsWhom:
    @both_kinds
    async def test_cancelling_the_consumer_frees_the_tool(self, kind: str) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool(kind)])

        async def hangs() -> AsyncIterator[AIMessageChunk]:
            for one in WRITE:
                yield one
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)

        whole: Any = ToolStreamParser(tools) | tools.map()
        consumer = asyncio.create_task(a_list(whole.atransform(hangs())))
        if kind == "sync":
            assert await asyncio.to_thread(writer.thread_read.wait, PATIENCE)
        else:
            await asyncio.wait_for(writer.read.wait(), PATIENCE)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        if kind == "sync":
            assert await asyncio.to_thread(writer.ended.wait, PATIENCE)
        assert len(writer.outcomes) == 1
        assert writer.outcomes[0] in ("CallRevokedError", "CancelledError")
        assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    def test_closing_the_iterator_frees_the_thread(self) -> None:
        writer, text = Writer(), Streamed[str]()

        def calls() -> Iterator[list[Call]]:
            yield [good("a", "write", path="p", content=text)]
            text.feed("some")
            assert writer.thread_read.wait(PATIENCE)
            yield [bad("b", "write")]

        messages: Any = ToolSet([writer.tool("sync")]).map().transform(calls())
        assert seen(next(messages)) == [("b", None)]
        messages.close()
        assert writer.ended.wait(PATIENCE)
        assert writer.outcomes == ["CallRevokedError"]

    def test_closing_the_parser_lets_no_one_wait(self) -> None:
        calls: Any = ToolStreamParser(ToolSet([Writer().tool("sync")])).transform(iter(WRITE))
        (call,) = next(calls)
        calls.close()
        with pytest.raises(CallRevokedError, match="interrupted"):
            "".join(call["args"]["content"])

    async def test_a_timeout_covers_the_writing(self) -> None:
        writer = Writer()
        tools = ToolSet([writer.tool("async")], timeout=10)

        async def slow() -> AsyncIterator[AIMessageChunk]:
            for one in WRITE:
                yield one
            await asyncio.wait_for(writer.read.wait(), PATIENCE)
            pass_time(10)
            assert await comes_true(lambda: bool(writer.outcomes))
            yield END

        whole: Any = ToolStreamParser(tools) | tools.map()
        messages = await a_list(whole.atransform(slow()))
        assert seen(messages) == [("a", None)]
        assert writer.outcomes == ["CancelledError"]


def failed_text() -> Streamed[str]:
    text: Streamed[str] = Streamed()
    text.fail("none")
    return text


class TestTheText:
    def test_can_be_read_twice_and_before_and_after(self) -> None:
        text: Streamed[str] = Streamed()
        text.feed("a")
        text.feed("")
        text.feed("b")
        text.end()
        assert ["".join(text), "".join(text)] == ["ab", "ab"]
        assert text == "ab"
        assert "ab" == text  # noqa: SIM300 - the other way round
        assert text != "a"
        assert text != 1
        assert repr(text) == "Streamed('ab')"
        assert repr(Streamed("x" * 100)) == f"Streamed('{'x' * 60}...')"

    async def test_is_the_same_for_many_readers(self) -> None:
        text: Streamed[str] = Streamed()

        async def read() -> str:
            return "".join([piece async for piece in text])

        readers = [asyncio.create_task(read()) for _ in range(3)]
        in_thread = asyncio.create_task(asyncio.to_thread(lambda: "".join(text)))
        for piece in "abc":
            await asyncio.sleep(0)
            text.feed(piece)
        text.end()
        assert await asyncio.gather(*readers, in_thread) == ["abc"] * 4

    async def test_that_has_ended_cannot_fail_and_the_other_way_round(self) -> None:
        text: Streamed[str] = Streamed("a")
        text.fail("too late")
        assert "".join(text) == "a"
        failed = failed_text()
        failed.end()
        assert not failed.ended
        with pytest.raises(CallRevokedError, match="none"):
            [piece async for piece in failed]

    async def test_a_reader_that_was_cancelled_disturbs_no_one(self) -> None:
        text: Streamed[str] = Streamed()
        reader = asyncio.ensure_future(anext(aiter(text)))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        text.feed("a")
        text.end()
        assert [piece async for piece in text] == ["a"]

    async def test_is_not_waited_for_in_a_coroutine_by_for(self) -> None:
        """It would stop the event loop that brings the text."""
        with pytest.raises(RuntimeError, match="async for"):
            next(iter(Streamed()))

    def test_is_a_string_to_the_model(self) -> None:
        parameters = convert_to_openai_tool(Writer().tool("sync"))["function"]["parameters"]
        assert parameters["properties"]["content"] == {"type": "string"}
        assert parameters["required"] == ["path", "content"]

    @pytest.mark.parametrize("kind", [Streamed[str], Streamed[str] | None])
    def test_is_a_string_to_whoever_shows_it(self, kind: Any) -> None:
        def write(content: kind) -> None:
            """Write."""

        parser = PartialToolsParser([write])
        chunks = [*written(0, "a", "write", '{"content": "abcdef"}'), END]
        assert "".join(parser.text("content").transform(iter(chunks))) == "abcdef"
        models = [view.model for view in parser.transform(iter(chunks))]
        shown = [str(model.content) for model in models if hasattr(model, "content")]
        assert shown[:2] == ["abc", "abcdef"]
        assert isinstance(models[-1].content, Streamed)

    @pytest.mark.parametrize("content", [1, None, ["a"], {"a": 1}])
    def test_has_to_be_text(self, content: Any) -> None:
        parser = ToolStreamParser(ToolSet([Writer().tool("sync")]))
        args = json.dumps({"path": "p", "content": content})
        (calls,) = parser.transform(iter([*written(0, "a", "write", args), END]))
        assert [call["type"] for call in calls] == ["invalid_tool_call"]

    def test_given_by_hand_is_read_at_once(self) -> None:
        writer = Writer()
        assert writer.tool("sync").invoke({"path": "p", "content": "abc"}) == "p: 3"

    def test_of_two_arguments_at_once_is_an_error(self) -> None:
        def two(a: Streamed[str], b: Streamed[str]) -> None:
            """Read two."""

        with pytest.raises(ValueError, match="one argument while it is written, not a, b"):
            ToolSet([two])

    @pytest.mark.parametrize("bound", [Field(max_length=5), Field(pattern="a")])
    def test_is_not_bounded_by_its_schema(self, bound: Any) -> None:
        """pydantic would refuse every text, at every call."""

        def write(content: Annotated[Streamed[str], bound]) -> None:
            """Write."""

        with pytest.raises(ValueError, match="'content' is Streamed, so its tool has to check it"):
            ToolSet([write])

    def test_of_a_class_needs_an_args_schema(self) -> None:
        """LangChain gives a tool without one what the model wrote: a `str`."""

        class Args(BaseModel):
            content: Annotated[Streamed[str], Field(description="What to write.")]

        class Write(BaseTool):
            name: str = "write"
            description: str = "Write."

            def _run(self, content: Streamed[str]) -> str:
                return type(content).__name__

        with pytest.raises(ValueError, match="'write' needs an args_schema"):
            ToolSet([Write()])
        tools = ToolSet([Write(args_schema=Args)])
        assert tools.invoke(good("a", "write", content="abc")).content == "Streamed"

    @pytest.mark.parametrize("whole", [True, False])
    def test_is_text_in_json(self, *, whole: bool) -> None:
        class Args(BaseModel):
            content: Streamed[str] = Streamed("a default")

        text: Streamed[str] = Streamed("abc")
        if not whole:
            text = Streamed()
            text.feed("abc")
        args = Args(content=text)
        message = AIMessage("", tool_calls=[good("a", "write", content=text)])  # type: ignore[list-item]
        assert args.model_dump_json() == '{"content":"abc"}'
        assert args.model_dump()["content"] is text  # LangChain runs tools with what this gives
        assert json.loads(message.model_dump_json())["tool_calls"][0]["args"] == {"content": "abc"}
        assert Args.model_json_schema()["properties"]["content"]["default"] == "a default"

    def test_is_its_own_copy_and_pickled_when_it_is_whole(self) -> None:
        text: Streamed[str] = Streamed()
        text.feed("abc")
        message = AIMessage("", tool_calls=[good("a", "write", content=text)])  # type: ignore[list-item]
        copied = message.model_copy(deep=True).tool_calls[0]["args"]["content"]
        with pytest.raises(TypeError, match="cannot be pickled before it is whole"):
            pickle.dumps(text)
        text.end()
        assert "".join(copied) == "abc"
        assert copy.copy(text) is text
        assert "".join(pickle.loads(pickle.dumps(text))) == "abc"  # noqa: S301 - our own


class TestAnAtomicWriter:
    """The one in the docs: a file is there as a whole, or not at all."""

    def tools(self, folder: Path) -> ToolSet:
        @tool
        async def write_file(path: str, content: Streamed[str]) -> str:
            """Write a file."""
            with TemporaryDirectory(dir=folder) as drafts:
                draft = Path(drafts) / "draft"
                with draft.open("w", encoding="utf-8") as file:
                    async for piece in content:
                        file.write(piece)
                draft.replace(folder / path)
            return f"Wrote {path}."

        return ToolSet([write_file])

    @pytest.mark.parametrize("stop_at", range(0, 30, 3))
    async def test_leaves_nothing_wherever_it_is_cut(self, tmp_path: Path, stop_at: int) -> None:
        tools = self.tools(tmp_path)
        chunks = written(0, "a", "write_file", json.dumps({"path": "x.txt", "content": TEXT}))
        whole: Any = ToolStreamParser(tools) | tools.map()
        await a_list(whole.atransform(says(*chunks[:stop_at], CUT)))
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - in a coroutine, no method of a path
        await a_list(whole.atransform(says(*chunks, END)))
        assert os.listdir(tmp_path) == ["x.txt"]  # noqa: PTH208
        assert (tmp_path / "x.txt").read_text(encoding="utf-8") == TEXT
