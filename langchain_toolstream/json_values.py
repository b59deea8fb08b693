"""What JSON may hold, how it is read, and how it is written, wherever it crosses a border.

`read_json` reads what comes from outside, and gives a value or raises `InvalidJSONError`. `to_json`
writes what goes out. What has no JSON form is described: its type, and its shape or length. Never
its `repr`, which may hold a secret, and never a pickle.

The arguments of calls are read by the tokenizer of `core`, which is stricter.
"""

import base64
import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pydantic_core
from pydantic import BaseModel

MAX_VALUE = 4_000_000
"""About how many characters of JSON one value may take on the wire. A picture fits; a data set is
to be fetched, not pushed into an event stream."""

_EACH = 8
"""What a value counts in characters beside its text: a fair mean of numbers, marks and spaces, and
a bound on how long the walk takes."""
_DESCRIPTION = 64

MAX_ROWS = 1000
"""Rows of a table that are written, together with how many there are."""

MAX_DEPTH = 150
"""Levels of containers that are written: more than the arguments of a call may have, less than
browsers read."""

_READ_DEPTH = 200
"""Levels that are read, as many as pydantic-core reads. What a server says has about ten."""

_DIGITS = 4300
"""Digits of an integer that are written: as many as Python and pydantic-core read by default."""

_QUOTED = 80
_NAME = 200
_HALVES = re.compile("[\ud800-\udfff]")
# Of the characters that JSON does not escape itself: what steers a terminal, or turns a line round.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class InvalidJSONError(ValueError):
    """What came from outside is not JSON, or more of it than is read. Quotes its beginning."""


class _TooLargeError(Exception):
    pass


def read_json(data: str | bytes) -> Any:
    """Read JSON that somebody else wrote.

    Half characters are read, because servers split them. `NaN` and `Infinity` are read as Python
    reads them.

    Args:
        data: The whole of it.

    Returns:
        The value.

    Raises:
        InvalidJSONError: It is not JSON, is nested deeper than 200 levels, or has an integer of
            more digits than Python reads.
    """
    try:
        return pydantic_core.from_json(data)
    except (ValueError, TypeError):  # half a character is no text to it
        pass
    try:  # the standard library reads a surrogate whose other half is elsewhere
        value = json.loads(data)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = f"not JSON: {error}" if len(str(error)) <= _QUOTED else "not JSON"
    else:
        if not _is_deep(value):
            return value
        problem = "nested too deeply"
    msg = f"{problem}: {data[:_QUOTED]!r}"
    raise InvalidJSONError(msg)


def to_json(value: Any, *, sort: bool = False, indent: int | None = None) -> str:
    """Write a value as JSON.

    Args:
        value: Anything; what has no JSON form is described.
        sort: Whether the keys of dicts are sorted.
        indent: By how much each level is indented; `None` for one line.

    Returns:
        The JSON. Half characters, which UTF-8 does not have, are escaped, and so is what
        steers a terminal or turns the direction of a text.
    """
    text = json.dumps(
        _Walk(None).plain(value),
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":") if indent is None else (",", ": "),
        indent=indent,
        sort_keys=sort,
    )
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_halves(value: Any) -> Any:
    """Replace half characters, which have no UTF-8, by the replacement character.

    Args:
        value: Text, or what `bounded` returned.

    Returns:
        The same value where it has none.
    """
    if isinstance(value, str):
        return value if value.isascii() else _HALVES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {without_halves(key): without_halves(one) for key, one in value.items()}
    return [without_halves(one) for one in value] if isinstance(value, list) else value


def bounded(value: Any) -> Any:
    """Turn a value that somebody else made into one that JSON has.

    Dicts, lists, texts, numbers, booleans and `None` stay what they are. Models and dataclasses
    become dicts, bytes a dict with their `base64`, numbers that JSON does not have text. Data
    frames, and lists of more than `MAX_ROWS` dicts, become
    `{"$type": ..., "columns": [...], "rows": [{...}], "total": ...}`. What is unknown becomes
    `{"$type": ...}`.

    Args:
        value: An artifact, say.

    Returns:
        It, or its description where it takes more than `MAX_VALUE` characters.
    """
    try:
        return _Walk(MAX_VALUE).plain(value)
    except _TooLargeError:
        return _Walk(MAX_VALUE).table(value) if _is_rows(value) else _description(value)


