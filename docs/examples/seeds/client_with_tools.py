"""vLLM's chat completion client with tools: the full round trip, whole and streamed."""

from typing import Literal

from langchain_core.messages import HumanMessage

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser

llm = ChatVLLM(temperature=0)  # takes the first of these models

print("# Models:")
print([card.id for card in llm.list_models()])


def get_current_weather(
    city: str, state: str = "", unit: Literal["celsius", "fahrenheit"] = "fahrenheit"
) -> str:
    """Get the current weather in a given location.

    Args:
        city: The city to find the weather for, such as 'San Francisco'
        state: The two-letter abbreviation of the state, such as 'CA'
        unit: The unit of the temperature
    """
    place = f"{city}, {state}" if state else city
    return f"It is 85 degrees {unit} in {place}."


tools = ToolSet([get_current_weather], read_only=True)
llm_with_tools = llm.bind_tools(tools)
messages = [HumanMessage("What is the weather in Dallas?")]

print("\n# Chat completion results:")
answer = llm_with_tools.invoke(messages)
print(answer.tool_calls)

print("\n# Chunks:")
for chunk in llm_with_tools.stream(messages):
    for call in chunk.tool_call_chunks:
        print(call)

print("\n# The calls that the chunks made, without an accumulator of one's own:")
for calls in (llm_with_tools | ToolStreamParser(tools)).stream(messages):
    print(calls)

print("\n# The tool's result, and the model's answer to it:")
messages.append(answer)
messages.extend(tools.map().invoke(answer.tool_calls))
print(messages[-1].content)
print(llm_with_tools.invoke(messages).content)
