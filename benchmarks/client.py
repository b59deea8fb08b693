"""The client: what reading a stream costs, from a server on loopback that is a process of its own.

The unit is a wire delta, whatever a client makes of it. CPU time is that of this process.
"""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import monotonic, process_time
from typing import Any

import httpx2
import openai
import orjson
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers.openai_tools import JsonOutputToolsParser
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI

from benchmarks.measure import Rounds, Timed, seconds_since
from benchmarks.report import Report, ratio, us
from benchmarks.wire_server import HOST
from benchmarks.workloads import TOOLS
from langchain_toolstream import ChatVLLM, ToolStreamParser

# What `python -m benchmarks` holds the package to.
ALONE, WITH_PARSER, TOGETHER = 0.2, 0.25, 0.12
ABOVE_BARE = 0.35
CONSTRUCTED_WITHIN = 2_000  # µs
IMPORT = 1.1

AT_ONCE = "2000"
PAUSED = "300@4"
STREAMS, RATE, SECONDS = 100, 100, 3
SUSTAINED_BELOW = 0.1  # seconds of lag

ALONE_TRANSPORT = "httpx2 alone"
BARE, SDK, OPENAI = "httpx2 + orjson", "openai SDK", "ChatOpenAI"
OFF, ON = "ChatVLLM(coalesce=False)", "ChatVLLM"
PEER, OURS = " | JsonOutputToolsParser", " | ToolStreamParser"
SYNC, AIOHTTP = ", sync", " on aiohttp"

Run = Callable[[], Awaitable[int]]
"""Reads one answer. Returns how many chunks it became, or objects."""


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.wire_server"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://{HOST}:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()  # which ends it


def client(rounds: Rounds, report: Report) -> None:
    with server() as url, asyncio.Runner() as runner, clients(runner, url) as made:
        at_once(runner, made, rounds, report)
        paused(runner, made, report)
        many(runner, made, report, thorough=rounds.least > 1)
    start_up(rounds, report)


@dataclass
class Clients:
    """Those that all chains share, each with its own connections."""

    url: str
    bare: httpx2.AsyncClient
    bare_sync: httpx2.Client
    sdk: openai.AsyncOpenAI
    aiohttp: httpx2.AsyncClient


@contextmanager
def clients(runner: asyncio.Runner, url: str) -> Iterator[Clients]:
    made = Clients(
        url,
        httpx2.AsyncClient(timeout=60),
        httpx2.Client(timeout=60),
        openai.AsyncOpenAI(base_url=url, api_key="none"),
        openai.DefaultAioHttpClient(),
    )
    try:
        yield made
    finally:
        made.bare_sync.close()
        for client in (made.bare, made.sdk, made.aiohttp):
            runner.run(closed(client))


async def closed(client: httpx2.AsyncClient | openai.AsyncOpenAI) -> None:
    await (client.aclose() if isinstance(client, httpx2.AsyncClient) else client.close())


