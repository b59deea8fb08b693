"""What was known of a value that is being written, at one moment."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.core.json import JSONStream
from langchain_toolstream.views.places import Container, Items, Kind, Tagged

UNKNOWN: Any = object()
"""There is no value yet. `None` would be one."""


class Place(NamedTuple):
    """Where a value stands, or is being written."""

    key: Any
    name: Any = None
    """By which the container wants what is made of the value."""
    kind: Kind | None = None
    """What the value has to be; `None`: nobody knows."""


NOWHERE = Place(None)


class Level:
    """An object or list that is open, or was."""

    __slots__ = (
        "container", "is_broken", "is_known", "outer", "outer_known", "outer_raw", "place", "raw",
        "typed",
    )  # fmt: skip

    def __init__(
        self, outer: "Level | None", place: Place, container: Container | None, raw: Any
    ) -> None:
        self.outer = outer
        # Nothing comes into the outer one while this one is open.
        self.outer_raw = 0 if outer is None else len(outer.raw)
        self.outer_known = 0 if outer is None else len(outer.typed)
        self.place = place
        self.container = container  # what it is shown as
        self.is_known = container is not None and type(container) is not Tagged
        self.is_broken = False  # whether something inside does not fit
        self.raw: Any = raw
        self.typed: Any = type(raw)()

    @property
    def path(self) -> JSONPath:
        """Where it stands."""
        steps: list[Any] = []
        level: Level | None = self
        while level is not None and level.outer is not None:
            steps.append(level.place.key)
            level = level.outer
        return tuple(reversed(steps))

    @property
    def is_made(self) -> bool:
        """Whether it is a list that its items make, and all of them have been made."""
        container = self.container
        return type(container) is Items and container.plain and len(self.typed) == len(self.raw)

    def make(self, count: int, place: Place, inner: Any) -> Any:
        """Make of the first of what is known inside, and of what is open, what this will be."""
        container = self.container
        if container is None or not self.is_known:
            return UNKNOWN
        shown = _first(self.typed, count)
        if inner is not UNKNOWN:
            put(shown, place.name, inner)
        return container.make(shown)


class Text:
    """A string that is open, or was."""

    __slots__ = ("_stream", "is_shown", "place", "whole")

    def __init__(self, place: Place, stream: JSONStream) -> None:
        self._stream = stream
        self.place = place
        self.is_shown = place.kind is not None and place.kind.grows
        self.whole: str | None = None

    def first(self, length: int) -> str:
        """Give the first characters."""
        whole = self._stream.open_text if self.whole is None else self.whole
        return whole if len(whole) == length else whole[:length]


@dataclass(slots=True, eq=False, repr=False)
class Moment:
    """What was known of a value at one moment; of its open string, the length has to be given."""

    _level: Level | None
    _raw: int
    _known: int
    _text: Text | None
    _whole: Any
    _made: Any

    def value(self, length: int) -> Any:
        """Put together what JSON makes of the value so far; `None` before it began."""
        if self._whole is not UNKNOWN:
            return self._whole
        level, text = self._level, self._text
        if level is None:
            return None if text is None else text.first(length)
        value: Any = _first(level.raw, self._raw)
        if text is not None:
            put(value, text.place.key, text.first(length))
        while level.outer is not None:
            outer: Any = _first(level.outer.raw, level.outer_raw)
            put(outer, level.place.key, value)
            value, level = outer, level.outer
        return value

    def made(self, length: int) -> Any:
        """Put together what the schema makes of the value so far; `None`: nothing yet."""
        if self._made is not UNKNOWN:
            return self._made
        level = self._level
        text = self._text
        if level is None:
            shown = text is not None and text.is_shown
            return text.first(length) if text is not None and shown else None
        place, made = NOWHERE, UNKNOWN
        if text is not None and text.is_shown:
            place, made = text.place, text.first(length)
        made = level.make(self._known, place, made)
        while level.outer is not None:
            made = level.outer.make(level.outer_known, level.place, made)
            level = level.outer
        return None if made is UNKNOWN else made

    def finished(self, length: int) -> "FinishedPaths":
        """Tell which paths hold what will not change any more."""
        if self._whole is not UNKNOWN:
            return FinishedPaths(self._whole, None)
        open_path: JSONPath = () if self._level is None else self._level.path
        if self._text is not None and self._level is not None:
            open_path = (*open_path, self._text.place.key)
        return FinishedPaths(self.value(length), open_path)


class FinishedPaths(AbstractSet[JSONPath]):
    """The paths of the values that will not change any more, as a set.

    Nothing is listed before somebody asks: whatever is known and does not lie on the way to the
    value that is being written is finished.

    Args:
        value: What is known.
        open_path: Where it is being written; `None` when it is finished.
    """

    __slots__ = ("_open", "_value")

    def __init__(self, value: Any, open_path: JSONPath | None) -> None:
        """Keep what the set is made from."""
        self._value = value
        self._open = open_path

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, tuple):
            return False
        if self._open is not None and path == self._open[: len(path)]:
            return False
        value: Any = self._value
        for step in path:
            place: Any = step
            known: Any = value if isinstance(value, dict) else ()
            if isinstance(value, list) and type(step) is int:
                known = range(len(value))
            if place not in known:
                return False
            value = value[place]
        return True

    def __iter__(self) -> Iterator[JSONPath]:
        waiting: list[tuple[JSONPath, Any]] = [((), self._value)]
        while waiting:
            path, value = waiting.pop()
            if self._open is None or path != self._open[: len(path)]:
                yield path
            steps: Iterable[tuple[Any, Any]] = ()
            if isinstance(value, dict):
                steps = value.items()
            elif isinstance(value, list):
                steps = enumerate(value)
            waiting += reversed([((*path, step), inner) for step, inner in steps])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(format_path, self))}}}"

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        return set(it)


def _first(values: Any, count: int) -> Any:
    """Copy the first of some values that only ever become more."""
    if len(values) == count:
        return values.copy()
    if type(values) is list:
        return values[:count]
    return dict(islice(list(values.items()), count))


def put(container: Any, key: Any, value: Any) -> None:
    """Put a value into an object, or at the end of a list."""
    if type(container) is list:
        container.append(value)
    else:
        container[key] = value
