"""Record what a real vLLM answers, into the recordings that come with the package.

`python -m scripts.record` starts the server of the integration tests and asks it each of `PROMPTS`,
streamed and not. What comes back is kept byte by byte, with the time of each read. A second run
gives the same answers, with other ids and times.
"""

import argparse
import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langchain_toolstream.testing import Recording, load_recordings, save_recordings
from scripts.vllm_cpu.server import REPOSITORY, serve

TARGET = REPOSITORY / "langchain_toolstream" / "testing" / "recordings" / "tiny.jsonl.gz"

SEED = "What is 3 * 12? Also, what is 11 + 49?"


def _tool(name: str, description: str, **properties: tuple[str, str]) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {
            key: {"type": kind, "description": words} if words else {"type": kind}
            for key, (kind, words) in properties.items()
        },
        "required": list(properties),
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


ADD = _tool(
    "add", "Add two integers.", a=("integer", "First integer"), b=("integer", "Second integer")
)
MULTIPLY = _tool(
    "multiply",
    "Multiply two integers.",
    a=("integer", "First integer"),
    b=("integer", "Second integer"),
)
WEATHER = _tool("get_weather", "Say how the weather is.", city=("string", ""))
SEARCH = _tool("search", "Search the web.", query=("string", ""))
WRITE = _tool("write_file", "Write a file.", path=("string", ""), content=("string", ""))
CALCULATOR = [ADD, MULTIPLY]
ALL = [ADD, MULTIPLY, WEATHER, SEARCH, WRITE]


def _after(
    question: str, *results: tuple[str, dict[str, Any], str], tools: list[dict[str, Any]]
) -> dict[str, Any]:
    """The request that follows the results of calls."""
    ids = [f"call_{number}" for number in range(1, len(results) + 1)]
    calls = [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for call_id, (name, arguments, _) in zip(ids, results, strict=True)
    ]
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *(
            {"role": "tool", "tool_call_id": call_id, "content": result}
            for call_id, (_, _, result) in zip(ids, results, strict=True)
        ),
    ]
    return {"messages": messages, "tools": tools}


def _ask(question: str, tools: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    request = {"messages": [{"role": "user", "content": question}], **fields}
    return request if tools is None else {**request, "tools": tools}


PRODUCT, SUM = ("multiply", {"a": 3, "b": 12}, "36"), ("add", {"a": 11, "b": 49}, "60")

PROMPTS: dict[str, dict[str, Any]] = {
    # What the package is about, and the same with more tools to choose from.
    "2calls": _ask(SEED, CALCULATOR),
    "2calls_5tools": _ask(SEED, ALL),
    "2calls_required": _ask(SEED, CALCULATOR, tool_choice="required"),
    "2calls_cut": _ask(SEED, CALCULATOR, max_tokens=54),
    "thinking_2calls": _ask(SEED, CALCULATOR, chat_template_kwargs={"enable_thinking": True}),
    "after_2calls": _after(SEED, PRODUCT, SUM, tools=CALCULATOR),
    "after_2calls_other_order": _after(SEED, SUM, PRODUCT, tools=CALCULATOR),
    "1call": _ask("What is 3 * 12?", CALCULATOR),
    "after_1call": _after("What is 3 * 12?", PRODUCT, tools=CALCULATOR),
    "named_add": _ask(
        "What is 11 + 49?",
        CALCULATOR,
        tool_choice={"type": "function", "function": {"name": "add"}},
    ),
    "text_then_2calls": _ask(f"Explain, then {SEED[0].lower()}{SEED[1:]}", CALCULATOR),
    # Other tools: several calls of one, a long argument, different tools in one message.
    "3calls": _ask("What is the weather in Paris, London and Tokyo?", ALL),
    "2cities": _ask("What is the weather in Paris and Tokyo?", ALL),
    "long_argument": _ask("Write a poem about river to poem.txt.", ALL),
    "long_argument_cut": _ask("Write a poem about river to poem.txt.", ALL, max_tokens=70),
    "3tools": _ask(f"Search for river poems. Also, {SEED[0].lower()}{SEED[1:]}", ALL),
    # Text.
    "text": _ask("Hello!", ALL),
    "text_without_tools": _ask("Hello!"),
    "poem": _ask("Tell me a poem about river."),
    # Two tools that only read, and one that writes.
    "read_and_write": _ask(
        "Search for river poems. Also, what is 3 * 12? Also, write a poem about river to poem.txt.",
        ALL,
    ),
}


def exchange(url: str, name: str, request: dict[str, Any]) -> Recording:
    """Send one request, and keep the answer as it came."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        began = time.monotonic()
        connection.request(
            "POST",
            f"{where.path}/chat/completions",
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        reads, body = [], b""
        while data := response.read1(65536):
            reads.append((round(time.monotonic() - began, 4), len(data)))
            body += data
    finally:
        connection.close()
    return Recording(
        id=name,
        request=request,
        status=response.status,
        content_type=response.headers["content-type"],
        reads=tuple(reads),
        body=body,
    )


def main() -> None:
    """Record everything, and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=TARGET, help="the file to write")
    output: Path = parser.parse_args().output
    with serve() as server:
        records = []
        for name, fields in PROMPTS.items():
            request = {"model": "tiny", "temperature": 0, "max_tokens": 300, **fields}
            usage = {"stream": True, "stream_options": {"include_usage": True}}
            for suffix, how in (("", usage), ("_nonstream", {"stream": False})):
                record = exchange(server.base_url, f"tiny_{name}{suffix}", {**request, **how})
                print(f"{record.status} {len(record.body):6} {record.id}")
                records.append(record)
    save_recordings(records, output)
    print(f"{len(load_recordings(output))} recordings, {output.stat().st_size} bytes in {output}")


if __name__ == "__main__":
    main()
