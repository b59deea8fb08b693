"""What a server refuses: whose error it is, what it says to do, and what it does not give away."""

import json
import logging
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from langchain_core import exceptions as core
from langchain_core.runnables import Runnable

from langchain_toolstream import ChatVLLM, VLLMError
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from langchain_toolstream.vllm import (
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMContextOverflowError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
    VLLMOverloadedError,
    VLLMPermissionDeniedError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMTimeoutError,
)
from tests.integration_tests.chat import QUESTION, chat
from tests.unit_tests.vllm.wire import DONE, body, chunk

BUNDLED = {recording.id: recording for recording in bundled_recordings()}
JSON = "application/json"
HTML = "text/html; charset=utf-8"
GATEWAY_PAGE = (
    b"<html><head><style>p {color: red}</style><title>502 Bad Gateway</title></head>"
    b"<body><h1>Bad Gateway</h1><script>alert(1)</script></body></html>"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer, and the error that it has to become."""

    status: int
    body: bytes
    kind: type[VLLMError]
    openai: type[openai.APIError]
    core: type[core.ModelError]
    words: tuple[str, ...]  # the server's, and ours
    content_type: str = JSON

    def recording(self, name: str) -> Recording:
        return Recording(
            id=name, status=self.status, body=self.body, content_type=self.content_type
        )


def refusal(message: str, status: int) -> bytes:
    """An error as vLLM 0.32 writes it."""
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return json.dumps({"error": error}).encode()


CASES: dict[str, Case] = {
    "401": Case(
        status=401,
        body=b'{"error":"Unauthorized"}',
        kind=VLLMAuthenticationError,
        openai=openai.AuthenticationError,
        core=core.ModelAuthenticationError,
        words=("401", "Unauthorized", "api_key=", "VLLM_API_KEY", "--api-key"),
    ),
    "403": Case(
        status=403,
        body=refusal("not for you", 403),
        kind=VLLMPermissionDeniedError,
        openai=openai.PermissionDeniedError,
        core=core.ModelPermissionDeniedError,
        words=("403", "not for you", "api_key="),
    ),
    "404 model": Case(
        status=404,
        body=refusal("The model `gpt-x` does not exist.", 404),
        kind=VLLMNotFoundError,
        openai=openai.NotFoundError,
        core=core.ModelNotFoundError,
        words=("404", "The model `gpt-x` does not exist.", "/v1/models"),
    ),
    "404 path": Case(
        status=404,
        body=b'{"detail":"Not Found"}',
        kind=VLLMNotFoundError,
        openai=openai.NotFoundError,
        core=core.ModelNotFoundError,
        words=("404", "Not Found", "base_url", "/v1"),
    ),
    "tool choice": Case(
        status=400,
        body=refusal(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser',
            400,
        ),
        kind=VLLMInvalidRequestError,
        openai=openai.BadRequestError,
        core=core.ModelInvalidRequestError,
        words=("400", '"auto" tool choice', "Start vLLM with --enable-auto-tool-choice", "hermes"),
    ),
    "too long": Case(
        status=400,
        body=refusal(
            "This model's maximum context length is 2048 tokens. However, you requested 9000.", 400
        ),
        kind=VLLMContextOverflowError,
        openai=openai.BadRequestError,
        core=core.ContextOverflowError,
        words=("400", "maximum context length is 2048", "fewer"),
    ),
    "422": Case(
        status=422,
        body=b'{"detail":[{"loc":["body","n"],"msg":"Input should be positive"}]}',
        kind=VLLMInvalidRequestError,
        openai=openai.BadRequestError,
        core=core.ModelInvalidRequestError,
        words=("422", "Input should be positive"),
    ),
    "429": Case(
        status=429,
        body=refusal("slow down", 429),
        kind=VLLMRateLimitError,
        openai=openai.RateLimitError,
        core=core.ModelRateLimitError,
        words=("429", "slow down", "later"),
    ),
    "500": Case(
        status=500,
        body=refusal("EngineCore encountered an issue.", 500),
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("500", "EngineCore encountered an issue."),
    ),
    "500 text": Case(
        status=500,
        body=b"Internal Server Error",
        content_type="text/plain",
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("500", "Internal Server Error"),
    ),
    "503": Case(
        status=503,
        body=refusal("the engine sleeps", 503),
        kind=VLLMOverloadedError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("503", "the engine sleeps", "later"),
    ),
    "413 HTML": Case(
        status=413,
        body=b"<html><body><h1>413 Request Entity Too Large</h1></body></html>",
        content_type=HTML,
        kind=VLLMInvalidRequestError,
        openai=openai.BadRequestError,
        core=core.ModelInvalidRequestError,
        words=("413", "Too Large", "proxy"),
    ),
    "403 HTML": Case(
        status=403,
        body=b"<html><body><h1>Forbidden</h1></body></html>",
        content_type=HTML,
        kind=VLLMPermissionDeniedError,
        openai=openai.PermissionDeniedError,
        core=core.ModelPermissionDeniedError,
        words=("403", "Forbidden", "api_key="),
    ),
    "502 HTML": Case(
        status=502,
        body=GATEWAY_PAGE,
        content_type=HTML,
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("502", "Bad Gateway", "proxy", "base_url"),
    ),
    "200 HTML": Case(
        status=200,
        body=GATEWAY_PAGE,
        content_type=HTML,
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("200", "Bad Gateway", "base_url"),
    ),
    "200 text": Case(
        status=200,
        body=b"It works!",
        content_type="text/plain",
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("200", "It works!", "base_url"),
    ),
    "200 other JSON": Case(
        status=200,
        body=b'{"hello":"world"}',
        kind=VLLMServerError,
        openai=openai.InternalServerError,
        core=core.ModelAPIError,
        words=("200", "hello", "base_url"),
    ),
}

GOOD = body(chunk(content="Hi", finish_reason="stop"))

# Under HTTP 200, as a stream: what no vLLM sends.
GARBAGE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "text/event-stream"),
    "done": (DONE, "text/event-stream"),
    "noise": (bytes(range(256)) * 9, "text/event-stream"),
    "no JSON": (b"data: {oops\n\n" + GOOD, "text/event-stream"),
    "a list": (b"data: [1, 2]\n\n" + GOOD, "text/event-stream"),
    "choices that are none": (b'data: {"choices": "none"}\n\n' + DONE, "text/event-stream"),
    "a whole error": (b'data: {"error": "out of luck"}\n\n' + DONE, "text/event-stream"),
    "JSON that is none": (b'{"choices": [', JSON),
    "a JSON list": (b"[]", JSON),
    "no JSON at all": (b"", JSON),
    "an error as JSON": (refusal("out of luck", 500), JSON),
}

# What vLLM does not send either, and is good all the same.
UNUSUAL: dict[str, tuple[bytes, str]] = {
    "another type": (GOOD, "text/plain"),
    "no charset": (GOOD, "text/event-stream"),
    "binary": (GOOD, "application/octet-stream"),
    "CRLF": (GOOD.replace(b"\n", b"\r\n"), "text/event-stream"),
    "keep-alives": (b": ping\n\n" + GOOD.replace(b"\n\n", b"\n\n: ping\n\n"), "text/event-stream"),
    "no DONE": (GOOD.removesuffix(DONE), "text/event-stream"),
    "a BOM": (b"\xef\xbb\xbf" + GOOD, "text/event-stream"),
    "events behind DONE": (GOOD + b"data: {oops\n\n", "text/event-stream"),
    "a whole answer": (
        b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}',
        JSON,
    ),
}

Read = Callable[[Runnable[Any, Any]], Awaitable[Any]]


async def invoke(llm: Runnable[Any, Any]) -> Any:
    return llm.invoke(QUESTION)


async def ainvoke(llm: Runnable[Any, Any]) -> Any:
    return await llm.ainvoke(QUESTION)


async def stream(llm: Runnable[Any, Any]) -> Any:
    return list(llm.stream(QUESTION))


async def astream(llm: Runnable[Any, Any]) -> Any:
    return [one async for one in llm.astream(QUESTION)]


READS: list[Read] = [invoke, ainvoke, stream, astream]
reads = pytest.mark.parametrize("read", READS)


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    recordings = [case.recording(name) for name, case in CASES.items()]
    odd = [
        Recording(id=name, body=data, content_type=kind)
        for name, (data, kind) in (GARBAGE | UNUSUAL).items()
    ]
    with ReplayServer([*recordings, *odd, *BUNDLED.values()]) as server:
        yield server


@pytest.mark.asyncio(loop_scope="module")
class TestRefusals:
    @reads
    @pytest.mark.parametrize("name", CASES)
    async def test_are_ours_the_sdks_and_langchains(
        self, server: ReplayServer, name: str, read: Read
    ) -> None:
        case = CASES[name]
        before = len(server.requests)
        with pytest.raises(VLLMError) as raised:
            await read(chat(server, name))
        error: Any = raised.value
        assert type(error) is case.kind
        assert isinstance(error, case.openai)
        assert isinstance(error, case.core)
        assert error.status_code == case.status
        assert error.response.status_code == case.status
        assert server.base_url in str(error)
        for word in case.words:
            assert word in str(error), word
        assert "<" not in str(error)
        assert "alert" not in str(error)
        assert len(server.requests) == before + 1

    @reads
    @pytest.mark.parametrize(
        "recording",
        [one for one in BUNDLED.values() if one.status >= 400],
        ids=lambda recording: recording.id,
    )
    async def test_of_a_real_vllm_keep_its_words(
        self, server: ReplayServer, recording: Recording, read: Read
    ) -> None:
        said = json.loads(recording.body)["error"]["message"]
        with pytest.raises(VLLMError) as raised:
            await read(chat(server, recording))
        error: Any = raised.value
        assert error.status_code == recording.status
        assert " ".join(said.split())[:200] in str(error)

    async def test_of_a_real_vllm_have_their_kind(self, server: ReplayServer) -> None:
        kinds = {
            "err_bad_model": VLLMNotFoundError,
            "err_context_too_long": VLLMContextOverflowError,
            "err_max_tokens_too_big": VLLMContextOverflowError,
            "err_empty_tools": VLLMInvalidRequestError,
            "err_temperature": VLLMInvalidRequestError,
        }
        for name, kind in kinds.items():
            with pytest.raises(kind) as raised:
                await ainvoke(chat(server, name))
            assert type(raised.value) is kind

    async def test_do_not_say_everything(self) -> None:
        recording = Recording(id="long", status=500, body=refusal("x" * 100_000, 500))
        with ReplayServer([recording]) as server, pytest.raises(VLLMServerError) as raised:
            chat(server, "long").invoke(QUESTION)
        assert len(str(raised.value)) < 1000

    async def test_that_may_pass_are_tried_again(self) -> None:
        recording = Recording(id="busy", status=503, body=refusal("busy", 503))
        with ReplayServer([recording]) as server:
            for read in (invoke, astream):
                before = len(server.requests)
                with pytest.raises(VLLMServerError, match="busy"):
                    await read(chat(server, "busy", max_retries=1))
                assert len(server.requests) == before + 2

    async def test_that_will_not_pass_are_not(self) -> None:
        recording = Recording(id="bad", status=400, body=refusal("bad", 400))
        with ReplayServer([recording]) as server:
            for read in READS:
                before = len(server.requests)
                with pytest.raises(VLLMInvalidRequestError):
                    await read(chat(server, "bad", max_retries=3))
                assert len(server.requests) == before + 1

    async def test_a_stream_that_broke_is_not_tried_again(self) -> None:
        recording = BUNDLED["auto_2calls"].cut(after_events=3)
        with ReplayServer([recording]) as server:
            for read in READS:
                before = len(server.requests)
                with pytest.raises(StreamInterruptedError):
                    await read(chat(server, recording, max_retries=3))
                assert len(server.requests) == before + 1

    @reads
    async def test_fallbacks_take_over(self, server: ReplayServer, read: Read) -> None:
        good = chat(server, "plain_text")
        assert await read(chat(server, "500").with_fallbacks([good]))
        assert await read(
            chat(server, "401").with_fallbacks(
                [good], exceptions_to_handle=(core.ModelAuthenticationError,)
            )
        )


@pytest.mark.asyncio(loop_scope="module")
class TestWrongURL:
    @pytest.mark.parametrize("path", ["", "/v2", "/v1/v1", "/v1/chat/completions"])
    async def test_without_v1(self, server: ReplayServer, path: str) -> None:
        url = server.base_url.removesuffix("/v1") + path
        for read in READS:
            for model in ("plain_text", ""):
                with pytest.raises(
                    VLLMNotFoundError, match=r"base_url has to end in /v1"
                ) as raised:
                    await read(chat(server, model, base_url=url))
                assert f"{url} answered 404" in str(raised.value)

    async def test_where_nothing_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        for read in READS:
            for model in ("tiny", ""):
                with pytest.raises(VLLMConnectionError) as raised:
                    await read(ChatVLLM(base_url=url, model=model, max_retries=0))
                error = raised.value
                assert isinstance(error, openai.APIConnectionError)
                assert isinstance(error, core.ModelConnectionError)
                assert not isinstance(error, VLLMTimeoutError)
                for word in (url, "vllm serve", "base_url=", "VLLM_API_BASE"):
                    assert word in str(error)

    async def test_where_nothing_answers(self) -> None:
        # A connection is taken by the system, and no one reads from it.
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/v1"
            for read in READS:
                llm = ChatVLLM(base_url=url, model="tiny", max_retries=0, timeout=0.1)
                with pytest.raises(VLLMTimeoutError) as raised:
                    await read(llm)
                error = raised.value
                assert isinstance(error, openai.APITimeoutError)
                assert isinstance(error, core.ModelTimeoutError)
                assert url in str(error)
                assert "timeout=" in str(error)

    async def test_where_no_http_is_spoken(self) -> None:
        llm = ChatVLLM(base_url="ftp://127.0.0.1/v1", model="tiny", max_retries=0)
        for read in READS:
            with pytest.raises(VLLMConnectionError, match=r"'ftp.* has to begin with http://"):
                await read(llm)

    async def test_where_no_tls_is_spoken(self, server: ReplayServer) -> None:
        llm = ChatVLLM(base_url=server.base_url.replace("http", "https"), max_retries=0)
        for read in READS:
            with pytest.raises(VLLMConnectionError, match="speaks no TLS") as raised:
                await read(llm)
            assert f"Set base_url={server.base_url!r}." in str(raised.value)


@pytest.mark.asyncio(loop_scope="module")
class TestGarbage:
    @pytest.mark.parametrize("name", GARBAGE)
    async def test_is_our_error(self, server: ReplayServer, name: str) -> None:
        for read in READS:
            with pytest.raises((StreamInterruptedError, VLLMError)) as raised:
                await read(chat(server, name))
            assert str(raised.value)

    @pytest.mark.parametrize("name", UNUSUAL)
    async def test_and_this_is_none(self, server: ReplayServer, name: str) -> None:
        llm = chat(server, name)
        assert llm.invoke(QUESTION).content == "Hi"
        assert (await llm.ainvoke(QUESTION)).content == "Hi"
        assert "".join(one.text for one in llm.stream(QUESTION)) == "Hi"
        assert "".join([one.text async for one in llm.astream(QUESTION)]) == "Hi"


KEY = "sk-very-secret"


class TestSecrets:
    """The key is sent to the server, and appears nowhere else."""

    @pytest.fixture(autouse=True)
    def _all_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        for name in ("openai", "httpx2", "httpcore2", "langchain_core", "langchain_openai"):
            caplog.set_level(logging.DEBUG, logger=name)

    async def test_not_in_an_error(self, caplog: pytest.LogCaptureFixture) -> None:
        recordings = [
            *(case.recording(name) for name, case in CASES.items()),
            BUNDLED["auto_2calls"].cut(after_events=3),
            BUNDLED["plain_text"].fail(after_events=2),
        ]
        with ReplayServer(recordings, api_key=KEY) as server:
            for recording in recordings:
                for read in READS:
                    llm = chat(server, recording, api_key=KEY)
                    with pytest.raises((VLLMError, StreamInterruptedError)) as raised:
                        await read(llm)
                    told = "".join(traceback.format_exception(raised.value))
                    seen = (told, repr(raised.value), repr(raised.value.args), repr(llm))
                    assert [one for one in seen if KEY in one] == []
            assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert caplog.records != []
        assert KEY not in caplog.text

    async def test_not_when_the_key_is_the_wrong_one(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ReplayServer(api_key="another") as server:
            for model in ("plain_text", ""):
                for read in READS:
                    with pytest.raises(VLLMAuthenticationError, match="VLLM_API_KEY") as raised:
                        await read(chat(server, model, api_key=KEY))
                    assert KEY not in "".join(traceback.format_exception(raised.value))
        assert KEY not in caplog.text

    @pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
    async def test_not_in_an_event(self, caplog: pytest.LogCaptureFixture) -> None:
        with ReplayServer(api_key=KEY) as server:
            llm = chat(server, "auto_2calls", api_key=KEY)
            chunks = [one async for one in llm.astream(QUESTION)]
            v2 = [event async for event in llm.astream_events(QUESTION, version="v2")]
            v3 = [event async for event in await llm.astream_events(QUESTION, version="v3")]
            result = await llm.agenerate([[]])
        for seen in (chunks, v2, v3, result):
            assert seen
            assert KEY not in repr(seen)
        assert KEY not in caplog.text
