"""The mechanisms that fill a controller's slots: what each one does in words, in knobs and in code.

Code blocks are lines of the body of `solve` (or of its loop); they speak of `episode`, `knobs`, `ballots` (answers
that count, in the order in which they came), `leader`, `n1`, `n2` (the leader's and the runner-up's votes), and, where
a mechanism needs them, of `latest` (current answers of live branches), `lengths` (intervals behind each ballot) and
`opened`. CONFIDENCE stands for the vote's own confidence in its leader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MECHANISMS", "Knob", "Mechanism", "mechanism", "variants"]

Kind = Literal["count", "geometric", "float"]


@dataclass(frozen=True)
class Knob:
    """A knob's range at β = 0 and at β = 1, and how it is written.

    Attributes:
        name: in the program's schedule.
        at0, at1: (lowest, highest) start and end; a span keeps the direction from at0 to at1.
        kind: "count" is rounded and linear in β, "geometric" rounded and geometric, "float" linear.
    """

    name: str
    at0: tuple[float, float]
    at1: tuple[float, float]
    kind: Kind = "float"

    @property
    def rises(self) -> bool:
        """Whether more β means a higher value."""
        return sum(self.at1) >= sum(self.at0)


@dataclass(frozen=True)
class Mechanism:
    """One variant of one slot.

    Attributes:
        phrase: what it does, as part of a sentence.
        knobs: what β moves.
        setup: lines before the loop.
        loop: lines inside the loop.
        needs: "latest", "lengths", "opened", "step", and names of helper functions.
        weight: how often it is drawn, relative to the slot's other variants.
    """

    slot: str
    variant: str
    phrase: str
    knobs: tuple[Knob, ...] = ()
    setup: str = ""
    loop: str = ""
    needs: tuple[str, ...] = ()
    weight: float = 1.0


LIMIT = Knob("limit", (3, 5), (48, 64), "geometric")

MECHANISMS: tuple[Mechanism, ...] = (
    # ---- opening -----------------------------------------------------------------------------------------------
    Mechanism(
        "opening", "few", "opens a few branches",
        (LIMIT, Knob("n_init", (2, 4), (4, 16), "count")),
        loop='min(int(knobs["n_init"]), limit)',
    ),
    Mechanism(
        "opening", "wide", "opens a row of branches",
        (LIMIT, Knob("n_init", (3, 5), (16, 64), "geometric")),
        loop='min(int(knobs["n_init"]), limit)',
        weight=2,
    ),
    Mechanism("opening", "all", "opens all branches at once", (LIMIT,), loop="limit"),
    # ---- depth allocation --------------------------------------------------------------------------------------
    Mechanism("depth", "lockstep", "runs them abreast", loop="episode.advance(episode.active)", weight=3),
    Mechanism(
        "depth", "burst", "lets agreeing ones run ahead",
        loop="""\
episode.advance(live)
ahead = [i for i in live if i in latest and latest[i] == leader and not episode.is_finished(i)]
episode.advance(ahead)""",
        needs=("latest", "live"),
    ),
    Mechanism("depth", "finish", "reads each to its end", loop="episode.finish(episode.active)", weight=0.5),
    Mechanism(
        "depth", "deepest", "runs the deepest ones first",
        (Knob("focus", (1, 4), (4, 32), "geometric"),),
        loop="""\
deepest = sorted(episode.active, key=episode.depth, reverse=True)
episode.advance(deepest[: int(knobs["focus"])])""",
        weight=0.3,
    ),
    # ---- reading -----------------------------------------------------------------------------------------------
    Mechanism("reading", "finals", "counts final answers"),
    Mechanism(
        "reading", "steady", "counts an answer that a branch has held for long as its vote",
        (Knob("hold", (3, 12), (8, 30), "count"),),
        setup="held: dict[int, int] = {}\nbefore: dict[int, Any] = {}",
        loop="""\
held = {i: held.get(i, 0) + 1 if answer == before.get(i) else 1 for i, answer in latest.items()}
before = latest
steady = [i for i in live if held[i] >= knobs["hold"] and latest[i] != UNPARSED]
ballots += [latest[i] for i in steady]
episode.prune(steady)""",
        needs=("latest", "live", "UNPARSED"),
        weight=0.3,
    ),
    # ---- widening ----------------------------------------------------------------------------------------------
    Mechanism("widening", "none", "opens no more"),
    Mechanism(
        "widening", "refill", "replaces what ended by fresh branches",
        (Knob("abreast", (1, 4), (4, 40), "geometric"),),
        loop="""\
