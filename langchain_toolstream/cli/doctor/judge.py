"""What the doctor makes of what it saw. No I/O: observations in, findings out."""

from collections.abc import Iterator

from langchain_toolstream.cli.doctor.answer import Answer
from langchain_toolstream.cli.doctor.client import judge_client
from langchain_toolstream.cli.doctor.findings import (
    Finding,
    Observations,
    failed,
    note,
    ok,
    unknown,
    warning,
)
from langchain_toolstream.cli.doctor.tools import ToolJudge
from langchain_toolstream.cli.doctor.which import SEVERAL, tokens_per_event
from langchain_toolstream.vllm import VLLMModelCard
from langchain_toolstream.vllm.refusals import public_url

_BUFFERED = 0.05  # share of the time in which all came, if a proxy held it back
_SLOW = 1.0
_MANY_EVENTS = 20
_SHOWN = 4


def judge(seen: Observations) -> list[Finding]:
    """Make a diagnosis.

    Args:
        seen: What was seen.

    Returns:
        The findings, in the order in which they are best read.
    """
    if seen.unreachable or seen.unauthorized:
        return list(_cannot_ask(seen))
    findings = [*_server(seen)]
    if "text" in seen.answers:
        findings += [_text(seen.answers["text"]), _streaming(seen), _usage(seen)]
    client = judge_client(seen.answers)
    return [
        *findings,
        *ToolJudge(seen.answers, seen.version).findings(),
        *([client] if client else []),
    ]


def is_healthy(findings: list[Finding]) -> bool:
    """Whether a chain can rely on the server: nothing failed.

    Args:
        findings: The diagnosis.
    """
    return all(finding.status != "failed" for finding in findings)


# The server.


def _cannot_ask(seen: Observations) -> Iterator[Finding]:
    if seen.unreachable:
        yield failed("reachable", seen.unreachable)
        return
    yield ok("reachable", f"{public_url(seen.url)} answers")
    yield failed(
        "key",
        f"it is refused: {seen.unauthorized}",
        "Set VLLM_API_KEY to what vLLM was started with as --api-key.",
    )


def _server(seen: Observations) -> Iterator[Finding]:
    yield ok("reachable", f"{public_url(seen.url)} answers")
    if seen.version is None:
        yield note("version", "no /version: perhaps not vLLM, or a gateway before it")
    else:
        yield ok("version", f"vLLM {seen.version}")
    yield _models(seen)
    if seen.key_sent and seen.open_without_key:
        yield note("key", "the server answers without one too")
    else:
        yield ok("key", "accepted" if seen.key_sent else "none is wanted")


def _models(seen: Observations) -> Finding:
    if not seen.models:
        return failed("models", "/v1/models lists none", "Check the URL: it has to end in /v1.")
    shown = ", ".join(_model(model) for model in seen.models[:_SHOWN])
    if len(seen.models) > _SHOWN:
        shown += f" and {len(seen.models) - _SHOWN} more"
    if any(model.id == seen.model for model in seen.models):
        return ok("models", shown)
    return failed(
        "models", f"{seen.model!r} is not there, but {shown}", "Leave --model out, or name another."
    )


def _model(model: VLLMModelCard) -> str:
    if model.max_model_len is None:
        return model.id
    return f"{model.id} ({model.max_model_len:,} tokens)"


# Its answers.


def _text(answer: Answer) -> Finding:
    if answer.failed:
        return failed("answers", answer.failed, "Look into the server's log.")
    if not (answer.text or answer.reasoning):
        return unknown("answers", "the model wrote nothing")
    return ok("answers", "a stream that came to its end")


def _streaming(seen: Observations) -> Finding:
    slow = [
        answer
        for answer in seen.answers.values()
        if answer.first is not None and answer.events >= _MANY_EVENTS and answer.last >= _SLOW
    ]
    if slow and all(answer.spread < _BUFFERED for answer in slow):
        return warning(
            "streaming",
            f"{slow[0].events} events came together, after {slow[0].first:.1f} s",
            "A proxy before the server holds them back: turn its buffering off "
            "(nginx: proxy_buffering off).",
        )
    per_event = tokens_per_event(seen.answers.values())
    if per_event is None:
        return unknown("streaming", "the server does not count tokens")
    if per_event >= SEVERAL:
        return warning(
            "streaming",
            f"about {per_event:.0f} tokens at once",
            "If the server is not just busy: start vLLM with --stream-interval 1.",
        )
    return ok("streaming", "token by token")


def _usage(seen: Observations) -> Finding:
    answers = [answer for answer in seen.answers.values() if not answer.failed]
    if not answers:
        return unknown("usage", "no answer came to its end")
    if not all(answer.usages for answer in answers):
        return warning(
            "usage",
            "missing, although stream_options.include_usage asks for it",
            "Look whether a proxy drops it, or start vLLM with --enable-force-include-usage.",
        )
    if any(answer.usages > 1 for answer in answers):
        return note(
            "usage", "on every event, cumulative: the last one counts (other clients add them up)"
        )
    return ok("usage", "once, at the end")
