"""Recorded answers of a real vLLM that broke off: at any event, in any way, they end the same."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import Runnable

from langchain_toolstream.testing import Recording, load_recordings
from langchain_toolstream.vllm.response.roads import ROADS
from tests.unit_tests.vllm.mocked import BASE, Read, ainvoke, astream, av3, invoke, stream, v3
from tests.unit_tests.vllm.resumable import Break, Kind, Replica, served
from tests.unit_tests.vllm.test_resume import alike

CORPUS = Path(__file__).parents[2] / "integration_tests" / "corpus" / "resumes.jsonl.gz"
RECORDINGS = {one.id: one for one in load_recordings(CORPUS)}
NAMES = (
    "hermes_text", "hermes_text_thinking", "hermes_text_cut", "hermes_structured",
    "hermes_1call_thinking", "hermes_3calls", "hermes_3tools_thinking_content",
    "hermes_long_argument_content", "qwen3_coder_2calls", "qwen3_coder_1call_thinking",
)  # fmt: skip
KINDS: tuple[Kind, ...] = ("cut", "fail", "stall", "garbage", "half")
BOUND = ("chat_template_kwargs", "max_tokens", "response_format", "stream_interval")


def model(replica: Replica, recording: Recording, **fields: Any) -> Runnable[Any, Any]:
    """The model that asked for a recording."""
    ROADS.learn((BASE, "tiny"), "content" if recording.id.endswith("_content") else "tokens")
    request = dict(recording.request or {})
    parser = "qwen3_coder" if recording.id.startswith("qwen3_coder") else "hermes"
    llm = served(replica).llm(
        max_resumes=1, tool_call_parser=parser if "tools" in request else None, **fields
    )
    bound = {name: request[name] for name in BOUND if name in request}
    return llm.bind_tools(request["tools"], **bound) if "tools" in request else llm.bind(**bound)


async def ends_the_same(recording: Recording, read: Read, places: list[tuple[int, Kind]]) -> None:
    whole = alike(await read(model(Replica(body=recording.body), recording, coalesce=False)))
    for after, kind in places:
        replica = Replica(body=recording.body, breaks=[Break(after=after, kind=kind)])
        said = alike(await read(model(replica, recording, coalesce=False)))
        if read in (invoke, ainvoke):
            assert said == whole, (after, kind)
        else:
            assert text_of(said) == text_of(whole), (after, kind)


def text_of(events: Any) -> Any:
    """Chunks and events without the empty ones, of which a second stream has others."""
    return [
        one
        for one in events
        if one.get("event")
        or one["content"]
        or one["tool_call_chunks"]
        or one["additional_kwargs"].get("reasoning_content")
    ]


def before_the_end(recording: Recording) -> int:
    """How many events come before the finish reason."""
    events = recording.body.split(b"\n\n")
    return next(at for at, one in enumerate(events) if b'"finish_reason":"' in one)


@pytest.mark.parametrize("name", NAMES)
async def test_at_every_event(name: str) -> None:
    recording = RECORDINGS[name]
    last = before_the_end(recording)
    places = [(after, KINDS[after % len(KINDS)]) for after in range(last + 1)]
    await ends_the_same(recording, invoke, places[::2])
    await ends_the_same(recording, ainvoke, places[1::2])


@pytest.mark.parametrize("read", [stream, astream, v3, av3], ids=lambda read: read.__name__)
@pytest.mark.parametrize("name", NAMES)
async def test_on_every_road(name: str, read: Read) -> None:
    recording = RECORDINGS[name]
    last = before_the_end(recording)
    places = [(last * part // 3, KINDS[part]) for part in range(4)]
    await ends_the_same(recording, read, places)
