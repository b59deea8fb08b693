"""What the doctor makes of what it saw: observations in, findings out."""

import dataclasses
from typing import Any

import pytest

from langchain_toolstream.cli.doctor.answer import Answer, AnswerReader
from langchain_toolstream.cli.doctor.findings import Finding, Observations
from langchain_toolstream.cli.doctor.judge import is_healthy, judge
from langchain_toolstream.cli.doctor.parser_table import RELEASES
from langchain_toolstream.cli.doctor.parsers import MARKUP, find_markup
from langchain_toolstream.cli.doctor.probes import make_probe
from langchain_toolstream.cli.doctor.which import parsers_of
from langchain_toolstream.vllm import VLLMModelCard
from tests.unit_tests.cli.answers import (
    ADD,
    MULTIPLY,
    POEM,
    calls,
    healthy,
    hermes,
    observed,
    read,
    text,
)
from tests.unit_tests.vllm.wire import DONE, body, chunk, part, usage

NO_AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
NO_PARSER = "tool_choice requires --tool-call-parser to be set"
BOTH = ("multiply", MULTIPLY), ("add", ADD)
QWEN = "<tool_call>\n<function=multiply>\n<parameter=a>\n3\n</parameter>\n</function>\n</tool_call>"
SILENT = read(chunk(role="assistant", content=""), chunk(finish_reason="stop"), usage(20, 64))


def raw(answer: Answer, written: str) -> Answer:
    return dataclasses.replace(answer, raw=written)


def diagnose(seen: Observations) -> dict[str, Finding]:
    findings = judge(seen)
    by_check = {finding.check: finding for finding in findings}
    assert len(by_check) == len(findings)
    return by_check


def test_a_healthy_server_is_healthy_in_every_point() -> None:
    findings = diagnose(observed())
    assert {finding.status for finding in findings.values()} == {"ok"}
    assert not any(finding.change for finding in findings.values())
    assert [*findings] == [
        *("reachable", "version", "models", "key", "answers", "streaming", "usage"),
        *("auto", "parser", "parallel", "required", "named", "no arguments", "arguments"),
        *("truncation", "reasoning", "client"),
    ]
    assert findings["client"].found == "the server reads all of 2 probes: the client need not"
    assert findings["parser"].found == "looks like hermes"
    assert findings["models"].found == "tiny (2,048 tokens)"


