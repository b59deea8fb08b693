"""What each kind of tool accepts, and what is said of what it does not."""

import asyncio
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    tool,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.v1 import BaseModel as V1BaseModel
from typing_extensions import TypedDict

from langchain_toolstream import ToolStreamParser
from langchain_toolstream.schema.tool_like import as_tool, tool_name
from langchain_toolstream.schema.tool_schema import ToolSchema, tool_schemas
from langchain_toolstream.tools import ToolSet

# Tools of every kind.


def add(a: int, b: int = 1) -> int:
    """Add two integers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


async def fetch(url: str, retries: int | None = None) -> str:
    """Fetch a page."""
    return f"{url} {retries}"


def now() -> str:
    return "noon"


class Item(BaseModel):
    """An item."""

    name: str = Field(min_length=1)
    price: float = Field(alias="unitPrice", gt=0)
    kind: Literal["a", "b"] = "a"
    tags: list[str] = []


class Order(BaseModel):
    """Order things."""

    model_config = ConfigDict(extra="forbid")

    items: list[Item] = Field(max_length=3)
    note: str | None = None
    ship_to: str = Field("home", validation_alias=AliasChoices("shipTo", "to"))


class Checked(BaseModel):
    """Check."""

    low: int
    high: int
    mood: str = "good"

    @field_validator("mood")
    @classmethod
    def _mood(cls, mood: str) -> str:
        errors: dict[str, Exception] = {
            "value": ValueError("no such mood"),
            "assert": AssertionError("not that one"),
            "runtime": RuntimeError("out of order"),
            "key": KeyError("k"),
            "unicode": UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"),
            "recursion": RecursionError("too deep"),
            "stop": StopIteration(),
            "group": ExceptionGroup("several", [ValueError("x")]),
        }
        if mood in errors:
            raise errors[mood]
        return mood

    @model_validator(mode="after")
    def _order(self) -> "Checked":
        if self.low > self.high:
            msg = "low is above high"
            raise ValueError(msg)
        return self


@tool
def look(city: str, call_id: Annotated[str, InjectedToolCallId], days: int = 1) -> str:
    """Look at the sky."""
    return f"{city} {days} {call_id}"


@tool
def ping(call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Ping."""
    return call_id


@tool("check_it", args_schema=Checked)
def check_it(low: int, high: int, mood: str = "good") -> str:
    """Check."""
    return f"{low} {high} {mood}"


@tool(args_schema=Order)
def order(items: list[Item], note: str | None = None, ship_to: str = "home") -> str:
    """Order things."""
    return f"{items} {note} {ship_to}"


class Query(BaseModel):
    """Search."""

    query: str
    limit: int = Field(5, ge=1, le=10)


class Search(BaseTool):
    """A tool written as a class."""

    name: str = "search"
    description: str = "Search."
    args_schema: type[BaseModel] = Query

    def _run(self, query: str, limit: int = 5) -> str:
        return f"{query} {limit}"


class Trip(TypedDict):
    """Book a trip."""

    dest: Annotated[str, ..., "Where to"]
    cls: Literal["eco", "biz"]
    stops: Annotated[list[str], [], "On the way"]


MCP = StructuredTool(
    name="mcp",
    description="From a server.",
    args_schema={
        "type": "object",
        "properties": {"path": {"type": "string"}, "n": {"type": "integer", "minimum": 1}},
        "required": ["path"],
    },
    func=lambda **kwargs: str(kwargs),
)

ITEM = {"name": "x", "unitPrice": 1.5}

