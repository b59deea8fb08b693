"""Values that are written as bare text, whose type only the tool's schema says.

A string is passed on as it comes. Anything else is known when it is whole: where it may be a
string too, it is JSON of another type that the schema allows, or else the string.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup.json_text import JSONText
from langchain_toolstream.core.markup.patterns import Pattern
from langchain_toolstream.core.markup.tape import Steps, Tape, escaped, too_long

ANY: Final = frozenset(("string", "number", "integer", "boolean", "null", "object", "array"))
"""What a value is when no schema says more."""

STRING: Final = frozenset(("string",))

_MAX_SCALAR = 400  # characters; what is longer is a text where a text may stand

_may_be_scalar = re.compile(
    r"\s*(?:-?[0-9][-+.0-9eE]*|-|n(?:u(?:ll?)?)?|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?)?\s*"
).fullmatch
_integer = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch
_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?").fullmatch
_LITERALS = {"true": "boolean", "false": "boolean", "null": "null"}
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_BEGINS = {
    "{": "object", "[": "array", "t": "boolean", "f": "boolean", "n": "null",
    **dict.fromkeys("-0123456789", "number"),
}  # fmt: skip
_BLANK = " \t\n\r"


class Parameters(Protocol):
    """What reading asks of a bound tool."""

    def types_at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types a value may be; all of `ANY` where nothing is known."""
        ...


class Types:
    """The types of the values of one call."""

    __slots__ = ("_tool",)

    def __init__(self, tools: Mapping[str, Parameters] | None, name: str) -> None:
        """Find the tool."""
        self._tool = tools.get(name) if tools is not None else None

    def at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types a value may be."""
        return ANY if self._tool is None else self._tool.types_at(path)


def kind_of(text: str) -> str | None:
    """Say which JSON type a text is, if it is JSON."""
    bare = text.strip(_BLANK)
    if bare in _LITERALS:
        return _LITERALS[bare]
    if _integer(bare):
        return "integer"
    if _number(bare):
        return "number"
    if bare[:1] not in ("{", "[", '"'):
        return None
    scan = JSONText()
    if scan.feed(bare, 0) != len(bare) or not scan.done or _has_odd_scalar(bare):
        return None
    return {"{": "object", "[": "array", '"': "string"}[bare[0]]


_strings = re.compile(r'"(?>[^"\\]+|\\.)*+"').sub
_scalars = re.compile(r"[-+.0-9A-Za-z]+").findall


def _has_odd_scalar(text: str) -> bool:
    return any(not (word in _LITERALS or _number(word)) for word in _scalars(_strings("", text)))


def as_json(text: str, types: frozenset[str]) -> str:
    """Write a whole value as JSON.

    Args:
        text: The value as it is written.
        types: What it may be.

    Returns:
        The value as JSON text.
    """
    kind = kind_of(text)
    text_too = "string" in types
    bare = text.strip(_BLANK)
    if not text_too:
        return bare if kind is not None else _PYTHON.get(bare) or escaped(text)
    if kind in ("object", "array") and kind in types:
        return bare
    if len(text) <= _MAX_SCALAR and (
        (kind in types and kind != "string") or (kind == "integer" and "number" in types)
    ):
        return bare
    return escaped(text)


def value(
    tape: Tape, types: frozenset[str], close: Any, openers: tuple[Pattern, ...] = ()
) -> Steps:
    """Read a value up to its closing tag, and write it as JSON.

    Args:
        tape: What is read.
        types: What the value may be.
        close: The expression that finds its end.
        openers: Tags that may not stand in it, as for `Tape.until`.
    """
    if types == STRING:
        tape.arguments('"')
        yield from tape.until(close, tape.string, openers=openers)
        tape.arguments('"')
        return
    reading = _Undecided(tape, types)
    yield from tape.until(close, reading.feed, openers=openers)
    reading.close()


class _Undecided:
    """Keep a value until it is known whether it is a string."""

    def __init__(self, tape: Tape, types: frozenset[str]) -> None:
        self._tape = tape
        self._may_be_string = "string" in types
        self._types = types
        self._pieces: list[str] = []
        self._length = 0
        self._streams = False
        self._begins: str | None = None  # its first character

    def feed(self, text: str) -> None:
        if self._streams:
            self._tape.string(text)
            return
        self._pieces.append(text)
        self._length += len(text)
        if too_long(self._length):
            self._tape.broken("a shorter value")
        if not self._may_be_string:
            return
        if self._begins is None:
            self._begins = text.lstrip(_BLANK)[:1] or None
        if self._begins is not None and self._is_string():
            self._streams = True
            self._tape.arguments('"')
            self._tape.string("".join(self._pieces))
            self._pieces.clear()

    def _is_string(self) -> bool:
        kind = _BEGINS.get(self._begins or "")
        if kind is None or not (
            kind in self._types or (kind == "number" and "integer" in self._types)
        ):
            return True
        if kind in ("object", "array"):
            return False
        return self._length > _MAX_SCALAR or not _may_be_scalar("".join(self._pieces))

    def close(self) -> None:
        if self._streams:
            self._tape.arguments('"')
        else:
            self._tape.arguments(as_json("".join(self._pieces), self._types))
