"""The roads to what a model wrote, and which of them a server has.

- `tokens`: the text is joined from the tokens in `logprobs`, which no parser of the server touches.
- `content`: the text of the answer is what the model wrote. An answer with calls that is whole in
  its content, and in its tokens, has shown that; so has a server that leaves no other road.
- `prompt`: `/tokenize` writes the prompt, and `/v1/completions` goes on behind it. No parser runs
  there. It is taken where tokens do not come.

A road that may have swallowed an answer is left, and never taken for an answer without calls.
"""

from collections.abc import Generator
from typing import Any, Literal

from langchain_toolstream.core.markup import AUTO
from langchain_toolstream.core.markup.formats import FORMATS
from langchain_toolstream.core.markup.models import format_of_model
from langchain_toolstream.vllm.errors import (
    VLLMEmptyOutputError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
)
from langchain_toolstream.vllm.questions import ModelCards, Prompt, PromptTokens, Question
from langchain_toolstream.vllm.request.markup import (
    as_completion,
    ask_for_text,
    has_constraint,
    media_in,
    show_tools,
)
from langchain_toolstream.vllm.response.markup import (
    HiddenToolsError,
    MarkupChunks,
    NoTokensError,
)

Road = Literal["tokens", "content", "prompt"]
Server = tuple[str, str]
"""A base URL, and the name of the model that it is asked for."""

_MAX_SERVERS = 1000


class Roads:
    """Which road each server has, and in which format its model writes, as far as is known."""

    def __init__(self) -> None:
        """Know none."""
        self._roads: dict[Server, Road] = {}
        self._formats: dict[Server, str] = {}
        self._hiding: dict[Server, bool] = {}

    def road(self, server: Server) -> Road:
        """Say how to ask a server."""
        return self._roads.get(server, "tokens")

    def learn(self, server: Server, road: Road) -> None:
        """Remember which road a server has."""
        _remember(self._roads, server, road)

    def forget(self, server: Server) -> None:
        """A server has swallowed an answer: it was started anew, with other flags."""
        self._roads.pop(server, None)

    def hides_tools(self, server: Server) -> bool | None:
        """Whether it hides tools under `tool_choice="none"`; `None` where that is not known."""
        return self._hiding.get(server)

    def learn_hiding(self, server: Server, *, hides: bool) -> None:
        """Remember whether it hides them."""
        _remember(self._hiding, server, hides)

    def format(self, server: Server) -> str | None:
        """Say in which format the model writes; `None` where that was not looked for."""
        return self._formats.get(server)

    def learn_format(self, server: Server, name: str) -> None:
        """Remember in which format the model writes."""
        _remember(self._formats, server, name)


def _remember(known: dict[Server, Any], server: Server, value: Any) -> None:
    if len(known) >= _MAX_SERVERS:
        known.clear()
    known[server] = value


ROADS = Roads()

ROAD_ERRORS = (
    HiddenToolsError,
    NoTokensError,
    VLLMEmptyOutputError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
)
"""Errors after which another road may be taken."""


