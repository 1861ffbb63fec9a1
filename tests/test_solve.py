"""Questions answered by jailed programs that drive a live model: outcomes, limits, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from autotts.errors import InputError, ProgramError, ServerError
from autotts.evaluation import SHIPPED, Program, shipped
from autotts.live.model import Asked, Said
from autotts.live.solver import Solution, Solver
from autotts.live.source import Step
from autotts.testing.hostile import ATTACKS
from tests.fake_live import FakeModel
from tests.leaks import descendants, descriptors, soon
from tests.test_live import DELTA, Failing, Plain


def answered(
    program: Program, model: Any, *, interval: int = DELTA, branches: int = 8, beta: float = 0.5, **options: Any
) -> Solution:
    """One question, and a look that nothing is left of it."""

    async def main() -> Solution:
        async with Solver(program, model, Plain(), interval, branches) as solver:
            before = len(asyncio.all_tasks())
            try:
                return await solver.solve("how many?", beta, **options)
            finally:
                assert len(asyncio.all_tasks()) == before
                assert model.open == 0

    return asyncio.run(main())


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_program_answers(name: str) -> None:
    model = FakeModel()
    solution = answered(shipped(name), model)
    assert solution.answer in {"0", "1", "2"}
    assert solution.votes[solution.answer] == max(solution.votes.values())
    assert solution.confidence == solution.votes[solution.answer] / sum(solution.votes.values())
    assert 0 < solution.sequential_tokens <= solution.tokens <= solution.generated
    assert solution.branches == len(model.asked) == len(solution.depths)
    assert solution.finished + solution.pruned <= solution.branches
    assert {seed for _, seed in model.asked} == set(range(solution.branches))
    assert solution.text.endswith(f"boxed{{{solution.answer}}}")
    assert solution.stopped == ""
    assert solution.beta == 0.5
    assert solution.knobs == pytest.approx(solution.knobs) and solution.knobs


def test_a_program_that_never_looks_costs_no_probe() -> None:
    model = FakeModel()
    blind = Program.from_source(
        "def schedule(beta):\n    return {'n': 3}\n\n\n"
        "def solve(episode, knobs):\n    opened = episode.branches(3)\n    episode.advance(opened)\n"
    )
    solution = answered(blind, model)
    assert solution.answer is None
    assert solution.text == "" and solution.votes == {} and solution.confidence is None
    assert model.probed == []
    assert solution.probes == 0


def test_answers_that_mean_the_same_are_one() -> None:
    class Halves(FakeModel):
        async def probe(self, asked: Asked, prefix: str) -> Said:
            return Said("{", ["1/2", "0.5", "\\frac{1}{2"][int(prefix.split(".")[0])] + "}", 1)

    class Braces(Plain):
        def probe(self, said: Said) -> str:
            return said.text.removesuffix("}") + ("}" if said.text.startswith("\\") else "")

    look = Program.from_source(
        "from autotts.toolkit import majority\n\n\ndef schedule(beta):\n    return {}\n\n\n"
        "def solve(episode, knobs):\n    return majority(episode.probe(episode.branches(3)))\n"
    )

    async def main(equivalence: str) -> Solution:
        async with Solver(look, Halves(), Braces(), DELTA, 8, equivalence=equivalence) as solver:
            return await solver.solve("q", 0.0)

    assert asyncio.run(main("latex")).votes == {"1/2": 3}
    assert asyncio.run(main("exact")).votes == {"1/2": 1, "0.5": 1, "\\frac{1}{2}": 1}


# ---- ends ------------------------------------------------------------------------------------------------------------

SAMPLE = [attack for attack in ATTACKS if set(attack.policy).isdisjoint({"WallTimeout"})][::14]


@pytest.mark.parametrize("attack", SAMPLE, ids=str)
def test_hostile_programs_end_in_the_same_outcomes_as_against_a_recording(attack: Any) -> None:
    class_name = "OptimalController" if "class OptimalController" in attack.source else None
    try:
        answered(Program.from_source(attack.source, class_name=class_name), FakeModel(), beta=1.0)
        outcome = "ok"
    except ProgramError as error:
        outcome = error.outcome
    assert outcome in attack.policy


def test_a_failing_program_says_where_and_closes_its_streams() -> None:
    program = Program.from_source(
        "def schedule(beta):\n    return {}\n\n\ndef solve(episode, knobs):\n"
        "    episode.branches(4)\n    episode.advance(9)\n"
    )
    with pytest.raises(ProgramError, match="branch 9 is not open") as caught:
        answered(program, FakeModel(least=5000, most=5000), beta=0.25)
    assert caught.value.line == 7
    assert caught.value.where == "β=0.25"


def test_a_server_that_breaks_off_ends_the_question() -> None:
    with pytest.raises(ServerError, match="broke"):
        answered(shipped("sc"), Failing(least=60, most=60))


class Slow(FakeModel):
    """Branches that go on for as long as anybody wants."""

    def __init__(self) -> None:
        super().__init__(least=10**6, most=10**6, seconds=0.001)


@pytest.mark.parametrize("limit", ["most_tokens", "most_seconds"])
def test_a_limit_ends_an_episode_with_the_majority_of_what_was_seen(limit: str) -> None:
    program = Program.from_source(
        "def schedule(beta):\n    return {}\n\n\ndef solve(episode, knobs):\n"
        "    opened = episode.branches(5)\n    while True:\n        episode.probe(opened)\n"
        "        episode.advance(opened)\n"
    )
    solution = answered(program, Slow(), **{limit: {"most_tokens": 200, "most_seconds": 0.5}[limit]})
    assert solution.stopped == limit.removeprefix("most_")
    assert solution.answer is not None
    assert solution.votes[solution.answer] == max(solution.votes.values())
    assert limit == "most_seconds" or solution.tokens == 200


def test_no_beta_outside_of_its_range() -> None:
    with pytest.raises(InputError, match="0 to 1"):
        answered(shipped("sc"), FakeModel(), beta=1.5)


def interrupted(model: Any, program: Program, act: Callable[[asyncio.Task[Solution], set[int]], Any]) -> BaseException:
    """What a question ends in that something is done to while it is being answered; nothing is left of it."""

    async def main() -> BaseException:
        async with Solver(program, model, Plain(), DELTA, 8) as solver:
            await solver.solve("warm", 0.0, most_tokens=0)
            tasks, threads, held = len(asyncio.all_tasks()), threading.active_count(), descriptors()
            before = descendants(os.getpid())
            solving = asyncio.create_task(solver.solve("how many?", 0.5))
            while not (model.open or (program is BUSY and descendants(os.getpid()) - before)):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            act(solving, descendants(os.getpid()) - before)
            (error,) = await asyncio.gather(solving, return_exceptions=True)
            assert model.open == 0
            assert len(asyncio.all_tasks()) == tasks
            assert threading.active_count() == threads
            assert soon(lambda: descendants(os.getpid()) == before)
            assert descriptors() == held
            assert isinstance(error, BaseException)
            # And the next question is answered as if nothing had been.
            assert (await solver.solve("next", 0.0, most_tokens=0)).answer is None
            return error

    return asyncio.run(main())


BUSY = Program.from_source(
    "def schedule(beta):\n    return {'n': beta}\n\n\ndef solve(episode, knobs):\n    while knobs['n']:\n        pass\n"
)


def test_a_client_that_leaves_takes_everything_with_it() -> None:
    def leave(solving: asyncio.Task[Solution], _: set[int]) -> None:
        solving.cancel()

    assert isinstance(interrupted(Slow(), shipped("sc"), leave), asyncio.CancelledError)


def test_one_that_leaves_twice_as_well() -> None:
    def leave(solving: asyncio.Task[Solution], _: set[int]) -> None:
        solving.cancel()
        asyncio.get_running_loop().call_soon(solving.cancel)

    assert isinstance(interrupted(Slow(), shipped("sc"), leave), asyncio.CancelledError)


def test_one_that_leaves_while_the_program_computes() -> None:
    def leave(solving: asyncio.Task[Solution], _: set[int]) -> None:
        solving.cancel()

    assert isinstance(interrupted(Slow(), BUSY, leave), asyncio.CancelledError)


def test_a_child_that_is_killed_is_a_typed_end() -> None:
    model = Slow()
    stepping = Program.from_source(
        "def schedule(beta):\n    return {}\n\n\ndef solve(episode, knobs):\n    episode.branches(2)\n"
        "    while True:\n        episode.advance([0, 1])\n"
    )

    def kill(_: asyncio.Task[Solution], children: set[int]) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)

    error = interrupted(model, stepping, kill)
    assert isinstance(error, ProgramError)
    assert error.outcome == "MemoryLimit" and error.machine


def test_many_questions_at_a_time_are_not_mixed_up() -> None:
    class Echo(FakeModel):
        async def probe(self, asked: Asked, prefix: str) -> Said:
            return Said("{", asked.question + "}", 1)

    look = Program.from_source(
        "def schedule(beta):\n    return {}\n\n\n"
        "def solve(episode, knobs):\n    return episode.probe(episode.branch())\n"
    )

    async def main() -> list[Solution]:
        async with Solver(look, Echo(), Plain(), DELTA, 8) as solver:
            return await asyncio.gather(*(solver.solve(f"question {k}", 0.0) for k in range(60)))

    assert [solution.answer for solution in asyncio.run(main())] == [f"question {k}" for k in range(60)]


def test_leaving_the_solver_ends_what_is_still_being_solved() -> None:
    model = Slow()

    async def main() -> None:
        async with Solver(shipped("sc"), model, Plain(), DELTA, 8) as solver:
            solving = asyncio.create_task(solver.solve("how many?", 0.5))
            while not model.open:
                await asyncio.sleep(0.01)
        assert solving.cancelled()
        assert model.open == 0

    asyncio.run(main())


def test_a_watcher_sees_what_the_figures_say() -> None:
    steps: list[Step] = []
    solution = answered(shipped("parallel_probe"), FakeModel(), watch=steps.append)
    count = {what: sum(step.what == what for step in steps) for what in ("opened", "pruned")}
    assert count["pruned"] == solution.pruned
    assert {step.branch for step in steps} == set(range(solution.branches))
    assert max(step.spent for step in steps) == solution.tokens
    last = {step.branch: step.depth for step in steps}
    assert [last[b] for b in range(solution.branches)] == list(solution.depths)
