"""Plain agents and graphs with `ChatVLLM` beside the same with `ChatOpenAI`.

Whoever runs a tool says whether a call fits it, so a model that wrote a wrong argument or name is
told and asked again, with either model. What the wire shows to be no whole call never runs.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Annotated, Any

import pandas as pd
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

from langchain_toolstream import ChatVLLM, FromArtifact, ToolSet, artifact_tool
from langchain_toolstream.agents import EagerToolMiddleware
from tests.integration_tests.scripted_server import serve
from tests.unit_tests.vllm.wire import body, chunk, part

# langchain-core and langgraph call their v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

INPUT = {"messages": [("user", "What is 1 + 2?")]}


class Weather(BaseModel):
    """The weather."""

    city: str
    temp: float


def calls(*written: tuple[str, str], end: str = "tool_calls", turn: int = 0) -> bytes:
    """An answer with calls, each a name and arguments as text."""
    parts = [
        piece
        for index, (name, args) in enumerate(written)
        for piece in (
            chunk(part("", index=index, id=f"call_{turn}_{index}", name=name)),
            chunk(part(args[:4], index=index)),
            chunk(part(args[4:], index=index)),
        )
    ]
    return body(chunk(role="assistant", content=""), *parts, chunk(finish_reason=end))


GOOD = calls(("add", '{"a": 1, "b": 2}'), turn=1)
SAID = body(chunk(role="assistant", content="It is 3."), chunk(finish_reason="stop"))
WEATHER = calls(("Weather", '{"city": "Rome", "temp": 12}'), turn=1)


@dataclass(frozen=True)
class Case:
    """What a model answers, turn by turn, and what comes of it."""

    answers: list[bytes]
    requests: int
    ran: list[tuple[int, int]] = field(default_factory=lambda: [(1, 2)])
    last: str = "It is 3."
    options: dict[str, Any] = field(default_factory=dict)


FITS_NOT = {
    "missing argument": Case([calls(("add", '{"a": 1}')), GOOD, SAID], 3),
    "wrong type": Case([calls(("add", '{"a": "one", "b": 2}')), GOOD, SAID], 3),
    "unknown tool": Case([calls(("sum", '{"a": 1, "b": 2}')), GOOD, SAID], 3),
    "no arguments": Case([calls(("add", "")), GOOD, SAID], 3),
    "two calls of which one is bad": Case(
        [calls(("add", '{"a": 1, "b": 2}'), ("add", '{"a": 1}')), SAID], 2
    ),
    "structured answer that does not fit": Case(
        [calls(("Weather", '{"city": "Rome", "temp": "hot"}')), WEATHER],
        2,
        ran=[],
        last="Returning structured response: city='Rome' temp=12.0",
        options={"response_format": ToolStrategy(Weather)},
    ),
}
CUT = '{"a": 1, "b": 2, "note": "as as'
INVALID = {
    "cut call": [calls(("add", CUT), end="length")],
    "cut call of an unknown tool": [calls(("sum", CUT), end="length")],
    "not JSON": [calls(("add", "{a: 1, b: 2}"))],
}


class Server:
    """Answers the n-th turn of a conversation with the n-th answer."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[dict[str, Any]] = []
        self.base_url = ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    script = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert request["stream"]
            script.requests.append(request)
            turn = sum(message["role"] == "assistant" for message in request["messages"])
            answer = script.answers[min(turn, len(script.answers) - 1)]
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with serve(Handler) as script.base_url:
        yield script


def chat_vllm(base_url: str) -> BaseChatModel:
    return ChatVLLM(base_url=base_url, model="m")


def chat_openai(base_url: str) -> BaseChatModel:
    return ChatOpenAI(base_url=base_url, model="m", api_key="k", streaming=True)


def agent_of(llm: BaseChatModel, tools: list[Any], **options: Any) -> Any:
    return create_agent(llm, tools, **options)


def eager_agent_of(llm: BaseChatModel, tools: list[Any], **options: Any) -> Any:
    return create_agent(llm, tools, middleware=[EagerToolMiddleware(read_only=True)], **options)


def graph_of(llm: BaseChatModel, tools: list[Any]) -> Any:
    """LangGraph's own: a model, a `ToolNode`, and the edge between them."""
    return graph_with(llm, tools, ToolNode(tools))


def node_of(llm: BaseChatModel, tools: list[Any]) -> Any:
    """The same with the node of a `ToolSet` in the place of `ToolNode`."""
    return graph_with(llm, tools, ToolSet(tools).node())


def eager_node_of(llm: BaseChatModel, tools: list[Any]) -> Any:
    """The same, and read-only tools start while the model writes."""
    node = ToolSet(tools, read_only=True).node()
    return graph_with(llm, tools, node, node.eager)


