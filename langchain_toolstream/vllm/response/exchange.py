"""The half of `ChatVLLM` that sends a request, and reads what comes."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.core.events import Event
from langchain_toolstream.schema.tool_schema import tool_schemas
from langchain_toolstream.vllm.errors import VLLMEmptyOutputError
from langchain_toolstream.vllm.refusals import clear_errors
from langchain_toolstream.vllm.request.payload import token_limit
from langchain_toolstream.vllm.response.answer import Reading
from langchain_toolstream.vllm.response.body import Body
from langchain_toolstream.vllm.response.read_ahead import ReadAhead, areads, idle_timeout, reads
from langchain_toolstream.vllm.server import ONE_LOOP, VLLMServerSide


class VLLMExchange(VLLMServerSide):
    """How a request goes out and its answer comes in, for both kinds of client."""

    coalesce: bool = True
    """Whether deltas that are ready together leave as one chunk.

    None of them waits for another, and the sum is the same. It counts where a consumer is slower
    than the server, and costs least when it does. `False`: one chunk for each event of the server
    that tells anything. Sync, there is one chunk for each HTTP chunk, mostly one event, either way:
    only an event loop can tell what is ready without waiting for it.
    """

    def _read(
        self, payload: dict[str, Any], reading: Reading
    ) -> Generator[list[tuple[int, Event]]]:
        self._ensure_sync_client_available()
        base_url = str(self.openai_api_base)
        with _partial_message(reading), clear_errors(base_url):
            if not payload["model"]:
                payload["model"] = self._name_model()
            with self.client.with_streaming_response.create(**payload) as answer:
                response = answer.http_response
                body = Body(response.headers, reading, coalesce=self.coalesce)
                silence = self.stream_chunk_timeout if payload["stream"] else None
                with (
                    idle_timeout(response, reading, payload["model"], silence),
                    closing(reads(response, silence=silence)) as pieces,
                ):
                    for data in pieces:
                        yield from body.feed(data)
                        if reading.done:
                            break
                yield body.close(response, base_url)

    async def _aread(
        self, payload: dict[str, Any], reading: Reading
    ) -> AsyncGenerator[list[tuple[int, Event]]]:
        base_url = str(self.openai_api_base)
        with _partial_message(reading), clear_errors(base_url):
            if not payload["model"]:
                payload["model"] = await self._aname_model()
            headers = {**ONE_LOOP, **(payload.pop("extra_headers", None) or {})}
            async with self.async_client.with_streaming_response.create(
                **payload, extra_headers=headers
            ) as answer:
                response = answer.http_response
                body = Body(response.headers, reading, coalesce=self.coalesce)
                silence = self.stream_chunk_timeout if payload["stream"] else None
                with idle_timeout(response, reading, payload["model"], silence):
                    async with ReadAhead(areads(response), silence=silence) as ahead:
                        while data := await ahead.take():
                            received = reading.received
                            for events in body.feed(data):
                                yield events
                            if reading.done:
                                break
                            if reading.received > received:
                                ahead.heard()
                yield body.close(response, base_url)


def reading_of(payload: dict[str, Any], *, passed: bool = False) -> Reading:
    """Make what reads the answer to a request.

    Args:
        payload: The request.
        passed: As for `ToolCallAssembler`.
    """
    # vLLM takes two tools of one name; the last one decides.
    tools = {str(tool.get("function", tool).get("name")): tool for tool in payload.get("tools", ())}
    # Tools convert what a model writes ("3" for an integer), so that is no reason to refuse here.
    schemas = tool_schemas(tools.values(), coerce=True) if tools else None
    hides = payload.get("extra_body", {}).get("include_reasoning") is False
    return Reading(schemas, max_tokens=token_limit(payload), passed=passed, hides_reasoning=hides)


@contextmanager
def _partial_message(reading: Reading) -> Iterator[None]:
    try:
        yield
    except (StreamInterruptedError, VLLMEmptyOutputError) as error:
        error.partial_message = reading.abort(str(error))
        raise
