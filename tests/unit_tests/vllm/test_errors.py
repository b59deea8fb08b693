"""What goes wrong: which error it becomes on every path, what it knows, what is tried again."""

import pickle
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from langchain_core import exceptions as core
from langchain_openai import StreamChunkTimeoutError

from langchain_toolstream import VLLMError
from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)
from langchain_toolstream.vllm import (
    VLLMConnectionError,
    VLLMContextOverflowError,
    VLLMEmptyOutputError,
    VLLMIdleTimeoutError,
    VLLMIncompleteStreamError,
    VLLMInvalidRequestError,
    VLLMOverloadedError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMStreamError,
    VLLMTimeoutError,
)
from langchain_toolstream.vllm.response.answer import MAX_SILENT_TOKENS, AnswerReader
from tests.unit_tests.vllm.mocked import READS, MockedServer, Read, streamed
from tests.unit_tests.vllm.wire import DONE, body, chunk, event, part, usage

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

reads = pytest.mark.parametrize("read", READS)

GOOD = body(chunk(content="Hi", finish_reason="stop"), usage(1, 2))
BEGUN = body(
    chunk(role="assistant", content=""),
    chunk(content="See: "),
    chunk(part('{"city": "Os', id="a", name="get_weather")),
    usage(20, 9),
    done=False,
)
REFUSED = {"message": "out of luck", "type": "InternalServerError", "param": None, "code": 500}


def refusal(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {**REFUSED, "code": status}}, headers=headers)


# What breaks off an answer that has begun, and its error: ours, the core's, the SDK's, LangChain's.
Broken = tuple[httpx2.Response, type[VLLMError], tuple[type[Exception], ...], str]
ERROR = (VLLMStreamError, (ServerStreamError, openai.APIError, core.ModelAPIError))
END = (
    VLLMIncompleteStreamError,
    (IncompleteStreamError, openai.APIConnectionError, core.ModelConnectionError),
)
BROKEN: dict[str, Callable[[], Broken]] = {
    "an error": lambda: (streamed(BEGUN, event({"error": REFUSED}), DONE), *ERROR, "out of luck"),
    "no JSON": lambda: (streamed(BEGUN, b"data: {oops\n\n"), *ERROR, "no JSON"),
    "an end": lambda: (streamed(BEGUN), *END, "without a finish reason"),
    "DONE": lambda: (streamed(BEGUN, DONE), *END, "without a finish reason"),
    "a lost connection": lambda: (
        streamed(BEGUN, error=httpx2.RemoteProtocolError("peer closed connection")),
        *END,
        r"http://server/v1 broke .*peer closed",
    ),
    "bad compression": lambda: (
        streamed(BEGUN, error=httpx2.DecodingError("invalid block type")),
        *END,
        "invalid block type",
    ),
}


@reads
@pytest.mark.parametrize("status", [None, 401, 404, 500])
async def test_a_password_in_the_url_is_not_said(read: Read, status: int | None) -> None:
    lost = httpx2.ConnectError("refused")
    server = MockedServer(lambda _: lost if status is None else httpx2.Response(status))
    with pytest.raises(VLLMError, match="http://server/v1") as raised:
        await read(server.llm(base_url="http://user:secret@server/v1"))
    assert "secret" not in str(raised.value)


@reads
@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_off_an_answer_is_ours_the_cores_the_sdks_and_langchains(
    name: str, read: Read
) -> None:
    response, ours, others, words = BROKEN[name]()
    server = MockedServer(lambda _: response)
    with pytest.raises(VLLMError, match=words) as raised:
        await read(server.llm(max_retries=3, api_key="sk-secret"))
    error: Any = raised.value
    assert type(error) is ours
    for kind in (*others, StreamInterruptedError):
        assert isinstance(error, kind)
    assert error.is_retryable
    assert error.request.url == "http://server/v1/chat/completions"
    assert "sk-secret" not in repr(error.request.headers)
    partial = error.partial_message
    assert partial.content == "See: "
    assert [call["name"] for call in partial.invalid_tool_calls] == ["get_weather"]
    assert partial.usage_metadata["output_tokens"] == 9
    assert partial.response_metadata["model_name"] == "tiny"
    assert len(server.requests) == 1, "what has begun is not asked for again"


