r"""Characters that come in halves: the escapes of a JSON string, and surrogate pairs.

A piece of text may end inside `\u00e9`, or between the two halves of a character that a server
counts in UTF-16. What is cut waits for the next piece.
"""

import re

_run = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]*').match
_hex_digits = re.compile(r"[0-9a-fA-F]*").match
_has_surrogate = re.compile("[\ud800-\udfff]").search
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_ESCAPE_LENGTH = 6  # \uXXXX
_HIGH, _LOW, _AFTER_LOW = 0xD800, 0xDC00, 0xE000  # the ranges of surrogates


class BadStringError(ValueError):
    """What stands in a JSON string that may not stand there.

    Attributes:
        reason: What is wrong.
        at: Where in the text.
    """

    def __init__(self, reason: str, at: int) -> None:
        """Say what is wrong, and where."""
        super().__init__(reason, at)
        self.reason = reason
        self.at = at


def has_surrogate(text: str) -> bool:
    """Whether a text holds half a character.

    Args:
        text: Any text.
    """
    return not text.isascii() and _has_surrogate(text) is not None


class Halves:
    """Join characters whose two halves came in two pieces, as servers that count UTF-16 send them.

    Attributes:
        held: A first half that waits for the second.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        """Start before the first piece."""
        self.held = ""

    def join(self, text: str) -> str:
        """Take the next piece.

        Args:
            text: The piece.

        Returns:
            What is whole of it, behind what was held back before.
        """
        if not (self.held or has_surrogate(text)):
            return text
        text = self.held + text
        self.held = text[-1] if "\ud800" <= text[-1:] < "\udc00" else ""
        whole = text.removesuffix(self.held)
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def decode(text: str, i: int, parts: list[str]) -> int:
    """Read on in a JSON string.

    Args:
        text: The next piece of the JSON text.
        i: Where in it the string, or the rest of it, begins.
        parts: Gets what the string says, also before a `BadStringError`.

    Returns:
        Where the string's closing quote is, or an escape or character that the piece cuts, or the
        end of the piece.

    Raises:
        BadStringError: The string is wrong.
    """
    n = len(text)
    while i < n:
        end = _run(text, i).end()  # type: ignore[union-attr]
        if end > i:
            parts.append(text[i:end])
            if end == n:
                break
            i = end
        char = text[i]
        if char == '"':
            return i
        if char == "\\":
            if plain := _ESCAPES.get(text[i + 1 : i + 2]):
                parts.append(plain)
                i += 2
                continue
            taken = _escape(text, i, parts)
        elif char < " ":
            msg = f"Raw control character {char!r} in a string; JSON wants it escaped"
            raise BadStringError(msg, i)
        else:
            taken = _raw_surrogate(text, i, parts)
        if not taken:
            return i
        i += taken
    return n


def _escape(text: str, i: int, parts: list[str]) -> int:
    """Decode an escape that is not in `_ESCAPES`. Returns its length, 0 for more text."""
    if i + 1 == len(text):
        return 0
    kind = text[i + 1]
    if kind != "u":
        msg = f"Unknown escape '\\{repr(kind)[1:-1]}' in a string"
        raise BadStringError(msg, i)
    code = _code_unit(text, i)
    if code is None:
        return 0
    if _HIGH <= code < _LOW:
        after = text[i + _ESCAPE_LENGTH : i + _ESCAPE_LENGTH + 2]
        if after in ("", "\\"):
            return 0
        if after == "\\u":
            low = _code_unit(text, i + _ESCAPE_LENGTH)
            if low is None:
                return 0
            if _LOW <= low < _AFTER_LOW:
                parts.append(_join(code, low))
                return 2 * _ESCAPE_LENGTH
    parts.append(chr(code))
    return _ESCAPE_LENGTH


def _code_unit(text: str, i: int) -> int | None:
    digits = text[i + 2 : i + _ESCAPE_LENGTH]
    known = _hex_digits(digits).end()  # type: ignore[union-attr]
    if known == _ESCAPE_LENGTH - 2:
        return int(digits, 16)
    if i + 2 + known == len(text):
        return None
    msg = f"'\\u' wants four hexadecimal digits, got {digits[: known + 1]!r}"
    raise BadStringError(msg, i)


def _raw_surrogate(text: str, i: int, parts: list[str]) -> int:
    """Join the two halves of a character. Returns the length taken, 0 for more text."""
    if text[i] < "\udc00":
        if i + 1 == len(text):
            return 0
        if "\udc00" <= text[i + 1] <= "\udfff":
            parts.append(_join(ord(text[i]), ord(text[i + 1])))
            return 2
    parts.append(text[i])
    return 1


def _join(high: int, low: int) -> str:
    return chr(0x10000 + ((high - _HIGH) << 10) + (low - _LOW))
