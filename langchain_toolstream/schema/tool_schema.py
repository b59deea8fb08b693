"""What a tool accepts, whatever kind of tool it is.

`tool_schemas` takes everything that `bind_tools` takes. A call is valid here exactly when its tool
would take it: LangChain validates by the tool's pydantic model, and passes on unchecked what a tool
without one is given. A bare JSON schema, which no tool stands behind, is compiled by
`json_schema.py` and decides strictly.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic.v1 import ValidationError as ValidationErrorV1
from pydantic_core import CoreSchema, core_schema

from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.schema.injected import NONE_MAY_WRITE, NOTHING_INJECTED, injected
from langchain_toolstream.schema.json_schema import (
    TooManyStepsError,
    json_core_schema,
    json_schema_validator,
)
from langchain_toolstream.schema.problems import MAX_TOLD, describe, first_place, shown
from langchain_toolstream.schema.streamed import streamed_argument
from langchain_toolstream.schema.tool_like import (
    ToolLike,
    as_tool,
    check_is_list,
    described,
    tool_name,
)
from langchain_toolstream.schema.types import types_at

checking: ContextVar[bool] = ContextVar("checking", default=False)
"""Whether a call is only looked at: what its arguments stand for need not be there yet."""


class ToolSchema:
    """One tool as the call rules see it (a `core.call.ToolSpec`).

    Args:
        tool: Whatever `bind_tools` takes.
        read_only: Whether running it for nothing does no harm.
        streams: Whether whoever runs the tool can run it while an argument is written.
        coerce: For a bare JSON schema, whether a value of another type passes where pydantic would
            convert it (`"3"` for an integer). Tools and pydantic models always decide that
            themselves.

    Attributes:
        takes_all: Whether the tool takes every object, whatever its schema says.

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
        if callable(tool) and not isinstance(tool, type | BaseTool):
            tool = as_tool(tool)
        runs = tool if isinstance(tool, BaseTool) else None
        self._tool = tool
        self._parameters: Mapping[str, Any] | None = None
        self.injected = NOTHING_INJECTED if runs is None else injected(runs)
        given = self.injected.names & self.injected.marks.keys()
        model = _model_of(tool, given)
        accepted = _bare_schema(tool, coerce=coerce) if runs is None else _by_tool(runs, model)
        self._validate = accepted.validate
        self._core_schema = accepted.core_schema
        self._shape = accepted.shape
        self.takes_all = accepted.takes_all
        if model is None:
            self.takes_arguments = takes_arguments(_told(tool))
        else:
            self.takes_arguments = bool(model.model_fields.keys() - given)
        # What the whole model says may be about values that only the application has.
        self._knows_only_a_part = bool(model and given & model.model_fields.keys())
        self.streamed = None
        if streams and model is not None:
            self.streamed = streamed_argument(model, given=given)
        if self.streamed is not None and runs is not None and runs.args_schema is None:
            msg = (
                f"The tool {self.name!r} needs an args_schema. Without one, LangChain gives it "
                f"{self.streamed[0]!r} as a str where the text is whole, and not as a Streamed."
            )
            raise ValueError(msg)

    @property
    def core_schema(self) -> CoreSchema:
        """What a part of the arguments is held against, in the form that pydantic-core has it."""
        return self._core_schema()

    @property
    def shape(self) -> CoreSchema:
        """What the arguments look like, also where the tool does not hold them against it."""
        return self._shape()

    def types_at(self, path: JSONPath) -> frozenset[str]:
        """Say of which JSON types an argument, or a part of one, may be.

        Args:
            path: Keys and indexes from the arguments as a whole.
        """
        if self._parameters is None:
            self._parameters = _told(self._tool)
        return types_at(self._parameters, path)

    def forbidden(self, name: object) -> str | None:
        """Say why no model may write an argument of a name, if none may."""
        return NONE_MAY_WRITE if name in self.injected.names else None

    def excuses(self, path: JSONPath) -> bool:
        """Whether the tool may take arguments in spite of what does not fit there."""
        return self.takes_all or (self._knows_only_a_part and not path)

    def validate(self, args: dict[str, Any]) -> str | None:
        """Hold arguments against what the tool takes.

        Args:
            args: The arguments by name.

        Returns:
            What does not fit, with the place, or `None` when all fits.
        """
        if forged := self.injected.names & args.keys():
            return f"{NONE_MAY_WRITE} at {format_path((min(forged),))}"
        token = checking.set(True)
        try:
            # A validator of the user's may write into what it is given.
            self._validate(copied(args))
        except (ValidationError, ValidationErrorV1) as error:
            return None if self.excuses(first_place(error, args)) else describe(error, args)
        except TooManyStepsError as error:
            return f"they cannot be checked, because {error}"
        except Exception as error:  # noqa: BLE001  (a validator of the user's may raise anything)
            return None if self._knows_only_a_part else _raised(error)
        finally:
            checking.reset(token)
        return None


def _raised(error: Exception) -> str:
    return f"the tool's own validation raised {shown(error, MAX_TOLD)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    """What is accepted as a tool's arguments."""

    validate: Callable[[dict[str, Any]], Any]
    """Raises what is wrong."""
    core_schema: Callable[[], CoreSchema]
    shape: Callable[[], CoreSchema]
    takes_all: bool = False


