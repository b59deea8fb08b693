"""How long, how often and how many at once: what may be said for all tools, or for each by name."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

N = TypeVar("N", int, float)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Limits:
    """The limits of each tool of a set.

    Args:
        tools: The tools.
        timeout: As for `ToolSet`.
        retries: As for `ToolSet`.
        max_concurrency: As for `ToolSet`.

    Attributes:
        max_concurrency: How many calls of a tool may run at once, for the tools that have a limit.

    Raises:
        TypeError: `max_concurrency` is one number.
        ValueError: Something is no limit, or a name is no tool's.
    """

    def __init__(
        self,
        tools: Mapping[str, BaseTool],
        *,
        timeout: float | Mapping[str, float] | None,
        retries: int | Mapping[str, int],
        max_concurrency: Mapping[str, int] | None,
    ) -> None:
        """Check all of them."""
        if isinstance(max_concurrency, int):
            msg = (
                "max_concurrency takes a limit for each tool by name, such as {'search': 2}; the "
                "limit for all tools together is max_concurrency in the config of a run."
            )
            raise TypeError(msg)
        self._timeout = timeout
        self._retries = retries
        self.max_concurrency = max_concurrency or {}
        for seconds in _values("timeout", timeout, tools):
            if not (_is_number(seconds, int | float) and 0 < seconds < math.inf):
                msg = f"timeout has to be a number of seconds above 0, or None, got {seconds!r}."
                raise ValueError(msg)
        for times in _values("retries", retries, tools):
            if not (_is_number(times, int) and times >= 0):
                msg = f"retries has to be an integer from 0, got {times!r}."
                raise ValueError(msg)
        for limit in _values("max_concurrency", max_concurrency, tools):
            if not (_is_number(limit, int) and limit > 0):
                msg = f"max_concurrency has to be an integer above 0, got {limit!r}."
                raise ValueError(msg)

    def timeout(self, name: str) -> float | None:
        """Seconds that a call of a tool may take."""
        return self._timeout.get(name) if isinstance(self._timeout, Mapping) else self._timeout

    def retries(self, name: str, *, read_only: bool) -> int:
        """How often a failed call of a tool is run again.

        One number for all is meant for those tools only that running twice cannot harm.
        """
        if isinstance(self._retries, Mapping):
            return self._retries.get(name, 0)
        return self._retries if read_only else 0


def pause(attempt: int) -> float:
    """Seconds to wait before a tool is run again: longer each time."""
    return min(_FIRST_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)


def most_threads(config: RunnableConfig) -> int:
    """How many threads a run may have for its tools: as many as Python's own pools, by default.

    Raises:
        ValueError: The limit is none.
    """
    return max_concurrency(config) or min(32, (os.cpu_count() or 1) + 4)


def max_concurrency(config: RunnableConfig) -> int | None:
    """How many calls a run may have under way at once.

    Raises:
        ValueError: The limit is none.
    """
    limit = config.get("max_concurrency")
    if limit is None or (type(limit) is int and limit > 0):
        return limit
    msg = f"max_concurrency has to be an integer above 0, or None, got {limit!r}."
    raise ValueError(msg)


def check_names(what: str, names: Iterable[str], tools: Mapping[str, BaseTool]) -> None:
    """Refuse names that no tool has: a misspelt one would quietly do nothing.

    Raises:
        ValueError: A name is no tool's.
    """
    if unknown := sorted(map(str, set(names) - tools.keys())):
        wrong, known = (", ".join(map(repr, some)) for some in (unknown, tools))
        msg = f"{what} names no tool of this set: {wrong}. Its tools: {known or 'none'}."
        raise ValueError(msg)


def _values(
    what: str, given: N | Mapping[str, N] | None, tools: Mapping[str, BaseTool]
) -> Iterable[N]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        return (given,)
    check_names(what, given, tools)
    return given.values()


def _is_number(value: object, kind: type | object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)  # type: ignore[arg-type]
