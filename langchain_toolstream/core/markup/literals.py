"""Machines for arguments that are written as literals: Python's, and those of the gemma family.

Both are read by one machine, `Literals`, that knows containers and separators; a `Dialect` says how
strings, keys and words are written. Nothing is ever evaluated.
"""

import json
import re
import unicodedata
from abc import abstractmethod
from collections.abc import Generator
from typing import Any

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup.patterns import closing, pattern
from langchain_toolstream.core.markup.tape import (
    CutMarkupError,
    Steps,
    Tape,
    escaped,
    too_long,
)
from langchain_toolstream.core.markup.values import ANY, STRING, Types, value

MAX_DEPTH = 128

_CLOSERS = {"[": "]", "{": "}"}

_word_run = re.compile(r"[\w.+\-]*").match
_json_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?").fullmatch
_python_number = re.compile(
    r"[-+]?(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    r"|(?:[0-9](?:_?[0-9])*)?\.?(?:[0-9](?:_?[0-9])*)?(?:[eE][-+]?[0-9]+)?)"
).fullmatch
_WORDS = {
    "True": "true", "False": "false", "None": "null", "true": "true", "false": "false",
    "null": "null",
}  # fmt: skip


class Dialect:
    """How a family writes strings, keys and words."""

    @abstractmethod
    def string(self, tape: Tape, types: frozenset[str]) -> Generator[None, None, bool]:
        """Read a string, if one stands here, and write it."""

    @abstractmethod
    def key(self, tape: Tape) -> Generator[None, None, str]:
        """Read a key of an object, and what stands between it and its value."""

    def word(self, word: str) -> str | None:
        """Write a number or literal as JSON; `None` when it is neither."""
        return _WORDS.get(word) or (word if _json_number(word) else None)


def literal(tape: Tape, dialect: Dialect, types: Types, path: JSONPath = ()) -> Steps:
    """Read one value, and write it as JSON.

    Args:
        tape: What is read.
        dialect: How it is written.
        types: The types of the call's values.
        path: Where the value stands among the arguments; `()` for all of them.
    """
    stack: list[tuple[str, JSONPath, int]] = []  # what closes it, its path, items so far
    while True:
        yield from tape.space()
        if not (yield from dialect.string(tape, types.at(path))):
            char = tape.text[tape.at]
            if char in _CLOSERS:
                if len(stack) == MAX_DEPTH:
                    tape.broken("no more containers inside each other")
                tape.at += 1
                tape.arguments("{" if char == "{" else "[")
                stack.append((_CLOSERS[char], path, 0))
                path = yield from _next(tape, dialect, stack)
                if path is not None:
                    continue
            else:
                word = yield from _word(tape)
                written = dialect.word(word)
                tape.arguments(word if written is None else written)
                if written is None:
                    tape.broken(f"a literal instead of {word[:60]!r}")
        # A value is complete. Close what it completes, or go on to the next one.
        while stack:
            yield from tape.space()
            if tape.text[tape.at] == ",":
                tape.at += 1
            elif tape.text[tape.at] != stack[-1][0]:
                tape.broken(f"',' or {stack[-1][0]!r}")
            found = yield from _next(tape, dialect, stack)
            if found is not None:
                path = found
                break
        else:
            return


def _next(
    tape: Tape, dialect: Dialect, stack: list[tuple[str, JSONPath, int]]
) -> Generator[None, None, Any]:
    """Go to the next item of the innermost container, or close it. Returns the item's path."""
    closer, path, count = stack[-1]
    yield from tape.space()
    if tape.text[tape.at] == closer:
        tape.at += 1
        stack.pop()
        if path:
            tape.arguments(closer)
        else:
            tape.end(closer)
        return None
    if count:
        tape.arguments(", ")
    stack[-1] = (closer, path, count + 1)
    if closer != "}":
        return (*path, count)
    key = yield from dialect.key(tape)
    tape.arguments(escaped(key) + ": ")
    return (*path, key)


