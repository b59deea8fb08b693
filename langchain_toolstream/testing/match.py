"""Which recording answers a request.

What was asked has to agree: the messages, the tools and whether the answer is streamed. All other
fields only rank the recordings that agree, since a client that leaves `temperature` out still asks
the same question.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from langchain_toolstream.json_values import read_json, to_json
from langchain_toolstream.testing.recording import Recording

_NEAREST = 5
_SHOWN = 60
_OK = 200
_CUT_SHORT = re.compile(rb'"finish_reason"\s*:\s*"length"')
_CALLS_A_TOOL = re.compile(rb'"tool_calls"\s*:\s*\[\s*\{')
_DEFAULTS = {"n": 1, "parallel_tool_calls": True, "logprobs": False, "include_reasoning": True}


class Matcher:
    """Finds the recording for a request, or says why there is none."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        """Read what each recording was asked.

        Args:
            recordings: The recordings, in order of preference.

        Raises:
            ValueError: If two have one id.
        """
        self._by_id: dict[str, Recording] = {}
        self._asked: list[tuple[Recording, _Asked]] = []
        for recording in recordings:
            if recording.id in self._by_id:
                msg = f"Two recordings have the id {recording.id!r}"
                raise ValueError(msg)
            self._by_id[recording.id] = recording
            if recording.request is not None:
                self._asked.append((recording, _asked(recording.request)))

    def find(self, request: Mapping[str, Any]) -> Recording | None:
        """Find the recording that answers a request.

        Args:
            request: The JSON body. If its `model` is a recording's id, that one answers.

        Returns:
            The recording that agrees in messages, tools and `stream` and differs in the fewest
            other fields; among equals an answer before an error, one that came to its end before
            one cut by `max_tokens`, the first before later ones. `None` if none agrees.
        """
        model = request.get("model")
        if isinstance(model, str) and model in self._by_id:
            return self._by_id[model]
        asked = _asked(request)
        agreeing = [
            (recording, theirs)
            for recording, theirs in self._asked
            if not _reasons(asked, recording, theirs)
        ]
        best = min(
            agreeing,
            key=lambda pair: (
                _differing(asked, pair[1]),
                pair[0].status != _OK,
                bool(_CUT_SHORT.search(pair[0].body)),
            ),
            default=None,
        )
        return best[0] if best else None

    def explain(self, request: Mapping[str, Any]) -> str:
        """Say why nothing answers a request.

        Args:
            request: The JSON body.

        Returns:
            A message with the nearest recordings, and for each the reasons why it does not fit.
        """
        asked = _asked(request)
        ranked = sorted(
            (
                (len(reasons), -_likeness(asked, theirs), recording.id, reasons)
                for recording, theirs in self._asked
                if (reasons := _reasons(asked, recording, theirs))
            ),
            key=lambda entry: entry[:2],
        )[:_NEAREST]
        said = f", {asked.messages[-1][1][:_SHOWN]!r}" if asked.messages else ""
        parts = [
            f"No recording answers this request{said}. Of {len(self._by_id)}, {len(self._asked)} "
            "have a request to compare with" + (", the nearest are:" if ranked else ".")
        ]
        parts += [f"[{name}] {'; '.join(reasons)}." for _, _, name, reasons in ranked]
        if self._by_id:
            parts.append("Any of them can be chosen by its id as `model`.")
        return "\n".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a request asks for, in a form that can be compared."""

    messages: tuple[tuple[str, str], ...]
    """Role and text of each message but the system's; calls are part of the text."""

    tools: frozenset[str]
    stream: bool
    others: dict[str, Any]


def _asked(request: Mapping[str, Any]) -> _Asked:
    messages = _objects(request.get("messages"))
    system = [_text(m.get("content")) for m in messages if _is_system(m)]
    tools = request.get("tools")
    others = {
        key: value
        for key, value in request.items()
        if key not in {"messages", "stream", "stream_options", "tool_choice"} and value is not None
    }
    if "max_completion_tokens" in others:  # OpenAI's new name; vLLM takes both
        others["max_tokens"] = others.pop("max_completion_tokens")
    others["stream_options"] = {
        key: value for key, value in _object(request.get("stream_options")).items() if value
    }
    others["tool_choice"] = _tool_choice(request.get("tool_choice"), has_tools=bool(tools))
    others["system"] = system
    return _Asked(
        messages=tuple(
            (str(m.get("role")), _text(m.get("content")) + "".join(_calls(m)))
            for m in messages
            if not _is_system(m)
        ),
        tools=frozenset(_name(tool) for tool in _objects(tools)),
        stream=request.get("stream") is True,
        others=_DEFAULTS | others,
    )


def _differing(mine: _Asked, theirs: _Asked) -> int:
    missing = object()
    return sum(
        mine.others.get(key, missing) != theirs.others.get(key, missing)
        for key in mine.others.keys() | theirs.others.keys()
    )


def _reasons(mine: _Asked, recording: Recording, theirs: _Asked) -> list[str]:
    reasons = []
    if mine.messages != theirs.messages:
        reasons.append(_why_messages(mine.messages, theirs.messages))
    if unknown := mine.tools - theirs.tools:
        reasons.append(f"it has no tool {', '.join(map(repr, sorted(unknown)))}")
    # Without tools no server calls one, and its errors would be others.
    if not mine.tools and theirs.tools:
        if recording.status != _OK:
            reasons.append("it is an error to a request with tools, and the request has none")
        elif _CALLS_A_TOOL.search(recording.body):
            reasons.append("it calls a tool, and the request has none")
    if mine.stream != theirs.stream:
        reasons.append("it is a stream" if theirs.stream else "it is not a stream")
    return reasons


def _why_messages(mine: tuple[tuple[str, str], ...], theirs: tuple[tuple[str, str], ...]) -> str:
    for number, (ours, other) in enumerate(zip(mine, theirs, strict=False), start=1):
        if ours != other:
            return f"its message {number} is {_show(other)}, the request's is {_show(ours)}"
    return f"it has {len(theirs)} messages (without system), the request has {len(mine)}"


def _show(message: tuple[str, str]) -> str:
    role, text = message
    return f"{role} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'!r}"


def _likeness(mine: _Asked, theirs: _Asked) -> float:
    one, other = ("\n".join(text for _, text in a.messages)[-1000:] for a in (mine, theirs))
    return SequenceMatcher(None, one, other).ratio()


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = _objects(content)
    if parts and all(isinstance(part.get("text"), str) for part in parts):
        return "".join(part["text"] for part in parts)
    return to_json(content, sort=True)


def _calls(message: Mapping[str, Any]) -> Iterable[str]:
    for call in _objects(message.get("tool_calls")):
        arguments = _object(call.get("function")).get("arguments")
        if isinstance(arguments, str):
            # A history may hold whatever a model wrote; what is not JSON is compared as text.
            with contextlib.suppress(ValueError):
                arguments = read_json(arguments)
        yield f" -> {_name(call)}({to_json(arguments, sort=True)})"


def _tool_choice(choice: object, *, has_tools: bool) -> object:
    if choice is None or (choice == "auto" and has_tools):  # "auto" without tools is an error
        return "default"
    if isinstance(choice, dict):
        return {"name": _name(choice)}
    return "required" if choice == "any" else choice


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _name(holder: Mapping[str, Any]) -> str:
    return str((_object(holder.get("function")) or holder).get("name"))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
