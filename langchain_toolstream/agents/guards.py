"""What a middleware can see of its agent: the other middleware, the tools, and who asks a model.

`create_agent` does not tell a middleware which others there are. It does ask each for its name, and
then its own arguments can be seen by whoever is asked: `middleware`, `tools`, `interrupt_before`
and `interrupt_after` are in the frame of the call. Where they cannot be seen, nothing is known, and
the caller of this has to be careful. docs/decisions/0015 has the alternatives.
"""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.tools import BaseTool

from langchain_toolstream.tools.toolset import ToolSet

_CREATE_AGENT = inspect.unwrap(create_agent).__code__
_ASK_MODEL = frozenset(
    code
    for code in _CREATE_AGENT.co_consts
    if isinstance(code, CodeType) and code.co_name.startswith("_execute_model_")
)
_GUARDING_HOOKS = ("after_model", "aafter_model", "wrap_tool_call", "awrap_tool_call")
_TOOL_CHANGING_HOOKS = ("wrap_model_call", "awrap_model_call")


class Agent(NamedTuple):
    """An agent, or several that share a middleware.

    Attributes:
        guards: The names of other middleware with a hook behind the model or around the tools, and
            `interrupt_before` or `interrupt_after` where the agent is to stop there; for each of
            them the names of the tools that it guards, or nothing where that is all of them.
        tools: The names of the tools that were given, as often as they were.
        more_tools: The names of other middleware's tools; `None` where it may bring more of them
            when the model is asked.
    """

    guards: dict[str, frozenset[str] | None]
    tools: Counter[str]
    more_tools: frozenset[str] | None

    def guards_of(self, tool: str) -> frozenset[str]:
        """Name what has to see the calls of a tool before they run.

        Args:
            tool: The name of the tool.
        """
        return frozenset(
            name for name, named in self.guards.items() if named is None or tool in named
        )

    def joined_with(self, other: "Agent | None") -> "Agent":
        """What is guarded in one agent is guarded in both.

        Args:
            other: Another agent with the same middleware.
        """
        if other is None:
            return self
        guards = dict(self.guards)
        for name, named in other.guards.items():
            own = guards.get(name, frozenset())
            guards[name] = None if own is None or named is None else own | named
        return self._replace(guards=guards)

    def check(self, read_only: Iterable[str]) -> None:
        """Check what the agent is made of.

        Args:
            read_only: Names that are said to be those of read-only tools.

        Raises:
            ValueError: There is no such tool, or there are two tools of one name.
        """
        twice = [name for name, count in self.tools.items() if count > 1]
        if twice:
            msg = (
                f"create_agent was given two tools named {twice[0]!r}; a call could not tell them "
                "apart. Give each tool, or a ToolSet, once."
            )
            raise ValueError(msg)
        if self.more_tools is None:
            return
        known = self.tools.keys() | self.more_tools
        if unknown := sorted(frozenset(read_only) - known):
            msg = (
                f"read_only of EagerToolMiddleware has {unknown[0]!r}, but the agent has no such "
                f"tool. It has: {', '.join(map(repr, sorted(known))) or 'none'}."
            )
            raise ValueError(msg)


def agent_seen_from(middleware: AgentMiddleware[Any, Any, Any]) -> Agent | None:
    """Look at the agent that is being created.

    Args:
        middleware: The one that wants to know, and is no guard itself.

    Returns:
        What can be seen of it. `None` where no agent is being created, or where a second middleware
        that wants to know asks the first its name.

    Raises:
        TypeError: A `ToolSet` stands in the list of tools.
    """
    for frame in _frames():
        if frame.f_code is agent_seen_from.__code__:
            return None
        if frame.f_code is _CREATE_AGENT:
            arguments = frame.f_locals
            others = [one for one in arguments["middleware"] if one is not middleware]
            has_all = not any(_overrides(one, _TOOL_CHANGING_HOOKS) for one in others)
            return Agent(
                guards=dict(_guards(others))
                | {
                    name: None
                    for name in ("interrupt_before", "interrupt_after")
                    if arguments.get(name)
                },
                tools=Counter(map(_name, arguments.get("tools") or ())),
                more_tools=frozenset(map(_name, _tools_of(others))) if has_all else None,
            )
    return None


def asked_by_agent() -> bool:
    """Whether the model that is being asked is the agent's own.

    Other middleware may ask a model of its own meanwhile: a judge, a router.
    """
    return not _ASK_MODEL or any(frame.f_code in _ASK_MODEL for frame in _frames())


def _frames() -> Iterator[FrameType]:
    """The calls that led here, from our caller's caller on."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    while frame is not None:
        yield frame
        frame = frame.f_back


def _guards(
    others: Sequence[AgentMiddleware[Any, Any, Any]],
) -> Iterator[tuple[str, frozenset[str] | None]]:
    for one in others:
        if isinstance(one, HumanInTheLoopMiddleware) and not any(
            getattr(type(one), hook) is not getattr(HumanInTheLoopMiddleware, hook)
            for hook in _GUARDING_HOOKS
        ):
            yield one.name, frozenset(one.interrupt_on)
        elif _overrides(one, _GUARDING_HOOKS):
            yield one.name, None


def _overrides(middleware: AgentMiddleware[Any, Any, Any], hooks: Iterable[str]) -> bool:
    return any(
        getattr(type(middleware), hook) is not getattr(AgentMiddleware, hook) for hook in hooks
    )


def _tools_of(middleware: Iterable[AgentMiddleware[Any, Any, Any]]) -> Iterator[Any]:
    for one in middleware:
        yield from getattr(one, "tools", ())


def _name(tool: Any) -> str:
    if isinstance(tool, ToolSet):
        msg = "create_agent was given a ToolSet inside of a list of tools. Write [*tools]."
        raise TypeError(msg)
    if isinstance(tool, dict):
        return str(tool.get("name") or (tool.get("function") or {}).get("name") or tool.get("type"))
    return tool.name if isinstance(tool, BaseTool) else getattr(tool, "__name__", repr(tool))
