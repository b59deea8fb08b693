"""A run as one typed stream of events, whatever it is read from."""

from langchain_toolstream.consume.events import ToolEvents, tool_events

__all__ = ["ToolEvents", "tool_events"]
