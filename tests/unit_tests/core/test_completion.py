"""Any chunks either give events or raise `StreamInterruptedError`, never another error, and every
call that is opened ends exactly once."""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.completion import MAX_CHOICES, CompletionStream
from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)
from langchain_toolstream.core.events import (
    ArgumentFinish,
    Event,
    MessageFinish,
    ReasoningDelta,
    TextDelta,
    ToolCallInvalid,
    ToolCallStart,
)
from tests.unit_tests.core.messages import (
    FILE,
    FILE_TEXT,
    LOOK_OSLO,
    OSLO,
    OSLO_TEXT,
    ROME,
    ROME_TEXT,
    SAVE_FILE,
    TOOLS,
    Seen,
    bad,
    check,
    f,
    ok,
    run,
    seen,
)
from tests.unit_tests.core.test_which_call import WHICH_CALL

Chunk = dict[str, Any]


def chunk(delta: object, finish_reason: object = None, index: int = 0, **more: object) -> Chunk:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}


def calls(*fragments: object) -> dict[str, Any]:
    return {"content": None, "tool_calls": list(fragments)}


def message(reason: str = "stop", **fields: object) -> Chunk:
    """A whole response that was not streamed."""
    whole = {"role": "assistant", "content": None, **fields}
    return {"choices": [{"index": 0, "message": whole, "finish_reason": reason}]}


ROLE = chunk({"role": "assistant", "content": ""})
CALL = chunk(calls(f(0, "a", "look", OSLO_TEXT)))
FINISH = chunk({}, "tool_calls")
USAGE = {"prompt_tokens": 9, "completion_tokens": 5}


def read(chunks: Iterable[Chunk], **how: Any) -> list[tuple[int, Event]]:
    stream = CompletionStream(TOOLS, **how)
    events = [event for each in chunks for event in stream.feed(each)]
    return events + stream.close()


def of_choice(events: Iterable[tuple[int, Event]], choice: int = 0) -> list[Event]:
    return [event for index, event in events if index == choice]


def text(events: Iterable[Event], kind: type = TextDelta) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def called(events: Iterable[Event], *, ended: bool = True) -> list[Seen]:
    others = (TextDelta, ReasoningDelta, MessageFinish)
    return seen((event for event in events if not isinstance(event, others)), ended=ended)


# Shapes.


@pytest.mark.parametrize("case", WHICH_CALL)
def test_chunks_are_read_as_deltas_are(case: str) -> None:
    deltas, expected = WHICH_CALL[case]
    for last in (FINISH, chunk(None, "tool_calls"), chunk({"content": None}, "stop")):
        events = of_choice(read([ROLE, *(chunk({"tool_calls": delta}) for delta in deltas), last]))
        check(called(events), expected)
    if any(deltas):
        *before, final = (chunk({"tool_calls": delta}) for delta in deltas)
        final["choices"][0]["finish_reason"] = "tool_calls"
        check(called(of_choice(read([ROLE, *before, final]))), expected)


def test_one_chunk_may_hold_everything() -> None:
    everything = {
        "role": "assistant",
        "content": "Sure:",
        "reasoning": "hm",
        "tool_calls": [f(0, "a", "look", OSLO_TEXT), f(1, "b", "save", FILE_TEXT)],
    }
    events = of_choice(read([chunk(everything, "tool_calls", usage=USAGE)]))
    assert [event.type for event in events] == [
        "reasoning-delta", "text-delta",
        "tool-call-start", "tool-call-delta", "tool-call-start", "tool-call-delta",
        "tool-call-ready",
        "tool-call-finish", "tool-call-ready", "tool-call-finish", "message-finish",
    ]  # fmt: skip
    assert events[-1] == MessageFinish(finish_reason="tool_calls", usage=USAGE)


