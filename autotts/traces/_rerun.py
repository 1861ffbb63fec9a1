"""The dearer question: the program is run again with one of its decisions overridden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from autotts.errors import InputError
from autotts.evaluation import SAMPLE, EpisodeTrace, Evaluator, Program, Protocol
from autotts.traces._credit import MANY, mean_over, whole
from autotts.traces._table import Evidence
from autotts.traces._walk import Recorded, questions_of

__all__ = ["overridden"]

_COLUMNS = ("environment", "episodes", "with the line %", "Δ accuracy, points", "± points", "Δ tokens", "± tokens")


def overridden(
    evaluator: Evaluator,
    program: Program,
    line: int,
    traces: Sequence[EpisodeTrace] | None = None,
    protocol: Protocol = SAMPLE,
) -> Evidence:
    """What the decisions of a line do: the program as it is, minus the same with these decisions overridden.

    A prune is ignored: the branch stays active, and the program goes on with it as its code has it. A wave goes one
    interval further, as far as its branches have one, before the program sees anything of it.

    Args:
        evaluator: whose environments are played.
        program: what to run.
        line: where it acts.
        traces: of the program as it is, of this evaluator and protocol; None to record them.
        protocol: β, seeds, overrides.

    Raises:
        InputError: the traces are of other episodes, or the line takes no action in them.
        ProgramError: the typed outcome; a program may not come to an end that way.
    """
    before = evaluator.trace(program, protocol) if traces is None else traces
    if not any(action.line == line for trace in before for action in trace.actions):
        raise InputError(f"line {line} takes no action in these episodes; `credit` lists the lines that do")
    after = evaluator.trace(program, protocol, overridden=line)
    if list(map(_place, before)) != list(map(_place, after)):
        raise InputError("the traces are of other episodes than those of this evaluator and protocol")
    questions = questions_of(evaluator.environments)
    groups: dict[str, list[tuple[EpisodeTrace, EpisodeTrace]]] = defaultdict(list)
    for pair in zip(before, after, strict=True):
        groups["all"].append(pair)
        groups[f"{pair[0].environment} {evaluator.environments[pair[0].environment].name}"].append(pair)
    rows = [_row(name.partition(" ")[2] or name, pairs, questions, line) for name, pairs in groups.items()]
    return Evidence(
        f"Line {line}: the program as it is, minus the program with the line's decisions overridden",
        _COLUMNS,
        tuple(rows),
        (
            "Overridden: its prunes are ignored, its waves go an interval further before the program sees them.",
            "±: standard error over questions; a question that several models were asked is one. "
            f"–: not told, for fewer than {MANY} episodes, or one question.",
        ),
    )


def _place(trace: EpisodeTrace) -> tuple[int, float, int, int]:
    return trace.environment, trace.beta, trace.seed, trace.question


def _row(
    name: str, pairs: Sequence[tuple[EpisodeTrace, EpisodeTrace]], questions: list[list[Recorded]], line: int
) -> tuple[str | int | float | None, ...]:
    count: defaultdict[int, int] = defaultdict(int)
    accuracy: defaultdict[int, int] = defaultdict(int)
    tokens: defaultdict[int, int] = defaultdict(int)
    acting = 0
    for before, after in pairs:
        recorded = questions[before.environment][before.question]
        count[recorded.cluster] += 1
        accuracy[recorded.cluster] += recorded.right(before.answer) - recorded.right(after.answer)
        tokens[recorded.cluster] += before.tokens - after.tokens
        acting += any(action.line == line for action in before.actions)
    points, points_error = (100 * x for x in mean_over(accuracy, count))
    spent, spent_error = mean_over(tokens, count)
    share = 100 * acting / len(pairs)
    if len(pairs) < MANY:
        return name, len(pairs), share, None, None, round(spent), whole(spent_error)
    return name, len(pairs), share, points, points_error, round(spent), whole(spent_error)
