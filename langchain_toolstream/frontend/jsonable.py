"""Any value as JSON, for someone else's eyes.

What has no JSON form is described: its type, and its shape or length. Never its `repr`, which may
hold a secret, and never a pickle.
"""

import base64
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

MAX_VALUE = 4_000_000
"""About how many characters of JSON one value may take on the wire. A picture fits; a data set is
to be fetched, not pushed into an event stream."""

_EACH = 8
"""What a value counts in characters beside its text: a fair mean of numbers, marks and spaces, and
a bound on how long the walk takes."""
_DESCRIPTION = 64

MAX_DEPTH = 150
"""Levels of containers: more than the arguments of a call may have, less than browsers read."""


class _TooLargeError(Exception):
    pass


def to_json(value: Any) -> str:
    """Write a value as JSON.

    Args:
        value: Anything; what has no JSON form is described.

    Returns:
        One line of JSON. Half characters, which UTF-8 does not have, are escaped.
    """
    plain = _Walk(None).plain(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(plain, allow_nan=False, separators=(",", ":"))
    return text


def bounded(value: Any) -> Any:
    """Turn a value that somebody else made into one that JSON has.

    Dicts, lists, texts, numbers, booleans and `None` stay what they are. Models and dataclasses
    become dicts, bytes a dict with their `base64`, numbers that JSON does not have text; what is
    unknown becomes `{"$type": ...}`.

    Args:
        value: An artifact, say.

    Returns:
        It, or its description where it takes more than `MAX_VALUE` characters.
    """
    try:
        return _Walk(MAX_VALUE).plain(value)
    except _TooLargeError:
        return _description(value)


class _Walk:
    """A walk over a value, by which it becomes one of JSON's."""

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._around: set[int] = set()  # the containers that the walk is in

    def plain(self, value: Any) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if self._budget is not None:
            self._budget -= _EACH + (len(value) if isinstance(value, str | bytes) else 0)
            if self._budget < 0:
                raise _TooLargeError
        if value is None:
            return None
        for kinds, make in _SCALARS:
            if isinstance(value, kinds):
                return make(value)
        if id(value) in self._around or len(self._around) >= MAX_DEPTH:
            return self._describe(value)
        self._around.add(id(value))
        try:
            return self._container(value)
        finally:
            self._around.discard(id(value))

    def _container(self, value: Any) -> Any:
        if (inner := _opened(value)) is not None:
            return self.plain(inner)
        if isinstance(value, Mapping):
            return {_key(key): self.plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(one) for one in value]
        return self._describe(value)

    def _describe(self, value: Any) -> dict[str, Any]:
        if self._budget is not None:
            self._budget -= _DESCRIPTION
        return _description(value)


def _bytes(data: bytes | bytearray | memoryview) -> dict[str, Any]:
    data = bytes(data)
    if len(data) > MAX_VALUE // 2:
        return _description(data)
    return {**_description(data), "base64": base64.b64encode(data).decode()}


def _isoformat(moment: date | time) -> str:
    return moment.isoformat()


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


# The first that fits. Subclasses become what they are a kind of.
_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str),
    (bool, bool),
    (int, int),
    (float, _number),
    ((date, time), _isoformat),
    ((UUID, Decimal), str),
    ((bytes, bytearray, memoryview), _bytes),
)


def _opened(value: Any) -> dict[str, Any] | None:
    """The fields of a model or dataclass, but for those that their author keeps out of sight."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        names = [name for name, field in fields.items() if field.repr and not field.exclude]
        return {name: getattr(value, name, None) for name in [*names, *(value.model_extra or ())]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.repr}
    return None


def _key(key: Any) -> str:
    return str(key) if isinstance(key, str | int | float | bool | None) else _name(key)


def _name(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _description(value: Any) -> dict[str, Any]:
    description: dict[str, Any] = {"$type": _name(value)}
    if isinstance(value, list | tuple | dict | set | frozenset | bytes | bytearray):
        description["length"] = len(value)
        return description
    with suppress(Exception):  # it is anybody's code
        shape = value.shape
        if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
            description["shape"] = list(shape)
    return description
