"""What runs inside the jail: the program's schedule and its episodes. Nothing here knows a gold answer."""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

from autotts import toolkit
from autotts.errors import Crashed, InvalidSchedule
from autotts.evaluation.classstyle import ClassQuestion
from autotts.evaluation.wire import OP_END, OP_SIGNAL, pack, unpack, unpack_tables
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE, Episode, TableSource
from autotts.sandbox.facades import Importer
from autotts.sandbox.jail import Channel
from autotts.sandbox.policy import compile_program

__all__ = ["digest_of", "main"]

GRID = 101
"""Points of β on which a schedule is checked."""

TOOLKIT = {"autotts.toolkit": list(toolkit.__all__)}
_IMPORTER = Importer(TOOLKIT)


def main(channel: Channel) -> None:
    """Run one shard: a job comes in, a frame of schedules and a frame of results an β go out."""
    job = json.loads(channel.recv())
    importer = _IMPORTER if job["class_name"] is None else Importer(TOOLKIT, compat=True)
    code = compile_program(job["source"])
    runner = _Runner(code, importer, job)
    knobs = runner.schedules()
    channel.send(json.dumps(knobs).encode())
    if job["mode"] == "host":
        _run_host(channel, job, runner, knobs)
    else:
        _run_table(channel, job, runner, knobs)


def digest_of(log: Sequence[int], answer: int) -> bytes:
    """Eight bytes that stand for all actions of an episode and its answer."""
    return hashlib.blake2b(array("i", [*log, answer]).tobytes(), digest_size=8).digest()


class _Runner:
    """Runs a program's schedule and episodes, each in fresh globals so that no episode knows of another."""

    def __init__(self, code: CodeType, importer: Importer, job: dict[str, Any]) -> None:
        self._code = code
        self._importer = importer
        self._class_name: str | None = job["class_name"]
        self._betas: list[float] = job["betas"]
        self._overrides: dict[str, float] = job["overrides"]

    def _globals(self) -> dict[str, Any]:
        namespace = self._importer.fresh_globals()
        exec(self._code, namespace)
        return namespace

    def _function(self, name: str) -> Callable[..., Any]:
        function = self._globals().get(name)
        if not callable(function):
            raise Crashed(f"the program defines no {name}; it needs `def {name}(…)` at top level")
        found: Callable[..., Any] = function
        return found

    def schedules(self) -> list[dict[str, float]]:
        """The knobs at every β of the job, overrides applied, after the check on the grid of 101."""
        if self._class_name:
            self._function(self._class_name)
            return [{"beta": beta, **self._overrides} for beta in self._betas]
        schedule = self._function("schedule")
        grid = [_knobs(schedule, k / (GRID - 1)) for k in range(GRID)]
        check_monotone(grid)
        unknown = sorted(set(self._overrides) - set(grid[0]))
        if unknown:
            raise InvalidSchedule(f"--set {unknown[0]}: no such knob; the schedule has {', '.join(sorted(grid[0]))}")
        return [{**_knobs(schedule, beta), **self._overrides} for beta in self._betas]

    def solve(self, episode: Episode, knobs: dict[str, float]) -> int:
        """One episode; the id of the returned answer, −1 for none."""
        if self._class_name is None:
            answer = self._function("solve")(episode, dict(knobs))
        else:
            controller = self._function(self._class_name)(config=dict(knobs))
            returned = controller.solve(ClassQuestion(episode))
            # The paper's evaluator scores a string that no branch showed as wrong, so it is no answer here.
            answer = returned if type(returned) is str and returned in episode._ids else None
        return episode._answer_id(answer)


def _knobs(schedule: Callable[[float], Any], beta: float) -> dict[str, float]:
    knobs = schedule(beta)
    if type(knobs) is not dict:
        raise InvalidSchedule(f"schedule({beta:g}) returned {type(knobs).__name__}, not a dict of knobs")
    for name, value in knobs.items():
        if type(name) is not str or not name.isidentifier():
            raise InvalidSchedule(f"schedule({beta:g}): a knob is named {str(name)[:40]!r}; use an identifier")
        if type(value) not in (int, float) or not math.isfinite(value):
            raise InvalidSchedule(f"schedule({beta:g}): knob {name} is not a finite number but {str(value)[:40]}")
    return knobs


def check_monotone(grid: Sequence[dict[str, float]]) -> None:
    """Every knob rises or falls with β, never both, and the same knobs exist at every β.

    Raises:
        InvalidSchedule: naming the knob and the two β.
    """
    for k, knobs in enumerate(grid):
        if knobs.keys() != grid[0].keys():
            odd = sorted(knobs.keys() ^ grid[0].keys())[0]
            raise InvalidSchedule(f"knob {odd} exists at some β only (β = 0 and β = {k / (GRID - 1):g} differ)")
    for name in grid[0]:
        direction = 0
        for k in range(1, len(grid)):
            step = grid[k][name] - grid[k - 1][name]
            if step * direction < 0:
                raise InvalidSchedule(
                    f"knob {name} is not monotone in β: it turns between β = {(k - 1) / (GRID - 1):g} and "
                    f"β = {k / (GRID - 1):g}; let it only rise or only fall"
                )
            direction = direction or (step > 0) - (step < 0)


