"""Answers whose text the client reads itself.

Chunks come in as a server without a tool-call parser sends them, and go on as one with the right
parser would have sent them. The text is in `content`, or, where a parser of the server may have
swallowed it, in the tokens of `logprobs`. An answer with calls that is whole in `content` shows
that this server leaves the text alone; from then on its tokens are not asked for.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_toolstream.core.deltas import mappings, text_of
from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.markup import MarkupReader
from langchain_toolstream.schema.types import types_at

_MAX_SERVERS = 1000
_is_end_token = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{1,30}\]").fullmatch

Server = tuple[str, str]


class LeavesTextAlone:
    """Which servers give the text as the model wrote it, as far as their answers have shown."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[Server, None] = {}

    def knows(self, server: Server) -> bool:
        """Whether a server does."""
        return server in self._known

    def learn(self, server: Server) -> None:
        """Remember that a server does."""
        if len(self._known) >= _MAX_SERVERS:
            self._known.clear()
        self._known[server] = None

    def forget(self, server: Server) -> None:
        """A server that did has swallowed an answer: it was started anew, with other flags."""
        self._known.pop(server, None)


LEAVES_TEXT_ALONE = LeavesTextAlone()


class Declared:
    """A tool of a request, as far as reading has to know it."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take its schema."""
        self._parameters = parameters

    def types_at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types an argument, or a part of one, may be."""
        return types_at(self._parameters, path)


def declared(tools: Iterable[Mapping[str, Any]]) -> dict[str, Declared]:
    """Take the tools of a request.

    Args:
        tools: As the request has them.

    Returns:
        Each by its name.
    """
    functions = [tool.get("function", tool) for tool in tools]
    return {str(one.get("name")): Declared(one.get("parameters") or {}) for one in functions}


class MarkupChunks:
    """Read the markup in the chunks of one answer.

    Args:
        parser: The name of the format, or `"auto"`.
        tools: The request's tools.
        server: The base URL and the name of the model.
        asked_logprobs: Whether the request asked for logprobs only to get the text.
        thoughts_begun: Whether the prompt has begun the model's thoughts.
    """

    done = False

    def __init__(
        self,
        parser: str,
        tools: Iterable[Mapping[str, Any]],
        *,
        server: Server,
        asked_logprobs: bool,
        thoughts_begun: bool,
    ) -> None:
        """Start before the first chunk."""
        self._parser = parser
        self._tools = declared(tools)
        self._server = server
        self._asked_logprobs = asked_logprobs
        self._thoughts_begun = thoughts_begun
        self._choices: dict[int, _Choice] = {}

    def feed(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read a chunk, or a whole body.

        Args:
            chunk: Its JSON.

        Returns:
            The chunk with the calls, the text and the thoughts in their places.
        """
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return chunk
        made: list[Any] = []
        for position, choice in enumerate(mappings(choices)):
            index = choice.get("index")
            index = index if type(index) is int else position
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice(
                    self._parser, self._tools, thoughts_begun=self._thoughts_begun
                )
            made += known.read(index, choice)
            if known.ended and known.leaves_text_alone:
                LEAVES_TEXT_ALONE.learn(self._server)
        if self._asked_logprobs:
            made = [{**choice, "logprobs": None} for choice in made]
        return {**chunk, "choices": made}


class _Choice:
    """One message on its way."""

    def __init__(self, parser: str, tools: Mapping[str, Declared], *, thoughts_begun: bool) -> None:
        self._parser = parser
        self._tools = tools
        self._thoughts_begun = thoughts_begun
        self._reader: MarkupReader | None = None
        self._by_tokens = False
        self._tokens: list[str] = []
        self._content: list[str] = []
        self._calls = 0
        self.ended = False

    @property
    def leaves_text_alone(self) -> bool:
        """Whether the server has given a text with calls in it as the model wrote it."""
        content = "".join(self._content).strip()
        return bool(
            self._by_tokens
            and self._calls
            and content
            and "".join(self._tokens).strip().endswith(content)
        )

    def read(self, index: int, choice: Mapping[str, Any]) -> list[dict[str, Any]]:
        delta = choice.get("delta")
        whole = not isinstance(delta, Mapping)
        if whole:
            delta = choice.get("message")
            if not isinstance(delta, Mapping):
                return [dict(choice)]
        assert isinstance(delta, Mapping)  # noqa: S101 - for type checkers
        content = text_of(delta.get("content"))
        thought = text_of(delta.get("reasoning")) or text_of(delta.get("reasoning_content"))
        reason = text_of(choice.get("finish_reason")) or None
        stop = choice.get("stop_reason")
        tokens = self._tokens_of(choice, is_end=reason == "stop" and not isinstance(stop, str))
        if self._reader is None and (tokens or content or thought or reason):
            self._by_tokens = bool(tokens)
            begun = self._thoughts_begun or (self._by_tokens and bool(thought))
            begun = begun and (self._by_tokens or not thought)
            self._reader = MarkupReader(self._parser, self._tools, thinking=begun)
        self._content.append(content)
        deltas: list[dict[str, Any]] = []
        if self._reader is not None:
            if self._by_tokens:
                self._tokens.append(tokens)
                deltas += self._reader.feed(tokens)
            else:
                deltas += [{"reasoning": thought}] if thought else []
                deltas += self._reader.feed(content)
            if reason is not None:
                deltas += self._reader.close(reason)
                self.ended = True
        self._calls += sum("tool_calls" in one for one in deltas)
        kept = {
            key: value
            for key, value in delta.items()
            if key not in ("content", "reasoning", "reasoning_content", "tool_calls")
        }
        if whole:
            return [{**choice, "message": {**kept, **_message(deltas)}}]
        rest = {key: value for key, value in choice.items() if key != "delta"}
        if not deltas:
            return [{**rest, "delta": kept}]
        first = [{"index": index, "delta": {**kept, **one}} for one in deltas[:1]]
        more = [{"index": index, "delta": one} for one in deltas[1:]]
        return [*first, *more, {**rest, "delta": {}}]

    def _tokens_of(self, choice: Mapping[str, Any], *, is_end: bool) -> str:
        logprobs = choice.get("logprobs")
        content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        tokens = [text_of(one.get("token")) for one in mappings(content)]
        if is_end and tokens and _is_end_token(tokens[-1]):
            tokens.pop()  # the one that ends the turn
        return "".join(tokens)


def _message(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the deltas of a whole message together."""
    message: dict[str, Any] = {"content": "", "reasoning": "", "tool_calls": []}
    calls: list[dict[str, Any]] = message["tool_calls"]
    for delta in deltas:
        for key in ("content", "reasoning"):
            message[key] += delta.get(key, "")
        for fragment in delta.get("tool_calls", ()):
            if fragment["index"] == len(calls):
                calls.append({**fragment, "function": dict(fragment["function"])})
                continue
            call = calls[fragment["index"]]
            call["function"]["arguments"] += fragment["function"]["arguments"]
            if error := fragment.get("error"):
                call |= {"type": fragment["type"], "error": error}
    return message
