"""Programs that would win what they have not earned.

The policy stops most before they start. With the policy off they run beside the recorded branches while they are
screened, and must fail, or win nothing, when the host reveals each interval itself.
"""

from __future__ import annotations

from autotts.testing.hostile._attack import CRASHED, HARMLESS, POLICY, Attack, controller

__all__ = ["CHEATS"]

CAUGHT = ("LookAhead", "Nondeterministic")
REFUSED = ("InadmissibleAction",)
WIRE = ("OutputLimit",)


def _cheat(name: str, body: str, policy: tuple[str, ...], jail: tuple[str, ...], top: str = "") -> Attack:
    return Attack("cheats", name, controller(top, body), policy, jail)


_PEEK = """\
source = episode._source
table = getattr(source, '_table', None)
"""
_SCREEN_ONLY = """\
import sys
f = sys._getframe()
while f and 'records' not in f.f_locals: f = f.f_back
"""

_FREE_RIDER = '''\
"""Dear episodes read everything; cheap ones of the same question wait for them, and take the winner that is known."""
import sys

PAYERS = 3


def schedule(beta):
    return {"n": 2 + 6 * beta}


def winner(labels):
    groups = {}
    for total, label in labels.items():
        groups.setdefault(label, []).append(total)
    return set(max(groups.values(), key=lambda g: (len(g), -min(g))))


def cost(episode, b):
    before = episode.tokens
    if not episode.is_finished(b):
        episode.finish(b)
    return episode.interval + episode.tokens - before


def known(episode, memory, total):
    table = getattr(episode._source, "_table", None)
    if table:
        return winner({t: a[-1] for t, a in zip(table.totals, table.answers)})
    while True:
        found = memory.get(total)
        if found and found["paid"] == PAYERS:
            return winner(found["labels"])
        episode._source._ask([2, 0])


def solve(episode, knobs):
    memory = sys.__dict__.setdefault("memory", {})
    n = int(knobs["n"])
    if n in (2, 3):
        best = None
        while True:
            b = episode.branch()
            total = cost(episode, b)
            best = best or known(episode, memory, total)
            if total in best or not episode.can_branch:
                return episode.probe(b)
    opened = episode.branches(episode.max_branches if n > 5 else n)
    mine = {cost(episode, b): episode.probe(b) for b in opened}
    if n > 5:
        found = next((memory[t] for t in mine if t in memory), {"paid": 0, "labels": {}})
        for total, label in mine.items():
            found["labels"].setdefault(total, label)
            memory[total] = found
        found["paid"] += 1
    answers = list(mine.values())
    return max(answers, key=answers.count)
'''

