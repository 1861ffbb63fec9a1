"""The MDP: what an episode costs, shows and refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import InadmissibleAction
from autotts.replay.episode import Episode
from autotts.replay.source import Table, TableSource, branch_order

INTERVAL = 500
Tables = tuple[list[list[int]], list[int]]
Action = tuple[str, list[int]]


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """Answer ids and totals of 1 to 6 branches: with and without probes, T below and above Δ·d."""
    answers = draw(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=6))
    totals = [draw(st.integers(0, INTERVAL * (len(row) + 2))) for row in answers]
    return answers, totals


actions = st.lists(
    st.tuples(
        st.sampled_from(["open", "advance", "finish", "probe", "prune"]),
        st.lists(st.integers(-1, 7), max_size=4),
    ),
    max_size=25,
)


class Guarded(list[int]):
    """Answers that keep the deepest index that was read."""

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__(values)
        self.deepest = -1

    def __getitem__(self, index: Any) -> Any:
        assert isinstance(index, int)
        assert index >= 0
        self.deepest = max(self.deepest, index)
        return super().__getitem__(index)

    def __iter__(self) -> Any:
        raise AssertionError("all answers of a branch were read at once")


def play(table: Tables, seed: int = 0, kappa: int = 0, ceiling: int = 64) -> Episode:
    return Episode(TableSource(Table(*table), seed, INTERVAL, ceiling), INTERVAL, kappa)


def act(episode: Episode, action: Action) -> bool:
    """Do it; whether it was admissible."""
    name, wave = action
    try:
        if name == "open":
            episode.branches(len(wave))
        else:
            method: Callable[[list[int]], Any] = getattr(episode, name)
            method(wave)
    except InadmissibleAction:
        return False
    return True


def state(episode: Episode) -> tuple[Any, ...]:
    n = episode._opened
    return (
        episode.tokens,
        episode.sequential_tokens,
        episode.active,
        episode.finished_branches,
        [(episode.depth(i), episode.answers(i), episode.is_finished(i)) for i in range(n)],
        list(episode._log),
        dict(episode._ids),
    )


class Model:
    """The rules once more, branch by branch, as plainly as they can be said."""

    def __init__(self, table: Tables, seed: int, kappa: int) -> None:
        order = branch_order(seed, len(table[1]))
        self.rows = [table[0][b] for b in order]
        self.totals = [table[1][b] for b in order]
        self.kappa = kappa
        self.depth: list[int] = []
        self.paid: list[int] = []
        self.pruned: set[int] = set()
        self.probed: set[tuple[int, int]] = set()
        self.tokens = self.sequential = 0

    def finished(self, i: int) -> bool:
        return self.depth[i] == len(self.rows[i])

    def admits(self, name: str, wave: list[int]) -> bool:
        if name == "open":
            return len(self.depth) + len(wave) <= len(self.rows)
        alive = [0 <= i < len(self.depth) and i not in self.pruned for i in wave]
        unique = len(set(wave)) == len(wave)
        return unique and all(alive) and (name == "probe" or not any(self.finished(i) for i in wave))

    def act(self, name: str, wave: list[int]) -> None:
        if name == "open":
            first = len(self.depth)
            wave = list(range(first, first + len(wave)))
            self.depth += [0] * len(wave)
            self.paid += [0] * len(wave)
            name = "advance"
        costs = [0]
        if name == "probe":
            fresh = {(i, self.depth[i]) for i in wave} - self.probed
            self.probed |= fresh
            self.tokens += self.kappa * len(fresh)
            self.sequential += self.kappa * bool(fresh)
        elif name == "prune":
            self.pruned |= set(wave)
        else:
            for i in wave:
                last = name == "finish" or self.depth[i] + 1 == len(self.rows[i])
                cost = max(0, self.totals[i] - self.paid[i]) if last else INTERVAL
                self.depth[i] = len(self.rows[i]) if last else self.depth[i] + 1
                self.paid[i] += cost
                costs.append(cost)
        self.tokens += sum(costs)
        self.sequential += max(costs)


@given(tables(), actions, st.integers(0, 50), st.sampled_from([0, 7]))
def test_cost_is_what_was_revealed_and_refusals_change_nothing(
    table: Tables, script: list[Action], seed: int, kappa: int
) -> None:
    episode, model = play(table, seed, kappa), Model(table, seed, kappa)
    for name, wave in script:
        before = state(episode)
        admitted = act(episode, (name, wave))
        assert admitted == model.admits(name, wave)
        if admitted:
            model.act(name, wave)
        else:
            assert state(episode) == before
        assert (episode.tokens, episode.sequential_tokens) == (model.tokens, model.sequential)
        assert [episode.depth(i) for i in range(len(model.depth))] == model.depth
        assert episode.sequential_tokens <= episode.tokens


@given(tables(), actions, st.integers(0, 50))
def test_nothing_past_what_was_paid_for_is_read(table: Tables, script: list[Action], seed: int) -> None:
    guarded = [Guarded(row) for row in table[0]]
    episode = Episode(TableSource(Table(guarded, table[1]), seed, INTERVAL, 64), INTERVAL)
    order = branch_order(seed, len(guarded))
    for action in script:
        act(episode, action)
        for position, b in enumerate(order):
            opened = position < episode._opened
            assert guarded[b].deepest < (episode.depth(position) if opened else 0)


@given(tables(), st.randoms(use_true_random=False), st.integers(0, 20))
def test_any_order_of_the_same_single_actions_costs_the_same(table: Tables, rng: Any, seed: int) -> None:
    n = len(table[1])
    model = Model(table, seed, 0)
    # Each branch gets its own script: some steps, then the end or nothing.
    scripts = []
    for i in range(n):
        steps = rng.randint(0, len(model.rows[i]) - 1)
        can_finish = steps < len(model.rows[i]) - 1
        scripts.append(["advance"] * steps + (["finish"] if can_finish and rng.random() < 0.5 else []))
    results = set()
    for _ in range(3):
        episode = play(table, seed)
        episode.branches(n)
        queue = [i for i, script in enumerate(scripts) for _ in script]
        rng.shuffle(queue)
        position = [0] * n
        for i in queue:
            getattr(episode, scripts[i][position[i]])(i)
            position[i] += 1
        results.add((episode.tokens, episode.sequential_tokens, tuple(episode.depth(i) for i in range(n))))
    assert len(results) == 1


@given(tables(), st.integers(0, 20))
def test_waves_and_single_actions_cost_the_same_tokens(table: Tables, seed: int) -> None:
    together, apart = play(table, seed), play(table, seed)
    n = len(table[1])
    together.branches(n)
    for _ in range(n):
        apart.branch()
    while together.active:
        wave = together.active
        together.advance(wave)
        for i in wave:
            apart.advance(i)
    assert together.tokens == apart.tokens == apart.sequential_tokens
    assert together.sequential_tokens <= together.tokens
    assert together.active == apart.active == []


@given(tables(), st.integers(0, 20))
def test_labels_are_opaque_and_numbered_by_first_reveal(table: Tables, seed: int) -> None:
    # The same recording with other answer ids (0, the unparsed one, stays) must look the same.
    renamed = [[a and 6 - a for a in row] for row in table[0]]
    seen = []
    for answers in (table[0], renamed):
        episode = play((answers, table[1]), seed)
        shown = [episode.probe(i) for i in episode.branches(len(answers))]
        while episode.active:
            wave = episode.active
            episode.advance(wave)
            shown += episode.probe(wave)
        seen.append(shown)
    assert seen[0] == seen[1]
    fresh = [label for label in dict.fromkeys(seen[0]) if label != "ERR"]
    assert fresh == [f"a{k}" for k in range(len(fresh))]


def test_both_costing_rules() -> None:
    # T below Δ·d: stepping pays Δ a step and nothing at the end; reading to the end pays T.
    short: Tables = ([[1, 1, 2]], [800])
    stepped = play(short)
    i = stepped.branch()
    stepped.advance(i)
    assert stepped.tokens == 1000
    stepped.advance(i)
    assert (stepped.tokens, stepped.is_finished(i), stepped.depth(i)) == (1000, True, 3)
    read = play(short)
    read.finish(read.branch())
    assert read.tokens == 800
    # The last interval may be longer than Δ.
    long: Tables = ([[1, 2]], [2600])
    episode = play(long)
    episode.advance(episode.branch())
    assert episode.tokens == 2600


def test_a_branch_without_probes_is_finished_when_opened() -> None:
    episode = play(([[3]], [4321]))
    i = episode.branch()
    assert (episode.tokens, episode.active, episode.finished_branches) == (4321, [], [i])
    assert episode.probe(i) == "a0"
    with pytest.raises(InadmissibleAction, match=r"advance: branch 0 is finished"):
        episode.advance(i)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_finish_after_stepping_pays_the_rest(steps: int) -> None:
    episode = play(([[1, 1, 1, 2]], [1730]))
    i = episode.branch()
    for _ in range(steps):
        episode.advance(i)
    episode.finish(i)
    assert (episode.tokens, episode.depth(i), episode.probe(i)) == (1730, 4, "a0")


def test_probes_cost_kappa_once_a_depth() -> None:
    episode = play(([[1, 2], [1, 1]], [700, 900]), kappa=10)
    wave = episode.branches(2)
    assert (episode.tokens, episode.sequential_tokens) == (1000, 500)
    assert episode.probe(wave) == ["a0", "a0"]
    assert (episode.tokens, episode.sequential_tokens) == (1020, 510)
    episode.probe(wave)
    episode.probe(0)
    assert episode.tokens == 1020
    assert [episode.answers(i) for i in wave] == [["a0"], ["a0"]]
    episode.finish(0)
    episode.probe(wave)
    assert episode.tokens == 1020 + episode._source._totals[episode._source._order[0]] - 500 + 10  # type: ignore[attr-defined]


def test_the_ceiling_and_the_wording_of_refusals() -> None:
    episode = play(([[1, 1]] * 5, [700] * 5), ceiling=3)
    assert episode.max_branches == 3
    with pytest.raises(InadmissibleAction, match=r"branches\(4\): 0 of at most 3 branches are open"):
        episode.branches(4)
    episode.branches(3)
    assert not episode.can_branch
    episode.prune(1)
    for wave, why in (
        ([0, 1], "branch 1 is pruned"),
        ([2, 2], "branch 2 is named twice"),
        ([7], "branch 7 is not open"),
    ):
        with pytest.raises(InadmissibleAction, match=why):
            episode.advance(wave)
    for strange in (True, 1.0, "1", -1):
        with pytest.raises(InadmissibleAction):
            episode.advance([strange])  # type: ignore[list-item]
    for count in (-1, 2.0, True):
        with pytest.raises(InadmissibleAction, match="whole number"):
            episode.branches(count)  # type: ignore[arg-type]
    with pytest.raises(InadmissibleAction, match="probe: branch 1 is pruned"):
        episode.probe(1)
    assert episode.tokens == 1500


def test_only_revealed_answers_can_be_returned() -> None:
    episode = play(([[1, 0]], [700]))
    i = episode.branch()
    with pytest.raises(InadmissibleAction, match="not an answer that this episode has revealed"):
        episode._answer_id("a0")
    label = episode.probe(i)
    assert episode._answer_id(label) == 1
    assert episode._answer_id(None) == -1
    with pytest.raises(InadmissibleAction):
        episode._answer_id("ERR")
    episode.advance(i)
    assert episode.probe(i) == "ERR"
    assert episode._answer_id("ERR") == 0


def test_signals_are_shown_at_the_current_depth_only() -> None:
    table = Table([[1, 2, 2]], [1200], [{"logprob": [-0.5, None, -0.1]}])
    episode = Episode(TableSource(table, 0, INTERVAL, 64), INTERVAL)
    i = episode.branch()
    assert episode.signal(i, "logprob") == -0.5
    assert episode.signal(i, "entropy") is None
    episode.advance(i)
    assert episode.signal(i, "logprob") is None
    episode.finish(i)
    assert episode.signal(i, "logprob") == -0.1


@pytest.mark.parametrize("kappa", [0, 5])
def test_what_a_probe_shows_is_shown_after_it_only(kappa: int) -> None:
    table = Table([[1, 2, 2]], [1200], [{"logprob": [-0.5, -0.4, -0.1], "probe_logprob": [-0.3, -0.2, None]}])
    episode = Episode(TableSource(table, 0, INTERVAL, 64), INTERVAL, kappa)
    i = episode.branch()
    assert (episode.signal(i, "probe_logprob"), episode.signal(i, "logprob")) == (None, -0.5)
    episode.probe(i)
    assert episode.signal(i, "probe_logprob") == -0.3
    episode.advance(i)
    assert (episode.signal(i, "probe_logprob"), episode.signal(i, "logprob")) == (None, -0.4)
    episode.probe(i)
    assert episode.signal(i, "probe_logprob") == -0.2
    assert episode.tokens == 2 * (INTERVAL + kappa)


def test_branches_come_in_the_published_order() -> None:
    import random

    order = list(range(128))
    random.Random(17).shuffle(order)
    assert branch_order(17, 128) == tuple(order)


def test_notes_cost_nothing_and_reach_the_tracer() -> None:
    notes: list[tuple[str, Any]] = []
    source = TableSource(Table([[1]], [10]), 0, INTERVAL, 64)
    episode = Episode(source, INTERVAL, note=lambda name, value: notes.append((name, value)))
    episode.note("leader", 3)
    assert notes == [("leader", 3)]
    assert episode.tokens == 0
    play(([[1]], [10])).note("leader", 3)
