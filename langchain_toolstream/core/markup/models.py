"""Which format a model writes, by its name.

Names are those of models on hubs, which a server says as the name or the root of its model. A name
that fits several families, or none, says nothing.
"""

import re
from typing import Final

_FAMILIES: Final[dict[str, str]] = {
    "apertus": r"apertus",
    "deepseek_v3": r"deepseek-?(v3(-0324|-base)?$|r1(?!-distill))",
    "deepseek_v31": r"deepseek-?v3\.1",
    "deepseek_v32": r"deepseek-?v3\.2",
    "deepseek_v4": r"deepseek-?v4(?!\.)",
    "deepseek_v41": r"deepseek-?v4\.1",
    "ernie45": r"ernie-?4\.5",
    "functiongemma": r"functiongemma",
    "gemma4": r"gemma-?4",
    "gigachat3": r"gigachat-?3",
    "glm47": r"glm-?(4\.[5-9]|5)",
    "granite": r"granite-?3",
    "granite-20b-fc": r"granite-20b-functioncalling",
    "granite4": r"granite-?4",
    "hermes": r"hermes|qwen-?2\.5(?!-coder)|qwq|qwen-?3(?!\.|-coder)",
    "hunyuan_a13b": r"hunyuan-a13b",
    "internlm": r"internlm-?2[._-]5|internlm-?3",
    "jamba": r"jamba",
    "kimi_k2": r"kimi-?k2",
    "kimi_k3": r"kimi-?k3",
    "lfm2": r"lfm-?2",
    "llama3_json": r"llama-?3\.[1-3]",
    "llama4_pythonic": r"llama-?4",
    "longcat": r"longcat",
    "mimo": r"mimo",
    "minicpm5": r"minicpm-?5",
    "minimax_m2": r"minimax-?m2",
    "minimax_m3": r"minimax-?m3",
    "mistral": r"mistral|ministral|magistral|devstral|mixtral",
    "olmo3": r"olmo-?3",
    "phi4_mini_json": r"phi-?4-mini",
    "poolside_v1": r"poolside|laguna",
    "qwen3_coder": r"qwen-?3-coder|qwen-?3\.[5-9]",
    "seed_oss": r"seed-oss",
    "step3": r"step-?3$|step-?3-(?!5)",
    "step3p5": r"step-?3[.p]5",
    "step5": r"step-?5",
    "xlam": r"xlam",
}
_families = {
    name: re.compile(rf"(?<![a-z0-9])(?:meta-)?(?:{words})", re.ASCII).search
    for name, words in _FAMILIES.items()
}
_MAX_NAME = 500


def format_of_model(*names: str | None) -> str | None:
    """Say in which format a model writes calls.

    Args:
        *names: What a server calls the model: its name, its root.

    Returns:
        The format that the names agree on; `None` where they name no family that is known, or
        several.

    Example:
        ```python
        from langchain_toolstream.core.markup.models import format_of_model

        assert format_of_model("default", "Qwen/Qwen3-Coder-30B-A3B-Instruct") == "qwen3_coder"
        assert format_of_model("my-model") is None
        ```
    """
    texts = [name[:_MAX_NAME].lower().replace("_", "-") for name in names if name]
    found = {family for text in texts for family, fits in _families.items() if fits(text)}
    return found.pop() if len(found) == 1 else None
