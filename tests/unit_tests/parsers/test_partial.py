"""What a call shows of itself while it is written, and what is never shown."""

import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import InjectedToolCallId, tool
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from langchain_toolstream import PartialToolsParser, ToolCallError, ToolCallView, ToolSet
from langchain_toolstream.core.errors import IncompleteStreamError
from tests.unit_tests.core.helpers import growth
from tests.unit_tests.scripted import ScriptedChat, chunk, part, written

END = chunk(finish_reason="tool_calls")


class Pay(BaseModel):
    """Pay somebody."""

    to: str
    amount: int


class Person(BaseModel):
    age: int
    hair_color: str
    job: str


class NameCollector(BaseModel):
    """Collect names."""

    names: list[str]
    person: Person


def pieces_of(name: str, *pieces: str) -> list[AIMessageChunk]:
    first, *others = pieces
    return [
        chunk(part(first, call_id="call_1", name=name)),
        *(chunk(part(piece)) for piece in others),
        END,
    ]


def views(parser: PartialToolsParser, chunks: list[AIMessageChunk]) -> list[ToolCallView]:
    return list(parser.transform(iter(chunks)))


def until_it_raises(stream: Iterator[ToolCallView]) -> tuple[list[ToolCallView], ToolCallError]:
    collected: list[ToolCallView] = []
    with pytest.raises(ToolCallError) as raised:
        collected.extend(stream)
    return collected, raised.value


# What langchain-core's own tests of its parsers are about, cut as a model of OpenAI's wrote it.
PIECES = [
    "", '{"na', 'mes":', ' ["suz', 'y", ', '"jerm', 'aine",', ' "al', 'ex"],', ' "pers', 'on":',
    ' {"ag', 'e": 39', ', "h', "air_c", 'olor":', ' "br', 'own",', ' "job"', ': "c', "oncie",
    'rge"}}',
]  # fmt: skip


def test_a_nested_model_is_shown_field_by_field() -> None:
    collected = views(PartialToolsParser([NameCollector]), pieces_of("NameCollector", *PIECES))
    names = ["suzy", "jermaine", "alex"]
    person = Person.model_construct

    def collector(**fields: Any) -> NameCollector:
        return NameCollector.model_construct(**fields)

    assert [view.model for view in collected] == [
        None,  # nothing but the name of the call
        collector(names=["suz"]),
        collector(names=["suzy"]),
        collector(names=["suzy", "jerm"]),
        collector(names=["suzy", "jermaine"]),
        collector(names=["suzy", "jermaine", "al"]),
        collector(names=names),
        collector(names=names, person=person()),
        collector(names=names, person=person(age=39)),
        collector(names=names, person=person(age=39, hair_color="br")),
        collector(names=names, person=person(age=39, hair_color="brown")),
        collector(names=names, person=person(age=39, hair_color="brown", job="c")),
        collector(names=names, person=person(age=39, hair_color="brown", job="concie")),
        collector(names=names, person=Person(age=39, hair_color="brown", job="concierge")),
        collector(names=names, person=Person(age=39, hair_color="brown", job="concierge")),
    ]
    assert collected[1].model.model_fields_set == {"names"}
    assert not hasattr(collected[1].model, "person")
    assert [view.tool_call is None for view in collected] == [True] * 14 + [False]
    assert collected[-1].model == NameCollector.model_validate(collected[-1].args)


def test_a_number_is_not_shown_before_it_is_finished() -> None:
    for size in range(1, 31):
        text = '{"to": "alice", "amount": 1250}'
        collected = views(PartialToolsParser([Pay]), written(0, "call_1", "Pay", text, size=size))
        assert {getattr(view.model, "amount", 1250) for view in collected} == {1250}
        assert {view.args.get("amount", 1250) for view in collected} == {1250}
        assert collected[-1].model == Pay(to="alice", amount=1250)


