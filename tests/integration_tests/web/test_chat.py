"""The conversation of `docs/examples/web` in Chromium: approve, edit, refuse, reload."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from docs.examples.web.chat import CHAT_EXAMPLES, Answer, Busy, Conversations, Recorded, Say
from langchain_toolstream import ChatVLLM, ResumeError
from langchain_toolstream.testing import ReplayServer
from scripts.web_page import serve
from tests.integration_tests.web.watching import BY_ID, call, field, fits, run, until, watched

pytestmark = pytest.mark.asyncio(loop_scope="module")

POEM, WEATHER, SEARCH, RIVER = CHAT_EXAMPLES


async def say(page: Page, prompt: str) -> None:
    await page.get_by_role("button", name=prompt, exact=True).click()


async def opened(page: Page, url: str) -> None:
    await page.goto(f"{url}chat.html")
    await expect(page.get_by_role("button", name=POEM, exact=True)).to_be_enabled()


def decision(page: Page, name: str = "write_file") -> Locator:
    return call(page, name).last.get_by_role("form", name=f"May {name} run?")


def told(replay: Any) -> list[dict[str, Any]]:
    """What the model read last, of results."""
    messages = replay.requests[-1].body["messages"]
    return [one for one in messages if one["role"] == "tool"]


async def test_approves(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, replay):
        await opened(page, url)
        await say(page, POEM)
        await until(page, "asking")
        writing = call(page, "write_file")
        await expect(writing).to_have_attribute("data-state", "asking")
        await expect(field(writing, "path")).to_have_text("poem.txt")
        await expect(decision(page)).to_be_focused()
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        await decision(page).get_by_role("button", name="Approve").click()
        await until(page, "finished")
        await expect(writing).to_have_attribute("data-state", "done")
        await expect(writing.get_by_role("link", name="Download poem.txt")).to_be_visible()
        # The model was told, and said something; nothing is sent after that.
        (result,) = told(replay)
        assert result["content"].startswith("Wrote ")
        await expect(page.locator(".message").last.locator(".text")).not_to_be_empty()
        count = len(replay.requests)
        assert count == 2
        # The conversation goes on, and a tool that only reads does not ask.
        await say(page, WEATHER)
        await until(page, "finished")
        await expect(call(page, "get_weather").locator("img")).to_be_visible()
        assert len(replay.requests) == count + 2


async def test_edits(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, replay):
        await opened(page, url)
        await say(page, POEM)
        await decision(page).get_by_label("Change path").fill("winter.txt")
        await decision(page).get_by_role("button", name="Approve").click()
        await until(page, "finished")
        writing = call(page, "write_file")
        await expect(field(writing, "path")).to_have_text("winter.txt")
        await expect(writing.get_by_role("link", name="Download winter.txt")).to_be_visible()
        (result,) = told(replay)
        assert "winter.txt" in result["content"]


async def test_refuses(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, replay):
        await opened(page, url)
        await say(page, POEM)
        await decision(page).get_by_label("Reason to refuse").fill("Not today.")
        await decision(page).get_by_role("button", name="Refuse").click()
        await until(page, "finished")
        await expect(call(page, "write_file")).to_have_attribute("data-state", "refused")
        await expect(call(page, "write_file").locator(".result")).to_contain_text("Not today.")
        (result,) = told(replay)
        assert "Not today." in result["content"]
        assert len(replay.requests) == 2


async def test_goes_on_after_a_reload(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, replay):
        await opened(page, url)
        await say(page, WEATHER)
        await until(page, "finished")
        await say(page, POEM)
        await until(page, "asking")
        before = await page.locator(".call h3, .user, .message .text").all_text_contents()
        count = len(replay.requests)
        await page.reload()
        await until(page, "asking")
        after = await page.locator(".call h3, .user, .message .text").all_text_contents()
        assert after == before
        assert len(replay.requests) == count  # nothing was asked of the model for that
        await expect(call(page, "get_weather").locator("img")).to_be_visible()
        await expect(field(call(page, "write_file"), "path")).to_have_text("poem.txt")
        await decision(page).get_by_role("button", name="Approve").click()
        await until(page, "finished")
        await expect(call(page, "write_file")).to_have_attribute("data-state", "done")
        shown = await page.locator(".call h3, .user, .message .text").all_text_contents()
        await page.reload()
        await expect(call(page, "write_file")).to_have_attribute("data-state", "done")
        await expect(page.get_by_role("link", name="Download poem.txt")).to_be_visible()
        again = await page.locator(".call h3, .user, .message .text").all_text_contents()
        assert again == shown
        await page.get_by_role("link", name="New conversation").click()
        await expect(page.get_by_role("button", name=POEM, exact=True)).to_be_enabled()
        await expect(page.locator(".call")).to_have_count(0)


async def test_by_keyboard_alone(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, replay):
        await opened(page, url)
        await page.get_by_role("button", name=POEM, exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(decision(page)).to_be_focused()
        await page.keyboard.press("Enter")  # decides nothing
        await page.keyboard.press("Tab")
        await expect(decision(page).get_by_label("Change path")).to_be_focused()
        for _ in range(3):
            await page.keyboard.press("Tab")
        await expect(decision(page).get_by_role("button", name="Approve")).to_be_focused()
        assert len(replay.requests) == 1
        await page.keyboard.press("Enter")
        await until(page, "finished")
        await expect(page.locator("#status")).to_have_text("The answer finished.")
        await expect(page.get_by_role("textbox", name="Message")).to_be_focused()


async def test_an_answer_that_comes_too_late_is_told(browser: Browser) -> None:
    page = await browser.new_page()  # the browser itself writes of a 4xx in its console
    async with serve(BY_ID.values()) as (url, _):
        await opened(page, url)
        await say(page, POEM)
        await until(page, "asking")
        # Another tab has answered: what this one says comes too late.
        thread = page.url.partition("#")[2]
        async with httpx.AsyncClient() as client:
            (part,) = (
                one
                for one in (await client.get(f"{url}chat/{thread}")).json()[-1]["parts"]
                if "approval" in one
            )
            said = {"thread": thread, "decisions": {part["approval"]["id"]: {"type": "burn"}}}
            refused = await client.post(f"{url}chat/answer", json=said)
            assert refused.status_code == 422
            busy = await client.post(f"{url}chat", json={"thread": thread, "prompt": "Hi."})
            assert busy.status_code == 409
            said["decisions"] = {part["approval"]["id"]: {"type": "approve"}}
            assert (await client.post(f"{url}chat/answer", json=said)).status_code == 200
        await decision(page).get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("alert").first).to_contain_text("Nothing is asked")
    await page.close()


AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] })
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => html + failureSummary)])
}"""  # noqa: E501


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("shown", ["asking", "finished", "refused", "a run", "a failed run"])
async def test_passes_an_audit(browser: Browser, clients: Path, shown: str, colours: Any) -> None:
    context = await browser.new_context(
        bypass_csp=True, color_scheme=colours, reduced_motion="reduce"
    )
    async with serve(BY_ID.values()) as (url, _):
        page = await context.new_page()
        if shown.endswith("run"):
            await run(page, url, "Three tools" if shown == "a run" else "Tool fails")
            await until(page, "finished")
        else:
            await opened(page, url)
            await say(page, POEM)
            await until(page, "asking")
        if shown in ("finished", "refused"):
            button = "Approve" if shown == "finished" else "Refuse"
            await decision(page).get_by_role("button", name=button).click()
            await until(page, "finished")
        await page.add_script_tag(path=clients / "node_modules" / "axe-core" / "axe.min.js")
        assert await page.evaluate(AXE) == []
    await context.close()


