"""What a browser posts may be anything: it is read, or it is an error that tells the browser so."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.tool import tool_call

from langchain_toolstream import (
    HistoryError,
    ResumeError,
    ag_ui_messages,
    ai_sdk_messages,
    read_history,
    resume_command,
    to_ai_sdk,
)
from tests.unit_tests.frontend.test_agents import add

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
LONG = "x" * 10_000_000
ASKED = SimpleNamespace(
    id="i" * 32,
    response_schema=None,
    value={
        "action_requests": [{"name": "add", "args": {"a": 1}, "description": ""}],
        "review_configs": [{"action_name": "add", "allowed_decisions": ["approve", "edit"]}],
    },
)
CALL = AIMessage("", tool_calls=[tool_call(name="add", args={"a": 1}, id="c1")])
STATE = SimpleNamespace(values={"messages": [HumanMessage("Go"), CALL]}, interrupts=[ASKED])
QUESTION = f"{ASKED.id}:c1"


def ui(*parts: Any, **body: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "id": "m", "parts": [*parts]}], **body}


def part(state: str, call_id: Any = "c1", **said: Any) -> dict[str, Any]:
    return {"type": "tool-add", "toolCallId": call_id, "state": state, "input": {"a": 1}, **said}


def ag(*messages: Any, **body: Any) -> dict[str, Any]:
    return {"messages": [*messages], **body}


def ag_call(*ids: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": "add", "arguments": arguments}
    return {"role": "assistant", "toolCalls": [{"id": one, "function": function} for one in ids]}


def ag_result(call_id: str = "c1", **said: Any) -> dict[str, Any]:
    return {"role": "tool", "toolCallId": call_id, "content": "x", **said}


HISTORIES: dict[str, Any] = {
    "a result for no call": ag(ag_result()),
    "a result of another call": ag(ag_call("c1"), ag_result("c2")),
    "a result before its call": ag(ag_result(), ag_call("c1")),
    "two results": ag(ag_call("c1"), ag_result(), ag_result()),
    "a call id twice": ui(part("input-available"), part("input-available")),
    "a call id twice in AG-UI": ag(ag_call("c1", "c1")),
    "a call id twice, in two messages": ag(ag_call("c1"), ag_result(), ag_call("c1")),
    "a long text": ag({"role": "user", "content": LONG}),
    "a long part": ui({"type": "text", "text": LONG}),
    "a long thought": ui({"type": "reasoning", "text": LONG}),
    "a long output": ui(part("output-available", output=LONG)),
    "a long output inside": ui(part("output-available", output={"content": {"x": [LONG]}})),
    "a long error": ui(part("output-error", errorText=LONG)),
    "a long result": ag(ag_call("c1"), ag_result(content=LONG)),
    "long arguments": ui({**part("input-available"), "input": {"a": LONG}}),
    "long arguments as text": ui({**part("output-error"), "input": LONG}),
    "long arguments in AG-UI": ag(ag_call("c1", arguments=LONG)),
    "a long name": ui({**part("input-available"), "type": f"tool-{LONG}"}),
    "a long id": ui(part("input-available", LONG)),
    "an id that is no text": ui(part("input-available", ["c1"])),
    "a picture by a script": ui({"type": "file", "url": "javascript:alert(1)", "mediaType": "x"}),
    "an unknown role": ag({"role": "root", "content": "x"}),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_no_agent_made_is_an_error(name: str) -> None:
    posted = HISTORIES[name]
    before = json.dumps(posted)
    with pytest.raises(HistoryError) as error:
        read_history(posted)
    assert len(str(error.value)) < 300
    assert json.dumps(posted) == before


def approval(name: Any = QUESTION, **said: Any) -> dict[str, Any]:
    return part("approval-responded", approval={"id": name, "approved": True, **said})


def resumed(*entries: Any) -> dict[str, Any]:
    return {"resume": [{"status": "resolved", **one} for one in entries]}


def edited(args: Any, **more: Any) -> dict[str, Any]:
    return {QUESTION: {"type": "edit", "edited_action": {"name": "add", "args": args, **more}}}


APPROVE = {"type": "approve"}
ANSWERS: dict[str, Any] = {
    "an approval that nobody asked for": ui(approval("other:c1")),
    "one beside a good one": ui(approval(), approval("other:c9")),
    "one for nothing in AG-UI": resumed({"interruptId": "x", "payload": APPROVE}),
    "the same twice": ui(approval(), approval()),
    "the same twice in AG-UI": resumed(
        {"interruptId": QUESTION, "payload": APPROVE},
        {"interruptId": QUESTION, "payload": APPROVE},
    ),
    "an id that is no text": ui(approval(["x"])),
    "what is not allowed": ui(approval(approved=False, reason="no")),
    "a free reply that is not allowed": {QUESTION: {"type": "respond", "message": "x"}},
    "another tool": edited({"a": 1}, name="boom"),
    "arguments that do not fit": edited({"a": MARKUP}),
    "arguments that are no object": edited([1]),
    "long arguments": edited({"a": 1, "b": LONG}),
    "no answer": ui(part("approval-requested", approval={"id": QUESTION})),
    "no body": None,
    "decisions that are no object": ui(approval(), decisions=[1]),
    "a decision that is none": ui(decisions={QUESTION: "yes"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_does_not_fit_is_an_error(name: str) -> None:
    with pytest.raises(ResumeError) as error:
        resume_command(STATE, ANSWERS[name], tools=[add])
    assert len(str(error.value)) < 1000


def test_a_second_answer_is_an_error_before_the_body_begins() -> None:
    with pytest.raises(ResumeError, match="answered twice"):
        to_ai_sdk(iter(()), posted=ANSWERS["the same twice"])  # type: ignore[arg-type]


def test_markup_stays_text() -> None:
    parts = [
        {"type": "text", "text": MARKUP},
        {"type": "reasoning", "text": MARKUP},
        {
            "type": f"tool-{MARKUP}",
            "toolCallId": MARKUP,
            "state": "output-available",
            "input": {MARKUP: MARKUP},
            "output": {"content": MARKUP, "artifact": {MARKUP: MARKUP}},
        },
    ]
    posted = ui(*parts)
    posted["messages"].insert(0, {"role": "user", "id": MARKUP, "content": MARKUP})
    messages = read_history(posted)
    assert messages[0].content == MARKUP
    (call,) = messages[1].tool_calls  # type: ignore[attr-defined]
    assert (call["name"], call["args"], call["id"]) == (MARKUP, {MARKUP: MARKUP}, MARKUP)
    assert messages[2].content == MARKUP
    for shown in (ai_sdk_messages(messages), ag_ui_messages(messages)):
        assert MARKUP in json.loads(json.dumps(shown))[0]["id"]


def test_an_approval_in_a_history_approves_nothing() -> None:
    (message,) = read_history(ui(approval()))
    assert isinstance(message, AIMessage)
    assert [call["id"] for call in message.tool_calls] == ["c1"]


WORDS = """
role parts content type toolCallId state approval id input output assistant user tool tool-add text
file url output-available c1 messages resume decisions interruptId toolCalls function arguments
data-approval approval-responded data image source value mimeType edit args edited_action
"""
words = st.sampled_from([*WORDS.split(), QUESTION, "data:image/png;tool=artifact 0 c1;base64,aGk="])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=25,
)


def reads(posted: Any) -> None:
    assert all(isinstance(one, BaseMessage) for one in read_history(posted))


def resumes(posted: Any) -> None:
    resume_command(STATE, posted, tools=[add])


def goes_on(posted: Any) -> None:
    async def nothing() -> Any:
        return
        yield

    async def read() -> list[bytes]:
        body = to_ai_sdk(nothing(), posted=posted if isinstance(posted, dict) else {})
        return [piece async for piece in body]

    *pieces, done = asyncio.run(read())
    types = [json.loads(piece.removeprefix(b"data: "))["type"] for piece in pieces]
    assert types == ["start", *["data-approval"] * (len(types) - 2), "finish"]
    assert done == b"data: [DONE]\n\n"


@pytest.mark.parametrize("read", [reads, resumes, goes_on])
@settings(max_examples=80)
@given(
    anything
    | st.builds(lambda one: {"messages": [one]}, anything)
    | st.builds(lambda parts: ui(*parts), st.lists(anything, max_size=3))
    | st.builds(lambda one: {QUESTION: one}, anything)
)
def test_anything_is_read_or_an_error(read: Callable[[Any], None], posted: Any) -> None:
    before = json.dumps(posted)
    with suppress(HistoryError, ResumeError):
        read(posted)
    assert json.dumps(posted) == before
