"""`create_agent` runs no call that isn't one, however the agent is run."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_openai import ChatOpenAI

from langchain_toolstream import ChatVLLM
from langchain_toolstream.agents import EagerToolMiddleware
from langchain_toolstream.core.errors import ServerStreamError
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from tests.integration_tests.chat import QUESTION, chat, nth_call
from tests.integration_tests.scripted_server import serve
from tests.unit_tests.scripted import PATIENCE
from tests.unit_tests.vllm.wire import body, chunk, part, usage

# langchain-core and langgraph call their v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

INPUT = {"messages": [("user", QUESTION)]}
MODES = ("values", "updates", "messages", "custom", "debug", "tasks")

ARGS = '{"prefix": "logs/tmp", "dry_run": false}'
HEAD = chunk(part("", id="call_1", name="delete_records"))
END = chunk(finish_reason="tool_calls")
CUT = chunk(finish_reason="length")
NEXT = chunk(part('{"prefix": "b"', index=1, id="call_2", name="delete_records"))

# What the model wrote is no call, or not to be trusted.
NO_CALL = {
    "cut in a later argument": [HEAD, chunk(part(ARGS[:-1] + ', "note": "as as')), CUT],
    "cut and closed by the server": [
        HEAD,
        chunk(part(ARGS[:-1])),
        chunk(part("}"), finish_reason="length"),
    ],
    "cut, and the server says tool_calls": [HEAD, chunk(part(ARGS[:-1] + ', "note": "as')), END],
    "cut in the text behind": [HEAD, chunk(part(ARGS)), chunk(content="Now,"), CUT],
    "contradicted": [HEAD, chunk(part(ARGS)), chunk(part('{"prefix": "tmp"}')), END],
}
GOOD = [HEAD, chunk(part(ARGS)), END, usage(10, 5)]
CONTRADICTED_LATE = [HEAD, chunk(part(ARGS)), NEXT, chunk(part("{}")), END]


class Records:
    """What a tool deletes."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    @property
    def tool(self) -> BaseTool:
        def delete_records(prefix: str, dry_run: bool = True, note: str = "") -> str:  # noqa: FBT001, FBT002
            """Delete records."""
            self.deleted.append(f"{prefix}, {dry_run}")
            return "deleted"

        # The agent ends with the tool, so that the server is asked once.
        return StructuredTool.from_function(delete_records, return_direct=True)


async def stream(agent: Any, mode: str) -> None:
    for _ in agent.stream(INPUT, stream_mode=mode):
        pass


async def astream(agent: Any, mode: str) -> None:
    async for _ in agent.astream(INPUT, stream_mode=mode):
        pass


async def invoke(agent: Any) -> None:
    agent.invoke(INPUT)


async def ainvoke(agent: Any) -> None:
    await agent.ainvoke(INPUT)


async def v2(agent: Any) -> None:
    async for _ in agent.astream_events(INPUT, version="v2"):
        pass


async def v3(agent: Any) -> None:
    for _ in agent.stream_events(INPUT, version="v3"):
        pass


async def av3(agent: Any) -> None:
    async for _ in await agent.astream_events(INPUT, version="v3"):
        pass


ROADS: dict[str, Callable[[Any], Any]] = {
    "invoke": invoke,
    "ainvoke": ainvoke,
    **{f"stream {mode}": partial(stream, mode=mode) for mode in MODES},
    **{f"astream {mode}": partial(astream, mode=mode) for mode in MODES},
    "v2": v2,
    "v3": v3,
    "async v3": av3,
}
roads = pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    bodies = {**NO_CALL, "good": GOOD, "contradicted late": CONTRADICTED_LATE}
    with ReplayServer([Recording(id=name, body=body(*each)) for name, each in bodies.items()]) as s:
        yield s


def agent_of(server: ReplayServer, name: str, records: Records) -> Any:
    return create_agent(chat(server, name), [records.tool])


@roads
async def test_runs_a_call_once(server: ReplayServer, road: Any) -> None:
    records = Records()
    await road(agent_of(server, "good", records))
    assert records.deleted == ["logs/tmp, False"]


