"""Watch a run in a browser: text, calls whose fields fill in, tools on a timeline, artifacts.

    pip install "langchain-toolstream[testing]"
    python docs/examples/web/app.py

With `VLLM_API_BASE` set it asks a live vLLM; without, recorded answers are replayed at 24 events
per second, and the prompt has to be the one that stands there.
"""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import uvicorn
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Route

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser, to_sse, tool_events
from langchain_toolstream.testing import ReplayServer

PROMPT = "Search for river poems. Also, what is 3 * 12? Also, write a poem about river to poem.txt."

POEMS = [
    {"title": "The River", "poet": "Sara Teasdale", "year": 1915},
    {"title": "Where Go the Boats?", "poet": "Robert Louis Stevenson", "year": 1885},
    {"title": "The Brook", "poet": "Alfred Tennyson", "year": 1855},
    {"title": "The Negro Speaks of Rivers", "poet": "Langston Hughes", "year": 1921},
]


@tool(response_format="content_and_artifact")
async def search(query: str) -> tuple[str, Any]:
    """Search a small shelf of poems, as slowly as a search engine."""
    await asyncio.sleep(0.8)
    words = query.lower().split()
    found = [poem for poem in POEMS if any(word in poem["title"].lower() for word in words)]
    return f"{len(found)} poems found.", found


@tool(response_format="content_and_artifact")
def multiply(a: int, b: int) -> tuple[str, Any]:
    """Multiply two integers."""
    dots = "".join(
        f'<circle cx="{20 * x + 10}" cy="{20 * y + 10}" r="7" fill="#0f766e"/>'
        for x in range(min(b, 30))
        for y in range(min(a, 15))
    )
    size = f'width="{20 * min(b, 30)}" height="{20 * min(a, 15)}"'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{dots}</svg>'
    return str(a * b), block("image", "image/svg+xml", picture)


@tool(response_format="content_and_artifact")
def write_file(path: str, content: str) -> tuple[str, Any]:
    """Write a text file, for the browser to download."""
    name = Path(path).name
    return f"Wrote {name}.", block("file", "text/plain", content, name=name)


def block(kind: str, mime_type: str, text: str, **extras: str) -> dict[str, Any]:
    """One of LangChain's content blocks."""
    data = b64encode(text.encode()).decode()
    return {"type": kind, "mime_type": mime_type, "base64": data, "extras": extras}


def make_chain(llm: ChatVLLM) -> Runnable[str, Any]:
    tools = ToolSet([search, multiply, write_file], read_only=["search", "multiply"])
    return llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map()


def make_app(llm: ChatVLLM, source: str) -> Starlette:
    chain = make_chain(llm)

    async def run(request: Request) -> StreamingResponse:
        return StreamingResponse(
            stream(request.query_params["prompt"]), media_type="text/event-stream"
        )

    async def stream(prompt: str) -> AsyncIterator[bytes]:
        async for data in to_sse(tool_events((chain, prompt))):
            yield data

    async def about(_: Request) -> JSONResponse:
        return JSONResponse({"source": source, "prompt": PROMPT})

    async def page(_: Request) -> FileResponse:
        return FileResponse(Path(__file__).with_name("page.html"))

    return Starlette(routes=[Route("/", page), Route("/about", about), Route("/run", run)])


def main() -> None:
    live = os.environ.get("VLLM_API_BASE")
    with nullcontext() if live else ReplayServer(pace=24) as server:
        llm = ChatVLLM(base_url=server.base_url if server else live, temperature=0, max_tokens=300)
        app = make_app(llm, live or "a recorded vLLM stream, 24 events per second")
        uvicorn.run(app, host="127.0.0.1", port=8080)


if __name__ == "__main__":
    main()
