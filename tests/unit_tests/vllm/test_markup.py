"""`ChatVLLM(tool_call_parser=...)`: what is asked for, and what is made of what comes."""

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ChatVLLM
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.markup import LEAVES_TEXT_ALONE, MarkupChunks
from tests.unit_tests.vllm.mocked import READS, MockedServer, Read, streamed
from tests.unit_tests.vllm.wire import body
from tests.unit_tests.vllm.wire import chunk as chunk_of

SERVER = ("http://test/v1", "tiny")
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TOOL = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}
OTHER = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 3, "b": 12}}\n</tool_call>'


@pytest.fixture(autouse=True)
def _knows_no_server() -> None:
    LEAVES_TEXT_ALONE.forget(SERVER)


def chunk(delta: dict[str, Any], *tokens: str, **more: Any) -> dict[str, Any]:
    logprobs = {"content": [{"token": token} for token in tokens]} if tokens else None
    return {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs, **more}]}


def message(chunks: list[dict[str, Any]], *, asked: bool = True, **options: Any) -> AIMessage:
    markup = MarkupChunks(
        options.pop("parser", "hermes"),
        [TOOL, OTHER],
        server=SERVER,
        asked_logprobs=asked,
        thoughts_begun=options.pop("thoughts_begun", False),
    )
    reader = AnswerReader(markup=markup)
    for one in chunks:
        reader.feed(b"data: " + json.dumps(one).encode() + b"\n\n")
    reader.close()
    found = reader.result().generations[0].message
    assert isinstance(found, AIMessage)
    return found


def calls(found: AIMessage) -> list[Any]:
    return [(call["name"], call["args"]) for call in found.tool_calls]


WANTED = [("add", {"a": 3, "b": 12})]
END: dict[str, Any] = {"finish_reason": "stop", "stop_reason": None}


def test_calls_out_of_content() -> None:
    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({"content": one}) for one in ("So: ", CALL[:20], CALL[20:])]
    found = message([*pieces, chunk({}, **END)])
    assert calls(found) == WANTED
    assert found.content == "So: "
    assert not LEAVES_TEXT_ALONE.knows(SERVER)  # nothing has shown that it always does


def test_a_parser_of_the_server_that_swallows_the_calls() -> None:
    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({}, one) for one in (CALL[:12], CALL[12:30], CALL[30:])]
    pieces += [chunk({"content": "\n"}, "<|im_end|>", **END)]
    found = message(pieces)
    assert calls(found) == WANTED
    assert found.content == ""
    assert "logprobs" not in found.response_metadata
    assert not LEAVES_TEXT_ALONE.knows(SERVER)


def test_a_server_that_leaves_the_text_alone_is_remembered() -> None:
    pieces = [chunk({"content": one}, one) for one in (CALL[:12], CALL[12:])]
    assert calls(message([*pieces, chunk({}, "<|im_end|>", **END)])) == WANTED
    assert LEAVES_TEXT_ALONE.knows(SERVER)


def test_thoughts_that_the_servers_reasoning_parser_shows() -> None:
    pieces = [
        chunk({"reasoning": "Add"}, "Add"),
        chunk({"reasoning": " them."}, " them."),
        chunk({}, "</think>"),
        chunk({"content": "\n\n"}, "\n\n"),
        chunk({}, CALL),
        chunk({}, "<|im_end|>", **END),
    ]
    found = message(pieces)
    assert calls(found) == WANTED
    assert (found.content, found.additional_kwargs["reasoning_content"]) == ("", "Add them.")


@pytest.mark.parametrize("by_tokens", [True, False])
def test_thoughts_that_nobody_else_reads(by_tokens: bool) -> None:  # noqa: FBT001
    texts = ("Perhaps ", CALL, "?</think>\n\n", "No.")
    pieces = [chunk({"content": one}, *([one] if by_tokens else [])) for one in texts]
    found = message([*pieces, chunk({}, **END)], thoughts_begun=True)
    assert (calls(found), found.content) == ([], "No.")
    assert found.additional_kwargs["reasoning_content"] == f"Perhaps {CALL}?"


def test_a_whole_body() -> None:
    body = {"choices": [{"index": 0, "message": {"content": f"So: {CALL}"}, **END}]}
    markup = MarkupChunks(
        "hermes", [TOOL], server=SERVER, asked_logprobs=False, thoughts_begun=False
    )
    reader = AnswerReader(markup=markup)
    reader.feed_body(json.dumps(body).encode())
    reader.close()
    found = reader.result().generations[0].message
    assert calls(found) == WANTED  # type: ignore[arg-type]
    assert found.content == "So: "


