"""Live episodes: the same costs and answers as replay, streams that are held and closed, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.errors import ServerError
from autotts.live import branch as branch_module
from autotts.live.branch import LiveBranch
from autotts.live.growth import Piece, Token
from autotts.live.model import Asked, Said
from autotts.live.source import LiveSource, Over, Step
from autotts.replay.episode import Episode
from autotts.replay.source import Table, TableSource, branch_order
from tests.fake_live import FakeModel

DELTA = 10


class Plain:
    """Reads what the models of these tests write."""

    def probe(self, said: Said) -> str:
        return said.text.rstrip("}")

    def final(self, text: str) -> str:
        return text.rpartition("{")[2].rstrip("}")


class Recorded:
    """A model whose branch with seed b is branch b of a recording, in pieces of any size."""

    name = "recorded"

    def __init__(self, answers: list[list[str]], totals: list[int], pieces: random.Random) -> None:
        self.answers, self.totals, self.pieces = answers, totals, pieces
        self.probes = 0
        self.open = 0

    async def ask(self, question: str) -> Asked:
        return Asked(question)

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        self.open += 1
        try:
            k, total = spent, self.totals[seed]
            assert len(prefix.split()) == spent
            while True:
                if self.pieces.random() < 0.3:
                    await asyncio.sleep(0)
                n = min(self.pieces.randint(1, 7), total - k)
                k += n
                texts = [f"{seed}.{at} " for at in range(k - n + 1, k + 1)]
                if ended := k >= total:
                    texts = [*texts[:-1], f"{{{self.answers[seed][-1]}}}"]
                yield Piece("".join(texts), k, tuple(map(Token, texts)), ended)
                if ended:
                    return
        finally:
            self.open -= 1

    async def probe(self, asked: Asked, prefix: str) -> Said:
        self.probes += 1
        seed, _, k = prefix.split()[-1].partition(".")
        await asyncio.sleep(0)
        return Said("{", self.answers[int(seed)][int(k) // DELTA - 1] + "}", 2, int(k))


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[list[str]], list[int]]:
    totals = draw(st.lists(st.integers(0, 55), min_size=1, max_size=6))
    answers = st.sampled_from(["7", "42", "ERR", "1/2"])
    return [[draw(answers) for _ in range(max(0, t - 1) // DELTA + 1)] for t in totals], totals


def table(answers: list[list[str]], totals: list[int]) -> Table:
    ids = {"ERR": 0, "7": 1, "42": 2, "1/2": 3}
    return Table([[ids[a] for a in row] for row in answers], totals)


def act(episode: Episode, choose: random.Random) -> tuple[Any, ...]:
    """One random action and all that can be seen of the episode after it."""
    active = episode.active
    wave = choose.sample(active, choose.randint(1, len(active))) if active else []
    shown = active + episode.finished_branches
    what = choose.choice(["branches", "advance", "finish", "prune", "probe", "probe"])
    seen: Any = None
    if what == "branches":
        episode.branches(choose.randint(0, episode.max_branches - episode._opened))
    elif what == "probe":
        seen = episode.probe(choose.sample(shown, choose.randint(0, len(shown))))
    elif wave and (what != "prune" or choose.random() < 0.3):
        getattr(episode, what)(wave)
    opened = range(episode._opened)
    state = [(episode.depth(i), episode.answers(i), episode.is_finished(i)) for i in opened]
    return what, wave, seen, episode.tokens, episode.sequential_tokens, active, episode.finished_branches, state


def play(
    model: Any, use: Callable[[LiveSource], Any], *, limit: int = 64, watch: Any = None, **options: Any
) -> tuple[Any, LiveSource]:
    """Use a source from a thread, as episodes do."""

    async def main() -> tuple[Any, LiveSource]:
        asked = await model.ask("q")
        live = LiveSource(model, asked, Plain(), str, DELTA, limit, watch=watch, **options)
        try:
            return await asyncio.to_thread(use, live), live
        finally:
            await live.close()
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1

    return asyncio.run(main())


@settings(deadline=None)
@given(
    recordings(),
    st.integers(0, 999),
    st.sampled_from([0, 3]),
    st.sampled_from([None, 0, 4]),
    st.sampled_from([0.0, 2.0]),
)
def test_live_and_replay_agree_action_by_action(
    recording: tuple[list[list[str]], list[int]], seed: int, kappa: int, ahead: int | None, held: float
) -> None:
    """Also where every stream that is ahead is closed, and opened again when more is paid for."""
    answers, totals = recording
    recorded = TableSource(table(answers, totals), seed, DELTA, 64)
    model = Recorded(answers, totals, random.Random(seed))

    def walk(source: Any) -> list[Any]:
        episode, choose = Episode(source, DELTA, kappa), random.Random(seed)
        return [act(episode, choose) for _ in range(12)] + [episode._log]

    order = branch_order(seed, len(totals))
    with patch.object(branch_module, "HELD", held):
        seen, live = play(model, walk, limit=len(totals), kappa=kappa, seeds=lambda branch: order[branch], ahead=ahead)
    assert seen == walk(recorded)
    assert (live.meter.tokens, live.meter.sequential_tokens) == seen[-2][3:5]
    assert model.probes == live.meter.probes <= sum(map(len, answers))
    assert model.open == 0


def test_a_look_at_a_depth_costs_one_request_and_at_an_end_none() -> None:
    model = FakeModel(least=25, most=25)

    def use(live: LiveSource) -> None:
        live.open(0, 2)
        assert model.probed == []
        assert live.probe([0, 1]) == live.probe([0, 1])
        assert len(model.probed) == 2
        live.finish([0, 1])
        live.probe([0, 1])

    _, live = play(model, use)
    assert len(model.probed) == 2
    assert live.meter.probes == 2
    assert live.meter.probe_tokens == 4


def test_reading_ahead_is_bounded_and_a_prune_closes_the_stream() -> None:
    model = FakeModel(least=500, most=500)

    def use(live: LiveSource) -> None:
        live.open(0, 3)
        settled(live)
        assert [branch.growth.total for branch in live.branches] == [DELTA + 7] * 3
        live.advance([1])
        settled(live)
        assert [branch.growth.total for branch in live.branches] == [DELTA + 7, 2 * DELTA + 7, DELTA + 7]
        assert model.open == 3
        live.prune([0, 2])
        settled(live)
        assert model.open == 1
        assert live.generated == 4 * DELTA + 21

    play(model, use, ahead=7)


def test_a_stream_that_is_held_for_long_is_closed_and_goes_on_from_its_text() -> None:
    model = FakeModel(least=100, most=100)

    def use(live: LiveSource) -> str:
        live.open(0, 2)
        settled(live)
        assert model.open == 0
        assert live.generated == 2 * (DELTA + 7)
        live.finish([0])
        assert live.generated == 100 + DELTA + 7
        return live.branches[0].growth.text

    with patch.object(branch_module, "HELD", 0.0):
        text, _ = play(model, use, ahead=7)
    assert text.startswith("0.1 0.2 ")
    assert text.split()[:-1] == [f"0.{k}" for k in range(1, 100)]
    assert model.asked == [("q", 0), ("q", 1), ("q", 0)]


def settled(live: LiveSource) -> None:
    """Let the event loop do all that it can do without us."""

    async def turns() -> None:
        for _ in range(600):
            await asyncio.sleep(0)

    live._do(turns())


@pytest.mark.parametrize(("most", "left"), [(2 * DELTA, 20), (2 * DELTA - 1, 0), (44, 40), (54, 45), (55, 55), (0, 0)])
def test_what_would_pass_the_ceiling_is_not_paid(most: int, left: int) -> None:
    model = FakeModel(least=25, most=25)

    def use(live: LiveSource) -> None:
        live.open(0, 2)
        live.advance([0, 1])
        live.finish([0])
        live.probe([0, 1])
        live.probe([0])

    def till_over(live: LiveSource) -> str:
        try:
            use(live)
        except Over as over:
            return over.why
        return ""

    why, live = play(model, till_over, most_tokens=most, kappa=5)
    assert why == ("tokens" if most < 55 else "")
    assert live.meter.tokens == left


def test_the_ceiling_ends_a_finish_that_goes_on_too_long() -> None:
    model = FakeModel(least=5000, most=5000)

    def use(live: LiveSource) -> int:
        live.open(0, 1)
        with pytest.raises(Over, match="tokens"):
            live.finish([0])
        return live.branches[0].growth.total

    total, live = play(model, use, most_tokens=300)
    assert total == live.generated == 301  # and no token more is read
    assert live.meter.tokens == DELTA


def test_signals_have_the_names_of_recordings() -> None:
    model = FakeModel(least=25, most=25)

    def use(live: LiveSource) -> list[float | None]:
        live.open(0, 1)
        found = [live.signal(0, "logprob"), live.signal(0, "entropy"), live.signal(0, "probe_logprob")]
        assert live.meter.probes == 0
        live.probe([0])
        assert live.signal(0, "probe_logprob") is None  # this model tells none for probes
        live.finish([0])
        live.probe([0])
        return [*found, live.signal(0, "logprob"), live.signal(0, "probe_logprob")]

    (logprob, entropy, probe, last, end), live = play(model, use)
    tokens = live.branches[0].growth.scores(1)
    assert len(tokens) == DELTA
    assert logprob == pytest.approx(sum(t.logprob or 0 for t in tokens) / DELTA)
    assert entropy == pytest.approx(sum(t.entropy or 0 for t in tokens) / DELTA)
    assert probe is None
    assert last is not None and last != logprob
    assert end is None
    assert live.meter.probes == 1


class Failing(FakeModel):
    """Breaks off within branch 1."""

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        async for piece in super().branch(asked, seed, prefix, spent):
            if seed == 1 and piece.total > 15:
                raise ServerError("the connection broke")
            yield piece


def test_a_stream_that_breaks_off_is_told_when_it_is_needed_and_only_then() -> None:
    model = Failing(least=60, most=60)

    def use(live: LiveSource) -> None:
        live.open(0, 3)
        settled(live)  # it has broken off by now, ahead of what was paid for
        live.advance([0, 2])
        with pytest.raises(ServerError, match="broke"):
            live.advance([0, 1, 2])

    play(model, use)
    assert model.open == 0


def test_branches_that_are_held_back_make_room_for_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many branches as there are places: those of the first wave would keep them for ever."""
    monkeypatch.setattr(branch_module, "HELD", 0.01)

    class Narrow(FakeModel):
        places = asyncio.Semaphore(2)

        async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
            async with self.places:
                async for piece in super().branch(asked, seed, prefix, spent):
                    yield piece

        async def probe(self, asked: Asked, prefix: str) -> Said:
            async with self.places:
                return await super().probe(asked, prefix)

    def use(live: LiveSource) -> list[int]:
        live.open(0, 2)
        live.probe([0, 1])
        live.open(2, 4)
        return live.depths

    depths, _ = play(Narrow(), use)
    assert depths == [1] * 6


def test_steps_are_told_in_order() -> None:
    steps: list[Step] = []
    model = FakeModel(least=25, most=25)

    def use(live: LiveSource) -> None:
        live.open(0, 2)
        live.probe([0])
        live.advance([0])
        live.prune([1])
        live.finish([0])
        settled(live)

    play(model, use, watch=steps.append)
    done = [(s.what, s.branch, s.depth, s.spent) for s in steps if s.what != "grown"]
    assert done == [
        ("opened", 0, 1, 20),
        ("opened", 1, 1, 20),
        ("probed", 0, 1, 20),
        ("advanced", 0, 2, 30),
        ("pruned", 1, 1, 30),
        ("finished", 0, 3, 35),
    ]
    assert [s.tokens for s in steps if s.what == "grown" and s.branch == 0] == list(range(1, 26))


def test_a_branch_is_closed_when_nobody_reads_it() -> None:
    model = FakeModel(least=500, most=500)

    async def main() -> None:
        branch = LiveBranch(partial(model.branch, Asked("q"), 0), DELTA, 3)
        await branch.reach(1)
        assert model.open == 1
        await branch.close()
        assert model.open == 0

    asyncio.run(main())
