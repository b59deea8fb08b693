"""Machines for parameters in tags, and for keys and values in turns.

A value is the text between its tags, and only its own closing tag ends it. Where the tag of another
value stands inside, its closing tag may be missing: such a call is invalid.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup.patterns import Pattern, closing, pattern
from langchain_toolstream.core.markup.tape import Steps, Tape, escaped
from langchain_toolstream.core.markup.values import ANY, STRING, Types, value

TypesOf = Callable[[str], Types]

_NEWLINE, _CDATA = pattern("\n"), pattern("<![CDATA[")

_attributes = re.compile(r'(\w+)="([^"]*)"').findall
_are_attributes = re.compile(r'(?:\s*\w+="[^"]*"(?=\s|$))+\s*').fullmatch
_SAID: dict[str, frozenset[str]] = {
    "string": STRING,
    "number": frozenset(("number", "integer")),
    "integer": frozenset(("integer",)),
    "boolean": frozenset(("boolean",)),
    "null": frozenset(("null",)),
    "array": frozenset(("array",)),
    "object": frozenset(("object",)),
}


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a call, from its name to its end.

    Attributes:
        name: The tag with the tool's name, one of several spellings.
        parameter: The tag with a parameter's name, or what stands for it, before its value.
        value_end: The tag behind a value.
        end: The tag behind the last parameter.
        newline: Whether a line end on each side of a value is layout.
        cdata: Whether a value may stand in a CDATA section.
    """

    name: tuple[str, ...]
    parameter: tuple[str, ...]
    value_end: str
    end: str
    newline: bool = False
    cdata: bool = False

    @property
    def openers(self) -> tuple[str, ...]:
        """What opens a value: the last tag of each spelling."""
        return tuple(dict.fromkeys(one.rpartition("~")[2] for one in self.parameter))


@dataclass(frozen=True, slots=True)
class _Compiled:
    name: tuple[Pattern, ...]
    steps: tuple[Pattern, ...]  # the end, or a parameter
    value_end: Any
    openers: tuple[Pattern, ...]
    newline: bool
    cdata_end: Any


@lru_cache(maxsize=256)
def _compiled(tags: Tags, suffix: str) -> _Compiled:
    def spelled(template: str) -> str:
        return template.replace("{suffix}", suffix)

    openers = tuple(pattern(spelled(one)) for one in tags.openers)
    heads = tuple(one.head for one in openers)
    return _Compiled(
        name=tuple(pattern(spelled(one)) for one in tags.name),
        steps=tuple(pattern(spelled(one)) for one in (tags.end, *tags.parameter)),
        value_end=closing(spelled(tags.value_end), newline=tags.newline, openers=heads),
        openers=openers,
        newline=tags.newline,
        cdata_end=(
            closing(f"]]>~{tags.value_end}", openers=(_CDATA.head,)) if tags.cdata else None
        ),
    )


def tagged_call(tape: Tape, types_of: TypesOf, tags: Tags, suffix: str = "") -> Steps:
    """Read one call.

    Args:
        tape: What is read.
        types_of: The types of a tool's values.
        tags: How it is written.
        suffix: What all tags of the message end in, where they do.
    """
    compiled = _compiled(tags, suffix)
    _, found = yield from tape.expect(compiled.name, "the tool's name")
    name = _tool_name(tape, found)
    tape.begin(name)
    tape.arguments("{")
    types = types_of(name)
    first = True
    while True:
        yield from tape.space()
        step, found = yield from tape.expect(compiled.steps, "a parameter")
        if step is compiled.steps[0]:
            tape.end("}")
            return
        key, said = _parameter(tape, found)
        tape.arguments(("" if first else ", ") + escaped(key) + ": ")
        first = False
        yield from _value(tape, compiled, said or types.at((key,)))


def _value(tape: Tape, compiled: _Compiled, types: frozenset[str]) -> Steps:
    close, openers = compiled.value_end, compiled.openers
    if compiled.newline:
        yield from tape.look((_NEWLINE,))
    elif compiled.cdata_end is not None and (yield from tape.look((_CDATA,))) is not None:
        close, openers = compiled.cdata_end, (_CDATA,)
    yield from value(tape, types, close, openers)


def _attribute(tape: Tape, attributes: str, name: str) -> tuple[str, str]:
    """Find an attribute that has to be there, and the `type` beside it."""
    said = dict(_attributes(attributes))
    if not _are_attributes(attributes) or not said.get(name):
        tape.broken(f"{name}=... in {attributes[:80]!r}")
    return said[name], said.get("type", "")


