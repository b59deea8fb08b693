"""Comments on a stream of server-sent events while nothing else comes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

HEARTBEAT = 15.0
"""Seconds of silence; usual proxies wait for 30 or 60."""

_COMMENT = b": ping\n\n"
_END: Any = object()


def with_heartbeat(body: AsyncGenerator[bytes], heartbeat: float | None) -> AsyncGenerator[bytes]:
    """Add a comment to a body whenever it has been silent.

    Args:
        body: Whole server-sent events.
        heartbeat: After how many seconds; `None` for never.

    Returns:
        The body with its comments.

    Raises:
        ValueError: `heartbeat` is not above 0.
    """
    if heartbeat is None:
        return body
    if not heartbeat > 0:
        msg = f"heartbeat is a number of seconds above 0, or None for no comments, got {heartbeat}."
        raise ValueError(msg)
    return _beating(body, heartbeat)


async def _beating(body: AsyncGenerator[bytes], heartbeat: float) -> AsyncGenerator[bytes]:
    # One task reads the body from its beginning to its end, since what is open in it, such as a
    # timeout, belongs to the task that opened it. It is two pieces ahead at most: one waits in the
    # queue, and one waits for its place.
    pieces: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
    reading = asyncio.create_task(_read(body, pieces))
    # However the task ends, it wakes a reader that waits. Where the queue is full, none waits.
    reading.add_done_callback(lambda _: None if pieces.full() else pieces.put_nowait(_END))
    try:
        while not (reading.done() and pieces.empty()):
            try:
                async with asyncio.timeout(heartbeat):
                    piece = await pieces.get()
            except TimeoutError:
                piece = _COMMENT
            if piece is _END:
                break
            yield piece
    except BaseException:
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()  # raises what the body raised
        raise
    reading.result()


async def _read(body: AsyncGenerator[bytes], pieces: asyncio.Queue[Any]) -> None:
    async with aclosing(body):
        async for piece in body:
            await pieces.put(piece)
