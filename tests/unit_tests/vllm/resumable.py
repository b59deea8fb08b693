"""A server that dies in the middle of its answers, and goes on behind the tokens that it is sent.

What it writes is a recording of a real vLLM, in which every token stands beside its text. So what
follows any number of them is known, and so is the text of any tokens.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import httpx2

from tests.unit_tests.vllm.mocked import MockedServer
from tests.unit_tests.vllm.wire import DONE, event

Kind = Literal["cut", "fail", "stall", "garbage", "half"]
"""How a stream breaks: the connection is lost, the server says so, nothing comes, a line that is no
event comes, or the connection is lost in the middle of an event."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """After how many events a stream breaks, and how."""

    after: int
    kind: Kind = "cut"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer on the wire."""

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    ending: Literal["complete", "cut", "stall"] = "complete"


class Stream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of a reply, which ends as the reply says."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        yield self._reply.body
        if self._reply.ending == "cut":
            msg = "peer closed connection"
            raise httpx2.RemoteProtocolError(msg)
        if self._reply.ending == "stall":
            msg = "nothing came"
            raise httpx2.ReadTimeout(msg)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def served(replica: "Replica") -> MockedServer:
    """A server without sockets that answers as a replica does."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = json.loads(request.content) if request.content else {}
        reply = replica.answer(request.url.path, sent)
        headers = {"content-type": reply.content_type}
        return httpx2.Response(reply.status, headers=headers, stream=Stream(reply))

    return MockedServer(answer)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the answer. Of a character of several tokens, the last one has the text."""

    id: int
    text: str


