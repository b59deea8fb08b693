"""A chat model that says what it was told to, and the words to tell it with."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import count
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

Call = ToolCall | InvalidToolCall

PATIENCE = 20
"""Seconds after which what a test waits for will not come any more."""


class ScriptedChat(BaseChatModel):
    """Streams its chunks; `invoke` adds them up as every LangChain model does."""

    chunks: list[AIMessageChunk]
    error: Exception | None = None
    """Raised behind the last chunk."""
    produced: int = 0
    """How many chunks were asked for, over all streams."""
    closed: int = 0
    """How many streams ended, in whatever way."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind tools as every integration does."""
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        try:
            yield from self._say()
        finally:
            self.closed += 1

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        # Not LangChain's default, which runs `_stream` in threads and cannot close it.
        try:
            for chunk in self._say():
                yield chunk
        finally:
            self.closed += 1

    def _say(self) -> Iterator[ChatGenerationChunk]:
        for chunk in self.chunks:
            self.produced += 1
            # BaseChatModel writes ids and v1 content into the chunks it streams.
            yield ChatGenerationChunk(message=chunk.model_copy(deep=True))
        if self.error is not None:
            raise self.error

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))


def chunk(
    *calls: ToolCallChunk, content: str | list[str | dict[Any, Any]] = "", **metadata: Any
) -> AIMessageChunk:
    """A chunk with fragments of calls; keywords become its `response_metadata`."""
    return AIMessageChunk(content=content, tool_call_chunks=list(calls), response_metadata=metadata)


def part(
    args: str | None = None,
    *,
    index: int | None = 0,
    call_id: str | None = None,
    name: str | None = None,
) -> ToolCallChunk:
    """A fragment of a call."""
    return tool_call_chunk(name=name, args=args, id=call_id, index=index)


def written(
    index: int, call_id: str, name: str, args: str, *, size: int = 4
) -> list[AIMessageChunk]:
    """A call as OpenAI-compatible servers stream it: its head, then its arguments in pieces."""
    pieces = [args[at : at + size] for at in range(0, len(args), size)]
    return [
        chunk(part("", index=index, call_id=call_id, name=name)),
        *(chunk(part(piece, index=index)) for piece in pieces),
    ]


def good(call_id: str | None, name: str, /, **args: Any) -> ToolCall:
    """A call that may run."""
    return tool_call(name=name, args=args, id=call_id)


def bad(
    call_id: str | None, name: str, args: str = "", error: str | None = "It is none."
) -> InvalidToolCall:
    """A call that may not."""
    return invalid_tool_call(name=name, args=args, id=call_id, error=error)


def shape(calls: list[Call]) -> list[tuple[str, str | None]]:
    """Which calls, good or not, in which order; without the wording of errors."""
    return [(str(call["type"]), call["id"]) for call in calls]


async def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it comes while the event loop turns, which closes dropped async generators."""
    deadline = time.monotonic() + PATIENCE
    for turn in count(1):
        if condition():
            return True
        if time.monotonic() > deadline:
            return False
        if turn % 20 == 0:
            gc.collect()
        await asyncio.sleep(0)
    return False


def pass_time(seconds: float) -> None:
    """Put the clock of the event loop forward: a timeout is due the moment the test is ready.

    Less than `PATIENCE`, or what the test waits for meanwhile is given up too.
    """
    loop: Any = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds
