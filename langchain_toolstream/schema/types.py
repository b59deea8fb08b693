"""Of which JSON types a value may be, for values that a model writes as bare text."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup.values import ANY

_MAX_PARTS = 1_000
_MAX_DEPTH = 32


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
    return _Lookup(root).types_at(path)


class _Lookup:
    """One look at a schema, which ends after so many of its parts: they may refer to each other."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts_left = _MAX_PARTS

    def types_at(self, path: JSONPath) -> frozenset[str]:
        places: list[Any] = [self._root]
        for step in path:
            places = [below for one in places for below in self._below(one, step)]
        found = [self._types(one, _MAX_DEPTH) for one in places]
        return frozenset[str]().union(*found) or ANY

    def _alternatives(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """A schema, and those that it is put together from."""
        waiting = [schema]
        while waiting and self._parts_left:
            part = waiting.pop()
            if not isinstance(part, Mapping):
                continue
            self._parts_left -= 1
            yield part
            more = [one for word in ("anyOf", "oneOf", "allOf") for one in _list(part.get(word))]
            waiting += reversed([self._resolve(part.get("$ref")), *more])

    def _below(self, schema: Any, step: str | int) -> Iterator[Any]:
        for one in self._alternatives(schema):
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

    def _types(self, schema: Any, depth: int) -> frozenset[str]:
        if not (isinstance(schema, Mapping) and depth and self._parts_left):
            return ANY
        self._parts_left -= 1
        found = ANY
        if "$ref" in schema:
            found &= self._types(self._resolve(schema["$ref"]), depth - 1)
        named = schema.get("type")
        names = frozenset([named] if isinstance(named, str) else _list(named))
        if names and names <= ANY:
            found &= names | {"integer"} if "number" in names else names
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list) and values:
            found &= frozenset[str]().union(*map(_types_of, values))
        for word in ("anyOf", "oneOf"):
            if branches := _list(schema.get(word)):
                found &= frozenset[str]().union(*(self._types(one, depth - 1) for one in branches))
        for one in _list(schema.get("allOf")):
            found &= self._types(one, depth - 1)
        return found | {"null"} if schema.get("nullable") is True and found else found or ANY

    def _resolve(self, reference: Any) -> Any:
        if not (isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))):
            return None
        place: Any = self._root
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            place = place.get(key) if isinstance(place, Mapping) else None
        return place


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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
