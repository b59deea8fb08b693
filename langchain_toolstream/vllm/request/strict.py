"""What of a tool's schema a structural tag does not hold, and what the server would refuse.

xgrammar ignores some words of JSON schema silently, and vLLM does not check a structural tag for
them. Others end the whole request with an error that names neither the tool nor the reason.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_DEPTH = 64
"""Levels of objects and lists in a schema, as many as vLLM takes."""

_MAX_PARTS = 10_000
_MAX_WARNED = 1_000
_TYPES = frozenset(("string", "number", "integer", "boolean", "null", "object", "array"))
_FORMATS = frozenset(
    (
        "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "json-pointer",
        "relative-json-pointer", "time", "uri", "uri-reference", "uri-template", "uuid",
    )
)  # fmt: skip
_IGNORED = ("contains", "dependentRequired", "dependentSchemas", "if", "not")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    "items", "additionalProperties", "propertyNames", "not", "if", "then", "else", "contains",
)  # fmt: skip
_looks_around = re.compile(r"(?<!\\)(?:\\\\)*\(\?<?[=!]").search
_refers_back = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]").search
_of_other_dialects = re.compile(r"\\[pP]\{|\(\?<[A-Za-z_]").search

_warned: set[tuple[str, str]] = set()


def check_schemas(tools: Sequence[Mapping[str, Any]], style: str) -> None:
    """See what a structural tag will make of the schemas of tools.

    Args:
        tools: The tools of the request.
        style: How the tag writes arguments: `json`, or a style of tags.

    Raises:
        ValueError: The server would refuse a schema; the message names the tool and the place.

    Warns:
        UserWarning: A part of a schema is not held; once for each tool.
    """
    for tool in tools:
        function = tool.get("function", tool)
        name, schema = str(function.get("name")), function.get("parameters") or {}
        ignored = []
        for is_refused, what in _problems(schema, style):
            if is_refused:
                msg = (
                    f"strict=True: the server would refuse the schema of the tool {name!r}, and "
                    f"with it the whole request: {what}."
                )
                raise ValueError(msg)
            ignored.append(what)
        if ignored and _is_new(name, schema):
            warnings.warn(
                f"strict=True does not hold all of the schema of the tool {name!r}: the grammar "
                f"ignores {', '.join(dict.fromkeys(ignored))}. The tool still checks its calls.",
                stacklevel=2,
            )


def _is_new(name: str, schema: Any) -> bool:
    key = (name, json.dumps(schema, sort_keys=True, default=str))
    if key in _warned:
        return False
    if len(_warned) >= _MAX_WARNED:
        _warned.clear()
    _warned.add(key)
    return True


def _problems(root: Any, style: str) -> Iterator[tuple[bool, str]]:
    """What is refused (`True`) or ignored (`False`), and where."""
    waiting: list[tuple[Any, str, int]] = [(root, "$", 1)]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        schema, place, depth = waiting.pop()
        if depth > MAX_DEPTH:
            yield True, f"it is nested deeper than {MAX_DEPTH} levels at {place[:80]}..."
            return
        if not isinstance(schema, Mapping):
            continue
        yield from ((refused, f"{what} at {place}") for refused, what in _of(schema, root, style))
        for key in _MAPS:
            if isinstance(inner := schema.get(key), Mapping):
                waiting += [(one, f"{place}.{name}", depth + 1) for name, one in inner.items()]
        for key in _LISTS:
            if isinstance(inner := schema.get(key), list):
                waiting += [(one, place, depth + 1) for one in inner]
        waiting += [(schema.get(key), f"{place}.{key}", depth + 1) for key in _SINGLE]


def _of(schema: Mapping[str, Any], root: Any, style: str) -> Iterator[tuple[bool, str]]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    if isinstance(reference := schema.get("$ref"), str):
        if not reference.startswith("#"):
            yield False, f"a $ref to another document ({reference[:80]!r})"
        elif not _is_there(root, reference):
            yield True, f"a $ref to nothing ({reference[:80]!r})"
    if isinstance(pattern := schema.get("pattern"), str):
        yield from _of_pattern(pattern, schema, style)
    yield from ((True, what) for what in _refused(schema, properties))
    yield from ((False, what) for what in _ignored(schema, properties))


def _refused(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _TYPES:
            yield f"the unknown type {kind!r}"
    if schema.get("enum", ...) == []:
        yield "an empty enum"
    for name, one in properties.items():
        if one is False:
            yield f"the property {name!r} that is false"


def _ignored(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    yield from (word for word in _IGNORED if word in schema)
    if schema.get("uniqueItems") is True:
        yield "uniqueItems"
    if len(_items(schema.get("allOf"))) > 1:
        yield "allOf of two or more"
    if _may_overlap(_items(schema.get("oneOf"))):
        yield "oneOf, which is read as anyOf"
    if isinstance(kind := schema.get("format"), str) and kind not in _FORMATS:
        yield f"the format {kind!r}"
    missing = [one for one in _items(schema.get("required")) if one not in properties]
    if missing and schema.get("additionalProperties") is False:
        yield f"required properties that are not declared ({', '.join(map(repr, missing))})"


def _of_pattern(pattern: str, schema: Mapping[str, Any], style: str) -> Iterator[tuple[bool, str]]:
    shown = repr(pattern[:80])
    if _refers_back(pattern):
        yield True, f"a pattern with a backreference ({shown})"
    elif _looks_around(pattern):
        yield style != "json", f"a pattern that looks around ({shown})"
    elif not _of_other_dialects(pattern):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            yield True, f"a pattern that is no regular expression ({shown})"
    if "maxLength" in schema or "minLength" in schema:
        yield False, "the length of a string that has a pattern"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_there(root: Any, reference: str) -> bool:
    place = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        else:
            return False
    return True


def _may_overlap(alternatives: list[Any]) -> bool:
    """Whether a value may fit two of these schemas, as far as a look can tell."""
    if len(alternatives) < 2:  # noqa: PLR2004
        return False
    kinds = [one.get("type") if isinstance(one, Mapping) else None for one in alternatives]
    if all(isinstance(kind, str) for kind in kinds):
        known = ["number" if kind == "integer" else kind for kind in kinds]
        if len({*known}) == len(known):
            return False
    return not _are_told_apart(alternatives)


def _are_told_apart(alternatives: list[Any]) -> bool:
    """Whether a required property has another constant in each of them."""
    constants: list[dict[str, str]] = []
    for one in alternatives:
        properties = one.get("properties") if isinstance(one, Mapping) else None
        if not isinstance(properties, Mapping):
            return False
        required = _items(one.get("required"))
        constants.append(
            {
                name: json.dumps(inner["const"], default=str)
                for name, inner in properties.items()
                if name in required and isinstance(inner, Mapping) and "const" in inner
            }
        )
    names = set.intersection(*(set(one) for one in constants))
    return any(len({one[name] for one in constants}) == len(constants) for name in names)
