"""Where artifacts are kept for later calls: whose they are, and under which keys."""

import hashlib
import logging
import secrets
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.stores import BaseStore, InMemoryBaseStore

from langchain_toolstream.core.errors import printable
from langchain_toolstream.schema.problems import MAX_TOLD
from langchain_toolstream.tools.artifacts.handles import PREFIX, Ambiguous, handles_in
from langchain_toolstream.tools.run.plan import Plan, Step

logger = logging.getLogger(__name__)

MAX_KEPT = 256
"""Artifacts of a conversation that are kept in memory. What one holds is not known, so they are
counted."""

MAX_KEPT_IN_ALL = 4096
"""Artifacts of all conversations that are kept in memory."""

_MAX_SHOWN = 10
_LONGEST_NAME = 120
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")


class RecentArtifacts(InMemoryBaseStore[Any]):
    """The last artifacts of each conversation, in memory.

    A conversation is what stands before the last `/` of a key.
    """

    def __init__(self, limit: int = MAX_KEPT, limit_in_all: int = MAX_KEPT_IN_ALL) -> None:
        """Keep none yet."""
        super().__init__()
        self._limit = limit
        self._limit_in_all = limit_in_all
        self._lock = threading.Lock()
        self._by_conversation: dict[str, dict[str, None]] = {}

    def mset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        """Keep some artifacts, and let the oldest go.

        Args:
            key_value_pairs: The artifacts by their keys.
        """
        with self._lock:
            for key, value in key_value_pairs:
                self._drop(key)
                self.store[key] = value
                keys = self._by_conversation.setdefault(_conversation(key), {})
                keys[key] = None
                if len(keys) > self._limit:
                    self._drop(next(iter(keys)))
                if len(self.store) > self._limit_in_all:
                    self._drop(next(iter(self.store)))

    def mdelete(self, keys: Sequence[str]) -> None:
        """Keep some artifacts no longer.

        Args:
            keys: Their keys.
        """
        with self._lock:
            for key in keys:
                self._drop(key)

    def _drop(self, key: str) -> None:
        if key in self.store:
            del self.store[key]
            keys = self._by_conversation[_conversation(key)]
            del keys[key]
            if not keys:
                del self._by_conversation[_conversation(key)]

    def yield_keys(self, prefix: str | None = None) -> Iterator[str]:
        """Go through the keys that there are at this moment.

        Args:
            prefix: What they begin with.

        Yields:
            Each key.
        """
        with self._lock:
            keys = list(self.store)
        yield from (key for key in keys if key.startswith(prefix or ""))


def _conversation(key: str) -> str:
    return key.rpartition("/")[0]


def encoded(name: str) -> str:
    """Write any text as a part of a key, the same for every store.

    It is a name that every file system takes, also one that does not tell `A` from `a`, and no two
    texts have the same. A long one is its digest.

    Args:
        name: The id of a conversation or of a call.
    """
    text = "".join(
        chr(byte) if byte in _PLAIN else f"_{byte:02x}"
        for byte in name.encode("utf-8", "surrogatepass")
    )
    if len(text) > _LONGEST_NAME:
        return f"__{hashlib.sha256(text.encode()).hexdigest()}"
    return text or "_"


def _decoded(text: str) -> str | None:
    """The name, if it is not its digest."""
    if text.startswith("__"):
        return None
    first, *rest = text.split("_")
    try:
        parts = [bytes.fromhex(one[:2]) + one[2:].encode() for one in rest if one]
        return (first.encode() + b"".join(parts)).decode("utf-8", "surrogatepass")
    except ValueError:  # somebody else's key
        return None


