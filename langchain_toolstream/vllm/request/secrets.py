"""What may be shown of a model and its requests, in a `repr`, a dump, a trace or a cache's key.

It is a list of what may be shown, not of what may not: an unknown field may hold a key.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import Secret, SecretStr

from langchain_toolstream.vllm.refusals import public_url
from langchain_toolstream.vllm.request.fields import FIELDS

_SHOWN = (
    FIELDS - {"cache_salt", "kv_transfer_params", "ec_transfer_params", "vllm_xargs"}
) | {
    "_type", "allow_fetching_images", "coalesce", "disable_streaming", "disabled_params",
    "frequency_penalty", "function_call", "functions", "include", "include_response_headers",
    "logit_bias", "logprobs", "ls_structured_output_format", "max_completion_tokens",
    "max_resumes", "max_retries", "max_tokens", "metadata", "model", "model_name", "n", "name",
    "output_version",
    "parallel_tool_calls", "presence_penalty", "profile", "reasoning", "reasoning_effort",
    "request_timeout", "response_format", "seed", "service_tier", "stop", "store", "stream",
    "stream_chunk_timeout", "stream_options", "stream_usage", "streaming", "strict", "tags",
    "temperature", "thoughts_begun", "timeout", "tool_call_parser", "tool_choice", "tools",
    "top_logprobs", "top_p", "truncation",
    "use_responses_api", "verbose", "verbosity",
}  # fmt: skip
_OF_LANGCHAIN = ("callbacks", "config", "run_id", "run_name")
"""Arguments that do not reach the server."""

_URLS = ("openai_api_base", "openai_proxy")
_HIDDEN = SecretStr("hidden")


def shown(name: str, value: Any) -> Any:
    """What may be shown of a value.

    Args:
        name: Of the field or argument.
        value: Its value.
    """
    if value is None or name in _SHOWN or isinstance(value, SecretStr):
        return value
    if name in _URLS:
        return public_url(str(value))
    if name in ("extra_body", "model_kwargs") and isinstance(value, Mapping):
        return all_shown(value)
    return _HIDDEN


def all_shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What may be shown of some fields.

    Args:
        fields: By name.
    """
    return {name: shown(name, value) for name, value in fields.items()}


def secret_names(fields: Mapping[str, Any]) -> dict[str, str]:
    """Name the secrets among some fields, for LangChain's `dumpd` and `load`.

    Args:
        fields: By name.

    Returns:
        For each field that may not be shown as it is, the environment variable of its value.
    """
    return {
        name: f"VLLM_{_NAMES.get(name, name).upper()}"
        for name, value in fields.items()
        if isinstance(value, SecretStr) or shown(name, value) != value
    }


_NAMES = {"openai_api_key": "api_key", "openai_api_base": "api_base", "openai_proxy": "proxy"}


@contextmanager
def urls_hidden(*urls: str | None) -> Iterator[None]:
    """Keep passwords in URLs out of the errors about them.

    Args:
        urls: What the clients are made for.

    Yields:
        Nothing.

    Raises:
        ValueError: A URL cannot be used.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError):
            raise
        words = str(error)
        for url in filter(None, urls):
            words = words.replace(url, public_url(url))
        if type(error) is not ValueError:  # may quote a part of a URL
            words = f"{type(error).__name__} for {' or '.join(map(public_url, filter(None, urls)))}"
        raise ValueError(words) from None


def digested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write fields for the key of a cache: a digest stands for what may not be shown.

    Args:
        fields: By name.
    """
    return {name: _digested(name, value) for name, value in fields.items()}


def _digested(name: str, value: Any) -> Any:
    if value is None or name in _SHOWN:
        return value
    if name == "extra_body" and isinstance(value, Mapping):
        return digested(value)
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    return hashlib.sha256(repr(plain).encode()).hexdigest()


def wrapped(given: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap the arguments of a call that may not be shown, on their way through callbacks.

    Args:
        given: By name.
    """
    return {
        name: value
        if name in _OF_LANGCHAIN or shown(name, value) is value or isinstance(value, Secret)
        else Secret(value)
        for name, value in given.items()
    }


def unwrapped(given: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `wrapped`.

    Args:
        given: By name.
    """
    return {
        name: value.get_secret_value() if type(value) is Secret else value
        for name, value in given.items()
    }
