"""Constants by CPU: an agent that tunes the numbers in the schedule of a good program."""

from autotts.agents.polish.agent import PolishAgent
from autotts.agents.polish.tuning import Polished, optimiser, polished

__all__ = ["PolishAgent", "Polished", "optimiser", "polished"]
