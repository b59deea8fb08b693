"""The mark behind the arguments of what is no call, where a stream cannot say it in another way.

langchain-core sums chunks by reading their argument texts as JSON again, completing what is cut.
The mark is text that nothing can read, neither langchain-core nor our own call rules, so what is no
call stays none even where a step on the way drops all metadata.
"""

import re

_outside = re.compile(r'["{}\[\]]').search
_in_string = re.compile(r'"|\\.?', re.DOTALL).search


def invalid_mark(text: str) -> str:
    """Find what makes a text that was to be JSON unreadable for good.

    `parse_partial_json` of langchain-core closes what is open, and gives up only at a closing
    bracket that matches nothing. The call rules, for which closing brackets behind an object mean
    nothing, take any other character there for a contradiction.

    Args:
        text: The text so far, cut anywhere.

    Returns:
        The quotes that end an open string, a bracket that closes nothing in the text, and an
        exclamation mark; one more for every quote, so that `without_mark` knows them from the
        text's own.
    """
    stack: list[str] = []
    i, open_string, escaped = 0, False, False
    while found := (_in_string if open_string else _outside)(text, i):
        i = found.end()
        mark = found.group()
        if mark == '"':
            open_string = not open_string
        elif mark[0] == "\\":
            escaped = len(mark) == 1  # the text ends in the middle of an escape
        elif mark in "{[":
            stack.append(mark)
        elif stack:
            stack.pop()
    quotes = open_string + escaped
    bracket = "}" if stack and stack[-1] == "[" else "]"
    return '"' * quotes + bracket + "!" * (quotes + 1)


def without_mark(text: str) -> str:
    """Undo `invalid_mark`.

    Args:
        text: Arguments of an invalid call, marked or not.

    Returns:
        What the model wrote.
    """
    signs = len(text) - len(text.rstrip("!"))  # and before them as many quotes and brackets
    written = text[: -2 * signs or None]
    return written if signs and written + invalid_mark(written) == text else text


def without_end(piece: str) -> str:
    """Cut the mark off the last piece of a text.

    Args:
        piece: A piece that is known to end in a whole mark.

    Returns:
        What came before the mark, which a text of its own never begins with.
    """
    signs = len(piece) - len(piece.rstrip("!"))
    return piece[: -2 * signs or None]
