"""What crosses a border as JSON: any value goes out, and any text comes in or is our error."""

import asyncio
import io
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from pydantic import BaseModel, Field, SecretStr

from langchain_toolstream import to_ag_ui, to_ai_sdk, to_sse
from langchain_toolstream.cli.doctor.answer import AnswerReader
from langchain_toolstream.cli.view import view
from langchain_toolstream.core.events import (
    ArgumentFinish,
    MessageFinish,
    MessageStart,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallReady,
    ToolCallStart,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.json_values import (
    MAX_DEPTH,
    MAX_ROWS,
    MAX_VALUE,
    InvalidJSONError,
    bounded,
    read_json,
    to_json,
)
from langchain_toolstream.testing.app import _parse
from langchain_toolstream.testing.load import load_recordings


class Color(Enum):
    RED = "red"


class Account(BaseModel, extra="allow"):
    name: str
    token: SecretStr = SecretStr("1234")
    pin: str = Field(default="5678", repr=False)
    key: str = Field(default="9012", exclude=True)


@dataclass
class Point:
    x: int
    hidden: str = field(default="3456", repr=False)


class Frame:
    """As of pandas."""

    shape = (3, 2)

    def __repr__(self) -> str:
        return "secret"


class TestJSON:
    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (None, None),
            (True, True),
            (10**30, 10**30),
            (0.5, 0.5),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            ("é\u2028", "é\u2028"),
            ((1, [2]), [1, [2]]),
            ({1: {2: None}, None: 1}, {"1": {"2": None}, "None": 1}),
            ({(1, 2): 3}, {"tuple": 3}),
            ({3}, [3]),
            (Color.RED, "red"),
            (Decimal("1.50"), "1.50"),
            (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
            (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (b"\x00\xff", {"$type": "bytes", "length": 2, "base64": "AP8="}),
            (Point(1), {"x": 1}),
            (
                Account(name="me", more=1),
                {"name": "me", "token": {"$type": "pydantic.types.SecretStr"}, "more": 1},
            ),
            pytest.param(object(), {"$type": "object"}, id="object"),
            (Frame(), {"$type": f"{__name__}.Frame", "shape": [3, 2]}),
            (Point, {"$type": "type"}),
        ],
        ids=str,
    )
    def test_of_a_value(self, value: Any, plain: Any) -> None:
        assert bounded(value) == plain
        assert json.loads(to_json([value])) == [plain]

    def test_of_a_document(self) -> None:
        document = bounded([Document("text", metadata={"source": Frame()})])
        assert document[0]["page_content"] == "text"
        assert document[0]["metadata"]["source"]["shape"] == [3, 2]

    def test_of_what_holds_itself(self) -> None:
        ring: list[Any] = []
        ring.append({"ring": ring})
        assert bounded(ring) == [{"ring": {"$type": "list", "length": 1}}]
        thicket: list[Any] = [1]
        for _ in range(MAX_DEPTH + 50):
            thicket = [thicket, thicket]
        assert bounded(thicket) == {"$type": "list", "length": 2}

    def test_of_what_is_too_deep(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        assert to_json(deep).count("[") == MAX_DEPTH

    def test_of_what_is_too_large(self) -> None:
        assert bounded(bytes(MAX_VALUE)) == {"$type": "bytes", "length": MAX_VALUE}
        assert bounded("x" * (MAX_VALUE + 1)) == {"$type": "str"}
        assert bounded([0] * (MAX_VALUE + 1)) == {"$type": "list", "length": MAX_VALUE + 1}
        assert bounded("x" * 100) == "x" * 100

    def test_of_half_characters(self) -> None:
        assert json.loads(to_json("é\ud83d").encode()) == "é\ud83d"

    def test_of_what_misbehaves(self) -> None:
        class Hostile:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(name)

            def __repr__(self) -> str:
                raise RuntimeError

        assert bounded(Hostile())["$type"].endswith("Hostile")

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text()
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_is_the_value_where_json_has_it(self, value: Any) -> None:
        assert json.loads(to_json(value).encode()) == value

    @pytest.mark.parametrize("digits", [4300, 4301, 10_000])
    def test_of_a_long_integer(self, digits: int) -> None:
        number = 10 ** (digits - 1)
        for value in (number, -number, {number: 1}, Decimal(number)):
            text = to_json(value)
            assert json.loads(text) is not None
            assert ("$type" in text or "int" in text or "Decimal" in text) == (digits > 4300)

    def test_of_a_long_integer_where_python_reads_shorter_ones(self) -> None:
        before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(640)
        try:
            assert to_json(10**1000) == '{"$type":"int"}'
        finally:
            sys.set_int_max_str_digits(before)

    def test_of_what_steers_a_terminal(self) -> None:
        steering = "\x07\x1b[2J\x7f\x9b\u202e\u2066\u200f\u2028"
        text = to_json({"a": steering, steering: 1})
        assert text.isprintable()
        assert json.loads(text) == {"a": steering, steering: 1}


class Text(str):
    """One whose own text fails."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError


class Endless(Mapping[str, Any]):
    """Has no last key."""

    def __len__(self) -> int:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "key"

    def __getitem__(self, key: str) -> Any:
        return self


class Meta(type):
    """Of a class that does not say its name."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Nameless(metaclass=Meta):
    """Says nothing."""


class Broken:
    """Lies about its class, and fails at everything."""

    @property
    def __class__(self) -> type:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


ODD: list[Any] = [
    Text("x"),
    Nameless(),
    Nameless,
    Broken(),
    10**5000,
    {10**5000: 1},
    math.inf,
    math.nan,
    "\ud83d",
    {"\ud83d": "\ude00"},
    bytearray(b"x"),
    memoryview(b"x"),
    range(3),
    Exception("secret"),
    object,
    print,
    (one for one in ()),
]
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=20)
    | st.integers(0, len(ODD) - 1).map(lambda number: ODD[number])
)
ANY = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=8,
)
TEXT = st.text(st.characters(), min_size=1)


