"""The rest of a constraint takes the rest of the text, wherever it was cut, and nothing else."""

import json
import re
from typing import Any

import pytest

from langchain_toolstream.core.markup.rest import rest_of_choice, rest_of_json, rest_of_tag
from langchain_toolstream.core.markup.tags import structural_tag

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "name": {"type": "string"},
        "opt": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
        "kind": {"enum": ["one", "onetwo", 3]},
        "yes": {"type": "boolean"},
    },
    "required": ["a", "name", "list", "kind", "yes"],
    "$defs": {
        "Point": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
            "required": ["x"],
        }
    },
}
TEXTS = [
    (
        '{"a": 12, "name": "J\\u00e9r\\"\\\\x 🦀", "opt": -1.5e+10, '
        '"list": [{"x": 1, "y": "q"}, {"x": -20}], "kind": "onetwo", "yes": true}'
    ),
    '{"a": 0, "name": "", "list": [], "kind": 3, "yes": false}',
    '{"a": 7, "name": "x", "opt": null, "list": [{"x": 3}], "kind": "one", "yes": false}',
]
_STRING = r'"([^"\\]|\\.)*"'


def as_regex(element: dict[str, Any]) -> str:  # noqa: PLR0911 - one for each type
    """An element of a structural tag as a regular expression."""
    match element["type"]:
        case "structural_tag":
            return as_regex(element["format"])
        case "const_string":
            return re.escape(element["value"])
        case "regex":
            return f"({element['pattern']})"
        case "optional":
            return f"({as_regex(element['content'])})?"
        case "sequence":
            return "".join(map(as_regex, element["elements"]))
        case "or":
            return f"({'|'.join(map(as_regex, element['elements']))})"
        case "repeat":
            most = "" if element["max"] < 0 else element["max"]
            return f"({as_regex(element['content'])}){{{element['min']},{most}}}"
        case "tag":
            return (
                re.escape(element["begin"])
                + as_regex(element["content"])
                + re.escape(element["end"])
            )
        case "triggered_tags":
            calls = "|".join(map(as_regex, element["tags"]))
            return rf"([^<]|{calls}){'+' if element['at_least_one'] else '*'}"
    assert element["type"] == "json_schema"
    schema = element["json_schema"]
    return json_regex(schema, schema.get("$defs", {}))


def json_regex(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return json_regex(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return f"({'|'.join(json_regex(one, definitions) for one in schema['anyOf'])})"
    if "enum" in schema:
        return f"({'|'.join(re.escape(json.dumps(one)) for one in schema['enum'])})"
    match schema["type"]:
        case "object":
            members = []
            for name, value in schema["properties"].items():
                member = rf"(, )?{re.escape(json.dumps(name))}: {json_regex(value, definitions)}"
                members.append(member if name in schema["required"] else f"({member})?")
            return rf"\{{{''.join(members)}\}}"
        case "array":
            item = json_regex(schema["items"], definitions)
            return rf"\[({item}(, {item})*)?\]"
    return {
        "integer": r"-?\d+",
        "number": r"-?\d+(\.\d+)?([eE][+-]?\d+)?",
        "string": _STRING,
        "boolean": "(true|false)",
        "null": "null",
    }[schema["type"]]


@pytest.mark.parametrize("text", TEXTS)
def test_json_wherever_it_was_cut(text: str) -> None:
    json.loads(text)
    for at in range(len(text) + 1):
        rest = as_regex(rest_of_json(SCHEMA, text[:at]))
        assert re.fullmatch(rest, text[at:]), (text[:at], rest)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('{"a": 1', "}"),
        ('{"a": 1, "name": "x', ', "list": []}'),
        ('{"a": 1, "name": "x", "list": [{"x": 1', '], "kind": 3, "yes": true}'),
        ('{"a": 1, "name": "x", "list": [], "kind": "o', 'x", "yes": true}'),
        ('{"a": -', '0, "name": "x"}'),
        ("{", '"name": "x", "list": [], "kind": 3, "yes": true}'),
    ],
)
def test_what_does_not_fit_is_not_taken(text: str, rest: str) -> None:
    assert not re.fullmatch(as_regex(rest_of_json(SCHEMA, text)), rest)


