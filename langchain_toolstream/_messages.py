"""What the messages of LangChain's chat models say, in the terms of the core: calls and ends."""

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_toolstream.core.calls import is_truncating

# Where providers say why a message ended. The first that is there counts, but for one that says
# that it was cut.
_FINISH_REASON_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")

# Providers whose messages always end with a reason, so that an end without one is a cut.
_ALWAYS_GIVE_A_REASON = frozenset({"openai", "vllm"})

_CALL_BLOCKS = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call"})

NO_REASON = (
    "The message ended without a finish reason: the connection was dropped or the server stopped. "
    "No tool call of it is confirmed."
)


def finish_reason(metadata: dict[str, Any]) -> str | None:
    """Find why a message ended.

    Args:
        metadata: The `response_metadata` of a message or chunk.

    Returns:
        The reason in the provider's words, `None` where there is none yet.
    """
    given = [metadata.get(key) for key in _FINISH_REASON_KEYS]
    reasons = [reason for reason in given if isinstance(reason, str) and reason]
    if not reasons:
        return None
    return next(filter(is_truncating, reasons), reasons[0])


def must_give_a_reason(metadata: dict[str, Any]) -> bool:
    """Whether a message is from a provider whose messages always end with a reason.

    Args:
        metadata: The `response_metadata` of a message or chunk.
    """
    return metadata.get("model_provider") in _ALWAYS_GIVE_A_REASON


def rejected_calls(metadata: dict[str, Any]) -> dict[str, str] | None:
    """What `ChatVLLM` found wrong with calls of a message, by their ids.

    Args:
        metadata: The `response_metadata` of a message or chunk.
    """
    rejected = metadata.get("invalid_tool_calls")
    return rejected if isinstance(rejected, dict) else None


def call_delta(message: BaseMessage) -> dict[str, Any]:
    """Find the fragments of calls in a message.

    Args:
        message: A chunk, or a whole message; of any age and output version.

    Returns:
        What `ToolCallAssembler.feed` takes; empty where there are none.
    """
    if isinstance(message, AIMessageChunk):
        if message.tool_call_chunks:
            return {"tool_calls": message.tool_call_chunks}
    elif isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
        invalid = [{**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls]
        calls: list[Any] = [*message.tool_calls, *invalid]
        return {"tool_calls": [{**call, "index": i} for i, call in enumerate(calls)]}
    if isinstance(message.content, list) and (blocks := _call_blocks(message.content)):
        return {"tool_calls": blocks}
    legacy = message.additional_kwargs
    if not legacy:
        return {}
    return {key: legacy[key] for key in ("tool_calls", "function_call") if legacy.get(key)}


def _call_blocks(content: list[Any]) -> list[dict[str, Any]]:
    return [b for b in content if isinstance(b, dict) and b.get("type") in _CALL_BLOCKS]