@dataclass(kw_only=True)
class Replica:
    """What all replicas behind one URL do.

    Args:
        body: A whole recorded answer, with the tokens.
        breaks: How the first streams break, in their order.
        takes_ids: Whether `kv_transfer_params.prompt_token_ids` is heeded.
        has_completions: Whether there is `/v1/completions`.
        has_detokenize: Whether there is `/detokenize`.
        edit: Changes the chunks of every stream but the first.
        edit_all: Changes the chunks of every stream.
    """

    body: bytes
    breaks: Iterable[Break] = ()
    takes_ids: bool = True
    has_completions: bool = True
    has_detokenize: bool = True
    edit: Any = None
    edit_all: Any = None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    streams: int = 0

    def __post_init__(self) -> None:
        self.breaks = list(self.breaks)
        events = [one for one in self.body.split(b"\n\n") if one.startswith(b"data: {")]
        self.chunks: list[dict[str, Any]] = [json.loads(one[6:]) for one in events]
        self.prompt: list[int] = self.chunks[0]["prompt_token_ids"]
        self.tokens = list(chain.from_iterable(map(_tokens, self.chunks)))

    def answer(self, path: str, request: dict[str, Any]) -> Reply:
        """Answer a request."""
        self.requests.append((path, request))
        match path:
            case "/v1/chat/completions":
                return self._stream(asked(self._chat(request), request))
            case "/v1/completions" if self.has_completions:
                return self._stream(asked(self._completion(request), request))
            case "/detokenize" if self.has_detokenize:
                return _json(200, {"prompt": self.text_of(request["tokens"])})
            case "/tokenize":
                said = {"count": len(self.prompt), "tokens": self.prompt, "max_model_len": 65536}
                return _json(200, said)
            case "/v1/models":
                card = {"id": "tiny", "object": "model", "max_model_len": 65536}
                return _json(200, {"object": "list", "data": [card]})
        return _json(404, {"detail": "Not Found"})

    def text_of(self, ids: list[int]) -> str:
        """The text of some tokens, which are a piece of the answer."""
        known = [token.id for token in self.tokens]
        last = len(known) - len(ids)
        at = next(at for at in range(last, -1, -1) if known[at : at + len(ids)] == ids)
        return "".join(token.text for token in self.tokens[at : at + len(ids)])

    def _chat(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        sent = (request.get("kv_transfer_params") or {}).get("prompt_token_ids")
        if sent is None or not self.takes_ids:
            return self.chunks
        assert sent[: len(self.prompt)] == self.prompt
        first = {**self.chunks[0], "prompt_token_ids": sent}
        return [first, *self._rest(sent, lambda choice: choice)]

    def _completion(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        sent = request["prompt"]

        def as_text(choice: Mapping[str, Any]) -> dict[str, Any]:
            made = {key: value for key, value in choice.items() if key != "delta"}
            return {**made, "text": _text(choice)[1], "logprobs": None}

        made = self._rest(sent, as_text)
        made[0]["choices"][0]["prompt_token_ids"] = sent
        return made

    def _rest(self, sent: list[int], shape: Any) -> list[dict[str, Any]]:
        kept = len(sent) - len(self.prompt)
        assert sent[len(self.prompt) :] == [token.id for token in self.tokens[:kept]]
        made: list[dict[str, Any]] = []
        for chunk in self.chunks[1:]:
            if chunk["choices"]:
                ids = chunk["choices"][0].get("token_ids") or []
                kept -= len(ids)
                if kept >= 0 and ids:
                    continue
                made.append({**chunk, "choices": [shape(chunk["choices"][0])]})
            else:
                completion = len(self.tokens) - (len(sent) - len(self.prompt))
                counts = {"prompt_tokens": len(sent), "completion_tokens": completion}
                made.append({**chunk, "usage": {**chunk["usage"], **counts}})
        return made

    def _stream(self, chunks: list[dict[str, Any]]) -> Reply:
        number = self.streams
        self.streams += 1
        chunks = [{**one, "id": f"chatcmpl-{number}"} for one in chunks]
        if self.edit_all is not None:
            chunks = self.edit_all(chunks)
        if number and self.edit is not None:
            chunks = self.edit(chunks)
        events = [*map(event, chunks), DONE]
        breaks = list(self.breaks)
        if number >= len(breaks):
            return Reply(body=b"".join(events))
        how = breaks[number]
        body = b"".join(events[: how.after])
        match how.kind:
            case "cut":
                return Reply(body=body, ending="cut")
            case "stall":
                return Reply(body=body, ending="stall")
            case "half":
                rest = b"".join(events[how.after :])
                return Reply(body=body + rest[: len(rest.partition(b"\n")[0]) // 2], ending="cut")
            case "garbage":
                return Reply(body=body + b"upstream connect error or disconnect\n\n")
            case "fail":
                said = {"message": "EngineCore died", "type": "InternalServerError", "code": 500}
                return Reply(body=body + event({"error": said}) + DONE)


def asked(chunks: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Leave the tokens out where nobody asked for them."""
    if request.get("return_token_ids"):
        return chunks
    hidden = ("token_ids", "prompt_token_ids")
    made = []
    for chunk in chunks:
        choices = [
            {name: value for name, value in choice.items() if name not in hidden}
            for choice in chunk["choices"]
        ]
        rest = {name: value for name, value in chunk.items() if name not in hidden}
        made.append({**rest, "choices": choices})
    return made


def _tokens(chunk: Mapping[str, Any]) -> list[Token]:
    made: list[Token] = []
    for choice in chunk["choices"][:1]:
        ids = choice.get("token_ids") or []
        _, text = _text(choice)
        for number, id_ in enumerate(ids, 1):
            made.append(Token(id_, text if number == len(ids) else ""))
    return made


def _text(choice: Mapping[str, Any]) -> tuple[str, str]:
    logprobs = choice.get("logprobs")
    if logprobs and logprobs.get("content"):
        end = choice.get("finish_reason") is not None
        said = logprobs["content"][: -1 if end else None]
        return "tokens", "".join(one["token"] for one in said)
    delta = choice.get("delta") or {}
    if delta.get("content"):
        return "content", delta["content"]
    return "reasoning", delta.get("reasoning") or ""


def _json(status: int, value: Any) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode(), content_type="application/json")


PROMPT = [11, 12, 13]


def written(*pieces: str, finish: str = "stop", kind: str = "content") -> bytes:
    """An answer of some pieces, each of which is a token; an empty one is part of a character."""
    role = {"role": "assistant", "content": ""}
    chunks: list[dict[str, Any]] = [{**_chunk(role), "prompt_token_ids": PROMPT}]
    for number, piece in enumerate(pieces):
        delta = {kind: piece} if piece else {}
        chunks.append(_chunk(delta, token_ids=[100 + number]))
    chunks.append(_chunk({}, token_ids=[2], finish_reason=finish))
    completion = len(pieces) + 1
    counts = {
        "prompt_tokens": len(PROMPT),
        "completion_tokens": completion,
        "total_tokens": len(PROMPT) + completion,
    }
    chunks.append({**_chunk({}), "choices": [], "usage": counts})
    return b"".join(map(event, chunks)) + DONE


def _chunk(delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None, **fields}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [choice],
    }
