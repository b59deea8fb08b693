"""What is left of a constraint, behind the text that fulfils its beginning.

A grammar that is sent again starts anew, in the middle of what it should hold. Its rest can be
written as a structural tag: the end of the string that was cut, then the other properties.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Element = dict[str, Any]

_MAX_DEPTH = 32
_TELLING = 3
"""Characters of a marker that are taken for its beginning."""

_space = re.compile(r"[ \t\n\r]*").match
_escape = r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})'
_char = rf'([^"\\\x00-\x1f]|{_escape})'
_string = re.compile(rf"{_char}*").match
_number = re.compile(r"-?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]*)?").match
_HELD_BY_GRAMMAR_ALONE = (
    "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "uniqueItems", "contains", "prefixItems", "patternProperties", "propertyNames",
    "minProperties", "maxProperties", "not", "if", "dependentRequired", "unevaluatedProperties",
)  # fmt: skip
_FIRST = {
    "object": "{",
    "array": "[",
    "string": '"',
    "integer": "-0123456789",
    "number": "-0123456789",
    "boolean": "tf",
    "null": "n",
}


class JSONRest:
    """The rest of a JSON text of a schema.

    Args:
        schema: Of the whole text.
        text: The beginning.
        at: Where the JSON begins in it.
        excludes: What may stand in no string, as in structural tags.
        compact: Whether there is no space in it; `None` where only the text can tell.
    """

    def __init__(
        self,
        schema: Any,
        text: str,
        *,
        at: int = 0,
        excludes: Sequence[str] = (),
        compact: bool | None = None,
    ) -> None:
        """Read the text.

        Raises:
            ValueError: It is no beginning of the schema's, or what is left of it cannot be said.
        """
        self._root = schema if isinstance(schema, Mapping) else {}
        self._text = text
        self._excludes = list(excludes)
        self._colon, self._comma = (":", ",") if compact else (": ", ", ")
        self._compact = compact
        self.end, rest = self._value(self._root, at, 0)
        self.elements: list[Element] | None = rest
        """Of a `sequence`; `None` where the text is complete, and ends at `end`."""

    def _value(self, schema: Any, at: int, depth: int) -> tuple[int, list[Element] | None]:
        """Read a value: where it ends, or what is left of it."""
        if depth > _MAX_DEPTH:
            msg = "it is nested too deeply"
            raise ValueError(msg)
        at = self._skip(at)
        if at == len(self._text):
            return at, [*self._gap(), self._json(schema)]
        branches = [one for one in self._branches(schema, depth) if self._fits(one, at)]
        found: list[tuple[int, list[Element] | None]] = []
        for one in branches:
            try:
                found.append(self._typed(one, at, depth))
            except ValueError:
                if len(branches) == 1:
                    raise
        if not found:
            msg = f"its text does not fit the schema at character {at}"
            raise ValueError(msg)
        if all(rest is not None for _, rest in found):
            return len(self._text), _either([rest or [] for _, rest in found])
        complete = [one for one in found if one[1] is None]
        if len(complete) < len(found) or len({end for end, _ in complete}) > 1:
            msg = "its schema leaves more than one reading"
            raise ValueError(msg)
        return complete[0]

    def _branches(self, schema: Any, depth: int) -> list[Mapping[str, Any]]:
        """The schemas that a value may have, without references."""
        if depth > _MAX_DEPTH:
            msg = "its schema is nested too deeply"
            raise ValueError(msg)
        if not isinstance(schema, Mapping):
            return [{}]
        if isinstance(ref := schema.get("$ref"), str):
            return self._branches(self._resolved(ref), depth + 1)
        for name in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(name), list):
                return [one for option in options for one in self._branches(option, depth + 1)]
        if isinstance(parts := schema.get("allOf"), list):
            if len(parts) != 1:
                msg = "its schema has allOf"
                raise ValueError(msg)
            return self._branches(parts[0], depth + 1)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return [{**schema, "type": kind} for kind in kinds]
        return [schema]

    def _resolved(self, ref: str) -> Any:
        found: Any = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            if step and not (isinstance(found, Mapping) and step in found):
                msg = f"its schema refers to {ref[:60]!r}"
                raise ValueError(msg)
            found = found[step] if step else found
        return found

    def _fits(self, schema: Mapping[str, Any], at: int) -> bool:
        first = self._text[at]
        if "enum" in schema or "const" in schema:
            return any(text[0] == first for text in _literals(schema))
        return first in _FIRST.get(str(schema.get("type")), first)

    def _typed(
        self, schema: Mapping[str, Any], at: int, depth: int
    ) -> tuple[int, list[Element] | None]:
        if "enum" in schema or "const" in schema:
            return self._literal(_literals(schema), at)
        first = self._text[at]
        if first == "{":
            return self._object(schema, at, depth)
        if first == "[":
            return self._array(schema, at, depth)
        if first == '"':
            return self._quoted(schema, at)
        if first in "tfn":
            return self._literal(["true", "false", "null"], at)
        return self._digits(schema, at)

    def _literal(self, texts: list[str], at: int) -> tuple[int, list[Element] | None]:
        said = self._text[at:]
        rests = [text[len(said) :] for text in texts if text.startswith(said)]
        if rests:
            rests.sort(key=len)
            if rests[0]:
                return len(self._text), _either([[_const(rest)] for rest in rests])
            if len(rests) > 1:
                more = _either([[_const(rest)] for rest in rests[1:]])
                return len(self._text), [_optional(more)]
            return len(self._text), None
        whole = [text for text in texts if said.startswith(text)]
        if not whole:
            msg = f"its text does not fit the schema at character {at}"
            raise ValueError(msg)
        return at + max(map(len, whole)), None

    def _quoted(self, schema: Mapping[str, Any], at: int) -> tuple[int, list[Element] | None]:
        found = _string(self._text, at + 1)
        end = found.end() if found else at + 1
        if end < len(self._text) and self._text[end] == '"':
            return end + 1, None
        cut = self._text[end:]
        if cut and not re.fullmatch(r"\\(u[0-9a-fA-F]{0,3})?", cut):
            msg = f"its text is no JSON at character {end}"
            raise ValueError(msg)
        self._check(schema)
        count = len(re.findall(_char, self._text[at + 1 : end])) + bool(cut)
        least = max(0, schema.get("minLength", 0) - count)
        most = schema.get("maxLength")
        times = f"{{{least},{'' if most is None else max(0, most - count)}}}"
        rest = ""
        if cut == "\\":
            rest = r'(["\\/bfnrt]|u[0-9a-fA-F]{4})'
        elif cut:
            rest = f"[0-9a-fA-F]{{{6 - len(cut)}}}"
        return len(self._text), [_regex(f'{rest}{_char}{times}"')]

    def _digits(self, schema: Mapping[str, Any], at: int) -> tuple[int, list[Element] | None]:
        found = _number(self._text, at)
        if not found or not found[0]:
            msg = f"its text is no JSON at character {at}"
            raise ValueError(msg)
        if found.end() < len(self._text):
            return found.end(), None
        self._check(schema)
        whole, fraction, power = found.groups()
        behind = "" if schema.get("type") == "integer" else r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"
        if power is not None:
            need = "*" if power[-1].isdigit() else "+"
            sign = "[+-]?" if power[-1] in "eE" else ""
            return len(self._text), [_regex(f"{sign}[0-9]{need}", optional=need == "*")]
        if fraction is not None:
            need = "*" if fraction[-1].isdigit() else "+"
            rest = f"[0-9]{need}([eE][+-]?[0-9]+)?"
            return len(self._text), [_regex(rest, optional=need == "*")]
        if whole is None:
            return len(self._text), [_regex(f"(0|[1-9][0-9]*){behind}")]
        digits = "" if whole == "0" else "[0-9]*"
        if not digits + behind:
            return len(self._text), []
        return len(self._text), [_regex(digits + behind, optional=True)]

    # Objects.

    def _object(
        self, schema: Mapping[str, Any], at: int, depth: int
    ) -> tuple[int, list[Element] | None]:
        self._check(schema)
        if schema.get("additionalProperties") or "properties" not in schema:
            msg = "its schema allows properties that it does not name"
            raise ValueError(msg)
        names = [*schema["properties"]]
        place = 0
        at = self._skip(at + 1)
        first = True
        while True:
            if at == len(self._text):
                return at, [*self._gap(), *self._members(schema, names[place:], may_end=first)]
            if self._text[at] == "}":
                return at + 1, None
            key = _string(self._text, at + 1)
            end = key.end() if key and self._text[at] == '"' else at
            if end == len(self._text):
                said = self._text[at:]
                return end, self._members(schema, names[place:], may_end=False, said=said)
            name = json.loads(self._text[at : end + 1])
            if name not in names[place:]:
                msg = f"its text has the property {name[:60]!r}, which does not stand there"
                raise ValueError(msg)
            place = names.index(name) + 1
            at = self._skip(end + 1)
            if at == len(self._text):
                rest = self._after(schema, names[place:])
                return at, [_const(self._colon), self._json(schema["properties"][name]), *rest]
            start = self._skip(at + 1)
            self._colon = self._separator(at, start, self._colon)
            at, value = self._value(schema["properties"][name], start, depth + 1)
            if value is not None:
                return at, [*value, *self._after(schema, names[place:])]
            at = self._skip(at)
            if at == len(self._text):
                return at, self._after(schema, names[place:])
            if self._text[at] == ",":
                start = self._skip(at + 1)
                self._comma = self._separator(at, start, self._comma)
                at, first = start, False

    def _members(
        self, schema: Mapping[str, Any], names: list[str], *, may_end: bool, said: str = ""
    ) -> list[Element]:
        """What follows where a property begins, of whose name some characters may stand there."""
        options: list[list[Element]] = []
        for number, name in enumerate(names):
            key = json.dumps(name, ensure_ascii=False)
            if key.startswith(said):
                options.append(
                    [
                        _const(key[len(said) :] + self._colon),
                        self._json(schema["properties"][name]),
                        *self._after(schema, names[number + 1 :]),
                    ]
                )
            if name in schema.get("required", ()):
                may_end = False
                break
        if may_end:
            options.append([_const("}")])
        if not options:
            msg = "its text has a property that does not stand there"
            raise ValueError(msg)
        return _either(options)

    def _after(self, schema: Mapping[str, Any], names: list[str]) -> list[Element]:
        """What follows where a value has ended."""
        made: list[Element] = []
        for name in names:
            key = json.dumps(name, ensure_ascii=False)
            value = self._json(schema["properties"][name])
            member = [_const(self._comma + key + self._colon), value]
            made += member if name in schema.get("required", ()) else [_optional(member)]
        return [*made, _const("}")]

    # Arrays.

    def _array(
        self, schema: Mapping[str, Any], at: int, depth: int
    ) -> tuple[int, list[Element] | None]:
        self._check(schema)
        items = schema.get("items", {})
        count = 0
        at = self._skip(at + 1)
        while True:
            if at == len(self._text):
                first = [*self._gap(), self._json(items), *self._items(schema, count + 1)]
                if count or schema.get("minItems", 0):
                    return at, first
                return at, _either([first, [_const("]")]])
            if self._text[at] == "]":
                return at + 1, None
            at, value = self._value(items, at, depth + 1)
            count += 1
            if value is not None:
                return at, [*value, *self._items(schema, count)]
            at = self._skip(at)
            if at == len(self._text):
                return at, self._items(schema, count)
            if self._text[at] == ",":
                start = self._skip(at + 1)
                self._comma = self._separator(at, start, self._comma)
                at = start

    def _items(self, schema: Mapping[str, Any], count: int) -> list[Element]:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if most is not None and most <= count:
            return [_const("]")]
        item = _sequence([_const(self._comma), self._json(schema.get("items", {}))])
        more = {
            "type": "repeat",
            "min": max(0, least - count),
            "max": -1 if most is None else most - count,
            "content": item,
        }
        return [more, _const("]")]

    # Pieces.

    def _check(self, schema: Mapping[str, Any]) -> None:
        if held := [name for name in _HELD_BY_GRAMMAR_ALONE if schema.get(name)]:
            msg = f"its schema has {held[0]} where the answer broke off"
            raise ValueError(msg)

    def _separator(self, at: int, start: int, known: str) -> str:
        """A colon or comma with the space behind it, which tells how the others are written."""
        if start == len(self._text):
            return known
        if self._compact is None:
            self._compact = start == at + 1
            self._colon, self._comma = (":", ",") if self._compact else (": ", ", ")
        return self._text[at:start]

    def _gap(self) -> list[Element]:
        """The space that may follow where the text ends right behind a colon or a comma."""
        if self._compact:
            return []
        return [_optional([_const(" ")])] if self._text[-1:] in (":", ",") else []

    def _skip(self, at: int) -> int:
        found = _space(self._text, at)
        return found.end() if found else at

    def _json(self, schema: Any) -> Element:
        definitions = {
            name: self._root[name] for name in ("$defs", "definitions") if name in self._root
        }
        made = {**definitions, **schema} if isinstance(schema, Mapping) else schema
        element = {"type": "json_schema", "json_schema": made, "max_whitespace_cnt": 1}
        return {**element, "excludes": self._excludes} if self._excludes else element


def _literals(schema: Mapping[str, Any]) -> list[str]:
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    return [json.dumps(value, ensure_ascii=False) for value in values]


def _const(text: str) -> Element:
    return {"type": "const_string", "value": text}


def _regex(pattern: str, *, optional: bool = False) -> Element:
    element = {"type": "regex", "pattern": pattern}
    return {"type": "optional", "content": element} if optional else element


def _optional(elements: list[Element]) -> Element:
    return {"type": "optional", "content": _sequence(elements)}


def _sequence(elements: list[Element]) -> Element:
    return elements[0] if len(elements) == 1 else {"type": "sequence", "elements": elements}


def _either(options: list[list[Element]]) -> list[Element]:
    options = [one for number, one in enumerate(options) if one not in options[:number]]
    if len(options) == 1:
        return options[0]
    return [{"type": "or", "elements": [_sequence(one) for one in options]}]


def rest_of_json(schema: Any, text: str, *, compact: bool | None = None) -> Element:
    """Write the structural tag for the rest of a JSON text.

    Args:
        schema: Of the whole text.
        text: The beginning, possibly with white space before it.
        compact: As for `JSONRest`.

    Raises:
        ValueError: It cannot be said; the message has why.

    Example:
        ```python
        from langchain_toolstream.core.markup.rest import rest_of_json

        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        string, end = rest_of_json(schema, '{"city": "Par')["format"]["elements"]
        assert (string["type"], end["value"]) == ("regex", "}")
        ```
    """
    rest = JSONRest(schema, text, compact=compact)
    if rest.elements is None:
        return _tag([_regex(r"\s", optional=True)])
    return _tag(rest.elements)


def rest_of_choice(choices: Sequence[str], text: str) -> Element:
    """Write the structural tag for the rest of one of some texts.

    Args:
        choices: The texts.
        text: The beginning of one.

    Raises:
        ValueError: It is the beginning of none.
    """
    rests = sorted({one[len(text) :] for one in choices if one.startswith(text)})
    if not rests:
        msg = "its text is the beginning of no choice"
        raise ValueError(msg)
    more = _either([[_const(rest)] for rest in rests if rest] or [[_regex(r"\s")]])
    return _tag([_optional(more)] if rests[0] == "" else more)


def rest_of_tag(tag: Mapping[str, Any], text: str) -> Element:
    """Write the rest of a structural tag of `core.markup.tags`.

    Args:
        tag: The tag.
        text: What was written under it.

    Raises:
        ValueError: It cannot be said; the message has why.
    """
    format: Any = tag["format"]  # noqa: A001 - the field's name
    if format.get("type") == "sequence":
        thoughts, format = format["elements"]  # noqa: A001
        before, end, text = text.partition(thoughts["end"])
        if not end:
            return _rest_of_thoughts(tag, before)
    if format.get("type") != "triggered_tags":
        msg = f"it is held to a tag of type {format.get('type')!r}"
        raise ValueError(msg)
    (trigger,) = format["triggers"]
    calls, at = 0, 0
    while (start := text.find(trigger, at)) >= 0:
        rest, at = _rest_of_call(format, text, start)
        if rest is not None:
            return _tag(rest)
        calls += 1
    if calls and format["stop_after_first"]:
        return _tag([_regex(r"\s", optional=True)])
    begun = _begun(trigger, text)
    if begun >= _TELLING or (begun and format["at_least_one"]):
        return _tag(_rest_of_call(format, text, len(text) - begun)[0] or [])
    if begun:
        msg = "it broke off where a call may begin"
        raise ValueError(msg)
    return _tag([{**format, "at_least_one": format["at_least_one"] and not calls}])


def _rest_of_thoughts(tag: Mapping[str, Any], text: str) -> Element:
    """What is left where the text may stop inside the end of the thoughts."""
    thoughts, free = tag["format"]["elements"]
    begun = _begun(thoughts["end"], text)
    if begun >= _TELLING:
        return _tag([_const(thoughts["end"][begun:]), free])
    if begun:
        msg = "it broke off where the thoughts may end"
        raise ValueError(msg)
    return dict(tag)


def _begun(marker: str, text: str) -> int:
    """How many characters of a marker stand at the end of a text."""
    return next((n for n in range(len(marker) - 1, 0, -1) if text.endswith(marker[:n])), 0)


def _rest_of_call(
    format: Mapping[str, Any],  # noqa: A002
    text: str,
    start: int,
) -> tuple[list[Element] | None, int]:
    """What is left of a call and behind it, or `None` and where it ends."""
    free = [] if format["stop_after_first"] else [{**format, "at_least_one": False}]
    said = text[start:]
    options: list[list[Element]] = []
    for one in format["tags"]:
        end = [_const(one["end"])] if one["end"] else []
        if one["begin"].startswith(said):
            begin = one["begin"][len(said) :]
            options.append([*([_const(begin)] if begin else []), one["content"], *end, *free])
        elif said.startswith(one["begin"]):
            content = one["content"]
            if content.get("type") != "json_schema" or content.get("style", "json") != "json":
                kind = content.get("style") or content["type"]
                msg = f"its arguments are not JSON ({kind})"
                if kind == "tags_with_separator":
                    msg = "the rest of a list of calls cannot be written as a constraint"
                raise ValueError(msg)
            rest = JSONRest(
                content["json_schema"],
                text,
                at=start + len(one["begin"]),
                excludes=content.get("excludes", ()),
            )
            if rest.elements is not None:
                options.append([*rest.elements, *end, *free])
                continue
            behind = text[rest.end :]
            if not one["end"].startswith(behind) or one["end"] == behind:
                return None, rest.end + len(one["end"])
            options.append([_const(one["end"][len(behind) :]), *free])
    if not options:
        msg = "its text does not fit the tag"
        raise ValueError(msg)
    return _either(options), len(text)


def _tag(elements: list[Element]) -> Element:
    return {"type": "structural_tag", "format": _sequence(elements)}