def test_a_view_that_is_kept_stays_as_it_was() -> None:
    text = '{"names": ["a\\u00e9", "b"], "person": {"age": 1, "hair_color": "red", "job": "x"}}'
    chunks = [*written(0, "call_1", "NameCollector", text, size=1), END]
    parser = PartialToolsParser([NameCollector])
    at_once = [
        (copy.deepcopy(view.args), copy.deepcopy(view.model), set(view.finished))
        for view in parser.transform(iter(chunks))
    ]
    later = views(parser, chunks)
    backwards = [(view.args, view.model, set(view.finished)) for view in reversed(later)]
    assert backwards[::-1] == at_once
    assert len(at_once) == len({str(one) for one in at_once[:-1]}) + 1


# Types of every kind.


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    puppies: list["Dog"] = []


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    inside: T


class Numbers(RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Point:
    """Go to a point."""

    x: int
    y: int = 0


class Everything(BaseModel):
    """Take everything."""

    when: datetime | None = None
    color: Color | None = None
    mood: Literal["good", "bad"] | None = None
    size: Annotated[int, Field(ge=1, le=9, alias="theSize")] = 1
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    either: Cat | Dog | None = None
    loose: str | int | list[int] | Cat | None = None
    people: dict[str, Person] = {}
    box: Box[Box[int]] | None = None
    numbers: Numbers | None = None
    point: Point | None = None
    many: set[int] | None = None
    anything: Any = None
    bare: dict[str, Any] = {}


SHOWN: dict[str, tuple[str, list[str]]] = {
    "a datetime comes whole": (
        '{"when": "2026-01-02T03:04:05"}',
        ["when=datetime.datetime(2026, 1, 2, 3, 4, 5)"],
    ),
    "a member comes whole": ('{"color": "blue"}', ["color=<Color.BLUE: 'blue'>"]),
    "a literal comes whole": ('{"mood": "good"}', ["mood='good'"]),
    "by its alias": ('{"theSize": 3 }', ["size=3"]),
    "not by its name": ('{"size": 3}', []),
    "null": ('{"pet": null }', ["pet=None"]),
    "a branch is known by its tag": (
        '{"pet": {"kind": "dog", "name": "Io"}}',
        [
            "pet=Dog(kind='dog')",
            "pet=Dog(kind='dog', name='')",
            "pet=Dog(kind='dog', name='I')",
            "pet=Dog(kind='dog', name='Io')",
            "pet=Dog(kind='dog', name='Io', puppies=[])",
        ],
    ),
    "a tag behind the rest": (
        '{"pet": {"lives": 9, "kind": "cat"}}',
        ["pet=Cat(lives=9, kind='cat')", "pet=Cat(kind='cat', lives=9)"],
    ),
    "a branch that nothing tells is known at the end": (
        '{"either": {"kind": "dog", "name": "Io"}}',
        ["either=Dog(kind='dog', name='Io', puppies=[])"],
    ),
    "one branch takes lists": (
        '{"loose": [1, 2]}',
        ["loose=[]", "loose=[1]", "loose=[1, 2]"],
    ),
    "one branch takes objects": (
        '{"loose": {"lives": 9, "kind": "cat"}}',
        [
            "loose=Cat()",
            "loose=Cat(lives=9)",
            "loose=Cat(lives=9, kind='cat')",
            "loose=Cat(kind='cat', lives=9)",
        ],
    ),
    "a model that contains itself": (
        '{"pet": {"kind": "dog", "name": "", "puppies": [{"kind": "dog"',
        [
            "pet=Dog(kind='dog')",
            "pet=Dog(kind='dog', name='')",
            "pet=Dog(kind='dog', name='', puppies=[])",
            "pet=Dog(kind='dog', name='', puppies=[Dog()])",
            "pet=Dog(kind='dog', name='', puppies=[Dog(kind='dog')])",
        ],
    ),
    "a dict of models": (
        '{"people": {"Al": {"age": 3,',
        ["people={}", "people={'Al': Person()}", "people={'Al': Person(age=3)}"],
    ),
    "a generic": (
        '{"box": {"inside": {"inside": 3}}}',
        [
            "box=Box[Box[int]]()",
            "box=Box[Box[int]](inside=Box[int]())",
            "box=Box[Box[int]](inside=Box[int](inside=3))",
        ],
    ),
    "a root model comes whole": ('{"numbers": [1]}', ["numbers=Numbers(root=[1])"]),
    "a set comes whole": ('{"many": [1, 2]}', ["many={1, 2}"]),
    "anything": (
        '{"anything": [{"a": "b"}]}',
        ["anything=[]", "anything=[{}]", "anything=[{'a': ''}]", "anything=[{'a': 'b'}]"],
    ),
    "a bare dict": ('{"bare": {"a": 1}}', ["bare={}", "bare={'a': 1}"]),
    "what is not asked for": ('{"other": {"a": 1}}', []),
}


@pytest.mark.parametrize(("text", "expected"), SHOWN.values(), ids=SHOWN)
def test_what_each_kind_of_field_shows(text: str, expected: list[str]) -> None:
    collected = views(PartialToolsParser([Everything]), pieces_of("Everything", *text))
    is_whole = collected[-1].tool_call is not None
    growing = [str(view.model) for view in collected if () not in view.finished]
    assert list(dict.fromkeys(text for text in growing if text)) == expected
    if is_whole:
        parsed = Everything.model_validate_json(text)
        assert collected[-1].model == parsed
        assert collected[-1].model.model_fields_set == parsed.model_fields_set


def test_a_dataclass_is_that_dataclass() -> None:
    parser = PartialToolsParser([Point])
    first, *_, last = views(parser, pieces_of("Point", '{"x": 3, ', '"y": "4"}'))
    assert type(first.model) is Point
    assert first.model.x == 3
    assert last.model == Point(3, 4)


class Trip(TypedDict):
    """Book a trip."""

    dest: Annotated[str, ..., "Where to"]
    nights: int


@tool
def book(dest: str, nights: Annotated[int, Field(ge=1)] = 1) -> str:
    """Book a trip."""
    return f"{dest} {nights}"


def book_it(dest: str, nights: int = 1) -> str:
    """Book a trip."""
    return f"{dest} {nights}"


SCHEMA = {
    "title": "Trip",
    "description": "Book a trip.",
    "type": "object",
    "properties": {"dest": {"type": "string"}, "nights": {"type": "integer", "minimum": 1}},
    "required": ["dest"],
}


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (Trip, "Trip"),
        (book, "book"),
        (book_it, "book_it"),
        (SCHEMA, "Trip"),
        (ToolSet([book]), "book"),
    ],
    ids=["typed dict", "tool", "function", "JSON schema", "ToolSet"],
)
def test_whatever_bind_tools_takes(one: Any, name: str) -> None:
    parser = PartialToolsParser(one if isinstance(one, ToolSet) else [one])
    collected = views(parser, pieces_of(name, '{"dest": "Os', 'lo", "nights": 2', "}"))
    fields = [
        view.model if isinstance(view.model, dict) else view.model.__dict__ for view in collected
    ]
    whole = {"dest": "Oslo", "nights": 2}
    assert fields == [{"dest": "Os"}, {"dest": "Oslo"}, whole, whole]
    assert collected[-1].tool_call is not None
    wrong = views(parser, pieces_of(name, '{"nights": ["x"], "dest": "Os', 'lo"}'))
    assert wrong[0].error_path == ("nights",)
    assert wrong[-1].error is not None


