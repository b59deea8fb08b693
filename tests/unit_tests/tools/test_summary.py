"""What the model reads of an artifact, by what the artifact is."""

import ast
import inspect
import io
import sys
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BaseModel, SecretStr

from langchain_toolstream.tools.artifacts.summary import MAX_TEXT, is_content, summarize
from tests.unit_tests.core.helpers import cpu_time

mpl.use("agg")


class Invoice(BaseModel):
    number: int
    lines: list[str]
    key: SecretStr


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (31, 17)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        ("text", "text"),
        (None, "Done; there is no result."),
        (True, "True"),
        (3.5, "3.5"),
        ([7, 8], "list of 2 items: [7, 8]"),
        ([1], "list of 1 item: [1]"),
        ([], "list of 0 items: []"),
        (("a", 1), "tuple of 2 items: ('a', 1)"),
        ({"a", "b"} - {"b"}, "set of 1 item: {'a'}"),
        (deque([1]), "deque of 1 item: deque([1])"),
        (range(10**12), "range of 1,000,000,000,000 items: range(0, 1000000000000)"),
        ({"a": 1}, "dict of 1 key: {'a': 1}"),
        (OrderedDict(a=1), "OrderedDict of 1 key: {'a': 1}"),
        (list(range(100)), "list of 100 items: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"),
        ([b"1234"], "list of 1 item: [<Binary data, 4 bytes>]"),
        (encoded("PNG"), "PNG image, 31 x 17 pixels, 78 bytes."),
        (b"%PDF-1.7" + b" " * 1992, "PDF document, 2.0 kB."),
        (b"anything", "Binary data, 8 bytes."),
        (bytearray(1_500_000), "Binary data, 1.5 MB."),
        pytest.param(
            memoryview(b"GIF89a\x02\x00\x01\x00"),
            "GIF image, 2 x 1 pixels, 10 bytes.",
            id="memoryview",
        ),
        (b"GIF89a", "GIF image, 6 bytes."),
        (b"\x89PNG\r\n\x1a\n", "PNG image, 8 bytes."),
        (b"\xff\xd8\xff\xe0\x00", "JPEG image, 5 bytes."),
        (b"", "Binary data, 0 bytes."),
        (
            Invoice(number=7, lines=["a"], key=SecretStr("s3cret")),
            "Invoice: {'key': SecretStr('**********'), 'lines': ['a'], 'number': 7}",
        ),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_of_plain_values(value: object, summary: str) -> None:
    assert summarize(value) == summary


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_of_encoded_images(kind: str) -> None:
    assert str(summarize(encoded(kind))).startswith(f"{kind} image, 31 x 17 pixels, ")


def test_of_an_image_that_tells_no_size() -> None:
    assert str(summarize(encoded("WEBP"))).startswith("WebP image, ")


def test_of_paths(tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    assert summarize(file) == f"Path {file}, where nothing is."
    file.write_bytes(b"12345")
    assert summarize(file) == f"File {file}, 5 bytes."
    assert summarize(tmp_path) == f"Directory {tmp_path}."


FRAME = {"city": ["Rome", "Oslo"] * 50, "people": [1, 2] * 50}


def test_of_a_pandas_data_frame() -> None:
    summary = str(summarize(pd.DataFrame(FRAME)))
    assert summary.startswith("DataFrame of 100 rows and 2 columns: city (str), people (int64).\n")
    assert summary.count("Rome") == 3
    assert summary.count("Oslo") == 2


def test_of_a_subclass_of_a_data_frame() -> None:
    class Map(pd.DataFrame):
        pass

    assert str(summarize(Map(FRAME))).startswith("Map of 100 rows and 2 columns: city")


def test_of_a_polars_data_frame() -> None:
    summary = str(summarize(pl.DataFrame(FRAME)))
    assert summary.startswith(
        "DataFrame of 100 rows and 2 columns: city (String), people (Int64).\n"
    )
    assert summary.count("Oslo") == 2


@pytest.mark.parametrize("library", [pd, pl])
def test_of_a_series(library: Any) -> None:
    series = (
        library.Series(name="people", data=[1, 2]) if library is pd else pl.Series("people", [1, 2])
    )
    assert str(summarize(series)).startswith(
        f"Series 'people' ({'int64' if library is pd else 'Int64'}) of 2 values.\n"
    )


def test_of_arrays() -> None:
    assert summarize(np.zeros((100, 3), dtype=np.uint8)) == (
        "Array of 100 x 3 (uint8), which begins [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]."
    )
    assert summarize(np.array(5)) == "Array of a scalar (int64), which begins [5]."


def test_of_images() -> None:
    assert summarize(Image.new("L", (4, 3))) == "An image, 4 x 3 pixels, mode L."
    opened = Image.open(io.BytesIO(encoded("PNG")))
    assert summarize(opened) == "PNG image, 31 x 17 pixels, mode RGB."


def test_of_a_figure() -> None:
    figure = Figure(figsize=(6, 4), dpi=100)
    figure.subplots().set_title("Sales")
    assert summarize(figure) == "Figure of 600 x 400 pixels, with 1 axes ('Sales')."


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}


def test_content_blocks_pass_through() -> None:
    blocks = [{"type": "text", "text": "Look:"}, IMAGE]
    assert summarize(blocks) is blocks
    assert is_content(blocks)
    assert not is_content([*blocks, {"type": "unheard of"}])
    assert not is_content([])


@pytest.mark.parametrize(
    "large",
    [
        "x" * 50_000_000,
        b"\x89PNG" * 12_500_000,
        ["x" * 1000] * 50_000,
        {str(n): "x" * 1000 for n in range(50_000)},
        [[b"x" * 50_000_000]],
    ],
    ids=["text", "bytes", "list", "dict", "nested"],
)
def test_of_50_megabytes_is_short_and_quick(large: Any) -> None:
    assert len(summarize(large)) <= MAX_TEXT + 100
    assert min(cpu_time(lambda: summarize(large)) for _ in range(5)) < 0.05


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class HostileList(list[int]):
    def __len__(self) -> int:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [Hostile(), HostileList(), [Hostile()], pd.DataFrame])
def test_of_anything_never_raises(value: object) -> None:
    assert isinstance(summarize(value), str)


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    )
)
def test_of_any_data_is_text_of_bounded_length(value: object) -> None:
    summary = summarize(value)
    assert isinstance(summary, str) or is_content(value)
    assert len(summary) <= MAX_TEXT + 100


def test_imports_nothing_of_what_a_user_may_lack() -> None:
    source = Path(inspect.getfile(summarize)).read_text(encoding="utf-8")
    modules = {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert modules - sys.stdlib_module_names <= {
        "collections.abc",
        "langchain_core.tools.base",
        "pydantic",
    }
    assert "importlib" not in source
