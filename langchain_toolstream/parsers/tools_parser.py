"""What the parsers of tool calls have in common."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Generic

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import PrivateAttr

from langchain_toolstream.schema.tool_schema import ToolLike, ToolSchema, tool_schemas
from langchain_toolstream.streams.steps import Out, StreamStep


class ToolsParser(StreamStep[Out], BaseTransformOutputParser[Out], Generic[Out]):
    """A parser that holds the calls of a message against the tools that were bound."""

    tools: Any = None
    """The tools that were bound: a `ToolSet`, or any mix of what `bind_tools` takes. Names and
    arguments are held against them. `None`: every name passes and nothing is validated."""

    _schemas: Mapping[str, ToolSchema] | None = PrivateAttr(default=None)

    def __init__(self, tools: Iterable[ToolLike] | None = None, **kwargs: Any) -> None:
        """Look at the tools.

        Args:
            tools: The tools that were bound, see `tools`.
            **kwargs: Fields of the base class.

        Raises:
            TypeError: `tools` is no list of tools.
            ValueError: A tool cannot be understood, or two have the same name.
        """
        super().__init__(**{"tools": tools, **kwargs})
        self._schemas = None if tools is None else tool_schemas(tools)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out what is made of the tools: a function's model cannot be pickled."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Look at the tools again."""
        super().__setstate__(state)
        self.model_post_init(None)  # by which pydantic makes the private attributes
        self._schemas = None if self.tools is None else tool_schemas(self.tools)

    @abstractmethod
    def _parse(self, message: BaseMessage) -> Out:
        """Parse a whole message."""

    def parse(self, text: str) -> Out:
        """Refuse: text holds no tool calls.

        Args:
            text: Ignored.

        Raises:
            OutputParserException: Always.
        """
        msg = f"{type(self).__name__} reads messages of a chat model; text has no tool calls."
        raise OutputParserException(msg, llm_output=text)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Out:
        """Parse a whole message.

        Args:
            result: A generation of a chat model; of several, the first counts.
            partial: Ignored: the end of the message is what confirms a call.

        Returns:
            What `invoke` returns; see the class, also for what is raised.

        Raises:
            OutputParserException: The generation is text.
        """
        del partial
        if not isinstance(result[0], ChatGeneration):
            return self.parse(result[0].text)
        return self._parse(result[0].message)

    async def aparse_result(self, result: list[Generation], *, partial: bool = False) -> Out:
        """Parse a whole message, as `parse_result` does; nothing in it waits.

        Args:
            result: See `parse_result`.
            partial: See `parse_result`.

        Returns:
            See `parse_result`.
        """
        return self.parse_result(result, partial=partial)
