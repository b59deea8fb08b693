"""Wires in which it is not plain whose a fragment is, with what the model wrote; made by rules.

Nothing of the package is used here. A wire is a list of chunks as a server would send them. `sure`
are the calls that a careful reader must get from it: those of wires that can be read in one way.
What else runs has to be among `written`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product, zip_longest
from typing import Any

Call = tuple[str, dict[str, Any]]
Fragment = dict[str, Any]

KEEP: Call = ("read_path", {"path": "/keep"})
TRASH: Call = ("delete_path", {"path": "/trash"})
NOTE: Call = ("note", {"text": "a, b", "tags": ["x", "y"], "n": 10})
ALL: Call = ("purge", {})
FOLDER: Call = ("purge", {"folder": "tmp"})
PING: Call = ("ping", {})

NO_PARAMETERS = frozenset({"ping"})

MESSAGES: tuple[tuple[Call, ...], ...] = (
    (KEEP, TRASH),
    (TRASH, NOTE),
    (FOLDER, KEEP),
    (NOTE, FOLDER, TRASH),
    (KEEP, TRASH, NOTE),
)
WITH_BARE: tuple[tuple[Call, ...], ...] = ((ALL, TRASH), (TRASH, ALL), (ALL, KEEP, NOTE))
WITH_PING: tuple[tuple[Call, ...], ...] = ((PING, TRASH), (KEEP, PING), (KEEP, PING, TRASH))
SINGLE: tuple[tuple[Call, ...], ...] = ((KEEP,), (NOTE,), (FOLDER,))


@dataclass(frozen=True)
class Piece:
    """A fragment before it is written: of which call, and which part of it."""

    call: int
    part: int
    name: str | None
    text: str | None

    @property
    def is_first(self) -> bool:
        return self.part == 0


@dataclass(frozen=True)
class Wire:
    """An answer, and what the model wrote."""

    kind: str
    id: str
    chunks: tuple[dict[str, Any], ...]
    written: tuple[Call, ...]
    sure: tuple[Call, ...] = ()
    raises: bool = False
    text: str = field(default="", compare=False)

    @property
    def has_one_reading(self) -> bool:
        return self.raises or len(self.sure) == len(self.written)

    @property
    def body(self) -> bytes:
        events = [*map(json.dumps, self.chunks), "[DONE]"]
        return "".join(f"data: {event}\n\n" for event in events).encode()


Fold = Callable[[Piece], Fragment]


def cut(call: int, one: Call, size: int) -> list[Piece]:
    """A name, then the arguments in pieces of a size; none at all for no arguments."""
    name, args = one
    text = json.dumps(args) if args else ""
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    return [
        Piece(call, 0, name, ""),
        *(Piece(call, part, None, piece) for part, piece in enumerate(parts, 1)),
    ]


def in_order(message: tuple[Call, ...], size: int) -> list[Piece]:
    return [piece for i, call in enumerate(message) for piece in cut(i, call, size)]


def in_turns(message: tuple[Call, ...], size: int) -> list[Piece]:
    """All names first, then a piece of each call's arguments, and again."""
    rows = zip_longest(*(cut(i, call, size) for i, call in enumerate(message)))
    return [piece for row in rows for piece in row if piece is not None]


def name_of(call: int) -> str:
    return f"call_{'abc'[call]}"


def plain(piece: Piece) -> Fragment:
    """As OpenAI writes it."""
    function = {"name": piece.name} if piece.name else {}
    fragment: Fragment = {
        "index": piece.call,
        "function": {**function, "arguments": piece.text or ""},
    }
    if piece.is_first:
        fragment |= {"id": name_of(piece.call), "type": "function"}
    return fragment


def with_ids(piece: Piece) -> Fragment:
    """The id in every fragment."""
    return plain(piece) | {"id": name_of(piece.call)}


def without(fold: Fold, key: str, where: Callable[[Piece], bool] = lambda _: True) -> Fold:
    def folded(piece: Piece) -> Fragment:
        fragment = fold(piece)
        return {k: v for k, v in fragment.items() if k != key or not where(piece)}

    return folded


def changed(
    fold: Fold, key: str, value: Callable[[Piece], Any], where: Callable[[Piece], bool]
) -> Fold:
    def folded(piece: Piece) -> Fragment:
        return fold(piece) | ({key: value(piece)} if where(piece) else {})

    return folded


