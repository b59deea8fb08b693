"""What stands between the model's message and the tools of an agent.

`create_agent` does not tell a middleware which others there are. It does ask each for its name, and
then its own arguments can be seen by whoever is asked: `middleware`, `interrupt_before` and
`interrupt_after` are in the frame of the call. Where they cannot be seen, nothing is known, and the
caller of this has to be careful. docs/decisions/0015 has the alternatives.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware

_CREATE_AGENT = inspect.unwrap(create_agent).__code__
_GUARDING_HOOKS = ("after_model", "aafter_model", "wrap_tool_call", "awrap_tool_call")


def guards_seen_from(middleware: AgentMiddleware[Any, Any, Any]) -> frozenset[str] | None:
    """Name what guards the tools of the agent that is being created.

    Args:
        middleware: The one that wants to know, and is no guard itself.

    Returns:
        The names of other middleware with a hook behind the model or around the tools, and
        `interrupt_before` or `interrupt_after` where the agent is to stop there. `None` where no
        agent is being created, or where a second one that wants to know asks the first its name.
    """
    frame = inspect.currentframe()
    frame = frame and frame.f_back
    while frame is not None and frame.f_code is not _CREATE_AGENT:
        if frame.f_code is guards_seen_from.__code__:
            return None
        frame = frame.f_back
    if frame is None:
        return None
    arguments = frame.f_locals
    return frozenset(_guards(middleware, arguments["middleware"])) | {
        name for name in ("interrupt_before", "interrupt_after") if arguments.get(name)
    }


def _guards(
    own: AgentMiddleware[Any, Any, Any], all_of_them: Iterable[AgentMiddleware[Any, Any, Any]]
) -> Iterable[str]:
    for one in all_of_them:
        if one is not own and any(
            getattr(type(one), hook) is not getattr(AgentMiddleware, hook)
            for hook in _GUARDING_HOOKS
        ):
            yield one.name
