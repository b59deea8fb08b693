"""Artifacts that travel: a later call names an earlier one's, and the tool gets the object.

The model sees a short handle, `artifact:<call id>`, at the end of a result. It passes it on as a
string, and the value that the tool receives is the object itself. Nothing is copied or pickled.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import quote

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.stores import BaseStore, InMemoryBaseStore
from langchain_core.tools import BaseTool
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from langchain_toolstream.schema.tool_schema import checking
from langchain_toolstream.tools.run.plan import Plan, Step

logger = logging.getLogger(__name__)

PREFIX = "artifact:"

MAX_KEPT = 256
"""Artifacts that are kept in memory. What an artifact holds is not known, so they are counted."""

_MAX_SHOWN = 10
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("given", default=None)
_MISSING = object()


class FromArtifact:
    """Mark a parameter that takes the artifact of an earlier call.

    In a `ToolSet` with such a tool, every result that has an artifact ends in its handle. The model
    is shown a string for the parameter and writes a handle; the tool receives the object, which no
    model, trace or message carries. A handle that is unknown, or whose object is of another type
    than the parameter, is answered with an error that says so.

    Whoever calls the tool itself passes the object. Outside a `ToolSet`, in LangGraph's `ToolNode`
    for example, no one knows the artifacts, and the tool gets the handle as the model wrote it.

    Example:
        ```python
        from typing import Annotated
        from langchain_toolstream import FromArtifact, ToolSet, artifact_tool

        @artifact_tool
        def load(name: str) -> list[int]:
            \"\"\"Load some numbers.\"\"\"
            return list(range(1000))

        @artifact_tool
        def total(numbers: Annotated[list[int], FromArtifact()]) -> int:
            \"\"\"Add numbers up.\"\"\"
            return sum(numbers)

        calls = [
            {"name": "load", "args": {"name": "a"}, "id": "call_1", "type": "tool_call"},
            {
                "name": "total",
                "args": {"numbers": "artifact:call_1"},
                "id": "call_2",
                "type": "tool_call",
            },
        ]
        loaded, added = ToolSet([load, total]).map().invoke(calls)
        assert loaded.content.endswith("artifact:call_1")
        assert added.artifact == 499500
        ```
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by the type of the object, which pydantic need not know."""
        del handler

        def take(value: Any) -> Any:
            return _take(value, source)

        return core_schema.no_info_plain_validator_function(
            take,
            # LangChain dumps validated arguments on the way to the tool; the object stays itself.
            serialization=core_schema.plain_serializer_function_ser_schema(_itself),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the model a string."""
        del schema, handler
        return {
            "type": "string",
            "description": f"A handle that an earlier result ends in, such as {PREFIX}call_1.",
        }


def _itself(value: Any) -> Any:
    return value


def _take(value: Any, wanted: Any) -> Any:
    given = None if checking.get() else _given.get()
    is_handle = isinstance(value, str) and value.startswith(PREFIX)
    if given is None and is_handle:
        return value
    if given is not None or checking.get():
        if not is_handle:
            msg = f"a handle that an earlier result ends in is needed, such as {PREFIX}call_1"
            raise ValueError(msg)
        if given is None:
            return value
        value = _look_up(value, given)
    if not _is_a(value, wanted):
        shown = getattr(wanted, "__name__", None) or str(wanted)
        msg = f"this takes a {shown}, and what is there is a {type(value).__name__}"
        raise ValueError(msg)
    return value


def _look_up(handle: str, given: Mapping[str, Any]) -> Any:
    value = given.get(handle, _MISSING)
    if value is _MISSING:
        known = ", ".join(given.get("", ())) or "none"
        msg = (
            f"there is no {handle!r}: that call is unknown, failed, or was too long ago. "
            f"Known: {known}"
        )
        raise ValueError(msg)
    return value


def _is_a(value: Any, wanted: Any) -> bool:
    origin = get_origin(wanted)
    if origin is Annotated:
        return _is_a(value, get_args(wanted)[0])
    if origin in (Union, UnionType):
        return any(_is_a(value, one) for one in get_args(wanted))
    kind = type(None) if wanted is None else (origin or wanted)
    try:
        return not isinstance(kind, type) or isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked
        return True


