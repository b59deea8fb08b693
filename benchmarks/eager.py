"""When tools start and end, beside what else runs tools: the same scripted streams for all.

Times here are wall times: the model and the tools only wait. All seconds are scaled.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from eager_tools_langgraph import eager_middleware
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolRuntime, tools_condition
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import ToolAnnotations
from pydantic import SkipValidation

from benchmarks.report import Report
from langchain_toolstream import ToolSet, ToolStreamParser
from langchain_toolstream.agents import EagerToolMiddleware

SCALE = 0.2
"""Below, running an agent's graph (some 10 ms at each end) would count for more than 5%."""
SCALE_OF_MANY = 0.5
"""For sixteen calls it takes more: LangGraph runs each in a task of the graph's."""
TOLERANCE = 1.05
STRICTLY = 0.99

_HEAD = 0.3
"""Of the time that a call takes, how much goes by until its name has been written: the tags around
it and the name are some ten tokens of thirty."""

LOOP, TOOL_NODE, EAGER_TOOLS = "loop", "ToolNode", "eager-tools-langgraph"
TOOL_MAP, MIDDLEWARE = "ToolSet.map()", "EagerToolMiddleware"
WITH_RUNTIME, OF_MCP, NODE = "with ToolRuntime", "of MCP", "ToolSet.node()"
OURS = (TOOL_MAP, MIDDLEWARE)
EARLY_TOO = (WITH_RUNTIME, OF_MCP, NODE)
AFTER_THE_STREAM = (LOOP, TOOL_NODE)


@dataclass(frozen=True)
class Shape:
    """A message and its tools. Behind the last call come the tokens that end it, or text."""

    name: str
    seconds: Sequence[float]  # that each call's tool takes
    written: float  # seconds in which the calls are written, evenly
    end: float  # when the message ends
    lock: bool = False  # whether one tool has to wait for the other
    last_or_only_is_slow: bool = False
    scale: float = SCALE  # what a second takes

    @property
    def closes(self) -> list[float]:
        return [self.written * (i + 1) / len(self.seconds) for i in range(len(self.seconds))]

    @property
    def ideal(self) -> float:
        """The longer of the stream and the critical path."""
        free, ends = 0.0, [self.end]
        for close, seconds in zip(self.closes, self.seconds, strict=True):
            free = (max(free, close) if self.lock else close) + seconds
            ends.append(free)
        return max(ends)


SHAPES = (
    Shape("4 calls of 1 s over 4 s", (1,) * 4, written=3.8, end=4),
    Shape("the same, one lock", (1,) * 4, written=3.8, end=4, lock=True),
    Shape("first slow", (4, 0.2, 0.2, 0.2), written=3.8, end=4),
    Shape("last slow", (0.2, 0.2, 0.2, 4), written=3.8, end=4, last_or_only_is_slow=True),
    Shape("1 call, then 2 s of text", (2,), written=1, end=3, last_or_only_is_slow=True),
    Shape("16 small calls", (0.05,) * 16, written=3.8, end=4, scale=SCALE_OF_MANY),
)


@dataclass
class Run:
    """One contestant on one shape: what happened when, in seconds of the shape."""

    shape: Shape
    began: float = field(default_factory=perf_counter)
    started: dict[int, float] = field(default_factory=dict)
    returned: dict[int, float] = field(default_factory=dict)
    complete: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def now(self) -> float:
        return (perf_counter() - self.began) / self.shape.scale

    async def until(self, moment: float) -> None:
        await asyncio.sleep((moment - self.now()) * self.shape.scale)

    async def work(self, number: int) -> str:
        """Wait as long as this call takes."""
        async with self.lock if self.shape.lock else nullcontext():
            self.started[number] = self.now()
            await asyncio.sleep(self.shape.seconds[number] * self.shape.scale)
            self.returned[number] = self.now()
        return str(number)

    def answered(self, messages: Sequence[BaseMessage]) -> None:
        """Note that the model could go on."""
        answers = [m.text for m in messages if isinstance(m, ToolMessage)]
        assert sorted(map(str, answers)) == sorted(map(str, range(len(self.shape.seconds))))
        self.complete = self.now()


