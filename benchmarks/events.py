"""What `tool_events` adds to reading the same `astream_events` raw.

The model is `ChatVLLM`, which reads from a server that is a process of its own, a delta at a time.
Beside it stands a model that costs nothing, its chunks made beforehand: the most that
`tool_events` can be of the whole. Calls are validated, by a `ToolSet`, which looks at its tools
once.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from statistics import median
from time import process_time
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool
from pydantic import SkipValidation

from benchmarks.client import server
from benchmarks.report import Report, ratio, us
from benchmarks.workloads import CALLS, TOOLS, message_chunks
from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser, tool_events

AT_MOST = 1.15

DELTAS, PAUSE = 300, 1  # ms: so a wakeup of the loop for each delta, as of a model that writes

TOOL_SET = ToolSet(
    [
        StructuredTool(name=one.__name__, description="", args_schema=one, func=print)
        for one in TOOLS
    ]
)


class Scripted(BaseChatModel):
    """Streams chunks that are made beforehand, each in a turn of the event loop's."""

    script: SkipValidation[list[AIMessageChunk]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        del messages
        return ChatResult(generations=[ChatGeneration(message=AIMessage(""))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del messages, stop, run_manager, kwargs
        for chunk in self.script:
            await asyncio.sleep(0)
            yield ChatGenerationChunk(message=chunk.model_copy())


def events(report: Report, *, rounds: int) -> None:
    report.title("10. tool_events, beside the same astream_events read raw: per delta")
    script = message_chunks(CALLS["W5"])
    parser = ToolStreamParser(TOOL_SET)
    with server() as url, asyncio.Runner() as runner:
        vllm = ChatVLLM(base_url=url, model=f"{DELTAS}@{PAUSE}", coalesce=False)
        sources: dict[str, tuple[Runnable[Any, Any], int]] = {
            "ChatVLLM": (vllm, DELTAS),
            "ChatVLLM | ToolStreamParser": (vllm | parser, DELTAS),
            "a model that costs nothing": (Scripted(script=script), len(script)),
        }
        rows, ratios = [], {}
        for name, (run, count) in sources.items():
            turns = [runner.run(turn(run, count)) for _ in range(rounds)]
            raw, ours = (median(times) for times in zip(*turns, strict=True))
            ratios[name] = median(b / a for a, b in turns)
            rows.append([name, us(raw), us(ours), ratio(ratios[name])])
            report.keep("events", name, {"raw": raw, "tool_events": ours})
    report.table(["", "raw", "tool_events", "ratio"], rows)
    for name in ("ChatVLLM", "ChatVLLM | ToolStreamParser"):
        report.require(f"tool_events of {name}, beside raw", ratios[name], at_most=AT_MOST)


async def turn(run: Runnable[Any, Any], count: int) -> tuple[float, float]:
    """µs of CPU for a delta, raw and with `tool_events`."""
    gc.collect()
    gc.disable()
    try:
        start = process_time()
        async for _ in run.astream_events("Go", version="v2"):
            pass
        middle = process_time()
        seen = 0
        async for _ in tool_events(run.astream_events("Go", version="v2"), tools=TOOL_SET):
            seen += 1
        end = process_time()
    finally:
        gc.enable()
    assert seen > count
    return 1e6 * (middle - start) / count, 1e6 * (end - middle) / count
