"""Traces of table episodes: every action with the line that asked for it, notes, and the line of the return.

They are made in the jail like any screening and brought home. The host believes none of it: each trace is played again
on an `Episode` of its own, and its figures are taken from there; what a program can forge is which of its own lines it
blames, and its notes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from autotts.errors import InadmissibleAction, OutputLimit
from autotts.evaluation.protocol import Protocol
from autotts.evaluation.results import digest_of_row
from autotts.evaluation.shards import Prepared, Work, knobs_of
from autotts.evaluation.wire import MAX_NOTE, MAX_NOTE_NAME, MAX_NOTES, MAX_SCHEDULE, digest_of, pack_tables, unpack
from autotts.replay import Episode, TableSource
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE
from autotts.replay.source import UNPARSED_ID, Table
from autotts.sandbox import Child
from autotts.sandbox.text import printable

__all__ = ["SAMPLE", "Action", "EpisodeTrace", "Note", "Scene", "act", "row_digest", "trace_block"]

SAMPLE = Protocol((0.0, 0.25, 0.5, 0.75, 1.0), (0,))
"""What is traced where nothing else is said: the whole sweep in five steps, one seed."""

_HEAD = 6
"""Numbers before an episode's lists: answer, line, notes left out, and the lengths of log, lines and answers seen."""

_NOTE_BYTES = 6 * (MAX_NOTE + MAX_NOTE_NAME) + 100
"""Of one note as JSON, every character escaped."""


class Action(NamedTuple):
    """One wave.

    Attributes:
        op: its code, see `autotts.replay.episode`.
        branches: its members.
        line: of the program, which asked for it; None where that is not known.
    """

    op: int
    branches: tuple[int, ...]
    line: int | None


class Note(NamedTuple):
    """A value that the program noted.

    Attributes:
        after: actions that were taken before.
        line: of the program; None where that is not known.
        name, value: in words.
    """

    after: int
    line: int | None
    name: str
    value: str


@dataclass(frozen=True)
class EpisodeTrace:
    """What a program did in one episode.

    Attributes:
        environment, question: places in the evaluator's list and in the environment, from 0.
        beta, seed: of the episode.
        actions: in order; those with κ_probe > 0 hold the probes that were paid for, others hold none.
        answer: id of the answer that was returned, −1 for none.
        line: of the `return`, in the function that was called (`solve`); None where that is not known.
        seen: ids of the answers that the program has seen, in the order of first reveal, by which it labels them.
        notes: at most 200.
        notes_left_out: how many more there were.
        tokens, sequential_tokens: of the whole episode.
        digest: stands for all actions and the answer, as in a screening.
    """

    environment: int
    question: int
    beta: float
    seed: int
    actions: tuple[Action, ...]
    answer: int
    line: int | None
    seen: tuple[int, ...]
    notes: tuple[Note, ...]
    notes_left_out: int
    tokens: int
    sequential_tokens: int
    digest: int


@dataclass(frozen=True)
class Scene:
    """Where a shard's episodes are played.

    Attributes:
        environment: place in the evaluator's list.
        prepared: the environment itself.
        numbers: places of the questions that are played, None for all.
        overridden: a line of the program whose decisions are overridden, None for none.
    """

    environment: int
    prepared: Prepared
    numbers: tuple[int, ...] | None = None
    overridden: int | None = None

    @property
    def questions(self) -> tuple[int, ...]:
        """Places of the questions that are played."""
        return tuple(range(len(self.prepared.tables))) if self.numbers is None else self.numbers


def trace_block(work: Work, beta: float, scene: Scene, child: Child) -> list[EpisodeTrace]:
    """The traces of all episodes of a scene at one β, seeds outermost.

    Raises:
        OutputLimit: what came back is no trace of these episodes.
    """
    prepared, questions, seeds = scene.prepared, scene.questions, work.protocol.seeds
    tables = [prepared.tables[q] for q in questions]
    more: dict[str, Any] = {"seeds": list(seeds), "signals": [table.signals for table in tables], "numbers": questions}
    more["overridden"] = scene.overridden
    work.start(child, prepared.table_job(work, [beta], "trace", **more))
    child.send(prepared.packed if scene.numbers is None else pack_tables(tables))
    knobs_of(child.recv(MAX_SCHEDULE), 1)
    numbers = unpack(child.recv(len(seeds) * sum(map(_most_bytes, tables))))
    notes = child.recv(len(seeds) * len(tables) * MAX_NOTES * _NOTE_BYTES + 2)
    episodes = [(seed, q) for seed in seeds for q in questions]
    n_lines = work.program.source.count("\n")
    told, parts = _notes_of(notes, len(episodes), n_lines), _Parts(numbers, n_lines)
    traces = [_trace(scene, beta, seed, q, parts, told[k]) for k, (seed, q) in enumerate(episodes)]
    parts.end()
    return traces


def row_digest(traces: Sequence[EpisodeTrace]) -> int:
    """What a screening's `EnvironmentResult.digests` holds for these episodes: all questions of one β and seed."""
    return digest_of_row(np.array([trace.digest for trace in traces], dtype=np.int64))


