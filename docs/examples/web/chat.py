"""A conversation with an agent: what it may not do unasked, it asks for."""

import re
from collections.abc import AsyncIterator
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

    async def say(self, said: Say) -> AsyncIterator[bytes]:
        """Raises: Busy."""
        state = await self._state(said.thread)
        if state.interrupts:
            raise Busy("A question is open: answer it first.")
        message = HumanMessage(said.prompt, id=str(uuid4()))
        return self._run(said.thread, {"messages": [message]})

    async def answer(self, answer: Answer) -> AsyncIterator[bytes]:
        """Raises: Busy, ResumeError."""
        state = await self._state(answer.thread)
        return self._run(answer.thread, resume_command(state, answer.decisions, tools=TOOLS))

    async def shown(self, thread: str) -> list[dict[str, Any]]:
        """What a page shows when it is opened again."""
        state = await self._agent.aget_state(self._config(thread))
        messages = state.values.get("messages", [])
        return ai_sdk_messages(messages, interrupts=state.interrupts, client=6, show_errors=True)

    def _config(self, thread: str) -> Any:
        return {"configurable": {"thread_id": thread}}

    async def _state(self, thread: str) -> Any:
        if self._running.get(thread):
            raise Busy("The conversation is going on already.")
        return await self._agent.aget_state(self._config(thread))

    async def _run(self, thread: str, given: Any) -> AsyncIterator[bytes]:
        self._running.pop(thread, None)
        self._running[thread] = True
        for old in [*self._running][:-MAX_CONVERSATIONS]:
            if not self._running[old]:
                del self._running[old]
                await self._saver.adelete_thread(old)
        try:
            events = tool_events(self._agent, given, self._config(thread), tools=TOOLS)
            async for piece in to_sse(events, show_errors=True):
                yield piece
        finally:
            self._running[thread] = False
