"""Agents for the clients of front ends: real ones, whose model is a replayed vLLM."""

import base64
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelFallbackMiddleware,
    ToolRetryMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from langchain_toolstream import ChatVLLM, artifact_tool
from langchain_toolstream.testing import Recording
from tests.unit_tests.frontend.approval import MODES, gate
from tests.unit_tests.vllm.wire import body, chunk, part, usage

SECRET = "password is 1234"  # noqa: S105 - nobody's
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()

Turn = list[dict[str, Any]]


class Secretive(AgentState[Any]):
    """A state that holds what no front end is to see."""

    token: str


class Answer(BaseModel):
    """The answer."""

    text: str


async def add(a: int, b: int, runtime: ToolRuntime[None, Secretive]) -> str:
    """Add."""
    assert runtime.state["token"] == SECRET
    return str(a + b)


async def boom(a: int) -> str:
    """Fail."""
    raise ValueError(f"{SECRET}, {a}")


@artifact_tool
def count(to: int) -> Generator[str, None, str]:
    """Count."""
    for number in range(1, to + 1):
        yield f"{number} of {to}"
    return "counted"


@artifact_tool
def table() -> tuple[str, Any]:
    """Make a table."""
    return "A table.", pd.DataFrame({"city": ["Oslo", "Rome"], "degrees": [1.5, None]})


@artifact_tool
def image() -> tuple[str, dict[str, Any]]:
    """Draw."""
    extras = {"alt": "a dot"}
    return "A dot.", {"type": "image", "mime_type": "image/png", "base64": PNG, "extras": extras}


def call(name: str, args: Any, call_id: str, index: int = 0) -> Turn:
    written = args if isinstance(args, str) else json.dumps(args)
    middle = len(written) // 2
    return [
        chunk(part("", index=index, id=call_id, name=name)),
        chunk(part(written[:middle], index=index)),
        chunk(part(written[middle:], index=index)),
    ]


def calls(*made: tuple[str, Any]) -> Turn:
    pieces = [
        piece
        for index, (name, args) in enumerate(made)
        for piece in call(name, args, f"c{index + 1}", index)
    ]
    return [chunk(role="assistant", content=""), *pieces, chunk(finish_reason="tool_calls")]


DONE: Turn = [
    chunk(role="assistant", content=""),
    chunk(content="Do"),
    chunk(content="ne."),
    chunk(finish_reason="stop"),
    usage(3, 2),
]
THOUGHT: Turn = [DONE[0], chunk(reasoning="Hm. "), chunk(reasoning="So."), *DONE[1:]]
HALF: Turn = [DONE[0], chunk(content="Half "), *call("add", {"a": 1, "b": 2}, "c0")[:2]]


@dataclass(frozen=True)
class Case:
    """One conversation.

    Attributes:
        turns: What the model answers, turn by turn.
        tools: The agent's.
        options: Of `create_agent`, for each model of a name.
        cut: Whether the connection to the model drops in its first answer.
        answers: The decisions on what is asked, in order.
        reload: Whether the page is loaded again before that.
    """

    turns: list[Turn]
    tools: Sequence[Any] = (add,)
    options: Callable[[Callable[[str], ChatVLLM]], dict[str, Any]] = lambda _: {}
    cut: bool = False
    answers: list[dict[str, Any]] = field(default_factory=list)
    reload: bool = False


SUM = {"a": 1, "b": 2}
APPROVE = {"type": "approve"}
EDIT = {"type": "edit", "edited_action": {"name": "add", "args": {"a": 10, "b": 20}}}
REJECT = {"type": "reject", "message": "not now"}


def gated(_: Any) -> dict[str, Any]:
    return {"middleware": [gate("batched")]}


