"""What a vLLM server refuses, as errors that say what to do about it.

```text
VLLMError
├── VLLMConnectionError        (OpenAIConnectionError)      nothing answers at the URL
├── VLLMTimeoutError           (OpenAITimeoutError)         it takes too long
│   └── VLLMIdleTimeoutError   (StreamInterruptedError, StreamChunkTimeoutError)  silence inside
├── VLLMAuthenticationError    (OpenAIAuthenticationError)  401, 403
├── VLLMNotFoundError          (OpenAIModelNotFoundError)   404: the model, or the URL
├── VLLMInvalidRequestError    (OpenAIInvalidRequestError)  400, 422
│   └── VLLMContextOverflowError  (ContextOverflowError)    longer than the model's context
├── VLLMRateLimitError         (OpenAIRateLimitError)       429
├── VLLMServerError            (OpenAIAPIError)             5xx, or an answer that is not vLLM's
└── VLLMEmptyOutputError       (APIError, ModelError)       tokens were generated, nothing came back
```

Each is also the openai SDK's error and langchain-core's model error of its kind, so code that
catches those goes on working. Once an answer has begun, `core.errors.StreamInterruptedError` tells
how it broke off.
"""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
from langchain_core.exceptions import ContextOverflowError, ModelError
from langchain_openai import StreamChunkTimeoutError
from langchain_openai.chat_models.base import (
    OpenAIAPIError,
    OpenAIAuthenticationError,
    OpenAIConnectionError,
    OpenAIInvalidRequestError,
    OpenAIModelNotFoundError,
    OpenAIRateLimitError,
    OpenAITimeoutError,
)

from langchain_toolstream.core.errors import IncompleteStreamError, StreamInterruptedError

if TYPE_CHECKING:
    import httpx2

_OPENAI_ON_HTTPX2 = 3
_transport = importlib.import_module(
    "httpx2" if int(openai.VERSION.partition(".")[0]) >= _OPENAI_ON_HTTPX2 else "httpx"
)
_TransportError: type[Exception] = _transport.TransportError

_MAX_SHOWN = 500


class VLLMError(Exception):
    """What a vLLM server, or whatever stands at its URL, refused."""


class VLLMConnectionError(VLLMError, OpenAIConnectionError):
    """Nothing answers at the URL."""


class VLLMTimeoutError(VLLMError, OpenAITimeoutError):
    """The server took too long: to begin its answer, or, as a subclass, to go on with it."""

    def __init__(self, message: str, *, request: "httpx2.Request | None") -> None:
        """Keep our words; the SDK's class has fixed ones."""
        OpenAITimeoutError.__init__(self, request)  # type: ignore[arg-type]
        self.message = message
        self.args = (message,)


class VLLMIdleTimeoutError(StreamChunkTimeoutError, VLLMTimeoutError, StreamInterruptedError):
    """The answer had begun, and then nothing came for too long.

    Attributes:
        timeout_s: For how long nothing came.
        model_name: Which model was asked.
        chunks_received: How many reads had brought something.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        model_name: str | None = None,
        chunks_received: int = 0,
        request: "httpx2.Request | None" = None,
    ) -> None:
        """Say how long it was silent, and where to change that."""
        msg = (
            f"Nothing came for {timeout_s:g} seconds in the middle of the answer (model "
            f"{model_name!r}, after {chunks_received} chunks). No tool call of it is confirmed. "
            "A tool-call parser may hold a whole call back: raise stream_chunk_timeout=... if the "
            "server is at work."
        )
        # Not that of `StreamChunkTimeoutError`, which hands its own words to the SDK as a request.
        VLLMTimeoutError.__init__(self, msg, request=request)
        self.timeout_s = timeout_s
        self.model_name = model_name
        self.chunks_received = chunks_received


class VLLMAuthenticationError(VLLMError, OpenAIAuthenticationError):
    """The server wants another API key."""


class VLLMNotFoundError(VLLMError, OpenAIModelNotFoundError):
    """The server does not have the model, or nothing of vLLM's is at the URL."""


class VLLMInvalidRequestError(VLLMError, OpenAIInvalidRequestError):
    """The server does not take the request."""


class VLLMContextOverflowError(VLLMInvalidRequestError, ContextOverflowError):
    """The messages and the answer do not fit into the model's context."""


class VLLMRateLimitError(VLLMError, OpenAIRateLimitError):
    """The server, or a gateway before it, wants fewer requests."""


class VLLMServerError(VLLMError, OpenAIAPIError):
    """The server failed, or what answered is no vLLM server."""


