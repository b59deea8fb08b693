"""`python -m docs.examples.web`, as the page's README has it."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from docs.examples.web.app import EXAMPLES
from docs.examples.web.chat import CHAT_EXAMPLES
from langchain_toolstream.testing import ReplayServer
from tests.integration_tests.web.watching import BY_ID, events

ROOT = Path(__file__).parents[3]


async def what_it_says(url: str) -> dict[str, Any]:
    """Of itself."""
    async with httpx.AsyncClient() as client:
        about: dict[str, Any] = (await client.get(f"{url}about")).json()
    return about


@asynccontextmanager
async def started(
    module: str = "docs.examples.web", folder: Path = ROOT, **environment: str
) -> AsyncIterator[str]:
    """The command of the docs; yields where its page is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", module),
        cwd=folder,
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


def unpacked(folder: Path) -> Path:
    """Where what a wheel holds is, as if it were installed."""
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"


async def test_the_command_of_an_installed_package_runs(tmp_path: Path) -> None:
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    build = (str(uv), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT))
    building = await asyncio.create_subprocess_exec(*build)
    assert await building.wait() == 0
    installed = unpacked(tmp_path)
    module = "langchain_toolstream.examples.web"
    # First on the path there, before the clone's own package.
    async with (
        started(module, installed, VLLM_API_BASE="", PYTHONPATH=str(installed)) as url,
        httpx.AsyncClient() as client,
    ):
        assert (await client.get(f"{url}chat.html")).status_code == 200
        said = {"thread": "t", "prompt": CHAT_EXAMPLES[0]}
        told = (await client.post(f"{url}chat", json=said, timeout=20)).text
        assert "event: interrupt" in told
        assert "event: run-finish" in told
