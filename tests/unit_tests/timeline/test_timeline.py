"""A run as a picture: the same events at the same times give the same text and image."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_toolstream import Timeline
from langchain_toolstream.core.events import (
    MessageError,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.timeline.path import critical_path

At = tuple[float, ToolEvent]


def written(  # noqa: PLR0913, PLR0917 - read as a line of a script
    at: float, stop: float, call_id: str, name: str, args: str, run: str = "a"
) -> list[At]:
    return [
        (at, ToolCallStart(run_id=run, id=call_id, name=name, index=0)),
        (stop, ToolCallDelta(run_id=run, id=call_id, args=args)),
    ]


def ran(at: float, stop: float, call_id: str, name: str, run: str = "a") -> list[At]:
    return [
        (at, ToolStart(run_id=run, id=call_id, name=name, args={})),
        (stop, ToolFinish(run_id=run, id=call_id, name=name, content="")),
    ]


def message(at: float, stop: float, run: str = "a", node: str | None = None) -> list[At]:
    return [
        (at, MessageStart(run_id=run, node=node)),
        (stop, MessageFinish(run_id=run, finish_reason="stop")),
    ]


# Two reads beside the writing, a write after it, and a second message.
RUN = [
    *message(0.2, 2.4),
    *written(0.3, 0.7, "1", "search", '{"query": "river <poems> & more"}'),
    *ran(0.7, 1.5, "1", "search"),
    *written(0.7, 1.2, "2", "multiply", '{"a": 3, "b": 12}'),
    *ran(1.2, 1.2, "2", "multiply"),
    *written(1.2, 2.3, "3", "write_file", '{"path": "poem.txt", "content": "O river"}'),
    *ran(2.4, 3.0, "3", "write_file"),
    *message(3.2, 4.0, "b"),
]


def drawn(events: list[At]) -> Timeline:
    timeline = Timeline()
    for at, event in sorted(events, key=lambda one: one[0]):
        timeline.add(event, at=at)
    return timeline


def image(timeline: Timeline) -> ET.Element:
    return ET.fromstring(timeline.to_svg())  # noqa: S314 - our own


def test_a_run_is_drawn_in_text() -> None:
    assert drawn(RUN).to_text(width=40).splitlines() == [
        "                                0                                  4.0 s",
        "model                             ━━━━━━━━━━━━━━━━━━━━━━",
        'search {"query": "river <po...     ░░░░████████                           done at 1.50 s',
        'multiply {"a": 3, "b": 12}             ░░░░░█                             done at 1.20 s',
        'write_file {"path": "poem.t...              ░░░░░░░░░░░ ██████            done at 3.00 s',
        "model                                                           ████████".replace(
            "█", "━"
        ),
        "",
        "━ the model writes   ░ a call is written   █ its tool runs",
        "What the run waited for: model 2.20 s, write_file 0.60 s, model 0.80 s.",
        "Tools ran 1.40 s, 0.80 s of it while a model was writing.",
        (
            "2 of 3 tools finished before the model's last chunk: "
            'search {"query": "river <po..., multiply {"a": 3, "b": 12}.'
        ),
    ]


def test_a_run_is_drawn_as_an_image_that_is_always_the_same() -> None:
    svg = drawn(RUN).to_svg()
    assert svg == drawn(RUN).to_svg() == drawn(RUN)._repr_svg_()
    assert "prefers-color-scheme:dark" in svg
    # It asks nobody for anything, and runs nothing.
    assert set(re.findall(r'https?://[^"\s]+', svg)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|image|foreignObject|a)\b|\bon\w+=|href|@import", svg)
    bars = [one.get("class") for one in image(drawn(RUN)).iter() if one.tag.endswith("rect")]
    assert bars.count("running") == 3 + 1  # and the legend's
    assert bars.count("model") == 2 + 1
    assert bars.count("path") == 3 + 1


def test_its_repr_is_short() -> None:
    assert repr(drawn(RUN)) == "Timeline(3 calls, 4.00 s)"


def test_the_bars_stand_where_the_times_are() -> None:
    rects = [one for one in image(drawn(RUN)).iter() if one.tag.endswith("rect")]
    titles = {
        "".join(one.itertext()).strip(): (float(one.get("x", 0)), float(one.get("width", 0)))
        for one in rects
        if "".join(one.itertext()).strip()
    }
    zero, end = titles["model writes: 0.20 to 2.40 s"], titles["model writes: 3.20 to 4.00 s"]
    per_second = (end[0] - zero[0]) / 3.0
    assert zero[1] == pytest.approx(2.2 * per_second, abs=0.2)
    x, width = titles["search runs: 0.70 to 1.50 s"]
    assert x - zero[0] == pytest.approx(0.5 * per_second, abs=0.2)
    assert width == pytest.approx(0.8 * per_second, abs=0.2)


HOSTILE = '</text><script>alert("&")</script>\x00\x1b[31m\u202e\ud800'


def test_what_a_model_writes_cannot_break_out() -> None:
    events = [
        *message(0.0, 1.0, node=HOSTILE),
        *written(0.1, 0.5, "1", HOSTILE, HOSTILE),
        (0.6, ToolCallInvalid(id="1", run_id="a", name="x", args="", error=HOSTILE, revoked=False)),
    ]
    timeline = drawn(events)
    root = image(timeline)
    assert not [one for one in root.iter() if one.tag.endswith("script")]
    assert timeline.to_svg().encode()
    assert "\x1b" not in str(timeline)


def outcome(*events: At) -> str:
    timeline = drawn([*message(0.0, 1.0), *written(0.1, 0.5, "1", "add", "{}"), *events])
    return timeline.to_text().splitlines()[2].rpartition("  ")[2]


def test_what_came_of_a_call_is_said() -> None:
    start: At = (0.6, ToolStart(run_id="a", id="1", name="add", args={}))
    failed: At = (0.7, ToolError(run_id="a", id="1", name="add", error="no"))
    invalid: dict[str, Any] = {"name": "add", "args": "{", "error": "cut", "revoked": False}
    assert outcome() == "not run"
    assert outcome(start) == "not finished"
    assert outcome(start, failed) == "error"
    assert outcome((0.6, ToolCallInvalid(run_id="a", id="1", **invalid))) == "invalid"
    # A call that is tried again.
    assert outcome(start, failed, *ran(0.8, 0.9, "1", "add")) == "done at 0.90 s"
    # A call that was taken back while its tool ran.
    taken: At = (0.65, ToolCallInvalid(run_id="a", id="1", **{**invalid, "revoked": True}))
    assert outcome(start, taken, failed) == "invalid"


def test_a_message_that_broke_off_is_said() -> None:
    events: list[At] = [(0.1, MessageStart(run_id="a")), (0.5, MessageError(run_id="a", error="x"))]
    assert drawn(events).to_text().splitlines()[1].endswith("broken off")


def test_equal_ids_of_two_messages_are_two_calls() -> None:
    events = [
        *message(0.0, 1.0, "a"),
        *written(0.1, 0.5, "1", "add", "{}", "a"),
        *message(0.0, 1.0, "b"),
        *written(0.1, 0.5, "1", "multiply", "{}", "b"),
    ]
    lines = drawn(events).to_text().splitlines()
    assert [line.split(" ", 1)[0] for line in lines[1:5]] == ["model", "add", "model", "multiply"]


def test_a_tool_that_runs_without_a_call_has_a_line_of_its_own() -> None:
    events = [*message(0.0, 1.0), *ran(0.2, 1.4, "x", "lookup", run="x")]
    timeline = drawn(events)
    assert timeline.to_text().splitlines()[2].startswith("lookup")
    assert "░" not in timeline.to_text().splitlines()[2]
    assert "What the run waited for: lookup 1.20 s." in str(timeline)


def test_the_events_of_a_bare_message_are_drawn_too() -> None:
    events: list[At] = [
        (0.1, TextDelta(text="I add.")),
        *[(at, event) for at, event in written(0.2, 0.5, "1", "add", '{"a": 1}', "")],
        (0.6, ToolCallReady(id="1", name="add", args={}, early=False)),
        (0.6, ToolCallFinish(id="1", name="add", args={})),
        (0.6, MessageFinish(finish_reason="tool_calls")),
    ]
    text = str(drawn(events))
    assert 'add {"a": 1}' in text
    assert "No tool finished before the model's last chunk." in text


def test_nothing_can_be_drawn_too() -> None:
    timeline = Timeline()
    assert str(timeline).endswith("No tool was called.")
    assert image(timeline) is not None
    assert drawn([(0.0, TextDelta(text=""))]).to_svg()


def test_what_was_waited_for_leads_from_the_end_to_the_start() -> None:
    steps = critical_path(drawn(RUN)._run)
    assert [(step.of.name, step.start, step.stop) for step in steps] == [
        ("model", 0.2, 2.4),
        ("write_file", 2.4, 3.0),
        ("model", 3.2, 4.0),
    ]
    # A slow read that outlasts the message: the message counts until the read started.
    slow = [*message(0.0, 2.0), *written(0.1, 0.5, "1", "search", "{}"), *ran(0.5, 5.0, "1", "s")]
    steps = critical_path(drawn(slow)._run)
    assert [(step.start, step.stop) for step in steps] == [(0.0, 0.5), (0.5, 5.0)]


def test_it_keeps_no_content() -> None:
    timeline = drawn(message(0.0, 1.0))
    for _ in range(1000):
        timeline.add(ToolCallDelta(run_id="a", id="1", args="x" * 1000), at=0.5)
        timeline.add(TextDelta(run_id="a", text="x" * 1000), at=0.5)
    (call,) = timeline._run.calls.values()
    assert len(call.args) <= 200


def test_the_clock_starts_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.5, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    timeline = Timeline()
    timeline.add(MessageStart(run_id="a"))
    timeline.add(MessageFinish(run_id="a", finish_reason="stop"))
    assert "0                                                  2.0 s" in str(timeline)
    assert "What the run waited for: model 1.50 s." in str(timeline)


IDS = st.sampled_from(["1", "2"])
RUNS = st.sampled_from(["", "a", "b"])
EVENTS = st.one_of(
    st.builds(MessageStart, run_id=RUNS, node=st.none() | st.text(max_size=5)),
    st.builds(TextDelta, run_id=RUNS, text=st.text(max_size=5)),
    st.builds(ReasoningDelta, run_id=RUNS, text=st.text(max_size=5)),
    st.builds(ToolCallStart, run_id=RUNS, id=IDS, name=st.text(max_size=5), index=st.just(0)),
    st.builds(ToolCallDelta, run_id=RUNS, id=IDS, args=st.text(max_size=50)),
    st.builds(
        ToolCallInvalid,
        run_id=RUNS,
        id=IDS,
        name=st.just("n"),
        args=st.just(""),
        error=st.text(max_size=9),
        revoked=st.booleans(),
    ),
    st.builds(MessageFinish, run_id=RUNS, finish_reason=st.none()),
    st.builds(MessageError, run_id=RUNS, error=st.text(max_size=9)),
    st.builds(ToolStart, run_id=RUNS, id=IDS, name=st.just("n"), args=st.just({})),
    st.builds(ToolProgress, run_id=RUNS, id=IDS, name=st.just("n"), data=st.none()),
    st.builds(ToolFinish, run_id=RUNS, id=IDS, name=st.just("n"), content=st.none()),
    st.builds(ToolError, run_id=RUNS, id=IDS, name=st.just("n"), error=st.text(max_size=9)),
)


@given(st.lists(st.tuples(st.floats(0, 1e6), EVENTS), max_size=30))
def test_any_events_make_a_picture(events: list[At]) -> None:
    timeline = drawn(events)
    assert timeline.to_text()
    assert image(timeline) is not None
    spans = [(step.start, step.stop) for step in critical_path(timeline._run)]
    assert all(start <= stop for start, stop in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
