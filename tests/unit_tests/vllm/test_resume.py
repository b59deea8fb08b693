"""Answers that broke off and went on: each is the undisturbed one, or the error says why not."""

import logging
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_toolstream import ChatVLLM
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.vllm.errors import VLLMIncompleteStreamError, VLLMStreamError
from langchain_toolstream.vllm.response.roads import ROADS
from tests.unit_tests.vllm.mocked import BASE, READS, Read, ainvoke, invoke
from tests.unit_tests.vllm.resumable import (
    PROMPT,
    Break,
    Kind,
    Replica,
    asked,
    served,
    written,
)

TEXT = "Hello world 🦀 fine."
PIECES = ("Hello", " wor", "ld", "", "", " 🦀", " fine", ".")
BODY = written(*PIECES)
CHUNKS = len(PIECES) + 3
KINDS: tuple[Kind, ...] = ("cut", "fail", "stall", "garbage", "half")


def llm(replica: Replica, **fields: Any) -> ChatVLLM:
    return served(replica).llm(**{"max_resumes": 2, **fields})


def alike(value: Any) -> Any:
    """What is said, without ids, and without how often it went on."""
    if isinstance(value, list | tuple):
        return [alike(one) for one in value]
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict):
        hidden = ("id", "resumes", "run_id", "created")
        return {name: alike(one) for name, one in value.items() if name not in hidden}
    return value


class TestTheAnswerIsTheUndisturbedOne:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("read", READS, ids=lambda read: read.__name__)
    async def test_text(self, read: Read, kind: Kind) -> None:
        whole = alike(await read(llm(Replica(body=BODY), max_resumes=0, coalesce=False)))
        for after in range(CHUNKS - 1):
            replica = Replica(body=BODY, breaks=[Break(after=after, kind=kind)])
            said = await read(llm(replica, coalesce=False))
            assert alike(said) == whole, after

    @pytest.mark.parametrize("kind", ["cut", "stall", "half"])
    def test_what_breaks_behind_the_finish_reason_is_whole(self, kind: Kind) -> None:
        for after in (CHUNKS - 1, CHUNKS):
            replica = Replica(body=BODY, breaks=[Break(after=after, kind=kind)])
            message = llm(replica).invoke("go")
            assert message.content == TEXT
            assert message.usage_metadata is not None
            assert message.usage_metadata["total_tokens"] == len(PROMPT) + len(PIECES) + 1
            assert "resumes" not in message.response_metadata
            assert len(replica.requests) == 1

    def test_it_breaks_twice(self, caplog: pytest.LogCaptureFixture) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=3), Break(after=4, kind="fail")])
        with caplog.at_level(logging.WARNING, logger="langchain_toolstream"):
            message = llm(replica).invoke("go")
        assert message.content == TEXT
        assert message.response_metadata["resumes"] == 2
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == len(PIECES) + 1
        told = [record.getMessage() for record in caplog.records]
        assert ["broke off after 2 tokens" in told[0], "2 of 2" in told[1]] == [True, True]

    def test_the_tokens_are_shown_to_whom_asked_for_them(self) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=5)])
        message = llm(replica, return_token_ids=True).invoke("go")
        assert message.response_metadata["token_ids"] == [*range(100, 100 + len(PIECES)), 2]
        assert message.response_metadata["prompt_token_ids"] == PROMPT
        replica = Replica(body=BODY, breaks=[Break(after=5)])
        assert "token_ids" not in llm(replica).invoke("go").response_metadata

    def test_the_second_request(self) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=5)])
        llm(
            replica, max_tokens=50, min_tokens=4, request_id="mine", truncate_prompt_tokens=9
        ).invoke("go")
        (_, first), (where, asked), (_, second) = replica.requests
        assert (where, asked["tokens"]) == ("/detokenize", [100, 101, 102])
        assert second.pop("kv_transfer_params") == {"prompt_token_ids": [*PROMPT, 100, 101, 102]}
        assert (second.pop("max_tokens"), first.pop("max_tokens")) == (47, 50)
        assert (second.pop("min_tokens"), first.pop("min_tokens")) == (1, 4)
        assert (second.pop("request_id"), first.pop("request_id")) == ("mine-1", "mine")
        assert first.pop("truncate_prompt_tokens") == 9
        assert second == first

    def test_it_costs_one_more_field_to_ask(self) -> None:
        with_, without = Replica(body=BODY), Replica(body=BODY)
        llm(with_).invoke("go")
        llm(without, max_resumes=0).invoke("go")
        ((_, asked),), ((_, plain),) = with_.requests, without.requests
        assert asked == {**plain, "return_token_ids": True}

    def test_a_chunk_of_several_tokens_that_ends_inside_a_character(self) -> None:
        # As with stream_interval, or under load: "ld" and the first token of the crab.
        def several(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
            first, second = chunks[3], chunks[4]
            ids = first["choices"][0]["token_ids"] + second["choices"][0]["token_ids"]
            both = {**first, "choices": [{**first["choices"][0], "token_ids": ids}]}
            return [*chunks[:3], both, *chunks[5:]] if len(chunks) == CHUNKS else chunks

        class Partial(Replica):
            def text_of(self, ids: list[int]) -> str:
                return super().text_of(ids) + ("\ufffd" if ids[-1] in (103, 104) else "")

        replica = Partial(body=BODY, breaks=[Break(after=4)], edit_all=several)
        assert llm(replica).invoke("go").content == TEXT

    def test_completions_where_the_chat_does_not_take_tokens(self) -> None:
        for after in range(2, CHUNKS - 1):
            replica = Replica(body=BODY, breaks=[Break(after=after)], takes_ids=False)
            model = llm(replica, top_k=3, chat_template_kwargs={"x": 1})
            message = model.invoke("go")
            assert message.content == TEXT
            assert message.usage_metadata is not None
            assert message.usage_metadata["output_tokens"] == len(PIECES) + 1
            assert message.response_metadata["resumes"] == 1
            if after > 2:
                where, sent = replica.requests[-1]
                assert (where, sent["top_k"]) == ("/v1/completions", 3)
                assert not sent.keys() & {"messages", "chat_template_kwargs", "kv_transfer_params"}
                # The endpoint's own limit is 16 tokens.
                assert sent["max_tokens"] == 65536 - len(sent["prompt"])

    async def test_completions_asynchronously(self) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=5)], takes_ids=False)
        assert (await llm(replica, max_tokens=50).ainvoke("go")).content == TEXT
        assert replica.requests[-1][1]["max_tokens"] == 47


