"""The command, run as a user runs it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from langchain_toolstream.cli import _parser, main
from langchain_toolstream.testing import (
    Recording,
    ReplayServer,
    bundled_recordings,
    load_recordings,
)
from tests.integration_tests.scripted_server import Scripted, serve
from tests.unit_tests.vllm.wire import body, chunk, part

QUESTION = "What is 3 * 12? Also, what is 11 + 49?"
TOOLS = """
from langchain_core.tools import tool


def add(a: int, b: int) -> int:
    \"\"\"Add two integers.\"\"\"
    return a + b


@tool(response_format="content_and_artifact")
def multiply(a: int, b: int) -> tuple[str, object]:
    \"\"\"Multiply two integers.\"\"\"
    return str(a * b), {(a, b): object(), "nan": float("nan")}


tools = [add, multiply]
number = 5
"""
TOOLSTREAM = str(Path(sys.executable).with_name("toolstream"))


def toolstream(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOLSTREAM, *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def test_the_demo_shows_a_tool_that_finished_before_the_models_last_chunk() -> None:
    done = toolstream("demo")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert re.search(
        r"^[1-9] of [1-9] tools finished before the model's last chunk \(.* s\): ",
        done.stdout,
        re.MULTILINE,
    ), done.stdout
    assert "artifact:" in done.stdout
    # What writes waits for the end of the message.
    assert "write_file" not in done.stdout.rpartition("finished before the model's")[2]
    assert "━" in done.stdout
    assert "█" in done.stdout


def test_the_demo_runs_against_a_server_of_the_users() -> None:
    with ReplayServer() as server:
        done = toolstream("demo", "--base-url", server.base_url, "--prompt", "What is 3 * 12?")
    assert done.returncode == 0, done.stderr
    assert "message   36" in done.stdout


def test_help_names_the_commands() -> None:
    done = toolstream("--help")
    assert done.returncode == 0
    assert re.findall(r"^    (\w+) ", done.stdout, re.MULTILINE) == [
        *("run", "replay", "demo", "doctor"),
    ]


def test_the_commands_need_no_extra_until_they_run() -> None:
    missing = "sys.modules.update(dict.fromkeys(['rich', 'starlette', 'uvicorn']))"  # as None
    code = f"import sys; {missing}; from langchain_toolstream.cli import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "doctor" in done.stdout


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as running:
        yield running


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of tools."""
    (tmp_path / "my_tools.py").write_text(TOOLS)
    (tmp_path / "broken_tools.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", sys.path.copy())
    yield tmp_path
    for name in ("my_tools", "broken_tools"):
        sys.modules.pop(name, None)


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process: its exit code, output and errors."""
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_run_runs_the_users_tools(server: ReplayServer, capsys: pytest.CaptureFixture[str]) -> None:
    url, tools = server.base_url, "my_tools:tools"
    code, out, err = command(capsys, "run", QUESTION, "--base-url", url, "--tools", tools)
    assert (code, err) == (0, "")
    shown = out.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert Counter(line[10:].split(" artifact: ")[0].rstrip() for line in shown) == Counter(
        [
            *("calls     multiply", "calls     add"),
            *('confirmed multiply {"a": 3, "b": 12}', 'confirmed add {"a": 11, "b": 49}'),
            *('started   multiply {"a": 3, "b": 12}', 'started   add {"a": 11, "b": 49}'),
            *('finished  multiply {"a": 3, "b": 12}', 'finished  add {"a": 11, "b": 49}'),
            *("message   36", "message   60"),
        ]
    )
    assert "█ its tool runs" in out
    assert server.requests[-1].body is not None
    assert len(server.requests[-1].body["tools"]) == 2


def test_run_starts_early_what_is_said_to_be_read_only(
    server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", QUESTION, "--base-url", server.base_url, "--tools", "my_tools:tools")
    _, out, _ = command(capsys, *arguments, "--read-only", "multiply", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    early = {one["name"] for one in events if one["type"] == "tool-call-ready" and one["early"]}
    assert early == {"multiply"}


def test_run_prints_events_as_json_lines(
    server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--base-url", server.base_url, "--tools", "my_tools:tools", "--json")
    code, out, err = command(capsys, "run", QUESTION, *arguments)
    assert (code, err) == (0, "")
    events = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert [one["type"] for one in events if "delta" not in one["type"]][:2] == [
        *("message-start", "tool-call-start"),
    ]
    finished = {one["name"]: one for one in events if one["type"] == "tool-finish"}
    assert finished["multiply"]["content"] == "36"
    # What has no JSON form is described, never shown.
    artifact = finished["multiply"]["artifact"]
    assert artifact == {"tuple": {"$type": "object"}, "nan": "nan"}
    ats = [one["at"] for one in events]
    assert ats == sorted(ats)


def test_run_answers_without_tools_too(
    server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "run", "Hello!", "--base-url", server.base_url)
    assert code == 0
    assert "  text      Hello! How can I help you today?\n" in out
    assert "No tool was called." in out


@pytest.mark.parametrize("name", ["out.sse", "out.jsonl", "out.jsonl.gz"])
def test_what_run_records_is_replayed(
    name: str, server: ReplayServer, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    arguments = ("run", QUESTION, "--base-url", server.base_url, "--tools", "my_tools:tools")
    code, _, err = command(capsys, *arguments, "--record", name)
    assert code == 0
    assert err.startswith("toolstream: recorded ")
    (kept,) = load_recordings(here / name)
    original = next(
        one for one in bundled_recordings() if one.id == server.requests[-1].recording_id
    )
    assert kept.body == original.body
    assert kept.id == "out"
    if name != "out.sse":
        assert kept.request == server.requests[-1].body
        assert kept.reads
    server_less = ("replay", name, "--pace", "2000")
    code, out, _ = command(capsys, *server_less, "--tools", "my_tools:tools")
    assert code == 0
    assert "message   60" in out
    # Without tools nothing is run.
    code, out, _ = command(capsys, *server_less)
    assert code == 0
    assert 'confirmed add {"a": 11, "b": 49}' in out
    assert "started" not in out
    assert "not run" in out


def test_a_recording_of_a_run_answers_the_same_chain(
    server: ReplayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", QUESTION, "--tools", "my_tools:tools", "--base-url")
    command(capsys, *arguments, server.base_url, "--record", "out.jsonl")
    with ReplayServer("out.jsonl") as again:
        code, out, _ = command(capsys, *arguments, again.base_url)
    assert code == 0
    assert "message   60" in out


def test_the_timeline_is_written_as_an_image(
    server: ReplayServer, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    code, _, _ = command(capsys, "run", QUESTION, "--base-url", server.base_url, "--svg", "run.svg")
    assert code == 0
    assert (here / "run.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_a_run_that_breaks_off_is_shown_recorded_and_drawn(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    cut = Recording(
        id="cut",
        request={"messages": [{"role": "user", "content": "Hi"}], "stream": True},
        body=body(chunk(content="Hel"), chunk(part("{", id="1", name="add")), done=False),
        ending="cut",
    )
    with ReplayServer([cut], model="tiny") as server:
        code, out, err = command(
            capsys, "run", "Hi", "--base-url", server.base_url, "--record", "cut.sse"
        )
    assert code == 1
    assert err.splitlines()[-1].startswith("toolstream: The connection to ")
    assert "broken off" in out
    assert (here / "cut.sse").read_bytes() == cut.body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tools", "my_tools"], "--tools takes module:attr"),
        (["--tools", "nowhere:tools"], "There is no module 'nowhere'"),
        (["--tools", "my_tools.sub:tools"], "There is no module 'my_tools.sub'"),
        (["--tools", "my_tools:nothing"], "my_tools has no 'nothing'."),
        (["--tools", "my_tools:number"], "my_tools:number: "),
        (["--tools", "broken_tools:tools"], "cannot be imported: ZeroDivisionError: "),
        (["--tools", "my_tools:add", "--tools", "my_tools:add"], "Two tools are named 'add'"),
        (["--tools", "my_tools:tools", "--read-only", "sub"], "'sub'"),
        (["--record", "out.txt"], "out.txt: recordings are kept in"),
        (["--record", "nowhere/out.sse"], "nowhere/out.sse cannot be written."),
        (["--record", "."], ".: recordings are kept in"),
    ],
)
def test_what_is_used_wrongly_is_said_in_one_line(
    arguments: list[str],
    said: str,
    server: ReplayServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = command(capsys, "run", "Hi", "--base-url", server.base_url, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("toolstream: ")
    assert said in err
    assert err.count("\n") == 1
    assert not server.requests


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.sse"], "nowhere.sse: No such file or directory."),
        (["my_tools.py"], "my_tools.py: recordings are kept in"),
        (["broken.jsonl"], "broken.jsonl, line 1: not JSON"),
        (["two.jsonl"], "two.jsonl holds 2 recordings; name one with --id: a, b."),
        (["two.jsonl", "--id", "c"], "two.jsonl holds no 'c'; name one with --id: a, b."),
    ],
)
def test_a_recording_that_cannot_be_played_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "broken.jsonl").write_text("{")
    (here / "two.jsonl").write_text('{"id": "a", "sse": ""}\n{"id": "b", "sse": ""}\n')
    code, _, err = command(capsys, "replay", *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_server_that_is_not_there_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    for name in ("run", "demo"):
        prompt = ["Hi", "--record", "out.sse"] if name == "run" else []
        code, _, err = command(capsys, name, *prompt, "--base-url", "http://127.0.0.1:9/v1")
        assert (code, err.count("\n")) == (1, 1)
        assert err.startswith("toolstream: Nothing answers at http://127.0.0.1:9/v1 ")
    assert not (here / "out.sse").exists()


def test_a_password_in_the_url_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://user:secret@127.0.0.1:9/v1"
    for arguments in (("run", "Hi", "--base-url"), ("run", "Hi", "--model", "m", "--base-url")):
        code, out, err = command(capsys, *arguments, url)
        assert code == 1
        assert "secret" not in out + err
        assert "http://127.0.0.1:9/v1" in err
    for options in ([], ["--json"]):
        code, out, err = command(capsys, "doctor", url, *options)
        assert code == 1
        assert "secret" not in out + err


def test_an_output_that_lacks_characters_gets_others(server: ReplayServer) -> None:
    """As cp1252 does, which is where Windows sends what is redirected."""
    arguments = ["run", QUESTION, "--base-url", server.base_url, "--plain"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [TOOLSTREAM, *arguments], capture_output=True, timeout=50, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"? the model writes" in done.stdout


def test_what_a_server_refuses_is_said_and_recorded(
    server: ReplayServer, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    arguments = ("run", "Nobody recorded this.", "--base-url", server.base_url, "--record")
    code, _, err = command(capsys, *arguments, "refused.jsonl")
    assert code == 1
    assert "answered 404" in err.splitlines()[-1]
    (kept,) = load_recordings(here / "refused.jsonl")
    assert kept.status == 404
    # An .sse file has no place for the status.
    code, _, err = command(capsys, *arguments, "refused.sse")
    assert code == 1
    assert "toolstream: not recorded: " in err


def test_what_a_model_writes_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07"
    answer = Recording(
        id="x", body=body(chunk(content=f"a{hostile}\nb"), chunk(finish_reason="stop"))
    )
    with ReplayServer([answer], model="x") as server:
        code, out, _ = command(capsys, "run", hostile, "--base-url", server.base_url)
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out


def test_a_reader_that_leaves_ends_the_run_in_silence(server: ReplayServer) -> None:
    arguments = ["run", QUESTION, "--base-url", server.base_url, "--json"]
    with subprocess.Popen(
        [TOOLSTREAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(50) == 141


class NoModel(Scripted):
    @override
    def do_GET(self) -> None:
        self._send(200, "application/json", b'{"object": "list", "data": []}')


def test_a_server_without_a_model_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(NoModel) as url:
        code, _, err = command(capsys, "run", "Hi", "--base-url", url)
    assert (code, err) == (2, f"toolstream: {url} lists no model; name one with --model.\n")


def test_on_a_terminal_the_calls_are_a_table(server: ReplayServer, here: Path) -> None:
    pty = pytest.importorskip("pty", reason="no terminals here")
    leader, follower = pty.openpty()
    arguments = ["run", QUESTION, "--tools", "my_tools:tools", "--base-url", server.base_url]
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(
        [TOOLSTREAM, *arguments], stdout=follower, stderr=subprocess.STDOUT, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        while data := _read(leader):
            shown += data
        assert process.wait(50) == 0, shown
    os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"tool\s+arguments\s+message", text)
    assert re.search(r"add\s+\{\"a\": 11, \"b\": 49\}\s+finished \d\.\d\d s\s+60", text), text
    assert "━" in text


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_the_commands_of_the_docs_are_commands() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:\$ )?toolstream (.*)$", page, re.MULTILINE)
    assert len(commands) >= 5
    for arguments in commands:
        assert _parser().parse_args(shlex.split(arguments))
