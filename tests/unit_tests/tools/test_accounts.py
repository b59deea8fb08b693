"""Whatever happens to a message, at whatever place: what ran, what was stopped, what was answered.

One message with every kind of call in it is broken at every chunk, in every way. Each time nothing
ran that should not have, each call that came has one answer, and no task is left.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, nullcontext, suppress
from itertools import chain
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, ToolMessage

from langchain_toolstream import Streamed, ToolCallError, ToolSet, ToolStreamParser
from tests.unit_tests.scripted import PATIENCE, Call, bad, chunk, comes_true, good, part, written


class Account:
    """Tools that write down what becomes of each run."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def keep(self, name: str) -> "Entered":
        return Entered(self, name)

    def tools(self, **kwargs: Any) -> ToolSet:
        async def look(key: str) -> str:
            """Look."""
            with self.keep("look"):
                await asyncio.sleep(0)
            return key

        async def hang() -> None:
            """Hang, and let itself be stopped."""
            with self.keep("hang"):
                await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)

        async def ignore() -> str:
            """Go on when it is stopped."""
            with self.keep("ignore"), suppress(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)
            return "anyway"

        async def fail() -> None:
            """Fail."""
            with self.keep("fail"):
                raise ValueError("no luck")

        async def generate() -> AsyncIterator[str]:
            """Tell how far it is."""
            with self.keep("generate"):
                yield "half"
                yield "all"

        async def large() -> str:
            """Return 50 MB."""
            with self.keep("large"):
                return "x" * 50_000_000

        async def write(path: str) -> str:
            """Write."""
            with self.keep("write"):
                return path

        async def read_along(text: Streamed[str]) -> str:
            """Read while the model writes."""
            with self.keep("read_along"):
                return "".join([piece async for piece in text])

        made = [look, hang, ignore, fail, generate, large, write, read_along]
        early = ["look", "hang", "ignore", "fail", "generate", "large"]
        return ToolSet(made, read_only=early, **kwargs)

    def settled(self) -> bool:
        return self.started == self.ended

    @property
    def lasting(self) -> int:
        """Runs that no message but a whole one may have."""
        return self.started["write"]


class Entered:
    def __init__(self, account: Account, name: str) -> None:
        self.account, self.name = account, name

    def __enter__(self) -> None:
        self.account.started[self.name] += 1

    def __exit__(self, *error: object) -> None:
        self.account.ended[self.name] += 1


HEAD = [
    *written(0, "a", "look", '{"key": "x"}'),
    *written(1, "b", "fail", "{}"),
    *written(2, "c", "generate", "{}"),
    *written(3, "d", "nope", "{}"),
    *written(4, "e", "look", '{"key": 1}'),
    *written(5, "f", "look", '{"key": "unfinished'),
    *written(6, "a", "look", '{"key": "the same id again"}'),
]
MESSAGE = [
    *HEAD,
    *written(7, "g", "write", '{"path": "p"}'),
    *written(8, "h", "read_along", '{"text": "some text"}'),
]
GOOD = {"a": "x", "c": "all", "g": "p", "h": "some text"}
PLACES = range(len(MESSAGE) + 1)


def answers(messages: list[ToolMessage]) -> dict[str, str | None]:
    found = {m.tool_call_id: None if m.status == "error" else str(m.content) for m in messages}
    assert len(found) == len(messages), "a call was answered twice"
    return found


