"""Artifacts that travel: a later call names an earlier one's, and the tool gets the object.

The model sees a short handle, `artifact:<call id>`, at the end of a result. It passes it on as a
string, and the value that the tool receives is the object itself. Nothing is copied or pickled.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from langchain_core.tools import BaseTool
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from langchain_toolstream.schema.tool_schema import checking

PREFIX = "artifact:"

_MAX_HANDLE_SHOWN = 100
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("given", default=None)
_MISSING = object()


class Ambiguous(NamedTuple):
    """What a handle stands for that may mean either of two artifacts.

    Attributes:
        handle: The handle of the later one.
    """

    handle: str


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
    if isinstance(value, Ambiguous):
        msg = f"there is an artifact of an earlier message and one of this message, {value.handle}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes it
    if value is _MISSING:
        known = ", ".join(given.get("", ())) or "none"
        msg = (
            f"there is no {handle[:_MAX_HANDLE_SHOWN]!r}: that call is unknown, failed, or was too "
            f"long ago. Known: {known}"
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
