"""A call is valid exactly when its tool takes it: any tool, any arguments, beside LangChain."""

import functools
import json
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    tool,
)
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic.v1 import ValidationError as ValidationErrorV1
from pydantic.v1 import create_model as create_model_v1

from langchain_toolstream import PartialToolsParser, ToolSet, ToolStreamParser, artifact_tool
from langchain_toolstream.schema.tool_like import as_tool
from langchain_toolstream.schema.tool_schema import ToolSchema


class Color(Enum):
    """A color, in any case."""

    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> "Color | None":
        return cls.RED if str(value).lower() == "red" else None


def _as_list(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


class Inner(BaseModel):
    """A model inside."""

    model_config = ConfigDict(extra="forbid")

    n: int
    tags: list[str] = []


TYPES: list[Any] = [
    int,
    float,
    bool,
    str,
    date,
    int | None,
    list[int],
    dict[str, int],
    Inner,
    list[Inner],
    Color,
    Literal["s", "m"],
    Annotated[int, Field(ge=0, le=5)],
    Annotated[str, Field(min_length=1, pattern="^a")],
    Annotated[list[str], BeforeValidator(_as_list)],
    Annotated[Literal["s", "m"], BeforeValidator(lambda v: str(v).lower())],
    Any,
]
NAMES = ["a", "b", "c"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "ab", "S", "Red", "3", "2024-05-01", '["q"]', "1.5", "true"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["n", "tags", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def fields(draw: st.DrawFn, *, types: list[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    return {
        name: (draw(st.sampled_from(types)), ... if draw(st.booleans()) else None) for name in names
    }


def _runs(**_: Any) -> str:
    return "ran"


def _says(x: Any) -> str:
    return f"ran {x}"


def _upper(x: str) -> str:
    return x.upper()


class Loose(BaseTool):
    """A tool without a schema."""

    name: str = "t"
    description: str = "T."

    def _run(self, *_: Any, **__: Any) -> str:
        return "ran"


@st.composite
def tools(draw: st.DrawFn) -> BaseTool:
    """A tool of any kind that LangChain has."""
    handles = draw(st.sampled_from([False, False, True, "Bad input."]))
    told: Any = {"name": "t", "description": "T.", "handle_validation_error": handles}
    kind = draw(st.sampled_from(["model", "old model", "dict", "single", "loose", "injected"]))
    if kind == "single":
        return Tool(**told, func=_says)
    if kind == "loose":
        return Loose(handle_validation_error=handles)
    if kind == "dict":
        schema: Any = {"type": "object", "properties": {"a": {"type": "integer"}}}
    elif kind == "old model":
        schema = create_model_v1("Old", **draw(fields(types=[int, str, list[int], float])))
    else:
        config = ConfigDict(extra=draw(st.sampled_from(["ignore", "forbid", "allow"])))
        more: Any = {}
        if kind == "injected":
            more = {"call": (Annotated[str, InjectedToolCallId], ...)}
        made: Any = draw(fields(types=TYPES))
        schema = create_model("New", __config__=config, **made, **more)
    return StructuredTool(**told, args_schema=schema, func=_runs)


def taken_by(runs: BaseTool, args: dict[str, Any]) -> bool:
    """Whether the tool gets past its input parsing."""
    call = {"type": "tool_call", "id": "1", "name": runs.name, "args": json.loads(json.dumps(args))}
    try:
        runs.invoke(call)
    except (ValidationError, ValidationErrorV1, ToolException):
        return False
    return True


def taken_by_ours(runs: BaseTool, args: dict[str, Any]) -> bool:
    message = AIMessage("", tool_calls=[{"name": runs.name, "args": args, "id": "1"}])
    ((call,), (view,)) = (
        parser.invoke(message) for parser in (ToolStreamParser([runs]), PartialToolsParser([runs]))
    )
    assert (call["type"] == "tool_call") == (view.tool_call is not None) == (view.error is None)
    assert (ToolSchema(runs).validate(args) is None) == (call["type"] == "tool_call")
    return bool(call["type"] == "tool_call")


@given(runs=tools(), args=st.dictionaries(st.sampled_from([*NAMES, "x"]), VALUES, max_size=3))
def test_a_call_is_valid_exactly_when_the_tool_takes_it(
    runs: BaseTool, args: dict[str, Any]
) -> None:
    assert taken_by_ours(runs, args) == taken_by(runs, args)


# Kinds of tools that LangChain's users have, and arguments that they are called with.


class Sub(BaseTool):
    """With what LangChain gives to a tool."""

    name: str = "sub"
    description: str = "S."

    def _run(
        self, query: str, config: RunnableConfig, run_manager: CallbackManagerForToolRun
    ) -> str:
        return f"{query} {config.get('run_name')} {run_manager.tags}"


class Parses(StructuredTool):
    """A tool that reads its input in its own way."""

    def _parse_input(self, tool_input: Any, tool_call_id: str | None) -> Any:
        return super()._parse_input({"a": tool_input.get("A")}, tool_call_id)


class WithState(BaseModel):
    """Arguments, of which the application gives one."""

    text: str
    state: Annotated[dict[str, int], InjectedToolArg]

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, values: Any) -> Any:
        return values.get("args", values)

    @model_validator(mode="after")
    def _within(self) -> "WithState":
        if len(self.text) > self.state["limit"]:
            msg = "too long"
            raise ValueError(msg)
        return self


class Number(BaseModel):
    """A number."""

    a: int


KINDS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "LangChain's Tool": (
        Tool(name="t", description="T.", func=_says),
        [{"__arg1": "x"}, {"anything": "x"}],
        [{}, {"a": "x", "b": "y"}],
    ),
    "LangChain's Tool with a schema": (
        Tool(name="t", description="T.", func=_says, args_schema=Number),
        [{"a": 1}, {"a": "3"}],
        [{}, {"a": "x"}],
    ),
    "without a schema": (Sub(), [{"query": "x"}, {"query": 3}], []),
    "as_tool of a str": (
        lambda: RunnableLambda(_upper).as_tool(name="s", description="S."),
        [{"__arg1": "x"}],
        [{}],
    ),
    "as_tool of a dict": (
        lambda: RunnableLambda(_says).as_tool(arg_types={"a": int}, name="s", description="S."),
        [{"a": 1}, {"a": "1"}],
        [{"a": "x"}, {}],
    ),
    "with its own parsing": (
        Parses.from_function(lambda a: a, name="p", description="P.", args_schema=Number),
        [{"A": 1}],
        [{"a": 1}, {}],
    ),
    "that handles what does not fit": (
        StructuredTool(
            name="h",
            description="H.",
            args_schema=Number,
            func=_runs,
            handle_validation_error=True,
        ),
        [{"a": 1}, {"a": "x"}, {}],
        [],
    ),
    "without parameters": (
        as_tool(lambda: "ran"),
        [{}, {"more": 1}],
        [],
    ),
}


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind: str) -> None:
    made, good, bad = KINDS[kind]
    runs = made if isinstance(made, BaseTool) else made()
    if kind == "without a schema":  # an unexpected type is the function's to notice
        assert all(taken_by_ours(runs, args) for args in good)
        return
    for args in [*good, *bad]:
        assert taken_by(runs, args) == taken_by_ours(runs, args) == (args in good), args


def test_validators_of_a_model_that_gets_injected_values_decide_what_they_can() -> None:
    @tool(args_schema=WithState)
    def note(text: str, state: dict[str, int]) -> str:
        """Note."""
        return f"{text} {state}"

    schema = ToolSchema(note)
    assert schema.validate({"text": "x"}) is None
    assert schema.validate({"args": {"text": "x"}}) is None
    assert schema.validate({"text": 5}) == "Input should be a valid string at $.text, got 5"
    assert "application" in (schema.validate({"text": "x", "state": {"limit": 9}}) or "")
    (view,) = PartialToolsParser([note]).invoke(
        AIMessage("", tool_calls=[{"name": "note", "args": {"text": "x"}, "id": "1"}])
    )
    assert view.tool_call is not None


def greet(greeting: str, name: str, times: int = 1) -> str:
    """Greet someone.

    Args:
        greeting: How.
        name: Whom.
        times: How often.
    """
    return f"{greeting} {name}" * times


async def agreet(greeting: str, name: str) -> str:
    """Greet someone."""
    return f"{greeting} {name}"


class Greeter:
    """A greeter."""

    def __call__(self, name: str) -> str:
        """Greet."""
        return f"hi {name}"


class AsyncGreeter:
    """An async greeter."""

    async def __call__(self, name: str) -> str:
        return f"hi {name}"


@pytest.mark.parametrize(
    ("function", "name", "description", "properties", "said"),
    [
        (functools.partial(greet, greeting="Hello"), "greet", "Greet someone.", 2, "Hello x"),
        (functools.partial(greet, "Hello", times=1), "greet", "Greet someone.", 1, "Hello x"),
        (functools.partial(functools.partial(greet, "Hi"), times=2), "greet", None, 1, "Hi xHi x"),
        (functools.partial(agreet, "Hello"), "agreet", "Greet someone.", 1, "Hello x"),
        (functools.partial(Greeter().__call__), "__call__", "Greet.", 1, "hi x"),
        (Greeter(), "Greeter", "Greet.", 1, "hi x"),
        (AsyncGreeter(), "AsyncGreeter", "An async greeter.", 1, "hi x"),
    ],
    ids=str,
)
async def test_partials_and_callable_objects_are_tools(
    function: Callable[..., Any], name: str, description: str | None, properties: int, said: str
) -> None:
    tools = ToolSet([function])
    (made,) = tools
    assert made.name == name
    assert description is None or made.description.startswith(description)
    assert len(made.args) == properties
    call = {"name": name, "args": {"name": "x"}, "id": "1", "type": "tool_call"}
    for known in (tools, [function]):
        (parsed,) = ToolStreamParser(known).invoke(AIMessage("", tool_calls=[call]))
        assert parsed == call
        (bad,) = ToolStreamParser(known).invoke(AIMessage("", tool_calls=[{**call, "args": {}}]))
        assert "Field required at $.name" in (bad["error"] or "")
    assert (await tools.ainvoke(call)).content == said


def test_a_model_cannot_overwrite_what_a_partial_has_bound() -> None:
    (made,) = ToolSet([functools.partial(greet, greeting="Hello")])
    call = {"name": "greet", "args": {"name": "x", "greeting": "Bye"}, "id": "1"}
    assert made.invoke({**call, "type": "tool_call"}).content == "Hello x"


def test_an_artifact_tool_of_a_partial() -> None:
    made = artifact_tool(functools.partial(greet, "Hello"))
    assert made.name == "greet"
    assert made.invoke({"name": "x"}) == "Hello x"


class Old(BaseModelV1):
    """A model of pydantic 1."""

    lines: list[int]


def test_what_a_model_of_pydantic_1_does_not_take_has_its_place() -> None:
    made = StructuredTool(name="old", description="Old.", args_schema=Old, func=_runs)
    told = ToolSchema(made).validate({"lines": [1, "x"]})
    assert told == "Value is not a valid integer at $.lines[1], got 'x'"
