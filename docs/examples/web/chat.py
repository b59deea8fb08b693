"""A conversation with an agent: what it may not do unasked, it asks for."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

from langchain_toolstream import ChatVLLM, ai_sdk_messages, resume_command, to_sse, tool_events

from .tools import TOOLS  # noqa: TID252 - it runs from a clone and from the package

CHAT_EXAMPLES = [
    "Write a poem about winter to poem.txt.",
    "What is the weather in Paris?",
    "Search for river poems.",
    "Write a poem about river to river.txt.",
]
GATED = ("write_file", "plan_trip")
MAX_CONVERSATIONS = 100


class Say(BaseModel):
    thread: str = Field(pattern=r"^[\w-]{1,50}$")
    prompt: str = Field(min_length=1, max_length=10_000)


class Answer(BaseModel):
    thread: str = Field(pattern=r"^[\w-]{1,50}$")
    decisions: dict[str, Any]


class Busy(Exception):  # noqa: N818 - a 409, not a failure
    """The conversation cannot go on like this; its text says why."""


class Recorded(AgentMiddleware[Any, Any, Any]):
    """Names the recording that answers as the model, whatever was said before.

    The first answer to a prompt has the prompt's own recording, the next one that of what was
    decided: the recorded model read the same result, unless a person changed the arguments.
    """

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        update = {"model_name": recording_id(request.messages)}
        return await handler(request.override(model=request.model.model_copy(update=update)))


def recording_id(messages: list[Any]) -> str:
    at = max(at for at, one in enumerate(messages) if isinstance(one, HumanMessage))
    prompt = re.sub(r"\W+", "_", messages[at].text.lower()).strip("_")
    results = [one for one in messages[at:] if isinstance(one, ToolMessage)]
    if not results:
        return f"chat_{prompt}"
    return f"chat_{prompt}_{'refused' if results[-1].status == 'error' else 'done'}"


class Conversations:
    """Conversations with one agent, in memory."""

    def __init__(self, llm: ChatVLLM, *more: AgentMiddleware[Any, Any, Any]) -> None:
        asking: Any = HumanInTheLoopMiddleware(interrupt_on=dict.fromkeys(GATED, True))
        self._saver = InMemorySaver()
        self._agent = create_agent(
            llm, [*TOOLS], middleware=[asking, *more], checkpointer=self._saver
        )
        self._running: dict[str, bool] = {}  # conversations, the oldest first

    async def say(self, said: Say) -> AsyncGenerator[bytes]:
        """Raises: Busy."""

        def given(state: Any) -> Any:
            if state.interrupts:
                raise Busy("A question is open: answer it first.")
            return {"messages": [HumanMessage(said.prompt, id=str(uuid4()))]}

        return await self._start(said.thread, given)

    async def answer(self, answer: Answer) -> AsyncGenerator[bytes]:
        """Raises: Busy, ResumeError."""

        def given(state: Any) -> Any:
            return resume_command(state, answer.decisions, tools=TOOLS)

        return await self._start(answer.thread, given)

    async def shown(self, thread: str) -> list[dict[str, Any]]:
        """What a page shows when it is opened again."""
        state = await self._agent.aget_state(self._config(thread))
        messages = state.values.get("messages", [])
        return ai_sdk_messages(messages, interrupts=state.interrupts, client=6, show_errors=True)

    def _config(self, thread: str) -> Any:
        return {"configurable": {"thread_id": thread}}

    async def _start(self, thread: str, given: Callable[[Any], Any]) -> AsyncGenerator[bytes]:
        body = self._run(thread, given)
        # From here on the conversation is busy, until the body ends, also if nobody reads it.
        await anext(body)
        return body

    async def _run(self, thread: str, given: Callable[[Any], Any]) -> AsyncGenerator[bytes]:
        if self._running.get(thread):
            raise Busy("The conversation is going on already.")
        self._running.pop(thread, None)
        self._running[thread] = True
        try:
            for old in [*self._running][:-MAX_CONVERSATIONS]:
                if not self._running[old]:
                    del self._running[old]
                    await self._saver.adelete_thread(old)
            config = self._config(thread)
            events = tool_events(
                self._agent, given(await self._agent.aget_state(config)), config, tools=TOOLS
            )
            yield b""  # for `_start`
            async with aclosing(to_sse(events, show_errors=True)) as body:
                async for piece in body:
                    yield piece
        finally:
            self._running[thread] = False
