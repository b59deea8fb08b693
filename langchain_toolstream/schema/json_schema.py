"""A JSON schema, compiled for pydantic-core.

Keywords that have no counterpart there are left out, so that a value is never refused for them.
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any, TypeGuard, cast

from pydantic_core import (
    CoreSchema,
    PydanticCustomError,
    SchemaError,
    SchemaValidator,
    core_schema,
)

_MAX_DEPTH = 100
"""Levels of a schema that count; below, anything is taken."""

_MAX_STEPS = 100_000
"""Alternatives that one value is held against. A schema of 1 kB can ask for any number of them."""

STEPS_FOR_A_VALUE = 32
"""More of them for each value inside."""

_NULL = {"type": "null"}

steps_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


class TooManyStepsError(Exception):
    """A schema asks for more alternatives than can be tried."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(f"the schema has more than {_MAX_STEPS:,} alternatives to try")


@contextmanager
def bounded_steps(left: list[int]) -> Iterator[None]:
    """Bound the alternatives that are tried.

    Args:
        left: How many there may still be, as its only item.
    """
    token = steps_left.set(left)
    try:
        yield
    finally:
        steps_left.reset(token)


def steps_for(value: Any) -> int:
    """How many alternatives may be tried for a value: the more, the larger it is.

    Args:
        value: A JSON value.
    """
    values, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        values += 1
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return _MAX_STEPS + STEPS_FOR_A_VALUE * values


def _take_steps(count: int, value: Any) -> Any:
    left = steps_left.get()
    if left is not None:
        left[0] -= count
        if left[0] < 0:
            raise TooManyStepsError
    return value


@lru_cache(maxsize=512)
def json_schema_validator(schema: str, *, coerce: bool) -> Callable[[Any], Any]:
    """Compile a JSON schema.

    Args:
        schema: The schema, as JSON text.
        coerce: Whether a value of another type passes where pydantic would convert it (`"3"` for
            an integer).

    Returns:
        What makes of a value what the schema says, and raises `ValidationError` where it does not
        fit, or `TooManyStepsError`.
    """
    validate = SchemaValidator(json_core_schema(schema, coerce=coerce)).validate_python

    def validated(value: Any) -> Any:
        with bounded_steps([steps_for(value)]):
            return validate(value)

    return validated


@lru_cache(maxsize=512)
def json_core_schema(schema: str, *, coerce: bool) -> CoreSchema:
    """Say what a JSON schema says in the form that pydantic-core compiles.

    Args:
        schema: The schema, as JSON text.
        coerce: As for `json_schema_validator`.
    """
    made = _Compiler(json.loads(schema), coerce=coerce).compile()
    try:
        SchemaValidator(made)
    except SchemaError:  # a schema that contradicts itself refuses nothing
        return core_schema.any_schema()
    return made


