"""The structural tag of a format, as JSON. The integration tests give each to xgrammar."""

import json
from typing import Any

import pytest

from langchain_toolstream.core.markup import FORMATS
from langchain_toolstream.core.markup.tags import TAGS, structural_tag
from tests.unit_tests.core.markup.corpus import read
from tests.unit_tests.core.markup.writers import WRITERS

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def tool(name: str, schema: Any = SCHEMA) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def test_hermes_as_the_reference_has_it() -> None:
    assert structural_tag("hermes", [tool("add")]) == {
        "type": "structural_tag",
        "format": {
            "type": "triggered_tags",
            "triggers": ["<tool_call>"],
            "tags": [
                {
                    "type": "tag",
                    "begin": '<tool_call>\n{"name": "add", "arguments": ',
                    "content": {
                        "type": "json_schema",
                        "json_schema": SCHEMA,
                        "max_whitespace_cnt": 1,
                        "excludes": ["<tool_call>", "</tool_call>"],
                    },
                    "end": "}\n</tool_call>",
                }
            ],
            "at_least_one": False,
            "stop_after_first": False,
        },
    }


def test_qwen3_coder_as_the_reference_has_it() -> None:
    format_ = structural_tag("qwen3_coder", [tool("add")], at_least_one=True)["format"]
    assert format_["triggers"] == ["<tool_call>\n<function="]
    assert format_["at_least_one"] is True
    (tag,) = format_["tags"]
    assert tag["begin"] == "<tool_call>\n<function=add>\n"
    assert tag["end"] == "\n</function>\n</tool_call>"
    assert tag["content"]["style"] == "qwen_xml"
    assert tag["content"]["excludes"] == ["<tool_call>", "</tool_call>"]


def test_a_section_holds_its_calls() -> None:
    format_ = structural_tag("deepseek_v32", [tool("a"), tool("b")], stop_after_first=True)[
        "format"
    ]
    (section,) = format_["tags"]
    inside = section["content"]
    assert section["begin"] == "<｜DSML｜function_calls>\n"
    assert (inside["type"], inside["separator"]) == ("tags_with_separator", "\n")
    assert inside["stop_after_first"] is True
    assert [tag["begin"] for tag in inside["tags"]] == [
        '<｜DSML｜invoke name="a">\n',
        '<｜DSML｜invoke name="b">\n',
    ]


def test_thoughts_come_first_where_the_server_does_not_know_of_them() -> None:
    first, then = structural_tag("hermes", [tool("add")], thoughts_end="</think>")["format"][
        "elements"
    ]
    assert (first["content"], first["end"]) == ({"type": "any_text"}, "</think>\n\n")
    assert then["type"] == "triggered_tags"


def test_a_name_is_written_as_json_where_it_stands_in_json() -> None:
    (tag,) = structural_tag("hermes", [tool('a"b')])["format"]["tags"]
    assert tag["begin"] == '<tool_call>\n{"name": "a\\"b", "arguments": '


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    bare = {"type": "function", "function": {"name": "now"}}
    (tag,) = structural_tag("hermes", [bare])["format"]["tags"]
    assert tag["content"]["json_schema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("name", TAGS)
def test_every_tag_says_what_the_traps_are_closed_by(name: str) -> None:
    text = json.dumps(structural_tag(name, [tool("add")]), ensure_ascii=False)
    assert '"max_whitespace_cnt": 1' in text
    assert '"excludes": ["' in text
    assert "NAME" not in text
    assert "INDEX" not in text


@pytest.mark.parametrize("name", TAGS)
def test_what_a_tag_lets_a_model_write_is_read_as_a_call(name: str) -> None:
    """The beginning and the end that it fixes are those that the reader knows."""
    format_ = structural_tag(name, [tool("add")])["format"]
    text = WRITERS[name]([("add", {"a": 3})]).strip()
    (tag,) = format_["tags"]
    begin, end = tag["begin"], tag["end"]
    if tag["content"]["type"] == "tags_with_separator":
        (call,) = tag["content"]["tags"]
        assert call["begin"].strip() in text
        assert call["end"].strip() in text
    assert text.startswith(begin)
    assert text.endswith(end)
    assert text.startswith(format_["triggers"][0])
    assert [call.args for call in read(name, text).good] == [{"a": 3}]


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in TAGS])
def test_a_format_without_a_tag_names_those_that_have_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r}.*Formats that can: .*hermes"):
        structural_tag(name, [tool("add")])
