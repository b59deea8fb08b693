"""The page of `docs/examples/web` in a headless Chromium, behind recorded streams of a real vLLM.

Where a test says that something is seen *before* something else, the recording goes silent in
between: the model has not ended, and only the page's leaving ends it.
"""

import asyncio

import pytest
from playwright.async_api import Browser, Page, expect

from docs.examples.web.app import EXAMPLES
from langchain_toolstream.testing import Recording
from scripts.vllm_cpu.server import PARSERS, VLLMServer
from scripts.web_page import serve, serve_page
from tests.integration_tests.web.watching import (
    BY_ID,
    THREE,
    before,
    call,
    events,
    field,
    fits,
    run,
    until,
    watched,
)
from tests.unit_tests.vllm.wire import body, chunk, part

pytestmark = pytest.mark.asyncio(loop_scope="module")


# In the middle of the poem.
STALLED = THREE.stall(after_events=before(THREE, "quiet"))


async def test_shows_a_field_before_its_call_is_closed_and_a_result_before_the_model_ends(
    page: Page,
) -> None:
    async with serve([STALLED]) as (url, replay):
        await run(page, url, "Three tools")
        writing = call(page, "write_file")
        await expect(field(writing, "content")).to_contain_text("Ode to the winter")
        await expect(field(writing, "path")).to_have_text("poem.txt")
        await expect(call(page, "search").locator("td").first).to_have_text("Where Go the Boats?")
        await expect(call(page, "get_weather").locator("img")).to_be_visible()
        # The model is silent, and has neither ended its message nor closed the call.
        assert replay.active == 1
        await expect(page.locator(".message")).to_have_attribute("data-state", "writing")
        await expect(writing).to_have_attribute("data-state", "writing")
        await expect(writing.locator(".result")).to_have_text("Not started")
        await expect(call(page, "search").get_by_text("started early")).to_be_visible()
        await expect(page.locator(".reasoning")).to_contain_text("The user needs 3 tool calls")
        await page.close()
        await replay.await_disconnect(20)


LEAVING = {
    "the tab is closed": lambda page: page.close(),
    "another page is opened": lambda page: page.goto("about:blank"),
    "the page is loaded again": lambda page: page.reload(),
    "Stop is pressed": lambda page: page.get_by_role("button", name="Stop").click(),
    "another run is started": lambda page: page.get_by_role("button", name="Tool fails").click(),
}


@pytest.mark.parametrize("leave", LEAVING)
async def test_the_model_stops_when(browser: Browser, leave: str) -> None:
    async with serve([STALLED, BY_ID["tool_fails"]]) as (url, replay), watched(browser) as page:
        await run(page, url, "Three tools")
        await expect(field(call(page, "write_file"), "content")).not_to_be_empty()
        assert replay.active == 1
        await LEAVING[leave](page)
        disconnect = await replay.await_disconnect(20)
        assert disconnect.recording_id == STALLED.id
        if leave == "Stop is pressed":
            await until(page, "stopped")
            await expect(call(page, "write_file")).to_have_attribute("data-state", "stopped")
        if leave == "another run is started":
            await until(page, "finished")
        else:
            assert replay.active == 0


# At each change, the state of the call and what its field shows.
OBSERVE = """() => {
  window.seen = []
  new MutationObserver(() => {
    const call = document.querySelector(".call[data-name=write_file]")
    const text = call?.querySelector("[data-path=content] output").textContent
    if (call) window.seen.push([call.dataset.state, text])
  }).observe(document.body, { subtree: true, childList: true, characterData: true })
}"""


async def test_a_field_grows_piece_by_piece(page: Page) -> None:
    async with serve([THREE], pace=100) as (url, _):
        await page.goto(url)
        await page.evaluate(OBSERVE)
        await page.get_by_role("button", name="Three tools").click()
        await until(page, "finished")
        poem = await field(call(page, "write_file"), "content").text_content()
        seen = await page.evaluate("window.seen")
    writing = [text for state, text in seen if state == "writing"]
    assert poem is not None
    assert poem.endswith("you carry on. ✨\n")
    assert all(poem.startswith(text) for text in writing)
    assert writing == sorted(writing, key=len)
    assert len(set(writing)) > 5


