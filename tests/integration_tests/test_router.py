"""`ChatVLLM` through vLLM's own router, `vllm-router` from the index, before two ReplayServers."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from langchain_toolstream.vllm.errors import (
    VLLMIncompleteStreamError,
    VLLMInvalidRequestError,
    VLLMOverloadedError,
    VLLMRateLimitError,
    VLLMServerError,
)
from scripts.vllm_cpu.router import NO_ROUTER, ROUTER, Routed, route
from tests.integration_tests.chat import (
    QUESTION,
    aattempt,
    attempt,
    bound,
    chain,
    chat,
    echo_tools,
)

pytestmark = pytest.mark.timeout(120)

STREAMED = [one for one in bundled_recordings() if one.streamed and one.status == 200]
TOOLS = "auto_2calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Two servers, and the router before them."""

    servers: tuple[ReplayServer, ReplayServer]
    router: Routed

    @property
    def base_url(self) -> str:
        return self.router.base_url


def behind(*options: str, pace: Any = "instant") -> Iterator[Behind]:
    if not ROUTER.exists():
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(NO_ROUTER)
        pytest.fail(NO_ROUTER)
    with ReplayServer(pace=pace) as first, ReplayServer(pace=pace) as second:
        ports = [urlsplit(one.base_url).port or 0 for one in (first, second)]
        with route(*ports, options=options) as router:
            yield Behind(servers=(first, second), router=router)


@pytest.fixture(scope="module")
def replicas() -> Iterator[Behind]:
    yield from behind()


@pytest.mark.parametrize("recording", STREAMED, ids=lambda one: one.id)
async def test_a_recording_is_the_same_through_the_router(
    replicas: Behind, recording: Recording
) -> None:
    direct = attempt(lambda: bound(replicas.servers[0], recording).invoke(QUESTION), recording)
    routed = bound(replicas, recording)  # type: ignore[arg-type] - it has a base_url
    assert attempt(lambda: routed.invoke(QUESTION), recording) == direct
    assert await aattempt(lambda: routed.ainvoke(QUESTION), recording) == direct


async def test_a_chain_with_tools_through_the_router(replicas: Behind) -> None:
    recording = next(one for one in STREAMED if one.id == TOOLS)
    tools = echo_tools(recording, read_only=True)
    said = []
    for server in (replicas.servers[0], replicas):
        llm = chat(server, recording)  # type: ignore[arg-type]
        messages = [one async for part in chain(llm, tools).astream(QUESTION) for one in part]
        said.append([(one.content, one.artifact, one.tool_call_id) for one in messages])
    assert said[0] == said[1]
    assert len(said[0]) == 2


def test_its_headers_and_pages_pass(replicas: Behind) -> None:
    llm = chat(replicas, TOOLS, default_headers={"X-Request-Id": "abc-123"})  # type: ignore[arg-type]
    llm.invoke(QUESTION)
    sent = [one for server in replicas.servers for one in server.requests]
    assert any(one.headers.get("x-request-id") == "abc-123" for one in sent)
    assert [card.owned_by for card in llm.list_models()] == ["replay"]
    assert llm.version() == "0.32.0"
    llm.health()


def test_a_session_stays_at_its_replica() -> None:
    for replicas in behind("--policy", "consistent_hash"):
        for session in ("a", "b", "c", "d"):
            before = [len(server.requests) for server in replicas.servers]
            llm = chat(replicas, TOOLS, default_headers={"X-Session-Id": session})  # type: ignore[arg-type]
            for _ in range(4):
                llm.invoke(QUESTION)
            after = [len(server.requests) for server in replicas.servers]
            chats = [now - then for now, then in zip(after, before, strict=True)]
            assert max(chats) >= 4
            asked = [
                sum(one.headers.get("x-session-id") == session for one in server.requests)
                for server in replicas.servers
            ]
            assert sorted(asked) == [0, 4]


def test_a_replica_that_dies_in_mid_answer(replicas: Behind) -> None:
    router = replicas.router
    router.kill_after(3)
    with pytest.raises(VLLMIncompleteStreamError) as caught:
        chat(replicas, TOOLS).invoke(QUESTION)  # type: ignore[arg-type]
    assert caught.value.partial_message.tool_calls == []
    # The router moves new requests over by itself, before the dead one is back.
    for _ in range(6):
        assert len(chat(replicas, TOOLS).invoke(QUESTION).tool_calls) == 2  # type: ignore[arg-type]
    assert router.revive()


def test_its_refusals_are_errors_that_say_what_to_do(replicas: Behind) -> None:
    llm = chat(replicas, TOOLS)  # type: ignore[arg-type]
    with pytest.raises(VLLMInvalidRequestError, match="422: Failed to deserialize"):
        llm.invoke(QUESTION, max_tokens=-1)


def test_no_healthy_worker_and_one_that_is_back(replicas: Behind) -> None:
    llm = chat(replicas, TOOLS)  # type: ignore[arg-type]
    for relay in replicas.router.relays:
        relay.stop()
    kinds: list[type[Exception]] = []
    for _ in range(8):
        with pytest.raises(VLLMServerError) as caught:
            llm.invoke(QUESTION)
        assert caught.value.is_retryable
        kinds.append(type(caught.value))
        if "No available workers" in str(caught.value):
            break
    assert kinds[-1] is VLLMOverloadedError
    assert replicas.router.revive()
    # The circuit is closed again after a second; the SDK's retries wait for it.
    patient = chat(replicas, TOOLS, max_retries=8)  # type: ignore[arg-type]
    assert len(patient.invoke(QUESTION).tool_calls) == 2


@pytest.mark.parametrize("queue", [0, 8])
def test_more_requests_than_the_router_takes(queue: int) -> None:
    options = ("--max-concurrent-requests", "1", "--queue-size", str(queue))
    for replicas in behind(*options, pace=40.0):
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(chat(replicas, TOOLS).invoke, QUESTION)  # type: ignore[arg-type]
                for _ in range(4)
            ]
        errors = [one.exception() for one in asked]
        if queue:
            assert errors == [None] * 4  # they wait for their turn
            continue
        assert errors.count(None) < len(errors)
        refused = [one for one in errors if one is not None]
        assert all(isinstance(one, VLLMRateLimitError) for one in refused)
        assert all("429" in str(one) and "Try again later" in str(one) for one in refused)
