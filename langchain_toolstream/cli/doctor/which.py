"""In which format the model writes calls, and which of vLLM's parsers reads them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from langchain_toolstream.cli.doctor.answer import Answer, Call
from langchain_toolstream.cli.doctor.parser_table import RELEASES
from langchain_toolstream.cli.doctor.parsers import (
    Cut,
    Pieces,
    ToolCallParser,
    find_markup,
)
from langchain_toolstream.cli.doctor.probes import ProbeName, make_probe
from langchain_toolstream.core.calls import is_truncating

SEVERAL = 2
"""So many tokens with an event are more than one."""

_PLAIN = (None, "json list")
_CHARACTERS_PER_TOKEN = 5
_TELLING = 8  # events over which arguments could have been spread
_LUMPS = 2
_FINE = 0.3  # share of those events that carried some
_OF_ITS_OWN_ACCORD: tuple[ProbeName, ...] = ("auto", "long", "thinking", "markup")
_WITH_CALLS: tuple[ProbeName, ...] = ("auto", "long", "required", "named")


class Evidence:
    """What the answers tell of the model's format and of the server's parser.

    Args:
        answers: What came for each question.
        version: The server's version, if it tells.

    Attributes:
        known: The parsers that such a server has.
        per_event: How many tokens come with an event; `None` if that cannot be told.
        written: The format in which the model writes calls of its own accord, if it does.
        read: The format that the server reads, as far as a call came that shows it.
        parsers: The parsers that it can be running, by that and by their habits.
    """

    def __init__(self, answers: Mapping[ProbeName, Answer], version: str | None = None) -> None:
        """Look at the answers."""
        self.known = parsers_of(version)
        self._answers = answers
        self.per_event = tokens_per_event(answers.values())
        self.written = self._find_written()
        self.read = self._find_read()
        self.parsers = self._find_parsers()

    @property
    def names(self) -> list[str]:
        """The names of the parsers."""
        return [parser.name for parser in self.parsers]

    def _find_written(self) -> str | None:
        answers = (self._answers.get(name) for name in _OF_ITS_OWN_ACCORD)
        found = (find_markup(answer.written) for answer in answers if answer)
        return next((markup for markup in found if markup), None)

    def _find_read(self) -> str | None:
        for name in _WITH_CALLS:
            answer = self._answers.get(name)
            markup = find_markup(answer.written) if answer and answer.calls else None
            # A forced call is written in the parser's format, or as a plain JSON list.
            if markup and (name in _OF_ITS_OWN_ACCORD or markup not in _PLAIN):
                return markup
        return None

    def _find_parsers(self) -> list[ToolCallParser]:
        if self.read is None:
            return []
        parsers = [parser for parser in self.known if parser.markup == self.read]
        for fits in self._habits():
            parsers = [parser for parser in parsers if fits(parser)] or parsers
        return parsers

    def _habits(self) -> Iterator[Callable[[ToolCallParser], bool]]:
        long, cut = self._answers.get("long"), self._answers.get("cut")
        required = self._answers.get("required")
        if long and long.good and (pieces := self.pieces(long, long.good[0])):
            yield lambda parser: parser.pieces == pieces
        if long and long.good and cut and (sent := cut_call(cut)):
            yield lambda parser: parser.cut == sent
        if required and required.good and required.raw is not None:
            forced = "JSON" if find_markup(required.raw) in _PLAIN else "native"
            yield lambda parser: parser.forced == forced

    def pieces(self, answer: Answer, call: Call) -> Pieces | None:
        """Say how arguments come.

        Args:
            answer: An answer.
            call: A call of it.

        Returns:
            The way, `None` if they are too short to tell.
        """
        tokens = len(call.raw) / _CHARACTERS_PER_TOKEN
        if answer.tokens is not None:
            tokens = min(tokens, answer.tokens)
        events = tokens / max(self.per_event or 1, 1)
        if events < _TELLING:
            return None
        if call.pieces <= _LUMPS:
            return "whole"
        return "token" if call.pieces / events > _FINE else "value"


def parsers_of(version: str | None) -> tuple[ToolCallParser, ...]:
    """Give the parsers of a release, as far as they were measured.

    Args:
        version: What `/version` says, such as `0.33.0`.

    Returns:
        Those of the newest measured release that is not newer; for one that cannot be told, those
        of the newest; for one older than all, those of the oldest.
    """
    found = re.match(r"(\d+)\.(\d+)", version or "")
    if found is None:
        return RELEASES[max(RELEASES)]
    release = (int(found[1]), int(found[2]))
    return RELEASES[max((one for one in RELEASES if one <= release), default=min(RELEASES))]


def tokens_per_event(answers: Iterable[Answer]) -> float | None:
    """Say how many tokens come with an event, typically.

    Args:
        answers: What came.
    """
    counted = sorted(answer.per_event for answer in answers if answer.per_event)
    return counted[len(counted) // 2] if counted else None


def is_used_up(answer: Answer) -> bool:
    """Whether the answer to `cut` has as many tokens as were allowed.

    Args:
        answer: That answer.
    """
    limit = make_probe("cut", "").max_tokens
    return answer.tokens is not None and answer.tokens >= limit


def cut_call(answer: Answer) -> Cut | None:
    """Say what came of the call that was cut.

    Args:
        answer: The answer to `cut`.

    Returns:
        What came, `None` if the answer was not cut.
    """
    if not (is_truncating(answer.finish_reason) or is_used_up(answer)):
        return None
    if not answer.calls:
        return "no call"
    call = answer.calls[-1]
    if not call.raw:
        return "name only"
    return "closed" if call.parses else "open"
