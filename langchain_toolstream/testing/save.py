"""Recordings into files, as `load_recordings` reads them."""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langchain_toolstream.json_values import to_json
from langchain_toolstream.testing.recording import Recording


def save_recordings(recordings: Iterable[Recording], path: str | Path) -> None:
    r"""Write recordings to a file, which is replaced if it is there.

    `.jsonl` and `.jsonl.gz` hold any number of them, each with the request it answered and the time
    of each read. `.sse` holds the bytes of a single stream and nothing else.

    ```python
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from langchain_toolstream.testing import Recording, load_recordings, save_recordings

    recording = Recording(id="hello", body=b"data: [DONE]\n\n")
    with TemporaryDirectory() as folder:
        path = Path(folder, "hello.jsonl")
        save_recordings([recording], path)
        assert load_recordings(path) == [recording]
    ```

    Args:
        recordings: The recordings, as they came: a fault such as `cut` is not written.
        path: The file; its suffix says the form.

    Raises:
        ValueError: The suffix is none of these, or the file cannot hold what it is given.
        OSError: The file cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    recordings = list(recordings)
    if path.suffix == ".sse":
        if len(recordings) != 1 or not recordings[0].streamed:
            msg = f"{path}: an .sse file holds one stream; use .jsonl for anything else"
            raise ValueError(msg)
        path.write_bytes(recordings[0].body)
        return
    lines = [to_json(_record(one)) + "\n" for one in recordings]
    data = "".join(lines).encode()
    # Without a time in its header, the file changes only where its content does.
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def check_suffix(path: Path) -> None:
    """Refuse a file that no recording can be written to or read from.

    Args:
        path: The file.

    Raises:
        ValueError: Its suffix is none of ours.
    """
    if not path.name.endswith((".sse", ".jsonl", ".jsonl.gz")):
        msg = f"{path}: recordings are kept in .jsonl, .jsonl.gz and .sse files"
        raise ValueError(msg)


def _record(recording: Recording) -> dict[str, Any]:
    try:
        body = recording.body.decode()
    except UnicodeDecodeError as error:
        msg = f"Recording {recording.id!r} is not UTF-8, so only an .sse file can hold it: {error}"
        raise ValueError(msg) from error
    record = {
        "id": recording.id,
        "request": recording.request,
        "status": recording.status,
        "content_type": recording.content_type,
        "reads": recording.reads,
        "body": body,
    }
    return {key: value for key, value in record.items() if value is not None}
