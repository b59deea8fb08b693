"""A server that streams one long tool call, for a process of its own: its CPU is no client's.

The request's `model` says what: `2000` is 2,000 deltas at once, `100@10` is 100 of them, one every
10 ms. Each event is one HTTP chunk, as vLLM sends them. The arguments are one string; each delta
holds a few characters of it, or, where there is a pause, the time at which it is written.
"""

import asyncio
import json
import sys
from time import monotonic
from typing import Any

HOST = "127.0.0.1"


def event(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish_reason,
        "token_ids": None,
    }
    chunk = {
        "id": "chatcmpl-8c7f1f0f9e7b4d0f",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "bench",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def arguments(piece: str) -> bytes:
    return event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def head() -> list[bytes]:
    call = {"id": "chatcmpl-tool-1", "type": "function", "index": 0}
    return [
        event({"role": "assistant", "content": ""}),
        event({"tool_calls": [call | {"function": {"name": "WriteFile", "arguments": ""}}]}),
        arguments('{"path": "notes.md", "content": "'),
    ]


def tail() -> list[bytes]:
    usage = {"prompt_tokens": 10, "completion_tokens": 2000, "total_tokens": 2010}
    return [
        arguments('"}'),
        event({}, "tool_calls"),
        event({}, choices=[], usage=usage),
        b"data: [DONE]\n\n",
    ]


WORDS = ("the ", "of a", "nd t", "o be", " in ", "that")


def at_once(count: int) -> bytes:
    pieces = [arguments(WORDS[i % len(WORDS)]) for i in range(count)]
    return b"".join(map(http_chunk, [*head(), *pieces, *tail()])) + b"0\r\n\r\n"


# As long as it is in the end: `%017.6f ` has 18 characters.
STAMPED = http_chunk(arguments("x" * 18)).replace(b"%", b"%%").replace(b"x" * 18, b"%017.6f ")

RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Server(asyncio.Protocol):
    """One connection: whole requests in, answers out."""

    bodies: dict[int, bytes] = {}  # noqa: RUF012 - shared on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        self.sending: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        headers, found, body = self.received.partition(b"\r\n\r\n")
        lines = headers.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if found and len(body) >= length:
            self.received = b""
            count, _, pause = json.loads(body)["model"].partition("@")
            self.transport.write(RESPONSE)
            if pause:
                sending = self.send_slowly(int(count), float(pause) / 1000)
                self.sending = asyncio.get_running_loop().create_task(sending)
            else:
                if int(count) not in self.bodies:
                    self.bodies[int(count)] = at_once(int(count))
                self.transport.write(self.bodies[int(count)])

    async def send_slowly(self, count: int, pause: float) -> None:
        self.write(head())
        due = monotonic()
        for _ in range(count):
            due += pause
            await asyncio.sleep(due - monotonic())
            self.transport.write(STAMPED % monotonic())
        self.write(tail())
        self.transport.write(b"0\r\n\r\n")

    def write(self, events: list[bytes]) -> None:
        for one in events:
            self.transport.write(http_chunk(one))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.sending is not None:
            self.sending.cancel()


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
