"""What a tool accepts, whatever kind of tool it is.

`tool_schemas` takes everything that `bind_tools` takes. A tool that LangChain validates by a
pydantic model is validated by that model, so that a call is valid here exactly when the tool would
take it. Where there is only a JSON schema, `json_schema.py` compiles it.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import is_dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import CoreSchema, ErrorDetails

from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.schema.injected import NONE_MAY_WRITE, NOTHING_INJECTED, injected
from langchain_toolstream.schema.json_schema import json_core_schema, json_schema_validator
from langchain_toolstream.schema.streamed import streamed_argument
from langchain_toolstream.schema.types import types_at

ToolLike = BaseTool | type | Callable[..., Any] | Mapping[str, Any]
"""A tool, a pydantic model, a `TypedDict`, a function, or a schema as a dict: what
`bind_tools` takes."""

checking: ContextVar[bool] = ContextVar("checking", default=False)
"""Whether a call is only looked at: what its arguments stand for need not be there yet."""

_MAX_PROBLEMS = 3
_MAX_SHOWN = 60
_MAX_TOLD = 300


class ToolSchema:
    """One tool as the call rules see it (a `core.calls.ToolSpec`).

    Args:
        tool: Whatever `bind_tools` takes.
        read_only: Whether running it for nothing does no harm.
        streams: Whether whoever runs the tool can run it while an argument is written.
        coerce: For a bare JSON schema, whether a value of another type passes where pydantic would
            convert it (`"3"` for an integer). Pydantic models always decide that themselves.

    Raises:
        ValueError: The tool is a dict in no known form, or cannot read an argument while it is
            written, though it says so.
    """

    def __init__(
        self,
        tool: ToolLike,
        *,
        read_only: bool = False,
        streams: bool = False,
        coerce: bool = False,
    ) -> None:
        """Compile what is needed to validate the tool's arguments."""
        self.read_only = read_only
        self.name = tool_name(tool)
        tool = as_tool(tool) if inspect.isroutine(tool) else tool
        self._tool = tool
        self._parameters: dict[str, Any] | None = None  # what the model is told of them
        self.injected = injected(tool) if isinstance(tool, BaseTool) else NOTHING_INJECTED
        model = _pydantic_model(tool)
        self.streamed = streamed_argument(model) if streams and model is not None else None
        if self.streamed is not None and isinstance(tool, BaseTool) and tool.args_schema is None:
            msg = (
                f"The tool {self.name!r} needs an args_schema. Without one, LangChain gives it "
                f"{self.streamed[0]!r} as a str where the text is whole, and not as a Streamed."
            )
            raise ValueError(msg)
        self._validate: Callable[[Any], Any]
        self._core_schema: Callable[[], CoreSchema]
        if model is not None:
            self._validate = lambda args: model.model_validate(copied(args))
            self.takes_arguments = bool(model.model_fields)
            self._core_schema = lambda: TypeAdapter(model).core_schema
            return
        parameters = _function(tool)["parameters"] or {}
        self.takes_arguments = takes_arguments(parameters)
        if (adapter := _adapter(tool)) is not None:
            self._validate = lambda args: adapter.validate_python(copied(args))
            self._core_schema = lambda: adapter.core_schema
        else:
            text = json.dumps(parameters, sort_keys=True)
            converts = coerce or _converts(tool)
            self._validate = json_schema_validator(text, coerce=converts).validate_python
            self._core_schema = lambda: json_core_schema(text, coerce=converts)

    @property
    def core_schema(self) -> CoreSchema:
        """The arguments' schema, in the form that pydantic-core has it in."""
        return self._core_schema()

    def types_at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types an argument, or a part of one, may be.

        Args:
            path: Keys and indexes from the arguments as a whole.
        """
        if self._parameters is None:
            self._parameters = _function(self._tool)["parameters"] or {}
        return types_at(self._parameters, path)

    def forbidden(self, name: object) -> str | None:
        """Say why no model may write an argument of a name, if none may."""
        return NONE_MAY_WRITE if name in self.injected.names else None

    def validate(self, args: dict[str, Any]) -> str | None:
        """Hold arguments against the tool's schema.

        Args:
            args: The arguments by name.

        Returns:
            What does not fit, with the place, or `None` when all fits.
        """
        if forged := self.injected.names & args.keys():
            return f"{NONE_MAY_WRITE} at {format_path((min(forged),))}"
        token = checking.set(True)
        try:
            self._validate(args)
        except ValidationError as error:
            return describe(error, args)
        except Exception as error:  # noqa: BLE001  (a validator of the user's may raise anything)
            return f"the tool's own validation raised {error!r}"
        finally:
            checking.reset(token)
        return None


def takes_arguments(parameters: Mapping[str, Any]) -> bool:
    """Whether a JSON schema leaves anything for the model to write.

    Args:
        parameters: The `parameters` of a function.
    """
    return any(parameters.get(keyword) for keyword in _HOLD_PARAMETERS)


_HOLD_PARAMETERS = (
    "properties", "patternProperties", "additionalProperties", "$ref", "allOf", "anyOf", "oneOf",
)  # fmt: skip


@runtime_checkable
class _StartsEarly(Protocol):
    @property
    def starts_early(self) -> bool: ...


def _starts_early(tool: object) -> bool:
    return isinstance(tool, _StartsEarly) and tool.starts_early


@runtime_checkable
class _HasSchemas(Protocol):
    @property
    def schemas(self) -> Mapping[str, ToolSchema]: ...


def tool_schemas(tools: Iterable[ToolLike], *, coerce: bool = False) -> Mapping[str, ToolSchema]:
    """Look at what each of some tools accepts.

    A `ToolSet` also knows which of its tools are read-only. In a plain list none is, because
    whatever runs its calls could not take one back; but for an `ArtifactTool`, whose `.map()` can.

    Args:
        tools: A `ToolSet`, or any mix of what `bind_tools` takes. Dicts that describe no function
            (a server's built-in tools) are passed over.
        coerce: As for `ToolSchema`.

    Returns:
        The schemas by the name of the tool.

    Raises:
        TypeError: There is no list of tools, but one tool or something else.
        ValueError: Two tools have the same name.
    """
    if isinstance(tools, _HasSchemas):
        return tools.schemas
    check_is_list(tools)
    schemas: dict[str, ToolSchema] = {}
    for tool in tools:
        if isinstance(tool, Mapping) and tool.get("type", "function") not in _FUNCTION_TYPES:
            continue
        schema = ToolSchema(
            tool,
            read_only=_starts_early(tool),
            streams=isinstance(tool, _StartsEarly),
            coerce=coerce,
        )
        if schema.name in schemas:
            msg = f"Two tools are named {schema.name!r}; a call could not tell them apart."
            raise ValueError(msg)
        schemas[schema.name] = schema
    return schemas


def check_is_list(tools: object) -> None:
    """Refuse what is no list of tools, though some of it can be iterated over.

    Args:
        tools: What was given as a list of tools.

    Raises:
        TypeError: It is one tool, or no tools at all.
    """
    if isinstance(tools, BaseTool | Mapping | str | type) or inspect.isroutine(tools):
        name = getattr(tools, "name", None) or getattr(tools, "__name__", None) or repr(tools)
        msg = f"A list of tools is needed, got one thing. Write [{name}]."
        raise TypeError(msg)
    if isinstance(tools, BaseModel) or not isinstance(tools, Iterable):
        msg = f"A list of tools is needed, got {type(tools).__name__}."
        raise TypeError(msg)


_FUNCTION_TYPES = ("function", "object", None)


def tool_name(tool: ToolLike) -> str:
    """The name by which a model calls a tool.

    Args:
        tool: Whatever `bind_tools` takes.

    Raises:
        ValueError: The tool is in no known form.
    """
    return tool.name if isinstance(tool, BaseTool) else str(_function(tool)["name"])


def _function(tool: ToolLike) -> dict[str, Any]:
    """What a server is told of a tool."""
    try:
        function: dict[str, Any] = convert_to_openai_tool(tool)["function"]
        return {"parameters": None, **function, "name": function["name"]}
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{shown(tool)} describes no tool in a form that bind_tools takes: {error!r}"
        raise ValueError(msg) from error


def as_tool(tool: BaseTool | Callable[..., Any]) -> BaseTool:
    """Make a tool of a function; a tool stays what it is.

    Descriptions come from the function's Google-style docstring, where it has one.

    Args:
        tool: A tool, or a function or coroutine function with annotated parameters.

    Raises:
        TypeError: It cannot be run: a schema, not a tool.
    """
    if isinstance(tool, BaseTool):
        return tool
    if isinstance(tool, type) or not callable(tool):
        name = tool.__name__ if isinstance(tool, type) else repr(tool)
        msg = (
            f"{name} describes a call but cannot run it. A ToolSet takes tools and functions; "
            "give schemas to ToolStreamParser(tools=...) and bind_tools(...)."
        )
        raise TypeError(msg)
    is_async = inspect.iscoroutinefunction(tool)
    return StructuredTool.from_function(
        func=None if is_async else tool,
        coroutine=tool if is_async else None,
        description=None if inspect.getdoc(tool) else tool.__name__.replace("_", " "),
        parse_docstring=bool(inspect.getdoc(tool)),
        error_on_invalid_docstring=False,
    )


def _pydantic_model(tool: ToolLike) -> type[BaseModel] | None:
    """The model that validates what an LLM gives of a tool's arguments."""
    if isinstance(tool, BaseTool):
        seen_by_model = tool.tool_call_schema
        whole = tool.get_input_schema()
        if not (_is_model(seen_by_model) and _is_model(whole)):
            return None
        # The subset that the model sees has lost the validators of the whole, so take the whole
        # wherever nothing is injected.
        is_whole = whole.model_fields.keys() == seen_by_model.model_fields.keys()
        return whole if is_whole else seen_by_model
    return tool if _is_model(tool) else None


def _adapter(tool: ToolLike) -> TypeAdapter[Any] | None:
    """What validates a dataclass, as far as pydantic knows it.

    Not a `TypedDict`: LangChain reads defaults in one that pydantic does not see.
    """
    kind: Any = tool
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    try:
        return TypeAdapter(kind)
    except (PydanticUserError, TypeError, NameError):
        return None


def _converts(tool: ToolLike) -> bool:
    """Whether a tool without a pydantic model of today has one of pydantic 1's, which converts."""
    return isinstance(tool, BaseTool) and not isinstance(tool.args_schema, dict)


def copied(value: Any) -> Any:
    """Copy a JSON value: a validator of the user's may write into what it is given."""
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def _is_model(schema: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def describe(error: ValidationError, value: Any, *, at: JSONPath = ()) -> str:
    """Say what does not fit, and where.

    Args:
        error: What validation raised.
        value: The value that it was about.
        at: The place of that value.
    """
    problems = error.errors(include_url=False)
    told = []
    for problem in problems[:_MAX_PROBLEMS]:
        place = format_path((*at, *_place(problem, value)))
        told_by_itself = problem["type"] in ("missing", "union_tag_invalid")
        got = "" if told_by_itself else f", got {shown(problem['input'])}"
        told.append(f"{_cut(problem['msg'], _MAX_TOLD)} at {place}{got}")
    if len(problems) > _MAX_PROBLEMS:
        told.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return "; ".join(told)


def first_place(error: ValidationError, value: Any, *, at: JSONPath = ()) -> JSONPath:
    """Find the place of the first thing that does not fit.

    Args:
        error: As for `describe`.
        value: Likewise.
        at: Likewise.
    """
    return (*at, *_place(error.errors(include_url=False)[0], value))


def _place(problem: ErrorDetails, args: Any) -> JSONPath:
    """The part of a problem's location that exists in the arguments, and the step that misses.

    Of a union whose tag says nothing that is known, the place is the tag's.
    """
    path: list[str | int] = []
    value = args
    loc = problem["loc"]
    if problem["type"] == "union_tag_invalid":
        loc = (*loc, problem.get("ctx", {}).get("discriminator", "").strip("'"))
    for step in loc:
        known: Any = value if isinstance(value, dict | list) else ()
        if step in (known if isinstance(known, dict) else range(len(known))):
            path.append(step)
            value = known[step]
        # Anything else names a branch of a union.
    return (*path, loc[-1]) if problem["type"] == "missing" else tuple(path)


def shown(value: Any) -> str:
    """The beginning of a value's `repr`: a model may have written a long one.

    Args:
        value: The value.
    """
    return _cut(repr(value), _MAX_SHOWN)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
