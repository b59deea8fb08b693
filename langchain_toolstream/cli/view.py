"""A run while it happens: a table that is redrawn on a terminal, plain lines, or JSON lines."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TextIO

from langchain_toolstream.cli.usage import printable
from langchain_toolstream.core.events import (
    Interrupt,
    MessageError,
    MessageFinish,
    ReasoningDelta,
    TextDelta,
    ToolAnswer,
    ToolCallDelta,
    ToolCallFinish,
    ToolCallInvalid,
    ToolCallReady,
    ToolCallStart,
    ToolError,
    ToolEvent,
    ToolFinish,
    ToolProgress,
    ToolStart,
)
from langchain_toolstream.json_values import bounded, to_json

Kind = Literal["live", "plain", "json"]
"""How a run is shown."""

_MAX_ARTIFACT = 60
_MAX_CALL = 60
_MAX_LINE = 240
_MAX_CELL = 400
_MAX_TEXT = 2000
_REDRAWS = 15


class View(Protocol):
    """Something that shows a run."""

    def show(self, event: ToolEvent, at: float) -> None:
        """Show what happened, so many seconds after the start."""

    def close(self) -> None:
        """Show what is still held back."""


@contextmanager
def view(kind: Kind, out: TextIO) -> Iterator[View]:
    """Show a run as long as the block lasts.

    Args:
        kind: How.
        out: Where.

    Yields:
        What wants to be told of every event.
    """
    if kind != "live":
        lines: View = _Lines(out) if kind == "plain" else _JSONLines(out)
        try:
            yield lines
        finally:
            lines.close()
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.live import Live  # noqa: PLC0415

    table = _Table()
    console = Console(file=out, highlight=False)
    with Live(get_renderable=table.render, console=console, refresh_per_second=_REDRAWS):
        yield table
    print(file=out)


class _JSONLines:
    """Events in the JSON of `to_sse`, each with its time."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: ToolEvent, at: float) -> None:
        said = {one.name: bounded(getattr(event, one.name)) for one in dataclasses.fields(event)}
        print(to_json({**said, "at": round(at, 4)}), file=self._out, flush=True)

    def close(self) -> None:
        pass


class _Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._args: dict[tuple[str, str], list[str]] = {}
        self._prose: list[str] = []
        self._prose_kind = ""
        self._prose_at = 0.0

    def show(self, event: ToolEvent, at: float) -> None:
        match event:
            case TextDelta():
                self._collect("text", event.text, at)
            case ReasoningDelta():
                self._collect("thought", event.text, at)
            case ToolCallDelta():
                self._args.setdefault((event.run_id, event.id), []).append(event.args)
            case MessageFinish() | MessageError():
                self.close()
            case _:
                for number, (kind, text) in enumerate(self._lines(event)):
                    self.close()
                    self._line(None if number else at, kind, text)

    def _lines(self, event: ToolEvent) -> Iterator[tuple[str, str]]:
        match event:
            case ToolCallStart():
                yield "calls", event.name
            case ToolCallReady(early=True):
                yield "written", self._call(event)
            case ToolCallFinish():
                yield "confirmed", self._call(event)
            case ToolCallInvalid():
                yield "invalid", f"{event.name}: {event.error}"
            case Interrupt():
                yield "asks", event.message or _shown(event.value)
            case _:
                yield from self._tool_lines(event)

    def _tool_lines(self, event: ToolEvent) -> Iterator[tuple[str, str]]:
        match event:
            case ToolStart():
                yield "started", self._call(event)
            case ToolProgress():
                yield "progress", f"{event.name}: {_shown(event.data)}"
            case ToolFinish():
                yield "finished", self._call(event)
                yield "message", _message(event)
            case ToolError():
                yield "failed", f"{event.name}: {event.error}"
            case ToolAnswer():
                yield "answered", f"{event.name}: {_shown(event.content)}"
            case _:
                pass

    def close(self) -> None:
        """Print the text that came."""
        text = "".join(self._prose).strip()
        if text:
            first, *others = text.splitlines()
            self._line(self._prose_at, self._prose_kind, first, whole=True)
            for line in others:
                self._line(None, "", line, whole=True)
        self._prose.clear()

    def _collect(self, kind: str, text: str, at: float) -> None:
        if kind != self._prose_kind:
            self.close()
        if not self._prose:
            self._prose_at = at
        self._prose_kind = kind
        self._prose.append(text)

    def _call(self, event: ToolCallReady | ToolCallFinish | ToolStart | ToolFinish) -> str:
        written = "".join(self._args.get((event.run_id, event.id), ()))
        return _cut(f"{event.name} {written}", _MAX_CALL)

    def _line(self, at: float | None, kind: str, text: str, *, whole: bool = False) -> None:
        text = printable(text if whole else _cut(text, _MAX_LINE))
        when = f"{'':8}" if at is None else f"{at:6.2f} s"
        print(f"{when}  {kind:9} {text}".rstrip(), file=self._out, flush=True)


