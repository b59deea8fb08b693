"""`toolstream run` and `toolstream replay`: the user's tools, on any server or on a recording."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_toolstream.cli.show import heading, show
from langchain_toolstream.cli.tools import load_tools
from langchain_toolstream.cli.usage import UsageError
from langchain_toolstream.cli.view import Kind
from langchain_toolstream.vllm import ChatVLLM
from langchain_toolstream.vllm.refusals import public_url

_PACE = 24.0


async def run(  # noqa: PLR0913 - one for each option of the command
    prompt: str,
    *,
    base_url: str | None,
    model: str,
    tools: list[str],
    read_only: str | None,
    max_tokens: int | None,
    record: Path | None,
    kind: Kind,
    svg: Path | None,
) -> int:
    """Ask a server, and run the tools that its model calls.

    Args:
        prompt: What to ask.
        base_url: The server; `None` leaves it to `VLLM_API_BASE` and vLLM's default.
        model: Its model, or nothing.
        tools: Where the tools are, each as `module:attr`.
        read_only: Which of them may run early.
        max_tokens: How long the answer may be.
        record: The file to keep the answer in.
        kind: How to show the run.
        svg: The file for its picture.

    Returns:
        The exit code.

    Raises:
        UsageError: A tool or file is not there.
    """
    toolset = load_tools(tools, read_only) if tools else None
    options: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
    async with AsyncExitStack() as stack:
        if record is not None:
            options["http_async_client"] = await stack.enter_async_context(_recording(record))
        llm = ChatVLLM(base_url=base_url, model=model, **options)
        if not model:
            llm.model_name = await _first_model(llm)
        said = heading(prompt, public_url(str(llm.openai_api_base)))
        await show(llm, prompt, toolset, heading=said, kind=kind, svg=svg)
    return 0


async def _first_model(llm: ChatVLLM) -> str:
    cards = await llm.alist_models()
    if not cards:
        base_url = public_url(str(llm.openai_api_base))
        raise UsageError(f"{base_url} lists no model; name one with --model.")
    return cards[0].id


@asynccontextmanager
async def _recording(path: Path) -> AsyncIterator[Any]:
    """Give an HTTP client whose answer is in the file at the end, as far as it came."""
    from langchain_toolstream.cli.record import Recorder  # noqa: PLC0415 - needs an extra
    from langchain_toolstream.testing import save_recordings  # noqa: PLC0415

    _check_writable(path)
    recorder = Recorder(path.name.partition(".")[0])
    try:
        async with recorder.client:
            yield recorder.client
    finally:
        kept = recorder.recording()
        if kept is not None:
            said = f"recorded {len(kept.body):,} bytes in {path}"
            try:
                save_recordings([kept], path)
            except (OSError, ValueError) as error:
                said = f"not recorded: {reason(path, error)}"
            print(f"toolstream: {said}", file=sys.stderr)


async def replay(  # noqa: PLR0913 - one for each option of the command
    file: Path,
    *,
    recording_id: str | None,
    pace: float | None,
    tools: list[str],
    read_only: str | None,
    kind: Kind,
    svg: Path | None,
) -> int:
    """Play a recording back.

    Args:
        file: The file.
        recording_id: Which recording of it; it may be left out where there is one.
        pace: Events per second; `None` for the recorded pace, or 24 where none was noted.
        tools: Where the tools are, each as `module:attr`; without any, none is run.
        read_only: Which of them may run early.
        kind: How to show the run.
        svg: The file for its picture.

    Returns:
        The exit code.

    Raises:
        UsageError: A tool, a file or a recording is not there.
    """
    from langchain_toolstream.testing import ReplayServer, load_recordings  # noqa: PLC0415

    toolset = load_tools(tools, read_only) if tools else None
    try:
        recordings = {one.id: one for one in load_recordings(file)}
    except (OSError, ValueError) as error:
        raise UsageError(reason(file, error)) from error
    if recording_id is None and len(recordings) == 1:
        recording_id = next(iter(recordings))
    recording = recordings.get(recording_id or "")
    if recording is None:
        holds = f"no {recording_id!r}" if recording_id else f"{len(recordings)} recordings"
        raise UsageError(f"{file} holds {holds}; name one with --id: {', '.join(recordings)}.")
    usual: Any = "recorded" if recording.reads else _PACE
    async with ReplayServer([recording], pace=pace or usual) as server:
        llm = ChatVLLM(
            base_url=server.base_url,
            model=recording.id,
            disable_streaming=not recording.streamed,
            max_retries=0,
        )
        messages = (recording.request or {}).get("messages") or [("user", "")]
        said = heading(_last_words(messages), f"{file}, recording {recording.id}")
        await show(llm, messages, toolset, heading=said, kind=kind, svg=svg)
    return 0


def _check_writable(path: Path) -> None:
    """Say what cannot be written before anything is asked, and leave what is there as it is."""
    from langchain_toolstream.testing.save import check_suffix  # noqa: PLC0415

    try:
        check_suffix(path)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written.")


def reason(path: Path, error: Exception) -> str:
    """Say in one line what is wrong with a file.

    Args:
        path: The file.
        error: What was raised.
    """
    if isinstance(error, OSError):
        return f"{path}: {error.strerror or error}."
    return str(error)


def _last_words(messages: Any) -> str:
    """The text of the last message, where it is that of a recorded request."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, Mapping) else None
    return content if isinstance(content, str) else "(not recorded)"
