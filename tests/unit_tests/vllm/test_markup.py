"""`ChatVLLM(tool_call_parser=...)`: what is asked for, and what is made of what comes."""

import json
from functools import reduce
from operator import add
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from langchain_toolstream import ChatVLLM
from langchain_toolstream.vllm import VLLMEmptyOutputError
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.markup import MarkupChunks
from langchain_toolstream.vllm.response.roads import ROADS
from tests.unit_tests.vllm.mocked import (
    BASE,
    READS,
    MockedServer,
    Read,
    ainvoke,
    invoke,
    streamed,
)
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
    ROADS.forget(SERVER)


def chunk(delta: dict[str, Any], *tokens: str, **more: Any) -> dict[str, Any]:
    logprobs = {"content": [{"token": token} for token in tokens]} if tokens else None
    return {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs, **more}]}


def message(chunks: list[dict[str, Any]], *, asked: bool = True, **options: Any) -> AIMessage:
    markup = MarkupChunks([TOOL, OTHER])
    markup.restart(options.pop("parser", "hermes"), asked_logprobs=asked, **options)
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


def test_a_parser_of_the_server_that_swallows_the_calls() -> None:
    pieces = [chunk({"role": "assistant", "content": ""})]
    pieces += [chunk({}, one) for one in (CALL[:12], CALL[12:30], CALL[30:])]
    pieces += [chunk({"content": "\n"}, "<|im_end|>", **END)]
    found = message(pieces)
    assert calls(found) == WANTED
    assert found.content == ""
    assert "logprobs" not in found.response_metadata


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
    markup = MarkupChunks([TOOL])
    markup.restart("hermes")
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
    assert sent["extra_body"] == {"skip_special_tokens": False, "return_prompt_text": True}
    ROADS.learn(SERVER, "content")
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


@pytest.mark.parametrize(
    ("parser", "end"),
    [("hermes", "</think>"), ("seed_oss", "</seed:think>"), ("inkling", "<|end_message|>")],
)
def test_thoughts_that_the_prompt_begins_end_in_the_formats_own_tag(parser: str, end: str) -> None:
    first, _ = tag_of(payload(llm(parser, thoughts_begun=True), tool_choice="any"))["elements"]
    assert first["end"] == f"{end}\n\n"


def test_the_history_is_the_same_whoever_reads() -> None:
    history = [
        HumanMessage("What is 3 * 12?"),
        AIMessage(
            "Let me see.",
            tool_calls=[{"name": "add", "args": {"a": 3, "b": 12}, "id": "a"}],
            invalid_tool_calls=[
                {"name": "add", "args": '{"a": 3,   "b": 12', "id": "b", "error": "cut"}
            ],
            additional_kwargs={"reasoning_content": "Add."},
        ),
        ToolMessage("15", tool_call_id="a"),
        ToolMessage("The call is invalid.", tool_call_id="b", status="error"),
    ]
    by_us, by_server = (
        model._answer(history, None, {"tools": [TOOL]}).payload
        for model in (llm(), ChatVLLM(model="tiny", base_url=SERVER[0]))
    )
    assert by_us["messages"] == by_server["messages"]
    assert by_us["tools"] == by_server["tools"]
    (_, told) = by_us["messages"][1]["tool_calls"]
    assert json.loads(told["function"]["arguments"]) == {"invalid_arguments": '{"a": 3,   "b": 12'}


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


