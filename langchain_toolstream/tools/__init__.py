"""Running tool calls: by name, early where that is allowed, each to exactly one message."""

from langchain_toolstream.tools.artifacts.artifact_tool import ArtifactTool, artifact_tool
from langchain_toolstream.tools.artifacts.handles import FromArtifact
from langchain_toolstream.tools.run.map import ToolMap
from langchain_toolstream.tools.toolset import ToolSet

__all__ = ["ArtifactTool", "FromArtifact", "ToolMap", "ToolSet", "artifact_tool"]
