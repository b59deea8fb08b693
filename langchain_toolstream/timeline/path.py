"""What took the time: the critical path, and what ran beside it."""

from dataclasses import dataclass

from langchain_toolstream.timeline.run import Call, Message, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the critical path: while it lasted, the run could not end sooner."""

    start: float
    stop: float
    of: Message | Call


def critical_path(run: Run) -> list[Step]:
    """Find what the run waited for, from its end back to its start.

    A tool waited for the model to write its call; a message waited for what had ended last before
    it began. What lies between two steps was spent elsewhere.

    Args:
        run: A run that has ended.

    Returns:
        The steps, in order of time.
    """
    spans: list[tuple[float, float, Message | Call]] = [
        (message.first, message.last, message) for message in run.messages.values()
    ]
    spans += [(*ran, call) for call in run.calls.values() if (ran := run.ran(call))]
    steps: list[Step] = []
    span = max(spans, key=lambda one: one[1], default=None)
    while span is not None:
        start, stop, of = span
        steps.append(Step(start=start, stop=stop, of=of))
        spans = [one for one in spans if one[2] is not of]
        if isinstance(of, Call) and of.message is not None:
            span = (min(of.message.first, start), start, of.message)
        else:
            before = [one for one in spans if one[1] <= start]
            span = max(before, key=lambda one: one[1], default=None)
    return steps[::-1]


def tool_seconds(run: Run) -> tuple[float, float]:
    """Say how long tools ran, and how much of that while a model was writing.

    Args:
        run: The run.

    Returns:
        Both in seconds, summed over the tools.
    """
    writing = _union([(message.first, message.last) for message in run.messages.values()])
    ran = beside = 0.0
    for call in run.calls.values():
        if span := run.ran(call):
            ran += span[1] - span[0]
            beside += sum(
                max(0.0, min(span[1], last) - max(span[0], first)) for first, last in writing
            )
    return ran, beside


def early(run: Run) -> list[Call]:
    """Find the calls whose tools had finished before the last piece of their message came.

    Args:
        run: The run.
    """
    return [
        call
        for call in run.calls.values()
        if call.outcome == "done"
        and call.message is not None
        and call.finished is not None
        and call.finished < call.message.last
    ]


def _union(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
