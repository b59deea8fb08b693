"""What may stand where, in one format: the patterns that a row of the table comes down to."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from langchain_toolstream.core.markup.formats import ANY_FORMAT, AUTO, FORMATS, Format
from langchain_toolstream.core.markup.patterns import Pattern, finder, pattern


class Plan:
    """What may stand where, in one format."""

    def __init__(self, row: Format) -> None:
        """Compile the patterns of a row."""
        self.calls = {one.marker: one for one in row.openings}
        self.thoughts = {one.opening: one for one in row.thoughts}
        self.thought_ends = {end for one in row.thoughts for end in one.ends} - {*row.frames}
        self.frames = {*row.frames}
        self.section_ends = row.section_ends
        self.answer = row.answer
        answer_start, answer_end = [[tag] for tag in row.answer] if row.answer else ([], [])
        anywhere = [*row.frames, *sorted(self.thought_ends)]
        outside = [one.marker for one in row.openings if not (one.inside or one.alone)]
        inside = [one.marker for one in row.openings if not one.alone]
        alone = [one.marker for one in row.openings if one.alone]
        self.start = patterns(
            [*self.thoughts, *row.headers, *answer_start, *alone, *outside, *anywhere]
        )
        self.outside = patterns([*outside, *anywhere])
        self.inside = patterns([*inside, *row.section_ends, *anywhere])
        self.answer_end = patterns(answer_end)
        self.find_outside = finder([*_heads(self.outside), *answer_end])
        self.find_inside = finder([*_heads(self.inside), *answer_end])
        # Behind a call that is written wrongly, where nothing else says where it ends.
        self.any_call = tuple(
            dict.fromkeys(one.head for one in self.outside if one.template in self.calls)
        )


def patterns(templates: Sequence[str]) -> tuple[Pattern, ...]:
    """Make patterns."""
    return tuple(pattern(one) for one in templates)


def _heads(patterns: tuple[Pattern, ...]) -> Iterator[str]:
    return (one.head for one in patterns)


@lru_cache(maxsize=64)
def plan_of(name: str) -> Plan:
    """Say what may stand where, in a format or in all of them."""
    return Plan(ANY_FORMAT if name == AUTO else FORMATS[name])
