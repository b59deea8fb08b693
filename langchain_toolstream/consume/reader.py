"""What a source yields, item by item, into events: the shared core of sync and async.

Each kind of item says by its form what it is:

- events of `astream_events` v2: `on_chat_model_stream`, `on_tool_start`, ...;
- events of a chat model's v3 stream: `message-start`, `content-block-delta`, ...;
- events of a LangGraph run's v3 stream, which hold those of its models, and those of its tools;
- messages of one model stream.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_toolstream.consume.message import MessageReader, ProtocolReader
from langchain_toolstream.consume.tools import Tools
from langchain_toolstream.core.errors import IncompleteStreamError
from langchain_toolstream.core.events import (
    TOOL_PROGRESS,
    MessageStart,
    ToolEvent,
)
from langchain_toolstream.schema.tool_schema import ToolSchema
from langchain_toolstream.streams.interrupts import questions
from langchain_toolstream.streams.messages import NO_REASON

_ONLY = ""  # the run of a v3 stream that is one model's

_NO_STREAM = "nostream"  # LangGraph's tag
_INTERNAL = "lc_internal_call"

_NOT_ENDED = "The run ended, and the model's message had not."


class EventReader:
    """Read one source.

    Args:
        schemas: The bound tools by name, if they are known.
        show_internal: Whether models are shown that only serve the run, such as one that selects
            tools or one tagged `nostream`.
    """

    def __init__(
        self, schemas: Mapping[str, ToolSchema] | None, *, show_internal: bool = False
    ) -> None:
        """Start before the first item."""
        self._schemas = schemas
        self._agent_schemas = None if schemas is None else _KnownTools(schemas)
        self._show_internal = show_internal
        self._hidden: set[str] = set()  # the runs of models that are not shown
        self._inputs: dict[str, Sequence[Any]] = {}  # the messages that nodes were given, by run
        self._history: Sequence[Any] = ()  # the last of them
        self._answers: dict[tuple[str, ...], set[str]] = {}  # those in a graph's state, by message
        self._interrupts: set[str] = set()
        self._messages: dict[str, MessageReader] = {}  # by their runs
        self._streams: dict[str, ProtocolReader] = {}  # likewise
        self._only: MessageReader | None = None  # of a source that is one model's stream
        self._parents: dict[str, Sequence[str]] = {}  # the runs around those of messages
        self._tools = Tools()
        self._tasks: dict[str, str] = {}  # the calls that runs of a graph's tool node were given
        self._v2 = {
            "on_chat_model_end": self._v2_model_end,
            "on_chat_model_error": self._v2_model_error,
            "on_tool_start": self._v2_tool_start,
            "on_tool_end": self._v2_tool_end,
            "on_tool_error": self._v2_tool_error,
            "on_custom_event": self._v2_custom,
            "on_chain_start": self._v2_chain_start,
            "on_chain_stream": self._v2_chain_stream,
            "on_chain_end": self._v2_chain_end,
        }

    def feed(self, item: Any) -> list[ToolEvent]:
        """Take the next item.

        Args:
            item: Whatever the source yielded.

        Returns:
            What became known, in order.

        Raises:
            TypeError: It is nothing that can be read.
        """
        if isinstance(item, dict):
            name = item.get("event")
            if name == "on_chat_model_stream":
                if item["run_id"] in self._hidden or self._hides(item):
                    return []
                reader = self._v2_message(item)
                return self._keep(reader.feed(item["data"]["chunk"]))
            if isinstance(name, str):
                if handle := self._v2.get(name):
                    return handle(item)
                return [] if name.startswith("on_") else self._feed_protocol(item)
            if item.get("type") == "event" and "method" in item:
                return self._feed_graph(item)
        if isinstance(item, AIMessage):
            return self._feed_message(item)
        msg = (
            "tool_events reads astream_events v2 or v3, or the messages of a chat model's stream, "
            f"got {type(item).__name__}. For a chain, pass the chain and its input, or "
            'chain.astream_events(..., version="v2").'
        )
        raise TypeError(msg)

    def close(self) -> Iterator[ToolEvent]:
        """Say that the source ended.

        Yields:
            What its end makes known.

        Raises:
            IncompleteStreamError: It was one model's stream, and broke off.
        """
        broken = _NOT_ENDED if _ONLY in self._streams else None
        if self._only is not None:
            only, self._only = self._only, None
            yield from only.close()
            broken = NO_REASON if only.broken else None
        yield from self.fail(_NOT_ENDED)
        if broken is not None:
            raise IncompleteStreamError(broken)

    def fail(self, reason: str) -> list[ToolEvent]:
        """Say that the source broke off, and end whatever has not ended.

        Args:
            reason: What happened.
        """
        events: list[ToolEvent] = []
        open_messages = [*self._messages.values(), *self._streams.values()]
        if self._only is not None:
            open_messages.append(self._only)
        for message in open_messages:
            events += message.abort(reason)
        self._messages.clear()
        self._parents.clear()
        self._streams.clear()
        self._only = None
        return events + self._tools.close()

    def _keep(self, events: list[ToolEvent]) -> list[ToolEvent]:
        if events:
            self._tools.remember(events, self._parents.get(events[0].run_id, ()))
        return events

    # One model's stream.

    def _feed_message(self, message: AIMessage) -> list[ToolEvent]:
        run_id = _run_id(message.id)
        events: list[ToolEvent] = []
        only = self._only
        if only is not None and run_id and only.start.run_id not in ("", run_id):
            events += only.close()
            only = None
        if only is None:
            only = self._only = MessageReader(self._schemas, MessageStart(run_id=run_id))
        return events + only.feed(message)

    def _feed_protocol(
        self, event: Mapping[str, Any], key: str = _ONLY, start: MessageStart | None = None
    ) -> list[ToolEvent]:
        reader = self._streams.get(key)
        if reader is None:
            if event["event"] != "message-start":
                return []
            start = start or MessageStart(run_id=_run_id(event.get("id")))
            reader = self._streams[key] = ProtocolReader(self._schemas_for(start), start)
        events = reader.feed(event)
        if reader.ended:
            del self._streams[key]
        return events

    # A LangGraph run, v3.

    def _feed_graph(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        params = event["params"]
        if event["method"] == "messages":
            said, metadata = params["data"]
            if isinstance(said, BaseMessage):
                return self._graph_message(said, metadata, params["namespace"])
            if _is_internal(metadata) and not self._show_internal:
                return []
            run_id = str(metadata.get("run_id", ""))
            start = _start(run_id, metadata, params["namespace"])
            return self._keep(self._feed_protocol(said, run_id, start))
        if event["method"] == "tools":
            return self._graph_tool(params["data"])
        if event["method"] == "values":
            return self._graph_values(params)
        return []

    def _graph_values(self, params: Mapping[str, Any]) -> list[ToolEvent]:
        """The state after a step: which calls are answered by now, and what is asked."""
        data = params.get("data")
        messages = data.get("messages") if isinstance(data, Mapping) else None
        namespace = tuple(params.get("namespace") or ())
        events: list[ToolEvent] = []
        for key, stream in [*self._streams.items()]:
            if stream.start.namespace[: len(namespace)] == namespace:
                del self._streams[key]  # it failed, and another model took up its work
                events += self._keep(stream.abort(_NOT_ENDED))
        if isinstance(messages, list):
            self._history = messages
            is_first = namespace not in self._answers
            seen = self._answers.setdefault(namespace, set())
            new: list[ToolMessage] = []
            for message in reversed(messages):
                if isinstance(message, ToolMessage):
                    if str(message.id) in seen:
                        break  # and so are all before it
                    new.append(message)
            seen.update(str(message.id) for message in new)
            if not is_first:
                for message in reversed(new):
                    events += self._tools.answer(message, (), messages)
        return events + self._ask(params.get("interrupts") or ())

    def _ask(self, interrupts: Any) -> list[ToolEvent]:
        new = [one for one in interrupts if one.id not in self._interrupts]
        self._interrupts.update(one.id for one in new)
        return [
            replace(asked, run_id=self._tools.run_of(asked.call_id))
            for asked in questions(new, self._history)
        ]

    def _graph_message(
        self, message: BaseMessage, metadata: Mapping[str, Any], namespace: list[str]
    ) -> list[ToolEvent]:
        """A whole message: of a model that did not stream, or one that a node made itself."""
        if not isinstance(message, AIMessage) or not (message.id or "").startswith(LC_ID_PREFIX):
            return []
        if _is_internal(metadata) and not self._show_internal:
            return []
        start = _start(_run_id(message.id), metadata, namespace)
        reader = MessageReader(self._schemas_for(start), start)
        return self._keep([*reader.feed(message), *reader.close()])

    def _graph_tool(self, data: Mapping[str, Any]) -> list[ToolEvent]:
        call_id = data["tool_call_id"]
        if data["event"] == "tool-started":
            name, args = data["tool_name"], data.get("input")
            return self._tools.start(call_id, call_id, name, args, unknown="")
        if data["event"] == "tool-output-delta":
            return self._tools.progress(call_id, "", data["delta"])
        if data["event"] == "tool-finished":
            return self._tools.finish(call_id, data["output"])
        return self._tools.fail(call_id, data.get("message", ""))

    # `astream_events`, v2.

    def _v2_message(self, event: Mapping[str, Any]) -> MessageReader:
        run_id = event["run_id"]
        reader = self._messages.get(run_id)
        if reader is None:
            metadata = event["metadata"]
            graphs = str(metadata.get("langgraph_checkpoint_ns") or "").split("|")[:-1]
            start = _start(run_id, metadata, graphs, self._call_around(event))
            reader = self._messages[run_id] = MessageReader(self._schemas_for(start), start)
            self._parents[run_id] = event["parent_ids"]
        return reader

    def _schemas_for(self, start: MessageStart) -> Mapping[str, ToolSchema] | None:
        """The tools that the message's own request had, as far as that can be told.

        An agent may give its model more tools than the run's reader knows of: a schema of answers,
        or those of a middleware. Which tools a model inside a tool has nobody says.
        """
        if start.parent_call_id is not None:
            return None
        return self._schemas if start.node is None else self._agent_schemas

    def _hides(self, event: Mapping[str, Any]) -> bool:
        """Whether a model's events are not for the reader, once for each run of one."""
        run_id = event["run_id"]
        if self._show_internal or run_id in self._messages:
            return False
        if _NO_STREAM in (event.get("tags") or ()) or _is_internal(event["metadata"]):
            self._hidden.add(run_id)
            return True
        return False

    def _v2_model_end(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        output = event["data"].get("output")
        if event["run_id"] in self._hidden or self._hides(event):
            self._hidden.discard(event["run_id"])
            return []
        streamed = event["run_id"] in self._messages
        if not streamed and not isinstance(output, AIMessage):
            return []
        reader = self._v2_message(event)
        del self._messages[event["run_id"]]
        events = self._keep([*([] if streamed else reader.feed(output)), *reader.close()])
        del self._parents[event["run_id"]]
        return events

    def _v2_model_error(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        """A model broke off, and another one begins: nothing of it stays open."""
        run_id = event["run_id"]
        reader = self._messages.pop(run_id, None)
        self._hidden.discard(run_id)
        if reader is None:
            return []
        events = self._keep(reader.abort(str(event["data"].get("error"))))
        self._parents.pop(run_id, None)
        return events

    def _v2_chain_start(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        given = event["data"].get("input")
        if isinstance(given, dict) and isinstance(messages := given.get("messages"), list):
            self._history = self._inputs[event["run_id"]] = messages
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict):
            given = given[0]
        if isinstance(given, dict) and given.get("__type") == "tool_call_with_context":
            given = given["tool_call"]
        if isinstance(given, dict) and given.get("type") == "tool_call" and given.get("id"):
            self._tasks[event["run_id"]] = given["id"]
        return []

    def _v2_chain_end(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        self._tasks.pop(event["run_id"], None)
        self._inputs.pop(event["run_id"], None)
        events: list[ToolEvent] = []
        if self._messages and event["metadata"].get("langgraph_node") == event["name"]:
            # The models of a node have ended by now; one that has not has failed, and another one
            # took up its work.
            for run_id, parents in [*self._parents.items()]:
                if run_id in self._messages and event["run_id"] in parents:
                    error = {"error": _NOT_ENDED}
                    events += self._v2_model_error({"run_id": run_id, "data": error})
        return events

    def _v2_chain_stream(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        """`ToolMap` and the nodes of a graph answer every call, also where no tool ended."""
        chunk = event["data"].get("chunk")
        if isinstance(chunk, dict) and (interrupts := chunk.get("__interrupt__")):
            return self._ask(interrupts)
        if event["metadata"].get("langgraph_node") == event["name"]:
            return self._v2_node(event, chunk)
        events: list[ToolEvent] = []
        for message in chunk if type(chunk) is list else ():
            if isinstance(message, ToolMessage):
                for run_id, tool in [*self._tools.running.items()]:
                    ours = tool.parents[-1:] == [event["run_id"]]  # others may have the same id
                    if ours and tool.id == message.tool_call_id:
                        events += self._tools.finish(run_id, message)
                events += self._tools.answer(message, event["parent_ids"], None)
        return events

    def _v2_node(self, event: Mapping[str, Any], chunk: Any) -> list[ToolEvent]:
        messages = [one for one in _new_messages(chunk) if isinstance(one, BaseMessage)]
        answers = [one for one in messages if isinstance(one, ToolMessage)]
        if not answers:
            return []
        given = self._inputs.get(event["run_id"], ())
        known = {one.id for one in given if isinstance(one, ToolMessage)}
        history = [*(given or self._history), *messages]
        parents = [*event["parent_ids"], event["run_id"]]
        events: list[ToolEvent] = []
        for message in answers:
            if message.id is None or message.id not in known:
                events += self._tools.answer(message, parents, history)
        return events

    def _v2_tool_start(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        args = event["data"].get("input")
        call_id = self._v2_call_id(event, args)
        return self._tools.start(event["run_id"], call_id, event["name"], args, event["parent_ids"])

    def _v2_tool_end(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        return self._tools.finish(event["run_id"], event["data"].get("output"))

    def _v2_tool_error(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        error = event["data"].get("error")
        if _is_pause(error):  # it runs again when the graph goes on; v3 tells nothing of it
            return []
        return self._tools.fail(event["run_id"], "" if error is None else str(error))

    def _v2_custom(self, event: Mapping[str, Any]) -> list[ToolEvent]:
        data = event["data"]
        if event["name"] != TOOL_PROGRESS or not isinstance(data, Mapping):
            return []
        call_id = data.get("tool_call_id")
        if not isinstance(call_id, str):
            call_id = self._call_around(event) or event["run_id"]
        name, said = str(data.get("name") or ""), data.get("data")
        return self._tools.progress(call_id, name, said, event["parent_ids"])

    def _v2_call_id(self, event: Mapping[str, Any], args: Any) -> str:
        """Find the call that a tool runs.

        `ToolSet` says so; a tool node of LangGraph was given the one call; else it is the first
        call of this name and these arguments that no tool runs yet. So it is too where the model
        gave no id, or one twice: whoever reads its message makes one then.
        """
        parents = event["parent_ids"]
        given = event["metadata"].get("tool_call_id")
        if not isinstance(given, str):
            given = self._tasks.get(parents[-1]) if parents else None
        inside = any(  # what a tool runs inherits its metadata, and perhaps its place
            tool.id == given
            and (run_id in parents or (tool.name != event["name"] and tool.parents == parents))
            for run_id, tool in self._tools.running.items()
        )
        given = given if isinstance(given, str) and not inside else None
        if given is not None and self._tools.knows(given):
            return given
        return self._tools.first_open(event["name"], args) or given or str(event["run_id"])

    def _call_around(self, event: Mapping[str, Any]) -> str | None:
        for parent in reversed(event["parent_ids"]):
            if tool := self._tools.running.get(parent):
                return tool.id
            if parent in self._tasks:
                return self._tasks[parent]
        given = event["metadata"].get("tool_call_id")
        return given if isinstance(given, str) else None


def _start(
    run_id: str,
    metadata: Mapping[str, Any],
    namespace: list[str],
    parent_call_id: str | None = None,
) -> MessageStart:
    node = metadata.get("langgraph_node")
    return MessageStart(
        run_id=run_id,
        node=node if isinstance(node, str) else None,
        namespace=tuple(namespace),
        parent_call_id=parent_call_id,
    )


class _KnownTools(dict[str, ToolSchema]):
    """The tools that are known; any other takes what it is given, for nobody says what fits it."""

    def get(self, name: str, default: Any = None) -> Any:
        """Find what the rules of calls ask of a tool."""
        del default
        return super().get(name, _ANY_TOOL)


class _AnyTool:
    read_only = False
    takes_arguments = True
    streamed = None

    def validate(self, args: dict[str, Any]) -> str | None:
        del args
        return None


_ANY_TOOL = _AnyTool()


def _new_messages(chunk: Any) -> list[Any]:
    """The messages of a node's update, or of several."""
    if isinstance(chunk, list | tuple):
        return [message for one in chunk for message in _new_messages(one)]
    if isinstance(chunk, BaseMessage):
        return [chunk]
    update = chunk if isinstance(chunk, dict) else getattr(chunk, "update", None)
    messages = update.get("messages") if isinstance(update, dict) else None
    return messages if isinstance(messages, list) else [messages]


def _is_internal(metadata: Mapping[str, Any]) -> bool:
    """Whether LangChain marks a model as one that only serves the run."""
    if _INTERNAL not in metadata:
        return False
    marking = sys.modules.get("langchain.agents.middleware.internal_call_transformer")
    # The mark is a secret of the process, so that no request can hide a model.
    return marking is not None and all(
        metadata.get(key) == value for key, value in marking.internal_call_metadata().items()
    )


def _run_id(message_id: str | None) -> str:
    """langchain-core names messages after their runs."""
    return (message_id or "").removeprefix(f"{LC_ID_PREFIX}-")


def _is_pause(error: Any) -> bool:
    """Whether a tool was left by an interrupt of LangGraph's."""
    langgraph = sys.modules.get("langgraph.errors")
    return langgraph is not None and isinstance(error, langgraph.GraphBubbleUp)
