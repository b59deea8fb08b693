"""Requests for the rest of an answer that broke off.

The first request is sent again, with the tokens of the prompt and of the answer so far in the place
of what the chat template would make (`kv_transfer_params`, made for disaggregated serving): all
other fields stay in force, and the answer has the same form. Where a server does not heed that,
`/v1/completions` goes on behind the same tokens.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_toolstream.core.markup.formats import Thoughts
from langchain_toolstream.core.markup.rest import rest_of_choice, rest_of_json, rest_of_tag
from langchain_toolstream.vllm.request.markup import as_completion, media_in
from langchain_toolstream.vllm.request.payload import LIMITS


def obstacle(payload: Mapping[str, Any], *, client_reads: bool) -> str | None:
    """Say why an answer to a request cannot go on in the middle, and what would help.

    Args:
        payload: The request, as the SDK's client takes it.
        client_reads: Whether the client reads the calls out of the text.
    """
    request = {**payload, **(payload.get("extra_body") or {})}
    if request.get("tools") and not client_reads:
        if request.get("tool_choice") == "none":
            return "a parser of the server reads the text: leave the tools out where none is meant"
        return (
            "the server's tool-call parser has taken the calls out of the text, which cannot be "
            "undone: let the client read them by tool_call_parser=..."
        )
    if kind := media_in(request):
        return f"the messages hold more than text ({kind}), which cannot be sent as tokens"
    hindrances = {
        "it has more than one choice: leave n out": request.get("n") not in (None, 1),
        "beams have no single text: leave use_beam_search out": request.get("use_beam_search"),
        "with echo=True the server takes no tokens: leave echo out": request.get("echo"),
        "include_reasoning=False hides the tokens: leave it out, and do not show the reasoning": (
            request.get("include_reasoning") is False
        ),
    }
    return next((why for why, holds in hindrances.items() if holds), None)


def text_obstacle(payload: Mapping[str, Any], *, kind: str) -> str | None:
    """Say why the rest of an answer cannot come from `/v1/completions`.

    Args:
        payload: The first request.
        kind: Where the last text stood: `content`, `reasoning` or `tokens`.
    """
    if kind == "reasoning":
        return "that does not tell thoughts from text"
    if kind != "tokens" and payload.get("logprobs"):
        return "that writes logprobs in another form"
    return None


def ask_for_ids(payload: dict[str, Any]) -> None:
    """Ask for the tokens of the prompt and of the answer.

    Args:
        payload: The request.
    """
    payload["extra_body"] = {**(payload.get("extra_body") or {}), "return_token_ids": True}


def again(payload: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Write the same request once more.

    Args:
        payload: The first request.
        attempt: How many there were before this one.
    """
    body = dict(payload.get("extra_body") or {})
    if body.get("request_id"):
        body["request_id"] = f"{body['request_id']}-{attempt}"  # has to differ for each request
    return {**payload, "extra_body": body} if body else dict(payload)


def rest_of_chat(
    payload: Mapping[str, Any], prompt: Sequence[int], answer: Sequence[int], attempt: int
) -> dict[str, Any]:
    """Write the request for the rest of a chat answer.

    Args:
        payload: The first request.
        prompt: The tokens of its prompt.
        answer: The tokens of the answer that are kept.
        attempt: As for `again`.
    """
    made = again(payload, attempt)
    body = made["extra_body"]
    for name in ("truncate_prompt_tokens", "truncation_side"):
        body.pop(name, None)
    body["kv_transfer_params"] = {"prompt_token_ids": [*prompt, *answer]}
    _keep_limits(made, len(answer))
    return made


def rest_of_text(
    payload: Mapping[str, Any],
    prompt: Sequence[int],
    answer: Sequence[int],
    attempt: int,
    *,
    room: int | None,
) -> dict[str, Any]:
    """Write the request to `/v1/completions` for the rest of a chat answer's text.

    Args:
        payload: The first request.
        prompt: The tokens of its prompt.
        answer: The tokens of the answer that are kept.
        attempt: As for `again`.
        room: How many tokens the model's context has, where the request names no limit: the
            endpoint would stop after 16.
    """
    chat = again(payload, attempt)
    _keep_limits(chat, len(answer))
    return as_completion(chat, [*prompt, *answer], room)


def rest_of_prompt(
    payload: Mapping[str, Any], prompt: Sequence[int], answer: Sequence[int], attempt: int
) -> dict[str, Any]:
    """Write the request for the rest of an answer that came from `/v1/completions`.

    Args:
        payload: The first request.
        prompt: The tokens of its prompt.
        answer: The tokens of the answer that are kept.
        attempt: As for `again`.
    """
    made = again(payload, attempt)
    _keep_limits(made, len(answer))
    return {**made, "prompt": [*prompt, *answer]}


def hold_to_rest(payload: dict[str, Any], text: str, thoughts: Thoughts) -> None:
    """Hold an answer to the rest of its constraint: the constraint itself would start anew.

    Args:
        payload: The request for the rest; it is changed.
        text: What has come of the answer, with the thoughts, if they stand in the text.
        thoughts: What stands around them.

    Raises:
        ValueError: The rest cannot be said; the message has why.
    """
    body = dict(payload.get("extra_body") or {})
    request = {**payload, **body}
    asked = request.get("response_format") or {}
    held = request.get("structured_outputs") or {}
    if not text.strip() or not (held or asked.get("type") not in ("text", None)):
        return
    try:
        tag = _rest(asked, held, text)
    except ValueError:
        # A tag may hold the thoughts too. Any other constraint begins behind them.
        is_tag = asked.get("type") == "structural_tag" or held.get("structural_tag") is not None
        _, end, behind = text.partition(thoughts.ends[0])
        if is_tag or not (end or text.lstrip().startswith(thoughts.opening)):
            raise
        if not behind.strip():
            return
        tag = _rest(asked, held, behind)
    payload.pop("response_format", None)
    body.pop("response_format", None)
    body["structured_outputs"] = {"structural_tag": json.dumps(tag)}
    payload["extra_body"] = body


def _rest(asked: Mapping[str, Any], held: Mapping[str, Any], text: str) -> dict[str, Any]:
    match asked.get("type"):
        case "json_schema":
            return rest_of_json(asked["json_schema"].get("schema") or {}, text)
        case "structural_tag" if "format" in asked:
            return rest_of_tag(asked, text)
        case _:
            return _rest_of_held(held, text)


def _rest_of_held(held: Mapping[str, Any], text: str) -> dict[str, Any]:
    if (schema := held.get("json")) is not None:
        schema = json.loads(schema) if isinstance(schema, str) else schema
        return rest_of_json(schema, text, compact=held.get("disable_any_whitespace") or None)
    if (tag := held.get("structural_tag")) is not None:
        return rest_of_tag(json.loads(tag) if isinstance(tag, str) else tag, text)
    if choices := held.get("choice"):
        return rest_of_choice(choices, text)
    name = next((name for name in held if held[name] is not None), "response_format")
    msg = f"the rest of {name} cannot be written as a constraint"
    raise ValueError(msg)


def _keep_limits(payload: dict[str, Any], kept: int) -> None:
    """Count what is there already among the tokens that are allowed and wanted."""
    body = payload["extra_body"]
    for holder in (payload, body):
        for name in LIMITS:
            if isinstance(holder.get(name), int):
                holder[name] -= kept
    if isinstance(least := body.get("min_tokens"), int):
        body["min_tokens"] = max(0, least - kept)
