"""A `ChatVLLM` whose server is a function, and every way to read an answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
from langchain_core.runnables import Runnable

from langchain_toolstream import ChatVLLM

BASE = "http://server/v1"
Answer = httpx2.Response | Exception


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in these pieces, and may break off with an error."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def streamed(*pieces: bytes, error: Exception | None = None) -> httpx2.Response:
    """Answer with an event stream."""
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return httpx2.Response(200, headers=headers, stream=Body(*pieces, error=error))


class MockedServer:
    """A server that answers request by request.

    Args:
        answer: Makes the answer to a request; an exception is a failing connection.

    Attributes:
        requests: What was asked for.
    """

    def __init__(self, answer: Callable[[httpx2.Request], Answer]) -> None:
        self._answer = answer
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def llm(self, **fields: Any) -> ChatVLLM:
        """Make a model that asks it."""
        transport = httpx2.MockTransport(self)
        return ChatVLLM(
            **{"model": "tiny", "base_url": BASE, "max_retries": 0, **fields},
            http_client=httpx2.Client(transport=transport),
            http_async_client=httpx2.AsyncClient(transport=transport),
        )


Read = Callable[[Runnable[Any, Any]], Awaitable[Any]]


async def invoke(llm: Runnable[Any, Any]) -> Any:
    return llm.invoke("go")


async def ainvoke(llm: Runnable[Any, Any]) -> Any:
    return await llm.ainvoke("go")


async def stream(llm: Runnable[Any, Any]) -> Any:
    return list(llm.stream("go"))


async def astream(llm: Runnable[Any, Any]) -> Any:
    return [one async for one in llm.astream("go")]


async def v3(llm: Runnable[Any, Any]) -> Any:
    return list(llm.stream_events("go", version="v3"))


async def av3(llm: Runnable[Any, Any]) -> Any:
    return [one async for one in await llm.astream_events("go", version="v3")]


READS: list[Read] = [invoke, ainvoke, stream, astream, v3, av3]
