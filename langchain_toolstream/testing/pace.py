"""When each piece of a recording is due. Pure: it knows no clock and sends nothing."""

import math
from collections.abc import Iterator
from random import Random
from typing import Literal, TypeAlias

from langchain_toolstream.testing.recording import Recording

Pace: TypeAlias = Literal["recorded", "instant"] | float

_LARGEST_PIECE = 40


def check_pace(pace: Pace) -> Pace:
    """Refuse a pace that no stream can have.

    Args:
        pace: `"recorded"`, `"instant"`, or events per second.

    Returns:
        The same pace.

    Raises:
        ValueError: If it is another word, or not a positive number.
    """
    if isinstance(pace, str):
        if pace in {"recorded", "instant"}:
            return pace
    elif pace > 0 and math.isfinite(pace):
        return pace
    msg = f"pace has to be 'recorded', 'instant' or a number of events per second, got {pace!r}"
    raise ValueError(msg)


def schedule(recording: Recording, pace: Pace) -> Iterator[tuple[float, bytes]]:
    """Give the pieces of a recording's body in order, with the time at which each is due.

    Times are counted from the request and not from the piece before, so that delays do not add up.

    Args:
        recording: What is sent.
        pace: `"recorded"` follows `reads` where there are any; `"instant"` makes everything due at
            once; a number is events per second, the first at 0.

    Returns:
        Pairs of seconds since the request and a piece; joined, the pieces are the body.
    """
    pieces = _timed(recording, pace)
    if recording.split_seed is None:
        return pieces
    return _split(pieces, Random(recording.split_seed))  # noqa: S311


def _timed(recording: Recording, pace: Pace) -> Iterator[tuple[float, bytes]]:
    if pace == "recorded" and recording.reads:
        position, at = 0, 0.0
        for at, size in recording.reads:
            if piece := recording.body[position : position + size]:
                yield at, piece
            position += size
        if rest := recording.body[position:]:
            yield at, rest
        return
    between = 0.0 if isinstance(pace, str) else 1 / pace
    for number, event in enumerate(recording.events):
        yield number * between, event


def _split(pieces: Iterator[tuple[float, bytes]], random: Random) -> Iterator[tuple[float, bytes]]:
    # A small piece may hold the end of one event and the start of the next; it is due with its
    # last byte.
    held, at = b"", 0.0
    size = random.randint(1, _LARGEST_PIECE)
    for at, piece in pieces:
        held += piece
        start = 0
        while len(held) - start >= size:
            yield at, held[start : start + size]
            start += size
            size = random.randint(1, _LARGEST_PIECE)
        held = held[start:]
    if held:
        yield at, held
