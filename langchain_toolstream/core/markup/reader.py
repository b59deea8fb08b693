"""The reader of one message: thoughts, text and calls, in any of the formats.

It knows where a call may begin and where it ends; what stands between is a machine's. What comes
out are the deltas that a server would have streamed, so that `core.calls` judges them by its rules
and nothing behind it can tell who read the text.

1. **Thoughts** begin where the text begins, and nothing in them is a call. Their end tag ends them.
2. **A marker is a call's** when what follows it begins a call, and text otherwise. Text waits no
   longer than that.
3. **A call that is written wrongly** is invalid, up to its end marker. One that the end of the text
   cuts is invalid too: its arguments are not complete.
4. **Formats without a marker** are calls only where the text is nothing else, so their last
   brackets wait for its end.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.core.markup.formats import (
    AUTO,
    Opening,
    Thoughts,
    check_format,
    format_of,
)
from langchain_toolstream.core.markup.patterns import SPACE, Pattern, closing, finder
from langchain_toolstream.core.markup.plan import patterns, plan_of
from langchain_toolstream.core.markup.tape import (
    BrokenMarkupError,
    CutMarkupError,
    Delta,
    Steps,
    Tape,
)
from langchain_toolstream.core.markup.values import Parameters, Types

_TELLING = 3
"""Characters of a marker's beginning that tell it from text, where the text was cut in it."""

_NOT_ALONE = (
    "More text followed, and in this format a text is a call only where it is nothing else."
)


