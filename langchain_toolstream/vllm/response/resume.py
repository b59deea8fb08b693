"""An answer that goes on behind the place where its stream broke.

`Resumption` knows no client. It reads the chunks before anything else does, and says after a break
what to ask next. The chunks of the next stream come out as if they were the first one's, so the
reader behind it, and whoever reads from that, sees one answer.
"""

import logging
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from langchain_toolstream.core.deltas import is_mapping, mappings, text_of
from langchain_toolstream.core.errors import IncompleteStreamError, StreamInterruptedError, quoted
from langchain_toolstream.core.markup.formats import THINK, Thoughts
from langchain_toolstream.vllm.errors import (
    VLLMConnectionError,
    VLLMError,
    VLLMIdleTimeoutError,
    VLLMIncompleteStreamError,
    VLLMInvalidRequestError,
    VLLMNotFoundError,
    VLLMRateLimitError,
    VLLMServerError,
    VLLMTimeoutError,
)
from langchain_toolstream.vllm.questions import ContextLength, Question, TextOfTokens
from langchain_toolstream.vllm.request.markup import has_constraint
from langchain_toolstream.vllm.request.payload import token_limit
from langchain_toolstream.vllm.request.resumed import (
    again,
    ask_for_ids,
    hold_to_rest,
    obstacle,
    rest_of_chat,
    rest_of_prompt,
    rest_of_text,
    text_obstacle,
)
from langchain_toolstream.vllm.response.given import COMPARED, Given, tokens
from langchain_toolstream.vllm.response.stop_strings import StopBorder, stop_strings

_log = logging.getLogger(__name__)

_MARGIN = 48
"""Tokens whose text is asked for, to see its last characters."""

_MAX_ASKED = 3
"""How often a question is asked before its failure counts as that of a new request."""

_MAX_DROPPED = 8
"""Tokens that are dropped at most until the text of the others is what was given out."""

