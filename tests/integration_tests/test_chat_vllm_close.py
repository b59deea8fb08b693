"""Leaving early ends the request: at once, and with nothing left behind."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
from langchain_core.runnables import Runnable, RunnableGenerator

from langchain_toolstream.testing import Disconnect, Recording, ReplayServer, bundled_recordings
from tests.integration_tests.chat import QUESTION, chain, chat, echo_tools, nth_call
from tests.unit_tests.scripted import PATIENCE

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CALLS = next(one for one in bundled_recordings() if one.id == "auto_3calls_weather")
TOOLS = echo_tools(CALLS, read_only=True)
COUNT = len(CALLS.events)

# In the middle of the second call: the first is closed, so its tool has run.
SILENT = CALLS.stall(after_events=nth_call(CALLS, 2) + 1)
PACE = 20  # events per second
# However late its client leaves, there is something left to send.
SLOW = CALLS.stall(after_events=COUNT - 1)


def model(server: ReplayServer, **fields: Any) -> Runnable[Any, Any]:
    return chat(server, CALLS, **fields).bind_tools(TOOLS)


def whole_chain(server: ReplayServer, **fields: Any) -> Runnable[Any, Any]:
    return chain(chat(server, CALLS, **fields), TOOLS)


def behind_a_function(server: ReplayServer, **fields: Any) -> Runnable[Any, Any]:
    """The chain, and something of the user's."""

    async def forward(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            yield message

    return whole_chain(server, **fields) | RunnableGenerator(forward)


both = pytest.mark.parametrize("make", [model, whole_chain])
# Sync, LangChain's own runnables read their input to its end when they are closed.
every = pytest.mark.parametrize("make", [model, whole_chain, behind_a_function])

# A stream that said something and then fell silent, and one that goes on and on.
servers = pytest.mark.parametrize(
    ("recording", "pace"), [(SILENT, "instant"), (SLOW, PACE)], ids=["silent", "slow"]
)


def check(disconnect: Disconnect) -> None:
    """The client left before the end, and the server saw it."""
    assert disconnect.recording_id == CALLS.id
    assert disconnect.events_sent < COUNT


@contextmanager
def nothing_left() -> Iterator[None]:
    """No thread, no warning about something that was not closed."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("asyncio_"):  # The event loop's own stay with it.
            thread.join(1)
            assert not thread.is_alive(), thread
    gc.collect()  # What was not closed warns when it is collected, and a warning is an error.


@asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """No task: all that was started has ended by itself."""
    before = asyncio.all_tasks()
    with nothing_left():
        yield
        if left := asyncio.all_tasks() - before:
            _, pending = await asyncio.wait(left, timeout=1)
            assert pending == set()


class TestSync:
    @servers
    def test_break(self, recording: Recording, pace: Any) -> None:
        with ReplayServer([recording], pace=pace) as server, nothing_left():
            for _ in model(server).stream(QUESTION):
                break
            check(server.wait_for_disconnect(PATIENCE))
            assert server.active == 0

    @servers
    def test_close(self, recording: Recording, pace: Any) -> None:
        with ReplayServer([recording], pace=pace) as server, nothing_left():
            stream = model(server).stream(QUESTION)
            next(stream)
            assert server.active == 1
            stream.close()
            check(server.wait_for_disconnect(PATIENCE))
            assert server.active == 0

    @both
    def test_close_behind_the_first_item(self, make: Any) -> None:
        # Sync, the first message comes out with the second call, so the stream has to go on.
        with ReplayServer([SLOW], pace=PACE) as server, nothing_left():
            stream = make(server).stream(QUESTION)
            assert next(stream)
            stream.close()
            check(server.wait_for_disconnect(PATIENCE))
            assert server.active == 0

    @both
    def test_break_behind_the_first_item(self, make: Any) -> None:
        with ReplayServer([SLOW], pace=PACE) as server, nothing_left():
            for _ in make(server).stream(QUESTION):
                break
            check(server.wait_for_disconnect(PATIENCE))

    def test_an_error_in_the_loop(self) -> None:
        with ReplayServer([SILENT]) as server, nothing_left():
            with pytest.raises(ZeroDivisionError):
                [1 / 0 for _ in model(server).stream(QUESTION)]
            check(server.wait_for_disconnect(PATIENCE))

    def test_v3(self) -> None:
        with ReplayServer([SILENT]) as server, nothing_left():
            stream = model(server).stream_events(QUESTION, version="v3")
            for _ in stream:
                break
            del stream
            gc.collect()  # It has no `close`, and refers to itself.
            check(server.wait_for_disconnect(PATIENCE))


class TestAsync:
    @every
    @servers
    async def test_aclose(self, make: Any, recording: Recording, pace: Any) -> None:
        async with ReplayServer([recording], pace=pace) as server, no_task_left():
            stream = make(server).astream(QUESTION)
            assert await anext(stream)
            assert server.active == 1
            await stream.aclose()
            check(await server.await_disconnect(PATIENCE))
            assert server.active == 0

    @every
    @servers
    async def test_break(self, make: Any, recording: Recording, pace: Any) -> None:
        async with ReplayServer([recording], pace=pace) as server, no_task_left():
            async for _ in make(server).astream(QUESTION):
                break
            check(await server.await_disconnect(PATIENCE))
            assert server.active == 0

    @every
    @servers
    async def test_cancel(self, make: Any, recording: Recording, pace: Any) -> None:
        async with ReplayServer([recording], pace=pace) as server:
            started = asyncio.Event()

            async def read() -> None:
                async for _ in make(server).astream(QUESTION):
                    started.set()

            async with no_task_left():
                task = asyncio.create_task(read())
                await asyncio.wait_for(started.wait(), PATIENCE)
                task.cancel()
                check(await server.await_disconnect(PATIENCE))
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert server.active == 0

    @every
    async def test_cancel_of_ainvoke(self, make: Any) -> None:
        begun = asyncio.Event()

        async def begin(response: httpx2.Response) -> None:
            begun.set()

        async with (
            ReplayServer([SILENT]) as server,
            httpx2.AsyncClient(event_hooks={"response": [begin]}) as client,
            no_task_left(),
        ):
            task = asyncio.create_task(make(server, http_async_client=client).ainvoke(QUESTION))
            await asyncio.wait_for(begun.wait(), PATIENCE)
            task.cancel()
            check(await server.await_disconnect(PATIENCE))
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.active == 0

    async def test_cancel_of_one_of_many(self) -> None:
        async with ReplayServer([SILENT]) as server, no_task_left():
            begun = [asyncio.Event() for _ in range(4)]

            async def read(event: asyncio.Event) -> None:
                async for _ in model(server).astream(QUESTION):
                    event.set()

            first, *others = [asyncio.create_task(read(event)) for event in begun]
            await asyncio.gather(*(asyncio.wait_for(event.wait(), PATIENCE) for event in begun))
            assert server.active == 4
            first.cancel()
            check(await server.await_disconnect(PATIENCE))
            assert server.active == 3
            assert not any(task.done() for task in others)
            for task in others:
                task.cancel()
                check(await server.await_disconnect(PATIENCE))
            assert server.active == 0

    async def test_an_error_in_the_loop(self) -> None:
        async with ReplayServer([SILENT]) as server, no_task_left():
            with pytest.raises(ZeroDivisionError):
                [1 / 0 async for _ in model(server).astream(QUESTION)]
            check(await server.await_disconnect(PATIENCE))

    @every
    async def test_aclose_of_v2_events(self, make: Any) -> None:
        async with ReplayServer([SILENT]) as server, no_task_left():
            events = make(server).astream_events(QUESTION, version="v2")
            async for event in events:
                if event["event"] == "on_chat_model_stream":
                    break
            await events.aclose()
            check(await server.await_disconnect(PATIENCE))

    async def test_aclose_of_v3_events(self) -> None:
        async with ReplayServer([SILENT]) as server, no_task_left():
            stream = await model(server).astream_events(QUESTION, version="v3")
            assert await anext(aiter(stream))
            await stream.aclose()
            check(await server.await_disconnect(PATIENCE))

    async def test_reading_to_the_end_is_not_leaving(self) -> None:
        async with ReplayServer([CALLS]) as server, no_task_left():
            for make in (model, whole_chain):
                await make(server).ainvoke(QUESTION)
                assert [one async for one in make(server).astream(QUESTION)]
            assert server.disconnects == []
            assert server.active == 0
