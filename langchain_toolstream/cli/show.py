"""A chain run once, shown while it runs and drawn at its end."""

import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_toolstream.cli.usage import UsageError, printable
from langchain_toolstream.cli.view import Kind, view
from langchain_toolstream.consume import tool_events
from langchain_toolstream.parsers.tool_stream import ToolStreamParser
from langchain_toolstream.timeline import Timeline
from langchain_toolstream.tools import ToolSet
from langchain_toolstream.vllm import ChatVLLM

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


async def show(  # noqa: PLR0913 - what runs, on what, and how it is shown
    llm: ChatVLLM,
    messages: Any,
    tools: ToolSet | None,
    *,
    heading: str,
    kind: Kind,
    svg: Path | None,
) -> None:
    """Run a model, and the tools that it calls, and show it.

    Args:
        llm: The model.
        messages: What it is asked.
        tools: What it may call; `None` runs nothing.
        heading: What to say before.
        kind: How to show it.
        svg: A file for the picture.

    Raises:
        UsageError: The file cannot be written.
    """
    chain: Runnable[Any, Any] = llm
    if tools is not None:
        chain = llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map()
    if kind != "json":
        print(f"{heading}\n")
    timeline, began = Timeline(), False
    start = time.monotonic()
    events = tool_events(chain, messages, tools=tools)
    try:
        async with aclosing(events):
            with view(kind, sys.stdout) as shown:
                async for event in events:
                    began, at = True, time.monotonic() - start
                    timeline.add(event, at=at)
                    shown.show(event, at)
    finally:
        # A run that fails is drawn too, as far as it came.
        if began and kind != "json":
            print(f"\n{timeline}" if kind == "plain" else timeline)
        if began and svg is not None:
            _write(svg, timeline.to_svg())


def heading(prompt: str, source: str) -> str:
    """Say what is asked, and whom.

    Args:
        prompt: The question.
        source: Who answers.
    """
    return f"prompt  {printable(prompt)}\nserver  {printable(source)}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
