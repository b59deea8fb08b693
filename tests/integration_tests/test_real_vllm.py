"""`ChatVLLM` and the chain behind it, against a real vLLM: tiny models on the CPU.

They copy what they are asked for into calls and have learned no more than that;
`scripts/tiny_model` makes them. At temperature 0 they answer the same each time. Everything is
asked behind each of two tool-call parsers, hermes and qwen3_coder.
"""

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from enum import Enum
from functools import reduce
from operator import add as plus
from typing import Annotated, Any

import httpx2
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableGenerator
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, Field

from langchain_toolstream import (
    ChatVLLM,
    RepetitionDetection,
    StructuredOutputs,
    ToolSet,
    ToolStreamParser,
)
from langchain_toolstream.vllm.errors import VLLMNotFoundError
from langchain_toolstream.vllm.request.fields import FIELDS
from scripts.vllm_cpu.server import PARSERS, VLLMServer

# The first test also waits for the server.
pytestmark = pytest.mark.timeout(600)

QUESTION = "What is 3 * 12? Also, what is 11 + 49?"
CALLS = [("multiply", {"a": 3, "b": 12}), ("add", {"a": 11, "b": 49})]
RESULTS = [("add", "60", "success"), ("multiply", "36", "success")]
POEM = (
    'Ode to the river\n\nO river, they call you "the quiet one",\n'
    "you wait for café lights at dawn;\n"
    "the path C:\\river was never done,\nand still, dear river, you carry on. ✨\n"
)

# Tokens after which the second call of an answer to `QUESTION` is open: behind its start, in its
# arguments, right before its end. qwen3_coder's markup takes more of them.
OPEN = {"hermes": (46, 54, 60), "qwen3_coder": (80, 105, 118)}
PATIENCE = 20.0

# What has nothing to do with the tool-call parser is asked behind one of them.
ONCE = pytest.mark.parametrize("vllm_server", PARSERS[:1], indirect=True, scope="session")

