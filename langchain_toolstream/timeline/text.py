"""A run as lines of text."""

from langchain_toolstream.timeline.path import critical_path, early, tool_seconds
from langchain_toolstream.timeline.run import Call, Message, Run

_ARGS = 30
_SHORTEST = 0.005  # less is told as 0.00 s
_MODEL, _WRITING, _RUNNING = "━", "░", "█"


def draw_text(run: Run, width: int) -> str:
    """Draw a run.

    Args:
        run: What happened.
        width: Of the bars, in characters.

    Returns:
        A scale, a line for each message and each call, and what took the time.
    """
    end = max(run.end, 0.001)
    rows = run.rows()
    room = max((len(row.label(_ARGS)) for row in rows), default=0)
    lines = [f"{'':{room}}  0{f'{end:.1f} s':>{width - 1}}"]
    for row in rows:
        if isinstance(row, Message):
            parts, came = [(row.first, row.last, _MODEL)], "broken off" if row.error else ""
        else:
            parts, came = [(row.begun, row.written, _WRITING)] if row.message else [], outcome(row)
            parts += [(*ran, _RUNNING)] if (ran := run.ran(row)) else []
        lines.append(f"{row.label(_ARGS):{room}}  {_bar(end, width, parts)}  {came}")
    legend = f"{_MODEL} the model writes   {_WRITING} a call is written   {_RUNNING} its tool runs"
    return "\n".join(line.rstrip() for line in [*lines, "", legend, *summary(run)])


def outcome(call: Call) -> str:
    """Say in a word or two what came of a call.

    Args:
        call: The call.
    """
    if call.outcome == "invalid":
        return "invalid"
    if call.outcome == "error":
        return "error"
    if call.finished is not None:
        return f"done at {call.finished:.2f} s"
    return "not finished" if call.started is not None else "not run"


def summary(run: Run) -> list[str]:
    """Say what took the time, and what was gained.

    Args:
        run: The run.

    Returns:
        Some sentences.
    """
    steps = [step for step in critical_path(run) if step.stop - step.start >= _SHORTEST]
    path = ", ".join(f"{step.of.name} {step.stop - step.start:.2f} s" for step in steps)
    lines = [f"What the run waited for: {path}."] if steps else []
    ran, beside = tool_seconds(run)
    if ran >= _SHORTEST:
        lines.append(f"Tools ran {ran:.2f} s, {beside:.2f} s of it while a model was writing.")
    if not run.calls:
        return [*lines, "No tool was called."]
    done = early(run)
    if not done:
        return [*lines, "No tool finished before the model's last chunk."]
    names = ", ".join(call.label(_ARGS) for call in done)
    messages = [*run.messages.values()]
    at = f" ({messages[0].last:.2f} s)" if len(messages) == 1 else ""
    share = f"{len(done)} of {len(run.calls)} tools"
    return [*lines, f"{share} finished before the model's last chunk{at}: {names}."]


def _bar(end: float, width: int, parts: list[tuple[float, float, str]]) -> str:
    cells = [" "] * width
    for start, stop, mark in parts:
        first = min(int(start / end * width), width - 1)
        last = min(max(int(stop / end * width), first + 1), width)
        cells[first:last] = mark * (last - first)
    return "".join(cells)