async def test_shows_what_came_of_it(page: Page) -> None:
    async with serve([THREE]) as (url, _):
        await run(page, url, "Three tools")
        await until(page, "finished")
        search, weather, write = (
            call(page, name) for name in ("search", "get_weather", "write_file")
        )
        rows = await search.locator("tbody tr").all_inner_texts()
        assert rows[1] == "The Brook\tAlfred Tennyson\t1855"
        alt = await weather.locator("img").get_attribute("alt")
        assert alt == "Mean temperatures in Paris, from 5 to 21 °C"
        loaded = "image => image.naturalWidth"
        assert await weather.locator("img").evaluate(loaded) == 332
        async with page.expect_download() as downloading:
            await write.get_by_role("link", name="Download poem.txt").click()
        download = await downloading.value
        assert download.suggested_filename == "poem.txt"
        written = await field(write, "content").text_content()
        assert await asyncio.to_thread((await download.path()).read_text, "utf-8") == written
        await expect(page.locator(".foot")).to_contain_text("109 tokens read, 210 written")


async def test_draws_when_the_model_wrote_and_the_tools_ran(page: Page) -> None:
    async with serve([THREE], pace=100) as (url, _):
        await run(page, url, "Three tools")
        await until(page, "finished")
        lanes = page.locator(".lane")
        assert await lanes.locator(".lane-name").all_inner_texts() == [
            "model", "1\nsearch", "2\nget_weather", "3\nwrite_file",
        ]  # fmt: skip
        kinds = "lane => [...lane.querySelectorAll('.bar')].map((bar) => bar.dataset.kind)"
        assert [await lane.evaluate(kinds) for lane in await lanes.all()] == [
            ["model"], *[["writing", "running"]] * 3
        ]  # fmt: skip
        boxes = [
            [await bar.bounding_box() for bar in await lane.locator(".bar").all()]
            for lane in await lanes.all()
        ]
        (model,), (_, search), (_, weather), (_, write) = boxes
        shade = await page.locator(".shade").bounding_box()
        plot = await page.locator("#grid").bounding_box()
        assert model
        assert search
        assert weather
        assert write
        assert shade
        assert plot
        end = model["x"] + model["width"]
        # Both began while the model wrote, and what is shaded is that time.
        assert model["x"] < search["x"] < weather["x"] < end
        assert write["x"] >= end - 1
        assert abs(shade["x"] - model["x"]) < 1
        assert write["x"] + write["width"] <= plot["x"] + plot["width"] + 3
        await expect(lanes.nth(1).locator(".hidden")).to_contain_text("was written from")
        await expect(page.locator("#summary")).to_contain_text("of 3 finished before it did.")


@pytest.mark.parametrize(
    ("example", "name", "reason"),
    [
        ("Call cut off", "write_file", "The message was cut off (finish reason 'length')"),
        ("Malformed call", "get_weather", "The arguments are not JSON"),
    ],
)
async def test_what_is_no_call_is_shown_and_never_runs(
    page: Page, example: str, name: str, reason: str
) -> None:
    prompt = next(one.prompt for one in EXAMPLES if one.name == example)
    async with serve(BY_ID.values()) as (url, _):
        await run(page, url, example)
        await until(page, "finished")
        refused = call(page, name).last
        await expect(refused).to_have_attribute("data-state", "invalid")
        await expect(refused.locator(".result")).to_contain_text("It never ran.")
        await expect(refused.locator(".result")).to_contain_text(reason)
        await expect(page.locator(".lane").last).to_contain_text("never ran")
        told = await events(url, prompt)
    (invalid,) = [event for event in told if event["type"] == "tool-call-invalid"]
    started = [event["id"] for event in told if event["type"] == "tool-start"]
    assert len(started) == 1
    assert invalid["id"] not in started


async def test_a_tool_that_fails_is_shown(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, _):
        await run(page, url, "Tool fails")
        await until(page, "finished")
        failed = call(page, "get_weather").last
        await expect(failed).to_have_attribute("data-state", "failed")
        error = "There is no climate table for 'Bergen'."
        await expect(failed.locator(".result")).to_contain_text(error)
        await expect(page.locator(".text")).to_have_text("Let me use the tools for that.")


async def test_nested_arguments_are_fields_within_fields(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, _):
        await run(page, url, "Nested arguments")
        await until(page, "finished")
        trip = call(page, "plan_trip")
        paths = "form => [...form.querySelectorAll('.field')].map((one) => one.dataset.path)"
        assert await trip.locator("form").evaluate(paths) == [
            "traveller.name", "traveller.window_seat",
            "stops[0].city", "stops[0].by", "stops[0].nights",
            "stops[1].city", "stops[1].by", "stops[1].nights",
            "budget",
        ]  # fmt: skip
        await expect(field(trip, "stops[1].city")).to_have_text("Tokyo")
        await expect(field(trip, "traveller.window_seat")).to_have_text("true")
        stop = trip.get_by_role("group", name="stops").get_by_role("group", name="2")
        await expect(stop.get_by_label("city")).to_have_text("Tokyo")


