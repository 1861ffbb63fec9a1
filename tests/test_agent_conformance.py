"""The agents of our own stand what every agent has to stand."""

from __future__ import annotations

from autotts.agents import MockAgent
from autotts.agents.evolution import EvolutionAgent
from autotts.agents.llm import ModelAgent
from autotts.agents.polish import PolishAgent
from autotts.errors import Refused
from autotts.testing.agents import AgentConformance
from tests.scripted import fenced, good, model_agent, says


class TestEvolution(AgentConformance):
    factory = EvolutionAgent


class TestPolish(AgentConformance):
    factory = PolishAgent


def script() -> MockAgent:
    return MockAgent([good(1), Refused("no"), "words", good(2)])


class TestMock(AgentConformance):
    factory = staticmethod(script)


def model() -> ModelAgent:
    return model_agent([says(fenced(good(n))) for n in range(1, 9)])[0]


class TestModel(AgentConformance):
    factory = staticmethod(model)
    deterministic = False
