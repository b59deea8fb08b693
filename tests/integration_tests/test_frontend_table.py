"""What each protocol's own client shows of each kind of run: a table, from real agents.

Where a version cannot say a thing, its cell has what it gets instead.
"""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from ag_ui.core import RunAgentInput
from langchain_core.messages import ToolMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from langchain_toolstream import (
    AI_SDK_HEADERS,
    ag_ui_messages,
    ag_ui_sse,
    ai_sdk_messages,
    read_history,
    resume_command,
    to_ag_ui,
    to_ai_sdk,
    tool_events,
)
from langchain_toolstream.streams.interrupts import questions
from langchain_toolstream.testing import ReplayServer
from tests.integration_tests.chat import chat
from tests.integration_tests.frontend_cases import CASES, PNG, SECRET, add, make_agent, recordings
from tests.unit_tests.frontend.approval import REFUSED

AI_SDK = ("ai-5", "ai-6", "ai-7")
AG_UI = ("ag-ui-1", "ag-ui-0")
CLIENTS = (*AI_SDK, *AG_UI)


class Served:
    """An agent for each conversation, and its two faces."""

    def __init__(self, replay: ReplayServer) -> None:
        self._chat = partial(chat, replay)
        self._agents: dict[str, Any] = {}

    def agent(self, request: Request) -> Any:
        name, client = request.path_params["name"], request.path_params["client"]
        return self._agents.setdefault(f"{name} {client}", make_agent(name, self._chat))

    async def state(self, request: Request) -> Any:
        return await self.agent(request).aget_state(CONFIG)

    async def events(self, request: Request, posted: Any) -> Any:
        state = await self.state(request)
        given: Any = {"messages": read_history(posted)[-1:], "token": SECRET}
        if state.interrupts:
            given = resume_command(state, posted, tools=[add])
        return tool_events(self.agent(request), given, CONFIG)

    async def ai_sdk(self, request: Request) -> Response:
        version: Any = int(request.path_params["client"][-1])
        if request.method == "GET":
            state = await self.state(request)
            messages, asked = state.values["messages"], state.interrupts
            return JSONResponse(ai_sdk_messages(messages, interrupts=asked, client=version))
        posted = await request.json()
        events = await self.events(request, posted)
        body = to_ai_sdk(events, posted=posted, client=version)
        return StreamingResponse(body, media_type="text/event-stream", headers=AI_SDK_HEADERS)

    async def ag_ui(self, request: Request) -> Response:
        if request.method == "GET":
            state = await self.state(request)
            messages = state.values["messages"]
            asked = [{"id": one.id, "reason": "x"} for one in questions(state.interrupts, messages)]
            return JSONResponse({"messages": ag_ui_messages(messages), "interrupts": asked})
        posted = RunAgentInput.model_validate(await request.json())
        events = to_ag_ui(
            await self.events(request, posted),
            thread_id=posted.thread_id,
            run_id=posted.run_id,
            protocol_version=posted.protocol_version,
        )
        return StreamingResponse(ag_ui_sse(events), media_type="text/event-stream")


CONFIG: Any = {"configurable": {"thread_id": "t"}}


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve every case, until the end of the block."""
    async with ReplayServer(recordings()) as replay:
        served = Served(replay)
        routes = [
            Route("/ai-sdk/{client}/{name}", served.ai_sdk, methods=["GET", "POST"]),
            Route("/ag-ui/{client}/{name}", served.ag_ui, methods=["GET", "POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            task = asyncio.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            await task


async def converse(clients: Path) -> dict[tuple[str, str], Any]:
    """What each client had at the end of each conversation."""
    cells = [(name, client) for name in CASES for client in CLIENTS]
    async with serve() as url:
        asked = [
            {
                "url": f"{url}/{'ai-sdk' if client in AI_SDK else 'ag-ui'}/{client}/{name}",
                "client": client,
                "answers": CASES[name].answers or None,
                "reload": CASES[name].reload,
            }
            for name, client in cells
        ]
        process = await asyncio.create_subprocess_exec(
            "node",
            "conversations.js",
            cwd=clients,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(json.dumps(asked).encode())
    assert process.returncode == 0
    return dict(zip(cells, json.loads(output), strict=True))


@pytest.fixture(scope="module")
def seen(clients: Path) -> dict[tuple[str, str], Any]:
    return asyncio.run(converse(clients))


def of_ai_sdk(seen: Any) -> str:
    """The assistant's message, part by part; `|` begins a step."""
    said = []
    for part in (part for one in seen["messages"][1:] for part in one["parts"]):
        kind = part["type"]
        if kind == "step-start":
            said.append("|")
        elif kind.startswith("tool-"):
            said.append(f"{kind.removeprefix('tool-')}:{part['state']}")
        elif kind == "data-approval":
            said.append(f"{kind}:{part['data'].get('decision')}")
        else:
            said.append(repr(part["text"]) if kind == "text" else kind)
    return " ".join(said).removeprefix("| ")