@dataclasses.dataclass(slots=True)
class _Row:
    name: str
    args: str = ""
    state: str = ""
    message: str = ""
    started: bool = False


_CALL_STATES = {
    "tool-call-start": "[dim]writing[/dim]",
    "tool-call-ready": "waits",
    "tool-call-invalid": "[red]invalid[/red]",
}


class _Table:
    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._text = ""
        self._thought = ""

    def show(self, event: ToolEvent, at: float) -> None:
        match event:
            case TextDelta():
                self._text = (self._text + event.text)[-_MAX_TEXT:]
            case ReasoningDelta():
                self._thought = (self._thought + event.text)[-_MAX_TEXT:]
            case ToolCallDelta():
                row = self._row(event.run_id, event.id, "")
                row.args = (row.args + event.args)[-_MAX_CELL:]
            case ToolCallStart() | ToolCallReady() | ToolCallInvalid():
                row = self._row(event.run_id, event.id, event.name)
                if not (event.type == "tool-call-ready" and row.started):
                    row.state = _CALL_STATES[event.type]
                row.message = (
                    _cut(event.error, _MAX_CELL)
                    if isinstance(event, ToolCallInvalid)
                    else row.message
                )
            case ToolStart() | ToolProgress() | ToolFinish() | ToolError() | ToolAnswer():
                self._show_tool(event, self._row(event.run_id, event.id, event.name), at)
            case _:
                pass

    def _show_tool(
        self,
        event: ToolStart | ToolProgress | ToolFinish | ToolError | ToolAnswer,
        row: _Row,
        at: float,
    ) -> None:
        match event:
            case ToolStart():
                row.started = True
                row.state = "[yellow]running[/yellow]"
            case ToolProgress():
                row.message = _cut(_shown(event.data), _MAX_CELL)
            case ToolFinish():
                row.state = f"[green]finished {at:.2f} s[/green]"
                row.message = _cut(_message(event), _MAX_CELL)
            case ToolError():
                row.state, row.message = "[red]failed[/red]", _cut(event.error, _MAX_CELL)
            case ToolAnswer():
                row.state, row.message = "answered", _cut(_shown(event.content), _MAX_CELL)

    def _row(self, run_id: str, call_id: str, name: str) -> _Row:
        return self._rows.setdefault((run_id, call_id), _Row(name))

    def render(self) -> Any:
        from rich.console import Group  # noqa: PLC0415 - only for terminals
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        parts: list[Any] = [
            Text("".join(one if one == "\n" else printable(one) for one in text), style=style)
            for text, style in ((self._thought.strip(), "dim italic"), (self._text.strip(), ""))
            if text
        ]
        if self._rows:
            table = Table(box=None, padding=(0, 2, 0, 0))
            for heading in ("tool", "arguments", "", "message"):
                table.add_column(heading, style="bold" if heading == "tool" else "")
            for row in self._rows.values():
                cells = (Text(printable(text)) for text in (row.name, row.args, row.message))
                name, args, message = cells
                table.add_row(name, args, row.state, message)
            parts.append(table)
        return Group(*parts)

    def close(self) -> None:
        pass


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _message(event: ToolFinish) -> str:
    artifact = event.artifact
    shown = "" if artifact is None else f"  artifact: {_shown(artifact)}"
    return f"{_shown(event.content)}{_cut(shown, _MAX_ARTIFACT)}"


def _shown(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    plain = bounded(value)
    return plain if isinstance(plain, str) else to_json(plain)
