"""What happens in a run, and when: `astream_events` read into a few times and texts."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import AIMessageChunk, ToolMessage

Change = tuple[Literal["writing", "written", "started", "finished", "answered"], "CallRun"]


@dataclass(slots=True)
class CallRun:
    """One call: when it was written, when its tool ran, and what came of it. Times in seconds."""

    id: str
    name: str
    begun: float
    args: str = ""
    written: float | None = None
    started: float | None = None
    finished: float | None = None
    message: ToolMessage | None = None

    def shown(self, width: int) -> str:
        """The call in one line, its arguments cut to a width."""
        args = self.args if len(self.args) <= width else f"{self.args[: width - 3]}..."
        return f"{self.name} {args}"


@dataclass(slots=True)
class Run:
    """One run of the chain. Times are seconds since its start."""

    prompt: str
    source: str
    text: str = ""
    calls: dict[str, CallRun] = field(default_factory=dict)
    first_chunk: float | None = None
    last_chunk: float = 0.0
    ended: float = 0.0

    @property
    def early(self) -> list[CallRun]:
        """The calls whose tools had finished before the model's last chunk."""
        return [
            call
            for call in self.calls.values()
            if call.finished is not None and call.finished < self.last_chunk
        ]


async def follow(events: AsyncIterator[Any], run: Run) -> AsyncIterator[Change]:
    """Keep a run up to date with the events of its chain.

    Args:
        events: `chain.astream_events(..., version="v2")`.
        run: What to keep up to date.

    Yields:
        Every change of a call.
    """
    start = time.monotonic()
    by_index: dict[Any, CallRun] = {}
    async for event in events:
        now = run.ended = time.monotonic() - start
        call = run.calls.get(event["metadata"].get("tool_call_id", ""))
        match event["event"]:
            case "on_chat_model_stream":
                run.first_chunk = now if run.first_chunk is None else run.first_chunk
                run.last_chunk = now
                for changed in _write(event["data"]["chunk"], run, by_index, now):
                    yield changed
            case "on_tool_start" if call is not None:
                if call.written is None:
                    call.written = now
                    yield "written", call
                call.started = now
                yield "started", call
            case "on_tool_end" | "on_tool_error" if call is not None:
                call.finished = now
                yield "finished", call
            case "on_chain_stream" if event["name"] == "ToolMap":
                for message in event["data"]["chunk"]:
                    call = run.calls[message.tool_call_id]
                    call.message = message
                    yield "answered", call


def _write(
    chunk: AIMessageChunk, run: Run, by_index: dict[Any, CallRun], now: float
) -> list[Change]:
    changes: list[Change] = []
    if isinstance(chunk.content, str):
        run.text += chunk.content
    for piece in chunk.tool_call_chunks:
        call = by_index.get(piece["index"])
        if call is None:
            for open_call in by_index.values():
                if open_call.written is None:
                    open_call.written = now
                    changes.append(("written", open_call))
            call = CallRun(id=piece["id"] or "", name=piece["name"] or "", begun=now)
            by_index[piece["index"]] = run.calls[call.id] = call
        call.args += piece["args"] or ""
        changes.append(("writing", call))
    if chunk.chunk_position == "last":
        for call in by_index.values():
            if call.written is None:
                call.written = now
                changes.append(("written", call))
    return changes
