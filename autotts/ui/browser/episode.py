"""One episode, wave by wave; beside it the same episode of another program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from autotts.evaluation import EpisodeTrace, Note
from autotts.traces import episode
from autotts.traces.frames import Frame, Played, played
from autotts.ui.browser.branches import FINISHED, PRUNED, RUN, SILENT, BranchGrid, letter
from autotts.ui.browser.choosing import ChoiceDialog
from autotts.ui.browser.desk import Traced
from autotts.ui.browser.view import Exported, View, plain

__all__ = ["EpisodeView", "Role"]

SPEEDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds that a wave is shown for."""

BAR = 14
BETAS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


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
    """A program's name, its grid, and what is told of the wave."""

    DEFAULT_CSS = """
    Stage { width: 1fr; }
    Stage > .title { height: 1; padding: 0 1; text-style: bold; }
    Stage > .panel { height: 9; padding: 0 1; border-top: solid $panel; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.role: Role | None = None
        self.played: Played | None = None
        self.wave = 0

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(classes="title")
        yield BranchGrid()
        with VerticalScroll(classes="panel", can_focus=False):
            yield Static(classes="told")

    def show(self, role: Role | None, wave: int = 0) -> None:
        """Show an episode, None for an empty stage."""
        self.role = role
        self.played = played(role.trace, role.traced.evaluator.environments) if role else None
        title = f"{role.name}  β {role.trace.beta:g}, seed {role.trace.seed}" if role else ""
        self.query_one(".title", Static).update(plain(title))
        self.query_one(BranchGrid).show(self.played)
        self.go_to(wave)

    @property
    def waves(self) -> int:
        """How many there are."""
        return len(self.played.frames) if self.played else 0

    def go_to(self, wave: int) -> None:
        """Show the state after a wave, 0 before the first."""
        self.wave = max(0, min(wave, self.waves))
        self.query_one(BranchGrid).go_to(self.wave)
        told = self.query_one(".told", Static)
        told.update(_told(self.role, self.played, self.wave) if self.role and self.played else "")

    def wave_at(self, tokens: int) -> int:
        """The last wave that ends within so many tokens."""
        frames = self.played.frames if self.played else ()
        return sum(frame.tokens <= tokens for frame in frames)


class EpisodeView(View):
    """One episode step by step.

    Args:
        roles: the episodes of the list that it was opened from.
        at: which of them is shown first.
    """

    place = "Episodes"

    DEFAULT_CSS = """
    EpisodeView > #stages { height: 1fr; }
    EpisodeView #other { display: none; border-left: solid $panel; }
    EpisodeView.both.wide #other { display: block; }
    EpisodeView.both.turned #other { display: block; border-left: none; }
    EpisodeView.both.turned #own { display: none; }
    EpisodeView > #signs { height: 1; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Wave back", show=False),
        Binding("right,l", "step(1)", "Wave on", show=False),
        Binding("home,g", "to_end(False)", "Before the first wave", show=False),
        Binding("end,G", "to_end(True)", "The last wave", show=False),
        Binding("up,k", "scroll_branches(-1)", "Scroll up", show=False),
        Binding("down,j", "scroll_branches(1)", "Scroll down", show=False),
        Binding("space", "play", "Play"),
        Binding("plus,equals_sign", "speed(-1)", "Faster", key_display="+", show=False),
        Binding("minus", "speed(1)", "Slower", key_display="-", show=False),
        Binding("n", "episode(1)", "Next"),
        Binding("p", "episode(-1)", "Previous", show=False),
        Binding("b", "beta", "β"),
        Binding("w", "beside", "Beside another"),
        Binding("m", "matched", "By waves or tokens", show=False),
    ]

    def __init__(self, roles: Sequence[Role], at: int) -> None:
        super().__init__()
        self._roles = list(roles)
        self._at = at
        self._timer: Timer | None = None
        self._speed = 2
        self._by_tokens = False

    def compose_body(self) -> ComposeResult:
        """The stages."""
        with Horizontal(id="stages"):
            yield Stage("own")
            yield Stage("other")
        signs = f"0, 1, …: answers a0, a1, …   ?: not parsed   {SILENT} not looked at   {RUN} run through   "
        yield Static(f"{signs}{FINISHED} finished   {PRUNED} pruned", id="signs")

    @property
    def own(self) -> Stage:
        """The episode that was opened."""
        return self.query_one("#own", Stage)

    @property
    def other(self) -> Stage:
        """The same episode of another program."""
        return self.query_one("#other", Stage)

    def on_mount(self) -> None:
        """Show the episode from its end: how it came to be is what the keys are for."""
        self._open(self._at)

    def on_resize(self) -> None:
        """Beside each other where there is room."""
        self.set_class(self.size.width >= 120, "wide")
        super().on_resize()

    def where(self) -> str:
        """Which question, asked whom."""
        shown = self.own.played
        return f"{shown.question} ▸ {shown.environment}" if shown else ""

    def _open(self, at: int) -> None:
        self._at = at % len(self._roles)
        self.own.show(self._roles[self._at], 10**9)
        if (beside := self.other.role) is not None:
            self._beside(beside.hash)
        self.draw_bar()

    # ---- what keys do ------------------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """A wave back or on, in both."""
        self._go_to(self.own.wave + by)

    def action_to_end(self, last: bool) -> None:
        """Before the first wave, or after the last."""
        self._go_to(max(self.own.waves, self.other.waves) if last else 0)

    def _go_to(self, wave: int) -> None:
        self.own.go_to(wave)
        frame = self.own.query_one(BranchGrid).frame
        if self._by_tokens and frame is not None:
            self.other.go_to(self.other.wave_at(frame.tokens))
        else:
            self.other.go_to(wave)

    def action_scroll_branches(self, by: int) -> None:
        """Scroll the branches."""
        for grid in self.query(BranchGrid):
            grid.scroll_relative(y=by, animate=False)

    def action_play(self) -> None:
        """Play it wave by wave, from the start where it is at its end; stop where it plays."""
        if self._timer is not None:
            self._stop()
            return
        if self.own.wave >= self.own.waves:
            self._go_to(0)
        self._timer = self.set_interval(SPEEDS[self._speed], self._tick)

    def _tick(self) -> None:
        self._go_to(self.own.wave + 1)
        if self.own.wave >= self.own.waves:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def action_speed(self, by: int) -> None:
        """Faster or slower."""
        self._speed = max(0, min(self._speed + by, len(SPEEDS) - 1))
        if self._timer is not None:
            self._stop()
            self.action_play()
        self.say(f"{SPEEDS[self._speed]:g} s a wave")

    def action_episode(self, by: int) -> None:
        """The next episode of the list."""
        self._stop()
        self._open(self._at + by)

    def action_beta(self) -> None:
        """The same question at another β."""
        choices = [(f"{beta:g}", f"β {beta:g}") for beta in BETAS]
        self.app.push_screen(ChoiceDialog("β of the episode", choices), self._at_beta)

    def _at_beta(self, beta: str | None) -> None:
        if beta is not None:
            role = self._roles[self._at]
            self._play(role.hash, role.name, float(beta), self._has_own, "episode")

    def _has_own(self, role: Role) -> None:
        self._roles.insert(self._at + 1, role)
        self._open(self._at + 1)

    def action_beside(self) -> None:
        """The same episode of another program; of none where there is one, in a narrow terminal the other one first."""
        if self.other.role is not None:
            narrow = not self.has_class("wide")
            if narrow and not self.has_class("turned"):
                self.add_class("turned")
                return
            self.remove_class("turned", "both")
            self.other.show(None)
            return
        own = self._roles[self._at]
        columns = self.browser.columns
        listed = [role.hash for role in self._roles if role.hash != own.hash]
        front = [point.id for point in self.browser.front]
        hashes = [h for h in dict.fromkeys([*listed, *columns.baselines(), *front]) if h != own.hash]
        choices = [(hash, f"{hash[:10]}  {columns.idea_of(hash)}") for hash in hashes]
        if choices:
            self.app.push_screen(ChoiceDialog("The same episode of", choices), self._chosen_beside)

    def _chosen_beside(self, hash: str | None) -> None:
        if hash is not None:
            self._beside(hash)

    def _beside(self, hash: str) -> None:
        beta = self._roles[self._at].trace.beta
        self._play(hash, hash[:10], beta, self._has_other, "beside")

    def _has_other(self, role: Role) -> None:
        self.add_class("both")
        if not self.has_class("wide"):
            self.add_class("turned")
        self.other.show(role, self.own.wave)
        self._go_to(self.own.wave)

    def _play(self, hash: str, name: str, beta: float, then: Callable[[Role], None], group: str) -> None:
        """Play one episode in the sandbox: the environment, question and seed of the one that is shown."""
        trace = self._roles[self._at].trace
        desk, run = self.browser.desk, self.browser.run_name

        def find() -> Role:
            traced = desk.traced(run, hash)
            known = [
                one
                for one in traced.traces
                if (one.environment, one.question, one.seed, one.beta)
                == (trace.environment, trace.question, trace.seed, beta)
            ]
            place = trace.environment, trace.question + 1, trace.seed, beta
            found = known[0] if known else episode(traced.evaluator, traced.program, *place)
            return Role(hash, name, traced, found)

        self.find(find, then, "playing the episode in the sandbox", group=group)

    def action_matched(self) -> None:
        """Step the other one by waves, or to where it had spent as much."""
        self._by_tokens = not self._by_tokens
        self.say("the other one at the same tokens" if self._by_tokens else "the other one at the same wave")
        self._go_to(self.own.wave)

    def exported(self) -> Exported | None:
        """The waves of the episode."""
        shown = self.own.played
        if shown is None:
            return None
        columns = ("wave", "action", "line", "members", "shown", "cost", "tokens", "sequential_tokens", "leader")
        rows = [
            (
                *(f.wave, f.action, f.line, " ".join(map(str, f.members)), " ".join(s or "" for s in f.shown)),
                *(f.cost, f.tokens, f.sequential_tokens, f.leader),
            )
            for f in shown.frames
        ]
        return Exported("episode", columns, rows)