@pytest.mark.parametrize(
    ("chunks", "said", "thought"),
    [
        ([chunk({"content": "a"}), chunk({"content": "b c"}), chunk({"content": ""})], "ab c", ""),
        ([chunk({"content": "a"}), CALL, chunk({"content": "b"})], "ab", ""),
        ([chunk({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})], "ab",
         ""),
        ([chunk({"content": [{"type": "image"}, None, "x", {"text": None}, {"text": "a"}]})], "a",
         ""),
        ([chunk({"content": 5}), chunk({"content": {"text": "no"}}), chunk({"content": "a"})], "a",
         ""),
        ([chunk({"reasoning": "a"}), chunk({"reasoning": "b"}), chunk({"content": "c"})], "c",
         "ab"),
        ([chunk({"reasoning_content": "a", "reasoning": None, "content": None})], "", "a"),
        ([chunk({"reasoning": "a", "reasoning_content": "a"})] * 2, "", "aa"),
        ([chunk({"reasoning": "", "reasoning_content": "a"})], "", "a"),
        ([chunk({"reasoning": "a", "reasoning_details": [{"text": "a"}]})], "", "a"),
        ([chunk({"reasoning": {"x": 1}, "reasoning_content": ["y"]})], "", ""),
        ([message(content="a", reasoning="b")], "a", "b"),
        ([message(content=[{"type": "text", "text": "a"}], reasoning_content="b")], "a", "b"),
        ([message(reasoning="b", reasoning_content="b")], "", "b"),
    ],
)  # fmt: skip
def test_text_and_reasoning(chunks: list[Chunk], said: str, thought: str) -> None:
    events = of_choice(read([ROLE, *chunks, FINISH]))
    assert (text(events), text(events, ReasoningDelta)) == (said, thought)


@pytest.mark.parametrize(
    "between",
    [
        {}, {"choices": []}, {"choices": None}, {"choices": "x"}, {"choices": [None, 3]},
         {"id": "x"},
        {"type": "ping"}, {"object": "ping"}, {"object": None}, {"error": None}, {"error": ""},
        {"choices": [{"index": 0}]}, {"choices": [{}]}, {"choices": {"index": 0, "delta": {}}},
        chunk(None), chunk({}), chunk([]), chunk("x"), chunk({}, ""), chunk({}, 0), chunk({},
        usage=None),
        chunk({"content": None, "tool_calls": None, "role": None, "reasoning": None}),
        chunk({"tool_calls": [None]}), chunk({"tool_calls": []}), chunk({"function_call": None}),
        chunk({}, token_ids=[1, 2]), chunk({}, error=None),
    ],
    ids=str,
)  # fmt: skip
def test_what_says_nothing_changes_nothing(between: Chunk) -> None:
    halves = [
        chunk(calls(f(0, "a", "look", OSLO_TEXT[:9]))),
        chunk(calls(f(0, args=OSLO_TEXT[9:]))),
    ]
    plain = read([ROLE, *halves, FINISH])
    assert read([between, ROLE, between, halves[0], between, halves[1], FINISH, between]) == plain
    assert read([ROLE, message(None), between, ROLE, *halves, FINISH]) == plain


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(item, (*path, key))


FULL = chunk(
    {
        "role": "assistant",
        "content": "a",
        "reasoning": "b",
        "tool_calls": [f(0, "a", "look", OSLO_TEXT, type="function"), f(1, "b", "stop", {"x": 1})],
    },
    stop_reason="s",
    usage=USAGE,
)
JUNK = [
    None,
    False,
    0,
    -1,
    1.5,
    "",
    "x",
    "null",
    [],
    {},
    [None],
    {"index": 0},
    [[{}]],
    {"text": []},
]


@pytest.mark.parametrize("path", list(places(FULL)), ids=str)
def test_junk_at_any_level_raises_nothing(path: tuple[Any, ...]) -> None:
    for junk in JUNK:
        broken = copy.deepcopy(FULL)
        place: Any = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = junk
        stream = CompletionStream(TOOLS, fields=True)
        events = stream.feed(ROLE) + stream.feed(broken) + stream.feed(chunk({}, "stop"))
        try:
            events += stream.close()
        except StreamInterruptedError:
            assert path[-2:] in ((0, "index"), (0, "finish_reason")), junk
            events += stream.abort("interrupted")
        for choice in {index for index, _ in events}:
            called(of_choice(events, choice))