def takes_artifacts(tool: BaseTool) -> bool:
    """Whether a tool has a parameter that takes an artifact.

    Args:
        tool: The tool.
    """
    schema: Any = tool.get_input_schema()
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return False
    return any(
        _is_marked(field.annotation)
        or any(isinstance(mark, FromArtifact) for mark in field.metadata)
        for field in schema.model_fields.values()
    )


def _is_marked(annotation: Any) -> bool:
    return isinstance(annotation, FromArtifact) or any(map(_is_marked, get_args(annotation)))


def handles_in(value: Any) -> Iterator[str]:
    """The handles among arguments, at any depth.

    Args:
        value: The arguments, or a part of them.

    Yields:
        Each handle.
    """
    if isinstance(value, str):
        if value.startswith(PREFIX):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from handles_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from handles_in(item)


class RecentArtifacts(InMemoryBaseStore[Any]):
    """The last artifacts, in memory."""

    def __init__(self, limit: int = MAX_KEPT) -> None:
        """Keep none yet."""
        super().__init__()
        self._limit = limit
        self._lock = threading.Lock()

    def mset(self, key_value_pairs: Sequence[tuple[str, Any]]) -> None:
        """Keep some artifacts, and let the oldest go.

        Args:
            key_value_pairs: The artifacts by their keys.
        """
        with self._lock:
            for key, value in key_value_pairs:
                self.store.pop(key, None)
                self.store[key] = value
            while len(self.store) > self._limit:
                del self.store[next(iter(self.store))]

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


class Artifacts:
    """The artifacts that the calls of one run can reach.

    With a `thread_id` in the config's `configurable`, as LangGraph has it, these are those of the
    conversation, in the store of the `ToolSet`; without one, those of the run. So no conversation
    reaches another's, also where a model numbers its calls.

    Args:
        store: The store of the `ToolSet`.
        config: The configuration of the run.
    """

    def __init__(self, store: BaseStore[str, Any], config: RunnableConfig | None) -> None:
        """Find out whose artifacts they are."""
        thread = ((config or {}).get("configurable") or {}).get("thread_id")
        self._store = RecentArtifacts() if thread is None else store
        self._scope = "" if thread is None else f"{quote(str(thread), safe='')}/"

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
        found = {h: v for h, v in zip(handles, values, strict=True) if v is not None}
        return {"": known, **found}

    def keep(self, message: Any) -> Plan[Any]:
        """Keep the artifact of a message, and let the message end in its handle.

        A store that fails is the application's error, not the tool's, which has done its work.

        Args:
            message: What a tool made; only a message with an artifact is changed.

        Returns:
            The message.
        """
        if not _has_artifact(message):
            return message
        pairs = [(self._key(PREFIX + message.tool_call_id), message.artifact)]
        try:
            yield Step(partial(self._store.mset, pairs), partial(self._store.amset, pairs))
        except Exception:
            logger.exception(
                "The store of artifacts failed, so the artifact of %r (call %s) was not kept for "
                "later calls.",
                message.name,
                message.tool_call_id,
            )
            return message
        return _with_handle(message)

    def _key(self, handle: str) -> str:
        return self._scope + handle.removeprefix(PREFIX)

    def _known(self) -> list[str]:
        return self._handles(list(self._store.yield_keys(prefix=self._scope)))

    async def _aknown(self) -> list[str]:
        every: Any = self._store.ayield_keys  # annotated as if it had to be awaited
        return self._handles([key async for key in every(prefix=self._scope)])

    def _handles(self, keys: list[str]) -> list[str]:
        return [PREFIX + key.removeprefix(self._scope) for key in keys[-_MAX_SHOWN:]]


@contextmanager
def given(artifacts: Mapping[str, Any] | None) -> Iterator[None]:
    """Let the parameters of a tool find the objects of their handles.

    Args:
        artifacts: The objects by their handles; `None` where no tool asks for any.
    """
    token = _given.set(artifacts)
    try:
        yield
    finally:
        _given.reset(token)


def _has_artifact(message: Any) -> bool:
    return (
        isinstance(message, ToolMessage)
        and message.artifact is not None
        and message.status == "success"
    )


def _with_handle(message: ToolMessage) -> ToolMessage:
    handle = PREFIX + message.tool_call_id
    content: Any = message.content
    if isinstance(content, str):
        content = f"{content}\n{handle}" if content else handle
    else:
        content = [*content, {"type": "text", "text": handle}]
    return message.model_copy(update={"content": content})
