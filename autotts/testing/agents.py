"""What every agent has to stand, as tests to inherit; needs pytest.

class TestMine(AgentConformance):
    factory = staticmethod(MyAgent)
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from autotts.agents import Agent, Candidate, Context, Proposal, most_of
from autotts.archive import Archive
from autotts.errors import AGENT_OUTCOMES, OUTCOMES, AgentError
from autotts.evaluation import Evaluator, shipped
from autotts.replay import Environment, synthetic_environments
from autotts.search import Config, Search, default_selector, start_run

__all__ = ["AgentConformance"]

KNOWN = {"ok", "Duplicate", *OUTCOMES, *AGENT_OUTCOMES}


class AgentFactory(Protocol):
    """Makes an agent."""

    def __call__(self) -> Agent: ...


class AgentConformance:
    """How an agent behaves to a search: what it is given, what it gives, and that a search with it can be resumed.

    Attributes:
        factory: makes the agent, anew for each test.
        deterministic: whether it answers the same to the same context and generator; an agent that asks a model does
            not.
        rounds: of the small search that is run.
    """

    factory: ClassVar[AgentFactory]
    deterministic: ClassVar[bool] = True
    rounds: ClassVar[int] = 2

    @pytest.fixture(scope="class")
    @classmethod
    def worlds(cls) -> Iterator[list[Environment]]:
        """A world that takes a second."""
        world = synthetic_environments("search")[0]
        yield [world.select([question.id for question in world.questions[:4]])]

    @pytest.fixture(scope="class")
    @classmethod
    def evaluator(cls, worlds: list[Environment]) -> Iterator[Evaluator]:
        """Runs what it proposes."""
        with Evaluator(worlds, 1) as evaluator:
            yield evaluator

    def search(self, path: Path, worlds: list[Environment], evaluator: Evaluator, agent: Agent, rounds: int) -> Search:
        """A search with the agent in an archive at a path; begun, or gone on with."""
        config = Config((agent.name,), rounds, 2, betas=2, seeds=1, screen_seeds=1)
        archive = Archive(path)
        run = start_run(archive, "run", config, worlds)
        return Search(archive, run, config, worlds, [agent], default_selector(worlds), evaluator)

    def test_it_has_a_name_to_be_stored_by(self) -> None:
        """One line of text."""
        name = self.factory().name
        assert isinstance(name, str)
        assert name
        assert name.isprintable()

    def test_it_says_what_it_may_cost(self) -> None:
        """Tokens and dollars, or that nobody knows."""
        tokens, dollars = most_of(self.factory())
        assert tokens is None or tokens >= 0
        assert dollars is None or dollars >= 0

    def test_a_search_with_it_ends_and_every_slot_has_an_outcome(
        self, tmp_path: Path, worlds: list[Environment], evaluator: Evaluator
    ) -> None:
        """Whatever it proposes is judged, and parents are programs that it was told of."""
        search = self.search(tmp_path / "a.db", worlds, evaluator, self.factory(), self.rounds)
        search.go()
        made = [candidate for candidate in search.candidates if candidate.round]
        assert len(made) == 2 * self.rounds
        assert {candidate.outcome for candidate in made} <= KNOWN
        ids = {candidate.id for candidate in search.candidates}
        assert all(set(candidate.parents) <= ids for candidate in made)
        search.archive.close()

    def test_a_search_that_was_stopped_goes_on(
        self, tmp_path: Path, worlds: list[Environment], evaluator: Evaluator
    ) -> None:
        """By another object of the same agent, which has only the archive to go by; to the same end, row for row."""
        first = self.search(tmp_path / "a.db", worlds, evaluator, self.factory(), self.rounds)
        first.begin()
        while first.place != (1, 1):
            first.step()
        first.archive.close()
        search = self.search(tmp_path / "a.db", worlds, evaluator, self.factory(), self.rounds)
        search.go()
        assert len([candidate for candidate in search.candidates if candidate.round]) == 2 * self.rounds
        if self.deterministic:
            whole = self.search(tmp_path / "b.db", worlds, evaluator, self.factory(), self.rounds)
            whole.go()
            assert list(search.archive.dump()) == list(whole.archive.dump())
            whole.archive.close()
        search.archive.close()

    def test_it_answers_the_same_to_the_same_question(self) -> None:
        """And leaves what it was given as it was; a generator is its only source of chance."""
        if not self.deterministic:
            pytest.skip("this agent says that it is not deterministic")
        reference = shipped("cmc")
        told = Candidate(reference.id, reference.source, reference.idea, "baseline", "", "ok", 0.0, 0.0, True, 0, 0, ())
        for context in (Context(1, 0, (told,), ()), Context(2, 1, (told,), (told,), 3)):
            before = copy.deepcopy(context)
            answers = [self._answer(context) for _ in range(2)]
            assert answers[0] == answers[1]
            assert context == before

    def _answer(self, context: Context) -> Proposal | str:
        try:
            return self.factory().propose(context, random.Random(7))
        except AgentError as error:
            return str(error)