class Roadside:
    """A server, by what it answers under each path; it notes which were asked for."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.bodies: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.rpartition("/")[2]
        sent = json.loads(request.content or b"{}")
        if path == "completions":
            path = "chat" if "chat" in request.url.path else "text"
        if path == "chat":
            path = "tokens" if sent.get("logprobs") else "content"
        self.asked.append(path)
        self.bodies.append(sent)
        answer = self.answers.get(path, (404, {"message": "Not Found"}))
        answer = answer(sent) if callable(answer) else answer
        if isinstance(answer, bytes):
            return streamed(answer)
        return httpx2.Response(answer[0], json=answer[1])


def plain(*texts: str, tokens: tuple[str, ...] = ()) -> bytes:
    """A chat answer whose text is this, with its tokens where they are given."""
    pieces = [chunk({}, *tokens)] if tokens else []
    pieces += [chunk({"content": one}) for one in texts]
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 40}}
    return body(*pieces, chunk({}, **END), usage)


PROMPT = (
    200,
    {"tokens": [1, 2, 3], "max_model_len": 1000, "token_strs": ["a", "<think>", "\u010a"]},
)
RAW = body(
    *({"choices": [{"index": 0, "text": one}]} for one in ("Add.</think>\n\n", CALL)),
    {"choices": [{"index": 0, "text": "", **END}]},
)


def model(server: Roadside, name: str) -> Any:
    llm = MockedServer(server).llm(model=name, tool_call_parser="hermes")  # type: ignore[arg-type]
    return llm.bind_tools([TOOL, OTHER])


@pytest.mark.parametrize("read", [invoke, ainvoke])
async def test_a_server_that_leaves_the_text_alone_is_asked_for_the_text(read: Read) -> None:
    server = Roadside(tokens=plain(CALL, tokens=(CALL,)), content=plain(CALL))
    llm = model(server, f"alone-{read.__name__}")
    for _ in range(2):
        assert calls(await read(llm)) == WANTED
    assert server.asked == ["tokens", "content"]


@pytest.mark.parametrize("read", [invoke, ainvoke])
async def test_where_no_tokens_come_the_prompt_is_sent_as_tokens(read: Read) -> None:
    server = Roadside(tokens=plain("\n"), tokenize=PROMPT, text=RAW)
    llm = model(server, f"no-tokens-{read.__name__}")
    for _ in range(2):
        found = await read(llm)
        assert calls(found) == WANTED
        assert found.additional_kwargs["reasoning_content"] == "Add."
    assert server.asked == ["tokens", "tokenize", "text", "tokenize", "text"]
    sent = server.bodies[2]
    assert (sent["prompt"], sent["max_tokens"]) == ([1, 2, 3], 997)
    assert "tools" not in sent


def test_a_server_that_refuses_logprobs() -> None:
    refused = (400, {"error": {"message": "logprobs are off"}})
    server = Roadside(tokens=refused, tokenize=PROMPT, text=RAW)
    assert calls(model(server, "refuses").invoke("go")) == WANTED


def test_where_there_is_no_other_road_the_text_is_read() -> None:
    server = Roadside(tokens=plain(CALL), content=plain(CALL))
    llm = model(server, "no-road")
    assert calls(llm.invoke("go")) == calls(llm.invoke("go")) == WANTED
    assert server.asked == ["tokens", "tokenize", "content", "content"]


def test_a_swallowed_answer_is_never_one_without_calls() -> None:
    server = Roadside(tokens=plain("\n"), content=plain("\n"))
    with pytest.raises(VLLMEmptyOutputError):
        model(server, "swallows").invoke("go")


def test_a_server_that_was_started_anew_with_a_parser_that_swallows() -> None:
    server = Roadside(content=plain("\n"), tokens=plain("\n", tokens=(CALL,)))
    ROADS.learn((BASE, "anew"), "content")
    llm = model(server, "anew")
    assert calls(llm.invoke("go")) == calls(llm.invoke("go")) == WANTED
    assert server.asked == ["content", "tokens", "tokens"]


def test_images_have_no_tokens() -> None:
    server = Roadside(tokens=plain(CALL), tokenize=PROMPT, text=RAW, content=plain(CALL))
    image = {"type": "image_url", "image_url": {"url": "http://x/a.png"}}
    assert calls(model(server, "images").invoke([("user", [image])])) == WANTED
    assert server.asked == ["tokens", "content"]


def test_a_call_in_another_format_than_the_one_that_is_read() -> None:
    other = "<tool_call>\n<function=add>\n<parameter=a>\n3\n</parameter>\n</function>\n</tool_call>"
    server = Roadside(tokens=plain(other, tokens=(other,)))
    (invalid,) = model(server, "other").invoke("go").invalid_tool_calls
    assert "The client reads the format hermes" in invalid["error"]
    assert 'tool_call_parser="qwen3_coder"' in invalid["error"]


@pytest.mark.parametrize(
    ("name", "root", "asked"),
    [
        ("Qwen/Qwen3-Coder-30B", None, ["tokens"]),
        ("mine", "/models/Qwen3-Coder-30B", ["models", "tokens"]),
        ("another", "/models/another", ["models", "tokens"]),
    ],
)
def test_auto_goes_by_the_models_name_its_root_or_what_it_writes(
    name: str, root: str | None, asked: list[str]
) -> None:
    written = "<tool_call>\n<function=now>\n</function>\n</tool_call>"
    cards = (200, {"data": [{"id": name, "root": root}]})
    server = Roadside(
        models=cards, tokens=plain(written, tokens=(written,)), content=plain(written)
    )
    llm = MockedServer(server).llm(model=name, tool_call_parser="auto")  # type: ignore[arg-type]
    assert calls(llm.bind_tools([TOOL, OTHER]).invoke("go")) == [("now", {})]
    assert server.asked == asked
    tag = llm.bind_tools([TOOL, OTHER], strict=True)
    if name == "another":
        with pytest.raises(ValueError, match="'auto'"):
            tag.invoke("go")
    else:
        tag.invoke("go")
        assert tag_of({"extra_body": server.bodies[-1]})["triggers"] == ["<tool_call>\n<function="]


def test_a_server_that_hides_the_tools_under_none_is_made_to_show_them() -> None:
    hidden = {"choices": [], "prompt_text": "user: What is 3 * 12?"}
    server = Roadside(
        content=plain(CALL),
        tokens=lambda sent: body(
            hidden if "chat_template_kwargs" not in sent else {**hidden, "prompt_text": "add"},
            chunk({"content": CALL}, CALL),
            chunk({}, **END),
        ),
    )
    llm = model(server, "hides")
    assert calls(llm.invoke("go")) == calls(llm.invoke("go")) == WANTED
    assert server.asked == ["tokens", "tokens", "content"]
    assert [one.get("return_prompt_text") for one in server.bodies] == [True, None, None]
    assert "chat_template_kwargs" not in server.bodies[0]
    for sent in server.bodies[1:]:
        assert sent["chat_template_kwargs"] == {"tools": sent["tools"]}
