"""What others see of a model and its calls: traces, the keys of caches, dumps, `repr`."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, cast

from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict

from langchain_toolstream.vllm.request.fields import as_json
from langchain_toolstream.vllm.request.secrets import (
    all_shown,
    digested,
    secret_names,
    shown,
    unwrapped,
    wrapped,
)
from langchain_toolstream.vllm.response.answer import PROVIDER
from langchain_toolstream.vllm.server import ServerMethods


class TracedModel(ServerMethods):
    """A model whose secrets stand in no trace, key, dump or `repr`, by `request.secrets`."""

    model_config = ConfigDict(defer_build=True)

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Where secrets come from, by field: the key, and what else may not be shown."""
        dumped = [name for name, field in type(self).model_fields.items() if not field.exclude]
        fields = {name: getattr(self, name) for name in dumped if name in self.model_fields_set}
        return {"openai_api_key": "VLLM_API_KEY", **secret_names(fields)}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumpd` and `load` work."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """The module that `load` takes the class from."""
        return ["langchain_toolstream", "vllm", "chat_models"]

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Write the model for `dumpd`; what may not be shown is a secret with a name."""
        made = super().to_json()
        if made["type"] == "constructor":
            made["kwargs"] = {name: as_json(value) for name, value in made["kwargs"].items()}
        return made

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what may be shown."""
        for name, value in super().__repr_args__():
            yield name, shown(name or "", value)

    def bind(self, **kwargs: Any) -> Any:
        """Bind arguments; those that may not be shown are wrapped."""
        return super().bind(**wrapped(kwargs))

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return all_shown(super()._identifying_params)

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return all_shown(super()._get_invocation_params(stop=stop, **unwrapped(kwargs)))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key of LangChain's cache, where arguments of the call stand for those of the model.
        kwargs = unwrapped(kwargs)
        if "extra_body" in kwargs:
            kwargs["extra_body"] = {**(self.extra_body or {}), **(kwargs["extra_body"] or {})}
        params = super()._get_invocation_params(stop=stop, **kwargs)
        return str(sorted(digested(params).items()))

    def generate(self, *args: Any, **kwargs: Any) -> LLMResult:  # noqa: D102
        self._name_for_trace(kwargs)
        return super().generate(*args, **wrapped(kwargs))

    async def agenerate(self, *args: Any, **kwargs: Any) -> LLMResult:  # noqa: D102
        await self._aname_for_trace(kwargs)
        return await super().agenerate(*args, **wrapped(kwargs))

    def stream(  # noqa: D102
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        self._name_for_trace(kwargs)
        yield from super().stream(input, config, **wrapped(kwargs))

    def astream(  # noqa: D102
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        stream = super().astream(input, config, **wrapped(kwargs))
        return stream if self.model_name else self._anamed(stream, kwargs)

    async def _anamed(
        self, stream: AsyncIterator[AIMessageChunk], kwargs: Mapping[str, Any]
    ) -> AsyncIterator[AIMessageChunk]:
        await self._aname_for_trace(kwargs)
        async with aclosing(cast("AsyncGenerator[AIMessageChunk]", stream)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chat_model_stream_v3(self, *args: Any, **kwargs: Any) -> Any:
        self._name_for_trace(kwargs)
        return super()._chat_model_stream_v3(*args, **wrapped(kwargs))

    async def _achat_model_stream_v3(self, *args: Any, **kwargs: Any) -> Any:
        await self._aname_for_trace(kwargs)
        return await super()._achat_model_stream_v3(*args, **wrapped(kwargs))
