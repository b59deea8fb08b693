"""One part of a call's arguments, as it comes: the items of a list, or the pieces of a text."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_toolstream.parsers.partial.reading import PartReading
from langchain_toolstream.streams.steps import MessageStep


class _Part(MessageStep):
    """Read a part of the arguments; `ToolCallError` says that a call of the message is none.

    Args:
        make: Makes what reads one message.
    """

    def __init__(self, make: Callable[[], PartReading]) -> None:
        """Parts are made by `PartialToolsParser`."""
        self._make = make

    @abstractmethod
    def _whole(self, parts: list[Any]) -> Any:
        """Make one of all parts."""

    def _start(self) -> PartReading:
        return self._make()

    def _read(self, message: BaseMessage) -> Any:
        reading = self._start()
        return self._whole([*reading.feed(message), *reading.close()])


class ListItems(_Part):
    """The items of a list, each the moment that it closes; see `PartialToolsParser.items`."""

    def _whole(self, parts: list[Any]) -> list[Any]:
        return parts


class TextPieces(_Part):
    """The pieces of a text, decoded, as they come; see `PartialToolsParser.text`."""

    def _whole(self, parts: list[Any]) -> str:
        return "".join(parts)
