"""What an answer says beside its message: the same streamed and whole, whatever it is."""

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai.chat_models.base import OpenAIRefusalError

from langchain_toolstream import ChatVLLM
from langchain_toolstream.core.errors import ServerStreamError, StreamInterruptedError
from langchain_toolstream.vllm import VLLMRefusalError
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.details import add_usage, usage_metadata
from tests.unit_tests.vllm.mocked import MockedServer, streamed
from tests.unit_tests.vllm.wire import DONE, body, chunk, event, usage

END = chunk(finish_reason="stop")


def read(wire: bytes) -> tuple[AIMessageChunk, AIMessage]:
    """The sum of the chunks and the whole message."""
    reader = AnswerReader()
    builder = ChunkBuilder(reader)
    total = reduce(add, [*builder.build(reader.feed(wire)), *builder.build(reader.close())])
    summed = total.message
    (generation, *_) = reader.result().generations
    assert isinstance(summed, AIMessageChunk)
    assert isinstance(generation.message, AIMessage)
    assert total.generation_info == generation.generation_info
    assert summed.usage_metadata == generation.message.usage_metadata
    info = generation.generation_info or {}
    generation.message.response_metadata |= info
    return summed, generation.message


def of_choice(choice: int = 0, **fields: Any) -> dict[str, Any]:
    """A chunk whose choice has further fields."""
    made = chunk(content="a", choice=choice)
    made["choices"][0] |= fields
    return made


class TestMetadata:
    def test_token_ids_are_joined_and_those_of_the_prompt_are_not(self) -> None:
        first = {**of_choice(token_ids=[1, 2]), "prompt_token_ids": [7, 8], "prompt_text": "Hi"}
        wire = body(first, of_choice(token_ids=None), of_choice(token_ids=[3]), END)
        metadata = read(wire)[1].response_metadata
        assert metadata["token_ids"] == [1, 2, 3]
        assert metadata["prompt_token_ids"] == [7, 8]
        assert metadata["prompt_text"] == "Hi"

    def test_each_choice_has_its_own(self) -> None:
        reader = AnswerReader()
        reader.feed(
            body(
                of_choice(0, token_ids=[1]),
                of_choice(1, token_ids=[2]),
                chunk(choice=0, finish_reason="stop"),
                chunk(choice=1, finish_reason="stop"),
                usage(3, 2),
            )
        )
        reader.close()
        generations = reader.result().generations
        assert [(one.generation_info or {})["token_ids"] for one in generations] == [[1], [2]]
        messages = [one.message for one in generations]
        used = [one.usage_metadata for one in messages if isinstance(one, AIMessage)]
        assert [one and one["total_tokens"] for one in used] == [5, None]

    def test_metrics_and_the_rest(self) -> None:
        rest = {
            "metrics": {"time_to_first_token_ms": 1.5, "speculative_decoding": None},
            "service_tier": "default",
            "kv_transfer_params": {"a": 1},
            "ec_transfer_params": {"b": 2},
            "prompt_logprobs": [None],
        }
        metadata = read(body(chunk(content="a"), END, {**usage(3, 2), **rest}))[1].response_metadata
        assert {name: metadata[name] for name in rest} == rest
        assert metadata["token_usage"] == usage(3, 2)["usage"]


class TestSince33:
    """What vLLM 0.33 adds to the last chunk of a choice."""

    def test_kv_transfer_params_of_a_stream(self) -> None:
        wire = body({**chunk(content="a"), "kv_transfer_params": None},
                    {**END, "kv_transfer_params": {"a": 1}})  # fmt: skip
        assert read(wire)[1].response_metadata["kv_transfer_params"] == {"a": 1}

    def test_weight_versions(self) -> None:
        spans = [{"start": 0, "end": 5, "version": "1"}]
        metadata = read(body(of_choice(weight_versions=spans), END))[1].response_metadata
        assert metadata["weight_versions"] == spans


USAGES: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": 13,
            "prompt_tokens_details": {
                "cached_tokens": 5,
                "created_cache_tokens": 2,
                "multimodal_tokens": {"image": 3, "audio": 1},
            },
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        {"cache_read": 5, "cache_creation": 2, "image": 3, "audio": 1},
        {"reasoning": 3},
    ),
    (
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": None},
        {},
        {},
    ),
    (
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": "13",
            "prompt_tokens_details": 5,
            "completion_tokens_details": [{"reasoning_tokens": 3}],
        },
        {},
        {},
    ),
    (
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": -1, "multimodal_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": True},
        },
        {},
        {},
    ),
]


