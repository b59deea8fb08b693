"""A call that isn't one never runs, wherever and however the stream breaks."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from pydantic import create_model

from langchain_toolstream import ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from langchain_toolstream.vllm import VLLMIdleTimeoutError
from tests.integration_tests.chat import (
    QUESTION,
    chain,
    chat,
    cut_everywhere,
    failed_everywhere,
    nth_call,
    total,
)
from tests.unit_tests.scripted import PATIENCE
from tests.unit_tests.vllm.wire import body, chunk, event, part, usage

BY_ID = {recording.id: recording for recording in bundled_recordings()}
TWO_CALLS = BY_ID["auto_2calls"]
LONG = BY_ID["auto_truncated_in_args"]
END = chunk(finish_reason="tool_calls")

# langchain-openai keeps one pool of connections for all event loops; none is to outlive its own.
ONE_LOOP = {"Connection": "close"}


class Runs:
    """Tools that count how often they ran, by their arguments."""

    def __init__(self, *, read_only: bool) -> None:
        self.count: Counter[str] = Counter()
        self.tools = ToolSet(
            [
                self._tool("multiply", {"a": int, "b": int}),
                self._tool("add", {"a": int, "b": int}),
                self._tool("write_file", {"path": str, "content": str}),
                self._tool("delete", {"path": str}),
                self._tool("now", {}),
            ],
            read_only=read_only,
        )

    def _tool(self, name: str, fields: dict[str, Any]) -> StructuredTool:
        def run(**args: Any) -> str:
            self.count[f"{name} {args}"] += 1
            return "done"

        async def arun(**args: Any) -> str:
            return run(**args)

        schema = create_model(name, **{field: (kind, ...) for field, kind in fields.items()})
        return StructuredTool(
            name=name, description=name, args_schema=schema, func=run, coroutine=arun
        )


Messages = list[ToolMessage]


async def invoke(chain: Runnable[Any, Any], messages: Messages) -> None:
    messages.extend(chain.invoke(QUESTION))


async def ainvoke(chain: Runnable[Any, Any], messages: Messages) -> None:
    messages.extend(await chain.ainvoke(QUESTION))


async def stream(chain: Runnable[Any, Any], messages: Messages) -> None:
    for batch in chain.stream(QUESTION):
        messages.extend(batch)


async def astream(chain: Runnable[Any, Any], messages: Messages) -> None:
    async for batch in chain.astream(QUESTION):
        messages.extend(batch)


def bare(messages: Iterator[Any]) -> Iterator[Any]:
    """What a step of a user's may leave of a stream: the calls."""
    for message in messages:
        yield message.model_copy(update={"response_metadata": {}})