@reads
async def test_an_error_in_an_answer_keeps_what_the_server_said(read: Read) -> None:
    said = {"message": "too many values", "type": "BadRequestError", "code": 400}
    server = MockedServer(lambda _: streamed(BEGUN, event({"error": said}), DONE))
    with pytest.raises(VLLMStreamError) as raised:
        await read(server.llm())
    error = raised.value
    assert (error.message, error.type, error.code) == ("too many values", "BadRequestError", 400)
    assert str(error) == "The server broke off its answer (400, BadRequestError): too many values"
    assert not error.is_retryable, "it would say 400 again"


OVERFLOWS = [
    "This model's maximum context length is 2048 tokens. However, you requested 9000.",
    "You passed 99073 input tokens. However, the model's context length is only 131072 tokens.",
    "You passed 700000 input characters, resulting in a maximum input length of 4096 tokens.",
    "max_tokens must be at least 1, got -7584.",
    "The decoder prompt (length 9000) is longer than the maximum model length of 2048.",
    "litellm.ContextWindowExceededError: prompt is too long: 9000 tokens > 2048 maximum",
    "max_model_len is 2048",
]


@reads
@pytest.mark.parametrize("words", OVERFLOWS)
@pytest.mark.parametrize("inside", [False, True])
async def test_too_long_for_the_context_in_every_wording(
    read: Read,
    words: str,
    inside: bool,  # noqa: FBT001
) -> None:
    said = {"error": {"message": words, "type": "BadRequestError", "code": 400}}
    server = MockedServer(
        lambda _: streamed(event(said)) if inside else httpx2.Response(400, json=said)
    )
    with pytest.raises(VLLMContextOverflowError, match="Send fewer") as raised:
        await read(server.llm())
    assert isinstance(raised.value, core.ContextOverflowError)
    assert isinstance(raised.value, VLLMStreamError) is inside
    assert not raised.value.is_retryable
    assert words in str(pickle.loads(pickle.dumps(raised.value)))  # noqa: S301


@pytest.mark.parametrize("inside", [False, True])
async def test_a_code_says_that_the_context_is_too_small(inside: bool) -> None:  # noqa: FBT001
    said = {"error": {"message": "No.", "code": "context_length_exceeded"}}
    server = MockedServer(
        lambda _: streamed(event(said)) if inside else httpx2.Response(400, json=said)
    )
    with pytest.raises(VLLMContextOverflowError):
        server.llm().invoke("go")


@pytest.mark.parametrize(
    ("code", "may_pass"),
    [(400, False), ("400", False), ("422", False), ("429", True), (503, True), ("503", True),
     ("rate_limit_exceeded", True), ("4000", True), ("٤٠٠", True), (None, True)],
)  # fmt: skip
def test_a_code_as_text_counts_as_the_number(code: Any, may_pass: bool) -> None:  # noqa: FBT001
    server = MockedServer(lambda _: streamed(event({"error": {"message": "bad", "code": code}})))
    with pytest.raises(VLLMStreamError) as raised:
        server.llm().invoke("go")
    assert raised.value.is_retryable is may_pass


# An error in the shapes in which servers, gateways and frameworks write one, after an answer began.
SAID: dict[str, bytes] = {
    "an event named error": b"event: error\ndata: out of luck\n\n",
    "an event named error, as JSON": b'event: error\ndata: {"detail": "out of luck"}\n\n',
    "an empty error": b'event: error\ndata: {"error": {"message": "out of luck"}}\n\n',
    "a field of its own": b'error: {"code": 500, "message": "out of luck"}\n\n',
    "a field of its own, as text": b"error: out of luck\n\n",
    "a line of JSON": b'{"error": {"message": "out of luck", "code": 500}}\n',
    "a line of JSON, FastAPI's": b'{"detail": "out of luck"}\n',
    "a line of JSON, vLLM's older": b'{"object": "error", "message": "out of luck"}\n',
    "a page": b"<html><body><h1>502 out of luck</h1></body></html>\n",
    "a line of text": b"upstream connect error: out of luck\n",
    "detail": event({"detail": "out of luck"}),
    "detail of a validation": event({"detail": [{"loc": ["body"], "msg": "out of luck"}]}),
    "text": event({"error": "out of luck"}),
    "other words": event({"error": {"reason": "out of luck"}}),
    "inside a choice": event(
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "out of luck"}}]}
    ),
}


