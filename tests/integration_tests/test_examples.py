"""Every Python example of the README, the docs and the docstrings runs as it stands.

The examples of one page or docstring share a namespace, in order. `ChatVLLM()` finds a
`ReplayServer` with the bundled recordings. Where a block of ```text follows an example, it is what
the example prints.
"""

import ast
import contextlib
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_toolstream.testing import ReplayServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted((ROOT / "langchain_toolstream").rglob("*.py"))
_block = re.compile(
    r"^(?P<indent>[ ]*)```python\n(?P<code>.*?)^(?P=indent)```"
    r"(?:\n+(?P=indent)```text\n(?P<output>.*?)^(?P=indent)```)?",
    re.MULTILINE | re.DOTALL,
)

Example = tuple[str, list[tuple[str, str | None]]]


def blocks(text: str) -> list[tuple[str, str | None]]:
    return [
        (
            textwrap.dedent(found["code"]),
            None if found["output"] is None else textwrap.dedent(found["output"]),
        )
        for found in _block.finditer(text)
    ]


def examples() -> Iterator[Example]:
    for page in PAGES:
        yield str(page.relative_to(ROOT)), blocks(page.read_text(encoding="utf-8"))
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ) and (docstring := ast.get_docstring(node)):
                name = getattr(node, "name", "module")
                yield f"{path.relative_to(ROOT)}:{name}", blocks(docstring)


@pytest.fixture(scope="module")
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as running:
        yield running


@pytest.mark.parametrize("example", [pytest.param(e, id=e[0]) for e in examples() if e[1]])
def test_example_runs(
    example: Example,
    server: ReplayServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("VLLM_API_BASE", server.base_url)
    monkeypatch.chdir(tmp_path)
    name, parts = example
    namespace = {"__name__": "__main__"}
    for code, expected in parts:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec", dont_inherit=True), namespace)  # noqa: S102
        if expected is not None:
            assert printed.getvalue() == expected


def test_there_are_examples() -> None:
    with_examples = {name for name, parts in examples() if parts}
    assert "README.md" in with_examples
    assert "langchain_toolstream/parsers/tool_stream.py:ToolStreamParser" in with_examples
