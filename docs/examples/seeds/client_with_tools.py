"""vLLM's chat completion client with tools: the full round trip, whole and streamed."""

from langchain_core.messages import HumanMessage

from langchain_toolstream import ChatVLLM, ToolSet, ToolStreamParser

llm = ChatVLLM(temperature=0)  # asks /v1/models for the model, as vLLM's example does


def get_current_weather(city: str, state: str, unit: str) -> str:
    """Get the current weather in a given location.

    Args:
        city: The city to find the weather for, such as 'San Francisco'
        state: The two-letter abbreviation of the state, such as 'CA'
        unit: The unit of the temperature, 'celsius' or 'fahrenheit'
    """
    return f"The weather in {city}, {state} is 85 degrees {unit}."


tools = ToolSet([get_current_weather], read_only=True)
llm_with_tools = llm.bind_tools(tools)
# The recorded model is tiny: it calls what it is told to call.
question = 'Call get_current_weather {"city": "Dallas", "state": "TX", "unit": "fahrenheit"}'
messages = [HumanMessage(question)]

print("# Chat completion results:")
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
