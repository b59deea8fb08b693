"""Pictures and files of tools, in the form that each protocol has for them."""

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import RunAgentInput, ToolCallResultEvent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from matplotlib.figure import Figure
from PIL import Image

from langchain_toolstream import ag_ui_messages, ai_sdk_messages, read_history, to_ag_ui, to_ai_sdk
from langchain_toolstream.core.events import ToolEvent, ToolFinish, ToolStart

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
BLOCK = {"type": "image", "mime_type": "image/png", "base64": PNG}
OLD = {"type": "image", "mime_type": "image/png", "source_type": "base64", "data": PNG}
PDF = {"type": "file", "mime_type": "application/pdf", "base64": "aGk=", "extras": {"name": "a"}}
LINK = {"type": "image", "mime_type": "image/png", "url": "https://example.com/a.png"}
SOUND = {"type": "audio", "mime_type": "audio/wav", "base64": "aGk="}


async def run(content: Any, artifact: Any = None) -> AsyncIterator[ToolEvent]:
    yield ToolStart(run_id="m", id="c 1;,%", name="draw", args={})
    yield ToolFinish(run_id="m", id="c 1;,%", name="draw", content=content, artifact=artifact)


async def ai_sdk(content: Any, artifact: Any = None) -> tuple[Any, list[Any]]:
    """The output of a call, and the parts of files."""
    said = [
        json.loads(piece.removeprefix(b"data: "))
        async for piece in to_ai_sdk(run(content, artifact))
        if b"[DONE]" not in piece
    ]
    (output,) = (one["output"] for one in said if one["type"] == "tool-output-available")
    return output, [one for one in said if one["type"] == "file"]


async def ag_ui(content: Any, artifact: Any = None, version: str | None = "1.0") -> Any:
    events = to_ag_ui(run(content, artifact), protocol_version=version)
    said = [one async for one in events]
    (result,) = (one for one in said if isinstance(one, ToolCallResultEvent))
    return result, {one.name: one.value for one in said if one.type == "CUSTOM"}


def picture() -> Image.Image:
    return Image.new("RGB", (2, 2), "red")


def drawn(kind: str) -> Any:
    return picture() if kind == "pillow" else Figure(figsize=(1, 1))


@pytest.mark.parametrize(
    ("artifact", "types"),
    [
        (BLOCK, ["image/png"]),
        (OLD, ["image/png"]),
        (PDF, ["application/pdf"]),
        (SOUND, ["audio/wav"]),
        (LINK, ["image/png"]),
        ([BLOCK, {"note": 1}, PDF], ["image/png", "application/pdf"]),
        (base64.b64decode(PNG), ["image/png"]),
        ({"type": "image", "mime_type": 'image/png";x=1,', "base64": PNG}, ["image/*"]),
        ({"type": "image", "base64": "no base64"}, []),
        ({"type": "image", "mime_type": "image/png", "url": "javascript:alert(1)"}, []),
        ({"type": "image", "mime_type": "image/png"}, []),
        ({"type": "chart", "base64": PNG}, []),
        (b"\x00\x01", []),
        ([1, "a", None], []),
        ("text", []),
    ],
    ids=range(15),
)
async def test_of_an_artifact(artifact: Any, types: list[str]) -> None:
    output, files = await ai_sdk("Drawn.", artifact)
    assert [one["mediaType"] for one in files] == types
    assert all(one["url"].startswith(("data:", "https://")) for one in files)
    if types and artifact is not LINK:
        assert PNG not in json.dumps(output)  # once is enough
    result, custom = await ag_ui("Drawn.", artifact)
    assert "tool-artifact" in custom
    parts = [] if isinstance(result.content, str) else result.content[1:]
    assert [one.source.mime_type for one in parts] == types
    old, custom = await ag_ui("Drawn.", artifact, version=None)
    assert old.content == "Drawn."


@pytest.mark.parametrize("kind", ["pillow", "matplotlib"])
async def test_what_was_drawn_is_a_picture(kind: str) -> None:
    _, (file,) = await ai_sdk("Drawn.", drawn(kind))
    data = base64.b64decode(file["url"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).format == "PNG"


async def test_a_picture_that_is_too_large_is_described() -> None:
    output, files = await ai_sdk("Drawn.", Image.new("1", (4000, 4000)))
    assert files == []
    assert output["artifact"]["$type"] == "PIL.Image.Image"


async def test_what_the_model_reads_is_shown_too() -> None:
    content = [{"type": "text", "text": "See "}, BLOCK, {"type": "text", "text": "this."}]
    output, (file,) = await ai_sdk(content)
    assert output["content"][1] == {"type": "image", "mime_type": "image/png"}
    assert file["url"].endswith(PNG)
    result, _ = await ag_ui(content)
    assert [one.type for one in result.content] == ["text", "image"]
    assert result.content[0].text == "See this."
    old, custom = await ag_ui(content, version="0.0.59")
    assert old.content == "See this."
    assert custom["tool-file"]["url"] == f"data:image/png;base64,{PNG}"


def conversation(content: Any, artifact: Any) -> list[Any]:
    call = tool_call(name="draw", args={}, id="c 1;,%")
    return [
        HumanMessage("Draw", id="h"),
        AIMessage("", tool_calls=[call], id="a"),
        ToolMessage(content, tool_call_id="c 1;,%", artifact=artifact, id="t"),
    ]


@pytest.mark.parametrize(
    ("content", "artifact"),
    [
        ("Drawn.", BLOCK),
        ("Drawn.", PDF),
        ("Drawn.", LINK),
        ("Drawn.", [BLOCK, {"note": 1}, PDF, BLOCK]),
        ("Drawn.", [LINK, PDF]),
        ([{"type": "text", "text": "See"}, BLOCK], None),
        ([{"type": "text", "text": "See"}, SOUND, BLOCK], [PDF, BLOCK]),
    ],
    ids=range(7),
)
def test_come_back_to_where_they_were(content: Any, artifact: Any) -> None:
    shown = json.loads(json.dumps(ai_sdk_messages(conversation(content, artifact))))
    *_, answer, result = read_history({"messages": shown})
    assert isinstance(result, ToolMessage)
    assert (result.content, result.artifact) == (content, artifact)
    assert answer.content == ""  # a file of a result is none of the model's
    posted = RunAgentInput.model_validate(
        {
            "threadId": "t",
            "runId": "r",
            "messages": ag_ui_messages(conversation(content, artifact), protocol_version="1.0"),
        }
    )
    *_, result = read_history(posted)
    assert isinstance(result, ToolMessage)
    assert result.content == content  # and nothing of the artifact's


def test_a_mark_that_was_tampered_with_changes_no_other_result() -> None:
    shown = ai_sdk_messages(conversation("Drawn.", {"note": 1}))
    for mark in ("artifact 0 c 1;,%", "artifact 99999999999 c 1;,%", "artifact x", "content 0 c"):
        shown[-1]["parts"].append(
            {"type": "file", "url": f"data:image/png;tool={mark};base64,aGk="}
        )
        *_, result = read_history(shown)
        assert isinstance(result, ToolMessage)
        assert (result.content, result.artifact) == ("Drawn.", {"note": 1})