def asking(chat: Callable[[str], ChatVLLM]) -> dict[str, Any]:
    """An agent whose tool is an agent."""
    turns = TakingTurns(chat, "inner")
    inner = create_agent(
        chat("inner 0"), [add], name="inner", state_schema=Secretive, middleware=[turns]
    )

    async def ask(q: str) -> str:
        """Ask another agent."""
        given = {"messages": [HumanMessage(q)], "token": SECRET}
        return str((await inner.ainvoke(given))["messages"][-1].text)

    return {"tools": [ask]}


CASES = {
    "answer": Case([DONE]),
    "two parallel tools": Case([calls(("add", SUM), ("add", {"a": 3, "b": 4})), DONE]),
    "invalid call": Case([calls(("add", '{"a": 1, "b'))]),
    "unknown tool": Case([calls(("nope", SUM)), DONE]),
    "structured answer": Case(
        [calls(("Answer", {"text": "hi"}))],
        options=lambda _: {"response_format": ToolStrategy(Answer)},
    ),
    "subagent": Case([calls(("ask", {"q": "x"})), DONE], options=asking),
    "approval given": Case([calls(("add", SUM)), DONE], options=gated, answers=[APPROVE]),
    "refused": Case([calls(("add", SUM)), DONE], options=gated, answers=[REJECT]),
    "edited": Case([calls(("add", SUM)), DONE], options=gated, answers=[EDIT]),
    "asked for each call": Case(
        [calls(("add", SUM), ("add", {"a": 3, "b": 4})), DONE],
        options=lambda _: {"middleware": [gate(MODES[-1])]},
        answers=[APPROVE, REJECT],
    ),
    "tool error": Case(
        [calls(("boom", {"a": 1})), DONE],
        [boom],
        lambda _: {"middleware": [ToolRetryMiddleware(max_retries=0, on_failure="continue")]},
    ),
    "tool progress": Case([calls(("count", {"to": 2})), DONE], [count]),
    "artifact table": Case([calls(("table", {})), DONE], [table]),
    "image": Case([calls(("image", {})), DONE], [image]),
    "reasoning": Case([THOUGHT]),
    "run that breaks off": Case([HALF], cut=True),
    "fallback in mid-stream": Case(
        [HALF, DONE],
        options=lambda chat: {"middleware": [ModelFallbackMiddleware(chat("fallback 0"))]},
        cut=True,
    ),
    "resume after reload": Case(
        [calls(("add", SUM), ("add", {"a": 3, "b": 4})), DONE],
        options=gated,
        answers=[APPROVE, REJECT],
        reload=True,
    ),
}

OTHERS = {
    "inner 0": calls(("add", {"a": 5, "b": 6})),
    "inner 1": DONE,
    "fallback 0": calls(("add", SUM)),
}


def recordings() -> list[Recording]:
    """What the model's server replays: an answer for each turn of each case."""
    made = [Recording(id=name, body=body(*turn)) for name, turn in OTHERS.items()]
    for name, case in CASES.items():
        for number, turn in enumerate(case.turns):
            one = Recording(id=f"{name} {number}", body=body(*turn))
            made.append(one.cut(after_events=len(turn)) if case.cut and number == 0 else one)
    return made


class TakingTurns(AgentMiddleware[Any, Any, Any]):
    """Names the next recording as the model: an answer for each turn."""

    def __init__(self, chat: Callable[[str], ChatVLLM], name: str) -> None:
        super().__init__()
        self._chat, self._name = chat, name

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        turn = sum(isinstance(one, AIMessage) for one in request.messages)
        return await handler(request.override(model=self._chat(f"{self._name} {turn}")))


def make_agent(name: str, chat: Callable[[str], ChatVLLM]) -> Any:
    """The agent of a case, with a memory of its own."""
    case = CASES[name]
    options = {"tools": case.tools, "middleware": [], **case.options(chat)}
    options["middleware"] = [TakingTurns(chat, name), *options["middleware"]]
    return create_agent(
        chat(f"{name} 0"),
        state_schema=Secretive,
        # LangGraph writes a data frame only where it may pickle.
        checkpointer=InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=True)),
        **options,
    )