def _word(tape: Tape) -> Generator[None, None, str]:
    pieces: list[str] = []
    length = 0
    while True:
        end: int = _word_run(tape.text, tape.at).end()  # type: ignore[union-attr]
        pieces.append(tape.text[tape.at : end])
        length += end - tape.at
        tape.at = end
        if too_long(length):
            tape.broken("a shorter literal")
        if end < len(tape.text):
            return "".join(pieces)
        yield from tape.more()


def _short_string(tape: Tape, read: Any) -> Generator[None, None, str]:
    """Read a string that is needed whole: a key."""
    pieces: list[str] = []
    length = 0

    def keep(text: str) -> None:
        nonlocal length
        length += len(text)
        if length > 1000:  # noqa: PLR2004
            tape.broken("a shorter key")
        pieces.append(text)

    yield from read(keep)
    return "".join(pieces)


# Python.

_plain_run = {
    "'": re.compile(r"[^'\\\n]*").match,
    '"': re.compile(r'[^"\\\n]*').match,
    "'''": re.compile(r"[^'\\]*").match,
    '"""': re.compile(r'[^"\\]*').match,
}
_ESCAPES = {
    "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r",
    "t": "\t", "v": "\v", "\n": "",
}  # fmt: skip
_CODES = {"x": 2, "u": 4, "U": 8}
_octal = re.compile(r"[0-7]{1,3}").match


class Python(Dialect):
    """Python's literals, and JSON's words beside them."""

    def string(self, tape: Tape, types: frozenset[str]) -> Generator[None, None, bool]:
        """Read a string in any of the four kinds of quotes."""
        del types
        if tape.text[tape.at] not in "'\"":
            return False
        tape.arguments('"')
        yield from self._body(tape, tape.string)
        tape.arguments('"')
        return True

    def key(self, tape: Tape) -> Generator[None, None, str]:
        """Read a string and a colon."""
        if tape.text[tape.at] not in "'\"":
            tape.broken("a key in quotes")
        key = yield from _short_string(tape, lambda keep: self._body(tape, keep))
        yield from tape.space()
        if tape.text[tape.at] != ":":
            tape.broken("':'")
        tape.at += 1
        return key

    def word(self, word: str) -> str | None:
        """Write a number or literal as JSON, Python's spellings included."""
        if (written := super().word(word)) is not None:
            return written
        if not _python_number(word) or not any(char.isdigit() for char in word):
            return None
        try:
            whole = word.lstrip("+-").replace("_", "").isdigit() or "x" in word.lower()
            return json.dumps(int(word, 0) if whole else float(word), allow_nan=False)
        except ValueError:
            return None

    def _body(self, tape: Tape, say: Any) -> Steps:
        quote = tape.text[tape.at]
        tape.at += 1
        while len(tape.text) - tape.at < 2 and tape.text[tape.at :] in ("", quote):  # noqa: PLR2004
            yield from tape.more()
        if tape.text.startswith(quote * 2, tape.at):
            tape.at += 2
            quote *= 3
        elif tape.text.startswith(quote, tape.at):
            tape.at += 1
            return
        run = _plain_run[quote]
        while True:
            text = tape.text
            end: int = run(text, tape.at).end()  # type: ignore[union-attr]
            if end > tape.at:
                say(text[tape.at : end])
                tape.at = end
            if end == len(text):
                yield from tape.more()
            elif text[end] == "\\":
                if (found := self._escape(tape)) is None:
                    yield from tape.more()
                else:
                    say(found)
            elif text.startswith(quote, end):
                tape.at = end + len(quote)
                return
            elif text[end] == "\n":
                tape.broken("the end of the string before the end of the line")
            elif quote.startswith(text[end:]):
                yield from tape.more()  # one or two quotes, which may become three
            else:
                say(text[end])
                tape.at = end + 1

    @staticmethod
    def _escape(tape: Tape) -> str | None:
        """Decode an escape, and take it; `None` when more text is needed."""
        text, at = tape.text, tape.at
        kind = text[at + 1 : at + 2]
        if not kind:
            return None
        if (plain := _ESCAPES.get(kind)) is not None:
            tape.at += 2
            return plain
        if digits := _CODES.get(kind):
            code = text[at + 2 : at + 2 + digits]
            if len(code) < digits and all(c in "0123456789abcdefABCDEF" for c in code):
                return None
            try:
                found = chr(int(code, 16)) if code.isalnum() and code.isascii() else ""
            except (ValueError, OverflowError):
                found = ""
            if not found:
                tape.broken("an escape")
            tape.at += 2 + digits
            return found
        if kind in "01234567":
            octal = _octal(text, at + 1)
            if octal is None or (octal.end() == len(text) and len(octal.group()) < 3):  # noqa: PLR2004
                return None
            tape.at = octal.end()
            return chr(int(octal.group(), 8))
        if kind == "N":
            end = text.find("}", at)
            if end < 0 and len(text) - at < 100:  # noqa: PLR2004
                return None
            try:
                found = unicodedata.lookup(text[at + 3 : end])
            except KeyError:
                tape.broken("an escape")
            tape.at = end + 1
            return found
        tape.at += 2
        return "\\" + kind  # as Python reads it


