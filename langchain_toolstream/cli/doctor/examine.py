"""Asking a live server: the doctor's only I/O."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import openai
from pydantic import SecretStr

from langchain_toolstream.cli.doctor.answer import Answer, AnswerReader
from langchain_toolstream.cli.doctor.findings import Observations
from langchain_toolstream.cli.doctor.probes import Probe, ProbeName, make_probe
from langchain_toolstream.core.errors import ToolStreamError
from langchain_toolstream.vllm import (
    ChatVLLM,
    VLLMAuthenticationError,
    VLLMError,
    VLLMPermissionDeniedError,
)
from langchain_toolstream.vllm.chat_models import NO_KEY
from langchain_toolstream.vllm.refusals import clear_errors, public_url

_PROBES: tuple[ProbeName, ...] = ("text", "auto", "long", "cut", "thinking")
# Constrained requests. The first one since vLLM's start can decide its grammar backend, and
# requests that need another one fail from then on. So they are asked only when the user says so.
_FORCED: tuple[ProbeName, ...] = ("required", "named", "no_arguments")
_MAX_BODY = 4 * 1024 * 1024
_MAX_WORDS = 200


async def examine(
    url: str,
    *,
    model: str = "",
    forced: bool = False,
    timeout: float = 60.0,  # noqa: ASYNC109 - for each question
    progress: Callable[[str], None] = lambda _: None,
) -> Observations:
    """Ask a server all that the doctor wants to know.

    Args:
        url: Its URL for OpenAI clients.
        model: Its model; the first it has if left out.
        forced: Whether to ask for forced calls too.
        timeout: Seconds for each question.
        progress: Is told what is being asked.

    Returns:
        What was seen. What goes wrong is part of it.
    """
    # One connection each: langchain-openai shares its pool with whoever else is in the process.
    llm = ChatVLLM(
        base_url=url,
        model=model,
        max_retries=0,
        timeout=timeout,
        default_headers={"Connection": "close"},
    )
    seen = Observations(url=url, key_sent=llm.root_async_client.api_key != NO_KEY)
    progress("models")
    try:
        async with asyncio.timeout(timeout):
            seen.models = await llm.alist_models()
    except (VLLMAuthenticationError, VLLMPermissionDeniedError) as error:
        seen.unauthorized = _words(error)
        return seen
    except (VLLMError, TimeoutError) as error:
        seen.unreachable = str(error) or f"{public_url(url)} did not answer within {timeout:g} s."
        return seen
    with contextlib.suppress(VLLMError, TimeoutError):
        async with asyncio.timeout(timeout):
            seen.version = await llm.aversion()
    if seen.key_sent:
        seen.open_without_key = await _is_open(url, timeout)
    seen.model = model or (seen.models[0].id if seen.models else "")
    if seen.model:
        await _ask_all(llm.root_async_client, seen, timeout, progress)
    if forced and "auto" in seen.answers:
        await _ask_forced(llm.root_async_client, seen, timeout, progress)
    return seen


async def _is_open(url: str, timeout: float) -> bool | None:  # noqa: ASYNC109
    """Whether the server answers without a key; `None` if it cannot be told."""
    llm = ChatVLLM(
        base_url=url,
        api_key=SecretStr(NO_KEY),
        max_retries=0,
        timeout=timeout,
        default_headers={"Connection": "close"},
    )
    try:
        async with asyncio.timeout(timeout):
            await llm.alist_models()
    except (VLLMAuthenticationError, VLLMPermissionDeniedError):
        return False
    except (VLLMError, TimeoutError):
        return None
    return True


async def _ask_all(
    client: openai.AsyncOpenAI,
    seen: Observations,
    timeout: float,  # noqa: ASYNC109
    progress: Callable[[str], None],
) -> None:
    for name in _PROBES:
        progress(name)
        answer = await _ask(client, seen.url, make_probe(name, seen.model), timeout)
        seen.answers[name] = answer
        if name == "text" and answer.failed:
            return
    progress("markup")
    probe = make_probe("markup", seen.model)
    seen.answers["markup"] = await _ask(client, seen.url, probe, timeout)


async def _ask_forced(
    client: openai.AsyncOpenAI,
    seen: Observations,
    timeout: float,  # noqa: ASYNC109
    progress: Callable[[str], None],
) -> None:
    """Ask for calls that the server forces, last, since they change what it does afterwards."""
    names = _FORCED if seen.answers["long"].good else (*_FORCED, "cut")
    for name in names:
        progress(name)
        probe = make_probe(name, seen.model, forced=True)
        seen.answers[name] = await _ask(client, seen.url, probe, timeout)


async def _ask(
    client: openai.AsyncOpenAI,
    url: str,
    probe: Probe,
    timeout: float,  # noqa: ASYNC109
) -> Answer:
    reader = AnswerReader()
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            with clear_errors(url):
                await _read(client, probe, reader, started)
    except TimeoutError:
        reader.broke(f"no end within {timeout:g} s")
    except ToolStreamError as error:
        reader.broke(str(error))
    except VLLMError as error:
        return Answer(refused=_words(error))
    answer = reader.close()
    if answer.token_ids and answer.raw is None:
        raw = await _detokenize(client, url, probe.body["model"], answer.token_ids, timeout)
        answer = dataclasses.replace(answer, raw=raw)
    return answer


async def _read(
    client: openai.AsyncOpenAI, probe: Probe, reader: AnswerReader, started: float
) -> None:
    size = 0
    fields = dict(probe.body)
    async with client.chat.completions.with_streaming_response.create(
        model=fields.pop("model"), messages=fields.pop("messages"), extra_body=fields
    ) as response:
        async for data in response.iter_bytes():
            reader.feed(data, time.monotonic() - started)
            size += len(data)
            if size > _MAX_BODY:
                reader.broke(f"more than {_MAX_BODY:,} bytes came for {probe.max_tokens} tokens")
            if reader.done:
                break


async def _detokenize(
    client: openai.AsyncOpenAI,
    url: str,
    model: str,
    tokens: tuple[int, ...],
    timeout: float,  # noqa: ASYNC109
) -> str | None:
    try:
        async with asyncio.timeout(timeout):
            page: Any = await client.post(
                f"{url.removesuffix('/v1')}/detokenize",
                body={"model": model, "tokens": list(tokens)},
                cast_to=object,
            )
    except (openai.OpenAIError, TimeoutError):
        return None
    prompt = page.get("prompt") if isinstance(page, Mapping) else None
    return prompt if isinstance(prompt, str) else None


def _words(error: VLLMError) -> str:
    """What the server said, without what our own errors advise."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("error") or body.get("detail")
    text = " ".join(str(body or error).split())
    return text if len(text) <= _MAX_WORDS else f"{text[:_MAX_WORDS]}..."
