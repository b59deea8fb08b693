"""What an answer may be asked to be: JSON of a schema, one of some choices, text of a pattern."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import TypeAdapter, ValidationError, WithJsonSchema
from pydantic.errors import PydanticUserError
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic_core import SchemaError, SchemaValidator, core_schema
from typing_extensions import is_typeddict

from langchain_toolstream.schema.json_schema import json_schema_validator, linear_pattern
from langchain_toolstream.schema.problems import describe
from langchain_toolstream.views.places import Kind
from langchain_toolstream.views.schema_places import Scope

_HOLDERS = ("parameters", "schema", "input_schema")
_CONSTRAINTS = frozenset(
    ("type", "properties", "items", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "pattern")
)
_ARGUMENTS = ("arguments", "parameters", "args", "input")
"""How models name the arguments where they write a call as JSON."""

_MAX_NAME = 64
_MAX_SHOWN = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSchema:
    """The schema of an answer: what a server is told of it, and what the answer becomes."""

    name: str
    """Of such characters as every server takes in the name of a tool."""

    description: str | None
    json: dict[str, Any]
    """The JSON schema, without its own name and description."""

    strict: bool | None = None
    """What the schema itself says about it, as OpenAI's dicts do."""

    make: Callable[[str], Any] | None = None
    """Makes an object of JSON text. Without it the answer stays what JSON makes of it."""

    kind: Kind | None = None
    """What the object is while it is written, where that can be shown."""

    @classmethod
    def of(cls, schema: Any) -> Self:
        """Look at a schema.

        Args:
            schema: A pydantic model, a `TypedDict`, a dataclass or any other type that pydantic
                knows, or a dict: a JSON schema, or one of OpenAI's forms that hold one.

        Raises:
            ValueError: It is nothing of that.
        """
        if isinstance(schema, Mapping):
            return cls._of_dict(dict(schema))
        not_a_type = isinstance(schema, str | bytes | Sequence) or inspect.isroutine(schema)
        if schema is None or not_a_type:
            raise _unsupported(schema)
        kind: Any = schema
        try:
            if is_typeddict(kind):
                return dataclasses.replace(
                    cls._of_dict(convert_to_openai_function(kind)), type=kind
                )
            if isinstance(kind, type) and issubclass(kind, BaseModelV1):
                return cls._of_type(kind, kind.schema(), _v1_maker(kind))
            adapter: TypeAdapter[Any] = TypeAdapter(kind)
            growing = Scope(adapter.core_schema, as_json=True).root()
            made = cls._of_type(kind, adapter.json_schema(), adapter.validate_json, growing)
            return dataclasses.replace(made, type=kind)
        except (PydanticUserError, TypeError, NameError) as error:
            raise _unsupported(schema) from error

    @classmethod
    def _of_type(
        cls,
        schema: Any,
        json: dict[str, Any],
        make: Callable[[str], Any],
        kind: Kind | None = None,
    ) -> Self:
        json = _without_titles(_with_its_root(json))
        name = getattr(schema, "__name__", "") if isinstance(schema, type) else ""
        return cls._made(name, json.pop("description", None), json, make=make, kind=kind)

    @classmethod
    def _of_dict(cls, schema: dict[str, Any]) -> Self:
        for kind in ("json_schema", "function"):
            if schema.get("type") == kind and isinstance(schema.get(kind), Mapping):
                schema = dict(schema[kind])
        description = schema.get("description")
        for holder in _HOLDERS:
            if isinstance(schema.get("name"), str) and isinstance(schema.get(holder), Mapping):
                strict = schema.get("strict")
                held = dict(schema[holder])
                return cls._made(schema["name"], description, held, strict=strict)
        if not schema.keys() & _CONSTRAINTS:
            raise _unsupported(schema)
        own = {"title", "description"}
        json = {key: value for key, value in schema.items() if key not in own}
        return cls._made(str(schema.get("title") or ""), description, json)

    @classmethod
    def _made(cls, name: str, description: Any, json: dict[str, Any], **fields: Any) -> Self:
        name = re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_")[:_MAX_NAME] or "answer"
        return cls(name=name, description=description or None, json=json, **fields)

    type: Any = None
    """The type that the schema was made of, if pydantic knows it."""

    @property
    def output_type(self) -> Any:
        """What the answer is, as a type."""
        return Annotated[Any, WithJsonSchema(self.traced)] if self.type is None else self.type

    @property
    def traced(self) -> dict[str, Any]:
        """The schema as LangSmith shows it."""
        about = {"description": self.description} if self.description else {}
        return {"title": self.name, **about, **self.json}

    def response_format(self, *, strict: bool | None) -> dict[str, Any]:
        """Make what asks for an answer of this schema.

        Args:
            strict: Whether to forbid further properties, and require all.
        """
        function = self._function(self.strict if strict is None else strict)
        function["schema"] = function.pop("parameters")
        return {"type": "json_schema", "json_schema": function}

    def tool(self, *, strict: bool | None) -> dict[str, Any]:
        """Make the tool whose arguments are the answer.

        vLLM holds arguments to a schema only where the tool is strict, so it is, unless somebody
        said otherwise; the schema is rewritten only if somebody said so.

        Args:
            strict: Whether to hold the arguments to the schema; `True` also forbids further
                properties, and requires all.

        Raises:
            ValueError: The answer is no object, as arguments are.
        """
        if self.json.get("type") != "object" and "properties" not in self.json:
            msg = (
                f"{self.name!r} is not the schema of an object, as the arguments of a call are. "
                "Use method='json_schema'."
            )
            raise ValueError(msg)
        strict = self.strict if strict is None else strict
        function = self._function(strict)
        return {"type": "function", "function": {**function, "strict": strict is not False}}

    def _function(self, strict: bool | None) -> dict[str, Any]:  # noqa: FBT001
        about = {"description": self.description} if self.description else {}
        function = {"name": self.name, **about, "parameters": self.json}
        return convert_to_openai_function(function, strict=strict)

    def read(self, value: Any) -> Any:
        """Make the answer of a JSON value.

        Args:
            value: The value.

        Raises:
            ValueError: It does not fit.
        """
        if self._is_envelope(value):
            msg = (
                f"it is a whole call of {self.name!r} as JSON, with its name, where the arguments "
                "alone belong"
            )
            raise ValueError(msg)
        try:
            if self.make is not None:
                return self.make(json.dumps(value, allow_nan=False))
            schema = json.dumps(self.json, sort_keys=True)
            json_schema_validator(schema, coerce=False)(value)
        except ValidationError as error:
            raise ValueError(describe(error, value)) from error
        except ValueError:
            raise
        except Exception as error:
            msg = f"the schema's own validation raised {error!r}"
            raise ValueError(msg) from error
        return value

    def _is_envelope(self, value: Any) -> bool:
        """Whether it is `{"name": ..., "arguments": ...}` around what was asked for.

        A schema that allows further fields, and requires none, takes that for an empty answer.
        """
        if not isinstance(value, dict) or len(value) != 2 or "name" not in value:  # noqa: PLR2004
            return False
        (inner,) = value.keys() - {"name"}
        properties = self.json.get("properties", {})
        if inner not in _ARGUMENTS or inner in properties:
            return False
        return value["name"] == self.name or bool(properties and "name" not in properties)


