"""Every recorded stream, over real HTTP, gives the same events whichever way it is read.

Pieces of text and arguments are joined before they are compared, and so is what the events of one
network read say in another order: `ChatVLLM` makes one chunk of it, but an event of LangChain's v3
protocol of every piece.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolCallTransformer, ToolNode

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser, tool_events
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import ToolEvent
from langchain_toolstream.testing import ReplayServer
from langchain_toolstream.vllm import VLLMEmptyOutputError
from tests.integration_tests.test_corpus import FILES, asked, ended_quietly, sampled

# langchain-core and LangGraph call the v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

Record = dict[str, Any]
GRAPH_INPUT = {"messages": [("user", "go")]}


class Tools:
    """Some tools, each of which gives back its arguments as its artifact, and what runs them."""

    def __init__(self, functions: list[Any]) -> None:
        self.tools = ToolSet([echo(function) for function in functions])
        self.parser = ToolStreamParser(self.tools)
        graph = StateGraph(MessagesState)
        graph.add_node("model", call_model)
        graph.add_node("tools", ToolNode([*self.tools], handle_tool_errors=True))
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", has_calls, ["tools", END])
        graph.add_edge("tools", END)
        self.graph = graph.compile(transformers=[ToolCallTransformer])

    def roads(self, model: Runnable[Any, AIMessage]) -> dict[str, Any]:
        """What each way of reading reads."""
        pipe = model | self.parser | self.tools.map()
        graph = self.graph.with_config(configurable={"model": model})
        return {
            "bare": (model.astream("go"),),
            "v3": (model.astream_events("go", version="v3"),),
            "pipe, v2": (pipe.astream_events("go", version="v2"),),
            "pipe": (pipe, "go"),
            "graph, v2": (graph.astream_events(GRAPH_INPUT, version="v2"),),
            "graph, v3": (graph.astream_events(GRAPH_INPUT, version="v3"),),
        }


async def call_model(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    return {"messages": [await config["configurable"]["model"].ainvoke(state["messages"])]}


def has_calls(state: MessagesState) -> str:
    message = state["messages"][-1]
    return "tools" if isinstance(message, AIMessage) and message.tool_calls else END


def echo(function: Any) -> StructuredTool:
    async def echo(**args: Any) -> tuple[str, dict[str, Any]]:
        return f"{len(args)} argument(s)", args

    return StructuredTool(
        name=function["name"],
        description=function.get("description") or "A tool.",
        args_schema=function["parameters"],
        coroutine=echo,
        response_format="content_and_artifact",
    )


@cache
def tools_of(schemas: str) -> Tools:
    return Tools([one["function"] for one in json.loads(schemas)])


async def read(events: AsyncIterator[ToolEvent]) -> tuple[list[ToolEvent], str]:
    """All events, and what was raised behind them."""
    seen: list[ToolEvent] = []
    try:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - what came before an error counts
    except (StreamInterruptedError, VLLMEmptyOutputError) as error:
        return seen, str(error)
    return seen, ""


def joined(events: list[ToolEvent]) -> Any:
    """What some events say, without how it was cut, random ids and the turn that calls take."""
    model: list[Any] = []
    prose = Counter[str]()
    text: dict[str, str] = {"text-delta": "", "reasoning-delta": ""}
    calls: dict[str, list[Any]] = {}
    tools: dict[str, list[Any]] = {}
    names: dict[str, str] = {}  # of the calls, by id
    for event in events:
        said = {f: getattr(event, f) for f in event.__dataclass_fields__ if f not in SOURCE_FIELDS}
        if "id" in said:
            said["id"] = names.setdefault(said["id"], f"call {len(names)}")
        kind = said["type"]
        if kind in text:
            text[kind] += said["text"]
            prose[kind] += 1
        elif kind in ("tool-call-delta", "argument-delta", "argument-finish"):
            append(calls.setdefault(said["id"], []), said)
        elif kind.startswith(("tool-call", "message")):
            model.append(said)
        else:
            tools.setdefault(said["id"], []).append(said)
    return {"model": model, "calls": calls, "tools": tools, **text}


SOURCE_FIELDS = ("run_id", "node", "namespace", "parent_call_id")


def append(pieces: list[Any], said: dict[str, Any]) -> None:
    """Join a delta to the last one of its kind and place; raw text and fields go their own ways."""
    field = "args" if "args" in said else "text"
    for last in reversed(pieces):
        same = last["type"] == said["type"] and last.get("path") == said.get("path")
        if same and said["type"] != "argument-finish":
            last[field] += said[field]
            return
    pieces.append(said)


def check(name: str, events: list[ToolEvent]) -> None:
    """One end for every message, call and tool; the call's id on all that is about it."""
    ends = Counter[Any]()
    answers = Counter[Any]()
    for event in events:
        assert event.run_id, name
        call = getattr(event, "id", None)
        match event.type:
            case "message-start" | "tool-call-start" | "tool-start":
                ends[event.type.removesuffix("-start"), event.run_id, call] += 1
            case "message-finish" | "message-error":
                ends["message", event.run_id, call] -= 1
            case "tool-call-finish" | "tool-call-invalid":
                ends["tool-call", event.run_id, call] -= 1
            case "tool-finish" | "tool-error":
                ends["tool", event.run_id, call] -= 1
            case "tool-answer":  # of the tool node, for a call of a tool that it does not know
                assert ends["tool-call", event.run_id, call] == 0, (name, event)
                answers[event.run_id, call] += 1
            case _:
                around = "message" if call is None else "tool-call"
                assert ends[around, event.run_id, call] == 1, (name, event)
    assert not any(ends.values()), (name, ends)
    ran = {(event.run_id, event.id) for event in events if event.type == "tool-start"}
    assert not ran & answers.keys(), name
    assert all(count == 1 for count in answers.values()), (name, answers)


