"""Measure the tool-call parsers of an installed vLLM, and remake the table of `toolstream doctor`.

`python -m scripts.vllm_parsers` feeds each parser of the vLLM in .vllm with text of its own format,
keeps what came in `RECORDED`, and writes the table of each release that is recorded there. For
another vLLM, name its Python with `--python`. `--table` writes the table only.
"""

import argparse
import gzip
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from langchain_toolstream.cli.doctor.parsers import ToolCallParser
from scripts.vllm_cpu.server import PYTHON, REPOSITORY
from scripts.vllm_parsers.habits import Record, habits

CORPUS = REPOSITORY / "tests" / "integration_tests" / "corpus"
RECORDED = CORPUS / "vllm-parsers.jsonl.gz"
TABLE = REPOSITORY / "langchain_toolstream" / "cli" / "doctor" / "parser_table.py"

_DRIVER = Path(__file__).with_name("drive.py")
_SCENARIOS = ("one_call", "two_parallel_calls", "text_then_call", "long_string")
# Parsers that read what another one reads, and have no texts of their own.
_BY_HAND = {"minimax_m3"}
_READS_TOO = {"muse_glimmer": "muse"}

_HEAD = '''"""The parsers of each release. Made by `python -m scripts.vllm_parsers`.

Two rows are kept by hand: vLLM reads gpt-oss (`openai`) with a library of its own, and the script's
tokenizer does not do for `minimax_m3`, whose row is what the recorded wires say.
"""

from langchain_toolstream.cli.doctor.parsers import ToolCallParser

_BY_HAND = (
    ToolCallParser("minimax_m3", "minimax_m3", "native", "whole", "closed"),
    ToolCallParser("openai", "harmony", "native", "token", "open"),
)

RELEASES: dict[tuple[int, int], tuple[ToolCallParser, ...]] = {
'''