def _v1_maker(model: type[BaseModelV1]) -> Callable[[str], Any]:
    def make(text: str) -> Any:
        return model.parse_raw(text)

    return make


def choices(schema: Any) -> dict[str, Any]:
    """Find the texts that an answer may be, and what each stands for.

    Args:
        schema: Texts or whole numbers: in a list, a `Literal`, or as the values of an `Enum`.

    Raises:
        ValueError: It is nothing of that, or two choices are the same text.
    """
    pairs: list[tuple[Any, Any]] = []
    if get_origin(schema) is Literal:
        pairs = [(value, value) for value in get_args(schema)]
    elif isinstance(schema, type) and issubclass(schema, Enum):
        pairs = [(member.value, member) for member in schema]
    elif isinstance(schema, Sequence) and not isinstance(schema, str | bytes):
        pairs = [(value, value) for value in schema]
    texts = {str(value): choice for value, choice in pairs if type(value) in (str, int)}
    if not texts or "" in texts or len(texts) < len(pairs):
        msg = (
            "method='choice' needs schema to be different texts or whole numbers, as a list, a "
            f"Literal or an Enum; got {_shown(schema)}."
        )
        raise ValueError(msg)
    return texts


def one_of(texts: Mapping[str, Any]) -> Callable[[str], Any]:
    """Make the function that reads a choice.

    Args:
        texts: See `choices`.
    """

    def read(text: str) -> Any:
        if text not in texts:
            msg = f"it is none of {list(texts)}"
            raise ValueError(msg)
        return texts[text]

    return read


def text_of(pattern: str) -> Callable[[str], str]:
    """Make the function that reads a text of a pattern.

    A server that does not know `structured_outputs` ignores it, so the text is checked, unless the
    pattern is one that cannot be matched in linear time.

    Args:
        pattern: A regular expression.
    """
    whole = linear_pattern(rf"\A(?s:{pattern})\z")
    try:
        validate = SchemaValidator(core_schema.str_schema(pattern=whole)).validate_python
    except SchemaError:
        return str

    def read(text: str) -> str:
        try:
            validate(text)
        except ValidationError as error:
            msg = f"it does not match {pattern!r}"
            raise ValueError(msg) from error
        return text

    return read


def _unsupported(schema: Any) -> ValueError:
    msg = (
        f"with_structured_output cannot ask for {_shown(schema)}. It takes a pydantic model, a "
        "TypedDict, a dataclass or a JSON schema; text for method='regex' and 'grammar'; and for "
        "method='choice' a list, a Literal or an Enum."
    )
    return ValueError(msg)


def _shown(schema: Any) -> str:
    text = repr(schema)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _with_its_root(json: dict[str, Any]) -> dict[str, Any]:
    """A recursive model's schema is a reference to itself; tools need its properties in sight."""
    name = str(json.get("$ref", "")).removeprefix("#/$defs/")
    definitions = json.get("$defs", {})
    return {**definitions[name], "$defs": definitions} if name in definitions else json


def _without_titles(schema: Any) -> Any:
    """Leave out pydantic's titles, which repeat the names and cost tokens in a prompt."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties"):
            kept[key] = {name: _without_titles(one) for name, one in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            kept[key] = value
        elif key != "title":
            kept[key] = _without_titles(value)
    return kept
