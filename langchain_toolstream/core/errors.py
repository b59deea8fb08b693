"""What can go wrong in a stream, as exceptions.

```text
ToolStreamError
├── JSONStreamError (ValueError)       the text is not one strict JSON value
│   ├── JSONSyntaxError                a character that may not stand where it stands
│   ├── JSONIncompleteError            the text ended before the value did
│   └── JSONLimitError                 deeper, longer or wider than we are willing to read
├── CallRevokedError                   a tool was reading the text of a call that is none
└── StreamInterruptedError             the server did not finish the message
    ├── ServerStreamError              it said so: an error event, or an event that is no JSON
    └── IncompleteStreamError          it just stopped (no finish reason), or another one followed
```

A `JSONStreamError` is the model's mistake: `ToolCallAssembler` turns it into a `ToolCallInvalid`
event and never lets it out. A `StreamInterruptedError` is the server's, and always raised: nothing
of the message is confirmed.
"""

from collections.abc import Mapping
from typing import Any

JSONPath = tuple[str | int, ...]


_MAX_QUOTED, _MAX_PATH = 60, 300


def quoted(text: str, limit: int = _MAX_QUOTED) -> str:
    """Quote the beginning of a text from outside: what cannot be printed is escaped.

    Args:
        text: The text.
        limit: How many characters of it are shown.
    """
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}..."


def printable(text: str, limit: int) -> str:
    """The beginning of a text from outside, on one line: what cannot be printed is escaped.

    Args:
        text: Of any length.
        limit: How many characters of it are shown.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)


def format_path(path: JSONPath) -> str:
    """Write a path the way JSONPath does.

    Args:
        path: Keys and indexes from the root.

    Returns:
        The path as text, `$` for the root; of long keys and paths the beginning.

    Example:
        ```python
        from langchain_toolstream.core.errors import format_path

        assert format_path(("items", 2, "unit price")) == "$.items[2]['unit price']"
        ```
    """
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif len(step) <= _MAX_QUOTED and step.isidentifier():
            parts.append(f".{step}")
        else:
            parts.append(f"[{quoted(step)}]")
    text = "".join(parts)
    return text if len(text) <= _MAX_PATH else f"{text[:_MAX_PATH]}..."


class ToolStreamError(Exception):
    """Whatever this package raises about a stream."""


class JSONStreamError(ToolStreamError, ValueError):
    """The text is not one strict JSON value.

    Attributes:
        reason: What is wrong, without the place.
        path: Where in the value.
        position: How many characters came before it.
    """

    def __init__(self, reason: str, *, path: JSONPath, position: int) -> None:
        """Say what is wrong and where."""
        super().__init__(reason, path, position)
        self.reason = reason
        self.path = path
        self.position = position

    def __str__(self) -> str:
        """The reason with its place in the value and in the text."""
        return f"{self.reason} at {format_path(self.path)} (character {self.position})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling, keyword-only arguments included."""
        return _rebuild, (type(self), self.reason, self.path, self.position)


def _rebuild(
    kind: type[JSONStreamError], reason: str, path: JSONPath, position: int
) -> JSONStreamError:
    return kind(reason, path=path, position=position)


class JSONSyntaxError(JSONStreamError):
    """A character that strict JSON does not allow where it stands."""


class JSONIncompleteError(JSONStreamError):
    """The text ended before the value did: cut, not wrong."""


class JSONLimitError(JSONStreamError):
    """Deeper, longer or wider than we are willing to read."""


class CallRevokedError(ToolStreamError):
    """A tool was reading an argument while it was written, and there was no call after all.

    Raised inside the tool, which takes back what it did; whatever it returns is dropped.
    """


class StreamInterruptedError(ToolStreamError):
    """The server did not finish the message, so no call of it is confirmed.

    Attributes:
        partial_message: What had arrived, where the raiser builds messages (`ChatVLLM` does: an
            `AIMessage` whose unfinished calls are in `invalid_tool_calls`), else `None`.
    """

    partial_message: Any = None


class ServerStreamError(StreamInterruptedError):
    """The server reported an error after it had answered 200, or sent an event that is no JSON.

    vLLM sends `data: {"error": {"message", "type", "code"}}`, older releases
    `data: {"object": "error", "message": ...}`, FastAPI `{"detail": ...}`, proxies a plain string.

    Attributes:
        message: The server's words.
        code: Its code, mostly an HTTP status.
        type: Its name for the error.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> None:
        """Take the server's words as they are."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.type = type

    def __str__(self) -> str:
        """The server's words, with its code and type."""
        known = (part for part in (self.code, self.type) if part is not None)
        detail = ", ".join(printable(str(part), _MAX_QUOTED) for part in known)
        return (
            f"The server broke off its answer{f' ({detail})' if detail else ''}: "
            f"{self.message or 'it gave no reason'}"
        )

    @classmethod
    def from_event(cls, error: object) -> "ServerStreamError":
        """Read an error in any of the shapes that servers send.

        Args:
            error: A mapping with `message`, `type` and `code`, all optional, or anything else,
                which is then the message.
        """
        inner = error_in(error)
        if inner is not None and inner is not error:
            return cls.from_event(inner)
        if not isinstance(error, Mapping):
            return cls(shortened(str(error)))
        code, kind = error.get("code"), error.get("type")
        others = {name: said for name, said in error.items() if said and name not in _NO_WORDS}
        words = error.get("message") or error.get("detail") or others
        return cls(
            shortened(str(words or "")),
            code=code if isinstance(code, int | str) and not isinstance(code, bool) else None,
            type=kind if isinstance(kind, str) else None,
        )


_MAX_WORDS = 500
_NO_WORDS = ("code", "type", "object")


def shortened(text: str) -> str:
    """The beginning of a text that came from outside, for an error message.

    Args:
        text: Of any length.
    """
    return printable(text, _MAX_WORDS)


def error_in(chunk: object) -> object:
    """The error that a chunk holds, in any of the shapes that servers send.

    Args:
        chunk: The JSON of an event, or of one of its choices.

    Returns:
        What the server says of the error, `None` where there is none.
    """
    if type(chunk) is not dict and not isinstance(chunk, Mapping):
        return None
    if error := chunk.get("error"):
        return error
    if chunk.get("object") == "error" or ("detail" in chunk and "choices" not in chunk):
        return chunk
    return None


class IncompleteStreamError(StreamInterruptedError):
    """The answer is not whole.

    The stream ended and no finish reason had come (a dropped connection, a dead worker), or another
    answer went on in its place.
    """
