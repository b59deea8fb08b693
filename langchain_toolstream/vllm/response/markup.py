"""Answers whose text the client reads itself.

Chunks come in as a server without a tool-call parser sends them, and go on as one with the right
parser would have sent them. The text is in `content`, or, where a parser of the server may have
swallowed it, in the tokens of `logprobs`; or it is what `/v1/completions` answers. `roads` says
which of them is asked for.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_toolstream.core.deltas import is_mapping, mappings, text_of
from langchain_toolstream.core.markup import MarkupReader
from langchain_toolstream.core.markup.formats import FORMATS, THINK, Thoughts
from langchain_toolstream.vllm.response.declared import Declared, declared
from langchain_toolstream.vllm.response.left_in_text import LeftInText

_is_end_token = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{1,30}\]").fullmatch


class NoTokensError(Exception):
    """The tokens of an answer were asked for and did not come, so its text may be lost."""


class HiddenToolsError(Exception):
    """The server has not shown the tools to the model."""


class MarkupChunks:
    """Read the markup in the chunks of one answer.

    Args:
        tools: The request's tools.
        choices: How many choices the request asks for.
        any_text: Whether the request leaves it to the model what its text looks like.

    Attributes:
        done: Whether there is nothing more to read; there always is.
    """

    done = False

    def __init__(
        self, tools: Sequence[Mapping[str, Any]], *, choices: int = 1, any_text: bool = True
    ) -> None:
        """Wait for `restart`."""
        self._bound = tools
        self._tools = declared(tools)
        self._number = choices
        self._any_text = any_text

    def restart(  # noqa: PLR0913 - what is known of the request
        self,
        parser: str,
        *,
        asked_logprobs: bool = False,
        asked_prompt: bool = False,
        needs_tokens: bool = False,
        thoughts_begun: bool = False,
        hides_thoughts: bool = False,
    ) -> None:
        """Begin before the first chunk.

        Args:
            parser: The name of the format, or `"auto"`.
            asked_logprobs: Whether the request asked for logprobs only to get the text.
            asked_prompt: Whether it asked for the prompt only to see the tools in it.
            needs_tokens: Whether an answer without them is not to be read.
            thoughts_begun: Whether the prompt has begun the model's thoughts.
            hides_thoughts: Whether they are not to be shown.
        """
        self._parser = parser
        self._asked_logprobs = asked_logprobs
        self._asked_prompt = asked_prompt
        self._needs_tokens = needs_tokens
        self._thoughts_begun = thoughts_begun
        self._hides_thoughts = hides_thoughts
        self._choices: dict[int, _Choice] = {}
        self._left = (
            LeftInText(self._bound, self._number, parser=parser) if self._any_text else None
        )

    @property
    def thoughts(self) -> Thoughts:
        """What stands around the model's thoughts."""
        row = FORMATS.get(self._parser)
        return row.thoughts[0] if row else THINK

    @property
    def shows_text_alone(self) -> bool:
        """Whether the answer has shown that no parser of the server touches its text."""
        return any(one.ended and one.leaves_text_alone for one in self._choices.values())

    def feed(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read a chunk, or a whole body.

        Args:
            chunk: Its JSON.

        Returns:
            The chunk with the calls, the text and the thoughts in their places.

        Raises:
            NoTokensError: It is of an answer without the tokens that were asked for.
            HiddenToolsError: The tools were not in the prompt.
        """
        if self._asked_prompt and chunk.get("prompt_text") is not None:
            chunk = self._without_prompt(chunk)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return chunk
        if len(choices) == 1 and (pieces := self._go_on(choices[0])) is not None:
            return {**chunk, "choices": pieces}
        made: list[Any] = []
        for position, choice in enumerate(mappings(choices)):
            index = choice.get("index")
            index = index if type(index) is int else position
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice(
                    self._parser,
                    self._tools,
                    needs_tokens=self._needs_tokens,
                    thoughts_begun=self._thoughts_begun,
                )
            made += known.read(index, _as_chat(choice, is_whole=_is_whole(chunk)))
        if self._asked_logprobs:
            made = [{**choice, "logprobs": None} for choice in made]
        if self._hides_thoughts:
            made = [_without_thoughts(choice) for choice in made]
        chunk = {**chunk, "choices": made}
        if self._left is not None:
            chunk = self._left.feed(chunk)
            if self._left.done:
                self._left = None
        return chunk

    def _without_prompt(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        if not shows(text_of(chunk["prompt_text"]), self._bound):
            raise HiddenToolsError
        return {**chunk, "prompt_text": None}

    def _go_on(self, choice: Any) -> list[dict[str, Any]] | None:
        """Read the usual event, as `_Choice.go_on` does; `None` for any other."""
        if type(choice) is not dict or self._left is not None or self._hides_thoughts:
            return None
        known = self._choices.get(choice.get("index", -1))
        deltas = None if known is None else known.go_on(choice)
        if deltas is None:
            return None
        choice = {**choice, "delta": deltas[-1] if deltas else {}}
        if self._asked_logprobs:
            choice["logprobs"] = None
        if len(deltas) < 2:  # noqa: PLR2004
            return [choice]
        return [*({"index": choice["index"], "delta": one} for one in deltas[:-1]), choice]


_plain_words = re.compile(r"""[^"'\\<>&\r\n\t]{4,80}""").match


def shows(prompt: str, tools: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the prompt of a request shows its tools to the model.

    Args:
        prompt: What the chat template has made.
        tools: The request's tools.
    """
    functions = [tool.get("function", tool) for tool in tools]
    described = (_plain_words(text_of(one.get("description"))) for one in functions)
    marks = [
        found[0] if found else text_of(one.get("name"))
        for one, found in zip(functions, described, strict=True)
    ]
    return any(mark in prompt for mark in marks)


def _is_whole(chunk: Mapping[str, Any]) -> bool:
    return chunk.get("object") == "text_completion" and is_mapping(chunk.get("usage"))


def _as_chat(choice: Mapping[str, Any], *, is_whole: bool) -> Mapping[str, Any]:
    """Write a choice of `/v1/completions` as one of a chat answer."""
    if "text" not in choice or "delta" in choice or "message" in choice:
        return choice
    rest = {key: value for key, value in choice.items() if key not in _OF_COMPLETION}
    return {**rest, "message" if is_whole else "delta": {"content": text_of(choice["text"])}}


_OF_COMPLETION = ("text", "logprobs", "prompt_token_ids", "prompt_logprobs")


def _without_thoughts(choice: Mapping[str, Any]) -> dict[str, Any]:
    key = "message" if "message" in choice else "delta"
    said = {name: value for name, value in choice[key].items() if name != "reasoning"}
    return {**choice, key: said}


_OF_READING = frozenset(("content", "reasoning", "reasoning_content", "tool_calls"))
"""What of a delta the reading replaces."""


class _Choice:
    """One message on its way."""

    def __init__(
        self,
        parser: str,
        tools: Mapping[str, Declared],
        *,
        needs_tokens: bool,
        thoughts_begun: bool,
    ) -> None:
        self._parser = parser
        self._needs_tokens = needs_tokens
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
            self._reader = self._begin(has_tokens=bool(tokens), has_thoughts=bool(thought))
        if self._by_tokens:
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
        kept = {key: value for key, value in delta.items() if key not in _OF_READING}
        if whole:
            return [{**choice, "message": {**kept, **_message(deltas)}}]
        rest = {key: value for key, value in choice.items() if key != "delta"}
        if not deltas:
            return [{**rest, "delta": kept}]
        first = [{"index": index, "delta": {**kept, **one}} for one in deltas[:1]]
        more = [{"index": index, "delta": one} for one in deltas[1:]]
        return [*first, *more, {**rest, "delta": {}}]

    def _begin(self, *, has_tokens: bool, has_thoughts: bool) -> MarkupReader:
        if self._needs_tokens and not has_tokens:
            raise NoTokensError
        self._by_tokens = has_tokens
        begun = self._thoughts_begun or (has_tokens and has_thoughts)
        begun = begun and (has_tokens or not has_thoughts)
        return MarkupReader(self._parser, self._tools, thinking=begun)

    def go_on(self, choice: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Read the usual event, more text of a message that has begun.

        It says nothing else of its message, so what `read` does comes down to this. Returns `None`
        for any other event, of which nothing has been read.
        """
        delta = choice.get("delta")
        if self._reader is None or type(delta) is not dict or choice.get("finish_reason"):
            return None
        text = delta.get("content")
        if self._by_tokens:
            if not delta.keys() <= _OF_READING:
                return None
            if type(text) is str:
                self._content.append(text)
            text = self._tokens_of(choice, is_end=False)
            self._tokens.append(text)
        elif type(text) is not str or len(delta) != 1:
            return None
        deltas = self._reader.feed(text)
        if not self._calls:
            self._calls = sum("tool_calls" in one for one in deltas)
        return deltas

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
