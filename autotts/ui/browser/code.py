"""Sources with highlighting, and the difference of two of them."""

from __future__ import annotations

import difflib

from rich.style import Style
from rich.syntax import Syntax
from rich.text import Span, Text

from autotts.sandbox.text import printable

__all__ = ["highlighted", "unified"]

CONTEXT = 3
"""Lines around a change."""

THEMES = {True: "ansi_dark", False: "default"}
"""Of Pygments, for a dark background and for a light one, on which the yellow of terminals cannot be read."""

COLOURED = 40_000
"""Characters up to which a source is shown with colours: of much longer ones they would take seconds."""

COMPARED = 5_000
"""Lines up to which two sources are compared."""

COMMON = 500
"""Lines above which those that come up again and again are no reason to call two places the same."""

_MARKS = {" ": "", "+": "green", "-": "red"}


def highlighted(source: str, dark: bool = True) -> list[Text]:
    """The lines of a Python source, with colours.

    Args:
        source: a program's; what does not print is replaced.
        dark: for a dark background.
    """
    if len(source) > COLOURED:
        shown = printable(source, newlines=True).expandtabs(4).split("\n")
        return [Text(line) for line in (shown[:-1] if source.endswith("\n") else shown)]
    syntax = Syntax("", "python", theme=THEMES[dark], background_color="default")
    text = syntax.highlight(printable(source, newlines=True).expandtabs(4))
    # Without a background of their own: the cursor, and what is around them, give them one.
    spans = [Span(s.start, s.end, _flat(s.style)) for s in text.spans if isinstance(s.style, Style)]
    lines = list(Text(text.plain, spans=spans).split("\n", allow_blank=True))
    wanted = source.count("\n") + (not source.endswith("\n"))
    return [*lines, *(Text() for _ in range(wanted - len(lines)))][:wanted]


def _flat(style: Style) -> Style:
    return Style(color=style.color, bold=style.bold, italic=style.italic, dim=style.dim)


def unified(before: str, after: str, dark: bool = True) -> list[Text]:
    """What was taken away (-) and added (+) between two sources, with line numbers, and lines around it."""
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > COMPARED:
        return [Text(f"sources of {len(old):,} and {len(new):,} lines are too long to be compared here: export both")]
    shown = {"-": highlighted(before, dark), "+": highlighted(after, dark)}
    lines: list[Text] = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=len(new) > COMMON).get_grouped_opcodes(CONTEXT):
        first, last = group[0], group[-1]
        lines.append(Text(f"@@ lines {first[1] + 1}–{last[2]} → {first[3] + 1}–{last[4]}", style="bold"))
        for tag, i, j, k, m in group:
            if tag == "equal":
                lines += [_line(" ", n + 1, n + 1 - i + k, shown["-"][n]) for n in range(i, min(j, len(shown["-"])))]
                continue
            lines += [_line("-", n + 1, None, shown["-"][n]) for n in range(i, min(j, len(shown["-"])))]
            lines += [_line("+", None, n + 1, shown["+"][n]) for n in range(k, min(m, len(shown["+"])))]
    return lines


def _lines(source: str) -> list[str]:
    return source.removesuffix("\n").split("\n")


def _line(sign: str, old: int | None, new: int | None, text: Text) -> Text:
    numbers = f"{'' if old is None else old:>4} {'' if new is None else new:>4} "
    line = Text(no_wrap=True).append(numbers, style="dim")
    line.append(f"{sign} ", style=f"bold {_MARKS[sign]}".strip())
    return line.append_text(text)
