"""How messages end, and how they fail to."""

from tests.unit_tests.core.messages import f
from tests.unit_tests.vllm.wire import DONE, body, chunk, event
from tests.unit_tests.wire.row import (
    CUT,
    OSLO_TEXT,
    PARTS,
    PLAIN,
    STARTED,
    A,
    Row,
    arguments,
    head,
    rest,
    sent,
    text,
    whole,
)

ROWS: dict[str, Row] = {
    "15 stop, with a call": Row(
        wire=arguments(*PARTS, end="stop"), calls=[A], finish_reason="stop"
    ),
    "16 tool_calls, without a call": Row(
        wire=whole({"content": "[]", "tool_calls": []}), content="[]", whole=True
    ),
    "17 cut, and closed in the chunk that says so": Row(
        wire=body(
            chunk(*head(args='{"city": "Oslo"}')),
            chunk(*head("write_file", '{"path": "a", "content": "hel', 1)),
            chunk(f(1, args='lo bra"}'), finish_reason="length"),
        ),
        calls=[("a", "get_weather", {"city": "Oslo"})],
        invalid=[("write_file", CUT)],
        finish_reason="length",
    ),
    "17 cut, and closed without the cut parameter": Row(
        wire=arguments('{"path": "a"}', name="write_file", end="length"),
        invalid=[("write_file", CUT)],
        finish_reason="length",
    ),
    "18 cut, not streamed, and tool_calls says nothing of it": Row(
        wire=whole({"tool_calls": [f(None, "a", "write_file", '{"path": "a"}')]}),
        invalid=[("write_file", CUT)],
        finish_reason="length",
        whole=True,
        max_tokens=60,
    ),
    "18 not cut, not streamed": Row(
        wire=whole({"tool_calls": [f(None, "a", "write_file", '{"path": "a"}')]}),
        calls=[("a", "write_file", {"path": "a"})],
        whole=True,
        max_tokens=61,
    ),
    "19 cut, left open, and tool_calls says nothing of it": Row(
        wire=arguments('{"path": "a", "cont', name="write_file"),
        invalid=[("write_file", "not complete")],
    ),
    "39 the second call breaks the server": Row(
        wire=STARTED
        + event(
            {
                "error": {
                    "message": "too many values to unpack (expected 2)",
                    "type": "BadRequestError",
                    "param": None,
                    "code": 400,
                }
            }
        )
        + DONE,
        raises=r"\(400, BadRequestError\): too many values to unpack",
    ),
    "39 the second call inside the first": Row(
        wire=arguments('{"city": "A"}}<|function_call|>{"name": "get_weather"'),
        invalid=[("get_weather", "were complete, and then")],
    ),
    "44 a stop string in the arguments": Row(
        wire=sent(
            head("write_file"), *rest('{"path": "a", "content": "x'), end="stop", stop_reason="\n"
        ),
        invalid=[("write_file", "not complete")],
        finish_reason="stop",
    ),
    "44 a stop token behind the call": Row(
        wire=sent(PLAIN, end="stop", stop_reason=128009), calls=[A], finish_reason="stop"
    ),
    "45 an error in the stream": Row(
        wire=STARTED
        + event(
            {
                "error": {
                    "message": "Internal server error",
                    "type": "InternalServerError",
                    "param": None,
                    "code": 500,
                }
            }
        )
        + DONE,
        raises=r"\(500, InternalServerError\): Internal server error",
    ),
    "46 an error of older releases": Row(
        wire=STARTED
        + event(
            {"object": "error", "message": "It broke.", "type": "X", "param": None, "code": 400}
        )
        + DONE,
        raises=r"\(400, X\): It broke\.",
    ),
    "46 an error that is text": Row(
        wire=STARTED + event({"error": "It broke."}), raises=r"It broke\."
    ),
    "46 an error as a named event": Row(
        wire=STARTED + b'event: error\ndata: {"message": "It broke."}\n\n', raises=r"It broke\."
    ),
    "47 no end": Row(
        wire=STARTED + event(chunk(f(0, args='{"city": "'))), raises="without a finish reason"
    ),
    "47 no end behind a whole call": Row(
        wire=body(PLAIN, done=False), raises="without a finish reason"
    ),
    "47 no end but DONE": Row(wire=body(PLAIN), raises="without a finish reason"),
    "48 no DONE": Row(wire=sent(PLAIN).removesuffix(DONE), calls=[A]),
    "48 more behind DONE": Row(wire=sent(PLAIN) + DONE + event(text("late")), calls=[A]),
    **{
        f"49 {reason}": Row(
            wire=sent(head(args=OSLO_TEXT), head("write_file", '{"path": "a"}', 1), end=reason),
            calls=[A],
            invalid=[("write_file", CUT)],
            finish_reason=reason,
        )
        for reason in ("abort", "repetition")
    },
    "49 error": Row(wire=sent(PLAIN, end="error"), raises="its finish reason is 'error'"),
    **{
        f"80 {error!r}": Row(wire=STARTED + error, raises=r"It broke\.")
        for error in (
            b'error: {"message": "It broke."}\n\n',
            b'{"error": {"message": "It broke."}}\n\n',
            b"<html><h1>It broke.</h1></html>\n\n",
            event({"detail": "It broke."}),
            event({"choices": [{"index": 0, "delta": {}, "error": {"message": "It broke."}}]}),
        )
    },
    "81 a second server goes on": Row(
        wire=STARTED + body(chunk(role="assistant", content=""), PLAIN),
        raises="not one whole answer",
    ),
}
