"""The chat model for vLLM, and all that only vLLM needs."""

from langchain_toolstream.vllm._fields import RepetitionDetection, StructuredOutputs
from langchain_toolstream.vllm.chat_models import ChatVLLM
from langchain_toolstream.vllm.errors import (
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMContextOverflowError,
    VLLMEmptyOutputError,
    VLLMError,
    VLLMIdleTimeoutError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMTimeoutError,
)

__all__ = [
    "ChatVLLM",
    "RepetitionDetection",
    "StructuredOutputs",
    "VLLMAuthenticationError",
    "VLLMConnectionError",
    "VLLMContextOverflowError",
    "VLLMEmptyOutputError",
    "VLLMError",
    "VLLMIdleTimeoutError",
    "VLLMInvalidRequestError",
    "VLLMNotFoundError",
    "VLLMRateLimitError",
    "VLLMServerError",
    "VLLMTimeoutError",
]
