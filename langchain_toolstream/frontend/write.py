"""The loop that brings a run's events on a wire, whatever the wire's protocol."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Protocol, TypeVar

from langchain_toolstream.core.events import ToolEvent

_logger = logging.getLogger(__name__)

Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)

HIDDEN = "Something went wrong."
"""What a front end is told of an error whose text is not for everybody."""


class Writer(Protocol[Out_co]):
    """One protocol."""

    def open(self) -> Iterable[Out_co]:
        """Begin."""
        ...

    def feed(self, event: ToolEvent) -> Iterable[Out_co]:
        """Write the next event."""
        ...

    def close(self) -> Iterable[Out_co]:
        """Say that the run ended."""
        ...

    def fail(self, error: str) -> Iterable[Out_co]:
        """Say that the run failed."""
        ...


async def write(
    events: AsyncIterable[ToolEvent], writer: Writer[Out], *, show_errors: bool
) -> AsyncGenerator[Out]:
    """Write the events of a run.

    An error of the run is told in the protocol's own way, and logged; a response whose headers are
    sent has no other way. However the writing ends, the events are closed, and with them the run.

    Args:
        events: What `tool_events` gives.
        writer: The protocol.
        show_errors: Whether the text of the error goes out.

    Yields:
        What goes on the wire.
    """
    try:
        for out in writer.open():
            yield out
        failure: str | None = None
        try:
            async for event in events:
                for out in writer.feed(event):
                    yield out
        except Exception as error:
            _logger.exception("The run failed while its events were written.")
            failure = (str(error) or type(error).__name__) if show_errors else HIDDEN
        for out in writer.close() if failure is None else writer.fail(failure):
            yield out
    finally:
        if aclose := getattr(events, "aclose", None):
            await aclose()


class Names:
    """Ids of calls that are unique in a whole run, as front ends want them.

    A call's id is its own; only where another message has used it already, the message's run
    comes before it.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._runs: dict[str, str] = {}  # whose an id is

    def of(self, run_id: str, call_id: str) -> str:
        """Name a call.

        Args:
            run_id: Of its message.
            call_id: Its own.
        """
        if self._runs.setdefault(call_id, run_id) == run_id:
            return call_id
        return f"{run_id}:{call_id}"
