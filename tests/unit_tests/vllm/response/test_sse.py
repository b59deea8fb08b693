"""Server-sent events: whatever the cuts, the events of the standard and no other."""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_toolstream.core.errors import ServerStreamError
from langchain_toolstream.vllm.response import sse
from langchain_toolstream.vllm.response.sse import SSEDecoder
from tests.unit_tests.core.helpers import growth
from tests.unit_tests.vllm.wire import chunkings

Events = list[tuple[str, bytes]]
BOM = b"\xef\xbb\xbf"


def decode(pieces: Iterable[bytes]) -> Events:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece) if event[0] is not None]


def every_way(data: bytes) -> Events:
    """Decode bytes cut in every way, each with the same events, and give those."""
    whole = decode([data])
    for pieces in chunkings(data):
        assert decode(pieces) == whole, pieces
    return whole


def messages(*values: bytes) -> Events:
    return [("message", value) for value in values]


def by_the_standard(data: bytes) -> Events:
    """The standard's algorithm, over the whole stream at once."""
    events: Events = []
    name, values = b"", []
    *lines, _ = re.split(rb"\r\n|\n|\r", data.removeprefix(BOM))
    for line in lines:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if values:
                events.append((name.decode(errors="replace") or "message", b"\n".join(values)))
            name, values = b"", []
        elif field == b"data":
            values.append(value)
        elif field == b"event":
            name = value
    return events


