"""`toolstream demo`: the whole road, to be looked at."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, tool

from langchain_toolstream.cli.show import heading, show
from langchain_toolstream.cli.view import Kind
from langchain_toolstream.testing import ReplayServer
from langchain_toolstream.tools import ToolSet
from langchain_toolstream.vllm import ChatVLLM
from langchain_toolstream.vllm.refusals import public_url

PROMPT = "Search for river poems. Also, what is 3 * 12? Also, write a poem about river to poem.txt."

_POEMS = {
    "The River": "Sara Teasdale, 1915",
    "Where Go the Boats?": "Robert Louis Stevenson, 1885",
    "The Brook": "Alfred Tennyson, 1855",
    "The Negro Speaks of Rivers": "Langston Hughes, 1921",
}

# Mean temperature of each month in °C, January first; WMO normals, rounded.
_CLIMATE = {
    "Berlin": [1, 2, 5, 10, 14, 18, 20, 20, 15, 10, 5, 2],
    "London": [6, 6, 8, 10, 14, 17, 19, 19, 16, 13, 9, 6],
    "Madrid": [6, 8, 11, 13, 18, 23, 26, 26, 21, 15, 10, 7],
    "Oslo": [-4, -3, 1, 6, 12, 16, 18, 17, 12, 6, 1, -3],
    "Paris": [5, 6, 9, 12, 16, 19, 21, 21, 17, 13, 9, 6],
    "Rome": [8, 9, 11, 14, 18, 22, 25, 25, 22, 17, 13, 9],
    "Tokyo": [5, 6, 9, 14, 19, 22, 26, 27, 23, 18, 13, 8],
}
_SLOW_SERVICE = 0.8
_SERVICE = 0.4


@tool(response_format="content_and_artifact")
async def search(query: str) -> tuple[str, Any]:
    """Search a small shelf of poems, as slowly as a search engine.

    Args:
        query: What to look for.
    """
    await asyncio.sleep(_SLOW_SERVICE)
    found = [title for title in _POEMS if any(w[:4] in title.lower() for w in query.split())]
    return f"{len(found)} poems: {', '.join(found)}.", {title: _POEMS[title] for title in found}


@tool(response_format="content_and_artifact")
async def get_weather(city: str) -> tuple[str, Any]:
    """Look up the weather of a city: what its climate says for this month.

    Args:
        city: Name of the city.
    """
    await asyncio.sleep(_SERVICE)
    months = _CLIMATE.get(city)
    if months is None:
        return f"No climate table for {city}.", None
    month = datetime.now(tz=UTC).month
    return f"{city}: {months[month - 1]} °C is usual this month.", {"city": city, "°C": months}


@tool(response_format="content_and_artifact")
def add(a: int, b: int) -> tuple[str, Any]:
    """Add two integers.

    Args:
        a: First integer.
        b: Second integer.
    """
    return str(a + b), {"operands": [a, b], "sum": a + b}


@tool(response_format="content_and_artifact")
def multiply(a: int, b: int) -> tuple[str, Any]:
    """Multiply two integers.

    Args:
        a: First integer.
        b: Second integer.
    """
    return str(a * b), {"operands": [a, b], "product": a * b}


def make_tools(folder: Path) -> ToolSet:
    """Make the demo's tools: four that only read, and one that leaves something behind.

    Args:
        folder: Where files may be written.
    """

    @tool(response_format="content_and_artifact")
    def write_file(path: str, content: str) -> tuple[str, Any]:
        """Write a text file.

        Args:
            path: Its name.
            content: Its text.
        """
        target = folder / Path(path).name
        target.write_text(content, encoding="utf-8")
        return f"Wrote {len(content)} characters to {target.name}.", target

    tools: list[BaseTool] = [add, multiply, get_weather, search, write_file]
    return ToolSet(tools, read_only=["add", "multiply", "get_weather", "search"])


async def demo(  # noqa: PLR0913 - one for each option of the command
    *,
    base_url: str | None,
    model: str,
    prompt: str | None,
    pace: float,
    kind: Kind,
    svg: Path | None,
) -> int:
    """Run the demo and print it.

    Args:
        base_url: A live server; `None` replays a recorded answer.
        model: Its model, or nothing.
        prompt: What to ask.
        pace: Events per second of a replayed answer.
        kind: How to show it.
        svg: The file for its picture.

    Returns:
        The exit code.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if base_url is None:
            server = await stack.enter_async_context(ReplayServer(pace=pace))
            url, source = server.base_url, f"a recorded vLLM stream, {pace:g} events per second"
        else:
            url, source = base_url, public_url(base_url)
        llm = ChatVLLM(base_url=url, model=model, temperature=0, max_tokens=300)
        prompt = prompt or PROMPT
        said = heading(prompt, source)
        await show(llm, prompt, make_tools(folder), heading=said, kind=kind, svg=svg)
    return 0