@reads
@pytest.mark.parametrize("name", SAID)
async def test_an_error_in_any_shape_is_raised_in_the_servers_words(read: Read, name: str) -> None:
    server = MockedServer(lambda _: streamed(BEGUN, SAID[name]))
    with pytest.raises(VLLMStreamError, match="out of luck") as raised:
        await read(server.llm())
    assert raised.value.partial_message.content == "See: "


@pytest.mark.parametrize(
    "name", [name for name in SAID if not SAID[name].startswith((b"<", b"up"))]
)
def test_an_error_is_raised_though_the_connection_then_breaks(name: str) -> None:
    lost = httpx2.RemoteProtocolError("peer closed connection")
    server = MockedServer(lambda _: streamed(BEGUN, SAID[name], error=lost))
    with pytest.raises(VLLMStreamError, match="out of luck"):
        server.llm().invoke("go")


@pytest.mark.parametrize("name", ["a field of its own", "a line of JSON", "a page"])
def test_a_line_beside_a_whole_answer_does_not_lose_it(name: str) -> None:
    """As `ChatOpenAI`, which skips such lines: the answer has its end."""
    server = MockedServer(lambda _: streamed(GOOD.removesuffix(DONE), SAID[name], DONE))
    assert server.llm().invoke("go").content == "Hi"


@pytest.mark.parametrize("text", ["x" * 100_000, {"a": "x" * 100_000}])
def test_of_long_words_the_beginning_is_shown(text: Any) -> None:
    for said in (event({"error": text}), b"error: " + str(text).encode() + b"\n\n"):
        server = MockedServer(lambda _, said=said: streamed(BEGUN, said))
        with pytest.raises(VLLMStreamError) as raised:
            server.llm().invoke("go")
        assert len(str(raised.value)) < 700


def test_a_page_of_tags_is_read_in_bounded_time() -> None:
    """A page of which every tag begins a script once took minutes."""
    page = httpx2.Response(502, html="<script" * 200_000)
    server = MockedServer(lambda _: page)
    with pytest.raises(VLLMServerError, match="502"):
        server.llm().invoke("go")


def test_two_grammar_backends_in_one_engine_are_explained() -> None:
    words = (
        "Structured output processing only supports one backend per engine. The engine is already "
        "using 'guidance', but this request resolved to 'xgrammar'."
    )
    server = MockedServer(lambda _: streamed(event({"error": {"message": words, "code": 400}})))
    with pytest.raises(VLLMStreamError, match="--structured-outputs-config"):
        server.llm().invoke("go")


# Empty answers.


def closes(*chunks: Any, **fields: Any) -> None:
    reader = AnswerReader(**fields)
    reader.feed(body(*chunks))
    reader.close()


ENOUGH = MAX_SILENT_TOKENS + 1
STOP = chunk(finish_reason="stop")


def counted(tokens: int, **details: int) -> dict[str, Any]:
    made = usage(20, tokens)
    made["usage"]["completion_tokens_details"] = details or None
    return made


def stopped_by(reason: Any) -> dict[str, Any]:
    made = chunk(finish_reason="stop")
    made["choices"][0]["stop_reason"] = reason
    return made


LOST: dict[str, list[Any]] = {
    "nothing": [STOP, usage(20, ENOUGH)],
    "a role": [chunk(role="assistant", content=""), STOP, usage(20, ENOUGH)],
    "calls that are none": [chunk(finish_reason="tool_calls"), usage(20, ENOUGH)],
    "a stop token": [stopped_by(128009), usage(20, ENOUGH)],
    "white space": [chunk(content="\n\n"), STOP, usage(20, ENOUGH + 2)],
    "token ids": [chunk(), {**STOP, "token_ids": [1]}, usage(20, ENOUGH)],
    "no reasoning": [STOP, counted(ENOUGH, reasoning_tokens=0)],
    "two choices": [STOP, chunk(choice=1, finish_reason="stop"), usage(20, 2 * ENOUGH)],
    "usage on every chunk": [{**chunk(), **usage(20, 3)}, STOP, usage(20, ENOUGH)],
}
EMPTY: dict[str, list[Any]] = {
    "an end of turn": [STOP, usage(20, 1)],
    "the longest frame around nothing": [STOP, usage(20, MAX_SILENT_TOKENS)],
    "no usage": [STOP],
    "no counts": [STOP, {"choices": [], "usage": {"prompt_tokens": 20}}],
    "counts that are none": [STOP, {"choices": [], "usage": {"completion_tokens": "60"}}],
    "cut": [chunk(finish_reason="length"), usage(20, 60)],
    "cut at one token": [chunk(finish_reason="length"), usage(20, 1)],
    "aborted": [chunk(finish_reason="abort"), usage(20, 60)],
    "a stop string": [stopped_by("\n"), usage(20, 60)],
    "white space alone": [chunk(content=" \n" * 30), STOP, usage(20, 60)],
    "reasoning alone": [chunk(reasoning="Hm."), STOP, usage(20, 60)],
    "reasoning that is counted only": [STOP, counted(60, reasoning_tokens=55)],
    "a call": [chunk(part("{}", name="now")), STOP, usage(20, 60)],
    "no call": [chunk(part("{", name="now")), STOP, usage(20, 60)],
    "text": [chunk(content="."), STOP, usage(20, 60)],
    "a refusal": [chunk(refusal="No."), STOP, usage(20, 60)],
    "thoughts as parts": [
        chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
        STOP,
        usage(20, 60),
    ],
    "two choices, each by itself": [STOP, chunk(choice=1, finish_reason="stop"), usage(20, ENOUGH)],
    "another choice": [
        STOP,
        chunk(choice=1, content="Hi", finish_reason="stop"),
        usage(20, 2 * ENOUGH),
    ],
    "another choice, cut": [STOP, chunk(choice=1, finish_reason="length"), usage(20, 60)],
}