class Model(BaseChatModel):
    """Writes the message of a shape; asked again, it is done."""

    run: SkipValidation[Run]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        del tools
        return self.bind(**kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del stop, run_manager, kwargs
        if isinstance(messages[-1], ToolMessage):
            self.run.answered(messages)
            yield _chunk(content="Done.", response_metadata={"finish_reason": "stop"})
            return
        shape, before = self.run.shape, 0.0
        for number, close in enumerate(shape.closes):
            pieces = ["", '{"num', 'ber": ', f"{number}", "}"]
            head = before + _HEAD * (close - before)
            for i, piece in enumerate(pieces):
                await self.run.until(head + (close - head) * i / (len(pieces) - 1))
                name, call_id = (None, None) if i else ("work", f"call_{number}")
                part = tool_call_chunk(name=name, args=piece, id=call_id, index=number)
                yield _chunk(content="", tool_call_chunks=[part])
            before = close
        while before + 0.1 < shape.end:
            before += 0.1
            await self.run.until(before)
            yield _chunk(content="so ")
        await self.run.until(shape.end)
        yield _chunk(content="", response_metadata={"finish_reason": "tool_calls"})

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


# The contestants. Each runs one message and its tools, until the model could go on.


async def loop_after_the_stream(run: Run) -> None:
    tool, message = _tool(run), None
    async for chunk in Model(run=run).bind_tools([tool]).astream("Go on."):
        message = chunk if message is None else message + chunk
    assert isinstance(message, AIMessage)
    run.answered([await tool.ainvoke(call) for call in message.tool_calls])


async def tool_map(run: Run) -> None:
    tools = ToolSet([_tool(run)], read_only=True)
    chain = Model(run=run).bind_tools(tools) | ToolStreamParser(tools) | tools.map()
    run.answered([m async for messages in chain.astream("Go on.") for m in messages])


async def agent(run: Run, *middleware: Any, tool: BaseTool | None = None) -> None:
    made = create_agent(Model(run=run), [tool or _tool(run)], middleware=middleware)
    await made.ainvoke({"messages": [("user", "Go on.")]})


async def eager_tools(run: Run) -> None:
    class Work:
        name = "work"
        idempotent = True

        async def __call__(self, args: dict[str, Any]) -> str:
            return await run.work(**args)

    await agent(run, eager_middleware({"work": Work()}))


async def our_middleware(run: Run) -> None:
    await agent(run, EagerToolMiddleware(read_only=True))


async def with_runtime(run: Run) -> None:
    async def work(number: int, runtime: ToolRuntime) -> str:
        """Wait as long as this call takes."""
        del runtime
        return await run.work(number)

    tool = StructuredTool.from_function(coroutine=work)
    await agent(run, EagerToolMiddleware(read_only=True), tool=tool)


async def of_mcp(run: Run) -> None:
    server = FastMCP("bench", log_level="ERROR")
    server.tool(annotations=ToolAnnotations(readOnlyHint=True))(run.work)
    async with create_connected_server_and_client_session(
        server._mcp_server  # noqa: SLF001 - what the session is made of
    ) as session:
        (tool,) = await load_mcp_tools(session)
        run.began = perf_counter()  # connecting is not what is measured
        await agent(run, EagerToolMiddleware(trust_annotations=True), tool=tool)


async def node(run: Run) -> None:
    tools = ToolSet([_tool(run)], read_only=True)
    tools_node, llm = tools.node(), Model(run=run)

    async def ask_model(state: MessagesState) -> Any:
        with tools_node.eager(state):
            return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", ask_model)
    graph.add_node("tools", tools_node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    await graph.compile().ainvoke({"messages": [HumanMessage("Go on.")]})


CONTESTANTS: dict[str, Callable[[Run], Awaitable[None]]] = {
    LOOP: loop_after_the_stream,
    TOOL_NODE: agent,
    EAGER_TOOLS: eager_tools,
    TOOL_MAP: tool_map,
    MIDDLEWARE: our_middleware,
    WITH_RUNTIME: with_runtime,
    OF_MCP: of_mcp,
    NODE: node,
}


def _tool(run: Run) -> StructuredTool:
    return StructuredTool.from_function(coroutine=run.work, name="work")


def eager(report: Report, *, rounds: int) -> None:
    """Time them all, and hold ours to what is promised."""
    scales = f"1 s takes {SCALE:g} s, for many calls {SCALE_OF_MANY:g} s"
    report.title(f"5. When tools run, in seconds; {scales}; best of {rounds}")
    measured = {shape.name: asyncio.run(_best(shape, rounds)) for shape in SHAPES}
    report.table(
        ["all answered (first result)", "ideal", *CONTESTANTS],
        [
            [
                shape.name,
                f"{shape.ideal:.2f}",
                *(
                    f"{run.complete:.2f} ({min(run.returned.values()):.2f})"
                    for run in measured[shape.name].values()
                ),
            ]
            for shape in SHAPES
        ],
    )
    report.note("ideal: the longer of the stream and the critical path. First result: when the")
    report.note("first tool returned. A loop runs one tool after the other; an agent's stock")
    report.note("ToolNode runs all at once when the message has ended. EagerToolMiddleware too:")
    report.note("a tool that takes a ToolRuntime, and one of an MCP server.")
    print()
    for shape in SHAPES:
        runs = measured[shape.name]
        report.keep("eager", shape.name, {name: 1e6 * run.complete for name, run in runs.items()})
        _require(report, shape, runs)


async def _best(shape: Shape, rounds: int) -> dict[str, Run]:
    """The fastest of some runs of each, in turns: what is slower had to wait for the machine."""
    best: dict[str, Run] = {}
    for _ in range(rounds):
        for name, contestant in CONTESTANTS.items():
            run = Run(shape)
            await contestant(run)
            if name not in best or run.complete < best[name].complete:
                best[name] = run
    return best


def _require(report: Report, shape: Shape, runs: dict[str, Run]) -> None:
    first = {name: min(run.returned.values()) for name, run in runs.items()}
    after = min(first[other] for other in AFTER_THE_STREAM)
    for name in (*OURS, *EARLY_TOO):
        ours = f"{shape.name}: {name}"
        times = first[name] / after
        report.require(f"{ours}, first result, to those after", times, at_most=STRICTLY)
    for name in OURS:
        others = [run.complete for other, run in runs.items() if other not in (*OURS, *EARLY_TOO)]
        ours = f"{shape.name}: {name}"
        complete = runs[name].complete
        report.require(f"{ours}, to the best other", complete / min(others), at_most=TOLERANCE)
        report.require(f"{ours}, to the ideal", complete / shape.ideal, at_most=TOLERANCE)
        if shape.last_or_only_is_slow:
            times = complete / runs[EAGER_TOOLS].complete
            report.require(f"{ours}, to {EAGER_TOOLS}", times, at_most=STRICTLY)
            times = first[name] / first[EAGER_TOOLS]
            report.require(f"{ours}, first result, to {EAGER_TOOLS}", times, at_most=STRICTLY)
        if len(shape.closes) == 1:
            times = runs[name].started[0] / shape.closes[0]
            report.require(f"{ours}, start to close of the call", times, at_most=TOLERANCE)