class TestUsage:
    @pytest.mark.parametrize(("told", "in_prompt", "in_answer"), USAGES)
    def test_is_read(self, told: Any, in_prompt: Any, in_answer: Any) -> None:
        _, message = read(body(chunk(content="a"), END, {"choices": [], "usage": told}))
        assert message.usage_metadata == {
            "input_tokens": 9,
            "output_tokens": 4,
            "total_tokens": 13,
            "input_token_details": in_prompt,
            "output_token_details": in_answer,
        }
        assert message.response_metadata["token_usage"] == told

    @pytest.mark.parametrize(
        "told", [None, {}, {"prompt_tokens": "9"}, {"prompt_tokens": [9]}, {"total_tokens": 9}, 5]
    )
    def test_without_counts_is_none(self, told: Any) -> None:
        _, message = read(body(chunk(content="a"), END, {"choices": [], "usage": told}))
        assert message.usage_metadata is None

    def test_of_several_answers_is_added_up(self) -> None:
        first = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}
        second = {
            "prompt_tokens": 2,
            "prompt_tokens_details": {"multimodal_tokens": {"image": 3}},
            "odd": "a",
        }
        odd = {"prompt_tokens": "x", "prompt_tokens_details": 5, "odd": {"b": 1}}
        combine = ChatVLLM(model="tiny")._combine_llm_outputs
        outputs = [{"token_usage": one} for one in (first, second)]
        assert combine([*outputs, None, {}]) == {
            "model_name": "tiny",
            "token_usage": {
                "prompt_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1, "multimodal_tokens": {"image": 3}},
                "odd": "a",
            },
        }
        assert combine([{"token_usage": odd}, *outputs])["token_usage"].keys() == second.keys()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "id", "model", "system_fingerprint", "usage", "metrics", "prompt_token_ids", "prompt_logprobs",
    "kv_transfer_params", "choices", "error", "object",
)  # fmt: skip
OF_CHOICE = (
    "index", "delta", "message", "finish_reason", "stop_reason", "logprobs", "token_ids",
    "routed_experts",
)  # fmt: skip


@given(
    chunks=st.lists(
        st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)
        | st.dictionaries(st.sampled_from(OF_CHOICE), JSON, max_size=4).map(
            lambda choice: {"choices": [choice]}
        ),
        max_size=4,
    )
)
def test_any_json_is_read_or_raises_our_error(chunks: list[Any]) -> None:
    try:
        read(body(chunk(content="a"), *chunks, END))
    except StreamInterruptedError:
        return


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": {"content": 5}},
        {"logprobs": 5},
        {"logprobs": {"content": [{"token": "a"}]}, "index": {}},
        {"logprobs": {"content": {"token": "a"}}, "index": []},
        {"token_ids": 5},
        {"token_ids": {"a": 1}, "index": {}},
    ],
)
def test_odd_fields_of_a_choice_are_no_error(fields: dict[str, Any]) -> None:
    _, message = read(body(of_choice(**fields), END))
    assert message.text == "a"


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":['])
@pytest.mark.parametrize("where", ["{}", '{{"choices":{}}}', '{{"b":"\\ud83d","metrics":{}}}'])
@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_json_that_is_too_deep_is_the_servers_error(opening: str, where: str, depth: int) -> None:
    closing = "".join("]" if char == "[" else "}" for char in reversed(opening) if char in "[{")
    text = where.format(opening * depth + "1" + closing * depth)
    wire = event(chunk(content="a")) + b"data: " + text.encode() + b"\n\n" + DONE
    with pytest.raises(ServerStreamError, match=r"nested too deeply|no JSON object"):
        read(wire)
    whole = AnswerReader()
    with pytest.raises(ServerStreamError, match=r"nested too deeply|no JSON object"):
        whole.feed_body(text.encode())


def test_a_sum_of_counts_of_other_kinds_is_one_of_them() -> None:
    assert add_usage({"a": 1}, 5) == {"a": 1}
    assert add_usage(None, 5) == 5
    assert usage_metadata(json.loads("{}")) is None


class TestRefusal:
    """Kept where `ChatOpenAI` keeps it: `additional_kwargs["refusal"]`."""

    WIRES = (
        body(chunk(refusal="I can't "), chunk(refusal="help."), END),
        body(chunk(content=[{"type": "refusal", "refusal": "I can't help."}]), END),
        event({"choices": [{"index": 0, "finish_reason": "stop",
                            "message": {"content": None, "refusal": "I can't help."}}]})[6:],
    )  # fmt: skip

    @pytest.mark.parametrize("wire", WIRES)
    def test_is_in_the_message(self, wire: bytes) -> None:
        server = MockedServer(lambda _: streamed(wire))
        llm = server.llm()
        whole = llm.invoke("go")
        summed = reduce(add, llm.stream("go"))
        for message in (whole, summed):
            assert message.additional_kwargs["refusal"] == "I can't help."
            assert message.content == ""

    @pytest.mark.parametrize("wire", WIRES)
    @pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
    def test_a_structured_answer_raises_it(self, wire: bytes, method: Any) -> None:
        server = MockedServer(lambda _: streamed(wire))
        schema = {"title": "Form", "type": "object", "properties": {"a": {"type": "string"}}}
        form = server.llm().with_structured_output(schema, method=method)
        with pytest.raises(VLLMRefusalError, match="I can't help") as raised:
            form.invoke("go")
        assert isinstance(raised.value, OpenAIRefusalError)
        with pytest.raises(VLLMRefusalError):
            list(form.stream("go"))
        raw = server.llm().with_structured_output(schema, method=method, include_raw=True)
        assert isinstance(raw.invoke("go")["parsing_error"], VLLMRefusalError)


THOUGHTS = [
    [{"type": "thinking", "thinking": [{"type": "text", "text": "a greeting"}]}],
    [{"type": "thinking", "thinking": "a greeting"}],
    [{"type": "reasoning", "reasoning": "a greeting"}],
    [{"type": "reasoning", "text": "a greeting"}],
]


@pytest.mark.parametrize("thoughts", THOUGHTS)
def test_thinking_as_parts_of_the_content_is_reasoning(thoughts: Any) -> None:
    wire = body(chunk(content=thoughts), chunk(content=[{"type": "text", "text": "Hi"}]), END)
    llm = MockedServer(lambda _: streamed(wire)).llm()
    for message in (llm.invoke("go"), reduce(add, llm.stream("go"))):
        assert message.content == "Hi"
        assert message.additional_kwargs["reasoning_content"] == "a greeting"