class _Compiler:
    def __init__(self, root: dict[str, Any], *, coerce: bool) -> None:
        self._root = root
        self._strict = not coerce
        # An inner `$id` changes what the references below it mean.
        self._refers = not any(_has_id(part) for part in root.values())
        self._definitions: dict[str, CoreSchema | None] = {}
        self._depth = 0

    def compile(self) -> CoreSchema:
        schema = self._any_of_types(self._root)
        definitions = [d for d in self._definitions.values() if d is not None]
        return core_schema.definitions_schema(schema, definitions) if definitions else schema

    def _any_of_types(self, schema: Any) -> CoreSchema:
        if not isinstance(schema, dict) or self._depth == _MAX_DEPTH:
            return core_schema.any_schema()
        self._depth += 1
        made = self._made(schema)
        self._depth -= 1
        return core_schema.nullable_schema(made) if schema.get("nullable") is True else made

    def _made(self, schema: dict[str, Any]) -> CoreSchema:
        if isinstance(ref := schema.get("$ref"), str):
            return self._reference(ref)
        parts = [
            self._union(schema[key])
            for key in ("anyOf", "oneOf")
            if isinstance(schema.get(key), list)
        ]
        if isinstance(all_of := schema.get("allOf"), list):
            parts += [self._any_of_types(part) for part in _without_repetition(all_of)]
        own = self._own(schema)
        if own["type"] != "any" or not parts:
            parts.append(own)
        if len(parts) == 1:
            return parts[0]
        return self._counted(core_schema.chain_schema(parts), parts)

    def _own(self, schema: dict[str, Any]) -> CoreSchema:
        if isinstance(enum := schema.get("enum"), list):
            return _literal(enum)
        if "const" in schema:
            return _literal([schema["const"]])
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = dict.fromkeys(one for one in kind if isinstance(one, str))
            return self._union([{**schema, "type": one} for one in kinds])
        if kind is None:
            return self._by_keywords(schema)
        made = getattr(self, f"_{kind}", None) if kind in _JSON_TYPES else None
        return made(schema) if made else core_schema.any_schema()

    def _by_keywords(self, schema: dict[str, Any]) -> CoreSchema:
        """What a schema without a type says of objects or lists; it says nothing of the others."""
        if "properties" in schema:
            kind: type = dict
            inside = self._object(schema)
        elif isinstance(schema.get("items"), dict):
            kind = list
            inside = self._array(schema)
        else:
            return core_schema.any_schema()
        return core_schema.tagged_union_schema(
            {"": inside, "other": core_schema.any_schema()},
            lambda value: "" if isinstance(value, kind) else "other",
            metadata={INSIDE: inside},
        )

    def _union(self, schemas: list[Any]) -> CoreSchema:
        rest = [schema for schema in schemas if schema != _NULL]
        choices = [self._any_of_types(schema) for schema in _without_repetition(rest)]
        if not choices:
            return core_schema.none_schema() if schemas else core_schema.any_schema()
        made = choices[0]
        if len(choices) > 1:
            # Labels of our own: pydantic-core's hold all that is in a choice.
            made = self._counted(core_schema.union_schema([(one, "#") for one in choices]), choices)
        return made if len(rest) == len(schemas) else core_schema.nullable_schema(made)

    def _counted(self, schema: CoreSchema, parts: list[CoreSchema]) -> CoreSchema:
        """Bound what holding a value against each of some parts costs: parts may have parts."""
        return core_schema.no_info_before_validator_function(
            partial(_take_steps, len(parts)), schema, metadata={INSIDE: schema}
        )

    def _reference(self, ref: str) -> CoreSchema:
        if ref not in self._definitions:
            is_pointer = ref == "#" or ref.startswith("#/")  # and not the name of an anchor
            target: Any = self._root if is_pointer and self._refers else None
            for step in ref.lstrip("#").split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                target = target.get(name) if isinstance(target, dict) else None
            if not isinstance(target, dict):
                return core_schema.any_schema()
            self._definitions[ref] = None
            made = self._any_of_types(target)
            if "ref" in made or made["type"] == "definition-ref":
                made = core_schema.chain_schema([made])
            self._definitions[ref] = cast("CoreSchema", {**made, "ref": ref})
        return core_schema.definition_reference_schema(ref)

    def _string(self, schema: dict[str, Any]) -> CoreSchema:
        return core_schema.str_schema(
            **_holding(
                core_schema.str_schema,
                min_length=_count(schema.get("minLength")),
                max_length=_count(schema.get("maxLength")),
                pattern=linear_pattern(schema.get("pattern")),
            ),
            strict=self._strict,
        )

    def _integer(self, schema: dict[str, Any]) -> CoreSchema:
        # JSON Schema: 10.0 is an integer, of any size. pydantic's strict mode would refuse it.
        whole = core_schema.int_schema(**_bounds(core_schema.int_schema, schema))
        before = _strict_integer if self._strict else _as_integer
        return core_schema.no_info_before_validator_function(before, whole)

    def _number(self, schema: dict[str, Any]) -> CoreSchema:
        real = core_schema.float_schema(**_bounds(core_schema.float_schema, schema))
        before = _strict_float if self._strict else _as_float
        return core_schema.no_info_before_validator_function(before, real)

    def _boolean(self, _: dict[str, Any]) -> CoreSchema:
        return core_schema.bool_schema(strict=self._strict)

    def _null(self, _: dict[str, Any]) -> CoreSchema:
        return core_schema.none_schema()

    def _array(self, schema: dict[str, Any]) -> CoreSchema:
        # Behind `prefixItems`, `items` says nothing of the first.
        items = None if "prefixItems" in schema else schema.get("items")
        return core_schema.list_schema(
            self._any_of_types(items) if isinstance(items, dict) else None,
            **_holding(
                core_schema.list_schema,
                min_length=_count(schema.get("minItems")),
                max_length=_count(schema.get("maxItems")),
            ),
            strict=True,
        )

    def _object(self, schema: dict[str, Any]) -> CoreSchema:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        required = (
            {n for n in required if isinstance(n, str)} if isinstance(required, list) else set()
        )
        fields = {
            name: core_schema.typed_dict_field(
                self._any_of_types(properties.get(name)), required=name in required
            )
            for name in (*properties, *(required - properties.keys()))
        }
        extra = schema.get("additionalProperties", True)
        if "patternProperties" in schema:
            extra = True
        return core_schema.typed_dict_schema(
            fields,
            extra_behavior="forbid" if extra is False else "allow",
            extras_schema=self._any_of_types(extra) if isinstance(extra, dict) else None,
        )


