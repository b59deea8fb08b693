"""Any input, however it is cut, either gives events or raises our error, never another."""

import copy
import json
import pickle
import sys
import tracemalloc
from contextlib import nullcontext, suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_toolstream.core.errors import (
    JSONIncompleteError,
    JSONLimitError,
    JSONStreamError,
    JSONSyntaxError,
    format_path,
)
from langchain_toolstream.core.json import MAX_DEPTH, MAX_LENGTH, JSONEvent, JSONStream
from tests.unit_tests.core.helpers import (
    assert_begins,
    chunkings,
    events_of,
    every_way,
    exact,
    growth,
    joined,
    read,
)

VALID = [
    "{}",
    "[]",
    '""',
    "0",
    "-0",
    "10",
    "-1.5e+3",
    "1E40",
    "true",
    "false",
    "null",
    '"a"',
    ' \t\r\n{ \n"a" :\t1 , "b" : [ ] }\r\n ',
    '{"a": 10, "b": 100, "c": -3.25, "d": 1e2, "e": 1.0}',
    '{"yes": true, "no": false, "nothing": null}',
    '{"": {"": [[], {}, "", [""]]}}',
    "[1,2,[3,[4]],5]",
    "[[[[]]]]",
    '[{"a": 1}, {"a": 1}]',
    "[12345678901234567890123, -0.0, 0.1]",
    '{"city": "São Paulo", "code": "x = {\\"k\\": [1, 2]}\\n", "slash": "\\/"}',
    r'["\"\\\/\b\f\n\r\t", "\u0041\u00e9\u20AC"]',
    r'{"\u0061\"": 1, "\ud83d\ude00": 2}',
    '["🎉", "\x7f\u2028\u2029"]',
    '["a" , "b"\n]',
]

PAIRS = [
    (r'"\ud83d\ude00"', "\U0001f600"),
    (r'"a\uD83D\uDE00b"', "a\U0001f600b"),
    (r'"\ud83d"', "\ud83d"),
    (r'"\ude00\ud83d"', "\ude00\ud83d"),
    (r'"\ud83dx"', "\ud83dx"),
    (r'"\ud83d\n"', "\ud83d\n"),
    (r'"\ud83d\\"', "\ud83d\\"),
    (r'"\ud83d\u0041"', "\ud83dA"),
    (r'"\ud83d\ud83d\ude00"', "\ud83d\U0001f600"),
    ('"\ud83d\ude00"', "\U0001f600"),  # raw halves, as a UTF-16 writer cuts them
    ('"a\ud83d\ude00b"', "a\U0001f600b"),
    ('"\ud83d"', "\ud83d"),
    ('"\ude00\ud83d"', "\ude00\ud83d"),
    ('"\ud83d\ud83d\ude00"', "\ud83d\U0001f600"),
    ('"\ud83d\\n"', "\ud83d\n"),
]

# Text, reason, place, position.
WRONG = [
    ("}", "Expected a value, got '}'", "$", 0),
    ("\ufeff{}", "Expected a value, got '\\ufeff'", "$", 0),
    ("{1", "Expected a name in double quotes or '}', got '1'", "$", 1),
    ("{ 'a'", "Expected a name in double quotes or '}', got \"'\"", "$", 2),
    ('{"a" 1', "Expected ':', got '1'", "$", 5),
    ('{"a": }', "Expected a value, got '}'", "$.a", 6),
    ('{"a": 1,}', "Expected a name in double quotes, got '}'", "$", 8),
    ('{"a": 1 "b"', "Expected ',' or '}', got '\"'", "$", 8),
    ('{"a": 1]', "Expected ',' or '}', got ']'", "$", 7),
    ('{"a": [1}', "Expected ',' or ']', got '}'", "$.a", 8),
    ("[1,]", "Expected a value, got ']'", "$[1]", 3),
    ("[,", "Expected a value or ']', got ','", "$", 1),
    (
        '{"items": [{"n": "a\nb"',
        "Raw control character '\\n' in a string; JSON wants it escaped",
        "$.items[0].n",
        19,
    ),
    ('["ab\\q"]', "Unknown escape '\\q' in a string", "$[0]", 4),
    ('["ab\\u12g4"]', "'\\u' wants four hexadecimal digits, got '12g'", "$[0]", 4),
    ('{"a": 1, "a": 2}', "The name 'a' stands twice in one object", "$", 11),
    ('{"o": {"a b": 1, "a b"', "The name 'a b' stands twice in one object", "$.o", 21),
    (
        '{"unit price": 01}',
        "'01' is neither a number nor true, false or null",
        "$['unit price']",
        17,
    ),
    ("[-]", "'-' is neither a number nor true, false or null", "$[0]", 2),
]