def _tool_name(tape: Tape, found: re.Match[str]) -> str:
    fields = found.groupdict()
    name = fields.get("name") or fields.get("word")
    if name is None:
        name, _ = _attribute(tape, fields["attributes"], "tool")
    name = name.strip()
    half = len(name) // 2
    if len(name) % 2 and name[half] == "." and name[:half] == name[half + 1 :]:
        return name[:half]  # muse writes a tool's name as its namespace too
    return name


def _parameter(tape: Tape, found: re.Match[str]) -> tuple[str, frozenset[str] | None]:
    """The name of a parameter, and its types where the text says them."""
    fields = found.groupdict()
    if (attributes := fields.get("attributes")) is not None:
        key, said = _attribute(tape, attributes, "key")
        return key, _SAID.get(said)
    key, kind = fields["key"].strip(), fields.get("type")
    if kind == "true":  # string="true"
        return key, STRING
    if kind == "false":
        return key, ANY - STRING
    return key, _SAID.get(kind or "")


# minimax_m3: an element for each parameter, and elements inside for objects and lists.


def element_call(tape: Tape, types_of: TypesOf, prefix: str) -> Steps:
    """Read one call.

    Args:
        tape: What is read.
        types_of: The types of a tool's values.
        prefix: What stands before every tag, and nowhere else.
    """
    found = yield from tape.expect((pattern(prefix + '<invoke name="{name}">'),), "a call")
    name = found[1]["name"]
    tape.begin(name)
    tape.arguments("{")
    reading = _Elements(tape, types_of(name), prefix)
    yield from reading.read()


_MAX_DEPTH = 128


class _Elements:
    """The elements inside a call."""

    def __init__(self, tape: Tape, types: Types, prefix: str) -> None:
        self._tape = tape
        self._types = types
        self._tag = (pattern(prefix + "</{key}>"), pattern(prefix + "<{key}>"))
        self._any_tag = closing(prefix)  # always structure, so a value ends at any
        self._ends = (pattern("</{key}>"),)
        self._prefix = prefix
        # Of each open container: its tag, its path, whether it is a list, how many items it has.
        self._stack: list[tuple[str, JSONPath, bool, int]] = [("invoke", (), False, 0)]

    def read(self) -> Steps:
        tape = self._tape
        while True:
            yield from tape.space()
            step, found = yield from tape.expect(self._tag, "a tag")
            name = found["key"]
            tag, path, is_list, count = self._stack[-1]
            if step is self._tag[0]:
                if name != tag:
                    tape.broken(f"the end of {tag!r} before that of {name!r}")
                self._stack.pop()
                if not self._stack:
                    tape.end("}")
                    return
                tape.arguments("]" if is_list else "}")
                continue
            self._stack[-1] = (tag, path, is_list, count + 1)
            separator = ", " if count else ""
            if is_list:
                tape.arguments(separator)
                path = (*path, count)
            else:
                tape.arguments(separator + escaped(name) + ": ")
                path = (*path, name)
            yield from self._element(name, path)

    def _element(self, name: str, path: JSONPath) -> Steps:
        types = self._types.at(path)
        if types & _CONTAINERS:
            container = yield from self._opens(types)
            if container is not None:
                if len(self._stack) > _MAX_DEPTH:
                    self._tape.broken("no more elements inside each other")
                self._tape.arguments("[" if container else "{")
                self._stack.append((name, path, container, 0))
                return
        yield from value(self._tape, types, self._any_tag)
        found = yield from self._tape.expect(self._ends, f"the end of {name!r}")
        if found[1]["key"] != name:
            self._tape.broken(f"the end of {name!r}")

    def _opens(self, types: frozenset[str]) -> Generator[None, None, bool | None]:
        """Whether elements follow, those of a list or of an object."""
        tape = self._tape
        found = yield from tape.look((pattern(f"~^{self._prefix}<{{key}}>"),))
        if found is not None:
            if "array" in types and "object" in types:
                return bool(found[1]["key"] == "item")
            return "array" in types
        if types <= _CONTAINERS and len(types) == 1:
            found = yield from tape.look((pattern(f"~^{self._prefix}</"),))
            if found is not None:
                return "array" in types
        return None


_CONTAINERS = frozenset(("array", "object"))
