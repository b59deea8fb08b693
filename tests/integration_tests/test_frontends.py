"""Runs over real HTTP, read by the clients of the protocols that front ends speak."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from ag_ui.encoder import EventEncoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from langchain_toolstream import (
    AI_SDK_HEADERS,
    ChatVLLM,
    to_ag_ui,
    to_ai_sdk,
    to_sse,
    tool_events,
)
from langchain_toolstream.core.events import ToolEvent
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from tests.integration_tests.chat import QUESTION, chain, chat, echo_tools
from tests.unit_tests.frontend.test_frontend import STREAMS, Source

RECORDING = next(one for one in bundled_recordings() if one.id == "auto_3calls_weather")


async def broken() -> AsyncIterator[ToolEvent]:
    for event in STREAMS["broken"]:
        yield event
    msg = "password is 1234"
    raise ConnectionError(msg)


def source(name: str, llm: ChatVLLM) -> Any:
    """The events that are served under a name."""
    if name == "run":
        return tool_events(chain(llm, echo_tools(RECORDING, read_only=True)), QUESTION)
    if name == "model":
        return tool_events(llm, QUESTION)
    return broken() if name == "error" else Source(STREAMS[name]).stream


@asynccontextmanager
async def serve(recording: Recording) -> AsyncIterator[tuple[str, ReplayServer]]:
    """Serve every source in every protocol, until the end of the block."""
    async with ReplayServer([recording]) as replay:
        llm = chat(replay, recording, coalesce=False)  # so that calls are seen to grow

        async def sse(request: Request) -> StreamingResponse:
            body = to_sse(source(request.path_params["name"], llm))
            return StreamingResponse(body, media_type="text/event-stream")

        async def ai_sdk(request: Request) -> StreamingResponse:
            body = to_ai_sdk(source(request.path_params["name"], llm), message_id="answer")
            kind = "text/event-stream"
            return StreamingResponse(body, media_type=kind, headers=AI_SDK_HEADERS)

        async def ag_ui(request: Request) -> StreamingResponse:
            asked = await request.json()
            events = source(request.path_params["name"], llm)
            written = to_ag_ui(events, thread_id=asked["threadId"], run_id=asked["runId"])
            encoder = EventEncoder()
            body = (encoder.encode(event) async for event in written)
            return StreamingResponse(body, media_type=encoder.get_content_type())

        routes = [
            Route("/sse/{name}", sse),
            Route("/ai-sdk/{name}", ai_sdk, methods=["POST"]),
            Route("/ag-ui/{name}", ag_ui, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            task = asyncio.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", replay
            server.should_exit = True
            await task


async def read_by(clients: Path, protocol: str, *command: str) -> dict[str, Any]:
    """What a client makes of every source."""
    async with serve(RECORDING) as (url, _):
        names = [*STREAMS, "error", "run"]
        process = await asyncio.create_subprocess_exec(
            "node",
            *command,
            *(f"{url}/{protocol}/{quote(name)}" for name in names),
            cwd=clients,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    return dict(zip(names, json.loads(output), strict=True))


@pytest.mark.timeout(400)
class TestAISDK:
    @pytest.fixture(scope="class", params=["ai", "ai-v5"])
    @classmethod
    def seen(cls, clients: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
        return asyncio.run(read_by(clients, "ai-sdk", "ai_sdk.js", request.param))

    @pytest.mark.parametrize("name", [*STREAMS, "run"])
    def test_reads_every_stream(self, seen: dict[str, Any], name: str) -> None:
        assert seen[name]["errors"] == []

    def test_reads_what_the_run_said(self, seen: dict[str, Any]) -> None:
        message = seen["two turns"]["message"]
        assert (message["id"], message["role"]) == ("answer", "assistant")
        assert message["metadata"]["usage"]["total_tokens"] == 14
        assert [part["type"] for part in message["parts"]] == [
            "step-start", "reasoning", "text", "tool-add", "step-start", "tool-add", "text",
        ]  # fmt: skip
        tools = [part for part in message["parts"] if part["type"] == "tool-add"]
        assert [(one["state"], one["input"], one["output"]) for one in tools] == [
            ("output-available", {"a": 1}, {"content": "2", "artifact": {"sum": 2}}),
            ("output-available", {"a": 1}, {"content": "2"}),
        ]
        texts = [part["text"] for part in message["parts"] if "text" in part]
        assert texts == ["Hm. So.", "Let me see.", "It is 2."]

    def test_sees_what_is_no_call(self, seen: dict[str, Any]) -> None:
        parts = seen["early"]["message"]["parts"]
        (refused,) = [part for part in parts if part.get("toolCallId") == "c2"]
        assert (refused["state"], refused["errorText"]) == ("output-error", "cut off")

    def test_learns_that_the_run_failed(self, seen: dict[str, Any]) -> None:
        assert "Something went wrong." in seen["error"]["errors"][0]
        assert "1234" not in str(seen["error"])

    def test_reads_a_run(self, seen: dict[str, Any]) -> None:
        parts = seen["run"]["message"]["parts"]
        tools = [part for part in parts if part["type"] == "tool-get_weather"]
        assert [one["state"] for one in tools] == ["output-available"] * 3
        assert all(one["output"]["artifact"] == one["input"] for one in tools)
        # The client saw the first call's input grow.
        inputs = [state[0][2] for state in seen["run"]["states"] if state]
        assert inputs[0] is None
        assert inputs[-1] == tools[0]["input"]
        assert any(given != tools[0]["input"] for given in inputs if given)


@pytest.mark.timeout(400)
class TestAGUI:
    @pytest.fixture(scope="class")
    @classmethod
    def seen(cls, clients: Path) -> dict[str, Any]:
        return asyncio.run(read_by(clients, "ag-ui", "ag_ui.js"))

    @pytest.mark.parametrize("name", [*STREAMS, "run"])
    def test_verifies_every_stream(self, seen: dict[str, Any], name: str) -> None:
        assert seen[name]["error"] is None
        assert seen[name]["events"][-1]["type"] == "RUN_FINISHED"

    def test_reads_what_the_run_said(self, seen: dict[str, Any]) -> None:
        messages = seen["two turns"]["messages"]
        assert [(one["role"], one.get("content")) for one in messages] == [
            ("user", "Go."),
            ("reasoning", "Hm. So."),
            ("assistant", "Let me see."),
            ("tool", "2"),
            ("assistant", "It is 2."),
            ("tool", "2"),
        ]
        calls = [one["toolCalls"] for one in messages if one["role"] == "assistant"]
        assert [(one["id"], one["function"]["arguments"]) for (one,) in calls] == [
            ("c1", '{"a": 1}'),
            ("m2:c1", '{"a": 1}'),
        ]

    def test_learns_that_the_run_failed(self, seen: dict[str, Any]) -> None:
        assert seen["error"]["error"] == "Something went wrong."
        assert "1234" not in str(seen["error"])

    def test_reads_a_run(self, seen: dict[str, Any]) -> None:
        results = [one for one in seen["run"]["messages"] if one["role"] == "tool"]
        assert len(results) == 3


async def test_a_client_that_goes_away_ends_the_run() -> None:
    async with serve(RECORDING.stall(after_events=8)) as (url, replay):
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{url}/sse/model") as response,
        ):
            async for line in response.aiter_lines():
                if line.startswith("event: message-start"):
                    break
            assert replay.active == 1
        await replay.await_disconnect(20)
        assert replay.active == 0