def _told(role: Role, shown: Played, wave: int) -> Text:
    """What there is to say of a wave."""
    if not wave:
        return _notes(Text(f"before the first of {len(shown.frames)} waves"), shown.notes)
    frame = shown.frames[wave - 1]
    text = Text(f"wave {wave} of {len(shown.frames)}  ", style="bold")
    members = f"branch {frame.members[0]}" if len(frame.members) == 1 else f"{len(frame.members)} branches"
    text.append(f"{frame.action} {members}, {frame.cost:,} tokens\n", style="")
    text.append(f"tokens {frame.tokens:,}, sequential {frame.sequential_tokens:,}\n")
    if frame.line:
        lines = role.traced.program.source.split("\n")
        source = lines[frame.line - 1].strip() if frame.line <= len(lines) else ""
        text.append_text(plain(f"line {frame.line}: {source}\n", "dim"))
    _votes(text, shown, frame)
    if wave == len(shown.frames):
        _ended(text, shown)
    return _notes(text, frame.notes)


def _votes(text: Text, shown: Played, frame: Frame) -> None:
    """Who has how many votes, as bars."""
    most = max((votes.votes for votes in frame.votes), default=0)
    for votes in frame.votes[:4]:
        bar = "█" * max(1, round(BAR * votes.votes / most))
        right = " ✓ right" if shown.is_right(votes.label) else ""
        answer = plain(shown.texts.get(votes.label, "")).plain[:16]
        line = f"{letter(votes.label)} {bar:<{BAR}} {votes.votes} votes, {votes.finished} finished  {answer}{right}\n"
        text.append(line, style="bold" if right else "")


def _ended(text: Text, shown: Played) -> None:
    """How it ended, and where the pool would have."""
    verdict = "right" if shown.right else "wrong"
    at = f" at line {shown.line}" if shown.line else ""
    text.append(f"returned {shown.answer or 'nothing'}{at}: {verdict}, {shown.kind}\n", style="bold")
    right = f"the right one is {shown.gold}" if shown.gold else "no recorded branch comes to the right answer"
    text.append(f"{right}; pass@1 {100 * shown.solvable:.0f} %\n")
    for what, label in (("the whole pool", shown.pool), ("plain self-consistency, same tokens", shown.plain)):
        text.append(f"{what}: {label or 'nothing'}, {'right' if shown.is_right(label) else 'wrong'}\n")


def _notes(text: Text, notes: Sequence[Note]) -> Text:
    """What the program noted."""
    for note in notes:
        text.append_text(plain(f"\nnoted: {note.name} = {note.value}", "italic"))
    return text