class Lines:
    """The least that finds the JSON in an event stream."""

    def __init__(self) -> None:
        self.rest = b""

    def objects(self, data: bytes) -> int:
        *lines, self.rest = (self.rest + data).split(b"\n")
        found = [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
        return len(found)


def contestants(made: Clients, model: str) -> dict[str, Run]:
    body = {"model": model, "messages": [{"role": "user", "content": "Go"}], "stream": True}
    post = ("POST", f"{made.url}/chat/completions")

    async def alone() -> int:
        async with made.bare.stream(*post, json=body) as response:
            return sum([1 async for _ in response.aiter_raw()])

    async def with_orjson() -> int:
        lines = Lines()
        async with made.bare.stream(*post, json=body) as response:
            return sum([lines.objects(data) async for data in response.aiter_bytes()])

    async def with_orjson_sync() -> int:
        lines = Lines()
        with made.bare_sync.stream(*post, json=body) as response:
            return sum([lines.objects(data) for data in response.iter_bytes()])

    async def with_sdk() -> int:
        stream: Any = await made.sdk.chat.completions.create(**body)  # type: ignore[call-overload]
        return sum([1 async for _ in stream])

    fields: dict[str, Any] = {"base_url": made.url, "api_key": "none", "model": model}
    aiohttp = {"http_async_client": made.aiohttp}
    peer, peer_on_aiohttp = ChatOpenAI(**fields), ChatOpenAI(**fields, **aiohttp)
    off, on = ChatVLLM(**fields, coalesce=False), ChatVLLM(**fields)
    on_aiohttp = ChatVLLM(**fields, **aiohttp)
    calls, ours = JsonOutputToolsParser(), ToolStreamParser(TOOLS)
    return {
        ALONE_TRANSPORT: alone,
        BARE: with_orjson,
        SDK: with_sdk,
        OPENAI: streamed(peer),
        OPENAI + PEER: streamed(peer | calls),
        OFF: streamed(off),
        OFF + OURS: streamed(off | ours),
        ON: streamed(on),
        ON + OURS: streamed(on | ours),
        BARE + SYNC: with_orjson_sync,
        OPENAI + SYNC: streamed_sync(peer),
        ON + SYNC: streamed_sync(on),
        ON + OURS + SYNC: streamed_sync(on | ours),
        OPENAI + AIOHTTP: streamed(peer_on_aiohttp),
        ON + AIOHTTP: streamed(on_aiohttp),
        ON + OURS + AIOHTTP: streamed(on_aiohttp | ours),
    }


def streamed(chain: Runnable[Any, Any]) -> Run:
    async def run() -> int:
        return sum([1 async for _ in chain.astream("Go")])

    return run


def streamed_sync(chain: Runnable[Any, Any]) -> Run:
    async def run() -> int:
        return sum([1 for _ in chain.stream("Go")])

    return run


def timed(runner: asyncio.Runner, run: Run, count: int) -> Timed:
    async def one() -> float:
        start = process_time()
        assert await run()
        return seconds_since(start) / count

    return lambda: runner.run(one())


def at_once(runner: asyncio.Runner, made: Clients, rounds: Rounds, report: Report) -> None:
    report.title(f"6. The client: {AT_ONCE} deltas at once, one HTTP chunk each")
    runs = contestants(made, AT_ONCE)
    chunks = {name: runner.run(run()) for name, run in runs.items()}  # and all of it is warm
    costs = rounds.medians({name: timed(runner, run, int(AT_ONCE)) for name, run in runs.items()})
    table(report, costs, chunks)
    report.keep("client", "at once", costs)
    alone, whole = costs[ALONE_TRANSPORT], costs[ON]
    report.note(f"The floor of {ON} is httpx2 with httpcore2 and h11, which read one HTTP chunk")
    report.note(f"after the other: {us(alone)} of its {us(whole)} ({alone / whole:.0%}).")
    report.note("aiohttp's parser is in C, and gives all that a read brought at once.")
    print()
    of_peer = {name: cost / costs[OPENAI] for name, cost in costs.items()}
    report.require(f"{OFF} of {OPENAI}", of_peer[OFF], at_most=ALONE)
    report.require(f"{OFF}{OURS} of {OPENAI} alone", of_peer[OFF + OURS], at_most=WITH_PARSER)
    report.require(f"{ON} of {OPENAI}", of_peer[ON], at_most=TOGETHER)


def paused(runner: asyncio.Runner, made: Clients, report: Report) -> None:
    count, _, pause = PAUSED.partition("@")
    report.title(f"7. The client: {count} deltas, {pause} ms between them, so a wakeup for each")
    names = (BARE, SDK, OPENAI, OFF, ON, ON + OURS, OPENAI + AIOHTTP, ON + AIOHTTP)
    runs = {name: run for name, run in contestants(made, PAUSED).items() if name in names}
    more = Rounds(quick=False)  # differences of what is small and noisy
    for run in runs.values():
        runner.run(run())
    costs = more.medians({name: timed(runner, run, int(count)) for name, run in runs.items()})
    table(report, costs, None)
    report.keep("client", "paused", costs)
    above = {name: costs[name] - costs[BARE] for name in (OPENAI, OFF, ON)}
    for name in (OFF, ON):
        title = f"{name} of {OPENAI}, each above {BARE}"
        report.require(title, above[name] / above[OPENAI], at_most=ABOVE_BARE)


def table(report: Report, costs: dict[str, float], chunks: dict[str, int] | None) -> None:
    report.table(
        [
            f"of {OPENAI}",
            "",
            "CPU per delta",
            "deltas/s on a core",
            *(["chunks"] if chunks else []),
        ],
        [
            [
                name,
                ratio(cost / costs[OPENAI]),
                us(cost),
                f"{1e6 / cost:,.0f}",
                *([f"{chunks[name]:,}"] if chunks else []),
            ]
            for name, cost in costs.items()
        ],
    )


def many(runner: asyncio.Runner, made: Clients, report: Report, *, thorough: bool) -> None:
    report.title(f"8. Streams of {RATE} deltas per second each, in one event loop: how far behind")
    model = f"{RATE * SECONDS}@{1000 // RATE}"
    fields: dict[str, Any] = {"base_url": made.url, "api_key": "none", "model": model}
    chains: dict[str, Runnable[Any, AIMessageChunk]] = {
        OPENAI: ChatOpenAI(**fields),
        OFF: ChatVLLM(**fields, coalesce=False),
        ON: ChatVLLM(**fields),
        ON + AIOHTTP: ChatVLLM(**fields, http_async_client=made.aiohttp),
    }

    def behind(name: str, streams: int) -> list[float]:
        return runner.run(lags(chains[name], streams))

    rows = []
    gc.collect()
    gc.freeze()  # or each full collection stops the loop for as long as the limit
    for name in chains:
        sustained = most(lambda streams, name=name: behind(name, streams), thorough=thorough)
        found = behind(name, STREAMS)
        half, most_of = percentile(found, 50), percentile(found, 99)
        report.keep("client, lag", name, {"p50": 1e6 * half, "p99": 1e6 * most_of})
        rows.append([name, f"{1000 * half:,.0f} ms", f"{1000 * most_of:,.0f} ms", str(sustained)])
    gc.unfreeze()
    limit = f"{1000 * SUSTAINED_BELOW:.0f} ms"
    report.table(
        [f"{STREAMS} streams", "lag at p50", "at p99", f"streams with p99 below {limit}"], rows
    )


async def lags(chain: Runnable[Any, AIMessageChunk], streams: int) -> list[float]:
    """Seconds from when the server wrote a delta to when it was read, once all streams run."""
    read: list[tuple[float, float]] = []
    begun: list[float] = []

    async def one() -> None:
        first = True
        async for message in chain.astream("Go"):
            at = monotonic()
            for call in message.tool_call_chunks:
                for text in (call["args"] or "").split():
                    if "." in text and text[0].isdigit():
                        read.append((float(text), at - float(text)))
                        if first:
                            first = False
                            begun.append(float(text))

    await asyncio.gather(*(one() for _ in range(streams)))
    return sorted(lag for written, lag in read if written > max(begun) + 0.2)


def percentile(ordered: list[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]


def most(behind: Callable[[int], list[float]], *, thorough: bool) -> int:
    """How many streams stay within the limit; where `thorough`, to the nearest sixteenth."""

    def holds(streams: int) -> bool:
        # Other processes may have had the core, so one of two has to hold.
        return any(percentile(behind(streams), 99) < SUSTAINED_BELOW for _ in range(2))

    good, bad = 0, 16
    while holds(bad):
        good, bad = bad, 2 * bad
    while thorough and bad - good > max(1, bad // 16):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def start_up(rounds: Rounds, report: Report) -> None:
    report.title("9. Starting up")

    def constructing(make: Callable[[], Any]) -> Timed:
        make()  # the first one loads certificates, and so does the SDK's

        def run() -> float:
            start = process_time()
            make()
            return seconds_since(start)

        return run

    costs = rounds.medians(
        {
            OPENAI: constructing(lambda: ChatOpenAI(api_key="none", model="bench")),
            ON: constructing(lambda: ChatVLLM(model="bench")),
        }
    )
    importing()  # compiles what has changed
    runs = [importing() for _ in range(rounds.least + 2)]
    alone, added = (median(values) for values in zip(*runs, strict=True))
    also = median(added / alone for alone, added in runs)
    imports = {"langchain_openai": alone, "langchain_toolstream behind it": added}
    report.keep("start-up", "constructing", costs)
    report.keep("start-up", "importing", {name: 1e6 * value for name, value in imports.items()})
    report.table(
        ["", "CPU"],
        [
            *([f"constructing {name}", us(cost)] for name, cost in costs.items()),
            *([f"importing {name}", f"{value:.2f} s"] for name, value in imports.items()),
        ],
    )
    report.require("constructing a client, of 2 ms", costs[ON] / CONSTRUCTED_WITHIN, at_most=1)
    report.require("importing both, of langchain-openai alone", 1 + also, at_most=IMPORT)


def importing() -> tuple[float, float]:
    """The CPU seconds of importing langchain-openai, and of importing the package behind it."""
    code = """if True:
        import gc, time
        gc.disable()
        start = time.process_time()
        import langchain_openai
        between = time.process_time()
        import langchain_toolstream
        print(between - start, time.process_time() - between)"""
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    output = subprocess.run(command, capture_output=True, check=True, text=True, env=env).stdout  # noqa: S603
    alone, added = map(float, output.split())
    return alone, added