def chunk(
    delta: dict[str, Any], finish: str | None = None, chunk_id: str = "chatcmpl-1"
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": chunk_id, "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


ROLE = {"role": "assistant", "content": ""}


def answer(fragments: list[Fragment], size: int = 1) -> tuple[dict[str, Any], ...]:
    """A whole answer: so many fragments in each chunk."""
    lists = [fragments[i : i + size] for i in range(0, len(fragments), size)]
    return (
        chunk(ROLE),
        *(chunk({"tool_calls": some}) for some in lists),
        chunk({}, "tool_calls"),
    )


def is_open_alone(pieces: list[Piece], message: tuple[Call, ...], at: int) -> bool:
    """Whether only one call that takes arguments has begun and not ended, before a piece."""
    waiting = set()
    for piece in pieces[:at]:
        total = len([p for p in pieces if p.call == piece.call]) - 1
        takes = message[piece.call][0] not in NO_PARAMETERS
        if takes and (piece.part < total or not total):
            waiting.add(piece.call)
        else:
            waiting.discard(piece.call)
    return waiting == {pieces[at].call}


def wires() -> Iterator[Wire]:
    """All of them: at least ten of each kind."""
    for make in (
        _without_index,
        _one_index_dropped,
        _index_late,
        _spelled_otherwise,
        _by_id,
        _one_index_moved,
        _one_id_changed,
        _index_and_id_disagree,
        _arguments_elsewhere,
        _two_names_at_one_index,
        _said_again,
        _one_id_for_two,
        _repeated,
        _glued,
    ):
        kind = make.__name__.strip("_").replace("_", " ")
        for number, (chunks, written, sure, raises) in enumerate(make()):
            yield Wire(kind, f"{kind}/{number}", tuple(chunks), written, sure, raises)


Made = Iterator[tuple[Any, tuple[Call, ...], tuple[Call, ...], bool]]


def _without_index() -> Made:
    """The index in the first fragments only, or nowhere; ids as usual."""
    everywhere = without(plain, "index")
    later = without(plain, "index", lambda piece: not piece.is_first)
    nulls = changed(plain, "index", lambda _: None, lambda _: True)
    for message, fold, size in product(
        (*MESSAGES, *WITH_PING), (everywhere, later, nulls), (4, 99)
    ):
        yield answer([fold(p) for p in in_order(message, size)]), message, message, False
        pieces = in_turns(message, size)
        sure = message if len([c for c in message if c != PING]) == 1 else ()
        yield answer([fold(p) for p in pieces]), message, sure, False
        yield answer([fold(p) for p in pieces], 2), message, sure, False
    for message, fold in product(WITH_BARE, (everywhere, later)):
        yield answer([fold(p) for p in in_order(message, 4)]), message, (), False


def _one_index_dropped() -> Made:
    """At every place."""
    for message, order in product(MESSAGES, (in_order, in_turns)):
        pieces = order(message, 7)
        for at, piece in enumerate(pieces):
            fold = without(plain, "index", piece.__eq__)
            sure = message if piece.is_first or is_open_alone(pieces, message, at) else ()
            if piece.is_first and order is in_turns:
                sure = ()
            yield answer([fold(p) for p in pieces]), message, sure, False


def _index_late() -> Made:
    """The first fragment of a call has none."""
    fold = without(plain, "index", lambda piece: piece.is_first)
    for message, size in product((*MESSAGES, *SINGLE), (3, 8, 99)):
        yield answer([fold(p) for p in in_order(message, size)]), message, message, False
        if len(message) > 1:
            yield answer([fold(p) for p in in_turns(message, size)]), message, (), False


def _spelled_otherwise() -> Made:
    """`"0"` and `0.0`, everywhere or mixed."""
    spellings: list[Callable[[Piece], Any]] = [
        lambda piece: str(piece.call),
        lambda piece: float(piece.call),
        lambda piece: str(float(piece.call)),
        lambda piece: (str, float, int)[piece.part % 3](piece.call),
    ]
    for message, order, spelling in product(
        (*MESSAGES, *WITH_BARE), (in_order, in_turns), spellings
    ):
        fold = changed(plain, "index", spelling, lambda _: True)
        yield answer([fold(p) for p in order(message, 5)]), message, message, False


def _by_id() -> Made:
    """Ids in every fragment, and indexes missing, all the same, or counting fragments."""
    counter = iter(range(10_000))
    folds = (
        without(with_ids, "index"),
        changed(with_ids, "index", lambda _: 0, lambda _: True),
        changed(with_ids, "index", lambda _: next(counter), lambda _: True),
    )
    for message, order, fold in product((*MESSAGES, *WITH_PING), (in_order, in_turns), folds):
        yield answer([fold(p) for p in order(message, 6)]), message, message, False


def _one_index_moved() -> Made:
    """A piece at an index that no call has, at every place; without and with the id."""
    for message, order, base in product(MESSAGES, (in_order, in_turns), (plain, with_ids)):
        pieces = order(message, 7)
        for piece in pieces:
            fold = changed(base, "index", lambda _: 9, piece.__eq__)
            sure = message if base is with_ids else ()
            yield answer([fold(p) for p in pieces]), message, sure, False


def _one_id_changed() -> Made:
    """A piece under an id that no call has, at every place, with and without indexes."""
    for message, order, base in product(
        MESSAGES, (in_order, in_turns), (with_ids, without(with_ids, "index"))
    ):
        pieces = order(message, 7)
        for piece in pieces:
            fold = changed(base, "id", lambda _: "call_z", piece.__eq__)
            yield answer([fold(p) for p in pieces]), message, (), False


def _index_and_id_disagree() -> Made:
    """A piece with the index of one open call and the id of the other."""
    for message in MESSAGES:
        pieces = in_turns(message, 7)
        for piece in pieces:
            if piece.is_first:
                continue
            other = (piece.call + 1) % len(message)
            for key, value in (("index", other), ("id", name_of(other))):
                fold = changed(with_ids, key, lambda _, value=value: value, piece.__eq__)
                yield answer([fold(p) for p in pieces]), message, (), False


def _arguments_elsewhere() -> Made:
    """A name at one index and the arguments at the next, or at a new id for each piece."""
    fresh = iter(range(10_000))
    doubled = changed(plain, "index", lambda p: 2 * p.call + (not p.is_first), lambda _: True)
    folds = (
        doubled,
        without(doubled, "id"),
        without(changed(plain, "id", lambda _: f"new_{next(fresh)}", lambda _: True), "index"),
        changed(plain, "id", lambda _: f"new_{next(fresh)}", lambda p: not p.is_first),
        changed(doubled, "id", lambda _: f"new_{next(fresh)}", lambda _: True),
    )
    for message, fold, size in product((*MESSAGES, *WITH_BARE, *SINGLE), folds, (5, 99)):
        yield answer([fold(p) for p in in_order(message, size)]), message, (), False


def _two_names_at_one_index() -> Made:
    """And the arguments after them."""
    zero = changed(plain, "index", lambda _: 0, lambda _: True)
    for message, size in product((*MESSAGES, *WITH_BARE), (5, 99)):
        pieces = in_turns(message, size)
        yield answer([zero(p) for p in pieces]), message, (), False
        yield answer([without(zero, "id")(p) for p in pieces]), message, (), False


def _said_again() -> Made:
    """One call at several indexes, under its one id; whole, or with its arguments at the last."""
    for (name, args), times, late in product((KEEP, TRASH, NOTE, FOLDER), (2, 3), (False, True)):
        fragments = [
            {
                "index": i,
                "id": "call_a",
                "function": {
                    "name": name,
                    "arguments": "" if late and i < times - 1 else json.dumps(args),
                },
            }
            for i in range(times)
        ]
        one = ((name, args),)
        yield answer(fragments), one, one, False
        yield answer(fragments, 9), one, one, False


def _one_id_for_two() -> Made:
    """Told apart by their indexes, or by nothing."""
    for message, order, base in product(MESSAGES, (in_order, in_turns), (plain, with_ids)):
        fold = changed(base, "id", lambda _: "call_x", lambda p, base=base: "id" in base(p))
        yield answer([fold(p) for p in order(message, 6)]), message, message, False
        bare = without(fold, "index")
        yield answer([bare(p) for p in order(message, 6)]), message, (), False


def _repeated() -> Made:
    """Names and ids in every fragment; each fragment's name alone; the whole object twice."""
    for message, order in product(MESSAGES, (in_order, in_turns)):
        pieces = order(message, 6)
        named = [
            with_ids(p) | {"function": {"name": message[p.call][0], "arguments": p.text}}
            for p in pieces
        ]
        yield answer(named), message, message, False
        yield (
            answer([{k: v for k, v in f.items() if k != "id"} for f in named]),
            message,
            message,
            False,
        )
        twice = [
            {"index": i, "id": name_of(i), "function": {"name": n, "arguments": json.dumps(a) * 2}}
            for i, (n, a) in enumerate(message)
        ]
        yield answer(twice), message, message, False


def _glued() -> Made:
    """A gateway asked a second server; or a finish reason came before the end."""
    for message, size in product(MESSAGES[:3], (6, 99)):
        pieces = in_order(message, size)
        first = [plain(p) for p in pieces]
        again = [f | ({"id": f["id"] + "2"} if "id" in f else {}) for f in first]
        for stop in range(1, len(first) + 1, max(1, len(first) // 4)):
            a = [chunk({"tool_calls": [f]}, chunk_id="A") for f in first[:stop]]
            b = [chunk({"tool_calls": [f]}, chunk_id="B") for f in again]
            end = chunk({}, "tool_calls", "B")
            yield (
                (chunk(ROLE, chunk_id="A"), *a, chunk(ROLE, chunk_id="B"), *b, end),
                message,
                (),
                True,
            )
            if stop > 1:
                yield (chunk(ROLE, chunk_id="A"), *a, *b, end), message, (), True
        every = [chunk({"tool_calls": [f]}, "tool_calls") for f in first]
        yield (chunk(ROLE), *every), message, (), True
        yield (chunk(ROLE), *every[:-1]), message, (), len(every) > 2
    for text in ("The total is 4", "Thinking. Then: yes"):
        pieces_ = [chunk({"content": word}, chunk_id="A") for word in text.split()]
        rest = [chunk({"content": word}, chunk_id="B") for word in (*text.split(), "2.")]
        end = chunk({}, "stop", "B")
        yield (
            (chunk(ROLE, chunk_id="A"), *pieces_, chunk(ROLE, chunk_id="B"), *rest, end),
            (),
            (),
            True,
        )
        yield (chunk(ROLE), *pieces_, *rest, end), (), (), True
