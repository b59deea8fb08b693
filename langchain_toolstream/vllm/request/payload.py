"""The half of `ChatVLLM` that writes requests."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr, model_validator

from langchain_toolstream.schema.tool_schema import check_is_list
from langchain_toolstream.vllm.request.fields import FIELDS, NOT_STREAMED, VLLMFields, on_the_wire
from langchain_toolstream.vllm.request.guided import GUIDED, translate_guided
from langchain_toolstream.vllm.request.history import assistant_turn
from langchain_toolstream.vllm.request.media import with_media

_IN_BODY = FIELDS | GUIDED | {"extra_body"}
_LIMITS = ("max_completion_tokens", "max_tokens")


class VLLMRequests(VLLMFields, BaseChatOpenAI):
    """A chat model that can ask for all that vLLM can do.

    Every field may be given to the model, to `bind` and to a call; the later counts, and `None`
    takes it back. What `extra_body` names counts as if it had been given by name in that place.
    """

    parallel_tool_calls: bool | None = None
    """Whether the model may write several calls. Sent along with tools only."""

    max_completion_tokens: int | None = None
    """`max_tokens` by OpenAI's newer name; given both in one place, this one counts."""

    response_format: dict[str, Any] | None = None
    """What the answer has to look like, in OpenAI's words: `{"type": "json_object"}`, a
    `json_schema`, or vLLM's `structural_tag`."""

    stream_options: dict[str, Any] | None = None
    """What streams tell besides, such as `{"continuous_usage_stats": True}`. Where `stream_usage`
    is not off, the usage is asked for, too."""

    @model_validator(mode="before")
    @classmethod
    def _without_guided(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        found: dict[str, Any] = {}
        for place in ("extra_body", "model_kwargs"):
            if isinstance(holder := values.get(place), Mapping) and GUIDED & holder.keys():
                found |= {name: holder[name] for name in holder if name in GUIDED}
                if "structured_outputs" in holder:
                    found["structured_outputs"] = holder["structured_outputs"]
                values[place] = {name: holder[name] for name in holder if name not in GUIDED}
        found |= {name: values.pop(name) for name in GUIDED & values.keys()}
        if found and values.get("structured_outputs") is not None:
            found["structured_outputs"] = values["structured_outputs"]
        return {**values, **translate_guided(found)} if found else values

    @property
    def _default_params(self) -> dict[str, Any]:
        own = {
            "parallel_tool_calls": self.parallel_tool_calls,
            "max_completion_tokens": self.max_completion_tokens,
            "response_format": self.response_format,
            "stream_options": self.stream_options,
        }
        given = {name: value for name, value in own.items() if value is not None}
        return _veiled({**super()._default_params, **given, **on_the_wire(self)})

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        params: dict[str, Any] = super()._get_invocation_params(stop=stop, **_veiled(kwargs))
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key of LangChain's cache, where arguments of the call stand for those of the model.
        if "extra_body" in kwargs:
            kwargs["extra_body"] = {**(self.extra_body or {}), **(kwargs["extra_body"] or {})}
        return super()._get_llm_string(stop=stop, **_veiled(kwargs))

    def _extra_body(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into the body of the request beside OpenAI's fields."""
        body = {name: getattr(self, name) for name in FIELDS} | dict(self.extra_body or {})
        given: dict[str, Any] = {}
        for name, value in kwargs.items():  # those of `bind` come before those of the call
            if name == "extra_body":
                given |= value or {}
            elif name in _IN_BODY:
                given[name] = value
        body |= translate_guided(given)
        known = {name: body.pop(name) for name in FIELDS}
        return body | on_the_wire(VLLMFields.model_validate(known))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tell the model which tools it may call.

        Args:
            tools: A `ToolSet`, or a list of tools, functions, schemas and their kind.
            tool_choice: `"auto"`, `"none"`, `"required"` (also `"any"` or `True`), or the name of
                a tool.
            strict: Whether arguments are held to the schema while they are written.
            parallel_tool_calls: Whether one message may make several calls.
            response_format: The form of an answer without a call.
            **kwargs: More fields of the request.

        Returns:
            The model with the tools.

        Raises:
            TypeError: There is no list of tools, but one tool or something else.
        """
        check_is_list(tools)
        return super().bind_tools(
            tools,
            tool_choice=tool_choice,
            strict=strict,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            **kwargs,
        )

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        messages = [with_media(one) for one in self._convert_input(input_).to_messages()]
        others = {name: value for name, value in kwargs.items() if name not in _IN_BODY}
        payload: dict[str, Any] = super()._get_request_payload(messages, stop=stop, **others)
        payload["messages"] = [
            assistant_turn(message, sent) if isinstance(message, AIMessage) else sent
            for message, sent in zip(messages, payload["messages"], strict=True)
        ]
        for name in FIELDS & payload.keys():
            del payload[name]
        payload["extra_body"] = self._extra_body(kwargs)
        if not payload["extra_body"]:
            del payload["extra_body"]
        if payload.get("response_format", ...) is None:
            del payload["response_format"]
        _settle_limit(payload, kwargs)
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
    limits = [body[name] for name in _LIMITS if isinstance(body.get(name), int)]
    return limits[0] if limits else None


def _settle_limit(payload: dict[str, Any], kwargs: Mapping[str, Any]) -> None:
    """One limit, by the name that was used last: of two, vLLM takes the newer name."""
    given = kwargs if any(name in kwargs for name in _LIMITS) else dict(payload)
    for name in _LIMITS:
        payload.pop(name, None)
    for name in _LIMITS:
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


def _veiled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a trace, where no secret may stand."""
    veiled = dict(fields)
    if isinstance(salt := veiled.get("cache_salt"), str):
        veiled["cache_salt"] = SecretStr(salt)
    if isinstance(body := veiled.get("extra_body"), Mapping):
        veiled["extra_body"] = _veiled(body)
    return veiled
