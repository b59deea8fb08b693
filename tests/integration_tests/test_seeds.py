"""The four documents that the project started from run, and print what they are about."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.vllm_cpu.server import PARSERS, VLLMServer

SEEDS = Path(__file__).parents[2] / "docs" / "examples" / "seeds"

PRINTED = {
    "tool_streaming": [
        "[('multiply', '{\"a\": 3, \"b\": 12}'), ('add', '{\"a\": 11, \"b\": 49}')]",
        "[('multiply', {'a': 3, 'b': 12}), ('add', {'a': 11, 'b': 49})]",
        "content='36' name='multiply' tool_call_id=",
        "content='60' name='add' tool_call_id=",
    ],
    "client_with_tools": [
        "'name': 'get_current_weather', 'args': {'city': 'Dallas'}",
        "'args': 'Dallas', 'id': None, 'index': 0, 'type': 'tool_call_chunk'}",
        "\nThe result is: It is 85 degrees fahrenheit in Dallas.",
    ],
    "openai_tools_parsers": [
        "[GetWeather(location='北京')]",
        "[get_weather(city='Paris'), get_weather(city='Tokyo')]",
        "[get_weather(city='Paris'), get_weather(city='T')]",
        "'error': 'The arguments are not complete: The text ends inside a string at $.location",
    ],
    "tool_artifacts": [
        "Successfully generated array of 10 random ints in [0, 9].",
        "tool_call_id='123' artifact=[",
        "name='generate_random_ints', tool_call_id='composed-generate_random_ints', artifact=[",
        "# With the arguments of the call alone, the content alone.\nSuccessfully generated array",
        "Generated 3 floats in [0.1, 3.3333], rounded to 4 decimals.",
        "\nlist of 10 items: [",
        "content='list of 10 items: [",
        "[ToolMessage(content='list of 10 items: [",
        "content='3 floats were generated.' name='generate_random_floats' tool_call_id='123' art",
    ],
}


def printed(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", PRINTED)
def test_runs(script: str) -> None:
    found = printed(str(SEEDS / "run.py"), script)
    for text in PRINTED[script]:
        assert text in found


@pytest.mark.parametrize("vllm_server", PARSERS[:1], indirect=True, scope="session")
@pytest.mark.timeout(600)  # Perhaps it has to wait for the server.
def test_the_round_trip_on_a_real_server(vllm_server: VLLMServer) -> None:
    script = SEEDS / "client_with_tools.py"
    found = printed(str(script), VLLM_API_BASE=vllm_server.base_url)
    assert "# Models:\n['tiny']\n" in found
    (chunks,) = re.findall(r"# Chunks:\n(.*?)\n\n", found, re.DOTALL)
    pieces = [ast.literal_eval(chunk) for chunk in chunks.splitlines()]
    assert "".join(piece["args"] for piece in pieces) == '{"city": "Dallas"}'
    assert found.count("'name': 'get_current_weather', 'args': {'city': 'Dallas'}") == 2
    assert found.endswith("\nThe result is: It is 85 degrees fahrenheit in Dallas.\n")


def test_every_script_is_run() -> None:
    helpers = {"run", "compose"}
    assert {path.stem for path in SEEDS.glob("*.py")} - helpers == PRINTED.keys()