_PASSING = (VLLMConnectionError, VLLMTimeoutError, VLLMServerError, VLLMRateLimitError)
_REFUSED = (VLLMInvalidRequestError, VLLMNotFoundError)
_IDENTITY = ("id", "model", "created", "system_fingerprint")
_OF_PROMPT = ("prompt_token_ids", "prompt_text")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and where it goes.

    Attributes:
        payload: As the SDK's client takes it.
        is_text: Whether it goes to `/v1/completions`.
    """

    payload: dict[str, Any]
    is_text: bool = False


Plan = Generator[Question, Any, Request]


class Resumption:
    """What has been given out of an answer, and how it goes on.

    Args:
        payload: The request. It is made to ask for the tokens where its answer could go on.
        limit: How often it may.
        client_reads: Whether the client reads the calls out of the text.

    Attributes:
        resumes: How often the answer went on.
        given: What has been given out.
        stopped: Whether the client has found a stop string, and nothing more is wanted.
    """

    def __init__(self, payload: dict[str, Any], *, limit: int, client_reads: bool) -> None:
        """Start before the first request."""
        body = payload.get("extra_body") or {}
        self.resumes = 0
        self._payload = payload
        self._limit = limit
        self._obstacle = obstacle(payload, client_reads=client_reads)
        self._several = payload.get("n") not in (None, 1)
        self._shows_ids = bool(body.get("return_token_ids"))
        self._includes_stop = bool(body.get("include_stop_str_in_output"))
        if self._obstacle is None:
            ask_for_ids(payload)
        self._usage_wanted = bool((payload.get("stream_options") or {}).get("include_usage"))
        self._stops = stop_strings(payload)
        self._longest_stop = max(map(len, self._stops), default=0)
        self._client_reads = client_reads
        self.restart()

    def restart(self, *, by_prompt: bool = False, thoughts: Thoughts = THINK) -> None:
        """Begin before the first stream, of whose answer nothing was given out.

        Args:
            by_prompt: Whether it comes from `/v1/completions`.
            thoughts: What stands around the model's thoughts, where they are in its text.
        """
        self.stopped = False
        self._usage_came = False
        self._first: VLLMError | None = None  # how the first stream broke
        self._why_text = ""
        self._thoughts = thoughts
        self.given = Given(
            reads_tokens=self._client_reads,
            longest_stop=self._longest_stop,
            keeps_text=has_constraint(self._payload),
        )
        self._by_prompt = by_prompt
        self._identity: dict[str, Any] = {}
        self._is_text = False
        self._sent: list[int] | None = None  # what the stream that is read goes on behind
        self._is_checked = True
        self._unheeded = ""
        self._border: StopBorder | None = None

    # Chunks.

    def feed(self, chunk: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Take the next chunk of the stream that is read.

        Args:
            chunk: Its JSON.

        Returns:
            What the first stream would have brought in its place.

        Raises:
            IncompleteStreamError: It is not of the rest of the answer.
        """
        self._usage_came = self._usage_came or is_mapping(chunk.get("usage"))
        choices = mappings(chunk.get("choices"))
        if self._several or len(choices) > 1:
            self._several = True
            self.given.begun = self.given.begun or bool(choices)
            return [chunk]
        if self._sent is None:
            self._know(chunk)
        else:
            if choices and not self._is_checked:
                self._check(chunk, choices[0])
            chunk = self._as_first(chunk, choices)
            choices = mappings(chunk.get("choices"))
        if not choices:
            return [chunk]
        made = [chunk] if self._border is None else self._at_border(chunk, self._border)
        for one in made:
            self.given.add(mappings(one["choices"])[0])
        return made if self._shows_ids else [_without_ids(one) for one in made]

    def _know(self, chunk: Mapping[str, Any]) -> None:
        for name in _IDENTITY:
            if chunk.get(name) is not None:
                self._identity.setdefault(name, chunk[name])
        if self.given.prompt is None:
            told = next(iter(mappings(chunk.get("choices"))), {}) if self._by_prompt else chunk
            self.given.prompt = tokens(told.get("prompt_token_ids"))

    def _check(self, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        """See that a stream goes on with this answer, by its first chunk."""
        model, known = chunk.get("model"), self._identity.get("model")
        is_text = self._is_text or self._by_prompt
        echoed = (choice if is_text else chunk).get("prompt_token_ids")
        if known is not None and model is not None and model != known:
            self._unheeded = (
                f"another model answered, {quoted(str(model))} instead of {quoted(str(known))}: "
                "all servers behind a base_url have to have the same"
            )
        elif tokens(echoed) != self._sent:
            self._unheeded = (
                "the server did not go on behind the tokens that it was sent, by "
                + ("/v1/completions" if is_text else "kv_transfer_params.prompt_token_ids")
                + (", or does not say so" if echoed is None else ": it answered other tokens")
            )
        if self._unheeded:
            raise IncompleteStreamError(self._unheeded)
        self._is_checked = True

    def _as_first(
        self, chunk: Mapping[str, Any], choices: list[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Write a chunk of a later stream as the first stream would have written it."""
        made = {name: value for name, value in chunk.items() if name not in _OF_PROMPT}
        made |= {name: value for name, value in self._identity.items() if name in made}
        if is_mapping(usage := chunk.get("usage")):
            made["usage"] = self._total(usage)
        if not choices:
            return made
        choice = {name: value for name, value in choices[0].items() if name not in _OF_PROMPT}
        if self._is_text:
            text = text_of(choice.pop("text", None))
            choice |= _holding(self.given.kind, text)
        elif is_mapping(delta := choice.get("delta")):
            choice["delta"] = {name: value for name, value in delta.items() if name != "role"}
        return {**made, "choices": [choice]}

    def _at_border(self, chunk: Mapping[str, Any], border: StopBorder) -> list[Mapping[str, Any]]:
        """Put the text in that was held back, and see whether a stop string ends the answer."""
        (choice,) = mappings(chunk.get("choices"))
        kind = self.given.kind
        new_kind, text = self.given.text_in(choice)
        changed = bool(text) and new_kind != kind
        ends = bool(choice.get("finish_reason")) or changed
        told = border.feed("" if changed else text, ends=ends)
        if border.passed:
            self._border = None
        if border.found is not None:
            self.stopped = True
            choice = {**choice, "finish_reason": "stop", "stop_reason": border.found}
        elif changed:
            before = {"index": choice.get("index"), "token_ids": [], **_holding(kind, told)}
            return [{**chunk, "choices": [one]} for one in (before, choice)]
        return [{**chunk, "choices": [{**choice, **_holding(kind, told)}]}]

    @property
    def _model(self) -> str:
        return str(self._payload.get("model") or "")

    # Usage.

    def _total(self, usage: Mapping[str, Any]) -> Mapping[str, Any]:
        """The usage of all streams together."""
        prompt = len(self.given.prompt or ())
        kept = len(self._sent or ()) - prompt
        written = usage.get("completion_tokens")
        completion = kept + written if isinstance(written, int) else len(self.given.ids)
        total = {**usage, **_usage(prompt, completion)}
        total.pop("prompt_tokens_details", None)  # of the longer prompt
        details = usage.get("completion_tokens_details")
        if is_mapping(details) and details.get("reasoning_tokens") is not None:
            thoughts = self.given.thoughts  # what the second server takes for them depends
            total["completion_tokens_details"] = {**details, "reasoning_tokens": thoughts}
        return total

    def rest(self) -> list[Mapping[str, Any]]:
        """Say what is missing of a whole answer whose stream ended early.

        Returns:
            A chunk with the usage, where it was wanted, has not come and can be counted.
        """
        given = self.given
        if self._usage_came or not self._usage_wanted or given.prompt is None or given.incomplete:
            return []
        counts = _usage(len(given.prompt), len(given.ids))
        return [{**self._identity, "choices": [], "usage": counts}]

    def is_whole(self, error: VLLMError, *, is_glued: bool) -> bool:
        """Whether an answer had come to its end before its stream broke.

        Args:
            error: How it broke.
            is_glued: Whether it went on with another answer.
        """
        silent = isinstance(error, VLLMIncompleteStreamError | VLLMIdleTimeoutError)
        return silent and self.given.finished and not (self._several or is_glued)

    # After a break.

    def plan(self, error: VLLMError, *, is_glued: bool) -> Plan:
        """Find out how to go on.

        Args:
            error: How the stream broke, or why it could not begin.
            is_glued: Whether it went on with another answer.

        Yields:
            What has to be asked for. What is sent back is the answer, `None` if the server does
            not have it, or the error.

        Returns:
            The next request.

        Raises:
            VLLMError: The answer cannot go on.
        """
        given = self.given
        unheeded, self._unheeded = self._unheeded, ""
        if unheeded or (self._sent and isinstance(error, _REFUSED)):
            self._fall_back(unheeded or f"the server did not take the tokens ({error})")
        else:
            self._begin(error, is_glued=is_glued)
        if not given.begun:
            self._first = self._first or error
            self._sent = None
            given.prompt = None
            given.kept = 0
            given.drop()
            given.whole.clear()
            self._identity.clear()
            return Request(again(self._payload, self.resumes))
        held = yield from self._hold_against_text()
        given.drop()
        assert given.prompt is not None  # noqa: S101 - `_begin` has seen to it
        self._sent = [*given.prompt, *given.ids]
        self._is_checked = False
        return (yield from self._request(given.prompt, held))

    def _begin(self, error: VLLMError, *, is_glued: bool) -> None:
        """See whether the answer may go on at all, and count that it does."""
        given = self.given
        is_break = isinstance(error, StreamInterruptedError)
        if self._first is None and not is_break:
            raise error
        self._first = self._first or error
        if is_glued or not (is_break or isinstance(error, _PASSING)):
            self._fail("what came was not one answer" if is_glued else str(error))
        if not getattr(error, "is_retryable", True):
            self._fail("the server would say the same again")
        if self.resumes >= self._limit:
            self._fail(f"it went on {self.resumes} times already (max_resumes={self._limit})")
        if given.begun:
            if self._obstacle is not None:
                self._fail(self._obstacle)
            if given.calls:
                self._fail("the server has read calls that nobody asked for")
            if given.finished:
                self._fail("its finish reason had come")
            if given.prompt is None or given.incomplete:
                self._fail(
                    "the server did not tell the tokens of all that it wrote, as vLLM does for "
                    "return_token_ids"
                )
        self.resumes += 1
        _log.warning(
            "The answer of %s broke off after %d tokens (%s). It goes on by a new request, %d of "
            "%d (max_resumes).",
            quoted(str(self._payload.get("model"))),
            given.kept,
            type(error).__name__,
            self.resumes,
            self._limit,
        )

    def _fall_back(self, why: str) -> None:
        if self._by_prompt:
            self._fail(why)
        if self._is_text:
            self._fail(f"{self._why_text}; and then {why}")
        if hindrance := text_obstacle(self._payload, kind=self.given.kind):
            self._fail(f"{why}, and by /v1/completions it cannot, because {hindrance}")
        self._is_text = True
        self._why_text = why

    def _fail(self, why: str) -> NoReturn:
        assert self._first is not None  # noqa: S101 - for type checkers
        self._first.add_words(f"The answer could not go on (max_resumes): {why}.")
        raise self._first

    def _ask(self, question: Question) -> Generator[Question, Any, Any]:
        while True:
            for _ in range(_MAX_ASKED):  # a router may not know yet that a replica is gone
                if not isinstance(answer := (yield question), Exception):
                    return answer
            if not isinstance(answer, VLLMError):
                self._fail(str(answer))
            self._begin(answer, is_glued=False)

    def _hold_against_text(self) -> Generator[Question, Any, str]:
        """See that the tokens that are kept have the text that was given out.

        A chunk of several tokens may end in the middle of a character: then its last ones go.

        Returns:
            The rest of their text, which the server held back.
        """
        given = self.given
        size = _MARGIN + 2 * self._longest_stop
        lag = max(0, self._longest_stop - 1)
        if given.kind == "tokens" or self._includes_stop:
            lag = 0
        for _ in range(min(_MAX_DROPPED, given.kept)):
            ids = given.ids[max(0, given.kept - size) : given.kept]
            text: str | None = yield from self._ask(TextOfTokens(self._model, ids))
            if text is None:
                if lag or given.in_last != 1:
                    self._fail("for this request the server has to have /detokenize beside /v1")
                _log.info("The server has no /detokenize, so its token ids are taken on trust.")
                text = given.text
            border = len(text) - lag
            if border > 0 and text[:border].endswith(given.text[-COMPARED:]):
                self._border = self._border_at(text[border:])
                return text[border:]
            given.kept -= 1
        self._fail("the tokens that the server told are not those of its text")

    def _border_at(self, held: str) -> StopBorder | None:
        body = self._payload.get("extra_body") or {}
        least = body.get("min_tokens")
        if not self._stops:
            return None
        stops = self._stops
        if isinstance(least, int) and self.given.kept < least:
            stops = ()  # the server does not look for any before
        given = self.given.text[max(0, len(self.given.text) - self._longest_stop + 1) :]
        return StopBorder(stops, given=given, held=held, includes=self._includes_stop)

    def _request(self, prompt: list[int], held: str) -> Generator[Question, Any, Request]:
        answer = self.given.ids
        first = self._held_to_rest(held)
        if self._by_prompt:
            return Request(rest_of_prompt(first, prompt, answer, self.resumes))
        if not self._is_text:
            return Request(rest_of_chat(first, prompt, answer, self.resumes))
        room = None
        if token_limit(self._payload) is None:
            room = yield from self._ask(ContextLength(self._model))
            if room is None:
                self._fail("/v1/completions needs a limit: set max_tokens=...")
        payload = rest_of_text(first, prompt, answer, self.resumes, room=room)
        return Request(payload, is_text=True)

    def _held_to_rest(self, held: str) -> dict[str, Any]:
        """The first request, with what is left of its constraint."""
        payload = dict(self._payload)
        if has_constraint(payload):
            try:
                hold_to_rest(payload, "".join([*self.given.whole, held]), self._thoughts)
            except ValueError as error:
                self._fail(f"the rest of its constraint cannot be said, because {error}")
        return payload


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _holding(kind: str, text: str) -> dict[str, Any]:
    """The fields of a choice that has a text, where the reader looks for it."""
    if kind == "text":
        return {"text": text}
    if kind == "tokens":
        return {"delta": {}, "logprobs": {"content": [{"token": text}] if text else []}}
    return {"delta": {kind: text} if text else {}}


def _without_ids(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what only this module has asked for."""
    made = {name: value for name, value in chunk.items() if name != "prompt_token_ids"}
    if choices := mappings(chunk.get("choices")):
        hidden = ("token_ids", "prompt_token_ids")
        made["choices"] = [
            {name: value for name, value in one.items() if name not in hidden} for one in choices
        ]
    return made
