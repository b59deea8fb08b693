"""The diagnosis on paper: a table, or JSON."""

import dataclasses
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langchain_toolstream.cli.doctor.findings import Finding, Observations
from langchain_toolstream.cli.doctor.judge import is_healthy
from langchain_toolstream.cli.usage import printable
from langchain_toolstream.json_values import to_json
from langchain_toolstream.vllm.refusals import public_url

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "unknown": ("unknown", "dim"),
}
_PLAIN_WIDTH = 110


def print_table(findings: list[Finding]) -> None:
    """Print the findings, and what to change.

    Args:
        findings: The diagnosis.
    """
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name in ("check", "status", "found"):
        table.add_column(name, no_wrap=name != "found", overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.status]
        found = Text(printable(finding.found))
        if finding.change:
            found.append(f"\n-> {printable(finding.change)}", style="bold")
        table.add_row(Text(finding.check), Text(mark, style=style), found)
    with console.capture() as captured:
        console.print(table)
    print(*(line.rstrip() for line in captured.get().splitlines()), "", sep="\n")
    print(_verdict(findings))


def print_json(seen: Observations, findings: list[Finding]) -> None:
    """Print the diagnosis as one JSON object.

    Args:
        seen: What was seen.
        findings: The diagnosis.
    """
    report = {
        "url": public_url(seen.url),
        "healthy": is_healthy(findings),
        "version": seen.version,
        "model": seen.model,
        "models": [dataclasses.asdict(model) for model in seen.models],
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    print(to_json(report, indent=2))


def _verdict(findings: list[Finding]) -> str:
    failed = [finding.check for finding in findings if finding.status == "failed"]
    if failed:
        return f"Not healthy: {', '.join(failed)}."
    warned = [finding.check for finding in findings if finding.status == "warning"]
    return f"Healthy, with warnings: {', '.join(warned)}." if warned else "Healthy."
