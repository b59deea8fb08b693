"""LangChain's middleware that asks a person, as far as the installed release has it."""

import inspect
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware

_IS_NEW = "interrupt_mode" in inspect.signature(HumanInTheLoopMiddleware).parameters
"""Whether it asks for each call on request, and marks the answer of a call that was refused."""

MODES = ["batched", "per_call"] if _IS_NEW else ["batched"]
REFUSED = "output-denied" if _IS_NEW else "output-error"


def gate(mode: str) -> HumanInTheLoopMiddleware[Any, Any, Any]:
    """Ask before each call of `add`."""
    options: Any = {} if mode == "batched" else {"interrupt_mode": mode}
    return HumanInTheLoopMiddleware(interrupt_on={"add": True}, **options)