def test_a_call_that_max_tokens_cut_is_invalid() -> None:
    cut = [chunk({"content": CALL[:50]}), chunk({}, finish_reason="length")]
    found = message(cut)
    assert found.tool_calls == []
    (invalid,) = found.invalid_tool_calls
    assert "length" in str(invalid["error"])


def payload(llm: ChatVLLM, **options: Any) -> dict[str, Any]:
    bound = llm.bind_tools([TOOL, OTHER], **options)
    kwargs = dict(bound.kwargs)  # type: ignore[attr-defined]
    return llm._answer([], None, kwargs).payload


def llm(parser: str = "hermes", **fields: Any) -> ChatVLLM:
    return ChatVLLM(model="tiny", base_url=SERVER[0], tool_call_parser=parser, **fields)


def test_what_is_asked_for() -> None:
    sent = payload(llm())
    assert (sent["tool_choice"], sent["logprobs"]) == ("none", True)
    assert sent["extra_body"] == {"skip_special_tokens": False}
    LEAVES_TEXT_ALONE.learn(SERVER)
    assert "logprobs" not in payload(llm())


def tag_of(sent: dict[str, Any]) -> dict[str, Any]:
    tag = json.loads(sent["extra_body"]["structured_outputs"]["structural_tag"])
    assert isinstance(tag, dict)
    return tag["format"]


@pytest.mark.parametrize(
    ("options", "at_least_one", "first_only", "tools"),
    [
        ({"tool_choice": "required"}, True, False, 2),
        ({"tool_choice": "add"}, True, True, 1),
        ({"parallel_tool_calls": False}, False, True, 2),
        ({"strict": True}, False, False, 2),
    ],
)
def test_choices_are_a_structural_tag(
    options: dict[str, Any],
    at_least_one: bool,  # noqa: FBT001
    first_only: bool,  # noqa: FBT001
    tools: int,
) -> None:
    sent = payload(llm(), **options)
    format_ = tag_of(sent)
    assert sent["tool_choice"] == "none"
    assert (format_["at_least_one"], format_["stop_after_first"]) == (at_least_one, first_only)
    assert len(format_["tags"]) == tools


def test_none_and_no_tools_are_left_alone() -> None:
    sent = payload(llm(), tool_choice="none")
    assert (sent["tool_choice"], "logprobs" in sent) == ("none", False)
    assert "logprobs" not in llm()._answer([], None, {}).payload


def test_without_the_option_nothing_changes() -> None:
    sent = payload(ChatVLLM(model="tiny", base_url=SERVER[0]))
    assert "tool_choice" not in sent
    assert "logprobs" not in sent


def test_a_format_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"No format 'qwen' is known.*qwen3_coder"):
        llm("qwen")


def test_strict_in_a_format_without_a_tag() -> None:
    with pytest.raises(ValueError, match=r"'pythonic'.*Formats that can: "):
        payload(llm("pythonic"), strict=True)


LEFT = body(chunk_of(content=CALL), chunk_of(finish_reason="stop"))


def invalid_of(read: Any) -> list[Any]:
    """The invalid calls of whatever a way to read gives, by v3's finishes where it is events."""
    if isinstance(read, AIMessage):
        return [(one["name"], one["error"]) for one in read.invalid_tool_calls]
    if isinstance(read[0], AIMessageChunk):
        total = reduce(add, read)
        reasons = total.response_metadata["invalid_tool_calls"]
        return [(one["name"], reasons[one["id"]]) for one in total.invalid_tool_calls]
    blocks = [one["content"] for one in read if one["event"] == "content-block-finish"]
    return [(b["name"], b["error"]) for b in blocks if b["type"] == "invalid_tool_call"]


@pytest.mark.parametrize("read", READS)
async def test_a_call_that_the_server_left_in_the_text_is_invalid_on_every_path(read: Read) -> None:
    server = MockedServer(lambda _: streamed(LEFT))
    ((name, error),) = invalid_of(await read(server.llm().bind_tools([TOOL, OTHER])))
    assert name == "add"
    assert error.startswith("The server left this call in the text of the answer.")
    assert 'ChatVLLM(tool_call_parser="hermes")' in error


@pytest.mark.parametrize(
    "asked", [{"tool_choice": "none"}, {"structured_outputs": {"regex": ".*"}}]
)
def test_a_text_that_was_asked_for_is_a_text(asked: dict[str, Any]) -> None:
    server = MockedServer(lambda _: streamed(LEFT))
    found = server.llm().bind_tools([TOOL, OTHER], **asked).invoke("go")
    assert (found.content, found.invalid_tool_calls) == (CALL, [])
