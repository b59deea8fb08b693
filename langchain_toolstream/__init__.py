"""Streamed tool calls from vLLM for LangChain."""

from langchain_toolstream.consume import ToolEvents, tool_events
from langchain_toolstream.core.errors import CallRevokedError
from langchain_toolstream.frontend import (
    AI_SDK_HEADERS,
    HistoryError,
    ResumeError,
    ag_ui_messages,
    ag_ui_sse,
    ai_sdk_messages,
    read_history,
    resume_command,
    to_ag_ui,
    to_ai_sdk,
    to_sse,
)
from langchain_toolstream.parsers.base import ToolCallError
from langchain_toolstream.parsers.partial import PartialToolsParser, ToolCallView
from langchain_toolstream.parsers.tool_stream import ToolStreamParser
from langchain_toolstream.schema.streamed import Streamed
from langchain_toolstream.timeline import Timeline
from langchain_toolstream.tools import ArtifactTool, FromArtifact, ToolMap, ToolSet, artifact_tool
from langchain_toolstream.vllm import (
    ChatVLLM,
    RepetitionDetection,
    StructuredOutputs,
    VLLMError,
)

__all__ = [
    "AI_SDK_HEADERS",
    "ArtifactTool",
    "CallRevokedError",
    "ChatVLLM",
    "FromArtifact",
    "HistoryError",
    "PartialToolsParser",
    "RepetitionDetection",
    "ResumeError",
    "Streamed",
    "StructuredOutputs",
    "Timeline",
    "ToolCallError",
    "ToolCallView",
    "ToolEvents",
    "ToolMap",
    "ToolSet",
    "ToolStreamParser",
    "VLLMError",
    "ag_ui_messages",
    "ag_ui_sse",
    "ai_sdk_messages",
    "artifact_tool",
    "read_history",
    "resume_command",
    "to_ag_ui",
    "to_ai_sdk",
    "to_sse",
    "tool_events",
]
