import json
from typing import Any

import pytest

from langchain_toolstream.testing import Recording, bundled_recordings
from langchain_toolstream.testing.match import Matcher

PROMPT = "What is 3 * 12? Also, what is 11 + 49?"
ANSWER = b'data: {"choices": []}\n\n'

# One server's recordings: those of another answer some of the same requests.
LIVE = [one for one in bundled_recordings() if not one.id.startswith("tiny_")]


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]


def asked(content: object = PROMPT, **fields: object) -> dict[str, Any]:
    return {"model": "mine", "messages": [{"role": "user", "content": content}], **fields}


def recorded(name: str, *, status: int = 200, body: bytes = ANSWER, **fields: object) -> Recording:
    return Recording(id=name, status=status, body=body, request=asked(**fields))


def found(request: dict[str, Any], *recordings: Recording) -> str | None:
    recording = Matcher(recordings).find(request)
    return recording.id if recording else None


@pytest.fixture(scope="module")
def bundled() -> Matcher:
    return Matcher(LIVE)


@pytest.mark.parametrize("recording", LIVE, ids=lambda recording: recording.id)
def test_a_recorded_request_finds_its_answer(bundled: Matcher, recording: Recording) -> None:
    assert recording.request is not None
    answer = bundled.find(recording.request)
    assert answer is not None
    assert answer.request == recording.request  # some were asked twice, with other server settings
    assert answer.status == recording.status


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "auto_2calls_nonstream"),
        ({"stream": True}, "auto_2calls"),
        ({"stream": True, "temperature": 0.7, "top_p": 0.9}, "auto_2calls"),
        ({"stream": True, "stream_options": {"include_usage": True}}, "auto_2calls_include_usage"),
        ({"stream": True, "parallel_tool_calls": False}, "auto_2calls_parallel_false"),
        ({"stream": True, "tool_choice": "none"}, "tool_choice_none"),
        ({"stream": True, "temperature": -1}, "err_temperature"),
        ({"stream": True, "temperature": 0, "model": "no-such-model"}, "err_bad_model"),
        ({"tool_choice": "required"}, "required_nonstream"),
        ({"tool_choice": "any"}, "required_nonstream"),
        (
            {"stream": True, "tool_choice": {"type": "function", "function": {"name": "multiply"}}},
            "named_multiply",
        ),
        (
            {"max_completion_tokens": 48, "temperature": 0, "stream": False},
            "auto_truncated_2nd_call_nonstream",
        ),
    ],
)
def test_a_question_with_some_of_the_tools(
    bundled: Matcher, fields: dict[str, Any], name: str
) -> None:
    answer = bundled.find(asked(tools=tools("add", "multiply"), **fields))
    assert answer is not None
    assert answer.id == name


def test_a_question_without_tools_gets_no_call(bundled: Matcher) -> None:
    names = [
        answer.id if (answer := bundled.find(asked(text, stream=stream))) else None
        for text, stream in [(PROMPT, True), (PROMPT, False), ("Hello!", True)]
    ]
    assert names == ["no_tools", None, "plain_text"]


def test_the_model_may_be_an_id() -> None:
    recordings = (recorded("a", stream=True), Recording(id="b/c@1", body=b""))
    assert found({"model": "b/c@1"}, *recordings) == "b/c@1"
    assert found(asked("other", model="a"), *recordings) == "a"


def test_a_stream_answers_only_a_stream() -> None:
    assert found(asked(), recorded("a", stream=True)) is None
    assert found(asked(stream=True), recorded("a", stream=False)) is None
    assert found(asked(stream=False), recorded("a")) == "a"


def test_tools_are_a_subset() -> None:
    recording = recorded("a", tools=tools("add", "multiply"))
    assert found(asked(tools=tools("multiply")), recording) == "a"
    assert found(asked(tools=tools("multiply", "search")), recording) is None
    assert found(asked(tools=tools("add")), recorded("a")) is None


