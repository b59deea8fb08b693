"""How a message is cut into chunks, and chunks into events."""

import json

from tests.unit_tests.core.messages import f
from tests.unit_tests.vllm.wire import DONE, body, chunk, event, usage
from tests.unit_tests.wire.row import (
    BOTH,
    OSLO,
    OSLO_TEXT,
    PARTS,
    PLAIN,
    ROME_TEXT,
    A,
    Row,
    arguments,
    head,
    null_chunk,
    rest,
    sent,
    text,
    whole,
)

WHOLE = whole({"tool_calls": [f(0, "a", "get_weather", OSLO_TEXT)]})

ROWS: dict[str, Row] = {
    "01 the role first, and nulls everywhere": Row(
        wire=body(
            null_chunk(delta={"role": "assistant", "content": ""}),
            null_chunk(
                delta={"content": None, "reasoning": None, "tool_calls": head(args=OSLO_TEXT)}
            ),
            null_chunk(delta={"content": None}, finish_reason="tool_calls"),
        ),
        calls=[A],
    ),
    "03 several calls in one delta": Row(
        wire=body(
            chunk(
                *head(args=OSLO_TEXT),
                *head(args=ROME_TEXT, index=1),
                finish_reason="tool_calls",
            )
        ),
        calls=BOTH,
    ),
    "03 one ends and the next begins": Row(
        wire=sent(
            head(args=PARTS[0]),
            [f(0, args=PARTS[1]), *head(index=1), f(1, args=ROME_TEXT[:3])],
            *rest(ROME_TEXT[3:], index=1),
        ),
        calls=BOTH,
    ),
    "04 everything in one chunk": Row(
        wire=body(
            chunk(
                *head(args=OSLO_TEXT),
                content="\n\n",
                reasoning="hmm",
                finish_reason="tool_calls",
            )
        ),
        calls=[A],
        content="\n\n",
        reasoning="hmm",
    ),
    "32 all at once": Row(
        wire=arguments(json.dumps({"path": "a", "content": "x" * 10_000}), name="write_file"),
        calls=[("a", "write_file", {"path": "a", "content": "x" * 10_000})],
    ),
    "40 empty deltas": Row(
        wire=sent(head(args=PARTS[0]), {}, chunk(), chunk(content=None), *rest(PARTS[1]), chunk()),
        calls=[A],
    ),
    "50 keep-alives": Row(
        wire=b": keep-alive\n\n" + sent(PLAIN).replace(b"\n\n", b"\n\n: keep-alive\n\n"), calls=[A]
    ),
    "51 token ids without text": Row(
        wire=sent(
            head(args=PARTS[0]),
            null_chunk(delta={}, token_ids=[258, 198]),
            *rest(PARTS[1]),
        ),
        calls=[A],
    ),
    "52 no choices": Row(
        wire=sent(PLAIN, usage(20, 5)).replace(DONE, event(usage(20, 6)) + DONE),
        calls=[A],
        tokens=6,
    ),
    "52 choices missing, delta null": Row(
        wire=sent(
            PLAIN,
            {"object": "chat.completion.chunk"},
            {"choices": None},
            null_chunk(delta=None),
            null_chunk(),
        ),
        calls=[A],
    ),
    "53 usage in every chunk": Row(
        wire=body(
            *(
                {**one, "usage": usage(20, count)["usage"]}
                for count, one in enumerate((text("H"), text("i"), chunk(finish_reason="stop")), 1)
            ),
            usage(20, 3),
        ),
        content="Hi",
        finish_reason="stop",
        tokens=3,
    ),
    "55 two choices": Row(
        wire=body(
            chunk(*head(args=PARTS[0])),
            chunk(*head("add", '{"a": 1, ', 0), choice=1),
            chunk(*rest(PARTS[1])[0]),
            chunk(*rest('"b": 2}')[0], choice=1),
            chunk(finish_reason="tool_calls"),
            chunk(finish_reason="stop", choice=1),
        ),
        calls=[A],
        n=2,
    ),
    "69 a character in two halves": Row(
        wire=sent(text("\ud83c"), text("\udf89"), head(), *rest('{"city": "\ud83c', '\udf89"}')),
        calls=[("a", "get_weather", {"city": "🎉"})],
        content="🎉",
    ),
    "69 an escape in two halves": Row(
        wire=arguments('{"city": "\\ud8', "3c\\u", 'df89"}'),
        calls=[("a", "get_weather", {"city": "🎉"})],
    ),
    "69 a replacement character": Row(
        wire=sent(text("\ufffd"), end="stop"), content="\ufffd", finish_reason="stop"
    ),
    "71 a letter in a frame": Row(wire=arguments(*OSLO_TEXT), calls=[A]),
    "72 no nulls": Row(
        wire=body(
            {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [
                                f(
                                    0,
                                    "call_0123456789abcdef01234567",
                                    "get_weather",
                                    "",
                                    type="function",
                                )
                            ]
                        },
                    }
                ]
            },
            {"choices": [{"index": 0, "delta": {"tool_calls": [f(0, args=OSLO_TEXT)]}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        ),
        calls=[("call_0123456789abcdef01234567", "get_weather", OSLO)],
    ),
    "72 name and id in each delta, reasoning renamed": Row(
        wire=sent(
            chunk(reasoning_content="hmm"),
            *([f(0, "a", "get_weather", piece, type="function")] for piece in PARTS),
        ),
        calls=[A],
        reasoning="hmm",
    ),
    "74 JSON under the label of an event stream": Row(wire=WHOLE + b"\n\n", calls=[A]),
    **{
        f"75 {beat!r}": Row(wire=body(PLAIN, done=False) + beat + sent(), calls=[A])
        for beat in (b"data:\n\n", b"event: ping\ndata: alive\n\n", b"event: ping\ndata: {}\n\n")
    },
    "76 a whole answer as the one event": Row(wire=b"data: " + WHOLE + b"\n\n" + DONE, calls=[A]),
    "77 the index of the choice counts from 1": Row(
        wire=body(
            chunk(*head(), choice=1),
            chunk(f(0, args=OSLO_TEXT), choice=1),
            chunk(choice=1, finish_reason="tool_calls"),
        ),
        calls=[A],
    ),
    "77 the index of the choice counts the chunks": Row(
        wire=body(
            chunk(*head()),
            chunk(f(0, args=OSLO_TEXT), choice=1),
            chunk(choice=2, finish_reason="tool_calls"),
        ),
        calls=[A],
    ),
}
