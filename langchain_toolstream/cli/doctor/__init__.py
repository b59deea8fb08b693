"""`toolstream doctor`: whether a server does what this package needs, and what to change."""

import sys
from collections.abc import Callable

from langchain_toolstream.cli.doctor.examine import examine
from langchain_toolstream.cli.doctor.judge import is_healthy, judge
from langchain_toolstream.cli.doctor.report import print_json, print_table

__all__ = ["doctor"]


async def doctor(url: str, *, model: str, forced: bool, as_json: bool, timeout: float) -> int:  # noqa: ASYNC109
    """Examine a server and print the diagnosis.

    Args:
        url: Its URL for OpenAI clients.
        model: Its model; the first it has if left out.
        forced: Ask for forced calls too.
        as_json: Print JSON instead of a table.
        timeout: Seconds for each question.

    Returns:
        The exit code: 0 if the server is healthy, 1 if not.
    """
    progress = _progress()
    try:
        seen = await examine(url, model=model, forced=forced, timeout=timeout, progress=progress)
    finally:
        progress("")
    findings = judge(seen)
    if as_json:
        print_json(seen, findings)
    else:
        print_table(findings)
    return 0 if is_healthy(findings) else 1


def _progress() -> Callable[[str], None]:
    """Say on a terminal what is being asked; an empty name takes the line away."""

    def show(name: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{name and f'asking: {name} '}", end="", file=sys.stderr, flush=True)

    return show
