"""What is sent: the request that langchain-openai writes, as vLLM takes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_toolstream.schema.tool_schema import takes_arguments
from langchain_toolstream.vllm.request.fields import (
    FIELDS,
    NOT_STREAMED,
    RequestFields,
    on_the_wire,
)
from langchain_toolstream.vllm.request.guided import GUIDED, translate_guided
from langchain_toolstream.vllm.request.history import assistant_turn, encodable

_IN_BODY = FIELDS | GUIDED | {"extra_body"}
LIMITS = ("max_completion_tokens", "max_tokens")


def openai_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what langchain-openai does not know.

    Args:
        given: Arguments of a call, by name.
    """
    return {name: value for name, value in given.items() if name not in _IN_BODY}


def extra_body(
    own: RequestFields, own_extra: Mapping[str, Any] | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """What goes into the body of a request beside OpenAI's fields.

    Args:
        own: The model's fields.
        own_extra: The model's `extra_body`.
        given: Arguments of `bind` and of the call, by name, the call's last.

    Raises:
        ValueError: A field is none of vLLM's, or has a wrong value.
    """
    body = {name: getattr(own, name) for name in FIELDS} | dict(own_extra or {})
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name == "extra_body":
            fields |= value or {}
        elif name in _IN_BODY:
            fields[name] = value
    body |= translate_guided(fields)
    known = {name: body.pop(name) for name in FIELDS}
    return body | on_the_wire(RequestFields.model_validate(known))


def vllm_payload(
    payload: dict[str, Any],
    messages: Sequence[BaseMessage],
    given: Mapping[str, Any],
    body: Mapping[str, Any],
) -> dict[str, Any]:
    """Rewrite a request of langchain-openai's as vLLM takes it.

    Args:
        payload: The request.
        messages: What it was made of.
        given: Arguments of the call, by name.
        body: See `extra_body`.

    Raises:
        ValueError: `tool_choice` names no tool of the request.
    """
    messages_sent = [
        assistant_turn(message, sent) if isinstance(message, AIMessage) else sent
        for message, sent in zip(messages, payload["messages"], strict=True)
    ]
    payload = {name: value for name, value in payload.items() if name not in _IN_BODY}
    payload["messages"] = encodable(messages_sent)
    if body:
        payload["extra_body"] = body
    if payload.get("response_format", ...) is None:
        del payload["response_format"]
    _settle_limit(payload, given)
    _settle_tools(payload)
    return payload


def unstreamed(payload: Mapping[str, Any]) -> bool:
    """Whether a request asks for what vLLM gives only in a body that is not streamed.

    Args:
        payload: What the SDK is given.
    """
    return not NOT_STREAMED.isdisjoint(payload.get("extra_body", ()))


def token_limit(payload: Mapping[str, Any]) -> int | None:
    """How many tokens a request allows.

    Args:
        payload: What the SDK is given.

    Returns:
        The number, `None` if it does not say.
    """
    body = {**payload, **payload.get("extra_body", {})}
    limits = [body[name] for name in LIMITS if isinstance(body.get(name), int)]
    return limits[0] if limits else None


def without_parameters(payload: Mapping[str, Any]) -> frozenset[str]:
    """Find the tools of a request that have no parameters.

    Args:
        payload: What the SDK is given.

    Returns:
        Their names. vLLM takes two tools of one name; the last one decides.
    """
    tools = [tool.get("function", tool) for tool in payload.get("tools", ())]
    schemas = {str(tool.get("name")): tool.get("parameters") or {} for tool in tools}
    return frozenset(name for name, schema in schemas.items() if not takes_arguments(schema))


def _settle_limit(payload: dict[str, Any], kwargs: Mapping[str, Any]) -> None:
    """One limit, by the name that was used last: of two, vLLM takes the newer name."""
    given = kwargs if any(name in kwargs for name in LIMITS) else dict(payload)
    for name in LIMITS:
        payload.pop(name, None)
    for name in LIMITS:
        if given.get(name) is not None:
            payload[name] = given[name]
            return


def _settle_tools(payload: dict[str, Any]) -> None:
    """Write tools and their choice as vLLM takes them.

    It answers 400 to an empty list of tools, to "any" and to a boolean, and drops the calls of an
    answer that is not streamed under an explicit null.
    """
    if not payload.get("tools", True):
        del payload["tools"]
        payload.pop("tool_choice", None)
    if "tools" not in payload:
        payload.pop("parallel_tool_calls", None)
    choice = payload.pop("tool_choice", None)
    if choice is None or choice is False:
        return
    if choice is True or choice == "any":
        choice = "required"
    elif isinstance(choice, str) and choice not in ("auto", "none", "required"):
        names = [_name(tool) for tool in payload.get("tools", ())]
        if choice not in names:
            bound = ", ".join(map(repr, names)) or "none"
            msg = f"tool_choice={choice!r} is no tool of the request. Its tools: {bound}."
            raise ValueError(msg)
        choice = {"type": "function", "function": {"name": choice}}
    payload["tool_choice"] = choice


def _name(tool: Mapping[str, Any]) -> Any:
    return tool.get("function", tool).get("name")