def _most_bytes(table: Table) -> int:
    """More than an episode's numbers take: every branch opened, stepped, looked at and pruned, each in its own wave."""
    steps = sum(2 * len(answers) + 2 for answers in table.answers)
    return 4 * (_HEAD + 5 * steps)


class _Parts:
    """Takes a frame of numbers apart."""

    def __init__(self, numbers: list[int], n_lines: int) -> None:
        self._numbers = numbers
        self._n_lines = n_lines
        self._at = 0

    def take(self, n: int) -> list[int]:
        """The next n numbers."""
        if n < 0 or self._at + n > len(self._numbers):
            raise OutputLimit("a trace that ends within an episode")
        self._at += n
        return self._numbers[self._at - n : self._at]

    def line(self, number: int) -> int | None:
        """A line of the program, None for 0."""
        return _line(number, self._n_lines)

    def end(self) -> None:
        """There must be nothing more."""
        if self._at != len(self._numbers):
            raise OutputLimit("a trace with more than its episodes")


def _line(number: int, n_lines: int) -> int | None:
    if not 0 <= number <= n_lines:
        raise OutputLimit(f"a trace that names line {number} of {n_lines}")
    return number or None


def _trace(scene: Scene, beta: float, seed: int, question: int, parts: _Parts, notes: tuple[Note, ...]) -> EpisodeTrace:
    """One episode: what the child says of it, and what playing its actions again gives."""
    answer, line, left_out, *lengths = parts.take(_HEAD)
    log, lines, seen = (parts.take(n) for n in lengths)
    waves = _waves(log)
    if len(waves) != len(lines) or left_out < 0 or any(note.after > len(waves) for note in notes):
        raise OutputLimit("a trace whose parts do not fit together")
    environment, table = scene.prepared.environment, scene.prepared.tables[question]
    source = TableSource(table, seed, environment.interval, environment.max_branches)
    episode = Episode(source, environment.interval, environment.kappa_probe)
    actions, shown = [], {-1}
    try:
        for (op, wave), at in zip(waves, lines, strict=True):
            members = act(episode, op, wave)
            actions.append(Action(op, tuple(members), parts.line(at)))
            if op == OP_PROBE or (op != OP_PRUNE and not environment.kappa_probe):
                shown.update(source.probe(members))
    except InadmissibleAction as error:
        raise OutputLimit(f"a trace with an action that is not admissible: {error.message}") from None
    if episode._log != log or answer not in shown:
        raise OutputLimit("a trace that is not what its actions come to")
    if len(set(seen)) != len(seen) or not shown.issuperset(seen) or not {-1, UNPARSED_ID}.isdisjoint(seen):
        raise OutputLimit("a trace with answers that its actions do not show")
    return EpisodeTrace(
        scene.environment,
        question,
        beta,
        seed,
        tuple(actions),
        answer,
        parts.line(line),
        tuple(seen),
        notes,
        left_out,
        episode.tokens,
        episode.sequential_tokens,
        int.from_bytes(digest_of(log, answer), "little", signed=True),
    )


def _waves(log: list[int]) -> list[tuple[int, Sequence[int]]]:
    """An episode's log by waves: (code, members), of an opening (code, as many numbers)."""
    waves: list[tuple[int, Sequence[int]]] = []
    k = 0
    while k < len(log):
        size = log[k + 1] if k + 1 < len(log) else 0
        end = k + 2 + (size if log[k] != OP_OPEN else 0)
        if size < 1 or end > len(log):
            raise OutputLimit("a trace that ends within an action")
        waves.append((log[k], range(size) if log[k] == OP_OPEN else log[k + 2 : end]))
        k = end
    return waves


def act(episode: Episode, op: int, wave: Sequence[int]) -> list[int]:
    """Take a traced action once more; the members of the wave. Of an opening only their number counts.

    Raises:
        InadmissibleAction: see `Episode`.
        OutputLimit: there is no such action.
    """
    if op == OP_OPEN:
        return episode.branches(len(wave))
    members = list(wave)
    if op == OP_ADVANCE:
        episode.advance(members)
    elif op == OP_FINISH:
        episode.finish(members)
    elif op == OP_PRUNE:
        episode.prune(members)
    elif op == OP_PROBE:
        episode.probe(members)
    else:
        raise OutputLimit(f"a trace with action {op}, which does not exist")
    return members


def _notes_of(frame: bytes, n_episodes: int, n_lines: int) -> list[tuple[Note, ...]]:
    """The notes of each episode."""
    try:
        told: Any = json.loads(frame)
    except (ValueError, RecursionError):
        told = None
    if type(told) is not list:
        raise OutputLimit("notes that are no list")
    found: list[list[Note]] = [[] for _ in range(n_episodes)]
    for note in told:
        if type(note) is not list or list(map(type, note)) != [int, int, int, str, str]:
            raise OutputLimit("a note of unknown form")
        episode, after, line, name, value = note
        if not 0 <= episode < n_episodes or after < 0 or len(found[episode]) >= MAX_NOTES:
            raise OutputLimit("a note that belongs to no episode, or one too many")
        words = printable(name[:MAX_NOTE_NAME]), printable(value[:MAX_NOTE])
        found[episode].append(Note(after, _line(line, n_lines), *words))
    return [tuple(notes) for notes in found]