# Choices.


def test_choices_are_kept_apart() -> None:
    first = [
        {"index": 1, "delta": calls(f(0, "a", "save", FILE_TEXT[:9]))},
        {"index": 0, "delta": {"content": "x"}},
    ]
    chunks = [
        {"choices": first},
        chunk(calls(f(0, "a", "look", OSLO_TEXT[:9]))),
        chunk(calls(f(0, args=FILE_TEXT[9:])), "stop", index=1),
        chunk(calls(f(0, args=OSLO_TEXT[9:])), "length"),
    ]
    events = read(chunks)
    check(called(of_choice(events, 0)), [bad("look", "cut off", "a")])
    check(called(of_choice(events, 1)), [ok("save", FILE, "a")])
    assert [of_choice(events, i)[-1] for i in (0, 1)] == [
        MessageFinish(finish_reason="length"),
        MessageFinish(finish_reason="stop"),
    ]


def test_a_choice_without_an_index_is_known_by_its_place() -> None:
    both = {"choices": [{"delta": {"content": "a"}}, {"index": None, "delta": {"content": "b"}}]}
    ends = {
        "choices": [{"delta": {}, "finish_reason": "stop"}, {"delta": {}, "finish_reason": "stop"}]
    }
    events = read([both, both, ends])
    assert [text(of_choice(events, i)) for i in (0, 1)] == ["aa", "bb"]


# Whole messages.


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (message(tool_calls=[f(None, "x", "look", OSLO_TEXT), f(None, "y", "save", FILE_TEXT)]),
         [ok("look", OSLO, "x"), ok("save", FILE, "y")]),
        (message(tool_calls=[f(None, "x", "look", OSLO_TEXT), f(None, "x", "save", FILE_TEXT)]),
         [ok("look", OSLO, "x"), ok("save", FILE, "")]),
        (message(tool_calls=[f(name="look", args=OSLO_TEXT), f(None, "", "save", FILE_TEXT)]),
         [ok("look", OSLO, ""), ok("save", FILE, "")]),
        (message(tool_calls=[f(name="list"), f(name="look", args=OSLO_TEXT), f(name="stop")]),
         [ok("list", {}), LOOK_OSLO, ok("stop", {})]),
        (message(tool_calls=[f(0, "x", "look", OSLO_TEXT), f(0, "y", "look", ROME_TEXT)]),
         [LOOK_OSLO, ok("look", ROME)]),
        (message(tool_calls=[f(None, "x", "save", FILE), f(None, "y", "look",
         json.dumps(OSLO_TEXT))]),
         [SAVE_FILE, ok("look", OSLO, double=True)]),
        (message(tool_calls=[f(None, "x", "look", OSLO_TEXT[:-1]), f(None, "y", "save",
         FILE_TEXT)]),
         [bad("look", "not complete"), SAVE_FILE]),
        (message("length", tool_calls=[f(None, "x", "look", OSLO_TEXT), f(None, "y", "save",
         FILE_TEXT)]),
         [LOOK_OSLO, bad("save", "cut off")]),
        (message(function_call={"name": "look", "arguments": OSLO_TEXT}), [LOOK_OSLO]),
        (message(tool_calls=None), []),
        (message("tool_calls", tool_calls=[]), []),
    ],
)  # fmt: skip
def test_a_whole_response_is_one_chunk(body: Chunk, expected: list[Any]) -> None:
    check(called(of_choice(read([body]))), expected)


