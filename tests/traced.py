"""Programs and worlds that are traced in tests; episodes reckoned another way, slowly, from the recording itself."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

from autotts.evaluation import EpisodeTrace, Program
from autotts.replay import Environment, answer_ids
from autotts.replay.episode import OP_FINISH, OP_PROBE, OP_PRUNE
from tests.small import small_environment


def program(body: str, schedule: str = "{}") -> Program:
    """A program whose `solve` begins at line 5; the first line of the body is line 6."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    head = f"from autotts.toolkit import majority\ndef schedule(beta):\n    return {schedule}\n\n"
    return Program.from_source(f"{head}def solve(episode, knobs):\n{lines}\n")


MIXED = program(
    """
opened = episode.branches(2 + int(6 * knobs["b"]))
for step in range(4):
    live = episode.active
    if live:
        episode.advance(live)
    seen = episode.probe(episode.active)
    best = majority(seen, skip_unparsed=True)
    for i, answer in zip(episode.active, seen):
        if len(episode.active) > 2 and answer != best:
            episode.prune(i)
    if best is not None and seen.count(best) > 3:
        return best
episode.finish(episode.active[:3])
done = episode.finished_branches
if len(done) > 2:
    return majority(episode.probe(done))
return episode.probe(done)[-1] if done else None
""",
    '{"b": beta}',
)
"""Every action, three returns, and answers that are wrong in many ways."""


def two_worlds() -> list[Environment]:
    """Free looks in one, paid ones in the other; the questions are the same."""
    first = small_environment("one", questions=8, branches=20)
    second = small_environment("two", questions=8, branches=16, seed=1)
    return [first, replace(second, kappa_probe=30)]


LINES = program(
    """
def deeper(n):
    return deeper(n - 1) if n else list(map(episode.advance, episode.active[:1]))

first, second = episode.branches(2)
episode.note("opened", [first, second])
deeper(2)
episode.prune(
    second,
)
for answer in episode.probe([first]):
    episode.note("end", {"answer": answer, 1: (None, 2.5)})
    if answer:
        return (
            answer
        )
"""
)


SHOWS = 1
"""A seed whose first branch shows an answer at the second interval."""


class Naive:
    """An episode reckoned from the recording itself, answers as they were written."""

    def __init__(self, trace: EpisodeTrace, environment: Environment) -> None:
        question = environment.questions[trace.question]
        branches = list(question.branches)
        random.Random(trace.seed).shuffle(branches)
        self.trace, self.environment = trace, environment
        self.gold, self.id = question.gold, question.id
        self.all = branches
        self.pool = branches[: environment.max_branches]

    def known(self, actions: int) -> tuple[int, dict[int, list[str]], dict[int, int], set[int], list[int]]:
        """After so many actions: tokens, what each branch revealed, depths, pruned, finished."""
        delta, kappa = self.environment.interval, self.environment.kappa_probe
        tokens, revealed, depth = 0, defaultdict(list), {}
        pruned: set[int] = set()
        done: list[int] = []
        for op, branches, _ in self.trace.actions[:actions]:
            for i in branches:
                recorded = self.pool[i]
                last = len(recorded.answers)
                if op == OP_PRUNE:
                    pruned.add(i)
                    continue
                if op == OP_PROBE:
                    tokens += kappa
                elif op == OP_FINISH:
                    tokens += max(0, recorded.tokens - delta * depth[i])
                    depth[i] = last
                else:
                    depth[i] = depth.get(i, 0) + 1
                    full = recorded.tokens if last == 1 else max(0, recorded.tokens - delta * (last - 1))
                    tokens += full if depth[i] == last else delta
                if depth[i] == last and i not in done:
                    done.append(i)
                if not kappa or op == OP_PROBE:
                    revealed[i].append(recorded.answers[depth[i] - 1])
        return tokens, revealed, depth, pruned, done

    def leader(self, actions: int) -> str | None:
        _, revealed, depth, _, _ = self.known(actions)
        return first_most([[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth)])

    @property
    def answer(self) -> str | None:
        """What was returned, as it was written."""
        if self.trace.answer < 0:
            return None
        ids = answer_ids(self.environment.questions[self.trace.question])
        return next(text for text, number in ids.items() if number == self.trace.answer)


