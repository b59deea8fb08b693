"""Where a JSON value ends.

A tokenizer that keeps nothing of the value: JSON passes through us as the model wrote it, and
`core.json` judges it. A marker inside a string is text, so the end of a value is where its last
bracket closes and never where a marker stands.
"""

import re

MAX_DEPTH = 100_000
"""Far more than `core.json` reads, which so comes first, and says why."""

_string_run = re.compile(r'(?>[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+').match
_cut_escape = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z").match
_scalar_run = re.compile(r"[-+.0-9A-Za-z]*").match
_SCALAR = frozenset("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SPACE = " \t\n\r"

# What may come next.
_VALUE, _FIRST_ITEM, _KEY, _FIRST_KEY, _COLON, _COMMA = range(6)


class JSONText:
    """Find the end of one JSON value.

    Attributes:
        done: Whether the value is complete.
        failed: Whether the text is no JSON. Scalars are not looked at: `oops` and `NaN` pass.

    Example:
        ```python
        from langchain_toolstream.core.markup.json_text import JSONText

        scan = JSONText()
        assert scan.feed('{"a": "}', 0) == 8
        assert not scan.done
        assert scan.feed('"} and more', 0) == 2
        assert scan.done
        ```
    """

    __slots__ = ("_in_key", "_in_scalar", "_in_string", "_next", "_stack", "done", "failed")

    def __init__(self) -> None:
        """Start before the value."""
        self.done = False
        self.failed = False
        self._next = _VALUE
        self._stack: list[str] = []
        self._in_string = False
        self._in_scalar = False
        self._in_key = False

    def feed(self, text: str, at: int) -> int:
        """Read on.

        Args:
            text: A text that goes on where the last one was left.
            at: Where to begin in it.

        Returns:
            How far it was read: to its end, to the end of the value, to what is no JSON, or to an
            escape that is cut and has to be given again, with the rest of it.
        """
        n = len(text)
        while at < n:
            if self._in_string:
                at = _string_run(text, at).end()  # type: ignore[union-attr]
                if at == n:
                    return n
                if text[at] == '"':
                    self._in_string = False
                    at += 1
                    if self._in_key:
                        self._next = _COLON
                    elif self._end_value():
                        return at
                    continue
                self.failed = _cut_escape(text, at) is None
                return at
            if self._in_scalar:
                at = _scalar_run(text, at).end()  # type: ignore[union-attr]
                if at == n:
                    return n
                self._in_scalar = False
                if self._end_value():
                    return at
                continue
            char = text[at]
            state = self._next
            if char in _SPACE:
                at += 1
                continue
            if char == '"' and state < _COLON:
                self._in_string = True
                self._in_key = state in (_KEY, _FIRST_KEY)
            elif char in "{[" and state <= _FIRST_ITEM and len(self._stack) < MAX_DEPTH:
                self._stack.append("}" if char == "{" else "]")
                self._next = _FIRST_KEY if char == "{" else _FIRST_ITEM
            elif (
                char in "}]"
                and state in (_COMMA, _FIRST_KEY, _FIRST_ITEM)
                and self._stack
                and self._stack[-1] == char
            ):
                self._stack.pop()
                if self._end_value():
                    return at + 1
            elif char == "," and state == _COMMA:
                self._next = _KEY if self._stack[-1] == "}" else _VALUE
            elif char == ":" and state == _COLON:
                self._next = _VALUE
            elif char in _SCALAR and state <= _FIRST_ITEM:
                self._in_scalar = True
            else:
                self.failed = True
                return at
            at += 1
        return n

    @property
    def in_bare_scalar(self) -> bool:
        """Whether the value is a number or literal that only what follows can end."""
        return self._in_scalar and not self._stack

    def close(self) -> None:
        """Say that the text ended, which ends a number that stands alone."""
        self.done = self.done or self.in_bare_scalar

    def _end_value(self) -> bool:
        self._next = _COMMA
        self.done = not self._stack
        return self.done
