"""langchain-core's openai_tools output parsers, and what takes their place."""

from langchain_core.messages import AIMessage
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    JsonOutputToolsParser,
    PydanticToolsParser,
)
from pydantic import BaseModel, Field

from langchain_toolstream import ChatVLLM, ToolStreamParser


class GetWeather(BaseModel):
    """Look up the weather."""

    location: str = Field(description="name of the city")


class get_weather(BaseModel):  # noqa: N801 - the name by which the model knows the tool
    """Look up the weather of a city."""

    city: str


message = AIMessage(
    content="",
    tool_calls=[{"name": "GetWeather", "args": {"location": "北京"}, "id": "call_123"}],
)

print("# A whole message, by the document's parser and by ours.")
print(PydanticToolsParser(tools=[GetWeather]).invoke(message))
print(ToolStreamParser([GetWeather]).invoke(message))

llm = ChatVLLM(temperature=0).bind_tools([get_weather])
question = "What is the weather in Paris and Tokyo?"

print("\n# LangChain's parsers behind ChatVLLM, whole answers.")
print((llm | JsonOutputToolsParser(return_id=False)).invoke(question))
print((llm | JsonOutputKeyToolsParser(key_name="get_weather")).invoke(question))
print((llm | PydanticToolsParser(tools=[get_weather])).invoke(question))

print("\n# The same streamed: every list holds all calls so far, cities still growing.")
for calls in (llm | PydanticToolsParser(tools=[get_weather])).stream(question):
    print(calls)

print("\n# Ours streamed: every call once, when it is a call.")
for calls in (llm | ToolStreamParser([get_weather])).stream(question):
    print(calls)

print("\n# A call that is none does not vanish.")
cut = AIMessage(
    content="",
    additional_kwargs={
        "tool_calls": [
            {
                "id": "call_124",
                "type": "function",
                "function": {"name": "GetWeather", "arguments": '{"location": "北'},
            }
        ]
    },
)
print(JsonOutputToolsParser().invoke(cut.model_copy(update={"additional_kwargs": {}})))
print(ToolStreamParser([GetWeather]).invoke(cut))
