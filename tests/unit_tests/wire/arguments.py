"""What stands where one JSON object should."""

import json

from tests.unit_tests.wire.row import OSLO_TEXT, PARTS, A, Row, arguments, head, sent

ROWS: dict[str, Row] = {
    "12 a name and never any arguments": Row(wire=sent(head("now")), calls=[("a", "now", {})]),
    "12 and the tool requires some": Row(
        wire=sent(head("add")), unfit=[(("a", "add", {}), "Field required at $.a")]
    ),
    **{
        f"13 arguments {args!r}": Row(
            wire=sent(head("now"), [{"index": 0, "function": {"arguments": args}}]),
            calls=[("a", "now", {})],
        )
        for args in (None, "null", "", " ", "{}", {})
    },
    "13 arguments null and the tool requires some": Row(
        wire=arguments("null", name="add"), unfit=[(("a", "add", {}), "Field required at $.a")]
    ),
    "14 white space around the arguments": Row(wire=arguments("\n\n", OSLO_TEXT, "\n"), calls=[A]),
    "20 closed early, then more": Row(
        wire=arguments('{"city": "Oslo"}', ' "days": 3}'),
        invalid=[("get_weather", "were complete, and then")],
    ),
    "20 closed, then an empty object": Row(
        wire=arguments(OSLO_TEXT, "{}"), invalid=[("get_weather", "were complete, and then")]
    ),
    "20 the same object twice": Row(wire=arguments(OSLO_TEXT, OSLO_TEXT), calls=[A]),
    "20 the text so far again and again": Row(
        wire=arguments(PARTS[0], OSLO_TEXT), invalid=[("get_weather", "not complete")]
    ),
    "20 two opening brackets": Row(
        wire=arguments("{" + OSLO_TEXT), invalid=[("get_weather", "not JSON")]
    ),
    "22 a closing bracket too many": Row(wire=arguments(OSLO_TEXT, "}"), calls=[A]),
    "22 the envelope's other keys": Row(
        wire=arguments(OSLO_TEXT, ', "name": "get_weather"'),
        invalid=[("get_weather", "were complete, and then")],
    ),
    "22 a raw line end in a string": Row(
        wire=arguments('{"city": "Os\nlo"}'), invalid=[("get_weather", "control character")]
    ),
    "25 encoded twice": Row(wire=arguments(json.dumps(OSLO_TEXT)), calls=[A]),
    "25 encoded twice, and not what the tool takes": Row(
        wire=arguments(json.dumps('{"days": 3}')),
        unfit=[(("a", "get_weather", {"days": 3}), "Field required at $.city")],
    ),
    "26 an object as text in a string": Row(
        wire=arguments('{"opts": "{\\"unit\\": \\"c\\"}"}', name="configure"),
        unfit=[(("a", "configure", {"opts": '{"unit": "c"}'}), "$.opts")],
    ),
    "27 a number as text": Row(
        wire=arguments('{"a": "007", "b": 1}', name="add"),
        calls=[("a", "add", {"a": "007", "b": 1})],
    ),
    "27 null as text, where text may stand": Row(
        wire=arguments('{"text": "null"}', name="note"),
        calls=[("a", "note", {"text": "null"})],
    ),
    "28 text as a number, where either may stand": Row(
        wire=arguments('{"text": null, "code": 7}', name="note"),
        calls=[("a", "note", {"text": None, "code": 7})],
    ),
    "28 text as a number, where only text may": Row(
        wire=arguments('{"city": 7}'), unfit=[(("a", "get_weather", {"city": 7}), "$.city")]
    ),
    "29 Python's words": Row(
        wire=arguments('{"city": True}}'), invalid=[("get_weather", "not JSON")]
    ),
    "29 Python's quotes": Row(
        wire=arguments("{'city': 'Oslo'}"), invalid=[("get_weather", "not JSON")]
    ),
    **{
        f"29 {number}": Row(
            wire=arguments(f'{{"city": "Oslo", "days": {number}}}'),
            invalid=[("get_weather", "not JSON")],
        )
        for number in ("NaN", "Infinity", "-Infinity")
    },
    "30 stuck in the middle": Row(
        wire=arguments('{"city": "hello'), invalid=[("get_weather", "not complete")]
    ),
    "31 no opening bracket": Row(
        wire=arguments(OSLO_TEXT[1:]), invalid=[("get_weather", "were complete")]
    ),
    "31 garbled": Row(wire=arguments('{"Oslo, "days": 3'), invalid=[("get_weather", "not JSON")]),
    "31 an end that is missing": Row(
        wire=arguments('{"city": "Oslo", "days": '), invalid=[("get_weather", "not complete")]
    ),
    "37 of a call only the name is left": Row(
        wire=sent(head("add")), unfit=[(("a", "add", {}), "Field required at $.a")]
    ),
    "37 of a call only an empty object is left": Row(
        wire=arguments("{}"), unfit=[(("a", "get_weather", {}), "Field required at $.city")]
    ),
    "70 a big integer": Row(
        wire=arguments('{"a": 123456789012', "34567890123", ', "b": 1}', name="add"),
        calls=[("a", "add", {"a": 12345678901234567890123, "b": 1})],
    ),
    "70 a number that grows": Row(
        wire=arguments('{"a": 10', "0", ', "b": 1', "000", ".0}", name="add"),
        calls=[("a", "add", {"a": 100, "b": 1000.0})],
    ),
}