@roads
@pytest.mark.parametrize("name", NO_CALL)
async def test_does_not_run_what_is_none(server: ReplayServer, name: str, road: Any) -> None:
    records = Records()
    await road(agent_of(server, name, records))
    assert records.deleted == []


@pytest.mark.parametrize("name", NO_CALL)
async def test_the_state_says_why(server: ReplayServer, name: str) -> None:
    agent = agent_of(server, name, Records())
    reasons = set()
    states = [agent.invoke(INPUT), await agent.ainvoke(INPUT)]
    # Under "messages" the agent's model streams, and the state has the sum of its chunks.
    *_, (_, summed) = agent.stream(INPUT, stream_mode=["messages", "values"])
    states.append(summed)
    run = await agent.astream_events(INPUT, version="v3")
    states.append(await run.output())
    for state in states:
        message = state["messages"][-1]
        assert isinstance(message, AIMessage)
        assert message.tool_calls == []
        (call,) = message.invalid_tool_calls
        assert call["id"] == "call_1"
        told = message.response_metadata.get("invalid_tool_calls", {})
        reasons.add(told.get("call_1") or call["error"])
    (reason,) = reasons
    assert reason


@roads
async def test_does_not_run_what_is_contradicted_behind_the_next_call(
    server: ReplayServer, road: Any
) -> None:
    records = Records()
    agent = agent_of(server, "contradicted late", records)
    if road in (v3, av3):
        # The call has finished by then, which cannot be taken back.
        with pytest.raises(ServerStreamError, match="went on with the call"):
            await road(agent)
    else:
        await road(agent)
    assert records.deleted == []


async def test_chat_openai_runs_the_cut_call(server: ReplayServer) -> None:
    """What is to be prevented: langchain-core's sum completes what `max_tokens` cut."""
    name = "cut in a later argument"
    records, beside = Records(), Records()
    await stream(agent_of(server, name, records), "messages")
    one_loop = {"Connection": "close"}  # langchain-openai's pool outlives this test's event loop
    llm = ChatOpenAI(base_url=server.base_url, api_key="none", model=name, default_headers=one_loop)
    await stream(create_agent(llm, [beside.tool]), "messages")
    assert records.deleted == []
    assert beside.deleted == ["logs/tmp, False"]


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_read_only_tool_is_done_before_the_model(version: Any) -> None:
    """The second call goes on when the tool of the first has run; the agent ends with its tools."""
    recording = next(one for one in bundled_recordings() if one.id == "tiny_2calls")
    first = nth_call(recording, 2)
    ran = threading.Event()

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", recording.content_type)
            self.end_headers()
            self.wfile.write(b"".join(recording.events[:first]))
            if ran.wait(PATIENCE):
                self.wfile.write(b"".join(recording.events[first:]))

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    async def add(a: int, b: int) -> tuple[str, int]:
        """Add two integers."""
        happened.append("tool")
        return str(a + b), a + b

    async def multiply(a: int, b: int) -> tuple[str, int]:
        """Multiply two integers."""
        happened.append("tool")
        ran.set()
        return str(a * b), a * b

    class Ends(BaseCallbackHandler):
        run_inline = True

        def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
            happened.append("model")

    happened: list[str] = []
    tools = [
        StructuredTool.from_function(
            coroutine=function, return_direct=True, response_format="content_and_artifact"
        )
        for function in (add, multiply)
    ]
    with serve(Server) as url:
        llm = ChatVLLM(base_url=url, model="tiny", max_retries=0)
        agent = create_agent(llm, tools, middleware=[EagerToolMiddleware(read_only=True)])
        run: Any = agent.astream_events(INPUT, {"callbacks": [Ends()]}, version=version)
        events = [event async for event in (await run if version == "v3" else run)]
    assert happened[0] == "tool"
    assert sorted(happened) == ["model", "tool", "tool"]
    if version == "v2":
        state = events[-1]["data"]["output"]
        messages = [m for m in state["messages"] if isinstance(m, ToolMessage)]
        assert [(m.content, m.artifact) for m in messages] == [("36", 36), ("60", 60)]
