"""Rules 3 to 9 of `core/calls.py`, one table for each; every case cut in every way."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from langchain_toolstream.core.calls import ToolCallAssembler, is_truncating
from langchain_toolstream.core.events import (
    ArgumentDelta,
    ArgumentEvents,
    ArgumentFinish,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
)
from langchain_toolstream.core.identity import MAX_CALLS
from langchain_toolstream.core.json import MAX_DEPTH, MAX_LENGTH, JSONStream
from tests.unit_tests.core.helpers import growth, joined
from tests.unit_tests.core.messages import (
    FILE,
    FILE_TEXT,
    HEAD,
    LOOK_OSLO,
    OSLO,
    OSLO_TEXT,
    ROME,
    ROME_TEXT,
    SAVE_FILE,
    TAIL,
    TOOLS,
    Call,
    Delta,
    bad,
    check,
    cut,
    f,
    ok,
    other_ways,
    run,
    seen,
    verdicts_hold,
    whole,
)

# 3. JSON; absent arguments; arguments that are an object.

ABSENT: list[Delta] = [
    [],
    [f(0, args="")],
    [f(0, args=" \n")],
    [f(0, args="null")],
    [f(0, args="nu"), f(0, args="ll ")],
    [f(0, args=" null")],
    [{"index": 0, "function": {"arguments": None}}],
    [{"index": 0, "function": None}],
]


@pytest.mark.parametrize("rest", ABSENT)
@pytest.mark.parametrize(
    ("name", "tools", "expected"),
    [
        ("list", TOOLS, ok("list", {}, "a")),
        ("stop", TOOLS, ok("stop", {}, "a")),
        ("look", TOOLS, bad("look", "Field required at")),
        ("save", TOOLS, bad("save", "Field required at")),
        ("look", None, ok("look", {}, "a")),
        ("nope", TOOLS, bad("nope", "No tool 'nope' is bound")),
    ],
)
def test_no_arguments_mean_an_empty_object_where_none_is_required(
    rest: Delta, name: str, tools: Any, expected: Call
) -> None:
    for deltas in ([[f(0, "a", name)], rest], [[f(0, "a", name), *rest]]):
        verdicts_hold(
            [*deltas, whole(1, "b", "save", FILE_TEXT)], [expected, SAVE_FILE], tools=tools
        )


ARGUMENTS: dict[str, tuple[object, Call]] = {
    "braces": ("{}", ok("list", {})),
    "braces_required": ("{}", bad("look", "Field required at $.city")),
    "null_then_text": (f"null{OSLO_TEXT}", bad("look", "followed")),
    "whitespace_around": (f"\n\n  {OSLO_TEXT}\n  ", LOOK_OSLO),
    "pretty_printed": (json.dumps(OSLO, indent=4), LOOK_OSLO),
    "compact": (json.dumps(OSLO, separators=(",", ":")), LOOK_OSLO),
    "ascii_escapes": (json.dumps(FILE | {"s": "\ud83d"}), ok("save", FILE | {"s": "\ud83d"})),
    "not_ascii": (json.dumps(FILE, ensure_ascii=False), SAVE_FILE),
    "big_numbers": (
        '{"path": "p", "big": 12345678901234567890123, "one": 1.0, "e": -2.5E+3, "z": -0}',
        ok("save", {"path": "p", "big": 12345678901234567890123, "one": 1.0, "e": -2500.0, "z": 0}),
    ),
    "deep_enough": (
        '{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1),
        ok("stop", json.loads('{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1))),
    ),
    "object": (OSLO, LOOK_OSLO),
    "object_with_quotes": (FILE, SAVE_FILE),
    "object_empty": ({}, ok("list", {})),
    "object_empty_required": ({}, bad("look", "Field required at $.city")),
    "object_with_nan": ({"path": "p", "x": float("nan")}, bad("save", "not JSON")),
    "object_too_deep": (json.loads('{"a":' * 500 + "1" + "}" * 500), bad("stop", "too large")),
    "is_list": ("[1, 2]", bad("look", "have to be a JSON object, got '[1, 2]'.")),
    "is_empty_list": ("[]", bad("list", "have to be a JSON object, got '[]'.")),
    "is_number": ("42", bad("look", "have to be a JSON object, got '42'.")),
    "is_true": (" true", bad("look", "have to be a JSON object, got 'true'.")),
    "is_text": ('"just text"', bad("look", "have to be a JSON object")),
    "is_word": ("oops", bad("look", "not JSON: Expected a value, got 'o' at $ (character 0)")),
    "value_is_list": ([1, 2], bad("look", "have to be a JSON object, got '[1, 2]'.")),
    "value_is_number": (42, bad("look", "have to be a JSON object, got '42'.")),
    "value_is_false": (False, bad("list", "have to be a JSON object, got 'false'.")),
    "value_is_zero": (0, bad("list", "have to be a JSON object, got '0'.")),
    "nan": ('{"city": "A", "days": NaN}', bad("look", "not JSON")),
    "infinity": ('{"city": "A", "days": -Infinity}', bad("look", "not JSON")),
    "python_repr": ("{'city': 'Oslo'}", bad("look", "not JSON")),
    "python_literal": ('{"city": "A", "metric": True}}', bad("look", "not JSON")),
    "trailing_comma": ('{"city": "Oslo",}', bad("look", "not JSON")),
    "code_fence": (f"```json\n{OSLO_TEXT}\n```", bad("look", "not JSON")),
    "raw_newline": ('{"city": "Os\nlo"}', bad("look", "Raw control character '\\n' in a string")),
    "name_twice": ('{"city": "A", "city": "A"}', bad("look", "The name 'city' stands twice")),
    "missing_first_brace": ('"city": "Oslo"}', bad("look", "")),
    "doubled_first_brace": ("{" + OSLO_TEXT, bad("look", "not JSON")),
    "cumulative_text": ('{"cit' + OSLO_TEXT, bad("look", "not JSON")),
    "bad_escape": ('{"city": "a\\qb"}', bad("look", "Unknown escape '\\q' in a string at $.city")),
    "open_string": (
        '{"city": "Os',
        bad("look", "not complete: The text ends inside a string"),
    ),
    "open_brace_only": ("{", bad("look", "not complete")),
    "stops_after_key": (
        '{"city"',
        bad("look", "not complete: The text ends where ':' should come at $"),
    ),
    "stops_in_number": ('{"city": "A", "days": 1', bad("look", "not complete")),
    "stops_before_brace": (OSLO_TEXT[:-1], bad("look", "not complete")),
    "too_deep": (
        '{"a":' * 129,
        bad("stop", "too large: More than 128 containers inside each other"),
    ),
    "long_integer": (
        f'{{"days": {"9" * 4301}}}',
        bad("look", "too large: An integer of 4,301 digits"),
    ),
    "wrong_type": ('{"city": 5}', bad("look", "do not fit the tool: Expected 'str' at $.city")),
    "envelope": (
        f'{{"name": "x", "arguments": {OSLO_TEXT}}}',
        bad("look", "Field required at $.city"),
    ),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_strict_json(case: str) -> None:
    args, expected = ARGUMENTS[case]
    deltas = [whole(0, "a", expected.name, args), whole(1, "b", "save", FILE_TEXT)]
    if isinstance(args, str) and len(args) > 400:
        check(run(deltas), [expected, SAVE_FILE])
        check(
            run([*([part] for part in cut(deltas[0][0], range(1, len(args)))), deltas[1]]),
            [expected, SAVE_FILE],
        )
    else:
        verdicts_hold(deltas, [expected, SAVE_FILE])


def test_an_invalid_call_keeps_its_text_however_it_was_cut() -> None:
    for text in (
        '{"path": tru, "x": 3}',
        '{"path": "a"} and "more"}',
        '{"path": 5, "x": 1}',
        "[1] [",
        FILE_TEXT[:-1],
    ):
        delta = whole(0, "a", "save", text)
        for deltas in ([delta], *other_ways([delta])):
            [call] = run(deltas)
            assert isinstance(call.end, ToolCallInvalid)
            assert call.end.args == text


# 4. Closed, and revoked.

BEHIND: dict[str, tuple[str, str | None]] = {
    "nothing": ("", None),
    "blank": (" \n\t", None),
    "trailing_brace": ("}", None),
    "trailing_two_braces": ("}}", None),
    "trailing_bracket": ("]", None),
    "brackets_and_blank": (" } ]\n}", None),
    "same_object_twice": (OSLO_TEXT, None),
    "same_object_thrice": (f" {OSLO_TEXT}\n{OSLO_TEXT}}}", None),
    "half_of_it_again": (OSLO_TEXT[:-4], "followed"),
    "half_of_it_twice": (OSLO_TEXT + OSLO_TEXT[:3], "followed"),
    "two_different_objects": (ROME_TEXT, "followed"),
    "almost_the_same": (OSLO_TEXT.replace("10", "11"), "followed"),
    "opening_brace": ("{", "followed"),
    "empty_object": ("{}", "followed"),
    "goes_on": (', "x_more": 3}', "followed"),
    "trailing_name_key": (', "name": "f"', "followed"),
    "trailing_marker": ("</tool_call>", "followed"),
    "trailing_prose": (" and then I will wait", "followed"),
    "opening_bracket": ("[", "followed"),
    "quote": ('"', "followed"),
    "comma": (",", "followed"),
    "space_that_json_does_not_know": ("\u00a0", "followed"),
}


@pytest.mark.parametrize("case", BEHIND)
@pytest.mark.parametrize("before", ["", " \n"])
@pytest.mark.parametrize(("name", "read_only"), [("look", True), ("save", False)])
def test_what_may_stand_behind_the_object(
    case: str, before: str, name: str, *, read_only: bool
) -> None:
    behind, error = BEHIND[case]
    args = OSLO if read_only else FILE
    text = json.dumps(args)
    if not read_only:
        behind = behind.replace(OSLO_TEXT, text)
        behind = text[:-4] if case == "half_of_it_again" else behind
    expected = bad(name, error) if error else ok(name, args)
    deltas = [whole(0, "a", name, before + text + behind), whole(1, "b", "stop", "{}")]
    verdicts_hold(deltas, [expected, ok("stop", {})])
    late = [whole(0, "a", name, before + text), [f(0, args=behind)], whole(1, "b", "stop", "{}")]
    calls = run(late)
    check(calls, [expected, ok("stop", {})])
    assert calls[0].early == read_only
    assert calls[0].revoked == (read_only and error is not None)


def test_a_contradiction_says_what_followed() -> None:
    [call] = run([whole(0, "a", "look", f"{OSLO_TEXT} and more")])
    assert isinstance(call.end, ToolCallInvalid)
    assert call.end.error == (
        "The arguments were complete, and then 'and more' followed, so the server sent either too "
        "little or too much."
    )


def test_a_revoked_call_ends_at_once_and_only_once() -> None:
    message = ToolCallAssembler(TOOLS)
    ready = message.feed({"tool_calls": whole(0, "a", "look", OSLO_TEXT)})[-1]
    assert isinstance(ready, ToolCallReady)
    assert ready.early
    [invalid] = message.feed({"tool_calls": [f(0, args=' "x": 1}')]})
    assert isinstance(invalid, ToolCallInvalid)
    assert (invalid.id, invalid.revoked, invalid.args) == ("a", True, OSLO_TEXT + ' "x": 1}')
    assert message.feed({"tool_calls": [f(0, args="more")]}) == []
    assert message.close("stop") == []


def test_what_another_reader_refused_before_the_call_was_announced_is_none() -> None:
    message = ToolCallAssembler(TOOLS)
    message.feed({"tool_calls": [f(0, "a")]})
    refused = {"b": "It was contradicted."}
    message.feed({"tool_calls": whole(1, "b", "save", FILE_TEXT)}, rejected=refused)
    [_, call] = seen(message.close("tool_calls"))
    check([call], [bad("save", "It was contradicted.", "b")])


@pytest.mark.parametrize(
    "args",
    [{"city": object()}, {"city": {1, 2}}, {(1, 2): "x"}],
    ids=["an object", "a set", "a tuple as a key"],
)
def test_arguments_that_no_json_can_say_are_none(args: dict[Any, Any]) -> None:
    [call] = run([[f(0, "a", "look", args)]])
    check([call], [bad("look", "The arguments cannot be written as JSON")])


# 5. Confirmed, or cut.

CUT_REASONS = (
    *("length", "abort", "repetition", "content_filter", "error"),  # vLLM
    *("lengthlength", "tool_callslength"),  # of several chunks that were added up
    *("max_tokens", "model_context_window_exceeded"),  # Anthropic
    *("content_filtered", "guardrail_intervened", "malformed_tool_use"),  # Bedrock
    *("MAX_TOKENS", "SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "SPII"),  # Google
    *("max_output_tokens", "incomplete", "failed", "cancelled"),  # OpenAI's Responses API
    *("model_length", "LENGTH"),  # Mistral, TGI
)
WHOLE_REASONS = (
    *(None, "", "stop", "tool_calls", "function_call", "eos_token", "STOP", "STOP_SEQUENCE"),
    *("end_turn", "tool_use", "stop_sequence", "pause_turn", "completed", "COMPLETE", "stopstop"),
)


def test_what_truncates() -> None:
    assert all(is_truncating(reason) for reason in CUT_REASONS)
    assert not any(is_truncating(reason) for reason in WHOLE_REASONS)


@pytest.mark.parametrize(
    "reason", ["tool_calls", "stop", "function_call", "eos_token", "end_turn", "TOOL_CALL"]
)
def test_no_finish_reason_but_a_bad_one_matters(reason: str) -> None:
    deltas = [whole(0, "a", "look", OSLO_TEXT), whole(1, "b", "save", FILE_TEXT)]
    verdicts_hold(deltas, [LOOK_OSLO, SAVE_FILE], reason)


TRUNCATED: dict[str, tuple[list[Delta], list[Call]]] = {
    "open_second": (
        [whole(0, "a", "look", OSLO_TEXT), whole(1, "b", "save", FILE_TEXT[:-3])],
        [LOOK_OSLO, bad("save", "cut off (finish reason")],
    ),
    "closed_in_the_same_chunk": (
        [whole(0, "a", "save", FILE_TEXT), [f(1, "b", "look", HEAD)], [f(1, args=TAIL)]],
        [SAVE_FILE, bad("look", "cut off (finish reason")],
    ),
    "closed_in_an_earlier_chunk": (
        [whole(0, "a", "save", FILE_TEXT), whole(1, "b", "save", FILE_TEXT), []],
        [SAVE_FILE, bad("save", "may be incomplete. Allow more output tokens")],
    ),
    "only_call": ([whole(0, "a", "look", OSLO_TEXT)], [bad("look", "cut off")]),
    "name_only": ([[f(0, "a", "list")]], [bad("list", "cut off")]),
    "unknown_tool": ([whole(0, "a", "nope", "{}")], [bad("nope", "No tool 'nope' is bound")]),
    "several_open": (
        [[f(0, "a", "look", HEAD), f(1, "b", "save", FILE_TEXT)]],
        [bad("look", "not complete"), bad("save", "cut off")],
    ),
    "cut_in_the_first": (
        [[f(0, "a", "save")], whole(1, "b", "look", OSLO_TEXT), [f(0, args=FILE_TEXT)]],
        [bad("save", "cut off"), bad("look", "cut off")],
    ),
    "no_calls": ([[]], []),
}


@pytest.mark.parametrize("reason", CUT_REASONS)
@pytest.mark.parametrize("case", TRUNCATED)
def test_the_last_call_of_a_message_that_was_cut_is_none(case: str, reason: str) -> None:
    deltas, expected = TRUNCATED[case]
    check(run(deltas, reason), expected)
    if reason == "length":
        verdicts_hold(deltas, expected, reason)


def test_the_chunk_with_a_bad_reason_starts_nothing() -> None:
    message = ToolCallAssembler(TOOLS)
    message.feed({"tool_calls": whole(0, "a", "look", HEAD)})
    events = message.feed({"tool_calls": [f(0, args=TAIL)]}, finish_reason="length")
    events += message.feed({})
    assert not [event for event in events if isinstance(event, ToolCallReady)]


@pytest.mark.parametrize("reason", [None, "stop"])
def test_a_bad_reason_that_was_fed_is_not_forgotten(reason: str | None) -> None:
    message = ToolCallAssembler(TOOLS)
    events = message.feed({"tool_calls": whole(0, "a", "save", FILE_TEXT)}, finish_reason="length")
    check(seen(events + message.close(reason)), [bad("save", "cut off (finish reason 'length')")])


def test_a_source_that_names_no_reason_confirms_what_is_whole() -> None:
    deltas = [whole(0, "a", "save", FILE_TEXT), [f(1, "b", "look", HEAD)]]
    check(run(deltas, None), [SAVE_FILE, bad("look", "not complete")])


# 6. Ready.


def early(deltas: Sequence[Delta], **how: Any) -> list[str]:
    """The ids of the calls that were ready before the message ended, in that order."""
    message = ToolCallAssembler(TOOLS, **how)
    events = [event for delta in deltas for event in message.feed({"tool_calls": delta})]
    ready = [event for event in events if isinstance(event, ToolCallReady)]
    assert all(event.early for event in ready)
    end = message.close("tool_calls")
    assert not any(event.early for event in end if isinstance(event, ToolCallReady))
    seen(events + end)
    return [event.id for event in ready]


READ, READ_2 = whole(0, "r", "look", OSLO_TEXT), whole(1, "s", "look", ROME_TEXT)
WRITE = whole(2, "w", "save", FILE_TEXT)
READ_3 = whole(3, "t", "look", ROME_TEXT)


@pytest.mark.parametrize(
    ("deltas", "ids"),
    [
        ([READ], ["r"]),
        ([READ, READ_2], ["r", "s"]),
        ([[*READ, *READ_2]], ["r", "s"]),
        ([WRITE], []),
        ([WRITE, READ], []),
        ([READ, WRITE, READ_3], ["r"]),
        ([[f(2, "w", "save")], READ], []),  # it needs no arguments to stand in the way
        ([[f(2, "w", args="{")], READ], []),  # nor a name
        ([whole(0, "u", "nope", "{}"), READ_2], []),
        ([[f(0, "r", "look", HEAD)], READ_2], []),
        ([[f(0, "r", "look", HEAD)], READ_2, [f(0, args=TAIL)]], ["r", "s"]),
        ([[f(0, "r", "list")], READ_2], []),  # may still get arguments
        ([[f(0, "r", "list")], READ_2, [f(0, args="{}")]], ["r", "s"]),
        ([whole(0, "r", "list", "null"), READ_2], []),
        ([whole(0, "r", "look", '{"city": tru,'), READ_2], ["s"]),
        ([whole(0, "r", "look", '{"city": 5}'), READ_2], ["s"]),
        ([whole(0, "r", "look", f"{OSLO_TEXT}{{"), READ_2], []),  # a repetition may contradict it
        ([whole(0, "r", "look", OSLO_TEXT + OSLO_TEXT), READ_2], ["r", "s"]),
        ([READ, [f(0, args=", more")], READ_2], ["r", "s"]),
        ([[f(0, "r", args=OSLO_TEXT)], [f(0, name="look")]], ["r"]),
        ([whole(0, "r", "look", json.dumps(OSLO_TEXT))], ["r"]),
        ([whole(1, "s", "look", ROME_TEXT), READ], ["s", "r"]),  # in the order of the message
    ],
)
def test_a_read_only_call_is_ready_when_it_closes_and_overtakes_no_other(
    deltas: list[Delta], ids: list[str]
) -> None:
    assert early(deltas) == ids


def test_it_is_ready_in_the_very_chunk_that_closes_it() -> None:
    message = ToolCallAssembler(TOOLS)
    assert [e.type for e in message.feed({"tool_calls": [f(0, "a", "look", HEAD)]})] == [
        "tool-call-start",
        "tool-call-delta",
    ]
    assert [e.type for e in message.feed({"tool_calls": [f(0, args=TAIL[:-1])]})] == [
        "tool-call-delta"
    ]
    assert [e.type for e in message.feed({"tool_calls": [f(0, args="}")]})] == [
        "tool-call-delta",
        "tool-call-ready",
    ]
    assert [e.type for e in message.close("stop")] == ["tool-call-finish"]


def test_without_tools_nothing_is_early_and_every_name_passes() -> None:
    deltas = [READ, whole(1, "b", "anything", '{"x": NaN}'), WRITE]
    calls = run(deltas, tools=None)
    check(calls, [LOOK_OSLO, bad("anything", "not JSON"), SAVE_FILE])
    assert not any(call.early for call in calls)
    check(
        run([whole(0, "a", "x", json.dumps(OSLO_TEXT))], tools=None), [ok("x", OSLO, double=True)]
    )


def test_with_no_tool_bound_every_call_is_invalid() -> None:
    check(run([READ], tools={}), [bad("look", "Bound tools: none.")])


def test_a_message_ends_with_its_confirmed_calls_and_then_the_others() -> None:
    message = ToolCallAssembler(TOOLS)
    for delta in (
        whole(0, "x", "nope", "{}"),
        WRITE,
        READ_3,
        whole(4, "y", "look", "{"),
        whole(5, "z", "stop", ""),
    ):
        message.feed({"tool_calls": delta})
    end = [(event.type, event.id) for event in message.close("stop")]
    assert [item for item in end if item[0] not in ("tool-call-start", "tool-call-delta")] == [
        ("tool-call-ready", "w"), ("tool-call-finish", "w"),
        ("tool-call-ready", "t"), ("tool-call-finish", "t"),
        ("tool-call-ready", "z"), ("tool-call-finish", "z"),
        ("tool-call-invalid", "x"), ("tool-call-invalid", "y"),
    ]  # fmt: skip


# 7. No repair but one.


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("look", json.dumps(OSLO_TEXT), ok("look", OSLO, double=True)),
        ("save", json.dumps(f" {FILE_TEXT}\n"), ok("save", FILE, double=True)),
        ("list", json.dumps("{}"), ok("list", {}, double=True)),
        ("look", json.dumps("{}"), bad("look", "Field required at $.city")),
        ("look", json.dumps('{"city": 5}'), bad("look", "Expected 'str' at $.city")),
        ("look", json.dumps(json.dumps(OSLO_TEXT)), bad("look", "have to be a JSON object")),
        ("look", json.dumps(OSLO_TEXT[:-1]), bad("look", "have to be a JSON object")),
        ("look", json.dumps(OSLO_TEXT + "}"), bad("look", "have to be a JSON object")),
        ("list", json.dumps(""), bad("list", "have to be a JSON object")),
        ("list", json.dumps("null"), bad("list", "have to be a JSON object")),
        ("list", json.dumps("[]"), bad("list", "have to be a JSON object")),
        ("nope", json.dumps(OSLO_TEXT), bad("nope", "")),
        ("look", f"[{OSLO_TEXT}]", bad("look", "have to be a JSON object")),
        ("look", json.dumps(OSLO_TEXT) + "}", ok("look", OSLO, double=True)),
        ("look", json.dumps(OSLO_TEXT) + OSLO_TEXT, bad("look", "followed")),
    ],
)
def test_a_string_that_holds_the_object_is_the_object(name: str, text: str, expected: Call) -> None:
    verdicts_hold([whole(0, "a", name, text), WRITE], [expected, SAVE_FILE])


def test_a_string_that_holds_the_object_may_come_before_the_name() -> None:
    deltas = [[f(0, "a", args=json.dumps(OSLO_TEXT))], [f(0, name="look")]]
    check(run(deltas), [ok("look", OSLO, double=True)])


# Readers of the arguments.


@pytest.mark.parametrize(
    "args", [OSLO, FILE, {}, {"path": "p", "a": [1, {"b": [[], "é🎉", None]}], "c": True}]
)
@pytest.mark.parametrize("double", [False, True])
def test_fields_are_those_of_the_json(args: dict[str, Any], *, double: bool) -> None:
    text = json.dumps(args, ensure_ascii=False)
    expected = [
        event for event in joined(JSONStream().feed(text)) if event[1] and event[0] != "start"
    ]
    delta = whole(
        0, "a", "save" if "path" in args else "stop", json.dumps(text) if double else text
    )
    for deltas in ([delta], *other_ways([delta])):
        [call] = run(deltas, fields=True)
        assert call.ready is not None
        assert call.ready.double_encoded == double
        found = joined(
            ("delta", e.path, e.text)
            if isinstance(e, ArgumentDelta)
            else ("finish", e.path, e.value)
            for e in call.fields
        )
        assert repr(found) == repr(expected)


def test_readers_get_what_they_asked_for_and_at_once() -> None:
    message = ToolCallAssembler(TOOLS, text=False, fields=True)
    assert message.feed({"tool_calls": [f(0, "a", "look", '{"city": "Os')]}) == [
        ToolCallStart(id="a", name="look", index=0),
        ArgumentDelta(id="a", path=("city",), text="Os"),
    ]
    assert message.feed({"tool_calls": [f(0, args='lo", "days": 1')]}) == [
        ArgumentDelta(id="a", path=("city",), text="lo"),
        ArgumentFinish(id="a", path=("city",), value="Oslo"),
    ]
    assert message.feed({"tool_calls": [f(0, args="0}")]}) == [
        ArgumentFinish(id="a", path=("days",), value=10),
        ToolCallReady(id="a", name="look", args=OSLO, early=True),
    ]


def test_a_reader_of_growth_gets_what_the_json_says() -> None:
    message = ToolCallAssembler(TOOLS, text=False, growth=True)
    assert message.feed({"tool_calls": [f(0, "a", "look", '{"city": "Os')]}) == [
        ToolCallStart(id="a", name="look", index=0),
        ArgumentEvents(
            "a", [("start", (), {}), ("start", ("city",), ""), ("delta", ("city",), "Os")]
        ),
    ]
    assert message.feed({"tool_calls": [f(0, args="l")]}) == [
        ArgumentEvents("a", [("delta", ("city",), "l")])
    ]
    assert message.feed({"tool_calls": [f(0, args='o", "da')]}) == [
        ArgumentEvents("a", [("delta", ("city",), "o"), ("finish", ("city",), "Oslo")])
    ]
    assert message.feed({"tool_calls": [f(0, args='ys": 10}')]}) == [
        ArgumentEvents("a", [("finish", ("days",), 10), ("finish", (), OSLO)]),
        ToolCallReady(id="a", name="look", args=OSLO, early=True),
    ]


def test_nothing_of_a_call_is_given_before_its_name() -> None:
    message = ToolCallAssembler(TOOLS, fields=True)
    assert message.feed({"tool_calls": [f(0, "a", args='{"city"')]}) == []
    assert message.feed({"tool_calls": [f(0, args=': "O')]}) == []
    assert message.feed({"tool_calls": [f(0, name="look")]}) == [
        ToolCallStart(id="a", name="look", index=0),
        ToolCallDelta(id="a", args='{"city": "O'),
        ArgumentDelta(id="a", path=("city",), text="O"),
    ]


# `rejected` and `abort`.


def test_rejected_takes_back_what_was_ready_and_stops_the_rest() -> None:
    message = ToolCallAssembler(TOOLS)
    events = [e for delta in (READ, WRITE, READ_3) for e in message.feed({"tool_calls": delta})]
    reasons = {"r": "no such city", "w": "no such disk", "unknown": "?"}
    events += message.feed({}, rejected=reasons)
    assert [e.type for e in events[-1:]] == ["tool-call-invalid"]
    events += message.feed({}, rejected={"r": "again"})
    calls = seen(events + message.close("stop"))
    check(
        calls,
        [bad("look", "no such city", "r"), bad("save", "no such disk", "w"), ok("look", ROME, "t")],
    )
    assert [call.revoked for call in calls] == [True, False, False]
    assert message.feed({}, rejected={"t": "too late"}) == []


def test_an_invalid_call_that_another_reader_reports() -> None:
    fragment = {
        "type": "invalid_tool_call",
        "index": 0,
        "id": "a",
        "name": "look",
        "args": OSLO_TEXT,
    }
    check(run([[{**fragment, "error": "it was cut"}]]), [bad("look", "it was cut", "a")])
    check(run([[fragment]]), [bad("look", "reported the call as invalid")])


def test_abort_confirms_nothing() -> None:
    message = ToolCallAssembler(TOOLS)
    deltas = (READ, WRITE, whole(3, "u", "nope", "{}"), [f(4, "h", "look", HEAD)], [f(5, args="{")])
    events = [event for delta in deltas for event in message.feed({"tool_calls": delta})]
    events += message.abort("the line went dead")
    calls = seen(events)
    check(
        calls,
        [
            bad("look", "the line went dead", "r"),
            bad("save", "the line went dead", "w"),
            bad("nope", "No tool 'nope' is bound"),
            bad("look", "the line went dead"),
            bad("", "the line went dead"),
        ],
    )
    assert [call.revoked for call in calls] == [True, False, False, False, False]
    assert (message.abort("again"), message.close("stop")) == ([], [])


def test_abort_after_close_takes_nothing_back() -> None:
    message = ToolCallAssembler(TOOLS)
    message.feed({"tool_calls": WRITE})
    message.close("stop")
    assert message.abort("too late") == []


# Limits.


def test_a_message_has_so_many_calls_and_no_more() -> None:
    calls = run([whole(i, f"id{i}", "stop", "{}") for i in range(MAX_CALLS + 5)])
    check(
        calls,
        [ok("stop", {})] * MAX_CALLS + [bad("stop", "More than 128 tool calls in one message")],
    )
    calls = run([whole(None, f"id{i}", "list", "{}") for i in range(MAX_CALLS + 5)])
    assert sum(call.early for call in calls) == MAX_CALLS
    check(calls[-1:], [bad("list", "More than 128 tool calls in one message")])


def test_arguments_are_so_long_and_no_longer() -> None:
    head, tail = '{"path": "', '"}'
    room = MAX_LENGTH - len(head) - len(tail)
    for extra, expected in (
        ("", ok("save", {"path": "x" * room})),
        (" ", bad("save", "longer than 10,000,000 characters", "a")),
        ("\n}" * 9, bad("save", "longer than 10,000,000 characters", "a")),
    ):
        deltas = [whole(0, "a", "save", head), [f(0, args="x" * room)], [f(0, args=tail + extra)]]
        calls = run([*deltas, READ_3])
        check(calls, [expected, ok("look", ROME)])
    calls = run([READ, [f(0, args=" " * MAX_LENGTH)]])
    check(calls, [bad("look", "longer than 10,000,000 characters")])
    assert calls[0].revoked


# Growth.


def fed(deltas: list[Delta]) -> Callable[[], None]:
    def run_it() -> None:
        message = ToolCallAssembler(TOOLS, fields=True)
        for delta in deltas:
            message.feed({"tool_calls": delta})
        message.close("stop")

    return run_it


def in_pieces(text: str, size: int = 4) -> list[Delta]:
    pieces = [[f(0, args=text[i : i + size])] for i in range(0, len(text), size)]
    return [[f(0, "a", "save", "")], *pieces]


@pytest.mark.parametrize(
    ("deltas", "count"),
    [
        (lambda n: in_pieces(json.dumps({"path": "lorem " * n})), 1_500),
        (lambda n: in_pieces(json.dumps({"path": ""} | {f"k{i}": i for i in range(n)})), 700),
        (lambda n: in_pieces(json.dumps(json.dumps({"path": "lorem " * n}))), 1_500),
        (lambda n: in_pieces(json.dumps({"path": "lorem " * n}) * 2), 700),
        (lambda n: in_pieces(json.dumps({"path": ""}) + " \n}" * n), 1_500),
        (lambda n: in_pieces(json.dumps({"path": ""}) * n), 150),
        (lambda n: in_pieces("{" * n), 2_000),
        (lambda n: [[f(i % 100, f"id{i % 100}", "look", "")] for i in range(n)], 2_000),
        (lambda n: in_pieces('{"path": ' + "t" * n, 10**9), 100_000),
        (
            lambda n: (
                [whole(i, "a", "save", FILE_TEXT) for i in range(100)]
                + [[f(i % 100, "a", args=" ")] for i in range(n)]
            ),
            1_000,
        ),
        (
            lambda n: (
                [[f(i, f"id{i}", "look", "{")] for i in range(100)]
                + [[f(args="1")] for _ in range(n)]
            ),
            300,
        ),
    ],
    ids=[
        "long string",
        "many fields",
        "double",
        "twice",
        "brackets",
        "many times",
        "broken",
        "many calls",
        "letters",
        "many repetitions",
        "many in doubt",
    ],
)
def test_time_grows_with_the_stream_and_no_faster(
    deltas: Callable[[int], list[Delta]], count: int
) -> None:
    assert growth(lambda n: fed(deltas(n)), count) < 6
