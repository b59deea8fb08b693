"""Recordings out of files.

Three shapes of file are read: exchanges with their request and timing (`body`, `reads`), scripted
wires without a request (`sse` or `json`), and one raw stream (`.sse`).
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from langchain_toolstream.json_values import InvalidJSONError, read_json, to_json
from langchain_toolstream.testing.recording import Recording
from langchain_toolstream.testing.save import check_suffix

# Of two that answer the same request, the first is taken: the model of `tiny` is right more often.
_BUNDLED = ("tiny.jsonl.gz", "vllm-0.32-live.jsonl.gz")


def load_recordings(path: str | Path) -> list[Recording]:
    r"""Read recordings from a file.

    A `.jsonl` or `.jsonl.gz` file holds one object per line, with an `id` and either

    - `body` (text), and optionally `request`, `status`, `content_type` and `reads` (pairs of
      seconds since the request and bytes read), or
    - `sse` (text of a stream) or `json` (a whole answer); with `"finish": "cut"` the connection is
      dropped at the end of the stream.

    A `.sse` file holds one raw stream, and its name without the suffix is the id.

    ```python
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from langchain_toolstream.testing import load_recordings

    with TemporaryDirectory() as folder:
        path = Path(folder, "hello.sse")
        path.write_bytes(b"data: [DONE]\n\n")
        (recording,) = load_recordings(path)
    assert recording.id == "hello"
    ```

    Args:
        path: The file.

    Returns:
        The recordings, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken; the message names the file, the line and what is wrong.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".sse":
        return [Recording(id=path.stem, body=path.read_bytes())]
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            msg = f"{path}: not a whole gzip file: {error}"
            raise ValueError(msg) from error
    return [
        _line(line, f"{path}, line {number}")
        for number, line in enumerate(data.split(b"\n"), start=1)
        if line.strip()
    ]


def bundled_recordings() -> list[Recording]:
    """Give the recordings that come with the package: a real vLLM 0.32 with tiny models.

    Those named `tiny_...` are of the model in `tests/integration_tests/tiny_models/hermes`, which
    answers rightly but for the three cities of `tiny_3calls`. The others are of an earlier one that
    often does not, with one prompt in every tool choice, streamed and not, with usage, reasoning
    and log probabilities, cut in each place, and vLLM's own errors.

    ```python
    from langchain_toolstream.testing import bundled_recordings

    by_id = {recording.id: recording for recording in bundled_recordings()}
    assert by_id["auto_2calls"].request["messages"][0]["role"] == "user"
    ```

    Returns:
        A new list of the recordings.
    """
    folder = files("langchain_toolstream.testing") / "recordings"
    recordings: list[Recording] = []
    for name in _BUNDLED:
        with as_file(folder / name) as path:
            recordings += load_recordings(path)
    return recordings


def _line(line: bytes, place: str) -> Recording:
    try:
        record = read_json(line)
    except InvalidJSONError as error:
        msg = f"{place}: {error}"
        raise ValueError(msg) from error
    if not isinstance(record, dict):
        msg = f"{place}: expected a JSON object, got {type(record).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - it is the file that is wrong, not an argument
    try:
        return _recording(record)
    except ValueError as error:
        msg = f"{place}: {error}"
        raise ValueError(msg) from error


def _recording(record: Mapping[str, Any]) -> Recording:
    name = _field(record, "id", "a string", lambda value: isinstance(value, str))
    shapes = [key for key in ("body", "sse", "json") if key in record]
    if len(shapes) != 1:
        msg = f"expected one of the fields 'body', 'sse' and 'json', got {shapes or list(record)}"
        raise ValueError(msg)
    if shapes == ["json"]:
        # Written as vLLM writes it: no spaces, no escapes but the necessary ones.
        text = to_json(record["json"])
        return Recording(id=name, body=text.encode(), content_type="application/json")
    text = _field(record, shapes[0], "text", lambda value: isinstance(value, str))
    body = text.encode()
    if shapes == ["sse"]:
        cut = record.get("finish") == "cut"
        return Recording(id=name, body=body, ending="cut" if cut else "complete")
    optional: dict[str, Any] = {
        key: _field(record, key, kind, check)
        for key, kind, check in _OPTIONAL
        if record.get(key) is not None
    }
    if "reads" in optional:
        optional["reads"] = tuple((float(at), size) for at, size in optional["reads"])
    return Recording(id=name, body=body, **optional)


def _field(record: Mapping[str, Any], key: str, kind: str, check: Callable[[Any], bool]) -> Any:
    if key not in record:
        msg = f"the field {key!r} is missing"
        raise ValueError(msg)
    if not check(record[key]):
        shown = repr(record[key])
        msg = f"the field {key!r} has to be {kind}, got {shown[:60]}"
        raise ValueError(msg)
    return record[key]


def _is_status(value: object) -> bool:
    return type(value) is int and 200 <= value <= 599  # noqa: PLR2004


def _is_reads(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(read, list)
        and len(read) == 2  # noqa: PLR2004
        and type(read[0]) in {int, float}
        and read[0] >= 0
        and type(read[1]) is int
        and read[1] >= 0
        for read in value
    )


_OPTIONAL: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("request", "a JSON object", lambda value: isinstance(value, dict)),
    ("status", "an HTTP status from 200 to 599", _is_status),
    ("content_type", "text", lambda value: isinstance(value, str)),
    ("reads", "a list of [seconds, bytes]", _is_reads),
)
