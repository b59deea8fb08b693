"""JSON read while it is written.

`JSONStream.feed(piece)` returns what became known, `close()` says that the text ended. Nothing is
read twice, so the cost is linear in the text and the cost of a piece does not depend on what came
before it.

The language is RFC 8259 as `json.loads` reads it (big integers stay exact, lone surrogate escapes
pass), made strict: no `NaN` or `Infinity`, no name twice in an object, no raw control character in
a string. What follows the root value is kept apart (`unused_text`, after `zlib`'s `unused_data`),
because what it means is not a question of JSON.

The machine: `_state` says what may come next, `_frames` holds the open containers, outermost
first. A string is read in runs up to the next character that matters; one that was cut inside an
escape or a surrogate pair waits in `_held` for the next piece (`core.strings`), so no delta ever
ends in half a character. A number or literal is only known at its delimiter: `10` may become `100`.
"""

import re
from typing import Any, Literal

from langchain_toolstream.core.errors import (
    JSONIncompleteError,
    JSONLimitError,
    JSONPath,
    JSONStreamError,
    JSONSyntaxError,
    quoted,
)
from langchain_toolstream.core.strings import BadStringError, decode

JSONEvent = tuple[Literal["start", "delta", "finish"], JSONPath, Any]
"""`("start", path, empty)`: a string, object or list began; `empty` is `""`, `{}` or `[]`.
`("delta", path, text)`: a piece of a string, decoded.
`("finish", path, value)`: a value is complete and will not change."""

MAX_DEPTH = 128
"""Nested containers. Far above any tool's schema; pydantic and `json.dumps` recurse per level."""

MAX_LENGTH = 10_000_000
"""Characters of one value. A file of 10 MB as an argument still fits; a server that never stops
does not take the process down with it."""

LOOSE_PIECES = 256
"""How many pieces of a text are kept before they are joined: a piece of a token's length takes
twenty times the memory of its characters."""

SLICE = 8192
"""How much text to read at a time where each value of it becomes an event. The events of a text
that is deep and wide take a thousand times its memory, and are gone before the next slice."""

# What may come next. A name may begin up to `_FIRST_KEY`, any string up to `_FIRST_ITEM`; from
# `_NAME` on, what is open is a string.
_KEY, _FIRST_KEY, _VALUE, _FIRST_ITEM, _COLON, _COMMA, _SCALAR, _DONE, _FAILED = range(9)
_NAME, _STRING = 9, 10

_EXPECTED = {
    _VALUE: "a value",
    _FIRST_ITEM: "a value or ']'",
    _FIRST_KEY: "a name in double quotes or '}'",
    _KEY: "a name in double quotes",
    _COLON: "':'",
}

_SPACE = " \t\n\r"
_INFINITY = float("inf")
_number_run = re.compile(r"[-+.0-9eE]*").match
_literal_run = re.compile(r"[a-z]*").match
_scalar_run = dict.fromkeys("-0123456789", _number_run) | dict.fromkeys("tfn", _literal_run)
_number = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)").fullmatch
_number_start = re.compile(
    r"-|-?(?:0|[1-9][0-9]*)(?:\.|(?:\.[0-9]+)?[eE][-+]?)"
).fullmatch  # of one that is not yet a number
_LITERALS = {"true": True, "false": False, "null": None}
_LITERAL_STARTS = {word[:length] for word in _LITERALS for length in range(1, len(word) + 1)}


