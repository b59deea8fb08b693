"""Comments on a stream of server-sent events while nothing else comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any

from langchain_toolstream.core.events import ToolEvent
from langchain_toolstream.frontend.write import Writer, write

HEARTBEAT = 15.0
"""Seconds of silence; usual proxies wait for 30 or 60."""

_COMMENT = b": ping\n\n"
_END: Any = object()


def write_bytes(
    events: AsyncIterable[ToolEvent],
    writer: Writer[bytes],
    *,
    show_errors: bool,
    heartbeat: float | None,
) -> AsyncGenerator[bytes]:
    """Write the events of a run as server-sent events, with comments while none come.

    Args:
        events: As for `write`.
        writer: As for `write`.
        show_errors: As for `write`.
        heartbeat: As for `with_heartbeat`.

    Returns:
        What goes on the wire.
    """
    return with_heartbeat(write(events, writer, show_errors=show_errors), heartbeat)


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
    # timeout, belongs to the task that opened it. It is one piece ahead at most.
    pieces: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
    reading = asyncio.create_task(_read(body, pieces))
    try:
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    piece = await pieces.get()
            except TimeoutError:
                piece = _COMMENT
            if piece is _END:
                break
            yield piece
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()  # raises what the body raised


async def _read(body: AsyncGenerator[bytes], pieces: asyncio.Queue[Any]) -> None:
    try:
        async with aclosing(body):
            async for piece in body:
                await pieces.put(piece)
    except Exception:
        await pieces.put(_END)
        raise
    await pieces.put(_END)
