"""The text of one message while it comes, and the deltas that are made of it.

`Tape` is what the machines read from and write to. A machine is a generator: where it needs more
text than there is, it yields, and goes on when more has come. So a format reads as it is written,
from its first marker to its last, and nothing is read twice.
"""

import json
import uuid
from collections.abc import Callable, Generator, Iterable
from typing import Any, NoReturn

from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.core.json import MAX_LENGTH
from langchain_toolstream.core.markup.json_text import JSONText
from langchain_toolstream.core.markup.patterns import SPACE, Pattern

Delta = dict[str, Any]
"""What a server streams: `content`, `reasoning` or `tool_calls`."""

Steps = Generator[None, None, None]
"""A machine: it yields where it needs more text."""

escaped = json.JSONEncoder(ensure_ascii=False).encode


class BrokenMarkupError(Exception):
    """What the model wrote is not the rest of a call."""


class CutMarkupError(BrokenMarkupError):
    """The text ended inside a call."""


class Tape:
    """Text in, deltas out.

    Attributes:
        text: What has come and is not read yet, from `at` on.
        at: How far it is read.
        ended: Whether no more text comes.
        reason: Why it ended, as far as the source says.
        closes_late: Whether a call's last character waits for `release`.
    """

    __slots__ = (
        "_deltas", "_gap", "_gap_counts", "_kept", "_pieces", "_waits", "at", "calls",
        "closes_late", "current", "ended", "reason", "text", "written",
    )  # fmt: skip

    def __init__(self) -> None:
        """Start before the first character."""
        self.text = ""
        self.at = 0
        self.ended = False
        self.reason: str | None = None
        self.calls = 0
        self.current: int | None = None  # the call that is being read
        self.written = False  # whether any of its arguments is
        self.closes_late = False
        self._kept: dict[int, str] = {}
        self._deltas: list[Delta] = []
        self._pieces: list[str] = []  # of the last delta's text
        self._waits = True  # white space at the beginning of a text waits for the text
        self._gap: list[str] = []
        self._gap_counts = True

    # Reading.

    def more(self) -> Steps:
        """Wait for more text, inside a call."""
        if self.ended:
            raise CutMarkupError
        yield

    def space(self) -> Steps:
        """Read on to what is no white space, inside a call."""
        while True:
            text, at, n = self.text, self.at, len(self.text)
            while at < n and text[at] in SPACE:
                at += 1
            self.at = at
            if at < n:
                return
            yield from self.more()

    def look(self, patterns: Iterable[Pattern]) -> Generator[None, None, Any]:
        """Find out which pattern stands here, and take it.

        Args:
            patterns: The first that matches counts.

        Returns:
            The pattern and its match; `None` when it is none of them.
        """
        while True:
            for pattern in patterns:
                if match := pattern.match(self.text, self.at):
                    self.at = match.end("taken")
                    return pattern, match
                if not self.ended and pattern.may_become(self.text, self.at):
                    break
            else:
                return None
            yield

    def expect(self, patterns: Iterable[Pattern], what: str) -> Generator[None, None, Any]:
        """Find out which pattern stands here, and take it, inside a call."""
        found = yield from self.look(patterns)
        if found is None:
            if self.ended and any(p.may_become(self.text, self.at) for p in patterns):
                raise CutMarkupError
            self.broken(what)
        return found

    @staticmethod
    def broken(expected: str) -> NoReturn:
        """Say that this is not the rest of a call."""
        msg = f"The call is written wrongly: expected {expected}."
        raise BrokenMarkupError(msg)

    def json(self, say: Callable[[str], None]) -> Generator[None, None, str]:
        """Pass one JSON value on as it is written.

        Returns:
            Its last character, which is not passed on, so that the caller decides when it closes.
        """
        scan = JSONText()
        last = ""
        while True:
            end = scan.feed(self.text, self.at)
            if self.ended and not scan.done:
                scan.close()
            piece = last + self.text[self.at : end]
            self.at = end
            if scan.done:
                say(piece[:-1])
                return piece[-1:]
            if scan.failed:
                say(piece)
                self.broken("JSON")
            last = ""
            if piece and scan.in_bare_scalar:  # which may have had its last character
                piece, last = piece[:-1], piece[-1]
            say(piece)
            yield from self.more()

    def until(
        self,
        close: Any,
        say: Callable[[str], None],
        *,
        take: bool = True,
        openers: tuple[Pattern, ...] = (),
    ) -> Steps:
        """Pass text on up to what closes it.

        Args:
            close: The expression that finds it, from `patterns.closing` or `patterns.finder`.
            say: Where the text goes.
            take: Whether to take what closes it.
            openers: Tags that open another such text, and may not stand inside: either they are
                text, or what closes this one is missing, and nothing tells which.
        """
        while True:
            text = self.text
            found = close.search(text, self.at)
            if found is None:
                say(text[self.at :])
                self.at = len(text)
            else:
                say(text[self.at : found.start()])
                if found["whole"] is not None:
                    self.at = found.end() if take else found.start()
                    return
                self.at = found.start()
                if openers and found["opener"] is not None:
                    if (opener := (yield from self.look(openers))) is not None:
                        self.at -= len(opener[1]["taken"])
                        self.broken(f"the end of a value before {opener[1]['taken'][:80]!r}")
                    say(self.text[self.at : self.at + 1])
                    self.at += 1
                    continue
            if self.ended:
                say(text[self.at :])
                self.at = len(text)
                raise CutMarkupError
            yield

    def rest_of_text(self, say: Callable[[str], None]) -> Steps:
        """Pass all text on."""
        while True:
            say(self.text[self.at :])
            self.at = len(self.text)
            yield from self.more()

    # Writing.

    def take(self) -> list[Delta]:
        """Take the deltas that have been made."""
        self._join()
        deltas, self._deltas = self._deltas, []
        return deltas

    def content(self, text: str) -> None:
        """Write text of the answer."""
        if self._waits:
            if not text.strip():
                self._gap.append(text)
                return
            self._waits = False
            text = "".join(self._gap) + text if self._gap_counts else text.lstrip()
            self._gap.clear()
        if text:
            self._add("content", text)

    def reasoning(self, text: str) -> None:
        """Write text of the thoughts."""
        if text:
            self._add("reasoning", text)

    def rest(self, *, gap: bool) -> None:
        """Begin a new stretch of text: white space waits until other text follows.

        Args:
            gap: Whether it is written then, or is layout.
        """
        self._waits = True
        self._gap.clear()
        self._gap_counts = gap

    def begin(self, name: str, call_id: str | None = None) -> None:
        """Begin a call."""
        self.current = self.calls
        self.written = False
        self.calls += 1
        function: dict[str, Any] = {"arguments": ""}
        if name:
            function["name"] = name
        self._fragment(
            id=call_id or f"call_{uuid.uuid4().hex[:24]}", type="function", function=function
        )

    def arguments(self, text: str) -> None:
        """Write arguments of the call."""
        if not text:
            return
        self.written = True
        last = self._deltas[-1] if self._deltas else None
        if (
            last is None
            or (calls := last.get("tool_calls")) is None
            or (calls[0]["index"] != self.current)
        ):
            self._fragment(function={"arguments": ""})
        self._pieces.append(text)

    def string(self, text: str) -> None:
        """Write a piece of a string of the arguments."""
        if text:
            self.arguments(escaped(text)[1:-1])

    def end(self, last: str) -> None:
        """Write the last character of the arguments."""
        if self.closes_late and self.current is not None:
            self._kept[self.current] = last
        else:
            self.arguments(last)

    def release(self) -> None:
        """Write the last characters that have waited."""
        for index, last in self._kept.items():
            self.current = index
            self.arguments(last)
        self._kept.clear()

    def invalid(self, reason: str, raw: str = "") -> None:
        """Say that the call is invalid.

        Args:
            reason: Why.
            raw: What it says from there on.
        """
        if self.current is None:
            self.begin("")
        self.arguments(raw)
        self._fragment(type="invalid_tool_call", error=reason, function={"arguments": ""})

    def cut(self) -> None:
        """Say that the text ended inside the call."""
        if self.current is None:
            self.begin("")
        if not self.written:
            self.arguments("{")
        if not is_truncating(self.reason):
            self.invalid("The model's text ended inside the call.")

    def withhold(self, reason: str) -> None:
        """Say that all calls whose last character waits are invalid."""
        for index in self._kept:
            self.current = index
            self.invalid(reason)
        self._kept.clear()

    def _fragment(self, **fields: Any) -> None:
        self._join()
        self._deltas.append({"tool_calls": [{"index": self.current, **fields}]})

    def _add(self, kind: str, text: str) -> None:
        if not (self._deltas and kind in self._deltas[-1]):
            self._join()
            self._deltas.append({kind: ""})
        self._pieces.append(text)

    def _join(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        last = self._deltas[-1]
        if calls := last.get("tool_calls"):
            calls[0]["function"]["arguments"] += text
        else:
            (kind,) = last
            last[kind] += text


def too_long(pieces_length: int) -> bool:
    """Whether text that had to be kept is longer than we are willing to keep."""
    return pieces_length > MAX_LENGTH
