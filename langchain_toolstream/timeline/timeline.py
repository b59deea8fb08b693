"""`Timeline`: collect the events of a run, look at them."""

import time

from langchain_toolstream.core.events import ToolEvent
from langchain_toolstream.timeline.run import Run
from langchain_toolstream.timeline.svg import draw_svg
from langchain_toolstream.timeline.text import draw_text

_WIDTH = 56
_PIXELS = 960


class Timeline:
    """A picture of a run: what the model wrote when, which tools ran meanwhile, what took the time.

    Give it the events of `tool_events` as they come; its clock starts when it is made. Printed, it
    is text; at the end of a notebook's cell, an image.

    It keeps a few times for each message and call, and no content but the beginning of the
    arguments.

    Example:
        ```python
        from langchain_toolstream import ChatVLLM, Timeline, ToolSet, ToolStreamParser, tool_events


        def multiply(a: int, b: int) -> int:
            \"\"\"Multiply two integers.\"\"\"
            return a * b


        tools = ToolSet([multiply], read_only=True)
        chain = ChatVLLM().bind_tools(tools) | ToolStreamParser(tools) | tools.map()
        timeline = Timeline()
        for event in tool_events(chain, "What is 3 * 12?"):
            timeline.add(event)
        assert "its tool runs" in str(timeline)
        svg = timeline.to_svg()  # text, to be written to a file
        ```
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._run = Run()
        self._start = time.monotonic()

    def add(self, event: ToolEvent, *, at: float | None = None) -> None:
        """Take the next event.

        Args:
            event: One of `tool_events`.
            at: When it came, in seconds since the start, where that is known from elsewhere.
                Left out: now.
        """
        self._run.add(event, time.monotonic() - self._start if at is None else at)

    def to_text(self, width: int = _WIDTH) -> str:
        """Draw the run in characters.

        Args:
            width: Of the bars.

        Returns:
            Several lines.
        """
        return draw_text(self._run, max(width, 10))

    def to_svg(self, width: int = _PIXELS) -> str:
        """Draw the run as an image, for light and dark pages alike.

        Args:
            width: In pixels.

        Returns:
            The text of an SVG file. The same events at the same times give the same text.
        """
        return draw_svg(self._run, max(width, 400))

    def __repr__(self) -> str:
        return f"Timeline({len(self._run.calls)} calls, {self._run.end:.2f} s)"

    def __str__(self) -> str:
        return self.to_text()

    def _repr_svg_(self) -> str:
        """Show the image in a notebook."""
        return self.to_svg()
