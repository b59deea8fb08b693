"""What a parser's answers say of its habits, in the terms of `toolstream doctor`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_toolstream.cli.doctor.parsers import ToolCallParser, find_markup

Record = Mapping[str, Any]
"""What a parser made of one text: a line of `RECORDED`."""

_BEHIND_TEXT = "text before a call makes it lose the call"
_LUMPS = 2
_FINE = 0.3  # share of a long argument's characters that came by themselves


def habits(records: Sequence[Record], texts: Mapping[str, Record]) -> ToolCallParser:
    """Say what a parser does.

    Args:
        records: What it made of its texts.
        texts: Those texts, by scenario.

    Returns:
        Its row in the doctor's table.

    Raises:
        ValueError: If the doctor does not know its format.
    """
    about = records[0]
    markup = find_markup(texts["one_call"]["text"])
    if markup is None:
        msg = f"{about['name']}: cli.doctor.parsers.MARKUP does not know its format"
        raise ValueError(msg)
    by = {(one["scenario"], one["step"]): one for one in records}
    verdicts = {
        (scenario, step): _verdict(one, texts[scenario]["calls"])
        for (scenario, step), one in by.items()
    }
    always = _always(verdicts)
    return ToolCallParser(
        about["name"],
        markup,
        about["forced"],
        _pieces(by["long_string", "1"]),
        _cut(by["cut", "1"]),
        always=always,
        at_once="" if always and always != _BEHIND_TEXT else _at_once(verdicts),
    )


def _verdict(record: Record, written: Sequence[Record]) -> str:  # noqa: PLR0911
    """What became of the calls that a text holds."""
    if record.get("error"):
        return "error"
    came = [(name, _parsed(args)) for name, args, _ in record["calls"]]
    right = [(one["name"], one["arguments"]) for one in written]
    if came == right:
        return "right"
    if not came:
        return "lost"
    if came == right[: len(came)]:
        return "second lost"
    names = [name for name, _ in right]
    if [name for name, _ in came] == names and not any(args for _, args in came):
        return "no arguments"
    if came[0][0] == names[0] and len(came) < len(names):
        return "second in first"
    return "garbled"


def _parsed(args: str) -> Any:
    try:
        return json.loads(args)
    except ValueError:
        return None


def _always(verdicts: Mapping[tuple[str, str], str]) -> str:
    """What is lost or spoiled when the tokens come one by one."""
    one = verdicts["one_call", "1"]
    two = verdicts["two_parallel_calls", "1"]
    behind_text = verdicts["text_then_call", "1"]
    if one == two == "lost":
        return "every streamed call is lost"
    if one != "right":
        return "arguments are garbled"
    if two != "right":
        return {
            "error": "two calls in one answer end it with an error",
            "second in first": "a second call is written into the arguments of the first",
            "second lost": "of two calls in one answer the second is lost",
        }.get(two, "of two calls in one answer one is garbled")
    if behind_text != "right":
        return _BEHIND_TEXT
    return ""


def _at_once(verdicts: Mapping[tuple[str, str], str]) -> str:
    """What is lost or spoiled when several tokens come at once."""
    one, two = verdicts["one_call", "all"], verdicts["two_parallel_calls", "all"]
    if one == "right":
        return {
            "right": "",
            "second lost": "of two calls in one step the second is lost",
        }.get(two, "two calls in one step are garbled")
    return {
        "lost": "a call that comes whole in one step is lost",
        "no arguments": "a call that comes whole in one step loses its arguments",
    }.get(one, "arguments are garbled when several tokens come at once")


def _pieces(record: Record) -> Any:
    if not record["calls"]:
        return "whole"
    _, args, pieces = record["calls"][0]
    if pieces <= _LUMPS:
        return "whole"
    return "token" if pieces / len(args) > _FINE else "value"


def _cut(record: Record) -> Any:
    if not record["calls"]:
        return "no call"
    args = record["calls"][-1][1]
    if not args:
        return "name only"
    return "open" if _parsed(args) is None else "closed"
