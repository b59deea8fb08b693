"""Which calls arrived, and what each was answered: the shared core of the sync and async loops."""

from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage

from langchain_toolstream.parsers.base import ToolCallError
from langchain_toolstream.tools.run.errors import (
    INTERRUPTED_TEMPLATE,
    INVALID_CALL_TEMPLATE,
    error_message,
)
from langchain_toolstream.tools.run.running import Running

if TYPE_CHECKING:
    from langchain_toolstream.tools.run.caller import Caller

Call = ToolCall | InvalidToolCall
Order = Literal["completed", "called"]


class Entry:
    """One call that arrived, and its answer once there is one.

    It waits for its producers: earlier calls of the message whose artifacts it takes. One that came
    before it was confirmed came before those too, perhaps, and waits until that is known.
    """

    __slots__ = (
        "call", "given_out", "message", "place", "producers", "refused", "running", "started_at",
        "unseen",
    )  # fmt: skip

    def __init__(self, call: Call, place: int) -> None:
        self.call: Any = call
        self.place = place
        self.message: ToolMessage | None = None
        self.given_out = False
        self.refused = False
        self.running = Running(call["id"], call.get("args"))
        self.started_at: float | None = None
        self.producers: list[Entry] = []
        self.unseen: frozenset[str] = frozenset()  # producers that have not come, and may

    @property
    def may_start(self) -> bool:
        """Whether the calls that this one takes artifacts of are answered."""
        return not self.unseen and all(one.message is not None for one in self.producers)

    def needs(self, other: "Entry") -> bool:
        """Whether another call has to be answered before this one."""
        return any(one is other or one.needs(other) for one in self.producers)


class Ledger:
    """Which calls arrived, and what was answered: the shared core of the two loops."""

    def __init__(self, caller: "Caller", order: Order) -> None:
        self.arrived: list[Call] = []
        self._caller = caller
        self._order = order
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._unsure: list[Entry] = []  # which calls come before them
        self._unanswered = 0
        self._answered: list[Entry] = []  # and not given out
        self._next = 0  # in the model's order

    @property
    def waiting(self) -> bool:
        """Whether a call is not answered yet."""
        return self._unanswered > 0

    def arrive(self, batch: Any) -> list[Entry]:
        """Take some calls in, none at the end. Returns those whose tools have to be started."""
        calls = as_calls(batch)
        self.arrived.extend(calls)
        taken_back = {call["id"] for call in calls if _is_invalid(call)} - {None}
        to_start = []
        for call in calls:
            if _is_invalid(call):
                self._refuse(call)
            elif call["id"] not in taken_back and not self._was_refused(call):
                entry = self._enter(call)
                refusal = self._caller.refusal(call)
                if refusal is None:
                    earlier = self._caller.producers(call) - {call["id"]}
                    entry.producers = [e for id_ in earlier if (e := self._by_id.get(id_))]
                    self._show(entry)
                    if entry.running.may_be_confirmed:
                        entry.unseen = earlier - self._by_id.keys()
                        self._unsure.append(entry)
                    to_start.append(entry)
                else:
                    self.answer(entry, refusal)
        for entry in self._unsure:
            if not (calls and entry.running.may_be_confirmed):
                entry.unseen = frozenset()  # whatever comes now is no earlier call
        self._unsure = [entry for entry in self._unsure if entry.unseen]
        return to_start

    def _show(self, new: Entry) -> None:
        """Let those wait for a call that take its artifact and came before it."""
        for entry in self._unsure:
            if new.call["id"] in entry.unseen and not new.needs(entry):
                entry.producers.append(new)

    def _was_refused(self, call: Call) -> bool:
        known = self._by_id.get(call["id"] or "")
        return known is not None and known.refused

    def _enter(self, call: Call) -> Entry:
        entry = Entry(call, len(self._entries))
        self._entries.append(entry)
        self._unanswered += 1
        if call["id"] is not None:
            self._by_id[call["id"]] = entry
        return entry

    def _refuse(self, call: Call) -> None:
        message = error_message(
            call, INVALID_CALL_TEMPLATE.format(error=call.get("error") or "It is not valid.")
        )
        entry = self._by_id.get(call["id"] or "") or self._enter(call)
        entry.refused = True
        if entry.message is None:
            self.answer(entry, message)
        elif not entry.given_out:
            entry.message = message

    def answer(self, entry: Entry, message: ToolMessage) -> None:
        """Record what a tool returned; the first answer to a call counts."""
        if entry.message is None:
            entry.message = message
            self._unanswered -= 1
            self._answered.append(entry)

    def interrupt(self, error: Exception) -> None:
        """The input broke: stop what can have started before its call was confirmed.

        That is what is read-only, or reads an argument while it is written. A `ToolCallError` is
        no interruption: it comes behind the good calls of a message that has ended, and says which
        of those that came early were none.
        """
        if isinstance(error, ToolCallError):
            for call in error.invalid_tool_calls:
                if call["id"] in self._by_id:
                    self._refuse(call)
            return
        for entry in self._entries:
            schema = self._caller.schemas.get(entry.call["name"])
            is_read_only = schema is not None and schema.read_only
            if is_read_only or entry.running.is_provisional:
                message = error_message(entry.call, INTERRUPTED_TEMPLATE.format(error=error))
                self.answer(entry, message)

    def release(self) -> list[ToolMessage]:
        """The messages that may go out now."""
        if self._order == "called":
            ready = []
            while self._next < len(self._entries) and self._entries[self._next].message is not None:
                ready.append(self._entries[self._next])
                self._next += 1
        else:
            ready = sorted(self._answered, key=lambda entry: entry.place)
        self._answered.clear()
        messages = []
        for entry in ready:
            entry.given_out = True
            made: Any = entry.message  # a tool may make several, or a Command
            messages += made if isinstance(made, list) else [made]
        return messages


def _is_invalid(call: Call) -> bool:
    return call.get("type") == "invalid_tool_call"


def as_calls(calls: Any) -> list[Call]:
    """Check that these are calls in a list, as `map()` takes them."""
    if isinstance(calls, dict) and "args" in calls:
        msg = "ToolSet.map() runs lists of tool calls, got one call. Write [call], or use invoke()."
        raise TypeError(msg)
    if not isinstance(calls, list | tuple):
        msg = f"ToolSet.map() runs lists of tool calls, got {type(calls).__name__}. {_ROAD}"
        raise TypeError(msg)
    for call in calls:
        check_is_call(call)
    return list(calls)


def check_is_call(call: Any) -> None:
    """Refuse what is no tool call.

    Args:
        call: What was given as one.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(call, dict):
        road = "One list of calls is run by tools.map()." if isinstance(call, list) else _ROAD
        msg = f"A tool call is a dict, got {type(call).__name__}. {road}"
        raise TypeError(msg)
    if missing := [key for key in ("name", "args", "id") if key not in call]:
        shown = f"there is no {missing[0]!r} in {list(call)}"
        msg = f"A tool call has a name, args and an id; {shown}. {_ROAD}"
        raise TypeError(msg)


_ROAD = "Put ToolStreamParser(tools) between the model and tools.map(), which runs lists of calls."
