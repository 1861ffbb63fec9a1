"""The single mode: one prompt, one program back, and one repair round that shows the exact error."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from autotts.agents._base import Context, Proposal
from autotts.agents.answers import read_program
from autotts.agents.briefing import bases, best_of, plateaued, reference_of, shown, tried
from autotts.agents.calling import Caller
from autotts.agents.models import Reply, Request, Turn
from autotts.errors import AgentError, AutoTTSError, ProgramError, Refused
from autotts.evaluation import Program
from autotts.prompts import Prompt, Prompts
from autotts.traces import Evidence
from autotts.traces.bench import Bench

__all__ = ["Evidences", "propose_single"]

SHOWN = 2
"""Programs that a propose prompt shows whole."""


@dataclass(frozen=True)
class Evidences(Mapping[str, str]):
    """Evidence by name for a template to choose from; what it does not name is not computed."""

    findings: Mapping[str, Callable[[], Evidence]]

    def __getitem__(self, name: str) -> str:
        try:
            return self.findings[name]().text()
        except ProgramError as error:
            return f"{name}: cannot be had ({error})"

    def __iter__(self) -> Iterator[str]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)


def propose_single(caller: Caller, prompts: Prompts, context: Context, rng: random.Random, max_tokens: int) -> Proposal:
    """One program from one prompt, with a repair round.

    Raises:
        AgentError: no program came, not even after the repair round.
    """
    bench = context.bench
    if bench is None:
        raise ValueError("an agent with a model needs a bench in its context")
    prompt, parents, base = _prompt(prompts, context, bench, rng)
    system = prompts.system()
    turns = (Turn(prompt.text),)

    def ask(turns: tuple[Turn, ...], said: Prompt) -> Reply:
        new = f"{system.text}\n{said.text}" if len(turns) == 1 else said.text
        return caller.ask(
            Request(system.text, turns, max_tokens=max_tokens), new, {system.name: system.hash, said.name: said.hash}
        )

    reply = ask(turns, prompt)
    source, problem = _examined(bench, reply, base)
    answer = reply.text
    if problem is not None and not isinstance(problem, Refused):
        repair = _repair(prompts, source, problem)
        second = ask((Turn(prompt.text, reply=reply), Turn(repair.text)), repair)
        mended, still = _examined(bench, second, source or base)
        if mended:
            source, answer = mended, second.text
        problem = None if source else still
    if not source:
        assert problem is not None
        raise problem
    return Proposal(source, parents, answer, prompt.text)


def _examined(bench: Bench, reply: Reply, base: str) -> tuple[str, AutoTTSError | None]:
    """The program in an answer ("" where there is none), and what is wrong."""
    try:
        source = read_program(reply, base)
    except AgentError as error:
        return "", error
    try:
        bench.check(Program.from_source(source))
    except ProgramError as error:
        return source, error
    return source, None


def _repair(prompts: Prompts, source: str, problem: AutoTTSError) -> Prompt:
    if isinstance(problem, ProgramError):
        return prompts.repair(source, problem.outcome, problem.message, problem.line, problem.where, problem.frames)
    outcome = problem.outcome if isinstance(problem, AgentError) else type(problem).__name__
    return prompts.repair("", outcome, str(problem), None, "", ())


def _prompt(
    prompts: Prompts, context: Context, bench: Bench, rng: random.Random
) -> tuple[Prompt, tuple[str, ...], str]:
    """(the prompt, ids of the programs that it builds on, the source that edits are against)."""
    reference = shown(reference_of(context))
    history = tried(context.candidates)
    parents = bases(context)
    about = parents[0] if parents else reference_of(context)
    other = parents[1] if len(parents) > 1 else reference_of(context)
    evidence = Evidences(bench.findings(about.program, other.program))
    if plateaued(context) and rng.random() < 0.5:
        return prompts.restart(reference, history, evidence), (), ""
    draw = rng.random()
    if len(parents) > 1 and draw < 0.25:
        first, second = parents[0], parents[1]
        prompt = prompts.crossover(shown(first), shown(second), reference, history, evidence)
        return prompt, (first.id, second.id), ""
    if parents and draw < 0.75:
        prompt = prompts.edit(shown(parents[0]), reference, history, evidence)
        return prompt, (parents[0].id,), parents[0].source
    best = best_of(context, SHOWN)
    prompt = prompts.propose(reference, [shown(c) for c in best], history, evidence)
    return prompt, tuple(c.id for c in best), ""
