"""What a model writes, what a tool returns and what another page sends does no harm."""

import base64
import json
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from docs.examples.web.app import EXAMPLES
from langchain_toolstream.testing import Recording
from scripts.web_page import serve
from tests.integration_tests.web.watching import THREE, call, field, fits, run, until, watched
from tests.unit_tests.vllm.wire import body, chunk, part

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
FLAT = MARKUP.replace("/", "")
LONG = "a" * 3000
HOSTILE = Recording(
    id="hostile",
    request=THREE.request,
    body=body(
        chunk(role="assistant", content=""),
        chunk(reasoning=MARKUP),
        chunk(content=f"{MARKUP}{LONG}"),
        chunk(part("", id=f"id'\"{MARKUP}", name="write_file")),
        chunk(part(json.dumps({"path": f"../{FLAT}\u202egnp.html", "content": MARKUP})[:-1])),
        chunk(part(', "__proto__": {"constructor": [[], {}, null, 1e300, "' + LONG + '"]}}')),
        chunk(part("", index=1, id="c2", name=MARKUP)),
        chunk(part('{"' + LONG + '": ' + '{"a":' * 90 + "1" + "}" * 91, index=1)),
        chunk(finish_reason="tool_calls"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("width", [1000, 390])
async def test_what_a_model_writes_stays_text(browser: Browser, width: int) -> None:
    async with serve([HOSTILE]) as (url, _), watched(browser, width) as page:
        await run(page, url, "Three tools")
        await until(page, "finished")
        await expect(field(call(page, "write_file"), "content")).to_have_text(MARKUP)
        await expect(page.locator(".reasoning p")).to_have_text(MARKUP)
        await expect(page.locator(".call h3").last).to_have_text(MARKUP)
        assert await page.title() == "toolstream: watch a run"
        assert await page.locator("script").count() == 1
        assert await page.locator("img").count() == 0
        link = page.get_by_role("link", name="Download")
        name = await link.get_attribute("download")
        assert name == f"{FLAT} gnp.html"[:100]
        assert await fits(page)


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# What a tool returned, and what of it is on the page: tags, and attributes that could do harm.
ARTIFACTS: dict[str, tuple[Any, list[str]]] = {
    "a picture": (
        {"type": "image", "mime_type": "image/png", "base64": "AAAA"}, ["img"],
    ),
    "a page that says it is a picture": (
        {"type": "image", "mime_type": "text/html", "base64": data(MARKUP)}, ["a", "pre"],
    ),
    "a type that leaves its attribute": (
        {"type": "image", "mime_type": 'image/png" onerror="alert(1)', "base64": "AAAA"}, ["a"],
    ),
    "data that are none": (
        {"type": "image", "mime_type": "image/png", "base64": '" onerror="alert(1)'}, ["pre"],
    ),
    "a picture elsewhere": (
        {"type": "image", "mime_type": "image/png", "url": "http://192.0.2.1/x.png"}, ["pre"],
    ),
    "markup": (MARKUP, ["pre"]),
    "rows of markup": ([{MARKUP: MARKUP, "__proto__": None}, {}], ["table"]),
    "data that are cut": (
        {"type": "image", "mime_type": "image/png", "base64": "AAAAA"}, ["pre"],
    ),
    "bytes": ({"$type": "bytes", "length": 3, "base64": "AAAA"}, ["a"]),
    "what JSON does not hold": ({"$type": "pandas.DataFrame", "shape": [3, 2]}, ["pre"]),
    "nothing": ([], ["pre"]),
}  # fmt: skip
RENDERED = """async (json) => {
  const { artifact } = await import("./artifact.js")
  const root = document.createElement("div")
  root.append(artifact(JSON.parse(json)))
  document.body.append(root)
  const all = [...root.querySelectorAll("*")]
  return {
    tags: all.map((one) => one.localName).filter((tag) => "a img pre table".includes(tag)),
    harm: all.flatMap((one) => [...one.attributes]).filter(({ name }) => /^on|srcdoc/.test(name)),
    links: all.map((one) => one.getAttribute("href") ?? one.getAttribute("src")).filter(Boolean),
    kinds: await Promise.all(
      [...root.querySelectorAll("a")].map(async ({ href }) => (await fetch(href)).headers.get("content-type")),
    ),
  }
}"""  # noqa: E501


@pytest.mark.parametrize("kind", ARTIFACTS)
async def test_artifacts_do_no_harm(browser: Browser, kind: str) -> None:
    value, tags = ARTIFACTS[kind]
    # What is fetched here is what a click would open; the page itself may not.
    context = await browser.new_context(bypass_csp=True)
    async with serve([THREE]) as (url, _):
        page = await context.new_page()
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        await page.goto(url)
        found = await page.evaluate(RENDERED, json.dumps(value))
        assert found["tags"] == tags
        assert found["harm"] == []
        assert all(link.startswith(("blob:", "data:image/")) for link in found["links"])
        assert set(found["kinds"]) <= {"application/octet-stream"}
        assert dialogs == []
    await context.close()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("poem.txt", "poem.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\autoexec.bat", "autoexec.bat"),
        (".bashrc", "bashrc"),
        ("cod\u202egnp.exe", "cod gnp.exe"),
        ("a\r\nb\0c", "a b c"),
        ("x" * 300, "x" * 100),
        ("..", "file"),
        ("", "file"),
        (None, "file"),
        (["a"], "a"),
    ],
)
async def test_a_file_has_a_safe_name(page: Page, name: Any, safe: str) -> None:
    async with serve([THREE]) as (url, _):
        await page.goto(url)
        script = "async (name) => (await import('./artifact.js')).safeName(name)"
        assert await page.evaluate(script, name) == safe


async def test_a_page_elsewhere_cannot_start_a_run() -> None:
    async with serve([THREE]) as (url, replay), httpx.AsyncClient() as client:
        simple = {"content-type": "text/plain"}  # what a form of any page may send
        asked = json.dumps({"prompt": EXAMPLES[0].prompt})
        assert (await client.post(f"{url}run", content=asked, headers=simple)).status_code == 415
        assert (await client.get(f"{url}run")).status_code == 404
        named = await client.post(f"{url}run", json={"prompt": "a"}, headers={"host": "evil.test"})
        assert named.status_code == 400
        origin = {"origin": "https://evil.test"}
        from_elsewhere = await client.post(f"{url}run", json={"prompt": "a"}, headers=origin)
        assert from_elsewhere.status_code == 403
        assert (await client.post(f"{url}run", json={"prompt": "a" * 200_000})).status_code == 413
        assert (await client.post(f"{url}run", json={"prompt": ""})).status_code == 422
        policy = (await client.get(url)).headers["content-security-policy"]
        assert policy == "frame-ancestors 'none'"
        assert (await client.get(f"{url}app.py")).status_code == 404
        assert replay.requests == []
