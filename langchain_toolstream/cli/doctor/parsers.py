"""vLLM's tool-call parsers: what they read, and what they make of it.

Measured with vLLM 0.32, each parser fed with text of its own format; `docs/wire.md` has the rules
that follow. No endpoint of vLLM names the parser it runs, so it is told by what it does.
"""

import re
from dataclasses import dataclass
from typing import Literal

Pieces = Literal["token", "value", "whole"]
"""How arguments come: as they are written, each string when it ends, or all in one or two lumps."""

Cut = Literal["open", "closed", "no call", "name only"]
"""What is sent of a call that `max_tokens` cuts off in a string."""


@dataclass(frozen=True, slots=True)
class ToolCallParser:
    """One of vLLM's parsers."""

    name: str
    markup: str
    """What it reads; a key of `MARKUP`."""

    forced: Literal["native", "JSON"]
    """Whether forced calls are written in its markup too, or as plain JSON."""

    pieces: Pieces
    cut: Cut
    always: str = ""
    """What it loses or spoils, if it does."""

    at_once: str = ""
    """What it loses or spoils when several tokens come at once."""


_WHOLE_LOST = "a call that comes whole in one step is lost"
_TEXT_BEFORE = "text before a call makes it lose the call"

PARSERS = (
    ToolCallParser("hermes", "hermes", "native", "token", "open"),
    ToolCallParser("longcat", "longcat", "native", "token", "open"),
    ToolCallParser("granite4", "hermes", "JSON", "whole", "no call"),
    ToolCallParser("ernie45", "hermes", "JSON", "whole", "no call",
                   at_once="of two calls in one step the second is lost"),
    ToolCallParser("llama3_json", "llama", "native", "token", "closed", at_once=_WHOLE_LOST),
    ToolCallParser("pythonic", "pythonic", "JSON", "token", "open", always=_TEXT_BEFORE),
    ToolCallParser("llama4_pythonic", "pythonic", "JSON", "token", "open"),
    ToolCallParser("lfm2", "lfm2", "JSON", "token", "open"),
    ToolCallParser("olmo3", "olmo3", "JSON", "token", "open", always=_TEXT_BEFORE),
    ToolCallParser("jamba", "tool_calls", "JSON", "token", "closed",
                   always="arguments are garbled"),
    ToolCallParser("internlm", "internlm", "JSON", "token", "closed",
                   always="two calls in one answer end it with an error"),
    ToolCallParser("granite", "granite", "JSON", "token", "open"),
    ToolCallParser("granite-20b-fc", "granite-20b-fc", "JSON", "token", "closed",
                   at_once=_WHOLE_LOST),
    ToolCallParser("hunyuan_a13b", "tool_calls", "JSON", "whole", "name only",
                   at_once="a call that comes whole in one step loses its arguments"),
    ToolCallParser("hy_v3", "hy", "JSON", "token", "open"),
    ToolCallParser("hy_v4", "hy", "native", "token", "open"),
    ToolCallParser("phi4_mini_json", "functools", "JSON", "whole", "no call",
                   always="every streamed call is lost"),
    ToolCallParser("xlam", "json list", "JSON", "whole", "name only",
                   at_once="arguments are garbled when several tokens come at once"),
    ToolCallParser("gigachat3", "gigachat3", "JSON", "token", "open",
                   always="a second call is written into the arguments of the first"),
    ToolCallParser("functiongemma", "functiongemma", "JSON", "whole", "closed",
                   always="calls with several arguments are garbled"),
    ToolCallParser("apertus", "apertus", "JSON", "token", "open"),
    ToolCallParser("deepseek_v3", "deepseek_v3", "native", "token", "open", at_once=_WHOLE_LOST),
    ToolCallParser("deepseek_v31", "deepseek_v31", "native", "token", "open", at_once=_WHOLE_LOST),
    ToolCallParser("deepseek_v32", "dsml", "native", "value", "open"),
    ToolCallParser("deepseek_v4", "dsml", "native", "value", "open"),
    ToolCallParser("kimi_k2", "kimi_k2", "native", "token", "open"),
    ToolCallParser("kimi_k3", "kimi_k3", "native", "whole", "no call"),
    ToolCallParser("qwen3_coder", "function=", "native", "token", "open"),
    ToolCallParser("step3p5", "function=", "native", "token", "open"),
    ToolCallParser("mimo", "function=", "native", "token", "open"),
    ToolCallParser("seed_oss", "seed_oss", "JSON", "token", "open"),
    ToolCallParser("glm47", "arg_key", "native", "token", "open"),
    ToolCallParser("poolside_v1", "arg_key", "native", "token", "closed"),
    ToolCallParser("minimax_m2", "minimax_m2", "native", "token", "open"),
    ToolCallParser("minimax_m3", "minimax_m3", "native", "whole", "closed"),
    ToolCallParser("gemma4", "gemma4", "native", "value", "closed"),
    ToolCallParser("dots", "dots", "native", "whole", "no call"),
    ToolCallParser("minicpm5", "function name", "JSON", "whole", "no call",
                   at_once="of two calls in one step the second is lost"),
    ToolCallParser("step3", "step3", "JSON", "whole", "name only",
                   at_once="a call that comes whole in one step loses its arguments"),
    ToolCallParser("inkling", "inkling", "native", "token", "open"),
    ToolCallParser("k2_horizon", "k2_horizon", "native", "whole", "no call"),
    ToolCallParser("mistral", "mistral", "native", "token", "open"),
    ToolCallParser("openai", "harmony", "native", "token", "open"),
)  # fmt: skip
"""Those of vLLM 0.32 that were measured. Of several names for one parser, the usual one:
`hermes` is also `qwen3_json`, `qwen3_coder` `qwen3_xml`, `glm47` `glm45`, `llama3_json`
`llama4_json`, `deepseek_v4` `deepseek_v41`."""