room = min(int(knobs["abreast"]) - len(episode.active), limit - opened)
if room > 0:
    opened += len(episode.branches(room))""",
        needs=("opened",), weight=2,
    ),
    Mechanism(
        "widening", "batches", "opens a batch when all have ended",
        (Knob("batch", (1, 2), (1, 8), "count"),),
        loop="""\
if not episode.active and opened < limit:
    opened += len(episode.branches(min(int(knobs["batch"]), limit - opened)))""",
        needs=("opened",),
    ),
    Mechanism(
        "widening", "doubt", "opens more while confidence is low",
        (
            Knob("widen_from", (1, 12), (1, 24), "count"), Knob("widen_burst", (1, 1), (1, 4), "count"),
            Knob("doubt", (0.6, 0.9), (0.9, 0.99)),
        ),
        loop="""\
if step >= knobs["widen_from"] and opened < limit and CONFIDENCE < knobs["doubt"]:
    opened += len(episode.branches(min(int(knobs["widen_burst"]), limit - opened)))""",
        needs=("opened", "step", "confidence"),
    ),
    # ---- pruning -----------------------------------------------------------------------------------------------
    Mechanism("pruning", "none", "gives none up"),
    Mechanism(
        "pruning", "disagreement", "abandons branches that disagree with the leader for long",
        (Knob("patience", (3, 9), (12, 28), "count"),),
        setup="off: dict[int, int] = {}",
        loop="""\
off = {i: off.get(i, 0) + 1 for i in live if leader is not None and latest[i] != leader}
episode.prune([i for i, steps in off.items() if steps >= knobs["patience"] and i in latest])""",
        needs=("latest", "live"), weight=4,
    ),
    Mechanism(
        "pruning", "cap", "cuts very long branches",
        (Knob("cap", (12, 40), (24, 80), "count"),),
        loop='episode.prune([i for i in episode.active if episode.depth(i) >= knobs["cap"]])',
        weight=0.3,
    ),
    Mechanism(
        "pruning", "overtime", "cuts branches that run much longer than those that finished",
        (Knob("overtime", (1.05, 2.0), (1.3, 4.0)),),
        loop="""\
if len(lengths) > 1:
    longest = knobs["overtime"] * median(lengths)
    episode.prune([i for i in episode.active if episode.depth(i) > longest])""",
        needs=("lengths", "median"), weight=0.7,
    ),
    Mechanism(
        "pruning", "stragglers", "cuts branches that run longer than those that finished and disagree with the leader",
        (Knob("overtime", (0.7, 1.3), (1.0, 2.5)),),
        loop="""\
if lengths and leader is not None:
    longest = knobs["overtime"] * median(lengths)
    episode.prune([i for i in live if latest[i] != leader and episode.depth(i) > longest])""",
        needs=("latest", "live", "lengths", "median"), weight=0.5,
    ),
    Mechanism(
        "pruning", "overruled", "abandons branches that disagree with a sure leader for long",
        (Knob("patience", (2, 6), (8, 24), "count"), Knob("sure", (0.6, 0.8), (0.6, 0.95))),
        setup="off: dict[int, int] = {}",
        loop="""\
off = {i: off.get(i, 0) + 1 for i in live if leader is not None and latest[i] != leader}
if CONFIDENCE >= knobs["sure"]:
    episode.prune([i for i, steps in off.items() if steps >= knobs["patience"] and i in latest])""",
        needs=("latest", "live", "confidence"),
    ),
    # ---- stopping ----------------------------------------------------------------------------------------------
    Mechanism(
        "stopping", "confident", "stops when the leader is likely ahead",
        (Knob("min_ballots", (1, 2), (2, 6), "count"), Knob("threshold", (0.6, 0.9), (0.93, 0.999))),
        loop="""\
if len(ballots) >= knobs["min_ballots"] and CONFIDENCE >= knobs["threshold"]:
    break""",
        needs=("confidence",), weight=2,
    ),
    Mechanism(
        "stopping", "momentum", "stops when the smoothed confidence is high",
        (
            Knob("min_ballots", (1, 2), (2, 6), "count"), Knob("threshold", (0.6, 0.9), (0.93, 0.995)),
            Knob("alpha", (0.5, 0.9), (0.15, 0.5)),
        ),
        setup="momentum = 0.0",
        loop="""\
