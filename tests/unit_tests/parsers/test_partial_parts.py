"""The items of a list, and the pieces of a text, while the call is written."""

import functools
import json
import pickle
import re
from collections.abc import Iterator
from operator import add
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, Field, model_validator

from langchain_toolstream import PartialToolsParser, ToolCallError
from tests.unit_tests.scripted import ScriptedChat, chunk, part, written

END = chunk(finish_reason="tool_calls")


class Row(BaseModel):
    name: str
    size: int = Field(0, ge=0)


class Report(BaseModel):
    rows: list[Row] = []


class Extract(BaseModel):
    """Extract rows."""

    rows: list[Row] | None = None
    report: Report = Report()
    content: str = ""
    parts: list[str] = []


class Write(BaseModel):
    """Write a file."""

    content: str
    pages: list[str] = []


class Opaque(BaseModel):
    """Do it some other way."""

    rows: list[Row]

    @model_validator(mode="before")
    @classmethod
    def _before(cls, value: Any) -> Any:
        return value


ROWS = '{"rows": [{"name": "a"}, {"name": "b", "size": "3"}], "content": "x\\ny\\u00e9z"}'
TWO_ROWS = [Row(name="a"), Row(name="b", size=3)]


def message(text: str, name: str = "Extract") -> list[AIMessageChunk]:
    return [*written(0, "call_1", name, text, size=1), END]


def test_an_item_comes_the_moment_it_closes() -> None:
    seen: list[Any] = []

    def chunks() -> Iterator[AIMessageChunk]:
        for size, one in enumerate(message(ROWS)):
            seen.append(size)
            yield one

    rows = PartialToolsParser([Extract]).items("rows")
    came = [(row, seen[-1]) for row in rows.transform(chunks())]
    assert [row for row, _ in came] == TWO_ROWS
    assert [at for _, at in came] == [ROWS.index("}") + 1, ROWS.index("}]") + 1]


def test_a_text_comes_in_pieces_as_it_is_written() -> None:
    text = PartialToolsParser([Extract]).text("content")
    pieces = list(text.transform(iter(message(ROWS))))
    assert pieces == ["x", "\n", "y", "é", "z"]
    assert text.invoke(AIMessage(content="", tool_calls=[call({"content": "x\ny"})])) == "x\ny"


def call(args: dict[str, Any], name: str = "Extract") -> Any:
    return {"name": name, "args": args, "id": "call_1", "type": "tool_call"}


@pytest.mark.parametrize("path", ["report.rows", ("report", "rows")])
def test_a_path_leads_inside(path: Any) -> None:
    rows = PartialToolsParser([Extract]).items(path)
    text = '{"rows": [{"name": "x"}], "report": {"rows": [{"name": "y"}]}}'
    assert list(rows.transform(iter(message(text)))) == [Row(name="y")]


def test_a_path_leads_through_a_list() -> None:
    text = PartialToolsParser([Extract]).text(("parts", 1))
    assert "".join(text.transform(iter(message('{"parts": ["a", "bc", "d"]}')))) == "bc"


def test_every_tool_that_has_it_or_the_one_that_was_named() -> None:
    chunks = [
        *written(0, "call_1", "Extract", '{"content": "a"}'),
        *written(1, "call_2", "Write", '{"content": "b"}'),
        END,
    ]
    parser = PartialToolsParser([Extract, Write])
    assert "".join(parser.text("content").transform(iter(chunks))) == "ab"
    assert "".join(parser.text("content", tool="Write").transform(iter(chunks))) == "b"
    assert list(parser.items("pages").transform(iter(chunks))) == []


def test_without_tools_items_are_what_json_makes_of_them() -> None:
    rows = PartialToolsParser().items("rows")
    assert list(rows.transform(iter(message(ROWS)))) == [{"name": "a"}, {"name": "b", "size": "3"}]


