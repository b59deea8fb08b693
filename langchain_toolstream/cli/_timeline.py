"""A run as a picture in text: what was written when, and which tools ran meanwhile."""

from langchain_toolstream.cli._run import CallRun, Run

_WIDTH = 56
_ARGS = 24
_MODEL, _WRITING, _RUNNING = "━", "░", "█"


def timeline(run: Run) -> str:
    """Draw a run.

    Args:
        run: A run that has ended.

    Returns:
        Several lines: a scale, the model, every call, and what was gained.
    """
    end = max(run.ended, 0.001)
    label = max([len("model"), *(len(call.shown(_ARGS)) for call in run.calls.values())])
    lines = [
        f"{'':{label}}  0{f'{end:.1f} s':>{_WIDTH - 1}}",
        f"{'model':{label}}  {_bar(end, [(run.first_chunk or 0.0, run.last_chunk, _MODEL)])}",
    ]
    for call in run.calls.values():
        parts = [(call.begun, call.written or call.begun, _WRITING)]
        if call.started is not None:
            parts.append((call.started, call.finished or end, _RUNNING))
        lines.append(f"{call.shown(_ARGS):{label}}  {_bar(end, parts)}  {_outcome(call)}")
    lines += ["", f"{_WRITING} the model writes the call   {_RUNNING} its tool runs", _gain(run)]
    return "\n".join(lines)


def _bar(end: float, parts: list[tuple[float, float, str]]) -> str:
    cells = [" "] * _WIDTH
    for start, stop, mark in parts:
        first = min(int(start / end * _WIDTH), _WIDTH - 1)
        last = min(max(int(stop / end * _WIDTH), first + 1), _WIDTH)
        cells[first:last] = mark * (last - first)
    return "".join(cells)


def _outcome(call: CallRun) -> str:
    if call.message is None:
        return ""
    if call.message.status == "error":
        return "error"
    return f"done at {call.finished:.2f} s" if call.finished is not None else ""


def _gain(run: Run) -> str:
    if not run.calls:
        return "The model called no tool."
    early = run.early
    if not early:
        return "No tool finished before the model's last chunk."
    names = ", ".join(call.shown(_ARGS) for call in early)
    return (
        f"{len(early)} of {len(run.calls)} tools finished before the model's last chunk "
        f"({run.last_chunk:.2f} s): {names}."
    )
