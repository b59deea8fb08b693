"""What the model reads of an artifact, by what the artifact is.

Nothing is imported to find out: a value of a library is known by the module of its class. However
large the value, the text is short, and only a small part of the value is looked at.
"""

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from reprlib import Repr
from typing import Any

from langchain_core.tools.base import TOOL_MESSAGE_BLOCK_TYPES
from pydantic import BaseModel

MAX_TEXT = 2_000
"""Characters of a text that the model reads of it."""

_HEAD = 5
"""Rows of a table."""


class _Repr(Repr):
    """Python's own short form, which would show all of `bytes` to itself before it cuts them."""

    def repr_bytes(self, value: bytes, _: int) -> str:
        return f"<{_bytes(value)[:-1]}>"

    repr_bytearray = repr_bytes


_repr = _Repr()
_repr.maxlevel = 4
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdeque = 10
_repr.maxdict = 10
_repr.maxstring = _repr.maxother = 200


def is_content(value: object) -> bool:
    """Whether a value can be the content of a `ToolMessage` as it is: text or content blocks.

    Args:
        value: What a tool returned.
    """
    if isinstance(value, str):
        return True
    return isinstance(value, list) and bool(value) and all(map(_is_block, value))


def _is_block(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") in TOOL_MESSAGE_BLOCK_TYPES


def summarize(value: Any) -> str | list[Any]:
    """Say what a value is, for a model that does not see it.

    Args:
        value: An artifact.

    Returns:
        Content blocks as they are; of anything else its kind, its size and its beginning.
    """
    try:
        if is_content(value):
            return value if isinstance(value, list) else _text(value)
        return _describe(value)
    except Exception:  # noqa: BLE001 - a value's own methods may raise anything
        return f"A {type(value).__name__}."


def _describe(value: Any) -> str:
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if describe := _OF_LIBRARIES.get((library, kind.__name__)):
            return describe(value)
    described: str
    match value:
        case None:
            described = "Done; there is no result."
        case bool() | int() | float() | complex():
            described = repr(value)
        case bytes() | bytearray() | memoryview():
            described = _bytes(value)
        case os.PathLike():
            described = _path(value)
        case BaseModel():
            described = f"{type(value).__name__}: {_repr.repr(dict(value))}"
        case Mapping():
            described = f"{_counted(value, 'key')}: {_repr.repr(dict(_first(value)))}"
        case Sequence() | AbstractSet():
            described = f"{_counted(value, 'item')}: {_repr.repr(value)}"
        case _:
            described = f"{type(value).__name__}: {_repr.repr(value)}"
    return _text(described)


def _text(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}... ({len(text):,} characters in all)"


def _first(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [item for item, _ in zip(value.items(), range(_repr.maxdict + 1), strict=False)]


def _counted(value: Any, one: str) -> str:
    count = len(value)
    return f"{type(value).__name__} of {count:,} {one}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":  # noqa: PLR2004 - the step of the units
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def _path(value: os.PathLike[Any]) -> str:
    path = Path(os.fsdecode(value))
    if path.is_dir():
        return f"Directory {path}."
    if path.is_file():
        return f"File {path}, {_size(path.stat().st_size)}."
    return f"Path {path}, where nothing is."


# Bytes, by the numbers they begin with.


def _bytes(value: bytes | bytearray | memoryview) -> str:
    count = memoryview(value).nbytes
    head = bytes(memoryview(value).cast("B")[:65_536])
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        kind = "WebP image"
    measure = _PIXELS.get(kind or "")
    pixels = measure(head) if measure else None
    shown = f", {pixels[0]} x {pixels[1]} pixels" if pixels else ""
    return f"{kind or 'Binary data'}{shown}, {_size(count)}."


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"BM", "BMP image"),
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "Zip archive"),
    (b"\x1f\x8b", "Gzip data"),
    (b"PAR1", "Parquet table"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"ID3", "MP3 audio"),
    (b"OggS", "Ogg audio"),
    (b"fLaC", "FLAC audio"),
)


def _png(head: bytes) -> tuple[int, int] | None:
    return struct.unpack(">II", head[16:24]) if head[12:16] == b"IHDR" else None


def _gif(head: bytes) -> tuple[int, int] | None:
    return struct.unpack("<HH", head[6:10]) if len(head) >= 10 else None  # noqa: PLR2004


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """The size stands in the frame header, behind other segments."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:  # noqa: PLR2004 - begins each segment
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


_PIXELS: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "PNG image": _png,
    "GIF image": _gif,
    "JPEG image": _jpeg,
}


# Values of libraries, by the first part of their class's module and its name.


def _data_frame(value: Any) -> str:
    rows, columns = value.shape
    names = ", ".join(f"{name} ({kind})" for name, kind in _columns(value)[:50])
    head = value.head(_HEAD)
    shown = head.to_string() if hasattr(head, "to_string") else str(head)
    return _text(
        f"{type(value).__name__} of {rows:,} rows and {columns:,} columns: {names}.\n{shown}"
    )


def _columns(value: Any) -> list[tuple[Any, Any]]:
    dtypes = value.dtypes
    return list(zip(value.columns, getattr(dtypes, "to_numpy", lambda: dtypes)(), strict=False))


def _series(value: Any) -> str:
    head = value.head(_HEAD)
    shown = head.to_string() if hasattr(head, "to_string") else str(head)
    return _text(f"Series {value.name!r} ({value.dtype}) of {len(value):,} values.\n{shown}")


def _array(value: Any) -> str:
    shape = " x ".join(map(str, value.shape)) or "a scalar"
    head = _repr.repr(value.reshape(-1)[: _repr.maxlist].tolist())
    return _text(f"Array of {shape} ({value.dtype}), which begins {head}.")


def _image(value: Any) -> str:
    width, height = value.size
    return f"{value.format or 'An'} image, {width} x {height} pixels, mode {value.mode}."


def _figure(value: Any) -> str:
    width, height = (round(inches * value.get_dpi()) for inches in value.get_size_inches())
    titles = [axes.get_title() for axes in value.get_axes()[:10]]
    named = ", ".join(repr(title) for title in titles if title)
    axes = f"{len(value.get_axes())} axes{f' ({named})' if named else ''}"
    return _text(f"Figure of {width} x {height} pixels, with {axes}.")


_OF_LIBRARIES: dict[tuple[str, str], Callable[[Any], str]] = {
    ("pandas", "DataFrame"): _data_frame,
    ("pandas", "Series"): _series,
    ("polars", "DataFrame"): _data_frame,
    ("polars", "Series"): _series,
    ("numpy", "ndarray"): _array,
    ("PIL", "Image"): _image,
    ("matplotlib", "Figure"): _figure,
}
