"""`python -m scripts.client_reading [matrix] [strict]`: some minutes, most of them for starts.

`matrix` starts each tiny model behind eight sets of flags, and asks the same questions of each,
with and without thinking; the client reads the calls. `strict` counts the calls that do not fit at
temperature 2, read by the server and by the client, without and with `strict=True`.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage

from langchain_toolstream import ChatVLLM, ToolStreamParser
from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.vllm import VLLMError
from scripts.vllm_cpu.server import PARSERS, VLLMServer, serve

PROMPTS = 300
_AT_ONCE = 8
_EXCLUDE = ("--exclude-tools-when-tool-choice-none",)


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two integers."""
    return a * b


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return f"It is fine in {city}."


def write_file(path: str, content: str) -> str:
    """Write a file."""
    return f"{len(content)} characters in {path}"


TOOLS = [add, multiply, get_weather, write_file]
QUESTIONS = (
    "What is 3 * 12? Also, what is 11 + 49?",
    "What is the weather in Paris and Tokyo?",
    "Write a poem about river to poem.txt.",
    "Hello!",
)
FORCED: tuple[dict[str, Any], ...] = (
    {},
    {"strict": True},
    {"tool_choice": "multiply"},
    {"tool_choice": "any"},
    {"parallel_tool_calls": False},
)


def servers(model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sets of flags, by what the table calls them."""
    (other,) = (parser for parser in PARSERS if parser != model)
    for reads_thoughts in (True, False):
        thoughts = "reasoning parser" if reads_thoughts else "no reasoning parser"
        for name, flags in (
            ("no tool flags", {"parser": model, "reads_calls": False}),
            ("fitting parser", {"parser": model}),
            ("another parser", {"parser": other, "model": model}),
            ("excludes tools", {"parser": model, "reads_calls": False, "flags": _EXCLUDE}),
        ):
            yield f"{name}, {thoughts}", {**flags, "reads_thoughts": reads_thoughts}


def said(message: AIMessage) -> Any:
    """What has to be the same from every server."""
    thoughts = str(message.additional_kwargs.get("reasoning_content", "")).strip()
    called = [(call["name"], call["args"]) for call in message.tool_calls]
    invalid = [(call["name"], call["args"]) for call in message.invalid_tool_calls]
    return message.text.strip(), thoughts, called, invalid


def ask(
    server: VLLMServer, model: str, *, thinking: bool, reads_thoughts: bool
) -> dict[tuple[str, str], Any]:
    """Ask everything of one server, streamed and at once."""
    llm = ChatVLLM(
        base_url=server.base_url,
        temperature=0,
        max_tokens=400,
        tool_call_parser=model,
        thoughts_begun=thinking and not reads_thoughts,
        chat_template_kwargs={"enable_thinking": thinking},
    )
    found: dict[tuple[str, str], Any] = {}
    for asked in FORCED:
        for question in QUESTIONS if not asked else QUESTIONS[:1]:
            bound = llm.bind_tools(TOOLS, **asked)
            whole = bound.invoke(question)
            first, *rest = bound.stream(question)
            for chunk in rest:
                first += chunk
            if said(whole) != said(first):
                print(f"    invoke and stream differ: {said(whole)} {said(first)}")
            found[str(asked), question] = said(whole)
    return found


def matrix() -> bool:
    """Ask every server, and compare. Returns whether all said the same."""
    same = True
    for model in PARSERS:
        expected: dict[bool, Any] = {}
        for name, flags in servers(model):
            with serve(**flags) as server:
                for thinking in (False, True):
                    reads = flags["reads_thoughts"]
                    found = ask(server, model, thinking=thinking, reads_thoughts=reads)
                    first = expected.setdefault(thinking, found)
                    other = [key for key in found if found[key] != first[key]]
                    same = same and not other
                    verdict = f"{len(found)} answers, {len(other)} differ"
                    print(f"{model:12} {name:36} thinking {thinking!s:5} {verdict}", flush=True)
                    for key in other:
                        print(f"    {key}\n      {first[key]}\n      {found[key]}", flush=True)
        calls = sum(len(answer[2]) for one in expected.values() for answer in one.values())
        invalid = sum(len(answer[3]) for one in expected.values() for answer in one.values())
        print(f"{model:12} {calls} calls, {invalid} invalid\n", flush=True)
    return same


def prompts(number: int) -> list[str]:
    """So many questions, each for one or two calls."""
    cities = ("Paris", "Tokyo", "Oslo", "Rome", "Lima")
    made = []
    for i in range(number):
        a, b, c, d = i + 2, 3 * i + 1, 7 * i + 5, 100 - i
        made.append(
            (
                f"What is {a} * {b}? Also, what is {c} + {d}?",
                f"What is the weather in {cities[i % 5]} and {cities[(i + 2) % 5]}?",
                f"What is {a} + {b}?",
                f"What is the weather in {cities[i % 5]}? Also, what is {a} * {c}?",
            )[i % 4]
        )
    return made


async def count(llm: ChatVLLM, **asked: Any) -> Counter[str]:
    """Count what comes of all prompts."""
    bound = llm.bind_tools(TOOLS, **asked)
    parser = ToolStreamParser(TOOLS)
    slots = asyncio.Semaphore(_AT_ONCE)
    counts: Counter[str] = Counter()

    async def one(prompt: str) -> None:
        async with slots:
            try:
                message = await bound.ainvoke(prompt)
            except VLLMError as error:
                counts[type(error).__name__] += 1
                return
        judged = parser.invoke(message)
        invalid = sum(call["type"] == "invalid_tool_call" for call in judged)
        counts["right"] += len(judged) - invalid
        if is_truncating(message.response_metadata["finish_reason"]):
            counts["cut answers"] += 1
            counts["invalid in cut answers"] += invalid
        else:
            counts["invalid"] += invalid
        counts["markup left in the text"] += "<tool_call>" in message.text

    await asyncio.gather(*map(one, prompts(PROMPTS)))
    return counts


def strict() -> bool:
    """Count invalid calls. Returns whether none came where the client's tag holds them."""
    held = True
    for model in PARSERS:
        with serve(model) as server:
            for reader in ("server", "client"):
                for asked in ({}, {"strict": True}):
                    llm = ChatVLLM(
                        base_url=server.base_url,
                        temperature=2,
                        seed=1,
                        max_tokens=300,
                        tool_call_parser=model if reader == "client" else None,
                    )
                    counts = asyncio.run(count(llm, **asked))
                    told = ", ".join(f"{value} {key}" for key, value in sorted(counts.items()))
                    print(f"{model:12} read by the {reader} {asked!s:18} {told}", flush=True)
                    if reader == "client" and asked:
                        held = held and not counts["invalid"]
    return held


def main(chosen: Sequence[str]) -> int:
    """Run what was asked for, or both."""
    runs = {"matrix": matrix, "strict": strict}
    done = [runs[name]() for name in chosen or runs]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