# Usage and reasons.


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        ([ROLE, FINISH], None),
        ([ROLE, FINISH, {"choices": [], "usage": USAGE}], USAGE),
        ([ROLE, FINISH, {"usage": USAGE}], USAGE),
        ([ROLE, {"choices": [], "usage": USAGE}, FINISH], USAGE),
        ([ROLE, chunk({}, "stop", usage=USAGE)], USAGE),
        ([*(chunk({"content": "x"}, usage={"completion_tokens": i}) for i in (1, 2)), FINISH,
          {"choices": [], "usage": {"completion_tokens": 3}}], {"completion_tokens": 3}),
        ([ROLE, FINISH, {"usage": USAGE}, {"usage": USAGE}, {"usage": None}, {"usage": 7}], USAGE),
    ],
)  # fmt: skip
def test_usage_is_the_last_and_never_a_sum(chunks: list[Chunk], usage: object) -> None:
    stream = CompletionStream()
    for each in chunks:
        stream.feed(each)
    [(_, finish)] = stream.close()
    assert isinstance(finish, MessageFinish)
    assert (stream.usage, finish.usage) == (usage, usage)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["stop"], "stop"), ([None, "", "tool_calls"], "tool_calls"), (["tool_calls", "stop"],
         "tool_calls"),
        (["stop", None, ""], "stop"), (["eos_token"], "eos_token"), (["stop", "length"], "length"),
        (["length", "stop"], "length"),
    ],
)  # fmt: skip
def test_the_finish_reason_is_the_first_or_the_bad_one(reasons: list[Any], expected: str) -> None:
    events = of_choice(read([CALL, *(chunk({}, reason) for reason in reasons)]))
    assert events[-1] == MessageFinish(finish_reason=expected)
    check(called(events), [bad("look", "'length'")] if expected == "length" else [LOOK_OSLO])


@pytest.mark.parametrize(
    ("stop", "expected"), [("\n", "\n"), (128009, 128009), (None, None), ([], None)]
)
def test_the_stop_reason_is_kept(stop: object, expected: object) -> None:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": stop}]}
    assert read([ROLE, last]) == [(0, MessageFinish(finish_reason="stop", stop_reason=expected))]


# Interrupted.

NEW = {
    "message": "Internal server error",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}


