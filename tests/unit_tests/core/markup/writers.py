"""Calls written in each format, as the models' chat templates write them.

Written from the templates and from the data, and not from the table that reads them.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

Call = tuple[str, dict[str, Any]]
Writer = Callable[[Sequence[Call]], str]


def text(value: Any) -> str:
    """A value between tags: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def objects(before: str, behind: str, between: str = "", key: str = "arguments") -> Writer:
    def write(calls: Sequence[Call]) -> str:
        return between.join(
            before + json.dumps({"name": name, key: args}, ensure_ascii=index % 2 == 0) + behind
            for index, (name, args) in enumerate(calls)
        )

    return write


def listed(before: str, behind: str, *, named: bool = False) -> Writer:
    def write(calls: Sequence[Call]) -> str:
        made = [
            {name: args} if named else {"name": name, "arguments": args} for name, args in calls
        ]
        return before + json.dumps(made, ensure_ascii=False) + behind

    return write


def headed(before: str, call: str, behind: str) -> Writer:
    def write(calls: Sequence[Call]) -> str:
        return (
            before
            + "".join(
                call.replace("NAME", name)
                .replace("INDEX", str(index))
                .replace("JSON", json.dumps(args, ensure_ascii=False))
                for index, (name, args) in enumerate(calls)
            )
            + behind
        )

    return write


def tagged(  # noqa: PLR0913, PLR0917 - the tags from the outside in
    section: str, call: str, parameter: str, call_end: str, section_end: str, between: str = ""
) -> Writer:
    def write(calls: Sequence[Call]) -> str:
        return (
            section
            + between.join(
                call.replace("NAME", name).replace("INDEX", str(index + 1))
                + "".join(
                    parameter.replace("KEY", key)
                    .replace("STRING", json.dumps(isinstance(value, str)))
                    .replace("TYPE", type_of(value))
                    .replace("VALUE", text(value))
                    for key, value in args.items()
                )
                + call_end
                for index, (name, args) in enumerate(calls)
            )
            + section_end
        )

    return write


def type_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return "null" if value is None else kinds.get(type(value), "object")


def each(before: str, parameter: str, behind: str, between: str = "\n") -> Writer:
    return tagged("", before, parameter, behind, "", between)


def python(before: str, behind: str, between: str = ", ") -> Writer:
    def write(calls: Sequence[Call]) -> str:
        made = (
            f"{name}({', '.join(f'{key}={value!r}' for key, value in args.items())})"
            for name, args in calls
        )
        return before + between.join(made) + behind

    return write


def quoted(before: str, behind: str, quote: str) -> Writer:
    def value_of(value: Any) -> str:
        match value:
            case str():
                return quote + value + quote
            case list():
                return "[" + ",".join(map(value_of, value)) + "]"
            case dict():
                return "{" + ",".join(f"{key}:{value_of(one)}" for key, one in value.items()) + "}"
            case _:
                return json.dumps(value)

    def write(calls: Sequence[Call]) -> str:
        return "".join(f"{before}call:{name}{value_of(args)}{behind}" for name, args in calls)

    return write


def minimax_m3(calls: Sequence[Call]) -> str:
    mark = "]<]minimax[>["

    def element(tag: str, value: Any) -> str:
        match value:
            case list():
                inside = "\n" + "".join(element("item", one) for one in value)
            case dict():
                inside = "\n" + "".join(element(key, one) for key, one in value.items())
            case _:
                inside = text(value)
        return f"{mark}<{tag}>{inside}{mark}</{tag}>\n"

    made = "".join(
        f'{mark}<invoke name="{name}">\n'
        + "".join(element(key, value) for key, value in args.items())
        + f"{mark}</invoke>\n"
        for name, args in calls
    )
    return f"{mark}<tool_call>\n{made}{mark}</tool_call>"


def muse(calls: Sequence[Call]) -> str:
    made = [
        f' to={name}<|message|><atem:function_calls>\n<atem:invoke name="{name}">\n'
        + "".join(
            f'<atem:parameter name="{key}">{text(value)}</atem:parameter>\n'
            for key, value in args.items()
        )
        + "</atem:invoke>\n</atem:function_calls>"
        for name, args in calls
    ]
    return "<|eom|><|start|>assistant".join(made) + "<|eot|>"


def dsml(section: str, space: str = "") -> Writer:
    return tagged(
        f"<｜DSML｜{space}{section}>\n",
        f'<｜DSML｜{space}invoke name="NAME">\n',
        f'<｜DSML｜{space}parameter name="KEY" string="STRING">VALUE</｜DSML｜{space}parameter>\n',
        f"</｜DSML｜{space}invoke>\n",
        f"</｜DSML｜{space}{section}>",
    )


def pairs(before: str, behind: str, tag: str = "arg", between: str = "\n") -> Writer:
    parameter = f"<{tag}_key>KEY</{tag}_key><{tag}_value>VALUE</{tag}_value>"
    return each(before, parameter, behind, between)


