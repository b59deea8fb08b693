"""What is shown of a recorded call while it is written, and what closing the stream saves."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from langchain_toolstream import PartialToolsParser, ToolCallError
from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from tests.integration_tests.chat import QUESTION, chat
from tests.unit_tests.scripted import PATIENCE

LONG = next(one for one in bundled_recordings() if one.id == "auto_write_file_long")
# The path ends in the ninth of 65 events; the rest comes only when somebody waits for it.
ABORTED = LONG.stall(after_events=len(LONG.events) // 3)


class write_file(BaseModel):  # noqa: N801 - the name of the recorded tool
    """Write a file."""

    path: str
    content: str


class Elsewhere(write_file):
    """Write a file, but not where the model wants to."""

    path: Annotated[str, Field(pattern=r"^notes/")]


Elsewhere.__name__ = "write_file"


def events_sent(recording: Recording, server: ReplayServer) -> int:
    left = server.wait_for_disconnect(PATIENCE)
    assert left.recording_id == recording.id
    return left.events_sent


def test_the_file_is_on_the_screen_as_it_is_written() -> None:
    parser = PartialToolsParser([write_file])
    with ReplayServer([LONG]) as server:
        llm = chat(server, LONG).bind_tools([write_file])
        *growing, last = (llm | parser).stream(QUESTION)
        pieces = list((llm | parser.text("content")).stream(QUESTION))
    assert last.tool_call is not None
    assert last.model == write_file.model_validate(last.args)
    contents = [view.args.get("content", "") for view in growing]
    assert all(last.args["content"].startswith(content) for content in contents)
    assert len(set(contents)) > 5
    assert "".join(pieces) == last.args["content"]


@pytest.mark.parametrize("what", ["views", "text"])
def test_abort_stops_the_server(what: str) -> None:
    parser = PartialToolsParser([Elsewhere], on_invalid="abort")
    step: Any = parser if what == "views" else parser.text("content")
    with ReplayServer([ABORTED]) as server:
        llm = chat(server, LONG).bind_tools([Elsewhere])
        with pytest.raises(ToolCallError, match=r"should match pattern .* at \$\.path"):
            list((llm | step).stream(QUESTION))
        assert events_sent(LONG, server) <= len(LONG.events) // 3


async def test_abort_stops_the_server_async() -> None:
    parser = PartialToolsParser([Elsewhere], on_invalid="abort")
    async with ReplayServer([ABORTED]) as server:
        chain = chat(server, LONG).bind_tools([Elsewhere]) | parser
        with pytest.raises(ToolCallError, match=r"at \$\.path"):
            [view async for view in chain.astream(QUESTION)]
        left = await server.await_disconnect(PATIENCE)
    assert left.events_sent <= len(LONG.events) // 3