def told(value: Any, text: str) -> list[ToolEvent]:
    """Events with a value wherever one may stand, and a text wherever that may."""
    name = {"run_id": "m", "id": "c"}
    return [
        MessageStart(run_id="m", node=text),
        TextDelta(run_id="m", text=text),
        ReasoningDelta(run_id="m", text=text),
        ToolCallStart(**name, name=text, index=0),
        ToolCallDelta(**name, args=text),
        ArgumentFinish(**name, path=(text,), value=value),
        ToolCallReady(**name, name=text, args={text: value}, early=False),
        MessageFinish(run_id="m", finish_reason=text),
        ToolStart(**name, name=text, args={text: value}),
        ToolProgress(**name, name=text, data=value),
        ToolFinish(**name, name=text, content=value, artifact=value),
    ]


def test_what_has_no_end_is_described() -> None:
    assert bounded([Endless()])["$type"] == "list"


class TestAnyValue:
    @pytest.mark.parametrize("road", [to_sse, to_ai_sdk, to_ag_ui])
    @settings(max_examples=50)
    @given(ANY, TEXT)
    def test_reaches_a_front_end(self, road: Any, value: Any, text: str) -> None:
        async def run() -> list[Any]:
            async def events() -> Any:
                for event in told(value, text):
                    yield event

            return [one async for one in road(events())]

        for one in (written := asyncio.run(run())):
            if isinstance(one, bytes):
                for line in one.decode().splitlines():
                    if line.startswith("data: {"):
                        json.loads(line.removeprefix("data: "))
            else:
                json.loads(one.model_dump_json())
        assert "Something went wrong" not in str(written)

    @pytest.mark.parametrize("kind", ["plain", "json", "live"])
    @settings(max_examples=20)
    @given(ANY, TEXT)
    def test_reaches_a_terminal(self, kind: Any, value: Any, text: str) -> None:
        out = io.StringIO()
        with view(kind, out) as shown:
            for event in told(value, text):
                shown.show(event, 0.0)
        assert not set("\x07\x9b\x7f\u202e\u2066") & set(out.getvalue())

    @given(ANY)
    def test_can_be_read_again(self, value: Any) -> None:
        read_json(to_json(bounded(value)))


DEEP = "[" * 100_000 + "]" * 100_000
BAD = ["", "{", DEEP, "9" * 5000, "nul", "[1,]", "\x00", '{"a": "\n"}', "{'a': 1}"]


