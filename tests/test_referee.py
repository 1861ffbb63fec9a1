"""Host episodes against a child that says anything at all: the referee's figures are its own, every end is typed."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import CpuLimit, Crashed, InadmissibleAction, OutputLimit, ProgramError, WallTimeout
from autotts.evaluation import Evaluator, Protocol, referee, shipped
from autotts.evaluation.referees import Referees
from autotts.evaluation.wire import OP_END, OP_SIGNAL, TOGETHER
from autotts.replay.episode import OP_ADVANCE, OP_OPEN, OP_PROBE, OP_PRUNE
from autotts.replay.source import Table
from autotts.sandbox import Channel, Limits, Sandbox
from autotts.sandbox.frames import FAULT
from tests.small import small_environment

TABLE = Table([[3, 3, 4], [5], [3, 0, 3]], [1200, 300, 1500])


def shard(kappa: int = 0, n_betas: int = 2) -> referee.Shard:
    world = referee._World([TABLE] * 2, referee.Rules(500, kappa, 64, ["logprob"], carried=not kappa))
    episodes = [(s, q) for _ in range(n_betas) for s in (0, 1) for q in (0, 1)]
    return referee.Shard(lambda number: world.play(episodes[number][1], episodes[number][0]), len(episodes))


def said(number: int, *body: int) -> list[int]:
    return [number, len(body), *body]


small = st.integers(-2, 9)
bodies = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([OP_OPEN, OP_END]), small),
        st.lists(small, max_size=3).flatmap(
            lambda wave: st.sampled_from([OP_ADVANCE, OP_PRUNE, OP_PROBE, OP_SIGNAL]).map(
                lambda op: (op, len(wave), *wave)
            )
        ),
        st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4).map(tuple),
    ),
    max_size=3,
).map(lambda parts: [value for part in parts for value in part])
batches = st.lists(
    st.one_of(st.tuples(small, bodies).map(lambda pair: said(pair[0], *pair[1])), st.lists(small, max_size=5)),
    max_size=5,
).map(lambda parts: [value for part in parts for value in part])


@given(st.lists(batches, max_size=6), st.sampled_from([0, 7]))
def test_whatever_is_said_ends_in_replies_or_in_a_typed_outcome(script: list[list[int]], kappa: int) -> None:
    played = shard(kappa)
    revealed = {0} | {3, 4, 5}
    for message in script:
        try:
            played.batch(message)
        except ProgramError:
            return
        for answer, tokens, sequential, opened, _ in filter(None, played._records):
            assert answer in revealed | {-1}
            assert 0 <= sequential <= tokens <= 1200 + 300 + 1500 + 7 * 20
            assert 0 <= opened <= 3
        assert len(played._plays) <= TOGETHER


def test_a_batch_holds_messages_of_many_episodes_and_answers_each() -> None:
    played = shard()
    replies = played.batch(said(0, OP_OPEN, 1) + said(1, OP_OPEN, 2) + said(2, OP_END, -1))
    assert replies[0] == 0
    assert replies[2 + replies[1]] == 1
    assert played.left == 7
    assert played._records[2][:4] == (-1, 0, 0, 0)


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (said(1, OP_OPEN, 1), OutputLimit),  # episode 0 is due
        (said(0, OP_END, 0) + said(0, OP_END, 0), OutputLimit),  # it has ended
        (said(0, OP_END, 1), OutputLimit),  # never revealed
        (said(0, OP_ADVANCE, 1, 0), InadmissibleAction),  # not open
        (said(0, OP_OPEN, 65), InadmissibleAction),
        (said(0, OP_OPEN, -1), InadmissibleAction),
        (said(0, OP_PROBE, 1, 0), OutputLimit),  # looking is free at κ = 0, and needs no message
        (said(0, 99, 0), OutputLimit),
        (said(0, OP_SIGNAL, 2, 0, 5), OutputLimit),
        (said(0, OP_PRUNE, 0), OutputLimit),  # a message asks for something
        ([0], OutputLimit),
        ([0, -5, 1, 1], OutputLimit),
    ],
)
def test_what_is_refused(message: list[int], outcome: type[ProgramError]) -> None:
    with pytest.raises(outcome):
        shard().batch(message)


def test_at_most_so_many_episodes_are_in_progress() -> None:
    played = shard(n_betas=20)
    with pytest.raises(OutputLimit, match=f"episode {TOGETHER}"):
        played.batch([value for number in range(TOGETHER + 1) for value in said(number, OP_OPEN, 1)])


# ---- children that cheat on the wire ---------------------------------------------------------------------------------


def garbage(channel: Channel) -> None:
    channel.send(b"knobs")
    channel.send(b"not a list of numbers")


def claims(channel: Channel) -> None:
    channel.send(b"knobs")
    channel.send(struct.pack("<4i", 0, 2, OP_END, 7))  # an answer that nobody revealed


def flood(channel: Channel) -> None:
    channel.send(b"knobs")
    while True:
        channel.send(bytes(1 << 20))


def forged(channel: Channel) -> None:
    channel.send(b"knobs")
    channel._frames.send(b'{"outcome": "ok"}', FAULT)


def half(channel: Channel) -> None:
    channel.send(b"knobs")
    import os

    os.write(channel._frames.fd, b"\xff\x00\x00")
    os._exit(7)


def silent(channel: Channel) -> None:
    channel.send(b"knobs")
    import time

    time.sleep(60)


def busy(channel: Channel) -> None:
    channel.send(b"knobs")
    while True:
        pass


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("garbage", OutputLimit),
        ("claims", OutputLimit),
        ("flood", OutputLimit),
        ("forged", OutputLimit),
        ("half", Crashed),
        ("silent", WallTimeout),
        ("busy", CpuLimit),
    ],
)
def test_a_child_that_cheats_on_the_wire_ends_typed_and_the_referee_serves_the_next(name: str, outcome: Any) -> None:
    environment = small_environment()
    with Evaluator([environment], workers=1) as evaluator, Sandbox(preload=("tests.test_referee",)) as sandbox:
        referees: Referees = evaluator._referees
        for _ in range(2):
            limits = Limits(cpu_seconds=1, wall_seconds=3 if outcome is WallTimeout else 60, output_bytes=8 << 20)
            with (
                referees.one() as one,
                sandbox.spawn(f"tests.test_referee:{name}", limits) as child,
                pytest.raises(outcome),
            ):
                assert child.recv() == b"knobs"
                one.serve(child, [(0, 0, 0), (0, 0, 1)])
        assert len(referees._all) == 1
        (result,) = evaluator.run(shipped("sc"), Protocol((0.3,), (0,)), "confirm")
        assert result.tokens.sum() > 0
