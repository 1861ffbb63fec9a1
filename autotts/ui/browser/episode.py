"""One episode, wave by wave; beside it the same episode of another program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Static

from autotts.traces import episode
from autotts.ui.browser.branches import SIGNS, BranchGrid
from autotts.ui.browser.choosing import ChoiceDialog
from autotts.ui.browser.stage import Role, Stage
from autotts.ui.browser.view import Exported, View

__all__ = ["EpisodeView"]

SPEEDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds that a wave is shown for."""

BETAS = tuple(k / 20 for k in range(21))
"""At which an episode can be played."""

BOTH, ROOM, HIGH = 120, 130, 40
"""Columns for two stages side by side, and for one with its panel beside it; lines for a high panel."""


class EpisodeView(View):
    """One episode step by step.

    Args:
        roles: the episodes of the list that it was opened from.
        at: which of them is shown first.
    """

    place = "Episodes"

    DEFAULT_CSS = """
    EpisodeView > #stages { height: 1fr; }
    EpisodeView #other { display: none; }
    EpisodeView.both.wide #other { display: block; border-left: solid $panel; }
    EpisodeView.both.turned #other { display: block; }
    EpisodeView.both.turned #own { display: none; }
    EpisodeView.both.wide #own { display: block; }
    EpisodeView > #signs { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Wave back", show=False),
        Binding("right,l", "step(1)", "Wave on", show=False),
        Binding("home,g", "to_end(False)", "Before the first wave", show=False),
        Binding("end,G", "to_end(True)", "The last wave", show=False),
        Binding("up,k", "scroll_branches(-1)", "Scroll up", show=False),
        Binding("down,j", "scroll_branches(1)", "Scroll down", show=False),
        Binding("pageup", "scroll_told(-1)", "Scroll votes and notes up", show=False),
        Binding("pagedown", "scroll_told(1)", "Scroll votes and notes down", show=False),
        Binding("space", "play", "Play", tooltip="Play, and stop"),
        Binding("plus,equals_sign", "speed(-1)", "Faster", key_display="+", show=False),
        Binding("minus", "speed(1)", "Slower", key_display="-", show=False),
        Binding("n", "episode(1)", "Next", tooltip="Next episode of the list"),
        Binding("p", "episode(-1)", "Previous episode of the list", show=False),
        Binding("b", "beta", "β", tooltip="The same question at another β"),
        Binding("w", "beside", "Beside another", tooltip="Beside the same episode of another program, or alone"),
        Binding("v", "turn", "The other program, where there is no room for both", show=False),
        Binding("m", "matched", "By waves or tokens", show=False),
    ]

    def __init__(self, roles: Sequence[Role], at: int) -> None:
        super().__init__()
        self._roles = list(roles)
        self._at = at
        self._wave = 0
        self._partner: str | None = None
        self._timer: Timer | None = None
        self._speed = 2
        self._by_tokens = False

    def compose_body(self) -> ComposeResult:
        """The stages."""
        with Horizontal(id="stages"):
            yield Stage("own")
            yield Stage("other")
        yield Static(SIGNS, id="signs", markup=False)

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
        self._arrange()
        super().on_resize()

    def _arrange(self) -> None:
        """One stage or two, and where the panels are."""
        wide, both = self.size.width >= BOTH, self._partner is not None
        self.set_class(wide, "wide")
        self.set_class(both, "both")
        for stage in (self.own, self.other):
            stage.set_class(self.size.width >= ROOM and not both, "beside")
            stage.set_class(self.size.height >= HIGH, "tall")

    def where(self) -> str:
        """Which question, asked whom."""
        shown = self.own.played
        return f"{shown.question} ▸ {shown.environment}" if shown else ""

    @property
    def role(self) -> Role:
        """The episode that was opened."""
        return self._roles[self._at]

    def _open(self, at: int) -> None:
        """Show an episode of the list from its end; what was asked for an earlier one is dropped."""
        self._stop()
        self.workers.cancel_group(self, "episode")
        self.say("")
        self._at = at % len(self._roles)
        self.own.show(self.role)
        if self._partner is not None:
            self._beside()
        self._go_to(self._last)
        self.draw_bar()

    # ---- which wave --------------------------------------------------------------------------------------------------

    @property
    def _last(self) -> int:
        """The last wave of the longer one: its waves go on when the shorter one has come to its end."""
        own, other = self.own, self.other
        met = other.wave_at(own.tokens_at(own.waves)) if self._by_tokens else own.waves
        return own.waves + max(0, other.waves - met)

    def _go_to(self, wave: int) -> None:
        self._wave = max(0, min(wave, self._last))
        self.own.go_to(self._wave)
        there = self._wave
        if self._by_tokens and there:
            there = self.other.wave_at(self.own.tokens_at(there)) + max(0, there - self.own.waves)
        self.other.go_to(there)
        self._entitle()

    def _entitle(self) -> None:
        """Say what is going on, beside the programs' names."""
        playing = f"▶ {SPEEDS[self._speed]:g} s a wave" if self._timer else ""
        self.own.entitle(playing)
        if self._partner is not None:
            matched = "at the same tokens" if self._by_tokens else "at the same wave"
            # Answers are numbered as a program came to see them.
            self.other.entitle(
                f"{matched}, with letters of its own" if self.other.role else f"{self._partner[:10]}: not played yet"
            )

    # ---- what keys do ------------------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """A wave back or on, in both."""
        self._go_to(self._wave + by)

    def action_to_end(self, last: bool) -> None:
        """Before the first wave, or after the last."""
        self._go_to(self._last if last else 0)

    def action_scroll_branches(self, by: int) -> None:
        """Scroll the branches."""
        for grid in self.query(BranchGrid):
            grid.scroll_relative(y=by, animate=False)

    def action_scroll_told(self, by: int) -> None:
        """Scroll what is told of the wave."""
        for panel in self.query(".panel"):
            panel.scroll_relative(y=by * max(1, panel.size.height - 1), animate=False)

    def action_play(self) -> None:
        """Play it wave by wave, from the start where it is at its end; stop where it plays."""
        if self._timer is not None:
            self._stop()
            return
        if self._wave >= self._last:
            self._go_to(0)
        self._start()

    def _start(self) -> None:
        self._timer = self.set_interval(SPEEDS[self._speed], self._tick)
        self._entitle()

    def _tick(self) -> None:
        self._go_to(self._wave + 1)
        if self._wave >= self._last:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
            self._entitle()

    def action_speed(self, by: int) -> None:
        """Faster or slower."""
        self._speed = max(0, min(self._speed + by, len(SPEEDS) - 1))
        if self._timer is not None:
            self._stop()
            self._start()
        else:
            self.app.notify(f"{SPEEDS[self._speed]:g} s a wave", markup=False)

    def action_episode(self, by: int) -> None:
        """The next episode of the list."""
        self._open(self._at + by)

    def action_beta(self) -> None:
        """The same question at another β."""
        choices = [(f"{beta:g}", f"β {beta:g}") for beta in BETAS]
        self.app.push_screen(ChoiceDialog("β of the episode", choices, f"{self.role.trace.beta:g}"), self._at_beta)

    def _at_beta(self, beta: str | None) -> None:
        if beta is not None:
            self._play(self.role.hash, float(beta), self._has_own, "episode")

    def _has_own(self, role: Role) -> None:
        self._roles.insert(self._at + 1, role)
        self._open(self._at + 1)

    def action_beside(self) -> None:
        """The same episode of another program; of none where there is one."""
        if self._partner is None:
            self._ask_beside()
        else:
            self._partner = None
            self.workers.cancel_group(self, "beside")
            self.say("")
            self.remove_class("turned")
            self.other.show(None)
            self._arrange()
            self._go_to(self._wave)

    def action_turn(self) -> None:
        """Where there is room for one only: the other one."""
        if self._partner is None:
            self.app.notify("there is no second program; w chooses one", markup=False)
        else:
            self.toggle_class("turned")

    def _ask_beside(self) -> None:
        named = {role.hash: role.name for role in self._roles}
        self.choose_program("The same episode of", self._stand_beside, named=named, without=self.role.hash)

    def _stand_beside(self, partner: str) -> None:
        self._partner = partner
        self.add_class("turned")
        self._beside()

    def _beside(self) -> None:
        """Play the partner's episode; nothing of an earlier one stays beside this one."""
        assert self._partner is not None
        self.other.show(None)
        self._arrange()
        self._go_to(self._wave)
        self._play(self._partner, self.role.trace.beta, self._has_other, "beside")

    def _has_other(self, role: Role) -> None:
        at_end = self._wave >= self._last
        self.other.show(role)
        self._go_to(self._last if at_end else self._wave)

    def _play(self, hash: str, beta: float, then: Callable[[Role], None], group: str) -> None:
        """Play one episode in the sandbox: the environment, question and seed of the one that is shown."""
        trace = self.role.trace
        place = trace.environment, trace.question, trace.seed, beta
        find = partial(self._played, self.browser.run_name, hash, place)
        self.find(find, then, "playing the episode in the sandbox", group=group)

    def _played(self, run: str, hash: str, place: tuple[int, int, int, float]) -> Role:
        """The episode at a place: of those that are at hand, or played now."""
        desk = self.browser.desk
        traced, name = desk.traced(run, hash), desk.called(run, hash)
        for one in traced.traces:
            if (one.environment, one.question, one.seed, one.beta) == place:
                return Role(hash, name, traced, one)
        environment, question, seed, beta = place
        found = episode(traced.evaluator, traced.program, environment, question + 1, seed, beta)
        return Role(hash, name, traced, found)

    def action_matched(self) -> None:
        """Step the other one by waves, or to where it had spent as much."""
        self._by_tokens = not self._by_tokens
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
