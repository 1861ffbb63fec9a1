"""What runs inside the jail: the program's schedule and its episodes. Nothing here knows a gold answer."""

from __future__ import annotations

import json
import marshal
import math
import sys
from array import array
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any

from autotts import toolkit
from autotts.errors import Crashed, InadmissibleAction, InvalidSchedule
from autotts.evaluation.asking import host_episodes
from autotts.evaluation.classstyle import ClassQuestion
from autotts.evaluation.recording import Recorder, code_of
from autotts.evaluation.wire import MAX_KNOBS, MAX_NAME, digest_of, unpack_tables
from autotts.replay.episode import Episode
from autotts.replay.source import Table, TableSource
from autotts.sandbox.facades import Importer
from autotts.sandbox.faults import line_of_traceback
from autotts.sandbox.jail import Channel
from autotts.sandbox.policy import FILENAME, compile_with_fingerprint
from autotts.sandbox.rules import own_name

__all__ = ["main"]

GRID = 101
"""Points of β on which a schedule is checked."""

TOOLKIT = {"autotts.toolkit": list(toolkit.__all__)}
_IMPORTER = Importer(TOOLKIT)


def main(channel: Channel) -> None:
    """Run one shard: a job comes in, a frame of schedules and a frame of results an β go out.

    The first child of a program compiles it under the policy and hands the code out, with the fingerprint in front,
    before any of it runs; those after it are given that code (the host only passes it on), for compiling takes longer
    than all else that starts a child.
    """
    job = json.loads(channel.recv())
    importer = _IMPORTER if job["class_name"] is None else Importer(TOOLKIT, compat=True)
    if job["compiled"]:
        code = marshal.loads(channel.recv())
    else:
        # A class-style file is a script as well, and the script's part never runs here.
        code, mark = compile_with_fingerprint(job["source"], drop_script=job["class_name"] is not None)
        channel.send(mark + marshal.dumps(code))
    runner = _Runner(code, importer, job)
    knobs = runner.schedules(check=not job["compiled"])
    channel.send(json.dumps(knobs).encode())
    if job["mode"] == "host":
        host_episodes(channel, job, knobs[0], runner.solve)
    elif job["mode"] == "trace":
        _run_trace(channel, job, runner, knobs)
    else:
        _run_table(channel, job, runner, knobs)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


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
        function = self._globals().get(own_name(name))
        if not callable(function):
            form = f"class {name}:" if name == self._class_name else f"def {name}(…)"
            raise Crashed(f"the program defines no {name}; it needs `{form}` at top level")
        found: Callable[..., Any] = function
        return found

    def schedules(self, check: bool) -> list[dict[str, float]]:
        """The knobs at every β of the job, overrides applied; with a check on the grid of 101 before."""
        if self._class_name:
            self._function(self._class_name)
            return [{"beta": beta, **self._overrides} for beta in self._betas]
        schedule = self._function("schedule")
        if check:
            check_monotone([_knobs(schedule, k / (GRID - 1)) for k in range(GRID)])
        found = [_knobs(schedule, beta) for beta in self._betas]
        # An override of no knob is left out: the host misses it and says so, for it is the user's mistake.
        known = {name: value for name, value in self._overrides.items() if name in found[0]}
        return [{**knobs, **known} for knobs in found]

    def solve(self, episode: Episode, knobs: dict[str, float], call: Callable[..., Any] = _call) -> int:
        """One episode; the id of the returned answer, −1 for none.

        Args:
            episode, knobs: what the program is given.
            call: calls the program's function.

        Raises:
            InadmissibleAction: what was returned is no answer; its line is that of the function that returned it.
        """
        if self._class_name is None:
            function = self._function("solve")
            answer = call(function, episode, dict(knobs))
        else:
            controller = self._function(self._class_name)(config=dict(knobs))
            function = getattr(controller, "solve", controller)
            if not callable(function):
                raise Crashed(f"class {self._class_name} has no method solve and no __call__; it needs one of them")
            answer = _shown(call(function, ClassQuestion(episode)), episode)
        try:
            return episode._answer_id(answer)
        except InadmissibleAction as error:
            error.line = _first_line(function)
            raise

    def line_of_return(self, episode: Episode, knobs: dict[str, float]) -> int | None:
        """Plays an episode again to see at which line the program returns: the last of its functions to do so."""
        lines: list[int] = []

        def look(frame: FrameType, event: str, _: Any) -> None:
            if event == "return" and frame.f_code.co_filename == FILENAME:
                lines[:] = [frame.f_lineno]

        sys.setprofile(look)
        try:
            self.solve(episode, knobs)
        except InadmissibleAction as error:
            return lines[0] if lines else error.line
        finally:
            sys.setprofile(None)
        return None


