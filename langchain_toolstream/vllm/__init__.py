"""The chat model for vLLM, and all that only vLLM needs."""

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
    VLLMRefusalError,
    VLLMServerError,
    VLLMStreamContextOverflowError,
    VLLMStreamError,
    VLLMTimeoutError,
)
from langchain_toolstream.vllm.request.fields import RepetitionDetection, StructuredOutputs
from langchain_toolstream.vllm.server import VLLMModelCard

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
    "VLLMRefusalError",
    "VLLMServerError",
    "VLLMStreamContextOverflowError",
    "VLLMStreamError",
    "VLLMTimeoutError",
]
