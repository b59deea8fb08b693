"""What a person answered, on its way from a front end back into the graph.

LangGraph takes almost any answer silently: one for nothing that is asked, a second one, an edit
that names another tool. Here each is an error, and nothing runs.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_toolstream.core.events import Interrupt
from langchain_toolstream.json_values import to_json
from langchain_toolstream.schema.tool_like import ToolLike
from langchain_toolstream.schema.tool_schema import tool_schemas
from langchain_toolstream.streams.interrupts import is_batch, questions

if TYPE_CHECKING:
    from langgraph.types import Command

MAX_MESSAGE = 100_000
"""Characters of what a person says."""

MAX_ARGS = 1_000_000
"""Characters of the JSON of edited arguments."""

_QUOTED = 80
_KINDS = ("approve", "edit", "reject", "respond")


class ResumeError(ValueError):
    """An answer that cannot be taken. Its message may be shown to whoever sent it: a 4xx."""


def resume_command(
    state: Any, posted: Any, *, tools: Iterable[ToolLike] | None = None
) -> "Command[Any]":
    """Turn what a front end posted into LangGraph's `Command(resume=...)`.

    Every open question has to be answered, each once, by a decision that it allows. An edit keeps
    the tool, and its arguments have to fit it.

    Args:
        state: What `graph.get_state(config)` returns: it says what is asked.
        posted: The body that `useChat` posts, AG-UI's `RunAgentInput` (or its JSON), or a dict of
            decisions by the ids of the questions. The AI SDK's own answer has no room for more
            than yes and no, so its body may have the others under `decisions`, by the same ids.
        tools: The agent's tools, to hold edited arguments against.

    Returns:
        The graph's next input.

    Raises:
        ResumeError: Nothing is asked, an answer is missing, unknown, given twice, not allowed, or
            does not fit.

    Example:
        ```python
        from langchain.agents import create_agent
        from langchain.agents.middleware import HumanInTheLoopMiddleware
        from langgraph.checkpoint.memory import InMemorySaver

        from langchain_toolstream import ChatVLLM, resume_command, to_ai_sdk, tool_events


        def send(to: str) -> str:
            \"\"\"Send a letter.\"\"\"
            return f"sent to {to}"


        approval = HumanInTheLoopMiddleware(interrupt_on={"send": True})
        agent = create_agent(
            ChatVLLM(), [send], middleware=[approval], checkpointer=InMemorySaver()
        )


        async def answer(body):
            config = {"configurable": {"thread_id": body["id"]}}
            command = resume_command(await agent.aget_state(config), body, tools=[send])
            return to_ai_sdk(tool_events(agent, command, config), posted=body)
        ```
    """
    from langgraph.types import Command  # noqa: PLC0415 - of the extra `agents`

    asked = questions(state.interrupts, _messages(state.values))
    if not asked:
        msg = "Nothing is asked in this conversation, so there is nothing to answer."
        raise ResumeError(msg)
    given = answers(posted)
    known = {one.id for one in asked}
    if unknown := [one for one in given if one not in known]:
        msg = f"No open question has the id {_quoted(unknown[0])}; it may be answered already."
        raise ResumeError(msg)
    if missing := [one.id for one in asked if one.id not in given]:
        msg = f"No answer to the question {_quoted(missing[0])}; all {len(asked)} need one."
        raise ResumeError(msg)
    schemas = None if tools is None else tool_schemas(tools)
    resumed: dict[str, Any] = {}
    for question in asked:
        answer = given[question.id]
        if question.name or question.allowed:
            answer = _decision(question, answer)
            schema = schemas.get(question.name) if schemas is not None else None
            if schema is not None and answer["type"] == "edit":
                problem = schema.validate(answer["edited_action"]["args"])
                if problem is not None:
                    msg = f"The arguments of {question.name!r} do not fit: {problem}"
                    raise ResumeError(msg)
        elif answer is _CANCELLED:
            msg = f"The question {_quoted(question.id)} needs a value, and was cancelled."
            raise ResumeError(msg)
        if is_batch(question.value):
            batch = resumed.setdefault(question.interrupt_id, {"decisions": []})
            batch["decisions"].append(answer)
        else:
            resumed[question.interrupt_id] = answer
    return Command(resume=resumed)


_CANCELLED: Any = {"type": "reject"}


def _messages(values: Any) -> list[Any]:
    messages = values.get("messages") if isinstance(values, Mapping) else None
    return messages if isinstance(messages, list) else []


def _decision(question: Interrupt, answer: Any) -> dict[str, Any]:
    """A decision with what belongs to it, and nothing else."""
    allowed = question.allowed or _KINDS
    kind = answer.get("type") if isinstance(answer, Mapping) else None
    if kind not in allowed:
        may = ", ".join(repr(one) for one in allowed)
        msg = f"The call of {question.name!r} may be answered by {may}, not {_quoted(kind)}."
        raise ResumeError(msg)
    if kind == "edit":
        return {"type": kind, "edited_action": _edited(question, answer.get("edited_action"))}
    message = answer.get("message")
    if message is None and kind != "respond":
        return {"type": kind}
    if not isinstance(message, str) or len(message) > MAX_MESSAGE:
        msg = f"A {kind!r} has to have a text of at most {MAX_MESSAGE} characters as its message."
        raise ResumeError(msg)
    return {"type": kind} if kind == "approve" else {"type": kind, "message": message}


def _edited(question: Interrupt, action: Any) -> dict[str, Any]:
    args = action.get("args") if isinstance(action, Mapping) else None
    if not isinstance(args, dict) or len(to_json(args)) > MAX_ARGS:
        msg = (
            f"An edit of {question.name!r} needs an edited_action with its args, an object of at "
            f"most {MAX_ARGS} characters."
        )
        raise ResumeError(msg)
    if action.get("name", question.name) != question.name:
        msg = f"An edit may change the arguments of {question.name!r}, not name another tool."
        raise ResumeError(msg)
    return {"name": question.name, "args": args}


def answers(posted: Any) -> dict[str, Any]:
    """Find the answers in what a front end posted.

    Args:
        posted: See `resume_command`.

    Returns:
        The answers by the ids of their questions; nothing of them is checked.

    Raises:
        ResumeError: The body cannot be read, or answers a question twice.
    """
    if hasattr(posted, "model_dump"):
        posted = posted.model_dump(by_alias=True, exclude_none=True)
    if not isinstance(posted, Mapping):
        msg = f"Expected an object with answers, got {type(posted).__name__}."
        raise ResumeError(msg)
    if isinstance(posted.get("resume"), list):
        return _of_ag_ui(posted["resume"])
    if isinstance(posted.get("messages"), list):
        return _of_ai_sdk(posted)
    return dict(posted)


def _of_ag_ui(entries: list[Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("interruptId"), str):
            msg = "Each entry of resume needs an interruptId."
            raise ResumeError(msg)
        is_cancelled = entry.get("status") == "cancelled"
        _add(given, entry["interruptId"], _CANCELLED if is_cancelled else entry.get("payload"))
    return given


def _of_ai_sdk(body: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    last = body["messages"][-1] if body["messages"] else None
    parts = last.get("parts") if isinstance(last, Mapping) else None
    for part in parts if isinstance(parts, list) else ():
        approval = part.get("approval") if isinstance(part, Mapping) else None
        if not isinstance(approval, Mapping) or part.get("state") != "approval-responded":
            continue
        if approval.get("approved") is True:
            _add(given, approval.get("id"), {"type": "approve"})
        else:
            reason = approval.get("reason")
            said = {} if reason is None else {"message": reason}
            _add(given, approval.get("id"), {"type": "reject", **said})
    decisions = body.get("decisions") or {}
    if not isinstance(decisions, Mapping):
        msg = "The field decisions has to be an object: a decision for each id."
        raise ResumeError(msg)
    for name, decision in decisions.items():
        if given.get(name, {}).get("type") == "approve":
            del given[name]  # "yes, like this"
        _add(given, name, decision)
    return given


def _add(given: dict[str, Any], name: Any, answer: Any) -> None:
    if not isinstance(name, str) or name in given:
        msg = f"The question {_quoted(name)} is answered twice, or has no id."
        raise ResumeError(msg)
    given[name] = answer


def _quoted(value: Any) -> str:
    return repr(value[:_QUOTED]) if isinstance(value, str) else type(value).__name__
