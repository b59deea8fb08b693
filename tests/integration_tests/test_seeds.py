"""The four documents that the project started from run, and print what they are about."""

import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = Path(__file__).parents[2] / "docs" / "examples" / "seeds"

PRINTED = {
    "tool_streaming": [
        "[('multiply', '{\"a\": 3, \"b\": 12}'), ('add', '{\"a\": 11, \"b\": 49}')]",
        "[('multiply', {'a': 3, 'b': 12}), ('add', {'a': 11, 'b': 49})]",
        "content='36' name='multiply' tool_call_id=",
        "content='60' name='add' tool_call_id=",
    ],
    "client_with_tools": [
        "'args': {'city': 'Dallas', 'state': 'TX', 'unit': 'fahrenheit'}",
        "It says: The weather in Dallas, TX is 85 degrees fahrenheit.",
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
        "Generated 3 floats in [0.1, 3.3333], rounded to 4 decimals.",
    ],
}


@pytest.mark.parametrize("script", PRINTED)
def test_runs(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SEEDS / "run.py"), script],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in PRINTED[script]:
        assert text in done.stdout


def test_every_script_is_run() -> None:
    helpers = {"run", "compose"}
    assert {path.stem for path in SEEDS.glob("*.py")} - helpers == PRINTED.keys()