def _by_tool(tool: BaseTool, model: type[BaseModel] | None) -> _Accepted:
    """Find what a tool takes, by what LangChain does with the arguments of a call to it."""
    schema = tool.args_schema
    takes_all = bool(tool.handle_validation_error)
    if _reads_by_itself(tool):
        # With its own way to read what it is given; LangChain's `Tool` wants exactly one value.
        return _Accepted(
            validate=lambda args: tool._to_args_and_kwargs(args, "call"),  # noqa: SLF001
            core_schema=core_schema.any_schema,
            shape=lambda: _shape_of(tool),
            takes_all=takes_all,
        )
    if model is not None and schema is not None:
        made = TypeAdapter(model)
        return _Accepted(
            validate=model.model_validate,
            core_schema=lambda: made.core_schema,
            shape=lambda: made.core_schema,
            # Without fields, LangChain calls it with nothing, whatever it is given.
            takes_all=takes_all or not model.model_fields,
        )
    if isinstance(schema, type) and issubclass(schema, BaseModelV1):
        return _Accepted(
            validate=schema.parse_obj,
            core_schema=core_schema.any_schema,
            shape=lambda: _shape_of(tool),
            takes_all=takes_all,
        )
    return _everything(tool)


def _everything(tool: BaseTool) -> _Accepted:
    """LangChain passes on what it is given: a JSON schema is for the model, not for validation."""
    return _Accepted(
        validate=lambda args: args,
        core_schema=core_schema.any_schema,
        shape=lambda: _shape_of(tool),
        takes_all=True,
    )


def _bare_schema(tool: ToolLike, *, coerce: bool) -> _Accepted:
    """Find what a schema takes that no tool stands behind."""
    if _is_model(tool):
        return _Accepted(
            validate=tool.model_validate,
            core_schema=lambda: TypeAdapter(tool).core_schema,
            shape=lambda: TypeAdapter(tool).core_schema,
        )
    parameters = _told(tool)
    if (adapter := _adapter(tool)) is not None:
        return _Accepted(
            validate=adapter.validate_python,
            core_schema=lambda: adapter.core_schema,
            shape=lambda: adapter.core_schema,
        )
    text = _json_text(parameters)
    return _Accepted(
        validate=json_schema_validator(text, coerce=coerce),
        core_schema=lambda: json_core_schema(text, coerce=coerce),
        shape=lambda: json_core_schema(text, coerce=coerce),
    )


def _reads_by_itself(tool: BaseTool) -> bool:
    kind = type(tool)
    return (
        kind._parse_input is not BaseTool._parse_input  # noqa: SLF001
        or kind._to_args_and_kwargs is not BaseTool._to_args_and_kwargs  # noqa: SLF001
    )


def takes_arguments(parameters: Mapping[str, Any]) -> bool:
    """Whether a JSON schema leaves anything for the model to write.

    Args:
        parameters: The `parameters` of a function.
    """
    return any(parameters.get(keyword) for keyword in _HOLD_PARAMETERS)


_HOLD_PARAMETERS = (
    "properties", "patternProperties", "additionalProperties", "$ref", "allOf", "anyOf", "oneOf",
)  # fmt: skip


def _told(tool: ToolLike) -> Mapping[str, Any]:
    """What the model is told of a tool's arguments."""
    if isinstance(tool, BaseTool) and isinstance(tool.args_schema, dict):
        return tool.args_schema
    return described(tool)["parameters"] or {}


def _shape_of(tool: BaseTool) -> CoreSchema:
    """What the arguments look like that the model is told of."""
    try:
        return json_core_schema(_json_text(_told(tool)), coerce=True)
    except ValueError:
        return core_schema.any_schema()


_MAX_NESTED = 1000
"""Objects and lists inside each other: as many as every supported Python writes as JSON."""


def _json_text(schema: Mapping[str, Any]) -> str:
    level: list[Any] = [schema]
    for _ in range(_MAX_NESTED):  # what stands in several places is looked at once
        level = list({id(inner): inner for one in level for inner in _parts(one)}.values())
    if level:
        msg = f"The JSON schema of the tool is nested more than {_MAX_NESTED:,} levels deep."
        raise ValueError(msg)
    try:
        return json.dumps(schema, sort_keys=True)
    except (RecursionError, TypeError) as error:
        msg = f"The JSON schema of the tool cannot be read: {shown(error)}."
        raise ValueError(msg) from error


def _parts(schema: Any) -> Iterable[Any]:
    if isinstance(schema, Mapping):
        return schema.values()
    return schema if isinstance(schema, list | tuple) else ()


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


_FUNCTION_TYPES = ("function", "object", None)


def _model_of(tool: ToolLike, given: AbstractSet[str]) -> type[BaseModel] | None:
    """The model of a tool's arguments, which does without what the application gives."""
    model: object = tool
    if isinstance(tool, BaseTool):
        model = tool.get_input_schema() if tool.args_schema is None else tool.args_schema
    if not _is_model(model):
        return None
    if not (given := given & model.model_fields.keys()):
        return model
    # Not the subset that the model is told of: that has lost the validators.
    fields: dict[str, Any] = dict.fromkeys(
        given, (Any, Field(default=None, exclude=True, repr=False))
    )
    return create_model(model.__name__, __base__=model, __module__=model.__module__, **fields)


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


def copied(value: Any) -> Any:
    """Copy a JSON value: a validator of the user's may write into what it is given."""
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def _is_model(schema: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(schema, type) and issubclass(schema, BaseModel)
