"""What vLLM's `/v1/chat/completions` takes besides OpenAI's fields, by vLLM's own names.

Left out: `mm_payload`, `return_mm_kwargs` and `return_token_offsets`, which only vLLM's render
endpoints read, and `user`, which vLLM ignores.
"""

import json as json_format
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.dataclasses import dataclass

from langchain_toolstream.core.markup import check_format

_CONSTRAINTS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StructuredOutputs:
    """What the server lets the model write: exactly one constraint, and options.

    Args:
        json: A JSON schema, as a dict or as text.
        regex: A regular expression that the whole answer matches.
        choice: The answers to choose from.
        grammar: A context-free grammar in EBNF (GBNF or Lark, as the server's backend takes it).
        json_object: `True` for any JSON object.
        structural_tag: xgrammar's structural tag, as a dict or as text.
        disable_any_whitespace: Whether JSON comes without white space.
        disable_additional_properties: Whether objects have only the properties of the schema.
        whitespace_pattern: A regular expression for the white space between the parts of JSON.

    Raises:
        ValueError: There is no constraint, or more than one.

    Example:
        ```python
        from langchain_toolstream import ChatVLLM, StructuredOutputs

        yes_or_no = ChatVLLM(structured_outputs=StructuredOutputs(choice=["yes", "no"]))
        ```
    """

    json: dict[str, Any] | str | None = None
    regex: str | None = None
    choice: Annotated[list[str], Field(min_length=1)] | None = None
    grammar: str | None = None
    json_object: Literal[True] | None = None
    structural_tag: dict[str, Any] | str | None = None
    disable_any_whitespace: bool = False
    disable_additional_properties: bool = False
    whitespace_pattern: str | None = None

    def __post_init__(self) -> None:
        """Count the constraints."""
        given = [name for name in _CONSTRAINTS if getattr(self, name) is not None]
        if len(given) != 1:
            msg = (
                f"StructuredOutputs takes exactly one of {', '.join(_CONSTRAINTS)}; "
                f"got {' and '.join(given) or 'none'}."
            )
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RepetitionDetection:
    """When an answer that repeats itself ends, with finish reason `repetition`.

    Args:
        max_pattern_size: Tokens of the longest pattern to look for; 0 looks for none.
        min_pattern_size: Tokens of the shortest; 0 means 1.
        min_count: How often a pattern has to stand in a row, at least 2.

    Raises:
        ValueError: The numbers contradict each other.
    """

    max_pattern_size: Annotated[int, Field(ge=0)] = 0
    min_pattern_size: Annotated[int, Field(ge=0)] = 0
    min_count: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        """Hold the numbers against each other, as the server does."""
        if self.min_pattern_size > self.max_pattern_size:
            msg = (
                f"min_pattern_size={self.min_pattern_size} is more than "
                f"max_pattern_size={self.max_pattern_size}."
            )
            raise ValueError(msg)
        if self.max_pattern_size and self.min_count < 2:  # noqa: PLR2004
            msg = f"min_count has to be at least 2, got {self.min_count}."
            raise ValueError(msg)


_MAX_SALT = 128
_NOT_IN_SALT = "@/\\\0"


def _check_salt(salt: SecretStr | str) -> SecretStr:
    text = salt if isinstance(salt, str) else salt.get_secret_value()
    if not 0 < len(text) <= _MAX_SALT or any(char in text for char in _NOT_IN_SALT):
        msg = (
            f"cache_salt has to have 1 to {_MAX_SALT} characters and none of '@', '/', '\\' "
            "and NUL."
        )
        raise ValueError(msg)
    return SecretStr(text)