@pytest.mark.parametrize(
    ("event", "told", "facts"),
    [
        ({"error": NEW}, "(500, InternalServerError): Internal server error",
         ("Internal server error", 500, "InternalServerError")),
        ({"object": "error", "message": "boom", "type": "BadRequestError", "code": 400},
         "(400, BadRequestError): boom", ("boom", 400, "BadRequestError")),
        ({"error": "boom"}, ": boom", ("boom", None, None)),
        ({"error": {"code": 429, "message": "rate limited"}}, "(429): rate limited",
         ("rate limited", 429, None)),
        ({"error": {"message": "", "code": "x"}}, "(x): it gave no reason", ("", "x", None)),
        ({"error": {"message": None}}, ": it gave no reason", ("", None, None)),
        ({"error": ["a"]}, ": ['a']", ("['a']", None, None)),
        ({"error": True, "choices": []}, ": True", ("True", None, None)),
        ({"error": {"message": {"x": 1}, "code": [], "type": 5}}, ": {'x': 1}", ("{'x': 1}", None,
         None)),
        ({**chunk({"content": "x"}, "error"), "error": {"code": 502, "message": "m"}}, "(502): m",
         ("m", 502, None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [[], [ROLE, CALL], [ROLE, CALL, FINISH]])
def test_an_error_event_raises_in_the_servers_words(
    before: list[Chunk], event: Chunk, told: str, facts: tuple[Any, ...]
) -> None:
    stream = CompletionStream(TOOLS)
    events = [event for each in before for event in stream.feed(each)]
    with pytest.raises(ServerStreamError) as raised:
        stream.feed(event)
    assert str(raised.value).startswith("The server broke off its answer")
    assert str(raised.value).endswith(told)
    assert (raised.value.message, raised.value.code, raised.value.type) == facts
    assert raised.value.partial_message is None
    expected = [bad("look", "dropped")] if before else []
    check(called(of_choice(events + stream.abort("dropped"))), expected)


@pytest.mark.parametrize(
    ("chunks", "error", "match"),
    [
        ([], IncompleteStreamError, "before the answer began"),
        ([{"choices": [], "usage": USAGE}], IncompleteStreamError, "before the answer began"),
        (
            [ROLE, chunk({"content": "hi"})],
            IncompleteStreamError,
            r"without a finish reason \(choice 0\)",
        ),
        ([ROLE, CALL], IncompleteStreamError, "No tool call of it is confirmed"),
        ([CALL, chunk({}, "")], IncompleteStreamError, "without a finish reason"),
        ([FINISH, chunk({"content": "x"}, index=1)], IncompleteStreamError, r"choice 1"),
        ([CALL, chunk({}, "error")], ServerStreamError, "its finish reason is 'error'"),
        ([FINISH, chunk({}, "error", index=1)], ServerStreamError, "its finish reason is 'error'"),
    ],
)
def test_a_stream_that_was_not_finished_raises(
    chunks: list[Chunk], error: type[Exception], match: str
) -> None:
    stream = CompletionStream(TOOLS)
    events = [event for each in chunks for event in stream.feed(each)]
    with pytest.raises(error, match=match):
        stream.close()
    for call in called(of_choice(events + stream.abort("it was cut"))):
        check([call], [bad("look", "it was cut")])
        assert call.revoked


# Whatever comes.

ARGS = st.sampled_from(
    ["", "{", "}", "{}", OSLO_TEXT, OSLO_TEXT[:9], OSLO_TEXT[9:], FILE_TEXT, json.dumps(OSLO_TEXT),
     "null",
     "[1]", " ", '"', "1", "\\u12", "\ud83d", ROME_TEXT, {}, OSLO, None, 5, [], True]
)  # fmt: skip
fragments = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 0, 1, 2, None, "0", -1, True]),
        "id": st.sampled_from(["a", "b", "", None, "null", 3]),
        "type": st.sampled_from(["function", None, "invalid_tool_call"]),
        "function": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["look", "save", "list", "nope", "", None]),
                "arguments": ARGS,
            },
        ),
        "name": st.sampled_from(["look", "list"]),
        "args": ARGS,
    },
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["index", "id", "function", "name", "arguments", "delta", "message", "text"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "tool_calls": st.lists(fragments, max_size=3)
        | st.lists(fragments | junk, max_size=2)
        | junk,
        "content": st.just("x") | junk,
        "reasoning": junk,
        "function_call": junk | st.just({"name": "look", "arguments": OSLO_TEXT}),
    },
)
reasons = st.sampled_from([None, None, None, "", "stop", "tool_calls", "length", "error", "abort"])
choices = st.fixed_dictionaries(
    {"delta": deltas | junk, "finish_reason": reasons},
    optional={"index": st.sampled_from([0, 0, 1, None, "x"]), "message": junk, "stop_reason": junk},
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(choices | junk, max_size=2) | st.lists(choices, min_size=1, max_size=1)},
    optional={"usage": junk, "object": st.just("chat.completion.chunk")},
) | st.dictionaries(st.sampled_from(["choices", "error", "usage", "object"]), junk, max_size=2)


@settings(max_examples=300)
@given(sent=st.lists(chunks, max_size=8), bound=st.booleans(), fields=st.booleans())
def test_whatever_comes_every_call_ends_once(
    *, sent: list[Chunk], bound: bool, fields: bool
) -> None:
    stream = CompletionStream(TOOLS if bound else None, fields=fields)
    events: list[tuple[int, Event]] = []
    try:
        for each in sent:
            events += stream.feed(each)
        events += stream.close()
    except StreamInterruptedError:
        assert not any(event.type == "tool-call-finish" for _, event in events)
        events += stream.abort("interrupted")
    for choice in {index for index, _ in events}:
        called(of_choice(events, choice))


