"""Which of the calls that wait may start: so many at once in all, and so many of each tool."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping

from langchain_toolstream.tools.run.ledger import Entry


class Queue:
    """The calls that wait for a place, in the order in which they came.

    A call whose tool is at its limit, or that waits for another call, lets those behind it pass.
    A call that was answered before its turn never starts.

    Args:
        limit: How many calls may run at once; `None` for as many as come.
        limits: How many of a tool, for the tools that have a limit.
    """

    def __init__(self, limit: int | None, limits: Mapping[str, int]) -> None:
        """Nothing waits, and all places are free."""
        self._limit = limit
        self._limits = limits
        self._waiting: deque[Entry] = deque()
        self._running: Counter[str] = Counter()

    def __len__(self) -> int:
        """Count the calls that wait."""
        return len(self._waiting)

    def add(self, entry: Entry) -> None:
        """Let a call wait."""
        self._waiting.append(entry)

    def take(self) -> Iterator[Entry]:
        """Give a place to every call that may start.

        Yields:
            The calls to start.
        """
        skipped: list[Entry] = []
        while self._waiting and _is_below(self._limit, self._running.total()):
            entry = self._waiting.popleft()
            name = entry.call["name"]
            if entry.message is not None:
                continue
            if entry.has_its_input and _is_below(self._limits.get(name), self._running[name]):
                self._running[name] += 1
                yield entry
            else:
                skipped.append(entry)
        self._waiting.extendleft(reversed(skipped))

    def free(self, entry: Entry) -> None:
        """Free the place of a call."""
        self._running[entry.call["name"]] -= 1


def _is_below(limit: int | None, count: int) -> bool:
    return limit is None or count < limit
