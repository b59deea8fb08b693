"""The formats in which the tiny models write their calls: one for each of two of vLLM's parsers."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from data import Example, Generator
from data_by_name import ByNameGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How calls are written, and what a model that writes them so learns."""

    call: Callable[[str, str], str]
    """Writes a name, and arguments as JSON text."""

    between: str
    """What stands between two calls; vLLM's grammar for forced calls has to allow it."""

    generator: type[Generator]
    steps: int

    def calls(self, calls: Iterable[tuple[str, str]]) -> str:
        """Calls, one after the other."""
        return self.between.join(self.call(*call) for call in calls)

    def answer(self, example: Example) -> str:
        """What the model writes after the prompt of an example."""
        thought = "" if example.thought is None else f"{example.thought}\n</think>\n\n"
        return thought + example.text + self.calls(example.calls)


def _hermes(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def _qwen3_coder(name: str, arguments: str) -> str:
    parameters = "".join(
        f"<parameter={key}>\n{_bare(value)}\n</parameter>\n"
        for key, value in json.loads(arguments).items()
    )
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def _bare(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


FORMATS = {
    "hermes": Format(call=_hermes, between="", generator=Generator, steps=2600),
    "qwen3_coder": Format(call=_qwen3_coder, between="\n", generator=ByNameGenerator, steps=600),
}
