"""A JSON value while it grows, as what its schema makes of it, at any moment.

`Growth.feed` takes the events of a `JSONStream`; `moment` says what is known then. A moment is
taken in constant time and stays as it is: values only ever come behind those that are there, so it
keeps how far each open object and list had come, and puts them together when somebody asks. What
is closed is shared by all moments and not copied; the open objects and lists are. While nothing
but a string grows, all moments are one, and only the string's length tells them apart.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from pydantic import ValidationError

from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.core.json import JSONEvent, JSONStream
from langchain_toolstream.schema.tool_schema import checking, describe, first_place
from langchain_toolstream.views.places import Container, Items, Kind, Refusal, Tagged

UNKNOWN: Any = object()
"""There is no value yet. `None` would be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a value cannot become what its schema asks for."""

    path: JSONPath
    reason: str
    """With the place in it."""


class _Place(NamedTuple):
    """Where a value stands, or is being written."""

    key: Any
    name: Any = None
    """By which the container wants what is made of the value."""
    kind: Kind | None = None
    """What the value has to be; `None`: nobody knows."""


_NOWHERE = _Place(None)


class _Level:
    """An object or list that is open, or was."""

    __slots__ = (
        "container", "is_known", "outer", "outer_known", "outer_raw", "place", "raw", "typed",
    )  # fmt: skip

    def __init__(
        self, outer: "_Level | None", place: _Place, container: Container | None, raw: Any
    ) -> None:
        self.outer = outer
        # Nothing comes into the outer one while this one is open.
        self.outer_raw = 0 if outer is None else len(outer.raw)
        self.outer_known = 0 if outer is None else len(outer.typed)
        self.place = place
        self.container = container  # what it is shown as
        self.is_known = container is not None and type(container) is not Tagged
        self.raw: Any = raw
        self.typed: Any = type(raw)()

    @property
    def path(self) -> JSONPath:
        steps: list[Any] = []
        level: _Level | None = self
        while level is not None and level.outer is not None:
            steps.append(level.place.key)
            level = level.outer
        return tuple(reversed(steps))

    @property
    def is_made(self) -> bool:
        """Whether it is a list that its items make, and all of them have been made."""
        container = self.container
        return type(container) is Items and container.plain and len(self.typed) == len(self.raw)

    def make(self, count: int, place: _Place, inner: Any) -> Any:
        """Make of the first of what is known inside, and of what is open, what this will be."""
        container = self.container
        if container is None or not self.is_known:
            return UNKNOWN
        shown = _first(self.typed, count)
        if inner is not UNKNOWN:
            _put(shown, place.name, inner)
        return container.make(shown)


class _Text:
    """A string that is open, or was."""

    __slots__ = ("is_shown", "place", "whole")

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.is_shown = place.kind is not None and place.kind.grows
        self.whole: str | None = None


class Growth:
    """A value that is being written.

    Args:
        root: What it has to be; `None`: nobody knows.
        stream: What reads the value, for the string that is open.
        forbidden: Names at the root that nobody may write, and why.

    Attributes:
        length: How far the open string has come.
        problem: Why the value cannot become what it has to be, from the moment that is known.
        watch: Is told the path of each value that is finished and fits, and what was made of it.
    """

    def __init__(
        self,
        root: Kind | None,
        stream: JSONStream,
        *,
        forbidden: Callable[[Any], str | None] = lambda _: None,
    ) -> None:
        """Start before the first character."""
        self.length = 0
        self.problem: Problem | None = None
        self.watch: Callable[[JSONPath, Any], None] | None = None
        self._root = root
        self._stream = stream
        self._forbidden = forbidden
        self._level: _Level | None = None
        self._text: _Text | None = None
        self._whole: Any = UNKNOWN  # the value, when it is finished
        self._made: Any = UNKNOWN  # and what the schema made of it
        self._last: _Level | None = None  # the outermost level, when it is finished
        self._moment: Moment | None = None  # if it has been asked for

    def feed(self, events: Iterable[JSONEvent]) -> None:
        """Take what became known."""
        for kind, path, value in events:
            if kind == "delta":
                self.length += len(value)
                continue
            self._moment = None
            if kind == "start":
                self._start(path, value)
            else:
                self._finish(path, value)

    @property
    def shows_text(self) -> bool:
        """Whether a string is being written that is shown while it grows."""
        return self._text is not None and self._text.is_shown

    def complete(self, value: Any) -> None:
        """Take the whole value, if it has not come already."""
        if self._whole is UNKNOWN:
            self.feed([("start", (), type(value)()), ("finish", (), value)])

    def moment(self) -> "Moment":
        """Say what is known now, but for `length`."""
        if self._moment is None:
            level = self._level or self._last
            self._moment = Moment(
                self,
                level,
                0 if level is None else len(level.raw),
                0 if level is None else len(level.typed),
                self._text,
                self._whole,
                self._made,
            )
        return self._moment

    def value(self) -> Any:
        """What `Moment.value` gives of now."""
        return self.moment().value(self.length)

    def made(self) -> Any:
        """What `Moment.made` gives of now."""
        return self.moment().made(self.length)

    def as_if_closed(self, close: Callable[[Any], Any]) -> Any:
        """Make what the schema would make of the value if all that is open were closed now.

        Args:
            close: Makes of what is known of an object or list what it would be; `UNKNOWN` if
                something is missing.

        Returns:
            The value; `UNKNOWN` where the schema would refuse it, or only the whole could tell.
        """
        level, text = self._level, self._text
        if self._whole is not UNKNOWN or level is None or self.problem is not None:
            return self._made
        place, made = _NOWHERE, UNKNOWN
        if text is not None:
            place = text.place
            made = self._tried(place, self.text(text, self.length))
        known = len(level.typed)
        while level is not None:
            kind = level.place.kind
            is_missing = made is UNKNOWN and place is not _NOWHERE
            if is_missing or not (level.is_known and kind and kind.is_bare):
                return UNKNOWN
            made = close(level.make(known, place, made))
            place, known, level = level.place, level.outer_known, level.outer
        return made

    def text(self, text: _Text, length: int) -> str:
        """Give the first characters of a string that is open, or was."""
        whole = self._stream.open_text if text.whole is None else text.whole
        return whole if len(whole) == length else whole[:length]

    def refuse(self, path: JSONPath, reason: str) -> None:
        """Take the value for none. The first reason counts."""
        if self.problem is None:
            self.problem = Problem(path=path, reason=f"{reason} at {format_path(path)}")

    def _tried(self, place: _Place, value: Any) -> Any:
        """Make of a value what it would be at its place; `UNKNOWN` if it may not stand there."""
        try:
            return UNKNOWN if place.kind is None else place.kind.validate(value)
        except Exception:  # noqa: BLE001 - a validator of the user's may raise anything
            return UNKNOWN

    def _start(self, path: JSONPath, empty: Any) -> None:
        place = self._place(path)
        if type(empty) is str:
            self._text = _Text(place)
            self.length = 0
            return
        container = None if place.kind is None else place.kind.opened(empty)
        self._level = _Level(self._level, place, container, empty)

    def _place(self, path: JSONPath) -> _Place:
        """Find what may stand at a path, unless it is known already that the whole is wrong."""
        key = path[-1] if path else None
        level = self._level
        if level is None:
            return _Place(key, key, self._root)
        if self.problem is not None or level.container is None:
            return _Place(key)
        if len(path) == 1 and (reason := self._forbidden(key)):
            self.refuse(path, reason)
            return _Place(key)
        try:
            return _Place(key, *level.container.place(key))
        except Refusal as refusal:
            self.refuse(path, refusal.reason)
            return _Place(key)

    def _finish(self, path: JSONPath, value: Any) -> None:
        closed = None
        if type(value) is str and self._text is not None:
            place = self._text.place
            self._text.whole = value
            self._text = None
        elif type(value) in (dict, list) and self._level is not None:
            closed = self._level
            place = closed.place
            self._level = closed.outer
        else:
            place = self._place(path)
        made = UNKNOWN
        if place.kind is not None and self.problem is None:
            if closed is not None and closed.is_made:
                made = closed.typed
            else:
                made = self._validated(place.kind, value, path)
            if self.watch is not None and made is not UNKNOWN:
                self.watch(path, made)
        outer = self._level
        if outer is None:
            self._whole, self._made, self._last = value, made, closed
            return
        _put(outer.raw, place.key, value)
        if made is not UNKNOWN:
            _put(outer.typed, place.name, made)
        if type(outer.container) is Tagged and place.key == outer.container.discriminator:
            self._level = self._told(outer)

    def _validated(self, kind: Kind, value: Any, path: JSONPath) -> Any:
        token = checking.set(True)
        try:
            return kind.validate(value)
        except ValidationError as error:
            if self.problem is None:
                place = first_place(error, value, at=path)
                self.problem = Problem(path=place, reason=describe(error, value, at=path))
        except Exception:  # noqa: BLE001, S110 - a validator of the user's may raise anything
            pass  # When the whole is validated, it raises again, and is told of.
        finally:
            checking.reset(token)
        return UNKNOWN

    def _told(self, level: _Level) -> _Level:
        """Begin anew with an object that has said what it is."""
        raw: Any = level.raw
        container = level.container
        while type(container) is Tagged and container.discriminator in raw:
            tag = container.discriminator
            try:
                container = container.chosen(raw[tag])
            except Refusal as refusal:
                self.refuse((*level.path, tag), refusal.reason)
                return level
        told = _Level(level.outer, level.place, container, raw)
        if container is None or type(container) is Tagged:
            return told
        for key, value in raw.items():
            path = (*level.path, key)
            try:
                name, kind = container.place(key)
            except Refusal as refusal:
                self.refuse(path, refusal.reason)
                break
            if kind is not None:
                known = self._validated(kind, value, path)
                if known is not UNKNOWN:
                    _put(told.typed, name, known)
        return told


@dataclass(slots=True, eq=False, repr=False)
class Moment:
    """What was known of a value at one moment; of its open string, the length has to be given."""

    _growth: Growth
    _level: _Level | None
    _raw: int
    _known: int
    _text: _Text | None
    _whole: Any
    _made: Any

    def value(self, length: int) -> Any:
        """Put together what JSON makes of the value so far; `None` before it began."""
        if self._whole is not UNKNOWN:
            return self._whole
        level, text = self._level, self._text
        if level is None:
            return None if text is None else self._growth.text(text, length)
        value: Any = _first(level.raw, self._raw)
        if text is not None:
            _put(value, text.place.key, self._growth.text(text, length))
        while level.outer is not None:
            outer: Any = _first(level.outer.raw, level.outer_raw)
            _put(outer, level.place.key, value)
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
            return self._growth.text(text, length) if text is not None and shown else None
        place, made = _NOWHERE, UNKNOWN
        if text is not None and text.is_shown:
            place, made = text.place, self._growth.text(text, length)
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


def _put(container: Any, key: Any, value: Any) -> None:
    if type(container) is list:
        container.append(value)
    else:
        container[key] = value
