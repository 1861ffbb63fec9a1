"""The branches of an episode as a grid: branches downwards, depth to the right, what each showed at each depth."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from autotts.replay import UNPARSED
from autotts.traces.frames import Frame, Played

__all__ = ["BranchGrid", "letter"]

NAME = 4
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"

FINISHED, PRUNED, SILENT, RUN, UNREAD = "▏", "✗", "·", "─", "?"
"""At a branch's end, where it was given up, where it went and nobody looked, where it was run through, ERR."""


def letter(label: str | None) -> str:
    """One character for an answer: a0 is 0, a10 is a; ? is one that could not be parsed."""
    if label is None:
        return SILENT
    if label == UNPARSED:
        return UNREAD
    number = int(label[1:]) if label[1:].isdecimal() else len(LETTERS)
    return LETTERS[number] if number < len(LETTERS) else "+"


class BranchGrid(ScrollView, can_focus=False):
    """An episode after some wave."""

    DEFAULT_CSS = """
    BranchGrid { height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .branches--name { color: $text-muted; }
        & > .branches--right { color: $text-success; text-style: bold; }
        & > .branches--other { color: $foreground; }
        & > .branches--faint { color: $foreground-darken-3; }
        & > .branches--pruned { color: $text-error; text-style: bold; }
        & > .branches--now { text-style: reverse; }
    }
    """

    COMPONENT_CLASSES = {  # noqa: RUF012
        "branches--name",
        "branches--right",
        "branches--other",
        "branches--faint",
        "branches--pruned",
        "branches--now",
    }

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._played: Played | None = None
        self._wave = 0
        self._cells: list[dict[int, str]] = []

    def show(self, played: Played | None) -> None:
        """Show another episode, before its first wave."""
        self._played, self._wave = played, 0
        depth = 0
        if played and played.frames:
            depth = max(branch.depth for branch in played.frames[-1].branches)
        branches = len(played.frames[-1].branches) if played and played.frames else 0
        self.virtual_size = Size(NAME + depth + 3, branches + 1)
        self.scroll_to(0, 0, animate=False)
        self.go_to(0)

    def go_to(self, wave: int) -> None:
        """Show the state after a wave; 0 is before the first."""
        self._wave = wave
        self._cells = cells_after(self._played, wave) if self._played else []
        self.refresh()

    @property
    def frame(self) -> Frame | None:
        """The wave that is shown, None before the first."""
        return self._played.frames[self._wave - 1] if self._played and self._wave else None

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the depths stay on top."""
        width, at = self.size.width, self.scroll_offset.x
        row, frame = y - 1 + self.scroll_offset.y, self.frame
        name = self._style("name")
        if y == 0:
            depths = "".join(f"{d:<5}" for d in range(0, 1000, 5))[1:]
            return Strip([Segment(f"{'':{NAME}}" + depths[at : at + width], name)]).adjust_cell_length(width, name)
        if self._played is None or frame is None or row >= len(frame.branches):
            return Strip.blank(width, self.rich_style)
        branch, now = frame.branches[row], row in frame.members
        head = Segment(f"{row:>{NAME - 1}} ", name + self._style("now") if now else name)
        segments = [Segment(text, self._of(text, d, branch.depth, now)) for d, text in sorted(self._cells[row].items())]
        ends = FINISHED if branch.finished else PRUNED if branch.pruned else ""
        segments.append(Segment(ends, self._style("pruned" if branch.pruned else "faint")))
        return Strip([head, *Strip(segments).crop(at, at + width)]).adjust_cell_length(width, self.rich_style)

    def _of(self, text: str, depth: int, latest: int, now: bool) -> Style:
        assert self._played is not None
        gold = self._played.gold
        kind = "faint" if text in (SILENT, RUN, UNREAD) else "right" if gold and text == letter(gold) else "other"
        style = self._style(kind)
        return style + self._style("now") if now and depth == latest else style

    def _style(self, name: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"branches--{name}", partial=True)


def cells_after(played: Played, wave: int) -> list[dict[int, str]]:
    """For each branch, what stands at each depth (from 1) after a wave."""
    cells: list[dict[int, str]] = [{} for _ in (played.frames[-1].branches if played.frames else ())]
    for frame in played.frames[:wave]:
        for i, shown in zip(frame.members, frame.shown, strict=True):
            depth, own = frame.branches[i].depth, cells[i]
            for d in range(1, depth):
                own.setdefault(d, RUN)
            if frame.action != "prune":
                own[depth] = letter(shown)
    return cells