@settings(max_examples=500)
@given(
    sent=st.lists(st.lists(fragments, max_size=3), max_size=6), reason=reasons, cut=st.booleans()
)
def test_whatever_comes_an_early_call_overtakes_no_write(
    *, sent: list[Any], reason: str | None, cut: bool
) -> None:
    message = ToolCallAssembler(TOOLS, fields=True)
    events = [event for delta in sent for event in message.feed({"tool_calls": delta})]
    events += message.abort("cut") if cut else message.close(reason)
    ended = seen(events)
    for place, call in enumerate(ended):
        if call.early:
            assert {before.start.name for before in ended[: place + 1]} <= {"look", "list"}
        if call.ready is not None:
            assert TOOLS[call.ready.name].validate(call.ready.args) is None
            named = [e for e in call.fields if isinstance(e, ArgumentFinish) and len(e.path) == 1]
            assert repr({e.path[0]: e.value for e in named}) == repr(call.ready.args)


@settings(max_examples=200)
@given(st.lists(st.lists(fragments, max_size=2), max_size=4))
def test_however_entries_are_bundled_the_verdicts_are_the_same(sent: list[Any]) -> None:
    entries = [fragment for delta in sent for fragment in delta]
    outcomes = []
    for deltas in (sent, [entries], [[fragment] for fragment in entries]):
        ends = [call.end for call in run(deltas, "stop", fields=True) if call.end]
        outcomes.append(
            [(e.type, e.name, e.args if e.type == "tool-call-finish" else "") for e in ends]
        )
    assert repr(outcomes[0]) == repr(outcomes[1]) == repr(outcomes[2])


def more(args: str, **others: str) -> dict[str, Any]:
    return {"index": 0, "args": args, **others}


goes_on = st.fixed_dictionaries(
    {
        "index": st.sampled_from([0, 0, 0, 1, True]),
        "args": st.sampled_from(
            ['{"city": "', "Os", "lo", "é", "\ud83d", "\ude42", "\\", "n", '"}', '", "', 'x": 1',
             ",", "}", "{", "\n", "", None, None]
        ),
    },
    optional={
        "id": st.sampled_from(["a", "b", None, None]),
        "name": st.sampled_from(["look", None, None]),
        "type": st.sampled_from(["invalid_tool_call", "tool_call_chunk"]),
    },
)  # fmt: skip


@settings(max_examples=500)
@given(
    begun=st.sampled_from([[], [0], [0, 1]]),
    sent=st.lists(st.tuples(goes_on | goes_on | fragments, reasons), max_size=8),
    tells=st.sampled_from(
        [
            {},
            {"fields": True},
            {"text": False, "growth": True},
            {"passed": True},
        ]
    ),
)
@example(
    begun=[0], sent=[(more("Os", type="invalid_tool_call"), None), (more('"}'), None)], tells={}
)
@example(begun=[0], sent=[(more("Os", name="save"), None), (more('"}'), None)], tells={})
@example(begun=[0], sent=[(more("", id="b", name="look"), None), (more("Os"), None)], tells={})
def test_the_short_way_says_what_the_long_way_says(
    *, begun: list[int], sent: list[Any], tells: Any
) -> None:
    """Only a dict goes the short way, and a fragment of which more than its text is asked none."""
    begin = {"id": "a", "name": "look", "args": '{"city": "'}
    sent = [({**begin, "index": index}, None) for index in begun] + sent
    assert told_of(sent, dict, tells) == told_of(sent, MappingProxyType, tells)


def told_of(sent: list[Any], made: Callable[[Any], Any], tells: Any) -> str:
    message = ToolCallAssembler(TOOLS, **tells)
    events = [
        message.feed({"tool_calls": [made(fragment)]}, finish_reason=reason)
        for fragment, reason in sent
    ]
    events += [message.close("stop")]
    made_ids: list[str] = re.findall(r"call_\w{24}", repr(events))
    return re.sub(r"call_\w{24}", lambda found: f"made {made_ids.index(found[0])}", repr(events))


def said(delta: dict[str, Any], finish: str | None = None, **more: Any) -> Chunk:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


