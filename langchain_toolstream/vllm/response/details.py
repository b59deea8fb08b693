"""What an answer says beside its messages."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from langchain_toolstream.core.deltas import is_mapping, mappings, refusal_text

_OF_ANSWER = {
    "id": "id",
    "model": "model_name",
    "system_fingerprint": "system_fingerprint",
    "service_tier": "service_tier",
    "prompt_token_ids": "prompt_token_ids",
    "prompt_text": "prompt_text",
    "prompt_logprobs": "prompt_logprobs",
    "kv_transfer_params": "kv_transfer_params",
    "ec_transfer_params": "ec_transfer_params",
    "metrics": "metrics",
}
"""vLLM's names, and those that LangChain has for the same."""

_LAST_OF_CHOICE = {"routed_experts", "weight_versions"}
"""What a choice says once, mostly with its end."""


class Details:
    """Collect what comes with the chunks of an answer, or with the whole of it."""

    def __init__(self) -> None:
        """Start before the first chunk."""
        self._of_answer: dict[str, Any] = {}
        self._of_choice: dict[int, dict[str, Any]] = {}

    def feed(self, chunk: Mapping[str, Any]) -> None:
        """Take the next chunk.

        Args:
            chunk: Its JSON, of any shape.
        """
        for name, value in chunk.items():
            if name in _OF_ANSWER and value is not None:
                self._of_answer[_OF_ANSWER[name]] = value
        choices = chunk.get("choices")
        for position, choice in enumerate(mappings(choices)):
            token_ids, logprobs = choice.get("token_ids"), choice.get("logprobs")
            last = _LAST_OF_CHOICE & choice.keys()
            said = choice.get("delta") or choice.get("message")
            refusal = refusal_text(said) if is_mapping(said) else ""
            if token_ids is None and logprobs is None and not last and not refusal:
                continue
            index = choice.get("index")
            known = self._of_choice.setdefault(index if type(index) is int else position, {})
            _extend(known, "token_ids", token_ids)
            if isinstance(logprobs, dict):
                _extend(known.setdefault("logprobs", {}), "content", logprobs.get("content"))
            known.update((name, choice[name]) for name in last if choice[name] is not None)
            if refusal:
                known["refusal"] = known.get("refusal", "") + refusal

    def keep(self, tokens: int) -> None:
        """Forget what was said of the last tokens of the first choice.

        Args:
            tokens: How many of its tokens stay.
        """
        known = self._of_choice.get(0, {})
        for values in (known.get("token_ids"), known.get("logprobs", {}).get("content")):
            if values is not None:
                del values[tokens:]

    def refusal(self, choice: int) -> str:
        """Why the model does not answer, if it says so.

        Args:
            choice: The index of the choice.
        """
        return str(self._of_choice.get(choice, {}).get("refusal", ""))

    def of(self, choice: int) -> dict[str, Any]:
        """What is known of a choice, by LangChain's names.

        Args:
            choice: Its index.
        """
        known = {**self._of_answer, **self._of_choice.get(choice, {})}
        return {name: value for name, value in known.items() if value != {}}


def _extend(known: dict[str, Any], name: str, values: object) -> None:
    if isinstance(values, list) and values:
        known.setdefault(name, []).extend(values)


def usage_metadata(usage: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Read the usage of an answer.

    Args:
        usage: As the server sent it, with counts that may be missing or none.

    Returns:
        LangChain's form, `None` if there is no count of tokens in it.
    """
    counts = _counts(usage)
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if read is None and written is None:
        return None
    given = usage or {}
    details = given.get("prompt_tokens_details")
    modalities = details.get("multimodal_tokens") if isinstance(details, Mapping) else None
    in_prompt = _named(details, _PROMPT_DETAILS) | _counts(modalities)
    in_answer = _named(given.get("completion_tokens_details"), _ANSWER_DETAILS)
    return UsageMetadata(
        input_tokens=read or 0,
        output_tokens=written or 0,
        total_tokens=counts.get("total_tokens", (read or 0) + (written or 0)),
        # Both may hold more names than LangChain lists, such as `image`.
        input_token_details=cast("InputTokenDetails", in_prompt),
        output_token_details=cast("OutputTokenDetails", in_answer),
    )


_PROMPT_DETAILS = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
    "created_cache_tokens": "cache_creation",
    "audio_tokens": "audio",
}
_ANSWER_DETAILS = {"reasoning_tokens": "reasoning", "audio_tokens": "audio"}


def _named(details: object, names: Mapping[str, str]) -> dict[str, int]:
    return {names[name]: count for name, count in _counts(details).items() if name in names}


def add_usage(left: Any, right: Any) -> Any:
    """Add up what two answers used, name by name.

    Args:
        left: A count, or counts by name.
        right: Likewise.

    Returns:
        Their sum; where the two are not of one kind, the left one unless it is `None`.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        return left | {name: add_usage(left.get(name), value) for name, value in right.items()}
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left + right
    return right if left is None else left


def _counts(usage: object) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    return {name: count for name, count in usage.items() if type(count) is int and count >= 0}
