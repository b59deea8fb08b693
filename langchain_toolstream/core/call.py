"""One call while it is written, and what the rules of `core.calls` ask of its tool."""

from typing import Any, Protocol

from langchain_toolstream.core.arguments import Arguments
from langchain_toolstream.core.errors import JSONLimitError
from langchain_toolstream.core.json import JSONEvent

_MAX_PENDING = 512
"""How many events wait for a call to be announced. Where there are more, its arguments are told as
a whole. An event has its path, which may take a thousand times the memory of the text."""


class ToolSpec(Protocol):
    """What the rules ask of a bound tool."""

    @property
    def read_only(self) -> bool:
        """Whether running it for nothing does no harm."""
        ...

    @property
    def takes_arguments(self) -> bool:
        """Whether it has any parameters that the model may fill in."""
        ...

    @property
    def streamed(self) -> tuple[str, frozenset[str]] | None:
        """The argument that the tool reads while it is written, and the names of all others."""
        ...

    def validate(self, args: dict[str, Any]) -> str | None:
        """Say why the arguments do not fit, with the path, or nothing when they do."""
        ...


class Call:
    """One call while it is written."""

    __slots__ = (
        "args", "arguments", "beside", "came_whole", "double_encoded", "error", "fields",
        "finished", "fragments", "held", "id", "index", "left_to", "name", "no_parameters",
        "provisional", "ready", "reported_invalid", "spec", "told", "undelivered", "whole",
        "wire_id", "wire_index",
    )  # fmt: skip

    def __init__(self, index: int, *, events: bool) -> None:
        """Open it, as the call of this number in its message."""
        self.index = index
        self.wire_index: int | None = None
        self.wire_id: str | None = None
        self.fragments = 0
        self.id = ""  # set when it is announced
        self.name = ""
        self.spec: ToolSpec | None = None
        self.no_parameters = False  # so none have to come
        self.came_whole = False  # whether its name and its first arguments came together
        self.beside: list[Call] | None = None  # if its arguments began before its name: what was
        self.left_to: Call | None = None  # which took its index                open at that time
        self.arguments = Arguments(events=events)
        self.held = False  # its text, as long as it may be a repetition
        self.undelivered: list[str] = []  # what readers have not been given yet
        self.fields: list[JSONEvent] = []  # likewise, unless
        self.whole = False  # readers are given the arguments as a whole
        self.args: dict[str, Any] | None = None  # set when closed
        self.double_encoded = False
        self.error: str | None = None
        self.ready = False
        self.provisional = False
        self.finished = False
        self.reported_invalid = False  # by another reader, perhaps without a reason
        self.told = False  # the error is another reader's

    @property
    def waits(self) -> bool:
        """Whether its arguments have to come, or to go on."""
        return not (self.arguments.json.closed or self.no_parameters)

    @property
    def is_stray(self) -> bool:
        """Whether it is arguments that may belong to another call."""
        return self.beside is not None and (not self.name or self.error is not None)

    @property
    def is_bare(self) -> bool:
        """Whether it has no arguments, though its tool has parameters."""
        begun = self.arguments.json.value is not None and self.args is None
        return not (begun or self.args or self.no_parameters)

    @property
    def streamed(self) -> str | None:
        """The argument that its tool reads while it is written."""
        return self.spec.streamed[0] if self.spec is not None and self.spec.streamed else None

    def read(self, text: str) -> list[JSONEvent]:
        """Take the next piece of the arguments, up to the end of the root value."""
        found = self.arguments.read(text)
        if error := self.arguments.json.error:
            kind = "too large" if isinstance(error, JSONLimitError) else "not JSON"
            self.error = f"The arguments are {kind}: {error}."
        return found

    def keep(self, fields: list[JSONEvent]) -> None:
        """Keep what became known until readers may be given it."""
        if not self.whole:
            self.fields += fields

    def wait(self) -> None:
        """Readers are given nothing yet. Where too much waits, they will be given the whole."""
        if len(self.fields) > _MAX_PENDING:
            self.whole = True
            self.fields = []
