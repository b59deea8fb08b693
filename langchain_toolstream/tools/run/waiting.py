"""Which of the calls that wait may start: so many at once in all, and so many of each tool."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping

from langchain_core.runnables import RunnableConfig

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
        self._places_taken = 0

    def __len__(self) -> int:
        """Count the calls that wait."""
        return len(self._waiting)

    def add(self, entry: Entry) -> None:
        """Let a call wait.

        Args:
            entry: The call.
        """
        self._waiting.append(entry)

    def take(self) -> Iterator[Entry]:
        """Give a place to every call that may start.

        Yields:
            The calls to start.
        """
        passed: list[Entry] = []
        while self._waiting and (self._limit is None or self._places_taken < self._limit):
            entry = self._waiting.popleft()
            name = entry.call["name"]
            if entry.message is not None:
                continue
            if not entry.may_start or self._running[name] >= self._limits.get(
                name, self._running[name] + 1
            ):
                passed.append(entry)
                continue
            self._running[name] += 1
            self._places_taken += 1
            yield entry
        self._waiting.extendleft(reversed(passed))

    def give_back(self, entry: Entry) -> None:
        """Free the place of a call.

        Args:
            entry: The call.
        """
        self._running[entry.call["name"]] -= 1
        self._places_taken -= 1


def max_concurrency(config: RunnableConfig) -> int | None:
    """How many calls a run may have under way at once.

    Args:
        config: The configuration of the run.

    Raises:
        ValueError: The limit is none.
    """
    limit = config.get("max_concurrency")
    if limit is None or (type(limit) is int and limit > 0):
        return limit
    msg = f"max_concurrency has to be an integer above 0, or None, got {limit!r}."
    raise ValueError(msg)
