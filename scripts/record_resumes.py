"""Record answers of a real vLLM with their tokens, for the tests of `max_resumes`.

`python -m scripts.record_resumes` starts the servers of the integration tests and asks them as
`ChatVLLM(max_resumes=1)` does. What comes back is kept byte by byte.
"""

import argparse
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_toolstream import ChatVLLM
from langchain_toolstream.testing import Recording, save_recordings
from scripts.record import ALL, SEED, exchange
from scripts.vllm_cpu.server import PARSERS, REPOSITORY, VLLMServer, serve

TARGET = REPOSITORY / "tests" / "integration_tests" / "corpus" / "resumes.jsonl.gz"

THINKING = {"chat_template_kwargs": {"enable_thinking": True}}
POEM = "Tell me a poem about river."
PRODUCT = {
    "title": "multiply",
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}

QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": (POEM, {}),
    "text_thinking": (POEM, THINKING),
    "text_stop": (POEM, {"stop": ["never done", "###"]}),
    "text_stop_included": (POEM, {"stop": ["never done"], "include_stop_str_in_output": True}),
    "text_cut": (POEM, {"max_tokens": 40}),
    "text_interval": (POEM, {"stream_interval": 5}),
    "structured": (
        "What is 3 * 12?",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "product", "schema": PRODUCT},
            }
        },
    ),
    "1call": ("What is 3 * 12?", {"tools": ALL}),
    "1call_thinking": ("What is 3 * 12?", {"tools": ALL, **THINKING}),
    "2calls": (SEED, {"tools": ALL}),
    "3calls": ("What is the weather in Paris, London and Tokyo?", {"tools": ALL}),
    "3tools_thinking": (f"Search for river poems. Also, {SEED}", {"tools": ALL, **THINKING}),
    "long_argument": ("Write a poem about river to poem.txt.", {"tools": ALL}),
}  # fmt: skip


def asked(server: VLLMServer, question: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of the request that `ChatVLLM` sends."""
    llm = ChatVLLM(
        base_url=server.base_url,
        model="tiny",
        temperature=0,
        max_tokens=300,
        max_resumes=1,
        tool_call_parser=server.parser if "tools" in fields else None,
    )
    fields = dict(fields)
    stop = fields.pop("stop", None)
    payload = llm._answer([HumanMessage(question)], stop, fields).payload  # noqa: SLF001
    body = payload.pop("extra_body", {})
    return {**payload, **body, **more}


def main() -> None:
    """Record everything, and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=TARGET, help="the file to write")
    output: Path = parser.parse_args().output
    records: list[Recording] = []
    for name in PARSERS:
        with serve(name) as server:
            for question, (words, fields) in QUESTIONS.items():
                if name != PARSERS[0] and "tools" not in fields:
                    continue
                request = asked(server, words, fields)
                record = exchange(server.base_url, f"{name}_{question}", request)
                print(f"{record.status} {len(record.body):6} {record.id}", flush=True)
                records.append(record)
                if "tools" in fields and name == PARSERS[0]:
                    request = {key: one for key, one in request.items() if key != "logprobs"}
                    records.append(exchange(server.base_url, f"{record.id}_content", request))
    save_recordings(records, output)
    print(f"{len(records)} recordings, {output.stat().st_size} bytes in {output}")


if __name__ == "__main__":
    main()
