"""A program's episode on the screen: its grid, and what is told of the wave that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from autotts.evaluation import EpisodeTrace, Note
from autotts.traces.frames import AnswerVotes, Frame, Played, played
from autotts.ui.browser.branches import BranchGrid, letter
from autotts.ui.browser.desk import Traced
from autotts.ui.browser.view import plain

__all__ = ["Role", "Stage"]

BAR = 16
"""Cells of the longest bar of votes."""

ANSWER = 24
"""Characters of an answer that are shown."""

VOTED, VOTING = "█", "▒"
"""A vote of a finished branch, and of one that is not."""


@dataclass(frozen=True)
class Role:
    """An episode that can be looked at.

    Attributes:
        hash, name: of the program.
        traced: what it did.
        trace: the episode.
    """

    hash: str
    name: str
    traced: Traced
    trace: EpisodeTrace


class Stage(Vertical):
    """A program's name, its grid, and what is told of the wave: below the grid, or beside it (class "beside")."""

    DEFAULT_CSS = """
    Stage { width: 1fr; }
    Stage > .title { height: 1; padding: 0 1; text-style: bold; }
    Stage > .body { height: 1fr; layout: vertical; }
    Stage .panel { height: 10; padding: 0 1; border-top: solid $panel; scrollbar-size-vertical: 1; }
    Stage.tall .panel { height: 18; }
    Stage .told { text-wrap: nowrap; text-overflow: ellipsis; }
    Stage .notes { color: $text-muted; }
    Stage.beside > .body { layout: horizontal; }
    Stage.beside .panel { width: 72; height: 1fr; border-top: none; border-left: solid $panel; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.role: Role | None = None
        self.played: Played | None = None
        self.wave = 0

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(classes="title")
        with Container(classes="body"):
            yield BranchGrid()
            with VerticalScroll(classes="panel", can_focus=False):
                yield Static(classes="told")
                yield Static(classes="notes")

    def show(self, role: Role | None, wave: int = 0) -> None:
        """Show an episode after a wave, None for an empty stage."""
        self.role = role
        self.played = played(role.trace, role.traced.evaluator.environments) if role else None
        self.query_one(BranchGrid).show(self.played)
        self.go_to(wave)
        self.entitle("")

    def entitle(self, doing: str) -> None:
        """Say whose episode it is, and how it is shown."""
        trace = self.role.trace if self.role else None
        title = f"{self.role.name}  β {trace.beta:g}, seed {trace.seed}   {doing}" if self.role and trace else doing
        self.query_one(".title", Static).update(plain(title))

    @property
    def waves(self) -> int:
        """How many there are."""
        return len(self.played.frames) if self.played else 0

    def go_to(self, wave: int) -> None:
        """Show the state after a wave, 0 before the first."""
        self.wave = max(0, min(wave, self.waves))
        self.query_one(BranchGrid).go_to(self.wave)
        told, notes = Text(), Text()
        if self.role and self.played:
            told = _told(self.role, self.played, self.wave)
            notes = _notes(self.played, self.wave)
        self.query_one(".told", Static).update(told)
        self.query_one(".notes", Static).update(notes)

    def tokens_at(self, wave: int) -> int:
        """What is spent after a wave."""
        return self.played.frames[min(wave, self.waves) - 1].tokens if self.played and self.waves and wave else 0

    def wave_at(self, tokens: int) -> int:
        """The last wave that ends within so many tokens."""
        frames = self.played.frames if self.played else ()
        return sum(frame.tokens <= tokens for frame in frames)


def _told(role: Role, shown: Played, wave: int) -> Text:
    """What there is to say of a wave: what was done, how it ended where it ended, and who has the votes."""
    lines: list[Text] = []
    if wave:
        frame = shown.frames[wave - 1]
        lines += [_head(shown, frame), _state(frame), *_asked_for(role, frame)]
    else:
        lines.append(Text(f"before the first of {len(shown.frames)} waves", style="bold"))
    lines += _ended(shown) if wave == len(shown.frames) else [_right(shown)]
    if wave:
        most = max((votes.votes for votes in frame.votes), default=0)
        lines += [_votes(shown, votes, most) for votes in frame.votes]
    return Text("\n").join(lines)


def _head(shown: Played, frame: Frame) -> Text:
    text = Text().append(f"wave {frame.wave} of {len(shown.frames)}  ", style="bold")
    members = f"branch {frame.members[0]}" if len(frame.members) == 1 else f"{len(frame.members)} branches"
    text.append(f"{frame.action} {members}: {frame.cost:,} tokens")
    return text.append(f", the longest {frame.sequential_cost:,}" if len(frame.members) > 1 and frame.cost else "")


def _state(frame: Frame) -> Text:
    finished = sum(branch.finished for branch in frame.branches)
    pruned = sum(branch.pruned for branch in frame.branches)
    active = len(frame.branches) - finished - pruned
    return Text(
        f"tokens {frame.tokens:,}, sequential {frame.sequential_tokens:,}; "
        f"{active} active, {finished} finished, {pruned} pruned"
    )


def _asked_for(role: Role, frame: Frame) -> list[Text]:
    """The line of the program."""
    if frame.line is None:
        return []
    lines = role.traced.program.source.split("\n")
    source = lines[frame.line - 1].strip() if frame.line <= len(lines) else ""
    return [plain(f"line {frame.line}: {source}", "dim")]


def _answer(shown: Played, label: str | None) -> str:
    """An answer's letter, and what was written."""
    if label is None:
        return "nothing"
    text = shown.texts.get(label, "")
    return f"{letter(label)} ({text[: ANSWER - 1] + '…' if len(text) > ANSWER else text})" if text else letter(label)


