"""The arguments of one call: their text as it came, and what reads it."""

import re

from langchain_toolstream.core.errors import JSONStreamError
from langchain_toolstream.core.json import LOOSE_PIECES, JSONEvent, JSONStream
from langchain_toolstream.core.strings import Halves

BLANK = " \t\n\r"
_is_closers = re.compile(r"[ \t\n\r\]}]*").fullmatch


class Arguments:
    """Keep and read the text of a call's arguments.

    Attributes:
        json: What reads it.
        halves: What joins its characters.
        length: How many characters have come.
    """

    __slots__ = ("_joined", "_pieces", "_repeated", "_root", "_root_length", "halves", "json",
                 "length")  # fmt: skip

    def __init__(self, *, events: bool = True) -> None:
        """Start before the first piece."""
        self.json = JSONStream(events=events)
        self.halves = Halves()
        self.length = 0
        self._joined = ""  # all text, as it came, but for
        self._pieces: list[str] = []  # the last pieces
        self._root_length = 0  # how much of the text is the root value
        self._root = ""  # that text, where it has to be compared
        self._repeated = 0  # how much of that has come again

    @property
    def repeating(self) -> bool:
        """Whether the root value has begun again behind itself, and has not ended again."""
        return self._repeated > 0

    @property
    def text(self) -> str:
        """The text, as it came."""
        text = self._joined
        if self._pieces:
            self._joined = ""  # so that the text has one owner, and grows in place
            text += "".join(self._pieces)
            self._pieces.clear()
            self._joined = text
        return text

    @property
    def behind(self) -> str:
        """The text behind the root value."""
        return self.text[self._root_length :].strip(BLANK)

    def keep(self, text: str) -> None:
        """Take the next piece of the text, and do not read it.

        Args:
            text: The piece.
        """
        self.length += len(text)
        self._pieces.append(text)
        if len(self._pieces) > LOOSE_PIECES:
            self._joined = self.text

    def read(self, text: str) -> list[JSONEvent]:
        """Take the next piece of the text, up to the end of the root value.

        Args:
            text: The piece.

        Returns:
            What became known. What is wrong, if anything, is the `error` of `json`.
        """
        self.keep(text)
        try:
            found = self.json.feed(text)
        except JSONStreamError:
            return []
        if self.json.closed:
            self._root_length = self.length - len(self.json.unused_text)
        return found

    def agrees(self, text: str) -> bool:
        """Look at a piece behind the root: white space, closing brackets, the same value again.

        Args:
            text: The piece.

        Returns:
            Whether it is nothing else.
        """
        if not self._repeated and _is_closers(text):
            return True
        root = self._root = self._root or self.text[: self._root_length].strip(BLANK)
        for char in text:
            if not self._repeated and (char in BLANK or char in "]}"):
                continue
            if char != root[self._repeated]:
                return False
            self._repeated = (self._repeated + 1) % len(root)
        return True
