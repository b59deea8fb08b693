"""The table of formats: how models write calls, under the names of vLLM's `--tool-call-parser`.

A row says what opens a call (`Opening`: its marker, and the machine that reads on behind it), what
stands around calls, and what the model's thoughts stand in. To add a format, add a row here and its
texts to the tests.
"""

from dataclasses import dataclass
from typing import Any, Final

from langchain_toolstream.core.markup.machines import (
    Machine,
    dsml,
    elements,
    functions,
    headed,
    invokes,
    k2_object,
    named_object_list,
    object_list,
    object_row,
    one_object,
    pairs,
    python_call_lines,
    python_calls,
    quoted,
    tags,
)
from langchain_toolstream.core.markup.tagged import Tags


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a call, or a list of calls.

    Attributes:
        marker: The pattern of its marker, and of as much behind it as tells a call from prose.
        machine: What reads on.
        ends: What stands behind the call: one of these patterns, if there are any.
        section: Whether it opens a section of calls, whose end is in `Format.section_ends`.
        inside: Whether it counts inside such a section only.
        alone: Whether it counts only where the whole text is nothing but calls.
    """

    marker: str
    machine: Machine
    ends: tuple[str, ...] = ()
    section: bool = False
    inside: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Thoughts:
    """What a model's thoughts stand in.

    Attributes:
        opening: The tag before them.
        ends: The tags behind them; the first is the usual one.
    """

    opening: str
    ends: tuple[str, ...]


THINK: Final = Thoughts("<think>", ("</think>",))


@dataclass(frozen=True, slots=True)
class Format:
    """How a family of models writes.

    Attributes:
        name: The name that vLLM's `--tool-call-parser` takes.
        openings: What opens a call.
        thoughts: What thoughts stand in. They begin where the text begins, or behind a header.
        headers: What may stand where the text begins, or behind a frame, and is no text.
        frames: What is no text wherever it stands.
        section_ends: What ends a section of calls.
        answer: Tags around the text of an answer.
    """

    name: str
    openings: tuple[Opening, ...]
    thoughts: tuple[Thoughts, ...] = (THINK,)
    headers: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    section_ends: tuple[str, ...] = ()
    answer: tuple[str, str] | None = None


# Formats whose rows are alike.


def _object_in_tags(name: str, opening: str, end: str) -> Format:
    return Format(name, (Opening(f"{opening}~^{{", one_object, ends=(end,)),))


def _function_in_tags(
    name: str, opening: str, end: str, *, newline: bool, thoughts: Thoughts = THINK
) -> Format:
    machine = functions(newline=newline)
    return Format(
        name,
        (
            Opening(f"{opening}~^<function=", machine, ends=(end,)),
            # Models forget the outer tag.
            Opening("^<function={name}>~<parameter=", machine),
            Opening("^<function={name}>~</function>", machine),
        ),
        thoughts=(thoughts,),
    )


def _dsml_format(name: str, section: str, space: str = "") -> Format:
    return Format(
        name,
        (
            Opening(
                f"<｜DSML｜{space}{section}>~^<｜DSML｜{space}invoke", dsml(space), section=True
            ),
            Opening(f"^<｜DSML｜{space}invoke", dsml(space), inside=True),
        ),
        section_ends=(f"</｜DSML｜{space}{section}>",),
    )


def _glm(name: str) -> Format:
    machine = pairs("{word}", "^</tool_call>")
    ends = ("</tool_call>",)
    return Format(
        name,
        tuple(
            Opening(f"<tool_call>{before}{behind}", machine, ends=ends)
            for before in ("^{word}~", "~^{function}~")
            for behind in ("<arg_key>", "</tool_call>")
        ),
    )


def _sectioned(  # noqa: PLR0913 - what a row says
    name: str,
    section: tuple[str, str],
    call: str,
    machine: Machine,
    *,
    ends: tuple[str, ...] = (),
    thoughts: Thoughts = THINK,
) -> Format:
    opening, section_end = section
    return Format(
        name,
        (
            Opening(f"{opening}~^{call}", machine, ends=ends, section=True),
            Opening(f"^{call}", machine, ends=ends, inside=True),
        ),
        thoughts=(thoughts,),
        section_ends=(section_end,),
    )


_PYTHON_ALONE = (
    Opening("^[~{function}(~)", python_calls, alone=True),
    Opening("^[~{function}(~{argument}~=", python_calls, alone=True),
)
_K2 = headed("<|tool_call_begin|>~{id}~<|tool_call_argument_begin|>")
_DEEPSEEK = headed(
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json",
    "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
)
_DEEPSEEK_ENDS = ("```~<｜tool▁call▁end｜>", "<｜tool▁call▁end｜>")
_MISTRAL = headed("{word}[CALL_ID]{id}[ARGS]", "{word}[ARGS]", "{word}^{")
_M3 = "]<]minimax[>["

_ROWS = (
    Format(
        "apertus",
        (Opening("<|tools_prefix|>~^[", named_object_list, ends=("<|tools_suffix|>",)),),
        thoughts=(Thoughts("<|inner_prefix|>", ("<|inner_suffix|>",)),),
    ),
    _sectioned(
        "deepseek_v3",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
        "<｜tool▁call▁begin｜>",
        _DEEPSEEK,
        ends=_DEEPSEEK_ENDS,
    ),
    _sectioned(
        "deepseek_v31",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
        "<｜tool▁call▁begin｜>",
        _DEEPSEEK,
        ends=_DEEPSEEK_ENDS,
    ),
    _dsml_format("deepseek_v32", "function_calls"),
    _dsml_format("deepseek_v4", "tool_calls"),
    _dsml_format("deepseek_v41", "calls", " "),
    _sectioned(
        "dots", ("<dots_function_call>", "</dots_function_call>"), "<invoke name=", invokes()
    ),
    Format(
        "ernie45",
        (Opening("<tool_call>~^{", one_object, ends=("</tool_call>",)),),
        answer=("<response>", "</response>"),
    ),
    Format(
        "functiongemma",
        (
            Opening(
                "<start_function_call>~^call:",
                quoted("<escape>", exact=False),
                ends=("<end_function_call>",),
            ),
        ),
    ),
    Format(
        "gemma4",
        (Opening("<|tool_call>~^call:", quoted('<|"|>', exact=True), ends=("<tool_call|>",)),),
        thoughts=(Thoughts("<|channel>thought", ("<channel|>",)),),
    ),
    Format(
        "gigachat3",
        (
            Opening("<|function_call|>~^{", one_object),
            Opening("function call<|role_sep|>~^{", one_object),
        ),
        frames=("<|message_sep|>",),
    ),
    _glm("glm47"),
    Format(
        "granite",
        (Opening("<|tool_call|>~^[", object_list), Opening("<tool_call>~^[", object_list)),
    ),
    Format("granite-20b-fc", (Opening("<function_call>~^{", one_object),)),
    _object_in_tags("granite4", "<tool_call>", "</tool_call>"),
    _object_in_tags("hermes", "<tool_call>", "</tool_call>"),
    Format(
        "hunyuan_a13b",
        (Opening("<tool_calls>~^[", object_list, ends=("</tool_calls>",)),),
        answer=("<answer>", "</answer>"),
    ),
    *(
        _sectioned(
            name,
            ("<tool_calls{suffix}>", "</tool_calls{suffix}>"),
            "<tool_call{suffix}>",
            pairs(
                (
                    "<tool_call{suffix}>~{name}<tool_sep{suffix}>",
                    "<tool_call{suffix}>~{name}^<",
                ),
                "</tool_call{suffix}>",
                suffix="{suffix}",
            ),
        )
        for name in ("hy_v3", "hy_v4")
    ),
    Format(
        "inkling",
        (Opening("<|content_invoke_tool_json|>~^{", one_object, ends=("<|end_message|>",)),),
        thoughts=(Thoughts("<|content_thinking|>", ("<|end_message|>",)),),
        headers=("{function}^<|content_",),
        frames=(
            "<|message_model|>",
            "<|content_text|>",
            "<|end_message|>",
            "<|content_model_end_sampling|>",
        ),
    ),
    Format(
        "internlm",
        (Opening("<|action_start|>~<|plugin|>~^{", one_object, ends=("<|action_end|>",)),),
    ),
    Format("jamba", (Opening("<tool_calls>~^[", object_list, ends=("</tool_calls>",)),)),
    Format(
        "k2_horizon",
        (
            *(
                Opening(
                    f"{before}^<ifm|tool_call>~{{",
                    k2_object,
                    ends=("</ifm|tool_call>",),
                    section=bool(before),
                    inside=not before,
                )
                for before in ("<ifm|tool_calls>~", "")
            ),
            *(
                Opening(
                    f"{before}^<ifm|tool_call>",
                    pairs("<ifm|tool_call>~{name}^<", "</ifm|tool_call>", "ifm|arg"),
                    section=bool(before),
                    inside=not before,
                )
                for before in ("<ifm|tool_calls>~", "")
            ),
        ),
        thoughts=(Thoughts("<ifm|think>", ("</ifm|think>",)),),
        section_ends=("</ifm|tool_calls>",),
    ),
    _sectioned(
        "kimi_k2",
        ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
        "<|tool_call_begin|>",
        _K2,
        ends=("<|tool_call_end|>",),
    ),
    Format(
        "kimi_k3",
        tuple(
            Opening(
                f"{before}^<|open|>call ",
                tags(
                    Tags(
                        name=("<|open|>call {attributes}<|sep|>",),
                        parameter=("<|open|>argument {attributes}<|sep|>",),
                        value_end="<|close|>argument<|sep|>",
                        end="<|close|>call<|sep|>",
                    )
                ),
                section=bool(before),
                inside=not before,
            )
            for before in ("<|open|>tools<|sep|>~", "")
        ),
        thoughts=(Thoughts("<|open|>think<|sep|>", ("<|close|>think<|sep|>",)),),
        frames=(
            "<|open|>response<|sep|>",
            "<|close|>response<|sep|>",
            "<|close|>message<|sep|>",
        ),
        section_ends=("<|close|>tools<|sep|>",),
    ),
    Format("lfm2", (Opening("<|tool_call_start|>~^[", python_calls, ends=("<|tool_call_end|>",)),)),
    _glm("ling3"),
    Format(
        "llama3_json",
        (
            Opening("<|python_tag|>~^{", object_row),
            *(
                Opening(f'^{{~{kind}"name"~:~"{{quoted}}"~,~"{key}"~:', object_row, alone=True)
                for kind in ("", '"type"~:~"function"~,~')
                for key in ("parameters", "arguments")
            ),
        ),
    ),
    Format(
        "llama4_pythonic",
        (
            Opening("<|python_start|>~^[", python_calls, ends=("<|python_end|>",)),
            *_PYTHON_ALONE,
        ),
    ),
    _object_in_tags("longcat", "<longcat_tool_call>", "</longcat_tool_call>"),
    _function_in_tags("mimo", "<tool_call>", "</tool_call>", newline=False),
    Format(
        "minicpm5",
        (
            Opening(
                '^<function name="',
                tags(
                    Tags(
                        name=('<function name="{name}">',),
                        parameter=('<param name="{key}">',),
                        value_end="</param>",
                        end="</function>",
                        cdata=True,
                    )
                ),
            ),
        ),
    ),
    _sectioned(
        "minimax_m2", ("<minimax:tool_call>", "</minimax:tool_call>"), "<invoke name=", invokes()
    ),
    _sectioned(
        "minimax_m3",
        (f"{_M3}<tool_call>", f"{_M3}</tool_call>"),
        f"{_M3}<invoke name=",
        elements(_M3),
        thoughts=Thoughts("<mm:think>", ("</mm:think>",)),
    ),
    Format(
        "mistral",
        (
            Opening("[TOOL_CALLS]~^[~{", object_list),
            Opening("[TOOL_CALLS]~^{", one_object),
            *(
                Opening(f"[TOOL_CALLS]^{{word}}{behind}", _MISTRAL)
                for behind in ("[ARGS]", "[CALL_ID]", "{")
            ),
        ),
        thoughts=(Thoughts("[THINK]", ("[/THINK]",)),),
    ),
    Format(
        "muse",
        (
            Opening("<atem:function_calls>~^<atem:invoke", invokes("atem:"), section=True),
            Opening("^<atem:invoke", invokes("atem:"), inside=True),
        ),
        thoughts=(Thoughts("to=self<|message|>", ("<|eom|>", "<|eot|>")),),
        headers=("to={id}<|message|>", "<|message|>"),
        frames=("<|start|>assistant", "<|eom|>", "<|eot|>"),
        section_ends=("</atem:function_calls>",),
    ),
    Format(
        "olmo3",
        (Opening("<function_calls>~^{function}(", python_call_lines, ends=("</function_calls>",)),),
    ),
    Format(
        "phi4_mini_json",
        (Opening("functools^[~{", object_list), Opening("functools^[~]", object_list)),
    ),
    _glm("poolside_v1"),
    Format("pythonic", _PYTHON_ALONE),
    _function_in_tags("qwen3_coder", "<tool_call>", "</tool_call>", newline=True),
    _function_in_tags(
        "seed_oss",
        "<seed:tool_call>",
        "</seed:tool_call>",
        newline=True,
        thoughts=Thoughts("<seed:think>", ("</seed:think>",)),
    ),
    _sectioned(
        "step3",
        ("<｜tool_calls_begin｜>", "<｜tool_calls_end｜>"),
        "<｜tool_call_begin｜>",
        invokes("steptml:", "<｜tool_call_begin｜>function<｜tool_sep｜>~"),
        ends=("<｜tool_call_end｜>",),
    ),
    _function_in_tags("step3p5", "<tool_call>", "</tool_call>", newline=True),
    _function_in_tags("step5", "<tool_call>", "</tool_call>", newline=True),
    Format(
        "xlam",
        tuple(
            Opening(f'^[~{{~"name"~:~"{{quoted}}"~,~"{key}"~:', object_list, alone=True)
            for key in ("arguments", "parameters")
        ),
    ),
)

FORMATS: Final[dict[str, Format]] = {row.name: row for row in _ROWS}
"""The formats by name."""

AUTO: Final = "auto"
"""Stands for the format that the model turns out to write."""

_USUAL = ("glm47", "pythonic", "qwen3_coder", "hermes")

# Of formats whose calls begin alike, and are read alike or nearly so, the usual or the first one.
_BY_MARKER = {
    opening.marker: row
    for row in (*reversed(_ROWS), *(FORMATS[name] for name in _USUAL))
    for opening in row.openings
}


def _all(field: str) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(one for row in _ROWS for one in getattr(row, field)))


ANY_FORMAT: Final = Format(
    AUTO,
    tuple(
        opening
        for row in _ROWS
        for opening in row.openings
        if _BY_MARKER[opening.marker] is row and not opening.inside
    ),
    thoughts=_all("thoughts"),
    headers=_all("headers"),
    frames=_all("frames"),
)
"""Every format at once, up to the first call: its marker tells which one it is."""


def format_of(marker: str) -> str:
    """Say which format the marker of a call belongs to."""
    return _BY_MARKER[marker].name


def check_format(name: str) -> str:
    """See that a format exists.

    Args:
        name: Its name.

    Returns:
        The name.

    Raises:
        ValueError: There is none of that name; the message lists those that there are.
    """
    if name not in FORMATS and name != AUTO:
        msg = (
            f"No format {name!r} is known. Formats have the names of vLLM's --tool-call-parser: "
            f"{', '.join(FORMATS)}; or {AUTO!r}."
        )
        raise ValueError(msg)
    return name
