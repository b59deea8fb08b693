"""What is written in a format comes out as it was written, wherever the text is cut."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_toolstream.core.markup import FORMATS, MarkupReader
from langchain_toolstream.schema.tool_schema import tool_schemas
from tests.unit_tests.core.markup.corpus import ALONE, Read, read, same
from tests.unit_tests.core.markup.writers import WRITERS

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("invoke", "item", "function", "self", "user", "call")
)
# What would end a value or a string in some format stands in no value: there it is its end.
ENDS = ("</", "<|", "<escape>", "]<]minimax[>[", "]]>", "<![CDATA[", "<｜", "<parameter", "<arg")
STRINGS = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("<>\"'\\{}[]/|\n\t ,:="),
    max_size=30,
).filter(lambda text: not any(end in text for end in ENDS) and not text.endswith("<"))
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": STRINGS,
    "integer": st.integers(-(2**70), 2**70),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> tuple[dict[str, Any], Any]:
    """A schema, and a value of it."""
    kinds = [*SCALARS, "array", "object"] if depth else [*SCALARS]
    kind = draw(st.sampled_from(kinds))
    if kind == "array":
        schema, first = draw(values(depth - 1))
        return {"type": "array", "items": schema}, [first] * draw(st.integers(0, 2))
    if kind == "object":
        inside = draw(st.dictionaries(NAMES, values(depth - 1), max_size=2))
        return (
            {"type": "object", "properties": {key: one for key, (one, _) in inside.items()}},
            {key: one for key, (_, one) in inside.items()},
        )
    return {"type": kind}, draw(SCALARS[kind])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[str, Any]]]:
    """Tools, and calls of them."""
    made = draw(
        st.dictionaries(NAMES, st.dictionaries(NAMES, values(), max_size=3), min_size=1, max_size=3)
    )
    tools = [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": name,
                "parameters": {
                    "type": "object",
                    "properties": {key: schema for key, (schema, _) in arguments.items()},
                },
            },
        }
        for name, arguments in made.items()
    ]
    calls = [
        (name, {key: value for key, (_, value) in arguments.items()})
        for name, arguments in made.items()
    ]
    return tools, calls


PROSE = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("<>[]{}|/ \n"), max_size=40
).filter(lambda text: not text[:1].isspace())


def cut(text: str, places: list[int]) -> list[str]:
    ends = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


def calls_of(found: Read) -> list[tuple[str, Any]]:
    return [(call.name, call.args) for call in found.good]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@given(conversation=conversations(), prose=PROSE, places=PLACES)
@settings(max_examples=20)
def test_what_is_written_comes_out(conversation: Any, prose: str, places: list[int]) -> None:
    tools, calls = conversation
    schemas = tool_schemas(tools)
    for name, write in WRITERS.items():
        before = "" if name in (*ALONE, "muse") else prose  # muse has a frame for text
        written = (f"{before}\n" if before else "") + write(calls)
        found = read(name, cut(written, places), schemas)
        assert [one.error for one in found.invalid] == [], written
        assert [called for called, _ in calls_of(found)] == [called for called, _ in calls]
        for (_, args), (_, arguments) in zip(calls_of(found), calls, strict=True):
            assert same(args, arguments), written
        assert found.content.strip() == before.strip(), written


@given(text=PROSE, places=PLACES)
@settings(max_examples=20)
def test_prose_is_prose(text: str, places: list[int]) -> None:
    text = "It says: " + text
    for name in FORMATS:
        found = read(name, cut(text, places))
        assert found.calls == [], name
        assert found.content == text, name


# Pieces of every format, so that a random text comes close to a call.
PIECES = sorted(
    {
        piece
        for write in WRITERS.values()
        for piece in re.split(r"(?<=[>\]}:|=])|(?=[<\[{])", write([("f", {"k": "v", "n": 1})]))
        if piece
    }
)


@given(
    pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25),
    places=PLACES,
    finish=st.sampled_from(("stop", "length", None)),
)
@settings(max_examples=25)
def test_any_text_is_read_without_an_error_and_the_same_however_it_is_cut(
    pieces: list[str], places: list[int], finish: str | None
) -> None:
    text = "".join(pieces)
    for name in FORMATS:
        whole = read(name, [text], finish=finish)
        assert read(name, cut(text, places), finish=finish, judged=False).key == whole.key, name
        # What is run is in the text: its name, and each of its keys.
        for call in whole.good:
            assert call.name in text
            assert all(key in text for key in call.args)


@pytest.mark.parametrize("name", FORMATS)
def test_a_string_argument_comes_letter_by_letter_from_its_first_one_on(name: str) -> None:
    """2 KB: no letter waits, and in the JSON formats neither does the opening brace."""
    string = "Q" + "river and sea " * 150
    text = WRITERS[name]([("note", {"text": string})])
    at = text.index(string)
    reader = MarkupReader(name, STRING_TOOL)
    said, opened = "", 0
    for position, letter in enumerate(text[: at + len(string)]):
        for delta in reader.feed(letter):
            for fragment in delta.get("tool_calls", ()):
                said += fragment["function"]["arguments"]
        opened = opened or (position if "{" in said else 0)
        if position >= at:
            assert said.endswith(text[at : position + 1]), position - at
    assert opened < at


STRING_TOOL = tool_schemas(
    [
        {
            "type": "function",
            "function": {
                "name": "note",
                "description": "note",
                "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
            },
        }
    ]
)
