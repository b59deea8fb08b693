"""What a server is asked about itself: models, tokens, health, version."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from langchain_core.language_models import ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import ConfigDict, PrivateAttr

from langchain_toolstream.vllm.errors import VLLMError, VLLMNotFoundError
from langchain_toolstream.vllm.questions import (
    ContextLength,
    ModelCards,
    Prompt,
    PromptTokens,
    Question,
    TextOfTokens,
)
from langchain_toolstream.vllm.refusals import Response, clear_errors, not_vllm, public_url

ONE_LOOP = {"Connection": "close"}
# langchain-openai shares one pool of connections among all event loops, and one that outlives its
# loop breaks the next `asyncio.run`. A stream's connection is not used again anyway: it is closed
# at `[DONE]`, without waiting for what a server may send behind it.

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class VLLMModelCard:
    """A model that a server has: its own, an alias of it, or a LoRA adapter."""

    id: str
    """What requests name it."""
    max_model_len: int | None = None
    """How many tokens a request and its answer may have together; that of the parent for LoRA."""
    root: str | None = None
    """Where the weights come from: a name on a hub, or a path."""
    parent: str | None = None
    """The model that a LoRA adapter belongs to."""
    owned_by: str | None = None
    created: int | None = None
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inquiry(Generic[T]):
    """A question to the server, and how to read its answer.

    vLLM has some endpoints at its root (`/tokenize`, `/health`, `/version`). They are looked for
    beside `/v1`, behind the same prefix: `http://gateway/team/v1` has `http://gateway/team/health`.
    """

    endpoint: str
    read: Callable[[Any], T]  # raises ValueError, LookupError or TypeError for what is not vLLM's
    in_v1: bool = False  # there, every server at the right base URL has it
    body: Mapping[str, Any] | None = None
    retries: bool = True

    def ask(self, model: BaseChatOpenAI) -> T:
        """Send it where the model's requests go, with the same key, proxy, retries and errors.

        Args:
            model: Which has the clients.

        Raises:
            VLLMError: The server does not answer, or not as vLLM does.
        """
        model._ensure_sync_client_available()  # noqa: SLF001
        with self._clear_errors(model):
            return self._result(self._send(model, model.root_client))

    async def aask(self, model: BaseChatOpenAI) -> T:
        """`ask`, asynchronously."""
        with self._clear_errors(model):
            return self._result(await self._send(model, model.root_async_client, headers=ONE_LOOP))

    def _url(self, model: BaseChatOpenAI) -> str:
        base_url = str(model.openai_api_base).rstrip("/")
        return f"{base_url if self.in_v1 else base_url.removesuffix('/v1')}/{self.endpoint}"

    def _send(self, model: BaseChatOpenAI, client: Any, **options: Any) -> Any:
        if not self.retries:
            options["max_retries"] = 0
        if self.body is None:
            return client.get(self._url(model), cast_to=Response, options=options)
        return client.post(self._url(model), cast_to=Response, body=self.body, options=options)

    def _clear_errors(self, model: BaseChatOpenAI) -> AbstractContextManager[None]:
        endpoint = None if self.in_v1 else self._url(model)
        return clear_errors(str(model.openai_api_base), endpoint)

    def _result(self, response: Any) -> T:
        try:
            return self.read(response)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise not_vllm(response, response.text, str(response.url)) from error


class ServerMethods(BaseChatOpenAI):
    """The methods of `ChatVLLM` that ask its server about itself. Each may raise `VLLMError`."""

    model_config = ConfigDict(defer_build=True)

    _found_profile: ModelProfile | None = PrivateAttr(default=None)
    _found_model: str = PrivateAttr(default="")

    def list_models(self) -> list[VLLMModelCard]:
        """List the models that the server has, LoRA adapters and aliases included.

        Returns:
            A card for each, in the server's order: a model without a name uses the first.
        """
        return self._models(self._read_models).ask(self)

    async def alist_models(self) -> list[VLLMModelCard]:
        """`list_models`, asynchronously."""
        return await self._models(self._read_models).aask(self)

    def load_profile(self) -> ModelProfile:
        """Find out the model's context length, and set `profile`.

        The constructor sends no request, so `profile` is `None` until somebody calls this or
        `list_models`, or, where the model has no name, until the first request, which looks for
        one. A profile that was given is not touched.

        `profile` says no more than the server does: `max_input_tokens` is its `max_model_len`,
        which the answer has to fit into too. It does not say `structured_output`: vLLM forces a
        form on an answer, but with tools beside it most tool-call parsers cannot call any more, so
        `create_agent` does better by a tool.
        """
        return self._models(self._read_profile).ask(self)

    async def aload_profile(self) -> ModelProfile:
        """`load_profile`, asynchronously."""
        return await self._models(self._read_profile).aask(self)

    def health(self) -> None:
        """Make sure that the server is there and its engine is alive. Tries once."""
        _HEALTH.ask(self)

    async def ahealth(self) -> None:
        """`health`, asynchronously."""
        await _HEALTH.aask(self)

    def version(self) -> str:
        """Ask for the server's version, such as `0.32.0`."""
        return _VERSION.ask(self)

    async def aversion(self) -> str:
        """`version`, asynchronously."""
        return await _VERSION.aask(self)

    def get_token_ids(self, text: str) -> list[int]:
        """Tokenize a text, and add no special token, by the server's `/tokenize`."""
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return self._text(text).ask(self)

    async def aget_token_ids(self, text: str) -> list[int]:
        """`get_token_ids`, asynchronously."""
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return await self._text(text).aask(self)

    async def aget_num_tokens(self, text: str) -> int:
        """`get_num_tokens`, asynchronously."""
        return len(await self.aget_token_ids(text))

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """Count the tokens of a prompt exactly, by the server's `/tokenize`.

        The server puts messages and tools into the model's chat template, as it does for an answer,
        so this is the `input_tokens` that a request would report.

        Args:
            messages: What would be sent.
            tools: As for `bind_tools`.
            **kwargs: Fields of the request; `chat_template_kwargs`, `reasoning_effort`,
                `documents` and the like change the prompt.
        """
        return len(self._prompt(messages, tools, kwargs).ask(self))

    async def aget_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """`get_num_tokens_from_messages`, asynchronously."""
        return len(await self._prompt(messages, tools, kwargs).aask(self))

    # A trace has the name of a model from its beginning, so the name is looked for before that.
    # Where it is not found, the run goes on, asks again, and its trace says what is wrong.

    def _name_for_trace(self, kwargs: Mapping[str, Any]) -> None:
        if not (self.model_name or kwargs.get("model")):
            with suppress(VLLMError, ValueError):
                self._name_model(self._models(self._read_models, retries=False).ask(self))

    async def _aname_for_trace(self, kwargs: Mapping[str, Any]) -> None:
        if not (self.model_name or kwargs.get("model")):
            with suppress(VLLMError, ValueError):
                self._name_model(await self._models(self._read_models, retries=False).aask(self))

    def _find_model(self) -> str:
        return self._name_model(self.list_models())

    async def _afind_model(self) -> str:
        return self._name_model(await self.alist_models())

    def _name_model(self, cards: list[VLLMModelCard]) -> str:
        if not cards:
            base_url = public_url(str(self.openai_api_base))
            msg = f"{base_url} lists no model. Name one with model=..., or start vLLM with one."
            raise ValueError(msg)
        self.model_name = self._found_model = cards[0].id
        return self.model_name

    @property
    def _given_model(self) -> str:
        """The model's name, if it was not found at the server: another one may be there now."""
        return "" if self.model_name == self._found_model else self.model_name

    def _ask(self, question: Question) -> Any:
        """Answer a question: with `None` where the server cannot, and with the error it failed."""
        try:
            return self._inquiry(question).ask(self)
        except (VLLMError, ValueError) as error:
            return None if _is_missing(error) else error

    async def _aask(self, question: Question) -> Any:
        try:
            return await self._inquiry(question).aask(self)
        except (VLLMError, ValueError) as error:
            return None if _is_missing(error) else error

    def _inquiry(self, question: Question) -> _Inquiry[Any]:
        match question:
            case ModelCards():
                return self._models(self._read_models, retries=False)
            case ContextLength(model):
                return self._models(
                    lambda response: {one.id: one.max_model_len for one in _cards(response)}.get(
                        model
                    )
                )
            case PromptTokens(payload):
                body = {**_prompt_of(payload), "return_token_strs": True}
                return _Inquiry(endpoint="tokenize", body=body, read=_read_prompt, retries=False)
            case TextOfTokens(model, ids):
                body = {"model": model, "tokens": ids}
                return _Inquiry(endpoint="detokenize", body=body, read=_read_text)

    def _text(self, text: str) -> _Inquiry[list[int]]:
        return _tokens(self._given_model, {"prompt": text, "add_special_tokens": False})

    def _prompt(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None, kwargs: dict[str, Any]
    ) -> _Inquiry[list[int]]:
        kwargs.pop("allow_fetching_images", None)  # OpenAI's alone
        if tools is not None:
            kwargs["tools"] = [convert_to_openai_tool(tool) for tool in tools]
        payload = self._get_request_payload(list(messages), **kwargs)
        if payload["model"] == self._found_model:
            payload["model"] = ""  # the server's own, whichever that is by now
        return _tokens("", _prompt_of(payload))

    @staticmethod
    def _models(read: Callable[[Any], T], *, retries: bool = True) -> _Inquiry[T]:
        return _Inquiry(endpoint="models", read=read, in_v1=True, retries=retries)

    def _read_models(self, response: Any) -> list[VLLMModelCard]:
        cards = _cards(response)
        own = (card for card in cards if self._given_model in ("", card.id))
        if (card := next(own, None)) and self.profile is self._found_profile:
            self.profile = self._found_profile = _profile(card)
        return cards

    def _read_profile(self, response: Any) -> ModelProfile:
        cards = self._read_models(response)
        if self.profile is None:
            names = ", ".join(repr(card.id) for card in cards) or "none"
            base_url = public_url(str(self.openai_api_base))
            msg = f"{base_url} has no model {self.model_name!r}. Its models: {names}."
            raise VLLMNotFoundError(msg, response=response, body=None)
        return self.profile


