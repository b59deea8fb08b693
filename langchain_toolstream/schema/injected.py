"""What the application injects into a call of a tool, which no model may write.

State, store and runtime, the id of the call, and whatever is marked with `InjectedToolArg`. The
tool's signature decides: the parameters of its function and the fields of its `args_schema`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import UnionType
from typing import (
    Annotated,
    Any,
    NamedTuple,
    Self,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId
from langchain_core.tools.base import _DirectlyInjectedToolArg, get_all_basemodel_annotations
from langchain_core.utils.pydantic import get_fields
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

NONE_MAY_WRITE = "the tool is given this value by the application, not by the model,"


class Injected(NamedTuple):
    """What a tool is given by the application.

    Attributes:
        marks: By name of the parameter, what marks it: `InjectedState("city")`, `ToolRuntime`, or
            `None` for a `runtime` that is not marked, which LangGraph's `ToolNode` gives by its
            name, though the model may be told of it.
        names: What no model may write: these names, and their aliases in the `args_schema`.
        required: What the tool cannot run without, and LangChain does not give by itself: what has
            no default, and what LangGraph's `ToolNode` would give in any case.
        call_ids: The parameters that take the id of the call.
        is_known: Whether every annotation could be looked up.
    """

    marks: Mapping[str, Any]
    names: frozenset[str]
    required: frozenset[str]
    call_ids: frozenset[str]
    is_known: bool

    def without(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that a model may have written.

        Args:
            args: The arguments of a call.
        """
        return {name: value for name, value in args.items() if name not in self.names}


NOTHING_INJECTED = Injected({}, frozenset(), frozenset(), frozenset(), is_known=True)


class CallId(str):
    """The id of a call that a parser has read, which knows the arguments that the model wrote.

    A step between the parser and the tools may put values into a call that only the application
    can give. They are told by this from those that the model wrote.

    Args:
        call_id: The id.
        written: The names of the arguments that the model wrote.
    """

    __slots__ = ("written",)
    written: frozenset[str]

    def __new__(cls, call_id: str, written: frozenset[str]) -> Self:
        """Make the string."""
        made = super().__new__(cls, call_id)
        made.written = written
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Survive copying and pickling."""
        return str(self), self.written


def written_by_model(call: Mapping[str, Any]) -> frozenset[str]:
    """The names of the arguments of a call that the model may have written: all, if in doubt.

    Args:
        call: The call.
    """
    call_id, args = call["id"], frozenset(call["args"])
    return args & call_id.written if isinstance(call_id, CallId) else args


def injected(tool: BaseTool) -> Injected:
    """Find out what a tool is given by the application.

    Args:
        tool: The tool.
    """
    marks: dict[str, Any] = {}
    aliases: set[str] = set()
    required: dict[str, bool] = {}
    is_known = True
    shown = _shown_to_model(tool)
    for function in _functions(tool):
        annotations, complete = _annotations(function)
        is_known = is_known and complete
        for name, (annotation, has_default) in annotations.items():
            mark = next(_marks(annotation), None)
            if mark is not None or name == "runtime":
                marks.setdefault(name, mark)
                required[name] = not has_default
    schema: Any = tool.get_input_schema()
    fields: Mapping[str, Any] = get_fields(schema)
    for name, annotation in get_all_basemodel_annotations(schema).items():
        if (mark := next(_marks(annotation), None)) is not None:
            marks.setdefault(name, mark)
            required[name] = _is_required(fields[name])
        if name in marks:
            aliases.update(_aliases(fields[name]))
    names = frozenset(n for n, mark in marks.items() if mark is not None or n not in shown)
    call_ids = frozenset(n for n, mark in marks.items() if _is_a(mark, InjectedToolCallId))
    return Injected(
        marks=marks,
        names=names | aliases,
        required=frozenset(n for n in names if required[n] or _is_langgraphs(marks[n])) - call_ids,
        call_ids=call_ids,
        is_known=is_known,
    )


def _functions(tool: BaseTool) -> list[Callable[..., Any]]:
    """What the tool runs: its functions, or the methods of a subclass."""
    own = (getattr(tool, "func", None), getattr(tool, "coroutine", None))
    return [one for one in own if one is not None] or [tool._run, tool._arun]  # noqa: SLF001


def _shown_to_model(tool: BaseTool) -> frozenset[str]:
    schema: Any = tool.tool_call_schema
    if isinstance(schema, dict):
        return frozenset(schema.get("properties", ()))
    return frozenset(get_fields(schema))


def _annotations(function: Callable[..., Any]) -> tuple[dict[str, tuple[Any, bool]], bool]:
    """Of each parameter the annotation and whether it has a default; and whether all are known."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin
        return {}, True
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    inner = inner if inspect.isroutine(inner) else type(inner).__call__
    hints = _hints(inner)
    known = {
        name: (hints.get(name, parameter.annotation), parameter.default is not parameter.empty)
        for name, parameter in parameters.items()
    }
    return known, not any(isinstance(annotation, str) for annotation, _ in known.values())


