"""What a run does, step by step, written once for threads and for coroutines.

A plan is a generator. It yields each step that takes time, is sent what came of it, or is thrown
what the step raised, and returns the result of the run. Two short loops follow a plan: one in
a thread, one in a coroutine.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")


class Step(NamedTuple):
    """Something that takes time, as a function and as a coroutine function.

    Attributes:
        run: Does it in a thread.
        arun: Does it in a coroutine.
    """

    run: Callable[[], Any]
    arun: Callable[[], Awaitable[Any]]


Plan = Generator[Step, Any, T]


def follow(plan: Plan[T]) -> T:
    """Do what a plan says, in this thread."""
    try:
        step = next(plan)
        while True:
            try:
                made = step.run()
            except BaseException as error:  # noqa: BLE001 - the plan says what becomes of it
                step = plan.throw(error)
            else:
                step = plan.send(made)
    except StopIteration as end:
        return cast("T", end.value)


async def afollow(plan: Plan[T]) -> T:
    """Do what a plan says, in this coroutine."""
    try:
        step = next(plan)
        while True:
            try:
                made = await step.arun()
            except BaseException as error:  # noqa: BLE001 - the plan says what becomes of it
                step = plan.throw(error)
            else:
                step = plan.send(made)
    except StopIteration as end:
        return cast("T", end.value)
