"""What does not fit a tool, and where, in words."""

from typing import Any

from pydantic import ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from langchain_toolstream.core.errors import JSONPath, format_path, printable

Refused = ValidationError | ValidationErrorV1

_MAX_PROBLEMS = 3
_MAX_SHOWN = 60
MAX_TOLD = 300


def describe(error: Refused, value: Any, *, at: JSONPath = ()) -> str:
    """Say what does not fit, and where.

    Args:
        error: What validation raised.
        value: The value that it was about.
        at: The place of that value.
    """
    problems = _problems(error, value)
    told = []
    for problem in problems[:_MAX_PROBLEMS]:
        place = format_path((*at, *_place(problem, value)))
        told_by_itself = problem["type"] in ("missing", "union_tag_invalid")
        got = "" if told_by_itself else f", got {shown(problem['input'])}"
        told.append(f"{printable(problem['msg'], MAX_TOLD)} at {place}{got}")
    if len(problems) > _MAX_PROBLEMS:
        told.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return "; ".join(told)


def first_place(error: Refused, value: Any, *, at: JSONPath = ()) -> JSONPath:
    """Find the place of the first thing that does not fit.

    Args:
        error: As for `describe`.
        value: Likewise.
        at: Likewise.
    """
    return (*at, *_place(_problems(error, value)[0], value))


def _problems(error: Refused, value: Any) -> list[dict[str, Any]]:
    """What is wrong, in the form that pydantic tells it since its version 2."""
    if isinstance(error, ValidationError):
        return [{**problem} for problem in error.errors(include_url=False)]
    problems = []
    for old in error.errors():
        kind = "missing" if old["type"] == "value_error.missing" else old["type"]
        problem = {**old, "type": kind, "msg": old["msg"][:1].upper() + old["msg"][1:]}
        inner: Any = value
        for step in () if kind == "missing" else _place(problem, value):
            inner = inner[step]
        problems.append({**problem, "input": inner})
    return problems


def _place(problem: dict[str, Any], args: Any) -> JSONPath:
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


def shown(value: Any, length: int = _MAX_SHOWN) -> str:
    """The beginning of a value's `repr`: a model may have written a long one.

    Args:
        value: The value.
        length: How much of it.
    """
    return _cut(repr(value), length)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
