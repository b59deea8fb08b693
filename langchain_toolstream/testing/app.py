"""The ASGI side of the replay server: requests in, recorded bytes out.

Reading a request and finding its answer needs no waiting but for the body; sending a recording is
`_replay`'s work.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from langchain_toolstream.json_values import InvalidJSONError, read_json
from langchain_toolstream.testing.journal import Journal, ReceivedRequest
from langchain_toolstream.testing.match import Matcher
from langchain_toolstream.testing.pace import Pace
from langchain_toolstream.testing.recording import Recording
from langchain_toolstream.testing.replay import Replay

MAX_BODY = 64_000_000
"""Bytes of a request, pictures included."""

_TOO_LARGE = f"The body is larger than {MAX_BODY} bytes."
_OWN_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_MAX_MODEL_LEN = 2048
_NO_TOKENIZER = (
    "This server replays recordings and has no tokenizer, so there is no {path}: ask a real vLLM."
)


class ReplayApp:
    """Answers vLLM's endpoints from recordings, on whichever event loop calls it."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        *,
        pace: Pace,
        api_key: str | None,
        model: str,
        version: str,
    ) -> None:
        self.journal = Journal()
        self.asgi = Starlette(routes=[Mount("/", app=self._answer)])
        self._matcher = Matcher(recordings)
        self._pace: Pace = pace
        self._key = None if api_key is None else _digest(api_key)
        self._model = model
        self._version = version
        self._replays: set[Replay] = set()

    @property
    def active(self) -> int:
        """Number of answers that are being sent."""
        return len(self._replays)

    def stop(self) -> None:
        """End the answers that are being sent on the running event loop."""
        loop = asyncio.get_running_loop()
        for replay in self._replays:
            replay.stop(loop)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = asyncio.get_running_loop().time()
        request = Request(scope, receive)
        try:
            text = await _read(request)
        except ClientDisconnect:
            return
        if text is None:
            await _error(413, "Payload Too Large", _TOO_LARGE)(scope, receive, send)
            return
        body, broken = _parse(text)
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        recording = None
        response: Response | None = None
        if path.startswith("/v1") and not self._authorized(request):
            response = JSONResponse({"error": "Unauthorized"}, 401)
        elif (request.method, path) == ("POST", "/v1/chat/completions"):
            if body is None:
                response = _error(400, "Bad Request", f"1 validation error: {broken}")
            elif (recording := self._matcher.find(body)) is None:
                response = _error(404, "NotFoundError", self._matcher.explain(body))
        else:
            response = self._page(request.method, path)
        self.journal.received(
            ReceivedRequest(
                method=request.method,
                path=path,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
                recording_id=recording.id if recording else None,
            )
        )
        if recording:
            await self._send(Replay(recording, self._pace, started), scope, receive, send)
        elif response:
            await response(scope, receive, send)

    async def _send(self, replay: Replay, scope: Scope, receive: Receive, send: Send) -> None:
        self._replays.add(replay)
        try:
            left = await replay.run(scope, receive, send)
        finally:
            self._replays.discard(replay)
        if left:
            self.journal.left(left)

    def _authorized(self, request: Request) -> bool:
        if self._key is None:
            return True
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(_digest(key), self._key)

    def _page(self, method: str, path: str) -> Response:
        match path:
            case "/health":
                page = Response()
            case "/version":
                page = JSONResponse({"version": self._version})
            case "/v1/models":
                page = JSONResponse({"object": "list", "data": [_card(self._model)]})
            case "/tokenize" | "/detokenize" if method == "POST":
                return _error(404, "NotFoundError", _NO_TOKENIZER.format(path=path))
            case "/v1/chat/completions" | "/tokenize" | "/detokenize":
                return JSONResponse({"detail": "Method Not Allowed"}, 405)
            case _:
                return JSONResponse({"detail": "Not Found"}, 404)
        return page if method == "GET" else JSONResponse({"detail": "Method Not Allowed"}, 405)


async def _read(request: Request) -> bytes | None:
    """The body, `None` if it is larger than any chat."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            return None
        pieces.append(piece)
    return b"".join(pieces)


class OwnMachineOnly:
    """Refuse what a page of somebody else's sends, under its own name or one that leads here.

    Args:
        app: What answers all others.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Answer as `app` does."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            names = {
                "Host": _host(headers.get("host", "")),
                "Origin": "localhost" if origin is None else _host(origin.rpartition("//")[2]),
            }
            for header, name in names.items():
                if name not in _OWN_NAMES:
                    text = f"This server answers its own machine only, and not this {header}."
                    await _error(403, "Forbidden", text)(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _host(given: str) -> str:
    given = given.lower()
    return given.partition("]")[0] + "]" if given.startswith("[") else given.partition(":")[0]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _parse(text: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        body = read_json(text)
    except InvalidJSONError as error:
        return None, f"the body is {error}"
    if not isinstance(body, dict):
        return None, f"the body is not a JSON object but {type(body).__name__}"
    return body, ""


def _error(status: int, kind: str, message: str) -> Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return JSONResponse({"error": error}, status)


def _card(model: str) -> dict[str, Any]:
    now = int(time.time())
    return {
        "id": model,
        "object": "model",
        "created": now,
        "owned_by": "replay",
        "root": model,
        "parent": None,
        "max_model_len": _MAX_MODEL_LEN,
        "permission": [
            {
                "id": "modelperm-replay",
                "object": "model_permission",
                "created": now,
                "allow_create_engine": False,
                "allow_sampling": True,
                "allow_logprobs": True,
                "allow_search_indices": False,
                "allow_view": True,
                "allow_fine_tuning": False,
                "organization": "*",
                "group": None,
                "is_blocking": False,
            }
        ],
    }