Chain = Runnable[Any, Any]


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two integers."""
    return a * b


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return f"It is fine in {city}."


def write_file(path: str, content: str) -> str:
    """Write a file."""
    return f"{len(content)} characters in {path}"


def chat(server: VLLMServer, **fields: Any) -> ChatVLLM:
    return ChatVLLM(**{"base_url": server.base_url, "temperature": 0, **fields})


@pytest.fixture
def llm(vllm_server: VLLMServer) -> ChatVLLM:
    return chat(vllm_server)


class TestAboutItself:
    """What the server says of itself, and that the counts are those of requests."""

    def test_models_profile_health_and_version(self, llm: ChatVLLM) -> None:
        (card,) = llm.list_models()
        assert (card.id, card.max_model_len, card.owned_by) == ("tiny", 65536, "vllm")
        assert llm.profile is not None
        assert (llm.profile["name"], llm.profile["max_input_tokens"]) == ("tiny", 65536)
        llm.health()
        assert re.match(r"\d+\.\d+", llm.version())

    async def test_the_same_asynchronously(self, llm: ChatVLLM) -> None:
        assert await llm.alist_models() == llm.list_models()
        assert await llm.aload_profile() == llm.load_profile()
        await llm.ahealth()
        assert await llm.aversion() == llm.version()
        assert await llm.aget_token_ids("Hello, world") == llm.get_token_ids("Hello, world")

    def test_a_model_that_is_not_there(self, vllm_server: VLLMServer) -> None:
        llm = chat(vllm_server, model="gpt-x")
        with pytest.raises(VLLMNotFoundError, match=r"no model 'gpt-x'. Its models: 'tiny'"):
            llm.load_profile()
        with pytest.raises(VLLMNotFoundError, match=r"`gpt-x` does not exist"):
            llm.get_num_tokens("Hi")

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"chat_template_kwargs": {"enable_thinking": True}},
            {"reasoning_effort": "high"},
            {"reasoning_effort": "none"},
            {"documents": [{"title": "One", "text": "Two"}]},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("tools", [None, [add, multiply]], ids=["no tools", "tools"])
    async def test_counted_tokens_are_those_of_the_request(
        self, llm: ChatVLLM, tools: Any, fields: dict[str, Any]
    ) -> None:
        call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "a"}
        messages = [
            HumanMessage("What is 1 + 2?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("3", tool_call_id="a"),
        ]
        answer = (llm.bind_tools(tools) if tools else llm).invoke(messages, max_tokens=2, **fields)
        assert answer.usage_metadata is not None
        used = answer.usage_metadata["input_tokens"]
        assert llm.get_num_tokens_from_messages(messages, tools, **fields) == used
        assert await llm.aget_num_tokens_from_messages(messages, tools, **fields) == used


def chain_of(llm: ChatVLLM, tools: ToolSet) -> Chain:
    return llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map()


def calls(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    assert not message.invalid_tool_calls
    return [(call["name"], call["args"]) for call in message.tool_calls]


async def streamed(model: Chain, prompt: Any) -> list[Any]:
    return list(model.stream(prompt))


async def astreamed(model: Chain, prompt: Any) -> list[Any]:
    return [part async for part in model.astream(prompt)]


async def invoked(model: Chain, prompt: Any) -> list[Any]:
    return [model.invoke(prompt)]


async def ainvoked(model: Chain, prompt: Any) -> list[Any]:
    return [await model.ainvoke(prompt)]


Road = Callable[[Chain, Any], Any]
ROADS = pytest.mark.parametrize("road", [streamed, astreamed, invoked, ainvoked])


async def answer(road: Road, model: Chain, prompt: Any) -> Any:
    """What a model answers, on one of its roads."""
    return reduce(plus, await road(model, prompt))


@ROADS
async def test_the_chain(llm: ChatVLLM, road: Road) -> None:
    chain = chain_of(llm, ToolSet([add, multiply], read_only=True))
    messages = [message for batch in await road(chain, QUESTION) for message in batch]
    assert sorted((m.name, m.content, m.status) for m in messages) == RESULTS
    assert len({message.tool_call_id for message in messages}) == 2


async def test_a_read_only_tool_is_done_before_the_model(vllm_server: VLLMServer) -> None:
    llm = chat(vllm_server, coalesce=False)  # or one chunk may hold the first call and the second
    done = asyncio.Event()

    async def multiply(a: int, b: int) -> int:
        """Multiply two integers."""
        done.set()
        return a * b

    async def held_back(chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
        # What is only of the second call does not pass until the tool of the first one has run; a
        # busy server may put the end of one and the start of the other into one chunk.
        async for chunk in chunks:
            if {call["index"] for call in chunk.tool_call_chunks} == {1}:
                await done.wait()
            yield chunk

    tools = ToolSet([add, multiply], read_only=True)
    chain = (
        llm.bind_tools(tools) | RunnableGenerator(held_back) | ToolStreamParser(tools) | tools.map()
    )
    async with asyncio.timeout(PATIENCE):
        events = [event async for event in chain.astream_events(QUESTION, version="v2")]
    happened = [(event["event"], event["name"]) for event in events]
    last_chunk = max(i for i, (kind, _) in enumerate(happened) if kind == "on_chat_model_stream")
    assert happened.index(("on_tool_start", "multiply")) < last_chunk
    assert happened.index(("on_tool_end", "multiply")) < last_chunk
    assert happened.count(("on_tool_end", "add")) == 1


@ROADS
async def test_plain_text(llm: ChatVLLM, road: Road) -> None:
    message = await answer(road, llm.bind_tools([add, multiply]), "Hello!")
    assert message.text == "Hello! How can I help you today?"
    assert not calls(message)
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "tiny"


@ROADS
async def test_usage(vllm_server: VLLMServer, llm: ChatVLLM, road: Road) -> None:
    message = await answer(road, llm.bind_tools([add, multiply]), QUESTION)
    usage = message.usage_metadata
    assert usage is not None
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > max(OPEN[vllm_server.parser])
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_all_roads_have_one_usage(llm: ChatVLLM) -> None:
    model = llm.bind_tools([add, multiply])
    roads = (streamed, astreamed, invoked, ainvoked)
    usages = [(await answer(road, model, QUESTION)).usage_metadata for road in roads]
    assert usages == [usages[0]] * 4


@ROADS
@pytest.mark.parametrize(
    ("tool_choice", "expected"), [("multiply", CALLS[:1]), ("add", None), ("any", CALLS)]
)
async def test_tool_choice(
    llm: ChatVLLM, road: Road, tool_choice: str, expected: list[Any] | None
) -> None:
    model = llm.bind_tools([add, multiply], tool_choice=tool_choice, max_tokens=200)
    found = calls(await answer(road, model, QUESTION))
    if expected is None:  # the grammar forces the tool, and the model what it likes best
        assert [name for name, _ in found] == [tool_choice]
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (QUESTION, CALLS),
        (
            "What is the weather in Paris and Tokyo?",
            [("get_weather", {"city": city}) for city in ("Paris", "Tokyo")],
        ),
        (
            "Write a poem about river to poem.txt.",
            [("write_file", {"path": "poem.txt", "content": POEM})],
        ),
        (
            "What is the weather in Paris? Also, what is 3 * 12?",
            [("get_weather", {"city": "Paris"}), CALLS[0]],
        ),
    ],
    ids=["two", "the same tool", "long", "two tools"],
)
async def test_calls(llm: ChatVLLM, prompt: str, expected: list[Any]) -> None:
    model = llm.bind_tools([add, multiply, get_weather, write_file])
    assert calls(model.invoke(prompt)) == expected
    assert calls(await answer(astreamed, model, prompt)) == expected


def declared(name: str, **types: str) -> StructuredTool:
    """A tool whose arguments have types, and nothing else."""
    properties = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": list(types)}
    return StructuredTool.from_function(
        lambda **_: "", name=name, description=name, args_schema=schema
    )


DICTATED = {
    "hermes": {"key": "alpha", "n": 7, "deep": [True, None, {"é": -2}]},
    "qwen3_coder": {"n": 7},
}


def test_a_dictated_call(vllm_server: VLLMServer, llm: ChatVLLM) -> None:
    arguments = DICTATED[vllm_server.parser]
    kinds = {"key": "string", "n": "integer", "deep": "array"}
    lookup = declared("lookup", **{key: kinds[key] for key in arguments})
    text = json.dumps(arguments, ensure_ascii=False)
    message = llm.bind_tools([lookup]).invoke(f"Call lookup {text}")
    assert calls(message) == [("lookup", arguments)]


@ROADS
@pytest.mark.parametrize("tool_choice", [None, "any", "refresh"])
async def test_a_call_without_arguments(llm: ChatVLLM, road: Road, tool_choice: str | None) -> None:
    # Where vLLM forces a call that is not strict, the model may make up arguments.
    fields = {"strict": True} if tool_choice else {}
    model = llm.bind_tools([declared("refresh")], tool_choice=tool_choice, **fields)
    message = await answer(road, model, "Call refresh {}")
    assert calls(message) == [("refresh", {})]


@ROADS
async def test_a_call_of_no_tool(llm: ChatVLLM, road: Road) -> None:
    chain = chain_of(llm, ToolSet([add, multiply]))
    (messages,) = await road(chain, 'Call delete_all {"sure": true}')
    assert [(m.name, m.status) for m in messages] == [("delete_all", "error")]


@ROADS
@pytest.mark.parametrize("place", range(3), ids=["start", "arguments", "end"])
async def test_a_cut_call_never_runs(vllm_server: VLLMServer, road: Road, place: int) -> None:
    ran: list[tuple[int, int]] = []

    def add(a: int, b: int) -> int:
        """Add two integers."""
        ran.append((a, b))
        return a + b

    llm = chat(vllm_server, max_tokens=OPEN[vllm_server.parser][place])
    tools = ToolSet([add, multiply], read_only=True)
    message = await answer(road, llm.bind_tools(tools), QUESTION)
    assert message.response_metadata["finish_reason"] == "length"
    assert [call["name"] for call in message.tool_calls] == ["multiply"]
    assert len(message.invalid_tool_calls) == 1

    messages = [m for batch in await road(chain_of(llm, tools), QUESTION) for m in batch]
    assert sorted(message.status for message in messages) == ["error", "success"]
    assert not ran


@ROADS
async def test_a_cut_argument_never_runs(vllm_server: VLLMServer, road: Road) -> None:
    ran: list[str] = []

    def write_file(path: str, content: str) -> None:
        """Write a file."""
        ran.append(content)

    tools = ToolSet([write_file], read_only=True)
    chain = chain_of(chat(vllm_server, max_tokens=60), tools)
    (messages,) = await road(chain, "Write a poem about river to poem.txt.")
    assert [(m.name, m.status) for m in messages] == [("write_file", "error")]
    assert not ran


def test_the_answer_after_the_results(llm: ChatVLLM) -> None:
    tools = ToolSet([add, multiply])
    model = llm.bind_tools(tools)
    question = HumanMessage(QUESTION)
    first = model.invoke([question])
    results = tools.map().invoke(first.tool_calls)
    assert all(isinstance(result, ToolMessage) for result in results)
    last = model.invoke([question, first, *results])
    assert last.text == "The results are: 36; 60"
    assert not calls(last)


@ROADS
async def test_reasoning(vllm_server: VLLMServer, road: Road) -> None:
    llm = chat(vllm_server, extra_body={"chat_template_kwargs": {"enable_thinking": True}})
    message = await answer(road, llm.bind_tools([add, multiply]), QUESTION)
    thought = "The user needs 2 tool calls: multiply, add."
    assert message.additional_kwargs["reasoning_content"].strip() == thought
    assert not message.text.strip()
    assert calls(message) == CALLS


@ONCE
@ROADS
async def test_an_unknown_model(vllm_server: VLLMServer, road: Road) -> None:
    with pytest.raises(VLLMNotFoundError, match="no-such-model"):
        await road(chat(vllm_server, model="no-such-model"), "Hello!")


class TestFields:
    # OpenAI's, and those that only the render endpoints read.
    OTHERS = frozenset(
        {
            *("messages", "model", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"),
            *("max_tokens", "max_completion_tokens", "n", "presence_penalty", "response_format"),
            *("seed", "stop", "stream", "stream_options", "temperature", "top_p", "tools"),
            *("tool_choice", "reasoning_effort", "parallel_tool_calls", "user"),
            *("mm_payload", "return_mm_kwargs", "return_token_offsets"),
        }
    )

    SINCE_33 = frozenset({"return_weight_versions"})
    ANSWER = frozenset(
        {
            *("id", "object", "created", "model", "choices", "usage", "service_tier"),
            *("system_fingerprint", "prompt_logprobs", "prompt_token_ids", "prompt_text"),
            *("kv_transfer_params", "ec_transfer_params", "metrics"),
        }
    )
    CHOICE = frozenset(
        {
            *("index", "message", "finish_reason", "stop_reason", "logprobs", "token_ids"),
            *("routed_experts", "weight_versions"),
        }
    )

    @ONCE
    def test_those_of_answers_are_known(self, vllm_server: VLLMServer) -> None:
        """Each is read: see `core.completion`, and `response.details` for what is beside it."""
        asked = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}
        said = httpx2.post(
            f"{vllm_server.base_url}/chat/completions", json=asked, timeout=60
        ).json()
        assert said.keys() <= self.ANSWER
        assert said["choices"][0].keys() <= self.CHOICE
        # vLLM 0.32 describes its requests only.
        schemas = vllm_server.openapi()["components"]["schemas"]
        for name, known in (
            ("ChatCompletionResponse", self.ANSWER),
            ("ChatCompletionResponseChoice", self.CHOICE),
        ):
            assert schemas.get(name, {"properties": {}})["properties"].keys() <= known

    @ONCE
    def test_are_those_of_the_server(self, vllm_server: VLLMServer) -> None:
        schemas = vllm_server.openapi()["components"]["schemas"]
        served = schemas["ChatCompletionRequest"]["properties"].keys()
        # 0.32 is the newest that has a build for CPU on the index.
        assert served - self.OTHERS | self.SINCE_33 == FIELDS
        for ours, theirs in (
            (StructuredOutputs, "StructuredOutputsParams"),
            (RepetitionDetection, "RepetitionDetectionParams"),
        ):
            names = {field.name for field in dataclasses.fields(ours)}
            assert {one for one in schemas[theirs]["properties"] if one[0] != "_"} == names

    @ONCE
    @ROADS
    async def test_are_taken(self, vllm_server: VLLMServer, road: Road) -> None:
        llm = chat(
            vllm_server,
            structured_outputs={"choice": ["yes", "no"]},
            return_token_ids=True,
            logprobs=True,
            cache_salt="salt",
            request_id=None,
            stop_token_ids=[3],
            repetition_detection={"max_pattern_size": 8, "min_count": 5},
        )
        message = await answer(road, llm, "Hello!")
        assert message.text in ("yes", "no")
        metadata = message.response_metadata
        assert metadata["token_ids"]
        assert metadata["prompt_token_ids"]
        assert metadata["logprobs"]["content"]
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == len(metadata["token_ids"])

    @ROADS
    async def test_what_is_not_streamed_is_returned(
        self, vllm_server: VLLMServer, road: Road
    ) -> None:
        llm = chat(vllm_server, prompt_logprobs=1, max_tokens=200)
        message = await answer(road, llm.bind_tools([add, multiply]), QUESTION)
        assert calls(message) == CALLS
        assert message.usage_metadata is not None
        prompt = message.response_metadata["prompt_logprobs"]
        assert len(prompt) == message.usage_metadata["input_tokens"]

    @ROADS
    async def test_an_invalid_call_is_taken_back(self, vllm_server: VLLMServer, road: Road) -> None:
        llm = chat(vllm_server, max_tokens=20, return_prompt_text=True)
        cut = await answer(road, llm.bind_tools([add, multiply]), QUESTION)
        (invalid,) = cut.invalid_tool_calls
        told = ToolMessage("It was cut off.", tool_call_id=invalid["id"] or "", status="error")
        history = [HumanMessage(QUESTION), cut, told]
        message = await answer(road, llm.bind_tools([add, multiply]), history)
        prompt = message.response_metadata["prompt_text"]
        assert "invalid_arguments" in prompt
        assert '"arguments": {}' not in prompt
        assert "<function=multiply>\n\n" not in prompt


class Pay(BaseModel):
    """A payment."""

    to: Annotated[str, Field(max_length=8)]
    amount: Annotated[int, Field(ge=0, lt=100)]


class Switch(BaseModel):
    """A switch."""

    on: bool


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@ONCE
@ROADS
@pytest.mark.parametrize(
    ("schema", "method", "fits"),
    [
        (Pay, "json_schema", lambda found: type(found) is Pay),
        (Pay.model_json_schema(), "json_schema", lambda found: Pay(**found)),
        (list[Color], "json_schema", lambda found: set(found) <= set(Color)),
        (Switch, "function_calling", lambda found: type(found) is Switch),
        (None, "json_mode", lambda found: type(found) is dict),
        (r"\d{3}-[ab]", "regex", re.compile(r"\d{3}-[ab]").fullmatch),
        (Color, "choice", lambda found: found in Color),
        (["yes", "no"], "choice", lambda found: found in ("yes", "no")),
        ('root ::= "a" | "b"', "grammar", lambda found: found in ("a", "b")),
    ],
    ids=str,
)
async def test_structured_output(
    llm: ChatVLLM, road: Road, schema: Any, method: Any, fits: Any
) -> None:
    # The grammar of a call takes white space without end, and so does the model.
    fields = {"frequency_penalty": 0.5, "max_tokens": 200}
    structured = llm.with_structured_output(schema, method=method, **fields)
    found = await road(structured, "Hello!")
    assert fits("".join(found) if method in ("regex", "grammar") else found[-1])


@ROADS
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_a_cut_structure_is_none(llm: ChatVLLM, road: Road, method: Any) -> None:
    structured = llm.with_structured_output(Pay, method=method, max_tokens=12)
    with pytest.raises(OutputParserException, match="cut off"):
        await road(structured, "Hello!")


@ONCE
class TestLeavingEarly:
    """A generation that nobody reads any more ends, long before it would."""

    TOKENS = 60_000

    @pytest.fixture
    def endless(self, vllm_server: VLLMServer) -> ChatVLLM:
        return chat(vllm_server, max_tokens=self.TOKENS, extra_body={"ignore_eos": True})

    def assert_free(self, server: VLLMServer, generated_before: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while server.running():
            assert time.monotonic() < deadline
        assert server.generated() - generated_before < self.TOKENS

    async def test_async(self, vllm_server: VLLMServer, endless: ChatVLLM) -> None:
        before = vllm_server.generated()
        chunks = endless.astream("Hello!")
        while not (await anext(chunks)).content:
            pass
        assert vllm_server.running() == 1
        await chunks.aclose()
        await asyncio.to_thread(self.assert_free, vllm_server, before)

    def test_sync(self, vllm_server: VLLMServer, endless: ChatVLLM) -> None:
        before = vllm_server.generated()
        for chunk in endless.stream("Hello!"):
            if chunk.content:
                assert vllm_server.running() == 1
                break
        self.assert_free(vllm_server, before)

    async def test_cancelled(self, vllm_server: VLLMServer, endless: ChatVLLM) -> None:
        before = vllm_server.generated()
        task = asyncio.create_task(endless.ainvoke("Hello!"))
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(vllm_server.running):
                pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(self.assert_free, vllm_server, before)