class TestAnyText:
    @pytest.mark.parametrize("text", BAD, ids=[one[:8] for one in BAD])
    def test_that_is_not_json_is_our_error(self, text: str) -> None:
        for data in (text, text.encode()):
            with pytest.raises(InvalidJSONError) as error:
                read_json(data)
            assert len(str(error.value)) < 500

    @example("\ud800")
    @given(st.text(st.characters()) | st.binary())
    def test_is_a_value_or_our_error(self, data: Any) -> None:
        with suppress(InvalidJSONError):
            read_json(data)

    @given(ANY)
    def test_reads_what_python_wrote(self, value: Any) -> None:
        text = json.dumps(bounded(value))
        assert read_json(text) == json.loads(text)

    def test_reads_half_characters(self) -> None:
        assert read_json(b'"a\\ud83d"') == "a\ud83d"

    def test_takes_linear_time(self) -> None:
        def took(count: int) -> float:
            data = ("[" + "1," * count + "1").encode()
            best = math.inf
            for _ in range(3):
                start = time.process_time()
                with pytest.raises(InvalidJSONError):
                    read_json(data)
                best = min(best, time.process_time() - start)
            return best

        assert took(400_000) < 10 * took(100_000) + 0.05

    @given(st.binary(max_size=60) | st.sampled_from([one.encode() for one in BAD]))
    def test_from_a_server_leaves_the_doctor_well(self, data: bytes) -> None:
        reader = AnswerReader()
        reader.feed(b"data: " + data + b"\n\n", 0.0)
        assert reader.close().calls == ()

    @pytest.mark.parametrize("text", BAD, ids=[one[:8] for one in BAD])
    def test_to_the_replay_server_is_a_bad_request(self, text: str) -> None:
        body, problem = _parse(text.encode())
        assert body is None
        assert len(problem) < 500

    def test_in_a_file_is_told_with_its_line(self, tmp_path: Any) -> None:
        path = tmp_path / "deep.jsonl"
        path.write_text(DEEP, encoding="utf-8")
        with pytest.raises(ValueError, match=r"deep\.jsonl, line 1: nested too deeply"):
            load_recordings(path)


class TestTables:
    @pytest.mark.parametrize("library", [pd, pl])
    def test_of_a_data_frame(self, library: Any) -> None:
        table = bounded(
            {"found": library.DataFrame({"city": ["Oslo", "Rome"], "degrees": [1.5, None]})}
        )["found"]
        assert table.pop("$type").endswith("DataFrame")
        rows = [{"city": "Oslo", "degrees": 1.5}, {"city": "Rome", "degrees": None}]
        assert table == {"columns": ["city", "degrees"], "rows": rows, "total": 2}

    def test_has_its_index(self) -> None:
        frame = pd.DataFrame({"n": [1, 2]}, index=["a", "b"])
        assert bounded(frame)["rows"] == [{"index": "a", "n": 1}, {"index": "b", "n": 2}]

    def test_has_its_index_where_a_column_has_the_same_name(self) -> None:
        frame = pd.DataFrame({"a": ["x"], "n": [1]}).set_index("a", drop=False)
        assert bounded(frame)["rows"] == [{"a (index)": "x", "a": "x", "n": 1}]
        unnamed = pd.DataFrame({"index": [1]}, index=["b"])
        assert bounded(unnamed)["rows"] == [{"level_0": "b", "index": 1}]

    @pytest.mark.parametrize("make", [pd.DataFrame, list, lambda rows: {"rows": rows}])
    def test_counts_its_names(self, make: Any) -> None:
        row = {f"{'long' * 75}{number}": 0 for number in range(100)}
        assert len(to_json(bounded(make([row] * (MAX_ROWS + 1))))) < 2 * MAX_VALUE

    def test_has_no_numbers_of_libraries(self) -> None:
        times = pd.to_datetime(["2020-01-01", None])
        odd = pd.Series([np.int64(3), pd.NA], dtype=object)
        frame = pd.DataFrame({"t": times, "n": odd, "f": [float("nan"), 2.0]})
        assert bounded(frame)["rows"] == [
            {"t": "2020-01-01T00:00:00", "n": 3, "f": None},
            {"t": None, "n": None, "f": 2.0},
        ]

    def test_is_bounded_and_says_how_much_there_is(self) -> None:
        frame = bounded(pd.DataFrame({"n": range(50_000)}))
        assert (len(frame["rows"]), frame["total"]) == (MAX_ROWS, 50_000)
        wide = bounded(pd.DataFrame(np.zeros((900, 600))))
        assert 0 < len(wide["rows"]) < wide["total"]
        assert len(to_json(wide)) < 2 * MAX_VALUE

    def test_of_rows(self) -> None:
        rows = [{"n": number, "odd": number % 2} for number in range(MAX_ROWS)]
        assert bounded(rows) == rows
        table = bounded([*rows, {"more": 1}])
        assert table["columns"] == ["n", "odd"]
        assert (table["rows"], table["total"]) == (rows, MAX_ROWS + 1)
        long = bounded([{"text": "x" * 100_000}] * 500)
        assert 0 < len(long["rows"]) < 50
        assert long["total"] == 500

    def test_of_columns_with_one_name_is_described(self) -> None:
        frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
        assert bounded(frame) == {"$type": "pandas.DataFrame", "shape": [1, 2]}

    def test_of_columns_with_two_levels(self) -> None:
        frame = pd.DataFrame({("a", "min"): [1], ("a", "max"): [2]})
        assert bounded(frame)["columns"] == ["a/min", "a/max"]
