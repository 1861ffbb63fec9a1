"""An agent that is a coding agent's command line: it edits controller.py in a folder, and that file is its answer."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from autotts.agents import Settings
from autotts.agents._base import Context, Proposal
from autotts.agents.command.job import Found, Job
from autotts.agents.command.presets import command_line
from autotts.agents.command.workspace import TASK, folder, furnish, replace
from autotts.agents.prices import Prices
from autotts.errors import AgentError, LimitReached, ProgramError
from autotts.evaluation import Program
from autotts.prompts import Prompts
from autotts.traces.bench import Bench

__all__ = ["CommandAgent"]

MOST_DOLLARS = 6.0
"""Ceiling of a proposal where the command line keeps one and no price is given."""

EVIDENCE_SECONDS, EVIDENCE_SHARE = 120.0, 0.25
"""After which no more evidence is computed; likewise, as a share of the proposal's time."""

LEAST_REPAIR = 5.0
"""Seconds that must be left for a repair."""

INTO_FILE = (
    "\nHere the answer is a file: write the mended program, whole, into `controller.py` in your working folder.\n"
)


class CommandAgent:
    """Writes programs with a coding agent's command line.

    Args:
        name: after `command/`; see `command_line`.
        settings: its time, tokens, templates and prices.

    Raises:
        InputError: no such program, or no such command.
    """

    calls = 2
    """Runs that one proposal may take: the first, and a repair."""

    concurrent = True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = f"command/{name}"
        self._line = command_line(name)
        self._settings = settings
        self._prompts = Prompts(Path(settings.prompts) if settings.prompts else None)
        self._prices = Prices.read(Path(settings.prices) if settings.prices else None)

    def most(self) -> tuple[int, float | None]:
        """The most tokens and dollars of a proposal; None where nobody keeps a ceiling, whatever the price."""
        tokens = self._settings.proposal_tokens
        if self.name in self._prices.own:
            rates = self._prices.worst(self.name, tokens, 0), self._prices.worst(self.name, 0, tokens)
            return tokens, max(rate for rate in rates if rate is not None)
        return tokens, MOST_DOLLARS if self._line.budget_flag else None

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program; see `Agent`."""
        if context.purse is None or context.bench is None:
            raise ValueError(f"{self.name} needs a purse and a bench; a search gives both")
        seconds = min(self._settings.proposal_seconds, context.purse.seconds_left())
        with folder() as place:
            job = Job(self.name, self._line, self._price, context.purse, place, seconds, *self.most())
            short = min(EVIDENCE_SECONDS, EVIDENCE_SHARE * seconds)
            brief = furnish(place, self._prompts, context, short)
            hashes = {brief.system.name: brief.system.hash, brief.prompt.name: brief.prompt.hash}
            said = f"{brief.system.text}\n{brief.prompt.text}"
            found = job.recorded() or job.run(brief.prompt.text, TASK, said, hashes, brief.start)
            problem = _problem(context.bench, found.source)
            if problem is not None:
                found = self._mended(job, found, problem)
        return Proposal(found.source, brief.parents, found.said, brief.prompt.text)

    def _mended(self, job: Job, found: Found, problem: ProgramError) -> Found:
        """The program after one repair; as it was where that brings none."""
        recorded = job.recorded()
        if recorded is not None:
            return recorded
        if job.seconds_left < LEAST_REPAIR or not job.tokens:
            return found
        place = (problem.line, problem.where, ())
        prompt = self._prompts.repair(found.source, problem.outcome, problem.message, *place)
        task = prompt.text + INTO_FILE
        replace(job.place, "controller.py", found.source)
        replace(job.place, "REPAIR.md", task)
        try:
            return job.run(task, "REPAIR.md", task, {prompt.name: prompt.hash}, found.source)
        except (AgentError, LimitReached) as error:
            return Found(found.source, f"{found.said}\n(A repair was asked for, in vain: {error})")

    def _price(self, usage: Mapping[str, int]) -> float | None:
        return self._prices.cost(self.name if self.name in self._prices.own else self._line.priced, usage)


def _problem(bench: Bench, source: str) -> ProgramError | None:
    try:
        bench.check(Program.from_source(source))
    except ProgramError as error:
        return error
    return None