def _read_health(response: Any) -> None:
    # The body is empty, but a gateway may say something; a web page is something else.
    if "html" in response.headers.get("content-type", ""):
        raise TypeError


def _read_text(response: Any) -> str:
    text = response.json()["prompt"]
    if not isinstance(text, str):
        raise TypeError
    return text


def _is_missing(error: Exception) -> bool:
    return getattr(error, "status_code", None) in (403, 404, 405, 501)


def _read_version(response: Any) -> str:
    version = response.json()["version"]
    if not isinstance(version, str):
        raise TypeError
    return version


def _prompt_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What of a chat request makes the prompt, as `/tokenize` takes it."""
    request = {**payload, **payload.get("extra_body", {})}
    template = dict(request.get("chat_template_kwargs") or {})
    # Fields of the chat request alone, which end in the template too.
    if (documents := request.get("documents")) is not None:
        template["documents"] = documents
    if (effort := request.get("reasoning_effort")) is not None:
        template.setdefault("enable_thinking", effort != "none")
        template["reasoning_effort"] = effort
    if template:
        request["chat_template_kwargs"] = template
    return {name: request[name] for name in _IN_PROMPT if request.get(name) not in (None, "")}


_LAST = 16
"""Tokens of a prompt that show whether it begins the model's thoughts."""


