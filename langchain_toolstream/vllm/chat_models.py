"""`ChatVLLM`: a chat model served by vLLM."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from functools import reduce
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_protocol.protocol import MessagesData
from pydantic import ConfigDict, SecretStr, model_validator

from langchain_toolstream.core.events import Event
from langchain_toolstream.schema.tool_like import check_is_list
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.output.protocol_events import ProtocolBuilder
from langchain_toolstream.vllm.questions import aanswered, answered
from langchain_toolstream.vllm.request.fields import OPENAI_FIELDS, VLLMFields, on_the_wire
from langchain_toolstream.vllm.request.guided import without_guided
from langchain_toolstream.vllm.request.markup import has_constraint, made_strict, wants_calls
from langchain_toolstream.vllm.request.media import with_media
from langchain_toolstream.vllm.request.payload import (
    extra_body,
    openai_fields,
    unstreamed,
    vllm_payload,
)
from langchain_toolstream.vllm.request.secrets import unwrapped, urls_hidden
from langchain_toolstream.vllm.response.details import add_usage
from langchain_toolstream.vllm.response.left_in_text import LeftInText
from langchain_toolstream.vllm.response.resume import Resumption
from langchain_toolstream.vllm.response.roads import ROAD_ERRORS, ClientReading
from langchain_toolstream.vllm.response.stream import AnswerStream, answer_reader
from langchain_toolstream.vllm.structured.methods import Method, structured_request
from langchain_toolstream.vllm.traced import TracedModel

DEFAULT_BASE = "http://localhost:8000/v1"
"""Where `vllm serve` listens by default."""

NO_KEY = "EMPTY"
"""What vLLM's users send where no key is wanted: the SDK insists on one."""


