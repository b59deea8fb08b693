"""Every store of LangChain: no conversation reaches another's artifacts, whatever its ids are."""

import asyncio
import string
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_classic.storage import (
    EncoderBackedStore,
    InMemoryByteStore,
    InMemoryStore,
    LocalFileStore,
)
from langchain_core.messages import ToolMessage
from langchain_core.stores import BaseStore
from langchain_core.stores import InMemoryStore as CoreInMemoryStore

from langchain_toolstream import FromArtifact, ToolSet, artifact_tool
from langchain_toolstream.tools.artifacts.store import (
    RecentArtifacts,
    _decoded,
    encoded,
)
from tests.unit_tests.scripted import Call, good


@artifact_tool
def load(text: str) -> bytes:
    """Load."""
    return text.encode()


@artifact_tool
def show(data: Annotated[bytes, FromArtifact()]) -> str:
    """Show."""
    return data.decode()


def same(value: bytes) -> bytes:
    return value


Store = BaseStore[str, Any] | None
STORES: dict[str, Callable[[Path], Store]] = {
    "default": lambda _: None,
    "core": lambda _: CoreInMemoryStore(),
    "InMemoryStore": lambda _: InMemoryStore(),
    "InMemoryByteStore": lambda _: InMemoryByteStore(),
    "LocalFileStore": lambda path: LocalFileStore(path / "kept"),
    "EncoderBackedStore": lambda path: EncoderBackedStore(
        LocalFileStore(path / "kept"), str, same, same
    ),
}
every_store = pytest.mark.parametrize("make", STORES.values(), ids=STORES)

Run = Callable[[ToolSet, str, Call], Awaitable[ToolMessage]]


PATIENCE = 5
"""Seconds after which what a test waits for will not come any more."""


def handle_of(message: ToolMessage) -> str:
    return str(message.content).rpartition("\n")[2]


async def invoke(tools: ToolSet, thread: str, call: Call) -> ToolMessage:
    return tools.map().invoke([call], {"configurable": {"thread_id": thread}})[0]


async def ainvoke(tools: ToolSet, thread: str, call: Call) -> ToolMessage:
    return (await tools.map().ainvoke([call], {"configurable": {"thread_id": thread}}))[0]


either_way = pytest.mark.parametrize("run", [invoke, ainvoke])

FOREIGN = [
    ("bob", "../alice/call_1"),
    ("bob", "..\\alice\\call_1"),
    ("bob", "/alice/call_1"),
    ("bob", "alice/call_1"),
    ("bob", "%2e%2e/alice/call_1"),
    ("bob", "_2e_2e_2falice_2fcall_1"),
    ("bob", "../Alice/call_1"),
    (".", "alice/call_1"),
    ("..", "kept/alice/call_1"),
    ("", "alice/call_1"),
    ("alice/", "call_1"),
    ("ALICE", "call_1"),
    ("alice", "CALL_1"),
    ("alice", "call_1/"),
    ("alice", "./call_1"),
    ("alice", "call_1\0"),
    ("alice" * 100, "call_1" * 100),
    ("\ud800", "\ud800"),
]


@either_way
@every_store
@pytest.mark.parametrize(
    ("thread", "call_id"), FOREIGN, ids=[f"foreign{n}" for n, _ in enumerate(FOREIGN)]
)
async def test_no_id_is_a_way_to_anothers_artifact(
    run: Run, make: Callable[[Path], Store], thread: str, call_id: str, tmp_path: Path
) -> None:
    tools = ToolSet([load, show], artifacts=make(tmp_path))
    await run(tools, "alice", good("call_1", "load", text="hers"))
    read = await run(tools, thread, good("b", "show", data=f"artifact:{call_id}"))
    assert read.status == "error"
    written = await run(tools, thread, good(call_id, "load", text="forged"))
    assert written.content.endswith(f"artifact:{call_id}")
    back = await run(tools, thread, good("c", "show", data=f"artifact:{call_id}"))
    assert back.artifact == "forged"
    hers = await run(tools, "alice", good("a", "show", data="artifact:call_1"))
    assert hers.artifact == "hers"


@either_way
@every_store
async def test_known_handles_are_those_of_the_conversation(
    run: Run, make: Callable[[Path], Store], tmp_path: Path
) -> None:
    tools = ToolSet([load, show], artifacts=make(tmp_path))
    await run(tools, "Alice", good("functions.load:0", "load", text="x"))
    await run(tools, "bob", good("call_2", "load", text="y"))
    message = await run(tools, "Alice", good("a", "show", data="artifact:none"))
    assert "Known: artifact:functions.load:0" in message.content
    assert "call_2" not in message.content