class RequestFields(BaseModel):
    """The fields of a request that are vLLM's own. `None` is not sent: the server decides."""

    # A rejected value may stand beside a key, or be a secret itself.
    model_config = ConfigDict(hide_input_in_errors=True, defer_build=True)

    # Sampling.

    top_k: int | None = None
    """How many of the likeliest tokens to choose from; 0 or -1 for all."""

    min_p: float | None = None
    """Tokens less likely than this share of the likeliest one are not chosen; 0 to 1."""

    repetition_penalty: float | None = None
    """Above 1, what is in the prompt or the answer already becomes less likely."""

    length_penalty: float | None = None
    """With beam search: above 0 prefers longer answers."""

    use_beam_search: bool | None = None
    """Whether to search with `n` beams instead of sampling."""

    watermarking: bool | None = None
    """Whether to watermark the answer, where the server is set up for that."""

    stop_token_ids: list[int] | None = None
    """Tokens that end the answer."""

    include_stop_str_in_output: bool | None = None
    """Whether the text of the answer holds the stop string that ended it."""

    ignore_eos: bool | None = None
    """Whether to go on behind the model's own end of the answer, until `max_tokens`."""

    min_tokens: int | None = None
    """Tokens before which nothing ends the answer."""

    skip_special_tokens: bool | None = None
    """Whether special tokens are left out of the text. Tool-call parsers switch this off."""

    spaces_between_special_tokens: bool | None = None
    """Whether the text has spaces between special tokens."""

    truncate_prompt_tokens: int | None = None
    """Tokens to which a longer prompt is cut; -1 for what the model can take."""

    truncation_side: Literal["left", "right"] | None = None
    """Where a prompt is cut: `left` keeps its end, `right` its beginning."""

    logprob_token_ids: list[int] | None = None
    """Tokens whose logprobs to return at each position, instead of `top_logprobs`."""

    allowed_token_ids: list[int] | None = None
    """The only tokens to choose from."""

    bad_words: list[str] | None = None
    """Words that are never written."""

    repetition_detection: RepetitionDetection | None = None
    """When to end an answer that repeats itself. A dict is taken, too."""

    # Reasoning.

    include_reasoning: bool | None = None
    """Whether to return what the model thought. `False` also strips logprobs and token ids."""

    thinking_token_budget: int | None = None
    """Tokens after which the model has to stop thinking."""

    # Constraints.

    structured_outputs: StructuredOutputs | None = None
    """What the answer has to look like. A dict is taken, too."""

    # The prompt.

    chat_template: str | None = None
    """A Jinja template instead of the model's. Needs `--trust-request-chat-template`."""

    chat_template_kwargs: dict[str, Any] | None = None
    """Variables for the template, such as `{"enable_thinking": False}`."""

    add_generation_prompt: bool | None = None
    """Whether the prompt ends where an answer of the assistant begins."""

    continue_final_message: bool | None = None
    """Whether the answer goes on with the last message, which is then the assistant's."""

    add_special_tokens: bool | None = None
    """Whether to add special tokens (such as BOS) to what the template made."""

    documents: list[dict[str, str]] | None = None
    """Documents for templates that support retrieval, best with `title` and `text`."""

    echo: bool | None = None
    """Whether the answer begins with the last message, if that is the assistant's."""

    media_io_kwargs: dict[str, dict[str, Any]] | None = None
    """How to load media, by modality. Needs `--trust-request-mm-kwargs`."""

    mm_processor_kwargs: dict[str, Any] | None = None
    """Arguments of the model's multimodal processor. Needs `--trust-request-mm-kwargs`."""

    # What else to return.

    prompt_logprobs: int | None = None
    """How many logprobs to return for each token of the prompt. Such an answer is not streamed."""

    return_tokens_as_token_ids: bool | None = None
    """Whether tokens among logprobs are written as `token_id:{id}`."""

    return_token_ids: bool | None = None
    """Whether to return `token_ids` and `prompt_token_ids`, in `response_metadata`."""

    return_prompt_text: bool | None = None
    """Whether to return the prompt as the template made it, as `prompt_text`."""

    return_weight_versions: bool | None = None
    """Whether to return which weights made which tokens, as `weight_versions`. Since vLLM 0.33."""

    routed_experts_prompt_start: int | None = None
    """How many tokens of the prompt to leave out of `routed_experts`."""

    stream_interval: int | None = Field(default=None, ge=1)
    """Tokens to a chunk, at least the server's own `--stream-interval`."""

    # Scheduling.

    priority: int | None = None
    """Lower comes first. Needs `--scheduling-policy priority` for any but 0."""

    request_id: str | None = None
    """Id of the request in the server's logs, and behind `chatcmpl-` in the answer's `id`.

    Has to differ for each request: give it per call.
    """

    session_id: str | None = None
    """What the requests of one conversation have in common."""

    cache_salt: Annotated[SecretStr | str, AfterValidator(_check_salt)] | None = None
    """A secret that keeps others from finding out by timing what is in the prefix cache.

    1 to 128 characters, none of `@`, `/`, `\\` and NUL.
    """

    kv_transfer_params: dict[str, Any] | None = None
    """For disaggregated serving. Such an answer is not streamed by `invoke`.

    `stream` has what the server adds in `response_metadata` since vLLM 0.33.
    """

    ec_transfer_params: dict[str, Any] | None = None
    """For disaggregated encoders. Such an answer is not streamed."""

    vllm_xargs: dict[str, str | int | float | list[str | int | float]] | None = None
    """Arguments of extensions of the server."""