def graph_with(
    llm: BaseChatModel, tools: list[Any], node: Any, around: Any = lambda _: nullcontext()
) -> Any:
    bound = llm.bind_tools(tools)

    def model(state: MessagesState) -> Any:
        with around(state):
            return {"messages": [bound.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def invoke(agent: Any) -> Any:
    return agent.invoke(INPUT)


def stream(agent: Any) -> Any:
    *_, (_, state) = agent.stream(INPUT, stream_mode=["messages", "values"])
    return state


def v3(agent: Any) -> Any:
    run = agent.stream_events(INPUT, version="v3")
    for _ in run:
        pass
    return run.output


SHAPES: dict[str, Callable[..., Any]] = {
    "create_agent": agent_of,
    "ToolNode graph": graph_of,
    "ToolSet.node graph": node_of,
    "eager ToolSet.node graph": eager_node_of,
}
ROADS: dict[str, Callable[[Any], Any]] = {"invoke": invoke, "stream": stream, "v3": v3}
AGENTS = {"create_agent": agent_of, "eager create_agent": eager_agent_of}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
roads = pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)


@dataclass
class Run:
    """What came of one run: requests made, tools run, the conversation."""

    requests: int
    ran: list[tuple[int, int]]
    messages: list[Any]

    @property
    def last(self) -> str:
        return str(self.messages[-1].text)


def run(
    server: Server,
    answers: list[bytes],
    llm: Callable[[str], BaseChatModel],
    shape: Any,
    road: Any,
    **options: Any,
) -> Run:
    ran: list[tuple[int, int]] = []

    def add(a: int, b: int, note: str = "") -> int:
        """Add."""
        ran.append((a, b))
        return a + b

    server.answers, server.requests = answers, []
    state = road(shape(llm(server.base_url), [add], **options))
    return Run(len(server.requests), ran, state["messages"])


@roads
@pytest.mark.parametrize("shape", (SHAPES | AGENTS).values(), ids=SHAPES | AGENTS)
@pytest.mark.parametrize("name", FITS_NOT)
def test_a_call_that_does_not_fit_is_answered_and_asked_again(
    server: Server, name: str, shape: Any, road: Any, caplog: pytest.LogCaptureFixture
) -> None:
    case = FITS_NOT[name]
    if case.options and shape not in AGENTS.values():
        pytest.skip("a graph of one's own has no structured answer")
    for llm in (chat_openai, chat_vllm):
        done = run(server, case.answers, llm, shape, road, **case.options)
        assert (done.requests, done.ran, done.last) == (case.requests, case.ran, case.last)
        if not case.options:
            errors = [
                m for m in done.messages if isinstance(m, ToolMessage) and m.status == "error"
            ]
            assert len(errors) == 1
    assert not caplog.records


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("langchain_toolstream") and record.levelno == logging.WARNING
    ]


@roads
@shapes
@pytest.mark.parametrize("name", INVALID)
def test_a_call_that_is_invalid_by_its_wire_never_runs_and_is_logged(
    server: Server, name: str, shape: Any, road: Any, caplog: pytest.LogCaptureFixture
) -> None:
    done = run(server, [*INVALID[name], GOOD, SAID], chat_vllm, shape, road)
    assert (done.requests, done.ran) == (1, [])
    last = done.messages[-1]
    assert isinstance(last, AIMessage)
    assert last.tool_calls == []
    (call,) = last.invalid_tool_calls
    (warning,) = warnings(caplog)
    assert f"{call['name']!r} (id 'call_0_0') is invalid" in warning
    assert "EagerToolMiddleware()" in warning
    reason = last.response_metadata.get("invalid_tool_calls", {}).get("call_0_0") or call["error"]
    assert str(reason)[:60] in warning


@roads
@pytest.mark.parametrize("name", INVALID)
def test_with_the_middleware_the_agent_goes_on(
    server: Server, name: str, road: Any, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = [EagerToolMiddleware()]
    answers = [*INVALID[name], GOOD, SAID]
    done = run(server, answers, chat_vllm, agent_of, road, middleware=middleware)
    assert (done.requests, done.ran, done.last) == (3, [(1, 2)], "It is 3.")
    assert len(warnings(caplog)) == 1


@roads
@shapes
def test_a_good_call_beside_an_invalid_one_runs(
    server: Server, shape: Any, road: Any, caplog: pytest.LogCaptureFixture
) -> None:
    both = calls(("add", '{"a": 1, "b": 2}'), ("add", CUT), end="length")
    done = run(server, [both, SAID], chat_vllm, shape, road)
    assert (done.requests, done.ran, done.last) == (2, [(1, 2)], "It is 3.")
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize(("shape", "ran"), [(agent_of, [(1, 2)]), (eager_node_of, [])])
def test_chat_openai_runs_the_cut_call(server: Server, shape: Any, ran: list[Any]) -> None:
    """What is to be prevented, and is in an eager node: langchain-core completes what was cut."""
    done = run(server, [*INVALID["cut call"], SAID], chat_openai, shape, stream)
    assert (done.requests, done.ran, done.last) == (2, ran, "It is 3.")


@artifact_tool
def frame(n: int) -> pd.DataFrame:
    """Make a frame."""
    return pd.DataFrame({"a": range(n)})


@artifact_tool
def total(rows: Annotated[pd.DataFrame, FromArtifact()]) -> int:
    """Add up."""
    return int(rows["a"].sum())


@pytest.mark.parametrize("of", [ToolNode, ToolSet.node], ids=["ToolNode", "ToolSet.node"])
def test_a_checkpointer_keeps_any_artifact_by_the_line_of_the_docs(of: Any) -> None:
    tools = ToolSet([frame, total])
    graph = StateGraph(MessagesState)
    graph.add_node("tools", of([*tools]) if of is ToolNode else of(tools))
    graph.add_edge(START, "tools")
    serde = JsonPlusSerializer(pickle_fallback=True)
    app = graph.compile(checkpointer=InMemorySaver(serde=serde))
    config: Any = {"configurable": {"thread_id": "1"}}
    for name, args, call_id in (
        ("frame", {"n": 4}, "call_1"),
        ("total", {"rows": "artifact:call_1"}, "call_2"),
    ):
        call = {"name": name, "args": args, "id": call_id, "type": "tool_call"}
        app.invoke({"messages": [AIMessage("", tool_calls=[call])]}, config)
        if of is ToolNode:
            break  # only a ToolSet keeps artifacts for later calls
    state = app.get_state(config)
    kept = [m for m in state[0]["messages"] if isinstance(m, ToolMessage)]
    assert kept[0].artifact.equals(pd.DataFrame({"a": range(4)}))
    if of is not ToolNode:
        assert kept[1].artifact == 6
