"""Streamed tool calls from vLLM for LangChain."""

from langchain_toolstream.parser import ToolCallError, ToolStreamParser
from langchain_toolstream.tools import ToolMap, ToolSet
from langchain_toolstream.vllm import ChatVLLM, VLLMError

__all__ = [
    "ChatVLLM",
    "ToolCallError",
    "ToolMap",
    "ToolSet",
    "ToolStreamParser",
    "VLLMError",
]
