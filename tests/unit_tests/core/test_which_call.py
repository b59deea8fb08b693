"""Rules 1 and 2 of `core/calls.py`: whose a fragment is, and what counts as nothing."""

from typing import Any

import pytest

from langchain_toolstream.core.calls import (
    ToolCallAssembler,
)
from langchain_toolstream.core.events import ToolCallDelta, ToolCallFinish
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
    f,
    ok,
    run,
    seen,
    verdicts_hold,
    whole,
)

# 1. Which call a fragment belongs to, its id and its name.


WHICH_CALL: dict[str, tuple[list[Delta], list[Call]]] = {
    "reference_one": (
        [[f(0, "a", "look", "", type="function")], [f(0, args=HEAD)], [f(0, args=TAIL)]],
        [ok("look", OSLO, "a")],
    ),
    "reference_two": (
        [
            [f(0, "a", "look", "")],
            [f(0, args=OSLO_TEXT)],
            [f(1, "b", "save", "")],
            [f(1, args=FILE_TEXT)],
        ],
        [ok("look", OSLO, "a"), ok("save", FILE, "b")],
    ),
    "reference_twelve": (
        [whole(i, f"id{i}", "look", f'{{"city": "{i}"}}') for i in range(12)],
        [ok("look", {"city": str(i)}, f"id{i}") for i in range(12)],
    ),
    "no_calls": ([[], []], []),
    "all_in_one_chunk": (
        [[f(0, "a", "look", OSLO_TEXT), f(1, "b", "save", FILE_TEXT)]],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "same_index_twice_in_one_list": (
        [[f(0, "a", "look"), f(0, args=HEAD), f(0, args=TAIL)]],
        [LOOK_OSLO],
    ),
    "next_call_starts_in_same_list": (
        [
            [f(0, "a", "look", HEAD)],
            [f(0, args=TAIL), f(1, "b", "save", FILE_TEXT[:7])],
            [f(1, args=FILE_TEXT[7:])],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "interleaved": (
        [
            [f(0, "a", "look"), f(1, "b", "save")],
            [f(1, args=FILE_TEXT[:7]), f(0, args=HEAD)],
            [f(0, args=TAIL), f(1, args=FILE_TEXT[7:])],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_starts_at_one": (
        [whole(1, "a", "look", OSLO_TEXT), whole(2, "b", "save", FILE_TEXT)],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_gap": (
        [whole(0, "a", "look", OSLO_TEXT), whole(7, "b", "save", FILE_TEXT)],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_out_of_order": (
        [whole(1, "b", "save", FILE_TEXT), whole(0, "a", "look", OSLO_TEXT)],
        [SAVE_FILE, LOOK_OSLO],
    ),
    "index_negative": ([whole(-1, "a", "look", OSLO_TEXT)], [LOOK_OSLO]),
    "index_missing_one_call": (
        [[f(None, "a", "look", "")], [f(args=HEAD)], [f(args=TAIL)]],
        [LOOK_OSLO],
    ),
    "index_missing_two_calls": (
        [
            [f(None, "a", "look", "")],
            [f(args=OSLO_TEXT)],
            [f(None, "b", "save", "")],
            [f(args=FILE_TEXT)],
        ],
        [ok("look", OSLO, "a"), ok("save", FILE, "b")],
    ),
    "index_null_two_calls": (
        [
            [{"index": None, **f(None, "a", "look", HEAD)}],
            [{"index": None, **f(args=TAIL)}],
            [{"index": None, **f(None, "b", "save", FILE_TEXT)}],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_missing_whole_calls_with_ids": (
        [whole(None, "a", "look", OSLO_TEXT), whole(None, "b", "look", OSLO_TEXT)],
        [ok("look", OSLO, "a"), ok("look", OSLO, "b")],
    ),
    "index_missing_whole_calls_one_list_no_ids": (
        [[f(name="look", args=OSLO_TEXT), f(name="save", args=FILE_TEXT)]],
        [ok("look", OSLO, ""), ok("save", FILE, "")],
    ),
    "index_missing_same_tool_no_ids": (
        [[f(name="look", args=OSLO_TEXT)], [f(name="look", args=ROME_TEXT)]],
        [LOOK_OSLO, ok("look", ROME)],
    ),
    "index_missing_id_on_each_interleaved": (
        [
            [f(None, "a", "look", "")],
            [f(None, "b", "save", "")],
            [f(None, "a", args=HEAD)],
            [f(None, "b", args=FILE_TEXT[:9])],
            [f(None, "a", args=TAIL)],
            [f(None, "b", args=FILE_TEXT[9:])],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_missing_on_continuation": (
        [
            [f(0, "a", "look", "")],
            [f(args=HEAD)],
            [f(args=TAIL)],
            [f(1, "b", "save", "")],
            [f(args=FILE_TEXT)],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_missing_id_late": (
        [[f(name="look")], [f(None, "a", args=OSLO_TEXT)]],
        [ok("look", OSLO, "a")],
    ),
    "index_missing_no_arguments_between": (
        [[f(None, "a", "list")], [f(None, "b", "look", OSLO_TEXT)]],
        [ok("list", {}, "a"), ok("look", OSLO, "b")],
    ),
    "index_missing_no_id_and_no_arguments_before": (
        [[f(name="list")], [f(None, "b", "look", OSLO_TEXT)]],
        [ok("list", {}, ""), ok("look", OSLO, "b")],
    ),
    "index_missing_blank_after_the_object": (
        [[f(None, "a", "look", OSLO_TEXT)], [f(args="\n")], [f(args="}")]],
        [LOOK_OSLO],
    ),
    "index_as_text": (
        [
            [f("0", "a", "look", "")],
            [f("0", args=OSLO_TEXT)],
            [f("1", "b", "save", "")],
            [f("1", args=FILE_TEXT)],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_is_true": (
        [[{"index": True, **f(name="look", args=OSLO_TEXT)}], [f(1, None, "save", FILE_TEXT)]],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_all_zero_whole_calls": (
        [whole(0, "a", "look", OSLO_TEXT), whole(0, "b", "save", FILE_TEXT)],
        [ok("look", OSLO, "a"), ok("save", FILE, "b")],
    ),
    "index_all_zero_one_list": (
        [[f(0, "a", "look", OSLO_TEXT), f(0, "b", "look", OSLO_TEXT)]],
        [LOOK_OSLO, LOOK_OSLO],
    ),
    "index_all_zero_fragments": (
        [
            [f(0, "a", "look", "")],
            [f(0, args=OSLO_TEXT)],
            [f(0, "b", "save", "")],
            [f(0, args=FILE_TEXT[:9])],
            [f(0, args=FILE_TEXT[9:])],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_all_zero_interleaved_by_id": (
        [
            [f(0, "a", "look", HEAD)],
            [f(0, "b", "save", FILE_TEXT[:9])],
            [f(0, "a", args=TAIL)],
            [f(0, "b", args=FILE_TEXT[9:])],
        ],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "index_zero_second_id_without_name": (
        [[f(0, "a", "look", OSLO_TEXT)], [f(0, "b", args=FILE_TEXT)]],
        [LOOK_OSLO, bad("", "no name")],
    ),
    "id_never": (
        [[f(0, name="look", args="")], [f(0, args=OSLO_TEXT)], [f(1, name="save", args=FILE_TEXT)]],
        [ok("look", OSLO, ""), ok("save", FILE, "")],
    ),
    "id_empty_always": ([[f(0, "", "look", HEAD)], [f(0, "", args=TAIL)]], [ok("look", OSLO, "")]),
    "id_text_null_always": (
        [[f(0, "null", "look", HEAD)], [f(0, "null", args=TAIL)]],
        [ok("look", OSLO, "")],
    ),
    "id_is_a_number": ([[f(0, 7, "look", HEAD)], [f(0, 7, args=TAIL)]], [ok("look", OSLO, "")]),
    "id_late": ([[f(0, name="look", args=HEAD)], [f(0, "a", args=TAIL)]], [ok("look", OSLO, "a")]),
    "id_too_late": (
        [[f(0, name="look", args="")], [f(0, args=HEAD)], [f(0, "a", args=TAIL)]],
        [ok("look", OSLO, "")],
    ),
    "id_late_after_text_null": (
        [[f(0, "null", "look", HEAD)], [f(0, "a", args=TAIL)]],
        [ok("look", OSLO, "a")],
    ),
    "id_repeated_each_chunk": (
        [[f(0, "a", "look", "")], [f(0, "a", args=HEAD)], [f(0, "a", args=TAIL)]],
        [ok("look", OSLO, "a")],
    ),
    "id_null_on_continuation": (
        [[f(0, "a", "look", HEAD)], [{"index": 0, "id": None, "function": {"arguments": TAIL}}]],
        [ok("look", OSLO, "a")],
    ),
    "id_text_null_on_continuation": (
        [[f(0, "a", "look", HEAD)], [f(0, "null", args=TAIL)]],
        [ok("look", OSLO, "a")],
    ),
    "id_styles": (
        [
            whole(0, "functions.look:0", "look", OSLO_TEXT),
            whole(1, "aX1X9bYXZ", "save", FILE_TEXT),
            whole(2, "call_2_f5b70d63", "look", ROME_TEXT),
        ],
        [
            ok("look", OSLO, "functions.look:0"),
            ok("save", FILE, "aX1X9bYXZ"),
            ok("look", ROME, "call_2_f5b70d63"),
        ],
    ),
    "same_id_on_two_indices": (
        [
            [f(0, "a", "look", "")],
            [f(0, args=OSLO_TEXT)],
            [f(1, "a", "save", "")],
            [f(1, "a", args=FILE_TEXT)],
        ],
        [ok("look", OSLO, "a"), ok("save", FILE, "")],
    ),
    "same_ids_interleaved": (
        [
            [f(0, "a", "look", HEAD), f(1, "a", "save", FILE_TEXT[:9])],
            [f(0, "a", args=TAIL), f(1, "a", args=FILE_TEXT[9:])],
        ],
        [ok("look", OSLO, "a"), ok("save", FILE, "")],
    ),
    "id_changes_each_chunk_no_name": (
        [[f(0, "a", "look", "")], [f(0, "b", args=HEAD)], [f(0, "c", args=TAIL)]],
        [bad("look", "went on under another id", "a"), bad("", ""), bad("", "")],
    ),
    "id_changes_no_name_tool_without_fields": (
        [[f(0, "a", "list", "")], [f(0, "b", args="{}")]],
        [ok("list", {}, "a"), bad("", "no name", "b")],
    ),
    "name_repeated_each_chunk": (
        [[f(0, "a", "look", "")], [f(0, "a", "look", HEAD)], [f(0, "a", "look", TAIL)]],
        [LOOK_OSLO],
    ),
    "name_repeated_id_once": ([[f(0, "a", "look", HEAD)], [f(0, None, "look", TAIL)]], [LOOK_OSLO]),
    "name_null_on_continuation": (
        [
            [f(0, "a", "look", HEAD)],
            [{"index": 0, "function": {"name": None, "arguments": TAIL}}],
        ],
        [LOOK_OSLO],
    ),
    "name_and_id_empty_on_continuation": (
        [[f(0, "a", "look", HEAD)], [f(0, "", "", TAIL)]],
        [LOOK_OSLO],
    ),
    "name_late_null_first": (
        [
            [{"index": 0, "id": "a", "function": {"name": None, "arguments": ""}}],
            [f(0, None, "look", OSLO_TEXT)],
        ],
        [ok("look", OSLO, "a")],
    ),
    "name_after_arguments": (
        [[f(0, "a", args="")], [f(0, args=OSLO_TEXT)], [f(0, name="look")]],
        [ok("look", OSLO, "a")],
    ),
    "name_with_spaces": ([whole(0, "a", " look\n", OSLO_TEXT)], [LOOK_OSLO]),
    "name_differs_same_id": (
        [[f(0, "a", "look", "")], [f(0, "a", "save", OSLO_TEXT)]],
        [LOOK_OSLO],
    ),
    "name_in_pieces": (
        [[f(0, "a", "lo")], [f(0, None, "ok")], [f(0, args=OSLO_TEXT)]],
        [bad("lo", "'lo'")],
    ),
    "name_unknown": (
        [whole(0, "a", "nope", "{}"), whole(1, "b", "save", FILE_TEXT)],
        [
            bad("nope", "No tool 'nope' is bound. Bound tools: 'look', 'list', 'save', 'stop'."),
            SAVE_FILE,
        ],
    ),
    "name_with_prefix": (
        [whole(0, "a", "functions.look", OSLO_TEXT)],
        [bad("functions.look", "is bound")],
    ),
    "name_with_special_token": (
        [whole(0, "a", "look<|channel|>x", OSLO_TEXT)],
        [bad("look<|channel|>x", "is bound")],
    ),
    "name_garbage": ([whole(0, "a", " [", OSLO_TEXT)], [bad("[", "is bound")]),
    "name_empty": (
        [whole(0, "a", "", OSLO_TEXT), whole(1, "b", "save", FILE_TEXT)],
        [bad("", "no name", "a"), SAVE_FILE],
    ),
    "name_missing": (
        [[f(0, "a", args=OSLO_TEXT)], whole(1, "b", "save", FILE_TEXT)],
        [bad("", "no name", "a"), SAVE_FILE],
    ),
    "name_is_a_number": ([[f(0, "a", 5, OSLO_TEXT)]], [bad("", "no name")]),
    "nothing_but_an_index": ([[{"index": 0}]], [bad("", "")]),
}


@pytest.mark.parametrize("case", WHICH_CALL)
def test_which_call_a_fragment_belongs_to(case: str) -> None:
    verdicts_hold(*WHICH_CALL[case])


@pytest.mark.parametrize(
    "deltas",
    [
        [[f(name="stop")], [f(name="save", args=FILE_TEXT)]],
        [[f(0, name="stop")], [f(0, name="save", args=FILE_TEXT)]],
        [[f(0, name="stop")], [f(0, "b", "save", FILE_TEXT)]],
        [[f(0, name="stop", args="")], [f(0, name="save")], [f(0, args=FILE_TEXT)]],
        [[f(0, name="stop"), f(0, "b", "save")], [f(0, "b", args=FILE_TEXT)]],
    ],
)
def test_arguments_that_came_with_another_name_never_run(deltas: list[Delta]) -> None:
    for call in run(deltas):
        assert not isinstance(call.end, ToolCallFinish) or (call.end.name, call.end.args) in (
            ("stop", {}),
            ("save", FILE),
        )


TO_SAVE, TO_LOOK = FILE_TEXT, ROME_TEXT
SPELLINGS: list[tuple[object, object]] = [
    ("0", "1"), (0.0, 1.0), ("0.0", "1.0"), ("-1", -2.0), (0, "1"), ("7", 3.0), (2**70, "0"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), SPELLINGS)
def test_an_index_is_a_whole_number_in_any_spelling(first: object, second: object) -> None:
    heads = [[f(first, "a", "look", "")], [f(second, "b", "save", "")]]
    for texts in (
        [[f(first, args=OSLO_TEXT)], [f(second, args=FILE_TEXT)]],
        [
            [f(second, args=FILE_TEXT[:9])],
            [f(first, args=OSLO_TEXT)],
            [f(second, args=FILE_TEXT[9:])],
        ],
    ):
        verdicts_hold([*heads, *texts], [LOOK_OSLO, SAVE_FILE])


@pytest.mark.parametrize(
    "index",
    [
        True,
        "x",
        "",
        "1e0",
        "0x1",
        "\u0661",
        0.5,
        "0.5",
        float("inf"),
        float("nan"),
        [],
        {},
        "9" * 99,
    ],
)
def test_anything_else_is_no_index(index: object) -> None:
    deltas = [
        [{**f(None, "a", "look", ""), "index": index}],
        [{**f(args=OSLO_TEXT), "index": index}],
    ]
    check(run(deltas), [LOOK_OSLO])


BOTH_OPEN = [[f(0, "a", "stop", ""), f(1, "b", "save", "")]]
UNCLEAR = "may belong to any of 2 calls"

DOUBT: dict[str, tuple[list[Delta], list[Call]]] = {
    "neither index nor id, while two are open": (
        [*BOTH_OPEN, [f(args=FILE_TEXT)]], [bad("stop", UNCLEAR), bad("save", UNCLEAR)],
    ),
    "neither, one piece for each": (
        [*BOTH_OPEN, [f(args="{}")], [f(args=FILE_TEXT)]],
        [bad("stop", UNCLEAR), bad("save", UNCLEAR)],
    ),
    "neither, in one list": (
        [*BOTH_OPEN, [f(args="{}"), f(args=FILE_TEXT)]],
        [bad("stop", UNCLEAR), bad("save", UNCLEAR)],
    ),
    "neither, while one is closed": (
        [whole(0, "a", "stop", '{"x": 1}'), [f(1, "b", "save", "")], [f(args=FILE_TEXT)]],
        [ok("stop", {"x": 1}), SAVE_FILE],
    ),
    "neither, while one has a tool without parameters": (
        [[f(0, "a", "list", ""), f(1, "b", "save", "")], [f(args=FILE_TEXT)]],
        [ok("list", {}), SAVE_FILE],
    ),
    "neither, for a tool without parameters": (
        [whole(0, "a", "save", FILE_TEXT), [f(1, "b", "list", "")], [f(args="{}")]],
        [SAVE_FILE, ok("list", {})],
    ),
    "neither, and says nothing": (
        [*BOTH_OPEN, [f()], [f(args="")], [f(1, args=FILE_TEXT)]], [ok("stop", {}), SAVE_FILE],
    ),
    "an index that came late": (
        [whole(0, "a", "look", OSLO_TEXT), [f(None, "b", "save", "")], [f(1, args=FILE_TEXT)]],
        [LOOK_OSLO, SAVE_FILE],
    ),
    "an index that came late, where another may be meant": (
        [[f(0, "a", "stop", "")], [f(None, "b", "save", "")], [f(1, args=FILE_TEXT)]],
        [bad("stop", "no named call"), bad("save", "no named call"), bad("", "no name")],
    ),
    "an index and the id of another call": (
        [*BOTH_OPEN, [f(0, "b", args=FILE_TEXT)]], [bad("stop", UNCLEAR), bad("save", UNCLEAR)],
    ),
    "an index that nobody has, and an id": (
        [*BOTH_OPEN, [f(5, "b", args=FILE_TEXT[:9])], [f(5, "b", args=FILE_TEXT[9:])]],
        [ok("stop", {}), SAVE_FILE],
    ),
    "an id that two calls have, and no index": (
        [[f(0, "a", "stop", ""), f(1, "a", "save", "")], [f(None, "a", args=FILE_TEXT)]],
        [bad("stop", UNCLEAR), bad("save", UNCLEAR)],
    ),
    "an id that came late, while two have none": (
        [[f(0, None, "stop", ""), f(1, None, "save", "")], [f(None, "a", args=FILE_TEXT)]],
        [bad("stop", "no named call"), bad("save", "no named call"), bad("", "no name")],
    ),
    "a name at one index, its arguments at the next": (
        [[f(0, "a", "stop", "")], [f(1, args='{"x": 1}')]],
        [bad("stop", "no named call"), bad("", "no name")],
    ),
    "and an empty object before": (
        [[f(0, "a", "stop", "{}")], [f(1, args='{"x": 1}')]],
        [bad("stop", "no named call"), bad("", "no name")],
    ),
    "a name at one index, its arguments at the next, for a tool without parameters": (
        [[f(0, "a", "list", "")], [f(1, args="{}")]], [ok("list", {}), bad("", "no name")],
    ),
    "a new id for each piece": (
        [[f(None, "a", "stop", "")], [f(None, "b", args='{"x":')], [f(None, "c", args=" 1}")]],
        [bad("stop", "no named call"), bad("", "not complete"), bad("", "")],
    ),
    "a piece in the middle at another index": (
        [[f(0, "a", "save", '{"path": "a"')], [f(3, args=', "content": "b"')], [f(0, args="}")]],
        [bad("save", "no named call"), bad("", "not JSON")],
    ),
    "a piece in the middle at the index of a name that follows": (
        [
            [f(0, "a", "save", '{"path": "a"')], [f(1, args=', "content": "b"')], [f(0, args="}")],
            [f(1, "b", "stop", "")],
        ],
        [bad("save", "no named call"), bad("stop", "not JSON")],
    ),
    "arguments before a name, and others that have none": (
        [[f(0, args=OSLO_TEXT)], [f(0, "a", "look")], [f(1, args=ROME_TEXT)]],
        [bad("look", "no named call"), bad("", "no name")],
    ),
    "white space is no arguments": (
        [[f(0, "a", "stop", "")], [f(1, args=" \n")]], [ok("stop", {}), bad("", "no name")],
    ),
    "two names at one index before the arguments": (
        [[f(0, "a", "stop", "")], [f(0, "b", "save", "")], [f(0, args=FILE_TEXT)]],
        [bad("stop", "went on under another id"), bad("save", "went on under another id")],
    ),
    "two names at one index, and arguments with the second": (
        [[f(0, "a", "stop", "")], [f(0, "b", "save", FILE_TEXT)]],
        [bad("stop", "went on under another id"), SAVE_FILE],
    ),
    "two names at one index, for a tool without parameters": (
        [[f(0, "a", "list", "")], [f(0, "b", "save", "")], [f(0, args=FILE_TEXT)]],
        [ok("list", {}), SAVE_FILE],
    ),
    "two names at one index, and arguments by id": (
        [[f(0, "a", "stop", "")], [f(0, "b", "save", FILE_TEXT)], [f(0, "a", args='{"x": 1}')]],
        [ok("stop", {"x": 1}), SAVE_FILE],
    ),
    "one call at several indexes": (
        [whole(i, "a", "save", FILE_TEXT) for i in range(3)],
        [SAVE_FILE, bad("save", "before, under another index"), bad("save", "before")],
    ),
    "one call at several indexes, read-only": (
        [whole(i, "a", "look", OSLO_TEXT) for i in range(2)],
        [LOOK_OSLO, bad("look", "before, under another index")],
    ),
    "one call at several indexes, its arguments at the last": (
        [[f(0, "a", "stop", "")], whole(1, "a", "stop", '{"x": 1}')],
        [bad("stop", "before, under another index"), ok("stop", {"x": 1})],
    ),
    "one id for two calls of one tool": (
        [whole(0, "a", "look", OSLO_TEXT), whole(1, "a", "look", ROME_TEXT)],
        [LOOK_OSLO, ok("look", ROME)],
    ),
    "the same call twice, under two ids": (
        [whole(0, "a", "look", OSLO_TEXT), whole(1, "b", "look", OSLO_TEXT)],
        [LOOK_OSLO, LOOK_OSLO],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBT)
def test_where_two_readings_are_left_neither_runs(case: str) -> None:
    deltas, expected = DOUBT[case]
    check(run(deltas), expected)
    check(run([[fragment] for delta in deltas for fragment in delta]), expected)
    check(run([[fragment for delta in deltas for fragment in delta]]), expected)


@pytest.mark.parametrize("case", DOUBT)
def test_what_is_doubtful_has_not_been_passed_on(case: str) -> None:
    """Readers that cannot take a call back (rule 8) get none that is invalid in the end."""
    message = ToolCallAssembler(TOOLS, passed=True)
    events = [e for delta in DOUBT[case][0] for e in message.feed({"tool_calls": delta})]
    for call in seen(events + message.close("stop")):
        assert not call.revoked


def test_the_text_of_a_repetition_is_not_given_out_before_it_is_known_as_one() -> None:
    """Another reader of it would start a read-only tool a second time."""
    message = ToolCallAssembler(TOOLS)
    for text in (OSLO_TEXT, ROME_TEXT):
        message.feed({"tool_calls": whole(0, "a", "look", OSLO_TEXT)})
        begun = message.feed({"tool_calls": [f(1, "a", "look", text[:5])]})
        ended = message.feed({"tool_calls": [f(1, "a", args=text[5:])]})
        deltas = [e.args for e in begun + ended if isinstance(e, ToolCallDelta)]
        assert deltas == ([] if text == OSLO_TEXT else [text])
        message.close("stop")
        message = ToolCallAssembler(TOOLS)


def test_tools_without_parameters_may_be_known_by_name_only() -> None:
    deltas = [
        {"tool_calls": [f(0, "a", "ping", ""), f(1, "b", "save", "")]},
        {"tool_calls": [f(args=FILE_TEXT)]},
    ]
    for names, expected in (
        ((), [bad("ping", UNCLEAR), bad("save", UNCLEAR)]),
        (("ping",), [ok("ping", {}), SAVE_FILE]),
    ):
        message = ToolCallAssembler(no_parameters=names)
        events = [e for delta in deltas for e in message.feed(delta)]
        check(seen(events + message.close("stop")), expected)


# 2. Absence.

ABSENCE: dict[str, tuple[list[Delta], list[Call]]] = {
    "function_null_first": (
        [[{"index": 0, "id": "a", "function": None}], [f(0, None, "look", OSLO_TEXT)]],
        [LOOK_OSLO],
    ),
    "function_missing_first": (
        [[f(0, "a", type="function")], [f(0, None, "look", OSLO_TEXT)]],
        [LOOK_OSLO],
    ),
    "function_null_on_continuation": (
        [
            [f(0, "a", "look", HEAD)],
            [{"index": 0, "function": None}],
            [f(0, args=TAIL)],
            [{"index": 0, "function": None}],
        ],
        [LOOK_OSLO],
    ),
    "function_missing_on_continuation": (
        [[f(0, "a", "look", HEAD)], [{"index": 0}], [f(0, args=TAIL)], [{"index": 0}]],
        [LOOK_OSLO],
    ),
    "function_is_a_list": (
        [[f(0, "a", "look", HEAD)], [{"index": 0, "function": []}], [f(0, args=TAIL)]],
        [LOOK_OSLO],
    ),
    "type_null": ([[f(0, "a", "look", HEAD, type=None)], [f(0, args=TAIL, type="")]], [LOOK_OSLO]),
    "type_only_at_end": ([[f(0, "a", "look", OSLO_TEXT)], [f(0, type="function")]], [LOOK_OSLO]),
    "empty_fragments_between": (
        [
            [f(0, "a", "look", "")],
            [f(0, args="")],
            [f(0, args=HEAD)],
            [f(0, args="")],
            [f(0, args=TAIL)],
            [f(0, args="")],
        ],
        [LOOK_OSLO],
    ),
    "flat_call_without_function_object": (
        [[{"index": 0, "id": "a", "name": "look", "arguments": OSLO_TEXT}]],
        [LOOK_OSLO],
    ),
}


@pytest.mark.parametrize("case", ABSENCE)
def test_what_is_null_or_missing_is_absent(case: str) -> None:
    verdicts_hold(*ABSENCE[case])


@pytest.mark.parametrize(
    ("before", "delta", "after"),
    [
        (
            {},
            {"tool_calls": [None, f(0, "a", "look", OSLO_TEXT), 3, "x", []]},
            {"tool_calls": None},
        ),
        ({"tool_calls": []}, {"tool_calls": f(0, "a", "look", OSLO_TEXT)}, {"tool_calls": {}}),
        ({"tool_calls": "x"}, {"tool_calls": [f(0, "a", "look", OSLO_TEXT)]}, {"tool_calls": 7}),
        (
            {"function_call": {"name": "look", "arguments": ""}},
            {"function_call": {"arguments": OSLO_TEXT}, "tool_calls": None},
            {"function_call": None},
        ),
    ],
    ids=[
        "junk_in_the_list",
        "tool_calls_is_an_object",
        "tool_calls_is_text",
        "legacy_function_call",
    ],
)
def test_every_shape_of_a_delta(before: Any, delta: Any, after: Any) -> None:
    message = ToolCallAssembler(TOOLS)
    events = [e for part in (before, delta, after) for e in message.feed(part)]
    check(seen(events + message.close("function_call")), [LOOK_OSLO])
