"""What a replay server saw: requests, and clients that left. Safe to read from any thread."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request as it reached the server, also if it was refused."""

    method: str
    """The HTTP method, in capitals."""

    path: str
    """The path, without the query."""

    headers: dict[str, str]
    """The headers, with names in lower case."""

    body: dict[str, Any] | None
    """The JSON object in the body; `None` if there was none."""

    recording_id: str | None
    """The recording that answered; `None` if none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """A client that left before the end of its answer."""

    recording_id: str
    """The recording that was being sent."""

    events_sent: int
    """Whole events handed to the socket by then; the client may have read fewer."""

    seconds: float
    """Seconds from the request until the server noticed."""


class Journal:
    """The lists behind `ReplayServer.requests` and `.disconnects`, and who waits for them."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._requests: list[ReceivedRequest] = []
        self._disconnects: list[Disconnect] = []
        self._taken = 0
        self._waiting: deque[Future[Disconnect]] = deque()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests so far, as a new list."""
        return self._requests.copy()

    @property
    def disconnects(self) -> list[Disconnect]:
        """The disconnects so far, as a new list."""
        return self._disconnects.copy()

    def received(self, request: ReceivedRequest) -> None:
        """Note a request.

        Args:
            request: The request.
        """
        self._requests.append(request)

    def left(self, disconnect: Disconnect) -> None:
        """Note that a client left, and wake the one who has waited longest for it.

        Args:
            disconnect: What happened.
        """
        with self._lock:
            self._disconnects.append(disconnect)
            while self._waiting:
                waiting = self._waiting.popleft()
                if waiting.set_running_or_notify_cancel():
                    self._taken += 1
                    waiting.set_result(disconnect)
                    return

    def next_disconnect(self) -> Future[Disconnect]:
        """Ask for the oldest disconnect that nobody has been given yet.

        Returns:
            A future, done at once if there is such a disconnect.
        """
        future: Future[Disconnect] = Future()
        with self._lock:
            if self._taken < len(self._disconnects):
                future.set_result(self._disconnects[self._taken])
                self._taken += 1
            else:
                self._waiting.append(future)
        return future

    def wait(self, timeout: float) -> Disconnect:
        """Block until a client has left.

        Args:
            timeout: Seconds.

        Returns:
            The oldest disconnect that nobody has been given yet.

        Raises:
            TimeoutError: If none left in time.
        """
        future = self.next_disconnect()
        try:
            return future.result(timeout)
        except TimeoutError:
            return self._late(future, timeout)

    async def wait_async(self, timeout: float) -> Disconnect:  # noqa: ASYNC109 - the twin of `wait`
        """Wait until a client has left, without blocking the event loop.

        Args:
            timeout: Seconds.

        Returns:
            The oldest disconnect that nobody has been given yet.

        Raises:
            TimeoutError: If none left in time.
        """
        future = self.next_disconnect()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            return self._late(future, timeout)

    def _late(self, future: Future[Disconnect], timeout: float) -> Disconnect:
        # A future that cannot be cancelled got its result in the moment of the timeout.
        if not future.cancel():
            return future.result()
        requests = self._requests
        last = f", the last one answered by {requests[-1].recording_id!r}" if requests else ""
        msg = (
            f"No client left its stream within {timeout:g} s. "
            f"The server got {len(requests)} requests{last}; "
            f"{len(self._disconnects)} clients had left before. "
            f"At pace 'instant' an answer is sent before a client can leave: "
            f"use Recording.stall() or a slower pace."
        )
        raise TimeoutError(msg) from None
