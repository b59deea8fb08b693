"""An answer as LangChain's chunks."""

from collections.abc import Collection
from typing import Any

from langchain_core.messages import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_toolstream.core.events import (
    Event,
    MessageFinish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallInvalid,
    ToolCallStart,
)
from langchain_toolstream.core.mark import invalid_mark
from langchain_toolstream.vllm.output.fast_chunks import chat_chunk, constructed
from langchain_toolstream.vllm.response.answer import AnswerReader
from langchain_toolstream.vllm.response.details import usage_metadata


class ChunkBuilder:
    """Make LangChain's chunks of the events of the first choice.

    Every chunk is clean: one entry for each call that it is about, ids and names once, arguments
    that join to one JSON object. What is no call ends in an `invalid_mark`, so that no later sum of
    chunks can read it as one (langchain-core reads what is cut as if it were complete), and the
    reason stands in `response_metadata["invalid_tool_calls"]` by the call's id.
    """

    def __init__(self, reader: AnswerReader) -> None:
        """Start before the first event."""
        self._reader = reader
        self._cut_told = False
        self._index: dict[str, int] = {}
        self._written: dict[str, list[str]] = {}

    def build(self, events: Collection[tuple[int, Event]]) -> list[ChatGenerationChunk]:
        """Make the chunks for some events.

        Args:
            events: What became known together.

        Returns:
            The chunks in the order of the events. Calls that nothing comes between share one.
        """
        chunks: list[ChatGenerationChunk] = []
        calls: dict[str, ToolCallChunk] = {}
        info: dict[str, Any] = {}
        if not self._cut_told and (reason := self._reader.cut_by) and not _ends(events):
            # A reader must not start what the server may have closed because it was cut.
            self._cut_told = True
            info["finish_reason"] = reason
        for choice, event in events:
            if choice != 0:
                continue
            match event:
                case ToolCallDelta():
                    self._write(calls, event.id, event.args)
                case TextDelta():
                    _flush(chunks, calls, info)
                    chunks.append(chat_chunk(event.text, "", []))
                case ReasoningDelta():
                    _flush(chunks, calls, info)
                    chunks.append(chat_chunk("", event.text, []))
                case ToolCallStart():
                    self._index[event.id] = event.index
                    self._written[event.id] = []
                    calls[event.id] = _fragment(event.index, id=event.id, name=event.name)
                case ToolCallInvalid():
                    self._write(calls, event.id, invalid_mark("".join(self._written[event.id])))
                    info.setdefault("invalid_tool_calls", {})[event.id] = event.error
                case MessageFinish():
                    _flush(chunks, calls, info)
                    chunks.append(self._last(event))
        _flush(chunks, calls, info)
        return chunks

    def _write(self, calls: dict[str, ToolCallChunk], call_id: str, args: str) -> None:
        self._written[call_id].append(args)
        fragment = calls.get(call_id)
        if fragment is None:
            calls[call_id] = _fragment(self._index[call_id], args)
        else:
            fragment["args"] = (fragment["args"] or "") + args

    def _last(self, finish: MessageFinish) -> ChatGenerationChunk:
        info = self._reader.info(0, finish)
        if self._cut_told:
            del info["finish_reason"]  # a sum of chunks joins texts
        usage = usage_metadata(finish.usage)
        refusal = self._reader.refusal()
        return constructed(usage_metadata=usage, chunk_position="last", info=info, refusal=refusal)


def _fragment(
    index: int,
    args: str = "",
    *,
    id: str | None = None,  # noqa: A002
    name: str | None = None,
) -> ToolCallChunk:
    return {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}


def _flush(
    chunks: list[ChatGenerationChunk], calls: dict[str, ToolCallChunk], info: dict[str, Any]
) -> None:
    if info:
        chunks.append(constructed(tool_call_chunks=[*calls.values()], info={**info}))
    elif calls:
        chunks.append(chat_chunk("", "", [*calls.values()]))
    calls.clear()
    info.clear()


def _ends(events: Collection[tuple[int, Event]]) -> bool:
    return any(isinstance(event, MessageFinish) for _, event in events)
