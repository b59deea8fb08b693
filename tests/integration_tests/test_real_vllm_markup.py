"""Calls that the client reads, against a real vLLM whose own parser fits the model.

`scripts/client_reading` asks the same of servers with other flags, which takes a start for each.
"""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_toolstream import ChatVLLM, ToolSet
from scripts.vllm_cpu.server import VLLMServer
from tests.integration_tests.test_real_vllm import (
    CALLS,
    OPEN,
    POEM,
    QUESTION,
    RESULTS,
    ROADS,
    Road,
    add,
    answer,
    calls,
    chain_of,
    chat,
    multiply,
    write_file,
)

pytestmark = pytest.mark.timeout(600)  # the first test also waits for the server


@pytest.fixture(params=["by name", "auto"])
def llm(vllm_server: VLLMServer, request: pytest.FixtureRequest) -> ChatVLLM:
    parser = vllm_server.parser if request.param == "by name" else "auto"
    return chat(vllm_server, tool_call_parser=parser)


@ROADS
async def test_the_chain(llm: ChatVLLM, road: Road) -> None:
    chain = chain_of(llm, ToolSet([add, multiply], read_only=True))
    messages = [message for batch in await road(chain, QUESTION) for message in batch]
    assert sorted((m.name, m.content, m.status) for m in messages) == RESULTS


@ROADS
async def test_text_thoughts_and_calls(llm: ChatVLLM, road: Road) -> None:
    tools = [add, multiply, write_file]
    poem = await answer(road, llm.bind_tools(tools), "Write a poem about river to poem.txt.")
    assert calls(poem) == [("write_file", {"path": "poem.txt", "content": POEM})]
    plain = await answer(road, llm.bind_tools(tools), "Hello!")
    assert (plain.text, calls(plain)) == ("Hello! How can I help you today?", [])
    thinking = llm.bind_tools(tools, chat_template_kwargs={"enable_thinking": True})
    found = await answer(road, thinking, QUESTION)
    assert calls(found) == CALLS
    assert "multiply, add" in found.additional_kwargs["reasoning_content"]
    assert "think>" not in found.text


@ROADS
@pytest.mark.parametrize("place", range(3), ids=["start", "arguments", "end"])
async def test_a_cut_call_is_invalid(vllm_server: VLLMServer, road: Road, place: int) -> None:
    llm = chat(vllm_server, tool_call_parser=vllm_server.parser)
    cut = OPEN[vllm_server.parser][place]
    found = await answer(road, llm.bind_tools([add, multiply], max_tokens=cut), QUESTION)
    assert [(call["name"], call["args"]) for call in found.tool_calls] == CALLS[:1]
    assert len(found.invalid_tool_calls) == 1


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"strict": True}, CALLS),
        ({"tool_choice": "multiply"}, CALLS[:1]),
        ({"tool_choice": "any"}, CALLS),
        ({"parallel_tool_calls": False}, CALLS[:1]),
    ],
    ids=str,
)
def test_choices(vllm_server: VLLMServer, asked: dict[str, Any], expected: list[Any]) -> None:
    llm = chat(vllm_server, tool_call_parser=vllm_server.parser)
    assert calls(llm.bind_tools([add, multiply], **asked).invoke(QUESTION)) == expected


async def test_an_agent(llm: ChatVLLM) -> None:
    agent = create_agent(llm, [add, multiply])
    state = await agent.ainvoke({"messages": [HumanMessage("What is 3 * 12?")]})
    kinds = [type(message).__name__ for message in state["messages"]]
    assert kinds == ["HumanMessage", "AIMessage", "ToolMessage", "AIMessage"]
    assert state["messages"][2].content == "36"


def test_the_prompt_is_the_same_whoever_reads(vllm_server: VLLMServer) -> None:
    history = [
        HumanMessage(QUESTION),
        AIMessage(
            "Let me see.",
            tool_calls=[{"name": "multiply", "args": {"a": 3, "b": 12}, "id": "a"}],
            invalid_tool_calls=[{"name": "add", "args": '{"a": 3,   "b', "id": "b", "error": "c"}],
        ),
        ToolMessage("36", tool_call_id="a"),
        ToolMessage("The call is invalid.", tool_call_id="b", status="error"),
    ]
    prompts = []
    for parser in (None, vllm_server.parser):
        llm = chat(vllm_server, tool_call_parser=parser, return_token_ids=True, max_tokens=4)
        said = llm.bind_tools([add, multiply]).invoke(history).response_metadata
        prompts.append(said["prompt_token_ids"])
    assert prompts[0] == prompts[1]
