"""What a server is asked before an answer goes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be known before an answer can go on.

    Attributes:
        model: The model that answers.
        ids: Tokens whose text is wanted. Without them it is the length of the model's context.
    """

    model: str
    ids: list[int] | None = None
