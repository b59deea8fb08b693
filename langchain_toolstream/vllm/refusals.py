"""What the SDK raises and servers say, turned into the errors of `vllm.errors`."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai

from langchain_toolstream.core.errors import (
    IncompleteStreamError,
    ServerStreamError,
    StreamInterruptedError,
)
from langchain_toolstream.vllm.errors import (
    RETRIED,
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMContextOverflowError,
    VLLMError,
    VLLMIncompleteStreamError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
    VLLMOverloadedError,
    VLLMPermissionDeniedError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMStreamContextOverflowError,
    VLLMStreamError,
    VLLMTimeoutError,
)

if TYPE_CHECKING:
    import httpx2

_OPENAI_ON_HTTPX2 = 3
_transport = importlib.import_module(
    "httpx2" if int(openai.VERSION.partition(".")[0]) >= _OPENAI_ON_HTTPX2 else "httpx"
)
_TransportError: type[Exception] = _transport.RequestError
ReadTimeout: type[Exception] = _transport.ReadTimeout
Response: type[Any] = _transport.Response
"""What the SDK's client gives, of the library that the SDK uses."""

_MAX_SHOWN = 500
_MAX_READ = 4_096
"""Characters that are looked at for those that are shown: a page of HTML has no bound."""


def public_url(url: str) -> str:
    """A URL without the name, the password and the query that may be in it.

    Args:
        url: Where a server is; it may lack the scheme.
    """
    url, _, query = url.partition("?")
    return _CREDENTIALS.sub(r"\1", url, count=1) + ("?..." if query else "")


_CREDENTIALS = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://|//)?(?:[^/]*@|[^/@]*:(?!\d*/)[^@]*@)")


@contextmanager
def clear_errors(base_url: str, endpoint: str | None = None) -> Iterator[None]:
    """Turn what the SDK raises about a request into a `VLLMError` that says what to do.

    Args:
        base_url: Where the server is.
        endpoint: The whole URL of what was asked for, where a server may lack it.

    Yields:
        Nothing.

    Raises:
        VLLMError: See the tree at the top of this module.
        IncompleteStreamError: The connection broke while the answer was read.
    """
    base_url, endpoint = public_url(base_url), endpoint and public_url(endpoint)
    try:
        yield
    except VLLMError as error:
        _know_request(error, base_url)
        raise
    except StreamInterruptedError as error:
        # The same error, as the SDK's too: what caused the one caused the other.
        raise _of_stream(error, base_url) from error.__cause__
    except openai.APITimeoutError as error:
        msg = f"{base_url} did not answer in time. Raise timeout=..., or look at the server's load."
        raise VLLMTimeoutError(msg, request=error.request) from error
    except openai.APIConnectionError as error:
        reason = error.__cause__ or error
        if not base_url.startswith(("http://", "https://")):
            msg = f"base_url={base_url!r} has to begin with http:// or https://, such as http://localhost:8000/v1."
        elif "SSL" in str(reason) and "WRONG_VERSION_NUMBER" in str(reason):
            plain = "http" + base_url.removeprefix("https")
            msg = f"What answers at {base_url} speaks no TLS ({reason}). Set base_url={plain!r}."
        else:
            msg = (
                f"Nothing answers at {base_url} ({reason}). Start vLLM there (vllm serve MODEL), "
                "or set base_url=... or VLLM_API_BASE to where it runs."
            )
        raise VLLMConnectionError(message=msg, request=error.request) from error
    except openai.APIStatusError as error:
        raise _of_status(error, base_url, endpoint) from error
    except _TransportError as error:
        broke = str(error) or type(error).__name__
        msg = (
            f"The connection to {base_url} broke while the answer was read ({broke}). No tool "
            "call of it is confirmed."
        )
        raise _of_stream(IncompleteStreamError(msg), base_url) from error


def _of_stream(error: StreamInterruptedError, base_url: str) -> VLLMError:
    made: VLLMError
    if not isinstance(error, ServerStreamError):
        made = VLLMIncompleteStreamError(str(error))
    else:
        said = f"{error.code} {error.type} {error.message}"
        kind = VLLMStreamContextOverflowError if is_overflow(said) else VLLMStreamError
        made = kind(error.message, code=error.code, type=error.type)
        made.hint = _OVERFLOW_HINT if is_overflow(said) else hint_for(error.message)
    _know_request(made, base_url)
    return made


def _know_request(error: VLLMError, base_url: str) -> None:
    # Without headers: the real one has the API key.
    if isinstance(error, openai.APIError) and error.request is None:
        error.request = _transport.Request("POST", f"{base_url.rstrip('/')}/chat/completions")


def not_vllm(response: "httpx2.Response", text: str, base_url: str) -> VLLMServerError:
    """Make the error for an answer that vLLM does not give.

    Args:
        response: The HTTP response.
        text: Its body.
        base_url: Where the request went.
    """
    kind = response.headers.get("content-type", "no content type")
    base_url = public_url(base_url)
    msg = (
        f"{base_url} answered {response.status_code} with {kind}, which is nothing of vLLM's: "
        f"{_readable(text, response)!r}. Something else is there, perhaps a proxy: check base_url."
    )
    return VLLMServerError(msg, response=response, body=text)


