"""Server-sent events: bytes in, events out.

The rules are the WHATWG's (https://html.spec.whatwg.org/multipage/server-sent-events.html,
section 9.2.6), for `event` and `data`; `id` and `retry` matter only to a client that reconnects.
"""

from langchain_toolstream.core.errors import ServerStreamError

MAX_EVENT_SIZE = 64 * 1024 * 1024
"""Bytes of one event. 10 MB of arguments, escaped twice, still fit."""

BOM = b"\xef\xbb\xbf"
_LF = 10
_UNUSED_FIELDS = (b"", b"id", b"retry")  # the first is a comment


class SSEDecoder:
    r"""Decode a stream of server-sent events, cut into reads anywhere.

    An event that the stream does not end with a blank line is not an event, as the standard says.
    A line that is no field of the standard's is given by itself, since some servers write their
    errors so: `error: {...}`, a line of JSON, a page of HTML.

    Example:
        ```python
        from langchain_toolstream.vllm.response.sse import SSEDecoder

        decoder = SSEDecoder()
        assert decoder.feed(b"data: [DO") == []
        assert decoder.feed(b"NE]\r\n\r\n") == [("message", b"[DONE]")]
        ```
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self._line: list[bytes] = []
        self._size = 0
        self._data: list[bytes] = []
        self._event = "message"
        self._first_line = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[tuple[str | None, bytes]]:
        """Take the next bytes.

        Args:
            data: Any number of bytes.

        Returns:
            The events that became complete: name (`message` where none was given) and data. A line
            that is no field has no name.

        Raises:
            ServerStreamError: An event is larger than `MAX_EVENT_SIZE`.
        """
        if self._after_cr and data:
            # A line may end in CR, LF or CRLF, and the read in the middle of that.
            self._after_cr = False
            if data[0] == _LF:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[tuple[str | None, bytes]] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._count(len(line))
            self._line.append(line)
            self._end_line(b"".join(self._line), events)
            self._line.clear()
        if rest:
            self._line.append(rest)
            self._count(len(rest))
        return events

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_EVENT_SIZE:
            msg = f"it sent an event of more than {MAX_EVENT_SIZE:,} bytes"
            raise ServerStreamError(msg)

    def _end_line(self, line: bytes, events: list[tuple[str | None, bytes]]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BOM)
        if not line:
            if self._data:
                events.append((self._event, b"\n".join(self._data)))
            self._data.clear()
            self._event = "message"
            self._size = 0
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode(errors="replace") or "message"
        elif name not in _UNUSED_FIELDS:
            events.append((None, line))
