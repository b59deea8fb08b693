"""Markup that is malformed, endless or strange: never a wrong call, never another exception."""

import json
import re
import time
from collections.abc import Callable

import pytest

from langchain_toolstream.core.json import MAX_LENGTH
from langchain_toolstream.core.markup import FORMATS, MarkupReader
from langchain_toolstream.core.markup.values import ANY, as_json
from langchain_toolstream.schema.tool_schema import tool_schemas
from tests.unit_tests.core.markup.corpus import Read, read
from tests.unit_tests.core.markup.writers import WRITERS

TOOL = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "note",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "maybe": {"type": ["string", "null"]},
                "number": {"type": "integer"},
                "either": {"type": ["string", "integer"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "on": {"type": "boolean"},
            },
        },
    },
}
TOOLS = tool_schemas([TOOL])
QWEN = "<tool_call>\n<function=note>\n{}</function>\n</tool_call>"

M3 = ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="note">\n'


def qwen(key: str, value: str) -> Read:
    parameter = f"<parameter={key}>\n{value}\n</parameter>\n"
    whole = read("qwen3_coder", [QWEN.format(parameter)], TOOLS)
    letters = read("qwen3_coder", QWEN.format(parameter), TOOLS)
    assert letters.key == whole.key
    return whole


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("text", "5", "5"),
        ("text", "null", "null"),
        ("text", "", ""),
        ("text", "\nkeep\n", "\nkeep\n"),
        ("maybe", "null", None),
        ("maybe", "nullable", "nullable"),
        ("maybe", "nul", "nul"),
        ("maybe", "", ""),
        ("number", "5", 5),
        ("number", " 5 ", 5),
        ("number", "five", "five"),  # the tool says what it thinks of that
        ("either", "5", 5),
        ("either", "007", "007"),
        ("either", "5 apples", "5 apples"),
        ("either", "-", "-"),
        ("tags", '["a"]', ["a"]),
        ("on", "True", True),
        ("on", "false", False),
        ("unheard_of", "12", 12),
        ("unheard_of", "twelve", "twelve"),
    ],
)
def test_the_schema_says_what_a_tagged_value_is(key: str, value: str, expected: object) -> None:
    found = qwen(key, value)
    (call,) = found.calls
    assert json.loads(call["arguments"]) == {key: expected}


def test_a_string_streams_and_a_nullable_one_waits_four_characters() -> None:
    for key, value, wait in (
        ("text", "null and", 0),
        ("maybe", "nulls and", 4),
        ("maybe", "ab", 0),
    ):
        reader = MarkupReader("qwen3_coder", TOOLS)
        reader.feed(f"<tool_call>\n<function=note>\n<parameter={key}>\n")
        seen = [bool(reader.feed(char)) for char in value]
        assert seen.index(True) == wait