class JSONStream:
    """One strict JSON value, read piece by piece.

    Args:
        max_depth: How many containers may be open at once.
        max_length: How many characters the value may have.
        events: Whether to say what became known. Every event has its whole path, which takes a
            hundred times the memory of the value in arguments that are wide and deep.

    Attributes:
        closed: Whether the root value is complete.
        error: What is wrong with the text, as soon as that is known.
        value: The root as it is now, live: finished values stand in it, an open string does not
            yet. The object is the stream's own and goes on growing; `snapshot()` is yours to keep.

    Example:
        ```python
        from langchain_toolstream.core.json import JSONStream

        stream = JSONStream()
        assert stream.feed('{"to": "al') == [
            ("start", (), {}),
            ("start", ("to",), ""),
            ("delta", ("to",), "al"),
        ]
        assert stream.feed('ice", "amount": 12') == [
            ("delta", ("to",), "ice"),
            ("finish", ("to",), "alice"),
        ]
        assert stream.feed("50}")[0] == ("finish", ("amount",), 1250)
        assert stream.close() == []
        assert stream.value == {"to": "alice", "amount": 1250}
        ```
    """

    __slots__ = (
        "_container", "_frames", "_held", "_joined", "_key", "_left", "_length", "_max_depth",
        "_max_length", "_path", "_pieces", "_plain", "_state", "_tells", "_unused",
        "_unused_at", "_value_path", "closed", "error", "value",
    )  # fmt: skip

    def __init__(
        self, *, max_depth: int = MAX_DEPTH, max_length: int = MAX_LENGTH, events: bool = True
    ) -> None:
        """Start before the first character."""
        self._tells = events
        self._max_depth = max_depth
        self._max_length = max_length
        self._state = _VALUE
        self._frames: list[tuple[Any, JSONPath, str]] = []
        self._container: Any = None
        self._path: JSONPath = ()  # of the container
        self._key = ""
        self._value_path: JSONPath = ()  # of the value that is open, or comes next
        self._plain = False  # whether strings of the piece that is being read need no decoding
        self._joined = ""  # what has come of the string that is open, but for the last pieces
        self._pieces: list[str] = []
        self._held = ""
        self._left = ""  # of the string in which the text was found to be wrong
        self.value: Any = None
        self.closed = False
        self._unused: list[str] = []
        self._unused_at = 0
        self._length = 0
        self.error: JSONStreamError | None = None

    @property
    def unused_text(self) -> str:
        """What followed the root value, from its first character that is no whitespace on."""
        return "".join(self._unused)

    @property
    def open_text(self) -> str:
        """What has come of the string that is being written, decoded; `""` where none is."""
        return self._join() if self._state == _STRING else self._left

    @property
    def in_string(self) -> bool:
        """Whether a string is being written, and not as a name."""
        return self._state == _STRING

    @property
    def where(self) -> JSONPath:
        """The path of what is being written: a value, or the container that has begun last."""
        is_value = self._state in (_VALUE, _SCALAR, _STRING)
        if self._tells or self._container is None:
            return self._value_path if is_value else self._path
        steps = [_step(container, key, 1) for container, _, key in self._frames[1:]]
        return (*steps, *([_step(self._container, self._key, 0)] if is_value else ()))

    def snapshot(self) -> Any:
        """Copy what is known now, an open string included as far as it has come.

        Finished containers are shared with the stream, which will not touch them again; only the
        open ones are copied.

        Returns:
            The value so far; `None` before its first character.
        """
        open_string = self._state == _STRING
        if self._container is None:
            return self.open_text if open_string else self.value
        copy: Any = self._container.copy()
        if open_string:
            _put(copy, self._key, self.open_text)
        for container, _, key in reversed(self._frames[1:]):
            outer = container.copy()
            if isinstance(outer, list):
                outer[-1] = copy
            else:
                outer[key] = copy
            copy = outer
        return copy

    def feed(self, text: str) -> list[JSONEvent]:
        """Take the next piece of text.

        Args:
            text: Any number of characters, cut anywhere.

        Returns:
            What became known, in order.

        Raises:
            JSONStreamError: The text is wrong. What became known before the wrong character is
                returned first, and the error raised by the next `feed` or `close`; `error` has it
                at once.
        """
        # A printable text holds no control character and no surrogate. These tests cost a third of
        # a regular expression's call, and most of a long string comes in by the next return.
        self._plain = plain = "\\" not in text and text.isprintable()
        if plain and self._state >= _NAME and '"' not in text and text and not self._held:
            length = self._length + len(text)
            if length <= self._max_length:
                self._length = length
                self._pieces.append(text)
                if len(self._pieces) > LOOSE_PIECES:
                    self._join()
                if self._state == _STRING and self._tells:
                    return [("delta", self._value_path, text)]
                return []
        if self.error is not None:
            raise self.error
        events: list[JSONEvent] = []
        try:
            self._scan(text, events)
        except JSONStreamError as error:
            self.error = error
        if self.error is not None:
            self._left = self.open_text
            self._state = _FAILED
            if not events:
                raise self.error
        return events

    def close(self) -> list[JSONEvent]:
        """Say that the text ended.

        Returns:
            The root, if it was a number or literal that only the end could finish.

        Raises:
            JSONIncompleteError: The value is not complete.
            JSONSyntaxError: Something follows it.
        """
        if self.error is not None:
            raise self.error
        events: list[JSONEvent] = []
        try:
            if self._state == _SCALAR and self._container is None and not self._is_cut_scalar():
                self._finish_scalar(self._length, events)
            if self._state != _DONE:
                msg = f"The text ends {self._ends_where()}"
                raise JSONIncompleteError(msg, path=self.where, position=self._length)
            if self._unused:
                msg = f"Unexpected {self._unused[0][:1]!r} after the end of the value"
                raise JSONSyntaxError(msg, path=(), position=self._unused_at)
        except JSONStreamError as error:
            self.error = error
            raise
        return events

    def _scan(self, text: str, events: list[JSONEvent]) -> None:
        if self._held:
            text = self._held + text
            self._length -= len(self._held)
            self._held = ""
            self._plain = False
        base = self._length
        n = len(text)
        self._length = base + n
        if self._length > self._max_length:
            msg = f"The value is longer than {self._max_length:,} characters"
            raise JSONLimitError(msg, path=self.where, position=self._max_length)
        i = 0
        if self._state >= _NAME:
            i = self._scan_string(text, i, base, events)
        elif self._state == _SCALAR:
            i = self._scan_scalar(text, i, base, events)
        elif self._unused:
            self._unused.append(text)
            return
        while i < n:
            char = text[i]
            state = self._state
            if char == '"' and state <= _FIRST_ITEM:
                self._state = _NAME if state <= _FIRST_KEY else _STRING
                if self._state == _STRING and self._tells:
                    events.append(("start", self._value_path, ""))
                i = self._scan_string(text, i + 1, base, events)
            elif char in _SPACE:
                i += 1
            elif char == ":" and state == _COLON:
                self._state = _VALUE
                i += 1
            elif char == "," and state == _COMMA:
                if type(self._container) is dict:
                    self._state = _KEY
                else:
                    if self._tells:
                        self._value_path = (*self._path, len(self._container))
                    self._state = _VALUE
                i += 1
            elif _VALUE <= state <= _FIRST_ITEM and char in _scalar_run:
                self._state = _SCALAR
                i = self._scan_scalar(text, i, base, events)
            elif _VALUE <= state <= _FIRST_ITEM and char in "{[":
                self._push(char, base + i, events)
                i += 1
            elif char in "}]" and self._may_close(char):
                self._pop(events)
                i += 1
            elif state == _DONE:
                self._unused.append(text[i:])
                self._unused_at = base + i
                return
            else:
                raise self._unexpected(char, base + i)

    def _scan_scalar(self, text: str, i: int, base: int, events: list[JSONEvent]) -> int:
        """Read on in a number or literal, from `i` to its delimiter or the end of `text`."""
        run = _scalar_run[self._pieces[0][0] if self._pieces else text[i]]
        end = run(text, i).end()  # type: ignore[union-attr]
        self._pieces.append(text[i:end])
        if end < len(text):
            self._finish_scalar(base + end, events)
        elif run is _literal_run:
            word = "".join(self._pieces)
            if word not in _LITERAL_STARTS:
                raise self._not_json(word, base + end)
        return end

    def _scan_string(self, text: str, i: int, base: int, events: list[JSONEvent]) -> int:
        """Read on in a string, from `i` up to its end or the end of `text`."""
        n = len(text)
        if self._plain:
            end = text.find('"', i)
            end = n if end < 0 else end
            piece = text[i:end]
        else:
            parts: list[str] = []
            try:
                end = decode(text, i, parts)
            except BadStringError as bad:  # what stands before it is not lost
                end, where = n, self.where
                self.error = JSONSyntaxError(bad.reason, path=where, position=base + bad.at)
            piece = "".join(parts)
        if piece:
            self._pieces.append(piece)
            if self._state == _STRING and self._tells:
                events.append(("delta", self._value_path, piece))
        if end == n or text[end] != '"':
            self._held = text[end:]
            return n
        value = self._join()
        self._joined = ""
        if self._state == _STRING:
            self._finish_value(value, events)
            return end + 1
        if value in self._container:
            self._state = _KEY
            msg = f"The name {quoted(value)} stands twice in one object"
            raise JSONSyntaxError(msg, path=self.where, position=base + end)
        self._key = value
        if self._tells:
            self._value_path = (*self._path, value)
        self._state = _COLON
        return end + 1

    def _join(self) -> str:
        """Join the pieces of the open string.

        To a text that nobody else holds, CPython appends in place.
        """
        text = self._joined
        if self._pieces:
            self._joined = ""
            text += "".join(self._pieces)
            self._pieces.clear()
            self._joined = text
        return text

    def _is_cut_scalar(self) -> bool:
        word = "".join(self._pieces)
        return bool(_number_start(word)) or (word in _LITERAL_STARTS and word not in _LITERALS)

    def _finish_scalar(self, position: int, events: list[JSONEvent]) -> None:
        word = "".join(self._pieces)
        self._pieces = []
        value: Any
        if word in _LITERALS:
            value = _LITERALS[word]
        elif (number := _number(word)) is None:
            raise self._not_json(word, position)
        elif number[1]:
            value = float(word)
            if value in (_INFINITY, -_INFINITY):
                msg = f"{quoted(word)} is larger than any number that Python reads"
                raise JSONSyntaxError(msg, path=self.where, position=position)
        else:
            try:
                value = int(word)
            except ValueError as error:
                msg = f"An integer of {len(word):,} digits is longer than Python reads"
                raise JSONLimitError(msg, path=self.where, position=position) from error
        self._finish_value(value, events)

    def _finish_value(self, value: Any, events: list[JSONEvent]) -> None:
        self._store(value)
        self._state = _COMMA
        if self._container is None:
            self._close()
        if self._tells:
            events.append(("finish", self._value_path, value))

    def _close(self) -> None:
        self._state = _DONE
        self.closed = True

    def _store(self, value: Any) -> None:
        container = self._container
        if type(container) is dict:
            container[self._key] = value
        elif container is None:
            self.value = value
        else:
            container.append(value)

    def _push(self, char: str, position: int, events: list[JSONEvent]) -> None:
        if len(self._frames) >= self._max_depth:
            msg = f"More than {self._max_depth} containers inside each other"
            self._state = _VALUE
            raise JSONLimitError(msg, path=self.where, position=position)
        path = self._value_path
        value: Any = {} if char == "{" else []
        self._store(value)
        self._frames.append((self._container, self._path, self._key))
        self._container = value
        self._path = path
        if char == "{":
            self._state = _FIRST_KEY
        else:
            self._state = _FIRST_ITEM
            if self._tells:
                self._value_path = (*path, 0)
        if self._tells:
            events.append(("start", path, value.copy()))

    def _may_close(self, char: str) -> bool:
        if type(self._container) is dict:
            return char == "}" and self._state in (_FIRST_KEY, _COMMA)
        return char == "]" and self._state in (_FIRST_ITEM, _COMMA)

    def _pop(self, events: list[JSONEvent]) -> None:
        value, path = self._container, self._path
        self._container, self._path, self._key = self._frames.pop()
        self._value_path = path
        self._state = _COMMA
        if self._container is None:
            self._close()
        if self._tells:
            events.append(("finish", path, value))

    def _ends_where(self) -> str:
        if self._state == _STRING:
            return "inside a string"
        if self._state == _NAME:
            return "inside a name"
        if self._state == _SCALAR:
            return "inside a number or literal"
        return f"where {_EXPECTED.get(self._state) or self._separator()} should come"

    def _separator(self) -> str:
        return "',' or '}'" if type(self._container) is dict else "',' or ']'"

    def _unexpected(self, char: str, position: int) -> JSONSyntaxError:
        expected = _EXPECTED.get(self._state) or self._separator()
        msg = f"Expected {expected}, got {char!r}"
        return JSONSyntaxError(msg, path=self.where, position=position)

    def _not_json(self, word: str, position: int) -> JSONSyntaxError:
        if word[:1].isalpha():  # wrong from the character on that fits no literal
            fits = len(max(filter(word.startswith, _LITERAL_STARTS), key=len, default=""))
            wrong = min(fits + 1, len(word))
            position -= len(word) - wrong
            word = word[:wrong]
        msg = f"{quoted(word)} is neither a number nor true, false or null"
        return JSONSyntaxError(msg, path=self.where, position=position)


def _step(container: Any, key: Any, stored: int) -> str | int:
    """The last step of a path; of a list's value that stands in the list already, or comes next."""
    return key if type(container) is dict else len(container) - stored


def _put(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, list):
        container.append(value)
    else:
        container[key] = value
