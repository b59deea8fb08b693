"""The body of an answer, and what is told together of it."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from langchain_toolstream.core.errors import ServerStreamError
from langchain_toolstream.core.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from langchain_toolstream.vllm.refusals import not_vllm
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.sse import BOM, MAX_EVENT_SIZE

_SHOWN = 1024
"""Bytes of a body that are kept to be shown, until something of vLLM's came."""


class Body:
    """The body of an HTTP answer, which should be an event stream.

    Its first bytes say what it is, since proxies label event streams as JSON and the reverse. A
    server that does not stream answers with a JSON object. Anything else is not vLLM's, even if it
    comes with status 200, and its beginning is kept to be shown.

    Args:
        reader: What reads its events.
        coalesce: Whether what comes together is told together.
    """

    def __init__(self, reader: AnswerReader, *, coalesce: bool) -> None:
        """Start before the first byte."""
        self._reader = reader
        self._coalesce = coalesce
        self._is_json: bool | None = None  # until the first byte that is not blank
        self._kept: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[list[tuple[int, Event]]]:
        """Take the next bytes.

        Args:
            data: Any number of bytes.

        Returns:
            What became known, by each of the server's events or by all of them together.
        """
        if self._is_json or (not self._reader.begun and self._size < _SHOWN):
            self._keep(data)
        if self._is_json is None:
            start = b"".join(self._kept).removeprefix(BOM).lstrip()
            if not BOM.startswith(start):
                self._is_json = start.startswith(b"{")
        if self._is_json:
            return []
        if not self._coalesce:
            return self._reader.feed_each(data)
        events = self._reader.feed(data)
        if len(events) > 1:
            events = _joined(events)
        return [events] if events else []

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT_SIZE:
            msg = f"it sent an answer of more than {MAX_EVENT_SIZE:,} bytes in one piece of JSON"
            raise ServerStreamError(msg)

    def close(self, response: Any, base_url: str) -> list[tuple[int, Event]]:
        """Say that the body ended.

        Args:
            response: The HTTP answer.
            base_url: Where the request went.

        Raises:
            VLLMServerError: Nothing in it was vLLM's.
            StreamInterruptedError: The answer is not complete.
        """
        kept = b"".join(self._kept)
        events = self._reader.feed_body(kept) if self._is_json and kept else []
        labelled = "event-stream" in response.headers.get("content-type", "")
        if kept and not labelled and not self._reader.begun:
            raise not_vllm(response, kept.decode(errors="replace"), base_url)
        return events + self._reader.close()


def _joined(events: Iterable[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Make one delta of those that follow each other in one text, reasoning or call.

    Nothing else moves, so the sum is the same, and no event comes later than without.
    """
    joined: list[tuple[int, Event]] = []
    for _, run in groupby(events, _voice):
        (choice, first), *others = run
        if not others:
            joined.append((choice, first))
            continue
        match first:
            case ToolCallDelta():
                args = first.args + "".join(_piece(event) for _, event in others)
                joined.append((choice, ToolCallDelta(id=first.id, args=args)))
            case TextDelta() | ReasoningDelta():
                text = first.text + "".join(_piece(event) for _, event in others)
                joined.append((choice, type(first)(text=text)))
            case _:
                joined += [(choice, first), *others]
    return joined


def _voice(item: tuple[int, Event]) -> tuple[int, str, str]:
    choice, event = item
    return choice, event.type, event.id if isinstance(event, ToolCallDelta) else ""


def _piece(event: Event) -> str:
    match event:
        case ToolCallDelta():
            return event.args
        case TextDelta() | ReasoningDelta():
            return event.text
        case _:
            return ""
