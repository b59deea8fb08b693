"""What has been given out of an answer: its tokens, and the end of its text."""

from collections.abc import Mapping
from typing import Any

from langchain_toolstream.core.deltas import is_mapping, mappings, text_of, thoughts_text

COMPARED = 16
"""Characters at the end of a text that are held against those of its tokens."""


class Given:
    """Remember the tokens of an answer, and up to which of them its text has been given out.

    Args:
        reads_tokens: Whether the text is read from the tokens of `logprobs`, where they come.
        longest_stop: Characters of the longest stop string.
        keeps_text: Whether all of the text is kept.

    Attributes:
        prompt: The tokens of the prompt, if the server told them.
        ids: Those of the answer.
        kept: How many of them there were at the last chunk with text. The text of those behind
            was not given out, and they may be the first half of a character.
        in_last: How many tokens that chunk had.
        thoughts: How many tokens there were at the last chunk with reasoning.
        kind: Where the last text stood: `content`, `reasoning`, `tokens`, or `text` of
            `/v1/completions`.
        text: The end of it.
        whole: All text behind the thoughts, in pieces, if it is kept.
        begun: Whether anything was given out.
        calls: Whether the server has written calls.
        finished: Whether a finish reason has come.
        incomplete: Whether there was text without tokens.
    """

    def __init__(self, *, reads_tokens: bool, longest_stop: int, keeps_text: bool) -> None:
        """Start before the first chunk."""
        self._keeps_text = keeps_text
        self.whole: list[str] = []
        self._reads_tokens = reads_tokens
        self._length = max(COMPARED, longest_stop)
        self.prompt: list[int] | None = None
        self.ids: list[int] = []
        self.kept = self.in_last = self.thoughts = 0
        self.kind = self.text = ""
        self.begun = self.calls = self.finished = self.incomplete = False

    def add(self, choice: Mapping[str, Any]) -> None:
        """Take the choice of a chunk that is given out.

        Args:
            choice: Its JSON.
        """
        delta = _delta(choice)
        kind, text = self.text_in(choice)
        self.calls = self.calls or bool(delta.get("tool_calls") or delta.get("function_call"))
        self.begun = self.begun or bool(text or self.calls)
        self.finished = self.finished or bool(choice.get("finish_reason"))
        ids = tokens(choice.get("token_ids"))
        if ids is None:
            self.incomplete = self.incomplete or bool(text)
        else:
            self.ids += ids
        if text:
            self.in_last = len(self.ids) - self.kept
            self.kept = len(self.ids)
            self.thoughts = self.kept if thoughts_text(delta) else self.thoughts
            self.text = (self.text + text if kind == self.kind else text)[-self._length :]
            self.kind = kind
            if self._keeps_text:
                self.whole.append(text)
                if thoughts_text(delta):
                    self.whole.clear()

    def text_in(self, choice: Mapping[str, Any]) -> tuple[str, str]:
        """Say where the text of a choice stands, as in `kind`, and what it is.

        Args:
            choice: Its JSON.
        """
        delta = _delta(choice)
        logprobs = choice.get("logprobs") if self._reads_tokens else None
        if is_mapping(logprobs) and logprobs.get("content"):
            said = mappings(logprobs["content"])
            return "tokens", "".join(text_of(one.get("token")) for one in said)
        if content := text_of(delta.get("content")):
            return "content", content
        if completion := text_of(choice.get("text")):
            return "text", completion
        return "reasoning", thoughts_text(delta)

    def drop(self) -> None:
        """Forget the tokens behind those that are kept."""
        del self.ids[self.kept :]


def _delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta")
    return delta if is_mapping(delta) else {}


def tokens(value: object) -> list[int] | None:
    """Read a list of tokens.

    Args:
        value: What a server sent.

    Returns:
        The tokens, `None` where it is no such list.
    """
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        return None
    return value