# Tool, its name, whether it requires arguments, what it takes, what it does not and why.
TOOLS: dict[str, tuple[Any, str, bool, list[Any], list[tuple[Any, str]]]] = {
    "function": (
        add, "add", True,
        [{"a": 1}, {"a": 1, "b": 2}, {"a": "3"}, {"a": 10**30}],
        [
            ({}, "Field required at $.a"),
            ({"a": 1, "b": None}, "Input should be a valid integer at $.b, got None"),
            ({"a": "x", "b": []},
             ("Input should be a valid integer, unable to parse string as an integer at $.a, "
              "got 'x'; Input should be a valid integer at $.b, got []")),
        ],
    ),
    "async function": (
        fetch, "fetch", True,
        [{"url": "u"}, {"url": "u", "retries": None}],
        [({"url": 5}, "Input should be a valid string at $.url, got 5")],
    ),
    "function without parameters": (now, "now", False, [{}], []),
    "tool with an injected id": (
        look, "look", True,
        [{"city": "A"}, {"city": "A", "days": 2}],
        [({}, "Field required at $.city"), ({"city": "A", "days": "x"}, "at $.days, got 'x'")],
    ),
    "tool with nothing but an injected id": (ping, "ping", False, [{}], []),
    "tool with validators": (
        check_it, "check_it", True,
        [{"low": 1, "high": 2}],
        [
            ({"low": 2, "high": 1},
             "Value error, low is above high at $, got {'low': 2, 'high': 1}"),
            ({"low": 1, "high": 2, "mood": "value"},
             "Value error, no such mood at $.mood, got 'value'"),
            ({"low": 1, "high": 2, "mood": "assert"}, "Assertion failed, not that one at $.mood"),
        ],
    ),
    "tool with a model": (
        order, "order", True,
        [{"items": [ITEM], "shipTo": "x"}, {"items": []}, {"items": [], "to": "x", "note": None}],
        [
            ({"items": [ITEM, {**ITEM, "unitPrice": 0}]},
             "Input should be greater than 0 at $.items[1].unitPrice, got 0"),
            ({"items": [{"name": "x", "price": 1}]}, "Field required at $.items[0].unitPrice"),
            ({"items": [], "more": 1}, "Extra inputs are not permitted at $.more, got 1"),
        ],
    ),
    "tool as a class": (
        Search(), "search", True,
        [{"query": "x"}, {"query": "x", "limit": 10}],
        [({"query": "x", "limit": 11},
         "Input should be less than or equal to 10 at $.limit, got 11")],
    ),
    "tool with a JSON schema": (
        MCP, "mcp", True,
        [{"path": "x"}, {"path": "x", "n": 1, "more": None}, {"path": "x", "n": 0}, {}],
        [],
    ),
    "model": (
        Order, "Order", True,
        [{"items": [ITEM]}],
        [
            ({"items": [{"name": "", "unitPrice": 1, "kind": "c", "tags": ["x", 5]}]},
             ("String should have at least 1 character at $.items[0].name, got ''; "
              "Input should be 'a' or 'b' at $.items[0].kind, got 'c'; "
              "Input should be a valid string at $.items[0].tags[1], got 5")),
            ({"items": [ITEM] * 4},
             "List should have at most 3 items after validation, not 4 at $.items"),
            ({"items": 1, "x": 1, "y": 2, "z": 3, "note": 4}, "; and 2 more"),
        ],
    ),
    "typed dict": (
        Trip, "Trip", True,
        [{"dest": "x", "cls": "eco"}, {"dest": "x", "cls": "biz", "stops": ["y"]}],
        [
            ({"dest": "x"}, "Field required at $.cls"),
            ({"dest": "x", "cls": "first"}, "Input should be 'eco' or 'biz' at $.cls, got 'first'"),
            ({"dest": 5, "cls": "eco"}, "Input should be a valid string at $.dest, got 5"),
            ({"dest": "x", "cls": "eco", "stops": ["y", 5]}, "at $.stops[1], got 5"),
        ],
    ),
    "OpenAI's dict": (
        convert_to_openai_tool(add), "add", True,
        [{"a": 1}, {"a": 1.0}],
        [({"a": "3"}, "Input should be a number at $.a, got '3'"), ({"a": True},
         "at $.a, got True"),
         ({"a": 1.5}, "with a fractional part at $.a, got 1.5")],
    ),
    "function dict": (
        convert_to_openai_tool(add)["function"], "add", True, [{"a": 1}], [({},
        "Field required at $.a")],
    ),
    "JSON schema dict": (
        {"title": "t", "description": "d", "type": "object", "properties": {"x": {"type": "integer",
         "title": "X"}},
         "required": ["x"]},
        "t", True, [{"x": 1}], [({"x": "1"}, "Input should be a number at $.x, got '1'")],
    ),
    "Anthropic's dict": (
        {"name": "t", "input_schema": {"type": "object", "properties": {"x": {"type": "null"}}}},
        "t", False, [{}, {"x": None}], [({"x": 0}, "Input should be None at $.x, got 0")],
    ),
    "dict without parameters": (
        {"type": "function", "function": {"name": "t"}}, "t", False, [{}, {"anything": [1]}], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize("coerce", [False, True])
def test_every_kind_of_tool(kind: str, *, coerce: bool) -> None:
    tool, name, requires, good, wrong = TOOLS[kind]
    schema = ToolSchema(tool, coerce=coerce)
    assert (schema.name, schema.read_only) == (name, False)
    assert tool_name(tool) == name
    for args in good:
        assert schema.validate(args) is None
    assert not requires or {} in good or "Field required" in (schema.validate({}) or "")
    for args, told in wrong:
        if not coerce or isinstance(tool, type) or not isinstance(tool, dict):
            assert told in (schema.validate(args) or "nothing")


@pytest.mark.parametrize("kind", TOOLS)
def test_a_call_is_valid_exactly_when_the_tool_takes_it(kind: str) -> None:
    tool, _, _, good, wrong = TOOLS[kind]
    if not (isinstance(tool, BaseTool) or callable(tool)) or isinstance(tool, type):
        return
    runs = as_tool(tool)
    for args in [*good, *(args for args, _ in wrong), {}]:
        call = {"type": "tool_call", "id": "1", "name": runs.name, "args": args}
        try:
            asyncio.run(runs.ainvoke(call))
        except ValidationError:
            taken = False
        else:
            taken = True
        assert (ToolSchema(tool).validate(args) is None) == taken, args


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        ("runtime", "the tool's own validation raised RuntimeError('out of order')"),
        ("key", "the tool's own validation raised KeyError('k')"),
        ("unicode", "odd"),
        ("recursion", "the tool's own validation raised RecursionError('too deep')"),
        ("stop", "the tool's own validation raised StopIteration()"),
        ("group", "ExceptionGroup('several', [ValueError('x')])"),
    ],
)
@pytest.mark.parametrize("tool", [Checked, check_it])
def test_a_validator_may_raise_anything(tool: Any, mood: str, told: str) -> None:
    assert told in (ToolSchema(tool).validate({"low": 1, "high": 2, "mood": mood}) or "nothing")


