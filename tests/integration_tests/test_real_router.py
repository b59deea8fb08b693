"""Answers that survive their replica: two real vLLMs behind vLLM's own router, one of them killed.

The replica that serves an answer is killed at a random token of it. Mostly that is the relay before
an engine, which is back in a tenth of a second; in the end it is an engine itself, by `kill -9`.
"""

import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import cycle, islice
from operator import add as plus
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableGenerator
from langchain_core.tools import StructuredTool

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import StreamInterruptedError
from scripts.record_resumes import PRODUCT, QUESTIONS, THINKING
from scripts.vllm_cpu.router import NO_ROUTER, ROUTER, Routed, route
from scripts.vllm_cpu.server import INSTALLED, MISSING, VLLMServer, serve

pytestmark = pytest.mark.timeout(1800)

KILLS = int(os.environ.get("RESILIENCE_KILLS", "20"))
LOST = max(3, KILLS // 10)
"""Answers that are asked for without `max_resumes`, to see what is lost."""

NAMES = (
    "text", "1call_thinking", "3calls", "structured_thinking", "1call", "text_thinking",
    "3tools_thinking", "structured", "long_argument",
)  # fmt: skip
# This server writes JSON without spaces, of which a text that broke off may tell nothing.
COMPACT = {"structured_outputs": {"json": PRODUCT, "disable_any_whitespace": True}}
ASKED = {
    **QUESTIONS,
    "structured": ("What is 3 * 12?", COMPACT),
    "structured_thinking": ("What is 3 * 12?", {**COMPACT, **THINKING}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """Two engines, and the router before them."""

    servers: tuple[VLLMServer, VLLMServer]
    router: Routed


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    if not (INSTALLED.exists() and ROUTER.exists()):
        missing = NO_ROUTER if INSTALLED.exists() else MISSING
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(missing)
        pytest.fail(missing)
    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            started = pool.map(lambda _: stack.enter_context(serve()), range(2))
            first, second = started
        router = stack.enter_context(route(first.port, second.port))
        yield Replicas(servers=(first, second), router=router)


class Counted:
    """The tools of the questions, which say how often they ran."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []

    def tools(self, schemas: list[dict[str, Any]]) -> ToolSet:
        return ToolSet([self._tool(one["function"]) for one in schemas], read_only=True)

    def _tool(self, function: dict[str, Any]) -> Any:
        async def run(**arguments: Any) -> str:
            self.ran.append((function["name"], json.dumps(arguments, sort_keys=True)))
            return "done"

        return StructuredTool(
            name=function["name"],
            description=function["description"],
            args_schema=function["parameters"],
            coroutine=run,
        )


async def asked(base_url: str, name: str, **fields: Any) -> tuple[AIMessage, list[Any]]:
    """Ask a question: the message, and the calls that ran."""
    question, bound = ASKED[name]
    bound = dict(bound)
    schemas = bound.pop("tools", [])
    llm = ChatVLLM(
        base_url=base_url,
        model="tiny",
        temperature=0,
        max_tokens=300,
        tool_call_parser="hermes" if schemas else None,
        **fields,
    )
    if not schemas:
        return await llm.ainvoke(question, **bound), []
    counted = Counted()
    tools = counted.tools(schemas)
    chunks: list[AIMessageChunk] = []

    async def kept(stream: AsyncIterator[AIMessageChunk]) -> AsyncIterator[AIMessageChunk]:
        async for chunk in stream:
            chunks.append(chunk)
            yield chunk

    model = llm.bind_tools(tools, **bound) | RunnableGenerator(kept)
    async for _ in (model | ToolStreamParser(tools) | tools.map()).astream(question):
        pass
    return reduce(plus, chunks), sorted(counted.ran)


def said(message: AIMessage) -> dict[str, Any]:
    """What has to be equal."""
    usage = message.usage_metadata
    assert usage is not None
    return {
        "content": message.content,
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        "calls": [(call["name"], call["args"]) for call in message.tool_calls],
        "invalid": message.invalid_tool_calls,
        "finish": message.response_metadata["finish_reason"],
        "usage": (usage["input_tokens"], usage["output_tokens"]),
    }


async def places(base_url: str, name: str) -> tuple[int, list[int]]:
    """How many events an answer has, and those in a string, an escape or a cut character."""
    message, _ = await asked(base_url, name, return_token_ids=True, coalesce=False)
    tokens = len(message.response_metadata["token_ids"])
    question, bound = ASKED[name]
    llm = ChatVLLM(base_url=base_url, model="tiny", temperature=0, max_tokens=300, logprobs=True)
    fields = {key: one for key, one in bound.items() if key != "tools"}
    if "tools" in bound:
        fields |= {"tools": bound["tools"], "tool_choice": "none"}
    whole = await llm.ainvoke(question, **fields)
    logprobs = whole.response_metadata["logprobs"]["content"]
    special, text = [], ""
    for number, one in enumerate(logprobs, 1):
        text += one["token"]
        inside = text.replace('\\"', "").count('"') % 2 == 1
        if number > 1 and (inside or not one["token"] or "<" in one["token"]):
            special.append(number)
    return tokens, [one for one in special if one < tokens]


async def test_answers_survive_their_replica(replicas: Replicas) -> None:
    router, generator = replicas.router, random.Random(16)  # noqa: S311
    whole: dict[str, Any] = {}
    for name in NAMES:
        message, ran = await asked(router.base_url, name, max_resumes=0)
        whole[name] = (said(message), ran, await places(router.base_url, name))
    resumed = 0
    for number, name in enumerate(islice(cycle(NAMES), KILLS)):
        expected, ran, (tokens, special) = whole[name]
        at = generator.choice(special) if number % 3 == 0 and special else None
        after = at if at is not None else generator.randrange(1, tokens)
        router.kill_after(after + 1)  # the first event says the role
        message, ran_now = await asked(router.base_url, name, max_resumes=2)
        assert router.revive(), (name, after)
        assert said(message) == expected, (name, after)
        assert ran_now == ran, (name, after)
        # Where several tokens came in one event, the kill may fall behind the finish reason.
        resumed += "resumes" in message.response_metadata
    assert resumed >= KILLS * 3 // 4
    print(f"\n{KILLS} answers whose replica was killed: {KILLS} whole, {resumed} of them went on")  # noqa: T201


async def test_what_is_lost_without(replicas: Replicas) -> None:
    router, generator, lost = replicas.router, random.Random(17), 0  # noqa: S311
    for name in islice(cycle(NAMES), LOST):
        router.kill_after(generator.randrange(4, 20))
        try:
            await asked(router.base_url, name, max_resumes=0)
        except StreamInterruptedError:
            lost += 1
        router.revive()
        router.fate.unlink(missing_ok=True)
    print(f"\nwithout max_resumes: {lost} of {LOST} lost")  # noqa: T201
    assert lost == LOST


async def test_an_engine_is_killed(replicas: Replicas) -> None:
    """The last test: one engine is not there any more behind it."""
    first, second = replicas.servers
    expected, _ = await asked(replicas.router.base_url, "text")
    llm = ChatVLLM(
        base_url=replicas.router.base_url,
        model="tiny",
        temperature=0,
        max_tokens=300,
        max_resumes=2,
        coalesce=False,
    )
    chunks: list[AIMessageChunk] = []
    async for chunk in llm.astream(QUESTIONS["text"][0], ignore_eos=True, max_tokens=2000):
        chunks.append(chunk)
        if len(chunks) == 40:
            serving = first if first.running() else second
            serving.kill()
    message = reduce(plus, chunks)
    assert str(message.content).startswith(str(expected.content))
    assert message.response_metadata["resumes"] == 1
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == 2000