@cache
def texts() -> dict[str, dict[str, Record]]:
    """What models write, by the parser that reads it and the scenario."""
    made: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    with gzip.open(CORPUS / "markup.jsonl.gz", "rt", encoding="utf-8") as lines:
        for text in map(json.loads, lines):
            if text["scenario"] in _SCENARIOS:
                made[text["format"]][text["scenario"]] = {
                    **{key: text[key] for key in ("scenario", "text", "tools", "markers")},
                    "calls": text["truth"]["calls"],
                }
    for text in [*made["hermes"].values()]:
        calls = "".join(map(_plamo, text["calls"]))
        before, _, _ = text["text"].partition("<tool_call>")
        made["plamo3"][text["scenario"]] = {
            **text,
            "text": f"{before}<|plamo:begin_tool_requests:plamo|>{calls}"
            "<|plamo:end_tool_requests:plamo|>",
            "markers": ["<|plamo:begin_", "<|plamo:end_", ":plamo|>"],
        }
    for name, other in _READS_TOO.items():
        made[name] = dict(made[other])
    for written in made.values():
        whole = written["long_string"]
        half = whole["text"][: len(whole["text"]) // 2]  # the middle of a string of 1,500 letters
        written["cut"] = {**whole, "scenario": "cut", "text": half}
    return dict(made)


def _plamo(call: Mapping[str, Any]) -> str:
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return (
        "<|plamo:begin_tool_request:plamo|>"
        f"<|plamo:begin_tool_name:plamo|>{call['name']}<|plamo:end_tool_name:plamo|>"
        "<|plamo:begin_tool_arguments:plamo|><|plamo:constrain|>json<|plamo:msg|>"
        f"{arguments}<|plamo:end_tool_arguments:plamo|>"
        "<|plamo:end_tool_request:plamo|>"
    )


def measure(python: Path) -> list[dict[str, Any]]:
    """Feed the parsers of an installed vLLM.

    Args:
        python: The Python of that vLLM.

    Returns:
        What each made of its texts, and the names of those for which there are no texts.

    Raises:
        subprocess.CalledProcessError: If that vLLM cannot be imported.
    """
    known = texts()
    asked = json.dumps({name: list(written.values()) for name, written in known.items()})
    ran = subprocess.run(
        [str(python), str(_DRIVER)], input=asked, stdout=subprocess.PIPE, text=True, check=True
    )
    return [_shortened(json.loads(line), known) for line in ran.stdout.splitlines()]


def _shortened(line: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the deltas: each call's name, arguments, and the number of their pieces."""
    names = line.pop("names")
    line = {"name": next((name for name in names if name in known), names[0]), **line}
    line["also"] = [name for name in names if name != line["name"]]
    calls: dict[Any, list[Any]] = {}
    for index, name, args in line.pop("calls", ()):
        call = calls.setdefault(index, ["", "", 0])
        call[0] = call[0] or name
        call[1] += args
        call[2] += bool(args)
    line.pop("content", None)
    return {**line, "calls": list(calls.values())} if "scenario" in line else line


def recorded() -> list[dict[str, Any]]:
    """What was measured so far."""
    if not RECORDED.exists():
        return []
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def keep(records: Iterable[Mapping[str, Any]]) -> None:
    """Record what was measured, in the place of what the same releases gave before."""
    new = list(records)
    releases = {one["release"] for one in new}
    rest = [one for one in recorded() if one["release"] not in releases]
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in [*rest, *new]]
    # Without a time, so that the same records are the same file.
    RECORDED.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def rows(records: Iterable[Record]) -> dict[tuple[int, int], list[ToolCallParser]]:
    """Make the table.

    Args:
        records: What was measured.

    Returns:
        The parsers of each release.
    """
    known = texts()
    by: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in records:
        if "scenario" in one and one["name"] not in _BY_HAND:
            by[one["release"], one["name"]].append(one)
    table: defaultdict[tuple[int, int], list[ToolCallParser]] = defaultdict(list)
    for (release, name), some in by.items():
        major, minor = map(int, release.split("."))
        table[major, minor].append(habits(some, known[name]))
    # Of parsers that cannot be told apart, the best known is named first.
    order = {name: at for at, name in enumerate(_KNOWN)}
    for parsers in table.values():
        parsers.sort(key=lambda one: (order.get(one.name, len(order)), one.name))
    return dict(sorted(table.items()))


_KNOWN = ("hermes", "granite4", "qwen3_coder", "step3p5", "glm47", "muse", "llama3_json")


def source(table: Mapping[tuple[int, int], Iterable[ToolCallParser]]) -> str:
    """The table as a module.

    Args:
        table: The parsers of each release.
    """
    lines = [_HEAD]
    for release, parsers in table.items():
        lines.append(f"    {release}: (\n")
        for one in parsers:
            lines.append(f'        ToolCallParser("{one.name}", ')
            lines.append(", ".join(map(_quoted, (one.markup, one.forced, one.pieces, one.cut))))
            for key in ("always", "at_once"):
                if value := getattr(one, key):
                    lines.append(f",\n                       {key}={_quoted(value)}")  # noqa: PERF401
            lines.append("),\n")
        lines.append("        *_BY_HAND,\n    ),\n")
    return "".join([*lines, "}  # fmt: skip\n"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Measure, record, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", type=Path, default=PYTHON, help="the Python of a vLLM")
    parser.add_argument("--table", action="store_true", help="write the table only")
    arguments = parser.parse_args()
    if not arguments.table:
        measured = measure(arguments.python)
        keep(measured)
        without = sorted({one["name"] for one in measured if "scenario" not in one})
        print(f"vLLM {measured[0]['release']}: not measured, for want of texts: {without}")
    before = TABLE.read_text("utf-8") if TABLE.exists() else ""
    TABLE.write_text(source(rows(recorded())), "utf-8")
    same = before == TABLE.read_text("utf-8")
    print(
        f"{TABLE.relative_to(REPOSITORY)} {'is as it was' if same else 'has changed: look at it'}"
    )


if __name__ == "__main__":
    sys.exit(main())
