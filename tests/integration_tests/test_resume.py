"""Answers that break off and go on, over real HTTP: recordings of a real vLLM, sync and async."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from langchain_core.runnables import Runnable

from langchain_toolstream import ChatVLLM
from langchain_toolstream.testing import Recording
from langchain_toolstream.vllm.response.roads import ROADS
from tests.integration_tests.scripted_server import serve
from tests.unit_tests.vllm.resumable import Break, Kind, Replica
from tests.unit_tests.vllm.test_resume import alike
from tests.unit_tests.vllm.test_resume_recorded import BOUND, NAMES, RECORDINGS, before_the_end

SILENCE = 2.0
"""Seconds that a reader waits for a replica that stalls."""
KINDS: tuple[Kind, ...] = ("cut", "fail", "stall", "garbage", "half")


@contextmanager
def served(replica: Replica) -> Iterator[str]:
    """A server that answers as a replica does; yields its URL."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, request: dict[str, Any]) -> None:
            reply = replica.answer(self.path, request)
            self.send_response(reply.status)
            self.send_header("content-type", reply.content_type)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in reply.body.splitlines(keepends=True):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
            if reply.ending == "stall":
                over.wait()
            if reply.ending == "complete":
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with serve(Handler) as url:
        try:
            yield url
        finally:
            over.set()


def model(url: str, recording: Recording, **fields: Any) -> Runnable[Any, Any]:
    """The model that asked for a recording."""
    ROADS.learn((url, "tiny"), "content" if recording.id.endswith("_content") else "tokens")
    request = dict(recording.request or {})
    llm = ChatVLLM(
        base_url=url,
        model="tiny",
        max_retries=0,
        tool_call_parser="qwen3_coder"
        if recording.id.startswith("qwen3")
        else "hermes"
        if "tools" in request
        else None,
        **fields,
    )
    bound = {name: request[name] for name in BOUND if name in request}
    return llm.bind_tools(request["tools"], **bound) if "tools" in request else llm.bind(**bound)


@pytest.mark.parametrize("name", NAMES)
async def test_it_ends_as_if_nothing_had_happened(name: str) -> None:
    recording = RECORDINGS[name]
    last = before_the_end(recording)
    with served(Replica(body=recording.body)) as url:
        whole = model(url, recording).invoke("go")
    for number, kind in enumerate(KINDS):
        after = last * (number + 1) // (len(KINDS) + 1)
        replica = Replica(body=recording.body, breaks=[Break(after=after, kind=kind)])
        with served(replica) as url:
            limit = {"stream_chunk_timeout": SILENCE} if kind == "stall" else {}
            llm = model(url, recording, max_resumes=1, **limit)
            is_async = (number + NAMES.index(name)) % 2
            message = await llm.ainvoke("go") if is_async else llm.invoke("go")
        assert message.response_metadata["resumes"] == 1
        assert alike(message) == alike(whole), (after, kind)
