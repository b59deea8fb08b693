"""What LangGraph asks a person, question by question.

`HumanInTheLoopMiddleware` asks for several calls in one interrupt, without their ids ("batched"),
or for each call in one of its own ("per_call"). Here a question is always about one call.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

from langchain_toolstream.core.events import Interrupt

_PER_CALL = "tool_approval"


_DECIDED = "hitl_interrupt_decision"  # how LangChain marks what a person's decision made


def is_denied(message: ToolMessage) -> bool:
    """Whether a call's answer is that a person said no.

    Args:
        message: The answer.
    """
    said = message.additional_kwargs
    data = said.get("lc_data") if said.get("lc_source") == _DECIDED else None
    return isinstance(data, dict) and data.get("decision") == "reject"


def is_batch(value: Any) -> bool:
    """Whether an interrupt asks for several calls, so that its answer is a list of decisions.

    Args:
        value: The interrupt's.
    """
    return isinstance(value, Mapping) and isinstance(value.get("action_requests"), list)


def questions(interrupts: Iterable[Any], messages: Sequence[Any]) -> list[Interrupt]:
    """Take interrupts apart.

    Args:
        interrupts: LangGraph's, as a run or `get_state` gives them.
        messages: The conversation, whose last message of a model made the calls.

    Returns:
        The questions in order. The id of one about a call is `INTERRUPT:CALL`.
    """
    asked: list[Interrupt] = []
    calls = _last_calls(messages)
    for interrupt in interrupts:
        value = interrupt.value
        if is_batch(value):
            asked += _of_batch(interrupt, [*calls])
        elif isinstance(value, Mapping) and value.get("type") == _PER_CALL:
            schema = getattr(interrupt, "response_schema", None)
            call_id = str(value.get("tool_call_id"))
            call = {"name": value.get("name"), "args": value.get("args"), "id": call_id}
            message = str(value.get("description") or "")
            asked.append(
                _question(interrupt, f"{interrupt.id}:{call_id}", call, message, _kinds(schema))
            )
        else:
            message = value if isinstance(value, str) else ""
            asked.append(_question(interrupt, interrupt.id, {}, message, ()))
    return asked


def _of_batch(interrupt: Any, calls: list[Mapping[str, Any]]) -> Iterable[Interrupt]:
    reviews = interrupt.value.get("review_configs") or []
    for number, action in enumerate(interrupt.value["action_requests"]):
        name, args = action.get("name"), action.get("args")
        call = next((one for one in calls if (one["name"], one["args"]) == (name, args)), None)
        if call is not None:  # calls that nobody asks about are skipped, and none is asked twice
            del calls[: calls.index(call) + 1]
        review = reviews[number] if number < len(reviews) else {}
        yield _question(
            interrupt,
            f"{interrupt.id}:{call['id'] if call else number}",
            call or {"name": name, "args": args},
            str(action.get("description") or ""),
            tuple(str(one) for one in review.get("allowed_decisions") or ()),
        )


def _question(
    interrupt: Any, name: str, call: Mapping[str, Any], message: str, allowed: tuple[str, ...]
) -> Interrupt:
    args = call.get("args")
    return Interrupt(
        id=name,
        interrupt_id=interrupt.id,
        call_id=call.get("id"),
        name=str(call.get("name") or ""),
        args=args if isinstance(args, dict) else {},
        message=message,
        allowed=allowed,
        value=interrupt.value,
        response_schema=getattr(interrupt, "response_schema", None),
    )


def _last_calls(messages: Sequence[Any]) -> list[Any]:
    last = next((one for one in reversed(messages) if isinstance(one, AIMessage)), None)
    return [*last.tool_calls] if last is not None else []


def _kinds(schema: Any) -> tuple[str, ...]:
    """The decisions that a schema of answers allows: each is an object with a constant `type`."""
    if not isinstance(schema, Mapping):
        return ()
    kinds = []
    for one in schema.get("oneOf") or schema.get("anyOf") or [schema]:
        name = str(one.get("$ref", "")).rpartition("/")[2]
        answer = (schema.get("$defs") or {}).get(name, {}) if name else one
        kind = ((answer.get("properties") or {}).get("type") or {}).get("const")
        kinds += [kind] if isinstance(kind, str) else []
    return tuple(kinds)
