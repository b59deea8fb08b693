"""The chat model for vLLM, and all that only vLLM needs."""

from langchain_toolstream.vllm._fields import RepetitionDetection, StructuredOutputs
from langchain_toolstream.vllm._server import VLLMModelCard
from langchain_toolstream.vllm.chat_models import ChatVLLM
from langchain_toolstream.vllm.errors import (
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMContextOverflowError,
    VLLMEmptyOutputError,
    VLLMError,
    VLLMIdleTimeoutError,
    VLLMIncompleteStreamError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
    VLLMOverloadedError,
    VLLMPermissionDeniedError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMStreamError,
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
    "VLLMIncompleteStreamError",
    "VLLMInvalidRequestError",
    "VLLMModelCard",
    "VLLMNotFoundError",
    "VLLMOverloadedError",
    "VLLMPermissionDeniedError",
    "VLLMRateLimitError",
    "VLLMServerError",
    "VLLMStreamError",
    "VLLMTimeoutError",
]
