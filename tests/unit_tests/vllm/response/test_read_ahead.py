"""Reading ahead: nobody waits longer, errors come in order, and no task is left."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from langchain_toolstream.vllm.response.read_ahead import MAX_READ_AHEAD, ReadAhead, areads, reads


class Source:
    """Pieces that come when they are told to."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self.taken = 0
        self.closed = False

    def put(self, *items: bytes | BaseException | None) -> None:
        for item in items:
            self.queue.put_nowait(item)

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                self.taken += 1
                yield item
        finally:
            self.closed = True


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    """Nothing but the test itself is running when the test is over."""
    made = Source()
    yield made
    assert made.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0)


async def test_what_is_ready_is_taken_together(source: Source) -> None:
    source.put(b"a", b"b", b"c")
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        assert await ahead.take() == b"abc"
        source.put(b"d", None)
        assert await ahead.take() == b"d"
        assert await ahead.take() == b""
        assert await ahead.take() == b""


async def test_one_piece_is_not_held_back(source: Source) -> None:
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        for piece in (b"a", b"b", b"c"):
            waiting = asyncio.create_task(ahead.take())
            await soon(source.queue.empty)
            source.put(piece)
            assert await waiting == piece


async def test_an_error_comes_behind_what_came_before_it(source: Source) -> None:
    source.put(b"a", b"b", httpx2.ReadError("broken"))
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        assert await ahead.take() == b"ab"
        with pytest.raises(httpx2.ReadError, match="broken"):
            await ahead.take()


async def test_leaving_early_ends_the_reading(source: Source) -> None:
    async with ReadAhead(source.pieces(), silence=60):
        source.put(b"a")
        await soon(lambda: source.taken == 1)


async def test_an_error_of_the_consumer_ends_the_reading(source: Source) -> None:
    async def consume() -> None:
        async with ReadAhead(source.pieces(), silence=60) as ahead:
            source.put(b"a")
            await ahead.take()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await consume()


@pytest.mark.parametrize("silence", [None, 60])
async def test_cancelling_the_consumer_ends_the_reading(
    source: Source, silence: float | None
) -> None:
    async def consume() -> None:
        async with ReadAhead(source.pieces(), silence=silence) as ahead:
            source.put(b"a")
            while True:
                await ahead.take()

    consumer = asyncio.create_task(consume())
    await soon(lambda: source.taken == 1)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


async def test_a_reading_that_is_cancelled_by_others_is_an_end(source: Source) -> None:
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        source.put(b"a")
        assert await ahead.take() == b"a"
        waiting = asyncio.create_task(ahead.take())
        await soon(lambda: ahead._consumer is not None)
        ahead._task.cancel()
        assert await waiting == b""


async def test_a_slow_consumer_is_not_flooded(source: Source) -> None:
    piece = b"x" * 1000
    source.put(*[piece] * 1000, None)
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        await soon(lambda: ahead._room is not None)
        assert source.taken == MAX_READ_AHEAD // 1000 + 1
        read = 0
        while data := await ahead.take():
            assert len(data) <= MAX_READ_AHEAD + 1000
            read += len(data)
        assert read == 1_000_000


async def test_leaving_while_the_reading_waits_for_room(source: Source) -> None:
    source.put(*[b"x" * 1000] * 1000)
    async with ReadAhead(source.pieces(), silence=None) as ahead:
        await soon(lambda: ahead._room is not None)


async def test_silence_is_an_error(source: Source) -> None:
    source.put(b"a")
    async with ReadAhead(source.pieces(), silence=0.01) as ahead:
        assert await ahead.take() == b"a"
        ahead.heard()
        with pytest.raises(TimeoutError):
            await ahead.take()


async def test_what_says_nothing_does_not_break_the_silence(source: Source) -> None:
    """A gateway's keep-alive comments are bytes, but nothing was heard of the model."""

    async def consume() -> None:
        async with ReadAhead(source.pieces(), silence=0.02) as ahead:
            while True:
                source.put(b": keep-alive\n\n")
                await ahead.take()

    with pytest.raises(TimeoutError):
        await consume()


async def test_silence_counts_only_while_somebody_waits(source: Source) -> None:
    source.put(b"a")
    async with ReadAhead(source.pieces(), silence=0.01) as ahead:
        await ahead.take()
        waiting = asyncio.create_task(ahead.take())
        await soon(lambda: ahead._timer is not None)
        source.put(b"b")
        assert await waiting == b"b"
        await soon(lambda: ahead._timer is None)  # it rang, and nobody waited
        source.put(b"c", None)
        assert await ahead.take() == b"c"


async def test_a_loop_that_was_blocked_is_no_silence(source: Source) -> None:
    """The timer is due, but so is what came meanwhile."""
    loop = asyncio.get_running_loop()
    async with ReadAhead(source.pieces(), silence=0.01) as ahead:
        waiting = asyncio.create_task(ahead.take())
        await soon(lambda: ahead._timer is not None)
        deadline = loop.time() + 0.03

        def block() -> None:
            while loop.time() < deadline:
                pass
            source.put(b"a")

        loop.call_soon(block)
        assert await waiting == b"a"


@pytest.mark.parametrize("silence", [None, 0])
async def test_without_a_limit_no_timer_is_set(source: Source, silence: float | None) -> None:
    async with ReadAhead(source.pieces(), silence=silence) as ahead:
        waiting = asyncio.create_task(ahead.take())
        await soon(lambda: ahead._consumer is not None)
        assert ahead._timer is None
        source.put(None)
        assert await waiting == b""


class TestResponses:
    """What is read of a response, by sync and async."""

    @staticmethod
    def client(headers: dict[str, str], content: bytes) -> dict[str, Any]:
        def answer(_: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, headers=headers, content=content)

        return {"transport": httpx2.MockTransport(answer)}

    async def read(self, headers: dict[str, str], content: bytes, *, before: bool) -> set[bytes]:
        kinds = self.client(headers, content)
        with httpx2.Client(**kinds) as client, client.stream("GET", "http://x") as response:
            if before:
                response.read()
            one = b"".join(reads(response, silence=1))
        async with (
            httpx2.AsyncClient(**kinds) as aclient,
            aclient.stream("GET", "http://x") as aresponse,
        ):
            if before:
                await aresponse.aread()
            other = b"".join([piece async for piece in areads(aresponse)])
        return {one, other}

    @pytest.mark.parametrize("before", [False, True])
    async def test_compressed_or_not_and_read_by_a_hook_or_not(self, before: bool) -> None:  # noqa: FBT001
        import gzip  # noqa: PLC0415

        plain = b"data: {}\n\n"
        assert await self.read({}, plain, before=before) == {plain}
        packed = {"content-encoding": "gzip"}
        assert await self.read(packed, gzip.compress(plain), before=before) == {plain}

    @pytest.mark.parametrize(
        ("given", "silence", "left"),
        [(600.0, 120, 120), (5.0, 120, 5.0), (None, 120, 120), (600.0, None, 600.0), (5.0, 0, 5.0)],
    )
    def test_the_shorter_limit_counts(
        self, given: float | None, silence: float | None, left: float | None
    ) -> None:
        with (
            httpx2.Client(**self.client({}, b"a"), timeout=given) as client,
            client.stream("GET", "http://x") as response,
        ):
            assert list(reads(response, silence=silence)) == [b"a"]
            assert response.request.extensions["timeout"]["read"] == left
            assert response.request.extensions["timeout"]["connect"] == given
