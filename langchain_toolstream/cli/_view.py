"""A run while it happens: a table that is redrawn on a terminal, or plain lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from langchain_toolstream.cli._run import CallRun, Change, Run

_MAX_ARTIFACT = 60
_ARGS = 60


class View(Protocol):
    """Something that shows a run."""

    def update(self, change: Change) -> None:
        """Show a change of the run."""


@contextmanager
def view(run: Run, *, live: bool) -> Iterator[View]:
    """Show a run as long as the block lasts.

    Args:
        run: The run.
        live: Draw on a terminal; otherwise print lines.

    Yields:
        What wants to be told of every change.
    """
    print(f"prompt  {run.prompt}\nserver  {run.source}\n")
    if not live:
        yield _Lines()
        return
    from rich.live import Live  # noqa: PLC0415 - only for terminals

    with Live(refresh_per_second=15, transient=False) as screen:
        yield _Table(run, screen)
    print()


class _Lines:
    def update(self, change: Change) -> None:
        kind, call = change
        match kind:
            case "written":
                print(f"{call.written:6.2f} s  written   {call.shown(_ARGS)}")
            case "started":
                print(f"{call.started:6.2f} s  started   {call.shown(_ARGS)}")
            case "finished":
                print(f"{call.finished:6.2f} s  finished  {call.shown(_ARGS)}")
            case "answered":
                print(f"{'':10}message   {_message(call)}")
            case "writing":
                pass


class _Table:
    def __init__(self, run: Run, screen: object) -> None:
        self._run = run
        self._screen = screen

    def update(self, change: Change) -> None:
        from rich.table import Table  # noqa: PLC0415 - only for terminals
        from rich.text import Text  # noqa: PLC0415

        del change
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("tool", "arguments", "", "message"):
            table.add_column(heading, style="bold" if heading == "tool" else "")
        for call in self._run.calls.values():
            table.add_row(call.name, Text(call.args), _state(call), Text(_message(call)))
        self._screen.update(table)  # type: ignore[attr-defined]


def _state(call: CallRun) -> str:
    if call.message is not None and call.message.status == "error":
        return "[red]error[/red]"
    if call.finished is not None:
        return f"[green]finished {call.finished:.2f} s[/green]"
    if call.started is not None:
        return "[yellow]running[/yellow]"
    return "waits" if call.written is not None else "[dim]writing[/dim]"


def _message(call: CallRun) -> str:
    if call.message is None:
        return ""
    artifact = call.message.artifact
    shown = "" if artifact is None else f"  artifact: {artifact!r}"
    if len(shown) > _MAX_ARTIFACT:
        shown = f"{shown[: _MAX_ARTIFACT - 3]}..."
    return f"{call.message.content}{shown}"
