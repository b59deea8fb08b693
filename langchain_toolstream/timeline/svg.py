"""A run as an SVG image: no script, no request to anywhere, light and dark."""

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from langchain_toolstream.timeline.path import critical_path
from langchain_toolstream.timeline.run import Call, Message, Run
from langchain_toolstream.timeline.text import outcome, summary

_STYLE = (
    ".tst{--paper:#fbfbf9;--ink:#1d2021;--soft:#667075;--line:#dfe1dc;--model:#8a9399;"
    "--writing:#9cc9c4;--running:#0f766e;--bad:#b42318;--path:#d97706}"
    "@media(prefers-color-scheme:dark){.tst{--paper:#16181a;--ink:#e7e7e2;--soft:#979da0;"
    "--line:#34383b;--model:#6c7478;--writing:#35605c;--running:#4fd1c5;--bad:#ff8a7a;"
    "--path:#fbbf24}}"
    ".tst text{font:12px ui-monospace,SFMono-Regular,Menlo,monospace;fill:var(--ink)}"
    ".tst .soft{fill:var(--soft)}.tst .bad{fill:var(--bad)}.tst .paper{fill:var(--paper)}"
    ".tst .line{stroke:var(--line)}.tst .model{fill:var(--model)}"
    ".tst .writing{fill:var(--writing)}.tst .running{fill:var(--running)}"
    ".tst .path{fill:var(--path)}"
)
_CHARACTER = 7.3  # width of one in 12 px monospace; a fallback font is hardly wider
_ROW = 26
_BAR = 14
_PAD = 16
_LABEL = 34
_OUTCOME = 16
_LINE = 18
_TICKS = 8


def draw_svg(run: Run, width: int) -> str:
    """Draw a run.

    Args:
        run: What happened.
        width: Of the image, in pixels.

    Returns:
        The text of an SVG file, the same for the same run.
    """
    return "".join(_Drawing(run, width).lines())


class _Drawing:
    def __init__(self, run: Run, width: int) -> None:
        self._run = run
        self._width = width
        self._end = max(run.end, 0.001)
        self._rows = run.rows()
        room = max((len(row.label(_LABEL)) for row in self._rows), default=0)
        self._left = _PAD * 2 + _CHARACTER * room
        self._right = max(width - _PAD - _CHARACTER * _OUTCOME, self._left + 100)
        self._path = critical_path(run)

    def lines(self) -> Iterator[str]:
        said = summary(self._run)
        bottom = _PAD + _LINE + _ROW * len(self._rows)
        height = bottom + _LINE * (len(said) + 1) + _PAD
        title = escape(f"Timeline of {len(self._run.calls)} calls, {self._end:.2f} s")
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tst" width="{self._width}" '
            f'height="{height}" viewBox="0 0 {self._width} {height}" role="img">'
            f"<title>{title}</title><style>{_STYLE}</style>"
            '<rect class="paper" width="100%" height="100%" rx="6"/>\n'
        )
        yield from self._scale(bottom)
        for number, row in enumerate(self._rows):
            top = _PAD + _LINE + _ROW * number
            yield from self._message(row, top) if isinstance(row, Message) else self._call(row, top)
        yield from self._legend(bottom + _LINE)
        for number, sentence in enumerate(said):
            yield _text(_PAD, bottom + _LINE * (number + 2), sentence, "soft")
        yield "</svg>\n"

    def _x(self, at: float) -> float:
        return self._left + (self._right - self._left) * min(max(at / self._end, 0.0), 1.0)

    def _scale(self, bottom: float) -> Iterator[str]:
        step = _nice(self._end / _TICKS)
        digits = max(0, -math.floor(math.log10(step)))
        for number in range(int(self._end / step + 1e-9) + 1):
            x = self._x(number * step)
            yield (
                f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{_PAD + _LINE - 4}" '
                f'y2="{bottom:.1f}"/>'
            )
            unit = " s" if number == 0 else ""
            yield _text(x, _PAD + 8, f"{number * step:.{digits}f}{unit}", "soft", anchor="middle")

    def _message(self, message: Message, top: float) -> Iterator[str]:
        yield _text(_PAD, top + _BAR - 3, message.label(_LABEL))
        yield self._bar("model", message.first, message.last, top, f"{message.name} writes")
        yield from self._critical(message, top)
        if message.error:
            yield self._outcome("broken off", top, message.error, bad=True)

    def _call(self, call: Call, top: float) -> Iterator[str]:
        yield _text(_PAD, top + _BAR - 3, call.label(_LABEL))
        if call.message is not None:
            yield self._bar("writing", call.begun, call.written, top, f"{call.name} is written")
        if ran := self._run.ran(call):
            yield self._bar("running", *ran, top, f"{call.name} runs")
        yield from self._critical(call, top)
        yield self._outcome(
            outcome(call), top, call.reason, bad=call.outcome in ("error", "invalid")
        )

    def _bar(self, kind: str, start: float, stop: float, top: float, what: str) -> str:
        x = self._x(start)
        return (
            f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" '
            f'width="{max(self._x(stop) - x, 2):.1f}" height="{_BAR}" rx="2">'
            f"<title>{escape(_printable(what))}: {start:.2f} to {stop:.2f} s</title></rect>\n"
        )

    def _critical(self, of: Message | Call, top: float) -> Iterator[str]:
        for step in self._path:
            if step.of is of:
                x = self._x(step.start)
                yield (
                    f'<rect class="path" x="{x:.1f}" y="{top + _BAR + 2:.1f}" '
                    f'width="{max(self._x(step.stop) - x, 2):.1f}" height="2.5"/>\n'
                )

    def _outcome(self, words: str, top: float, reason: str, *, bad: bool) -> str:
        return _text(self._right + 8, top + _BAR - 3, words, "bad" if bad else "soft", title=reason)

    def _legend(self, y: float) -> Iterator[str]:
        x: float = _PAD
        for kind, words in (
            ("model", "the model writes"),
            ("writing", "a call is written"),
            ("running", "its tool runs"),
            ("path", "what the run waited for"),
        ):
            height = 2.5 if kind == "path" else 9
            yield (
                f'<rect class="{kind}" x="{x:.1f}" y="{y - 4 - height / 2:.1f}" width="12" '
                f'height="{height}"/>'
            )
            yield _text(x + 17, y, words, "soft")
            x += 17 + _CHARACTER * (len(words) + 2)


def _text(  # noqa: PLR0913 - where, what and how
    x: float, y: float, words: str, kind: str = "", *, anchor: str = "", title: str = ""
) -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    inside = f"<title>{escape(_printable(title))}</title>" if title else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{inside}{escape(_printable(words))}</text>\n'


def _printable(text: str) -> str:
    """Without what XML cannot hold: control characters and half characters."""
    return "".join(one if one.isprintable() else " " for one in text)


def _nice(step: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step - 1e-12)