CASES: dict[str, tuple[dict[str, Answer], str, str, str, str]] = {
    # name: what else came, check, status, words of what was found, words of what to change
    "no auto choice": (
        {"auto": Answer(refused=NO_AUTO)},
        "auto",
        "failed",
        "requires --enable-auto-tool-choice",
        "--enable-auto-tool-choice --tool-call-parser NAME",
    ),
    "no parser at all": (
        {"named": Answer(refused=NO_PARSER)},
        "named",
        "failed",
        NO_PARSER,
        "--tool-call-parser NAME",
    ),
    "the parser lets another format through as text": (
        {"auto": text(hermes(*BOTH)), "long": text("No."), "required": SILENT, "named": SILENT},
        "auto",
        "failed",
        "the call comes as text",
        "--tool-call-parser hermes",
    ),
    "the parser swallows another format": (
        {
            "auto": raw(SILENT, hermes(*BOTH)),
            "long": SILENT,
            "required": calls(("multiply", "{}"), finish_reason="length", raw=QWEN),
        },
        "auto",
        "failed",
        "nothing of the call comes",
        "--tool-call-parser hermes",
    ),
    "which parser that is": (
        {
            "auto": raw(SILENT, hermes(*BOTH)),
            "long": SILENT,
            "required": calls(("multiply", "{}"), finish_reason="length", raw=QWEN),
        },
        "parser",
        "failed",
        "looks like qwen3_coder (or step3p5, mimo): it reads <function=NAME><parameter=KEY>, but",
        "--tool-call-parser hermes",
    ),
    "the same, where the server does not tell what the model wrote": (
        {"auto": SILENT, "long": SILENT, "markup": text(hermes(*BOTH))},
        "auto",
        "failed",
        "nothing of the call comes",
        "",
    ),
    "swallowed, and nothing is known of it": (
        {"auto": SILENT, "long": SILENT, "required": SILENT, "named": SILENT},
        "auto",
        "failed",
        "64 tokens were generated, and nothing of them came",
        "--tool-call-parser that fits the model",
    ),
    "a parser that loses what comes at once": (
        {
            "auto": raw(SILENT, '{"name": "multiply", "parameters": {"a": 3, "b": 12}}'),
            "required": calls(*BOTH, raw='{"name": "multiply", "parameters": {}}'),
            "long": SILENT,
        },
        "auto",
        "failed",
        "nothing of the call comes",
        "a call that comes whole in one step is lost",
    ),
    "a parser that loses every streamed call": (
        {"auto": raw(SILENT, 'functools[{"name": "add"}]'), "long": SILENT},
        "auto",
        "failed",
        "nothing of the call comes",
        "streaming=False",
    ),
    "the model does not call": (
        {"auto": text("It is 36."), "long": text("No.")},
        "auto",
        "unknown",
        "the model answered without a call",
        "",
    ),
    "the model thinks too long": (
        {"auto": read(chunk(reasoning="Hm."), chunk(finish_reason="length"), usage(9, 512))},
        "auto",
        "unknown",
        "no end within 512 tokens, still thinking",
        "",
    ),
    "a parser that ends two calls with an error": (
        {"auto": read(chunk(part(name="a", id="1")), {"error": {"message": "too many values"}})},
        "auto",
        "failed",
        "too many values",
        "server's log",
    ),
    "one lump": (
        {"long": calls(("write_file", POEM), raw=hermes(("write_file", POEM)), size=9999)},
        "arguments",
        "warning",
        f"in one lump: {len(POEM)} characters at once",
        "--tool-call-parser hermes reads the same",
    ),
    "one lump by a parser of the same format": (
        {"long": calls(("write_file", POEM), raw=hermes(("write_file", POEM)), size=9999)},
        "parser",
        "ok",
        "looks like granite4 (or ernie45)",
        "",
    ),
    "strings that come when they end": (
        {"long": calls(("write_file", POEM), raw=hermes(("write_file", POEM)), size=60)},
        "arguments",
        "note",
        "each string when it ends",
        "",
    ),
    "the second call is lost": (
        {"auto": calls(BOTH[0], raw=hermes(*BOTH))},
        "parallel",
        "failed",
        "the model wrote two calls, one came",
        "",
    ),
    "the model writes one call": (
        {"auto": calls(BOTH[0], raw=hermes(BOTH[0]))},
        "parallel",
        "unknown",
        "one call of the two",
        "",
    ),
    "required, and no call": (
        {"required": text("No.", "tool_calls")},
        "required",
        "failed",
        "no call came, finish_reason 'tool_calls'",
        "do not rely on tool_choice",
    ),
    "named, and another tool": (
        {"named": calls(BOTH[0])},
        "named",
        "failed",
        "'multiply' came, which was not asked for",
        "do not rely on tool_choice",
    ),
    "a weak model that does not end a forced call": (
        {"required": calls(("multiply", '{"a": 3,'), finish_reason="length", tokens=256)},
        "required",
        "unknown",
        "the model did not end its call within 256 tokens",
        "",
    ),
    "a call without arguments that does not come": (
        {"no_arguments": text("Noon.")},
        "no arguments",
        "failed",
        "no call came",
        "do not rely on tool_choice",
    ),
    "arguments for a tool that has none": (
        {"no_arguments": calls(("current_time", '{"zone": "UTC"}'))},
        "no arguments",
        "unknown",
        "the model wrote some",
        "",
    ),
    "closed, and the reason is told": (
        {"cut": calls(("write_file", POEM[:120] + '"}'), finish_reason="length", tokens=70)},
        "truncation",
        "warning",
        "finish_reason 'length', but the cut arguments are closed to valid JSON",
        "ChatVLLM refuses the call",
    ),
    "closed, and the reason is hidden": (
        {"cut": calls(("write_file", POEM[:120] + '"}'), tokens=70)},
        "truncation",
        "failed",
        "finish_reason 'tool_calls', and a call that was cut looks whole",
        "Update vLLM",
    ),
    "closed, and the reason is hidden, and nobody counts": (
        {"cut": calls(("write_file", POEM[:120] + '"}'), with_usage=False)},
        "truncation",
        "failed",
        "looks whole",
        "Update vLLM",
    ),
    "open, and the reason is hidden": (
        {"cut": calls(("write_file", POEM[:120]), tokens=70)},
        "truncation",
        "warning",
        "finish_reason 'tool_calls' for an answer that was cut",
        "Update vLLM",
    ),
    "nothing of the cut call": (
        {"cut": read(chunk(finish_reason="length"), usage(20, 70))},
        "truncation",
        "ok",
        "nothing comes of the call",
        "",
    ),
    "an answer that ends before its limit": (
        {"cut": calls(("write_file", POEM), tokens=60)},
        "truncation",
        "unknown",
        "ended before its limit",
        "",
    ),
    "thoughts as text": (
        {"thinking": text("<think> I add. </think> 36")},
        "reasoning",
        "warning",
        "thoughts come as text",
        "--reasoning-parser",
    ),
    "a call among the thoughts": (
        {"thinking": read(chunk(reasoning=hermes(BOTH[0])), chunk(finish_reason="stop"))},
        "reasoning",
        "failed",
        "the call comes as reasoning",
        "--reasoning-parser",
    ),
    "all is thought": (
        {"text": read(chunk(reasoning="Hello!"), chunk(finish_reason="stop"), usage(9, 3))},
        "reasoning",
        "warning",
        "the whole answer comes as reasoning",
        "--reasoning-parser",
    ),
    "the older field": (
        {"thinking": read(chunk(reasoning_content="Hm."), chunk(finish_reason="stop"))},
        "reasoning",
        "ok",
        "in the field reasoning_content",
        "",
    ),
    "no thoughts": ({"thinking": text("36")}, "reasoning", "note", "none", ""),
    "no usage": (
        {"named": calls(BOTH[1], with_usage=False)},
        "usage",
        "warning",
        "missing",
        "--enable-force-include-usage",
    ),
    "usage on every event": (
        {"text": read(chunk(content="a"), usage(1, 1), chunk(finish_reason="stop"), usage(1, 2))},
        "usage",
        "note",
        "cumulative",
        "",
    ),
    "the server breaks off": (
        {"text": read(chunk(content="a"), done=False)},
        "answers",
        "failed",
        "ended without a finish reason",
        "server's log",
    ),
}