def _read_prompt(response: Any) -> Prompt:
    said = response.json()
    texts = said.get("token_strs") or []
    return Prompt(
        ids=[int(token) for token in said["tokens"]],
        end="".join(map(str, texts[-_LAST:])),
        room=_count(said.get("max_model_len")),
    )


def _tokens(model: str, body: Mapping[str, Any]) -> _Inquiry[list[int]]:
    return _Inquiry(
        endpoint="tokenize",
        body={"model": model, **body} if model else body,
        read=lambda response: [int(token) for token in response.json()["tokens"]],
    )


_IN_PROMPT = (
    "model",
    "messages",
    "tools",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "chat_template",
    "chat_template_kwargs",
    "media_io_kwargs",
    "mm_processor_kwargs",
)


def _cards(response: Any) -> list[VLLMModelCard]:
    found = response.json()["data"]
    lengths = {card["id"]: card.get("max_model_len") for card in found}
    return [
        VLLMModelCard(
            id=str(card["id"]),
            max_model_len=_count(card.get("max_model_len") or lengths.get(card.get("parent"))),
            root=_text(card.get("root")),
            parent=_text(card.get("parent")),
            owned_by=_text(card.get("owned_by")),
            created=_count(card.get("created")),
        )
        for card in found
    ]


def _count(value: object) -> int | None:
    return value if type(value) is int else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _profile(card: VLLMModelCard) -> ModelProfile:
    profile = ModelProfile(name=card.id, text_inputs=True, text_outputs=True, temperature=True)
    if card.max_model_len is not None:
        profile["max_input_tokens"] = card.max_model_len
    return profile


_HEALTH = _Inquiry(endpoint="health", read=_read_health, retries=False)
_VERSION = _Inquiry(endpoint="version", read=_read_version)
