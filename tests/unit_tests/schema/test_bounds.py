"""Schemas that ask for too much: whoever wrote them, holding a value against them is bounded."""

from time import process_time
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from langchain_toolstream import PartialToolsParser, ToolSet, ToolStreamParser
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.schema.types import types_at


def described(schema: Any, **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": schema}, **more}
    return {"type": "function", "function": {"name": "t", "parameters": parameters}}


def doubled(levels: int, word: str, **more: Any) -> dict[str, Any]:
    """Each level asks twice for the one below."""
    defs: dict[str, Any] = {"d0": {"type": "integer"}}
    for level in range(1, levels + 1):
        below = {"$ref": f"#/$defs/d{level - 1}"}
        defs[f"d{level}"] = {word: [below, {**below, **more}]}
    return described({"$ref": f"#/$defs/d{levels}"}, **{"$defs": defs})


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return described(schema)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"k": "no", "next": value}
    return value


KINDS = [
    {"type": "object", "properties": {"k": {"const": kind}, "next": {"$ref": "#/$defs/any"}}}
    for kind in range(3)
]

BOMBS: dict[str, tuple[dict[str, Any], Any]] = {
    "an anyOf that doubles": (doubled(13, "anyOf"), "no"),
    "an anyOf that doubles, told apart": (doubled(60, "anyOf", description="x"), "no"),
    "a oneOf that doubles": (doubled(60, "oneOf", description="x"), "no"),
    "an allOf that doubles": (doubled(60, "allOf", description="x"), 1),
    "alternatives that hold each other": (
        described({"$ref": "#/$defs/any"}, **{"$defs": {"any": {"anyOf": KINDS}}}),
        nested(100),
    ),
    "choices without end": (described({"anyOf": [{"const": n} for n in range(5_000)]}), "no"),
    "an enum without end": (described({"enum": list(map(str, range(50_000)))}), "no"),
    "300 levels": (deep(300), nested(100)),
    "types that repeat": (
        described({"type": ["object"] * 1000, "properties": {"b": {"type": ["object"] * 1000}}}),
        {"b": 1},
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_schema_that_asks_for_too_much_is_bounded(kind: str) -> None:
    tool, value = BOMBS[kind]
    call = {"name": "t", "args": {"a": value}, "id": "1"}
    began = process_time()
    for parser in (ToolStreamParser([tool]), PartialToolsParser([tool])):
        parser.invoke(AIMessage("", tool_calls=[call]))
    told = ToolSchema(tool).validate({"a": value}) or ""
    types_at(tool["function"]["parameters"], ("a", "next", "next"))
    assert process_time() - began < 10
    assert len(told) < 1_500


def test_what_cannot_be_checked_says_so() -> None:
    tool = doubled(60, "anyOf", description="x")
    (call,) = ToolStreamParser([tool]).invoke(
        AIMessage("", tool_calls=[{"name": "t", "args": {"a": "no"}, "id": "1"}])
    )
    assert "100,000 alternatives" in call["error"]


def test_many_values_with_few_alternatives_are_checked() -> None:
    many = described(
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}
    )
    assert ToolSchema(many).validate({"a": ["x"] * 200_000}) is None
    assert ToolSchema(many).validate({"a": [*["x"] * 200_000, None]}) is not None


def test_a_tool_passes_on_what_its_bomb_of_a_schema_describes() -> None:
    """As LangChain does: a schema from a server is for the model to read."""
    schema = doubled(60, "anyOf", description="x")["function"]["parameters"]
    tool = StructuredTool(name="t", description="d", args_schema=schema, func=lambda a: f"ran {a}")
    tools = ToolSet([tool])
    calls = ToolStreamParser(tools).invoke(
        AIMessage("", tool_calls=[{"name": "t", "args": {"a": "no"}, "id": "1"}])
    )
    assert [message.content for message in tools.map().invoke(calls)] == ["ran no"]


def test_a_schema_of_3000_levels_is_refused_where_it_is_given() -> None:
    with pytest.raises(ValueError, match="tool") as raised:
        ToolStreamParser([deep(3_000)])
    assert len(str(raised.value)) < 1_000


def test_time_grows_with_the_schema() -> None:
    def took(choices: int) -> float:
        schema = described({"anyOf": [{"type": "object", "title": str(n)} for n in range(choices)]})
        began = process_time()
        ToolSchema(schema).validate({"a": 1})
        return process_time() - began

    took(100)
    assert min(took(4_000) for _ in range(3)) < 12 * min(took(1_000) for _ in range(3)) + 0.05
