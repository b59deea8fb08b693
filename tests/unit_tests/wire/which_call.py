"""Which call a fragment belongs to, and which tool the call is for."""

from tests.unit_tests.core.messages import f
from tests.unit_tests.wire.row import (
    BOTH,
    OSLO,
    OSLO_TEXT,
    PARTS,
    ROME_TEXT,
    A,
    Row,
    arguments,
    head,
    rest,
    sent,
)

ROWS: dict[str, Row] = {
    "7 two calls open, and no index": Row(
        wire=sent([f(0, "a", "add", "")], [f(1, "b", "get_weather", "")], [f(args=OSLO_TEXT)]),
        invalid=[("add", "may belong to any"), ("get_weather", "may belong to any")],
    ),
    **{
        f"7 index {spelling!r}": Row(
            wire=sent(
                [f(spelling, "a", "get_weather", "")],
                [f(1, "b", "now", "")],
                [f(spelling, args=OSLO_TEXT)],
            ),
            calls=[A, ("b", "now", {})],
        )
        for spelling in ("0", 0.0)
    },
    "7 a name at one index, its arguments at the next": Row(
        wire=sent([f(0, "a", "get_weather", "")], [f(1, args=OSLO_TEXT)]),
        invalid=[("get_weather", "no named call"), ("", "no name")],
    ),
    "6 one call at two indexes": Row(
        wire=sent([f(0, "a", "get_weather", OSLO_TEXT)], [f(1, "a", "get_weather", OSLO_TEXT)]),
        calls=[A],
        invalid=[("get_weather", "before, under another index")],
    ),
    "02 name and arguments as two entries of one list": Row(
        wire=sent([*head(), f(0, args=OSLO_TEXT)]), calls=[A]
    ),
    "02 name and empty arguments, then arguments": Row(
        wire=sent([*head(args=""), f(0, args=PARTS[0]), f(0, args=PARTS[1])]), calls=[A]
    ),
    "05 the name in every chunk": Row(
        wire=sent(*([f(0, "a", "get_weather", piece)] for piece in PARTS)), calls=[A]
    ),
    "05 the name in every chunk, without the id": Row(
        wire=sent(head(args=PARTS[0]), [f(0, None, "get_weather", PARTS[1])]), calls=[A]
    ),
    "05 another name under the same id": Row(
        wire=sent(head(args=PARTS[0]), [f(0, "a", "get", PARTS[1])]), calls=[A]
    ),
    "05 another name and no id": Row(
        wire=sent(head(args=PARTS[0]), [f(0, None, "add", PARTS[1])]),
        invalid=[("get_weather", "went on as 'add'")],
    ),
    **{
        f"06 id {call_id!r}": Row(
            wire=sent(
                [{**f(0, None, "get_weather", PARTS[0]), "id": call_id}],
                [{**f(0, args=PARTS[1]), "id": call_id}],
            ),
            calls=[(None, "get_weather", OSLO)],
        )
        for call_id in (None, "", "null")
    },
    "06 id late": Row(
        wire=sent([f(0, None, "get_weather")], [f(0, "a", None, OSLO_TEXT)]), calls=[A]
    ),
    "06 id in every chunk": Row(
        wire=sent(head(args=PARTS[0]), [f(0, "a", None, PARTS[1])]), calls=[A]
    ),
    "06 id changes": Row(
        wire=sent(head(args=PARTS[0]), [f(0, "b", None, PARTS[1])]),
        invalid=[("get_weather", "not complete"), ("", "were complete, and then")],
    ),
    "06 two calls with one id": Row(
        wire=sent([f(0, "a", "get_weather", OSLO_TEXT)], [f(1, "a", "now", "{}")]),
        calls=[A, (None, "now", {})],
    ),
    "07 no index": Row(
        wire=sent([f(None, "a", "get_weather")], [f(args=PARTS[0])], [f(args=PARTS[1])]),
        calls=[A],
    ),
    "07 index null, two calls": Row(
        wire=sent(
            [{**f(None, "a", "get_weather", OSLO_TEXT), "index": None}],
            [{**f(None, "b", "get_weather"), "index": None}],
            [{**f(args=ROME_TEXT), "index": None}],
        ),
        calls=BOTH,
    ),
    "08 all calls at index 0": Row(
        wire=sent(
            head(args=PARTS[0]),
            *rest(PARTS[1]),
            [f(0, "b", "get_weather", ROME_TEXT[:3])],
            *rest(ROME_TEXT[3:]),
        ),
        calls=BOTH,
    ),
    "09 the second index first": Row(
        wire=sent(
            [f(1, "a", "get_weather", PARTS[0])],
            [f(0, "b", "get_weather", ROME_TEXT)],
            [f(1, args=PARTS[1])],
        ),
        calls=BOTH,
    ),
    "09 a gap": Row(
        wire=sent(head(args=OSLO_TEXT), [f(7, "b", "get_weather", ROME_TEXT)]), calls=BOTH
    ),
    "10 function null or absent": Row(
        wire=sent(head(args=OSLO_TEXT), [{"index": 0}], [{"index": 0, "function": None}]),
        calls=[A],
    ),
    "10 type at the end": Row(
        wire=sent([f(0, "a", "get_weather", OSLO_TEXT)], [f(0, type="function")]), calls=[A]
    ),
    "11 name null": Row(
        wire=sent(
            head(args=PARTS[0]),
            [{"index": 0, "id": None, "function": {"name": None, "arguments": PARTS[1]}}],
        ),
        calls=[A],
    ),
    "23 the name of something inside the arguments": Row(
        wire=arguments('{"name": "Bob"}', name="Bob"),
        unfit=[(("a", "Bob", {"name": "Bob"}), "Bound tools: 'get_weather', 'now'")],
    ),
    "35 special tokens in a name": Row(
        wire=arguments("{}", name="now<|channel|>commentary"),
        unfit=[(("a", "now<|channel|>commentary", {}), "Bound tools: ")],
    ),
    **{
        f"56 {call_id}": Row(
            wire=sent([f(0, call_id, "get_weather", OSLO_TEXT)]),
            calls=[(call_id, "get_weather", OSLO)],
        )
        for call_id in (
            "functions.get_weather:2",
            "aB3dE6gH9",
            "call_0_9f86d081",
            "chatcmpl-tool-0123456789abcdef",
        )
    },
    **{
        f"57 name {name!r}": Row(
            wire=arguments("{}", name=name), unfit=[(("a", name.strip(), {}), "Bound tools: ")]
        )
        for name in (' ["', ' inside"}', "a.b")
    },
    "57 no name": Row(wire=arguments("{}", name=""), invalid=[("", "has no name")]),
    "57 space around a name": Row(wire=arguments("{}", name=" now\n"), calls=[("a", "now", {})]),
    "58 a tool that is not bound": Row(
        wire=arguments("{}", name="nope"),
        unfit=[(("a", "nope", {}), "No tool 'nope' is bound. Bound tools: 'get_weather', 'now'")],
    ),
}
