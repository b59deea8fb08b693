"""What a server is asked before the client reads an answer, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Look:
    """What a server is asked before the request.

    Attributes:
        payload: The chat request whose prompt is wanted as tokens; `None`: the list of models.
    """

    payload: Mapping[str, Any] | None = None


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
