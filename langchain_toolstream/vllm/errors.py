"""What can go wrong between `ChatVLLM` and a server, as errors that say what to do about it.

```text
VLLMError
├── VLLMConnectionError          (OpenAIConnectionError)        nothing answers at the URL
├── VLLMTimeoutError             (OpenAITimeoutError)           it takes too long
│   └── VLLMIdleTimeoutError *   (StreamChunkTimeoutError)      silence inside an answer
├── VLLMAuthenticationError      (OpenAIAuthenticationError)    401
├── VLLMPermissionDeniedError    (OpenAIPermissionDeniedError)  403
├── VLLMNotFoundError            (OpenAIModelNotFoundError)     404: the model, or the URL
├── VLLMInvalidRequestError      (OpenAIInvalidRequestError)    400, 422 and others like them
│   └── VLLMContextOverflowError (ContextOverflowError)         longer than the model's context
├── VLLMRateLimitError           (OpenAIRateLimitError)         429
├── VLLMServerError              (OpenAIAPIError)               5xx, or nothing of vLLM's
│   └── VLLMOverloadedError                                     503: full, or still loading
├── VLLMStreamError *            (APIError, ModelAPIError)      an error inside an answer
│   └── VLLMStreamContextOverflowError *  (ContextOverflowError)    the context is too small for it
├── VLLMIncompleteStreamError *  (OpenAIConnectionError)        an answer without an end
├── VLLMEmptyOutputError         (APIError, ModelError)         nothing came of what was generated
└── VLLMRefusalError             (OpenAIRefusalError, OutputParserException)  the model refuses
```

Each is also the openai SDK's error and langchain-core's model error of its kind, so code that
catches those goes on working, and `is_retryable` says what langchain-core says of its kind. Those
with a star came when the answer had begun: they are `core.errors.StreamInterruptedError` too, and
`partial_message` has what had come. The SDK tries again by itself (`max_retries`) before that, and
nothing does after.
"""

import re
from typing import TYPE_CHECKING, Any

import openai
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelError,
    OutputParserException,
)
from langchain_openai import StreamChunkTimeoutError
from langchain_openai.chat_models.base import (
    OpenAIAPIError,
    OpenAIAuthenticationError,
    OpenAIConnectionError,
    OpenAIInvalidRequestError,
    OpenAIModelNotFoundError,
    OpenAIPermissionDeniedError,
    OpenAIRateLimitError,
    OpenAIRefusalError,
    OpenAITimeoutError,
)

from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    import httpx2

RETRIED = (408, 409, 429)
"""Statuses below 500 that the SDK tries again."""


class VLLMError(Exception):
    """What a vLLM server, or whatever stands at its URL, refused or did not do."""

    def add_words(self, words: str) -> None:
        """Say more.

        Args:
            words: What comes behind the message.
        """
        self.args = (f"{self.args[0]} {words}", *self.args[1:])
        self.message = self.args[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling, without the request and its key; the SDK's errors do not."""
        state = {name: value for name, value in vars(self).items() if name not in _OF_HTTP}
        return _rebuild, (type(self), self.args, state)


_OF_HTTP = ("request", "response")


def _rebuild(kind: type[VLLMError], args: tuple[Any, ...], state: dict[str, Any]) -> VLLMError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(dict.fromkeys(_OF_HTTP), **state)
    return error


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
        chunks_received: How many events of the server had come.
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
            "A tool-call parser may hold a whole call back: raise stream_chunk_timeout=... (or "
            "timeout=..., where that is shorter) if the server is at work."
        )
        # Not that of `StreamChunkTimeoutError`, which hands its own words to the SDK as a request.
        VLLMTimeoutError.__init__(self, msg, request=request)
        self.timeout_s = timeout_s
        self.model_name = model_name
        self.chunks_received = chunks_received

    __reduce__ = VLLMError.__reduce__  # not that of `OSError`, which is nearer


class VLLMAuthenticationError(VLLMError, OpenAIAuthenticationError):
    """The server wants another API key."""


class VLLMPermissionDeniedError(VLLMError, OpenAIPermissionDeniedError):
    """The server, or a gateway before it, does not let this API key do that."""


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


class VLLMOverloadedError(VLLMServerError):
    """The server has too much to do, or is still loading: later it may answer."""


class VLLMStreamError(VLLMError, ServerStreamError, openai.APIError, ModelAPIError):
    """The server reported an error inside its answer, or sent something else than an answer."""

    code: int | str | None  # type: ignore[assignment]
    """As the server sent it; the SDK has text here."""

    hint: str = ""
    """What to do about it, where that is known."""

    def __init__(
        self,
        message: str,
        *,
        code: int | str | None = None,
        type: str | None = None,  # noqa: A002
        request: "httpx2.Request | None" = None,
    ) -> None:
        """Take the server's words as they are."""
        openai.APIError.__init__(self, message, request, body=None)  # type: ignore[arg-type]
        self.code = code
        self.type = type
        status = int(code) if isinstance(code, str) and _is_status(code) else code
        if isinstance(status, int) and 400 <= status < 500 and status not in RETRIED:  # noqa: PLR2004
            self.is_retryable = False

    def add_words(self, words: str) -> None:
        """Say more in the hint: the message has the server's words."""
        self.hint = f"{self.hint} {words}".lstrip()

    def __str__(self) -> str:
        """The server's words, then what to do."""
        said = super().__str__()
        gap = " " if said.endswith((".", "!", "?")) else ". "
        return f"{said}{gap}{self.hint}" if self.hint else said


_is_status = re.compile(r"[1-5][0-9]{2}").fullmatch


class VLLMStreamContextOverflowError(VLLMStreamError, VLLMContextOverflowError):
    """`VLLMContextOverflowError`, told inside the answer: `response` and `body` are `None`."""

    def __init__(
        self,
        message: str,
        *,
        code: int | str | None = None,
        type: str | None = None,  # noqa: A002
        request: "httpx2.Request | None" = None,
    ) -> None:
        """Take the server's words as they are."""
        super().__init__(message, code=code, type=type, request=request)
        self.is_retryable = False
        self.response = None  # type: ignore[assignment]
        self.status_code = 400
        self.request_id = None


class VLLMIncompleteStreamError(VLLMError, IncompleteStreamError, OpenAIConnectionError):
    """The answer ended before it was complete: a dropped connection or a dead worker."""

    def __init__(self, message: str, *, request: "httpx2.Request | None" = None) -> None:
        """Say how it ended."""
        OpenAIConnectionError.__init__(self, message=message, request=request)  # type: ignore[arg-type]


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


class VLLMRefusalError(VLLMError, OpenAIRefusalError, OutputParserException):
    """The model refuses to give a structured answer; the message has its words.

    Raised by `with_structured_output`, where `ChatOpenAI` raises `OpenAIRefusalError`.
    """