def _hints(function: Any) -> dict[str, Any]:
    """The annotations that can be looked up; one that cannot does not hide the others."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
        found: dict[str, Any] = {}
    space = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            holder = type("holder", (), {"__annotations__": {name: annotation}})
            found |= get_type_hints(holder, globalns=space, include_extras=True)
        except Exception:  # noqa: BLE001, S112 - as above; the raw annotation stands
            continue
    return found


def _marks(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if _is_a(annotation, _DirectlyInjectedToolArg) or _is_a(origin, _DirectlyInjectedToolArg):
        yield origin or annotation
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        yield from (mark for mark in marks if _is_a(mark, InjectedToolArg))
        yield from _marks(inner)
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _marks(one)


def _is_a(mark: Any, kind: type) -> bool:
    return isinstance(mark, kind) or (isinstance(mark, type) and issubclass(mark, kind))


def _is_langgraphs(mark: Any) -> bool:
    kind = mark if isinstance(mark, type) else type(mark)
    return any(one.__module__.partition(".")[0] == "langgraph" for one in kind.__mro__)


def _is_required(field: Any) -> bool:
    return bool(field.is_required() if hasattr(field, "is_required") else field.required)


def _aliases(field: Any) -> Iterator[str]:
    """The names under which pydantic takes a field, besides its own."""
    for alias in (field.alias, getattr(field, "validation_alias", None)):
        choices: Any = getattr(alias, "choices", (alias,))
        for choice in choices:
            first = choice.path[0] if hasattr(choice, "path") else choice
            if isinstance(first, str):
                yield first


def without_quotes(tool: BaseTool) -> BaseTool:
    """The tool, but for what pydantic's errors quote of its arguments, if it is given any.

    LangChain's traces have the error as it is, and so the injected values.

    Args:
        tool: The tool.
    """
    schema: Any = tool.args_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel) and injected(tool).names):
        return tool
    return tool.model_copy(update={"args_schema": _without_quotes(schema)})


@lru_cache(maxsize=256)
def _without_quotes(schema: type[BaseModel]) -> type[BaseModel]:
    config = ConfigDict(hide_input_in_errors=True)
    body = {"model_config": config, "__module__": schema.__module__, "__doc__": schema.__doc__}
    kind: Any = type(schema)
    try:
        return cast("type[BaseModel]", kind(schema.__name__, (schema,), body))
    except Exception:  # noqa: BLE001 - a class may refuse to have subclasses
        return schema


def check_given(tool: BaseTool, args: Mapping[str, Any], names: frozenset[str]) -> None:
    """Validate arguments as the tool will, with an error that shows none of the injected values.

    Pydantic's own error quotes what it was given, in messages, traces and logs.

    Args:
        tool: The tool.
        args: All its arguments.
        names: The names of the injected ones.

    Raises:
        ValidationError: They do not fit.
    """
    schema: Any = tool.args_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return
    if tool.handle_validation_error:  # the tool says itself what the model reads
        return
    try:
        schema.model_validate(dict(args))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        title = error.title
    else:
        return
    raise ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(
                type=PydanticCustomError(
                    "injected", "The application gave a value that does not fit"
                )
                if problem["loc"][:1] and problem["loc"][0] in names
                else PydanticCustomError("not_valid", "{said}", {"said": problem["msg"]}),
                loc=problem["loc"],
                input=None,
            )
            for problem in problems
        ],
        hide_input=True,
    )
