"""What a tool accepts, whatever kind of tool it is.

`tool_schemas` takes everything that `bind_tools` takes. A tool that LangChain validates by a
pydantic model is validated by that model, so that a call is valid here exactly when the tool would
take it. Where there is only a JSON schema, it is compiled for pydantic-core; keywords that have no
counterpart there are left out, so that a call is never refused for them.
"""

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import is_dataclass
from fractions import Fraction
from functools import lru_cache
from typing import (
    Any,
    Protocol,
    TypeGuard,
    cast,
    get_args,
    get_type_hints,
    runtime_checkable,
)

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import (
    CoreSchema,
    PydanticCustomError,
    SchemaError,
    SchemaValidator,
    core_schema,
)

from langchain_toolstream._streamed import streamed_argument
from langchain_toolstream.core.errors import JSONPath, format_path

ToolLike = BaseTool | type | Callable[..., Any] | Mapping[str, Any]
"""A tool, a pydantic model, a `TypedDict`, a function, or a schema as a dict: what
`bind_tools` takes."""

checking: ContextVar[bool] = ContextVar("checking", default=False)
"""Whether a call is only looked at: what its arguments stand for need not be there yet."""

_MAX_PROBLEMS = 3
_MAX_SHOWN = 60


class ToolSchema:
    """One tool as the call rules see it (a `core.calls.ToolSpec`).

    Args:
        tool: Whatever `bind_tools` takes.
        read_only: Whether running it for nothing does no harm.
        streams: Whether whoever runs the tool can run it while an argument is written.
        coerce: For a bare JSON schema, whether a value of another type passes where pydantic would
            convert it (`"3"` for an integer). Pydantic models always decide that themselves.

    Raises:
        ValueError: The tool is a dict in no known form.
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
        model, self._injected = _pydantic_model(tool)
        self.streamed = streamed_argument(model) if streams and model is not None else None
        self._validate: Callable[[Any], Any]
        self._core_schema: Callable[[], CoreSchema]
        if model is not None:
            # A validator that runs before pydantic's own may write into what it is given.
            self._validate = lambda args: model.model_validate(_copy(args))
            self.requires_arguments = any(f.is_required() for f in model.model_fields.values())
            self._core_schema = lambda: TypeAdapter(model).core_schema
            return
        parameters = _function(tool)["parameters"] or {}
        self.requires_arguments = bool(parameters.get("required"))
        if (adapter := _adapter(tool)) is not None:
            self._validate = lambda args: adapter.validate_python(_copy(args))
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

    def forbidden(self, name: object) -> str | None:
        """Say why no model may write an argument of a name, if none may."""
        if name not in self._injected:
            return None
        return "the tool is given this value by the application, not by the model,"

    def validate(self, args: dict[str, Any]) -> str | None:
        """Hold arguments against the tool's schema.

        Args:
            args: The arguments by name.

        Returns:
            What does not fit, with the place, or `None` when all fits.
        """
        if forged := self._injected & args.keys():
            return f"{self.forbidden(min(forged))} at {format_path((min(forged),))}"
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
        shown = getattr(tools, "name", None) or getattr(tools, "__name__", None) or repr(tools)
        msg = f"A list of tools is needed, got one thing. Write [{shown}]."
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
        msg = f"{_shown(tool)} describes no tool in a form that bind_tools takes: {error!r}"
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
        shown = tool.__name__ if isinstance(tool, type) else repr(tool)
        msg = (
            f"{shown} describes a call but cannot run it. A ToolSet takes tools and functions; "
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


def _pydantic_model(tool: ToolLike) -> tuple[type[BaseModel] | None, frozenset[str]]:
    """The model that validates a tool's arguments, and the fields that no LLM may give."""
    if isinstance(tool, BaseTool):
        seen_by_model = tool.tool_call_schema
        whole = tool.get_input_schema()
        if not (_is_model(seen_by_model) and _is_model(whole)):
            return None, _injected_by_signature(tool)
        injected = whole.model_fields.keys() - seen_by_model.model_fields.keys()
        # The subset that the model sees has lost the validators of the whole, so take the whole
        # wherever nothing is injected.
        return (seen_by_model if injected else whole), frozenset(injected)
    if _is_model(tool):
        return tool, frozenset()
    if inspect.isroutine(tool):
        return _pydantic_model(as_tool(tool))
    return None, frozenset()


