"""Text and reasoning around calls, and calls that went into them."""

import json

from tests.unit_tests.core.messages import f
from tests.unit_tests.vllm.wire import chunk
from tests.unit_tests.wire.row import (
    BOTH,
    OSLO,
    OSLO_TEXT,
    PLAIN,
    ROME_TEXT,
    A,
    Row,
    arguments,
    head,
    sent,
    text,
    whole,
)

ROWS: dict[str, Row] = {
    "24 a marker in a string ends the call": Row(
        wire=sent(head(args='{"city": "a'), text(' in the name"}')),
        invalid=[("get_weather", "not complete")],
        content=' in the name"}',
    ),
    "24 a marker in a string begins a call": Row(
        wire=sent(head(args='{"city": "a'), [f(1, "b", ' inside"}')]),
        invalid=[("get_weather", "not complete")],
        unfit=[(("b", 'inside"}', {}), "is bound")],
    ),
    "33 white space around calls": Row(
        wire=sent(text("\n\n"), PLAIN, text("\n"), head(args=ROME_TEXT, index=1), text(" ")),
        calls=BOTH,
        content="\n\n\n ",
    ),
    "34 nothing but a call's markup in the text": Row(
        wire=sent(text('<tool_call>{"name": "now", "arguments": {}}</tool_call>'), end="stop"),
        content='<tool_call>{"name": "now", "arguments": {}}</tool_call>',
        invalid=[("now", "--tool-call-parser hermes, or let the client read the calls")],
        finish_reason="stop",
    ),
    "34 nothing but two calls without markers in the text": Row(
        wire=sent(text("\n[now(), add(a=1,"), text(" b=2)]"), end="stop"),
        content="\n[now(), add(a=1, b=2)]",
        invalid=[("now", "the format pythonic"), ("add", "the format pythonic")],
        finish_reason="stop",
    ),
    "34 markup and prose in the text": Row(
        wire=sent(
            text("Write "),
            text('<tool_call>{"name": "now", "arguments": {}}</tool_call>'),
            end="stop",
        ),
        content='Write <tool_call>{"name": "now", "arguments": {}}</tool_call>',
        finish_reason="stop",
    ),
    "34 markup of a tool that is not bound": Row(
        wire=sent(text('<tool_call>{"name": "later", "arguments": {}}</tool_call>'), end="stop"),
        content='<tool_call>{"name": "later", "arguments": {}}</tool_call>',
        finish_reason="stop",
    ),
    "34 markup in a text that was cut": Row(
        wire=sent(text('<tool_call>{"name": "now", "arguments": {}}</tool_call>'), end="length"),
        content='<tool_call>{"name": "now", "arguments": {}}</tool_call>',
        finish_reason="length",
    ),
    "34 nothing but a call's markup in a whole text": Row(
        wire=whole({"content": '<tool_call>{"name": "now", "arguments": {}}</tool_call>'}, "stop"),
        content='<tool_call>{"name": "now", "arguments": {}}</tool_call>',
        invalid=[("now", "the format hermes")],
        finish_reason="stop",
        whole=True,
    ),
    "34 markup in the text, and the call": Row(
        wire=sent(text('<function name="get_weather">'), PLAIN),
        calls=[A],
        content='<function name="get_weather">',
    ),
    "35 special tokens in the text": Row(
        wire=sent(text("Hi<|im_end|>"), end="stop"),
        content="Hi<|im_end|>",
        finish_reason="stop",
    ),
    "36 text behind a call": Row(
        wire=sent(PLAIN, text("Let me see.")), calls=[A], content="Let me see."
    ),
    "41 another tool than the forced one": Row(
        wire=arguments("{}", name="now", end="stop"),
        calls=[("a", "now", {})],
        finish_reason="stop",
    ),
    "41 markup for arguments": Row(
        wire=arguments('<tool_call>\n{"name": "get_weather", "arguments": ' + OSLO_TEXT + "}"),
        invalid=[("get_weather", "not JSON")],
    ),
    "41 the envelope for arguments": Row(
        wire=arguments(json.dumps({"name": "get_weather", "arguments": OSLO})),
        unfit=[
            (
                ("a", "get_weather", {"name": "get_weather", "arguments": OSLO}),
                "Field required at $.city",
            )
        ],
    ),
    "42 reasoning": Row(
        wire=sent(chunk(reasoning="h"), chunk(reasoning="mm"), PLAIN),
        calls=[A],
        reasoning="hmm",
    ),
    "42 reasoning_content": Row(
        wire=sent(chunk(reasoning_content="h"), chunk(reasoning_content="mm"), PLAIN),
        calls=[A],
        reasoning="hmm",
    ),
    "42 both": Row(
        wire=sent(
            chunk(reasoning="h", reasoning_content="h"),
            chunk(reasoning="mm", reasoning_content="mm"),
            PLAIN,
        ),
        calls=[A],
        reasoning="hmm",
    ),
    "43 a call in the reasoning": Row(
        wire=sent(chunk(reasoning='<tool_call>{"name": "now"}'), end="stop"),
        reasoning='<tool_call>{"name": "now"}',
        finish_reason="stop",
    ),
    "78 a refusal": Row(
        wire=sent(chunk(refusal="I can't help."), end="stop"), finish_reason="stop"
    ),
    "79 thinking as parts of the content": Row(
        wire=sent(
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]),
            chunk(content=[{"type": "text", "text": "See:"}]),
            PLAIN,
        ),
        calls=[A],
        content="See:",
        reasoning="hmm",
    ),
}
