"""What the wire carried, kept while it is read."""

import importlib
import time
from collections.abc import AsyncIterator
from typing import Any

import openai

from langchain_toolstream.json_values import read_json
from langchain_toolstream.testing import Recording
from langchain_toolstream.vllm.refusals import Response

_library: Any = importlib.import_module(Response.__module__.partition(".")[0])
_CHAT = "/chat/completions"


class Recorder:
    """An HTTP client for `ChatVLLM(http_async_client=...)` that keeps the last chat answer.

    Args:
        recording_id: What the recording is to be named.
    """

    def __init__(self, recording_id: str) -> None:
        """Make the client."""
        self._id = recording_id
        self._request: Any = None
        self._response: Any = None
        self._started = 0.0
        self._pieces: list[bytes] = []
        self._reads: list[tuple[float, int]] = []
        self.client = openai.DefaultAsyncHttpxClient(
            # Compressed, the bytes would not be what a recording holds.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [self._asked], "response": [self._answered]},
        )

    def recording(self) -> Recording | None:
        """Give what was kept.

        Returns:
            The recording, `None` if no chat request was answered.
        """
        if self._response is None:
            return None
        return Recording(
            id=self._id,
            request=self._request,
            status=self._response.status_code,
            content_type=self._response.headers.get("content-type", ""),
            reads=tuple(self._reads),
            body=b"".join(self._pieces),
        )

    def add(self, data: bytes) -> None:
        """Keep a piece of the answer.

        Args:
            data: What was read.
        """
        self._reads.append((round(time.monotonic() - self._started, 4), len(data)))
        self._pieces.append(data)

    async def _asked(self, request: Any) -> None:
        if request.url.path.endswith(_CHAT):
            self._request = read_json(request.content)
            self._started = time.monotonic()

    async def _answered(self, response: Any) -> None:
        if response.request.url.path.endswith(_CHAT):
            self._response = response
            self._pieces.clear()  # of an attempt before
            self._reads.clear()
            response.stream = _Tap(response.stream, self)


# The base is of whichever library the SDK uses, so it has no type.
class _Tap(_library.AsyncByteStream):  # type: ignore[misc]
    """A stream that shows what is read from it."""

    def __init__(self, stream: Any, recorder: Recorder) -> None:
        self._stream = stream
        self._recorder = recorder

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            self._recorder.add(data)
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()