@pytest.mark.parametrize("name", LOST)
def test_tokens_without_any_output_are_an_error(name: str) -> None:
    with pytest.raises(VLLMEmptyOutputError, match="nothing came back"):
        closes(*LOST[name])


@pytest.mark.parametrize("name", EMPTY)
def test_what_explains_the_tokens_makes_an_empty_answer_no_error(name: str) -> None:
    closes(*EMPTY[name])


def test_reasoning_that_was_asked_to_be_left_out_may_be_all() -> None:
    closes(STOP, usage(20, 60), hides_reasoning=True)


def test_a_whole_body_that_says_nothing_is_an_error_unless_it_was_cut() -> None:
    choice = {"index": 0, "message": {"content": None}, "finish_reason": "stop"}
    whole = {"choices": [choice], "usage": usage(20, 60)["usage"]}
    for limit in (None, 61):
        reader = AnswerReader(max_tokens=limit)
        reader.feed_body(event(whole)[6:])
        with pytest.raises(VLLMEmptyOutputError):
            reader.close()
    reader = AnswerReader(max_tokens=60)
    reader.feed_body(event(whole)[6:])
    reader.close()


@reads
async def test_an_answer_that_was_swallowed_raises_on_every_path(read: Read) -> None:
    last = chunk(finish_reason="stop")
    last["choices"][0]["token_ids"] = [7, 8, 9]
    wire = body(chunk(role="assistant", content=""), last, usage(20, 60))
    server = MockedServer(lambda _: streamed(wire))
    with pytest.raises(VLLMEmptyOutputError) as raised:
        await read(server.llm(max_retries=3))
    error: Any = raised.value
    assert isinstance(error, openai.APIError)
    assert isinstance(error, core.ModelError)
    assert error.tokens == 60
    for word in ("60 tokens", "'stop'", "--tool-call-parser", "--reasoning-parser"):
        assert word in str(error)
    assert error.partial_message.response_metadata["token_ids"] == [7, 8, 9]
    assert error.partial_message.usage_metadata["output_tokens"] == 60
    assert len(server.requests) == 1
    left_out = server.llm().bind(include_reasoning=False)
    await read(left_out)


# Trying again.

AT_ONCE = {"retry-after-ms": "1"}
PASSING: dict[str, Callable[[], tuple[Any, type[VLLMError]]]] = {
    "overloaded": lambda: (refusal(503, **AT_ONCE), VLLMOverloadedError),
    "too many": lambda: (refusal(429, **AT_ONCE), VLLMRateLimitError),
    "broken": lambda: (refusal(500, **AT_ONCE), VLLMServerError),
}
DROPPED: dict[str, Callable[[], tuple[Any, type[VLLMError]]]] = {
    "no connection": lambda: (httpx2.ConnectError("refused"), VLLMConnectionError),
    "a dropped connection": lambda: (
        httpx2.RemoteProtocolError("Server disconnected without sending a response."),
        VLLMConnectionError,
    ),
    "no answer in time": lambda: (httpx2.ReadTimeout("slow"), VLLMTimeoutError),
}


