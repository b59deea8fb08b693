"""Sending one recording.

It waits on three things at once: the time of its next piece, the client's leaving and the server's
stopping. Nothing polls.
"""

import asyncio
from typing import Any
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from langchain_toolstream.testing.journal import Disconnect
from langchain_toolstream.testing.pace import Pace, schedule
from langchain_toolstream.testing.recording import Recording

DROP = "langchain_toolstream.drop"
"""ASGI extension with which an app can close the connection in the middle of an answer."""

_PRINTABLE = "".join(chr(code) for code in range(32, 127))


class Replay:
    """One recording on its way to one client."""

    def __init__(self, recording: Recording, pace: Pace, started: float) -> None:
        """Prepare the answer; `run` sends it.

        Args:
            recording: What is sent.
            pace: When.
            started: The time of the request, on the clock of the running event loop.
        """
        self._recording = recording
        self._pace: Pace = pace
        self._started = started
        self._sent = 0
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[None] = self._loop.create_future()

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the answer as if the server died.

        Args:
            loop: The running loop; an answer on another one is left alone.
        """
        if self._loop is loop and not self._stopped.done():
            self._stopped.set_result(None)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> Disconnect | None:
        """Send the recording.

        Args:
            scope: The request's ASGI scope.
            receive: Gives the client's disconnect.
            send: Takes the answer.

        Returns:
            What was sent when the client left, or `None` if it stayed.

        Raises:
            ConnectionAbortedError: If the connection is to be dropped and the ASGI server does not
                offer that.
        """
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send(self._head())
            await self._send_body(gone, send)
            recording = self._recording
            if recording.ending == "complete" and self._sent == len(recording.body):
                # A client may close as soon as it has read `[DONE]`: that is no early leaving.
                await send(_piece(b"", more=False))
            elif gone.done():
                return self._disconnect()
            else:
                await _drop(scope, gone)
        finally:
            gone.cancel()
            await asyncio.wait([gone])
        return None

    async def _send_body(self, gone: asyncio.Future[None], send: Send) -> None:
        over = {gone, self._stopped}
        for at, piece in schedule(self._recording, self._pace):
            left = self._started + at - self._loop.time()
            if left > 0:
                await asyncio.wait(over, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)  # lets a client's leaving be seen at any pace
            if gone.done() or self._stopped.done():
                return
            await send(_piece(piece, more=True))
            if gone.done():  # it left while the write waited for it to read
                return
            self._sent += len(piece)
        if self._recording.ending == "stall":
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)

    def _head(self) -> Message:
        recording = self._recording
        headers = {
            "content-type": recording.content_type,
            "x-replay-recording": quote(recording.id, safe=_PRINTABLE, errors="replace"),
        }
        if not recording.streamed and recording.ending == "complete":
            headers["content-length"] = str(len(recording.body))
        return {
            "type": "http.response.start",
            "status": recording.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

    def _disconnect(self) -> Disconnect:
        whole, end = 0, 0
        for event in self._recording.events:
            end += len(event)
            whole += end <= self._sent
        return Disconnect(
            recording_id=self._recording.id,
            events_sent=whole,
            seconds=self._loop.time() - self._started,
        )


def _piece(data: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drop(scope: Scope, gone: asyncio.Future[None]) -> None:
    drop = scope.get("extensions", {}).get(DROP)
    if drop is None:  # served by someone else: a server closes the connection when an app raises
        msg = "The replay drops this connection"
        raise ConnectionAbortedError(msg)
    drop["close"]()
    # Returning before the transport is closed would look like a defect of this app.
    await asyncio.wait([gone])
