"""Feed one text in every way it can be cut, and compare what comes out."""

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from langchain_toolstream.core.errors import JSONPath, JSONStreamError
from langchain_toolstream.core.json import JSONEvent, JSONStream


def chunkings(text: str) -> Iterator[list[str]]:
    """Cut a text: not at all, at every character, at every position, with nothing in between."""
    yield [text]
    yield list(text)
    yield from ([text[:i], text[i:]] for i in range(1, len(text)))
    yield [piece for char in text for piece in ("", char)]


@dataclass(frozen=True)
class Reading:
    """What a stream made of a text."""

    events: list[JSONEvent]
    error: JSONStreamError | None
    closed: bool  # before `close()` was called
    unused: str

    @property
    def value(self) -> Any:
        """The root, as the last event has it."""
        return self.events[-1][2]


def read(pieces: Iterable[str], *, stream: JSONStream | None = None) -> Reading:
    """Feed the pieces and close; stop at the first error."""
    stream = stream or JSONStream()
    events: list[JSONEvent] = []
    error = None
    closed = False
    try:
        for piece in pieces:
            events += stream.feed(piece)
        closed = stream.closed
        unused = stream.unused_text
        if not unused:
            events += stream.close()
    except JSONStreamError as raised:
        error = raised
        unused = stream.unused_text
    assert stream.error is error
    return Reading(joined(events), error, closed, unused)


def joined(events: Iterable[JSONEvent]) -> list[JSONEvent]:
    """Join adjacent deltas: where a string is cut into deltas depends on how the text was cut."""
    result: list[JSONEvent] = []
    for kind, path, value in events:
        if kind == "delta" and result and result[-1][:2] == ("delta", path):
            result[-1] = ("delta", path, result[-1][2] + value)
        else:
            result.append((kind, path, value))
    return result


def exact(value: Any) -> str:
    """A form in which 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    return repr(value)


def every_way(text: str, **limits: int) -> Reading:
    """Read a text cut in every way, each with the same outcome, and give that."""
    outcomes = {}
    for pieces in chunkings(text):
        reading = read(pieces, stream=JSONStream(**limits))
        error = reading.error and (type(reading.error), str(reading.error))
        outcome = exact((reading.events, error, reading.closed, reading.unused))
        outcomes.setdefault(outcome, (pieces, reading))
    assert len(outcomes) == 1, [pieces for pieces, _ in outcomes.values()]
    [(_, reading)] = outcomes.values()
    return reading


def events_of(value: Any, path: JSONPath = ()) -> Iterator[JSONEvent]:
    """The events that a value must give, from the value alone."""
    match value:
        case str():
            yield ("start", path, "")
            if value:
                yield ("delta", path, value)
        case dict() | list():
            yield ("start", path, type(value)())
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from events_of(item, (*path, key))
    yield ("finish", path, value)


def assert_begins(whole: list[JSONEvent], events: list[JSONEvent]) -> None:
    """Hold events of a prefix against those of the whole: the same, the last delta shorter."""
    *before, last = events or [None]
    assert exact(before) == exact(whole[: len(before)])
    if last is None:
        return
    expected = whole[len(before)]
    if last[0] == "delta":
        assert expected[:2] == last[:2]
        assert expected[2].startswith(last[2])
    else:
        assert exact(last) == exact(expected)


def growth(run: Callable[[int], Callable[[], object]], size: int) -> float:
    """How much longer four times the size takes: 4 is linear, 16 is quadratic.

    `run(size)` prepares; what it returns is timed, in CPU time of its thread. A machine with other
    work makes single runs slower, none faster: so the best of several counts, taken in turn, and
    of more where those do not look linear.
    """
    small, large = run(size), run(4 * size)
    of_small = of_large = math.inf
    gc.collect()
    gc.disable()
    try:
        for turn in range(25):
            of_small = min(of_small, cpu_time(small))
            of_large = min(of_large, cpu_time(large))
            if turn >= 4 and of_large < 5 * of_small:
                break
    finally:
        gc.enable()
    return of_large / of_small


def cpu_time(call: Callable[[], object]) -> float:
    """Seconds that a call keeps a processor busy."""
    start = time.thread_time()
    call()
    return time.thread_time() - start