def test_messages_agree_in_what_they_say() -> None:
    def history(arguments: str, call_id: str, content: object, result: str) -> dict[str, Any]:
        call = {"id": call_id, "function": {"name": "add", "arguments": arguments}}
        return {
            "messages": [
                {"role": "user", "content": content},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call_id, "content": result},
            ]
        }

    recording = Recording(id="a", body=b"", request=history('{"a": 1, "b": 2}', "x", "hi", "3"))
    parts = [{"type": "text", "text": "hi"}]
    assert found(history('{"b":2,"a":1}', "y", parts, "3"), recording) == "a"
    assert found(history('{"b":2,"a":2}', "x", "hi", "3"), recording) is None
    assert found(history('{"a":1', "x", "hi", "3"), recording) is None
    assert found(history('{"a": 1, "b": 2}', "x", "hi", "4"), recording) is None


def test_system_messages_only_rank() -> None:
    plain = recorded("plain")
    system = Recording(
        id="system",
        body=ANSWER,
        request={"messages": [{"role": "system", "content": "be kind"}, *asked()["messages"]]},
    )
    both = (plain, system)
    assert found(asked(), *both) == "plain"
    assert found({"messages": [{"role": "system", "content": "?"}, *asked()["messages"]]}, plain)
    messages = [{"role": "developer", "content": "be kind"}, *asked()["messages"]]
    assert found({"messages": messages}, *both) == "system"


def test_ties() -> None:
    cut = recorded("cut", body=b'data: {"finish_reason": "length"}\n\n')
    error, first, later = recorded("error", status=400), recorded("first"), recorded("later")
    assert found(asked(), error, cut, first, later) == "first"
    assert found(asked(), error, cut) == "cut"
    assert found(asked(), error) == "error"
    assert found(asked(seed=1), first, recorded("seed", seed=1)) == "seed"


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"parallel_tool_calls": True},
        {"stream_options": {"include_usage": False}},
        {"stop": None, "tools": None},
        {"logprobs": False},
    ],
)
def test_a_default_is_no_difference(fields: dict[str, Any]) -> None:
    assert found(asked(**fields), recorded("odd", seed=1, **fields), recorded("plain")) == "plain"


def test_two_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="Two recordings have the id 'a'"):
        Matcher([recorded("a"), recorded("a")])


def test_why_nothing_answers() -> None:
    matcher = Matcher(
        [
            recorded("far", content="Write a poem", stream=True),
            recorded("near", content="What is 3 * 13?", tools=tools("add")),
            *(recorded(f"r{number}", content="?", stream=True) for number in range(9)),
            Recording(id="raw", body=b""),
        ]
    )
    message = matcher.explain(asked("What is 3 * 12?", tools=tools("add")))
    assert message.startswith(
        "No recording answers this request, 'What is 3 * 12?'. "
        "Of 12, 11 have a request to compare with, the nearest are:\n[near] "
    )
    assert (
        "[near] its message 1 is user 'What is 3 * 13?', the request's is user 'What is 3 * 12?'."
    ) in message
    assert "[far] its message 1 is user 'Write a poem'" in message
    assert "it has no tool 'add'; it is a stream." in message
    assert message.count("[") == 5
    assert message.endswith("chosen by its id as `model`.")


def test_why_the_number_of_messages_matters() -> None:
    request = asked()
    request["messages"] *= 2
    message = Matcher([recorded("a")]).explain(request)
    assert "[a] it has 1 messages (without system), the request has 2." in message


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"model": ["a"], "messages": "hi", "tools": {"a": 1}, "stream": "yes"},
        {"messages": [1, {}, {"role": [], "content": {"a": 1}, "tool_calls": [{"function": 1}]}]},
        {"tools": [1, {}, {"function": None, "name": 1}], "tool_choice": [1], "stream_options": 1},
    ],
)
def test_a_strange_request_is_no_crash(bundled: Matcher, request_: dict[str, Any]) -> None:
    assert bundled.find(request_) is None
    json.dumps(bundled.explain(request_))
    assert "has no request" not in Matcher([]).explain(request_)
