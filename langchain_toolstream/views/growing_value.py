"""A JSON value while it grows, as what its schema makes of it, at any moment.

`Growth.feed` takes the events of a `JSONStream`; `moment` says what is known then. A moment is
taken in constant time and stays as it is: values only ever come behind those that are there, so it
keeps how far each open object and list had come, and puts them together when somebody asks. What
is closed is shared by all moments and not copied; the open objects and lists are. While nothing
but a string grows, all moments are one, and only the string's length tells them apart.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.core.json import JSONEvent, JSONStream
from langchain_toolstream.schema.json_schema import STEPS_FOR_A_VALUE, bounded_steps, steps_for
from langchain_toolstream.schema.problems import describe, first_place
from langchain_toolstream.schema.tool_schema import checking
from langchain_toolstream.views.moment import NOWHERE, UNKNOWN, Level, Moment, Place, Text, put
from langchain_toolstream.views.places import Kind, Refusal, Tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a value cannot become what its schema asks for."""

    path: JSONPath
    reason: str
    """With the place in it."""


class Growth:
    """A value that is being written.

    Args:
        root: What it has to be; `None`: nobody knows.
        stream: What reads the value, for the string that is open.
        forbidden: Names at the root that nobody may write, and why.
        goes_on: Whether what comes after a value that does not fit is still typed and validated.

    Attributes:
        length: How far the open string has come.
        problems: All that is known to be wrong, where it goes on; else the first.
        watch: Is told the path of each value that is finished and fits, and what was made of it.
    """

    def __init__(
        self,
        root: Kind | None,
        stream: JSONStream,
        *,
        forbidden: Callable[[Any], str | None] = lambda _: None,
        goes_on: bool = False,
    ) -> None:
        """Start before the first character."""
        self.length = 0
        self.problems: list[Problem] = []
        self.watch: Callable[[JSONPath, Any], None] | None = None
        self._root = root
        self._steps = [steps_for(None)]
        self._stream = stream
        self._forbidden = forbidden
        self._goes_on = goes_on
        self._level: Level | None = None
        self._text: Text | None = None
        self._whole: Any = UNKNOWN  # the value, when it is finished
        self._made: Any = UNKNOWN  # and what the schema made of it
        self._last: Level | None = None  # the outermost level, when it is finished
        self._moment: Moment | None = None  # if it has been asked for

    def feed(self, events: Iterable[JSONEvent]) -> None:
        """Take what became known."""
        for kind, path, value in events:
            if kind == "delta":
                self.length += len(value)
                continue
            self._steps[0] += STEPS_FOR_A_VALUE
            self._moment = None
            if kind == "start":
                self._start(path, value)
            else:
                self._finish(path, value)

    @property
    def problem(self) -> Problem | None:
        """Why the value cannot become what it has to be; the first reason counts."""
        return self.problems[0] if self.problems else None

    @property
    def _gave_up(self) -> bool:
        return bool(self.problems) and not self._goes_on

    @property
    def shows_text(self) -> bool:
        """Whether a string is being written that is shown while it grows."""
        return self._text is not None and self._text.is_shown

    def complete(self, value: Any) -> bool:
        """Take the whole value. Returns whether it had not come already."""
        if self._whole is not UNKNOWN:
            return False
        self.feed(_events_of(value))
        return True

    def moment(self) -> "Moment":
        """Say what is known now, but for `length`."""
        if self._moment is None:
            level = self._level or self._last
            self._moment = Moment(
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
        place, made = NOWHERE, UNKNOWN
        if text is not None:
            place = text.place
            made = self._tried(place, text.first(self.length))
        known = len(level.typed)
        while level is not None:
            kind = level.place.kind
            is_missing = made is UNKNOWN and place is not NOWHERE
            if is_missing or not (level.is_known and kind and kind.is_bare):
                return UNKNOWN
            made = close(level.make(known, place, made))
            place, known, level = level.place, level.outer_known, level.outer
        return made

    def refuse(self, path: JSONPath, reason: str) -> None:
        """Take the value for invalid."""
        self._add(Problem(path=path, reason=f"{reason} at {format_path(path)}"))

    def _add(self, problem: Problem) -> None:
        if not self._gave_up:
            self.problems.append(problem)
        level = self._level
        while level is not None and not level.is_broken:
            level.is_broken = True
            level = level.outer

    def _tried(self, place: Place, value: Any) -> Any:
        """Make of a value what it would be at its place; `UNKNOWN` if it may not stand there."""
        try:
            return UNKNOWN if place.kind is None else place.kind.validate(value)
        except Exception:  # noqa: BLE001 - a validator of the user's may raise anything
            return UNKNOWN

    def _start(self, path: JSONPath, empty: Any) -> None:
        place = self._place(path)
        if type(empty) is str:
            self._text = Text(place, self._stream)
            self.length = 0
            return
        container = None if place.kind is None else place.kind.opened(empty)
        self._level = Level(self._level, place, container, empty)

    def _place(self, path: JSONPath) -> Place:
        """Find what may stand at a path, unless it is known already that the whole is wrong."""
        key = path[-1] if path else None
        level = self._level
        if level is None:
            return Place(key, key, self._root)
        if self._gave_up or level.container is None:
            return Place(key)
        if len(path) == 1 and (reason := self._forbidden(key)):
            self.refuse(path, reason)
            return Place(key)
        try:
            return Place(key, *level.container.place(key))
        except Refusal as refusal:
            self.refuse(path, refusal.reason)
            return Place(key)

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
        is_broken = closed is not None and closed.is_broken
        if place.kind is not None and not self._gave_up and not is_broken:
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
        put(outer.raw, place.key, value)
        if made is not UNKNOWN:
            put(outer.typed, place.name, made)
        if type(outer.container) is Tagged and place.key == outer.container.discriminator:
            self._level = self._restarted(outer)
            self._level.is_broken = outer.is_broken

    def _validated(self, kind: Kind, value: Any, path: JSONPath) -> Any:
        token = checking.set(True)
        try:
            with bounded_steps(self._steps):
                return kind.validate(value)
        except ValidationError as error:
            place = first_place(error, value, at=path)
            self._add(Problem(path=place, reason=describe(error, value, at=path)))
        except Exception:  # noqa: BLE001, S110 - a validator of the user's may raise anything
            pass  # When the whole is validated, it raises again, and is told of.
        finally:
            checking.reset(token)
        return UNKNOWN

    def _restarted(self, level: Level) -> Level:
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
        restarted = Level(level.outer, level.place, container, raw)
        if container is None or type(container) is Tagged:
            return restarted
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
                    put(restarted.typed, name, known)
        return restarted


def _events_of(value: Any, path: JSONPath = ()) -> Iterator[JSONEvent]:
    """What a `JSONStream` would say of a value, but for the pieces of strings."""
    if isinstance(value, dict | list):
        yield "start", path, type(value)()
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _events_of(inner, (*path, step))
    yield "finish", path, value
