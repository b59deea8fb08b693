"""A server that speaks vLLM's wire and answers by rule, where a tiny model cannot.

It forces a tool or a schema as vLLM does, fills it with what the question quotes or counts, and
refuses what vLLM refuses. There is no model in it and nothing of ours.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit_tests.vllm.wire import DONE, chunk, event, part, usage

MODELS = ("scripted", "scripted-too")
GREETING = "Hello! How can I help you today?"


@contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server until the end of the block; yields its URL for OpenAI clients."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Refused(Exception):  # noqa: N818 - a word of the protocol, not a failure of the server
    """The request is one to which vLLM answers 400."""


class Scripted(BaseHTTPRequestHandler):
    """Answers by rule."""

    def do_GET(self) -> None:
        cards = [{"id": name, "object": "model", "owned_by": "vllm"} for name in MODELS]
        self._send(200, "application/json", _json({"object": "list", "data": cards}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            chunks = list(answer(request))
        except _Refused as refusal:
            error = {"message": str(refusal), "type": "BadRequestError", "code": 400}
            self._send(400, "application/json", _json({"error": error}))
            return
        body = b"".join(event({**one, "model": request["model"]}) for one in chunks) + DONE
        self._send(200, "text/event-stream", body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of the answer to a request.

    Raises:
        _Refused: vLLM would not take the request.
    """
    _check(request)
    question = _question(request)
    yield chunk(role="assistant", content="")
    thought = ""
    if request.get("chat_template_kwargs", {}).get("enable_thinking"):
        thought = f"The user says: {question}"
        yield from (chunk(reasoning=word) for word in _words(thought))
    tool = _called(request, question)
    if tool is not None:
        written = json.dumps(_value(tool["parameters"], question), ensure_ascii=False)
        yield chunk(part(id=f"chatcmpl-tool-{abs(hash(question)):016x}", name=tool["name"]))
        yield from (chunk(part(piece)) for piece in _words(written))
        named = isinstance(request["tool_choice"], dict) if "tool_choice" in request else False
        yield chunk(finish_reason="stop" if named else "tool_calls")
    else:
        written, stopped_by = _until(request.get("stop") or [], _text(request, question))
        yield from (chunk(content=word) for word in _words(written))
        yield _stopped(stopped_by)
    if (request.get("stream_options") or {}).get("include_usage"):
        completion = len(_words(thought)) + len(_words(written))
        counts = usage(len(_words(_json(request["messages"]).decode())), completion)
        details = {"reasoning_tokens": len(_words(thought))}
        counts["usage"]["completion_tokens_details"] = details
        yield counts


def _check(request: dict[str, Any]) -> None:
    if request.get("model") not in MODELS:
        raise _Refused(f"The model `{request.get('model')}` does not exist.")
    if not request.get("stream"):
        raise _Refused("This server only streams.")
    if request.get("tools") == []:
        raise _Refused("`tools` must not be an empty list")
    choice = request.get("tool_choice", "auto")
    if not isinstance(choice, dict) and choice not in ("auto", "none", "required"):
        raise _Refused(f"tool_choice {choice!r} is not known")
    for message in request["messages"]:
        for call in message.get("tool_calls") or ():
            if not isinstance(call["function"]["arguments"], str):
                raise _Refused("function.arguments must be a string")


def _question(request: dict[str, Any]) -> str:
    """What the last user said, if nobody has answered yet."""
    last = request["messages"][-1]
    if last["role"] != "user":
        return ""
    content = last["content"]
    return content if isinstance(content, str) else " ".join(one["text"] for one in content)


def _called(request: dict[str, Any], question: str) -> dict[str, Any] | None:
    tools = [tool["function"] for tool in request.get("tools", ())]
    match request.get("tool_choice", "auto"):
        case {"function": {"name": name}}:
            return next(tool for tool in tools if tool["name"] == name)
        case "required":
            return tools[0]
        case "auto":
            words = set(re.findall(r"\w+", question.lower()))
            return next((tool for tool in tools if words & set(tool["name"].split("_"))), None)
    return None


def _text(request: dict[str, Any], question: str) -> str:
    match request.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return _json(_value(schema, question)).decode()
        case {"type": "json_object"}:
            return _json(dict.fromkeys(re.findall(r"'(\w+)'", question), "...")).decode()
    return GREETING


def _value(schema: dict[str, Any], question: str) -> Any:
    """What fits a schema: as little as it demands, out of the question where that has it."""
    kind = schema.get("type", "string")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _value(properties[name], question) for name in schema.get("required", ())}
    if kind == "integer":
        return int(next(iter(re.findall(r"\d+", question)), "0"))
    return next(iter(re.findall(r"'([^']+)'", question)), "lorem")


def _until(stops: list[str], text: str) -> tuple[str, str | None]:
    found = min((stop for stop in stops if stop in text), key=text.index, default=None)
    return (text, None) if found is None else (text[: text.index(found)], found)


def _stopped(by: str | None) -> dict[str, Any]:
    last = chunk(finish_reason="stop")
    last["choices"][0]["stop_reason"] = by
    return last


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
