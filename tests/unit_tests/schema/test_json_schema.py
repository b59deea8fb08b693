"""JSON schemas as tools have them: what fits is never refused, what does not is told where."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_toolstream import PartialToolsParser
from langchain_toolstream.schema.tool_schema import ToolSchema


def schema_of(field: Any, *, coerce: bool = False, **more: Any) -> ToolSchema:
    """A tool with one field `x`."""
    parameters = {"type": "object", "properties": {"x": field}, "required": ["x"], **more}
    described = {"type": "function", "function": {"name": "t", "parameters": parameters}}
    return ToolSchema(described, coerce=coerce)


NODE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/link"}},
            "required": ["v"],
        },
        "link": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "odd/na~me": {"type": "string"},
    }
}
A_OR_B = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}

# Schema, what fits, and what does not with the place that is named.
FIELDS: list[tuple[Any, list[Any], list[tuple[Any, str]]]] = [
    ({}, [None, 1, "a", [], {}], []),
    (True, [1], []),
    ({"type": "string"}, ["", "a", "🎉"], [(1, "$.x"), (None, "$.x"), ([], "$.x"), (True, "$.x")]),
    ({"type": "string", "minLength": 1, "maxLength": 2}, ["a", "🎉🎉"], [("", "$.x"), ("abc",
     "$.x")]),
    ({"type": "string", "pattern": "b+"}, ["b", "abc"], [("a", "$.x")]),
    ({"type": "string", "pattern": "^[\\w.+-]+@[\\w-]+\\.[a-z]+$"}, ["a.b@c.de"], [("a@b", "$.x")]),
    ({"type": "string", "pattern": "^(?!x)(?<=^)y"}, ["z", "y"], [(1, "$.x")]),
    ({"type": "string", "pattern": "(a)\\1"}, ["b"], []),
    ({"type": "string", "pattern": "[a&&b]"}, ["a", "&"], []),
    ({"type": "string", "pattern": "["}, ["b"], []),
    ({"type": "string", "pattern": None, "minLength": "x"}, ["b"], []),
    ({"type": "string", "format": "date-time"}, ["any"], []),
    ({"type": "integer"}, [0, -1, 10**30, 1.0, -5e3], [(1.5, "$.x"), ("1", "$.x"), (True, "$.x"),
     (None, "$.x")]),
    ({"type": "integer"}, [1e19, 1e300], []),
    ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 2, 3, 3.0], [(0, "$.x"), (4, "$.x")]),
    ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [(1, "$.x"), (3,
     "$.x")]),
    ({"type": "integer", "minimum": 10**20}, [10**20], [(1, "$.x")]),
    ({"type": "integer", "minimum": 1.5}, [2], []),
    ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], []),
    ({"type": "integer", "multipleOf": 3}, [0, 3, -6, 9.0], [(4, "$.x")]),
    ({"type": "number"}, [0, 1.5, -1e300, 10**30], [("1", "$.x"), (True, "$.x"), (None, "$.x")]),
    ({"type": "number"}, [10**400], []),
    ({"type": "number", "minimum": 0.5, "maximum": 1}, [0.5, 1, 1.0], [(0.4, "$.x"), (2, "$.x")]),
    ({"type": "number", "exclusiveMinimum": 0}, [0.1], [(0, "$.x")]),
    ({"type": "number", "multipleOf": 0.1}, [0.3, -0.7, 1.1, 5], [(0.25, "$.x")]),
    ({"type": "integer", "minimum": 0.5, "maximum": 1e20, "multipleOf": 0.5}, [1, 10**20],
     [(0, "$.x"), (10**20 + 1, "$.x"), ("a", "$.x")]),
    ({"type": "integer", "exclusiveMinimum": 0.5, "exclusiveMaximum": 3.5}, [1, 3], [(0, "$.x"),
     (4, "$.x")]),
    ({"type": "integer", "multipleOf": 1.5}, [0, 3, -6], [(1, "$.x"), (2, "$.x")]),
    ({"type": "integer", "multipleOf": 0}, [1], [("a", "$.x")]),
    ({"type": "integer", "multipleOf": -2, "minimum": True}, [0], [("a", "$.x")]),
    ({"type": "number", "minimum": 10**400}, [1], [("a", "$.x")]),
    ({"type": "array", "minItems": -1, "items": {"type": "integer"}}, [[], [1]],
     [(["a"], "$.x[0]")]),
    ({"type": "string", "minLength": -1, "maxLength": 10**30}, ["a"], [(1, "$.x")]),
    ({"type": "object", "required": [["a"], 1, "b"]}, [{"b": 1}], [({}, "$.x.b")]),
    ({"type": "boolean"}, [True, False], [(1, "$.x"), ("true", "$.x"), (0, "$.x")]),
    ({"type": "null"}, [None], [(0, "$.x"), ("null", "$.x")]),
    ({"type": "string", "nullable": True}, [None, "a"], [(1, "$.x")]),
    ({"type": ["string", "null"]}, [None, "a"], [(1, "$.x")]),
    ({"type": ["integer", "array"], "items": {"type": "string"}}, [1, ["a"]], [("a", "$.x"), ([1],
     "$.x[0]")]),
    ({"type": "file"}, [1], []),
    ({"enum": ["a", 1, None, 0.5]}, ["a", 1, 1.0, None, 0.5], [("b", "$.x"), (2, "$.x"), ([],
     "$.x")]),
    ({"type": "string", "enum": ["a"], "nullable": True}, ["a", None], [("b", "$.x")]),
    ({"enum": [True]}, [True], [(False, "$.x"), ("true", "$.x")]),
    ({"enum": [[1], {"a": 1}]}, [[1], {"a": 1}], []),
    ({"enum": []}, [1], []),
    ({"const": "a"}, ["a"], [("b", "$.x"), (None, "$.x")]),
    ({"const": None}, [None], [(0, "$.x")]),
    ({"const": {"a": 1}}, [{"a": 1}], []),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [[1], [1, 2]],
     [([], "$.x"), ([1, 2, 3], "$.x"), ([1, "a"], "$.x[1]"), ("a", "$.x"), ({}, "$.x")]),
    ({"items": {"type": "array", "items": {"type": "integer"}}}, [[], [[1]]], [([[1], [2, "a"]],
     "$.x[1][1]")]),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}},
     [["x", 2, 3], ["x"], []], [("x", "$.x")]),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": False, "maxItems": 1},
     [["x"]], [(["x", "y"], "$.x")]),
    ({"$ref": "#of_integers"}, [3, "x"], []),
    ({"$ref": "other.json#/$defs/a"}, [3, "x"], []),
    ({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, [{"a": 1}, 5, "x", [], None],
     [({"a": "x"}, "$.x.a"), ({}, "$.x.a")]),
    ({"properties": {"a": {"type": "integer"}}, "additionalProperties": False}, [{}, 5, ["x"]],
     [({"b": 1}, "$.x.b")]),
    ({"items": {"type": "integer"}}, [[], [1], {"0": "x"}, "x"], [([1, "x"], "$.x[1]")]),
    ({"type": ["string", "string", "null"]}, ["x", None], [(1, "$.x")]),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["x", None], [(1, "$.x")]),
    ({"anyOf": [{"type": "null"}]}, [None], [(1, "$.x")]),
    ({"anyOf": [{"type": "string"}, {"type": "string"}]}, ["x"], [(1, "$.x")]),
    ({"allOf": [{"type": "integer"}, {"type": "integer"}, {"minimum": 2}]}, [3], [("x", "$.x")]),
    ({"type": "array", "items": [{"type": "string"}]}, [[1]], []),
    ({"type": "object"}, [{}, {"a": 1}], [([], "$.x"), ("{}", "$.x"), (None, "$.x")]),
    ({"properties": {"a": {"type": "integer"}}}, [{}, {"a": 1}, {"b": 2}], [({"a": "x"}, "$.x.a")]),
    ({"type": "object", "required": ["unit price"]}, [{"unit price": 1}], [({},
     "$.x['unit price']")]),
    ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, [{}, {"a": 1}],
     [({"b": 1}, "$.x.b")]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [({"a": 1,
     "b": "x"}, "$.x.b")]),
    ({"type": "object", "patternProperties": {"^y": {}}, "additionalProperties": False}, [{"y": 1}],
     []),
    ({"type": "object", "patternProperties": {"^y": {}}, "additionalProperties": {"type": "null"}},
     [{"y": 1}], []),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [(None, "$.x"), ([], "$.x")]),
    ({"oneOf": [{"type": "string"}, A_OR_B]}, ["a", {"a": 1}], [({"a": "x"}, "$.x.a"), ({},
     "$.x.a")]),
    ({"anyOf": [{"minimum": 3}, {"maximum": 1}], "type": "number"}, [4, 0], [("a", "$.x")]),
    ({"anyOf": []}, [1], []),
    ({"allOf": [A_OR_B, {"type": "object", "properties": {"b": {"type": "string"}}}]},
     [{"a": 1}, {"a": 1, "b": "x", "c": 0}], [({"b": "x"}, "$.x.a"), ({"a": 1, "b": 1}, "$.x.b")]),
    ({**A_OR_B, "anyOf": [{"required": ["b"]}, {"required": ["c"]}]}, [{"a": 1, "b": 1}],
     [({"b": 1}, "$.x.a")]),
    ({"not": {"type": "string"}}, [1], []),
    ({"$ref": "#/$defs/node"}, [{"v": 1}, {"v": 1, "next": None}, {"v": 1, "next": {"v": 2,
     "next": {"v": 3}}}],
     [({}, "$.x.v"), ({"v": 1, "next": {"v": "a"}}, "$.x.next.v"),
      ({"v": 1, "next": {"v": 2, "next": {"v": "a"}}}, "$.x.next.next.v")]),
    ({"$ref": "#/$defs/odd~1na~0me"}, ["a"], [(1, "$.x")]),
    ({"$ref": "#/$defs/nowhere"}, [1], []),
    ({"$ref": "https://example.com/schema"}, [1], []),
    ({"$ref": "#"}, [], [({}, "$.x.x"), ({"x": {"x": 1}}, "$.x.x.x"), ([], "$.x")]),
    ({"$ref": "#/$defs/node", "nullable": True}, [None, {"v": 1}], [({}, "$.x.v")]),
    ({"type": "array", "items": {"$ref": "#/$defs/node"}}, [[], [{"v": 1}]], [([{"v": 1}, {}],
     "$.x[1].v")]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "good", "wrong"), FIELDS, ids=lambda x: str(x)[:60])
def test_a_json_schema(field: Any, good: list[Any], wrong: list[tuple[Any, str]]) -> None:
    schema = schema_of(field, **NODE)
    for value in good:
        assert schema.validate({"x": value}) is None
        assert schema_of(field, coerce=True, **NODE).validate({"x": value}) is None
    for value, place in wrong:
        told = schema.validate({"x": value})
        assert told is not None, value
        places = [part.rpartition(" at ")[2].partition(", got ")[0] for part in told.split("; ")]
        assert place in places
        assert all(named.startswith("$.x") for named in places)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"anyOf": [A_OR_B, {"type": "string"}]}, {"b": 1}),
        ({"anyOf": [{"type": "string"}, A_OR_B]}, {"a": "b"}),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": A_OR_B}]}, [{"a": "b"}]),
    ],
)
def test_a_branch_of_a_union_is_no_place(field: Any, value: Any) -> None:
    told = schema_of(field).validate({"x": value})
    assert told is not None
    for name in ("str", "typed-dict", "list"):
        assert f"$.x.{name}" not in told
        assert f"['{name}" not in told


@pytest.mark.parametrize(
    ("field", "value", "strict", "coerced"),
    [
        ({"type": "integer"}, "3", False, True),
        ({"type": "integer"}, "x", False, False),
        ({"type": "number"}, "1.5", False, True),
        ({"type": "boolean"}, "true", False, True),
        ({"type": "boolean"}, "perhaps", False, False),
        ({"type": "array", "items": {"type": "integer"}}, ["3"], False, True),
        ({"type": "array"}, "[]", False, False),
        ({"type": "object"}, "{}", False, False),
        ({"type": "string"}, "3", True, True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "3", False, True),
    ],
)
def test_coerce(field: Any, value: Any, *, strict: bool, coerced: bool) -> None:
    for coerce, fits in ((False, strict), (True, coerced)):
        assert (schema_of(field, coerce=coerce).validate({"x": value}) is None) == fits


def test_a_schema_may_be_its_own_part() -> None:
    root = {
        "title": "tree",
        "type": "object",
        "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["v"],
    }
    schema = ToolSchema(root)
    assert schema.validate({"v": 1, "kids": [{"v": 2, "kids": []}]}) is None
    assert "at $.kids[1].kids[0].v, got 'x'" in (
        schema.validate({"v": 1, "kids": [{"v": 2}, {"v": 3, "kids": [{"v": "x"}]}]}) or ""
    )
    deep: dict[str, Any] = {"v": 0}
    for depth in range(60):  # a list and an object each: as deep as the core lets arguments be
        deep = {"v": depth, "kids": [deep]}
    assert schema.validate(deep) is None


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_reference_to_nothing_but_itself_ends(name: str) -> None:
    refs = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}, "c": {"$ref": "#/$defs/c"}}
    assert schema_of({"$ref": f"#/$defs/{name}"}, **{"$defs": refs}).validate({"x": 1})


# What fits is never refused.

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", 0.5])
names = st.sampled_from(["a", "b", "unit price", "é", "$ref", "type"])
small = st.integers(0, 3)
bounded = st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
PATTERNS = {
    "^[a-c]{1,3}$": ["a", "cab"],
    "b": ["abc", "b"],
    "^(?!x)\\w+$": ["a"],
    "^\\d+(\\.\\d+)?$": ["1", "2.5"],
}


def described(kind: str, **options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=options)


leaves = st.one_of(
    st.just({}),
    described("string", minLength=small, maxLength=st.integers(3, 9)),
    described("string", pattern=st.sampled_from(sorted(PATTERNS))).filter(lambda s: "pattern" in s),
    described("integer", minimum=st.integers(-9, 0), maximum=st.integers(1, 9)),
    described(
        "integer", exclusiveMinimum=st.integers(-9, 0), multipleOf=st.sampled_from([1, 2, 7])
    ),
    described("number", minimum=st.floats(-9, 0), maximum=st.floats(1, 9)),
    described("number", exclusiveMinimum=st.integers(-9, 0), exclusiveMaximum=st.integers(1, 9)),
    described("number", multipleOf=st.sampled_from([0.5, 0.25, 0.1, 0.01, 3])).filter(
        lambda s: "multipleOf" in s
    ),
    described("boolean"),
    described("null"),
    st.lists(scalars, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    scalars.map(lambda value: {"const": value}),
    st.just({"$ref": "#/$defs/node"}),
    described("string", minLength=small).map(lambda s: {**s, "type": ["string", "null"]}),
)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        described("array", items=inner, minItems=small, maxItems=st.integers(3, 4)),
        described(
            "object",
            properties=st.dictionaries(names, inner, max_size=3),
            required=st.lists(names, max_size=2, unique=True),
            additionalProperties=st.booleans() | inner,
        ),
        some.map(lambda schemas: {"anyOf": schemas}),
        some.map(lambda schemas: {"oneOf": schemas}),
        inner.map(lambda schema: {"allOf": [schema]}),
        inner.filter(lambda schema: "$ref" not in schema).map(lambda s: {**s, "nullable": True}),
    )


def lowest(schema: dict[str, Any]) -> Any:
    return schema.get("minimum", schema.get("exclusiveMinimum"))


def highest(schema: dict[str, Any]) -> Any:
    return schema.get("maximum", schema.get("exclusiveMaximum"))


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit, read from the schema alone."""
    if schema.get("nullable") is True:
        return st.none() | fitting({k: v for k, v in schema.items() if k != "nullable"})
    for key, values in BY_KEY.items():
        if key in schema:
            return values(schema)
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.none() | fitting({**schema, "type": kind[0]})
    return BY_TYPE[kind](schema) if kind else scalars


