"""The replay server: the face of an ASGI app in a thread."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

try:
    import starlette.types
    import uvicorn  # noqa: F401 - `_thread` needs it; here the missing extra gets its name
except ImportError as error:
    _MSG = (
        "langchain_toolstream.testing needs starlette and uvicorn: "
        'pip install "langchain-toolstream[testing]"'
    )
    raise ImportError(_MSG, name=error.name) from error

from langchain_toolstream.testing.app import ReplayApp
from langchain_toolstream.testing.journal import Disconnect, ReceivedRequest
from langchain_toolstream.testing.load import bundled_recordings, load_recordings
from langchain_toolstream.testing.pace import check_pace
from langchain_toolstream.testing.recording import Recording
from langchain_toolstream.testing.thread import HOST, ServerThread


class ReplayServer:
    """A server on loopback that answers as vLLM did, from recordings.

    It replays the bytes that a real server sent, so that a chain's parsing, its tools and its
    behaviour in trouble can be tested without a model. It makes nothing up: a request that no
    recording answers gets HTTP 404 and the reasons. Every replayed answer names its recording in
    the header `x-replay-recording`, and `/v1/models` says `owned_by: "replay"`.

    A recording is chosen by its id as the request's `model`, or else by what is asked: messages,
    tools (those of the request among those of the recording) and `stream` have to agree, and of
    several the one wins that differs in the fewest other fields.

    It is a context manager, `with` and `async with` alike; both run the server in a thread.

    ```python
    from openai import OpenAI

    from langchain_toolstream.testing import ReplayServer

    with ReplayServer() as server:
        with OpenAI(base_url=server.base_url, api_key="none") as client:
            stream = client.chat.completions.create(
                model="auto_2calls",
                messages=[{"role": "user", "content": "anything"}],
                stream=True,
            )
            chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    ```
    """

    def __init__(  # noqa: PLR0913 - all but the first are keyword-only
        self,
        recordings: Iterable[Recording] | str | Path | None = None,
        *,
        pace: Literal["recorded", "instant"] | float = "instant",
        api_key: str | None = None,
        model: str | None = None,
        version: str = "0.32.0",
        port: int = 0,
    ) -> None:
        """Prepare a server; entering it starts it.

        Args:
            recordings: What it can answer, or a file for `load_recordings`. Without, the recordings
                that come with the package.
            pace: `"instant"` sends as fast as the client reads. `"recorded"` keeps the timing of
                the recording, where it has any. A number is events per second, the first at once.
            api_key: If given, requests under `/v1` without it as a bearer token get HTTP 401.
            model: The name in `/v1/models`. Without, the model that most of the recorded requests
                name, or else `"replay"`.
            version: The answer of `/version`.
            port: The port on 127.0.0.1; 0 lets the system choose.

        Raises:
            ValueError: If the pace is none, a file is broken, or two recordings have one id.
            FileNotFoundError: If there is no such file.
        """
        if recordings is None:
            recordings = bundled_recordings()
        elif isinstance(recordings, str | Path):
            recordings = load_recordings(recordings)
        recordings = tuple(recordings)
        self._app = ReplayApp(
            recordings,
            pace=check_pace(pace),
            api_key=api_key,
            model=model if model is not None else _usual_model(recordings),
            version=version,
        )
        self._port = port
        self._thread: ServerThread | None = None

    def __repr__(self) -> str:
        """Say where it is."""
        return f"ReplayServer({'not running' if self._thread is None else self.base_url})"

    @property
    def app(self) -> starlette.types.ASGIApp:
        """The ASGI app, to be called or mounted without this server's thread and socket."""
        return self._app.asgi

    @property
    def base_url(self) -> str:
        """The URL for OpenAI clients, such as `http://127.0.0.1:8000/v1`.

        Raises:
            RuntimeError: If the server is not running.
        """
        if self._thread is None:
            msg = "The ReplayServer is not running: use it in a `with` or `async with` block"
            raise RuntimeError(msg)
        return f"http://{HOST}:{self._thread.port}/v1"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests so far, refused ones included, as a new list."""
        return self._app.journal.requests

    @property
    def disconnects(self) -> list[Disconnect]:
        """All clients that left before the end of their answer, as a new list."""
        return self._app.journal.disconnects

    @property
    def active(self) -> int:
        """How many recordings are being sent right now."""
        return self._app.active

    def wait_for_disconnect(self, timeout: float = 5.0) -> Disconnect:
        """Block until a client leaves before the end of its answer.

        Each disconnect is given once: a second call waits for the next one. Do not call it on the
        event loop of the client that is to leave; `await_disconnect` is for that.

        Args:
            timeout: Seconds.

        Returns:
            The oldest disconnect that was not given yet, which may have happened before the call.

        Raises:
            TimeoutError: If no client leaves in time.
        """
        return self._app.journal.wait(timeout)

    async def await_disconnect(self, timeout: float = 5.0) -> Disconnect:  # noqa: ASYNC109
        """Wait as `wait_for_disconnect` does, without blocking the event loop.

        Args:
            timeout: Seconds.

        Returns:
            The oldest disconnect that was not given yet, which may have happened before the call.

        Raises:
            TimeoutError: If no client leaves in time.
        """
        return await self._app.journal.wait_async(timeout)

    def __enter__(self) -> Self:
        """Start the server; it is listening when this returns.

        Raises:
            OSError: If the port is taken.
            RuntimeError: If the server runs already.
        """
        thread = self._start()
        try:
            thread.listening.result()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server, ending the streams that are being sent; the thread is gone after it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            thread.join()

    async def __aenter__(self) -> Self:
        """Start the server, as `with` does, without blocking the event loop."""
        thread = self._start()
        try:
            await asyncio.wrap_future(thread.listening)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server, as `with` does, without blocking the event loop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            try:
                await asyncio.wrap_future(thread.ended)
            finally:
                thread.join()

    def _start(self) -> ServerThread:
        if self._thread is not None:
            msg = "This ReplayServer is running already"
            raise RuntimeError(msg)
        self._thread = ServerThread(self._app, self._port)
        self._thread.start()
        return self._thread


def _usual_model(recordings: Iterable[Recording]) -> str:
    named = Counter(
        recording.request["model"]
        for recording in recordings
        if recording.request and isinstance(recording.request.get("model"), str)
    )
    return named.most_common(1)[0][0] if named else "replay"