def of_ag_ui(seen: Any) -> str:
    """The messages after the user's; `!` marks what failed or was refused."""
    said = []
    groups = groupby(seen["messages"][1:], key=lambda one: one["role"])
    # Results come as they come, and the calls of a turn run at the same time.
    ordered = [sorted(group, key=lambda one: one.get("toolCallId", "")) for _, group in groups]
    for one in (one for group in ordered for one in group):
        content = one.get("content") or ""
        if isinstance(content, list):
            content = "+".join(part["type"] for part in content)
        calls = [f"{call['function']['name']}()" for call in one.get("toolCalls") or ()]
        words = [repr(content)] if content and one["role"] == "assistant" else []
        if one["role"] != "assistant":
            words = [one["role"] if isinstance(one["content"], str) else content]
        mark = "!" if (one.get("metadata") or {}).get("status") else ""
        said.append(" ".join([*words, *calls]) + mark)
    return " | ".join(said)


# What the clients of the AI SDK show, and those of AG-UI. Where one of them gets something else, it
# is under the client's name.
TABLE: dict[str, dict[str, str]] = {
    "answer": {"ai-sdk": "'Done.'", "ag-ui": "'Done.'"},
    "two parallel tools": {
        "ai-sdk": "add:output-available add:output-available | 'Done.'",
        "ag-ui": "add() add() | tool | tool | 'Done.'",
    },
    "invalid call": {"ai-sdk": "add:output-error", "ag-ui": "add() | tool!"},
    "unknown tool": {
        "ai-sdk": "nope:output-error | 'Done.'",
        "ag-ui": "nope() | tool! | 'Done.'",
    },
    "structured answer": {"ai-sdk": "Answer:output-available", "ag-ui": "Answer() | tool"},
    # The AI SDK has no place for what a tool's model says.
    "subagent": {
        "ai-sdk": "ask:output-available | 'Done.'",
        "ag-ui": "ask() | tool | add() | tool | 'Done.' | 'Done.'",
    },
    "approval given": {
        "ai-sdk": "add:output-available | 'Done.'",
        "ai-5": "add:output-available data-approval:approve | 'Done.'",
        "ag-ui": "add() | tool | 'Done.'",
    },
    "refused": {
        "ai-sdk": f"add:{REFUSED} | 'Done.'",
        "ai-5": "add:output-error data-approval:reject | 'Done.'",
        "ag-ui": "add() | tool! | 'Done.'",
    },
    "edited": {
        "ai-sdk": "add:output-available | 'Done.'",
        "ai-5": "add:output-available data-approval:edit | 'Done.'",
        "ag-ui": "add() | tool | 'Done.'",
    },
    "asked for each call": {
        "ai-sdk": f"add:output-available add:{REFUSED} | 'Done.'",
        "ai-5": "add:output-available add:output-error data-approval:approve "
        "data-approval:reject | 'Done.'",
        "ag-ui": "add() add() | tool | tool! | 'Done.'",
    },
    "tool error": {
        "ai-sdk": "boom:output-error | 'Done.'",
        "ag-ui": "boom() | tool! | 'Done.'",
    },
    # In the end; `test_progress` has what came before.
    "tool progress": {
        "ai-sdk": "count:output-available | 'Done.'",
        "ag-ui": "count() | tool | 'Done.'",
    },
    "artifact table": {
        "ai-sdk": "table:output-available | 'Done.'",
        "ag-ui": "table() | tool | 'Done.'",
    },
    # Before 1.0, a result is text: the picture is in the event `tool-artifact`.
    "image": {
        "ai-sdk": "image:output-available file | 'Done.'",
        "ag-ui": "image() | text+image | 'Done.'",
        "ag-ui-0": "image() | tool | 'Done.'",
    },
    "reasoning": {"ai-sdk": "reasoning 'Done.'", "ag-ui": "reasoning | 'Done.'"},
    "run that breaks off": {
        "ai-sdk": "'Half ' add:output-error",
        "ag-ui": "'Half ' add()! | tool!",
    },
    # Only AI SDK 7 can take back what it shows. Elsewhere it is marked as failed.
    "fallback in mid-stream": {
        "ai-sdk": "'Half ' add:output-error | add:output-available | 'Done.'",
        "ai-7": "add:output-available | 'Done.'",
        "ag-ui": "'Half ' add()! | tool! | add() | tool | 'Done.'",
    },
    "resume after reload": {
        "ai-sdk": f"add:output-available add:{REFUSED} | 'Done.'",
        "ai-5": "add:output-available data-approval:approve add:output-error "
        "data-approval:reject | 'Done.'",
        "ag-ui": "add() add() | tool | tool! | 'Done.'",
    },
}
CELLS = [(name, client) for name in CASES for client in CLIENTS]