INVALID = {
    "no name": ("hermes", '<tool_call>{"arguments": {"text": "a"}}</tool_call>'),
    "a name that is no text": ("hermes", '<tool_call>{"name": 3, "arguments": {}}</tool_call>'),
    "two names": (
        "hermes",
        '<tool_call>{"name": "note", "name": "b", "arguments": {}}</tool_call>',
    ),
    "arguments twice": (
        "hermes",
        '<tool_call>{"name": "note", "arguments": {"text": "a"}, "arguments": {}}</tool_call>',
    ),
    "junk behind the object": (
        "hermes",
        '<tool_call>{"name": "note", "arguments": {"text": "a"}} or so</tool_call>',
    ),
    "a call inside a call": (
        "hermes",
        '<tool_call>{"name": "note", <tool_call>{"name": "note", "arguments": {}}</tool_call>',
    ),
    "a parameter twice": (
        "qwen3_coder",
        QWEN.format("<parameter=text>\na\n</parameter>\n<parameter=text>\nb\n</parameter>\n"),
    ),
    "text where a parameter should come": ("qwen3_coder", QWEN.format("text: a\n")),
    "the wrong end": (
        "qwen3_coder",
        "<tool_call>\n<function=note>\n</tool_call>\n</function>\n</tool_call>",
    ),
    "a parameter without an end": ("qwen3_coder", QWEN.format("<parameter=text>\na\n")),
    "a parameter's tag in a value": (
        "qwen3_coder",
        QWEN.format("<parameter=text>\nWrite <parameter=x> there.\n</parameter>\n"),
    ),
    "a parameter's tag twice": (
        "qwen3_coder",
        QWEN.format("<parameter=text>\n<parameter=text>\na\n</parameter>\n"),
    ),
    "a value's tag in a value": (
        "glm47",
        (
            "<tool_call>note<arg_key>text</arg_key><arg_value>a<arg_key>maybe<arg_value>b</arg_value>"
            "</tool_call>"
        ),
    ),
    "a CDATA section without an end": (
        "minicpm5",
        (
            '<function name="note"><param name="text"><![CDATA[a</param>'
            '<param name="maybe"><![CDATA[b]]></param></function>'
        ),
    ),
    "a parameter without a key": (
        "kimi_k3",
        (
            '<|open|>tools<|sep|><|open|>call tool="note" index="1"<|sep|>'
            '<|open|>argument type="string"<|sep|>a<|close|>argument<|sep|><|close|>call<|sep|>'
        ),
    ),
    "an attribute without a quote": (
        "kimi_k3",
        (
            '<|open|>tools<|sep|><|open|>call tool="note" index="1"<|sep|>'
            '<|open|>argument key="text type="string"<|sep|>a<|close|>argument<|sep|>'
            "<|close|>call<|sep|>"
        ),
    ),
    "arguments under a name of their own": (
        "hermes",
        '<tool_call>{"name": "note", "argument": {"text": "a"}}</tool_call>',
    ),
    "a name with a quote": ("minimax_m2", '<minimax:tool_call><invoke name="a"b">\n</invoke>\n'),
    "a positional argument": ("lfm2", "<|tool_call_start|>[note('a')]<|tool_call_end|>"),
    "an expression": ("lfm2", "<|tool_call_start|>[note(text='a' + 'b')]<|tool_call_end|>"),
    "a call as a value": (
        "lfm2",
        "<|tool_call_start|>[note(text=__import__('os').getcwd())]<|tool_call_end|>",
    ),
    "a name as a value": ("olmo3", "<function_calls>note(text=text)</function_calls>"),
    "a star": ("olmo3", "<function_calls>note(**{'text': 'a'})</function_calls>"),
    "an f-string": ("olmo3", "<function_calls>note(text=f'{1}')</function_calls>"),
    "a string over two lines": ("olmo3", "<function_calls>note(text='a\nb')</function_calls>"),
    "a key that is a number": ("olmo3", "<function_calls>note(text={1: 2})</function_calls>"),
    "no literal": ("gemma4", "<|tool_call>call:note{text:hello}<tool_call|>"),
    "elements in the wrong order": (
        "minimax_m3",
        M3 + "]<]minimax[>[<tags>]<]minimax[>[<item>a]<]minimax[>[</tags>]<]minimax[>[</item>",
    ),
    "an end that is another's": (
        "minimax_m3",
        M3 + "]<]minimax[>[<text>a]<]minimax[>[</tags>",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_call_that_is_written_wrongly_is_invalid(case: str) -> None:
    name, text = INVALID[case]
    whole = read(name, [text], TOOLS)
    assert whole.good == []
    assert whole.invalid
    assert all(one.error for one in whole.invalid)
    assert read(name, text, TOOLS).key == whole.key


STRING = {"type": "string"}
NUMBER = {"type": "integer"}
PAIR = tool_schemas(
    [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": name,
                "parameters": {"type": "object", "properties": properties},
            },
        }
        for name, properties in (
            ("note", {"number": NUMBER, "text": STRING, "title": STRING, "count": NUMBER}),
            ("other", {"first": STRING, "second": STRING}),
        )
    ]
)
WRITTEN: list[tuple[str, dict[str, object]]] = [
    ("note", {"number": 7, "text": "alpha", "title": "beta", "count": 9}),
    ("other", {"first": "gamma", "second": "delta"}),
    ("note", {"text": "zeta"}),
]
_WORDS = re.compile(r"\s+|number|text|title|count|first|second|alpha|beta|gamma|delta|zeta|[79]")
_pieces = re.compile(r"(<[^<>]*>|\s+|alpha|beta|gamma|delta|zeta|[\"'{}\[\](),:=])").split