def test_nothing_is_said_of_what_no_answer_showed() -> None:
    seen = observed()
    seen.answers = {"text": read(chunk(content="a"), done=False)}
    findings = diagnose(seen)
    assert findings["answers"].status == "failed"
    assert {findings[check].status for check in ("streaming", "usage")} == {"unknown"}


@pytest.mark.parametrize("case", CASES)
def test_each_trouble_is_named_with_what_to_change(case: str) -> None:
    answers, check, status, found, change = CASES[case]
    finding = diagnose(observed(**answers))[check]
    assert (finding.status, finding.check) == (status, check), finding
    assert found in finding.found
    assert change in finding.change
    assert bool(finding.change) == (status in ("failed", "warning"))


def test_only_what_failed_makes_a_server_unhealthy() -> None:
    for answers, check, status, *_ in CASES.values():
        findings = judge(observed(**answers))
        assert is_healthy(findings) == all(one.status != "failed" for one in findings)
        if status == "failed":
            assert not is_healthy(findings), check


def test_several_tokens_at_once_are_told() -> None:
    token_ids = {"token_ids": [1, 2, 3, 4]}
    several = [chunk(content="one two three four") for _ in range(5)]
    for one in several:
        one["choices"][0] |= token_ids
    answers: dict[Any, Answer] = dict.fromkeys(
        healthy(), read(*several, chunk(finish_reason="stop"))
    )
    finding = diagnose(observed(**answers))["streaming"]
    assert finding.status == "warning"
    assert finding.found == "about 4 tokens at once"
    assert "--stream-interval 1" in finding.change


def test_a_proxy_that_holds_the_stream_back_is_told() -> None:
    reader = AnswerReader()
    data = body(*(chunk(content="a ") for _ in range(30)), chunk(finish_reason="stop"))
    reader.feed(data[:200], 4.0)
    reader.feed(data[200:], 4.01)
    finding = diagnose(observed(text=reader.close()))["streaming"]
    assert finding.status == "warning"
    assert finding.found == "30 events came together, after 4.0 s"
    assert "proxy" in finding.change


def test_what_answers_nothing_is_said_and_nothing_else() -> None:
    seen = Observations(url="http://127.0.0.1:9/v1", unreachable="Nothing answers at ...")
    (finding,) = judge(seen)
    assert (finding.check, finding.status) == ("reachable", "failed")


def test_a_refused_key_is_said_and_nothing_else() -> None:
    seen = Observations(url="http://127.0.0.1:9/v1", unauthorized="Unauthorized")
    findings = diagnose(seen)
    assert [*findings] == ["reachable", "key"]
    assert "VLLM_API_KEY" in findings["key"].change