async def compare(llm: ChatVLLM, record: Record) -> Counter[str]:
    tools = tools_of(json.dumps(record["tools"]))
    model = llm.bind_tools(record["tools"], model=record["id"], **asked(record))
    counts = Counter[str]()
    seen: dict[str, Any] = {}
    for road, source in tools.roads(model).items():
        events, raised = await read(tool_events(*source, tools=tools.tools))
        check(f"{record['id']}, {road}", events)
        seen[road] = {**joined(events), "raised": raised}
        counts[road] = len(events)
    for road, said in seen.items():
        ran = seen[f"{road.partition(',')[0]}, v2"]["tools"] if road not in ("bare", "v3") else {}
        # In a graph, the tool node answers a call of a tool that nobody knows (decision 23).
        is_unknown = "tool-answer" in {one["type"] for told in ran.values() for one in told}
        told = seen["graph, v2" if is_unknown else "bare"]
        assert said == {**told, "tools": ran}, f"{record['id']}, {road}"
    return counts


async def compare_all(llm: ChatVLLM, chosen: list[Record]) -> list[Any]:
    slots = asyncio.Semaphore(8)

    async def one(record: Record) -> Any:
        async with slots:
            try:
                return await compare(llm, record)
            except AssertionError as error:
                return str(error)

    return await asyncio.gather(*(one(record) for record in chosen))


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", FILES)
def test_every_record_over_http(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = sampled(name)
    with ReplayServer(ended_quietly(name)) as server:
        llm = ChatVLLM(base_url=server.base_url, max_retries=0)
        results = asyncio.run(compare_all(llm, chosen))
    problems = [r for r in results if isinstance(r, str)]
    assert not problems, f"{len(problems)} of {len(results)}:\n\n" + "\n\n".join(problems[:3])
    counts: Counter[str] = sum(results, Counter())
    with capsys.disabled():
        print(f"\n{name}: events of {len(chosen)} streams: {dict(counts)}")  # noqa: T201 - `make integration_tests` shows it
