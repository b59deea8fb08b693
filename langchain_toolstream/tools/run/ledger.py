"""Which calls arrived, and what each was answered: the shared core of the sync and async loops."""

from typing import Any

from langchain_core.messages import ToolCall, ToolMessage

from langchain_toolstream.parsers.base import ToolCallError
from langchain_toolstream.parsers.tool_stream import Call
from langchain_toolstream.tools.run.caller import Caller
from langchain_toolstream.tools.run.calls import Order, as_calls, is_invalid
from langchain_toolstream.tools.run.errors import (
    INTERRUPTED_TEMPLATE,
    error_message,
    invalid_message,
)
from langchain_toolstream.tools.run.running import Running


class Entry:
    """One call that arrived, and its answer once there is one.

    It waits for its producers: earlier calls of the message whose artifacts it takes. One that came
    before it was confirmed came before those too, perhaps, and waits until that is known.
    """

    __slots__ = (
        "call", "given_out", "is_invalid", "message", "place", "producers", "running",
        "started_at", "unseen",
    )  # fmt: skip

    def __init__(self, call: Call, place: int) -> None:
        self.call: Any = call
        self.place = place
        self.message: ToolMessage | None = None
        self.given_out = False
        self.is_invalid = False
        self.running = Running(call["id"], call.get("args"))
        self.started_at: float | None = None
        self.producers: list[Entry] = []
        self.unseen: frozenset[str] = frozenset()  # producers that have not come, and may

    @property
    def has_its_input(self) -> bool:
        """Whether the calls that this one takes artifacts of are answered."""
        return not self.unseen and all(one.message is not None for one in self.producers)

    def needs(self, other: "Entry") -> bool:
        """Whether another call has to be answered before this one."""
        return any(one is other or one.needs(other) for one in self.producers)


class Ledger:
    """Which calls arrived, and what was answered: the shared core of the two loops."""

    def __init__(self, caller: Caller, order: Order) -> None:
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
        self.arrived.extend(self._caller.shown(calls))
        revoked = {call["id"] for call in calls if is_invalid(call)} - {None}
        to_start = []
        for item in calls:
            if is_invalid(item):
                self._reject(item)
            elif item["id"] not in revoked and not self._became_invalid(item):
                entry = self._enter(item)
                call = self._caller.look_up(item)
                if isinstance(call, ToolMessage):
                    self.answer(entry, call)
                else:
                    self._prepare(entry, call)
                    to_start.append(entry)
        for entry in self._unsure:
            if not (calls and entry.running.may_be_confirmed):
                entry.unseen = frozenset()  # whatever comes now is no earlier call
        self._unsure = [entry for entry in self._unsure if entry.unseen]
        return to_start

    def _prepare(self, entry: Entry, call: ToolCall) -> None:
        """Let a call wait for those whose artifacts it takes, and those for it that take its."""
        entry.call, entry.running.call_id = call, call["id"]
        earlier = self._caller.producers(call) - {call["id"]}
        entry.producers = [e for id_ in earlier if (e := self._by_id.get(id_))]
        self._show(entry)
        if entry.running.may_be_confirmed:
            entry.unseen = earlier - self._by_id.keys()
            self._unsure.append(entry)

    def _show(self, new: Entry) -> None:
        """Let those wait for a call that take its artifact and came before it."""
        for entry in self._unsure:
            if new.call["id"] in entry.unseen and not new.needs(entry):
                entry.producers.append(new)

    def _became_invalid(self, call: Call) -> bool:
        known = self._by_id.get(call["id"] or "")
        return known is not None and known.is_invalid

    def _enter(self, call: Call) -> Entry:
        entry = Entry(call, len(self._entries))
        self._entries.append(entry)
        self._unanswered += 1
        if call["id"] is not None:
            self._by_id[call["id"]] = entry
        return entry

    def _reject(self, call: Call) -> None:
        message = invalid_message(call, call.get("error"))
        entry = self._by_id.get(call["id"] or "") or self._enter(call)
        entry.is_invalid = True
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
                    self._reject(call)
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
