"""How everything is measured: CPU time, one process, contestants in turns, medians.

CPU time, because the machine has other things to do; in turns, because its speed drifts; each run
once per turn and cold, as in a server that reads a token now and then.
"""

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter, process_time
from typing import Any

Contestant = tuple[Callable[[Any], Any], Callable[[], Any]]
"""A `feed`, which takes the next piece, and a `view`, which gives what is known then.

Whatever `feeding` measures is called in this way, feed and view for each piece, and so is the
contestant that does nothing: that is the unit.
"""

Timed = Callable[[], float]
"""Runs something once. Returns its seconds per piece."""

LEAST, QUICK_LEAST = 3, 1
SECONDS, QUICK_SECONDS = 0.3, 0.1
MOST = 200


class Rounds:
    """How often everything is run.

    A run is repeated until it has had `seconds`, but at least `least` times and at most `MOST`.
    """

    def __init__(self, *, quick: bool) -> None:
        self.least = QUICK_LEAST if quick else LEAST
        self.seconds = QUICK_SECONDS if quick else SECONDS

    def medians(self, runs: Mapping[str, Timed]) -> dict[str, float]:
        """The median of each run, in µs per piece."""
        times: dict[str, list[float]] = {name: [] for name in runs}
        spent = dict.fromkeys(runs, 0.0)
        waiting = list(runs)
        gc.collect()
        gc.disable()
        try:
            while waiting:
                for name in waiting:
                    start = perf_counter()
                    times[name].append(runs[name]())
                    spent[name] += perf_counter() - start
                waiting = [name for name in waiting if self._wants(len(times[name]), spent[name])]
        finally:
            gc.enable()
        return {name: 1e6 * median(seconds) for name, seconds in times.items()}

    def _wants(self, done: int, spent: float) -> bool:
        return done < self.least or (done < MOST and spent < self.seconds)


def feeding(contestant: Callable[[], Contestant], streams: Sequence[Sequence[Any]]) -> Timed:
    """Time a new contestant for each stream, and a look at it after each piece."""
    count = sum(len(stream) for stream in streams)

    def run() -> float:
        start = process_time()
        for stream in streams:
            feed, view = contestant()
            for piece in stream:
                feed(piece)
                view()
        return seconds_since(start) / count

    return run


def iterating(begin: Callable[[], Iterable[Any]], count: int, *, times: int = 1) -> Timed:
    """Time an iteration to its end, over `count` pieces, some `times` in a row."""

    def run() -> float:
        start = process_time()
        for _ in range(times):
            for _ in begin():
                pass
        return seconds_since(start) / (count * times)

    return run


def seconds_since(start: float) -> float:
    """The CPU seconds since `start`, without what reading the clock takes."""
    return process_time() - start - _CLOCK


def _clock() -> float:
    readings = [process_time() for _ in range(1001)]
    return median(b - a for a, b in pairwise(readings))


_CLOCK = _clock()
