"""A run as a picture: what the model wrote when, which tools ran meanwhile, what took the time."""

from langchain_toolstream.timeline.timeline import Timeline

__all__ = ["Timeline"]