class VLLMFields(RequestFields):
    """All fields of `ChatVLLM` that `BaseChatOpenAI` does not have, or has otherwise."""

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

    tool_call_parser: Annotated[str, AfterValidator(check_format)] | None = None
    """The format in which the model writes calls, to be read by the client: a name that vLLM's
    `--tool-call-parser` takes, or `"auto"`. `None`: the server reads them."""

    thoughts_begun: bool = False
    """Whether the prompt begins the model's thoughts, so that its text begins inside them, and the
    server has no reasoning parser that would say so. For `tool_call_parser` only."""

    max_resumes: int = Field(default=0, ge=0)
    """How often an answer that broke off in the middle goes on by a new request.

    It goes on behind the last token that came, so whoever reads the stream sees one answer. Where
    there are tools, the client has to read the calls (`tool_call_parser`). Where an answer cannot
    go on, the error says why.
    """

    coalesce: bool = True
    """Whether deltas that are ready together leave as one chunk.

    No delta waits for another, and the sum is the same. It counts where a consumer is slower than
    the server, and costs least when it does. `False`: one chunk for each event of the server that
    says anything. Sync, there is one chunk for each HTTP chunk, mostly one event, either way: only
    an event loop can tell what is ready without waiting for it.
    """


OPENAI_FIELDS = (
    "parallel_tool_calls",
    "max_completion_tokens",
    "response_format",
    "stream_options",
)
"""Fields of OpenAI's that `ChatVLLM` has and `BaseChatOpenAI` does not send."""

FIELDS = frozenset(RequestFields.model_fields)

NOT_STREAMED = frozenset({"prompt_logprobs", "kv_transfer_params", "ec_transfer_params"})
"""Fields whose answer vLLM gives only in a body that is not streamed."""


def on_the_wire(given: RequestFields) -> dict[str, Any]:
    """Write fields as JSON values.

    Args:
        given: The fields.

    Returns:
        The values by name, without those that are `None`.
    """
    values = {name: getattr(given, name) for name in RequestFields.model_fields}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else as_json(value)


def as_json(value: Any) -> Any:
    """Write a field's object as a dict; any other value stays.

    Args:
        value: Of a field.
    """
    if not isinstance(value, StructuredOutputs | RepetitionDetection):
        return value
    set_ = {
        field.name: given
        for field in fields(value)
        if (given := getattr(value, field.name)) != field.default
    }
    if isinstance(tag := set_.get("structural_tag"), dict):
        set_["structural_tag"] = json_format.dumps(tag)  # vLLM takes only text
    return set_
