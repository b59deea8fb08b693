"""What the doctor makes of tool calls. No I/O: answers in, findings out."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from langchain_toolstream.cli.doctor.answer import Answer
from langchain_toolstream.cli.doctor.findings import (
    Finding,
    failed,
    note,
    ok,
    unknown,
    warning,
)
from langchain_toolstream.cli.doctor.parser_table import RELEASES
from langchain_toolstream.cli.doctor.parsers import MARKUP, find_markup, readers
from langchain_toolstream.cli.doctor.probes import CALCULATED, DICTATED, ProbeName
from langchain_toolstream.cli.doctor.which import SEVERAL, Evidence, cut_call, is_used_up
from langchain_toolstream.core.calls import is_truncating
from langchain_toolstream.vllm.refusals import hint_for

_FLAGS = "--enable-auto-tool-choice --tool-call-parser NAME"
_ONE_BY_ONE = "--stream-interval 1 and without speculative decoding"
_NOT_FORCED = "The server does not force calls: do not rely on tool_choice."
_LOG = "Look into the server's log."
_SHOWN = 60
_SWALLOWED = 10  # tokens of which nothing came; fewer may be an end of turn and white space


class ToolJudge:
    """Judge what became of the calls.

    Args:
        answers: What came for each question.
        version: The server's version, if it tells.
    """

    def __init__(self, answers: Mapping[ProbeName, Answer], version: str | None) -> None:
        """Look which parser it is."""
        self._answers = answers
        self._evidence = Evidence(answers, version)
        self._fitting = readers(self._evidence.written, self._evidence.known)

    def findings(self) -> Iterator[Finding]:
        """Give the findings, in the order in which they are best read.

        Yields:
            One for each question that can be answered.
        """
        checks: dict[ProbeName, tuple[Callable[[Answer], Finding | None], ...]] = {
            "auto": (self._auto, self._parser, self._parallel),
            "required": (self._required,),
            "named": (self._named,),
            "no_arguments": (self._no_arguments,),
            "long": (self._arguments,),
            "cut": (self._cut,),
            "thinking": (self._reasoning,),
        }
        for name, judges in checks.items():
            for judge in judges if name in self._answers else ():
                if finding := judge(self._answers[name]):
                    yield finding
        if "auto" in self._answers and "required" not in self._answers:
            yield unknown("forced calls", "not asked: --forced asks, see its help")

    # Calls that the model writes by itself.

    def _auto(self, answer: Answer) -> Finding:
        if answer.refused:
            return failed("auto", answer.refused, f"Start vLLM with {_FLAGS}, {self._naming()}.")
        if answer.good:
            return ok("auto", f"the model called {', '.join(call.name for call in answer.good)}")
        if answer.broken:
            return failed("auto", answer.broken, hint_for(answer.broken) or _LOG)
        if is_truncating(answer.finish_reason):
            thinking = ", still thinking" if answer.reasoning else ""
            return unknown(
                "auto", f"no end within {answer.tokens or 'the allowed'} tokens{thinking}"
            )
        if lost := self._lost(answer):
            return failed("auto", lost, self._advice())
        return unknown("auto", "accepted, but the model answered without a call")

    def _lost(self, answer: Answer) -> str:
        """What became of a call that the model wrote and that did not come."""
        if answer.calls:
            return answer.calls[0].error or "the call is none"
        if written := self._evidence.written:
            what = "nothing of the call comes"
            if find_markup(answer.text):
                what = "the call comes as text"
            elif find_markup(answer.reasoning):
                what = "the call comes as reasoning"
            return f"the model calls a tool ({_shape(written)}), and {what}"
        if answer.is_silent and (answer.tokens or 0) > _SWALLOWED:
            return f"{answer.tokens} tokens were generated, and nothing of them came"
        return ""

    def _naming(self) -> str:
        fitting = self._fitting
        if fitting:
            return f"NAME being {_either(fitting)}"
        if newer := self._newer():
            return newer
        return "where NAME fits the model (hermes, qwen3_coder, llama3_json, mistral, ...)"

    def _advice(self) -> str:
        """What to do about lost calls."""
        fitting = self._fitting
        known = self._evidence.known
        hopeless = {parser.name for parser in known if parser.always.startswith("every")}
        if fitting and set(fitting) <= hopeless:
            return f"{_either(fitting)} loses every streamed call: use ChatVLLM(streaming=False)."
        if self._evidence.read is not None and self._evidence.written == self._evidence.read:
            parsers = self._evidence.parsers
            loses = {why for one in parsers for why in (one.always, one.at_once) if why}
            why = f" ({'; '.join(sorted(loses))})" if loses else ""
            return (
                f"The parser is the right one, but loses calls{why}: start vLLM with {_ONE_BY_ONE}."
            )
        if fitting:
            return f"Start vLLM with --tool-call-parser {_either(fitting)}."
        if newer := self._newer():
            return f"Start vLLM with --tool-call-parser NAME, {newer}."
        return "Start vLLM with the --tool-call-parser that fits the model."

    def _newer(self) -> str:
        """Which parser of a newer release reads what the model writes, if none of this one does."""
        for (major, minor), parsers in RELEASES.items():
            if fitting := readers(self._evidence.written, parsers):
                return f"NAME being {_either(fitting)}, which needs vLLM {major}.{minor}"
        return ""

    def _parser(self, answer: Answer) -> Finding | None:  # noqa: PLR0911 - one for each case
        evidence = self._evidence
        if answer.refused:
            return None
        if evidence.read is None:
            if answer.calls and answer.raw:
                return unknown("parser", f"not known: it reads {_excerpt(answer.raw)}")
            writes = f"; the model writes {_shape(evidence.written)}" if evidence.written else ""
            return unknown("parser", f"no call came that would show it{writes}")
        looks = f"looks like {_either(evidence.names)}"
        if evidence.written and evidence.written != evidence.read:
            reads, writes = _shape(evidence.read), _shape(evidence.written)
            return failed(
                "parser",
                f"{looks}: it reads {reads}, but the model writes {writes}",
                self._advice(),
            )
        always = {parser.always for parser in evidence.parsers}
        if len(always) == 1 and always != {""}:
            return warning("parser", f"{looks}: {always.pop()}")
        at_once = {parser.at_once for parser in evidence.parsers}
        if len(at_once) == 1 and at_once != {""} and (evidence.per_event or 1) >= SEVERAL:
            return warning("parser", f"{looks}: {at_once.pop()}", f"Start vLLM with {_ONE_BY_ONE}.")
        return ok("parser", looks)

    def _parallel(self, answer: Answer) -> Finding | None:
        if not answer.good:
            return None
        if len(answer.good) >= len(CALCULATED):
            return ok("parallel", f"{len(answer.good)} calls in one answer")
        written = answer.written
        if find_markup(written) and all(name in written for name, _ in CALCULATED):
            return failed("parallel", "the model wrote two calls, one came", self._advice())
        return unknown("parallel", "the model wrote one call of the two that were asked for")

    def _arguments(self, answer: Answer) -> Finding | None:
        call = next((call for call in answer.calls if call.raw), None)
        pieces = self._evidence.pieces(answer, call) if call else None
        if call is None or pieces is None:
            return None if answer.refused else unknown("arguments", "the model wrote no long ones")
        size = f"{len(call.raw)} characters in {call.pieces} pieces"
        if pieces == "token":
            return ok("arguments", f"as they are written: {size}")
        if pieces == "value":
            return note("arguments", f"each string when it ends: {size}")
        finer = [
            parser.name
            for parser in self._evidence.known
            if parser.markup == self._evidence.read and parser.pieces == "token"
        ]
        return warning(
            "arguments",
            f"in one lump: {len(call.raw)} characters at once",
            f"--tool-call-parser {_either(finer)} reads the same and sends them as they come."
            if finer
            else "Nothing is lost, but nothing is to be seen before the call is whole.",
        )

    # Calls that the server forces.

    def _required(self, answer: Answer) -> Finding:
        return self._forced("required", answer, [name for name, _ in CALCULATED])

    def _named(self, answer: Answer) -> Finding:
        return self._forced("named", answer, ["add"])

    def _forced(self, check: str, answer: Answer, allowed: Sequence[str]) -> Finding:
        if answer.refused:
            return failed(check, answer.refused, hint_for(answer.refused) or _NOT_FORCED)
        if answer.broken:
            return failed(check, answer.broken, hint_for(answer.broken) or _LOG)
        wrong = [call.name for call in answer.calls if call.name not in allowed]
        if wrong:
            found = f"{wrong[0]!r} came, which was not asked for"
        elif answer.good:
            return ok(check, f"{answer.good[0].name} came, finish_reason {answer.finish_reason!r}")
        elif is_truncating(answer.finish_reason):
            return unknown(check, f"the model did not end its call within {answer.tokens} tokens")
        elif answer.calls:
            found = answer.calls[0].error or "the call is none"
        else:
            found = f"no call came, finish_reason {answer.finish_reason!r}"
        return failed(check, found, _NOT_FORCED)

    def _no_arguments(self, answer: Answer) -> Finding | None:
        if answer.refused:
            return None
        if answer.good and not answer.good[0].args:
            return ok("no arguments", "a call of a tool that has none is whole")
        if answer.good or is_truncating(answer.finish_reason):
            return unknown("no arguments", "the model wrote some for a tool that has none")
        if answer.calls:
            return failed("no arguments", answer.calls[0].error or "the call is none")
        if answer.broken:
            return failed("no arguments", answer.broken, hint_for(answer.broken) or _LOG)
        return failed("no arguments", "no call came", _NOT_FORCED)

    # Answers that are cut off.

    def _cut(self, answer: Answer) -> Finding | None:
        if answer.refused:
            return None
        if answer.broken:
            return failed("truncation", answer.broken, hint_for(answer.broken) or _LOG)
        reason = f"finish_reason {answer.finish_reason!r}"
        if not is_truncating(answer.finish_reason):
            if not (is_used_up(answer) or self._is_shortened(answer)):
                return unknown("truncation", "the answer ended before its limit")
            return self._hidden(answer, reason)
        sent = cut_call(answer)
        if sent == "closed":
            return warning(
                "truncation",
                f"{reason}, but the cut arguments are closed to valid JSON",
                "ChatVLLM refuses the call; a client that only looks at the JSON would run it.",
            )
        shown = {"open": "the arguments stay open", "name only": "only the name comes"}
        return ok("truncation", f"{reason}, {shown.get(sent or '', 'nothing comes of the call')}")

    def _hidden(self, answer: Answer, reason: str) -> Finding:
        if answer.good:
            return failed(
                "truncation",
                f"{reason}, and a call that was cut looks whole",
                "Update vLLM: no client can tell. Until then, keep max_tokens out of reach.",
            )
        return warning(
            "truncation",
            f"{reason} for an answer that was cut",
            "Update vLLM. ChatVLLM refuses the call all the same, since it is not whole.",
        )

    def _is_shortened(self, answer: Answer) -> bool:
        """Whether a call has less than the same call had when it was not cut."""
        long = self._answers.get("long")
        args = long.good[0].args if long and long.good else None
        whole = str((args or {}).get("content", DICTATED))
        parts = [str((call.args or {}).get("content", "")) for call in answer.calls]
        return any(len(part) < len(whole) and whole.startswith(part) for part in parts)

    # Thoughts.

    def _reasoning(self, answer: Answer) -> Finding:
        text = self._answers.get("text")
        if answer.failed:
            return unknown("reasoning", answer.failed)
        if find_markup(answer.reasoning) and not answer.calls:
            return failed(
                "reasoning", "the call comes as reasoning", "Try another --reasoning-parser."
            )
        if text and text.reasoning and not text.text and not is_truncating(text.finish_reason):
            return warning(
                "reasoning",
                "the whole answer comes as reasoning",
                "Start vLLM with another --reasoning-parser, or none.",
            )
        if "think>" in answer.text:
            return warning(
                "reasoning",
                "the model's thoughts come as text",
                "Start vLLM with the --reasoning-parser that fits the model.",
            )
        if answer.reasoning_field:
            return ok("reasoning", f"in the field {answer.reasoning_field}")
        return note("reasoning", "none, also when the model is asked to think")


def _excerpt(written: str) -> str:
    """The beginning of what a model wrote."""
    return ascii(written[:_SHOWN] + ("..." if len(written) > _SHOWN else ""))


def _shape(markup: str) -> str:
    return MARKUP[markup][1]


def _either(names: Sequence[str]) -> str:
    first, *others = names or ("none that is known",)
    return f"{first} (or {', '.join(others)})" if others else first
