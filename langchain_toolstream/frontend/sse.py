"""Events as they are, on a stream of server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import fields
from typing import Any

from langchain_toolstream.core.events import MessageError, ToolError, ToolEvent
from langchain_toolstream.frontend.heartbeat import HEARTBEAT, with_heartbeat
from langchain_toolstream.frontend.write import HIDDEN, write
from langchain_toolstream.json_values import bounded, to_json


def to_sse(
    events: AsyncIterable[ToolEvent],
    *,
    show_errors: bool = False,
    heartbeat: float | None = HEARTBEAT,
) -> AsyncGenerator[bytes]:
    """Write events as server-sent events, for the response of any ASGI app.

    Each has the event's `type` as its `event`, its fields as JSON in `data`, and its number as
    `id`. The last one is `run-finish`, or `run-error` when the run failed: a browser's
    `EventSource` has to be closed then, or it asks again. Artifacts, contents and progress that
    JSON cannot hold are described by their type, `{"$type": ...}`; bytes come as `base64`.

    Closing the iterator closes `events`, and ends the run, as when the client is gone.

    Args:
        events: What `tool_events` gives.
        show_errors: Whether the texts of failed tools and runs go out. They may hold what is not
            for everybody, so front ends only learn that something went wrong. What is wrong with
            a call of the model is always told.
        heartbeat: Seconds of silence after which a comment is sent, so that proxies keep the
            connection open. Clients skip comments. `None` sends none.

    Returns:
        The body, piece by piece.

    Raises:
        ValueError: `heartbeat` is not above 0.

    Example:
        ```python
        from starlette.applications import Starlette
        from starlette.responses import StreamingResponse
        from starlette.routing import Route

        from langchain_toolstream import ChatVLLM, to_sse, tool_events

        llm = ChatVLLM()


        async def ask(request):
            events = tool_events(llm, request.query_params["q"])
            return StreamingResponse(to_sse(events), media_type="text/event-stream")


        app = Starlette(routes=[Route("/ask", ask)])
        ```
    """
    writer = _SSE(show_errors=show_errors)
    return with_heartbeat(write(events, writer, show_errors=show_errors), heartbeat)


class _SSE:
    def __init__(self, *, show_errors: bool) -> None:
        self._show_errors = show_errors
        self._count = 0

    def open(self) -> list[bytes]:
        return []

    def feed(self, event: ToolEvent) -> list[bytes]:
        said = {
            one.name: value if type(value) is str else bounded(value)
            for one in fields(event)
            for value in (getattr(event, one.name),)
        }
        if isinstance(event, MessageError | ToolError) and not self._show_errors:
            said["error"] = HIDDEN
        return [self._event(said)]

    def close(self) -> list[bytes]:
        return [self._event({"type": "run-finish"})]

    def fail(self, error: str) -> list[bytes]:
        return [self._event({"type": "run-error", "error": error})]

    def _event(self, said: dict[str, Any]) -> bytes:
        self._count += 1
        # JSON escapes line ends, so one line holds it.
        return f"id: {self._count}\nevent: {said['type']}\ndata: {to_json(said)}\n\n".encode()
