"""What every view promises, of random schemas, values and splits."""

import copy
import json
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel, Field, create_model

from langchain_toolstream import PartialToolsParser, ToolCallView
from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.core.json import JSONStream
from tests.unit_tests.scripted import chunk, part

END = chunk(finish_reason="tool_calls")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Tree(BaseModel):
    label: str
    leaves: list["Tree"] = []


@dataclass(frozen=True)
class Spec:
    """A type, and JSON values that fit it."""

    type: Any
    values: st.SearchStrategy[Any]


text = st.text(max_size=8)
trees = st.recursive(
    st.fixed_dictionaries({"label": text}),
    lambda inner: st.fixed_dictionaries({"label": text, "leaves": st.lists(inner, max_size=2)}),
    max_leaves=4,
)
LEAVES = [
    Spec(int, st.integers()),
    Spec(Annotated[int, Field(ge=1, le=9)], st.integers(1, 9)),
    Spec(float, st.floats(allow_nan=False, allow_infinity=False)),
    Spec(bool, st.booleans()),
    Spec(str, text),
    Spec(date, st.dates().map(str)),
    Spec(Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    Spec(Color, st.sampled_from(["red", "blue"])),
    Spec(Tree, trees),
]


def of_list(inner: Spec) -> Spec:
    return Spec(list[inner.type], st.lists(inner.values, max_size=3))  # type: ignore[name-defined]


def of_dict(inner: Spec) -> Spec:
    return Spec(
        dict[str, inner.type],  # type: ignore[name-defined]
        st.dictionaries(text, inner.values, max_size=3),
    )


def of_optional(inner: Spec) -> Spec:
    return Spec(inner.type | None, st.none() | inner.values)


def of_model(fields: list[tuple[Spec, bool, bool]]) -> Spec:
    """A model: each field may have a default, or an alias."""
    definitions: dict[str, Any] = {}
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for number, (spec, has_default, has_alias) in enumerate(fields):
        name, alias = f"field_{number}", f"Field {number}" if has_alias else None
        default = None if has_default else ...
        kind = spec.type | None if has_default else spec.type
        definitions[name] = (kind, Field(default, alias=alias))
        (optional if has_default else required)[alias or name] = spec.values
    model = create_model("Model", **definitions)
    model.__doc__ = "A model."
    return Spec(model, st.fixed_dictionaries(required, optional=optional))


def of_union(specs: list[Spec]) -> Spec:
    """Models that say by their tag which they are, wherever the tag stands."""
    branches: list[Any] = []
    values: list[st.SearchStrategy[Any]] = []
    for number, spec in enumerate(specs):
        tag = f"tag {number}"
        branch = create_model(
            f"Branch{number}",
            kind=(Literal[tag], ...),
            value=(spec.type, ...),  # type: ignore[valid-type]
        )
        branches.append(branch)
        fields = {"kind": st.just(tag), "value": spec.values}
        values += [
            st.fixed_dictionaries(fields),
            st.fixed_dictionaries(dict(reversed(fields.items()))),
        ]
    union = Annotated[reduce(or_, branches), Field(discriminator="kind")]
    return Spec(union, st.one_of(values))


leaves = st.sampled_from(LEAVES)
specs = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(of_list),
        inner.map(of_dict),
        inner.map(of_optional),
        st.lists(st.tuples(inner, st.booleans(), st.booleans()), max_size=3).map(of_model),
        st.lists(inner, min_size=2, max_size=2).map(of_union),
    ),
    max_leaves=5,
)
models = st.lists(st.tuples(specs, st.booleans(), st.booleans()), min_size=1, max_size=3).map(
    of_model
)
typed = models.flatmap(lambda spec: st.tuples(st.just(spec.type), spec.values))