async def nothing_left(account: Account) -> None:
    assert await comes_true(account.settled)
    assert await comes_true(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def chain_of(tools: ToolSet, **kwargs: Any) -> Any:
    return ToolStreamParser(tools, **kwargs) | tools.map()


async def says(
    chunks: list[AIMessageChunk], error: Exception | None = None
) -> AsyncIterator[AIMessageChunk]:
    for one in chunks:
        await asyncio.sleep(0)  # so that tools run between chunks
        yield one
    if error is not None:
        raise error


async def test_a_whole_message_is_answered_call_by_call() -> None:
    account = Account()
    batches = chain_of(account.tools()).atransform(says([*MESSAGE, chunk(finish_reason="stop")]))
    found = answers([message async for messages in batches for message in messages])
    made_up = found.keys() - set("abcdefgh")  # the second of the two calls with one id
    assert len(made_up) == 1
    assert {key: value for key, value in found.items() if value is not None} == {
        **GOOD,
        **dict.fromkeys(made_up, "the same id again"),
    }
    assert account.started == Counter(look=2, fail=1, generate=1, write=1, read_along=1)
    await nothing_left(account)


def test_a_whole_message_is_answered_alike_in_sync() -> None:
    def look(key: str) -> str:
        """Look."""
        runs.append(key)
        return key

    runs: list[str] = []
    tools = ToolSet([look], read_only=True)
    chunks = [*HEAD, chunk(finish_reason="stop")]
    batches = chain_of(tools).transform(iter(chunks))
    found = answers(list(chain.from_iterable(batches)))
    assert sorted(runs) == ["the same id again", "x"]
    assert found["a"] == "x"
    assert [found[key] for key in "bcdef"] == [None] * 5


@pytest.mark.parametrize("place", PLACES)
async def test_cut_at_every_place(place: int) -> None:
    account = Account()
    chunks = [*MESSAGE[:place], chunk(finish_reason="length")]
    on_invalid = ["emit", "raise"][place % 2]
    found: list[ToolMessage] = []
    with suppress(ToolCallError) if on_invalid == "raise" else nullcontext():
        async for messages in chain_of(account.tools(), on_invalid=on_invalid).atransform(
            says(chunks)
        ):
            found += messages
    values = answers(found)
    # The last call of a cut message is none; one before it may stand.
    last_is_write = place <= len(MESSAGE) - len(
        written(8, "h", "read_along", '{"text": "some text"}')
    )
    if last_is_write:
        assert account.lasting == 0
    assert values.get("h") is None
    assert account.started["write"] <= 1
    await nothing_left(account)


@pytest.mark.parametrize("place", PLACES)
async def test_broken_at_every_place(place: int) -> None:
    account = Account()
    found: list[ToolMessage] = []

    async def listen() -> None:
        stream = says(MESSAGE[:place], ConnectionError("gone"))
        async for messages in chain_of(account.tools()).atransform(stream):
            found.extend(messages)

    with pytest.raises(ConnectionError, match="gone"):
        await listen()
    answers(found)
    assert account.lasting == 0
    assert account.ended["read_along"] == account.started["read_along"]
    await nothing_left(account)


@pytest.mark.parametrize("place", PLACES)
async def test_left_at_every_place(place: int) -> None:
    """The model hangs there, and whoever listens goes away."""
    account = Account()
    reached = asyncio.Event()

    async def hangs() -> AsyncIterator[AIMessageChunk]:
        async for one in says(MESSAGE[:place]):
            yield one
        reached.set()
        await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)

    batches = chain_of(account.tools()).atransform(hangs())

    async def listen() -> None:
        async with aclosing(batches):
            async for _ in batches:
                pass

    listener = asyncio.create_task(listen())
    await asyncio.wait_for(reached.wait(), PATIENCE)
    await asyncio.sleep(0)
    listener.cancel()
    with suppress(asyncio.CancelledError):
        await listener
    assert account.lasting == 0
    await nothing_left(account)


@pytest.mark.parametrize("tool", ["look", "hang", "ignore", "fail", "generate", "large"])
@pytest.mark.parametrize("ticks", range(6))
async def test_taken_back_at_every_moment(tool: str, ticks: int) -> None:
    account = Account()

    async def source() -> AsyncIterator[list[Call]]:
        yield [good("a", tool, **({"key": "x"} if tool == "look" else {}))]
        for _ in range(ticks):
            await asyncio.sleep(0)
        yield [bad("a", tool)]

    messages: Any = account.tools().map().atransform(source())
    found = answers([message async for batch in messages for message in batch])
    assert found.keys() == {"a"}
    assert tool != "ignore" or found["a"] is None
    assert account.started[tool] <= 1
    await nothing_left(account)


async def test_fifty_megabytes_are_handed_on_as_they_are() -> None:
    account = Account()
    (message,) = await account.tools().map().ainvoke([good("a", "large")])
    assert len(message.content) == 50_000_000


@pytest.mark.parametrize("tool", ["hang", "ignore"])
async def test_a_tool_that_takes_too_long_is_answered(tool: str) -> None:
    account = Account()
    (message,) = await account.tools(timeout=0.02).map().ainvoke([good("a", tool)])
    assert message.status == "error"
    await nothing_left(account)


def test_calls_that_are_none_never_run_in_sync() -> None:
    runs: list[str] = []

    def write(path: str) -> str:
        """Write."""
        runs.append(path)
        return path

    tools = ToolSet([write])
    whole = written(0, "a", "write", '{"path": "p"}')
    for place in range(len(whole) + 1):
        for end in (
            [chunk(finish_reason="length")],
            [chunk(part("]]x")), chunk(finish_reason="stop")],
        ):
            stream: Iterator[AIMessageChunk] = iter([*whole[:place], *end])
            found = answers(list(chain.from_iterable(chain_of(tools).transform(stream))))
            assert set(found.values()) <= {None}
    assert runs == []
