"""Of which JSON types a value may be, for values that a model writes as bare text."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup.values import ANY

_MAX_REFERENCES = 32


def types_at(root: Mapping[str, Any], path: JSONPath) -> frozenset[str]:
    """Look up the types at a place.

    Args:
        root: The JSON schema of a tool's arguments.
        path: Keys and indexes from the root.

    Returns:
        Names of JSON types; all of them where the schema does not say.

    Example:
        ```python
        from langchain_toolstream.schema.types import types_at

        schema = {"properties": {"days": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
        assert types_at(schema, ("days",)) == {"integer", "null"}
        ```
    """
    places: list[Any] = [root]
    for step in path:
        places = [below for one in places for below in _below(root, one, step)]
    found = [_types(root, one) for one in places]
    return frozenset[str]().union(*found) or ANY


def _alternatives(
    root: Mapping[str, Any], schema: Any, left: int = _MAX_REFERENCES
) -> Iterator[Any]:
    """A schema, and those that it is put together from."""
    if not isinstance(schema, Mapping) or left < 0:
        return
    yield schema
    if isinstance(reference := schema.get("$ref"), str):
        yield from _alternatives(root, _resolve(root, reference), left - 1)
    for word in ("anyOf", "oneOf", "allOf"):
        for one in _list(schema.get(word)):
            yield from _alternatives(root, one, left - 1)


def _below(root: Mapping[str, Any], schema: Any, step: str | int) -> Iterator[Any]:
    for one in _alternatives(root, schema):
        if isinstance(step, int):
            first = _list(one.get("prefixItems"))
            if step < len(first):
                yield first[step]
            elif "items" in one:
                yield one["items"]
            continue
        properties = one.get("properties")
        if isinstance(properties, Mapping) and step in properties:
            yield properties[step]
        elif isinstance(more := one.get("additionalProperties"), Mapping):
            yield more


def _types(root: Mapping[str, Any], schema: Any, left: int = _MAX_REFERENCES) -> frozenset[str]:
    if not isinstance(schema, Mapping) or left < 0:
        return ANY
    found = ANY
    if isinstance(reference := schema.get("$ref"), str):
        found &= _types(root, _resolve(root, reference), left - 1)
    named = schema.get("type")
    names = frozenset([named] if isinstance(named, str) else _list(named))
    if names and names <= ANY:
        found &= names | {"integer"} if "number" in names else names
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        found &= frozenset[str]().union(*map(_types_of, values))
    for word in ("anyOf", "oneOf"):
        if branches := _list(schema.get(word)):
            found &= frozenset[str]().union(*(_types(root, one, left - 1) for one in branches))
    for one in _list(schema.get("allOf")):
        found &= _types(root, one, left - 1)
    return found | {"null"} if schema.get("nullable") is True and found else found or ANY


_TYPES = {
    type(None): ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number", "integer"),
    str: ("string",),
    list: ("array",),
}


def _types_of(value: Any) -> frozenset[str]:
    return frozenset(_TYPES.get(type(value), ("object",)))


def _resolve(root: Mapping[str, Any], reference: str) -> Any:
    place: Any = root
    if not reference.startswith("#"):
        return None
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