CASES: dict[str, tuple[bytes, Events]] = {
    "nothing": (b"", []),
    "LF": (b"data: 1\n\ndata: 2\n\n", messages(b"1", b"2")),
    "CRLF": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", messages(b"1", b"2")),
    "CR": (b"data: 1\r\rdata: 2\r\r", messages(b"1", b"2")),
    "mixed line ends": (b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n", messages(b"1", b"2", b"3")),
    "LF and CR are two line ends": (b"data: 1\n\r", messages(b"1")),
    "one CRLF is one line end": (b"data: 1\r\ndata: 2\r\n\r\n", messages(b"1\n2")),
    "many blank lines": (b"\n\r\n\rdata: 1\n\n\n\r\r\n\n", messages(b"1")),
    "no blank line at the end": (b"data: 1\n\ndata: 2\n", messages(b"1")),
    "no line end at the end": (b"data: 1\n\ndata: 2", messages(b"1")),
    "BOM": (BOM + b"data: 1\n\n", messages(b"1")),
    "BOM before a blank line": (BOM + b"\ndata: 1\n\n", messages(b"1")),
    "only one BOM": (BOM + BOM + b"data: 1\n\ndata: 2\n\n", messages(b"2")),
    "BOM in the middle": (b"data: 1\n\n" + BOM + b"data: 2\n\n", messages(b"1")),
    "half a BOM": (BOM[:2] + b"data: 1\n\ndata: 2\n\n", messages(b"2")),
    "comment": (b": keep-alive\n\n:\n\ndata: 1\n: between\n\n", messages(b"1")),
    "many lines of data": (b"data: 1\ndata:\ndata: 2\n\n", messages(b"1\n\n2")),
    "no space": (b"data:1\n\n", messages(b"1")),
    "only one space is taken": (b"data:  1 \n\n", messages(b" 1 ")),
    "a tab is no space": (b"data:\t1\n\n", messages(b"\t1")),
    "colons in the data": (b"data: a:b: c\n\n", messages(b"a:b: c")),
    "a name without a colon": (b"data\n\n", messages(b"")),
    "names are exact": (b"Data: 1\n data: 2\ndata : 3\ndatax: 4\n\n", []),
    "id and retry": (b"id: 7\nretry: 9\ndata: 1\n\nid: 8\n\n", messages(b"1")),
    "event name": (b"event: error\ndata: 1\n\n", [("error", b"1")]),
    "event name behind the data": (b"data: 1\nevent:error\n\n", [("error", b"1")]),
    "last event name": (b"event: a\nevent: b\ndata: 1\n\n", [("b", b"1")]),
    "empty event name": (b"event: a\nevent:\ndata: 1\n\n", messages(b"1")),
    "event name without data": (b"event: error\n\ndata: 1\n\n", messages(b"1")),
    "event name is for one event": (
        b"event: a\ndata: 1\n\ndata: 2\n\n",
        [("a", b"1"), ("message", b"2")],
    ),
    "not UTF-8": (b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")]),
    "NUL": (b"data: \0\n\n", messages(b"\0")),
    "other line ends of Unicode": (
        "data: a\u2028b\x0b\x0c\x85\n\n".encode(),
        messages("a\u2028b\x0b\x0c\x85".encode()),
    ),
    "done": (b'data: {"a": "\\n\\n"}\n\ndata: [DONE]\n\n', messages(b'{"a": "\\n\\n"}', b"[DONE]")),
    # The examples of the standard.
    "stock": (b"data: YHOO\ndata: +2\ndata: 10\n\n", messages(b"YHOO\n+2\n10")),
    "four blocks": (
        b": test\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        messages(b"first event", b"second event", b" third event"),
    ),
    "empty data": (b"data\n\ndata\ndata\n\ndata:", messages(b"", b"\n")),
    "with and without a space": (b"data:test\n\ndata: test\n\n", messages(b"test", b"test")),
}


class TestEvents:
    @pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES)
    def test_are_those_of_the_standard(self, data: bytes, expected: Events) -> None:
        assert by_the_standard(data) == expected
        assert every_way(data) == expected

    def test_come_with_their_last_byte(self) -> None:
        decoder = SSEDecoder()
        assert decoder.feed(b"data: 1\r\n\r") == messages(b"1")
        assert decoder.feed(b"\n") == []
        assert decoder.feed(b"data: 2\n\ndata: 3\n\nda") == messages(b"2", b"3")

    tokens = st.sampled_from(
        [b"data", b"event", b"id", b"retry", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", BOM, b"x"]
    )

    @given(
        st.lists(tokens | st.binary(max_size=3)).map(b"".join),
        st.lists(st.integers(min_value=0, max_value=100)),
    )
    def test_any_bytes_however_cut_give_those_of_the_standard(
        self, data: bytes, cuts: list[int]
    ) -> None:
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        expected = by_the_standard(data)
        assert decode([data]) == expected
        assert decode(data[a:b] for a, b in pairwise(places)) == expected


class TestLimit:
    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> int:
        monkeypatch.setattr(sse, "MAX_EVENT_SIZE", 100)
        return 100

    @pytest.mark.parametrize(
        "data",
        [
            b"data: " + b"x" * 90 + b"\n\n",
            b"data: " + b"x" * 40 + b"\ndata: " + b"x" * 40 + b"\n\n",
        ],
        ids=["one line", "two lines"],
    )
    def test_leaves_smaller_events_alone_however_cut(self, data: bytes) -> None:
        assert len(every_way(data * 2)) == 2

    @pytest.mark.parametrize(
        "data",
        [
            b"data: " + b"x" * 101 + b"\n\n",
            b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 60 + b"\n\n",
            b"data: xxxxxxxxxx\n" * 20,
            b"x" * 200,
        ],
        ids=["one line", "two lines", "many lines", "no line end"],
    )
    def test_refuses_larger_ones_however_cut(self, data: bytes) -> None:
        for pieces in chunkings(data):
            with pytest.raises(ServerStreamError, match="more than 100 bytes"):
                decode(pieces)

    def test_is_for_one_event_not_for_the_stream(self) -> None:
        stream = b": keep-alive\n\ndata: " + b"x" * 30 + b"\n\n"
        for pieces in ([stream * 50], [stream] * 50, [stream[:9], stream[9:]] * 50):
            assert len(decode(pieces)) == 50

    def test_holds_for_comments_that_never_end(self) -> None:
        with pytest.raises(ServerStreamError, match="more than 100 bytes"):
            decode([b": "] + [b"keep-alive"] * 20)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


STREAMS: dict[str, Callable[[int], list[bytes]]] = {
    "one line in pieces": lambda n: in_pieces(b"data: " + b"x" * 8 * n + b"\n\n", 8),
    "many events in one read": lambda n: [b"data: xxx\n\n" * n],
    "many events in pieces": lambda n: in_pieces(b"data: xxx\n\n" * n, 8),
    "many CRLF in pieces": lambda n: in_pieces(b"data: xxx\r\n\r\n" * n, 8),
    "one event of many lines": lambda n: [*in_pieces(b"data: xxx\r" * n, 8), b"\r"],
    "byte by byte": lambda n: in_pieces(b"data: xxx\n\n" * (n // 8), 1),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_time_is_linear(stream: Callable[[int], list[bytes]]) -> None:
    def run(size: int) -> Callable[[], object]:
        pieces = stream(size)
        return lambda: decode(pieces)

    assert growth(run, 5_000) < 6


@pytest.mark.parametrize("line", [b"error: x", b"{", b"<html>", b"oops", b"Data: 1", b"data : 1"])
def test_a_line_that_is_no_field_comes_by_itself(line: bytes) -> None:
    for pieces in chunkings(b"data: 1\n\nid: 1\nretry: 2\n: x\n" + line + b"\ndata: 2\n\n"):
        decoder = SSEDecoder()
        events = [event for piece in pieces for event in decoder.feed(piece)]
        assert events == [("message", b"1"), (None, line), ("message", b"2")]