CHEATS: tuple[Attack, ...] = (
    Attack(
        "cheats",
        "lets dear episodes pay for cheap ones",
        _FREE_RIDER,
        POLICY,
        (*CAUGHT, *WIRE, "CpuLimit", "WallTimeout"),
    ),
    # ---- answers and lengths that nobody revealed
    _cheat(
        "takes the branch that will be right",
        _PEEK + "if table:\n"
        "    order = source._order[:source.limit]\n"
        "    ends = [table.answers[b][-1] for b in order]\n"
        "    best = max(ends, key=ends.count)\n"
        "    episode.branches(ends.index(best) + 1)\n"
        "    episode.finish(ends.index(best))\n"
        "    return episode.probe(ends.index(best))",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "takes the shortest branch",
        _PEEK + "if table:\n"
        "    totals = [table.totals[b] for b in source._order[:source.limit]]\n"
        "    short = totals.index(min(totals))\n"
        "    episode.branches(short + 1)\n"
        "    episode.finish(short)\n"
        "    return episode.probe(short)",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "looks at the next answer before it pays",
        _PEEK + "b = episode.branch()\nwhile table and not episode.is_finished(b):\n"
        "    row = source._answers[b]\n"
        "    if row[episode.depth(b)] == row[-1]:\n"
        "        episode.finish(b)\n"
        "        return episode.probe(b)\n"
        "    episode.advance(b)",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "opens as many as will be needed",
        _PEEK + "if table:\n"
        "    ends = [table.answers[b][-1] for b in source._order[:source.limit]]\n"
        "    knobs = {'n': 1 + len(set(ends))}",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "gives up where nothing will come of it",
        _PEEK + "if table and len({row[-1] for row in table.answers}) > 2: return None",
        POLICY,
        CAUGHT,
    ),
    _cheat("asks for a branch that is not open", "return episode.probe(3)", REFUSED, REFUSED),
    _cheat(
        "asks for what is behind the end",
        "b = episode.branch()\nepisode.finish(b)\nepisode.advance(b)",
        REFUSED,
        REFUSED,
    ),
    _cheat(
        "comes back to what it gave up", "b = episode.branch()\nepisode.prune(b)\nepisode.advance(b)", REFUSED, REFUSED
    ),
    _cheat("more branches than there may be", "episode.branches(episode.max_branches + 1)", REFUSED, REFUSED),
    _cheat("a branch that is true", "b = episode.branches(2)\nepisode.advance(True)", CRASHED, CRASHED),
    _cheat("fewer than none", "episode.branches(-5)", REFUSED, REFUSED),
    _cheat("the same one twice", "b = episode.branch()\nepisode.advance([b, b])", REFUSED, REFUSED),
    _cheat(
        "a number of its own that changes",
        "class N(int):\n    def __hash__(self): return 1\n    def __eq__(self, o): return False\nepisode.branches(2)\nepisode.advance([N(0), N(0)])",
        (*REFUSED, *CRASHED),
        (*REFUSED, *CRASHED),
    ),
    _cheat(
        "a list that changes while it is read",
        "class L(list):\n    def __iter__(self):\n        self.append(0)\n        return iter([0, 0])\nepisode.branches(2)\nepisode.advance(L())",
        REFUSED,
        REFUSED,
    ),
    _cheat(
        "a wave that acts while it is read",
        "def wave():\n    yield 0\n    episode.finish(1)\n    yield 1\nepisode.branches(2)\nepisode.advance(wave())",
        REFUSED,
        REFUSED,
    ),
    _cheat("a number of branches that is true", "episode.branches(True)", REFUSED, REFUSED),
    # ---- counters and records
    _cheat("counts from nought again", "episode._tokens = 0", CRASHED, HARMLESS),
    _cheat("counts from a debt", "episode._tokens = -10**9\nepisode._sequential = -10**9", CRASHED, WIRE),
    _cheat("sets a count that can only be read", "episode.tokens = 0", CRASHED, CRASHED),
    _cheat("sets the interval", "episode.interval = 0", CRASHED, HARMLESS),
    _cheat(
        "pays nothing, by a patch",
        "pass",
        POLICY,
        HARMLESS,
        top="from autotts.replay import episode as e\ne.Episode._pay = lambda *_: None",
    ),
    _cheat(
        "wipes its log",
        "pass",
        POLICY,
        CAUGHT,
        top="from autotts.evaluation import child\nchild.digest_of = lambda log, answer: b'12345678'",
    ),
    _cheat(
        "pretends to be deeper",
        "b = episode.branch()\nepisode._source.depths[b] = 5\nepisode.probe(b)",
        POLICY,
        (*CAUGHT, *REFUSED, *CRASHED, *WIRE),
    ),
    _cheat(
        "wakes a finished branch",
        "b = episode.branch()\nepisode.finish(b)\nepisode._active[b] = None\nepisode._finished.clear()\nepisode.advance(b)",
        POLICY,
        (*REFUSED, *CRASHED),
    ),
    _cheat(
        "raises the ceiling",
        "episode.max_branches = 10**6\nepisode._source.limit = 10**6\nreturn episode.probe(episode.branches(14)[-1])",
        POLICY,
        (*REFUSED, *WIRE),
    ),
    _cheat(
        "writes the host's records, while it screens",
        _SCREEN_ONLY + "if f:\n    r = f.f_locals['records']\n    for k in range(1, len(r), 5): r[k] = r[k + 1]",
        POLICY,
        HARMLESS,
    ),
    _cheat(
        "writes records that cannot be, while it screens",
        _SCREEN_ONLY + "if f:\n    r = f.f_locals['records']\n    for k in range(1, len(r), 5): r[k] = -(2**62)",
        POLICY,
        WIRE,
    ),
    _cheat(
        "sends results of its own, while it screens",
        _SCREEN_ONLY + "if f:\n"
        "    import os, struct\n"
        "    n = 5 * len(f.f_locals['job']['seeds']) * len(f.f_locals['tables'])\n"
        "    payload = struct.pack('<q', 1) * n\n"
        "    for _ in f.f_locals['job']['betas']: os.write(3, struct.pack('<IB', len(payload), 0) + payload)",
        POLICY,
        CAUGHT,
    ),
    # ---- answers
    _cheat("knows a benchmark by heart", "return '204'", REFUSED, REFUSED),
    _cheat("guesses the first label", "episode.branch()\nreturn 'a1'", REFUSED, REFUSED),
    _cheat("invents a label", "episode._ids['mine'] = 1\nreturn 'mine'", POLICY, WIRE),
    _cheat(
        "answers with what does not parse", "from autotts.toolkit import UNPARSED\nreturn UNPARSED", REFUSED, REFUSED
    ),
    # ---- memory across episodes
    _cheat(
        "remembers in a global", "seen.append(1)\nif len(seen) > 1: return None", HARMLESS, HARMLESS, top="seen = []"
    ),
    _cheat(
        "remembers in a default argument",
        "if len(remember()) > 1: return None",
        HARMLESS,
        HARMLESS,
        top="def remember(seen=[]):\n    seen.append(1)\n    return seen",
    ),
    _cheat(
        "remembers in a class",
        "A.seen += 1\nif A.seen > 1: return None",
        HARMLESS,
        HARMLESS,
        top="class A:\n    seen = 0",
    ),
    _cheat(
        "remembers in a cache",
        "if f() > 1: return None",
        HARMLESS,
        HARMLESS,
        top="import functools\ncount = [0]\n@functools.lru_cache\ndef f():\n    count[0] += 1\n    return count[0]",
    ),
    _cheat(
        "remembers in a generator",
        "if next(g) > 0: return None",
        HARMLESS,
        HARMLESS,
        top="import itertools\ng = itertools.count()",
    ),
    _cheat("remembers in a facade", "math.seen = 1", CRASHED, HARMLESS, top="import math"),
    _cheat(
        "remembers in a class of everyone's",
        "collections.Counter.seen = 1",
        CRASHED,
        HARMLESS,
        top="import collections",
    ),
    _cheat(
        "remembers in an abstract class",
        "C.register(int)",
        POLICY,
        HARMLESS,
        top="from collections.abc import Container as C",
    ),
    _cheat("remembers in a built-in", "print.seen = 1", CRASHED, CRASHED),
    _cheat("remembers in the knobs", "if knobs.get('seen'): return None\nknobs['seen'] = 1", HARMLESS, HARMLESS),
    _cheat("remembers in the toolkit", "toolkit.seen = 1", CRASHED, HARMLESS, top="import autotts.toolkit as toolkit"),
    _cheat("remembers in an exception", "ValueError.seen = 1", CRASHED, CRASHED),
    _cheat(
        "counts its episodes",
        "sys.seen = getattr(sys, 'seen', 0) + 1\nif sys.seen % 2: return None",
        POLICY,
        CAUGHT,
        top="import sys",
    ),
    _cheat(
        "recognises a question that it has seen",
        "b = episode.branches(2)\n"
        "episode.finish(b)\n"
        "key = episode.tokens\n"
        "known = sys.__dict__.setdefault('known', {})\n"
        "if key in known: return episode.probe(0)\n"
        "known[key] = 1\n"
        "return majority(episode.probe(episode.branches(2)))",
        POLICY,
        CAUGHT,
        top="import sys",
    ),
    _cheat(
        "plays the dear one first",
        "memory = sys.__dict__.setdefault('memory', [])\nmemory.append(knobs['n'])\nknobs['n'] = min(memory)",
        POLICY,
        CAUGHT,
        top="import sys",
    ),
    # ---- two faces
    _cheat(
        "is another when it counts",
        "if type(episode._source).__name__ == 'HostSource': return None",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "is another when it is screened",
        "if hasattr(episode._source, '_table'): return None",
        POLICY,
        CAUGHT,
    ),
    _cheat(
        "tells by the stack",
        "f = sys._getframe()\nwhile f:\n    if f.f_code.co_name == 'host_episodes': return None\n    f = f.f_back",
        POLICY,
        HARMLESS,  # a greenlet's stack ends at the greenlet
        top="import sys",
    ),
    _cheat(
        "tells by the modules",
        "if greenlet.getcurrent().parent is not None: return None",
        POLICY,
        CAUGHT,
        top="import greenlet",
    ),
    _cheat("tells by the clock", "if time.perf_counter_ns() % 2: return None", POLICY, CAUGHT, top="import time"),
    _cheat("throws dice", "if os.urandom(1)[0] % 2: return None", POLICY, CAUGHT, top="import os"),
    _cheat(
        "plays in another episode's name", "episode._source._pending += [5, 1, 0]", POLICY, (*REFUSED, *CRASHED, *WIRE)
    ),
    _cheat(
        "sends a message of its own",
        "import greenlet\np = greenlet.getcurrent().parent\nif p: p.switch([1, 1000])",
        POLICY,
        REFUSED,
    ),
    _cheat(
        "sends half an action", "import greenlet\np = greenlet.getcurrent().parent\nif p: p.switch([2])", POLICY, WIRE
    ),
    _cheat(
        "sends an action that is none",
        "import greenlet\np = greenlet.getcurrent().parent\nif p: p.switch([77, 0])",
        POLICY,
        WIRE,
    ),
)
