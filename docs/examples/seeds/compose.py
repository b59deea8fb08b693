"""Compose answers that the tiny model cannot give, out of those that it gave.

It calls the tools it was trained for, and the documents have others. So their calls, and the answer
to a result, are put into the wire of two recorded answers, delta by delta; what else a server sends
stays as it was. The ids say `composed`.
"""

import json
import re
from typing import Any

from langchain_toolstream.testing import Recording, bundled_recordings

RECORDED = {recording.id: recording for recording in bundled_recordings()}
CALLS = {
    "generate_random_ints": {"min": 0, "max": 9, "size": 10},
    "get_current_weather": {"city": "Dallas"},
}
QUESTIONS = {
    "generate_random_ints": 'Call generate_random_ints {"min": 0, "max": 9, "size": 10}',
    "get_current_weather": "What is the weather in Dallas?",
}


def _deltas(recording: Recording) -> list[dict[str, Any]]:
    text = recording.body.decode()
    return [json.loads(line) for line in re.findall(r"^data: ({.*)$", text, re.MULTILINE)]


def _body(chunks: list[dict[str, Any]]) -> bytes:
    events = [json.dumps(chunk, separators=(",", ":")) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


def _pieces(text: str) -> list[str]:
    return re.findall(r"\w+|\W+", text)


def _with(recording: Recording, key: str, pieces: list[Any]) -> list[dict[str, Any]]:
    """Put other deltas in the place of all that have something under a key."""
    chunks = _deltas(recording)
    places = [
        place
        for place, chunk in enumerate(chunks)
        if chunk["choices"] and chunk["choices"][0]["delta"].get(key)
    ]
    pattern = chunks[places[-1]]
    made = []
    for piece in pieces:
        (choice,) = pattern["choices"]
        delta = {**choice["delta"], key: piece}
        made.append({**pattern, "choices": [{**choice, "delta": delta, "finish_reason": None}]})
    return [*chunks[: places[0]], *made, *chunks[places[-1] + 1 :]]


def _call(name: str, args: dict[str, Any]) -> list[Any]:
    first = {"index": 0, "id": f"composed-{name}", "type": "function", "function": {"name": name}}
    texts = _pieces(json.dumps(args))
    return [[first], *([{"index": 0, "function": {"arguments": text}}] for text in texts)]


def _request(question: str, name: str, *later: dict[str, Any]) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": name, "parameters": {}}}
    messages = [{"role": "user", "content": question}, *later]
    return {"messages": messages, "tools": [tool], "stream": True}


def composed_recordings() -> list[Recording]:
    """The call of each tool in `CALLS`, and one answer to a result."""
    made = [
        Recording(
            id=f"composed_{name}",
            request=_request(QUESTIONS[name], name),
            body=_body(_with(RECORDED["tiny_1call"], "tool_calls", _call(name, args))),
        )
        for name, args in CALLS.items()
    ]
    name = "get_current_weather"
    args = CALLS[name]
    function = {"name": name, "arguments": json.dumps(args)}
    call = {"id": f"composed-{name}", "type": "function", "function": function}
    result = "It is 85 degrees fahrenheit in Dallas."
    later = (
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": result},
    )
    answer = _with(RECORDED["tiny_after_1call"], "content", _pieces(f"The result is: {result}"))
    made.append(
        Recording(
            id=f"composed_after_{name}",
            request=_request(QUESTIONS[name], name, *later),
            body=_body(answer),
        )
    )
    return made