def first_most(votes: list[list[str]]) -> str | None:
    flat = [vote for part in votes for vote in part]
    return max(flat, key=lambda a: (flat.count(a), -flat.index(a))) if flat else None


def naive_decisions(one: Naive) -> list[tuple[int | None, str, float, int, bool, bool]]:
    """(line, kind, Δ accuracy, Δ tokens, another answer, would have ended right) of each decision."""
    trace, gold, delta = one.trace, one.gold, one.environment.interval
    n = len(trace.actions)
    spent, revealed, depth, pruned, done = one.known(n)
    right = one.answer == gold
    kept = [b for i, b in enumerate(one.pool) if i not in pruned]
    majority = first_most([[b.final] for b in kept])
    more = 0
    for i, b in enumerate(one.pool):
        if i not in pruned and i not in done:
            unopened = i not in depth
            if unopened and len(b.answers) == 1:
                more += b.tokens
            else:
                more += (delta if unopened else 0) + max(0, b.tokens - delta * depth.get(i, 1))
    found = [(trace.line, "return", right - (majority == gold), -more, majority != one.answer, False)]
    finals = [[one.pool[i].final] for i in done]
    ballot = finals
    if not finals or first_most(finals) != one.answer:
        ballot = [[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth) if i not in pruned]
    for k, (op, branches, line) in enumerate(trace.actions):
        if op != OP_PRUNE:
            leader = one.leader(k)
            found.append(
                (line, "action", right - (leader == gold), spent - one.known(k)[0], leader != one.answer, False)
            )
            continue
        for i in branches:
            final = one.pool[i].final
            leader = first_most([*ballot, [final]])
            turned = one.answer if leader == first_most(ballot) else leader
            rest = -max(0, one.pool[i].tokens - delta * depth[i])
            found.append((line, "prune", right - (turned == gold), rest, turned != one.answer, final == gold))
    return found


def naive_harm(one: Naive) -> list[tuple[int | None, str, float]]:
    """Who loses or wins an episode, by the decisions and the definition alone."""
    trace, gold = one.trace, one.gold
    right = one.answer == gold
    spent, revealed, depth, pruned, done = one.known(len(trace.actions))
    finals = [[one.pool[i].final] for i in done]
    ballot = finals
    if not finals or first_most(finals) != one.answer:
        ballot = [[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth) if i not in pruned]
    prunes = {}
    for line in {a.line for a in trace.actions if a.op == OP_PRUNE}:
        lost = [[one.pool[i].final] for a in trace.actions if (a.op, a.line) == (OP_PRUNE, line) for i in a.branches]
        leader = first_most(ballot + lost)
        prunes[line] = (one.answer if leader == first_most(ballot) else leader) == gold
    on = first_most([[b.final] for i, b in enumerate(one.pool) if i not in pruned]) == gold
    left, read = spent, []
    for b in one.pool:
        left -= b.tokens if len(b.answers) == 1 else max(one.environment.interval, b.tokens)
        if read and left < 0:
            break
        read.append([b.final])
    plain = first_most(read) == gold
    before = [(a.line, one.leader(k) == gold) for k, a in enumerate(trace.actions) if a.op != OP_PRUNE]
    last = [line for line, led in before if led != right][-1:]
    if right:
        won = [(line, "prune", -1.0) for line in prunes if not prunes[line]]
        won += [] if on or plain else [(trace.line, "return", -1.0)]
        return won + [(line, "action", -1.0) for line in last]
    if any(prunes.values()):
        return [(line, "prune", 1 / sum(prunes.values())) for line in prunes if prunes[line]]
    return [(trace.line, "return", 1.0 if plain else 0.25)] if on else [(line, "action", 1.0) for line in last]


def naive_kind(one: Naive) -> str:
    n, gold = len(one.trace.actions), one.gold
    spent, _, _, pruned, done = one.known(n)
    if one.answer != gold:
        if sum(b.final == gold for b in one.all) / len(one.all) < 0.05:
            return "hopeless"
        if first_most([[b.final] for b in one.pool]) == gold:
            return "premature"
        if any(one.pool[i].final == gold for i in pruned):
            return "gave up the right one"
        return "outvoted" if any(one.pool[i].final == gold for i in done) else "missed"
    for k in range(n + 1):
        if all(one.leader(j) == gold for j in range(k, n + 1)):
            return "overspent" if one.known(k)[0] < spent / 2 else "right"
    return "right"
