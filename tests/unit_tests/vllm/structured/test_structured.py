"""`with_structured_output`: what it asks for, and what it makes of an answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import Enum, IntEnum
from functools import reduce
from operator import add
from typing import Annotated, Any, Literal

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_toolstream import ChatVLLM
from langchain_toolstream.vllm.structured.methods import structured_request
from langchain_toolstream.vllm.structured.parser import AnswerParser
from tests.unit_tests.vllm import mocked
from tests.unit_tests.vllm.test_chat_model import Wire
from tests.unit_tests.vllm.wire import body, chunk, part


class Pay(BaseModel):
    """A payment."""

    to: Annotated[str, Field(max_length=8)]
    amount: Annotated[int, Field(gt=0)]


class PayV1(BaseModelV1):
    to: str
    amount: int


class Order(BaseModel):
    """What to pay."""

    by: date
    items: list[Pay]


class PayDict(TypedDict):
    """A payment."""

    to: Annotated[str, ..., "who gets it"]
    amount: int


@dataclass
class PayData:
    to: str
    amount: int


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    pair: tuple[int, int]


class Broken(BaseModel):
    to: str

    @field_validator("to")
    @classmethod
    def _fail(cls, to: str) -> str:
        raise KeyError(to)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Stars(IntEnum):
    ONE = 1
    TWO = 2


PAY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["to", "amount"],
}
PAY_TEXT = '{"to": "alice", "amount": 1250}'
PAID = {"to": "alice", "amount": 1250}
FUNCTION = {"name": "pay", "description": "Pay.", "parameters": PAY_SCHEMA}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def llm(wire: Wire) -> ChatVLLM:
    transport = httpx2.MockTransport(wire.answer)
    return ChatVLLM(
        http_client=httpx2.Client(transport=transport),
        http_async_client=httpx2.AsyncClient(transport=transport),
        model="tiny",
        extra_body={"top_k": 3},
    )


LLM = Callable[[list[bytes]], ChatVLLM]


@pytest.fixture
def answered(wire: Wire, llm: ChatVLLM) -> LLM:
    """The model, when the server answers this."""

    def model(pieces: list[bytes]) -> ChatVLLM:
        wire.pieces = pieces
        return llm

    return model


def said(*pieces: str, finish_reason: str = "stop") -> list[bytes]:
    """The wire of an answer that is text."""
    last = chunk(finish_reason=finish_reason)
    return [body(*(chunk(content=piece) for piece in pieces), last)]


def called(*pieces: str, name: str = "Pay", finish_reason: str = "stop") -> list[bytes]:
    """The wire of an answer that is a call."""
    parts = [chunk(part(piece)) for piece in pieces]
    first = chunk(part(id="call_1", name=name))
    return [body(first, *parts, chunk(finish_reason=finish_reason))]


async def invoked(chain: Any) -> Any:
    return chain.invoke("Hi")


async def ainvoked(chain: Any) -> Any:
    return await chain.ainvoke("Hi")


async def streamed(chain: Any) -> Any:
    *_, last = chain.stream("Hi")
    return last


async def astreamed(chain: Any) -> Any:
    return [shown async for shown in chain.astream("Hi")][-1]


ROADS = pytest.mark.parametrize("road", [invoked, ainvoked, streamed, astreamed])


class TestAsks:
    def test_json_schema_by_default(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said('{"to": "bob", "amount": 1}')
        llm.with_structured_output(Pay).invoke("Hi")
        assert wire.last["response_format"] == {
            "type": "json_schema",
            "json_schema": {
                "name": "Pay",
                "description": "A payment.",
                "schema": {
                    "type": "object",
                    "properties": {
                        "to": {"type": "string", "maxLength": 8},
                        "amount": {"type": "integer", "exclusiveMinimum": 0},
                    },
                    "required": ["to", "amount"],
                },
            },
        }
        assert "tools" not in wire.last
        assert wire.last["top_k"] == 3

    @pytest.mark.parametrize(("strict", "sent"), [(None, True), (True, True), (False, False)])
    def test_a_call_that_is_held_to_its_schema(
        self, wire: Wire, llm: ChatVLLM, strict: Any, sent: Any
    ) -> None:
        wire.pieces = called(PAY_TEXT)
        llm.with_structured_output(Pay, method="function_calling", strict=strict).invoke("Hi")
        (tool,) = wire.last["tools"]
        assert tool["function"]["strict"] is sent
        assert wire.last["tool_choice"] == {"type": "function", "function": {"name": "Pay"}}
        assert wire.last["parallel_tool_calls"] is False

    def test_strict(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said('{"value": 1, "children": []}')
        llm.with_structured_output(Node, strict=True).invoke("Hi")
        form = wire.last["response_format"]["json_schema"]
        assert form["strict"] is True
        assert form["schema"]["required"] == ["value", "children"]
        assert form["schema"]["additionalProperties"] is False

    def test_json_mode(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said("{}")
        assert llm.with_structured_output(method="json_mode").invoke("Hi") == {}
        assert wire.last["response_format"] == {"type": "json_object"}

    @pytest.mark.parametrize(
        ("schema", "constraint", "answer"),
        [
            (r"\d+", {"regex": r"\d+"}, "12"),
            ("(?=1).*", {"regex": "(?=1).*"}, "12"),
            ('root ::= "a"', {"grammar": 'root ::= "a"'}, "a"),
            (["yes", "no"], {"choice": ["yes", "no"]}, "no"),
            (Literal["yes", "no"], {"choice": ["yes", "no"]}, "yes"),
            (Literal[1, 2], {"choice": ["1", "2"]}, 2),
            (Color, {"choice": ["red", "blue"]}, Color.BLUE),
            (Stars, {"choice": ["1", "2"]}, Stars.ONE),
        ],
    )
    def test_a_constraint_of_vllms(
        self, wire: Wire, llm: ChatVLLM, schema: Any, constraint: Any, answer: Any
    ) -> None:
        (method,) = constraint
        wire.pieces = said(*str(answer.value if isinstance(answer, Enum) else answer))
        found = llm.with_structured_output(schema, method=method).invoke("Hi")
        assert (found, type(found)) == (answer, type(answer))
        assert wire.last["structured_outputs"] == constraint
        assert wire.last["top_k"] == 3

    @pytest.mark.parametrize(
        "of_the_model",
        [
            {"response_format": {"type": "json_object"}},
            {"structured_outputs": {"regex": "a"}},
            {"extra_body": {"structured_outputs": {"regex": "a"}}},
        ],
        ids=lambda one: next(iter(one)),
    )
    @pytest.mark.parametrize(
        ("method", "sent"),
        [
            ("json_schema", {"response_format": "json_schema"}),
            ("function_calling", {}),
            ("json_mode", {"response_format": "json_object"}),
            ("regex", {"structured_outputs": None}),
        ],
    )
    def test_the_one_constraint_stands_alone(
        self, wire: Wire, llm: ChatVLLM, of_the_model: Any, method: Any, sent: Any
    ) -> None:
        wire.pieces = called(PAY_TEXT) if method == "function_calling" else said(PAY_TEXT)
        llm = llm.model_copy(update=of_the_model)
        with suppress(OutputParserException):  # the answer is not the point
            schema = "b+" if method == "regex" else Pay
            llm.with_structured_output(schema, method=method).invoke("Hi")
        found = {
            name: wire.last[name].get("type")
            for name in ("response_format", "structured_outputs")
            if name in wire.last
        }
        assert found == sent
        assert wire.last.get("structured_outputs") in (None, {"regex": "b+"})

    def test_further_fields_are_sent(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said("1")
        more = {"min_p": 0.1}
        llm.with_structured_output("1", method="regex", extra_body=more, seed=7).invoke("Hi")
        assert (wire.last["min_p"], wire.last["top_k"], wire.last["seed"]) == (0.1, 3, 7)

    @pytest.mark.parametrize("name", ["Box[int]", "über", "a" * 99, "", '"'])
    def test_a_name_that_servers_take(self, wire: Wire, llm: ChatVLLM, name: str) -> None:
        wire.pieces = said("{}")
        llm.with_structured_output({"title": name, "type": "object"}).invoke("Hi")
        sent = wire.last["response_format"]["json_schema"]["name"]
        assert 0 < len(sent) <= 64
        assert sent.isascii()
        assert sent.replace("_", "").isalnum()

    def test_a_model_that_holds_itself(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said('{"value": 1, "children": [{"value": 2}]}')
        found = llm.with_structured_output(Node).invoke("Hi")
        assert found == Node(value=1, children=[Node(value=2)])
        schema = wire.last["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


class TestRefusesToAsk:
    @pytest.mark.parametrize(
        ("schema", "method"),
        [
            (None, "json_schema"),
            (None, "function_calling"),
            ({}, "json_schema"),
            ({"name": "pay"}, "json_schema"),
            ("a text", "json_schema"),
            (["yes", "no"], "json_schema"),
            (len, "json_schema"),
            (object(), "json_schema"),
            (Iterator, "json_schema"),
            (list[int], "function_calling"),
            (Color, "function_calling"),
            ({"type": "array"}, "function_calling"),
            (None, "regex"),
            ("", "regex"),
            (Pay, "grammar"),
            ([], "choice"),
            (["a", "a"], "choice"),
            (["1", 1], "choice"),
            ([""], "choice"),
            ([None], "choice"),
            ([True], "choice"),
            ("yes", "choice"),
            (Pay, "choice"),
            (Pay, "guided_json"),
        ],
    )
    def test_what_cannot_be(self, llm: ChatVLLM, schema: Any, method: Any) -> None:
        with pytest.raises(ValueError, match=r"schema|method"):
            llm.with_structured_output(schema, method=method)

    @pytest.mark.parametrize("method", ["json_mode", "regex", "choice", "grammar"])
    def test_strict_where_it_means_nothing(self, llm: ChatVLLM, method: Any) -> None:
        with pytest.raises(ValueError, match=f"strict=True means nothing with method='{method}'"):
            llm.with_structured_output("a", method=method, strict=True)

    def test_tools(self, llm: ChatVLLM) -> None:
        with pytest.raises(ValueError, match="bind_tools"):
            llm.with_structured_output(Pay, tools=[Pay])


class TestReads:
    @ROADS
    @pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
    @pytest.mark.parametrize(
        ("schema", "answer"),
        [
            (Pay, Pay(to="alice", amount=1250)),
            (PayV1, PayV1(to="alice", amount=1250)),
            (PayData, PayData("alice", 1250)),
            (PayDict, PAID),
            (PAY_SCHEMA, PAID),
            ({"title": "Pay", **PAY_SCHEMA}, PAID),
            (FUNCTION, PAID),
            ({"type": "function", "function": FUNCTION}, PAID),
            ({"type": "json_schema", "json_schema": {"name": "p", "schema": PAY_SCHEMA}}, PAID),
            ({"name": "pay", "input_schema": PAY_SCHEMA}, PAID),
        ],
        ids=str,
    )
    async def test_every_kind_of_schema(
        self, answered: LLM, road: Any, method: Any, schema: Any, answer: Any
    ) -> None:
        asked = structured_request(schema, method, strict=None)
        wire = said(*PAY_TEXT)
        if asked.tool:
            wire = called(*PAY_TEXT, name=asked.tool["function"]["name"])
        assert await road(answered(wire).with_structured_output(schema, method=method)) == answer

    @ROADS
    @pytest.mark.parametrize(
        ("schema", "text", "answer"),
        [
            (list[int], "[1, 2]", [1, 2]),
            (RootModel[list[int]], "[1, 2]", RootModel[list[int]]([1, 2])),
            ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
            (Color, '"red"', Color.RED),
            (int, " 12 ", 12),
            (Strict, '{"pair": [1, 2]}', Strict(pair=(1, 2))),
        ],
        ids=str,
    )
    async def test_what_is_no_object(
        self, answered: LLM, road: Any, schema: Any, text: str, answer: Any
    ) -> None:
        assert await road(answered(said(*text)).with_structured_output(schema)) == answer

    @ROADS
    @pytest.mark.parametrize(
        ("schema", "text", "reason"),
        [
            (Pay, "", "The text ends"),
            (Pay, "I will not.", "got 'I'"),
            (Pay, f"```json\n{PAY_TEXT}\n```", "got '`'"),
            (Pay, f"{PAY_TEXT} {PAY_TEXT}", "after the end of the value"),
            (Pay, PAY_TEXT[:-1], "The text ends"),
            (Pay, '{"to": "a", "to": "b", "amount": 1}', "stands twice"),
            (PAY_SCHEMA, '{"to": "a", "amount": NaN}', "got 'N'"),
            (Pay, '{"to": "alice", "amount": 0}', r"greater than 0 at \$\.amount"),
            (Pay, '{"to": "alice"}', r"Field required at \$\.amount"),
            (PAY_SCHEMA, '{"to": "alice", "amount": "12"}', r"at \$\.amount"),
            (PayDict, '{"to": 3, "amount": 12}', r"at \$\.to"),
            (Broken, '{"to": "x"}', "validation raised KeyError"),
            (Pay, '{"to": "\\ud800", "amount": 1}', "Invalid JSON"),
            (dict[str, float], '{"x": 1e999}', "larger than any number"),
        ],
    )
    async def test_what_was_not_asked_for_is_no_answer(
        self, answered: LLM, road: Any, schema: Any, text: str, reason: str
    ) -> None:
        llm = answered(said(*text))
        with pytest.raises(OutputParserException, match=reason) as raised:
            await road(llm.with_structured_output(schema))
        assert raised.value.llm_output == text

    @ROADS
    @pytest.mark.parametrize(
        ("schema", "method", "text"),
        [(r"\d+", "regex", "12a"), (["yes", "no"], "choice", "maybe"), (["yes"], "choice", "")],
    )
    async def test_a_server_that_ignores_the_constraint(
        self, answered: LLM, road: Any, schema: Any, method: Any, text: str
    ) -> None:
        llm = answered(said(*text))
        with pytest.raises(OutputParserException, match="is not what was asked for"):
            await road(llm.with_structured_output(schema, method=method))

    @ROADS
    @pytest.mark.parametrize(
        ("schema", "method", "text"),
        [
            (Pay, "json_schema", PAY_TEXT),
            (Pay, "json_schema", PAY_TEXT[:-4]),
            (Pay, "json_mode", PAY_TEXT),
            (Pay, "function_calling", PAY_TEXT),
            (Pay, "function_calling", PAY_TEXT[:-4]),
            (r"\d+", "regex", "12"),
            (["yes", "yes, please"], "choice", "yes"),
            ("root ::= [a-z]+", "grammar", "abc"),
        ],
    )
    async def test_what_was_cut_is_no_answer(
        self, answered: LLM, road: Any, schema: Any, method: Any, text: str
    ) -> None:
        made = called if method == "function_calling" else said
        llm = answered(made(*text, finish_reason="length"))
        cut = r"was cut off \(finish_reason 'length'\)"
        with pytest.raises(OutputParserException, match=cut) as raised:
            await road(llm.with_structured_output(schema, method=method))
        assert raised.value.llm_output == text
        found = llm.with_structured_output(schema, method=method, include_raw=True).invoke("Hi")
        assert found["parsed"] is None
        assert isinstance(found["parsing_error"], OutputParserException)

    @pytest.mark.parametrize("finish_reason", ["abort", "repetition", "content_filter"])
    def test_what_was_cut_otherwise(self, answered: LLM, finish_reason: str) -> None:
        llm = answered(said(PAY_TEXT, finish_reason=finish_reason))
        with pytest.raises(OutputParserException, match=f"finish_reason '{finish_reason}'"):
            llm.with_structured_output(Pay).invoke("Hi")

    def test_white_space_without_end_is_told(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said("{", *" " * 50, finish_reason="length")
        with pytest.raises(OutputParserException, match="disable_any_whitespace"):
            llm.with_structured_output(Pay).invoke("Hi")


class TestReadsCalls:
    @ROADS
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (called('{"to": "alice", "amount": 0}'), r"greater than 0.* at \$\.amount"),
            (called('{"to": "alice"}'), r"Field required at \$\.amount"),
            (called(PAY_TEXT, "x"), "The arguments were complete, and then 'x' followed"),
            (called('{"to": "al'), "The text ends inside a string"),
            (called(PAY_TEXT, name="Other"), "a call of 'Other', and not of 'Pay'"),
            (called(""), r"Field required at \$\.to"),
            (said("I will not."), "The model called no tool"),
        ],
    )
    async def test_what_is_none(
        self, answered: LLM, road: Any, answer: list[bytes], reason: str
    ) -> None:
        llm = answered(answer)
        with pytest.raises(OutputParserException, match=reason):
            await road(llm.with_structured_output(Pay, method="function_calling"))
        found = llm.with_structured_output(Pay, method="function_calling", include_raw=True)
        assert found.invoke("Hi")["parsing_error"] is not None

    def test_while_it_is_written(self, wire: Wire, llm: ChatVLLM) -> None:
        texts = ['{"to": "al', 'ice", "amount": 12', "50}"]
        begun = body(chunk(part(id="call_1", name="pay")), done=False)
        events = [body(chunk(part(text)), done=False) for text in texts]
        wire.pieces = [begun, *events, body(chunk(finish_reason="stop"))]
        shown = list(llm.with_structured_output(FUNCTION, method="function_calling").stream("Hi"))
        assert shown == [{"to": "al"}, {"to": "alice"}, PAID]


class TestGrows:
    @pytest.mark.parametrize(
        ("schema", "method", "pieces", "shown"),
        [
            (
                PAY_SCHEMA,
                "json_schema",
                ["{", '"to": "al', "ice", '", "amount": 12', "50", "}"],
                [{}, {"to": "al"}, {"to": "alice"}, PAID],
            ),
            (
                Pay,
                "json_schema",
                ['{"amount": 12', '50, "to": "', "al", 'ice"', "}"],
                [Pay.model_construct(to=to, amount=1250) for to in ("", "al", "alice")],
            ),
            (
                Order,
                "json_schema",
                ['{"by": "2026-01-', '02", "items": [{"to": "al', '", "amount": 1', "}]}"],
                [
                    Order.model_construct(),
                    Order.model_construct(
                        by=date(2026, 1, 2), items=[Pay.model_construct(to="al")]
                    ),
                    Order(by=date(2026, 1, 2), items=[Pay(to="al", amount=1)]),
                ],
            ),
            (list[int], "json_schema", ["[1", ", 2", "]"], [[1, 2]]),
            ("[a-z]+", "regex", ["a", "bc"], ["a", "bc"]),
            ("a*", "regex", [], [""]),
            (["yes", "no"], "choice", ["y", "es"], ["yes"]),
        ],
    )
    async def test_and_the_last_is_the_answer(
        self, answered: LLM, schema: Any, method: Any, pieces: list[str], shown: Any
    ) -> None:
        events = [body(chunk(content=piece), done=False) for piece in pieces]
        llm = answered([*events, body(chunk(finish_reason="stop"))])
        llm.coalesce = False  # or one chunk would hold them all
        chain = llm.with_structured_output(schema, method=method)
        assert list(chain.stream("Hi")) == shown
        assert [one async for one in chain.astream("Hi")] == shown

    def test_the_message_too(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said(*PAY_TEXT)
        chain = llm.with_structured_output(Pay, include_raw=True)
        whole = chain.invoke("Hi")
        parts = list(chain.stream("Hi"))
        total = reduce(add, parts)
        assert total.keys() == whole.keys() == {"raw", "parsed", "parsing_error"}
        assert total["raw"].text == whole["raw"].text == PAY_TEXT
        assert total["parsed"] == whole["parsed"] == Pay(to="alice", amount=1250)
        assert total["parsing_error"] is whole["parsing_error"] is None
        assert [list(one) for one in parts[-2:]] == [["raw"], ["parsed", "parsing_error"]]

    def test_nothing_lenient_is_in_the_sum(self, wire: Wire, llm: ChatVLLM) -> None:
        wire.pieces = said(PAY_TEXT[:-4], finish_reason="length")
        chain = llm.with_structured_output(PAY_SCHEMA, include_raw=True)
        total = reduce(add, chain.stream("Hi"))
        assert total["parsed"] is None
        assert isinstance(total["parsing_error"], OutputParserException)

    def test_leaving_early_closes_the_answer(self, wire: Wire, llm: ChatVLLM) -> None:
        sent: list[str] = []

        class Endless(list[bytes]):
            def __iter__(self) -> Iterator[bytes]:
                yield body(chunk(content='{"to": "'), done=False)
                for _ in range(1000):
                    sent.append("x")
                    yield body(chunk(content="x"), done=False)

        wire.pieces = Endless()
        shown = llm.with_structured_output(PAY_SCHEMA).stream("Hi")
        next(shown)
        shown.close()  # type: ignore[attr-defined]
        assert len(sent) < 5


def whole(schema: Any, method: Any) -> Callable[[str], Any]:
    asked = structured_request(schema, method, strict=None)
    parser = AnswerParser(asked.form, tool=None, include_raw=True)
    return lambda text: parser.invoke(AIMessage(text))


@pytest.mark.parametrize("schema", [Pay, PAY_SCHEMA, PayDict, Node, dict[str, Any], None], ids=str)
@given(text=st.one_of(st.text(), st.recursive(st.none(), st.lists).map(json.dumps)))
def test_any_text_is_an_answer_or_none(schema: Any, text: str) -> None:
    found = whole(schema, "json_mode")(text)
    assert (found["parsing_error"] is None) or found["parsed"] is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_as_it_stands(value: Any) -> None:
    found = whole(None, "json_mode")(json.dumps(value))
    assert found["parsed"] == json.loads(json.dumps(value))


def test_json_that_the_reasoning_parser_took_is_said_to_be_there() -> None:
    wire = body(chunk(reasoning='{"a": 1}'), chunk(finish_reason="stop"))
    llm = mocked.MockedServer(lambda _: mocked.streamed(wire)).llm()
    schema = {"title": "Form", "type": "object", "properties": {"a": {"type": "integer"}}}
    with pytest.raises(OutputParserException, match="The JSON is in the reasoning"):
        llm.with_structured_output(schema).invoke("go")


class Pick(Enum):
    A = "a"
    B = "b"


@pytest.mark.parametrize(
    ("schema", "method", "expected"),
    [
        (Pay, "json_schema", Pay.model_json_schema()),
        (Pay, "function_calling", Pay.model_json_schema()),
        (Pay.model_json_schema(), "json_schema", {"required": ["to", "amount"], "type": "object"}),
        ("a+", "regex", {"type": "string"}),
        (["a", "b"], "choice", {"enum": ["a", "b"], "type": "string"}),
        (Literal["a", 1], "choice", {"enum": ["a", 1]}),
        (None, "json_mode", {"type": "object"}),
    ],
)
def test_a_chain_knows_what_the_answer_is(
    llm: ChatVLLM, schema: Any, method: Any, expected: dict[str, Any]
) -> None:
    made = llm.with_structured_output(schema, method=method).get_output_jsonschema()
    assert {name: made[name] for name in expected} == expected


def test_a_chain_knows_the_parts_beside_the_answer(llm: ChatVLLM) -> None:
    made = llm.with_structured_output(Pay, include_raw=True).get_output_jsonschema()
    assert set(made["$defs"]["AnswerWithRaw"]["properties"]) == {"raw", "parsed", "parsing_error"}
    assert made["$defs"]["Pay"]["required"] == ["to", "amount"]


def test_a_chain_knows_the_enum_and_the_typed_dict(llm: ChatVLLM) -> None:
    chosen = llm.with_structured_output(Pick, method="choice").get_output_jsonschema()
    assert chosen["$defs"]["Pick"]["enum"] == ["a", "b"]
    typed = llm.with_structured_output(PayDict).get_output_jsonschema()
    assert set(typed["$defs"]["PayDict"]["properties"]) == {"to", "amount"}


class Lenient(BaseModel):
    """A form that requires nothing."""

    city: str = "nowhere"
    days: int = 1


class Named(BaseModel):
    """A form whose only required field has the envelope's name."""

    name: str


ENVELOPES = [
    (Lenient, '{"name": "Lenient", "arguments": {"city": "Oslo"}}'),
    (Lenient, '{"name": "Lenient", "parameters": {"city": "Oslo"}}'),
    (Lenient, '{"arguments": "{}", "name": "other"}'),
    (Named, '{"name": "Named", "arguments": {"name": "Bob"}}'),
]


@ROADS
@pytest.mark.parametrize(("schema", "text"), ENVELOPES)
async def test_a_call_in_the_place_of_its_arguments_is_rejected(
    answered: LLM, road: Any, schema: Any, text: str
) -> None:
    for method, answer in (
        ("function_calling", called(text, name=schema.__name__)),
        ("json_mode", said(text)),
    ):
        with pytest.raises(OutputParserException, match="a whole call of"):
            await road(answered(answer).with_structured_output(schema, method=method))


@pytest.mark.parametrize("text", ['{"name": "Bob", "arguments": 1}', '{"name": "Bob"}'])
def test_what_only_looks_like_an_envelope_is_an_answer(answered: LLM, text: str) -> None:
    llm = answered(called(text, name="Named"))
    made = llm.with_structured_output(Named, method="function_calling").invoke("Hi")
    assert made == Named(name="Bob")