async def abare(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        for one in bare(iter([message])):
            yield one


Road = Callable[[Runnable[Any, Any], Messages], Awaitable[None]]

roads = pytest.mark.parametrize("road", [invoke, ainvoke, stream, astream])


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    everywhere = [*cut_everywhere(TWO_CALLS), *failed_everywhere(TWO_CALLS)]
    whole = [TWO_CALLS, LONG, BY_ID["crash_worker_sigkill_midstream"]]
    with ReplayServer([*everywhere, *whole, *TRUNCATED.values()]) as server:
        yield server


def truncated(name: str, *events: Any) -> Recording:
    return Recording(id=name, body=body(*events))


PATH = '{"path": "a"}'
HEAD = chunk(part("", id="call_1", name="delete"))

# One call each, which the model did not finish.
TRUNCATED: dict[str, Recording] = {
    recording.id: recording
    for recording in (
        truncated("in a string", HEAD, chunk(part('{"path": "a')), chunk(finish_reason="length")),
        truncated("behind the object", HEAD, chunk(part(PATH)), chunk(finish_reason="length")),
        truncated("in the same event", HEAD, chunk(part(PATH), finish_reason="length")),
        truncated(
            "in one read with the closed call",
            chunk(part(PATH, id="call_1", name="delete"), finish_reason="length"),
        ),
        truncated("before the arguments", HEAD, chunk(finish_reason="length")),
        truncated("abort", HEAD, chunk(part(PATH)), chunk(finish_reason="abort")),
        truncated("content filter", HEAD, chunk(part(PATH)), chunk(finish_reason="content_filter")),
        truncated("repetition", HEAD, chunk(part(PATH)), chunk(finish_reason="repetition")),
        truncated("a second reason", HEAD, chunk(part(PATH)), END, chunk(finish_reason="length")),
        truncated("a cut that says tool_calls", HEAD, chunk(part('{"path": "a')), END),
        truncated("a contradiction", HEAD, chunk(part(PATH)), chunk(part('{"path": "b"}')), END),
        truncated("an unknown tool", chunk(part(PATH, id="call_1", name="rmdir")), END),
        truncated("a missing argument", chunk(part("{}", id="call_1", name="delete")), END),
        truncated(
            "an argument of another type",
            chunk(part('{"path": ["a"]}', id="call_1", name="delete")),
            END,
        ),
    )
}


WHOLE = ("an unknown tool", "a missing argument", "an argument of another type")


@pytest.mark.asyncio(loop_scope="module")
class TestSideEffects:
    """Tools that nobody said are read-only."""

    @roads
    async def test_none_of_a_stream_that_is_interrupted(
        self, server: ReplayServer, road: Road
    ) -> None:
        runs = Runs(read_only=False)
        everywhere = [
            *((one, IncompleteStreamError) for one in cut_everywhere(TWO_CALLS)),
            *((one, ServerStreamError) for one in failed_everywhere(TWO_CALLS)),
        ]
        for recording, kind in everywhere:
            messages: Messages = []
            with pytest.raises(kind) as raised:
                await road(chain(chat(server, recording), runs.tools), messages)
            assert isinstance(raised.value, StreamInterruptedError)
            assert messages == []
        assert runs.count == {}
        await road(chain(chat(server, TWO_CALLS), runs.tools), messages)
        assert runs.count == {"multiply {'a': 3, 'b': 12}": 1, "add {'a': 3, 'b': 12}": 1}

    @roads
    @pytest.mark.parametrize("recording", TRUNCATED.values(), ids=TRUNCATED)
    async def test_none_of_a_call_that_is_none(
        self, server: ReplayServer, recording: Recording, road: Road
    ) -> None:
        runs = Runs(read_only=False)
        messages: Messages = []
        await road(chain(chat(server, recording), runs.tools), messages)
        assert runs.count == {}
        assert [(one.tool_call_id, one.status) for one in messages] == [("call_1", "error")]

    @roads
    async def test_only_the_earlier_calls_of_a_message_that_was_cut(self, road: Road) -> None:
        wire = body(
            chunk(part(PATH, id="call_1", name="delete")),
            chunk(part('{"path": "b"}', index=1, id="call_2", name="delete")),
            chunk(finish_reason="length"),
        )
        runs = Runs(read_only=False)
        messages: Messages = []
        with ReplayServer([Recording(id="cut", body=wire)]) as server:
            await road(chain(chat(server, "cut"), runs.tools), messages)
        assert runs.count == {"delete {'path': 'a'}": 1}
        by_id = {message.tool_call_id: message.status for message in messages}
        assert by_id == {"call_1": "success", "call_2": "error"}

    @roads
    @pytest.mark.parametrize(
        "contradiction",
        [part('{"path": "b"}', index=1), part(index=1, name="now")],
        ids=["other arguments", "another name"],
    )
    async def test_none_of_a_call_that_was_contradicted_before_it_could_be_announced(
        self, road: Road, contradiction: dict[str, Any]
    ) -> None:
        """It waits behind a call that has no name yet."""
        wire = body(
            chunk(part(id="call_1")),
            chunk(part(PATH, index=1, id="call_2", name="delete")),
            chunk(contradiction),
            END,
        )
        runs = Runs(read_only=False)
        messages: Messages = []
        with ReplayServer([Recording(id="late", body=wire)]) as server:
            await road(chain(chat(server, "late"), runs.tools), messages)
        assert runs.count == {}
        assert {m.tool_call_id: m.status for m in messages} == {
            "call_1": "error",
            "call_2": "error",
        }

    async def test_chat_openai_runs_the_cut_call(self, server: ReplayServer) -> None:
        """What is to be prevented: langchain-core's sum completes what `max_tokens` cut."""
        runs = Runs(read_only=False)
        beside = ChatOpenAI(
            base_url=server.base_url, api_key="none", model=LONG.id, default_headers=ONE_LOOP
        )
        message = total(beside.bind_tools(runs.tools).stream(QUESTION))
        for call in message.tool_calls:
            runs.tools.invoke(call)
        assert runs.count.total() == 1
        ours = Runs(read_only=False)
        message = total(chat(server, LONG).bind_tools(ours.tools).stream(QUESTION))
        for call in message.tool_calls:
            ours.tools.invoke(call)
        assert ours.count.total() == 0
        assert [call["name"] for call in message.invalid_tool_calls] == ["write_file"]

    @roads
    async def test_none_of_a_worker_that_died(self, server: ReplayServer, road: Road) -> None:
        recording = BY_ID["crash_worker_sigkill_midstream"]
        runs = Runs(read_only=False)
        with pytest.raises(ServerStreamError, match="EngineCore"):
            await road(chain(chat(server, recording), runs.tools), [])
        assert runs.count == {}

    @roads
    async def test_a_quiet_end_is_an_interruption_too(self, road: Road) -> None:
        """A proxy may end the stream properly when its server dies."""
        runs = Runs(read_only=False)
        finish = next(
            count for count, data in enumerate(TWO_CALLS.events) if b'"finish_reason":"t' in data
        )
        quiet = [
            replace(TWO_CALLS, id=f"quiet {count}", body=b"".join(TWO_CALLS.events[:count]))
            for count in range(0, finish + 1, 4)
        ]
        with ReplayServer(quiet) as server:
            for recording in quiet:
                with pytest.raises(IncompleteStreamError):
                    await road(chain(chat(server, recording), runs.tools), [])
        assert runs.count == {}

    @roads
    @pytest.mark.parametrize("recording", TRUNCATED.values(), ids=TRUNCATED)
    async def test_none_behind_a_step_that_drops_the_metadata(
        self, server: ReplayServer, recording: Recording, road: Road
    ) -> None:
        runs = Runs(read_only=False)
        llm = chat(server, recording).bind_tools(runs.tools)
        messages: Messages = []
        step = RunnableGenerator(bare, abare)
        await road(llm | step | ToolStreamParser(runs.tools) | runs.tools.map(), messages)
        assert runs.count == {}
        assert [one.tool_call_id for one in messages] == ["call_1"]

    @roads
    @pytest.mark.parametrize("output_version", ["v0", "v1"])
    @pytest.mark.parametrize("recording", TRUNCATED.values(), ids=TRUNCATED)
    async def test_none_behind_a_step_that_keeps_the_blocks_only(
        self, server: ReplayServer, recording: Recording, output_version: str, road: Road
    ) -> None:
        runs = Runs(read_only=False)
        llm = chat(server, recording, output_version=output_version).bind_tools(runs.tools)
        step = RunnableLambda(lambda message: AIMessage(content=message.content_blocks))
        await road(llm | step | ToolStreamParser(runs.tools) | runs.tools.map(), [])
        assert runs.count == {}

    async def test_none_without_the_chain_either(self, server: ReplayServer) -> None:
        """Whoever reads `tool_calls` off the message, or the sum, sees no invalid call.

        A whole call that no tool takes is one, as with `ChatOpenAI`: who runs the tool answers it.
        """
        for recording in TRUNCATED.values():
            llm = chat(server, recording).bind_tools(Runs(read_only=False).tools)
            for message in (llm.invoke(QUESTION), total(llm.stream(QUESTION))):
                assert isinstance(message, AIMessage)
                whole = recording.id in WHOLE
                assert [call["id"] for call in message.tool_calls] == ["call_1"] * whole
                assert [call["id"] for call in message.invalid_tool_calls] == ["call_1"] * (
                    not whole
                )


class TestBehindChatOpenAI:
    """The parser alone has to notice what was cut."""

    @roads
    @pytest.mark.parametrize(
        ("ends", "raises"),
        [
            ([chunk(finish_reason="length"), chunk(finish_reason="length")], False),
            ([chunk(), chunk()], True),
        ],
        ids=["cut, said twice", "no reason at all"],
    )
    async def test_none_of_a_message_that_was_cut(
        self, road: Road, ends: list[Any], *, raises: bool
    ) -> None:
        wire = body(chunk(part(PATH, id="call_1", name="delete")), *ends)
        runs = Runs(read_only=False)
        messages: Messages = []
        with ReplayServer([Recording(id="cut", body=wire)]) as server:
            # `invoke` adds up the chunks of a stream, too.
            llm = ChatOpenAI(
                base_url=server.base_url,
                api_key="none",
                model="cut",
                streaming=True,
                default_headers=ONE_LOOP,
            )
            with pytest.raises(IncompleteStreamError) if raises else nullcontext():
                await road(
                    llm.bind_tools(runs.tools) | ToolStreamParser(runs.tools) | runs.tools.map(),
                    messages,
                )
        assert runs.count == {}
        assert [m.status for m in messages] == ([] if raises else ["error"])


@pytest.mark.asyncio(loop_scope="module")
class TestReadOnly:
    """Tools that may start before their message is confirmed."""

    @roads
    async def test_at_most_once_and_with_exactly_one_message_or_the_error(
        self, server: ReplayServer, road: Road
    ) -> None:
        for recording in [*cut_everywhere(TWO_CALLS), *failed_everywhere(TWO_CALLS)]:
            runs = Runs(read_only=True)
            messages: Messages = []
            with pytest.raises(StreamInterruptedError):
                await road(chain(chat(server, recording), runs.tools), messages)
            assert all(count == 1 for count in runs.count.values())
            answered = Counter(message.tool_call_id for message in messages)
            assert all(count == 1 for count in answered.values())
            # What ran was answered, with its result or with the reason why that was dropped; only
            # roads that give nothing before the end raise alone.
            if road in (stream, astream):
                assert len(answered) >= runs.count.total()
            else:
                assert messages == []

    @pytest.mark.parametrize("road", [stream, astream])
    async def test_the_first_call_ran_when_the_second_broke(
        self, server: ReplayServer, road: Road
    ) -> None:
        count = nth_call(TWO_CALLS, 2)
        recording = f"{TWO_CALLS.id} failed after {count}"
        runs = Runs(read_only=True)
        messages: Messages = []
        with pytest.raises(ServerStreamError, match="out of luck"):
            await road(chain(chat(server, recording), runs.tools), messages)
        (message,) = messages
        assert message.name == "multiply"
        if message.status == "error":
            assert "out of luck" in message.content
        else:
            assert runs.count == {"multiply {'a': 3, 'b': 12}": 1}

    @pytest.mark.parametrize("recording", TRUNCATED.values(), ids=TRUNCATED)
    @roads
    async def test_a_call_that_is_none_has_one_message(
        self, server: ReplayServer, recording: Recording, road: Road
    ) -> None:
        runs = Runs(read_only=True)
        messages: Messages = []
        await road(chain(chat(server, recording), runs.tools), messages)
        (message,) = messages
        assert message.tool_call_id == "call_1"
        # A result that had been given out before the call was taken back stands.
        assert message.status == "error" or (road in (stream, astream) and runs.count.total() == 1)
        assert runs.count.total() <= 1

    @pytest.mark.parametrize(
        "name", ["in the same event", "in one read with the closed call", "in a string"]
    )
    @roads
    async def test_does_not_start_in_the_chunk_that_says_cut(
        self, server: ReplayServer, name: str, road: Road
    ) -> None:
        runs = Runs(read_only=True)
        await road(chain(chat(server, name), runs.tools), [])
        assert runs.count == {}

    async def test_a_read_does_not_overtake_a_write(self) -> None:
        wire = body(
            chunk(part(PATH, id="call_1", name="delete")),
            chunk(part("{}", index=1, id="call_2", name="now")),
            done=False,
        )
        recording = Recording(id="mixed", body=wire).stall(after_events=2)
        runs = Runs(read_only=False)
        tools = ToolSet(list(runs.tools), read_only=["now"])
        with ReplayServer([recording]) as server:
            llm = chat(server, recording)
            calls = (llm.bind_tools(tools) | ToolStreamParser(tools)).astream(QUESTION)
            task = asyncio.ensure_future(anext(calls))
            chunks = llm.bind_tools(tools).astream(QUESTION)
            # Both calls have come, and none may start.
            seen = ""
            while "call_2" not in seen:
                seen += repr((await anext(chunks)).tool_call_chunks)
            await chunks.aclose()
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])
        assert runs.count == {}