# Texts that are wrong in a way whose words matter less.
ALSO_INVALID = [
    "[NaN]", "[Infinity]", "[-Infinity]", "NaN", "True", "[None]", "[nulll]", "[tru]", "[trues]",
    "[1.]", "[.5]", "[+1]", "[1e]", "[1e+]", "[0x1]", "[1_000]", "[--1]", "[1.2.3]", "[1-2]",
    "[00]", "[-01]", "[1 2]", '["a" "b"]', "{,}", '{"a"}', '{"a":}', '{"a":1,,}', '{"a":1;}',
    "{a: 1}", "[/* no */]", '["\x00"]', '["\x1f"]', '["\t"]', '["\\x41"]', '["\\u00"]', "['a']",
    '["\\ud83d\\u12"]', '["\\ud83d\\q"]', "\x00", "(", "]", ":", ",", "\u00a01", "[1\u2009]", "é",
]  # fmt: skip

DOCUMENT = (
    '{"to": "al\\u00ef\\ud83d\\ude00ce", "n": 1250, "items": [{"k": "v"}, [], "", 10, null], '
    '"o": {"\\u0061": [1, [2, "x"]]}, "last": "end"}'
)


def strictly(text: str) -> Any:
    """The oracle: `json.loads`, made strict."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError(pairs)
        return dict(pairs)

    return json.loads(
        with_joined_halves(text), parse_constant=no_constant, object_pairs_hook=no_repeats
    )


def with_joined_halves(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# Every chunking.


@pytest.mark.parametrize("text", VALID)
def test_valid_text_gives_the_events_of_its_value(text: str) -> None:
    reading = every_way(text)
    assert reading.error is None
    assert exact(reading.events) == exact(list(events_of(strictly(text))))


@pytest.mark.parametrize(("text", "value"), PAIRS, ids=ascii)
def test_no_delta_ends_in_half_a_character(text: str, value: str) -> None:
    for pieces in chunkings(text):
        stream = JSONStream()
        deltas = [e[2] for piece in pieces for e in stream.feed(piece) if e[0] == "delta"]
        assert ascii("".join(deltas)) == ascii(value), pieces
        whole = [d for d in deltas if with_joined_halves(d) != d]
        assert not whole, pieces
        for first, second in pairwise(deltas):
            assert len(with_joined_halves(first + second)) == len(first) + len(second), pieces
    every_way(text)


@pytest.mark.parametrize(("text", "reason", "place", "position"), WRONG)
def test_an_error_names_the_place(text: str, reason: str, place: str, position: int) -> None:
    error = every_way(text).error
    assert type(error) is JSONSyntaxError
    assert str(error) == f"{reason} at {place} (character {position})"
    assert (error.reason, error.position) == (reason, position)
    assert format_path(error.path) == place
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert (type(again), str(again), again.path) == (type(error), str(error), error.path)


@pytest.mark.parametrize("text", ALSO_INVALID, ids=ascii)
def test_wrong_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the oracle's words)
        strictly(text)
    reading = every_way(text)
    assert reading.error or reading.unused


@pytest.mark.parametrize("tail", [" ", "\n x", "]", "}}", "{}", ', "a": 1', "x y  z "])
@pytest.mark.parametrize("text", ["{}", '{"a": [1]}', '"s"', "[]"])
def test_what_follows_the_value_is_kept_apart(text: str, tail: str) -> None:
    reading = every_way(text + tail)
    assert exact(reading.events) == exact(list(events_of(strictly(text))))
    assert (reading.error, reading.closed, reading.unused) == (None, True, tail.lstrip())


@pytest.mark.parametrize("text", ["0", "-1.5e3", "true", "null"])
def test_a_scalar_is_delimited_by_what_follows_it(text: str) -> None:
    for tail in (" ", "\n", ",", "}", "x" if text[-1].isdigit() else "0"):
        reading = every_way(text + tail)
        assert exact(reading.events) == exact([("finish", (), strictly(text))])
        assert (reading.error, reading.unused) == (None, tail.strip())


def test_text_after_the_value_is_an_error_of_close() -> None:
    for pieces in chunkings("{} x y"):
        stream = JSONStream()
        for piece in pieces:
            stream.feed(piece)
        with pytest.raises(JSONSyntaxError) as raised:
            stream.close()
        assert str(raised.value) == "Unexpected 'x' after the end of the value at $ (character 3)"


@pytest.mark.parametrize("text", [text for text, *_ in WRONG] + ALSO_INVALID, ids=ascii)
def test_after_an_error_every_feed_and_close_raises_it(text: str) -> None:
    stream = JSONStream()
    with suppress(JSONStreamError):
        stream.feed(text)
    if stream.error is None:
        with pytest.raises(JSONStreamError):
            stream.close()
    for again in (lambda: stream.feed("more"), lambda: stream.feed(""), stream.close):
        with pytest.raises(JSONStreamError) as raised:
            again()
        assert raised.value is stream.error


# Every prefix.


@pytest.mark.parametrize("text", [*VALID, DOCUMENT])
def test_every_prefix_is_safe(text: str) -> None:
    whole = list(events_of(strictly(text)))
    for end in range(len(text)):
        stream = JSONStream()
        events = [event for char in text[:end] for event in stream.feed(char)]
        assert_begins(whole, joined(events))
        assert stream.error is None
        assert stream.closed == (events[-1:] == [whole[-1]])


@pytest.mark.parametrize("text", [*VALID, DOCUMENT])
def test_a_cut_text_is_incomplete_not_wrong(text: str) -> None:
    for end in range(len(text)):
        try:
            strictly(text[:end])
        except ValueError:
            stream = JSONStream()
            stream.feed(text[:end])
            with pytest.raises(JSONIncompleteError):
                stream.close()


@pytest.mark.parametrize(
    ("text", "reason", "place", "position"),
    [
        ("", "The text ends where a value should come", "$", 0),
        (" ", "The text ends where a value should come", "$", 1),
        ("{", "The text ends where a name in double quotes or '}' should come", "$", 1),
        ('{"a', "The text ends inside a name", "$", 3),
        ('{"a"', "The text ends where ':' should come", "$", 4),
        ('{"a":', "The text ends where a value should come", "$.a", 5),
        ('{"a": 1', "The text ends inside a number or literal", "$.a", 7),
        ('{"a": 1 ', "The text ends where ',' or '}' should come", "$", 8),
        ('{"a": 1,', "The text ends where a name in double quotes should come", "$", 8),
        ('{"a": [', "The text ends where a value or ']' should come", "$.a", 7),
        ('{"a": ["b\\u12', "The text ends inside a string", "$.a[0]", 13),
        ("[[], tru", "The text ends inside a number or literal", "$[1]", 8),
        ("[[]", "The text ends where ',' or ']' should come", "$", 3),
    ],
)
def test_a_cut_text_is_told_where(text: str, reason: str, place: str, position: int) -> None:
    error = every_way(text).error
    assert type(error) is JSONIncompleteError
    assert str(error) == f"{reason} at {place} (character {position})"


@pytest.mark.parametrize("word", ["10", "-1", "1.5", "1e5", "1e-5", "0", "true", "false", "null"])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', ', "b": 1}'), ("[1, ", " ]")])
def test_a_scalar_is_finished_only_at_its_delimiter(word: str, before: str, after: str) -> None:
    for pieces in chunkings(word):
        stream = JSONStream()
        stream.feed(before)
        assert [event for piece in pieces for event in stream.feed(piece)] == []
        kind, _, value = stream.feed(after[0])[0]
        assert exact((kind, value)) == exact(("finish", json.loads(word)))


def test_10_may_become_100() -> None:
    stream = JSONStream()
    stream.feed('{"n": 10')
    assert stream.value == {}
    assert stream.feed("0") == []
    assert stream.feed(",") == [("finish", ("n",), 100)]
    assert stream.value == {"n": 100}


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ('"abc', "abc"),
        ('"abc\\', "abc"),
        ('"abc\\n', "abc\n"),
        ('"abc\\u00e', "abc"),
        ('"abc\\u00e9', "abc\u00e9"),
        ('"abc\\ud83d', "abc"),
        ('"abc\\ud83d\\', "abc"),
        ('"abc\\ud83d\\ude0', "abc"),
        ('"abc\\ud83d\\ude00', "abc\U0001f600"),
        ('"abc\\ud83dx', "abc\ud83dx"),
        ('"abc\ud83d', "abc"),
        ('"abc\ud83dx', "abc\ud83dx"),
    ],
    ids=ascii,
)
def test_a_string_is_given_as_far_as_it_is_sure(prefix: str, text: str) -> None:
    for pieces in chunkings(prefix):
        stream = JSONStream()
        events = joined(event for piece in pieces for event in stream.feed(piece))
        assert events == [("start", (), ""), ("delta", (), text)]


# Snapshots.


def rebuilt(events: list[JSONEvent]) -> Any:
    """What a reader of the events alone would know."""
    root: Any = None
    for kind, path, value in events:
        if not path:
            root = (root or "") + value if kind == "delta" else value if root is None else root
            continue
        place = root
        for step in path[:-1]:
            place = place[step]
        key = path[-1]
        if isinstance(place, list) and key == len(place):
            place.append(value)
        elif kind == "delta":
            place[key] += value
        elif kind == "start" or not isinstance(value, dict | list):
            place[key] = value
    return root


@pytest.mark.parametrize("text", [*VALID, DOCUMENT])
def test_a_snapshot_is_what_the_events_told_and_stays_so(text: str) -> None:
    kept = []
    for end in range(len(text) + 1):
        stream = JSONStream()
        told = rebuilt(copy.deepcopy([event for char in text[:end] for event in stream.feed(char)]))
        assert exact(stream.snapshot()) == exact(told)
    stream = JSONStream()
    for char in text:
        stream.feed(char)
        snapshot = stream.snapshot()
        kept.append((snapshot, exact(snapshot)))
    stream.feed(" ")
    for snapshot, as_it_was in kept:
        assert exact(snapshot) == as_it_was


def test_a_snapshot_shares_what_is_finished_and_copies_what_is_open() -> None:
    stream = JSONStream()
    stream.feed('{"done": {"x": [1]}, "open": [["a"], "b')
    first = stream.snapshot()
    second = stream.snapshot()
    assert first == {"done": {"x": [1]}, "open": [["a"], "b"]}
    assert first["done"] is second["done"]
    assert first["open"][0] is second["open"][0]
    assert first is not second
    assert first["open"] is not second["open"]
    assert stream.value == {"done": {"x": [1]}, "open": [["a"]]}


def test_a_changed_snapshot_does_not_change_the_stream() -> None:
    stream = JSONStream()
    stream.feed('{"a": {"b": "c')
    stream.snapshot()["a"]["b"] = "changed"
    stream.feed('d"}}')
    assert stream.value == {"a": {"b": "cd"}}


def test_before_the_first_character_there_is_nothing() -> None:
    stream = JSONStream()
    assert (stream.snapshot(), stream.value, stream.closed, stream.error) == (
        None,
        None,
        False,
        None,
    )


# Limits.


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(opened: str, closed: str) -> None:
    deepest = opened * MAX_DEPTH + ("1" if opened != "[" else "") + closed * MAX_DEPTH
    assert read([deepest]).error is None
    error = read([opened * 10_000]).error
    assert type(error) is JSONLimitError
    assert error.reason == "More than 128 containers inside each other"
    assert len(error.path) == MAX_DEPTH
    assert error.position == MAX_DEPTH * len(opened)


def test_a_limit_is_the_same_in_every_chunking() -> None:
    deep = every_way('{"a": [[1, 2]]}', max_depth=2)
    assert str(deep.error) == "More than 2 containers inside each other at $.a[0] (character 7)"
    assert every_way('{"a": [1, []]}', max_depth=3).error is None
    for text in ('["abcdefgh", 1]', '["ab\\ncdefgh", 1]', '{"abcdefgh": 1}', "[1, 2, 3, 4, 5]"):
        assert every_way(text, max_length=len(text)).error is None
        for pieces in chunkings(text):
            error = read(pieces, stream=JSONStream(max_length=9)).error
            assert type(error) is JSONLimitError
            assert error.reason == "The value is longer than 9 characters"
            assert error.position == 9


def test_length_is_bounded() -> None:
    stream = JSONStream()
    stream.feed('"')
    for _ in range(MAX_LENGTH // 1_000_000 - 1):
        stream.feed("x" * 1_000_000)
    with pytest.raises(JSONLimitError, match="longer than 10,000,000 characters"):
        stream.feed("x" * 1_000_000)


@pytest.mark.parametrize("before", ["", "-", "[", '{"n": '])
def test_an_integer_longer_than_python_reads_is_a_limit(before: str) -> None:
    longest = sys.get_int_max_str_digits()
    assert longest == 4300
    after = {"[": "]", '{"n": ': "}"}.get(before, "")
    assert read([before + "9" * longest + after]).error is None
    error = read([before + "9" * (longest + 1) + after]).error
    assert type(error) is JSONLimitError
    assert "digits is longer than Python reads" in error.reason
    assert error.position == len(before) + longest + 1


# Against the oracle.


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
written = st.builds(
    json.dumps,
    values,
    ensure_ascii=st.booleans(),
    indent=st.none() | st.integers(0, 2),
    separators=st.sampled_from([None, (",", ":"), (" , ", "\t:\n")]),
)
TOKENS = [
    *'{}[]:,"\\ \n-.01', "e", "E+", "tru", "e9", "true", "null", "false", "NaN", "Infinity", '"a"',
    '"b":',
    '{"a":', "\\u", "\\ud83d", "\\ude00", "00e9", "\\n", "\\q", "\x00", "\t", "é", "🎉", "\ud83d",
    "\ude00",
    "\ufeff", "/", "'",
]  # fmt: skip
soup = st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)


@st.composite
def pieces(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@settings(max_examples=300)
@given(pieces(written))
def test_valid_text_means_what_json_loads_says(pieces: list[str]) -> None:
    reading = read(pieces)
    assert reading.error is None
    assert exact(reading.events) == exact(list(events_of(strictly("".join(pieces)))))


@settings(max_examples=600)
@given(pieces(soup | st.builds(str.__add__, written, soup) | st.text(max_size=8)))
@example(["\ud83d"])
@example(["[trux", "yz]"])
@example(['"ab\\u1', 'g"'])
@example(['"\\ud83d', "\\u"])
@example(['{"a":1', "e", "9", "}"])
def test_any_text_is_valid_or_wrong_as_json_loads_says(pieces: list[str]) -> None:
    text = "".join(pieces)
    reading = read(pieces)
    whole = read([text])
    assert exact(reading.events) == exact(whole.events)
    assert str(reading.error) == str(whole.error)
    assert (reading.closed, reading.unused) == (whole.closed, whole.unused)
    try:
        value = strictly(text)
    except ValueError:
        assert reading.error is not None or reading.unused
    else:
        assert (reading.error, reading.unused) == (None, "")
        assert exact(reading.value) == exact(value)


# Growth.


def fed(text: str, size: int, *, is_right: bool = True) -> Any:
    cut = [text[i : i + size] for i in range(0, len(text), size)]

    def run() -> JSONStream:
        stream = JSONStream()
        with nullcontext() if is_right else suppress(JSONStreamError):
            for piece in cut:
                stream.feed(piece)
        assert stream.closed == is_right
        return stream

    return run


@pytest.mark.parametrize("size", [3, 10**9], ids=["pieces", "whole"])
@pytest.mark.parametrize(
    ("text", "count"),
    [
        (lambda n: f'{{"text": "{"lorem " * n}"}}', 8_000),
        (lambda n: f'{{"text": "{"line é " * n}"}}', 3_000),
        (lambda n: json.dumps({"text": 'a "quoted"\n\U0001f600' * n}), 1_500),
        (lambda n: json.dumps({f"field_{i}": i for i in range(n)}), 1_500),
        (lambda n: json.dumps([{"id": i, "tags": ["a", "b"]} for i in range(n)]), 600),
    ],
    ids=["long string", "wide string", "escapes", "many fields", "many objects"],
)
def test_time_grows_with_the_text_and_no_faster(text: Any, count: int, size: int) -> None:
    if size > 3:
        count *= 2  # whole texts are read faster, and a time too short says nothing
    assert growth(lambda n: fed(text(n), size), count) < 6


@pytest.mark.parametrize("size", [3, 10**9], ids=["pieces", "whole"])
@pytest.mark.parametrize(
    ("text", "count"),
    [
        (lambda n: '{"a": ' + "t" * n, 60_000),
        (lambda n: '{"a": ' + "true" * n, 15_000),
        (lambda n: '{"a": ' + "9" * n, 15_000),
        (lambda n: '{"a": -' + "0.1e-" * n, 10_000),
        (lambda n: '{"' + "name " * n, 10_000),
        (lambda n: '{"a": "' + "\\ud83d" * n, 5_000),
        (lambda n: '{"a": "' + "\ud83d" * n, 10_000),
        (lambda n: "[" + "[]," * n, 4_000),
        (lambda n: "[" * 120 + "1," * n, 2_000),
        (lambda n: " " * n, 60_000),
        (lambda n: "{" + " " * n + "]", 60_000),
    ],
)
def test_time_grows_no_faster_with_a_text_that_is_wrong(text: Any, count: int, size: int) -> None:
    if size > 3:
        count *= 4
    assert growth(lambda n: fed(text(n), size, is_right=False), count) < 6


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9.9E+400", "1" + "0" * 400 + ".0"])
def test_a_number_beyond_all_floats_is_wrong_as_infinity_is(number: str) -> None:
    for text in (f'{{"a": {number}}}', f"[{number},"):
        stream = JSONStream()
        stream.feed(text)
        assert isinstance(stream.error, JSONSyntaxError)
        assert "larger than any number" in str(stream.error)
    assert fed('{"a": 1e-999, "b": 1e308}', 3)().value == {"a": 0.0, "b": 1e308}


@given(pieces(soup | written | st.builds(str.__add__, written, soup)))
@example(["[" * 3, '{"a": [1, "x', '\\q"]'])
def test_a_stream_without_events_says_the_same(pieces: list[str]) -> None:
    told, silent = JSONStream(), JSONStream(events=False)
    for piece in pieces:
        with suppress(JSONStreamError):
            told.feed(piece)
        with suppress(JSONStreamError):
            assert silent.feed(piece) == []
        assert silent.where == told.where
        assert exact(silent.snapshot()) == exact(told.snapshot())
        assert str(silent.error) == str(told.error)
    for stream in (told, silent):
        with suppress(JSONStreamError):
            stream.close()
    assert (str(silent.error), silent.closed) == (str(told.error), told.closed)
    assert (silent.unused_text, exact(silent.value)) == (told.unused_text, exact(told.value))


@pytest.mark.parametrize(
    "text", ['{"%s": 1, "%s": 2}', '{"%s": x', '{"a": %s', '{"%s": {"%s": [[["%s', '{"a": "\\%s']
)
@pytest.mark.parametrize("word", ["x" * 10_000, "t" * 10_000, "\u202e\x7f" * 5_000, "9" * 10_000])
def test_an_error_quotes_little_and_nothing_that_a_terminal_obeys(text: str, word: str) -> None:
    stream = JSONStream()
    with pytest.raises(JSONStreamError) as caught:  # noqa: PT012 - either may raise
        stream.feed(text.replace("%s", word))
        stream.close()
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_memory_is_in_proportion_to_the_value() -> None:
    """Wide and deep, in one piece: as many values as a hundredth of the limit allows."""
    text = "[" * 120 + ",".join(["1"] * 50_000) + "]" * 120
    tracemalloc.start()
    try:
        json.loads(text)
        _, plain = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        stream = JSONStream(events=False)
        stream.feed(text)
        _, ours = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.closed
    assert ours < 3 * plain + 100_000
