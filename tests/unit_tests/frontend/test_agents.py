"""Agents in front of people: every call has one end, and what is asked can be answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypedDict

import pytest
from ag_ui.core import RunAgentInput, ToolCallResultEvent, ToolCallStartEvent
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ToolRetryMiddleware,
)
from langchain.agents.middleware.internal_call_transformer import internal_call_metadata
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field

from langchain_toolstream import (
    ResumeError,
    resume_command,
    to_ag_ui,
    to_ai_sdk,
    to_sse,
    tool_events,
)
from langchain_toolstream.core.events import (
    Interrupt,
    MessageError,
    MessageFinish,
    MessageStart,
    TextDelta,
    ToolAnswer,
    ToolEvent,
)
from tests.unit_tests.frontend.approval import MODES, REFUSED, gate
from tests.unit_tests.scripted import ScriptedChat, chunk, written

pytestmark = pytest.mark.filterwarnings(
    "ignore:The v3 streaming protocol:langchain_core._api.beta_decorator.LangChainBetaWarning"
)

Source = Literal["run", "v2", "v3"]
SOURCES: list[Source] = ["run", "v2", "v3"]


async def add(a: int, b: int = 0) -> str:
    """Add."""
    return str(a + b)


async def boom(a: int) -> str:
    """Fail."""
    msg = "password is 1234"
    raise ValueError(msg)


class Answer(BaseModel):
    """The answer."""

    text: str


class Turns(ScriptedChat):
    """Says one turn after the other."""

    turns: list[list[AIMessageChunk]]
    chunks: list[AIMessageChunk] = Field(default_factory=list)

    def _say(self) -> Any:
        for one in self.turns.pop(0):
            yield ChatGenerationChunk(message=one.model_copy(deep=True))


def calls(*made: tuple[str, str, dict[str, Any]]) -> list[AIMessageChunk]:
    pieces = [
        piece
        for index, (call_id, name, args) in enumerate(made)
        for piece in written(index, call_id, name, json.dumps(args))
    ]
    return [*pieces, chunk(finish_reason="tool_calls")]


FINAL = [chunk(content="Done."), chunk(finish_reason="stop")]
GO = {"messages": [HumanMessage("Go")]}


def model(*turns: list[AIMessageChunk]) -> Turns:
    return Turns(turns=[*turns])


def read(
    agent: Any, given: Any = GO, config: Any = None, *, source: Source = "run", **options: Any
) -> Any:
    if source == "run":
        return tool_events(agent, given, config, **options)
    return tool_events(agent.astream_events(given, config, version=source), **options)


async def all_of(stream: Any) -> list[Any]:
    return [one async for one in stream]


async def again(events: list[ToolEvent]) -> Any:
    for event in events:
        yield event


def chunks(body: list[bytes]) -> list[dict[str, Any]]:
    lines = b"".join(body).decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def ends(events: list[ToolEvent], **options: Any) -> dict[str, list[str]]:
    """The results of each call, as AG-UI's reader has them; the AI SDK's has as many."""
    results: dict[str, list[str]] = {}
    for event in await all_of(to_ag_ui(again(events), **options)):
        if isinstance(event, ToolCallStartEvent):
            results.setdefault(event.tool_call_id, [])
        if isinstance(event, ToolCallResultEvent):
            results.setdefault(event.tool_call_id, []).append(str(event.content))
    counted: Counter[str] = Counter()
    known = set()
    for said in chunks(await all_of(to_ai_sdk(again(events), client=6))):
        if said["type"].startswith(("tool-input-start", "tool-input-available")):
            known.add(said["toolCallId"])
        is_end = said["type"] in ("tool-input-error", "tool-output-error", "tool-output-denied")
        if is_end or (said["type"] == "tool-output-available" and not said.get("preliminary")):
            assert said["toolCallId"] in known
            counted[said["toolCallId"]] += 1
    assert all(len(results[one]) == count for one, count in counted.items())
    return results


def outer(*, known: bool) -> tuple[Any, dict[str, Any]]:
    """An agent whose tool is an agent."""
    inner = create_agent(model(calls(("in1", "add", {"a": 5})), FINAL), [add], name="inner")

    async def ask(q: str) -> str:
        """Ask another agent."""
        return str((await inner.ainvoke({"messages": [HumanMessage(q)]}))["messages"][-1].text)

    agent = create_agent(model(calls(("c1", "ask", {"q": "x"})), FINAL), [ask])
    return agent, {"tools": [ask]} if known else {}


def agent_of(*turns: list[AIMessageChunk], tools: Sequence[Any] = (add,), **options: Any) -> Any:
    return create_agent(model(*turns), [*tools], **options)


ENDS: dict[str, tuple[Callable[[], Any], dict[str, list[str]]]] = {
    "does not fit": (
        lambda: agent_of(calls(("c1", "add", {"a": "x"})), FINAL),
        {"c1": ["not"]},
    ),
    "no such tool": (
        lambda: agent_of(calls(("c1", "nope", {"a": 1})), FINAL),
        {"c1": ["nope is not a valid tool"]},
    ),
    "structured answer": (
        lambda: agent_of(
            calls(("c1", "add", {"a": 1})),
            calls(("c2", "Answer", {"text": "hi"})),
            response_format=ToolStrategy(Answer),
        ),
        {"c1": ["1"], "c2": ["hi"]},
    ),
    "two at once": (
        lambda: agent_of(calls(("c1", "add", {"a": 1}), ("c2", "add", {"a": 2})), FINAL),
        {"c1": ["1"], "c2": ["2"]},
    ),
    "tried again": (
        lambda: agent_of(
            calls(("c1", "boom", {"a": 1})),
            FINAL,
            tools=[boom],
            middleware=[
                ToolRetryMiddleware(
                    max_retries=2, initial_delay=0, jitter=False, on_failure="continue"
                )
            ],
        ),
        {"c1": ["Something went wrong."]},
    ),
}


class TestOneEnd:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("known", ["tools=", ""])
    @pytest.mark.parametrize("name", ENDS)
    async def test_has_every_call(self, name: str, known: str, source: Source) -> None:
        make, expected = ENDS[name]
        options = {"tools": [boom if name == "tried again" else add]} if known else {}
        events = await all_of(read(make(), source=source, **options))
        results = await ends(events)
        assert list(results) == list(expected)
        for call_id, (told,) in expected.items():
            (said,) = results[call_id]
            if name == "does not fit" and not known:
                said = "not told"  # the tool's own words stay here
            assert told in said

    @pytest.mark.parametrize("known", ["tools=", ""])
    async def test_has_a_call_inside_a_tool(self, known: str) -> None:
        agent, options = outer(known=bool(known))
        results = await all_of(to_ag_ui(read(agent, **options)))
        said = [(e.tool_call_id, e.content) for e in results if isinstance(e, ToolCallResultEvent)]
        assert said == [("in1", "5"), ("c1", "Done.")]


class Breaks(Turns):
    """Breaks off behind what it says."""

    def _say(self) -> Any:
        yield from super()._say()
        msg = "password is 1234"
        raise ConnectionError(msg)


class TestFallback:
    @pytest.mark.parametrize("source", SOURCES)
    async def test_leaves_nothing_open(self, source: Source) -> None:
        half = [chunk(content="Half "), *written(0, "c0", "add", '{"a": 1')]
        other = model(calls(("c1", "add", {"a": 2})), FINAL)
        broken = Breaks(turns=[half, half])
        agent = create_agent(broken, [add], middleware=[ModelFallbackMiddleware(other)])
        events = await all_of(read(agent, source=source))
        ids = list(dict.fromkeys(one.run_id for one in events if one.type == "message-start"))
        assert len(ids) == 4  # each of two turns is begun by the model that breaks off
        ended = [one.run_id for one in events if one.type in ("message-finish", "message-error")]
        assert sorted(ended) == sorted(ids)
        kinds = [(one.type, ids.index(one.run_id)) for one in events if one.run_id in ids]
        ends = kinds.index(("message-error", 0))
        begins = [kinds.index(("message-start", 1)), kinds.index(("message-start", 2))]
        assert ends < begins[0] if source == "run" else ends < begins[1]
        assert "1234" not in b"".join(await all_of(to_ai_sdk(again(events)))).decode()

    async def test_is_taken_back_where_the_client_can(self) -> None:
        half = [chunk(content="Half "), *written(0, "c0", "add", '{"a": 1')]
        agent = create_agent(
            Breaks(turns=[half]), [add], middleware=[ModelFallbackMiddleware(model(FINAL))]
        )
        events = await all_of(read(agent))
        for client, steps in ((6, ["start-step", "start-step"]), (7, ["start-step", "reset-step"])):
            said = chunks(await all_of(to_ai_sdk(again(events), client=client)))
            types = [one["type"] for one in said]
            assert [one for one in types if one in ("start-step", "reset-step")] == steps
            assert types.count("text-start") == types.count("text-end") == 2
            assert types.count("tool-input-error") == 1

    async def test_keeps_what_another_model_says_at_the_same_time(self) -> None:
        """A step in which a message ended well is never taken back."""
        events: list[ToolEvent] = [
            MessageStart(run_id="a"),
            MessageStart(run_id="b"),
            TextDelta(run_id="b", text="Good."),
            MessageFinish(run_id="b", finish_reason="stop"),
            MessageError(run_id="a", error="gone"),
            MessageStart(run_id="c"),
        ]
        said = chunks(await all_of(to_ai_sdk(again(events), client=7)))
        assert "reset-step" not in [one["type"] for one in said]


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


class TestInternalModels:
    @pytest.mark.parametrize("source", SOURCES)
    async def test_of_middleware_are_not_shown(self, source: Source) -> None:
        class Judging(AgentMiddleware):
            def __init__(self) -> None:
                self._judge = model([chunk(content="it is safe"), chunk(finish_reason="stop")])

            async def abefore_model(self, state: Any, runtime: Any) -> None:
                await self._judge.ainvoke("safe?", {"metadata": internal_call_metadata()})

        def agent() -> Any:
            return agent_of(FINAL, middleware=[Judging()])

        events = await all_of(read(agent(), source=source))
        assert [one.text for one in events if isinstance(one, TextDelta)] == ["Done."]
        assert len([one for one in events if one.type == "message-start"]) == 1
        events = await all_of(read(agent(), source=source, show_internal=True))
        texts = [one.text for one in events if isinstance(one, TextDelta)]
        assert texts == ["it is safe", "Done."]

    @pytest.mark.parametrize("source", SOURCES)
    async def test_with_langgraphs_tag_are_not_shown(self, source: Source) -> None:
        def graph() -> Any:
            router = model([chunk(content="to the left"), chunk(finish_reason="stop")])
            answering = model(FINAL)

            async def node(state: State) -> Any:
                await router.with_config(tags=["nostream"]).ainvoke("which?")
                return {"messages": [await answering.ainvoke(state["messages"])]}

            made = StateGraph(State)
            made.add_node("node", node)
            made.add_edge(START, "node")
            made.add_edge("node", END)
            return made.compile()

        events = await all_of(read(graph(), source=source))
        assert [one.text for one in events if isinstance(one, TextDelta)] == ["Done."]
        if source != "v3":  # LangGraph itself leaves them out there
            events = await all_of(read(graph(), source=source, show_internal=True))
            texts = [one.text for one in events if isinstance(one, TextDelta)]
            assert texts == ["to the left", "Done."]


TWO = calls(("c1", "add", {"a": 1, "b": 2}), ("c2", "add", {"a": 3, "b": 4}))


def asking(mode: str, *turns: list[AIMessageChunk]) -> Any:
    return agent_of(*turns, middleware=[gate(mode)], checkpointer=InMemorySaver())


CONFIG: Any = {"configurable": {"thread_id": "t"}}


@pytest.mark.parametrize("mode", MODES)
class TestApproval:
    @pytest.mark.parametrize("source", SOURCES)
    async def test_is_asked_for_each_call(self, mode: str, source: Source) -> None:
        events = await all_of(read(asking(mode, TWO, FINAL), GO, CONFIG, source=source))
        asked = [one for one in events if isinstance(one, Interrupt)]
        assert [(one.call_id, one.name, one.args) for one in asked] == [
            ("c1", "add", {"a": 1, "b": 2}),
            ("c2", "add", {"a": 3, "b": 4}),
        ]
        assert all(one.id == f"{one.interrupt_id}:{one.call_id}" for one in asked)
        assert all({"approve", "edit", "reject"} <= set(one.allowed) for one in asked)
        starts = [one for one in events if one.type == "tool-call-start"]
        assert [one.run_id for one in asked] == [one.run_id for one in starts]

    async def test_is_asked_in_each_protocol(self, mode: str) -> None:
        events = await all_of(read(asking(mode, TWO, FINAL), GO, CONFIG))
        ids = [one.id for one in events if isinstance(one, Interrupt)]
        outcome = (await all_of(to_ag_ui(again(events))))[-1].outcome
        assert outcome.type == "interrupt"
        assert [(one.id, one.tool_call_id) for one in outcome.interrupts] == [
            (ids[0], "c1"),
            (ids[1], "c2"),
        ]
        for client in (5, 6, 7):
            said = chunks(await all_of(to_ai_sdk(again(events), client=client)))
            if client == 5:
                parts = [one for one in said if one["type"] == "data-approval"]
                assert [(one["id"], one["data"]["toolCallId"]) for one in parts] == [
                    (ids[0], "c1"),
                    (ids[1], "c2"),
                ]
            else:
                asked = [one for one in said if one["type"] == "tool-approval-request"]
                assert [(one["approvalId"], one["toolCallId"]) for one in asked] == [
                    (ids[0], "c1"),
                    (ids[1], "c2"),
                ]
            assert said[-1]["finishReason"] == "tool-calls"

    @pytest.mark.parametrize("protocol", ["ag-ui", "ai-sdk", "plain"])
    @pytest.mark.parametrize("source", SOURCES)
    async def test_goes_on_with_an_end_for_every_call(
        self, mode: str, protocol: str, source: Source
    ) -> None:
        agent = asking(mode, TWO, FINAL)
        events = await all_of(read(agent, GO, CONFIG))
        first, second = (one.id for one in events if isinstance(one, Interrupt))
        edit = {"type": "edit", "edited_action": {"name": "add", "args": {"a": 10, "b": 20}}}
        posted: Any
        if protocol == "ag-ui":
            posted = RunAgentInput.model_validate(
                {
                    "threadId": "t",
                    "runId": "r",
                    "messages": [],
                    "resume": [
                        {"interruptId": first, "status": "resolved", "payload": edit},
                        {
                            "interruptId": second,
                            "status": "resolved",
                            "payload": {"type": "reject", "message": "not now"},
                        },
                    ],
                }
            )
        elif protocol == "ai-sdk":
            states = [
                (first, {"approved": True}),
                (second, {"approved": False, "reason": "not now"}),
            ]
            parts = [
                {"type": "tool-add", "state": "approval-responded", "approval": {"id": one, **said}}
                for one, said in states
            ]
            posted = {
                "messages": [{"role": "assistant", "parts": parts}],
                "decisions": {first: edit},
            }
        else:
            posted = {first: edit, second: {"type": "reject", "message": "not now"}}
        state = await agent.aget_state(CONFIG)
        command = resume_command(state, posted, tools=[add])
        resumed = await all_of(read(agent, command, CONFIG, source=source))
        results = await ends(resumed)
        assert {one: len(said) for one, said in results.items()} == {"c1": 1, "c2": 1}
        assert "30" in results["c1"][0]
        assert "not now" in results["c2"][0]
        said = chunks(await all_of(to_ai_sdk(again(resumed), client=6)))
        assert f"tool-{REFUSED}" in [one["type"] for one in said if one.get("toolCallId") == "c2"]
        assert [one.text for one in resumed if isinstance(one, TextDelta)] == ["Done."]
        with pytest.raises(ResumeError, match="Nothing is asked"):
            resume_command(await agent.aget_state(CONFIG), posted)

    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            ({}, "No answer to the question"),
            ({"unknown": {"type": "approve"}}, "No open question has the id 'unknown'"),
            ({"0": {"type": "approve"}}, "No answer to the question"),
            ({"0": {"type": "approve"}, "1": {"type": "burn"}}, "may be answered by"),
            ({"0": {"type": "approve"}, "1": None}, "may be answered by"),
            ({"0": {"type": "approve"}, "1": {"type": "edit"}}, "needs an edited_action"),
            (
                {
                    "0": {"type": "approve"},
                    "1": {"type": "edit", "edited_action": {"name": "boom", "args": {"a": 1}}},
                },
                "not name another tool",
            ),
            (
                {
                    "0": {"type": "approve"},
                    "1": {"type": "edit", "edited_action": {"name": "add", "args": {"a": "x"}}},
                },
                "do not fit",
            ),
            (
                {"0": {"type": "approve"}, "1": {"type": "reject", "message": "x" * 10_000_000}},
                "at most",
            ),
            ({"0": {"type": "approve"}, "1": {"type": "reject", "message": [1]}}, "at most"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_is_checked(self, mode: str, answers: dict[str, Any], told: str) -> None:
        agent = asking(mode, TWO, FINAL)
        events = await all_of(read(agent, GO, CONFIG))
        ids = [one.id for one in events if isinstance(one, Interrupt)]
        posted = {ids[int(key)] if key.isdigit() else key: one for key, one in answers.items()}
        state = await agent.aget_state(CONFIG)
        with pytest.raises(ResumeError, match=told) as error:
            resume_command(state, posted, tools=[add])
        assert len(str(error.value)) < 1000
        assert (await agent.aget_state(CONFIG)).interrupts == state.interrupts

    async def test_is_not_given_twice(self, mode: str) -> None:
        agent = asking(mode, TWO, FINAL)
        events = await all_of(read(agent, GO, CONFIG))
        first, second = (one.id for one in events if isinstance(one, Interrupt))
        entry = {"status": "resolved", "payload": {"type": "approve"}}
        twice = [{"interruptId": one, **entry} for one in (first, second, first)]
        with pytest.raises(ResumeError, match="answered twice"):
            resume_command(await agent.aget_state(CONFIG), {"resume": twice})


class TestPlainInterrupt:
    def graph(self) -> Any:
        async def node(state: State) -> Any:
            return {"messages": [AIMessage(f"You are {interrupt('Who are you?')}.")]}

        made = StateGraph(State)
        made.add_node("node", node)
        made.add_edge(START, "node")
        made.add_edge("node", END)
        return made.compile(checkpointer=InMemorySaver())

    @pytest.mark.parametrize("source", SOURCES)
    async def test_takes_any_value(self, source: Source) -> None:
        graph = self.graph()
        events = await all_of(read(graph, GO, CONFIG, source=source))
        (asked,) = (one for one in events if isinstance(one, Interrupt))
        assert (asked.call_id, asked.message, asked.value) == (None, "Who are you?", "Who are you?")
        assert any(
            one["type"] == "data-interrupt"
            for one in chunks(await all_of(to_ai_sdk(again(events))))
        )
        command = resume_command(await graph.aget_state(CONFIG), {asked.id: "Ada"})
        assert command == Command(resume={asked.interrupt_id: "Ada"})
        done = await graph.ainvoke(command, CONFIG)
        assert done["messages"][-1].text == "You are Ada."

    async def test_needs_one(self) -> None:
        graph = self.graph()
        events = await all_of(read(graph, GO, CONFIG))
        (asked,) = (one for one in events if isinstance(one, Interrupt))
        gone = {"resume": [{"interruptId": asked.id, "status": "cancelled"}]}
        with pytest.raises(ResumeError, match="needs a value"):
            resume_command(await graph.aget_state(CONFIG), gone)


async def test_answers_and_questions_reach_a_page_as_events() -> None:
    events: list[ToolEvent] = [
        ToolAnswer(id="c1", name="add", content="no", status="denied", args={"a": 1}),
        Interrupt(
            id="i",
            interrupt_id="i",
            call_id=None,
            name="",
            args={},
            message="?",
            allowed=(),
            value=1,
        ),
    ]
    body = b"".join(await all_of(to_sse(again(events)))).decode()
    assert "event: tool-answer" in body
    assert "event: interrupt" in body


def test_two_runs_at_once_do_not_meet() -> None:
    async def run() -> None:
        staying = read(agent_of(calls(("c1", "add", {"a": 1})), FINAL))
        leaving = read(agent_of(calls(("c1", "add", {"a": 2})), FINAL))
        await anext(leaving)
        tasks = asyncio.all_tasks()
        reading = asyncio.create_task(all_of(staying))
        await leaving.aclose()
        assert await ends(await reading) == {"c1": ["1"]}
        assert asyncio.all_tasks() <= tasks

    asyncio.run(run())