def test_the_table_is_whole() -> None:
    assert list(TABLE) == list(CASES)


@pytest.mark.parametrize(("name", "client"), CELLS)
class TestCell:
    def test_shows(self, seen: Any, name: str, client: str) -> None:
        protocol = "ai-sdk" if client in AI_SDK else "ag-ui"
        row = TABLE[name]
        shown = (of_ai_sdk if client in AI_SDK else of_ag_ui)(seen[name, client])
        assert shown == row.get(client, row[protocol])

    def test_has_one_end_for_every_call(self, seen: Any, name: str, client: str) -> None:
        messages = seen[name, client]["messages"]
        if client in AI_SDK:
            parts = [part for one in messages for part in one["parts"] if "toolCallId" in part]
            ids = [part["toolCallId"] for part in parts]
            assert all(part["state"].startswith("output-") for part in parts)
            assert not any(part.get("preliminary") for part in parts)
            assert len(ids) == len(set(ids))
            assert len(messages) == 2  # a run that goes on stays in its message
            return
        made = [call["id"] for one in messages for call in one.get("toolCalls") or ()]
        ended = Counter(one["toolCallId"] for one in messages if one["role"] == "tool")
        assert Counter(made) == ended
        assert set(ended.values()) <= {1}
        ids = [one["id"] for one in messages]
        assert len(ids) == len(set(ids))

    def test_reports_no_error_but_that_of_the_run(self, seen: Any, name: str, client: str) -> None:
        one = seen[name, client]
        failed = name == "run that breaks off"
        assert one["errors"] == (["Something went wrong."] if failed else [])
        assert one["warnings"] == []
        if client in AI_SDK:
            assert one["status"] == ("error" if failed else "ready")
            assert one["posts"] == (2 if CASES[name].answers else 1)  # sending by itself ends
            assert set(one["reasons"]) <= {"stop", "tool-calls", None}
        else:
            assert one["open"] == []

    def test_has_no_secret(self, seen: Any, name: str, client: str) -> None:
        assert "1234" not in json.dumps(seen[name, client])


def tool_parts(seen: Any) -> list[Any]:
    return [part for part in seen["messages"][-1]["parts"] if part["type"].startswith("tool-")]


def custom(seen: Any, name: str) -> list[Any]:
    return [one["value"] for one in seen["events"] if one.get("name") == name]


ai_sdk = pytest.mark.parametrize("client", AI_SDK)
ag_ui = pytest.mark.parametrize("client", AG_UI)
ROWS = [{"city": "Oslo", "degrees": 1.5}, {"city": "Rome", "degrees": None}]


