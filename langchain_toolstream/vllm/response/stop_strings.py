"""Stop strings across the place where an answer goes on.

A server looks for them in the text that it writes itself, so it does not see one that began before.
It also holds text back that may begin one, and that text was lost with its stream.
"""

from collections.abc import Mapping
from typing import Any


def stop_strings(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the stop strings of a request.

    Args:
        payload: The request, as the SDK's client takes it.
    """
    stop = {**payload, **(payload.get("extra_body") or {})}.get("stop")
    found = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(one for one in found if isinstance(one, str) and one)


class StopBorder:
    """Look for stop strings that begin before the border and end behind it.

    Args:
        stops: The stop strings.
        given: The end of the text that was given out.
        held: The text that the first server held back, which comes before that of the second.
        includes: Whether the stop string is a part of the answer.

    Attributes:
        found: The stop string that ends the answer.
        passed: Whether nothing is left to look for, and nothing held back.

    Example:
        ```python
        from langchain_toolstream.vllm.response.stop_strings import StopBorder

        border = StopBorder(("###",), given="end", held=" #", includes=False)
        assert border.feed("#", ends=False) == ""
        assert border.feed("# and more", ends=False) == " "
        assert border.found == "###"
        ```
    """

    def __init__(self, stops: tuple[str, ...], *, given: str, held: str, includes: bool) -> None:
        """Start at the border."""
        self._stops = stops
        self._includes = includes
        self._given = len(given)
        self._border = len(given) + len(held)
        self._text = given + held
        # The second server holds back as much as the first one, also before it looks for any.
        self._reach = max([len(held), *(len(stop) - 1 for stop in stops)])
        self.found: str | None = None
        self.passed = False

    def feed(self, text: str, *, ends: bool) -> str:
        """Take the next text of the second server.

        Args:
            text: Any number of characters.
            ends: Whether the answer ends behind it.

        Returns:
            What may be given out.
        """
        self._text += text
        matches = [
            (at + len(stop), at, stop)
            for stop in self._stops
            for at in range(max(0, self._border - len(stop) + 1), self._border)
            if self._text.startswith(stop, at) and at + len(stop) > self._given
        ]
        if matches:
            end, at, self.found = min(matches)
            self.passed = True
            return self._text[self._given : end if self._includes else at]
        if ends or len(self._text) >= self._border + self._reach:
            self.passed = True
            return self._text[self._given :]
        return ""
