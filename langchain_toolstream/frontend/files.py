"""Pictures and files that tools return, apart from the values around them.

Protocols have a form of their own for a picture or a file; in the JSON of a result it would be a
long text that nobody can read. So its data is moved there, and what is left says what it was.
"""

import base64
import binascii
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from langchain_toolstream.frontend.write import as_text
from langchain_toolstream.json_values import MAX_VALUE, bounded

KINDS = ("image", "audio", "video")
"""Of the types of files that have a block of their own; any other is a `file`."""

_MAX_BLOCKS = 100  # of a content or an artifact; a longer list is data
_OCTETS = "application/octet-stream"
_MIME = re.compile(r"[A-Za-z0-9.+-]{1,50}/[A-Za-z0-9.+-]{1,50}")
_MAX_PIXELS = 4_000_000  # of a picture that is drawn here
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


@dataclass(frozen=True, slots=True)
class File:
    """A picture, sound, video or file.

    Attributes:
        mime_type: What it is.
        url: Where it is; empty where its data is here.
        data: Its bytes, in base64.
    """

    mime_type: str
    url: str = ""
    data: str = ""

    @property
    def kind(self) -> str:
        """The type of its content block."""
        kind = self.mime_type.partition("/")[0]
        return kind if kind in KINDS else "file"

    def link(self, mark: str = "") -> str:
        """Write it as a URL.

        Args:
            mark: What `mark_of` finds in a URL with data: whose it is.
        """
        if self.url:
            return self.url
        # All versions of all clients keep a URL, and some of them nothing else.
        marked = f";{_MARK}={quote(mark, safe='')}" if mark else ""
        return f"data:{self.mime_type}{marked};base64,{self.data}"


_MARK = "tool"


def mark_of(url: Any) -> tuple[str, str]:
    """Find the mark in a link that `File.link` wrote.

    Args:
        url: Perhaps one.

    Returns:
        The mark and the data; empty for any other link.
    """
    if not isinstance(url, str) or not url.startswith("data:"):
        return "", ""
    head, _, data = url.partition(",")
    marks = [one for one in head.split(";") if one.startswith(f"{_MARK}=")]
    return (unquote(marks[0].partition("=")[2]), data) if marks else ("", "")


def without_files(value: Any) -> tuple[Any, list[File]]:
    """Take the pictures and files out of what a tool returned.

    Args:
        value: An artifact, or the content of a tool's message: one of them, or a list.

    Returns:
        What is left, as `bounded` has it: each block of a file without its data. And the files,
        in order.
    """
    is_list = issubclass(type(value), list) and len(value) <= _MAX_BLOCKS
    blocks = [(one, _file(one)) for one in (value if is_list else [value])]
    files = [file for _, file in blocks if file is not None]
    if not files:
        return bounded(value), files
    left = [bounded(one) if file is None else _left(one, file) for one, file in blocks]
    return (left if is_list else left[0]), files


def with_file(value: Any, place: int, data: str) -> Any:
    """Put data back where `without_files` took it.

    Args:
        value: What was left.
        place: The place of the file among those of the value.
        data: In base64.

    Returns:
        The value with it; the same where there is no such place.
    """
    blocks = value if isinstance(value, list) else [value]
    taken = [
        at
        for at, one in enumerate(blocks)
        if isinstance(one, Mapping) and one.get("type") in (*KINDS, "file") and "url" not in one
    ]
    if place >= len(taken):
        return value
    at = taken[place]
    filled = [*blocks[:at], {**blocks[at], "base64": data}, *blocks[at + 1 :]]
    return filled if isinstance(value, list) else filled[0]