def _right(shown: Played) -> Text:
    right = f"right is {_answer(shown, shown.gold)}" if shown.gold else "no recorded branch comes to the right answer"
    return plain(f"{right}; pass@1 {100 * shown.solvable:.0f} %")


def _ended(shown: Played) -> list[Text]:
    """How it ended, and where the pool would have."""
    at = f" at line {shown.line}" if shown.line else ""
    sign, verdict = ("✓", "right") if shown.right else ("✗", "wrong")
    kind = f", {shown.kind}" if shown.kind != verdict else ""
    lines = [plain(f"{sign} returned {_answer(shown, shown.answer)}{at}: {verdict}{kind}", "bold"), _right(shown)]
    for what, label in (("the whole pool", shown.pool), ("plain self-consistency, same tokens", shown.plain)):
        sign, verdict = ("✓", "right") if shown.is_right(label) else ("✗", "wrong")
        lines.append(plain(f"{sign} {what}: {_answer(shown, label)}, {verdict}"))
    return lines


def _votes(shown: Played, votes: AnswerVotes, most: int) -> Text:
    """How many votes an answer has, as a bar: first those of finished branches."""
    whole, done = (round(BAR * n / most) for n in (votes.votes, votes.finished))
    bar = VOTED * done + VOTING * max(0 if done else 1, whole - done)
    right = shown.is_right(votes.label)
    text = f"{letter(votes.label)} {bar:<{BAR}} {votes.votes:>2}, {votes.finished:>2} finished"
    line = plain(f"{text}  {shown.texts.get(votes.label, '')[:ANSWER]}{' ✓' if right else ''}")
    line.stylize("bold" if right else "")
    return line


def _notes(shown: Played, wave: int) -> Text:
    """What the program noted, and how much of it was not kept."""
    notes: Sequence[Note] = shown.frames[wave - 1].notes if wave else shown.notes
    lines = [f"noted: {note.name} = {note.value}" for note in notes]
    if shown.notes_left_out and wave == len(shown.frames):
        lines.append(f"{shown.notes_left_out:,} more notes were not kept")
    return plain("\n".join(lines))
