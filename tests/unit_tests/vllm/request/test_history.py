"""What a chat template can make of what is sent of the history."""

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_openai.chat_models.base import _convert_message_to_dict

from langchain_toolstream.core.mark import invalid_mark
from langchain_toolstream.vllm.request.history import assistant_turn
from tests.unit_tests.vllm.mocked import MockedServer, streamed
from tests.unit_tests.vllm.wire import body, chunk


def turn(message: AIMessage) -> dict[str, Any]:
    """A message as it is sent, in JSON that was encoded and decoded on the way."""
    sent = assistant_turn(message, _convert_message_to_dict(message))
    received: dict[str, Any] = json.loads(json.dumps(sent, ensure_ascii=False).encode())
    return received


def arguments(message: AIMessage) -> list[Any]:
    """What vLLM hands to the template: it reads each call's text, and refuses anything else."""
    texts = [call["function"]["arguments"] for call in turn(message)["tool_calls"]]
    assert all(isinstance(text, str) for text in texts)
    return [json.loads(text) for text in texts]


@pytest.mark.parametrize("args", [{}, {"a": 1}, {"a": {"b": [None, "ü", "你"]}}, {"a": "\ud83d"}])
def test_a_call_is_sent_as_it_was(args: dict[str, Any]) -> None:
    message = AIMessage("", tool_calls=[tool_call(name="add", args=args, id="call_1")])
    assert arguments(message) == [args]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "[1]",
        '{"a": 1',
        '{"a": 1}',
        '{"a": 1}}',
        '{"a": "b\\',
        '"{}"',
        '{"a": "\ud83d',
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("name", ["add", "", None])
def test_an_invalid_call_is_no_call_that_ran(text: str | None, name: str | None) -> None:
    call = invalid_tool_call(name=name, args=text, id="call_2", error="It is none.")
    message = AIMessage("", invalid_tool_calls=[call])
    assert arguments(message) == [{"invalid_arguments": text or ""}]
    (sent,) = turn(message)["tool_calls"]
    assert (sent["type"], sent["id"]) == ("function", "call_2")
    assert sent["function"]["name"] == (name or "")


@pytest.mark.parametrize("error", [None, "", "Failed to parse"])
@pytest.mark.parametrize(
    "text", ['{"a": 1', '{"a": [1', '{"a": "b', '{"a": "b\\"c', '{"a": {"b": "', "{", ""]
)
def test_our_own_mark_is_not_the_models(text: str, error: str | None) -> None:
    args = text + invalid_mark(text)
    call = invalid_tool_call(name="add", args=args, id="call_2", error=error)
    message = AIMessage("", invalid_tool_calls=[call])
    assert arguments(message) == [{"invalid_arguments": text}]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ({"name": "f", "arguments": {"a": 1}}, {"a": 1}),
        ({"name": "f", "arguments": '{"a": 1}'}, {"a": 1}),
        ({"name": "f", "arguments": "{}"}, {}),
        ({"name": "f", "arguments": ""}, {}),
        ({"name": "f", "arguments": None}, {}),
        ({"name": "f"}, {}),
        ({"name": "f", "arguments": '{"a": 1'}, {"invalid_arguments": '{"a": 1'}),
        ({"name": "f", "arguments": "[1]"}, {"invalid_arguments": "[1]"}),
        ({"name": "f", "arguments": [1]}, {"invalid_arguments": "[1]"}),
    ],
)
def test_a_call_in_openais_words(function: dict[str, Any], expected: dict[str, Any]) -> None:
    message = AIMessage("")
    call = {"id": "call_1", "type": "function", "function": function}
    message.additional_kwargs["tool_calls"] = [call]
    assert arguments(message) == [expected]
    assert call["function"] is function


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (AIMessage("Hi", additional_kwargs={"reasoning_content": "Hm."}), "Hm."),
        (AIMessage(content_blocks=[{"type": "reasoning", "reasoning": "Hm."}]), "Hm."),
        (
            AIMessage(
                [
                    {"type": "reasoning", "reasoning": "H"},
                    {"type": "text", "text": "Hi"},
                    {"type": "reasoning", "reasoning": "m."},
                ]
            ),
            "Hm.",
        ),
        (AIMessage([{"type": "reasoning", "reasoning": None}, {"type": "reasoning"}]), None),
        (AIMessage("Hi", additional_kwargs={"reasoning_content": ""}), None),
        (AIMessage("Hi", additional_kwargs={"reasoning_content": 5}), None),
        (AIMessage("Hi"), None),
    ],
)
def test_reasoning_is_sent_back(message: AIMessage, expected: str | None) -> None:
    assert turn(message).get("reasoning") == expected


HALF = "Hi \ud83d there"


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage(HALF),
        HumanMessage([{"type": "text", "text": HALF}]),
        SystemMessage(HALF),
        ToolMessage(HALF, tool_call_id="a"),
        ToolMessage([{"type": "text", "text": HALF}], tool_call_id="a"),
        AIMessage(HALF),
        AIMessage("", additional_kwargs={"reasoning_content": HALF}),
        AIMessage("", tool_calls=[{"name": "echo", "args": {HALF: [HALF]}, "id": HALF}]),
        AIMessage("", invalid_tool_calls=[{"name": HALF, "args": HALF, "id": HALF, "error": HALF}]),
    ],
)
def test_half_a_character_does_not_end_the_conversation(message: BaseMessage) -> None:
    server = MockedServer(lambda _: streamed(body(chunk(content="ok", finish_reason="stop"))))
    history = [HumanMessage("go"), message, HumanMessage("go on")]
    assert server.llm().invoke(history).content == "ok"
    sent = server.requests[0].content.decode()
    assert "there" in sent
    assert "Hi \\\\ud83d there" in sent or "Hi \ufffd there" in sent


def test_halves_that_belong_together_are_sent_as_their_character() -> None:
    server = MockedServer(lambda _: streamed(body(chunk(content="ok", finish_reason="stop"))))
    server.llm().invoke("\ud83d\ude00")
    assert "\U0001f600" in server.requests[0].content.decode()
