"""What reaches the server: one row for each field, by each of the places where it can be given."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser

from langchain_toolstream import ChatVLLM, RepetitionDetection, StructuredOutputs
from langchain_toolstream.testing import Recording, ReplayServer
from langchain_toolstream.vllm.request.fields import FIELDS
from tests.integration_tests.chat import QUESTION, chat, total
from tests.unit_tests.vllm.wire import body, chunk, part, usage

HELLO = Recording(id="hello", body=body(chunk(content="Hi", finish_reason="stop"), usage(3, 2)))
WHOLE = Recording(
    id="whole",
    content_type="application/json",
    body=json.dumps(
        {
            "id": "chatcmpl-1",
            "model": "tiny",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hi", "reasoning": None},
                    "finish_reason": "stop",
                }
            ],
            "usage": usage(3, 2)["usage"],
            "prompt_logprobs": [None, {"5": {"logprob": -0.5, "rank": 1, "decoded_token": "a"}}],
            "kv_transfer_params": {"remote_block_ids": [1]},
        }
    ).encode(),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer([HELLO, WHOLE]) as server:
        yield server


def sent(server: ReplayServer) -> dict[str, Any]:
    """The body of the last request, without what every request has."""
    last = server.requests[-1].body
    assert last is not None
    always = ("model", "messages", "stream", "stream_options")
    return {name: value for name, value in last.items() if name not in always}


# Each field of vLLM 0.33's ChatCompletionRequest that is not OpenAI's, with a value.
ROWS: dict[str, Any] = {
    "add_generation_prompt": False,
    "add_special_tokens": True,
    "allowed_token_ids": [1, 2],
    "bad_words": ["foo"],
    "cache_salt": "c2FsdA==",
    "chat_template": "{{ messages }}",
    "chat_template_kwargs": {"enable_thinking": False},
    "continue_final_message": True,
    "documents": [{"title": "a", "text": "b"}],
    "ec_transfer_params": {"a": 1},
    "echo": True,
    "ignore_eos": True,
    "include_reasoning": False,
    "include_stop_str_in_output": True,
    "kv_transfer_params": {"do_remote_decode": True},
    "length_penalty": 0.5,
    "logprob_token_ids": [7],
    "media_io_kwargs": {"video": {"num_frames": 4}},
    "min_p": 0.0,
    "min_tokens": 0,
    "mm_processor_kwargs": {"num_crops": 4},
    "priority": -1,
    "prompt_logprobs": 0,
    "repetition_detection": {"max_pattern_size": 8, "min_count": 3},
    "repetition_penalty": 1.1,
    "request_id": "r-1",
    "return_prompt_text": True,
    "return_token_ids": True,
    "return_tokens_as_token_ids": True,
    "return_weight_versions": True,
    "routed_experts_prompt_start": 3,
    "session_id": "s-1",
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
    "stop_token_ids": [2],
    "stream_interval": 4,
    "structured_outputs": {"choice": ["yes", "no"]},
    "thinking_token_budget": 0,
    "top_k": 5,
    "truncate_prompt_tokens": -1,
    "truncation_side": "left",
    "use_beam_search": True,
    "vllm_xargs": {"a": 1, "b": 0.5, "c": ["d", 2]},
    "watermarking": False,
}
OPENAI: dict[str, Any] = {
    "frequency_penalty": 0.1,
    "logit_bias": {"5": 1},
    "logprobs": True,
    "max_completion_tokens": 7,
    "max_tokens": 7,
    "n": 2,
    "presence_penalty": 0.1,
    "reasoning_effort": "max",
    "response_format": {"type": "json_object"},
    "seed": 3,
    "stop": ["END"],
    "temperature": 0.0,
    "top_logprobs": -1,
    "top_p": 0.5,
}


EACH = {"continuous_usage_stats": True}


def test_every_field_has_a_row() -> None:
    assert ROWS.keys() == FIELDS


@pytest.mark.parametrize(("name", "value"), [*ROWS.items(), *OPENAI.items()])
class TestField:
    def test_of_the_model(self, server: ReplayServer, name: str, value: Any) -> None:
        chat(server, "hello", **{name: value}).invoke(QUESTION)
        assert sent(server) == {name: value}

    def test_of_bind(self, server: ReplayServer, name: str, value: Any) -> None:
        chat(server, "hello").bind(**{name: value}).invoke(QUESTION)
        assert sent(server) == {name: value}

    async def test_of_the_call(self, server: ReplayServer, name: str, value: Any) -> None:
        llm = chat(server, "hello")
        llm.invoke(QUESTION, **{name: value})
        assert sent(server) == {name: value}
        await llm.ainvoke(QUESTION, **{name: value})
        assert sent(server) == {name: value}
        list(llm.stream(QUESTION, **{name: value}))
        assert sent(server) == {name: value}
        _ = [one async for one in llm.astream(QUESTION, **{name: value})]
        assert sent(server) == {name: value}


class TestPrecedence:
    @pytest.mark.parametrize(
        ("of_model", "of_bind", "of_call", "expected"),
        [
            ({"top_k": 1}, {}, {}, {"top_k": 1}),
            ({"top_k": 1}, {"top_k": 2}, {}, {"top_k": 2}),
            ({"top_k": 1}, {"top_k": 2}, {"top_k": 3}, {"top_k": 3}),
            ({"top_k": 1}, {}, {"top_k": None}, {}),
            ({"response_format": {"type": "text"}}, {}, {"response_format": None}, {}),
            ({"top_k": 1}, {}, {"min_p": 0.5}, {"top_k": 1, "min_p": 0.5}),
            ({"extra_body": {"new": 1}}, {}, {}, {"new": 1}),
            ({"extra_body": {"new": 1}}, {}, {"top_k": 3}, {"new": 1, "top_k": 3}),
            (
                {"extra_body": {"new": 1, "old": 1}},
                {"extra_body": {"new": 2}},
                {},
                {"new": 2, "old": 1},
            ),
            ({"extra_body": {"new": 1}}, {}, {"extra_body": None}, {"new": 1}),
            ({"top_k": 1, "extra_body": {"top_k": 2}}, {}, {}, {"top_k": 2}),
            ({"extra_body": {"top_k": 2}}, {}, {"top_k": 3}, {"top_k": 3}),
            ({}, {"extra_body": {"top_k": 2}}, {"top_k": 3}, {"top_k": 3}),
            ({}, {"top_k": 2}, {"extra_body": {"top_k": 3}}, {"top_k": 3}),
            ({"max_tokens": 9}, {}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
            ({"max_completion_tokens": 9}, {}, {"max_tokens": 5}, {"max_tokens": 5}),
            ({"max_completion_tokens": 9}, {}, {"max_tokens": None}, {}),
            ({"max_completion_tokens": 9, "max_tokens": 5}, {}, {}, {"max_completion_tokens": 9}),
        ],
    )
    def test_the_later_counts(
        self,
        server: ReplayServer,
        of_model: dict[str, Any],
        of_bind: dict[str, Any],
        of_call: dict[str, Any],
        expected: dict[str, Any],
    ) -> None:
        chat(server, "hello", **of_model).bind(**of_bind).invoke(QUESTION, **of_call)
        assert sent(server) == expected

    def test_what_was_given_is_left_as_it_was(self, server: ReplayServer) -> None:
        body_, options = {"top_k": 1, "guided_regex": "a"}, {"continuous_usage_stats": True}
        with pytest.warns(UserWarning, match="guided_regex"):
            llm = chat(server, "hello", extra_body=body_)
        llm.invoke(QUESTION, extra_body=body_ | {"guided_regex": None}, stream_options=options)
        assert body_ == {"top_k": 1, "guided_regex": "a"}
        assert options == {"continuous_usage_stats": True}

    @pytest.mark.parametrize(
        ("of_model", "of_bind", "of_call", "expected"),
        [
            ({}, {}, {}, {"include_usage": True}),
            (EACH, {}, {}, {**EACH, "include_usage": True}),
            ({}, EACH, {}, {**EACH, "include_usage": True}),
            ({}, {}, EACH, {**EACH, "include_usage": True}),
            (EACH, {}, None, {"include_usage": True}),
            ({**EACH, "include_usage": False}, {}, {}, {**EACH, "include_usage": False}),
        ],
    )
    def test_the_usage_is_asked_for_beside_other_stream_options(
        self, server: ReplayServer, of_model: Any, of_bind: Any, of_call: Any, expected: Any
    ) -> None:
        def given(options: Any) -> dict[str, Any]:
            return {} if options == {} else {"stream_options": options}

        llm = chat(server, "hello", **given(of_model)).bind(**given(of_bind))
        llm.invoke(QUESTION, **given(of_call))
        last = server.requests[-1].body
        assert last is not None
        assert last["stream_options"] == expected

    def test_a_batch_takes_them(self, server: ReplayServer) -> None:
        (chat(server, "hello", top_k=1) | StrOutputParser()).bind(top_k=2).batch([QUESTION])
        assert sent(server) == {"top_k": 2}

    @pytest.mark.parametrize("field", ["mm_payload", "return_mm_kwargs", "return_token_offsets"])
    def test_what_is_only_for_rendering_is_no_field(self, field: str) -> None:
        assert field not in ChatVLLM.model_fields


class TestChecks:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"top_k": "many"}, r"top_k\n.*integer"),
            ({"truncation_side": "middle"}, r"truncation_side\n.*'left' or 'right'"),
            ({"stream_interval": 0}, "stream_interval"),
            ({"structured_outputs": {}}, r"exactly one of .*; got none"),
            ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, r"got regex and choice"),
            ({"structured_outputs": {"regexp": "a"}}, "regexp"),
            ({"structured_outputs": {"choice": []}}, "choice"),
            ({"structured_outputs": {"json_object": False}}, "json_object"),
            ({"repetition_detection": {"max_pattern_size": 4}}, "min_count has to be at least 2"),
            ({"repetition_detection": {"min_pattern_size": 4}}, "min_pattern_size=4 is more than"),
            ({"cache_salt": ""}, "cache_salt has to have 1 to 128"),
            ({"cache_salt": "a" * 129}, "cache_salt has to have 1 to 128"),
            ({"cache_salt": "user@host"}, "none of '@'"),
        ],
    )
    def test_a_mistake_is_told_before_anything_is_sent(
        self, server: ReplayServer, fields: dict[str, Any], words: str
    ) -> None:
        before = len(server.requests)
        with pytest.raises(ValueError, match=words) as raised:
            chat(server, "hello", api_key="sk-secret", **fields)
        assert "sk-secret" not in str(raised.value)
        llm = chat(server, "hello")
        for given in (fields, {"extra_body": fields}):
            with pytest.raises(ValueError, match=words) as raised:
                llm.invoke(QUESTION, **given)
            assert "user@host" not in str(raised.value)
        assert len(server.requests) == before

    def test_a_secret_is_in_no_trace(self, server: ReplayServer) -> None:
        salt = "very-secret-salt"
        of_model = chat(server, "hello", cache_salt=salt)
        of_body = chat(server, "hello", extra_body={"cache_salt": salt})
        of_model.invoke(QUESTION)
        assert sent(server) == {"cache_salt": salt}
        views = [repr(of_model), of_model.model_dump_json(), str(of_model._identifying_params)]
        for llm in (of_model, of_body):
            for kwargs in ({}, {"cache_salt": salt}, {"extra_body": {"cache_salt": salt}}):
                views.append(str(llm._get_invocation_params(**kwargs)))
                views.append(llm._get_llm_string(**kwargs))
        assert [view for view in views if salt in view] == []

    def test_the_key_of_a_cached_answer_has_every_field(self, server: ReplayServer) -> None:
        keys = {
            chat(server, "hello", **fields)._get_llm_string(**kwargs)
            for fields in ({}, {"top_k": 1}, {"extra_body": {"new": 1}}, {"extra_body": {"new": 2}})
            for kwargs in ({}, {"top_k": 2}, {"extra_body": {"other": 1}})
        }
        # A field of the call takes the place of the model's, so two of the twelve are one.
        assert len(keys) == 11


class TestStructuredOutputs:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"json": {"type": "object"}}, {"json": {"type": "object"}}),
            ({"json": '{"type": "object"}'}, {"json": '{"type": "object"}'}),
            ({"regex": "[0-9]+"}, {"regex": "[0-9]+"}),
            ({"grammar": 'root ::= "a"'}, {"grammar": 'root ::= "a"'}),
            ({"json_object": True}, {"json_object": True}),
            (
                {"structural_tag": {"type": "structural_tag"}},
                {"structural_tag": '{"type": "structural_tag"}'},
            ),
            (
                {"json": {}, "disable_any_whitespace": True, "whitespace_pattern": " ?"},
                {"json": {}, "disable_any_whitespace": True, "whitespace_pattern": " ?"},
            ),
            (
                {"regex": "a", "disable_additional_properties": True},
                {"regex": "a", "disable_additional_properties": True},
            ),
        ],
    )
    def test_as_object_and_as_dict(
        self, server: ReplayServer, given: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        llm = chat(server, "hello")
        for value in (given, StructuredOutputs(**given)):
            llm.invoke(QUESTION, structured_outputs=value)
            assert sent(server) == {"structured_outputs": expected}

    def test_repetition_detection_is_an_object_too(self, server: ReplayServer) -> None:
        value = RepetitionDetection(max_pattern_size=8, min_pattern_size=2, min_count=3)
        chat(server, "hello", repetition_detection=value).invoke(QUESTION)
        numbers = {"max_pattern_size": 8, "min_pattern_size": 2, "min_count": 3}
        assert sent(server) == {"repetition_detection": numbers}


GUIDED = [
    ({"guided_json": {"type": "object"}}, {"json": {"type": "object"}}),
    ({"guided_regex": "[0-9]+"}, {"regex": "[0-9]+"}),
    ({"guided_choice": ["a", "b"]}, {"choice": ["a", "b"]}),
    ({"guided_grammar": 'root ::= "a"'}, {"grammar": 'root ::= "a"'}),
    (
        {"guided_json": {}, "guided_whitespace_pattern": " ?"},
        {"json": {}, "whitespace_pattern": " ?"},
    ),
    ({"guided_regex": "a", "guided_decoding_backend": "outlines"}, {"regex": "a"}),
    ({"guided_decoding_backend": "outlines"}, None),
    ({"guided_whitespace_pattern": " ?"}, None),
]


@pytest.mark.parametrize(("given", "expected"), GUIDED)
class TestGuided:
    def test_of_the_model(
        self, server: ReplayServer, given: dict[str, Any], expected: dict[str, Any] | None
    ) -> None:
        for fields in (given, {"model_kwargs": given}, {"extra_body": given}):
            with pytest.warns(UserWarning, match="vLLM ignores guided_") as told:
                llm = chat(server, "hello", **fields)
            assert len(told) == 1
            llm.invoke(QUESTION)
            assert sent(server) == ({"structured_outputs": expected} if expected else {})

    def test_of_bind_and_of_the_call(
        self, server: ReplayServer, given: dict[str, Any], expected: dict[str, Any] | None
    ) -> None:
        llm = chat(server, "hello", structured_outputs={"regex": "model"})
        default = {"regex": "model"}
        for fields in (given, {"extra_body": given}):
            for call in (
                lambda fields=fields: llm.bind(**fields).invoke(QUESTION),
                lambda fields=fields: llm.invoke(QUESTION, **fields),
                lambda fields=fields: list(llm.stream(QUESTION, **fields)),
            ):
                with pytest.warns(UserWarning, match="vLLM ignores guided_") as told:
                    call()
                assert len(told) == 1
                assert sent(server) == {"structured_outputs": expected or default}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guided_json": {}, "guided_regex": "a"}, "guided_json and guided_regex cannot be"),
        (
            {"guided_choice": ["a"], "structured_outputs": {"regex": "a"}},
            "guided_choice cannot stand beside structured_outputs",
        ),
        (
            {"guided_whitespace_pattern": " ", "structured_outputs": {"json": {}}},
            "guided_whitespace_pattern cannot stand beside structured_outputs",
        ),
    ],
)
def test_two_constraints_are_refused(
    server: ReplayServer, fields: dict[str, Any], words: str
) -> None:
    llm = chat(server, "hello")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # langchain-core's own, about model_kwargs
        for given in (fields, {"extra_body": fields}, {"model_kwargs": fields}):
            with pytest.raises(ValueError, match=words):
                chat(server, "hello", **given)
    for given in (fields, {"extra_body": fields}):
        with pytest.raises(ValueError, match=words):
            llm.invoke(QUESTION, **given)


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


NAMED = {"type": "function", "function": {"name": "add"}}


class TestTools:
    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ("any", "required"),
            (True, "required"),
            ("required", "required"),
            ("auto", "auto"),
            ("none", "none"),
            ("add", NAMED),
            (NAMED, NAMED),
            (None, None),
            (False, None),
        ],
    )
    def test_choice(self, server: ReplayServer, choice: Any, expected: Any) -> None:
        llm = chat(server, "hello")
        llm.bind_tools([add], tool_choice=choice).invoke(QUESTION)
        assert sent(server).get("tool_choice") == expected
        llm.bind_tools([add]).invoke(QUESTION, tool_choice=choice)
        assert sent(server).get("tool_choice") == expected
        assert ("tool_choice" in sent(server)) is (expected is not None)

    def test_a_choice_of_no_tool_is_told(self, server: ReplayServer) -> None:
        llm = chat(server, "hello").bind_tools([add], tool_choice="sub")
        with pytest.raises(ValueError, match=r"'sub' is no tool of the request.*'add'"):
            llm.invoke(QUESTION)

    def test_in_parallel_or_not(self, server: ReplayServer) -> None:
        llm = chat(server, "hello", parallel_tool_calls=False)
        llm.invoke(QUESTION)
        assert sent(server) == {}
        llm.bind_tools([add]).invoke(QUESTION)
        assert sent(server)["parallel_tool_calls"] is False
        llm.bind_tools([add], parallel_tool_calls=True).invoke(QUESTION)
        assert sent(server)["parallel_tool_calls"] is True
        llm.bind_tools([]).invoke(QUESTION)
        assert sent(server) == {}

    @pytest.mark.parametrize("strict", [True, False])
    def test_strict(self, server: ReplayServer, *, strict: bool) -> None:
        chat(server, "hello").bind_tools([add], strict=strict).invoke(QUESTION)
        assert sent(server)["tools"][0]["function"]["strict"] is strict


class TestHistory:
    # langchain-core calls its v3 protocol beta.
    @pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
    def test_an_invalid_call_of_every_road_is_sent_alike(self) -> None:
        wire = body(
            chunk(reasoning="Hm.", role="assistant"),
            chunk(part('{"a": 1, "b": 2}', index=0, id="call_1", name="add")),
            chunk(part('{"a": "1', index=1, id="call_2", name="add")),
            chunk(finish_reason="length"),
        )
        with ReplayServer([HELLO, Recording(id="cut", body=wire)]) as server:
            llm = chat(server, "cut").bind_tools([add])
            messages = [
                llm.invoke(QUESTION),
                total(llm.stream(QUESTION)),
                chat(server, "cut", output_version="v1").bind_tools([add]).invoke(QUESTION),
                total(chat(server, "cut", output_version="v1").bind_tools([add]).stream(QUESTION)),
                llm.stream_events(QUESTION, version="v3").output,
            ]
            turns = []
            for message in messages:
                assert isinstance(message, AIMessage)
                assert [call["id"] for call in message.invalid_tool_calls] == ["call_2"]
                history: list[BaseMessage] = [
                    HumanMessage(QUESTION),
                    message,
                    ToolMessage("3", tool_call_id="call_1"),
                    ToolMessage("It was cut off.", tool_call_id="call_2", status="error"),
                ]
                chat(server, "hello").invoke(history)
                last = server.requests[-1].body
                assert last is not None
                _, turn, *answers = last["messages"]
                assert [one["tool_call_id"] for one in answers] == ["call_1", "call_2"]
                turns.append(turn)
        for turn in turns:
            assert turn["reasoning"] == "Hm."
            assert turn["role"] == "assistant"
            assert not turn["content"]
            arguments = [json.loads(one["function"]["arguments"]) for one in turn["tool_calls"]]
            assert arguments == [{"a": 1, "b": 2}, {"invalid_arguments": '{"a": "1'}]
            assert [one["id"] for one in turn["tool_calls"]] == ["call_1", "call_2"]


class TestStreamingInside:
    async def test_is_given_up_for_what_is_not_streamed(self, server: ReplayServer) -> None:
        for field in ({"prompt_logprobs": 1}, {"kv_transfer_params": {"a": 1}}):
            llm = chat(server, "whole", **field)
            messages = [
                llm.invoke(QUESTION),
                await llm.ainvoke(QUESTION),
                total(llm.stream(QUESTION)),
                total([one async for one in llm.astream(QUESTION)]),
                chat(server, "whole").invoke(QUESTION, **field),
            ]
            requests = [one.body for one in server.requests[-len(messages) :]]
            assert all(one and one["stream"] is False for one in requests)
            assert all(one and "stream_options" not in one for one in requests)
            for message in messages:
                assert message.text == "Hi"
                told = json.loads(WHOLE.body)
                metadata = message.response_metadata
                assert metadata["prompt_logprobs"] == told["prompt_logprobs"]
                assert metadata["kv_transfer_params"] == told["kv_transfer_params"]
                assert message.usage_metadata is not None
                assert message.usage_metadata["total_tokens"] == 5

    @pytest.mark.parametrize(
        ("fields", "kwargs", "streamed"),
        [
            ({}, {}, True),
            ({"streaming": True}, {}, True),
            ({"streaming": False}, {}, False),
            ({"disable_streaming": True}, {}, False),
            ({"disable_streaming": "tool_calling"}, {}, True),
            ({}, {"stream": False}, False),
            ({"streaming": False}, {"stream_options": {"include_usage": True}}, False),
            ({"streaming": False, "stream_options": {"include_usage": True}}, {}, False),
        ],
    )
    async def test_is_switched_off_as_langchain_does(
        self, server: ReplayServer, fields: dict[str, Any], kwargs: Any, *, streamed: bool
    ) -> None:
        model = "hello" if streamed else "whole"
        llm = chat(server, model, **fields)
        for message in (llm.invoke(QUESTION, **kwargs), await llm.ainvoke(QUESTION, **kwargs)):
            assert message.text == "Hi"
            last = server.requests[-1].body
            assert last is not None
            assert last["stream"] is streamed
            assert ("stream_options" in last) is streamed

    def test_is_switched_off_with_tools_only(self, server: ReplayServer) -> None:
        llm = chat(server, "whole", disable_streaming="tool_calling")
        llm.bind_tools([add]).invoke(QUESTION)
        assert sent(server).keys() == {"tools"}
        last = server.requests[-1].body
        assert last is not None
        assert last["stream"] is False

    @pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", "extra_body"])
    def test_a_body_that_used_up_its_tokens_is_not_trusted(self, limit: str) -> None:
        answer = json.loads(WHOLE.body)
        message = answer["choices"][0]["message"]
        call = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": call}]
        answer["choices"][0]["finish_reason"] = "tool_calls"
        answer["usage"] = usage(3, 9)["usage"]
        cut = Recording(id="cut", body=json.dumps(answer).encode(), content_type="application/json")
        with ReplayServer([cut]) as server:
            for allowed, runs in ((9, 0), (10, 1)):
                given = {"extra_body": {"max_tokens": allowed}} if limit == "extra_body" else {}
                fields = given or {limit: allowed}
                llm = chat(server, "cut", streaming=False, **fields).bind_tools([add])
                got = llm.invoke(QUESTION)
                assert isinstance(got, AIMessage)
                assert len(got.tool_calls) == runs
                assert len(got.invalid_tool_calls) == 1 - runs
