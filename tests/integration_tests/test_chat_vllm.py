"""`ChatVLLM` over real HTTP: what it sends, and that all its roads lead to the same message."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial, reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.utils.json import parse_partial_json
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_toolstream import ChatVLLM
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.mark import without_mark
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from tests.integration_tests.chat import (
    QUESTION,
    Model,
    Outcome,
    aattempt,
    attempt,
    bound,
    chain,
    chat,
    echo_tools,
    nth_call,
    schemas,
    total,
)
from tests.unit_tests.vllm.wire import body, chunk, part, usage

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

RECORDINGS = bundled_recordings()
STREAMS = [one for one in RECORDINGS if one.status == 200 and one.streamed]
WITH_TOOLS = [one for one in STREAMS if schemas(one)]
BY_ID = {recording.id: recording for recording in RECORDINGS}
END = chunk(finish_reason="tool_calls")


def ids(recording: Any) -> str | None:
    return recording.id if isinstance(recording, Recording) else None


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def in_pieces() -> Iterator[ReplayServer]:
    with ReplayServer([recording.split(seed=1) for recording in STREAMS]) as server:
        yield server


FOREIGN = [
    "OPENAI_ADMIN_KEY",
    "OPENAI_API_BASE",
    "OPENAI_API_KEY",
    "OPENAI_API_TYPE",
    "OPENAI_API_VERSION",
    "OPENAI_BASE_URL",
    "OPENAI_ORGANIZATION",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_PROXY",
    "OPENAI_WEBHOOK_SECRET",
]


class TestRequest:
    @pytest.fixture(autouse=True)
    def foreign(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in FOREIGN:
            # Nothing answers there.
            is_url = name.endswith(("_BASE", "_URL", "_PROXY"))
            monkeypatch.setenv(name, "http://127.0.0.1:9/foreign" if is_url else "foreign")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-foreign: 1\nAuthorization: Bearer foreign")

    @pytest.mark.parametrize("key", ["EMPTY", "ours"])
    async def test_reaches_our_server_with_our_headers_only(self, key: str) -> None:
        async with ReplayServer([BY_ID["plain_text"]], api_key=key) as server:
            fields = {} if key == "EMPTY" else {"api_key": key}
            llm = chat(server, "plain_text", **fields)
            llm.invoke(QUESTION)
            await llm.ainvoke(QUESTION)
            total(llm.stream(QUESTION))
            [one async for one in llm.astream(QUESTION)]
            requests = server.requests
        assert len(requests) == 4
        for request in requests:
            assert (request.method, request.path) == ("POST", "/v1/chat/completions")
            assert request.headers["authorization"] == f"Bearer {key}"
            assert "foreign" not in repr(request)
            named = {name for name in request.headers if not name.startswith("x-stainless-")}
            assert named == {
                "accept",
                "accept-encoding",
                "authorization",
                "connection",
                "content-length",
                "content-type",
                "host",
                "user-agent",
            }

    async def test_asks_the_server_for_its_model(self) -> None:
        async with ReplayServer([BY_ID["plain_text"]], model="plain_text") as server:
            llm = ChatVLLM(base_url=server.base_url)
            message = await llm.ainvoke(QUESTION)
            paths = [(request.method, request.path) for request in server.requests]
            assert paths == [("GET", "/v1/models"), ("POST", "/v1/chat/completions")]
            assert server.requests[0].headers["authorization"] == "Bearer EMPTY"
        assert message.text == chat_text(BY_ID["plain_text"])

    def test_has_the_recorded_question(self) -> None:
        """A recording is also found by what is asked, so the request is one that vLLM got."""
        recording = BY_ID["auto_2calls_include_usage"]
        assert recording.request is not None
        with ReplayServer() as server:
            llm = chat(server, "", max_tokens=recording.request["max_tokens"], temperature=0)
            llm.model_name = recording.request["model"]
            messages = recording.request["messages"]
            message = llm.bind_tools(schemas(recording)).invoke(messages)
            (request,) = server.requests
        assert isinstance(message, AIMessage)
        assert request.recording_id == recording.id
        assert [call["name"] for call in message.tool_calls] == ["multiply", "add"]


def chat_text(recording: Recording) -> str:
    """What a recording says, by its own JSON."""
    with ReplayServer([recording]) as server:
        return str(total(chat(server, recording).stream(QUESTION)).text)


async def v2_end(llm: Model) -> AIMessage:
    """The message of `on_chat_model_end`."""
    events = [event async for event in llm.astream_events(QUESTION, version="v2")]
    (end,) = [event for event in events if event["event"] == "on_chat_model_end"]
    message = end["data"]["output"]
    assert isinstance(message, AIMessage)
    return message


async def v2_stream(llm: Model) -> AIMessage:
    """The sum of the chunks of `on_chat_model_stream`."""
    chunks = [
        event["data"]["chunk"]
        async for event in llm.astream_events(QUESTION, version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    return total(chunks)


def v3(llm: Model) -> AIMessage:
    """The message of the v3 protocol, whose events are held against its rules."""
    stream = llm.stream_events(QUESTION, version="v3")
    assert_valid_event_stream(list(stream))
    message = stream.output
    assert isinstance(message, AIMessage)
    return message


async def av3(llm: Model) -> AIMessage:
    """The message of the async v3 protocol, likewise."""
    stream = await llm.astream_events(QUESTION, version="v3")
    assert_valid_event_stream([event async for event in stream])
    message = await stream
    assert isinstance(message, AIMessage)
    return message


async def outcomes(llm: Model, recording: Recording) -> dict[str, Outcome]:
    """Take every road."""

    async def asum() -> AIMessage:
        return total([one async for one in llm.astream(QUESTION)])

    async def abatch() -> AIMessage:
        (message,) = await llm.abatch([QUESTION])
        assert isinstance(message, AIMessage)
        return message

    return {
        "invoke": attempt(lambda: llm.invoke(QUESTION), recording),
        "ainvoke": await aattempt(lambda: llm.ainvoke(QUESTION), recording),
        "stream": attempt(lambda: total(llm.stream(QUESTION)), recording),
        "astream": await aattempt(asum, recording),
        "batch": attempt(lambda: llm.batch([QUESTION])[0], recording),
        "abatch": await aattempt(abatch, recording),
        "v2 end": await aattempt(lambda: v2_end(llm), recording),
        "v2 stream": await aattempt(lambda: v2_stream(llm), recording),
        "v3": attempt(lambda: v3(llm), recording),
        "async v3": await aattempt(lambda: av3(llm), recording),
    }


@pytest.mark.asyncio(loop_scope="module")
class TestRoads:
    @pytest.mark.parametrize("recording", STREAMS, ids=ids)
    async def test_lead_to_the_same_message(
        self, server: ReplayServer, recording: Recording
    ) -> None:
        by_road = await outcomes(bound(server, recording), recording)
        expected = by_road["invoke"]
        different = {road: one for road, one in by_road.items() if one != expected}
        assert different == {}, expected

    @pytest.mark.parametrize("recording", STREAMS, ids=ids)
    async def test_keep_their_outcome_however_the_bytes_are_cut(
        self, server: ReplayServer, in_pieces: ReplayServer, recording: Recording
    ) -> None:
        expected = attempt(lambda: bound(server, recording).invoke(QUESTION), recording)
        llm = bound(in_pieces, recording)
        assert attempt(lambda: llm.invoke(QUESTION), recording) == expected
        assert attempt(lambda: total(llm.stream(QUESTION)), recording) == expected

    @pytest.mark.parametrize("recording", STREAMS, ids=ids)
    async def test_no_reader_of_a_sum_sees_a_call_that_is_none(
        self, server: ReplayServer, recording: Recording
    ) -> None:
        llm = bound(server, recording)
        chunks: list[AIMessageChunk] = []
        try:
            chunks.extend(llm.stream(QUESTION))
        except StreamInterruptedError:
            return
        message = total(chunks)
        assert isinstance(message, AIMessageChunk)
        whole = llm.invoke(QUESTION)
        raw = {call["id"]: call["args"] or "" for call in whole.invalid_tool_calls}
        for call in message.invalid_tool_calls:
            args = call["args"] or ""
            assert parse_partial_json(args) is None
            assert raw[call["id"]].startswith(without_mark(args))

    async def test_see_something(self, server: ReplayServer) -> None:
        """The recordings hold what the tests above compare."""
        seen: Counter[str] = Counter()
        for recording in STREAMS:
            one = attempt(partial(bound(server, recording).invoke, QUESTION), recording)
            seen.update(field for field in Outcome.__dataclass_fields__ if getattr(one, field))
        assert set(Outcome.__dataclass_fields__) == seen.keys()

    async def test_many_at_once_do_not_mix(self, server: ReplayServer) -> None:
        llms = [bound(server, recording) for recording in STREAMS]
        alone = [attempt(partial(llm.invoke, QUESTION), one) for llm, one in pairs(llms)]
        together = await asyncio.gather(
            *(aattempt(partial(llm.ainvoke, QUESTION), one) for llm, one in pairs(llms))
        )
        assert together == alone


def pairs(llms: list[Model]) -> list[tuple[Model, Recording]]:
    return list(zip(llms, STREAMS, strict=True))


class TestMetadata:
    async def test_every_road_has_what_the_server_said(self) -> None:
        wire = body(
            chunk(reasoning="Hm.", role="assistant"),
            chunk(content="Hi", logprobs={"content": [{"token": "Hi", "logprob": -0.5}]}),
            {**chunk(finish_reason="stop"), "system_fingerprint": "fp"},
            usage(5, 3),
        ).replace(b'"finish_reason":"stop"', b'"finish_reason":"stop","stop_reason":"END"')
        recording = Recording(id="all", body=wire)
        with ReplayServer([recording]) as server:
            llm = chat(server, recording)
            messages = [
                llm.invoke(QUESTION),
                await llm.ainvoke(QUESTION),
                total(llm.stream(QUESTION)),
                total([one async for one in llm.astream(QUESTION)]),
                v3(llm),
                await av3(llm),
            ]
        for message in messages:
            metadata = message.response_metadata
            assert metadata["finish_reason"] == "stop"
            assert metadata["stop_reason"] == "END"
            assert metadata["model_name"] == "tiny"
            assert metadata["model_provider"] == "vllm"
            assert metadata["id"] == "chatcmpl-1"
            assert metadata["system_fingerprint"] == "fp"
            assert metadata["logprobs"] == {"content": [{"token": "Hi", "logprob": -0.5}]}
            assert message.usage_metadata is not None
            assert message.usage_metadata["total_tokens"] == 8

    @pytest.mark.parametrize("recording", STREAMS, ids=ids)
    async def test_is_the_same_streamed_and_invoked(
        self, server: ReplayServer, recording: Recording
    ) -> None:
        llm = bound(server, recording)
        try:
            expected = llm.invoke(QUESTION)
        except StreamInterruptedError:
            return
        others = [
            await llm.ainvoke(QUESTION),
            total(llm.stream(QUESTION)),
            total([one async for one in llm.astream(QUESTION)]),
            await v2_end(llm),
        ]
        for message in others:
            assert message.response_metadata == expected.response_metadata
            assert message.usage_metadata == expected.usage_metadata

    def test_every_choice_is_generated(self) -> None:
        recording = BY_ID["n2_sampled"]
        with ReplayServer([recording]) as server:
            llm = chat(server, recording, n=2)
            tools = llm.bind_tools(schemas(recording)).kwargs["tools"]
            result = llm.generate([[HumanMessage(QUESTION)]], tools=tools)
            streamed = total(llm.stream(QUESTION, tools=tools))
            invoked = llm.invoke(QUESTION, tools=tools)
        generations = result.generations[0]
        assert len(generations) == 2
        calls = []
        for generation in generations:
            assert isinstance(generation, ChatGeneration)
            assert isinstance(generation.message, AIMessage)
            calls.append(generation.message.tool_calls)
        assert calls[0] == streamed.tool_calls == invoked.tool_calls
        assert calls[0] != calls[1]
        assert all(calls)

    def test_a_call_is_shown_from_its_first_fragment(self) -> None:
        recording = BY_ID["auto_2calls"]
        with ReplayServer([recording.split(seed=3)]) as server:
            pieces = [
                piece
                for one in bound(server, recording).stream(QUESTION)
                for piece in one.tool_call_chunks
            ]
        assert [piece["name"] for piece in pieces if piece["name"]] == ["multiply", "add"]
        assert len(pieces) > 6
        written = Counter[int]()
        for piece in pieces:
            assert (piece["id"] is None) == (written[piece["index"] or 0] > 0)
            written[piece["index"] or 0] += 1


async def chain_outcomes(runnable: Model) -> dict[str, Any]:
    """The messages of a chain, or how it broke off, by every road."""

    async def asum() -> Any:
        return added([one async for one in runnable.astream(QUESTION)])

    async def abatch() -> Any:
        return (await runnable.abatch([QUESTION]))[0]

    roads: dict[str, Any] = {
        "invoke": lambda: runnable.invoke(QUESTION),
        "ainvoke": lambda: runnable.ainvoke(QUESTION),
        "stream": lambda: added(runnable.stream(QUESTION)),
        "astream": asum,
        "batch": lambda: runnable.batch([QUESTION])[0],
        "abatch": abatch,
    }
    taken: dict[str, Any] = {}
    for road, take in roads.items():
        try:
            messages = take()
            if asyncio.iscoroutine(messages):
                messages = await messages
        except StreamInterruptedError as error:
            taken[road] = f"{type(error).__name__}: {error}"
        else:
            taken[road] = [told(message) for message in messages]
    return taken


def added(batches: Any) -> list[ToolMessage]:
    none: list[ToolMessage] = []
    return reduce(add, batches, none)


def told(message: ToolMessage) -> tuple[Any, ...]:
    return (
        message.tool_call_id,
        message.name,
        message.status,
        message.content,
        repr(message.artifact),
    )


@pytest.mark.asyncio(loop_scope="module")
class TestChain:
    @pytest.mark.parametrize("read_only", [False, True], ids=["confirmed", "read-only"])
    @pytest.mark.parametrize("recording", WITH_TOOLS, ids=ids)
    async def test_gives_the_same_messages_by_every_road(
        self, server: ReplayServer, recording: Recording, *, read_only: bool
    ) -> None:
        llm = chat(server, recording)
        by_road = await chain_outcomes(chain(llm, echo_tools(recording, read_only=read_only)))
        expected = by_road["invoke"]
        different = {road: one for road, one in by_road.items() if one != expected}
        assert different == {}, expected

    @pytest.mark.parametrize("recording", WITH_TOOLS, ids=ids)
    async def test_answers_every_call_of_the_message_once(
        self, server: ReplayServer, recording: Recording
    ) -> None:
        tools = echo_tools(recording, read_only=False)
        llm = chat(server, recording)
        try:
            message = llm.bind_tools(tools).invoke(QUESTION)
        except StreamInterruptedError:
            return
        answers = {one.tool_call_id: one for one in chain(llm, tools).invoke(QUESTION)}
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        assert sorted(answers) == sorted(str(call["id"]) for call in calls)
        for call in message.tool_calls:
            answer = answers[call["id"]]
            schema = tools.schemas.get(call["name"])
            if schema is None or schema.validate(call["args"]):  # whole, but the tool's to answer
                assert answer.status == "error"
            else:
                assert (answer.status, answer.artifact) == ("success", call["args"])
        for invalid in message.invalid_tool_calls:
            answer = answers[invalid["id"]]
            assert answer.status == "error"
            assert str(invalid["error"]) in answer.content

    async def test_runs_a_read_only_tool_while_the_model_goes_on(self) -> None:
        recording = BY_ID["auto_2calls"]
        second = nth_call(recording, 2)
        with ReplayServer([recording.stall(after_events=second)]) as server:
            llm = chat(server, recording)
            messages = chain(llm, echo_tools(recording, read_only=True)).astream(QUESTION)
            # The model is in its second call, and will never be done with it.
            (message,) = await anext(messages)
            assert message.name == "multiply"
            await messages.aclose()

    async def test_runs_the_call_of_two_servers_shapes_alike(self) -> None:
        """The same call as one entry and in fragments."""
        args = '{"a": 3, "b": 12}'
        wires = {
            "one entry": body(chunk(part(args, id="call_1", name="multiply")), END),
            "fragments": body(
                chunk(part("", id="call_1", name="multiply")),
                *(chunk(part(char)) for char in args),
                END,
            ),
            "two entries": body(
                chunk(part("", id="call_1", name="multiply"), part(args[:5]), part(args[5:])), END
            ),
        }
        recordings = [Recording(id=name, body=wire) for name, wire in wires.items()]
        tools = echo_tools(BY_ID["auto_2calls"], read_only=True)
        with ReplayServer(recordings) as server:
            for recording in recordings:
                by_road = await chain_outcomes(chain(chat(server, recording), tools))
                for messages in by_road.values():
                    ((call_id, name, status, _, artifact),) = messages
                    assert (call_id, name, status) == ("call_1", "multiply", "success")
                    assert artifact == "{'a': 3, 'b': 12}"


@pytest.mark.asyncio(loop_scope="module")
class TestWholeAnswers:
    """Servers that do not stream answer a streaming request with JSON; it is read all the same."""

    @pytest.mark.parametrize(
        "recording",
        [one for one in RECORDINGS if one.status == 200 and not one.streamed],
        ids=ids,
    )
    async def test_by_every_road(self, server: ReplayServer, recording: Recording) -> None:
        by_road = await outcomes(bound(server, recording), recording)
        expected = by_road["invoke"]
        different = {road: one for road, one in by_road.items() if one != expected}
        assert different == {}, expected
        assert expected.error == ""
