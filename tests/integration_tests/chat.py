"""What one recording gives on each of a chat model's roads, in a form that can be compared."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser
from langchain_toolstream.core.errors import StreamInterruptedError
from langchain_toolstream.testing import Recording, ReplayServer

Model = Runnable[Any, Any]

QUESTION = "What is 3 * 12?"


def chat(server: ReplayServer, recording: Recording | str, **fields: Any) -> ChatVLLM:
    """A model that is answered by one recording, and is not patient."""
    model = recording
    if not isinstance(recording, str):
        model = recording.id
        if (recording.request or {}).get("tool_choice") == "none":  # calls in its text are text
            fields = {"model_kwargs": {"tool_choice": "none"}, **fields}
    return ChatVLLM(**{"base_url": server.base_url, "model": model, "max_retries": 0, **fields})


def schemas(recording: Recording) -> list[dict[str, Any]]:
    """The tools of the recorded request; each name once, or no call could be told apart."""
    tools = (recording.request or {}).get("tools") or []
    return list({tool["function"]["name"]: tool for tool in tools}.values())


def bound(server: ReplayServer, recording: Recording) -> Model:
    """The model of a recording, with the tools of its request."""
    llm = chat(server, recording)
    return llm.bind_tools(tools) if (tools := schemas(recording)) else llm


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A message, or how it broke off."""

    tool_calls: tuple[Any, ...] = ()
    invalid_tool_calls: tuple[Any, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    text: str = ""
    reasoning: str = ""
    usage: tuple[int, int, int] | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    error: str = ""


def outcome(message: AIMessage, recording: Recording) -> Outcome:
    """What a message says, however it was made."""

    def known(call_id: str | None) -> str:
        # Where the server gave no id, each reading makes its own.
        assert call_id
        return call_id if call_id.encode() in recording.body else "made"

    metadata = message.response_metadata
    told = metadata.get("invalid_tool_calls", {})
    usage = message.usage_metadata
    return Outcome(
        tool_calls=tuple(
            (known(call["id"]), call["name"], repr(call["args"])) for call in message.tool_calls
        ),
        invalid_tool_calls=tuple(
            (known(call["id"]), call["name"] or "") for call in message.invalid_tool_calls
        ),
        reasons=tuple(
            (known(call["id"]), told.get(call["id"]) or call["error"])
            for call in message.invalid_tool_calls
        ),
        text=str(message.text),
        reasoning="".join(
            block["reasoning"] for block in message.content_blocks if block["type"] == "reasoning"
        ),
        usage=usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
        finish_reason=metadata.get("finish_reason"),
        stop_reason=metadata.get("stop_reason"),
    )


def total(chunks: Iterable[AIMessageChunk]) -> AIMessage:
    """The sum of a stream."""
    return reduce(add, chunks)


def attempt(road: Callable[[], AIMessage], recording: Recording) -> Outcome:
    """Take a road to its end, a message or an interruption."""
    try:
        return outcome(road(), recording)
    except StreamInterruptedError as error:
        return interruption(error, recording)


async def aattempt(road: Callable[[], Awaitable[AIMessage]], recording: Recording) -> Outcome:
    """Take an async road to its end."""
    try:
        return outcome(await road(), recording)
    except StreamInterruptedError as error:
        return interruption(error, recording)


def interruption(error: StreamInterruptedError, recording: Recording) -> Outcome:
    """An error with the message that it carries."""
    partial = outcome(error.partial_message, recording)
    assert partial.tool_calls == ()
    return replace(partial, error=f"{type(error).__name__}: {error}")


def echo_tools(recording: Recording, *, read_only: bool) -> ToolSet:
    """The tools of the recorded request; each answers with its arguments."""

    def tool(name: str, description: str, parameters: dict[str, Any]) -> StructuredTool:
        def echo(**args: Any) -> tuple[str, dict[str, Any]]:
            return f"{name} {sorted(args.items())!r}", args

        async def aecho(**args: Any) -> tuple[str, dict[str, Any]]:
            return echo(**args)

        return StructuredTool(
            name=name,
            description=description,
            args_schema=parameters,
            func=echo,
            coroutine=aecho,
            response_format="content_and_artifact",
        )

    functions = [tool["function"] for tool in schemas(recording)]
    tools = [tool(f["name"], f.get("description") or f["name"], f["parameters"]) for f in functions]
    return ToolSet(tools, read_only=read_only)


def chain(llm: ChatVLLM, tools: ToolSet) -> Model:
    """The chain of the README."""
    return llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map(order="called")


def nth_call(recording: Recording, n: int) -> int:
    """How many events it takes until the n-th call has begun."""
    sent, begun = 0, 0
    while begun < n:
        begun += recording.events[sent].count(b'"id":"chatcmpl-tool-')
        sent += 1
    return sent


def cut_everywhere(recording: Recording) -> Iterator[Recording]:
    """The connection is dropped after each event but the last."""
    for count in range(len(recording.events)):
        cut = recording.cut(after_events=count)
        yield replace(cut, id=f"{recording.id} cut after {count}")


def failed_everywhere(recording: Recording) -> Iterator[Recording]:
    """The server reports an error after each event but the last."""
    for count in range(len(recording.events)):
        failed = recording.fail(after_events=count, message="out of luck")
        yield replace(failed, id=f"{recording.id} failed after {count}")
