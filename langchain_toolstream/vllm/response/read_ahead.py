"""The reads of a body: how its bytes are waited for, and for how long."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from langchain_toolstream.vllm.errors import VLLMIdleTimeoutError
from langchain_toolstream.vllm.refusals import ReadTimeout
from langchain_toolstream.vllm.response.answer import AnswerReader

if TYPE_CHECKING:
    import httpx2

MAX_READ_AHEAD = 256 * 1024
"""Bytes that may wait for a slow consumer; then the server has to wait too."""

_GRACE = 0.05
# Seconds. The timer of a loop that was blocked rings together with what came meanwhile.


def reads(response: "httpx2.Response", *, silence: float | None) -> Generator[bytes]:
    """Read a body as it comes.

    Args:
        response: The answer, whose body has not begun.
        silence: For how many seconds nothing may come, `None` or 0 for no limit but the request's.

    Yields:
        What each read brought.

    Raises:
        httpx2.ReadTimeout: Nothing came for too long.
    """
    limits = response.request.extensions.get("timeout", {})
    if silence:
        # The transport looks here when the body begins, so what the request allows for the time
        # before that is not touched.
        limits["read"] = min(silence, limits.get("read") or silence)
    yield from response.iter_bytes() if _is_encoded(response) else response.iter_raw()


def areads(response: "httpx2.Response") -> AsyncGenerator[bytes]:
    """Read a body as it comes, for `ReadAhead`.

    Args:
        response: The answer, whose body has not begun.
    """
    return response.aiter_bytes() if _is_encoded(response) else response.aiter_raw()


@contextmanager
def idle_timeout(
    response: "httpx2.Response", reader: AnswerReader, model: str, silence: float | None
) -> Iterator[None]:
    """Name what happens when nothing comes for too long.

    Args:
        response: The answer.
        reader: What has been read of it.
        model: The model that was asked.
        silence: As for `ReadAhead`.

    Yields:
        Nothing.

    Raises:
        VLLMIdleTimeoutError: Nothing came for too long.
    """
    try:
        yield
    except (TimeoutError, ReadTimeout) as error:
        limits = response.request.extensions.get("timeout", {})
        limit = limits.get("read") if isinstance(error, ReadTimeout) else silence
        raise VLLMIdleTimeoutError(
            limit or 0, model_name=model, chunks_received=reader.received
        ) from error


def _is_encoded(response: "httpx2.Response") -> bool:
    """Whether more has to be done than to read. A hook of the client may have read it already."""
    return "content-encoding" in response.headers or response.is_stream_consumed


class ReadAhead:
    """Reads a body in a task of its own, for one consumer, who takes all that is ready at once.

    httpx2 makes an item of each HTTP chunk, and vLLM sends one for each event, so whoever iterates
    is resumed once for each delta, through all the layers between. This task reads until it would
    have to wait; by then the consumer is to be resumed, once.

    It is one task all along because what is below (anyio) keeps its time limits with the task.
    """

    def __init__(self, pieces: AsyncGenerator[bytes], *, silence: float | None) -> None:
        """Prepare; entering the context starts the task.

        Args:
            pieces: The bytes as they come; closed at the end.
            silence: For how many seconds nothing may be `heard`, `None` or 0 for no limit.
        """
        self._pieces = pieces
        self._silence = silence
        self._loop = asyncio.get_running_loop()
        self._ready: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._consumer: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Start reader."""
        self.heard()
        self._task = self._loop.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop reading; the task has ended when this returns."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _read(self) -> None:
        try:
            async with aclosing(self._pieces):
                async for piece in self._pieces:
                    self._ready.append(piece)
                    self._size += len(piece)
                    _wake(self._consumer)
                    if self._size > MAX_READ_AHEAD:
                        self._room = self._loop.create_future()
                        await self._room
        except Exception as error:  # noqa: BLE001 - raised where it is taken, behind what came before
            self._error = error
        finally:
            self._ended = True
            _wake(self._consumer)

    async def take(self) -> bytes:
        """Wait until something is ready, and take all of it.

        Returns:
            Bytes, none at the end.

        Raises:
            TimeoutError: Nothing was heard for too long.
            httpx2.TransportError: As the transport raises it.
        """
        if not self._ready and not self._ended:
            await self._wait()
        if self._ready:
            taken = b"".join(self._ready)
            self._ready.clear()
            self._size = 0
            _wake(self._room)
            return taken
        if self._error is not None:
            raise self._error
        return b""

    async def _wait(self) -> None:
        if self._silence and self._loop.time() > self._deadline + _GRACE:
            raise TimeoutError  # what comes says nothing
        self._consumer = self._loop.create_future()
        if self._silence and self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        try:
            await self._consumer
        finally:
            self._consumer = None

    def heard(self) -> None:
        """Say that the server was heard: from here on, silence counts."""
        self._deadline = self._loop.time() + (self._silence or 0)

    def _ring(self, expired: float | None = None) -> None:
        """See whether the silence is too long.

        One timer, which is set anew when it rings, costs less than one for each wait.

        Args:
            expired: The deadline, if it has passed already and the time of grace with it.
        """
        self._timer = None
        if self._consumer is None or self._consumer.done():
            return
        if expired == self._deadline:
            self._consumer.set_exception(TimeoutError())
        elif self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._timer = self._loop.call_later(_GRACE, self._ring, self._deadline)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
