"""The command, run as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

from langchain_toolstream.testing import ReplayServer

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


def test_a_wrong_url_is_said_in_one_line() -> None:
    done = toolstream("demo", "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert done.stderr.startswith("toolstream: Nothing answers at http://127.0.0.1:9/v1 ")
    assert "Traceback" not in done.stderr


def test_help_names_the_commands() -> None:
    done = toolstream("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