async def test_shows_a_large_integer_to_its_last_digit(page: Page) -> None:
    large = "123456789012345678901234567890"
    args = f'{{"path": "a.txt", "content": "b", "more": [{large}, -{large}, 1.5]}}'
    recording = Recording(
        id="large",
        request=THREE.request,
        body=body(
            chunk(part(args, id="c1", name="write_file")),
            chunk(finish_reason="tool_calls"),
        ),
    )
    async with serve([recording]) as (url, _):
        await run(page, url, "Three tools")
        await until(page, "finished")
        shown = [field(call(page, "write_file"), f"more[{index}]") for index in range(3)]
        assert [await one.text_content() for one in shown] == [large, f"-{large}", "1.5"]


async def test_a_call_that_is_taken_back_drops_its_result(page: Page) -> None:
    contradicted = Recording(
        id="contradicted",
        request=THREE.request,
        body=body(
            chunk(part('{"query": "river"}', id="c1", name="search")),
            chunk(part('{"query": "sea"}')),
            chunk(finish_reason="tool_calls"),
        ),
    )
    async with serve([contradicted]) as (url, _):
        await run(page, url, "Three tools")
        await until(page, "finished")
        search = call(page, "search")
        await expect(search).to_have_attribute("data-state", "invalid")
        await expect(search.locator(".result")).to_contain_text("Taken back")
        await expect(search.get_by_text("The model reads")).to_have_count(0)
        await expect(page.locator(".lane").last).to_contain_text("taken back")


@pytest.mark.parametrize("how", ["an error of the server", "a dropped connection"])
async def test_a_run_that_breaks_off_is_shown(page: Page, how: str) -> None:
    count = before(THREE, "write_file") + 10
    broken = THREE.cut(after_events=count)
    if how == "an error of the server":
        broken = THREE.fail(after_events=count, message="out of luck")
    async with serve([broken]) as (url, _):
        await run(page, url, "Three tools")
        await until(page, "failed")
        await expect(page.get_by_role("alert")).not_to_be_empty()
        if how == "an error of the server":
            await expect(page.get_by_role("alert")).to_contain_text("out of luck")
        await expect(call(page, "write_file")).to_have_attribute("data-state", "invalid")
        await expect(page.locator("#summary")).not_to_contain_text("finished before")
        await expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()


@pytest.mark.parametrize("example", [example.name for example in EXAMPLES])
async def test_fits_a_phone(page: Page, example: str) -> None:
    async with serve(BY_ID.values()) as (url, _):
        await run(page, url, example)
        await until(page, "finished")
        for width in (390, 320):
            await page.set_viewport_size({"width": width, "height": 700})
            assert await fits(page), width


async def test_a_run_by_keyboard_alone(page: Page) -> None:
    async with serve(BY_ID.values()) as (url, _):
        await page.goto(url)
        await page.get_by_role("button", name="Three tools").wait_for()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
        await page.keyboard.press("Enter")
        await until(page, "finished")
        await expect(page.locator("#status")).to_have_text("The run finished.")
        for name in ("query", "city", "path", "content"):
            await expect(page.get_by_label(name, exact=True)).to_be_visible()
        unnamed = "[...document.querySelectorAll('output')].filter((one) => !one.labels.length)"
        assert await page.evaluate(f"{unnamed}.length") == 0


@pytest.mark.parametrize("vllm_server", PARSERS[:1], indirect=True, scope="session")
@pytest.mark.timeout(600)  # Perhaps it has to wait for the server.
async def test_a_run_on_a_real_server(page: Page, vllm_server: VLLMServer) -> None:
    async with serve_page(vllm_server.base_url, live=True) as url:
        await page.goto(url)
        await page.get_by_role("textbox", name="Prompt").fill("What is the weather in Rome?")
        await page.get_by_role("button", name="Run", exact=True).click()
        await until(page, "finished")
        await expect(field(call(page, "get_weather"), "city")).to_have_text("Rome")
        await expect(call(page, "get_weather").locator("img")).to_be_visible()
