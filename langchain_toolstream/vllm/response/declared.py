"""The tools of a request, as far as the text of an answer can only be read with them."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.schema.types import types_at


class Declared:
    """A tool of a request."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take its schema."""
        self._parameters = parameters

    def types_at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types an argument, or a part of one, may be."""
        return types_at(self._parameters, path)


def declared(tools: Iterable[Mapping[str, Any]]) -> dict[str, Declared]:
    """Take the tools of a request.

    Args:
        tools: As the request has them.

    Returns:
        Each by its name.
    """
    functions = [tool.get("function", tool) for tool in tools]
    return {str(one.get("name")): Declared(one.get("parameters") or {}) for one in functions}
