import os
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.vllm_cpu.server import INSTALLED, MISSING, PARSERS, VLLMServer, serve


@pytest.fixture(scope="session", params=PARSERS)
def vllm_server(request: pytest.FixtureRequest) -> Iterator[VLLMServer]:
    """A real vLLM with a tiny model, for each tool-call parser; in CI it has to be there.

    Pytest runs all tests of one server before it starts the next one.
    """
    if not INSTALLED.exists():
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(MISSING)
        pytest.fail(MISSING)
    with serve(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def clients() -> Path:
    """What comes from npm, installed once beside its package.json."""
    folder = Path(__file__).parent / "npm"
    if shutil.which("npm") is None:
        missing = "The clients come from npm, and it is not installed."
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(missing)
        pytest.fail(missing)
    stamp = folder / "node_modules" / ".installed"
    wanted = (folder / "package.json").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "install", *quiet], cwd=folder, check=True, timeout=300)
        stamp.write_text(wanted, encoding="utf-8")
    return folder


def pytest_report_header() -> str:
    """Say which vLLM the tests run on: the newest that the index had when it was installed."""
    return f"real vLLM: {INSTALLED.read_text().strip() if INSTALLED.exists() else MISSING}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests of each standard suite passed, and why others did not."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed", "error", "xfailed", "xpassed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            suite = dict(report.user_properties).get("suite")
            if suite is None or (report.when != "call" and outcome == "passed"):
                continue
            counts[suite][outcome] += 1
            if outcome == "xfailed":
                reasons[suite][f"xfailed: {report.wasxfail}"] += 1
            elif outcome == "skipped":
                reasons[suite][f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"] += 1
    if counts:
        terminalreporter.section("LangChain's ChatModelIntegrationTests")
    for suite, found in counts.items():
        told = ", ".join(f"{count} {outcome}" for outcome, count in found.items())
        terminalreporter.write_line(f"{suite}: {told}")
        for reason, count in reasons[suite].items():
            terminalreporter.write_line(f"    {count} {reason}")