def functions(marker: str, line: str = "\n") -> Writer:
    return each(
        f"<{marker}>\n<function=NAME>\n",
        f"<parameter=KEY>{line}VALUE{line}</parameter>\n",
        f"</function>\n</{marker}>",
    )


def invokes(section: str, prefix: str = "") -> Writer:
    return tagged(
        f"<{section}>\n",
        f'<{prefix}invoke name="NAME">\n',
        f'<{prefix}parameter name="KEY">VALUE</{prefix}parameter>\n',
        f"</{prefix}invoke>\n",
        f"</{section}>",
    )


GLM = pairs("<tool_call>NAME", "</tool_call>")
HERMES = objects("<tool_call>\n", "\n</tool_call>", "\n")

WRITERS: dict[str, Writer] = {
    "apertus": listed("<|tools_prefix|>", "<|tools_suffix|>", named=True),
    "deepseek_v3": headed(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nJSON\n```<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
    ),
    "deepseek_v31": headed(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>JSON<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
    ),
    "deepseek_v32": dsml("function_calls"),
    "deepseek_v4": dsml("tool_calls"),
    "deepseek_v41": dsml("calls", " "),
    "dots": invokes("dots_function_call"),
    "ernie45": objects("<tool_call>\n", "\n</tool_call>\n", "\n"),
    "functiongemma": quoted("<start_function_call>", "<end_function_call>", "<escape>"),
    "gemma4": quoted("<|tool_call>", "<tool_call|>", '<|"|>'),
    "gigachat3": objects("<|function_call|>", ""),
    "glm47": GLM,
    "granite": listed("<|tool_call|>", ""),
    "granite-20b-fc": objects("<function_call> ", ""),
    "granite4": HERMES,
    "hermes": HERMES,
    "hunyuan_a13b": listed("<tool_calls>", "</tool_calls>"),
    "hy_v3": tagged(
        "<tool_calls>",
        "<tool_call>NAME<tool_sep>",
        "<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>",
        "</tool_call>",
        "</tool_calls>",
    ),
    "hy_v4": tagged(
        "<tool_calls:ab12>",
        "<tool_call:ab12>NAME",
        "<arg_key:ab12>KEY</arg_key:ab12><arg_value:ab12>VALUE</arg_value:ab12>",
        "</tool_call:ab12>",
        "</tool_calls:ab12>",
    ),
    "inkling": objects(
        "<|content_invoke_tool_json|>", "<|end_message|>", "<|message_model|>", "args"
    ),
    "internlm": objects("<|action_start|><|plugin|>", "<|action_end|>", key="parameters"),
    "jamba": listed("<tool_calls>", "</tool_calls>"),
    "k2_horizon": tagged(
        "<ifm|tool_calls>",
        "<ifm|tool_call>NAME",
        "<ifm|arg_key>KEY</ifm|arg_key><ifm|arg_value>VALUE</ifm|arg_value>",
        "</ifm|tool_call>",
        "</ifm|tool_calls>",
    ),
    "kimi_k2": headed(
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>JSON<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    ),
    "kimi_k3": tagged(
        "<|open|>tools<|sep|>",
        '<|open|>call tool="NAME" index="INDEX"<|sep|>',
        '<|open|>argument key="KEY" type="TYPE"<|sep|>VALUE<|close|>argument<|sep|>',
        "<|close|>call<|sep|>",
        "<|close|>tools<|sep|>",
    ),
    "lfm2": python("<|tool_call_start|>[", "]<|tool_call_end|>"),
    "ling3": GLM,
    "llama3_json": objects("", "", "; ", "parameters"),
    "llama4_pythonic": python("<|python_start|>[", "]<|python_end|>"),
    "longcat": objects("<longcat_tool_call>\n", "\n</longcat_tool_call>", "\n"),
    "mimo": functions("tool_call", ""),
    "minicpm5": each('<function name="NAME">', '<param name="KEY">VALUE</param>', "</function>"),
    "minimax_m2": invokes("minimax:tool_call"),
    "minimax_m3": minimax_m3,
    "mistral": headed("", "[TOOL_CALLS]NAME[ARGS]JSON", ""),
    "muse": muse,
    "olmo3": python("<function_calls>", "</function_calls>", "\n"),
    "phi4_mini_json": listed("functools", ""),
    "poolside_v1": each(
        "<tool_call>NAME\n",
        "<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>\n",
        "</tool_call>",
    ),
    "pythonic": python("[", "]"),
    "qwen3_coder": functions("tool_call"),
    "seed_oss": functions("seed:tool_call"),
    "step3": tagged(
        "<｜tool_calls_begin｜>",
        '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="NAME">',
        '<steptml:parameter name="KEY">VALUE</steptml:parameter>',
        "</steptml:invoke><｜tool_call_end｜>",
        "<｜tool_calls_end｜>",
    ),
    "step3p5": functions("tool_call"),
    "step5": functions("tool_call"),
    "xlam": listed("", ""),
}
