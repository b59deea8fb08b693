"""One request to the server and the events of its answer, for both kinds of client."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import openai

from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import Event
from langchain_toolstream.vllm.errors import VLLMEmptyOutputError
from langchain_toolstream.vllm.refusals import clear_errors
from langchain_toolstream.vllm.request.payload import token_limit, without_parameters
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.body import Body
from langchain_toolstream.vllm.response.left_in_text import LeftInText
from langchain_toolstream.vllm.response.markup import MarkupChunks
from langchain_toolstream.vllm.response.read_ahead import ReadAhead, areads, idle_timeout, reads
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
    """

    payload: dict[str, Any]
    reader: AnswerReader
    is_named: bool
    base_url: str
    coalesce: bool
    silence: float | None

    def events(
        self, client: Any, find_model: Callable[[], str]
    ) -> Generator[list[tuple[int, Event]]]:
        """Send the request and read the answer.

        Args:
            client: The SDK's `chat.completions`.
            find_model: Names a model where the request does not, or where the server does not have
                the one any more that it found before.

        Yields:
            What became known together, with the index of its choice.

        Raises:
            VLLMError: The server refused the request, or its answer broke off.
        """
        with self._clear_errors(), ExitStack() as stack:
            self.payload["model"] = self.payload["model"] or find_model()
            try:
                answer = stack.enter_context(self._send(client))
            except openai.NotFoundError as error:
                if not self._is_gone(error) or (name := find_model()) == self.payload["model"]:
                    raise
                self.payload["model"] = name
                answer = stack.enter_context(self._send(client))
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

    async def aevents(
        self, client: Any, find_model: Callable[[], Awaitable[str]]
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        """`events`, asynchronously."""
        headers = {**ONE_LOOP, **(self.payload.get("extra_headers") or {})}
        with self._clear_errors():
            async with AsyncExitStack() as stack:
                self.payload["model"] = self.payload["model"] or await find_model()
                try:
                    answer = await stack.enter_async_context(
                        self._send(client, extra_headers=headers)
                    )
                except openai.NotFoundError as error:
                    found = await find_model() if self._is_gone(error) else self.payload["model"]
                    if found == self.payload["model"]:
                        raise
                    self.payload["model"] = found
                    answer = await stack.enter_async_context(
                        self._send(client, extra_headers=headers)
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

    def _send(self, client: Any, **options: Any) -> Any:
        return client.with_streaming_response.create(**{**self.payload, **options})

    def _is_gone(self, error: openai.NotFoundError) -> bool:
        """Whether the server no longer has the model that it had when it was asked for one."""
        return not self.is_named and self.payload["model"] in str(error.body)

    def _body(self) -> Body:
        return Body(self.reader, coalesce=self.coalesce)

    def _idle_timeout(self, response: Any) -> Any:
        return idle_timeout(response, self.reader, self.payload["model"], self.silence)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            with clear_errors(self.base_url):
                yield
        except (StreamInterruptedError, VLLMEmptyOutputError) as error:
            error.partial_message = self.reader.abort(str(error))
            raise


def answer_reader(
    payload: dict[str, Any],
    *,
    passed: bool = False,
    markup: MarkupChunks | LeftInText | None = None,
) -> AnswerReader:
    """Make what reads the answer to a request.

    Args:
        payload: The request.
        passed: As for `ToolCallAssembler`.
        markup: As for `AnswerReader`.
    """
    return AnswerReader(
        no_parameters=without_parameters(payload),
        max_tokens=token_limit(payload),
        passed=passed,
        hides_reasoning=payload.get("extra_body", {}).get("include_reasoning") is False,
        several=payload.get("n") not in (None, 1),
        markup=markup,
    )