class ArtifactStore:
    """The artifacts of a `ToolSet`.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: BaseStore[str, Any] | None) -> None:
        """Keep none yet."""
        self._store = RecentArtifacts() if store is None else store
        self._lock = threading.Lock()
        self._being_kept: set[str] = set()

    def of(self, config: RunnableConfig | None) -> "Artifacts":
        """The artifacts that the calls of one run can reach.

        With a `thread_id` in the config's `configurable`, as LangGraph has it, these are those of
        the conversation; without one, those of the run. So no conversation reaches another's, also
        where a model numbers its calls.

        Args:
            config: The configuration of the run.
        """
        thread = ((config or {}).get("configurable") or {}).get("thread_id")
        if thread is None:
            return Artifacts(self, RecentArtifacts(), "run/")
        return Artifacts(self, self._store, f"{encoded(str(thread))}/")

    def reserve(self, key: str) -> bool:
        """Reserve a key while an artifact is put there, if nobody else has it.

        Args:
            key: The key.
        """
        with self._lock:
            is_free = key not in self._being_kept
            self._being_kept.add(key)
            return is_free

    def release(self, key: str) -> None:
        """Say that the key is in the store, or taken by somebody else.

        Args:
            key: The key.
        """
        with self._lock:
            self._being_kept.discard(key)


class Artifacts:
    """The artifacts that the calls of one run can reach; made by `ArtifactStore.of`."""

    def __init__(self, whole: ArtifactStore, store: BaseStore[str, Any], scope: str) -> None:
        """Be those whose keys begin with the scope."""
        self._whole = whole
        self._store = store
        self._scope = scope
        self._renamed: dict[str, str] = {}  # in this run

    def fetch(self, args: Any) -> Plan[dict[str, Any]]:
        """Get what the handles among arguments stand for.

        Args:
            args: The arguments of a call.

        Returns:
            The objects by their handles, and under `""` some handles that are known.
        """
        handles = list(handles_in(args))
        keys = [self._key(handle) for handle in handles]
        try:
            values = yield Step(partial(self._store.mget, keys), partial(self._store.amget, keys))
            missing = any(value is None for value in values)
            known = (yield Step(self._known, self._aknown)) if missing else []
        except Exception as error:
            logger.exception("The store of artifacts failed, so a call was not run.")
            msg = "The artifacts of earlier calls cannot be read at the moment."
            raise RuntimeError(msg) from error
        found: dict[str, Any] = {
            handle: Ambiguous(self._renamed[handle]) if handle in self._renamed else value
            for handle, value in zip(handles, values, strict=True)
            if value is not None
        }
        return {"": known, **found}

    def keep(self, message: Any) -> Plan[Any]:
        """Keep the artifact of a message, and let the message end in its handle.

        The handle is that of the call's id, or one like it where the conversation has an artifact
        under that already. A store that fails is the application's error, not the tool's, which
        has done its work.

        Args:
            message: What a tool made; only a message with an artifact is changed.

        Returns:
            The message.
        """
        if not _has_artifact(message):
            return message
        plain = handle = PREFIX + message.tool_call_id
        try:
            while not (yield from self._put(self._key(handle), message.artifact)):
                handle = f"{plain}-{secrets.token_hex(3)}"
        except Exception:
            logger.exception(
                "The store of artifacts failed, so the artifact of %r (call %s) was not kept for "
                "later calls.",
                message.name,
                printable(message.tool_call_id, MAX_TOLD),
            )
            return message
        if handle != plain:
            self._renamed[plain] = handle
        return _with_handle(message, handle)

    def _put(self, key: str, artifact: Any) -> Plan[bool]:
        """Keep an artifact, unless there is one of that key."""
        if not self._whole.reserve(key):
            return False
        try:
            (old,) = yield Step(partial(self._store.mget, [key]), partial(self._store.amget, [key]))
            if old is None:
                pairs = [(key, artifact)]
                yield Step(partial(self._store.mset, pairs), partial(self._store.amset, pairs))
            return old is None
        finally:
            self._whole.release(key)

    def _key(self, handle: str) -> str:
        return self._scope + encoded(handle.removeprefix(PREFIX))

    def _known(self) -> list[str]:
        return self._handles(list(self._store.yield_keys(prefix=self._scope)))

    async def _aknown(self) -> list[str]:
        every: Any = self._store.ayield_keys  # annotated as if it had to be awaited
        return self._handles([key async for key in every(prefix=self._scope)])

    def _handles(self, keys: list[str]) -> list[str]:
        names = (_decoded(key.removeprefix(self._scope)) for key in keys)
        return [PREFIX + name for name in names if name is not None][-_MAX_SHOWN:]


def _has_artifact(message: Any) -> bool:
    return (
        isinstance(message, ToolMessage)
        and message.artifact is not None
        and message.status == "success"
    )


def _with_handle(message: ToolMessage, handle: str) -> ToolMessage:
    content: Any = message.content
    if isinstance(content, str):
        content = f"{content}\n{handle}" if content else handle
    else:
        content = [*content, {"type": "text", "text": handle}]
    return message.model_copy(update={"content": content})