def other_model(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "model": "other"} for one in chunks]


def other_tokens(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**one, "prompt_token_ids": [1, *one["prompt_token_ids"]]}
        if "prompt_token_ids" in one
        else one
        for one in chunks
    ]


def no_tokens(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return asked(chunks, {})


def odd_tokens(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**one, "choices": [{**choice, "token_ids": ["7"]} for choice in one["choices"]]}
        for one in chunks
    ]


def tool_calls(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": 1'}}
    choices = [{**chunks[3]["choices"][0], "delta": {"tool_calls": [call]}}]
    return [*chunks[:3], {**chunks[3], "choices": choices}, *chunks[4:]]


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])


class Stranger(Replica):
    """Its tokens are not those of its text."""

    def text_of(self, ids: list[int]) -> str:
        return "something else"


CANNOT: dict[str, tuple[Replica, dict[str, Any], str]] = {
    "server-read tools": (
        Replica(body=BODY, breaks=[Break(after=4)]),
        {"bound": {"tools": [TOOL]}},
        "tool_call_parser=",
    ),
    "calls nobody asked for": (
        Replica(body=BODY, breaks=[Break(after=4)], edit_all=tool_calls),
        {},
        "calls that nobody asked for",
    ),
    "images": (Replica(body=BODY, breaks=[Break(after=4)]), {"input": [IMAGE]}, "image_url"),
    "n": (Replica(body=BODY, breaks=[Break(after=4)]), {"n": 2}, "more than one choice"),
    "echo": (Replica(body=BODY, breaks=[Break(after=4)]), {"echo": True}, "leave echo out"),
    "hidden reasoning": (
        Replica(body=BODY, breaks=[Break(after=4)]),
        {"include_reasoning": False},
        "include_reasoning=False hides the tokens",
    ),
    "another model": (
        Replica(body=BODY, breaks=[Break(after=4)], edit=other_model),
        {},
        "another model answered, 'other' instead of 'tiny'",
    ),
    "return_token_ids is ignored": (
        Replica(body=BODY, breaks=[Break(after=4)], edit_all=no_tokens),
        {},
        "did not tell the tokens",
    ),
    "tokens that are none": (
        Replica(body=BODY, breaks=[Break(after=4)], edit_all=odd_tokens),
        {},
        "did not tell the tokens",
    ),
    "other tokens are echoed": (
        Replica(body=BODY, breaks=[Break(after=4)], edit=other_tokens, has_completions=False),
        {},
        "other tokens",
    ),
    "tokens are not heeded, no completions": (
        Replica(body=BODY, breaks=[Break(after=4)], takes_ids=False, has_completions=False),
        {"max_tokens": 60},
        "404",
    ),
    "tokens of another text": (
        Stranger(body=BODY, breaks=[Break(after=4)]),
        {},
        "are not those of its text",
    ),
    "the limit": (
        Replica(body=BODY, breaks=[Break(after=4), Break(after=2), Break(after=2)]),
        {},
        "2 times already (max_resumes=2)",
    ),
    "stop strings without /detokenize": (
        Replica(body=BODY, breaks=[Break(after=4)], has_detokenize=False),
        {"stop": ["##"]},
        "/detokenize",
    ),
    "in the thoughts, by completions": (
        Replica(body=written(*PIECES, kind="reasoning"), breaks=[Break(after=4)], takes_ids=False),
        {},
        "thoughts",
    ),
}


