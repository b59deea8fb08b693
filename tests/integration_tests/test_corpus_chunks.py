"""Every recorded stream, with its deltas told one by one and together: the sum is the same."""

from collections.abc import Iterator
from functools import reduce
from operator import add
from random import Random
from typing import Any

import httpx2
import pytest

from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import Recording
from langchain_toolstream.vllm import VLLMEmptyOutputError
from langchain_toolstream.vllm.output.chunks import ChunkBuilder
from langchain_toolstream.vllm.request.payload import without_parameters
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.body import Body
from tests.integration_tests.test_corpus import FILES, ended_quietly, records
from tests.unit_tests.vllm.response.test_answer import as_streamed
from tests.unit_tests.vllm.response.test_body import told

SSE = httpx2.Response(200, headers={"content-type": "text/event-stream"})


def cut(wire: bytes, seed: str) -> Iterator[bytes]:
    """Reads of up to a few events, as a busy client gets them."""
    random = Random(seed)  # noqa: S311
    while wire:
        size = random.randint(1, 2000)
        yield wire[:size]
        wire = wire[size:]


def total(record: dict[str, Any], recording: Recording, *, coalesce: bool) -> Any:
    reader = AnswerReader(
        no_parameters=without_parameters(record), max_tokens=record.get("max_tokens")
    )
    body = Body(reader, coalesce=coalesce)
    builder = ChunkBuilder(reader)
    chunks = []
    error = ""
    try:
        for data in cut(recording.body, f"{recording.id} {coalesce}"):
            for events in body.feed(data):
                chunks += builder.build(events)
        chunks += builder.build(body.close(SSE, ""))
    except (StreamInterruptedError, VLLMEmptyOutputError) as problem:
        error = f"{type(problem).__name__}: {problem}"
    return len(chunks), error, told(reduce(add, map(as_streamed, chunks))) if chunks else ""


@pytest.mark.parametrize("name", FILES)
def test_the_sum_is_the_same(name: str) -> None:
    fewer = 0
    for record, recording in zip(records(name), ended_quietly(name), strict=True):
        one_by_one, *expected = total(record, recording, coalesce=False)
        together, *found = total(record, recording, coalesce=True)
        assert found == expected, record["id"]
        assert together <= one_by_one, record["id"]
        fewer += together < one_by_one
    assert fewer
