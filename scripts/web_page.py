"""The page of `docs/examples/web` in a headless Chromium: for its tests, and for its screenshots.

`python -m scripts.web_page` takes the screenshots anew. They show an emoji, so a font that has it
should be there (Debian's `fonts-noto-color-emoji`).
"""

import asyncio
import io
import shutil
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import uvicorn
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from docs.examples.web.app import HERE, PACE, RECORDINGS, make_app
from langchain_toolstream import ChatVLLM
from langchain_toolstream.testing import Recording, ReplayServer, load_recordings

MISSING = "There is no Chromium on PATH; in Debian it is the package chromium."
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A container's root has no sandbox, and what is loaded here is our own page. The rest keeps it from
# looking for its maker's servers.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SIZE = {"width": 1000, "height": 700}
_PHONE = {"width": 390, "height": 700}


def chromium() -> str | None:
    """Find the machine's Chromium.

    Returns:
        Its path, `None` where there is none.
    """
    return next(filter(None, map(shutil.which, _NAMES)), None)


@asynccontextmanager
async def launch() -> AsyncIterator[Browser]:
    """Run a browser until the end of the block.

    Yields:
        The browser.

    Raises:
        RuntimeError: There is none.
    """
    path = chromium()
    if path is None:
        raise RuntimeError(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        async with browser:
            yield browser


@asynccontextmanager
async def serve_page(base_url: str, *, live: bool = False) -> AsyncIterator[str]:
    """Serve the page until the end of the block.

    Args:
        base_url: The model's server.
        live: Whether the page may ask it anything.

    Yields:
        The page's address.
    """
    llm = ChatVLLM(base_url=base_url, temperature=0, max_retries=0)
    app = make_app(llm, live=live)
    # A browser keeps its connections, and nobody waits for them to end.
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def serve(
    recordings: Iterable[Recording], *, pace: Literal["instant"] | float = "instant"
) -> AsyncIterator[tuple[str, ReplayServer]]:
    """Serve the page, and a model that replays, until the end of the block.

    Args:
        recordings: What the model answers.
        pace: As for `ReplayServer`.

    Yields:
        The page's address, and the model's server.
    """
    async with (
        ReplayServer(recordings, pace=pace) as replay,
        serve_page(replay.base_url) as url,
    ):
        yield url, replay


async def screenshots(folder: Path) -> None:
    """Take pictures of the page while the model writes, and of finished runs.

    Args:
        folder: Where they go.
    """
    recordings = {one.id: one for one in load_recordings(RECORDINGS)}
    # Where they stop, the model is in the middle of a word.
    writing = recordings["three_tools"].stall(after_events=92)
    nested = recordings["nested_arguments"].stall(after_events=60)
    async with launch() as browser:
        for name, button, recording, dark, size in (
            ("writing", "Three tools", writing, False, _SIZE),
            ("finished", "Three tools", recordings["three_tools"], False, _SIZE),
            ("dark", "Call cut off", recordings["call_cut_off"], True, _SIZE),
            ("phone", "Nested arguments", nested, False, _PHONE),
        ):
            async with serve([recording], pace=PACE) as (url, _):
                page = await browser.new_page(
                    viewport={"width": size["width"], "height": size["height"]},
                    color_scheme="dark" if dark else "light",
                )
                await page.goto(url)
                await page.get_by_role("button", name=button).click()
                await _until_still(page, stalls=recording.ending == "stall")
                shot = await page.screenshot(full_page=True, animations="disabled")
                await page.close()
            path = folder / f"{name}.png"
            with Image.open(io.BytesIO(shot)) as image:
                # There are few colours, so a palette holds them all.
                small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            small.save(path, optimize=True)
            print(f"{path.stat().st_size:,} bytes in {path.name}")


async def _until_still(page: Page, *, stalls: bool) -> None:
    if not stalls:
        await page.locator("#run[data-state=finished]").wait_for()
        return
    seen = ""
    while (now := await page.inner_text("#messages")) != seen or not now:
        seen = now
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(screenshots(HERE))