def branch(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    [branches] = [schema[key] for key in ("anyOf", "oneOf", "allOf") if key in schema]
    return st.one_of([fitting(one) for one in branches])


def strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        return st.sampled_from(PATTERNS[schema["pattern"]])
    sizes = {"min_size": schema.get("minLength", 0), "max_size": schema.get("maxLength", 9)}
    return st.text(st.characters(exclude_categories=["Cs"]), **sizes)


def integers(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    low, high, step = lowest(schema), highest(schema), schema.get("multipleOf", 1)
    if step > 1:  # such a schema of ours has no upper bound, and its lower one is not above 0
        return st.integers(None if low is None else 1).map(lambda n: n * step)
    whole = st.integers(low + 1 if "exclusiveMinimum" in schema else low, high)
    return whole if low is None or high is None else whole | whole.map(float)


def numbers(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    if "multipleOf" in schema:
        return st.integers(-(10**6), 10**6).map(lambda n: n * schema["multipleOf"])
    return st.floats(
        lowest(schema),
        highest(schema),
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
    )


def arrays(schema: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    sizes = {"min_size": schema.get("minItems", 0), "max_size": schema.get("maxItems", 4)}
    return st.lists(fitting(schema.get("items", {})), **sizes)


def objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    extra = schema.get("additionalProperties", True)
    others = fitting(extra if isinstance(extra, dict) else {})
    needed = {
        name: fitting(properties[name]) if name in properties else others for name in required
    }
    optional = {name: fitting(one) for name, one in properties.items() if name not in required}
    known = st.fixed_dictionaries(needed, optional=optional)
    if extra is False:
        return known
    more = st.dictionaries(st.sampled_from(["more", "x y"]), others, max_size=2)
    return st.builds(lambda known, more: more | known, known, more)


BY_KEY: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "$ref": lambda schema: DEFINED[schema["$ref"].rpartition("/")[2]],
    "enum": lambda schema: st.sampled_from(schema["enum"]),
    "const": lambda schema: st.just(schema["const"]),
    "anyOf": branch,
    "oneOf": branch,
    "allOf": branch,
}
BY_TYPE: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "string": strings,
    "integer": integers,
    "number": numbers,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
    "array": arrays,
    "object": objects,
}
DEFINED = {
    name: st.deferred(lambda name=name: fitting(NODE["$defs"][name])) for name in ("node", "link")
}
schemas = st.recursive(leaves, branches, max_leaves=6)


@settings(max_examples=400)
@given(
    pair=schemas.flatmap(lambda schema: st.tuples(st.just(schema), fitting(schema))),
    coerce=st.booleans(),
)
def test_what_fits_is_never_refused(*, pair: tuple[Any, Any], coerce: bool) -> None:
    schema, value = pair
    assert schema_of(schema, coerce=coerce, **NODE).validate({"x": value}) is None


def test_an_inner_id_changes_what_references_below_it_mean() -> None:
    inner = {"$id": "other", "$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}
    assert schema_of(inner, **{"$defs": {"a": {"type": "integer"}}}).validate({"x": "y"}) is None


def test_a_view_shows_the_inside_of_a_schema_without_a_type() -> None:
    made = AIMessageChunk(
        content="",
        tool_call_chunks=[
            {"index": 0, "id": "1", "name": "t", "args": '{"x": {"rows": [{"a": 1}, {"a"'}
        ],
    )
    schema = {"properties": {"rows": {"items": {"properties": {"a": {"type": "integer"}}}}}}
    parameters = {"type": "object", "properties": {"x": schema}}
    described = {"type": "function", "function": {"name": "t", "parameters": parameters}}
    parser = PartialToolsParser([described])
    *_, view = parser.transform(iter([made]))
    assert view.model == {"x": {"rows": [{"a": 1}, {}]}}
    assert parser.items("x.rows") is not None
