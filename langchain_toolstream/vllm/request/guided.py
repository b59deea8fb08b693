"""The `guided_*` fields of older vLLM, which 0.32 ignores without a word."""

import warnings
from collections.abc import Mapping
from typing import Any

from langchain_toolstream.vllm.request.fields import StructuredOutputs

_NOW = {
    "guided_json": "json",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
}
_WHITESPACE, _BACKEND = "guided_whitespace_pattern", "guided_decoding_backend"
GUIDED = frozenset({*_NOW, _WHITESPACE, _BACKEND})


def translate_guided(given: Mapping[str, Any]) -> dict[str, Any]:
    """Put `structured_outputs` in the place of `guided_*`, with one warning.

    Args:
        given: Fields of a request by name, all from one place.

    Returns:
        The fields without `guided_*`.

    Raises:
        ValueError: There are two constraints, both `guided_*` or one beside `structured_outputs`.
    """
    guided = {name: given[name] for name in given if name in GUIDED and given[name] is not None}
    others = {name: value for name, value in given.items() if name not in GUIDED}
    if not guided:
        return others
    constraints = [name for name in _NOW if name in guided]
    meant = [name for name in guided if name != _BACKEND]
    if meant and others.get("structured_outputs") is not None:
        msg = f"{' and '.join(meant)} cannot stand beside structured_outputs: put all into that."
        raise ValueError(msg)
    if len(constraints) > 1:
        msg = f"{' and '.join(constraints)} cannot be combined: an answer has one constraint."
        raise ValueError(msg)
    advice = "drop it"
    if constraints:
        options = {_NOW[name]: guided[name] for name in constraints}
        if _WHITESPACE in guided:
            options["whitespace_pattern"] = guided[_WHITESPACE]
        others["structured_outputs"] = StructuredOutputs(**options)
        written = ", ".join(f"{name}=..." for name in options)
        advice = f"write structured_outputs=StructuredOutputs({written})"
    warnings.warn(
        f"vLLM ignores {', '.join(sorted(guided))} (0.32 answers without the constraint): "
        f"{advice}. This request has been translated so.",
        stacklevel=2,
    )
    return others


def without_guided(values: dict[str, Any]) -> dict[str, Any]:
    """Put `structured_outputs` in the place of `guided_*` in a model's arguments.

    Args:
        values: The arguments by name; `extra_body` and `model_kwargs` are looked through.

    Raises:
        ValueError: As for `translate_guided`.
    """
    values = dict(values)
    found: dict[str, Any] = {}
    for place in ("extra_body", "model_kwargs"):
        if isinstance(holder := values.get(place), Mapping) and GUIDED & holder.keys():
            found |= {name: holder[name] for name in holder if name in GUIDED}
            if "structured_outputs" in holder:
                found["structured_outputs"] = holder["structured_outputs"]
            values[place] = {name: holder[name] for name in holder if name not in GUIDED}
    found |= {name: values.pop(name) for name in GUIDED & values.keys()}
    if found and values.get("structured_outputs") is not None:
        found["structured_outputs"] = values["structured_outputs"]
    return {**values, **translate_guided(found)} if found else values