def cut(data: st.DataObject, written: str) -> list[str]:
    places = sorted(data.draw(st.sets(st.integers(1, max(len(written) - 1, 1)), max_size=30)))
    return [written[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]


def message(pieces: list[str]) -> list[AIMessageChunk]:
    first, *others = pieces
    return [
        chunk(part(first, call_id="call_1", name="Model")),
        *(chunk(part(piece)) for piece in others),
        END,
    ]


def at(value: Any, path: JSONPath) -> Any:
    for step in path:
        value = value[step]
    return value


def is_growing_into(so_far: Any, whole: Any) -> bool:
    """Whether a JSON value may be the beginning of another: only strings and containers grow."""
    if type(so_far) is not type(whole):
        return False
    if isinstance(so_far, str):
        return bool(whole.startswith(so_far))
    if isinstance(so_far, dict):
        return all(key in whole and is_growing_into(so_far[key], whole[key]) for key in so_far)
    if isinstance(so_far, list):
        return len(so_far) <= len(whole) and all(map(is_growing_into, so_far, whole))
    return bool(so_far == whole)


def is_known_of(made: Any, whole: Any, args: Any, path: JSONPath, view: ToolCallView) -> bool:
    """Whether a model holds what is known and finished, and what is open as far as it has come."""
    if path in view.finished:
        return bool(made == whole)
    if isinstance(made, str):
        return bool(whole.startswith(made))
    if type(made) is not type(whole):
        return False
    inside: dict[Any, tuple[Any, Any]] = {}
    if isinstance(made, BaseModel):
        for name, field in type(made).model_fields.items():
            key = field.alias or name
            if name in made.__dict__:
                inside[key] = (made.__dict__[name], getattr(whole, name))
            elif (*path, key) in view.finished:
                return False
        if made.model_fields_set != set(made.__dict__):
            return False
    else:
        keys = range(len(made)) if isinstance(made, list) else made
        inside = {key: (made[key], whole[key]) for key in keys}
    return all(
        is_known_of(one, other, args[key], (*path, key), view)
        for key, (one, other) in inside.items()
    )


@settings(max_examples=60)
@given(typed, st.data())
def test_what_every_view_promises(typed: tuple[type[BaseModel], Any], data: st.DataObject) -> None:
    model, value = typed
    written = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    pieces = cut(data, written)
    whole = model.model_validate(value)
    parser = PartialToolsParser([model])
    oracle = JSONStream()
    kept: list[tuple[ToolCallView, Any]] = []
    finished: dict[JSONPath, Any] = {}
    came = parser.transform(iter(message(pieces)))
    view: ToolCallView | None = None
    known: list[Any] = []
    for piece in pieces:
        oracle.feed(piece)
        known.append(oracle.snapshot())
    for view in came:
        assert view.error is None
        assert view.args in known
        assert is_growing_into(view.args, value)
        assert all(at(view.args, path) == before for path, before in finished.items())
        assert finished.keys() <= view.finished
        finished |= {path: copy.deepcopy(at(view.args, path)) for path in view.finished}
        assert is_known_of(view.model, whole, view.args, (), view)
        kept.append((view, copy.deepcopy((view.args, view.model, set(view.finished)))))
    assert view is not None
    assert view.tool_call is not None
    assert view.args == view.tool_call["args"] == value
    assert view.model == whole
    assert view.model.model_fields_set == whole.model_fields_set
    for view, before in reversed(kept):
        assert (view.args, view.model, set(view.finished)) == before
    again = list(parser.transform(iter(message(pieces))))
    for view, (_, before) in reversed(list(zip(again, kept, strict=True))):
        assert (view.args, view.model, set(view.finished)) == before


def places(value: Any, path: JSONPath = ()) -> list[JSONPath]:
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    return [path] * bool(path) + [
        place for key, one in inside for place in places(one, (*path, key))
    ]


# Of no type above: a string where an object or a number should be, an object where it should not.
WRONG: list[Any] = [{"no": ["such"]}, "\u2014", [[["x"]]], [{}], -0.5]


@settings(max_examples=80)
@given(typed, st.data())
def test_what_does_not_fit_is_refused_where_it_is_and_no_later(
    typed: tuple[type[BaseModel], Any], data: st.DataObject
) -> None:
    model, value = typed
    value = copy.deepcopy(value)
    all_places = places(value)
    if not all_places:
        return
    path = data.draw(st.sampled_from(all_places))
    at(value, path[:-1])[path[-1]] = data.draw(st.sampled_from(WRONG))
    fits = True
    try:
        model.model_validate(value)
    except ValueError:
        fits = False
    written = json.dumps(value)
    views = list(PartialToolsParser([model]).transform(iter(message(list(written)))))
    first = next((n for n, view in enumerate(views) if view.error is not None), None)
    if fits:
        assert first is None
        return
    assert first is not None
    error_path = views[first].error_path
    # The place itself, or inside of what was put there: a list of the wrong items.
    assert error_path is not None
    assert error_path[: len(path)] == path
    # At the moment that it is finished, or that the object is in which it is missing; of what is
    # in front of the tag that says what it must be, at the moment that the tag is finished.
    finished = views[first].finished
    place = error_path if error_path in finished else error_path[:-1]
    tags = {(*place[:length], "kind") for length in range(len(place))} & set(all_places)
    assert tags | {place} <= finished
    assert first == 0 or not tags | {place} <= views[first - 1].finished