def _shown(returned: Any, episode: Episode) -> Any:
    """What a class-style controller returned, as an answer.

    The paper's evaluator scores a text that no branch showed as wrong, so that is no answer here. Anything but a text
    (a tuple, a count) would be as wrong every time, which can only be a mistake: it goes on and is refused.
    """
    if not isinstance(returned, str):
        return returned
    text = str.__str__(returned)  # numpy has a str of its own
    return text if text in episode._ids else None


def _first_line(function: Any) -> int | None:
    """Where a function of the program begins."""
    code = code_of(function)
    return None if code is None else code.co_firstlineno


def _knobs(schedule: Callable[[float], Any], beta: float) -> dict[str, float]:
    knobs = schedule(beta)
    if type(knobs) is not dict:
        raise InvalidSchedule(f"schedule({beta:g}) returned {type(knobs).__name__}, not a dict of knobs")
    if len(knobs) > MAX_KNOBS:
        raise InvalidSchedule(f"schedule({beta:g}) has {len(knobs)} knobs; at most {MAX_KNOBS} are kept")
    for name, value in knobs.items():
        if type(name) is not str or not name.isidentifier() or len(name) > MAX_NAME:
            raise InvalidSchedule(f"schedule({beta:g}): a knob is named {str(name)[:40]!r}; use an identifier")
        if type(value) not in (int, float) or not _finite(value):
            raise InvalidSchedule(f"schedule({beta:g}): knob {name} is not a finite number but {str(value)[:40]}")
    return knobs


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number past all floats
        return False


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


def _tables(channel: Channel, job: dict[str, Any]) -> list[Table]:
    """The tables that follow the job, with their signals."""
    tables = unpack_tables(channel.recv())
    for table, signals in zip(tables, job["signals"], strict=False):
        table.signals = signals
    return tables


def _run_trace(channel: Channel, job: dict[str, Any], runner: _Runner, schedules: list[dict[str, float]]) -> None:
    tables = _tables(channel, job)
    for beta, knobs in zip(job["betas"], schedules, strict=True):
        recorder = Recorder(job["interval"], job["kappa_probe"], job["max_branches"], job["overridden"])
        for seed in job["seeds"]:
            for number, table in zip(job["numbers"], tables, strict=True):
                channel.context = f"β={beta:g}, {job['environment']}, question {number + 1}, seed {seed}"
                recorder.play(table, seed, knobs, runner.solve)
        for frame in recorder.frames():
            channel.send(frame)


def _run_table(channel: Channel, job: dict[str, Any], runner: _Runner, schedules: list[dict[str, float]]) -> None:
    tables = _tables(channel, job)
    interval, kappa, ceiling = job["interval"], job["kappa_probe"], job["max_branches"]
    for beta, knobs in zip(job["betas"], schedules, strict=True):
        records = array("q")
        for seed in job["seeds"]:
            for number, table in enumerate(tables):
                channel.context = f"β={beta:g}, {job['environment']}, question {number + 1}, seed {seed}"
                episode = Episode(TableSource(table, seed, interval, ceiling), interval, kappa)
                try:
                    answer = runner.solve(episode, knobs)
                except InadmissibleAction as error:
                    if line_of_traceback(error.__traceback__) is None:
                        again = Episode(TableSource(table, seed, interval, ceiling), interval, kappa)
                        error.line = runner.line_of_return(again, knobs) or error.line
                    raise
                digest = int.from_bytes(digest_of(episode._log, answer), "little", signed=True)
                opened = episode._opened
                records.extend((answer, episode._tokens, episode._sequential, opened, digest))
        channel.send(records.tobytes())
