"""`toolstream doctor` over HTTP: servers that misbehave, and the real vLLM with two parsers."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from langchain_toolstream.cli import main
from langchain_toolstream.cli.doctor.answer import Answer, AnswerReader
from langchain_toolstream.cli.doctor.parser_table import RELEASES
from langchain_toolstream.cli.doctor.parsers import ToolCallParser, find_markup, readers
from langchain_toolstream.cli.doctor.probes import ProbeName, make_probe
from langchain_toolstream.testing import Recording, ReplayServer
from scripts.vllm_cpu.server import INSTALLED, VLLMServer, serve
from scripts.vllm_parsers.__main__ import TABLE, recorded, rows, source, texts
from tests.unit_tests.cli.answers import ADD, MULTIPLY, POEM
from tests.unit_tests.vllm.wire import body, chunk, part, usage

CORPUS = Path(__file__).parent / "corpus" / "vllm-0.32.jsonl.gz"
PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
NO_AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'

Wires = dict[ProbeName, Recording]


@cache
def _read_corpus() -> dict[str, dict[str, Any]]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return {record["id"]: record for record in map(json.loads, lines)}


@pytest.fixture(scope="module")
def corpus() -> dict[str, dict[str, Any]]:
    """What vLLM's parsers sent, by id."""
    return _read_corpus()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)


def answered(name: ProbeName, wire: bytes, **fields: Any) -> Recording:
    """A recording that answers one of the doctor's questions."""
    return Recording(id=name, request=make_probe(name, "tiny").body, body=wire, **fields)


def calls(*written: tuple[str, str], finish_reason: str = "tool_calls", tokens: int = 60) -> bytes:
    chunks = []
    for index, (name, args) in enumerate(written):
        chunks.append(chunk(part(index=index, id=f"call-{index}", name=name)))
        pieces = [args[at : at + 4] for at in range(0, len(args), 4)]
        chunks += [chunk(part(piece, index=index)) for piece in pieces]
    return body(*chunks, chunk(finish_reason=finish_reason), usage(20, tokens))


def healthy() -> Wires:
    both = ("multiply", MULTIPLY), ("add", ADD)
    words = [chunk(content=f"{word} ") for word in ["Hello!", "How", "can", "I", "help", "you?"]]
    wires: dict[ProbeName, bytes] = {
        "text": body(*words, chunk(finish_reason="stop"), usage(5, 6)),
        "auto": calls(*both),
        "required": calls(*both),
        "named": calls(both[1], finish_reason="stop"),
        "no_arguments": calls(("current_time", "{}"), finish_reason="stop"),
        "long": calls(("write_file", POEM)),
        "cut": calls(("write_file", POEM[:120]), finish_reason="length", tokens=70),
        "thinking": body(chunk(reasoning="Hm."), chunk(finish_reason="stop"), usage(5, 2)),
    }
    return {name: answered(name, wire) for name, wire in wires.items()}


def diagnose(
    url: str, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["doctor", url, "--json", "--timeout", "30", *arguments])
    printed = capsys.readouterr()
    assert not printed.err
    report = json.loads(printed.out)
    assert (code == 0) == report["healthy"]
    return code, {finding["check"]: finding for finding in report["findings"]}


def test_a_healthy_server_gets_a_table_and_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    with ReplayServer(healthy().values(), model="tiny", version="0.31.1") as server:
        code = main(["doctor", "--forced", server.base_url])
        asked = [request for request in server.requests if request.method == "POST"]
    table = capsys.readouterr().out
    assert code == 0
    assert "models        ok       tiny (2,048 tokens)\n" in table
    assert "vLLM 0.31.1" in table
    assert table.rstrip().endswith("Healthy.")
    assert {request.recording_id for request in asked} == healthy().keys()