@pytest.mark.parametrize("name", FORMATS)
def test_a_call_that_lacks_a_piece_of_its_markup_never_runs_with_other_arguments(name: str) -> None:
    text = WRITERS[name](WRITTEN)
    assert [(one.name, one.args) for one in read(name, [text], PAIR).good] == WRITTEN
    pieces = [piece for piece in _pieces(text) if piece]
    for at, piece in enumerate(pieces):
        if _WORDS.fullmatch(piece):
            continue
        lacking = "".join(pieces[:at] + pieces[at + 1 :])
        for call in read(name, [lacking], PAIR).good:
            assert (call.name, call.args) in WRITTEN, lacking


def test_what_only_looks_like_a_parameters_tag_is_text() -> None:
    text = "if a <parameter=5 or </param or <parameter name='x'>"
    assert qwen("text", text).good[0].args == {"text": text}
    xml = '<parameter name="timeout" value="30"/>'
    call = f'<minimax:tool_call><invoke name="note"><parameter name="text">{xml}</parameter>'
    for pieces in ([call + "</invoke>"], call + "</invoke>"):
        assert read("minimax_m2", pieces, TOOLS).good[0].args == {"text": xml}


def test_a_call_behind_one_that_is_written_wrongly_is_read() -> None:
    good = '<tool_call>{"name": "note", "arguments": {"text": "b"}}</tool_call>'
    found = read("hermes", [f'<tool_call>{{"name": "note", oops}}</tool_call>{good}'], TOOLS)
    assert [call.args for call in found.good] == [{"text": "b"}]
    assert len(found.invalid) == 1


def test_names_with_spaces_and_keys_with_quotes() -> None:
    text = "<tool_call>\n<function=my note>\n<parameter=a'b>\nx\n</parameter>\n</function>"
    found = read("qwen3_coder", [text])
    assert [(one.name, one.args) for one in found.good] == [("my note", {"a'b": "x"})]
    found = read("qwen3_coder", [text], TOOLS)
    assert [one.name for one in found.invalid] == ["my note"]  # not bound


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("finish", ["stop", "length", None])
def test_no_beginning_of_a_call_is_a_call(name: str, finish: str | None) -> None:
    text = WRITERS[name]([("note", {"text": "hello", "number": 12})])
    whole = read(name, [text], TOOLS).good[0].args
    for end in range(len(text)):
        found = read(name, [text[:end]], TOOLS, finish=finish)
        # Where only the end of the call is missing, its arguments are whole.
        assert all(call.args == whole for call in found.good), text[:end]
        if finish == "length":
            assert found.good == []
            # Two characters of a marker may be text; more of it are the call that was cut.
            assert found.invalid or len(found.content.strip()) < 20, text[:end]


def test_half_a_marker_at_the_end_is_text_unless_the_text_was_cut() -> None:
    assert read("hermes", ["So <tool_ca"], finish="stop").content == "So <tool_ca"
    cut = read("hermes", ["So <tool_ca"], finish="length")
    assert (cut.content, len(cut.invalid)) == ("So ", 1)
    assert read("hermes", ["if a <"], finish="length").content == "if a <"


@pytest.mark.parametrize("name", FORMATS)
def test_deep_values_end(name: str) -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    text = WRITERS[name]([("note", {"either": deep})])
    found = read(name, [text])
    assert found.good == []
    assert found.invalid


