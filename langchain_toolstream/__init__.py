"""Streamed tool calls from vLLM for LangChain."""

from langchain_toolstream.consume import ToolEvents, tool_events
from langchain_toolstream.parser import ToolCallError, ToolStreamParser
from langchain_toolstream.tools import ToolMap, ToolSet
from langchain_toolstream.vllm import (
    ChatVLLM,
    RepetitionDetection,
    StructuredOutputs,
    VLLMError,
)

__all__ = [
    "ChatVLLM",
    "RepetitionDetection",
    "StructuredOutputs",
    "ToolCallError",
    "ToolEvents",
    "ToolMap",
    "ToolSet",
    "ToolStreamParser",
    "VLLMError",
    "tool_events",
]
