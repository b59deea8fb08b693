"""What `Resumption` gives out and asks next, without a client: each character is a token."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_toolstream.vllm.errors import VLLMError, VLLMIncompleteStreamError
from langchain_toolstream.vllm.questions import TextOfTokens
from langchain_toolstream.vllm.request.resumed import obstacle
from langchain_toolstream.vllm.response.resume import Request, Resumption
from langchain_toolstream.vllm.response.roads import ClientReading

TEXT = "The quick brown fox jumps over the lazy dog and then runs far away into the deep forest."
PROMPT = [1, 2]


def payload(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [], "stream": True, **fields}


def streamed(text: str, *, lag: int = 0, prompt: list[int], ends: bool) -> Iterator[dict[str, Any]]:
    """Chunks as vLLM writes them: what may begin a stop string, `lag` characters, comes later."""
    said = ""
    for number, char in enumerate(text, 1):
        last = ends and number == len(text)
        shown = text[: number if last else max(0, number - lag)]
        choice = {
            "index": 0,
            "delta": {"content": shown[len(said) :]},
            "token_ids": [ord(char)],
            "finish_reason": "stop" if last else None,
        }
        said = shown
        echoed = {"prompt_token_ids": prompt} if number == 1 else {}
        yield {"id": "c", "model": "m", "choices": [choice], **echoed}


def next_request(resumption: Resumption) -> Request:
    """What is asked after a break; the answers are those of a server with /detokenize."""
    plan = resumption.plan(VLLMIncompleteStreamError("it broke"), is_glued=False)
    answer: Any = None
    try:
        while True:
            question = plan.send(answer)
            assert isinstance(question, TextOfTokens)
            answer = "".join(map(chr, question.ids))
    except StopIteration as end:
        request: Request = end.value
        return request


def sent(request: Request) -> list[int]:
    ids: list[int] = request.payload["extra_body"]["kv_transfer_params"]["prompt_token_ids"]
    return ids


def answered(lag: int, *breaks: int, stop: str, **extra: Any) -> str:
    """The text of an answer, each of whose streams breaks after some tokens."""
    asked = payload(stop=[stop], extra_body=extra)
    resumption = Resumption(asked, limit=len(breaks), client_reads=False)
    said, prompt = "", PROMPT
    for count in (*breaks, None):
        rest = TEXT[len(prompt) - len(PROMPT) :][:count]
        for chunk in streamed(rest, lag=lag, prompt=prompt, ends=count is None):
            for one in resumption.feed(chunk):
                said += one["choices"][0]["delta"].get("content") or ""
        if count is not None:
            request = next_request(resumption)
            prompt = sent(request) if resumption.given.begun else PROMPT
    return said


STOPS = ["##", "#####", "\nObservation:", f"<|{'x' * 26}|>"]


@pytest.mark.parametrize("includes", [False, True])
@pytest.mark.parametrize("stop", STOPS)
def test_two_breaks_around_what_a_stop_string_holds_back(stop: str, includes: bool) -> None:  # noqa: FBT001
    lag = 0 if includes else len(stop) - 1
    for first in (1, 25, 31, 44):
        for second in range(1, 42):
            said = answered(lag, first, second, stop=stop, include_stop_str_in_output=includes)
            assert said == TEXT, (first, second)


@pytest.mark.parametrize("stop", STOPS)
def test_two_breaks_before_the_server_looks_for_stop_strings(stop: str) -> None:
    for second in range(1, 42):
        said = answered(len(stop) - 1, 31, second, stop=stop, min_tokens=60)
        assert said == TEXT, second


def test_three_breaks_while_text_is_held_back() -> None:
    for count in range(1, 12):
        assert answered(12, 40, count, count, count, stop="\nObservation:") == TEXT


def test_thoughts_that_end_while_their_last_text_is_held_back() -> None:
    """Their rest, and the first text behind them, count as given out, and their tokens once."""
    resumption = Resumption(payload(stop=["#####"]), limit=2, client_reads=False)

    def fed(kind: str, text: str, tokens: str, **fields: Any) -> list[Any]:
        choice = {"index": 0, "delta": {kind: text}, "token_ids": [*map(ord, tokens)]}
        made = resumption.feed({"id": "c", "model": "m", "choices": [choice], **fields})
        return [one["choices"][0]["delta"] for one in made]

    fed("reasoning", "I think", "I think so.", prompt_token_ids=PROMPT)
    prompt = sent(next_request(resumption))
    assert prompt == [*PROMPT, *map(ord, "I think so.")]
    assert fed("reasoning", "", "#", prompt_token_ids=prompt) == [{}]
    given = fed("content", "The answer", "!The answer is ")
    assert given == [{"reasoning": " so."}, {"content": "The answer"}]
    assert sent(next_request(resumption)) == [*prompt, *map(ord, "#!The answer is ")]


def test_text_that_was_held_back_is_counted_once() -> None:
    """A second plan for the same text, where the request for the rest failed at once."""
    schema = {"type": "object", "properties": {"s": {"type": "string", "maxLength": 40}}}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    asked = payload(stop=["#####"], response_format=format_)
    resumption = Resumption(asked, limit=3, client_reads=False)
    for chunk in streamed('{"s": "the quick fox', lag=4, prompt=PROMPT, ends=False):
        resumption.feed(chunk)
    first, second = next_request(resumption), next_request(resumption)
    assert first == second
    (tag,) = first.payload["extra_body"]["structured_outputs"].values()
    assert json.loads(tag)["format"]["elements"][0]["pattern"].endswith('{0,27}"')


ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": ADD}}]
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": '


def read_by_client(
    text: str, parser: str = "hermes", *, begun: bool = False, **fields: Any
) -> Request:
    """What is asked behind a text that the client reads from the tokens."""
    asked = payload(tools=TOOLS, **fields)
    reading = ClientReading(asked, parser, server=("http://resumed", parser), thoughts_begun=begun)
    resumption = Resumption(asked, limit=3, client_reads=True)
    resumption.restart(thoughts=reading.markup.thoughts)
    for number, char in enumerate(text):
        logprobs = {"content": [{"token": char}]}
        choice = {"index": 0, "delta": {}, "logprobs": logprobs, "token_ids": [ord(char)]}
        echoed = {} if number else {"prompt_token_ids": PROMPT}
        resumption.feed({"id": "c", "model": "m", "choices": [choice], **echoed})
    return next_request(resumption)


def held(request: Request) -> dict[str, Any]:
    tag = json.loads(request.payload["extra_body"]["structured_outputs"]["structural_tag"])
    made: dict[str, Any] = tag["format"]
    return made


def json_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def test_a_forced_call_behind_thoughts_that_the_prompt_began() -> None:
    plain = held(read_by_client(CALL, tool_choice="required"))
    assert plain["elements"][0]["json_schema"] == {"type": "integer"}
    thought = f"hm</think>\n\n{CALL}"
    assert held(read_by_client(thought, begun=True, tool_choice="required")) == plain
    # The break comes right behind the thoughts: nothing of a call is there, and one has to come.
    rest = held(read_by_client("hm</think>\n\n", begun=True, tool_choice="required"))
    assert (rest["type"], rest["at_least_one"]) == ("triggered_tags", True)


def test_an_argument_that_holds_the_end_of_thoughts() -> None:
    text = '<tool_call>\n{"name": "add", "arguments": {"a": "</think>'
    with pytest.raises(VLLMIncompleteStreamError, match="does not fit the schema"):
        read_by_client(text, tool_choice="required")


@pytest.mark.parametrize(
    ("parser", "thoughts"),
    [
        ("hermes", "<think>h</think>\n"),
        ("hermes", "h</think>"),
        ("seed_oss", "<seed:think>h</seed:think>"),
        ("mistral", "[THINK]h[/THINK]"),
        ("hermes", ""),
    ],
)
def test_json_behind_thoughts(parser: str, thoughts: str) -> None:
    rest = held(read_by_client(f'{thoughts}{{"a": ', parser, response_format=json_of(ADD)))
    assert rest["elements"][0]["json_schema"] == {"type": "integer"}
    if thoughts:  # it begins behind them
        whole = read_by_client(thoughts, parser, response_format=json_of(ADD))
        assert whole.payload["response_format"] == json_of(ADD)


def test_json_while_the_model_thinks() -> None:
    asked = read_by_client("<think>so {", response_format=json_of(ADD))
    assert asked.payload["response_format"] == json_of(ADD)


@pytest.mark.parametrize("thoughts", ["", "<think>h</think>"])
def test_json_with_a_string_that_holds_the_end_of_thoughts(thoughts: str) -> None:
    schema = {**ADD, "properties": {"s": {"type": "string"}}, "required": ["s"]}
    text = thoughts + '{"s": "the </think> tag and '
    rest = held(read_by_client(text, response_format=json_of(schema)))
    assert rest["elements"][-1] == {"type": "const_string", "value": "}"}


def test_a_constraint_of_the_prompts_road() -> None:
    """There it stands in `extra_body`, as in the requests of whoever puts it there."""
    asked = payload(extra_body={"response_format": json_of(ADD)})
    resumption = Resumption(asked, limit=1, client_reads=False)
    for chunk in streamed('{"a": ', prompt=PROMPT, ends=False):
        resumption.feed(chunk)
    request = next_request(resumption)
    assert held(request)["elements"][0]["json_schema"] == {"type": "integer"}
    assert "response_format" not in request.payload["extra_body"]


def test_another_road_begins_with_nothing_of_the_first() -> None:
    asked = payload(stream_options={"include_usage": True})
    resumption = Resumption(asked, limit=2, client_reads=False)
    next_request(resumption)  # the first stream broke before anything came
    resumption.feed({"id": "c", "choices": [], "usage": {"completion_tokens": 0}})
    resumption.restart()
    refused = VLLMError("refused")
    with pytest.raises(VLLMError) as caught:
        next(resumption.plan(refused, is_glued=False))
    assert caught.value is refused
    for chunk in streamed("Hi", prompt=PROMPT, ends=False):
        resumption.feed(chunk)
    (rest,) = resumption.rest()
    assert rest["usage"]["completion_tokens"] == 2


def test_a_part_without_a_type_may_be_an_image() -> None:
    messages = [{"role": "user", "content": [{"image_url": {"url": "data:,"}}]}]
    why = obstacle({"messages": messages}, client_reads=False)
    assert why is not None
    assert "a part without a type" in why
    text = [{"role": "user", "content": [{"type": "text", "text": "go"}]}, {"content": "on"}]
    assert obstacle({"messages": text}, client_reads=False) is None