def test_a_model_that_is_not_there_is_said() -> None:
    seen = observed()
    seen.model = "other"
    seen.models.append(VLLMModelCard(id="lora"))
    finding = diagnose(seen)["models"]
    assert finding.status == "failed"
    assert finding.found == "'other' is not there, but tiny (2,048 tokens), lora"


def test_a_key_that_nobody_asks_for_is_said() -> None:
    seen = observed()
    seen.key_sent = seen.open_without_key = True
    assert diagnose(seen)["key"].status == "note"


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b"data: 5\n\n" + DONE,
        b'data: {"choices": 3, "usage": []}\n\n',
        b'data: {"choices": [null, {"delta": 5, "token_ids": ["a"]}]}\n\n' + DONE,
        b'data: {"choices": [{"delta": {"tool_calls": [4, {"id": 5}, {"function": 6}]}}]}\n\n',
        b"\xff\xfe\n\n",
        b"",
    ],
)
def test_any_answer_gives_a_diagnosis(data: bytes) -> None:
    reader = AnswerReader()
    reader.feed(data, 0.1)
    answer = reader.close()
    assert answer.failed
    assert judge(observed(**dict.fromkeys(map(str, healthy()), answer)))


def test_every_parser_reads_a_format_that_is_known() -> None:
    for parsers in RELEASES.values():
        assert {parser.markup for parser in parsers} <= MARKUP.keys()
        assert len({parser.name for parser in parsers}) == len(parsers)


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.32.0", (0, 32)),
        ("0.32.1rc2.dev3+g1a2b3c", (0, 32)),
        ("0.33.0", (0, 33)),
        ("1.2", max(RELEASES)),
        ("0.9.1", min(RELEASES)),
        ("main", max(RELEASES)),
        (None, max(RELEASES)),
    ],
)
def test_the_parsers_are_those_of_the_servers_release(
    version: str | None, release: tuple[int, int]
) -> None:
    assert parsers_of(version) == RELEASES[release]


MUSE = (
    ' to=multiply<|message|><atem:function_calls>\n<atem:invoke name="multiply">\n'
    '<atem:parameter name="a">3</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>'
)


@pytest.mark.parametrize(
    ("version", "change"),
    [
        ("0.33.0", "Start vLLM with --tool-call-parser muse (or muse_glimmer)."),
        (None, "Start vLLM with --tool-call-parser muse (or muse_glimmer)."),
    ],
)
def test_a_new_format_is_named(version: str | None, change: str) -> None:
    seen = observed(auto=text(MUSE), long=text("No."), required=SILENT, named=SILENT)
    seen.version = version
    finding = diagnose(seen)["auto"]
    assert (finding.status, finding.change) == ("failed", change)
    assert "<atem:function_calls>" in finding.found


