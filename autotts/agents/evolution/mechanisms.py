"""The mechanisms that fill a controller's slots: what each one does in words, in knobs and in code.

Code blocks are lines of the body of `solve` (or of its loop); they speak of `episode`, `knobs`, `ballots` (answers
that count, in the order in which they came), `leader`, `n1`, `n2` (the leader's and the runner-up's votes), and, where
a mechanism needs them, of `latest` (current answers of live branches), `lengths` (intervals behind each ballot) and
`opened` and `done` (branches that finished since the last turn). CONFIDENCE stands for the vote's own confidence in its
leader.
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
        needs: "latest", "watched" (live branches are probed each turn), "lengths", "opened", "step", and names of
            helper functions.
        weight: how likely evolution takes it to be of use before it has measured anything, relative to the slot's other
            variants.
    """

    slot: str
    variant: str
    phrase: str
    knobs: tuple[Knob, ...] = ()
    setup: str = ""
    loop: str = ""
    needs: tuple[str, ...] = ()
    weight: float = 1.0


OFF = "off: dict[int, int] = {}"
DISSENT = """\
off = {i: off.get(i, 0) + 1 for i in live if leader is not None and latest[i] != leader}
"""
UNSUPPORTED = """\
episode.prune([i for i, steps in off.items() if steps >= knobs["patience"] and latest[i] not in ballots])"""
LIMIT = Knob("limit", (3, 4), (48, 64), "geometric")

