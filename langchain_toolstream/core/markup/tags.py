"""Structural tags: what a server's grammar holds a model's calls to, in the formats of the table.

A tag says how a call of each tool begins and ends, and holds what is between to the tool's schema.
Two of its fields are not for choice. Without `max_whitespace_cnt` a model may write white space
until `max_tokens` ends it; without `excludes` it may write its own markers into a value. What no
tag can hold is `max_tokens` itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_toolstream.core.markup.formats import FORMATS, THINK, check_format


@dataclass(frozen=True, slots=True)
class Tag:
    """How the calls of a format are written.

    Attributes:
        begin: What stands before the arguments; `NAME` stands for the tool's name, and `INDEX` for
            a number that the model counts up.
        end: What stands behind them.
        excludes: What may stand in no value: the format's markers.
        style: How the arguments are written.
        section: What stands before the first call, between two, and behind the last one.
        trigger: What the model writes where a call begins, and only there.
    """

    begin: str
    end: str
    excludes: tuple[str, ...]
    style: str = "json"
    section: tuple[str, str, str] | None = None
    trigger: str | None = None


def _object(before: str, behind: str, key: str = "arguments") -> Tag:
    return Tag(
        begin=f'{before}{{"name": NAME, "{key}": ',
        end=f"}}{behind}",
        excludes=tuple(one.strip() for one in (before, behind) if one.strip()),
        trigger=before.strip(),
    )


def _list(before: str, behind: str) -> Tag:
    return Tag(
        begin='{"name": NAME, "arguments": ',
        end="}",
        excludes=tuple(one for one in (before, behind) if one),
        section=(f"{before}[", ", ", f"]{behind}"),
        trigger=before,
    )


def _functions(marker: str) -> Tag:
    return Tag(
        begin=f"<{marker}>\n<function=NAME>\n",
        end=f"\n</function>\n</{marker}>",
        excludes=(f"<{marker}>", f"</{marker}>"),
        style="qwen_xml",
        trigger=f"<{marker}>\n<function=",
    )


def _dsml(section: str, space: str = "", style: str = "deepseek_xml") -> Tag:
    opening, closing = f"<｜DSML｜{space}{section}>", f"</｜DSML｜{space}{section}>"
    return Tag(
        begin=f'<｜DSML｜{space}invoke name="NAME">\n',
        end=f"</｜DSML｜{space}invoke>",
        excludes=(opening, closing),
        style=style,
        section=(f"{opening}\n", "\n", f"\n{closing}"),
        trigger=opening,
    )


_HERMES = _object("<tool_call>\n", "\n</tool_call>")
_QWEN = _functions("tool_call")
_V3_MARKERS = tuple(
    f"<｜tool▁{one}｜>" for one in ("calls▁begin", "calls▁end", "call▁begin", "call▁end", "sep")
)
_GLM = Tag(
    begin="<tool_call>NAME",
    end="</tool_call>",
    excludes=("<tool_call>", "</tool_call>"),
    style="glm_xml",
)

TAGS: Final[dict[str, Tag]] = {
    "deepseek_v3": Tag(
        begin="<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n",
        end="\n```<｜tool▁call▁end｜>",
        excludes=_V3_MARKERS,
        section=("<｜tool▁calls▁begin｜>", "\n", "<｜tool▁calls▁end｜>"),
    ),
    "deepseek_v31": Tag(
        begin="<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>",
        end="<｜tool▁call▁end｜>",
        excludes=_V3_MARKERS,
        section=("<｜tool▁calls▁begin｜>", "", "<｜tool▁calls▁end｜>"),
    ),
    "deepseek_v32": _dsml("function_calls"),
    "deepseek_v4": _dsml("tool_calls"),
    "deepseek_v41": _dsml("calls", " ", "deepseek_v4_1_xml"),
    "ernie45": _HERMES,
    "glm47": _GLM,
    "granite": _list("<|tool_call|>", ""),
    "granite-20b-fc": _object("<function_call> ", ""),
    "granite4": _HERMES,
    "hermes": _HERMES,
    "hunyuan_a13b": _list("<tool_calls>", "</tool_calls>"),
    "inkling": _object("<|content_invoke_tool_json|>", "<|end_message|>", "args"),
    "internlm": _object("<|action_start|><|plugin|>", "<|action_end|>", "parameters"),
    "jamba": _list("<tool_calls>", "</tool_calls>"),
    "kimi_k2": Tag(
        begin="<|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>",
        end="<|tool_call_end|>",
        excludes=("<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>"),
        section=("<|tool_calls_section_begin|>", "", "<|tool_calls_section_end|>"),
    ),
    "kimi_k3": Tag(
        begin='<|open|>call tool="NAME" index="INDEX"<|sep|>',
        end="<|close|>call<|sep|>",
        excludes=("<|open|>", "<|close|>", "<|sep|>"),
        style="kimi_k3_xml",
        section=("<|open|>tools<|sep|>", "", "<|close|>tools<|sep|>"),
    ),
    "ling3": _GLM,
    "longcat": _object("<longcat_tool_call>\n", "\n</longcat_tool_call>"),
    "minimax_m2": Tag(
        begin='<invoke name="NAME">\n',
        end="</invoke>\n",
        excludes=("<minimax:tool_call>", "</minimax:tool_call>"),
        style="minimax_xml",
        section=("<minimax:tool_call>\n", "", "</minimax:tool_call>"),
        trigger="<minimax:tool_call>",
    ),
    "mistral": Tag(
        begin="[TOOL_CALLS]NAME[ARGS]", end="", excludes=("[TOOL_CALLS]",), trigger="[TOOL_CALLS]"
    ),
    "phi4_mini_json": _list("functools", ""),
    "qwen3_coder": _QWEN,
    "seed_oss": _functions("seed:tool_call"),
    "step3p5": _QWEN,
    "step5": _QWEN,
}
"""The formats that have a tag."""


def thoughts_end(name: str) -> str:
    """Say what ends the thoughts of a model that writes a format.

    Args:
        name: The name of the format.
    """
    row = FORMATS.get(name)
    return (row.thoughts[0] if row else THINK).ends[0]


def style_of(name: str) -> str:
    """Say how the structural tag of a format writes arguments: `json`, or a style of tags.

    Args:
        name: The name of the format; one without a tag counts as `json`.
    """
    tag = TAGS.get(name)
    return "json" if tag is None else tag.style


def structural_tag(
    name: str,
    tools: Sequence[Mapping[str, Any]],
    *,
    at_least_one: bool = False,
    stop_after_first: bool = False,
    thoughts_end: str | None = None,
) -> dict[str, Any]:
    """Write the structural tag of some tools.

    Args:
        name: The name of the format.
        tools: The tools, as a request names them: `{"type": "function", "function": {...}}`.
        at_least_one: Whether there has to be a call. There is no text then.
        stop_after_first: Whether the answer ends behind the first call.
        thoughts_end: What ends the model's thoughts, where they come first and the server does not
            know: it would hold the model to a call from its first token on.

    Returns:
        The tag, for `structured_outputs={"structural_tag": json.dumps(tag)}` or as
        `response_format`.

    Raises:
        ValueError: There is no such format, or no structural tag can say how it writes calls.

    Example:
        ```python
        from langchain_toolstream.core.markup.tags import structural_tag

        tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
        (tag,) = structural_tag("hermes", [tool])["format"]["tags"]
        assert tag["begin"].endswith('{"name": "now", "arguments": ')
        ```
    """
    tag = TAGS.get(check_format(name))
    if tag is None:
        msg = (
            f"strict=True cannot hold calls in the format {name!r} to their schemas: no structural "
            f"tag says how it writes them. Formats that can: {', '.join(TAGS)}."
        )
        raise ValueError(msg)
    calls = [_call(tag, tool["function"]) for tool in tools]
    trigger = tag.trigger or (tag.section[0] if tag.section else tag.begin.partition("NAME")[0])
    choice = {"at_least_one": at_least_one, "stop_after_first": stop_after_first}
    if tag.section is not None:
        before, between, behind = tag.section
        inside = {
            "type": "tags_with_separator",
            "tags": calls,
            "separator": between,
            "at_least_one": True,
            "stop_after_first": stop_after_first,
        }
        calls = [{"type": "tag", "begin": before, "content": inside, "end": behind}]
    format: dict[str, Any] = {  # noqa: A001 - the field's name
        "type": "triggered_tags",
        "triggers": [trigger],
        "tags": calls,
        **choice,
    }
    if thoughts_end is not None:
        thoughts = {
            "type": "tag",
            "begin": "",
            "content": {"type": "any_text"},
            "end": f"{thoughts_end}\n\n",
        }
        format = {"type": "sequence", "elements": [thoughts, format]}  # noqa: A001
    return {"type": "structural_tag", "format": format}


def _call(tag: Tag, function: Mapping[str, Any]) -> dict[str, Any]:
    name = function["name"]
    quoted = json.dumps(name) if '"name": NAME' in tag.begin else name
    content: dict[str, Any] = {
        "type": "json_schema",
        "json_schema": function.get("parameters") or {"type": "object", "properties": {}},
        "max_whitespace_cnt": 1,
        "excludes": list(tag.excludes),
    }
    if tag.style != "json":
        content["style"] = tag.style
    begin = tag.begin.replace("NAME", quoted)
    begin, counted, behind = begin.partition("INDEX")
    if counted:
        parts = [{"type": "regex", "pattern": r"\d+"}, {"type": "const_string", "value": behind}]
        content = {"type": "sequence", "elements": [*parts, content]}
    return {"type": "tag", "begin": begin, "content": content, "end": tag.end}
