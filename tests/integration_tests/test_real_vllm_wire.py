"""What a real vLLM puts on the wire for the same calls, behind each of two tool-call parsers.

How arguments come in is printed.
"""

import json
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import httpx2
import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from scripts.vllm_cpu.server import VLLMServer
from tests.integration_tests.test_real_vllm import (
    OPEN,
    POEM,
    QUESTION,
    add,
    chat,
    multiply,
    write_file,
)

pytestmark = pytest.mark.timeout(600)  # The first test also waits for the server.

# How far the arguments may be at the end of a delta. hermes sends what the model writes, digit by
# digit. qwen3_coder does not know a number before it has ended, and sends it with what follows.
# A busy machine hands over several tokens at once, so a delta may go further than one token.
WHOLE = '{"a": 3, "b": 12}'
STEPS = {
    "hermes": {WHOLE[:end] for end in range(len(WHOLE) + 1)},
    "qwen3_coder": {'{"a": ', '{"a": 3, "b": ', WHOLE},
}


def asked(server: VLLMServer, question: str, *tools: Any, **fields: Any) -> str:
    """What the server sends, with nothing of ours between."""
    request = {
        "messages": [{"role": "user", "content": question}],
        "tools": [convert_to_openai_tool(tool) for tool in tools],
        "temperature": 0,
        **fields,
    }
    reply = httpx2.post(f"{server.base_url}/chat/completions", json=request, timeout=60)
    reply.raise_for_status()
    return reply.text


def written(stream: str) -> list[str]:
    """The texts that arguments come in."""
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    entries = [
        entry for chunk in chunks for entry in chunk["choices"][0]["delta"].get("tool_calls") or ()
    ]
    return [text for entry in entries if (text := entry["function"].get("arguments"))]


@pytest.fixture
def show(
    vllm_server: VLLMServer, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], None]:
    def show(texts: list[str]) -> None:
        shown = " ".join(map(repr, texts[:12])) + (" ..." if len(texts) > 12 else "")
        with capsys.disabled():
            print(f"\n{vllm_server.parser}, {len(texts)} deltas of arguments: {shown}")  # noqa: T201 - `make integration_tests` shows it

    return show


def test_how_numbers_are_streamed(
    vllm_server: VLLMServer, show: Callable[[list[str]], None]
) -> None:
    texts = written(asked(vllm_server, "What is 3 * 12?", multiply, stream=True))
    show(texts)
    assert "".join(texts) == WHOLE
    assert set(accumulate(texts)) <= STEPS[vllm_server.parser]


def test_a_long_string_is_streamed_while_it_is_written(
    vllm_server: VLLMServer, show: Callable[[list[str]], None]
) -> None:
    question = "Write a poem about river to poem.txt."
    texts = written(asked(vllm_server, question, write_file, stream=True))
    show(texts)
    assert json.loads("".join(texts)) == {"path": "poem.txt", "content": POEM}
    assert len(texts) > 3  # and about a hundred where nothing else runs


@pytest.mark.parametrize("vllm_server", ["qwen3_coder"], indirect=True, scope="session")
def test_invoke_sees_what_the_servers_body_hides(vllm_server: VLLMServer) -> None:
    # Row 18 of docs/wire.md: a body that is not streamed closes a call that was cut, and says
    # neither what is missing nor that anything is.
    _, cut, _ = OPEN[vllm_server.parser]
    body = json.loads(asked(vllm_server, QUESTION, add, multiply, max_tokens=cut))
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    second = choice["message"]["tool_calls"][1]["function"]
    assert second == {"name": "add", "arguments": '{"a": 11}'}

    message = chat(vllm_server, max_tokens=cut).bind_tools([add, multiply]).invoke(QUESTION)
    assert message.response_metadata["finish_reason"] == "length"
    assert [call["name"] for call in message.tool_calls] == ["multiply"]
    assert [call["name"] for call in message.invalid_tool_calls] == ["add"]
