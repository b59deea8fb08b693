"""One request to the server and the events of its answer, for both kinds of client."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    aclosing,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from typing import Any

import openai

from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import Event
from langchain_toolstream.vllm.errors import VLLMEmptyOutputError, VLLMError
from langchain_toolstream.vllm.questions import Question, aanswered, answered
from langchain_toolstream.vllm.refusals import clear_errors
from langchain_toolstream.vllm.request.payload import token_limit, without_parameters
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.body import Body
from langchain_toolstream.vllm.response.left_in_text import LeftInText
from langchain_toolstream.vllm.response.markup import MarkupChunks
from langchain_toolstream.vllm.response.read_ahead import ReadAhead, areads, idle_timeout, reads
from langchain_toolstream.vllm.response.resume import Request, Resumption
from langchain_toolstream.vllm.response.roads import ClientReading
from langchain_toolstream.vllm.server import ONE_LOOP


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStream:
    """One request, and how its answer is read.

    Args:
        payload: The request, as the SDK's client takes it.
        reader: Reads the answer's bytes; see `answer_reader`.
        is_named: Whether the model was given, and not found at the server.
        base_url: Where the request goes.
        coalesce: As for `ChatVLLM`.
        silence: For how many seconds nothing may come in a streamed answer; `None` for no limit.
        resumption: What goes on with an answer that breaks off, if that may be.
        reading: How it is asked for so that the client can read it, where it does.
    """

    payload: dict[str, Any]
    reader: AnswerReader
    is_named: bool
    base_url: str
    coalesce: bool
    silence: float | None
    resumption: Resumption | None = None
    reading: ClientReading | None = None

    def events(
        self, client: Any, find_model: Callable[[], str], ask: Callable[[Question], Any]
    ) -> Generator[list[tuple[int, Event]]]:
        """Send the request and read the answer.

        Args:
            client: The SDK's `chat.completions`.
            find_model: Names a model where the request does not, or where the server does not have
                the one any more that it found before.
            ask: Answers what has to be known before a broken answer goes on.

        Returns:
            What became known together, with the index of its choice, as it comes.

        Raises:
            VLLMError: The server refused the request, or its answer broke off.
        """
        if self.resumption is None:
            return self._exchange(client, find_model, Request(self.payload))
        return self._exchanges(self.resumption, client, find_model, ask)

    def aevents(
        self,
        client: Any,
        find_model: Callable[[], Awaitable[str]],
        ask: Callable[[Question], Awaitable[Any]],
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        """`events`, asynchronously."""
        if self.resumption is None:
            return self._aexchange(client, find_model, Request(self.payload))
        return self._aexchanges(self.resumption, client, find_model, ask)

    def _exchanges(
        self,
        resumption: Resumption,
        client: Any,
        find_model: Callable[[], str],
        ask: Callable[[Question], Any],
    ) -> Generator[list[tuple[int, Event]]]:
        request = Request(self.payload)
        with self._keep_partial():
            while True:
                try:
                    yield from self._exchange(client, find_model, request)
                except VLLMError as error:
                    broke = error
                else:
                    return
                if resumption.is_whole(broke, is_glued=self.reader.is_glued):
                    yield self.reader.close()
                    return
                plan = resumption.plan(broke, is_glued=self.reader.is_glued)
                request = answered(plan, ask)
                self.reader.reopen(kept=resumption.given.kept)

    async def _aexchanges(
        self,
        resumption: Resumption,
        client: Any,
        find_model: Callable[[], Awaitable[str]],
        ask: Callable[[Question], Awaitable[Any]],
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        request = Request(self.payload)
        with self._keep_partial():
            while True:
                try:
                    async with aclosing(self._aexchange(client, find_model, request)) as batches:
                        async for events in batches:
                            yield events
                except VLLMError as error:
                    broke = error
                else:
                    return
                if resumption.is_whole(broke, is_glued=self.reader.is_glued):
                    yield self.reader.close()
                    return
                plan = resumption.plan(broke, is_glued=self.reader.is_glued)
                request = await aanswered(plan, ask)
                self.reader.reopen(kept=resumption.given.kept)

    def _exchange(
        self, client: Any, find_model: Callable[[], str], request: Request
    ) -> Generator[list[tuple[int, Event]]]:
        payload = request.payload
        with self._clear_errors(), ExitStack() as stack:
            payload["model"] = payload["model"] or find_model()
            try:
                answer = stack.enter_context(_send(client, request))
            except openai.NotFoundError as error:
                if not self._is_gone(error, payload) or (name := find_model()) == payload["model"]:
                    raise
                payload["model"] = name
                answer = stack.enter_context(_send(client, request))
            response = answer.http_response
            body = self._body()
            with (
                self._idle_timeout(response),
                closing(reads(response, silence=self.silence)) as pieces,
            ):
                for data in pieces:
                    yield from body.feed(data)
                    if self.reader.done:
                        break
            yield body.close(response, self.base_url)

    async def _aexchange(
        self, client: Any, find_model: Callable[[], Awaitable[str]], request: Request
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        payload = request.payload
        headers = {**ONE_LOOP, **(payload.get("extra_headers") or {})}
        with self._clear_errors():
            async with AsyncExitStack() as stack:
                payload["model"] = payload["model"] or await find_model()
                try:
                    answer = await stack.enter_async_context(
                        _send(client, request, extra_headers=headers)
                    )
                except openai.NotFoundError as error:
                    gone = self._is_gone(error, payload)
                    found = await find_model() if gone else payload["model"]
                    if found == payload["model"]:
                        raise
                    payload["model"] = found
                    answer = await stack.enter_async_context(
                        _send(client, request, extra_headers=headers)
                    )
                response = answer.http_response
                body = self._body()
                with self._idle_timeout(response):
                    async with ReadAhead(areads(response), silence=self.silence) as ahead:
                        while data := await ahead.take():
                            received = self.reader.received
                            for events in body.feed(data):
                                yield events
                            if self.reader.done:
                                break
                            if self.reader.received > received:
                                ahead.heard()
                yield body.close(response, self.base_url)

    def _is_gone(self, error: openai.NotFoundError, payload: dict[str, Any]) -> bool:
        """Whether the server no longer has the model that it had when it was asked for one."""
        return not self.is_named and payload["model"] in str(error.body)

    def _body(self) -> Body:
        return Body(self.reader, coalesce=self.coalesce)

    def _idle_timeout(self, response: Any) -> Any:
        return idle_timeout(response, self.reader, self.payload["model"], self.silence)

    def _clear_errors(self) -> AbstractContextManager[None]:
        return self._partial_errors() if self.resumption is None else clear_errors(self.base_url)

    @contextmanager
    def _partial_errors(self) -> Iterator[None]:
        with self._keep_partial(), clear_errors(self.base_url):
            yield

    @contextmanager
    def _keep_partial(self) -> Iterator[None]:
        try:
            yield
        except (StreamInterruptedError, VLLMEmptyOutputError) as error:
            error.partial_message = self.reader.abort(str(error))
            raise


def _send(client: Any, request: Request, **options: Any) -> Any:
    if request.is_text:
        client = client._client.completions  # noqa: SLF001 - the SDK's client, of its resource
    return client.with_streaming_response.create(**{**request.payload, **options})


def answer_reader(
    payload: dict[str, Any],
    *,
    passed: bool = False,
    markup: MarkupChunks | LeftInText | None = None,
    resumption: Resumption | None = None,
) -> AnswerReader:
    """Make what reads the answer to a request.

    Args:
        payload: The request.
        passed: As for `ToolCallAssembler`.
        markup: As for `AnswerReader`.
        resumption: Likewise.
    """
    return AnswerReader(
        no_parameters=without_parameters(payload),
        max_tokens=token_limit(payload),
        passed=passed,
        hides_reasoning=payload.get("extra_body", {}).get("include_reasoning") is False,
        several=payload.get("n") not in (None, 1),
        markup=markup,
        resumption=resumption,
    )
