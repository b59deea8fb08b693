"""Whether the client would read the model's calls better than the server does."""

from collections.abc import Mapping
from typing import Any

from langchain_toolstream.cli.doctor.answer import Answer
from langchain_toolstream.cli.doctor.findings import Finding, ok, unknown, warning
from langchain_toolstream.cli.doctor.probes import ProbeName, make_probe
from langchain_toolstream.core.calls import ToolCallAssembler, is_truncating
from langchain_toolstream.core.events import ToolCallFinish
from langchain_toolstream.core.markup import AUTO, MarkupReader
from langchain_toolstream.vllm.response.declared import declared

_CHECK = "client"
_COMPARED: tuple[ProbeName, ...] = ("auto", "long", "thinking")

Calls = list[tuple[str, dict[str, Any]]]


def judge_client(answers: Mapping[ProbeName, Answer]) -> Finding | None:
    """Compare what the server made of its probes with what the client would.

    Args:
        answers: What came for each question.

    Returns:
        The finding, with the line of code to use; `None` where nothing was asked.
    """
    if "auto" not in answers:
        return None
    read = lost = 0
    found = ""
    for name in _COMPARED:
        answer = answers.get(name)
        if answer is None or is_truncating(answer.finish_reason):
            continue
        written = answer.raw
        if written is None and name == "auto" and (apart := answers.get("markup")):
            written = apart.written  # the same question, without the parser
        calls, format_ = _calls(name, written or "")
        if not calls:
            continue
        read += 1
        found = found or format_
        came = [(call.name, call.args) for call in answer.good]
        lost += any(call not in came for call in calls)
    if not read:
        return unknown(_CHECK, "the model wrote no call, or the server does not show what it wrote")
    if not lost:
        return ok(_CHECK, f"the server reads all of {_probes(read)}: the client need not")
    reads = "none" if lost == read else f"{read - lost} of {read}"
    return warning(
        _CHECK,
        f"the server reads {reads}, the client would read all of {_probes(read)}",
        f'Let the client read the calls: ChatVLLM(tool_call_parser="{found}").',
    )


def _probes(number: int) -> str:
    return "1 probe" if number == 1 else f"{number} probes"


def _calls(name: ProbeName, written: str) -> tuple[Calls, str]:
    """The calls that the client reads in a text, and their format."""
    tools = declared(make_probe(name, "").body["tools"])
    reader = MarkupReader(AUTO, tools)
    assembler = ToolCallAssembler()
    deltas = [*reader.feed(written), *reader.close("stop")]
    events = [event for delta in deltas for event in assembler.feed(delta)]
    events += assembler.close("stop")
    calls = [(one.name, one.args) for one in events if isinstance(one, ToolCallFinish)]
    return [(called, args) for called, args in calls if called in tools], reader.format