class ClientReading:
    """How one answer is asked for, so that the client can read it.

    Args:
        payload: The request, as the SDK's client takes it. This writes it anew for each road.
        parser: The name of the format, or `"auto"`.
        server: Where it goes.
        thoughts_begun: Whether the prompt begins the model's thoughts.

    Attributes:
        markup: What reads the answer.
        is_text: Whether the request goes to `/v1/completions`.
    """

    def __init__(
        self,
        payload: dict[str, Any],
        parser: str,
        *,
        server: Server,
        thoughts_begun: bool,
    ) -> None:
        """Write the request by what is known of the server."""
        self._asked = dict(payload)
        self._payload = payload
        self._is_auto = parser == AUTO
        self._parser = (ROADS.format(server) if self._is_auto else None) or parser
        self._server = server
        self._thoughts_begun = thoughts_begun
        self._tried: set[Road] = set()
        self._road: Road = ROADS.road(server)
        self.is_text = False
        self.markup = MarkupChunks(
            payload["tools"], choices=payload.get("n") or 1, any_text=not has_constraint(payload)
        )
        self._write()

    def steps(self) -> Generator[Question, Any, None]:
        """Find out what has to be known, and write the request.

        Yields:
            What to ask.
        """
        if self._is_auto and ROADS.format(self._server) is None:
            yield from self._find_format()
            self._write()
        if self._road == "prompt":
            prompt = None if media_in(self._asked) else (yield PromptTokens(self._asked))
            if isinstance(prompt, Prompt):
                self._write(prompt)
            else:
                self._take("content")

    def goes_on(self, error: Exception) -> bool:
        """Whether there is another road, after one has failed before anything came of the answer.

        Args:
            error: How it failed.
        """
        road = self._road
        if isinstance(error, HiddenToolsError):
            ROADS.learn_hiding(self._server, hides=True)
            self._write()
            return True
        if road == "tokens" and (
            isinstance(error, NoTokensError)
            or (isinstance(error, VLLMInvalidRequestError) and "logprob" in str(error).lower())
        ):
            return self._take("prompt")
        if road == "prompt" and isinstance(error, VLLMInvalidRequestError | VLLMNotFoundError):
            return self._take("content")
        if road == "content" and isinstance(error, VLLMEmptyOutputError):
            ROADS.forget(self._server)
            return self._take("tokens")
        return False

    def ended(self) -> None:
        """The answer has come: remember the road, if it was not the first one."""
        if self._asks_prompt:
            ROADS.learn_hiding(self._server, hides=False)
        if self._tried or self.markup.shows_text_alone:
            road: Road = "content" if self.markup.shows_text_alone else self._road
            ROADS.learn(self._server, road)

    def _take(self, road: Road) -> bool:
        self._tried.add(self._road)
        if road in self._tried:
            return False
        self._road = road
        if road != "prompt":  # which has to know its prompt first
            self._write()
        return True

    def _find_format(self) -> Generator[Question, Any, None]:
        name = self._server[1]
        found = format_of_model(name)
        cards = None if found else (yield ModelCards())
        is_known = isinstance(cards, list)
        if is_known and cards:
            card = next((one for one in cards if one.id == name), None if name else cards[0])
            found = format_of_model(card.id, card.root) if card else None
        if found or is_known:
            ROADS.learn_format(self._server, found or AUTO)
            self._parser = found or AUTO

    def _write(self, prompt: Prompt | None = None) -> None:
        """Write the request, and begin to read anew."""
        begun = self._thoughts_begun
        body = self._asked.get("extra_body") or {}
        asks = self._road == "tokens" and not self._asked.get("logprobs")
        made = dict(self._asked)
        ask_for_text(made, self._parser, logprobs=asks, thoughts_begun=begun)
        if prompt is not None:
            made = as_completion(made, prompt.ids, prompt.room)
            begun = begun or _begins_thoughts(self._parser, prompt.end)
        self.is_text = prompt is not None
        hides = ROADS.hides_tools(self._server)
        if hides and not self.is_text:
            show_tools(made)
        self._asks_prompt = hides is None and not (self.is_text or body.get("return_prompt_text"))
        if self._asks_prompt:
            made["extra_body"]["return_prompt_text"] = True
        if (self._payload.get("extra_body") or {}).get("return_token_ids"):
            made["extra_body"]["return_token_ids"] = True  # so that the answer can go on
        self._payload.clear()
        self._payload.update(made)
        self.markup.restart(
            self._parser,
            asked_logprobs=asks,
            asked_prompt=self._asks_prompt,
            needs_tokens=self._road == "tokens" and "prompt" not in self._tried,
            thoughts_begun=begun,
            hides_thoughts=self.is_text and body.get("include_reasoning") is False,
        )


def _begins_thoughts(parser: str, end: str) -> bool:
    rows = FORMATS.values() if parser == AUTO else [FORMATS[parser]]
    openings = tuple({one.opening for row in rows for one in row.thoughts})
    # As tokenizers write white space: byte-level ones, and sentencepiece's.
    return end.rstrip(" \r\n\t\u010a\u0120\u2581").endswith(openings)