MARKUP: dict[str, tuple[str, str]] = {
    # What shows it, and how it is written down. The first that is found counts.
    "longcat": (r"<longcat_tool_call>", "<longcat_tool_call>"),
    "seed_oss": (r"<seed:tool_call>", "<seed:tool_call>"),
    "minimax_m2": (r"<minimax:tool_call>", "<minimax:tool_call>"),
    "minimax_m3": (r"\]<\]minimax\[>\[", "]<]minimax[>["),
    "dsml": (r"<｜DSML｜", "<｜DSML｜"),
    "deepseek_v3": (
        r"<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "<｜tool▁call▁begin｜>function",
    ),
    "deepseek_v31": (r"<｜tool▁calls?▁begin｜>", "<｜tool▁call▁begin｜>NAME"),
    "step3": (r"<｜tool_calls?_begin｜>|<steptml:", "<steptml:invoke>"),
    "kimi_k2": (r"<\|tool_calls?(_section)?_begin\|>", "<|tool_call_begin|>"),
    "kimi_k3": (r"<\|open\|>\s*tools", "<|open|>tools"),
    "gemma4": (r"<\|tool_call>", "<|tool_call>"),
    "granite": (r"<\|tool_call\|>", "<|tool_call|>"),
    "lfm2": (r"<\|tool_call_start\|>", "<|tool_call_start|>"),
    "functiongemma": (r"<start_function_call>", "<start_function_call>"),
    "apertus": (r"<\|tools_prefix\|>", "<|tools_prefix|>"),
    "internlm": (r"<\|action_start\|>", "<|action_start|>"),
    "k2_horizon": (r"<ifm\|tool_call", "<ifm|tool_call>"),
    "dots": (r"<dots_function_call>", "<dots_function_call>"),
    "mistral": (r"\[TOOL_CALLS\]", "[TOOL_CALLS]"),
    "harmony": (r"to=functions\.", "<|channel|>commentary to=functions.NAME"),
    "inkling": (r"<\|content_invoke_tool", "<|content_invoke_tool_json|>"),
    "gigachat3": (r"<\|function_call\|>|function call<\|role_sep\|>", "<|function_call|>"),
    "functools": (r"functools\[", "functools["),
    "granite-20b-fc": (r"<function_call>", "<function_call>"),
    "olmo3": (r"<function_calls>", "<function_calls>"),
    "hy": (r"<tool_calls>\s*<tool_call", "<tool_calls><tool_call>"),
    "tool_calls": (r"<tool_calls>", "<tool_calls>["),
    "function=": (r"<function=", "<function=NAME><parameter=KEY>"),
    "function name": (r"<function name=", '<function name="NAME">'),
    "arg_key": (r"<tool_call>\s*[\w.-]+\s*(<arg_key>|</tool_call>)", "<tool_call>NAME<arg_key>"),
    "hermes": (r"<tool_call>\s*\{", '<tool_call>{"name": ..., "arguments": ...}'),
    "json list": (r'^\s*(```json\s*)?\[\s*\{\s*"name"', '[{"name": ..., "arguments": ...}]'),
    "llama": (
        r'<\|python_tag\|>|^\s*\{\s*("type":\s*"function",\s*)?"name"',
        '{"name": ..., "parameters": ...}',
    ),
    "pythonic": (r"^\s*(<\|python_start\|>)?\[\s*\w+\(", "[NAME(KEY=VALUE)]"),
}

_MARKUP = {name: re.compile(pattern).search for name, (pattern, _) in MARKUP.items()}
_thought = re.compile(r"^.*</think>", re.DOTALL)


def find_markup(text: str) -> str | None:
    """Tell in which format a text holds a tool call.

    Args:
        text: What a model wrote.

    Returns:
        A key of `MARKUP`, `None` if no format is known to look so.
    """
    text = _thought.sub("", text)
    return next((name for name, search in _MARKUP.items() if search(text)), None)


def readers(markup: str | None) -> list[str]:
    """Name the parsers that read a format.

    Args:
        markup: A key of `MARKUP`, or `None`.
    """
    return [parser.name for parser in PARSERS if parser.markup == markup]
