"""The items of a list, and the pieces of a text, while the call is written."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
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
        '{"rows": [{"name": "a"}, {"name": "b", "size": -1}, {"name": "c"}]}',
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