def test_without_tools_nothing_is_validated() -> None:
    collected = views(PartialToolsParser(), pieces_of("any", '{"a": [1, "b'))
    assert [view.model for view in collected[:1]] == [{"a": [1, "b"]}]
    assert collected[0].args == {"a": [1, "b"]}


# What is refused, where, and when.


class Shelter(BaseModel):
    is_a: Literal["shelter"]


class Keeper(BaseModel):
    is_a: Literal["keeper"]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Strict(BaseModel):
    """Be strict."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(1, ge=1, le=9)
    color: Color = Color.RED
    people: list[Person] = Field(default=[], max_length=2)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    loose: int | list[int] | None = None
    owner: Annotated[Shelter | Keeper, Field(discriminator="is_a")] | None = None


PERSON = '{"age": 1, "hair_color": "", "job": ""}'
REFUSED = {
    "wrong type": ('{"size": "x"', ("size",)),
    "out of range": ('{"size": 10,', ("size",)),
    "not in the enum": ('{"color": "green"', ("color",)),
    "unknown field": ('{"colour": "', ("colour",)),
    "unknown number": ('{"colour": 1,', ("colour",)),
    "a string where an object should be": ('{"people": ["x"', ("people", 0)),
    "in a nested model": ('{"people": [{"age": "x"', ("people", 0, "age")),
    "missing in a nested model": ('{"people": [{"age": 1}', ("people", 0, "hair_color")),
    "a tag that nothing has": ('{"pet": {"kind": "cow"', ("pet", "kind")),
    "a field of the branch, behind the tag": (
        '{"pet": {"kind": "cat", "lives": "x"',
        ("pet", "lives"),
    ),
    "a field of the branch, before the tag": (
        '{"pet": {"lives": "x", "kind": "cat"',
        ("pet", "lives"),
    ),
    "a tag that nothing has, before what says that it is one": (
        '{"owner": {"pet": {"kind": "cow"}, "is_a": "keeper"',
        ("owner", "pet", "kind"),
    ),
    "in the one branch that takes it": ('{"loose": ["x"', ("loose", 0)),
    "too many": ('{"people": [' + ", ".join([PERSON] * 3) + "]", ("people",)),
}


@pytest.mark.parametrize(("text", "path"), REFUSED.values(), ids=REFUSED)
def test_a_field_is_refused_the_moment_it_is_finished(text: str, path: tuple[Any, ...]) -> None:
    collected = views(PartialToolsParser([Strict]), pieces_of("Strict", *text))
    seen = [view.error_path for view in collected if view.error is not None]
    # By the last character, but for the end of the message, which cuts it.
    assert seen[0] == path
    assert all(view.error is None for view in collected[: -len(seen)])
    early = views(PartialToolsParser([Strict]), pieces_of("Strict", *text[:-1]))
    assert all(view.error_path is None for view in early)


@pytest.mark.parametrize("mode", ["emit", "raise", "abort"])
def test_the_reason_names_the_place_and_the_value(mode: Any) -> None:
    stream = PartialToolsParser([Strict], on_invalid=mode).transform(
        iter(pieces_of("Strict", '{"size": 10, ', '"color": "red"}'))
    )
    message = "Input should be less than or equal to 9 at $.size, got 10"
    if mode == "emit":
        collected = list(stream)
    else:
        collected, error = until_it_raises(stream)
        (invalid,) = error.invalid_tool_calls
        assert message in str(invalid["error"])
        whole = '{"size": 10, "color": "red"}'
        assert invalid["args"] == ('{"size": 10, ' if mode == "abort" else whole)
    assert message in str(collected[-1].error)
    assert collected[-1].tool_call is None


class Rewrites(BaseModel):
    """Have the first and the last word."""

    size: int
    other: int = 0
    inner: "Rewritten | None" = None
    low: int = 0
    high: int = Field(0, validation_alias=AliasChoices("high", "top", AliasPath("ends", 1)))

    @field_validator("low")
    @classmethod
    def _low(cls, low: int, info: ValidationInfo) -> int:
        if info.data["size"] < low:
            msg = "low is above size"
            raise ValueError(msg)
        return low

    @model_validator(mode="after")
    def _sum(self) -> "Rewrites":
        if self.size + self.other > 10:
            msg = "too much"
            raise ValueError(msg)
        return self


class Rewritten(BaseModel):
    size: int

    @model_validator(mode="before")
    @classmethod
    def _before(cls, value: Any) -> Any:
        return {"size": value["sizes"][0]} if isinstance(value, dict) else value


ACCEPTED = [
    '{"size": "3", "inner": {"size": "no number", "sizes": [3]}, "low": 2}',
    '{"size": 3, "top": "no number", "high": 4}',
    '{"size": 3, "ends": [0, "7"]}',
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_nothing_is_refused_that_the_whole_schema_takes(text: str) -> None:
    for size in (1, 7, len(text)):
        chunks = written(0, "call_1", "Rewrites", text, size=size)
        collected = views(PartialToolsParser([Rewrites]), chunks)
        assert [view.error for view in collected] == [None] * len(collected)
        assert collected[-1].model == Rewrites.model_validate_json(text)


def test_what_only_the_whole_can_tell_is_told_when_it_closes() -> None:
    chunks = pieces_of("Rewrites", '{"size": 8, "other": 7', "}", " ")
    collected = views(PartialToolsParser([Rewrites]), chunks)
    assert [view.error is None for view in collected] == [True, False]
    assert "too much at $" in str(collected[1].error)
    assert collected[1].error_path == ()


def test_a_function_that_the_application_gives_values_to() -> None:
    @tool
    def look(city: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
        """Look."""
        return f"{city} {call_id}"

    chunks = pieces_of("look", '{"call_id": "', 'x", "city": "Oslo"}')
    first, *_ = views(PartialToolsParser([look]), chunks)
    assert first.error_path == ("call_id",)
    assert "given this value by the application" in str(first.error)


# Messages that end badly, or oddly.

GOOD = '{"to": "al", "amount": 3}'
ENDS: dict[str, tuple[list[AIMessageChunk], str | None]] = {
    "good": ([*written(0, "call_1", "Pay", GOOD), END], None),
    "cut": ([*written(0, "call_1", "Pay", GOOD[:-5]), chunk(finish_reason="length")], "cut off"),
    "cut and closed by the server": (
        [*written(0, "call_1", "Pay", GOOD), chunk(finish_reason="length")],
        "cut off",
    ),
    "not JSON": ([*written(0, "call_1", "Pay", '{"to": al}'), END], "not JSON"),
    "not JSON in a string": ([*written(0, "call_1", "Pay", '{"to": "a\n'), END], "not JSON"),
    "unknown": ([*written(0, "call_1", "Play", GOOD), END], "No tool 'Play' is bound"),
    "contradicted": ([*written(0, "call_1", "Pay", GOOD + '{"to"'), END], "followed"),
    "missing": ([*written(0, "call_1", "Pay", '{"to": "al"}'), END], "Field required at $.amount"),
    "no arguments": ([*written(0, "call_1", "Pay", ""), END], "Field required at $.to"),
    "encoded twice": (
        [*written(0, "call_1", "Pay", '"{\\"to\\": \\"al\\", \\"amount\\": 3}"'), END],
        None,
    ),
    "a list": ([*written(0, "call_1", "Pay", '["al", 3]'), END], "have to be a JSON object"),
}


@pytest.mark.parametrize(("chunks", "error"), ENDS.values(), ids=ENDS)
def test_the_last_view_is_a_call_or_says_why_not(
    chunks: list[AIMessageChunk], error: str | None
) -> None:
    collected = views(PartialToolsParser([Pay]), chunks)
    last = collected[-1]
    assert all(view.tool_call is None for view in collected[:-1])
    if error is None:
        assert last.error is None
        assert last.tool_call == {
            "name": "Pay", "args": {"to": "al", "amount": 3}, "id": "call_1", "type": "tool_call",
        }  # fmt: skip
        assert last.model == Pay(to="al", amount=3)
        assert () in last.finished
    else:
        assert last.tool_call is None
        assert error in str(last.error)
    with_error = [view for view in collected if view.error is not None]
    assert len({view.error for view in with_error}) == len(with_error)


def test_a_string_in_which_the_text_turns_wrong_is_still_shown() -> None:
    collected = views(PartialToolsParser([Pay]), pieces_of("Pay", '{"to": "al', "ice\n"))
    assert [view.args for view in collected] == [{"to": "al"}, {"to": "alice"}, {"to": "alice"}]
    assert "control character" in str(collected[-1].error)


def test_a_tool_without_arguments() -> None:
    def now() -> str:
        """Tell the time."""
        return "noon"

    for args in ("", "{}", "null"):
        last = views(PartialToolsParser([now]), pieces_of("now", args))[-1]
        assert last.tool_call is not None
        assert last.args == {}
        assert last.model.model_dump() == {}


def test_the_call_of_a_read_only_tool_may_be_taken_back() -> None:
    tools = ToolSet([book], read_only=True)
    chunks = [*written(0, "call_1", "book", '{"dest": "Oslo"}'), chunk(part("{")), END]
    *_, ready, revoked = views(PartialToolsParser(tools), chunks)
    assert ready.tool_call is not None
    assert revoked.tool_call is None
    assert "followed" in str(revoked.error)


def test_a_message_without_a_finish_reason_raises() -> None:
    chunks = [*written(0, "call_1", "Pay", GOOD), chunk(model_provider="vllm")]
    with pytest.raises(IncompleteStreamError):
        views(PartialToolsParser([Pay]), chunks)


def test_calls_in_turns_each_have_their_views() -> None:
    chunks = [
        chunk(part("", index=0, call_id="a", name="Pay")),
        chunk(part("", index=1, call_id="b", name="Pay")),
        chunk(part('{"to": "x', index=0), part('{"to": "y', index=1)),
        chunk(part('x", "amount": 1}', index=1)),
        chunk(part('x", "amount": 2}', index=0)),
        END,
    ]
    collected = views(PartialToolsParser([Pay]), chunks)
    assert [(view.id, view.index, str(view.model)) for view in collected] == [
        ("a", 0, "None"),
        ("b", 1, "None"),
        ("a", 0, "to='x'"),
        ("b", 1, "to='y'"),
        ("b", 1, "to='yx' amount=1"),
        ("a", 0, "to='xx' amount=2"),
        ("a", 0, "to='xx' amount=2"),
        ("b", 1, "to='yx' amount=1"),
    ]


# As a step of a chain.


def as_data(view: ToolCallView) -> tuple[Any, ...]:
    return (
        view.id, view.name, view.index, view.args, view.model, set(view.finished), view.tool_call,
        view.error, view.error_path,
    )  # fmt: skip


@pytest.mark.parametrize("chunks", [chunks for chunks, _ in ENDS.values()], ids=ENDS)
@pytest.mark.parametrize("mode", ["emit", "raise", "abort"])
async def test_sync_and_async_say_the_same(chunks: list[AIMessageChunk], mode: Any) -> None:
    chain = ScriptedChat(chunks=chunks) | PartialToolsParser([Pay], on_invalid=mode)
    outcomes = []
    for how in (streamed, a_streamed, invoked, a_invoked):
        collected: list[ToolCallView] = []
        error = None
        try:
            await how(chain, collected)
        except ToolCallError as raised:
            error = str(raised)
        outcomes.append(([as_data(view) for view in collected], error))
    assert outcomes[0] == outcomes[1]
    assert outcomes[2] == outcomes[3]
    assert outcomes[0][1] is None or mode != "emit"


async def streamed(chain: Runnable[Any, Any], collected: list[ToolCallView]) -> None:
    collected.extend(chain.stream(""))


async def a_streamed(chain: Runnable[Any, Any], collected: list[ToolCallView]) -> None:
    async for view in chain.astream(""):
        collected += [view]


async def invoked(chain: Runnable[Any, Any], collected: list[ToolCallView]) -> None:
    collected += chain.invoke("")


async def a_invoked(chain: Runnable[Any, Any], collected: list[ToolCallView]) -> None:
    collected += await chain.ainvoke("")


def test_a_model_that_does_not_stream() -> None:
    call = {"name": "Pay", "args": {"to": "al", "amount": 3}, "id": "call_1", "type": "tool_call"}
    message = AIMessage(content="", tool_calls=[call])
    first, last = PartialToolsParser([Pay]).transform(iter([message]))
    assert first.model == last.model == Pay(to="al", amount=3)
    assert last.tool_call == call


@pytest.mark.parametrize("how", [streamed, a_streamed])
async def test_abort_closes_the_stream_of_the_model(how: Any) -> None:
    text = '{"to": 5, "amount": ' + "1" * 400 + "}"
    model = ScriptedChat(chunks=[*written(0, "call_1", "Pay", text), END])
    chain = model | PartialToolsParser([Pay], on_invalid="abort")
    with pytest.raises(ToolCallError, match=r"valid string at \$\.to, got 5"):
        await how(chain, [])
    assert model.produced < 6
    assert model.closed == 1


def test_abort_says_of_the_other_calls_that_they_were_not_read() -> None:
    chunks = [
        *written(0, "a", "Pay", GOOD),
        *written(1, "b", "Pay", '{"to": 5, "amount": 3}'),
    ]
    parser = PartialToolsParser([Pay], on_invalid="abort")
    collected, error = until_it_raises(parser.transform(iter(chunks)))
    assert error.tool_calls == []
    assert {call["id"] for call in error.invalid_tool_calls} == {"a", "b"}
    assert "valid string" in str(collected[-2].error)
    assert "not read to its end" in str(collected[-1].error)


def test_text_is_refused() -> None:
    with pytest.raises(OutputParserException):
        PartialToolsParser([Pay]).invoke("text")


def test_it_can_be_pickled() -> None:
    parser = pickle.loads(pickle.dumps(PartialToolsParser([Pay], on_invalid="raise")))  # noqa: S301
    assert parser.on_invalid == "raise"
    assert views(parser, [*written(0, "call_1", "Pay", GOOD), END])[-1].model.amount == 3


def test_finished_is_a_set_of_paths() -> None:
    first, *_, last = views(
        PartialToolsParser([Pay]), pieces_of("Pay", '{"to": "a', '", "amount": 3}')
    )
    assert first.finished == set()
    assert ("to",) not in first.finished
    assert last.finished == {(), ("to",), ("amount",)}
    assert len(last.finished) == 3
    assert last.finished & {("to",), ("no",)} == {("to",)}
    for wrong in ("to", ("to", 0), ("no",), (0,), None):
        assert wrong not in last.finished
    assert repr(last.finished) == "{$, $.to, $.amount}"


class People(BaseModel):
    """Collect people."""

    people: list[Person] = []
    note: str = ""


@pytest.mark.parametrize(
    "text",
    [
        lambda size: '{"note": "' + "word " * size + '"}',
        lambda size: '{"people": [' + ", ".join([PERSON] * (size // 8)) + "]}",
    ],
    ids=["one string", "many records"],
)
def test_time_grows_with_the_length_of_the_stream(text: Callable[[int], str]) -> None:
    """Four times the text may take no more than six times the time, every view looked at."""

    def run(size: int) -> Callable[[], object]:
        chunks = [*written(0, "call_1", "People", text(size), size=5), END]
        parser = PartialToolsParser([People])

        def read() -> None:
            for view in parser.transform(iter(chunks)):
                _ = view.args, view.model

        return read

    assert growth(run, 1_000) < 6
