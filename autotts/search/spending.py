"""What models were asked and paid, and what came of it: by agent, by round, by program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from autotts.archive import Archive, Call, Listed

__all__ = ["Spending", "spending"]

By = Literal["agent", "round", "program"]

KINDS = ("input", "cache_read", "cache_write", "output")


@dataclass(frozen=True)
class Spending:
    """Of all proposals of an agent, a round, or a program.

    Attributes:
        name: of the agent, the round or the program ("–": slots without one).
        proposals: asked for.
        accepted: of these, programs that ran to the end.
        calls: requests to models, retries included.
        reserved: of these, calls that count at the most that they may have used, as nobody told what they did.
        tokens: that count against a budget.
        input, cache_read, cache_write, output: tokens as servers told them.
        cost: dollars, None where a price is unknown.
        seconds: that calls took.
        progress: by how much the proposals raised the run's greatest gain, as fractions of 1.
    """

    name: str
    proposals: int = 0
    accepted: int = 0
    calls: int = 0
    reserved: int = 0
    tokens: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0
    progress: float = 0.0

    @property
    def per_proposal(self) -> float | None:
        """Progress by proposal."""
        return self.progress / self.proposals if self.proposals else None

    @property
    def per_dollar(self) -> float | None:
        """Progress by dollar; None where nothing was paid, or nobody knows how much."""
        return self.progress / self.cost if self.cost else None


def spending(archive: Archive, run: str, by: By = "agent") -> list[Spending]:
    """What a run spent, in the order in which names first come up. Baselines and what people added are not listed."""
    rows = list(archive.listing(run))
    slots, raised = [row for row in rows if row.round], _progress(rows)
    calls: dict[tuple[int, int], list[Call]] = {}
    for call in archive.calls(run, texts=False):
        calls.setdefault((call.round, call.slot), []).append(call)
    name_of: dict[By, Callable[[int, Listed | None, Sequence[Call]], str]] = {
        "agent": lambda _, row, made: row.agent if row else made[0].agent,
        "round": lambda round_, _, __: str(round_),
        "program": lambda _, row, __: (row.id if row else None) or "–",
    }
    known = {(row.round or 0, row.slot or 0): row for row in slots}
    found: dict[str, Spending] = {}
    for place in sorted(known.keys() | calls.keys()):  # a slot that was interrupted has calls and no answer yet
        row, made = known.get(place), calls.get(place, [])
        name = name_of[by](place[0], row, made)
        found[name] = _added(found.get(name, Spending(name)), row, made, raised.get(place, 0.0))
    return list(found.values())


def _added(sum_: Spending, row: Listed | None, calls: Sequence[Call], progress: float) -> Spending:
    kinds = {kind: getattr(sum_, kind) + sum(call.usage.get(kind, 0) for call in calls) for kind in KINDS}
    cost = sum_.cost
    for call in calls:
        cost = None if cost is None or call.cost is None else cost + call.cost
    return replace(
        sum_,
        proposals=sum_.proposals + 1,
        accepted=sum_.accepted + (row is not None and row.outcome == "ok"),
        calls=sum_.calls + len(calls),
        reserved=sum_.reserved + sum(bool(call.tokens) and not call.usage for call in calls),
        tokens=sum_.tokens + sum(call.tokens for call in calls),
        cost=cost,
        seconds=sum_.seconds + sum(call.seconds for call in calls),
        progress=sum_.progress + progress,
        **kinds,
    )


def _progress(rows: Sequence[Listed]) -> dict[tuple[int, int], float]:
    """Slot → by how much it raised the greatest confirmed gain; the baselines and added programs set the start."""
    best, raised = 0.0, {}
    for row in rows:
        if row.stage != "confirm" or row.outcome != "ok" or row.gain is None:
            continue
        if row.round and row.gain > best:
            raised[row.round, row.slot or 0] = row.gain - best
        best = max(best, row.gain)
    return raised