def _run_table(channel: Channel, job: dict[str, Any], runner: _Runner, schedules: list[dict[str, float]]) -> None:
    tables = unpack_tables(channel.recv())
    for table, signals in zip(tables, job["signals"], strict=False):
        table.signals = signals
    interval, kappa, ceiling = job["interval"], job["kappa_probe"], job["max_branches"]
    for beta, knobs in zip(job["betas"], schedules, strict=True):
        records = array("q")
        for seed in job["seeds"]:
            for number, table in enumerate(tables):
                channel.context = f"β={beta:g}, {job['environment']}, question {number + 1}, seed {seed}"
                episode = Episode(TableSource(table, seed, interval, ceiling), interval, kappa)
                answer = runner.solve(episode, knobs)
                digest = int.from_bytes(digest_of(episode._log, answer), "little", signed=True)
                opened = len(episode._state)
                records.extend((answer, episode._tokens, episode._sequential, opened, digest))
        channel.send(records.tobytes())


def _run_host(channel: Channel, job: dict[str, Any], runner: _Runner, schedules: list[dict[str, float]]) -> None:
    for beta, knobs in zip(job["betas"], schedules, strict=True):
        for seed in job["seeds"]:
            for number, n_branches in enumerate(job["n_branches"]):
                channel.context = f"β={beta:g}, {job['environment']}, question {number + 1}, seed {seed}"
                source = HostSource(channel, min(job["max_branches"], n_branches), job["kappa_probe"], job["names"])
                episode = Episode(source, job["interval"], job["kappa_probe"])
                source.end(runner.solve(episode, knobs))


class HostSource:
    """Asks the host for every interval: one message a wave, nothing unrevealed on this side of the pipe.

    At κ_probe = 0 the reply carries the answers at the depths just paid for, so that looking costs no message.
    Prunes have no reply and travel with the next message.
    """

    __slots__ = ("_answers", "_channel", "_depth", "_kappa", "_names", "_pending", "limit")

    def __init__(self, channel: Channel, limit: int, kappa_probe: int, names: list[str]) -> None:
        self._channel = channel
        self._kappa = kappa_probe
        self._names = names
        self._depth: list[int] = []
        self._answers: list[int] = []
        self._pending: list[int] = []
        self.limit = limit

    def _ask(self, message: list[int]) -> list[int]:
        if self._pending:
            message = self._pending + message
            self._pending = []
        self._channel.send(pack(message))
        return unpack(self._channel.recv())

    def open(self, first: int, n: int) -> list[tuple[int, bool]]:
        """Open branches."""
        reply = self._ask([OP_OPEN, n])
        self._depth += [1] * n
        self._answers += reply[2::3]
        return [(cost, end == 1) for cost, end in zip(reply[0::3], reply[1::3], strict=True)]

    def advance(self, branches: Sequence[int]) -> list[tuple[int, bool]]:
        """One more interval of each."""
        reply = self._ask([OP_ADVANCE, len(branches), *branches])
        depth, answers = self._depth, self._answers
        for i, answer in zip(branches, reply[2::3], strict=True):
            depth[i] += 1
            answers[i] = answer
        return [(cost, end == 1) for cost, end in zip(reply[0::3], reply[1::3], strict=True)]

    def finish(self, branches: Sequence[int]) -> list[int]:
        """Run each to its end."""
        reply = self._ask([OP_FINISH, len(branches), *branches])
        for i, depth, answer in zip(branches, reply[1::3], reply[2::3], strict=True):
            self._depth[i] = depth
            self._answers[i] = answer
        return reply[0::3]

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer at the current depth: carried already when probes are free."""
        if self._kappa:
            return self._ask([OP_PROBE, len(branches), *branches])
        answers = self._answers
        return [answers[i] for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Tell with the next message."""
        self._pending += [OP_PRUNE, len(branches), *branches]

    def depth(self, branch: int) -> int:
        """Intervals paid for."""
        return self._depth[branch]

    def signal(self, branch: int, name: str) -> float | None:
        """Ask the host, where such a signal was recorded at all."""
        if name not in self._names:
            return None
        self._channel.send(pack([*self._pending, OP_SIGNAL, branch, self._names.index(name)]))
        self._pending = []
        value = json.loads(self._channel.recv())
        return None if value is None else float(value)

    def end(self, answer: int) -> None:
        """End the episode; no reply."""
        self._channel.send(pack([*self._pending, OP_END, answer]))
        self._pending = []