ROLE_ONLY = {"role": "assistant", "content": ""}
STOP = said({}, "stop")
GLUED: dict[str, list[Chunk]] = {
    "a role and nothing else after text": [
        said(ROLE_ONLY), said({"content": "a"}), said(ROLE_ONLY), said({"content": "b"}), STOP,
    ],
    "after reasoning": [said({"reasoning": "a"}), said(ROLE_ONLY), said({"content": "b"}), STOP],
    "after a call": [said(calls(f(0, "a", "look", OSLO_TEXT))), said(ROLE_ONLY), STOP],
    "a first piece with its role": [
        said({"role": "assistant", "content": "a"}), said(ROLE_ONLY), said({"content": "b"}), STOP,
    ],
    "a role that returns under another id": [
        said({"role": "assistant", "content": "a"}, id="A"), said({"content": "b"}, id="A1"),
        said({"role": "assistant", "content": "a"}, id="B"), STOP,
    ],
    "a shared id gives way to another": [
        said({"content": "a"}, id="A"), said({"content": "b"}, id="A"),
        said({"content": "c"}, id="B"), STOP,
    ],
    "in the middle of a call": [
        said(calls(f(0, "a", "look", OSLO_TEXT[:5])), id="A"),
        said(calls(f(0, args=OSLO_TEXT[5:8])), id="A"),
        said(calls(f(0, args=OSLO_TEXT[8:])), id="B"), said({}, "tool_calls"),
    ],
    "text after the finish reason": [said({"content": "a"}, "stop"), said({"content": "b"}), STOP],
    "arguments after the finish reason": [
        said(calls(f(0, "a", "look", OSLO_TEXT)), "tool_calls"), said(calls(f(1, "b", "look"))),
    ],
    "a finish reason on every delta": [
        said({"content": "a"}, "stop"), said({"content": "b"}, "stop"),
        said({"content": "c"}, "stop"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", GLUED)
def test_two_answers_in_one_are_an_interruption(case: str) -> None:
    stream = CompletionStream(TOOLS)
    with pytest.raises(IncompleteStreamError, match="not one whole answer"):
        _ = [stream.feed(one) for one in GLUED[case]]
    assert all(isinstance(event, ToolCallInvalid | ToolCallStart) for _, event in stream.abort("x"))


@pytest.mark.parametrize(
    "chunks",
    [
        [said({"role": "assistant", "content": piece}, id=str(n)) for n, piece in enumerate("abc")],
        [said({"role": "assistant", "content": p}) for p in ("a", "b", "", "c")],
        [said(ROLE_ONLY, id=""), *(said({"content": p}, id="") for p in "abc")],
        [said(ROLE_ONLY, id="A"), *(said({"content": p}, id="B") for p in "abc")],
        [said({"content": p}, id=str(n)) for n, p in enumerate("abc")],
        [
            *(said({"content": p}, id="A") for p in "abc"),
            {"id": "U", "choices": [], "usage": USAGE},
        ],
        [*(said({"content": p}, "null", id="A") for p in "abc"), said({}, None, id="B")],
        [said({"content": "abc"}), said({"role": "assistant"}, "stop")],
        [
            said({"content": "abc"}, "stop"),
            said({"content": "", "tool_calls": []}),
            said({}, "stop"),
        ],
    ],
)
def test_one_answer_is_one_whatever_its_ids_and_roles(chunks: list[Chunk]) -> None:
    events = of_choice(read([*chunks, STOP]))
    assert text(events) == "abc"


def test_choices_from_two_servers_are_two_answers() -> None:
    stream = CompletionStream()
    for piece in "abc":
        for index, chunk_id in enumerate("AB"):
            delta = {"index": index, "delta": {"content": piece}, "finish_reason": None}
            stream.feed({"id": chunk_id, "choices": [delta]})
    assert stream.abort("x") == []


def test_choices_without_end_are_an_error() -> None:
    stream = CompletionStream()
    stream.feed({"choices": [{"index": i, "delta": {}} for i in range(MAX_CHOICES)]})
    with pytest.raises(ServerStreamError, match="more than 16,384 choices"):
        stream.feed({"choices": [{"index": -1, "delta": {}}]})