@either_way
@every_store
async def test_the_same_id_again_does_not_replace_an_artifact(
    run: Run, make: Callable[[Path], Store], tmp_path: Path
) -> None:
    """Some servers number the calls of each message anew."""
    tools = ToolSet([load, show], artifacts=make(tmp_path))
    first = await run(tools, "t", good("load:0", "load", text="first"))
    second = await run(tools, "t", good("load:0", "load", text="second"))
    handles = [handle_of(message) for message in (first, second)]
    assert handles[0] == "artifact:load:0"
    assert handles[1].startswith("artifact:load:0-")
    shown = [await run(tools, "t", good("s", "show", data=handle)) for handle in handles]
    assert [message.artifact for message in shown] == ["first", "second"]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_handle_that_may_mean_two_artifacts_means_none(way: str) -> None:
    tools = ToolSet([load, show])
    config: Any = {"configurable": {"thread_id": "t"}}
    await ainvoke(tools, "t", good("load:0", "load", text="first"))
    calls: list[Call] = [
        good("load:0", "load", text="second"),
        good("show:0", "show", data="artifact:load:0"),
    ]
    runner = tools.map()
    loaded, shown = (
        runner.invoke(calls, config) if way == "sync" else await runner.ainvoke(calls, config)
    )
    assert (loaded.status, shown.status) == ("success", "error")
    assert f"one of this message, {handle_of(loaded)}" in shown.content


def test_two_at_once_do_not_take_the_same_handle() -> None:
    """Each asks whether the handle is free, before either has put its artifact there."""
    both = threading.Barrier(2)
    made: list[ToolMessage] = []

    class Slow(CoreInMemoryStore):
        def mget(self, keys: Any) -> Any:
            found = super().mget(keys)
            if len(made) < 2:
                both.wait(PATIENCE)
            return found

    tools = ToolSet([load, show], artifacts=Slow())
    config: Any = {"configurable": {"thread_id": "t"}}

    def run(text: str) -> None:
        made.extend(tools.map().invoke([good("call_1", "load", text=text)], config))

    threads = [threading.Thread(target=run, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handles = {handle_of(message): message.artifact for message in made}
    assert len(handles) == 2
    for handle, artifact in handles.items():
        (message,) = tools.map().invoke([good("s", "show", data=handle)], config)
        assert message.artifact.encode() == artifact


async def test_two_tasks_at_once_do_not_take_the_same_handle() -> None:
    class Slow(CoreInMemoryStore):
        async def amget(self, keys: Any) -> Any:
            found = self.mget(keys)
            for _ in range(10):
                await asyncio.sleep(0)
            return found

    tools = ToolSet([load, show], artifacts=Slow())
    messages = await asyncio.gather(
        *(ainvoke(tools, "t", good("call_1", "load", text=str(n))) for n in range(5))
    )
    assert len({message.content for message in messages}) == 5


# The key.


@given(st.text())
def test_an_encoded_name_is_a_name_for_every_store_and_comes_back(name: str) -> None:
    text = encoded(name)
    assert set(text) <= {*string.ascii_lowercase, *string.digits, "-", "_"}
    assert 0 < len(text) <= 120
    assert _decoded(text) in (name, None)
    assert _decoded(text) is not None or len(name.encode()) > 40


@given(st.text(), st.text())
def test_two_names_have_two_keys(one: str, other: str) -> None:
    assert (encoded(one) == encoded(other)) == (one == other)


@pytest.mark.parametrize("key", ["_zz", "_e9", "a_", "__"])
def test_a_key_of_somebody_else_is_no_error(key: str) -> None:
    assert _decoded(key) in (None, "a", "")


# In memory.


def keys_of(store: RecentArtifacts, prefix: str) -> list[str]:
    return list(store.yield_keys(prefix=prefix))


def test_one_conversation_lets_only_its_own_go() -> None:
    store = RecentArtifacts(2)
    store.mset([("alice/1", 1)])
    store.mset([(f"bob/{n}", n) for n in range(10)])
    assert keys_of(store, "alice/") == ["alice/1"]
    assert keys_of(store, "bob/") == ["bob/8", "bob/9"]


def test_all_conversations_together_are_bounded() -> None:
    store = RecentArtifacts(2, 4)
    store.mset([(f"{name}/{n}", n) for name in "abc" for n in range(2)])
    assert keys_of(store, "") == ["b/0", "b/1", "c/0", "c/1"]
    store.mdelete(["b/0", "unknown"])
    store.mset([("b/2", 2), ("b/3", 3)])
    assert keys_of(store, "") == ["c/0", "c/1", "b/2", "b/3"]


def test_a_store_of_many_conversations_stays_small() -> None:
    store = RecentArtifacts(1, 10)
    for n in range(100):
        store.mset([(f"{n}/x", n)])
    assert len(list(store.yield_keys())) == 10
    assert len(store._by_conversation) == 10


@pytest.fixture(autouse=True)
def nothing_written(tmp_path: Path) -> Iterator[None]:
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"kept"}
    assert not (tmp_path.parent / "alice").exists()
