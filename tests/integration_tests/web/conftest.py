"""A browser for the tests of the page."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from scripts.web_page import MISSING, chromium, launch
from tests.integration_tests.web.watching import watched


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium; in CI it has to be there."""
    if chromium() is None:
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(MISSING)
        pytest.fail(MISSING)
    async with launch() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page on which nothing may go wrong, and which asks nobody but its own server."""
    async with watched(browser) as one:
        yield one
