"""`ChatVLLM`: a chat model served by vLLM."""

import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import aclosing, closing
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_protocol.protocol import MessagesData
from pydantic import ConfigDict, Field, SecretStr, model_validator

from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.output.protocol_events import ProtocolBuilder
from langchain_toolstream.vllm.refusals import public_url
from langchain_toolstream.vllm.request.payload import unstreamed
from langchain_toolstream.vllm.response.answer import PROVIDER
from langchain_toolstream.vllm.response.details import add_usage
from langchain_toolstream.vllm.response.exchange import VLLMExchange, reading_of

DEFAULT_BASE = "http://localhost:8000/v1"
"""Where `vllm serve` listens when it is not told otherwise."""

NO_KEY = "EMPTY"
"""What vLLM's users send where no key is wanted: the SDK insists on one."""


class ChatVLLM(VLLMExchange):
    """Chat model served by vLLM, with tool calls that are calls.

    Setup:
        Start a server, and tell it how the model writes tool calls:

        ```bash
        vllm serve Qwen/Qwen3-8B --enable-auto-tool-choice --tool-call-parser hermes
        ```

        `ChatVLLM()` finds it at `http://localhost:8000/v1`, and its model at `/v1/models`.

    Key init args:
        base_url:
            Where the server is, ending in `/v1`. Environment: `VLLM_API_BASE`.
        api_key:
            What the server was started with as `--api-key`. Environment: `VLLM_API_KEY`.
            `EMPTY` if there is none.
        model:
            Name of the model; unset, the first that the server has.
        temperature, max_tokens, top_p, seed, stop, n, reasoning_effort, ...:
            As in `ChatOpenAI`.
        top_k, min_p, structured_outputs, chat_template_kwargs, priority, ...:
            All fields of vLLM's own, by its own names: see the list of fields.
        extra_body:
            Fields that this class does not know.

        All of them can be given to the model, to `bind` and to a call (`invoke(..., top_k=5)`).
        The later counts, and `None` takes a field back. What `extra_body` names counts as if it
        had been given by name in that place; at the model itself, `extra_body` counts.

        No `OPENAI_*` environment variable has any influence.

    Instantiate:
        ```python
        from langchain_toolstream import ChatVLLM

        llm = ChatVLLM(temperature=0)  # at http://localhost:8000/v1, or where VLLM_API_BASE says
        ```

    Invoke, stream, async:
        As every chat model. `invoke` streams too, inside: the non-streaming answer of vLLM hides
        that it was cut (`finish_reason` says `tool_calls`, and the cut parameter is missing).
        Closing an iterator early closes the HTTP response, and the server stops generating.

        Async, deltas that are ready together leave as one chunk: `coalesce=False` gives one chunk
        for each event of the server. Where nothing comes for `stream_chunk_timeout` seconds (120;
        `None` for no limit), the stream raises; `timeout` is for the request, as in `ChatOpenAI`,
        and counts between two reads where it is shorter.

        Only what vLLM does not stream is asked for without: `prompt_logprobs`,
        `kv_transfer_params` and `ec_transfer_params`. `stream` then gives the whole answer at
        once. `disable_streaming=True` or `"tool_calling"`, `streaming=False`, and `stream=False`
        for a call mean for the request what they mean for LangChain's methods. In an answer that
        was not streamed and used up `max_tokens`, the last tool call is not trusted.

    Tool calling:
        ```python
        def multiply(a: int, b: int) -> int:
            \"\"\"Multiply two integers.\"\"\"
            return a * b

        (call,) = llm.bind_tools([multiply]).invoke("What is 3 * 12?").tool_calls
        assert (call["name"], call["args"]) == ("multiply", {"a": 3, "b": 12})
        ```

        A call that was cut off, is not strict JSON, names no bound tool, does not fit the tool's
        schema or was contradicted by later text is in `invalid_tool_calls`, on every path. `invoke`
        fills its `error`; behind a sum of streamed chunks, where langchain-core drops it, the
        reason is in `response_metadata["invalid_tool_calls"]` by the call's id, and `args` ends in
        `]!`, a mark that no reader of JSON gets over, so nothing behind takes the call for one.

    Protocol events:
        `stream_events(version="v3")` finishes each call when its arguments are complete and those
        of a later call are being written, which is before the message is confirmed: it may still
        break off, and then the stream raises. What must not run for nothing waits for
        `message-finish`.

    Structured output:
        `with_structured_output` by a schema, a regular expression, a choice or a grammar, each of
        them a constraint of vLLM's:

        ```python
        greeting = llm.with_structured_output(r"Hello! .*", method="regex")
        assert greeting.invoke("Hello!") == "Hello! How can I help you today?"
        ```

        An answer that was cut off or does not fit is never returned.

    Reasoning:
        What the model thought is in `additional_kwargs["reasoning_content"]` and, as a block, in
        `content_blocks`.

    Token usage:
        `usage_metadata`, streamed (in the last chunk) and not, with cached and reasoning tokens
        where the server counts them. With `n` above 1 it is that of all choices, and the first
        one has it; `generate` returns all choices, a stream shows the first.

    Response metadata:
        The same after `invoke` and in the sum of a stream: `finish_reason`, `stop_reason`,
        `model_name`, `id`, `system_fingerprint`, `token_usage` as the server sent it, and, where
        they were asked for, `logprobs`, `token_ids`, `prompt_token_ids`, `prompt_text`,
        `prompt_logprobs`, `kv_transfer_params`, `metrics`.

    Server:
        `list_models`, `health`, `version`; `load_profile` for the context length, in `profile`;
        `get_num_tokens_from_messages` counts a prompt and its tools exactly. Each has an async
        twin.

        ```python
        if llm.profile is None:
            llm.load_profile()
        ```

    History:
        Reasoning is sent back as `reasoning`. An invalid tool call is sent with its text under the
        one argument `invalid_arguments`: vLLM would make `{}` of it.

    Raises:
        VLLMError: The server refused the request, cannot be reached, or its answer broke off or
            was lost; see `vllm.errors`. Each kind is the SDK's and langchain-core's error too.
        StreamInterruptedError: Likewise, where the answer had begun. `partial_message` has what had
            come, its unfinished calls among the invalid ones. `max_retries` counts before that
            alone: an answer that has begun is never asked for again.
    """

    model_config = ConfigDict(defer_build=False)

    model_name: str = Field(default="", alias="model")
    """Name of the model. Empty: the first that the server has."""

    openai_api_key: SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None = Field(
        alias="api_key", default=None
    )
    """What the server was started with as `--api-key`.

    Left out: the environment variable `VLLM_API_KEY`, else `EMPTY`.
    """

    openai_api_base: str | None = Field(alias="base_url", default=None)
    """Where the server is, ending in `/v1`.

    Left out: the environment variable `VLLM_API_BASE`, else `http://localhost:8000/v1`.
    """

    openai_proxy: str | None = None
    """HTTP proxy to reach the server by."""

    stream_usage: bool | None = True
    """Whether to ask for the usage of tokens when streaming."""

    use_responses_api: bool | None = False

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Where secrets come from, by field."""
        return {"openai_api_key": "VLLM_API_KEY"}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is no secret."""
        for name, value in super().__repr_args__():
            yield name, public_url(value) if name == "openai_api_base" and value else value

    @property
    def _llm_type(self) -> str:
        return "vllm-chat"

    @model_validator(mode="before")
    @classmethod
    def validate_temperature(cls, values: dict[str, Any]) -> Any:
        """Leave the temperature alone: the base class has rules for names of OpenAI's models."""
        return values

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Build the clients, without what the SDK takes from `OPENAI_*` variables."""
        self.openai_api_base = self.openai_api_base or os.getenv("VLLM_API_BASE") or DEFAULT_BASE
        if not self.openai_api_key:
            self.openai_api_key = SecretStr(os.getenv("VLLM_API_KEY") or NO_KEY)
        organization = self.openai_organization or None
        ours = [name for name in ("root_client", "root_async_client") if not getattr(self, name)]
        super().validate_environment()  # type: ignore[operator]
        self.openai_organization = organization
        for name in ours:
            client = getattr(self, name)
            if client is not None:
                client.organization = organization
                client.project = client.admin_api_key = client.webhook_secret = None
                client._custom_headers = dict(self.default_headers or {})  # noqa: SLF001
                client._ambient_authorizations = frozenset()  # noqa: SLF001
        return self

    def _resolve_model_profile(self) -> ModelProfile | None:
        return None  # `load_profile` asks the server

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        for output in llm_outputs:
            usage = add_usage(usage, (output or {}).get("token_usage", {}))
        return {"token_usage": usage, "model_name": self.model_name}

    def _payload(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream_usage: bool | None,  # noqa: FBT001
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        is_off = self._streaming_disabled(**kwargs)
        options = kwargs.get("stream_options", self.stream_options) or {}
        if self._should_stream_usage(stream_usage, stream_options=options):
            options = {**options, "include_usage": True}
        kwargs = {**kwargs, "stream": True, "stream_options": options}
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        if is_off or unstreamed(payload):
            payload["stream"] = False
        if not (payload["stream"] and options):
            del payload["stream_options"]
        return payload

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload)
        builder = ChunkBuilder(reading)
        for events in self._read(payload, reading):
            for chunk in builder.build(events):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload)
        builder = ChunkBuilder(reading)
        async with aclosing(self._aread(payload, reading)) as batches:
            async for events in batches:
                for chunk in builder.build(events):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload, passed=True)
        builder = ProtocolBuilder(reading, run_id=run_manager.run_id if run_manager else None)
        with closing(self._read(payload, reading)) as batches:
            for events in batches:
                yield from builder.build(events)

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload, passed=True)
        builder = ProtocolBuilder(reading, run_id=run_manager.run_id if run_manager else None)
        async with aclosing(self._aread(payload, reading)) as batches:
            async for events in batches:
                for event in builder.build(events):
                    yield event

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload)
        for _ in self._read(payload, reading):
            pass
        return reading.result()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._payload(messages, stop, stream_usage, kwargs)
        reading = reading_of(payload)
        async for _ in self._aread(payload, reading):
            pass
        return reading.result()
