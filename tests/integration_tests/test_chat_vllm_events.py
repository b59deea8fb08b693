"""v3 events come while the server is still writing."""

from typing import Any

import pytest

from langchain_toolstream.core.errors import ServerStreamError
from langchain_toolstream.testing import ReplayServer, bundled_recordings
from tests.integration_tests.chat import QUESTION, bound, nth_call

# langchain-core calls its v3 protocol beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CALLS = next(one for one in bundled_recordings() if one.id == "auto_3calls_weather")
SILENT = CALLS.stall(after_events=nth_call(CALLS, 2) + 1)


def test_a_call_finishes_in_the_middle_of_the_stream() -> None:
    with ReplayServer([SILENT]) as server:
        events: list[Any] = []
        for event in bound(server, SILENT).stream_events(QUESTION, version="v3"):
            events.append(event)
            if event["event"] == "content-block-finish":
                break
        assert server.active == 1
    check(events)


async def test_a_call_finishes_in_the_middle_of_an_async_stream() -> None:
    async with ReplayServer([SILENT]) as server:
        llm = bound(server, SILENT)
        events: list[Any] = []
        async with await llm.astream_events(QUESTION, version="v3") as stream:
            async for event in stream:
                events.append(event)
                if event["event"] == "content-block-finish":
                    break
            assert server.active == 1
    check(events)


def check(events: list[Any]) -> None:
    names = [event["content"]["name"] for event in events if "content" in event]
    assert names == ["get_weather"] * 3  # its start, that of the next call, its finish
    assert events[-1]["content"]["type"] == "tool_call"
    assert events[-1]["index"] == 0


async def test_an_interruption_is_the_same_error_with_the_partial_message() -> None:
    failed = CALLS.fail(after_events=nth_call(CALLS, 2), message="no luck")
    with ReplayServer([failed]) as server:
        llm = bound(server, failed)
        with pytest.raises(ServerStreamError, match="no luck") as raised:
            list(llm.stream_events(QUESTION, version="v3"))
        with pytest.raises(ServerStreamError, match="no luck") as araised:
            await (await llm.astream_events(QUESTION, version="v3"))
    for error in (raised.value, araised.value):
        message = error.partial_message
        assert message.tool_calls == []
        assert len(message.invalid_tool_calls) == 2
        assert all("no luck" in call["error"] for call in message.invalid_tool_calls)
