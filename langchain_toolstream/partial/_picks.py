"""One part of a call's arguments, as it comes: the items of a list, or the pieces of a text."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_toolstream._steps import astep, step
from langchain_toolstream.partial._reading import PartReading


class _Part(Runnable[BaseMessage, Any]):
    """Read a part of the arguments.

    Args:
        reading: Makes what reads one message.
    """

    def __init__(self, reading: Callable[[], PartReading]) -> None:
        """Parts are made by `PartialToolsParser`."""
        self._reading = reading

    def _whole(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def _read(self, message: BaseMessage) -> Any:
        reading = self._reading()
        return self._whole([*reading.feed(message), *reading.close()])

    def invoke(
        self,
        input: BaseMessage,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read a whole message.

        Args:
            input: The message.
            config: The configuration of the run.
            **kwargs: Ignored.

        Returns:
            All parts in one: a list of the items, or the text.

        Raises:
            ToolCallError: A call of the message is none.
        """
        del kwargs
        return self._call_with_config(self._read, input, config, run_type="parser")

    async def ainvoke(
        self,
        input: BaseMessage,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read a whole message, as `invoke` does; nothing in it waits.

        Args:
            input: See `invoke`.
            config: See `invoke`.
            **kwargs: Ignored.

        Returns:
            See `invoke`.
        """
        del kwargs

        async def read(message: BaseMessage) -> Any:
            return self._read(message)

        return await self._acall_with_config(read, input, config, run_type="parser")

    def transform(
        self,
        input: Iterator[BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Read a message while it streams.

        Closing the iterator closes the input, and with it the model's stream.

        Args:
            input: The chunks of the message.
            config: The configuration of the run.
            **kwargs: Passed on to the run.

        Returns:
            The parts, each the moment that it is known.

        Raises:
            ToolCallError: A call of the message is none; behind the parts that came before.
        """
        return step(self, self._reading(), input, config, **kwargs)

    def atransform(
        self,
        input: AsyncIterator[BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Read a message while it streams, as `transform` does.

        Args:
            input: See `transform`.
            config: See `transform`.
            **kwargs: See `transform`.

        Returns:
            See `transform`.
        """
        return astep(self, self._reading(), input, config, **kwargs)


class ListItems(_Part):
    """The items of a list, each the moment that it closes; see `PartialToolsParser.items`."""

    def _whole(self, parts: list[Any]) -> list[Any]:
        return parts


class TextPieces(_Part):
    """The pieces of a text, decoded, as they come; see `PartialToolsParser.text`."""

    def _whole(self, parts: list[Any]) -> str:
        return "".join(parts)
