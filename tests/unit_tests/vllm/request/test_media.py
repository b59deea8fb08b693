"""Images, audio and video, as blocks of LangChain's and of OpenAI's, on the way to vLLM."""

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from tests.unit_tests.vllm.mocked import MockedServer, streamed
from tests.unit_tests.vllm.wire import body, chunk

URL = "https://example.com/a"


def part(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "image", "url": URL}, part("image_url", URL)),
    (
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        part("image_url", "data:image/png;base64,AAAA"),
    ),
    ({"type": "audio", "url": URL}, part("audio_url", URL)),
    ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, AUDIO),
    ({"type": "video", "url": URL}, part("video_url", URL)),
    (
        {"type": "video", "base64": "AAAA", "mime_type": "video/webm"},
        part("video_url", "data:video/webm;base64,AAAA"),
    ),
    *((part(kind, URL), part(kind, URL)) for kind in ("image_url", "audio_url", "video_url")),
    (AUDIO, AUDIO),
]


@pytest.mark.parametrize(("block", "sent"), SENT)
def test_are_sent_as_vllm_takes_them(block: dict[str, Any], sent: dict[str, Any]) -> None:
    server = MockedServer(lambda _: streamed(body(chunk(content="Hi", finish_reason="stop"))))
    text = {"type": "text", "text": "What is that?"}
    asked = HumanMessage([text, block])
    before = asked.model_copy(deep=True)
    server.llm().invoke([asked, ToolMessage([block], tool_call_id="call_1")])
    human, tool = json.loads(server.requests[-1].content)["messages"]
    assert human["content"] == [text, sent]
    assert tool["content"] == [sent]
    assert asked == before