@ai_sdk
class TestAISDK:
    def test_a_table_has_rows(self, seen: Any, client: str) -> None:
        (part,) = tool_parts(seen["artifact table", client])
        artifact = part["output"]["artifact"]
        assert (artifact["columns"], artifact["rows"], artifact["total"]) == (
            ["city", "degrees"],
            ROWS,
            2,
        )

    def test_a_picture_is_a_file(self, seen: Any, client: str) -> None:
        messages = seen["image", client]["messages"]
        (file,) = (part for part in messages[-1]["parts"] if part["type"] == "file")
        assert file["mediaType"] == "image/png"
        assert file["url"].startswith("data:image/png;")
        assert file["url"].endswith(f";base64,{PNG}")
        (part,) = tool_parts(seen["image", client])
        assert PNG not in json.dumps(part)
        assert part["output"]["artifact"]["extras"] == {"alt": "a dot"}
        # Posted with the next message, it is the artifact again.
        *_, result, _ = read_history(messages)
        assert isinstance(result, ToolMessage)
        assert (result.content, result.artifact["base64"]) == ("A dot.", PNG)

    def test_an_edit_is_shown(self, seen: Any, client: str) -> None:
        (part,) = tool_parts(seen["edited", client])
        assert part["input"] == {"a": 10, "b": 20}
        assert "30" in part["output"]["content"]
        if client != "ai-5":
            assert part["approval"]["approved"] is True

    def test_is_told_why_a_person_refused(self, seen: Any, client: str) -> None:
        (part,) = tool_parts(seen["refused", client])
        assert "not now" in json.dumps(part)

    def test_progress(self, seen: Any, client: str) -> None:
        states = seen["tool progress", client]["progress"]
        assert [one for one in states if one] == ["1 of 2", "2 of 2"]

    def test_reasons_of_each_turn(self, seen: Any, client: str) -> None:
        one = seen["two parallel tools", client]
        assert one["reasons"] == ["stop"]
        metadata = one["messages"][-1]["metadata"]
        assert metadata["finishReasons"] == ["tool_calls", "stop"]


@ag_ui
class TestAGUI:
    def test_a_table_has_rows(self, seen: Any, client: str) -> None:
        (said,) = custom(seen["artifact table", client], "tool-artifact")
        artifact = said["artifact"]
        assert (artifact["columns"], artifact["rows"], artifact["total"]) == (
            ["city", "degrees"],
            ROWS,
            2,
        )

    def test_a_picture(self, seen: Any, client: str) -> None:
        one = seen["image", client]
        (said,) = custom(one, "tool-artifact")
        assert said["artifact"]["extras"] == {"alt": "a dot"}
        if client == "ag-ui-0":
            assert said["artifact"]["base64"] == PNG
            return
        assert "base64" not in said["artifact"]
        (result,) = (message for message in one["messages"] if message["role"] == "tool")
        assert result["content"][1]["source"] == {
            "type": "data", "value": PNG, "mimeType": "image/png",
        }  # fmt: skip
        # Posted with the next message, the model does not get it.
        *_, read, _ = read_history(one["messages"])
        assert isinstance(read, ToolMessage)
        assert (read.content, read.artifact["base64"]) == ("A dot.", PNG)

    def test_progress(self, seen: Any, client: str) -> None:
        said = custom(seen["tool progress", client], "tool-progress")
        assert [(one["toolCallId"], one["data"]) for one in said] == [
            ("c1", "1 of 2"),
            ("c1", "2 of 2"),
        ]

    def test_reasons_of_each_turn(self, seen: Any, client: str) -> None:
        last = seen["two parallel tools", client]["events"][-1]
        assert last["metadata"] == {"finishReasons": ["tool_calls", "stop"]}

    def test_a_question_says_what_may_be_answered(self, seen: Any, client: str) -> None:
        (asked,) = seen["edited", client]["asked"]
        assert asked["toolCallId"] == "c1"
        assert {"approve", "edit", "reject"} <= set(asked["metadata"]["allowedDecisions"])
