"""A search that is driven from outside, call by call: for a coding agent that a person already runs.

The guest reads, measures and submits with the tools of a session (`autotts.agents.tools`). A submission is evaluated at
once and begins the next slot; rounds hold one slot each, so the next one sees it. The archive alone carries the state:
a run that was killed goes on where it stopped, with the drafts that were measured for the slot that was open.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autotts.agents import Candidate, Context, Proposal
from autotts.agents.models import Tool
from autotts.agents.tools import Toolbox, ToolFailure
from autotts.archive import Archive
from autotts.errors import AgentUnavailable, AutoTTSError, InputError, LimitReached
from autotts.prompts import Prompts
from autotts.replay import Environment
from autotts.search.config import Config
from autotts.search.loop import Search
from autotts.search.runs import start_run
from autotts.search.standing import REFERENCE
from autotts.traces.bench import Draft

__all__ = [
    "GUEST",
    "MOST_ROUNDS",
    "WRITING",
    "Guest",
    "Served",
    "guest_config",
    "rules",
    "start_guest_run",
    "start_text",
]

GUEST = "mcp"
MOST_ROUNDS = 100_000
"""Beyond any use: a run for a guest ends by its budget, or when nobody submits any more."""

WRITING = ("evaluate_draft", "submit")
"""Tools that belong to a proposal, so that limits end them; the others only read."""

_SUBMIT = (
    "Hand in your program (a draft, a source, or edits to a base). What does not pass the check comes back for you to "
    "mend. What passes is evaluated at once: the outcome, the gain with its error and whether it holds a part of the "
    "front come back, and the next proposal begins."
)


class Guest:
    """Stands for whoever submits; it is never asked."""

    name = GUEST

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """Nothing: programs come by `Served.call`."""
        raise AgentUnavailable(f"{GUEST}: programs are submitted from outside")


def rules() -> str:
    """What a program is and how it is judged: what every agent is told first."""
    return Prompts().system().text


def guest_config(stored: Config | None, given: Mapping[str, Any]) -> Config:
    """The configuration of a guest's run: the stored one or the defaults, with what was given in words.

    Args:
        stored: of the run that is gone on with, None for a new one.
        given: values of `Config` by name, None where nothing was said.

    Raises:
        InputError: more seeds for screening than for confirming.
    """
    said = {name: value for name, value in given.items() if value is not None}
    config = replace(stored or Config(agents=(GUEST,), rounds=MOST_ROUNDS, proposals_per_round=1), **said)
    if config.screen_seeds > config.seeds:
        if "screen_seeds" in said:
            raise InputError(f"--screen-seeds {config.screen_seeds}: at most as many as --seeds ({config.seeds})")
        config = replace(config, screen_seeds=config.seeds)
    return config


def start_guest_run(
    archive: Archive,
    name: str | None,
    given: Mapping[str, Any],
    envs: tuple[str, ...],
    load: Callable[[Config], list[Environment]],
) -> str:
    """Start a run for a guest, or find the one to go on with; its name.

    Args:
        archive, name: where it is kept, and under which name; None for a new one.
        given: see `guest_config`.
        envs: the search split of a new run for which none is given.
        load: reads the environments of a configuration.

    Raises:
        InputError: the run is another agent's, or has other settings than those given.
    """
    stored = next((run for run in archive.runs() if run.name == name), None)
    kept = Config.from_json(stored.config) if stored else None
    if kept is not None and kept.agents != (GUEST,):
        raise InputError(
            f"--run {name}: is a run of {', '.join(kept.agents)}; give another name, or `autotts resume {name}`"
        )
    config = guest_config(kept, given)
    config = config if config.envs else replace(config, envs=envs)
    return start_run(archive, name, config, load(config))


@dataclass
class Served:
    """One search and its guest; used by one thread.

    Args:
        search: a run of `guest_config`, not begun.
    """

    search: Search
    _box: Toolbox | None = field(init=False, default=None)
    _ready: bool = field(init=False, default=False)
    _stopped: bool = field(init=False, default=False)

    @staticmethod
    def tools() -> tuple[Tool, ...]:
        """Names, descriptions and schemas of what a guest may call."""
        return tuple(replace(tool, description=_SUBMIT) if tool.name == "submit" else tool for tool in Toolbox.tools())

    def prepare(self) -> None:
        """Take in what the archive holds, decide what is not decided, and run the baselines that are missing."""
        search = self.search
        search.begin()
        while (place := search.place) is not None:
            if self._stopped:
                raise KeyboardInterrupt
            if place[0] > 0 and search.archive.proposal(search.run, *place) is None:
                break
            search.step()
        self._next()
        self._ready = True

    def stop(self) -> None:
        """End `prepare` before its next slot; may be called from a signal's handler."""
        self._stopped = True

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What a tool gives.

        Raises:
            ToolFailure: a call that cannot be done.
            LimitReached: the run's limits have no room for another proposal.
            AutoTTSError: AutoTTS could not do its work; the next call tries again.
        """
        if not self._ready:
            self.prepare()
        if name in WRITING:
            self._admit()
        box = self._box
        if box is None:
            raise LimitReached(f"run {self.search.run} has all its {MOST_ROUNDS} proposals; start a new one")
        text = box.call(name, arguments)
        if name == "evaluate_draft":
            self._keep(arguments, box.drafts[-1][1])
        if box.submitted is not None:
            text = self._commit(Proposal(box.submitted, box.parents, f"({GUEST}: {len(box.drafts)} drafts measured)"))
        self.search.account.tick()
        return text

    def close(self) -> str:
        """Write down that nobody is served any more; the run's state."""
        search, state = self.search, "interrupted"
        try:
            self._admit()
        except LimitReached:
            state = "limit"
        search.account.tick()
        search.archive.set_run_state(search.run, state)
        return state

    # ---- one slot ----------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        place = self.search.place
        if place is not None and place[0] > 0:
            self.search.account.admit_proposal(place[0] - 1)

    def _next(self) -> None:
        """Begin the next slot, with the drafts that were measured for it before a restart."""
        if self.search.place is None:
            self._box = None
            return
        context = self.search.ask()
        assert context.purse is not None
        self._box = Toolbox(context, self.search.bench)
        while (kept := context.purse.recorded()) is not None:
            draft = json.loads(kept)
            self._box.restore(Draft(draft["text"], draft["gain"], draft["gain_se"]), **draft["arguments"])

    def _keep(self, arguments: Mapping[str, Any], draft: Draft) -> None:
        """Write a measured draft down as a call that used nothing: it is counted, and there after a restart."""
        assert self._box is not None and self._box.context.purse is not None
        purse = self._box.context.purse
        kept = {"arguments": dict(arguments), "text": draft.text, "gain": draft.gain, "gain_se": draft.gain_se}
        with self.search.account.writing():
            purse.end(purse.begin("", {}, 0, 0.0), "ok", json.dumps(kept), {}, 0, 0.0)

    def _commit(self, proposal: Proposal) -> str:
        self._ready = False
        try:
            self.search.tell(proposal)
        except AutoTTSError as error:
            raise ToolFailure(f"{error}\nThe program is kept, and is evaluated with the next call.") from error
        told = self.search.candidates
        self._next()
        self._ready = True
        return _became(told[-1], told) + self._standing(told)

    def _standing(self, told: Sequence[Candidate]) -> str:
        """How the run stands, and what comes next."""
        best = self.search.best()
        held = dict.fromkeys(c.id for c in told if c.front)
        lines = [f"best of the run: {best.id} {_gain(best)}; on the front: {', '.join(held)}"]
        try:
            self._admit()
        except LimitReached as error:
            return "\n".join([*lines, f"no further proposals: {error}", ""])
        if self._box is not None:
            parents = ", ".join(c.id for c in self._box.context.parents)
            most = self.search.config.budget.proposals
            of = f" of {most}" if most is not None else ""
            lines.append(
                f"proposal {self._box.context.round}{of} begins, with {self._box.most_drafts} measurements"
                + (f"; the search would go on from {parents}" if parents else "")
            )
        return "\n".join([*lines, ""])