INSIDE = "langchain_toolstream_inside"
"""In the metadata of a schema that stands around another: that one, which says what is inside."""


def _without_repetition(schemas: list[Any]) -> list[Any]:
    return [json.loads(text) for text in dict.fromkeys(map(json.dumps, schemas))]


def _has_id(schema: Any) -> bool:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$id"), str):
                return True
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return False


_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


def _literal(values: list[Any]) -> CoreSchema:
    if not values or any(isinstance(value, dict | list) for value in values):
        return core_schema.any_schema()
    return core_schema.literal_schema(values)


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_float(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, int) else value
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _strict_integer(value: Any) -> Any:
    return _as_integer(_number(value))


def _strict_float(value: Any) -> Any:
    return _as_float(_number(value))


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "number_type"
        raise PydanticCustomError(kind, "Input should be a number")
    return value


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def _bounds(kind: Callable[..., CoreSchema], schema: dict[str, Any]) -> dict[str, Any]:
    named = {
        "ge": schema.get("minimum"),
        "gt": schema.get("exclusiveMinimum"),
        "le": schema.get("maximum"),
        "lt": schema.get("exclusiveMaximum"),
        "multiple_of": schema.get("multipleOf"),
    }
    numbers = {key: value for key, value in named.items() if _is_finite(value)}
    if numbers.get("multiple_of", 1) <= 0:
        del numbers["multiple_of"]
    if kind is core_schema.int_schema:
        numbers = {key: _AMONG_INTEGERS[key](value) for key, value in numbers.items()}
    return _holding(kind, **numbers)


_AMONG_INTEGERS: dict[str, Callable[[float], int]] = {
    "ge": math.ceil,
    "gt": math.floor,
    "le": math.floor,
    "lt": math.ceil,
    "multiple_of": lambda value: Fraction(str(value)).numerator,
}
"""The bound that says the same of integers as a fraction does: at least 0.5 is at least 1."""


def _is_finite(value: Any) -> TypeGuard[float]:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _holding(kind: Callable[..., CoreSchema], **keywords: Any) -> dict[str, Any]:
    """Leave out the keywords that pydantic-core cannot hold values against."""
    kept = {}
    for key, value in keywords.items():
        try:
            SchemaValidator(kind(**{key: value}))
        except SchemaError:
            continue
        kept[key] = value
    return kept


def linear_pattern(pattern: Any) -> str | None:
    """Keep a pattern only if pydantic-core's linear-time engine reads it as JSON Schema does.

    Args:
        pattern: What stands where a pattern should; that engine may still refuse it.
    """
    if not isinstance(pattern, str) or any(sign in pattern for sign in ("&&", "--", "~~")):
        return None
    return pattern
