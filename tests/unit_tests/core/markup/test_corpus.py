"""Every text of the data, whole and letter by letter; the integration tests cut it further."""

from collections import Counter

import pytest

from langchain_toolstream.core.events import ToolCallReady
from langchain_toolstream.core.markup import FORMATS
from tests.unit_tests.core.markup.corpus import (
    ALONE,
    Record,
    problems,
    read,
    read_record,
    records,
    schemas,
)


def of_format(name: str) -> list[Record]:
    return [record for record in records() if record["format"] == name]


def test_the_data_holds_every_format() -> None:
    assert len(records()) == 1_459
    assert {record["format"] for record in records()} == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_text_is_read_right_whole_and_by_letters(name: str) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for record in of_format(name):
        whole = read_record(record, [record["text"]])
        letters = read_record(record, record["text"])
        assert letters.key == whole.key, record["id"]
        right, found = problems(record, whole)
        wrong += [f"{record['id']}: {one}" for one in found]
        if record["expect"] == "call":
            counts["right"] += right
            counts["calls"] += len(record["truth"]["calls"])
    assert wrong == []
    assert counts["right"] == counts["calls"] > 0


@pytest.mark.parametrize("name", FORMATS)
def test_no_call_of_a_read_only_tool_is_taken_back(name: str) -> None:
    early = 0
    for record in of_format(name):
        if record["finish"] != "stop":
            continue  # the last call of a message that was cut is taken back, whole or not
        tools = schemas(record, read_only=True)
        found = read(name, record["text"], tools, finish=record["finish"])
        _, wrong = problems(record, found)
        assert wrong == [], record["id"]
        early += sum(isinstance(one, ToolCallReady) and one.early for one in found.events)
    assert early or name in ("pythonic", "xlam", "llama3_json")


THOUGHT = [record for record in records() if record["scenario"] == "thought_begun_in_prompt"]


@pytest.mark.parametrize("record", THOUGHT, ids=lambda record: record["format"])
def test_thoughts_that_the_prompt_has_begun(record: Record) -> None:
    told = read_record(record, record["text"], thinking=True)
    assert problems(record, told)[1] == []
    assert told.reasoning.startswith("First I need the weather")
    assert told.content == ""
    # Where nobody says so, the calls are read all the same, and the tag is no text.
    untold = read_record(record, record["text"])
    assert problems(record, untold)[1] == []
    assert "think" not in untold.content


SCENARIOS = ("one_call", "thought_then_calls", "marker_in_prose", "no_args", "cut_in_value")


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_reads_the_same_wherever_it_is_cut(name: str) -> None:
    for record in of_format(name):
        if record["scenario"] not in SCENARIOS:
            continue
        text = record["text"]
        whole = read_record(record, [text], judged=False)
        for at in range(1, len(text)):
            halves = read_record(record, [text[:at], text[at:]], judged=False)
            assert halves.key == whole.key, (record["id"], at)


@pytest.mark.parametrize("name", FORMATS)
def test_auto_finds_the_format(name: str) -> None:
    wrong = []
    for record in of_format(name):
        if record["expect"] == "invalid" and name in ALONE:
            continue  # a call of no bound tool, and without a marker, is text
        tools = schemas(record)
        found = read("auto", [record["text"]], tools, finish=record["finish"])
        assert read("auto", record["text"], tools, finish=record["finish"]).key == found.key
        wrong += [f"{record['id']}: {one}" for one in problems(record, found)[1]]
    # mimo's tags are qwen3_coder's, which strips a line end that mimo means.
    assert wrong == []
