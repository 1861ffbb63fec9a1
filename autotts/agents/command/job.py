"""Runs of a command line for one proposal: in one folder, paid from one purse, until one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autotts.agents._base import Purse
from autotts.agents.calling import reply_from_json, reply_to_json
from autotts.agents.command.presets import CommandLine, Report
from autotts.agents.command.process import Ended, run
from autotts.agents.command.scrub import held, scrub
from autotts.agents.command.workspace import CONTROLLER, read_controller, same
from autotts.agents.models import Reply
from autotts.errors import AgentError, AgentTimeout, AgentUnavailable, EmptyAnswer, MalformedAnswer
from autotts.sandbox.text import printable

__all__ = ["LEAST_TIME", "Found", "Job"]

FIRST_SHARE = 0.75
"""Of a proposal's tokens and dollars, that the first run may take; the repair may have what is left."""

OVERSHOOT = 0.6
"""Share of the reserved dollars that a command line is told: it compares only after an answer has been paid for."""

LEAST_TIME = 2.0
"""Seconds that must be left for a run."""

_LINES, _DETAIL = 8, 600
"""Last lines of an output that a message has; its characters."""


@dataclass(frozen=True)
class Found:
    """A program that a run left, and what the agent said of it."""

    source: str
    said: str


@dataclass
class Job:
    """One proposal as it goes on.

    Args:
        name: of the agent.
        line: how it is started.
        price: dollars of counted tokens, None where they are not known.
        purse: what it is paid from.
        place: the folder.
        seconds: for all runs.
        tokens, dollars: the most for all runs; dollars are None where the price is unknown.
    """

    name: str
    line: CommandLine
    price: Callable[[Mapping[str, int]], float | None]
    purse: Purse
    place: Path
    seconds: float
    tokens: int
    dollars: float | None
    _first: bool = field(init=False, default=True)
    _deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return self._deadline - time.monotonic()

    def recorded(self) -> Found | None:
        """What the next run gave before the slot was interrupted."""
        kept = self.purse.recorded()
        if kept is None:
            return None
        reply = reply_from_json(kept)
        self._count(int(reply.raw["tokens"]), reply.raw["cost"])
        return Found(reply.text, str(reply.raw["said"]))

    def run(self, task: str, file: str, said: str, templates: Mapping[str, str], start: str) -> Found:
        """Run the command line once, reserved before and settled after.

        Args:
            task: what it is given.
            file: of the folder, with the task.
            said: what is written down as the prompt.
            templates: hashes by name.
            start: what controller.py holds.

        Raises:
            AgentError: it left no new program, and why.
            LimitReached: a budget has no room for it.
        """
        if self.seconds_left < LEAST_TIME:
            raise AgentTimeout(f"too little of the proposal's time was left to start {self.name}")
        share = FIRST_SHARE if self._first else 1.0
        most, worst = int(share * self.tokens), None if self.dollars is None else share * self.dollars
        number = self.purse.begin(said, templates, most, worst)
        ceiling = None if worst is None else OVERSHOOT * worst
        words, given = self.line.command(task, self.place / file, self.place, ceiling)
        ended = run(words, self.place, given, self.seconds_left)
        report = self.line.read(ended.out)
        tokens, cost = self._used(ended, report, most, worst)
        try:
            found = self._found(ended, report, start)
        except AgentError as error:
            self.purse.end(number, f"{error.outcome}: {error}", "", report.usage, tokens, cost)
            raise
        reply = Reply(found.source, usage=report.usage, raw={"said": found.said, "tokens": tokens, "cost": cost})
        self.purse.end(number, "ok", reply_to_json(reply), report.usage, tokens, cost)
        self._count(tokens, cost)
        return found

    def _count(self, tokens: int, cost: float | None) -> None:
        self._first = False
        self.tokens = max(0, self.tokens - tokens)
        self.dollars = None if self.dollars is None or cost is None else max(0.0, self.dollars - cost)

    def _used(self, ended: Ended, report: Report, most: int, worst: float | None) -> tuple[int, float | None]:
        """(tokens, dollars) as reported; what nobody knows counts at its most, for it may have been charged."""
        if ended.error:
            return 0, 0.0
        tokens = sum(report.usage.values()) if report.usage else most
        cost = report.cost
        if cost is None and report.usage:
            cost = self.price(report.usage)
        return tokens, worst if cost is None else cost

    def _found(self, ended: Ended, report: Report, start: str) -> Found:
        """The program that a run left.

        Raises:
            AgentError: there is none, and why.
        """
        detail = _detail(ended, report)
        if ended.error:
            raise AgentUnavailable(f"{self.name} could not be started: {detail}")
        problem: AgentError | None
        try:
            source = read_controller(self.place)
            problem = MalformedAnswer(f"it left {CONTROLLER} as it was") if same(source, start) else None
        except EmptyAnswer as error:
            source, problem = "", error
        if problem is None:
            secret = held(source)
            if secret:
                raise MalformedAnswer(f"{CONTROLLER} holds the value of the environment variable {secret}")
            return Found(source, self._note(ended, report, detail) + _plain(report.said))
        if ended.timed_out and not report.failure:
            raise AgentTimeout(f"{self.name} was ended after {self.seconds:.0f} s, and {problem}")
        if ended.timed_out or ended.code != 0 or report.failure:
            raise AgentUnavailable(f"{self.name} {_ending(ended)}, and {problem}: {detail or 'it said nothing'}")
        raise problem

    def _note(self, ended: Ended, report: Report, detail: str) -> str:
        """What is to be told of a run that left a program and did not end well."""
        if ended.timed_out:
            return f"(It was ended after {self.seconds:.0f} s; {CONTROLLER} is what it held then.)\n"
        if ended.code != 0 or report.failure:
            return f"(It {_ending(ended)}: {detail or 'it said nothing'}; {CONTROLLER} is what it held then.)\n"
        return ""


def _ending(ended: Ended) -> str:
    if ended.timed_out:
        return "gave no answer in time"
    return "was killed with what keeps it" if ended.code is None else f"ended with exit code {ended.code}"


def _plain(text: str) -> str:
    return printable(scrub(text), newlines=True)


def _detail(ended: Ended, report: Report) -> str:
    """Why it failed: in its own words, else the last lines of what it wrote; without keys."""
    text = ended.error or report.failure or ended.err.strip() or ended.out.strip()
    lines = [line.strip() for line in scrub(text).splitlines()[-_LINES:]]
    return printable(" / ".join(line for line in lines if line))[-_DETAIL:]
