"""The formats that vLLM's tool-call parsers read, and the words for what each parser does.

No endpoint of vLLM names the parser it runs, so it is told by what it does: `parser_table` says
what that is, release by release, and `docs/wire.md` has the rules that follow.

This module also recognises what `core.markup` does not read as a call: half a call, what a parser
left of one, and formats that only the server can read.
"""

import re
from collections.abc import Iterable
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


MARKUP: dict[str, tuple[str, str]] = {
    # What shows it, and how it is written down. The first that is found counts.
    "longcat": (r"<longcat_tool_call>", "<longcat_tool_call>"),
    "seed_oss": (r"<seed:tool_call>", "<seed:tool_call>"),
    "minimax_m2": (r"<minimax:tool_call>", "<minimax:tool_call>"),
    "minimax_m3": (r"\]<\]minimax\[>\[", "]<]minimax[>["),
    "dsml calls": (r"<｜DSML｜ (calls|invoke)", "<｜DSML｜ calls>"),
    "dsml functions": (r"<｜DSML｜function_calls", "<｜DSML｜function_calls>"),
    "dsml tools": (r"<｜DSML｜tool_calls", "<｜DSML｜tool_calls>"),
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
    "muse": (r"<atem:(function_calls|invoke)", "<atem:function_calls>"),
    "plamo3": (r"<\|plamo:begin_tool_request", "<|plamo:begin_tool_requests:plamo|>"),
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


def readers(markup: str | None, parsers: Iterable[ToolCallParser]) -> list[str]:
    """Name the parsers that read a format.

    Args:
        markup: A key of `MARKUP`, or `None`.
        parsers: Those that the server has.
    """
    return [parser.name for parser in parsers if parser.markup == markup]
