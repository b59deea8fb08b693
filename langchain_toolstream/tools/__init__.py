"""Running tool calls: by name, early where that is allowed, each to exactly one message."""

from langchain_toolstream.tools._map import ToolMap
from langchain_toolstream.tools._toolset import ToolSet

__all__ = ["ToolMap", "ToolSet"]
