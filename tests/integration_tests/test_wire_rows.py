"""The rows of `docs/wire.md` that need a real connection, by their numbers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_toolstream.core.errors import IncompleteStreamError, ServerStreamError
from langchain_toolstream.testing import Recording, ReplayServer
from langchain_toolstream.vllm import VLLMInvalidRequestError
from tests.integration_tests.chat import QUESTION, chat
from tests.unit_tests.vllm.wire import chunk, event
from tests.unit_tests.wire.row import OSLO_TEXT, PARTS, SENT, f, head, sent, text

WIRE = sent(text("See: "), head(args=PARTS[0]), [f(0, args=PARTS[1])])
CALL = Recording(id="call", body=WIRE)
PARTIAL = {"", PARTS[0], OSLO_TEXT}


def refused(name: str, message: str, *, old: bool = False) -> Recording:
    """HTTP 400 as vLLM 0.32 writes it, or as older releases did."""
    error = {"message": message, "type": "BadRequestError", "param": None, "code": 400}
    shown = {"object": "error", **error} if old else {"error": error}
    return Recording(
        id=name, status=400, content_type="application/json", body=json.dumps(shown).encode()
    )


AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
FORCED = 'tool_choice="required" requires --tool-call-parser to be set'
REFUSALS = {
    "auto": (refused("auto", AUTO), "--enable-auto-tool-choice --tool-call-parser NAME"),
    "required": (refused("required", FORCED), "Start vLLM with --tool-call-parser NAME"),
    "old": (refused("old", AUTO, old=True), "--enable-auto-tool-choice --tool-call-parser NAME"),
}
CUTS = [CALL.cut(after_events=count) for count in range(len(CALL.events) - 1)]
FAILED = CALL.fail(after_events=2, message="out of luck", code=503)


def all_recordings() -> Iterator[Recording]:
    for count, cut in enumerate(CUTS):
        yield Recording(id=f"cut {count}", body=cut.body, ending=cut.ending)
    yield Recording(id="failed", body=FAILED.body)
    yield Recording(
        id="keep-alives", body=b"".join(b": keep-alive\n\n" * 3 + one for one in CALL.events)
    )
    yield from (recording for recording, _ in REFUSALS.values())


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer([*all_recordings()]) as server:
        yield server


def model(server: ReplayServer, name: str) -> Any:
    return chat(server, name).bind_tools(SENT)


@pytest.mark.parametrize("count", range(len(CUTS)))
def test_row_47_a_dropped_connection_confirms_nothing(server: ReplayServer, count: int) -> None:
    for read in (lambda llm: list(llm.stream(QUESTION)), lambda llm: llm.invoke(QUESTION)):
        with pytest.raises(IncompleteStreamError) as raised:
            read(model(server, f"cut {count}"))
        message = raised.value.partial_message
        assert message.tool_calls == []
        assert {call["args"] for call in message.invalid_tool_calls} <= PARTIAL
        assert message.content in ("", "See: ")


def test_row_45_an_error_behind_200_has_its_code_and_what_came(server: ReplayServer) -> None:
    with pytest.raises(ServerStreamError, match="out of luck") as raised:
        model(server, "failed").invoke(QUESTION)
    assert (raised.value.code, raised.value.type) == (503, "InternalServerError")
    message = raised.value.partial_message
    assert message.content == "See: "
    (call,) = message.invalid_tool_calls
    assert (call["name"], call["args"]) == ("get_weather", PARTS[0])
    assert "out of luck" in call["error"]


def test_row_50_keep_alives_change_nothing(server: ReplayServer) -> None:
    message = model(server, "keep-alives").invoke(QUESTION)
    assert [call["args"] for call in message.tool_calls] == [json.loads(OSLO_TEXT)]


@pytest.mark.parametrize("name", REFUSALS)
def test_row_63_a_parser_that_is_missing_is_named(server: ReplayServer, name: str) -> None:
    _, hint = REFUSALS[name]
    with pytest.raises(VLLMInvalidRequestError) as raised:
        model(server, name).invoke(QUESTION)
    assert hint in str(raised.value)
    assert "tool" in str(raised.value)


def test_row_46_an_old_error_breaks_a_stream(server: ReplayServer) -> None:
    old = {"object": "error", "message": "It broke.", "type": "X", "param": None, "code": 400}
    body = event(chunk(*head(args=OSLO_TEXT))) + event(old)
    with (
        ReplayServer([Recording(id="old", body=body)]) as other,
        pytest.raises(ServerStreamError, match=r"\(400, X\): It broke\."),
    ):
        model(other, "old").invoke(QUESTION)