def test_lengths_and_counts_are_those_that_are_left() -> None:
    rest = as_regex(rest_of_json({"type": "string", "minLength": 3, "maxLength": 4}, '"ab'))
    assert [bool(re.fullmatch(rest, one)) for one in ('"', 'c"', 'cd"', 'cde"')] == [
        False, True, True, False,
    ]  # fmt: skip
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}
    rest = as_regex(rest_of_json(numbers, "[1"))
    assert [bool(re.fullmatch(rest, one)) for one in ("]", ", 2]", ", 2, 3]", ", 2, 3, 4]")] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "text", "why"),
    [
        ({"type": "string", "pattern": "^a"}, '"a', "pattern"),
        ({"type": "integer", "maximum": 9}, "1", "maximum"),
        ({"type": "object"}, "{", "does not name"),
        ({"allOf": [{"type": "string"}, {"minLength": 2}]}, '"a', "allOf"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, '{"b', "does not stand"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "[", "does not fit"),
        ({"$ref": "#/$defs/none"}, '"', "refers to"),
        ({"$ref": "#"}, '"', "nested too deeply"),
        ({"type": "string"}, '"\\x', "no JSON"),
    ],
)
def test_what_cannot_be_said_says_why(schema: dict[str, Any], text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rest_of_json(schema, text)


def test_the_rest_is_as_compact_as_the_beginning() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    schema["required"] = ["a", "b"]
    for text, rest in (('{"a":1', ',"b":2}'), ('{"a":1,', '"b":2}'), ('{"a":1,"b":', "2}")):
        taken = as_regex(rest_of_json(schema, text))
        assert re.fullmatch(taken, rest)
        assert not re.fullmatch(taken, rest.replace(",", ", ").replace(":", ": ").rjust(9))
    # Nothing tells yet, but who asked may know.
    either = as_regex(rest_of_json(schema, '{"a":'))
    assert all(re.fullmatch(either, one) for one in ('1, "b": 2}', ' 1, "b": 2}'))
    known = as_regex(rest_of_json(schema, '{"a":', compact=True))
    assert re.fullmatch(known, '1,"b":2}')
    assert not re.fullmatch(known, ' 1, "b": 2}')


def test_choices() -> None:
    rest = as_regex(rest_of_choice(["good", "goodbye", "bad"], "goo"))
    assert [one for one in ("d", "dbye", "bad", "") if re.fullmatch(rest, one)] == ["d", "dbye"]
    rest = as_regex(rest_of_choice(["good", "goodbye"], "good"))
    assert [one for one in ("", "bye", "x") if re.fullmatch(rest, one)] == ["", "bye"]
    with pytest.raises(ValueError, match="no choice"):
        rest_of_choice(["good"], "x")


def tool(name: str, **properties: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": [*properties],
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


CALLS = (
    '<tool_call>\n{"name": "add", "arguments": {"a": 3, "b": 12}}\n</tool_call>\n'
    '<tool_call>\n{"name": "adder", "arguments": {"q": "x \\" y"}}\n</tool_call>'
)


@pytest.mark.parametrize("at_least_one", [False, True])
@pytest.mark.parametrize("first_only", [False, True])
def test_calls_wherever_they_were_cut(at_least_one: bool, first_only: bool) -> None:  # noqa: FBT001
    tools = [tool("add", a="integer", b="integer"), tool("adder", q="string")]
    tag = structural_tag("hermes", tools, at_least_one=at_least_one, stop_after_first=first_only)
    text = CALLS if at_least_one else f"Let me see.\n{CALLS}"
    if first_only:
        text = text.partition("\n<tool_call>\n" + '{"name": "adder"')[0]
    silent = []
    for at in range(len(text) + 1):
        try:
            rest = as_regex(rest_of_tag(tag, text[:at]))
        except ValueError:
            silent.append(text[:at][-2:])
        else:
            assert re.fullmatch(rest, text[at:]), (text[:at], rest)
    assert all(one.endswith(("<", "<t")) for one in silent)


def test_arguments_are_held_to_the_rest_of_their_schema() -> None:
    tag = structural_tag("hermes", [tool("add", a="integer", b="integer")])
    rest = as_regex(rest_of_tag(tag, '<tool_call>\n{"name": "add", "arguments": {"a": 3'))
    assert re.fullmatch(rest, ', "b": 1}}\n</tool_call>')
    assert not re.fullmatch(rest, "}}\n</tool_call>")


def test_a_format_that_is_no_json() -> None:
    tag = structural_tag("qwen3_coder", [tool("add", a="integer")])
    with pytest.raises(ValueError, match=r"not JSON \(qwen_xml\)"):
        rest_of_tag(tag, "<tool_call>\n<function=add>\n<parameter=a>\n1")


def test_thoughts_before_the_calls() -> None:
    tag = structural_tag("hermes", [tool("f", a="string")], thoughts_end="</think>")
    assert rest_of_tag(tag, "So I") == tag
    rest = as_regex(
        rest_of_tag(tag, '</think>\n\n<tool_call>\n{"name": "f", "arguments": {"a": "x')
    )
    assert re.fullmatch(rest, 'y"}}\n</tool_call>')


def test_the_end_of_the_thoughts_was_cut() -> None:
    tag = structural_tag(
        "hermes", [tool("f", a="string")], at_least_one=True, thoughts_end="</think>"
    )
    for cut in ("</think>\n", "</think>", "</th"):
        rest, calls = rest_of_tag(tag, f"So I{cut}")["format"]["elements"]
        assert cut + rest["value"] == "</think>\n\n"
        assert calls == tag["format"]["elements"][1]
    with pytest.raises(ValueError, match="where the thoughts may end"):
        rest_of_tag(tag, "So I<")


def test_a_list_of_calls() -> None:
    tag = structural_tag("kimi_k2", [tool("f", a="string")])
    text = "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
    with pytest.raises(ValueError, match="a list of calls cannot be written"):
        rest_of_tag(tag, text)