def _injected_by_signature(tool: BaseTool) -> frozenset[str]:
    """The injected arguments of a tool whose schema, being JSON, cannot tell them."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None) or tool._run  # noqa: SLF001
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return frozenset()
    return frozenset(name for name, hint in hints.items() if any(map(_injects, get_args(hint)[1:])))


def _injects(mark: object) -> bool:
    kind = mark if isinstance(mark, type) else type(mark)
    return issubclass(kind, InjectedToolArg)


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


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    if type(value) is list:
        return [_copy(item) for item in value]
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
    problems = error.errors(include_url=False, include_context=False)
    told = []
    for problem in problems[:_MAX_PROBLEMS]:
        missing = problem["type"] == "missing"
        place = format_path((*at, *_place(problem["loc"], value, missing=missing)))
        got = "" if missing else f", got {_shown(problem['input'])}"
        told.append(f"{problem['msg']} at {place}{got}")
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
    problem = error.errors(include_url=False, include_context=False)[0]
    return (*at, *_place(problem["loc"], value, missing=problem["type"] == "missing"))


def _place(loc: tuple[str | int, ...], args: Any, *, missing: bool) -> JSONPath:
    """The part of a pydantic location that exists in the arguments, and the step that misses."""
    path: list[str | int] = []
    value = args
    for step in loc:
        known: Any = value if isinstance(value, dict | list) else ()
        if step in (known if isinstance(known, dict) else range(len(known))):
            path.append(step)
            value = known[step]
        # Anything else names a branch of a union.
    return (*path, loc[-1]) if missing else tuple(path)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


# A JSON schema, for pydantic-core.


@lru_cache(maxsize=512)
def json_schema_validator(schema: str, *, coerce: bool) -> SchemaValidator:
    """Compile a JSON schema.

    Args:
        schema: The schema, as JSON text.
        coerce: As for `ToolSchema`.
    """
    return SchemaValidator(json_core_schema(schema, coerce=coerce))


@lru_cache(maxsize=512)
def json_core_schema(schema: str, *, coerce: bool) -> CoreSchema:
    """Say what a JSON schema says in the form that pydantic-core compiles.

    Args:
        schema: The schema, as JSON text.
        coerce: As for `ToolSchema`.
    """
    made = _Compiler(json.loads(schema), coerce=coerce).compile()
    try:
        SchemaValidator(made)
    except SchemaError:  # a schema that contradicts itself refuses nothing
        return core_schema.any_schema()
    return made


class _Compiler:
    def __init__(self, root: dict[str, Any], *, coerce: bool) -> None:
        self._root = root
        self._strict = not coerce
        self._definitions: dict[str, CoreSchema | None] = {}

    def compile(self) -> CoreSchema:
        schema = self._any_of_types(self._root)
        definitions = [d for d in self._definitions.values() if d is not None]
        return core_schema.definitions_schema(schema, definitions) if definitions else schema

    def _any_of_types(self, schema: Any) -> CoreSchema:
        if not isinstance(schema, dict):
            return core_schema.any_schema()
        made = self._made(schema)
        return core_schema.nullable_schema(made) if schema.get("nullable") is True else made

    def _made(self, schema: dict[str, Any]) -> CoreSchema:
        if isinstance(ref := schema.get("$ref"), str):
            return self._reference(ref)
        parts = [
            self._union(schema[key])
            for key in ("anyOf", "oneOf")
            if isinstance(schema.get(key), list)
        ]
        if isinstance(all_of := schema.get("allOf"), list):
            parts += [self._any_of_types(part) for part in all_of]
        own = self._own(schema)
        if own["type"] != "any" or not parts:
            parts.append(own)
        return parts[0] if len(parts) == 1 else core_schema.chain_schema(parts)

    def _own(self, schema: dict[str, Any]) -> CoreSchema:
        if isinstance(enum := schema.get("enum"), list):
            return _literal(enum)
        if "const" in schema:
            return _literal([schema["const"]])
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([{**schema, "type": one} for one in kind])
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else ""
        made = getattr(self, f"_{kind}", None) if kind in _JSON_TYPES else None
        return made(schema) if made else core_schema.any_schema()

    def _union(self, schemas: list[Any]) -> CoreSchema:
        choices = [self._any_of_types(schema) for schema in schemas]
        if not choices:
            return core_schema.any_schema()
        return choices[0] if len(choices) == 1 else core_schema.union_schema([*choices])

    def _reference(self, ref: str) -> CoreSchema:
        if ref not in self._definitions:
            target: Any = self._root if ref.startswith("#") else None
            for step in ref.lstrip("#").split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                target = target.get(name) if isinstance(target, dict) else None
            if not isinstance(target, dict):
                return core_schema.any_schema()
            self._definitions[ref] = None
            made = self._any_of_types(target)
            if "ref" in made or made["type"] == "definition-ref":
                made = core_schema.chain_schema([made])
            self._definitions[ref] = cast("CoreSchema", {**made, "ref": ref})
        return core_schema.definition_reference_schema(ref)

    def _string(self, schema: dict[str, Any]) -> CoreSchema:
        return core_schema.str_schema(
            **_holding(
                core_schema.str_schema,
                min_length=_count(schema.get("minLength")),
                max_length=_count(schema.get("maxLength")),
                pattern=linear_pattern(schema.get("pattern")),
            ),
            strict=self._strict,
        )

    def _integer(self, schema: dict[str, Any]) -> CoreSchema:
        # JSON Schema: 10.0 is an integer, of any size. pydantic's strict mode would refuse it.
        whole = core_schema.int_schema(**_bounds(core_schema.int_schema, schema))
        before = _strict_integer if self._strict else _as_integer
        return core_schema.no_info_before_validator_function(before, whole)

    def _number(self, schema: dict[str, Any]) -> CoreSchema:
        real = core_schema.float_schema(**_bounds(core_schema.float_schema, schema))
        before = _strict_float if self._strict else _as_float
        return core_schema.no_info_before_validator_function(before, real)

    def _boolean(self, _: dict[str, Any]) -> CoreSchema:
        return core_schema.bool_schema(strict=self._strict)

    def _null(self, _: dict[str, Any]) -> CoreSchema:
        return core_schema.none_schema()

    def _array(self, schema: dict[str, Any]) -> CoreSchema:
        items = schema.get("items")
        return core_schema.list_schema(
            self._any_of_types(items) if isinstance(items, dict) else None,
            **_holding(
                core_schema.list_schema,
                min_length=_count(schema.get("minItems")),
                max_length=_count(schema.get("maxItems")),
            ),
            strict=True,
        )

    def _object(self, schema: dict[str, Any]) -> CoreSchema:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        required = (
            {n for n in required if isinstance(n, str)} if isinstance(required, list) else set()
        )
        fields = {
            name: core_schema.typed_dict_field(
                self._any_of_types(properties.get(name)), required=name in required
            )
            for name in (*properties, *(required - properties.keys()))
        }
        extra = schema.get("additionalProperties", True)
        if "patternProperties" in schema:
            extra = True
        return core_schema.typed_dict_schema(
            fields,
            extra_behavior="forbid" if extra is False else "allow",
            extras_schema=self._any_of_types(extra) if isinstance(extra, dict) else None,
        )


def _is_name(value: object) -> bool:
    return isinstance(value, str)


_JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


def _literal(values: list[Any]) -> CoreSchema:
    if not values or any(isinstance(value, dict | list) for value in values):
        return core_schema.any_schema()
    return core_schema.literal_schema(values)


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_float(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, int) else value
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _strict_integer(value: Any) -> Any:
    return _as_integer(_number(value))


def _strict_float(value: Any) -> Any:
    return _as_float(_number(value))


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "number_type"
        raise PydanticCustomError(kind, "Input should be a number")
    return value


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def _bounds(kind: Callable[..., CoreSchema], schema: dict[str, Any]) -> dict[str, Any]:
    named = {
        "ge": schema.get("minimum"),
        "gt": schema.get("exclusiveMinimum"),
        "le": schema.get("maximum"),
        "lt": schema.get("exclusiveMaximum"),
        "multiple_of": schema.get("multipleOf"),
    }
    numbers = {key: value for key, value in named.items() if _is_finite(value)}
    if numbers.get("multiple_of", 1) <= 0:
        del numbers["multiple_of"]
    if kind is core_schema.int_schema:
        numbers = {key: _AMONG_INTEGERS[key](value) for key, value in numbers.items()}
    return _holding(kind, **numbers)


_AMONG_INTEGERS: dict[str, Callable[[float], int]] = {
    "ge": math.ceil,
    "gt": math.floor,
    "le": math.floor,
    "lt": math.ceil,
    "multiple_of": lambda value: Fraction(str(value)).numerator,
}
"""The bound that says the same of integers as a fraction does: at least 0.5 is at least 1."""


def _is_finite(value: Any) -> TypeGuard[float]:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _holding(kind: Callable[..., CoreSchema], **keywords: Any) -> dict[str, Any]:
    """Leave out the keywords that pydantic-core cannot hold values against."""
    kept = {}
    for key, value in keywords.items():
        try:
            SchemaValidator(kind(**{key: value}))
        except SchemaError:
            continue
        kept[key] = value
    return kept


def linear_pattern(pattern: Any) -> str | None:
    """Keep a pattern only if pydantic-core's linear-time engine reads it as JSON Schema does.

    Args:
        pattern: What stands where a pattern should; that engine may still refuse it.
    """
    if not isinstance(pattern, str) or any(sign in pattern for sign in ("&&", "--", "~~")):
        return None
    return pattern