def start_text(run: str) -> str:
    """How a guest goes on: what its instructions say."""
    return (
        f"AutoTTS, run {run}. You search for programs that decide how a language model spends its compute on a "
        "question (controllers). Read the rules first (tool `rules`, also the prompt `rules` and the resource "
        "autotts://rules). Then, again and again: `front` and `history` show what was tried; `read_program`, `credit` "
        "and `failures` show where a good program loses; `evaluate_draft` measures an idea, a limited number of times "
        "a proposal; `submit` hands in a program, which is evaluated at once and stands in `history` from then on. A "
        f"gain counts over {REFERENCE} at matched tokens, and only beyond its standard error. The first call waits "
        "until the baselines have run; a submission may take minutes. If an answer was lost, look into `history` "
        "before you submit again."
    )


def _gain(candidate: Candidate) -> str:
    if candidate.gain is None:
        return "(no gain measured)"
    return f"{100 * candidate.gain:+.2f} ± {100 * (candidate.gain_se or 0):.2f} points"


def _became(candidate: Candidate, told: Sequence[Candidate]) -> str:
    """What became of a submission."""
    head = f"{candidate.round}.{candidate.slot} {candidate.id} {candidate.outcome}"
    if candidate.outcome != "ok":
        line = f" at line {candidate.line}" if candidate.line is not None else ""
        where = f" ({candidate.where})" if candidate.where else ""
        first = next(c for c in told if c.id == candidate.id)
        if first is not candidate:
            where = f": {first.round}.{first.slot} {first.outcome} {_gain(first)}{', on the front' * first.front}"
        return f"{head}{line}: {candidate.message}{where}\n"
    how = "confirmed" if candidate.points else "screened only, for it could not touch the front"
    front = "on the front" if candidate.front else "not on the front"
    return f"{head}: gain {_gain(candidate)} at matched tokens over {REFERENCE} ({how}); {front}\n"
