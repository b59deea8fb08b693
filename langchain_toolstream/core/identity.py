"""Rule 1 of `core.calls`: to which call a fragment belongs, and when that cannot be told.

**Which call.** By (choice, index), the index in any spelling of a whole number. The first non-empty
id and name win, equal repeats mean nothing, and another name that is not under the call's own id
makes the call invalid. A new id on a known index opens a new call. A new index is that of the call
whose id stands beside it, else that of the only open call that has none.
No index: by id, else the *only* open call, else, if none is open and there is no name either, the
call written last, else a new one. A call is open while its object is not closed; one whose tool has
no parameters does not count.

**Doubt** is not a guess. Where two readings are left, neither runs:

- A piece without index and id, while several calls are open, makes all of them invalid; so does one
  whose index says one open call and whose id another, or whose id two open calls share. Its place
  in the list tells nothing: one list may hold several entries of one call.
- Arguments that found no named call make invalid every call without arguments (but for tools
  without parameters), every call whose arguments began before its name, and every call that was
  open when they began: a piece of it may be missing. Text that contradicts a closed call makes
  every call invalid of which no arguments came at all (but for tools without parameters).
- A call without arguments (but for tools without parameters) whose index went on under another id
  is invalid, and so is the call that took the index, unless arguments came with its name.
- Of one id, name and arguments at several indexes the first stands; each repetition is invalid.
  Where only one of two calls with the same id and name has arguments, the other is invalid.
"""

from collections.abc import Iterable, Iterator

from langchain_toolstream.core.arguments import BLANK
from langchain_toolstream.core.call import Call
from langchain_toolstream.core.errors import quoted

MAX_CALLS = 128
"""Calls of one message. OpenAI allows 128 tools; a stream that opens more calls is looping."""

_STRAY = (
    "The server sent arguments that belong to no named call, and they may be this call's, so what "
    "its arguments are cannot be told."
)
_LEFT = (
    "An index went on under another id before arguments came, so which of two calls they belong "
    "to cannot be told; this is one of them."
)
_REPEATED = "The server sent a call with this id and name before, under another index."


Doubts = Iterable[tuple[Call, str]]
"""Calls that have become doubtful, each with the reason."""


