"""Wires that leave a doubt, over real HTTP, on every road from the model to the tools.

`tests/doubtful.py` makes them, and knows what the model wrote; `tests/unit_tests/core` reads all of
them with the core. Here are ten of each kind.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import BaseTool, tool
from langchain_openai import ChatOpenAI

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser
from langchain_toolstream.agents import EagerToolMiddleware
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import Recording, ReplayServer
from tests.doubtful import Call, Wire, wires

# langchain-core calls its v3 protocol beta.
pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    pytest.mark.timeout(600),
]

OF_EACH_KIND = 10


def chosen() -> list[Wire]:
    """As many of each kind, from its beginning to its end."""
    kinds = defaultdict(list)
    for wire in wires():
        kinds[wire.kind].append(wire)
    return [
        some[i * len(some) // OF_EACH_KIND] for some in kinds.values() for i in range(OF_EACH_KIND)
    ]


WIRES = chosen()


class Ran:
    """Tools, and what they were run with."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self.tools: list[BaseTool] = [
            tool(function)
            for function in (self.read_path, self.delete_path, self.note, self.purge, self.ping)
        ]

    def _note(self, name: str, **args: Any) -> str:
        with self._lock:
            self.calls.append((name, {k: v for k, v in args.items() if v is not None}))
        return "done"

    def read_path(self, path: str) -> str:
        """Read."""
        return self._note("read_path", path=path)

    def delete_path(self, path: str) -> str:
        """Delete."""
        return self._note("delete_path", path=path)

    def note(self, text: str, tags: list[str] | None = None, n: int | None = None) -> str:
        """Keep a note."""
        return self._note("note", text=text, tags=tags, n=n)

    def purge(self, folder: str | None = None) -> str:
        """Purge."""
        return self._note("purge", folder=folder)

    def ping(self) -> str:
        """Ping."""
        return self._note("ping")


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer([Recording(id=wire.id, body=wire.body) for wire in WIRES]) as running:
        yield running


def of(message: AIMessage) -> list[Call]:
    return [(call["name"], call["args"]) for call in message.tool_calls]


def model(server: ReplayServer, wire: Wire) -> ChatVLLM:
    return ChatVLLM(base_url=server.base_url, model=wire.id, max_retries=0)


def by_invoke(server: ReplayServer, wire: Wire) -> list[Call]:
    return of(model(server, wire).bind_tools(Ran().tools).invoke("go"))


def by_stream(server: ReplayServer, wire: Wire) -> list[Call]:
    chunks = model(server, wire).bind_tools(Ran().tools).stream("go")
    message = reduce(add, chunks)
    assert isinstance(message, AIMessageChunk)
    return of(message)


def by_v3(server: ReplayServer, wire: Wire) -> list[Call]:
    """What had finished as a call in the middle of the stream may have been acted on."""
    stream = model(server, wire).bind_tools(Ran().tools).stream_events("go", version="v3")
    seen: list[Any] = []
    try:
        seen.extend(stream)
    finally:
        blocks = [one["content"] for one in seen if one["event"] == "content-block-finish"]
        calls = [(b["name"], b["args"]) for b in blocks if b["type"] == "tool_call"]
        assert not not_written(calls, wire.written), wire.id
    assert of(stream.output) == calls
    return calls


def by_map(server: ReplayServer, wire: Wire) -> list[Call]:
    ran = Ran()
    tools = ToolSet(ran.tools, read_only=["read_path"])
    chain = model(server, wire).bind_tools(tools) | ToolStreamParser(tools) | tools.map()
    try:
        for _ in chain.stream("go"):
            pass
    finally:
        assert not not_written(ran.calls, wire.written), wire.id
    return ran.calls


class _Once(AgentMiddleware[Any, Any, Any]):
    """The model is asked once; what it would say to the results is no matter here."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def wrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
    ) -> ModelResponse:
        if self.asked:
            return ModelResponse(result=[AIMessage("Done.")])
        self.asked = True
        return handler(request)


def by_agent(server: ReplayServer, wire: Wire) -> list[Call]:
    ran = Ran()
    agent: Any = create_agent(
        model(server, wire),
        ran.tools,
        middleware=[EagerToolMiddleware(read_only=["read_path"]), _Once()],
    )
    try:
        for _ in agent.stream({"messages": "go"}, stream_mode="messages"):
            pass
    finally:
        assert not not_written(ran.calls, wire.written), wire.id
    return ran.calls


def not_written(calls: Sequence[Call], written: Sequence[Call]) -> list[Call]:
    left = list(written)
    return [call for call in calls if call not in left or left.remove(call)]  # type: ignore[func-returns-value]


ROADS = [by_invoke, by_stream, by_v3, by_map, by_agent]


@pytest.mark.parametrize("road", ROADS)
def test_no_call_runs_that_was_not_written(
    road: Callable[[ReplayServer, Wire], list[Call]], server: ReplayServer
) -> None:
    assert len({wire.kind for wire in WIRES}) * OF_EACH_KIND == len(WIRES)
    problems = {}
    for wire in WIRES:
        try:
            calls, raised = road(server, wire), False
        except StreamInterruptedError:
            calls, raised = [], True
        wrong, lost = not_written(calls, wire.written), not_written(wire.sure, calls)
        if wrong or lost or raised != wire.raises:
            problems[wire.id] = (wrong, lost, raised)
    assert not problems


def test_the_same_with_chat_openai(
    server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its chunks summed with `+`, on the same wires."""
    wrong = lost = 0
    for wire in WIRES:
        llm = ChatOpenAI(
            base_url=server.base_url, api_key="EMPTY", model=wire.id, max_retries=0
        ).bind_tools(Ran().tools)
        try:
            calls = of(reduce(add, llm.stream("go")))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001, S112 - any way of raising is raising
            continue
        wrong += len(not_written(calls, () if wire.raises else wire.written))
        lost += len(not_written(wire.sure, calls))
    with capsys.disabled():
        print(f"\ndoubtful: ChatOpenAI, {len(WIRES)} wires: {wrong} wrong, {lost} lost")  # noqa: T201
    assert wrong > 0