class TestTryingAgain:
    """By the SDK's own policy: `max_retries`, its waits, `Retry-After`."""

    @reads
    @pytest.mark.parametrize("name", PASSING)
    async def test_what_may_pass_is_tried_again(self, name: str, read: Read) -> None:
        failures = [PASSING[name]()[0] for _ in range(2)]
        server = MockedServer(lambda _: failures.pop() if failures else streamed(GOOD))
        await read(server.llm(max_retries=2))
        assert len(server.requests) == 3

    @reads
    @pytest.mark.parametrize("name", [*PASSING, *DROPPED])
    async def test_and_then_it_is_an_error_that_may_be_tried_again(
        self, name: str, read: Read
    ) -> None:
        server = MockedServer(lambda _: (PASSING | DROPPED)[name]()[0])
        with pytest.raises(VLLMError) as raised:
            await read(server.llm(max_retries=1 if name in PASSING else 0))
        error: Any = raised.value
        assert type(error) is (PASSING | DROPPED)[name]()[1]
        assert error.is_retryable
        assert not isinstance(error, StreamInterruptedError)
        assert len(server.requests) == (2 if name in PASSING else 1)

    @pytest.mark.parametrize("read", READS[:2])
    async def test_a_connection_that_was_dropped_is_tried_again(self, read: Read) -> None:
        failures = [httpx2.RemoteProtocolError("Server disconnected")]
        server = MockedServer(lambda _: failures.pop() if failures else streamed(GOOD))
        await read(server.llm(max_retries=1))
        assert len(server.requests) == 2

    @reads
    async def test_the_models_name_is_tried_again_too(self, read: Read) -> None:
        failures = [refusal(503, **AT_ONCE)]

        def answer(request: httpx2.Request) -> httpx2.Response:
            if failures:
                return failures.pop()
            if request.method == "GET":
                return httpx2.Response(200, json={"data": [{"id": "tiny"}]})
            return streamed(GOOD)

        server = MockedServer(answer)
        await read(server.llm(model="", max_retries=1))
        assert [request.method for request in server.requests] == ["GET", "GET", "POST"]

    @reads
    async def test_what_will_not_pass_is_not(self, read: Read) -> None:
        server = MockedServer(lambda _: refusal(400, **AT_ONCE))
        with pytest.raises(VLLMInvalidRequestError) as raised:
            await read(server.llm(max_retries=3))
        assert not raised.value.is_retryable
        assert len(server.requests) == 1


def test_silence_is_a_timeout_and_an_interruption() -> None:
    error = VLLMIdleTimeoutError(2.5, model_name="tiny", chunks_received=3)
    for kind in (
        VLLMTimeoutError,
        StreamInterruptedError,
        StreamChunkTimeoutError,
        openai.APITimeoutError,
        core.ModelTimeoutError,
        TimeoutError,
    ):
        assert isinstance(error, kind)
    assert (error.timeout_s, error.model_name, error.chunks_received) == (2.5, "tiny", 3)
    for word in ("2.5 seconds", "'tiny'", "3 chunks", "stream_chunk_timeout"):
        assert word in str(error)
    assert error.partial_message is None
    assert error.is_retryable


REQUEST = httpx2.Request("POST", "http://server/v1", headers={"authorization": "Bearer sk-secret"})
RESPONSE = httpx2.Response(503, request=REQUEST)


@pytest.mark.parametrize(
    "error",
    [
        VLLMIdleTimeoutError(2.5, model_name="tiny", request=REQUEST),
        VLLMStreamError("bad", code=400, type="X", request=REQUEST),
        VLLMIncompleteStreamError("ended", request=REQUEST),
        VLLMEmptyOutputError(60, "stop", request=REQUEST),
        VLLMTimeoutError("slow", request=REQUEST),
        VLLMConnectionError(message="no one", request=REQUEST),
        VLLMOverloadedError("busy", response=RESPONSE, body={"error": "busy"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling_without_the_key(error: VLLMError) -> None:
    data = pickle.dumps(error)
    assert b"sk-secret" not in data
    copy = pickle.loads(data)  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert (str(copy), copy.args) == (str(error), error.args)
    unlike = {"request", "response"}
    assert vars(copy).keys() - unlike == vars(error).keys() - unlike
    assert {name: vars(copy)[name] for name in vars(error).keys() - unlike} == {
        name: value for name, value in vars(error).items() if name not in unlike
    }
