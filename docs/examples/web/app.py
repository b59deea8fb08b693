"""Watch a run in a browser, and talk with an agent.

python -m docs.examples.web

Without more, recorded answers of a real vLLM are replayed. With `VLLM_API_BASE` set, the server
there is asked. `PORT` is the page's, 8080 if it is not set.
"""

import os
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import uvicorn
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_toolstream import ChatVLLM, ResumeError, ToolStreamParser, to_sse, tool_events
from langchain_toolstream.testing import ReplayServer

from .chat import CHAT_EXAMPLES, Answer, Busy, Conversations, Recorded, Say  # noqa: TID252 - as in chat.py
from .tools import TOOLS  # noqa: TID252 - as above

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings.jsonl.gz"
PACE = 20
"""Events per second of a replayed answer. A tiny model on a CPU writes faster than anyone reads."""

MAX_BODY = 100_000
THINKING = {"chat_template_kwargs": {"enable_thinking": True}}


class Example(NamedTuple):
    name: str
    prompt: str
    options: dict[str, Any]


EXAMPLES = [
    Example(
        "Three tools",
        "Search for river poems. Also, what is the weather in Paris? "
        "Also, write a poem about winter to poem.txt.",
        THINKING,
    ),
    Example(
        "Nested arguments",
        'Call plan_trip {"traveller": {"name": "Ada", "window_seat": true}, "stops": '
        '[{"city": "Madrid", "by": "train", "nights": 2}, '
        '{"city": "Tokyo", "by": "train", "nights": 2}], "budget": 750}',
        {"tool_choice": "plan_trip", "strict": True},
    ),
    Example("Tool fails", "Explain, then what is the weather in Paris and Bergen?", {}),
    Example("Malformed call", "What is the weather in Paris, London and Tokyo?", {}),
    Example(
        "Call cut off",
        "Search for river poems. Also, write a poem about winter to poem.txt.",
        {**THINKING, "max_tokens": 110},
    ),
]
OPTIONS = {example.prompt: example.options for example in EXAMPLES}


class Ask(BaseModel):
    prompt: str = Field(min_length=1, max_length=10_000)


def make_chain(llm: ChatVLLM, prompt: str) -> Runnable[Any, Any]:
    return llm.bind_tools(TOOLS, **OPTIONS.get(prompt, {})) | ToolStreamParser(TOOLS) | TOOLS.map()


class Unframed:
    """No other page may show this one in a frame of its own; a page cannot say that of itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = "frame-ancestors 'none'"
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, send_unframed)


async def read(request: Request) -> bytes:
    """The beginning of the body: more than any question needs."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(413, "Too long.")
    return body


def is_foreign(request: Request) -> bool:
    """Whether a page of somebody else's asks."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


Body = TypeVar("Body", bound=BaseModel)


async def posted(request: Request, kind: type[Body]) -> Body:
    """What a page of ours sent."""
    # A page elsewhere cannot send this type without being asked who it is.
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "Send JSON.")
    if is_foreign(request):
        raise HTTPException(403, "Another page asks.")
    try:
        return kind.model_validate_json(await read(request))
    except ValidationError as error:
        raise HTTPException(422, str(error)) from error


def stream(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(body, media_type="text/event-stream")


def make_app(llm: ChatVLLM, *, live: bool) -> Starlette:
    conversations = Conversations(llm, *([] if live else [Recorded()]))

    async def run(request: Request) -> Response:
        prompt = (await posted(request, Ask)).prompt
        events = tool_events(make_chain(llm, prompt), prompt, tools=TOOLS)
        return stream(to_sse(events, show_errors=True))  # whoever runs this alone reads it

    async def say(request: Request) -> Response:
        try:
            return stream(await conversations.say(await posted(request, Say)))
        except Busy as error:
            return PlainTextResponse(str(error), status_code=409)

    async def answer(request: Request) -> Response:
        try:
            return stream(await conversations.answer(await posted(request, Answer)))
        except Busy as error:
            return PlainTextResponse(str(error), status_code=409)
        except ResumeError as error:
            return PlainTextResponse(str(error), status_code=422)

    async def history(request: Request) -> JSONResponse:
        return JSONResponse(await conversations.shown(request.path_params["thread"]))

    async def about(_: Request) -> JSONResponse:
        host = urlsplit(str(llm.openai_api_base)).netloc.rpartition("@")[2]  # without a password
        source = host if live else f"a recorded vLLM, {PACE} events per second"
        examples = [{"name": one.name, "prompt": one.prompt} for one in EXAMPLES]
        functions = [convert_to_openai_tool(tool)["function"] for tool in TOOLS]
        forms = {function["name"]: function["parameters"] for function in functions}
        said = {"live": live, "source": source, "examples": examples, "tools": forms}
        return JSONResponse({**said, "chat": CHAT_EXAMPLES})

    return Starlette(
        routes=[
            Route("/about", about),
            Route("/run", run, methods=["POST"]),
            Route("/chat", say, methods=["POST"]),
            Route("/chat/answer", answer, methods=["POST"]),
            Route("/chat/{thread}", history),
            Mount("/", StaticFiles(directory=HERE / "page", html=True)),
        ],
        middleware=[
            # No name but its own may lead here, or any page could have its name lead here.
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
            Middleware(Unframed),
        ],
    )


def main() -> None:
    live = os.environ.get("VLLM_API_BASE")
    with nullcontext() if live else ReplayServer(RECORDINGS, pace=PACE) as server:
        llm = ChatVLLM(base_url=server.base_url if server else live, temperature=0)
        app = make_app(llm, live=server is None)
        port = int(os.environ.get("PORT", "8080"))
        # Whoever still watches does not keep the server from stopping.
        uvicorn.run(app, host="127.0.0.1", port=port, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
