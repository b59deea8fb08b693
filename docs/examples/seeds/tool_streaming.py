"""LangChain's guide to streaming tool calls, on vLLM."""

import asyncio

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser

llm = ChatVLLM(temperature=0)


def add(a: int, b: int) -> int:
    """Add two integers.

    Args:
        a: First integer
        b: Second integer
    """
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two integers.

    Args:
        a: First integer
        b: Second integer
    """
    return a * b


tools = [add, multiply]
llm_with_tools = llm.bind_tools(tools)
query = "What is 3 * 12? Also, what is 11 + 49?"


async def main() -> None:
    print("# Every chunk's tool_call_chunks: one entry for each call that it is about.")
    async for chunk in llm_with_tools.astream(query):
        print(chunk.tool_call_chunks)

    print("\n# Chunks add up. The args of tool_call_chunks are text.")
    gathered = None
    async for chunk in llm_with_tools.astream(query):
        gathered = chunk if gathered is None else gathered + chunk
        print([(call["name"], call["args"]) for call in gathered.tool_call_chunks])

    print("\n# The args of tool_calls are a dict: also of a call that is not complete.")
    gathered = None
    async for chunk in llm_with_tools.astream(query):
        gathered = chunk if gathered is None else gathered + chunk
        print([(call["name"], call["args"]) for call in gathered.tool_calls])

    print("\n# What the guide cannot show: calls when they are calls, and never before.")
    async for calls in (llm_with_tools | ToolStreamParser(tools)).astream(query):
        print(calls)

    print("\n# Each tool as soon as its own call is complete.")
    eager = ToolSet(tools, read_only=True)
    chain = llm.bind_tools(eager) | ToolStreamParser(eager) | eager.map()
    async for messages in chain.astream(query):
        for message in messages:
            print(message)


asyncio.run(main())
