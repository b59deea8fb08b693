"""The rows of `docs/wire.md` that are about what is sent, by their numbers."""

import json
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from pydantic import BaseModel

from langchain_toolstream import ChatVLLM
from tests.unit_tests.vllm.wire import body, chunk
from tests.unit_tests.wire.row import get_weather


class Sent:
    """A model, and what it sent last."""

    def __init__(self) -> None:
        self.llm = ChatVLLM(
            model="tiny",
            base_url="http://server/v1",
            http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer)),
        )
        self.last: dict[str, Any] = {}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.last = json.loads(request.content)
        headers = {"content-type": "text/event-stream"}
        content = body(chunk(content="{}", finish_reason="stop"))
        return httpx2.Response(200, headers=headers, content=content)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_row_54_usage_is_asked_for(sent: Sent) -> None:
    sent.llm.invoke("go")
    assert sent.last["stream_options"] == {"include_usage": True}


def test_row_61_arguments_in_the_history_are_one_json_object(sent: Sent) -> None:
    wrong = '{"city": "A"}}"'
    turn = AIMessage(
        content="",
        tool_calls=[tool_call(name="get_weather", args={"city": "Oslo"}, id="a")],
        invalid_tool_calls=[
            invalid_tool_call(name="get_weather", args=wrong, id="b", error="It is no JSON.")
        ],
    )
    answers = [ToolMessage("rain", tool_call_id="a"), ToolMessage("no JSON", tool_call_id="b")]
    sent.llm.invoke([HumanMessage("go"), turn, *answers])
    good, bad = sent.last["messages"][1]["tool_calls"]
    assert json.loads(good["function"]["arguments"]) == {"city": "Oslo"}
    shown = json.loads(bad["function"]["arguments"])
    assert isinstance(shown, dict), "vLLM reads anything else as {}"
    assert wrong in shown.values()


def test_row_62_no_tools_are_no_field(sent: Sent) -> None:
    sent.llm.bind_tools([]).invoke("go")
    assert not {"tools", "tool_choice"} & sent.last.keys()


@pytest.mark.parametrize("choice", ["any", "required", True])
def test_row_63_any_is_required(sent: Sent, choice: Any) -> None:
    sent.llm.bind_tools([get_weather], tool_choice=choice).invoke("go")
    assert sent.last["tool_choice"] == "required"


def test_row_64_what_is_ignored_is_translated(sent: Sent) -> None:
    with pytest.warns(UserWarning, match="vLLM ignores guided_choice"):
        sent.llm.invoke("go", guided_choice=["yes", "no"])
    assert sent.last["structured_outputs"] == {"choice": ["yes", "no"]}
    assert "guided_choice" not in sent.last


def test_row_65_a_form_and_tools_are_not_sent_together(sent: Sent) -> None:
    class Weather(BaseModel):
        city: str = ""

    sent.llm.with_structured_output(Weather, method="json_schema").invoke("go")
    assert sent.last["response_format"]["type"] == "json_schema"
    assert not {"tools", "tool_choice"} & sent.last.keys()
    call = sent.llm.with_structured_output(Weather, method="function_calling", include_raw=True)
    assert call.invoke("go")["parsing_error"]
    assert "response_format" not in sent.last


def test_row_73_a_choice_of_null_is_no_field(sent: Sent) -> None:
    sent.llm.bind_tools([get_weather]).invoke("go", tool_choice=None)
    assert "tool_choice" not in sent.last
