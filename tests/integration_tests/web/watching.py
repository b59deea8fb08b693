"""What the tests of the page look at it with."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Browser, Locator, Page

from docs.examples.web.app import RECORDINGS
from langchain_toolstream.testing import Recording, load_recordings

BY_ID = {recording.id: recording for recording in load_recordings(RECORDINGS)}
THREE = BY_ID["three_tools"]


@asynccontextmanager
async def watched(browser: Browser, width: int = 1000) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": width, "height": 800})
    context.set_default_timeout(20_000)
    page = await context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    await context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))] == []


async def run(page: Page, url: str, example: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name=example, exact=True).click()


async def until(page: Page, state: str) -> None:
    await page.locator(f"#run[data-state={state}]").wait_for()


def call(page: Page, name: str) -> Locator:
    return page.locator(f".call[data-name={name}]")


def field(of: Locator, path: str) -> Locator:
    return of.locator(f".field[data-path='{path}'] output")


def before(recording: Recording, text: str) -> int:
    """How many events there are before the one that has a text in it."""
    return next(i for i, event in enumerate(recording.events) if text.encode() in event)


async def events(url: str, prompt: str) -> list[dict[str, Any]]:
    """What the page is told."""
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{url}run", json={"prompt": prompt}, timeout=20)
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def fits(page: Page) -> bool:
    sizes = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wide, seen = await page.evaluate(sizes)
    return bool(wide <= seen)