class MarkupReader:
    """Read what a model wrote.

    Args:
        format: The name of the format, as vLLM's `--tool-call-parser` takes it, or `"auto"` for
            the one that the first call's marker tells. A text without a marker is then a call
            only where its tool is bound.
        tools: The bound tools by name, which know the types of values that are written as text.
        thinking: Whether the prompt has opened the thoughts, so that the text begins inside them.

    Attributes:
        format: The name of the format, from the moment that it is known.

    Example:
        ```python
        from langchain_toolstream.core.markup import MarkupReader

        reader = MarkupReader("hermes")
        assert reader.feed("Let me see. <tool_ca") == [{"content": "Let me see. "}]
        (start,) = reader.feed('ll>{"name": "add", "arguments": {"a": 3')
        call = start["tool_calls"][0]
        assert call["function"] == {"name": "add", "arguments": '{"a": 3'}
        (end,) = reader.feed("}}</tool_call>")
        assert end["tool_calls"][0]["function"]["arguments"] == "}"
        assert reader.close("stop") == []
        ```
    """

    def __init__(
        self,
        format: str,  # noqa: A002
        tools: Mapping[str, Parameters] | None = None,
        *,
        thinking: bool = False,
    ) -> None:
        """Start before the first character."""
        self.format = check_format(format)
        self._plan = plan_of(format)
        self._tools = tools
        self._tape = Tape()
        self._inside = False  # a section of calls
        self._starts = True  # nothing has come since the beginning, or a frame
        self._stray_ends = 1  # end tags of thoughts that are no text
        self._answering = False
        self._steps = self._read(thinking=thinking)
        next(self._steps)

    def feed(self, text: str) -> list[Delta]:
        """Take the next piece of the text.

        Args:
            text: Any number of characters, cut anywhere.

        Returns:
            What became known, as deltas of a server.
        """
        tape = self._tape
        tape.text = tape.text[tape.at :] + text if tape.at < len(tape.text) else text
        tape.at = 0
        if text:
            self._steps.send(None)
        return tape.take()

    def close(self, finish_reason: str | None = None) -> list[Delta]:
        """Say that the text ended.

        Args:
            finish_reason: Why, as far as the source says.

        Returns:
            The rest.
        """
        tape = self._tape
        if not tape.ended:
            tape.ended = True
            tape.reason = finish_reason
            for _ in self._steps:  # pragma: no branch
                pass
        return tape.take()

    def _types(self, name: str) -> Types:
        return Types(self._tools, name)

    def _read(self, *, thinking: bool) -> Steps:
        yield
        tape = self._tape
        if thinking:
            opening, *_ = self._plan.thoughts
            ends = [end for one in self._plan.thoughts.values() for end in one.ends]
            yield from self._think(Thoughts(opening, tuple(dict.fromkeys(ends))))
        while True:
            if self._starts:
                yield from self._skip()
                if tape.at == len(tape.text):
                    return
                markers = self._plan.inside if self._inside else self._plan.start
                found = yield from tape.look(markers)
                if found is not None and self._is_meant(*found):
                    yield from self._found(*found)
                    continue
                if self._cut_marker(markers):
                    return
                self._starts = False
            found = yield from self._prose()
            if found is None:
                return
            yield from self._found(*found)

    def _skip(self) -> Steps:
        """Read on to what is no white space."""
        tape = self._tape
        while True:
            text, at, n = tape.text, tape.at, len(tape.text)
            while at < n and text[at] in SPACE:
                at += 1
            if at > tape.at:
                tape.content(text[tape.at : at])
                tape.at = at
            if at < n or tape.ended:
                return
            yield

    def _prose(self) -> Any:
        """Read text up to the next marker; `None` at the end of the text."""
        tape = self._tape
        plan = self._plan
        while True:
            text = tape.text
            find = plan.find_inside if self._inside else plan.find_outside
            candidate = find.search(text, tape.at)
            if candidate is None:
                tape.content(text[tape.at :])
                tape.at = len(text)
                if tape.ended:
                    return None
                yield
                continue
            tape.content(text[tape.at : candidate.start()])
            tape.at = candidate.start()
            markers = plan.inside if self._inside else plan.outside
            if self._answering:
                markers = (*markers, *plan.answer_end)
            found = yield from tape.look(markers)
            if found is not None:
                if not self._is_text(found[0].template):
                    return found
                tape.content(found[0].template)
                continue
            if self._cut_marker(markers):
                return None
            tape.content(tape.text[tape.at : tape.at + 1])
            tape.at += 1

    def _is_text(self, template: str) -> bool:
        """Whether an end tag of thoughts is text: one that ends nothing, and not the first."""
        if template not in self._plan.thought_ends:
            return False
        if self._stray_ends:
            self._stray_ends -= 1
            return False
        return True

    def _is_meant(self, marker: Pattern, match: Any) -> bool:
        """Whether a text that has no marker is a call, where the format is not known."""
        opening = self._plan.calls.get(marker.template)
        if not (self.format == AUTO and opening is not None and opening.alone):
            return True
        name = match.groupdict().get("quoted") or match.groupdict().get("function")
        return self._tools is not None and name in self._tools

    def _found(self, marker: Pattern, match: Any) -> Steps:
        """Read on behind a marker."""
        template, tape, plan = marker.template, self._tape, self._plan
        if opening := plan.calls.get(template):
            if self.format == AUTO:
                self.format = format_of(template)
                self._plan = plan_of(self.format)
            yield from self._call(opening, match.groupdict())
        elif thoughts := plan.thoughts.get(template):
            yield from self._think(thoughts)
        elif template in plan.section_ends:
            self._inside = False
        elif template in plan.thought_ends:
            tape.rest(gap=False)
            self._starts = True
        else:
            if plan.answer is not None:
                self._answering = template == plan.answer[0]
            if template in plan.frames:
                tape.rest(gap=False)
            self._starts = True

    def _think(self, thoughts: Thoughts) -> Steps:
        """Read thoughts up to their end tag."""
        tape = self._tape
        opened = 0
        begun = False
        tail = ""

        def say(text: str) -> None:
            nonlocal opened, begun, tail
            if not begun:
                text = text.lstrip()
                begun = bool(text)
            tail += text
            opened += tail.count(thoughts.opening)
            tail = tail[max(0, len(tail) - len(thoughts.opening) + 1) :]
            if not (tape.ended and is_truncating(tape.reason) and _is_beginning(text, thoughts)):
                tape.reasoning(text)

        try:
            yield from tape.until(_closings(thoughts.ends), say)
        except CutMarkupError:
            return
        self._stray_ends = opened
        tape.rest(gap=False)
        self._starts = True

    def _call(self, opening: Opening, holes: dict[str, str]) -> Steps:
        """Read a call, or a list of them, and what ends it."""
        tape = self._tape
        tape.current = None
        tape.closes_late = opening.alone
        self._inside = self._inside or opening.section
        self._starts = True
        tape.rest(gap=True)
        suffix = {"suffix": holes.get("suffix") or ""}
        try:
            yield from opening.machine(tape, self._types, suffix)
            if opening.alone:
                yield from self._end_alone()
            elif opening.ends:
                yield from self._end(opening)
        except CutMarkupError:
            self._cut(opening)
        except BrokenMarkupError as error:
            yield from self._broken(opening, str(error), suffix["suffix"])
        tape.current = None

    def _end(self, opening: Opening) -> Steps:
        """Read what ends a call. It may be missing, but nothing may stand in its place."""
        tape = self._tape
        yield from self._space_or_end()
        if tape.at == len(tape.text):
            return
        ends = patterns(opening.ends)
        found = yield from tape.look(ends)
        if found is not None:
            return
        if tape.ended and any(one.may_become(tape.text, tape.at) for one in ends):
            tape.at = len(tape.text)
            return
        if any(tape.text.startswith(one.head, tape.at) for one in self._plan.inside):
            return  # the next call's marker
        tape.broken(repr(opening.ends[0].replace("~", "")))

    def _space_or_end(self) -> Steps:
        tape = self._tape
        while True:
            text, at, n = tape.text, tape.at, len(tape.text)
            while at < n and text[at] in SPACE:
                at += 1
            tape.at = at
            if at < n or tape.ended:
                return
            yield

    def _end_alone(self) -> Steps:
        """See that nothing follows."""
        yield from self._space_or_end()
        if self._tape.at < len(self._tape.text):
            raise BrokenMarkupError(_NOT_ALONE)
        self._tape.release()

    def _cut(self, opening: Opening) -> None:
        tape = self._tape
        current = tape.current
        if opening.alone:
            tape.release()
            tape.current = current
        tape.at = len(tape.text)
        tape.cut()

    def _broken(self, opening: Opening, reason: str, suffix: str) -> Steps:
        """Read the rest of a call that is written wrongly, up to its end marker."""
        tape = self._tape
        tape.invalid(reason)
        if opening.alone:
            tape.withhold(reason)
        ends = opening.ends or self._plan.section_ends
        try:
            if opening.alone:
                yield from tape.rest_of_text(tape.arguments)
            elif ends:
                self._inside = self._inside and bool(opening.ends)
                ends = tuple(end.replace("{suffix}", suffix) for end in ends if "~" not in end)
                yield from tape.until(_closings(ends), tape.arguments)
            else:
                tape.arguments(tape.text[tape.at : tape.at + 1])
                tape.at = min(tape.at + 1, len(tape.text))
                yield from tape.until(_closings(self._plan.any_call), tape.arguments, take=False)
        except CutMarkupError:
            pass

    def _cut_marker(self, markers: tuple[Pattern, ...]) -> bool:
        """See whether the text was cut inside a marker, which then is no text."""
        tape = self._tape
        if not tape.ended:
            return False
        raw = tape.text[tape.at :]
        if not (len(raw) >= _TELLING and any(map(str.isalpha, raw))):
            return False
        cut = [one.template for one in markers if one.may_become(raw, 0)]
        if not cut or not (is_truncating(tape.reason) or self._inside):
            return False
        tape.at = len(tape.text)
        if all(one in self._plan.calls for one in cut):
            tape.current = None
            tape.begin("")
            tape.arguments(raw)
            tape.cut()
        return True


@lru_cache(maxsize=256)
def _closings(ends: tuple[str, ...]) -> Any:
    if len(ends) == 1:
        return closing(ends[0])
    return finder(ends)


def _is_beginning(text: str, thoughts: Thoughts) -> bool:
    return len(text) >= _TELLING and any(end.startswith(text) for end in thoughts.ends)
