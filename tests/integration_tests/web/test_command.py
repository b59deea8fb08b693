"""`python -m docs.examples.web`, as the page's README has it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs.examples.web.app import EXAMPLES
from langchain_toolstream.testing import ReplayServer
from tests.integration_tests.web.watching import BY_ID, events

ROOT = Path(__file__).parents[3]


async def what_it_says(url: str) -> dict[str, Any]:
    """Of itself."""
    async with httpx.AsyncClient() as client:
        about: dict[str, Any] = (await client.get(f"{url}about")).json()
    return about


@asynccontextmanager
async def started(**environment: str) -> AsyncIterator[str]:
    """The command of the docs; yields where its page is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "docs.examples.web"),
        cwd=ROOT,
        env={**os.environ, "PORT": "0", **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async for line in process.stderr:
            if b"running on " in line:
                yield line.decode().split("running on ")[1].split()[0] + "/"
                break
        else:
            pytest.fail("It ended before it served.")
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode in (0, -15)


async def test_the_command_runs() -> None:
    async with started(VLLM_API_BASE="") as url:
        told = await events(url, EXAMPLES[3].prompt)
        assert told[-1]["type"] == "run-finish"
        assert (await what_it_says(url))["live"] is False


async def test_the_command_asks_the_server_that_it_is_given() -> None:
    async with ReplayServer(BY_ID.values()) as replay:
        async with started(VLLM_API_BASE=replay.base_url) as url:
            told = await events(url, EXAMPLES[3].prompt)
            about = await what_it_says(url)
        assert told[-1]["type"] == "run-finish"
        assert about["live"] is True
        assert f"http://{about['source']}/v1" == replay.base_url
        assert replay.requests[-1].recording_id == "malformed_call"
