"""One tool call as it was known at one moment."""

from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolCall

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.views.moment import FinishedPaths, Moment


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a call beside its arguments."""

    id: str
    name: str
    index: int
    tool_call: ToolCall | None = None
    error: str | None = None
    error_path: JSONPath | None = None


@dataclass(slots=True, eq=False, repr=False)
class ToolCallView:
    """What was known of a tool call at one moment.

    A view stays as it is, whenever it is looked at. It costs the same to make however long the
    arguments are; `args` and `model` are put together when they are asked for, from parts that all
    views share, so they are to be read and not written to.
    """

    _about: About
    _moment: Moment
    _length: int

    @property
    def id(self) -> str:
        """The id of the call."""
        return self._about.id

    @property
    def name(self) -> str:
        """The name of its tool."""
        return self._about.name

    @property
    def index(self) -> int:
        """The position of the call in its message."""
        return self._about.index

    @property
    def tool_call(self) -> ToolCall | None:
        """LangChain's `ToolCall`, from the moment that the call may be run.

        That is when its message has ended and nothing speaks against the call; or, if its tool is
        read-only in a `ToolSet`, when the arguments are complete. Before, it is `None`: complete
        arguments may still be contradicted, or turn out to have been cut off.
        """
        return self._about.tool_call

    @property
    def error(self) -> str | None:
        """Why this is no call that may run, with the place, from the moment that is known."""
        return self._about.error

    @property
    def error_path(self) -> JSONPath | None:
        """That place, where it is one in the arguments."""
        return self._about.error_path

    @property
    def args(self) -> dict[str, Any]:
        """The arguments so far, as JSON has them.

        Numbers, booleans and nulls appear when they are finished; strings grow, by whole
        characters; objects and lists fill in.
        """
        args: dict[str, Any] = self._moment.value(self._length) or {}
        return args

    @property
    def model(self) -> Any:
        """What the arguments are going to be, with just the fields that are known.

        An object of the pydantic model or dataclass, of the model that LangChain makes for a
        function or tool, or a dict for a `TypedDict` or JSON schema. What is finished has been
        validated and is of its real type; a field that is not known yet is not set, also where it
        has a default, so reading it raises `AttributeError`. `None` as long as it cannot be said
        what the arguments are.
        """
        return self._moment.made(self._length)

    @property
    def finished(self) -> FinishedPaths:
        """The paths in `args` whose value will never change."""
        return self._moment.finished(self._length)

    def __repr__(self) -> str:
        state = "tool_call" if self.tool_call else f"error={self.error!r}" if self.error else "..."
        return f"ToolCallView({self.name}, {self.args!r}, {state})"

    def __copy__(self) -> "ToolCallView":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ToolCallView":
        return self
