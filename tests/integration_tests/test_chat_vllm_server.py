"""What a model asks its server about itself, over HTTP; and what a real connection's end means."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from langchain_toolstream import ChatVLLM
from langchain_toolstream.testing import ReplayServer
from langchain_toolstream.vllm import (
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMModelCard,
    VLLMNotFoundError,
)
from tests.integration_tests.chat import QUESTION
from tests.unit_tests.vllm.wire import body, chunk, usage


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer(model="tiny", version="0.99.1", api_key="sk-1") as server:
        yield server


@pytest.fixture
def llm(server: ReplayServer) -> ChatVLLM:
    return ChatVLLM(base_url=server.base_url, api_key="sk-1", max_retries=0)


def test_a_model_knows_its_server(server: ReplayServer, llm: ChatVLLM) -> None:
    (card,) = llm.list_models()
    assert isinstance(card, VLLMModelCard)
    assert (card.id, card.max_model_len, card.owned_by) == ("tiny", 2048, "replay")
    assert llm.profile == llm.load_profile()
    assert llm.load_profile()["max_input_tokens"] == 2048
    assert llm.version() == "0.99.1"
    llm.health()
    assert server.requests[-1].path == "/health"

    async def ask() -> None:
        assert await llm.alist_models() == [card]
        assert await llm.aload_profile() == llm.profile
        assert await llm.aversion() == "0.99.1"
        await llm.ahealth()

    for _ in range(2):  # a connection of a loop that is over breaks nothing
        asyncio.run(ask())


async def test_what_the_server_keeps_behind_its_key(server: ReplayServer) -> None:
    llm = ChatVLLM(base_url=server.base_url, api_key="sk-other", max_retries=0)
    with pytest.raises(VLLMAuthenticationError, match="VLLM_API_KEY"):
        llm.list_models()
    with pytest.raises(VLLMAuthenticationError, match="VLLM_API_KEY"):
        await llm.aload_profile()
    llm.health()  # vLLM asks for the key under /v1 alone


async def test_recordings_have_no_tokenizer(llm: ChatVLLM) -> None:
    with pytest.raises(VLLMNotFoundError, match="replays recordings and has no tokenizer"):
        llm.get_num_tokens("Hi")
    with pytest.raises(VLLMNotFoundError, match="replays recordings and has no tokenizer"):
        await llm.aget_num_tokens("Hi")


class Flaky:
    """A server on loopback that leaves connections before it says anything.

    Args:
        drops: How many it leaves; the next one has an answer.
    """

    def __init__(self, drops: int) -> None:
        self.connections = 0
        self._drops = drops
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def serve(self) -> None:
        answer = body(chunk(content="Hi", finish_reason="stop"), usage(1, 2))
        for _ in range(self._drops + 1):
            with closing(self._socket.accept()[0]) as connection:
                self.connections += 1
                received = b""
                while b'"stream":true' not in received:
                    received += connection.recv(65536)
                if self.connections > self._drops:
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    connection.sendall(head + b"Connection: close\r\n\r\n" + answer)

    @contextmanager
    def running(self) -> Iterator["Flaky"]:
        thread = threading.Thread(target=self.serve)
        thread.start()
        with closing(self._socket):
            yield self
            thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_connection_that_is_dropped_before_the_answer_is_tried_again(
    is_async: bool,  # noqa: FBT001
) -> None:
    with Flaky(1).running() as server:
        llm = ChatVLLM(base_url=server.base_url, model="tiny", max_retries=1)
        message = await llm.ainvoke(QUESTION) if is_async else llm.invoke(QUESTION)
        assert message.content == "Hi"
    assert server.connections == 2


def test_and_is_an_error_where_nothing_is_tried_again() -> None:
    with Flaky(1).running() as server:
        llm = ChatVLLM(base_url=server.base_url, model="tiny", max_retries=0)
        with pytest.raises(VLLMConnectionError):
            llm.invoke(QUESTION)
        assert server.connections == 1
        assert llm.invoke(QUESTION).content == "Hi"
