"""Machines for calls whose arguments are JSON: they pass through as the model wrote them."""

import json
from collections.abc import Generator
from typing import Any

from langchain_toolstream.core.markup.patterns import pattern
from langchain_toolstream.core.markup.tape import CutMarkupError, Steps, Tape, too_long

NAME = ("name",)
ARGUMENTS = ("arguments", "parameters", "args")


def call_object(tape: Tape) -> Steps:
    """Read `{"name": ..., "arguments": {...}}`, its members in any order, others left alone."""
    tape.current = None
    name: str | None = None
    held: list[str] = []  # arguments that came before the name
    length, last = 0, ""
    seen = done = False
    other = False  # a member that may be the arguments, under a name that we do not know

    def hold(text: str) -> None:
        nonlocal length
        length += len(text)
        if too_long(length):
            tape.broken("a name")
        held.append(text)

    yield from _mark(tape, "{")
    yield from tape.space()
    if tape.text[tape.at] == "}":
        tape.broken("a name")
    try:
        while True:
            key = yield from _string(tape)
            yield from tape.space()
            yield from _mark(tape, ":")
            yield from tape.space()
            if key in NAME and tape.text[tape.at] == '"':
                if name is not None:
                    tape.broken("one name")
                name = yield from _string(tape)
                tape.begin(name)
                if seen:
                    tape.arguments("".join(held))
                    tape.end(last)
                    done = True
            elif key in ARGUMENTS and not seen:
                seen = True
                if name is None:
                    last = yield from tape.json(hold)
                else:
                    last = yield from tape.json(tape.arguments)
                    tape.end(last)
                    done = True
            elif key in NAME or key in ARGUMENTS:
                tape.broken("a text as name, and arguments once")
            else:
                other = other or tape.text[tape.at] in "{["
                yield from tape.json(_ignore)
            yield from tape.space()
            if tape.text[tape.at] == "}":
                break
            yield from _mark(tape, ",")
            yield from tape.space()
    except CutMarkupError:
        if not done:  # the arguments are whole, and nothing of the call is missing but its end
            raise
    else:
        tape.at += 1
        if name is None:
            tape.broken("a name before this")
        if other and not seen:
            tape.broken(f"a member {ARGUMENTS[0]!r}")


def named_object(tape: Tape) -> Steps:
    """Read `{name: {...}}`."""
    tape.current = None
    yield from _mark(tape, "{")
    yield from tape.space()
    name = yield from _string(tape)
    yield from tape.space()
    yield from _mark(tape, ":")
    yield from tape.space()
    tape.begin(name)
    tape.end((yield from tape.json(tape.arguments)))
    try:
        yield from tape.space()
    except CutMarkupError:
        return
    yield from _mark(tape, "}")


def call_list(tape: Tape, item: Any = call_object, separator: str = ",") -> Steps:
    """Read calls between brackets, or one behind another where there are none."""
    yield from _mark(tape, "[")
    yield from tape.space()
    if tape.text[tape.at] == "]":
        tape.at += 1
        return
    while True:
        yield from item(tape)
        try:
            yield from tape.space()
        except CutMarkupError:
            return
        if tape.text[tape.at] == "]":
            tape.at += 1
            return
        yield from _mark(tape, separator)
        yield from tape.space()
        tape.current = None


def named_list(tape: Tape) -> Steps:
    """Read `[{name: {...}}, ...]`."""
    yield from call_list(tape, named_object)


def call_row(tape: Tape) -> Steps:
    """Read `{...}; {...}`."""
    while True:
        yield from call_object(tape)
        found = yield from tape.look((pattern("~;~^{"),))
        if found is None:
            return


def arguments_of(tape: Tape, name: str, call_id: str | None = None) -> Steps:
    """Read the arguments of a call whose name is known."""
    tape.begin(name, call_id)
    yield from tape.space()
    if tape.text[tape.at] not in '{"n':
        tape.broken("an object")
    tape.end((yield from tape.json(tape.arguments)))


def _mark(tape: Tape, mark: str) -> Steps:
    if tape.at == len(tape.text):
        yield from tape.more()
    if tape.text[tape.at : tape.at + 1] != mark:
        tape.broken(repr(mark))
    tape.at += 1


def _string(tape: Tape) -> Generator[None, None, str]:
    """Read a short string: a name."""
    if tape.text[tape.at : tape.at + 1] != '"':
        tape.broken("a name in double quotes")
    pieces: list[str] = []
    length = 0

    def keep(text: str) -> None:
        nonlocal length
        length += len(text)
        if length > 1000:  # noqa: PLR2004
            tape.broken("a shorter name")
        pieces.append(text)

    pieces.append((yield from tape.json(keep)))
    return str(json.loads("".join(pieces)))


def _ignore(text: str) -> None:
    """Leave a value alone."""