is_overflow = re.compile(
    r"""
    maximum\ (context|model|input)\ length    # vLLM, SGLang; `decoder prompt` of vLLM's engine
    | model's\ context\ length\ is\ only      # vLLM's renderer, early in 2026
    | max_model_len
    | max_tokens\ must\ be\ at\ least\ 1,\ got  # vLLM: the prompt leaves no room
    | context_length_exceeded | exceed_context_size  # OpenAI, LiteLLM; llama.cpp
    | context\ (window|size)
    | prompt\ is\ too\ long                   # Anthropic's words, from gateways
    """,
    re.VERBOSE | re.IGNORECASE,
).search
"""Whether a server says that the messages, or the answer, do not fit into the model's context."""


def _of_status(error: openai.APIStatusError, base_url: str, endpoint: str | None) -> VLLMError:
    status = error.status_code
    words = _words(error)
    kind = _KINDS.get(status, VLLMServerError)
    if kind is VLLMServerError and status < 500 and status not in RETRIED:  # noqa: PLR2004
        kind = VLLMInvalidRequestError
    hint = _HINTS_OF_KINDS.get(kind, "")
    if _is_html(error.response) and kind not in _SAID_BY_GATEWAYS:
        hint = f"Something else than vLLM answers at {base_url}, perhaps a proxy: check base_url."
    elif kind is VLLMNotFoundError:
        if isinstance(error.body, dict) and "message" in error.body:
            if "does not exist" in words:
                hint = "Leave model unset to use the one that the server has, or see /v1/models."
        elif endpoint:
            hint = f"Either base_url={base_url!r} is not vLLM's, or what is before it hides this."
        else:
            hint = f"Nothing of vLLM's is at {base_url}: base_url has to end in /v1."
    elif kind is VLLMInvalidRequestError:
        if is_overflow(f"{error.code} {error.type} {words}"):
            kind = VLLMContextOverflowError
            hint = _OVERFLOW_HINT
        else:
            hint = hint_for(words)
    full_stop = "" if words.endswith((".", "!", "?")) else "."
    msg = f"{endpoint or base_url} answered {status}: {words}{full_stop} {hint}".rstrip()
    made: VLLMError = kind(msg, response=error.response, body=error.body)
    return made


_KINDS: dict[int, type[Any]] = {
    401: VLLMAuthenticationError,
    403: VLLMPermissionDeniedError,
    404: VLLMNotFoundError,
    429: VLLMRateLimitError,
    503: VLLMOverloadedError,
}
_SAID_BY_GATEWAYS = (
    VLLMAuthenticationError,
    VLLMPermissionDeniedError,
    VLLMNotFoundError,
    VLLMRateLimitError,
)
"""What is meant as it says, be it in HTML."""

_KEY_HINT = "Pass api_key=... or set VLLM_API_KEY to what vLLM was started with as --api-key."
_HINTS_OF_KINDS: dict[type[Any], str] = {
    VLLMAuthenticationError: _KEY_HINT,
    VLLMPermissionDeniedError: _KEY_HINT,
    VLLMRateLimitError: "Try again later, or send fewer requests at once.",
    VLLMOverloadedError: "The server is overloaded or still loading: try again later.",
}

_OVERFLOW_HINT = "Send fewer or shorter messages, or ask for fewer output tokens."


def hint_for(words: str) -> str:
    """Say what to do about a request that a server did not take, if that is known.

    Args:
        words: What the server said.
    """
    return next((hint for sign, hint in _HINTS if sign in words), "")


_HINTS = (
    (
        "--enable-auto-tool-choice",
        (
            "Start vLLM with --enable-auto-tool-choice --tool-call-parser NAME, where NAME fits "
            "the model (hermes for Qwen 2.5, qwen3_coder, llama3_json, mistral, ...)."
        ),
    ),
    ("--tool-call-parser", "Start vLLM with --tool-call-parser NAME, where NAME fits the model."),
    (
        "one backend per engine",
        (
            "The first constrained request since vLLM's start decided the backend. Start vLLM with "
            """--structured-outputs-config '{"backend": "xgrammar"}' (or "guidance"), whichever """
            "takes all of your schemas, so that no request decides."
        ),
    ),
    ("priority scheduling", "Start vLLM with --scheduling-policy priority, or leave priority out."),
)


def _is_html(response: "httpx2.Response") -> bool:
    return "html" in response.headers.get("content-type", "")


def _words(error: openai.APIStatusError) -> str:
    """What the server said: `{"error": {"message"}}`, `{"error": "Unauthorized"}`, text or HTML."""
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail") or body
    return _readable(str(body) if body else error.message, error.response)


def _readable(text: str, response: "httpx2.Response") -> str:
    text = text[:_MAX_READ]
    if _is_html(response):
        text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