class ChatVLLM(VLLMFields, TracedModel):
    """Chat model served by vLLM, which never makes a tool call of what is none.

    Setup:
        Start a server, and tell it how the model writes tool calls:
        `vllm serve Qwen/Qwen3-8B --enable-auto-tool-choice --tool-call-parser hermes`.

        ```python
        from langchain_toolstream import ChatVLLM

        llm = ChatVLLM(temperature=0)  # at http://localhost:8000/v1, or where VLLM_API_BASE says
        ```

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
        top_k, min_p, structured_outputs, chat_template_kwargs, priority, extra_body, ...:
            All fields of vLLM's own, by its own names; `extra_body` is for unknown ones.

        All of them can be given to the model, to `bind` and to a call (`invoke(..., top_k=5)`).
        The later counts, and `None` takes a field back. What `extra_body` names counts as if it
        had been given by name in that place; at the model itself, `extra_body` counts.
        No `OPENAI_*` environment variable has any influence.

    Invoke, stream, async:
        `invoke` streams too, inside: vLLM's non-streaming answer hides that it was cut. Only what
        vLLM does not stream is asked for without: `prompt_logprobs`, `kv_transfer_params` and
        `ec_transfer_params`; `stream` then gives the whole answer at once. `disable_streaming`,
        `streaming=False`, and `stream=False` for a call turn streaming off; the last tool call of
        such an answer is not trusted if it used up `max_tokens`.

        Closing an iterator early closes the HTTP response, and the server stops generating. Where
        nothing comes for `stream_chunk_timeout` seconds (120; `None` for no limit), the stream
        raises; `timeout` is for the request, and counts between two reads where it is shorter.

    Tool calling:
        ```python
        def multiply(a: int, b: int) -> int:
            \"\"\"Multiply two integers.\"\"\"
            return a * b

        (call,) = llm.bind_tools([multiply]).invoke("What is 3 * 12?").tool_calls
        assert (call["name"], call["args"]) == ("multiply", {"a": 3, "b": 12})
        ```

        A call that was cut off, is not strict JSON, was contradicted by later text or is doubtful
        is in `invalid_tool_calls`, on every path, and is logged. Whether a whole call fits its tool
        is for whoever runs the tool to say. `invoke` fills an invalid call's `error`. After chunks
        have been added up, where langchain-core drops it, the reason is in
        `response_metadata["invalid_tool_calls"]` by the call's id, and `args` ends in `]!`. A plain
        agent ends on a message of invalid calls alone; `EagerToolMiddleware()` answers them.

        With `tool_call_parser="hermes"` (the name that vLLM's flag takes, or `"auto"`) the client
        reads the calls itself, out of the model's own text: whatever flags the server was started
        with, and where its parser loses or changes calls. `bind_tools(tools, strict=True)` then
        holds each call to its tool's schema by a structural tag.

    Messages:
        The same after `invoke` and `stream`. The model's thoughts are in
        `additional_kwargs["reasoning_content"]` and `content_blocks`, and are sent back.
        `usage_metadata` is that of all choices, and the first one has it; a stream shows the first
        choice alone. `response_metadata` has what the server says besides, by vLLM's names.

    Raises:
        VLLMError: The server refused the request, cannot be reached, or its answer broke off or
            was lost; see `vllm.errors`. Each kind is the SDK's and langchain-core's error too.
        StreamInterruptedError: Likewise, where the answer had begun. `partial_message` has what had
            come, with all its calls invalid. An answer that has begun is never asked for again.
    """

    model_config = ConfigDict(defer_build=False)

    @property
    def _llm_type(self) -> str:
        return "vllm-chat"

    @model_validator(mode="before")
    @classmethod
    def validate_temperature(cls, values: dict[str, Any]) -> Any:
        """Leave the temperature alone: the base class has rules for names of OpenAI's models."""
        return values

    @model_validator(mode="before")
    @classmethod
    def _without_guided(cls, values: Any) -> Any:
        return without_guided(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Build the clients, without what the SDK takes from `OPENAI_*` variables."""
        if self.use_responses_api:
            msg = (
                "use_responses_api=True is not for ChatVLLM: it reads /v1/chat/completions only. "
                "For vLLM's /v1/responses take ChatOpenAI(base_url=..., use_responses_api=True), "
                "without what ChatVLLM does for tool calls."
            )
            raise ValueError(msg)
        self.openai_api_base = self.openai_api_base or os.getenv("VLLM_API_BASE") or DEFAULT_BASE
        if not self.openai_api_key:
            self.openai_api_key = SecretStr(os.getenv("VLLM_API_KEY") or NO_KEY)
        organization = self.openai_organization or None
        ours = [name for name in ("root_client", "root_async_client") if not getattr(self, name)]
        with urls_hidden(self.openai_api_base, self.openai_proxy):
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

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        usages = [(output or {}).get("token_usage", {}) for output in llm_outputs]
        return {"token_usage": reduce(add_usage, usages, {}), "model_name": self.model_name}

    @property
    def _default_params(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in OPENAI_FIELDS}
        given = {name: value for name, value in own.items() if value is not None}
        return {**super()._default_params, **given, **on_the_wire(self)}

    # Answers.

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        messages = [with_media(one) for one in self._convert_input(input_).to_messages()]
        payload = super()._get_request_payload(messages, stop=stop, **openai_fields(kwargs))
        body = extra_body(self, self.extra_body, kwargs)
        return vllm_payload(payload, messages, kwargs, body)

    def _answer(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        *,
        passed: bool = False,
    ) -> AnswerStream:
        kwargs = unwrapped(kwargs)
        usage = kwargs.pop("stream_usage", None)
        is_off = self._streaming_disabled(**kwargs)
        options = kwargs.get("stream_options", self.stream_options) or {}
        if self._should_stream_usage(usage, stream_options=options):
            options = {**options, "include_usage": True}
        kwargs = {**kwargs, "stream": True, "stream_options": options}
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        payload["stream"] = not (is_off or unstreamed(payload))
        if not (payload["stream"] and options):
            del payload["stream_options"]
        reading = self._client_reading(payload)
        markup = reading.markup if reading else self._left_in_text(payload)
        resumption = None
        if self.max_resumes and payload["stream"]:
            resumption = Resumption(
                payload, limit=self.max_resumes, client_reads=reading is not None
            )
        return AnswerStream(
            payload=payload,
            reader=answer_reader(payload, passed=passed, markup=markup, resumption=resumption),
            resumption=resumption,
            is_named=payload["model"] not in ("", self._found_model),
            base_url=str(self.openai_api_base),
            coalesce=self.coalesce,
            silence=self.stream_chunk_timeout if payload["stream"] else None,
            reading=reading,
        )

    def _client_reading(self, payload: dict[str, Any]) -> ClientReading | None:
        """Ask for the model's text, where the client is to read the calls."""
        if self.tool_call_parser is None or not wants_calls(payload):
            return None
        return ClientReading(
            payload,
            self.tool_call_parser,
            server=(str(self.openai_api_base), str(payload.get("model"))),
            thoughts_begun=self.thoughts_begun,
        )

    @staticmethod
    def _left_in_text(payload: dict[str, Any]) -> LeftInText | None:
        if not wants_calls(payload) or has_constraint(payload):
            return None
        return LeftInText(payload["tools"], payload.get("n") or 1)

    def _events(self, answer: AnswerStream) -> Generator[list[tuple[int, Event]]]:
        self._ensure_sync_client_available()
        if answer.reading is None:
            return answer.events(self.client, self._find_model, self._ask)
        return self._read_events(answer, answer.reading)

    def _aevents(self, answer: AnswerStream) -> AsyncGenerator[list[tuple[int, Event]]]:
        if answer.reading is None:
            return answer.aevents(self.async_client, self._afind_model, self._aask)
        return self._aread_events(answer, answer.reading)

    def _read_events(
        self, answer: AnswerStream, reading: ClientReading
    ) -> Generator[list[tuple[int, Event]]]:
        """Take one road after another, until one leads to what the model wrote."""
        while True:
            answered(reading.steps(), self._ask)
            client = self.root_client.completions if reading.is_text else self.client
            if answer.resumption is not None:
                answer.resumption.restart(
                    by_prompt=reading.is_text, thoughts=reading.markup.thoughts
                )
            try:
                yield from answer.events(client, self._find_model, self._ask)
            except ROAD_ERRORS as error:
                if not reading.goes_on(error):
                    raise
                answer.reader.restart()
            else:
                reading.ended()
                return

    async def _aread_events(
        self, answer: AnswerStream, reading: ClientReading
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        while True:
            await aanswered(reading.steps(), self._aask)
            client = self.root_async_client.completions if reading.is_text else self.async_client
            if answer.resumption is not None:
                answer.resumption.restart(
                    by_prompt=reading.is_text, thoughts=reading.markup.thoughts
                )
            try:
                async with aclosing(
                    answer.aevents(client, self._afind_model, self._aask)
                ) as batches:
                    async for events in batches:
                        yield events
            except ROAD_ERRORS as error:
                if not reading.goes_on(error):
                    raise
                answer.reader.restart()
            else:
                reading.ended()
                return

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages, stop, kwargs)
        builder = ChunkBuilder(answer.reader)
        for events in self._events(answer):
            for chunk in builder.build(events):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = self._answer(messages, stop, kwargs)
        builder = ChunkBuilder(answer.reader)
        async with aclosing(self._aevents(answer)) as batches:
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
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        answer = self._answer(messages, stop, kwargs, passed=True)
        builder = ProtocolBuilder(answer.reader, run_id=run_manager.run_id if run_manager else None)
        with closing(self._events(answer)) as batches:
            for events in batches:
                yield from builder.build(events)

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        answer = self._answer(messages, stop, kwargs, passed=True)
        builder = ProtocolBuilder(answer.reader, run_id=run_manager.run_id if run_manager else None)
        async with aclosing(self._aevents(answer)) as batches:
            async for events in batches:
                for event in builder.build(events):
                    yield event

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, stop, kwargs)
        for _ in self._events(answer):
            pass
        return answer.reader.result()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, stop, kwargs)
        async for _ in self._aevents(answer):
            pass
        return answer.reader.result()

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
            strict: Whether arguments have to fit the tools' schemas.
            parallel_tool_calls: `False` for one call at most.
            response_format: What the answer has to be where the model calls no tool, as for
                `ChatOpenAI.bind_tools`.
            **kwargs: Further fields of the request.

        Raises:
            TypeError: There is no list of tools, but one tool or something else.
        """
        check_is_list(tools)
        if strict and self.tool_call_parser is not None:
            tools = [made_strict(tool) for tool in tools]
        return super().bind_tools(
            tools,
            tool_choice=tool_choice,
            strict=strict,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            **kwargs,
        )

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        r"""Make the model answer in a form that can be relied on.

        Args:
            schema: What the answer has to be.

                - For `json_schema`, `function_calling` and `json_mode`: a pydantic model, a
                  `TypedDict`, a dataclass or another type that pydantic knows, or a dict: a JSON
                  schema, or an OpenAI function. `json_mode` also does without.
                - For `regex` and `grammar`: the expression or grammar as text.
                - For `choice`: texts or whole numbers, as a list, a `Literal` or an `Enum`.
            method: How the model is made to.

                - `json_schema`: vLLM generates nothing but JSON that fits the schema.
                - `function_calling`: the answer is the arguments of a call that is forced.
                - `json_mode`: vLLM generates nothing but JSON, and the prompt says which.
                - `regex`, `choice`, `grammar`: vLLM's `structured_outputs`.
            include_raw: Whether to return a dict of `raw` (the message), `parsed` and
                `parsing_error` instead of the answer alone.
            strict: For `json_schema` and `function_calling`: `True` requires all properties and
                allows no others, whatever the schema says; `False` leaves the arguments of a call
                to the model, and they are rejected when they do not fit.
            **kwargs: Further fields of the request, as for `bind`.

        Returns:
            A runnable that gives an object of the class, a member of the `Enum`, text, or what the
            JSON says. It streams dicts that grow, objects with just the fields that are known (see
            `PartialToolsParser` for what is shown when), and pieces of text; the last one is the
            answer.

        Raises:
            ValueError: The schema cannot be asked for by that method.

        When run, it raises `OutputParserException`, or returns it as `parsing_error`, if the answer
        was cut off (`finish_reason`), is not strict JSON or does not fit the schema; nothing is
        completed or converted by guessing.

        Example:
            ```python
            from pydantic import BaseModel
            from langchain_toolstream import ChatVLLM


            class Multiply(BaseModel):
                a: int
                b: int


            llm = ChatVLLM()
            product = llm.with_structured_output(Multiply)
            number = llm.with_structured_output(r"\d+", method="regex")
            mood = llm.with_structured_output(["good", "bad"], method="choice")
            ```
        """
        request = structured_request(schema, method, strict=strict)
        return request.chain(self, kwargs, include_raw=include_raw)