def test_a_long_value_is_shown_shortened() -> None:
    told = ToolSchema(add).validate({"a": ["x" * 10_000]})
    assert told == f"Input should be a valid integer at $.a, got ['{'x' * 58}..."


def test_validation_leaves_the_arguments_alone() -> None:
    args = {"items": [dict(ITEM)], "note": None}
    ToolSchema(Order).validate(args)
    assert args == {"items": [ITEM], "note": None}


class Tidied(BaseModel):
    """A model with a validator that works on what it is given."""

    names: list[str]

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, values: dict[str, Any]) -> dict[str, Any]:
        values["names"][:] = [name.upper() for name in values["names"]]
        values.pop("note", None)
        return values


def test_a_validator_of_the_users_leaves_the_arguments_alone() -> None:
    args = {"names": ["ann"], "note": "x"}
    assert ToolSchema(Tidied).validate(args) is None
    assert args == {"names": ["ann"], "note": "x"}


@tool
def pay(amount: int, account: Annotated[str, InjectedToolArg]) -> str:
    """Pay."""
    return f"{amount} from {account}"


def test_a_model_cannot_give_what_the_application_injects() -> None:
    schema = ToolSchema(pay)
    assert schema.validate({"amount": 3}) is None
    assert schema.validate({"amount": 3, "account": "the boss's"}) == (
        "the tool is given this value by the application, not by the model, at $.account"
    )


class OldOrder(V1BaseModel):
    """Order, as pydantic 1 wrote it."""

    count: int


def test_a_tool_with_a_model_of_pydantic_1_converts_as_it_does() -> None:
    made = StructuredTool(name="old", description="Old.", args_schema=OldOrder, func=lambda: "")
    assert ToolSchema(made).validate({"count": "3"}) is None
    assert ToolSchema(made).validate({"count": "many"}) is not None
    assert ToolSchema(made).validate({}) == "Field required at $.count"


# Sets of tools.


@pytest.mark.parametrize(
    "one", [add, look, Order, "add", MCP, 5, None, AIMessage(content="")], ids=lambda x: str(x)[:20]
)
def test_one_thing_is_no_list_of_tools(one: Any) -> None:
    for take in (tool_schemas, ToolSet, *([ToolStreamParser] if one is not None else [])):
        with pytest.raises(TypeError, match="list of tools"):
            take(one)


def test_a_mix_of_tools_by_name() -> None:
    schemas = tool_schemas(
        [
            add,
            look,
            Order,
            Trip,
            MCP,
            {"type": "web_search"},
            {"type": "function", "function": {"name": "t"}},
        ]
    )
    assert list(schemas) == ["add", "look", "Order", "Trip", "mcp", "t"]
    assert not any(schema.read_only for schema in schemas.values())
    assert tool_schemas([]) == {}


def test_coerce_reaches_every_schema() -> None:
    described = convert_to_openai_tool(add)
    assert tool_schemas([described])["add"].validate({"a": "3"})
    assert tool_schemas([described], coerce=True)["add"].validate({"a": "3"}) is None


def test_a_tool_set_knows_who_is_read_only() -> None:
    schemas = tool_schemas(ToolSet([add, look], read_only=["look"]))
    assert [(name, schema.read_only) for name, schema in schemas.items()] == [
        ("add", False),
        ("look", True),
    ]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(
        ValueError, match="Two tools are named 'add'; a call could not tell them apart"
    ):
        tool_schemas([add, convert_to_openai_tool(add)])


@pytest.mark.parametrize(
    "unknown", [{}, {"x": 1}, {"type": "function"}, {"toolSpec": {"name": "t"}}], ids=str
)
def test_a_dict_in_no_known_form_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (langchain-core words it)
        ToolSchema(unknown)


def test_a_function_becomes_a_tool_and_a_tool_stays_one() -> None:
    assert as_tool(look) is look
    made = as_tool(add)
    assert (made.name, made.description) == ("add", "Add two integers.")
    assert made.args["a"]["description"] == "The first."
    assert made.invoke({"a": 3, "b": 4}) == 7
    assert asyncio.run(as_tool(fetch).ainvoke({"url": "u"})) == "u None"
    assert as_tool(now).description == "now"


@pytest.mark.parametrize(
    ("schema", "shown"), [(Order, "Order"), (Trip, "Trip"), ({"name": "t"}, "{'name': 't'}")]
)
def test_what_cannot_run_is_no_tool(schema: Any, shown: str) -> None:
    with pytest.raises(TypeError) as raised:
        as_tool(schema)
    assert str(raised.value).startswith(f"{shown} describes a call but cannot run it.")
