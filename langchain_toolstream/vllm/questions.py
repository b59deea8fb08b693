"""What a server is asked beside an answer, by code that knows no client."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelCards:
    """Which models does the server list?"""


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Which tokens are a request's prompt? The answer is a `Prompt`.

    Attributes:
        payload: The chat request.
    """

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TextOfTokens:
    """Which text do tokens have?

    Attributes:
        model: The model that wrote them.
        ids: The tokens.
    """

    model: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class ContextLength:
    """How many tokens may a prompt and its answer have together?

    Attributes:
        model: The model.
    """

    model: str


Question = ModelCards | PromptTokens | TextOfTokens | ContextLength
"""It is answered by `None` where the server does not have it, and by the error where it fails."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens.

    Attributes:
        ids: The tokens.
        end: The text of the last of them, as far as it is known.
        room: How many tokens the prompt and the answer may have together.
    """

    ids: list[int]
    end: str = ""
    room: int | None = None


def answered(steps: Generator[Question, Any, T], ask: Callable[[Question], Any]) -> T:
    """Answer what code asks, until it returns.

    Args:
        steps: What asks.
        ask: Answers a question.

    Returns:
        What it returns.
    """
    answer = None
    while True:
        try:
            question = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = ask(question)


async def aanswered(
    steps: Generator[Question, Any, T], ask: Callable[[Question], Awaitable[Any]]
) -> T:
    """`answered`, asynchronously."""
    answer = None
    while True:
        try:
            question = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = await ask(question)
