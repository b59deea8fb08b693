"""`ToolStreamParser` behind a model that gives plain text."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_toolstream import ToolSet, ToolStreamParser


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def write(path: str, text: str) -> str:
    """Write a file."""
    return f"{path}: {text}"


HERMES = (
    '<think>Two calls.</think>Let me see. <tool_call>\n{"name": "add", "arguments": '
    '{"a": 3, "b": 12}}\n</tool_call>\n<tool_call>\n{"name": "write", "arguments": '
    '{"path": "a.txt", "text": "</tool_call>"}}\n</tool_call>'
)
WANTED = [("add", {"a": 3, "b": 12}), ("write", {"path": "a.txt", "text": "</tool_call>"})]


def calls(found: list[Any]) -> list[Any]:
    return [(call["name"], call["args"]) for call in found]


def chunks(text: str, size: int) -> Iterator[AIMessageChunk]:
    for at in range(0, len(text), size):
        yield AIMessageChunk(content=text[at : at + size])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", ["hermes", "auto"])
def test_calls_are_read_out_of_a_text(name: str, size: int) -> None:
    parser = ToolStreamParser([add, write], tool_call_parser=name)
    streamed = [call for some in parser.transform(chunks(HERMES, size)) for call in some]
    assert calls(streamed) == WANTED

    async def achunks() -> AsyncIterator[AIMessageChunk]:
        for chunk in chunks(HERMES, size):
            yield chunk

    async def run() -> list[Any]:
        return [call async for some in parser.atransform(achunks()) for call in some]

    assert calls(asyncio.run(run())) == WANTED
    assert calls(parser.invoke(AIMessage(content=HERMES))) == WANTED
    assert calls(parser.invoke(AIMessage(content=[{"type": "text", "text": HERMES}]))) == WANTED


def test_a_call_of_a_read_only_tool_comes_in_the_middle_of_the_text() -> None:
    tools = ToolSet([add, write], read_only=["add"])
    parser = ToolStreamParser(tools, tool_call_parser="hermes")
    fed: list[str] = []

    def source() -> Iterator[AIMessageChunk]:
        for chunk in chunks(HERMES, 1):
            fed.append(str(chunk.content))
            yield chunk

    first = next(some for some in parser.transform(source()) if some)
    assert calls(first) == [WANTED[0]]
    assert "".join(fed).endswith('"b": 12}')


def test_the_tools_run_behind_a_model_that_gives_plain_text() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage(content=HERMES)]))
    tools = ToolSet([add, write])
    chain = model | ToolStreamParser(tools, tool_call_parser="hermes") | tools.map()
    results = [message.content for some in chain.stream("go") for message in some]
    assert sorted(results) == ["15", "a.txt: </tool_call>"]


def test_what_the_schema_says_decides_what_a_tagged_value_is() -> None:
    text = (
        "<tool_call>\n<function=write>\n<parameter=path>\n12\n</parameter>\n"
        "<parameter=text>\nnull\n</parameter>\n</function>\n</tool_call>"
    )
    parser = ToolStreamParser([write], tool_call_parser="qwen3_coder")
    (call,) = parser.invoke(AIMessage(content=text))
    assert call["args"] == {"path": "12", "text": "null"}


def test_a_call_that_is_cut_is_invalid() -> None:
    cut = AIMessage(content=HERMES[:-30], response_metadata={"finish_reason": "length"})
    good, invalid = ToolStreamParser([add, write], tool_call_parser="hermes").invoke(cut)
    assert (good["name"], invalid["type"]) == ("add", "invalid_tool_call")
    assert "length" in invalid["error"]


def test_thoughts_that_the_prompt_has_begun_hold_no_calls() -> None:
    thinking = ToolStreamParser([add], tool_call_parser="hermes", thoughts_begun=True)
    call = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
    assert thinking.invoke(AIMessage(content=f"Perhaps {call}?</think>No.")) == []


def test_without_the_option_text_is_text() -> None:
    assert ToolStreamParser([add]).invoke(AIMessage(content=HERMES)) == []


def test_a_format_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"No format 'qwen' is known.*qwen3_coder"):
        ToolStreamParser([add], tool_call_parser="qwen")


def test_the_parser_survives_pickling() -> None:
    parser = ToolStreamParser([add, write], tool_call_parser="hermes")
    parser = pickle.loads(pickle.dumps(parser))  # noqa: S301  (our own)
    assert calls(parser.invoke(AIMessage(content=HERMES))) == WANTED