def test_a_format_of_a_newer_release_is_named_with_the_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if vLLM 0.32 did not know a format that 0.33 does: their tables have the same today."""
    older = tuple(parser for parser in RELEASES[0, 32] if parser.markup != "muse")
    assert len(older) < len(RELEASES[0, 32])
    monkeypatch.setitem(RELEASES, (0, 32), older)
    seen = observed(auto=text(MUSE), long=text("No."), required=SILENT, named=SILENT)
    assert "muse" in (change := diagnose(seen)["auto"].change)
    assert "which needs vLLM 0.33" in change


def test_a_format_that_nobody_here_knows_is_said_to_be_unknown() -> None:
    strange = calls(*BOTH, raw='\u27e6multiply a="3"\u27e7')
    forced = {name: read(chunk(finish_reason="stop")) for name in ("required", "named")}
    long = calls(("write_file", POEM), raw="\u27e6write_file\u27e7")
    finding = diagnose(observed(auto=strange, long=long, **forced))["parser"]
    assert finding.status == "unknown"
    assert finding.found == """not known: it reads '\\u27e6multiply a="3"\\u27e7'"""


ONE_BACKEND = (
    "Structured output processing only supports one backend per engine. The engine is already "
    "using 'guidance', but this request resolved to 'xgrammar'. Configure "
    "`structured_outputs_config.backend` explicitly or use schemas supported by the initialized "
    "backend."
)


@pytest.mark.parametrize("name", ["required", "named", "no_arguments", "auto", "cut"])
def test_one_backend_per_engine_is_explained(name: str) -> None:
    in_stream = {"error": {"message": ONE_BACKEND, "type": "BadRequestError", "code": 400}}
    answer = read(chunk(role="assistant", content=""), in_stream)
    check = {"no_arguments": "no arguments", "cut": "truncation"}.get(name, name)
    finding = diagnose(observed(**{name: answer}))[check]
    assert finding.status == "failed"
    assert "one backend per engine" in finding.found
    assert "The first constrained request since vLLM's start decided" in finding.change
    assert """--structured-outputs-config '{"backend": "xgrammar"}'""" in finding.change


def test_forced_calls_that_were_not_asked_for_are_said_to_be_unknown() -> None:
    seen = observed()
    for name in ("required", "named", "no_arguments"):
        del seen.answers[name]
    findings = diagnose(seen)
    assert not {"required", "named", "no arguments"} & findings.keys()
    assert findings["forced calls"].status == "unknown"
    assert "--forced" in findings["forced calls"].found
    assert findings["parser"].found == "looks like hermes"


def test_what_is_asked_by_default_constrains_nothing() -> None:
    for name in ("text", "auto", "long", "cut", "thinking", "markup"):
        body = make_probe(name, "tiny").body
        assert body.get("tool_choice", "auto") in ("auto", "none")
        assert not {"response_format", "structured_outputs", "parallel_tool_calls"} & body.keys()
        assert not any("strict" in tool["function"] for tool in body.get("tools", ()))


@pytest.mark.parametrize(
    ("written", "markup"),
    [
        (hermes(BOTH[0]), "hermes"),
        (f"I think.</think>\n\n{hermes(BOTH[0])}", "hermes"),
        (QWEN, "function="),
        (f"<think>I could write {hermes(BOTH[0])}</think>\n{QWEN}", "function="),
        ('[{"name": "add", "parameters": {}}]', "json list"),
        ('<|python_tag|>{"name": "add", "parameters": {}}', "llama"),
        ('[TOOL_CALLS] [{"name": "add"}]', "mistral"),
        ("[add(a=11, b=49)]", "pythonic"),
        ("<tool_call>add\n<arg_key>a</arg_key>", "arg_key"),
        ("The result is [36].", None),
        ('The answer is {"a": 1}.', None),
    ],
)
def test_a_format_is_told_by_its_markup(written: str, markup: str | None) -> None:
    assert find_markup(written) == markup


def test_probes_are_bounded_and_ask_for_what_the_package_asks_for() -> None:
    for name in healthy():
        probe = make_probe(name, "tiny")
        assert probe.max_tokens <= 512
        assert probe.body["stream"] is True
        assert probe.body["model"] == "tiny"


def test_a_parser_that_loses_calls_is_no_match_for_the_client() -> None:
    lost = raw(calls(("multiply", MULTIPLY)), hermes(*BOTH))
    finding = diagnose(observed(auto=lost))["client"]
    assert finding.status == "warning"
    assert finding.found == "the server reads 1 of 2, the client would read all of 2 probes"
    assert finding.change.endswith('ChatVLLM(tool_call_parser="hermes").')


def test_a_server_without_tool_flags_is_asked_without_its_parser() -> None:
    refused = Answer(refused=NO_AUTO)
    seen = observed(auto=refused, long=refused, cut=refused, thinking=refused)
    seen.answers["markup"] = text(
        QWEN.replace("\n</function>", "\n<parameter=b>\n12\n</parameter>\n</function>")
    )
    finding = diagnose(seen)["client"]
    assert finding.found == "the server reads none, the client would read all of 1 probe"
    assert finding.change.endswith('ChatVLLM(tool_call_parser="qwen3_coder").')


def test_the_tokens_say_what_a_parser_swallowed() -> None:
    tokens = [{"token": one} for one in (hermes(*BOTH), "<|im_end|>")]
    swallowed = chunk(content="\n")
    swallowed["choices"][0]["logprobs"] = {"content": tokens}
    seen = observed(auto=SILENT, markup=read(swallowed, chunk(finish_reason="stop")))
    assert seen.answers["markup"].raw == hermes(*BOTH) + "<|im_end|>"
    assert diagnose(seen)["client"].found.startswith("the server reads 1 of 2")


def test_where_the_model_writes_no_call_nothing_is_said_of_the_client() -> None:
    plain = text("I do not know.")
    finding = diagnose(observed(auto=plain, long=plain))["client"]
    assert (finding.status, finding.change) == ("unknown", "")