@pytest.mark.parametrize("width", [390, 320])
async def test_fits_a_phone(browser: Browser, width: int) -> None:
    async with serve(BY_ID.values()) as (url, _), watched(browser, width) as page:
        await opened(page, url)
        await say(page, POEM)
        await until(page, "asking")
        assert await fits(page)
        await decision(page).get_by_role("button", name="Approve").click()
        await until(page, "finished")
        assert await fits(page)


async def test_two_posts_at_once_are_one_run() -> None:
    async with ReplayServer(BY_ID.values()) as replay:
        conversations = Conversations(ChatVLLM(base_url=replay.base_url), Recorded())
        said = Say(thread="a", prompt=POEM)
        posts = (conversations.say(said), conversations.say(said))
        admitted = await asyncio.gather(*posts, return_exceptions=True)
        body, refused = sorted(admitted, key=lambda one: isinstance(one, Busy))
        assert isinstance(refused, Busy)
        # Neither may anything else, until the body has been read.
        with pytest.raises(Busy):
            await conversations.say(said)
        with pytest.raises(Busy):
            await conversations.answer(Answer(thread="a", decisions={}))
        assert b"event: interrupt" in b"".join([piece async for piece in body])
        assert len(replay.requests) == 1
        # A post that is an error leaves the conversation free.
        for _ in range(2):
            with pytest.raises(Busy, match="A question is open"):
                await conversations.say(said)
            with pytest.raises(ResumeError):
                await conversations.answer(Answer(thread="a", decisions={}))


async def test_a_body_that_nobody_reads_leaves_the_conversation_free() -> None:
    async with ReplayServer(BY_ID.values()) as replay:
        conversations = Conversations(ChatVLLM(base_url=replay.base_url), Recorded())
        said = Say(thread="a", prompt=WEATHER)
        await (await conversations.say(said)).aclose()
        body = [piece async for piece in await conversations.say(said)]
        assert b"event: run-finish" in body[-1]


async def test_two_users_at_once() -> None:
    """One leaves in the middle; the other's stream is whole, and nothing is left of either."""
    river = BY_ID["chat_write_a_poem_about_river_to_river_txt"]
    recordings = [one for one in BY_ID.values() if one.id != river.id]
    stalled = river.stall(after_events=20)
    async with (
        serve([*recordings, stalled], pace=50) as (url, replay),
        httpx.AsyncClient() as client,
    ):
        before = asyncio.all_tasks()

        def post(thread: str, prompt: str) -> Any:
            return client.stream("POST", f"{url}chat", json={"thread": thread, "prompt": prompt})

        async with post("b", WEATHER) as staying:
            lines = staying.aiter_lines()
            names = [await anext(lines)]
            async with post("a", RIVER) as leaving:
                async for line in leaving.aiter_lines():
                    if line.startswith("event: argument-delta"):
                        break
            disconnect = await replay.await_disconnect(20)
            assert disconnect.recording_id == stalled.id
            names += [line async for line in lines]
        names = [one.removeprefix("event: ") for one in names if one.startswith("event: ")]
        assert names[0] == "message-start"
        assert names.count("message-finish") == 2
        assert names.count("tool-finish") == 1
        assert names[-1] == "run-finish"
        if left_over := asyncio.all_tasks() - before:
            _, pending = await asyncio.wait(left_over, timeout=20)
            assert not pending
        # Who left finds the conversation again, and may go on.
        shown = (await client.get(f"{url}chat/a")).json()
        assert [one["role"] for one in shown] == ["user"]
