"""The branches of an episode as a grid: branches downwards, depth to the right, what each showed at each depth."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from autotts.replay import UNPARSED
from autotts.traces.frames import Frame, Played

__all__ = ["SIGNS", "BranchGrid", "letter"]

NAME = 4
SEEN, UNSEEN = "0123456789abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

FINISHED, PRUNED, SILENT, RUN, UNREAD = "▏", "✗", "·", "─", "?"
"""At a branch's end, where it was given up, where it went and nobody looked, where it was run through, ERR."""

SIGNS = (
    f"0…z an answer  A…Z one that the program never saw  underlined: the right one  {UNREAD} not parsed  "
    f"{SILENT} not looked at  {RUN} run through  {FINISHED} finished  {PRUNED} pruned"
)
"""What stands for what."""


def letter(label: str | None) -> str:
    """One character for an answer: a0 is 0, a10 is a; "unseen 1" is A; ? is one that could not be parsed."""
    if label is None:
        return SILENT
    if label == UNPARSED:
        return UNREAD
    letters, number = (SEEN, int(label[1:])) if label[1:].isdecimal() else (UNSEEN, int(label.split()[-1]) - 1)
    return letters[number] if number < len(letters) else "+"


class BranchGrid(ScrollView, can_focus=False):
    """An episode after some wave."""

    DEFAULT_CSS = """
    BranchGrid { height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .branches--name { color: $foreground; text-style: dim; }
        & > .branches--right { color: $text-success; text-style: bold underline; }
        & > .branches--other { color: $foreground; }
        & > .branches--faint { color: $foreground; text-style: dim; }
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
        self._cells: list[dict[int, str | None]] = []

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
        self._follow()
        self.refresh()

    def _follow(self) -> None:
        """Bring what the wave did into sight, where none of it is."""
        frame, inside = self.frame, self.scrollable_content_region.size
        if frame is None or not inside:
            return
        top, left, rows = self.scroll_offset.y, self.scroll_offset.x, inside.height - 1
        if not any(top <= member < top + rows for member in frame.members):
            self.scroll_to(y=max(0, min(frame.members[0], len(frame.branches) - rows)), animate=False)
        deepest = max(frame.branches[member].depth for member in frame.members)
        if not left < deepest <= left + inside.width - NAME - 1:
            self.scroll_to(x=max(0, deepest - inside.width // 2), animate=False)

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
        cells = sorted(self._cells[row].items())
        segments = [Segment(_sign(label), self._of(label, now and d == branch.depth)) for d, label in cells]
        ends = FINISHED if branch.finished else PRUNED if branch.pruned else ""
        segments.append(Segment(ends, self._style("pruned" if branch.pruned else "faint")))
        return Strip([head, *Strip(segments).crop(at, at + width)]).adjust_cell_length(width, self.rich_style)

    def _of(self, label: str | None, now: bool) -> Style:
        """How a cell is drawn; `now` is where a member of the wave has come to."""
        assert self._played is not None
        faint = label in (None, RUN, UNPARSED)
        style = self._style("right" if self._played.is_right(label) else "faint" if faint else "other")
        return style + self._style("now") if now else style

    def _style(self, name: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"branches--{name}", partial=True)


def _sign(label: str | None) -> str:
    return RUN if label == RUN else letter(label)


def cells_after(played: Played, wave: int) -> list[dict[int, str | None]]:
    """For each branch, what it showed at each depth (from 1) after a wave.

    That is a label, None where nobody looked, `RUN` where it was run through without a stop.
    """
    cells: list[dict[int, str | None]] = [{} for _ in (played.frames[-1].branches if played.frames else ())]
    for frame in played.frames[:wave]:
        for i, shown in zip(frame.members, frame.shown, strict=True):
            depth, own = frame.branches[i].depth, cells[i]
            for d in range(1, depth):
                own.setdefault(d, RUN)
            if frame.action != "prune":
                own[depth] = shown
    return cells
