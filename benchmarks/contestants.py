"""What is compared."""

from collections.abc import Callable, Iterator
from typing import Any

import jiter
import pydantic_core
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputToolsParser, PydanticToolsParser

from benchmarks.measure import Contestant
from benchmarks.workloads import TOOLS, Call
from langchain_toolstream import ToolStreamParser
from langchain_toolstream.core.calls import ToolCallAssembler
from langchain_toolstream.core.json import JSONStream


def nothing() -> Contestant:
    def feed(piece: Any) -> None:
        pass

    def view() -> None:
        pass

    return feed, view


def json_stream() -> Contestant:
    stream = JSONStream()
    return stream.feed, lambda: stream.value


def reparse_jiter() -> Contestant:
    so_far = b""

    def feed(piece: str) -> None:
        nonlocal so_far
        so_far += piece.encode()

    def view() -> Any:
        return jiter.from_json(so_far, partial_mode="trailing-strings")

    return feed, view


def reparse_pydantic_core() -> Contestant:
    so_far = b""

    def feed(piece: str) -> None:
        nonlocal so_far
        so_far += piece.encode()

    def view() -> Any:
        return pydantic_core.from_json(so_far, allow_partial="trailing-strings")

    return feed, view


def assembler(*, text: bool, fields: bool) -> Callable[[], Contestant]:
    """Its events are all there is to see, so its view is that of `nothing`."""

    def make() -> Contestant:
        _, view = nothing()
        return ToolCallAssembler(text=text, fields=fields).feed, view

    return make


Parser = BaseTransformOutputParser[Any]

OURS = "ToolStreamParser"


def parsers() -> dict[str, Parser]:
    return {
        OURS: ToolStreamParser(TOOLS),
        "JsonOutputToolsParser": JsonOutputToolsParser(),
        "PydanticToolsParser": PydanticToolsParser(tools=TOOLS),
    }


def parsing(parser: Parser, chunks: list[AIMessageChunk]) -> Callable[[], Iterator[Any]]:
    """Run a parser to the end of a message; its trace is summed up by then too."""
    return lambda: parser.transform(iter(chunks))


def check(calls: list[Call], chunks: list[AIMessageChunk]) -> None:
    """Hold against the calls what each parser makes of the message."""
    by_name = {tool.__name__: tool for tool in TOOLS}
    for name, parser in parsers().items():
        outputs = list(parser.transform(iter(chunks)))
        if name == OURS:
            found = [(call["name"], call["args"]) for output in outputs for call in output]
        elif isinstance(parser, PydanticToolsParser):
            found = [(type(call).__name__, call.model_dump()) for call in outputs[-1]]
        else:
            found = [(call["type"], call["args"]) for call in outputs[-1]]
        expected = [(by_name[tool].__name__, args) for tool, args in calls]
        assert found == expected, name
