"""What a run is: its configuration, which decides its archive row for row, and what it may spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autotts.agents import Settings
from autotts.evaluation import Protocol, even_betas, reserved
from autotts.replay import Environment
from autotts.search.account import Budget

__all__ = ["Config"]

BENCH_SEEDS = 2
"""Episode seeds behind what an agent is shown."""


@dataclass(frozen=True)
class Config:
    """What a run is: everything here but `budget` is stored in it and decides its archive, row for row.

    Attributes:
        agents: the agents' names; they share the slots in turn.
        rounds: rounds of proposals after the baselines (round 0).
        proposals_per_round: slots a round.
        seed: everything random comes from it.
        betas: number of β, evenly spaced.
        seeds: episode seeds that confirming plays.
        screen_seeds: how many of them screening plays, the first ones.
        screen_betas: how many of the β screening plays, evenly spread, the least and the greatest among them.
        envs: the environments' paths or names, as given.
        equivalence: answer equivalence, None for what the files say.
        reserve: share of the questions that no agent and no selection sees, 0 ≤ share < 1.
        added: hashes of the programs that people had added when the run began; they follow the baselines.
        settings: how agents that call models go about it.
        budget: what the run may spend; a resumed run may be given others.
        selector: the strategy that picks parents, by name.
        lag: a round is asked when all before it but so many have been told; so rounds overlap.
    """

    agents: tuple[str, ...] = ("evolution",)
    rounds: int = 4
    proposals_per_round: int = 4
    seed: int = 0
    betas: int = 11
    seeds: int = 6
    screen_seeds: int = 2
    screen_betas: int = 3
    envs: tuple[str, ...] = ()
    equivalence: str | None = None
    reserve: float = 0.0
    added: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    budget: Budget = field(default_factory=Budget)
    selector: str = "pareto"
    lag: int = 0

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Config:
        """The configuration that a run's record holds."""
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
        values["agents"] = values.get("agents") or (values.pop("agent"),)  # as archives of version 2 have it
        values.setdefault("screen_betas", values.get("betas", cls.betas))  # older runs screened all
        values["settings"] = Settings(**values.get("settings", {}))
        values["budget"] = Budget(**values.get("budget", {}))
        return cls(**values)

    def parted(self, environments: Sequence[Environment]) -> tuple[list[Environment], list[Environment]]:
        """(What the search sees, what `reserve` keeps from it) of whole environments.

        Raises:
            InputError: too few questions.
        """
        return reserved(environments, self.reserve, self.seed)

    @property
    def protocol(self) -> Protocol:
        """What confirming plays."""
        return Protocol(even_betas(self.betas), tuple(range(self.seeds)))

    @property
    def screen_protocol(self) -> Protocol:
        """What screening plays: fewer seeds, fewer β."""
        betas, n = self.protocol.betas, min(self.screen_betas, self.betas)
        places = [round(k * (len(betas) - 1) / max(n - 1, 1)) for k in range(n)]
        return Protocol(tuple(betas[place] for place in places), tuple(range(min(self.screen_seeds, self.seeds))))

    @property
    def bench_protocol(self) -> Protocol:
        """What an agent's measurements and evidence play: all β, for nothing that is left out is read between them."""
        return replace(self.protocol, seeds=tuple(range(min(BENCH_SEEDS, self.seeds))))
