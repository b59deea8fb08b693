"""What LangChain does around a model goes on: rate limiters, callbacks, traces."""

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from langchain_toolstream.vllm import VLLMIncompleteStreamError
from tests.unit_tests.scripted import comes_true
from tests.unit_tests.vllm.mocked import (
    READS,
    MockedServer,
    Read,
    ainvoke,
    astream,
    invoke,
    stream,
    streamed,
)
from tests.unit_tests.vllm.wire import body, chunk, part, usage

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

SAYS = [chunk(content="So: "), chunk(part("{}", id="call_1", name="now"))]
END = chunk(finish_reason="tool_calls")
GOOD = body(*SAYS, END, usage(5, 4))
BROKEN = body(*SAYS, done=False)

reads = pytest.mark.parametrize("read", READS)


class Limiter(BaseRateLimiter):
    """Counts who asks for leave."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def acquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.asked.append("sync")
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.asked.append("async")
        return True


@reads
async def test_a_rate_limiter_is_asked_once_for_each_answer(read: Read) -> None:
    limiter, server = Limiter(), MockedServer(lambda _: streamed(GOOD))
    llm = server.llm(rate_limiter=limiter)
    await read(llm)
    await read(llm)
    way = "async" if read.__name__.startswith("a") else "sync"
    assert limiter.asked == [way] * 2
    assert len(server.requests) == 2


class Told(BaseCallbackHandler):
    """Keeps what it is told."""

    run_inline = True

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.chunks: list[Any] = []
        self.ended: list[LLMResult] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.happened.append("start")

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.happened.append("token")
        self.chunks.append(chunk)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.happened.append("end")
        self.ended.append(response)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.happened.append("error")
        self.errors.append(error)


@pytest.mark.parametrize("read", [stream, astream])
async def test_callbacks_are_told_of_each_chunk(read: Read) -> None:
    told = Told()
    chunks = await read(MockedServer(lambda _: streamed(GOOD)).llm(callbacks=[told]))
    assert told.happened == ["start", *["token"] * (len(told.chunks)), "end"]
    assert all(isinstance(one, ChatGenerationChunk) for one in told.chunks)
    assert all(type(one.message) is AIMessageChunk for one in told.chunks)
    # The last chunk of a stream is langchain-core's own, and says that it is the last.
    assert [one.message for one in told.chunks] == chunks[: len(told.chunks)]


@pytest.mark.parametrize("read", [invoke, ainvoke, stream, astream])
async def test_callbacks_are_told_of_the_end(read: Read) -> None:
    told = Told()
    await read(MockedServer(lambda _: streamed(GOOD)).llm(callbacks=[told]))
    assert (told.happened[0], told.happened[-1]) == ("start", "end")
    (((generation,),),) = [one.generations for one in told.ended]
    message = getattr(generation, "message", None)
    assert [call["name"] for call in message.tool_calls] == ["now"]
    assert message.usage_metadata["total_tokens"] == 9


@reads
async def test_callbacks_are_told_of_the_error(read: Read) -> None:
    told = Told()
    llm = MockedServer(lambda _: streamed(BROKEN)).llm(callbacks=[told])
    with pytest.raises(VLLMIncompleteStreamError):
        await read(llm)
    assert await comes_true(lambda: bool(told.errors))
    assert [type(one) for one in told.errors] == [VLLMIncompleteStreamError]
    assert told.ended == []


class Traces(BaseTracer):
    """Keeps whole runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@reads
async def test_a_trace_has_the_request_and_the_answer(read: Read) -> None:
    tracer = Traces()
    llm = MockedServer(lambda _: streamed(GOOD)).llm(callbacks=[tracer], top_k=5)
    await read(llm)
    assert await comes_true(lambda: bool(tracer.runs))  # v3 tells it behind its last event
    (run,) = tracer.runs
    assert run.error is None
    assert (run.extra or {})["invocation_params"]["top_k"] == 5
    assert "go" in str(run.inputs)
    assert run.outputs is not None
    ((generation,),) = run.outputs["generations"]
    assert generation["message"]["kwargs"]["tool_calls"][0]["id"] == "call_1"