class VLLMEmptyOutputError(VLLMError, openai.APIError, ModelError):
    """Tokens were generated, and nothing of them came back.

    That is how a tool-call parser, or a reasoning parser, that does not fit the model shows: it
    waits for the end of something that is none, and the answer ends with `stop` as if the model had
    said nothing. Trying again helps only where the model then writes something else.

    Attributes:
        tokens: How many were generated.
        partial_message: The empty message, with what else was known of it, such as `token_ids`
            where `return_token_ids` asked for them.
    """

    partial_message: Any = None

    def __init__(
        self, tokens: int, finish_reason: str, *, request: "httpx2.Request | None" = None
    ) -> None:
        """Say what happened and what to look at."""
        msg = (
            f"{tokens} tokens were generated and nothing came back: no text, no reasoning, no tool "
            f"call (finish reason {finish_reason!r}). Most likely a parser of the server swallowed "
            "them: start vLLM with the --tool-call-parser and the --reasoning-parser that fit the "
            "model. Several drop calls under tool_choice='none' too: leave the tools out there. "
            "With return_token_ids=True the tokens are in partial_message.response_metadata."
        )
        super().__init__(msg, request=request, body=None)  # type: ignore[arg-type]
        self.tokens = tokens


@contextmanager
def clear_errors(base_url: str) -> Iterator[None]:
    """Turn what the SDK raises about a request into a `VLLMError` that says what to do.

    Args:
        base_url: Where the request went.

    Yields:
        Nothing.

    Raises:
        VLLMError: See the tree at the top of this module.
        IncompleteStreamError: The connection broke while the answer was read.
    """
    try:
        yield
    except VLLMError:
        raise
    except openai.APITimeoutError as error:
        msg = f"{base_url} did not answer in time. Raise timeout=..., or look at the server's load."
        raise VLLMTimeoutError(msg, request=error.request) from error
    except openai.APIConnectionError as error:
        reason = error.__cause__ or error
        msg = (
            f"Nothing answers at {base_url} ({reason}). Start vLLM there (vllm serve MODEL), or "
            "set base_url=... or VLLM_API_BASE to where it runs."
        )
        raise VLLMConnectionError(message=msg, request=error.request) from error
    except openai.APIStatusError as error:
        raise _of_status(error, base_url) from error
    except _TransportError as error:
        broke = str(error) or type(error).__name__
        msg = (
            f"The connection to {base_url} broke while the answer was read ({broke}). No tool "
            "call of it is confirmed."
        )
        raise IncompleteStreamError(msg) from error


def not_vllm(response: "httpx2.Response", text: str, base_url: str) -> VLLMServerError:
    """Make the error for an answer that vLLM does not give.

    Args:
        response: The HTTP response.
        text: Its body.
        base_url: Where the request went.
    """
    kind = response.headers.get("content-type", "no content type")
    msg = (
        f"{base_url} answered {response.status_code} with {kind}, which is nothing of vLLM's: "
        f"{_readable(text, response)!r}. Something else is there, perhaps a proxy: check base_url."
    )
    return VLLMServerError(msg, response=response, body=text)


def _of_status(error: openai.APIStatusError, base_url: str) -> VLLMError:
    status = error.status_code
    words = _words(error)
    kind: type[Any] = VLLMServerError
    hint = ""
    if status in (401, 403):
        kind = VLLMAuthenticationError
        hint = "Pass api_key=... or set VLLM_API_KEY to what vLLM was started with as --api-key."
    elif status == 404:  # noqa: PLR2004
        kind = VLLMNotFoundError
        if not isinstance(error.body, dict) or "message" not in error.body:
            hint = f"Nothing of vLLM's is at {base_url}: base_url has to end in /v1."
        elif "does not exist" in words:
            hint = "Leave model unset to use the one that the server has, or see /v1/models."
    elif status == 429:  # noqa: PLR2004
        kind = VLLMRateLimitError
        hint = "Try again later, or send fewer requests at once."
    elif _is_html(error.response):
        hint = f"Something else than vLLM answers at {base_url}, perhaps a proxy: check base_url."
    elif status in (400, 422):
        kind = VLLMInvalidRequestError
        if "maximum context length" in words or "max_model_len" in words:
            kind = VLLMContextOverflowError
            hint = "Send fewer or shorter messages, or ask for fewer output tokens."
        else:
            hint = _hint_for(words)
    elif status == 503:  # noqa: PLR2004
        hint = "The server is overloaded or still loading: try again later."
    full_stop = "" if words.endswith((".", "!", "?")) else "."
    msg = f"{base_url} answered {status}: {words}{full_stop} {hint}".rstrip()
    made: VLLMError = kind(msg, response=error.response, body=error.body)
    return made


_HINTS = (
    (
        "--enable-auto-tool-choice",
        (
            "Start vLLM with --enable-auto-tool-choice --tool-call-parser NAME, where NAME fits "
            "the model (hermes for Qwen 2.5, qwen3_coder, llama3_json, mistral, ...)."
        ),
    ),
    ("--tool-call-parser", "Start vLLM with --tool-call-parser NAME, where NAME fits the model."),
    ("priority scheduling", "Start vLLM with --scheduling-policy priority, or leave priority out."),
)


def _hint_for(words: str) -> str:
    return next((hint for sign, hint in _HINTS if sign in words), "")


def _is_html(response: "httpx2.Response") -> bool:
    return "html" in response.headers.get("content-type", "")


def _words(error: openai.APIStatusError) -> str:
    """What the server said: `{"error": {"message"}}`, `{"error": "Unauthorized"}`, text or HTML."""
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail") or body
    return _readable(str(body) if body else error.message, error.response)


def _readable(text: str, response: "httpx2.Response") -> str:
    if _is_html(response):
        text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
