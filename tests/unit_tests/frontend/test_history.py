"""What a browser posts becomes LangChain's messages, and those become what it shows again."""

import json
from typing import Any

import pytest
from ag_ui.core import RunAgentInput
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langgraph.checkpoint.memory import InMemorySaver

from langchain_toolstream import (
    HistoryError,
    ag_ui_messages,
    ai_sdk_messages,
    read_history,
    resume_command,
)
from tests.unit_tests.frontend.approval import MODES, REFUSED, gate
from tests.unit_tests.frontend.test_agents import CONFIG, FINAL, GO, TWO, add, model

IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
LINK = {"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    """What an agent and its user may have said, each call answered but perhaps the last ones."""
    said: list[BaseMessage] = []
    count = 0
    if draw(st.booleans()):
        said.append(SystemMessage(draw(texts), id="system"))
    for turn in range(draw(st.integers(1, 3))):
        content: Any = draw(texts)
        if draw(st.booleans()):
            content = [{"type": "text", "text": content}, draw(st.sampled_from([IMAGE, LINK]))]
        said.append(HumanMessage(content, id=f"human-{turn}"))
        for step in range(draw(st.integers(0, 2))):
            good, bad, results = [], [], []
            for _ in range(draw(st.integers(0, 2))):
                count += 1
                args = draw(st.dictionaries(texts, jsons, max_size=3))
                good.append(tool_call(name="add", args=args, id=f"call_{count}"))
                failed = draw(st.booleans())
                result = ToolMessage(
                    draw(texts),
                    tool_call_id=f"call_{count}",
                    status="error" if failed else "success",
                    artifact=None if failed else draw(jsons),
                )
                results.append(result)
            answer: Any = draw(texts)
            if draw(st.booleans()):
                thought = {"type": "reasoning", "reasoning": draw(texts)}
                answer = [thought, {"type": "text", "text": answer}]
            name = f"ai-{turn}" if step == 0 else f"ai-{turn}:{step}"
            said.append(AIMessage(answer, tool_calls=good, invalid_tool_calls=bad, id=name))
            said += results
    return said


def shape(messages: list[BaseMessage], *, artifacts: bool) -> list[Any]:
    return [
        (
            one.type,
            one.text,
            [
                block
                for block in one.content_blocks
                if block["type"] in ("reasoning", "image", "file")
            ],
            getattr(one, "tool_calls", None),
            [
                (bad["id"], bad["name"], bad["args"])
                for bad in getattr(one, "invalid_tool_calls", ())
            ],
            getattr(one, "tool_call_id", None),
            getattr(one, "status", None),
            getattr(one, "artifact", None) if artifacts else None,
        )
        for one in messages
    ]


class TestRoundTrip:
    @settings(max_examples=60)
    @given(conversations())
    def test_through_the_ai_sdk(self, said: list[BaseMessage]) -> None:
        shown = json.loads(json.dumps(ai_sdk_messages(said, show_errors=True)))
        assert shape(read_history({"messages": shown}), artifacts=True) == shape(
            said, artifacts=True
        )
        assert len({one["id"] for one in shown}) == len(shown)

    @settings(max_examples=60)
    @given(conversations())
    def test_through_ag_ui(self, said: list[BaseMessage]) -> None:
        posted = RunAgentInput.model_validate(
            {
                "threadId": "t",
                "runId": "r",
                "messages": ag_ui_messages(said, show_errors=True),
            }
        )
        assert shape(read_history(posted), artifacts=False) == shape(said, artifacts=False)

    def test_of_an_invalid_call(self) -> None:
        bad = invalid_tool_call(name="add", args='{"a', id="c1", error="cut off")
        said: list[BaseMessage] = [HumanMessage("Go"), AIMessage("", invalid_tool_calls=[bad])]
        for shown in (ai_sdk_messages(said), ag_ui_messages(said)):
            (call,) = read_history(shown)[1].invalid_tool_calls  # type: ignore[attr-defined]
            assert (call["name"], call["args"], call["id"]) == ("add", '{"a', "c1")

    def test_says_no_more_than_the_stream(self) -> None:
        made = tool_call(name="add", args={}, id="c1")
        said: list[BaseMessage] = [
            AIMessage("", tool_calls=[made]),
            ToolMessage("password is 1234", tool_call_id="c1", status="error"),
        ]
        assert "1234" not in str(ai_sdk_messages(said))
        assert "1234" not in str(ag_ui_messages(said))


@pytest.mark.parametrize("mode", MODES)
async def test_an_open_question_outlives_a_reload(mode: str) -> None:
    asking = gate(mode)
    agent = create_agent(
        model(TWO, FINAL), [add], middleware=[asking], checkpointer=InMemorySaver()
    )
    await agent.ainvoke(GO, CONFIG)
    state = await agent.aget_state(CONFIG)
    messages = state.values["messages"]
    old = ai_sdk_messages(messages, interrupts=state.interrupts)
    asked = [part for part in old[-1]["parts"] if part["type"] == "data-approval"]
    assert [part["data"]["toolCallId"] for part in asked] == ["c1", "c2"]
    shown = ai_sdk_messages(messages, interrupts=state.interrupts, client=6)
    parts = [part for part in shown[-1]["parts"] if part["type"] == "tool-add"]
    assert [part["state"] for part in parts] == ["approval-requested"] * 2
    assert [part["approval"]["id"] for part in parts] == [part["id"] for part in asked]
    for part, approved in zip(parts, (True, False), strict=True):
        part["state"] = "approval-responded"
        part["approval"] |= {"approved": approved}
    assert [one.type for one in read_history(shown)] == ["human", "ai"]  # the graph answers
    command = resume_command(state, {"messages": shown}, tools=[add])
    done = await agent.ainvoke(command, CONFIG)
    assert done["messages"][-1].text == "Done."
    parts = ai_sdk_messages(done["messages"], client=6)[-1]["parts"]
    states = {part["toolCallId"]: part["state"] for part in parts if "toolCallId" in part}
    assert states == {"c1": "output-available", "c2": REFUSED}


def part(**said: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "parts": [said]}]}


def ui_call(call_id: Any, **said: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": call_id, "state": "input-available", **said}


@pytest.mark.parametrize(
    ("posted", "told"),
    [
        (None, "list of messages"),
        ({"messages": [1]}, "not an object"),
        ({"messages": [{"role": "root", "content": "x"}]}, "unknown role 'root'"),
        ({"messages": [{"role": "user", "content": "x" * 10_000_000}]}, "at most"),
        ({"messages": [{"role": "user", "parts": "x"}]}, None),
        ({"messages": [{"role": "user", "parts": [1]}]}, "list of objects"),
        ({"messages": [{"role": "tool", "toolCallId": "c1", "content": "x"}]}, "to no call"),
        (
            {"messages": [{"role": "assistant", "parts": [ui_call("c1"), ui_call("c1")]}]},
            "one that another has: 'c1'",
        ),
        (part(type="tool-add", state="input-available", input={}), "has no id"),
        (part(type="file", url="javascript:alert(1)", mediaType="text/html"), "http"),
        (part(type="file", url="data:text/html;base64,<b>", mediaType="text/html"), "base64"),
        ({"messages": [{"role": "assistant", "content": "", "toolCalls": [{}]}]}, "has no id"),
    ],
    ids=range(12),
)
def test_what_was_tampered_with_is_an_error(posted: Any, told: str | None) -> None:
    if told is None:
        assert read_history(posted)[0].text == "x"
        return
    with pytest.raises(HistoryError, match=told) as error:
        read_history(posted)
    assert len(str(error.value)) < 500


def test_half_a_call_and_what_is_for_the_page_are_left_out() -> None:
    parts = [
        {"type": "step-start"},
        {"type": "data-approval", "id": "i", "data": {}},
        {"type": "source-url", "sourceId": "s", "url": "https://example.com"},
        {"type": "tool-add", "toolCallId": "c1", "state": "input-streaming", "input": {"a": 1}},
        {"type": "text", "text": "<script>alert(1)</script>\ud83d"},
    ]
    (message,) = read_history([{"role": "assistant", "id": "m", "parts": parts}])
    assert message.text == "<script>alert(1)</script>\ufffd"
    assert message.tool_calls == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", MODES)
async def test_a_new_message_gives_up_the_calls_that_wait(mode: str) -> None:
    agent = create_agent(
        model(TWO, FINAL), [add], middleware=[gate(mode)], checkpointer=InMemorySaver()
    )
    await agent.ainvoke(GO, CONFIG)
    await agent.ainvoke({"messages": [HumanMessage("Never mind.")]}, CONFIG)
    state = await agent.aget_state(CONFIG)
    assert not state.interrupts  # LangGraph asks no more
    shown = ai_sdk_messages(state.values["messages"], interrupts=state.interrupts, client=6)
    parts = [part for part in shown[1]["parts"] if "toolCallId" in part]
    assert [(part["state"], part["errorText"]) for part in parts] == [
        ("output-error", "The call was not answered.")
    ] * 2
    told = ag_ui_messages(state.values["messages"])
    ends = [(one["toolCallId"], one["error"]) for one in told if one["role"] == "tool"]
    assert ends == [(call_id, "The call was not answered.") for call_id in ("c1", "c2")]
    for posted in (shown, told):  # and a provider gets a result for each
        read = read_history(posted)
        assert [one.type for one in read[:5]] == ["human", "ai", "tool", "tool", "human"]


def test_a_post_gives_up_the_calls_that_wait() -> None:
    waiting = {"type": "tool-add", "toolCallId": "c1", "input": {}, "approval": {"id": "i"}}
    posted = [
        {"role": "assistant", "parts": [{**waiting, "state": "approval-requested"}]},
        {"role": "user", "parts": [{"type": "text", "text": "Never mind."}]},
    ]
    assert [one.type for one in read_history(posted)] == ["ai", "tool", "human"]
    assert [one.type for one in read_history(posted[:1])] == ["ai"]


def test_a_posted_call_that_was_given_up_is_told_as_such() -> None:
    """The sentence is ours, so it is not hidden with the errors of tools."""
    unanswered = "The call was not answered."
    calls = [tool_call(name="add", args={}, id=call_id) for call_id in ("c1", "c2")]
    messages = [
        HumanMessage("Go"),
        AIMessage("", tool_calls=calls),
        ToolMessage(unanswered, tool_call_id="c1", status="error"),
        ToolMessage("password is 1234", tool_call_id="c2", status="error"),
    ]
    hidden = "Something went wrong."
    told = [one.get("errorText") for one in ai_sdk_messages(messages)[1]["parts"][1:]]
    assert told == [unanswered, hidden]
    for version in (None, "1.0"):
        results = ag_ui_messages(messages, protocol_version=version)[-2:]
        assert [one["error"] for one in results] == [unanswered, hidden]
        assert [one["content"] for one in results] == [unanswered, hidden]


def test_calls_of_two_messages_may_have_one_id() -> None:
    """Some models count their calls anew in each message."""
    call = tool_call(name="add", args={}, id="add:0")
    said: list[BaseMessage] = []
    for turn in ("1", "2"):
        said += [
            HumanMessage(f"Go {turn}", id=f"h{turn}"),
            AIMessage("", tool_calls=[call], id=f"lc_run--{turn}"),
            ToolMessage(f"result {turn}", tool_call_id="add:0", id=f"t{turn}"),
        ]
    for shown in (ai_sdk_messages(said), ag_ui_messages(said)):
        read = read_history(shown)
        assert [one.text for one in read] == ["Go 1", "", "result 1", "Go 2", "", "result 2"]
        ids = [one.tool_call_id for one in read if isinstance(one, ToolMessage)]
        assert ids == ["add:0", "2:add:0"]


def test_an_invalid_call_has_an_end_after_a_reload() -> None:
    bad = invalid_tool_call(name="add", args='{"a', id="c1", error="cut off")
    said: list[BaseMessage] = [HumanMessage("Go"), AIMessage("", invalid_tool_calls=[bad])]
    (end,) = (one for one in ag_ui_messages(said) if one["role"] == "tool")
    assert (end["toolCallId"], end["error"]) == ("c1", "cut off")
    (part,) = (part for part in ai_sdk_messages(said)[1]["parts"] if "toolCallId" in part)
    assert (part["state"], part["errorText"]) == ("output-error", "cut off")