def test_a_parameter_of_more_than_ten_megabytes_is_invalid() -> None:
    reader = MarkupReader("qwen3_coder", TOOLS)
    piece = "[" + "1," * 1_000_000
    pieces = ["<tool_call>\n<function=note>\n<parameter=number>\n", *[piece] * 6]
    deltas = [delta for one in pieces for delta in reader.feed(one)]
    assert len(reader._tape.text) < MAX_LENGTH
    reasons = [delta["tool_calls"][0].get("error") for delta in deltas]
    assert "The call is written wrongly: expected a shorter value." in reasons


def test_a_format_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"No format 'hermes2' is known.*hermes, .*qwen3_coder"):
        MarkupReader("hermes2")


@pytest.mark.parametrize("word", ["5", "null", "true", '"a"', "[1]", "{}", "x", "1" * 500])
def test_what_may_be_anything_is_json_where_it_is_json(word: str) -> None:
    expected = word if word in ("5", "null", "true", "[1]", "{}") else json.dumps(word)
    assert as_json(word, ANY) == expected


def seconds(name: str, text: str, size: int) -> float:
    best = float("inf")
    for _ in range(3):
        reader = MarkupReader(name, TOOLS)
        start = time.process_time()
        for at in range(0, len(text), size):
            reader.feed(text[at : at + size])
        reader.close("stop")
        best = min(best, time.process_time() - start)
    return best


GROWING: dict[str, Callable[[int], tuple[str, str]]] = {
    "angles": lambda n: ("hermes", "<" * n),
    "markers": lambda n: ("hermes", "<tool_call>" * (n // 11)),
    "white space behind a marker": lambda n: ("hermes", "<tool_call>" + " " * n),
    "white space": lambda n: ("hermes", "a" + " \n" * (n // 2)),
    "a string": lambda n: (
        "hermes",
        '<tool_call>{"name": "note", "arguments": {"text": "' + "a\\n" * (n // 3),
    ),
    "a tagged string": lambda n: (
        "qwen3_coder",
        "<tool_call>\n<function=note>\n<parameter=text>\n" + "a\n<" * (n // 3),
    ),
    "a tagged number": lambda n: (
        "qwen3_coder",
        "<tool_call>\n<function=note>\n<parameter=either>\n" + "1" * n,
    ),
    "white space before a value": lambda n: (
        "qwen3_coder",
        "<tool_call>\n<function=note>\n<parameter=either>\n" + " " * n,
    ),
    "a long name": lambda n: ("qwen3_coder", "<tool_call>\n<function=" + "a" * n),
    "a Python string": lambda n: (
        "lfm2",
        "<|tool_call_start|>[note(text='" + "a\\n" * (n // 3),
    ),
    "many values": lambda n: (
        "gemma4",
        "<|tool_call>call:note{tags:[" + '<|"|>a<|"|>,' * (n // 12),
    ),
    "many elements": lambda n: (
        "minimax_m3",
        ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="note">\n]<]minimax[>[<tags>'
        + "]<]minimax[>[<item>a]<]minimax[>[</item>" * (n // 40),
    ),
    "thoughts": lambda n: ("hermes", "<think>" + "</thin<think>" * (n // 13)),
    "no whole text": lambda n: ("pythonic", "[note(text='" + "a" * n),
}


@pytest.mark.parametrize("case", GROWING)
@pytest.mark.parametrize("size", [3, 10_000_000])
def test_reading_takes_time_in_proportion_to_the_text(case: str, size: int) -> None:
    small, large = 5_000 if size == 3 else 50_000, 4
    for _ in range(4):  # a busy machine may spoil a measurement, not four
        name, text = GROWING[case](small)
        _, longer = GROWING[case](small * large)
        ratio = seconds(name, longer, size) / seconds(name, text, size)
        if ratio < large * 2:
            return
    pytest.fail(f"four times the text takes {ratio:.1f} times as long")
