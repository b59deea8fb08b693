"""Text that a tool reads while the model writes it.

No I/O and no loop of its own: who writes wakes who reads, in whatever thread or event loop it is.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Generic, Self, TypeVar, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, SchemaSerializer, core_schema

from langchain_toolstream.core.errors import CallRevokedError

T = TypeVar("T", bound=str)


class Streamed(Generic[T]):
    """A string argument that a tool reads while the model writes it: `content: Streamed[str]`.

    The tool starts as soon as all its other arguments, optional ones too, are complete, and reads
    the text by `for` or `async for`, in pieces. The pieces end when the call is confirmed, so not
    before the message has ended. **Until then a tool must do nothing lasting**: if the call turns
    out to be none, because it was cut off, contradicted or does not fit, the iteration raises
    `CallRevokedError`, and the tool takes back what it did.

    Behind a model that does not stream, in `invoke`, or called by hand with a `str`, the text comes
    in one piece. Each iteration begins at the beginning; all text is kept.

    Example:
        ```python
        from langchain_toolstream import Streamed, ToolSet

        def shout(text: Streamed[str]) -> str:
            \"\"\"Say something loudly.\"\"\"
            return "".join(piece.upper() for piece in text)

        call = {"name": "shout", "args": {"text": "hello"}, "id": "call_1", "type": "tool_call"}
        assert ToolSet([shout]).invoke(call).content == "HELLO"
        ```
    """

    def __init__(self, text: str | None = None) -> None:
        """Start with the whole text, or before its first piece."""
        self._pieces = [] if text is None else [text]
        self._ended = text is not None
        self._error: str | None = None
        self._changed = threading.Condition()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def ended(self) -> bool:
        """Whether the text is whole, and its call confirmed."""
        return self._ended

    @property
    def error(self) -> str | None:
        """Why there was no call after all; `None` while there may be one."""
        return self._error

    def feed(self, piece: str) -> None:
        """Add a piece; for whoever writes.

        Args:
            piece: The next piece of the text.
        """
        with self._changed:
            if piece:
                self._pieces.append(piece)
            self._wake()

    def end(self) -> None:
        """Say that the text is whole and its call confirmed; for whoever writes."""
        with self._changed:
            self._ended = self._error is None
            self._wake()

    def fail(self, error: str) -> None:
        """Say that there was no call after all; for whoever writes.

        Args:
            error: What is wrong with it.
        """
        with self._changed:
            if not self._ended and self._error is None:
                self._error = error
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for loop, future in self._waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set, future)
        self._waiting.clear()

    def _read(self, at: int) -> tuple[str, int, bool]:
        """What came since the `at`-th piece, how many pieces there are, and whether that is all."""
        if self._error is not None:
            raise CallRevokedError(self._error)
        return "".join(self._pieces[at:]), len(self._pieces), self._ended

    def __iter__(self) -> Iterator[str]:
        """Read the text while it is written.

        Raises:
            CallRevokedError: There was no call after all.
            RuntimeError: In a coroutine, which has to use `async for`.
        """
        at, ended = 0, False
        while not ended:
            with self._changed:
                piece, at, ended = self._read(at)
                if not (piece or ended):
                    if _runs_event_loop():
                        msg = "In a coroutine, read a Streamed argument by `async for`."
                        raise RuntimeError(msg)
                    self._changed.wait()
            if piece:
                yield piece

    async def __aiter__(self) -> AsyncIterator[str]:
        """Read the text while it is written, as `__iter__` does."""
        at, ended = 0, False
        while not ended:
            waiting = None
            with self._changed:
                piece, at, ended = self._read(at)
                if not (piece or ended):
                    loop = asyncio.get_running_loop()
                    waiting = loop.create_future()
                    self._waiting.append((loop, waiting))
            if waiting is not None:
                await waiting
            if piece:
                yield piece

    def __eq__(self, other: object) -> bool:
        """Be equal to the same text, so that a call is equal to itself when it is whole."""
        if isinstance(other, str | Streamed):
            return str(self) == str(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """The text as far as it has come."""
        return "".join(self._pieces)

    def __repr__(self) -> str:
        """The beginning of the text, and whether more may come."""
        text = str(self)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        return f"Streamed({shown!r}{'' if self._ended else ', going on'})"

    def __copy__(self) -> Self:
        """Be one's own copy: text is only added, and whoever reads it, reads all of it."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Be one's own copy, as in `__copy__`."""
        del memo
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the whole text.

        Raises:
            TypeError: The text is not whole, and may never be.
        """
        if not self._ended:
            msg = f"{self!r} cannot be pickled before it is whole. Take str(...) of it."
            raise TypeError(msg)
        return type(self), (str(self),)

    __pydantic_serializer__: ClassVar[SchemaSerializer]
    """As text in the JSON of whatever holds it, such as a message with its call."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate a text, whole or going on."""
        del source, handler
        return _SCHEMA

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the model a string."""
        del schema, handler
        return {"type": "string"}


_SHOWN = 60


def _take(value: Any) -> "Streamed[str]":
    if isinstance(value, Streamed):
        return value
    if isinstance(value, str):
        return Streamed(value)
    kind = "string_type"
    raise PydanticCustomError(kind, "Input should be a valid string")


STREAMED = "langchain_toolstream_streamed"
"""In the metadata of a `Streamed` in a core schema: to whoever shows it, it is a string."""

_SCHEMA = core_schema.no_info_plain_validator_function(
    _take,
    metadata={STREAMED: True},
    serialization=core_schema.to_string_ser_schema(when_used="json"),
)
Streamed.__pydantic_serializer__ = SchemaSerializer(_SCHEMA)


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _runs_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def streamed_argument(
    model: type[BaseModel], *, given: AbstractSet[str] = frozenset()
) -> tuple[str, frozenset[str]] | None:
    """Find the argument that a tool reads while it is written.

    Args:
        model: The model of what the tool is called with.
        given: Fields that the application gives.

    Returns:
        The name of the argument and those of all others, or `None`.

    Raises:
        ValueError: There are two; while one is being written, the other is not there. Or it is
            bounded; the bounds would be held against a text that is not there yet.
    """
    written = {name: field for name, field in model.model_fields.items() if name not in given}
    names = {name: field.alias or name for name, field in written.items()}
    fields = {names[n]: field for n, field in written.items() if _is_streamed(field.annotation)}
    streamed = list(fields)
    for name, field in fields.items():
        bounds = [one for one in field.metadata if isinstance(one, BaseMetadata | GroupedMetadata)]
        if bounds:
            msg = f"{name!r} is Streamed, so its tool has to check it: {bounds[0]!r} cannot."
            raise ValueError(msg)
    if len(streamed) > 1:
        msg = f"A tool can read one argument while it is written, not {', '.join(streamed)}."
        raise ValueError(msg)
    return (streamed[0], frozenset(names.values()) - {streamed[0]}) if streamed else None


def _is_streamed(annotation: Any) -> bool:
    if annotation is Streamed or get_origin(annotation) is Streamed:
        return True
    return any(map(_is_streamed, get_args(annotation)))