WRONG: dict[str, tuple[str, str, list[Row], str]] = {
    "an item does not fit": (
        '{"rows": [{"name": "a"}, {"name": "b", "size": -1}]}',
        "tool_calls",
        TWO_ROWS[:1],
        r"greater than or equal to 0 at \$\.rows\[1\]\.size",
    ),
    "cut": ('{"rows": [{"name": "a"}, {"na', "length", TWO_ROWS[:1], "cut off"),
    "something else does not fit": ('{"rows": [{"name": "a"}], "report": 3}', "stop", TWO_ROWS[:1],
                                    r"at \$\.report"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "good", "error"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("mode", ["emit", "raise", "abort"])
def test_what_is_no_call_raises_behind_the_good_items(
    text: str, reason: str, good: list[Row], error: str, mode: Any
) -> None:
    chunks = [*written(0, "call_1", "Extract", text), chunk(finish_reason=reason)]
    model = ScriptedChat(chunks=chunks)
    came: list[Row] = []
    with pytest.raises(ToolCallError, match=error):
        came.extend(
            (model | PartialToolsParser([Extract], on_invalid=mode).items("rows")).stream("")
        )
    assert came == good
    assert (model.produced < len(chunks)) == (mode == "abort" and reason != "length")


def test_an_error_of_another_tool_is_not_that_of_the_one_that_was_named() -> None:
    chunks = [
        *written(0, "call_1", "Extract", ROWS),
        *written(1, "call_2", "Write", '{"content": "b'),
        chunk(finish_reason="length"),
    ]
    parser = PartialToolsParser([Extract, Write])
    assert list(parser.items("rows", tool="Extract").transform(iter(chunks))) == TWO_ROWS
    with pytest.raises(ToolCallError):
        list(parser.items("rows").transform(iter(chunks)))


@pytest.mark.parametrize("path", ["row", "content", "report", "rows.name", "report.rows.0", ""])
def test_a_path_to_no_list_is_the_callers_mistake(path: str) -> None:
    with pytest.raises(ValueError, match=r"'Extract' have no list at .* that can be shown"):
        PartialToolsParser([Extract]).items(path)


def test_what_is_only_known_as_a_whole_has_no_parts() -> None:
    with pytest.raises(ValueError, match="no list at"):
        PartialToolsParser([Opaque]).items("rows")
    with pytest.raises(ValueError, match="no text at"):
        PartialToolsParser([Extract]).text("rows")
    with pytest.raises(ValueError, match="No tool 'Extrakt' is bound"):
        PartialToolsParser([Extract]).text("content", tool="Extrakt")


@pytest.mark.parametrize("text", [ROWS, WRONG["cut"][0], WRONG["an item does not fit"][0]])
@pytest.mark.parametrize("what", ["items", "text"])
async def test_sync_async_and_whole_say_the_same(text: str, what: str) -> None:
    parser = PartialToolsParser([Extract])
    reader = parser.items("rows") if what == "items" else parser.text("content")
    chain = ScriptedChat(chunks=message(text)) | reader
    outcomes = [await outcome(chain, how) for how in ("stream", "astream", "invoke", "ainvoke")]
    streamed, a_streamed, invoked, a_invoked = outcomes
    assert streamed == a_streamed
    assert invoked == a_invoked
    if streamed[1] is None:
        assert invoked[0] == (streamed[0] if what == "items" else "".join(streamed[0]))


async def outcome(chain: Runnable[Any, Any], how: str) -> tuple[Any, str | None]:
    came: Any = []
    try:
        match how:
            case "stream":
                came.extend(chain.stream(""))
            case "astream":
                async for one in chain.astream(""):
                    came += [one]
            case "invoke":
                came = chain.invoke("")
            case _:
                came = await chain.ainvoke("")
    except ToolCallError as error:
        return came, str(error)
    return came, None


def test_breaking_off_closes_the_stream_of_the_model() -> None:
    model = ScriptedChat(chunks=message('{"rows": [{"name": "a"}, {"name": "' + "b" * 400 + '"}]}'))
    stream = (model | PartialToolsParser([Extract]).items("rows")).stream("")
    assert next(stream) == Row(name="a")
    stream.close()
    assert model.closed == 1
    assert model.produced < 50


def test_items_of_a_call_whose_arguments_came_as_an_object() -> None:
    rows = PartialToolsParser([Extract]).items("rows")
    whole = AIMessage(content="", tool_calls=[call({"rows": [{"name": "a"}]})])
    assert list(rows.transform(iter([whole]))) == [Row(name="a")]
    assert rows.invoke(whole) == [Row(name="a")]
    assert list(
        rows.transform(iter([chunk(part('{"rows": [{"name": "a"}]}', name="Extract"))]))
    ) == [Row(name="a")]


# Items that do not fit.

BAD: dict[int, Any] = {
    3: {"name": "x", "size": "n/a"},
    7: 5,
    8: None,
    50: {"name": ["x"], "size": {"deep": [1, {"a": "b"}]}},
    150: {"name": "x", "size": -1},
    199: {},
}
MANY = {"rows": [BAD.get(n, {"name": str(n)}) for n in range(200)], "content": "end"}


@pytest.mark.parametrize("mode", ["emit", "raise"])
def test_items_go_on_after_one_that_does_not_fit(mode: Any) -> None:
    parser = PartialToolsParser([Extract], on_invalid=mode)
    came: list[Row] = []
    with pytest.raises(ToolCallError) as raised:
        came.extend(parser.items("rows").transform(iter(message(json.dumps(MANY)))))
    assert [row.name for row in came] == [str(n) for n in range(200) if n not in BAD]
    assert list(raised.value.skipped) == [("rows", n) for n in BAD]
    assert "$.rows[3].size, got 'n/a'" in raised.value.skipped["rows", 3]
    told = str(raised.value)
    assert "Skipped: $.rows[3], $.rows[7], $.rows[8], $.rows[50], $.rows[150], $.rows[199]." in told
    copied = pickle.loads(pickle.dumps(raised.value))  # noqa: S301
    assert (str(copied), copied.skipped) == (told, raised.value.skipped)


@pytest.mark.parametrize("by", ["parser", "items"])
def test_whoever_wants_to_stop_aborts(by: str) -> None:
    chunks = message(json.dumps(MANY))
    model = ScriptedChat(chunks=chunks)
    parser = PartialToolsParser([Extract], on_invalid="abort" if by == "parser" else "emit")
    rows = parser.items("rows") if by == "parser" else parser.items("rows", on_invalid="abort")
    came: list[Row] = []
    with pytest.raises(ToolCallError, match=r"\$\.rows\[3\]\.size"):
        came.extend((model | rows).stream(""))
    assert [row.name for row in came] == ["0", "1", "2"]
    assert model.produced < len(chunks) / 20


def test_items_can_go_on_where_the_parser_aborts() -> None:
    parser = PartialToolsParser([Extract], on_invalid="abort")
    came: list[Row] = []
    with pytest.raises(ToolCallError):
        came.extend(
            parser.items("rows", on_invalid="skip").transform(iter(message(json.dumps(MANY))))
        )
    assert len(came) == 200 - len(BAD)


def test_items_go_on_after_something_else_that_does_not_fit() -> None:
    text = '{"report": 3, "content": 5, "more": 1, "rows": [{"name": "a"}, {"name": "b"}]}'
    came: list[Row] = []
    with pytest.raises(ToolCallError, match=r"\$\.report") as raised:
        came.extend(PartialToolsParser([Extract]).items("rows").transform(iter(message(text))))
    assert [row.name for row in came] == ["a", "b"]
    assert raised.value.skipped == {}


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: int


class Square(BaseModel):
    kind: Literal["square"]
    side: int


class Draw(BaseModel):
    """Draw shapes."""

    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]
    groups: list[list[int]] = []


def test_items_that_say_by_a_tag_what_they_are_go_on_too() -> None:
    good = [{"kind": "circle", "radius": 1}, {"side": 2, "kind": "square"}]
    bad = [{"kind": "star", "radius": 1}, {"kind": "circle", "radius": "x"}, {"kind": "square"}]
    text = json.dumps({"shapes": [good[0], *bad, good[1]], "groups": [[1], ["x", 2], [3]]})
    for path, want in (("shapes", [Circle(**good[0]), Square(**good[1])]), ("groups", [[1], [3]])):  # type: ignore[arg-type]
        came: list[Any] = []
        with pytest.raises(ToolCallError):
            came.extend(
                PartialToolsParser([Draw]).items(path).transform(iter(message(text, "Draw")))
            )
        assert came == want


def test_what_is_skipped_is_told_also_where_the_tool_takes_the_call() -> None:
    runs = StructuredTool(
        name="Extract",
        description="Extract.",
        args_schema=Extract,
        func=lambda **_: "ran",
        handle_validation_error=True,
    )
    parser = PartialToolsParser([runs])
    came: list[Row] = []
    with pytest.raises(ToolCallError, match=r"\$\.rows\[3\]") as raised:
        came.extend(parser.items("rows").transform(iter(message(json.dumps(MANY)))))
    assert len(came) == 200 - len(BAD)
    assert len(raised.value.skipped) == len(BAD)
    assert len(raised.value.tool_calls) == 1
    *_, view = parser.transform(iter(message(json.dumps(MANY))))
    assert view.tool_call is not None
    assert view.error is None


# Messages without such a call.

WITHOUT: dict[str, tuple[list[AIMessageChunk], str]] = {
    "prose": ([chunk(content="I cannot read it."), END], r"It says 'I cannot read it\.'"),
    "nothing": ([END], "The message has no call of 'Extract'"),
    "another tool": (message('{"pages": []}', "Other"), "It calls 'Other'"),
    "a long text": ([chunk(content="x" * 100_000), END], "It says 'x+"),
}


@pytest.mark.parametrize(("chunks", "told"), WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize("tool", [None, "Extract"])
@pytest.mark.parametrize("what", ["items", "text"])
async def test_a_message_without_such_a_call_raises(
    chunks: list[AIMessageChunk], told: str, tool: str | None, what: str
) -> None:
    class Other(BaseModel):
        """Another."""

        pages: list[str] = []

    parser = PartialToolsParser([Extract, Other])
    reader = (
        parser.items("rows", tool=tool) if what == "items" else parser.text("content", tool=tool)
    )
    whole = functools.reduce(add, chunks)
    outcomes = [
        await outcome(ScriptedChat(chunks=chunks) | reader, how)
        for how in ("stream", "astream", "invoke", "ainvoke")
    ]
    assert all(not came and re.search(told, error or "") for came, error in outcomes), outcomes
    assert all(len(error or "") < 600 for _, error in outcomes)
    with pytest.raises(ToolCallError, match=told):
        reader.invoke(whole)


def test_without_tools_a_message_without_calls_raises_too() -> None:
    with pytest.raises(ToolCallError, match=r"no call with a list at \$\.rows"):
        PartialToolsParser().items("rows").invoke(AIMessage(content="No."))


def test_a_call_without_the_part_is_no_mistake() -> None:
    parser = PartialToolsParser([Extract])
    assert list(parser.items("rows").transform(iter(message("{}")))) == []
    assert parser.text("content").invoke(AIMessage(content="", tool_calls=[call({})])) == ""


def test_a_view_comes_with_the_name_before_the_first_argument() -> None:
    chunks = [chunk(part("", name="Extract", call_id="a")), chunk(part('{"content": "x"}')), END]
    parser = PartialToolsParser([Extract])
    views = parser.transform(iter(chunks))
    first = next(views)
    assert (first.id, first.name, first.args, first.model) == ("a", "Extract", {}, None)
    assert (first.error, first.tool_call, set(first.finished)) == (None, None, set())
    assert [view.args for view in views] == [{"content": "x"}, {"content": "x"}]