class TestItCannotGoOn:
    @pytest.mark.parametrize("read", [invoke, ainvoke], ids=lambda read: read.__name__)
    @pytest.mark.parametrize("case", CANNOT)
    async def test_the_first_error_with_what_would_have_helped(self, case: str, read: Read) -> None:
        replica, fields, words = CANNOT[case]
        replica.streams = 0
        replica.requests.clear()
        fields = dict(fields)
        bound, messages = fields.pop("bound", {}), fields.pop("input", "go")
        model = llm(replica, **fields).bind(**bound)
        with pytest.raises(VLLMIncompleteStreamError, match="broke") as caught:
            await read(RunnableLambda(lambda _: messages) | model)
        assert words in str(caught.value)
        assert isinstance(caught.value, StreamInterruptedError)
        partial: AIMessage = caught.value.partial_message
        assert TEXT.startswith(str(partial.content))
        assert partial.tool_calls == []

    def test_an_error_of_the_server_keeps_its_words(self) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=3, kind="fail")] * 2)
        with pytest.raises(VLLMStreamError) as caught:
            llm(replica, max_resumes=1).invoke("go")
        assert "EngineCore died. The answer could not go on" in str(caught.value)
        assert caught.value.code == 500

    def test_the_same_tools_may_be_asked_anew_while_nothing_was_given_out(self) -> None:
        for after in (0, 1):
            replica = Replica(body=BODY, breaks=[Break(after=after)])
            message = llm(replica).bind(tools=[TOOL]).invoke("go")
            assert (message.content, message.response_metadata["resumes"]) == (TEXT, 1)
            assert replica.requests[0] == replica.requests[1]

    def test_an_error_that_would_come_again(self) -> None:
        def overflow(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [*chunks[:4], {"error": {"message": "maximum context length", "code": 400}}]

        replica = Replica(body=BODY, edit_all=overflow)
        with pytest.raises(VLLMStreamError, match="the server would say the same again"):
            llm(replica).invoke("go")
        assert len(replica.requests) == 1

    def test_without_max_resumes_it_is_as_ever(self) -> None:
        replica = Replica(body=BODY, breaks=[Break(after=4)])
        with pytest.raises(VLLMIncompleteStreamError) as caught:
            llm(replica, max_resumes=0).invoke("go")
        assert "max_resumes" not in str(caught.value)
        assert caught.value.partial_message.content == "Hello world"


class Lagging(Replica):
    """It holds back what may begin a stop string, and ends the answer at one, as vLLM does."""

    def __init__(self, stops: list[str], *, includes: bool, **fields: Any) -> None:
        super().__init__(body=BODY, **fields)
        self.stops, self.includes = stops, includes
        self.lag = 0 if includes else max(map(len, stops)) - 1

    def _rest(self, sent: list[int], shape: Any) -> list[dict[str, Any]]:
        whole = super()._rest(sent, lambda choice: choice)
        return self.held(whole)

    def held(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        text, given, made = "", 0, []
        for chunk in chunks:
            if not chunk["choices"]:
                made.append(chunk)
                continue
            choice = dict(chunk["choices"][0])
            text += choice["delta"].get("content") or ""
            found = [one for one in self.stops if one in text]
            end = len(text) if choice["finish_reason"] else len(text) - self.lag
            if found:
                choice |= {"finish_reason": "stop", "stop_reason": found[0]}
                end = text.index(found[0]) + (len(found[0]) if self.includes else 0)
            choice["delta"] = {"content": text[given:end]} if end > given else {}
            given = max(given, end)
            made.append({**chunk, "choices": [choice]})
            if found:
                break
        return made

    def _chat(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        if "kv_transfer_params" in request:
            return super()._chat(request)
        return self.held(self.chunks)


class TestStopStrings:
    """A stop string is found wherever the stream breaks: before, in the middle, behind."""

    @pytest.mark.parametrize("includes", [False, True])
    @pytest.mark.parametrize(
        "stops",
        [
            ["rld"],
            ["world \N{CRAB} f"],
            ["o world \N{CRAB} fi"],
            ["d \N{CRAB}", "zzzzzzzz"],
            ["nowhere"],
            ["fine."],
            ["o"],
        ],
    )
    @pytest.mark.parametrize("kind", ["cut", "fail"])
    def test_at_every_event(self, stops: list[str], includes: bool, kind: Kind) -> None:  # noqa: FBT001
        fields = {"stop": stops, "include_stop_str_in_output": includes}
        whole = llm(Lagging(stops, includes=includes)).invoke("go", **fields)
        cuts = [at for at, stop in ((TEXT.find(one), one) for one in stops) if at >= 0]
        assert len(str(whole.content)) >= min(cuts, default=len(TEXT))
        for after in range(CHUNKS - 1):
            replica = Lagging(stops, includes=includes, breaks=[Break(after=after, kind=kind)])
            model = llm(replica)
            if after >= len(replica.held(replica.chunks)):
                continue  # behind the end
            message = model.invoke("go", **fields)
            assert message.content == whole.content, after
            for name in ("finish_reason", "stop_reason"):
                said = message.response_metadata.get(name)
                assert said == whole.response_metadata.get(name), after


def test_a_long_answer_breaks_near_its_end() -> None:
    """Its tokens are kept, and nothing else that grows; the time is that of two short halves."""
    size = 5_000
    body = written(*(f" w{number}" for number in range(size)))
    replica = Replica(body=body, breaks=[Break(after=size - 5)])
    message = llm(replica).invoke("go")
    assert str(message.content).split() == [f"w{number}" for number in range(size)]
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == size + 1
    sent = replica.requests[-1][1]["kv_transfer_params"]["prompt_token_ids"]
    assert len(sent) == len(PROMPT) + size - 6


async def test_an_answer_of_the_prompts_road_goes_on() -> None:
    """Where the client reads calls behind its own prompt, all streams are of `/v1/completions`."""
    pieces = (
        "Sure. ",
        '<tool_call>\n{"name": "f", ',
        '"arguments": {"a": ',
        "12",
        "}}",
        "\n</tool_call>",
    )
    body = written(*pieces)
    ROADS.learn((BASE, "tiny"), "prompt")
    try:
        for after in range(len(pieces) + 1):
            replica = Replica(body=body, breaks=[Break(after=after)])
            model = llm(replica, tool_call_parser="hermes").bind_tools([TOOL])
            message = await (
                model.ainvoke("go") if after % 2 else RunnableLambda(model.invoke).ainvoke("go")
            )
            assert message.content == "Sure. "
            assert [(call["name"], call["args"]) for call in message.tool_calls] == [
                ("f", {"a": 12})
            ]
            assert message.response_metadata["resumes"] == 1
            asked = [path for path, _ in replica.requests if path.startswith("/v1/c")]
            assert asked == ["/v1/completions"] * 2, after
    finally:
        ROADS.forget((BASE, "tiny"))
