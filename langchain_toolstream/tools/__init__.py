"""Running tool calls: by name, early where that is allowed, each to exactly one message."""

from langchain_toolstream.tools._artifact_tool import ArtifactTool, artifact_tool
from langchain_toolstream.tools._handles import FromArtifact
from langchain_toolstream.tools._map import ToolMap
from langchain_toolstream.tools._toolset import ToolSet

__all__ = ["ArtifactTool", "FromArtifact", "ToolMap", "ToolSet", "artifact_tool"]