class CallTable:
    """The calls of one message, by what the server calls them.

    It finds doubts; what they mean for a call, the assembler says.

    Attributes:
        calls: In the order in which they began.
        by_index: By the server's index: the last that has it.
        last_written: The call of which arguments came last.
        has_stray_text: Whether a closed call was contradicted.
    """

    def __init__(self) -> None:
        """Start before the first fragment."""
        self.calls: list[Call] = []
        self.by_index: dict[int, Call] = {}
        self.last_written: Call | None = None
        self.has_stray_text = False
        self._by_wire_id: dict[str, list[Call]] = {}
        self._doubts: list[tuple[Call, str]] = []

    def with_wire_id(self, wire_id: str) -> Call | None:
        """The first call that the server gave this id."""
        known = self._by_wire_id.get(wire_id)
        return known[0] if known else None

    def take(
        self, index: int | None, wire_id: str, name: str, text: str, *, events: bool
    ) -> Call | None:
        """Say whose a fragment is, and keep what it says of the call's index and id.

        Args:
            index: The server's, if the fragment has one.
            wire_id: Likewise.
            name: Likewise.
            text: Its piece of the arguments.
            events: Whether a new call's fields are asked for.

        Returns:
            The call, perhaps a new one; `None` past the limit. `new_doubts` has more to say.
        """
        call = self._find(index, wire_id, name, text)
        if call is None:
            if len(self.calls) > MAX_CALLS:
                return None
            call = self._open(index, events=events)
        if name and call.name and name != call.name and not (wire_id and wire_id == call.wire_id):
            reason = f"The call was begun as {quoted(call.name)} and went on as {quoted(name)}."
            self._doubts.append((call, reason))
        call.fragments += 1
        if index is not None and (call.wire_index is None or index not in self.by_index):
            call.wire_index = index if call.wire_index is None else call.wire_index
            self.by_index[index] = call
        if wire_id and call.wire_id is None:
            call.wire_id = wire_id
            self._by_wire_id.setdefault(wire_id, []).append(call)
        return call

    def note_arguments(self, call: Call, text: str) -> None:
        """Take note that a piece of the arguments came, before it is read."""
        self.last_written = call
        if not call.name and call.beside is None and text.strip(BLANK):
            call.beside = [other for other in self._waiting() if other is not call]

    def new_doubts(self) -> Doubts:
        """What the last fragment has made doubtful."""
        doubts = self._doubts
        if doubts:
            self._doubts = []
        return doubts

    def last_doubts(self) -> Iterator[tuple[Call, str]]:
        """What can be told only when everything has come.

        What each doubt means has to be said of its call before the next is asked for.
        """
        for call in self.calls:
            if call.left_to is not None and call.is_bare:
                taker = [] if call.left_to.came_whole else [call.left_to]
                yield from _named([call, *taker], _LEFT)
        for call in self.calls:
            if call.is_stray:
                yield from _named(call.beside or [], _STRAY)
        is_lost = any(call.is_stray and not call.name for call in self.calls)
        if is_lost or self.has_stray_text:
            bare = [call for call in self.calls if call.is_bare]
            unwritten = [call for call in bare if call.arguments.json.value is None]
            yield from _named(bare if is_lost else unwritten, _STRAY)
        if is_lost:
            yield from _named([call for call in self.calls if call.beside is not None], _STRAY)
        for same in self._by_wire_id.values():
            for call in same[1:]:
                yield from self.repetitions(call)

    def may_repeat(self, call: Call) -> bool:
        """Whether another call has the same id and name."""
        same = self._by_wire_id.get(call.wire_id or "", ())
        return any(other.name == call.name for other in same if other is not call)

    def repetitions(self, call: Call) -> Iterator[tuple[Call, str]]:
        """Whether the same call has been said before, under another index."""
        for other in self._by_wire_id.get(call.wire_id or "", ()):
            if other is call:
                return
            if other.name != call.name or other.args is None or call.args is None:
                continue
            if other.args == call.args:
                yield call, _REPEATED
                return
            yield from _named([one for one in (other, call) if one.is_bare], _REPEATED)

    def may_be_doubted(self, call: Call, *, without_tools: bool) -> bool:
        """Whether what has come so far leaves it open if a closed call will stand.

        Args:
            call: The call.
            without_tools: Whether nothing is known of the tools, so that `{}` may be a call of
                which no arguments have come.
        """
        if call.arguments.repeating:
            return True
        if without_tools and (call.beside is not None or call.is_bare):
            return True
        return any(
            (other.is_stray and (call.is_bare or call in (other.beside or ())))
            or (other.left_to is call and other.is_bare and not call.came_whole)
            for other in self.calls
        )

    def _open(self, index: int | None, *, events: bool) -> Call:
        call = Call(len(self.calls), events=events)
        self.calls.append(call)
        if call.index == MAX_CALLS:
            call.error = (
                f"More than {MAX_CALLS} tool calls in one message: this one and those after it "
                "were not read."
            )
        if index in self.by_index:
            self.by_index[index].left_to = call
        return call

    def _find(self, index: int | None, wire_id: str, name: str, text: str) -> Call | None:
        known = self._by_wire_id.get(wire_id, [])
        if index is None:
            if wire_id:
                return self._find_by_id(known, name, text)
            return self._find_by_nothing(name, text)
        call = self.by_index.get(index)
        if call is None:
            return self._find_by_new_index(known, wire_id, name)
        if not wire_id or call.wire_id == wire_id:
            return call
        if same := [other for other in known if other.wire_index == index]:
            return same[-1]
        if known:
            if name or len(known) > 1:
                return None
            if not call.arguments.json.closed and not known[0].arguments.json.closed:
                self._doubt([call, known[0]])
            return known[0] if call.arguments.json.closed else call
        if call.wire_id is None and name in ("", call.name or name):
            return call
        return None

    def _find_by_new_index(self, known: list[Call], wire_id: str, name: str) -> Call | None:
        if known:
            call = next((other for other in known if other.wire_index is None), None)
            if call is None and len(known) == 1 and not name and known[0].waits:
                return known[0]
            return call
        # A call without an index takes this one, if no other can be meant.
        waiting = self._waiting()
        if len(waiting) == 1 and waiting[0].wire_index is None and waiting[0].name:
            (call,) = waiting
            if name in ("", call.name) and not (wire_id and call.wire_id):
                return call
        return None

    def _find_by_id(self, known: list[Call], name: str, text: str) -> Call | None:
        if known := [call for call in known if name in ("", call.name or name)]:
            waiting = [call for call in known if call.waits]
            if len(waiting) > 1 and text:
                self._doubt(waiting)
            return (waiting or known)[-1]
        waiting = self._waiting()
        if len(waiting) != 1 or waiting[0].wire_id is not None:
            return None
        return waiting[0] if name in ("", waiting[0].name or name) else None

    def _find_by_nothing(self, name: str, text: str) -> Call | None:
        waiting = self._waiting()
        if len(waiting) > 1 and (name or text):
            self._doubt(waiting)
        if waiting:
            return waiting[-1]
        unwritten = [call for call in self.calls if not call.arguments.json.closed]
        if unwritten and name in ("", unwritten[-1].name):
            return unwritten[-1]
        if name or not self.calls:
            return None
        return self.last_written or self.calls[-1]

    def _waiting(self) -> list[Call]:
        return [call for call in self.calls if call.waits]

    def _doubt(self, calls: list[Call]) -> None:
        """Calls that a piece may belong to, where nothing says to which."""
        reason = (
            f"The server sent a piece that may belong to any of {len(calls)} calls, this one among "
            "them, so whose arguments are whose cannot be told."
        )
        self._doubts += [(call, reason) for call in calls]


def _named(calls: list[Call], reason: str) -> Iterator[tuple[Call, str]]:
    return ((call, reason) for call in calls if call.name)
