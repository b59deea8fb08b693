"""What a structural tag does not hold of a schema is said before the request."""

import warnings
from typing import Any

import pytest

from langchain_toolstream.vllm.request import strict
from langchain_toolstream.vllm.request.strict import check_schemas


@pytest.fixture(autouse=True)
def _has_warned_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "_warned", set())


def tool(schema: Any, name: str = "note") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"x": schema}, "$defs": {"A": {"type": "null"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


S = {"type": "string"}
IGNORED: list[tuple[dict[str, Any], str]] = [
    ({"allOf": [S, {"minLength": 2}]}, "allOf of two or more at $.x"),
    ({"not": S}, "not at $.x"),
    ({"oneOf": [S, {"type": "string", "minLength": 2}]}, "oneOf, which is read as anyOf"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf, which is read as anyOf"),
    ({"if": S, "then": {"minLength": 2}}, "if at $.x"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"type": "array", "items": S, "uniqueItems": True}, "uniqueItems"),
    ({"type": "array", "contains": S}, "contains"),
    ({"type": "string", "pattern": "^a+$", "maxLength": 3}, "the length of a string that has a"),
    ({"type": "string", "pattern": "^(?=a)"}, "a pattern that looks around"),
    ({"type": "string", "format": "colour"}, "the format 'colour'"),
    ({"$ref": "https://example.org/a.json"}, "a $ref to another document"),
    (
        {"type": "object", "required": ["a"], "additionalProperties": False},
        "required properties that are not declared ('a')",
    ),
    ({"type": "array", "items": {"not": S}}, "not at $.x.items"),
]


@pytest.mark.parametrize(("schema", "words"), IGNORED, ids=[words for _, words in IGNORED])
def test_what_the_grammar_ignores_is_a_warning_once_a_tool(
    schema: dict[str, Any], words: str
) -> None:
    with pytest.warns(UserWarning, match="does not hold all of the schema of the tool 'note'") as w:
        check_schemas([tool(schema)], "json")
    assert words in str(w[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_schemas([tool(schema)], "json")


REFUSED: list[tuple[Any, str]] = [
    ({"type": "file"}, "the unknown type 'file' at $.x"),
    ({"type": ["string", "dict"]}, "the unknown type 'dict'"),
    ({"enum": []}, "an empty enum"),
    (False, "the property 'x' that is false"),
    ({"$ref": "#/$defs/B"}, "a $ref to nothing ('#/$defs/B')"),
    ({"type": "string", "pattern": "(a"}, "a pattern that is no regular expression"),
    ({"type": "string", "pattern": r"(a)\1"}, "a backreference"),
]


@pytest.mark.parametrize(("schema", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_the_server_refuses_is_an_error_that_names_the_tool(schema: Any, words: str) -> None:
    with pytest.raises(ValueError, match="refuse the schema of the tool 'second'") as raised:
        check_schemas([tool(S), tool(schema, "second")], "json")
    assert words in str(raised.value)


def test_a_pattern_that_looks_around_is_refused_in_the_formats_of_tags() -> None:
    with pytest.raises(ValueError, match="looks around"):
        check_schemas([tool({"type": "string", "pattern": "^(?!a)"})], "qwen_xml")


def test_a_schema_that_is_too_deep() -> None:
    deep: dict[str, Any] = S
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        check_schemas([tool(deep)], "json")


HELD: list[dict[str, Any]] = [
    {"type": ["string", "null"], "pattern": r"^[a-c]{2}-\d{3}$"},
    {"type": "string", "pattern": r"\p{L}+"},  # of other dialects, which may be right
    {"type": "string", "pattern": r"a\\1"},
    {"type": "string", "minLength": 2, "maxLength": 3},
    {"enum": [None, {"a": 1}]},
    {"allOf": [S]},
    {"$ref": "#/$defs/A"},
    {"oneOf": [S, {"type": "integer"}]},
    {
        "oneOf": [
            {"properties": {"kind": {"const": one}}, "required": ["kind"]} for one in ("a", "b")
        ]
    },
    {"type": "string", "format": "date"},
    {"type": "object", "properties": {"not": S, "if": S}, "required": ["not"]},
]


@pytest.mark.parametrize("schema", HELD, ids=str)
def test_what_the_grammar_holds_is_said_nothing_of(schema: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_schemas([tool(schema)], "json")