def ai_sdk_output(
    call_id: str, content: Any, artifact: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write a result for the AI SDK, whose files are parts of the message.

    Args:
        call_id: The call.
        content: Of the tool's message.
        artifact: Of it.

    Returns:
        The output of the call's part, and the parts of the files. The links of those with data
        have a mark, `FIELD PLACE CALL`.
    """
    output: dict[str, Any] = {}
    parts: list[dict[str, Any]] = []
    for field, value in (("content", content), ("artifact", artifact)):
        if field == "artifact" and value is None:
            continue
        output[field], files = without_files(value)
        place = 0
        for file in files:
            link = file.link(f"{field} {place} {call_id}")
            place += bool(file.data)
            parts.append({"type": "file", "url": link, "mediaType": file.mime_type})
    return output, parts


def has_parts(protocol_version: str | None) -> bool:
    """Whether a client of AG-UI reads results that are made of parts.

    Args:
        protocol_version: What it posts.
    """
    return protocol_version is not None and not protocol_version.startswith("0.")


def ag_ui_parts(text: str, read: list[File], shown: list[File]) -> list[dict[str, Any]]:
    """Write a result with files for AG-UI, as parts.

    Args:
        text: What the model reads.
        read: The files that it reads too.
        shown: Those of the artifact; they are marked, for the model is not to get them.
    """
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for files, extra in ((read, {}), (shown, {"metadata": {"artifact": True}})):
        for file in files:
            kind = "document" if file.kind == "file" else file.kind
            source = {"type": "data" if file.data else "url", "value": file.data or file.url}
            source["mimeType"] = file.mime_type
            parts.append({"type": kind, "source": source, **extra})
    return parts


def text_of(content: Any) -> str:
    """Write what is left of a content as text.

    Args:
        content: What `without_files` left.
    """
    is_list = isinstance(content, list)
    left = [one for one in (content if is_list else [content]) if not _is_left(one)]
    if not left:
        return ""
    return as_text(left if is_list else content)


def _is_left(block: Any) -> bool:
    """Whether it is a file that was taken out."""
    return isinstance(block, dict) and block.get("type") in (*KINDS, "file")


def _left(value: Any, file: File) -> Any:
    said = dict(value) if isinstance(value, Mapping) else {}
    for taken in ("base64", "data", "source_type"):
        said.pop(taken, None)
    return bounded({**said, "type": file.kind, "mime_type": file.mime_type})


def _file(value: Any) -> File | None:
    try:
        if isinstance(value, Mapping):
            return _of_block(value)
        if isinstance(value, bytes | bytearray):
            return _of_bytes(bytes(value), _sniffed(bytes(value[:12])))
        return _of_bytes(_drawn(value), "image/png")
    except Exception:  # noqa: BLE001 - it is anybody's code
        return None


def _sniffed(head: bytes) -> str | None:
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if head.startswith(magic)), None)


def _of_block(block: Mapping[Any, Any]) -> File | None:
    """A content block of LangChain's, of v1 or before."""
    if block.get("type") not in (*KINDS, "file"):
        return None
    mime, url = block.get("mime_type"), block.get("url")
    data = block.get("base64", block.get("data"))
    kind = str(block["type"])
    mime = mime if isinstance(mime, str) and _is_mime(mime) else f"{kind}/*"
    mime = _OCTETS if mime == "file/*" else mime
    if isinstance(data, str) and len(data) <= MAX_VALUE and is_base64(data):
        return File(mime, data=data)
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        return File(mime, url=url)
    return None


def _of_bytes(data: bytes | None, mime: str | None) -> File | None:
    if data is None or mime is None or len(data) > MAX_VALUE // 2:
        return None
    return File(mime, data=base64.b64encode(data).decode())


def _drawn(value: Any) -> bytes | None:
    """The PNG of a picture of Pillow's, or of a figure of Matplotlib's."""
    for kind in type(value).__mro__:
        library = (kind.__module__.partition(".")[0], kind.__name__)
        if library == ("PIL", "Image"):
            width, height = value.size
            if width * height <= _MAX_PIXELS:
                written = io.BytesIO()
                value.save(written, "PNG")
                return written.getvalue()
        if library == ("matplotlib", "Figure"):
            written = io.BytesIO()
            value.savefig(written, format="png")
            return written.getvalue()
    return None


def _is_mime(mime: str) -> bool:
    return _MIME.fullmatch(mime) is not None


def is_base64(data: str) -> bool:
    """Whether a text is base64.

    Args:
        data: The text.
    """
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
