"""One call while its tool runs: what the tool's wrapper has to know of it."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_toolstream.core.errors import printable
from langchain_toolstream.schema.problems import MAX_TOLD
from langchain_toolstream.schema.streamed import Streamed
from langchain_toolstream.tools.run.plan import Step

if TYPE_CHECKING:
    from concurrent.futures import Future

    from langchain_toolstream.tools.artifacts.store import Artifacts

logger = logging.getLogger(__name__)


class Running:
    """A call whose tool runs.

    Attributes:
        call_id: The id of the call.
        stopped: Set when nobody waits for the tool any more. A thread cannot be stopped from
            outside, but a generator in it stops at its next `yield`, unless it is provisional.
        thread: What runs the tool, where that is a thread of ours.
        artifacts: Those that the call can reach, where its run has any.
        streamed: The argument that the tool reads while it is written, where there is one.
    """

    __slots__ = ("artifacts", "call_id", "stopped", "streamed", "thread")

    def __init__(self, call_id: str | None = None, args: Any = None) -> None:
        """Nothing runs yet."""
        values = args.values() if isinstance(args, dict) else ()
        self.streamed = next((value for value in values if isinstance(value, Streamed)), None)
        self.call_id = call_id
        self.stopped = threading.Event()
        self.thread: Future[Any] | None = None
        self.artifacts: Artifacts | None = None

    @property
    def is_provisional(self) -> bool:
        """Whether the call is not confirmed yet; its tool hears of it where it reads."""
        return self.streamed is not None and not self.streamed.ended

    @property
    def revocation(self) -> str | None:
        """Why the call was revoked, where the tool hears of that by what it reads."""
        return None if self.streamed is None else self.streamed.error

    @property
    def may_be_confirmed(self) -> bool:
        """Whether nothing is known yet of what becomes of the call."""
        return self.is_provisional and not self.is_dropped

    @property
    def is_dropped(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.stopped.is_set() or self.revocation is not None

    @property
    def holds_thread(self) -> bool:
        """Whether a thread runs the tool at this moment."""
        return self.thread is not None and self.thread.running()

    def pausing(self, seconds: float) -> Step:
        """Wait before the tool runs again. In a thread it says whether nobody waits any more."""
        return Step(partial(self.stopped.wait, seconds), partial(asyncio.sleep, seconds))

    def reading_on(self) -> Step:
        """Wait for the end of the text that the tool reads while it is written."""
        text: Any = self.streamed

        def run() -> None:
            for _ in text:
                pass

        async def arun() -> None:
            async for _ in text:
                pass

        return Step(run, arun)

    def stop(self, name: str) -> None:
        """Say that nobody waits any more, and report a thread that is left to itself."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        if self.streamed is not None and not self.streamed.ended:
            self.streamed.fail("Nobody waits for the call any more.")
        elif self.holds_thread:
            logger.warning(
                "The tool %r (call %s) is not waited for any more, but it runs in a thread, which "
                "nothing can stop. Its result will be dropped.",
                name,
                printable(str(self.call_id), MAX_TOLD),
            )


running: ContextVar[Running | None] = ContextVar("running", default=None)
"""The call whose tool runs in this context."""


@contextmanager
def in_call(call_id: str | None) -> Iterator[None]:
    """Know the id of the call in the tool, also where no `ToolSet` runs it."""
    state = running.get()
    if state is not None and state.call_id == call_id:
        yield
        return
    token = running.set(Running(call_id))
    try:
        yield
    finally:
        running.reset(token)
