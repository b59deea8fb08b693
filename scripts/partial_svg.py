"""Draw docs/partial.svg: fields that fill in while a call is written, as the parser shows them.

`python -m scripts.partial_svg` writes it; a unit test holds the file against what this draws. The
movie is CSS: no script, no request to anywhere, light and dark, and still for whoever wants that.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.sax.saxutils import escape

from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel

from langchain_toolstream import PartialToolsParser, ToolCallView

FILE = Path(__file__).parent.parent / "docs" / "partial.svg"

WRITTEN = (
    '{"guests": [{"name": "Ada", "born": "1815-12-10"}, {"name": "Alan", "born": "1912-06-23"}], '
    '"seats": 12, "greeting": "Welcome to tea."}'
)
PIECE = 4
SECONDS, PAUSE = 0.3, 10  # for each piece; how many of these the last picture stays
WIDTH, HEIGHT, LEFT, RIGHT, TOP, LINE = 780, 270, 20, 370, 62, 20
COLUMNS = 42

STYLE = """
.pv{--paper:#fbfbf9;--ink:#1d2021;--soft:#667075;--open:#d97706;--done:#0f766e}
@media(prefers-color-scheme:dark){
.pv{--paper:#16181a;--ink:#e7e7e2;--soft:#979da0;--open:#fbbf24;--done:#4fd1c5}}
.pv text{font:13px ui-monospace,SFMono-Regular,Menlo,monospace;fill:var(--ink);white-space:pre}
.pv .soft{fill:var(--soft)}.pv .open{fill:var(--open)}.pv .done{fill:var(--done)}
.pv .paper{fill:var(--paper)}.pv .then{visibility:hidden}
@media(prefers-reduced-motion:reduce){.pv .then,.pv .last{animation:none!important}}
"""


class Person(BaseModel):
    """Somebody."""

    name: str
    born: date


class Guests(BaseModel):
    """Invite guests."""

    guests: list[Person]
    seats: int
    greeting: str = "Hello!"


def chunk(args: str, *, first: bool = False) -> AIMessageChunk:
    """Make a model's chunk."""
    head = {"id": "call_1", "name": "Guests"} if first else {"id": None, "name": None}
    return AIMessageChunk(content="", tool_call_chunks=[{"index": 0, "args": args, **head}])


def moments() -> list[tuple[str, ToolCallView]]:
    """What has been written, and the last view of it, after each piece and at the end."""
    written: list[str] = []

    def chunks() -> Iterator[AIMessageChunk]:
        yield chunk("", first=True)
        for start in range(0, len(WRITTEN), PIECE):
            written.append(WRITTEN[start : start + PIECE])
            yield chunk(written[-1])
        written.append("")

    views = {len(written): view for view in PartialToolsParser([Guests]).transform(chunks())}
    first, *_, last = views
    found: list[tuple[str, ToolCallView]] = []
    for count in range(first, last + 1):
        view = views.get(count) or found[-1][1]
        found.append(("".join(written[:count]), view))
    return found


def rows(value: Any, name: str, path: tuple[Any, ...], view: ToolCallView) -> Iterator[str]:
    """The lines of a value, each with its class before it."""
    state = "done" if path in view.finished else "open"
    indent = "  " * len(path)
    if isinstance(value, BaseModel):
        yield f"soft {indent}{name}{type(value).__name__}"
        for field, inner in vars(value).items():
            yield from rows(inner, f"{field} = ", (*path, field), view)
    elif isinstance(value, list):
        yield f"soft {indent}{name}list"
        for number, inner in enumerate(value):
            yield from rows(inner, "", (*path, number), view)
    else:
        shown = str(value) if isinstance(value, date) else repr(value)
        yield f"{state} {indent}{name}{shown}"


def lines(so_far: str, view: ToolCallView) -> dict[tuple[int, int], str]:
    """What stands where, at a moment."""
    found: dict[tuple[int, int], str] = {}
    whole = wrap(WRITTEN, COLUMNS, drop_whitespace=False)
    for number, line in enumerate(whole):
        before = sum(map(len, whole[:number]))
        found[LEFT, TOP + LINE * number] = f"soft {so_far[before : before + len(line)]}"
    for number, row in enumerate(rows(view.model, "", (), view)):
        found[RIGHT, TOP + LINE * number] = row
    if view.tool_call:
        found[LEFT, HEIGHT - 20] = "done view.tool_call: the call may run"
    return found


def draw() -> str:
    """Draw the movie.

    Returns:
        The text of an SVG file.
    """
    pictures = [lines(so_far, view) for so_far, view in moments()]
    count = len(pictures) + PAUSE
    rules: list[str] = []
    texts: list[str] = []
    for place in sorted({place for picture in pictures for place in picture}):
        shown = [picture.get(place, "soft ") for picture in pictures]
        changes = [n for n, text in enumerate(shown) if n == 0 or text != shown[n - 1]]
        for start, stop in zip(changes, [*changes[1:], None], strict=True):
            kind, _, text = shown[start].partition(" ")
            if not text.strip():
                continue
            name = f"t{len(rules)}"
            end = "" if stop is None else f"{100 * stop / count:.2f}%{{visibility:hidden}}"
            begin = f"{100 * start / count:.2f}%{{visibility:visible}}"
            hidden = "0%{visibility:hidden}" if start else ""
            rules.append(f"@keyframes {name}{{{hidden}{begin}{end}}}")
            when = "last" if stop is None else "then"
            texts.append(
                f'<text x="{place[0]}" y="{place[1]}" class="{kind} {when}" '
                f'style="animation:{name} {count * SECONDS:.1f}s step-end infinite">'
                f"{escape(text)}</text>"
            )
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="pv" {size} role="img">',
            "<title>The fields of a call fill in while the model writes it</title>",
            f"<style>{STYLE}{chr(10).join(rules)}</style>",
            '<rect class="paper" width="100%" height="100%" rx="6"/>',
            f'<text x="{LEFT}" y="30">what the model has written</text>',
            f'<text x="{RIGHT}" y="30">view.model</text>',
            *texts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
