"""LangChain's guide to artifacts, cell by cell: what a tool returns beside what the model reads."""

import random
from operator import attrgetter

from langchain_core.tools import BaseTool, tool

from langchain_toolstream import ArtifactTool, ChatVLLM, ToolSet, ToolStreamParser, artifact_tool

random.seed(0)
llm = ChatVLLM(temperature=0)


@tool(response_format="content_and_artifact")
def generate_random_ints(min: int, max: int, size: int) -> tuple[str, list[int]]:
    """Generate size random ints in the range [min, max]."""
    array = [random.randint(min, max) for _ in range(size)]
    content = f"Successfully generated array of {size} random ints in [{min}, {max}]."
    return content, array


print("# Called with arguments, a tool gives its content.")
print(generate_random_ints.invoke({"min": 0, "max": 9, "size": 10}))

print("\n# Called with a whole ToolCall, a message with the artifact.")
call = {
    "name": "generate_random_ints",
    "args": {"min": 0, "max": 9, "size": 10},
    "id": "123",  # required
    "type": "tool_call",  # required
}
print(generate_random_ints.invoke(call))

print("\n# With a model.")
prompt = 'Call generate_random_ints {"min": 0, "max": 9, "size": 10}'
llm_with_tools = llm.bind_tools([generate_random_ints])
message = llm_with_tools.invoke(prompt)
print(message.tool_calls)
print(generate_random_ints.invoke(message.tool_calls[0]))

print("\n# With the arguments of the call alone, the content alone.")
print(generate_random_ints.invoke(message.tool_calls[0]["args"]))

print("\n# As a chain, as the guide has it.")
chain = llm_with_tools | attrgetter("tool_calls") | generate_random_ints.map()
print(chain.invoke(prompt))

print("\n# As a chain that checks the calls, dispatches by name and streams.")
tools = ToolSet([generate_random_ints], read_only=True)
chain = llm.bind_tools(tools) | ToolStreamParser(tools) | tools.map()
for messages in chain.stream(prompt):
    print(messages)


class GenerateRandomFloats(BaseTool):
    """A tool as a class."""

    name: str = "generate_random_floats"
    description: str = "Generate size random floats in the range [min, max]."
    response_format: str = "content_and_artifact"

    ndigits: int = 2

    def _run(self, min: float, max: float, size: int) -> tuple[str, list[float]]:
        range_ = max - min
        array = [round(min + (range_ * random.random()), ndigits=self.ndigits) for _ in range(size)]
        content = f"Generated {size} floats in [{min}, {max}], rounded to {self.ndigits} decimals."
        return content, array


print("\n# From a class.")
rand_gen = GenerateRandomFloats(ndigits=4)
print(rand_gen.invoke({"min": 0.1, "max": 3.3333, "size": 3}))
call = {
    "name": "generate_random_floats",
    "args": {"min": 0.1, "max": 3.3333, "size": 3},
    "id": "123",
    "type": "tool_call",
}
print(rand_gen.invoke(call))
print(ToolSet([rand_gen]).map().invoke([call]))


@artifact_tool("generate_random_ints", read_only=True)
def random_ints(min: int, max: int, size: int) -> list[int]:
    """Generate size random ints in the range [min, max]."""
    return [random.randint(min, max) for _ in range(size)]


print(
    "\n# The same with artifact_tool: what is returned is the artifact, the model reads its kind."
)
print(random_ints.invoke({"min": 0, "max": 9, "size": 10}))
print(random_ints.invoke({"name": random_ints.name, "id": "123", "type": "tool_call",
                          "args": {"min": 0, "max": 9, "size": 10}}))  # fmt: skip

print("\n# Its map() is eager and streams, without a ToolSet.")
chain = llm.bind_tools([random_ints]) | ToolStreamParser([random_ints]) | random_ints.map()
for messages in chain.stream(prompt):
    print(messages)


class RandomFloats(ArtifactTool):
    """The same as a class."""

    name: str = "generate_random_floats"
    description: str = "Generate size random floats in the range [min, max]."

    ndigits: int = 2

    def _run(self, min: float, max: float, size: int) -> list[float]:
        return [round(random.uniform(min, max), ndigits=self.ndigits) for _ in range(size)]


print("\n# And as a class, with a summary of its own.")
rand_gen = RandomFloats(ndigits=4, summary=lambda floats: f"{len(floats)} floats were generated.")
print(rand_gen.invoke(call))
