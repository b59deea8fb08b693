"""One recorded answer, and the ways in which it can go wrong.

A fault is a new `Recording`: `cut`, `stall` and `fail` shorten the body to what still goes out and
say how the answer then ends; `split` says in which pieces the bytes are written. Nothing is hidden
in the server, so a fault can be looked at, compared and combined with others.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, Self

# An event ends at a blank line. `\r(?!\n)` keeps one CRLF from counting as two line ends.
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    r"""One recorded answer of a server, byte for byte, with the request that it answered.

    ```python
    from langchain_toolstream.testing import Recording

    recording = Recording(id="hello", body=b'data: {"choices": []}\n\ndata: [DONE]\n\n')
    assert len(recording.events) == 2
    assert recording.cut(after_events=1).body == b'data: {"choices": []}\n\n'
    ```
    """

    id: str
    """What a client may name as its `model` to get this recording."""

    body: bytes
    """What goes on the wire. A fault shortens it to what is still sent."""

    request: Mapping[str, Any] | None = field(default=None, hash=False)
    """The JSON body of the request. Without it, only `id` can choose this recording."""

    status: int = 200
    """The HTTP status."""

    content_type: str = "text/event-stream; charset=utf-8"
    """The `content-type` header."""

    reads: tuple[tuple[float, int], ...] | None = None
    """Seconds since the request and number of bytes of each network read, if they were noted."""

    ending: Literal["complete", "cut", "stall"] = "complete"
    """What follows the body: the end, a dropped connection, or silence."""

    split_seed: int | None = None
    """Seed of the random pieces in which the body is written; `None` keeps it as recorded."""

    @property
    def streamed(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return self.content_type.partition(";")[0].strip().lower() == "text/event-stream"

    @property
    def events(self) -> tuple[bytes, ...]:
        """The body, cut after each blank line; joined, the parts are the body again.

        Keep-alive comments and `data: [DONE]` count as events, and so does an unfinished event at
        the end. A body that is not a stream of events is one part.
        """
        if not self.streamed:
            return (self.body,) if self.body else ()
        ends = [blank.end() for blank in _BLANK.finditer(self.body)]
        parts = (self.body[a:b] for a, b in pairwise((0, *ends, len(self.body))))
        return tuple(part for part in parts if part)

    def cut(self, *, after_events: int) -> Self:
        """Drop the connection after some events, as when a proxy or a worker dies.

        The response is left without its terminating chunk, so an HTTP client raises a protocol
        error once it has read what was sent.

        Args:
            after_events: How many events are still sent, from 0 (headers only) to all of them.

        Returns:
            A new recording.

        Raises:
            ValueError: If the recording has fewer events.
        """
        return replace(self, body=self._first(after_events), ending="cut")

    def stall(self, *, after_events: int) -> Self:
        """Go silent after some events, until the client leaves or the server stops.

        Args:
            after_events: How many events are still sent, from 0 (headers only) to all of them.

        Returns:
            A new recording.

        Raises:
            ValueError: If the recording has fewer events.
        """
        return replace(self, body=self._first(after_events), ending="stall")

    def fail(
        self, *, after_events: int, message: str = "Internal server error", code: int = 500
    ) -> Self:
        """End with vLLM's error event after some events, with HTTP status 200 as vLLM does.

        Args:
            after_events: How many events are sent before the error, from 0 to all of them.
            message: The error's message.
            code: The error's code; 4xx has the type `BadRequestError`, all others
                `InternalServerError`.

        Returns:
            A new recording, which ends with the error event and `data: [DONE]`.

        Raises:
            ValueError: If the recording has fewer events, or is not a stream.
        """
        if not self.streamed:
            msg = (
                f"Recording {self.id!r} is {self.content_type!r} and cannot hold an error event. "
                f"Make a Recording with the error's status and body instead."
            )
            raise ValueError(msg)
        kind = "BadRequestError" if 400 <= code < 500 else "InternalServerError"  # noqa: PLR2004
        error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        # As vLLM writes it, with spaces.
        tail = f"data: {json.dumps(error)}\n\ndata: [DONE]\n\n".encode()
        return replace(self, body=self._first(after_events) + tail, ending="complete")

    def split(self, *, seed: int) -> Self:
        """Write the bytes in random pieces of 1 to 40, which may fall inside a character.

        Args:
            seed: The same seed gives the same pieces.

        Returns:
            A new recording.
        """
        return replace(self, split_seed=seed)

    def _first(self, after_events: int) -> bytes:
        events = self.events
        if not 0 <= after_events <= len(events):
            msg = (
                f"after_events={after_events!r} is outside of recording {self.id!r}, "
                f"which has {len(events)} events"
            )
            raise ValueError(msg)
        return b"".join(events[:after_events])
