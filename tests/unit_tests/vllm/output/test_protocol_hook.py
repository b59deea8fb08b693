"""What langchain-core has to go on doing with the hooks by which `ChatVLLM` emits v3 events.

They are not public yet. When one of these tests fails, langchain-core has changed them: look at
`BaseChatModel._iter_v2_events` and `ChatModelStream.dispatch`, then at `vllm/_protocol.py`.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, get_args, get_type_hints

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler
from langchain_protocol import protocol
from pydantic import Field

from langchain_toolstream import ChatVLLM
from langchain_toolstream.core.errors import ServerStreamError

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

EVENTS: list[Any] = [
    {"event": "message-start", "role": "ai", "id": "", "metadata": {"provider": "vllm"}},
    {
        "event": "content-block-start",
        "index": 0,
        "content": {"type": "tool_call_chunk", "id": "a", "name": "look", "args": "", "index": 0},
    },
    {
        "event": "content-block-delta",
        "index": 0,
        "delta": {"type": "tool-call-delta", "args": "{}"},
    },
    {
        "event": "content-block-start",
        "index": 1,
        "content": {"type": "tool_call_chunk", "id": "b", "name": "look", "args": "", "index": 1},
    },
    {
        "event": "content-block-finish",
        "index": 0,
        "content": {"type": "tool_call", "id": "a", "name": "look", "args": {}},
    },
    {
        "event": "content-block-finish",
        "index": 1,
        "content": {
            "type": "invalid_tool_call", "id": "b", "name": "look", "args": "{", "error": "cut",
        },
    },
    {
        "event": "message-finish",
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        "metadata": {"finish_reason": "length"},
        "additional_kwargs": {"reasoning_content": "Hm."},
    },
]  # fmt: skip


class Hooked(BaseChatModel):
    """A model with the hooks, that keeps how they were called."""

    calls: list[Any] = Field(default_factory=list)
    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "hooked"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("the hook should have been asked")

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        raise AssertionError("the hook should have been asked")

    def _events(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.calls.append((args, kwargs))
        yield from EVENTS[:4]
        if self.fails:
            msg = "out of luck"
            raise ServerStreamError(msg)
        yield from EVENTS[4:]

    def _stream_chat_model_events(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from self._events(*args, **kwargs)

    async def _astream_chat_model_events(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for event in self._events(*args, **kwargs):
            yield event


class Handler(BaseCallbackHandler, _V2StreamingCallbackHandler):
    """What langgraph attaches; it makes `invoke` take the hook."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)


async def stream_events(llm: Hooked) -> tuple[list[Any], AIMessage]:
    stream = llm.stream_events("go", version="v3", stop=["x"], seed=1)
    return list(stream), stream.output


async def astream_events(llm: Hooked) -> tuple[list[Any], AIMessage]:
    stream = await llm.astream_events("go", version="v3", stop=["x"], seed=1)
    events = [event async for event in stream]
    return events, await stream


async def invoke(llm: Hooked) -> tuple[list[Any], AIMessage]:
    handler = Handler()
    message = llm.invoke("go", {"callbacks": [handler]}, stop=["x"], seed=1)
    return handler.events, message


async def ainvoke(llm: Hooked) -> tuple[list[Any], AIMessage]:
    handler = Handler()
    message = await llm.ainvoke("go", {"callbacks": [handler]}, stop=["x"], seed=1)
    return handler.events, message


roads = pytest.mark.parametrize("road", [stream_events, astream_events, invoke, ainvoke])


@roads
async def test_core_asks_the_hook(road: Callable[[Hooked], Any]) -> None:
    llm = Hooked()
    events, message = await road(llm)
    assert events == EVENTS
    (((messages,), kwargs),) = llm.calls
    assert messages == [HumanMessage("go")]
    manager = kwargs.pop("run_manager")
    assert kwargs == {"stop": ["x"], "seed": 1}
    is_async = road in (astream_events, ainvoke)
    kind = AsyncCallbackManagerForLLMRun if is_async else CallbackManagerForLLMRun
    assert isinstance(manager, kind)
    assert message.id == f"lc_run--{manager.run_id}"


@roads
async def test_core_makes_the_message_of_the_events(road: Callable[[Hooked], Any]) -> None:
    _, message = await road(Hooked())
    assert message.tool_calls == [{"name": "look", "args": {}, "id": "a", "type": "tool_call"}]
    (invalid,) = message.invalid_tool_calls
    assert (invalid["id"], invalid["args"], invalid["error"]) == ("b", "{", "cut")
    assert message.usage_metadata == EVENTS[-1]["usage"]
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_provider"] == "vllm"
    assert message.additional_kwargs == {"reasoning_content": "Hm."}


@roads
async def test_core_lets_our_error_through(road: Callable[[Hooked], Any]) -> None:
    with pytest.raises(ServerStreamError, match="out of luck"):
        await road(Hooked(fails=True))


@pytest.mark.parametrize("name", ["_stream_chat_model_events", "_astream_chat_model_events"])
def test_core_has_no_hook_of_its_own_yet(name: str) -> None:
    """When it has, ours has to fit it, and `BaseChatOpenAI`'s must not come before ours."""
    assert not hasattr(BaseChatModel, name)
    assert name in vars(ChatVLLM)


def test_our_hooks_take_what_our_streams_take() -> None:
    def parameters(function: Any) -> list[Any]:
        return list(inspect.signature(function).parameters.values())

    assert parameters(ChatVLLM._stream_chat_model_events) == parameters(ChatVLLM._stream)
    assert parameters(ChatVLLM._astream_chat_model_events) == parameters(ChatVLLM._astream)


def test_the_protocol_has_the_events_and_deltas_that_we_know() -> None:
    def names(union: Any, key: str) -> set[str]:
        return {word for each in get_args(union) for word in get_args(get_type_hints(each)[key])}

    assert names(protocol.MessagesData, "event") == {
        "message-start",
        "content-block-start",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
        "error",
    }
    assert names(protocol.ContentBlockDelta, "type") >= {
        "text-delta",
        "reasoning-delta",
        "tool-call-delta",
    }