class _Walk:
    """A walk over a value, by which it becomes one of JSON's."""

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._around: set[int] = set()  # the containers that the walk is in

    def plain(self, value: Any) -> Any:
        try:
            return self._plain(value)
        except _TooLargeError:
            raise
        except Exception:  # noqa: BLE001 - it is anybody's code
            return self._describe(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Enum):
            value = value.value
        self._charge(_EACH + (len(value) if isinstance(value, str | bytes) else 0))
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

    def _charge(self, size: int) -> None:
        if self._budget is not None:
            self._budget -= size
            if self._budget < 0:
                raise _TooLargeError

    def _container(self, value: Any) -> Any:
        if (inner := _opened(value)) is not None:
            return self.plain(inner)
        if isinstance(value, Mapping):
            return {self._written_key(key): self.plain(one) for key, one in value.items()}
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            return self.plain(value.item())
        if self._budget is not None and _is_table(value):
            return self.table(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(one) for one in value]
        return self._describe(value)

    def _written_key(self, key: Any) -> str:
        written = _key(key)
        self._charge(len(written))
        return written

    def table(self, value: Any) -> Any:
        """The first rows of a table, as many as there is room for."""
        columns, rows, total = _rows_of(value)
        names = [
            "/".join(map(_key, column)) if isinstance(column, tuple) else _key(column)
            for column in columns
        ]
        if len(set(names)) < len(names):
            return self._describe(value)  # a row is a dict, which has each name once
        written: dict[str, Any] = {"$type": _name(value), "columns": names, "rows": []}
        for row in rows:
            budget = self._budget
            try:
                self._charge(sum(map(len, names)))  # each row says them again
                cells = [self.plain(None if _is_missing(cell) else cell) for cell in row]
            except _TooLargeError:
                self._budget = budget
                break
            written["rows"].append(dict(zip(names, cells, strict=True)))
        return {**written, "total": total}

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


def _integer(value: int) -> Any:
    value = int(value)
    most = min(sys.get_int_max_str_digits() or _DIGITS, _DIGITS)
    return value if value.bit_length() < most * math.log2(10) else _description(value)


def _number(value: float) -> float | str:
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _number_text(value: Decimal) -> Any:
    return str(value) if len(value.as_tuple().digits) <= _DIGITS else _description(value)


# The first that fits. Subclasses become what they are a kind of, by no code of their own.
_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (bool, bool),
    (int, _integer),
    (float, _number),
    ((date, time), _isoformat),
    (UUID, str),
    (Decimal, _number_text),
    ((bytes, bytearray, memoryview), _bytes),
)


# Tables, known by the names of their classes: nothing is imported to find out.


def _library(value: Any) -> str:
    """Whose data frame a value is, empty if it is none."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("pandas", "polars") and kind.__name__ == "DataFrame":
            return library
    return ""


def _is_missing(cell: Any) -> bool:
    """Whether a data frame has no value there."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return type(cell).__name__ in ("NaTType", "NAType")


def _is_rows(value: Any) -> bool:
    return type(value) is list and all(type(one) is dict for one in value)  # these have an end


def _is_table(value: Any) -> bool:
    is_long = isinstance(value, list) and len(value) > MAX_ROWS
    return bool(_library(value)) or (is_long and _is_rows(value))


def _rows_of(value: Any) -> tuple[list[Any], Any, int]:
    """The columns, the first rows and how many there are."""
    library, total = _library(value), len(value)
    if library == "pandas":
        head = value.head(MAX_ROWS)
        if type(head.index).__name__ != "RangeIndex":
            head = head.reset_index(names=_index_names(head))
        return [*head.columns], head.itertuples(index=False, name=None), total
    if library == "polars":
        return [*value.columns], value.head(MAX_ROWS).iter_rows(), total
    columns = [*dict.fromkeys(key for row in value[:MAX_ROWS] for key in row)]
    return columns, ([row.get(one) for one in columns] for row in value[:MAX_ROWS]), total


def _index_names(frame: Any) -> list[Any]:
    """The columns that the index of a pandas data frame becomes, other than those it has."""
    names = frame.index.names
    is_index = len(names) == 1 and "index" not in frame.columns
    own = ["index" if is_index else f"level_{at}" for at in range(len(names))]  # as pandas does
    made = [own[at] if name is None else name for at, name in enumerate(names)]
    return [f"{name} (index)" if name in frame.columns else name for name in made]


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
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int) and isinstance(_integer(key), dict):
        return _name(key)
    return str(key) if isinstance(key, int | float | None) else _name(key)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_READ_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
    return bool(level)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _name(value: Any) -> str:
    kind = type(value)
    try:
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        return f"{module}{kind.__qualname__}"[:_NAME]
    except Exception:  # noqa: BLE001 - a metaclass may do anything
        return "object"


def _description(value: Any) -> dict[str, Any]:
    description: dict[str, Any] = {"$type": _name(value)}
    with suppress(Exception):  # it is anybody's code
        if isinstance(value, list | tuple | dict | set | frozenset | bytes | bytearray):
            description["length"] = len(value)
            return description
        shape = value.shape
        if isinstance(shape, tuple) and all(
            type(size) is int and size <= sys.maxsize for size in shape
        ):
            description["shape"] = list(shape)
    return description
