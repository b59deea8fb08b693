"""Compare with the peers in one process. Exits with 1 when a requirement does not hold."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import linear_regression
from time import perf_counter, process_time

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCall, tool_call
from langchain_core.tools import tool

from benchmarks import client, contestants, eager, events, markup, views
from benchmarks.contestants import OURS
from benchmarks.measure import Rounds, Timed, feeding, iterating, seconds_since
from benchmarks.report import Report, ratio, us, versions
from benchmarks.workloads import (
    CALLS,
    KB,
    argument_deltas,
    chunks_after,
    message_chunks,
    one_string,
    plain,
    wire_deltas,
)
from langchain_toolstream import ToolSet

# What `python -m benchmarks` holds the package to.
AT_10_KB, AT_100_KB = 100, 1000
OWN_GROWTH = 1.5
AHEAD_OF_JITER_FROM = 4 * KB
UNITS = {"W1": 1.9 / 0.3, "W2": 0.8 / 0.1, "W3": 0.6 / 0.1, "W4": 1.2 / 0.1, "W5": 0.7 / 0.1}
"""A state machine in plain Python with a live object and field events, in times of what does
nothing. Its 0.1 is rounded."""
OF_THE_UNITS = 3

PREFIXES = (10 * KB, 20 * KB, 40 * KB)
DELTAS_AFTER_PREFIX = 40
OWN_SIZES = (1 * KB, 10 * KB, 100 * KB, 200 * KB)
STRING_SIZES = (1 * KB, 2 * KB, 4 * KB, 8 * KB, 16 * KB, 64 * KB)
TOOL_CALLS = 100


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer repetitions")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    options = arguments.parse_args()

    started = perf_counter()
    rounds = Rounds(quick=options.quick)
    report = Report()
    print(f"{versions()}\nMedians of CPU time per delta of 3-4 characters, contestants in turns.")
    parser_and_peers(rounds, report)
    core_and_reparsing(rounds, report)
    assembler(rounds, report)
    tool_map(rounds, report)
    eager.eager(report, rounds=1 if options.quick else 2)
    client.client(rounds, report)
    events.events(report, rounds=3 if options.quick else 9)
    views.views(rounds, report)
    views.drop_ins(rounds, report)
    markup.markup(rounds, report)
    if options.json:
        report.write(options.json, quick=options.quick)
    count = len(report.requirements)
    print(f"\n{count - len(report.failed)} of {count} requirements hold", end="")
    print(f" ({perf_counter() - started:.0f} s).")
    for requirement in report.failed:
        print(requirement)
    return 1 if report.failed else 0


def parser_and_peers(rounds: Rounds, report: Report) -> None:
    report.title(f"1. {OURS} and langchain-core's parsers, to the end of the stream")
    parsers = contestants.parsers()
    _, *peers = parsers
    calls, chunks = CALLS["W1"], message_chunks(CALLS["W1"])
    contestants.check(calls, chunks)
    measured = {
        "two calls": rounds.medians(whole_streams(chunks)),
        "10 KB": rounds.medians(whole_streams(message_chunks(CALLS["W2"]))),
    }
    own = own_cost(rounds)
    after = {
        prefix: rounds.medians({name: after_prefix(parsers[name], prefix) for name in peers})
        for prefix in PREFIXES
    }
    line = {
        name: linear_regression(PREFIXES, [after[prefix][name] for prefix in PREFIXES])
        for name in peers
    }

    def average(name: str, size: int) -> float:
        # Of a cost that grows linearly, the average over the whole is the one in the middle.
        return line[name].intercept + line[name].slope * size / 2

    measured["100 KB"] = {OURS: own[100 * KB]} | {name: average(name, 100 * KB) for name in peers}
    report.table(
        ["ahead of", *peers, *parsers],
        [
            [
                row + (" (peers extrapolated)" if row == "100 KB" else ""),
                *(ratio(costs[name] / costs[OURS]) for name in peers),
                *(us(costs[name]) for name in parsers),
            ]
            for row, costs in measured.items()
        ],
    )
    prefixes = ", ".join(map(kb, PREFIXES))
    report.note("The peers' 100 KB run is extrapolated: their cost per delta grows with what came")
    report.note(f"before, so {DELTAS_AFTER_PREFIX} deltas were timed behind prefixes of {prefixes}")
    report.note("and a straight line put through them. The line's 10 KB, and what was measured:")
    for name in peers:
        behind = ", ".join(us(after[prefix][name]) for prefix in PREFIXES)
        both = f"{us(average(name, 10 * KB))}, {us(measured['10 KB'][name])}"
        report.note(f"  {name}: {both} (behind the prefixes: {behind})")
    print()
    report.table(
        [f"{OURS} alone", *map(kb, own)],
        [
            ["of its cost at 1 KB", *(ratio(cost / own[1 * KB]) for cost in own.values())],
            ["µs per delta", *map(us, own.values())],
        ],
    )
    for row, costs in measured.items():
        report.keep("parser", row, costs)
    for prefix, costs in after.items():
        report.keep("parser, behind a prefix", kb(prefix), costs)
    report.keep("parser alone", OURS, {kb(size): cost for size, cost in own.items()})

    for row, bound in (("10 KB", AT_10_KB), ("100 KB", AT_100_KB)):
        for name in peers:
            times = measured[row][name] / measured[row][OURS]
            report.require(f"faster than {name} at {row}", times, at_least=bound)
    growth = max(own.values()) / min(own.values())
    report.require(f"{OURS}, dearest size to cheapest", growth, at_most=OWN_GROWTH)


def whole_streams(chunks: list[AIMessageChunk]) -> dict[str, Timed]:
    return {
        name: iterating(contestants.parsing(parser, chunks), len(chunks))
        for name, parser in contestants.parsers().items()
    }


def own_cost(rounds: Rounds) -> dict[int, float]:
    parser = contestants.parsers()[OURS]
    runs: dict[str, Timed] = {}
    for size in OWN_SIZES:
        chunks = message_chunks([one_string(size)])
        parsing = contestants.parsing(parser, chunks)
        # As many deltas for each size: 200 streams of 1 KB, one of 200 KB.
        runs[str(size)] = iterating(parsing, len(chunks), times=max(OWN_SIZES) // size)
    return {int(size): cost for size, cost in rounds.medians(runs).items()}


def after_prefix(parser: contestants.Parser, prefix: int) -> Timed:
    """Time the deltas behind a prefix: the run with them, less the run without."""
    before, deltas = chunks_after(prefix, DELTAS_AFTER_PREFIX)
    without = iterating(contestants.parsing(parser, before), 1)
    with_deltas = iterating(contestants.parsing(parser, before + deltas), 1)
    return lambda: (with_deltas() - without()) / len(deltas)


def core_and_reparsing(rounds: Rounds, report: Report) -> None:
    report.title("2. JSONStream alone, and parsing anew what came so far")
    makers = {
        "nothing": contestants.nothing,
        "JSONStream": contestants.json_stream,
        "jiter": contestants.reparse_jiter,
        "pydantic_core": contestants.reparse_pydantic_core,
    }
    plain_rows = {f"{kb(size)} plain": [one_string(size, plain)] for size in STRING_SIZES}
    text_rows = {f"{kb(size)} text": [one_string(size)] for size in STRING_SIZES}
    calls = CALLS | plain_rows | text_rows
    measured = {
        row: rounds.medians(
            {name: feeding(make, argument_deltas(calls[row])) for name, make in makers.items()}
        )
        for row in calls
    }
    rows = []
    for row, costs in measured.items():
        report.keep("core", row, costs)
        ours = costs["JSONStream"]
        faster = [ratio(costs[name] / ours) for name in ("jiter", "pydantic_core")]
        units = [f"{ours / costs['nothing']:.1f}", f"{UNITS[row]:.1f}" if row in UNITS else ""]
        rows.append([row, *faster, *units, *(us(cost) for cost in costs.values())])
    report.table(
        [
            "", "vs jiter", "vs pydantic_core", "in units", "reference",
            "do nothing", "JSONStream", "jiter", "pydantic_core",
        ],
        rows,
    )  # fmt: skip
    report.note("Units: what a contestant that does nothing takes in the same loop. `reference`: a")
    report.note(
        "hand-written state machine in plain Python. The rows in KB are one string; `plain`"
    )
    report.note("has no escape, which is what parsing anew likes best.")
    print()
    for size in STRING_SIZES:
        for row in (f"{kb(size)} plain", f"{kb(size)} text"):
            times = measured[row]["jiter"] / measured[row]["JSONStream"]
            if size >= AHEAD_OF_JITER_FROM:
                report.require(f"JSONStream ahead of jiter at {row}", times, at_least=1)
    for row, reference in UNITS.items():
        times = measured[row]["JSONStream"] / measured[row]["nothing"] / reference
        report.require(f"{row}, units to the reference's", times, at_most=OF_THE_UNITS)


def assembler(rounds: Rounds, report: Report) -> None:
    report.title("3. ToolCallAssembler: whole deltas, by what it reports")
    makers = {
        "nothing": contestants.nothing,
        "text": contestants.assembler(text=True, fields=False),
        "fields": contestants.assembler(text=False, fields=True),
        "both": contestants.assembler(text=True, fields=True),
    }
    rows = []
    for row in ("W2", "W4", "W5"):
        deltas = [wire_deltas(CALLS[row])]
        costs = rounds.medians({name: feeding(make, deltas) for name, make in makers.items()})
        report.keep("assembler", row, costs)
        ours = [costs[name] for name in ("text", "fields", "both")]
        units = [f"{cost / costs['nothing']:.1f}" for cost in ours]
        rows.append([row, *units, *(us(cost) for cost in ours)])
    report.table(["in units, then in µs", *["text", "fields", "both"] * 2], rows)


def tool_map(rounds: Rounds, report: Report) -> None:
    report.title(f"4. ToolSet.map: {TOOL_CALLS} calls of an async tool that does nothing, per call")

    @tool
    async def echo(number: int) -> int:
        """Return the number."""
        return number

    calls = [
        tool_call(name="echo", args={"number": number}, id=f"call_{number}")
        for number in range(TOOL_CALLS)
    ]
    tools = ToolSet([echo])

    async def stream() -> AsyncIterator[list[ToolCall]]:
        for call in calls:
            yield [call]

    async def each() -> int:
        return len(await echo.map().ainvoke(calls))

    async def one_list() -> int:
        return len(await tools.map().ainvoke(calls))

    async def one_by_one() -> int:
        return sum([len(messages) async for messages in tools.map().atransform(stream())])

    with asyncio.Runner() as runner:
        makers = {"tool.map()": each, "one list": one_list, "a stream": one_by_one}

        def timed(name: str) -> Timed:
            async def run() -> float:
                start = process_time()
                answered = await makers[name]()
                seconds = seconds_since(start)
                assert answered == TOOL_CALLS
                return seconds / TOOL_CALLS

            return lambda: runner.run(run())

        costs = rounds.medians({name: timed(name) for name in makers})
    report.keep("tools", "echo", costs)
    each_cost = costs["tool.map()"]
    report.table(
        ["", "of tool.map()", "µs per call"],
        [
            ["tool.map(), one list", ratio(1), us(each_cost)],
            *(
                [f"ToolSet.map(), {name}", ratio(costs[name] / each_cost), us(costs[name])]
                for name in ("one list", "a stream")
            ),
        ],
    )


def kb(size: int) -> str:
    return f"{size // KB} KB"


if __name__ == "__main__":
    sys.exit(main())
