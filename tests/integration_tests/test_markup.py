"""Every text of `markup.jsonl.gz`, cut as tokens of 1, 3 and 8 characters, whole, and anywhere."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import pytest

from langchain_toolstream.core.markup import FORMATS
from tests.unit_tests.core.markup.corpus import (
    Record,
    at_random,
    problems,
    read_record,
    records,
    tokens,
)

WAYS: dict[str, Callable[[Record], Iterable[str]]] = {
    "1": lambda record: tokens(record, 1),
    "3": lambda record: tokens(record, 3),
    "8": lambda record: tokens(record, 8),
    "whole": lambda record: [record["text"]],
    "anywhere": lambda record: at_random(record["text"], random.Random(record["id"])),  # noqa: S311
}
COLUMNS = ("texts", "calls", "right", "invalid", "cut", "none")


@pytest.mark.timeout(600)
def test_the_core_reads_every_text_however_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    wrong = []
    for way, cut in WAYS.items():
        right = 0
        for record in records():
            found = read_record(record, cut(record))
            count, problem = problems(record, found)
            wrong += [f"{record['id']} {way}: {one}" for one in problem]
            right += count * (record["expect"] == "call")
            if way == "3":
                row = table[record["format"]]
                row["texts"] += 1
                row[record["expect"]] += record["expect"] in COLUMNS
                if record["expect"] == "call":
                    row["calls"] += len(record["truth"]["calls"])
                    row["right"] += count
                row["call"] = 0
        assert right == 743, way
    assert wrong == []
    lines = [f"\n{'':16}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [
        f"{name:16}" + "".join(f"{table[name][column]:9}" for column in COLUMNS) for name in FORMATS
    ]
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201


@pytest.mark.timeout(1200)
def test_every_text_reads_the_same_in_two_halves() -> None:
    for record in records():
        text = record["text"]
        whole = read_record(record, [text], judged=False)
        step = 1 + len(text) // 100
        for at in range(1, len(text), step):
            halves = read_record(record, [text[:at], text[at:]], judged=False)
            assert halves.key == whole.key, (record["id"], at)
