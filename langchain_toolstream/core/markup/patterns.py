"""What a piece of markup looks like, and whether a text that goes on may still become it.

A `Pattern` is a line of markup with holes. `~` is optional white space, `^` ends what is taken (the
rest is only looked at), and `{name}` is a hole; `HOLES` lists them. Everything else stands for
itself.

```text
<tool_call>~^<function=      the marker of a call, before its first tag
<parameter={key}>            a tag with the parameter's name
```

Regular expressions cannot say "so far, so good". Each pattern therefore has two: one for the whole,
and one for its beginnings.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

SPACE = " \t\r\n"

HOLES: Final = {
    "name": r"[^\n<>\"]{1,256}",  # of a tool, as an attribute or before a tag
    "key": r"[^\n<>\"]{1,1000}",  # of a parameter
    "word": r"\w[^\n<>\[\]{}()|]{0,63}",  # a tool's name where prose may stand too
    "function": r"[A-Za-z_][\w.\-]{0,127}",  # a tool's name where only an identifier may stand
    "argument": r"[A-Za-z_][\w.\-]{0,127}",  # a keyword
    "bare": r"[^\n<>\"{}\[\],:]{1,256}",  # a name or key before a colon or a brace
    "id": r"[^\s<>\[\]{}\"]{1,256}",
    "type": r"[a-z]{1,16}",
    "attributes": r"[^\n<>]{1,1500}",
    "suffix": r"(?::[0-9A-Za-z]{1,32})?",  # the same at every tag of a call
    "quoted": r"[^\n\"\\]{1,256}",  # a JSON string without escapes
}
_SPACES = r"[ \t\r\n]{0,200}"
_split = re.compile(r"(~|\^|\{(?:" + "|".join(HOLES) + r")\})").split


def _beginnings(literal: str) -> str:
    """Match any beginning of a text, the empty one included."""
    return "(?:" + "|".join(re.escape(literal[:n]) for n in range(len(literal), 0, -1)) + "|)"


class Pattern:
    """A line of markup with holes."""

    __slots__ = ("_beginning", "_whole", "head", "template")

    def __init__(self, template: str) -> None:
        """Compile the two expressions."""
        self.template = template
        whole, beginnings, before = "(?P<taken>", [], ""
        seen: set[str] = set()
        parts = [part for part in _split(template) if part]
        self.head = parts[0] if parts[0] != "^" else parts[1]
        """The literal text that it begins with; a hole or white space if there is none."""
        for part in parts:
            if part == "^":
                whole += ")(?="
                continue
            if part == "~":
                beginnings.append(before + _SPACES)
                here = _SPACES
            elif part[0] == "{" and (hole := part[1:-1]) in HOLES:
                here = f"(?P={hole})" if hole in seen else f"(?P<{hole}>{HOLES[hole]})"
                if hole == "suffix":
                    beginnings.append(before + ":")
                seen.add(hole)
                beginnings.append(before + f"(?:{HOLES[hole]})?")
            else:
                here = re.escape(part)
                beginnings.append(before + _beginnings(part))
            whole += here
            before += here
        self._whole = re.compile(whole + ")").match
        self._beginning = re.compile("|".join(_anonymous(one) for one in beginnings)).fullmatch

    def match(self, text: str, at: int) -> re.Match[str] | None:
        """Match at a place; group `taken` is what is taken."""
        return self._whole(text, at)

    def may_become(self, text: str, at: int) -> bool:
        """Whether the text from there to its end is a beginning."""
        return self._beginning(text, at) is not None


def _anonymous(expression: str) -> str:
    """Take the names off the groups of an expression that is one of several."""
    for hole, meaning in HOLES.items():
        expression = expression.replace(f"(?P<{hole}>", "(?:").replace(f"(?P={hole})", meaning)
    return expression


@lru_cache(maxsize=1024)
def pattern(template: str) -> Pattern:
    """Make a pattern, or find it made."""
    return Pattern(template)


def finder(heads: Iterable[str]) -> re.Pattern[str]:
    """Find the first place where one of these texts stands, or may come to stand.

    Args:
        heads: What to look for.

    Returns:
        An expression to search with. Its group `whole` says that all of the text is there.
    """
    unique = sorted(set(heads), key=len, reverse=True)
    whole = "|".join(re.escape(head) for head in unique)
    cut = "|".join(
        re.escape(beginning)
        for beginning in sorted(
            {head[:n] for head in unique for n in range(1, len(head))}, key=len, reverse=True
        )
    )
    return re.compile(f"(?P<whole>{whole})" + (rf"|(?:{cut})\Z" if cut else ""))


@lru_cache(maxsize=256)
def closing(
    template: str, *, newline: bool = False, openers: tuple[str, ...] = ()
) -> re.Pattern[str]:
    """Find where a value ends.

    Args:
        template: The closing tag: a literal, in which `~` is optional white space.
        newline: Whether a line end before the tag belongs to it.
        openers: How tags begin that open another such value.

    Returns:
        An expression to search with, as `finder` makes it. Its group `opener` says that an opener
        may stand there.
    """
    parts = [part for part in _split(template) if part]
    whole = before = r"\n?" if newline else ""
    beginnings = [r"\n"] if newline else []
    for part in parts:
        if part == "~":
            beginnings.append(before + "[ \t\r\n]{1,200}")
            here = _SPACES
        else:
            beginnings += [
                before + re.escape(part[:n]) for n in range(len(part) - (part is parts[-1]), 0, -1)
            ]
            here = re.escape(part)
        whole += here
        before += here
    heads = "|".join(map(re.escape, openers))
    beginnings += [re.escape(one[:n]) for one in openers for n in range(len(one) - 1, 0, -1)]
    return re.compile(
        f"(?P<whole>{whole})"
        + (f"|(?P<opener>{heads})" if heads else "")
        + rf"|(?:{'|'.join(beginnings)})\Z"
    )