# The weights go by what pruning, stopping and width were worth on recorded branches and on synthetic
# ones: breadth that starts at three branches, pruning after the first ballot, and stopping when nobody can catch up
# carry most of the gain; trusting unfinished branches before the first has finished loses.
MECHANISMS: tuple[Mechanism, ...] = (
    # ---- opening -----------------------------------------------------------------------------------------------
    Mechanism(
        "opening", "row", "opens a row of branches", (Knob("limit", (3, 3), (32, 60), "geometric"),), loop="limit",
        weight=3,
    ),
    Mechanism(
        "opening", "staggered", "staggers its branches",
        (LIMIT, Knob("n_init", (3, 3), (12, 36), "geometric")),
        loop='min(int(knobs["n_init"]), limit)',
        weight=1.5,
    ),
    Mechanism(
        "opening", "few", "opens a few branches",
        (LIMIT, Knob("n_init", (2, 4), (4, 16), "count")),
        loop='min(int(knobs["n_init"]), limit)',
        weight=0.5,
    ),
    # ---- depth allocation --------------------------------------------------------------------------------------
    Mechanism("depth", "lockstep", "runs them abreast", loop="episode.advance(episode.active)"),
    Mechanism(
        "depth", "burst", "lets agreeing ones run ahead",
        loop="""\
episode.advance(live)
ahead = [i for i in live if i in latest and latest[i] == leader and not episode.is_finished(i)]
episode.advance(ahead)""",
        needs=("latest", "live"),
    ),
    Mechanism("depth", "finish", "reads each to its end", loop="episode.finish(episode.active)", weight=0.2),
    Mechanism(
        "depth", "deepest", "runs the deepest ones first",
        (Knob("focus", (1, 4), (4, 32), "geometric"),),
        loop="""\
deepest = sorted(episode.active, key=episode.depth, reverse=True)
episode.advance(deepest[: int(knobs["focus"])])""",
        weight=0.1,
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
        weight=0.1,
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
        needs=("opened",), weight=0.4,
    ),
    Mechanism(
        "widening", "batches", "opens a batch when all have ended",
        (Knob("batch", (1, 2), (1, 8), "count"),),
        loop="""\
if not episode.active and opened < limit:
    opened += len(episode.branches(min(int(knobs["batch"]), limit - opened)))""",
        needs=("opened",), weight=0.3,
    ),
    Mechanism(
        "widening", "doubt", "opens more while confidence is low",
        (
            Knob("widen_from", (1, 2), (1, 4), "count"), Knob("widen_burst", (1, 1), (2, 8), "count"),
            Knob("doubt", (0.75, 0.9), (0.93, 0.99)),
        ),
        loop="""\
if step >= knobs["widen_from"] and opened < limit and CONFIDENCE < knobs["doubt"]:
    opened += len(episode.branches(min(int(knobs["widen_burst"]), limit - opened)))""",
        needs=("opened", "step", "confidence"),
    ),
    # ---- pruning -----------------------------------------------------------------------------------------------
    Mechanism("pruning", "none", "gives none up", weight=0.3),
    Mechanism(
        "pruning", "disagreement", "abandons branches that disagree with the leader for long",
        (Knob("patience", (5, 9), (8, 14), "count"),),
        setup=OFF,
        loop=DISSENT + """\
episode.prune([i for i, steps in off.items() if steps >= knobs["patience"]])""",
        needs=("latest", "live"),
    ),
    Mechanism(
        "pruning", "unsupported", "abandons branches that dissent for long with an answer that none has finished with",
        (Knob("patience", (5, 9), (7, 11), "count"),),
        setup=OFF,
        loop=DISSENT + UNSUPPORTED,
        needs=("latest", "live"), weight=3,
    ),
    Mechanism(
        "pruning", "unsupported_or_long",
        "abandons very long branches, and those that dissent for long with an answer that none has finished with",
        (Knob("patience", (5, 9), (7, 11), "count"), Knob("cap", (45, 50), (48, 60), "count")),
        setup=OFF,
        loop=DISSENT + UNSUPPORTED + """
episode.prune([i for i in episode.active if episode.depth(i) >= knobs["cap"]])""",
        needs=("latest", "live"),
    ),
    Mechanism(
        "pruning", "cap", "cuts very long branches",
        (Knob("cap", (12, 40), (24, 80), "count"),),
        loop='episode.prune([i for i in episode.active if episode.depth(i) >= knobs["cap"]])',
        weight=0.2,
    ),
    Mechanism(
        "pruning", "overtime", "cuts branches that run much longer than those that finished",
        (Knob("overtime", (1.05, 2.0), (1.3, 4.0)),),
        loop="""\
if len(lengths) > 1:
    longest = knobs["overtime"] * median(lengths)
    episode.prune([i for i in episode.active if episode.depth(i) > longest])""",
        needs=("lengths", "median"), weight=0.2,
    ),
    Mechanism(
        "pruning", "stragglers", "cuts branches that run longer than those that finished and disagree with the leader",
        (Knob("overtime", (0.7, 1.3), (1.0, 2.5)),),
        loop="""\
if lengths and leader is not None:
    longest = knobs["overtime"] * median(lengths)
    episode.prune([i for i in live if latest[i] != leader and episode.depth(i) > longest])""",
        needs=("latest", "live", "lengths", "median"), weight=0.2,
    ),
    Mechanism(
        "pruning", "overruled", "abandons branches that disagree with a sure leader for long",
        (Knob("patience", (2, 6), (8, 24), "count"), Knob("sure", (0.6, 0.8), (0.6, 0.95))),
        setup=OFF,
        loop=DISSENT + """\
if CONFIDENCE >= knobs["sure"]:
    episode.prune([i for i, steps in off.items() if steps >= knobs["patience"]])""",
        needs=("latest", "live", "confidence"), weight=0.3,
    ),
    # ---- stopping ----------------------------------------------------------------------------------------------
    Mechanism(
        "stopping", "confident", "stops when the leader is likely ahead",
        (Knob("min_ballots", (1, 2), (2, 5), "count"), Knob("threshold", (0.7, 0.9), (0.95, 0.995))),
        loop="""\
if len(ballots) >= knobs["min_ballots"] and CONFIDENCE >= knobs["threshold"]:
    break""",
        needs=("confidence",),
    ),
    Mechanism(
        "stopping", "momentum", "stops when the smoothed confidence is high",
        (
            Knob("min_ballots", (1, 2), (2, 5), "count"), Knob("threshold", (0.7, 0.9), (0.95, 0.99)),
            Knob("alpha", (0.5, 0.9), (0.2, 0.5)),
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
        weight=0.4,
    ),
    Mechanism(
        "stopping", "ahead", "stops when the leader is several votes ahead",
        (Knob("lead", (1.0, 2.0), (4.0, 10.0)),),
        loop="""\
if n1 - n2 >= knobs["lead"]:
    break""",
        weight=0.5,
    ),
    Mechanism(
        "stopping", "survival", "stops when the rest can hardly turn the vote",
        (Knob("sigmas", (0.2, 0.6), (0.5, 1.3)),),
        loop="""\
left = max(1, limit - len(ballots))
if n1 - n2 >= knobs["sigmas"] * math.sqrt(left):
    break""",
        needs=("math",), weight=0.5,
    ),
    Mechanism(
        "stopping", "settled", "stops when those still running can hardly turn the vote",
        (Knob("min_ballots", (1, 2), (2, 4), "count"), Knob("turn", (0.1, 0.5), (0.3, 0.8))),
        loop="""\
if len(ballots) >= knobs["min_ballots"] and n1 - n2 > knobs["turn"] * len(episode.active):
    break""",
    ),
    Mechanism(
        "stopping", "unreachable", "stops when no other answer could catch up",
        (Knob("caution", (0.0, 0.2), (0.0, 0.3)),),
        loop="""\
reach = Counter(ballots + list(latest.values()))
rival = max((n for answer, n in reach.items() if answer not in (leader, UNPARSED)), default=0)
dissenting = sum(answer != leader for answer in latest.values())
if ballots.count(leader) > rival + knobs["caution"] * dissenting:
    break""",
        needs=("latest", "live", "Counter", "UNPARSED"), weight=3,
    ),
    # ---- giving up ---------------------------------------------------------------------------------------------
    Mechanism("giving_up", "never", "", weight=3),
    Mechanism(
        "giving_up", "spread", "gives up where answers are scattered",
        (Knob("trial", (6, 10), (12, 40), "geometric"), Knob("share", (0.2, 0.3), (0.1, 0.2))),
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
        weight=0.3,
    ),
    # ---- vote --------------------------------------------------------------------------------------------------
    Mechanism("vote", "majority", "majority vote", loop="leader, n1, n2, _ = vote(ballots)"),
    Mechanism(
        "vote", "parsed", "majority vote in which unparsed answers abstain",
        loop="leader, n1, n2, _ = vote(ballots, skip_unparsed=True)",
    ),
    Mechanism(
        "vote", "early", "vote in which those who finish first weigh more",
        (Knob("early", (4.0, 20.0), (20.0, 60.0)),),
        loop="""\
weights = [1 / (1 + rank / knobs["early"]) for rank in range(len(ballots))]
leader, n1, n2 = weighted_vote(ballots, weights)""",
        needs=("weighted_vote",), weight=0.5,
    ),
    Mechanism(
        "vote", "short", "vote in which short branches weigh more",
        (Knob("power", (0.5, 3.0), (0.2, 2.0)),),
        loop="""\
shortest = min(lengths, default=1)
weights = [(shortest / length) ** knobs["power"] for length in lengths]
leader, n1, n2 = weighted_vote(ballots, weights)""",
        needs=("lengths", "weighted_vote"), weight=0.3,
    ),
    Mechanism(
        "vote", "deserted",
        "vote in which an answer counts less for each branch that held it for long and finished with another",
        (Knob("held_long", (4, 12), (8, 24), "count"), Knob("against", (0.05, 0.3), (0.05, 0.3))),
        setup="deserted: Counter[Any] = Counter()",
        loop="""\
for i in done:
    *earlier, final = episode.answers(i)
    deserted.update(a for a, n in Counter(earlier).items() if n >= knobs["held_long"] and a != final)
weights = [1 / (1 + knobs["against"] * deserted[answer]) for answer in ballots]
leader, n1, n2 = weighted_vote(ballots, weights)""",
        needs=("watched", "Counter", "weighted_vote"), weight=0.4,
    ),
    Mechanism(
        "vote", "partial", "vote to which unfinished branches add a share",
        (Knob("partial", (0.2, 0.6), (0.05, 0.4)),),
        loop="""\
current = list(latest.values())
leader, n1, n2 = weighted_vote(ballots + current, [1.0] * len(ballots) + [knobs["partial"]] * len(current))""",
        needs=("latest", "live", "weighted_vote"), weight=0.1,
    ),
)  # fmt: skip

_BY_NAME = {(m.slot, m.variant): m for m in MECHANISMS}


def mechanism(slot: str, variant: str) -> Mechanism:
    """The mechanism of that name; KeyError for an unknown one."""
    return _BY_NAME[slot, variant]


def variants(slot: str) -> list[Mechanism]:
    """All mechanisms of a slot."""
    return [m for m in MECHANISMS if m.slot == slot]
