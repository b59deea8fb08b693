"""Comments keep a silent connection alive, and the body stays what it was."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from langchain_toolstream import ag_ui_sse, to_ag_ui, to_ai_sdk, to_sse
from langchain_toolstream.core.events import MessageFinish, MessageStart, TextDelta, ToolEvent

PING = b": ping\n\n"
EVENTS: list[ToolEvent] = [
    MessageStart(run_id="m"),
    TextDelta(run_id="m", text="Hi."),
    MessageFinish(run_id="m", finish_reason="stop"),
]


class Silent:
    """A run that says nothing in its middle until it is told to go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = asyncio.Event()
        self.closed = False
        self._error = error

    async def events(self) -> AsyncIterator[ToolEvent]:
        try:
            yield EVENTS[0]
            async with asyncio.timeout(20):  # belongs to the task that opened it
                yield EVENTS[1]
                await self.go_on.wait()
            if self._error:
                raise self._error
            yield EVENTS[2]
        finally:
            self.closed = True


def by_ag_ui(events: Any, **options: Any) -> AsyncGenerator[bytes]:
    return ag_ui_sse(to_ag_ui(events, thread_id="t", run_id="r"), **options)


roads = pytest.mark.parametrize("road", [to_sse, to_ai_sdk, by_ag_ui])


@roads
async def test_comes_while_nothing_else_does(road: Any) -> None:
    silent = Silent()
    silent.go_on.set()
    expected = [one async for one in road(silent.events(), heartbeat=None)]
    silent = Silent()
    seen = []
    async for piece in road(silent.events(), heartbeat=0.01):
        seen.append(piece)
        if seen.count(PING) == 2:
            silent.go_on.set()
    assert [one for one in seen if one != PING] == expected
    assert seen.count(PING) >= 2
    assert silent.closed


@roads
async def test_ends_with_its_reader(road: Any) -> None:
    silent = Silent()
    before = asyncio.all_tasks()
    body = road(silent.events(), heartbeat=0.01)
    while await anext(body) != PING:
        pass
    await body.aclose()
    assert silent.closed
    assert asyncio.all_tasks() == before


@roads
async def test_ends_with_a_reader_that_is_cancelled(road: Any) -> None:
    silent = Silent()
    waits = asyncio.Event()

    async def read() -> None:
        async for piece in road(silent.events(), heartbeat=30):
            if b"Hi." in piece:
                waits.set()

    before = asyncio.all_tasks()
    reading = asyncio.create_task(read())
    await waits.wait()
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert silent.closed
    assert asyncio.all_tasks() == before


@roads
async def test_an_error_of_the_run_is_still_told(road: Any) -> None:
    silent = Silent(ConnectionError("password is 1234"))
    silent.go_on.set()
    body = b"".join([one async for one in road(silent.events(), heartbeat=5)])
    assert b"Something went wrong." in body
    assert b"1234" not in body


async def cancelled() -> None:
    raise asyncio.CancelledError


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("end", [cancelled, cancels_itself])
@roads
async def test_a_run_that_is_cancelled_ends_the_body(road: Any, end: Any) -> None:
    async def events() -> AsyncIterator[ToolEvent]:
        yield EVENTS[0]
        yield EVENTS[1]
        await end()

    seen = []

    async def read() -> None:
        async for piece in road(events(), heartbeat=60):
            seen.append(piece)  # noqa: PERF401 - what came before the error counts

    before = asyncio.all_tasks()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(read(), 20)  # not when the next comment is due
    assert b"Hi." in b"".join(seen)
    assert asyncio.all_tasks() == before


async def test_the_run_is_two_pieces_ahead_at_most() -> None:
    produced = 0

    async def events() -> AsyncIterator[ToolEvent]:
        nonlocal produced
        for _ in range(100):
            produced += 1
            yield EVENTS[1]

    body = to_sse(events(), heartbeat=5)
    for read in range(1, 11):
        await anext(body)
        for _ in range(20):
            await asyncio.sleep(0)
        assert produced <= read + 2  # one that waits, and one that is being handed over
    await body.aclose()


async def test_the_run_sees_its_own_variables() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def events() -> AsyncIterator[ToolEvent]:
        token = who.set("the run")
        for _ in range(3):
            assert who.get() == "the run"
            yield EVENTS[1]
        who.reset(token)

    assert len([one async for one in to_sse(events(), heartbeat=5)]) == 4
    assert who.get() == "nobody"


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan")])
@roads
def test_needs_a_time(road: Any, heartbeat: float) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        road(Silent().events(), heartbeat=heartbeat)
