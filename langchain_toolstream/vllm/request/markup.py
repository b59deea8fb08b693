"""Requests whose answers the client reads itself: what makes the server give the model's text."""

import json
from collections.abc import Mapping
from typing import Any

from langchain_toolstream.core.markup import check_format
from langchain_toolstream.core.markup.tags import structural_tag, style_of, thoughts_end
from langchain_toolstream.vllm.request.payload import token_limit
from langchain_toolstream.vllm.request.strict import check_schemas


def wants_calls(payload: Mapping[str, Any]) -> bool:
    """Whether a request allows the model to call tools.

    Args:
        payload: What the SDK is given.
    """
    return bool(payload.get("tools")) and payload.get("tool_choice") != "none"


def has_constraint(payload: Mapping[str, Any]) -> bool:
    """Whether a request says what the text of the answer has to look like.

    Args:
        payload: What the SDK is given.
    """
    request = {**payload, **(payload.get("extra_body") or {})}
    return bool(request.get("response_format") or request.get("structured_outputs") is not None)


def made_strict(tool: Any) -> Any:
    """Mark a tool that is a dict as strict, as langchain-core marks all others.

    Args:
        tool: Whatever `bind_tools` takes.
    """
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool
    return {**tool, "function": {"strict": True, **function}}


def ask_for_text(
    payload: dict[str, Any], parser: str, *, logprobs: bool, thoughts_begun: bool
) -> None:
    """Ask for what the model writes, instead of what the server's parser makes of it.

    The tools are shown to the model, and `tool_choice="none"` keeps most of the server's parsers
    off its text. Those that are not kept off cannot touch the tokens in `logprobs`. What
    `tool_choice` and `strict` would have done is done by a structural tag.

    Args:
        payload: What the SDK is given.
        parser: The name of the format, or `"auto"`.
        logprobs: Whether to ask for the tokens too.
        thoughts_begun: Whether the prompt has begun the model's thoughts.

    Raises:
        ValueError: There is no such format, no structural tag can say how it writes, or the request
            has another constraint already.
    """
    check_format(parser)
    choice = payload.get("tool_choice")
    tools = payload["tools"]
    body = payload["extra_body"] = dict(payload.get("extra_body") or {})
    one_call = payload.pop("parallel_tool_calls", None) is False
    forced = choice not in (None, "auto")
    strict = any(tool.get("function", {}).get("strict") is True for tool in tools)
    if isinstance(choice, Mapping):
        name = choice.get("function", {}).get("name")
        tools = [tool for tool in tools if tool.get("function", {}).get("name") == name]
        one_call = True
    if forced or one_call or strict:
        if has_constraint(payload):
            msg = (
                "tool_choice, parallel_tool_calls=False and strict=True are a structural tag where "
                f"the client reads calls (tool_call_parser={parser!r}), and the server takes one "
                "constraint: leave out structured_outputs and response_format."
            )
            raise ValueError(msg)
        check_schemas(tools, style_of(parser))
        tag = structural_tag(
            parser,
            tools,
            at_least_one=forced,
            stop_after_first=one_call,
            thoughts_end=thoughts_end(parser) if thoughts_begun else None,
        )
        body["structured_outputs"] = {"structural_tag": json.dumps(tag)}
    payload["tool_choice"] = "none"
    body.setdefault("skip_special_tokens", False)
    if logprobs:
        payload["logprobs"] = True


_OF_COMPLETIONS = frozenset(
    (
        "extra_headers", "extra_query", "frequency_penalty", "logit_bias", "max_tokens", "model",
        "n", "presence_penalty", "seed", "stop", "stream", "stream_options", "temperature",
        "timeout", "top_p", "user",
    )
)  # fmt: skip
_OF_CHAT = frozenset(
    (
        "add_generation_prompt", "add_special_tokens", "chat_template", "chat_template_kwargs",
        "continue_final_message", "documents", "echo", "include_reasoning", "media_io_kwargs",
        "mm_processor_kwargs", "thinking_token_budget", "truncate_prompt_tokens",
        "truncation_side",
    )
)  # fmt: skip


def show_tools(payload: dict[str, Any]) -> None:
    """Show the tools where the server hides them under `tool_choice="none"`.

    It does so where it was started with `--exclude-tools-when-tool-choice-none`. Variables of the
    chat template are passed on in any case.

    Args:
        payload: What the SDK is given.
    """
    body = payload["extra_body"]
    body["chat_template_kwargs"] = {
        "tools": payload["tools"],
        **(body.get("chat_template_kwargs") or {}),
    }


def media_in(payload: Mapping[str, Any]) -> str | None:
    """Say what the messages of a request hold beside text, which tokens cannot say.

    Args:
        payload: What the SDK is given.
    """
    contents = [one.get("content") for one in payload.get("messages") or ()]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    kinds = [part.get("type") for part in parts if isinstance(part, Mapping)]
    return next((str(kind or "a part without a type") for kind in kinds if kind != "text"), None)


def as_completion(
    payload: Mapping[str, Any], prompt: list[int], room: int | None
) -> dict[str, Any]:
    """Write a chat request as one to `/v1/completions`.

    Args:
        payload: The chat request.
        prompt: The tokens that the chat template makes of it.
        room: How many tokens the prompt and the answer may have together: where the request names
            no limit, the endpoint would stop after 16.
    """
    made = {name: value for name, value in payload.items() if name in _OF_COMPLETIONS}
    body = payload.get("extra_body") or {}
    limit = token_limit(payload)
    if limit is None and room is not None:
        limit = room - len(prompt)
    if limit is not None:
        made["max_tokens"] = limit
    extra = {name: value for name, value in body.items() if name not in _OF_CHAT}
    if payload.get("response_format"):
        extra["response_format"] = payload["response_format"]
    return {**made, "prompt": prompt, "extra_body": extra}