ID = re.compile(rb'"id":"(chatcmpl-tool-[^"]+)"')


@pytest.mark.asyncio(loop_scope="module")
class TestPartialMessage:
    """What an interruption carries."""

    async def test_has_what_had_come_and_no_call(self, server: ReplayServer) -> None:
        tools = Runs(read_only=True).tools
        for recording in [*cut_everywhere(TWO_CALLS), *failed_everywhere(TWO_CALLS)]:
            llm = chat(server, recording).bind_tools(tools)
            errors = []
            for road in model_roads(llm):
                with pytest.raises(StreamInterruptedError) as raised:
                    await road()
                errors.append(raised.value)
            begun = [call_id.decode() for call_id in ID.findall(recording.body)]
            for error in errors:
                message = error.partial_message
                assert isinstance(message, AIMessage)
                assert message.tool_calls == []
                assert [call["id"] for call in message.invalid_tool_calls] == begun
                assert all(call["error"] for call in message.invalid_tool_calls)
                assert str(error) == str(errors[0])

    async def test_has_text_reasoning_and_raw_arguments(self) -> None:
        wire = body(
            chunk(reasoning="Hm."),
            chunk(content="See:"),
            chunk(part('{"path": "a', id="call_1", name="delete")),
            {"error": {"message": "out of luck", "type": "InternalServerError", "code": 500}},
        )
        with ReplayServer([Recording(id="broken", body=wire)]) as server:
            for road in model_roads(chat(server, "broken")):
                with pytest.raises(ServerStreamError) as raised:
                    await road()
                error = raised.value
                assert (error.message, error.code) == ("out of luck", 500)
                assert error.type == "InternalServerError"
                message = error.partial_message
                assert message.content == "See:"
                assert message.additional_kwargs["reasoning_content"] == "Hm."
                (call,) = message.invalid_tool_calls
                assert (call["id"], call["name"]) == ("call_1", "delete")
                assert call["args"] == '{"path": "a'
                assert "out of luck" in call["error"]

    async def test_says_that_the_connection_broke(self, server: ReplayServer) -> None:
        recording = f"{TWO_CALLS.id} cut after 5"
        for road in model_roads(chat(server, recording)):
            with pytest.raises(IncompleteStreamError, match=r"broke.*No tool call") as raised:
                await road()
            assert server.base_url in str(raised.value)

    @pytest.mark.parametrize("limit", [{"stream_chunk_timeout": 0.5}, {"timeout": 0.5}])
    async def test_a_stream_that_falls_silent_times_out(self, limit: dict[str, float]) -> None:
        stalled = TWO_CALLS.stall(after_events=nth_call(TWO_CALLS, 1))
        with ReplayServer([stalled]) as server:
            for road in model_roads(chat(server, stalled, **limit)):
                with pytest.raises(VLLMIdleTimeoutError, match=r"0\.5 seconds") as raised:
                    await road()
                error = raised.value
                assert isinstance(error, StreamInterruptedError)
                assert isinstance(error, TimeoutError)
                assert (error.model_name, error.timeout_s) == (stalled.id, 0.5)
                assert error.chunks_received == nth_call(TWO_CALLS, 1)
                (call,) = error.partial_message.invalid_tool_calls
                assert call["name"] == "multiply"
                server.wait_for_disconnect(PATIENCE)

    async def test_silence_before_the_first_event_times_out_too(self) -> None:
        stalled = TWO_CALLS.stall(after_events=0)
        with ReplayServer([stalled]) as server:
            for road in model_roads(chat(server, stalled, stream_chunk_timeout=0.1)):
                with pytest.raises(VLLMIdleTimeoutError, match="after 0 chunks"):
                    await road()

    async def test_an_answer_that_is_not_streamed_may_be_waited_for(self) -> None:
        """All of it is one silence; `timeout` is what limits that."""
        stalled = TWO_CALLS.stall(after_events=0)
        with ReplayServer([stalled]) as server:
            limits = {"stream_chunk_timeout": 0.01, "timeout": 0.2}
            llm = chat(server, stalled, streaming=False, **limits)
            for road in model_roads(llm):
                with pytest.raises(VLLMIdleTimeoutError, match=r"0\.2 seconds"):
                    await road()

    async def test_what_follows_done_is_not_waited_for(self) -> None:
        wire = body(chunk(content="Hi", finish_reason="stop"), usage(1, 1)) + event(chunk())
        stalled = Recording(id="done", body=wire).stall(after_events=4)
        with ReplayServer([stalled]) as server:
            for road in model_roads(chat(server, stalled)):
                await road()
                await server.await_disconnect(PATIENCE)


def model_roads(llm: Runnable[Any, Any]) -> list[Callable[[], Awaitable[Any]]]:
    """Four ways to read a model to its end."""

    async def invoke() -> Any:
        return llm.invoke(QUESTION)

    async def stream() -> Any:
        return list(llm.stream(QUESTION))

    async def astream() -> Any:
        return [one async for one in llm.astream(QUESTION)]

    return [invoke, lambda: llm.ainvoke(QUESTION), stream, astream]
