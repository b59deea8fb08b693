"""A chat model whose stream waits where the test says, and tools that say what becomes of them.

Nothing sleeps. A turn of the model is a list of chunks and of things to do between them: an event
to wait for, a function to call, an error to raise.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from inspect import isawaitable
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_toolstream.agents import EagerToolMiddleware
from tests.unit_tests.scripted import PATIENCE, chunk, written

Event = asyncio.Event | threading.Event
Step = AIMessageChunk | Event | Exception | Callable[[], Any]
Turn = list[Step]

INPUT = {"messages": [("user", "Go on.")]}
SAID = chunk(content="Done.", finish_reason="stop")
CALLS = chunk(finish_reason="tool_calls")
CUT = chunk(finish_reason="length")


async def settle() -> None:
    """Let what was started start, and what may not start show itself."""
    for _ in range(50):
        await asyncio.sleep(0)


class GatedChat(BaseChatModel):
    """Says its turns one after the other."""

    turns: list[Any]
    asked: list[Any] = Field(default_factory=list)
    """What it was asked, turn by turn."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind tools as every integration does."""
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "gated"

    def _next_turn(self, messages: list[BaseMessage]) -> Turn:
        self.asked.append(list(messages))
        turn: Turn = self.turns[len(self.asked) - 1]
        return turn

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for step in self._next_turn(messages):
            if isinstance(step, threading.Event):
                assert step.wait(PATIENCE)
            elif isinstance(said := _done(step), AIMessageChunk):
                yield ChatGenerationChunk(message=said)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for step in self._next_turn(messages):
            if isinstance(step, asyncio.Event):
                await asyncio.wait_for(step.wait(), PATIENCE)
            elif isinstance(said := _done(step), AIMessageChunk):
                yield ChatGenerationChunk(message=said)
            elif isawaitable(said):
                await said

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))


def _done(step: Any) -> Any:
    if isinstance(step, Exception):
        raise step
    # BaseChatModel writes ids and v1 content into the chunks it streams.
    return step.model_copy(deep=True) if isinstance(step, AIMessageChunk) else step()


class Tools:
    """The tools `read` and `write`, whose calls are named by letters; each works until its gate
    opens, and all gates are open unless the test closes them."""

    def __init__(self, event: type[Event] = asyncio.Event, *, closed: str = "") -> None:
        self.started: dict[str, Any] = {key: event() for key in "abcdef"}
        self.finished: dict[str, Any] = {key: event() for key in "abcdef"}
        self.gates: dict[str, Any] = {key: event() for key in "abcdef"}
        for key in set("abcdef") - set(closed):
            self.gates[key].set()
        self.runs: list[str] = []
        self.cancelled: list[str] = []
        self.fails: dict[str, Exception] = {}

    async def arun(self, key: str) -> tuple[str, str]:
        """Work until the gate opens."""
        self._begin(key)
        try:
            await asyncio.wait_for(self.gates[key].wait(), PATIENCE)
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        return self._end(key)

    def run(self, key: str) -> tuple[str, str]:
        """Work until the gate opens."""
        self._begin(key)
        assert self.gates[key].wait(PATIENCE)
        return self._end(key)

    def _begin(self, key: str) -> None:
        self.runs.append(key)
        self.started[key].set()

    def _end(self, key: str) -> tuple[str, str]:
        self.finished[key].set()
        if key in self.fails:
            raise self.fails[key]
        return f"{key} done", key.upper()

    def tool(self, name: str = "read", **kwargs: Any) -> BaseTool:
        """A tool of either kind, after the kind of the events."""
        is_async = isinstance(self.gates["a"], asyncio.Event)
        functions: Any = {"coroutine": self.arun} if is_async else {"func": self.run}
        return StructuredTool.from_function(
            **functions, name=name, response_format="content_and_artifact", **kwargs
        )


def call(index: int, key: str, name: str = "read") -> list[Any]:
    """A call as it is streamed."""
    return written(index, f"call_{key}", name, f'{{"key": "{key}"}}')


def agent_of(
    turns: list[Turn], tools: list[Any], *others: Any, eager: Any = True, **kwargs: Any
) -> Any:
    """An agent whose `read` is read-only."""
    if eager is True:
        eager = EagerToolMiddleware(read_only=lambda tool: tool.name == "read")
    own = [eager] if eager else []
    model = GatedChat(turns=turns)
    return create_agent(model, tools, middleware=[*others, *own], **kwargs)


def answers(state: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the tools answered, in the order of the state."""
    return [
        (m.tool_call_id, m.name, m.content, m.artifact, m.status)
        for m in state["messages"]
        if isinstance(m, ToolMessage)
    ]


def done(*keys: str, name: str = "read") -> list[tuple[Any, ...]]:
    """What the tools answer when all is well."""
    return [(f"call_{key}", name, f"{key} done", key.upper(), "success") for key in keys]