def test_no_auto_choice_is_diagnosed(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"error": {"message": NO_AUTO, "type": "BadRequestError", "code": 400}}
    refused = {
        name: answered(
            name, json.dumps(error).encode(), status=400, content_type="application/json"
        )
        for name in ("auto", "long", "cut", "thinking")
    }
    with ReplayServer((healthy() | refused).values(), model="tiny") as server:
        code, findings = diagnose(server.base_url, capsys)
    assert code == 1
    assert [check for check, one in findings.items() if one["status"] == "failed"] == ["auto"]
    assert findings["auto"]["found"] == NO_AUTO
    assert "--enable-auto-tool-choice --tool-call-parser" in findings["auto"]["change"]


def test_one_lump_arguments_are_diagnosed(
    capsys: pytest.CaptureFixture[str], corpus: Mapping[str, Any]
) -> None:
    lump = corpus["granite4/long_string/stream@1"]["sse"].encode()
    wires = healthy() | {"long": answered("long", lump)}
    with ReplayServer(wires.values(), model="tiny") as server:
        code, findings = diagnose(server.base_url, capsys)
    assert code == 0
    assert findings["arguments"]["status"] == "warning"
    assert findings["arguments"]["found"].startswith("in one lump: ")


@pytest.mark.parametrize("parser", ["phi4_mini_json", "llama3_json"])
def test_calls_that_a_parser_loses_are_diagnosed(
    parser: str, capsys: pytest.CaptureFixture[str], corpus: Mapping[str, Any]
) -> None:
    at_once = "1" if parser == "phi4_mini_json" else "all"
    lost = corpus[f"{parser}/two_parallel_calls/stream@{at_once}"]
    assert lost["truth"]["calls"]
    leaked = corpus[f"{parser}/tool_choice_none_markup/stream@5"]["sse"].encode()
    wires = healthy() | {
        "auto": answered("auto", lost["sse"].encode()),
        "long": answered("long", body(chunk(finish_reason="stop"))),
        "markup": answered("markup", leaked),
    }
    with ReplayServer(wires.values(), model="tiny") as server:
        code, findings = diagnose(server.base_url, capsys)
    assert code == 1
    assert findings["auto"]["status"] == "failed"
    assert "nothing of the call comes" in findings["auto"]["found"]
    hint = "streaming=False" if parser == "phi4_mini_json" else "--tool-call-parser llama3_json"
    assert hint in findings["auto"]["change"]