momentum += knobs["alpha"] * (CONFIDENCE - momentum)
if len(ballots) >= knobs["min_ballots"] and momentum >= knobs["threshold"]:
    break""",
        needs=("confidence",),
    ),
    Mechanism(
        "stopping", "first", "stops after the first few answers",
        (Knob("enough", (1, 3), (8, 40), "geometric"),),
        loop="""\
if len(ballots) >= knobs["enough"]:
    break""",
    ),
    Mechanism(
        "stopping", "ahead", "stops when the leader is several votes ahead",
        (Knob("lead", (0.8, 2.0), (4.0, 12.0)),),
        loop="""\
if n1 - n2 >= knobs["lead"]:
    break""",
    ),
    Mechanism(
        "stopping", "survival", "stops when the rest can hardly turn the vote",
        (Knob("sigmas", (0.2, 0.8), (0.8, 2.0)),),
        loop="""\
left = max(1, limit - len(ballots))
if n1 - n2 >= knobs["sigmas"] * math.sqrt(left):
    break""",
        needs=("math",), weight=2,
    ),
    Mechanism(
        "stopping", "settled", "stops when those still running can hardly turn the vote",
        (Knob("min_ballots", (1, 2), (2, 6), "count"), Knob("turn", (0.1, 0.5), (0.4, 1.0))),
        loop="""\
if len(ballots) >= knobs["min_ballots"] and n1 - n2 > knobs["turn"] * len(episode.active):
    break""",
        weight=2,
    ),
    # ---- giving up ---------------------------------------------------------------------------------------------
    Mechanism("giving_up", "never", "", weight=2),
    Mechanism(
        "giving_up", "spread", "gives up where answers are scattered",
        (Knob("trial", (3, 6), (16, 48), "geometric"), Knob("share", (0.3, 0.5), (0.05, 0.25))),
        loop="""\
if len(ballots) >= knobs["trial"] and n1 < knobs["share"] * len(ballots):
    break""",
    ),
    Mechanism(
        "giving_up", "ceiling", "keeps to a ceiling of intervals",
        (Knob("ceiling", (60, 200), (1000, 3000), "geometric"),),
        loop="""\
if episode.tokens >= knobs["ceiling"] * episode.interval:
    break""",
    ),
    # ---- vote --------------------------------------------------------------------------------------------------
    Mechanism("vote", "majority", "majority vote", loop="leader, n1, n2, _ = vote(ballots)"),
    Mechanism(
        "vote", "parsed", "majority vote in which unparsed answers abstain",
        loop="leader, n1, n2, _ = vote(ballots, skip_unparsed=True)",
    ),
    Mechanism(
        "vote", "early", "vote in which those who finish first weigh more",
        (Knob("early", (1.0, 8.0), (8.0, 60.0)),),
        loop="""\
weights = [1 / (1 + rank / knobs["early"]) for rank in range(len(ballots))]
leader, n1, n2 = weighted_vote(ballots, weights)""",
        needs=("weighted_vote",), weight=1.5,
    ),
    Mechanism(
        "vote", "short", "vote in which short branches weigh more",
        (Knob("power", (0.5, 3.0), (0.2, 2.0)),),
        loop="""\
shortest = min(lengths, default=1)
weights = [(shortest / length) ** knobs["power"] for length in lengths]
leader, n1, n2 = weighted_vote(ballots, weights)""",
        needs=("lengths", "weighted_vote"), weight=1.5,
    ),
    Mechanism(
        "vote", "partial", "vote to which unfinished branches add a share",
        (Knob("partial", (0.2, 0.6), (0.05, 0.4)),),
        loop="""\
current = list(latest.values())
leader, n1, n2 = weighted_vote(ballots + current, [1.0] * len(ballots) + [knobs["partial"]] * len(current))""",
        needs=("latest", "live", "weighted_vote"), weight=0.4,
    ),
)  # fmt: skip

_BY_NAME = {(m.slot, m.variant): m for m in MECHANISMS}


def mechanism(slot: str, variant: str) -> Mechanism:
    """The mechanism of that name; KeyError for an unknown one."""
    return _BY_NAME[slot, variant]


def variants(slot: str) -> list[Mechanism]:
    """All mechanisms of a slot."""
    return [m for m in MECHANISMS if m.slot == slot]