PYTHON = Python()


def python_call(tape: Tape, types_of: Any) -> Steps:
    """Read `name(key=value, ...)`."""
    tape.current = None
    found = yield from tape.expect((pattern("{function}~("),), "a function's name")
    name = found[1]["function"]
    tape.begin(name)
    tape.arguments("{")
    types = types_of(name)
    first = True
    while True:
        yield from tape.space()
        if tape.text[tape.at] == ")":
            tape.at += 1
            tape.end("}")
            return
        found = yield from tape.expect((pattern("{argument}~="),), "a keyword argument")
        key = found[1]["argument"]
        tape.arguments(("" if first else ", ") + escaped(key) + ": ")
        first = False
        yield from literal(tape, PYTHON, types, (key,))
        yield from tape.space()
        if tape.text[tape.at] == ",":
            tape.at += 1
        elif tape.text[tape.at] != ")":
            tape.broken("',' or ')'")


def python_list(tape: Tape, types_of: Any) -> Steps:
    """Read `[call, call]`."""
    tape.at += 1  # the bracket, which the format's marker has seen
    yield from tape.space()
    while True:
        if tape.text[tape.at] == "]":
            tape.at += 1
            return
        yield from python_call(tape, types_of)
        try:
            yield from tape.space()
        except CutMarkupError:
            return
        if tape.text[tape.at] == ",":
            tape.at += 1
            yield from tape.space()
        elif tape.text[tape.at] != "]":
            tape.broken("',' or ']'")


def python_lines(tape: Tape, types_of: Any) -> Steps:
    """Read calls one behind another."""
    while True:
        yield from python_call(tape, types_of)
        found = yield from tape.look((pattern("~^{function}~("),))
        if found is None:
            return


# The gemma family.


class Quoted(Dialect):
    """Bare keys, and strings between markers."""

    def __init__(self, quote: str, *, exact: bool) -> None:
        """Take the marker that opens and closes a string.

        `exact` says that nothing but strings stands between two of them.
        """
        self._exact = exact
        self._open = (pattern(quote),)
        self._close = closing(quote)
        self._key = (pattern("{bare}:"),)

    def string(self, tape: Tape, types: frozenset[str]) -> Generator[None, None, bool]:
        """Read a string between markers, whose type the schema may know better."""
        if (yield from tape.look(self._open)) is None:
            return False
        if types == ANY or (self._exact and "string" in types):
            types = STRING
        yield from value(tape, types, self._close)
        return True

    def key(self, tape: Tape) -> Generator[None, None, str]:
        """Read a key, bare or between markers, and a colon."""
        if (yield from tape.look(self._open)) is not None:
            key = yield from _short_string(tape, lambda keep: tape.until(self._close, keep))
            yield from tape.expect((pattern("~:"),), "':'")
            return key
        found = yield from tape.expect(self._key, "a key")
        return str(found[1]["bare"]).strip()


def quoted_call(tape: Tape, types_of: Any, dialect: Quoted) -> Steps:
    """Read `call:name{key:value}`."""
    found = yield from tape.expect((pattern("call:~{bare}^{"),), "a call")
    name = found[1]["bare"].strip()
    tape.begin(name)
    yield from literal(tape, dialect, types_of(name))