@pytest.mark.parametrize(
    ("finish_reason", "status", "code"), [("length", "warning", 0), ("tool_calls", "failed", 1)]
)
def test_closed_truncation_is_diagnosed(
    finish_reason: str, status: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = calls(("write_file", POEM[:120] + '"}'), finish_reason=finish_reason, tokens=70)
    wires = healthy() | {"cut": answered("cut", closed)}
    with ReplayServer(wires.values(), model="tiny") as server:
        exit_code, findings = diagnose(server.base_url, capsys)
    assert exit_code == code
    assert findings["truncation"]["status"] == status


def test_the_key_is_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReplayServer(healthy().values(), model="tiny", api_key="right-key") as server:
        code, findings = diagnose(server.base_url, capsys)
        assert code == 1
        assert findings["key"]["found"] == "it is refused: Unauthorized"
        monkeypatch.setenv("VLLM_API_KEY", "right-key")
        code, findings = diagnose(server.base_url, capsys)
        assert (code, findings["key"]["found"]) == (0, "accepted")
    with ReplayServer(healthy().values(), model="tiny") as server:
        code, findings = diagnose(server.base_url, capsys)
        assert (code, findings["key"]["status"]) == (0, "note")


def test_the_bundled_recordings_are_those_of_a_healthy_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ReplayServer() as server:
        # A bare host means vLLM's own path.
        code, findings = diagnose(server.base_url.removesuffix("/v1"), capsys)
    assert code == 0
    assert {one["status"] for one in findings.values()} == {"ok", "unknown"}
    # The recordings hold no token ids, so what the model wrote is not known.
    assert findings["parser"]["status"] == "unknown"


def test_a_server_that_falls_silent_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    wires = healthy()
    wires["text"] = wires["text"].stall(after_events=2)
    with ReplayServer(wires.values(), model="tiny") as server:
        code, findings = diagnose(server.base_url, capsys, "--timeout", "0.5")
        server.wait_for_disconnect()
    assert code == 1
    assert findings["answers"]["found"] == "no end within 0.5 s"
    assert "auto" not in findings


def test_what_is_not_there_is_said_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = diagnose("http://127.0.0.1:9/v1", capsys)
    assert code == 1
    assert findings["reachable"]["found"].startswith("Nothing answers at http://127.0.0.1:9/v1 ")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/", "http://", "http://a:b/v1"])
def test_what_is_no_url_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", url])
    assert ended.value.code == 2
    assert repr(url) in capsys.readouterr().err


# What the doctor knows of vLLM's parsers is what they did.


def read(record: Mapping[str, Any]) -> Answer:
    reader = AnswerReader()
    reader.feed(record["sse"].encode(), 0.0)
    return reader.close()


@pytest.mark.parametrize(
    "parser",
    [one for one in RELEASES[0, 32] if f"{one.name}/one_call/stream@1" in _read_corpus()],
    ids=lambda one: one.name,
)
def test_markup_that_leaks_is_told_to_be_its_parsers(
    parser: ToolCallParser, corpus: Mapping[str, Any]
) -> None:
    leaked = read(corpus[f"{parser.name}/tool_choice_none_markup/stream@5"]).text
    assert find_markup(leaked) == (parser.markup if leaked.strip() else None)


def test_the_table_is_what_the_recorded_parsers_did() -> None:
    """`python -m scripts.vllm_parsers` made it; nobody changed it since."""
    assert source(rows(recorded())) == TABLE.read_text("utf-8")
    assert {*RELEASES} == {(0, 32), (0, 33)}


@pytest.mark.parametrize("name", sorted(texts()))
def test_text_in_each_format_is_told_to_be_its_parsers(name: str) -> None:
    written = texts()[name]["one_call"]["text"]
    assert name in readers(find_markup(written), RELEASES[0, 33])


# The real vLLM, with parsers that fit their models and with one that does not.


@pytest.mark.timeout(300)
def test_the_real_vllm_is_healthy(
    vllm_server: VLLMServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, findings = diagnose(vllm_server.base_url, capsys, "--forced")
    assert code == 0
    # A busy machine hands over several tokens at once.
    found = {check: one for check, one in findings.items() if check != "streaming"}
    assert {one["status"] for one in found.values()} == {"ok"}, found
    assert findings["parser"]["found"].startswith(f"looks like {vllm_server.parser}")


@pytest.fixture
def wrong_parser() -> Iterator[VLLMServer]:
    if not INSTALLED.exists():
        pytest.skip("the test before says what is missing")
    with serve("qwen3_coder", model="hermes") as server:
        yield server


def lines_of(table: str) -> list[str]:
    """The rows of a table, but for what a busy machine changes."""
    found = re.split(r"\n(?=\S)", table.strip())
    return [row for row in found if not row.startswith(("reachable", "streaming"))]


@pytest.mark.timeout(300)
def test_a_parser_that_does_not_fit_the_model_is_diagnosed(
    wrong_parser: VLLMServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, findings = diagnose(wrong_parser.base_url, capsys, "--forced")
    assert code == 1
    assert "nothing of the call comes" in findings["auto"]["found"]
    assert findings["parser"]["found"].startswith("looks like qwen3_coder ")
    for check in ("auto", "parser"):
        assert findings[check]["status"] == "failed"
        assert "--tool-call-parser hermes " in findings[check]["change"]
    main(["doctor", "--forced", wrong_parser.base_url])
    shown = re.search(r"\$ toolstream doctor .*?\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown
    assert lines_of(capsys.readouterr().out) == lines_of(shown[1])
