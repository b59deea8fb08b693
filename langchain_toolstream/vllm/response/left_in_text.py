"""Calls that a server left in the text of its answer.

The model drifted, or the server's tool-call parser is not the model's: the answer is HTTP 200, with
the finish reason `stop` and no call, and an agent takes it for a finished turn. Where the text is
nothing but calls to tools of the request, each is an invalid call, whose reason says what to do.
None of them runs: the server has not said that they are calls.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_toolstream.core.deltas import content_text, fragments_of, mappings, text_of
from langchain_toolstream.core.markup import AUTO, MarkupReader
from langchain_toolstream.vllm.response.declared import Declared, declared


class LeftInText:
    """Look for such calls in the chunks of one answer.

    Args:
        tools: The request's tools.
        choices: How many choices the request asks for.
        parser: The format that the client has read, if it has.
    """

    def __init__(
        self, tools: Iterable[Mapping[str, Any]], choices: int = 1, *, parser: str | None = None
    ) -> None:
        """Start before the first chunk."""
        self._tools = declared(tools)
        self._parser = parser
        self._left = choices
        self._choices: dict[int, _Text] = {}

    @property
    def done(self) -> bool:
        """Whether every choice has turned out to be something else, or has ended."""
        return self._left <= 0

    def feed(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look at a chunk, or a whole body.

        Args:
            chunk: Its JSON.

        Returns:
            The chunk; at the end of a text that is nothing but calls, with these as invalid calls.
        """
        choices = mappings(chunk.get("choices"))
        made: list[Any] = []
        for position, choice in enumerate(choices):
            index = choice.get("index")
            index = index if type(index) is int else position
            text = self._choices.get(index)
            if text is None:
                text = self._choices[index] = _Text(self._tools, self._parser)
            if text.done:
                continue
            key = "delta" if isinstance(choice.get("delta"), Mapping) else "message"
            said = choice.get(key)
            if isinstance(said, Mapping) and (calls := text.read(said, choice)):
                made.append((position, {**choice, key: {**said, "tool_calls": calls}}))
            self._left -= text.done
        if not made:
            return chunk
        changed = [*choices]
        for position, choice in made:
            changed[position] = choice
        return {**chunk, "choices": changed}


class _Text:
    """The text of one message."""

    def __init__(self, tools: Mapping[str, Declared], parser: str | None) -> None:
        self._tools = tools
        self._parser = parser
        self._reader = MarkupReader(AUTO, tools)
        self._calls: list[dict[str, Any]] = []
        self.done = False

    def read(self, said: Mapping[str, Any], choice: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Read on. Returns the calls, at the end of a text that was nothing else."""
        reason = text_of(choice.get("finish_reason"))
        deltas = self._reader.feed(content_text(said.get("content")))
        if reason:
            deltas += self._reader.close(reason)
        prose = any(delta.get("content", "").strip() for delta in deltas)
        self.done = bool(prose or reason or fragments_of(said))
        for delta in deltas:
            for fragment in delta.get("tool_calls", ()):
                self._take(fragment)
        bound = all(call["function"]["name"] in self._tools for call in self._calls)
        if prose or reason != "stop" or fragments_of(said) or not bound:
            return []
        return self._calls

    def _take(self, fragment: Mapping[str, Any]) -> None:
        function = fragment["function"]
        if fragment["index"] < len(self._calls):
            known = self._calls[fragment["index"]]["function"]
            known["arguments"] += function["arguments"]
            return
        self._calls.append(
            {
                **fragment,
                "type": "invalid_tool_call",
                "function": {"name": "", **function},
                "error": _reason(self._reader.format, self._parser),
            }
        )


def _reason(name: str, parser: str | None) -> str:
    if parser is not None:
        return (
            f"The client reads the format {parser}, and this call is written in the format {name}, "
            f'so it was left in the text: use ChatVLLM(tool_call_parser="{name}").'
        )
    return (
        f"The server left this call in the text of the answer. It is written in the format {name}: "
        f"start the server with --enable-auto-tool-choice --tool-call-parser {name}, or let the "
        f'client read the calls, by ChatVLLM(tool_call_parser="{name}").'
    )
