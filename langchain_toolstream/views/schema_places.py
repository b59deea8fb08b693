"""A schema, taken apart into what may stand at each place of a value.

A whole value is held against a whole schema; pydantic does that. Here the schema, as pydantic-core
has it, is taken apart, so that each value can be held against its own part the moment it is
finished, and what is open can be shown as what it is going to be.

A part is used on its own only where that is certain to say the same as the whole. A validator that
runs before pydantic's own and may rewrite what it is given, an alias that another one may
overrule, a union whose branch is not known: their places have no kind, and wait until the value
around them closes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import CoreConfig, SchemaValidator, core_schema, to_json

from langchain_toolstream.schema.json_schema import INSIDE
from langchain_toolstream.schema.streamed import STREAMED
from langchain_toolstream.schema.tool_schema import copied
from langchain_toolstream.views.places import (
    ANY,
    Container,
    Either,
    Entries,
    Fields,
    Grown,
    Items,
    Kind,
    Part,
    Tagged,
    untyped,
)

JSONKind = Literal["object", "array", "string", "scalar"]

_ANYTHING: frozenset[JSONKind] = frozenset(("object", "array", "string", "scalar"))
_OBJECT: frozenset[JSONKind] = frozenset(("object",))
_PLAIN = frozenset(("type", "items_schema", "strict", "ref", "metadata", "serialization"))
"""What a schema of a list may say and still ask for nothing of the list as a whole."""

_SCALAR: frozenset[JSONKind] = frozenset(("scalar",))
_WORD: frozenset[JSONKind] = frozenset(("string", "scalar"))
_ON_ITS_OWN: dict[str, frozenset[JSONKind]] = {
    **dict.fromkeys(("model", "typed-dict", "dataclass", "dict", "tagged-union"), _OBJECT),
    **dict.fromkeys(("str", "int", "float", "decimal", "bool", "literal"), _WORD),
    **dict.fromkeys(("date", "time", "datetime", "timedelta", "uuid", "url"), _WORD),
    "list": frozenset(("array",)),
    "none": _SCALAR,
}
"""What each schema takes of JSON, at most. Any other takes, for all that is known, anything."""

_ASK_FOR_MORE = frozenset(("min_length", "max_length", "fail_fast"))

_new: Callable[[type], Any] = object.__new__
_set = object.__setattr__
# What `object.__setattr__` comes to, found once and not for every model.
_set_dict, _set_fields_set, _set_extra, _set_private = (
    vars(BaseModel)[f"__{name}__"].__set__
    for name in ("dict", "pydantic_fields_set", "pydantic_extra", "pydantic_private")
)


class Scope:
    """A whole schema, which its parts may refer to.

    Args:
        schema: The schema.
        as_json: Whether values are validated as JSON is, which tells in strict models only, and
            not as Python's objects are.
    """

    def __init__(self, schema: Part, *, as_json: bool = False) -> None:
        """Take the definitions; nothing is compiled before it is needed."""
        self._as_json = as_json
        self._definitions: dict[str, Part] = {}
        self._by_ref: dict[str, Kind | None] = {}
        self._schema = schema
        if schema["type"] == "definitions":
            self._definitions = {one["ref"]: one for one in schema["definitions"]}
            self._schema = schema["schema"]

    def root(self) -> Kind:
        """Find what the whole value has to be. Of the whole, everything is certain."""
        return self.kind(self._schema, None) or Kind(self, self._schema, None, grows=False)

    def validator(self, schema: Part, config: CoreConfig | None) -> Callable[[Any], Any]:
        """Compile a part."""
        if _refers(schema):
            schema = core_schema.definitions_schema(schema, list(self._definitions.values()))
        validator = SchemaValidator(schema, config)
        may_write = _calls(schema)
        if self._as_json:
            return lambda value: validator.validate_json(to_json(value, inf_nan_mode="constants"))
        if may_write:
            return lambda value: validator.validate_python(copied(value))
        return validator.validate_python

    def kind(self, schema: Part, config: CoreConfig | None) -> Kind | None:
        """Find what may stand at the place of a part; `None`: nothing certain."""
        if schema["type"] != "definition-ref":
            return self._kind(schema, config)
        ref = schema["schema_ref"]
        if ref not in self._by_ref:
            self._by_ref[ref] = self._kind(schema, config)
        return self._by_ref[ref]

    def _kind(self, schema: Part, config: CoreConfig | None) -> Kind | None:
        found = self._unwrapped(schema)
        if found is None:
            return None
        inner, whole = found
        if inner["type"] == "any":
            return ANY
        if inner["type"] == "union":
            return self._union(inner, whole, config)
        inside = self._inside(inner, whole, config)
        if inside is not None:
            return Grown(self, whole, config, inside)
        is_text = inner["type"] == "str" or STREAMED in inner.get("metadata", {})
        return Kind(self, whole, config, grows=is_text)

    def _unwrapped(self, whole: Part) -> tuple[Part, Part] | None:
        """Find what a part is about, past what stands around it.

        Returns:
            That, and as much around it as a value can be held against on its own; `None` where
            nothing is certain.
        """
        inner = whole
        bare = True  # whether what stands around it may be left out
        while True:
            kind = inner["type"]
            asks = kind.startswith("function-") and inner["function"]["type"] == "with-info"
            if (inside := inner.get("metadata", {}).get(INSIDE)) is not None:
                inner = inside
            elif kind == "definition-ref":
                inner = self._definitions[inner["schema_ref"]]
            elif asks:
                # It may ask for the other fields, so it has its say when those are known.
                if kind != "function-after" or not bare:
                    return None
                inner = whole = inner["schema"]
            elif kind in ("nullable", "default", "function-after"):
                if inner.get("on_error", "raise") != "raise":
                    return None
                bare = bare and kind == "default"
                inner = inner["schema"]
            elif kind == "json-or-python" and inner["json_schema"]["type"] == "list":
                inner = inner["json_schema"]
            else:
                return inner, whole

    def is_bare(self, schema: Part) -> bool:
        """Whether a part asks nothing of an object or list but of its members."""
        schema = self._resolved(schema)
        match schema["type"]:
            case "nullable" | "default":
                return self.is_bare(schema["schema"])
            case "list" | "dict":
                return not schema.keys() & _ASK_FOR_MORE
            case "model":
                return "post_init" not in schema
            case "any":
                return True
        return False

    def _union(self, union: Part, whole: Part, config: CoreConfig | None) -> Kind:
        choices = [one[0] if isinstance(one, tuple) else one for one in union["choices"]]
        branches: dict[type, Callable[[], Kind | None]] = {}
        for json_kind, json in (("object", dict), ("array", list)):
            taking = [one for one in choices if json_kind in self._takes(one)]
            if len(taking) == 1:
                branches[json] = self._later(taking[0], config)
        grows = any(self._resolved(one)["type"] == "str" for one in choices)
        return Either(self, whole, config, branches, grows=grows)

    def _takes(self, schema: Part) -> frozenset[JSONKind]:
        schema = self._resolved(schema)
        match schema["type"]:
            case "function-before" if INSIDE in schema.get("metadata", {}):
                return self._takes(schema["metadata"][INSIDE])
            case "tagged-union" if INSIDE in schema.get("metadata", {}):
                return _ANYTHING
            case "nullable":
                return self._takes(schema["schema"]) | _SCALAR
            case "default" | "function-after":
                return self._takes(schema["schema"])
            case "model" if self._model_fields(schema) is None:
                return _ANYTHING
        return _ON_ITS_OWN.get(schema["type"], _ANYTHING)

    def _resolved(self, schema: Part) -> Part:
        while schema["type"] == "definition-ref":
            schema = self._definitions[schema["schema_ref"]]
        return schema

    def _inside(self, schema: Part, whole: Part, config: CoreConfig | None) -> Container | None:
        inside: Container | None = None
        match schema["type"]:
            case "model" if (fields := self._model_fields(schema)) is not None:
                build = _model_builder(schema["cls"], fields)
                own = schema.get("config") or CoreConfig()
                inside = self._fields(fields["fields"].items(), fields, own, build)
            case "typed-dict":
                own = schema.get("config") or config
                inside = self._fields(schema["fields"].items(), schema, own, _itself)
            case "dataclass" if schema["schema"]["type"] == "dataclass-args":
                own = schema.get("config") or config
                named = [(field["name"], field) for field in schema["schema"]["fields"]]
                if all(field.get("init", True) for _, field in named):
                    build = _dataclass_builder(schema["cls"])
                    inside = self._fields(named, schema["schema"], own, build)
            case "list":
                items = schema.get("items_schema")
                plain = schema.keys() <= _PLAIN and self._is_bare(whole)
                inside = Items(self._later(items, config) if items else untyped, plain=plain)
            case "dict":
                inside = self._entries(schema, config)
            case "tagged-union":
                inside = self._tagged(schema, config)
        return inside

    def _is_bare(self, schema: Part) -> bool:
        """Whether nothing stands around a part that does anything to a value that is there."""
        schema = self._resolved(schema)
        while schema["type"] in ("default", "nullable"):
            schema = self._resolved(schema["schema"])
        return not schema["type"].startswith("function-")

    def _model_fields(self, model: Part) -> Part | None:
        """The fields of a model that takes an object as it is, and makes nothing else of it."""
        inside = self._resolved(model["schema"])
        if model.get("root_model") or model.get("custom_init"):
            return None
        return inside if inside["type"] == "model-fields" else None

    def _fields(
        self,
        fields: Iterable[tuple[str, Any]],
        of: Any,
        config: CoreConfig | None,
        build: Callable[[dict[str, Any]], Any],
    ) -> Fields:
        settings: Mapping[str, Any] = config or {}
        by_alias = settings.get("validate_by_alias", True) is not False
        by_name = bool(settings.get("validate_by_name") or settings.get("populate_by_name"))
        known: dict[str, tuple[str, Callable[[], Kind | None]]] = {}
        waiting: set[str] = set()
        for name, field in fields:
            alias = field.get("validation_alias") if by_alias else None
            paths: list[list[str | int]] = [[name]] if alias is None else _alias_paths(alias)
            if alias is not None and by_name:
                paths.append([name])
            first, *others = paths
            if len(first) == 1:
                known[str(first[0])] = (name, self._later(field["schema"], config))
            else:
                others.append(first)
            waiting.update(str(path[0]) for path in others)
        extra = of.get("extra_behavior") or settings.get("extra_fields_behavior") or "ignore"
        extras = of.get("extras_schema")
        make_extra: Callable[[], Kind | None] | None = _nothing
        if extra == "forbid":
            make_extra = None
        elif extra == "allow":
            make_extra = self._later(extras, config) if extras else untyped
        # A name that is also a part of another field's alias says nothing certain of either.
        certain = {key: field for key, field in known.items() if key not in waiting}
        return Fields(certain, waiting=frozenset(waiting), extra=make_extra, build=build)

    def _entries(self, schema: Part, config: CoreConfig | None) -> Container | None:
        keys = self._resolved(schema.get("keys_schema", core_schema.any_schema()))
        if keys not in (core_schema.any_schema(), core_schema.str_schema()):
            return None
        values = schema.get("values_schema")
        return Entries(self._later(values, config) if values else untyped)

    def _tagged(self, schema: Part, config: CoreConfig | None) -> Container | None:
        discriminator = schema["discriminator"]
        if not isinstance(discriminator, str):
            return None
        choices = {
            tag: self._later(choice, config)
            for tag, choice in schema["choices"].items()
            if isinstance(choice, dict)
        }
        return Tagged(discriminator, choices) if len(choices) == len(schema["choices"]) else None

    def _later(self, schema: Part, config: CoreConfig | None) -> Callable[[], Kind | None]:
        """Find a kind once, and not before it is asked for: schemas may contain themselves."""
        found: list[Kind | None] = []

        def kind() -> Kind | None:
            if not found:
                found.append(self.kind(schema, config))
            return found[0]

        return kind


def _nothing() -> Kind | None:
    return None


def _itself(known: dict[str, Any]) -> dict[str, Any]:
    return known


def _alias_paths(alias: Any) -> list[list[str | int]]:
    if isinstance(alias, str):
        return [[alias]]
    return [list(path) for path in alias] if isinstance(alias[0], list) else [list(alias)]


def _model_builder(cls: type, fields: Part) -> Callable[[dict[str, Any]], Any]:
    """Build what `model_construct` does, but without the defaults of fields that are not known."""
    names = fields["fields"].keys()
    has_extra = fields.get("extra_behavior") == "allow"

    def build(known: dict[str, Any]) -> Any:
        are_set, extra = set(known), None
        if has_extra:
            extra = {name: value for name, value in known.items() if name not in names}
            known = {name: value for name, value in known.items() if name in names}
        model = _new(cls)
        _set_dict(model, known)
        _set_fields_set(model, are_set)
        _set_extra(model, extra)
        _set_private(model, None)
        return model

    return build


def _dataclass_builder(cls: type) -> Callable[[dict[str, Any]], Any]:
    def build(known: dict[str, Any]) -> Any:
        made = _new(cls)
        for name, value in known.items():
            _set(made, name, value)
        return made

    return build


def _parts(schema: Any) -> Iterable[Any]:
    if isinstance(schema, dict):
        return [
            part for key, part in schema.items() if key not in ("metadata", "serialization", "cls")
        ]
    return schema if isinstance(schema, list | tuple) else ()


def _refers(schema: Any) -> bool:
    return any(part.get("type") == "definition-ref" for part in _inner(schema))


def _calls(schema: Any) -> bool:
    """Whether a schema holds functions, which may do anything to what they are given."""
    return any(str(part.get("type", "")).startswith("function-") for part in _inner(schema))


def _inner(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema, and all those inside."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
        waiting += _parts(part)
