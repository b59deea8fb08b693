"""Run LangGraph's tests of `ToolNode` on `ToolSet.node()`, and LangChain's agent tests with ours.

    python -m scripts.upstream node         # langgraph-prebuilt's tests of ToolNode
    python -m scripts.upstream agents       # langchain's tests/unit_tests/agents, twice

The suites come from their source distributions, and are not part of this repository. `agents` runs
them with `EagerToolMiddleware()` in every agent, and with a middleware that does nothing; what
fails with ours alone counts. They need the group `upstream` of pyproject.toml.
"""

import argparse
import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts.upstream.plugin import SWAP

ROOT = Path(__file__).parents[2]


TOOL_NODE = (
    *("tool_node", "on_tool_call", "injected_state_not_required", "tool_call_transformer"),
    *("tool_node_interceptor_unregistered", "tool_node_validation_error_filtering"),
)
"""LangGraph's tests of `ToolNode`."""


def unpacked(package: str, into: Path) -> Path:
    """Fetch the source distribution of the release that is installed."""
    name = f"{package.replace('-', '_')}-{version(package)}"
    folder = into / name
    if not folder.is_dir():
        into.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", package]
        subprocess.run([*pip, f"{package}=={version(package)}", "-d", str(into)], check=True)
        with tarfile.open(into / f"{name}.tar.gz") as archive:
            archive.extractall(into, filter="data")
    return folder


def run(folder: Path, tests: list[str], swap: str) -> dict[str, str]:
    """Run tests of a suite, and give the reason of each that does not pass."""
    report = folder / f"{swap or 'plain'}.xml"
    options = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", f"--junitxml={report}"]
    environment = {**os.environ, SWAP: swap, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "scripts.upstream.plugin", *options, *tests]
    subprocess.run(command, cwd=folder, env=environment, check=False)
    failed: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by the line above
        found = case.find("failure")
        found = case.find("error") if found is None else found
        if found is not None:
            reason = (found.get("message") or "").splitlines()
            failed[f"{case.get('classname')}::{case.get('name')}"] = reason[0] if reason else ""
    return failed


def main() -> int:
    """Run a suite, and print what fails."""
    parser = argparse.ArgumentParser(prog="python -m scripts.upstream")
    parser.add_argument("suite", choices=["node", "agents"])
    parser.add_argument("--sources", type=Path, default=ROOT / ".upstream", help="where they lie")
    parser.add_argument("tests", nargs="*", help="some of the suite's tests")
    asked = parser.parse_args()
    if asked.suite == "node":
        folder = unpacked("langgraph-prebuilt", asked.sources)
        tests = asked.tests or [f"tests/test_{name}.py" for name in TOOL_NODE]
        failed, theirs = run(folder, tests, "node"), run(folder, tests, "")
    else:
        folder = unpacked("langchain", asked.sources)
        tests = asked.tests or ["tests/unit_tests/agents"]
        failed, theirs = run(folder, tests, "middleware"), run(folder, tests, "nothing")
    print(f"\n{len(failed)} fail with ours, {len(theirs)} without.")
    ours_alone = {name: reason for name, reason in failed.items() if name not in theirs}
    for name, reason in ours_alone.items():
        print(f"  {name}: {reason}")
    return 1 if ours_alone else 0


if __name__ == "__main__":
    raise SystemExit(main())
