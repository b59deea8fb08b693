"""The structural tags, given to xgrammar itself: what they let a model write, and what not."""

import json
import os
import subprocess
from typing import Any

import pytest

from langchain_toolstream.core.markup.tags import TAGS, structural_tag
from scripts.vllm_cpu.server import INSTALLED, MISSING, PYTHON
from tests.unit_tests.core.markup.writers import WRITERS

# Runs in vLLM's own environment, where xgrammar is.
ACCEPTS = """
import json, sys
import xgrammar
from xgrammar.testing import _is_grammar_accept_string as accepts
found = {}
for name, tag, texts in json.load(sys.stdin):
    grammar = xgrammar.Grammar.from_structural_tag(tag)
    found[name] = [accepts(grammar, text) for text in texts]
json.dump(found, sys.stdout)
"""
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "s": {"type": "string"}},
    "required": ["a", "s"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
    for name in ("add", "note")
]
CALL: tuple[str, dict[str, Any]] = ("add", {"a": 3, "s": "x"})


def texts(name: str) -> dict[str, bool]:
    """Texts, and whether a model may write them."""
    write = WRITERS[name]
    one, two = write([CALL]), write([CALL, ("note", {"a": 4, "s": "y z"})])
    if name == "deepseek_v3":  # its template has a line end between two calls
        two = two.replace(
            "｜tool▁call▁end｜><｜tool▁call▁begin", "｜tool▁call▁end｜>\n<｜tool▁call▁begin"
        )
    return {
        "Hello.": True,
        one: True,
        f"So: {one}": True,
        two: True,
        write([("add", {"a": 3})]): False,
        write([("other", {"a": 3, "s": "x"})]): False,
        write([("add", {"a": "three", "s": "x"})]): False,
        one[: len(one) * 2 // 3]: False,
    }


@pytest.mark.timeout(300)
def test_a_tag_lets_a_model_write_calls_that_fit_and_no_others() -> None:
    if not INSTALLED.exists():
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(MISSING)
        pytest.fail(MISSING)
    asked = [[name, json.dumps(structural_tag(name, TOOLS)), [*texts(name)]] for name in TAGS]
    done = subprocess.run(
        [str(PYTHON), "-c", ACCEPTS],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in TAGS:
        expected = texts(name)
        assert dict(zip(expected, found[name], strict=True)) == expected, name
